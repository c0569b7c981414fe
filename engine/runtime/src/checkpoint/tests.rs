use std::collections::{BTreeMap, HashMap};

use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::hierarchy::{ChildOf, Children};
use engine_api::bevy_ecs::lifecycle::{Add, HookContext, Remove};
use engine_api::bevy_ecs::name::Name;
use engine_api::bevy_ecs::query::Allow;
use engine_api::bevy_ecs::system::{IntoSystem, System};
use engine_api::bevy_ecs::world::DeferredWorld;
use engine_api::keep::Kept;
use engine_api::prelude::*;
use proptest::prelude::*;

use super::*;
use crate::limbo::LimboChanges;
use crate::state::{self, KeptType, StateBook};
use crate::testing::{Build, describe};

#[derive(Component, Reflect, Default, Debug, PartialEq, Clone, Copy)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Position {
    x: f32,
    y: f32,
}
/// Without a default: its places are found in a value.
#[derive(Component, Reflect, Debug, PartialEq, Clone, Copy)]
#[type_path = "game"]
struct Health {
    points: u32,
    mood: Mood,
    last: [(u8, i64); 2],
}
#[derive(Reflect, Debug, PartialEq, Clone, Copy, Default)]
#[type_path = "game"]
enum Mood {
    #[default]
    Calm,
    Angry,
}
#[derive(Component, Reflect, Debug, PartialEq, Clone, Copy, Default)]
#[reflect(Component, Default)]
#[component(storage = "SparseSet")]
#[type_path = "game"]
struct Marked(bool);
#[derive(Component, Reflect, Debug, PartialEq, Clone, Copy)]
#[type_path = "game"]
struct Target(Entity);
#[derive(Component, Reflect, Debug, PartialEq, Clone, Default)]
#[reflect(Component, Default)]
#[type_path = "game"]
struct Bag {
    label: String,
    items: Vec<Item>,
    by_name: HashMap<String, u32>,
    best: Option<Entity>,
    inner: BTreeMap<u8, Item>,
}
#[derive(Reflect, Debug, PartialEq, Clone, Default)]
#[reflect(Default)]
#[type_path = "game"]
enum Item {
    #[default]
    Nothing,
    Gold(u32),
    Sword {
        sharp: f64,
        owner: Option<String>,
    },
}
#[derive(Resource, Reflect, Debug, PartialEq, Clone)]
#[reflect(Default)]
#[type_path = "game"]
struct Score {
    points: u64,
    leader: Entity,
}
impl Default for Score {
    fn default() -> Self {
        Self {
            points: 0,
            leader: Entity::PLACEHOLDER,
        }
    }
}
#[derive(Message, Reflect, Debug, PartialEq)]
#[type_path = "game"]
struct Hit {
    whom: Entity,
}
/// Tells when a hook runs.
#[derive(Component, Reflect, Default, Clone, Copy)]
#[reflect(Component, Default)]
#[type_path = "game"]
#[require(Position)]
#[component(on_add = count_hook, on_remove = count_hook)]
struct Hooked {
    number: u8,
}
#[derive(Resource, Reflect, Default)]
#[type_path = "game"]
struct Heard(u32);

fn count_hook(mut world: DeferredWorld, _: HookContext) {
    if let Some(mut heard) = world.get_resource_mut::<Heard>() {
        heard.0 += 1;
    }
}

fn game(m: &mut ModuleBuilder) {
    m.component::<Position>()
        .component::<Health>()
        .component::<Marked>()
        .component::<Target>()
        .component::<Bag>()
        .component::<Hooked>()
        .resource::<Score>()
        .resource::<Heard>()
        .message::<Hit>();
}

/// Versions of the same types as another build could have them.
mod other {
    use engine_api::prelude::*;

