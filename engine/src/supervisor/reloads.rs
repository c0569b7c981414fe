//! From a build to an entry in the history: what was built, what the host made of it,
//! who waits for the outcome.

mod outcomes;
mod revive;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use engine_build::{BuildEvent, BuildMethod, BuildTimings};
use engine_runtime::link::ToHost;
use inspector_protocol::message::{Answer, Event, LogLevel};
use inspector_protocol::status::{Problem, ReloadOutcome, ReloadStatus, ReloadTimings, Severity};

use super::Supervisor;
use super::hub::ClientId;
use crate::config::OnPanic;
pub(super) use outcomes::place_in;
use outcomes::problem_of;
use revive::{Failed, Revived};

/// Builds, loads and their history.
#[derive(Default)]
pub(super) struct Reloads {
    history: VecDeque<ReloadStatus>,
    next_ticket: u64,
    pending: HashMap<u64, Pending>,
    modules: BTreeMap<String, ModuleReloads>,
    /// Active versions of the host that runs.
    active: HashMap<String, u32>,
    /// What is wrong with watching itself.
    watch_problem: Option<Problem>,
}

#[derive(Default)]
struct ModuleReloads {
    /// Problems of the last build.
    problems: Vec<Problem>,
    /// Why the newest state of the sources did not get in, though it compiles.
    refused: Option<Problem>,
    /// Whether nothing got in yet, and the last attempt failed.
    is_stuck: bool,
    /// What the next host begins with: the last artifact built or rolled back to.
    latest: Option<Built>,
    /// Artifacts that became active, oldest first, without those rolled back.
    applied: Vec<Applied>,
    /// Whether what runs was built elsewhere, and so is none of those.
    runs_external: bool,
    /// Content that failed; not loaded again unless somebody asks for it.
    quarantined: HashSet<u64>,
    /// Clients that wait for the outcome of a reload they asked for.
    waiting: Vec<(ClientId, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Built {
    artifact: PathBuf,
    hash: u64,
}

/// A build that became active.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Applied {
    built: Built,
    /// Number of the host it was active in last.
    run: u64,
    /// The version it was there.
    version: u32,
    /// When it got in there.
    since: Instant,
    /// Whether it replaced another version there.
    has_replaced: bool,
}

/// A load that the host has not answered yet.
pub(super) struct Pending {
    module: String,
    trigger: String,
    timings: BuildTimings,
    since: Instant,
    built: Built,
    /// It goes back to an earlier build.
    rollback: bool,
    /// State goes back as well.
    restore: bool,
    /// The version that failed and is rolled back.
    failed: Option<Failed>,
    /// It brings back what ran in a host that died.
    revived: Option<Revived>,
    waiting: Vec<(ClientId, u64)>,
}

impl Pending {
    /// A load that nothing was built for and nobody waits for.
    fn new(module: &str, trigger: &str, built: Built) -> Self {
        Self {
            module: module.to_owned(),
            trigger: trigger.to_owned(),
            timings: BuildTimings::default(),
            since: Instant::now(),
            built,
            rollback: false,
            restore: false,
            failed: None,
            revived: None,
            waiting: Vec::new(),
        }
    }
}

impl Pending {
    /// Whether it is a load of this module.
    pub(super) fn is_of(&self, module: &str) -> bool {
        self.module == module
    }

    /// Lets a client wait for what comes of it.
    pub(super) fn wait(&mut self, client: (ClientId, u64)) {
        self.waiting.push(client);
    }
}

impl Reloads {
    /// Clients that wait for loads; they are not answered any more.
    pub(super) fn take_waiting(&mut self) -> Vec<(ClientId, u64)> {
        let pending = self.pending.values_mut();
        pending
            .flat_map(|pending| std::mem::take(&mut pending.waiting))
            .collect()
    }

    /// The content that a rollback of a module leaves while its version with this number does not
    /// get on, if there is something to go back to.
    pub(super) fn left_by_rollback(&self, module: &str, stalled: Option<u32>) -> Option<u64> {
        let applied = self.modules.get(module)?.applied.as_slice();
        let last = applied.last()?;
        if stalled.is_some_and(|version| version > last.version) {
            // It has not got in, and what runs is the version before.
            return self.in_flight(module, true).map(|load| load.built.hash);
        }
        (applied.len() > 1).then_some(last.built.hash)
    }

    /// All attempts, oldest first.
    pub(super) fn history(&self) -> Vec<ReloadStatus> {
        self.history.iter().cloned().collect()
    }

