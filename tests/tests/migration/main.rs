//! Values follow their types through real edits, or the edit is refused.

#![cfg(target_os = "linux")]

mod accepted;
mod refused;

use inspector_protocol::status::{ReloadOutcome, ReloadStatus};
use liveloop_tests::cases::{CASES, Case, shown, source};
use liveloop_tests::engine::{Engine, LIB};
use liveloop_tests::scratch::{Game, Scratch};

use accepted::ACCEPTED;
use refused::REFUSED;

/// Writes the cases and waits for what becomes of them.
fn save(engine: &Engine, text: &str) -> ReloadStatus {
    let seq = engine.last_reload();
    engine.scratch.save(CASES, text);
    engine.reload_after(seq)
}

/// Waits until the game itself has counted this many more frames. (What the engine says of
/// its frames is a moment old.)
fn count_frames(engine: &Engine, frames: i64) {
    let goal = engine.number("counter") + frames;
    engine.wait("that the game counts on", |_| {
        (engine.number("counter") >= goal).then_some(())
    });
}

fn assert_applied(reload: &ReloadStatus) {
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
}

/// Compares what the game shows of each case; what differs is added to `wrong`, once.
fn compare(
    engine: &Engine,
    when: &str,
    expected: impl Fn(&Case) -> &'static str,
    wrong: &mut Vec<String>,
) {
    let shown = shown(&engine.call("show", &[]));
    for case in ACCEPTED {
        let (found, expected) = (shown.get(case.name), expected(case));
        let Case { name, old, new, .. } = case;
        let is_known = wrong
            .iter()
            .any(|line| line.starts_with(&format!("{name},")));
        if found.is_none_or(|found| found != expected) && !is_known {
            let found = found.map_or("nothing", String::as_str);
            wrong.push(format!(
                "{name}, {when}\n  old:      {old}\n  new:      {new}\n  expected: {expected}\n  \
                 found:    {found}"
            ));
        }
    }
}

fn assert_none(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn values_follow_their_types_by_name() {
    let scratch = Scratch::with(Game::Cases);
    scratch.save(CASES, &source(ACCEPTED, Case::before));
    let engine = Engine::start(&scratch);
    engine.call("make", &[]);
    // Systems of the old version see what was made.
    count_frames(&engine, 3);
    let entities = engine.text("entities");

    assert_applied(&save(&engine, &source(ACCEPTED, Case::after)));
    count_frames(&engine, 3);
    let mut wrong = Vec::new();
    compare(&engine, "after the edit", |case| case.gives, &mut wrong);
    assert_eq!(engine.text("entities"), entities);

    // An edit later, values that have no type are still kept.
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    assert_eq!(engine.number("answer"), 2);
    compare(&engine, "an edit later", |case| case.gives, &mut wrong);

    let back = |case: &Case| {
        if case.back.is_some() {
            case.before()
        } else {
            case.after()
        }
    };
    assert_applied(&save(&engine, &source(ACCEPTED, back)));
    count_frames(&engine, 3);
    let expected = |case: &Case| case.back.unwrap_or(case.gives);
    compare(&engine, "back again", expected, &mut wrong);
    assert_eq!(engine.text("entities"), entities);
    assert_none(&wrong);
    assert!(engine.finish().success());
}

/// The source with the new types of one case and the old ones of all others.
fn with_new(name: &str) -> String {
    let cases = REFUSED.iter().map(|refusal| &refusal.case);
    source(cases, |case| {
        if case.name == name {
            case.after()
        } else {
            case.before()
        }
    })
}

#[test]
fn a_value_without_a_place_refuses_the_edit_by_name_and_changes_nothing() {
    let scratch = Scratch::with(Game::Cases);
    let before = with_new("none");
    scratch.save(CASES, &before);
    let engine = Engine::start(&scratch);
    engine.call("make", &[]);
    let dump = || (engine.text("show"), engine.text("entities"));
    let made = dump();
    let mut wrong = Vec::new();
    for refusal in REFUSED {
        let name = refusal.case.name;
        let reload = save(&engine, &with_new(name));
        let place = format!("game_logic::cases::{name}::T");
        let says = refusal.says.iter().copied().chain(["of entity ", &place]);
        let missing: Vec<&str> = says.filter(|part| !reload.message.contains(part)).collect();
        if reload.outcome != ReloadOutcome::Rejected || !missing.is_empty() {
            wrong.push(format!(
                "{name}: {:?}, without {missing:?}: {}",
                reload.outcome, reload.message
            ));
        }
        if dump() != made {
            wrong.push(format!("{name}: values changed: {}", dump().0));
        }
        count_frames(&engine, 1);
    }
    assert_none(&wrong);

    // What runs is what is saved again.
    let reload = save(&engine, &before);
    assert!(
        matches!(
            reload.outcome,
            ReloadOutcome::Applied | ReloadOutcome::Unchanged
        ),
        "{reload:#?}"
    );
    assert_eq!(dump(), made);
    assert!(engine.finish().success());
}

/// Cases of every kind of state, with something in limbo.
const WORLD: [&str; 9] = [
    "field_removed",
    "in_vec_shrunk",
    "in_everything",
    "resource",
    "hierarchy",
    "relations",
    "component_removed",
    "marker_of_a_field",
    "ignored_field_of_a_type_that_stays",
];

#[test]
fn a_refused_migration_leaves_an_identical_world() {
    let scratch = Scratch::with(Game::Cases);
    let world = || ACCEPTED.iter().filter(|case| WORLD.contains(&case.name));
    assert_eq!(world().count(), WORLD.len());
    let victim = &REFUSED[0].case;
    let with = |of_world: fn(&Case) -> String, of_victim: fn(&Case) -> String| {
        let module = |case: &Case| {
            if case.name == victim.name {
                of_victim(case)
            } else {
                of_world(case)
            }
        };
        source(world().chain([victim]), module)
    };
    scratch.save(CASES, &with(Case::before, Case::before));
    let engine = Engine::start(&scratch);
    engine.call("make", &[]);
    count_frames(&engine, 2);
    assert_applied(&save(&engine, &with(Case::after, Case::before)));
    let dump = || {
        let world = engine.dump().world;
        (
            engine.text("show"),
            engine.text("entities"),
            world.entities,
            world.components,
        )
    };
    let before = dump();

    let reload = save(&engine, &with(Case::before, Case::after));
    assert_eq!(reload.outcome, ReloadOutcome::Rejected, "{reload:#?}");
    assert_eq!(dump(), before);
    count_frames(&engine, 5);
    assert_eq!(dump(), before);

    // Limbo is as it was, too: all that it holds comes back.
    assert_applied(&save(&engine, &with(Case::before, Case::before)));
    let shown = shown(&engine.call("show", &[]));
    for case in world() {
        if let Some(back) = case.back {
            assert_eq!(shown[case.name], back, "{}", case.name);
        }
    }
    assert!(engine.finish().success());
}
