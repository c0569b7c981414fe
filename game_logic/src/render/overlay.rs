//! Words over the game: banner, pause, summary.

use engine_api::prelude::*;

use crate::effects::Banner;
use crate::game::{Game, Phase, Score};
use crate::render::palette;
use crate::waves::WaveProgress;

/// Draws the banner, or the pause, or what a finished game came to.
pub fn draw_overlay(
    mut viewport: ResMut<Viewport>,
    game: Res<Game>,
    score: Res<Score>,
    progress: Res<WaveProgress>,
    banner: Res<Banner>,
) {
    let height = i32::from(viewport.height());
    if game.phase == Phase::Over {
        let record = score.points > 0 && score.points >= score.best;
        let seconds = game.seconds as u32;
        summary(
            &mut viewport,
            &[
                ("GAME OVER".to_owned(), Color::RED),
                (format!("{} points", score.points), palette::TEXT),
                (
                    if record {
                        "a new best!".to_owned()
                    } else {
                        format!("best {}", score.best)
                    },
                    palette::ACCENT,
                ),
                (
                    format!("wave {}, {} drones", progress.number + 1, score.kills),
                    palette::FAINT,
                ),
                (
                    format!(
                        "combo {}, {}:{:02}",
                        score.best_combo,
                        seconds / 60,
                        seconds % 60
                    ),
                    palette::FAINT,
                ),
                ("n: new game".to_owned(), palette::TEXT),
            ],
        );
    } else if game.paused {
        summary(
            &mut viewport,
            &[
                ("PAUSED".to_owned(), palette::ACCENT),
                ("p: go on   n: new game".to_owned(), palette::TEXT),
            ],
        );
    } else if banner.left > 0.0 {
        let fade = (banner.left / 0.8).min(1.0);
        let row = height / 4;
        let dark = Color(30, 34, 46);
        viewport.text_centered(row, &banner.text, dark.mix(palette::ACCENT, fade));
        viewport.text_centered(row + 1, &banner.detail, dark.mix(palette::FAINT, fade));
    }
}

/// Lines in a box in the middle, as many as there is room for.
fn summary(viewport: &mut Viewport, lines: &[(String, Color)]) {
    let (width, height) = (i32::from(viewport.width()), i32::from(viewport.height()));
    let longest = lines
        .iter()
        .map(|(text, _)| text.chars().count())
        .max()
        .unwrap_or(0) as i32;
    let boxed = height >= lines.len() as i32 + 4 && width >= longest + 6;
    let top = ((height - lines.len() as i32) / 2).max(0);
    if boxed {
        let (x, y) = ((width - longest - 6) / 2, top - 1);
        let (box_width, box_height) = (longest + 6, lines.len() as i32 + 2);
        for row in y..y + box_height {
            viewport.text(x, row, &" ".repeat(box_width as usize), palette::TEXT);
        }
        viewport.fill(x, y, box_width, box_height, palette::PANEL);
        viewport.frame(x, y, box_width, box_height, palette::FAINT);
    }
    // Where not all fit, the first and the last matter most.
    let skipped = (lines.len() as i32 - height).max(0) as usize;
    let last = lines.len().saturating_sub(1);
    let shown = lines
        .iter()
        .enumerate()
        .filter(|(index, _)| *index + skipped < last || *index == last)
        .map(|(_, line)| line);
    for (row, (text, color)) in shown.enumerate() {
        viewport.text_centered(top + row as i32, text, *color);
    }
}
