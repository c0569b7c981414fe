//! Making drones, and where they come in.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::motion::{Position, Velocity};
use crate::random::Rng;
use crate::swarm::{Drone, DroneKind};
use crate::tuning::Tuning;
use crate::waves::Arena;

/// How the drones of a group come in.
#[derive(Reflect, Default, Clone, Copy, Debug, PartialEq, Eq)]
#[reflect(Default)]
pub enum Formation {
    /// Anywhere along the walls.
    #[default]
    Edges,
    /// All out of the corner farthest from the ship.
    Corner,
    /// In a circle around the ship.
    Ring,
}

/// Everything a new drone consists of: a bundle, ready for `commands.spawn`.
pub fn drone(
    kind: DroneKind,
    at: Vec2,
    tuning: &Tuning,
    rng: &mut Rng,
) -> (Drone, Position, Velocity) {
    let stats = tuning.drones.of(kind);
    (
        Drone {
            kind,
            hull: stats.hull,
            phase: rng.between(0.0, std::f32::consts::TAU),
        },
        Position(at),
        Velocity(rng.direction() * stats.speed),
    )
}

/// A place for the next drone of a formation, in the arena and not too near the ship.
pub fn place(
    formation: Formation,
    arena: &Arena,
    ship: Vec2,
    clearance: f32,
    rng: &mut Rng,
) -> Vec2 {
    let half = arena.half();
    let mut at = Vec2::ZERO;
    // A few tries: in a small arena there may be no place far enough.
    for _ in 0..6 {
        at = match formation {
            Formation::Edges => {
                let along = rng.between(-1.0, 1.0);
                let side = if rng.happens(0.5) { 1.0 } else { -1.0 };
                if rng.happens(half.x / (half.x + half.y)) {
                    Vec2::new(along * half.x, side * half.y)
                } else {
                    Vec2::new(side * half.x, along * half.y)
                }
            }
            Formation::Corner => {
                let corner = Vec2::new(half.x.copysign(-ship.x), half.y.copysign(-ship.y));
                corner + rng.direction() * rng.between(0.0, 25.0)
            }
            Formation::Ring => ship + rng.direction() * clearance.max(10.0) * 1.4,
        }
        .clamped(half);
        if (at - ship).length_squared() >= clearance * clearance {
            break;
        }
    }
    at
}
