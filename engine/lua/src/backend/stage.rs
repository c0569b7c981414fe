//! The state that all Lua modules of a game run in.
//!
//! It belongs to the frame thread: versions enter there, and all calls are made there. The
//! loader's thread puts sources down and asks what is left of old versions, no more.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use engine_api::bevy_ecs::error::BevyError;
use engine_api::bevy_ecs::world::World;
use engine_api::function::FunctionRegistration;
use engine_api::input::Input;
use engine_api::log::{self, Level};
use engine_api::time::Time;
use engine_api::value::Value;
use engine_runtime::backend::Entrance;
use engine_runtime::registry::Registry;
use mlua::{Function, Lua, MultiValue};

use super::schedule::{Due, ModuleId, Schedule};
use super::{offer, values};
use crate::bundle::Bundle;
use crate::call::{Answer, Arguments, Field};
use crate::chunk::{self, Source, Sources};
use crate::domain::{Begun, Domain};
use crate::error::ScriptError;
use crate::modules::Limits;
use crate::report::{Change, Report};
use crate::transaction::New;
use crate::watchdog::Watchdog;
use crate::world;

/// Time between two looks for what is left of old versions.
const LOOK: Duration = Duration::from_millis(200);

/// The state and its modules. All methods but those that say otherwise belong to the frame
/// thread.
pub(super) struct Stage {
    lua: Lua,
    watchdog: Arc<Watchdog>,
    inner: RwLock<Inner>,
    codes: Mutex<HashMap<u64, Code>>,
    /// Modules that are not wanted any more.
    gone: Mutex<Vec<String>>,
    library: Library,
    schedule: Schedule,
    /// Counts what got in, so that functions found before are looked up again.
    entries: AtomicU64,
    /// Nanoseconds that the last entry took.
    cost: AtomicU64,
}

struct Inner {
    domain: Domain,
    pending: Option<Pending>,
    /// When old versions were looked for last; `None` while there are none.
    looked: Option<Instant>,
}

/// An entry that was made and not committed.
struct Pending {
    begun: Begun,
    /// Numbers of the codes, with module and version.
    codes: Vec<(u64, String, u32)>,
    library: HashMap<String, Source>,
}

/// What is known of a version.
struct Code {
    module: String,
    /// Its sources, until they are in.
    bundle: Option<Arc<Bundle>>,
    /// Its number, once it is in.
    version: Option<u32>,
    /// Whether it is the one that runs.
    runs: bool,
    /// Functions of it that can still be called though another version has taken its place.
    left: Vec<String>,
}

/// Sources by what `require` calls them. Clones share them.
#[derive(Clone, Default)]
struct Library(Arc<Mutex<HashMap<String, Source>>>);

impl Sources for Library {
    fn find(&self, module: &str) -> Option<Source> {
        lock(&self.0).get(module).cloned()
    }
}

/// A function of a module, by name.
pub(super) struct Callee {
    field: Field,
    name: String,
    id: ModuleId,
    /// It failed, and is not called again until the types of the game change.
    has_failed: AtomicBool,
    /// Generation of the types at which it failed.
    failed_at: AtomicU64,
    /// What it said then.
    failure: Mutex<String>,
}

/// What a script raised, as systems return it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

impl Stage {
    pub(super) fn new(
        limits: Limits,
        registry: Option<&Arc<Registry>>,
    ) -> Result<Self, ScriptError> {
        let library = Library::default();
        let mut domain = Domain::new(limits, Box::new(library.clone()))?;
        world::install(&domain)?;
        let schedule = Schedule::default();
        let install = || -> mlua::Result<()> {
            let engine = schedule.install(&domain)?;
            if let Some(registry) = registry {
                engine.raw_set("call", by_name(domain.lua(), registry)?)?;
            }
            Ok(())
        };
        install().map_err(|error| ScriptError::new(&error))?;
        let journal = schedule.journal(domain.callbacks());
        domain.set_host(Box::new(journal))?;
        Ok(Self {
            lua: domain.lua().clone(),
            watchdog: domain.watchdog().clone(),
            inner: RwLock::new(Inner {
                domain,
                pending: None,
                looked: None,
            }),
            codes: Mutex::default(),
            gone: Mutex::default(),
            library,
            schedule,
            entries: AtomicU64::new(1),
            cost: AtomicU64::new(0),
        })
    }

