use std::any::TypeId;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use engine_api::bevy_ecs;
use engine_api::bevy_ecs::archetype::ArchetypeEntity;
use engine_api::bevy_ecs::change_detection::{ComponentTicks, DetectChanges, Tick};
use engine_api::bevy_ecs::component::ComponentId;
use engine_api::bevy_ecs::entity_disabling::{DefaultQueryFilters, Disabled};
use engine_api::bevy_ecs::lifecycle::HookContext;
use engine_api::bevy_ecs::message::MessageRegistry;
use engine_api::bevy_ecs::observer::Observer;
use engine_api::bevy_ecs::query::SpawnDetails;
use engine_api::bevy_ecs::system::{IntoSystem, System};
use engine_api::bevy_ecs::world::DeferredWorld;
use engine_api::prelude::*;

use super::*;

#[derive(Component, Debug, Clone, Copy, PartialEq)]
struct Position(f32, f32, f32);
#[derive(Component, Debug, Clone, Copy, PartialEq)]
struct Velocity(f32, f32);
#[derive(Component, Debug, Clone, Copy, PartialEq)]
struct Health(u32);
#[derive(Component, Debug, Clone, Copy, PartialEq)]
struct FloatHealth(f32);
#[derive(Component, Debug, Clone, PartialEq)]
struct Label(String, Vec<u16>);
#[derive(Component, Debug, Clone)]
struct Shared(Arc<()>);
#[derive(Component, Debug, Clone)]
struct OtherShared(#[expect(dead_code, reason = "counts")] Arc<()>, u64);
#[derive(Component, Debug, Clone, Copy, PartialEq)]
struct Marker;
#[derive(Component, Debug, Clone)]
#[component(storage = "SparseSet")]
struct Burning(Arc<()>, u64);
#[derive(Component, Debug, Clone, Copy)]
#[component(storage = "SparseSet")]
struct Chilled;
#[derive(Component, Debug, Clone, Copy)]
struct Asleep;
#[derive(Resource, Debug, Clone, PartialEq)]
struct Score(String);
#[derive(Resource)]
struct Late(#[expect(dead_code, reason = "counts")] Arc<()>);
#[derive(Resource)]
struct Other(#[expect(dead_code, reason = "counts")] Arc<()>);
#[derive(Message, Clone)]
struct Hit(#[expect(dead_code, reason = "carried")] Entity);

/// A component that tells its hooks apart from moves.
#[derive(Component)]
#[component(on_add = count_hook, on_insert = count_hook, on_remove = count_hook)]
#[require(Velocity(7.0, 7.0))]
struct Hooked(#[expect(dead_code, reason = "carried")] u8);

static HOOKS: AtomicUsize = AtomicUsize::new(0);
fn count_hook(_: DeferredWorld, _: HookContext) {
    HOOKS.fetch_add(1, Ordering::Relaxed);
}

type Check = fn(&RebuildError) -> bool;

/// As many component types as a test wants.
#[derive(Component, Debug, PartialEq)]
struct Kind<const N: usize>(u64);

fn known<T: Component>(world: &mut World) {
    world.register_component::<T>();
}

fn declare() -> Vec<fn(&mut World)> {
    // Another order than in the old worlds, so that ids differ.
    vec![
        known::<FloatHealth>,
        known::<OtherShared>,
        known::<Shared>,
        known::<Label>,
        known::<Burning>,
        known::<Chilled>,
        known::<Marker>,
        known::<Health>,
        known::<Velocity>,
        known::<Position>,
        known::<Hooked>,
        known::<Asleep>,
        known::<Score>,
        known::<Late>,
        known::<Messages<Hit>>,
        known::<Name>,
        known::<ChildOf>,
        known::<Children>,
        known::<DropsLoudly>,
    ]
}

fn plan<'a>(treatments: impl IntoIterator<Item = (ComponentId, Treatment<'a>)>) -> RebuildPlan<'a> {
    RebuildPlan {
        declare: declare(),
        treatments: treatments.into_iter().collect(),
    }
}

fn begin(world: &mut World, plan: RebuildPlan<'_>) -> Result<Rebuilt, RebuildError> {
    // SAFETY: the tests keep what they convert and do not touch what was moved.
    unsafe { Rebuilt::begin(world, plan) }
}

fn pair(ticks: Option<ComponentTicks>) -> Option<(Tick, Tick)> {
    ticks.map(|ticks| (ticks.added, ticks.changed))
}

fn rebuild(world: &mut World) {
    let rebuilt = begin(world, plan([])).unwrap();
    assert_eq!(rebuilt.commit(world), None);
}

fn convert<'a, A: Component, B: Component>(
    mut one: impl FnMut(Entity, &A) -> Result<B, String> + 'a,
) -> Treatment<'a> {
    Treatment::Convert {
        to: TypeId::of::<B>(),
        make: Box::new(move |entities, old, new| {
            let new = new.cast::<B>();
            for (row, &entity) in entities.iter().enumerate() {
                // SAFETY: the contract of `MakeColumn`.
                let value = unsafe { &*old.cast::<A>().add(row) };
                match one(entity, value) {
                    // SAFETY: as above.
                    Ok(value) => unsafe { new.add(row).write(value) },
                    Err(message) => {
                        for row in 0..row {
                            // SAFETY: written above.
                            unsafe { new.add(row).drop_in_place() };
                        }
                        return Err(ColumnError { entity, message });
                    }
                }
            }
            Ok(())
        }),
    }
}

