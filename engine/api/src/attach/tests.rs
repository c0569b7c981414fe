use std::sync::{Arc, Mutex};

use super::*;
use crate::observer::{CallGate, ObserverRegistration};
use crate::prelude::*;

#[derive(EntityEvent)]
struct Hurt {
    entity: Entity,
}

/// Climbs from children to parents.
#[derive(EntityEvent)]
#[entity_event(propagate, auto_propagate)]
struct Noise {
    entity: Entity,
}

#[derive(Component, Reflect, Default)]
#[reflect(Component, Default)]
struct Armor;

/// Who heard, in order.
#[derive(Resource, Reflect, Default)]
struct Heard(Vec<(Entity, String)>);

impl Heard {
    fn note(&mut self, entity: Entity, what: &str) {
        self.0.push((entity, what.to_owned()));
    }
}

fn on_hurt(hurt: On<Hurt>, mut heard: ResMut<Heard>) {
    heard.note(hurt.entity, "hurt");
}
fn on_noise(noise: On<Noise>, mut heard: ResMut<Heard>) {
    heard.note(noise.entity, "noise");
}
fn on_armor(armor: On<Add<Armor>>, mut heard: ResMut<Heard>) {
    heard.note(armor.entity, "armor on");
}
fn on_bare(armor: On<Remove<Armor>>, mut heard: ResMut<Heard>) {
    heard.note(armor.entity, "armor off");
}
/// Touches what the engine looks at.
fn once(hurt: On<Hurt>, mut attached: Query<&mut Attached>, mut commands: Commands) {
    assert!(attached.get_mut(hurt.entity).is_ok());
    commands.entity(hurt.entity).detach(once);
    commands.queue(|world: &mut World| {
        let mut heard = world.resource_mut::<Heard>();
        heard.note(Entity::PLACEHOLDER, "once");
    });
}
fn fail(_: On<Hurt>) {
    panic!("broken");
}

/// Counts calls and what panicked.
#[derive(Default)]
struct Gate(Mutex<(usize, Vec<String>)>);

impl CallGate for Gate {
    fn enter(&self) -> bool {
        self.0.lock().unwrap().0 += 1;
        true
    }
    fn exit(&self, panic: Option<String>) {
        self.0.lock().unwrap().1.extend(panic);
    }
}

fn register(m: &mut ModuleBuilder) {
    m.entity_observer(on_hurt)
        .entity_observer(on_noise)
        .entity_observer(on_armor)
        .entity_observer(on_bare)
        .entity_observer(once)
        .entity_observer(fail);
}

/// A world with observers and one gate for all of them.
struct Game {
    world: World,
    gate: Arc<Gate>,
}

impl Game {
    fn new() -> Self {
        let mut world = World::new();
        declare(&mut world);
        world.init_resource::<Heard>();
        let gate = Arc::new(Gate::default());
        for observer in registrations() {
            assert!(observer.attachable);
            (observer.spawn)(&mut world, gate.clone());
        }
        world.flush();
        Self { world, gate }
    }

    fn heard(&mut self) -> Vec<(Entity, String)> {
        std::mem::take(&mut self.world.resource_mut::<Heard>().0)
    }

    fn hurt(&mut self, entity: Entity) -> usize {
        self.world.trigger(Hurt { entity });
        self.world.flush();
        self.heard().len()
    }
}

fn registrations() -> Vec<ObserverRegistration> {
    let mut m = ModuleBuilder::new();
    register(&mut m);
    let description = m.finish();
    assert_eq!(description.errors, Vec::<String>::new());
    description.observers
}

