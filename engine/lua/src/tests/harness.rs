//! Domains for tests: sources by module and version, and a listing of the heap.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use mlua::{Function, Lua, Table, Value};

use crate::{Domain, Limits, ReloadError, Report, Source, Sources, fault};

/// Sources of the versions of modules, and which is next.
#[derive(Clone, Default)]
pub(super) struct Shelf(Arc<Mutex<Texts>>);

/// Texts of a module by its name, and the number of the one that is now.
type Texts = BTreeMap<String, (usize, Vec<String>)>;

impl Shelf {
    pub(super) fn put(&self, module: &str, text: impl Into<String>) {
        let mut all = self.0.lock().unwrap();
        all.entry(module.into()).or_default().1.push(text.into());
    }

    /// The source that is now, after a step forward if `advance` and there is a next one.
    pub(super) fn source(&self, module: &str, advance: bool) -> Option<Source> {
        let mut all = self.0.lock().unwrap();
        let (now, texts) = all.get_mut(module)?;
        if advance && *now + 1 < texts.len() {
            *now += 1;
        }
        Some(Source::new(format!("{module}.lua"), texts[*now].as_str()))
    }

    /// Modules that have a next source.
    fn edited(&self) -> Vec<String> {
        let all = self.0.lock().unwrap();
        let edited = all.iter().filter(|(_, (now, texts))| now + 1 < texts.len());
        edited.map(|(name, _)| name.clone()).collect()
    }
}

impl Sources for Shelf {
    fn find(&self, module: &str) -> Option<Source> {
        self.source(module, false)
    }
}

pub(super) fn domain(shelf: &Shelf) -> Domain {
    Domain::new(Limits::default(), Box::new(shelf.clone())).unwrap()
}

/// The debug library, which scripts do not get.
pub(super) fn debug_library(lua: &Lua) -> Table {
    // SAFETY: opens a library of Lua; it takes and leaves one value.
    unsafe {
        lua.exec_raw((), |lua| {
            mlua::ffi::lua_pushcfunction(lua, mlua::ffi::luaopen_debug);
            mlua::ffi::lua_call(lua, 0, 1);
        })
        .unwrap()
    }
}

/// Lists everything that scripts can reach, by identity.
pub(super) fn dump(lua: &Lua, more: &[Value]) -> String {
    // Twice: what has a finalizer goes in the second.
    lua.gc_collect().unwrap();
    lua.gc_collect().unwrap();
    let roots = lua.create_table().unwrap();
    let callbacks: Value = lua.named_registry_value(crate::host::HELD).unwrap();
    roots.raw_push(lua.globals()).unwrap();
    roots.raw_push(callbacks).unwrap();
    roots.raw_push("").unwrap();
    for value in more {
        roots.raw_push(value).unwrap();
    }
    let listed: mlua::LuaString = lua
        .load(include_str!("dump.lua"))
        .call((debug_library(lua), roots))
        .unwrap();
    listed.to_string_lossy()
}

/// Reloads, after having let it fail at each of its steps: each time the heap must be as
/// before. Returns how many steps there were.
pub(super) fn reload_with_faults(
    domain: &mut Domain,
    edits: &[(String, Source)],
    roots: &[Value],
) -> (Result<Report, ReloadError>, u32) {
    let before = dump(domain.lua(), roots);
    for step in 0.. {
        fault::arm(Some(step));
        let result = domain.reload(edits.to_vec());
        if fault::is_armed() {
            fault::arm(None);
            return (result, step);
        }
        // A failure that a script caught, or that had no consequence, is none.
        assert!(
            result.is_err(),
            "the failure at step {step} was not noticed"
        );
        let after = dump(domain.lua(), roots);
        assert!(
            before == after,
            "step {step}: {}",
            difference(&before, &after)
        );
    }
    unreachable!()
}

