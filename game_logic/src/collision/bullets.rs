//! Bullets against drones.

use engine_api::prelude::*;

use crate::collision::{Grid, Hit};
use crate::motion::Position;
use crate::tuning::Tuning;
use crate::weapons::Bullet;

/// Writes a [`Hit`] for every drone a bullet touches; a bullet that went
/// through enough of them ends.
pub fn bullets_hit_drones(
    mut commands: Commands,
    tuning: Res<Tuning>,
    grid: Res<Grid>,
    mut hits: MessageWriter<Hit>,
    mut bullets: Query<(Entity, &mut Bullet, &Position)>,
) {
    for (entity, mut bullet, position) in &mut bullets {
        let (attack, mut pierce) = (bullet.attack, bullet.pierce);
        grid.touching(position.0, tuning.gun.radius, |drone| {
            hits.write(Hit {
                drone: drone.entity,
                attack,
            });
            pierce = pierce.saturating_sub(1);
            pierce > 0
        });
        if pierce == 0 {
            commands.entity(entity).despawn();
        } else if pierce != bullet.pierce {
            bullet.pierce = pierce;
        }
    }
}
