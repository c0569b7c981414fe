//! The ship and its bullets.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::motion::{Position, Velocity};
use crate::player::Ship;
use crate::render::{Camera, View, palette};
use crate::tuning::Tuning;
use crate::waves::Arena;
use crate::weapons::{Bullet, Gun};

/// Draws every bullet as a short streak.
pub fn draw_bullets(
    mut viewport: ResMut<Viewport>,
    arena: Res<Arena>,
    camera: Res<Camera>,
    tuning: Res<Tuning>,
    time: Res<Time>,
    bullets: Query<(&Position, &Velocity), With<Bullet>>,
) {
    let view = View::new(
        &camera,
        &viewport,
        &arena,
        &tuning.view,
        time.elapsed_secs(),
    );
    for (position, velocity) in &bullets {
        let tail = position.0 - velocity.0.normalized() * 2.5;
        viewport.line(view.dot(tail), view.dot(position.0), palette::BULLET);
    }
}

/// Draws the ship: a triangle, a flame, a ring while nothing can harm it, and a
/// speck where the guns look.
pub fn draw_ship(
    mut viewport: ResMut<Viewport>,
    arena: Res<Arena>,
    camera: Res<Camera>,
    tuning: Res<Tuning>,
    time: Res<Time>,
    ship: Single<(&Ship, &Position, &Gun)>,
) {
    let (ship, position, gun) = ship.into_inner();
    let now = time.elapsed_secs();
    let view = View::new(&camera, &viewport, &arena, &tuning.view, now);
    let nose = if ship.nose == Vec2::ZERO {
        Vec2::new(0.0, -1.0)
    } else {
        ship.nose
    };
    // At least a few dots, however small the terminal is.
    let size = (tuning.ship.radius * 1.9).max(4.0 / view.scale);
    let at = |along: f32, aside: f32| {
        let across = Vec2::new(-nose.y, nose.x);
        view.dot(position.0 + nose * (along * size) + across * (aside * size))
    };
    if ship.burning {
        let flicker = 1.2 + 0.4 * (now * 40.0).sin();
        viewport.line(at(-0.6, 0.0), at(-flicker, 0.0), palette::FLAME);
    }
    let (tip, left, right, tail) = (
        at(1.0, 0.0),
        at(-0.8, 0.65),
        at(-0.8, -0.65),
        at(-0.35, 0.0),
    );
    let blinks = ship.grace > 0.0 && (now * 10.0) as i32 % 2 == 0;
    let color = if blinks { Color::WHITE } else { palette::SHIP };
    for (from, to) in [(tip, left), (left, tail), (tail, right), (right, tip)] {
        viewport.line(from, to, color);
    }
    if gun.aim != Vec2::ZERO {
        let (x, y) = view.dot(position.0 + gun.aim * (size * 1.9));
        viewport.dot(x, y, palette::ACCENT);
    }
    if ship.grace > 0.0 {
        let ring = palette::BLAST.mix(Color::BLACK, 0.45);
        viewport.circle(view.dot(position.0), view.length(size * 1.7), ring);
    }
}