    /// Puts the sources of a version down, to be entered at the swap. Any thread.
    pub(super) fn expect(&self, code: u64, module: &str, bundle: Bundle) {
        let known = Code {
            module: module.to_owned(),
            bundle: Some(Arc::new(bundle)),
            version: None,
            runs: false,
            left: Vec::new(),
        };
        lock(&self.codes).insert(code, known);
    }

    /// Functions that can still be called, of those of the versions that have any. Any thread.
    pub(super) fn left(&self, codes: &[u64]) -> HashMap<u64, Vec<String>> {
        let known = lock(&self.codes);
        let left = codes.iter().filter_map(|code| {
            let left = &known.get(code)?.left;
            (!left.is_empty()).then(|| (*code, left.clone()))
        });
        left.collect()
    }

    /// A version is not wanted any more. Any thread.
    pub(super) fn close(&self, code: u64) {
        let known = lock(&self.codes).remove(&code);
        if let Some(code) = known.filter(|code| code.runs) {
            lock(&self.gone).push(code.module);
        }
    }

    /// A function of a module's table, now and in later versions. Any thread.
    pub(super) fn callee(&self, module: &str, name: &str) -> Callee {
        Callee {
            field: Field::new(&self.lua, module, name),
            name: name.to_owned(),
            id: self.schedule.id_of(module),
            has_failed: AtomicBool::new(false),
            failed_at: AtomicU64::new(0),
            failure: Mutex::default(),
        }
    }

    /// Calls a function that the engine knows; nothing if the module has none of that name.
    /// One that has failed is not called again before a native module was reloaded, which may bring
    /// what it missed.
    pub(super) fn run(
        &self,
        world: &mut World,
        callee: &Callee,
        arguments: &impl Arguments,
    ) -> Result<(), BevyError> {
        if callee.has_failed.load(Ordering::Relaxed) {
            if callee.failed_at.load(Ordering::Relaxed) == world::generation(world) {
                return Err(Raised(lock(&callee.failure).clone()).into());
            }
            callee.has_failed.store(false, Ordering::Relaxed);
        }
        let ran = self.enter::<()>(world, callee, arguments);
        ran.map(|_| ()).map_err(|error| {
            let message = format!("{}; it is paused until the next reload", told(&error));
            lock(&callee.failure).clone_from(&message);
            callee.has_failed.store(true, Ordering::Relaxed);
            let types = world::generation(world);
            callee.failed_at.store(types, Ordering::Relaxed);
            Raised(message).into()
        })
    }

