//! The expensive half of an asymmetric fence.
//!
//! A caller publishes "I am in version 3" with a plain store and then looks once
//! more whether version 3 is still the one to call. Between the two it needs a
//! store-load fence. Callers are many and reloads are few, so the fence is moved
//! to the reloading side: Linux's `membarrier(2)` makes every running thread of
//! the process pass a full fence. Where that system call is missing, callers pay
//! for their own fence.

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};

/// Whether callers must fence themselves because [`heavy`] cannot do it for them.
static CALLERS_FENCE: AtomicBool = AtomicBool::new(true);

/// Makes [`heavy`] usable; call once before the first call is counted. Without it
/// everything works, with a full fence in every call.
pub(crate) fn prepare() {
    if platform::register() {
        CALLERS_FENCE.store(false, Ordering::SeqCst);
    }
}

/// The caller's half: orders the stores before it against the loads after it, once
/// the other side has called [`heavy`].
#[inline]
pub(crate) fn light() {
    if CALLERS_FENCE.load(Ordering::Relaxed) {
        fence(Ordering::SeqCst);
    } else {
        compiler_fence(Ordering::SeqCst);
    }
}

/// The reloading side's half. Costs some microseconds; returns after every thread
/// of the process has passed a full fence.
pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
    if !CALLERS_FENCE.load(Ordering::Relaxed) {
        platform::barrier();
    }
    fence(Ordering::SeqCst);
}

#[cfg(target_os = "linux")]
mod platform {
    // From linux/membarrier.h.
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    pub(super) fn register() -> bool {
        membarrier(REGISTER_PRIVATE_EXPEDITED)
    }

    pub(super) fn barrier() {
        // Registered before, so this cannot fail (membarrier(2)).
        let done = membarrier(PRIVATE_EXPEDITED);
        debug_assert!(done, "membarrier failed after it was registered");
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    pub(super) fn register() -> bool {
        false
    }
    pub(super) fn barrier() {}
}
