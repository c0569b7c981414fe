//! Time as game code sees it.

use std::time::Duration;

use bevy_ecs::resource::Resource;

/// The clock of the game, a resource that the engine keeps up to date.
///
/// The simulation advances by a fixed step per frame, so that the same inputs
/// give the same game on every machine; the measured frame time is there for
/// what only concerns the eye.
#[derive(Resource, Debug, Clone)]
pub struct Time {
    step: Duration,
    elapsed: Duration,
    last_frame: Duration,
    number: u64,
}

impl Time {
    /// A clock at zero that advances by `step` per frame.
    pub fn new(step: Duration) -> Self {
        Self {
            step,
            elapsed: Duration::ZERO,
            last_frame: step,
            number: 0,
        }
    }

    /// Advances by one step; `frame_time` is what the last frame really took.
    pub fn advance(&mut self, frame_time: Duration) {
        self.elapsed += self.step;
        self.last_frame = frame_time;
        self.number += 1;
    }

    /// Makes it advance by another step from here on. For the engine, when the frame rate
    /// changes.
    pub fn set_step(&mut self, step: Duration) {
        self.step = step;
    }

    /// The fixed step in seconds: what simulation systems multiply with.
    pub fn delta(&self) -> f32 {
        self.step.as_secs_f32()
    }

    /// The fixed step.
    pub fn step(&self) -> Duration {
        self.step
    }

    /// Game time since the first frame: frames times step.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Game time since the first frame, in seconds.
    pub fn elapsed_secs(&self) -> f32 {
        self.elapsed.as_secs_f32()
    }

    /// Wall-clock time from the start of the last frame to the start of this one.
    pub fn frame_time(&self) -> Duration {
        self.last_frame
    }

    /// Number of this frame, from 1.
    pub fn frame(&self) -> u64 {
        self.number
    }
}
