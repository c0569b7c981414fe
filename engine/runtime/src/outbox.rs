//! Where everything a host has to say goes: a channel with a bound that nobody waits for.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TrySendError};
use inspector_protocol::message::LogLevel;

use crate::link::{FromHost, Reloaded};
use crate::telemetry::Board;

/// Messages that may wait; when so many do, the game goes on.
const QUEUE: usize = 1024;
/// How long a host that ends waits for room for its last message.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Where everything a host has to say goes. Cheap to clone; usable on any thread.
#[derive(Clone)]
pub struct Outbox {
    /// Boxed, because a channel keeps for a while what it has handed over. A bounded one keeps
    /// it until all of its places have been used, so this should be unbounded; no more than
    /// [`QUEUE`] messages are put in.
    to: Sender<Box<FromHost>>,
    board: Arc<Board>,
    /// Answers that did not fit into the channel yet.
    backlog: Arc<Mutex<VecDeque<Box<FromHost>>>>,
}

impl Outbox {
    /// An outbox into `to`.
    pub fn new(to: Sender<Box<FromHost>>, board: Arc<Board>) -> Self {
        Self {
            to,
            board,
            backlog: Arc::default(),
        }
    }

    /// Sends what may be lost when the other side is slow. Never blocks.
    pub fn offer(&self, message: FromHost) {
        if self.try_send(Box::new(message)).is_err() {
            self.board.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what somebody waits for: at once, or as soon as there is room. Never
    /// blocks. Later messages may overtake it.
    pub fn deliver(&self, message: FromHost) {
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        backlog.push_back(Box::new(message));
        drop(backlog);
        self.flush();
    }

    /// Sends what did not fit before. Telemetry does this regularly.
    pub(crate) fn flush(&self) {
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(message) = backlog.pop_front() {
            if let Err(message) = self.try_send(message) {
                return backlog.push_front(message);
            }
        }
    }

    /// Sends if there is room; else gives the message back.
    fn try_send(&self, message: Box<FromHost>) -> Result<(), Box<FromHost>> {
        if self.to.len() >= QUEUE {
            return Err(message);
        }
        match self.to.try_send(message) {
            Err(TrySendError::Full(message)) => Err(message),
            // Without a reader the host is about to end.
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// Sends what is left and the last message. No frame waits for it any more, and
    /// whoever reads relies on it: waits a moment for a slow reader.
    pub(crate) fn finish(&self) {
        let deadline = Instant::now() + LAST_WORD;
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        for message in backlog.drain(..).chain([Box::new(FromHost::Finished)]) {
            if self.to.send_deadline(message, deadline).is_err() {
                return;
            }
        }
    }

    fn log(&self, level: LogLevel, message: String) {
        self.offer(FromHost::Log {
            level,
            module: String::new(),
            message,
        });
    }

    /// Logs a line of the engine.
    pub fn info(&self, message: String) {
        self.log(LogLevel::Info, message);
    }

    /// Logs a line of the engine.
    pub fn debug(&self, message: String) {
        self.log(LogLevel::Debug, message);
    }

    /// Logs a line of the engine.
    pub fn warn(&self, message: String) {
        self.log(LogLevel::Warn, message);
    }

    /// Logs a line of the engine.
    pub fn error(&self, message: String) {
        self.log(LogLevel::Error, message);
    }

    /// Reports how a reload ended.
    pub fn reloaded(&self, report: Reloaded) {
        self.deliver(FromHost::Reloaded(report));
    }
}
