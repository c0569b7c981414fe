//! Another engine takes the place of this one, in the same process and with the game as it is.
//!
//! The builder notices changes outside of the modules and builds the engine in the background.
//! What follows is the policy's, or a person's: the host makes a checkpoint and ends, the new
//! executable is entered (`exec`: same process, same terminal, same socket), and its host goes on
//! from there. It is the way out of all that a swap has to refuse.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use engine_build::BuildEvent;
use inspector_protocol::message::{Answer, Event};
use inspector_protocol::status::{Problem, Severity};

use super::Supervisor;
use super::hub::ClientId;
use crate::config::OnEngineChange;
use crate::handover::{self, Handover};

/// What is known of the engine that would come next.
#[derive(Default)]
pub(super) struct NextEngine {
    /// It is built and another one than this.
    is_ready: bool,
    /// What keeps it from being built, or the offer.
    pub(super) problems: Vec<Problem>,
    /// Why it takes over, and when that began, once it does.
    entering: Option<(String, u64)>,
}

impl NextEngine {
    /// Whether it takes over now.
    pub(super) fn is_entering(&self) -> bool {
        self.entering.is_some()
    }
}

/// What to do about a new engine.
const OFFER: &str = "R in the inspector, or `inspector restart`, goes on with it, and with the \
                     game as it is";

impl Supervisor {
    /// What the builder says about the engine.
    pub(super) fn engine_event(&mut self, event: BuildEvent) {
        match event {
            BuildEvent::EngineStarted { trigger } => {
                self.info(format!("Compiling the engine: {trigger} has changed"));
            }
            BuildEvent::EngineBuilt => self.engine_built(),
            BuildEvent::EngineFailed { problems, summary } => {
                self.engine_failed(problems, &summary);
            }
            _ => {}
        }
    }

    /// The engine was built.
    fn engine_built(&mut self) {
        self.next_engine.problems.clear();
        self.next_engine.is_ready = self.running.is_replaced();
        if !self.next_engine.is_ready {
            self.info("The engine is unchanged".to_owned());
            return;
        }
        match self.config.policies.on_engine_change {
            OnEngineChange::Ignore => self.info("The engine was built anew".to_owned()),
            OnEngineChange::Offer => {
                let message = format!("the engine has changed and is built; {OFFER}");
                self.warn(message.clone());
                self.next_engine.problems.push(Problem {
                    severity: Severity::Warning,
                    rendered: format!("warning: {message}\n"),
                    message,
                    ..Problem::default()
                });
            }
            OnEngineChange::Restart => self.take_over_if_wanted(),
        }
        self.broadcast_status();
    }

    /// The engine does not compile.
    fn engine_failed(&mut self, problems: Vec<Problem>, summary: &str) {
        self.error(format!(
            "The engine does not compile, the one that runs goes on: {summary}"
        ));
        self.next_engine.problems = problems;
        self.broadcast_status();
    }

    /// Enters a new engine where that is the policy, once all modules compile.
    pub(super) fn take_over_if_wanted(&mut self) {
        let is_wanted = self.next_engine.is_ready
            && self.config.policies.on_engine_change == OnEngineChange::Restart;
        if is_wanted && self.exit.is_none() && self.reloads.with_errors().is_none() {
            self.next_engine.is_ready = false;
            self.take_over("the engine has changed", None);
        }
    }

    /// Has the engine that lies where this one was started from take over.
    pub(super) fn take_over(&mut self, reason: &str, client: Option<(ClientId, u64)>) {
        let answer = match self.may_take_over() {
            Ok(()) => {
                self.info(format!("The new engine takes over: {reason}"));
                self.next_engine.entering = Some((reason.to_owned(), now_ms()));
                self.exit = Some(ExitCode::SUCCESS);
                Answer::Done
            }
            Err(why) => {
                let message = format!("the new engine cannot take over: {why}");
                self.error(message.clone());
                Answer::Error(message)
            }
        };
        if let Some((client, id)) = client {
            self.hub.send(client, Event::Answer { id, answer });
        }
    }

    /// Whether a new engine could go on with the game.
    ///
    /// # Errors
    /// Why not, for people.
    fn may_take_over(&self) -> Result<(), String> {
        if let Some(problem) = self.configuring.problems().first() {
            return Err(format!("the configuration is wrong: {}", problem.message));
        }
        if let Some(module) = self.reloads.with_errors() {
            return Err(format!(
                "`{module}` does not compile, and what runs of it may not fit; fix it first"
            ));
        }
        self.running.check_replacement()
    }

    /// The command that enters the next engine, with all that it needs to know; `None` if this
    /// one just ends.
    pub(super) fn next_engine(&mut self) -> Option<Command> {
        let (reason, at_ms) = self.next_engine.entering.take()?;
        let (history, modules) = self.reloads.hand_over();
        let handover = Handover {
            reason,
            at_ms,
            uptime_ms: self.started.elapsed().as_millis() as u64,
            runs: self.runs,
            log_seq: self.log_seq,
            history,
            modules,
            pushed: std::mem::take(&mut self.scripts.pushed),
        };
        let file = handover.write(&self.state);
        // Without it the new engine begins with what the checkpoints have.
        let file = file.unwrap_or_else(|_| self.state.join("no handover"));
        let arguments = handover::arguments(std::env::args_os().skip(1), &file);
        let mut command = Command::new(self.running.executable());
        command.args(arguments);
        Some(command)
    }
}

/// Enters another executable in this process. Returns only if that fails.
pub(super) fn enter(mut command: Command) -> std::io::Error {
    command.exec()
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_millis() as u64)
}
