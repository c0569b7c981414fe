//! Messages between a host and its supervisor, over the private pipe (or a channel
//! where both are one process). They travel in the framing of
//! [`inspector_protocol::wire`].

use std::collections::HashMap;
use std::path::PathBuf;

use inspector_protocol::input::InputEvent;
use inspector_protocol::message::{LogLevel, WorldAct};
use inspector_protocol::status::{
    CallStatus, FrameStatus, JobStatus, ModuleStatus, Problem, ReloadOutcome, StallStatus,
    WorldStatus,
};
use inspector_protocol::viewport::ViewportFrame;
use serde::{Deserialize, Serialize};

use crate::overdue::DrainPolicy;
use crate::unload::UnloadPolicy;

/// From the supervisor to the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToHost {
    /// Builds are ready to be loaded: all of them get in between the same two frames, or none
    /// does. Each is answered by a [`FromHost::Reloaded`].
    Load(Vec<LoadRequest>),
    /// The modules of the game from now on, in the order they run. Those that are not among
    /// them are drained and unloaded; their values stay.
    Modules(Vec<ModuleSpec>),
    /// What the configuration says from now on.
    Settings {
        /// Frames per second.
        frame_rate: u32,
        /// A version that panics so soon after it got in has failed, in ms.
        rollback_within_ms: u64,
        /// A version that panics has failed, however long it has run.
        every_panic_fails: bool,
        /// What keeps the game for longer than this stalls it, in ms; 0 for never.
        stalled_after_ms: u64,
        /// Time between two checkpoints, in ms; 0 for none but at swaps and at the end.
        checkpoint_every_ms: u64,
        /// How many of them are kept.
        checkpoints_kept: usize,
        /// What becomes of the calls of versions that drain, by module.
        drain: HashMap<String, DrainPolicy>,
        /// What has to be known of an old version before it is unloaded.
        unload: UnloadPolicy,
    },
    /// Whether the engine's own builder runs cargo, which puts libraries where those of others
    /// are looked for: they arrive as [`ToHost::Load`], or are left.
    Building(bool),
    /// Content that was built and is not to be loaded as if others had built it.
    Leave {
        /// Module.
        module: String,
        /// Its hash.
        hash: u64,
    },
    /// Calls a function by name; answered by [`FromHost::Called`].
    Call {
        /// Comes back in the answer.
        id: u64,
        /// Module.
        module: String,
        /// Function.
        function: String,
        /// Arguments, each a RON value.
        args: Vec<String>,
    },
    /// Does something to the world as a whole; answered by [`FromHost::Called`].
    World {
        /// Comes back in the answer.
        id: u64,
        /// What.
        act: WorldAct,
    },
    /// Asks a job to end; answered by [`FromHost::Called`].
    CancelJob {
        /// Comes back in the answer.
        id: u64,
        /// Number of the job.
        job: u64,
    },
    /// Files changed that may be assets.
    FilesChanged(Vec<PathBuf>),
    /// Something the player did.
    Input(InputEvent),
    /// Size of the picture, in cells.
    ViewportSize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Whether anyone looks at the picture.
    ViewportWanted(bool),
    /// End after the current frame, exit status 0.
    Shutdown,
}

/// A module, as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleSpec {
    /// Its name.
    pub name: String,
    /// Its kind, as its backend calls it.
    pub kind: String,
    /// Its library as cargo names it; empty for kinds without.
    pub library: String,
    /// The name it had until now, if it was another one.
    pub renamed_from: Option<String>,
}

/// A build to be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadRequest {
    /// Comes back in the answer.
    pub ticket: u64,
    /// Module.
    pub module: String,
    /// Complete file.
    pub artifact: PathBuf,
    /// Its content hash.
    pub hash: u64,
    /// Load it even if that content runs already.
    pub force: bool,
    /// The version that this replaces failed: it is listed as quarantined.
    pub quarantine: bool,
    /// The state from before the version that this replaces comes back with it.
    pub restore: bool,
}

