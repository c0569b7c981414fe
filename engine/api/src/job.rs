//! Long work off the frame loop: path finding, making a level, reading a large file.
//!
//! A system starts a job through [`Jobs`]; its work runs on one of the host's threads, with
//! what it captured and nothing of the world, and its result comes back as an event:
//!
//! ```
//! use engine_api::prelude::*;
//!
//! #[derive(Event, Reflect)]
//! pub struct Level { pub walls: Vec<u32> }
//!
//! fn begin(mut jobs: Jobs) {
//!     jobs.start("make level", |job| {
//!         let mut walls = Vec::new();
//!         for row in 0..100 {
//!             if job.is_cancelled() {
//!                 break;
//!             }
//!             walls.push(row * row);
//!             job.set_progress(row as f32 / 100.0);
//!         }
//!         Level { walls }
//!     });
//! }
//!
//! fn put_in(level: On<Level>) {
//!     log::info!("a level with {} walls", level.walls.len());
//! }
//!
//! #[module]
//! pub fn game(m: &mut ModuleBuilder) {
//!     m.job_result::<Level>().systems(Startup, begin).observe(put_in);
//! }
//! # fn main() {}
//! ```
//!
//! A job belongs to the version whose system started it: it is one of its active calls, so
//! that version drains until the job has ended. Its result goes to the observers of the
//! version that is active then; if the type of the result has changed in between, the value
//! is migrated like a component's.
//!
//! Jobs live as long as the host: what was running is not in checkpoints. A resumed game
//! starts anew what it still needs.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bevy_ecs::event::Event;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Res, SystemParam};
use bevy_ecs::world::World;
use bevy_reflect::{
    FromReflect, GetTypeRegistration, PartialReflect, Reflect, TypeRegistry, Typed,
};

use crate::schema::Schema;

/// Identity of a job. Never used twice while a host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Reflect)]
pub struct JobId(u64);

impl JobId {
    /// The job's number, as the inspector shows it. From 1.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// What the work of a job sees of the job. Any thread.
#[derive(Debug, Default)]
pub struct Job {
    cancelled: AtomicBool,
    /// The bits of an `f32`.
    progress: AtomicU32,
}

impl Job {
    /// Whether somebody wants the job to end. Its result is dropped then, whatever it is.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Says how far the work is, from 0 to 1; values beyond are taken for the nearest. Costs
    /// a store.
    pub fn set_progress(&self, progress: f32) {
        let progress = if progress.is_nan() { 0.0 } else { progress };
        let bits = progress.clamp(0.0, 1.0).to_bits();
        self.progress.store(bits, Ordering::Relaxed);
    }

    /// How far the work is, from 0 to 1.
    pub fn progress(&self) -> f32 {
        f32::from_bits(self.progress.load(Ordering::Relaxed))
    }

    /// Asks the job to end.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// A job gave no result: it panicked, or its result had no place to go. An observer may hear
/// of it; it is reported anyway.
#[derive(Event, Debug, Clone)]
pub struct JobFailed {
    /// Which job.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Types of results: events that derive `Reflect`, so that they can be carried over to another
/// version.
pub trait JobResult:
    for<'a> Event<Trigger<'a>: Default> + Reflect + FromReflect + Typed + GetTypeRegistration
{
}

impl<T> JobResult for T where
    T: for<'a> Event<Trigger<'a>: Default> + Reflect + FromReflect + Typed + GetTypeRegistration
{
}

/// Starts jobs and looks after them. A system parameter; costs a lock per call, which the
/// host takes only between frames.
#[derive(SystemParam)]
pub struct Jobs<'w> {
    board: Res<'w, JobBoard>,
}

impl Jobs<'_> {
    /// Runs `work` on a thread of the host soon after this frame. What it returns is triggered as an event
    /// between two frames. `name` is what the inspector shows; jobs may share one.
    ///
    /// If the module did not register the result with
    /// [`job_result`](crate::module::ModuleBuilder::job_result), the job is not started, which
    /// is an error in the log and a [`JobFailed`].
    pub fn start<R: JobResult>(
        &mut self,
        name: impl Into<String>,
        work: impl FnOnce(&Job) -> R + Send + 'static,
    ) -> JobId {
        self.board.start(name.into(), false, work)
    }

    /// Like [`start`](Self::start), on a thread of its own, named like the job: for work that
    /// runs as long as the game, such as listening to a socket. It waits for no other job, and
    /// none waits for it. It should look at [`Job::is_cancelled`] now and then: its version
    /// cannot be unloaded before it ends.
    pub fn start_thread<R: JobResult>(
        &mut self,
        name: impl Into<String>,
        work: impl FnOnce(&Job) -> R + Send + 'static,
    ) -> JobId {
        self.board.start(name.into(), true, work)
    }

    /// Asks a job to end: one that did not begin never will, one that runs is told through
    /// [`Job::is_cancelled`]. `false` if it has ended already.
    pub fn cancel(&mut self, id: JobId) -> bool {
        let job = self.board.lock().jobs.get(&id).cloned();
        job.inspect(|job| job.cancel()).is_some()
    }

    /// How far a job is, from 0 to 1; `None` once its result was delivered.
    pub fn progress(&self, id: JobId) -> Option<f32> {
        self.board.lock().jobs.get(&id).map(|job| job.progress())
    }

