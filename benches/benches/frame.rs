//! What does the engine cost in a frame?
//!
//! Twenty systems over 20,000 entities: run by a host (calls counted, panics caught,
//! times taken, telemetry thread, an attached inspector that wants pictures) beside
//! the same systems in a bevy_ecs `Schedule` with its single-threaded executor.
//! Target: within 2 %.
//!
//! What the engine does by the clock (a picture every 33 ms, counting the world every
//! 100 ms) weighs more in a game that waits for its frames than in a loop without
//! pauses, so the last figure is taken at sixty frames a second: blocks of twelve
//! frames (200 ms) in turns.
//!
//! Run: `cargo bench -p liveloop_benches --bench frame`

#![expect(
    clippy::unwrap_used,
    reason = "without its fixture there is nothing to measure"
)]

use std::io::Write as _;
use std::time::{Duration, Instant};

use criterion::Criterion;
use engine_api::bevy_ecs::schedule::Schedule;
use engine_api::bevy_ecs::world::World;
use engine_runtime::link::ToHost;
use liveloop_benches::fixture::{FRAME, LinkedHost};
use liveloop_benches::paired::{self, Paired};
use liveloop_benches::{arena, is_full_run};

const ENTITIES: usize = 20_000;
/// Frames until the number of bullets is steady.
const WARM_UP: usize = 300;

struct Both {
    engine: LinkedHost,
    world: World,
    schedule: Schedule,
}

impl Both {
    fn new() -> Self {
        let mut engine = LinkedHost::start(arena::NAME, arena::module).unwrap();
        engine.requests.send(ToHost::ViewportWanted(true)).unwrap();
        arena::populate(engine.host.world(), ENTITIES);
        let mut world = arena::bare::world(FRAME);
        world.add_observer(arena::systems::score_destroyed);
        arena::populate(&mut world, ENTITIES);
        let mut both = Self {
            engine,
            world,
            schedule: arena::bare::schedule(),
        };
        for _ in 0..WARM_UP {
            both.engine();
            both.bare();
        }
        both
    }

    fn engine(&mut self) -> Duration {
        let start = Instant::now();
        self.engine.host.frame(FRAME);
        start.elapsed()
    }

    fn bare(&mut self) -> Duration {
        let start = Instant::now();
        arena::bare::frame(&mut self.world, &mut self.schedule, FRAME);
        start.elapsed()
    }

    /// Pairs of frames without pauses.
    fn unpaced(&mut self, rounds: usize) -> Paired {
        let pairs = self.pairs(rounds, |_| {});
        paired::of_pairs(&pairs)
    }

    /// Blocks of frames at sixty a second.
    fn paced(&mut self, blocks: usize) -> Paired {
        const BLOCK: usize = 12;
        let mut next = Instant::now();
        let pairs = self.pairs(blocks * BLOCK, |_| {
            next += FRAME;
            let now = Instant::now();
            if next > now {
                std::thread::sleep(next - now);
            } else {
                next = now;
            }
        });
        let sum = |block: &[(Duration, Duration)]| {
            let add = |a: (Duration, Duration), b: &(Duration, Duration)| (a.0 + b.0, a.1 + b.1);
            block.iter().fold((Duration::ZERO, Duration::ZERO), add)
        };
        let blocks: Vec<_> = pairs.chunks_exact(BLOCK).map(sum).collect();
        paired::of_pairs(&blocks).each(BLOCK as u32)
    }

    fn pairs(&mut self, rounds: usize, mut wait: impl FnMut(usize)) -> Vec<(Duration, Duration)> {
        (0..rounds)
            .map(|round| {
                wait(round);
                if round % 2 == 0 {
                    let engine = self.engine();
                    (engine, self.bare())
                } else {
                    let bare = self.bare();
                    (self.engine(), bare)
                }
            })
            .collect()
    }
}

fn frames(criterion: &mut Criterion, both: &mut Both) {
    let mut group = criterion.benchmark_group("frame");
    group.bench_function("engine", |bencher| {
        bencher.iter_custom(|count| (0..count).map(|_| both.engine()).sum());
    });
    group.bench_function("bevy_schedule", |bencher| {
        bencher.iter_custom(|count| (0..count).map(|_| both.bare()).sum());
    });
    group.finish();
}

fn in_turns(both: &mut Both) {
    let mut out = std::io::stdout().lock();
    let unpaced = both.unpaced(3000);
    writeln!(out, "frame without pauses: {unpaced} (target: ratio 1.02)").unwrap();
    let paced = both.paced(100);
    writeln!(out, "frame at sixty a second: {paced} (target: ratio 1.02)").unwrap();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut both = Both::new();
    if is_full_run() {
        // Before criterion runs one of the two ahead of the other.
        in_turns(&mut both);
    }
    frames(&mut criterion, &mut both);
    criterion.final_summary();
}
