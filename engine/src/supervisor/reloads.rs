//! From a build to an entry in the history: what was built, what the host made of it,
//! who waits for the outcome.

mod gathered;
mod hand_over;
mod outcomes;
mod revive;
mod together;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use engine_build::{BuildEvent, BuildMethod, BuildTimings};
use engine_runtime::link::{LoadRequest, ToHost};
use engine_runtime::swap::keep_running;
use inspector_protocol::message::{Answer, Event, LogLevel};
use inspector_protocol::status::{Problem, ReloadOutcome, ReloadStatus, ReloadTimings, Severity};

use super::Supervisor;
use super::hub::ClientId;
use super::scripts::PUSH;
use crate::config::OnPanic;
pub(super) use gathered::Gathered;
use outcomes::problem_of;
use revive::{Failed, Revived};
use together::{Next, Together};

/// Builds, loads and their history.
#[derive(Default)]
pub(super) struct Reloads {
    history: VecDeque<ReloadStatus>,
    next_ticket: u64,
    pending: HashMap<u64, Pending>,
    modules: BTreeMap<String, ModuleReloads>,
    /// Builds that wait for others.
    together: Together<Pending>,
    /// The last number given to builds that are loaded together.
    last_group: u64,
    /// Those of them that were left because one failed.
    left_groups: HashSet<u64>,
    /// Modules that cargo builds now.
    building: HashSet<String>,
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
    /// Number of those that it got in with; 0 if it got in alone.
    group: u64,
}

/// A load that the host has not answered yet.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    module: String,
    trigger: String,
    timings: BuildTimings,
    since: Instant,
    built: Built,
    /// Load it even if that content runs already.
    force: bool,
    /// Number of those that it is loaded with; 0 if it is loaded alone.
    group: u64,
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
            force: false,
            group: 0,
            rollback: false,
            restore: false,
            failed: None,
            revived: None,
            waiting: Vec::new(),
        }
    }

    /// The same, whatever runs.
    pub(super) fn forced(self) -> Self {
        Self {
            force: true,
            ..self
        }
    }

    /// Module.
    pub(super) fn module(&self) -> &str {
        &self.module
    }

    /// Content hash of what is loaded.
    pub(super) fn hash(&self) -> u64 {
        self.built.hash
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
    pub(super) fn latest(&self, trigger: &str, except: &[Pending]) -> Vec<Pending> {
        let modules = self.modules.iter();
        modules
            .filter(|(name, _)| except.iter().all(|pending| pending.module != **name))
            .filter_map(|(name, module)| Some(Pending::new(name, trigger, module.latest.clone()?)))
            .collect()
    }

    /// The active version of a module.
    pub(super) fn active(&self, module: &str) -> Option<u32> {
        self.active.get(module).copied()
    }

    /// A module has another name from now on. What its sources say under that is not known.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if let Some(mut module) = self.modules.remove(from) {
            // What was built under the old name cannot be loaded under the new one.
            (module.problems, module.refused) = (Vec::new(), None);
            (module.latest, module.applied) = (None, Vec::new());
            self.modules.insert(to.to_owned(), module);
        }
        if let Some(version) = self.active.remove(from) {
            self.active.insert(to.to_owned(), version);
        }
        self.together.forget(from);
        self.building.remove(from);
    }

    /// A module is no longer there. What it was is remembered, in case it comes back.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some(module) = self.modules.get_mut(name) {
            (module.problems, module.refused) = (Vec::new(), None);
            module.latest = None;
        }
        self.active.remove(name);
        self.together.forget(name);
        self.building.remove(name);
    }

    /// Whether cargo builds a module now.
    pub(super) fn is_building(&self) -> bool {
        !self.building.is_empty()
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

    /// The request for loads that get in together; they are awaited from here on.
    pub(super) fn load(&mut self, group: Vec<Pending>) -> Vec<LoadRequest> {
        let number = if group.len() > 1 {
            self.last_group += 1;
            self.last_group
        } else {
            0
        };
        let mut requests = Vec::new();
        for mut pending in group {
            self.next_ticket += 1;
            let ticket = self.next_ticket;
            requests.push(LoadRequest {
                ticket,
                module: pending.module.clone(),
                artifact: pending.built.artifact.clone(),
                hash: pending.built.hash,
                force: pending.force,
                quarantine: pending.failed.is_some(),
                restore: pending.restore,
            });
            pending.group = number;
            self.pending.insert(ticket, pending);
        }
        requests
    }

    /// The modules that got in together with what runs of one, with what they have to go back
    /// to if that one does. None if it got in alone; an error if there is nothing to go back to.
    fn partners(&self, module: &str) -> Result<Vec<(String, Built)>, String> {
        let last = self.modules.get(module).and_then(|own| own.applied.last());
        let Some(group) = last.map(|last| last.group).filter(|group| *group != 0) else {
            return Ok(Vec::new());
        };
        let others = self.modules.iter().filter(|(name, _)| *name != module);
        let mut partners = Vec::new();
        for (name, other) in others {
            match other.place_of_group(group) {
                None => {}
                Some(0) => return Err(format!("`{name}` got in with it and has none")),
                Some(place) => {
                    let before = other.applied[place - 1].built.clone();
                    partners.push((name.clone(), before));
                }
            }
        }
        Ok(partners)
    }

    fn module(&mut self, name: &str) -> &mut ModuleReloads {
        self.modules.entry(name.to_owned()).or_default()
    }
}

