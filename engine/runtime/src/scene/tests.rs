use std::collections::{BTreeMap, HashMap, HashSet};

use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::hierarchy::{ChildOf, Children};
use engine_api::bevy_ecs::name::Name;
use engine_api::prelude::*;
use proptest::prelude::*;

use super::*;
use crate::checkpoint::tests::Game;
use crate::state;

#[derive(Component, Reflect, Default, Debug, PartialEq, Clone)]
#[reflect(Component, Default, @RenamedFrom("Boat"))]
#[type_path = "game"]
struct Ship {
    #[reflect(@RenamedFrom("hp"))]
    shields: u8,
    nose: Spot,
    target: Option<Entity>,
}
#[derive(Reflect, Debug, PartialEq, Clone)]
#[reflect(Default)]
#[type_path = "game"]
struct Spot {
    x: f32,
    y: f64,
}
impl Default for Spot {
    fn default() -> Self {
        Self { x: 0.5, y: 0.25 }
    }
}
#[derive(Component, Reflect, Debug, PartialEq, Clone)]
#[type_path = "game"]
struct Load(Vec<Cargo>, (i64, char));
#[derive(Reflect, Debug, PartialEq, Clone)]
#[type_path = "game"]
enum Cargo {
    Nothing,
    Gold(u128),
    Box { label: String, inside: Vec<Cargo> },
}
#[derive(Component, Reflect, Debug, PartialEq, Clone, Default)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Flag;
/// What a duration is made of, reflection does not say.
#[derive(Component, Reflect, Debug, PartialEq, Clone, Default)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Timer {
    wait: Duration,
}
#[derive(Resource, Reflect, Debug, PartialEq, Clone, Default)]
#[reflect(Default)]
#[type_path = "game"]
struct Score {
    points: i32,
    best: HashMap<String, [f32; 2]>,
    levels: BTreeMap<u32, bool>,
    seen: HashSet<u16>,
}

fn game(m: &mut ModuleBuilder) {
    m.component::<Ship>()
        .component::<Load>()
        .component::<Flag>()
        .component::<Timer>()
        .resource::<Score>();
}

fn save_all(game: &Game) -> String {
    let saved = save(&game.world, &game.book);
    assert_eq!(saved.lost, []);
    // It is RON for others as well.
    ron::from_str::<ron::Value>(&saved.text).unwrap();
    saved.text
}

const SCENE: &str = r#"(
    format: 1,
    resources: {
        "game::Score": (
            points: -12,
            best: {"a": [0.1, 1.0]},
            levels: {2: true, 10: false},
            seen: [],
        ),
    },
    entities: {
        "1": (
            name: "Ship",
            components: {
                "game::Ship": (shields: 3, nose: (x: 0.0, y: -1.5), target: Some("2")),
            },
        ),
        "2": (
            parent: "1",
            disabled: true,
            components: {
                "game::Flag": (),
                "game::Load": (
                    [
                        Nothing,
                        Gold(340282366920938463463374607431768211455),
                        Box(label: "a \"big\" one", inside: [Gold(3)]),
                    ],
                    (-9, 'x'),
                ),
                "game::Timer": (wait: (secs:1,nanos:5)),
            },
        ),
        "3": (),
    },
)
"#;

fn load_into(game: &mut Game, text: &str) -> Result<RestoreReport, SceneError> {
    load(text, &mut game.world, &mut game.book)
}

#[test]
fn a_scene_is_read_and_written_as_it_is() {
    let mut game = Game::new(game);
    game.world.spawn((Name::new("Stranger"), Flag));
    load_into(&mut game, SCENE).unwrap();
    let world = &mut game.world;
    let ship = world
        .query::<(Entity, &Ship, &Name)>()
        .single(world)
        .unwrap();
    let (entity, ship, name) = (ship.0, ship.1.clone(), ship.2.as_str());
    assert_eq!((ship.shields, name), (3, "Ship"));
    let child = ship.target.unwrap();
    assert_eq!(**world.get::<Children>(entity).unwrap(), [child]);
    assert!(world.get::<Disabled>(child).is_some());
    assert_eq!(world.get::<ChildOf>(child).unwrap().parent(), entity);
    assert_eq!(world.resource::<Score>().points, -12);
    assert_eq!(state::game_entities(world), 3);
    assert_eq!(save_all(&game), SCENE);
}

