//! A first version that fails leaves the engine up, and its fix starts the game.

#![cfg(target_os = "linux")]

use inspector_protocol::status::{HostState, ReloadOutcome, Severity};
use liveloop_tests::engine::{Engine, LIB};
use liveloop_tests::scratch::Scratch;

/// The first line of the module function.
const SETUP: &str = "    m.component::<Crate>()";
/// The first thing that the game does in a frame.
const FIRST_LINE: &str = "counter.frames += 1;";

#[test]
fn whatever_the_first_version_does_its_fix_starts_the_game() {
    let scratch = Scratch::take();
    let text = scratch.read(LIB);
    // Where, what instead, what is said, and whether the host is gone then.
    let cases = [
        (
            "fn answer() -> i64 {",
            "fn answer() -> i32 {".to_owned(),
            "mismatched types",
            false,
        ),
        (
            SETUP,
            format!("    if ANSWER == 1 {{ panic!(\"not today\"); }}\n{SETUP}"),
            "not today",
            false,
        ),
        (
            SETUP,
            format!("    faults::run(\"segfault\");\n{SETUP}"),
            "the host died of SIGSEGV while game_logic v1 was set up",
            true,
        ),
        (
            FIRST_LINE,
            format!("faults::run(\"illegal\"); {FIRST_LINE}"),
            "the host died of SIGILL in game_logic v1, system `game_logic::count`",
            true,
        ),
    ];
    for (from, to, expected, is_down) in cases {
        scratch.save(LIB, &text.replace(from, &to));
        let engine = Engine::spawn(&scratch, &[]);
        // The socket is there when something was said.
        engine.log.wait(0, "that it failed", |line| {
            line.starts_with("[ERROR] ") && (!is_down || line.contains("2 times in a row"))
        });
        let status = engine.wait("the problem", |status| {
            let problem = status.problems.first()?;
            let is_it = problem.message.contains(expected);
            (is_it && problem.severity == Severity::Error).then(|| status.clone())
        });
        let is_as_expected = (status.engine.host == HostState::Down) == is_down;
        assert!(
            is_as_expected && status.modules[0].active.is_none(),
            "{expected}: {status:#?}"
        );
        let shown = engine.inspector(&["dump"]);
        assert!(shown.status.success(), "{expected}: {shown:?}");

        scratch.save(LIB, &text);
        let fixed = engine.wait("the fix", |status| {
            let last = status.reloads.last()?;
            let runs = status.engine.host == HostState::Running && status.problems.is_empty();
            runs.then(|| last.clone())
        });
        let restart = engine.dump().engine.restart;
        assert!(restart.is_none_or(|restart| restart.is_first), "{expected}");
        assert_eq!(
            fixed.outcome,
            ReloadOutcome::Applied,
            "{expected}: {fixed:#?}"
        );
        assert_eq!(engine.number("answer"), 1, "{expected}");
        let log = engine.log.since(0);
        // Nothing was lost: there was no game yet.
        let is_loss = |line: &&String| line.contains("anew") || line.contains("goes on");
        assert_eq!(log.iter().find(is_loss), None, "{expected}");
        assert!(engine.finish().success());
    }
}

#[test]
fn a_startup_that_panicked_runs_with_the_fix() {
    let scratch = Scratch::take();
    let text = scratch.read(LIB);
    let register = format!("    m.systems(Startup, (arrive, begin));\n{SETUP}");
    let begin = |first: &str| {
        let speed = |value: u32| format!("commands.spawn(Speed {{ value: {value} }});");
        format!(
            "fn arrive(mut commands: Commands) {{ {} }}\n\
             fn begin(mut commands: Commands) {{ {} {first} {} }}\n",
            speed(1),
            speed(2),
            speed(3)
        )
    };
    let game = |first: &str| format!("{}{}", text.replace(SETUP, &register), begin(first));
    scratch.save(LIB, &game("if ANSWER == 1 { panic!(\"no beginning\"); }"));
    let engine = Engine::start(&scratch);
    let problem = engine.wait("the problem", |status| status.problems.first().cloned());
    assert!(
        problem.message.contains("`game_logic::begin` panicked")
            && problem.message.contains("no beginning"),
        "{problem:#?}"
    );
    // What it had asked for is not there, what others did is, and the game runs.
    let speeds = |engine: &Engine| engine.text("speeds").split(' ').count();
    assert_eq!(speeds(&engine), 1);
    let counter = engine.number("counter");
    engine.wait("frames", |_| {
        (engine.number("counter") > counter).then_some(())
    });

    scratch.save(LIB, &game(""));
    engine.wait("the fix", |status| {
        (status.modules[0].active == Some(2) && status.problems.is_empty()).then_some(())
    });
    assert_eq!(speeds(&engine), 3, "`arrive` ran once, `begin` now");
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    assert_eq!(speeds(&engine), 3);
    assert!(engine.finish().success());
}
