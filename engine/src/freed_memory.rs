//! Memory is overwritten before it is used again: what `engine_api::zeroing` promises.
//!
//! The tests are here because that crate cannot be selected, and what counts is a program
//! that links it.

use std::alloc::{GlobalAlloc as _, Layout, System};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine_native::proof::aside::Aside;

/// A word that nothing else has.
const MARK: u64 = 0x5eed_f00d_0ddb_a115;

/// Reads memory through the system: to look into freed memory is none of a program's
/// business.
struct Memory {
    own: File,
    /// Made before the memory to look at is freed, so that it is not made of that.
    read: Vec<u8>,
}

impl Memory {
    fn of_at_most(bytes: usize) -> Self {
        Self {
            own: File::open("/proc/self/mem").unwrap(),
            read: vec![0; bytes],
        }
    }

    /// What lies there; nothing if it is not mapped any more.
    fn at(&mut self, address: usize, bytes: usize) -> &[u8] {
        let read = &mut self.read[..bytes];
        match self.own.read_exact_at(read, address as u64) {
            Ok(()) => read,
            Err(_) => &[],
        }
    }

    /// How many words are `MARK`.
    fn marks(&mut self, address: usize, bytes: usize) -> usize {
        let (words, _) = self.at(address, bytes).as_chunks::<8>();
        let is_mark = |word: &&[u8; 8]| u64::from_ne_bytes(**word) == MARK;
        words.iter().filter(is_mark).count()
    }
}

#[test]
fn small_blocks_are_overwritten_when_they_are_freed() {
    let mut memory = Memory::of_at_most(1024);
    for words in [1, 2, 3, 8, 100, 128] {
        let block = vec![MARK; words];
        let (address, bytes) = (block.as_ptr().addr(), words * 8);
        assert_eq!(memory.marks(address, bytes), words, "they are there");
        drop(block);
        assert_eq!(memory.marks(address, bytes), 0, "of {words} words");
    }
}

#[test]
fn blocks_are_overwritten_when_they_are_handed_out() {
    let mut memory = Memory::of_at_most(1 << 20);
    for bytes in [1, 8, 24, 100, 1000, 5000, 100_000, 1 << 20] {
        // Of the system itself, so that nothing is overwritten.
        let layout = Layout::from_size_align(bytes, 8).unwrap();
        let all: Vec<*mut u8> = (0..20)
            .map(|_| {
                // SAFETY: the size is not zero.
                let block = unsafe { System.alloc(layout) };
                // SAFETY: so many bytes belong to the block.
                unsafe { block.write_bytes(0xa5, bytes) };
                block
            })
            .collect();
        for block in all {
            // SAFETY: the system made it, with this layout.
            unsafe { System.dealloc(block, layout) };
        }
        let blocks: Vec<Vec<u8>> = (0..20).map(|_| Vec::with_capacity(bytes)).collect();
        for block in &blocks {
            let left = memory.at(block.as_ptr().addr(), bytes);
            assert!(left.iter().all(|byte| *byte == 0), "of {bytes} bytes");
        }
    }
}

#[test]
fn blocks_that_grow_or_shrink_leave_nothing_behind() {
    let mut memory = Memory::of_at_most(1 << 20);
    for words in [2, 30, 100] {
        let mut block = vec![MARK; words];
        let (address, bytes) = (block.as_ptr().addr(), words * 8);
        block.reserve_exact(words * 3);
        assert!(block.iter().all(|word| *word == MARK), "it has its content");
        let grown = block.as_ptr().addr();
        assert_eq!(memory.marks(grown, bytes * 4), words, "and no more");
        if grown != address {
            assert_eq!(memory.marks(address, bytes), 0, "of {words} that grew");
        }
        block.truncate(1);
        block.shrink_to_fit();
        assert_eq!(block, [MARK]);
        let own = usize::from(block.as_ptr().addr() == grown);
        let left = memory.marks(grown, bytes.min(1024));
        assert!(
            left == own || words * 32 > 1032,
            "{left} of {words} that shrank"
        );
    }
}

