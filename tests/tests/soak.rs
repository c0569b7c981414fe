//! A game whose layouts change all day stays as large as it was.

#![cfg(target_os = "linux")]

use std::fs;

use inspector_protocol::status::{ReloadOutcome, VersionState};
use liveloop_tests::cases::CASES;
use liveloop_tests::engine::{Engine, LIB, checker, states};
use liveloop_tests::process::{descriptors, mapped_versions, resident_bytes, threads};
use liveloop_tests::scratch::{Game, Scratch};

/// What may come on top of the memory after warm-up, in eighty reloads: 51 KiB each. The
/// values that each of them carries over take about ten times as much, and what a version
/// touches of its own image even more.
const MAY_GROW: u64 = 4 << 20;

/// Values of every kind of memory, in two layouts.
const SOURCE: &str = r#"//! Two layouts.
use std::collections::HashMap;

use super::*;

const NUMBER: u32 = @NUMBER@;

/// Owns heap memory.
#[derive(Component, Reflect, Default, Debug)]
#[reflect(Component, Default)]
pub struct Load { @LOAD@ }

/// Points to another entity.
#[derive(Component, Reflect, Debug)]
#[reflect(Component)]
#[relationship(relationship_target = Liked)]
pub struct Likes { #[relationship] whom: Entity, @LIKES@ }

#[derive(Component, Reflect, Debug)]
#[reflect(Component)]
#[relationship_target(relationship = Likes)]
pub struct Liked(Vec<Entity>);

pub trait Speak: Send + Sync {
    fn speak(&self) -> u32;
}

struct Speaker(Vec<u32>);
impl Speak for Speaker {
    fn speak(&self) -> u32 {
        self.0.len() as u32 + NUMBER
    }
}

/// Points to code of its version.
#[derive(Component, Reflect, Default)]
#[reflect(Component, Default)]
pub struct Scripted {
    @SCRIPTED@
    #[reflect(ignore)]
    then: Option<Box<dyn Speak>>,
}

#[derive(Event, TypePath)]
pub struct Poke;

#[derive(Resource, Reflect, Default)]
#[reflect(Resource, Default)]
pub struct Poked { @POKED@ }

fn poke(mut commands: Commands) {
    commands.trigger(Poke);
}

fn poked(_: On<Poke>, mut poked: ResMut<Poked>) {
    poked.times = poked.times.wrapping_add(1 as _);
}

fn make(world: &mut World, count: u32) {
    let mut before = None;
    for index in 0..count {
        let by = (0..8).map(|key| (format!("key {key} of {index}"), (key + index) as _)).collect();
        let list = (0..8).map(|item| format!("item {item} of {index}").into()).collect();
        let mut load = Load::default();
        (load.number, load.name, load.list, load.by) = (index as _, "n".repeat(100), list, by);
        let entity = world.spawn(load).id();
        if let Some(before) = before.replace(entity) {
            world.entity_mut(entity).insert((ChildOf(before), Likes { whom: before, weight: 1 as _ }));
        }
    }
}

/// What is the same in both layouts.
fn show(world: &mut World) -> String {
    let mut lines = Vec::new();
    for (entity, load, likes, liked, up) in
        world.query::<(Entity, &Load, Option<&Likes>, Option<&Liked>, Option<&ChildOf>)>().iter(world)
    {
        let mut by: Vec<String> = load.by.iter().map(|(key, value)| format!("{key} {value}")).collect();
        by.sort();
        let list: Vec<String> = load.list.iter().cloned().map(|item| Option::<String>::from(item).unwrap_or_default()).collect();
        let likes = likes.map(|likes| (likes.whom, likes.weight as u32));
        lines.push(format!("{entity} {} {} {list:?} {by:?} {likes:?} {liked:?} {up:?}", load.number, load.name));
    }
    lines.sort();
    lines.join("\n")
}

/// Gives every entity something that points to code.
fn dress(world: &mut World) {
    let all: Vec<Entity> = world.query_filtered::<Entity, With<Load>>().iter(world).collect();
    for entity in all {
        let mut scripted = Scripted::default();
        scripted.then = Some(Box::new(Speaker(vec![7; 100])));
        world.entity_mut(entity).insert(scripted);
    }
}

fn speak(world: &mut World) -> u32 {
    world.query::<&Scripted>().iter(world).filter_map(|scripted| Some(scripted.then.as_ref()?.speak())).max().unwrap_or(0)
}

/// Takes it away; how many there were, and how many pointed to code.
fn undress(world: &mut World) -> String {
    let all: Vec<(Entity, bool)> =
        world.query::<(Entity, &Scripted)>().iter(world).map(|(entity, scripted)| (entity, scripted.then.is_some())).collect();
    for (entity, _) in &all {
        world.entity_mut(*entity).remove::<Scripted>();
    }
    format!("{} {}", all.len(), all.iter().filter(|(_, points)| *points).count())
}

fn times(world: &mut World) -> i64 {
    world.resource::<Poked>().times as i64
}

/// Everything.
pub fn register(m: &mut ModuleBuilder) {
    m.component::<Load>()
        .component::<Likes>()
        .component::<Liked>()
        .component::<Scripted>()
        .resource::<Poked>()
        .event::<Poke>()
        .systems(Update, poke)
        .observe(poked)
        .function("number", || NUMBER)
        .function("make", make)
        .function("show", show)
        .function("dress", dress)
        .function("speak", speak)
        .function("undress", undress)
        .function("times", times);
}
"#;

/// What stands in the place of each mark, in both layouts.
const LAYOUTS: [[(&str, &str); 4]; 2] = [
    [
        (
            "@LOAD@",
            "number: u32, name: String, list: Vec<String>, by: HashMap<String, u32>",
        ),
        ("@LIKES@", "weight: u8"),
        ("@SCRIPTED@", "number: u8,"),
        ("@POKED@", "times: u32"),
    ],
    [
        (
            "@LOAD@",
            "extra: String, by: HashMap<String, i64>, list: Vec<Option<String>>, name: String, \
             number: i64",
        ),
        ("@LIKES@", "weight: f32"),
        ("@SCRIPTED@", "name: String, number: u64,"),
        ("@POKED@", "extra: [u64; 4], times: i64"),
    ],
];

fn source(number: usize) -> String {
    let text = SOURCE.replace("@NUMBER@", &number.to_string());
    LAYOUTS[number % 2]
        .iter()
        .fold(text, |text, (mark, fields)| text.replace(mark, fields))
}

/// Versions that a stray word may keep: on the stack of a thread that sleeps, it is there until
/// the thread wakes.
const FEW: usize = 2;

/// Waits until this version is active and all others but a few have left the process.
fn settle(engine: &Engine, active: usize) {
    engine.wait(
        &format!("that v{active} is left, and few others"),
        |status| {
            let states = states(status).into_iter();
            let (is_active, others): (Vec<_>, Vec<_>) = states
                .filter(|(_, state)| *state != VersionState::Unloaded)
                .partition(|(_, state)| *state == VersionState::Active);
            let is_it = is_active
                .iter()
                .any(|(number, _)| *number as usize == active);
            (is_it && others.len() <= FEW).then_some(())
        },
    );
}

/// Waits until descriptors and threads are what they were, and images but for a few.
fn settle_holdings(engine: &Engine, pid: u32, before: (usize, usize, usize)) {
    let what = format!("{before:?} descriptors, threads and images again");
    engine.wait(&what, |_| {
        let (descriptors, threads, images) = holdings(pid);
        let is_flat = (descriptors, threads) == (before.0, before.1);
        (is_flat && images <= before.2 + FEW).then_some(())
    });
}

/// Descriptors, threads and mapped images of a host.
fn holdings(pid: u32) -> (usize, usize, usize) {
    (descriptors(pid), threads(pid), mapped_versions(pid).len())
}

/// How many artifacts take turns: two of each layout, so that none follows itself under
/// another name.
const ARTIFACTS: usize = 4;

#[test]
fn a_hundred_changes_of_layout_leave_nothing_behind() {
    let scratch = Scratch::with(Game::Cases);
    // Compilers take most of the time of a reload; what is looked at here does not.
    let build = |number: usize| {
        scratch.save(CASES, &source(number));
        scratch.cargo(&["build"]);
        fs::read(scratch.library()).expect("the library is there")
    };
    let mut artifacts: Vec<Vec<u8>> = (0..ARTIFACTS).rev().map(build).collect();
    artifacts.reverse();
    let engine = Engine::start_with(&scratch, &["--no-build"]);
    engine.call("make", &["500"]);
    let made = engine.text("show");
    assert_eq!(made.lines().count(), 500);
    let pid = engine.dump().engine.host_pid.expect("the host runs");
    let mut times = 0;
    let mut change = |number: usize| {
        engine.call("dress", &[]);
        let before = (number - 1) % ARTIFACTS;
        assert_eq!(engine.number("speak"), 100 + before as i64);
        let seq = engine.last_reload();
        scratch.replace_library(&artifacts[number % ARTIFACTS]);
        let reload = engine.reload_after(seq);
        assert_eq!(
            reload.outcome,
            ReloadOutcome::Applied,
            "{number}: {reload:#?}"
        );
        assert_eq!(engine.number("number"), (number % ARTIFACTS) as i64);
        // What reflection does not know begins anew, and nobody calls into the old code.
        assert_eq!(engine.text("undress"), "500 0");
        let now = engine.number("times");
        assert!(now > times, "observers hear no more after {number}");
        times = now;
    };
    (1..=20).for_each(&mut change);
    assert_eq!(engine.text("show"), made);
    settle(&engine, 21);
    let (before, memory) = (holdings(pid), resident_bytes(pid));
    (21..=100).for_each(&mut change);
    settle(&engine, 101);
    assert_eq!(engine.text("show"), made);
    // A checker has memory, threads and descriptors of its own.
    if checker().is_none() {
        settle_holdings(&engine, pid, before);
        let grown = resident_bytes(pid).saturating_sub(memory);
        assert!(
            grown <= MAY_GROW,
            "{grown} bytes more than the {memory} after twenty changes"
        );
    }
    assert!(engine.finish().success());
}

/// How often code is replaced in the second soak, unless `LIVELOOP_SOAK_RELOADS` says so.
const RELOADS: usize = 100;
/// What stands for the number of a version in the artifact that all are made of.
const MARK: i64 = 0x5A5A_1DEA_C0DE_0000;

/// Builds what all artifacts are made of.
fn template(scratch: &Scratch) -> Vec<u8> {
    scratch.edit(LIB, "ANSWER: i64 = 1;", &format!("ANSWER: i64 = {MARK};"));
    scratch.cargo(&["build"]);
    fs::read(scratch.library()).expect("the library is there")
}

/// An artifact whose code differs from the others': a constant in its text is another one.
fn artifact(template: &[u8], number: usize) -> Vec<u8> {
    let mark = MARK.to_le_bytes();
    let mut bytes = template.to_vec();
    let places: Vec<usize> = bytes
        .windows(8)
        .enumerate()
        .filter(|(_, word)| *word == mark)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "the mark is in the artifact");
    for at in places {
        bytes[at..at + 8].copy_from_slice(&(MARK + number as i64).to_le_bytes());
    }
    bytes
}

