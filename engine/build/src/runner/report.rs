//! What the owner of the builder is told.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::SendTimeoutError;
use inspector_protocol::status::Problem;

use super::work::{Trigger, Work};
use super::{LastBuild, Runner};
use crate::artifact::{self, Publish};
use crate::diagnostics;
use crate::event::{BuildEvent, BuildMethod, BuildTimings};

/// What a successful compiler leaves behind.
pub(super) struct Outcome {
    pub(super) file: PathBuf,
    pub(super) how: Publish,
    pub(super) problems: Vec<Problem>,
    pub(super) print: u64,
}

impl Runner {
    pub(super) fn succeeded(
        &mut self,
        index: usize,
        work: &Work,
        outcome: Outcome,
        started: Instant,
    ) {
        let module = &self.project.modules[index];
        let name = module.name.clone();
        let published = artifact::publish(&outcome.file, outcome.how, &self.artifacts, &name);
        let artifact = match published {
            Ok(artifact) => artifact,
            Err(error) => {
                let message = format!(
                    "cannot publish {} to {}: {error}",
                    outcome.file.display(),
                    self.artifacts.display()
                );
                let problem = Problem {
                    module: name,
                    message,
                    ..Problem::default()
                };
                return self.failed(index, work, vec![problem], started);
            }
        };
        self.set_broken(index, false);
        let state = &mut self.modules[index];
        state.is_failed = false;
        let is_same = state
            .last
            .as_ref()
            .is_some_and(|last| last.artifact.hash == artifact.hash);
        let (path, hash) = (artifact.path.clone(), artifact.hash);
        state.last = Some(LastBuild {
            artifact,
            problems: outcome.problems.clone(),
            fingerprint: outcome.print,
        });
        let timings = timings(work, started);
        if is_same {
            return self.send_unchanged(index, work, timings);
        }
        self.send(BuildEvent::Built {
            module: name,
            artifact: path,
            hash,
            problems: outcome.problems,
            timings,
            detected_at: work.detected_at,
            trigger: self.trigger(work),
            forced: work.is_forced(),
        });
    }

    pub(super) fn failed(
        &mut self,
        index: usize,
        work: &Work,
        problems: Vec<Problem>,
        started: Instant,
    ) {
        self.modules[index].is_failed = true;
        self.set_broken(index, true);
        self.send(BuildEvent::Failed {
            module: self.project.modules[index].name.clone(),
            summary: diagnostics::summary(&problems),
            problems,
            timings: timings(work, started),
            detected_at: work.detected_at,
            trigger: self.trigger(work),
            forced: work.is_forced(),
        });
    }

    /// A module that is not known here cannot be built.
    pub(super) fn failed_unknown(&self, module: &str, problem: Problem) {
        self.send(BuildEvent::Failed {
            module: module.to_owned(),
            summary: problem.message.clone(),
            problems: vec![problem],
            timings: BuildTimings::default(),
            detected_at: Instant::now(),
            trigger: "configuration".to_owned(),
            forced: false,
        });
    }

    /// The build is void; its work goes back to the queue.
    pub(super) fn cancelled(&mut self, works: Vec<(usize, Work)>) {
        for (index, work) in works {
            self.send(BuildEvent::Cancelled {
                module: self.project.modules[index].name.clone(),
            });
            self.queue.give_back(index, work);
        }
    }

    pub(super) fn send_detected(&mut self, index: usize, work: &Work) {
        if work.files.is_empty() {
            return;
        }
        self.send(BuildEvent::Detected {
            module: self.project.modules[index].name.clone(),
            files: work.files.clone(),
            at: work.detected_at,
        });
    }

    pub(super) fn send_started(&mut self, index: usize, how: BuildMethod) {
        let module = self.project.modules[index].name.clone();
        self.send(BuildEvent::Started { module, how });
    }

    pub(super) fn send_unchanged(&mut self, index: usize, work: &Work, timings: BuildTimings) {
        let Some(last) = &self.modules[index].last else {
            return;
        };
        self.send(BuildEvent::Unchanged {
            module: self.project.modules[index].name.clone(),
            artifact: last.artifact.path.clone(),
            hash: last.artifact.hash,
            problems: last.problems.clone(),
            timings,
            detected_at: work.detected_at,
            trigger: self.trigger(work),
            forced: work.is_forced(),
        });
    }

    pub(super) fn trigger(&self, work: &Work) -> String {
        match &work.trigger {
            Trigger::Startup => "startup".to_owned(),
            Trigger::Request => "request".to_owned(),
            Trigger::Added => "configuration".to_owned(),
            Trigger::File(path) => {
                diagnostics::relative(&path.to_string_lossy(), &self.config.root)
            }
        }
    }

    /// Hands an event over, waiting for the owner if it must.
    pub(super) fn send(&self, event: BuildEvent) {
        let mut event = event;
        while !self.shared.is_stopping() {
            match self.events.send_timeout(event, Duration::from_millis(50)) {
                Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return,
                Err(SendTimeoutError::Timeout(back)) => event = back,
            }
        }
    }
}

pub(super) fn timings(work: &Work, started: Instant) -> BuildTimings {
    BuildTimings {
        detect: started.saturating_duration_since(work.detected_at),
        build: started.elapsed(),
    }
}
