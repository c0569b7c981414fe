//! Fields of many entities as tables.

use super::*;

#[test]
fn columns_are_copied_and_written_back() {
    let mut stage = Stage::new();
    let script = "
        for i = 1, 99 do world:spawn{ Position = { x = i, y = -i }, Velocity = { 1, 2 } } end
        for i = 1, 50 do
            world:spawn{ Position = { x = i }, Velocity = {}, Player = true, Burning = {} }
        end
        local rows, x, y, vx = world:columns('Position.x', 'Position.y', 'Velocity.1')
        for i = 1, #rows do x[i] = x[i] + vx[i] * 2 y[i] = 0 end
        local lost, gone = rows:entity(3), rows:entity(4)
        world:remove(lost, 'Position')
        world:despawn(gone)
        rows:write('Position.x', x)
        local sum, ys = 0, 0
        for _, p in world:query('Position') do sum = sum + p.x ys = ys + p.y end
        return #rows .. ' ' .. sum .. ' ' .. ys .. ' ' .. world:count('Position')
    ";
    // 1 + 3 * 2 of the ship, i + 2 of those with speed but for two of them, i of the rest.
    let sum = 7.0 + (4950.0 + 198.0) - (2.0 + 3.0 + 4.0) + 1275.0;
    let ys = 2.0 - (4950.0 - 5.0);
    assert_eq!(
        stage.run(script).unwrap(),
        format!("150 {sum:?} {ys:?} 148")
    );
    check(&[
        (
            "local rows = world:columns{ 'Position.x', without = 'Ship' } return #rows",
            "0",
        ),
        (
            "local rows = world:columns('Position.x') return rows:entity(1) == ship",
            "true",
        ),
        (
            "local rows = world:columns('Position.x') return rows:entity(2)",
            "nil",
        ),
        (
            "local rows, shots = world:columns('Ship.gun.shots') shots[1] = 7 rows:write('Ship.gun.shots', shots) \
             return world:get(ship, 'Ship').gun.shots",
            "7",
        ),
    ]);
    check_errors(&[
        (
            "world:columns('Position')",
            "a column is a field of a component, as in `Position.x`",
        ),
        (
            "world:columns('Position.z')",
            "`Position` has no field `z`; there are `x`, `y`",
        ),
        (
            "world:columns('Ship.name')",
            "`Ship.name`: a column has numbers, truth values or variants, not `String`; use a query",
        ),
        (
            "world:columns('game::Armor.plates')",
            "`Armor.plates`: where it lies is not known, since `Armor` has no `Default` that is \
             reflected; add `#[reflect(Default)]` to it, or use a query",
        ),
        (
            "world:columns('Burning.heat')",
            "`Burning.heat`: it is kept in a sparse set, which has no columns; use a query",
        ),
        (
            "local rows, x = world:columns('Position.x') x[1] = nil rows:write('Position.x', x)",
            "`Position.x`, row 1: a number was expected, not nil",
        ),
        (
            "local rows, x = world:columns('Ship.gun.shots') x[1] = 300 rows:write('Ship.gun.shots', x)",
            "`Ship.gun.shots`, row 1: a whole number from 0 to 255 was expected, not 300",
        ),
        (
            "local rows = world:columns('Position.x') rows:write('Position.y', {})",
            "column `Position.y` was not read; did you mean `Position.x`?",
        ),
        (
            "local rows, n = world:columns('Team.number') rows:write('Team.number', n)",
            "`Team` is immutable; `world:insert` puts another one in its place",
        ),
    ]);
}

#[test]
fn columns_leave_no_garbage_that_stays() {
    let mut stage = Stage::new();
    stage
        .run("for i = 1, 5000 do world:spawn{ 'Position' } end")
        .unwrap();
    let script = "local rows, x = world:columns('Position.x') rows:write('Position.x', x)";
    for _ in 0..500 {
        stage.run(script).unwrap();
    }
    let used = stage.domain.lua().used_memory();
    // One round takes 80 kB.
    assert!(used < 4_000_000, "{used} bytes");
}

