//! The thread `build-run`: decides what to build and how, runs one compiler at
//! a time, and reports.
//!
//! `work` collects the work of each module, this file runs it, `capturing`
//! keeps the captured commands, `settle` compares with the disk, `report` sends
//! the events. A build is only reported when the files it read are those on
//! disk ([`Runner::settle`]), so
//! neither a half-written file nor a save during the build leads to a wrong
//! report: the build is cancelled or, if it was already through, repeated.

mod capturing;
mod engine;
mod modules;
mod output;
mod report;
mod settle;
mod work;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, select};
use inspector_protocol::content_hash;
use inspector_protocol::status::Problem;

use self::capturing::Captures;
use self::output::RustcOutput;
use self::report::{Outcome, timings};
use self::settle::Settled;
use self::work::{Job, Queue, Work};
use crate::artifact::{Artifact, Publish};
use crate::cargo::{CargoCall, CargoReport, ModuleReport};
use crate::config::{BuilderConfig, ModuleSource};
use crate::depinfo;
use crate::environment::{self, Variable};
use crate::error::BuildError;
use crate::event::{BuildEvent, BuildMethod};
use crate::process::{Compiler, Line};
use crate::project::{Effect, Project};
use crate::replay;
use crate::shared::Shared;
use crate::snapshot::Observed;
use crate::watch::Notice;

/// How often cargo is run again because it changed the lock file.
const LOCK_ROUNDS: usize = 3;

/// What is known about a module beside its place in the workspace.
#[derive(Debug, Default)]
struct ModuleState {
    /// The last artifact that was reported.
    last: Option<LastBuild>,
    /// Cargo has to be asked before a command can be repeated.
    needs_cargo: bool,
    /// The last build failed.
    is_failed: bool,
    /// A command was already looked for in idle time.
    is_primed: bool,
    /// Files that matter to it, with the revision of the sources they are for.
    relevant: Option<(u64, Vec<PathBuf>)>,
}

#[derive(Debug)]
struct LastBuild {
    artifact: Artifact,
    problems: Vec<Problem>,
    /// Content of all files that matter to the module.
    fingerprint: u64,
}

/// The build that is running.
#[derive(Debug)]
struct Running {
    modules: Vec<usize>,
    is_cargo: bool,
    /// The engine is built as well.
    has_engine: bool,
    /// When it started, for files that are found to be inputs afterwards.
    since: SystemTime,
    started: Instant,
}

/// How waiting for a compiler ended.
enum Waited {
    /// It ran to its end; whether with success.
    Done(bool),
    /// A later save made it pointless; it is ended.
    Cancelled,
    /// The builder is being dropped; it is ended.
    Stopped,
}

/// What the thread owns.
#[derive(Debug)]
pub(crate) struct Runner {
    config: BuilderConfig,
    project: Project,
    modules: Vec<ModuleState>,
    queue: Queue,
    shared: Arc<Shared>,
    woken: Receiver<()>,
    notices: Sender<Notice>,
    events: Sender<BuildEvent>,
    cargo: OsString,
    environment: Vec<Variable>,
    captures: Captures,
    artifacts: PathBuf,
    outputs: PathBuf,
    /// Cargo rewrote the lock file during its own build.
    is_lock_changed: bool,
    /// The modules from now on, to be taken over when no compiler runs.
    next_modules: Option<Vec<ModuleSource>>,
    /// The file because of which the engine has to be built.
    engine_work: Option<PathBuf>,
}

