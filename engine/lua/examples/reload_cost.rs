//! What a reload of a 500-line module costs in heaps of several sizes:
//! `cargo run --release -p engine_lua --example reload_cost [TABLES ..]`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that measures and prints"
)]

use std::fmt::Write;
use std::time::{Duration, Instant};

use engine_lua::{Domain, Limits, NoSources, Source};

/// A module of about 500 lines: functions, locals they share, tables, callbacks.
fn module(version: u32) -> String {
    let mut text = String::from("local M = { state = {} }\n");
    for number in 0..50 {
        write!(
            text,
            "local count{number} = 0\n\
             local function helper{number}(x)\n  count{number} = count{number} + 1\n  \
             return x * {version}\nend\n\
             M.state.s{number} = {{ hp = {number}, name = \"n{number}\" }}\n\
             function M.f{number}(x)\n  local y = helper{number}(x)\n  return y + count{number}\nend\n"
        )
        .expect("a string takes all");
    }
    text.push_str("return M\n");
    text
}

/// So many tables, each with five fields and held by another; one closure for each ten.
const FILL: &str = r#"
    local m, count = ...
    world = {}
    for i = 1, count do
        local object = { x = i, y = i * 0.5, hp = 100, name = "entity", parent = world[i // 2] }
        world[i] = object
        if i % 10 == 0 then object.callback = function() return m.f1(object.x) end end
    end
"#;

fn main() {
    let sizes: Vec<u32> = std::env::args()
        .skip(1)
        .flat_map(|size| size.parse())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![2_000, 20_000, 200_000]
    } else {
        sizes
    };
    for objects in sizes {
        let mut domain = Domain::new(
            Limits {
                memory: 0,
                ..Limits::default()
            },
            Box::new(NoSources),
        )
        .expect("Lua is linked");
        let text = module(0);
        let lines = text.lines().count();
        domain
            .load("m", Source::new("m.lua", text))
            .expect("the module loads");
        let lua = domain.lua().clone();
        let m: mlua::Value = lua
            .load("return package.loaded.m")
            .eval()
            .expect("it is loaded");
        lua.load(FILL)
            .call::<()>((m, objects))
            .expect("the heap is filled");
        let mut times: Vec<Duration> = Vec::new();
        let mut report = None;
        for version in 1..=15 {
            let source = Source::new("m.lua", module(version));
            let start = Instant::now();
            let done = domain.reload(vec![("m".into(), source)]);
            times.push(start.elapsed());
            report = Some(done.expect("it reloads"));
        }
        times.sort();
        let report = report.expect("there was a reload");
        println!(
            "{lines} lines, {objects} tables ({} objects): median {:.2?}, fastest {:.2?}; \
             {} redirected, walk {:.2?} + {:.2?} + {:.2?}",
            report.objects,
            times[times.len() / 2],
            times[0],
            report.redirected,
            report.cost.snapshot,
            report.cost.search,
            report.cost.redirect
        );
    }
}
