//! The whole game without an engine.

mod assets;
mod cost;
mod harness;
mod play;
mod script;
