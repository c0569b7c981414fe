//! What a rebuild costs.

use super::*;

/// Prints what a rebuild of a million entities costs, beside a bare copy of the same
/// columns and ticks. `cargo test --release rebuild::tests::measure -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn measure() {
    const COUNT: usize = 1_000_000;
    let per_entity =
        |start: Instant, count: usize| start.elapsed().as_nanos() as f64 / count as f64;
    for count in [10_000, COUNT] {
        let mut world = World::new();
        world.spawn_batch((0..count).map(|n| {
            (
                Position(n as f32, 0.0, 0.0),
                Velocity(1.0, 1.0),
                Health(n as u32),
            )
        }));
        for round in 0..4 {
            let start = Instant::now();
            let sizes = [12, 8, 4].map(|size| size + 2 * size_of::<Tick>());
            let columns: Vec<Vec<u8>> =
                sizes.map(|size| vec![round as u8 + 1; size * count]).into();
            let fill = per_entity(start, count);
            let start = Instant::now();
            let copies: Vec<Vec<u8>> = columns
                .iter()
                .map(|column| column.as_slice().to_vec())
                .collect();
            let copy = per_entity(start, count);
            drop((columns, copies));

            let start = Instant::now();
            let rebuilt = begin(&mut world, plan([])).unwrap();
            let begun = per_entity(start, count);
            let start = Instant::now();
            rebuilt.commit(&mut world);
            let committed = per_entity(start, count);

            let health = world.component_id::<Health>().unwrap();
            let convert = convert(|_, health: &Health| Ok(FloatHealth(health.0 as f32)));
            let start = Instant::now();
            let rebuilt = begin(&mut world, plan([(health, convert)])).unwrap();
            let converted = per_entity(start, count);
            let start = Instant::now();
            rebuilt.roll_back(&mut world);
            let rolled_back = per_entity(start, count);
            println!(
                "{count:>8} entities, round {round}, ns each: begin {begun:.1} commit {committed:.1} \
                 begin with a conversion {converted:.1} roll back {rolled_back:.1}; \
                 bare copy {copy:.1} (filling its source {fill:.1})"
            );
        }
    }
}
