//! What does freed memory that is zero cost?
//!
//! The allocator of live builds beside the system's, in turns, by turning its overwriting
//! off: a frame of the demo game, one of the arena (see `frame.rs`), and loops that do nothing
//! but allocate. Target for the frames: within 3 %. The loops are the worst case, not a promise.
//!
//! Run: `cargo bench -p liveloop_benches --bench allocator`, and with `--profile dev` for the
//! game as it is built while it is edited.

#![expect(
    clippy::unwrap_used,
    reason = "without its fixture there is nothing to measure"
)]

use std::cell::RefCell;
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use criterion::Criterion;
use engine_api::zeroing;
use engine_runtime::link::ToHost;
// The allocator is that of the library which the game links, as in a live build.
use game_logic::game_logic as demo;
use liveloop_benches::fixture::{Build, FRAME, LinkedHost};
use liveloop_benches::paired::Paired;
use liveloop_benches::{arena, is_full_run, paired};

const ENTITIES: usize = 20_000;
/// Frames until the number of bullets is steady.
const WARM_UP: usize = 300;
/// Between frames, as in a game: the next one finds the caches cold.
const NAP: Duration = Duration::from_millis(8);

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
    let figures = frames(arena::NAME, arena::module, |engine| {
        arena::populate(engine.host.world(), ENTITIES);
    });
    writeln!(out, "frame of the arena: {figures} (target: ratio 1.03)").unwrap();
    let figures = frames("game_logic", demo, |_| {});
    writeln!(
        out,
        "frame of the demo game: {figures} (target: ratio 1.03)"
    )
    .unwrap();
}

/// Frames of a module that is drawn.
fn frames(name: &'static str, module: Build, begin: impl Fn(&mut LinkedHost)) -> Paired {
    let mut engine = LinkedHost::start(name, module).unwrap();
    engine.requests.send(ToHost::ViewportWanted(true)).unwrap();
    begin(&mut engine);
    (0..WARM_UP).for_each(|_| engine.host.frame(FRAME));
    let engine = RefCell::new(engine);
    let frame = |overwriting| {
        std::thread::sleep(NAP);
        timed(overwriting, || engine.borrow_mut().host.frame(FRAME))
    };
    paired::measure(1000, || frame(true), || frame(false))
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    if is_full_run() {
        in_turns();
    }
    loops(&mut criterion);
    criterion.final_summary();
}
