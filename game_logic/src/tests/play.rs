//! Playing: what must happen in a game, whoever plays it.

use engine_api::prelude::*;
use engine_api::state::StateKind;

use crate::game::{DESERTED_SECONDS, Game, Phase, Score};
use crate::motion::Position;
use crate::player::Ship;
use crate::swarm::Drone;
use crate::tests::harness::{FILES, Harness};
use crate::tuning::Tuning;
use crate::waves::{Arena, WaveProgress};
use crate::weapons::Gun;

/// A player who changes course every half second and always fires the nova.
fn play(game: &mut Harness, frames: u32) {
    const COURSE: [Key; 6] = [
        Key::Right,
        Key::Char('s'),
        Key::Left,
        Key::Char('w'),
        Key::Down,
        Key::Up,
    ];
    for frame in 0..frames {
        let key = COURSE[(frame / 30) as usize % COURSE.len()];
        match frame % 30 {
            0 => game.key(key, true),
            25 => game.key(key, false),
            27 => game.key(Key::Char(' '), true),
            28 => game.key(Key::Char(' '), false),
            _ => {}
        }
        game.frame();
    }
}

fn points(game: &Harness) -> u64 {
    game.world.resource::<Score>().points
}

#[test]
fn drones_come_bullets_destroy_them_and_the_score_rises() {
    let mut game = Harness::new();
    play(&mut game, 600);
    let score = game.world.resource::<Score>().clone();
    assert!(score.kills > 20, "{score:?}");
    assert!(score.points >= u64::from(score.kills) * 10, "{score:?}");
    assert!(game.count::<Drone>() > 20);
}

#[test]
fn every_viewport_size_is_drawn() {
    let mut game = Harness::new();
    for size in [
        (0, 0),
        (1, 1),
        (20, 5),
        (40, 10),
        (80, 24),
        (200, 60),
        (0, 9),
        (7, 0),
    ] {
        game.resize(size.0, size.1);
        play(&mut game, 90);
        let drawn = game
            .world
            .resource::<Viewport>()
            .cells()
            .iter()
            .any(|cell| cell.ch != ' ');
        assert!(drawn || size.0 < 2 || size.1 < 2, "nothing at {size:?}");
    }
    // The same for what is drawn when nobody flies any more, and when paused.
    game.tap(Key::Char('p'));
    assert!(game.world.resource::<Game>().paused);
    let mut ends = 0;
    for size in [(0, 0), (1, 1), (20, 5), (40, 10), (200, 60)] {
        game.resize(size.0, size.1);
        game.frame();
        ends += 1;
    }
    assert_eq!(ends, 5);
}

#[test]
fn the_view_keeps_the_ship_on_screen() {
    let mut game = Harness::new();
    for size in [(20, 5), (40, 10), (80, 24), (200, 60)] {
        game.resize(size.0, size.1);
        for _ in 0..10 {
            play(&mut game, 20);
            let ship = Color(150, 235, 255);
            let shown = |cell: &engine_api::viewport::Cell| {
                cell.fg == Some(ship) || cell.fg == Some(Color::WHITE)
            };
            let alive = game.count::<Ship>() == 1;
            let viewport = game.world.resource::<Viewport>();
            assert!(
                !alive || viewport.cells().iter().any(shown),
                "no ship at {size:?}"
            );
        }
    }
}

#[test]
fn waves_follow_each_other_in_the_level_they_name() {
    let mut game = Harness::new();
    game.call("set_shields", &[Value::Int(1_000)]);
    let tuning = FILES[0]
        .1
        .replace("rate: 9.0", "rate: 50.0")
        .replace("pierce: 2,", "pierce: 50,");
    game.load("tuning.ron", &tuning).unwrap();
    let mut levels = Vec::new();
    for _ in 0..120 {
        play(&mut game, 60);
        let level = game.world.resource::<Arena>().level.name.clone();
        if levels.last() != Some(&level) {
            levels.push(level);
        }
        if game.world.resource::<WaveProgress>().number >= 3 {
            break;
        }
    }
    assert!(game.world.resource::<WaveProgress>().number >= 2);
    assert_eq!(levels, ["open", "pillars"]);
}

#[test]
fn a_ship_that_does_nothing_is_lost_and_n_begins_anew() {
    let mut game = Harness::new();
    let no_guns = FILES[0].1.replace("attack: 3,", "attack: 0,");
    game.load("tuning.ron", &no_guns).unwrap();
    for _ in 0..240 {
        game.frames(30);
        if game.world.resource::<Game>().phase == Phase::Over {
            break;
        }
    }
    assert_eq!(game.world.resource::<Game>().phase, Phase::Over);
    assert_eq!(game.count::<Ship>(), 0);
    for size in [(0, 0), (1, 1), (20, 5), (40, 10), (200, 60), (80, 24)] {
        game.resize(size.0, size.1);
        game.frames(30);
    }
    assert!(game.picture().contains("GAME OVER"));
    game.world.resource_mut::<Score>().best = 1_000_000_000;

    game.tap(Key::Char('n'));
    game.frame();
    assert_eq!(game.world.resource::<Game>().phase, Phase::Playing);
    assert_eq!(game.world.resource::<Game>().number, 2);
    assert_eq!((game.count::<Ship>(), game.count::<Drone>()), (1, 0));
    assert_eq!(
        (points(&game), game.world.resource::<Score>().best),
        (0, 1_000_000_000)
    );
}

