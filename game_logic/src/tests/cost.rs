//! What a frame costs. No assertion on time: look at it, compare it.

use engine_api::prelude::*;

use crate::tests::harness::Harness;

/// `cargo test -p game_logic --no-default-features cost -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn cost_of_four_thousand_drones() {
    let mut game = Harness::new();
    game.resize(120, 40);
    // Nobody dies: the number stays.
    let calm = crate::tests::harness::FILES[0]
        .1
        .replace("attack: 3,", "attack: 0,");
    game.load("tuning.ron", &calm).unwrap();
    game.call("set_shields", &[Value::Int(1_000_000)]);
    game.frames(120);
    game.call("spawn_drones", &[Value::Int(4_000)]);
    game.key(Key::Right, true);
    let mut times: Vec<_> = (0..300)
        .map(|_| {
            game.frame();
            game.last_frame()
        })
        .collect();
    times.sort();
    let drones = game.call("drone_count", &[]);
    println!(
        "{drones:?} drones: p50 {:?}, p99 {:?}",
        times[150], times[297]
    );
    for (name, took) in game.profile(100).into_iter().take(12) {
        println!("{took:>12.1?} {name}");
    }
}
