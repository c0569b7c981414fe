//! Velocity changes position. The smallest system there is.

use engine_api::prelude::*;

use crate::motion::{Position, Velocity};

/// How fast time passes.
///
/// Try changing this while the game runs: `0.3` is slow motion, `-1.0` is odd.
const TIME_FACTOR: f32 = 1.0;

/// Moves everything that has a position and a velocity, whatever it is.
pub fn integrate(time: Res<Time>, mut moving: Query<(&mut Position, &Velocity)>) {
    let delta = time.delta() * TIME_FACTOR;
    for (mut position, velocity) in &mut moving {
        position.0.x += velocity.0.x * delta;
        position.0.y += velocity.0.y * delta;
    }
}
