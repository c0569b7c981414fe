//! All jobs there are, for whoever wants to see or cancel them.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use engine_api::job::{Job, JobId};
use inspector_protocol::status::{JobState, JobStatus};

use crate::registry::VersionKey;

/// A job that was started and whose result was not delivered yet.
pub(super) struct Entry {
    id: JobId,
    name: String,
    module: String,
    key: VersionKey,
    job: Arc<Job>,
    started: Instant,
    /// When a thread took it, and the thread's name.
    began: OnceLock<(Instant, String)>,
}

impl Entry {
    pub(super) fn new(id: JobId, name: &str, module: &str, key: VersionKey, job: Arc<Job>) -> Self {
        Self {
            id,
            name: name.to_owned(),
            module: module.to_owned(),
            key,
            job,
            started: Instant::now(),
            began: OnceLock::new(),
        }
    }

    /// This thread takes it.
    pub(super) fn begin(&self) {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default().to_owned();
        let _ = self.began.set((Instant::now(), name));
    }

    fn status(&self) -> JobStatus {
        let began = self.began.get();
        let state = match began {
            _ if self.job.is_cancelled() => JobState::Cancelled,
            Some(_) => JobState::Running,
            None => JobState::Waiting,
        };
        let since = began.map_or(self.started, |(began, _)| *began);
        JobStatus {
            id: self.id.number(),
            module: self.module.clone(),
            version: self.key.number,
            name: self.name.clone(),
            state,
            thread: began.map(|(_, thread)| thread.clone()),
            progress: self.job.progress(),
            elapsed_ms: since.elapsed().as_millis() as u64,
        }
    }
}

/// The jobs of a host, oldest first. Any thread; holds a lock for a moment.
#[derive(Default)]
pub struct JobList(Mutex<Vec<Arc<Entry>>>);

impl JobList {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, entry: Arc<Entry>) {
        self.lock().push(entry);
    }

    pub(super) fn remove(&self, id: JobId) {
        self.lock().retain(|entry| entry.id != id);
    }

    /// What the inspector shows.
    pub fn status(&self) -> Vec<JobStatus> {
        self.lock().iter().map(|entry| entry.status()).collect()
    }

    /// Asks the job with a number to end.
    ///
    /// # Errors
    /// Which jobs there are, if it is none of them.
    pub fn cancel(&self, number: u64) -> Result<(), String> {
        let entries = self.lock();
        if let Some(entry) = entries.iter().find(|entry| entry.id.number() == number) {
            entry.job.cancel();
            return Ok(());
        }
        let known: Vec<String> = entries
            .iter()
            .map(|entry| format!("{} (`{}`)", entry.id.number(), entry.name))
            .collect();
        let known = match &known[..] {
            [] => "no job runs or waits".to_owned(),
            some => format!("there are {}", some.join(", ")),
        };
        Err(format!("there is no job {number}: {known}"))
    }

    /// Asks all jobs of a version to end; the names of those that were not asked before.
    pub(crate) fn cancel_all_of(&self, version: VersionKey) -> Vec<String> {
        let entries = self.lock();
        let of_it = entries
            .iter()
            .filter(|entry| entry.key.id == version.id && !entry.job.is_cancelled());
        let names = of_it.map(|entry| {
            entry.job.cancel();
            entry.name.clone()
        });
        names.collect()
    }
}

#[cfg(test)]
mod tests {
    use engine_api::job::JobBoard;
    use engine_api::prelude::*;

    use super::*;

    #[derive(Event, Reflect)]
    struct Done;

    /// A list with jobs of two versions: the first two are of version 1, the third of version 2.
    fn list() -> (JobList, Vec<Arc<Entry>>) {
        let mut world = World::new();
        world.insert_resource(JobBoard::new(|| None));
        let list = JobList::default();
        let entries = [("dig", 1), ("fill", 1), ("dig", 2)].map(|(name, number)| {
            let start = |mut jobs: Jobs| jobs.start("work", |_| Done);
            let id = world.run_system_cached(start).unwrap();
            let key = VersionKey {
                id: number + 100,
                number,
            };
            let entry = Arc::new(Entry::new(id, name, "game", key, Arc::default()));
            list.add(entry.clone());
            entry
        });
        (list, entries.to_vec())
    }

    /// Name, version and state of each.
    fn shown(list: &JobList) -> Vec<(String, u32, JobState)> {
        let status = list.status().into_iter();
        status
            .map(|job| (job.name, job.version, job.state))
            .collect()
    }

    #[test]
    fn jobs_are_shown_as_they_are() {
        use JobState::{Cancelled, Running, Waiting};
        let (list, entries) = list();
        entries[1].begin();
        let row = |name: &str, version, state| (name.to_owned(), version, state);
        assert_eq!(
            shown(&list),
            [
                row("dig", 1, Waiting),
                row("fill", 1, Running),
                row("dig", 2, Waiting)
            ]
        );
        entries[1].job.cancel();
        list.remove(entries[0].id);
        assert_eq!(
            shown(&list),
            [row("fill", 1, Cancelled), row("dig", 2, Waiting)]
        );
    }

    #[test]
    fn one_job_or_those_of_a_version_are_cancelled() {
        let (list, entries) = list();
        let (first, other) = (entries[0].key, entries[2].key);
        list.cancel(entries[0].id.number()).unwrap();
        assert!(entries[0].job.is_cancelled());
        // Of its version, and only what nobody has cancelled yet.
        assert_eq!(list.cancel_all_of(first), ["fill"]);
        assert!(entries[1].job.is_cancelled() && !entries[2].job.is_cancelled());
        assert_eq!(list.cancel_all_of(first), [""; 0]);
        assert_eq!(list.cancel_all_of(other), ["dig"]);
        let error = list.cancel(999).unwrap_err();
        assert!(
            error.starts_with("there is no job 999: there are "),
            "{error}"
        );
        for entry in entries {
            list.remove(entry.id);
        }
        let error = list.cancel(1).unwrap_err();
        assert_eq!(error, "there is no job 1: no job runs or waits");
    }
}
