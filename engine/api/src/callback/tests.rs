use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::module::{ModuleBuilder, Stage};
use crate::prelude::{Query, ResMut};
use crate::system::SystemConfig;

#[derive(Resource, Default)]
struct Heard(Vec<String>);

#[derive(Reflect, Default, Debug)]
struct Bomb {
    place: u32,
    beeps: u32,
}

fn explode(bomb: InMut<Bomb>, mut heard: ResMut<Heard>) {
    heard.0.push(format!("boom at {}", bomb.place));
}

fn beep(mut bomb: InMut<Bomb>, mut heard: ResMut<Heard>) {
    bomb.beeps += 1;
    assert!(bomb.beeps < 3, "too loud");
    heard.0.push(format!("beep {}", bomb.beeps));
}

fn bare(mut heard: ResMut<Heard>) {
    heard.0.push("bare".to_owned());
}

/// Ends all that wait.
fn silence(
    _: InMut<()>,
    waiting: Query<Entity, bevy_ecs::query::With<Callback>>,
    mut commands: Commands,
) {
    for entity in &waiting {
        commands.entity(entity).despawn();
    }
}

fn register(m: &mut ModuleBuilder) {
    m.callback(explode)
        .callback(beep)
        .callback(bare)
        .callback(silence);
}

struct Game {
    world: World,
    systems: Vec<SystemConfig>,
}

impl Game {
    fn new() -> Self {
        let mut world = World::new();
        declare(&mut world);
        world.init_resource::<Heard>();
        world.insert_resource(crate::input::Input::default());
        world.insert_resource(Time::new(Duration::from_secs(1)));
        let mut game = Self {
            world,
            systems: Vec::new(),
        };
        game.load();
        game
    }

    /// The next version: fresh systems for the same world.
    fn load(&mut self) {
        let mut m = ModuleBuilder::new();
        register(&mut m);
        let description = m.finish();
        assert_eq!(description.errors, Vec::<String>::new());
        self.world.insert_resource(Callable(description.callbacks));
        self.systems = description
            .systems
            .into_iter()
            .map(|(stage, mut system)| {
                assert_eq!(stage, Stage::PreUpdate);
                system.initialize(&mut self.world);
                system
            })
            .collect();
    }

    fn start<R>(&mut self, start: impl FnOnce(&mut Commands) -> R) -> R {
        let started = start(&mut self.world.commands());
        self.world.flush();
        started
    }