type Print = (
    Entity,
    Option<Tick>,
    Vec<(ComponentId, Tick, Tick, Vec<u8>)>,
);

/// All that a world stores: ids with ticks and bits of every value.
fn print_of(world: &World) -> Vec<Print> {
    let mut all = Vec::new();
    let filters = world.component_id::<DefaultQueryFilters>();
    for archetype in world.archetypes().iter() {
        for row in archetype.entities() {
            let entity = world.entity(row.id());
            let mut values = Vec::new();
            for component in archetype.iter_components() {
                let ticks = entity.get_change_ticks_by_id(component).unwrap();
                let size = world
                    .components()
                    .get_info(component)
                    .unwrap()
                    .layout()
                    .size();
                let at = entity.get_by_id(component).unwrap().as_ptr();
                // Those of filters have parts that are never written.
                let size = if Some(component) == filters { 0 } else { size };
                // SAFETY: the types of these tests have no padding.
                let bits = unsafe { std::slice::from_raw_parts(at, size) }.to_vec();
                values.push((component, ticks.added, ticks.changed, bits));
            }
            let spawned = world.entities().entity_get_spawn_or_despawn_tick(row.id());
            all.push((row.id(), spawned, values));
        }
    }
    all
}

/// Looks up every entity in all ways that have to agree.
fn check_consistency(world: &mut World) {
    let listed: Vec<Entity> = world
        .archetypes()
        .iter()
        .flat_map(|archetype| archetype.entities().iter().map(ArchetypeEntity::id))
        .collect();
    assert_eq!(listed.len() as u32, world.entities().count_spawned());
    for archetype in world.archetypes().iter() {
        for (entity, location) in archetype.entities_with_location() {
            assert_eq!(world.entities().get_spawned(entity), Ok(location));
            let table = &world.storages().tables[location.table_id];
            assert_eq!(table.entities()[location.table_row.index()], entity);
        }
    }
    for (id, entity) in world.resource_entities().iter() {
        let is_resource = world.get::<IsResource>(entity).unwrap();
        assert_eq!(is_resource.resource_component_id(), id);
    }
}

#[test]
fn ids_generations_and_free_ids_stay() {
    let mut world = World::new();
    let all: Vec<Entity> = (0..1000)
        .map(|n| world.spawn((Health(n), Position(n as f32, 0.0, 0.0))).id())
        .collect();
    let empty = world.spawn_empty().id();
    let dangling: Vec<Entity> = all.iter().copied().step_by(3).collect();
    for &entity in &dangling {
        world.despawn(entity);
    }
    // Some of the free ids are used again.
    let again: Vec<Entity> = (0..100).map(|_| world.spawn(Marker).id()).collect();
    let reserved = world.entity_allocator().alloc();
    let before = world.entity_count();
    let total = ids::total(world.entity_allocator());

    rebuild(&mut world);

    check_consistency(&mut world);
    assert_eq!(world.entity_count(), before);
    assert_eq!(ids::total(world.entity_allocator()), total);
    for (n, &entity) in all.iter().enumerate() {
        if n % 3 == 0 {
            assert!(world.get_entity(entity).is_err(), "{entity}");
        } else {
            assert_eq!(world.get::<Health>(entity), Some(&Health(n as u32)));
            assert_eq!(
                world.get::<Position>(entity),
                Some(&Position(n as f32, 0.0, 0.0))
            );
        }
    }
    assert!(
        again
            .iter()
            .all(|&entity| world.get::<Marker>(entity).is_some())
    );
    assert_eq!(world.entity(empty).archetype().component_count(), 0);
    let mut ids: HashSet<Entity> = world.query::<Entity>().iter(&world).collect();
    ids.insert(reserved);
    for _ in 0..3000 {
        let entity = world.spawn(Marker).id();
        assert!(ids.insert(entity), "{entity} was given out twice");
        assert!(!dangling.contains(&entity));
    }
    assert!(world.spawn_empty_at(reserved).is_ok());
    check_consistency(&mut world);
}

