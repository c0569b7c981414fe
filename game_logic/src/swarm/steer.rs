//! How a drone makes up its mind.
//!
//! The rules are those of Reynolds' boids (1987): fly with your neighbours, keep
//! away from them, and want something. To ask thousands of drones for their
//! neighbours would be slow; instead each asks its cell of the
//! [`Grid`](crate::collision::Grid) for the *mean* of its neighbours.

use engine_api::prelude::*;

use crate::collision::Grid;
use crate::math::Vec2;
use crate::motion::{Position, Velocity};
use crate::player::Ship;
use crate::swarm::{Drone, Hunter};
use crate::tuning::Tuning;

/// How often a drone weaves, in radians per second.
///
/// Try changing this while the game runs: `12.0` makes them nervous.
const WEAVE_SPEED: f32 = 2.2;

/// How quickly a hunter that is led slows down near its goal: the share of the distance that
/// it flies per second.
const ARRIVAL: f32 = 3.0;

/// Turns every drone a little towards where it wants to go.
pub fn steer_drones(
    time: Res<Time>,
    tuning: Res<Tuning>,
    grid: Res<Grid>,
    ship: Query<&Position, With<Ship>>,
    mut drones: Query<(&Drone, &Position, &mut Velocity, Option<&mut Hunter>)>,
) {
    let (delta, now) = (time.delta(), time.elapsed_secs());
    let flock = &tuning.drones.flock;
    let align = (flock.alignment * delta).min(1.0);
    let push = flock.separation * delta;
    // Without a ship they circle around the middle.
    let (target, want) = match ship.iter().next() {
        Some(position) => (position.0, 1.0),
        None => (Vec2::ZERO, 0.3),
    };
    for (drone, position, mut velocity, hunter) in &mut drones {
        let stats = tuning.drones.of(drone.kind);
        let speed = velocity.0;
        let mut top_speed = stats.speed;
        let mut next = if let Some((goal, pace)) = hunter.and_then(follow) {
            top_speed *= pace;
            let wanted = ((goal - position.0) * ARRIVAL).at_most(top_speed);
            speed + (wanted - speed) * (stats.agility * pace * delta).min(1.0)
        } else {
            let to_ship = (target - position.0).normalized();
            let sideways = Vec2::new(-to_ship.y, to_ship.x);
            let weave = flock.weave * (now * WEAVE_SPEED + drone.phase).sin();
            let homing = stats.homing * want;
            let wanted =
                (to_ship * homing + speed.normalized() * (1.0 - homing) + sideways * weave)
                    .normalized()
                    * stats.speed;
            speed + (wanted - speed) * (stats.agility * delta).min(1.0)
        };
        if let Some(crowd) = grid.crowd(position.0) {
            next += (crowd.velocity - speed) * align;
            next += (position.0 - crowd.center) * push;
        }
        velocity.0 = next.at_most(top_speed * 1.3);
    }
}

/// The goal of a hunter that is led, and its pace. It is told once.
fn follow(mut hunter: Mut<Hunter>) -> Option<(Vec2, f32)> {
    let Hunter { goal, pace } = *hunter;
    // Looking is no change, writing is.
    (pace > 0.0).then(|| {
        hunter.pace = 0.0;
        (goal, pace)
    })
}
