use std::any::TypeId;

use engine_api::bevy_ecs::component::ComponentId;
use engine_api::bevy_ecs::observer::Observer;
use engine_api::bevy_ecs::resource::IsResource;
use engine_api::prelude::*;
use engine_api::schema::Schema;

use super::*;
use crate::state;
use crate::state::references::would_go;
use crate::testing::{Build, describe, some_code};

mod attached;
mod callbacks;
mod component_hooks;
mod entrances;
mod together;
mod types;

#[derive(Component, Reflect, Default, Debug, PartialEq, Clone, Copy)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Health {
    points: u32,
}
#[derive(Resource, Reflect, Default)]
#[type_path = "game"]
struct Score {
    points: u32,
}
#[derive(Resource, Reflect, Default)]
struct Extra {
    points: u32,
}
#[derive(Resource, Reflect)]
struct Hopeless {
    points: u32,
}
impl Default for Hopeless {
    fn default() -> Self {
        panic!("there is no first value")
    }
}
#[derive(Message, Reflect)]
#[type_path = "game"]
struct Hit {
    points: u32,
}
#[derive(Event, TypePath)]
struct Ping;
#[derive(Component)]
struct Unregistered(#[expect(dead_code, reason = "it only needs a size")] u32);
/// What ran, in order.
#[derive(Resource, Reflect, Default)]
struct Journal(Vec<String>);

/// Types that go and come back.
mod returning;

/// Types of the same paths, as another version could have them.
mod other {
    use engine_api::prelude::*;
    #[derive(Component, Reflect, Default)]
    #[reflect(Component, Default)]
    #[type_path = "game"]
    pub(super) struct Health {
        pub(super) points: f32,
    }
    #[derive(Resource, Reflect)]
    #[reflect(Default)]
    #[type_path = "game"]
    pub(super) struct Score {
        pub(super) points: u32,
        pub(super) lives: u32,
    }
    impl Default for Score {
        fn default() -> Self {
            Self {
                points: 0,
                lives: 3,
            }
        }
    }
    #[derive(Message, Reflect, Default)]
    #[reflect(Default)]
    #[type_path = "game"]
    pub(super) struct Hit {
        damage: u32,
    }
    #[derive(Component, Reflect, Default)]
    #[reflect(Component, Default)]
    #[type_path = "game"]
    #[type_name = "Health"]
    pub(super) struct Narrow {
        points: u8,
    }
    pub(super) mod same {
        use engine_api::prelude::*;
        #[derive(Component, Reflect, Default)]
        #[reflect(Component, Default)]
        #[type_path = "game"]
        pub(in super::super) struct Health {
            pub(in super::super) points: u32,
        }
    }
}

fn say(text: &'static str) -> impl Fn(ResMut<Journal>) + Copy {
    move |mut journal: ResMut<Journal>| journal.0.push(text.to_owned())
}
fn tick(mut journal: ResMut<Journal>) {
    journal.0.push("tick".to_owned());
}
fn one_pings(_: On<Ping>, mut journal: ResMut<Journal>) {
    journal.0.push("one hears".to_owned());
}
fn two_pings(_: On<Ping>, mut journal: ResMut<Journal>) {
    journal.0.push("two hears".to_owned());
}
fn ping_fails(_: On<Ping>) {
    panic!("deaf")
}
fn seen_changes(changed: Query<&Health, Changed<Health>>, mut journal: ResMut<Journal>) {
    let count = changed.iter().count();
    journal.0.push(format!("{count} changed"));
}

fn types(m: &mut ModuleBuilder) -> &mut ModuleBuilder {
    m.component::<Health>()
        .resource::<Score>()
        .message::<Hit>()
        .event::<Ping>()
        .resource::<Journal>()
}
fn one(m: &mut ModuleBuilder) {
    types(m)
        .systems(Startup, say("one starts"))
        .systems(Update, (say("one"), seen_changes))
        .every(Duration::from_millis(30), tick)
        .observe(one_pings)
        .function("version", || 1);
}
fn two(m: &mut ModuleBuilder) {
    types(m)
        .systems(Startup, say("two starts"))
        .systems(Update, (say("two"), seen_changes))
        .every(Duration::from_millis(30), tick)
        .observe(two_pings)
        .function("version", || 2)
        .function("more", || true);
}

/// A game without the machinery around it.
struct Game {
    world: World,
    book: StateBook,
    registry: Registry,
    modules: ActiveModules,
    faults: Vec<SystemFault>,
    /// What the last swap said of attached observers.
    unheard: Vec<String>,
}

impl Game {
    fn new() -> Self {
        panic::install_hook();
        let registry = Registry::default();
        registry.add_module("game", "fake");
        registry.add_module("other", "fake");
        let mut world = World::new();
        state::declare_engine_types(&mut world);
        world.insert_resource(Time::new(Duration::from_millis(10)));
        world.init_resource::<Input>();
        let (book, modules) = (StateBook::default(), ActiveModules::default());
        Self {
            world,
            book,
            registry,
            modules,
            faults: Vec::new(),
            unheard: Vec::new(),
        }
    }

    fn with(build: Build) -> Self {
        let mut game = Self::new();
        assert_eq!(game.swap("game", build), Ok(None));
        game
    }

    fn swap(&mut self, module: &str, build: Build) -> Result<Option<u32>, String> {
        self.swap_description(module, describe(build), build)
    }

    /// The number of the version before, or why there was no swap.
    fn swap_description(
        &mut self,
        module: &str,
        description: ModuleDescription,
        build: Build,
    ) -> Result<Option<u32>, String> {
        let prepared = self.prepare(module, description, build);
        let swapped = self.swap_group(vec![prepared]);
        let swapped = swapped.map_err(|refusal| refusal.message)?;
        Ok(swapped.versions[0].previous.map(|key| key.number))
    }

    /// Swaps versions of several modules together.
    fn swap_together(&mut self, group: &[(&str, Build)]) -> Result<Swapped, Refusal> {
        let prepare = |(module, build): &(&str, Build)| {
            let description = describe(*build);
            self.prepare(module, description, *build)
        };
        let group = group.iter().map(prepare).collect();
        self.swap_group(group)
    }

    fn prepare(
        &mut self,
        module: &str,
        mut description: ModuleDescription,
        build: Build,
    ) -> PreparedVersion {
        sort_description(&mut description).unwrap();
        let key = self.registry.reserve(module).unwrap();
        let names = function_names(&description);
        self.registry
            .set_loaded(module, key, "0.1.0", 1, some_code(), names);
        let kept = description.types.iter().map(KeptType::of).collect();
        PreparedVersion {
            module: module.to_owned(),
            key,
            description,
            kept,
            build: Arc::new(build),
            entrance: None,
        }
    }

    fn swap_group(&mut self, group: Vec<PreparedVersion>) -> Result<Swapped, Refusal> {
        let of = |version: &PreparedVersion| (version.module.clone(), version.key);
        let keys: Vec<(String, VersionKey)> = group.iter().map(of).collect();
        let (world, book) = (&mut self.world, &mut self.book);
        let swapped = self.modules.swap(group, world, book, &self.registry);
        for (module, key) in keys {
            if swapped.is_err() {
                self.registry.reject(&module, key);
            }
            assert_eq!(call::count_certainly(key.id), 0);
        }
        let mut swapped = swapped?;
        self.unheard = std::mem::take(&mut swapped.unheard);
        Ok(swapped)
    }

    fn frame(&mut self) -> Vec<String> {
        self.world.resource_mut::<Time>().advance(Duration::ZERO);
        for stage in [PreUpdate, Update, PostUpdate, Render] {
            self.modules.run(stage, &mut self.world, &mut self.faults);
        }
        self.modules.end_frame(&mut self.world, &mut self.faults);
        self.world.clear_trackers();
        self.journal()
    }

    fn ping(&mut self) -> Vec<String> {
        self.world.trigger(Ping);
        self.journal()
    }

    fn journal(&mut self) -> Vec<String> {
        std::mem::take(&mut self.world.resource_mut::<Journal>().0)
    }

    fn observers(&mut self) -> usize {
        self.world.query::<&Observer>().iter(&self.world).count()
    }

    /// All that a refused version must leave as it is.
    fn fingerprint(&mut self) -> impl PartialEq + std::fmt::Debug + use<> {
        let mut healths: Vec<(Entity, Health)> = Vec::new();
        let mut query = self.world.query::<(Entity, &Health)>();
        healths.extend(
            query
                .iter(&self.world)
                .map(|(entity, health)| (entity, *health)),
        );
        // A resource that was taken out leaves its bare entity, for the next value.
        let bare = self.world.components().get_id(TypeId::of::<IsResource>());
        let mut counts: Vec<(ComponentId, u64)> = state::live_counts(&self.world)
            .into_iter()
            .filter(|(component, _)| Some(*component) != bare)
            .collect();
        counts.sort();
        let version = self.modules.get("game").map(|active| active.key);
        (
            healths,
            counts,
            self.observers(),
            version,
            self.registry.active("game"),
        )
    }

    fn call(&mut self, function: &str) -> Result<Value, String> {
        let result = self
            .registry
            .call_with_world(&mut self.world, "game", function, &[]);
        result.map_err(|error| error.to_string())
    }
}

#[test]
fn the_next_version_takes_everything_over() {
    let mut game = Game::with(one);
    game.world.resource_mut::<Score>().points = 12;
    let entity = game.world.spawn(Health { points: 7 }).id();
    assert_eq!(game.frame(), ["one", "1 changed"]);
    assert_eq!(game.ping(), ["one hears"]);
    assert_eq!(game.call("version"), Ok(Value::Int(1)));
    let observers = game.observers();

    assert_eq!(game.swap("game", two), Ok(Some(1)));
    // What v1 saw as changed, v2 has seen, since the system is the same.
    assert_eq!(game.frame(), ["two", "0 changed"]);
    assert_eq!(game.ping(), ["two hears"]);
    assert_eq!(
        game.observers(),
        observers,
        "those of the old version are gone"
    );
    assert_eq!(game.call("version"), Ok(Value::Int(2)));
    assert_eq!(game.call("more"), Ok(Value::Bool(true)));
    assert_eq!(
        game.world.get::<Health>(entity),
        Some(&Health { points: 7 })
    );
    assert_eq!(game.world.resource::<Score>().points, 12);

    assert_eq!(game.swap("game", one), Ok(Some(2)));
    assert!(game.call("more").is_err());
    assert_eq!(game.faults, []);
}

#[test]
fn startup_runs_only_when_asked_for() {
    let mut game = Game::with(one);
    assert_eq!(game.frame(), ["one", "0 changed"]);
    let (world, faults) = (&mut game.world, &mut game.faults);
    game.modules.start("game", world, faults);
    game.modules.start("nobody", world, faults);
    assert_eq!(game.journal(), ["one starts"]);
}

#[test]
fn a_timer_goes_on_counting_through_a_swap() {
    // Frames of 10 ms, a timer of 30 ms that begins with the first frame.
    let ticks = |swap_after: &[u32]| -> Vec<u32> {
        let mut game = Game::with(one);
        let mut ticks = Vec::new();
        for frame in 1..=11 {
            if game.frame().contains(&"tick".to_owned()) {
                ticks.push(frame);
            }
            if swap_after.contains(&frame) {
                game.swap("game", two).unwrap();
            }
        }
        ticks
    };
    assert_eq!(ticks(&[]), [4, 7, 10]);
    assert_eq!(ticks(&[2]), [4, 7, 10]);
    assert_eq!(ticks(&[3, 4, 5, 9]), [4, 7, 10]);
}

/// A value whose drop panics.
#[derive(Message, Reflect)]
struct Bomb;
impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("it went off");
    }
}