#[test]
fn hierarchy_stays() {
    let mut world = World::new();
    let parent = world.spawn(Name::new("parent")).id();
    let children: Vec<Entity> = (0..3)
        .map(|n| world.spawn((Health(n), ChildOf(parent))).id())
        .collect();
    rebuild(&mut world);
    let now: Vec<Entity> = world.get::<Children>(parent).unwrap().to_vec();
    assert_eq!(now, children);
    assert_eq!(world.get::<Name>(parent).unwrap().as_str(), "parent");
    // Its hooks work on.
    let fourth = world.spawn(ChildOf(parent)).id();
    world.entity_mut(children[0]).remove::<ChildOf>();
    assert_eq!(world.get::<Children>(parent).unwrap().len(), 3);
    world.despawn(parent);
    assert!(world.get_entity(fourth).is_err() && world.get_entity(children[1]).is_err());
    assert!(world.get_entity(children[0]).is_ok());
}

#[test]
fn disabled_entities_and_filters_stay() {
    let mut world = World::new();
    known::<Marker>(&mut world);
    world.register_disabling_component::<Asleep>();
    let off = world.spawn((Health(1), Disabled)).id();
    let asleep = world.spawn((Health(2), Asleep)).id();
    let on = world.spawn(Health(3)).id();
    rebuild(&mut world);
    let seen: Vec<Entity> = world
        .query_filtered::<Entity, With<Health>>()
        .iter(&world)
        .collect();
    assert_eq!(seen, [on]);
    let mut asleep_too = world.query_filtered::<Entity, With<Asleep>>();
    assert_eq!(asleep_too.iter(&world).collect::<Vec<_>>(), [asleep]);
    assert!(world.entity(off).contains::<Disabled>());
    let filters = world.resource::<DefaultQueryFilters>();
    let disabling: HashSet<_> = filters.disabling_ids().collect();
    let wanted = [
        world.component_id::<Disabled>(),
        world.component_id::<Asleep>(),
    ];
    assert_eq!(disabling, wanted.into_iter().flatten().collect());
}

#[test]
fn ticks_stay() {
    let mut world = World::new();
    let before: Vec<Entity> = (0..50)
        .map(|n| {
            world
                .spawn((Health(n), Burning(Arc::default(), n.into())))
                .id()
        })
        .collect();
    world.insert_resource(Score("a".into()));
    for _ in 0..1000 {
        world.increment_change_tick();
    }
    world.clear_trackers();
    let last_run = world.change_tick();
    world.increment_change_tick();
    world.get_mut::<Health>(before[4]).unwrap().0 += 1;
    world.get_mut::<Burning>(before[5]).unwrap().1 += 1;
    let added = world.spawn(Health(0)).id();
    world.increment_change_tick();
    let score = pair(world.get_resource_change_ticks::<Score>());
    let (tick, last) = (world.change_tick(), world.last_change_tick());
    let spawned: Vec<_> = before
        .iter()
        .map(|&entity| world.entities().entity_get_spawn_or_despawn_tick(entity))
        .collect();

    rebuild(&mut world);

    assert_eq!(
        (world.change_tick(), world.last_change_tick()),
        (tick, last)
    );
    assert_eq!(pair(world.get_resource_change_ticks::<Score>()), score);
    for (&entity, &spawned) in before.iter().zip(&spawned) {
        assert_eq!(
            world.entities().entity_get_spawn_or_despawn_tick(entity),
            spawned
        );
    }
    let mut seen = IntoSystem::into_system(
        |healths: Query<(Entity, Ref<Health>)>,
         burning: Query<Entity, Changed<Burning>>,
         spawns: Query<(Entity, SpawnDetails)>| {
            let changed: Vec<_> = healths
                .iter()
                .filter(|(_, health)| health.is_changed())
                .map(|(entity, _)| entity)
                .collect();
            let added: Vec<_> = healths
                .iter()
                .filter(|(_, health)| health.is_added())
                .map(|(entity, _)| entity)
                .collect();
            let spawned: Vec<_> = spawns
                .iter()
                .filter(|(_, spawn)| spawn.is_spawned())
                .map(|(entity, _)| entity)
                .collect();
            (changed, added, burning.iter().collect::<Vec<_>>(), spawned)
        },
    );
    seen.initialize(&mut world);
    seen.set_last_run(last_run);
    let (changed, new, burning, spawned) = seen.run((), &mut world).unwrap();
    assert_eq!(changed, [before[4], added]);
    assert_eq!(new, [added]);
    assert_eq!(burning, [before[5]]);
    assert_eq!(spawned, [added]);
}

