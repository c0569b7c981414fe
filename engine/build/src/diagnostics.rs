//! Compiler messages as JSON, turned into [`Problem`]s.
//!
//! `rustc --error-format=json` writes one object a line, described in the rustc
//! book under "JSON Output"; cargo wraps the same object into
//! `{"reason":"compiler-message","message":{..}}`.

use std::path::Path;

use inspector_protocol::status::{Problem, Severity};
use serde::Deserialize;

/// A diagnostic as rustc writes it; fields we do not use are left out.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Diagnostic {
    message: String,
    #[serde(default)]
    code: Option<Code>,
    level: String,
    #[serde(default)]
    spans: Vec<Span>,
    #[serde(default)]
    rendered: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Code {
    code: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Span {
    file_name: String,
    line_start: u32,
    column_start: u32,
    #[serde(default)]
    is_primary: bool,
    #[serde(default)]
    expansion: Option<Box<Expansion>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Expansion {
    span: Span,
}

/// What kind of message a line of rustc holds.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "$message_type", borrow, default)]
    message_type: Option<&'a str>,
}

impl Diagnostic {
    /// The diagnostic of one line of rustc's output, if it is one.
    pub(crate) fn from_rustc_line(line: &str) -> Option<Self> {
        if !line.starts_with('{') {
            return None;
        }
        // Artifact notices share the stream; old compilers do not name the type.
        let kind: Kind = serde_json::from_str(line).ok()?;
        match kind.message_type {
            None | Some("diagnostic") => serde_json::from_str(line).ok(),
            Some(_) => None,
        }
    }

    /// `E0425` and the like; empty if the diagnostic has none.
    pub(crate) fn code(&self) -> &str {
        self.code.as_ref().map_or("", |code| code.code.as_str())
    }

    /// Whether it stops the build.
    pub(crate) fn is_error(&self) -> bool {
        severity(&self.level) == Some(Severity::Error)
    }

    /// Whether the compiler itself failed.
    pub(crate) fn is_crash(&self) -> bool {
        self.level.contains("internal compiler error")
    }

    /// As a problem of `module`; `None` for the summaries at the end
    /// ("aborting due to ..."), which name no mistake of their own.
    pub(crate) fn into_problem(self, module: &str, root: &Path) -> Option<Problem> {
        let severity = severity(&self.level)?;
        if self.spans.is_empty() && is_summary(&self.message) {
            return None;
        }
        let primary = self
            .spans
            .iter()
            .find(|span| span.is_primary)
            .or_else(|| self.spans.first());
        let (file, line, column) = primary.map_or((String::new(), 0, 0), |span| {
            let span = in_sources(span, root);
            (
                relative(&span.file_name, root),
                span.line_start,
                span.column_start,
            )
        });
        let rendered = self.rendered.unwrap_or_else(|| self.message.clone());
        Some(Problem {
            module: module.to_owned(),
            severity,
            file,
            line,
            column,
            message: self.message.lines().next().unwrap_or_default().to_owned(),
            rendered,
        })
    }
}

/// The place a person can edit: out of macros of foreign crates, towards the
/// line that uses them.
fn in_sources<'a>(span: &'a Span, root: &Path) -> &'a Span {
    let mut current = span;
    while is_foreign(&current.file_name, root) {
        match &current.expansion {
            Some(expansion) => current = &expansion.span,
            None => return span,
        }
    }
    current
}

fn is_foreign(file: &str, root: &Path) -> bool {
    file.starts_with('<') || (Path::new(file).is_absolute() && !Path::new(file).starts_with(root))
}

fn severity(level: &str) -> Option<Severity> {
    match level {
        "warning" => Some(Severity::Warning),
        "note" | "help" => Some(Severity::Note),
        "failure-note" => None,
        // "error" and "error: internal compiler error".
        _ => Some(Severity::Error),
    }
}

fn is_summary(message: &str) -> bool {
    message.starts_with("aborting due to")
        || message.starts_with("For more information about")
        || message.starts_with("Some errors have detailed explanations")
        || (message.ends_with("emitted") && message.contains("warning"))
}

/// `file` relative to `root` where it is below it.
pub(crate) fn relative(file: &str, root: &Path) -> String {
    Path::new(file).strip_prefix(root).map_or_else(
        |_| file.to_owned(),
        |inner| inner.to_string_lossy().into_owned(),
    )
}

/// Problems in order of severity (errors first, else as they came), each once.
pub(crate) fn arranged(problems: Vec<Problem>) -> Vec<Problem> {
    let mut all: Vec<Problem> = Vec::with_capacity(problems.len());
    for problem in problems {
        if !all.contains(&problem) {
            all.push(problem);
        }
    }
    all.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    all
}

/// One line: the first error and how many more there are.
pub(crate) fn summary(problems: &[Problem]) -> String {
    let errors: Vec<_> = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .collect();
    let Some(first) = errors.first().copied().or(problems.first()) else {
        return "the build failed".to_owned();
    };
    let place = match (first.file.is_empty(), first.line) {
        (true, _) => String::new(),
        (false, 0) => format!("{}: ", first.file),
        (false, line) => format!("{}:{line}: ", first.file),
    };
    let more = match errors.len().saturating_sub(1) {
        0 => String::new(),
        1 => " (and 1 more error)".to_owned(),
        count => format!(" (and {count} more errors)"),
    };
    format!("{place}{}{more}", first.message)
}

/// What cargo or rustc said in plain text on stderr (bad manifest, lock
/// conflict, compiler crash), as one problem.
pub(crate) fn plain_problem(text: &str, module: &str, root: &Path) -> Option<Problem> {
    let is_progress = |line: &&str| {
        let start = line.trim_start();
        [
            "Compiling ",
            "Finished ",
            "Blocking ",
            "Fresh ",
            "Updating ",
            "Locking ",
            "Building ",
            "Adding ",
            "Dirty ",
            "Checking ",
            "Downloaded ",
            "Downloading ",
        ]
        .iter()
        .any(|verb| start.starts_with(verb) && line.starts_with(' '))
    };
    let lines: Vec<&str> = text.lines().filter(|line| !is_progress(line)).collect();
    let start = lines
        .iter()
        .position(|line| line.starts_with("error"))
        .unwrap_or(0);
    let lines = &lines[start..];
    let first = lines.iter().find(|line| !line.trim().is_empty())?;
    let message = first
        .split_once(": ")
        .filter(|(level, _)| level.starts_with("error"));
    let message = message.map_or(*first, |(_, message)| message);
    let (file, line, column) = lines
        .iter()
        .find_map(|line| place(line, root))
        .unwrap_or_default();
    Some(Problem {
        module: module.to_owned(),
        severity: Severity::Error,
        file,
        line,
        column,
        message: message.trim().to_owned(),
        rendered: lines.join("\n"),
    })
}

/// The place in `  --> file:line:column`, or the manifest in ``parse manifest at `..` ``.
fn place(line: &str, root: &Path) -> Option<(String, u32, u32)> {
    if let Some((_, place)) = line.split_once("--> ") {
        let mut parts = place.trim().rsplitn(3, ':');
        let column = parts.next()?.parse().ok()?;
        let number = parts.next()?.parse().ok()?;
        return Some((relative(parts.next()?, root), number, column));
    }
    let (_, rest) = line.split_once("manifest at `")?;
    let (file, _) = rest.split_once('`')?;
    Some((relative(file, root), 0, 0))
}

#[cfg(test)]
#[path = "diagnostics_tests.rs"]
mod tests;
