//! The allocator of live builds: memory is zero when it is handed out, and small blocks are
//! zero again when they are freed.
//!
//! Whether anything refers to an old version is found out by looking at all memory of the
//! process. Blocks keep what was written into them before, by the game or by the allocator
//! itself, and a block in use that was not filled completely shows it: such words would pin a
//! version for as long as nobody writes over them. Blocks that are free are told from others by
//! the look, except small ones, which glibc keeps aside as if they were in use. So memory is
//! overwritten with zeros when it is handed out, and small blocks when they are freed, for
//! everybody: the engine, the game's modules and the standard library all link this crate's
//! allocator.
//!
//! Some of what code allocates it never frees: descriptions of its types for reflection, above
//! all. Such blocks refer to the code, so a stray word that refers to one of them would keep
//! the code. They are therefore [put aside](put_aside), into memory of that code alone, whose
//! addresses nothing had before and nothing gets after it.
//!
//! All of this only keeps old versions from being pinned for nothing. A block that is not
//! overwritten, for whatever reason, makes no version go that is still needed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Blocks up to this size are kept aside when they are freed (glibc's `tcache`, up to 1032
/// bytes).
const SMALL: usize = 1032;

/// Blocks over this size are mapped one by one (the upper limit of `M_MMAP_THRESHOLD` in
/// mallopt(3)): the system hands them out as zeros, and moves them with their pages.
const MAPPED: usize = 32 << 20;

/// [`OFF`], [`ON`], or which thread's blocks are put aside.
static MODE: AtomicUsize = AtomicUsize::new(ON);
const OFF: usize = 0;
const ON: usize = 1;

/// Where the memory for blocks that are put aside begins. Nothing lies in the upper half of
/// all addresses, which belongs to the system.
static ASIDE: AtomicUsize = AtomicUsize::new(1 << (usize::BITS - 1));
/// How much of it there is, in bytes: addresses, not memory.
pub const ASIDE_SIZE: usize = 32 << 30;
/// The part that is being filled, and where in it the next block goes.
static START: AtomicUsize = AtomicUsize::new(0);
static NEXT: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with what was in memory before overwritten. Thread-safe like that
/// one. Costs a `memset` or two for small blocks, a few ns, and one for others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Zeroing;

/// Turns overwriting on or off, for the whole process. It is on from the start; where old
/// versions are not looked for, it is not needed.
pub fn set_enabled(is_on: bool) {
    MODE.store(if is_on { ON } else { OFF }, Ordering::Relaxed);
}

/// Says where blocks that are put aside will lie: [`ASIDE_SIZE`] bytes from `start` on. Once in
/// a process.
///
/// # Safety
/// These addresses are nobody else's for as long as the process lives.
pub unsafe fn set_aside(start: usize) {
    ASIDE.store(start, Ordering::Relaxed);
}

/// Runs `work`. What this thread allocates meanwhile lies in `part`, for as long as there is
/// room; what it frees of that is used again by `work` alone. Where another thread does the same, or
/// overwriting is off, `work` is run as it is.
///
/// # Safety
/// `part` lies in what [`set_aside`] was told, can be written to, is zero, was given to no
/// other call, and stays until nothing refers to what `work` has left there.
pub unsafe fn put_aside(part: Range<usize>, work: &mut dyn FnMut()) {
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            // These would be references to what was put aside.
            for list in FREED.iter().chain([&START, &NEXT, &END]) {
                list.store(0, Ordering::Relaxed);
            }
            MODE.store(ON, Ordering::Release);
        }
    }
    let exchanged = MODE.compare_exchange(ON, this_thread(), Ordering::Acquire, Ordering::Relaxed);
    let _back = exchanged.is_ok().then(|| {
        START.store(part.start, Ordering::Relaxed);
        NEXT.store(part.start, Ordering::Relaxed);
        END.store(part.end, Ordering::Relaxed);
        Back
    });
    work();
}

#[inline]
fn is_on() -> bool {
    MODE.load(Ordering::Relaxed) != OFF
}

/// A number that no other thread has, more than [`ON`].
fn this_thread() -> usize {
    thread_local! {
        static PLACE: u64 = const { 0 };
    }
    PLACE.with(|place| ptr::from_ref(place).addr())
}