#[test]
fn several_archetypes_in_one_table() {
    let mut world = World::new();
    let counter = Arc::new(());
    let mut entities = Vec::new();
    for n in 0..300_u32 {
        let mut entity = world.spawn((Health(n), Position(0.0, n as f32, 0.0)));
        if n % 2 == 0 {
            entity.insert(Burning(counter.clone(), n.into()));
        }
        if n % 3 == 0 {
            entity.insert(Chilled);
        }
        entities.push(entity.id());
    }
    // Rows move about.
    for n in (0..300).step_by(7) {
        world.despawn(entities[n]);
    }
    let count = Arc::strong_count(&counter);
    rebuild(&mut world);
    check_consistency(&mut world);
    assert_eq!(Arc::strong_count(&counter), count);
    for (n, &entity) in entities.iter().enumerate() {
        if n % 7 == 0 {
            continue;
        }
        let entity = world.entity(entity);
        assert_eq!(entity.get::<Health>(), Some(&Health(n as u32)));
        assert_eq!(
            entity.get::<Position>(),
            Some(&Position(0.0, n as f32, 0.0))
        );
        let burning = entity.get::<Burning>().map(|burning| burning.1);
        assert_eq!(burning, (n % 2 == 0).then_some(n as u64));
        assert_eq!(entity.contains::<Chilled>(), n % 3 == 0);
    }
    drop(world);
    assert_eq!(Arc::strong_count(&counter), 1);
}

macro_rules! kinds {
    ($world:ident, $($n:literal)*) => {
        ([$(known::<Kind<$n>> as fn(&mut World)),*], [$($world.register_component::<Kind<$n>>()),*])
    };
}

#[test]
fn a_thousand_archetypes() {
    use engine_api::bevy_ecs::ptr::OwningPtr;
    let mut world = World::new();
    let (declare, ids) = kinds!(world, 0 1 2 3 4 5 6 7 8 9);
    let mut entities = Vec::new();
    for mask in 0..1024_u64 {
        for n in 0..2 {
            let mut entity = world.spawn_empty();
            for (bit, &id) in ids.iter().enumerate() {
                if mask & (1 << bit) != 0 {
                    OwningPtr::make(mask * 100 + bit as u64 + n, |value| {
                        // SAFETY: a `Kind` is a `u64`.
                        unsafe { entity.insert_by_id(id, value) };
                    });
                }
            }
            entities.push((entity.id(), mask, n));
        }
    }
    let rebuilt = begin(
        &mut world,
        RebuildPlan {
            declare: declare.into_iter().rev().collect(),
            treatments: HashMap::new(),
        },
    )
    .unwrap();
    let new_ids: Vec<_> = ids.iter().map(|&id| rebuilt.new_id(id).unwrap()).collect();
    assert_eq!(rebuilt.commit(&mut world), None);
    check_consistency(&mut world);
    for (entity, mask, n) in entities {
        for (bit, &id) in new_ids.iter().enumerate() {
            let value = world.get_by_id(entity, id);
            // SAFETY: a `Kind` is a `u64`.
            let value = value.map(|value| unsafe { *value.deref::<u64>() });
            let wanted = mask * 100 + bit as u64 + n;
            assert_eq!(value, (mask & (1 << bit) != 0).then_some(wanted));
        }
    }
}

#[test]
fn resources_and_messages_stay() {
    let mut world = World::new();
    let target = world.spawn_empty().id();
    world.insert_resource(Score("seven".into()));
    let arc = Arc::new(());
    world.insert_resource(Late(arc.clone()));
    world.remove_resource::<Late>();
    engine_api::bevy_ecs::message::MessageRegistry::register_message::<Hit>(&mut world);
    world.write_message(Hit(target));
    let score = world
        .resource_entities()
        .get(world.component_id::<Score>().unwrap());
    let late = world
        .resource_entities()
        .get(world.component_id::<Late>().unwrap());

    rebuild(&mut world);

    check_consistency(&mut world);
    assert_eq!(world.resource::<Score>().0, "seven");
    assert_eq!(
        world
            .resource_entities()
            .get(world.component_id::<Score>().unwrap()),
        score
    );
    assert_eq!(world.resource::<Messages<Hit>>().len(), 1);
    assert!(world.get_resource::<MessageRegistry>().is_none());
    // A resource that was removed keeps its entity.
    assert!(world.get_resource::<Late>().is_none());
    world.insert_resource(Late(arc.clone()));
    assert_eq!(
        world
            .resource_entities()
            .get(world.component_id::<Late>().unwrap()),
        late
    );
    world.insert_resource(Score("eight".into()));
    assert_eq!(world.resource::<Score>().0, "eight");
    assert_eq!(world.query::<&Score>().iter(&world).count(), 1);
}

