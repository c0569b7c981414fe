//! Sparks, shock waves, pickups and rising words.

use engine_api::prelude::*;

use crate::effects::{Popup, Spark};
use crate::motion::{Lifetime, Position};
use crate::pickups::Pickup;
use crate::render::{Camera, View, palette};
use crate::tuning::Tuning;
use crate::waves::Arena;
use crate::weapons::Blast;

/// Draws sparks, fading.
pub fn draw_sparks(
    mut viewport: ResMut<Viewport>,
    arena: Res<Arena>,
    camera: Res<Camera>,
    tuning: Res<Tuning>,
    time: Res<Time>,
    sparks: Query<(&Spark, &Position, &Lifetime)>,
) {
    let view = View::new(
        &camera,
        &viewport,
        &arena,
        &tuning.view,
        time.elapsed_secs(),
    );
    for (spark, position, life) in &sparks {
        let hot = palette::drone(spark.kind).mix(Color::WHITE, life.remaining() * 0.7);
        let (x, y) = view.dot(position.0);
        viewport.dot(x, y, Color(40, 30, 30).mix(hot, life.remaining()));
    }
}

/// Draws shock waves as rings.
pub fn draw_blasts(
    mut viewport: ResMut<Viewport>,
    arena: Res<Arena>,
    camera: Res<Camera>,
    tuning: Res<Tuning>,
    time: Res<Time>,
    blasts: Query<(&Blast, &Position)>,
) {
    let view = View::new(
        &camera,
        &viewport,
        &arena,
        &tuning.view,
        time.elapsed_secs(),
    );
    for (blast, position) in &blasts {
        let center = view.dot(position.0);
        let color = palette::BLAST.mix(Color::BLACK, 0.7 * blast.outer / blast.reach.max(1.0));
        viewport.circle(center, view.length(blast.outer), color);
        viewport.circle(
            center,
            view.length(blast.outer * 0.94),
            color.mix(Color::BLACK, 0.5),
        );
    }
}

/// Draws pickups as signs; they blink before they go.
pub fn draw_pickups(
    mut viewport: ResMut<Viewport>,
    arena: Res<Arena>,
    camera: Res<Camera>,
    tuning: Res<Tuning>,
    time: Res<Time>,
    pickups: Query<(&Pickup, &Position, &Lifetime)>,
) {
    let now = time.elapsed_secs();
    let view = View::new(&camera, &viewport, &arena, &tuning.view, now);
    for (pickup, position, life) in &pickups {
        if life.left < 3.0 && (now * 8.0) as i32 % 2 == 0 {
            continue;
        }
        let (color, sign) = palette::pickup(pickup.kind);
        let (x, y) = view.cell(position.0);
        viewport.put(x, y, sign, color);
    }
}

/// Draws rising words.
pub fn draw_popups(
    mut viewport: ResMut<Viewport>,
    arena: Res<Arena>,
    camera: Res<Camera>,
    tuning: Res<Tuning>,
    time: Res<Time>,
    popups: Query<(&Popup, &Position, &Lifetime)>,
) {
    let view = View::new(
        &camera,
        &viewport,
        &arena,
        &tuning.view,
        time.elapsed_secs(),
    );
    for (popup, position, life) in &popups {
        let (x, y) = view.cell(position.0);
        let length = popup.text.chars().count() as i32;
        let color = palette::FAINT.mix(palette::ACCENT, life.remaining());
        viewport.text(x - length / 2, y, &popup.text, color);
    }
}
