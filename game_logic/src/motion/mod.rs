//! Things that are somewhere, go somewhere, and end.

mod confine;
mod integrate;
mod lifetime;

use engine_api::prelude::*;

use crate::math::Vec2;

pub use confine::{confine_drones, confine_ship, stop_bullets};
pub use integrate::integrate;
pub use lifetime::{Lifetime, expire};

/// Where something is, in units; the middle of the arena is zero.
#[derive(Component, Reflect, Default, Clone, Copy, Debug)]
#[reflect(Component, Default)]
pub struct Position(pub Vec2);

/// Where something goes, in units per second.
#[derive(Component, Reflect, Default, Clone, Copy, Debug)]
#[reflect(Component, Default)]
pub struct Velocity(pub Vec2);
