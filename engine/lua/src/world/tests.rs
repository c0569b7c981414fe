use std::collections::{HashMap, HashSet};
use std::time::Duration;

use engine_api::bevy_ecs;
use engine_api::bevy_ecs::component::Component;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::event::Event;
use engine_api::bevy_ecs::message::{Message, Messages};
use engine_api::bevy_ecs::query::Changed;
use engine_api::bevy_ecs::reflect::ReflectComponent;
use engine_api::bevy_ecs::resource::Resource;
use engine_api::bevy_ecs::world::World;
use engine_api::bevy_reflect::prelude::ReflectDefault;
use engine_api::bevy_reflect::{self, Reflect, TypePath};
use engine_api::input::{Input, Key};
use engine_api::schema::RenamedFrom;
use engine_api::state::StateType;
use engine_api::time::Time;
use engine_runtime::state::{RegisteredType, StateTypes};
use mlua::Value;

use super::{enter, entity, install};
use crate::{Domain, Limits, NoSources, ScriptError};

#[derive(Component, Reflect, Default, Debug, Clone, PartialEq)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Position {
    x: f32,
    y: f32,
}

#[derive(Component, Reflect, Default, Debug, Clone, PartialEq)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Velocity(f32, f32);

#[derive(Reflect, Default, Debug, Clone, PartialEq)]
#[reflect(Default)]
#[type_path = "game"]
struct Gun {
    shots: u8,
    heat: f64,
}

#[derive(Reflect, Default, Debug, Clone, PartialEq)]
#[reflect(Default)]
#[type_path = "game"]
enum Mood {
    #[default]
    Calm,
    Angry(u32),
    Chasing {
        target: String,
        for_seconds: f32,
    },
}

/// Something that contains itself.
#[derive(Reflect, Default, Debug, Clone, PartialEq)]
#[reflect(Default)]
#[type_path = "game"]
struct Node {
    name: String,
    below: Vec<Node>,
}

#[derive(Component, Reflect, Default, Debug, Clone)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Ship {
    gun: Gun,
    guns: Vec<Gun>,
    spare: Option<Gun>,
    target: Option<Entity>,
    lucky: [i32; 3],
    nose: (f32, f32),
    mood: Mood,
    cargo: HashMap<String, u32>,
    tags: HashSet<String>,
    letter: char,
    name: String,
    tree: Node,
    timeout: Duration,
}

/// Has no default.
#[derive(Component, Reflect, Debug, Clone)]
#[reflect(Component)]
#[type_path = "game"]
struct Armor {
    plates: u32,
    hull: Option<u32>,
}

#[derive(Component, Reflect, Default, Debug, Clone)]
#[component(storage = "SparseSet")]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Burning {
    heat: f32,
}

#[derive(Component, Reflect, Default, Debug, Clone)]
#[component(immutable)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Team {
    number: u8,
}

#[derive(Component, Reflect, Default, Debug, Clone)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Player;

/// What reflection does not see.
#[derive(Clone, Default, Debug, PartialEq, Reflect)]
#[reflect(opaque)]
#[reflect(Clone)]
#[type_path = "game"]
struct Handle(u64);

#[derive(Component, Reflect, Default, Debug, Clone)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Sprite {
    handle: Handle,
}

#[derive(Component, Reflect, Debug, Clone)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Bomb {
    fuse: f32,
    kind: u8,
}

impl Default for Bomb {
    fn default() -> Self {
        assert!(DEFAULTS_ARE_FINE.get(), "no bombs today");
        Self { fuse: 1.0, kind: 0 }
    }
}

thread_local! {
    static DEFAULTS_ARE_FINE: std::cell::Cell<bool> = const { std::cell::Cell::new(true) };
}

mod other {
    use super::{Component, Reflect, ReflectComponent, ReflectDefault, bevy_ecs, bevy_reflect};

    #[derive(Component, Reflect, Default, Debug, Clone)]
    #[reflect(Component, Default)]
    #[type_path = "other"]
    pub(super) struct Armor {
        pub(super) plates: u32,
    }
}