/// Whether this thread's blocks are put aside.
#[inline]
fn is_aside() -> bool {
    let mode = MODE.load(Ordering::Relaxed);
    mode > ON && mode == this_thread()
}

/// Each block that is put aside follows a header of so many bytes, whose first word says how many
/// bytes there are to the next header. Behind the last block all is zero.
pub const ASIDE_HEADER: usize = 16;

/// Blocks of the part that is being filled which were freed, by size in headers: each one's first
/// word leads to the next.
static FREED: [AtomicUsize; 128] = [const { AtomicUsize::new(0) }; 128];

/// Where freed blocks of a layout are listed, if they are.
fn freed(layout: Layout) -> Option<&'static AtomicUsize> {
    let is_common = layout.align() <= ASIDE_HEADER && layout.size() > 0;
    FREED
        .get(layout.size().div_ceil(ASIDE_HEADER))
        .filter(|_| is_common)
}

/// A block of the part that is being filled; null if it is full. Called by one thread at a time.
#[cold]
fn block_aside(layout: Layout) -> *mut u8 {
    if let Some(list) = freed(layout) {
        let first = list.load(Ordering::Relaxed);
        if first != 0 {
            let block = ptr::with_exposed_provenance_mut::<usize>(first);
            // SAFETY: a block of this list, which nobody else uses. It is zero but for its first
            // word.
            list.store(unsafe { block.replace(0) }, Ordering::Relaxed);
            return block.cast();
        }
    }
    let header = NEXT.load(Ordering::Relaxed);
    let start = (header + ASIDE_HEADER).checked_next_multiple_of(layout.align());
    let end = start.and_then(|start| start.checked_add(layout.size()));
    let end = end.and_then(|end| end.checked_next_multiple_of(ASIDE_HEADER));
    match (start, end) {
        // Room for the zero behind it.
        (Some(start), Some(end)) if end < END.load(Ordering::Relaxed) => {
            NEXT.store(end, Ordering::Relaxed);
            // SAFETY: a word of the part, which is this thread's to fill.
            unsafe { ptr::with_exposed_provenance_mut::<usize>(header).write(end - header) };
            ptr::with_exposed_provenance_mut(start)
        }
        _ => ptr::null_mut(),
    }
}

/// Frees a block that was put aside, for the next one of its size while the part is being filled.
///
/// # Safety
/// It was made with this layout by [`block_aside`], and nobody reads it any more.
#[cold]
unsafe fn free_aside(block: *mut u8, layout: Layout) {
    // SAFETY: the caller's promise.
    unsafe { overwrite(block, layout.size()) };
    let part = START.load(Ordering::Relaxed)..END.load(Ordering::Relaxed);
    if !is_aside() || !part.contains(&block.addr()) {
        // Of another part, which goes with other code.
        return;
    }
    let end = (block.addr() + layout.size()).next_multiple_of(ASIDE_HEADER);
    if layout.align() <= ASIDE_HEADER && end == NEXT.load(Ordering::Relaxed) {
        // SAFETY: the header of this block, which is the last one.
        let header = unsafe { block.sub(ASIDE_HEADER) };
        // SAFETY: as above.
        unsafe { overwrite(header, ASIDE_HEADER) };
        NEXT.store(header.addr(), Ordering::Relaxed);
    } else if let Some(list) = freed(layout) {
        let freed = block.expose_provenance();
        let first = ptr::with_exposed_provenance_mut::<usize>(freed);
        // SAFETY: the block has room for a word, since all are multiples of headers.
        unsafe { first.write(list.load(Ordering::Relaxed)) };
        list.store(freed, Ordering::Relaxed);
    }
}

/// Whether a block was put aside.
#[inline]
fn lies_aside(block: *mut u8) -> bool {
    block.addr().wrapping_sub(ASIDE.load(Ordering::Relaxed)) < ASIDE_SIZE
}

