//! A running engine without UI: what a test does to it and sees of it.

use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Output, Stdio};
use std::time::Instant;

use inspector_protocol::message::{Answer, Event, Request, Subscription};
use inspector_protocol::status::{
    EngineStatus, HostState, ModuleStatus, ReloadOutcome, ReloadStatus, Status, VersionState,
};
use serde_json::Value;

use crate::client::Client;
use crate::log::Log;
use crate::process::{self, Watched};
use crate::scratch::Scratch;
use crate::{MODULE, PATIENCE};

/// The game's main file.
pub const LIB: &str = "game_logic/src/lib.rs";

/// Lines of the engine's log that a failed test shows.
const SHOWN_LINES: usize = 60;

/// The command of a checker that engines are to run under, with its arguments, from the
/// variable `LIVELOOP_CHECKER`; see `tests/src/lib.rs`.
pub fn checker() -> Option<String> {
    let checker = std::env::var("LIVELOOP_CHECKER").ok();
    checker.filter(|checker| !checker.trim().is_empty())
}

/// An engine in the scratch workspace; killed when dropped.
#[derive(Debug)]
pub struct Engine<'a> {
    /// Where it runs.
    pub scratch: &'a Scratch,
    /// Process id of the supervisor.
    pub pid: u32,
    /// What it writes to standard error.
    pub log: Log,
    /// Its socket.
    pub socket: PathBuf,
    child: Child,
}

impl<'a> Engine<'a> {
    /// Starts one and waits for the game's first version.
    pub fn start(scratch: &'a Scratch) -> Self {
        Self::start_with(scratch, &[])
    }

    /// The same with further arguments.
    pub fn start_with(scratch: &'a Scratch, arguments: &[&str]) -> Self {
        let engine = Self::spawn(scratch, arguments);
        let loaded = "[INFO] Module 'game_logic' loaded (v1)";
        let (_, line) = engine.log.wait(0, "that the game was loaded", |line| {
            line == loaded || line.contains("' does not compile")
        });
        assert_eq!(line, loaded);
        engine.wait("running frames", |status| {
            (status.engine.frame > 0).then_some(())
        });
        engine
    }

    /// Starts one and does not wait.
    pub fn spawn(scratch: &'a Scratch, arguments: &[&str]) -> Self {
        let socket = scratch.temporary.join("socket");
        let mut command = match checker() {
            Some(checker) => {
                let mut words = checker.split_whitespace();
                let mut command = scratch.command(words.next().expect("it is not empty"));
                command.args(words).arg(scratch.binary("engine"));
                command
            }
            None => scratch.command(scratch.binary("engine")),
        };
        let mut child = command
            .args(["--headless", "--socket"])
            .arg(&socket)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the engine can be started");
        let log = Log::read(child.stderr.take().expect("standard error is a pipe"));
        Self {
            scratch,
            pid: child.id(),
            log,
            socket,
            child,
        }
    }

    // What it says.

    /// The status now.
    pub fn dump(&self) -> Status {
        match self.ask(|id| Request::Status { id }) {
            Answer::Status(status) => *status,
            other => panic!("asked for the status, got {other:?}"),
        }
    }

    /// Waits until the status satisfies `is_it`; it is sent ten times a second and
    /// whenever something changes.
    pub fn wait<T>(&self, what: &str, is_it: impl Fn(&Status) -> Option<T>) -> T {
        wait_at(&self.socket, what, is_it)
    }

    /// Waits until `frames` more frames have run.
    pub fn run_frames(&self, frames: u64) {
        // What is known now may be older than what was asked last; what comes after the next
        // is not.
        let now = self.frame_after(self.frame_after(self.dump().engine.frame));
        self.frame_after(now + frames.saturating_sub(1));
    }

    /// The number of the first frame after one that is heard of.
    fn frame_after(&self, frame: u64) -> u64 {
        self.wait("frames", |status| {
            let now = status.engine.frame;
            (now > frame).then_some(now)
        })
    }

