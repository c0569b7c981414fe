//! What scripts see after a native reload.

use super::*;

mod edited {
    use super::*;

    /// [`super::Position`] of the next build.
    #[derive(Component, Reflect, Default, Debug, Clone)]
    #[reflect(Component, Default)]
    #[type_path = "game"]
    pub(super) struct Position {
        pub(super) x: f64,
        pub(super) depth: f32,
    }

    /// [`super::Velocity`] with another name.
    #[derive(Component, Reflect, Default, Debug, Clone)]
    #[reflect(Component, Default, @RenamedFrom("Velocity"))]
    #[type_path = "game"]
    pub(super) struct Speed(pub(super) f32, pub(super) f32);
}

#[test]
fn other_fields_after_a_native_reload_are_seen_at_once() {
    let mut stage = Stage::new();
    let keep = "pos = world:get(ship, 'Position') vel = world:get(ship, 'Velocity') \
                rows, ys = world:columns('Position.y') return pos.y + vel[1]";
    assert_eq!(stage.run(keep).unwrap(), "5.0");
    let new = [
        StateType::component::<edited::Position>(),
        StateType::component::<edited::Speed>(),
    ];
    let listed = new.iter().map(RegisteredType::of);
    stage.world.insert_resource(StateTypes::new(listed));
    let mut ship = stage.world.entity_mut(stage.ship);
    ship.remove::<(Position, Velocity)>();
    ship.insert((
        edited::Position { x: 8.0, depth: 4.0 },
        edited::Speed(6.0, 0.0),
    ));
    for (script, expected) in [
        ("return pos.x + pos.depth", Ok("12.0")),
        (
            "pos.depth = 1 return world:get(ship, 'Position').depth",
            Ok("1.0"),
        ),
        (
            "return pos.y",
            Err("`Position` has no field `y`; there are `x`, `depth`"),
        ),
        (
            "pos.y = 1",
            Err("`Position` has no field `y`; there are `x`, `depth`"),
        ),
        (
            "rows:write('Position.y', ys)",
            Err("`Position` has no field `y`; there are `x`, `depth`"),
        ),
        ("return vel[1]", Ok("6.0")),
        (
            "return world:resource('Score')",
            Err(
                "no native module registers a resource `Score`; derive `Reflect` for it and add \
                 `m.resource::<Score>()` to the module function",
            ),
        ),
    ] {
        let found = stage.run(script);
        let found = found.as_deref().map_err(String::as_str);
        assert_eq!(found, expected, "{script}");
    }
    stage.world.insert_resource(StateTypes::new([]));
    assert_eq!(
        stage.run("return pos.x").unwrap_err(),
        "no module registers the component `game::Position` any more"
    );
}