#[test]
fn a_resource_of_a_type_that_is_gone_goes() {
    #[derive(Resource)]
    struct Gone(#[expect(dead_code, reason = "counts")] Arc<()>);
    let mut world = World::new();
    let arc = Arc::new(());
    world.insert_resource(Gone(arc.clone()));
    let gone = world.component_id::<Gone>().unwrap();
    let entity = world.resource_entities().get(gone).unwrap();
    assert!(matches!(
        begin(&mut world, plan([])),
        Err(RebuildError::Undeclared { component, count: 1, .. }) if component == gone
    ));
    let rebuilt = begin(&mut world, plan([(gone, Treatment::Leave)])).unwrap();
    assert_eq!(rebuilt.commit(&mut world), None);
    assert_eq!(Arc::strong_count(&arc), 1);
    assert!(world.get_entity(entity).is_err());
    check_consistency(&mut world);
    let mut ids: HashSet<Entity> = world.query::<Entity>().iter(&world).collect();
    for _ in 0..300 {
        assert!(ids.insert(world.spawn_empty().id()));
    }
}

#[test]
fn hooks_and_observers_wait() {
    let mut world = World::new();
    let hooked = world.spawn(Hooked(1)).id();
    // The required one is gone again, and must not come back.
    world.entity_mut(hooked).remove::<Velocity>();
    let watched = world.spawn(Health(1)).id();
    let observer = Observer::new(|_: On<Add<Health>>| ()).with_entity(watched);
    let observer = world.spawn((observer, Name::new("observer"))).id();
    world.flush();
    let fired = HOOKS.load(Ordering::Relaxed);

    let mut rebuilt = begin(&mut world, plan([])).unwrap();
    let old = OldObserver {
        entity: observer,
        watched: vec![watched],
    };
    assert_eq!(rebuilt.observers(), [old]);
    let new = rebuilt.world();
    assert_eq!(new.entity(observer).archetype().component_count(), 1);
    assert_eq!(new.entity(watched).archetype().component_count(), 1);
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = seen.clone();
    new.entity_mut(observer)
        .insert(Observer::new(move |_: On<Add<Health>>| {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
    assert_eq!(rebuilt.commit(&mut world), None);
    assert_eq!(HOOKS.load(Ordering::Relaxed), fired);
    assert!(world.get::<Velocity>(hooked).is_none());

    world.spawn(Health(2));
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    let fresh = world.spawn(Hooked(2)).id();
    assert_eq!(HOOKS.load(Ordering::Relaxed), fired + 2);
    assert_eq!(world.get::<Velocity>(fresh), Some(&Velocity(7.0, 7.0)));
    // Also for an entity that was moved.
    world.entity_mut(hooked).remove::<Hooked>();
    assert_eq!(HOOKS.load(Ordering::Relaxed), fired + 3);
}

/// A world with values that own something, and the counter of what they share.
fn owning_world() -> (World, Arc<()>, Vec<Entity>) {
    let (mut world, arc) = (World::new(), Arc::new(()));
    let entities = (0..200_u16)
        .map(|n| {
            let mut entity = world.spawn((
                Label(format!("entity {n}"), vec![n; 5]),
                Shared(arc.clone()),
            ));
            if n % 2 == 0 {
                entity.insert(Burning(arc.clone(), 1));
            }
            if n % 5 == 0 {
                entity.insert(Marker);
            }
            entity.id()
        })
        .collect();
    world.insert_resource(Score("owned".into()));
    world.insert_resource(Late(arc.clone()));
    (world, arc, entities)
}

fn check_owning(world: &World, entities: &[Entity]) {
    for (n, &entity) in entities.iter().enumerate() {
        let n = n as u16;
        let label = Label(format!("entity {n}"), vec![n; 5]);
        assert_eq!(world.get::<Label>(entity), Some(&label));
        assert_eq!(world.get::<Marker>(entity).is_some(), n.is_multiple_of(5));
    }
    assert_eq!(world.resource::<Score>().0, "owned");
}

#[test]
fn what_values_own_is_neither_lost_nor_dropped_twice() {
    let (mut world, arc, entities) = owning_world();
    let count = Arc::strong_count(&arc);
    for _ in 0..3 {
        rebuild(&mut world);
        assert_eq!(Arc::strong_count(&arc), count);
        check_owning(&world, &entities);
        let rebuilt = begin(&mut world, plan([])).unwrap();
        assert_eq!(rebuilt.roll_back(&mut world), None);
        assert_eq!(Arc::strong_count(&arc), count);
        check_owning(&world, &entities);
    }
    world.despawn(entities[0]);
    assert_eq!(Arc::strong_count(&arc), count - 2);
    drop(world);
    assert_eq!(Arc::strong_count(&arc), 1);
}

#[test]
fn converted_cloned_and_left_values() {
    let (mut world, arc, entities) = owning_world();
    let count = Arc::strong_count(&arc);
    let id = |world: &World, type_id| world.components().get_id(type_id).unwrap();
    let shared = id(&world, TypeId::of::<Shared>());
    let burning = id(&world, TypeId::of::<Burning>());
    let label = id(&world, TypeId::of::<Label>());
    let to_other = || convert(|_, shared: &Shared| Ok(OtherShared(shared.0.clone(), 5)));
    let treatments = || {
        [
            (shared, to_other()),
            (burning, Treatment::cloning::<Burning>()),
            (label, Treatment::Leave),
        ]
    };
    let before = print_of(&world);
    let rebuilt = begin(&mut world, plan(treatments())).unwrap();
    assert_eq!(Arc::strong_count(&arc), count + 300);
    assert_eq!(rebuilt.roll_back(&mut world), None);
    assert_eq!(Arc::strong_count(&arc), count);
    assert_eq!(print_of(&world), before);

    let rebuilt = begin(&mut world, plan(treatments())).unwrap();
    assert_eq!(rebuilt.commit(&mut world), None);
    check_consistency(&mut world);
    assert_eq!(Arc::strong_count(&arc), count);
    for (n, &entity) in entities.iter().enumerate() {
        let entity = world.entity(entity);
        assert!(!entity.contains::<Label>() && !entity.contains::<Shared>());
        assert_eq!(entity.get::<OtherShared>().unwrap().1, 5);
        assert_eq!(entity.contains::<Burning>(), n % 2 == 0);
    }
    drop(world);
    assert_eq!(Arc::strong_count(&arc), 1);
}

#[test]
fn a_conversion_keeps_ticks_and_neighbours() {
    let mut world = World::new();
    let all: Vec<Entity> = (0..100)
        .map(|n| world.spawn((Health(n), Velocity(n as f32, 1.0))).id())
        .collect();
    world.increment_change_tick();
    world.get_mut::<Health>(all[9]).unwrap().0 = 1000;
    let ticks: Vec<_> = all
        .iter()
        .map(|&e| pair(world.entity(e).get_change_ticks::<Health>()))
        .collect();
    let health = world.component_id::<Health>().unwrap();
    let to_float = convert(|_, health: &Health| Ok(FloatHealth(health.0 as f32)));
    let rebuilt = begin(&mut world, plan([(health, to_float)])).unwrap();
    assert_eq!(rebuilt.commit(&mut world), None);
    for (n, &entity) in all.iter().enumerate() {
        let wanted = if n == 9 { 1000.0 } else { n as f32 };
        let entity = world.entity(entity);
        assert_eq!(entity.get::<FloatHealth>(), Some(&FloatHealth(wanted)));
        assert_eq!(entity.get::<Velocity>(), Some(&Velocity(n as f32, 1.0)));
        assert_eq!(pair(entity.get_change_ticks::<FloatHealth>()), ticks[n]);
    }
}

#[test]
fn a_failed_conversion_changes_nothing() {
    let (mut world, arc, entities) = owning_world();
    let count = Arc::strong_count(&arc);
    let before = print_of(&world);
    let total = format!("{:?}", world.entity_allocator());
    let shared = world.component_id::<Shared>().unwrap();
    let burning = world.component_id::<Burning>().unwrap();
    let last = *entities.last().unwrap();
    let fail = |panics: bool| {
        convert(move |entity, shared: &Shared| {
            if entity == last {
                assert!(!panics, "cannot do it");
                return Err("too hot".to_owned());
            }
            Ok(OtherShared(shared.0.clone(), 5))
        })
    };
    let treatments = [
        (shared, fail(false)),
        (burning, Treatment::cloning::<Burning>()),
    ];
    let error = begin(&mut world, plan(treatments)).err().unwrap();
    assert!(
        matches!(&error, RebuildError::Conversion { component, entity, message }
            if *component == shared && *entity == last && message == "too hot"),
        "{error}"
    );
    assert_eq!(Arc::strong_count(&arc), count);
    assert_eq!(print_of(&world), before);
    assert_eq!(format!("{:?}", world.entity_allocator()), total);
    check_owning(&world, &entities);
    check_consistency(&mut world);

    let error = begin(&mut world, plan([(shared, fail(true))]))
        .err()
        .unwrap();
    assert!(
        matches!(&error, RebuildError::Panicked { report } if report.message == "cannot do it")
    );
    assert_eq!(print_of(&world), before);
    rebuild(&mut world);
    check_owning(&world, &entities);
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let mut world = World::new();
    world.spawn((Health(1), Velocity(1.0, 1.0)));
    world.spawn((FloatHealth(1.0), Health(1)));
    let before = print_of(&world);
    let health = world.component_id::<Health>().unwrap();
    let velocity = world.component_id::<Velocity>().unwrap();
    let to = |type_id| Treatment::Move { to: Some(type_id) };
    let undeclared = RebuildPlan {
        declare: vec![known::<Health>, known::<FloatHealth>],
        treatments: HashMap::new(),
    };
    let panics = RebuildPlan {
        declare: vec![|_| panic!("no declaration")],
        treatments: HashMap::new(),
    };
    let cases: Vec<(RebuildPlan<'_>, Check)> = vec![
        (undeclared, |error| {
            matches!(
                error,
                RebuildError::Undeclared {
                    size: 8,
                    count: 1,
                    ..
                }
            )
        }),
        (panics, |error| {
            matches!(error, RebuildError::Panicked { .. })
        }),
        (plan([(velocity, to(TypeId::of::<Position>()))]), |error| {
            matches!(error, RebuildError::Layout { .. })
        }),
        (plan([(health, to(TypeId::of::<FloatHealth>()))]), |error| {
            matches!(error, RebuildError::Merged { .. })
        }),
    ];
    for (plan, is_right) in cases {
        let error = begin(&mut world, plan).err().unwrap();
        assert!(is_right(&error), "{error}");
        assert_eq!(print_of(&world), before);
    }
}

#[test]
fn a_move_to_another_type() {
    let mut world = World::new();
    let entity = world.spawn(Health(1.5_f32.to_bits())).id();
    let health = world.component_id::<Health>().unwrap();
    let to = Some(TypeId::of::<FloatHealth>());
    let rebuilt = begin(&mut world, plan([(health, Treatment::Move { to })])).unwrap();
    assert_eq!(rebuilt.commit(&mut world), None);
    assert_eq!(world.get::<FloatHealth>(entity), Some(&FloatHealth(1.5)));
}

#[test]
fn another_storage() {
    let mut world = World::new();
    let arc = Arc::new(());
    let shared: Vec<Entity> = (0..10)
        .map(|n| world.spawn((Shared(arc.clone()), Health(n))).id())
        .collect();
    let burning: Vec<Entity> = (0..10)
        .map(|n| {
            world
                .spawn((Burning(arc.clone(), n.into()), Health(n)))
                .id()
        })
        .collect();
    let id = |world: &World, type_id| world.components().get_id(type_id).unwrap();
    let treatments = [
        (
            id(&world, TypeId::of::<Shared>()),
            convert(|_, old: &Shared| Ok(Burning(old.0.clone(), 77))),
        ),
        (
            id(&world, TypeId::of::<Burning>()),
            convert(|_, old: &Burning| Ok(Shared(old.0.clone()))),
        ),
    ];
    let rebuilt = begin(&mut world, plan(treatments)).unwrap();
    assert_eq!(rebuilt.commit(&mut world), None);
    assert_eq!(Arc::strong_count(&arc), 21);
    assert!(
        shared
            .iter()
            .all(|&entity| world.get::<Burning>(entity).unwrap().1 == 77)
    );
    assert!(
        burning
            .iter()
            .all(|&entity| world.get::<Shared>(entity).is_some())
    );
}

#[test]
fn what_is_made_meanwhile_stays_or_vanishes() {
    let (mut world, arc, entities) = owning_world();
    for &entity in &entities[150..] {
        world.despawn(entity);
    }
    let count = Arc::strong_count(&arc);
    let before = print_of(&world);
    let allocator = format!("{:?}", world.entity_allocator());
    let meanwhile = |rebuilt: &mut Rebuilt| {
        let new = rebuilt.world();
        let mut spawned: Vec<Entity> = (0..200)
            .map(|_| {
                new.spawn((Shared(arc.clone()), Burning(arc.clone(), 3)))
                    .id()
            })
            .collect();
        for entity in spawned.drain(..150) {
            new.despawn(entity);
        }
        new.insert_resource(Other(arc.clone()));
        spawned
    };
    let mut rebuilt = begin(&mut world, plan([])).unwrap();
    let spawned = meanwhile(&mut rebuilt);
    assert!(
        spawned
            .iter()
            .all(|&entity| world.entities().get_spawned(entity).is_err())
    );
    assert_eq!(Arc::strong_count(&arc), count + 101);
    assert_eq!(rebuilt.roll_back(&mut world), None);
    assert_eq!(Arc::strong_count(&arc), count);
    assert_eq!(print_of(&world), before);
    assert_eq!(format!("{:?}", world.entity_allocator()), allocator);

    let mut rebuilt = begin(&mut world, plan([])).unwrap();
    let spawned = meanwhile(&mut rebuilt);
    assert_eq!(rebuilt.commit(&mut world), None);
    assert_eq!(Arc::strong_count(&arc), count + 101);
    check_consistency(&mut world);
    check_owning(&world, &entities[..150]);
    let mut ids: HashSet<Entity> = world.query::<Entity>().iter(&world).collect();
    assert!(spawned.iter().all(|entity| ids.contains(entity)));
    for _ in 0..3000 {
        let entity = world.spawn(Marker).id();
        assert!(ids.insert(entity), "{entity} was given out twice");
    }
    check_consistency(&mut world);
    drop(world);
    assert_eq!(Arc::strong_count(&arc), 1);
}

#[test]
fn nothing_and_values_without_size() {
    let mut world = World::new();
    rebuild(&mut world);
    rebuild(&mut world);
    assert_eq!(world.entity_count(), World::new().entity_count());
    let marked: Vec<Entity> = (0..10)
        .map(|_| world.spawn((Marker, Chilled)).id())
        .collect();
    let id = world.component_id::<Marker>().unwrap();
    let rebuilt = begin(&mut world, plan([(id, Treatment::cloning::<Marker>())])).unwrap();
    assert_eq!(rebuilt.commit(&mut world), None);
    rebuild(&mut world);
    let mut query = world.query_filtered::<Entity, (With<Marker>, With<Chilled>)>();
    assert_eq!(query.iter(&world).collect::<Vec<_>>(), marked);
}

#[derive(Component)]
struct DropsLoudly(Arc<AtomicUsize>, bool);
impl Drop for DropsLoudly {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert!(!self.1, "dropped");
    }
}

#[test]
fn a_drop_that_panics_stops_nothing() {
    let mut world = World::new();
    let drops = Arc::new(AtomicUsize::new(0));
    for n in 0..20 {
        world.spawn((DropsLoudly(drops.clone(), n % 4 == 0), Health(n)));
    }
    let id = world.component_id::<DropsLoudly>().unwrap();
    rebuild(&mut world);
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    let id = world.component_id::<DropsLoudly>().unwrap_or(id);
    let rebuilt = begin(&mut world, plan([(id, Treatment::Leave)])).unwrap();
    let report = rebuilt.commit(&mut world).unwrap();
    assert_eq!(report.message, "dropped");
    assert_eq!(drops.load(Ordering::Relaxed), 20);
    assert_eq!(world.query::<&Health>().iter(&world).count(), 20);
    assert_eq!(Arc::strong_count(&drops), 1);
}

#[test]
fn non_send_values_move() {
    struct Local(std::rc::Rc<()>);
    fn known_local(world: &mut World) {
        world.components_registrator().register_non_send::<Local>();
    }
    let mut world = World::new();
    let rc = std::rc::Rc::new(());
    world.insert_non_send(Local(rc.clone()));
    let with_local = || RebuildPlan {
        declare: vec![known_local],
        treatments: HashMap::new(),
    };
    assert!(matches!(
        begin(&mut world, plan([])),
        Err(RebuildError::Undeclared { .. })
    ));
    let rebuilt = begin(&mut world, with_local()).unwrap();
    assert_eq!(rebuilt.roll_back(&mut world), None);
    assert_eq!(std::rc::Rc::strong_count(&world.non_send::<Local>().0), 2);
    let rebuilt = begin(&mut world, with_local()).unwrap();
    assert_eq!(rebuilt.commit(&mut world), None);
    assert_eq!(std::rc::Rc::strong_count(&world.non_send::<Local>().0), 2);
    drop(world);
    assert_eq!(std::rc::Rc::strong_count(&rc), 1);
}

/// Prints what a rebuild of a million entities costs, beside a bare copy of the same
/// columns and ticks. `cargo test --release rebuild::tests::measure -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn measure() {
    const COUNT: usize = 1_000_000;
    let per_entity =
        |start: Instant, count: usize| start.elapsed().as_nanos() as f64 / count as f64;
    for count in [10_000, COUNT] {
        let mut world = World::new();
        world.spawn_batch((0..count).map(|n| {
            (
                Position(n as f32, 0.0, 0.0),
                Velocity(1.0, 1.0),
                Health(n as u32),
            )
        }));
        for round in 0..4 {
            let start = Instant::now();
            let sizes = [12, 8, 4].map(|size| size + 2 * size_of::<Tick>());
            let columns: Vec<Vec<u8>> =
                sizes.map(|size| vec![round as u8 + 1; size * count]).into();
            let fill = per_entity(start, count);
            let start = Instant::now();
            let copies: Vec<Vec<u8>> = columns
                .iter()
                .map(|column| column.as_slice().to_vec())
                .collect();
            let copy = per_entity(start, count);
            drop((columns, copies));

            let start = Instant::now();
            let rebuilt = begin(&mut world, plan([])).unwrap();
            let begun = per_entity(start, count);
            let start = Instant::now();
            rebuilt.commit(&mut world);
            let committed = per_entity(start, count);

            let health = world.component_id::<Health>().unwrap();
            let convert = convert(|_, health: &Health| Ok(FloatHealth(health.0 as f32)));
            let start = Instant::now();
            let rebuilt = begin(&mut world, plan([(health, convert)])).unwrap();
            let converted = per_entity(start, count);
            let start = Instant::now();
            rebuilt.roll_back(&mut world);
            let rolled_back = per_entity(start, count);
            println!(
                "{count:>8} entities, round {round}, ns each: begin {begun:.1} commit {committed:.1} \
                 begin with a conversion {converted:.1} roll back {rolled_back:.1}; \
                 bare copy {copy:.1} (filling its source {fill:.1})"
            );
        }
    }
}
