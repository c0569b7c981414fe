use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use engine_api::prelude::*;
use inspector_protocol::input::{InputEvent, Key as WireKey};
use inspector_protocol::status::{ReloadOutcome, Severity, VersionState};
use inspector_protocol::viewport::ViewportFrame;

use super::*;
use crate::link::{LoadRequest, Snapshot};
use crate::testing::{Build, CodeLog, FakeBackend, wait_until};

#[derive(Component, Reflect, Default)]
#[reflect(Component, Default)]
struct Health(u32);
#[derive(Resource, Reflect, Default)]
struct Counts {
    startups: u32,
    frames: u32,
    keys: u32,
    kept: u64,
}
#[derive(Resource, Reflect, Default)]
#[reflect(Default)]
struct Tuning {
    speed: i32,
}

engine_api::keep_static! {
    static ROUNDS: u32 = 5;
}

fn common(m: &mut ModuleBuilder) -> &mut ModuleBuilder {
    m.component::<Health>()
        .keep(&ROUNDS)
        .systems(Update, |mut seen: Keep<u64>, mut counts: ResMut<Counts>| {
            *seen += 1;
            counts.kept = *seen;
        })
        .function("kept", |world: &mut World| world.resource::<Counts>().kept)
        .function("round", |world: &mut World| {
            let mut rounds = ROUNDS.get_mut(world);
            *rounds += 1;
            *rounds
        })
        .resource::<Counts>()
        .systems(Startup, |mut counts: ResMut<Counts>| counts.startups += 1)
        .function("startups", |world: &mut World| {
            world.resource::<Counts>().startups
        })
        .function("frames", |world: &mut World| {
            world.resource::<Counts>().frames
        })
        .function("set_frames", |world: &mut World, frames: u32| {
            world.resource_mut::<Counts>().frames = frames;
        })
        .function("damage", |attack: i32, defense: i32| attack - defense)
}
fn one(m: &mut ModuleBuilder) {
    common(m)
        .systems(Update, |mut counts: ResMut<Counts>| counts.frames += 1)
        .function("which", || 1)
        .function("fails", || -> i32 { panic!("no luck") });
}
fn two(m: &mut ModuleBuilder) {
    common(m).function("which", || 2);
}
fn interactive(m: &mut ModuleBuilder) {
    common(m)
        .on_key(Key::Enter, |mut counts: ResMut<Counts>| counts.keys += 1)
        .function("keys", |world: &mut World| world.resource::<Counts>().keys)
        .systems(Render, |mut viewport: ResMut<Viewport>| {
            viewport.text(1, 0, "hi", Color::WHITE);
        });
}
fn tuned(m: &mut ModuleBuilder) {
    m.asset::<Tuning>("tuning.ron")
        .function("speed", |world: &mut World| {
            world.resource::<Tuning>().speed
        });
}
fn breaks(mut counts: ResMut<Counts>) {
    counts.keys += 1;
    panic!("out of cheese");
}
fn breaking(m: &mut ModuleBuilder) {
    common(m)
        .systems(
            Update,
            (breaks, |mut counts: ResMut<Counts>| counts.frames += 1),
        )
        .function("keys", |world: &mut World| world.resource::<Counts>().keys);
}

mod arriving;
mod jobs;
mod rebuilding;
mod reloads;

struct Options {
    frame_rate: u32,
    max_frames: Option<u64>,
    wait_for_modules: bool,
    rollback_within: Duration,
    drain: DrainPolicy,
    checkpoints: Option<CheckpointConfig>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            frame_rate: 1000,
            max_frames: None,
            wait_for_modules: true,
            rollback_within: Duration::ZERO,
            drain: DrainPolicy::Wait,
            checkpoints: None,
        }
    }
}

/// A host on a thread of its own, and its supervisor's side.
struct Running {
    to: Sender<ToHost>,
    from: Receiver<Box<FromHost>>,
    thread: JoinHandle<()>,
    board: Arc<Board>,
    /// Lines that came so far.
    log: RefCell<Vec<String>>,
}

