//! Which parts of stacks are dead: what lies below the end of a stack, and stacks of threads
//! that have ended.
//!
//! glibc puts what it knows of a thread (`struct pthread` in nptl/descr.h) at the upper end of
//! the stack that it makes for it, above the thread's thread-locals. A part is dead only if
//! that says so: the stack begins where the mapping does, right above its guard, and nobody else
//! is on it. What glibc knows of the thread is never dead: what an ended thread has returned
//! lies there until somebody fetches it.

use std::ops::Range;

use super::memory::{Mapping, Memory};
use super::threads::Thread;

/// Bytes below the end of the stack that a function without calls may use (System V ABI).
const RED_ZONE: u64 = 128;
/// What glibc knows of a thread begins so close to the end of the stack.
const OWNER: u64 = 16 << 10;
/// It begins with its own address, and has that once more here (`tcbhead_t`).
const SELF: usize = 2;
/// The thread's number; 0 when it has ended. The place differs between versions of glibc, so it
/// counts only if the numbers of threads that live are there.
const NUMBER: usize = 0x2d0 / 8;

/// The thread that a stack was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Addresses of the mapping that the stack is in.
    start: u64,
    end: u64,
    /// What glibc knows of the thread.
    block: u64,
    number: i32,
}

impl Owner {
    fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Finds it in words up to the end of a mapping that lies above a guard, with these
    /// addresses.
    fn find(mapping: &Range<u64>, words: &[u64]) -> Option<Self> {
        let first = mapping.end - words.len() as u64 * 8;
        let mut places = (first..).step_by(8).enumerate();
        let (index, block) = places.by_ref().take(words.len()).find(|(index, at)| {
            let is_own = |index: usize| words.get(index) == Some(at);
            is_own(*index) && is_own(index + SELF)
        })?;
        let own = &words[index..];
        // Where its memory begins, how long that is, and how much of it is the guard.
        let begins_here = own.windows(3).any(|words| {
            let [begin, size, guard] = *words else {
                return false;
            };
            let end = begin.wrapping_add(size);
            begin.wrapping_add(guard) == mapping.start
                && (1..size).contains(&guard)
                && (block..=mapping.end).contains(&end)
        });
        let number = *own.get(NUMBER)? as u32 as i32;
        begins_here.then_some(Self {
            start: mapping.start,
            end: mapping.end,
            block,
            number,
        })
    }
}

/// Owners of the stacks that lie above a guard.
pub(crate) fn owners(memory: &mut Memory, mappings: &[Mapping]) -> Vec<Owner> {
    let mut owners = Vec::new();
    for pair in mappings.windows(2) {
        let (below, mapping) = (&pair[0], &pair[1]);
        let is_stack = below.is_guard && below.end == mapping.start && mapping.name.is_empty();
        let start = mapping.end.saturating_sub(OWNER).max(mapping.start);
        if is_stack && let Some(words) = memory.fetch(start, mapping.end - start) {
            owners.extend(Owner::find(&(mapping.start..mapping.end), words));
        }
    }
    owners
}

/// Tells threads whose blocks are not known which they are.
pub(crate) fn tell_blocks(owners: &[Owner], threads: &mut [Thread]) {
    for thread in threads {
        let own = owners.iter().find(|owner| owner.number == thread.id);
        thread.block = thread.block.or(own.map(|owner| owner.block));
    }
}

/// The parts of mappings that are dead. Each begins where its mapping does.
pub(crate) fn dead(mappings: &[Mapping], owners: &[Owner], threads: &[Thread]) -> Vec<Range<u64>> {
    let living = threads
        .iter()
        .filter_map(|thread| below(thread, mappings, owners));
    let are_known = are_numbered(owners, threads);
    let ended = owners
        .iter()
        .filter(|owner| are_known && owner.number == 0)
        .map(|owner| owner.start..owner.block);
    // Whatever one says of a stack: nobody else is on it.
    let is_used = |dead: &Range<u64>| {
        threads.iter().any(|thread| {
            let stack = thread.stack.map(|stack| stack.saturating_sub(RED_ZONE));
            let places = [stack, thread.block];
            places.iter().flatten().any(|place| dead.contains(place))
        })
    };
    living
        .chain(ended)
        .filter(|dead| !dead.is_empty() && !is_used(dead))
        .collect()
}

