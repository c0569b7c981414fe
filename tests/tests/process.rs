//! The program as scripts see it: exit codes, JSON, log lines, signals.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Output, Stdio};

use inspector_protocol::message::{Answer, Request};
use liveloop_tests::engine::{Engine, LIB};
use liveloop_tests::process::{self, Watched};
use liveloop_tests::scratch::Scratch;
use serde_json::Value;

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:#?}"))
}

#[test]
fn a_game_with_heap_values_and_observers_ends_with_status_0() {
    let scratch = Scratch::take();
    for reloads in [0, 2] {
        let engine = Engine::start(&scratch);
        engine.call("spawn", &["500"]);
        for number in 1..=reloads {
            // Values of several versions in one world.
            engine.apply(
                LIB,
                &format!("ANSWER: i64 = {number};"),
                &format!("ANSWER: i64 = {};", number + 1),
            );
            engine.call("spawn", &["500"]);
        }
        assert_eq!(engine.ask(|id| Request::Shutdown { id }), Answer::Done);
        let log = engine.log.clone();
        let status = engine.wait_for_end();
        assert_eq!(status.code(), Some(0), "{status}");
        let bad: Vec<_> = log
            .since(0)
            .into_iter()
            .filter(|line| line.starts_with("[ERROR]"))
            .collect();
        assert!(bad.is_empty(), "{bad:?}");
    }
}

#[test]
fn signals_and_limits_end_it_with_status_0() {
    let scratch = Scratch::take();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let engine = Engine::start(&scratch);
        process::signal(engine.pid, signal);
        let status = engine.wait_for_end();
        assert_eq!(status.code(), Some(0), "signal {signal}: {status}");
    }
    // Long enough for the first version to get in on a busy machine.
    for limit in [["--frames", "30"], ["--seconds", "15"]] {
        let status = Engine::spawn(&scratch, &limit).wait_for_end();
        assert_eq!(status.code(), Some(0), "{limit:?}: {status}");
    }
}

#[test]
fn the_host_ends_with_its_supervisor() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    let host = Watched::new(engine.dump().engine.host_pid.expect("the host runs"));
    process::signal(engine.pid, libc::SIGKILL);
    host.wait_for_end();
    drop(engine);
    // What was left behind is no obstacle.
    let engine = Engine::start(&scratch);
    assert_eq!(engine.number("answer"), 1);
    assert!(engine.finish().success());
}

/// The first thing that the game does in a frame.
const FIRST_LINE: &str = "counter.frames += 1;";

#[test]
fn a_crash_with_a_frame_limit_is_a_failed_game() {
    let scratch = Scratch::take();
    let frames = ["--frames", "1000000"];
    let config = scratch.policies("on_crash: Wait");
    let engine = Engine::start_with(&scratch, &[&frames[..], &["--config", &config]].concat());
    assert!(engine.try_call("crash", &[]).is_err());
    let status = engine.wait_for_end();
    assert_eq!(status.code(), Some(1), "{status}");

    // One that is brought back has not failed, one that cannot be brought back has.
    let engine = Engine::start_with(&scratch, &["--frames", "200"]);
    assert!(engine.try_call("crash", &[]).is_err());
    let status = engine.wait_for_end();
    assert_eq!(status.code(), Some(0), "{status}");
    scratch.edit(
        LIB,
        FIRST_LINE,
        &format!("write_nowhere();\n    {FIRST_LINE}"),
    );
    let engine = Engine::spawn(&scratch, &frames);
    let log = engine.log.clone();
    let status = engine.wait_for_end();
    assert_eq!(status.code(), Some(1), "{status}");
    let deaths = log.since(0);
    let deaths = deaths
        .iter()
        .filter(|line| line.starts_with("[ERROR] The host died"));
    assert_eq!(deaths.count(), 2);
}