impl ModuleReloads {
    /// Which of those that became active got in with a group.
    fn place_of_group(&self, group: u64) -> Option<usize> {
        let mut applied = self.applied.iter();
        applied.position(|applied| applied.group == group)
    }
}

impl Supervisor {
    /// What the builder says.
    pub(super) fn build_event(&mut self, event: BuildEvent) {
        let of = match &event {
            BuildEvent::Detected { module, .. }
            | BuildEvent::Started { module, .. }
            | BuildEvent::Built { module, .. }
            | BuildEvent::Unchanged { module, .. }
            | BuildEvent::Failed { module, .. } => Some(module),
            _ => None,
        };
        if of.is_some_and(|name| self.config.modules.iter().all(|known| known.name != *name)) {
            // It has been taken out of the configuration meanwhile.
            return;
        }
        let ended = match &event {
            BuildEvent::Built { module, .. }
            | BuildEvent::Unchanged { module, .. }
            | BuildEvent::Failed { module, .. }
            | BuildEvent::Cancelled { module }
            | BuildEvent::Primed { module, .. } => Some(module.clone()),
            _ => None,
        };
        self.take_build_event(event);
        if ended.is_some() {
            self.take_over_if_wanted();
        }
        // The host has heard of what was built by now.
        let building = &mut self.reloads.building;
        if ended.is_some_and(|module| building.remove(&module)) && building.is_empty() {
            self.to_host(ToHost::Building(false));
        }
    }

