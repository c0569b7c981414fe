//! Files to resources: reads and parses assets off the frame loop.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use engine_api::asset::{AssetRegistration, ParsedAsset};
use inspector_protocol::status::{Problem, Severity};

use crate::call;
use crate::host::Outbox;
use crate::panic;
use crate::part::Part;
use crate::registry::{Lease, VersionKey};
use crate::telemetry::Board;
use crate::wipe;

/// What the asset thread is asked to do.
pub(crate) enum AssetRequest {
    /// These assets of this version replace all of the module's before.
    Use(String, VersionKey, Arc<Vec<AssetRegistration>>, Lease),
    /// A module is gone, and its assets with it.
    Forget(String),
    /// These files changed.
    Changed(Vec<PathBuf>),
    /// Stop the thread.
    Stop,
}

/// A parsed asset on its way to the frame thread, with what to say once it is in.
pub(crate) struct ReadyAsset {
    /// Module and version whose code made it; applied only while that is active.
    pub(crate) module: String,
    pub(crate) key: VersionKey,
    pub(crate) path: String,
    pub(crate) apply: ParsedAsset,
    /// Last, so that it outlives the closure above.
    pub(crate) _lease: Lease,
}

struct InUse {
    key: VersionKey,
    assets: Arc<Vec<AssetRegistration>>,
    /// Content last parsed, by path.
    seen: HashMap<String, String>,
    /// Last, so that it outlives the closures above.
    lease: Lease,
}

/// The asset thread's body.
pub(crate) struct AssetLoader {
    pub(crate) root: PathBuf,
    pub(crate) requests: Receiver<AssetRequest>,
    /// Boxed, because a channel keeps what it has handed over until it is full.
    pub(crate) ready: Sender<Box<ReadyAsset>>,
    pub(crate) outbox: Outbox,
    pub(crate) board: Arc<Board>,
}

/// How long a file that cannot be parsed may still be half-written.
const SETTLE: Duration = Duration::from_millis(60);

/// What the asset thread remembers from one request to the next.
#[derive(Default)]
struct Memory {
    modules: HashMap<String, InUse>,
    /// Files that looked broken, to be read once more before anyone is told.
    doubtful: Vec<(PathBuf, Instant)>,
}

impl AssetLoader {
    pub(crate) fn run(self) {
        let mut memory = Memory::default();
        loop {
            let first = memory.doubtful.first();
            let wait = first.map_or(Duration::from_hours(1), |(_, at)| {
                (*at + SETTLE).saturating_duration_since(Instant::now())
            });
            match self.requests.recv_timeout(wait) {
                Ok(AssetRequest::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(request) => self.handle(request, &mut memory),
                Err(RecvTimeoutError::Timeout) => self.read_again(&mut memory),
            }
            wipe::stack();
        }
    }

    // Its part of the stack has to be over when that is wiped.
    #[inline(never)]
    fn handle(&self, request: AssetRequest, memory: &mut Memory) {
        let Memory { modules, doubtful } = memory;
        match request {
            AssetRequest::Use(module, key, assets, lease) => {
                let seen = modules
                    .remove(&module)
                    .map(|old| old.seen)
                    .unwrap_or_default();
                let mut in_use = InUse {
                    key,
                    assets: assets.clone(),
                    seen,
                    lease,
                };
                self.board.clear_problems(&format!("asset:{module}:"));
                for asset in assets.iter() {
                    // New code may read the same text differently.
                    in_use.seen.remove(&asset.path);
                    self.load(&module, &mut in_use, asset, true);
                }
                self.board.set_assets_loaded(key.id);
                modules.insert(module, in_use);
            }
            AssetRequest::Forget(module) => {
                self.board.clear_problems(&format!("asset:{module}:"));
                modules.remove(&module);
            }
            AssetRequest::Changed(files) => {
                for file in files {
                    if !self.changed(modules, &file, false)
                        && !doubtful.iter().any(|(other, _)| *other == file)
                    {
                        doubtful.push((file, Instant::now()));
                    }
                }
            }
            AssetRequest::Stop => {}
        }
    }

    /// Reads files once more that had time to settle.
    #[inline(never)]
    fn read_again(&self, memory: &mut Memory) {
        let due = |at: &Instant| at.elapsed() >= SETTLE;
        let doubtful = std::mem::take(&mut memory.doubtful);
        let (now, later): (Vec<_>, Vec<_>) = doubtful.into_iter().partition(|(_, at)| due(at));
        memory.doubtful = later;
        for (file, _) in now {
            self.changed(&mut memory.modules, &file, true);
        }
    }

    /// Reads a changed file for every module that wants it. Returns false if it
    /// does not parse and `certain` is false.
    fn changed(&self, modules: &mut HashMap<String, InUse>, file: &Path, certain: bool) -> bool {
        let mut good = true;
        for (module, in_use) in modules {
            let assets = in_use.assets.clone();
            for asset in assets
                .iter()
                .filter(|asset| self.root.join(&asset.path) == file)
            {
                good &= self.load(module, in_use, asset, certain);
            }
        }
        good
    }

    fn load(
        &self,
        module: &str,
        in_use: &mut InUse,
        asset: &AssetRegistration,
        certain: bool,
    ) -> bool {
        let file = self.root.join(&asset.path);
        let shown = format!("assets/{}", asset.path);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                if certain {
                    // The same text coming back is news then.
                    in_use.seen.remove(&asset.path);
                    self.problem(
                        module,
                        &asset.path,
                        &shown,
                        0,
                        0,
                        &format!("cannot be read: {error}"),
                    );
                }
                return false;
            }
        };
        if in_use.seen.get(&asset.path) == Some(&text) {
            return true;
        }
        let parsed = {
            let _call = call::enter(Part::Assets.of(in_use.key.id));
            panic::guard(|| (asset.parse)(&text))
        };
        match parsed {
            Ok(Ok(apply)) => {
                in_use.seen.insert(asset.path.clone(), text);
                self.board
                    .set_problem(&format!("asset:{module}:{}", asset.path), None);
                let ready = Box::new(ReadyAsset {
                    module: module.to_owned(),
                    key: in_use.key,
                    path: shown,
                    apply,
                    _lease: in_use.lease.clone(),
                });
                // Disconnected only when the host ends.
                let _ = self.ready.send(ready);
                true
            }
            Ok(Err(error)) => {
                if certain {
                    in_use.seen.remove(&asset.path);
                    let (line, column) = (error.line, error.column);
                    self.problem(module, &asset.path, &shown, line, column, &error.message);
                }
                false
            }
            Err(report) => {
                in_use.seen.remove(&asset.path);
                let message = format!("its check panicked: {}", report.summary());
                self.problem(module, &asset.path, &shown, 0, 0, &message);
                true
            }
        }
    }

    fn problem(
        &self,
        module: &str,
        path: &str,
        shown: &str,
        line: u32,
        column: u32,
        message: &str,
    ) {
        // What is wrong with the whole file is at its beginning.
        let (line, column) = (line.max(1), column.max(1));
        let place = format!("{shown}:{line}:{column}");
        self.outbox
            .warn(format!("{place}: {message}; the last good value stays"));
        let problem = Problem {
            module: module.to_owned(),
            severity: Severity::Error,
            file: shown.to_owned(),
            line,
            column,
            message: message.to_owned(),
            rendered: format!("error: {message}\n --> {place}\n"),
        };
        self.board
            .set_problem(&format!("asset:{module}:{path}"), Some(problem));
    }
}

#[cfg(test)]
mod tests;
