//! Reserved addresses and the file mapped there: all of the region's system calls.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

/// A range of addresses that is this region's own, mapped from its beginning on.
pub(super) struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: it is a range of addresses; who follows one says why.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Reserves `length` bytes of addresses; no memory lies there yet.
    pub(super) fn reserve(length: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at a place that the kernel chooses touches nothing else.
        let base = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length })
    }

    /// Maps bytes `from..to` of `file`, which has as many, to the same places here. Both must be
    /// multiples of the page size, and not be mapped yet.
    pub(super) fn map(&self, file: &File, from: usize, to: usize) -> io::Result<()> {
        if from >= to || to > self.length {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let offset = libc::off_t::try_from(from).map_err(io::Error::other)?;
        // SAFETY: the range lies within the addresses that `reserve` got, where nobody has a
        // reference since nothing was mapped there; the file is ours alone (it is locked) and
        // is never made shorter.
        let mapped = unsafe {
            libc::mmap(
                self.at(from).as_ptr().cast(),
                to - from,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED,
                file.as_raw_fd(),
                offset,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// The address of a place.
    ///
    /// # Panics
    /// If it is not in the region, which is a bug of the caller.
    pub(super) fn at(&self, place: usize) -> NonNull<u8> {
        assert!(place <= self.length, "a place outside of the shared region");
        // SAFETY: that place is within one range of addresses, or at its end.
        unsafe { self.base.add(place) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this value's own, and whoever had a reference kept this value.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

/// Makes a file at least `length` bytes long, with room on the disk where the system can promise
/// it: a page without room would be a signal later.
pub(super) fn grow(file: &File, length: usize) -> io::Result<()> {
    if file.metadata()?.len() < length as u64 {
        file.set_len(length as u64)?;
    }
    allocate(file, length)
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, length: usize) -> io::Result<()> {
    let length = libc::off_t::try_from(length).map_err(io::Error::other)?;
    // SAFETY: a system call on an open file, without pointers.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
        // Not every file system can, and then the file works as it is.
        0 | libc::EOPNOTSUPP | libc::EINVAL => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail on Linux")]
fn allocate(_: &File, _: usize) -> io::Result<()> {
    Ok(())
}