#[derive(Resource, Reflect, Default, Debug, Clone)]
#[reflect(Default)]
#[type_path = "game"]
struct Score {
    points: u32,
}

#[derive(Resource, Reflect, Default, Debug, Clone)]
#[reflect(Default)]
#[type_path = "game"]
struct Missing {
    points: u32,
}

#[derive(Message, Reflect, Default, Debug, Clone, PartialEq)]
#[reflect(Default)]
#[type_path = "game"]
struct Hit {
    damage: u32,
    by: Option<Entity>,
}

#[derive(Event, TypePath)]
#[type_path = "game"]
struct Won;

fn types() -> Vec<StateType> {
    vec![
        StateType::component::<Position>(),
        StateType::component::<Velocity>(),
        StateType::component::<Ship>(),
        StateType::component::<Armor>(),
        StateType::component::<other::Armor>(),
        StateType::component::<Burning>(),
        StateType::component::<Team>(),
        StateType::component::<Player>(),
        StateType::component::<Sprite>(),
        StateType::component::<Bomb>(),
        StateType::resource::<Score>(),
        StateType::resource::<Missing>(),
        StateType::message::<Hit>(),
        StateType::event::<Won>(),
    ]
}

/// A domain and a world with one ship, which scripts call `ship`.
struct Stage {
    domain: Domain,
    world: World,
    ship: Entity,
}

impl Stage {
    fn new() -> Self {
        engine_runtime::panic::install_hook();
        DEFAULTS_ARE_FINE.set(true);
        let domain = Domain::new(Limits::default(), Box::new(NoSources)).unwrap();
        install(&domain).unwrap();
        let mut world = World::new();
        let listed: Vec<_> = types().iter().map(RegisteredType::of).collect();
        for state in types() {
            (state.declare)(&mut world);
        }
        world.insert_resource(StateTypes::new(listed));
        world.insert_resource(Score { points: 10 });
        world.init_resource::<Messages<Hit>>();
        world.insert_resource(Time::new(Duration::from_millis(500)));
        let mut input = Input::default();
        input.key_down(Key::Char('a'));
        input.key_down(Key::Left);
        world.insert_resource(input);
        let ship = world.spawn((
            Position { x: 1.0, y: 2.0 },
            Velocity(3.0, 4.0),
            Ship::default(),
        ));
        let ship = ship.id();
        let globals = domain.lua().globals();
        globals.set("ship", entity::to_lua(ship)).unwrap();
        Self {
            domain,
            world,
            ship,
        }
    }

    /// What a script returns, as text, or the message of its error.
    fn run(&mut self, script: &str) -> Result<String, String> {
        let Self { domain, world, .. } = self;
        let done = enter(domain, world, || run_outside(domain, script));
        done.map_err(|error| error.message)
    }

    fn component<T: Component + Clone>(&self) -> T {
        self.world.get::<T>(self.ship).unwrap().clone()
    }
}

fn run_outside(domain: &Domain, script: &str) -> Result<String, ScriptError> {
    let run = || {
        let chunk = domain.lua().load(script).set_name("=test");
        let tostring: mlua::Function = domain.lua().globals().get("tostring")?;
        tostring.call(chunk.eval::<Value>()?)
    };
    run().map_err(|error| ScriptError::new(&error))
}

/// Runs scripts, each in a world of its own.
fn check(cases: &[(&str, &str)]) {
    for (script, expected) in cases {
        let found = Stage::new().run(script);
        assert_eq!(found.as_deref(), Ok(*expected), "{script}");
    }
}

/// Runs scripts that fail, each in a world of its own.
fn check_errors(cases: &[(&str, &str)]) {
    for (script, expected) in cases {
        match Stage::new().run(script) {
            Ok(found) => panic!("{script} gave {found}"),
            Err(message) => {
                let message = message.strip_prefix("test:1: ").unwrap_or(&message);
                assert_eq!(message, *expected, "{script}");
            }
        }
    }
}

