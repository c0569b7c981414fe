//! Tests of [`super`].

use bevy_ecs::query::Allow;
use bevy_ecs::system::{IntoSystem, RunSystemError, System, SystemParam};

use super::*;
use crate::module::ModuleDescription;
use crate::prelude::*;
use crate::state::StateKind;

crate::keep_static! {
    /// Documented.
    pub static BEST: u32 = 7;
    static NAMES: Vec<String> = vec!["first".to_owned()];
}

#[derive(Resource, Default)]
struct Seen(Vec<u32>);

#[derive(Reflect, Default)]
struct Wave {
    number: u32,
}

/// A world and a module that is loaded again and again.
struct Game {
    world: World,
    describe: fn(&mut ModuleBuilder),
}

impl Game {
    fn new(describe: fn(&mut ModuleBuilder)) -> Self {
        let mut world = World::new();
        declare(&mut world);
        world.init_resource::<Seen>();
        Self { world, describe }
    }

    /// Loads a new version, runs all its systems, and returns what they pushed.
    fn reload_and_run(&mut self) -> Vec<u32> {
        let mut description = describe(self.describe);
        for keep in &description.keeps {
            (keep.create)(&mut self.world);
        }
        for (_, config) in &mut description.systems {
            config.initialize(&mut self.world);
        }
        for (_, config) in &mut description.systems {
            config.system.run((), &mut self.world).unwrap();
        }
        std::mem::take(&mut self.world.resource_mut::<Seen>().0)
    }

    fn keys(&self) -> Vec<&str> {
        let key = |entity| self.world.get::<KeepKey>(entity).unwrap().as_str();
        let mut keys: Vec<_> = entities(&self.world).into_iter().map(key).collect();
        keys.sort_unstable();
        keys
    }
}

fn describe(build: fn(&mut ModuleBuilder)) -> ModuleDescription {
    let mut m = ModuleBuilder::new();
    build(&mut m);
    m.finish()
}

fn count(mut calls: Keep<u32>, mut seen: ResMut<Seen>) {
    *calls += 1;
    seen.0.push(*calls);
}

fn count_by_ten(mut calls: Keep<u32>, mut wave: Keep<Wave>, mut seen: ResMut<Seen>) {
    *calls += 10;
    wave.number += 1;
    seen.0.extend([*calls, wave.number]);
}

fn three(mut a: Keep<u32>, mut b: Keep<u32>, mut c: Keep<u32>, mut seen: ResMut<Seen>) {
    *a += 1;
    *b += 2;
    *c += 3;
    seen.0.extend([*a, *b, *c]);
}

#[test]
fn a_value_survives_a_reload() {
    let mut game = Game::new(|m| {
        m.systems(Update, count);
    });
    for expected in 1..4 {
        assert_eq!(game.reload_and_run(), [expected]);
    }
    assert_eq!(game.keys(), ["engine_api::keep::tests::count#0"]);
}

#[test]
fn systems_and_parameters_have_values_of_their_own() {
    let mut game = Game::new(|m| {
        m.systems(Update, (count, count_by_ten, three));
    });
    assert_eq!(game.reload_and_run(), [1, 10, 1, 1, 2, 3]);
    assert_eq!(game.reload_and_run(), [2, 20, 2, 2, 4, 6]);
    assert_eq!(game.keys().len(), 6);
}

#[test]
fn what_is_registered_twice_is_kept_twice() {
    let mut game = Game::new(|m| {
        m.systems(Update, (count, count)).systems(
            Render,
            (
                |mut calls: Keep<u32>, mut seen: ResMut<Seen>| {
                    *calls += 1;
                    seen.0.push(*calls);
                },
                |mut calls: Keep<u32>, mut seen: ResMut<Seen>| {
                    *calls += 2;
                    seen.0.push(*calls);
                },
            ),
        );
    });
    assert_eq!(game.reload_and_run(), [1, 1, 1, 2]);
    assert_eq!(game.reload_and_run(), [2, 2, 2, 4]);
    assert!(game.keys().contains(&"engine_api::keep::tests::count@2#0"));
}

