//! What everybody asks first: is the game on?

use engine_api::prelude::*;

/// Where in its life a game is.
#[derive(Reflect, Default, Clone, Copy, Debug, PartialEq, Eq)]
#[reflect(Default)]
pub enum Phase {
    /// The ship flies.
    #[default]
    Playing,
    /// The ship is gone; the swarm flies on behind the summary.
    Over,
}

/// The game that is on. A resource: there is one of it.
#[derive(Resource, Reflect, Default, Clone, Debug)]
#[reflect(Resource, Default)]
pub struct Game {
    /// Playing or over.
    pub phase: Phase,
    /// The player wants a break.
    pub paused: bool,
    /// How many games were begun, this one included.
    pub number: u64,
    /// How long this one has been played, in seconds.
    pub seconds: f32,
}

/// Run condition, for `run_if`: the world moves.
pub fn playing(game: Res<Game>) -> bool {
    !game.paused
}

/// Run condition, for `run_if`: a new game may begin.
pub fn over(game: Res<Game>) -> bool {
    game.phase == Phase::Over || game.paused
}

/// Counts the seconds of this game.
pub fn keep_clock(time: Res<Time>, mut game: ResMut<Game>) {
    if game.phase == Phase::Playing {
        game.seconds += time.delta();
    }
}