/// Lines that only one of two listings has.
pub(super) fn difference(before: &str, after: &str) -> String {
    let only = |these: &str, others: &str, sign: &str| {
        let others: std::collections::BTreeSet<&str> = others.lines().collect();
        let lines = these.lines().filter(|line| !others.contains(line));
        lines
            .take(20)
            .map(|line| format!("{sign} {line}"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    only(before, after, "-") + "\n" + &only(after, before, "+")
}

/// Runs a driver to its end.
pub(super) fn drive(shelf: &Shelf, driver: &str, faults: bool) -> Result<(), String> {
    let mut domain = domain(shelf);
    let environment: Table = domain
        .lua()
        .load(include_str!("driver.lua"))
        .set_name("=helpers")
        .call(())
        .unwrap();
    let main: Function = domain
        .lua()
        .load(driver)
        .set_name("@driver.lua")
        .set_environment(environment)
        .into_function()
        .map_err(|error| error.to_string())?;
    let thread = domain.lua().create_thread(main).unwrap();
    let mut answer: mlua::MultiValue = mlua::MultiValue::new();
    loop {
        let step: mlua::MultiValue = thread.resume(answer).map_err(|error| error.to_string())?;
        if !thread.is_resumable() {
            return Ok(());
        }
        let mut step = step.into_iter();
        let command = step
            .next()
            .and_then(|c| c.to_string().ok())
            .unwrap_or_default();
        let arguments: Vec<Value> = step.collect();
        let roots = [Value::Thread(thread.clone())];
        let done = act(&mut domain, shelf, &command, arguments, &roots, faults)?;
        answer = mlua::MultiValue::from_iter([done]);
    }
}

fn act(
    domain: &mut Domain,
    shelf: &Shelf,
    command: &str,
    arguments: Vec<Value>,
    roots: &[Value],
    faults: bool,
) -> Result<Value, String> {
    let text =
        |domain: &Domain, text: String| Value::String(domain.lua().create_string(text).unwrap());
    let names: Vec<String> = arguments
        .iter()
        .filter_map(|v| v.to_string().ok())
        .collect();
    let edits = |advance: bool| {
        let edited = if names.is_empty() {
            shelf.edited()
        } else {
            names.clone()
        };
        edited
            .into_iter()
            .map(|name| {
                let source = shelf
                    .source(&name, advance)
                    .unwrap_or_else(|| Source::new("?", ""));
                (name, source)
            })
            .collect::<Vec<_>>()
    };
    match command {
        "load" => {
            let source = shelf.source(&names[0], false).ok_or("no such module")?;
            domain
                .load(&names[0], source)
                .map_err(|error| error.to_string())?;
            let loaded = crate::chunk::loaded(domain.lua()).unwrap();
            Ok(loaded.raw_get(names[0].as_str()).unwrap())
        }
        "reload" => {
            let edits = edits(true);
            let result = if faults {
                reload_with_faults(domain, &edits, roots).0
            } else {
                domain.reload(edits)
            };
            Ok(text(
                domain,
                lines(&result.map_err(|error| error.to_string())?),
            ))
        }
        "reload_fails" | "reload_heard" => {
            let before = dump(domain.lua(), roots);
            let error = match domain.reload(edits(true)) {
                Ok(report) => return Err(format!("it should have failed:\n{}", lines(&report))),
                Err(error) => error,
            };
            let after = dump(domain.lua(), roots);
            if before != after && command == "reload_fails" {
                return Err(format!(
                    "changed by {error}:\n{}",
                    difference(&before, &after)
                ));
            }
            Ok(text(domain, format!("{error}\n{}", error.script.traceback)))
        }
        "draining" => {
            domain.lua().gc_collect().unwrap();
            let left = domain.draining().map_err(|error| error.to_string())?;
            let left: Vec<_> = left
                .iter()
                .map(|left| {
                    format!(
                        "{} {}: {}",
                        left.module,
                        left.version,
                        left.functions.join(" + ")
                    )
                })
                .collect();
            Ok(text(domain, left.join(", ")))
        }
        "hold" => match &arguments[0] {
            Value::Function(function) => {
                let held = domain.callbacks().hold(function);
                let id = held.map_err(|error| error.to_string())?;
                Ok(Value::Integer(id.number() as i64))
            }
            _ => Err("hold a function".into()),
        },
        "call_held" => {
            let id = crate::CallbackId::from_number(arguments[0].as_integer().unwrap_or(0) as u64);
            let function = domain.callbacks().get(id).ok_or("no such callback")?;
            let rest: mlua::MultiValue = arguments.into_iter().skip(1).collect();
            function.call(rest).map_err(|error| error.to_string())
        }
        other => Err(format!("unknown command `{other}`")),
    }
}

/// A report as text, an entry a line.
pub(super) fn lines(report: &Report) -> String {
    let mut text = String::new();
    for module in &report.modules {
        if !module.changed_anything() {
            writeln!(text, "unchanged {}", module.module).unwrap();
        }
        for entry in &module.entries {
            writeln!(text, "{entry}").unwrap();
        }
    }
    text
}