impl Runner {
    pub(crate) fn new(
        config: BuilderConfig,
        project: Project,
        shared: Arc<Shared>,
        woken: Receiver<()>,
        notices: Sender<Notice>,
        events: Sender<BuildEvent>,
    ) -> Result<Self, BuildError> {
        let folder = config.target_dir.join("liveloop").join(&config.profile);
        let environment = environment::inherited();
        let captures = Captures::new(&folder, &config, &project, &environment)?;
        let modules = project
            .modules
            .iter()
            .map(|_| ModuleState::default())
            .collect();
        Ok(Self {
            modules,
            queue: Queue::default(),
            shared,
            woken,
            notices,
            events,
            cargo: environment::cargo_program(),
            environment,
            artifacts: folder.join("artifacts"),
            outputs: folder,
            captures,
            is_lock_changed: false,
            next_modules: None,
            engine_work: None,
            config,
            project,
        })
    }

    /// Runs until the builder is dropped.
    pub(crate) fn run(mut self) {
        let now = Instant::now();
        for index in 0..self.modules.len() {
            self.queue.add(index, Work::startup(now));
        }
        while !self.shared.is_stopping() {
            self.absorb(None);
            if let Some(modules) = self.next_modules.take() {
                self.change_modules(modules);
            }
            if self.build_next() || self.prime_next() {
                continue;
            }
            if self.woken.recv().is_err() {
                return;
            }
        }
    }

    // ---- what to do --------------------------------------------------------

    /// Takes over what the watching thread has found. True if it concerns the
    /// running build.
    fn absorb(&mut self, running: Option<&Running>) -> bool {
        let changes = self.shared.take_changes();
        for message in changes.problems {
            self.send(BuildEvent::WatchProblem { message });
        }
        if !changes.assets.is_empty() {
            self.send(BuildEvent::FilesChanged {
                files: changes.assets.into_iter().collect(),
            });
        }
        let mut concerns_running = changes.modules.is_some();
        if let Some(modules) = changes.modules {
            self.next_modules = Some(modules);
        }
        let mut arrivals: Vec<_> = changes.changed.into_iter().collect();
        // In the order of their arrival, so that the trigger is the first.
        arrivals.sort_by_key(|(_, at)| *at);
        for (path, at) in arrivals {
            if running.is_some_and(|running| running.is_cargo) && path == self.project.lock_file() {
                self.is_lock_changed = true;
                continue;
            }
            concerns_running |= self.note_for_engine(&path, running);
            let concerned = self.project.concerned(&path);
            if concerned.len() > 1 {
                let names = concerned.iter();
                self.send(BuildEvent::Together {
                    modules: names
                        .map(|(index, _)| self.project.modules[*index].name.clone())
                        .collect(),
                });
            }
            for (index, effect) in concerned {
                let work = Work::changed(path.clone(), effect == Effect::Cargo, at);
                self.queue.add(index, work);
                concerns_running |= is_part(running, index) || is_engine_alone(running);
            }
        }
        for (path, at) in changes.touched {
            for index in 0..self.modules.len() {
                let effect = self.project.effect(index, &path);
                if effect != Effect::None && !is_part(running, index) {
                    self.queue.add(
                        index,
                        Work::touched(path.clone(), effect == Effect::Cargo, at),
                    );
                }
            }
        }
        for (name, at) in changes.requests {
            if let Some(index) = self.project.modules.iter().position(|m| m.name == name) {
                self.queue.add(index, Work::requested(at));
            }
        }
        concerns_running
    }

    /// Does the next piece of work. False if there is none.
    fn build_next(&mut self) -> bool {
        if let Some(job) = self.next_unchanged() {
            self.report_untouched(job);
            return true;
        }
        let captures = &self.captures;
        let modules = &self.modules;
        let is_cargo = |index: usize, work: &Work| {
            work.needs_cargo || modules[index].needs_cargo || !captures.is_ready(index)
        };
        match self.queue.next(is_cargo) {
            Some(Job::Replay(index, work)) => self.build_by_replay(index, work),
            Some(Job::Cargo(works)) => self.build_by_cargo(works),
            None if self.engine_work.is_some() => self.build_by_cargo(Vec::new()),
            None => return false,
        }
        true
    }

