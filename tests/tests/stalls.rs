//! A game that does not get on is named, and a person or the policy gets it going again.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::PathBuf;

use inspector_protocol::message::{Answer, Request};
use inspector_protocol::status::{ReloadOutcome, StallStatus};
use liveloop_tests::MODULE;
use liveloop_tests::engine::{Engine, LIB};
use liveloop_tests::process::{self, Watched};
use liveloop_tests::scratch::Scratch;

/// Short, so that tests are.
const POLICIES: &str = "stalled_after: 0.4, checkpoint_every: 0.1";

/// The first thing that the game does in a frame.
const FIRST_LINE: &str = "counter.frames += 1;";
/// And the first one of its module function.
const SETUP: &str = "    m.component::<Crate>()";

/// The file whose coming ends a stall.
fn file(scratch: &Scratch) -> PathBuf {
    scratch.temporary.join("go on")
}

/// A line of the game that does not end before the file is there.
fn hold(scratch: &Scratch) -> String {
    format!("faults::hold({:?});", file(scratch))
}

fn await_stall(engine: &Engine, function: &str) -> StallStatus {
    engine.wait(&format!("a stall in {function}"), |status| {
        let stall = status.engine.stall.as_ref();
        stall.filter(|stall| stall.function == function).cloned()
    })
}

fn roll_back(engine: &Engine) -> Answer {
    engine.ask(|id| Request::Rollback {
        id,
        module: MODULE.to_owned(),
        state: false,
    })
}