    /// Whether a job waits, runs, or has a result that was not delivered yet.
    pub fn is_running(&self, id: JobId) -> bool {
        self.board.lock().jobs.contains_key(&id)
    }
}

/// What makes a job's result of what it captured.
pub type JobWork = Box<dyn FnOnce(&Job) -> Box<dyn Reflect> + Send>;

/// A job that was started and not taken by the host yet.
pub struct StartedJob {
    /// Which one.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Whether it has a thread of its own.
    pub own_thread: bool,
    /// What its work sees.
    pub job: Arc<Job>,
    /// Type of the result.
    pub result: TypeId,
    /// Path of that type.
    pub result_path: &'static str,
    /// The work.
    pub work: JobWork,
    /// What [`JobBoard::new`]'s function said.
    pub started_by: Option<u64>,
}

/// The jobs of a game, as a resource of the engine. Clones are the same board.
#[derive(Resource, Clone)]
pub struct JobBoard {
    shared: Arc<Mutex<Board>>,
    caller: fn() -> Option<u64>,
}

struct Board {
    started: Vec<StartedJob>,
    jobs: HashMap<JobId, Arc<Job>>,
    next: u64,
}

impl JobBoard {
    /// An empty board. `caller` says what runs on the thread that asks.
    pub fn new(caller: fn() -> Option<u64>) -> Self {
        let board = Board {
            started: Vec::new(),
            jobs: HashMap::new(),
            next: 1,
        };
        Self {
            shared: Arc::new(Mutex::new(board)),
            caller,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start<R: JobResult>(
        &self,
        name: String,
        own_thread: bool,
        work: impl FnOnce(&Job) -> R + Send + 'static,
    ) -> JobId {
        let job = Arc::new(Job::default());
        let mut board = self.lock();
        let id = JobId(board.next);
        board.next += 1;
        board.jobs.insert(id, job.clone());
        board.started.push(StartedJob {
            id,
            name,
            own_thread,
            job,
            result: TypeId::of::<R>(),
            result_path: R::type_path(),
            work: Box::new(move |job| Box::new(work(job))),
            started_by: (self.caller)(),
        });
        id
    }

    /// Takes the jobs that were started since the last time.
    pub fn take_started(&self) -> Vec<StartedJob> {
        std::mem::take(&mut self.lock().started)
    }

    /// Forgets a job whose result was delivered or dropped.
    pub fn forget(&self, id: JobId) {
        self.lock().jobs.remove(&id);
    }
}

/// A type of results, as one version of a module knows it.
#[derive(Clone)]
pub struct JobResultType {
    /// Identity.
    pub id: TypeId,
    /// What it is made of.
    pub schema: Schema,
    /// Adds it to a registry.
    pub reflect: fn(&mut TypeRegistry),
    /// Triggers a result as an event; `false`, and nothing else, if it is of another type.
    /// Runs the observers, on the thread that owns the world.
    pub trigger: fn(&mut World, Box<dyn Reflect>) -> bool,
    /// The same with a value made of what reflection sees; `false` if something is missing.
    pub trigger_reflected: fn(&mut World, &dyn PartialReflect) -> bool,
}

impl JobResultType {
    /// The type `R`. Runs its `Default` if that is reflected.
    pub fn of<R: JobResult>() -> Self {
        Self {
            id: TypeId::of::<R>(),
            schema: Schema::of::<R>(),
            reflect: TypeRegistry::register::<R>,
            trigger: |world, value| match value.downcast::<R>() {
                Ok(value) => {
                    world.trigger(*value);
                    true
                }
                Err(_) => false,
            },
            trigger_reflected: |world, value| match R::from_reflect(value) {
                Some(value) => {
                    world.trigger(value);
                    true
                }
                None => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use bevy_ecs::observer::On;
    use bevy_ecs::system::{In, ResMut};
    use bevy_reflect::TypePath;

    use super::*;

    #[derive(Event, Reflect)]
    struct Sum(u32);

    #[derive(Resource, Default)]
    struct Heard(Vec<u32>);

    #[test]
    fn a_job_is_taken_once_and_its_result_is_an_event() {
        let mut world = World::new();
        world.init_resource::<Heard>();
        world.insert_resource(JobBoard::new(|| Some(7)));
        world.add_observer(|sum: On<Sum>, mut heard: ResMut<Heard>| heard.0.push(sum.0));
        let id = world
            .run_system_cached(|mut jobs: Jobs| {
                jobs.start("add", |job| {
                    job.set_progress(2.0);
                    Sum(if job.is_cancelled() { 0 } else { 3 })
                })
            })
            .unwrap();
        let board = world.resource::<JobBoard>().clone();
        let mut started = board.take_started();
        assert!(board.take_started().is_empty());
        let started = started.pop().unwrap();
        assert_eq!((started.id, started.started_by), (id, Some(7)));
        let ty = JobResultType::of::<Sum>();
        assert_eq!(
            (started.result, started.result_path),
            (ty.id, Sum::type_path())
        );
        let result = (started.work)(&started.job);
        let look = |id: In<JobId>, jobs: Jobs| (jobs.is_running(*id), jobs.progress(*id));
        assert_eq!(
            world.run_system_cached_with(look, id).unwrap(),
            (true, Some(1.0))
        );
        assert!((ty.trigger)(&mut world, result));
        assert!(!(ty.trigger)(&mut world, Box::new(3_u8)));
        assert!((ty.trigger_reflected)(&mut world, &Sum(4)));
        assert!(!(ty.trigger_reflected)(&mut world, &3_u8));
        board.forget(id);
        assert_eq!(
            world.run_system_cached_with(look, id).unwrap(),
            (false, None)
        );
        assert_eq!(world.resource::<Heard>().0, [3, 4]);
    }

    #[test]
    fn progress_stays_between_nothing_and_all() {
        let job = Job::default();
        for (said, shown) in [(0.5, 0.5), (-1.0, 0.0), (7.0, 1.0), (f32::NAN, 0.0)] {
            job.set_progress(said);
            assert_eq!(job.progress().to_bits(), f32::to_bits(shown));
        }
    }
}