fn run(fake: &FakeBackend, assets: &Path, options: Options) -> Running {
    let (to, inbox) = bounded(1000);
    let (outbox, from) = unbounded();
    let (started, board) = bounded(1);
    let config = HostConfig {
        modules: vec![("game".to_owned(), 0)],
        backends: vec![Box::new(fake.clone())],
        assets: assets.to_path_buf(),
        frame_rate: options.frame_rate,
        max_frames: options.max_frames,
        wait_for_modules: options.wait_for_modules,
        shared: None,
        rollback_within: options.rollback_within,
        every_panic_fails: false,
        drain: HashMap::from([("game".to_owned(), options.drain)]),
        stalled_after: Duration::ZERO,
        checkpoints: options.checkpoints,
        unload: UnloadPolicy::Known,
    };
    let thread = std::thread::spawn(move || {
        let host = Host::start(config, inbox, outbox).unwrap();
        started.send(host.board.clone()).unwrap();
        host.run();
    });
    Running {
        to,
        from,
        thread,
        board: board.recv().unwrap(),
        log: RefCell::default(),
    }
}

fn start(artifacts: &[(&str, Build)]) -> (Running, FakeBackend) {
    let fake = FakeBackend::new(artifacts);
    (run(&fake, Path::new("no assets"), Options::default()), fake)
}

impl Running {
    fn send(&self, message: ToHost) {
        self.to.send(message).unwrap();
    }

    /// Waits for a message that `pick` picks; others are passed over.
    fn wait_for<R>(&self, what: &str, mut pick: impl FnMut(FromHost) -> Option<R>) -> R {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut passed = Vec::new();
        loop {
            let message = self.from.recv_deadline(deadline).ok().map(|boxed| *boxed);
            let Some(message) = message.filter(|_| Instant::now() < deadline) else {
                panic!("no {what}; there was {passed:#?}")
            };
            match &message {
                FromHost::Snapshot(_) => {}
                FromHost::Log { message, .. } => self.log.borrow_mut().push(message.clone()),
                message => passed.push(message.clone()),
            }
            if let Some(found) = pick(message) {
                return found;
            }
        }
    }

    /// Waits for a line unless it came already.
    fn wait_for_log(&self, line: &str) {
        if self.log.borrow().iter().any(|before| before == line) {
            return;
        }
        self.wait_for(line, |message| match message {
            FromHost::Log { message, .. } if message == line => Some(()),
            _ => None,
        });
    }

    /// Waits for a line of the log with some words, and gives it.
    fn line(&self, words: &str) -> String {
        let find = |lines: &Vec<String>| lines.iter().find(|line| line.contains(words)).cloned();
        let before = find(&self.log.borrow());
        before.unwrap_or_else(|| {
            self.wait_for(words, |message| match message {
                FromHost::Log { message, .. } if message.contains(words) => Some(message),
                _ => None,
            })
        })
    }

    fn cancel(&self, job: u64) -> Result<String, String> {
        self.send(ToHost::CancelJob { id: 6, job });
        self.wait_for("answer", |message| match message {
            FromHost::Called { id: 6, result } => Some(result),
            _ => None,
        })
    }

    fn load(&self, name: &str) -> Reloaded {
        self.send(ToHost::Load(vec![LoadRequest {
            ticket: 77,
            module: "game".into(),
            artifact: name.into(),
            hash: 0,
            force: false,
            quarantine: false,
            restore: false,
        }]));
        self.wait_for("end of the reload", |message| match message {
            FromHost::Reloaded(report) if report.ticket == Some(77) => Some(report),
            _ => None,
        })
    }

