//! Which pages of another process there are.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use super::memory::{Mapping, PAGE};

/// Bits of an entry of `/proc/PID/pagemap` (Documentation/admin-guide/mm/pagemap.rst).
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_A_FILE: u64 = 1 << 61;
/// Entries of it that are read at once.
const ENTRIES: usize = 4096;

/// `PAGEMAP_SCAN`, `PAGE_IS_PRESENT` and `PAGE_IS_SWAPPED` in linux/fs.h, since Linux 6.7.
const SCAN: libc::Ioctl = 0xc060_6610_u32 as libc::Ioctl;
const SCAN_PRESENT: u64 = 1 << 3;
const SCAN_SWAPPED: u64 = 1 << 4;

/// `struct page_region`: addresses and what they have in common.
#[repr(C)]
#[derive(Default)]
struct Region([u64; 3]);

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Default)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_length: u64,
    max_pages: u64,
    inverted: u64,
    required: u64,
    any_of: u64,
    returned: u64,
}

/// The pages of a process.
pub(crate) struct Pages {
    pagemap: Option<File>,
    entries: Vec<u8>,
}

impl Pages {
    pub(crate) fn of(pid: i32) -> Self {
        Self {
            pagemap: File::open(format!("/proc/{pid}/pagemap")).ok(),
            entries: vec![0; ENTRIES * 8],
        }
    }

    /// Whether a mapping certainly has none. Costs little for mappings of many gigabytes, of
    /// which nobody ever touches most.
    pub(crate) fn are_none(&self, mapping: &Mapping) -> bool {
        let mut region = Region::default();
        let mut scan = Scan {
            size: size_of::<Scan>() as u64,
            start: mapping.start,
            end: mapping.end,
            regions: (&raw mut region).addr() as u64,
            regions_length: 1,
            any_of: SCAN_PRESENT | SCAN_SWAPPED,
            returned: SCAN_PRESENT | SCAN_SWAPPED,
            ..Scan::default()
        };
        let Some(pagemap) = &self.pagemap else {
            return false;
        };
        let _ = (&raw mut region).expose_provenance();
        // SAFETY: the system reads and writes `scan`, and writes at most one region, both of
        // which are locals. Systems that do not know it refuse.
        let found = unsafe { libc::ioctl(pagemap.as_raw_fd(), SCAN, &raw mut scan) };
        found == 0 && scan.walk_end == mapping.end
    }

    /// How many pages [`Pages::runs`] is asked for at once.
    pub(crate) fn at_once(left: u64) -> u64 {
        left.min(ENTRIES as u64)
    }

    /// Stretches of pages that may hold pointers. A page that was never touched is zero, and
    /// one of a private mapping that nobody wrote to is as it is in its file.
    pub(crate) fn runs(&mut self, mapping: &Mapping, first: u64, pages: u64) -> Vec<(u64, u64)> {
        let bytes = &mut self.entries[..pages as usize * 8];
        let known = self
            .pagemap
            .as_ref()
            .is_some_and(|file| file.read_exact_at(bytes, first / PAGE * 8).is_ok());
        if !known {
            return vec![(first, first + pages * PAGE)];
        }
        let (entries, _) = bytes.as_chunks::<8>();
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let entry = u64::from_ne_bytes(*entry);
            let is_there = entry & (PRESENT | SWAPPED) != 0;
            if !is_there || (entry & OF_A_FILE != 0 && !mapping.shared) {
                continue;
            }
            let page = first + index as u64 * PAGE;
            match runs.last_mut() {
                Some((_, end)) if *end == page => *end += PAGE,
                _ => runs.push((page, page + PAGE)),
            }
        }
        runs
    }
}
