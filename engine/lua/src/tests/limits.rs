//! What stops scripts, and what they cannot reach.

use std::fmt::Write;

use super::harness::{Shelf, difference, domain, dump};
use crate::{Domain, Limits, NoSources, Phase, Source};

fn load(text: &str) -> Result<crate::Report, crate::ReloadError> {
    let limits = Limits {
        memory: 8 << 20,
        instructions: 1_000_000,
        ..Limits::default()
    };
    let mut domain = Domain::new(limits, Box::new(NoSources)).unwrap();
    domain.load("m", Source::new("m.lua", text))
}

#[test]
fn scripts_reach_no_files_processes_bytecode_or_internals() {
    for gone in [
        "io",
        "debug",
        "dofile",
        "loadfile",
        "os.execute",
        "os.remove",
        "os.exit",
        "os.getenv",
        "string.dump",
        "package.loadlib",
        "package.searchers",
        "package.cpath",
    ] {
        let text = format!("if {gone} ~= nil then error('{gone} is there') end");
        load(&text).unwrap();
    }
    for there in [
        "os.time()",
        "os.clock()",
        "utf8.char(955)",
        "coroutine.wrap(function() end)",
        "math.max(1, 2)",
        "load('return 1')()",
        "collectgarbage('count')",
    ] {
        load(&format!("local x = {there}")).unwrap();
    }
}

#[test]
fn bytecode_is_no_source() {
    let bytecode = mlua::Lua::new()
        .load("return 1")
        .into_function()
        .unwrap()
        .dump(false);
    let mut text = String::from("local f = load(\"");
    for byte in bytecode {
        write!(text, "\\{byte:03}").unwrap();
    }
    text.push_str("\", 'x', 'b') if f then error('it was loaded') end");
    load(&text).unwrap();
}

#[test]
fn a_loop_without_end_is_ended() {
    for endless in [
        "while true do end",
        "coroutine.wrap(function() while true do end end)()",
        "while true do pcall(function() while true do end end) end",
    ] {
        let error = load(endless).unwrap_err();
        assert_eq!(error.phase, Phase::Run);
        assert!(error.to_string().contains("ran for too long"), "{error}");
    }
    // Those that were made while there was a budget run without one later.
    let mut domain = domain(&Shelf::default());
    let text = "return { run = coroutine.wrap(function() coroutine.yield() \
        for i = 1, 3000000 do end return 'done' end), n = 1 }";
    domain.load("m", Source::new("m.lua", text)).unwrap();
    domain.call("m", "run", ()).unwrap();
    assert_eq!(
        domain.call("m", "run", ()).unwrap().to_string().unwrap(),
        "done"
    );
}

#[test]
fn memory_has_a_limit_that_leaves_the_state_usable() {
    let error = load("local t = {} for i = 1, 1e7 do t[i] = { i } end").unwrap_err();
    assert!(error.to_string().contains("not enough memory"), "{error}");
    let limits = Limits {
        memory: 8 << 20,
        ..Limits::default()
    };
    let mut domain = Domain::new(limits, Box::new(NoSources)).unwrap();
    domain
        .load("m", Source::new("m.lua", "kept = { 1 } return {}"))
        .unwrap();
    let before = dump(domain.lua(), &[]);
    let text = "kept[1] = ('x'):rep(1e9) return {}";
    domain
        .reload(vec![("m".into(), Source::new("m.lua", text))])
        .unwrap_err();
    let after = dump(domain.lua(), &[]);
    assert!(before == after, "{}", difference(&before, &after));
    domain.reload_same("m").unwrap();
}

#[test]
fn coroutines_from_before_wait_while_modules_load() {
    let mut domain = domain(&Shelf::default());
    let text = "steps = 0
        co = coroutine.create(function() while true do steps = steps + 1 coroutine.yield() end end)
        wrapped = coroutine.wrap(function() while true do steps = steps + 1 coroutine.yield() end end)
        return {}";
    domain.load("m", Source::new("m.lua", text)).unwrap();
    for touch in [
        "assert(coroutine.resume(co))",
        "wrapped()",
        "coroutine.close(co)",
    ] {
        let source = Source::new("m.lua", format!("{touch} return {{}}"));
        let error = domain.reload(vec![("m".into(), source)]).unwrap_err();
        assert!(
            error.to_string().contains("cannot go on"),
            "{touch}: {error}"
        );
    }
    domain
        .lua()
        .load("assert(coroutine.resume(co)) wrapped()")
        .exec()
        .unwrap();
    assert_eq!(domain.lua().globals().get::<i64>("steps").unwrap(), 2);
}

