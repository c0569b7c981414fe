//! A save changes what the running game does, and nothing else.

#![cfg(target_os = "linux")]

use inspector_protocol::status::{ReloadOutcome, Status, VersionState};
use liveloop_tests::engine::{Engine, LIB, states};
use liveloop_tests::scratch::Scratch;

const RULES: &str = "game_logic/src/rules.rs";

#[test]
fn a_save_changes_behaviour_and_the_world_survives() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    engine.call("spawn", &["50"]);
    let inventory = engine.text("inventory");
    assert_eq!(inventory.lines().count(), 50);
    assert_eq!(engine.number("answer"), 1);
    engine.run_frames(5);
    let counter = engine.number("counter");

    let reload = engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    assert_eq!((reload.from, reload.to), (Some(1), Some(2)), "{reload:#?}");
    assert!(
        reload.trigger.ends_with("game_logic/src/lib.rs"),
        "{reload:#?}"
    );
    assert!(
        reload.timings_ms.build > 0.0 && reload.timings_ms.total > reload.timings_ms.build,
        "{reload:#?}"
    );
    assert_eq!(engine.number("answer"), 2);
    assert_eq!(
        engine.text("inventory"),
        inventory,
        "entities, with all they own"
    );
    assert!(engine.number("counter") >= counter, "the resource survives");

    // Systems and observers of the new version run, and each only once a frame.
    let [before, after] = [(); 2].map(|()| {
        engine.run_frames(10);
        let status = engine.dump();
        (
            status.world.entities,
            engine.number("counter"),
            engine.number("observed"),
            engine.number("heard"),
        )
    });
    assert_eq!(before.0, 50);
    assert!(
        after.1 > before.1,
        "the counter goes on: {before:?} {after:?}"
    );
    assert!(
        (after.1 - after.2).abs() <= 2 && (after.1 - after.3).abs() <= 2,
        "{after:?}"
    );
    assert_eq!(engine.call("despawn_all", &[]), 50);
    assert_eq!(
        engine.number("despawned"),
        50,
        "the observer of removals runs once each"
    );
    assert!(engine.finish().success());
}

#[test]
fn an_attached_observer_runs_its_new_body_for_entities_it_was_attached_to_before() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    engine.call("spawn", &["5"]);
    assert_eq!(engine.call("attach", &[]), 5);
    engine.call("spawn", &["2"]);
    assert_eq!(engine.number("poke"), 5, "those that have it");

    let body = "counter.poked += 1;";
    engine.apply(LIB, body, "counter.poked += 10;");
    assert_eq!(engine.number("poke"), 50, "the new body, once each");
    // The next one needs a new world.
    let reload = engine.apply(
        LIB,
        "    turned: u64,\n}",
        "    turned: u64,\n    later: u32,\n}",
    );
    assert_eq!(reload.to, Some(3), "{reload:#?}");
    assert_eq!(engine.number("poke"), 50);

    // Without it nothing is lost, and something is said.
    let place = engine.log.len();
    engine.apply(
        LIB,
        ".callback(unwind)\n        .entity_observer(poked);",
        ".callback(unwind);",
    );
    let lint = "[WARN] Module 'game_logic': `game_logic::poked` is attached to 5 entities and \
                registered by no module";
    engine.log.wait(place, lint, |line| line.starts_with(lint));
    assert_eq!(engine.number("poke"), 0);
    let back = ".callback(unwind)\n        .entity_observer(poked);";
    engine.apply(LIB, ".callback(unwind);", back);
    assert_eq!(engine.number("poke"), 50, "back, where it was");
    engine.wait("that the old versions go", |status| {
        let versions = &status.modules[0].versions;
        let unloaded = |state| state == VersionState::Unloaded || state == VersionState::Active;
        versions
            .iter()
            .all(|version| unloaded(version.state))
            .then_some(())
    });
    assert!(engine.finish().success());
}

