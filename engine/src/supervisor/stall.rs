//! A game that does not get on: a frame that does not end, or a version whose setup does not.
//!
//! The host's telemetry says so, on a thread that no game code runs on. Here it is told once,
//! whoever waits for the frame loop is told that it does not come, and a person, or the policy,
//! ends the host. What follows is a restart as after a crash.

use std::time::Instant;

use engine_runtime::link::{CallPath, ToHost};
use inspector_protocol::message::{Answer, Event, LogLevel};
use inspector_protocol::status::{HostState, Problem, Severity, StallStatus};

use super::host_process::HostEnd;
use super::hub::ClientId;
use super::restart::Plan;
use super::{GRACE, Supervisor};
use crate::config::OnStall;

impl Supervisor {
    /// Compares what the host said with what it said before.
    pub(super) fn follow_stall(&mut self, before: Option<&StallStatus>) {
        let Some(stall) = self.snapshot.stall.clone() else {
            if let Some(before) = before {
                let line = format!("{} goes on, it was {}", before.subject(), before.sentence());
                self.log_about(LogLevel::Info, &before.module, line);
            }
            return;
        };
        if before.is_some() {
            return;
        }
        self.log_about(LogLevel::Warn, &stall.module, stall.sentence());
        self.answer_stalled_calls(&stall);
        self.answer_stalled_loads(&stall);
        if self.config.policies.on_stall == OnStall::Restart {
            let end = self.end_stalled_host(stall);
            self.host_ended(&end);
        }
    }

    /// Calls that wait for a frame to end are answered. Those that run are waited for.
    fn answer_stalled_calls(&mut self, stall: &StallStatus) {
        if !stall.is_in_frame() {
            return;
        }
        let running = &self.snapshot.calls;
        let waits = |module: &str, function: &str| {
            !running
                .iter()
                .any(|call| (&*call.module, &*call.function) == (module, function))
        };
        let stalled = self
            .calls
            .extract_if(|_, asked| waits(&asked.module, &asked.function));
        let stalled: Vec<_> = stalled.map(|(_, asked)| asked.client).collect();
        for (client, id) in stalled {
            let text = format!("{}; it is done when that frame ends", why(stall));
            let answer = Answer::Error(text);
            self.hub.send(client, Event::Answer { id, answer });
        }
    }

    /// Whoever waits for a load is told that it waits, too.
    fn answer_stalled_loads(&mut self, stall: &StallStatus) {
        for (client, id) in self.reloads.take_waiting() {
            let text = format!("it is built and loaded when that is over: {}", why(stall));
            let answer = Answer::Error(text);
            self.hub.send(client, Event::Answer { id, answer });
        }
    }

    /// Why nothing can be asked of the frame loop, if that is so.
    pub(super) fn stalled_frame(&self) -> Option<String> {
        let stall = self.snapshot.stall.as_ref();
        stall.filter(|stall| stall.is_in_frame()).map(why)
    }

    /// A build is there that the stalled host would not come to: a new host begins with it when
    /// that loses nothing, since no frame has run or frames go on beside what is stalled.
    pub(super) fn end_stall_for_build(&mut self) {
        let is_starting = self.host_state == HostState::Starting;
        let stall = self.snapshot.stall.clone();
        if let Some(stall) = stall.filter(|stall| is_starting || !stall.is_in_frame()) {
            let end = self.end_stalled_host(stall);
            self.replace_host(&end, Plan::Build, None);
        }
    }

    /// Says that a load waits, if it does.
    pub(super) fn tell_stalled_load(&mut self, module: &str) {
        if let Some(stall) = self.snapshot.stall.clone() {
            let line = format!("{module} is built and waits: {}", why(&stall));
            self.log_about(LogLevel::Info, module, line);
            self.answer_stalled_loads(&stall);
        }
    }

    /// A client asks for a new host while the one that runs is stalled. Returns whether it was.
    pub(super) fn restart_stalled(&mut self) -> bool {
        let Some(stall) = self.snapshot.stall.clone() else {
            return false;
        };
        let end = self.end_stalled_host(stall);
        self.replace_host(&end, Plan::LAST, None);
        true
    }

    /// A client asks for the version before while the host is stalled: a new host begins with
    /// it, with its state if that is asked for. Returns whether it was stalled.
    pub(super) fn roll_back_stalled(
        &mut self,
        client: ClientId,
        id: u64,
        module: &str,
        state: bool,
    ) -> bool {
        let Some(stall) = self.snapshot.stall.clone() else {
            return false;
        };
        let stalled = (stall.module == module).then_some(stall.version);
        let Some(hash) = self.reloads.left_by_rollback(module, stalled) else {
            return false;
        };
        let mut before = None;
        if state {
            let Some(number) = self.checkpoint_before(module, hash) else {
                let text = "no checkpoint from before that version is kept; go back without the \
                            state";
                let answer = Answer::Error(text.to_owned());
                self.hub.send(client, Event::Answer { id, answer });
                return true;
            };
            before = Some(number + 1);
        }
        let end = self.end_stalled_host(stall);
        let plan = Plan::Restart {
            before,
            quarantine: Some(hash),
        };
        self.replace_host(&end, plan, Some((module, (client, id))));
        true
    }

    /// Ends the host. Where frames run it is asked to, so that it leaves a checkpoint of now.
    fn end_stalled_host(&mut self, stall: StallStatus) -> HostEnd {
        let died_at = Instant::now();
        if let Some(host) = self.host.take() {
            if !stall.is_in_frame() {
                host.send(ToHost::Shutdown);
                host.ends_within(GRACE);
            }
            // What is still there is killed when it is dropped.
            drop(host);
        }
        HostEnd {
            status: None,
            last_words: None,
            stall: Some(stall),
            path: CallPath::default(),
            stderr: Vec::new(),
            died_at,
        }
    }
}

/// Why something has to wait, and what can be done.
fn why(stall: &StallStatus) -> String {
    format!(
        "{} is {}; R in the inspector restarts the game, b rolls back",
        stall.subject(),
        stall.sentence()
    )
}

/// The entry in the list of problems, while it lasts.
pub(super) fn problem(stall: &StallStatus, has_begun: bool) -> Problem {
    let message = format!("{} is stalled in {}", stall.subject(), stall.place());
    let help = if has_begun {
        "wait, or restart the game (R) from its last checkpoint, or roll back (b)"
    } else {
        "wait, or fix it and save: a new host begins with that"
    };
    Problem {
        module: stall.module.clone(),
        severity: Severity::Error,
        rendered: format!("error: {message}\nhelp: {help}\n"),
        message,
        ..Problem::default()
    }
}