    #[derive(Component, Reflect, Default, Debug, PartialEq)]
    #[reflect(Component, Default)]
    #[type_path = "game"]
    pub(super) struct Position {
        pub(super) x: f64,
        #[reflect(@RenamedFrom("y"))]
        pub(super) height: f32,
        pub(super) z: f32,
    }
    #[derive(Component, Reflect, Default, Debug, PartialEq)]
    #[reflect(Component, Default, @RenamedFrom("Health"))]
    #[type_path = "game"]
    pub(super) struct Life {
        pub(super) points: u8,
    }

    pub(super) fn game(m: &mut ModuleBuilder) {
        m.component::<Position>().component::<Life>();
    }

    #[derive(Component, Reflect, Default)]
    #[reflect(Component, Default)]
    #[type_path = "game"]
    #[type_name = "Position"]
    pub(super) struct Narrow {
        x: f64,
    }

    pub(super) fn narrow(m: &mut ModuleBuilder) {
        m.component::<Narrow>();
    }
}

/// A world with the types of a module.
pub(crate) struct Game {
    pub(crate) world: World,
    pub(crate) book: StateBook,
}

impl Game {
    pub(crate) fn new(build: Build) -> Self {
        let mut world = World::new();
        state::declare_engine_types(&mut world);
        let mut book = StateBook::default();
        let types: Vec<_> = describe(build)
            .types
            .into_iter()
            .map(|state| {
                (state.declare)(&mut world);
                (state.initialize)(&mut world);
                let kept = KeptType::of(&state);
                (state, kept)
            })
            .collect();
        book.adopt(
            &[("game".to_owned(), (0..types.len()).collect())],
            &types,
            &[],
        );
        Self { world, book }
    }

    fn save(&self) -> Checkpoint {
        Capture::take(&self.world, &self.book, meta()).into_checkpoint()
    }

    /// Through a file, as another process would.
    fn load(&mut self, checkpoint: &Checkpoint) -> Result<RestoreReport, RestoreError> {
        let bytes = file::encode(checkpoint).unwrap();
        let read = file::decode(&bytes).unwrap();
        assert_eq!(read.blocks, checkpoint.blocks);
        restore(&mut self.world, &mut self.book, &[], &read)
    }
}

fn meta() -> Meta {
    Meta {
        modules: vec![ModuleMeta {
            name: "game".into(),
            version: 3,
            label: "0.1.0".into(),
            hash: 77,
            artifact: Some("libgame.so".into()),
            state: Some(vec![1, 2]),
        }],
        frame: 9,
        elapsed: Duration::from_millis(90),
        saved_at_ms: 5,
        reason: Reason::Swap,
    }
}

const HEALTH: Health = Health {
    points: 40,
    mood: Mood::Angry,
    last: [(1, -2), (3, i64::MIN)],
};

/// A game with a bit of everything.
fn full() -> Game {
    let mut game = Game::new(game);
    let world = &mut game.world;
    // Ids do not begin at the first free one, nor in order.
    let gone: Vec<_> = (0..9).map(|_| world.spawn_empty().id()).collect();
    let ship = world.spawn((Name::new("Ship"), Position { x: 1.5, y: -0.0 }, HEALTH));
    let ship = ship.id();
    for entity in gone {
        world.despawn(entity);
    }
    let gun = world.spawn((Name::new("Gun"), ChildOf(ship), Target(ship), Marked(true)));
    let gun = gun.id();
    let engine = world.spawn((Name::new("Engine"), ChildOf(ship), Position::default()));
    let engine = engine.id();
    let dead = world.spawn_empty().id();
    world.despawn(dead);
    world.spawn((Name::new("Lost"), Target(dead), Disabled));
    world.spawn((Name::new("Hooked"), Hooked { number: 7 }));
    world.spawn((
        Name::new("Bag"),
        Bag {
            label: "the \"big\" one\n".into(),
            items: vec![
                Item::Gold(3),
                Item::Nothing,
                Item::Sword {
                    sharp: 0.1,
                    owner: Some("Ann".into()),
                },
            ],
            by_name: [("a".to_owned(), 1), ("b".to_owned(), 2)].into(),
            best: Some(gun),
            inner: [(4, Item::Gold(9))].into(),
        },
    ));
    world.spawn_empty();
    // The gun is the last child.
    world.entity_mut(ship).detach_children(&[gun]);
    world.entity_mut(gun).insert(ChildOf(ship));
    world.insert_resource(Score {
        points: 1 << 40,
        leader: engine,
    });
    world.write_message(Hit { whom: ship });
    let mut changes = LimboChanges::default();
    changes.add("game::Position", engine, "speed".into(), Data::F32(2.5));
    changes.add(
        "game::Gone",
        gun,
        String::new(),
        Data::Entity(ship.to_bits()),
    );
    game.book.limbo.apply(changes);
    game
}