    fn call(&self, function: &str, args: &[&str]) -> Result<String, String> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.send(ToHost::Call {
            id: 5,
            module: "game".into(),
            function: function.into(),
            args,
        });
        self.wait_for("answer", |message| match message {
            FromHost::Called { id: 5, result } => Some(result),
            _ => None,
        })
    }

    fn wait_for_snapshot(&self, what: &str, mut fits: impl FnMut(&Snapshot) -> bool) -> Snapshot {
        self.wait_for(what, |message| match message {
            FromHost::Snapshot(snapshot) if fits(&snapshot) => Some(*snapshot),
            _ => None,
        })
    }

    fn finish(self) {
        self.send(ToHost::Shutdown);
        self.wait_for("end", |message| {
            (message == FromHost::Finished).then_some(())
        });
        self.thread.join().unwrap();
    }
}

#[test]
fn a_module_is_loaded_called_and_replaced_while_frames_run() {
    let (host, fake) = start(&[("one", one), ("two", two)]);
    let report = host.load("one");
    assert_eq!(
        (report.outcome, report.from, report.to),
        (ReloadOutcome::Applied, None, Some(1))
    );
    assert_eq!(host.call("which", &[]), Ok("1".into()));
    assert_eq!(host.call("damage", &["12", "5"]), Ok("7".into()));
    wait_until("frames", || {
        host.call("frames", &[]).unwrap().parse::<u32>().unwrap() > 2
    });

    let report = host.load("two");
    assert_eq!(
        (report.outcome, report.from, report.to),
        (ReloadOutcome::Applied, Some(1), Some(2))
    );
    host.wait_for_log("v1 unloaded");
    assert_eq!(host.call("which", &[]), Ok("2".into()));
    assert_eq!(
        host.call("startups", &[]),
        Ok("1".into()),
        "Startup is for the first version"
    );
    assert_ne!(
        host.call("frames", &[]),
        Ok("0".into()),
        "resources survive"
    );
    let closed: Vec<bool> = fake.codes().iter().map(|code| code.is_closed()).collect();
    assert_eq!(closed, [false, true, false]);
    let snapshot = host.wait_for_snapshot("status", |_| true);
    assert_eq!(snapshot.modules[0].active, Some(2));
    assert_eq!(snapshot.modules[0].kind, "fake");
    host.finish();
}

#[test]
fn frames_go_on_under_a_flood_of_calls() {
    fn slow(m: &mut ModuleBuilder) {
        one(m);
        m.function("slow", |_: &mut World| {
            std::thread::sleep(Duration::from_millis(5));
        });
    }
    let (host, _) = start(&[("slow", slow)]);
    host.load("slow");
    // Far more than the time between two frames; the queue never runs empty.
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = host.to.send_timeout(
                    ToHost::Call {
                        id: 6,
                        module: "game".into(),
                        function: "slow".into(),
                        args: Vec::new(),
                    },
                    Duration::from_millis(10),
                );
            }
        });
        let before = host.board.frames.count();
        wait_until("frames", || host.board.frames.count() > before + 10);
        stop.store(true, Ordering::Relaxed);
    });
    host.finish();
}

#[test]
fn every_load_is_logged_and_answered() {
    let (host, _) = start(&[("one", one), ("two", two)]);
    host.load("one");
    host.wait_for_log("Module 'game' loaded (v1)");
    assert_eq!(host.load("misfit").outcome, ReloadOutcome::Rejected);
    assert_eq!(host.load("unusable").outcome, ReloadOutcome::LoadError);
    assert_eq!(host.load("one").outcome, ReloadOutcome::Unchanged);
    host.load("two");
    // Refused ones got no number: nothing of them was loaded.
    host.wait_for_log("Module 'game' reloaded (v1 -> v2)");
    host.finish();
}

