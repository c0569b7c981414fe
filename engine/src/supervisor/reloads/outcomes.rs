//! What became of a load: in the history, among the problems, in the log, and for
//! whoever waits.

use std::process::ExitCode;
use std::time::Instant;

use engine_runtime::link::Reloaded;
use engine_runtime::place::place_in;
use inspector_protocol::message::{Answer, Event, LogLevel};
use inspector_protocol::status::{
    MAX_RELOADS, Problem, ReloadOutcome, ReloadStatus, ReloadTimings, Severity,
};

use super::revive::Failed;
use super::{Applied, Pending, build_timings};
use crate::supervisor::Supervisor;
use crate::supervisor::death::Culprit;
use crate::supervisor::hub::ClientId;
use crate::supervisor::scripts::PUSH;
use crate::supervisor::status::rounded;

impl Supervisor {
    /// The host says how loading ended.
    pub(in crate::supervisor) fn reloaded(&mut self, report: Reloaded) {
        if self.next_engine.is_entering() && report.outcome == ReloadOutcome::Rejected {
            // It was built for the engine that takes over, which loads it.
            return;
        }
        let pending = report
            .ticket
            .and_then(|ticket| self.reloads.pending.remove(&ticket));
        let mut status = ReloadStatus {
            module: report.module.clone(),
            from: report.from,
            to: report.to,
            frame: report.frame,
            outcome: report.outcome,
            message: report.message,
            trigger: "external build".to_owned(),
            timings_ms: ReloadTimings {
                load: report.load_ms,
                migrate: report.migrate_ms,
                swap: report.swap_ms,
                total: report.load_ms + report.migrate_ms + report.swap_ms,
                ..ReloadTimings::default()
            },
            ..ReloadStatus::default()
        };
        if let Some(version) = report.to {
            self.reloads.active.insert(report.module.clone(), version);
        }
        if report.outcome == ReloadOutcome::Applied {
            self.reloads.module(&report.module).runs_external = report.ticket.is_none();
        }
        let is_rollback = pending.as_ref().is_some_and(|pending| pending.rollback);
        let (mut waiting, mut failed) = (Vec::new(), None);
        if let Some(pending) = pending {
            let build = build_timings(pending.timings, pending.since.elapsed());
            status.trigger.clone_from(&pending.trigger);
            status.timings_ms = ReloadTimings {
                detect: build.detect,
                build: build.build,
                total: build.total,
                ..status.timings_ms
            };
            waiting.clone_from(&pending.waiting);
            if matches!(
                report.outcome,
                ReloadOutcome::Applied | ReloadOutcome::Unchanged
            ) {
                let is_it = |build: &Pending| build.built == pending.built;
                self.reloads.together.runs(&report.module, is_it);
            }
            if report.outcome == ReloadOutcome::Applied {
                failed = self.applied(&mut status, pending);
            }
        }
        // Neither is what the sources say.
        let is_push = status.trigger == PUSH;
        self.judge(&status, is_rollback || is_push);
        let is_in = matches!(
            status.outcome,
            ReloadOutcome::Applied | ReloadOutcome::Unchanged
        );
        if status.outcome == ReloadOutcome::RolledBack || is_push && !is_in {
            if is_push {
                self.reloads.forget_latest(&status.module);
            }
            self.script_went_back(&status.module);
        }
        if status.outcome == ReloadOutcome::RolledBack
            && let Some(failed) = failed
        {
            // It stays what the sources say.
            self.reloads.module(&status.module).refused = Some(failed.problem);
        }
        self.record(status, waiting);
        self.end_if_stuck();
    }

    /// Remembers a build that became active. Returns what was left because it failed.
    fn applied(&mut self, status: &mut ReloadStatus, pending: Pending) -> Option<Failed> {
        let run = self.runs;
        let version = status.to.unwrap_or_default();
        let module = self.reloads.module(&status.module);
        let now = Applied {
            built: pending.built,
            run,
            version,
            since: Instant::now(),
            has_replaced: status.from.is_some(),
            group: pending.group,
        };
        if let Some(revived) = pending.revived {
            return self.revived(status, now, revived);
        }
        if pending.rollback {
            status.outcome = ReloadOutcome::RolledBack;
            module.latest = Some(now.built.clone());
            let place = module
                .applied
                .iter()
                .rposition(|applied| applied.built == now.built);
            let before = place.map(|place| module.applied.drain(place..).next());
            let before = before.flatten();
            let what = match before {
                Some(before) if before.run == run => format!("v{}'s code", before.version),
                _ => "the code of an earlier host".to_owned(),
            };
            module.applied.push(now);
            let with_state = std::mem::take(&mut status.message);
            status.message = format!("{what} runs again as v{version}");
            if !with_state.is_empty() {
                status.message = format!("{}, {with_state}", status.message);
            }
            if let Some(failed) = &pending.failed {
                status.message = format!(
                    "{}; {}; the code that failed is not loaded again until it changes",
                    failed.message, status.message
                );
            }
            let line = format!("Module '{}' rolled back: {}", status.module, status.message);
            self.log_about(LogLevel::Info, &status.module, line);
            return pending.failed;
        }
        // The same code once more takes its own place.
        let same = module.applied.pop_if(|last| last.built == now.built);
        let is_other_code = now.has_replaced && same.is_none();
        let hash = now.built.hash;
        module.applied.push(now);
        // The builder keeps that many artifacts.
        let excess = module.applied.len().saturating_sub(8);
        module.applied.drain(..excess);
        if is_other_code {
            self.renew_streak(hash);
        }
        None
    }

