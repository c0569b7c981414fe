//! The status document: what `inspector dump` prints as JSON and what every
//! panel of the inspector shows.
//!
//! Field names are a contract with scripts. Times are milliseconds (`_ms`) or
//! microseconds (`_us`).

use serde::{Deserialize, Serialize};

/// Everything a client may know about a running game at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The engine process and its host.
    pub engine: EngineStatus,
    /// All modules, in the order of the config.
    pub modules: Vec<ModuleStatus>,
    /// Calls that are running now, longest first.
    pub calls: Vec<CallStatus>,
    /// Jobs that wait or run, oldest first.
    pub jobs: Vec<JobStatus>,
    /// The last reloads, oldest first (at most [`MAX_RELOADS`]).
    pub reloads: Vec<ReloadStatus>,
    /// Counts of what the world holds.
    pub world: WorldStatus,
    /// Frame times over the last two seconds.
    pub frames: FrameStatus,
    /// What is wrong now: compiler errors, bad assets, bad config.
    pub problems: Vec<Problem>,
}

/// How many reloads the status document keeps.
pub const MAX_RELOADS: usize = 200;

/// The engine process (supervisor) and the host that runs the game.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// Process id of the supervisor.
    pub pid: u32,
    /// Process id of the host; `None` while there is none.
    pub host_pid: Option<u32>,
    /// Whether the host runs.
    pub host: HostState,
    /// Identifies one run of one host; a restarted host has a new one.
    pub run_id: String,
    /// [`crate::PROTOCOL_VERSION`] of the hub.
    pub protocol: u32,
    /// Profile in use: `dev`, `release` or `hybrid`.
    pub profile: String,
    /// Frames run by this host.
    pub frame: u64,
    /// Time since the supervisor started.
    pub uptime_ms: u64,
    /// How the host that runs came after another one; `None` for the first.
    pub restart: Option<RestartStatus>,
    /// What keeps the game from getting on; `None` while it does.
    pub stall: Option<StallStatus>,
}

/// A call that keeps the game from getting on: a frame that does not end, or a version that is
/// still being set up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StallStatus {
    /// Module; empty if the engine itself takes so long.
    pub module: String,
    /// Version.
    pub version: u32,
    /// Function, system or observer, or `setup`, `on_load`, `after_reload`, `on_unload`,
    /// `values`, `assets`, `job results`.
    pub function: String,
    /// Thread that it runs on: `main` runs the frames.
    pub thread: String,
    /// How long it has kept the game.
    pub elapsed_ms: u64,
}

impl StallStatus {
    /// Whether no frame runs meanwhile.
    pub fn is_in_frame(&self) -> bool {
        self.thread == "main"
    }

    /// What does not get on: `the frame loop`, or what the thread does.
    pub fn subject(&self) -> &'static str {
        match self.thread.as_str() {
            "main" => "the frame loop",
            "loader" => "the loader",
            _ => "the reading of assets",
        }
    }

    /// `game_logic::flood_fill (v7)`.
    pub fn place(&self) -> String {
        let Self {
            module,
            version,
            function,
            ..
        } = self;
        if module.is_empty() {
            return "the engine".to_owned();
        }
        // Systems and observers are named by their path, the rest by a name.
        if function.contains("::") {
            format!("{function} (v{version})")
        } else {
            format!("{module}::{function} (v{version})")
        }
    }

    /// `stalled in game_logic::flood_fill (v7) for 3.2 s`.
    pub fn sentence(&self) -> String {
        let seconds = self.elapsed_ms as f64 / 1000.0;
        format!("stalled in {} for {seconds:.1} s", self.place())
    }
}

/// A host that took the place of one that died or was ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RestartStatus {
    /// What ended the host before, for people.
    pub reason: String,
    /// Whether none of the hosts before had a frame: the game begins, and nothing was lost.
    pub is_first: bool,
    /// When that was, on the clock of [`EngineStatus::uptime_ms`].
    pub at_ms: u64,
    /// What the game went on with; `None` if it began anew.
    pub checkpoint: Option<ResumedStatus>,
    /// Time of each step.
    pub timings_ms: RestartTimings,
}

