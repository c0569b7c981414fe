//! The line above and the line below.

use engine_api::prelude::*;

use crate::effects::Spark;
use crate::game::Score;
use crate::motion::Position;
use crate::player::Ship;
use crate::render::palette;
use crate::swarm::Drone;
use crate::tuning::Tuning;
use crate::waves::WaveProgress;
use crate::weapons::{Bullet, Gun};

/// Cells of the nova's bar.
const BAR: i32 = 12;

/// Draws score, wave, shields, charge and counts; less on small terminals.
#[expect(
    clippy::too_many_arguments,
    reason = "a system names all that it touches"
)]
pub fn draw_hud(
    mut viewport: ResMut<Viewport>,
    tuning: Res<Tuning>,
    score: Res<Score>,
    progress: Res<WaveProgress>,
    ship: Query<(&Ship, &Gun)>,
    drones: Query<(), With<Drone>>,
    bullets: Query<(), With<Bullet>>,
    sparks: Query<(), With<Spark>>,
    everything: Query<(), With<Position>>,
) {
    let (width, height) = (i32::from(viewport.width()), i32::from(viewport.height()));
    let bottom = height - 1;

    bar(&mut viewport, 0, width);
    viewport.text(1, 0, &format!("{:07}", score.points), palette::TEXT);
    if score.multiplier() > 1 {
        viewport.text(9, 0, &format!("x{}", score.multiplier()), palette::ACCENT);
    }
    let (shields, guns) = ship
        .iter()
        .next()
        .map_or((0, 0), |(ship, gun)| (ship.shields.max(0), gun.level));
    let lives = "●".repeat(shields.clamp(0, 9) as usize);
    viewport.text(width - 1 - shields.min(9), 0, &lives, Color(110, 200, 255));
    if width >= 34 {
        let wave = format!("wave {}", progress.number + 1);
        viewport.text_centered(0, &wave, palette::FAINT);
    }
    if width >= 60 {
        let guns = "▲".repeat(guns.min(9) as usize);
        viewport.text(width - 21, 0, &guns, palette::BULLET);
    }

    if height < 8 {
        return;
    }
    bar(&mut viewport, bottom, width);
    let full = score.charge >= tuning.nova.kills;
    let filled = (BAR * score.charge as i32) / (tuning.nova.kills.max(1) as i32);
    for column in 0..BAR {
        let (sign, color) = match column < filled {
            true if full => ('█', palette::ACCENT),
            true => ('█', palette::BLAST.mix(Color::BLACK, 0.35)),
            false => ('░', palette::FAINT.mix(Color::BLACK, 0.4)),
        };
        viewport.put(1 + column, bottom, sign, color);
    }
    let nova = if full { "SPACE: nova" } else { "nova" };
    viewport.text(
        BAR + 2,
        bottom,
        nova,
        if full {
            palette::ACCENT
        } else {
            palette::FAINT
        },
    );
    if width >= 40 {
        let mut counts = format!("{} drones", drones.iter().len());
        if width >= 64 {
            let (bullets, sparks) = (bullets.iter().len(), sparks.iter().len());
            counts = format!(
                "{counts}  {bullets} bullets  {sparks} sparks  {} in all",
                everything.iter().len()
            );
        }
        let length = counts.chars().count() as i32;
        viewport.text(width - 1 - length, bottom, &counts, palette::FAINT);
    }
}

/// An empty, darker row.
fn bar(viewport: &mut Viewport, y: i32, width: i32) {
    for x in 0..width {
        viewport.put(x, y, ' ', palette::FAINT);
    }
    viewport.fill(0, y, width, 1, palette::PANEL);
}