    /// Calls a function by name.
    pub(super) fn call(
        &self,
        world: &mut World,
        callee: &Callee,
        arguments: &[Value],
    ) -> Result<Value, String> {
        match self.enter(world, callee, &arguments) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(format!("`{}` is no function any more", callee.name)),
            Err(error) => Err(told(&error)),
        }
    }

    /// Calls a function while it may use the world.
    fn enter<R: Answer>(
        &self,
        world: &mut World,
        callee: &Callee,
        arguments: &impl Arguments,
    ) -> mlua::Result<Option<R>> {
        let generation = self.entries.load(Ordering::Relaxed);
        let _running = self.schedule.run_for(callee.id);
        let call = || callee.field.call(&self.watchdog, generation, arguments);
        world::enter(world, call)
    }

    /// Runs timers, keys, jobs and handlers of events of a module that are due.
    pub(super) fn run_waiting(&self, world: &mut World, module: &str) -> Result<(), BevyError> {
        let time = world.get_resource::<Time>().cloned();
        let input = world.get_resource::<Input>().cloned();
        self.run_due(world, module, Due::All(time.as_ref(), input.as_ref()))
    }

    /// Runs handlers of events of a module.
    pub(super) fn run_events(&self, world: &mut World, module: &str) -> Result<(), BevyError> {
        self.run_due(world, module, Due::Events)
    }

    fn run_due(&self, world: &mut World, module: &str, due: Due<'_>) -> Result<(), BevyError> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        self.schedule.hear(inner.domain.lua(), world, module);
        let watched = |call: &mut dyn FnMut() -> mlua::Result<()>| reach(&inner, world, call);
        let failed = self.schedule.run(&inner.domain, module, due, watched);
        match failed.as_slice() {
            [] => Ok(()),
            failed => Err(Raised(failed.join("\n")).into()),
        }
    }

    /// Looks now and then what is left of old versions. Costs nothing while there are none.
    pub(super) fn tick(&self) {
        let Ok(mut inner) = self.inner.try_write() else {
            return;
        };
        self.forget_gone(&mut inner);
        inner.domain.collect_some();
        if inner.looked.is_some_and(|last| last.elapsed() >= LOOK) {
            // Functions go with the collector, which may not have been there for long.
            let _ = inner.domain.lua().gc_step();
            self.look(&mut inner);
        }
    }

    /// Lets go of the modules that are not wanted any more.
    fn forget_gone(&self, inner: &mut Inner) {
        for module in std::mem::take(&mut *lock(&self.gone)) {
            self.schedule.forget(inner.domain.callbacks(), &module);
            if let Err(error) = inner.domain.forget(&module) {
                log::write(Level::Error, &module, format_args!("{error}"));
            }
        }
    }

    /// Notes what is left of old versions.
    fn look(&self, inner: &mut Inner) {
        let draining = inner.domain.draining().unwrap_or_default();
        inner.looked = (!draining.is_empty()).then(Instant::now);
        for code in lock(&self.codes).values_mut() {
            let version = draining
                .iter()
                .find(|old| old.module == code.module && Some(old.version) == code.version);
            code.left = version.map_or_else(Vec::new, |old| old.functions.clone());
        }
    }

    /// Puts the sources of versions where `require` finds them. Returns what has to run, by
    /// module, and what was there before.
    fn lay_out(
        &self,
        domain: &Domain,
        bundles: &[(String, Arc<Bundle>)],
    ) -> (BTreeMap<String, Source>, HashMap<String, Source>) {
        let loaded = domain.modules();
        let mut edits = BTreeMap::new();
        let mut library = lock(&self.library.0);
        let before = library.clone();
        for (module, bundle) in bundles {
            let sources = bundle.files.iter().map(|file| {
                let is_own = file.module == *module;
                (file.module.clone(), file.source(), is_own)
            });
            let sources: Vec<(String, Source, bool)> = sources.collect();
            let differs = |name: &str, source: &Source| domain.differs(name, source);
            let is_loaded = |name: &String| loaded.contains(name);
            // Asked for though nothing differs: it runs once more.
            let is_same = sources
                .iter()
                .filter(|(name, ..)| is_loaded(name))
                .all(|(name, source, _)| !differs(name, source));
            for (name, source, is_own) in sources {
                // What is required and not loaded yet is loaded by who requires it.
                let runs = if is_loaded(&name) {
                    differs(&name, &source) || (is_own && is_same)
                } else {
                    is_own
                };
                library.insert(name.clone(), source.clone());
                if runs {
                    edits.insert(name, source);
                }
            }
        }
        (edits, before)
    }

    /// Names of the functions of a module's table.
    fn functions(domain: &Domain, module: &str) -> mlua::Result<Vec<String>> {
        let mut names = Vec::new();
        if let mlua::Value::Table(table) = chunk::loaded(domain.lua())?.raw_get(module)? {
            for entry in table.pairs::<mlua::Value, mlua::Value>() {
                if let (mlua::Value::String(name), mlua::Value::Function(_)) = entry?
                    && let Ok(name) = name.to_str()
                {
                    names.push(name.to_owned());
                }
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Where versions enter the stage.
pub(super) struct Door(pub(super) Arc<Stage>);

impl Entrance for Door {
    fn enter(
        &self,
        versions: &[(u64, u32)],
    ) -> Result<Vec<Vec<FunctionRegistration>>, (usize, String)> {
        let stage = &*self.0;
        let Ok(mut inner) = stage.inner.try_write() else {
            return Err((0, "Lua code is running".to_owned()));
        };
        let inner = &mut *inner;
        stage.forget_gone(inner);
        let known = lock(&stage.codes);
        let of = |(code, version): &(u64, u32)| {
            let found = known.get(code)?;
            let bundle = found.bundle.clone()?;
            Some((*code, found.module.clone(), *version, bundle))
        };
        let arriving: Option<Vec<_>> = versions.iter().map(of).collect();
        drop(known);
        let Some(arriving) = arriving else {
            return Err((0, "its sources are not there any more".to_owned()));
        };
        let bundles: Vec<(String, Arc<Bundle>)> = arriving
            .iter()
            .map(|(_, module, _, bundle)| (module.clone(), bundle.clone()))
            .collect();
        let (edits, library) = stage.lay_out(&inner.domain, &bundles);
        for (_, module, version, _) in &arriving {
            inner.domain.set_next_version(module, *version);
        }
        let entered = inner.domain.begin(edits, New::Loaded);
        let begun = entered.map_err(|error| {
            lock(&stage.library.0).clone_from(&library);
            let culprit = bundles.iter().position(|(module, bundle)| {
                let mut files = bundle.files.iter();
                *module == error.module || files.any(|file| file.module == error.module)
            });
            let mut message = error.to_string();
            if !error.script.traceback.is_empty() {
                message.push('\n');
                message.push_str(error.script.traceback.trim_end());
            }
            (culprit.unwrap_or(0), message)
        })?;
        let offered = bundles.iter().map(|(module, _)| {
            let names = Stage::functions(&inner.domain, module).unwrap_or_default();
            let functions = names
                .iter()
                .map(|name| offer::function(module, name, &self.0));
            functions.collect()
        });
        let offered = offered.collect();
        let codes = arriving
            .into_iter()
            .map(|(code, module, version, _)| (code, module, version));
        inner.pending = Some(Pending {
            begun,
            codes: codes.collect(),
            library,
        });
        Ok(offered)
    }

    fn commit(&self) {
        let stage = &*self.0;
        let mut inner = stage.inner.write().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        let Some(pending) = inner.pending.take() else {
            return;
        };
        let mut known = lock(&stage.codes);
        for (code, module, version) in &pending.codes {
            let before = known.values_mut().filter(|code| code.module == *module);
            before.for_each(|code| code.runs = false);
            if let Some(code) = known.get_mut(code) {
                (code.bundle, code.version) = (None, Some(*version));
                code.runs = true;
            }
        }
        drop(known);
        stage.entries.fetch_add(1, Ordering::Relaxed);
        let modules: Vec<String> = pending.codes.iter().map(|code| code.1.clone()).collect();
        let module = pending
            .codes
            .first()
            .map_or("", |(_, module, _)| module.as_str());
        match inner.domain.finish(pending.begun) {
            Ok(report) => {
                let cost = u64::try_from(report.cost.total.as_nanos()).unwrap_or(u64::MAX);
                stage.cost.store(cost, Ordering::Relaxed);
                tell(&report);
            }
            Err(error) => log::write(Level::Error, module, format_args!("{error}")),
        }
        stage.schedule.entered(&modules);
        stage.look(inner);
    }

    fn expected_cost(&self) -> Duration {
        Duration::from_nanos(self.0.cost.load(Ordering::Relaxed))
    }

    fn undo(&self) {
        let stage = &*self.0;
        let mut inner = stage.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(pending) = inner.pending.take() {
            *lock(&stage.library.0) = pending.library;
            drop(pending.begun);
        }
    }
}

/// Says what a reload did that people should know.
fn tell(report: &Report) {
    if let (Some(cost), Some(first)) = (report.notable_cost(), report.modules.first()) {
        log::write(Level::Info, &first.module, format_args!("{cost}"));
    }
    for module in &report.modules {
        for entry in &module.entries {
            let level = match entry.change {
                Change::Lost | Change::NotApplied | Change::Warning => Level::Warn,
                Change::Kept => Level::Info,
                Change::Applied | Change::Added | Change::Removed => Level::Debug,
            };
            log::write(level, &module.module, format_args!("{entry}"));
        }
    }
}

/// `engine.call(module, function, ...)`.
fn by_name(lua: &Lua, registry: &Arc<Registry>) -> mlua::Result<Function> {
    let registry = registry.clone();
    lua.create_function(
        move |lua, (module, function, arguments): (String, String, MultiValue)| {
            let arguments = arguments.iter().map(values::from_lua);
            let arguments: Vec<Value> = arguments.collect::<mlua::Result<_>>()?;
            let result = world::lend(lua, |world| {
                let called = registry.call_with_world(world, &module, &function, &arguments);
                called.map_err(|error| mlua::Error::runtime(error.to_string()))
            })?;
            values::to_lua(lua, &result)
        },
    )
}

/// Runs a call while it may use the world.
fn reach<R>(inner: &Inner, world: &mut World, call: impl FnOnce() -> R) -> R {
    world::enter(world, || inner.domain.watch(call))
}

/// What a script raised, with the calls that led there.
pub(super) fn told(error: &mlua::Error) -> String {
    let error = ScriptError::new(error);
    match error.traceback.trim_end() {
        "" => error.message,
        traceback => format!("{}\n{traceback}", error.message),
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
