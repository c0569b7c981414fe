//! Letting the waves come.

use engine_api::prelude::*;

use crate::effects::Banner;
use crate::game::{Game, Phase, Score};
use crate::math::Vec2;
use crate::motion::Position;
use crate::player::Ship;
use crate::random::Rng;
use crate::swarm::{Drone, drone, place};
use crate::tuning::Tuning;
use crate::waves::{Arena, WavePlan};

/// How far the waves have come.
#[derive(Resource, Reflect, Default, Clone, Debug)]
#[reflect(Resource, Default)]
pub struct WaveProgress {
    /// The wave that is on, from 0.
    pub number: u32,
    /// Whether it was announced.
    pub announced: bool,
    /// Seconds since then.
    pub seconds: f32,
    /// The group that comes in.
    pub group: u32,
    /// How many of that group came in.
    pub released: u32,
    /// Drones that are due; the fraction waits for the next frame.
    pub due: f32,
    /// Seconds for which nobody comes in. Scripts set it.
    pub hold: f32,
}

/// A wave begins.
#[derive(Event, TypePath, Clone, Debug)]
pub struct WaveStarted {
    /// Which, from 1.
    pub number: u32,
    /// What it is called.
    pub name: String,
}

/// Observer: says so.
pub fn announce_wave(started: On<WaveStarted>, mut banner: ResMut<Banner>) {
    let detail = match started.number {
        1 => "arrows or WASD fly, the guns fire by themselves",
        2 => "space fires the nova when its bar is full",
        _ => "",
    };
    *banner = Banner::new(
        &format!("Wave {}: {}", started.number, started.name),
        detail,
    );
    log::info!("wave {}: {}", started.number, started.name);
}

/// Announces waves, lets their groups in, and goes on to the next one.
///
/// The plan may change while a wave is on (you are editing `waves.ron`), so
/// nothing of it is remembered but how far we came.
#[expect(
    clippy::too_many_arguments,
    reason = "a system names all that it touches"
)]
pub fn run_waves(
    mut commands: Commands,
    time: Res<Time>,
    tuning: Res<Tuning>,
    plan: Res<WavePlan>,
    arena: Res<Arena>,
    game: Res<Game>,
    mut progress: ResMut<WaveProgress>,
    mut rng: ResMut<Rng>,
    mut score: ResMut<Score>,
    ship: Query<&Position, With<Ship>>,
    drones: Query<(), With<Drone>>,
) {
    let number = progress.number;
    let Some(wave) = plan.wave(number) else {
        return;
    };
    if game.phase == Phase::Over {
        return;
    }
    if !progress.announced {
        progress.announced = true;
        commands.trigger(WaveStarted {
            number: number + 1,
            name: wave.name.clone(),
        });
    }
    progress.seconds += time.delta();
    if progress.hold > 0.0 {
        progress.hold -= time.delta();
        return;
    }
    if progress.seconds < plan.pause {
        return;
    }
    let alive = drones.iter().len() as u32;
    let Some(group) = wave.groups.get(progress.group as usize) else {
        if alive <= plan.leftover {
            score.add(plan.bonus * u64::from(number + 1));
            *progress = WaveProgress {
                number: number + 1,
                ..WaveProgress::default()
            };
        }
        return;
    };
    let size = plan.size(group, number);
    progress.due += group.rate * time.delta();
    let room = tuning.drones.most.saturating_sub(alive);
    let count = (progress.due as u32)
        .min(size.saturating_sub(progress.released))
        .min(room);
    progress.due = (progress.due - count as f32).min(group.rate);
    progress.released += count;
    let from = ship.iter().next().map_or(Vec2::ZERO, |position| position.0);
    for _ in 0..count {
        let at = place(
            group.formation,
            &arena,
            from,
            tuning.drones.clearance,
            &mut rng,
        );
        commands.spawn(drone(group.kind, at, &tuning, &mut rng));
    }
    if progress.released >= size {
        progress.group += 1;
        progress.released = 0;
        progress.due = 0.0;
    }
}
