//! What the inspector shows: frame times, running calls, counts.
//!
//! The frame thread only writes numbers; a thread of its own looks at them ten
//! times a second, so that it can still tell what a stuck frame is doing.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use inspector_protocol::status::{
    CallStatus, CheckpointStatus, FrameStatus, Problem, StallStatus, WorldStatus,
};

use crate::call::{CallWatch, RunningCall};
use crate::jobs::JobList;
use crate::link::Snapshot;
use crate::registry::Registry;
use crate::stall::{TurnWatch, Turns};

/// Frames kept for the figures.
const FRAMES: usize = 1024;
/// How far back the figures look.
const WINDOW: Duration = Duration::from_secs(2);

/// Times of the last frames. Written by the frame thread, read by anyone.
pub struct FrameTimes {
    micros: [AtomicU32; FRAMES],
    ended_ms: [AtomicU32; FRAMES],
    count: AtomicU64,
    started: Instant,
}

impl Default for FrameTimes {
    fn default() -> Self {
        Self {
            micros: [const { AtomicU32::new(0) }; FRAMES],
            ended_ms: [const { AtomicU32::new(0) }; FRAMES],
            count: AtomicU64::new(0),
            started: Instant::now(),
        }
    }
}

impl FrameTimes {
    /// Records a frame that ends now and worked for `work`.
    pub fn record(&self, work: Duration) {
        let count = self.count.load(Ordering::Relaxed);
        let index = count as usize % FRAMES;
        self.micros[index].store(work.as_micros() as u32, Ordering::Relaxed);
        self.ended_ms[index].store(self.started.elapsed().as_millis() as u32, Ordering::Relaxed);
        self.count.store(count + 1, Ordering::Release);
    }

    /// Frames recorded.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// The figures over the last two seconds.
    pub fn status(&self) -> FrameStatus {
        let now = self.started.elapsed().as_millis() as u32;
        let window = WINDOW.as_millis() as u32;
        let count = self.count() as usize;
        let mut micros: Vec<u32> = (count.saturating_sub(FRAMES)..count)
            .map(|index| index % FRAMES)
            .filter(|index| {
                now.saturating_sub(self.ended_ms[*index].load(Ordering::Relaxed)) <= window
            })
            .map(|index| self.micros[index].load(Ordering::Relaxed))
            .collect();
        micros.sort_unstable();
        let Some(last) = micros.len().checked_sub(1) else {
            return FrameStatus::default();
        };
        let at = |share: f64| u64::from(micros[(last as f64 * share).round() as usize]);
        FrameStatus {
            fps: micros.len() as f64 / f64::from(now.clamp(1, window)) * 1000.0,
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: at(1.0),
        }
    }
}

/// What telemetry shows beside what it can look up itself.
#[derive(Default)]
pub struct Board {
    /// Frame times.
    pub frames: FrameTimes,
    /// Turns of the frame loop, with a frame in them or not.
    pub turns: Turns,
    /// Counts of the world; replaced by the frame thread now and then.
    pub world: Mutex<WorldStatus>,
    /// Problems by what they are about, so that each can be taken back.
    problems: Mutex<HashMap<String, Problem>>,
    /// Messages that were dropped because the supervisor was slow.
    pub dropped: AtomicU64,
    /// The last checkpoint that was written.
    pub checkpoint: Mutex<Option<CheckpointStatus>>,
    /// Jobs that wait or run.
    pub jobs: JobList,
    /// What keeps the game for longer than so many milliseconds stalls it; 0 for never.
    stalled_after_ms: AtomicU64,
    /// Versions whose assets have all been read once.
    assets_loaded: Mutex<HashSet<u32>>,
}

impl Board {
    /// From now on what keeps the game for longer than this stalls it; zero for never.
    pub fn set_stalled_after(&self, limit: Duration) {
        let ms = limit.as_millis() as u64;
        self.stalled_after_ms.store(ms, Ordering::Relaxed);
    }

    fn stalled_after(&self) -> Duration {
        Duration::from_millis(self.stalled_after_ms.load(Ordering::Relaxed))
    }

    /// Records that all assets of a version have been read, well or not.
    pub fn set_assets_loaded(&self, version: u32) {
        self.assets_loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(version);
    }