/// A checkpoint with something of everything.
pub(crate) fn sample() -> Checkpoint {
    full().save()
}

fn named(world: &mut World, name: &str) -> Entity {
    let mut all = world.query_filtered::<(Entity, &Name), Allow<Disabled>>();
    let mut all = all.iter(world);
    all.find(|(_, known)| known.as_str() == name).unwrap().0
}

#[test]
fn a_world_comes_back_as_it_was() {
    let mut before = full();
    let checkpoint = before.save();
    assert_eq!(checkpoint.lost, []);
    assert_eq!(checkpoint.entities(), 7);
    let mut game = Game::new(game);
    // Something that was not in the checkpoint, and ids that are taken.
    game.world
        .spawn((Position::default(), Name::new("Stranger")));
    game.world.resource_mut::<Heard>().0 = 5;
    let report = game.load(&checkpoint).unwrap();
    assert_eq!((report.entities, report.dangling), (7, 1));
    assert_eq!(report.panics, Vec::<String>::new());

    let Game { world, book } = &mut game;
    let [ship, gun, engine, lost] =
        ["Ship", "Gun", "Engine", "Lost"].map(|name| named(world, name));
    assert_eq!(state::game_entities(world), 7);
    let position = world.get::<Position>(ship).unwrap();
    assert_eq!(
        (position.x, position.y.to_bits()),
        (1.5, (-0.0_f32).to_bits())
    );
    assert_eq!(world.get::<Health>(ship), Some(&HEALTH));
    assert_eq!(world.get::<Target>(gun), Some(&Target(ship)));
    assert_eq!(world.get::<Marked>(gun), Some(&Marked(true)));
    assert_eq!(
        world.get::<Target>(lost),
        Some(&Target(Entity::PLACEHOLDER))
    );
    assert!(world.get::<Disabled>(lost).is_some());
    assert!(world.get::<Disabled>(ship).is_none());
    assert_eq!(**world.get::<Children>(ship).unwrap(), [engine, gun]);
    assert_eq!(world.get::<ChildOf>(gun), Some(&ChildOf(ship)));
    let old_bag = named(&mut before.world, "Bag");
    let bag_entity = named(world, "Bag");
    let bag = world.get::<Bag>(bag_entity).unwrap();
    let mut expected = before.world.get::<Bag>(old_bag).unwrap().clone();
    expected.best = Some(gun);
    assert_eq!(*bag, expected);
    assert_eq!(
        *world.resource::<Score>(),
        Score {
            points: 1 << 40,
            leader: engine
        }
    );
    assert_eq!(
        world.resource::<Heard>().0,
        before.world.resource::<Heard>().0
    );
    let hits = world.resource::<Messages<Hit>>();
    let hits: Vec<_> = hits.iter_current_update_messages().collect();
    assert_eq!(hits, [&Hit { whom: ship }]);
    let limbo = &book.limbo;
    assert_eq!(
        limbo.get("game::Position", engine, "speed"),
        Some(&Data::F32(2.5))
    );
    let whole = limbo.get("game::Gone", gun, "");
    assert_eq!(whole, Some(&Data::Entity(ship.to_bits())));
    // The hierarchy works on.
    world.despawn(ship);
    assert!(world.get_entity(engine).is_err());
    assert_eq!(state::game_entities(world), 4);
}

