//! Hosts that die one after the other: what is tried next, and when to stop.
//!
//! A host has *settled* when it has made a checkpoint beyond the frame in which the one
//! before it died: the game got on. Time alone does not tell, since a crash that comes
//! ten seconds after the checkpoint comes after every restart. One that dies before that
//! *died at its start*.
//!
//! | died at its start | next |
//! |---|---|
//! | not, or once | the same versions, last checkpoint |
//! | twice, in the same version | the version before it, once |
//! | twice | the checkpoint before, once |
//! | again | nothing: it waits |
//!
//! A version that has just replaced another one is given up at its first crash. Hosts that are
//! ended from outside say nothing about versions and checkpoints: they are restarted as they were,
//! until so many follow each other that the next one would end the same way.

/// Starts that end in a crash before something else is tried.
const STARTS: u32 = 2;

/// Hosts ended from outside, one after the other, before it waits.
const KILLS: u32 = 10;

/// The version whose code a host died in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) struct Blame {
    /// Content hash of its artifact.
    pub(in crate::supervisor) hash: u64,
    /// Whether it had just replaced another version.
    pub(in crate::supervisor) is_young: bool,
    /// Whether there is a version to go back to.
    pub(in crate::supervisor) has_before: bool,
}

/// The death of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::supervisor) struct Crash {
    /// Whose code it died in; `None` where that is not certain, or it was ended from outside.
    pub(in crate::supervisor) blame: Option<Blame>,
    /// Whether it was ended from outside: killed, or out of memory.
    pub(in crate::supervisor) is_from_outside: bool,
    /// Frame of the game it died in.
    pub(in crate::supervisor) frame: u64,
    /// Frame of the newest checkpoint of its own.
    pub(in crate::supervisor) safe_frame: Option<u64>,
    /// Number of the checkpoint that it began with.
    pub(in crate::supervisor) began_with: Option<u64>,
    /// Numbers of the checkpoints that are there, oldest first.
    pub(in crate::supervisor) checkpoints: Vec<u64>,
}

/// What becomes of the game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Verdict {
    /// The same versions go on from the last checkpoint.
    Again,
    /// The blamed version is quarantined; the one before goes on from the last checkpoint.
    VersionBefore,
    /// The same versions go on from the last checkpoint before this number.
    CheckpointBefore(u64),
    /// Nothing that could still be tried would be new.
    GiveUp,
}

/// Hosts that died one after the other without getting on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::supervisor) struct Streak {
    /// Hosts that died at their start, since something else was tried.
    starts: u32,
    /// Hosts that were ended from outside before they had settled.
    kills: u32,
    /// Hash of the version that the last one died in.
    blamed: Option<u64>,
    /// The furthest frame in which one died.
    frame: u64,
    /// The oldest checkpoint that one began with.
    oldest: Option<u64>,
    tried_version: bool,
    tried_checkpoint: bool,
}

impl Streak {
    /// Counts a death and says what becomes of the game.
    pub(in crate::supervisor) fn judge(&mut self, crash: &Crash) -> Verdict {
        let has_settled = crash.safe_frame.is_some_and(|safe| safe > self.frame);
        if crash.is_from_outside {
            self.kills = if has_settled { 1 } else { self.kills + 1 };
            return if self.kills < KILLS {
                Verdict::Again
            } else {
                Verdict::GiveUp
            };
        }
        if has_settled {
            *self = Self::default();
        } else {
            self.starts += 1;
            let began_with = self.oldest.into_iter().chain(crash.began_with);
            self.oldest = began_with.min();
        }
        let reached = crash.safe_frame.unwrap_or(0).max(crash.frame);
        self.frame = self.frame.max(reached);
        let blamed = crash.blame.map(|blame| blame.hash);
        let is_same = blamed.is_some() && blamed == self.blamed;
        self.blamed = blamed;
        let has_before = crash.blame.is_some_and(|blame| blame.has_before);
        let is_young = crash.blame.is_some_and(|blame| blame.is_young);
        if is_young && has_before {
            self.starts = 0;
            return Verdict::VersionBefore;
        }
        if self.starts < STARTS {
            return Verdict::Again;
        }
        if is_same && has_before && !self.tried_version {
            self.tried_version = true;
            self.starts = 0;
            return Verdict::VersionBefore;
        }
        let older = |oldest: &u64| crash.checkpoints.iter().any(|number| number < oldest);
        match self.oldest.filter(older) {
            Some(oldest) if !self.tried_checkpoint => {
                self.tried_checkpoint = true;
                Verdict::CheckpointBefore(oldest)
            }
            _ => Verdict::GiveUp,
        }
    }

    /// Code with this content comes in: unless it is that which crashed, nothing is known of
    /// it, and counting begins anew.
    pub(in crate::supervisor) fn renew(&mut self, hash: u64) {
        if self.blamed != Some(hash) {
            *self = Self::default();
        }
    }

    /// Hosts that died at their start, one after the other.
    pub(in crate::supervisor) fn starts(&self) -> u32 {
        self.starts.max(self.kills)
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Again, CheckpointBefore, GiveUp, VersionBefore};
    use super::*;

