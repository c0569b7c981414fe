use std::time::Duration;

use engine_api::bevy_ecs::component::ComponentCloneBehavior;
use engine_api::bevy_ecs::lifecycle::HookContext;
use engine_api::bevy_ecs::world::DeferredWorld;
use engine_api::prelude::*;

use super::references::would_go;
use super::*;
use crate::testing::{Build, describe};

const KEY: VersionKey = VersionKey {
    id: 0x7000_0960,
    number: 1,
};
const OTHER: VersionKey = VersionKey {
    id: 0x7000_0961,
    number: 2,
};

macro_rules! components {
    ($($(#[$attribute:meta])* $name:ident($field:ty);)+) => {$(
        #[derive(Component, Reflect, Default)]
        #[reflect(Component, Default)]
        #[type_path = "game"]
        $(#[$attribute])*
        struct $name($field);
    )+};
}
components! {
    Plain(u32);
    Owned(String);
    Borrowed(&'static str);
    Waiting(Duration);
    #[component(on_add = hook)]
    Hooked(u32);
    #[require(Plain)]
    Needy(u32);
    #[derive(Clone)]
    Cloned(u32);
    Marker(());
}
fn hook(_: DeferredWorld, _: HookContext) {}

#[derive(Resource, Reflect, Default)]
#[type_path = "game"]
struct Title(&'static str);
#[derive(Resource, Reflect, Default)]
struct Score(u32);
#[derive(Message, Reflect)]
struct Hit(u32);

/// A world and a book after `KEY` brought what `build` registers and `fill` ran.
fn world_of(build: Build, fill: fn(&mut World)) -> (World, StateBook) {
    let (mut world, mut book) = (World::new(), StateBook::default());
    declare_engine_types(&mut world);
    let known = world.components().num_registered();
    let description = describe(build);
    for state in &description.types {
        (state.declare)(&mut world);
        (state.initialize)(&mut world);
    }
    fill(&mut world);
    let types: Vec<_> = description
        .types
        .into_iter()
        .map(|state| (KeptType::of(&state), state))
        .map(|(kept, state)| (state, kept))
        .collect();
    book.adopt(
        &[("game".to_owned(), (0..types.len()).collect())],
        &types,
        &[],
    );
    book.attribute(&world, known, "game", KEY);
    (world, book)
}

/// Drop and clone functions of all types that are not the engine's.
fn game_functions(world: &World) -> Vec<usize> {
    let engine = engine_types(&mut World::new());
    let infos = world.components().iter_registered();
    infos
        .filter(|(_, info)| info.type_id().is_some_and(|id| !engine.contains(&id)))
        .flat_map(|(_, info)| {
            let clone = match info.clone_behavior() {
                ComponentCloneBehavior::Custom(clone) => Some(*clone as usize),
                _ => None,
            };
            [info.drop().map(|drop| drop as usize), clone]
        })
        .flatten()
        .collect()
}

#[test]
fn guesses_keep_no_world_from_being_rebuilt_where_a_proof_decides() {
    let build: Build = |m| {
        m.component::<Owned>().component::<Borrowed>();
    };
    let check = |fill: fn(&mut World), expected: [bool; 2]| {
        let (world, book) = world_of(build, fill);
        let functions = game_functions(&world);
        let inside = |address| functions.contains(&address);
        let reasons = book.references(&world, "game", KEY, &inside);
        let found = [false, true].map(|is_proven| would_go(&reasons, is_proven));
        assert_eq!(found, expected, "{reasons:?}");
    };
    check(|_| {}, [true, true]);
    let guess = |world: &mut World| {
        world.spawn(Borrowed("a"));
    };
    check(guess, [false, true]);
    let certain = |world: &mut World| {
        world.spawn(Owned(String::new()));
    };
    check(certain, [false, false]);
    // Guesses alone are nothing that a rebuild helps against.
    let (world, book) = world_of(build, guess);
    let reasons = book.references(&world, "game", KEY, &|_| false);
    assert!(!reasons.is_empty() && !would_go(&reasons, true));
}

#[test]
fn what_refers_to_a_version_is_named() {
    /// `mine`: the world's functions lie in this version's image.
    fn check(build: Build, fill: fn(&mut World), mine: bool, expected: &[&str]) {
        let (world, book) = world_of(build, fill);
        let functions = game_functions(&world);
        let inside = |address| mine && functions.contains(&address);
        let references = |module, key, inside: &dyn Fn(usize) -> bool| {
            let reasons = book.references(&world, module, key, inside).into_iter();
            reasons.map(|reason| reason.text).collect::<Vec<_>>()
        };
        assert_eq!(references("game", KEY, &inside), expected);
        let reasons = book.references(&world, "game", KEY, &inside);
        let without_values = |reason: &&str| reason.contains("(no values left)");
        let all = !expected.is_empty() && expected.iter().all(without_values);
        assert_eq!(would_go(&reasons, false), all, "{expected:?}");
        // Whoever did not bring the types is held by drop functions and values only.
        // Values of a module never hold another module's code.
        let of_other_module = references("other module", OTHER, &|_| false);
        assert_eq!(of_other_module, Vec::<String>::new());
        let of_another = references("game", OTHER, &|_| false);
        let values = expected
            .iter()
            .filter(|reason| reason.contains("may refer to its code"));
        assert_eq!(of_another, values.copied().collect::<Vec<_>>());
    }
    let plain: Build = |m| {
        m.component::<Plain>()
            .component::<Waiting>()
            .component::<Marker>();
    };
    let spawn_plain = |world: &mut World| {
        world.spawn((
            Plain(1),
            Waiting(Duration::ZERO),
            Name::new("a"),
            Marker(()),
        ));
    };
    check(plain, |_| {}, true, &[]);
    check(plain, spawn_plain, false, &[]);

    let owned: Build = |m| {
        m.component::<Owned>();
    };
    let drops = "type `game::Owned` (no values left): its drop function is in the component table";
    check(owned, |_| {}, true, &[drops]);
    check(owned, |_| {}, false, &[]);

    let hooked: Build = |m| {
        m.component::<Hooked>();
    };
    let hooks = "type `game::Hooked` (no values left): its hooks are in the component table";
    check(hooked, |_| {}, false, &[hooks]);

    let cloned: Build = |m| {
        m.component::<Cloned>();
    };
    let clone =
        "type `game::Cloned` (no values left): its clone function is in the component table";
    check(cloned, |_| {}, true, &[clone]);
    check(cloned, |_| {}, false, &[]);

    let requires: Build = |m| {
        m.component::<Needy>().component::<Plain>();
    };
    let needs = "type `game::Needy` (no values left): constructors of the components it requires are in the \
                 component table";
    check(requires, |_| {}, false, &[needs]);

    let borrowed: Build = |m| {
        m.component::<Borrowed>().resource::<Title>();
    };
    let text = "type `game::Borrowed`: 2 values with &str may refer to its code";
    let title = "type `game::Title`: 1 values with &str may refer to its code";
    // A resource requires what marks its entity as one.
    let needs = "type `game::Title` (1 value): constructors of the components it requires are in the \
                 component table";
    check(borrowed, |_| {}, false, &[needs, title]);
    let spawn_borrowed = |world: &mut World| {
        world.spawn(Borrowed("a"));
        world.spawn(Borrowed("b"));
    };
    check(borrowed, spawn_borrowed, false, &[text, needs, title]);

    let nothing: Build = |_| {};
    let unknown = "unregistered type of 4 bytes: 1 values that nothing is known of";
    check(
        nothing,
        |world| {
            world.spawn(Plain(1));
        },
        false,
        &[unknown],
    );
    let register = |world: &mut World| {
        world.register_component::<Plain>();
    };
    check(nothing, register, false, &[]);
    check(
        nothing,
        |world| {
            world.spawn(Marker(()));
        },
        false,
        &[],
    );
}

#[test]
fn unknown_values_are_those_of_the_module_that_nobody_registered() {
    let check = |build: Build, fill: fn(&mut World), expected: Option<&str>| {
        let (world, book) = world_of(build, fill);
        assert_eq!(book.unknown_values(&world, "other"), None);
        let found = book.unknown_values(&world, "game");
        let fits = match (&found, expected) {
            (Some(found), Some(expected)) => found.contains(expected),
            (found, expected) => found.is_none() && expected.is_none(),
        };
        assert!(fits, "{found:?}, not {expected:?}");
    };
    check(
        |_| {},
        |world| {
            world.spawn(Plain(1));
        },
        Some("1 values of a component of 4 bytes"),
    );
    check(
        |_| {},
        |world| world.insert_resource(Score(1)),
        Some("1 values of a component of 4"),
    );
    check(
        |_| {},
        |world| {
            world.spawn(Marker(()));
        },
        None,
    );
    check(
        |_| {},
        |world| {
            world.spawn(Name::new("of the engine"));
        },
        None,
    );
    check(
        |m| {
            m.component::<Plain>().resource::<Score>();
        },
        |world| {
            world.spawn(Plain(1));
        },
        None,
    );
}

#[test]
fn systems_that_use_what_is_not_registered_are_named() {
    fn uses_component(_: Query<&Plain>) {}
    fn filters(_: Query<Entity, With<Plain>>) {}
    fn uses_resource(_: Option<Res<Score>>) {}
    fn uses_message(_: MessageReader<Hit>) {}
    fn harmless(
        _: Query<(&Name, Has<Marker>)>,
        _: Res<Time>,
        _: Res<Input>,
        _: ResMut<Viewport>,
        _: Commands,
        _: Local<String>,
        _: Query<&ChildOf>,
    ) {
    }
    let check = |build: Build, expected: Option<&str>| {
        let result = check_registrations(describe(build));
        match (&result, expected) {
            (Ok(_), None) => {}
            (Err(error), Some(name)) => {
                assert!(error.contains(&format!("::{name}`")), "{error}");
                assert!(error.contains("m.component::<T>()"), "{error}");
            }
            _ => panic!("{:?}, not {expected:?}", result.err()),
        }
    };
    check(
        |m| {
            m.systems(Update, (harmless, uses_component));
        },
        Some("uses_component"),
    );
    check(
        |m| {
            m.systems(Update, filters);
        },
        Some("filters"),
    );
    check(
        |m| {
            m.systems(Render, uses_resource);
        },
        Some("uses_resource"),
    );
    check(
        |m| {
            m.systems(Update, uses_message);
        },
        Some("uses_message"),
    );
    let condition = |m: &mut ModuleBuilder| {
        m.systems(Update, harmless.run_if(resource_exists::<Score>));
    };
    check(condition, Some("harmless"));
    check(
        |m| {
            m.component::<Plain>()
                .resource::<Score>()
                .message::<Hit>()
                .systems(
                    Update,
                    (
                        harmless,
                        uses_component,
                        filters,
                        uses_resource,
                        uses_message,
                    ),
                );
        },
        None,
    );
}

#[test]
fn a_type_that_a_version_leaves_out_stays_known() {
    let (_, mut book) = world_of(
        |m| {
            m.component::<Plain>();
        },
        |_| {},
    );
    book.adopt(&[("game".to_owned(), Vec::new())], &[], &[]);
    let plain = describe(|m| {
        m.component::<Plain>();
    })
    .types;
    for module in ["game", "other"] {
        let changes = book.compare(&[module], plain.iter());
        assert_eq!(changes, Ok(vec![Change::Same]), "{module}");
    }
    let names: Vec<_> = book.names().map(|(kind, _, name)| (kind, name)).collect();
    assert_eq!(names, [(StateKind::Component, "Plain")]);
}

#[test]
fn game_entities_are_neither_resources_nor_observers() {
    let mut world = World::new();
    declare_engine_types(&mut world);
    world.insert_resource(Score(1));
    world.add_observer(|_: On<Add<Plain>>| {});
    world.flush();
    assert_eq!(game_entities(&world), 0);
    world.spawn_batch([Plain(1), Plain(2)]);
    let marker = world.spawn(Marker(())).id();
    assert_eq!(game_entities(&world), 3);
    world.despawn(marker);
    let plain = world.components().get_id(TypeId::of::<Plain>()).unwrap();
    assert_eq!(live_counts(&world).get(&plain), Some(&2));
    assert_eq!(game_entities(&world), 2);
}
