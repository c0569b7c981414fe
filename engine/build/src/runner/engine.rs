//! The engine itself: built when what it is made of changes, after everything else, or with the
//! modules that the same change concerns. An edit of a module never waits for it.

use std::path::{Path, PathBuf};

use super::{Runner, Running};
use crate::cargo::CargoReport;
use crate::diagnostics;
use crate::event::BuildEvent;

impl Runner {
    /// Notes a changed file. True if it concerns the running build.
    pub(super) fn note_for_engine(&mut self, path: &Path, running: Option<&Running>) -> bool {
        if !self.project.concerns_engine(path) {
            return false;
        }
        self.engine_work.get_or_insert_with(|| path.to_owned());
        running.is_some_and(|running| running.has_engine)
    }

    pub(super) fn send_engine_started(&self, trigger: Option<&Path>) {
        if let Some(trigger) = trigger {
            let trigger = diagnostics::relative(&trigger.to_string_lossy(), &self.config.root);
            self.send(BuildEvent::EngineStarted { trigger });
        }
    }

    /// The build came to nothing.
    pub(super) fn put_engine_back(&mut self, trigger: Option<PathBuf>) {
        self.engine_work = self.engine_work.take().or(trigger);
    }

    /// Cargo was through with the engine.
    pub(super) fn engine_ended(&mut self, report: &CargoReport) {
        let Some(engine) = &mut self.project.engine else {
            return;
        };
        if self.engine_work.is_some() {
            // Changed meanwhile: the next build tells.
            return;
        }
        let result = report.for_engine(engine, &self.config.root);
        engine.is_broken = result.is_err();
        self.send(match result {
            Ok(()) => BuildEvent::EngineBuilt,
            Err(problems) => BuildEvent::EngineFailed {
                summary: diagnostics::summary(&problems),
                problems,
            },
        });
    }
}
