//! A running compiler: its own process group, its output as lines.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::platform;

/// Lines that may wait to be read before the compiler is held up.
const LINES: usize = 4096;

/// One line of output, without its end.
#[derive(Debug)]
pub(crate) enum Line {
    /// Of stdout.
    Out(String),
    /// Of stderr.
    Err(String),
}

/// A compiler that runs. Dropping it ends it and everything it started.
#[derive(Debug)]
pub(crate) struct Compiler {
    child: Child,
    lines: Receiver<Line>,
    is_reaped: bool,
}

impl Compiler {
    /// Starts the command.
    pub(crate) fn spawn(mut command: Command) -> io::Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        platform::into_own_group(&mut command);
        let mut child = command.spawn()?;
        let (sender, lines) = bounded(LINES);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let compiler = Self {
            child,
            lines,
            is_reaped: false,
        };
        if let Some(stdout) = stdout {
            forward(stdout, "build-stdout", sender.clone(), Line::Out)?;
        }
        if let Some(stderr) = stderr {
            forward(stderr, "build-stderr", sender, Line::Err)?;
        }
        Ok(compiler)
    }

    /// Its output; disconnected when it has closed both streams.
    pub(crate) fn lines(&self) -> &Receiver<Line> {
        &self.lines
    }

    /// Waits for its end; call when [`Compiler::lines`] is disconnected.
    pub(crate) fn finish(mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait();
        self.is_reaped = status.is_ok();
        status
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        if !self.is_reaped {
            platform::kill_group(self.child.id());
            // Where there are no groups, and if the group was not set up yet.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sends the lines of a stream until it ends or nobody listens.
fn forward(
    stream: impl Read + Send + 'static,
    name: &str,
    sender: Sender<Line>,
    wrap: fn(String) -> Line,
) -> io::Result<()> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut bytes = Vec::new();
            while matches!(stream.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
                let line = String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned();
                if sender.send(wrap(line)).is_err() {
                    break;
                }
                bytes.clear();
            }
        })?;
    Ok(())
}
