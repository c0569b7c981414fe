//! Moves what it spawns.

use engine_api::prelude::*;
use types::{Position, Spawned};

const ANSWER: i64 = 1;

fn advance(mut positions: Query<&mut Position>) {
    for mut position in &mut positions {
        position.x += 1;
    }
}

fn answer() -> i64 {
    ANSWER
}

fn spawn(world: &mut World, count: u32) -> u32 {
    for _ in 0..count {
        world.spawn(Position::default());
    }
    world.write_message(Spawned { count });
    count
}

/// Every entity, in a fixed order.
fn entities(world: &mut World) -> String {
    let mut ids: Vec<u64> = world
        .query_filtered::<Entity, With<Position>>()
        .iter(world)
        .map(Entity::to_bits)
        .collect();
    ids.sort_unstable();
    format!("{ids:?}")
}

/// The module.
#[module]
pub fn game_logic(m: &mut ModuleBuilder) {
    m.component::<Position>()
        .message::<Spawned>()
        .systems(Update, advance)
        .function("answer", answer)
        .function("spawn", spawn)
        .function("entities", entities);
}
