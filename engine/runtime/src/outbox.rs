//! Where everything a host has to say goes: a channel that nobody waits for.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Sender;
use inspector_protocol::message::LogLevel;

use crate::link::{FromHost, Reloaded};
use crate::telemetry::Board;

/// Messages that may wait; when so many do, the game goes on.
const QUEUE: usize = 1024;

/// Where everything a host has to say goes. Cheap to clone; usable on any thread.
#[derive(Clone)]
pub struct Outbox {
    /// Boxed, because a channel keeps for a while what it has handed over. A bounded one keeps
    /// it until all of its places have been used, so this is unbounded; no more than [`QUEUE`]
    /// messages are put in, but for the last ones.
    to: Sender<Box<FromHost>>,
    board: Arc<Board>,
    /// Answers that did not fit into the channel yet.
    backlog: Arc<Mutex<VecDeque<Box<FromHost>>>>,
}

impl Outbox {
    /// An outbox into `to`, an unbounded channel.
    pub fn new(to: Sender<Box<FromHost>>, board: Arc<Board>) -> Self {
        debug_assert_eq!(to.capacity(), None, "an outbox keeps to a bound of its own");
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
        // Without a reader the host is about to end.
        let _ = self.to.send(message);
        Ok(())
    }

    /// Sends what is left and the last message, also where there is no room: whoever reads relies
    /// on them, and nothing comes after them.
    pub(crate) fn finish(&self) {
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        for message in backlog.drain(..).chain([Box::new(FromHost::Finished)]) {
            let _ = self.to.send(message);
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

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;

    use super::*;

    #[test]
    fn what_does_not_fit_is_lost_unless_somebody_waits_for_it() {
        let (to, from) = unbounded();
        let board = Arc::new(Board::default());
        let outbox = Outbox::new(to, board.clone());
        for number in 0..QUEUE + 3 {
            outbox.debug(number.to_string());
        }
        assert_eq!(board.dropped.load(Ordering::Relaxed), 3);
        let called = |id| FromHost::Called {
            id,
            result: Ok("1".to_owned()),
        };
        (0..3).for_each(|id| outbox.deliver(called(id)));
        assert_eq!(from.len(), QUEUE, "answers wait for room");
        from.recv().unwrap();
        outbox.flush();
        assert_eq!(from.len(), QUEUE, "one of them had room");
        outbox.finish();
        let last: Vec<FromHost> = from
            .try_iter()
            .skip(QUEUE - 1)
            .map(|boxed| *boxed)
            .collect();
        assert_eq!(last, [called(0), called(1), called(2), FromHost::Finished]);
    }
}
