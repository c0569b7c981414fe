//! The stack of a thread, as far as it is game code: where a panic or a crash came from.
//!
//! Only addresses are taken here, since that is quick and safe wherever it happens. Names and
//! lines are found by the supervisor, in the file of the image.

use crate::images;
use crate::link::{CallPath, CodeAddress};

/// Innermost frames that are taken.
pub const INNERMOST: usize = 48;
/// Outermost frames that are taken: who began what never came to an end.
pub const OUTERMOST: usize = 16;

/// All frames that are taken, at most.
pub const FRAMES: usize = INNERMOST + OUTERMOST;

/// The frames of a thread that lie in code of versions, without those in between.
#[derive(Debug)]
pub struct GameFrames {
    /// The innermost ones, and behind them the outermost ones; a ring while they are looked at.
    frames: [CodeAddress; FRAMES],
    /// How many of these are known.
    known: usize,
    /// How many were seen.
    seen: usize,
}

impl GameFrames {
    /// Takes those of this thread. May be asked in a signal handler, on a stack that has 16 KiB
    /// left.
    #[inline(never)]
    pub fn take() -> Self {
        let mut taken = Self::none();
        let is_complete = platform::walk(&mut |address| {
            if let Some(frame) = images::find(address) {
                taken.add(frame);
            }
        });
        taken.finish(is_complete);
        taken
    }

    fn none() -> Self {
        Self {
            frames: [CodeAddress::default(); FRAMES],
            known: 0,
            seen: 0,
        }
    }

    fn add(&mut self, frame: CodeAddress) {
        let place = match self.seen.checked_sub(INNERMOST) {
            Some(beyond) => INNERMOST + beyond % OUTERMOST,
            None => self.seen,
        };
        self.frames[place] = frame;
        self.seen += 1;
    }

    /// Puts the outermost ones in their order. They are not known when the end was not reached.
    fn finish(&mut self, is_complete: bool) {
        let beyond = self.seen.saturating_sub(INNERMOST);
        if beyond > OUTERMOST {
            self.frames[INNERMOST..].rotate_left(beyond % OUTERMOST);
        }
        let limit = if is_complete { FRAMES } else { INNERMOST };
        self.known = self.seen.min(limit);
    }

    /// Those that were taken, innermost first.
    pub fn frames(&self) -> &[CodeAddress] {
        &self.frames[..self.known]
    }

    /// How many are left out, behind the first [`INNERMOST`].
    pub fn left_out(&self) -> u64 {
        (self.seen - self.known) as u64
    }

    /// The same, to be sent.
    pub fn path(&self) -> CallPath {
        CallPath {
            frames: self.frames().to_vec(),
            left_out: self.left_out(),
        }
    }
}

/// Gives this thread a signal stack on which its stack can be looked at, also after it has
/// overflowed. The one that the standard library makes is too small for that. `kept` is where it
/// stays for the next thread.
pub(crate) use platform::{SignalStack, give_up_signal_stack};

#[cfg(unix)]
mod platform {
    use std::ffi::c_void;
    use std::sync::OnceLock;

    /// Frames that are looked at: a stack that overflowed has many. That takes a tenth of a second.
    const MAX_FRAMES: usize = 100_000;
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

    struct Walk<'a> {
        each: &'a mut dyn FnMut(usize),
        seen: usize,
    }

    extern "C" fn look(context: *mut Context, walk: *mut c_void) -> libc::c_int {
        // SAFETY: `walk` hands over a pointer to a value that outlives the walk and that nobody
        // else uses.
        let walk = unsafe { &mut *walk.cast::<Walk<'_>>() };
        if walk.seen == MAX_FRAMES {
            return STOP;
        }
        walk.seen += 1;
        let mut is_before = 0;
        // SAFETY: the unwinder gives a context that is valid during this call.
        let address = unsafe { _Unwind_GetIPInfo(context, &raw mut is_before) };
        // A frame that called has the address behind the call, which may belong to the next
        // line; one that was interrupted by a signal has that of its instruction.
        (walk.each)(if is_before == 0 {
            address.wrapping_sub(1)
        } else {
            address
        });
        GO_ON
    }

    /// Hands over the addresses of all calls of this thread, innermost first; returns whether
    /// that were all of them.
    pub(super) fn walk(each: &mut dyn FnMut(usize)) -> bool {
        let mut walk = Walk { each, seen: 0 };
        // SAFETY: the callback has the signature that the unwinder asks for, does not unwind,
        // and gets a pointer to a value that lives here.
        unsafe { _Unwind_Backtrace(look, (&raw mut walk).cast()) };
        walk.seen < MAX_FRAMES
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
    pub(super) fn walk(_: &mut dyn FnMut(usize)) -> bool {
        true
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
    #[inline(never)]
    fn inner() -> GameFrames {
        std::hint::black_box(GameFrames::take())
    }

    #[test]
    fn only_frames_in_known_images_are_taken_innermost_first() {
        // This function stands for the code of a version; the test's other frames do not.
        let start = inner as *const () as usize;
        images::add(start..start + 16, 11);
        images::add(start + 16..start + 4096, 11);
        let taken = inner();
        assert!(!taken.frames().is_empty(), "`inner` is on the stack");
        assert!(taken.frames().iter().all(|frame| frame.content == 11));
        assert_eq!(taken.left_out(), 0);
        let outside = GameFrames::take();
        assert!(
            !outside.frames().contains(&taken.frames()[0]),
            "`inner` is not on the stack"
        );
    }

    #[test]
    fn of_many_frames_the_innermost_and_the_outermost_are_kept() {
        let offsets = |count: u64, is_complete| {
            let mut taken = GameFrames::none();
            for offset in 0..count {
                taken.add(CodeAddress { content: 1, offset });
            }
            taken.finish(is_complete);
            let offsets = taken.frames().iter().map(|frame| frame.offset);
            (offsets.collect::<Vec<_>>(), taken.left_out())
        };
        let all = FRAMES as u64;
        for count in [0, 1, 48, 49, all] {
            assert_eq!(offsets(count, true), ((0..count).collect(), 0));
        }
        for more in [1, 15, 16, 17, 1000] {
            let ends = (0..48).chain(48 + more..all + more).collect();
            assert_eq!(offsets(all + more, true), (ends, more));
        }
        let innermost = (0..48).collect();
        assert_eq!(offsets(all, false), (innermost, 16));
    }
}