#[test]
fn a_message_that_panics_while_it_is_dropped_is_a_fault() {
    fn armed(m: &mut ModuleBuilder) {
        one(m);
        m.message::<Bomb>();
    }
    let mut game = Game::with(armed);
    game.world.write_message(Bomb);
    for _ in 0..3 {
        game.frame();
    }
    let [SystemFault::Failed { message, .. }] = &game.faults[..] else {
        panic!("{:?}", game.faults)
    };
    assert!(message.ends_with("it went off"), "{message}");
}

#[test]
fn commands_of_a_call_are_part_of_it() {
    fn deferring(m: &mut ModuleBuilder) {
        one(m);
        m.function("spawns", |world: &mut World| {
            world.commands().spawn(Health { points: 1 });
        });
        m.function("fails", |world: &mut World| {
            world.commands().queue(|_: &mut World| panic!("late"));
        });
    }
    let mut game = Game::with(deferring);
    game.call("spawns").unwrap();
    assert_eq!(game.world.query::<&Health>().iter(&game.world).count(), 1);
    let error = game.call("fails").unwrap_err();
    assert!(error.contains("late"), "{error}");
    assert_eq!(game.call("version"), Ok(Value::Int(1)));
}

#[test]
fn messages_live_for_two_frames_with_or_without_a_swap() {
    let lifetime = |swap_after: Option<u32>| {
        let mut game = Game::with(one);
        game.world.write_message(Hit { points: 1 });
        (1..10).find(|frame| {
            game.frame();
            if swap_after == Some(*frame) {
                game.swap("game", two).unwrap();
            }
            game.world.resource::<Messages<Hit>>().is_empty()
        })
    };
    assert_eq!(lifetime(None), Some(2));
    assert_eq!(lifetime(Some(1)), Some(2));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    fn health(m: &mut ModuleBuilder) {
        m.component::<other::Narrow>()
            .systems(Update, say("refused"));
    }
    let check = |module: &str, build: Build, expected: &str| {
        let mut game = Game::with(one);
        game.world.spawn(Health { points: 700 });
        game.frame();
        let before = game.fingerprint();
        let error = game.swap(module, build).unwrap_err();
        assert!(error.contains(expected), "`{error}` lacks `{expected}`");
        assert_eq!(game.fingerprint(), before, "{expected}");
        assert!(!game.world.contains_resource::<Extra>());
        assert_eq!(game.frame(), ["one", "0 changed"]);
        assert_eq!(game.ping(), ["one hears"]);
        assert_eq!(game.call("version"), Ok(Value::Int(1)));
        assert_eq!(
            game.swap("game", two),
            Ok(Some(1)),
            "a version that fits still gets in"
        );
    };
    check("game", health, "component `game::Health` of entity");
    check("game", health, "field `points`: `700` does not fit `u8`");
    check(
        "other",
        health,
        "component `game::Health` is used by module `game` as well, which has it from another build",
    );
}

