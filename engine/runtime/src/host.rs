//! The frame loop: owns the world, runs the modules, takes ready versions in between.
//!
//! The loop never waits for anything outside. What others have for it (versions,
//! assets, requests) arrives through channels and is taken between two frames; what
//! it has for others goes into a bounded channel, and is dropped and counted when
//! that is full.

mod arriving;
mod entering;
mod faults;
mod keeping;
mod listing;
mod requests;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use engine_api::bevy_ecs::message::Messages;
use engine_api::bevy_ecs::world::World;
use engine_api::event::HeardEvents;
use engine_api::input::Input;
use engine_api::module::Stage;
use engine_api::reload::ModuleReload;
use engine_api::state::StateKind;
use engine_api::time::Time;
use engine_api::value::Value;
use engine_api::viewport::Viewport;
use inspector_protocol::status::{ComponentCount, LimboStatus, WorldStatus};

use self::arriving::Arrivals;
use self::keeping::Checkpoints;
use crate::assets::{AssetLoader, AssetRequest, ReadyAsset};
use crate::backend::Backend;
use crate::checkpoint::Reason;
use crate::drain::Drain;
use crate::easel::Easel;
use crate::jobs::JobDesk;
use crate::keeper::KeeperRequest;
use crate::link::{FromHost, Reloaded, ToHost};
use crate::loader::{Loader, LoaderRequest, Memory, ReadyVersion};
use crate::overdue::Overdue;
use crate::part::Part;
use crate::places::WorldWitness;
use crate::registry::{CallByNameError, DynamicFunction, Registry, VersionKey};
use crate::shared::SharedRegion;
use crate::state::{self, StateBook};
use crate::swap::ActiveModules;
use crate::telemetry::{Board, LOADING_THREADS, Observatory};
use crate::unload::{UnloadPolicy, Unloads};
use crate::workers::Workers;
use crate::{call, panic, tidy};

pub use crate::keeper::{CheckpointConfig, ResumeFrom};
pub use crate::outbox::Outbox;
pub use crate::overdue::DrainPolicy;

/// What a host needs to know.
pub struct HostConfig {
    /// Modules by name, each with the index of its backend.
    pub modules: Vec<(String, usize)>,
    /// Backends.
    pub backends: Vec<Box<dyn Backend>>,
    /// Folder of the assets.
    pub assets: PathBuf,
    /// Frames per second.
    pub frame_rate: u32,
    /// Ends after so many frames.
    pub max_frames: Option<u64>,
    /// Frames wait for the first version of every module.
    pub wait_for_modules: bool,
    /// File for shared structs with a fixed layout; made if it is not there.
    pub shared: Option<PathBuf>,
    /// A version that panics within this time after it replaced another one has failed;
    /// see [`FromHost::Failed`]. Zero for never.
    pub rollback_within: Duration,
    /// A version that panics has failed, however long it is there.
    pub every_panic_fails: bool,
    /// What becomes of the calls of versions that drain, by module; others wait.
    pub drain: HashMap<String, DrainPolicy>,
    /// What keeps the game for longer than this stalls it, and is shown. Zero for never.
    pub stalled_after: Duration,
    /// How checkpoints are kept; `None` for not at all.
    pub checkpoints: Option<CheckpointConfig>,
    /// What has to be known of an old version before it is unloaded.
    pub unload: UnloadPolicy,
}

/// How often the world is counted and old versions are looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(100);
/// Shortest time between two pictures that are sent.
const PICTURE_INTERVAL: Duration = Duration::from_millis(33);

/// How long a host that ends waits for threads that run game code.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Number of the last frame that this process has run; a crash report has it.
static LAST_FRAME: AtomicU64 = AtomicU64::new(0);

/// Number of the last frame that the host of this process has run. Any thread may ask, and a
/// signal handler too.
pub fn last_frame() -> u64 {
    LAST_FRAME.load(Ordering::Relaxed)
}

