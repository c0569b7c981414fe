//! The helper: a process that reads the host's memory, see [the proof](super).

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use inspector_protocol::wire;

use super::memory::{self, Mapping, Memory, Unreadable};
use super::reach::{Scene, reach};
use super::snapshot::Snapshot;
use super::stacks;
use super::targets::Targets;
use super::threads::{self, Stopped, Thread};
use crate::proof::prover::{Answer, Question, Verdict};

/// How much longer than it was to take a pause may last, before it is given up.
const OVERDUE: u32 = 2;
/// Bytes that no machine copies faster than in a millisecond.
const FASTEST: u64 = 32 << 20;
/// What stopping a thread and letting it go takes, roughly.
const PER_THREAD: Duration = Duration::from_micros(60);

/// Answers questions on standard input until the host is gone.
pub(in crate::proof) fn run() -> io::Result<()> {
    let mut from = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let to = from.try_clone()?;
    answer_all(&mut from, to);
    Ok(())
}

fn answer_all(from: &mut impl Read, mut to: impl Write) {
    // Kept, because memory that this process has already is faster than new memory.
    let mut snapshot = Snapshot::default();
    while let Ok(question) = wire::read::<Question>(from) {
        let answer = answer(&question, &mut snapshot);
        if wire::write(&mut to, &answer).is_err() {
            return;
        }
    }
}

/// Why a look came to nothing.
struct NoLook(String);

impl From<io::Error> for NoLook {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<Unreadable> for NoLook {
    fn from(error: Unreadable) -> Self {
        let Unreadable { address, name } = error;
        Self(format!("memory at {address:#x} {name} cannot be read"))
    }
}

/// Looks for references to all images: beside the game first, and for those that nothing was
/// found of, once more while it is stopped.
fn answer(question: &Question, snapshot: &mut Snapshot) -> Answer {
    let start = Instant::now();
    let mut answer = Answer {
        verdicts: Vec::new(),
        took: Duration::ZERO,
        stopped: None,
    };
    let mut look = Looking {
        question,
        memory: Memory::of(question.pid),
        snapshot,
        threads: Vec::new(),
        mappings: Vec::new(),
        targets: Targets::new(&question.images, !question.not_guard),
        ignored: HashMap::new(),
        thread_locals: Vec::new(),
    };
    answer.verdicts = match look.beside_the_game() {
        Ok(pause) => {
            let verdicts = look.verdicts();
            if verdicts.iter().any(Verdict::is_free) {
                let stopped = look.while_stopped(pause);
                answer.stopped = stopped.as_ref().ok().copied();
                confirm(verdicts, stopped.map(|_| look.verdicts()))
            } else {
                verdicts
            }
        }
        Err(NoLook(why)) => vec![Verdict::Unknown(why); question.images.len()],
    };
    answer.took = start.elapsed();
    answer
}

/// What was found free beside the game is what was found of it while the game was stopped.
fn confirm(first: Vec<Verdict>, second: Result<Vec<Verdict>, NoLook>) -> Vec<Verdict> {
    let confirm = |(index, verdict): (usize, Verdict)| match &second {
        _ if !verdict.is_free() => verdict,
        Ok(second) => second[index].clone(),
        Err(NoLook(why)) => Verdict::Unknown(why.clone()),
    };
    first.into_iter().enumerate().map(confirm).collect()
}

struct Looking<'a> {
    question: &'a Question,
    memory: Memory,
    snapshot: &'a mut Snapshot,
    threads: Vec<Thread>,
    mappings: Vec<Mapping>,
    targets: Targets,
    ignored: HashMap<u64, usize>,
    thread_locals: Vec<(usize, Range<u64>)>,
}