/// Writes zeros that the compiler does not leave out, although nobody reads them.
///
/// # Safety
/// `size` bytes from `block` on belong to the caller, and nobody else uses them.
#[inline]
unsafe fn overwrite(block: *mut u8, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { block.write_bytes(0, size) };
    // SAFETY: no instruction at all. To the compiler it may read all memory that `block`
    // leads to, so the zeros must be there before it.
    unsafe { std::arch::asm!("/* {} */", in(reg) block, options(nostack, preserves_flags)) };
}

/// Overwrites a new block from its byte `kept` on, up to the end that the system gave it: it is
/// larger than the `size` that was asked for.
///
/// # Safety
/// `block` is null or made by `System` with that size, and nobody else uses what is overwritten.
#[inline]
unsafe fn clear_from(block: *mut u8, kept: usize, size: usize) {
    if block.is_null() {
        return;
    }
    let mut whole = block;
    // SAFETY: no instruction at all. The compiler knows how much `malloc` was asked for, but not
    // that this is the same block.
    unsafe {
        std::arch::asm!("/* {} */", inout(reg) whole, options(nostack, preserves_flags));
    };
    // SAFETY: the caller's promise.
    let usable = unsafe { usable_size(whole, size) };
    // SAFETY: as many bytes belong to the block.
    unsafe { overwrite(whole.add(kept), usable - kept) };
}

/// How many bytes a block really has.
///
/// # Safety
/// `System` made it with that size.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe fn usable_size(block: *mut u8, _size: usize) -> usize {
    unsafe extern "C" {
        fn malloc_usable_size(block: *mut u8) -> usize;
    }
    // SAFETY: blocks of `System` are blocks of `malloc`.
    unsafe { malloc_usable_size(block) }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
unsafe fn usable_size(_block: *mut u8, size: usize) -> usize {
    size
}

// SAFETY: all blocks come from `System` and go back to it with the layout that they were made
// with; only bytes are written that nobody has got yet, or that were given up.
unsafe impl GlobalAlloc for Zeroing {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_on() {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        }
        if is_aside() {
            let block = block_aside(layout);
            if !block.is_null() {
                return block;
            }
        }
        if layout.size() > SMALL {
            // The system knows which of its memory is zero anyway.
            // SAFETY: the caller's promise.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: the caller's promise.
        let block = unsafe { System.alloc(layout) };
        // SAFETY: `System` made the block, and nobody has got it yet.
        unsafe { clear_from(block, 0, layout.size()) };
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_aside() {
            let block = block_aside(layout);
            if !block.is_null() {
                return block;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if lies_aside(block) {
            // SAFETY: the block is freed, so nobody reads it any more.
            return unsafe { free_aside(block, layout) };
        }
        if layout.size() <= SMALL && is_on() {
            // SAFETY: the block is freed, so nobody reads it any more.
            unsafe { overwrite(block, layout.size()) };
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let size = layout.size();
        let is_aside = is_aside() || lies_aside(block);
        if !is_aside && (!is_on() || size.min(new_size) > MAPPED) {
            // SAFETY: the caller's promise.
            return unsafe { System.realloc(block, layout, new_size) };
        }
        // SAFETY: the caller's promise: `new_size` fits a layout of this alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if is_aside {
            // SAFETY: as above; the size is not zero, the caller's promise.
            let new = unsafe { self.alloc(new_layout) };
            if !new.is_null() {
                // SAFETY: both blocks have at least that size, and a new one overlaps no other.
                unsafe { new.copy_from_nonoverlapping(block, size.min(new_size)) };
                // SAFETY: the block was made with this layout and is not used any more.
                unsafe { self.dealloc(block, layout) };
            }
            return new;
        }
        // SAFETY: `new_size` is not zero, the caller's promise.
        let new = unsafe { System.alloc(new_layout) };
        if !new.is_null() {
            let kept = size.min(new_size);
            // SAFETY: both blocks have at least that size, and a new one overlaps no other.
            unsafe { new.copy_from_nonoverlapping(block, kept) };
            // SAFETY: `System` made the block, and nobody has got the rest of it yet.
            unsafe { clear_from(new, kept, new_size) };
            // SAFETY: the block was made with this layout and is not used any more.
            unsafe { self.dealloc(block, layout) };
        }
        new
    }
}