#[test]
fn values_follow_the_types_of_the_next_version() {
    fn changed(m: &mut ModuleBuilder) {
        m.component::<other::Health>()
            .resource::<other::Score>()
            .message::<other::Hit>()
            .resource::<Journal>()
            .event::<Ping>()
            .systems(
                Update,
                |healths: Query<&other::Health, Changed<other::Health>>,
                 mut journal: ResMut<Journal>| {
                    let points = healths.iter().map(|health| health.points.to_string());
                    journal.0.extend(points);
                },
            )
            .observe(two_pings);
    }
    let mut game = Game::with(one);
    game.world.resource_mut::<Score>().points = 12;
    let gone = game.world.spawn(Health { points: 1 }).id();
    let parent = game.world.spawn(Health { points: 7 }).id();
    let child = game
        .world
        .spawn((Health { points: 8 }, ChildOf(parent)))
        .id();
    game.world.despawn(gone);
    game.world.write_message(Hit { points: 5 });
    game.frame();
    let entities = state::game_entities(&game.world);

    assert_eq!(game.swap("game", changed), Ok(Some(1)));
    let health = game.world.get::<other::Health>(parent).unwrap();
    assert_eq!(health.points.to_string(), "7");
    assert_eq!(game.world.get::<Children>(parent).unwrap()[..], [child]);
    assert_eq!(state::game_entities(&game.world), entities);
    assert_eq!(game.observers(), 1);
    let score = game.world.resource::<other::Score>();
    assert_eq!((score.points, score.lives), (12, 3));
    // What the message had and has no place is kept; the message itself goes on.
    assert_eq!(game.world.resource::<Messages<other::Hit>>().len(), 1);
    let mut seen = game.frame();
    seen.sort();
    assert_eq!(seen, ["7", "8"], "another system has seen nothing yet");
    assert_eq!(game.ping(), ["two hears"]);
    assert!(!game.world.entities().contains(gone));
    let fresh = game.world.spawn_empty().id();
    assert!(![parent, child].contains(&fresh));

    assert_eq!(game.swap("game", one), Ok(Some(2)));
    assert_eq!(game.world.get(parent), Some(&Health { points: 7 }));
    assert_eq!(game.world.resource::<Score>().points, 12);
    // The field that went came back from limbo with the next version that has it.
    game.world.resource_mut::<Score>().points = 13;
    let limbo = game.book.limbo.fields();
    assert_eq!(limbo.len(), 2, "{limbo:?}");
    game.swap("game", changed).unwrap();
    assert_eq!(game.world.resource::<other::Score>().lives, 3);
    assert_eq!(game.faults, []);
}

