//! Noticing that the game does not get on: a frame that does not end, or a version that keeps the
//! loader.

use std::time::{Duration, Instant};

/// Longest time between two looks after which a time still counts. After more, nothing in this
/// process ran: somebody stopped it, or the machine slept.
const LONGEST_GAP: Duration = Duration::from_secs(1);

/// Follows the frame loop by counting its turns.
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

    /// How long something may keep the game, if that is limited.
    pub(crate) fn limit(&self) -> Option<Duration> {
        Some(self.limit).filter(|limit| !limit.is_zero())
    }

    /// Looks from time to time; returns for how long the loop has been in a turn that takes too
    /// long.
    pub(crate) fn look(&mut self, turn: u64, now: Instant) -> Option<Duration> {
        let was_asleep = now.duration_since(self.looked) > LONGEST_GAP;
        if turn != self.turn || was_asleep {
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
            (2, 2000),
        ] {
            looks.push(watch.look(turn, start + ms(at)));
        }
        assert_eq!(
            looks,
            [None, None, None, Some(ms(1000)), Some(ms(1800)), None]
        );
        let mut patient = TurnWatch::new(Duration::ZERO, start);
        patient.look(1, start + ms(100));
        assert_eq!(patient.look(1, start + ms(900)), None);
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