    /// Work whose files have the content of the last artifact.
    fn next_unchanged(&mut self) -> Option<(usize, Work)> {
        let waiting: Vec<usize> = self.queue.plain().collect();
        for index in waiting {
            let fingerprint = self.fingerprint(index);
            let last = self.modules[index].last.as_ref();
            if last.is_some_and(|last| last.fingerprint == fingerprint) {
                return self.queue.take(index).map(|work| (index, work));
            }
        }
        None
    }

    fn report_untouched(&mut self, (index, work): (usize, Work)) {
        let started = Instant::now();
        self.send_detected(index, &work);
        let state = &mut self.modules[index];
        state.is_failed = false;
        state.needs_cargo = false;
        self.set_broken(index, false);
        self.send_unchanged(index, &work, timings(&work, started));
    }

    // ---- the two ways to build ----------------------------------------------

    fn build_by_replay(&mut self, index: usize, work: Work) {
        let running = Running {
            modules: vec![index],
            is_cargo: false,
            has_engine: false,
            since: SystemTime::now(),
            started: Instant::now(),
        };
        let out = self
            .outputs
            .join(self.captures.output_folder(&self.project.modules[index]));
        let command = fs::create_dir_all(&out)
            .ok()
            .and_then(|()| self.captures.command(index, &self.environment, &out));
        let Some(command) = command else {
            self.by_cargo_instead(index, work);
            return;
        };
        self.send_detected(index, &work);
        self.send_started(index, BuildMethod::Replay);

        let mut output = RustcOutput::default();
        let Ok(compiler) = Compiler::spawn(command) else {
            return self.cancelled(vec![(index, work.through_cargo())]);
        };
        let is_success = match self.wait(compiler, &running, &mut |line| output.read(line)) {
            Waited::Done(is_success) => is_success,
            Waited::Cancelled => return self.cancelled(vec![(index, work)]),
            Waited::Stopped => return,
        };
        let module = &self.project.modules[index];
        if is_success {
            let dep_info = out.join(format!("{}.d", self.captures.output_stem(module)));
            let own = depinfo::read(&dep_info, self.captures.folder(index));
            let file = out.join(self.captures.output_name(module));
            self.set_inputs(index, own, None);
            match self.settle(&running, is_success) {
                Settled::Outdated => self.cancelled(vec![(index, work)]),
                Settled::Current(prints) => {
                    let problems = output.problems(&self.project, index);
                    let print = prints.first().copied().unwrap_or_default();
                    let outcome = Outcome {
                        file,
                        how: Publish::Move,
                        problems,
                        print,
                    };
                    self.succeeded(index, &work, outcome, running.started);
                }
            }
            return;
        }
        // Not a mistake in the source: let cargo find out what it is.
        if output.is_suspicious() {
            self.captures.forget(index);
            self.cancelled(vec![(index, work.through_cargo())]);
            return;
        }
        match self.settle(&running, is_success) {
            Settled::Outdated => self.cancelled(vec![(index, work)]),
            Settled::Current(_) => {
                let problems = output.problems(&self.project, index);
                self.failed(index, &work, problems, running.started);
            }
        }
    }

    fn by_cargo_instead(&mut self, index: usize, work: Work) {
        self.captures.forget(index);
        self.queue.add(index, work.through_cargo());
    }