#[test]
fn an_observer_hears_the_entities_it_is_attached_to_once_each() {
    let mut game = Game::new();
    let [one, other, third] = [(); 3].map(|()| game.world.spawn_empty().id());
    game.world.entity_mut(one).attach(on_hurt).attach(on_hurt);
    game.world.commands().entity(other).attach(on_hurt);
    game.world.flush();
    assert_eq!(
        [one, other, third].map(|entity| game.hurt(entity)),
        [1, 1, 0]
    );
    assert_eq!(game.gate.0.lock().unwrap().0, 2, "only those are calls");
    let names: Vec<_> = game.world.get::<Attached>(one).unwrap().names().collect();
    assert_eq!(names, ["engine_api::attach::tests::on_hurt"]);

    game.world.entity_mut(one).detach(on_noise).detach(on_hurt);
    game.world.commands().entity(other).detach(on_hurt);
    game.world.flush();
    assert_eq!([one, other].map(|entity| game.hurt(entity)), [0, 0]);
    assert!(!game.world.entity(one).contains::<Attached>());
    game.world.entity_mut(one).detach(on_hurt);

    // An entity that is gone, and one in its place.
    game.world.entity_mut(other).attach(on_hurt);
    game.world.despawn(other);
    assert_eq!(game.hurt(other), 0);
    let clone = game.world.entity_mut(one).attach(on_hurt).clone_and_spawn();
    assert_eq!(game.hurt(clone), 1, "a clone has what the entity has");
}

#[test]
fn an_event_that_climbs_asks_each_entity_on_its_way() {
    let mut game = Game::new();
    let top = game.world.spawn_empty().attach(on_noise).id();
    let middle = game.world.spawn(ChildOf(top)).id();
    let bottom = game.world.spawn(ChildOf(middle)).attach(on_noise).id();
    game.world.trigger(Noise { entity: bottom });
    let noise = |entity| (entity, "noise".to_owned());
    assert_eq!(game.heard(), [noise(bottom), noise(top)]);
    game.world.trigger(Noise { entity: middle });
    assert_eq!(game.heard(), [noise(top)]);
}

#[test]
fn what_happens_to_components_is_heard_too() {
    let mut game = Game::new();
    let entity = game.world.spawn_empty().attach(on_armor).id();
    game.world.entity_mut(entity).attach(on_bare).insert(Armor);
    game.world.spawn(Armor);
    assert_eq!(game.heard(), [(entity, "armor on".to_owned())]);
    game.world.despawn(entity);
    assert_eq!(game.heard(), [(entity, "armor off".to_owned())]);
}

#[test]
fn an_observer_may_detach_itself_and_query_what_is_attached() {
    let mut game = Game::new();
    let entity = game.world.spawn_empty().attach(once).id();
    assert_eq!([(); 2].map(|()| game.hurt(entity)), [1, 0]);
}

#[test]
fn a_panic_pauses_it_for_all_entities() {
    let mut game = Game::new();
    let [one, other] = [(); 2].map(|()| game.world.spawn_empty().attach(fail).id());
    game.hurt(one);
    game.hurt(other);
    assert_eq!(*game.gate.0.lock().unwrap(), (1, vec!["broken".to_owned()]));
}

#[test]
fn a_function_that_nobody_registered_is_noticed_once() {
    let mut game = Game::new();
    game.world
        .insert_resource(Attachable::new(vec![type_name_of(&on_hurt)]));
    for _ in 0..3 {
        game.world.spawn_empty().attach(on_hurt).attach(on_noise);
    }
    let missed = &game.world.resource::<Attachable>().missed;
    assert_eq!(*missed, [type_name_of(&on_noise)]);
}

fn type_name_of<T>(_: &T) -> String {
    type_name::<T>().to_owned()
}

#[test]
fn what_has_no_name_or_is_there_twice_is_refused() {
    let errors = |register: fn(&mut ModuleBuilder)| {
        let mut m = ModuleBuilder::new();
        register(&mut m);
        m.finish().errors.join("\n")
    };
    let closure = errors(|m| {
        m.entity_observer(|_: On<Hurt>| {});
    });
    assert!(
        closure.contains("closures and function pointers"),
        "{closure}"
    );
    let pointer = errors(|m| {
        m.entity_observer(on_hurt as fn(On<Hurt>, ResMut<Heard>));
    });
    assert!(
        pointer.contains("closures and function pointers"),
        "{pointer}"
    );
    let twice = errors(|m| {
        m.entity_observer(on_hurt)
            .observe(on_hurt)
            .entity_observer(on_hurt);
    });
    assert!(twice.contains("on_hurt` is registered twice"), "{twice}");
}

#[test]
#[should_panic(expected = "cannot be attached to entities")]
fn a_closure_is_not_attached() {
    World::new().spawn_empty().attach(|_: On<Hurt>| {});
}
