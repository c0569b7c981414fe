//! Whatever game code does to its process is named: module, version, function and the line.

#![cfg(target_os = "linux")]

use inspector_protocol::status::ReloadOutcome;
use liveloop_tests::engine::{Engine, LIB};
use liveloop_tests::scratch::Scratch;

/// Where the faults are.
const FAULTS: &str = "game_logic/src/faults.rs";

/// What a host is said to have died of.
const KINDS: [(&str, &str); 8] = [
    ("segfault", "died of SIGSEGV"),
    ("bus", "died of SIGBUS"),
    ("illegal", "died of SIGILL"),
    ("divide", "died of SIGFPE"),
    ("abort", "died of SIGABRT"),
    // What cannot be allocated ends in an abort.
    ("exhaust", "died of SIGABRT"),
    ("overflow", "died of SIGSEGV"),
    ("exit", "ended with exit status 3"),
];

#[test]
fn every_fault_is_named_with_its_line_and_the_game_goes_on() {
    let scratch = Scratch::take();
    let config = scratch.policies("checkpoint_every: 0.1, rollback_within: 0.0");
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.call("spawn", &["7"]);
    let crates = engine.text("inventory");
    for (kind, how) in KINDS {
        for (function, place) in [
            ("fault", "function `fault`"),
            ("arm_fault", "system `game_logic::blow`"),
        ] {
            engine.next_checkpoint();
            let (before, from) = (engine.dump(), engine.log.len());
            // One that is armed may return before the frame that it ends in.
            let _ = engine.try_call(function, &[&format!("\"{kind}\"")]);
            let after = engine.next_host(&before.engine);
            let reason = format!("the host {how} in game_logic v1, {place}");
            let restart = after.restart.expect("it was restarted");
            assert_eq!(restart.reason, reason, "{kind}");
            assert!(restart.checkpoint.is_some(), "{kind}");
            assert_eq!(engine.text("inventory"), crates, "{kind}");

            let heading = format!("[ERROR] Backtrace ({reason}):");
            let (at, _) = engine
                .log
                .wait(from, "the backtrace", |line| line == heading);
            let (at, line) = engine.log.wait(at, "the innermost call", |_| true);
            let start = format!("   0: game_logic::faults::{kind} at {FAULTS}:");
            assert!(line.starts_with(&start), "{kind}: {line}");
            // And who called it.
            let caller = if function == "fault" { "fault" } else { "blow" };
            let caller = format!(": game_logic::{caller} at {LIB}:");
            engine
                .log
                .wait(at, "the outermost call", |line| line.contains(&caller));
            if kind == "overflow" {
                engine
                    .log
                    .wait(at, "what is left out", |line| line.ends_with(" calls ..."));
            }
        }
    }
    assert!(engine.finish().success());
}

#[test]
fn a_crash_of_a_young_version_is_a_problem_with_its_line() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    let first_line = "counter.frames += 1;";
    scratch.edit(
        LIB,
        first_line,
        &format!("faults::run(\"illegal\");\n    {first_line}"),
    );
    engine.wait("the rollback", |status| {
        let mut reloads = status.reloads.iter();
        reloads
            .any(|reload| reload.outcome == ReloadOutcome::RolledBack)
            .then_some(())
    });
    let problem = engine.wait("the place", |status| {
        let problem = status.problems.first()?;
        (problem.line > 0).then(|| problem.clone())
    });
    assert_eq!(problem.file, FAULTS, "{problem:#?}");
    for call in ["game_logic::faults::illegal", "game_logic::count at"] {
        assert!(problem.rendered.contains(call), "{problem:#?}");
    }
    assert_eq!(engine.number("answer"), 1);
    assert!(engine.finish().success());
}

#[test]
fn a_panic_is_told_once_with_the_calls_that_led_there() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    engine.call("arm_fault", &["\"nothing\""]);
    let problem = engine.wait("the backtrace", |status| {
        let mut problems = status.problems.iter();
        let problem = problems.find(|problem| problem.message.contains("no fault `nothing`"))?;
        problem.rendered.contains("   0: ").then(|| problem.clone())
    });
    assert_eq!(problem.file, FAULTS, "{problem:#?}");
    for call in [
        &format!(
            "   0: game_logic::faults::run at {FAULTS}:{}:",
            problem.line
        ),
        &format!("   1: game_logic::blow at {LIB}:"),
    ] {
        assert!(problem.rendered.contains(call), "{problem:#?}");
    }
    // Only what is the game's.
    for other in ["bevy_ecs", "std::", "core::"] {
        assert!(!problem.rendered.contains(other), "{problem:#?}");
    }
    // A called function has its panic in the answer, and the way there in the log.
    let reason = engine.try_call("fail", &[]).expect_err("it panics");
    assert!(reason.contains("this function fails"), "{reason}");
    engine.log.wait(0, "the way there", |line| {
        line.starts_with(&format!("   0: game_logic::fail at {LIB}:"))
    });
    let backtraces = |lines: Vec<String>| {
        let about = lines
            .iter()
            .filter(|line| line.contains("Backtrace (panic at "));
        about.count()
    };
    assert_eq!(backtraces(engine.log.since(0)), 2);
    assert!(engine.finish().success());
}

