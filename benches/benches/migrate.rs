//! What does a change of a type's layout cost the running game?
//!
//! A million entities (and ten thousand) with three components; one of them gains a
//! field. Measured is the whole swap. Peer: the same world rebuilt as it is, without any
//! version or change. Target: under three times the peer; ten thousand entities within
//! one frame at 60 Hz (16.7 ms).
//!
//! Run: `cargo bench -p liveloop_benches --bench migrate`

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
use engine_runtime::rebuild::{RebuildPlan, Rebuilt};
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
#[type_path = "bench"]
#[type_name = "Health"]
struct Health {
    current: f32,
    max: f32,
}
#[derive(Component, Reflect, Clone, Copy)]
#[reflect(Component, Default)]
#[type_path = "bench"]
#[type_name = "Health"]
struct ArmoredHealth {
    current: f32,
    max: f32,
    armor: u32,
}
impl Default for ArmoredHealth {
    fn default() -> Self {
        Self {
            current: 0.0,
            max: 0.0,
            armor: 5,
        }
    }
}

fn before(m: &mut ModuleBuilder) {
    m.component::<Position>()
        .component::<Velocity>()
        .component::<Health>();
}
fn after(m: &mut ModuleBuilder) {
    m.component::<Position>()
        .component::<Velocity>()
        .component::<ArmoredHealth>();
}

fn declare(world: &mut World) {
    declare_engine_types(world);
    world.register_component::<Position>();
    world.register_component::<Velocity>();
    world.register_component::<Health>();
}

/// A running game of so many entities.
struct Game {
    world: World,
    book: StateBook,
    registry: Registry,
    modules: ActiveModules,
}

impl Game {
    fn new(entities: u32) -> Self {
        call::prepare();
        let registry = Registry::default();
        registry.add_module(MODULE, "linked");
        let mut world = World::new();
        declare_engine_types(&mut world);
        let mut game = Self {
            world,
            book: StateBook::default(),
            registry,
            modules: ActiveModules::default(),
        };
        game.swap(before);
        let values = (0..entities).map(|index| {
            let number = index as f32;
            (
                Position {
                    x: number,
                    y: -number,
                },
                Velocity { x: 1.0, y: 0.5 },
                Health {
                    current: number,
                    max: 100.0,
                },
            )
        });
        game.world.spawn_batch(values).for_each(drop);
        game
    }

    fn swap(&mut self, build: fn(&mut ModuleBuilder)) -> Duration {
        let prepared = fixture::prepare(&self.registry, MODULE, build).unwrap();
        let start = Instant::now();
        let swapped = self.modules.swap(
            vec![prepared],
            &mut self.world,
            &mut self.book,
            &self.registry,
        );
        let took = start.elapsed();
        drop(swapped.unwrap_or_else(|why| panic!("{}", why.message)));
        took
    }

    /// The world as it is, carried over into a fresh one.
    fn rebuild(&mut self) -> Duration {
        let plan = RebuildPlan {
            declare: vec![declare],
            ..RebuildPlan::default()
        };
        let start = Instant::now();
        // SAFETY: every value moves to its own type, and nothing runs in between.
        let rebuilt = unsafe { Rebuilt::begin(&mut self.world, plan) }.unwrap();
        let panicked = rebuilt.commit(&mut self.world);
        let took = start.elapsed();
        assert!(panicked.is_none());
        took
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let (sizes, rounds): (&[u32], usize) = if is_full_run() {
        (&[1_000_000, 10_000], 9)
    } else {
        (&[1_000], 1)
    };
    for &entities in sizes {
        let mut raw = Vec::new();
        let mut swap = Vec::new();
        for _ in 0..rounds {
            raw.push(Game::new(entities).rebuild());
            let mut game = Game::new(entities);
            swap.push(game.swap(after));
            let mut query = game.world.query::<&ArmoredHealth>();
            assert_eq!(
                query
                    .iter(&game.world)
                    .filter(|health| health.armor == 5)
                    .count(),
                entities as usize
            );
            black_box(&game.world);
        }
        let (raw, swap) = (median(raw), median(swap));
        let per = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(entities);
        let _ = writeln!(
            std::io::stdout(),
            "migrate {entities}: swap {:.2} ms ({:.0} ns an entity), raw rebuild {:.2} ms ({:.0} ns), \
             {:.2} times",
            swap.as_secs_f64() * 1e3,
            per(swap),
            raw.as_secs_f64() * 1e3,
            per(raw),
            swap.as_secs_f64() / raw.as_secs_f64()
        );
    }
}
