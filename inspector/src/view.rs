//! Drawing: one file per panel, nothing here changes the state.
//!
//! | file | draws |
//! |---|---|
//! | [`header`] | connection, host, numbers, modules, the worst problem |
//! | [`viewport`] | the game, or why there is none |
//! | [`modules`], [`calls`], [`reloads`], [`problems`], [`log`] | the rows of a panel |
//! | [`detail`] | one row in full |
//! | [`help`] | the keys |
//! | [`hints`] | the hint line and questions |

pub mod calls;
pub mod detail;
pub mod header;
pub mod help;
pub mod hints;
pub mod log;
pub mod modules;
pub mod problems;
pub mod reloads;
pub mod viewport;

#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Widget};

use crate::layout::{Layout, PanelArea, tab_names, window};
use crate::rows;
use crate::state::{Focus, Overlay, Panel, State};
use crate::theme::{self, Theme};

/// Draws everything.
pub fn draw(state: &State, theme: Theme, buffer: &mut Buffer) {
    let layout = state.layout();
    header::draw(state, layout.header, buffer);
    draw_body(state, theme, &layout, buffer);
    hints::draw(state, layout.hints, buffer);
    hints::draw_question(state, layout.body, buffer);
    theme.degrade(buffer);
}

fn draw_body(state: &State, theme: Theme, layout: &Layout, buffer: &mut Buffer) {
    match &state.overlay {
        Overlay::None => {}
        Overlay::Help { scroll } => {
            let lines = help::lines(usize::from(layout.body.width));
            return draw_text(&lines, *scroll, "Keys", layout.body, buffer);
        }
        Overlay::Detail { detail, scroll } => {
            let lines = detail::lines(state, detail, text_area(layout.body).width);
            return draw_text(
                &lines,
                *scroll,
                &detail::title(state, detail),
                layout.body,
                buffer,
            );
        }
    }
    if let Some(frame) = layout.game_frame {
        let title = if state.focus == Focus::Game {
            "Game (has the keys)"
        } else {
            "Game"
        };
        draw_frame(title, state.focus == Focus::Game, frame, buffer);
    }
    if let Some(area) = layout.game {
        viewport::draw(state, theme, area, buffer);
    }
    if let Some(area) = layout.tabs {
        draw_tabs(state, area, buffer);
    }
    for area in &layout.panels {
        draw_panel(state, *area, buffer);
    }
}

/// Where the text of an overlay goes: below its title.
fn text_area(body: Rect) -> Rect {
    let title = u16::from(body.height > 1);
    Rect {
        y: body.y + title,
        height: body.height - title,
        ..body
    }
}

/// Lines of what covers the body, and lines of one page of it.
pub fn overlay_extent(state: &State) -> Option<(usize, usize)> {
    let area = text_area(state.layout().body);
    let lines = match &state.overlay {
        Overlay::None => return None,
        Overlay::Help { .. } => help::lines(usize::from(area.width)).len(),
        Overlay::Detail { detail, .. } => detail::lines(state, detail, area.width).len(),
    };
    Some((lines, usize::from(area.height)))
}

fn draw_text(lines: &[Line], scroll: usize, title: &str, body: Rect, buffer: &mut Buffer) {
    Clear.render(body.intersection(buffer.area), buffer);
    let area = text_area(body);
    let scroll = scroll.min(lines.len().saturating_sub(usize::from(area.height)));
    if area != body {
        let more = lines
            .len()
            .saturating_sub(scroll + usize::from(area.height));
        let mut heading = vec![Span::styled(format!(" {title} "), theme::SELECTED)];
        if more > 0 {
            heading.push(Span::styled(format!(" {more} more below"), theme::DIM));
        }
        draw_line(Line::from(heading), Rect { height: 1, ..body }, buffer);
    }
    for (line, row) in lines.iter().skip(scroll).zip(area.rows()) {
        line.render(row, buffer);
    }
}

/// Numbers on the tabs, by [`Panel::index`].
pub fn badges(state: &State) -> [usize; 5] {
    let Some(status) = &state.shown().status else {
        return [0; 5];
    };
    [0, status.calls.len(), 0, status.problems.len(), 0]
}

