//! Observers that entities have by name, over swaps.

use engine_api::bevy_ecs::entity_disabling::Disabled;

use super::*;

#[derive(EntityEvent, TypePath)]
struct Hurt {
    entity: Entity,
}

/// Climbs from children to parents.
#[derive(EntityEvent, TypePath)]
#[entity_event(propagate, auto_propagate)]
struct Noise {
    entity: Entity,
}

/// What a version registers, and what its code does to an entity.
struct Version {
    build: Build,
    attach: fn(&mut EntityWorldMut<'_>),
    detach: fn(&mut EntityWorldMut<'_>),
}

/// A version whose `on_hurt` and `on_noise` have the paths of those of every other version, and
/// bodies of their own.
macro_rules! version {
    ($number:literal, $health:ty) => {{
        fn on_hurt(hurt: On<Hurt>, mut journal: ResMut<Journal>) {
            let line = format!("{} hurts {}", $number, hurt.entity);
            journal.0.push(line);
        }
        fn on_noise(noise: On<Noise>, mut journal: ResMut<Journal>) {
            let line = format!("{} noise {}", $number, noise.entity);
            journal.0.push(line);
        }
        fn build(m: &mut ModuleBuilder) {
            m.component::<$health>()
                .resource::<Journal>()
                .event::<Hurt>()
                .entity_observer(on_hurt)
                .entity_observer(on_noise);
        }
        Version {
            build,
            attach: |entity| {
                entity.attach(on_hurt).attach(on_noise);
            },
            detach: |entity| {
                entity.detach(on_hurt);
            },
        }
    }};
}

/// The second differs in its code, the third in a layout as well.
fn versions() -> [Version; 3] {
    [
        version!(1, Health),
        version!(2, Health),
        version!(3, other::Health),
    ]
}

/// Knows nothing of what is attached.
fn bare(m: &mut ModuleBuilder) {
    m.component::<Health>().resource::<Journal>();
}

impl Game {
    fn hurt(&mut self, entity: Entity) -> Vec<String> {
        self.world.trigger(Hurt { entity });
        self.journal()
    }

    fn noise(&mut self, entity: Entity) -> Vec<String> {
        self.world.trigger(Noise { entity });
        self.journal()
    }

    fn attached(&mut self, version: &Version) -> Entity {
        let mut entity = self.world.spawn(Health { points: 7 });
        (version.attach)(&mut entity);
        entity.id()
    }
}

#[test]
fn the_next_event_runs_the_code_of_the_next_version() {
    let [first, second, third] = versions();
    for (next, number, rebuilds) in [(second, 2, false), (third, 3, true)] {
        let mut game = Game::with(first.build);
        let hurt = game.attached(&first);
        let parent = game.attached(&first);
        let without = game.world.spawn(ChildOf(parent)).id();
        let gone = game.attached(&first);
        game.world.despawn(gone);
        assert_eq!(game.hurt(hurt), [format!("1 hurts {hurt}")]);
        let world = game.world.id();

        assert_eq!(game.swap("game", next.build), Ok(Some(1)));
        assert_eq!(game.world.id() != world, rebuilds);
        assert_eq!(game.unheard, Vec::<String>::new());
        assert_eq!(game.hurt(hurt), [format!("{number} hurts {hurt}")]);
        assert_eq!(game.hurt(without), Vec::<String>::new());
        assert_eq!(game.noise(without), [format!("{number} noise {parent}")]);
        let again = game.world.spawn_empty().id();
        for entity in [gone, again] {
            assert_eq!(game.hurt(entity), Vec::<String>::new());
        }

        // What the old version attached, the new one attaches no second time and detaches.
        (next.attach)(&mut game.world.entity_mut(hurt));
        assert_eq!(game.hurt(hurt).len(), 1);
        (next.detach)(&mut game.world.entity_mut(hurt));
        assert_eq!(game.hurt(hurt), Vec::<String>::new());
        assert_eq!(game.noise(hurt).len(), 1, "the other stays");
        assert_eq!(game.modules.foreign_observers(&game.world), 0);
    }
}

#[test]
fn what_is_no_longer_registered_is_told_and_stays_attached() {
    fn changed(m: &mut ModuleBuilder) {
        m.component::<other::Health>().resource::<Journal>();
    }
    let [first, ..] = versions();
    for without in [bare as Build, changed] {
        let mut game = Game::with(first.build);
        let entities = [(); 3].map(|()| game.attached(&first));
        game.world.entity_mut(entities[2]).insert(Disabled);
        (first.detach)(&mut game.world.entity_mut(entities[0]));

        game.swap("game", without).unwrap();
        let [hurt, noise] = game.unheard.as_slice() else {
            panic!("{:?}", game.unheard)
        };
        let expected = "attached::versions::on_hurt` is attached to 2 entities and registered by \
                        no module";
        assert!(hurt.contains(expected), "{hurt}");
        assert!(noise.contains("on_noise` is attached to 3 "), "{noise}");
        assert_eq!(game.hurt(entities[1]), Vec::<String>::new());

        // Another module may have them as well.
        game.swap("other", |m| {
            m.resource::<Extra>();
        })
        .unwrap();
        assert_eq!(game.unheard.len(), 2, "{:?}", game.unheard);

        game.swap("game", first.build).unwrap();
        assert_eq!(game.unheard, Vec::<String>::new());
        let hurts = entities.map(|entity| game.hurt(entity).len());
        assert_eq!(hurts, [0, 1, 1], "back, where it was");
    }
}

#[test]
fn a_rebuild_takes_the_observers_of_other_modules_along() {
    fn neighbour(m: &mut ModuleBuilder) {
        m.component::<Health>();
    }
    fn changed(m: &mut ModuleBuilder) {
        m.component::<other::Health>();
    }
    fn hearing(m: &mut ModuleBuilder) {
        m.resource::<Journal>().entity_observer(heard);
    }
    fn heard(_: On<Hurt>, mut journal: ResMut<Journal>) {
        journal.0.push("heard".to_owned());
    }
    let mut game = Game::with(hearing);
    game.swap("other", neighbour).unwrap();
    let entity = game.world.spawn(Health { points: 7 }).attach(heard).id();
    let world = game.world.id();
    game.swap("other", changed).unwrap();
    assert_ne!(game.world.id(), world);
    assert_eq!(game.unheard, Vec::<String>::new());
    assert_eq!(game.hurt(entity), ["heard"]);
}

#[test]
fn a_version_that_is_refused_changes_nothing_of_what_is_attached() {
    fn refused(m: &mut ModuleBuilder) {
        fn late(_: On<Hurt>) {}
        bare(m);
        m.entity_observer(late).on_load(|world: &mut World, _| {
            let entities: Vec<Entity> = world
                .query_filtered::<Entity, With<Attached>>()
                .iter(world)
                .collect();
            for entity in entities {
                world.entity_mut(entity).attach(late);
            }
            Err::<(), _>("no".to_owned())
        });
    }
    fn panics(m: &mut ModuleBuilder) {
        bare(m);
        m.entity_observer(|_: On<Hurt>, _: Query<&mut Health>, _: Query<&mut Health>| {});
    }
    let [first, ..] = versions();
    let mut game = Game::with(first.build);
    let entity = game.attached(&first);
    let before = game.world.get::<Attached>(entity).cloned();
    for build in [refused as Build, panics] {
        game.swap("game", build).unwrap_err();
        assert_eq!(game.world.get::<Attached>(entity), before.as_ref());
        assert_eq!(game.hurt(entity).len(), 1);
    }
}

#[test]
fn a_panic_pauses_it_until_the_next_version_and_is_a_fault() {
    fn on_hurt(_: On<Hurt>) {
        panic!("ouch");
    }
    fn broken(m: &mut ModuleBuilder) {
        bare(m);
        m.entity_observer(on_hurt);
    }
    let mut game = Game::with(broken);
    let entity = game.world.spawn_empty().attach(on_hurt).id();
    game.hurt(entity);
    game.hurt(entity);
    game.frame();
    let [SystemFault::Panicked { id, report }] = game.faults.as_slice() else {
        panic!("{:?}", game.faults)
    };
    assert_eq!(report.message, "ouch");
    let (_, version, name) = game.registry.name_call(*id).unwrap();
    assert!(version == 1 && name.ends_with("on_hurt"), "{name}");
    game.swap("game", broken).unwrap();
    game.hurt(entity);
    game.frame();
    assert_eq!(game.faults.len(), 2, "it got another chance");
}
