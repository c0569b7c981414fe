//! All memory of a process that can hold pointers, as it was at one time.

use std::ops::Range;

use super::memory::{Mapping, Memory, Unreadable};

/// Memory of another process, copied.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    words: Vec<u64>,
    /// In ascending order.
    runs: Vec<Run>,
}

/// Words that follow each other.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: u64,
    end: u64,
    /// Index of its first word.
    first: usize,
}

impl Snapshot {
    /// Copies what `mappings` hold, except `dead` stretches at their beginnings. What was copied
    /// before is forgotten; its memory is used again. Ends early, with `false`, when `go_on`
    /// says so.
    ///
    /// # Errors
    /// Memory that is there and cannot be read.
    pub(crate) fn take(
        &mut self,
        memory: &mut Memory,
        mappings: &[Mapping],
        dead: &[Range<u64>],
        moving: bool,
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool, Unreadable> {
        self.words.clear();
        self.runs.clear();
        for mapping in mappings {
            let dead = dead.iter().find(|dead| dead.start == mapping.start);
            let dead = dead.cloned().unwrap_or(0..0);
            let (words, runs) = (&mut self.words, &mut self.runs);
            let whole = memory.read(mapping, dead.end, moving, &mut |start, read| {
                if read.is_empty() {
                    return go_on();
                }
                let end = start + read.len() as u64 * 8;
                match runs.last_mut() {
                    Some(run) if run.end == start => run.end = end,
                    _ => runs.push(Run {
                        start,
                        end,
                        first: words.len(),
                    }),
                }
                words.extend_from_slice(read);
                go_on()
            })?;
            if !whole {
                return Ok(false);
            }
            // The page that the stack ends in is dead in part.
            if let Some(run) = self.runs.last()
                && run.start < dead.end
                && dead.end < run.end
                && mapping.contains(run.start)
            {
                let count = (dead.end - run.start) as usize / 8;
                self.words[run.first..run.first + count].fill(0);
            }
        }
        Ok(true)
    }

    /// The word at an address; `None` if that is no multiple of eight.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let end = address
            .checked_add(8)
            .filter(|_| address.is_multiple_of(8))?;
        let (_, words) = self.stretches(address..end).next()?;
        words.first().copied()
    }

    /// What was copied of a range, with the address of each stretch.
    pub(crate) fn stretches(&self, range: Range<u64>) -> impl Iterator<Item = (u64, &[u64])> {
        let first = self.runs.partition_point(|run| run.end <= range.start);
        let runs = self.runs[first..].iter();
        runs.take_while(move |run| run.start < range.end)
            .map(move |run| {
                let start = run.start.max(range.start);
                let end = run.end.min(range.end);
                let at = run.first + (start - run.start) as usize / 8;
                (start, &self.words[at..at + (end - start) as usize / 8])
            })
    }

    #[cfg(test)]
    pub(crate) fn of(runs: &[(u64, &[u64])]) -> Self {
        let mut snapshot = Self::default();
        for (start, words) in runs {
            snapshot.runs.push(Run {
                start: *start,
                end: start + words.len() as u64 * 8,
                first: snapshot.words.len(),
            });
            snapshot.words.extend_from_slice(words);
        }
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_what_was_copied_of_a_range() {
        let snapshot = Snapshot::of(&[(0x1000, &[1, 2, 3, 4]), (0x2000, &[5, 6])]);
        let of = |range: Range<u64>| -> Vec<(u64, Vec<u64>)> {
            let stretches = snapshot.stretches(range);
            stretches.map(|(at, words)| (at, words.to_vec())).collect()
        };
        assert_eq!(of(0..0x1000), []);
        assert_eq!(of(0x1008..0x1018), [(0x1008, vec![2, 3])]);
        assert_eq!(of(0x1018..0x2008), [(0x1018, vec![4]), (0x2000, vec![5])]);
        assert_eq!(snapshot.word(0x2008), Some(6));
        assert_eq!(snapshot.word(0x2010), None);
    }
}