    /// Waits for a checkpoint that is made after now.
    pub fn next_checkpoint(&self) {
        self.run_frames(1);
        let engine = self.dump().engine;
        let resumed = engine.restart.and_then(|restart| restart.checkpoint);
        let goal = engine.frame + resumed.map_or(0, |checkpoint| checkpoint.frame);
        self.wait("a checkpoint", |status| {
            let checkpoint = status.world.checkpoint.as_ref();
            checkpoint
                .filter(|checkpoint| checkpoint.frame > goal)
                .map(|_| ())
        });
    }

    /// What is known of the host that runs once `before` has been replaced by one whose first
    /// frame has run.
    pub fn next_host(&self, before: &EngineStatus) -> EngineStatus {
        self.wait("the next host", |status| {
            let engine = &status.engine;
            let is_next = engine.run_id != before.run_id && engine.host == HostState::Running;
            is_next.then(|| engine.clone())
        })
    }

    /// The one module.
    pub fn module(&self) -> ModuleStatus {
        module(&self.dump())
    }

    /// Sends a request on a connection of its own and waits for the answer.
    pub fn ask(&self, request: impl FnOnce(u64) -> Request) -> Answer {
        Client::connect(&self.socket).ask(request)
    }

    /// Calls a function of the game; its result.
    pub fn call(&self, function: &str, arguments: &[&str]) -> Value {
        self.try_call(function, arguments)
            .unwrap_or_else(|reason| panic!("`{function}` {arguments:?}: {reason}"))
    }

    /// Calls a function of the game.
    ///
    /// # Errors
    /// What the engine says about why there is no result.
    pub fn try_call(&self, function: &str, arguments: &[&str]) -> Result<Value, String> {
        self.try_call_of(MODULE, function, arguments)
    }

    /// Calls a function of some module.
    ///
    /// # Errors
    /// What the engine says about why there is no result.
    pub fn try_call_of(
        &self,
        module: &str,
        function: &str,
        arguments: &[&str],
    ) -> Result<Value, String> {
        match self.ask(|id| call_request(id, module, function, arguments)) {
            Answer::Value(json) => Ok(serde_json::from_str(&json).expect("results are JSON")),
            Answer::Error(reason) => Err(reason),
            other => panic!("called `{function}` of {module}, got {other:?}"),
        }
    }

    /// Calls a function of some module whose result is a number.
    pub fn number_of(&self, module: &str, function: &str) -> i64 {
        let result = self.try_call_of(module, function, &[]);
        let number = result.as_ref().ok().and_then(Value::as_i64);
        number.unwrap_or_else(|| panic!("`{function}` of {module} gave {result:?}"))
    }

    /// Calls a function whose result is a number.
    pub fn number(&self, function: &str) -> i64 {
        let result = self.call(function, &[]);
        result
            .as_i64()
            .unwrap_or_else(|| panic!("`{function}` gave {result}"))
    }

    /// Calls a function whose result is a text.
    pub fn text(&self, function: &str) -> String {
        let result = self.call(function, &[]);
        result
            .as_str()
            .unwrap_or_else(|| panic!("`{function}` gave {result}"))
            .to_owned()
    }

    /// Begins a call that will be answered later.
    pub fn begin_call(&self, function: &str, arguments: &[&str]) -> RunningCall {
        let mut client = Client::connect(&self.socket);
        client.send(&call_request(1, MODULE, function, arguments));
        RunningCall { client }
    }

    // What changes it.

    /// The last entry of the reloads.
    pub fn last_reload(&self) -> u64 {
        self.dump().reloads.last().map_or(0, |last| last.seq)
    }

    /// Waits for the entry after `seq`.
    pub fn reload_after(&self, seq: u64) -> ReloadStatus {
        self.wait("the next reload", |status| {
            status
                .reloads
                .iter()
                .find(|reload| reload.seq > seq)
                .cloned()
        })
    }

    /// Waits for `count` entries after `seq`, in the order of their modules.
    pub fn reloads_after(&self, seq: u64, count: usize) -> Vec<ReloadStatus> {
        let mut found = self.wait("the next reloads", |status| {
            let later = status.reloads.iter().filter(|reload| reload.seq > seq);
            let later: Vec<_> = later.cloned().collect();
            (later.len() >= count).then_some(later)
        });
        found.sort_by(|a, b| a.module.cmp(&b.module));
        found
    }