#[test]
fn a_rebuild_takes_the_other_modules_along() {
    fn neighbour(m: &mut ModuleBuilder) {
        m.resource::<Extra>()
            .systems(Update, |mut extra: ResMut<Extra>| extra.points += 1)
            .every(Duration::from_millis(30), |mut extra: ResMut<Extra>| {
                extra.points += 100;
            });
    }
    fn changed(m: &mut ModuleBuilder) {
        m.component::<other::Health>().resource::<Journal>();
    }
    let mut game = Game::with(one);
    game.swap("other", neighbour).unwrap();
    game.world.spawn(Health { points: 1 });
    (0..2).for_each(|_| drop(game.frame()));
    assert_eq!(game.swap("game", changed), Ok(Some(1)));
    (0..2).for_each(|_| drop(game.frame()));
    // Four frames, the timer fired in the fourth as if nothing had happened.
    assert_eq!(game.world.resource::<Extra>().points, 104);
}

#[test]
fn a_rebuilt_world_does_not_know_types_that_only_an_old_version_had() {
    #[derive(Component)]
    struct Stray(#[expect(dead_code, reason = "it owns memory")] String);

    let mut game = Game::with(one);
    let entity = game.world.spawn(Health { points: 7 }).id();
    game.frame();
    let stray = game.world.spawn(Stray("gone".to_owned())).id();
    let key = game.registry.active("game").unwrap();
    let info = game.world.components().get_info(
        game.world
            .components()
            .get_id(TypeId::of::<Stray>())
            .unwrap(),
    );
    let drop_function = info.unwrap().drop().unwrap() as usize;
    let inside = |address| address == drop_function;
    let could_go = |game: &Game| {
        let reasons = game.book.references(&game.world, "game", key, &inside);
        would_go(&reasons, false)
    };
    assert!(!could_go(&game), "there is a value");
    game.world.despawn(stray);
    assert!(could_go(&game));
    let (world, book) = (&mut game.world, &mut game.book);
    let rebuilt = game.modules.rebuild(world, book, &game.registry);
    assert!(rebuilt.is_ok());
    let known = game.world.components().get_id(TypeId::of::<Stray>());
    assert_eq!(known, None);
    let left = game.book.references(&game.world, "game", key, &inside);
    assert_eq!(left, []);
    // The game goes on with the version that it had.
    assert_eq!(game.registry.active("game"), Some(key));
    assert_eq!(game.world.get(entity), Some(&Health { points: 7 }));
    assert_eq!(game.frame(), ["one", "0 changed"]);
    assert_eq!(game.ping(), ["one hears"]);
    assert_eq!(game.swap("game", two), Ok(Some(1)));
}

#[test]
fn a_version_that_fails_in_the_new_world_leaves_the_old_one() {
    fn failing(m: &mut ModuleBuilder) {
        m.component::<other::Health>().resource::<Hopeless>();
    }
    let mut game = Game::with(one);
    let entity = game.world.spawn(Health { points: 7 }).id();
    game.frame();
    let before = game.fingerprint();
    let error = game.swap("game", failing).unwrap_err();
    assert!(error.contains("there is no first value"), "{error}");
    assert_eq!(game.fingerprint(), before);
    assert_eq!(game.world.get(entity), Some(&Health { points: 7 }));
    assert_eq!(game.frame(), ["one", "0 changed"]);
    assert_eq!(game.ping(), ["one hears"]);
    let fresh = game.world.spawn_empty().id();
    assert_ne!(fresh, entity);
}

#[test]
fn a_type_of_another_identity_and_the_same_layout_moves() {
    fn identity(m: &mut ModuleBuilder) {
        m.component::<other::same::Health>().resource::<Journal>();
    }
    let mut game = Game::with(one);
    let entity = game.world.spawn(Health { points: 7 }).id();
    assert_eq!(game.swap("game", identity), Ok(Some(1)));
    let moved = game.world.get::<other::same::Health>(entity).unwrap();
    assert_eq!(moved.points, 7);
}

#[test]
fn what_panicked_stays_paused_in_a_rebuilt_world() {
    fn breaking(m: &mut ModuleBuilder) {
        types(m)
            .systems(Update, |mut journal: ResMut<Journal>| {
                journal.0.push("broken system".into());
                panic!("out of cheese");
            })
            .observe(|_: On<Ping>, mut journal: ResMut<Journal>| {
                journal.0.push("broken observer".into());
                panic!("out of crackers");
            });
    }
    let mut game = Game::with(breaking);
    assert_eq!(game.frame(), ["broken system"]);
    assert_eq!(game.ping(), ["broken observer"]);
    let (world, book) = (&mut game.world, &mut game.book);
    assert!(game.modules.rebuild(world, book, &game.registry).is_ok());
    assert_eq!(game.frame(), [""; 0]);
    assert_eq!(game.ping(), [""; 0]);
    // The next version of the module is another try.
    assert_eq!(game.swap("game", breaking), Ok(Some(1)));
    assert_eq!(game.frame(), ["broken system"]);
    assert_eq!(game.ping(), ["broken observer"]);
}

#[test]
fn values_that_nothing_is_known_of_keep_the_version() {
    fn secret(m: &mut ModuleBuilder) {
        types(m).systems(
            Update,
            |mut commands: Commands, all: Query<&Unregistered>| {
                if all.is_empty() {
                    commands.spawn(Unregistered(1));
                }
            },
        );
    }
    let mut game = Game::with(secret);
    assert_eq!(
        game.swap("game", secret),
        Ok(Some(1)),
        "there is no such value yet"
    );
    game.frame();
    let error = game.swap("game", one).unwrap_err();
    assert!(
        error.contains("the world holds 1 values of a component of 4 bytes"),
        "{error}"
    );
    let query = &mut game.world.query::<(Entity, &Unregistered)>();
    let entity = query.single(&game.world).unwrap().0;
    game.world.despawn(entity);
    assert_eq!(game.swap("game", one), Ok(Some(2)));
}

#[test]
fn a_panic_while_preparing_is_taken_back() {
    fn system(m: &mut ModuleBuilder) {
        types(m)
            .resource::<Extra>()
            .observe(two_pings)
            .systems(Update, |_: Query<&mut Health>, _: Query<&mut Health>| {});
    }
    fn resource(m: &mut ModuleBuilder) {
        types(m)
            .resource::<Extra>()
            .resource::<Hopeless>()
            .observe(two_pings);
    }
    fn observer(m: &mut ModuleBuilder) {
        types(m)
            .resource::<Extra>()
            .observe(two_pings)
            .observe(|_: On<Ping>, _: Query<&mut Health>, _: Query<&mut Health>| {});
    }
    let check = |build: Build, expected: &str| {
        let mut game = Game::with(one);
        game.world.spawn(Health { points: 700 });
        game.frame();
        let before = game.fingerprint();
        let error = game.swap("game", build).unwrap_err();
        let prefix = "it panicked while its systems were prepared: ";
        assert!(
            error.starts_with(prefix) && error.contains(expected),
            "{error}"
        );
        assert_eq!(game.fingerprint(), before, "{expected}");
        assert!(!game.world.contains_resource::<Extra>());
        assert_eq!(game.frame(), ["one", "0 changed"]);
        assert_eq!(game.ping(), ["one hears"]);
        assert_eq!(
            game.swap("game", two),
            Ok(Some(1)),
            "a version that fits still gets in"
        );
        assert_eq!(game.ping(), ["two hears"]);
    };
    check(system, "conflict");
    check(resource, "there is no first value");
    check(observer, "conflict");
}

#[test]
fn types_of_a_version_that_failed_are_remembered_if_the_world_learnt_them() {
    fn fails(m: &mut ModuleBuilder) {
        m.component::<Health>()
            .event::<Ping>()
            .resource::<Hopeless>();
    }
    let mut game = Game::new();
    assert!(
        game.swap("game", fails)
            .unwrap_err()
            .contains("there is no first value")
    );
    // The edit that repairs it also changes a field: the type keeps its identity, and
    // the world has already made columns of the old size for it.
    let mut description = describe(|m| {
        m.component::<Health>();
    });
    description.types[0].schema = Schema::of::<other::Health>();
    let world = game.world.id();
    assert_eq!(
        game.swap_description("game", description, one),
        Ok(None),
        "it gets in"
    );
    assert_ne!(game.world.id(), world, "in a world without those columns");
}

#[test]
fn a_panicking_observer_is_paused_until_the_next_version() {
    fn broken(m: &mut ModuleBuilder) {
        types(m).observe(ping_fails).observe(one_pings);
    }
    let mut game = Game::with(broken);
    assert_eq!(game.ping(), ["one hears"], "the others are called");
    assert_eq!(game.ping(), ["one hears"]);
    game.frame();
    let [SystemFault::Panicked { id, report }] = game.faults.as_slice() else {
        panic!("{:?}", game.faults)
    };
    assert_eq!(report.message, "deaf");
    let (_, version, name) = game.registry.name_call(*id).unwrap();
    assert!(version == 1 && name.ends_with("ping_fails"), "{name}");
    game.swap("game", broken).unwrap();
    game.ping();
    game.frame();
    assert_eq!(game.faults.len(), 2, "it got another chance");
}

#[test]
fn modules_keep_their_order_and_leave_newest_first() {
    fn second(m: &mut ModuleBuilder) {
        m.systems(Update, say("second")).observe(two_pings);
    }
    let mut game = Game::with(one);
    assert_eq!(game.swap("other", second), Ok(None));
    game.swap("game", two).unwrap();
    assert_eq!(game.frame(), ["two", "0 changed", "second"]);
    let timed: Vec<String> = game
        .modules
        .take_times()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(timed.len(), 5);
    game.modules.clear(&mut game.world);
    assert_eq!(game.observers(), 0);
    assert_eq!(game.frame(), Vec::<String>::new());
}

#[test]
fn a_cycle_is_refused_with_stage_and_names() {
    fn a() {}
    fn b() {}
    let mut description = describe(|m| {
        m.systems(Render, (a.after(b), b.after(a)));
    });
    let error = sort_description(&mut description).unwrap_err();
    assert!(
        error.contains("a cycle in Render") && error.contains("::a, "),
        "{error}"
    );
}

mod hooks {
    use super::*;

    /// Heap-owning state that hooks change.
    #[derive(Resource, Reflect, Default, Clone, PartialEq, Debug)]
    #[reflect(Default)]
    struct Diary(Vec<String>);

    fn say(world: &mut World, text: String) {
        world.resource_mut::<Diary>().0.push(text);
    }
    fn first(m: &mut ModuleBuilder) {
        types(m)
            .resource::<Diary>()
            .on_unload(|world: &mut World| world.resource::<Score>().points.to_le_bytes().to_vec())
            .on_load(|world: &mut World, old: Option<Unloaded>| {
                say(world, format!("first gets {old:?}"));
            })
            .observe(one_pings)
            .systems(Update, super::say("first"));
    }
    fn second(m: &mut ModuleBuilder) {
        types(m)
            .resource::<Diary>()
            .on_load(|world: &mut World, old: Option<Unloaded>| {
                let old = old.unwrap();
                say(world, format!("v{} left {:?}", old.version, old.bytes));
            })
            .after_reload(|world: &mut World, reload: Reload| {
                say(world, format!("{} to {}", reload.from, reload.to));
            });
    }
    fn refuses(m: &mut ModuleBuilder) {
        types(m)
            .resource::<Diary>()
            .on_load(|world: &mut World, _: Option<Unloaded>| {
                say(world, "never happened".repeat(100));
                world.resource_mut::<Score>().points = 99;
                let all: Vec<Entity> = world
                    .query_filtered::<Entity, With<Health>>()
                    .iter(world)
                    .collect();
                for entity in all {
                    assert!(world.despawn(entity));
                }
            })
            .after_reload(|_: &mut World, _: Reload| Err::<(), _>("not today"));
    }
    fn panics(m: &mut ModuleBuilder) {
        types(m)
            .resource::<Diary>()
            .on_load(|_: &mut World, _: Option<Unloaded>| -> () { panic!("out of luck") });
    }
    fn cannot_leave(m: &mut ModuleBuilder) {
        types(m)
            .resource::<Diary>()
            .on_unload(|_: &mut World| Err::<Vec<u8>, _>("I stay"));
    }

    #[test]
    fn bytes_go_from_one_version_to_the_next() {
        let mut game = Game::with(first);
        game.world.resource_mut::<Score>().points = 258;
        assert_eq!(game.swap("game", second), Ok(Some(1)));
        assert_eq!(
            game.world.resource::<Diary>().0,
            ["first gets None", "v1 left [2, 1, 0, 0]", "1 to 2"]
        );
    }

    #[test]
    fn a_hook_that_fails_refuses_the_version_and_puts_everything_back() {
        let mut game = Game::with(first);
        let parent = game
            .world
            .spawn((Health { points: 7 }, Name::new("Ann")))
            .id();
        let child = game
            .world
            .spawn((Health { points: 8 }, ChildOf(parent)))
            .id();
        game.frame();
        let before = (game.fingerprint(), game.world.resource::<Diary>().clone());
        let mut check = |build: Build, expected: &str| {
            let error = game.swap("game", build).unwrap_err();
            assert_eq!(error, expected);
            let after = (game.fingerprint(), game.world.resource::<Diary>().clone());
            assert!(before == after, "{before:?} became {after:?}");
            assert_eq!(game.world.get::<Children>(parent).unwrap()[..], [child]);
            assert_eq!(game.world.get::<Name>(parent).unwrap().as_str(), "Ann");
            assert_eq!(game.world.resource::<Score>().points, 0);
            assert_eq!(game.frame(), ["first"]);
            assert_eq!(game.ping(), ["one hears"]);
        };
        check(refuses, "its `after_reload` failed: not today");
        let place = concat!(file!(), ":");
        let mut game_error = String::new();
        if let Err(error) = game.swap("game", panics) {
            game_error = error;
        }
        assert!(
            game_error.starts_with(&format!("its `on_load` failed: {place}"))
                && game_error.ends_with("out of luck"),
            "{game_error}"
        );
        assert_eq!(game.swap("game", second), Ok(Some(1)), "the way is free");
    }

    #[derive(Resource, Reflect, Default)]
    #[reflect(Default)]
    #[type_path = "game"]
    struct Memoir(Vec<String>);

    /// The same as other code knows it, under another identity.
    mod moved {
        use super::*;

        #[derive(Resource, Reflect, Default)]
        #[reflect(Default)]
        #[type_path = "game"]
        pub struct Memoir(Vec<String>);

        pub fn refuses(m: &mut ModuleBuilder) {
            types(m)
                .resource::<Memoir>()
                .on_load(|world: &mut World, _: Option<Unloaded>| {
                    world.resource_mut::<Memoir>().0[0] = "never happened".to_owned();
                    Err::<(), _>("not today")
                });
        }
    }

    #[test]
    fn values_that_move_to_another_identity_are_put_back_as_well() {
        let mut game = Game::with(|m| {
            types(m).resource::<Memoir>();
        });
        let mine = vec!["mine".to_owned()];
        game.world.insert_resource(Memoir(mine.clone()));
        let error = game.swap("game", moved::refuses).unwrap_err();
        assert_eq!(error, "its `on_load` failed: not today");
        assert_eq!(game.world.resource::<Memoir>().0, mine);
    }

    #[test]
    fn a_version_that_cannot_be_unloaded_stays() {
        let mut game = Game::with(cannot_leave);
        assert_eq!(
            game.swap("game", first),
            Err("`on_unload` of v1 failed: I stay".to_owned())
        );
        assert_eq!(game.world.resource::<Diary>().0, Vec::<String>::new());
    }
}

mod kept {
    use super::*;

    engine_api::keep_static! {
        static ROUNDS: u32 = 5;
    }

    fn count(mut calls: Keep<u32>, mut journal: ResMut<Journal>) {
        *calls += 1;
        journal.0.push(calls.to_string());
    }
    fn counting(m: &mut ModuleBuilder) {
        types(m)
            .component::<engine_api::keep::Kept<u32>>()
            .keep(&ROUNDS)
            .systems(Update, count)
            .function("round", |world: &mut World| {
                let mut rounds = ROUNDS.get_mut(world);
                *rounds += 1;
                *rounds
            });
    }
    fn failing(m: &mut ModuleBuilder) {
        engine_api::keep_static! {
            static OTHER: u32 = 1;
        }
        counting(m);
        m.keep(&OTHER).resource::<Hopeless>();
    }

    #[test]
    fn kept_values_go_on_and_what_a_refused_version_kept_is_gone() {
        let mut game = Game::with(counting);
        assert_eq!(game.frame(), ["1"]);
        assert_eq!(game.call("round"), Ok(Value::Int(6)));
        let kept = engine_api::keep::entities(&game.world).len();
        assert_eq!(state::game_entities(&game.world), 0);
        assert!(game.swap("game", failing).is_err());
        assert_eq!(engine_api::keep::entities(&game.world).len(), kept);
        game.swap("game", counting).unwrap();
        assert_eq!(game.frame(), ["2"]);
        assert_eq!(game.call("round"), Ok(Value::Int(7)));
    }
}

mod shared {
    use super::*;

    mod first {
        use super::*;
        #[shared_state(version = 1)]
        #[repr(C)]
        #[derive(Clone, Copy, Default)]
        pub struct Stats {
            pub kills: u64,
        }
    }

    fn sharing(m: &mut ModuleBuilder) {
        types(m)
            .shared_state::<first::Stats>()
            .systems(Update, |mut stats: SharedMut<first::Stats>| {
                stats.kills += 1;
            })
            .function("kills", |world: &mut World| {
                engine_api::shared::get::<first::Stats>(world)
                    .unwrap()
                    .kills
            });
    }
    fn failing(m: &mut ModuleBuilder) {
        sharing(m);
        m.resource::<Hopeless>();
    }

    #[test]
    fn shared_structs_outlive_versions_and_hosts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shared");
        let begin = || {
            let mut game = Game::new();
            game.modules
                .share(SharedRegion::open_or_create(&path).unwrap());
            game
        };
        let mut game = begin();
        game.swap("game", sharing).unwrap();
        game.frame();
        assert!(game.swap("game", failing).is_err());
        game.swap("game", sharing).unwrap();
        game.frame();
        assert_eq!(game.call("kills"), Ok(Value::Int(2)));
        drop(game);
        let mut game = begin();
        game.swap("game", sharing).unwrap();
        assert_eq!(game.call("kills"), Ok(Value::Int(2)));
        let mut game = Game::new();
        let error = game.swap("game", sharing).unwrap_err();
        assert!(error.contains("no region for shared state"), "{error}");
    }
}

