//! Several native modules in one game: `game_logic` and `ai` share a crate of types, `meter`
//! shares nothing.

#![cfg(target_os = "linux")]

use inspector_protocol::status::{ReloadOutcome, ReloadStatus};
use liveloop_tests::engine::{Engine, LIB};
use liveloop_tests::scratch::{Game, Scratch};

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

#[test]
fn modules_that_depend_on_each_other_in_a_circle_are_a_problem_until_they_do_not() {
    let scratch = Scratch::with(Game::Pair);
    let manifest = "types/Cargo.toml";
    let text = scratch.read(manifest);
    let engine = start(&scratch);
    engine.call("spawn", &["3"]);
    scratch.save(manifest, &format!("{text}ai = {{ path = \"../ai\" }}\n"));
    engine.wait("a problem that says so", |status| {
        let mut problems = status.problems.iter();
        problems
            .any(|problem| problem.rendered.contains("cyclic package dependency"))
            .then_some(())
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
