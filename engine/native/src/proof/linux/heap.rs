//! The blocks of the heap, as glibc's allocator lays them out.
//!
//! What only an image itself refers to goes with it, such as what its statics own. To know who
//! refers to what, it must be known which words belong to one block. glibc writes the size of
//! each block before it (`malloc_chunk` in malloc/malloc.c), so blocks can be walked from the
//! first one. A walk counts only if it ends exactly where the heap does; where it does not, the
//! memory is no such heap, and all of it counts as in use.

use std::ops::Range;

use engine_api::zeroing;

use super::memory::Mapping;
use super::snapshot::Snapshot;

/// Bytes before a block's content: the size of the block before it, and its own.
const HEADER: u64 = 16;
/// The same of a block that was put aside.
const ASIDE_HEADER: u64 = zeroing::ASIDE_HEADER as u64;
/// Bits of a size that are none of it.
const FLAGS: u64 = 7;
/// Marks a block that is a mapping of its own.
const MAPPED: u64 = 2;
/// Marks a block behind one that is in use.
const PREVIOUS_IN_USE: u64 = 1;
/// Heaps of threads begin at multiples of this (`HEAP_MAX_SIZE` in malloc/arena.c).
const HEAP: u64 = 64 << 20;
/// Where the first block of such a heap may be: behind `heap_info`, and `malloc_state` in the
/// first heap of an arena, both of which differ between versions of glibc.
const FIRST_BEHIND_INFO: Range<u64> = 0x20..0x50;
const FIRST_BEHIND_STATE: Range<u64> = 0x880..0x960;
/// What lies where in `malloc_state`, and its size.
const TOP: u64 = 0x60;
const NEXT_ARENA: u64 = 0x870;
const STATE: u64 = 0x898;

/// The blocks of a process.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    /// Where the content of each begins and ends, in ascending order. Blocks that are free
    /// have none.
    blocks: Vec<(u64, u64)>,
    /// Parts of memory that belong to the allocator: blocks, and what it knows of them.
    parts: Vec<Range<u64>>,
}

impl Heap {
    /// Finds the blocks in all mappings.
    /// In `aside` are the parts for blocks that were put aside.
    pub(crate) fn find(snapshot: &Snapshot, mappings: &[Mapping], aside: &[Range<u64>]) -> Self {
        let mut heap = Self::default();
        for mapping in mappings {
            if let Some(part) = aside.iter().find(|part| part.start == mapping.start) {
                if heap.walk_aside(snapshot, part) {
                    heap.parts.push(part.clone());
                }
                continue;
            }
            let Some((first, end)) = heap.bounds(snapshot, mapping) else {
                continue;
            };
            heap.parts.push(first..end);
        }
        let state = heap.main_state(snapshot, mappings);
        heap.parts.extend(state);
        heap
    }

    /// What the allocator knows of its main heap, which lies in the C library's data. All
    /// arenas are in a ring, and this one is in no heap.
    fn main_state(&self, snapshot: &Snapshot, mappings: &[Mapping]) -> Option<Range<u64>> {
        let of_thread = mappings.iter().find(|mapping| self.is_of_thread(mapping))?;
        let mut arena = snapshot.word(of_thread.start)?;
        for _ in 0..self.parts.len() {
            arena = snapshot.word(arena.checked_add(NEXT_ARENA)?)?;
            let top = snapshot.word(arena.checked_add(TOP)?)?;
            let top = top.checked_add(HEADER)?;
            let is_main = !self.parts.iter().any(|part| part.contains(&arena));
            if is_main && self.blocks.iter().any(|(start, _)| *start == top) {
                return Some(arena..arena + STATE);
            }
        }
        None
    }

    fn is_of_thread(&self, mapping: &Mapping) -> bool {
        let start = mapping.start;
        start.is_multiple_of(HEAP) && self.parts.iter().any(|part| part.start == start)
    }