#[test]
fn observers_keep_values() {
    #[derive(Event)]
    struct Hit;
    struct Open;
    impl crate::observer::CallGate for Open {
        fn enter(&self) -> bool {
            true
        }
        fn exit(&self, panic: Option<String>) {
            assert_eq!(panic, None);
        }
    }
    let mut game = Game::new(|m| {
        m.observe(|_: On<Hit>, mut hits: Keep<u32>, mut seen: ResMut<Seen>| {
            *hits += 1;
            seen.0.push(*hits);
        });
    });
    for expected in 1..3 {
        let observer = describe(game.describe).observers.pop().unwrap();
        let entity = (observer.spawn)(&mut game.world, std::sync::Arc::new(Open));
        game.world.trigger(Hit);
        assert_eq!(
            std::mem::take(&mut game.world.resource_mut::<Seen>().0),
            [expected]
        );
        game.world.despawn(entity);
    }
}

#[test]
fn another_type_begins_anew_and_the_old_value_stays() {
    let run = |world: &mut World, mut system: Box<dyn System<In = (), Out = u32>>| {
        naming("game::count", || system.initialize(world));
        system.run((), world).unwrap()
    };
    let first = |mut calls: Keep<u32>| {
        *calls += 1;
        *calls
    };
    let second = |mut calls: Keep<Wave>| {
        calls.number += 1;
        calls.number
    };
    let mut world = World::new();
    assert_eq!(run(&mut world, Box::new(IntoSystem::into_system(first))), 1);
    assert_eq!(
        run(&mut world, Box::new(IntoSystem::into_system(second))),
        1
    );
    assert_eq!(run(&mut world, Box::new(IntoSystem::into_system(first))), 2);
}

#[test]
fn queries_do_not_see_kept_values_unless_they_ask() {
    let mut game = Game::new(|m| {
        m.systems(Update, three).keep(&BEST);
    });
    let spawned = game.world.entities().count_spawned();
    game.reload_and_run();
    assert_eq!(game.world.entities().count_spawned(), spawned + 4);
    let world = &mut game.world;
    let everything = world.query_filtered::<Entity, Without<bevy_ecs::resource::IsResource>>();
    assert_eq!({ everything }.iter(world).count(), 0);
    assert_eq!(world.query::<&Kept<u32>>().iter(world).count(), 0);
    assert_eq!(
        world
            .query_filtered::<&Kept<u32>, With<KeepKey>>()
            .iter(world)
            .count(),
        4
    );
    assert_eq!(
        world
            .query_filtered::<&Kept<u32>, Allow<KeepKey>>()
            .iter(world)
            .count(),
        4
    );
}

#[test]
fn access_to_other_data_does_not_conflict_and_to_kept_values_does() {
    fn with_entities(_: Keep<u32>, _: Query<EntityMut, Without<bevy_ecs::resource::IsResource>>) {}
    fn with_kept(_: Keep<u32>, _: Query<&mut Kept<u32>>) {}
    fn with_keys(_: Keep<u32>, _: Query<&mut Kept<u32>, With<KeepKey>>) {}
    fn with_world(_: &World, _: Keep<u32>) {}
    fn with_another(_: Keep<u32>, _: Query<&Kept<Wave>, With<KeepKey>>) {}
    fn accepted<M>(system: impl IntoSystem<(), (), M> + 'static) -> bool {
        let mut world = World::new();
        declare(&mut world);
        let mut system = IntoSystem::into_system(system);
        let initialize = || naming("s", || system.initialize(&mut world));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(initialize)).is_ok()
    }
    assert!(accepted(with_entities));
    assert!(accepted(with_kept));
    assert!(accepted(with_another));
    assert!(!accepted(with_keys));
    assert!(!accepted(with_world));
    // A panic leaves no name behind.
    assert!(next_key(TypeId::of::<u32>()).is_err());
}