    /// Says what is wrong with a load, and keeps it among the problems while it is what the
    /// sources say.
    pub(super) fn judge(&mut self, status: &ReloadStatus, is_rollback: bool) {
        let name = status.module.as_str();
        let is_active = self.reloads.active(name).is_some();
        let module = self.reloads.module(name);
        let how = match status.outcome {
            ReloadOutcome::Rejected => "rejected",
            ReloadOutcome::LoadError => "cannot be loaded",
            ReloadOutcome::Restarted => {
                // What the sources say is what they said before.
                module.is_stuck = false;
                return;
            }
            _ => {
                module.refused = None;
                module.is_stuck = false;
                if status.outcome == ReloadOutcome::Unchanged {
                    self.log_about(LogLevel::Info, name, format!("Module '{name}' unchanged"));
                }
                return;
            }
        };
        if !is_rollback {
            module.refused = Some(problem_of(name, how, &status.message));
            module.is_stuck = !is_active;
        }
        let line = format!("Module '{name}' {how}: {}", status.message);
        self.log_about(LogLevel::Error, name, line);
    }

    /// Ends all loads that a host will not answer any more. The one it died of is named by
    /// its version.
    pub(in crate::supervisor) fn fail_pending(&mut self, why: &str, culprit: Option<&Culprit>) {
        let mut pending: Vec<_> = std::mem::take(&mut self.reloads.pending)
            .into_iter()
            .collect();
        pending.sort_by_key(|(ticket, _)| *ticket);
        for (_, pending) in pending {
            let from = self.reloads.active(&pending.module);
            let culprit = culprit
                .filter(|culprit| culprit.module == pending.module)
                .map(|culprit| culprit.version)
                .filter(|version| from != Some(*version));
            let status = ReloadStatus {
                module: pending.module,
                from,
                to: culprit,
                outcome: ReloadOutcome::LoadError,
                trigger: pending.trigger,
                message: why.to_owned(),
                timings_ms: build_timings(pending.timings, pending.since.elapsed()),
                ..ReloadStatus::default()
            };
            self.record(status, pending.waiting);
        }
    }

    pub(super) fn record(&mut self, mut status: ReloadStatus, waiting: Vec<(ClientId, u64)>) {
        let last = self.reloads.history.back().map_or(0, |last| last.seq);
        status.seq = last + 1;
        if status.from.is_none() && status.to.is_none() {
            status.from = self.reloads.active(&status.module);
        }
        status.timings_ms = rounded_timings(status.timings_ms);
        if self.reloads.history.len() == MAX_RELOADS {
            self.reloads.history.pop_front();
        }
        self.reloads.history.push_back(status.clone());
        for (client, id) in waiting {
            let answer = Answer::Reload(status.clone());
            self.hub.send(client, Event::Answer { id, answer });
        }
        self.hub
            .broadcast(&Event::Reload(status), |wants| wants.status);
        self.broadcast_status();
    }

    /// Ends a run that nobody watches when its game cannot start. One without a limit waits
    /// for the fix.
    pub(super) fn end_if_stuck(&mut self) {
        let limit = match (self.options.frames, self.options.seconds) {
            (Some(_), _) => "--frames",
            (None, Some(_)) => "--seconds",
            (None, None) => return,
        };
        let missing = self.missing_modules();
        let is_stuck = |name: &String| {
            let module = self.reloads.modules.get(name);
            module.is_some_and(|module| module.is_stuck)
        };
        // Others may still be built; what is wrong with them should be said too.
        if self.with_ui || missing.is_empty() || !missing.iter().all(is_stuck) {
            return;
        }
        self.error(format!(
            "The game cannot start: no version of {} got in; with {limit} that ends it, without \
             it the engine waits for the fix",
            missing.join(", ")
        ));
        self.exit = Some(ExitCode::FAILURE);
    }
}

/// What is wrong with the newest state of a module's sources.
pub(super) fn problem_of(module: &str, how: &str, message: &str) -> Problem {
    let (file, line, column) = place_in(message).unwrap_or_default();
    Problem {
        module: module.to_owned(),
        severity: Severity::Error,
        file,
        line,
        column,
        rendered: format!("error: module `{module}` {how}: {message}\n"),
        message: message.to_owned(),
    }
}

fn rounded_timings(timings: ReloadTimings) -> ReloadTimings {
    ReloadTimings {
        detect: rounded(timings.detect),
        build: rounded(timings.build),
        load: rounded(timings.load),
        migrate: rounded(timings.migrate),
        swap: rounded(timings.swap),
        total: rounded(timings.total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_have_three_decimals() {
        let timings = ReloadTimings {
            build: 915.123_456_7,
            total: 0.000_4,
            ..ReloadTimings::default()
        };
        let rounded = rounded_timings(timings);
        assert_eq!(
            serde_json::to_string(&[rounded.build, rounded.total]).unwrap(),
            "[915.123,0.0]"
        );
    }
}
