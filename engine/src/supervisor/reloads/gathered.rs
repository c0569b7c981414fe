//! Sources that need no compiler, and are loaded like builds.

use std::path::{Path, PathBuf};
use std::time::Instant;

use engine_build::BuildTimings;
use inspector_protocol::status::{Problem, ReloadOutcome, ReloadStatus};

use super::{Built, Pending, Reloads, build_timings};
use crate::supervisor::Supervisor;
use crate::supervisor::hub::ClientId;
use crate::supervisor::scripts::PUSH;

/// What came of gathering a module's sources.
pub(in crate::supervisor) struct Gathered {
    pub(in crate::supervisor) module: String,
    /// The artifact and its content hash, or what is wrong with the sources.
    pub(in crate::supervisor) result: Result<(PathBuf, u64), Vec<Problem>>,
    pub(in crate::supervisor) trigger: String,
    /// When it was noticed that they have changed.
    pub(in crate::supervisor) since: Instant,
    /// Load it even if that content runs already.
    pub(in crate::supervisor) forced: bool,
}

impl Supervisor {
    /// The sources of a module were gathered.
    pub(in crate::supervisor) fn gathered(&mut self, gathered: Gathered) {
        let Gathered {
            module,
            result,
            trigger,
            since,
            forced,
        } = gathered;
        let timings = BuildTimings {
            build: since.elapsed(),
            ..BuildTimings::default()
        };
        match result {
            Ok((artifact, hash)) => {
                let pending = Pending {
                    timings,
                    since,
                    force: forced,
                    ..Pending::new(&module, &trigger, Built { artifact, hash })
                };
                let applied = self.reloads.module(&module).applied.last();
                let runs = applied.is_some_and(|last| last.built.hash == hash);
                if runs && self.reloads.active(&module).is_some() {
                    self.set_build_problems(&module, Vec::new());
                    let waiting = std::mem::take(&mut self.reloads.module(&module).waiting);
                    self.build_unchanged(Pending { waiting, ..pending });
                } else {
                    self.built(pending, Vec::new());
                }
            }
            Err(problems) => {
                let summary = match problems.as_slice() {
                    [one] => with_place(one),
                    several => format!("{} errors", several.len()),
                };
                let times = build_timings(timings, since.elapsed());
                self.build_failed(module.clone(), problems, trigger, summary, times);
                self.build_ended(&module, None);
                self.end_if_stuck();
            }
        }
    }

    /// Modules were saved together: they are loaded together.
    pub(in crate::supervisor) fn scripts_together(&mut self, modules: &[String]) {
        self.reloads.together.begin(modules);
    }

    /// Says which files are behind what is loaded next.
    pub(in crate::supervisor) fn script_detected(&mut self, files: &[PathBuf], module: &str) {
        self.detected(files, module);
    }

    /// Lets a client wait for what comes of a module's next load.
    pub(in crate::supervisor) fn wait_for_script(
        &mut self,
        module: &str,
        id: ClientId,
        request: u64,
    ) {
        self.reloads.module(module).waiting.push((id, request));
    }

    /// What was pushed to a module did not get in, and nothing was touched.
    pub(in crate::supervisor) fn push_refused(
        &mut self,
        module: &str,
        outcome: ReloadOutcome,
        message: String,
        since: Instant,
        client: (ClientId, u64),
    ) {
        let status = ReloadStatus {
            module: module.to_owned(),
            outcome,
            trigger: PUSH.to_owned(),
            message,
            timings_ms: build_timings(BuildTimings::default(), since.elapsed()),
            ..ReloadStatus::default()
        };
        self.record(status, vec![client]);
    }
}

impl Reloads {
    /// The artifact that runs of a module, or ran last.
    pub(in crate::supervisor) fn running_artifact(&self, module: &str) -> Option<&Path> {
        let last = self.modules.get(module)?.applied.last()?;
        Some(&last.built.artifact)
    }

    /// What was built last of a module was not wanted: the next host begins with what runs.
    pub(super) fn forget_latest(&mut self, module: &str) {
        let module = self.module(module);
        if let Some(last) = module.applied.last() {
            module.latest = Some(last.built.clone());
        }
    }
}

/// What a problem says, with its place.
fn with_place(problem: &Problem) -> String {
    let Problem {
        file,
        line,
        column,
        message,
        ..
    } = problem;
    match (file.as_str(), line) {
        ("", _) => message.clone(),
        (file, 0) => format!("{file}: {message}"),
        (file, line) => format!("{file}:{line}:{column}: {message}"),
    }
}
