//! Nothing leaves the arena, nothing flies through a pillar.

use engine_api::prelude::*;

use crate::math::Vec2;
use crate::motion::{Position, Velocity};
use crate::player::Ship;
use crate::swarm::Drone;
use crate::tuning::Tuning;
use crate::waves::Arena;
use crate::weapons::Bullet;

/// What is left of a speed after hitting a wall.
///
/// Try changing this while the game runs: above `1.0` the walls throw you back.
const BOUNCE: f32 = 0.6;

/// Moves a disc back inside and turns its velocity around. Returns whether it
/// touched something.
fn bounce(
    position: &mut Vec2,
    velocity: &mut Vec2,
    radius: f32,
    bounce: f32,
    arena: &Arena,
) -> bool {
    let half = arena.half() - Vec2::new(radius, radius);
    let inside = position.clamped(half);
    let mut touched = false;
    if (inside.x - position.x) * velocity.x < 0.0 {
        velocity.x *= -bounce;
        touched = true;
    }
    if (inside.y - position.y) * velocity.y < 0.0 {
        velocity.y *= -bounce;
        touched = true;
    }
    *position = inside;
    for pillar in &arena.level.pillars {
        let reach = pillar.radius + radius;
        let (x, y) = (position.x - pillar.x, position.y - pillar.y);
        if x.abs() >= reach || y.abs() >= reach || x * x + y * y >= reach * reach {
            continue;
        }
        let mut out = Vec2::new(x, y).normalized();
        if out == Vec2::ZERO {
            out = Vec2::new(1.0, 0.0);
        }
        *position = Vec2::new(pillar.x, pillar.y) + out * reach;
        let inward = velocity.x * out.x + velocity.y * out.y;
        if inward < 0.0 {
            *velocity += out * (-inward * (1.0 + bounce));
        }
        touched = true;
    }
    touched
}

/// The ship bounces.
pub fn confine_ship(
    arena: Res<Arena>,
    tuning: Res<Tuning>,
    ship: Single<(&mut Position, &mut Velocity), With<Ship>>,
) {
    let (mut position, mut velocity) = ship.into_inner();
    bounce(
        &mut position.0,
        &mut velocity.0,
        tuning.ship.radius,
        BOUNCE,
        &arena,
    );
}

/// Drones slide along.
pub fn confine_drones(
    arena: Res<Arena>,
    mut drones: Query<(&mut Position, &mut Velocity), With<Drone>>,
) {
    for (mut position, mut velocity) in &mut drones {
        bounce(&mut position.0, &mut velocity.0, 0.5, 0.2, &arena);
    }
}

/// Bullets end at walls and pillars.
pub fn stop_bullets(
    mut commands: Commands,
    arena: Res<Arena>,
    bullets: Query<(Entity, &Position, &Velocity), With<Bullet>>,
) {
    for (entity, position, velocity) in &bullets {
        let (mut position, mut velocity) = (position.0, velocity.0);
        if bounce(&mut position, &mut velocity, 0.0, 0.0, &arena) {
            commands.entity(entity).despawn();
        }
    }
}