    /// Whether all assets of a version have been read.
    pub fn are_assets_loaded(&self, version: u32) -> bool {
        self.assets_loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&version)
    }

    /// Shows a problem under a key, or takes it back.
    pub fn set_problem(&self, key: &str, problem: Option<Problem>) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        match problem {
            Some(problem) => problems.insert(key.to_owned(), problem),
            None => problems.remove(key),
        };
    }

    /// Takes back all problems whose key begins with `prefix`.
    pub fn clear_problems(&self, prefix: &str) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.retain(|key, _| !key.starts_with(prefix));
    }

    fn problems(&self) -> Vec<Problem> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<_> = problems.iter().collect();
        sorted.sort_by_key(|(key, _)| *key);
        sorted
            .into_iter()
            .map(|(_, problem)| problem.clone())
            .collect()
    }
}

/// Name of the thread that runs frames in a host process.
const FRAME_THREAD: &str = "main";

/// Threads that the game waits for, besides the one that runs frames.
pub(crate) const LOADING_THREADS: [&str; 2] = ["loader", "assets"];

/// Looks at everything.
pub struct Observatory {
    registry: Arc<Registry>,
    board: Arc<Board>,
    watch: CallWatch,
    turns: TurnWatch,
}

impl Observatory {
    /// Looks at this registry and board.
    pub fn new(registry: Arc<Registry>, board: Arc<Board>) -> Self {
        Self {
            registry,
            board,
            watch: CallWatch::default(),
            turns: TurnWatch::new(Duration::ZERO, Instant::now()),
        }
    }

    /// Whether the game has run a frame.
    pub fn has_frames(&self) -> bool {
        self.board.frames.count() > 0
    }

    /// What keeps the game from getting on.
    fn stall(&mut self, running: &[(RunningCall, Duration)]) -> Option<StallStatus> {
        let turn = self.board.turns.now();
        self.turns.set_limit(self.board.stalled_after());
        let in_frame = self.turns.look(turn, Instant::now());
        let limit = self.turns.limit()?;
        // Innermost calls come last.
        let mut calls = running.iter().rev();
        let (call, elapsed) = if let Some(elapsed) = in_frame {
            let call = calls.find(|(call, _)| call.thread == FRAME_THREAD);
            (call.map(|(call, _)| call), elapsed)
        } else {
            let is_it = |(call, elapsed): &&(RunningCall, Duration)| {
                LOADING_THREADS.contains(&call.thread.as_str()) && *elapsed >= limit
            };
            let (call, elapsed) = calls.find(is_it)?;
            (Some(call), *elapsed)
        };
        let name = call.and_then(|call| self.registry.name_call(call.id));
        let (module, version, function) = name.unwrap_or_default();
        Some(StallStatus {
            module,
            version,
            function,
            thread: call.map_or(FRAME_THREAD, |call| &call.thread).to_owned(),
            elapsed_ms: elapsed.as_millis() as u64,
        })
    }

    /// What is to be seen now.
    pub fn look(&mut self) -> Snapshot {
        let mut running = self.watch.look();
        let stall = self.stall(&running);
        let shown = |world: &WorldStatus| WorldStatus {
            checkpoint: self
                .board
                .checkpoint
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            ..world.clone()
        };
        // What the frame thread happens to be in while it is looked at says nothing; what it is
        // still in at the next look does.
        running.retain(|(call, elapsed)| call.thread != FRAME_THREAD || !elapsed.is_zero());
        let now = self.registry.uptime_ms();
        let mut calls: Vec<CallStatus> = running
            .iter()
            .filter_map(|(call, elapsed)| {
                let (module, version, function) = self.registry.name_call(call.id)?;
                let elapsed_ms = elapsed.as_millis() as u64;
                Some(CallStatus {
                    module,
                    version,
                    function,
                    thread: call.thread.clone(),
                    started_at_ms: now.saturating_sub(elapsed_ms),
                    elapsed_ms,
                })
            })
            .collect();
        calls.sort_by_key(|call| std::cmp::Reverse(call.elapsed_ms));
        let plain: Vec<_> = running.into_iter().map(|(call, _)| call).collect();
        Snapshot {
            frame: self.board.frames.count(),
            modules: self.registry.status(&plain),
            calls,
            jobs: self.board.jobs.status(),
            world: shown(
                &self
                    .board
                    .world
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            ),
            frames: self.board.frames.status(),
            problems: self.board.problems(),
            stall,
            dropped: self.board.dropped.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_from_the_frames_recorded() {
        let times = FrameTimes::default();
        assert_eq!(times.status(), FrameStatus::default());
        for micros in [100, 200, 300, 400, 5000] {
            times.record(Duration::from_micros(micros));
        }
        let status = times.status();
        assert_eq!((status.p50_us, status.max_us), (300, 5000));
        assert!(status.fps > 0.0);
        for _ in 0..FRAMES * 2 {
            times.record(Duration::from_micros(7));
        }
        assert_eq!(times.status().max_us, 7);
    }
}
