//! The running engine, seen through its protocol.

use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use inspector_protocol::message::{Answer, Event, Request, Subscription};
use inspector_protocol::status::{ReloadOutcome, ReloadStatus, ReloadTimings};
use inspector_protocol::{PROTOCOL_VERSION, endpoint, wire};
use miette::{IntoDiagnostic as _, Result, WrapErr as _, miette};

use crate::edit::{Source, answer};
use crate::scratch::Scratch;

/// The module that is edited.
const MODULE: &str = "game_logic";
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(2);

/// An engine without terminal, and a client of it. Killed when dropped.
pub(crate) struct Engine {
    process: Child,
    connection: UnixStream,
    next_id: u64,
}

impl Engine {
    /// Starts it and waits until the game runs.
    pub(crate) fn start(scratch: &Scratch) -> Result<Self> {
        let program = scratch.libraries().join("engine");
        let mut process = scratch
            .command(&program)
            .args(["--headless", "--log-level", "error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .into_diagnostic()
            .wrap_err_with(|| format!("{} cannot be started", program.display()))?;
        let connected = connect(&mut process);
        let connection = match connected {
            Ok(connection) => connection,
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                return Err(error);
            }
        };
        let mut engine = Self {
            process,
            connection,
            next_id: 0,
        };
        engine.send(&Request::Hello {
            protocol: PROTOCOL_VERSION,
            client: "edit_loop".to_owned(),
        })?;
        engine.send(&Request::Subscribe(Subscription {
            status: true,
            ..Subscription::default()
        }))?;
        engine.wait_for("the first version", |event| match event {
            Event::Refused { reason } => Some(Err(miette!("{reason}"))),
            Event::Status(status) => {
                let mut modules = status.modules.iter();
                let runs = modules.any(|module| module.name == MODULE && module.active.is_some());
                runs.then_some(Ok(()))
            }
            _ => None,
        })??;
        Ok(engine)
    }

    /// Saves an edit and waits until it runs; the time from before the save, and the
    /// engine's own figures.
    pub(crate) fn edit(
        &mut self,
        source: &mut Source,
        edit: u32,
    ) -> Result<(Duration, ReloadTimings)> {
        let start = Instant::now();
        source.save(edit)?;
        let reload = self.wait_for("the reload", |event| match event {
            Event::Reload(reload) if reload.module == MODULE => Some(reload),
            _ => None,
        })?;
        let took = start.elapsed();
        let ReloadStatus {
            outcome,
            message,
            timings_ms,
            ..
        } = reload;
        if outcome != ReloadOutcome::Applied {
            return Err(miette!(
                "edit {edit} ended as {}: {message}",
                outcome.name()
            ));
        }
        let found = self.call("damage", &["12", "5"])?;
        if found != answer(edit) {
            return Err(miette!(
                "after edit {edit} `damage` is {found} and not {}",
                answer(edit)
            ));
        }
        Ok((took, timings_ms))
    }

    /// Ends it in order.
    pub(crate) fn end(mut self) -> Result<()> {
        self.send(&Request::Shutdown { id: 0 })?;
        let status = self.process.wait().into_diagnostic()?;
        if status.success() {
            Ok(())
        } else {
            Err(miette!("the engine ended with {status}"))
        }
    }

    fn call(&mut self, function: &str, args: &[&str]) -> Result<String> {
        self.next_id += 1;
        let id = self.next_id;
        self.send(&Request::Call {
            id,
            module: MODULE.to_owned(),
            function: function.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        })?;
        let answer = self.wait_for("an answer", |event| match event {
            Event::Answer {
                id: answered,
                answer,
            } if answered == id => Some(answer),
            _ => None,
        })?;
        match answer {
            Answer::Value(value) => Ok(value),
            other => Err(miette!("`{function}` gave no value: {other:?}")),
        }
    }

    fn send(&mut self, request: &Request) -> Result<()> {
        wire::write(&mut self.connection, request).into_diagnostic()
    }

    fn wait_for<R>(&mut self, what: &str, mut is_it: impl FnMut(Event) -> Option<R>) -> Result<R> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let event = wire::read(&mut self.connection)
                .into_diagnostic()
                .wrap_err_with(|| format!("the engine fell silent before {what} came"))?;
            if let Some(found) = is_it(event) {
                return Ok(found);
            }
        }
        Err(miette!(
            "{what} did not come within {} s",
            PATIENCE.as_secs()
        ))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn connect(process: &mut Child) -> Result<UnixStream> {
    let socket = endpoint::socket_path(process.id()).display().to_string();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(connection) = endpoint::connect(Some(&socket)) {
            connection
                .set_read_timeout(Some(PATIENCE))
                .into_diagnostic()?;
            return Ok(connection);
        }
        if let Some(status) = process.try_wait().into_diagnostic()? {
            return Err(miette!("the engine ended at once with {status}"));
        }
        if Instant::now() > deadline {
            return Err(miette!("the engine does not listen at {socket}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