/// What the summary and the log say at the end stays true.
#[test]
fn after_the_end_nothing_scores_any_more() {
    let mut game = Harness::new();
    play(&mut game, 600);
    game.call("spawn_drones", &[Value::Int(2_000)]);
    game.call("set_shields", &[Value::Int(0)]);
    while game.world.resource::<Game>().phase == Phase::Playing {
        // Bullets are on their way when the ship is lost.
        game.frame();
    }
    let end = game.world.resource::<Score>().clone();
    let drones = game.count::<Drone>();
    assert!(end.kills > 0 && drones > 0, "{end:?}");
    game.frames(120);
    let after = game.world.resource::<Score>().clone();
    assert_eq!((after.points, after.kills), (end.points, end.kills));
    assert_eq!(game.count::<Drone>(), drones);
}

#[test]
fn hands_off_a_game_lasts_and_goes_on() {
    for seed in 2026..2028 {
        let mut game = Harness::new();
        let tuning = FILES[0].1.replace("seed: 2026", &format!("seed: {seed}"));
        game.load("tuning.ron", &tuning).unwrap();
        game.world.resource_mut::<Game>().paused = true;
        game.tap(Key::Char('n'));
        let number = game.world.resource::<Game>().number;
        game.frames(45 * 60);
        let state = game.world.resource::<Game>().clone();
        assert_eq!(state.phase, Phase::Playing, "seed {seed}: {state:?}");

        // Nobody is there: a new game begins. Somebody is: their summary stays.
        game.call("set_shields", &[Value::Int(0)]);
        game.call("spawn_drones", &[Value::Int(2_000)]);
        while game.world.resource::<Game>().phase == Phase::Playing {
            game.frame();
        }
        let seconds = DESERTED_SECONDS as u32;
        game.frames((seconds - 2) * 60);
        game.tap(Key::Up);
        game.frames((seconds - 2) * 60);
        let state = game.world.resource::<Game>().clone();
        assert_eq!((state.phase, state.number), (Phase::Over, number));
        game.frames(3 * 60);
        let state = game.world.resource::<Game>().clone();
        assert_eq!((state.phase, state.number), (Phase::Playing, number + 1));
    }
}

#[test]
fn n_does_nothing_while_the_ship_flies() {
    let mut game = Harness::new();
    game.frames(10);
    game.tap(Key::Char('n'));
    assert_eq!(game.world.resource::<Game>().number, 1);
}

#[test]
fn a_pause_stops_the_world() {
    let mut game = Harness::new();
    play(&mut game, 200);
    game.tap(Key::Char('p'));
    let place = |game: &mut Harness| {
        let mut query = game.world.query_filtered::<&Position, With<Drone>>();
        query
            .iter(&game.world)
            .map(|position| position.0)
            .collect::<Vec<_>>()
    };
    let before = place(&mut game);
    game.frames(60);
    assert_eq!(before, place(&mut game));
    game.tap(Key::Char('p'));
    game.frames(5);
    assert_ne!(before, place(&mut game));
}

#[test]
fn the_same_seed_and_keys_give_the_same_game() {
    let run = |seed: &str| {
        let mut game = Harness::new();
        let tuning = FILES[0].1.replace("seed: 2026", seed);
        game.load("tuning.ron", &tuning).unwrap();
        game.world.resource_mut::<Game>().paused = true;
        game.tap(Key::Char('n'));
        play(&mut game, 1_200);
        (points(&game), game.count::<Position>(), game.picture())
    };
    let first = run("seed: 7");
    assert_eq!(first, run("seed: 7"));
    assert_ne!(first.2, run("seed: 8").2);
}

#[test]
fn nothing_leaves_the_arena() {
    let mut game = Harness::new();
    game.call("set_wave", &[Value::Int(4)]);
    for _ in 0..20 {
        play(&mut game, 30);
        let half = game.world.resource::<Arena>().half();
        let mut query = game
            .world
            .query_filtered::<&Position, Or<(With<Drone>, With<Ship>)>>();
        for position in query.iter(&game.world) {
            let at = position.0;
            // A splitter at the wall lets its parts out for one frame.
            assert!(
                at.x.abs() <= half.x + 3.0 && at.y.abs() <= half.y + 3.0,
                "{at:?}"
            );
        }
    }
}