#[test]
fn a_limited_run_whose_game_cannot_start_is_a_failed_game() {
    let scratch = Scratch::take();
    let text = scratch.read(LIB);
    let mistakes = [
        ("fn answer() -> i64 {", "fn answer() -> i32 {"),
        // Compiles, but is no module of that name.
        ("pub fn game_logic(m:", "pub fn other_logic(m:"),
    ];
    for (from, to) in mistakes {
        scratch.edit(LIB, from, to);
        for limit in ["--frames", "--seconds"] {
            let engine = Engine::spawn(&scratch, &[limit, "80"]);
            let log = engine.log.clone();
            let status = engine.wait_for_end();
            assert_eq!(status.code(), Some(1), "{to}, {limit}: {status}");
            let lines = log.since(0);
            let cannot = lines
                .iter()
                .find(|line| line.starts_with("[ERROR] The game cannot start"));
            assert!(
                cannot.is_some_and(|line| line.contains("game_logic") && line.contains(limit)),
                "{lines:#?}"
            );
        }
        scratch.save(LIB, &text);
    }
    // Nothing ever comes: the time is up, and no game has run.
    let _ = fs::remove_file(scratch.library());
    let status = Engine::spawn(&scratch, &["--no-build", "--seconds", "1"]).wait_for_end();
    assert_eq!(status.code(), Some(1), "{status}");
}

