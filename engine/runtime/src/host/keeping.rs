//! What outlives the running world: checkpoints, resuming, rolling back with state, scenes,
//! limbo.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use engine_api::time::Time;
use engine_api::value::Value;
use inspector_protocol::message::WorldAct;
use inspector_protocol::status::{Problem, Severity};

use super::requests::to_json;
use super::{Host, LAST_FRAME};
use crate::checkpoint::{self, Capture, Checkpoint, Lost, Meta, ModuleMeta, Reason, RestoreReport};
use crate::keeper::{CheckpointConfig, Keeper, KeeperRequest, ReadBack};
use crate::link::{FromHost, Reloaded, Resumed};
use crate::outbox::Outbox;
use crate::telemetry::Board;
use crate::{panic, scene};

/// The frame thread's side of the checkpoint thread.
pub(super) struct Checkpoints {
    pub(super) requests: Sender<KeeperRequest>,
    pub(super) read: Receiver<ReadBack>,
    /// Versions before which a checkpoint is on the disk.
    pub(super) written: Receiver<u32>,
    pub(super) every: Duration,
    pub(super) last: Instant,
    pub(super) resume: Resume,
    /// What this game went on with.
    pub(super) resumed: Option<Resumed>,
}

impl Checkpoints {
    /// Both sides: the frame thread's, and that of the thread to be started.
    pub(super) fn new(
        config: CheckpointConfig,
        board: &Arc<Board>,
        outbox: &Outbox,
    ) -> (Self, Keeper) {
        let (requests, to_keeper) = bounded(CAPTURES);
        let (read, from_keeper) = unbounded();
        let (to_frames, written) = unbounded();
        let checkpoints = Self {
            requests,
            read: from_keeper,
            written,
            every: config.every,
            last: Instant::now(),
            resume: match config.resume {
                Some(_) => Resume::Reading,
                None => Resume::No,
            },
            resumed: None,
        };
        let keeper = Keeper {
            config,
            requests: to_keeper,
            read,
            written: to_frames,
            board: board.clone(),
            outbox: outbox.clone(),
        };
        (checkpoints, keeper)
    }
}

/// What becomes of the state of an earlier run.
pub(super) enum Resume {
    /// Nothing: the game begins, or has begun.
    No,
    /// It is being read.
    Reading,
    /// It waits for all modules.
    Ready(Box<Checkpoint>),
}

/// Captures that may wait to be written; when they do, the next one is left out.
const CAPTURES: usize = 2;

impl Host {
    /// Does something to the world as a whole; the result is JSON.
    pub(super) fn act(&mut self, act: WorldAct) -> Result<String, String> {
        match act {
            WorldAct::ClearLimbo(type_path) => {
                let before = self.book.limbo.fields().len();
                self.book.limbo.clear(type_path.as_deref());
                let cleared = before - self.book.limbo.fields().len();
                if let (0, Some(path)) = (cleared, type_path) {
                    return Err(format!("nothing of a type `{path}` is in limbo"));
                }
                Ok(cleared.to_string())
            }
            WorldAct::Save => {
                let (world, book) = (&self.world, &self.book);
                let scene = panic::guard(|| scene::save(world, book))
                    .map_err(|report| format!("a value panicked: {}", report.summary()))?;
                for lost in &scene.lost {
                    self.outbox.warn(format!(
                        "{} values of `{}` are not in the scene: {}",
                        lost.values, lost.type_path, lost.reason
                    ));
                }
                to_json(Ok(Value::Str(scene.text)))
            }
            WorldAct::Load { name, text } => self.load_scene(&name, &text),
        }
    }

    /// Whether the state of an earlier run is still to come.
    pub(super) fn is_resuming(&self) -> bool {
        self.checkpoints
            .as_ref()
            .is_some_and(|checkpoints| !matches!(checkpoints.resume, Resume::No))
    }

    /// Says that the first frame has run, and with what it began.
    pub(super) fn began(&self) {
        let resumed = self.checkpoints.as_ref().and_then(|kept| kept.resumed);
        self.outbox.deliver(FromHost::Began { resumed });
    }