#[test]
fn neither_hooks_nor_observers_hear_of_it_and_all_work_afterwards() {
    let mut game = full();
    let heard = |game: &Game| game.world.resource::<Heard>().0;
    assert_eq!(heard(&game), 1);
    game.world
        .add_observer(|_: On<Add<Hooked>>, mut heard: ResMut<Heard>| heard.0 += 10);
    game.world
        .add_observer(|_: On<Remove<Hooked>>, mut heard: ResMut<Heard>| heard.0 += 100);
    let checkpoint = game.save();
    assert_eq!(checkpoint.entities(), 7, "observers are not part of it");
    let hooked = named(&mut game.world, "Hooked");
    // A combination of components that was never there.
    game.world.entity_mut(hooked).remove::<Name>();
    game.world.entity_mut(hooked).remove::<Position>();
    let alone = game.save();
    for checkpoint in [&checkpoint, &alone] {
        game.load(checkpoint).unwrap();
        assert_eq!(heard(&game), 1);
    }
    let mut all = game.world.query::<(Entity, &Hooked, Has<Position>)>();
    let (hooked, value, has_position) = all.single(&game.world).unwrap();
    assert_eq!((value.number, has_position), (7, false));
    let of = game.world.entity(hooked);
    assert!(of.archetype().has_add_hook() && of.archetype().has_add_observer());
    game.world.despawn(hooked);
    assert_eq!(heard(&game), 102);
    let again = game.world.spawn(Hooked::default()).id();
    assert_eq!(heard(&game), 113);
    assert!(
        game.world.get::<Position>(again).is_some(),
        "it is required"
    );
}

#[test]
fn values_follow_types_that_changed() {
    let checkpoint = {
        let mut game = Game::new(game);
        game.world
            .spawn((Position { x: 1.0, y: 2.0 }, HEALTH, Marked(true)));
        game.world.insert_resource(Score {
            points: 3,
            leader: Entity::PLACEHOLDER,
        });
        game.save()
    };
    let mut changed = Game::new(other::game);
    let report = changed.load(&checkpoint).unwrap();
    let mut all = changed
        .world
        .query::<(Entity, &other::Position, &other::Life)>();
    let (entity, position, life) = all.single(&changed.world).unwrap();
    let expected = other::Position {
        x: 1.0,
        height: 2.0,
        z: 0.0,
    };
    assert_eq!((position, life), (&expected, &other::Life { points: 40 }));
    assert!(
        report.unknown.contains(&"game::Marked".to_owned()),
        "{report:?}"
    );
    assert!(report.unknown.contains(&"game::Score".to_owned()));
    assert_eq!(report.removed, 2);
    let limbo = &changed.book.limbo;
    assert!(limbo.get("game::Life", entity, "mood").is_some());
    assert!(limbo.get("game::Marked", entity, "").is_some());

    // And back, where the renames are taken back.
    let mut back = Game::new(game);
    back.load(&changed.save()).unwrap();
    let mut all = back.world.query::<(&Position, &Health, &Marked)>();
    let found = all.single(&back.world).unwrap();
    assert_eq!(
        found,
        (&Position { x: 1.0, y: 2.0 }, &HEALTH, &Marked(true))
    );
    let limbo: Vec<_> = back.book.limbo.fields().iter().collect();
    assert!(
        matches!(&limbo[..], [z] if (&*z.type_path, &*z.field) == ("game::Position", "z")),
        "{limbo:?}"
    );
}

#[test]
fn what_has_no_place_for_a_while_comes_back() {
    let checkpoint = {
        let mut game = Game::new(game);
        let target = game.world.spawn((Position { x: 1.0, y: 2.0 }, HEALTH)).id();
        game.world.spawn((Target(target), Bag::default()));
        game.world.insert_resource(Score {
            points: 3,
            leader: target,
        });
        game.save()
    };
    let mut narrow = Game::new(other::narrow);
    let report = narrow.load(&checkpoint).unwrap();
    assert_eq!(report.removed, 1);
    assert!(narrow.book.limbo.has_type("game::Score"));
    let through = narrow.save();
    let mut game = Game::new(game);
    let report = game.load(&through).unwrap();
    assert_eq!(report.unknown, Vec::<String>::new());
    let mut all = game.world.query::<(Entity, &Position, &Health)>();
    let (target, position, health) = all.single(&game.world).unwrap();
    assert_eq!((position, health), (&Position { x: 1.0, y: 2.0 }, &HEALTH));
    let mut all = game.world.query::<(&Target, &Bag)>();
    assert_eq!(
        all.single(&game.world).unwrap(),
        (&Target(target), &Bag::default())
    );
    let score = game.world.resource::<Score>();
    assert_eq!(
        *score,
        Score {
            points: 3,
            leader: target
        }
    );
    assert!(game.book.limbo.is_empty(), "{:?}", game.book.limbo);
}

