//! Noticing that the game does not get on: a frame that does not end, or a version that keeps the
//! loader.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest time between two looks after which a time still counts. After more, nothing in this
/// process ran: somebody stopped it, or the machine slept.
const LONGEST_GAP: Duration = Duration::from_secs(1);

/// Turns of the frame loop: odd numbers while it is in one, even ones while it waits for the next.
/// Written by the frame thread, read by anyone.
#[derive(Default)]
pub struct Turns(AtomicU64);

impl Turns {
    /// Whatever the loop does now must end.
    pub(crate) fn begin(&self) {
        self.0.store((self.now() + 1) | 1, Ordering::Relaxed);
    }

    /// The loop waits.
    pub(crate) fn end(&self) {
        self.0.store((self.now() | 1) + 1, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Follows the frame loop by its turns.
pub(crate) struct TurnWatch {
    /// How long a turn may take; zero for as long as it likes.
    limit: Duration,
    turn: u64,
    /// Since when that turn is seen.
    since: Instant,
    looked: Instant,
}

impl TurnWatch {
    pub(crate) fn new(limit: Duration, now: Instant) -> Self {
        Self {
            limit,
            turn: 0,
            since: now,
            looked: now,
        }
    }

    /// Another limit from now on; the turn that the loop is in counts from where it began.
    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// How long something may keep the game, if that is limited.
    pub(crate) fn limit(&self) -> Option<Duration> {
        Some(self.limit).filter(|limit| !limit.is_zero())
    }

    /// Looks from time to time; returns for how long the loop has been in a turn that takes too
    /// long.
    pub(crate) fn look(&mut self, turn: u64, now: Instant) -> Option<Duration> {
        let is_waiting = turn.is_multiple_of(2);
        let was_asleep = now.duration_since(self.looked) > LONGEST_GAP;
        if turn != self.turn || is_waiting || was_asleep {
            self.turn = turn;
            self.since = now;
        }
        self.looked = now;
        let taken = now.duration_since(self.since);
        self.limit().filter(|limit| taken >= *limit).map(|_| taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_takes_too_long_is_noticed_until_it_ends() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut watch = TurnWatch::new(ms(1000), start);
        let mut looks = Vec::new();
        for (turn, at) in [
            (1, 100),
            (1, 600),
            (1, 1050),
            (1, 1100),
            (1, 1900),
            (3, 2000),
        ] {
            looks.push(watch.look(turn, start + ms(at)));
        }
        assert_eq!(
            looks,
            [None, None, None, Some(ms(1000)), Some(ms(1800)), None]
        );
        // However long it waits for the next.
        watch.look(4, start + ms(2500));
        assert_eq!(watch.look(4, start + ms(3500)), None);
        let mut patient = TurnWatch::new(Duration::ZERO, start);
        patient.look(1, start + ms(100));
        assert_eq!(patient.look(1, start + ms(900)), None);
        patient.set_limit(ms(500));
        assert_eq!(patient.look(1, start + ms(950)), Some(ms(850)));
    }

    #[test]
    fn turns_and_pauses_take_turns() {
        let turns = Turns::default();
        let mut seen = vec![turns.now()];
        // A frame, a call while the loop waits, two frames without a pause, two pauses.
        for step in [
            Turns::begin,
            Turns::end,
            Turns::begin,
            Turns::end,
            Turns::begin,
            Turns::begin,
            Turns::end,
            Turns::end,
        ] {
            step(&turns);
            seen.push(turns.now());
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 7, 8, 10]);
    }

    #[test]
    fn a_process_that_was_stopped_did_not_stall() {
        let start = Instant::now();
        let s = Duration::from_secs;
        let mut watch = TurnWatch::new(s(1), start);
        watch.look(1, start + s(1));
        assert_eq!(watch.look(1, start + s(60)), None);
        assert_eq!(watch.look(1, start + s(61)), Some(s(1)));
    }
}