    /// Captures the world for the checkpoint thread; `false` if there is nothing to keep yet
    /// or the thread is behind. `before` are the versions that are about to get in.
    pub(super) fn checkpoint(&mut self, reason: Reason, before: Vec<u32>) -> bool {
        if self.frame == 0 || self.is_resuming() {
            return false;
        }
        let Some(checkpoints) = self.checkpoints.as_mut() else {
            return false;
        };
        checkpoints.last = Instant::now();
        if checkpoints.requests.is_full() && reason == Reason::Interval {
            return false;
        }
        let start = Instant::now();
        let _ = panic::guard(|| self.world.flush());
        let versions = self.registry.active_versions().into_iter();
        let modules = versions.map(|(name, version, label, hash)| ModuleMeta {
            name,
            version,
            label,
            hash,
            artifact: None,
            state: None,
        });
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = self.world.get_resource::<Time>();
        let meta = Meta {
            modules: modules.collect(),
            frame: self.frame,
            elapsed: time.map_or(Duration::ZERO, Time::elapsed),
            saved_at_ms: since_epoch.map_or(0, |since| since.as_millis() as u64),
            reason,
        };
        let (world, book) = (&self.world, &self.book);
        let capture = match panic::guard(|| Capture::take(world, book, meta)) {
            Ok(capture) => Box::new(capture),
            Err(report) => {
                self.outbox.error(format!(
                    "no checkpoint was made, a value panicked: {}",
                    report.summary()
                ));
                return false;
            }
        };
        self.warn_of_lost(capture.lost());
        let request = KeeperRequest::Write {
            capture,
            took: start.elapsed(),
            reason,
            before,
        };
        let checkpoints = self.checkpoints.as_ref();
        checkpoints.is_some_and(|checkpoints| checkpoints.requests.try_send(request).is_ok())
    }

    /// Says which values would be lost by a crash, once for each type.
    fn warn_of_lost(&mut self, lost: &[Lost]) {
        let known = std::mem::take(&mut self.lost);
        for gone in known
            .iter()
            .filter(|path| lost.iter().all(|lost| lost.type_path != **path))
        {
            self.board.set_problem(&format!("lost:{gone}"), None);
        }
        let module = self
            .registry
            .module_names()
            .into_iter()
            .next()
            .unwrap_or_default();
        for Lost {
            type_path,
            values,
            reason,
        } in lost
        {
            let message = format!(
                "{values} values of `{type_path}` are in no checkpoint, a crash would lose them: \
                 {reason}"
            );
            if !known.contains(type_path) {
                self.outbox.warn(message.clone());
            }
            let problem = Problem {
                module: module.clone(),
                severity: Severity::Warning,
                file: String::new(),
                line: 0,
                column: 0,
                rendered: format!("warning: {message}"),
                message,
            };
            self.board
                .set_problem(&format!("lost:{type_path}"), Some(problem));
            self.lost.insert(type_path.clone());
        }
    }

    /// Takes checkpoints that were read: of an earlier run, or of a rollback.
    pub(super) fn take_state_read(&mut self) {
        while let Some(read) = self
            .checkpoints
            .as_ref()
            .and_then(|checkpoints| checkpoints.read.try_recv().ok())
        {
            match (read.before, read.result) {
                (None, Ok(checkpoint)) => self.set_resume(Resume::Ready(checkpoint)),
                (None, Err(why)) => {
                    self.outbox.warn(format!(
                        "the game begins anew, nothing to go on with: {why}"
                    ));
                    self.set_resume(Resume::No);
                    self.start_all();
                }
                (Some(version), result) => {
                    let restored = result.and_then(|checkpoint| self.restore(&checkpoint));
                    self.rolled_back(version, restored);
                }
            }
        }
        if !self.waiting.is_empty() || !self.starting.is_empty() {
            return;
        }
        let Some(checkpoints) = self.checkpoints.as_mut() else {
            return;
        };
        if !matches!(checkpoints.resume, Resume::Ready(_)) {
            return;
        }
        let Resume::Ready(checkpoint) = std::mem::replace(&mut checkpoints.resume, Resume::No)
        else {
            return;
        };
        match self.restore(&checkpoint) {
            Ok(text) => {
                self.frame = checkpoint.meta.frame;
                LAST_FRAME.store(self.frame, Ordering::Relaxed);
                let step = self.period();
                self.world.insert_resource(checkpoint.meta.clock(step));
                if let Some(checkpoints) = &mut self.checkpoints {
                    checkpoints.resumed = Some(Resumed {
                        frame: checkpoint.meta.frame,
                        saved_at_ms: checkpoint.meta.saved_at_ms,
                    });
                }
                self.outbox.info(format!(
                    "Resumed from the checkpoint of frame {}: {text}",
                    checkpoint.meta.frame
                ));
            }
            Err(why) => {
                self.outbox.error(format!(
                    "the game begins anew, its last checkpoint does not fit: {why}"
                ));
                self.start_all();
            }
        }
    }

