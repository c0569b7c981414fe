//! The game's picture, or why there is none.

use inspector_protocol::status::{HostState, Severity};
use inspector_protocol::viewport::{Rgb, ViewportCell, ViewportFrame};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::{detail, draw_line};
use crate::ansi::{self, Break};
use crate::layout::centred;
use crate::state::{Connection, Model, State};
use crate::text;
use crate::theme::{self, ColorMode, Theme};

/// Draws the game.
pub fn draw(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let model = state.shown();
    if state.connection == Connection::Connected
        && let Some(frame) = model.viewport.as_ref().filter(|_| is_up(model))
    {
        draw_frame(frame, theme, area, buffer);
        return;
    }
    let lines = ansi::wrap(
        explanation(state, area.height),
        usize::from(area.width),
        Break::AtSpaces,
    );
    for (line, row) in lines.into_iter().zip(area.rows()) {
        draw_line(line, row, buffer);
    }
}

fn is_up(model: &Model) -> bool {
    model.death.is_none() && model.host() != Some(HostState::Down)
}

/// Why there is no picture, and what to do.
fn explanation(state: &State, height: u16) -> Vec<Line<'static>> {
    let model = state.shown();
    if state.connection != Connection::Connected {
        return vec![Line::styled(
            " The connection to the engine was lost.",
            theme::ERROR,
        )];
    }
    match model.host() {
        None => return vec![Line::styled(" Waiting for the engine.", theme::DIM)],
        Some(HostState::Starting) if model.death.is_none() => return beginning(model),
        Some(HostState::Running) if model.death.is_none() => {
            return vec![Line::styled(" No picture from the game yet.", theme::DIM)];
        }
        Some(_) => {}
    }
    let is_starting = model.host() == Some(HostState::Starting);
    let mut lines = vec![if is_starting {
        Line::styled(" The host died, a new one is starting.", theme::WARNING)
    } else {
        Line::styled(" The host is down.", theme::ERROR)
    }];
    let (mut backtrace, mut stderr) = (&[][..], &[][..]);
    if let Some(death) = &model.death {
        lines.push(Line::from(vec![
            Span::styled(" how     ", theme::DIM),
            Span::styled(death.how.clone(), theme::TITLE),
        ]));
        if let Some(during) = &death.during {
            lines.push(Line::from(vec![
                Span::styled(" during  ", theme::DIM),
                Span::styled(during.clone(), theme::TITLE),
            ]));
        }
        backtrace = &death.backtrace;
        stderr = &death.stderr;
    }
    if !is_starting {
        lines.push(Line::from(vec![
            Span::styled(" R", theme::KEY),
            Span::raw(" restarts it"),
        ]));
    }
    let room = usize::from(height).saturating_sub(lines.len());
    let calls = backtrace.iter().take(room);
    lines.extend(calls.map(|call| Line::raw(format!(" {}", call.trim_start()))));
    let room = usize::from(height).saturating_sub(lines.len() + 1);
    if room > 0 && !stderr.is_empty() {
        lines.push(Line::styled(
            " last lines of its standard error:",
            theme::DIM,
        ));
        let shown = &stderr[stderr.len().saturating_sub(room)..];
        lines.extend(shown.iter().map(|line| Line::raw(format!("   {line}"))));
    }
    lines
}

/// What keeps a game from its first frame.
fn beginning(model: &Model) -> Vec<Line<'static>> {
    let problems = model.status.iter().flat_map(|status| &status.problems);
    let mut errors = problems.filter(|problem| problem.severity == Severity::Error);
    let Some(problem) = errors.next() else {
        return vec![Line::styled(" The host is starting.", theme::WARNING)];
    };
    let mut lines = vec![Line::styled(" The game has not begun.", theme::WARNING)];
    lines.extend(detail::explanation(problem));
    lines
}

fn draw_frame(frame: &ViewportFrame, theme: Theme, area: Rect, buffer: &mut Buffer) {
    // A frame whose cells do not match its size is not trusted with an index.
    if frame.cells.len() < usize::from(frame.width) * usize::from(frame.height) {
        return;
    }
    let (left, skip_columns, columns) = centred(frame.width, area.width);
    let (top, skip_rows, rows) = centred(frame.height, area.height);
    for row in 0..rows {
        let start = usize::from(skip_rows + row) * usize::from(frame.width);
        let line = &frame.cells[start..start + usize::from(frame.width)];
        let line = &line[usize::from(skip_columns)..usize::from(skip_columns + columns)];
        let at = Position::new(area.x + left, area.y + top + row);
        draw_row(line, theme, at, buffer);
    }
}

fn draw_row(line: &[ViewportCell], theme: Theme, at: Position, buffer: &mut Buffer) {
    let mut after_wide = false;
    for (offset, cell) in line.iter().enumerate() {
        let column = at.x.saturating_add(offset as u16);
        let Some(target) = buffer.cell_mut(Position::new(column, at.y)) else {
            return;
        };
        target.reset();
        target.set_style(style(cell, theme));
        if after_wide {
            // Covered by the wide character before it.
            after_wide = false;
            continue;
        }
        let next_is_covered = line.get(offset + 1).is_some_and(|next| next.ch == '\0');
        match text::char_width(cell.ch) {
            1 if text::is_printable(cell.ch) => {
                target.set_char(cell.ch);
            }
            2 if text::is_printable(cell.ch) && next_is_covered => {
                target.set_char(cell.ch);
                after_wide = true;
            }
            _ => {}
        }
    }
}

fn style(cell: &ViewportCell, theme: Theme) -> Style {
    if theme.colors == ColorMode::None {
        // A cell filled by its background alone would vanish without colours.
        let is_filled = cell.bg.is_some_and(theme::is_bright);
        return if is_filled {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
    }
    let color = |rgb: Option<Rgb>| rgb.map_or(Color::Reset, |Rgb(r, g, b)| Color::Rgb(r, g, b));
    Style::new().fg(color(cell.fg)).bg(color(cell.bg))
}
