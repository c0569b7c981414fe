//! Small words that rise from where something happened.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::motion::{Lifetime, Position, Velocity};

/// A word in the arena. Text in a component is a `String`: a `&'static str`
/// would point into code that may be replaced.
#[derive(Component, Reflect, Default, Clone, Debug)]
#[reflect(Component, Default)]
pub struct Popup {
    /// What it says.
    pub text: String,
}

/// A new word at a place.
pub fn popup(text: String, at: Vec2) -> impl Bundle {
    (
        Popup { text },
        Position(at),
        Velocity(Vec2::new(0.0, -8.0)),
        Lifetime::new(1.1),
    )
}
