//! Where an opened library lies in memory, and whether it still does.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// The address range of an opened library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    file: PathBuf,
    start: usize,
    end: usize,
}

impl Image {
    /// The image that was mapped from `file`; `None` if the platform cannot tell or
    /// it is not mapped.
    pub fn find(file: &Path) -> Option<Self> {
        let (start, end) = platform::extent(file)?;
        Some(Self {
            file: file.to_path_buf(),
            start,
            end,
        })
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Its addresses.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Whether the process still has it mapped.
    pub fn is_mapped(&self) -> bool {
        platform::range(&self.file).is_some()
    }

    /// Keeps anything else from being mapped at its addresses once it is unmapped: a word that
    /// was left behind refers to no later image, and following it is a fault for sure. Costs
    /// addresses and no memory. Does nothing while it is mapped.
    pub fn retire(&self) {
        platform::reserve(self.range());
    }
}

/// What the system's loader says of an opened library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// What its addresses are counted from.
    pub(crate) base: u64,
    /// Number and size of its block of thread-locals.
    pub(crate) thread_locals: Option<(u64, u64)>,
}

/// Asks the loader about the library that was opened from `file`; `None` if it does not know
/// it, or the platform cannot tell.
pub(crate) fn loaded(file: &Path) -> Option<Loaded> {
    platform::loaded(file)
}

/// Gives back the pages of the library that was opened from `file` which are as they are in
/// it: they are read again if they are needed.
pub(crate) fn give_back(file: &Path) {
    platform::give_back(file);
}

#[cfg(target_os = "linux")]
mod platform {
    use std::ffi::{CStr, c_int, c_void};
    use std::ops::Range;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;

    use super::Loaded;

    #[derive(Default)]
    struct Search<'a> {
        file: &'a [u8],
        found: Option<Loaded>,
        /// First address, and the first one behind it.
        extent: Option<(usize, usize)>,
        /// Parts that nobody can write to: start and length.
        constant: Vec<(usize, usize)>,
    }

    fn search(file: &Path) -> Search<'_> {
        let mut search = Search {
            file: file.as_os_str().as_bytes(),
            ..Search::default()
        };
        // SAFETY: `look` is called before this returns, with the pointer to `search`.
        unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
        search
    }

    pub(super) fn loaded(file: &Path) -> Option<Loaded> {
        search(file).found
    }

    const PAGE: usize = 4096;

    /// What the loader has mapped for a library, in whole pages. What lies behind it may be
    /// anybody's.
    pub(super) fn extent(file: &Path) -> Option<(usize, usize)> {
        search(file).extent
    }

    pub(super) fn give_back(file: &Path) {
        for (start, length) in search(file).constant {
            let start = start & !(PAGE - 1);
            // SAFETY: pages of a private mapping of a file that nobody can write to have the
            // content of the file, and get it again when they are read.
            unsafe {
                libc::madvise(
                    std::ptr::without_provenance_mut(start),
                    length,
                    libc::MADV_DONTNEED,
                )
            };
        }
    }

    pub(super) fn reserve(range: Range<usize>) {
        // SAFETY: takes addresses at which nothing is mapped, and fails if something is.
        unsafe {
            libc::mmap(
                std::ptr::without_provenance_mut(range.start),
                range.len(),
                libc::PROT_NONE,
                libc::MAP_PRIVATE
                    | libc::MAP_ANONYMOUS
                    | libc::MAP_NORESERVE
                    | libc::MAP_FIXED_NOREPLACE,
                -1,
                0,
            )
        };
    }

    /// Looks at one library; not 0 for enough.
    unsafe extern "C" fn look(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        search: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader hands over a description, and what `loaded` gave it.
        let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
        if info.dlpi_name.is_null() {
            return 0;
        }
        // SAFETY: not null, so it is a name.
        let name = unsafe { CStr::from_ptr(info.dlpi_name) };
        if name.to_bytes() != search.file {
            return 0;
        }
        // SAFETY: the loader says where the headers are and how many.
        let headers =
            unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let constant = headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0);
        search.constant = constant
            .map(|header| {
                let start = (info.dlpi_addr + header.p_vaddr) as usize;
                (start, header.p_memsz as usize)
            })
            .collect();
        let parts = headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD);
        let parts = parts.map(|header| {
            let start = (info.dlpi_addr + header.p_vaddr) as usize;
            (start, start + header.p_memsz as usize)
        });
        search.extent = parts
            .reduce(|all, part| (all.0.min(part.0), all.1.max(part.1)))
            .map(|(start, end)| (start & !(PAGE - 1), end.next_multiple_of(PAGE)));
        let block = headers.iter().find(|header| header.p_type == libc::PT_TLS);
        search.found = Some(Loaded {
            base: info.dlpi_addr,
            thread_locals: block.map(|block| (info.dlpi_tls_modid as u64, block.p_memsz)),
        });
        1
    }

    /// First and last address mapped from a file, from `/proc/self/maps` (proc(5)).
    pub(super) fn range(file: &Path) -> Option<(usize, usize)> {
        let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
        parse(&maps, file.to_str()?)
    }

    pub(super) fn parse(maps: &str, file: &str) -> Option<(usize, usize)> {
        let mut found: Option<(usize, usize)> = None;
        for line in maps.lines() {
            let mut words = line.splitn(6, ' ');
            let range = words.next()?;
            let path = words.nth(4).unwrap_or("").trim();
            // A file that was removed keeps its name with a note.
            let path = path.strip_suffix(" (deleted)").unwrap_or(path);
            let (start, end) = range.split_once('-')?;
            let start = usize::from_str_radix(start, 16).ok()?;
            let end = usize::from_str_radix(end, 16).ok()?;
            if path == file {
                found = Some((found.map_or(start, |(first, _)| first), end));
            } else if found.is_some() {
                return found;
            }
        }
        found
    }

    #[cfg(test)]
    mod tests {
        use super::parse;

        const MAPS: &str = "\
55d0c0000000-55d0c0001000 r--p 00000000 fe:00 1 /bin/engine
7f0000000000-7f0000001000 r--p 00000000 fe:00 12 /target/libgame_1_3.so
7f0000001000-7f0000005000 r-xp 00001000 fe:00 12 /target/libgame_1_3.so
7f0000005000-7f0000006000 rw-p 00005000 fe:00 12 /target/libgame_1_3.so
7f0000006000-7f0000007000 rw-p 00000000 00:00 0 
7f0000009000-7f000000a000 r--p 00000000 fe:00 13 /target/libgame_1_2.so (deleted)
7f000000b000-7f000000c000 rw-p 00000000 00:00 0 [heap]
";

        #[test]
        fn ranges_cover_all_mappings_of_a_file() {
            assert_eq!(
                parse(MAPS, "/target/libgame_1_3.so"),
                Some((0x7f00_0000_0000, 0x7f00_0000_6000))
            );
            assert_eq!(
                parse(MAPS, "/target/libgame_1_2.so"),
                Some((0x7f00_0000_9000, 0x7f00_0000_a000))
            );
            assert_eq!(parse(MAPS, "/target/libgame_1_1.so"), None);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::ops::Range;
    use std::path::Path;

    use super::Loaded;

    pub(super) fn reserve(_range: Range<usize>) {}

    pub(super) fn range(_file: &Path) -> Option<(usize, usize)> {
        None
    }

    pub(super) fn extent(_file: &Path) -> Option<(usize, usize)> {
        None
    }

    pub(super) fn loaded(_file: &Path) -> Option<Loaded> {
        None
    }

    pub(super) fn give_back(_file: &Path) {}
}