mod written {
    use super::*;

    /// What `game::Health` is made of in the tests above.
    #[derive(Reflect)]
    struct Points {
        points: u32,
    }
    /// A form between.
    #[derive(Reflect)]
    struct Halves {
        halves: u64,
    }
    #[derive(Component, Reflect, Default, Debug, PartialEq)]
    #[reflect(Component, Default)]
    #[type_path = "game"]
    #[type_name = "Health"]
    struct Share {
        share: f32,
    }
    #[derive(Reflect)]
    struct Stranger {
        points: i8,
    }

    fn halves(old: Points) -> Halves {
        Halves {
            halves: u64::from(old.points) * 2,
        }
    }
    fn share(old: Halves) -> Result<Share, String> {
        if old.halves > 200 {
            return Err(format!("{} is over 200", old.halves));
        }
        Ok(Share {
            share: old.halves as f32 / 200.0,
        })
    }
    fn chained(m: &mut ModuleBuilder) {
        m.component::<Share>()
            .resource::<Journal>()
            .try_migrate(share)
            .migrate(halves);
    }
    fn reflected(m: &mut ModuleBuilder) {
        m.component::<Share>()
            .resource::<Journal>()
            .migrate_reflected(&[("points", "u32")], |old: &dyn PartialReflect| {
                let old = old.reflect_ref().as_struct().unwrap();
                let points = old.field("points").unwrap().try_downcast_ref::<u32>();
                Ok::<_, String>(Share {
                    share: *points.unwrap() as f32,
                })
            });
    }
    fn misfit(m: &mut ModuleBuilder) {
        m.component::<Share>().migrate(|old: Stranger| Share {
            share: f32::from(old.points),
        });
    }
    fn misfit_fields(m: &mut ModuleBuilder) {
        m.component::<Share>()
            .migrate_reflected(&[("lives", "u32")], |_: &dyn PartialReflect| {
                Ok::<_, String>(Share { share: 0.0 })
            });
    }

