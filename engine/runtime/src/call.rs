//! Counting calls: which version is running where.
//!
//! Every thread that calls into a module owns a [`CallStack`]: a small array of
//! the calls it is in, written with plain stores by its owner and read by anyone.
//! An entry both counts the call on its version and protects that version's code
//! from being unloaded; the protocol is that of hazard pointers (M. Michael,
//! "Hazard Pointers", 2004) with the asymmetric fence of [`crate::fence`].

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{self, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fence;
use crate::stack::{self, SignalStack};

/// A call's version and function in one word, so that an entry is one plain store.
/// Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(u64);

impl CallId {
    /// Function number `function` of the version with the process-wide id `version`.
    pub fn new(version: u32, function: u32) -> Self {
        Self(u64::from(version) << 32 | u64::from(function) | 1 << 63)
    }

    /// Process-wide id of the version.
    pub fn version(self) -> u32 {
        (self.0 >> 32) as u32 & 0x7fff_ffff
    }

    /// The id as a number, for [`CallId::from_bits`].
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The id that a number stands for.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits | 1 << 63)
    }

    /// Number of the function within its version.
    pub fn function(self) -> u32 {
        self.0 as u32
    }
}

/// Nested calls recorded without a lock; deeper ones go to a list behind one.
const DEPTH: usize = 64;

/// The calls that one thread is in, outermost first. Written by its thread only.
pub struct CallStack {
    /// Name of the thread that owns it; `None` while it is free.
    thread: Mutex<Option<String>>,
    depth: AtomicUsize,
    /// Counts every entry, so that two calls of one function can be told apart.
    sequence: AtomicU64,
    entries: [Entry; DEPTH],
    deeper: Mutex<Vec<CallId>>,
    /// Name of what the thread runs, where no list has it.
    label: Label,
    /// For what the thread does when it crashes.
    signal_stack: SignalStack,
}

#[derive(Default)]
struct Entry {
    id: AtomicU64,
    sequence: AtomicU64,
}

/// All stacks ever made. They are never freed: one whose thread has ended is given to
/// the next thread, so there are as many as threads ever called at once.
static STACKS: Mutex<Vec<&'static CallStack>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static CURRENT: Cell<Option<&'static CallStack>> = const { Cell::new(None) };
    static OWNER: Cell<Option<Owner>> = const { Cell::new(None) };
}

/// Frees the thread's stack for another thread when this one ends.
struct Owner(&'static CallStack);

impl Drop for Owner {
    fn drop(&mut self) {
        if self.0.depth.load(Ordering::Relaxed) > 0 {
            // A call is ending the process (`exit` runs this first): what is said of it at the
            // end needs the stack.
            return;
        }
        let _ = CURRENT.try_with(|current| current.set(None));
        stack::give_up_signal_stack();
        *lock(&self.0.thread) = None;
    }
}

#[cold]
fn register() -> &'static CallStack {
    let name = std::thread::current()
        .name()
        .unwrap_or("unnamed")
        .to_owned();
    let mut stacks = lock(&STACKS);
    let free = stacks.iter().copied().find(|stack| {
        let mut thread = lock(&stack.thread);
        let free = thread.is_none();
        if free {
            *thread = Some(name.clone());
        }
        free
    });
    let stack = free.unwrap_or_else(|| {
        let stack: &'static CallStack = Box::leak(Box::new(CallStack {
            thread: Mutex::new(Some(name)),
            depth: AtomicUsize::new(0),
            sequence: AtomicU64::new(0),
            entries: std::array::from_fn(|_| Entry::default()),
            deeper: Mutex::new(Vec::new()),
            label: Label::default(),
            signal_stack: SignalStack::default(),
        }));
        stacks.push(stack);
        stack
    });
    stack.signal_stack.give();
    OWNER.set(Some(Owner(stack)));
    CURRENT.set(Some(stack));
    stack
}

