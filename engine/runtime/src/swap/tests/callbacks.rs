//! Calls that wait, and handlers without a name, over swaps.

use std::time::Duration;

use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::query::Allow;
use engine_api::input::Input;

use super::*;

/// What the callbacks of the first versions are called with.
#[derive(Reflect, Default)]
#[reflect(Default)]
#[type_path = "game"]
struct Bomb {
    place: u32,
}

/// As a later version has it.
mod later {
    use engine_api::prelude::*;
    #[derive(Reflect, Default)]
    #[reflect(Default)]
    #[type_path = "game"]
    pub(super) struct Bomb {
        pub(super) fuse: u8,
        pub(super) place: u64,
    }
}

/// What a version registers, and a callback that its code starts.
struct Version {
    build: Build,
    start: fn(&mut Commands) -> Entity,
}

/// A version whose functions have the paths of those of every other version, and bodies of
/// their own.
macro_rules! version {
    ($number:literal, $bomb:ty) => {{
        fn explode(bomb: InMut<$bomb>, mut journal: ResMut<Journal>) {
            journal
                .0
                .push(format!("{} booms at {}", $number, bomb.place));
        }
        fn build(m: &mut ModuleBuilder) {
            m.component::<Health>()
                .resource::<Journal>()
                .callback(explode);
        }
        Version {
            build,
            start: |commands| {
                let mut bomb = <$bomb>::default();
                bomb.place = 7;
                commands.run_after(Duration::from_millis(30), explode, bomb)
            },
        }
    }};
}

/// The second differs in its code, the third in the data as well.
fn versions() -> [Version; 3] {
    [
        version!(1, Bomb),
        version!(2, Bomb),
        version!(3, later::Bomb),
    ]
}

/// Knows nothing of what waits.
fn bare(m: &mut ModuleBuilder) {
    m.component::<Health>().resource::<Journal>();
}

impl Game {
    fn start(&mut self, version: &Version) -> Entity {
        let started = (version.start)(&mut self.world.commands());
        self.world.flush();
        started
    }

    fn waiting(&mut self) -> usize {
        let mut all = self.world.query_filtered::<&Callback, Allow<Disabled>>();
        all.iter(&self.world).count()
    }
}

#[test]
fn what_waits_is_called_as_the_next_version_has_it_with_the_data_of_the_one_before() {
    let [first, second, third] = versions();
    for (next, called) in [(second, "2 booms at 7"), (third, "3 booms at 7")] {
        let mut game = Game::with(first.build);
        game.start(&first);
        assert_eq!(game.frame(), Vec::<String>::new());
        assert_eq!(game.swap("game", next.build), Ok(Some(1)));
        assert_eq!(game.unheard, Vec::<String>::new());
        assert_eq!(game.waiting(), 1);
        assert_eq!(game.frame(), Vec::<String>::new());
        assert_eq!(game.frame(), [called]);
        assert_eq!(game.waiting(), 0);
        assert_eq!(state::game_entities(&game.world), 0);
    }
}

#[test]
fn what_no_version_registers_waits_until_one_does_and_is_told() {
    let [first, second, _] = versions();
    let mut game = Game::with(first.build);
    game.start(&first);
    game.start(&first);
    assert_eq!(game.swap("game", bare), Ok(Some(1)));
    let told = &game.unheard[..];
    assert!(
        told.len() == 1 && told[0].starts_with("2 calls of `"),
        "{told:?}"
    );
    for _ in 0..5 {
        assert_eq!(game.frame(), Vec::<String>::new());
    }
    assert_eq!(game.waiting(), 2);
    assert_eq!(game.swap("game", second.build), Ok(Some(2)));
    assert_eq!(game.unheard, Vec::<String>::new());
    // No time passed for it meanwhile.
    assert_eq!(game.frame(), Vec::<String>::new());
    assert_eq!(game.frame(), Vec::<String>::new());
    assert_eq!(game.frame(), ["2 booms at 7", "2 booms at 7"]);
}

#[test]
fn a_version_that_is_refused_after_its_hooks_ran_changes_nothing_of_what_waits() {
    fn refuses(m: &mut ModuleBuilder) {
        bare(m);
        m.on_load(|world: &mut World, _| {
            let mut all = world.query_filtered::<Entity, (With<Callback>, Allow<Disabled>)>();
            let found: Vec<Entity> = all.iter(world).collect();
            for entity in found {
                world.despawn(entity);
            }
            Err::<(), _>("not today")
        });
    }
    let [first, ..] = versions();
    let mut game = Game::with(first.build);
    let entity = game.start(&first);
    let before = game.world.get::<Callback>(entity).cloned();
    assert!(game.swap("game", refuses).is_err());
    assert_eq!(game.world.get::<Callback>(entity).cloned(), before);
    let booms: Vec<String> = (0..4).flat_map(|_| game.frame()).collect();
    assert_eq!(booms, ["1 booms at 7"]);
}

#[test]
fn handlers_without_a_name_run_their_new_bodies_at_the_next_event() {
    macro_rules! handlers {
        ($number:literal) => {{
            fn build(m: &mut ModuleBuilder) {
                bare(m);
                m.event::<Ping>()
                    .observe(|_: On<Ping>, mut journal: ResMut<Journal>| {
                        journal.0.push(format!("{} hears", $number));
                    })
                    .on_key(Key::Enter, |mut journal: ResMut<Journal>| {
                        journal.0.push(format!("{} sees a key", $number));
                    })
                    .every(Duration::from_millis(20), |mut journal: ResMut<Journal>| {
                        journal.0.push(format!("{} ticks", $number));
                    })
                    .every(Duration::from_millis(30), |mut journal: ResMut<Journal>| {
                        journal.0.push(format!("{} tocks", $number));
                    });
            }
            build as Build
        }};
    }
    let mut game = Game::with(handlers!(1));
    assert_eq!(game.ping(), ["1 hears"]);
    // The timers begin to run in the first frame, at 10 ms.
    assert_eq!(game.frame(), Vec::<String>::new());
    assert_eq!(game.swap("game", handlers!(2)), Ok(Some(1)));
    assert_eq!(game.ping(), ["2 hears"]);
    assert_eq!(game.frame(), Vec::<String>::new());
    game.world.resource_mut::<Input>().key_down(Key::Enter);
    assert_eq!(game.frame(), ["2 sees a key", "2 ticks"]);
    game.world.resource_mut::<Input>().end_frame();
    assert_eq!(game.swap("game", handlers!(3)), Ok(Some(2)));
    assert_eq!(game.frame(), ["3 tocks"]);
}