/// A game: its world and everything that runs in it. Lives on the frame thread.
pub struct Host {
    world: World,
    book: StateBook,
    modules: ActiveModules,
    registry: Arc<Registry>,
    board: Arc<Board>,
    outbox: Outbox,
    inbox: Receiver<ToHost>,
    ready_versions: Receiver<Vec<ReadyVersion>>,
    /// Loads that no version came of.
    failed_loads: Receiver<Reloaded>,
    ready_assets: Receiver<Box<ReadyAsset>>,
    loader: Sender<LoaderRequest>,
    asset_loader: Sender<AssetRequest>,
    workers: Workers,
    jobs: JobDesk,
    threads: Vec<JoinHandle<()>>,
    telemetry_stop: Arc<AtomicBool>,
    drain: Drain,
    overdue: Overdue,
    /// Kinds of modules, in the order of their backends.
    kinds: Vec<&'static str>,
    frame_rate: u32,
    max_frames: Option<u64>,
    rollback_within: Duration,
    every_panic_fails: bool,
    /// Versions that were reported as failed.
    failed: HashSet<u32>,
    /// Types whose values the last checkpoint had no place for.
    lost: HashSet<String>,
    checkpoints: Option<Checkpoints>,
    arrivals: Arrivals,
    /// Rollbacks whose state is being read.
    restoring: Vec<(u32, Reloaded)>,
    waiting: Vec<String>,
    viewport_size: (u16, u16),
    viewport_wanted: bool,
    easel: Arc<Easel>,
    /// Modules whose first version is in and whose assets are being read; `Startup`
    /// runs when they are there.
    starting: Vec<(String, VersionKey)>,
    /// Modules whose `Startup` has run: one that is taken out and comes back finds its values.
    started: HashSet<String>,
    last_housekeeping: Instant,
    frame: u64,
    ended: bool,
}

