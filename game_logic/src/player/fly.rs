//! The helm moves the ship.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::motion::Velocity;
use crate::player::{Helm, Ship};
use crate::tuning::Tuning;

/// Thrust, drag, top speed; and the nose turns to where the ship goes.
///
/// `Single` is a query for exactly one entity. After the ship is lost there is
/// none, and the system is simply not run.
pub fn fly(time: Res<Time>, tuning: Res<Tuning>, ship: Single<(&mut Ship, &mut Velocity, &Helm)>) {
    let (mut ship, mut velocity, helm) = ship.into_inner();
    let (tuning, delta) = (&tuning.ship, time.delta());
    let wanted = Vec2::new(helm.x, helm.y).normalized();
    ship.burning = wanted != Vec2::ZERO;
    ship.grace = (ship.grace - delta).max(0.0);
    let kept = (1.0 - tuning.drag * delta).max(0.0);
    velocity.0 = (velocity.0 * kept + wanted * (tuning.thrust * delta)).at_most(tuning.top_speed);
    if ship.burning {
        let turned = ship.nose + wanted * (12.0 * delta);
        ship.nose = if turned.length_squared() < 0.01 {
            wanted
        } else {
            turned.normalized()
        };
    }
}