    fn build_by_cargo(&mut self, works: Vec<(usize, Work)>) {
        let engine = self.engine_work.take();
        let running = Running {
            modules: works.iter().map(|(index, _)| *index).collect(),
            is_cargo: true,
            has_engine: engine.is_some(),
            since: SystemTime::now(),
            started: Instant::now(),
        };
        for (index, work) in &works {
            self.send_detected(*index, work);
            self.send_started(*index, BuildMethod::Cargo);
        }
        self.mark_overlooked(&works);
        self.send_engine_started(engine.as_deref());
        let (report, is_success) = match self.run_cargo(&running) {
            Ok(done) => done,
            Err(Waited::Stopped) => return,
            Err(_) => {
                self.put_engine_back(engine);
                return self.cancelled(works);
            }
        };
        let is_new_workspace = works.iter().any(|(_, work)| {
            work.is_startup() || work.files.iter().any(|path| self.project.is_manifest(path))
        });
        if is_new_workspace {
            self.reload_project(&works);
        }
        self.take_captures(is_new_workspace);

        let mut artifacts = Vec::with_capacity(works.len());
        for (index, _) in &works {
            let module = &self.project.modules[*index];
            let result = report.for_module(module, &self.config.root);
            if let ModuleReport::Artifact { path, .. } = &result {
                self.captures.set_profile_folder(path);
                let (own, all) = self.inputs_of_cargo(*index, path);
                self.set_inputs(*index, own, Some(all));
            }
            artifacts.push(result);
        }
        let Settled::Current(prints) = self.settle(&running, is_success) else {
            // What cargo was asked for has been done as far as it could be,
            // but it was for sources that are gone.
            self.put_engine_back(engine);
            return self.cancelled(works);
        };
        for (((index, work), result), print) in works.into_iter().zip(artifacts).zip(prints) {
            let is_captured = self.captures.is_ready(index);
            match result {
                ModuleReport::Artifact {
                    path: file,
                    problems,
                } => {
                    self.modules[index].needs_cargo = false;
                    let outcome = Outcome {
                        file,
                        how: Publish::Copy,
                        problems,
                        print,
                    };
                    self.succeeded(index, &work, outcome, running.started);
                }
                ModuleReport::Failed { problems } => {
                    // If its compiler was run, everything before it is in order.
                    self.modules[index].needs_cargo =
                        !(is_captured && self.captures.is_fresh(index));
                    self.failed(index, &work, problems, running.started);
                }
            }
        }
        if running.has_engine {
            self.engine_ended(&report);
        }
    }

    /// Runs cargo until the lock file stays as it is.
    fn run_cargo(&mut self, running: &Running) -> Result<(CargoReport, bool), Waited> {
        let mut rounds = 0;
        loop {
            rounds += 1;
            self.is_lock_changed = false;
            // The wrapper is the engine's executable, which may be replaced half-way.
            let with_wrapper = self.captures.is_wrapping() && !running.has_engine;
            let (mut report, mut is_success) = self.run_cargo_once(running, with_wrapper)?;
            if with_wrapper && !is_success && self.captures.is_blamed_in(report.text()) {
                (report, is_success) = self.run_cargo_once(running, false)?;
                if !self.captures.is_blamed_in(report.text()) {
                    let message = self.captures.stop_wrapping();
                    self.send(BuildEvent::WatchProblem { message });
                }
            }
            let lock_file = self.project.lock_file();
            let mut state = self.shared.lock();
            let observed = state.sources.check(&lock_file);
            // The watching thread may have seen it first.
            let is_waiting = state.changes.changed.remove(&lock_file).is_some();
            drop(state);
            let observed = if is_waiting {
                Observed::Changed
            } else {
                observed
            };
            let is_lock_changed = self.is_lock_changed || observed == Observed::Changed;
            if !is_lock_changed || !is_success || rounds >= LOCK_ROUNDS {
                return Ok((report, is_success));
            }
        }
    }

    fn run_cargo_once(
        &mut self,
        running: &Running,
        with_wrapper: bool,
    ) -> Result<(CargoReport, bool), Waited> {
        let call = CargoCall {
            program: &self.cargo,
            root: &self.config.root,
            target_dir: &self.config.target_dir,
            profile: &self.config.profile,
            selection: &self.config.selection,
            binary: self
                .config
                .engine
                .as_ref()
                .filter(|_| running.has_engine)
                .map(|engine| engine.binary.as_str()),
            environment: &self.environment,
        };
        let mut command = call.command();
        if with_wrapper {
            self.captures
                .wrap(&mut command, &self.project, &self.environment);
        }
        let mut report = CargoReport::default();
        let compiler = match Compiler::spawn(command) {
            Ok(compiler) => compiler,
            Err(error) => {
                let program = self.cargo.to_string_lossy();
                report.read(Line::Err(format!("error: cannot run `{program}`: {error}")));
                return Ok((report, false));
            }
        };
        match self.wait(compiler, running, &mut |line| report.read(line)) {
            Waited::Done(is_success) => Ok((report, is_success)),
            other => Err(other),
        }
    }

