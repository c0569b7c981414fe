//! The whole game without an engine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod assets;
mod cost;
mod harness;
mod play;
