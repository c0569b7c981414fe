//! All numbers worth playing with, read from `assets/tuning.ron`.
//!
//! [`Tuning`] is an ordinary resource. `m.asset_checked::<Tuning>(...)` ties it
//! to the file: on every save the text is parsed into this very type, checked
//! by [`check`](fn@check), and swapped in between two frames. A file that is
//! wrong changes nothing but the list of problems.
//!
//! A field missing from the file has the value of `Default`, so that old files
//! go on working when you add one.

mod check;
mod combat;
mod feel;

use engine_api::prelude::*;

pub use check::{check, in_range};
pub use combat::{DroneStats, DroneTuning, FlockTuning, GunTuning, NovaTuning};
pub use feel::{EffectTuning, PickupTuning, ShipTuning, ViewTuning};

/// The whole of `assets/tuning.ron`. Units: see the comments in that file.
#[derive(Resource, Reflect, Clone, Debug)]
#[reflect(Resource, Default)]
pub struct Tuning {
    /// Seed of the first game; the next one takes the next number.
    pub seed: u64,
    /// How the ship flies and what it survives.
    pub ship: ShipTuning,
    /// The guns, which fire by themselves.
    pub gun: GunTuning,
    /// The shock wave on the space bar.
    pub nova: NovaTuning,
    /// The swarm.
    pub drones: DroneTuning,
    /// What drones leave behind.
    pub pickups: PickupTuning,
    /// Sparks and shaking.
    pub effects: EffectTuning,
    /// How much of the arena is on screen.
    pub view: ViewTuning,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            seed: 2026,
            ship: ShipTuning::default(),
            gun: GunTuning::default(),
            nova: NovaTuning::default(),
            drones: DroneTuning::default(),
            pickups: PickupTuning::default(),
            effects: EffectTuning::default(),
            view: ViewTuning::default(),
        }
    }
}