impl Looking<'_> {
    /// Copies memory while all goes on; how long the game would have to stand still for that.
    fn beside_the_game(&mut self) -> Result<Duration, NoLook> {
        // Not even a look that could come to nothing only, and would take as much memory.
        let at_least = memory::resident(self.question.pid)? / FASTEST;
        self.fits(Duration::from_millis(at_least))?;
        let before = processor_time();
        self.threads = threads::running(self.question.pid)?;
        self.copy(None)?;
        let pause = processor_time().saturating_sub(before);
        Ok(pause + PER_THREAD * self.threads.len() as u32)
    }

    /// Copies memory while nothing moves; for how long that was. `expected` is how long it
    /// should take.
    fn while_stopped(&mut self, expected: Duration) -> Result<Duration, NoLook> {
        self.fits(expected)?;
        let allowed = self.question.look.pause;
        let limit = allowed * OVERDUE;
        let mut stopped = Stopped::all(self.question.pid, limit).map_err(unstoppable)?;
        self.threads = std::mem::take(&mut stopped.threads);
        let since = stopped.since;
        self.copy(Some((since, limit)))?;
        drop(stopped);
        let took = since.elapsed();
        self.add_blocks();
        Ok(took)
    }

    /// Whether the game may stand still for so long.
    fn fits(&self, expected: Duration) -> Result<(), NoLook> {
        let allowed = self.question.look.pause;
        if expected <= allowed {
            return Ok(());
        }
        Err(NoLook(format!(
            "the game would stand still for {:.1} ms, and a frame leaves {:.1} ms",
            expected.as_secs_f64() * 1e3,
            allowed.as_secs_f64() * 1e3,
        )))
    }

    fn copy(&mut self, limit: Option<(Instant, Duration)>) -> Result<(), NoLook> {
        self.mappings = self.memory.mappings()?;
        let mappings = &self.mappings;
        let owners = stacks::owners(&mut self.memory, mappings);
        stacks::tell_blocks(&owners, &mut self.threads);
        let dead = stacks::dead(mappings, &owners, &self.threads);
        let moving = limit.is_none();
        let go_on = || limit.is_none_or(|(since, limit)| since.elapsed() < limit);
        let memory = &mut self.memory;
        if self
            .snapshot
            .take(memory, mappings, &dead, moving, &go_on)?
        {
            Ok(())
        } else {
            let why = "copying memory took longer than a frame leaves";
            Err(NoLook(why.to_owned()))
        }
    }

    fn verdicts(&self) -> Vec<Verdict> {
        reach(&Scene {
            snapshot: self.snapshot,
            mappings: &self.mappings,
            threads: &self.threads,
            images: &self.question.images,
            targets: &self.targets,
            ignored: &self.ignored,
            thread_locals: &self.thread_locals,
            heap: self.question.look.heap,
        })
    }

    /// Looks for the images' thread-locals, too. The words of the loader that lead to them are
    /// no references.
    fn add_blocks(&mut self) {
        /// glibc's `tcbhead_t` has the table of blocks in its second word, `dtv_t` two words
        /// per module: where the block is, and what to free. Blocks that were not used yet
        /// are all ones.
        const TABLE: u64 = 8;
        const ENTRY: u64 = 16;
        const UNUSED: u64 = u64::MAX;
        for thread in &self.threads {
            let word = |address| self.snapshot.word(address).unwrap_or(0);
            let table = thread.block.map_or(0, |block| word(block + TABLE));
            if table < ENTRY {
                continue;
            }
            // The word before the table says for how many modules it is.
            let modules = word(table - ENTRY);
            for (image, footprint) in self.question.images.iter().enumerate() {
                let Some((module, size)) = footprint.thread_locals else {
                    continue;
                };
                if module > modules {
                    continue;
                }
                let entry = table + module * ENTRY;
                let block = word(entry);
                let end = block.checked_add(size).filter(|_| block != 0);
                if let Some(end) = end.filter(|_| block != UNUSED) {
                    self.targets.add_block(image, block, size);
                    self.thread_locals.push((image, block..end));
                    self.ignored.extend([(entry, image), (entry + 8, image)]);
                }
            }
        }
    }
}

/// Why threads do not stop.
fn unstoppable(error: io::Error) -> NoLook {
    NoLook(match error.kind() {
        io::ErrorKind::TimedOut => "its threads did not stop in time".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "its threads cannot be stopped; is a debugger attached?".to_owned()
        }
        _ => format!("its threads cannot be stopped ({error})"),
    })
}

/// What this thread has used of the processor: unlike the time of day, it does not count what
/// other programs took.
fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the system writes to a local.
    let known = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    if known == 0 {
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    } else {
        Duration::ZERO
    }
}
