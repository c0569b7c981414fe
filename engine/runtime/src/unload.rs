//! What has to be known of an old version before it is unloaded, and when it is looked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use serde::{Deserialize, Serialize};

use crate::backend::Proof;
use crate::registry::VersionKey;
use crate::telemetry::Board;

/// What has to be known of an old version before it is unloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum UnloadPolicy {
    /// A look through all memory has found that nothing can reach it. Words that only look like
    /// references keep a version, too.
    #[default]
    Proven,
    /// Nothing that the engine knows refers to it, and a look at stacks, registers, statics and
    /// what the C library keeps has found nothing either. Blind for what game code hides on the
    /// heap from the engine.
    Checked,
    /// Nothing that the engine knows refers to it. Needs no look, and is blind for what game code
    /// does behind the engine's back.
    Known,
    /// Nothing is enough: all versions stay.
    Never,
}

impl UnloadPolicy {
    /// Whether memory is looked through.
    pub fn looks(self) -> bool {
        matches!(self, Self::Proven | Self::Checked)
    }
}

/// The first look at a version, and the first one after a look that found something, come so
/// soon.
const SOON: Duration = Duration::from_millis(50);
/// Looks that find something all the time get rarer up to this.
const OFTEN: Duration = Duration::from_secs(4);
/// And up to this while they find the same each time.
const RARELY: Duration = Duration::from_secs(30);

/// What was found of a version: module, version, and the answer.
pub(crate) type Finding = (String, VersionKey, Proof);

/// Versions that wait for a proof. Lives on the loader thread.
pub(crate) struct Unloads {
    pub(crate) policy: UnloadPolicy,
    /// Module and version.
    pub(crate) waiting: Vec<(String, VersionKey)>,
    free: Vec<(String, VersionKey)>,
    /// What was found goes to the frame thread, who knows what lies where in the world.
    pub(crate) findings: Sender<Finding>,
    pub(crate) board: Arc<Board>,
    /// Time from one frame to the next.
    pub(crate) period: Duration,
    /// What was found last, by the version's process-wide id.
    last: HashMap<u32, Proof>,
    /// Whether this look has found something else than the one before.
    has_news: bool,
    next: Instant,
    pub(crate) interval: Duration,
}

impl Unloads {
    pub(crate) fn new(
        policy: UnloadPolicy,
        findings: Sender<Finding>,
        board: Arc<Board>,
        period: Duration,
    ) -> Self {
        Self {
            policy,
            waiting: Vec::new(),
            free: Vec::new(),
            findings,
            board,
            period,
            last: HashMap::new(),
            has_news: false,
            next: Instant::now(),
            interval: SOON,
        }
    }

    /// Takes over what the configuration says. Whoever sent versions sends them again if another
    /// policy decides.
    pub(crate) fn set(&mut self, policy: UnloadPolicy, period: Duration) {
        self.period = period;
        if policy != self.policy {
            self.policy = policy;
            self.waiting.clear();
        }
    }

    /// Looks for one more version, soon.
    pub(crate) fn add(&mut self, module: String, key: VersionKey) {
        self.waiting.push((module, key));
        self.hurry();
    }

    /// Something may have changed: the next look is soon.
    pub(crate) fn hurry(&mut self) {
        self.interval = SOON;
        self.next = Instant::now() + SOON;
    }

    pub(crate) fn is_due(&self) -> bool {
        !self.waiting.is_empty() && Instant::now() >= self.next
    }

    /// Whether versions are looked for in memory before they are unloaded.
    pub(crate) fn looks(&self) -> bool {
        self.policy.looks()
    }

    /// Takes note of what was found of a version.
    pub(crate) fn found(&mut self, module: String, key: VersionKey, proof: Proof) {
        if proof == Proof::Free {
            self.last.remove(&key.id);
            self.free.push((module, key));
            return;
        }
        let before = self.last.insert(key.id, proof.clone());
        self.has_news |= before.as_ref() != Some(&proof);
        // The frame thread is gone only when the host ends.
        let _ = self.findings.send((module.clone(), key, proof));
        self.waiting.push((module, key));
    }

    /// Versions that nothing refers to.
    pub(crate) fn take_free(&mut self) -> Vec<(String, VersionKey)> {
        std::mem::take(&mut self.free)
    }

    /// After a look: the next one comes later each time, above all if there was nothing new.
    pub(crate) fn looked(&mut self) {
        self.next = Instant::now() + self.interval;
        let most = if std::mem::take(&mut self.has_news) {
            OFTEN
        } else {
            RARELY
        };
        self.interval = (self.interval * 2).min(most);
    }

    /// How long the game may stand still: what a frame leaves until the next one begins.
    pub(crate) fn pause(&self) -> Duration {
        let frame = Duration::from_micros(self.board.frames.status().p50_us);
        self.period.saturating_sub(frame)
    }
}