    fn take_build_event(&mut self, event: BuildEvent) {
        match event {
            BuildEvent::Together { modules } => self.reloads.together.begin(&modules),
            BuildEvent::Detected { files, module, .. } => self.detected(&files, &module),
            BuildEvent::Started { module, how } => {
                let next = self.next_version(&module);
                let line = format!("Compiling {module} v{next}...");
                self.log_about(LogLevel::Info, &module, line);
                if how == BuildMethod::Cargo {
                    let line = format!("{module} is built by cargo");
                    self.log_about(LogLevel::Debug, &module, line);
                    self.cargo_begins(module);
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
                let pending = Pending {
                    timings,
                    since: detected_at,
                    force: forced,
                    ..Pending::new(&module, &trigger, Built { artifact, hash })
                };
                self.built(pending, problems);
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
                    force: forced,
                    waiting,
                    ..Pending::new(&module, &trigger, Built { artifact, hash })
                };
                self.build_unchanged(pending);
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
                let name = module.clone();
                self.build_failed(module, problems, trigger, summary, times);
                self.build_ended(&name, None);
                self.end_if_stuck();
            }
            BuildEvent::Cancelled { module } => {
                let line = format!("{module}: a later save replaces the running build");
                self.log_about(LogLevel::Debug, &module, line);
            }
            BuildEvent::Priming { module } => self.cargo_begins(module),
            BuildEvent::Primed { left, .. } => {
                for (module, hash) in left {
                    self.to_host(ToHost::Leave { module, hash });
                }
            }
            BuildEvent::EngineStarted { .. }
            | BuildEvent::EngineBuilt
            | BuildEvent::EngineFailed { .. } => self.engine_event(event),
            BuildEvent::FilesChanged { files } => {
                self.assets_changed(&files);
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

    /// What cargo writes from here on is no build of others.
    fn cargo_begins(&mut self, module: String) {
        if self.reloads.building.is_empty() {
            self.to_host(ToHost::Building(true));
        }
        self.reloads.building.insert(module);
    }

    /// Something new was built of a module.
    fn built(&mut self, mut pending: Pending, problems: Vec<Problem>) {
        let (module, hash) = (pending.module.clone(), pending.built.hash);
        self.reloads.keep_artifacts(&module);
        self.set_build_problems(&module, problems);
        if pending.trigger == "startup" && self.reloads.has(&module, hash) {
            // The engine before has built it.
            let next = self.reloads.together.is_there(&module);
            return self.go_on(next);
        }
        pending.waiting = std::mem::take(&mut self.reloads.module(&module).waiting);
        if self.is_quarantined(&module, hash, pending.force) {
            self.refuse_quarantined(pending);
            return self.build_ended(&module, None);
        }
        self.reloads.module(&module).is_stuck = false;
        self.build_ended(&module, Some(pending));
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

    fn build_unchanged(&mut self, pending: Pending) {
        let name = pending.module.clone();
        if self.is_quarantined(&name, pending.built.hash, pending.force) {
            self.refuse_quarantined(pending);
            return self.build_ended(&name, None);
        }
        let is_active = self.reloads.active(&name).is_some();
        let is_grouped = self.reloads.together.is_grouped(&name);
        let module = self.reloads.module(&name);
        let last = module.applied.last();
        let is_last = last.is_some_and(|last| last.built == pending.built);
        let runs = is_active && is_last && !module.runs_external;
        if pending.force || is_grouped || !runs {
            // Asked for, or others wait for it, or the game was rolled back and the source went
            // there too.
            return self.build_ended(&name, Some(pending));
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
        // What the summary says is not said again.
        let texts: Vec<_> = errors
            .filter(|problem| !summary.contains(&problem.message))
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
    }

    /// A build has ended, with something that could be loaded or without. Loads what waits for
    /// nothing else now.
    fn build_ended(&mut self, module: &str, pending: Option<Pending>) {
        let next = self.reloads.together.ended(module, pending);
        self.go_on(next);
    }

    fn go_on(&mut self, next: Next<Pending>) {
        match next {
            Next::Load(group) => self.load_group(group),
            Next::Hold { built, failed } => {
                for pending in built {
                    self.hold(pending, &failed);
                }
            }
        }
    }

    fn load_group(&mut self, group: Vec<Pending>) {
        for pending in &group {
            let built = pending.built.clone();
            self.reloads.module(&pending.module).latest = Some(built);
        }
        if !group.is_empty() {
            self.send_load(group);
        }
    }

    /// Keeps the host from taking a build that does not get in for one of others.
    fn leave(&self, pending: &Pending) {
        self.to_host(ToHost::Leave {
            module: pending.module.clone(),
            hash: pending.built.hash,
        });
    }

    /// Says that a build has to wait for modules that do not compile.
    fn hold(&mut self, pending: Pending, failed: &[String]) {
        let names: Vec<String> = failed.iter().map(|name| format!("`{name}`")).collect();
        let (names, verb) = match names.as_slice() {
            [one] => (one.clone(), "does"),
            names => (names.join(", "), "do"),
        };
        let mut group = vec![pending.module.clone()];
        group.extend(failed.iter().cloned());
        group.sort();
        let why = format!(
            "{names} {verb} not compile, so {}; it gets in with the fix",
            keep_running(&group)
        );
        self.refuse(pending, why);
    }

    /// A build is not loaded.
    fn refuse(&mut self, pending: Pending, why: String) {
        self.leave(&pending);
        let status = ReloadStatus {
            module: pending.module,
            outcome: ReloadOutcome::Rejected,
            trigger: pending.trigger,
            message: why,
            timings_ms: build_timings(pending.timings, pending.since.elapsed()),
            ..ReloadStatus::default()
        };
        self.judge(&status, status.trigger == PUSH);
        self.record(status, pending.waiting);
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

    /// Sends builds that get in together.
    fn send_load(&mut self, group: Vec<Pending>) {
        self.end_stall_for_build();
        if self.host.is_none() && self.restarts.waits_for_build {
            self.start_for_build(&group);
        }
        let loads = self.reloads.load(group);
        let tickets: Vec<u64> = loads.iter().map(|load| load.ticket).collect();
        let modules: Vec<String> = loads.iter().map(|load| load.module.clone()).collect();
        if self.to_host(ToHost::Load(loads)) {
            for module in modules {
                self.tell_stalled_load(&module);
            }
            return;
        }
        // They are remembered as the latest: the next host begins with them.
        for ticket in tickets {
            let Some(pending) = self.reloads.pending.remove(&ticket) else {
                continue;
            };
            let line = "Built; the next host begins with it".to_owned();
            self.log_about(LogLevel::Info, &pending.module, line);
            for (client, id) in pending.waiting {
                let text = "it was built, but no host is running; R starts one with it".to_owned();
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

    /// A client asks for a module to be built and loaded again.
    pub(super) fn reload(&mut self, client: ClientId, id: u64, module: &str) {
        let Some(library) = self.find_module(client, id, module) else {
            return;
        };
        if self.reload_script(client, id, module) {
            return;
        }
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
                    force: true,
                    waiting: vec![(client, id)],
                    ..Pending::new(module, "request", Built { artifact, hash })
                };
                self.send_load(vec![pending]);
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
            || self.roll_back_stalled(client, id, module, state)
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
        let partners = match self.reloads.partners(module) {
            Ok(partners) => partners,
            Err(why) => return refuse(&format!("there is no earlier version: {why}")),
        };
        let pending = Pending {
            force: true,
            rollback: true,
            restore: state,
            waiting: vec![(client, id)],
            ..Pending::new(module, "request", before.built.clone())
        };
        self.roll_back(pending, partners);
    }

    /// Goes back to an earlier build of a module, and of those that got in together with what
    /// runs of it. What is left comes back together.
    fn roll_back(&mut self, pending: Pending, partners: Vec<(String, Built)>) {
        let trigger = pending.trigger.clone();
        let mut left = Vec::new();
        let mut group = vec![pending];
        for (module, built) in partners {
            group.push(Pending {
                force: true,
                rollback: true,
                ..Pending::new(&module, &trigger, built)
            });
        }
        if group.len() > 1 {
            for pending in &group {
                let module = self.reloads.module(&pending.module);
                let built = module.applied.last().filter(|_| pending.failed.is_none());
                let again = built.map(|last| {
                    let built = last.built.clone();
                    Pending::new(&pending.module, "rollback", built)
                });
                left.push((pending.module.clone(), again));
            }
        }
        self.send_load(group);
        if !left.is_empty() {
            self.reloads.together.hold(left);
        }
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
            force: true,
            rollback: true,
            failed: Some(Failed { message, problem }),
            ..Pending::new(module, "panic", before.built.clone())
        };
        // Those that have nothing to go back to stay, and the host says whether that fits.
        let partners = self.reloads.partners(module).unwrap_or_default();
        self.roll_back(pending, partners);
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
        let pushed = (pending.trigger == PUSH).then(|| pending.module.clone());
        let why = format!(
            "this code failed before and is quarantined; change it, or load it all the same with \
             `inspector reload {}`",
            pending.module
        );
        self.refuse(pending, why);
        if let Some(module) = pushed {
            self.script_went_back(&module);
        }
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
