//! Attempts to break what is unsafe in a reload: collections where nobody expects them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mlua::{Lua, ffi};

use super::harness::{Shelf, difference, domain, dump};
use crate::{Domain, Limits, NoSources, Source};

fn small() -> Domain {
    let limits = Limits {
        memory: 8 << 20,
        ..Limits::default()
    };
    Domain::new(limits, Box::new(NoSources)).unwrap()
}

fn call(domain: &Domain, function: &str) -> String {
    let said = domain.call("m", function, ()).unwrap();
    said.to_string().unwrap()
}

fn run(domain: &Domain, script: &str) {
    domain.lua().load(script).exec().unwrap();
}

/// Garbage of so many tables at the outermost level: beyond the limit, if nothing is collected.
fn with_garbage(text: &str, tables: u32) -> String {
    format!("for i = 1, {tables} do local t = {{ i }} end {text}")
}

const COUNTER: &str = "local M = {} local hits = 0 M.kept = {}
    function M.hit() hits = hits + 1 return 'old ' .. hits end return M";

/// The collector's colours are swapped by each emergency collection: those that a snapshot noted
/// are the other way round after an odd number of them.
fn collected_while_loading(tables: u32) {
    let mut domain = small();
    domain.load("m", Source::new("m.lua", COUNTER)).unwrap();
    run(&domain, "hit = package.loaded.m.hit");
    assert_eq!(call(&domain, "hit"), "old 1");
    let new = with_garbage(&COUNTER.replace("old", "new"), tables);
    domain
        .reload(vec![("m".into(), Source::new("m.lua", new))])
        .unwrap();
    assert_eq!(call(&domain, "hit"), "new 2");
    let held = domain.lua().load("return hit()").eval::<String>().unwrap();
    assert_eq!(held, "new 3");
}

#[test]
fn no_emergency_collection() {
    collected_while_loading(10);
}

#[test]
fn one_emergency_collection() {
    collected_while_loading(150_000);
}

#[test]
fn any_number_of_emergency_collections() {
    for tables in (50_000..700_000).step_by(50_000) {
        collected_while_loading(tables);
    }
}

#[test]
fn emergency_in_a_reload_that_fails() {
    for tables in [150_000, 250_000] {
        let mut domain = small();
        domain.load("m", Source::new("m.lua", COUNTER)).unwrap();
        run(
            &domain,
            "weak = setmetatable({}, {__mode = 'k'}) weak[{}] = {1} weak[package.loaded.m] = 'm'
            fin = setmetatable({1}, {}) co = coroutine.wrap(function(...) local a, b <const> = {}, 'x'
                local function f() return a end coroutine.yield(f) return a, ... end)
            co({}, {})",
        );
        let before = dump(domain.lua(), &[]);
        let new = with_garbage(
            "local m = package.loaded.m m.kept = nil m.hit = nil weak[m] = nil weak = nil
            setmetatable(fin, { __gc = function() end }) fin[1] = nil fin = nil",
            tables,
        ) + &with_garbage("error('no')", 150_000);
        domain
            .reload(vec![("m".into(), Source::new("m.lua", new))])
            .unwrap_err();
        let after = dump(domain.lua(), &[]);
        assert!(before == after, "{}", difference(&before, &after));
        domain.reload_same("m").unwrap();
        assert_eq!(call(&domain, "hit"), "old 1");
    }
}

/// A function of the host panics while a new source runs, and the caller goes on.
#[test]
fn panic_while_a_source_runs() {
    let shelf = Shelf::default();
    shelf.put("other", "return { n = 7 }");
    let mut domain = domain(&shelf);
    let panics = domain
        .lua()
        .create_function(|_, ()| -> mlua::Result<()> { panic!("boom") });
    domain
        .lua()
        .globals()
        .set("panics", panics.unwrap())
        .unwrap();
    domain.load("m", Source::new("m.lua", COUNTER)).unwrap();
    run(&domain, "kept = { 1 }");
    let text = format!("kept[1] = 2 panics() {COUNTER}");
    let edits = vec![("m".to_string(), Source::new("m.lua", text))];
    let _ = catch_unwind(AssertUnwindSafe(|| domain.reload(edits)));
    let kept = domain.lua().load("return kept[1]").eval::<i64>().unwrap();
    let other = domain.lua().load("return require('other').n").eval::<i64>();
    let is_module = domain.modules().iter().any(|name| name == "other");
    let stops = domain.lua().gc_is_running();
    assert_eq!(
        (kept, other.ok(), is_module, stops),
        (1, Some(7), true, true)
    );
}