#[inline]
fn current_stack() -> &'static CallStack {
    match CURRENT.get() {
        Some(stack) => stack,
        None => register(),
    }
}

impl CallStack {
    /// Adds a call; returns the depth before it.
    #[inline]
    fn push(&self, id: CallId) -> usize {
        let depth = self.depth.load(Ordering::Relaxed);
        let sequence = self.sequence.load(Ordering::Relaxed) + 1;
        self.sequence.store(sequence, Ordering::Relaxed);
        if let Some(entry) = self.entries.get(depth) {
            entry.id.store(id.0, Ordering::Relaxed);
            entry.sequence.store(sequence, Ordering::Relaxed);
        } else {
            lock(&self.deeper).push(id);
        }
        self.depth.store(depth + 1, Ordering::Release);
        depth
    }

    /// Takes away the call that was added at `depth`.
    #[inline]
    fn pop_to(&self, depth: usize) {
        if depth >= DEPTH {
            lock(&self.deeper).truncate(depth - DEPTH);
        }
        self.depth.store(depth, Ordering::Release);
    }
}

/// A call in progress on this thread. Ends when dropped; must be dropped on the
/// thread that made it, innermost first.
pub struct CallGuard {
    // A reference, so the guard is as cheap as one store; not `Send`, because it
    // belongs to the stack of its thread.
    stack: &'static CallStack,
    depth: usize,
    _thread: std::marker::PhantomData<*const ()>,
}

impl Drop for CallGuard {
    #[inline]
    fn drop(&mut self) {
        self.stack.pop_to(self.depth);
    }
}

/// Counts a call in whose target cannot be swapped meanwhile: the caller is the
/// thread that swaps, or holds the registry's lock.
#[inline]
pub fn enter(id: CallId) -> CallGuard {
    let stack = current_stack();
    let depth = stack.push(id);
    CallGuard {
        stack,
        depth,
        _thread: std::marker::PhantomData,
    }
}

/// The innermost call of this thread, if it ever made one. Reads numbers only, so it
/// may be asked in a signal handler.
pub fn current() -> Option<CallId> {
    let stack = CURRENT.get()?;
    let depth = stack.depth.load(Ordering::Relaxed);
    let entry = stack.entries.get(depth.checked_sub(1)?)?;
    Some(CallId(entry.id.load(Ordering::Relaxed)))
}

/// Address and length of a text; none while the address is null. Read by its thread alone, which
/// a signal may interrupt.
#[derive(Default)]
struct Label {
    text: AtomicPtr<u8>,
    length: AtomicUsize,
}

impl Label {
    fn set(&self, text: &str) {
        // In this order a signal in between sees none.
        self.length.store(text.len(), Ordering::Release);
        self.text.store(text.as_ptr().cast_mut(), Ordering::Release);
    }

    fn clear(&self) {
        self.text.store(std::ptr::null_mut(), Ordering::Release);
    }
}

/// Runs something under a name that [`with_label`] gives, should it crash. A label within another
/// one takes it away.
pub fn labelled<R>(text: &str, run: impl FnOnce() -> R) -> R {
    struct Clear(&'static Label);
    impl Drop for Clear {
        fn drop(&mut self) {
            self.0.clear();
        }
    }
    let label = &current_stack().label;
    let _clear = Clear(label);
    label.set(text);
    run()
}

/// The name under which this thread runs something, if it does. May be asked in a signal handler.
pub fn with_label(use_it: impl FnOnce(&str)) {
    let Some(stack) = CURRENT.get() else { return };
    let text = stack.label.text.load(Ordering::Acquire);
    if text.is_null() {
        return;
    }
    let length = stack.label.length.load(Ordering::Acquire);
    // SAFETY: `labelled` put a text there that it borrows until it has cleared the label, it runs
    // further out on this thread, and the length was stored before the address.
    let text = unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(text, length)) };
    use_it(text);
}

