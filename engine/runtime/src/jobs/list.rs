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
    /// When a worker took it.
    began: OnceLock<Instant>,
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

    /// A worker takes it.
    pub(super) fn begin(&self) {
        let _ = self.began.set(Instant::now());
    }

    fn status(&self) -> JobStatus {
        let (state, since) = match self.began.get() {
            _ if self.job.is_cancelled() => (JobState::Cancelled, self.started),
            Some(began) => (JobState::Running, *began),
            None => (JobState::Waiting, self.started),
        };
        JobStatus {
            id: self.id.number(),
            module: self.module.clone(),
            version: self.key.number,
            name: self.name.clone(),
            state,
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