#[test]
fn calls_that_cannot_be_made_are_answered() {
    let (host, _) = start(&[("one", one)]);
    host.load("one");
    let check = |function: &str, args: &[&str], expected: &str| {
        let error = host.call(function, args).unwrap_err();
        assert!(error.contains(expected), "`{error}` lacks `{expected}`");
    };
    check(
        "damage",
        &["12", "5,"],
        "argument 2 `5,` is no RON value (column ",
    );
    check("damage", &["", "5"], "argument 1 `` is no RON value");
    check("damage", &["12"], "takes 2 arguments, got 1");
    check(
        "damage",
        &["12", "\"x\""],
        "argument 2: expected i32, got text",
    );
    check("startups", &["1"], "takes 0 arguments, got 1");
    check(
        "damaeg",
        &[],
        "functions are: damage, fails, frames, kept, round, set_frames, startups, which",
    );
    check("fails", &[], "`fails` panicked: ");
    check("fails", &[], "host/tests.rs:");
    host.send(ToHost::Call {
        id: 6,
        module: "gane".into(),
        function: "f".into(),
        args: vec![],
    });
    let result = host.wait_for("answer", |message| match message {
        FromHost::Called { id: 6, result } => Some(result),
        _ => None,
    });
    assert!(result.unwrap_err().contains("modules are: game"));
    assert_eq!(host.call("which", &[]), Ok("1".into()), "it runs on");
    host.finish();
}

#[test]
fn a_long_call_neither_stops_frames_nor_moves_to_the_next_version() {
    static MAY_END: AtomicBool = AtomicBool::new(false);
    fn slow(m: &mut ModuleBuilder) {
        one(m);
        m.function("slow", || {
            wait_until("leave to end", || MAY_END.load(Ordering::SeqCst));
            1
        });
    }
    let (host, fake) = start(&[("slow", slow), ("two", two)]);
    host.load("slow");
    let call = |id, function: &str| ToHost::Call {
        id,
        module: "game".into(),
        function: function.into(),
        args: vec![],
    };
    host.send(call(9, "slow"));
    let snapshot = host.wait_for_snapshot("a running call", |snapshot| {
        snapshot
            .calls
            .iter()
            .any(|call| call.function == "slow" && call.version == 1)
    });
    host.load("two");
    host.wait_for_log("v1 draining (1 active call)");
    host.wait_for_snapshot("frames", |later| later.frame > snapshot.frame + 5);
    assert_eq!(host.call("which", &[]), Ok("2".into()));
    assert!(!fake.codes()[1].is_closed());
    MAY_END.store(true, Ordering::SeqCst);
    let answer = host.wait_for("answer", |message| match message {
        FromHost::Called { id: 9, result } => Some(result),
        _ => None,
    });
    assert_eq!(answer, Ok("1".into()));
    host.wait_for_log("v1 unloaded");
    host.finish();
}

#[test]
fn keys_reach_the_game_and_its_picture_comes_back() {
    let (host, _) = start(&[("interactive", interactive)]);
    host.load("interactive");
    host.send(ToHost::Input(InputEvent::KeyDown(WireKey::Char('x'))));
    host.send(ToHost::Input(InputEvent::KeyDown(WireKey::Enter)));
    wait_until("the key", || host.call("keys", &[]) == Ok("1".into()));
    host.send(ToHost::ViewportSize {
        width: 4,
        height: 2,
    });
    host.send(ToHost::ViewportWanted(true));
    let text =
        |picture: &ViewportFrame| -> String { picture.cells.iter().map(|cell| cell.ch).collect() };
    host.wait_for("picture", |message| match message {
        FromHost::Viewport(picture) if (picture.width, picture.height) == (4, 2) => {
            (text(&picture) == " hi     ").then_some(())
        }
        _ => None,
    });
    assert_eq!(
        host.call("keys", &[]),
        Ok("1".into()),
        "a held key is pressed once"
    );
    host.finish();
}

#[test]
fn assets_follow_their_files() {
    let assets = tempfile::tempdir().unwrap();
    let file = assets.path().join("tuning.ron");
    fs::write(&file, "(speed: 1)").unwrap();
    let fake = FakeBackend::new(&[("tuned", tuned)]);
    let host = run(&fake, assets.path(), Options::default());
    host.load("tuned");
    let write = |text: &str| {
        fs::write(&file, text).unwrap();
        host.send(ToHost::FilesChanged(vec![file.clone()]));
    };
    let wait_for_speed =
        |speed: &str| wait_until("the value", || host.call("speed", &[]) == Ok(speed.into()));
    wait_for_speed("1");
    write("(speed: \"fast\")");
    let snapshot = host.wait_for_snapshot("a problem", |snapshot| !snapshot.problems.is_empty());
    assert_eq!(snapshot.problems[0].file, "assets/tuning.ron");
    wait_for_speed("1");
    write("(speed: 2)");
    wait_for_speed("2");
    host.wait_for_snapshot("no problem", |snapshot| snapshot.problems.is_empty());
    host.finish();
}

