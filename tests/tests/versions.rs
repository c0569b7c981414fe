//! Versions side by side: calls finish where they began, and what is no longer needed
//! leaves the process.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;

use inspector_protocol::message::{Answer, Request};
use inspector_protocol::status::{ReloadOutcome, VersionState};
use liveloop_tests::MODULE;
use liveloop_tests::engine::{Engine, LIB, module, states};
use liveloop_tests::process::{descriptors, mapped_versions, threads};
use liveloop_tests::scratch::Scratch;

/// Waits until a version is active and every other one has left the process: the
/// game holds nothing that could refer to their code.
fn settle(engine: &Engine, active: u32) {
    engine.wait("that only the active version is left", |status| {
        let is_in_place = |(version, state)| match state {
            VersionState::Active => version == active,
            state => version != active && state == VersionState::Unloaded,
        };
        states(status).into_iter().all(is_in_place).then_some(())
    });
}

/// Descriptors, threads and mapped images of the game.
fn holdings(pid: u32) -> (usize, usize, usize) {
    (descriptors(pid), threads(pid), mapped_versions(pid).len())
}

fn host(engine: &Engine) -> u32 {
    engine.dump().engine.host_pid.expect("the host runs")
}

#[test]
fn three_versions_live_at_once_and_each_call_finishes_on_its_own() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    let gate = |version: u32| scratch.temporary.join(format!("open-{version}"));
    let mut calls = Vec::new();
    for version in 1..=3_u32 {
        if version > 1 {
            let (from, to) = (
                format!("ANSWER: i64 = {};", version - 1),
                format!("ANSWER: i64 = {version};"),
            );
            assert_eq!(engine.apply(LIB, &from, &to).to, Some(version));
        }
        let argument = format!("{:?}", gate(version).display().to_string());
        calls.push((version, engine.begin_call("wait_for", &[&argument])));
        engine.wait("the call", |status| {
            status
                .calls
                .iter()
                .any(|call| call.version == version && call.function == "wait_for")
                .then_some(())
        });
    }

    // Each is listed with its call, on a thread of its own.
    let status = engine.wait("all calls", |status| {
        let versions = module(status).versions;
        (versions.len() == 3 && versions.iter().all(|version| version.active_calls >= 1))
            .then(|| status.clone())
    });
    use VersionState::{Active, Draining};
    assert_eq!(states(&status), [(1, Draining), (2, Draining), (3, Active)]);
    let waiting = status
        .calls
        .iter()
        .filter(|call| call.function == "wait_for");
    let threads: BTreeSet<_> = waiting.map(|call| call.thread.as_str()).collect();
    assert_eq!(threads.len(), 3, "{:#?}", status.calls);
    assert!(
        mapped_versions(host(&engine)).len() >= 3,
        "all three are mapped"
    );
    assert_eq!(engine.number("answer"), 3, "new calls enter the newest");
    let before = engine.number("counter");
    engine.run_frames(10);
    assert!(
        engine.number("counter") > before,
        "the game goes on meanwhile"
    );

    // The middle one first: the order does not matter.
    calls.swap(0, 1);
    for (version, call) in calls {
        fs::write(gate(version), "").expect("a file can be made");
        assert_eq!(call.answer(), Answer::Value(version.to_string()));
    }
    for line in [
        "[DEBUG] v1 draining (1 active call)",
        "[DEBUG] v2 draining (1 active call)",
    ] {
        engine.log.wait(0, line, |written| written == line);
    }

    // Nothing calls the old ones any more: the next versions take their place.
    engine.apply(LIB, "ANSWER: i64 = 3;", "ANSWER: i64 = 4;");
    engine.apply(LIB, "ANSWER: i64 = 4;", "ANSWER: i64 = 5;");
    settle(&engine, 5);
    for version in 1..=4 {
        let line = format!("[DEBUG] v{version} unloaded");
        engine.log.wait(0, &line, |written| written == line);
    }
    // Beside the active version at most one image, which the world's types live in.
    let mapped = mapped_versions(host(&engine));
    assert!(mapped.len() <= 2, "{mapped:?}");
    assert!(engine.finish().success());
}