impl Host {
    /// Starts the loader, asset and telemetry threads around an empty world.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        mut config: HostConfig,
        inbox: Receiver<ToHost>,
        to: Sender<Box<FromHost>>,
    ) -> std::io::Result<Self> {
        call::prepare();
        panic::install_hook();
        let registry = registry_for(&mut config);
        let board = Arc::new(Board::default());
        board.set_stalled_after(config.stalled_after);
        let outbox = Outbox::new(to, board.clone());
        let kinds = config.backends.iter().map(|backend| backend.kind());
        let kinds = kinds.collect();
        crate::log::install(outbox.clone(), registry.clone());

        let ((loader, loader_requests), (failed, failed_loads)) = (unbounded(), unbounded());
        let (ready, ready_versions) = bounded(16);
        let (asset_loader, asset_requests) = unbounded();
        let (ready_asset, ready_assets) = bounded(256);
        let telemetry_stop = Arc::new(AtomicBool::new(false));
        let easel = Arc::new(Easel::default());
        let mut threads = Vec::new();
        let mut spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(body)
                .map(|thread| threads.push(thread))
        };
        let (found, findings) = unbounded();
        let frame_rate = config.frame_rate.max(1);
        let loader_body = Loader {
            registry: registry.clone(),
            backends: config.backends,
            modules: config.modules.clone(),
            requests: loader_requests,
            ready,
            failed,
            outbox: outbox.clone(),
            memory: Memory::default(),
            unloads: Unloads::new(config.unload, found, board.clone(), period_of(frame_rate)),
        };
        spawn("loader", Box::new(move || loader_body.run()))?;
        let asset_body = AssetLoader {
            root: config.assets,
            requests: asset_requests,
            ready: ready_asset,
            outbox: outbox.clone(),
            board: board.clone(),
        };
        spawn("assets", Box::new(move || asset_body.run()))?;
        let observatory = Observatory::new(registry.clone(), board.clone());
        let (stopped, to, shown) = (telemetry_stop.clone(), outbox.clone(), easel.clone());
        let telemetry = move || tell(observatory, &stopped, &to, &shown);
        spawn("telemetry", Box::new(telemetry))?;

        let checkpoints = config.checkpoints.map(|config| {
            let (checkpoints, keeper) = Checkpoints::new(config, &board, &outbox);
            spawn("checkpoint", Box::new(move || keeper.run())).map(|()| checkpoints)
        });
        let checkpoints = checkpoints.transpose()?;
        let jobs = JobDesk::new(board.clone());
        let world = empty_world(frame_rate, &jobs);
        let waiting = config.modules.into_iter().map(|(name, _)| name);
        let modules = modules_with(config.shared.as_deref(), &outbox);
        Ok(Self {
            world,
            book: StateBook::default(),
            modules,
            registry,
            board,
            outbox,
            inbox,
            ready_versions,
            failed_loads,
            ready_assets,
            loader,
            asset_loader,
            workers: Workers::named("worker"),
            jobs,
            threads,
            telemetry_stop,
            drain: Drain::new(config.unload, findings),
            overdue: Overdue::new(config.drain),
            kinds,
            frame_rate,
            max_frames: config.max_frames,
            rollback_within: config.rollback_within,
            every_panic_fails: config.every_panic_fails,
            failed: HashSet::new(),
            lost: HashSet::new(),
            checkpoints,
            arrivals: Arrivals::default(),
            restoring: Vec::new(),
            waiting: if config.wait_for_modules {
                waiting.collect()
            } else {
                Vec::new()
            },
            viewport_size: (80, 24),
            viewport_wanted: false,
            easel,
            starting: Vec::new(),
            started: HashSet::new(),
            last_housekeeping: Instant::now(),
            frame: 0,
            ended: false,
        })
    }

    /// The registry, for calls from other threads.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The world, between frames.
    pub fn world(&mut self) -> &mut World {
        &mut self.world
    }

    /// Calls a function between two frames, with the world. Costs about 10 ns beside what the
    /// function's kind takes.
    ///
    /// # Errors
    /// If there is no such function now, arguments do not fit, or it failed.
    pub fn call(
        &mut self,
        function: &mut DynamicFunction,
        args: &[Value],
    ) -> Result<Value, CallByNameError> {
        if !function.is_of(&self.registry) {
            return Err(CallByNameError::Foreign);
        }
        // SAFETY: versions of the registry are retired by a swap and deactivated by a removal, which
        // need this host as a whole.
        unsafe { function.call(&mut self.world, args) }
    }

    /// Runs frames until asked to end, or until the frame limit. Then ends the game:
    /// everything of the modules is dropped before their code.
    pub fn run(mut self) {
        self.outbox.offer(FromHost::Ready {
            pid: std::process::id(),
        });
        let period = self.period();
        let mut next = Instant::now();
        let mut last_start = next;
        while !self.ended {
            self.board.turns.begin();
            let start = Instant::now();
            if self.waiting.is_empty() && self.starting.is_empty() && !self.is_resuming() {
                self.frame(start - last_start);
                if self.max_frames.is_some_and(|max| self.frame >= max) {
                    break;
                }
            } else {
                self.between_frames();
            }
            last_start = start;
            next += period;
            let now = Instant::now();
            if next + period * 4 < now {
                // Too far behind to catch up: go on from here.
                next = now;
            }
            self.wait_until(next);
        }
        self.finish();
    }

    /// Time from one frame to the next.
    fn period(&self) -> Duration {
        period_of(self.frame_rate)
    }

    /// Runs one frame; `frame_time` is what the last one took from start to start.
    // Its part of the stack, and that of the next one, has to be over when that is wiped.
    #[inline(never)]
    pub fn frame(&mut self, frame_time: Duration) {
        let start = Instant::now();
        self.between_frames();
        let mut faults = Vec::new();
        // A game may have taken the clock out of its world.
        if let Some(mut time) = self.world.get_resource_mut::<Time>() {
            time.advance(frame_time);
        }
        for stage in [Stage::PreUpdate, Stage::Update, Stage::PostUpdate] {
            self.modules.run(stage, &mut self.world, &mut faults);
        }
        let (width, height) = self.viewport_size;
        if let Some(mut viewport) = self.world.get_resource_mut::<Viewport>() {
            viewport.resize(width, height);
        }
        self.modules
            .run(Stage::Render, &mut self.world, &mut faults);
        self.show_picture();
        self.modules.end_frame(&mut self.world, &mut faults);
        if let Some(mut input) = self.world.get_resource_mut::<Input>() {
            input.end_frame();
        }
        self.world.clear_trackers();
        self.frame += 1;
        LAST_FRAME.store(self.frame, Ordering::Relaxed);
        self.report(faults);
        self.board.frames.record(start.elapsed());
        if self.board.frames.count() == 1 {
            self.began();
        }
    }

    /// Takes what others have for the game.
    #[inline(never)]
    fn between_frames(&mut self) {
        // Asked before assets are taken: what was read by now is taken below.
        let (started, starting) = std::mem::take(&mut self.starting)
            .into_iter()
            .partition(|(_, key): &(String, VersionKey)| self.board.are_assets_loaded(key.id));
        self.starting = starting;
        // What does not fit into this frame is taken in the next: a flood of calls slows
        // the game down, it does not stop it.
        let deadline = Instant::now() + self.period() / 2;
        while !self.ended
            && Instant::now() < deadline
            && let Ok(message) = self.inbox.try_recv()
        {
            self.handle(message);
        }
        self.dispatch_jobs();
        while let Ok(failed) = self.failed_loads.try_recv() {
            self.tell_of_failed_load(failed);
        }
        self.take_versions(Instant::now());
        self.take_state_read();
        self.jobs
            .deliver(&self.modules, &mut self.world, &self.outbox);
        while let Ok(asset) = self.ready_assets.try_recv() {
            let active = self
                .modules
                .get(&asset.module)
                .is_some_and(|now| now.key == asset.key);
            if active {
                let _call = call::enter(Part::Assets.of(asset.key.id));
                let (world, asset) = (&mut self.world, *asset);
                match panic::guard(|| (asset.apply)(world)) {
                    Ok(()) => self.outbox.debug(format!("{} applied", asset.path)),
                    Err(report) => self.outbox.error(format!(
                        "{} panicked while it was applied: {}",
                        asset.path,
                        report.summary()
                    )),
                }
            }
        }
        let started: Vec<(String, VersionKey)> = started;
        for (module, _) in started {
            self.start_module(&module);
        }
        let is_due = |checkpoints: &Checkpoints| {
            !checkpoints.every.is_zero() && checkpoints.last.elapsed() >= checkpoints.every
        };
        if self.arrivals.is_empty() && self.checkpoints.as_ref().is_some_and(is_due) {
            self.checkpoint(Reason::Interval, Vec::new());
        }
        if self.last_housekeeping.elapsed() >= HOUSEKEEPING {
            self.last_housekeeping = Instant::now();
            self.keep_house();
        }
    }

    /// Sends what systems and calls started to the workers.
    fn dispatch_jobs(&mut self) {
        self.jobs
            .dispatch(&self.modules, &mut self.world, &self.registry, &self.outbox);
    }

    fn show_picture(&self) {
        if self.viewport_wanted
            && let Some(viewport) = self.world.get_resource::<Viewport>()
        {
            self.easel.show(viewport, self.frame);
        }
    }

    fn keep_house(&mut self) {
        self.overdue
            .look(&self.registry, &self.board.jobs, &self.outbox);
        if self.drain.is_looking(&self.registry) {
            tidy::world(&mut self.world);
        }
        let (world, book) = (&self.world, &self.book);
        let witness = WorldWitness::new(world, book, &self.modules);
        self.drain
            .look(&self.registry, &self.outbox, &self.loader, &witness);
        let status = world_status(world, book);
        if let Ok(mut shown) = self.board.world.try_lock() {
            *shown = status;
        }
    }

    /// Ends the game. Order matters: values in the world may be dropped by module
    /// code, so the world goes first, then what versions registered, then their code
    /// (with the process).
    fn finish(mut self) {
        self.board.turns.begin();
        self.checkpoint(Reason::Exit, Vec::new());
        self.modules.clear(&mut self.world);
        let dropped = panic::guard(|| drop(std::mem::take(&mut self.world)));
        if let Err(report) = dropped {
            self.outbox.error(format!(
                "a value panicked while it was dropped: {}",
                report.summary()
            ));
        }
        self.telemetry_stop.store(true, Ordering::Relaxed);
        let _ = self.loader.send(LoaderRequest::Stop);
        let _ = self.asset_loader.send(AssetRequest::Stop);
        if let Some(checkpoints) = &self.checkpoints {
            let _ = checkpoints.requests.send(KeeperRequest::Stop);
        }
        // Unblocks a loader that has a version for a frame that will not come.
        drop((self.ready_versions, self.ready_assets));
        let deadline = Instant::now() + LAST_WAIT;
        for thread in self.threads {
            thread.thread().unpark();
            let name = thread.thread().name().unwrap_or_default();
            let runs_game_code = LOADING_THREADS.contains(&name);
            while runs_game_code && !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            // One that game code does not let go ends with the process.
            if !runs_game_code || thread.is_finished() {
                let _ = thread.join();
            }
        }
        self.outbox.finish();
    }
}

