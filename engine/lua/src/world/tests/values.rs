//! Parts of values, read and written.

use super::*;

const VALUES: &[(&str, &str)] = &[
    ("s.gun.shots = 3 return s.gun.shots", "3"),
    ("s.gun.shots = 3.0 return s.gun.shots", "3"),
    (
        "s.gun = { heat = 2 } return tostring(s.gun)",
        "game::Gun { shots: 0, heat: 2.0 }",
    ),
    ("local g = s.gun s.gun = { shots = 9 } return g.shots", "9"),
    ("s.nose[2] = 5 return s.nose[1] .. s.nose[2]", "0.05.0"),
    (
        "s.nose = { 1, 2 } return #s.nose .. ' ' .. s.nose[2]",
        "2 2.0",
    ),
    (
        "s.lucky = { 7, 8, 9 } s.lucky[1] = -1 return s.lucky[1] + s.lucky[3]",
        "8",
    ),
    ("return s.lucky[4]", "nil"),
    (
        "s.guns[1] = { shots = 1 } s.guns[2] = s.guns[1] return #s.guns",
        "2",
    ),
    (
        "s.guns = { {}, {} } s.guns[2].shots = 4 return s.guns[2].shots",
        "4",
    ),
    ("s.guns = { {}, {} } s.guns[2] = nil return #s.guns", "1"),
    (
        "table.insert(s.guns, { shots = 1 }) table.insert(s.guns, 1, { shots = 2 }) \
             local n = '' for _, g in ipairs(s.guns) do n = n .. g.shots end return n",
        "21",
    ),
    (
        "s.guns = { { shots = 1 }, { shots = 2 } } table.remove(s.guns, 1) \
             return #s.guns .. s.guns[1].shots",
        "12",
    ),
    ("return s.spare", "nil"),
    (
        "s.spare = { shots = 2 } s.spare.shots = 5 return s.spare.shots",
        "5",
    ),
    (
        "s.spare = { shots = 2 } s.spare = nil return s.spare",
        "nil",
    ),
    ("s.target = ship return s.target == ship", "true"),
    ("s.target = nil return s.target", "nil"),
    ("return s.mood", "Calm"),
    (
        "s.mood = { variant = 'Angry', 3 } return s.mood.variant .. s.mood[1]",
        "Angry3",
    ),
    (
        "s.mood = { variant = 'Chasing', target = 'me', for_seconds = 1 } \
             s.mood.for_seconds = 2 return s.mood.target .. s.mood.for_seconds",
        "me2.0",
    ),
    (
        "s.mood = { variant = 'Angry', 3 } s.mood = 'Calm' return s.mood",
        "Calm",
    ),
    ("s.cargo.iron = 3 return s.cargo.iron .. #s.cargo", "31"),
    (
        "s.cargo = { iron = 1, gold = 2 } s.cargo.iron = nil return tostring(s.cargo)",
        "{\"gold\": 2}",
    ),
    ("return s.cargo.iron", "nil"),
    ("s.tags.fast = true return s.tags.fast", "true"),
    (
        "s.tags = { 'fast' } s.tags.fast = nil return s.tags.fast",
        "nil",
    ),
    ("s.letter = 'ü' return s.letter", "ü"),
    ("s.name = 'Ada' return s.name", "Ada"),
    (
        "s.tree = { below = { { name = 'a', below = { { name = 'b' } } } } } \
             return s.tree.below[1].below[1].name .. #s.tree.below[1].below[1].below",
        "b0",
    ),
    (
        "s.timeout = { secs = 2, nanos = 0 } return s.timeout.secs",
        "2",
    ),
    ("return s.gun == s.gun and s.gun ~= s.nose", "true"),
    (
        "local p = world:get(ship, 'Position') local all = {} \
             for k, v in pairs(p) do all[#all + 1] = k .. v end return table.concat(all, ' ')",
        "x1.0 y2.0",
    ),
    (
        "s.cargo = { iron = 1 } for k, v in pairs(s.cargo) do return k .. v end",
        "iron1",
    ),
    (
        "s.mood = { variant = 'Angry', 3 } for k, v in pairs(s.mood) do return k .. v end",
        "13",
    ),
];

#[test]
fn values_are_read_and_written() {
    for (script, expected) in VALUES {
        let script = of_ship(script);
        check(&[(script.as_str(), expected)]);
    }
}

