//! What does freed memory that is zero cost?
//!
//! The allocator of live builds beside the system's, in turns, by turning its overwriting
//! off: a frame of the arena (see `frame.rs`), and loops that do nothing but allocate.
//! Target for the frame: within 3 %. The loops are the worst case, not a promise.
//!
//! Run: `cargo bench -p liveloop_benches --bench allocator`

#![expect(
    clippy::unwrap_used,
    reason = "without its fixture there is nothing to measure"
)]

use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use criterion::Criterion;
use engine_api::zeroing::{self, Zeroing};
use engine_runtime::link::ToHost;
use liveloop_benches::fixture::{FRAME, LinkedHost};
use liveloop_benches::{arena, is_full_run, paired};

#[global_allocator]
static ALLOCATOR: Zeroing = Zeroing;

const ENTITIES: usize = 20_000;
/// Frames until the number of bullets is steady.
const WARM_UP: usize = 300;

/// Loops that allocate and free, by name.
const LOOPS: [(&str, fn()); 4] = [
    ("1000 boxes of 32 bytes", || {
        let boxes: Vec<Box<[u64; 4]>> = (0..1000).map(|_| Box::new([1; 4])).collect();
        black_box(boxes);
    }),
    ("one box of 32 bytes, 1000 times", || {
        (0..1000).for_each(|_| drop(black_box(Box::new([1_u64; 4]))));
    }),
    ("a list that grows to 1000 numbers", || {
        let mut list = Vec::new();
        (0..1000_u64).for_each(|number| list.push(number));
        black_box(list);
    }),
    ("64 KiB", || drop(black_box(vec![1_u8; 64 << 10]))),
];

/// How long something takes with overwriting or without.
fn timed(overwriting: bool, act: impl FnOnce()) -> Duration {
    zeroing::set_enabled(overwriting);
    let start = Instant::now();
    act();
    let took = start.elapsed();
    zeroing::set_enabled(true);
    took
}

fn loops(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("allocator");
    for (name, act) in LOOPS {
        for (whose, overwriting) in [("zeroing", true), ("system", false)] {
            group.bench_function(format!("{name}/{whose}"), |bencher| {
                zeroing::set_enabled(overwriting);
                bencher.iter(act);
                zeroing::set_enabled(true);
            });
        }
    }
    group.finish();
}

fn in_turns() {
    let mut out = std::io::stdout().lock();
    for (name, act) in LOOPS {
        let figures = paired::measure(4000, || timed(true, act), || timed(false, act));
        writeln!(out, "{name}: {figures}").unwrap();
    }
    let mut engine = LinkedHost::start(arena::NAME, arena::module).unwrap();
    engine.requests.send(ToHost::ViewportWanted(true)).unwrap();
    arena::populate(engine.host.world(), ENTITIES);
    (0..WARM_UP).for_each(|_| engine.host.frame(FRAME));
    let engine = std::cell::RefCell::new(engine);
    let frame = || engine.borrow_mut().host.frame(FRAME);
    let figures = paired::measure(3000, || timed(true, frame), || timed(false, frame));
    writeln!(out, "frame: {figures} (target: ratio 1.03)").unwrap();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    if is_full_run() {
        in_turns();
    }
    loops(&mut criterion);
    criterion.final_summary();
}
