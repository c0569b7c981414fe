//! The header. What matters most stays when space is short: each part has a
//! rank, and the parts of the highest rank go first.

use inspector_protocol::status::{HostState, ModuleStatus, Severity, Status, VersionState};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::draw_line;
use crate::state::{Connection, State};
use crate::text;
use crate::theme;

/// Columns below which words become glyphs.
const NARROW: usize = 60;

/// A part of a line, dropped the earlier the higher its rank.
struct Part {
    rank: u8,
    spans: Vec<Span<'static>>,
}

impl Part {
    fn new(rank: u8, text: impl Into<String>, style: Style) -> Self {
        Self {
            rank,
            spans: vec![Span::styled(text.into(), style)],
        }
    }

    fn width(&self) -> usize {
        self.spans.iter().map(Span::width).sum()
    }
}

/// Draws the header: one line, or two.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let mut rows = area.rows();
    let columns = usize::from(area.width);
    let two_lines = area.height >= 2;
    if let Some(row) = rows.next() {
        draw_line(
            join(first_line(state, columns, !two_lines), columns),
            row,
            buffer,
        );
    }
    if let Some(row) = rows.next() {
        draw_line(join(second_line(state, columns), columns), row, buffer);
    }
}

/// The parts that fit, two spaces between them.
fn join(mut parts: Vec<Part>, columns: usize) -> Line<'static> {
    let total = |parts: &[Part]| {
        parts.iter().map(Part::width).sum::<usize>() + 2 * parts.len().saturating_sub(1)
    };
    while total(&parts) > columns && parts.len() > 1 {
        let Some(last) = parts.iter().map(|part| part.rank).max() else {
            break;
        };
        if let Some(index) = parts.iter().rposition(|part| part.rank == last) {
            parts.remove(index);
        }
    }
    let mut spans = Vec::new();
    for part in parts {
        if !spans.is_empty() {
            spans.push(Span::raw("  "));
        }
        spans.extend(part.spans);
    }
    Line::from(spans)
}

fn first_line(state: &State, columns: usize, with_modules: bool) -> Vec<Part> {
    let is_narrow = columns < NARROW;
    let mut parts = vec![connection(state, is_narrow)];
    parts.extend(stall(state, columns, is_narrow, &parts[0]));
    if state.frozen.is_some() {
        parts.push(Part::new(1, "FROZEN", theme::WARNING));
    }
    let Some(status) = &state.shown().status else {
        return parts;
    };
    let errors = count(status, Severity::Error);
    let warnings = count(status, Severity::Warning);
    if errors > 0 {
        let text = if is_narrow {
            format!("!{errors}")
        } else {
            format!("! {}", text::count(errors, "error"))
        };
        parts.push(Part::new(1, text, theme::ERROR));
    }
    // Without a connection nobody knows whether the host runs.
    let is_connected = state.connection == Connection::Connected;
    let is_up = is_connected && status.engine.host == HostState::Running;
    if is_connected {
        let (word, style) = theme::host(status.engine.host);
        parts.push(Part::new(if is_up { 6 } else { 0 }, word, style));
    }
    if with_modules {
        parts.extend(status.modules.iter().map(|item| module(status, item)));
    }
    if is_up {
        let fps = status.frames.fps;
        let fps = if fps.is_finite() {
            format!("{fps:.0} fps")
        } else {
            "- fps".to_owned()
        };
        parts.push(Part::new(3, fps, theme::TITLE));
        let p99 = text::millis(status.frames.p99_us as f64 / 1000.0);
        parts.push(Part::new(7, format!("p99 {p99}"), Style::new()));
    }
    if warnings > 0 {
        parts.push(Part::new(
            5,
            format!("? {}", text::count(warnings, "warning")),
            theme::WARNING,
        ));
    }
    let restart = status.engine.restart.as_ref();
    if let Some(restart) = restart.filter(|restart| !restart.is_first) {
        let since = status.engine.uptime_ms.saturating_sub(restart.at_ms);
        let ago = text::age(since);
        let lost = match restart.checkpoint {
            Some(checkpoint) => format!("-{}", text::millis(checkpoint.age_ms as f64)),
            None => "anew".to_owned(),
        };
        let part = format!("restarted {ago} ago ({lost})");
        parts.push(Part::new(8, part, theme::WARNING));
    }
    let run: String = status.engine.run_id.chars().take(8).collect();
    if !run.is_empty() {
        parts.push(Part::new(8, format!("run {run}"), theme::DIM));
    }
    parts.push(Part::new(
        9,
        format!("{} entities", status.world.entities),
        theme::DIM,
    ));
    if !status.engine.profile.is_empty() {
        parts.push(Part::new(10, status.engine.profile.clone(), theme::DIM));
    }
    if state.dropped > 0 {
        parts.push(Part::new(
            7,
            format!("{} events dropped", state.dropped),
            theme::WARNING,
        ));
    }
    parts
}

