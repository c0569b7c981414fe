//! Several native modules in one game: `game_logic` and `ai` share a crate of types, `meter`
//! shares nothing.

#![cfg(target_os = "linux")]

use inspector_protocol::status::{ModuleStatus, ReloadOutcome, ReloadStatus, Status};
use liveloop_tests::engine::{Engine, LIB};
use liveloop_tests::process;
use liveloop_tests::scratch::{Game, Scratch};

const CONFIG: &str = "assets/engine.ron";
const AI: &str = "ai/src/lib.rs";
const METER: &str = "meter/src/lib.rs";
const TYPES: &str = "types/src/lib.rs";

/// A component with one more field.
const GROWN: (&str, &str) = ("pub x: u32,", "pub x: u32,\n    /// Up.\n    pub y: u8,");

fn start(scratch: &Scratch) -> Engine<'_> {
    let engine = Engine::start(scratch);
    engine.wait("that all modules run", |status| {
        let mut modules = status.modules.iter();
        modules.all(|module| module.active.is_some()).then_some(())
    });
    engine
}

/// Module, versions and outcome of each.
fn outcomes(reloads: &[ReloadStatus]) -> Vec<(&str, Option<u32>, Option<u32>, ReloadOutcome)> {
    let reloads = reloads.iter();
    reloads
        .map(|reload| {
            let module = reload.module.as_str();
            (module, reload.from, reload.to, reload.outcome)
        })
        .collect()
}

#[test]
fn modules_that_share_types_are_swapped_together_and_others_alone() {
    use ReloadOutcome::{Applied, CompileError, Rejected, RolledBack};
    let scratch = Scratch::with(Game::Pair);
    let (ai, types) = (scratch.read(AI), scratch.read(TYPES));
    let engine = start(&scratch);
    engine.call("spawn", &["5"]);
    let entities = engine.text("entities");

    // Alone, though it shares types.
    let reload = engine.apply(AI, "ANSWER: i64 = 1", "ANSWER: i64 = 2");
    assert_eq!(reload.module, "ai");
    let reload = engine.apply(METER, "ANSWER: i64 = 1", "ANSWER: i64 = 2");
    assert_eq!(reload.module, "meter");
    assert_eq!(engine.number("answer"), 1);
    assert_eq!(engine.number_of("ai", "answer"), 2);
    assert_eq!(engine.number_of("meter", "answer"), 2);
    assert_eq!(engine.number_of("ai", "spawned"), 5);

    // A type that both use: both, before the same frame.
    let farthest = engine.number_of("ai", "farthest");
    let seq = engine.last_reload();
    scratch.edit(TYPES, GROWN.0, GROWN.1);
    let reloads = engine.reloads_after(seq, 2);
    assert_eq!(
        outcomes(&reloads),
        [
            ("ai", Some(2), Some(3), Applied),
            ("game_logic", Some(1), Some(2), Applied)
        ],
        "{reloads:#?}"
    );
    assert!(reloads[0].frame.is_some());
    assert_eq!(reloads[0].frame, reloads[1].frame);
    assert_eq!(engine.text("entities"), entities);
    assert!(engine.number_of("ai", "farthest") >= farthest);
    assert_eq!(engine.number_of("ai", "spawned"), 5);

    // One of them does not compile with the change: neither gets in.
    let seq = engine.last_reload();
    scratch.edit(TYPES, "pub x: u32", "pub x: u64");
    let reloads = engine.reloads_after(seq, 2);
    assert_eq!(
        outcomes(&reloads),
        [
            ("ai", Some(3), None, CompileError),
            ("game_logic", Some(2), None, Rejected)
        ],
        "{reloads:#?}"
    );
    let why = "`ai` does not compile, so `ai` and `game_logic` keep running";
    assert!(reloads[1].message.starts_with(why), "{reloads:#?}");
    engine.run_frames(2);
    assert_eq!(engine.dump().problems.len(), 2);

    // The fix of the one brings both.
    let seq = engine.last_reload();
    scratch.edit(AI, "let farthest: u32", "let farthest: u64");
    scratch.edit(AI, "farthest.into()", "farthest");
    let reloads = engine.reloads_after(seq, 2);
    assert_eq!(
        outcomes(&reloads),
        [
            ("ai", Some(3), Some(4), Applied),
            ("game_logic", Some(2), Some(3), Applied)
        ],
        "{reloads:#?}"
    );
    assert_eq!(reloads[0].frame, reloads[1].frame);
    assert_eq!(engine.text("entities"), entities);
    assert!(engine.number_of("ai", "farthest") >= farthest);
    assert!(engine.dump().problems.is_empty());

    // Back to the build before: both again.
    let seq = engine.last_reload();
    assert!(engine.inspector(&["rollback", "ai"]).status.success());
    let reloads = engine.reloads_after(seq, 2);
    assert_eq!(
        outcomes(&reloads),
        [
            ("ai", Some(4), Some(5), RolledBack),
            ("game_logic", Some(3), Some(4), RolledBack)
        ],
        "{reloads:#?}"
    );
    assert_eq!(engine.text("entities"), entities);
    assert!(engine.number_of("ai", "farthest") >= farthest);

    // And what was left comes back with the next build of one of them.
    let seq = engine.last_reload();
    scratch.edit(AI, "ANSWER: i64 = 2", "ANSWER: i64 = 3");
    let reloads = engine.reloads_after(seq, 2);
    assert_eq!(
        outcomes(&reloads),
        [
            ("ai", Some(5), Some(6), Applied),
            ("game_logic", Some(4), Some(5), Applied)
        ],
        "{reloads:#?}"
    );
    assert_eq!(engine.number_of("ai", "answer"), 3);

    // One that cannot be set up keeps the other one out as well.
    let seq = engine.last_reload();
    scratch.save(
        AI,
        &ai.replace("    m.component::<Position>()", "    panic!(\"not today\");\n    #[expect(unreachable_code)]\n    m.component::<Position>()"),
    );
    scratch.save(TYPES, &types);
    let reloads = engine.wait("that both were refused", |status| {
        let refused = |name: &str| {
            let reloads = status.reloads.iter().filter(|reload| reload.seq > seq);
            let mut refused = reloads.filter(|reload| reload.outcome == Rejected);
            refused.find(|reload| reload.module == name).cloned()
        };
        Some([refused("ai")?, refused("game_logic")?])
    });
    assert!(reloads[0].message.contains("not today"), "{reloads:#?}");
    assert!(
        reloads[1]
            .message
            .starts_with("`ai` was refused, so `ai` and `game_logic` keep running"),
        "{reloads:#?}"
    );
    assert_eq!(engine.text("entities"), entities);
    assert_eq!(engine.number_of("ai", "answer"), 3);
    let meter = engine
        .dump()
        .modules
        .into_iter()
        .find(|module| module.name == "meter");
    assert_eq!(meter.and_then(|module| module.active), Some(2));
    assert!(engine.finish().success());
}

