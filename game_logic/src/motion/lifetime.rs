//! Things that end by themselves: bullets, sparks, pickups, words.

use engine_api::prelude::*;

/// How long something still lasts.
#[derive(Component, Reflect, Default, Clone, Copy, Debug)]
#[reflect(Component, Default)]
pub struct Lifetime {
    /// Seconds left.
    pub left: f32,
    /// Seconds there were at the beginning.
    pub total: f32,
}

impl Lifetime {
    /// A life of so many seconds.
    pub fn new(seconds: f32) -> Self {
        Self {
            left: seconds,
            total: seconds,
        }
    }

    /// What is left of it: 1 at the beginning, 0 at the end.
    pub fn remaining(&self) -> f32 {
        if self.total > 0.0 {
            (self.left / self.total).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// Counts down, and despawns what has come to its end.
///
/// Commands take effect when the system is done, so nothing is removed from
/// under the loop.
pub fn expire(mut commands: Commands, time: Res<Time>, mut query: Query<(Entity, &mut Lifetime)>) {
    for (entity, mut lifetime) in &mut query {
        lifetime.left -= time.delta();
        if lifetime.left <= 0.0 {
            commands.entity(entity).despawn();
        }
    }
}
