//! What `game_logic` and `ai` share.

use engine_api::prelude::*;

/// Where something is.
#[derive(Component, Reflect, Default)]
#[reflect(Component, Default)]
pub struct Position {
    /// Steps from the start.
    pub x: u32,
}

/// Somebody has spawned something.
#[derive(Message, Reflect)]
pub struct Spawned {
    /// How many.
    pub count: u32,
}
