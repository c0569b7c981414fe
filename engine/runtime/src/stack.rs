//! The stack of a thread, as far as it is game code: where a panic or a crash came from.
//!
//! Only addresses are taken here, since that is quick and safe wherever it happens. Names and
//! lines are found by the supervisor, in the file of the image.

use crate::link::CodeAddress;

/// Frames that are taken, the innermost ones.
pub const FRAMES: usize = 64;

/// Takes the frames of this thread that lie in code of versions, innermost first; returns how
/// many. May be asked in a signal handler, on a stack that has 16 KiB left.
pub fn game_frames(frames: &mut [CodeAddress; FRAMES]) -> usize {
    platform::game_frames(frames)
}

/// Gives this thread a signal stack on which its stack can be looked at, also after it has
/// overflowed. The one that the standard library makes is too small for that. `kept` is where it
/// stays for the next thread.
pub(crate) use platform::{SignalStack, give_up_signal_stack};

#[cfg(unix)]
mod platform {
    use std::ffi::c_void;
    use std::sync::OnceLock;

    use super::{CodeAddress, FRAMES};
    use crate::images;

    /// Frames that are looked at: a stack that overflowed has many.
    const MAX_FRAMES: usize = 10_000;
    /// Enough for the handler, the unwinder and the registers that the system saves.
    const SIGNAL_STACK: usize = 64 << 10;

    /// A frame as the unwinder sees it.
    #[repr(C)]
    struct Context {
        _opaque: [u8; 0],
    }

    type Callback = extern "C" fn(*mut Context, *mut c_void) -> libc::c_int;

    // Level 1 of the Itanium C++ ABI for exceptions, which the standard library links.
    unsafe extern "C" {
        fn _Unwind_Backtrace(callback: Callback, taken: *mut c_void) -> libc::c_int;
        fn _Unwind_GetIPInfo(context: *mut Context, before: *mut libc::c_int) -> usize;
    }

    const GO_ON: libc::c_int = 0;
    const STOP: libc::c_int = 5;

    struct Taken<'a> {
        frames: &'a mut [CodeAddress; FRAMES],
        count: usize,
        seen: usize,
    }

    extern "C" fn take(context: *mut Context, taken: *mut c_void) -> libc::c_int {
        // SAFETY: `game_frames` hands over a pointer to a value that outlives the walk and that
        // nobody else uses.
        let taken = unsafe { &mut *taken.cast::<Taken<'_>>() };
        let mut is_before = 0;
        // SAFETY: the unwinder gives a context that is valid during this call.
        let address = unsafe { _Unwind_GetIPInfo(context, &raw mut is_before) };
        // A frame that called has the address behind the call, which may belong to the next
        // line; one that was interrupted by a signal has that of its instruction.
        let address = if is_before == 0 {
            address.wrapping_sub(1)
        } else {
            address
        };
        if let Some(frame) = images::find(address) {
            taken.frames[taken.count] = frame;
            taken.count += 1;
        }
        taken.seen += 1;
        if taken.count == FRAMES || taken.seen == MAX_FRAMES {
            STOP
        } else {
            GO_ON
        }
    }

    pub(super) fn game_frames(frames: &mut [CodeAddress; FRAMES]) -> usize {
        let mut taken = Taken {
            frames,
            count: 0,
            seen: 0,
        };
        // SAFETY: the callback has the signature that the unwinder asks for, does not unwind,
        // and gets a pointer to a value that lives here.
        unsafe { _Unwind_Backtrace(take, (&raw mut taken).cast()) };
        taken.count
    }

    /// Memory for the signal stack of one thread at a time; never freed.
    #[derive(Default)]
    pub(crate) struct SignalStack {
        start: OnceLock<Option<usize>>,
    }

    impl SignalStack {
        /// Makes it the signal stack of this thread. Where there is no memory for it, the thread
        /// keeps the one it has.
        pub(crate) fn give(&self) {
            let Some(start) = *self.start.get_or_init(map) else {
                return;
            };
            let stack = libc::stack_t {
                ss_sp: std::ptr::with_exposed_provenance_mut(start),
                ss_flags: 0,
                ss_size: SIGNAL_STACK,
            };
            // SAFETY: the memory is mapped for ever, and one thread uses it at a time: it belongs
            // to a `CallStack`, which gives it up before another thread can have it.
            unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
        }
    }

    /// Maps a signal stack with a guard page below it.
    fn map() -> Option<usize> {
        let guard = 4096;
        // SAFETY: an anonymous mapping at a place of the system's choice.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                guard + SIGNAL_STACK,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANON,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: the page was mapped just now and holds nothing.
        unsafe { libc::mprotect(memory, guard, libc::PROT_NONE) };
        Some(memory.expose_provenance() + guard)
    }

    /// The thread ends, and its signal stack is another's.
    pub(crate) fn give_up_signal_stack() {
        let none = libc::stack_t {
            ss_sp: std::ptr::null_mut(),
            ss_flags: libc::SS_DISABLE,
            ss_size: SIGNAL_STACK,
        };
        // SAFETY: a description that asks for no signal stack.
        unsafe { libc::sigaltstack(&raw const none, std::ptr::null_mut()) };
    }
}

#[cfg(not(unix))]
mod platform {
    use super::{CodeAddress, FRAMES};

    pub(super) fn game_frames(_: &mut [CodeAddress; FRAMES]) -> usize {
        0
    }

    #[derive(Default)]
    pub(crate) struct SignalStack;

    impl SignalStack {
        pub(crate) fn give(&self) {}
    }

    pub(crate) fn give_up_signal_stack() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images;

    #[inline(never)]
    fn inner(frames: &mut [CodeAddress; FRAMES]) -> usize {
        std::hint::black_box(game_frames(frames))
    }

    #[test]
    fn only_frames_in_known_images_are_taken_innermost_first() {
        let mut frames = [CodeAddress::default(); FRAMES];
        // This function stands for the code of a version; the test's other frames do not.
        let start = inner as *const () as usize;
        images::add(start..start + 16, 11);
        images::add(start + 16..start + 4096, 11);
        let count = inner(&mut frames);
        assert!(count > 0, "`inner` is on the stack");
        assert!(frames[..count].iter().all(|frame| frame.content == 11));
        let taken = frames;
        let count = game_frames(&mut frames);
        assert!(
            !frames[..count].contains(&taken[0]),
            "`inner` is not on the stack"
        );
    }
}
