//! What drones leave behind, and what it is good for.

mod collect;
mod drop;

use engine_api::prelude::*;

pub use collect::{attract_pickups, collect_pickups};
pub use drop::{drop_pickup, send_supply};

/// What a pickup gives.
#[derive(Reflect, Default, Clone, Copy, Debug, PartialEq, Eq)]
#[reflect(Default)]
pub enum PickupKind {
    /// Points.
    #[default]
    Gem,
    /// One more bullet per volley.
    Gun,
    /// A shield.
    Shield,
    /// A full nova.
    Nova,
}

/// Something to collect.
#[derive(Component, Reflect, Default, Clone, Debug)]
#[reflect(Component, Default)]
pub struct Pickup {
    /// What it gives.
    pub kind: PickupKind,
}