#[test]
fn the_standard_library_frees_the_same_way() {
    // Appending to a path is compiled into the shared standard library, which frees what
    // gets too small.
    const SEEN: &[u8] = b"a folder of old";
    let mut memory = Memory::of_at_most(4096);
    let mut path = PathBuf::from("a folder of old".repeat(40));
    let (address, bytes) = (path.as_os_str().as_encoded_bytes().as_ptr().addr(), 600);
    let is_seen = |part: &[u8]| part == SEEN;
    let there = memory.at(address, bytes);
    assert!(there.windows(SEEN.len()).any(is_seen), "it is there");
    path.push("x".repeat(1 << 20));
    let left = memory.at(address, bytes);
    assert!(!left.windows(SEEN.len()).any(is_seen), "it was overwritten");
}

/// Only one thread at a time puts blocks aside.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn what_is_left_lies_aside_and_the_rest_does_not() {
    let _turn = turn();
    let part = Aside::take().expect("there is one on this platform");
    let mut left: Vec<Box<u64>> = Vec::new();
    part.fill(&mut || {
        left.push(Box::new(7));
        left.push(Box::new(8));
    });
    let lies_there = |address: usize| part.range().contains(&address);
    assert!(
        left.iter()
            .all(|word| lies_there(std::ptr::from_ref(&**word).addr()))
    );
    assert!(lies_there(left.as_ptr().addr()), "and what holds them");
    assert_eq!(left, [Box::new(7), Box::new(8)]);
    let later = Box::new(9);
    assert!(!lies_there(std::ptr::from_ref(&*later).addr()));
    // Grown outside, it leaves.
    left.extend((0..100).map(Box::new));
    assert!(!lies_there(left.as_ptr().addr()));
    assert_eq!((*left[0], *left[101]), (7, 99));
    drop(left);
    let other = Aside::take().unwrap();
    assert!(other.range().start >= part.range().end);
}

#[test]
fn a_part_that_is_full_is_no_limit() {
    let _turn = turn();
    let part = Aside::take().unwrap();
    let mut all: Vec<Vec<u8>> = Vec::new();
    part.fill(&mut || all.extend((0..3).map(|_| vec![1; 1 << 20])));
    let inside = |block: &&Vec<u8>| part.range().contains(&block.as_ptr().addr());
    assert_eq!(all.iter().filter(inside).count(), 1);
    assert!(all.iter().flatten().all(|byte| *byte == 1));
}

#[test]
fn other_threads_are_not_concerned() {
    let _turn = turn();
    let part = Aside::take().unwrap();
    let mut address = 0;
    part.fill(&mut || {
        std::thread::scope(|scope| {
            let block = scope.spawn(|| Box::new(1_u64)).join().unwrap();
            address = std::ptr::from_ref(&*block).addr();
        });
    });
    assert!(!part.range().contains(&address));
}

#[test]
fn what_is_freed_is_used_again_by_the_same_code_alone() {
    let _turn = turn();
    let (first, second) = (Aside::take().unwrap(), Aside::take().unwrap());
    let at = |block: &[u64; 4]| std::ptr::from_ref(block).addr();
    let mut left = None;
    first.fill(&mut || {
        let kept = Box::new([1; 4]);
        let freed = Box::new([2; 4]);
        // Behind it, so that it is not the last one.
        let behind = Box::new([3; 4]);
        let address = at(&freed);
        drop(freed);
        let again = Box::new([4; 4]);
        assert_eq!(at(&again), address);
        left = Some((kept, again, behind));
    });
    let (kept, again, behind) = left.unwrap();
    let addresses = [at(&kept), at(&again), at(&behind)];
    assert!(
        addresses
            .iter()
            .all(|address| first.range().contains(address))
    );
    let mut others: Vec<Box<[u64; 4]>> = Vec::new();
    let mut old = Some(again);
    second.fill(&mut || {
        // What belongs to other code is freed here.
        drop(old.take());
        others.extend((0..3).map(|number| Box::new([number; 4])));
    });
    let mut addresses = others.iter().map(|block| at(block));
    assert!(addresses.all(|address| second.range().contains(&address)));
    assert_eq!((*kept, *behind), ([1; 4], [3; 4]));
}
