//! The hint line: a result while it is fresh, what is being waited for, and the
//! keys that fit; and the question that waits for an answer.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};

use super::draw_line;
use crate::ansi::{self, Break};
use crate::keys::{Action, Binding, in_context};
use crate::state::{Confirm, State};
use crate::text::{cut, width};
use crate::theme;

/// Draws the hint line. Keys that do not fit are left out, the last of the table first;
/// that some are is said by `?`, which has its place before all others.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let columns = usize::from(area.width);
    let hints: Vec<_> = in_context(state.context())
        .filter(|binding| !binding.hint.is_empty())
        .map(|binding| Hint::of(binding, state))
        .collect();
    let help = hints.iter().position(|hint| hint.is_help);
    // Room for `? more` behind whatever is said.
    let kept = help.map_or(0, |_| width(MORE) + 4);
    let mut spans = Vec::new();
    if state.confirm.is_none() {
        spans = message(state, columns.saturating_sub(kept));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    let shown = fitting(&hints, columns.saturating_sub(used), used > 0);
    let are_all = shown.len() == hints.len();
    for (place, index) in shown.into_iter().enumerate() {
        let hint = &hints[index];
        if used > 0 || place > 0 {
            spans.push(Span::raw("  "));
        }
        let text = if hint.is_help && !are_all {
            MORE
        } else {
            hint.text
        };
        spans.push(Span::styled(hint.label, theme::KEY));
        spans.push(Span::raw(format!(" {text}")));
    }
    if help.is_none() && !are_all {
        spans.push(Span::styled("  …", theme::DIM));
    }
    draw_line(Line::from(spans), area, buffer);
}

/// What `?` is for where keys are left out.
const MORE: &str = "more keys";

/// A key on the hint line.
struct Hint {
    label: &'static str,
    text: &'static str,
    is_help: bool,
}

impl Hint {
    fn of(binding: &Binding, state: &State) -> Self {
        let text = match binding.action {
            Action::Freeze if state.frozen.is_some() => "unfreeze",
            _ => binding.hint,
        };
        Self {
            label: binding.label,
            text,
            is_help: binding.action == Action::Help,
        }
    }

    fn width(&self) -> usize {
        width(self.label) + 1 + width(self.text)
    }
}

/// The hints that fit, in their order: all, or the first ones and the help.
fn fitting(hints: &[Hint], columns: usize, is_after_text: bool) -> Vec<usize> {
    let gap = |index: usize| if index > 0 || is_after_text { 2 } else { 0 };
    let total: usize = hints
        .iter()
        .enumerate()
        .map(|(index, hint)| gap(index) + hint.width())
        .sum();
    if total <= columns {
        return (0..hints.len()).collect();
    }
    let help = hints.iter().position(|hint| hint.is_help);
    let mut room = columns;
    if let Some(help) = help {
        // With a gap: there may be one before it.
        room = room.saturating_sub(width(hints[help].label) + 1 + width(MORE) + 2);
    }
    let mut shown = Vec::new();
    for (index, hint) in hints.iter().enumerate() {
        if hint.is_help {
            continue;
        }
        let length = gap(shown.len()) + hint.width();
        if length > room {
            break;
        }
        room -= length;
        shown.push(index);
    }
    // Last, so that it is always at the same end.
    shown.extend(help);
    shown
}

/// What is being waited for, else the last result.
fn message(state: &State, columns: usize) -> Vec<Span<'static>> {
    if let Some(notice) = state.fresh_notice() {
        let style = if notice.is_error {
            theme::ERROR
        } else {
            theme::TITLE
        };
        let mark = if notice.is_error { "! " } else { "" };
        return vec![Span::styled(
            cut(&format!("{mark}{}", notice.text), columns),
            style,
        )];
    }
    let Some(first) = state.pending.first() else {
        return Vec::new();
    };
    let more = match state.pending.len() {
        1 => String::new(),
        all => format!(" (+{})", all - 1),
    };
    vec![Span::styled(
        cut(&format!("◐ {}…{more}", first.what), columns),
        theme::WARNING,
    )]
}

/// The question in words.
fn question(confirm: &Confirm, is_stalled: bool) -> String {
    match confirm {
        Confirm::Quit => "End the game?".to_owned(),
        Confirm::Rollback {
            module,
            before: Some(before),
        } => format!("Roll {module} back to the code of v{before}?"),
        Confirm::Rollback { module, .. } => format!("Roll {module} back to the version before?"),
        Confirm::Restart if is_stalled => {
            "The game is stalled. Restart it from its last checkpoint?".to_owned()
        }
        Confirm::Restart => "The host is up. End it and start a new one?".to_owned(),
    }
}

/// Draws the question in the middle of the body.
pub fn draw_question(state: &State, body: Rect, buffer: &mut Buffer) {
    let Some(confirm) = &state.confirm else {
        return;
    };
    let mut lines = vec![
        Line::styled(
            question(confirm, state.live.stall().is_some()),
            theme::TITLE,
        ),
        Line::default(),
    ];
    for binding in in_context(state.context()).filter(|binding| !binding.hint.is_empty()) {
        // Ctrl-C is on every screen; the question is about its own keys.
        if binding.hint != "quit" {
            lines.push(Line::from(vec![
                Span::styled(binding.label, theme::KEY),
                Span::raw(format!(" {}", binding.hint)),
            ]));
        }
    }
    let wanted = lines.iter().map(Line::width).max().unwrap_or(0) + 4;
    let width = body.width.min(wanted as u16);
    let lines = ansi::wrap(lines, usize::from(width.saturating_sub(4)), Break::AtSpaces);
    let height = body.height.min(lines.len() as u16 + 2);
    let area = Rect::new(
        body.x + (body.width - width) / 2,
        body.y + (body.height - height) / 2,
        width,
        height,
    );
    Clear.render(area.intersection(buffer.area), buffer);
    if area.height < 3 || area.width < 5 {
        draw_line(lines.into_iter().next().unwrap_or_default(), area, buffer);
        return;
    }
    Block::bordered()
        .border_style(theme::WARNING)
        .render(area, buffer);
    let inner = Rect::new(area.x + 2, area.y + 1, area.width - 4, area.height - 2);
    for (line, row) in lines.into_iter().zip(inner.rows()) {
        draw_line(line, row, buffer);
    }
}
