//! The program in a terminal, as a person sees it.

#![cfg(target_os = "linux")]

use std::io::{Read as _, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use inspector_protocol::message::{Answer, Request};
use inspector_protocol::status::Status;
use liveloop_tests::client::Client;
use liveloop_tests::engine::LIB;
use liveloop_tests::process::{self, Watched};
use liveloop_tests::scratch::{Game, Scratch};
use liveloop_tests::{MODULE, PATIENCE};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// What a program has drawn so far.
struct Screen {
    state: Mutex<Drawn>,
    changed: Condvar,
}

struct Drawn {
    parser: vt100::Parser,
    is_over: bool,
}

/// The engine in a terminal; killed when dropped.
struct Session<'a> {
    scratch: &'a Scratch,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    screen: Arc<Screen>,
    master: Box<dyn MasterPty + Send>,
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

impl<'a> Session<'a> {
    fn start(scratch: &'a Scratch, cols: u16, rows: u16) -> Self {
        let socket = scratch.temporary.join("socket");
        let engine = scratch.binary("engine");
        // Only the environment is taken from here, so that both kinds of session are equal.
        let plain = scratch.command(&engine);
        let mut command = CommandBuilder::new(&engine);
        command.arg("--socket");
        command.arg(&socket);
        command.cwd(&scratch.root);
        for (name, _) in plain.get_envs() {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        let pair = native_pty_system()
            .openpty(size(cols, rows))
            .expect("there are terminals");
        let child = pair
            .slave
            .spawn_command(command)
            .expect("the engine can be started");
        drop(pair.slave);
        let mut reader = pair
            .master
            .try_clone_reader()
            .expect("the terminal can be read");
        let keys = pair
            .master
            .take_writer()
            .expect("the terminal can be written");
        let drawn = Drawn {
            parser: vt100::Parser::new(rows, cols, 0),
            is_over: false,
        };
        let screen = Arc::new(Screen {
            state: Mutex::new(drawn),
            changed: Condvar::new(),
        });
        let shared = screen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                shared.lock().parser.process(&bytes[..length]);
                shared.changed.notify_all();
            }
            shared.lock().is_over = true;
            shared.changed.notify_all();
        });
        Self {
            scratch,
            child,
            keys,
            screen,
            master: pair.master,
        }
    }

    /// Waits until the screen is as `is_it` says.
    fn wait(&self, what: &str, is_it: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut drawn = self.screen.lock();
        while !is_it(drawn.parser.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            let shown = drawn.parser.screen().contents();
            assert!(
                !left.is_zero() && !drawn.is_over,
                "{what} never came; the screen:\n{shown}"
            );
            drawn = self
                .screen
                .changed
                .wait_timeout(drawn, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn wait_for(&self, text: &str) {
        self.wait(&format!("`{text}`"), |screen| {
            screen.contents().contains(text)
        });
    }

    /// Waits until the first two lines, which the log cannot reach, hold a text.
    fn wait_for_header(&self, text: &str) {
        self.wait(&format!("`{text}` in the header"), |screen| {
            let (_, columns) = screen.size();
            screen
                .rows(0, columns)
                .take(2)
                .any(|row| row.contains(text))
        });
    }

    fn press(&mut self, keys: &str) {
        self.keys
            .write_all(keys.as_bytes())
            .and_then(|()| self.keys.flush())
            .expect("keys can be pressed");
    }

    fn ask(&self, request: impl FnOnce(u64) -> Request) -> Answer {
        Client::connect(&self.scratch.temporary.join("socket")).ask(request)
    }

    fn dump(&self) -> Status {
        match self.ask(|id| Request::Status { id }) {
            Answer::Status(status) => *status,
            other => panic!("asked for the status, got {other:?}"),
        }
    }

    /// Waits for the end; the terminal must have been given back and nothing be left.
    fn wait_for_end(&mut self) -> u32 {
        Watched::new(self.child.process_id().expect("it has an id")).wait_for_end();
        let code = self
            .child
            .wait()
            .expect("it is a child of the test")
            .exit_code();
        let deadline = Instant::now() + PATIENCE;
        let mut drawn = self.screen.lock();
        while !drawn.is_over {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the terminal is still in use");
            drawn = self
                .screen
                .changed
                .wait_timeout(drawn, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let screen = drawn.parser.screen();
        assert!(
            !screen.alternate_screen(),
            "the alternate screen was not left"
        );
        assert!(!screen.hide_cursor(), "the cursor is hidden");
        assert_eq!(
            screen.mouse_protocol_mode(),
            vt100::MouseProtocolMode::None,
            "the mouse is captured"
        );
        drop(drawn);
        let left = process::running(&self.scratch.binary("engine"));
        assert!(left.is_empty(), "processes are left: {left:?}");
        code
    }

    /// Gives the panels the focus and leaves; the question is answered with yes.
    fn quit(mut self) {
        self.press("\x1b");
        self.wait_for("1-5 panel");
        self.press("q");
        self.wait("the question", |screen| screen.contents().contains("yes"));
        self.press("y");
        assert_eq!(self.wait_for_end(), 0);
    }
}

impl Screen {
    fn lock(&self) -> MutexGuard<'_, Drawn> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for (pid, _) in process::running(&self.scratch.binary("engine")) {
            Watched::new(pid).wait_for_end();
        }
    }
}

#[test]
fn a_session_shows_the_game_its_versions_and_gives_the_terminal_back() {
    let scratch = Scratch::take();
    let session = Session::start(&scratch, 140, 40);
    session.wait_for("tiny game, answer 1");
    session.wait("the alternate screen", vt100::Screen::alternate_screen);
    session.wait_for_header("game_logic v1");
    session.wait_for_header("running");

    scratch.edit(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    session.wait_for("tiny game, answer 2");
    session.wait_for_header("game_logic v2");

    // A mistake is shown with its place; the game is still drawn.
    scratch.edit(LIB, "fn answer() -> i64 {", "fn answer() -> i64 { oops");
    session.wait_for("lib.rs:");
    session.wait_for("1 error");
    session.wait_for("tiny game, answer 2");
    scratch.edit(LIB, "{ oops", "{");
    session.wait("that the error is gone", |screen| {
        !screen.contents().contains("1 error")
    });

    // The terminal gets smaller while it runs.
    session
        .master
        .resize(size(90, 20))
        .expect("a terminal can be resized");
    session.screen.lock().parser.screen_mut().set_size(20, 90);
    session.wait("the keys in the new last line", |screen| {
        let last = screen.rows(0, 90).last();
        last.is_some_and(|row| row.starts_with("Tab focus"))
    });
    session.wait_for_header("game_logic v2");
    session.quit();
}

#[test]
fn a_session_in_a_tiny_terminal_works() {
    let scratch = Scratch::take();
    let session = Session::start(&scratch, 40, 10);
    session.wait_for("tiny game, answer 1");
    session.quit();
}

#[test]
fn the_death_of_the_host_is_shown_and_another_goes_on() {
    let scratch = Scratch::take();
    let session = Session::start(&scratch, 140, 40);
    session.wait_for("tiny game, answer 1");
    let host = session.dump().engine.host_pid.expect("the host runs");
    process::signal(host, libc::SIGKILL);
    session.wait_for("the host died of SIGKILL; the game goes on from");
    session.wait_for("restarted ");
    session.wait_for("tiny game, answer 1");
    assert_ne!(session.dump().engine.host_pid, Some(host));
    session.quit();
}

#[test]
fn the_death_of_the_host_is_shown_and_r_starts_another() {
    let scratch = Scratch::take();
    let config = scratch.policies("on_crash: Wait");
    scratch.save("assets/engine.ron", &scratch.read(&config));
    let mut session = Session::start(&scratch, 140, 40);
    session.wait_for("tiny game, answer 1");
    let host = session.dump().engine.host_pid.expect("the host runs");
    process::signal(host, libc::SIGKILL);
    session.wait_for("SIGKILL");
    session.wait("that the host is down", |screen| {
        screen.contents().to_lowercase().contains("down")
    });
    assert_eq!(session.dump().engine.host_pid, None);
    session.press("R");
    session.wait_for("tiny game, answer 1");
    session.wait_for("running");
    assert_ne!(session.dump().engine.host_pid, Some(host));
    session.quit();
}

#[test]
fn r_enters_a_changed_engine_in_the_same_terminal() {
    let scratch = Scratch::take();
    let mut session = Session::start(&scratch, 140, 40);
    session.wait_for("tiny game, answer 1");
    scratch.edit(
        "engine/src/supervisor/configuring.rs",
        "Settings changed; {rate}",
        "Other settings; {rate}",
    );
    session.wait_for("the engine has changed and is built");
    let before = session.dump().engine;
    session.press("\x1b");
    session.wait_for("1-5 panel");
    session.press("R");
    session.wait_for("yes");
    session.press("y");
    // The screen that was left keeps nothing of the one before.
    session.wait("the new engine's screen", |screen| {
        let text = screen.contents();
        screen.alternate_screen()
            && text.contains("tiny game, answer 1")
            && !text.contains("the engine has changed and is built")
    });
    session.wait_for_header("running");
    let after = session.dump().engine;
    assert_eq!(after.pid, before.pid);
    assert_ne!(after.run_id, before.run_id);
    scratch.edit("assets/engine.ron", "frame_rate: 60", "frame_rate: 90");
    session.wait_for("Other settings; 90 frames per second");
    scratch.edit(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    session.wait_for("tiny game, answer 2");
    session.quit();
}

#[test]
fn signals_end_a_session_in_order() {
    let scratch = Scratch::take();
    for signal in [libc::SIGTERM, libc::SIGHUP] {
        let mut session = Session::start(&scratch, 100, 30);
        session.wait_for("tiny game, answer 1");
        process::signal(session.child.process_id().expect("it has an id"), signal);
        assert_eq!(session.wait_for_end(), 0, "signal {signal}");
    }
}

#[test]
fn the_demo_game_is_played_in_a_terminal_and_its_rule_changes_live() {
    let scratch = Scratch::with(Game::Demo);
    let session = Session::start(&scratch, 140, 40);
    session.wait_for_header("game_logic v1");
    let damage = || {
        let (module, function) = (MODULE.to_owned(), "damage".to_owned());
        let args = vec!["7".to_owned(), "3".to_owned()];
        session.ask(|id| Request::Call {
            id,
            module,
            function,
            args,
        })
    };
    assert_eq!(damage(), Answer::Value("4".to_owned()));
    let entities = session.dump().world.entities;
    let file = "game_logic/src/calls.rs";
    assert!(scratch.root.join(file).exists());
    scratch.edit(
        file,
        "attack.saturating_sub(defense).max(0)",
        "(attack * 10 - defense).max(0)",
    );
    session.wait_for_header("game_logic v2");
    assert_eq!(damage(), Answer::Value("67".to_owned()));
    assert!(
        session.dump().world.entities > 0 || entities == 0,
        "the world is still there"
    );
    session.quit();
}
