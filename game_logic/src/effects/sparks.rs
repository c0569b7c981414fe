//! Sparks: entities like all others, only short-lived.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::motion::{Lifetime, Position, Velocity};
use crate::player::ShipLost;
use crate::random::Rng;
use crate::swarm::{DroneDestroyed, DroneKind};
use crate::tuning::Tuning;

/// A spark.
#[derive(Component, Reflect, Default, Clone, Debug)]
#[reflect(Component, Default)]
pub struct Spark {
    /// What it is a spark of.
    pub kind: DroneKind,
}

fn spark(kind: DroneKind, at: Vec2, velocity: Vec2, rng: &mut Rng) -> impl Bundle + use<> {
    (
        Spark { kind },
        Position(at),
        Velocity(velocity),
        Lifetime::new(rng.between(0.25, 0.75)),
    )
}

/// Observer: a destroyed drone bursts.
pub fn burst(
    destroyed: On<DroneDestroyed>,
    mut commands: Commands,
    tuning: Res<Tuning>,
    mut rng: ResMut<Rng>,
    sparks: Query<(), With<Spark>>,
) {
    let tuning = &tuning.effects;
    let room = tuning
        .most_sparks
        .saturating_sub(sparks.iter().len() as u32);
    for _ in 0..tuning.sparks.min(room) {
        let speed = rng.between(0.2, 1.0) * tuning.spark_speed;
        let velocity = destroyed.velocity * 0.5 + rng.direction() * speed;
        commands.spawn(spark(destroyed.kind, destroyed.at, velocity, &mut rng));
    }
}

/// Observer: the end of the ship is worth a few more.
pub fn explode(
    lost: On<ShipLost>,
    mut commands: Commands,
    tuning: Res<Tuning>,
    mut rng: ResMut<Rng>,
) {
    for _ in 0..160 {
        let velocity = rng.direction() * (rng.unit() * tuning.effects.spark_speed * 2.0);
        commands.spawn(spark(DroneKind::Hunter, lost.at, velocity, &mut rng));
    }
}

/// Sparks lose their speed.
pub fn slow_sparks(time: Res<Time>, mut sparks: Query<&mut Velocity, With<Spark>>) {
    let kept = (1.0 - 2.5 * time.delta()).max(0.0);
    for mut velocity in &mut sparks {
        velocity.0 = velocity.0 * kept;
    }
}
