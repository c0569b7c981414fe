//! Drones against the ship.

use engine_api::prelude::*;

use crate::collision::Grid;
use crate::motion::Position;
use crate::player::{Ship, ShipHit};
use crate::tuning::Tuning;

/// Triggers [`ShipHit`] when a drone touches a ship that can be harmed.
pub fn drones_hit_ship(
    mut commands: Commands,
    tuning: Res<Tuning>,
    grid: Res<Grid>,
    ship: Single<(Entity, &Ship, &Position)>,
) {
    let (entity, ship, position) = ship.into_inner();
    if ship.grace > 0.0 {
        return;
    }
    let mut touched = false;
    grid.touching(position.0, tuning.ship.radius, |_| {
        touched = true;
        false
    });
    if touched {
        commands.trigger(ShipHit { ship: entity });
    }
}