    /// Replaces a text in a file, saves, and waits for what becomes of it.
    pub fn edit(&self, file: &str, from: &str, to: &str) -> ReloadStatus {
        let seq = self.last_reload();
        self.scratch.edit(file, from, to);
        self.reload_after(seq)
    }

    /// [`Engine::edit`] that must be applied.
    pub fn apply(&self, file: &str, from: &str, to: &str) -> ReloadStatus {
        let reload = self.edit(file, from, to);
        assert_eq!(
            reload.outcome,
            ReloadOutcome::Applied,
            "`{from}` -> `{to}`: {reload:#?}"
        );
        reload
    }

    /// Runs `inspector` as a person would: its output and exit code.
    pub fn inspector(&self, arguments: &[&str]) -> Output {
        self.scratch
            .command(self.scratch.binary("engine"))
            .args(["inspector", "--attach"])
            .arg(&self.socket)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the inspector can be run")
    }

    // How it ends.

    /// Kills it as the system does, without a word, and waits until its host has seen that.
    pub fn kill(mut self) {
        let host = self.dump().engine.host_pid;
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
        if let Some(host) = host {
            Watched::new(host).wait_for_end();
        }
    }

    /// Asks it to end and gives the exit status. Nothing may be left of it.
    pub fn finish(self) -> ExitStatus {
        process::signal(self.pid, libc::SIGTERM);
        self.wait_for_end()
    }

    /// Waits until it ends by itself and gives the exit status. Nothing may be left
    /// of it.
    pub fn wait_for_end(mut self) -> ExitStatus {
        Watched::new(self.pid).wait_for_end();
        self.log.wait_for_end();
        let status = self.child.wait().expect("it is a child of the test");
        let left = process::running(&self.scratch.binary("engine"));
        assert!(left.is_empty(), "processes are left: {left:?}");
        assert!(!self.socket.exists(), "the socket is left");
        status
    }
}

impl Drop for Engine<'_> {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test shows what the engine said"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.log.since(0);
            let first = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!(
                "--- the engine's last lines ---\n{}\n---",
                lines[first..].join("\n")
            );
        }
        // After `finish` both are no-ops. A host ends with its supervisor.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for (pid, _) in process::running(&self.scratch.binary("engine")) {
            Watched::new(pid).wait_for_end();
        }
    }
}

/// A call that was begun.
#[derive(Debug)]
pub struct RunningCall {
    client: Client,
}

impl RunningCall {
    /// Waits for its answer.
    pub fn answer(mut self) -> Answer {
        loop {
            if let Event::Answer { answer, .. } = self.client.next_event() {
                return answer;
            }
        }
    }
}

fn call_request(id: u64, module: &str, function: &str, arguments: &[&str]) -> Request {
    Request::Call {
        id,
        module: module.to_owned(),
        function: function.to_owned(),
        args: arguments.iter().map(ToString::to_string).collect(),
    }
}

/// Waits until the status of the engine at a socket satisfies `is_it`.
pub fn wait_at<T>(socket: &Path, what: &str, is_it: impl Fn(&Status) -> Option<T>) -> T {
    let wanted = Subscription {
        status: true,
        ..Subscription::default()
    };
    let mut client = Client::subscribe(socket, wanted);
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Event::Status(status) = client.next_event() {
            if let Some(found) = is_it(&status) {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "waited {} s for {what}; the status is {status:#?}",
                PATIENCE.as_secs()
            );
        }
    }
}

/// The one module of a status.
pub fn module(status: &Status) -> ModuleStatus {
    status
        .modules
        .iter()
        .find(|module| module.name == MODULE)
        .cloned()
        .unwrap_or_default()
}

/// States of all versions that are listed, with their numbers.
pub fn states(status: &Status) -> Vec<(u32, VersionState)> {
    module(status)
        .versions
        .iter()
        .map(|version| (version.version, version.state))
        .collect()
}
