//! The host process as the supervisor sees it: a pipe, its output, its end.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use engine_runtime::link::{CallPath, FromHost, ToHost};
use inspector_protocol::status::StallStatus;
use inspector_protocol::wire;

use super::Message;
use crate::crash::{self, LastWords};
use crate::host::HostSetup;

/// Lines of standard error kept for the report of a crash.
const KEPT_LINES: usize = 40;
/// Messages to the host that may wait; a stuck host gets no more.
const QUEUE: usize = 1024;

/// A running host.
pub(super) struct HostProcess {
    /// Tells its messages from those of the host before.
    pub(super) run: u64,
    /// Process id.
    pub(super) pid: u32,
    child: Arc<Mutex<Child>>,
    to_host: Sender<ToHost>,
}

/// How a host ended.
#[derive(Debug)]
pub(super) struct HostEnd {
    /// Exit status, if it could be had.
    pub(super) status: Option<ExitStatus>,
    /// What it wrote about the call that killed it.
    pub(super) last_words: Option<LastWords>,
    /// What it was stalled in, if it was ended for that.
    pub(super) stall: Option<StallStatus>,
    /// The game code that led there.
    pub(super) path: CallPath,
    /// Last lines of standard error.
    pub(super) stderr: Vec<String>,
    /// When it died, as far as that was seen. It is gone later: the system may have to write
    /// its memory to a file first.
    pub(super) died_at: Instant,
}

/// What is kept of standard error.
#[derive(Default)]
struct Stderr {
    lines: VecDeque<String>,
    /// When the last words came.
    died_at: Option<Instant>,
}

impl Stderr {
    /// The end of a host whose pipe was closed at that time.
    fn into_end(self, status: Option<ExitStatus>, closed_at: Instant) -> HostEnd {
        let mut lines = self.lines.iter().rev();
        let last_words = lines.find_map(|line| crash::parse(line));
        let mut lines = self.lines.iter();
        let path = lines.find_map(|line| crash::parse_frames(line));
        let lines = self.lines.into_iter();
        HostEnd {
            status,
            last_words,
            stall: None,
            path: path.unwrap_or_default(),
            stderr: lines.filter(|line| !crash::is_last_words(line)).collect(),
            died_at: self.died_at.unwrap_or(closed_at),
        }
    }
}

impl HostEnd {
    /// `died of SIGSEGV`, `ended with exit status 101`.
    pub(super) fn cause(&self) -> String {
        if self.stall.is_some() {
            return "stalled".to_owned();
        }
        match self.status {
            None => "vanished".to_owned(),
            Some(status) => match status.signal() {
                Some(signal) => {
                    let name = signal_name(signal);
                    let name = name.split_once(" (").map_or(&*name, |(name, _)| name);
                    match name.parse::<i32>() {
                        Ok(number) => format!("died of signal {number}"),
                        Err(_) => format!("died of {name}"),
                    }
                }
                None => format!("ended with exit status {}", status.code().unwrap_or(-1)),
            },
        }
    }

    /// Whether it died of what its own code did, as far as the signal tells. Other signals
    /// come from outside: a person, or a system that is out of memory.
    pub(super) fn is_fault(&self) -> bool {
        if self.stall.is_some() {
            return true;
        }
        match self.status.and_then(|status| status.signal()) {
            Some(signal) => crash::SIGNALS.contains(&signal),
            None => true,
        }
    }

    /// `signal SIGSEGV`, `exit status 101`.
    pub(super) fn how(&self) -> String {
        if let Some(stall) = &self.stall {
            let seconds = stall.elapsed_ms as f64 / 1000.0;
            return format!("stalled for {seconds:.1} s");
        }
        match self.status {
            None => "it vanished".to_owned(),
            Some(status) => match status.signal() {
                Some(signal) => format!("signal {}", signal_name(signal)),
                None => format!("exit status {}", status.code().unwrap_or(-1)),
            },
        }
    }
}

/// The name, and what it means where that helps.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGSEGV => "SIGSEGV (invalid memory access)",
        libc::SIGBUS => "SIGBUS (invalid memory access)",
        libc::SIGILL => "SIGILL (invalid instruction)",
        libc::SIGFPE => "SIGFPE (arithmetic)",
        libc::SIGABRT => "SIGABRT (abort)",
        libc::SIGKILL => "SIGKILL (killed, perhaps for lack of memory)",
        libc::SIGTERM => "SIGTERM",
        other => return other.to_string(),
    };
    name.to_owned()
}

