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
