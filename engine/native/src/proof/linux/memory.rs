//! What is mapped in a process, and which of it can hold pointers.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::pages::Pages;

/// Size of a page.
pub(crate) const PAGE: u64 = 4096;
/// Bytes that are read at once; they stay in the processor's cache.
const CHUNK: usize = 128 << 10;

/// A line of `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    readable: bool,
    pub(crate) shared: bool,
    /// Nothing may be done with it: a guard at the end of a stack.
    pub(crate) is_guard: bool,
    /// File, or a name in brackets; empty for memory that belongs to nobody.
    pub(crate) name: String,
}

impl Mapping {
    pub(crate) fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Pages that the kernel lends (clocks, system calls) hold no pointers of the process.
    fn is_lent(&self) -> bool {
        self.name.starts_with("[v")
    }
}

/// Parses `/proc/PID/maps`.
pub(crate) fn parse_maps(maps: &str) -> Vec<Mapping> {
    let line = |line: &str| {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let rights = words.next()?;
        let name = words.nth(3).unwrap_or("").trim();
        Some(Mapping {
            start: u64::from_str_radix(start, 16).ok()?,
            end: u64::from_str_radix(end, 16).ok()?,
            readable: rights.starts_with('r'),
            shared: rights.ends_with('s'),
            is_guard: rights.starts_with("---"),
            name: name.to_owned(),
        })
    };
    maps.lines().filter_map(line).collect()
}

/// How much memory of a process is there, in bytes (`statm` in proc(5)).
pub(crate) fn resident(pid: i32) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    Ok(pages.unwrap_or(0) * PAGE)
}

/// The memory of another process.
pub(crate) struct Memory {
    pid: i32,
    pages: Pages,
    /// For what the process itself has no right to read.
    all: Option<File>,
    words: Vec<u64>,
}

/// Memory that is there and cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) address: u64,
    pub(crate) name: String,
}

impl Memory {
    pub(crate) fn of(pid: i32) -> Self {
        Self {
            pid,
            pages: Pages::of(pid),
            all: File::open(format!("/proc/{pid}/mem")).ok(),
            words: vec![0; CHUNK / 8],
        }
    }

    /// What is mapped now.
    pub(crate) fn mappings(&self) -> io::Result<Vec<Mapping>> {
        std::fs::read_to_string(format!("/proc/{}/maps", self.pid)).map(|maps| parse_maps(&maps))
    }

