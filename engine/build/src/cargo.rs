//! Runs `cargo build` and reads what it reports.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use inspector_protocol::status::{Problem, Severity};
use serde::Deserialize;

use crate::diagnostics::{self, Diagnostic};
use crate::environment::Variable;
use crate::process::Line;
use crate::project::Module;

/// How to call cargo.
#[derive(Debug, Clone)]
pub(crate) struct CargoCall<'a> {
    pub(crate) program: &'a std::ffi::OsStr,
    pub(crate) root: &'a Path,
    pub(crate) target_dir: &'a Path,
    pub(crate) profile: &'a str,
    pub(crate) selection: &'a [String],
    /// The executable to be built as well.
    pub(crate) binary: Option<&'a str>,
    pub(crate) environment: &'a [Variable],
}

impl CargoCall<'_> {
    /// The command.
    ///
    /// `--lib` leaves the engine's executable alone, `--keep-going` builds a
    /// module although some other package of the selection is broken; both
    /// leave cargo's fingerprints as they are.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(["build", "--lib", "--keep-going"])
            .args(self.binary.into_iter().flat_map(|name| ["--bin", name]))
            .arg("--message-format=json-diagnostic-rendered-ansi")
            .arg("--target-dir")
            .arg(self.target_dir)
            .args(profile_arguments(self.profile))
            .args(self.selection)
            .current_dir(self.root)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // Text on stderr is only for people, but it is also looked through
            // for places, which colours would hide.
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO_TERM_PROGRESS_WHEN", "never");
        command
    }
}

fn profile_arguments(profile: &str) -> Vec<String> {
    match profile {
        "dev" => Vec::new(),
        other => vec![format!("--profile={other}")],
    }
}

/// What cargo said about one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModuleReport {
    /// Its library is there.
    Artifact {
        /// Where cargo put it.
        path: PathBuf,
        /// Its warnings.
        problems: Vec<Problem>,
    },
    /// It, or something it needs, does not compile.
    Failed {
        /// Why; never empty.
        problems: Vec<Problem>,
    },
}

/// Everything cargo printed, taken apart.
#[derive(Debug, Default)]
pub(crate) struct CargoReport {
    messages: Vec<(String, Diagnostic)>,
    artifacts: Vec<(String, PathBuf)>,
    /// Packages of which an executable is there.
    executables: BTreeSet<String>,
    text: String,
}

#[derive(Deserialize)]
#[serde(tag = "reason")]
enum Message {
    #[serde(rename = "compiler-message")]
    Diagnosed {
        package_id: String,
        message: Diagnostic,
    },
    #[serde(rename = "compiler-artifact")]
    Produced {
        package_id: String,
        target: Target,
        filenames: Vec<PathBuf>,
        executable: Option<PathBuf>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    crate_types: BTreeSet<String>,
}

impl CargoReport {
    /// Takes one line in.
    pub(crate) fn read(&mut self, line: Line) {
        match line {
            Line::Out(line) => match serde_json::from_str(&line) {
                Ok(Message::Diagnosed {
                    package_id,
                    message,
                }) => {
                    self.messages.push((package_id, message));
                }
                Ok(Message::Produced {
                    package_id,
                    target,
                    filenames,
                    executable,
                }) => {
                    if executable.is_some() {
                        self.executables.insert(package_id.clone());
                    }
                    let is_loadable = ["dylib", "cdylib"]
                        .iter()
                        .any(|kind| target.crate_types.contains(*kind));
                    let file = filenames.into_iter().find(|file| {
                        file.extension()
                            .is_some_and(|ext| ext == std::env::consts::DLL_EXTENSION)
                    });
                    if let (true, Some(file)) = (is_loadable, file) {
                        self.artifacts.push((package_id, file));
                    }
                }
                Ok(Message::Other) | Err(_) => {}
            },
            Line::Err(line) => {
                self.text.push_str(&line);
                self.text.push('\n');
            }
        }
    }

    /// What cargo itself said, for people.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What it means for `module`.
    pub(crate) fn for_module(&self, module: &Module, root: &Path) -> ModuleReport {
        let artifact = self
            .artifacts
            .iter()
            .rev()
            .find(|(id, _)| *id == module.package_id);
        if let Some((_, path)) = artifact {
            let problems = self.problems(module, root, |id| id == module.package_id);
            return ModuleReport::Artifact {
                path: path.clone(),
                problems,
            };
        }
        let problems = self.why_not(module, root);
        ModuleReport::Failed { problems }
    }

    /// Whether the engine's executable is there, or why not.
    pub(crate) fn for_engine(&self, engine: &Module, root: &Path) -> Result<(), Vec<Problem>> {
        if self.executables.contains(&engine.package_id) {
            return Ok(());
        }
        Err(self.why_not(engine, root))
    }

    fn why_not(&self, module: &Module, root: &Path) -> Vec<Problem> {
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        let mut problems = self.problems(module, root, |id| module.closure.contains(id));
        if !problems.iter().any(is_error) {
            problems.extend(self.problems(module, root, |id| !module.closure.contains(id)));
        }
        if !problems.iter().any(is_error) {
            problems.extend(diagnostics::plain_problem(&self.text, &module.name, root));
        }
        if !problems.iter().any(is_error) {
            problems.push(Problem {
                module: module.name.clone(),
                message: format!(
                    "cargo built nothing of package `{}`; is it in the selection?",
                    module.package
                ),
                ..Problem::default()
            });
        }
        diagnostics::arranged(problems)
    }

    fn problems(
        &self,
        module: &Module,
        root: &Path,
        concerns: impl Fn(&str) -> bool,
    ) -> Vec<Problem> {
        let problems = self
            .messages
            .iter()
            .filter(|(id, _)| concerns(id))
            .filter_map(|(_, message)| message.clone().into_problem(&module.name, root))
            .collect();
        diagnostics::arranged(problems)
    }
}

#[cfg(test)]
#[path = "cargo_tests.rs"]
mod tests;