#[test]
fn errors_have_file_and_line_of_their_version() {
    let mut domain = domain(&Shelf::default());
    let old =
        "return { f = function(co)\n if co then coroutine.yield() end\n error('boom')\n end }";
    domain.load("m", Source::new("scripts/m.lua", old)).unwrap();
    let call = |domain: &Domain| domain.call("m", "f", ()).unwrap_err();
    let place = call(&domain).place.unwrap();
    assert_eq!(
        (place.file.as_str(), place.version, place.line),
        ("scripts/m.lua", 1, 3)
    );
    // A coroutine goes on in the old body, and its error says so.
    domain
        .lua()
        .load("co = coroutine.wrap(package.loaded.m.f) co(true)")
        .exec()
        .unwrap();
    let new = format!("\n\n{old}");
    domain
        .reload(vec![("m".into(), Source::new("scripts/m.lua", new))])
        .unwrap();
    let error = call(&domain);
    let place = error.place.unwrap();
    assert_eq!((place.version, place.line), (2, 5));
    assert_eq!(error.message, "scripts/m.lua:5: boom");
    assert!(
        error.traceback.contains("scripts/m.lua:5:"),
        "{}",
        error.traceback
    );
    let error = domain.lua().load("co()").exec().unwrap_err();
    let place = crate::ScriptError::new(&error).place.unwrap();
    assert_eq!((place.version, place.line), (1, 3));
}

#[test]
fn five_hundred_reloads_leave_nothing_behind() {
    let mut domain = domain(&Shelf::default());
    let text = |n: u32| {
        format!(
            "local hits, table_of_it = 0, {{}}
            local M = {{ list = {{ 1, 2, 3 }}, version = {n} }}
            local function helper(x) hits = hits + 1 return x + {n} end
            function M.run(x) return helper(x), hits end
            function M.closure() local n = 0 return function() n = n + {n} return n end end
            return M"
        )
    };
    domain.load("m", Source::new("m.lua", text(0))).unwrap();
    domain
        .lua()
        .load("held = package.loaded.m.closure()")
        .exec()
        .unwrap();
    let mut after_ten = 0;
    for n in 1..=500 {
        domain
            .reload(vec![("m".into(), Source::new("m.lua", text(n)))])
            .unwrap();
        assert_eq!(domain.draining().unwrap(), []);
        if n == 10 || n == 500 {
            domain.lua().gc_collect().unwrap();
            domain.lua().gc_collect().unwrap();
            let used = domain.lua().used_memory();
            if n == 10 {
                after_ten = used;
            } else {
                assert!(used < after_ten + 4096, "{after_ten} bytes, then {used}");
            }
        }
    }
    let last: i64 = domain.lua().load("held() return held()").eval().unwrap();
    assert_eq!(last, 1000);
}

#[test]
fn a_reload_while_lua_runs_is_refused() {
    use std::sync::{Arc, Mutex};
    let domain = Arc::new(Mutex::new(domain(&Shelf::default())));
    let lua = domain.lock().unwrap().lua().clone();
    domain
        .lock()
        .unwrap()
        .load("m", Source::new("m.lua", "return {}"))
        .unwrap();
    let inside = Arc::clone(&domain);
    let reload = lua
        .create_function(move |_, ()| {
            let error = inside.lock().unwrap().reload_same("m").unwrap_err();
            Ok(error.to_string())
        })
        .unwrap();
    let message: String = reload.call(()).unwrap();
    assert!(message.contains("Lua code is running"), "{message}");
    lua.globals().raw_set("reload", reload).unwrap();
    let message: String = lua.load("return (reload())").eval().unwrap();
    assert!(message.contains("Lua code is running"), "{message}");
}

#[test]
fn sources_outside_are_never_reloaded() {
    let mut domain = domain(&Shelf::default());
    let source = Source {
        fixed: Some("it is outside of the folders that are watched".into()),
        ..Source::new("engine.lua", "return {}")
    };
    domain.load("engine", source.clone()).unwrap();
    let error = domain.reload(vec![("engine".into(), source)]).unwrap_err();
    assert_eq!(error.phase, Phase::Request);
    assert_eq!(
        error.to_string(),
        "module `engine` cannot be reloaded: it is never reloaded: it is outside of the folders \
         that are watched"
    );
}

/// Keeps what scripts register, as an engine would.
#[derive(Default)]
struct Registrations {
    kept: Vec<crate::CallbackId>,
    fresh: Vec<crate::CallbackId>,
    is_open: bool,
}

struct Journal(
    std::sync::Arc<std::sync::Mutex<Registrations>>,
    crate::Callbacks,
);