#[test]
fn fifty_reloads_leave_nothing_behind() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    engine.call("spawn", &["10"]);
    let inventory = engine.text("inventory");
    let pid = host(&engine);
    let edit = |number: u32| {
        let (from, to) = (
            format!("ANSWER: i64 = {number};"),
            format!("ANSWER: i64 = {};", number + 1),
        );
        engine.apply(LIB, &from, &to);
        assert_eq!(engine.number("answer"), i64::from(number) + 1);
    };
    // What is made once is made by now.
    (1..=5).for_each(edit);
    settle(&engine, 6);
    let before = holdings(pid);
    assert!(before.2 <= 2, "{:?}", mapped_versions(pid));
    (6..=50).for_each(edit);
    settle(&engine, 51);
    // A file that is being looked at for a moment is no leak.
    let what = format!("{before:?} descriptors, threads and images again");
    engine.wait(&what, |_| (holdings(pid) == before).then_some(()));
    assert_eq!(host(&engine), pid, "the host is still the first one");
    assert_eq!(engine.text("inventory"), inventory);
    let copies = fs::read_dir(scratch.target.join("debug"))
        .expect("the folder is there")
        .flatten();
    let copies = copies.filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("libgame_logic_")
    });
    let copies: Vec<_> = copies.map(|entry| entry.file_name()).collect();
    assert!(
        copies.len() <= 4,
        "copies of the library pile up: {copies:?}"
    );
    assert!(engine.finish().success());
}

#[test]
fn a_rollback_makes_the_version_before_active_again() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    engine.call("spawn", &["3"]);
    let inventory = engine.text("inventory");
    let rollback = |state: bool| {
        engine.ask(|id| Request::Rollback {
            id,
            module: MODULE.to_owned(),
            state,
        })
    };
    assert!(
        matches!(rollback(false), Answer::Error(_)),
        "there is nothing to go back to yet"
    );
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    let Answer::Reload(reload) = rollback(false) else {
        panic!("no reload")
    };
    assert_eq!(reload.outcome, ReloadOutcome::RolledBack, "{reload:#?}");
    assert_eq!(engine.number("answer"), 1);
    assert_eq!(engine.text("inventory"), inventory);
    // The next save is applied on top.
    engine.apply(LIB, "ANSWER: i64 = 2;", "ANSWER: i64 = 3;");
    assert_eq!(engine.number("answer"), 3);
    assert!(engine.finish().success());
}

#[test]
fn a_reload_that_is_asked_for_makes_a_new_version() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    let Answer::Reload(reload) = engine.ask(|id| Request::Reload {
        id,
        module: MODULE.to_owned(),
    }) else {
        panic!("no reload")
    };
    assert_eq!(
        (reload.outcome, reload.to),
        (ReloadOutcome::Applied, Some(2)),
        "{reload:#?}"
    );
    assert_eq!(reload.trigger, "request");
    let Answer::Error(reason) = engine.ask(|id| Request::Reload {
        id,
        module: "nothing".to_owned(),
    }) else {
        panic!("no error")
    };
    assert!(
        reason.contains("nothing") && reason.contains(MODULE),
        "{reason}"
    );
    assert!(engine.finish().success());
}

#[test]
fn an_external_build_is_picked_up() {
    let scratch = Scratch::take();
    scratch.cargo(&["build"]);
    let engine = Engine::start_with(&scratch, &["--no-build"]);
    assert_eq!(engine.number("answer"), 1);
    let seq = engine.last_reload();
    scratch.edit(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    scratch.cargo(&["build", "-p", "engine", "-p", MODULE]);
    let reload = engine.reload_after(seq);
    assert_eq!(
        (reload.outcome, reload.to),
        (ReloadOutcome::Applied, Some(2)),
        "{reload:#?}"
    );
    assert_eq!(reload.trigger, "external build");
    assert_eq!(engine.number("answer"), 2);
    assert!(engine.finish().success());
}
