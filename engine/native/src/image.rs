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
        let (start, end) = platform::range(file)?;
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
}

#[cfg(target_os = "linux")]
mod platform {
    use std::path::Path;

    /// First and last address mapped from a file, from `/proc/self/maps` (proc(5)),
    /// with the anonymous mapping that follows (zero-initialised data).
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
            } else if let Some((first, last)) = found
                && path.is_empty()
                && start == last
            {
                return Some((first, end));
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
                Some((0x7f00_0000_0000, 0x7f00_0000_7000))
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
    use std::path::Path;

    pub(super) fn range(_file: &Path) -> Option<(usize, usize)> {
        None
    }
}
