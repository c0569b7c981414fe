//! A game whose types stand in `cases.rs`, which the end-to-end tests of migration write
//! anew at each edit.

mod cases;

use std::fmt::Debug;

use bevy_ecs::resource::IsResource;
use engine_api::prelude::*;

/// A mark that makes versions differ.
const ANSWER: i64 = 1;

/// Shows that frames go on.
#[derive(Resource, Reflect, Default)]
#[reflect(Resource, Default)]
pub struct Counter {
    frames: u64,
}

fn count(mut counter: ResMut<Counter>) {
    counter.frames += 1;
}

fn counter(world: &mut World) -> u64 {
    world.resource::<Counter>().frames
}

fn answer() -> i64 {
    ANSWER
}

/// Every entity of the game, as a number, with the number of its components.
fn entities(world: &mut World) -> String {
    let mut found = world.query_filtered::<EntityRef, Without<IsResource>>();
    let mut lines: Vec<String> = found
        .iter(world)
        .map(|entity| format!("{} {}", entity.id().to_bits(), entity.archetype().component_count()))
        .collect();
    lines.sort();
    lines.join("\n")
}

/// All values of a component, in the order of their entities.
#[expect(clippy::allow_attributes, reason = "cases may have none")]
#[allow(dead_code, reason = "cases may have none")]
fn all<T: Component + Debug>(world: &mut World) -> String {
    let mut query = world.query::<(Entity, &T)>();
    let mut found: Vec<_> =
        query.iter(world).map(|(entity, value)| (entity.index_u32(), format!("{value:?}"))).collect();
    found.sort();
    found.into_iter().map(|(_, value)| value).collect::<Vec<_>>().join("; ")
}

/// What cases are made of.
#[module]
pub fn game_logic(m: &mut ModuleBuilder) {
    m.resource::<Counter>()
        .systems(Update, count)
        .function("answer", answer)
        .function("counter", counter)
        .function("entities", entities);
    cases::register(m);
}
