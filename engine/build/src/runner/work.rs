//! What waits to be built: at most one piece of work for each module, into
//! which everything that happens to it is merged.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// What caused a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// The start of the builder.
    Startup,
    /// [`crate::Builder::rebuild`].
    Request,
    /// [`crate::Builder::set_modules`].
    Added,
    /// This file, the first of them.
    File(PathBuf),
}

/// Work on one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Work {
    /// All files that changed since the last finished build.
    pub(crate) files: Vec<PathBuf>,
    /// Arrival of the first event.
    pub(crate) detected_at: Instant,
    /// More than the module's own sources changed.
    pub(crate) needs_cargo: bool,
    /// What caused it.
    pub(crate) trigger: Trigger,
}

impl Work {
    pub(crate) fn startup(at: Instant) -> Self {
        Self {
            files: Vec::new(),
            detected_at: at,
            needs_cargo: true,
            trigger: Trigger::Startup,
        }
    }

    pub(crate) fn added(at: Instant) -> Self {
        Self {
            trigger: Trigger::Added,
            ..Self::startup(at)
        }
    }

    pub(crate) fn requested(at: Instant) -> Self {
        Self {
            files: Vec::new(),
            detected_at: at,
            needs_cargo: true,
            trigger: Trigger::Request,
        }
    }

    pub(crate) fn changed(path: PathBuf, needs_cargo: bool, at: Instant) -> Self {
        Self {
            files: vec![path.clone()],
            detected_at: at,
            needs_cargo,
            trigger: Trigger::File(path),
        }
    }

    /// A file written with the content it had. Whether that content was built
    /// is decided like for any other.
    pub(crate) fn touched(path: PathBuf, needs_cargo: bool, at: Instant) -> Self {
        Self::changed(path, needs_cargo, at)
    }

    /// The same, but not by replay.
    pub(crate) fn through_cargo(mut self) -> Self {
        self.needs_cargo = true;
        self
    }

    pub(crate) fn is_forced(&self) -> bool {
        self.trigger == Trigger::Request
    }

    /// Whether the module has not been built before.
    pub(crate) fn is_startup(&self) -> bool {
        matches!(self.trigger, Trigger::Startup | Trigger::Added)
    }

    /// `self`, with `other` merged in that came later.
    fn and(mut self, other: Self) -> Self {
        for file in other.files {
            if !self.files.contains(&file) {
                self.files.push(file);
            }
        }
        self.needs_cargo |= other.needs_cargo;
        // Whoever waits for an answer to a start or a request gets it.
        if matches!(self.trigger, Trigger::File(_)) && !matches!(other.trigger, Trigger::File(_))
            || other.trigger == Trigger::Request
        {
            self.trigger = other.trigger;
        }
        self
    }
}

/// One build to run now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// One module by its captured command.
    Replay(usize, Work),
    /// Several modules with one run of cargo.
    Cargo(Vec<(usize, Work)>),
}

/// The work of all modules, by index.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: BTreeMap<usize, Work>,
}

impl Queue {
    /// Adds work, merged into what waits already.
    pub(crate) fn add(&mut self, index: usize, work: Work) {
        let merged = match self.waiting.remove(&index) {
            Some(waiting) => waiting.and(work),
            None => work,
        };
        self.waiting.insert(index, merged);
    }

    /// Puts back the work of a cancelled build. The time counts from what
    /// cancelled it, and that is the trigger.
    pub(crate) fn give_back(&mut self, index: usize, work: Work) {
        let merged = match self.waiting.remove(&index) {
            Some(later) => {
                let (at, trigger) = (later.detected_at, later.trigger.clone());
                let mut merged = work.and(later);
                merged.detected_at = at;
                if matches!(merged.trigger, Trigger::File(_)) {
                    merged.trigger = trigger;
                }
                merged
            }
            None => work,
        };
        self.waiting.insert(index, merged);
    }

    /// Modules that wait because of files alone.
    pub(crate) fn plain(&self) -> impl Iterator<Item = usize> + '_ {
        self.waiting
            .iter()
            .filter(|(_, work)| matches!(work.trigger, Trigger::File(_)))
            .map(|(index, _)| *index)
    }

    /// Modules have other indices now: those of `places`, by their old one.
    pub(crate) fn renumber(&mut self, places: &[Option<usize>]) {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let moved = waiting.filter_map(|(old, work)| Some(((*places.get(old)?)?, work)));
        self.waiting = moved.collect();
    }

    /// Takes the work of a module.
    pub(crate) fn take(&mut self, index: usize) -> Option<Work> {
        self.waiting.remove(&index)
    }

    /// Takes the next job: replays first, they are short; then everything that
    /// needs cargo at once.
    pub(crate) fn next(&mut self, is_cargo: impl Fn(usize, &Work) -> bool) -> Option<Job> {
        let replay = self
            .waiting
            .iter()
            .find(|(index, work)| !is_cargo(**index, work))
            .map(|(i, _)| *i);
        if let Some(index) = replay {
            return self
                .waiting
                .remove(&index)
                .map(|work| Job::Replay(index, work));
        }
        let all = std::mem::take(&mut self.waiting);
        (!all.is_empty()).then(|| Job::Cargo(all.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn file(name: &str) -> PathBuf {
        PathBuf::from(name)
    }

    #[test]
    fn later_work_is_merged_into_what_waits() {
        let (first, second) = (Instant::now(), Instant::now() + Duration::from_millis(5));
        let mut queue = Queue::default();
        queue.add(0, Work::changed(file("a"), false, first));
        queue.add(0, Work::changed(file("b"), true, second));
        queue.add(0, Work::changed(file("a"), false, second));
        let work = queue.take(0).unwrap();
        assert_eq!(work.files, [file("a"), file("b")]);
        assert_eq!(work.detected_at, first);
        assert_eq!(work.trigger, Trigger::File(file("a")));
        assert!(work.needs_cargo);
    }

    #[test]
    fn a_cancelled_build_counts_from_what_cancelled_it() {
        let (first, second) = (Instant::now(), Instant::now() + Duration::from_millis(5));
        let mut queue = Queue::default();
        queue.add(0, Work::changed(file("b"), false, second));
        queue.give_back(0, Work::changed(file("a"), true, first));
        let work = queue.take(0).unwrap();
        assert_eq!(work.files, [file("a"), file("b")]);
        assert_eq!(work.detected_at, second);
        assert_eq!(work.trigger, Trigger::File(file("b")));
        assert!(work.needs_cargo, "what needed cargo still does");

        queue.add(1, Work::changed(file("b"), false, second));
        queue.give_back(1, Work::startup(first));
        assert!(queue.take(1).unwrap().is_startup());
        queue.add(2, Work::changed(file("b"), false, second));
        queue.give_back(2, Work::requested(first));
        assert!(queue.take(2).unwrap().is_forced());
    }

    #[test]
    fn replays_come_first_and_cargo_takes_all_at_once() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.add(0, Work::changed(file("a"), true, now));
        queue.add(1, Work::changed(file("b"), false, now));
        queue.add(2, Work::requested(now));
        let is_cargo = |_: usize, work: &Work| work.needs_cargo;
        assert!(matches!(queue.next(is_cargo), Some(Job::Replay(1, _))));
        let Some(Job::Cargo(all)) = queue.next(is_cargo) else {
            panic!("no cargo job")
        };
        assert_eq!(
            all.iter().map(|(index, _)| *index).collect::<Vec<_>>(),
            [0, 2]
        );
        assert_eq!(queue.next(is_cargo), None);
    }
}
