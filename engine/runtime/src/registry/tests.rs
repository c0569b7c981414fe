use std::panic::{AssertUnwindSafe, catch_unwind};

use engine_api::bevy_ecs::world::World;
use engine_api::module::ModuleBuilder;
use inspector_protocol::status::VersionState::{Active, Draining, Pinned, Rejected, Unloaded};

use super::*;
use crate::testing::{Build, describe, some_code};

fn subtract(a: i32, b: i32) -> i32 {
    a - b
}
fn add(a: i32, b: i32) -> i32 {
    a + b
}
fn negate(a: i32) -> i32 {
    -a
}
fn fails() -> i32 {
    panic!("no luck today")
}
fn spawn(world: &mut World, count: u32) -> u32 {
    for _ in 0..count {
        world.spawn_empty();
    }
    count
}

fn first(m: &mut ModuleBuilder) {
    m.systems(engine_api::module::Stage::Update, || {})
        .function("combine", subtract)
        .function("fails", fails)
        .function("spawn", spawn);
}
fn second(m: &mut ModuleBuilder) {
    m.function("combine", add).function("spawn", negate);
}
fn without_combine(m: &mut ModuleBuilder) {
    m.function("negate", negate);
}
fn other_type(m: &mut ModuleBuilder) {
    m.function("combine", negate);
}

fn registry() -> Registry {
    panic::install_hook();
    let registry = Registry::default();
    registry.add_module("game", "fake");
    registry.add_module("idle", "fake");
    registry
}

fn load(registry: &Registry, build: Build) -> (VersionKey, engine_api::module::ModuleDescription) {
    let description = describe(build);
    let key = registry.reserve("game").unwrap();
    let names = crate::swap::function_names(&description);
    registry.set_loaded("game", key, "0.1.0", 0xabc, some_code(), names);
    (key, description)
}

fn activate(registry: &Registry, build: Build) -> VersionKey {
    let (key, description) = load(registry, build);
    let first_function = (description.systems.len() + description.observers.len()) as u32;
    let before = registry.active("game");
    assert_eq!(
        registry.activate("game", key, &description.functions, first_function),
        before
    );
    key
}

/// States of the module's versions, oldest first, with the calls that run in each.
fn states(registry: &Registry) -> Vec<(u32, VersionState, u32)> {
    let status = registry.status(&call::running());
    status[0]
        .versions
        .iter()
        .map(|v| (v.version, v.state, v.active_calls))
        .collect()
}

type Combine = fn(i32, i32) -> i32;

#[test]
fn a_typed_handle_follows_the_active_version() {
    let registry = registry();
    activate(&registry, first);
    let combine = registry.function::<Combine>("game", "combine").unwrap();
    assert_eq!(combine.call(7, 5), Some(2));
    activate(&registry, second);
    assert_eq!(combine.call(7, 5), Some(12));
    activate(&registry, without_combine);
    assert_eq!(combine.call(7, 5), None, "removed");
    activate(&registry, first);
    assert_eq!(combine.call(7, 5), Some(2), "back again");
}

#[test]
fn a_handle_of_another_type_is_never_given_and_never_called() {
    let registry = registry();
    activate(&registry, first);
    assert!(
        registry
            .function::<fn(i32) -> i32>("game", "combine")
            .is_none()
    );
    assert!(
        registry
            .function::<fn(u32, u32) -> u32>("game", "combine")
            .is_none()
    );
    assert!(registry.function::<Combine>("game", "unheard_of").is_none());
    assert!(registry.function::<Combine>("nobody", "combine").is_none());
    let old = registry.function::<Combine>("game", "combine").unwrap();
    activate(&registry, other_type);
    assert_eq!(old.call(7, 5), None);
    assert!(registry.function::<Combine>("game", "combine").is_none());
    let new = registry
        .function::<fn(i32) -> i32>("game", "combine")
        .unwrap();
    assert_eq!(new.call(7), Some(-7));
}

#[test]
fn a_panic_of_a_typed_call_reaches_the_caller_and_ends_the_call() {
    let registry = registry();
    let key = activate(&registry, first);
    let fails = registry.function::<fn() -> i32>("game", "fails").unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| fails.call())).is_err());
    assert_eq!(call::count_certainly(key.id), 0);
}

