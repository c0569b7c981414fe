//! Functions that can be called by name, from the inspector or a script.
//!
//! A function without a world is pure and runs on a worker thread, so it may
//! take its time; one that takes `&mut World` runs between two frames and
//! should not.

use engine_api::prelude::*;

use crate::game::{Game, Score};
use crate::math::Vec2;
use crate::motion::Position;
use crate::player::Ship;
use crate::random::Rng;
use crate::swarm::{Drone, DroneKind, Formation, drone, place};
use crate::tuning::Tuning;
use crate::waves::{Arena, WaveProgress};

/// Drones that [`spawn_drones`] makes in one call at most.
const MOST_AT_ONCE: u32 = 10_000;

/// What an attack takes off a hull. The game's own rule for every hit: try
/// `(attack * 10 - defense).max(0)` while it runs.
pub fn damage(attack: i32, defense: i32) -> i32 {
    attack.saturating_sub(defense).max(0)
}

/// Points of the game that is on.
pub fn score(world: &mut World) -> u64 {
    world.resource::<Score>().points
}

/// Spawns drifters at the edges, however full the arena is. Returns how many.
pub fn spawn_drones(world: &mut World, count: u32) -> u32 {
    let count = count.min(MOST_AT_ONCE);
    let ship = ship_position(world);
    let (tuning, arena) = (
        world.resource::<Tuning>().clone(),
        world.resource::<Arena>().clone(),
    );
    let mut rng = world.resource::<Rng>().clone();
    let drones: Vec<_> = (0..count)
        .map(|_| {
            let clearance = tuning.drones.clearance;
            let at = place(Formation::Edges, &arena, ship, clearance, &mut rng);
            drone(DroneKind::Drifter, at, &tuning, &mut rng)
        })
        .collect();
    world.spawn_batch(drones);
    world.insert_resource(rng);
    count
}

/// Drones in the arena.
pub fn drone_count(world: &mut World) -> u64 {
    world.query_filtered::<(), With<Drone>>().iter(world).len() as u64
}

/// Sets the shields of the ship. Returns whether there is one.
pub fn set_shields(world: &mut World, shields: i32) -> bool {
    let mut ships = world.query::<&mut Ship>();
    let mut found = false;
    for mut ship in ships.iter_mut(world) {
        ship.shields = shields;
        found = true;
    }
    found
}

/// Goes on to a wave, counted from 1. Drones that are there stay.
pub fn set_wave(world: &mut World, number: u32) -> u32 {
    let number = number.max(1);
    world.insert_resource(WaveProgress {
        number: number - 1,
        ..WaveProgress::default()
    });
    number
}

/// Pauses or goes on. Returns whether the game was paused before.
pub fn pause(world: &mut World, paused: bool) -> bool {
    std::mem::replace(&mut world.resource_mut::<Game>().paused, paused)
}

/// Length of a random walk of so many steps through a walled square, in tenths
/// of a unit. Deterministic, pure, and slow on purpose: its time grows with
/// `steps` (some tens of millions take a second), which shows how a call runs
/// on a worker thread while the game and even the code go on changing.
pub fn path_length(steps: u64) -> u64 {
    const WALL: i64 = 1_000;
    let mut rng = Rng::seeded(steps);
    let (mut x, mut y, mut length) = (0_i64, 0_i64, 0_u64);
    for _ in 0..steps {
        let bits = rng.bits();
        let stride = (bits >> 2) as i64 % 20 + 1;
        let (before_x, before_y) = (x, y);
        match bits & 3 {
            0 => x = (x + stride).min(WALL),
            1 => x = (x - stride).max(-WALL),
            2 => y = (y + stride).min(WALL),
            _ => y = (y - stride).max(-WALL),
        }
        length += x.abs_diff(before_x) + y.abs_diff(before_y);
    }
    length
}

fn ship_position(world: &mut World) -> Vec2 {
    let mut ships = world.query_filtered::<&Position, With<Ship>>();
    ships
        .iter(world)
        .next()
        .map_or(Vec2::ZERO, |position| position.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_never_negative() {
        assert_eq!(damage(5, 3), 2);
        assert_eq!(damage(3, 5), 0);
        assert_eq!(damage(i32::MIN, i32::MAX), 0);
        assert_eq!(damage(i32::MAX, i32::MIN), i32::MAX);
    }

    #[test]
    fn a_longer_walk_has_a_longer_path() {
        assert_eq!(path_length(0), 0);
        assert_eq!(path_length(1_000), path_length(1_000));
        assert!(path_length(1_000) < path_length(2_000));
    }
}
