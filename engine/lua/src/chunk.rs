//! Running sources: the overlay that global writes go to, and `require`.
//!
//! A source never runs against the real globals. It gets an *overlay*: what it reads falls
//! through, what it writes stays aside, until the transaction merges it. `_G` is the overlay
//! too while a source runs. Once it has run, its functions use the real globals.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;

use mlua::{Function, Lua, Table, Value};

use crate::cells;
use crate::error::{Phase, ReloadError};
use crate::layout::ProtoNode;
use crate::outline::{Written, outline};

/// The text of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// File as it is shown in errors: `scripts/enemy.lua`.
    pub file: String,
    /// Lua source text.
    pub text: Arc<str>,
    /// Why this source is never reloaded; `None` for one that is.
    pub fixed: Option<String>,
}

impl Source {
    /// A source that can be reloaded.
    pub fn new(file: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        Self {
            file: file.into(),
            text: text.into(),
            fixed: None,
        }
    }
}

/// Where `require` finds modules.
pub trait Sources: Send {
    /// The source of a module, `None` if there is none.
    fn find(&self, module: &str) -> Option<Source>;
}

/// No modules but those that the host loads itself.
pub struct NoSources;

impl Sources for NoSources {
    fn find(&self, _: &str) -> Option<Source> {
        None
    }
}

/// What a source left when it had run.
pub(crate) struct Fresh {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) source: Source,
    pub(crate) main: Function,
    pub(crate) protos: Vec<ProtoNode>,
    pub(crate) written: Vec<Written>,
    pub(crate) overlay: Table,
    pub(crate) value: Value,
    pub(crate) requires: Vec<String>,
    pub(crate) hot: Hot,
}

/// What a module registered with `require "hot"`; all of it lies in the Lua heap.
pub(crate) struct Hot {
    /// What the module sees.
    pub(crate) api: Table,
    pub(crate) dispose: Table,
    pub(crate) accepts: Table,
    pub(crate) events: Table,
    pub(crate) flags: Table,
}

/// The modules that a transaction runs. Lives in the application data of the state.
pub(crate) struct Loader {
    pub(crate) sources: Box<dyn Sources>,
    /// Version that each module gets next, by name.
    pub(crate) next_version: BTreeMap<String, u32>,
    /// Sources that a transaction runs at the moment.
    pub(crate) running: Option<Running>,
    /// Whether a transaction is going on.
    is_busy: bool,
    /// The module whose hooks of a transaction run.
    hooked: Option<String>,
}

/// The only transaction that is going on, until dropped.
pub(crate) struct Only {
    lua: Lua,
}

impl Only {
    pub(crate) fn begin(lua: &Lua) -> mlua::Result<Self> {
        loader(lua, |loader| loader.is_busy = true)?;
        Ok(Self { lua: lua.clone() })
    }
}

impl Drop for Only {
    fn drop(&mut self) {
        let _ = loader(&self.lua, |loader| loader.is_busy = false);
    }
}

/// A module's hooks run, until dropped.
pub(crate) struct Hooked {
    lua: Lua,
}

impl Hooked {
    pub(crate) fn begin(lua: &Lua, module: &str) -> mlua::Result<Self> {
        loader(lua, |loader| loader.hooked = Some(module.to_owned()))?;
        Ok(Self { lua: lua.clone() })
    }
}

impl Drop for Hooked {
    fn drop(&mut self) {
        let _ = loader(&self.lua, |loader| loader.hooked = None);
    }
}

/// The module that a transaction runs code of.
pub(crate) fn loading(lua: &Lua) -> mlua::Result<Option<String>> {
    loader(lua, |loader| {
        let open = loader
            .running
            .as_ref()
            .and_then(|running| running.open.last());
        open.map(|open| open.name.clone())
            .or_else(|| loader.hooked.clone())
    })
}

/// One transaction, as far as running sources goes.
#[derive(Default)]
pub(crate) struct Running {
    pub(crate) pending: BTreeMap<String, Source>,
    /// Main functions of what is pending.
    compiled: BTreeMap<String, Function>,
    /// What `dispose` of the versions before left, by module.
    pub(crate) data: BTreeMap<String, Table>,
    pub(crate) open: Vec<Open>,
    pub(crate) done: Vec<Fresh>,
    /// Globals of the sources that have run, seen by those that follow.
    pub(crate) aside: Option<Table>,
}

/// A source that runs.
pub(crate) struct Open {
    name: String,
    requires: Vec<String>,
    hot: Table,
}

