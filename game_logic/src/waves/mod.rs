//! Waves of drones and the levels they come in, both from files.
//!
//! | file | resource | says |
//! |---|---|---|
//! | `assets/waves.ron` | [`WavePlan`] | who comes, how many, how fast, in which level |
//! | `assets/levels.ron` | [`LevelPlan`] | size, colours and pillars of each level |

mod arena;
mod levels;
mod plan;
mod progress;

pub use arena::{Arena, choose_arena};
pub use levels::{Level, LevelPlan, Pillar, check_levels};
pub use plan::{Group, Wave, WavePlan, check_waves};
pub use progress::{WaveProgress, WaveStarted, announce_wave, run_waves};
