//! How long does the frame loop stand still when a version is swapped in?
//!
//! Thirty systems with a condition each and eight observers are replaced in a world
//! of 100,000 entities; no type changes its layout. Peer: a bevy_ecs `Schedule` of the
//! same systems, built anew and initialised, and the same observers, spawned anew.
//! Target: under 1 ms.
//!
//! `swap/engine` is the swap alone. The line at the end is what the loop really
//! loses: a frame of a host that takes a version, less an ordinary one.
//!
//! Run: `cargo bench -p liveloop_benches --bench swap`

#![expect(
    clippy::unwrap_used,
    reason = "without its fixture there is nothing to measure"
)]

use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use criterion::Criterion;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::schedule::Schedule;
use engine_api::bevy_ecs::world::World;
use engine_runtime::call;
use engine_runtime::registry::Registry;
use engine_runtime::state::StateBook;
use engine_runtime::swap::ActiveModules;
use liveloop_benches::fixture::{self, FRAME, LinkedHost};
use liveloop_benches::{arena, is_full_run, paired};

const ENTITIES: usize = 100_000;

/// The engine around a world.
struct Engine {
    modules: ActiveModules,
    book: StateBook,
    registry: Registry,
    world: World,
}

impl Engine {
    fn new() -> Self {
        call::prepare();
        let registry = Registry::default();
        registry.add_module(arena::NAME, "linked");
        let mut engine = Self {
            modules: ActiveModules::default(),
            book: StateBook::default(),
            registry,
            world: arena::bare::world(FRAME),
        };
        engine.swap();
        arena::populate(&mut engine.world, ENTITIES);
        engine
    }

    /// Swaps the next version in; the time the frame loop would lose.
    fn swap(&mut self) -> Duration {
        let Self {
            modules,
            book,
            registry,
            world,
        } = self;
        let prepared = fixture::prepare(registry, arena::NAME, arena::module_at_rest).unwrap();
        let start = Instant::now();
        let swapped = modules.swap(vec![prepared], world, book, registry);
        let took = start.elapsed();
        let swapped = swapped.unwrap_or_else(|why| panic!("{}", why.message));
        if let Some(previous) = swapped.versions[0].previous {
            fixture::unload(registry, arena::NAME, previous);
        }
        took
    }
}

/// A world with a schedule.
struct Bare {
    world: World,
    schedule: Schedule,
    observers: Vec<Entity>,
}

impl Bare {
    fn new() -> Self {
        let mut world = arena::bare::world(FRAME);
        let observers = arena::bare::observers_at_rest(&mut world);
        arena::populate(&mut world, ENTITIES);
        Self {
            world,
            schedule: arena::bare::schedule_at_rest(),
            observers,
        }
    }

    /// Builds and initialises the next schedule. Dropping the old one is not counted,
    /// as in the engine, which does that on another thread.
    fn rebuild(&mut self) -> Duration {
        let start = Instant::now();
        let mut schedule = arena::bare::schedule_at_rest();
        schedule.initialize(&mut self.world).unwrap();
        for observer in self.observers.drain(..) {
            self.world.despawn(observer);
        }
        self.observers = arena::bare::observers_at_rest(&mut self.world);
        let took = start.elapsed();
        drop(std::mem::replace(&mut self.schedule, schedule));
        took
    }
}

fn swaps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("swap");
    group.bench_function("engine", |bencher| {
        let mut engine = Engine::new();
        bencher.iter_custom(|count| (0..count).map(|_| engine.swap()).sum());
    });
    group.bench_function("bevy_schedule", |bencher| {
        let mut bare = Bare::new();
        bencher.iter_custom(|count| (0..count).map(|_| bare.rebuild()).sum());
    });
    group.finish();
}

/// What a swap costs the loop of a host, and how long an ordinary frame takes there.
fn host_swaps(count: usize) -> (Vec<f64>, f64) {
    let mut linked = LinkedHost::start(arena::NAME, arena::module_at_rest).unwrap();
    arena::populate(linked.host.world(), ENTITIES);
    let frame = |linked: &mut LinkedHost| {
        let start = Instant::now();
        linked.host.frame(FRAME);
        start.elapsed().as_nanos() as f64
    };
    let ordinary: Vec<f64> = (0..200).map(|_| frame(&mut linked)).collect();
    let ordinary = paired::median(ordinary);
    let swaps = (0..count).map(|_| {
        let before = linked.active();
        linked.request_load();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let took = frame(&mut linked);
            if linked.active() != before {
                return took - ordinary;
            }
            assert!(Instant::now() < deadline, "the version does not come");
            std::thread::sleep(Duration::from_micros(300));
        }
    });
    (swaps.collect(), ordinary)
}

fn in_turns() {
    let (mut engine, mut bare) = (Engine::new(), Bare::new());
    let mut out = std::io::stdout().lock();
    let both = paired::measure(301, || engine.swap(), || bare.rebuild());
    writeln!(out, "swap, beside building a bevy schedule anew: {both}").unwrap();
    let (lost, ordinary) = host_swaps(101);
    let lost_at = |share| paired::quantile(lost.iter().copied(), share) / 1e6;
    writeln!(
        out,
        "time the frame loop of a host loses: median {:.3} ms, 90 of 100 within {:.3} ms, worst \
         {:.3} ms (target: 1 ms); an ordinary frame: {:.3} ms",
        lost_at(0.5),
        lost_at(0.9),
        lost_at(1.0),
        ordinary / 1e6,
    )
    .unwrap();
    black_box(&bare.schedule);
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    swaps(&mut criterion);
    criterion.final_summary();
    if is_full_run() {
        in_turns();
    }
}
