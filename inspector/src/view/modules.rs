//! Modules and their versions: state, active calls, hash, age, what pins them.

use inspector_protocol::status::{ModuleStatus, VersionStatus};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::rows::{ModuleRow, module_rows};
use crate::state::Model;
use crate::text::{age, cut, fit, fit_right};
use crate::theme;

/// Columns of the version number, the state, the calls and the age.
const VERSION: usize = 5;
const STATE: usize = 12;
const CALLS: usize = 6;
const AGE: usize = 7;
/// Columns from which four and eight digits of the hash and the label are shown.
const SHORT_HASH: usize = 39;
const LONG_HASH: usize = 44;
const LABEL: usize = 52;

/// Names of the columns.
pub fn heading(columns: usize) -> String {
    let mut text = format!("    {}{}", fit("", VERSION), fit("state", STATE));
    text.push_str(&fit_right("calls", CALLS));
    text.push_str(&fit_right("age", AGE));
    if columns >= SHORT_HASH {
        text.push_str(if columns >= LONG_HASH {
            "  hash    "
        } else {
            " hash"
        });
    }
    if columns >= LABEL {
        text.push_str("  label");
    }
    cut(&text, columns)
}

/// One row.
pub fn row(model: &Model, row: usize, columns: usize) -> Option<Line<'static>> {
    let status = model.status.as_ref()?;
    match module_rows(status).nth(row)? {
        ModuleRow::Module(module) => Some(module_row(module)),
        ModuleRow::Version(_, version) => Some(version_row(model, version, columns)),
    }
}

fn module_row(module: &ModuleStatus) -> Line<'static> {
    let active = module
        .active
        .map_or("no version active".to_owned(), |active| {
            format!("v{active}")
        });
    Line::from(vec![
        Span::styled(module.name.clone(), theme::TITLE),
        Span::styled(format!(" {} ", module.kind), theme::DIM),
        Span::styled(
            active,
            if module.active.is_some() {
                theme::TITLE
            } else {
                theme::ERROR
            },
        ),
    ])
}

/// One version.
pub fn version_row(model: &Model, version: &VersionStatus, columns: usize) -> Line<'static> {
    let (glyph, style) = theme::version_state(version.state);
    let calls_style = if version.active_calls > 0 {
        theme::TITLE
    } else {
        theme::DIM
    };
    let mut spans = vec![
        Span::raw("  "),
        Span::styled(format!("{glyph} "), style),
        Span::raw(fit(&format!("v{}", version.version), VERSION)),
        Span::styled(fit(version.state.name(), STATE), style),
        Span::styled(
            fit_right(&version.active_calls.to_string(), CALLS),
            calls_style,
        ),
        Span::raw(fit_right(
            &age(model.host_age_ms(version.loaded_at_ms)),
            AGE,
        )),
    ];
    if columns >= SHORT_HASH {
        let (gap, digits) = if columns >= LONG_HASH {
            ("  ", 8)
        } else {
            (" ", 4)
        };
        let hash: String = version.hash.chars().take(digits).collect();
        spans.push(Span::styled(
            format!("{gap}{}", fit(&hash, digits)),
            theme::DIM,
        ));
    }
    if columns >= LABEL {
        spans.push(Span::styled(format!("  {}", version.label), theme::DIM));
    }
    if !version.pinned_by.is_empty() {
        let used: usize = spans.iter().map(Span::width).sum();
        let text = format!("  pinned by {}", version.pinned_by.join(", "));
        if columns >= used + 16 {
            spans.push(Span::styled(cut(&text, columns - used), Style::new()));
        }
    }
    Line::from(spans)
}
