//! What a builder tells its owner.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use inspector_protocol::status::Problem;

/// How a module is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BuildMethod {
    /// The captured `rustc` command, run directly.
    Replay,
    /// `cargo build`.
    Cargo,
}

/// How long the steps of a build took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BuildTimings {
    /// First file event to the decision how to build.
    pub detect: Duration,
    /// Decision to published artifact (compiler, linker, hash, move).
    pub build: Duration,
}

/// One step of one build.
///
/// For each module the order is `Detected`, `Started`, then exactly one of
/// `Built`, `Unchanged`, `Failed` and `Cancelled`. A build at the start or on
/// request has no `Detected`; one that needs no compiler has no `Started`.
/// After `Cancelled` another build of the module follows. `Priming` and `Primed` come
/// between builds, in pairs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum BuildEvent {
    /// Files of a module have changed.
    Detected {
        /// Module.
        module: String,
        /// All files since the last finished build, absolute.
        files: Vec<PathBuf>,
        /// Arrival of the first file event that led to this build.
        at: Instant,
    },
    /// Code that several modules share has changed: each of them is built, and what comes of
    /// that belongs together.
    Together {
        /// Which, in the order of the config.
        modules: Vec<String>,
    },
    /// The compiler is being started.
    Started {
        /// Module.
        module: String,
        /// How.
        how: BuildMethod,
    },
    /// A new artifact is there.
    Built {
        /// Module.
        module: String,
        /// Complete file; never written again, removed after eight newer ones.
        artifact: PathBuf,
        /// [`crate::content_hash`] of the artifact.
        hash: u64,
        /// Warnings.
        problems: Vec<Problem>,
        /// Time of the steps.
        timings: BuildTimings,
        /// Arrival of the first file event (for a request: its arrival).
        detected_at: Instant,
        /// `startup`, `request` or the first changed file, relative to the root.
        trigger: String,
        /// Asked for by [`crate::Builder::rebuild`].
        forced: bool,
    },
    /// The artifact's content would be, or is, that of the last `Built`.
    Unchanged {
        /// Module.
        module: String,
        /// Artifact of the last `Built`.
        artifact: PathBuf,
        /// Hash of the last `Built`.
        hash: u64,
        /// Warnings that still hold.
        problems: Vec<Problem>,
        /// Time of the steps.
        timings: BuildTimings,
        /// As in `Built`.
        detected_at: Instant,
        /// As in `Built`.
        trigger: String,
        /// As in `Built`.
        forced: bool,
    },
    /// The source does not compile. Only reported for what is on disk now.
    Failed {
        /// Module.
        module: String,
        /// Errors and warnings, errors first; never empty.
        problems: Vec<Problem>,
        /// Time of the steps.
        timings: BuildTimings,
        /// As in `Built`.
        detected_at: Instant,
        /// As in `Built`.
        trigger: String,
        /// As in `Built`.
        forced: bool,
        /// One line: the first error and how many more.
        summary: String,
    },
    /// A later save made this build pointless; the next one follows at once.
    Cancelled {
        /// Module.
        module: String,
    },
    /// Nothing else is to do, so cargo compiles a module once more, for its command: what it puts
    /// into its folder is no news.
    Priming {
        /// Module.
        module: String,
    },
    /// That has ended.
    Primed {
        /// Module.
        module: String,
        /// Modules whose libraries cargo has put into its folder meanwhile, with their hashes:
        /// others were saved just then, perhaps, or it was ended when it had got there.
        left: Vec<(String, u64)>,
    },
    /// The engine is being built, because this file has changed.
    EngineStarted {
        /// Which, relative to the root.
        trigger: String,
    },
    /// The engine was built for what is on disk now, after the modules that were built with it.
    /// Its files may be what they were.
    EngineBuilt,
    /// The engine does not compile.
    EngineFailed {
        /// Errors and warnings, errors first; never empty.
        problems: Vec<Problem>,
        /// One line: the first error and how many more.
        summary: String,
    },
    /// Files below `extra_watch` have changed, appeared or gone.
    FilesChanged {
        /// Which, absolute.
        files: Vec<PathBuf>,
    },
    /// Changes are noticed later than they should be, or builds are slower; the
    /// text says why and what to do.
    WatchProblem {
        /// For people.
        message: String,
    },
}