/// A function of a module as callers see it: the slot stays, what it holds is
/// replaced at a swap.
///
/// What it held before is nowhere any more. Readers of the two words look at a counter
/// before and after (a sequence lock as in H. Boehm, "Can Seqlocks Get Along With
/// Programming Language Memory Models?", 2012), so nothing has to be kept for them.
#[derive(Default)]
pub struct Slot {
    /// Odd while the target is being replaced, and another number afterwards.
    sequence: AtomicU64,
    /// Address of the function; null for none.
    code: AtomicPtr<()>,
    id: AtomicU64,
    /// Held while the target is being replaced.
    publishing: Mutex<()>,
}

impl Slot {
    /// Lets new calls go to `code`, or nowhere.
    pub fn publish(&self, code: Option<(*const (), CallId)>) {
        let _publishing = lock(&self.publishing);
        let (code, id) = code.unwrap_or((ptr::null(), CallId(0)));
        let before = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(before + 1, Ordering::Relaxed);
        // Who sees one of the two sees the odd number as well.
        atomic::fence(Ordering::Release);
        self.code.store(code.cast_mut(), Ordering::Relaxed);
        self.id.store(id.0, Ordering::Relaxed);
        self.sequence.store(before + 2, Ordering::Release);
    }

    /// Enters the function: counts the call on the version that it gets. The
    /// address stays callable while the guard lives. `None` if there is no target.
    #[inline]
    pub fn enter(&self) -> Option<(*const (), CallGuard)> {
        let stack = current_stack();
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            let code = self.code.load(Ordering::Acquire);
            let id = CallId(self.id.load(Ordering::Acquire));
            if code.is_null() {
                if self.sequence.load(Ordering::Acquire) == before {
                    return None;
                }
                continue;
            }
            let depth = stack.push(id);
            fence::light();
            // Another number: what was read may be of two targets, and the entry may have come
            // too late for whoever replaced the first.
            if before.is_multiple_of(2) && self.sequence.load(Ordering::Acquire) == before {
                let guard = CallGuard {
                    stack,
                    depth,
                    _thread: std::marker::PhantomData,
                };
                return Some((code.cast_const(), guard));
            }
            stack.pop_to(depth);
            std::hint::spin_loop();
        }
    }
}

impl Slot {
    /// Enters the function if it still is the one with this number: counts the call, so that its
    /// version stays while the guard lives.
    #[inline]
    pub fn enter_as(&self, id: CallId) -> Option<CallGuard> {
        let stack = current_stack();
        let depth = stack.push(id);
        fence::light();
        // Whoever replaces the target does it before looking who is in it.
        if self.id.load(Ordering::Acquire) == id.0 {
            return Some(CallGuard {
                stack,
                depth,
                _thread: std::marker::PhantomData,
            });
        }
        stack.pop_to(depth);
        None
    }
}

/// A call that was seen running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningCall {
    /// What was called.
    pub id: CallId,
    /// Name of the thread.
    pub thread: String,
    /// Distinguishes calls of one thread.
    pub sequence: u64,
}

/// All calls running now, of all threads. Costs callers nothing; takes locks that
/// only starting and ending threads take as well.
pub fn running() -> Vec<RunningCall> {
    let mut calls = Vec::new();
    for stack in lock(&STACKS).iter() {
        let depth = stack.depth.load(Ordering::Acquire);
        if depth == 0 {
            continue;
        }
        let thread = lock(&stack.thread).clone().unwrap_or_default();
        for entry in &stack.entries[..depth.min(DEPTH)] {
            calls.push(RunningCall {
                id: CallId(entry.id.load(Ordering::Relaxed)),
                thread: thread.clone(),
                sequence: entry.sequence.load(Ordering::Relaxed),
            });
        }
        for id in lock(&stack.deeper).iter() {
            calls.push(RunningCall {
                id: *id,
                thread: thread.clone(),
                sequence: 0,
            });
        }
    }
    calls
}