    /// Hands over all words of a mapping that may be pointers, with their address, except whole
    /// pages below `dead`. Stops when `take` says so, who is asked with no words in between. What
    /// the process cannot read now it may be able to later, so that is read as well.
    ///
    /// # Errors
    /// A page that is there and cannot be read. With `moving`, the process runs on, and what
    /// cannot be read is taken as gone.
    pub(crate) fn read(
        &mut self,
        mapping: &Mapping,
        dead: u64,
        moving: bool,
        take: &mut dyn FnMut(u64, &[u64]) -> bool,
    ) -> Result<bool, Unreadable> {
        if mapping.is_lent() || (!mapping.readable && self.pages.are_none(mapping)) {
            return Ok(true);
        }
        // Devices, and files that got shorter, hold nothing of ours.
        let may_fail = mapping.shared || (mapping.readable && mapping.name.starts_with('/'));
        let mut page = (dead & !(PAGE - 1)).clamp(mapping.start, mapping.end);
        while page < mapping.end {
            let pages = Pages::at_once((mapping.end - page) / PAGE);
            for (start, end) in self.pages.runs(mapping, page, pages) {
                let mut at = start;
                while at < end {
                    let length = (end - at).min(CHUNK as u64);
                    match self.fetch_of(mapping, at, length) {
                        Some(words) if !take(at, words) => return Ok(false),
                        Some(_) => {}
                        None if moving || may_fail => {
                            self.fetch_pages(mapping, at, length, take);
                        }
                        None => {
                            return Err(Unreadable {
                                address: at,
                                name: mapping.name.clone(),
                            });
                        }
                    }
                    at += length;
                }
            }
            page += pages * PAGE;
            if !take(page, &[]) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads what can be read of a stretch, page by page.
    fn fetch_pages(
        &mut self,
        mapping: &Mapping,
        at: u64,
        length: u64,
        take: &mut dyn FnMut(u64, &[u64]) -> bool,
    ) {
        for page in (at..at + length).step_by(PAGE as usize) {
            if let Some(words) = self.fetch_of(mapping, page, PAGE) {
                take(page, words);
            }
        }
    }

    fn fetch_of(&mut self, mapping: &Mapping, address: u64, length: u64) -> Option<&[u64]> {
        if mapping.readable {
            self.fetch(address, length)
        } else {
            self.fetch_hidden(address, length)
        }
    }

    /// Words that the process itself cannot read.
    fn fetch_hidden(&mut self, address: u64, length: u64) -> Option<&[u64]> {
        let words = &mut self.words[..length as usize / 8];
        let mut bytes = [0; PAGE as usize];
        let (pages, addresses) = (bytes.len() / 8, (address..).step_by(bytes.len()));
        for (page, at) in words.chunks_mut(pages).zip(addresses) {
            self.all.as_ref()?.read_exact_at(&mut bytes, at).ok()?;
            let (read, _) = bytes.as_chunks::<8>();
            for (word, read) in page.iter_mut().zip(read) {
                *word = u64::from_ne_bytes(*read);
            }
        }
        Some(words)
    }

    /// Words at an address.
    pub(crate) fn fetch(&mut self, address: u64, length: u64) -> Option<&[u64]> {
        let words = &mut self.words[..length as usize / 8];
        let local = libc::iovec {
            iov_base: words.as_mut_ptr().cast(),
            iov_len: length as usize,
        };
        let remote = libc::iovec {
            iov_base: std::ptr::without_provenance_mut(address as usize),
            iov_len: length as usize,
        };
        // SAFETY: `local` is the buffer borrowed above; the other address is one of another
        // process, which the system checks.
        let read = unsafe {
            libc::process_vm_readv(self.pid, &raw const local, 1, &raw const remote, 1, 0)
        };
        (read == length as isize).then_some(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55d0c0000000-55d0c0001000 r--p 00000000 fe:00 1 /bin/the engine
55d0c0002000-55d0c0003000 ---p 00000000 00:00 0 
55d0c0003000-55d0c0004000 rw-s 00000000 00:01 9 /dev/zero (deleted)
7ffd00000000-7ffd00001000 r--p 00000000 00:00 0                          [vvar]
";

    fn words_of(mapping: &Mapping, dead: u64) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        let mut take = |at: u64, words: &[u64]| {
            let addresses = (at..).step_by(8);
            all.extend(addresses.zip(words.iter().copied()));
            true
        };
        let mut memory = Memory::of(std::process::id() as i32);
        assert!(memory.read(mapping, dead, false, &mut take).is_ok());
        all
    }

    #[test]
    fn lines_of_maps_are_understood() {
        let maps = parse_maps(MAPS);
        let names: Vec<_> = maps.iter().map(|mapping| &*mapping.name).collect();
        assert_eq!(
            names,
            ["/bin/the engine", "", "/dev/zero (deleted)", "[vvar]"]
        );
        let rights = |mapping: &Mapping| (mapping.readable, mapping.shared, mapping.is_guard);
        let rights: Vec<_> = maps.iter().map(rights).collect();
        assert_eq!(
            rights,
            [
                (true, false, false),
                (false, false, true),
                (true, true, false),
                (true, false, false),
            ]
        );
        assert_eq!(
            (maps[0].start, maps[0].end),
            (0x55d0_c000_0000, 0x55d0_c000_1000)
        );
        assert!(maps[3].is_lent() && !maps[0].is_lent());
    }

    #[test]
    fn what_was_written_is_read_and_the_rest_is_left_out() {
        let size = 1 << 20;
        // SAFETY: a new private mapping that belongs to this test.
        let start = unsafe {
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(std::ptr::null_mut(), size, rights, kind, -1, 0)
        };
        assert_ne!(start, libc::MAP_FAILED);
        let words = start.cast::<u64>();
        // SAFETY: both lie in the mapping.
        unsafe {
            words.add(3).write_volatile(0xfeed);
            words.add((size - 8) / 8).write_volatile(0xf00d);
        }
        let base = start.addr() as u64;
        let mapping = Mapping {
            start: base,
            end: base + size as u64,
            readable: true,
            shared: false,
            is_guard: false,
            name: String::new(),
        };
        let mut all = words_of(&mapping, 0);
        // Huge pages are there as a whole.
        assert!(all.len() >= 2 * 512);
        all.retain(|(_, word)| *word != 0);
        assert_eq!(all, [(base + 24, 0xfeed), (base + size as u64 - 8, 0xf00d)]);
        let upper = words_of(&mapping, base + size as u64 / 2 + 8);
        assert_eq!(upper.iter().filter(|(_, word)| *word != 0).count(), 1);
        assert!(upper.iter().all(|(at, _)| *at >= base + size as u64 / 2));
        // What it cannot read now it can make readable again.
        // SAFETY: nobody uses the mapping.
        assert_eq!(unsafe { libc::mprotect(start, size, libc::PROT_NONE) }, 0);
        let unreadable = Mapping {
            readable: false,
            ..mapping
        };
        assert!(!Pages::of(std::process::id() as i32).are_none(&unreadable));
        let mut hidden = words_of(&unreadable, 0);
        hidden.retain(|(_, word)| *word != 0);
        assert_eq!(hidden, all);
        // SAFETY: nobody uses the mapping, nor what it holds.
        let emptied = unsafe { libc::madvise(start, size, libc::MADV_DONTNEED) };
        assert_eq!(emptied, 0);
        assert_eq!(words_of(&unreadable, 0), []);
        // SAFETY: nothing refers to the mapping any more.
        unsafe { libc::munmap(start, size) };
    }

    #[test]
    fn memory_that_is_there_and_that_nobody_can_read_is_an_error() {
        // SAFETY: a new private mapping that belongs to this test.
        let start = unsafe {
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(std::ptr::null_mut(), PAGE as usize, rights, kind, -1, 0)
        };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: it lies in the mapping.
        unsafe { start.cast::<u64>().write_volatile(0xfeed) };
        let base = start.addr() as u64;
        let mut mapping = parse_maps(&format!("{base:x}-{:x} ---p 0 0:0 0 ", base + PAGE));
        let mapping = mapping.remove(0);
        let mut memory = Memory::of(std::process::id() as i32);
        let mut read = |all| {
            memory.all = all;
            memory.read(&mapping, 0, false, &mut |_, _| true)
        };
        let all = File::open("/proc/self/mem").unwrap();
        assert!(read(Some(all)).is_ok());
        assert_eq!(read(None).unwrap_err().address, base);
        // SAFETY: nothing refers to the mapping any more.
        unsafe { libc::munmap(start, PAGE as usize) };
    }
}