/// What keeps the game from getting on; short where the line is.
fn stall(state: &State, columns: usize, is_narrow: bool, before: &Part) -> Option<Part> {
    let stall = state.shown().stall()?;
    let text = if is_narrow {
        let seconds = stall.elapsed_ms as f64 / 1000.0;
        let place = stall.place();
        let name = place.rsplit("::").next().unwrap_or_default();
        format!("stalled {seconds:.1} s: {name}")
    } else {
        stall.sentence()
    };
    let room = columns.saturating_sub(before.width() + 2);
    Some(Part::new(0, text::cut(&text, room), theme::ERROR))
}

fn connection(state: &State, is_narrow: bool) -> Part {
    match state.connection {
        Connection::Connected if state.live.status.is_none() => {
            Part::new(0, "◐ connected, waiting for the status", theme::WARNING)
        }
        Connection::Connected if is_narrow => Part::new(0, "●", theme::GOOD),
        Connection::Connected => Part {
            rank: 0,
            spans: vec![Span::styled("●", theme::GOOD), Span::raw(" connected")],
        },
        Connection::Lost { retry_at_ms, .. } => {
            let seconds = retry_at_ms.saturating_sub(state.now_ms).div_ceil(1000);
            Part::new(0, format!("○ LOST, again in {seconds}s"), theme::ERROR)
        }
        Connection::Connecting { attempts } => {
            Part::new(0, format!("○ LOST, attempt {attempts}"), theme::ERROR)
        }
    }
}

fn count(status: &Status, severity: Severity) -> usize {
    status
        .problems
        .iter()
        .filter(|problem| problem.severity == severity)
        .count()
}

/// `game_logic v3 !`
fn module(status: &Status, module: &ModuleStatus) -> Part {
    let version = module
        .active
        .map_or("-".to_owned(), |version| format!("v{version}"));
    let mut spans = vec![
        Span::styled(format!("{} ", module.name), theme::TITLE),
        Span::raw(version),
    ];
    let has_error = status
        .problems
        .iter()
        .any(|problem| problem.module == module.name && problem.severity == Severity::Error);
    let any = |state| module.versions.iter().any(|version| version.state == state);
    if has_error {
        spans.push(Span::styled(" !", theme::ERROR));
    }
    if any(VersionState::Draining) {
        let (glyph, style) = theme::version_state(VersionState::Draining);
        spans.push(Span::styled(format!(" {glyph}"), style));
    }
    let newest = module.versions.last().map(|version| version.state);
    if let Some(state @ (VersionState::Rejected | VersionState::Quarantined)) = newest {
        let (glyph, style) = theme::version_state(state);
        spans.push(Span::styled(format!(" {glyph}"), style));
    }
    Part { rank: 4, spans }
}

/// The worst problem where there is one, then the modules.
fn second_line(state: &State, columns: usize) -> Vec<Part> {
    let Some(status) = &state.shown().status else {
        return Vec::new();
    };
    let mut parts: Vec<_> = status
        .modules
        .iter()
        .map(|item| module(status, item))
        .collect();
    let worst = status
        .problems
        .first()
        .filter(|problem| problem.severity != Severity::Note);
    if let Some(problem) = worst {
        let modules = parts.iter().map(Part::width).sum::<usize>() + 2 * parts.len();
        let room = if modules <= columns / 2 {
            columns - modules
        } else {
            columns
        };
        let (glyph, style) = theme::severity(problem.severity);
        let place = super::problems::place(problem);
        let text = format!("{glyph} {place} {}", problem.message);
        parts.insert(0, Part::new(0, text::cut(&text, room), style));
    }
    parts
}