#[test]
fn a_panicking_system_is_a_problem_and_the_game_goes_on() {
    let (host, _) = start(&[("breaking", breaking), ("two", two)]);
    host.load("breaking");
    let snapshot = host.wait_for_snapshot("a problem", |snapshot| !snapshot.problems.is_empty());
    let [problem] = snapshot.problems.as_slice() else {
        panic!("{:?}", snapshot.problems)
    };
    assert!(
        problem
            .message
            .contains("::breaks` panicked: out of cheese"),
        "{problem:?}"
    );
    assert!(problem.file.ends_with("host/tests.rs") && problem.line > 0);
    let frames = || host.call("frames", &[]).unwrap().parse::<u32>().unwrap();
    let before = frames();
    wait_until("later frames", || frames() > before + 3);
    assert_eq!(host.call("keys", &[]), Ok("1".into()), "it is paused");
    host.load("two");
    host.wait_for_snapshot("no problem", |snapshot| snapshot.problems.is_empty());
    host.finish();
}

#[test]
fn a_game_may_take_the_engines_resources_out_of_its_world() {
    fn empties(m: &mut ModuleBuilder) {
        common(m).systems(
            Update,
            |mut commands: Commands, mut counts: ResMut<Counts>| {
                commands.remove_resource::<Time>();
                commands.remove_resource::<Input>();
                commands.remove_resource::<Viewport>();
                counts.frames += 1;
            },
        );
    }
    let (host, _) = start(&[("empties", empties)]);
    host.load("empties");
    host.send(ToHost::ViewportWanted(true));
    host.send(ToHost::Input(InputEvent::FocusLost));
    wait_until("frames", || {
        host.call("frames", &[]).unwrap().parse::<u32>().unwrap() > 3
    });
    host.finish();
}

#[test]
fn the_world_goes_before_the_code_and_a_panic_there_does_not_stop_the_end() {
    static CODES: Mutex<Vec<Arc<CodeLog>>> = Mutex::new(Vec::new());
    static SEEN: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    #[derive(Component, Reflect, Default)]
    #[reflect(Component, Default)]
    struct Fragile(u32);
    impl Drop for Fragile {
        fn drop(&mut self) {
            let codes = CODES.lock().unwrap();
            let gone =
                |code: &Arc<CodeLog>| code.is_closed() || code.dropped.load(Ordering::SeqCst);
            if self.0 == 1 && !codes.is_empty() {
                SEEN.lock().unwrap().insert(if codes.iter().any(gone) {
                    "gone"
                } else {
                    "there"
                });
                drop(codes);
                panic!("broken glass");
            }
        }
    }
    fn fragile(m: &mut ModuleBuilder) {
        m.component::<Fragile>()
            .systems(Startup, |mut commands: Commands| {
                commands.spawn(Fragile(1));
            });
    }
    let (host, fake) = start(&[("fragile", fragile)]);
    host.load("fragile");
    CODES.lock().unwrap().extend(fake.codes());
    host.send(ToHost::Shutdown);
    host.wait_for("end", |message| {
        (message == FromHost::Finished).then_some(())
    });
    let told = "a value panicked while it was dropped";
    assert!(host.log.borrow().iter().any(|line| line.contains(told)));
    host.thread.join().unwrap();
    assert_eq!(*SEEN.lock().unwrap(), BTreeSet::from(["there"]));
}

