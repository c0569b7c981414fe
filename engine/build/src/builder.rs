//! The handle of a running builder.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::config::{BuilderConfig, ModuleSource, WatchOptions};
use crate::error::BuildError;
use crate::event::BuildEvent;
use crate::project::Project;
use crate::runner::Runner;
use crate::shared::Shared;
use crate::snapshot::Sources;
use crate::watch::{Notice, Watch};

/// Events that may wait for the owner; then the builder waits.
const EVENTS: usize = 256;

/// Keeps native modules built while their sources change.
///
/// Two threads work for it: `build-watch` notices changes, `build-run` compiles
/// and sends [`BuildEvent`]s. The handle can be shared between threads; none of
/// its functions waits. Dropping it ends both threads and a compiler that runs.
///
/// ```no_run
/// use engine_build::{BuildEvent, Builder, BuilderConfig, ModuleSource};
///
/// # fn main() -> Result<(), engine_build::BuildError> {
/// let (_builder, events) = Builder::start(BuilderConfig {
///     root: ".".into(),
///     target_dir: "target".into(),
///     profile: "dev".into(),
///     selection: Vec::new(),
///     modules: vec![ModuleSource { name: "game_logic".into(), package: "game_logic".into() }],
///     engine: None,
///     wrapper: std::env::current_exe().ok(),
///     extra_watch: vec!["assets".into()],
/// })?;
/// for event in events {
///     if let BuildEvent::Built { module, artifact, .. } = event {
///         // Hand the artifact of `module` to the loader.
///         # let _ = (module, artifact);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Builder {
    shared: Arc<Shared>,
    notices: Sender<Notice>,
    threads: Vec<JoinHandle<()>>,
}

impl Builder {
    /// Starts watching and builds every module once (trigger `startup`).
    ///
    /// Reads the workspace (`cargo metadata`, about 0.1 s) and all watched files
    /// before it returns; the first build runs in the background. Relative
    /// paths in `config` are taken from its root.
    ///
    /// # Errors
    ///
    /// When cargo cannot be run or cannot read the workspace, when a package is
    /// missing or has no dylib, or when the target folder cannot be written.
    pub fn start(config: BuilderConfig) -> Result<(Self, Receiver<BuildEvent>), BuildError> {
        Self::start_with(config, WatchOptions::default())
    }

    /// [`Builder::start`] with other habits of watching.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub fn start_with(
        mut config: BuilderConfig,
        options: WatchOptions,
    ) -> Result<(Self, Receiver<BuildEvent>), BuildError> {
        let in_use = |path: &Path| {
            let path = path.to_owned();
            move |source| BuildError::Io { path, source }
        };
        config.root = fs::canonicalize(&config.root).map_err(in_use(&config.root))?;
        config.target_dir = config.root.join(&config.target_dir);
        fs::create_dir_all(&config.target_dir).map_err(in_use(&config.target_dir))?;
        config.target_dir =
            fs::canonicalize(&config.target_dir).map_err(in_use(&config.target_dir))?;
        for path in &mut config.extra_watch {
            *path = config.root.join(&*path);
            if let Ok(canonical) = fs::canonicalize(&*path) {
                *path = canonical;
            }
        }

        let project = Project::load(&config)?;
        let mut sources = Sources::new(config.root.clone(), config.target_dir.clone());
        sources.set_areas(project.areas());
        let (shared, woken) = Shared::new(sources);
        let shared = Arc::new(shared);
        let (watch, notices) = Watch::new(Arc::clone(&shared), options);
        let (events, received) = bounded(EVENTS);
        let runner = Runner::new(
            config,
            project,
            Arc::clone(&shared),
            woken,
            notices.clone(),
            events,
        )?;

        let mut builder = Self {
            shared,
            notices,
            threads: Vec::new(),
        };
        builder.spawn("build-watch", move || watch.run())?;
        builder.spawn("build-run", move || runner.run())?;
        Ok((builder, received))
    }

    /// Builds a module through cargo although nothing has changed. Its event
    /// has `forced` set. An unknown name is ignored.
    pub fn rebuild(&self, module: &str) {
        self.shared
            .lock()
            .changes
            .requests
            .insert(module.to_owned(), Instant::now());
        self.shared.wake_if_needed();
    }

    /// The modules to keep built from now on. New ones are built, through cargo; what is known
    /// of the others stays.
    pub fn set_modules(&self, modules: Vec<ModuleSource>) {
        self.shared.lock().changes.modules = Some(modules);
        self.shared.wake_if_needed();
    }

    fn spawn(
        &mut self,
        name: &'static str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), BuildError> {
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|source| BuildError::Thread { name, source })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        self.shared.stop();
        // When the queue is full the thread wakes anyway and sees the flag.
        let _ = self.notices.try_send(Notice::Stop);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