impl crate::Host for Journal {
    fn begin(&mut self) {
        self.0.lock().unwrap().is_open = true;
    }
    fn commit(&mut self, _: &[String]) {
        let mut all = self.0.lock().unwrap();
        all.is_open = false;
        for id in std::mem::take(&mut all.kept) {
            self.1.release(id);
        }
        all.kept = std::mem::take(&mut all.fresh);
    }
    fn rollback(&mut self) {
        let mut all = self.0.lock().unwrap();
        all.is_open = false;
        all.fresh.clear();
    }
}

#[test]
fn registrations_of_a_failed_reload_are_forgotten() {
    let mut domain = domain(&Shelf::default());
    let all = std::sync::Arc::new(std::sync::Mutex::new(Registrations::default()));
    let callbacks = domain.callbacks().clone();
    domain
        .set_host(Box::new(Journal(all.clone(), callbacks.clone())))
        .unwrap();
    let registrations = all.clone();
    let held = callbacks.clone();
    let on = domain
        .lua()
        .create_function(move |_, function: mlua::Function| {
            let id = held.hold(&function).map_err(mlua::Error::external)?;
            registrations.lock().unwrap().fresh.push(id);
            Ok(())
        })
        .unwrap();
    domain.lua().globals().raw_set("on", on).unwrap();
    let text = |told: &str, after: &str| {
        let text = format!("local n = 0 on(function() n = n + 1 return '{told}' .. n end) {after}");
        Source::new("m.lua", text)
    };
    let call = || {
        let all = all.lock().unwrap();
        assert!(!all.is_open && all.fresh.is_empty());
        let functions = all.kept.iter().map(|id| callbacks.get(*id).unwrap());
        let told = functions.map(|function| function.call::<String>(()).unwrap());
        told.collect::<Vec<_>>()
    };
    domain.load("m", text("a", "")).unwrap();
    assert_eq!(call(), ["a1"]);
    domain
        .reload(vec![("m".into(), text("b", "error 'late'"))])
        .unwrap_err();
    assert_eq!(call(), ["a2"]);
    domain.reload(vec![("m".into(), text("c", ""))]).unwrap();
    // One registration, with the variable of the one before.
    assert_eq!(call(), ["c3"]);
}

