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

fn assert_applied(reload: &ReloadStatus) {
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
}

/// Compares what the game shows of each case; all that differs is added to `wrong`.
fn compare(
    engine: &Engine,
    when: &str,
    expected: impl Fn(&Case) -> &'static str,
    wrong: &mut Vec<String>,
) {
    let shown = shown(&engine.call("show", &[]));
    for case in ACCEPTED {
        let (found, expected) = (shown.get(case.name), expected(case));
        if found.is_none_or(|found| found != expected) {
            let Case { name, old, new, .. } = case;
            let found = found.map_or("nothing", String::as_str);
            wrong.push(format!(
                "{name}, {when}\n  old:      {old}\n  new:      {new}\n  expected: {expected}\n  \
                 found:    {found}"
            ));
        }
    }
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn values_follow_their_types_by_name() {
    let scratch = Scratch::with(Game::Cases);
    scratch.save(CASES, &source(ACCEPTED, Case::before));
    let engine = Engine::start(&scratch);
    engine.call("make", &[]);
    // Systems of the old version see what was made.
    engine.run_frames(3);
    let entities = engine.text("entities");

    assert_applied(&save(&engine, &source(ACCEPTED, Case::after)));
    engine.run_frames(3);
    let mut wrong = Vec::new();
    compare(&engine, "after the edit", |case| case.gives, &mut wrong);
    assert_eq!(engine.text("entities"), entities);

    // An edit later, values that have no type are still kept.
    engine.apply(LIB, "ANSWER: i64 = 1;", "ANSWER: i64 = 2;");
    assert_eq!(engine.number("answer"), 2);
    compare(&engine, "an edit later", |case| case.gives, &mut wrong);

    let back = |case: &Case| if case.back.is_some() { case.before() } else { case.after() };
    assert_applied(&save(&engine, &source(ACCEPTED, back)));
    engine.run_frames(3);
    let expected = |case: &Case| case.back.unwrap_or(case.gives);
    compare(&engine, "back again", expected, &mut wrong);
    assert_eq!(engine.text("entities"), entities);
    assert_none(&wrong);
    assert!(engine.finish().success());
}

/// The source with the new types of one case and the old ones of all others.
fn with_new(name: &str) -> String {
    let cases = REFUSED.iter().map(|refusal| &refusal.case);
    source(cases, |case| if case.name == name { case.after() } else { case.before() })
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
        let frames = engine.number("counter");
        engine.run_frames(2);
        assert!(engine.number("counter") > frames, "the game stands still after {name}");
    }
    assert_none(&wrong);

    // What runs is what is saved again.
    let reload = save(&engine, &before);
    assert!(
        matches!(reload.outcome, ReloadOutcome::Applied | ReloadOutcome::Unchanged),
        "{reload:#?}"
    );
    assert_eq!(dump(), made);
    assert!(engine.finish().success());
}