#[test]
fn a_socket_path_in_use_is_refused_and_left_alone() {
    let scratch = Scratch::take();
    let file = scratch.temporary.join("precious.txt");
    fs::write(&file, "precious").expect("a file can be made");
    let output = scratch
        .command(scratch.binary("engine"))
        .args(["--headless", "--frames", "1", "--socket"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .expect("the engine can be run");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(code(&output), Some(2), "{text}");
    for part in ["precious.txt", "is no socket", "another path"] {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
    assert_eq!(fs::read_to_string(&file).ok().as_deref(), Some("precious"));
}

#[test]
fn several_engines_are_listed_with_their_projects() {
    let scratch = Scratch::take();
    let runtime = scratch.temporary.join("run");
    fs::create_dir_all(&runtime).expect("a folder can be made");
    let start = || {
        scratch
            .command(scratch.binary("engine"))
            .args(["--headless", "--no-build"])
            .env("XDG_RUNTIME_DIR", &runtime)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the engine can be started")
    };
    let mut engines = [start(), start()];
    for engine in &mut engines {
        let stderr = engine.stderr.take().expect("standard error is a pipe");
        // It listens before it says anything.
        let log = liveloop_tests::log::Log::read(stderr);
        log.wait(0, "a first line", |_| true);
    }
    let output = scratch
        .command(scratch.binary("engine"))
        // As `cargo run inspector -- dump` passes it on.
        .args(["inspector", "--", "dump"])
        .env("XDG_RUNTIME_DIR", &runtime)
        .output()
        .expect("the inspector can be run");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let pids = engines.each_ref().map(std::process::Child::id);
    for mut engine in engines {
        process::signal(engine.id(), libc::SIGTERM);
        engine.wait().expect("it is a child of the test");
    }
    assert_eq!(code(&output), Some(3), "{text}");
    for pid in pids {
        let line = format!("{pid}  {}", scratch.root.display());
        assert!(text.contains(&line), "`{line}` is missing: {text}");
    }
}

/// Lines of a session in which one version gives way to the next, in order.
const LINES: [&str; 6] = [
    "[INFO] Module 'game_logic' loaded (v1)",
    "[INFO] Detected code change in game_logic/src/lib.rs",
    "[INFO] Compiling game_logic v2...",
    "[INFO] Module 'game_logic' reloaded (v1 -> v2)",
    "[DEBUG] v1 draining (2 active calls)",
    "[INFO] Module 'game_logic' reloaded (v2 -> v3)",
];

#[test]
fn log_lines_have_the_documented_form() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    let gate = scratch.temporary.join("open");
    let argument = format!("{:?}", gate.display().to_string());
    let calls = [(); 2].map(|()| engine.begin_call("wait_for", &[&argument]));
    engine.wait("both calls", |status| {
        let waiting = status
            .calls
            .iter()
            .filter(|call| call.function == "wait_for");
        (waiting.count() == 2).then_some(())
    });
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    engine.log.wait(0, LINES[4], |line| line == LINES[4]);
    fs::write(&gate, "").expect("a file can be made");
    for call in calls {
        assert_eq!(call.answer(), Answer::Value("1".to_owned()));
    }
    engine.apply(LIB, "ANSWER: i64 = 2;", "ANSWER: i64 = 3;");
    engine.apply(LIB, "ANSWER: i64 = 3;", "ANSWER: i64 = 4;");
    engine.apply(LIB, "ANSWER: i64 = 4;", "ANSWER: i64 = 5;");
    let mut place = 0;
    for expected in LINES {
        (place, _) = engine.log.wait(place, expected, |line| line == expected);
    }
    engine
        .log
        .wait(0, "v2 unloaded", |line| line == "[DEBUG] v2 unloaded");
    // Every line has a level; continuation lines belong to errors, and there are none.
    let levels = ["[ERROR] ", "[WARN] ", "[INFO] ", "[DEBUG] "];
    let odd: Vec<_> = engine
        .log
        .since(0)
        .into_iter()
        .filter(|line| !levels.iter().any(|level| line.starts_with(level)))
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert!(engine.finish().success());

    // Fewer lines on request.
    let engine = Engine::spawn(&scratch, &["--log-level", "error", "--frames", "5"]);
    let log = engine.log.clone();
    assert!(engine.wait_for_end().success());
    assert_eq!(log.since(0), Vec::<String>::new());
}

#[test]
fn inspector_commands_print_json_and_exit_as_documented() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);

    let status = json(&engine.inspector(&["dump"]));
    for (pointer, expected) in [
        ("/engine/pid", Value::from(engine.pid)),
        ("/engine/host", "running".into()),
        ("/engine/profile", "dev".into()),
        ("/modules/0/name", "game_logic".into()),
        ("/modules/0/kind", "native".into()),
        ("/modules/0/active", 1.into()),
        ("/modules/0/versions/0/state", "Active".into()),
        ("/modules/0/versions/0/label", "0.1.0".into()),
        ("/reloads/0/outcome", "applied".into()),
        ("/reloads/0/trigger", "startup".into()),
        ("/reloads/0/to", 1.into()),
        ("/problems", Value::Array(Vec::new())),
    ] {
        assert_eq!(
            status.pointer(pointer),
            Some(&expected),
            "{pointer}: {status:#}"
        );
    }
    for pointer in [
        "/modules/0/versions/0/hash",
        "/reloads/0/timings_ms/total",
        "/frames/fps",
        "/world/components",
    ] {
        assert!(status.pointer(pointer).is_some(), "{pointer}: {status:#}");
    }

    // Arguments, output, exit code, what standard error must contain.
    let calls: [(&[&str], &str, i32, &str); 9] = [
        (&["answer"], "1\n", 0, ""),
        (&["twice", "21"], "42\n", 0, ""),
        (&["twice", "-4"], "-8\n", 0, ""),
        (&["words"], "\"one two\"\n", 0, ""),
        (&["arm_nothing"], "", 1, "no function `arm_nothing`"),
        (&["twice"], "", 1, "takes 1 argument, got 0"),
        (&["twice", "\"x\""], "", 1, "argument 1"),
        (&["twice", "(("], "", 1, "RON"),
        (&["fail"], "", 1, "this function fails"),
    ];
    for (arguments, stdout, exit, part) in calls {
        let output = engine.inspector(&[&["call", "game_logic"], arguments].concat());
        assert_eq!(code(&output), Some(exit), "{arguments:?}: {output:#?}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            stdout,
            "{arguments:?}"
        );
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(part),
            "{arguments:?}: {output:#?}"
        );
    }

    let logs = engine.inspector(&["logs"]);
    let lines = String::from_utf8_lossy(&logs.stdout).into_owned();
    let messages: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    let loaded = messages
        .iter()
        .find(|line| line["message"] == "Module 'game_logic' loaded (v1)");
    let about = |key: &str| loaded.map(|line| line[key].clone());
    for (key, value) in [
        ("level", "info"),
        ("module", "game_logic"),
        ("source", "engine"),
    ] {
        assert_eq!(about(key), Some(Value::from(value)), "{key}: {lines}");
    }

    let reload = engine.inspector(&["reload", "game_logic"]);
    assert_eq!(
        (code(&reload), &json(&reload)["outcome"]),
        (Some(0), &Value::from("applied"))
    );
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    let rollback = engine.inspector(&["rollback", "game_logic"]);
    let shown = json(&rollback);
    assert_eq!(
        (code(&rollback), &shown["outcome"], &shown["message"]),
        (
            Some(0),
            &Value::from("rolled_back"),
            // The second version is the reload above; it has the first one's code.
            &Value::from("v2's code runs again as v4")
        ),
        "{rollback:#?}"
    );
    engine.log.wait(0, "the rollback", |line| {
        line == "[INFO] Module 'game_logic' rolled back: v2's code runs again as v4"
    });
    for timing in ["load", "swap", "total"] {
        let text = shown["timings_ms"][timing].to_string();
        let decimals = text.split_once('.').map_or(0, |(_, rest)| rest.len());
        assert!(decimals <= 3, "{timing}: {text}");
    }
    for (arguments, part) in [
        (&["rollback", "nope"][..], "no module `nope`"),
        (&["reload", "nope"], "no module `nope`"),
        (&["rollback", "game_logic", "--state"], "no earlier version"),
    ] {
        let output = engine.inspector(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            code(&output) == Some(1) && text.contains(part) && !text.contains("--"),
            "{text}"
        );
    }
    scratch.edit(
        LIB,
        "    ANSWER\n}\n\n/// Waits until",
        "    ANSWER +\n}\n\n/// Waits until",
    );
    let broken = engine.inspector(&["reload", "game_logic"]);
    assert_eq!(
        (code(&broken), &json(&broken)["outcome"]),
        (Some(1), &Value::from("compile_error"))
    );

    // The other binary, and an engine that is not there.
    let other = scratch
        .command(scratch.binary("inspector"))
        .args(["dump", "--attach"])
        .arg(&engine.socket)
        .output()
        .expect("the inspector can be run");
    assert_eq!(
        (code(&other), &json(&other)["engine"]["pid"]),
        (Some(0), &Value::from(engine.pid))
    );
    let mut nowhere = scratch.command(scratch.binary("engine"));
    let nowhere = nowhere
        .args(["inspector", "dump", "--attach", "/nowhere.sock"])
        .output();
    assert_eq!(code(&nowhere.expect("the inspector can be run")), Some(3));
    assert!(engine.finish().success());
}