#[test]
fn pickups_and_novas_do_what_they_say() {
    use crate::motion::{Lifetime, Velocity};
    use crate::pickups::{Pickup, PickupKind};
    let mut game = Harness::new();
    game.frames(2);
    let kinds = [
        PickupKind::Gem,
        PickupKind::Gun,
        PickupKind::Shield,
        PickupKind::Nova,
    ];
    for kind in kinds {
        let (life, here) = (Lifetime::new(9.0), Position::default());
        game.world
            .spawn((Pickup { kind }, here, Velocity::default(), life));
    }
    game.frames(2);
    assert_eq!(game.count::<Pickup>(), 0);
    assert_eq!(points(&game), game.world.resource::<Tuning>().pickups.gem);
    let (ship, gun) = game
        .world
        .query::<(&Ship, &Gun)>()
        .single(&game.world)
        .unwrap();
    let shields = game.world.resource::<Tuning>().ship.shields;
    assert_eq!((ship.shields, gun.level), (shields + 1, 2));

    game.call("spawn_drones", &[Value::Int(1_000)]);
    let kills = game.world.resource::<Score>().kills;
    let mut drones = game.world.query_filtered::<&mut Position, With<Drone>>();
    for (number, mut position) in drones.iter_mut(&mut game.world).enumerate() {
        position.0 = crate::math::Vec2::from_angle(number as f32) * 40.0;
    }
    game.tap(Key::Char(' '));
    game.frames(40);
    let score = game.world.resource::<Score>();
    assert!(score.kills - kills > 900, "{score:?}");
}

#[test]
fn functions_by_name_reach_the_game() {
    let mut game = Harness::new();
    game.frames(2);
    assert_eq!(
        game.call("damage", &[Value::Int(7), Value::Int(3)]),
        Value::Int(4)
    );
    assert_eq!(game.call("score", &[]), Value::Int(0));
    assert_eq!(game.call("spawn_drones", &[Value::Int(25)]), Value::Int(25));
    assert_eq!(game.call("drone_count", &[]), Value::Int(25));
    assert!(matches!(
        game.call("path_length", &[Value::Int(100)]),
        Value::Int(1..)
    ));
    game.call("pause", &[Value::Bool(true)]);
    assert!(game.world.resource::<Game>().paused);
}

#[test]
fn no_value_in_the_world_may_hold_a_pointer_into_code() {
    for state in crate::tests::harness::describe().types {
        // Events are never stored.
        if state.kind != StateKind::Event {
            let parts = state.schema.parts_that_may_hold_code();
            assert_eq!(parts, Vec::<String>::new(), "{}", state.schema.path);
        }
    }
}

/// `cargo test -p game_logic --no-default-features pictures -- --ignored --nocapture`
#[test]
#[ignore = "for the eye"]
fn pictures() {
    let mut game = Harness::new();
    for (size, frames) in [
        ((80, 24), 60),
        ((80, 24), 400),
        ((40, 10), 30),
        ((20, 5), 30),
    ] {
        game.resize(size.0, size.1);
        play(&mut game, frames);
        println!("{}", game.picture());
    }
    game.resize(80, 24);
    game.call("set_shields", &[Value::Int(9)]);
    game.call("set_wave", &[Value::Int(4)]);
    play(&mut game, 500);
    println!("{}", game.picture());
    game.call("set_wave", &[Value::Int(6)]);
    game.resize(160, 48);
    play(&mut game, 400);
    println!("{}", game.picture());
    game.resize(80, 24);
    game.call("set_shields", &[Value::Int(0)]);
    game.load("tuning.ron", &FILES[0].1.replace("rate: 9.0", "rate: 0.1"))
        .unwrap();
    game.frames(900);
    println!("{}", game.picture());
}

/// `cargo test -p game_logic --no-default-features balance -- --ignored --nocapture`
#[test]
#[ignore = "for the designer"]
fn balance() {
    for idle in [true, false] {
        for seed in 1..4 {
            let mut game = Harness::new();
            let tuning = FILES[0].1.replace("seed: 2026", &format!("seed: {seed}"));
            game.load("tuning.ron", &tuning).unwrap();
            game.world.resource_mut::<Game>().paused = true;
            game.tap(Key::Char('n'));
            while game.world.resource::<Game>().phase == Phase::Playing
                && game.world.resource::<Game>().seconds < 400.0
            {
                if idle {
                    game.frames(60);
                } else {
                    play(&mut game, 60);
                }
                let seconds = game.world.resource::<Game>().seconds as u32;
                if seconds.is_multiple_of(20) {
                    let wave = game.world.resource::<WaveProgress>().number + 1;
                    let drones = game.count::<Drone>();
                    let (shields, guns) = game
                        .world
                        .query::<(&Ship, &Gun)>()
                        .iter(&game.world)
                        .next()
                        .map_or((0, 0), |(ship, gun)| (ship.shields, gun.level));
                    print!(
                        "[{seconds}s w{wave} {drones} s{shields} g{guns} {}] ",
                        points(&game)
                    );
                }
            }
            let seconds = game.world.resource::<Game>().seconds;
            println!("idle {idle}, seed {seed}: {seconds:.0} s");
        }
    }
}
