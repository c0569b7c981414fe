//! The engine itself changes while the game runs.

#![cfg(target_os = "linux")]

use inspector_protocol::status::{ReloadOutcome, Severity};
use liveloop_tests::engine::{Engine, LIB};
use liveloop_tests::scratch::Scratch;

/// Part of the executable alone: little is built when it changes.
const ENGINE: &str = "engine/src/supervisor/configuring.rs";

/// What the engine says when its settings change.
const SAYS: &str = "Settings changed; {rate}";

#[test]
fn a_changed_engine_takes_over_and_the_game_goes_on() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    engine.call("spawn", &["12"]);
    let crates = engine.text("inventory");
    let counter = engine.number("counter");
    let pid = engine.pid;

    // One that does not compile is a problem, and edits of the game are as ever.
    scratch.edit(ENGINE, SAYS, "Settings changed; {race}");
    engine.wait("a problem of the engine", |status| {
        let mut problems = status.problems.iter();
        let problem = problems.find(|problem| problem.module == "engine")?;
        (problem.severity == Severity::Error && problem.file == ENGINE).then_some(())
    });
    engine.apply(LIB, "ANSWER: i64 = 1", "ANSWER: i64 = 2");

    // One that compiles is offered.
    scratch.edit(ENGINE, "Settings changed; {race}", "Other settings; {rate}");
    let offer = engine.wait("the offer", |status| {
        let mut problems = status.problems.iter();
        problems
            .find(|problem| problem.message.starts_with("the engine has changed"))
            .cloned()
    });
    assert_eq!(offer.severity, Severity::Warning);
    assert!(offer.message.contains("inspector restart"), "{offer:#?}");
    assert_eq!(engine.text("inventory"), crates);
    let before = engine.dump();

    let output = engine.inspector(&["restart"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("\"reason\""), "{text}");

    // Another host in the same process, with the same game.
    let after = engine.dump();
    assert_eq!(after.engine.pid, pid);
    assert_ne!(after.engine.run_id, before.engine.run_id);
    assert_eq!(engine.text("inventory"), crates);
    assert!(engine.number("counter") >= counter);
    assert_eq!(engine.number("answer"), 2);
    assert!(after.problems.is_empty(), "{:#?}", after.problems);
    let last = after.reloads.last().expect("the history goes on");
    assert_eq!(
        (last.outcome, last.trigger.as_str(), last.from),
        (ReloadOutcome::Restarted, "engine", Some(2)),
        "{last:#?}"
    );
    assert!(after.reloads.len() > 2, "{:#?}", after.reloads);
    let restart = after.engine.restart.expect("it says how that went");
    assert!(restart.checkpoint.is_some(), "{restart:#?}");

    // It is the new engine, and it does what the one before did.
    scratch.edit("assets/engine.ron", "frame_rate: 60", "frame_rate: 90");
    engine.log.wait(0, "the new engine's words", |line| {
        line.ends_with("Other settings; 90 frames per second")
    });
    engine.apply(LIB, "ANSWER: i64 = 2", "ANSWER: i64 = 3");
    assert_eq!(engine.number("answer"), 3);
    assert_eq!(engine.text("inventory"), crates);
    assert!(engine.finish().success());
}

/// What game code and the engine must agree about.
const TIME: &str = "engine/api/src/time.rs";

#[test]
fn an_engine_that_no_module_fits_takes_over_by_itself_where_that_is_the_policy() {
    let scratch = Scratch::take();
    let config = scratch.policies("on_engine_change: Restart");
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.call("spawn", &["9"]);
    let crates = engine.text("inventory");
    let (counter, pid) = (engine.number("counter"), engine.pid);
    let before = engine.dump().engine;

    // The engine's clock gets a part more, and so another token.
    let time = scratch.read(TIME);
    let (field, value) = ("    number: u64,\n", "            number: 0,\n");
    assert_eq!(
        (time.matches(field).count(), time.matches(value).count()),
        (1, 1)
    );
    let time = time.replace(
        field,
        &format!("    /// Nothing.\n    pub spare: u64,\n{field}"),
    );
    scratch.save(
        TIME,
        &time.replace(value, &format!("            spare: 3,\n{value}")),
    );
    // Most of the engine is built.
    engine.log.wait(0, "that it is noticed", |line| {
        line == format!("[INFO] Compiling the engine: {TIME} has changed")
    });
    let (from, _) = engine.log.wait(0, "that it is built", |line| {
        line.starts_with("[INFO] The new engine takes over")
    });
    engine.log.wait(from, "the next host", |line| {
        line.starts_with("[INFO] The game goes on from a checkpoint that was")
    });

    let after = engine.dump();
    assert_eq!(after.engine.pid, pid);
    assert_ne!(after.engine.run_id, before.run_id);
    assert_eq!(engine.text("inventory"), crates);
    assert!(engine.number("counter") >= counter);
    assert!(after.problems.is_empty(), "{:#?}", after.problems);
    let outcomes: Vec<_> = after.reloads.iter().map(|reload| reload.outcome).collect();
    assert_eq!(outcomes, [ReloadOutcome::Applied, ReloadOutcome::Restarted]);
    // The game knows the new part.
    let answer = "fn counter(world: &mut World) -> u64 {\n    world.resource::<Counter>().frames";
    let spare = "fn counter(world: &mut World) -> u64 {\n    world.resource::<Time>().spare";
    engine.apply(LIB, answer, spare);
    assert_eq!(engine.number("counter"), 3);
    assert_eq!(engine.text("inventory"), crates);
    assert!(engine.finish().success());
}
