//! One message for everything that hurts, one system that applies it.

use engine_api::prelude::*;

use crate::calls::damage;
use crate::motion::{Position, Velocity};
use crate::swarm::{Drone, DroneDestroyed};
use crate::tuning::Tuning;

/// Something hit a drone.
///
/// A message waits in a queue until a system reads it. Use messages for what
/// comes in numbers and is handled in one place, events for what is rare and
/// has many listeners.
#[derive(Message, Reflect, Clone, Debug)]
pub struct Hit {
    /// The drone.
    pub drone: Entity,
    /// Attack, see the function `damage`.
    pub attack: i32,
}

/// Takes the damage off the hulls and destroys what has none left.
pub fn apply_hits(
    mut commands: Commands,
    mut hits: MessageReader<Hit>,
    tuning: Res<Tuning>,
    mut drones: Query<(&mut Drone, &Position, &Velocity)>,
) {
    for hit in hits.read() {
        // It may be gone already: two bullets can reach it in the same frame.
        let Ok((mut drone, position, velocity)) = drones.get_mut(hit.drone) else {
            continue;
        };
        if drone.hull <= 0 {
            continue;
        }
        drone.hull -= damage(hit.attack, tuning.drones.of(drone.kind).armor);
        if drone.hull <= 0 {
            commands.entity(hit.drone).despawn();
            commands.trigger(DroneDestroyed {
                kind: drone.kind,
                at: position.0,
                velocity: velocity.0,
            });
        }
    }
}
