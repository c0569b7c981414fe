//! More systems and observers, so that a swap has as much to prepare as one of a
//! game of some size.

use engine_api::prelude::*;

use super::state::{
    Camera, Clock, Destroyed, Gun, Health, Heat, Lifetime, Position, Rock, Running, Score, Seeker,
    Spark, Spin, Velocity,
};

/// The condition of all systems at rest.
pub fn running(running: Res<Running>) -> bool {
    running.0
}

/// Splits what is too heavy.
pub fn split_rocks(mut commands: Commands, rocks: Query<(Entity, &Rock)>) {
    for (entity, rock) in &rocks {
        if rock.mass > 10.0 {
            commands.entity(entity).insert(Lifetime { left: 1.0 });
        }
    }
}

/// Shortens waiting.
pub fn reload_guns(mut guns: Query<&mut Gun, Changed<Gun>>) {
    for mut gun in &mut guns {
        gun.period = gun.period.max(0.5);
    }
}

/// Lets the hurt flee.
pub fn flee(
    camera: Res<Camera>,
    mut hurt: Query<(&Position, &mut Velocity, &Health), With<Seeker>>,
) {
    for (position, mut velocity, health) in &mut hurt {
        if health.current < 1.0 {
            velocity.x += position.x - camera.x;
        }
    }
}

/// Velocities of seekers.
type SeekerVelocities<'w, 's> = Query<'w, 's, &'static Velocity, With<Seeker>>;

/// Lets rocks drift with the seekers.
pub fn flock(mut bodies: ParamSet<(SeekerVelocities, Query<&mut Velocity, With<Rock>>)>) {
    let sum: f32 = bodies.p0().iter().map(|velocity| velocity.x).sum();
    for mut velocity in &mut bodies.p1() {
        velocity.x += sum * 1e-6;
    }
}

/// What drag slows.
type Loose = Or<(With<Rock>, With<Spark>)>;

/// Slows what has no drive of its own.
pub fn drag(clock: Res<Clock>, mut bodies: Query<&mut Velocity, Loose>) {
    for mut velocity in &mut bodies {
        velocity.x *= 1.0 - clock.delta;
    }
}

/// Hands warmth to what turns.
pub fn leak_heat(mut bodies: Query<(&mut Heat, Option<&Spin>)>) {
    for (mut heat, spin) in &mut bodies {
        heat.degrees -= spin.map_or(0.0, |spin| spin.speed);
    }
}

/// Heals at once.
pub fn heal_fully(mut hurt: Query<&mut Health, With<Gun>>) {
    for mut health in &mut hurt {
        health.current = health.max;
    }
}

/// Limits speed.
pub fn limit_speed(mut bodies: Query<&mut Velocity, Without<Lifetime>>) {
    for mut velocity in &mut bodies {
        velocity.y = velocity.y.clamp(-500.0, 500.0);
    }
}

/// Dims sparks.
pub fn dim_sparks(mut rounds: Local<u32>, mut sparks: Query<&mut Spark>) {
    *rounds += 1;
    for mut spark in &mut sparks {
        spark.glow *= 0.9;
    }
}

/// Ends a round.
pub fn end_round(mut score: ResMut<Score>, mut running: ResMut<Running>) {
    if score.destroyed > 1_000_000 {
        score.destroyed = 0;
        running.0 = false;
    }
}

/// A rock came.
pub fn rock_added(_: On<Add<Rock>>, mut score: ResMut<Score>) {
    score.alive += 1;
}

/// A rock went.
pub fn rock_removed(_: On<Remove<Rock>>, mut score: ResMut<Score>) {
    score.alive = score.alive.saturating_sub(1);
}

/// A gun came.
pub fn gun_added(_: On<Add<Gun>>, mut camera: ResMut<Camera>) {
    camera.x += 1.0;
}

/// A gun went.
pub fn gun_removed(_: On<Remove<Gun>>, mut camera: ResMut<Camera>) {
    camera.x -= 1.0;
}

/// A spark came.
pub fn spark_added(_: On<Add<Spark>>, mut score: ResMut<Score>) {
    score.hurt += 1;
}

/// A spark went.
pub fn spark_removed(_: On<Remove<Spark>>, mut score: ResMut<Score>) {
    score.hurt = score.hurt.saturating_sub(1);
}

/// Counts once more.
pub fn count_destroyed(event: On<Destroyed>, mut score: ResMut<Score>) {
    score.alive = score.alive.saturating_sub(event.points);
}