/// How a module is listed; `None` if it is not.
fn listed(status: &Status, name: &str) -> Option<ModuleStatus> {
    let mut modules = status.modules.iter();
    modules.find(|module| module.name == name).cloned()
}

#[test]
fn the_configuration_changes_while_the_game_runs() {
    let scratch = Scratch::with(Game::Pair);
    let text = scratch.read(CONFIG);
    let engine = start(&scratch);
    engine.call("spawn", &["4"]);
    let entities = engine.text("entities");
    let no_problem = || {
        engine.wait("that no problem is left", |status| {
            status.problems.is_empty().then_some(())
        });
    };

    // What is wrong is a problem with its place, and nothing else happens.
    for (from, to, line, words) in [
        ("frame_rate: 60", "frame_rate: 0", 2, "it must be 1 to 1000"),
        ("kind: native", "kind: natve", 4, "natve"),
        (
            "path: \"meter\"",
            "path: \"ghost\"",
            6,
            "there is no folder `ghost`",
        ),
    ] {
        scratch.save(CONFIG, &text.replacen(from, to, 1));
        let problem = engine.wait("a problem", |status| status.problems.first().cloned());
        assert!(problem.message.contains(words), "{problem:#?}");
        assert_eq!((problem.file.as_str(), problem.line), (CONFIG, line));
        engine.run_frames(2);
        assert_eq!(engine.number_of("meter", "answer"), 1);
        scratch.save(CONFIG, &text);
        no_problem();
    }

    // Settings apply at once.
    assert_eq!(engine.number_of("meter", "step"), 16_666);
    scratch.save(CONFIG, &text.replace("frame_rate: 60", "frame_rate: 100"));
    engine.log.wait(0, "the new settings", |line| {
        line.ends_with("Settings changed; 100 frames per second")
    });
    assert_eq!(engine.number_of("meter", "step"), 10_000);

    // A module that disappears is unloaded, and comes back with what it had.
    let frames = engine.number_of("meter", "frames");
    let meter = text.lines().find(|line| line.contains("\"meter\""));
    let meter = meter.expect("it is listed");
    scratch.save(CONFIG, &text.replace(meter, ""));
    engine.wait("that it is gone", |status| {
        listed(status, "meter").is_none().then_some(())
    });
    let error = engine.try_call_of("meter", "frames", &[]).unwrap_err();
    assert!(error.contains("there is no module `meter`"), "{error}");
    engine.run_frames(2);
    scratch.save(CONFIG, &text);
    engine.wait("that it is back", |status| listed(status, "meter")?.active);
    assert!(engine.number_of("meter", "frames") >= frames);
    // However often: no thread is left each time.
    let host = engine.dump().engine.host_pid.expect("the host runs");
    let threads = process::threads(host);
    scratch.save(CONFIG, &text.replace(meter, ""));
    engine.wait("that it is gone again", |status| {
        listed(status, "meter").is_none().then_some(())
    });
    scratch.save(CONFIG, &text);
    engine.wait("that it is back again", |status| {
        listed(status, "meter")?.active
    });
    assert!(engine.number_of("meter", "frames") >= frames);
    assert_eq!(process::threads(host), threads);
    let reload = engine.apply(METER, "ANSWER: i64 = 1", "ANSWER: i64 = 5");
    assert_eq!(reload.module, "meter");
    assert_eq!(engine.number_of("meter", "answer"), 5);

    // One that is renamed goes on under its new name, and so does what it knows.
    let seq = engine.last_reload();
    scratch.save(CONFIG, &text.replace("name: \"ai\"", "name: \"brain\""));
    let refused = engine.reload_after(seq);
    assert_eq!(refused.module, "brain");
    assert!(refused.message.contains("not `brain`"), "{refused:#?}");
    assert_eq!(engine.number_of("brain", "spawned"), 4);
    let reload = engine.apply(AI, "pub fn ai(", "pub fn brain(");
    assert_eq!((reload.module.as_str(), reload.from), ("brain", Some(1)));
    assert_eq!(engine.number_of("brain", "spawned"), 4);
    assert!(listed(&engine.dump(), "ai").is_none());
    assert_eq!(engine.text("entities"), entities);
    no_problem();
    assert!(engine.finish().success());
}