fn period_of(frame_rate: u32) -> Duration {
    Duration::from_secs(1) / frame_rate
}

/// A world with what the engine offers to systems.
fn empty_world(frame_rate: u32, jobs: &JobDesk) -> World {
    let mut world = World::new();
    // Registered from here, so that the component table points into the engine.
    state::declare_engine_types(&mut world);
    world.insert_resource(Time::new(period_of(frame_rate)));
    world.init_resource::<Input>();
    world.init_resource::<Viewport>();
    world.insert_resource(jobs.board());
    world.init_resource::<HeardEvents>();
    world.init_resource::<Messages<ModuleReload>>();
    world
}

/// The telemetry thread: sends what the host knows of itself, pictures, and what did not fit
/// before, until it is stopped.
fn tell(mut observatory: Observatory, stop: &AtomicBool, to: &Outbox, shown: &Easel) {
    let mut snapshot_due = Instant::now();
    let mut has_frames = false;
    while !stop.load(Ordering::Relaxed) {
        // The first frame is news that does not wait.
        let has_begun = !has_frames && observatory.has_frames();
        has_frames |= has_begun;
        if has_begun || snapshot_due <= Instant::now() {
            snapshot_due = Instant::now() + HOUSEKEEPING;
            to.offer(FromHost::Snapshot(Box::new(observatory.look())));
        }
        shown.send(to);
        for panicked in panic::caught() {
            to.offer(panicked);
        }
        to.flush();
        std::thread::park_timeout(PICTURE_INTERVAL);
    }
}