    /// A version that runs for long, and nothing was before it.
    const OLD: Option<Blame> = Some(blame(1, false, false));

    const fn blame(hash: u64, is_young: bool, has_before: bool) -> Blame {
        Blame {
            hash,
            is_young,
            has_before,
        }
    }

    /// Dies in a frame; the checkpoints it made itself have the frames up to `safe_frame`.
    fn crash(blame: Option<Blame>, frame: u64, safe_frame: Option<u64>) -> Crash {
        Crash {
            blame,
            is_from_outside: false,
            frame,
            safe_frame,
            began_with: Some(7),
            checkpoints: vec![5, 6, 7],
        }
    }

    /// Judges deaths that follow each other.
    fn check(what: &str, deaths: &[(Crash, Verdict)]) {
        let mut streak = Streak::default();
        for (index, (crash, expected)) in deaths.iter().enumerate() {
            assert_eq!(streak.judge(crash), *expected, "{what}: death {index}");
        }
    }

    #[test]
    fn hosts_that_get_on_are_restarted_for_ever() {
        let mut deaths = Vec::new();
        for round in 1..20 {
            let frame = round * 100;
            deaths.push((crash(OLD, frame, Some(frame - 10)), Again));
        }
        check("own checkpoints", &deaths);
    }

    #[test]
    fn what_happens_again_and_again_is_tried_differently_and_then_not_at_all() {
        let first = crash(OLD, 1000, Some(900));
        // It makes a checkpoint of its own, and dies where the one before it did.
        let start = crash(OLD, 1000, Some(900));
        check(
            "nothing before the version",
            &[
                (first.clone(), Again),
                (start.clone(), Again),
                (start.clone(), CheckpointBefore(7)),
                (start.clone(), GiveUp),
                (start.clone(), GiveUp),
            ],
        );
        let replaced = |hash| crash(Some(blame(hash, false, true)), 1000, None);
        check(
            "a version before it",
            &[
                (first.clone(), Again),
                (replaced(2), Again),
                (replaced(2), VersionBefore),
                (replaced(1), Again),
                (replaced(1), CheckpointBefore(7)),
                (replaced(1), GiveUp),
            ],
        );
        let only = Crash {
            checkpoints: vec![7],
            ..start.clone()
        };
        check(
            "nothing before anything",
            &[
                (first.clone(), Again),
                (only.clone(), Again),
                (only, GiveUp),
            ],
        );
        let none = Crash {
            began_with: None,
            checkpoints: Vec::new(),
            ..crash(OLD, 3, None)
        };
        check(
            "the first host of all",
            &[(none.clone(), Again), (none, GiveUp)],
        );
    }

    #[test]
    fn nobody_is_to_blame_for_what_comes_from_outside() {
        let killed = |safe_frame| Crash {
            is_from_outside: true,
            ..crash(None, 1000, safe_frame)
        };
        let mut deaths = vec![(killed(None), Again); 9];
        deaths.push((killed(None), GiveUp));
        deaths.push((killed(Some(1100)), Again));
        check("at the start", &deaths);
        check(
            "between crashes",
            &[
                (crash(OLD, 1000, Some(900)), Again),
                (killed(None), Again),
                (crash(OLD, 1000, None), Again),
                (killed(None), Again),
                (crash(OLD, 1000, None), CheckpointBefore(7)),
            ],
        );
        check(
            "different versions",
            &[
                (crash(Some(blame(2, false, true)), 10, None), Again),
                (
                    crash(Some(blame(3, false, true)), 10, None),
                    CheckpointBefore(7),
                ),
            ],
        );
    }

    #[test]
    fn a_young_version_gives_way_at_once() {
        check(
            "young",
            &[
                (
                    crash(Some(blame(2, true, true)), 1000, Some(900)),
                    VersionBefore,
                ),
                // The one before has its two starts.
                (crash(OLD, 1001, None), Again),
                (crash(OLD, 1001, None), CheckpointBefore(7)),
            ],
        );
        check(
            "young, and nothing before",
            &[(crash(Some(blame(2, true, false)), 10, Some(9)), Again)],
        );
    }

    #[test]
    fn the_checkpoint_before_is_that_before_the_first_start() {
        let later = Crash {
            began_with: Some(9),
            checkpoints: vec![5, 6, 7, 8, 9],
            ..crash(OLD, 1000, Some(950))
        };
        check(
            "the starts made checkpoints",
            &[
                (crash(OLD, 1000, Some(900)), Again),
                (crash(OLD, 1000, Some(950)), Again),
                (later, CheckpointBefore(7)),
            ],
        );
    }

    #[test]
    fn other_code_is_not_judged_by_what_was_before_it() {
        let start = crash(OLD, 1000, None);
        let mut streak = Streak::default();
        for expected in [Again, CheckpointBefore(7), GiveUp] {
            assert_eq!(streak.judge(&start), expected);
        }
        streak.renew(1);
        assert_eq!(streak.judge(&start), GiveUp);
        streak.renew(2);
        assert_eq!(streak.judge(&start), Again);
    }
}