#[test]
fn people_may_write_less_and_otherwise() {
    let mut game = Game::new(game);
    game.world.resource_mut::<Score>().points = 7;
    let text = r#"
        // Comments, any names, old names, whole numbers for others, defaults.
        ( format: 1, entities: {
            "player": (components: {
                "game::Boat": Ship( hp: 0x0c, nose: (y: 2,), target: Some(Entity("other")) ),
            }),
            "other": (parent: Some("player"), name: None, components: {
                "game::Load": ([Gold(1_000), Box(label: r"c:\d", inside: [])], (1, '\u{e9}')),
            }), /* the last */
        })"#;
    load_into(&mut game, text).unwrap();
    let world = &mut game.world;
    let ship = world.query::<&Ship>().single(world).unwrap().clone();
    assert_eq!((ship.shields, ship.nose), (12, Spot { x: 0.5, y: 2.0 }));
    let load = world.get::<Load>(ship.target.unwrap()).unwrap();
    let label = "c:\\d".to_owned();
    let boxed = Cargo::Box {
        label,
        inside: vec![],
    };
    assert_eq!(*load, Load(vec![Cargo::Gold(1000), boxed], (1, 'é')));
    assert_eq!(world.resource::<Score>().points, 7, "it was not mentioned");
}

/// Components that are wrong, and what is said of them.
const WRONG: &[(&str, &str)] = &[
    (
        r#""game::Shipp": ()"#,
        "3:5: there is no component `game::Shipp`; did you mean `game::Ship`?",
    ),
    (
        r#""game::Ship": (sheilds: 1)"#,
        "3:20: there is no field `sheilds`; did you mean `shields`?",
    ),
    (
        r#""game::Ship": (shields: 256)"#,
        "3:29: a number from 0 to 255 was expected, not `256`",
    ),
    (
        r#""game::Ship": (shields: 1.5)"#,
        "3:29: a number from 0 to 255 was expected, not `1.5`",
    ),
    (
        r#""game::Ship": (nose: (x: "far"))"#,
        "3:30: a number was expected, not `\"far\"`",
    ),
    (
        r#""game::Ship": (nose: 3)"#,
        "3:26: a value of `game::Spot` was expected, not `3`",
    ),
    (
        r#""game::Ship": (shields: 1, hp: 2)"#,
        "3:32: field `shields` is there twice",
    ),
    (
        r#""game::Ship": (target: Some("b"))"#,
        "3:33: there is no entity `b`; did you mean `a`?",
    ),
    (
        r#""game::Ship": Boot()"#,
        "3:19: a value of `game::Ship` was expected, not `Boot()`",
    ),
    (
        r#""game::Load": ([Silver(1)], (1, 'a'))"#,
        "3:21: there is no variant of `game::Cargo` called `Silver`; there is `Nothing`, `Gold`, `Box`",
    ),
    (
        r#""game::Load": ([Box(label: "x")], (1, 'a'))"#,
        "3:21: field `inside` is missing, and there is no default value for it",
    ),
    (
        r#""game::Load": ([])"#,
        "3:19: field `1` is missing, and there is no default value for it",
    ),
    (
        r#""game::Load": ([], (1, 'a', 2))"#,
        "3:33: there are 3 fields of 2",
    ),
    (
        r#""game::Flag": (), "game::Flag": ()"#,
        "3:23: component `game::Flag` is there twice",
    ),
    (
        r#""game::Flag": () "game::Ship": ()"#,
        "3:22: `,` or `}` was expected here",
    ),
    ("game: ()", "3:5: names stand in quotes here"),
    (
        r#""game::Timer": (wait: 5)"#,
        "3:27: `wait` of `game::Timer`: Expected opening `(` for struct `Duration`",
    ),
];

#[test]
fn errors_have_line_and_column_and_change_nothing() {
    let mut game = Game::new(game);
    let before = game.world.spawn(Flag).id();
    let scene = |components: &str| {
        format!("(format: 1, entities: {{\n  \"a\": (components: {{\n    {components}\n  }}),\n}})")
    };
    let mut check = |text: &str, message: &str| {
        let error = load_into(&mut game, text).unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
        assert_eq!(state::game_entities(&game.world), 1);
        assert!(game.world.get::<Flag>(before).is_some());
    };
    for (components, message) in WRONG {
        check(&scene(components), message);
    }
    check("(format: 2)", "1:10: this engine reads scenes of format 1");
    check("()", "1:1: `format: 1` is missing");
    check(
        "(format: 1, entitys: {})",
        "1:13: there is no field `entitys`; did you mean `entities`?",
    );
    check(
        "(format: 1, resources: {\"game::Flag\": ()})",
        "1:25: there is no resource `game::Flag`; there is `game::Score`",
    );
    check(
        "(format: 1, entities: {\"a\": (), \"a\": ()})",
        "1:33: entity \"a\" is there twice",
    );
    check(
        "(format: 1, entities: {\"a\": (parent: \"b\"), \"b\": (parent: \"a\")})",
        "1:24: entity \"a\" is among its own parents",
    );
    check(
        "(format: 1, entities: {\"a\": (name: \"x)})",
        "1:36: this text has no end",
    );
    check("(format: 1) 2", "1:13: the end was expected here");
    check("", "1:1: a value was expected here, not the end");
}

