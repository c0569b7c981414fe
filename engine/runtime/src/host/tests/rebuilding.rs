//! Old versions that only the component table knows.

use super::*;

/// Nobody registers it.
#[derive(Component)]
struct Stray(#[expect(dead_code, reason = "it owns memory")] String);

/// Counts frames in a `Local`, which begins anew when systems are prepared anew.
fn counting(m: &mut ModuleBuilder) {
    common(m)
        .systems(
            Update,
            |mut seen: Local<u32>, mut counts: ResMut<Counts>| {
                *seen += 1;
                counts.frames = *seen;
            },
        )
        .function("spawn", |world: &mut World| {
            world.spawn(Stray("here".to_owned()));
        })
        .function("despawn", |world: &mut World| {
            let mut all = world.query_filtered::<Entity, With<Stray>>();
            let all: Vec<Entity> = all.iter(world).collect();
            for entity in all {
                world.despawn(entity);
            }
        });
}

fn again(m: &mut ModuleBuilder) {
    counting(m);
    m.function("which", || 2);
}

fn third(m: &mut ModuleBuilder) {
    counting(m);
    m.function("which", || 3);
}

const REBUILT: &str = "the world was rebuilt to let go of old versions";

/// A game with a version whose code counts as that of [`Stray`].
fn start_with_stray() -> Running {
    let (host, fake) = start(&[("one", counting), ("two", again), ("three", third)]);
    host.load("one");
    let mut world = World::new();
    let stray = world.register_component::<Stray>();
    let drops = world.components().get_info(stray).unwrap().drop().unwrap() as usize;
    // The one before is the type image.
    *fake.codes()[1].image.lock().unwrap() = drops..drops + 1;
    host.call("spawn", &[]).unwrap();
    host
}

#[test]
fn a_type_without_values_lets_its_version_go_at_the_swap() {
    let host = start_with_stray();
    host.call("despawn", &[]).unwrap();
    host.load("two");
    host.wait_for_log(REBUILT);
    host.wait_for_log("v1 unloaded");
    host.finish();
}

#[test]
fn the_world_is_rebuilt_with_a_swap_alone() {
    let host = start_with_stray();
    host.load("two");
    let pinned = |words: &'static str| {
        host.wait_for_snapshot(words, |snapshot| {
            let by = &snapshot.modules[0].versions[0].pinned_by;
            by.iter().any(|reason| reason.contains(words))
        })
    };
    pinned("1 value");
    let frames = || host.call("frames", &[]).unwrap().parse::<u32>().unwrap();
    wait_until("frames", || frames() > 5);
    let before = frames();
    host.call("despawn", &[]).unwrap();
    pinned("no values left");
    pinned("no values left");
    assert!(frames() > before, "`Local`s go on");
    let log = host.log.borrow().clone();
    assert!(!log.iter().any(|line| line == REBUILT), "{log:?}");
    host.load("three");
    host.wait_for_log(REBUILT);
    host.wait_for_log("v1 unloaded");
    host.finish();
}
