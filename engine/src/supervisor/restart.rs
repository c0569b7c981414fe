//! What follows the death of a host: whether another one is started, with which versions,
//! from which checkpoint, and how long that takes.
//!
//! [`streak`] decides, and knows nothing but numbers. This file gathers those numbers when a
//! host has died, does what was decided, and follows the new host to its first frame.

mod streak;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine_runtime::checkpoint::Store;
use engine_runtime::host::ResumeFrom;
use engine_runtime::link::{Resumed, ToHost};
use inspector_protocol::status::{RestartStatus, RestartTimings, ResumedStatus};

pub(super) use streak::Blame;
use streak::{Crash, Streak, Verdict};

use super::death::Culprit;
use super::host_process::HostEnd;
use super::hub::ClientId;
use super::reloads::Pending;
use super::status::rounded;
use super::{GRACE, Supervisor};
use crate::config::OnCrash;
use crate::host::checkpoints_of;

/// Game time after which a host has settled where no checkpoints are made at intervals.
const SETTLED: Duration = Duration::from_secs(10);

/// What is known of hosts that died and of the one that follows.
#[derive(Default)]
pub(super) struct Restarts {
    streak: Streak,
    /// The host that is on its way to its first frame.
    revival: Option<Revival>,
    /// How the host that runs came to be.
    pub(super) status: Option<RestartStatus>,
    /// Number of the checkpoint that the host began with.
    began_with: Option<u64>,
    /// Frames of the game before those of this host.
    frames_before: u64,
    /// Whether the game of this run has had a frame.
    has_begun: bool,
    /// Nothing was left to try: the next build starts a host.
    pub(super) waits_for_build: bool,
}

/// A host that takes the place of another one, from that one's end to its first frame.
struct Revival {
    reason: String,
    died_at: Instant,
    /// On the wall clock, in milliseconds since 1970.
    died_at_ms: u64,
    noticed_at: Instant,
    ready_at: Option<Instant>,
    loaded_at: Option<Instant>,
}

/// What happens after a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// A person starts the next host.
    Wait,
    /// A person does, or the next build.
    GiveUp {
        /// Hosts that died at their start.
        starts: u32,
        /// Whether builds come from here.
        builds: bool,
    },
    /// The build that has come starts the next host.
    Build,
    /// A new host goes on.
    Restart {
        /// Only from a checkpoint before this number.
        before: Option<u64>,
        /// The content that is not loaded again.
        quarantine: Option<u64>,
    },
}

impl Plan {
    /// A new host goes on from the last checkpoint, on what was built last.
    pub(super) const LAST: Self = Self::Restart {
        before: None,
        quarantine: None,
    };

    /// For the log: the end of `The host died: signal SIGSEGV; ...`. Without a checkpoint the
    /// game begins again.
    pub(super) fn announcement(self, culprit: Option<&Culprit>, has_checkpoint: bool) -> String {
        match self {
            Self::Wait => "R in the inspector starts it again".to_owned(),
            Self::Build => "a new host begins with the new build".to_owned(),
            Self::GiveUp { starts, builds } => {
                let save = if builds { "save a fix, or " } else { "" };
                format!(
                    "it died {starts} times in a row at its start and waits now: {save}R in the \
                     inspector starts it again"
                )
            }
            Self::Restart {
                quarantine: Some(_),
                before,
            } => {
                let version = culprit.map_or(0, |culprit| culprit.version);
                let how = match before {
                    Some(_) => "goes on from the checkpoint from before it got in",
                    None if has_checkpoint => "goes on from the last checkpoint",
                    None => "begins",
                };
                format!("v{version} is quarantined, the version before it {how}")
            }
            Self::Restart {
                before: Some(_), ..
            } => "a new host goes on from the checkpoint before the last".to_owned(),
            Self::Restart { .. } if has_checkpoint => {
                "a new host goes on from the last checkpoint".to_owned()
            }
            Self::Restart { .. } => "a new host begins".to_owned(),
        }
    }

    /// For the problem: what a person can do.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::GiveUp { builds: true, .. } => {
                "fix it and save, and a new host starts with that; R in the inspector starts one now"
            }
            Self::Wait | Self::GiveUp { .. } => {
                "fix it and save, then R in the inspector starts a new host"
            }
            Self::Restart {
                quarantine: Some(_),
                ..
            } => "the version before runs; this code is not loaded again until it changes",
            Self::Build | Self::Restart { .. } => "a new host goes on; fix it and save",
        }
    }
}