    #[test]
    fn functions_carry_values_over_step_by_step() {
        let check = |build: Build, expected: f32| {
            let mut game = Game::with(one);
            let entity = game.world.spawn(Health { points: 50 }).id();
            assert_eq!(game.swap("game", build), Ok(Some(1)));
            let found = game.world.get::<Share>(entity).unwrap();
            assert_eq!(*found, Share { share: expected });
        };
        check(chained, 0.5);
        check(reflected, 50.0);
    }

    #[test]
    fn what_a_function_refuses_or_does_not_expect_refuses_the_version() {
        let check = |build: Build, points: u32, expected: &str| {
            let mut game = Game::with(one);
            let entity = game.world.spawn(Health { points }).id();
            let error = game.swap("game", build).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert_eq!(game.world.get(entity), Some(&Health { points }));
        };
        check(chained, 101, "202 is over 200");
        check(
            misfit,
            1,
            "field `points` is `u32`, not `i8`; correct what it expects",
        );
        check(misfit_fields, 1, "it has no field `lives`");
    }
}

#[test]
fn observers_that_systems_add_pin_versions_and_do_not_move() {
    fn changed(m: &mut ModuleBuilder) {
        m.component::<other::Health>().resource::<Journal>();
    }
    let mut game = Game::with(one);
    game.world.spawn(Health { points: 7 });
    assert_eq!(game.modules.foreign_observers(&game.world), 0);
    game.world.add_observer(|_: On<Ping>| {});
    game.world.flush();
    assert_eq!(game.modules.foreign_observers(&game.world), 1);
    game.swap("game", two).unwrap();
    assert_eq!(game.modules.foreign_observers(&game.world), 1);
    game.swap("game", changed).unwrap();
    assert_eq!(game.modules.foreign_observers(&game.world), 0);
    assert_eq!(game.observers(), 0);
}