#[test]
fn wrong_usage_exits_2_and_says_what_is_wrong() {
    let scratch = Scratch::take();
    let engine_ron = scratch.read("assets/engine.ron");
    let bad = |name: &str, text: String| {
        fs::write(scratch.temporary.join(name), text).expect("a file can be made");
        scratch.temporary.join(name).display().to_string()
    };
    let unknown = bad("unknown.ron", engine_ron.replace("frame_rate", "frame_rat"));
    let typed = bad("typed.ron", engine_ron.replace("60", "\"fast\""));
    let range = bad("range.ron", engine_ron.replace("60", "0"));
    let module = |path: &str| engine_ron.replace("path: \"game_logic\"", path);
    let nowhere = bad("nowhere.ron", module("path: \"nowhere\""));
    let no_crate = bad("no_crate.ron", module("path: \"assets\""));
    let foreign = bad("foreign.ron", module("path: \"engine/dylib\""));
    let cases: [(&[&str], &[&str]); 14] = [
        (&["--frame", "3"], &["--frame", "--frames"]),
        (&["dance"], &["dance"]),
        (&["--seconds", "soon"], &["soon"]),
        (&["--seconds", "-1"], &["-1", "0 or more"]),
        (&["--frames", "-1"], &["-1"]),
        (&["--log-level", "loud"], &["loud"]),
        (&["--profile", "nothing"], &["nothing"]),
        (&["--config", "/nowhere.ron"], &["/nowhere.ron"]),
        (
            &["--config", &unknown],
            &["unknown.ron:2:5", "frame_rat", "frame_rate"],
        ),
        (&["--config", &typed], &["typed.ron:2:", "integer"]),
        (&["--config", &range], &["range.ron:2:", "1 to 1000"]),
        (
            &["--config", &nowhere],
            &["nowhere.ron:", "no folder `nowhere`", "help:"],
        ),
        (
            &["--config", &no_crate],
            &["no_crate.ron:", "no Cargo.toml", "help:"],
        ),
        (
            &["--config", &foreign],
            &["foreign.ron:", "no package of the workspace", "members"],
        ),
    ];
    for (arguments, parts) in cases {
        let mut command = scratch.command(scratch.binary("engine"));
        let output = command
            .arg("--headless")
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        let output = output.expect("the engine can be run");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code(&output), Some(2), "{arguments:?}: {text}");
        for part in parts {
            assert!(
                text.contains(part),
                "`{part}` is missing for {arguments:?}: {text}"
            );
        }
    }
    let help = scratch
        .command(scratch.binary("engine"))
        .arg("--help")
        .output();
    let help = help.expect("the engine can be run");
    assert!(code(&help) == Some(0) && String::from_utf8_lossy(&help.stdout).contains("Exit codes"));
}