    /// The parts of memory that belong to the allocator.
    pub(crate) fn parts(&self) -> &[Range<u64>] {
        &self.parts
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// The block that an address points into, or right behind.
    #[inline]
    pub(crate) fn block_at(&self, address: u64) -> Option<usize> {
        let part = self.parts.iter().find(|part| part.contains(&address))?;
        let behind = self.blocks.partition_point(|(start, _)| *start <= address);
        let index = behind.checked_sub(1)?;
        let (start, _) = self.blocks[index];
        part.contains(&start).then_some(index)
    }

    /// The blocks that lie in a range.
    pub(crate) fn blocks_in(&self, range: Range<u64>) -> Range<usize> {
        let behind = |address: u64| self.blocks.partition_point(|(start, _)| *start < address);
        behind(range.start)..behind(range.end)
    }

    /// The content of a block.
    pub(crate) fn content(&self, block: usize) -> Range<u64> {
        let (start, end) = self.blocks[block];
        start..end
    }

    /// Walks a mapping. From its first block to its end, if that is what it consists of.
    fn bounds(&mut self, snapshot: &Snapshot, mapping: &Mapping) -> Option<(u64, u64)> {
        let start = mapping.start;
        if mapping.name == "[heap]" {
            return self.walk(snapshot, start, mapping.end, false);
        }
        if !mapping.name.is_empty() {
            return None;
        }
        if !start.is_multiple_of(HEAP) {
            return self.walk(snapshot, start, mapping.end, true);
        }
        // `heap_info`: the arena, the heap before this one, and how much of this one is used.
        let arena = snapshot.word(start)?;
        let used = snapshot.word(start + 16)?;
        let end = start.checked_add(used).filter(|end| *end <= mapping.end)?;
        let is_first = FIRST_BEHIND_INFO.contains(&arena.wrapping_sub(start));
        let offsets = if is_first {
            FIRST_BEHIND_STATE
        } else {
            FIRST_BEHIND_INFO
        };
        let mut firsts = offsets.step_by(HEADER as usize);
        // What comes before the first block is the allocator's own.
        firsts
            .find_map(|offset| self.walk(snapshot, start + offset, end, false))
            .map(|(_, end)| (start, end))
    }

    /// Walks through blocks that were put aside, see `engine_api::zeroing`. Behind the last one
    /// there is nothing; if there is something, they are no such blocks.
    fn walk_aside(&mut self, snapshot: &Snapshot, part: &Range<u64>) -> bool {
        let before = self.blocks.len();
        let mut at = part.start;
        // Pages that were never touched are not in the snapshot.
        while let Some(size) = snapshot.word(at).filter(|size| *size != 0) {
            let is_size = size > ASIDE_HEADER && size <= part.end - at && size.is_multiple_of(8);
            if !is_size {
                self.blocks.truncate(before);
                return false;
            }
            self.blocks.push((at + ASIDE_HEADER, at + size));
            at += size;
        }
        true
    }

    /// Walks from block to block; takes them over if there are any and the last one ends at
    /// `end`.
    fn walk(
        &mut self,
        snapshot: &Snapshot,
        first: u64,
        end: u64,
        mapped: bool,
    ) -> Option<(u64, u64)> {
        if first >= end {
            return None;
        }
        let before = self.blocks.len();
        let mut at = first;
        // Whether the block before is in use is said by the one behind it.
        let is_free = |blocks: &mut Vec<(u64, u64)>, size: u64| {
            if !mapped
                && size & PREVIOUS_IN_USE == 0
                && blocks.len() > before
                && let Some((start, end)) = blocks.last_mut()
            {
                *end = *start;
            }
        };
        while at < end {
            let size = snapshot.word(at + 8).unwrap_or(0);
            let is_mapped = size & MAPPED != 0;
            is_free(&mut self.blocks, size);
            let size = size & !FLAGS;
            if size < HEADER
                || !size.is_multiple_of(HEADER)
                || size > end - at
                || is_mapped != mapped
            {
                self.blocks.truncate(before);
                return None;
            }
            // A block uses the first word of the header that follows it.
            self.blocks.push((at + HEADER, at + size + 8));
            at += size;
        }
        // The last block of a heap is what it has not given out yet.
        is_free(&mut self.blocks, 0);
        Some((first, end))
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::parse_maps;
    use super::*;

    /// A heap of blocks with these sizes.
    fn heap(start: u64, sizes: &[u64], flags: u64) -> Vec<u64> {
        let mut words = vec![0; sizes.iter().sum::<u64>() as usize / 8];
        let mut at = 0;
        for size in sizes {
            words[at / 8 + 1] = size | flags;
            at += *size as usize;
        }
        assert_eq!(start % 16, 0);
        words
    }

    const MAPS: &str = "\
1000-1100 rw-p 00000000 00:00 0                          [heap]
5000-5060 rw-p 00000000 00:00 0 
";

    #[test]
    fn blocks_are_found_by_their_sizes() {
        let main = heap(0x1000, &[0x20, 0x40, 0xa0], 1);
        let mapped = heap(0x5000, &[0x60], MAPPED);
        let snapshot = Snapshot::of(&[(0x1000, &main), (0x5000, &mapped)]);
        let heap = Heap::find(&snapshot, &parse_maps(MAPS), &[]);
        assert_eq!(heap.parts(), [0x1000..0x1100, 0x5000..0x5060]);
        let at = |address| heap.block_at(address).map(|block| heap.content(block));
        assert_eq!(at(0x1010), Some(0x1010..0x1028));
        assert_eq!(at(0x1028), Some(0x1010..0x1028), "right behind");
        assert_eq!(at(0x1030), Some(0x1030..0x1068));
        assert_eq!(at(0x1070), Some(0x1070..0x1070), "not given out");
        assert_eq!(at(0x5050), Some(0x5010..0x5068));
        assert_eq!(at(0x1008), None, "before the first");
        assert_eq!(at(0x3000), None);
        assert_eq!(heap.len(), 4);
    }

    #[test]
    fn blocks_that_are_free_have_no_content() {
        let mut main = heap(0x1000, &[0x20, 0x40, 0xa0], 1);
        main[0x60 / 8 + 1] = 0xa0;
        let snapshot = Snapshot::of(&[(0x1000, &main)]);
        let heap = Heap::find(&snapshot, &parse_maps(MAPS), &[]);
        let content: Vec<_> = (0..3).map(|block| heap.content(block)).collect();
        assert_eq!(content, [0x1010..0x1028, 0x1030..0x1030, 0x1070..0x1070]);
    }

    /// What lies in memory that begins where heaps of threads do: the arena, the heap before this
    /// one, and how much of this one is used; and blocks that begin at an offset.
    fn heap_of_thread(arena: u64, used: u64, offset: u64, sizes: &[u64]) -> Vec<u64> {
        let mut words = vec![0; offset as usize / 8];
        (words[0], words[2]) = (arena, used);
        words.extend(heap(HEAP, sizes, 1));
        words
    }

    #[test]
    fn heaps_of_threads_are_what_consists_of_blocks_alone() {
        let maps = "4000000-4001000 rw-p 00000000 00:00 0 \n";
        let parts = |arena, used, offset, sizes: &[u64]| {
            let words = heap_of_thread(arena, used, offset, sizes);
            let snapshot = Snapshot::of(&[(HEAP, &words)]);
            let heap = Heap::find(&snapshot, &parse_maps(maps), &[]);
            let parts = heap.parts().iter().map(|part| (part.start, part.end));
            (parts.collect::<Vec<_>>(), heap.len())
        };
        let none = (vec![], 0);
        let whole = vec![(HEAP, HEAP + 0x1000)];
        assert_eq!(
            parts(0x9000, 0x1000, 0x20, &[0x20, 0xfc0]),
            (whole.clone(), 2)
        );
        let state = FIRST_BEHIND_STATE.start;
        let sizes = [0x20, 0x1000 - state - 0x20];
        assert_eq!(parts(HEAP + 0x30, 0x1000, state, &sizes), (whole, 2));
        // Others may begin there, too: no block, no end, an end elsewhere.
        for used in [0, 0x10, 0x20, 0x30] {
            assert_eq!(parts(0x9000, used, 0x1000, &[]), none, "{used:#x}");
        }
        assert_eq!(parts(0x9000, 0x1100, 0x20, &[0x20, 0x10c0]), none);
        assert_eq!(parts(0x9000, u64::MAX, 0x20, &[0x20, 0xfc0]), none);
        // Nor does what looks like the state of the allocator lead anywhere.
        assert_eq!(parts(u64::MAX - 8, 0x1000, 0x20, &[0x20, 0xfc0]).1, 2);
    }

    #[test]
    fn what_was_put_aside_is_blocks_and_then_nothing() {
        let maps = "8000-8100 rw-p 00000000 00:00 0 \n";
        let find = |sizes: &[(usize, u64)]| {
            let mut words = vec![0; 32];
            for (at, size) in sizes {
                words[at / 8] = *size;
            }
            let snapshot = Snapshot::of(&[(0x8000, &words)]);
            let part = 0x8000..0x8100;
            let heap = Heap::find(&snapshot, &parse_maps(maps), &[part]);
            (heap.parts().len(), heap.len())
        };
        assert_eq!(find(&[]), (1, 0));
        assert_eq!(find(&[(0, 0x20), (0x20, 0x40)]), (1, 2));
        assert_eq!(find(&[(0, 0x20), (0x20, 0xe0)]), (1, 2), "to the end");
        for wrong in [0x8, 0x10, 0x24, 0xe8] {
            assert_eq!(find(&[(0, 0x20), (0x20, wrong)]), (0, 0), "{wrong:#x}");
        }
    }

    #[test]
    fn what_does_not_end_where_it_should_is_no_heap() {
        for sizes in [&[0x20_u64, 0x40, 0x60][..], &[0x20, 0x40, 0x90, 0x20]] {
            let main = heap(0x1000, sizes, 1);
            let snapshot = Snapshot::of(&[(0x1000, &main)]);
            let heap = Heap::find(&snapshot, &parse_maps(MAPS), &[]);
            assert_eq!((heap.parts(), heap.len()), (&[][..], 0), "{sizes:?}");
        }
    }
}
