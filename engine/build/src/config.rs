//! What a builder is told at the start.

use std::path::PathBuf;
use std::time::Duration;

/// What to build and what to watch.
#[derive(Debug, Clone)]
pub struct BuilderConfig {
    /// Workspace root: the folder with the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Cargo's target folder; the builder's own files go to `liveloop` in it.
    pub target_dir: PathBuf,
    /// Cargo profile: `dev`, `release` or the name of a custom one.
    pub profile: String,
    /// Further cargo arguments that select packages and features, such as
    /// `["-p", "engine", "-p", "game_logic"]`; empty for the default members.
    /// Must be the selection that built the running engine: another one unifies
    /// features differently and its artifacts do not fit.
    pub selection: Vec<String>,
    /// Native modules to keep built.
    pub modules: Vec<ModuleSource>,
    /// The engine itself, to be built when what it is made of changes; `None` for never.
    pub engine: Option<EngineSource>,
    /// Executable that calls [`crate::capture::run_if_wrapper`] first thing in
    /// its `main`; without one every build goes through cargo.
    pub wrapper: Option<PathBuf>,
    /// Further files and folders whose changes are only reported, as
    /// [`crate::BuildEvent::FilesChanged`].
    pub extra_watch: Vec<PathBuf>,
}

/// A native module: its name in the engine and the package that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSource {
    /// Name from the engine's config.
    pub name: String,
    /// Cargo package with a library target of crate type `dylib` (or `cdylib`).
    pub package: String,
}

/// The engine: the package and its executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSource {
    /// Cargo package.
    pub package: String,
    /// Name of the executable in it.
    pub binary: String,
}

/// How changes are noticed. The defaults suit everyone; tests and odd file
/// systems differ.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// Ask the system for events; without, files are compared every
    /// [`WatchOptions::poll_every`].
    pub events: bool,
    /// Compare files at this interval although events arrive, because some
    /// (network, shared) file systems swallow events. `None` for never.
    pub rescan_every: Option<Duration>,
    /// Interval of comparison while the system gives no events.
    pub poll_every: Duration,
    /// Quiet time after which a burst of events counts as complete.
    pub quiet: Duration,
    /// Longest time a burst is collected.
    pub collect: Duration,
    /// How long a file that is empty or gone may take to get its content:
    /// editors truncate or remove before they write.
    pub settle: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            events: true,
            rescan_every: Some(Duration::from_secs(2)),
            poll_every: Duration::from_millis(250),
            quiet: Duration::from_millis(2),
            collect: Duration::from_millis(5),
            settle: Duration::from_millis(15),
        }
    }
}