    /// What is wrong with the sources now.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let builds = self
            .modules
            .values()
            .flat_map(|module| module.refused.iter().chain(&module.problems).cloned());
        self.watch_problem.iter().cloned().chain(builds).collect()
    }

    /// What a fresh host begins with: what was built last, or rolled back to, of all modules
    /// but `except`.
    pub(super) fn latest(&self, trigger: &str, except: Option<&str>) -> Vec<Pending> {
        let modules = self.modules.iter();
        modules
            .filter(|(name, _)| Some(name.as_str()) != except)
            .filter_map(|(name, module)| Some(Pending::new(name, trigger, module.latest.clone()?)))
            .collect()
    }

    /// The active version of a module.
    pub(super) fn active(&self, module: &str) -> Option<u32> {
        self.active.get(module).copied()
    }

    /// The host is gone, and all versions with it.
    pub(super) fn forget_active(&mut self) {
        self.active.clear();
    }

    /// Whether the host has still to answer a load.
    pub(super) fn is_loading(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The module that the host loads now: loads are answered in their order.
    pub(super) fn loading(&self) -> Option<&str> {
        let first = self.pending.iter().min_by_key(|(ticket, _)| **ticket);
        first.map(|(_, pending)| pending.module.as_str())
    }

    /// The request for a load; it is awaited from here on.
    pub(super) fn load(&mut self, pending: Pending, force: bool) -> ToHost {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let request = ToHost::Load {
            ticket,
            module: pending.module.clone(),
            artifact: pending.built.artifact.clone(),
            hash: pending.built.hash,
            force,
            quarantine: pending.failed.is_some(),
            restore: pending.restore,
        };
        self.pending.insert(ticket, pending);
        request
    }

    fn module(&mut self, name: &str) -> &mut ModuleReloads {
        self.modules.entry(name.to_owned()).or_default()
    }
}

impl Supervisor {
    /// What the builder says.
    pub(super) fn build_event(&mut self, event: BuildEvent) {
        match event {
            BuildEvent::Detected { files, module, .. } => self.detected(&files, &module),
            BuildEvent::Started { module, how } => {
                let next = self.next_version(&module);
                let line = format!("Compiling {module} v{next}...");
                self.log_about(LogLevel::Info, &module, line);
                if how == BuildMethod::Cargo {
                    let line = format!("{module} is built by cargo");
                    self.log_about(LogLevel::Debug, &module, line);
                }
            }
            BuildEvent::Built {
                module,
                artifact,
                hash,
                problems,
                timings,
                detected_at,
                trigger,
                forced,
            } => {
                let built = Built { artifact, hash };
                self.reloads.keep_artifacts(&module);
                self.set_build_problems(&module, problems);
                let waiting = std::mem::take(&mut self.reloads.module(&module).waiting);
                let pending = Pending {
                    timings,
                    since: detected_at,
                    waiting,
                    ..Pending::new(&module, &trigger, built.clone())
                };
                if self.is_quarantined(&module, hash, forced) {
                    return self.refuse_quarantined(pending);
                }
                let state = self.reloads.module(&module);
                state.is_stuck = false;
                state.latest = Some(built);
                self.send_load(pending, forced);
            }
            BuildEvent::Unchanged {
                module,
                artifact,
                hash,
                problems,
                timings,
                detected_at,
                trigger,
                forced,
            } => {
                self.set_build_problems(&module, problems);
                let waiting = std::mem::take(&mut self.reloads.module(&module).waiting);
                let pending = Pending {
                    timings,
                    since: detected_at,
                    waiting,
                    ..Pending::new(&module, &trigger, Built { artifact, hash })
                };
                self.build_unchanged(pending, forced);
            }
            BuildEvent::Failed {
                module,
                problems,
                timings,
                detected_at,
                trigger,
                summary,
                ..
            } => {
                let times = build_timings(timings, detected_at.elapsed());
                self.build_failed(module, problems, trigger, summary, times);
            }
            BuildEvent::Cancelled { module } => {
                let line = format!("{module}: a later save replaces the running build");
                self.log_about(LogLevel::Debug, &module, line);
            }
            BuildEvent::FilesChanged { files } => {
                self.to_host(ToHost::FilesChanged(files));
            }
            BuildEvent::WatchProblem { message } => {
                self.warn(message.clone());
                self.reloads.watch_problem = Some(Problem {
                    severity: Severity::Warning,
                    rendered: format!("warning: {message}\n"),
                    message,
                    ..Problem::default()
                });
            }
            _ => {}
        }
    }