#[test]
fn frames_wait_for_the_modules_and_end_at_the_limit() {
    let fake = FakeBackend::new(&[("one", one)]);
    let limit = Options {
        max_frames: Some(5),
        ..Options::default()
    };
    let host = run(&fake, Path::new("no assets"), limit);
    host.wait_for_snapshot("a look", |_| true);
    assert_eq!(host.board.frames.count(), 0);
    host.load("one");
    host.wait_for("end", |message| {
        (message == FromHost::Finished).then_some(())
    });
    host.thread.join().unwrap();
    assert_eq!(host.board.frames.count(), 5);
}

#[test]
fn a_supervisor_that_does_not_read_stops_no_frame_and_still_hears_the_end() {
    let fake = FakeBackend::new(&[]);
    let options = Options {
        wait_for_modules: false,
        ..Options::default()
    };
    let host = run(&fake, Path::new("no assets"), options);
    for _ in 0..2000 {
        host.send(ToHost::Call {
            id: 1,
            module: "x".into(),
            function: "y".into(),
            args: vec![],
        });
    }
    wait_until("a loss", || host.board.dropped.load(Ordering::Relaxed) > 0);
    let frames = host.board.frames.count();
    wait_until("frames", || host.board.frames.count() > frames + 10);
    host.send(ToHost::Shutdown);
    host.thread.join().unwrap();
    let messages: Vec<FromHost> = host.from.try_iter().map(|boxed| *boxed).collect();
    let answers = messages
        .iter()
        .filter(|message| matches!(message, FromHost::Called { .. }));
    assert_eq!(answers.count(), 2000, "whoever asked is answered");
    assert_eq!(messages.last(), Some(&FromHost::Finished));
}

#[test]
fn the_unload_policy_changes_while_the_game_runs() {
    let (host, _) = start(&[("one", one), ("two", two)]);
    let settings = |unload| ToHost::Settings {
        frame_rate: 1000,
        rollback_within_ms: 0,
        every_panic_fails: false,
        stalled_after_ms: 0,
        checkpoint_every_ms: 0,
        checkpoints_kept: 1,
        drain: HashMap::new(),
        unload,
    };
    host.load("one");
    host.send(settings(UnloadPolicy::Never));
    host.load("two");
    host.wait_for_log("v1 pinned (the configuration keeps all versions)");
    host.send(settings(UnloadPolicy::Known));
    host.wait_for_log("v1 unloaded");
    host.finish();
}

#[test]
fn a_host_whose_supervisor_is_gone_ends() {
    let (host, _) = start(&[("one", one)]);
    host.load("one");
    drop(host.to);
    drop(host.from);
    host.thread.join().unwrap();
}

#[test]
fn a_panic_of_a_young_version_is_reported_as_its_failure() {
    let fake = FakeBackend::new(&[("one", one), ("breaking", breaking)]);
    let options = Options {
        rollback_within: Duration::from_mins(1),
        ..Options::default()
    };
    let host = run(&fake, Path::new("no assets"), options);
    host.load("one");
    host.load("breaking");
    let (version, message) = host.wait_for("failure", |message| match message {
        FromHost::Failed {
            version, message, ..
        } => Some((version, message)),
        _ => None,
    });
    assert_eq!(version, 2);
    assert!(message.contains("out of cheese"), "{message}");
    // The supervisor has the one before loaded again.
    host.send(ToHost::Load(vec![LoadRequest {
        ticket: 78,
        module: "game".into(),
        artifact: "one".into(),
        hash: 0,
        force: true,
        quarantine: true,
        restore: false,
    }]));
    let status = host.wait_for_snapshot("quarantine", |snapshot| {
        snapshot.modules[0].active == Some(3)
            && snapshot.modules[0].versions[1].state == VersionState::Quarantined
    });
    assert_eq!(status.modules[0].versions[1].version, 2);
    host.finish();
}