#[test]
fn equal_worlds_give_equal_texts() {
    let score = || Score {
        best: (0..20).map(|n| (format!("p{n}"), [0.0, 1.0])).collect(),
        seen: (0..20).collect(),
        ..Score::default()
    };
    let make = || {
        let mut game = Game::new(game);
        game.world.insert_resource(score());
        save_all(&game)
    };
    assert_eq!(make(), make());
}

fn cargo() -> impl Strategy<Value = Cargo> {
    let leaf = prop_oneof![Just(Cargo::Nothing), any::<u128>().prop_map(Cargo::Gold)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let inside = prop::collection::vec(inner, 0..3);
        (any::<String>(), inside).prop_map(|(label, inside)| Cargo::Box { label, inside })
    })
}

type Made = (Option<String>, Option<Ship>, Option<Load>, usize);

fn made() -> impl Strategy<Value = Made> {
    let ship = (any::<u8>(), any::<f32>(), any::<f64>()).prop_map(|(shields, x, y)| Ship {
        shields,
        nose: Spot { x, y },
        target: None,
    });
    let load = (prop::collection::vec(cargo(), 0..4), any::<(i64, char)>());
    let load = load.prop_map(|(cargo, rest)| Load(cargo, rest));
    (
        prop::option::of(any::<String>()),
        prop::option::of(ship),
        prop::option::of(load),
        any::<usize>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_was_saved_loads_and_saves_as_it_was(all in prop::collection::vec(made(), 0..8)) {
        let mut before = Game::new(game);
        let mut entities: Vec<Entity> = Vec::new();
        for (name, ship, load, other) in all {
            let mut entity = before.world.spawn_empty();
            if let Some(name) = name {
                entity.insert(Name::new(name));
            }
            if let Some(mut ship) = ship {
                ship.target = entities.get(other % 9).copied();
                entity.insert(ship);
            }
            if let Some(load) = load {
                entity.insert(load);
            }
            if let Some(parent) = entities.get(other % 7) {
                entity.insert(ChildOf(*parent));
            }
            entities.push(entity.id());
        }
        let first = save_all(&before);
        let mut after = Game::new(game);
        after.world.spawn(Flag);
        load_into(&mut after, &first).unwrap();
        let second = save_all(&after);
        prop_assert_eq!(&first, &second);
        load_into(&mut before, &second).unwrap();
        prop_assert_eq!(&first, &save_all(&before));
    }

    #[test]
    fn damaged_text_does_no_harm(at in 0..SCENE.len(), byte in 0..128_u8) {
        let mut game = Game::new(game);
        let mut text = SCENE.as_bytes().to_vec();
        text[at] = byte;
        let text = String::from_utf8(text).unwrap();
        let _ = load_into(&mut game, &text);
        let _ = load_into(&mut game, &SCENE[..at]);
    }
}

#[derive(EntityEvent)]
struct Hurt(Entity);
fn on_hurt(_: On<Hurt>) {}

#[test]
fn observers_that_entities_have_are_their_names() {
    let mut game = Game::new(game);
    game.world.spawn(Name::new("Ship")).attach(on_hurt);
    let text = save_all(&game);
    let expected = r#""engine_api::attach::Attached": (["engine_runtime::scene::tests::on_hurt"])"#;
    assert!(text.contains(expected), "{text}");
    load_into(&mut game, &text).unwrap();
    assert_eq!(save_all(&game), text);
    // Names that nobody has yet may be written by hand.
    let by_hand = text.replace("on_hurt\"", "on_hurt\", \"game::on_end\"");
    load_into(&mut game, &by_hand).unwrap();
    let world = &mut game.world;
    let attached = world.query::<&Attached>().single(world).unwrap();
    assert!(attached.contains("game::on_end"));
}
