//! What a replayed `rustc` printed.

use inspector_protocol::status::{Problem, Severity};

use crate::diagnostics::{self, Diagnostic};
use crate::process::Line;
use crate::project::Project;

/// What a replayed `rustc` printed.
#[derive(Debug, Default)]
pub(super) struct RustcOutput {
    diagnostics: Vec<Diagnostic>,
    text: String,
}

impl RustcOutput {
    pub(super) fn read(&mut self, line: Line) {
        let (Line::Out(line) | Line::Err(line)) = line;
        match Diagnostic::from_rustc_line(&line) {
            Some(diagnostic) => self.diagnostics.push(diagnostic),
            None if line.starts_with('{') => {}
            None => {
                self.text.push_str(&line);
                self.text.push('\n');
            }
        }
    }

    /// Whether the failure may come from outside of the sources: a library
    /// that is missing or of another compilation, a compiler that crashed, or
    /// no message at all.
    pub(super) fn is_suspicious(&self) -> bool {
        const LIBRARY_ERRORS: [&str; 7] = [
            "E0460", "E0461", "E0462", "E0463", "E0464", "E0514", "E0786",
        ];
        let is_library_error =
            |diagnostic: &Diagnostic| LIBRARY_ERRORS.contains(&diagnostic.code());
        let mut has_error = false;
        for diagnostic in &self.diagnostics {
            if is_library_error(diagnostic) || diagnostic.is_crash() {
                return true;
            }
            has_error |= diagnostic.is_error();
        }
        !has_error
    }

    pub(super) fn problems(self, project: &Project, index: usize) -> Vec<Problem> {
        let module = &project.modules[index].name;
        let problems = self
            .diagnostics
            .into_iter()
            .filter_map(|diagnostic| diagnostic.into_problem(module, &project.root))
            .collect();
        let mut problems = diagnostics::arranged(problems);
        if !problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
        {
            problems.extend(diagnostics::plain_problem(
                &self.text,
                module,
                &project.root,
            ));
        }
        problems
    }
}
