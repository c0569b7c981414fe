//! State that outlives processes: checkpoints, resuming, rolling back with state, scenes.

use std::fs;
use std::process::Command;

use inspector_protocol::status::ReloadOutcome;
use liveloop_tests::engine::{Engine, LIB};
use liveloop_tests::scratch::Scratch;

/// A checkpoint every tenth of a second.
const OFTEN: &str = "checkpoint_every: 0.1";

fn kill(pid: u32) {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.expect("kill can be run").success());
}

/// What crates there are and what they own; entities have new ids after a scene was loaded or a
/// state was brought back into a running game.
fn inventory(engine: &Engine) -> Vec<String> {
    let text = engine.text("inventory");
    let mut lines: Vec<String> = text
        .lines()
        .filter_map(|line| Some(line.split_once(' ')?.1.to_owned()))
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_host_that_is_killed_again_and_again_goes_on() {
    let scratch = Scratch::take();
    let config = scratch.policies(OFTEN);
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.call("spawn", &["20"]);
    let crates = engine.text("inventory");
    assert_eq!(crates.lines().count(), 20);
    let (mut least, mut total) = (engine.number("counter"), 0);
    engine.next_checkpoint();
    for round in 0..5 {
        engine.run_frames(7 * round);
        let before = engine.dump().engine;
        kill(before.host_pid.expect("a host runs"));
        let after = engine.next_host(&before);
        assert_ne!(after.host_pid, before.host_pid);
        // Nobody is to blame, so the same version runs again.
        let restart = after.restart.expect("it was restarted");
        assert_eq!(restart.reason, "the host died of SIGKILL", "round {round}");
        assert!(restart.checkpoint.is_some(), "{restart:?}");
        let last = engine.dump().reloads.pop().expect("it was loaded");
        assert_eq!(
            (last.outcome, last.trigger.as_str(), last.from, last.to),
            (ReloadOutcome::Restarted, "crash", Some(1), Some(1)),
            "{last:#?}"
        );
        // What is shared is newer than any checkpoint.
        let shared = engine.inspector(&["shared"]);
        let shared: serde_json::Value = serde_json::from_slice(&shared.stdout).expect("JSON");
        let frames = &shared["game_logic::Totals"]["fields"]["frames"]["value"];
        let frames: i64 = frames.as_str().expect("a value").parse().expect("a number");
        assert!(frames >= total.max(least), "{frames} after {total}");
        total = frames;
        // By their ids.
        assert_eq!(engine.text("inventory"), crates, "round {round}");
        let counter = engine.number("counter");
        assert!(counter >= least, "{counter} after {least}");
        least = counter;
        engine.next_checkpoint();
    }
    assert!(engine.finish().success());
}

#[test]
fn an_engine_that_is_killed_is_resumed_and_a_damaged_checkpoint_passed_over() {
    let scratch = Scratch::take();
    let config = scratch.policies(OFTEN);
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.call("spawn", &["5"]);
    engine.next_checkpoint();
    let crates = inventory(&engine);
    let counter = engine.number("counter");
    // One to be damaged, and one before it.
    engine.next_checkpoint();
    engine.next_checkpoint();
    engine.kill();

    let files = scratch.checkpoints();
    let newest = files.last().expect("there are checkpoints");
    let bytes = fs::read(newest).unwrap();
    fs::write(newest, &bytes[..bytes.len() / 2]).unwrap();

    let engine = Engine::start_with(&scratch, &["--config", &config, "--resume"]);
    engine.log.wait(0, "the damage", |line| {
        line.starts_with("[WARN] checkpoint ") && line.contains("cannot be used, the one before is")
    });
    engine.log.wait(0, "the resumption", |line| {
        line.starts_with("[INFO] Resumed from the checkpoint")
    });
    assert_eq!(inventory(&engine), crates);
    assert!(engine.number("counter") >= counter);
    assert!(engine.finish().success());
}

#[test]
fn a_rollback_with_state_and_a_scene_bring_values_back() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    engine.call("spawn", &["3"]);
    let crates = inventory(&engine);
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    engine.call("despawn_all", &[]);
    assert!(inventory(&engine).is_empty());
    let rolled = engine.inspector(&["rollback", "game_logic", "--state"]);
    assert!(rolled.status.success(), "{rolled:?}");
    let text = String::from_utf8_lossy(&rolled.stdout).into_owned();
    assert!(
        text.contains("rolled_back") && text.contains("with the state of that moment"),
        "{text}"
    );
    assert_eq!(engine.number("answer"), 1);
    assert_eq!(inventory(&engine), crates);

    // A scene, edited by hand.
    let file = scratch.temporary.join("scene.ron");
    let name = file.to_str().expect("a plain path");
    assert!(engine.inspector(&["save", name]).status.success());
    let scene = fs::read_to_string(&file).unwrap();
    assert!(scene.contains("\"crate 1\""), "{scene}");
    fs::write(&file, scene.replace("\"crate 1\"", "\"chest\"")).unwrap();
    assert!(engine.inspector(&["load", name]).status.success());
    let expected: Vec<String> = {
        let renamed = crates.iter().map(|line| line.replace("crate 1:", "chest:"));
        let mut lines: Vec<String> = renamed.collect();
        lines.sort();
        lines
    };
    assert_eq!(inventory(&engine), expected);
    // A mistake has a place, and changes nothing.
    fs::write(&file, scene.replace("\"crate 1\"", "17")).unwrap();
    let wrong = engine.inspector(&["load", name]);
    assert_eq!(wrong.status.code(), Some(1));
    let error = String::from_utf8_lossy(&wrong.stderr).into_owned();
    let line = 1 + scene[..scene.find("\"crate 1\"").unwrap()]
        .matches('\n')
        .count();
    assert!(error.contains(&format!("scene.ron:{line}:")), "{error}");
    assert_eq!(inventory(&engine), expected);
    assert!(engine.finish().success());
}

