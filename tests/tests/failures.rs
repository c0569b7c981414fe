//! What goes wrong is named, and the game goes on.

#![cfg(target_os = "linux")]

use std::fs;

use inspector_protocol::message::{Answer, Event, HostDeath, Request, Subscription};
use inspector_protocol::status::{HostState, ReloadOutcome, ReloadStatus, Severity, VersionState};
use liveloop_tests::client::Client;
use liveloop_tests::engine::{Engine, LIB, states};
use liveloop_tests::scratch::Scratch;

#[test]
fn a_bad_artifact_is_refused_and_the_next_good_build_goes_live() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    // After its first build the builder may build once more to learn how, and would
    // mend the library; once a save went through it has done so.
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    let good = fs::read(scratch.library()).expect("the library is there");
    let artifacts: [(&str, Vec<u8>); 4] = [
        ("cut in half", good[..good.len() / 2].to_vec()),
        ("without its last bytes", good[..good.len() - 100].to_vec()),
        ("garbage", b"this is no library".repeat(1000)),
        ("empty", Vec::new()),
    ];
    for (what, bytes) in artifacts {
        let seq = engine.last_reload();
        scratch.replace_library(&bytes);
        let reload = engine.reload_after(seq);
        let refused = matches!(
            reload.outcome,
            ReloadOutcome::LoadError | ReloadOutcome::Rejected
        );
        assert!(
            refused && reload.to.is_none() && !reload.message.is_empty(),
            "{what}: {reload:#?}"
        );
        let before = engine.number("counter");
        engine.run_frames(5);
        assert!(
            engine.number("counter") > before,
            "{what}: the game stands still"
        );
        assert_eq!(engine.number("answer"), 2);
        engine.wait("version 2", |status| {
            states(status)
                .contains(&(2, VersionState::Active))
                .then_some(())
        });
    }
    engine.apply(LIB, "ANSWER: i64 = 2;", "ANSWER: i64 = 3;");
    assert_eq!(engine.number("answer"), 3);
    assert!(engine.finish().success());
}

#[test]
fn what_was_built_elsewhere_gives_way_to_the_next_save() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    let elsewhere = fs::read(scratch.library()).expect("the library is there");
    engine.apply(LIB, "ANSWER: i64 = 2;", "ANSWER: i64 = 3;");
    let seq = engine.last_reload();
    scratch.replace_library(&elsewhere);
    let reload = engine.reload_after(seq);
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    assert_eq!(engine.number("answer"), 2);
    // This build gives what ran before, and not what runs.
    let reload = engine.edit(LIB, "ANSWER: i64 = 3;", "ANSWER: i64 = ;");
    assert_eq!(reload.outcome, ReloadOutcome::CompileError, "{reload:#?}");
    engine.apply(LIB, "ANSWER: i64 = ;", "ANSWER: i64 = 3;");
    assert_eq!(engine.number("answer"), 3);
    assert!(engine.finish().success());
}

#[test]
fn a_panic_of_a_system_or_observer_is_named_and_the_game_goes_on() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    for (arm, function, message) in [
        ("arm", "burn", "the fuse burnt down"),
        (
            "arm_observer",
            "burn_observed",
            "the observed fuse burnt down",
        ),
    ] {
        engine.call(arm, &[]);
        let problem = engine.wait("the problem", |status| {
            status
                .problems
                .iter()
                .find(|problem| problem.message.contains(message))
                .cloned()
        });
        assert!(problem.message.contains(function), "{problem:#?}");
        assert!(
            problem.file.ends_with("lib.rs") && problem.line > 0,
            "{problem:#?}"
        );
        let (_, line) = engine.log.wait(0, message, |line| line.contains(message));
        assert!(
            line.starts_with("[ERROR] ") && line.contains(function) && line.contains("v1"),
            "{line}"
        );
    }
    // Paused is what failed, nothing else.
    let before = (engine.number("counter"), engine.number("observed"));
    engine.run_frames(10);
    assert!(engine.number("counter") > before.0 && engine.number("observed") > before.1);
    let burnt = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| line.contains("burnt down"))
            .count()
    };
    assert_eq!(burnt(&engine.log.since(0)), 2, "each is reported once");

    // The next version is tried anew.
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    engine.wait("that no problem is left", |status| {
        status.problems.is_empty().then_some(())
    });
    engine.call("arm", &[]);
    engine.wait("the problem", |status| {
        status
            .problems
            .iter()
            .any(|problem| problem.message.contains("the fuse burnt down"))
            .then_some(())
    });
    assert!(engine.finish().success());
}

