//! What pins an old version is found and named, and the version goes when it goes.

#![cfg(target_os = "linux")]

use std::fs;

use inspector_protocol::status::VersionState;
use liveloop_tests::engine::{Engine, LIB, module};
use liveloop_tests::scratch::Scratch;

/// Replaces the running version by the next one.
fn replace(engine: &Engine, number: u32) {
    let text = |number: u32| format!("ANSWER: i64 = {number};");
    engine.apply(LIB, &text(number), &text(number + 1));
}

/// Waits until a version is pinned by something of which all of `words` are said.
fn pinned(engine: &Engine, number: u32, words: &[&str]) {
    let what = format!("that v{number} is pinned by {words:?}");
    engine.wait(&what, |status| {
        let versions = module(status).versions;
        let version = versions.iter().find(|version| version.version == number)?;
        let is_it = |reason: &String| words.iter().all(|word| reason.contains(word));
        let pinned = version.state == VersionState::Pinned && version.pinned_by.iter().any(is_it);
        pinned.then_some(())
    });
}

fn unloaded(engine: &Engine, number: u32) {
    engine.wait(&format!("that v{number} is unloaded"), |status| {
        let versions = module(status).versions;
        let version = versions.iter().find(|version| version.version == number)?;
        (version.state == VersionState::Unloaded).then_some(())
    });
}

/// Adds to the game's source, and to what it registers.
fn add(scratch: &Scratch, source: &str, registers: &str) {
    scratch.edit(LIB, "\nfn answer()", &format!("\n{source}\nfn answer()"));
    let function = ".function(\"answer\", answer)";
    scratch.edit(LIB, function, &format!("{function}{registers}"));
}

#[test]
fn threads_hooks_and_handlers_that_nobody_registered_are_named_until_they_are_gone() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);

    let gate = scratch.temporary.join("open");
    let file = format!("{:?}", gate.display().to_string());
    engine.call("start_thread", &["\"stranger\"", &file]);
    replace(&engine, 1);
    pinned(&engine, 1, &["thread `stranger`", ".text"]);
    fs::write(&gate, "").expect("a file can be made");
    unloaded(&engine, 1);

    engine.call("set_panic_hook", &[]);
    replace(&engine, 2);
    pinned(&engine, 2, &["data of `libstd-"]);
    engine.call("take_panic_hook", &[]);
    unloaded(&engine, 2);

    engine.call("handle_signal", &[]);
    replace(&engine, 3);
    pinned(&engine, 3, &["the handler of signal 12"]);
    engine.call("ignore_signal", &[]);
    unloaded(&engine, 3);
    assert!(engine.finish().success());
}

#[test]
fn what_runs_at_the_end_keeps_its_version_until_then() {
    let scratch = Scratch::take();
    let engine = Engine::start(&scratch);
    engine.call("register_at_exit", &[]);
    replace(&engine, 1);
    pinned(&engine, 1, &["a function registered with `atexit`"]);
    engine.call("touch_thread_local", &[]);
    replace(&engine, 2);
    pinned(&engine, 2, &["the destructor of a thread-local"]);
    // Others go.
    replace(&engine, 3);
    unloaded(&engine, 3);
    assert!(engine.finish().success());
}

/// Holds closures of a version when the test says so.
const HELD: &str = r#"
type Answer = Box<dyn Fn() -> i64 + Send + Sync>;

#[derive(Resource, Reflect, Default)]
#[reflect(Resource, Default)]
pub struct Held {
    number: u64,
    #[reflect(ignore)]
    then: Option<Answer>,
}

#[derive(Component, Reflect, Default)]
#[reflect(Component, Default)]
pub struct Handlers {
    number: u64,
    #[reflect(ignore)]
    all: Vec<Answer>,
}

fn hold_one(world: &mut World, add: i64) {
    world.resource_mut::<Held>().then = Some(Box::new(move || ANSWER + add));
}

fn hold_many(world: &mut World) {
    let all: Vec<Answer> = (0..3).map(|add| Box::new(move || ANSWER + add) as Answer).collect();
    world.spawn(Handlers { number: 7, all });
}

fn let_go(world: &mut World) {
    world.resource_mut::<Held>().then = None;
    let all: Vec<Entity> = world.query_filtered::<Entity, With<Handlers>>().iter(world).collect();
    for entity in all {
        world.entity_mut(entity).get_mut::<Handlers>().expect("it was found by it").all = Vec::new();
    }
}
"#;

#[test]
fn closures_in_the_world_are_named_until_they_are_dropped() {
    let scratch = Scratch::take();
    let registers = ".resource::<Held>().component::<Handlers>()\
        .function(\"hold_one\", hold_one).function(\"hold_many\", hold_many).function(\"let_go\", let_go)";
    add(&scratch, HELD, registers);
    let engine = Engine::start(&scratch);
    engine.call("hold_one", &["7"]);
    replace(&engine, 1);
    pinned(&engine, 1, &["resource `", "Held`", ", offset "]);
    engine.call("let_go", &[]);
    unloaded(&engine, 1);

    engine.call("hold_many", &[]);
    replace(&engine, 2);
    pinned(
        &engine,
        2,
        &["held by component `", "Handlers` of entity ", ", offset "],
    );
    engine.call("let_go", &[]);
    unloaded(&engine, 2);
    assert!(engine.finish().success());
}

/// Brings a type that nobody registers.
const STRAY: &str = r#"
#[derive(Component)]
struct Stray(#[expect(dead_code, reason = "it owns memory")] String);

fn stray(world: &mut World) {
    let entity = world.spawn(Stray("gone in a moment".to_owned())).id();
    world.despawn(entity);
}
"#;

#[test]
fn a_type_without_values_keeps_no_version() {
    let scratch = Scratch::take();
    add(&scratch, STRAY, "\n        .function(\"stray\", stray)");
    let engine = Engine::start(&scratch);
    engine.call("spawn", &["20"]);
    let inventory = engine.text("inventory");
    engine.call("stray", &[]);
    replace(&engine, 1);
    let rebuilt = |line: &str| line.ends_with("the world was rebuilt to let go of old versions");
    engine.log.wait(0, "that the world was rebuilt", rebuilt);
    unloaded(&engine, 1);
    assert_eq!(engine.text("inventory"), inventory);
    assert!(engine.finish().success());
}

#[test]
fn another_policy_applies_while_the_game_runs() {
    let scratch = Scratch::take();
    let config = "assets/engine.ron";
    let with = |unload: &str| format!("frame_rate: 60, policies: (unload: {unload}),");
    scratch.edit(config, "frame_rate: 60,", &with("Never"));
    let engine = Engine::start(&scratch);
    replace(&engine, 1);
    pinned(&engine, 1, &["the configuration keeps all versions"]);
    scratch.edit(config, &with("Never"), &with("Known"));
    // Without a proof that is a reason.
    pinned(&engine, 1, &["it has thread-locals of its own"]);
    assert!(engine.finish().success());
}