#[test]
fn a_bad_column_writes_nothing_of_the_others() {
    let mut stage = Stage::new();
    let script = "local rows, x, y = world:columns('Position.x', 'Position.y') \
                  x[1] = 9 y[1] = 'low' rows:write('Position.x', x, 'Position.y', y)";
    stage.run(script).unwrap_err();
    assert_eq!(stage.component::<Position>(), Position { x: 1.0, y: 2.0 });
}

#[test]
fn variants_are_strings_in_columns() {
    let mut stage = Stage::new();
    let script = "
        world:spawn{ Guard = { alarm = 'Red' }, Alarm = 'Red' }
        world:spawn{ Guard = { alarm = 'Yellow' }, Alarm = 'Green' }
        local rows, fields, whole = world:columns('Guard.alarm', 'Alarm')
        local before = table.concat(fields, ' ') .. ' ' .. table.concat(whole, ' ')
        for i = 1, #rows do fields[i], whole[i] = whole[i], 'Yellow' end
        rows:write('Guard.alarm', fields, 'Alarm', whole)
        for _, guard in world:query('Guard', 'Alarm') do before = before .. ' ' .. guard.alarm end
        return before";
    assert_eq!(stage.run(script).unwrap(), "Red Yellow Red Green Red Green");
    let mut alarms = stage.world.query::<&Alarm>();
    let found: Vec<_> = alarms.iter(&stage.world).cloned().collect();
    assert_eq!(found, [Alarm::Yellow, Alarm::Yellow]);
    check_errors(&[
        (
            "world:spawn{ Guard = true } local rows, alarm = world:columns('Guard.alarm') \
             alarm[1] = 'Blue' rows:write('Guard.alarm', alarm)",
            "`Guard.alarm`, row 1: one of `Green`, `Yellow`, `Red` was expected, not \"Blue\"",
        ),
        (
            "world:columns('Ship.mood')",
            "`Ship.mood`: variants of `Mood` have fields, and a column has one value a row; use \
             a query",
        ),
    ]);
}

#[test]
fn entities_without_a_component_have_nil_in_its_columns() {
    let mut stage = Stage::new();
    let script = "
        local a = world:spawn{ Position = true, Bomb = { fuse = 3 } }
        local rows, x, fuse = world:columns('Position.x', 'Bomb?.fuse')
        local seen = #rows .. ''
        for i = 1, #rows do
            seen = seen .. ' ' .. tostring(fuse[i])
            if fuse[i] then fuse[i] = fuse[i] + 1 end
        end
        rows:write('Bomb?.fuse', fuse)
        return seen .. ' ' .. world:get(a, 'Bomb').fuse .. ' ' .. tostring(world:has(ship, 'Bomb'))";
    assert_eq!(stage.run(script).unwrap(), "2 nil 3.0 4.0 false");
    check_errors(&[
        (
            "local rows, x, fuse = world:columns('Position.x', 'Bomb?.fuse') fuse[1] = 2 \
             rows:write('Bomb?.fuse', fuse)",
            "`Bomb?.fuse`, row 1: nil, since it lacks the component, was expected, not 2",
        ),
        (
            "world:spawn{ Bomb = true } local rows, x, fuse = world:columns('Bomb.kind', \
             'Bomb?.fuse') fuse[1] = nil rows:write('Bomb?.fuse', fuse)",
            "`Bomb?.fuse`, row 1: a number was expected, not nil",
        ),
        (
            "world:columns('Bomb?.fuse')",
            "name at least one component that the entities have",
        ),
        (
            "world:columns('Ship.spare.shots')",
            "`Ship.spare.shots`: `Option<Gun>` is nil in some rows and lies elsewhere in others, \
             so there is no column of it; use a query",
        ),
        (
            "world:columns('Ship.target')",
            "`Ship.target`: `Option<Entity>` is nil in some rows and lies elsewhere in others, so \
             there is no column of it; use a query",
        ),
    ]);
}