    /// Reads a compiler's output until it ends, is made pointless by a later
    /// save, or the builder is dropped.
    fn wait(
        &mut self,
        compiler: Compiler,
        running: &Running,
        sink: &mut dyn FnMut(Line),
    ) -> Waited {
        let woken = self.woken.clone();
        loop {
            select! {
                recv(compiler.lines()) -> line => match line {
                    Ok(line) => sink(line),
                    Err(_) => {
                        return Waited::Done(compiler.finish().is_ok_and(|status| status.success()));
                    }
                },
                recv(woken) -> wake => {
                    if wake.is_err() || self.shared.is_stopping() {
                        return Waited::Stopped;
                    }
                    if self.absorb(Some(running)) {
                        return Waited::Cancelled;
                    }
                }
            }
        }
    }

    // ---- idle time -----------------------------------------------------------

    /// When a module was fresh from the start, cargo ran no compiler whose
    /// command could be captured. Lets it run once while nothing else is to do,
    /// so that the first edit is as fast as the later ones. False if there is
    /// nothing to prime.
    fn prime_next(&mut self) -> bool {
        let Some(profile_folder) = self.captures.profile_folder().map(Path::to_owned) else {
            return false;
        };
        let index = (0..self.modules.len()).find(|index| {
            let state = &self.modules[*index];
            !state.is_primed
                && !state.is_failed
                && state.last.is_some()
                && !self.captures.is_ready(*index)
        });
        let (Some(index), true) = (index, self.captures.is_wrapping()) else {
            return false;
        };
        self.modules[index].is_primed = true;
        let module = &self.project.modules[index];
        if !replay::mark_stale(&profile_folder, &module.package, &module.crate_name) {
            return true;
        }
        let running = Running {
            modules: (0..self.modules.len()).collect(),
            is_cargo: true,
            has_engine: false,
            since: SystemTime::now(),
            started: Instant::now(),
        };
        let name = module.name.clone();
        self.send(BuildEvent::Priming {
            module: name.clone(),
        });
        let before = self.libraries(&profile_folder);
        if self.run_cargo(&running).is_ok() {
            self.take_captures(false);
        }
        let after = self.libraries(&profile_folder);
        let changed = after
            .into_iter()
            .zip(before)
            .filter(|(after, before)| after != before);
        let left = changed.filter_map(|((module, library, _), _)| {
            let bytes = fs::read(library).ok()?;
            Some((module, content_hash(&bytes)))
        });
        let left = left.collect();
        self.send(BuildEvent::Primed { module: name, left });
        true
    }

    /// The libraries of all modules in cargo's folder, each with the time it was written.
    fn libraries(&self, folder: &Path) -> Vec<(String, PathBuf, Option<SystemTime>)> {
        use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
        let modules = self.project.modules.iter();
        let libraries = modules.map(|module| {
            let library = folder.join(format!("{DLL_PREFIX}{}{DLL_SUFFIX}", module.crate_name));
            let about = fs::metadata(&library).and_then(|about| about.modified());
            (module.name.clone(), library, about.ok())
        });
        libraries.collect()
    }
}

/// Whether nothing but the engine is being built.
fn is_engine_alone(running: Option<&Running>) -> bool {
    running.is_some_and(|running| running.has_engine && running.modules.is_empty())
}

fn is_part(running: Option<&Running>, index: usize) -> bool {
    running.is_some_and(|running| running.modules.contains(&index))
}
