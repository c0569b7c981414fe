//! The keys, from the one table.

use ratatui::text::{Line, Span};

use crate::ansi::{self, Break};
use crate::keys::{Context, in_context};
use crate::text::fit;
use crate::theme;

/// Columns of the key.
const LABEL: usize = 10;

/// The lines of the help.
pub fn lines(columns: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (context, title) in Context::EXPLAINED {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(title, theme::TITLE));
        for binding in in_context(context).filter(|binding| !binding.help.is_empty()) {
            lines.push(Line::from(vec![
                Span::styled(format!(" {}", fit(binding.label, LABEL)), theme::KEY),
                Span::raw(binding.help),
            ]));
        }
    }
    lines.push(Line::default());
    lines.push(Line::styled("With a mouse", theme::TITLE));
    for text in [
        " click a tab, a panel or a row to select it; again to open it",
        " click the game to give it the keys; the wheel scrolls panels",
    ] {
        lines.push(Line::raw(text));
    }
    lines.push(Line::default());
    lines.push(Line::styled("Versions", theme::TITLE));
    for (state, text) in STATES {
        let (glyph, style) = theme::version_state(state);
        lines.push(Line::from(vec![
            Span::styled(format!(" {glyph} {}", fit(state.name(), 12)), style),
            Span::raw(text),
        ]));
    }
    ansi::wrap(lines, columns, Break::AtSpaces)
}

use inspector_protocol::status::VersionState::{
    self, Active, Draining, Loading, Pinned, Quarantined, Rejected, Unloaded,
};

const STATES: [(VersionState, &str); 7] = [
    (Loading, "being verified"),
    (Active, "new calls use it"),
    (Draining, "old calls still run in it"),
    (Pinned, "no calls, but something still refers to its code"),
    (Unloaded, "its code is gone"),
    (Rejected, "never became active"),
    (Quarantined, "failed and was rolled back"),
];