impl Supervisor {
    /// Decides what follows the death of a host. Asks for the state as it was when it died.
    pub(super) fn plan(&mut self, end: &HostEnd, culprit: Option<&Culprit>) -> Plan {
        // Whoever has stalled games restarted wants that.
        if self.config.policies.on_crash == OnCrash::Wait && end.stall.is_none() {
            return Plan::Wait;
        }
        let young = self.config.policies.rollback_within();
        let blame = culprit
            .filter(|culprit| culprit.is_certain)
            .and_then(|culprit| self.reloads.blame(culprit, self.runs, end.died_at, young));
        // Without last words, what was seen last: up to a tenth of a second before.
        let seen = self.restarts.frames_before + self.snapshot.frame;
        let crash = Crash {
            blame,
            is_from_outside: !end.is_fault(),
            frame: end.last_words.as_ref().map_or(seen, |words| words.frame),
            safe_frame: self.safe_frame(),
            began_with: self.restarts.began_with,
            checkpoints: sequences(&self.resume_from(None).folder),
        };
        let restart = |before, quarantine| Plan::Restart { before, quarantine };
        match self.restarts.streak.judge(&crash) {
            Verdict::Again => restart(None, None),
            Verdict::VersionBefore => restart(None, blame.map(|blame| blame.hash)),
            Verdict::CheckpointBefore(number) => restart(Some(number), None),
            Verdict::GiveUp => Plan::GiveUp {
                starts: self.restarts.streak.starts(),
                builds: self.builder.is_some(),
            },
        }
    }

    /// The frame up to which the host that died had got the game for good.
    fn safe_frame(&self) -> Option<u64> {
        if self.config.policies.checkpoint_every_ms() > 0 {
            let checkpoint = self.snapshot.world.checkpoint.as_ref();
            return checkpoint.map(|checkpoint| checkpoint.frame);
        }
        let settled = SETTLED.as_secs() * u64::from(self.config.frame_rate);
        let frame = self.restarts.frames_before + self.snapshot.frame;
        (self.snapshot.frame > settled).then(|| frame - settled)
    }

    /// The checkpoint to go on with: of this run, or, while it has made none, of the one that
    /// it resumed.
    pub(super) fn resume_from(&self, before: Option<u64>) -> ResumeFrom {
        let own = checkpoints_of(&self.state);
        let folder = match &self.resumed_run {
            Some(run) if sequences(&own).is_empty() => checkpoints_of(run),
            _ => own,
        };
        ResumeFrom { folder, before }
    }

    /// Whether there is anything that a new host could go on with.
    pub(super) fn has_checkpoint(&self) -> bool {
        !sequences(&self.resume_from(None).folder).is_empty()
    }

    /// What a new host goes on with; `None` if the game has still to begin.
    pub(super) fn go_on_from(&self, before: Option<u64>) -> Option<ResumeFrom> {
        let is_known = self.restarts.has_begun || self.resumed_run.is_some();
        (is_known || self.has_checkpoint()).then(|| self.resume_from(before))
    }

    /// The newest checkpoint that was made while a module ran other code than that with this hash.
    /// Reads files; somebody waits for that.
    pub(super) fn checkpoint_before(&self, module: &str, hash: u64) -> Option<u64> {
        let store = Store::open(self.resume_from(None).folder, usize::MAX).ok()?;
        let mut numbers = store.sequences().ok()?.into_iter().rev();
        numbers.find(|number| {
            let checkpoint = store.load(*number);
            checkpoint.is_ok_and(|checkpoint| {
                let mut modules = checkpoint.meta.modules.iter();
                modules.any(|ran| ran.name == module && ran.hash != hash)
            })
        })
    }

    /// What a new host has to be told before it is started: with what it begins.
    pub(super) fn set_beginning(&mut self, resume: Option<&ResumeFrom>) {
        let restarts = &mut self.restarts;
        restarts.status = None;
        restarts.frames_before = 0;
        restarts.waits_for_build = false;
        restarts.began_with = resume.and_then(|from| {
            let limit = from.before.unwrap_or(u64::MAX);
            let mut numbers = sequences(&from.folder).into_iter().rev();
            numbers.find(|number| *number < limit)
        });
    }

    /// Follows the host that is started next to its first frame.
    pub(super) fn follow(&mut self, reason: String, died_at: Instant) {
        let now = SystemTime::now() - died_at.elapsed();
        let since_epoch = now.duration_since(UNIX_EPOCH);
        self.restarts.revival = Some(Revival {
            reason,
            died_at,
            died_at_ms: since_epoch.map_or(0, |since| since.as_millis() as u64),
            noticed_at: Instant::now(),
            ready_at: None,
            loaded_at: None,
        });
    }

    /// The new process runs.
    pub(super) fn host_is_ready(&mut self) {
        if let Some(revival) = &mut self.restarts.revival {
            revival.ready_at = Some(Instant::now());
        }
    }

    /// A load was answered: perhaps the last one that frames wait for.
    pub(super) fn host_has_loaded(&mut self) {
        let is_complete = self.missing_modules().is_empty();
        if let Some(revival) = self.restarts.revival.as_mut().filter(|_| is_complete) {
            revival.loaded_at.get_or_insert_with(Instant::now);
        }
    }