/// A registry of the modules, known to their backends.
fn registry_for(config: &mut HostConfig) -> Arc<Registry> {
    let registry = Arc::new(Registry::default());
    for (module, backend) in &config.modules {
        registry.add_module(module, config.backends[*backend].kind());
    }
    for backend in &mut config.backends {
        backend.connect(&registry);
    }
    registry
}

/// No modules yet, with the region for shared structs.
fn modules_with(shared: Option<&Path>, outbox: &Outbox) -> ActiveModules {
    let mut modules = ActiveModules::default();
    let Some(path) = shared else { return modules };
    match SharedRegion::open_or_create(path) {
        Ok(region) => modules.share(region),
        Err(error) => outbox.error(format!(
            "shared state is not available, {}: {error}",
            path.display()
        )),
    }
    modules
}

fn world_status(world: &World, book: &StateBook) -> WorldStatus {
    let live = state::live_counts(world);
    let mut status = WorldStatus::default();
    for (kind, type_id, name) in book.names() {
        let count = world
            .components()
            .get_id(type_id)
            .and_then(|id| live.get(&id).copied())
            .unwrap_or(0);
        match kind {
            StateKind::Component => {
                status.components.push(ComponentCount {
                    name: name.to_owned(),
                    count,
                });
            }
            StateKind::Resource if count > 0 => status.resources.push(name.to_owned()),
            _ => {}
        }
    }
    status
        .components
        .sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    status.resources.sort();
    status.entities = state::game_entities(world);
    let limbo = book.limbo.fields().iter();
    status.limbo = limbo
        .map(|field| LimboStatus {
            type_path: field.type_path.clone(),
            field: field.field.clone(),
            entities: field.entities as u64,
            bytes: field.bytes as u64,
        })
        .collect();
    status
}

#[cfg(test)]
mod tests;