#[test]
fn a_callback_that_waits_runs_its_new_body_with_the_data_it_has() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    assert_eq!(engine.number("turned"), 0);
    engine.call("wind", &["1000"]);
    let turned = |beyond: i64| {
        engine.wait("that the callback was called", |_| {
            let turned = engine.number("turned");
            (turned > beyond).then_some(turned)
        })
    };
    let first = turned(1000);
    engine.apply(LIB, "spring.turns += 1;", "spring.turns += 1_000_000;");
    let second = turned(1_000_000);
    assert_ne!(second % 1_000_000, 0, "it went on from {first}");
    // Its data changes its type.
    engine.apply(
        LIB,
        "pub struct Spring {\n    turns: u64,",
        "pub struct Spring {\n    metal: String,\n    turns: u64,",
    );
    let third = turned(second);
    assert_eq!(third % 1_000_000, second % 1_000_000);

    let place = engine.log.len();
    engine.apply(LIB, ".callback(unwind)\n", "\n");
    let lint = "[WARN] Module 'game_logic': 1 call of `game_logic::unwind` cannot come";
    engine.log.wait(place, lint, |line| line.starts_with(lint));
    assert!(engine.finish().success());
}

/// How an edit shows.
enum Effect {
    /// A call gives this JSON.
    Gives(&'static str, &'static [&'static str], &'static str),
    /// The game logs this line.
    Logs(&'static str),
    /// The function is gone.
    Gone(&'static str),
    /// The world holds a resource of this name.
    Resource(&'static str),
    /// The counter of frames steps by this much.
    CountsBy(i64),
}
use Effect::{CountsBy, Gives, Gone, Logs, Resource};

/// Edits one after another, each on top of those before.
const EDITS: [(&str, &str, &str, Effect); 20] = [
    (
        LIB,
        "ANSWER: i64 = 1;",
        "ANSWER: i64 = 2;",
        Gives("answer", &[], "2"),
    ),
    (
        LIB,
        "ANSWER: i64 = 2;",
        "ANSWER: i64 = 3;",
        Gives("answer", &[], "3"),
    ),
    (
        RULES,
        "number * 2",
        "number * 3",
        Gives("twice", &["5"], "15"),
    ),
    (RULES, "number * 3", "-number", Gives("twice", &["5"], "-5")),
    (
        LIB,
        "fn answer() -> i64 {",
        "fn answer() -> i64 {\n    log::warn!(\"asked\");",
        Logs("[WARN] game_logic: asked"),
    ),
    (
        LIB,
        "\"asked\"",
        "\"asked again\"",
        Logs("[WARN] game_logic: asked again"),
    ),
    (
        LIB,
        ".function(\"fail\", fail)",
        ".function(\"new\", || -> i64 { 77 })\n        .function(\"fail\", fail)",
        Gives("new", &[], "77"),
    ),
    (LIB, "{ 77 }", "{ 78 }", Gives("new", &[], "78")),
    (
        LIB,
        ".function(\"new\", || -> i64 { 78 })\n",
        "\n",
        Gone("new"),
    ),
    (
        LIB,
        "counter.frames += 1;",
        "counter.frames += 1_000;",
        CountsBy(1_000),
    ),
    (
        LIB,
        "counter.frames += 1_000;",
        "counter.frames += 7;",
        CountsBy(7),
    ),
    (
        LIB,
        "tuning.level > 0",
        "tuning.level > 1_000",
        Logs("[WARN] assets/tuning.ron:1:1: level must be over 0; the last good value stays"),
    ),
    (
        LIB,
        "fn level(world: &mut World) -> u32 {\n",
        "fn level(world: &mut World) -> u32 {\n    5 +\n",
        Gives("level", &[], "15"),
    ),
    (
        LIB,
        "fn count(",
        "#[derive(Resource, Reflect, Default)]\n#[reflect(Resource, Default)]\npub struct Later {\n    number: i64,\n}\n\nfn later(world: &mut World) -> i64 {\n    world.resource::<Later>().number\n}\n\nfn count(",
        Gives("answer", &[], "3"),
    ),
    (
        LIB,
        "m.component::<Crate>()",
        "m.resource::<Later>().function(\"later\", later);\n    m.component::<Crate>()",
        Resource("Later"),
    ),
    (
        LIB,
        "fn ticked(_: On<Ticked>, mut counter: ResMut<Counter>) {",
        "fn ticked(_: On<Ticked>, mut later: ResMut<Later>, mut counter: ResMut<Counter>) {\n    later.number = 4;",
        Gives("later", &[], "4"),
    ),
    (
        LIB,
        "later.number = 4;",
        "later.number = 6;",
        Gives("later", &[], "6"),
    ),
    (
        LIB,
        "(count, listen, burn, blow, drive, total)",
        "(listen, count, burn, blow, drive, total, |mut counter: ResMut<Counter>| counter.frames += 3)",
        CountsBy(10),
    ),
    (
        RULES,
        "pub fn twice(number: i64) -> i64 {",
        "pub fn twice(number: i64, more: i64) -> i64 {\n    more +",
        Gives("twice", &["5", "100"], "95"),
    ),
    (
        LIB,
        "ANSWER: i64 = 3;",
        "ANSWER: i64 = 4;",
        Gives("answer", &[], "4"),
    ),
];

#[test]
fn twenty_edits_in_a_row_each_show_their_own_effect() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    engine.call("spawn", &["20"]);
    let inventory = engine.text("inventory");
    let mut counter = engine.number("counter");
    for (number, (file, from, to, effect)) in (2..).zip(EDITS) {
        let place = engine.log.len();
        let reload = engine.apply(file, from, to);
        assert_eq!(
            reload.to,
            Some(number),
            "one save is one version: {reload:#?}"
        );
        // The lines come through another pipe than the reload's report.
        engine.log.wait(place, "that it reloaded", |line| {
            line == format!(
                "[INFO] Module 'game_logic' reloaded (v{} -> v{number})",
                number - 1
            )
        });
        let written = engine.log.since(place);
        for expected in [
            format!("[INFO] Detected code change in {file}"),
            format!("[INFO] Compiling game_logic v{number}..."),
            format!(
                "[INFO] Module 'game_logic' reloaded (v{} -> v{number})",
                number - 1
            ),
        ] {
            let count = written.iter().filter(|line| **line == expected).count();
            assert_eq!(count, 1, "`{expected}` in {written:#?}");
        }
        observe(&engine, place, &effect, to);
        assert_eq!(engine.text("inventory"), inventory, "after `{to}`");
        let now = engine.number("counter");
        assert!(
            now >= counter,
            "the counter went from {counter} to {now} after `{to}`"
        );
        counter = now;
    }
    let status = engine.dump();
    assert_eq!(
        status.reloads.len(),
        EDITS.len() + 1,
        "one entry each and one for the start: {:#?}",
        status.reloads
    );
    assert!(
        status
            .reloads
            .iter()
            .all(|reload| reload.outcome == ReloadOutcome::Applied)
    );
    assert!(engine.finish().success());
}

fn observe(engine: &Engine, place: usize, effect: &Effect, edit: &str) {
    match effect {
        Gives(function, arguments, json) => {
            // What systems do shows with the first frame of the new version.
            let what = format!("`{function}` gives {json} after `{edit}`");
            engine.wait(&what, |_| {
                let given = engine.call(function, arguments).to_string();
                (given == *json).then_some(())
            });
        }
        Logs(expected) => {
            engine.call("answer", &[]);
            engine.log.wait(place, expected, |line| line == *expected);
        }
        Gone(function) => {
            let reason = engine
                .try_call(function, &[])
                .expect_err("the function must be gone");
            assert!(
                reason.contains("no function") && reason.contains("answer"),
                "{reason}"
            );
        }
        Resource(name) => engine.wait("the resource", |status: &Status| {
            status
                .world
                .resources
                .iter()
                .any(|known| known == name)
                .then_some(())
        }),
        CountsBy(step) => {
            // The remainder is the old version's; what is added is the new one's.
            let (first, frame) = counted(engine);
            engine.run_frames(20);
            let (last, later) = counted(engine);
            let (frames, steps) = ((later - frame) as i64, (last - first) / step);
            assert_eq!((last - first) % step, 0, "after `{edit}`");
            assert!(
                (frames - steps).abs() <= 20,
                "{steps} steps in {frames} frames after `{edit}`"
            );
        }
    }
}

fn counted(engine: &Engine) -> (i64, u64) {
    (engine.number("counter"), engine.dump().engine.frame)
}

#[test]
fn a_syntax_error_is_shown_and_the_old_code_runs_on_until_it_is_fixed() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    let line = 1 + line_of(&scratch.read(LIB), "fn answer() -> i64 {");
    let reload = engine.edit(
        LIB,
        "fn answer() -> i64 {\n    ANSWER\n}",
        "fn answer() -> i64 {\n    ANSWER +\n}",
    );
    assert_eq!(
        (reload.outcome, reload.to),
        (ReloadOutcome::CompileError, None),
        "{reload:#?}"
    );
    let status = engine.dump();
    let problem = status.problems.first().expect("the problem is listed");
    assert_eq!(
        (problem.module.as_str(), problem.file.as_str()),
        ("game_logic", LIB),
        "{problem:#?}"
    );
    assert_eq!(problem.line, line as u32 + 1, "{problem:#?}");
    assert!(
        problem.column > 0 && problem.message.contains("expected expression"),
        "{problem:#?}"
    );
    assert!(
        problem.rendered.contains("expected expression") && problem.rendered.contains("lib.rs"),
        "{problem:#?}"
    );
    let before = engine.number("counter");
    engine.run_frames(10);
    assert!(engine.number("counter") > before, "the game stands still");
    assert_eq!(engine.number("answer"), 1);
    assert_eq!(states(&engine.dump()), [(1, VersionState::Active)]);

    // Another mistake takes the place of the first.
    let reload = engine.edit(LIB, "ANSWER +\n", "\"text\"\n");
    assert_eq!(reload.outcome, ReloadOutcome::CompileError, "{reload:#?}");
    let problems = engine.dump().problems;
    assert!(
        problems.len() == 1 && problems[0].message.contains("mismatched types"),
        "{problems:#?}"
    );

    engine.apply(LIB, "    \"text\"\n", "    ANSWER + 40\n");
    assert_eq!(engine.dump().problems, []);
    assert_eq!(engine.number("answer"), 41);
    assert!(engine.finish().success());
}

fn line_of(text: &str, part: &str) -> usize {
    1 + text
        .lines()
        .position(|line| line.contains(part))
        .expect("the line is there")
}

#[test]
fn identical_content_is_unchanged() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    let text = scratch.read(LIB);

    // A mistake and its fix: the content that runs is back.
    let reload = engine.edit(
        LIB,
        "    ANSWER\n}\n\n/// Waits until",
        "    ANSWER -\n}\n\n/// Waits until",
    );
    assert_eq!(reload.outcome, ReloadOutcome::CompileError, "{reload:#?}");
    scratch.save(LIB, &text);
    let reload = engine.reload_after(reload.seq);
    assert_eq!(
        (reload.outcome, reload.to),
        (ReloadOutcome::Unchanged, None),
        "{reload:#?}"
    );
    assert_eq!(engine.dump().problems, []);

    // A comment at the end: other source, same code.
    scratch.save(LIB, &(text + "// The end.\n"));
    let reload = engine.reload_after(reload.seq);
    assert_eq!(
        (reload.outcome, reload.to),
        (ReloadOutcome::Unchanged, None),
        "{reload:#?}"
    );
    assert_eq!(states(&engine.dump()), [(1, VersionState::Active)]);
    assert!(engine.finish().success());
}

#[test]
fn a_changed_field_type_takes_its_values_along_or_is_refused_by_name() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    engine.call("spawn", &["5"]);
    let inventory = engine.text("inventory");
    let text = scratch.read(LIB);
    let save = |text: &str| {
        let seq = engine.last_reload();
        scratch.save(LIB, text);
        engine.reload_after(seq)
    };
    let edited = |ty: &str, drive: &str, first: &str, answer: &str| {
        text.replace("    value: u32,", &format!("    value: {ty},"))
            .replace(
                "speed.value = speed.value.wrapping_add(rules::STEP);",
                drive,
            )
            .replace("value: 7 }", first)
            .replace("ANSWER: i64 = 1;", answer)
    };
    assert_eq!(engine.text("speeds"), "7 7 7 7 7");