#[test]
fn versions_of_differing_code_are_unloaded_one_after_the_other() {
    let scratch = Scratch::take();
    let template = template(&scratch);
    let engine = Engine::start_with(&scratch, &["--no-build"]);
    let pid = engine.dump().engine.host_pid.expect("the host runs");
    engine.call("spawn", &["200"]);
    engine.call("attach", &[]);
    engine.call("wind", &["0"]);
    let inventory = engine.text("inventory");
    let mut turned = 0;
    let mut change = |number: usize| {
        engine.call("dig", &[]);
        let seq = engine.last_reload();
        scratch.replace_library(&artifact(&template, number));
        let reload = engine.reload_after(seq);
        assert_eq!(
            reload.outcome,
            ReloadOutcome::Applied,
            "{number}: {reload:#?}"
        );
        assert_eq!(engine.number("answer"), MARK + number as i64);
        assert_eq!(engine.number("poke"), 200);
        let now = engine.number("turned");
        assert!(
            now > turned,
            "the callback is called no more after {number}"
        );
        turned = now;
    };
    (1..=20).for_each(&mut change);
    settle(&engine, 21);
    let (before, memory) = (holdings(pid), resident_bytes(pid));
    (21..=reloads()).for_each(&mut change);
    assert_eq!(engine.text("inventory"), inventory);
    settle(&engine, reloads() + 1);
    assert_eq!(
        engine.number("finds"),
        50 * reloads() as i64,
        "each job was heard of once"
    );
    settle_holdings(&engine, pid, before);
    let grown = resident_bytes(pid).saturating_sub(memory);
    assert!(
        grown <= MAY_GROW,
        "{grown} bytes more than the {memory} after twenty"
    );
    assert!(engine.finish().success());
}