#[test]
fn calls_by_name_answer_or_say_what_there_is() {
    let registry = registry();
    activate(&registry, first);
    let mut world = World::new();
    let before = world.entities().count_spawned();
    let mut check = |module: &str, function: &str, args: &[Value], expected: Result<i64, &str>| {
        let result = registry.call_with_world(&mut world, module, function, args);
        match (result, expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value, Value::Int(expected)),
            (Err(error), Err(expected)) => {
                let text = error.to_string();
                assert!(text.contains(expected), "`{text}` lacks `{expected}`");
            }
            (result, expected) => panic!("{module}.{function}: {result:?}, not {expected:?}"),
        }
    };
    let int = Value::Int;
    check("game", "combine", &[int(9), int(4)], Ok(5));
    check("game", "spawn", &[int(3)], Ok(3));
    check(
        "gane",
        "combine",
        &[],
        Err("no module `gane`; modules are: game, idle"),
    );
    check("idle", "combine", &[], Err("`idle` has no active version"));
    let known = "no function `combin`; functions are: combine, fails, spawn";
    check("game", "combin", &[], Err(known));
    check(
        "game",
        "combine",
        &[int(9)],
        Err("game v1: `combine` takes 2 arguments, got 1"),
    );
    check(
        "game",
        "spawn",
        &[],
        Err("game v1: `spawn` takes 1 argument, got 0"),
    );
    let text = Value::Str("x".into());
    check(
        "game",
        "spawn",
        &[text],
        Err("argument 1: expected u32, got text"),
    );
    check(
        "game",
        "spawn",
        &[int(-1)],
        Err("argument 1: expected u32, got -1"),
    );
    check("game", "fails", &[], Err("game v1: `fails` panicked: "));
    check("game", "fails", &[], Err("registry/tests.rs:"));
    check("game", "fails", &[], Err("no luck today"));
    assert_eq!(world.entities().count_spawned(), before + 3);
    assert_eq!(call::current(), None, "every call has ended");
}

#[test]
fn a_call_that_was_entered_ends_on_its_version() {
    let registry = registry();
    let old = activate(&registry, first);
    let EnteredCall::Detached(entered) = registry.enter("game", "combine").unwrap() else {
        panic!("it needs no world")
    };
    assert!(matches!(
        registry.enter("game", "spawn"),
        Ok(EnteredCall::World)
    ));
    assert_eq!(states(&registry), [(1, Active, 1)]);
    activate(&registry, second);
    drop(registry.retire("game", old));
    assert_eq!(states(&registry), [(1, Draining, 1), (2, Active, 0)]);
    assert_eq!(
        entered.run(&[Value::Int(7), Value::Int(5)]).unwrap(),
        Value::Int(2)
    );
    drop(entered);
    assert_eq!(states(&registry), [(1, Draining, 0), (2, Active, 0)]);
}

#[test]
fn a_version_goes_through_its_states() {
    let registry = registry();
    let old = activate(&registry, first);
    assert!(registry.mapped_leftovers().is_empty());
    let new = activate(&registry, second);
    let leftovers = |registry: &Registry| -> Vec<_> {
        registry
            .mapped_leftovers()
            .into_iter()
            .map(|(_, key, state)| (key, state))
            .collect()
    };
    assert_eq!(leftovers(&registry), [(old, Draining)]);
    assert!(registry.pin("game", old, vec!["a reason".into()]));
    assert_eq!(leftovers(&registry), [(old, Pinned)]);
    assert_eq!(registry.status(&[])[0].versions[0].pinned_by, ["a reason"]);

    let lease = registry.lease("game", old).unwrap();
    assert!(registry.is_leased("game", old) && !registry.is_leased("game", new));
    drop(lease);
    assert!(!registry.is_leased("game", old));

    assert!(registry.take_code("game", old).is_some());
    assert!(registry.take_code("game", old).is_none() && leftovers(&registry).is_empty());
    registry.set_closed("game", old, false);
    assert_eq!(states(&registry)[0].1, Pinned);
    assert_eq!(registry.status(&[])[0].versions[0].pinned_by.len(), 1);
    registry.set_closed("game", old, true);
    assert_eq!(states(&registry), [(1, Unloaded, 0), (2, Active, 0)]);
    let late = vec!["what a look found before".into()];
    assert!(!registry.pin("game", old, late), "it is gone");
    assert!(registry.status(&[])[0].versions[0].pinned_by.is_empty());

    let (refused, _) = load(&registry, without_combine);
    registry.reject("game", refused);
    assert_eq!(leftovers(&registry), [(refused, Rejected)]);
    registry.set_closed("game", refused, true);
    assert_eq!(
        states(&registry)[2].1,
        Rejected,
        "it stays listed as what it is"
    );
    assert_eq!(registry.active("game"), Some(new));
    assert_eq!(registry.active_hash("game"), Some(0xabc));
    assert_eq!(registry.last_number("game"), 3);
}