    let reload = save(&edited(
        "f32",
        "speed.value += 0.0;",
        "value: 7.0 }",
        "ANSWER: i64 = 9;",
    ));
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    assert_eq!(engine.number("answer"), 9);
    assert_eq!(engine.text("speeds"), "7.0 7.0 7.0 7.0 7.0");
    assert_eq!(engine.text("inventory"), inventory);

    let reload = save(&edited(
        "char",
        "speed.value = 'x';",
        "value: 'x' }",
        "ANSWER: i64 = 10;",
    ));
    assert_eq!(
        (reload.outcome, reload.to),
        (ReloadOutcome::Rejected, None),
        "{reload:#?}"
    );
    for part in ["Speed", "entity", "`value`", "`7`", "`char`"] {
        assert!(
            reload.message.contains(part),
            "`{part}` is missing: {}",
            reload.message
        );
    }
    assert_eq!(engine.number("answer"), 9, "the old code runs on");
    assert_eq!(engine.text("speeds"), "7.0 7.0 7.0 7.0 7.0");
    let before = engine.number("counter");
    engine.run_frames(5);
    assert!(engine.number("counter") > before);

    let reload = save(&text);
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    assert_eq!(engine.number("answer"), 1);
    assert_eq!(engine.text("speeds"), "7 7 7 7 7");
    assert_eq!(engine.text("inventory"), inventory);
    assert!(engine.finish().success());
}

