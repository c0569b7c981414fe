//! Counts frames.

use engine_api::prelude::*;

const ANSWER: i64 = 1;

/// How many there were.
#[derive(Resource, Reflect, Default)]
#[reflect(Resource, Default)]
pub struct Frames(u64);

fn count(mut frames: ResMut<Frames>) {
    frames.0 += 1;
}

fn answer() -> i64 {
    ANSWER
}

fn frames(world: &mut World) -> u64 {
    world.resource::<Frames>().0
}

/// Game time of a frame, in microseconds.
fn step(world: &mut World) -> u64 {
    world.resource::<Time>().step().as_micros() as u64
}

/// The module.
#[module]
pub fn meter(m: &mut ModuleBuilder) {
    m.resource::<Frames>()
        .systems(Update, count)
        .function("answer", answer)
        .function("frames", frames)
        .function("step", step);
}
