//! What becomes of values: moved, converted, cloned, left; who owns them.

use super::*;

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
