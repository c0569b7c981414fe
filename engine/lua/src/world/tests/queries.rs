//! Queries, and what entities have.

use super::*;

#[test]
fn queries_give_entities_and_components() {
    check(&[
        (
            "for e, p, v in world:query('Position', 'Velocity') do \
             p.x = p.x + v[1] p.y = p.y + v[2] end \
             local p = world:get(ship, 'Position') return p.x .. ' ' .. p.y",
            "4.0 6.0",
        ),
        (
            "local n = 0 for e, p in world:query{ 'Position', with = 'Velocity' } do \
             n = n + (e == ship and 1 or 100) end return n",
            "1",
        ),
        (
            "for e in world:query{ 'Position', without = { 'Player', 'Ship' } } do return 1 end",
            "nil",
        ),
        ("return world:count('Position')", "1"),
        (
            "return world:count{ with = 'Position', without = 'Ship' }",
            "0",
        ),
        ("return world:count('game::Armor')", "0"),
        ("for e in world:query('Player') do return e end", "nil"),
    ]);
    check_errors(&[
        (
            "world:query('Positon')",
            "there is no component `Positon`; did you mean `Position`?",
        ),
        (
            "world:query('Quaternion')",
            "no native module registers a component `Quaternion`; derive `Reflect` for it and \
             add `m.component::<Quaternion>()` to the module function",
        ),
        (
            "world:query('Armor')",
            "there are several components `Armor`; say which: `game::Armor`, `other::Armor`",
        ),
        (
            "world:query('Score')",
            "`Score` is no component: it is registered as resource",
        ),
        (
            "world:query()",
            "name at least one component that the entities have",
        ),
        (
            "world:query{ 'Position', whit = 'Ship' }",
            "a query has no option `whit`; did you mean `with`?",
        ),
        (
            "world:query(3)",
            "the name of a component was expected, not 3",
        ),
    ]);
}

#[test]
fn the_world_may_change_within_a_query() {
    check(&[
        (
            "for i = 1, 5 do world:spawn{ Position = { x = i } } end \
             local seen = 0 \
             for e in world:query('Position') do \
                 seen = seen + 1 \
                 world:spawn{ Position = {} } \
                 for other in world:query('Position') do \
                     if other ~= e then world:despawn(other) end \
                 end \
             end return seen .. ' ' .. world:count('Position')",
            "1 1",
        ),
        (
            "local other = world:spawn{ 'Position', 'Velocity' } \
             local seen = 0 \
             for e in world:query('Position', 'Velocity') do \
                 seen = seen + 1 \
                 world:remove(e == ship and other or ship, 'Velocity') \
             end return seen",
            "1",
        ),
    ]);
}

#[test]
fn disabled_entities_are_in_no_query() {
    let mut stage = Stage::new();
    stage.world.entity_mut(stage.ship).insert(Disabled);
    assert_eq!(stage.run("return world:count('Position')").unwrap(), "0");
}

#[test]
fn entities_come_and_go() {
    check(&[
        ("local e = world:spawn() return world:alive(e)", "true"),
        (
            "local e = world:spawn{ Position = { x = 1 }, Velocity = { 2, 3 }, Player = true } \
             local p = world:get(e, 'Position') \
             return p.x .. ' ' .. p.y .. ' ' .. tostring(world:has(e, 'Player'))",
            "1.0 0.0 true",
        ),
        (
            "return tostring(world:get(world:spawn{ Position = world:get(ship, 'Position') }, \
             'Position'))",
            "game::Position { x: 1.0, y: 2.0 }",
        ),
        (
            "local e = world:spawn{ ['game::Armor'] = { plates = 3 } } \
             return tostring(world:get(e, 'game::Armor'))",
            "game::Armor { plates: 3, hull: None }",
        ),
        ("return world:despawn(ship)", "true"),
        ("world:despawn(ship) return world:despawn(ship)", "false"),
        (
            "world:despawn(ship) return world:get(ship, 'Position')",
            "nil",
        ),
        (
            "world:insert(ship, 'Position', { y = 7 }) return world:get(ship, 'Position').y",
            "7.0",
        ),
        (
            "world:insert(ship, 'Player') return world:has(ship, 'Player')",
            "true",
        ),
        ("return world:remove(ship, 'Position')", "true"),
        (
            "world:remove(ship, 'Position') return world:remove(ship, 'Position')",
            "false",
        ),
        (
            "local names = { [ship] = 'it' } for e in world:query('Ship') do return names[e] end",
            "it",
        ),
        ("return (tostring(ship):gsub('%d+v%d+', 'N'))", "entity N"),
        (
            "world:insert(ship, 'Team', { number = 2 }) return world:get(ship, 'Team').number",
            "2",
        ),
    ]);
    check_errors(&[
        (
            "world:spawn{ ['game::Armor'] = {} }",
            "`Armor`: field `plates` of `Armor` is missing, and there is no default for it",
        ),
        (
            "world:spawn{ 'Position', Position = {} }",
            "component `Position` is there twice",
        ),
        (
            "world:spawn{ [true] = 1 }",
            "the name of a component was expected, not true",
        ),
        ("world:despawn(3)", "an entity was expected, not 3"),
        (
            "world:insert(ship, 'Team') world:get(ship, 'Team').number = 1",
            "`Team`: it is immutable; `world:insert` puts another one in its place",
        ),
    ]);
}

#[test]
fn a_failed_spawn_leaves_nothing() {
    let mut stage = Stage::new();
    let before = stage.world.entities().count_spawned();
    let spawn = "world:spawn{ Position = {}, Ship = {}, Velocity = 'fast' }";
    stage.run(spawn).unwrap_err();
    assert_eq!(stage.world.entities().count_spawned(), before);
}

#[test]
fn what_is_gone_is_named() {
    for (script, expected) in [
        (
            "local p = world:get(ship, 'Position') world:despawn(ship) return p.x",
            "entity N is gone, and its `Position` with it",
        ),
        (
            "local p = world:get(ship, 'Position') world:despawn(ship) p.x = 1",
            "entity N is gone, and its `Position` with it",
        ),
        (
            "local p = world:get(ship, 'Position') world:remove(ship, 'Position') return p.x",
            "entity N has no `Position` any more",
        ),
        (
            "world:despawn(ship) world:insert(ship, 'Position')",
            "entity N is gone",
        ),
        (
            "return world:resource('Missing')",
            "there is no resource `Missing` in the world",
        ),
    ] {
        let mut stage = Stage::new();
        let message = stage.run(script).unwrap_err();
        let message = message.replace(&stage.ship.to_string(), "N");
        assert_eq!(message, expected, "{script}");
    }
}