#[cfg(target_os = "linux")]
#[test]
fn calls_that_take_too_long_are_ended() {
    let limits = Limits {
        call: std::time::Duration::from_millis(100),
        ..Limits::default()
    };
    let mut domain = Domain::new(limits, Box::new(NoSources)).unwrap();
    let text = "
        local function forever() while true do end end
        local M = {}
        function M.plain() forever() end
        function M.caught() while true do pcall(forever) end end
        function M.coroutine() coroutine.wrap(forever)() end
        function M.coroutines() while true do coroutine.resume(coroutine.create(forever)) end end
        function M.nested() coroutine.wrap(function() coroutine.wrap(forever)() end)() end
        function M.sorted() table.sort({ 3, 2, 1 }, forever) end
        function M.short() return 'short' end
        return M";
    domain.load("m", Source::new("m.lua", text)).unwrap();
    for function in [
        "plain",
        "caught",
        "coroutine",
        "coroutines",
        "nested",
        "sorted",
    ] {
        let error = domain.call("m", function, ()).unwrap_err();
        assert!(
            error.message.contains("ran for too long and was ended"),
            "{error}"
        );
        // It was that call alone.
        let short = domain.call("m", "short", ()).unwrap();
        assert_eq!(short.to_string().unwrap(), "short");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn jobs_that_take_too_long_are_ended() {
    let limits = Limits {
        call: std::time::Duration::from_millis(100),
        ..Limits::default()
    };
    let mut domain = Domain::new(limits, Box::new(NoSources)).unwrap();
    let text = "return function(n) coroutine.yield(n + 1) while true do end end";
    domain.load("m", Source::new("m.lua", text)).unwrap();
    let job = domain.lua().load("return package.loaded.m").eval().unwrap();
    let job = domain.lua().create_thread(job).unwrap();
    assert_eq!(domain.resume::<i64>(&job, 1).unwrap(), 2);
    let error = domain.resume::<()>(&job, ()).unwrap_err();
    assert!(
        error.message.contains("ran for too long and was ended"),
        "{error}"
    );
}

#[test]
fn what_was_kept_and_never_touched_still_counts_as_untouched() {
    let source = |policy: &str, pull: f64| {
        let text = format!(
            "local PULL, score = {pull}, {pull}
            local M = {{ {policy} speed = {pull}, lives = {pull}, deep = {{ range = {pull} }} }}
            function M.play() score, M.lives = 57, 3 end
            function M.all()
                return ('%s %s %s %s %s'):format(PULL, score, M.speed, M.lives, M.deep.range)
            end
            return M"
        );
        Source::new("m.lua", text)
    };
    let mut domain = domain(&Shelf::default());
    let all = |domain: &Domain| {
        let all = domain.call("m", "all", ()).unwrap();
        all.to_string().unwrap()
    };
    domain.load("m", source("", 1.5)).unwrap();
    domain.call("m", "play", ()).unwrap();
    // Two edits without the policy, and a reload without an edit between them.
    for pull in [2.5, 2.5, 3.5] {
        domain.reload(vec![("m".into(), source("", pull))]).unwrap();
        assert_eq!(all(&domain), "1.5 57 1.5 3 1.5");
    }
    let policy = "__reload = { untouched = 'new' },";
    domain
        .reload(vec![("m".into(), source(policy, 4.5))])
        .unwrap();
    assert_eq!(
        all(&domain),
        "4.5 57 4.5 3 4.5",
        "what the game has changed stays"
    );
    domain.call("m", "play", ()).unwrap();
    domain
        .reload(vec![("m".into(), source(policy, 5.5))])
        .unwrap();
    assert_eq!(all(&domain), "5.5 57 5.5 3 5.5");
}

#[test]
fn nothing_is_repeated_at_once() {
    let text = "
        assert(string.rep('', math.maxinteger) == '' and (''):rep(math.maxinteger, '') == '')
        assert(('x'):rep(3, ',') == 'x,x,x' and string.rep('', 3, ',') == ',,')
        return {}";
    domain(&Shelf::default())
        .load("m", Source::new("m.lua", text))
        .unwrap();
}

#[test]
fn what_reloads_leave_is_collected() {
    let used = |frames: usize| {
        let mut domain = domain(&Shelf::default());
        let text = "kept = {} for i = 1, 20000 do kept[i] = { i } end return {}";
        domain.load("data", Source::new("data.lua", text)).unwrap();
        domain.load("m", Source::new("m.lua", "return {}")).unwrap();
        for number in 0..60 {
            let source = Source::new(
                "m.lua",
                format!("return {{ f = function() return {number} end }}"),
            );
            domain.reload(vec![("m".into(), source)]).unwrap();
            (0..frames).for_each(|_| domain.collect_some());
        }
        let used = domain.lua().used_memory();
        domain.lua().gc_collect().unwrap();
        domain.lua().gc_collect().unwrap();
        used as f64 / domain.lua().used_memory() as f64
    };
    let (with, without) = (used(100), used(0));
    assert!(with < 1.3, "with frames between: {with}");
    assert!(without < 4.0, "without: {without}");
}

#[test]
fn a_source_differs_by_its_text() {
    let mut domain = domain(&Shelf::default());
    let source = Source::new("m.lua", "return {}");
    assert!(domain.differs("m", &source));
    domain.load("m", source.clone()).unwrap();
    assert!(!domain.differs("m", &source));
    assert!(domain.differs("m", &Source::new("m.lua", "return { 1 }")));
    // An explicit reload runs it all the same.
    assert_eq!(domain.reload_same("m").unwrap().modules[0].to, 2);
    assert_eq!(domain.version("m"), Some(2));
}

#[test]
fn coroutines_do_what_those_of_lua_do() {
    let text = "
        local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b) return c, c end)
        local function same(...) return table.concat({ ... }, ' ') end
        local function all(...)
            local t = table.pack(...)
            for i = 1, t.n do t[i] = tostring(t[i]) end
            return table.concat(t, ' ')
        end
        assert(all(coroutine.resume(co, 1, 2)) == 'true 3')
        assert(all(coroutine.resume(co, 'x')) == 'true x x')
        assert(all(coroutine.resume(co)) == 'false cannot resume dead coroutine')
        local w = coroutine.wrap(function() error('text') end)
        local ok, message = pcall(w)
        assert(message:find('m.lua#1:%d+: m.lua#1:%d+: text') == 1
            or message:find('m.lua#1:%d+: text') == 1, message)
        local object = {}
        ok, message = pcall(coroutine.wrap(function() error(object) end))
        assert(message == object)
        ok, message = pcall(coroutine.resume, 5)
        assert(message:find('expected, got number'), message)
        local closed
        w = coroutine.wrap(function()
            local x <close> = setmetatable({}, { __close = function() closed = true end })
            error('text')
        end)
        pcall(w)
        assert(closed)
        local y = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
        assert(y() + y() + y() == 6)
        assert(coroutine.close(coroutine.create(print)))";
    load(text).unwrap();
}