#[test]
fn a_value_that_does_not_fit_leaves_everything_as_it_was() {
    let checkpoint = {
        let mut game = Game::new(game);
        game.world.spawn((Position::default(), HEALTH));
        game.world.spawn(Health {
            points: 256,
            ..HEALTH
        });
        game.save()
    };
    let mut changed = Game::new(other::game);
    let there = changed.world.spawn(other::Life { points: 9 }).id();
    let next = changed.world.entity_allocator().alloc();
    changed.world.entity_allocator_mut().free(next);
    let error = changed.load(&checkpoint).unwrap_err();
    let entity = checkpoint
        .blocks
        .iter()
        .flat_map(|block| &block.entities)
        .max_by_key(|bits| Entity::from_bits(**bits).index_u32());
    let entity = Entity::from_bits(*entity.unwrap());
    assert_eq!(
        error.to_string(),
        format!(
            "component `game::Life` of entity {entity}: field `points`: `256` does not fit `u8` \
             without loss; write a migration, or revert the edit"
        )
    );
    assert_eq!(state::game_entities(&changed.world), 1);
    assert_eq!(changed.world.get::<other::Life>(there).unwrap().points, 9);
    assert!(changed.book.limbo.is_empty());
}

#[derive(Component, Reflect, Clone, Default)]
#[reflect(opaque, Clone, Default)]
#[type_path = "game"]
struct Secret;
#[derive(Component)]
struct Unregistered(#[expect(dead_code, reason = "it only needs a size")] u32);

#[test]
fn what_cannot_be_taken_is_named() {
    let mut game = Game::new(|m| {
        m.component::<Secret>().component::<Position>();
    });
    game.world
        .spawn((Secret, Position::default(), Unregistered(1)));
    let checkpoint = game.save();
    let lost: Vec<_> = checkpoint
        .lost
        .iter()
        .map(|lost| (lost.type_path.as_str(), lost.values))
        .collect();
    assert_eq!(
        lost,
        [
            ("an unregistered component of 4 bytes", 1),
            ("game::Secret", 1)
        ]
    );
    game.load(&checkpoint).unwrap();
    let mut all = game.world.query::<(&Position, Has<Secret>)>();
    assert!(!all.single(&game.world).unwrap().1);
}

#[test]
fn the_clock_goes_on() {
    let mut time = Time::new(Duration::from_millis(10));
    (0..9).for_each(|_| time.advance(Duration::ZERO));
    let clock = meta().clock(Duration::from_millis(10));
    assert_eq!(
        (clock.frame(), clock.elapsed()),
        (time.frame(), time.elapsed())
    );
}

#[derive(Component, Reflect, Debug, Clone, Copy, PartialEq)]
struct Everything {
    a: bool,
    b: char,
    c: (u8, i8, u16, i16),
    d: [u32; 3],
    e: Inner,
    f: (f32, f64, u128, i128),
    g: (usize, isize, i32, u64, i64),
    h: Mood,
    i: Entity,
}
#[derive(Reflect, Debug, Clone, Copy, PartialEq)]
struct Inner(u8, Position, u64);

fn everything() -> impl Strategy<Value = Everything> {
    let numbers = (
        any::<(u8, i8, u16, i16)>(),
        any::<[u32; 3]>(),
        any::<(u8, u64)>(),
    );
    let wide = (
        any::<(f32, f64, u128, i128)>(),
        any::<(usize, isize, i32, u64, i64)>(),
    );
    let rest = (
        any::<bool>(),
        any::<char>(),
        any::<bool>(),
        0..9_u32,
        any::<(f32, f32)>(),
    );
    (numbers, wide, rest).prop_map(|((c, d, inner), (f, g), (a, b, angry, index, (x, y)))| {
        Everything {
            a,
            b,
            c,
            d,
            e: Inner(inner.0, Position { x, y }, inner.1),
            f,
            g,
            h: if angry { Mood::Angry } else { Mood::Calm },
            i: Entity::from_raw_u32(index).unwrap(),
        }
    })
}

proptest! {
    /// Bytes and schema tell the same as reflection.
    #[test]
    fn plain_values_are_read_as_reflection_reads_them(values in prop::collection::vec(everything(), 1..4)) {
        use engine_api::bevy_reflect::TypeRegistry;
        use engine_api::schema::Schema;
        let schema = Schema::of::<Everything>();
        let plain = plain::Plain::of(&schema, &values[0]).unwrap();
        let mut packed = Vec::new();
        // SAFETY: as many bytes as the values have.
        let bytes = unsafe {
            std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(&*values))
        };
        // SAFETY: the bytes are those of the values.
        unsafe { plain.pack(bytes, &mut packed) };
        let width = plain::width(&schema).unwrap();
        prop_assert_eq!(packed.len(), width * values.len());
        for (value, packed) in values.iter().zip(packed.chunks(width)) {
            let expected = Data::of(value, &TypeRegistry::new()).unwrap();
            // Texts, since not every number is equal to itself.
            let read = unpack::read(&schema, packed).unwrap();
            prop_assert_eq!(format!("{read:?}"), format!("{expected:?}"));
            prop_assert!(unpack::is_valid(&schema, packed));
            prop_assert!(unpack::read(&schema, &packed[1..]).is_none());
            let mut copy = values[0];
            // SAFETY: a value of the type is there, and the packed one was read.
            unsafe { plain.unpack(packed, (&raw mut copy).cast()) };
            prop_assert_eq!(format!("{copy:?}"), format!("{value:?}"));
        }
    }

    /// Changed bytes are no value or another one, nothing worse.
    #[test]
    fn packed_bytes_may_be_anything(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let schema = engine_api::schema::Schema::of::<Everything>();
        prop_assert_eq!(unpack::is_valid(&schema, &bytes), unpack::read(&schema, &bytes).is_some());
    }
}

