//! The gate in front of each observer: counts its calls, pauses it after a panic,
//! closes it at a swap.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use engine_api::observer::CallGate;

use crate::call::{self, CallGuard, CallId};
use crate::panic::{self, PanicReport};
use crate::runner::SystemFault;

/// Faults of observers, collected until the frame thread looks.
pub type FaultQueue = Arc<Mutex<Vec<SystemFault>>>;

/// One observer of one version.
pub struct ObserverGate {
    id: CallId,
    closed: AtomicBool,
    /// Calls in progress; an observer may trigger itself again.
    guards: Mutex<Vec<ThreadBound>>,
    faults: FaultQueue,
}

/// A guard that stays on the frame thread: observers run where the world is.
struct ThreadBound(CallGuard);

// SAFETY: observers are run by the thread that owns the world; `enter` and `exit`
// of one call come from that one thread, so the guard never really moves.
unsafe impl Send for ThreadBound {}

impl ObserverGate {
    /// A gate for the observer with this call id.
    pub fn new(id: CallId, faults: FaultQueue) -> Self {
        Self {
            id,
            closed: AtomicBool::new(false),
            guards: Mutex::new(Vec::new()),
            faults,
        }
    }

    /// Takes over from the gate of the same observer in the world before: one that panicked
    /// stays paused.
    pub fn go_on_from(&self, old: &Self) {
        if old.closed.load(Ordering::Relaxed) {
            self.close();
        }
    }

    /// Lets no further call in.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl CallGate for ObserverGate {
    fn enter(&self) -> bool {
        if self.closed.load(Ordering::Relaxed) {
            return false;
        }
        let guard = ThreadBound(call::enter(self.id));
        self.guards
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(guard);
        true
    }

    fn exit(&self, panicked: Option<String>) {
        if let Some(message) = panicked {
            self.close();
            let report = panic::take_report().unwrap_or(PanicReport {
                message,
                ..PanicReport::default()
            });
            panic::tell(&report);
            self.faults
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(SystemFault::Panicked {
                    id: self.id,
                    report,
                });
        }
        let guard = self
            .guards
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        drop(guard.map(|ThreadBound(guard)| guard));
    }
}