    fn set_resume(&mut self, resume: Resume) {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.resume = resume;
        }
    }

    /// Puts a checkpoint into the world; says what came back.
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<String, String> {
        let (world, book) = (&mut self.world, &mut self.book);
        let migrations = self.modules.migrations();
        let report = panic::guard(|| checkpoint::restore(world, book, &migrations, checkpoint))
            .map_err(|report| report.summary())?
            .map_err(|error| error.to_string())?;
        self.after_restore(&report)
    }

    fn after_restore(&mut self, report: &RestoreReport) -> Result<String, String> {
        self.modules.renew_systems(&mut self.world)?;
        for panicked in &report.panics {
            self.outbox.warn(format!(
                "a value panicked while it was replaced: {panicked}"
            ));
        }
        if !report.unknown.is_empty() {
            self.outbox.warn(format!(
                "values of types that nobody registers are kept in limbo: {}",
                report.unknown.join(", ")
            ));
        }
        for unheard in self.modules.unheard(&self.world) {
            self.outbox.warn(unheard);
        }
        Ok(format!(
            "{} entities, {} resources",
            report.entities, report.resources
        ))
    }

    /// The state of a rollback is back, or is not.
    fn rolled_back(&mut self, version: u32, restored: Result<String, String>) {
        let Some(index) = self
            .restoring
            .iter()
            .position(|(waiting, _)| *waiting == version)
        else {
            return;
        };
        let (_, mut report) = self.restoring.swap_remove(index);
        report.message = match restored {
            Ok(text) => format!("with the state of that moment: {text}"),
            Err(why) => format!("the code alone, the state of that moment is not back: {why}"),
        };
        self.outbox.reloaded(report);
    }

    /// Runs the `Startup` of all modules, which an earlier run should have made unnecessary.
    fn start_all(&mut self) {
        let modules: Vec<String> = self.registry.module_names();
        for module in modules {
            if self.modules.get(&module).is_some() {
                self.start_module(&module);
            }
        }
    }

    /// Replaces the world by a scene; the result is JSON.
    fn load_scene(&mut self, name: &str, text: &str) -> Result<String, String> {
        let (world, book) = (&mut self.world, &mut self.book);
        let report = panic::guard(|| scene::load(text, world, book))
            .map_err(|report| report.summary())?
            .map_err(|error| {
                format!("{name}:{}:{}: {}", error.line, error.column, error.message)
            })?;
        let text = self.after_restore(&report)?;
        to_json(Ok(Value::Str(text)))
    }

    /// Has the state read that was there before the version got in that a rollback has just
    /// replaced. The rollback is answered when that is done.
    pub(super) fn read_state(&mut self, mut report: Reloaded) {
        let version = report
            .from
            .and_then(|from| self.registry.id_of(&report.module, from));
        let request = version.map(|before| KeeperRequest::Read { before });
        let sent = match (&self.checkpoints, request) {
            (Some(checkpoints), Some(request)) => checkpoints.requests.try_send(request).is_ok(),
            _ => false,
        };
        if let Some(version) = version.filter(|_| sent) {
            self.restoring.push((version, report));
        } else {
            "the code alone: no checkpoint of that moment can be read now"
                .clone_into(&mut report.message);
            self.outbox.reloaded(report);
        }
    }
}