#[test]
fn a_component_that_is_deleted_comes_back_with_its_values() {
    let scratch = Scratch::take();
    let config = scratch.policies(OFTEN);
    let engine = Engine::start_with(&scratch, &["--config", &config]);
    engine.call("spawn", &["4"]);
    let crates = inventory(&engine);
    let text = scratch.read(LIB);
    let without = text
        .replace("m.component::<Crate>()\n        .component", "m.component")
        .replace("        .observe(removed)\n", "");
    let apply = |engine: &Engine, text: &str| {
        let seq = engine.last_reload();
        scratch.save(LIB, text);
        let reload = engine.reload_after(seq);
        assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    };
    apply(&engine, &without);
    apply(&engine, &text);
    assert_eq!(inventory(&engine), crates);

    // And when the engine was started without it meanwhile.
    apply(&engine, &without);
    engine.next_checkpoint();
    assert!(engine.finish().success());
    let engine = Engine::start_with(&scratch, &["--config", &config, "--resume"]);
    engine.log.wait(0, "the resumption", |line| {
        line.starts_with("[INFO] Resumed from the checkpoint")
    });
    let limbo = engine.wait("limbo", |status| status.world.limbo.first().cloned());
    assert_eq!((limbo.field.as_str(), limbo.entities), ("", 4));
    apply(&engine, &text);
    assert_eq!(inventory(&engine), crates);
    engine.wait("an empty limbo", |status| {
        status.world.limbo.is_empty().then_some(())
    });
    assert!(engine.finish().success());
}

#[test]
fn removed_fields_are_kept_until_somebody_clears_them() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    engine.call("spawn", &["4"]);
    let crates = inventory(&engine);
    // Without the list, what shows and fills it goes as well.
    let text = scratch.read(LIB);
    let without = text
        .replace("    items: Vec<String>,\n", "")
        .replace("world.spawn((Crate { name: format!(\"crate {index}\"), items }", "let _: Vec<String> = items;\n        world.spawn((Crate { name: format!(\"crate {index}\") }")
        .replace("held.items.join(\", \")", "\"\"");
    scratch.save(LIB, &without);
    let reload = engine.reload_after(engine.last_reload());
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    let limbo = engine.wait("limbo", |status| status.world.limbo.first().cloned());
    assert_eq!((limbo.field.as_str(), limbo.entities), ("items", 4));
    assert!(limbo.bytes > 0);
    scratch.save(LIB, &text);
    let reload = engine.reload_after(reload.seq);
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    assert_eq!(inventory(&engine), crates);

    scratch.save(LIB, &without);
    let reload = engine.reload_after(reload.seq);
    let cleared = engine.inspector(&["limbo", "--clear"]);
    assert!(cleared.status.success(), "{cleared:?}");
    scratch.save(LIB, &text);
    engine.reload_after(reload.seq);
    let left = inventory(&engine);
    assert_eq!(left.len(), 4);
    assert!(left.iter().all(|line| line.ends_with(": ")), "{left:?}");
    assert!(engine.finish().success());
}
