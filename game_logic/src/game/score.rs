//! Points, and the combo that multiplies them.

use engine_api::prelude::*;

use crate::game::{Game, Phase};
use crate::swarm::DroneDestroyed;
use crate::tuning::Tuning;

/// Seconds without a kill after which a combo ends.
///
/// Try changing this while the game runs: at `10.0` the multiplier never ends.
const COMBO_SECONDS: f32 = 1.2;

/// Kills per step of the multiplier.
const COMBO_STEP: u32 = 20;

/// What the player has won so far.
#[derive(Resource, Reflect, Default, Clone, Debug)]
#[reflect(Resource, Default)]
pub struct Score {
    /// Points of this game.
    pub points: u64,
    /// Most points of any game.
    pub best: u64,
    /// Drones destroyed.
    pub kills: u32,
    /// Drones destroyed in one go.
    pub combo: u32,
    /// Longest combo of this game.
    pub best_combo: u32,
    /// Seconds until the combo ends.
    pub combo_left: f32,
    /// Kills gathered for the next nova.
    pub charge: u32,
}

impl Score {
    /// What points are multiplied by: 1, 2, ... up to 9.
    pub fn multiplier(&self) -> u64 {
        u64::from(1 + self.combo / COMBO_STEP).min(9)
    }

    /// Adds points, multiplied. Returns how many it were.
    pub fn add(&mut self, points: u64) -> u64 {
        let points = points.saturating_mul(self.multiplier());
        self.points = self.points.saturating_add(points);
        points
    }
}

/// Observer: every destroyed drone is worth something.
///
/// An observer runs at once, wherever its event is triggered; a system would
/// have to wait for its turn.
pub fn count_score(
    destroyed: On<DroneDestroyed>,
    tuning: Res<Tuning>,
    game: Res<Game>,
    mut score: ResMut<Score>,
) {
    if game.phase == Phase::Over {
        return;
    }
    score.kills += 1;
    score.combo += 1;
    score.best_combo = score.best_combo.max(score.combo);
    score.combo_left = COMBO_SECONDS;
    score.charge = (score.charge + 1).min(tuning.nova.kills);
    score.add(tuning.drones.of(destroyed.kind).points);
}

/// Ends a combo when nothing was destroyed for a while.
pub fn cool_combo(time: Res<Time>, mut score: ResMut<Score>) {
    score.combo_left = (score.combo_left - time.delta()).max(0.0);
    if score.combo_left <= 0.0 {
        score.combo = 0;
    }
}