#[test]
fn what_follows_a_panic_is_policy() {
    let scratch = Scratch::take();
    // An old version is rolled back as well.
    let config = scratch.policies("on_panic: RollBack, rollback_within: 0.0");
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    let first_line = "counter.frames += 1;";
    let crates = engine.call("spawn", &["3"]);
    let reload = engine.edit(
        LIB,
        first_line,
        &format!("if ANSWER == 1 {{ panic!(\"no more\"); }} {first_line}"),
    );
    let rolled_back = engine.wait("the rollback", |status| {
        let mut reloads = status.reloads.iter().filter(|last| last.seq > reload.seq);
        reloads
            .find(|last| last.outcome == ReloadOutcome::RolledBack)
            .cloned()
    });
    assert!(rolled_back.message.contains("no more"), "{rolled_back:#?}");
    assert_eq!(engine.number("despawned"), 0);
    assert_eq!(engine.call("attach", &[]), crates, "nothing is lost");
    // Without a version before it, the system alone is paused.
    assert!(engine.finish().success());
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.wait("the problem", |status| {
        let problem = status.problems.first()?;
        problem.message.contains("no more").then_some(())
    });
    assert_eq!(engine.number("answer"), 1);
    assert!(engine.finish().success());

    let config = scratch.policies("on_panic: Stop");
    let engine = Engine::spawn(&scratch, &["--config", &config]);
    let log = engine.log.clone();
    assert_eq!(engine.wait_for_end().code(), Some(1));
    let why = |line: &String| {
        line.starts_with("[ERROR] The game stops: game_logic v1: `game_logic::count` panicked at")
    };
    assert!(log.since(0).iter().any(why), "{:#?}", log.since(0));
}

#[test]
fn a_crash_in_a_job_is_named_with_who_started_it() {
    let scratch = Scratch::take();
    let text = scratch.read(LIB);
    let blow =
        "fn blow(mut fuse: ResMut<Fuse>) {\n    faults::run(&std::mem::take(&mut fuse.fault));\n";
    let start = "/// What `blow` starts ends in.
#[derive(Event, Reflect)]
pub struct Pit;

fn blow(mut fuse: ResMut<Fuse>, mut jobs: Jobs) {
    let kind = std::mem::take(&mut fuse.fault);
    if !kind.is_empty() {
        jobs.start(\"dig\", move |_| {
            faults::run(&kind);
            Pit
        });
    }
";
    let setup = "    m.component::<Crate>()";
    assert_eq!(
        (text.matches(blow).count(), text.matches(setup).count()),
        (1, 1)
    );
    let text = text.replace(blow, start);
    scratch.save(
        LIB,
        &text.replace(setup, &format!("    m.job_result::<Pit>();\n{setup}")),
    );
    let config = scratch.policies("checkpoint_every: 0.1");
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.call("spawn", &["5"]);
    let crates = engine.text("inventory");
    for (kind, signal) in [
        ("segfault", "SIGSEGV"),
        ("overflow", "SIGSEGV"),
        ("abort", "SIGABRT"),
    ] {
        engine.next_checkpoint();
        let (before, from) = (engine.dump(), engine.log.len());
        let _ = engine.try_call("arm_fault", &[&format!("\"{kind}\"")]);
        let restart = engine.next_host(&before.engine).restart;
        let reason =
            format!("the host died of {signal} in game_logic v1, job `dig` of `game_logic::blow`");
        assert_eq!(restart.expect("it was restarted").reason, reason);
        let heading = format!("[ERROR] Backtrace ({reason}):");
        let (at, _) = engine
            .log
            .wait(from, "the backtrace", |line| line == heading);
        let work = format!("game_logic::blow::{{{{closure}}}} at {LIB}:");
        engine.log.wait(at, "the job", |line| line.contains(&work));
        assert_eq!(engine.text("inventory"), crates);
    }
    assert!(engine.finish().success());
}
