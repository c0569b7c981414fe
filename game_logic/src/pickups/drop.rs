//! Where pickups come from.

use engine_api::prelude::*;

use crate::game::{Game, Phase};
use crate::math::Vec2;
use crate::motion::{Lifetime, Position, Velocity};
use crate::pickups::{Pickup, PickupKind};
use crate::random::Rng;
use crate::swarm::DroneDestroyed;
use crate::tuning::Tuning;
use crate::waves::Arena;

fn random_kind(rng: &mut Rng) -> PickupKind {
    match rng.unit() {
        // Try changing these shares while the game runs.
        share if share < 0.70 => PickupKind::Gem,
        share if share < 0.93 => PickupKind::Gun,
        share if share < 0.97 => PickupKind::Shield,
        _ => PickupKind::Nova,
    }
}

fn pickup(kind: PickupKind, at: Vec2, rng: &mut Rng, tuning: &Tuning) -> impl Bundle + use<> {
    (
        Pickup { kind },
        Position(at),
        Velocity(rng.direction() * 4.0),
        Lifetime::new(tuning.pickups.life),
    )
}

/// Observer: some drones leave something behind.
pub fn drop_pickup(
    destroyed: On<DroneDestroyed>,
    mut commands: Commands,
    tuning: Res<Tuning>,
    mut rng: ResMut<Rng>,
) {
    if rng.happens(tuning.pickups.chance) {
        let kind = random_kind(&mut rng);
        commands.spawn(pickup(kind, destroyed.at, &mut rng, &tuning));
    }
}

/// Timer: help arrives, whatever the player does. Registered with `m.every`.
pub fn send_supply(
    mut commands: Commands,
    game: Res<Game>,
    arena: Res<Arena>,
    tuning: Res<Tuning>,
    mut rng: ResMut<Rng>,
) {
    if game.phase == Phase::Over {
        return;
    }
    let half = arena.half() * 0.8;
    let at = Vec2::new(rng.between(-half.x, half.x), rng.between(-half.y, half.y));
    let kind = if rng.happens(0.4) {
        PickupKind::Shield
    } else {
        PickupKind::Gun
    };
    commands.spawn(pickup(kind, at, &mut rng, &tuning));
}
