//! The pause key.

use engine_api::prelude::*;

use crate::game::{Game, Phase};

/// Stops the world or lets it go on. Registered with `m.on_key`, so it runs in
/// the frame in which the key goes down, and in no other.
pub fn toggle_pause(mut game: ResMut<Game>) {
    game.paused = !game.paused && game.phase == Phase::Playing;
}
