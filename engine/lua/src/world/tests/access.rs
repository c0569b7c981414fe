//! When there is a world to use.

use super::*;

#[test]
fn there_is_a_world_only_inside() {
    let mut stage = Stage::new();
    let outside = "the world cannot be used while a module is loaded or no frame runs; use it \
                   in a function that the engine calls";
    stage.run("kept = world:get(ship, 'Position')").unwrap();
    for script in [
        "return world:count('Position')",
        "return kept.x",
        "kept.x = 1",
        "return time.delta",
        "return input.held('a')",
    ] {
        let error = run_outside(&stage.domain, script).unwrap_err();
        assert_eq!(error.message.replace("test:1: ", ""), outside, "{script}");
    }
    assert_eq!(stage.run("return kept.x").unwrap(), "1.0");
}

#[test]
fn worlds_are_nested_and_given_back() {
    let mut outer = Stage::new();
    let mut inner = Stage::new();
    inner.world.resource_mut::<Score>().points = 99;
    let Stage { domain, world, .. } = &mut outer;
    let script = "return world:resource('Score').points";
    let seen = enter(world, || {
        let before = run_outside(domain, script).unwrap();
        let within = enter(&mut inner.world, || run_outside(domain, script));
        [
            before,
            within.unwrap(),
            run_outside(domain, script).unwrap(),
        ]
    });
    assert_eq!(seen, ["10", "99", "10"]);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        enter(world, || panic!("in the middle"));
    }));
    assert!(panicked.is_err());
    run_outside(domain, script).unwrap_err();
}

#[test]
fn panics_of_the_game_are_errors() {
    let mut stage = Stage::new();
    stage.run("world:spawn{ Bomb = {} }").unwrap();
    DEFAULTS_ARE_FINE.set(false);
    let message = stage.run("world:spawn{ Bomb = {} }").unwrap_err();
    assert!(
        message.starts_with("code of the game panicked: "),
        "{message}"
    );
    assert!(message.contains("no bombs today"), "{message}");
    DEFAULTS_ARE_FINE.set(true);
    assert_eq!(stage.run("return world:count('Bomb')").unwrap(), "1");
}

#[test]
fn finalizers_find_the_world_busy() {
    let mut stage = Stage::new();
    let script = "
        for i = 1, 2000 do
            setmetatable({}, { __gc = function() seen = pcall(world.despawn, world, ship) end })
        end
        for i = 1, 2000 do world:spawn{ Ship = { name = ('x'):rep(200) } } end
        return world:alive(ship)
    ";
    // Some of them run while the world is in use, some do not.
    stage.run(script).unwrap();
    stage.run("return world:count('Ship')").unwrap();
}
