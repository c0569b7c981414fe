//! Thousands of drones.

mod destroyed;
mod hunter;
mod spawn;
mod steer;

use engine_api::prelude::*;

pub use destroyed::{DroneDestroyed, split};
pub use hunter::{Hunter, enlist_hunters};
pub use spawn::{Formation, drone, place};
pub use steer::steer_drones;

/// What a drone is like. Its numbers are in `assets/tuning.ron`.
#[derive(Reflect, Default, Clone, Copy, Debug, PartialEq, Eq)]
#[reflect(Default)]
pub enum DroneKind {
    /// Slow and many.
    #[default]
    Drifter,
    /// Straight at the ship.
    Seeker,
    /// Big, falls into drifters.
    Splitter,
    /// Few, fast, tough.
    Hunter,
}

impl DroneKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Drifter, Self::Seeker, Self::Splitter, Self::Hunter];

    /// Its name in `assets/tuning.ron`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drifter => "drifter",
            Self::Seeker => "seeker",
            Self::Splitter => "splitter",
            Self::Hunter => "hunter",
        }
    }
}

/// One drone.
#[derive(Component, Reflect, Default, Clone, Debug)]
#[reflect(Component, Default)]
pub struct Drone {
    /// What it is like.
    pub kind: DroneKind,
    /// Damage it still takes.
    pub hull: i32,
    /// Where in its weaving it is, in radians, so that not all weave alike.
    pub phase: f32,
}
