//! Walls, pillars and the ground.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::render::palette::color;
use crate::render::{Camera, View};
use crate::tuning::Tuning;
use crate::waves::Arena;

/// Distance between specks of dust, in units.
///
/// Try changing this while the game runs.
const DUST: f32 = 14.0;

/// Draws what does not move. Dust gives the eye something to see speed by.
pub fn draw_arena(
    mut viewport: ResMut<Viewport>,
    arena: Res<Arena>,
    camera: Res<Camera>,
    tuning: Res<Tuning>,
    time: Res<Time>,
) {
    let view = View::new(
        &camera,
        &viewport,
        &arena,
        &tuning.view,
        time.elapsed_secs(),
    );
    let half = arena.half();
    let (wall, dust) = (color(arena.level.wall), color(arena.level.dust));

    let (columns, rows) = ((half.x / DUST) as i32, (half.y / DUST) as i32);
    for row in -rows..=rows {
        for column in -columns..=columns {
            // Scattered, but the same in every frame.
            let hash = (column.wrapping_mul(73_856_093) ^ row.wrapping_mul(19_349_663)) as u32;
            let jitter = Vec2::new((hash % 13) as f32 - 6.0, (hash / 13 % 13) as f32 - 6.0);
            let at = Vec2::new(column as f32 * DUST, row as f32 * DUST) + jitter;
            let (x, y) = view.dot(at.clamped(half));
            viewport.dot(x, y, dust);
        }
    }

    let (left, top) = view.dot(-half);
    let (right, bottom) = view.dot(half);
    for (from, to) in [
        ((left, top), (right, top)),
        ((right, top), (right, bottom)),
        ((right, bottom), (left, bottom)),
        ((left, bottom), (left, top)),
    ] {
        viewport.line(from, to, wall);
    }
    for pillar in &arena.level.pillars {
        let center = view.dot(Vec2::new(pillar.x, pillar.y));
        viewport.circle(center, view.length(pillar.radius), wall);
        viewport.circle(
            center,
            view.length(pillar.radius * 0.6),
            wall.mix(dust, 0.6),
        );
    }
}
