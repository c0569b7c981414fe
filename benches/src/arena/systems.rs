//! What happens in a frame. Ordinary bevy_ecs systems: the engine and a bevy
//! `Schedule` run these very functions.

use engine_api::prelude::*;

use super::state::{
    Bullet, CELLS, Camera, Clock, Destroyed, Grid, Gun, HALF, Health, Heat, Hit, Lifetime,
    Position, Rock, Score, Seeker, Spark, Spin, Velocity,
};

/// Takes the time once.
pub fn read_clock(time: Res<Time>, mut clock: ResMut<Clock>) {
    clock.delta = time.delta();
    clock.now = time.elapsed_secs();
}

/// Turns seekers towards the middle of the picture.
pub fn steer_seekers(
    clock: Res<Clock>,
    camera: Res<Camera>,
    mut seekers: Query<(&Position, &mut Velocity, &Seeker)>,
) {
    for (position, mut velocity, seeker) in &mut seekers {
        let (x, y) = (camera.x - position.x, camera.y - position.y);
        let distance = x.hypot(y).max(1.0);
        let turn = seeker.agility * 40.0 * clock.delta / distance;
        velocity.x += x * turn;
        velocity.y += y * turn;
    }
}

/// Draws rocks to the middle.
pub fn attract_rocks(clock: Res<Clock>, mut rocks: Query<(&Position, &mut Velocity, &Rock)>) {
    for (position, mut velocity, rock) in &mut rocks {
        let pull = clock.delta * 0.01 / rock.mass;
        velocity.x -= position.x * pull;
        velocity.y -= position.y * pull;
    }
}

/// Moves everything.
pub fn integrate(clock: Res<Clock>, mut bodies: Query<(&mut Position, &Velocity)>) {
    for (mut position, velocity) in &mut bodies {
        position.x += velocity.x * clock.delta;
        position.y += velocity.y * clock.delta;
    }
}

/// Keeps everything inside.
pub fn confine(mut bodies: Query<(&mut Position, &mut Velocity)>) {
    for (mut position, mut velocity) in &mut bodies {
        if position.x.abs() > HALF {
            position.x = position.x.clamp(-HALF, HALF);
            velocity.x = -velocity.x;
        }
        if position.y.abs() > HALF {
            position.y = position.y.clamp(-HALF, HALF);
            velocity.y = -velocity.y;
        }
    }
}

/// Turns what turns.
pub fn spin(clock: Res<Clock>, mut spinning: Query<&mut Spin>) {
    for mut spin in &mut spinning {
        let speed = spin.speed;
        spin.angle = (spin.angle + speed * clock.delta) % std::f32::consts::TAU;
    }
}

/// Lets guns cool.
pub fn cool_guns(clock: Res<Clock>, mut guns: Query<&mut Gun>) {
    for mut gun in &mut guns {
        gun.cooldown -= clock.delta;
    }
}

/// Fires bullets.
pub fn fire(mut commands: Commands, mut guns: Query<(&Position, &Velocity, &mut Gun)>) {
    for (position, velocity, mut gun) in &mut guns {
        if gun.cooldown > 0.0 {
            continue;
        }
        gun.cooldown += gun.period;
        let speed = velocity.x.hypot(velocity.y).max(1.0);
        let fast = Velocity {
            x: velocity.x / speed * 300.0,
            y: velocity.y / speed * 300.0,
        };
        commands.spawn((
            *position,
            fast,
            Bullet { damage: 4.0 },
            Lifetime { left: 1.0 },
        ));
    }
}

/// Ends what has lived long enough.
pub fn age(clock: Res<Clock>, mut commands: Commands, mut mortals: Query<(Entity, &mut Lifetime)>) {
    for (entity, mut lifetime) in &mut mortals {
        lifetime.left -= clock.delta;
        if lifetime.left <= 0.0 {
            commands.entity(entity).despawn();
        }
    }
}

/// Cell of a place.
pub fn cell(position: &Position) -> usize {
    let along = |value: f32| ((value / HALF + 1.0) * 0.5 * CELLS as f32) as usize;
    along(position.y).min(CELLS - 1) * CELLS + along(position.x).min(CELLS - 1)
}

/// Notes who is where.
pub fn rebuild_grid(mut grid: ResMut<Grid>, bodies: Query<(Entity, &Position), With<Health>>) {
    grid.cells.resize_with(CELLS * CELLS, Vec::new);
    grid.cells.iter_mut().for_each(Vec::clear);
    for (entity, position) in &bodies {
        grid.cells[cell(position)].push(entity);
    }
}

