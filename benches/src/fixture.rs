//! A backend whose code is part of this program: nothing is loaded or unloaded, so
//! that what is measured is the engine alone.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded, unbounded};
use engine_api::module::ModuleBuilder;
use engine_api::sources::Sources;
use engine_runtime::backend::{Artifact, Backend, CodeHandle, LoadError, LoadedCode, Look, Proof};
use engine_runtime::host::{Host, HostConfig};
use engine_runtime::link::{FromHost, LoadRequest, ModuleSpec, ToHost};
use engine_runtime::registry::{Registry, VersionKey};
use engine_runtime::state::KeptType;
use engine_runtime::swap::{PreparedVersion, function_names, sort_description};
use engine_runtime::unload::UnloadPolicy;
use inspector_protocol::wire;

/// What registers a module's content.
pub type Build = fn(&mut ModuleBuilder);

/// Stands for code that was loaded.
#[derive(Debug, Default)]
pub struct Linked {
    closed: bool,
}

impl CodeHandle for Linked {
    fn contains(&self, _: usize) -> bool {
        false
    }

    fn number(&self) -> u64 {
        0
    }

    fn give_back(&self) {}

    fn pinned_by(&self) -> Vec<String> {
        Vec::new()
    }

    fn close(&mut self, _is_proven: bool) {
        self.closed = true;
    }

    fn is_gone(&mut self) -> bool {
        self.closed
    }
}

/// Answers every load with one and the same module.
pub struct LinkedBackend {
    /// The module.
    pub build: Build,
    /// Loads so far; each counts as other content.
    pub loads: u64,
}

impl LinkedBackend {
    fn code(&self) -> LoadedCode {
        LoadedCode {
            code: Box::<Linked>::default(),
            hash: self.loads,
            label: "0.1.0".to_owned(),
            build: Arc::new(self.build),
            sources: Sources::NONE,
            entrance: None,
        }
    }
}

impl Backend for LinkedBackend {
    fn kind(&self) -> &'static str {
        "linked"
    }

    fn load(&mut self, _: &str, _: &Artifact, _: Option<u64>) -> Result<LoadedCode, LoadError> {
        self.loads += 1;
        Ok(self.code())
    }

    fn load_again(&mut self, _: &str) -> Option<Result<LoadedCode, LoadError>> {
        Some(Ok(self.code()))
    }

    fn set_modules(&mut self, _: &[ModuleSpec]) {}

    fn prove(&mut self, codes: &[u64], _: Look) -> Vec<Proof> {
        vec![Proof::Free; codes.len()]
    }

    fn external_changes(&mut self) -> Vec<(String, Artifact)> {
        Vec::new()
    }
}

/// What the loader does with an artifact: the next version of a module, ready for
/// the swap. `None` if the registry does not know the module or its systems form a
/// cycle.
pub fn prepare(registry: &Registry, module: &str, build: Build) -> Option<PreparedVersion> {
    let key = registry.reserve(module)?;
    let mut builder = ModuleBuilder::new();
    build(&mut builder);
    let mut description = builder.finish();
    sort_description(&mut description).ok()?;
    let names = function_names(&description);
    registry.set_loaded(
        module,
        key,
        "0.1.0",
        u64::from(key.id),
        Box::<Linked>::default(),
        names,
    );
    let kept = description.types.iter().map(KeptType::of).collect();
    Some(PreparedVersion {
        module: module.to_owned(),
        key,
        description,
        kept,
        build: Arc::new(build),
        entrance: None,
    })
}

/// What becomes of a version that drained: its code is closed and it is forgotten.
pub fn unload(registry: &Registry, module: &str, key: VersionKey) {
    if let Some(mut code) = registry.take_code(module, key) {
        code.close(false);
        registry.set_closed(module, key, code.is_gone());
    }
}

/// A host in this process, with someone at the other end of its pipe.
pub struct LinkedHost {
    /// The host.
    pub host: Host,
    /// Requests to it.
    pub requests: Sender<ToHost>,
    module: &'static str,
    artifact: PathBuf,
    loads: u64,
}

/// Messages that may wait in either direction, as in the engine.
const QUEUE: usize = 1024;
/// Longest wait for a version.
const PATIENCE: Duration = Duration::from_secs(10);

impl LinkedHost {
    /// Starts a host with one module and runs frames until its first version is
    /// active. A thread takes what the host says and encodes it, as the writer of
    /// the engine's private pipe does.
    ///
    /// # Errors
    /// If a thread cannot be started or the module does not become active.
    pub fn start(module: &'static str, build: Build) -> std::io::Result<Self> {
        let backend = LinkedBackend { build, loads: 0 };
        Self::with_backend(module, Box::new(backend), module.into())
    }

    /// As [`LinkedHost::start`], with the backend that loads this artifact.
    ///
    /// # Errors
    /// As there.
    pub fn with_backend(
        module: &'static str,
        backend: Box<dyn Backend>,
        artifact: PathBuf,
    ) -> std::io::Result<Self> {
        let (requests, inbox) = bounded(QUEUE);
        let (outbox, messages) = unbounded::<Box<FromHost>>();
        let pipe = move || {
            for message in messages {
                let bytes = wire::encode(&message).map_or(0, |bytes| bytes.len());
                std::hint::black_box(bytes);
            }
        };
        std::thread::Builder::new()
            .name("pipe-write".into())
            .spawn(pipe)?;
        let config = HostConfig {
            modules: vec![(module.to_owned(), 0)],
            backends: vec![backend],
            assets: std::env::temp_dir(),
            frame_rate: 60,
            max_frames: None,
            wait_for_modules: false,
            shared: None,
            rollback_within: Duration::ZERO,
            every_panic_fails: false,
            drain: HashMap::new(),
            stalled_after: Duration::ZERO,
            checkpoints: None,
            unload: UnloadPolicy::Known,
        };
        let host = Host::start(config, inbox, outbox)?;
        let mut linked = Self {
            host,
            requests,
            module,
            artifact,
            loads: 0,
        };
        linked.request_load();
        let start = Instant::now();
        while linked.active().is_none() {
            if start.elapsed() > PATIENCE {
                return Err(std::io::Error::other("the module does not become active"));
            }
            linked.host.frame(FRAME);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(linked)
    }

    /// Asks for the next version; it is swapped in by one of the next frames.
    pub fn request_load(&mut self) {
        self.loads += 1;
        let request = ToHost::Load(vec![LoadRequest {
            ticket: self.loads,
            module: self.module.to_owned(),
            artifact: self.artifact.clone(),
            hash: self.loads,
            force: true,
            quarantine: false,
            restore: false,
        }]);
        // Full or closed shows as a version that does not come.
        let _ = self.requests.try_send(request);
    }

    /// The active version.
    pub fn active(&self) -> Option<VersionKey> {
        self.host.registry().active(self.module)
    }
}

/// Time between two frames at sixty a second.
pub const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);
