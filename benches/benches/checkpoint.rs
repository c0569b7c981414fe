//! What does a checkpoint cost the running game?
//!
//! A hundred thousand entities: with plain components (numbers), and with a text and a list
//! each. Measured is what the frame thread does. Peer: all these values cloned by their own
//! code, column by column. Target: under 2 ms for plain components.
//!
//! Run: `cargo bench -p liveloop_benches --bench checkpoint`

#![expect(
    clippy::unwrap_used,
    reason = "without its fixture there is nothing to measure"
)]

use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use engine_api::bevy_ecs::world::World;
use engine_api::prelude::*;
use engine_runtime::call;
use engine_runtime::checkpoint::{Capture, Meta, Reason};
use engine_runtime::registry::Registry;
use engine_runtime::state::{StateBook, declare_engine_types};
use engine_runtime::swap::ActiveModules;
use liveloop_benches::{fixture, is_full_run};

const MODULE: &str = "bench";

#[derive(Component, Reflect, Default, Clone, Copy)]
#[reflect(Component, Default)]
struct Position {
    x: f32,
    y: f32,
}
#[derive(Component, Reflect, Default, Clone, Copy)]
#[reflect(Component, Default)]
struct Velocity {
    x: f32,
    y: f32,
}
#[derive(Component, Reflect, Default, Clone, Copy)]
#[reflect(Component, Default)]
struct Health {
    current: u32,
    max: u32,
    is_hit: bool,
}
#[derive(Component, Reflect, Default, Clone)]
#[reflect(Component, Default)]
struct Log {
    label: String,
    trail: Vec<f32>,
}

fn plain(m: &mut ModuleBuilder) {
    m.component::<Position>()
        .component::<Velocity>()
        .component::<Health>();
}
fn owning(m: &mut ModuleBuilder) {
    m.component::<Log>();
}

/// A running game.
struct Game {
    world: World,
    book: StateBook,
}

impl Game {
    fn new(build: fn(&mut ModuleBuilder)) -> Self {
        call::prepare();
        let registry = Registry::default();
        registry.add_module(MODULE, "linked");
        let mut world = World::new();
        declare_engine_types(&mut world);
        let mut book = StateBook::default();
        let prepared = fixture::prepare(&registry, MODULE, build).unwrap();
        let swapped =
            ActiveModules::default().swap(vec![prepared], &mut world, &mut book, &registry);
        drop(swapped.unwrap_or_else(|why| panic!("{}", why.message)));
        Self { world, book }
    }

    fn plain(entities: u32) -> Self {
        let mut game = Self::new(plain);
        let values = (0..entities).map(|index| {
            let x = index as f32;
            (
                Position { x, y: -x },
                Velocity { x: 1.0, y: 0.5 },
                Health {
                    current: index,
                    max: 100,
                    is_hit: index % 2 == 0,
                },
            )
        });
        game.world.spawn_batch(values).for_each(drop);
        game
    }

    fn owning(entities: u32) -> Self {
        let mut game = Self::new(owning);
        let values = (0..entities).map(|index| Log {
            label: format!("drone {index}"),
            trail: (0..8).map(|step| (index + step) as f32).collect(),
        });
        game.world.spawn_batch(values).for_each(drop);
        game
    }

    fn capture(&self) -> Duration {
        let meta = Meta {
            modules: Vec::new(),
            frame: 1,
            elapsed: Duration::ZERO,
            saved_at_ms: 0,
            reason: Reason::Interval,
        };
        let start = Instant::now();
        let capture = Capture::take(&self.world, &self.book, meta);
        let took = start.elapsed();
        black_box(capture.into_checkpoint());
        took
    }

    fn clone_all<T: Component + Clone>(&mut self) -> Duration {
        let mut query = self.world.query::<&T>();
        let start = Instant::now();
        let all: Vec<T> = query.iter(&self.world).cloned().collect();
        let took = start.elapsed();
        black_box(all);
        took
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn measure(name: &str, rounds: usize, mut ours: impl FnMut() -> (Duration, Duration)) {
    let (ours, peer): (Vec<_>, Vec<_>) = (0..rounds).map(|_| ours()).unzip();
    let (ours, peer) = (median(ours), median(peer));
    let _ = writeln!(
        std::io::stdout(),
        "checkpoint of {name}: {:.2} ms of the frame thread, cloning takes {:.2} ms, {:.2} times",
        ours.as_secs_f64() * 1e3,
        peer.as_secs_f64() * 1e3,
        ours.as_secs_f64() / peer.as_secs_f64()
    );
}

fn main() {
    let (entities, rounds) = if is_full_run() {
        (100_000, 21)
    } else {
        (1_000, 1)
    };
    let mut game = Game::plain(entities);
    measure(&format!("{entities} entities, plain"), rounds, || {
        let peer = game.clone_all::<Position>()
            + game.clone_all::<Velocity>()
            + game.clone_all::<Health>();
        (game.capture(), peer)
    });
    let mut game = Game::owning(entities);
    measure(
        &format!("{entities} entities, a text and a list each"),
        rounds,
        || {
            let peer = game.clone_all::<Log>();
            (game.capture(), peer)
        },
    );
}