/// Finds what bullets met.
pub fn find_hits(
    grid: Res<Grid>,
    bullets: Query<(Entity, &Position, &Bullet)>,
    targets: Query<&Position, With<Health>>,
    mut hits: MessageWriter<Hit>,
) {
    for (entity, position, bullet) in &bullets {
        let near = grid.cells.get(cell(position)).into_iter().flatten();
        let met = near.copied().find(|target| {
            targets.get(*target).is_ok_and(|other| {
                (other.x - position.x).abs() < 3.0 && (other.y - position.y).abs() < 3.0
            })
        });
        if let Some(target) = met {
            hits.write(Hit {
                target,
                bullet: entity,
                damage: bullet.damage,
            });
        }
    }
}

/// Takes off what hits take off. Nothing dies of it, so that frames stay alike.
pub fn apply_hits(
    mut hits: MessageReader<Hit>,
    mut targets: Query<&mut Health>,
    mut commands: Commands,
) {
    for hit in hits.read() {
        if let Ok(mut health) = targets.get_mut(hit.target) {
            health.current -= hit.damage;
            if health.current <= 0.0 {
                health.current = health.max;
                commands.trigger(Destroyed { points: 1 });
            }
        }
        commands.entity(hit.bullet).try_despawn();
    }
}

/// Heals what is hurt.
pub fn regenerate(clock: Res<Clock>, mut hurt: Query<&mut Health>) {
    for mut health in &mut hurt {
        if health.current < health.max {
            health.current = (health.current + clock.delta).min(health.max);
        }
    }
}

/// Slows sparks.
pub fn slow_sparks(clock: Res<Clock>, mut sparks: Query<(&mut Velocity, &mut Spark)>) {
    for (mut velocity, mut spark) in &mut sparks {
        let keep = 1.0 - 0.1 * clock.delta;
        velocity.x *= keep;
        velocity.y *= keep;
        spark.glow = (clock.now + velocity.x).fract().abs();
    }
}

/// Warms what is fast, cools what is not.
pub fn heat(clock: Res<Clock>, mut bodies: Query<(&Velocity, &mut Heat)>) {
    for (velocity, mut heat) in &mut bodies {
        let speed = velocity.x.hypot(velocity.y);
        heat.degrees += (speed * 0.1 - heat.degrees) * clock.delta;
    }
}

/// Counts.
pub fn count_alive(mut score: ResMut<Score>, alive: Query<&Health>) {
    score.alive = alive.iter().filter(|health| health.current > 0.0).count() as u64;
}

/// Moves the picture along.
pub fn follow(mut camera: ResMut<Camera>, guns: Query<&Position, With<Gun>>) {
    let (mut x, mut y, mut count) = (0.0, 0.0, 1.0);
    for position in &guns {
        x += position.x;
        y += position.y;
        count += 1.0;
    }
    camera.x += (x / count - camera.x) * 0.1;
    camera.y += (y / count - camera.y) * 0.1;
}

/// Counts what was hurt in this frame.
pub fn blink_hurt(mut score: ResMut<Score>, hurt: Query<&Health, Changed<Health>>) {
    score.hurt = hurt
        .iter()
        .filter(|health| health.current < health.max)
        .count() as u64;
}

/// Draws what is near as dots.
pub fn draw_dots(
    camera: Res<Camera>,
    mut viewport: ResMut<Viewport>,
    bodies: Query<&Position, Without<Spark>>,
) {
    let (width, height) = (viewport.dot_width(), viewport.dot_height());
    for position in &bodies {
        let x = (position.x - camera.x) as i32 + width / 2;
        let y = (position.y - camera.y) as i32 + height / 2;
        if x >= 0 && y >= 0 && x < width && y < height {
            viewport.dot(x, y, Color(200, 160, 90));
        }
    }
}

/// Draws the points.
pub fn draw_hud(score: Res<Score>, mut viewport: ResMut<Viewport>) {
    let text = format!(
        "{} alive, {} hurt, {} down",
        score.alive, score.hurt, score.destroyed
    );
    viewport.text(1, 0, &text, Color(255, 255, 255));
}

/// Points for what was destroyed.
pub fn score_destroyed(event: On<Destroyed>, mut score: ResMut<Score>) {
    score.destroyed += event.points;
}