#[test]
fn a_first_version_that_panics_has_nothing_to_go_back_to() {
    let fake = FakeBackend::new(&[("breaking", breaking)]);
    let options = Options {
        rollback_within: Duration::from_mins(1),
        ..Options::default()
    };
    let host = run(&fake, Path::new("no assets"), options);
    host.load("breaking");
    host.wait_for("the pause", |message| match message {
        FromHost::Failed { .. } => panic!("nothing to go back to"),
        FromHost::Log { message, .. } => message.contains("paused until").then_some(()),
        _ => None,
    });
    host.finish();
}

/// A host that keeps checkpoints, as a run with this number does.
fn run_with_checkpoints(folder: &Path, resume: Option<&str>, this: &str) -> Running {
    let fake = FakeBackend::new(&[("one", one), ("two", two)]);
    let options = Options {
        checkpoints: Some(CheckpointConfig {
            folder: folder.join(this),
            kept: 3,
            every: Duration::ZERO,
            resume: resume.map(|run| ResumeFrom {
                folder: folder.join(run),
                before: None,
            }),
        }),
        ..Options::default()
    };
    run(&fake, Path::new("no assets"), options)
}

#[test]
fn a_game_goes_on_where_the_last_one_ended() {
    let folder = tempfile::tempdir().unwrap();
    let host = run_with_checkpoints(folder.path(), None, "first");
    host.load("one");
    let frames = || host.call("frames", &[]).unwrap().parse::<u32>().unwrap();
    wait_until("frames", || frames() > 20);
    let before = frames();
    assert_eq!(host.call("round", &[]), Ok("6".into()));
    host.finish();

    let host = run_with_checkpoints(folder.path(), Some("first"), "second");
    host.load("one");
    host.wait_for("resumption", |message| match message {
        FromHost::Log { message, .. } => message
            .starts_with("Resumed from the checkpoint of frame")
            .then_some(()),
        _ => None,
    });
    assert!(host.call("frames", &[]).unwrap().parse::<u32>().unwrap() >= before);
    assert_eq!(host.call("startups", &[]), Ok("1".into()));
    // What systems and statics keep goes on as well.
    assert_eq!(host.call("round", &[]), Ok("7".into()));
    let kept = || host.call("kept", &[]).unwrap().parse::<u32>().unwrap();
    assert!(kept() >= before);
    let now = kept();
    wait_until("frames", || kept() > now);
    host.finish();
}

#[test]
fn a_run_without_a_checkpoint_begins_anew_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let host = run_with_checkpoints(folder.path(), Some("none"), "second");
    host.load("one");
    // It may have come while the load was waited for.
    let anew = "the game begins anew, nothing to go on with";
    if !host.log.borrow().iter().any(|line| line.starts_with(anew)) {
        host.wait_for("the beginning", |message| match message {
            FromHost::Log { message, .. } => message.starts_with(anew).then_some(()),
            _ => None,
        });
    }
    wait_until("Startup", || host.call("startups", &[]) == Ok("1".into()));
    host.finish();
}

#[test]
fn a_rollback_can_bring_the_state_back_too() {
    let folder = tempfile::tempdir().unwrap();
    let host = run_with_checkpoints(folder.path(), None, "first");
    host.load("one");
    let frames = || host.call("frames", &[]).unwrap().parse::<u32>().unwrap();
    wait_until("frames", || frames() > 5);
    host.load("two");
    // The checkpoint is some frames older than what version 1 left: it had to be written first.
    host.call("set_frames", &["100000"]).unwrap();
    assert_eq!(frames(), 100_000);
    host.send(ToHost::Load(vec![LoadRequest {
        ticket: 80,
        module: "game".into(),
        artifact: "one".into(),
        hash: 0,
        force: true,
        quarantine: false,
        restore: true,
    }]));
    let report = host.wait_for("the rollback", |message| match message {
        FromHost::Reloaded(report) if report.ticket == Some(80) => Some(report),
        _ => None,
    });
    assert_eq!(report.outcome, ReloadOutcome::Applied);
    assert!(
        report.message.starts_with("with the state of that moment"),
        "{}",
        report.message
    );
    assert!((6..100_000).contains(&frames()));
    host.finish();
}