#[derive(Component, Reflect, Clone, Copy)]
struct Velocity(f32, f32);

/// Prints what a checkpoint of 100,000 entities costs.
#[test]
#[ignore = "for a person to read, in release"]
fn measure() {
    use std::time::Instant;
    let build: Build = |m| {
        m.component::<Position>()
            .component::<Velocity>()
            .component::<Health>();
    };
    let mut game = Game::new(build);
    for index in 0..100_000 {
        let x = index as f32;
        game.world
            .spawn((Position { x, y: 0.0 }, Velocity(x, 1.0), HEALTH));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), 3).unwrap();
    for _ in 0..7 {
        let start = Instant::now();
        let capture = Capture::take(&game.world, &game.book, meta());
        let frame = start.elapsed();
        let start = Instant::now();
        let checkpoint = capture.into_checkpoint();
        let packed = start.elapsed();
        let written = store.write(&checkpoint, &|_| false).unwrap();
        let start = Instant::now();
        let (_, read) = store.latest().unwrap().checkpoint.unwrap();
        let loaded = start.elapsed();
        let report = restore(&mut game.world, &mut game.book, &[], &read).unwrap();
        println!(
            "frame thread {frame:?}, pack {packed:?}, write {:?}, {} bytes; load {loaded:?}, \
             restore {:?}",
            written.took, written.bytes, report.took
        );
    }
}