#[test]
fn many_of_one_type_are_accepted_up_to_the_limit() {
    #[derive(SystemParam)]
    struct Eight<'w> {
        a: (Keep<'w, u8>, Keep<'w, u8>, Keep<'w, u8>, Keep<'w, u8>),
        b: (Keep<'w, u8>, Keep<'w, u8>, Keep<'w, u8>, Keep<'w, u8>),
    }
    fn full(mut a: Eight, _: Eight, _: Eight, mut d: Eight) -> u8 {
        *a.a.0 += 1;
        *d.b.3 += 2;
        *a.a.0 + *d.b.3
    }
    fn over(_: Eight, _: Eight, _: Eight, _: Eight, _: Keep<u8>) {}
    let mut world = World::new();
    let mut system = IntoSystem::into_system(full);
    naming("full", || system.initialize(&mut world));
    assert_eq!(system.run((), &mut world).unwrap(), 3);
    assert_eq!(entities(&world).len(), KEEPS_PER_TYPE);
    let mut system = IntoSystem::into_system(over);
    naming("over", || system.initialize(&mut world));
    let failed = system.run((), &mut world).unwrap_err();
    assert!(failed.to_string().contains("more than 32"), "{failed}");
}

#[test]
fn a_nameless_system_and_a_despawned_value_are_errors() {
    let mut world = World::new();
    world.init_resource::<Seen>();
    let mut system = IntoSystem::into_system(count);
    system.initialize(&mut world);
    let failed = system.run((), &mut world).unwrap_err();
    assert!(matches!(failed, RunSystemError::Failed(_)));
    assert!(
        failed.to_string().contains("that a module registers"),
        "{failed}"
    );

    let mut system = IntoSystem::into_system(count);
    naming("game::count", || system.initialize(&mut world));
    system.run((), &mut world).unwrap();
    let [entity] = entities(&world)[..] else {
        panic!("one value")
    };
    world.entity_mut(entity).remove::<KeepKey>();
    assert!(system.run((), &mut world).is_err());
    world.despawn(entity);
    let failed = system.run((), &mut world).unwrap_err();
    assert!(failed.to_string().contains("despawned"), "{failed}");
}

#[test]
fn a_world_that_asks_learns_which_types_are_kept() {
    let mut game = Game::new(|m| {
        m.systems(Update, (count, count_by_ten, three));
    });
    game.world.init_resource::<KeptTypes>();
    game.reload_and_run();
    let types = game.world.remove_resource::<KeptTypes>().unwrap().0;
    let paths: Vec<_> = types.iter().map(|ty| ty.schema.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "engine_api::keep::Kept<u32>",
            "engine_api::keep::Kept<engine_api::keep::tests::Wave>"
        ]
    );
    assert!(types.iter().all(|ty| ty.kind == StateKind::Component));
    assert_eq!(types[0].stored, TypeId::of::<Kept<u32>>());
}

#[test]
fn statics_live_in_the_world() {
    let mut game = Game::new(|m| {
        m.keep(&BEST).keep(&NAMES);
    });
    assert_eq!(*BEST.get(&game.world), 7);
    game.reload_and_run();
    assert_eq!(
        game.keys(),
        [
            "engine_api::keep::tests::BEST",
            "engine_api::keep::tests::NAMES"
        ]
    );
    *BEST.get_mut(&mut game.world) += 1;
    NAMES.get_mut(&mut game.world).push("second".to_owned());
    game.reload_and_run();
    assert_eq!(*BEST.get(&game.world), 8);
    assert_eq!(NAMES.get(&game.world), &["first", "second"]);
    assert_eq!(*BEST.get(&World::new()), 7);
    assert_eq!(*BEST.get_mut(&mut World::new()), 7);
    assert_eq!(game.keys().len(), 2);
}

#[test]
fn a_static_is_registered_once_with_its_type() {
    let description = describe(|m| {
        m.keep(&BEST).keep(&BEST);
    });
    assert_eq!(description.keeps.len(), 1);
    assert_eq!(description.types.len(), 1);
    assert_eq!(
        description.errors,
        ["`engine_api::keep::tests::BEST` is registered twice; remove one `keep`"]
    );
}
