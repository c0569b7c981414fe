//! Reloads, newest first, with the time of each step.

use inspector_protocol::status::{ReloadStatus, ReloadTimings};
use ratatui::text::{Line, Span};

use crate::state::Model;
use crate::text::{cut, fit, fit_right, millis, width};
use crate::theme;

const OUTCOME: usize = 14;
const TIME: usize = 8;
/// Columns from which the time of each step is shown.
const WITH_STEPS: usize = 92;

/// The steps of a reload, in order.
pub fn steps(timings: &ReloadTimings) -> [(&'static str, f64); 5] {
    [
        ("detect", timings.detect),
        ("build", timings.build),
        ("load", timings.load),
        ("migrate", timings.migrate),
        ("swap", timings.swap),
    ]
}

/// `v2 -> v3`; `v2` where nothing changed.
pub fn versions(reload: &ReloadStatus) -> String {
    match (reload.from, reload.to) {
        (Some(from), Some(to)) => format!("v{from}->v{to}"),
        (None, Some(to)) => format!("v{to}"),
        (Some(from), None) => format!("v{from}"),
        (None, None) => String::new(),
    }
}

/// Columns of the module's name and of the versions.
fn widths(columns: usize) -> (usize, usize) {
    if columns < 44 {
        (7, 8)
    } else {
        ((columns / 5).clamp(10, 16), 10)
    }
}

/// A message shorter than this says nothing.
const MESSAGE: usize = 8;

/// Names of the columns.
pub fn heading(columns: usize) -> String {
    let (module, versions) = widths(columns);
    let mut text = format!(
        "  {}{}{}{}",
        fit("outcome", OUTCOME),
        fit("module", module),
        fit("version", versions),
        fit_right("total", TIME)
    );
    if columns >= WITH_STEPS {
        for (step, _) in steps(&ReloadTimings::default()) {
            text.push_str(&fit_right(step, TIME));
        }
    }
    if columns >= width(&text) + MESSAGE {
        text.push_str("  message");
    }
    cut(&text, columns)
}

/// One row.
pub fn row(model: &Model, row: usize, columns: usize) -> Option<Line<'static>> {
    let reload = model.status.as_ref()?.reloads.iter().nth_back(row)?;
    let (glyph, style) = theme::outcome(reload.outcome);
    let (module, version) = widths(columns);
    let mut spans = vec![
        Span::styled(format!("{glyph} "), style),
        Span::styled(fit(reload.outcome.name(), OUTCOME), style),
        Span::raw(fit(&reload.module, module.saturating_sub(1)) + " "),
        Span::raw(fit(&versions(reload), version)),
        Span::styled(
            fit_right(&millis(reload.timings_ms.total), TIME),
            theme::TITLE,
        ),
    ];
    if columns >= WITH_STEPS {
        for (_, time) in steps(&reload.timings_ms) {
            spans.push(Span::styled(fit_right(&millis(time), TIME), theme::DIM));
        }
    }
    let used: usize = spans.iter().map(Span::width).sum();
    if columns >= used + MESSAGE {
        spans.push(Span::raw(cut(
            &format!("  {}", reload.message),
            columns - used,
        )));
    }
    Some(Line::from(spans))
}