/// Dies of whatever stands in its place, once the types are the new ones.
const TRAP: &str = "if std::mem::size_of::<Position>() > 4 { DEED }";

#[test]
fn a_young_version_that_fails_takes_those_it_got_in_with_back_too() {
    use ReloadOutcome::{Applied, RolledBack};
    let scratch = Scratch::with(Game::Pair);
    let engine = start(&scratch);
    engine.call("spawn", &["5"]);
    let entities = engine.text("entities");
    let look = "    let farthest: u32";
    let trap = |deed: &str| TRAP.replace("DEED", deed);
    let panics = trap("panic!(\"too large\")");
    let crashes = trap("std::process::abort()");

    // It waits for the types to change.
    engine.apply(AI, look, &format!("    {panics}\n{look}"));
    engine.next_checkpoint();
    let rolled_back = |seq: u64| {
        engine.wait("that both went back", |status| {
            let back = |name: &str| {
                let mut reloads = status.reloads.iter();
                let is_it = |reload: &&ReloadStatus| {
                    reload.seq > seq && reload.module == name && reload.outcome == RolledBack
                };
                reloads.find(is_it).cloned()
            };
            Some([back("ai")?, back("game_logic")?])
        })
    };
    let seq = engine.last_reload();
    scratch.edit(TYPES, GROWN.0, GROWN.1);
    let [ai, game] = rolled_back(seq);
    assert!(ai.message.contains("too large"), "{ai:#?}");
    assert_eq!(
        (ai.trigger.as_str(), game.trigger.as_str()),
        ("panic", "panic")
    );
    assert!(
        ai.frame.is_some() && ai.frame == game.frame,
        "{ai:#?} {game:#?}"
    );
    assert_eq!(engine.text("entities"), entities);
    assert_eq!(engine.number_of("ai", "spawned"), 5);

    // What was left of the other one comes with the next build, and goes with it once more.
    engine.next_checkpoint();
    let (seq, before) = (engine.last_reload(), engine.dump().engine);
    scratch.edit(AI, &panics, &crashes);
    let [ai, game] = rolled_back(seq);
    let reason = "the host died of SIGABRT in ai v5, system `ai::look`";
    for reload in [&ai, &game] {
        assert!(reload.message.contains(reason), "{reload:#?}");
        assert_eq!(reload.trigger, "crash");
    }
    engine.next_host(&before);
    assert_eq!(engine.text("entities"), entities);
    assert_eq!(engine.number_of("ai", "spawned"), 5);
    assert!(engine.number_of("ai", "farthest") > 0);
    let problem = engine.dump().problems.first().cloned().unwrap_or_default();
    assert_eq!(
        (problem.module.as_str(), problem.message.as_str()),
        ("ai", reason)
    );

    // Both get in with the fix.
    let seq = engine.last_reload();
    scratch.edit(AI, &crashes, "");
    let reloads = engine.reloads_after(seq, 2);
    assert!(
        reloads.iter().all(|reload| reload.outcome == Applied),
        "{reloads:#?}"
    );
    assert_eq!(reloads[0].frame, reloads[1].frame);
    assert_eq!(engine.text("entities"), entities);
    engine.wait("that no problem is left", |status| {
        status.problems.is_empty().then_some(())
    });
    assert!(engine.finish().success());
}

