//! A drone's end: one event, and whoever wants to hear of it.
//!
//! The code that destroys a drone knows nothing of points, sparks or pickups.
//! It triggers [`DroneDestroyed`]; observers elsewhere do the rest. Adding
//! another consequence means adding another observer.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::random::Rng;
use crate::swarm::{DroneKind, drone};
use crate::tuning::Tuning;

/// Drifters that a splitter falls into.
///
/// Try changing this while the game runs: `30` makes a fountain.
const PARTS: u32 = 5;

/// A drone was destroyed.
#[derive(Event, TypePath, Clone, Debug)]
pub struct DroneDestroyed {
    /// What it was.
    pub kind: DroneKind,
    /// Where it was.
    pub at: Vec2,
    /// Where it was going.
    pub velocity: Vec2,
}

/// Observer: a splitter falls into drifters.
pub fn split(
    destroyed: On<DroneDestroyed>,
    mut commands: Commands,
    tuning: Res<Tuning>,
    mut rng: ResMut<Rng>,
) {
    if destroyed.kind != DroneKind::Splitter {
        return;
    }
    for _ in 0..PARTS {
        let at = destroyed.at + rng.direction() * 2.0;
        commands.spawn(drone(DroneKind::Drifter, at, &tuning, &mut rng));
    }
}
