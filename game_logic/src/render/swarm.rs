//! Drones: a dot each, the bigger kinds a few.

use engine_api::prelude::*;

use crate::motion::Position;
use crate::render::{Camera, View, palette};
use crate::swarm::{Drone, DroneKind};
use crate::tuning::Tuning;
use crate::waves::Arena;

/// Dots of a big drone around its middle.
const BIG: [(i32, i32); 8] = [
    (-1, -1),
    (0, -1),
    (1, -1),
    (-1, 0),
    (1, 0),
    (-1, 1),
    (0, 1),
    (1, 1),
];
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
    let view = View::new(
        &camera,
        &viewport,
        &arena,
        &tuning.view,
        time.elapsed_secs(),
    );
    let mut dots = |kind: DroneKind, (x, y): (i32, i32)| {
        let color = palette::drone(kind);
        let shape: &[(i32, i32)] = match kind {
            DroneKind::Drifter | DroneKind::Seeker => &[(0, 0)],
            DroneKind::Splitter => &BIG,
            DroneKind::Hunter => &ARROW,
        };
        for (dx, dy) in shape {
            viewport.dot(x + dx, y + dy, color);
        }
    };
    for (drone, position) in &drones {
        if drone.kind == DroneKind::Drifter {
            dots(drone.kind, view.dot(position.0));
        }
    }
    for (drone, position) in &drones {
        if drone.kind != DroneKind::Drifter {
            dots(drone.kind, view.dot(position.0));
        }
    }
}
