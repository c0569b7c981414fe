//! What does it cost to update 10,000 entities from Lua?
//!
//! Ours: columns of the world's components, read and written back with every run, and live
//! values in a query. Peer: the same loop over plain tables of Lua, which are never read from
//! anywhere. Target: with columns at most 4 times the peer.
//!
//! Run: `cargo bench -p liveloop_benches --bench lua_world`

#![expect(
    clippy::unwrap_used,
    reason = "without its fixture there is nothing to measure"
)]

use std::io::Write as _;
use std::time::{Duration, Instant};

use criterion::Criterion;
use engine_api::prelude::*;
use engine_api::state::StateType;
use engine_lua::{Domain, Limits, NoSources, Source, world};
use engine_runtime::state::{RegisteredType, StateTypes};
use liveloop_benches::{is_full_run, paired};

const ENTITIES: u32 = 10_000;

#[derive(Component, Reflect, Default)]
#[reflect(Component, Default)]
struct Position {
    x: f32,
    y: f32,
}

#[derive(Component, Reflect, Default)]
#[reflect(Component, Default)]
struct Velocity {
    x: f32,
    y: f32,
}

/// The same loop, over columns, live values, plain columns and plain objects.
const SCRIPT: &str = r#"
    local M = {}
    local DT = 1 / 60

    local function move(count, x, y, vx, vy)
        for i = 1, count do
            x[i] = x[i] + vx[i] * DT
            y[i] = y[i] + vy[i] * DT
        end
    end

    function M.columns()
        local rows, x, y, vx, vy =
            world:columns("Position.x", "Position.y", "Velocity.x", "Velocity.y")
        move(#rows, x, y, vx, vy)
        rows:write("Position.x", x, "Position.y", y)
    end

    function M.query()
        for _, pos, vel in world:query("Position", "Velocity") do
            pos.x = pos.x + vel.x * DT
            pos.y = pos.y + vel.y * DT
        end
    end

    local x, y, vx, vy = {}, {}, {}, {}
    for i = 1, 10000 do x[i], y[i], vx[i], vy[i] = 0.0, 0.0, i * 0.1, i * 0.2 end

    function M.plain()
        move(#x, x, y, vx, vy)
    end

    local ships = {}
    for i = 1, 10000 do
        ships[i] = { pos = { x = 0.0, y = 0.0 }, vel = { x = i * 0.1, y = i * 0.2 } }
    end

    function M.objects()
        for _, ship in ipairs(ships) do
            local pos, vel = ship.pos, ship.vel
            pos.x = pos.x + vel.x * DT
            pos.y = pos.y + vel.y * DT
        end
    end

    return M
"#;

struct Bench {
    domain: Domain,
    world: World,
}

impl Bench {
    fn new() -> Self {
        let mut domain = Domain::new(Limits::default(), Box::new(NoSources)).unwrap();
        world::install(&domain).unwrap();
        let source = Source::new("bench.lua", SCRIPT);
        domain.load("bench", source).unwrap();
        let mut world = World::new();
        let types = [
            StateType::component::<Position>(),
            StateType::component::<Velocity>(),
        ];
        let types = types.iter().map(RegisteredType::of);
        world.insert_resource(StateTypes::new(types));
        for number in 0..ENTITIES {
            let (x, y) = (number as f32 * 0.1, number as f32 * 0.2);
            world.spawn((Position::default(), Velocity { x, y }));
        }
        Self { domain, world }
    }

    fn run(&mut self, function: &str) {
        let Self { domain, world } = self;
        world::enter(world, || domain.call("bench", function, ())).unwrap();
    }

    fn time(&mut self, function: &str) -> Duration {
        let start = Instant::now();
        self.run(function);
        start.elapsed()
    }

    /// Where the last entity is.
    fn last(&mut self) -> f32 {
        let mut all = self.world.query::<&Position>();
        all.iter(&self.world)
            .fold(0.0, |last, position| position.x.max(last))
    }
}

const FUNCTIONS: [&str; 4] = ["columns", "query", "plain", "objects"];

fn in_turns(bench: &mut Bench) {
    let mut out = std::io::stdout().lock();
    let bench = std::cell::RefCell::new(bench);
    let mut pair = |ours: &str, peer: &str, target: &str| {
        let time = |function: &str| bench.borrow_mut().time(function);
        let paired = paired::measure(301, || time(ours), || time(peer));
        writeln!(
            out,
            "{ENTITIES} entities, {ours} over {peer} tables: {paired}{target}"
        )
        .unwrap();
    };
    pair("columns", "plain", " (target: 4 times)");
    pair("columns", "objects", "");
    pair("query", "objects", "");
}

fn main() {
    let mut bench = Bench::new();
    for function in FUNCTIONS {
        bench.run(function);
    }
    let expected = 999.9 / 60.0 * 2.0;
    assert!((bench.last() - expected).abs() < 1e-3);
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("lua_world_10000_entities");
    for function in FUNCTIONS {
        group.bench_function(function, |bencher| bencher.iter(|| bench.run(function)));
    }
    group.finish();
    criterion.final_summary();
    if is_full_run() {
        in_turns(&mut bench);
    }
}
