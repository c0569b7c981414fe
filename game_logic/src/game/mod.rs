//! The state of one game: playing, paused, over; beginning a new one.

mod begin;
mod pause;
mod score;
mod state;

pub use begin::begin_game;
pub use pause::toggle_pause;
pub use score::{Score, cool_combo, count_score};
pub use state::{DESERTED_SECONDS, Game, Phase, deserted, fighting, keep_clock, over, playing};