/// A crate that is not there when the configuration names it.
const SCOUT: &str = "use engine_api::prelude::*;

fn seen() -> i64 {
    7
}

/// The module.
#[module]
pub fn scout(m: &mut ModuleBuilder) {
    m.function(\"seen\", seen);
}
";

#[test]
fn a_module_whose_crate_is_missing_runs_when_it_is_there() {
    let scratch = Scratch::with(Game::Pair);
    // A test that ended before has left the folder, without files.
    let _ = std::fs::remove_dir_all(scratch.root.join("scout"));
    let text = scratch.read(CONFIG);
    let line = "(name: \"scout\", kind: native, path: \"scout\"),";
    let with_scout = text.replace("    ],", &format!("        {line}\n    ],"));
    let at = with_scout.lines().position(|found| found.contains(line));
    let at = at.expect("it is listed") as u32 + 1;

    // At the start that is an error: nothing else could be meant.
    scratch.save(CONFIG, &with_scout);
    let engine = Engine::spawn(&scratch, &[]);
    let log = engine.log.clone();
    assert_eq!(engine.wait_for_end().code(), Some(2));
    let said = log.since(0).join("\n");
    for part in [
        &format!("{CONFIG}:{at}:"),
        "module `scout`: there is no folder `scout`",
        "`path` is the crate's folder, from the project's root",
    ] {
        assert!(said.contains(part), "`{part}` is missing: {said}");
    }

    scratch.save(CONFIG, &text);
    let engine = start(&scratch);
    engine.call("spawn", &["4"]);
    let entities = engine.text("entities");
    scratch.save(CONFIG, &with_scout);
    let wait_for_problem = |words: &str| {
        let problem = engine.wait(words, |status| {
            let mut problems = status.problems.iter();
            problems
                .find(|problem| problem.message.contains(words))
                .cloned()
        });
        assert_eq!((problem.file.as_str(), problem.line), (CONFIG, at));
        assert_eq!(problem.module, "scout");
        assert!(problem.rendered.contains("help: "), "{problem:#?}");
        assert_eq!(engine.text("entities"), entities);
    };
    wait_for_problem("there is no folder `scout`");

    // First the crate, then its place in the workspace.
    std::fs::create_dir_all(scratch.root.join("scout/src")).expect("a folder can be made");
    let manifest = scratch.read("meter/Cargo.toml").replace("meter", "scout");
    scratch.save("scout/src/lib.rs", SCOUT);
    scratch.save("scout/Cargo.toml", &manifest);
    wait_for_problem("is no package of the workspace");
    let workspace = scratch.read("Cargo.toml");
    scratch.save(
        "Cargo.toml",
        &workspace.replace("\"meter\",", "\"meter\", \"scout\","),
    );
    engine.wait("that it runs", |status| listed(status, "scout")?.active);
    assert_eq!(engine.number_of("scout", "seen"), 7);
    assert_eq!(engine.text("entities"), entities);
    engine.wait("that no problem is left", |status| {
        status.problems.is_empty().then_some(())
    });
    let reload = engine.apply("scout/src/lib.rs", "    7", "    8");
    assert_eq!((reload.module.as_str(), reload.to), ("scout", Some(2)));
    assert_eq!(engine.number_of("scout", "seen"), 8);
    assert!(engine.finish().success());
}

#[test]
fn modules_that_depend_on_each_other_in_a_circle_are_a_problem_until_they_do_not() {
    let scratch = Scratch::with(Game::Pair);
    let manifest = "types/Cargo.toml";
    let text = scratch.read(manifest);
    let engine = start(&scratch);
    engine.call("spawn", &["3"]);
    scratch.save(manifest, &format!("{text}ai = {{ path = \"../ai\" }}\n"));
    engine.wait("a problem that says so", |status| {
        let says_so = |name: &str| {
            let mut problems = status.problems.iter();
            let cycle = "cyclic package dependency";
            problems.any(|problem| problem.module == name && problem.rendered.contains(cycle))
        };
        (says_so("ai") && says_so("game_logic")).then_some(())
    });
    engine.run_frames(3);
    assert_eq!(engine.number_of("ai", "spawned"), 3);
    scratch.save(manifest, &text);
    engine.wait("that no problem is left", |status| {
        status.problems.is_empty().then_some(())
    });
    engine.apply(LIB, "ANSWER: i64 = 1", "ANSWER: i64 = 2");
    assert_eq!(engine.number("answer"), 2);
    assert!(engine.finish().success());
}
