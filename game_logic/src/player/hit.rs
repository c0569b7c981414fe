//! What happens when a drone reaches the ship.

use engine_api::prelude::*;

use crate::effects::Banner;
use crate::game::{Game, Phase, Score};
use crate::math::Vec2;
use crate::motion::Position;
use crate::player::Ship;
use crate::render::Camera;
use crate::tuning::Tuning;
use crate::weapons::{Blast, Gun};

/// A drone reached the ship. An event of one entity: whoever is attached to it hears.
#[derive(EntityEvent, TypePath, Clone, Debug)]
pub struct ShipHit {
    /// The ship.
    #[event_target]
    pub ship: Entity,
}

/// The ship is gone.
#[derive(Event, TypePath, Clone, Debug)]
pub struct ShipLost {
    /// Where it was.
    pub at: Vec2,
}

/// Observer of the ship: a shield and a gun go, the swarm is thrown back; without a shield that
/// was it.
///
/// It is registered with `m.entity_observer`, and [`begin_game`](crate::game::begin_game) attaches
/// it to the ship. What the ship has of it is its name, so the ship that flies now is hit by your
/// new code.
pub fn take_hit(
    hit: On<ShipHit>,
    mut commands: Commands,
    tuning: Res<Tuning>,
    mut camera: ResMut<Camera>,
    mut ships: Query<(&mut Ship, &mut Gun, &Position)>,
) {
    let Ok((mut ship, mut gun, position)) = ships.get_mut(hit.ship) else {
        return;
    };
    camera.shake = tuning.effects.shake;
    ship.shields -= 1;
    gun.level = gun.level.saturating_sub(1).max(1);
    ship.grace = tuning.ship.grace;
    // The same wave as the nova's, only smaller: it gives the player room.
    commands.spawn((Blast::rescue(&tuning.nova), *position));
    if ship.shields < 0 {
        commands.entity(hit.ship).despawn();
        commands.trigger(ShipLost { at: position.0 });
    }
}

/// Observer: the game is over.
pub fn end_game(
    _lost: On<ShipLost>,
    mut game: ResMut<Game>,
    mut score: ResMut<Score>,
    mut banner: ResMut<Banner>,
) {
    game.phase = Phase::Over;
    score.best = score.best.max(score.points);
    *banner = Banner::default();
    log::info!("game over: {} points, {} kills", score.points, score.kills);
}
