//! Tests of [`super`].

use bevy_ecs::system::RunSystemOnce;

use super::*;
use crate::prelude::{MessageWriter, ModuleBuilder, ResMut, Resource, SystemCondition};
use crate::system::{IntoSystems, SystemConfig};

#[derive(Message, Reflect)]
struct Hit(u32);
#[derive(Message, Reflect)]
struct Miss(u32);

#[derive(Resource, Default)]
struct Log(Vec<u32>);

fn hear(mut hits: MessageReader<Hit>, mut log: ResMut<Log>) {
    log.0.extend(hits.read().map(|hit| hit.0));
}

fn world() -> World {
    let mut world = World::new();
    declare(&mut world);
    world.init_resource::<Messages<Hit>>();
    world.init_resource::<Messages<Miss>>();
    world.init_resource::<Log>();
    world
}

/// A version's system, prepared for the world.
fn load<M>(world: &mut World, system: impl IntoSystems<M>) -> SystemConfig {
    let mut config = system.into_systems().into_vec().remove(0);
    config.initialize(world);
    config
}

fn run(world: &mut World, config: &mut SystemConfig) -> Vec<u32> {
    config.system.run((), world).unwrap();
    std::mem::take(&mut world.resource_mut::<Log>().0)
}

fn end_frame(world: &mut World) {
    world.resource_mut::<Messages<Hit>>().update();
}

#[test]
fn a_message_is_heard_once_whenever_the_system_is_reloaded() {
    // Each bit says whether the system is reloaded in a frame; two messages a frame, one
    // before the system and one after it.
    for reloads in 0_u32..64 {
        let mut world = world();
        let mut heard = Vec::new();
        let mut system = load(&mut world, hear);
        for frame in 0..6 {
            world.write_message(Hit(2 * frame));
            if reloads >> frame & 1 == 1 {
                system = load(&mut world, hear);
            }
            heard.extend(run(&mut world, &mut system));
            world.write_message(Hit(2 * frame + 1));
            end_frame(&mut world);
        }
        heard.extend(run(&mut world, &mut system));
        assert_eq!(heard, (0..12).collect::<Vec<_>>(), "reloads {reloads:06b}");
    }
}

#[test]
fn what_was_not_taken_stays_unheard() {
    fn first(mut hits: MessageReader<Hit>, mut log: ResMut<Log>) {
        log.0.extend(hits.read().next().map(|hit| hit.0));
        let left = hits.len() as u32;
        log.0.push(100 + left);
        if left == 1 {
            assert!(!hits.is_empty());
            hits.clear();
        }
    }
    let mut world = world();
    world.write_message_batch([Hit(1), Hit(2), Hit(3), Hit(4)]);
    let mut heard = || {
        let mut system = load(&mut world, first);
        run(&mut world, &mut system)
    };
    assert_eq!(heard(), [1, 103]);
    assert_eq!(heard(), [2, 102]);
    assert_eq!(heard(), [3, 101]);
    assert_eq!(heard(), [100]);
}

#[test]
fn readers_have_positions_of_their_own() {
    fn two(
        mut a: MessageReader<Hit>,
        mut b: MessageReader<Hit>,
        mut c: MessageReader<Miss>,
        _: &World,
    ) {
        assert_eq!((a.read().count(), c.read().count()), (2, 1));
        assert_eq!(b.read().take(1).count(), 1);
        assert_eq!(b.read_with_id().count(), 1);
    }
    fn swapped(c: MessageReader<Miss>, a: MessageReader<Hit>) {
        assert!(c.is_empty() && a.is_empty());
    }
    let mut world = world();
    world.write_message_batch([Hit(1), Hit(2)]);
    world.write_message(Miss(1));
    load(&mut world, two).system.run((), &mut world).unwrap();
    let keys: Vec<_> = keep::entities(&world)
        .into_iter()
        .map(|entity| world.get::<KeepKey>(entity).unwrap().as_str().to_owned())
        .collect();
    let key = |index, message: &str| format!("{}#{index}<{message}>", type_name_of(two));
    let (hit, miss) = (type_name::<Hit>(), type_name::<Miss>());
    assert_eq!(keys, [key(0, hit), key(1, hit), key(0, miss)]);

    // The order of the parameters is of no matter.
    let mut config = swapped.into_systems().into_vec().remove(0);
    type_name_of(two).clone_into(&mut config.name);
    config.initialize(&mut world);
    config.system.run((), &mut world).unwrap();
}

