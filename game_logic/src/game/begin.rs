//! Beginning a game, the first one and every one after it.

use engine_api::prelude::*;

use crate::effects::Banner;
use crate::game::{Game, Score};
use crate::motion::{Position, Velocity};
use crate::player::{Helm, Ship, take_hit};
use crate::random::Rng;
use crate::tuning::Tuning;
use crate::waves::WaveProgress;
use crate::weapons::Gun;

/// Clears the arena and puts a ship into its middle.
///
/// In `Startup` this runs once, when the module is loaded for the first time.
/// It does *not* run again when you change the code: the game goes on with the
/// entities it has. That is why a change here shows in the next game only.
pub fn begin_game(
    mut commands: Commands,
    everything: Query<Entity, With<Position>>,
    tuning: Res<Tuning>,
    mut game: ResMut<Game>,
    mut score: ResMut<Score>,
) {
    for entity in &everything {
        commands.entity(entity).despawn();
    }
    let seed = tuning.seed.wrapping_add(game.number);
    commands.insert_resource(Rng::seeded(seed));
    commands.insert_resource(WaveProgress::default());
    commands.insert_resource(Banner::default());
    *game = Game {
        number: game.number + 1,
        ..Game::default()
    };
    *score = Score {
        best: score.best.max(score.points),
        ..Score::default()
    };
    let ship = (
        Ship {
            shields: tuning.ship.shields,
            grace: tuning.ship.grace,
            ..Ship::default()
        },
        Helm::default(),
        Gun {
            level: 1,
            ..Gun::default()
        },
        Position::default(),
        Velocity::default(),
    );
    commands.spawn(ship).attach(take_hit);
    log::info!("game {} begins with seed {seed}", game.number);
}
