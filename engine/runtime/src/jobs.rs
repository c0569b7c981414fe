//! Jobs: takes what systems started to the workers, and results back into the world.
//!
//! A job is code of the version that started it: on its thread it is a call of that version,
//! and until its result is delivered it holds a [`Lease`], so that the version stays mapped.
//! The result goes to the version that is active when it is delivered, between two frames.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use engine_api::bevy_ecs::world::World;
use engine_api::bevy_reflect::{PartialReflect, Reflect, TypeRegistry};
use engine_api::job::{Job, JobBoard, JobFailed, JobId, JobResultType, StartedJob};
use engine_api::migration::MigrationRegistration;
use inspector_protocol::status::{Problem, Severity};

use crate::call::{self, CallId};
use crate::data::{Data, Fitter};
use crate::migrate::written;
use crate::outbox::Outbox;
use crate::panic::{self, PanicReport};
use crate::part::Part;
use crate::registry::{Lease, Registry, VersionKey};
use crate::swap::ActiveModules;
use crate::telemetry::Board;
use crate::workers::{MAX_WORKERS, Workers};
use list::Entry;

mod list;

pub use list::JobList;

/// What a version knows of the results of its jobs.
#[derive(Default)]
pub struct Results {
    /// Types.
    pub types: Vec<JobResultType>,
    /// Written migrations, for results of types that changed.
    pub migrations: Vec<MigrationRegistration>,
}

impl Results {
    pub(crate) fn new(types: Vec<JobResultType>, migrations: Vec<MigrationRegistration>) -> Self {
        Self { types, migrations }
    }
}

/// All jobs of a host. Lives on the frame thread.
pub(crate) struct JobDesk {
    /// Shared with the world, where systems start jobs.
    board: JobBoard,
    telemetry: Arc<Board>,
    /// Jobs for which no worker was free.
    waiting: VecDeque<Box<Task>>,
    /// Theirs alone: calls by name have others, and never wait for a job.
    workers: Workers,
    /// Jobs that workers have.
    with_workers: usize,
    done: Sender<Box<Ended>>,
    ended: Receiver<Box<Ended>>,
}

/// A job on its way. What belongs to the version comes before the lease on it.
struct Task {
    started: StartedJob,
    of: Of,
    call: CallId,
    /// What is said of it should it crash.
    label: String,
    entry: Arc<Entry>,
}

/// A job that was run, or was cancelled before.
struct Ended {
    id: JobId,
    name: String,
    job: Arc<Job>,
    own_thread: bool,
    /// `None` if it was cancelled before it began.
    result: Option<Result<Box<dyn Reflect>, PanicReport>>,
    of: Of,
}

/// Which version a job belongs to, and type of its result as that one knows it.
struct Of {
    module: String,
    key: VersionKey,
    result: JobResultType,
    _lease: Lease,
}

impl JobDesk {
    /// A desk without jobs; what there is to see of them is shown on `telemetry`.
    pub(crate) fn new(telemetry: Arc<Board>) -> Self {
        let (done, ended) = unbounded();
        Self {
            board: JobBoard::new(|| call::current().map(CallId::bits)),
            telemetry,
            waiting: VecDeque::new(),
            workers: Workers::named("job"),
            with_workers: 0,
            done,
            ended,
        }
    }

    /// The board, for the world.
    pub(crate) fn board(&self) -> JobBoard {
        self.board.clone()
    }

    /// Sends what systems started to the workers. Between frames, before a swap: what was
    /// started belongs to the versions that are active.
    pub(crate) fn dispatch(
        &mut self,
        modules: &ActiveModules,
        world: &mut World,
        registry: &Registry,
        outbox: &Outbox,
    ) {
        for started in self.board.take_started() {
            match owner(&started, modules, registry) {
                Ok((of, call)) => {
                    let label = label(&started, registry);
                    self.take(started, of, call, label);
                }
                Err(why) => {
                    outbox.error(format!("job `{}` was not started: {why}", started.name));
                    self.fail(world, started.id, started.name.clone(), why);
                    let _ = panic::guard(|| drop(started));
                }
            }
        }
        self.drop_cancelled();
        while self.with_workers < MAX_WORKERS
            && let Some(task) = self.waiting.pop_front()
        {
            let done = self.done.clone();
            // The host may have ended meanwhile; then nobody waits for the result.
            let refused = self
                .workers
                .run(move || drop(done.send(Box::new(task.run()))))
                .is_err();
            debug_assert!(!refused, "there is a worker for each job");
            self.with_workers += usize::from(!refused);
        }
    }

