//! Versions that are ready, until their moment between two frames has come.
//!
//! They are taken as soon as they are there, in the time that the last frame has left of its
//! period. Native code waits until the checkpoint that was made for it is on the disk, since it
//! may end the process; code that is interpreted cannot, so it only has the checkpoint made.
//! What is known to take longer than what is left of the period waits for the end of the next
//! frame, once.

use std::time::{Duration, Instant};

use crossbeam_channel::{never, select};

use super::Host;
use crate::checkpoint::Reason;
use crate::link::ToHost;
use crate::loader::ReadyVersion;
use crate::wipe;

/// How long a version waits for the checkpoint of what it replaces to be on the disk.
const LONGEST_WRITE: Duration = Duration::from_millis(250);

/// How late a frame may come for a version that arrives shortly before it.
const LATE: Duration = Duration::from_millis(1);

/// Versions on their way in.
#[derive(Default)]
pub(super) struct Arrivals {
    /// They wait for their checkpoint to be on the disk.
    kept: Vec<ReadyVersion>,
    /// They wait for the end of a frame, with the number of the frame before that.
    put_off: Option<(Vec<ReadyVersion>, u64)>,
}

impl Arrivals {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.put_off.is_none()
    }
}

/// What ended a wait.
enum Woken {
    Message(ToHost),
    Ready(Vec<ReadyVersion>),
    /// The checkpoint before a version is on the disk.
    Written(u32),
    Due,
    /// The supervisor is gone.
    Alone,
}

impl Host {
    /// Waits for the next frame. What arrives meanwhile is taken at once, so that a click, a
    /// call or a version does not wait for the frame to come.
    pub(super) fn wait_until(&mut self, deadline: Instant) {
        self.take_versions(deadline);
        // Here the thread is most of the time: what a look for references to old code sees of
        // its stack should not be what others left there.
        wipe::stack();
        // A channel that has messages hands them out even after the deadline.
        while !self.ended && Instant::now() < deadline {
            self.board.turns.end();
            let woken = self.sleep_until(deadline);
            if matches!(woken, Woken::Due) {
                return;
            }
            self.board.turns.begin();
            match woken {
                Woken::Message(message) => self.handle(message),
                Woken::Ready(ready) => {
                    self.take_version(ready, deadline);
                    self.take_versions(deadline);
                }
                Woken::Written(version) => {
                    if self.awaits(version) {
                        self.swap_kept();
                    }
                    self.take_versions(deadline);
                }
                Woken::Alone => self.ended = true,
                Woken::Due => {}
            }
            wipe::stack();
        }
    }

    fn sleep_until(&self, deadline: Instant) -> Woken {
        let (no_version, no_write) = (never(), never());
        let ready = if self.arrivals.is_empty() {
            &self.ready_versions
        } else {
            &no_version
        };
        let checkpoints = self.checkpoints.as_ref();
        let written = checkpoints
            .filter(|_| !self.arrivals.kept.is_empty())
            .map_or(&no_write, |checkpoints| &checkpoints.written);
        let left = deadline.saturating_duration_since(Instant::now());
        select! {
            recv(self.inbox) -> message => message.map_or(Woken::Alone, Woken::Message),
            recv(ready) -> ready => match ready {
                Ok(ready) => Woken::Ready(ready),
                // The loader has ended, as it does when the game ends.
                Err(_) => match self.inbox.recv_deadline(deadline) {
                    Ok(message) => Woken::Message(message),
                    Err(error) if error.is_timeout() => Woken::Due,
                    Err(_) => Woken::Alone,
                },
            },
            // Without its thread nothing more is written: they do not wait longer than others.
            recv(written) -> version => version.map_or(Woken::Due, Woken::Written),
            default(left) => Woken::Due,
        }
    }

    /// Takes the versions that are ready and whose time has come; the next frame is due then.
    pub(super) fn take_versions(&mut self, due: Instant) {
        if self.may_swap() {
            self.swap_kept();
        }
        while self.arrivals.kept.is_empty() {
            if let Some((ready, frame)) = self.arrivals.put_off.take() {
                if self.frame == frame && !self.fits(&ready, due) {
                    self.arrivals.put_off = Some((ready, frame));
                    return;
                }
                self.arrive(ready);
            } else if let Ok(ready) = self.ready_versions.try_recv() {
                self.take_version(ready, due);
            } else {
                return;
            }
        }
    }

    fn take_version(&mut self, ready: Vec<ReadyVersion>, due: Instant) {
        if self.fits(&ready, due) {
            self.arrive(ready);
        } else {
            self.arrivals.put_off = Some((ready, self.frame));
        }
    }

    /// Whether versions can be put in before a frame is due, as far as that is known.
    fn fits(&self, ready: &[ReadyVersion], due: Instant) -> bool {
        let runs = self.frame > 0 && self.waiting.is_empty();
        let entrances = ready.iter().filter_map(|of| of.prepared.entrance.as_ref());
        let cost = entrances.map(|(entrance, _)| entrance.expected_cost());
        let cost = cost.max().unwrap_or_default();
        !runs || Instant::now() + cost <= due + LATE
    }

    /// Keeps what the running versions leave, and puts versions in, or has them wait for that to
    /// be on the disk.
    fn arrive(&mut self, ready: Vec<ReadyVersion>) {
        let keys = ready.iter().map(|ready| ready.prepared.key.id).collect();
        let is_kept = self.checkpoint(Reason::Swap, keys);
        if is_kept && ready.iter().any(ReadyVersion::can_end_process) {
            self.arrivals.kept = ready;
        } else {
            self.swap(ready);
        }
    }

    /// Puts in what waited for its checkpoint.
    fn swap_kept(&mut self) {
        let ready = std::mem::take(&mut self.arrivals.kept);
        if !ready.is_empty() {
            self.swap(ready);
        }
    }

    /// Whether a version waits for its checkpoint.
    fn awaits(&self, version: u32) -> bool {
        let first = self.arrivals.kept.first();
        first.is_some_and(|ready| ready.prepared.key.id == version)
    }

    /// Whether the versions that wait for their checkpoint may get in: it is on the disk, so that
    /// nothing is lost should one crash at once. A slow disk does not keep them out for long.
    fn may_swap(&self) -> bool {
        let Some(checkpoints) = &self.checkpoints else {
            return true;
        };
        let mut written = checkpoints.written.try_iter();
        written.any(|version| self.awaits(version)) || checkpoints.last.elapsed() >= LONGEST_WRITE
    }
}
