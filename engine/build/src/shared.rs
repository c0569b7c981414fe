//! What the watching and the building thread share: the state of the files and
//! the changes nobody has acted on yet.
//!
//! Changes are kept in sets under a lock instead of a channel, so that any
//! number of them fits and none is lost; the channel only wakes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::config::ModuleSource;
use crate::snapshot::{Observed, Sources};

/// Changes that wait for the building thread.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// New content, with the arrival of the first event.
    pub(crate) changed: BTreeMap<PathBuf, Instant>,
    /// Written with the content they had.
    pub(crate) touched: BTreeMap<PathBuf, Instant>,
    /// Files that are only reported.
    pub(crate) assets: BTreeSet<PathBuf>,
    /// Modules to build on request.
    pub(crate) requests: BTreeMap<String, Instant>,
    /// The modules from now on.
    pub(crate) modules: Option<Vec<ModuleSource>>,
    /// For people: what is wrong with watching.
    pub(crate) problems: Vec<String>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.changed.is_empty()
            && self.touched.is_empty()
            && self.assets.is_empty()
            && self.requests.is_empty()
            && self.modules.is_none()
            && self.problems.is_empty()
    }
}

/// What the lock protects.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) sources: Sources,
    pub(crate) changes: Changes,
}

impl State {
    /// Notes what has become of a file.
    pub(crate) fn note(&mut self, path: PathBuf, observed: Observed, at: Instant) {
        if observed == Observed::Same {
            return;
        }
        if self.sources.is_asset(&path) {
            self.changes.assets.insert(path.clone());
        }
        match observed {
            Observed::Same => {}
            Observed::Touched => {
                self.changes.touched.entry(path).or_insert(at);
            }
            Observed::Changed => {
                self.changes.changed.entry(path).or_insert(at);
            }
        }
    }
}

/// Owned by [`crate::Builder`] and both threads.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    wake: Sender<()>,
    is_stopping: AtomicBool,
}

impl Shared {
    /// Also gives the end that the building thread waits on.
    pub(crate) fn new(sources: Sources) -> (Self, Receiver<()>) {
        let (wake, woken) = bounded(1);
        let state = Mutex::new(State {
            sources,
            changes: Changes::default(),
        });
        (
            Self {
                state,
                wake,
                is_stopping: AtomicBool::new(false),
            },
            woken,
        )
    }

    /// The state. Held for short times only; a panic elsewhere leaves it usable,
    /// since every entry stands for itself.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all waiting changes.
    pub(crate) fn take_changes(&self) -> Changes {
        std::mem::take(&mut self.lock().changes)
    }

    /// Wakes the building thread if there is something for it.
    pub(crate) fn wake_if_needed(&self) {
        if self.is_stopping() || !self.lock().changes.is_empty() {
            // Full means that it will wake anyway.
            let _ = self.wake.try_send(());
        }
    }

    /// Whether the builder is being dropped.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Makes both threads end.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.wake_if_needed();
    }
}