/// The checkpoint that a host went on with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ResumedStatus {
    /// Number of its last frame.
    pub frame: u64,
    /// How old it was when the host before ended: what was lost.
    pub age_ms: u64,
}

/// Time of each step from the end of a host to the first frame of the next, in milliseconds
/// with fractions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RestartTimings {
    /// From the death to its being known: the system takes the process apart.
    pub notice: f64,
    /// Until the new process runs.
    pub start: f64,
    /// Until every module has an active version.
    pub load: f64,
    /// Until the first frame has run: assets, state, the frame itself.
    pub resume: f64,
    /// All of it.
    pub total: f64,
}

/// State of the host process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// Runs frames.
    Running,
    /// Started, no frame yet.
    Starting,
    /// Not there: it ended or crashed.
    #[default]
    Down,
}

/// One module and all its versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModuleStatus {
    /// Name from the config.
    pub name: String,
    /// `native`, `static`, `lua` or `wasm`.
    pub kind: String,
    /// Number of the active version, `None` before the first one.
    pub active: Option<u32>,
    /// Every version that is still of interest, oldest first.
    pub versions: Vec<VersionStatus>,
}

/// One loaded generation of a module.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VersionStatus {
    /// 1, 2, 3, ...
    pub version: u32,
    /// The crate's own version, `0.1.0`.
    pub label: String,
    /// Content hash of the artifact, 16 hex digits.
    pub hash: String,
    /// Where it is in its life.
    pub state: VersionState,
    /// Calls running in it now.
    pub active_calls: u32,
    /// What keeps it mapped, if anything does.
    pub pinned_by: Vec<String>,
    /// Milliseconds after the host's start at which it was loaded.
    pub loaded_at_ms: u64,
}

/// Where a version is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum VersionState {
    /// Being verified; no call may enter.
    #[default]
    Loading,
    /// New calls use it.
    Active,
    /// Old calls still run in it.
    Draining,
    /// No calls, but something still refers to its code, so it stays mapped.
    Pinned,
    /// Its code is gone from the process.
    Unloaded,
    /// It never became active.
    Rejected,
    /// It was active, failed and was rolled back.
    Quarantined,
}

impl VersionState {
    /// The state's name as it appears in JSON and on screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loading => "Loading",
            Self::Active => "Active",
            Self::Draining => "Draining",
            Self::Pinned => "Pinned",
            Self::Unloaded => "Unloaded",
            Self::Rejected => "Rejected",
            Self::Quarantined => "Quarantined",
        }
    }
}

/// A call that is running.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CallStatus {
    /// Module that was entered.
    pub module: String,
    /// Version that was entered.
    pub version: u32,
    /// Function or system.
    pub function: String,
    /// Name of the thread it runs on.
    pub thread: String,
    /// Milliseconds after the host's start at which it began.
    pub started_at_ms: u64,
    /// How long it has been running.
    pub elapsed_ms: u64,
}

impl CallStatus {
    /// Whether it runs in this version of this module.
    pub fn is_of(&self, module: &str, version: u32) -> bool {
        self.module == module && self.version == version
    }
}

impl Status {
    /// How far the job is that a call runs, from 0 to 1; `None` if it runs none.
    pub fn progress_of(&self, call: &CallStatus) -> Option<f32> {
        let thread = Some(call.thread.as_str());
        let mut jobs = self.jobs.iter();
        let job = jobs
            .find(|job| job.thread.as_deref() == thread && call.is_of(&job.module, job.version));
        job.map(|job| job.progress)
    }
}

/// A job that waits for a thread or runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Its number; never used twice by a host.
    pub id: u64,
    /// Module whose system started it.
    pub module: String,
    /// Version that did.
    pub version: u32,
    /// What the game calls it.
    pub name: String,
    /// Whether it runs.
    pub state: JobState,
    /// Name of the thread that runs it, if one does.
    pub thread: Option<String>,
    /// How far it is, from 0 to 1, as it says itself.
    pub progress: f32,
    /// How long it has been running; where it did not begin, waiting.
    pub elapsed_ms: u64,
}

/// Whether a job runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// No thread is free for it.
    #[default]
    Waiting,
    /// A thread runs it.
    Running,
    /// It was asked to end and has not ended yet.
    Cancelled,
}

