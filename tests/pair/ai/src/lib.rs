//! Looks at what `game_logic` moves.

use engine_api::prelude::*;
use types::{Position, Spawned};

const ANSWER: i64 = 1;

/// What was seen.
#[derive(Resource, Reflect, Default)]
#[reflect(Resource, Default)]
pub struct Seen {
    farthest: u64,
    spawned: u64,
}

fn look(positions: Query<&Position>, mut spawned: MessageReader<Spawned>, mut seen: ResMut<Seen>) {
    let farthest: u32 = positions.iter().map(|position| position.x).max().unwrap_or(0);
    seen.farthest = farthest.into();
    seen.spawned += spawned.read().map(|message| u64::from(message.count)).sum::<u64>();
}

fn answer() -> i64 {
    ANSWER
}

fn farthest(world: &mut World) -> u64 {
    world.resource::<Seen>().farthest
}

fn spawned(world: &mut World) -> u64 {
    world.resource::<Seen>().spawned
}

/// The module.
#[module]
pub fn ai(m: &mut ModuleBuilder) {
    m.component::<Position>()
        .message::<Spawned>()
        .resource::<Seen>()
        .systems(Update, look)
        .function("answer", answer)
        .function("farthest", farthest)
        .function("spawned", spawned);
}
