//! The level that is on.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::waves::{Level, LevelPlan, WavePlan, WaveProgress};

/// The arena as it is now.
#[derive(Resource, Reflect, Default, Clone, Debug)]
#[reflect(Resource, Default)]
pub struct Arena {
    /// A copy of the level that is on.
    pub level: Level,
}

impl Arena {
    /// From the middle to the right and lower walls, in units.
    pub fn half(&self) -> Vec2 {
        Vec2::new(self.level.width / 2.0, self.level.height / 2.0)
    }
}

/// Takes the level that the current wave names.
///
/// It compares on every frame, so a saved `levels.ron` shows at once: move a
/// pillar, and the swarm flows around its new place.
pub fn choose_arena(
    progress: Res<WaveProgress>,
    waves: Res<WavePlan>,
    levels: Res<LevelPlan>,
    mut arena: ResMut<Arena>,
) {
    let wanted = waves
        .wave(progress.number)
        .and_then(|wave| levels.named(&wave.level));
    if let Some(level) = wanted
        && arena.level != *level
    {
        arena.level = level.clone();
    }
}
