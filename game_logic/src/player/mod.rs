//! The ship and the hand that steers it.

mod fly;
mod helm;
mod hit;

use engine_api::prelude::*;

use crate::math::Vec2;

pub use fly::fly;
pub use helm::{Helm, read_helm};
pub use hit::{ShipHit, ShipLost, end_game, take_hit};

/// The player's ship. There is one while a game is on, none after it.
#[derive(Component, Reflect, Default, Clone, Debug)]
#[reflect(Component, Default)]
pub struct Ship {
    /// Hits it survives.
    pub shields: i32,
    /// Seconds for which nothing can harm it.
    pub grace: f32,
    /// Where its nose points; a unit vector, zero before it first moved.
    pub nose: Vec2,
    /// Whether the engine burns, for drawing.
    pub burning: bool,
}
