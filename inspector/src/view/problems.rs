//! What is wrong now: compiler errors, bad assets, bad config.

use inspector_protocol::status::Problem;
use ratatui::text::{Line, Span};

use crate::state::Model;
use crate::text::{cut, cut_start, fit};
use crate::theme;

/// Columns of the place.
fn place_columns(columns: usize) -> usize {
    (columns * 2 / 5).clamp(8, 36)
}

/// `game_logic/src/lib.rs:12:5`, as much of it as is known.
pub fn place(problem: &Problem) -> String {
    match (problem.file.as_str(), problem.line, problem.column) {
        ("", ..) => problem.module.clone(),
        (file, 0, _) => file.to_owned(),
        (file, line, 0) => format!("{file}:{line}"),
        (file, line, column) => format!("{file}:{line}:{column}"),
    }
}

/// Names of the columns.
pub fn heading(columns: usize) -> String {
    let text = format!("  {} message", fit("where", place_columns(columns)));
    cut(&text, columns)
}

/// One row.
pub fn row(model: &Model, row: usize, columns: usize) -> Option<Line<'static>> {
    let problem = model.status.as_ref()?.problems.get(row)?;
    let (glyph, style) = theme::severity(problem.severity);
    let room = place_columns(columns);
    let place = fit(&cut_start(&place(problem), room), room);
    let message = cut(&problem.message, columns.saturating_sub(room + 3));
    Some(Line::from(vec![
        Span::styled(format!("{glyph} "), style),
        Span::raw(place + " "),
        Span::styled(message, style),
    ]))
}
