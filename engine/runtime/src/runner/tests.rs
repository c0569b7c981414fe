use engine_api::module::ModuleBuilder;
use engine_api::prelude::*;

use super::*;

#[derive(Resource, Default)]
struct Said(Vec<&'static str>);

fn one(mut said: ResMut<Said>) {
    said.0.push("one");
}
fn two(mut said: ResMut<Said>) {
    said.0.push("two");
}
fn spawns_and_fails(mut commands: Commands) {
    commands.spawn_empty();
    panic!("out of cheese");
}
fn needs_missing(_: Res<Missing>) {}
#[derive(Resource)]
struct Missing;
fn on_change(mut said: ResMut<Said>, watched: Res<Watched>) {
    if watched.is_changed() {
        said.0.push("changed");
    }
}
#[derive(Resource)]
struct Watched;

fn world() -> World {
    panic::install_hook();
    let mut world = World::new();
    world.init_resource::<Said>();
    world.insert_resource(Watched);
    world.insert_resource(Time::new(Duration::from_millis(10)));
    world.init_resource::<Input>();
    world
}

fn systems(world: &mut World, register: fn(&mut ModuleBuilder)) -> VersionSystems {
    let mut builder = ModuleBuilder::new();
    register(&mut builder);
    let mut systems = VersionSystems::default();
    for (index, (stage, config)) in builder.finish().systems.into_iter().enumerate() {
        let id = CallId::new(0x7000_0950, index as u32);
        systems.push(stage, RunnableSystem::initialize(config, id, world));
    }
    systems
}

fn run(systems: &mut VersionSystems, world: &mut World, stage: Stage) -> Vec<SystemFault> {
    let mut faults = Vec::new();
    systems.run(stage, world, &mut faults);
    faults
}

fn said(world: &mut World) -> Vec<&'static str> {
    std::mem::take(&mut world.resource_mut::<Said>().0)
}

#[test]
fn systems_run_in_order_and_a_panic_stops_one_of_them() {
    let mut world = world();
    let mut systems = systems(&mut world, |m| {
        m.systems(Update, (one, spawns_and_fails, two));
    });
    let before = world.entities().count_spawned();
    let faults = run(&mut systems, &mut world, Update);
    let [SystemFault::Panicked { report, id }] = faults.as_slice() else {
        panic!("{faults:?}")
    };
    assert_eq!(
        (report.message.as_str(), id.function()),
        ("out of cheese", 1)
    );
    assert_eq!(said(&mut world), ["one", "two"]);
    assert_eq!(run(&mut systems, &mut world, Update), []);
    world.flush();
    assert_eq!(
        world.entities().count_spawned(),
        before,
        "its commands are discarded"
    );
    assert_eq!(systems.paused().count(), 1);
}

#[test]
fn a_missing_resource_is_reported_once() {
    let mut world = world();
    let mut systems = systems(&mut world, |m| {
        m.systems(Update, needs_missing);
    });
    assert!(matches!(
        run(&mut systems, &mut world, Update)[..],
        [SystemFault::Failed { .. }]
    ));
    assert_eq!(run(&mut systems, &mut world, Update), []);
    world.insert_resource(Missing);
    assert_eq!(run(&mut systems, &mut world, Update), []);
    world.remove_resource::<Missing>();
    assert_eq!(run(&mut systems, &mut world, Update).len(), 1);
}

#[test]
fn conditions_timers_and_keys_decide() {
    let mut world = world();
    let mut systems = systems(&mut world, |m| {
        m.systems(PreUpdate, one.run_if(resource_exists::<Missing>))
            .every(Duration::from_millis(30), two)
            .on_key(Key::Enter, one);
    });
    let mut frame = |world: &mut World| {
        world.resource_mut::<Time>().advance(Duration::ZERO);
        run(&mut systems, world, PreUpdate);
        world.resource_mut::<Input>().end_frame();
        said(world)
    };
    assert_eq!(frame(&mut world), Vec::<&str>::new());
    world.resource_mut::<Input>().key_down(Key::Enter);
    assert_eq!(frame(&mut world), ["one"]);
    assert_eq!(frame(&mut world), Vec::<&str>::new());
    assert_eq!(frame(&mut world), ["two"]);
    assert_eq!(frame(&mut world), Vec::<&str>::new());
}

#[test]
fn the_next_version_has_seen_what_the_last_one_saw() {
    let mut world = world();
    let register = |m: &mut ModuleBuilder| {
        m.systems(Update, on_change)
            .every(Duration::from_millis(20), two);
    };
    let mut old = systems(&mut world, register);
    run(&mut old, &mut world, Update);
    assert_eq!(said(&mut world), ["changed"]);
    let mut new = systems(&mut world, register);
    new.continue_from(&old);
    run(&mut new, &mut world, Update);
    assert_eq!(said(&mut world), Vec::<&str>::new());
}

#[test]
fn a_startup_system_that_panicked_runs_once_with_the_next_version() {
    let register = |m: &mut ModuleBuilder| {
        m.systems(Startup, (one, spawns_and_fails));
    };
    let mut world = world();
    let mut first = systems(&mut world, register);
    assert_eq!(run(&mut first, &mut world, Stage::Startup).len(), 1);
    assert_eq!(said(&mut world), ["one"]);
    let again = |systems: &mut VersionSystems, world: &mut World| {
        let mut faults = Vec::new();
        systems.run_unstarted(world, &mut faults);
        faults.len()
    };
    let mut second = systems(&mut world, register);
    second.continue_from(&first);
    assert_eq!(again(&mut second, &mut world), 1, "it fails once more");
    assert_eq!(again(&mut second, &mut world), 0);
    // One that did not run is still to run.
    let mut third = systems(&mut world, register);
    third.continue_from(&second);
    let mut fourth = systems(&mut world, register);
    fourth.continue_from(&third);
    assert_eq!(again(&mut fourth, &mut world), 1);
    assert_eq!(said(&mut world), [""; 0], "what had run does not run again");
}