    /// A frame of one second; what was called in it.
    fn frame(&mut self) -> Vec<String> {
        self.world
            .resource_mut::<Time>()
            .advance(Duration::from_secs(1));
        for system in &mut self.systems {
            // A panic stops this system alone.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                system.system.run((), &mut self.world).unwrap();
            }));
        }
        std::mem::take(&mut self.world.resource_mut::<Heard>().0)
    }

    fn waiting(&mut self) -> usize {
        self.world.query::<&Callback>().iter(&self.world).count()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_callback_comes_once_when_its_time_has_come_with_its_data() {
    let mut game = Game::new();
    game.start(|commands| {
        commands.run_after(seconds(3), explode, Bomb { place: 2, beeps: 0 });
        commands.run_after(seconds(2), explode, Bomb { place: 1, beeps: 0 });
        commands.run_after(seconds(2), bare, ());
    });
    assert_eq!(game.frame(), Vec::<String>::new());
    assert_eq!(game.frame(), ["boom at 1", "bare"]);
    assert_eq!(game.waiting(), 1);
    assert_eq!(game.frame(), ["boom at 2"]);
    assert_eq!(game.waiting(), 0);
    assert_eq!(game.frame(), Vec::<String>::new());
}

#[test]
fn those_that_are_due_together_come_in_the_order_of_their_times() {
    let mut game = Game::new();
    let millis = Duration::from_millis;
    game.start(|commands| {
        for (delay, place) in [(900, 9), (100, 1), (500, 5)] {
            commands.run_after(millis(delay), explode, Bomb { place, beeps: 0 });
        }
    });
    assert_eq!(game.frame(), ["boom at 1", "boom at 5", "boom at 9"]);
}

#[test]
fn one_that_panics_is_called_again_by_the_next_version_with_its_data() {
    let mut game = Game::new();
    game.start(|commands| commands.run_every(seconds(1), beep, Bomb::default()));
    assert_eq!(game.frame(), ["beep 1"]);
    // Over a reload, the data is that of the calls before.
    game.load();
    assert_eq!(game.frame(), ["beep 2"]);
    assert_eq!(game.frame(), Vec::<String>::new());
    assert_eq!(game.waiting(), 1);
    let kept = game.world.query::<(&Callback, &Kept<Bomb>)>();
    let (_, Kept(bomb)) = { kept }.single(&game.world).unwrap();
    assert_eq!(bomb.beeps, 3);
}

#[test]
fn periods_are_kept_whatever_the_frames_are() {
    let mut game = Game::new();
    let period = Duration::from_millis(1500);
    game.start(|commands| commands.run_every(period, bare, ()));
    let calls: Vec<usize> = (0..7).map(|_| game.frame().len()).collect();
    // At 1.5, 3, 4.5 and 6 seconds.
    assert_eq!(calls, [0, 1, 1, 0, 1, 1, 0]);
    game.start(|commands| commands.run_every(Duration::ZERO, explode, Bomb::default()));
    assert_eq!(game.frame(), ["boom at 0", "bare"]);
    assert_eq!(game.frame(), ["boom at 0", "bare"]);
}

#[test]
fn the_frame_in_which_a_callback_is_started_does_not_count_for_it() {
    let mut game = Game::new();
    game.frame();
    // By a system of this frame that comes before.
    game.world.resource_mut::<Time>().advance(Duration::ZERO);
    game.start(|commands| commands.run_after(seconds(1), bare, ()));
    game.systems[2].system.run((), &mut game.world).unwrap();
    assert_eq!(game.waiting(), 1);
    assert_eq!(game.frame(), ["bare"]);
}

#[test]
fn despawning_cancels_also_from_within() {
    let mut game = Game::new();
    let entity = game.start(|commands| {
        commands.run_after(seconds(1), silence, ());
        let entity = commands.run_after(seconds(1), bare, ());
        commands.run_every(seconds(2), bare, ());
        entity
    });
    assert_eq!(game.waiting(), 3);
    game.world.despawn(entity);
    game.frame();
    assert_eq!(game.waiting(), 0);
}

#[test]
fn keys_call_each_time_they_go_down() {
    let mut game = Game::new();
    game.start(|commands| commands.run_on_key(Key::Enter, bare, ()));
    assert_eq!(game.frame(), Vec::<String>::new());
    for _ in 0..2 {
        let mut input = game.world.resource_mut::<crate::input::Input>();
        input.key_down(Key::Enter);
        assert_eq!(game.frame(), ["bare"]);
        let mut input = game.world.resource_mut::<crate::input::Input>();
        input.end_frame();
        input.key_up(Key::Enter);
        assert_eq!(game.frame(), Vec::<String>::new());
    }
}

#[test]
fn what_nobody_registers_does_not_wait() {
    fn unknown() {}
    let mut game = Game::new();
    game.start(|commands| commands.run_after(seconds(1), unknown, ()));
    let all = game.world.query::<&Kept<()>>();
    assert_eq!({ all }.iter(&game.world).count(), 0);
}

#[test]
fn queries_of_the_game_do_not_see_what_waits() {
    let mut game = Game::new();
    game.start(|commands| commands.run_after(seconds(1), bare, ()));
    let seen = game.world.query::<&Kept<()>>();
    assert_eq!({ seen }.iter(&game.world).count(), 0);
    assert_eq!(game.waiting(), 1);
}

#[test]
fn closures_and_doubles_are_refused() {
    let mut m = ModuleBuilder::new();
    m.callback(|| {}).callback(bare).callback(bare);
    let errors = m.finish().errors;
    assert_eq!(errors.len(), 2);
    assert!(errors[0].contains("cannot be called back"), "{errors:?}");
    assert!(errors[1].contains("registered twice"), "{errors:?}");
    let mut game = Game::new();
    let refused = catch_unwind(AssertUnwindSafe(|| {
        game.start(|commands| commands.run_after(seconds(1), || {}, ()));
    }));
    assert!(refused.is_err());
}
