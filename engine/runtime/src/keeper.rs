//! The checkpoint thread: writes what the frame thread captured, reads what is to be
//! restored. The frame loop waits for neither.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use inspector_protocol::status::CheckpointStatus;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Capture, Checkpoint, Reason, Store};
use crate::host::Outbox;
use crate::telemetry::Board;

/// What the thread is asked to do.
pub(crate) enum KeeperRequest {
    /// Write a capture.
    Write {
        /// What was captured.
        capture: Box<Capture>,
        /// Time that took on the frame thread.
        took: Duration,
        /// Why it was made.
        reason: Reason,
        /// The versions that were about to be swapped in, by their process-wide ids.
        before: Vec<u32>,
    },
    /// Keep so many from now on.
    Keep(usize),
    /// Read the checkpoint that was made before a version was swapped in.
    Read {
        /// The version's process-wide id.
        before: u32,
    },
    /// Stop the thread once everything before is written.
    Stop,
}

/// A checkpoint that was read.
pub(crate) struct ReadBack {
    /// The version of the request; `None` for the one that the game resumes from.
    pub(crate) before: Option<u32>,
    /// The checkpoint, or why there is none.
    pub(crate) result: Result<Box<Checkpoint>, String>,
}

/// How checkpoints are kept.
#[derive(Debug, Clone)]
pub struct CheckpointConfig {
    /// Folder for those of this run.
    pub folder: PathBuf,
    /// How many are kept.
    pub kept: usize,
    /// Time between two; zero for none but at swaps and at the end.
    pub every: Duration,
    /// What to go on with.
    pub resume: Option<ResumeFrom>,
}

/// The checkpoint that a game goes on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeFrom {
    /// Folder of the checkpoints of a run. The newest that can be used is taken.
    pub folder: PathBuf,
    /// Of those before this number; `None` for all.
    pub before: Option<u64>,
}

/// How many versions' checkpoints stay beside the last ones, for rolling back to them.
const SWAPS_KEPT: usize = 8;

/// The thread's body.
pub(crate) struct Keeper {
    pub(crate) config: CheckpointConfig,
    pub(crate) requests: Receiver<KeeperRequest>,
    pub(crate) read: Sender<ReadBack>,
    /// Versions before which a checkpoint has been written, or could not be.
    pub(crate) written: Sender<u32>,
    pub(crate) board: Arc<Board>,
    pub(crate) outbox: Outbox,
}

impl Keeper {
    pub(crate) fn run(self) {
        if let Some(from) = &self.config.resume {
            let result = self.latest(from);
            let before = None;
            let _ = self.read.send(ReadBack { before, result });
        }
        let mut store = match Store::open(&self.config.folder, self.config.kept) {
            Ok(store) => store,
            Err(error) => {
                return self.outbox.error(format!(
                    "there will be no checkpoints, {}: {error}",
                    self.config.folder.display()
                ));
            }
        };
        // Checkpoints before swaps, oldest first.
        let mut swaps: Vec<(u32, u64)> = Vec::new();
        while let Ok(request) = self.requests.recv() {
            match request {
                KeeperRequest::Write {
                    capture,
                    took,
                    reason,
                    before,
                } => {
                    let checkpoint = capture.into_checkpoint();
                    let frame = checkpoint.meta.frame;
                    let needed: HashMap<u64, u32> =
                        swaps.iter().map(|(version, at)| (*at, *version)).collect();
                    match store.write(&checkpoint, &|sequence| needed.contains_key(&sequence)) {
                        Ok(written) => {
                            let swapped = before.iter();
                            swaps.extend(swapped.map(|version| (*version, written.sequence)));
                            let excess = swaps.len().saturating_sub(SWAPS_KEPT);
                            swaps.drain(..excess);
                            let kept = store.sequences().map_or(0, |all| all.len() as u64);
                            self.show(CheckpointStatus {
                                sequence: written.sequence,
                                frame,
                                reason: reason.name().to_owned(),
                                bytes: written.bytes,
                                capture_ms: milliseconds(took),
                                write_ms: milliseconds(written.took),
                                kept,
                            });
                        }
                        Err(error) => self
                            .outbox
                            .error(format!("a checkpoint could not be written: {error}")),
                    }
                    for version in before {
                        let _ = self.written.send(version);
                    }
                }
                KeeperRequest::Keep(count) => store.keep(count),
                KeeperRequest::Read { before } => {
                    let found = swaps.iter().find(|(version, _)| *version == before);
                    let result = match found {
                        Some((_, sequence)) => store
                            .load(*sequence)
                            .map(Box::new)
                            .map_err(|error| error.to_string()),
                        None => Err("no checkpoint of that moment is kept".to_owned()),
                    };
                    let before = Some(before);
                    let _ = self.read.send(ReadBack { before, result });
                }
                KeeperRequest::Stop => return,
            }
        }
    }

    /// The newest good checkpoint of a run.
    fn latest(&self, from: &ResumeFrom) -> Result<Box<Checkpoint>, String> {
        let shown = from.folder.display().to_string();
        let latest = Store::open(&from.folder, usize::MAX)
            .and_then(|store| store.latest_before(from.before.unwrap_or(u64::MAX)))
            .map_err(|error| format!("{shown}: {error}"))?;
        for damaged in &latest.damaged {
            self.outbox.warn(format!(
                "checkpoint {} cannot be used, the one before is: {}",
                damaged.path.display(),
                damaged.reason
            ));
        }
        match latest.checkpoint {
            Some((_, checkpoint)) => Ok(Box::new(checkpoint)),
            None => Err(format!("{shown} has no checkpoint that can be used")),
        }
    }

    fn show(&self, status: CheckpointStatus) {
        let mut shown = self
            .board
            .checkpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *shown = Some(status);
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
