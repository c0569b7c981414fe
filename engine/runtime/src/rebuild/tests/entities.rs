//! What stays of entities: ids, relations, ticks, archetypes, resources, hooks.

use super::*;

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
    let mut seen: HashSet<Entity> = world.query::<Entity>().iter(&world).collect();
    assert!(spawned.iter().all(|entity| seen.contains(entity)));
    let total = ids::total(world.entity_allocator()).unwrap();
    for _ in 0..3000 {
        let entity = world.spawn(Marker).id();
        assert!(seen.insert(entity), "{entity} was given out twice");
    }
    // Ids that were freed meanwhile are used again (some wait in a buffer).
    assert!(ids::total(world.entity_allocator()).unwrap() - total < 2900);
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

#[test]
fn summary_ticks_say_what_changed() {
    let mut world = World::new();
    let tracked: Vec<Entity> = (0..10).map(|n| world.spawn(Tracked(n)).id()).collect();
    let untracked = world.spawn((Untracked(0), Marker)).id();
    world.increment_change_tick();
    let last_run = world.change_tick();
    world.increment_change_tick();
    world.get_mut::<Tracked>(tracked[3]).unwrap().0 += 1;
    world.get_mut::<Untracked>(untracked).unwrap().0 += 1;
    let id = world.component_id::<Untracked>().unwrap();
    let to_tracked = convert(|_, old: &Untracked| Ok(Tracked(old.0)));
    let rebuilt = begin(&mut world, plan([(id, to_tracked)])).unwrap();
    assert_eq!(rebuilt.commit(&mut world), None);
    let now = world.change_tick();
    let id = world.component_id::<Tracked>().unwrap();
    for entity in [tracked[3], untracked] {
        let location = world.entities().get_spawned(entity).unwrap();
        let table = &world.storages().tables[location.table_id];
        let summary = table.get_summary_tick(id).unwrap().get();
        assert!(summary.is_newer_than(last_run, now), "{entity}");
    }
}

/// Why observers are left. When this no longer panics, they can be carried over.
#[test]
#[should_panic(expected = "System built with a different world")]
fn an_observer_belongs_to_the_world_it_was_in() {
    #[derive(Event)]
    struct Ping;
    let mut old = World::new();
    let entity = old.add_observer(|_: On<Ping>| {}).id();
    old.flush();
    let observer = old.entity_mut(entity).take::<Observer>();
    let mut new = World::new();
    new.spawn(observer.expect("it is there"));
    new.flush();
}
