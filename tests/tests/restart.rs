//! A crash of game code costs a moment: a new host goes on by itself.

#![cfg(target_os = "linux")]

use inspector_protocol::message::{Answer, Request};
use inspector_protocol::status::{HostState, ReloadOutcome, Severity};
use liveloop_tests::engine::{Engine, LIB};
use liveloop_tests::scratch::Scratch;

/// The first thing that the game does in a frame.
const FIRST_LINE: &str = "counter.frames += 1;";

/// The same, and a crash before it.
fn crashing(when: &str) -> String {
    format!("if {when} {{ write_nowhere(); }}\n    {FIRST_LINE}")
}

/// Waits until so many hosts have died; it must not be more.
fn await_deaths(engine: &Engine, count: usize) {
    let is_death = |line: &str| line.starts_with("[ERROR] The host died");
    let mut place = 0;
    for _ in 0..count {
        (place, _) = engine.log.wait(place, "a death", is_death);
    }
    let more: Vec<_> = engine.log.since(place);
    assert!(!more.iter().any(|line| is_death(line)), "{more:#?}");
}

/// What crates there are, by their ids, and what they own.
fn inventory(engine: &Engine) -> Vec<String> {
    engine
        .text("inventory")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_new_version_that_crashes_gives_way_to_the_one_before() {
    let scratch = Scratch::take();
    let text = scratch.read(LIB);
    let config = scratch.policies("checkpoint_every: 0.1, rollback_within: 30.0");
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.call("spawn", &["12"]);
    let (crates, counter) = (inventory(&engine), engine.number("counter"));
    engine.next_checkpoint();

    // In its first frame, and while it is set up.
    let cases = [
        (
            FIRST_LINE,
            crashing("true"),
            "the host died of SIGSEGV in game_logic v2, system `game_logic::count`",
        ),
        (
            "    m.component::<Crate>()",
            "    write_nowhere();\n    m.component::<Crate>()".to_owned(),
            "the host died of SIGSEGV while game_logic v2 was set up",
        ),
        (
            FIRST_LINE,
            format!("if true {{ std::process::exit(0); }}\n    {FIRST_LINE}"),
            "the host ended with exit status 0 in game_logic v2, system `game_logic::count`",
        ),
    ];
    for (from, to, reason) in cases {
        let before = engine.dump();
        let seq = before.reloads.last().map_or(0, |last| last.seq);
        scratch.edit(LIB, from, &to);
        let after = engine.next_host(&before.engine);
        let rolled_back = engine.wait("the rollback", |status| {
            let mut reloads = status.reloads.iter().filter(|reload| reload.seq > seq);
            let found = reloads.find(|reload| reload.outcome == ReloadOutcome::RolledBack);
            found.cloned()
        });
        assert_eq!(
            (rolled_back.trigger.as_str(), rolled_back.to),
            ("crash", Some(1)),
            "{rolled_back:#?}"
        );
        for part in [reason, "v1's code runs again as v1", "not loaded again"] {
            assert!(rolled_back.message.contains(part), "{rolled_back:#?}");
        }
        // Nothing is lost, and what is shown is of this host.
        assert_eq!(engine.number("answer"), 1);
        assert_eq!(inventory(&engine), crates);
        assert!(engine.number("counter") >= counter);
        let restart = after.restart.expect("it was restarted");
        assert_eq!(restart.reason, reason);
        let checkpoint = restart.checkpoint.expect("there was a checkpoint");
        assert!(checkpoint.frame > 0 && checkpoint.age_ms < 60_000);
        let timings = restart.timings_ms;
        let steps = timings.notice + timings.start + timings.load + timings.resume;
        assert!(
            timings.total > 0.0 && (timings.total - steps).abs() < 1.0,
            "{timings:?}"
        );
        engine.log.wait(0, "the time it took", |line| {
            line.starts_with("[INFO] The game goes on from a checkpoint that was")
        });

        // It stays a problem, and is not loaded again, until the source is another.
        let problems = engine.dump().problems;
        let problem = problems.first().expect("there is a problem");
        assert_eq!(
            (problem.message.as_str(), problem.severity),
            (reason, Severity::Error)
        );
        let seq = engine.last_reload();
        scratch.save(LIB, &text.replace(from, &to));
        let refused = engine.reload_after(seq);
        assert!(
            refused.outcome == ReloadOutcome::Rejected && refused.message.contains("quarantined"),
            "{refused:#?}"
        );
        assert_eq!(engine.dump().engine.run_id, after.run_id);
        scratch.save(LIB, &text);
        engine.wait("that no problem is left", |status| {
            status.problems.is_empty().then_some(())
        });
    }
    await_deaths(&engine, 3);
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    assert_eq!(engine.number("answer"), 2);
    assert_eq!(inventory(&engine), crates);
    assert!(engine.finish().success());
}

#[test]
fn nothing_is_lost_when_a_new_version_crashes_in_its_first_frame() {
    let scratch = Scratch::take();
    // No checkpoint but the one that is made for the swap.
    let config = scratch.policies("checkpoint_every: 0.0");
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.call("spawn", &["2000"]);
    let (crates, counter) = (inventory(&engine), engine.number("counter"));
    let before = engine.dump().engine;
    scratch.edit(LIB, FIRST_LINE, &crashing("true"));
    let after = engine.next_host(&before);
    let restart = after.restart.expect("it was restarted");
    assert!(restart.checkpoint.is_some(), "{restart:?}");
    assert_eq!(inventory(&engine), crates);
    assert!(engine.number("counter") > counter);
    assert!(engine.finish().success());
}

#[test]
fn an_old_version_that_crashes_runs_again() {
    let scratch = Scratch::take();
    let config = scratch.policies("checkpoint_every: 0.1, rollback_within: 0.0");
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    engine.call("spawn", &["5"]);
    let crates = inventory(&engine);
    for (function, signal) in [
        ("crash", "SIGSEGV"),
        ("crash_in_frame", "SIGSEGV"),
        ("abort", "SIGABRT"),
        ("overflow", "SIGSEGV"),
    ] {
        let counter = engine.number("counter");
        engine.next_checkpoint();
        let before = engine.dump();
        let active = before.modules[0].active;
        let reason = engine
            .try_call(function, &[])
            .expect_err("the host dies of it");
        let died = format!("the host died of {signal} in game_logic v");
        assert!(
            reason.contains(&died) && reason.contains(function),
            "{reason}"
        );
        let after = engine.next_host(&before.engine);
        assert!(
            after
                .restart
                .is_some_and(|restart| restart.reason.starts_with(&died))
        );
        let status = engine.dump();
        let last = status.reloads.last().expect("it was loaded");
        assert_eq!(
            (last.outcome, last.from, last.to),
            (ReloadOutcome::Restarted, active, Some(1)),
            "{last:#?}"
        );
        assert_eq!(status.problems, [], "{function}");
        assert_eq!(engine.number("answer"), 2, "the same version");
        assert_eq!(inventory(&engine), crates, "{function}");
        assert!(engine.number("counter") >= counter, "{function}");
    }
    await_deaths(&engine, 4);
    assert!(engine.finish().success());
}

#[test]
fn a_version_that_crashes_at_every_start_is_not_tried_a_third_time() {
    let scratch = Scratch::take();
    let config = scratch.policies("checkpoint_every: 0.1, rollback_within: 0.0");
    let text = scratch.read(LIB);
    scratch.save(LIB, &text.replace(FIRST_LINE, &crashing("true")));
    let engine = Engine::spawn(&scratch, &["--config", &config]);
    // There is nothing to go back to.
    engine.log.wait(0, "that it gives up", |line| {
        line.starts_with("[ERROR] The host died") && line.contains("2 times in a row")
    });
    let down = engine.wait("that no host is left", |status| {
        (status.engine.host == HostState::Down).then(|| status.clone())
    });
    await_deaths(&engine, 2);
    assert!(down.engine.host_pid.is_none() && down.modules[0].active.is_none());
    assert!(down.problems[0].message.contains("`game_logic::count`"));
    assert!(engine.try_call("answer", &[]).is_err());
    // Somebody who asks for it gets it once more, and no loop.
    let answer = engine.ask(|id| Request::RestartHost { id });
    assert!(
        matches!(&answer, Answer::Error(reason) if reason.contains("down again")),
        "{answer:?}"
    );
    await_deaths(&engine, 3);

    // A save that mends it goes live, without a key.
    let seq = engine.last_reload();
    scratch.save(LIB, &text);
    let reload = engine.reload_after(seq);
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    assert_eq!(reload.to, Some(1), "{reload:#?}");
    assert!(reload.trigger.ends_with("lib.rs"), "{reload:#?}");
    engine.wait("that it runs", |status| {
        (status.engine.host == HostState::Running && status.problems.is_empty()).then_some(())
    });
    assert_eq!(engine.number("answer"), 1);

    // With a version before it, that one takes over after the second start.
    let counter = engine.number("counter");
    engine.next_checkpoint();
    scratch.edit(LIB, FIRST_LINE, &crashing("true"));
    let rolled_back = engine.wait("the rollback", |status| {
        let last = status.reloads.last().cloned();
        let is_running = status.engine.host == HostState::Running;
        last.filter(|last| is_running && last.outcome == ReloadOutcome::RolledBack)
    });
    assert_eq!(rolled_back.to, Some(1), "{rolled_back:#?}");
    await_deaths(&engine, 6);
    assert_eq!(engine.number("answer"), 1);
    assert!(engine.number("counter") >= counter);
    assert!(engine.finish().success());
}

#[test]
fn a_checkpoint_that_leads_into_a_crash_is_passed_over_once() {
    let scratch = Scratch::take();
    let config = scratch.policies("checkpoint_every: 0.1");
    // Whatever it begins with, it comes to that frame.
    scratch.edit(LIB, FIRST_LINE, &crashing("counter.frames == 120"));
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    let expected = [
        "from the last checkpoint",
        "from the last checkpoint",
        "from the checkpoint before the last",
        "3 times in a row",
    ];
    let mut place = 0;
    for (death, part) in expected.into_iter().enumerate() {
        let line;
        (place, line) = engine.log.wait(place, "a death", |line| {
            line.starts_with("[ERROR] The host died")
        });
        assert!(line.contains(part), "death {death}: {line}");
    }
    let down = engine.wait("that no host is left", |status| {
        (status.engine.host == HostState::Down).then(|| status.engine.clone())
    });
    assert!(down.run_id.ends_with("-4"), "{down:?}");
    assert_eq!(engine.finish().code(), Some(1));
}
