//! Memory for what code leaves behind when it is asked what it offers.
//!
//! Reflection keeps a description of each type for as long as the process lives, made by the
//! code that is asked, and referred to by that code's statics. It goes with the code, see
//! [`engine_api::zeroing::put_aside`].

use std::ops::Range;

/// A part of the memory for such blocks: one version's. Dropping this leaves the memory as it
/// is.
#[derive(Debug)]
pub struct Aside {
    /// Complemented: as it is, this would be a reference itself.
    not_start: usize,
}

/// How much each version may leave there. What is more lies among all other blocks.
const SIZE: usize = 2 << 20;
/// What lies between two parts, so that they are mappings of their own.
const GAP: usize = 64 << 10;

impl Aside {
    /// A part that no version had; `None` if there is none left, or the platform has none.
    pub fn take() -> Option<Self> {
        platform::take()
    }

    /// Runs `work`; what it leaves lies here.
    pub fn fill(&self, work: &mut dyn FnMut()) {
        // SAFETY: each part is made once, writable and zero, inside of what was set aside, and
        // stays until it is given back.
        unsafe { engine_api::zeroing::put_aside(self.range(), work) };
    }

    /// Gives its memory back. Its addresses are not used again.
    ///
    /// # Safety
    /// Nothing refers to what `work` has left here, see [`Aside::fill`].
    pub unsafe fn give_back(self) {
        platform::give_back(&self.range());
    }

    /// Its addresses.
    pub fn range(&self) -> Range<usize> {
        let start = !self.not_start;
        start..start + SIZE - GAP
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use std::ops::Range;
    use std::ptr;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use engine_api::zeroing::{ASIDE_SIZE, set_aside};

    use super::{Aside, SIZE};

    /// Where all parts lie.
    static START: LazyLock<Option<usize>> = LazyLock::new(|| {
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, of addresses alone.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), ASIDE_SIZE, libc::PROT_NONE, kind, -1, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        // Blocks are made of these addresses later.
        let start = start.expose_provenance();
        // SAFETY: the mapping is never unmapped.
        unsafe { set_aside(start) };
        Some(start)
    });
    static TAKEN: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn take() -> Option<Aside> {
        let all = (*START)?;
        let start = all + TAKEN.fetch_add(1, Ordering::Relaxed).checked_mul(SIZE)?;
        let is_inside = start + SIZE <= all + ASIDE_SIZE;
        let part = Aside { not_start: !start };
        let is_open = is_inside && protect(&part.range(), libc::PROT_READ | libc::PROT_WRITE);
        is_open.then_some(part)
    }

    pub(super) fn give_back(range: &Range<usize>) {
        let start = ptr::with_exposed_provenance_mut(range.start);
        // SAFETY: memory of a part, which nothing refers to any more.
        unsafe { libc::madvise(start, range.len(), libc::MADV_DONTNEED) };
        protect(range, libc::PROT_NONE);
    }

    fn protect(range: &Range<usize>, rights: libc::c_int) -> bool {
        let start = ptr::with_exposed_provenance_mut(range.start);
        // SAFETY: a part of the mapping above.
        unsafe { libc::mprotect(start, range.len(), rights) == 0 }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::ops::Range;

    use super::Aside;

    pub(super) fn take() -> Option<Aside> {
        None
    }

    pub(super) fn give_back(_range: &Range<usize>) {}
}
