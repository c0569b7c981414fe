//! What a process writes, line by line, for tests to wait on.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::PATIENCE;

/// All lines so far.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    is_over: bool,
}

impl Log {
    /// Reads until the end, on a thread of its own.
    pub fn read(from: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let shared = log.0.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n') {
                let Ok(line) = line else { break };
                lock(&shared)
                    .lines
                    .push(String::from_utf8_lossy(&line).into_owned());
                shared.changed.notify_all();
            }
            lock(&shared).is_over = true;
            shared.changed.notify_all();
        });
        log
    }

    /// How many lines there are: a place to wait from.
    pub fn len(&self) -> usize {
        lock(&self.0).lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All lines since a place.
    pub fn since(&self, from: usize) -> Vec<String> {
        lock(&self.0).lines[from..].to_vec()
    }

    /// Waits for a line at or after `from` and returns the place after it, and it.
    pub fn wait(&self, from: usize, what: &str, is_it: impl Fn(&str) -> bool) -> (usize, String) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = lock(&self.0);
        let mut next = from;
        loop {
            while let Some(line) = state.lines.get(next) {
                next += 1;
                if is_it(line) {
                    return (next, line.clone());
                }
            }
            assert!(!state.is_over, "the process ended before it wrote {what}");
            state = self.changed(state, deadline, what);
        }
    }

    /// Waits until the process closes the stream, as it does when it ends.
    pub fn wait_for_end(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = lock(&self.0);
        while !state.is_over {
            state = self.changed(state, deadline, "its end");
        }
    }

    fn changed<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Instant,
        what: &str,
    ) -> MutexGuard<'a, State> {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "waited {} s for {what}",
            PATIENCE.as_secs()
        );
        self.0
            .changed
            .wait_timeout(state, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}