#[test]
fn an_asset_is_edited_live_and_a_bad_one_changes_nothing() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    let file = "assets/tuning.ron";
    let values = || (engine.number("level"), engine.text("words"));
    let wait_for = |expected: (i64, &str)| {
        engine.wait("the asset", |_| {
            (values() == (expected.0, expected.1.to_owned())).then_some(())
        });
    };
    let problem = || {
        engine.wait("the problem", |status| {
            status
                .problems
                .iter()
                .find(|problem| problem.file == file)
                .cloned()
        })
    };
    wait_for((10, "one two"));
    scratch.edit(file, "level: 10", "level: 11");
    wait_for((11, "one two"));

    // Text that does not parse, then a value that is refused.
    scratch.edit(file, "level: 11,", "level: \"many\",");
    let shown = problem();
    assert!(shown.line == 2 && shown.column > 0, "{shown:#?}");
    assert_eq!(values(), (11, "one two".to_owned()));
    scratch.edit(file, "\"many\"", "0");
    let refused = |status: &Status| {
        status
            .problems
            .iter()
            .any(|problem| problem.message.contains("level must be over 0"))
            .then_some(())
    };
    engine.wait("the refusal", refused);
    assert_eq!(values(), (11, "one two".to_owned()));

    scratch.edit(
        file,
        "level: 0,\n    words: [\"one\",",
        "level: 12,\n    words: [\"three\",",
    );
    wait_for((12, "three two"));
    engine.wait("that no problem is left", |status| {
        status.problems.is_empty().then_some(())
    });
    assert_eq!(engine.last_reload(), 1, "assets are no code");
    assert!(engine.finish().success());
}
