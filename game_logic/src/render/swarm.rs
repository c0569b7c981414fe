//! Drones: a dot each, the bigger kinds a few.

use engine_api::prelude::*;

use crate::motion::Position;
use crate::render::{Camera, View, palette};
use crate::swarm::{Drone, DroneKind};
use crate::tuning::Tuning;
use crate::waves::Arena;

/// Dots of a big drone around its middle.
const BIG: [(i32, i32); 8] =
    [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)];
/// Dots of a hunter.
const ARROW: [(i32, i32); 4] = [(-1, 0), (1, 0), (0, -1), (0, 1)];

/// Draws all drones, the dangerous ones last.
pub fn draw_drones(
    mut viewport: ResMut<Viewport>,
    arena: Res<Arena>,
    camera: Res<Camera>,
    tuning: Res<Tuning>,
    time: Res<Time>,
    drones: Query<(&Drone, &Position)>,
) {
    let view = View::new(&camera, &viewport, &arena, &tuning.view, time.elapsed_secs());
    let mut dots = |kind: DroneKind, x: i32, y: i32| {
        let color = palette::drone(kind);
        match kind {
            DroneKind::Splitter => {
                BIG.iter().for_each(|(dx, dy)| viewport.dot(x + dx, y + dy, color));
            }
            DroneKind::Hunter => {
                ARROW.iter().for_each(|(dx, dy)| viewport.dot(x + dx, y + dy, color));
            }
            DroneKind::Drifter | DroneKind::Seeker => viewport.dot(x, y, color),
        }
    };
    for (drone, position) in &drones {
        if drone.kind == DroneKind::Drifter {
            let (x, y) = view.dot(position.0);
            dots(drone.kind, x, y);
        }
    }
    for (drone, position) in &drones {
        if drone.kind != DroneKind::Drifter {
            let (x, y) = view.dot(position.0);
            dots(drone.kind, x, y);
        }
    }
}