    fn detected(&mut self, files: &[PathBuf], module: &str) {
        let names: Vec<_> = files.iter().map(|file| self.shorten(file)).collect();
        match names.as_slice() {
            [] => {}
            [one] => {
                let line = format!("Detected code change in {one}");
                self.log_about(LogLevel::Info, module, line);
            }
            [first, rest @ ..] => {
                let line = format!("Detected code change in {first} and {} more", rest.len());
                self.log_about(LogLevel::Info, module, line);
            }
        }
    }

    fn build_unchanged(&mut self, pending: Pending, forced: bool) {
        if self.is_quarantined(&pending.module, pending.built.hash, forced) {
            return self.refuse_quarantined(pending);
        }
        let is_active = self.reloads.active(&pending.module).is_some();
        let module = self.reloads.module(&pending.module);
        let last = module.applied.last();
        let is_last = last.is_some_and(|last| last.built == pending.built);
        let runs = is_active && is_last && !module.runs_external;
        if forced || !runs {
            // Asked for, or the game was rolled back and the source went there too.
            module.latest = Some(pending.built.clone());
            return self.send_load(pending, forced);
        }
        // The sources are back at what runs.
        module.refused = None;
        let line = format!("Module '{}' unchanged", pending.module);
        self.log_about(LogLevel::Info, &pending.module, line);
        let status = ReloadStatus {
            module: pending.module,
            outcome: ReloadOutcome::Unchanged,
            trigger: pending.trigger,
            message: "the build gave the content that already runs".to_owned(),
            timings_ms: build_timings(pending.timings, pending.since.elapsed()),
            ..ReloadStatus::default()
        };
        self.record(status, pending.waiting);
    }

    fn build_failed(
        &mut self,
        module: String,
        problems: Vec<Problem>,
        trigger: String,
        summary: String,
        timings_ms: ReloadTimings,
    ) {
        let errors = problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error);
        let texts: Vec<_> = errors
            .map(|problem| problem.rendered.trim_end().to_owned())
            .collect();
        self.set_build_problems(&module, problems);
        let line = format!("Module '{module}' does not compile: {summary}");
        self.log_about(LogLevel::Error, &module, line);
        for text in texts.into_iter().filter(|text| !text.is_empty()) {
            self.log_about(LogLevel::Error, &module, text);
        }
        let is_active = self.reloads.active(&module).is_some();
        let state = self.reloads.module(&module);
        // What was refused is no longer what the sources say.
        state.refused = None;
        state.is_stuck = !is_active;
        let waiting = std::mem::take(&mut state.waiting);
        let status = ReloadStatus {
            module,
            outcome: ReloadOutcome::CompileError,
            trigger,
            message: summary,
            timings_ms,
            ..ReloadStatus::default()
        };
        self.record(status, waiting);
        self.end_if_stuck();
    }

    fn set_build_problems(&mut self, module: &str, problems: Vec<Problem>) {
        self.reloads.module(module).problems = problems;
    }

    /// The number that the next version of a module will get. Counted from what the
    /// host has named, not from its snapshots, which come ten times a second only.
    pub(super) fn next_version(&self, module: &str) -> u32 {
        let named = self.names.values().filter(|(name, ..)| name == module);
        named.map(|(_, version, _)| *version).max().unwrap_or(0) + 1
    }

    fn send_load(&mut self, pending: Pending, force: bool) {
        let (waiting, module) = (pending.waiting.clone(), pending.module.clone());
        self.end_stall_for_build();
        if self.host.is_none() && self.restarts.waits_for_build {
            self.start_for_build(&module, pending.built.hash);
        }
        let request = self.reloads.load(pending, force);
        let ToHost::Load { ticket, .. } = &request else {
            return;
        };
        let ticket = *ticket;
        if !self.to_host(request) {
            // It is remembered as the latest: the next host begins with it.
            self.reloads.pending.remove(&ticket);
            let line = "Built; the next host begins with it".to_owned();
            self.log_about(LogLevel::Info, &module, line);
            for (client, id) in waiting {
                let text = "it was built, but no host is running; R starts one with it".to_owned();
                self.hub.send(
                    client,
                    Event::Answer {
                        id,
                        answer: Answer::Error(text),
                    },
                );
            }
            return;
        }
        self.tell_stalled_load(&module);
    }

