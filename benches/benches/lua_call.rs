//! What does a call of a Lua function through the registry cost?
//!
//! Ours: a handle of the registry, which enters the active version, counts the call, gives the
//! script the world and watches how long it takes. Peer: a cached `mlua::Function` in a state of
//! its own, which does none of this. Target: at most 1.3 times the peer.
//!
//! Run: `cargo bench -p liveloop_benches --bench lua_call`

#![expect(
    clippy::unwrap_used,
    reason = "without its fixture there is nothing to measure"
)]

use std::io::Write as _;
use std::time::{Duration, Instant};

use criterion::Criterion;
use engine_api::value::Value;
use engine_lua::backend::LuaBackend;
use engine_lua::{Bundle, BundledFile, Limits};
use engine_runtime::registry::DynamicFunction;
use liveloop_benches::fixture::LinkedHost;
use liveloop_benches::{is_full_run, paired};
use mlua::{Function, Lua, Table};

/// Three functions: one that does nothing, one with arguments, one that does some work.
const SCRIPT: &str = "
    local M = {}

    function M.nothing() end

    function M.add(a, b)
        return a + b
    end

    function M.work(count)
        local sum = 0
        for i = 1, count do
            sum = sum + i % 7
        end
        return sum
    end

    return M
";

/// Calls of one measurement.
const CALLS: u32 = 1_000;

struct Both {
    engine: LinkedHost,
    lua: Lua,
}

impl Both {
    fn new() -> Self {
        let bundle = Bundle {
            domain: String::new(),
            files: vec![BundledFile {
                module: "bench".into(),
                file: "bench.lua".into(),
                text: SCRIPT.into(),
            }],
        };
        let artifact =
            std::env::temp_dir().join(format!("liveloop-lua-call-{}.json", std::process::id()));
        std::fs::write(&artifact, bundle.to_bytes()).unwrap();
        let backend = Box::new(LuaBackend::new(Limits::default()));
        let engine = LinkedHost::with_backend("bench", backend, artifact.clone()).unwrap();
        std::fs::remove_file(artifact).unwrap();
        Self {
            engine,
            lua: Lua::new(),
        }
    }

    fn ours(&self, function: &str) -> DynamicFunction {
        self.engine.host.registry().dynamic("bench", function)
    }

    fn peer(&self, function: &str) -> Function {
        let module: Table = self.lua.load(SCRIPT).eval().unwrap();
        module.get(function).unwrap()
    }
}

fn time(mut call: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    start.elapsed()
}

fn in_turns(both: &mut Both) {
    let mut out = std::io::stdout().lock();
    let mut pair = |name: &str, ours: &mut dyn FnMut(), peer: &mut dyn FnMut()| {
        let paired = paired::measure(1001, || time(&mut *ours), || time(&mut *peer)).each(CALLS);
        writeln!(out, "{name}: {paired} (target: ratio 1.3)").unwrap();
    };
    let (mut ours, peer) = (both.ours("nothing"), both.peer("nothing"));
    let host = &mut both.engine.host;
    pair(
        "nothing()",
        &mut || drop(host.call(&mut ours, &[]).unwrap()),
        &mut || peer.call::<()>(()).unwrap(),
    );
    let (mut ours, peer) = (both.ours("add"), both.peer("add"));
    let host = &mut both.engine.host;
    let arguments = [Value::Int(12), Value::Int(5)];
    pair(
        "add(12, 5)",
        &mut || assert_eq!(host.call(&mut ours, &arguments).unwrap(), Value::Int(17)),
        &mut || assert_eq!(peer.call::<i64>((12, 5)).unwrap(), 17),
    );
    let (mut ours, peer) = (both.ours("work"), both.peer("work"));
    let host = &mut both.engine.host;
    let arguments = [Value::Int(100)];
    pair(
        "work(100)",
        &mut || drop(host.call(&mut ours, &arguments).unwrap()),
        &mut || {
            peer.call::<i64>(100).unwrap();
        },
    );
}

fn main() {
    let mut both = Both::new();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("lua_call");
    let (mut ours, peer) = (both.ours("nothing"), both.peer("nothing"));
    let host = &mut both.engine.host;
    group.bench_function("registry", |bencher| {
        bencher.iter(|| host.call(&mut ours, &[]).unwrap());
    });
    group.bench_function("mlua", |bencher| {
        bencher.iter(|| peer.call::<()>(()).unwrap());
    });
    group.finish();
    criterion.final_summary();
    if is_full_run() {
        in_turns(&mut both);
    }
}