/// Has a script work on the ship's parts, which it calls `s`.
fn of_ship(script: &str) -> String {
    format!("local s = world:get(ship, 'Ship') {script}")
}

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

#[test]
fn resources_messages_and_events() {
    let mut stage = Stage::new();
    let script = "local score = world:resource('Score') score.points = score.points + 5 \
                  world:send('Hit', { damage = 3, by = ship }) world:send('Hit') \
                  return score.points";
    assert_eq!(stage.run(script).unwrap(), "15");
    assert_eq!(stage.world.resource::<Score>().points, 15);
    let mut hits = stage.world.resource_mut::<Messages<Hit>>();
    let by = Some(stage.ship);
    let expected = [Hit { damage: 3, by }, Hit::default()];
    assert_eq!(hits.drain().collect::<Vec<_>>(), expected);
    check_errors(&[
        (
            "world:send('Hit', { damage = -1 })",
            "`Hit.damage`: a whole number from 0 to 4294967295 was expected, not -1",
        ),
        (
            "world:send('Won')",
            "`Won` is no message: it is registered as event",
        ),
        (
            "world:trigger('Won')",
            "event `Won` cannot be triggered by scripts: events are registered without \
             reflection; make it a message (`m.message::<Won>()`) and use `world:send`, or \
             trigger it in a native function",
        ),
    ]);
    stage.world.remove_resource::<Messages<Hit>>();
    assert_eq!(
        stage.run("world:send('Hit')").unwrap_err(),
        "message `Hit` was not sent: it cannot be made of this, or its queue is not there"
    );
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
            "`Ship.name`: a column has numbers or truth values, not `String`; use a query",
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
    let seen = enter(domain, world, || {
        let before = run_outside(domain, script).unwrap();
        let within = enter(domain, &mut inner.world, || run_outside(domain, script));
        [
            before,
            within.unwrap(),
            run_outside(domain, script).unwrap(),
        ]
    });
    assert_eq!(seen, ["10", "99", "10"]);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        enter(domain, world, || panic!("in the middle"));
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

#[test]
fn clock_and_input() {
    check(&[
        ("return time.delta", "0.5"),
        ("return time.frame", "0"),
        (
            "return tostring(input.held('a')) .. tostring(input.held('b'))",
            "truefalse",
        ),
        ("return input.pressed('Left')", "true"),
        ("return input.released('Space')", "false"),
        ("return input.held('F12')", "false"),
        ("return input.clicked('left')", "false"),
        ("return input.mouse()", "nil"),
    ]);
    check_errors(&[
        (
            "return time.dleta",
            "`time` has no field `dleta`; did you mean `delta`?",
        ),
        (
            "return input.held('Lfet')",
            "there is no key `Lfet`; did you mean `Left`?",
        ),
        (
            "return input.clicked('top')",
            "there is no mouse button `top`; there are `left`, `right`, `middle`",
        ),
        (
            "world.spawn = nil",
            "attempt to index a world value (global 'world')",
        ),
    ]);
}

#[test]
fn lines_of_the_log_have_level_and_file() {
    use std::sync::Mutex;

    use engine_api::log::{Level, LogSink, set_sink};

    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

    struct Sink;
    impl LogSink for Sink {
        fn log(&self, level: Level, target: &str, message: std::fmt::Arguments<'_>) {
            let line = format!("{level:?} {target} {message}");
            LINES.lock().unwrap().push(line);
        }
    }

    set_sink(Box::new(Sink));
    let stage = Stage::new();
    let script = "log.warn('low', 3, nil) print(ship ~= nil)";
    let chunk = stage
        .domain
        .lua()
        .load(script)
        .set_name("@scripts/enemy.lua#4");
    chunk.exec().unwrap();
    let lines = LINES.lock().unwrap();
    let ours: Vec<_> = lines.iter().filter(|line| line.contains("enemy")).collect();
    assert_eq!(
        ours,
        [
            "Warn scripts/enemy.lua low\t3\tnil",
            "Info scripts/enemy.lua true"
        ]
    );
}