/// What lies below the end of a thread's stack.
fn below(thread: &Thread, mappings: &[Mapping], owners: &[Owner]) -> Option<Range<u64>> {
    let Some(end) = thread.stack else {
        return whole(thread, mappings, owners);
    };
    let mapping = mappings.iter().find(|mapping| mapping.contains(end))?;
    // A thread that runs on another stack than the one that was made for it is no such case.
    let is_own = |owner: &&Owner| {
        owner.contains(end) && Some(owner.block) == thread.block && owner.block > end
    };
    let is_stack = mapping.name == "[stack]" || owners.iter().any(|owner| is_own(&owner));
    is_stack.then(|| mapping.start..end.saturating_sub(RED_ZONE).max(mapping.start))
}

/// The stack of a thread that runs: nobody knows what of it is dead. So nothing of it counts before
/// the thread stands still, and then it is known.
fn whole(thread: &Thread, mappings: &[Mapping], owners: &[Owner]) -> Option<Range<u64>> {
    let is_own = |owner: &&Owner| Some(owner.block) == thread.block;
    if let Some(owner) = owners.iter().find(is_own) {
        return Some(owner.start..owner.block);
    }
    let stack = || mappings.iter().find(|mapping| mapping.name == "[stack]");
    let stack = stack().filter(|_| thread.name == "main")?;
    Some(stack.start..stack.end)
}

/// Whether the numbers of threads are where they are looked for: that of one that lives and is
/// on its stack is, and there is none that has another one.
fn are_numbered(owners: &[Owner], threads: &[Thread]) -> bool {
    let known = |owner: &Owner| {
        let is_on_it = |thread: &&Thread| {
            thread.block == Some(owner.block)
                && thread.stack.is_some_and(|stack| owner.contains(stack))
        };
        let on_it = threads.iter().find(is_on_it);
        on_it.map(|thread| thread.id == owner.number)
    };
    let mut known = owners.iter().filter_map(known).peekable();
    known.peek().is_some() && known.all(|fits| fits)
}

#[cfg(test)]
mod tests {
    use super::super::memory::parse_maps;
    use super::*;

    const MAPS: &str = "\
7f0000000000-7f0000001000 ---p 00000000 00:00 0 
7f0000001000-7f0000010000 rw-p 00000000 00:00 0 
7f0000010000-7f0000020000 r--p 00000000 fe:00 1 /lib/libc.so
7f0000030000-7f0000040000 rw-p 00000000 00:00 0 
7f0000050000-7f0000051000 ---p 00000000 00:00 0 
7f0000051000-7f0000060000 rw-p 00000000 00:00 0 
7ffd00000000-7ffd00010000 rw-p 00000000 00:00 0                          [stack]
";
    const LIVING: u64 = 0x7f00_0000_f700;
    const ENDED: u64 = 0x7f00_0005_f700;
    const ELSEWHERE: u64 = 0x7f00_0003_f000;

    fn owner(start: u64, block: u64, number: i32) -> Owner {
        let end = (block + 0x1000) & !0xfff;
        Owner {
            start,
            end,
            block,
            number,
        }
    }

    /// That of a thread that lives, and of one that has ended.
    fn both() -> [Owner; 2] {
        [
            owner(0x7f00_0000_1000, LIVING, 7),
            owner(0x7f00_0005_1000, ENDED, 0),
        ]
    }

    fn thread(id: i32, stack: u64, block: u64) -> Thread {
        Thread {
            id,
            stack: Some(stack),
            block: Some(block),
            ..Thread::default()
        }
    }

    #[test]
    fn dead_is_what_lies_below_the_end_of_a_stack() {
        let dead = |stack, block| {
            let owners = &both()[..1];
            dead(&parse_maps(MAPS), owners, &[thread(7, stack, block)])
        };
        let below = 0x7f00_0000_1000..0x7f00_0000_8f80;
        assert_eq!(dead(0x7f00_0000_9000, LIVING), [below]);
        // Its thread-locals are elsewhere, so it is on no stack that was made for it.
        assert_eq!(dead(0x7f00_0000_9000, ELSEWHERE), []);
        // Nobody knows what begins there.
        assert_eq!(dead(0x7f00_0003_8000, ELSEWHERE), []);
        assert_eq!(dead(0x7f00_0005_9000, ENDED), []);
        let below = 0x7ffd_0000_0000..0x7ffd_0000_7f80;
        assert_eq!(dead(0x7ffd_0000_8000, ELSEWHERE), [below]);
        assert_eq!(dead(0x1000, LIVING), []);
    }