/// From the host to the supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromHost {
    /// The host runs frames.
    Ready {
        /// Process id.
        pid: u32,
    },
    /// A version was loaded; the names behind the numbers that a crash report has.
    Names {
        /// Process-wide id of the version.
        id: u32,
        /// Module.
        module: String,
        /// Version.
        version: u32,
        /// Functions by number.
        functions: Vec<String>,
    },
    /// What the inspector shows, several times a second.
    Snapshot(Box<Snapshot>),
    /// A log line.
    Log {
        /// Level.
        level: LogLevel,
        /// Module that wrote it; empty for the engine.
        module: String,
        /// Text.
        message: String,
    },
    /// How loading or rolling back ended.
    Reloaded(Reloaded),
    /// A version panicked soon after it got in, or at any time where that counts.
    Failed {
        /// Module.
        module: String,
        /// The version.
        version: u32,
        /// What happened, for people.
        message: String,
    },
    /// A panic of game code was caught; others say what became of it.
    Panicked {
        /// Where, and what the code said.
        place: PanicPlace,
        /// The calls of game code that led there.
        path: CallPath,
    },
    /// A frame of the game.
    Viewport(ViewportFrame),
    /// The answer to a call: JSON, or what went wrong.
    Called {
        /// The call's id.
        id: u64,
        /// Result.
        result: Result<String, String>,
    },
    /// The first frame has run.
    Began {
        /// The checkpoint that it began with, if it did.
        resumed: Option<Resumed>,
    },
    /// The frame limit was reached or the host was asked to end; it exits now.
    Finished,
}

/// Tells panics apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PanicPlace {
    /// Source file, empty if unknown.
    pub file: String,
    /// Line, from 1; 0 if unknown.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
    /// What the code said.
    pub message: String,
}

/// A place in the code of a version, the same in every process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodeAddress {
    /// Content hash of the file that the code was loaded from.
    pub content: u64,
    /// Distance from the beginning of the image, in bytes.
    pub offset: u64,
}

/// The calls of game code that led somewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CallPath {
    /// Where they are, innermost first.
    pub frames: Vec<CodeAddress>,
    /// How many are left out behind the first [`INNERMOST`](crate::stack::INNERMOST).
    pub left_out: u64,
}

/// The checkpoint that a host went on with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Number of its last frame.
    pub frame: u64,
    /// When it was made: wall clock, in milliseconds since 1970.
    pub saved_at_ms: u64,
}

/// How loading or rolling back ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Ticket of the request; `None` for a build that came from elsewhere.
    pub ticket: Option<u64>,
    /// Module.
    pub module: String,
    /// Version that was active before.
    pub from: Option<u32>,
    /// Version that is active because of it; `None` unless it was applied.
    pub to: Option<u32>,
    /// Number of the last frame before it got in; `None` unless it was applied.
    pub frame: Option<u64>,
    /// Outcome.
    pub outcome: ReloadOutcome,
    /// A sentence for people.
    pub message: String,
    /// Verify, open, ask what it offers: ms.
    pub load_ms: f64,
    /// Time values were carried over into new types, in ms.
    pub migrate_ms: f64,
    /// Time the frame loop lost: ms.
    pub swap_ms: f64,
}

/// What a host knows of itself at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Frames run.
    pub frame: u64,
    /// Modules and versions.
    pub modules: Vec<ModuleStatus>,
    /// Running calls.
    pub calls: Vec<CallStatus>,
    /// Jobs that wait or run.
    pub jobs: Vec<JobStatus>,
    /// What the world holds.
    pub world: WorldStatus,
    /// Frame times.
    pub frames: FrameStatus,
    /// Bad assets and paused systems.
    pub problems: Vec<Problem>,
    /// What keeps the game from getting on.
    pub stall: Option<StallStatus>,
    /// Messages to the supervisor that were dropped because it was slow.
    pub dropped: u64,
}

#[cfg(test)]
mod tests;
