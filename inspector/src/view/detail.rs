//! One row in full.

use inspector_protocol::status::{CallStatus, ModuleStatus, Problem, ReloadStatus, WorldStatus};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{calls, modules, problems, reloads};
use crate::ansi::{self, Break};
use crate::state::{Detail, Model, State};
use crate::text::{age, fit, fit_right, millis};
use crate::theme;

/// Columns of the names at the left.
const NAME: usize = 10;

/// The title; says so when what is shown is no longer so.
pub fn title(state: &State, detail: &Detail) -> String {
    match detail {
        Detail::Module(name) => format!("Module {name}"),
        Detail::Call(_) => "Call, as it was when opened".to_owned(),
        Detail::Reload(reload) => format!("Reload {}", reload.seq),
        Detail::Problem(problem) => {
            let status = state.shown().status.as_ref();
            let is_current = status.is_some_and(|status| status.problems.contains(problem));
            let note = if is_current {
                ""
            } else {
                " (no longer reported)"
            };
            format!("Problem{note}")
        }
        Detail::Log(line) => format!("Log line {}", line.seq),
    }
}

/// The text, broken at the columns.
pub fn lines(state: &State, detail: &Detail, columns: u16) -> Vec<Line<'static>> {
    let model = state.shown();
    let columns = usize::from(columns);
    let lines = match detail {
        Detail::Module(name) => {
            let modules = model
                .status
                .as_ref()
                .map_or(&[][..], |status| &status.modules);
            match modules.iter().find(|module| module.name == *name) {
                Some(found) => module(model, found, columns),
                None => vec![Line::raw("This module is gone.")],
            }
        }
        Detail::Call(call) => vec![
            field("module", format!("{} v{}", call.module, call.version)),
            field("function", call.function.clone()),
            field("thread", call.thread.clone()),
            field("began", began(call)),
            field("elapsed", age(call.elapsed_ms)),
        ],
        Detail::Reload(reload) => self::reload(reload),
        Detail::Problem(problem) => self::problem(problem),
        Detail::Log(line) => {
            let mut lines = vec![
                field("time", super::log::time(line.at_ms)),
                Line::from(vec![
                    Span::styled(fit("level", NAME), theme::DIM),
                    Span::styled(line.level.name(), theme::level(line.level)),
                ]),
                field("module", line.module.clone()),
                Line::default(),
            ];
            lines.extend(line.message.lines().map(|text| Line::raw(text.to_owned())));
            lines
        }
    };
    let at = match detail {
        // A compiler draws with characters; a moved word would be no help.
        Detail::Problem(_) | Detail::Log(_) => Break::Anywhere,
        _ => Break::AtSpaces,
    };
    ansi::wrap(lines, columns, at)
}

fn field(name: &str, value: impl Into<String>) -> Line<'static> {
    Line::from(vec![
        Span::styled(fit(name, NAME), theme::DIM),
        Span::raw(value.into()),
    ])
}

/// On the clock of the host that runs it.
fn began(call: &CallStatus) -> String {
    format!("{} after the host's start", age(call.started_at_ms))
}

fn module(model: &Model, module: &ModuleStatus, columns: usize) -> Vec<Line<'static>> {
    let active = module
        .active
        .map_or("none".to_owned(), |active| format!("v{active}"));
    let mut lines = vec![field("kind", module.kind.clone()), field("active", active)];
    for version in module.versions.iter().rev() {
        lines.push(Line::default());
        // What pins it has its own lines here.
        let pins = version.pinned_by.clone();
        let unpinned = inspector_protocol::status::VersionStatus {
            pinned_by: Vec::new(),
            ..version.clone()
        };
        lines.push(modules::version_row(model, &unpinned, columns.min(38)));
        lines.push(field("    hash", version.hash.clone()));
        lines.push(field("    label", version.label.clone()));
        let status = model.status.as_ref();
        let running = status.into_iter().flat_map(|status| &status.calls);
        for call in running.filter(|call| call.is_of(&module.name, version.version)) {
            let progress = status.and_then(|status| status.progress_of(call));
            let progress = progress.map_or(String::new(), |progress| {
                format!(", {} done", calls::percent(progress))
            });
            let text = format!(
                "{} on {} for {}, began {}{progress}",
                call.function,
                call.thread,
                age(call.elapsed_ms),
                began(call)
            );
            lines.push(field("    call", text));
        }
        for pin in pins {
            lines.push(field("    pin", pin));
        }
    }
    if let Some(status) = &model.status {
        lines.extend(state_kept(&status.world));
    }
    lines
}

/// What is kept of the game's state beside the running world.
fn state_kept(world: &WorldStatus) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(checkpoint) = &world.checkpoint {
        lines.push(Line::default());
        let text = format!(
            "#{} ({}), {}, captured in {:.1} ms, written in {:.1} ms; {} on disk",
            checkpoint.sequence,
            checkpoint.reason,
            size(checkpoint.bytes),
            checkpoint.capture_ms,
            checkpoint.write_ms,
            checkpoint.kept
        );
        lines.push(field("saved", text));
    }
    for limbo in &world.limbo {
        let name = match limbo.field.as_str() {
            "" => limbo.type_path.clone(),
            field => format!("{}.{field}", limbo.type_path),
        };
        let text = format!("{name}: {} values, {}", limbo.entities, size(limbo.bytes));
        lines.push(field("limbo", text));
    }
    lines
}

/// `812 B`, `4.2 kB`, `1.3 MB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

fn reload(reload: &ReloadStatus) -> Vec<Line<'static>> {
    let (glyph, style) = theme::outcome(reload.outcome);
    let mut lines = vec![
        Line::from(vec![
            Span::styled(fit("outcome", NAME), theme::DIM),
            Span::styled(format!("{glyph} {}", reload.outcome.name()), style),
        ]),
        field(
            "module",
            format!("{} {}", reload.module, reloads::versions(reload)),
        ),
        field("trigger", reload.trigger.clone()),
        field("message", reload.message.clone()),
        Line::default(),
    ];
    let total = reload.timings_ms.total;
    for (step, time) in reloads::steps(&reload.timings_ms) {
        lines.push(step_line(step, time, total, Style::new()));
    }
    lines.push(step_line("total", total, total, theme::TITLE));
    lines
}

/// A step, its time, and a bar of up to twenty cells for its share.
fn step_line(step: &str, time: f64, total: f64, style: Style) -> Line<'static> {
    let share = if total > 0.0 {
        (time / total).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let cells = (share * 20.0).round() as usize;
    Line::from(vec![
        Span::styled(fit(step, NAME), theme::DIM),
        Span::styled(fit_right(&millis(time), 8), style),
        Span::styled(format!("  {}", "█".repeat(cells)), theme::DIM),
    ])
}

fn problem(problem: &Problem) -> Vec<Line<'static>> {
    let mut lines = vec![field("where", problems::place(problem))];
    if !problem.module.is_empty() {
        lines.push(field("module", problem.module.clone()));
    }
    lines.push(Line::default());
    lines.extend(explanation(problem));
    lines
}

/// All that is said of a problem, as the compiler has it.
pub(super) fn explanation(problem: &Problem) -> Vec<Line<'static>> {
    if problem.rendered.trim().is_empty() {
        let (glyph, style) = theme::severity(problem.severity);
        return vec![Line::styled(format!("{glyph} {}", problem.message), style)];
    }
    ansi::styled_lines(&problem.rendered)
}
