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
    /// How long nobody has touched a key since it ended, in seconds.
    pub deserted: f32,
}

/// Seconds after which a game that ended and that nobody looks at begins anew.
///
/// Try changing this while the summary is shown: at `3.0` it hardly can be read.
pub const DESERTED_SECONDS: f32 = 20.0;

/// Run condition, for `run_if`: the world moves.
pub fn playing(game: Res<Game>) -> bool {
    !game.paused
}

/// Run condition, for `run_if`: there is still somebody to fight. After the end nothing
/// scores any more, so that the summary stays true.
pub fn fighting(game: Res<Game>) -> bool {
    game.phase == Phase::Playing
}

/// Run condition, for `run_if`: the game is over and nobody is there.
pub fn deserted(game: Res<Game>) -> bool {
    game.phase == Phase::Over && game.deserted >= DESERTED_SECONDS
}

/// Run condition, for `run_if`: a new game may begin.
pub fn over(game: Res<Game>) -> bool {
    game.phase == Phase::Over || game.paused
}

/// Counts the seconds of this game, and after it those without a key.
pub fn keep_clock(time: Res<Time>, input: Res<Input>, mut game: ResMut<Game>) {
    match game.phase {
        Phase::Playing => game.seconds += time.delta(),
        Phase::Over if input.keys_pressed().next().is_some() => game.deserted = 0.0,
        Phase::Over => game.deserted += time.delta(),
    }
}