/// Steps of the collector, as small as can be.
fn step(lua: &Lua, times: u32) {
    // SAFETY: a protected call; finalizers are run in it.
    unsafe {
        lua.exec_raw::<()>((), |lua| {
            ffi::lua_gc(lua, ffi::LUA_GCINC, 200, 1, 6);
            for _ in 0..times {
                ffi::lua_gc(lua, ffi::LUA_GCSTEP, 0);
            }
        })
        .unwrap();
    }
}

/// Reloads with the collector stopped everywhere in its cycle.
#[test]
fn everywhere_in_a_cycle() {
    const TEXT: &str = "
        local M = { list = {}, tag = 'VERSION' }
        local function tagged() return M.tag end
        weakk = weakk or setmetatable({}, { __mode = 'k' })
        weakv = weakv or setmetatable({}, { __mode = 'v' })
        local metatable = { __gc = function(self) saw = (saw or 0) + 1 back = self end }
        function M.churn(n)
            for i = 1, n do
                local t = setmetatable({ f = function() return i, tagged() end }, metatable)
                weakk[t] = { t, function() return t, tagged() end }
                weakv[i] = { i }
                local co = coroutine.create(function(...)
                    local x <close> = setmetatable({}, { __close = function() end })
                    local y = { tagged, ... }
                    local g = function() return y, x end
                    coroutine.yield(g)
                    return y, tagged()
                end)
                coroutine.resume(co, i, t)
                M.list[i % 7] = co
                M.list[-i % 5] = coroutine.create(tagged)
                M.list[('x'):rep(50) .. i % 3] = tagged
            end
            return tagged()
        end
        function M.resume()
            for _, co in pairs(M.list) do
                if type(co) == 'thread' then coroutine.resume(co) end
            end
            return tagged()
        end
        return M";
    let mut domain = small();
    domain.load("m", Source::new("m.lua", TEXT)).unwrap();
    let rounds: u32 = std::env::var("ROUNDS").map_or(60, |n| n.parse().unwrap());
    for round in 0..rounds {
        domain.call("m", "churn", 30).unwrap();
        step(domain.lua(), round * 7 % 203);
        let tag = format!("v{round}");
        let mut text = TEXT.replace("VERSION", &tag);
        if round % 4 == 1 {
            text = with_garbage(&text, 40_000 * (round % 9));
        }
        if round % 3 == 2 {
            let before = call(&domain, "resume");
            let bad =
                format!("weakk, weakv, back = nil {text} error('no')").replace("return M ", " ");
            let bad = bad.replace("return M error", "error");
            domain
                .reload(vec![("m".into(), Source::new("m.lua", bad))])
                .unwrap_err();
            assert_eq!(call(&domain, "resume"), before);
        } else {
            domain
                .reload(vec![("m".into(), Source::new("m.lua", text))])
                .unwrap();
            // `tag` is data that nobody has touched: it follows the source.
            let said = call(&domain, "resume");
            assert!(said == tag || said == "VERSION", "{said} in round {round}");
        }
        step(domain.lua(), round % 5);
        domain.collect_some();
    }
}

/// Something whose finalizer is due: it is in neither of the lists.
type Said = (i64, i64, i64, Option<i64>, i64);

#[test]
fn require_within_coroutines() {
    let shelf = Shelf::default();
    shelf.put(
        "other",
        "n = (n or 0) + 1 local M = {} function M.get() return n end return M",
    );
    shelf.put(
        "bad",
        "n = 100 kept.x = 5 for i = 1, 10 do kept[i] = {} end error('no')",
    );
    let mut domain = domain(&shelf);
    domain.load("m", Source::new("m.lua", COUNTER)).unwrap();
    let script = "kept = {}
        local outer = { 1 }
        local function deep(k, ...)
            if k > 0 then return coroutine.wrap(function(...) local r = deep(k - 1, ...) return r end)(k, ...) end
            assert(not pcall(require, 'bad'))
            outer[1] = require('other').get()
            return outer[1]
        end
        return deep(50, {}, {}), outer[1], n, kept.x, #kept";
    let said: Said = domain.lua().load(script).eval().unwrap();
    assert_eq!(said, (1, 1, 1, None, 0));
}

