//! The real binary on a real (pseudo) terminal, attached to a hub made of a few
//! lines: whatever ends it, the terminal is given back.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use inspector_protocol::PROTOCOL_VERSION;
use inspector_protocol::message::{Answer, Event, LogLine, Request};
use inspector_protocol::status::{ReloadOutcome, ReloadStatus, Status};
use inspector_protocol::wire;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

const BINARY: &str = env!("CARGO_BIN_EXE_inspector");
const SIZE: PtySize = PtySize {
    rows: 24,
    cols: 80,
    pixel_width: 0,
    pixel_height: 0,
};
const SOON: Duration = Duration::from_secs(20);

/// A hub that answers everything, one client after another.
struct Hub {
    path: PathBuf,
    /// Connections that have ended.
    ended: Arc<AtomicU32>,
}

impl Hub {
    fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("inspector-test-{}-{number}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let ended = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&ended);
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A client may leave in the middle.
                let _ = serve(&mut stream.unwrap());
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { path, ended }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve(stream: &mut UnixStream) -> Result<(), wire::WireError> {
    let mut status = Status::default();
    status.engine.run_id = "run-of-the-test".into();
    loop {
        let events = match wire::read(stream)? {
            Request::Hello { .. } => {
                vec![Event::Welcome {
                    protocol: PROTOCOL_VERSION,
                    pid: 1,
                    root: "/".into(),
                }]
            }
            Request::Subscribe(wanted) => {
                let line = |seq| {
                    Event::Log(LogLine {
                        seq,
                        message: "kept".into(),
                        ..LogLine::default()
                    })
                };
                let mut events = vec![line(1), line(2)];
                events.retain(|_| wanted.logs);
                if wanted.status {
                    events.push(Event::Status(Box::new(status.clone())));
                }
                events
            }
            Request::Status { id } => {
                vec![Event::Answer {
                    id,
                    answer: Answer::Status(Box::new(status.clone())),
                }]
            }
            Request::Call {
                id, function, args, ..
            } => {
                let answer = match function.as_str() {
                    "echo" => Answer::Value(serde_json::to_string(&args).unwrap()),
                    _ => Answer::Error(format!("there is no function `{function}`")),
                };
                vec![Event::Answer { id, answer }]
            }
            Request::Reload { id, module } => {
                let outcome = match module.as_str() {
                    "good" => ReloadOutcome::Applied,
                    _ => ReloadOutcome::CompileError,
                };
                let reload = ReloadStatus {
                    module,
                    outcome,
                    ..ReloadStatus::default()
                };
                vec![Event::Answer {
                    id,
                    answer: Answer::Reload(reload),
                }]
            }
            // The hub hangs up.
            Request::RestartHost { .. } => return Ok(()),
            _ => Vec::new(),
        };
        for event in events {
            wire::write(stream, &event)?;
        }
    }
}

/// The inspector on a terminal of 80x24, and all it ever wrote.
struct Session {
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    _master: Box<dyn MasterPty + Send>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Session {
    fn start(hub: &Hub) -> Self {
        let mut command = CommandBuilder::new(BINARY);
        command.arg("--attach");
        command.arg(&hub.path);
        Self::spawn(command)
    }

    fn spawn(mut command: CommandBuilder) -> Self {
        let pair = native_pty_system().openpty(SIZE).unwrap();
        command.env("LANG", "C.UTF-8");
        command.env("RUST_BACKTRACE", "0");
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&written);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                copy.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Self {
            child,
            writer,
            _master: pair.master,
            written,
        }
    }

    /// What the terminal looks like now.
    fn terminal(&self) -> vt100::Parser {
        let mut parser = vt100::Parser::new(24, 80, 0);
        parser.process(&self.written.lock().unwrap());
        parser
    }

    fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.terminal().screen().contents().contains(text) {
            let shown = self.terminal().screen().contents();
            assert!(
                start.elapsed() < SOON,
                "`{text}` never came; the screen:\n{shown}"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn keys(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    fn wait_for_end(&mut self) -> u32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            if start.elapsed() > SOON {
                let shown = self.terminal().screen().contents();
                self.child.kill().unwrap();
                panic!("it did not end; the screen:\n{shown}");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn assert_given_back(&self) {
        let start = Instant::now();
        let given_back = || {
            let terminal = self.terminal();
            let screen = terminal.screen();
            let written = self.written.lock().unwrap();
            let popped = written.windows(5).any(|bytes| bytes == b"\x1b[<1u");
            !screen.alternate_screen()
                && !screen.hide_cursor()
                && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
                && popped
        };
        while !given_back() {
            assert!(start.elapsed() < SOON, "the terminal was not given back");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn q_leaves_and_gives_the_terminal_back() {
    let hub = Hub::start();
    let mut session = Session::start(&hub);
    session.wait_for("1 Modules");
    assert!(session.terminal().screen().alternate_screen());
    session.wait_for("run run-of-t");
    session.keys("?");
    session.wait_for("While the panels have the focus");
    session.keys("qq");
    assert_eq!(session.wait_for_end(), 0);
    session.assert_given_back();
}

#[test]
fn signals_give_the_terminal_back() {
    for signal in ["-TERM", "-INT", "-HUP"] {
        let hub = Hub::start();
        let mut session = Session::start(&hub);
        session.wait_for("1 Modules");
        let pid = session.child.process_id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(session.wait_for_end(), 0, "{signal}");
        session.assert_given_back();
    }
}

/// A session of its own gets no SIGHUP; there only reading and writing tell.
#[test]
fn a_terminal_that_goes_away_without_a_signal_ends_it() {
    let hub = Hub::start();
    let pair = native_pty_system().openpty(SIZE).unwrap();
    let mut command = CommandBuilder::new("setsid");
    command.args(["--wait", BINARY, "--attach"]);
    command.arg(&hub.path);
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut writer = pair.master.take_writer().unwrap();
    let mut terminal = vt100::Parser::new(SIZE.rows, SIZE.cols, 0);
    let mut wait_for = |text: &str| {
        let mut buffer = [0; 4096];
        while !terminal.screen().contents().contains(text) {
            let length = reader.read(&mut buffer).unwrap();
            terminal.process(&buffer[..length]);
        }
    };
    wait_for("1 Modules");
    // It reads keys by now.
    writer.write_all(b"2").unwrap();
    wait_for("no calls running");
    drop(writer);
    drop(reader);
    drop(pair.master);
    // `setsid` itself dies of the signal; the hub sees the inspector leave.
    let start = Instant::now();
    while hub.ended.load(Ordering::Relaxed) == 0 {
        assert!(start.elapsed() < SOON, "it goes on without a terminal");
        thread::sleep(Duration::from_millis(10));
    }
    child.wait().unwrap();
}

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    const CHILD: &str = "INSPECTOR_TEST_PANIC";
    const NAME: &str = "a_panic_gives_the_terminal_back_before_its_message";
    if std::env::var_os(CHILD).is_some() {
        let _guard = inspector::terminal::Guard::take().unwrap();
        let other = thread::Builder::new().name("other".into());
        let _ = other.spawn(|| panic!("of another thread")).unwrap().join();
        panic!("on purpose");
    }
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(["--exact", NAME, "--nocapture"]);
    command.env(CHILD, "1");
    let mut session = Session::spawn(command);
    assert_ne!(session.wait_for_end(), 0);
    session.assert_given_back();
    // On the ordinary screen, not on the alternate one that is gone.
    session.wait_for("on purpose");
    session.wait_for("of another thread");
}

#[test]
fn a_lost_hub_is_shown_and_found_again() {
    let hub = Hub::start();
    let mut session = Session::start(&hub);
    session.wait_for("run run-of-t");
    // This hub hangs up when asked to restart.
    session.keys("R");
    session.wait_for("LOST");
    session.wait_for("connected again");
    session.keys("q");
    assert_eq!(session.wait_for_end(), 0);
    session.assert_given_back();
}

fn command(hub: &Hub, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(BINARY)
        .args(args)
        .arg("--attach")
        .arg(&hub.path)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn commands_print_json_and_exit_as_documented() {
    let hub = Hub::start();
    let (code, stdout, stderr) = command(&hub, &["dump"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let status: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(status["engine"]["host"], "down");

    let (code, stdout, _) = command(&hub, &["call", "m", "echo", "-3", "\"x y\"", "(1, 2)"]);
    assert_eq!(
        (code, stdout.as_str()),
        (0, "[\"-3\",\"\\\"x y\\\"\",\"(1, 2)\"]\n")
    );

    let (code, stdout, stderr) = command(&hub, &["call", "m", "nothing"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(stderr, "error: there is no function `nothing`\n");

    let (code, stdout, _) = command(&hub, &["logs"]);
    assert_eq!((code, stdout.lines().count()), (0, 2));
    assert!(stdout.lines().all(|line| line.starts_with("{\"seq\":")));

    let (code, stdout, _) = command(&hub, &["reload", "good"]);
    assert!(
        code == 0 && stdout.contains("\"outcome\": \"applied\""),
        "{code} {stdout}"
    );
    let (code, stdout, stderr) = command(&hub, &["reload", "bad"]);
    assert!(
        code == 1 && stdout.contains("\"outcome\": \"compile_error\""),
        "{code} {stdout}"
    );
    assert!(stderr.starts_with("error: compile_error"), "{stderr}");

    assert_eq!(command(&hub, &["unknown"]).0, 2);
    // No terminal here.
    assert_eq!(command(&hub, &[]).0, 2);
    let nowhere = Command::new(BINARY)
        .args(["dump", "--attach", "/nowhere.sock"])
        .output();
    assert_eq!(nowhere.unwrap().status.code(), Some(3));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let hub = Hub::start();
    let mut child = Command::new(BINARY)
        .args(["logs", "--follow", "--attach"])
        .arg(&hub.path)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
