//! Names, parents and children.

use super::*;

#[test]
fn names_are_texts_and_entities_are_found_by_them() {
    check(&[
        (
            "local boss = world:spawn{ Name = 'Boss', Position = true } \
             return world:get(boss, 'Name') .. tostring(world:find('Boss') == boss)",
            "Bosstrue",
        ),
        ("return world:find('Nobody')", "nil"),
        (
            "world:insert(ship, 'Name', 'Ann') world:insert(ship, 'Name', 'Bob') \
             return tostring(world:find('Ann')) .. world:get(ship, 'Name')",
            "nilBob",
        ),
        (
            "world:insert(ship, 'Name', 'Ann') local had = world:remove(ship, 'Name') \
             return tostring(had) .. tostring(world:has(ship, 'Name')) \
             .. tostring(world:remove(ship, 'Name'))",
            "truefalsefalse",
        ),
        (
            "world:spawn{ Name = 'a' } world:insert(ship, 'Name', 'b') local all = {} \
             for e, p, name in world:query('Position', 'Name') do all[#all + 1] = name end \
             return #all .. all[1] .. world:count('Name') .. world:count{ 'Ship', without = 'Name' }",
            "1b20",
        ),
    ]);
    check_errors(&[
        (
            "world:insert(ship, 'Name', 5)",
            "`Name`: a text in UTF-8 was expected, not 5",
        ),
        (
            "return world:find('Boss').x",
            "attempt to index a nil value",
        ),
    ]);
}

#[test]
fn children_follow_from_their_parents() {
    check(&[
        (
            "local a = world:spawn{ ChildOf = ship } local b = world:spawn{ ChildOf = ship } \
             local all = world:get(ship, 'Children') \
             return #all .. tostring(all[1] == a) .. tostring(all[2] == b) \
             .. tostring(world:get(a, 'ChildOf') == ship)",
            "2truetruetrue",
        ),
        (
            "local a = world:spawn{ ChildOf = ship } world:remove(a, 'ChildOf') \
             return tostring(world:get(ship, 'Children')) .. tostring(world:get(a, 'ChildOf'))",
            "nilnil",
        ),
        (
            "local a, b = world:spawn{ ChildOf = ship }, world:spawn() \
             world:insert(a, 'ChildOf', b) \
             for part, parent in world:query('ChildOf') do return tostring(parent == b) end",
            "true",
        ),
        (
            "local a = world:spawn{ ChildOf = ship } world:despawn(ship) return world:alive(a)",
            "false",
        ),
    ]);
    check_errors(&[
        (
            "world:insert(ship, 'Children', {})",
            "`Children` follow from `ChildOf`: insert that into each child",
        ),
        (
            "world:insert(ship, 'ChildOf', 'x')",
            "`ChildOf`: the parent was expected, an entity, not \"x\"",
        ),
    ]);
    let mut stage = Stage::new();
    let ship = stage.ship;
    let above = stage.run(
        "world:insert(world:spawn{ Name = 'x', ChildOf = ship }, 'Player') \
                           world:insert(ship, 'ChildOf', world:find('x'))",
    );
    let expected = format!("`ChildOf`: entity {ship} cannot be above itself");
    assert!(above.unwrap_err().contains(&expected));
    let gone = stage.run(
        "local a = world:spawn() world:despawn(a) gone = a \
                          world:spawn{ Name = 'lost', ChildOf = a }",
    );
    assert!(gone.unwrap_err().contains("is gone"));
    assert_eq!(stage.run("return world:find('lost')").unwrap(), "nil");
}