/// What is reachable in odd ways alone, and is new.
#[test]
fn newcomers_in_odd_places() {
    let mut domain = small();
    let text = "local M = {} local n = 1
        local function made() return n, 'old' end
        function M.bump() n = n + 1 end
        PLACE
        return M";
    let places = [
        "old_weak[old_key] = made",
        "old_weak[old_key] = setmetatable({}, { __gc = function() return made() end })",
        "getmetatable(old_fin).__gc = function() return made() end",
        "setmetatable(old_plain, { __gc = function() end, f = made })",
        "old_fin.f = made",
        "setmetatable(old_plain, { __gc = function() end }) old_plain.f = made",
        "getmetatable('').made = made",
        "old_table[made] = true",
        "old_cell(made)",
        "old_table[1] = coroutine.create(made)",
        "old_table[1] = coroutine.wrap(made)",
        "old_table[1] = coroutine.wrap(function(...) coroutine.yield() return ... end) old_table[1](made)",
        "old_table[1] = coroutine.wrap(function(...) local x <close> = setmetatable({ made }, \
            { __close = function() end }) coroutine.yield() return ... end) old_table[1]()",
    ];
    for (number, place) in places.iter().enumerate() {
        for tables in [0, 120_000] {
            let prepare = "old_key = {} old_weak = setmetatable({}, { __mode = 'k' })
                old_fin = setmetatable({}, { __gc = function() end }) old_plain = {} old_table = {}
                do local cell old_cell = function(x) if x then cell = x end return cell end end";
            run(&domain, prepare);
            let name = format!("m{number}x{tables}");
            let first = with_garbage(&text.replace("PLACE", place), tables);
            domain
                .load(&name, Source::new("m.lua", first.as_str()))
                .unwrap();
            domain.call(&name, "bump", ()).unwrap();
            let second = first.replace("'old'", "'new'");
            let report = domain
                .reload(vec![(name.clone(), Source::new("m.lua", second))])
                .unwrap();
            let text = format!("{report:?}");
            assert!(text.contains("made"), "{place} with {tables}: {text}");
        }
    }
}

/// Recursion so deep that setting a hook, which looks at all calls, takes as long as the watchdog
/// waits between two signals.
#[test]
fn deep_recursion_is_ended() {
    use std::time::{Duration, Instant};
    let limits = Limits {
        call: Duration::from_millis(100),
        ..Limits::default()
    };
    let text = "local M = {} local function f() return 1 + f() end
        function M.f() while true do pcall(f) end end
        function M.g() return f() end return M";
    let mut domain = Domain::new(limits, Box::new(NoSources)).unwrap();
    domain.load("m", Source::new("m.lua", text)).unwrap();
    for name in ["f", "g"] {
        let start = Instant::now();
        domain.call("m", name, ()).unwrap_err();
        let took = start.elapsed();
        eprintln!("{name} was ended after {took:?}");
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}

/// Looking for what is left of old versions walks over the heap under the limit of memory.
#[test]
fn draining_where_memory_is_out() {
    let mut domain = small();
    let text = "local M = {} function M.f() coroutine.yield() return 'v1' end return M";
    domain.load("m", Source::new("m.lua", text)).unwrap();
    run(&domain, "a = coroutine.wrap(package.loaded.m.f) a()");
    let edit = |version: &str| {
        vec![(
            "m".to_string(),
            Source::new("m.lua", text.replace("v1", version)),
        )]
    };
    domain.reload(edit("v2")).unwrap();
    run(&domain, "b = coroutine.wrap(package.loaded.m.f) b()");
    domain.reload(edit("v3")).unwrap();
    assert_eq!(domain.draining().unwrap().len(), 2);
    run(&domain, "a() a = nil");
    domain.lua().gc_collect().unwrap();
    // A list, so that there is no room at all in the end.
    run(
        &domain,
        "pcall(function() while true do head = { head } end end)
        for i = 1, 100 do head = head[1] end",
    );
    let failed = domain.draining();
    eprintln!("with no memory: {failed:?}");
    run(&domain, "head = nil");
    domain.lua().gc_collect().unwrap();
    let mut versions: Vec<u32> = domain
        .draining()
        .unwrap()
        .iter()
        .map(|d| d.version)
        .collect();
    versions.dedup();
    assert_eq!(versions, [2], "`b` is in version 2");
    domain.reload(edit("v4")).unwrap();
    let versions: Vec<u32> = domain
        .draining()
        .unwrap()
        .iter()
        .map(|d| d.version)
        .collect();
    assert_eq!(versions, [2], "`b` is in version 2 still");
}
