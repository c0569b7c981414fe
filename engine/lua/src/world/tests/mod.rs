//! The world from scripts, each in a world of its own.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use engine_api::bevy_ecs;
use engine_api::bevy_ecs::component::Component;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::event::Event;
use engine_api::bevy_ecs::message::{Message, Messages};
use engine_api::bevy_ecs::observer::On;
use engine_api::bevy_ecs::query::Changed;
use engine_api::bevy_ecs::reflect::ReflectComponent;
use engine_api::bevy_ecs::resource::Resource;
use engine_api::bevy_ecs::system::{Commands, ResMut};
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

mod access;
mod columns;
mod globals;
mod messages;
mod queries;
mod relations;
mod reloads;
mod values;

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

/// An enum whose variants have no fields, as a component and as a field.
#[derive(Component, Reflect, Default, Debug, Clone, PartialEq)]
#[reflect(Component, Default)]
#[type_path = "game"]
enum Alarm {
    #[default]
    Green,
    Yellow = 7,
    Red,
}

#[derive(Component, Reflect, Default, Debug, Clone)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Guard {
    tired: u32,
    alarm: Alarm,
}

/// An event that scripts use.
#[derive(Event, Reflect, Default, Debug, Clone, PartialEq)]
#[reflect(Default)]
#[type_path = "game"]
struct Blast {
    power: u32,
    at: Option<Entity>,
}

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
        StateType::component::<Alarm>(),
        StateType::component::<Guard>(),
        StateType::resource::<Score>(),
        StateType::resource::<Missing>(),
        StateType::message::<Hit>(),
        StateType::event::<Won>(),
        StateType::reflected_event::<Blast>(),
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
        let done = enter(world, || run_outside(domain, script));
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