    fn take(&mut self, started: StartedJob, of: Of, call: CallId, label: String) {
        let StartedJob { id, name, job, .. } = &started;
        let entry = Arc::new(Entry::new(*id, name, &of.module, of.key, job.clone()));
        self.telemetry.jobs.add(entry.clone());
        let own_thread = started.own_thread;
        let task = Task {
            started,
            of,
            call,
            label,
            entry,
        };
        if own_thread {
            self.start_thread(task);
        } else {
            self.waiting.push_back(Box::new(task));
        }
    }

    /// Runs a job on a thread of its own; if the system gives none, it takes its turn with the
    /// others.
    fn start_thread(&mut self, mut task: Task) {
        let name = task.started.name.replace('\0', " ");
        // A closure that no thread takes would drop the task outside of a call.
        let (give, take) = bounded::<Task>(1);
        let done = self.done.clone();
        let body = move || {
            if let Ok(task) = take.recv() {
                let _ = done.send(Box::new(task.run()));
            }
        };
        if std::thread::Builder::new().name(name).spawn(body).is_ok() {
            let _ = give.send(task);
        } else {
            task.started.own_thread = false;
            self.waiting.push_back(Box::new(task));
        }
    }

    /// Jobs that were cancelled before they began need no worker.
    fn drop_cancelled(&mut self) {
        let is_cancelled = |task: &Task| task.started.job.is_cancelled();
        if !self.waiting.iter().any(|task| is_cancelled(task)) {
            return;
        }
        let all = std::mem::take(&mut self.waiting);
        let (cancelled, waiting) = all
            .into_iter()
            .partition::<VecDeque<Box<Task>>, _>(|task| is_cancelled(task));
        self.waiting = waiting;
        for task in cancelled {
            let ended = task.run();
            self.telemetry.jobs.remove(ended.id);
            self.board.forget(ended.id);
        }
    }

    /// Delivers the results of jobs that have ended. Between frames, after a swap. Runs
    /// observers.
    pub(crate) fn deliver(&mut self, modules: &ActiveModules, world: &mut World, outbox: &Outbox) {
        while let Ok(ended) = self.ended.try_recv() {
            let Ended {
                id,
                name,
                job,
                own_thread,
                result,
                of,
            } = *ended;
            self.with_workers -= usize::from(!own_thread);
            let why = match result {
                Some(Ok(value)) if !job.is_cancelled() => deliver(value, &of, modules, world).err(),
                Some(Err(report)) => {
                    report_panic(&name, &of, &report, outbox, &self.telemetry);
                    Some(format!("it panicked at {}", report.summary()))
                }
                // Dropped by the code that made it.
                result => {
                    let _call = call::enter(Part::Values.of(of.key.id));
                    let _ = panic::guard(|| drop(result));
                    None
                }
            };
            self.board.forget(id);
            self.telemetry.jobs.remove(id);
            if let Some(why) = why {
                outbox.warn(format!(
                    "Module '{}' v{}: no result of job `{name}`: {why}",
                    of.module, of.key.number
                ));
                self.fail(world, id, name, why);
            }
        }
    }

    /// Tells observers that there will be no result.
    fn fail(&self, world: &mut World, id: JobId, name: String, why: String) {
        self.board.forget(id);
        let _ = panic::guard(|| world.trigger(JobFailed { id, name, why }));
    }
}

impl Task {
    /// Runs the work, on whichever thread.
    fn run(self) -> Ended {
        let Self {
            started,
            of,
            call,
            label,
            entry,
        } = self;
        let StartedJob {
            id,
            name,
            job,
            own_thread,
            work,
            ..
        } = started;
        // Also what is not run is dropped by code of the version.
        let _call = call::enter(call);
        let result = if job.is_cancelled() {
            let _ = panic::guard(|| drop(work));
            None
        } else {
            entry.begin();
            call::labelled(&label, || Some(panic::guard(|| work(&job))))
        };
        Ended {
            id,
            name,
            job,
            own_thread,
            result,
            of,
        }
    }
}

/// `` `level` of `game_logic::plan` ``: a job, and the function that started it.
fn label(started: &StartedJob, registry: &Registry) -> String {
    let caller = started.started_by.map(CallId::from_bits);
    match caller.and_then(|caller| registry.name_call(caller)) {
        Some((.., function)) => format!("`{}` of `{function}`", started.name),
        None => format!("`{}`", started.name),
    }
}

