//! Log lines, oldest first.

use inspector_protocol::message::LogSource;
use ratatui::text::{Line, Span};

use crate::state::Model;
use crate::text::{cut, width};
use crate::theme;

/// Columns from which the time and the module are shown.
const WITH_TIME: usize = 60;

/// `0:12.345`: minutes, seconds and milliseconds after the engine's start.
pub fn time(at_ms: u64) -> String {
    format!(
        "{}:{:02}.{:03}",
        at_ms / 60_000,
        at_ms / 1000 % 60,
        at_ms % 1000
    )
}

/// One row: the first line of the text, and how many follow.
pub fn row(model: &Model, row: usize, columns: usize) -> Option<Line<'static>> {
    let line = model.log.get(row)?;
    let style = theme::level(line.level);
    let mut spans = Vec::new();
    if columns >= WITH_TIME {
        spans.push(Span::styled(
            format!("{:>9} ", time(line.at_ms)),
            theme::DIM,
        ));
    }
    spans.push(Span::styled(format!("{:<5} ", line.level.name()), style));
    // Lines of the engine name the module they are about themselves.
    if columns >= WITH_TIME && line.source == LogSource::Module && !line.module.is_empty() {
        spans.push(Span::styled(
            format!("{}: ", cut(&line.module, 16)),
            theme::DIM,
        ));
    }
    let mut lines = line.message.lines();
    let first = lines.next().unwrap_or_default();
    let more = match lines.count() {
        0 => String::new(),
        more => format!(" (+{more})"),
    };
    let used: usize = spans.iter().map(Span::width).sum::<usize>() + width(&more);
    spans.push(Span::styled(
        cut(first, columns.saturating_sub(used)),
        style,
    ));
    spans.push(Span::styled(more, theme::DIM));
    Some(Line::from(spans))
}