fn draw_tabs(state: &State, area: Rect, buffer: &mut Buffer) {
    for (panel, text, columns) in tab_names(area.width, badges(state)) {
        let start = area.x.saturating_add(columns.start);
        let end = area.x.saturating_add(columns.end - 1);
        let tab = Rect::new(start, area.y, end - start, 1).intersection(area);
        let mut style = Style::new();
        if panel == Panel::Problems && badges(state)[panel.index()] > 0 {
            style = theme::ERROR;
        }
        if panel == state.panel {
            style = style.patch(theme::SELECTED).patch(theme::TITLE);
        }
        draw_line(Line::styled(text, style), tab, buffer);
    }
}

fn draw_frame(title: &str, has_focus: bool, frame: Rect, buffer: &mut Buffer) {
    let border = if has_focus {
        BorderType::Thick
    } else {
        BorderType::Plain
    };
    let style = if has_focus { theme::TITLE } else { theme::DIM };
    let title = Span::styled(
        format!(" {title} "),
        if has_focus { theme::KEY } else { theme::TITLE },
    );
    Block::bordered()
        .border_type(border)
        .border_style(style)
        .title(title)
        .render(frame, buffer);
}

fn draw_panel(state: &State, area: PanelArea, buffer: &mut Buffer) {
    let panel = area.panel;
    let model = state.shown();
    let count = rows::count(model, panel);
    let has_focus = state.focus == Focus::Panels && state.panel == panel;
    if let Some(frame) = area.frame {
        let mut title = format!("{} {}", panel.digit(), panel.name());
        if count > 0 && panel != Panel::Modules {
            title = format!("{title} ({count})");
        }
        if panel == Panel::Log && !state.follow {
            title.push_str(" not following");
        }
        draw_frame(&title, has_focus, frame, buffer);
    }
    // One column at the left marks the selected row.
    let columns = usize::from(area.rows.width.saturating_sub(1));
    if let Some(heading) = area.heading {
        let text = match panel {
            Panel::Modules => modules::heading(columns),
            Panel::Calls => calls::heading(columns),
            Panel::Reloads => reloads::heading(columns),
            Panel::Problems => problems::heading(columns),
            Panel::Log => String::new(),
        };
        draw_line(
            Line::styled(format!(" {text}"), theme::DIM),
            heading,
            buffer,
        );
    }
    if count == 0 {
        let text = match (&model.status, panel) {
            (None, _) => "waiting for the engine",
            (_, Panel::Modules) => "no modules",
            (_, Panel::Calls) => "no calls running",
            (_, Panel::Reloads) => "no reloads yet",
            (_, Panel::Problems) => "no problems",
            (_, Panel::Log) => "nothing logged yet",
        };
        draw_line(
            Line::styled(format!(" {text}"), theme::DIM),
            area.rows,
            buffer,
        );
        return;
    }
    let selected = state.selected[panel.index()];
    let first = window(selected, count, area.rows.height);
    for (row, place) in (first..count).zip(area.rows.rows()) {
        let line = match panel {
            Panel::Modules => modules::row(model, row, columns),
            Panel::Calls => calls::row(model, row, columns),
            Panel::Reloads => reloads::row(model, row, columns),
            Panel::Problems => problems::row(model, row, columns),
            Panel::Log => log::row(model, row, columns),
        };
        let is_selected = row == selected && (panel != Panel::Log || !state.follow);
        let mark = if is_selected { "▸" } else { " " };
        let mut line = line.unwrap_or_default();
        line.spans.insert(0, Span::styled(mark, theme::TITLE));
        draw_line(line, place, buffer);
        if is_selected && has_focus {
            buffer.set_style(place.intersection(buffer.area), theme::SELECTED);
        }
    }
}

/// Draws a line, cut to its area and the screen.
fn draw_line(line: Line, area: Rect, buffer: &mut Buffer) {
    let area = Rect {
        height: area.height.min(1),
        ..area
    };
    line.render(area.intersection(buffer.area), buffer);
}
