//! The host: the child process that runs the game.
//!
//! Its standard input is one end of a socket pair, the private pipe to the
//! supervisor. When that breaks, the host ends.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded, unbounded};
use engine_api::zeroing;
use engine_lua::Limits;
use engine_lua::backend::LuaBackend;
use engine_native::proof::prover::Prover;
use engine_native::{NativeBackend, NativeModule};
use engine_runtime::backend::Backend;
use engine_runtime::host::{CheckpointConfig, DrainPolicy, Host, HostConfig, ResumeFrom};
use engine_runtime::link::{FromHost, ModuleSpec, ToHost};
use engine_runtime::unload::UnloadPolicy;
use inspector_protocol::wire;
use serde::{Deserialize, Serialize};

use crate::crash;
use crate::running::RunningEngine;

/// First message on the pipe: what to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HostSetup {
    /// Modules, in the order they run.
    pub(crate) modules: Vec<ModuleSpec>,
    /// Folder that cargo puts the libraries into.
    pub(crate) libraries: PathBuf,
    /// Folder of the assets.
    pub(crate) assets: PathBuf,
    /// Frames per second.
    pub(crate) frame_rate: u32,
    /// End after so many frames.
    pub(crate) max_frames: Option<u64>,
    /// Load libraries that are there already.
    pub(crate) load_existing: bool,
    /// Folder for what has to outlive this process.
    pub(crate) state: PathBuf,
    /// A version that panics so soon after it got in has failed, in ms.
    pub(crate) rollback_within_ms: u64,
    /// Any panic is a failure of its version.
    pub(crate) every_panic_fails: bool,
    /// What keeps the game for longer than this stalls it, in ms; 0 for never.
    pub(crate) stalled_after_ms: u64,
    /// Time between two checkpoints, in ms; 0 for none but at swaps and at the end.
    pub(crate) checkpoint_every_ms: u64,
    /// How many of them are kept.
    pub(crate) checkpoints_kept: usize,
    /// What becomes of the calls of versions that drain, by module.
    pub(crate) drain: HashMap<String, DrainPolicy>,
    /// The checkpoint that this host goes on with.
    pub(crate) resume: Option<ResumeFrom>,
    /// What has to be known of an old version before it is unloaded.
    pub(crate) unload: UnloadPolicy,
}

/// File of the shared structs of a run.
pub(crate) fn shared_of(run: &Path) -> PathBuf {
    run.join("shared")
}

/// Folder of the checkpoints of a run.
pub(crate) fn checkpoints_of(run: &Path) -> PathBuf {
    run.join("checkpoints")
}

/// Messages to the host that may wait.
const QUEUE: usize = 1024;

/// How long the game may take to end when its supervisor is gone.
const GRACE: Duration = Duration::from_secs(3);

/// Runs the host on the pipe that standard input is.
pub(crate) fn main() -> ExitCode {
    crash::install();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the host cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the helper of a host, on the socket that standard input is.
pub(crate) fn prove() -> ExitCode {
    match engine_native::proof::help() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the helper cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    platform::keep_memory_small();
    let (mut from, mut to) = platform::pipe()?;
    let setup: HostSetup = wire::read(&mut from)?;
    let (inbox, received) = bounded(QUEUE);
    // The outbox keeps to a bound of its own.
    let (outbox, to_send) = unbounded::<Box<FromHost>>();
    std::thread::Builder::new()
        .name("pipe-read".into())
        .spawn(move || receive(&mut from, &inbox))?;
    let writer = std::thread::Builder::new()
        .name("pipe-write".into())
        .spawn(move || {
            // The log sink keeps a sender for as long as the process lives, so the
            // channel never closes: `Finished` is the last message.
            for message in to_send {
                let last = *message == FromHost::Finished;
                if wire::write(&mut to, &*message).is_err() || last {
                    return;
                }
            }
        })?;
    let native = setup
        .modules
        .iter()
        .filter(|module| !module.library.is_empty())
        .map(|module| NativeModule {
            name: module.name.clone(),
            library: module.library.clone(),
        })
        .collect();
    let mut prover = RunningEngine::kept(&setup.state)?;
    prover.arg("__proof");
    let backend = NativeBackend::new(&setup.libraries, native, setup.load_existing)
        .with_prover(Prover::new(prover));
    zeroing::set_enabled(setup.unload == UnloadPolicy::Proven);
    let lua = LuaBackend::new(Limits::default());
    let backends: Vec<Box<dyn Backend>> = vec![Box::new(backend), Box::new(lua)];
    let config = HostConfig {
        modules: with_backends(setup.modules, &backends),
        backends,
        assets: setup.assets,
        frame_rate: setup.frame_rate,
        max_frames: setup.max_frames,
        wait_for_modules: true,
        shared: Some(shared_of(&setup.state)),
        rollback_within: Duration::from_millis(setup.rollback_within_ms),
        every_panic_fails: setup.every_panic_fails,
        drain: setup.drain,
        stalled_after: Duration::from_millis(setup.stalled_after_ms),
        checkpoints: Some(CheckpointConfig {
            folder: checkpoints_of(&setup.state),
            kept: setup.checkpoints_kept,
            every: Duration::from_millis(setup.checkpoint_every_ms),
            resume: setup.resume,
        }),
        unload: setup.unload,
    };
    Host::start(config, received, outbox)?.run();
    let _ = writer.join();
    Ok(())
}

/// Modules with the index of the backend for their kind.
fn with_backends(modules: Vec<ModuleSpec>, backends: &[Box<dyn Backend>]) -> Vec<(String, usize)> {
    let with_backend = modules.into_iter().filter_map(|module| {
        let mut backends = backends.iter();
        let backend = backends.position(|backend| backend.kind() == module.kind)?;
        Some((module.name, backend))
    });
    with_backend.collect()
}

fn receive(from: &mut impl Read, inbox: &Sender<ToHost>) {
    while let Ok(message) = wire::read::<ToHost>(from) {
        if inbox.send(message).is_err() {
            return;
        }
    }
    // The supervisor is gone and the frame loop has heard of it, unless game code does not let it
    // go. Nobody could end that any more.
    std::thread::sleep(GRACE);
    platform::exit_at_once();
}

#[cfg(unix)]
mod platform {
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    /// Ends the process without running anything of it.
    pub(super) fn exit_at_once() {
        // SAFETY: the function takes a number and does not come back.
        unsafe { libc::_exit(1) }
    }

    /// Has the C library give large blocks back to the system when they are freed. By itself it
    /// learns to keep such memory, some MB for each artifact that is read.
    pub(super) fn keep_memory_small() {
        #[cfg(target_env = "gnu")]
        // SAFETY: sets a number, before there are other threads.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
        }
    }

    /// Both directions of the pipe.
    pub(super) fn pipe() -> std::io::Result<(UnixStream, UnixStream)> {
        let stream = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        Ok((stream.try_clone()?, stream))
    }
}