#[test]
fn a_frame_that_does_not_end_is_named_until_it_does() {
    let scratch = Scratch::take();
    let config = scratch.policies(POLICIES);
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    let file = file(&scratch);
    let argument = format!("{:?}", file.display().to_string());

    // A call off the frame loop may take its time.
    let waiting = engine.begin_call("wait_for", &[&argument]);
    let stall = engine.wait("that the call has run for long", |status| {
        let mut calls = status.calls.iter();
        let is_old = calls.any(|call| call.function == "wait_for" && call.elapsed_ms > 1000);
        is_old.then(|| status.engine.stall.clone())
    });
    assert_eq!(stall, None);

    let holding = engine.begin_call("hold", &[&argument]);
    let stall = await_stall(&engine, "hold");
    assert_eq!(
        (stall.module.as_str(), stall.version, stall.thread.as_str()),
        (MODULE, 1, "main")
    );
    assert!(stall.elapsed_ms >= 400, "{stall:?}");
    engine.log.wait(0, "the stall", |line| {
        line.starts_with("[WARN] stalled in game_logic::hold (v1) for ")
    });
    let status = engine.dump();
    let problem = "the frame loop is stalled in game_logic::hold (v1)";
    assert_eq!(status.problems[0].message, problem);
    assert!(
        status
            .calls
            .iter()
            .any(|call| call.function == "hold" && call.elapsed_ms >= 400),
        "{:#?}",
        status.calls
    );
    // Nobody waits for it without knowing.
    let reason = engine.try_call("counter", &[]).expect_err("it cannot run");
    assert!(
        reason.contains("stalled in game_logic::hold (v1)"),
        "{reason}"
    );
    let reload = engine.ask(|id| Request::Reload {
        id,
        module: MODULE.to_owned(),
    });
    assert!(
        matches!(&reload, Answer::Error(reason) if reason.contains("stalled")),
        "{reload:?}"
    );
    let built = engine.log.len();
    scratch.edit(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    engine.log.wait(built, "that the build waits", |line| {
        line.starts_with("[INFO] game_logic is built and waits: the frame loop is stalled")
    });
    let stalls = engine.log.since(0);
    let stalls = stalls.iter().filter(|line| line.contains("[WARN] stalled"));
    assert_eq!(stalls.count(), 1, "it is told once");

    fs::write(&file, "").expect("a file can be written");
    assert_eq!(holding.answer(), Answer::Value("1".to_owned()));
    assert_eq!(waiting.answer(), Answer::Value("1".to_owned()));
    engine.wait("that it goes on with what was built", |status| {
        // The second version is the one that was asked for, the third the edit.
        let is_in = status.modules[0].active == Some(3);
        (is_in && status.engine.stall.is_none() && status.problems.is_empty()).then_some(())
    });
    // It says where the frame was last, which may be in the engine again.
    engine.log.wait(0, "that it goes on", |line| {
        line.starts_with("[INFO] the frame loop goes on, it was stalled in ")
    });
    assert_eq!(engine.number("answer"), 2);
    assert!(engine.finish().success());
}

#[test]
fn wherever_a_version_stalls_it_is_named_and_the_one_before_comes_back() {
    let scratch = Scratch::take();
    let config = scratch.policies(POLICIES);
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.call("spawn", &["9"]);
    let crates = engine.text("inventory");
    let text = scratch.read(LIB);
    let hold = hold(&scratch);
    let hook = |name: &str, hook: &str| format!("    m.{name}({hook});\n{SETUP}");
    let cases = [
        (
            FIRST_LINE,
            format!("{hold}\n    {FIRST_LINE}"),
            "game_logic::count",
        ),
        (
            "    counter.observed += 1;",
            format!("    {hold}\n    counter.observed += 1;"),
            "game_logic::ticked",
        ),
        (SETUP, format!("    {hold}\n{SETUP}"), "setup"),
        (
            SETUP,
            hook(
                "on_load",
                &format!("|_: &mut World, _: Option<Unloaded>| {{ {hold} Ok::<(), String>(()) }}"),
            ),
            "on_load",
        ),
        (
            SETUP,
            hook(
                "after_reload",
                &format!("|_: &mut World, _: Reload| {{ {hold} }}"),
            ),
            "after_reload",
        ),
    ];
    for (from, to, function) in cases {
        engine.next_checkpoint();
        let before = engine.dump().engine;
        scratch.edit(LIB, from, &to);
        let stall = await_stall(&engine, function);
        assert_eq!((stall.module.as_str(), stall.version), (MODULE, 2));
        let answer = roll_back(&engine);
        let Answer::Reload(reload) = answer else {
            panic!("{function}: {answer:?}");
        };
        assert_eq!(
            (reload.outcome, reload.to),
            (ReloadOutcome::RolledBack, Some(1)),
            "{function}: {reload:#?}"
        );
        assert!(reload.message.contains("stalled"), "{reload:#?}");
        engine.next_host(&before);
        assert_eq!(engine.number("answer"), 1, "{function}");
        assert_eq!(engine.text("inventory"), crates, "{function}");
        // It is not loaded again, and gone with its source.
        let problem = engine.dump().problems.first().cloned().unwrap_or_default();
        assert!(problem.message.contains("the host stalled"), "{problem:#?}");
        scratch.save(LIB, &text);
        engine.wait("that no problem is left", |status| {
            status.problems.is_empty().then_some(())
        });
    }
    assert!(engine.finish().success());
}

#[test]
fn a_host_that_is_stalled_ends_with_its_supervisor() {
    let scratch = Scratch::take();
    let config = scratch.policies(POLICIES);
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    let host = Watched::new(engine.dump().engine.host_pid.expect("the host runs"));
    let argument = format!("{:?}", file(&scratch).display().to_string());
    let _holding = engine.begin_call("hold", &[&argument]);
    await_stall(&engine, "hold");
    process::signal(engine.pid, libc::SIGKILL);
    host.wait_for_end();
}

#[test]
fn a_fix_that_waits_runs_after_a_restart() {
    let scratch = Scratch::take();
    let config = scratch.policies(POLICIES);
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    let text = scratch.read(LIB);
    scratch.edit(LIB, FIRST_LINE, &hold(&scratch));
    await_stall(&engine, "game_logic::count");
    scratch.save(LIB, &text.replace("ANSWER: i64 = 1;", "ANSWER: i64 = 3;"));
    engine.log.wait(0, "that the build waits", |line| {
        line.contains("is built and waits")
    });
    assert_eq!(engine.ask(|id| Request::RestartHost { id }), Answer::Done);
    assert_eq!(engine.number("answer"), 3);
    assert_eq!(engine.dump().engine.stall, None);
    assert!(engine.finish().success());
}

#[test]
fn a_first_version_that_stalls_gives_way_to_its_fix() {
    let scratch = Scratch::take();
    let config = scratch.policies(POLICIES);
    let text = scratch.read(LIB);
    let hold = hold(&scratch);
    let cases = [
        (SETUP, format!("    {hold}\n{SETUP}"), "setup"),
        (
            SETUP,
            format!("    m.systems(Startup, begin);\n{SETUP}"),
            "game_logic::begin",
        ),
        (FIRST_LINE, hold.clone(), "game_logic::count"),
    ];
    for (from, to, function) in cases {
        let begin = format!("fn begin() {{ {hold} }}\n");
        scratch.save(LIB, &format!("{}{begin}", text.replace(from, &to)));
        let engine = Engine::spawn(&scratch, &["--config", &config]);
        engine.log.wait(0, "the stall", |line| {
            line.starts_with("[WARN] stalled in game_logic::")
        });
        await_stall(&engine, function);
        let seq = engine.last_reload();
        scratch.save(LIB, &text);
        let reload = engine.wait("the fix", |status| {
            let mut reloads = status.reloads.iter().filter(|reload| reload.seq > seq);
            let applied = reloads.find(|reload| reload.outcome == ReloadOutcome::Applied);
            applied.cloned()
        });
        assert_eq!(reload.to, Some(1), "{function}: {reload:#?}");
        assert_eq!(engine.number("answer"), 1, "{function}");
        engine.wait("that no problem is left", |status| {
            status.problems.is_empty().then_some(())
        });
        assert!(engine.finish().success());
    }
}

#[test]
fn a_stall_is_a_crash_where_that_is_the_policy() {
    let scratch = Scratch::take();
    let config = scratch.policies(&format!("{POLICIES}, on_stall: Restart"));
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.next_checkpoint();
    let before = engine.dump().engine;
    let line = format!("{}\n    {FIRST_LINE}", hold(&scratch));
    scratch.edit(LIB, FIRST_LINE, &line);
    let restart = engine.next_host(&before).restart;
    let reason = "the host stalled in game_logic v2, system `game_logic::count`";
    assert_eq!(restart.expect("it was restarted").reason, reason);
    let status = engine.dump();
    assert_eq!(
        status.reloads.last().map(|last| last.outcome),
        Some(ReloadOutcome::RolledBack),
        "{:#?}",
        status.reloads
    );
    assert_eq!(status.problems[0].message, reason);
    assert_eq!(engine.number("answer"), 1);
    assert!(engine.finish().success());
}

#[test]
fn another_limit_applies_at_once_and_a_rollback_can_bring_the_state_back() {
    let scratch = Scratch::take();
    let patient = POLICIES.replace("0.4", "0.0");
    let config = scratch.policies(&patient);
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    let argument = format!("{:?}", file(&scratch).display().to_string());
    engine.call("spawn", &["2"]);
    let crates = engine.text("inventory");
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    engine.call("spawn", &["3"]);
    engine.next_checkpoint();

    // Where nothing is ever a stall, none is seen; then it is one.
    let text = scratch.read(&config);
    scratch.save(&config, &text.replace(&patient, POLICIES));
    engine
        .log
        .wait(0, "the new limit", |line| line.contains("Settings changed"));
    let _holding = engine.begin_call("hold", &[&argument]);
    assert_eq!(await_stall(&engine, "hold").version, 2);

    // The crates that came after the version did are gone with it.
    let before = engine.dump().engine;
    let answer = engine.ask(|id| Request::Rollback {
        id,
        module: MODULE.to_owned(),
        state: true,
    });
    assert!(
        matches!(&answer, Answer::Reload(reload) if reload.outcome == ReloadOutcome::RolledBack),
        "{answer:?}"
    );
    engine.log.wait(0, "which checkpoint it is", |line| {
        line.ends_with("goes on from the checkpoint from before it got in")
    });
    engine.next_host(&before);
    assert_eq!(engine.number("answer"), 1);
    assert_eq!(engine.text("inventory"), crates);
    assert!(engine.finish().success());
}