fn reloads() -> usize {
    std::env::var("LIVELOOP_SOAK_RELOADS")
        .map_or(RELOADS, |text| text.parse().expect("it is a number"))
}

/// What a version that stays may cost, in bytes.
const PINNED: u64 = 300 << 10;

#[test]
fn a_version_that_stays_costs_little() {
    let scratch = Scratch::take();
    let template = template(&scratch);
    let engine = Engine::start_with(&scratch, &["--no-build"]);
    let pid = engine.dump().engine.host_pid.expect("the host runs");
    engine.call("spawn", &["200"]);
    let mut pin = |number: usize| {
        engine.call("register_at_exit", &[]);
        let seq = engine.last_reload();
        scratch.replace_library(&artifact(&template, number));
        let reload = engine.reload_after(seq);
        assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    };
    let all_pinned = |active: u32| {
        engine.wait(&format!("that all but v{active} are pinned"), |status| {
            let is_in_place = |(number, state): (u32, VersionState)| match state {
                VersionState::Active => number == active,
                _ => state == VersionState::Pinned,
            };
            states(status).into_iter().all(is_in_place).then_some(())
        });
    };
    (1..=5).for_each(&mut pin);
    all_pinned(6);
    let (images, memory) = (mapped_versions(pid).len(), resident_bytes(pid));
    (6..=25).for_each(&mut pin);
    all_pinned(26);
    assert_eq!(mapped_versions(pid).len(), images + 20);
    let each = resident_bytes(pid).saturating_sub(memory) / 20;
    assert!(each < PINNED, "{each} bytes for each version");
    assert!(engine.finish().success());
}