#[test]
fn old_versions_are_forgotten_but_never_mapped_ones() {
    let registry = registry();
    let active = activate(&registry, first);
    let (mapped, _) = load(&registry, second);
    registry.reject("game", mapped);
    for _ in 0..KEPT_VERSIONS * 2 {
        let (key, _) = load(&registry, second);
        registry.reject("game", key);
        drop(registry.take_code("game", key));
    }
    let next = registry.reserve("game").unwrap();
    let kept: Vec<u32> = states(&registry)
        .iter()
        .map(|(number, ..)| *number)
        .collect();
    let youngest = next.number - KEPT_VERSIONS as u32..=next.number;
    let expected: Vec<u32> = [active.number, mapped.number]
        .into_iter()
        .chain(youngest)
        .collect();
    assert_eq!(kept, expected);
    assert!(registry.reserve("nobody").is_none());
}

#[test]
fn calls_are_named_by_module_version_and_function() {
    let registry = registry();
    let key = activate(&registry, first);
    let name = |function| {
        registry
            .name_call(CallId::new(key.id, function))
            .map(|call| call.2)
    };
    assert!(
        name(0).unwrap().contains("first"),
        "the system, by its path"
    );
    assert_eq!(name(1).as_deref(), Some("combine"));
    assert_eq!(name(9), None);
    let _call = call::enter(CallId::new(key.id, 1));
    assert_eq!(registry.current_module().as_deref(), Some("game"));
}

#[test]
fn versions_of_two_registries_are_told_apart() {
    let (one, other) = (registry(), registry());
    let (key, _) = (activate(&one, first), activate(&other, first));
    let _call = call::enter(CallId::new(key.id, 0));
    assert_eq!((states(&one)[0].2, states(&other)[0].2), (1, 0));
}

fn call(
    function: &mut DynamicFunction,
    world: &mut World,
    args: &[Value],
) -> Result<Value, CallByNameError> {
    // SAFETY: nothing is activated or retired meanwhile.
    unsafe { function.call(world, args) }
}

#[test]
fn a_dynamic_handle_enters_the_version_that_is_active() {
    let registry = Arc::new(registry());
    let mut world = World::new();
    let mut combine = registry.dynamic("game", "combine");
    let arguments = [Value::Int(7), Value::Int(2)];
    assert!(
        matches!(
            call(&mut combine, &mut world, &arguments),
            Err(CallByNameError::NotActive(_))
        ),
        "there is no version yet"
    );
    let one = activate(&registry, first);
    for _ in 0..2 {
        assert_eq!(
            call(&mut combine, &mut world, &arguments).unwrap(),
            Value::Int(5)
        );
    }
    activate(&registry, second);
    drop(registry.retire("game", one));
    assert_eq!(
        call(&mut combine, &mut world, &arguments).unwrap(),
        Value::Int(9)
    );
    assert_eq!(
        call(&mut combine, &mut world, &[]).unwrap_err().to_string(),
        "game v2: `combine` takes 2 arguments, got 0"
    );
    activate(&registry, without_combine);
    let gone = call(&mut combine, &mut world, &arguments).unwrap_err();
    assert!(matches!(gone, CallByNameError::NoFunction { .. }), "{gone}");
    activate(&registry, first);
    assert_eq!(
        call(&mut combine, &mut world, &arguments).unwrap(),
        Value::Int(5)
    );
}

#[test]
fn a_dynamic_handle_takes_the_world_and_keeps_no_version() {
    let registry = Arc::new(registry());
    let key = activate(&registry, first);
    let mut world = World::new();
    let before = world.entities().count_spawned();
    let mut spawn = registry.dynamic("game", "spawn");
    assert_eq!(
        call(&mut spawn, &mut world, &[Value::Int(3)]).unwrap(),
        Value::Int(3)
    );
    assert_eq!(world.entities().count_spawned(), before + 3);
    let mut fails = registry.dynamic("game", "fails");
    assert!(call(&mut fails, &mut world, &[]).is_err());
    assert_eq!(states(&registry)[0].2, 0, "no call is left");
    assert!(!registry.is_leased("game", key));
    let calls = registry.deactivate("game").unwrap();
    let strong: Vec<usize> = calls.iter().map(Arc::strong_count).collect();
    assert!(strong.iter().all(|count| *count == 1), "{strong:?}");
}