#[test]
fn a_domain_can_move_to_another_thread() {
    fn moves<T: Send + 'static>(_: &T) {}
    let mut domain = domain(&Shelf::default());
    moves(&domain);
    domain
        .load(
            "m",
            Source::new("m.lua", "return { f = function() return 1 end }"),
        )
        .unwrap();
    let moved = std::thread::spawn(move || {
        domain.reload_same("m").unwrap();
        domain.call("m", "f", ()).unwrap()
    });
    assert_eq!(moved.join().unwrap().as_integer(), Some(1));
}

#[test]
fn memory_that_runs_out_at_any_point_of_a_reload_leaves_the_heap_as_it_was() {
    let text = |n: u32| {
        format!(
            "kept = kept or {{}}
            local M = {{ list = {{}} }}
            for i = 1, 200 do
                local c = i
                M.list[i] = {{ i, function() c = c + {n} return c end }}
                kept['k{n}' .. i] = ('x'):rep(i) .. i
            end
            function M.__on_load__() for i = 1, 200 do kept[i] = {{ {n} }} end end
            return M"
        )
    };
    let mut domain = domain(&Shelf::default());
    domain.load("m", Source::new("m.lua", text(1))).unwrap();
    let (mut failed, mut done) = (0, 0);
    for extra in (0..200).map(|step| step * 2048) {
        let before = dump(domain.lua(), &[]);
        domain.lua().gc_collect().unwrap();
        domain.lua().gc_collect().unwrap();
        let limit = domain.lua().used_memory() + extra;
        crate::modules::with(domain.lua(), |modules| modules.limits.memory = limit).unwrap();
        let result = domain.reload(vec![("m".into(), Source::new("m.lua", text(2)))]);
        crate::modules::with(domain.lua(), |modules| modules.limits.memory = 0).unwrap();
        domain.lua().set_memory_limit(0).unwrap();
        match result {
            Ok(_) => done += 1,
            Err(error) => {
                assert!(error.to_string().contains("not enough memory"), "{error}");
                let after = dump(domain.lua(), &[]);
                assert!(before == after, "{extra}: {}", difference(&before, &after));
                failed += 1;
            }
        }
    }
    assert!(failed > 10 && done > 10, "{failed} failed, {done} did not");
}

#[test]
fn a_patch_touches_some_functions_alone() {
    let mut domain = domain(&Shelf::default());
    let text = "local M, hits = {}, 0
        local function help(x) return x end
        function M.hit() hits = hits + help(1) return hits end
        function M.other() return 'other' end
        return M";
    domain.load("m", Source::new("m.lua", text)).unwrap();
    domain.call("m", "hit", ()).unwrap();
    let report = domain
        .patch("m", "local function help(x) return x * 10 end")
        .unwrap();
    assert_eq!(domain.call("m", "hit", ()).unwrap().as_integer(), Some(11));
    let changed: Vec<_> = report.modules[0]
        .entries
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(changed, ["applied function help"]);
    let error = domain.patch("m", "function M.hit( end").unwrap_err();
    assert_eq!(error.phase, Phase::Compile);
    let error = domain.patch("m", "hits = 5").unwrap_err();
    assert_eq!(error.phase, Phase::Request);
}

#[test]
fn a_prepared_reload_is_undone_unless_it_is_committed() {
    let mut domain = domain(&Shelf::default());
    let text = |said: &str| {
        let text = format!(
            "count = (count or 0) + 1
            return {{ f = function() return '{said}' end, list = {{}} }}"
        );
        Source::new("m.lua", text)
    };
    domain.load("m", text("old")).unwrap();
    domain
        .lua()
        .load("held = package.loaded.m.f")
        .exec()
        .unwrap();
    let said = |domain: &Domain| {
        let said = domain.call("m", "f", ()).unwrap().to_string().unwrap();
        let held: String = domain.lua().load("return held()").eval().unwrap();
        (said, held, domain.version("m").unwrap())
    };
    let before = dump(domain.lua(), &[]);
    drop(domain.prepare(vec![("m".into(), text("new"))]).unwrap());
    let after = dump(domain.lua(), &[]);
    assert!(before == after, "{}", difference(&before, &after));
    assert_eq!(said(&domain), ("old".into(), "old".into(), 1));
    let prepared = domain.prepare(vec![("m".into(), text("new"))]).unwrap();
    prepared.commit().unwrap();
    assert_eq!(said(&domain), ("new".into(), "new".into(), 2));
}