#[test]
fn observers_that_entities_have_come_back_with_them() {
    #[derive(EntityEvent)]
    struct Hurt(Entity);
    fn on_hurt(_: On<Hurt>) {}
    fn armed(m: &mut ModuleBuilder) {
        m.component::<Position>().entity_observer(on_hurt);
    }
    let mut before = Game::new(armed);
    before.world.spawn(Name::new("Ship")).attach(on_hurt);
    before.world.spawn(Name::new("Gun"));
    let checkpoint = before.save();
    assert_eq!(checkpoint.lost, []);
    let mut game = Game::new(armed);
    let report = game.load(&checkpoint).unwrap();
    assert_eq!(report.unknown, Vec::<String>::new());
    let ship = named(&mut game.world, "Ship");
    let old_ship = named(&mut before.world, "Ship");
    let attached = game.world.get::<Attached>(ship);
    assert_eq!(attached, before.world.get::<Attached>(old_ship));
    assert_eq!(attached.unwrap().names().count(), 1);
    let gun = named(&mut game.world, "Gun");
    assert_eq!(game.world.get::<Attached>(gun), None);
}

#[test]
fn calls_that_wait_come_back_with_their_data() {
    #[derive(Reflect, Default)]
    #[reflect(Default)]
    #[type_path = "game"]
    struct Bomb {
        at: Option<Entity>,
        words: String,
    }
    fn explode(_: InMut<Bomb>) {}
    fn blink() {}
    fn armed(m: &mut ModuleBuilder) {
        m.callback(explode).callback(blink);
    }
    let mut before = Game::new(armed);
    let ship = before.world.spawn(Name::new("Ship")).id();
    let mut commands = before.world.commands();
    let bomb = Bomb {
        at: Some(ship),
        words: "tick".to_owned(),
    };
    commands.run_after(std::time::Duration::from_secs(7), explode, bomb);
    commands.run_on_key(Key::F(3), blink, ());
    before.world.flush();
    let checkpoint = before.save();
    assert_eq!(checkpoint.lost, []);
    let mut game = Game::new(armed);
    let report = game.load(&checkpoint).unwrap();
    assert_eq!(report.unknown, Vec::<String>::new());
    let all = |world: &mut World| {
        let mut all: Vec<String> = world
            .query::<&Callback>()
            .iter(world)
            .map(|callback| format!("{callback:?}"))
            .collect();
        all.sort();
        all
    };
    let waiting = all(&mut game.world);
    assert_eq!(waiting.len(), 2);
    assert_eq!(waiting, all(&mut before.world));
    let ship = named(&mut game.world, "Ship");
    let mut bombs = game.world.query::<(&Kept<Bomb>, &Callback)>();
    let (Kept(bomb), _) = bombs.single(&game.world).unwrap();
    assert_eq!((bomb.at, bomb.words.as_str()), (Some(ship), "tick"));
}

#[test]
fn readers_go_on_where_they_were_when_the_checkpoint_was_taken() {
    fn listen(mut hits: MessageReader<Hit>) -> usize {
        hits.read().count()
    }
    fn armed(m: &mut ModuleBuilder) {
        m.message::<Hit>();
    }
    /// What a system of this name hears that was prepared for the world just now.
    fn hear(game: &mut Game) -> usize {
        let mut system = IntoSystem::into_system(listen);
        engine_api::keep::naming("game::listen", || system.initialize(&mut game.world));
        system.run((), &mut game.world).unwrap()
    }
    let hit = |game: &mut Game| {
        let whom = Entity::PLACEHOLDER;
        let mut queue = game.world.resource_mut::<Messages<Hit>>();
        queue.write(Hit { whom });
    };
    let mut before = Game::new(armed);
    hit(&mut before);
    hit(&mut before);
    assert_eq!(hear(&mut before), 2);
    hit(&mut before);
    let checkpoint = before.save();
    assert_eq!(checkpoint.lost, []);
    let mut game = Game::new(armed);
    game.load(&checkpoint).unwrap();
    assert_eq!(hear(&mut game), 1, "the one that was not heard before");
    assert_eq!(hear(&mut game), 0);
}