/// What `require "hot"` gives: registrations as tables in the Lua heap, where a walk sees
/// the functions in them.
const HOT: &str = r#"
    local data = ...
    local dispose, accepts, events, flags = {}, {}, {}, {}
    local hot = { data = data }
    function hot.dispose(callback)
        dispose[#dispose + 1] = callback
    end
    function hot.accept(deps, callback)
        for _, dep in ipairs(type(deps) == "table" and deps or { deps }) do
            accepts[dep] = callback or function() end
        end
    end
    function hot.invalidate()
        flags.invalid = true
    end
    function hot.on(event, callback)
        local list = events[event]
        if not list then
            error("there is no event `" .. tostring(event)
                .. "`; there are before_update, after_update and error", 2)
        end
        list[#list + 1] = callback
    end
    events.before_update, events.after_update, events.error = {}, {}, {}
    return hot, dispose, accepts, events, flags
"#;

/// Makes `require` known to a state.
pub(crate) fn install(lua: &Lua, sources: Box<dyn Sources>) -> mlua::Result<()> {
    lua.set_app_data(Loader {
        sources,
        next_version: BTreeMap::new(),
        running: None,
        is_busy: false,
        hooked: None,
    });
    let require = lua.create_function(|lua, name: String| require(lua, &name))?;
    lua.globals().raw_set("require", require)
}

/// The table that holds the values of loaded modules.
pub(crate) fn loaded(lua: &Lua) -> mlua::Result<Table> {
    let package: Table = lua.globals().raw_get("package")?;
    package.raw_get("loaded")
}

/// Access to the loader; never held while Lua runs.
fn loader<R>(lua: &Lua, look: impl FnOnce(&mut Loader) -> R) -> mlua::Result<R> {
    let mut loader = lua
        .app_data_mut::<Loader>()
        .ok_or_else(|| mlua::Error::runtime("this state has no loader"))?;
    Ok(look(&mut loader))
}

/// The number that the next version of a module gets.
pub(crate) fn set_next_version(lua: &Lua, module: &str, version: u32) -> mlua::Result<()> {
    loader(lua, |loader| {
        loader.next_version.insert(module.to_owned(), version);
    })
}

/// Begins a transaction: from now on sources are collected.
pub(crate) fn begin(
    lua: &Lua,
    pending: BTreeMap<String, Source>,
    compiled: BTreeMap<String, Function>,
    data: BTreeMap<String, Table>,
) -> mlua::Result<()> {
    let aside = lua.create_table()?;
    aside.set_metatable(Some(lua.create_table_from([("__index", lua.globals())])?))?;
    loader(lua, |loader| {
        loader.running = Some(Running {
            pending,
            compiled,
            data,
            aside: Some(aside),
            ..Running::default()
        });
    })
}

/// Ends a transaction, whatever became of it.
pub(crate) fn end(lua: &Lua) -> mlua::Result<Vec<Fresh>> {
    loader(lua, |loader| {
        loader
            .running
            .take()
            .map_or(Vec::new(), |running| running.done)
    })
}

/// Whether a transaction is going on.
pub(crate) fn is_running(lua: &Lua) -> bool {
    loader(lua, |loader| loader.running.is_some()).unwrap_or(false)
}

/// Runs what is pending, each module after those that it requires.
pub(crate) fn run_pending(lua: &Lua) -> Result<(), ReloadError> {
    loop {
        let next = loader(lua, |loader| {
            let running = loader.running.as_mut()?;
            running.pending.pop_first()
        });
        match next.map_err(|error| ReloadError::new("", Phase::Run, error))? {
            None => return Ok(()),
            Some((name, source)) => {
                run(lua, &name, source).map_err(|error| {
                    let phase = match error {
                        mlua::Error::SyntaxError { .. } => Phase::Compile,
                        _ => Phase::Run,
                    };
                    ReloadError::new(&name, phase, error)
                })?;
            }
        }
    }
}

/// `require` as scripts see it.
fn require(lua: &Lua, name: &str) -> mlua::Result<Value> {
    enum Found {
        Value(Value),
        Source(Source),
        Loaded,
        Error(String),
    }
    let found = loader(lua, |loader| {
        let Some(running) = &mut loader.running else {
            return if name == "hot" {
                Found::Error(
                    "`hot` belongs to a module: require it where the module is loaded, \
                    not in a function that is called later"
                        .into(),
                )
            } else {
                Found::Loaded
            };
        };
        if let Some(open) = running.open.last_mut() {
            if name == "hot" {
                return Found::Value(Value::Table(open.hot.clone()));
            }
            if !open.requires.iter().any(|known| known == name) {
                open.requires.push(name.to_string());
            }
        }
        if let Some(fresh) = running.done.iter().find(|fresh| fresh.name == name) {
            return Found::Value(exported(&fresh.value));
        }
        if running.open.iter().any(|open| open.name == name) {
            let circle: Vec<_> = running.open.iter().map(|open| open.name.as_str()).collect();
            return Found::Error(format!(
                "modules require each other while they load: {} -> {name}; require one of them \
                 in the function that needs it",
                circle.join(" -> ")
            ));
        }
        match running.pending.remove(name) {
            Some(source) => Found::Source(source),
            None => Found::Loaded,
        }
    })?;
    match found {
        Found::Value(value) => Ok(value),
        Found::Error(message) => Err(mlua::Error::runtime(message)),
        Found::Source(source) => run(lua, name, source),
        Found::Loaded => {
            let value: Value = loaded(lua)?.raw_get(name)?;
            if !value.is_nil() {
                return Ok(value);
            }
            let source = loader(lua, |loader| loader.sources.find(name))?
                .ok_or_else(|| mlua::Error::runtime(format!("there is no module `{name}`")))?;
            if is_running(lua) {
                run(lua, name, source)
            } else if loader(lua, |loader| loader.is_busy)? {
                Err(mlua::Error::runtime(format!(
                    "`{name}` cannot be loaded by a hook of a reload; require it at the top of \
                     the module"
                )))
            } else {
                crate::transaction::load(lua, name, source).map_err(mlua::Error::external)?;
                loaded(lua)?.raw_get(name)
            }
        }
    }
}

/// What a module that returned `value` is to those who require it.
pub(crate) fn exported(value: &Value) -> Value {
    match value {
        Value::Nil => Value::Boolean(true),
        value => value.clone(),
    }
}

/// Runs a source on an overlay and keeps what it left.
fn run(lua: &Lua, name: &str, source: Source) -> mlua::Result<Value> {
    let (version, found) = loader(lua, |loader| {
        let version = *loader.next_version.get(name).unwrap_or(&1);
        let found = loader.running.as_mut().map(|running| {
            let data = running.data.get(name).cloned();
            (running.aside.clone(), running.compiled.remove(name), data)
        });
        (version, found)
    })?;
    let Some((Some(aside), compiled, data)) = found else {
        return Err(mlua::Error::runtime("no reload is going on"));
    };
    let main = match compiled {
        Some(main) => main,
        None => compile(lua, name, &source)?,
    };
    let overlay = overlay(lua, &aside)?;
    cells::set(lua, &main, 0, &Value::Table(overlay.clone()))?;
    let (api, dispose, accepts, events, flags) = lua.load(HOT).set_name("=engine").call(data)?;
    let hot = Hot {
        api,
        dispose,
        accepts,
        events,
        flags,
    };
    let open = Open {
        name: name.to_string(),
        requires: Vec::new(),
        hot: hot.api.clone(),
    };
    loader(lua, |loader| {
        if let Some(running) = &mut loader.running {
            running.open.push(open);
        }
    })?;
    let value = main.call::<Value>((name, source.file.as_str()));
    let open = loader(lua, |loader| {
        loader
            .running
            .as_mut()
            .and_then(|running| running.open.pop())
    })?;
    let value = value?;
    overlay.raw_set("_G", Value::Nil)?;
    for entry in overlay.pairs::<Value, Value>() {
        let (key, value) = entry?;
        aside.raw_set(key, value)?;
    }
    cells::set(lua, &main, 0, &Value::Table(lua.globals()))?;
    let fresh = Fresh {
        name: name.to_string(),
        version,
        protos: cells::protos(lua, &main)?,
        written: outline(&source.text),
        source,
        main,
        overlay,
        value: value.clone(),
        requires: open.map_or(Vec::new(), |open| open.requires),
        hot,
    };
    loader(lua, |loader| {
        if let Some(running) = &mut loader.running {
            running.done.push(fresh);
        }
    })?;
    Ok(exported(&value))
}

/// The environment that a source runs in.
fn overlay(lua: &Lua, aside: &Table) -> mlua::Result<Table> {
    let overlay = lua.create_table()?;
    overlay.raw_set("_G", &overlay)?;
    let metatable = lua.create_table()?;
    metatable.raw_set("__index", aside)?;
    // Its metatable is not the scripts' to change: that of the globals neither.
    metatable.raw_set("__metatable", "the globals")?;
    overlay.set_metatable(Some(metatable))?;
    Ok(overlay)
}

/// Compiles the next version of a module.
pub(crate) fn compile(lua: &Lua, name: &str, source: &Source) -> mlua::Result<Function> {
    let version = loader(lua, |loader| *loader.next_version.get(name).unwrap_or(&1))?;
    let chunk_name = chunk_name(&source.file, version);
    cells::compile(lua, &chunk_name, source.text.as_bytes())
}

/// The name that Lua's messages have: [`crate::error`] makes file and version of it again.
fn chunk_name(file: &str, version: u32) -> CString {
    CString::new(format!("@{}#{version}", file.replace('\0', " "))).unwrap_or_default()
}