/// One attempt to bring new code in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReloadStatus {
    /// Counts up by one for every attempt of this supervisor.
    pub seq: u64,
    /// Module it is about.
    pub module: String,
    /// Version that was active before.
    pub from: Option<u32>,
    /// Version that is active because of it; where the host died of loading one, that
    /// version; else `None`.
    pub to: Option<u32>,
    /// Number of the last frame before it got in; versions that got in together have the same.
    /// `None` unless it was applied.
    pub frame: Option<u64>,
    /// How it ended.
    pub outcome: ReloadOutcome,
    /// What caused it: a path, `startup`, `external build`, `request`.
    pub trigger: String,
    /// A sentence for people: the reason, or what changed.
    pub message: String,
    /// Time of each step.
    pub timings_ms: ReloadTimings,
}

/// How a reload ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// The new code has been entered and its hash is the built one.
    Applied,
    /// The build gave the content that already runs.
    #[default]
    Unchanged,
    /// The compiler refused the source.
    CompileError,
    /// The artifact is sound but does not fit the running game.
    Rejected,
    /// The artifact cannot be loaded.
    LoadError,
    /// An older version was made active again.
    RolledBack,
    /// The host was restarted with it.
    Restarted,
}

impl ReloadOutcome {
    /// The outcome's name as it appears in JSON and on screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::CompileError => "compile_error",
            Self::Rejected => "rejected",
            Self::LoadError => "load_error",
            Self::RolledBack => "rolled_back",
            Self::Restarted => "restarted",
        }
    }
}

/// Time of each step of a reload, in milliseconds with fractions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ReloadTimings {
    /// File event to decision.
    pub detect: f64,
    /// Compiler and linker.
    pub build: f64,
    /// Publish, verify, open, collect registrations.
    pub load: f64,
    /// Converting state.
    pub migrate: f64,
    /// Time the frame loop lost at the boundary.
    pub swap: f64,
    /// First file event to the end of the swap.
    pub total: f64,
}

/// Counts of what the world holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorldStatus {
    /// Entities that carry game data (resources and engine entities excluded).
    pub entities: u64,
    /// Components by short type path, largest count first.
    pub components: Vec<ComponentCount>,
    /// Resources by short type path, sorted.
    pub resources: Vec<String>,
    /// Values of removed fields that are kept in case the field comes back.
    pub limbo: Vec<LimboStatus>,
    /// The last checkpoint that was written.
    pub checkpoint: Option<CheckpointStatus>,
}

/// A field whose values are kept though its type does not have it any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimboStatus {
    /// Path of the type.
    #[serde(rename = "type")]
    pub type_path: String,
    /// Path of the field; empty for whole values of a type that nobody registers.
    pub field: String,
    /// Entities whose value is kept.
    pub entities: u64,
    /// Size in memory, about, in bytes.
    pub bytes: u64,
}

/// A checkpoint on disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckpointStatus {
    /// Its number within the run.
    pub sequence: u64,
    /// Frame of the game after which it was made.
    pub frame: u64,
    /// Why it was made: `swap`, `interval`, `exit`.
    pub reason: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Time the frame loop lost, in ms.
    pub capture_ms: f64,
    /// Time it took to write, off the frame loop, in ms.
    pub write_ms: f64,
    /// Checkpoints on disk.
    pub kept: u64,
}

/// How many entities have a component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentCount {
    /// Short type path.
    pub name: String,
    /// Entities that have it.
    pub count: u64,
}

/// Frame times over the last two seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct FrameStatus {
    /// Frames per second.
    pub fps: f64,
    /// Median time of the work in a frame.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Longest.
    pub max_us: u64,
}

/// Something a person should mend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Module it concerns; empty for assets and config.
    pub module: String,
    /// How bad it is.
    pub severity: Severity,
    /// File, relative to the project root where possible; empty if unknown.
    pub file: String,
    /// Line, from 1; 0 if unknown.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
    /// One line.
    pub message: String,
    /// The whole text as its producer rendered it, ANSI colours included.
    pub rendered: String,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Advice.
    Note,
    /// Works, but should be looked at.
    Warning,
    /// Does not work.
    #[default]
    Error,
}
