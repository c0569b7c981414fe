//! The status document: what the supervisor knows and what the host last said.

use inspector_protocol::PROTOCOL_VERSION;
use inspector_protocol::message::Event;
use inspector_protocol::status::{EngineStatus, ModuleStatus, Status};

use super::{Supervisor, stall};

impl Supervisor {
    /// The status now.
    pub(super) fn status(&self) -> Status {
        let mut modules = self.snapshot.modules.clone();
        for module in &self.config.modules {
            if !modules.iter().any(|known| known.name == module.name) {
                modules.push(ModuleStatus {
                    name: module.name.clone(),
                    kind: module.kind.name().to_owned(),
                    ..ModuleStatus::default()
                });
            }
        }
        // The worst first; of equals a death, then what was built, then what runs.
        let mut problems = self.reloads.problems();
        if let Some(death) = &self.death_problem {
            // It may also be why a version is not loaded again.
            problems.retain(|problem| problem.message != death.message);
            problems.insert(0, death.clone());
        }
        let (stall, has_begun) = (&self.snapshot.stall, self.restarts.has_begun());
        problems.extend(stall.iter().map(|stall| stall::problem(stall, has_begun)));
        problems.extend(self.next_engine.problems.iter().cloned());
        problems.extend(self.configuring.problems().iter().cloned());
        problems.extend(self.snapshot.problems.iter().cloned());
        self.backtraces.add_to(&mut problems);
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
        let mut frames = self.snapshot.frames;
        frames.fps = rounded(frames.fps);
        Status {
            engine: EngineStatus {
                pid: std::process::id(),
                host_pid: self.host.as_ref().map(|host| host.pid),
                host: self.host_state,
                run_id: format!("{}-{}", std::process::id(), self.runs),
                protocol: PROTOCOL_VERSION,
                profile: self.config.profile.clone(),
                frame: self.snapshot.frame,
                uptime_ms: self.started.elapsed().as_millis() as u64,
                restart: self.restarts.status.clone(),
                stall: self.snapshot.stall.clone(),
            },
            modules,
            calls: self.snapshot.calls.clone(),
            jobs: self.snapshot.jobs.clone(),
            reloads: self.reloads.history(),
            world: self.snapshot.world.clone(),
            frames,
            problems,
        }
    }

    /// Sends the status to all that want it.
    pub(super) fn broadcast_status(&mut self) {
        if self.hub.any(|wants| wants.status) {
            let status = Event::Status(Box::new(self.status()));
            self.hub.broadcast(&status, |wants| wants.status);
        }
    }
}

/// To three decimals: what is behind them is noise.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