fn type_name_of<T>(_: T) -> &'static str {
    type_name::<T>()
}

#[test]
fn systems_without_a_name_remember_by_themselves() {
    let mut world = world();
    world.write_message(Hit(1));
    let once = |mut hits: MessageReader<Hit>| hits.read().count();
    assert_eq!(world.run_system_once(once).unwrap(), 1);
    assert_eq!(world.run_system_once(once).unwrap(), 1);
    assert!(keep::entities(&world).is_empty());
}

#[test]
fn a_condition_can_read() {
    fn any(mut hits: MessageReader<Hit>) -> bool {
        hits.read().count() > 0
    }
    fn writes(_: MessageWriter<Hit>) {}
    fn takes<M>(_: impl SystemCondition<M>) {}
    takes(any);
    let mut world = world();
    world.write_message(Hit(1));
    let mut heard = || {
        let mut config = load(&mut world, writes.run_if(any));
        config.conditions[0].run_readonly((), &world).unwrap()
    };
    assert_eq!([heard(), heard()], [true, false]);
}

#[test]
fn a_queue_made_anew_is_heard_from_its_beginning() {
    let mut world = world();
    world.write_message_batch([Hit(1), Hit(2)]);
    let mut system = load(&mut world, hear);
    assert_eq!(run(&mut world, &mut system), [1, 2]);

    // By the engine, ...
    let mut m = ModuleBuilder::new();
    m.message::<Hit>();
    let queue = m.finish().types.remove(0);
    (queue.remove)(&mut world);
    assert!((queue.initialize)(&mut world));
    world.write_message_batch([Hit(3), Hit(4), Hit(5)]);
    let mut system = load(&mut world, hear);
    assert_eq!(run(&mut world, &mut system), [3, 4, 5]);
    assert!(!(queue.initialize)(&mut world));
    assert_eq!(run(&mut world, &mut system), []);

    // ... and by the game, if it tells by the number of messages.
    world.insert_resource(Messages::<Hit>::default());
    world.write_message(Hit(6));
    assert_eq!(run(&mut world, &mut system), [6]);
}

#[test]
fn a_position_follows_the_name_of_its_queue() {
    let mut world = world();
    world.write_message(Hit(1));
    let mut system = load(&mut world, hear);
    run(&mut world, &mut system);
    let queue = |message: &str| queue_path(message);
    let hit = type_name::<Hit>();
    rename(&mut world, &queue("game::Blow"), &queue("game::Other"));
    rename(&mut world, &queue(hit), &queue("game::Blow"));
    assert_eq!(readers_of(&world, hit).len(), 0);
    assert_eq!(readers_of(&world, "game::Blow").len(), 1);

    // And back again, over one that was left behind.
    let mut system = load(&mut world, hear);
    assert_eq!(run(&mut world, &mut system), [1]);
    world.write_message(Hit(2));
    rename(&mut world, &queue("game::Blow"), &queue(hit));
    let mut system = load(&mut world, hear);
    assert_eq!(run(&mut world, &mut system), [2]);
}

#[test]
fn a_renamed_message_type_names_its_queue_before() {
    #[derive(Message, Reflect)]
    #[reflect(@crate::schema::RenamedFrom("Old other::Older"))]
    struct New;
    let before = StateType::message::<New>().schema.renamed_from.0;
    let module = module_path!();
    assert_eq!(
        before,
        [
            queue_path(&format!("{module}::Old")),
            queue_path("other::Older")
        ]
    );
    let schema = StateType::message::<Hit>().schema;
    assert_eq!(schema.path, queue_path(type_name::<Hit>()));
}
