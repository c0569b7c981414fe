//! Threads for what runs off the frame loop: functions without world access that are called by
//! name, and jobs.
//!
//! Threads are started when all others are busy, up to [`MAX_WORKERS`], and stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::wipe;

/// Most that run at once in one pool; further ones wait.
pub const MAX_WORKERS: usize = 16;
/// How many may wait in one pool; further ones are refused.
const QUEUE: usize = 256;

type Job = Box<dyn FnOnce() + Send>;

/// A pool of named threads.
pub struct Workers {
    /// Of each thread, before its number.
    name: &'static str,
    jobs: Sender<Job>,
    waiting: Receiver<Job>,
    idle: Arc<AtomicUsize>,
    started: AtomicUsize,
}

impl Workers {
    /// A pool without threads yet. They will be called `name-0`, `name-1`, and so on.
    pub fn named(name: &'static str) -> Self {
        let (jobs, waiting) = bounded(QUEUE);
        Self {
            name,
            jobs,
            waiting,
            idle: Arc::default(),
            started: AtomicUsize::new(0),
        }
    }

    /// Runs `job` on a worker soon. Never blocks.
    ///
    /// # Errors
    /// Gives the job back if too many wait.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Job> {
        let queued = self
            .jobs
            .try_send(Box::new(job))
            .map_err(|error| match error {
                TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
            });
        let started = self.started.load(Ordering::Relaxed);
        if queued.is_ok()
            && self.idle.load(Ordering::Relaxed) < self.waiting.len()
            && started < MAX_WORKERS
        {
            self.start(started);
        }
        queued
    }

    fn start(&self, index: usize) {
        let (jobs, idle) = (self.waiting.clone(), self.idle.clone());
        let body = move || {
            loop {
                idle.fetch_add(1, Ordering::Relaxed);
                let job = jobs.recv();
                idle.fetch_sub(1, Ordering::Relaxed);
                match job {
                    Ok(job) => job(),
                    Err(_) => return,
                }
                wipe::stack();
            }
        };
        if std::thread::Builder::new()
            .name(format!("{}-{index}", self.name))
            .spawn(body)
            .is_ok()
        {
            self.started.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_workers_get_company_and_idle_ones_are_used_again() {
        let workers = Workers::named("worker");
        let (begun, begins) = bounded(10);
        let (end, ends) = bounded::<()>(0);
        for _ in 0..3 {
            let (begun, ends) = (begun.clone(), ends.clone());
            assert!(
                workers
                    .run(move || {
                        begun.send(()).unwrap();
                        ends.recv().unwrap();
                    })
                    .is_ok()
            );
        }
        // All three run at once although none has ended.
        (0..3).for_each(|_| begins.recv().unwrap());
        (0..3).for_each(|_| end.send(()).unwrap());
        while workers.idle.load(Ordering::Relaxed) < 3 {
            std::hint::spin_loop();
        }
        let begun_again = begun.clone();
        assert!(workers.run(move || begun_again.send(()).unwrap()).is_ok());
        begins.recv().unwrap();
        assert_eq!(workers.started.load(Ordering::Relaxed), 3);
    }
}
