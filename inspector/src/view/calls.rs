//! Calls that run now.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::state::Model;
use crate::text::{age, cut, fit, fit_right};
use crate::theme;

const ELAPSED: usize = 8;
/// Columns from which the thread is shown.
const WITH_THREAD: usize = 44;
/// A call that runs this long is worth a look, in milliseconds.
const LONG_MS: u64 = 5000;

/// Columns of module, version, function and thread.
fn widths(columns: usize) -> [usize; 4] {
    let rest = columns.saturating_sub(ELAPSED + 5);
    if columns < WITH_THREAD {
        let module = rest * 2 / 5;
        [module, 5, rest - module, 0]
    } else {
        let (module, thread) = (rest * 3 / 10, rest * 3 / 10);
        [module, 5, rest - module - thread, thread]
    }
}

/// Names of the columns.
pub fn heading(columns: usize) -> String {
    let [module, version, function, thread] = widths(columns);
    let text = format!(
        "{}{}{}{}{}",
        fit("module", module),
        fit("ver", version),
        fit("function", function),
        fit("thread", thread),
        fit_right("elapsed", ELAPSED)
    );
    cut(&text, columns)
}

/// `40%`
pub fn percent(progress: f32) -> String {
    format!("{:.0}%", progress * 100.0)
}

/// One row.
pub fn row(model: &Model, row: usize, columns: usize) -> Option<Line<'static>> {
    let status = model.status.as_ref()?;
    let call = status.calls.get(row)?;
    let [module, version, function, thread] = widths(columns);
    let column = |text: &str, columns: usize| match columns.checked_sub(1) {
        Some(columns) => fit(text, columns) + " ",
        None => String::new(),
    };
    let progress = status.progress_of(call).map(percent);
    let name = match progress {
        Some(progress) => {
            let rest = function.saturating_sub(progress.len() + 2);
            format!("{} {progress}", cut(&call.function, rest))
        }
        None => call.function.clone(),
    };
    let is_long = call.elapsed_ms >= LONG_MS;
    Some(Line::from(vec![
        Span::raw(column(&call.module, module)),
        Span::styled(column(&format!("v{}", call.version), version), theme::TITLE),
        Span::raw(column(&name, function)),
        Span::styled(column(&call.thread, thread), theme::DIM),
        Span::styled(
            fit_right(&age(call.elapsed_ms), ELAPSED),
            if is_long {
                theme::WARNING
            } else {
                Style::new()
            },
        ),
    ]))
}
