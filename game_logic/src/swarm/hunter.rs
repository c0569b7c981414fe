//! Hunters can be led.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::swarm::{Drone, DroneKind};

/// What a hunter has beside a drone's parts: somebody may lead it, as
/// `assets/scripts/hunters.lua` does.
#[derive(Component, Reflect, Default, Clone, Copy, Debug)]
#[reflect(Component, Default)]
pub struct Hunter {
    /// Where it goes, in units, if it has a pace.
    pub goal: Vec2,
    /// How fast it goes there, as a multiple of its speed in `assets/tuning.ron`. It holds for
    /// one frame: a hunter that nobody leads any more comes at the ship by itself.
    pub pace: f32,
}

/// Gives hunters their part, wherever they come from.
pub fn enlist_hunters(mut commands: Commands, drones: Query<(Entity, &Drone), Without<Hunter>>) {
    for (entity, drone) in &drones {
        if drone.kind == DroneKind::Hunter {
            commands.entity(entity).insert(Hunter::default());
        }
    }
}