const MISFITS: &[(&str, &str)] = &[
    (
        "return s.gum",
        "`Ship` has no field `gum`; did you mean `gun`?",
    ),
    (
        "return s.gun.shot",
        "`Ship.gun`: `Gun` has no field `shot`; did you mean `shots`?",
    ),
    (
        "s.gun.ammo = 1",
        "`Ship.gun`: `Gun` has no field `ammo`; there are `shots`, `heat`",
    ),
    (
        "s.gun.shots = 256",
        "`Ship.gun.shots`: a whole number from 0 to 255 was expected, not 256",
    ),
    (
        "s.gun.shots = 1.5",
        "`Ship.gun.shots`: a whole number from 0 to 255 was expected, not 1.5",
    ),
    (
        "s.gun.heat = 'hot'",
        "`Ship.gun.heat`: a number was expected, not \"hot\"",
    ),
    (
        "s.gun.heat = nil",
        "`Ship.gun.heat`: a number was expected, not nil",
    ),
    (
        "s.gun = { shots = -1 }",
        "`Ship.gun.shots`: a whole number from 0 to 255 was expected, not -1",
    ),
    (
        "s.gun = { shorts = 1 }",
        "`Ship.gun`: `Gun` has no field `shorts`; did you mean `shots`?",
    ),
    (
        "s.gun = 3",
        "`Ship.gun`: a table for `Gun` was expected, not 3",
    ),
    (
        "s.gun = s.nose",
        "`Ship.gun`: `Gun` was expected, not `(f32, f32)`",
    ),
    (
        "return s.nose[3]",
        "`Ship.nose`: `(f32, f32)` has no field `[3]`; there are [1] to [2]",
    ),
    (
        "return s.nose.x",
        "`Ship.nose`: `(f32, f32)` has no field `x`; there are [1] to [2]",
    ),
    (
        "s.lucky = { 1, 2 }",
        "`Ship.lucky`: `[i32; 3]` has 3 elements, not 2",
    ),
    (
        "s.lucky[4] = 1",
        "`Ship.lucky[4]`: the array has 3 elements, and will not have more",
    ),
    (
        "s.guns[3] = {}",
        "`Ship.guns[3]`: the list has 0 elements; the next one is 1",
    ),
    (
        "s.guns = { {}, { heat = true } }",
        "`Ship.guns[2].heat`: a number was expected, not true",
    ),
    (
        "s.guns.first = {}",
        "`Ship.guns`: `Vec<Gun>` has elements by number from 1, not \"first\"",
    ),
    (
        "s.mood = 'Sad'",
        "`Ship.mood`: `Mood` has no variant `Sad`; there are `Calm`, `Angry`, `Chasing`",
    ),
    (
        "s.mood = 'Angry'",
        "`Ship.mood`: variant `Angry` of `Mood` has fields; say { variant = \"Angry\", .. }",
    ),
    (
        "s.mood = { variant = 'Chasing', target = 'x' }",
        "`Ship.mood`: field `for_seconds` of `Mood::Chasing` is missing, and there is no \
             default for it",
    ),
    (
        "s.cargo.iron = 'a'",
        "`Ship.cargo[\"iron\"]`: a whole number from 0 to 4294967295 was expected, not \"a\"",
    ),
    (
        "s.cargo[1] = 1",
        "`Ship.cargo[1]`: a text in UTF-8 was expected, not 1",
    ),
    (
        "s.letter = 'ab'",
        "`Ship.letter`: one character was expected, not \"ab\"",
    ),
    (
        "s.target = 5",
        "`Ship.target`: an entity was expected, not 5",
    ),
    (
        "s.tree = { below = { { below = { 3 } } } }",
        "`Ship.tree.below[1].below[1]`: a table for `Node` was expected, not 3",
    ),
    ("return #s.gun", "`Gun` has fields, and no length"),
    (
        "s.spare = {} local spare = s.spare s.spare = nil return spare.shots",
        "`Ship.spare`: it is nil by now",
    ),
    (
        "s.guns = { {} } local gun = s.guns[1] s.guns = {} return gun.shots",
        "`Ship`: `Vec<Gun>` has nothing at `[1]` any more",
    ),
    (
        "s.mood = { variant = 'Angry', 3 } local m = s.mood s.mood = 'Calm' return m[1]",
        "`Ship.mood`: `Mood::Calm` has no field `[1]`; there is none",
    ),
];

#[test]
fn what_does_not_fit_is_an_error_that_says_where() {
    for (script, expected) in MISFITS {
        let script = of_ship(script);
        check_errors(&[(script.as_str(), expected)]);
    }
}

#[test]
fn what_reflection_does_not_see_is_an_error_that_says_what_to_do() {
    check_errors(&[
        (
            "return world:get(world:spawn{ 'Sprite' }, 'Sprite').handle",
            "scripts cannot read a `game::Handle`: reflection sees no parts of it; derive \
             `Reflect` for it, or add `#[reflect(Serialize, Deserialize)]`",
        ),
        (
            "world:spawn{ Sprite = { handle = 3 } }",
            "`Sprite.handle`: scripts cannot make a `game::Handle`: reflection sees no parts of \
             it; derive `Reflect` for it, or add `#[reflect(Serialize, Deserialize)]`",
        ),
    ]);
}

#[test]
fn only_writing_is_a_change() {
    let changed = |stage: &mut Stage| {
        let mut query = stage.world.query_filtered::<Entity, Changed<Position>>();
        query.iter(&stage.world).count()
    };
    for (script, expected) in [
        ("return world:get(ship, 'Position').x", 0),
        (
            "for _, p in world:query('Position') do local x = p.x + #tostring(p) end",
            0,
        ),
        (
            "pcall(function() world:get(ship, 'Position').x = 'a' end)",
            0,
        ),
        ("pcall(function() world:get(ship, 'Position').z = 1 end)", 0),
        ("world:get(ship, 'Position').x = 5", 1),
        (
            "local rows, x = world:columns('Position.x') rows:write('Position.x', x)",
            0,
        ),
        (
            "local rows, x = world:columns('Position.x') x[1] = 5 rows:write('Position.x', x)",
            1,
        ),
    ] {
        let mut stage = Stage::new();
        stage.world.clear_trackers();
        stage.run(script).unwrap();
        assert_eq!(changed(&mut stage), expected, "{script}");
    }
}