#[test]
fn a_panic_of_a_called_function_is_its_answer() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    let reason = engine.try_call("fail", &[]).expect_err("it panics");
    for part in [
        "game_logic",
        "v1",
        "`fail`",
        "this function fails",
        "lib.rs",
    ] {
        assert!(reason.contains(part), "`{part}` is missing: {reason}");
    }
    assert_eq!(engine.number("answer"), 1);
    assert!(engine.finish().success());
}

#[test]
fn a_version_that_does_not_fit_leaves_no_trace() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    let text = scratch.read(LIB);
    let cases: [(&str, &str, &[&str]); 3] = [
        // The module function panics.
        (
            "    m.component::<Crate>()",
            "    if ANSWER == 1 { panic!(\"not today\"); }\n    m.component::<Crate>()",
            &["panicked", "not today"],
        ),
        // Registered twice.
        (
            ".function(\"answer\", answer)",
            ".function(\"answer\", answer).function(\"answer\", answer)",
            &["`answer`", "twice"],
        ),
        // Used, but not registered.
        ("        .resource::<Fuse>()\n", "\n", &["burn", "register"]),
    ];
    for (from, to, parts) in cases {
        let reload = engine.edit(LIB, from, to);
        assert_eq!(
            (reload.outcome, reload.to),
            (ReloadOutcome::Rejected, None),
            "{reload:#?}"
        );
        for part in parts {
            assert!(
                reload.message.contains(part),
                "`{part}` is missing: {}",
                reload.message
            );
        }
        assert_eq!(engine.number("answer"), 1);
        let problems = engine.dump().problems;
        assert!(
            problems.first().is_some_and(|first| {
                (first.module.as_str(), first.severity) == ("game_logic", Severity::Error)
                    && first.message == reload.message
            }),
            "{problems:#?}"
        );
        scratch.save(LIB, &text);
        let back = engine.reload_after(reload.seq);
        assert!(
            matches!(
                back.outcome,
                ReloadOutcome::Unchanged | ReloadOutcome::Applied
            ),
            "{back:#?}"
        );
        assert_eq!(engine.dump().problems, []);
    }
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    assert_eq!(engine.number("answer"), 2);
    assert!(engine.finish().success());
}

#[test]
fn a_host_that_died_waits_for_a_person_where_that_is_the_policy() {
    let scratch = Scratch::take();
    let config = scratch.policies("on_crash: Wait");
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    for (function, signal) in [
        ("crash", "SIGSEGV"),
        ("crash_in_frame", "SIGSEGV"),
        ("abort", "SIGABRT"),
    ] {
        let before = engine.dump();
        let wanted = Subscription {
            status: true,
            ..Subscription::default()
        };
        let mut watching = Client::subscribe(&engine.socket, wanted);
        let reason = engine
            .try_call(function, &[])
            .expect_err("the host dies of it");
        assert!(reason.contains("died"), "{reason}");
        let HostDeath { how, during, .. } = loop {
            if let Event::HostDown(death) = watching.next_event() {
                break death;
            }
        };
        assert!(how.contains(signal), "{function}: {how}");
        let during = during.expect("the call is known");
        assert!(
            during.contains("game_logic") && during.contains(function),
            "{during}"
        );
        engine.log.wait(0, "the death", |line| {
            line.starts_with("[ERROR] The host died")
                && line.contains(signal)
                && line.contains(function)
        });

        // While it is down.
        let status = engine.dump();
        assert_eq!(
            (status.engine.host, status.engine.host_pid),
            (HostState::Down, None)
        );
        assert!(engine.try_call("answer", &[]).is_err());
        let name = signal.split_once(' ').map_or(signal, |(name, _)| name);
        let problem = status.problems.first().cloned().unwrap_or_default();
        assert!(
            problem.module == "game_logic"
                && problem.severity == Severity::Error
                && problem
                    .message
                    .contains(&format!("died of {name} in game_logic v"))
                && problem.message.contains(&format!("function `{function}`")),
            "{problem:#?}"
        );
        let module = &status.modules[0];
        assert_eq!(module.active, None, "{module:#?}");
        assert!(
            !module.versions.is_empty()
                && module
                    .versions
                    .iter()
                    .all(|version| version.state == VersionState::Unloaded),
            "{module:#?}"
        );
        let shown = engine.inspector(&["dump"]);
        assert!(
            shown.status.success() && String::from_utf8_lossy(&shown.stdout).contains("\"down\"")
        );

        assert_eq!(engine.ask(|id| Request::RestartHost { id }), Answer::Done);
        let after = engine.wait("the new host", |status| {
            (status.engine.host == HostState::Running).then(|| status.engine.clone())
        });
        assert_ne!(after.run_id, before.engine.run_id);
        assert_ne!(after.host_pid, before.engine.host_pid);
        assert_eq!(engine.number("answer"), 2, "the last good version runs");
        assert_eq!(engine.dump().problems, []);
    }
    engine.apply(LIB, "ANSWER: i64 = 2;", "ANSWER: i64 = 3;");
    assert_eq!(engine.number("answer"), 3);
    assert!(engine.finish().success());
}

