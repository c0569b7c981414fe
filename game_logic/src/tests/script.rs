//! What scripts do to the game, done here by hand: the game must play along, and without them.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::motion::{Position, Velocity};
use crate::swarm::{Drone, DroneKind, Hunter};
use crate::tests::harness::Harness;
use crate::waves::WaveProgress;

/// A game with one hunter and a ship that is not harmed, before anything else comes in.
fn one_hunter() -> (Harness, Entity) {
    let mut game = Harness::new();
    game.call("set_shields", &[Value::Int(1_000)]);
    game.world.resource_mut::<WaveProgress>().hold = 60.0;
    let parts = (
        Drone {
            kind: DroneKind::Hunter,
            hull: 1_000,
            phase: 0.0,
        },
        Position(Vec2::new(90.0, 0.0)),
        Velocity::default(),
    );
    let hunter = game.world.spawn(parts).id();
    game.frame();
    (game, hunter)
}

fn place(game: &Harness, drone: Entity) -> Vec2 {
    game.world.get::<Position>(drone).unwrap().0
}

#[test]
fn a_hunter_goes_where_it_is_led_and_at_the_ship_when_nobody_leads_it() {
    let (mut game, hunter) = one_hunter();
    let goal = Vec2::new(100.0, 60.0);
    for _ in 0..240 {
        let mut led = game.world.get_mut::<Hunter>(hunter).unwrap();
        (led.goal, led.pace) = (goal, 1.5);
        game.frame();
    }
    let there = place(&game, hunter);
    assert!((there - goal).length() < 5.0, "{there:?}");
    game.frames(45);
    let then = place(&game, hunter);
    assert!(then.length() < there.length() - 5.0, "{then:?}");
}

#[test]
fn other_drones_cannot_be_led() {
    let (mut game, hunter) = one_hunter();
    game.call("spawn_drones", &[Value::Int(5)]);
    game.frame();
    let mut led = game.world.query_filtered::<Entity, With<Hunter>>();
    assert_eq!(led.iter(&game.world).collect::<Vec<_>>(), [hunter]);
}

#[test]
fn a_held_wave_lets_nobody_in_and_goes_on_after_it() {
    let mut game = Harness::new();
    game.world.resource_mut::<WaveProgress>().hold = 5.0;
    game.frames(4 * 60);
    assert_eq!(game.count::<Drone>(), 0);
    game.frames(4 * 60);
    assert!(game.count::<Drone>() > 20);
}