/// Calls that run in any of `versions` now, counted so that a zero is certain: no
/// call that began before a slot was swapped away can be missed.
pub fn count_certainly(version: u32) -> usize {
    fence::heavy();
    running()
        .iter()
        .filter(|call| call.id.version() == version)
        .count()
}

/// Remembers since when calls are running, by looking from time to time.
///
/// Callers do not read the clock (it costs more than the call); a call's time is
/// known to within the interval of looking.
#[derive(Default)]
pub struct CallWatch {
    seen: Vec<(String, u64, Instant)>,
}

impl CallWatch {
    /// Looks: all calls running now, each with the time since it was first seen.
    pub fn look(&mut self) -> Vec<(RunningCall, Duration)> {
        let now = Instant::now();
        let calls = running();
        self.seen.retain(|(thread, sequence, _)| {
            calls
                .iter()
                .any(|call| call.thread == *thread && call.sequence == *sequence)
        });
        calls
            .into_iter()
            .map(|call| {
                let known = self
                    .seen
                    .iter()
                    .find(|(thread, sequence, _)| {
                        *thread == call.thread && *sequence == call.sequence
                    })
                    .map(|(_, _, since)| *since);
                let since = known.unwrap_or_else(|| {
                    self.seen.push((call.thread.clone(), call.sequence, now));
                    now
                });
                (call, now.duration_since(since))
            })
            .collect()
    }
}

/// Prepares cheap counting for this process; see [`crate::fence`].
pub fn prepare() {
    fence::prepare();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn an_id_keeps_version_and_function() {
        let id = CallId::new(0x7fff_ffff, u32::MAX);
        assert_eq!((id.version(), id.function()), (0x7fff_ffff, u32::MAX));
        assert_eq!(CallId::new(3, 7).version(), 3);
    }

    #[test]
    fn nested_calls_are_counted_even_past_the_array() {
        let count = || {
            running()
                .iter()
                .filter(|call| call.id.version() == 0x7000_0901)
                .count()
        };
        let mut guards: Vec<_> = (0..DEPTH + 10)
            .map(|n| enter(CallId::new(0x7000_0901, n as u32)))
            .collect();
        assert_eq!(count(), DEPTH + 10);
        while guards.len() > 3 {
            guards.pop();
        }
        assert_eq!(count(), 3);
        assert_eq!(current(), Some(CallId::new(0x7000_0901, 2)));
        while guards.pop().is_some() {}
        assert_eq!(count(), 0);
    }

    /// Threads call through a slot while it is swapped; a version is marked gone
    /// once a certain count says zero, and no call may then be in it.
    #[test]
    fn no_call_enters_a_version_after_a_certain_zero() {
        static GONE: [AtomicBool; 400] = [const { AtomicBool::new(false) }; 400];
        prepare();
        let slot = Slot::default();
        let first = 0x7000_1000;
        let code: *const () = (&raw const GONE).cast();
        slot.publish(Some((code, CallId::new(first, 0))));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let Some((_, guard)) = slot.enter() else {
                            continue;
                        };
                        let version = current().map_or(0, CallId::version) - first;
                        for _ in 0..20 {
                            assert!(!GONE[version as usize].load(Ordering::SeqCst));
                        }
                        drop(guard);
                    }
                });
            }
            for version in 0..399 {
                slot.publish(Some((code, CallId::new(first + version + 1, 0))));
                while count_certainly(first + version) > 0 {
                    std::hint::spin_loop();
                }
                GONE[version as usize].store(true, Ordering::SeqCst);
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_watched_call_keeps_its_first_time() {
        let mut watch = CallWatch::default();
        let _guard = enter(CallId::new(0x7000_0902, 1));
        let elapsed = |watch: &mut CallWatch| {
            watch
                .look()
                .into_iter()
                .find(|(call, _)| call.id.version() == 0x7000_0902)
                .map(|(_, time)| time)
        };
        let first = elapsed(&mut watch).unwrap();
        while elapsed(&mut watch).unwrap() <= first {
            std::hint::spin_loop();
        }
    }
}