/// A score as it is saved, and as later code has it: twice changed, by hand.
mod chain {
    use super::*;

    #[derive(Resource, Reflect, Default)]
    #[reflect(Default)]
    #[type_path = "game"]
    #[type_name = "Points"]
    pub struct First {
        pub points: u32,
    }
    #[derive(Reflect)]
    pub struct Halves {
        pub halves: u64,
    }
    #[derive(Resource, Reflect, Default)]
    #[reflect(Default)]
    #[type_path = "game"]
    #[type_name = "Points"]
    pub struct Third {
        pub quarters: f32,
    }

    pub fn first(m: &mut ModuleBuilder) {
        common(m)
            .resource::<First>()
            .systems(Update, |mut points: ResMut<First>| points.points = 21);
    }
    pub fn third(m: &mut ModuleBuilder) {
        common(m)
            .resource::<Third>()
            .migrate(|old: Halves| Third {
                quarters: old.halves as f32 * 2.0,
            })
            .migrate(|old: First| Halves {
                halves: u64::from(old.points) * 2,
            })
            .function("quarters", |world: &mut World| {
                world.resource::<Third>().quarters
            });
    }
}

#[test]
fn written_migrations_form_chains_for_what_comes_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let begin = |resume: Option<&str>, this: &str, artifacts: &[(&str, Build)]| {
        let options = Options {
            checkpoints: Some(CheckpointConfig {
                folder: folder.path().join(this),
                kept: 3,
                every: Duration::ZERO,
                resume: resume.map(|run| ResumeFrom {
                    folder: folder.path().join(run),
                    before: None,
                }),
            }),
            ..Options::default()
        };
        run(
            &FakeBackend::new(artifacts),
            Path::new("no assets"),
            options,
        )
    };
    let host = begin(None, "1", &[("first", chain::first)]);
    host.load("first");
    wait_until("frames", || host.board.frames.count() > 3);
    host.finish();
    let host = begin(Some("1"), "2", &[("third", chain::third)]);
    host.load("third");
    wait_until("the resumption", || {
        host.call("quarters", &[]) == Ok("84.0".into())
    });
    host.finish();
}

#[test]
fn values_that_are_in_no_checkpoint_are_a_problem_while_they_are_there() {
    #[derive(Component)]
    struct Stray(#[expect(dead_code, reason = "it only needs a size")] u32);
    fn straying(m: &mut ModuleBuilder) {
        common(m)
            .function("stray", |world: &mut World| {
                world.spawn(Stray(1));
            })
            .function("clear", |world: &mut World| {
                let all: Vec<Entity> = world
                    .query_filtered::<Entity, With<Stray>>()
                    .iter(world)
                    .collect();
                for entity in all {
                    assert!(world.despawn(entity));
                }
            });
    }
    let folder = tempfile::tempdir().unwrap();
    let fake = FakeBackend::new(&[("straying", straying)]);
    let options = Options {
        checkpoints: Some(CheckpointConfig {
            folder: folder.path().join("run"),
            kept: 3,
            every: Duration::from_millis(10),
            resume: None,
        }),
        ..Options::default()
    };
    let host = run(&fake, Path::new("no assets"), options);
    host.load("straying");
    host.call("stray", &[]).unwrap();
    let snapshot = host.wait_for_snapshot("a warning", |snapshot| !snapshot.problems.is_empty());
    let problem = &snapshot.problems[0];
    assert_eq!(problem.severity, Severity::Warning);
    assert!(
        problem
            .message
            .starts_with("1 values of `an unregistered component of 4 bytes` are in no")
            && problem.message.contains("register it"),
        "{}",
        problem.message
    );
    host.call("clear", &[]).unwrap();
    host.wait_for_snapshot("no warning", |snapshot| snapshot.problems.is_empty());
    let error = host.call("damage", &["1", "x"]).unwrap_err();
    assert!(error.contains("argument 2 `x` is no RON value"), "{error}");
    host.finish();
}
