//! Shock waves against drones.

use engine_api::prelude::*;

use crate::collision::{Grid, Hit};
use crate::motion::Position;
use crate::weapons::Blast;

/// Writes a [`Hit`] for every drone that a wave passed in this frame.
pub fn blasts_hit_drones(
    grid: Res<Grid>,
    mut hits: MessageWriter<Hit>,
    blasts: Query<(&Blast, &Position)>,
) {
    for (blast, position) in &blasts {
        let inner = blast.inner * blast.inner;
        grid.touching(position.0, blast.outer, |drone| {
            if (drone.at - position.0).length_squared() >= inner {
                hits.write(Hit {
                    drone: drone.entity,
                    attack: blast.attack,
                });
            }
            true
        });
    }
}