/// Finds out which version started a job.
fn owner(
    started: &StartedJob,
    modules: &ActiveModules,
    registry: &Registry,
) -> Result<(Of, CallId), String> {
    let caller = started.started_by.map(CallId::from_bits);
    let active = caller.and_then(|caller| modules.by_version(caller.version()));
    let Some(active) = active else {
        return Err("nobody knows which module started it".to_owned());
    };
    let mut types = active.results.types.iter();
    let Some(result) = types.find(|ty| ty.id == started.result) else {
        return Err(format!(
            "module `{}` does not say that `{path}` is a result; add `m.job_result::<{name}>()`",
            active.name,
            path = started.result_path,
            name = started.result_path.rsplit("::").next().unwrap_or_default(),
        ));
    };
    let lease = registry.lease(&active.name, active.key);
    let of = Of {
        module: active.name.clone(),
        key: active.key,
        result: result.clone(),
        _lease: lease.unwrap_or_default(),
    };
    let call = registry.name_job(&active.name, active.key, &started.name);
    Ok((of, call))
}

/// Triggers a result as an event that the active version knows.
///
/// # Errors
/// Why it has no place to go.
fn deliver(
    value: Box<dyn Reflect>,
    of: &Of,
    modules: &ActiveModules,
    world: &mut World,
) -> Result<(), String> {
    let old = &of.result;
    let Some(active) = modules.get(&of.module) else {
        return Err("its module has no active version".to_owned());
    };
    let before = |ty: &&JobResultType| ty.schema.renamed_from.0.contains(&old.schema.path);
    let types = &active.results.types;
    let found = types.iter().find(|ty| ty.schema.path == old.schema.path);
    let Some(new) = found.or_else(|| types.iter().find(before)) else {
        return Err(format!(
            "`{}` is no result of v{} any more",
            old.schema.path, active.key.number
        ));
    };
    let _call = call::enter(Part::Results.of(active.key.id));
    let delivered = panic::guard(|| {
        if new.id == old.id && new.schema.hash() == old.schema.hash() {
            let other = || "it is of another type than it says".to_owned();
            return (new.trigger)(world, value).then_some(()).ok_or_else(other);
        }
        let made = migrated(&*value, &active.results, old, new)?;
        if (new.trigger_reflected)(world, &*made) {
            return Ok(());
        }
        Err(format!(
            "no value of `{}` can be made: a part that was added has no default value; derive \
             `Default` and add `#[reflect(Default)]`",
            new.schema.path
        ))
    });
    let _ = panic::guard(|| world.flush());
    delivered.unwrap_or_else(|report| Err(format!("an observer panicked at {}", report.summary())))
}

/// What reflection needs to make a result of the new type out of one of the old type.
fn migrated(
    value: &dyn Reflect,
    results: &Results,
    old: &JobResultType,
    new: &JobResultType,
) -> Result<Box<dyn PartialReflect>, String> {
    let registry_of = |ty: &JobResultType| {
        let mut registry = TypeRegistry::new();
        (ty.reflect)(&mut registry);
        registry
    };
    let (old_registry, new_registry) = (registry_of(old), registry_of(new));
    let value = value.as_partial_reflect();
    let data = Data::with_sources(value, &old_registry, &old.schema.unseen)
        .map_err(|error| error.to_string())?;
    let chain = written::chain(&old.schema, new.id, &results.migrations)?;
    if !chain.is_empty() {
        return written::run(&chain, &data, &old.schema, &old_registry);
    }
    let fitter = Fitter {
        registry: &new_registry,
        limbo: &|_| None,
    };
    let made = fitter.fit(&data, &new.schema);
    made.map(|made| made.value)
        .map_err(|misfit| misfit.to_string())
}

/// Says that a job panicked, as a problem that stays until the module's next version.
fn report_panic(name: &str, of: &Of, report: &PanicReport, outbox: &Outbox, problems: &Board) {
    let message = format!("job `{name}` panicked: {}", report.message);
    outbox.error(format!(
        "Module '{}' v{}: job `{name}` panicked at {}",
        of.module,
        of.key.number,
        report.summary()
    ));
    let PanicReport {
        file, line, column, ..
    } = report;
    let problem = Problem {
        rendered: format!("error: {message}\n --> {file}:{line}:{column}\n"),
        module: of.module.clone(),
        severity: Severity::Error,
        file: file.clone(),
        line: *line,
        column: *column,
        message,
    };
    let key = format!("system:{}:job {name}", of.module);
    problems.set_problem(&key, Some(problem));
}