    #[test]
    fn stacks_of_ended_threads_are_dead_up_to_what_is_known_of_the_thread() {
        let mappings = parse_maps(MAPS);
        let living = thread(7, 0x7f00_0000_9000, LIVING);
        let dead = |others: &[Thread]| {
            let threads = [std::slice::from_ref(&living), others].concat();
            let dead = dead(&mappings, &both(), &threads);
            let ended = dead.into_iter().find(|dead| dead.start == 0x7f00_0005_1000);
            ended.map(|dead| dead.end)
        };
        assert_eq!(dead(&[]), Some(ENDED));
        // Somebody else is on it, or has his thread-locals there.
        assert_eq!(dead(&[thread(8, 0x7f00_0005_8000, ELSEWHERE)]), None);
        assert_eq!(dead(&[thread(8, 0x7f00_0003_8000, ENDED - 0x100)]), None);
    }

    #[test]
    fn no_thread_has_ended_for_whom_the_numbers_are_elsewhere() {
        let mappings = parse_maps(MAPS);
        let ended = |threads: &[Thread]| {
            let dead = dead(&mappings, &both(), threads);
            dead.iter().any(|dead| dead.start == 0x7f00_0005_1000)
        };
        assert!(ended(&[thread(7, 0x7f00_0000_9000, LIVING)]));
        assert!(!ended(&[thread(9, 0x7f00_0000_9000, LIVING)]));
        assert!(!ended(&[thread(7, 0x7f00_0003_8000, LIVING)]));
        assert!(!ended(&[]));
    }

    #[test]
    fn stacks_of_threads_that_run_count_only_once_they_stand_still() {
        let runs = |name: &str, block| Thread {
            id: 7,
            name: name.to_owned(),
            block,
            ..Thread::default()
        };
        let dead = |thread: Thread| dead(&parse_maps(MAPS), &both()[..1], &[thread]);
        let own = 0x7f00_0000_1000..LIVING;
        assert_eq!(dead(runs("worker", Some(LIVING))), [own]);
        let main = 0x7ffd_0000_0000..0x7ffd_0001_0000;
        assert_eq!(dead(runs("main", None)), [main]);
        assert_eq!(dead(runs("worker", None)), []);
    }

    #[test]
    fn two_threads_on_one_stack_leave_none_of_it_dead() {
        let threads = [
            thread(7, 0x7f00_0000_9000, LIVING),
            thread(8, 0x7f00_0000_5000, ELSEWHERE),
        ];
        assert_eq!(dead(&parse_maps(MAPS), &both()[..1], &threads), []);
    }

    #[test]
    fn an_owner_says_itself_where_its_stack_begins() {
        // A guard of a page, and 0x1000 bytes of stack.
        let mapping = 0x1_1000..0x1_2000;
        let words = |block: u64, memory: [u64; 3]| {
            let mut words = vec![0; 0x1000 / 8];
            let at = (block - mapping.start) as usize / 8;
            words[at] = block;
            words[at + SELF] = block;
            words[at + NUMBER] = 7;
            words[at + 0xd2..at + 0xd5].copy_from_slice(&memory);
            words
        };
        let find = |memory| Owner::find(&mapping, &words(0x1_1700, memory));
        let own = [0x1_0000, 0x2000, 0x1000];
        assert_eq!(find(own), Some(owner(mapping.start, 0x1_1700, 7)));
        // The kernel may make one mapping of it and of what lies behind.
        assert!(find([0x1_0000, 0x1f00, 0x1000]).is_some());
        // Or of it and of what lies below, if it has no guard of its own.
        assert_eq!(find([0x1_1400, 0xc00, 0]), None);
        // It was given its memory by others, who may use it for something else by now.
        assert_eq!(find([0x1_1000, 0x1000, 0]), None);
        assert_eq!(find([0x1_0000, 0x3000, 0x1000]), None);
        assert_eq!(find([0; 3]), None);
    }
}