    /// A client asks for a module to be built and loaded again.
    pub(super) fn reload(&mut self, client: ClientId, id: u64, module: &str) {
        let Some(library) = self.find_module(client, id, module) else {
            return;
        };
        if let Some(builder) = &self.builder {
            builder.rebuild(module);
            self.reloads.module(module).waiting.push((client, id));
            return;
        }
        let artifact = self
            .project
            .libraries
            .join(engine_native::backend::library_file(&library));
        match std::fs::read(&artifact) {
            Ok(bytes) => {
                let hash = inspector_protocol::content_hash(&bytes);
                let pending = Pending {
                    waiting: vec![(client, id)],
                    ..Pending::new(module, "request", Built { artifact, hash })
                };
                self.send_load(pending, true);
            }
            Err(error) => {
                let text = format!("{} cannot be read: {error}", artifact.display());
                self.hub.send(
                    client,
                    Event::Answer {
                        id,
                        answer: Answer::Error(text),
                    },
                );
            }
        }
    }

    /// The library of a module; a client that asks for one that is not there is told.
    fn find_module(&mut self, client: ClientId, id: u64, module: &str) -> Option<String> {
        let modules = &self.config.modules;
        if let Some(found) = modules.iter().find(|known| known.name == module) {
            return Some(found.library());
        }
        let known: Vec<_> = modules.iter().map(|known| known.name.as_str()).collect();
        let text = format!(
            "there is no module `{module}`; modules are: {}",
            known.join(", ")
        );
        let answer = Answer::Error(text);
        self.hub.send(client, Event::Answer { id, answer });
        None
    }

    /// A client asks for the version before the active one.
    pub(super) fn rollback(&mut self, client: ClientId, id: u64, module: &str, state: bool) {
        if self.find_module(client, id, module).is_none()
            || self.roll_back_stalled(client, id, module)
        {
            return;
        }
        let mut refuse = |text: &str| {
            self.hub.send(
                client,
                Event::Answer {
                    id,
                    answer: Answer::Error(text.to_owned()),
                },
            );
        };
        let applied = self
            .reloads
            .modules
            .get(module)
            .map(|state| state.applied.as_slice());
        let Some([.., before, _]) = applied else {
            return refuse("there is no earlier version of that module to go back to");
        };
        let pending = Pending {
            rollback: true,
            restore: state,
            waiting: vec![(client, id)],
            ..Pending::new(module, "request", before.built.clone())
        };
        self.send_load(pending, true);
    }

    /// A version panicked when it had just got in, or at any time where that is the policy: the
    /// one before runs again, and the code that failed is not loaded again until its source
    /// changes.
    pub(super) fn version_failed(&mut self, module: &str, version: u32, what: &str) {
        if self.config.policies.on_panic == OnPanic::Stop {
            let line = format!("The game stops: {module} v{version}: {what}");
            self.log_about(LogLevel::Error, module, line);
            self.exit = Some(ExitCode::FAILURE);
            return;
        }
        let state = self.reloads.module(module);
        let [.., before, last] = state.applied.as_slice() else {
            return;
        };
        if last.version != version {
            return;
        }
        state.quarantined.insert(last.built.hash);
        let message = format!("v{version} failed: {what}");
        let problem = problem_of(module, "failed", &message);
        let pending = Pending {
            rollback: true,
            failed: Some(Failed { message, problem }),
            ..Pending::new(module, "panic", before.built.clone())
        };
        self.send_load(pending, true);
    }

    /// Whether a build is code that failed. Somebody who asks for it gets it all the same.
    fn is_quarantined(&mut self, module: &str, hash: u64, forced: bool) -> bool {
        let quarantined = &mut self.reloads.module(module).quarantined;
        if forced {
            quarantined.remove(&hash);
        }
        quarantined.contains(&hash)
    }

    fn refuse_quarantined(&mut self, pending: Pending) {
        let status = ReloadStatus {
            message: format!(
                "this code failed before and is quarantined; change it, or load it all the same \
                 with `inspector reload {}`",
                pending.module
            ),
            module: pending.module,
            outcome: ReloadOutcome::Rejected,
            trigger: pending.trigger,
            timings_ms: build_timings(pending.timings, pending.since.elapsed()),
            ..ReloadStatus::default()
        };
        self.judge(&status, false);
        self.record(status, pending.waiting);
    }
}

fn build_timings(timings: BuildTimings, total: Duration) -> ReloadTimings {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    ReloadTimings {
        detect: ms(timings.detect),
        build: ms(timings.build),
        total: ms(total),
        ..ReloadTimings::default()
    }
}