impl HostProcess {
    /// Starts a host with the engine's own command; everything it says arrives in `messages`.
    ///
    /// # Errors
    /// If the process or a thread cannot be started.
    pub(super) fn start(
        run: u64,
        mut command: Command,
        setup: &HostSetup,
        messages: &Sender<Message>,
    ) -> std::io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        command
            .arg("__host")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // The terminal's Ctrl-C is for the supervisor, which ends the host in order.
            .process_group(0);
        command.env("GLIBC_TUNABLES", tunables());
        let mut child = command.spawn()?;
        // The command keeps the child's end of the pipe open until it is dropped.
        drop(command);
        let pid = child.id();
        let kept_lines = Arc::new(Mutex::new(Stderr::default()));
        let output = child.stdout.take().map(|out| (out, messages.clone()));
        let errors = child
            .stderr
            .take()
            .map(|err| (err, messages.clone(), kept_lines.clone()));
        let child = Arc::new(Mutex::new(child));
        let mut setup_pipe = ours.try_clone()?;
        wire::write(&mut setup_pipe, setup).map_err(std::io::Error::other)?;

        let (to_host, queue) = bounded::<ToHost>(QUEUE);
        let mut writer = ours.try_clone()?;
        spawn("host-write", move || {
            for message in queue {
                if wire::write(&mut writer, &message).is_err() {
                    return;
                }
            }
            // The host sees the end of the pipe and ends itself.
            let _ = writer.shutdown(std::net::Shutdown::Write);
        })?;
        if let Some((out, messages)) = output {
            spawn("host-stdout", move || {
                lines(out, |text| {
                    let _ = messages.send(Message::HostOutput { text, error: false });
                });
            })?;
        }
        let stderr_thread = errors.map(|(err, messages, kept)| {
            spawn("host-stderr", move || {
                lines(err, |text| {
                    let is_last = crash::is_last_words(&text);
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.lines.len() == KEPT_LINES {
                        kept.lines.pop_front();
                    }
                    kept.lines.push_back(text.clone());
                    if is_last {
                        kept.died_at.get_or_insert_with(Instant::now);
                    }
                    drop(kept);
                    if !is_last {
                        let _ = messages.send(Message::HostOutput { text, error: true });
                    }
                });
            })
        });
        let (messages, waiting) = (messages.clone(), child.clone());
        let mut reader = BufReader::with_capacity(1 << 16, ours);
        spawn("host-read", move || {
            while let Ok(message) = wire::read::<FromHost>(&mut reader) {
                if messages
                    .send(Message::Host {
                        run,
                        message: Box::new(message),
                    })
                    .is_err()
                {
                    break;
                }
            }
            let closed_at = Instant::now();
            if let Some(Ok(thread)) = stderr_thread {
                let _ = thread.join();
            }
            let status = wait(&waiting);
            let kept =
                std::mem::take(&mut *kept_lines.lock().unwrap_or_else(PoisonError::into_inner));
            let end = kept.into_end(status, closed_at);
            let _ = messages.send(Message::HostEnded {
                run,
                end: Box::new(end),
            });
        })?;
        Ok(Self {
            run,
            pid,
            child,
            to_host,
        })
    }

    /// Sends a message unless the host is stuck. Never blocks. Returns whether it was
    /// queued.
    pub(super) fn send(&self, message: ToHost) -> bool {
        self.to_host.try_send(message).is_ok()
    }

    /// Ends the process now.
    pub(super) fn kill(&self) {
        let _ = self
            .child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .kill();
    }

    /// Whether it has ended, waiting up to `limit`.
    pub(super) fn ends_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let ended = {
                let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
                !matches!(child.try_wait(), Ok(None))
            };
            if ended || Instant::now() >= deadline {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        self.kill();
        let _ = wait(&self.child);
    }
}

/// Settings of the C library for a host. It keeps the stacks of threads that ended for the
/// next ones, with all that was on them; a look for references to old code would find that.
fn tunables() -> OsString {
    let own = "glibc.pthread.stack_cache_size=0";
    match std::env::var_os("GLIBC_TUNABLES") {
        Some(mut others) if !others.is_empty() => {
            others.push(":");
            others.push(own);
            others
        }
        _ => own.into(),
    }
}

fn wait(child: &Mutex<Child>) -> Option<ExitStatus> {
    // Polled, because a blocking wait would keep `kill` from getting the lock.
    loop {
        match child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_wait()
        {
            Ok(Some(status)) => return Some(status),
            Ok(None) => {}
            Err(_) => return None,
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
}

/// Hands over each line; bytes that are no UTF-8 are replaced, endless lines cut.
fn lines(from: impl Read, mut take: impl FnMut(String)) {
    const LONGEST: u64 = 64 * 1024;
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match from.by_ref().take(LONGEST).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => take(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
        }
    }
}