#[test]
fn a_version_that_kills_the_host_is_named_in_the_history_and_by_the_restart() {
    let scratch = Scratch::take();
    let text = scratch.read(LIB);
    let config = scratch.policies("on_crash: Wait");
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    // A panic of a system is there when the host dies, and gone with it.
    engine.call("arm", &[]);
    engine.wait("the problem", |status| {
        (!status.problems.is_empty()).then_some(())
    });
    let reload = engine.edit(
        LIB,
        "    m.component::<Crate>()",
        "    write_nowhere();\n    m.component::<Crate>()",
    );
    assert_eq!(
        (reload.outcome, reload.from, reload.to),
        (ReloadOutcome::LoadError, Some(1), Some(2)),
        "{reload:#?}"
    );
    let expected = "the host died of SIGSEGV while game_logic v2 was set up";
    assert_eq!(reload.message, expected);
    let status = engine.wait("that the host is down", |status| {
        (status.engine.host == HostState::Down).then(|| status.clone())
    });
    let messages: Vec<_> = status
        .problems
        .iter()
        .map(|problem| &problem.message)
        .collect();
    assert_eq!(messages, [expected]);
    assert_eq!(
        (status.modules[0].active, states(&status)),
        (
            None,
            vec![(1, VersionState::Unloaded), (2, VersionState::Unloaded)]
        )
    );

    let Answer::Error(reason) = engine.ask(|id| Request::RestartHost { id }) else {
        panic!("a host that dies at once is no success");
    };
    assert!(
        reason.contains("down again") && reason.contains("SIGSEGV"),
        "{reason}"
    );
    // Whoever mends it goes on with a key.
    scratch.save(LIB, &text);
    engine.log.wait(0, "the build", |line| {
        line.ends_with("the next host begins with it")
    });
    assert_eq!(engine.ask(|id| Request::RestartHost { id }), Answer::Done);
    assert_eq!(engine.number("answer"), 1);
    assert_eq!(engine.dump().problems, []);

    // A system that kills it in its first frame: the swap may have been reported or not.
    let reload = engine.edit(
        LIB,
        "    counter.frames += 1;",
        "    write_nowhere();\n    counter.frames += 1;",
    );
    assert_eq!((reload.from, reload.to), (Some(1), Some(2)), "{reload:#?}");
    let problem = engine.wait("that the host is down", |status| {
        let is_down = status.engine.host == HostState::Down;
        is_down.then(|| status.problems.first().cloned()).flatten()
    });
    assert_eq!(
        problem.message,
        "the host died of SIGSEGV in game_logic v2, system `game_logic::count`"
    );
    let answer = engine.ask(|id| Request::RestartHost { id });
    assert!(
        matches!(&answer, Answer::Error(reason) if reason.contains("`game_logic::count`")),
        "{answer:?}"
    );
    // Asked to end while its host is dead, it is a failed game.
    assert_eq!(engine.finish().code(), Some(1));
}

#[test]
fn a_mistake_at_the_start_is_shown_and_its_fix_starts_the_game() {
    let scratch = Scratch::take();
    let text = scratch.read(LIB);
    scratch.edit(LIB, "fn answer() -> i64 {", "fn answer() -> i32 {");
    let engine = Engine::spawn(&scratch, &[]);
    engine.log.wait(0, "the error", |line| {
        line.starts_with("[ERROR] Module 'game_logic' does not compile")
    });
    let reload: ReloadStatus = engine.reload_after(0);
    assert_eq!(
        (reload.outcome, reload.from),
        (ReloadOutcome::CompileError, None),
        "{reload:#?}"
    );
    let status = engine.dump();
    assert!(
        status.problems.iter().any(|problem| problem.file == LIB),
        "{:#?}",
        status.problems
    );
    assert!(engine.try_call("answer", &[]).is_err());
    scratch.save(LIB, &text);
    let reload = engine.reload_after(reload.seq);
    assert_eq!(
        (reload.outcome, reload.to),
        (ReloadOutcome::Applied, Some(1)),
        "{reload:#?}"
    );
    assert_eq!(engine.number("answer"), 1);
    assert!(engine.finish().success());
}
