//! The guns look for the nearest drone.

use engine_api::prelude::*;

use crate::collision::Grid;
use crate::math::Vec2;
use crate::motion::Position;
use crate::tuning::Tuning;
use crate::weapons::Gun;

/// Points the [`Gun`] at the nearest drone in range.
pub fn aim(tuning: Res<Tuning>, grid: Res<Grid>, gun: Single<(&mut Gun, &Position)>) {
    let (mut gun, position) = gun.into_inner();
    gun.aim = match grid.nearest(position.0, tuning.gun.range) {
        Some(drone) => (drone - position.0).normalized(),
        None => Vec2::ZERO,
    };
}
