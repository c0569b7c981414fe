//! The guns fire.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::motion::{Lifetime, Position, Velocity};
use crate::random::Rng;
use crate::tuning::Tuning;
use crate::weapons::{Bullet, Gun};

/// How far a volley strays, in radians.
///
/// Try changing this while the game runs: `0.6` is a garden hose.
const JITTER: f32 = 0.03;

/// Spawns a fan of bullets whenever the guns are ready and have a target.
pub fn fire(
    mut commands: Commands,
    time: Res<Time>,
    tuning: Res<Tuning>,
    mut rng: ResMut<Rng>,
    gun: Single<(&mut Gun, &Position, &Velocity)>,
) {
    let (mut gun, position, velocity) = gun.into_inner();
    gun.cooldown -= time.delta();
    if gun.cooldown > 0.0 {
        return;
    }
    if gun.aim == Vec2::ZERO {
        gun.cooldown = 0.0;
        return;
    }
    let tuning = &tuning.gun;
    gun.cooldown += 1.0 / tuning.rate;
    let count = gun.level.clamp(1, tuning.most_level);
    let spread = tuning.spread.to_radians();
    let middle = gun.aim.angle() + rng.between(-JITTER, JITTER);
    for number in 0..count {
        let offset = number as f32 - (count - 1) as f32 / 2.0;
        let direction = Vec2::from_angle(middle + offset * spread);
        commands.spawn((
            Bullet {
                attack: tuning.attack,
                pierce: tuning.pierce,
            },
            Position(position.0 + direction * 3.0),
            // Bullets take part of the ship's own motion with them.
            Velocity(direction * tuning.speed + velocity.0 * 0.3),
            Lifetime::new(tuning.range / tuning.speed),
        ));
    }
}