    /// The first frame has run.
    pub(super) fn host_began(&mut self, resumed: Option<Resumed>) {
        self.restarts.frames_before = resumed.map_or(0, |resumed| resumed.frame);
        let has_begun = std::mem::replace(&mut self.restarts.has_begun, true);
        let Some(revival) = self.restarts.revival.take() else {
            return;
        };
        let uptime = self
            .started
            .elapsed()
            .saturating_sub(revival.died_at.elapsed());
        let is_first = !has_begun && resumed.is_none();
        let status = revival.status(resumed, is_first, uptime);
        let RestartTimings {
            notice,
            start,
            load,
            resume,
            total,
        } = status.timings_ms;
        let how = match status.checkpoint {
            Some(checkpoint) => format!(
                "goes on from a checkpoint that was {:.1} s old",
                checkpoint.age_ms as f64 / 1000.0
            ),
            None if is_first => "begins".to_owned(),
            None => "goes on from its beginning".to_owned(),
        };
        self.restarts.status = Some(status);
        self.info(format!(
            "The game {how}, after {total:.0} ms (notice {notice:.0}, start {start:.0}, \
             load {load:.0}, resume {resume:.0})"
        ));
    }

    /// A client asks for a new host: it goes on where the one before was, on what was built
    /// last. If there is a new engine, that takes over.
    pub(super) fn restart_host(&mut self, client: ClientId, id: u64) {
        if self.running.is_replaced() {
            let reason = "somebody asked for the new engine";
            return self.take_over(reason, Some((client, id)));
        }
        if self.restart_stalled() {
            self.restarting.push((client, id));
            return self.answer_restart();
        }
        if let Some(host) = self.host.take() {
            host.send(ToHost::Shutdown);
            host.ends_within(GRACE);
            self.forget_host("the host was restarted", None);
        }
        self.info("Restarting the host".to_owned());
        self.follow("somebody asked for a new host".to_owned(), Instant::now());
        let loads = self.reloads.latest("startup", &[]);
        self.start_host(self.go_on_from(None), loads);
        // Answered when it runs, or does not.
        self.restarting.push((client, id));
        self.answer_restart();
        self.broadcast_status();
    }

    /// Builds have come that nothing runs for: a host is started that will load them.
    pub(super) fn start_for_build(&mut self, group: &[Pending]) {
        let Some(first) = group.first() else { return };
        self.restarts.streak.renew(first.hash());
        self.info(format!(
            "Starting a host with the new build of {}",
            first.module()
        ));
        self.follow("a build came while no game ran".to_owned(), Instant::now());
        let loads = self.reloads.latest("startup", group);
        self.start_host(self.go_on_from(None), loads);
    }

    /// Other code than before runs.
    pub(super) fn renew_streak(&mut self, hash: u64) {
        self.restarts.streak.renew(hash);
    }
}

impl Restarts {
    /// Whether the game of this run has had a frame.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }
}

impl Revival {
    fn status(self, resumed: Option<Resumed>, is_first: bool, at: Duration) -> RestartStatus {
        let now = Instant::now();
        let ready_at = self.ready_at.unwrap_or(self.noticed_at);
        let loaded_at = self.loaded_at.unwrap_or(ready_at);
        let ms = |from: Instant, to: Instant| {
            rounded(to.saturating_duration_since(from).as_secs_f64() * 1000.0)
        };
        RestartStatus {
            reason: self.reason,
            is_first,
            at_ms: at.as_millis() as u64,
            checkpoint: resumed.map(|resumed| ResumedStatus {
                frame: resumed.frame,
                age_ms: self.died_at_ms.saturating_sub(resumed.saved_at_ms),
            }),
            timings_ms: RestartTimings {
                notice: ms(self.died_at, self.noticed_at),
                start: ms(self.noticed_at, ready_at),
                load: ms(ready_at, loaded_at),
                resume: ms(loaded_at, now),
                total: ms(self.died_at, now),
            },
        }
    }
}

/// Numbers of the checkpoints in a folder, oldest first; none if it cannot be read.
fn sequences(folder: &Path) -> Vec<u64> {
    let store = Store::open(folder, usize::MAX);
    let numbers = store.and_then(|store| store.sequences());
    numbers.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_has_the_times_of_its_steps() {
        let died_at = Instant::now();
        let after = |ms| died_at + Duration::from_millis(ms);
        let revival = Revival {
            reason: "the host died of SIGSEGV".to_owned(),
            died_at,
            died_at_ms: 10_000,
            noticed_at: after(5),
            ready_at: Some(after(45)),
            loaded_at: Some(after(145)),
        };
        let resumed = Some(Resumed {
            frame: 600,
            saved_at_ms: 8_800,
        });
        let status = revival.status(resumed, false, Duration::from_secs(3));
        let timings = status.timings_ms;
        assert_eq!(
            (timings.notice, timings.start, timings.load),
            (5.0, 40.0, 100.0)
        );
        assert_eq!(status.at_ms, 3000);
        let checkpoint = status.checkpoint.unwrap();
        assert_eq!((checkpoint.frame, checkpoint.age_ms), (600, 1200));
    }
}
