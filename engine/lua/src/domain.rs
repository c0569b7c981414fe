//! A trust domain: one Lua state with its modules.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_int;
use std::sync::Arc;

use mlua::{FromLuaMulti, IntoLuaMulti, Lua, Thread, Value, ffi};

use crate::cells;
use crate::chunk::{self, Source, Sources};
use crate::drain::{self, DrainingVersion};
use crate::error::{Phase, ReloadError, ScriptError};
use crate::host::{Callbacks, Host};
use crate::modules::{self, Limits, Modules};
use crate::patch::patched;
use crate::report::{Change, Report};
use crate::sandbox;
use crate::transaction::{self, New, Pending};
use crate::watchdog::{self, Watchdog};

/// How much the collector does at a time, in kilobytes that it is behind.
const STEP: c_int = 200;
/// Stands for bytes that the collector has not seen, when it needs one more cycle for them.
const LAST_CYCLE: usize = 1;

/// Modules that share one Lua state, and so their globals: what they may do to each other
/// they may all do. Belongs to one thread at a time; nothing of it may be used while one
/// of its functions runs.
pub struct Domain {
    lua: Lua,
    callbacks: Callbacks,
    watchdog: Arc<Watchdog>,
}

impl Domain {
    /// A domain without modules.
    ///
    /// # Errors
    /// If the linked Lua is not the one that this crate was built for.
    pub fn new(limits: Limits, sources: Box<dyn Sources>) -> Result<Self, ScriptError> {
        let make = || -> mlua::Result<Self> {
            let lua = sandbox::new_state(limits.memory)?;
            lua.set_app_data(Modules {
                limits,
                ..Modules::default()
            });
            chunk::install(&lua, sources)?;
            let callbacks = Callbacks::new(&lua)?;
            let watchdog = Watchdog::new(limits.call).map_err(mlua::Error::external)?;
            let watchdog = Arc::new(watchdog);
            Ok(Self {
                lua,
                callbacks,
                watchdog,
            })
        };
        make().map_err(|error| ScriptError::new(&error))
    }

    /// The state, to give it functions of the host before modules are loaded.
    pub fn lua(&self) -> &Lua {
        &self.lua
    }

    /// Loads a module and what it requires. The report has one entry for each.
    ///
    /// # Errors
    /// When it does not compile or fails; then nothing has changed.
    pub fn load(&mut self, module: &str, source: Source) -> Result<Report, ReloadError> {
        self.rest(module)?;
        transaction::load(&self.lua, module, source)
    }

    /// Replaces the sources of loaded modules, all of them or none. Takes about
    /// 0.4 ms for each thousand objects in the heap.
    ///
    /// Modules that may have copied what changed here and do not `accept` it are reloaded
    /// afterwards, each in a transaction of its own; if that fails, the report warns.
    ///
    /// # Errors
    /// When one does not compile, fails, is unknown or never reloaded; then the state is as
    /// before, by identity, and the modules that listen to `error` have been told.
    pub fn reload(&mut self, edits: Vec<(String, Source)>) -> Result<Report, ReloadError> {
        self.prepare(edits)?.commit()
    }

    /// Does all of a reload that can fail: the new versions are in and their hooks have run.
    /// What comes back is committed, or undone when it is dropped; no Lua code must run in
    /// between. For reloads that go together with something else that can fail.
    ///
    /// # Errors
    /// As [`Domain::reload`].
    pub fn prepare(
        &mut self,
        edits: Vec<(String, Source)>,
    ) -> Result<PreparedReload<'_>, ReloadError> {
        let begun = self.begin(edits.into_iter().collect(), New::Refused)?;
        Ok(PreparedReload {
            domain: self,
            begun,
        })
    }

    /// Lets go of a module: who requires it again loads it anew. What others hold of it stays.
    ///
    /// # Errors
    /// If Lua code runs at the moment.
    pub(crate) fn forget(&mut self, module: &str) -> Result<(), ReloadError> {
        self.rest(module)?;
        let forget = || -> mlua::Result<()> {
            chunk::loaded(&self.lua)?.raw_set(module, Value::Nil)?;
            modules::with(&self.lua, |modules| {
                modules.by_name.remove(module);
                modules.draining.retain(|old| old.module != module);
            })
        };
        forget().map_err(|error| ReloadError::new(module, Phase::Request, error))
    }

    /// The number that the next version of a module gets.
    pub(crate) fn set_next_version(&mut self, module: &str, version: u32) {
        // Only fails for a state without loader, which a domain never has.
        let _ = chunk::set_next_version(&self.lua, module, version);
    }

    /// As [`Domain::prepare`]; what comes back holds nothing, so no more than care keeps Lua
    /// code from running in between.
    pub(crate) fn begin(
        &mut self,
        edits: BTreeMap<String, Source>,
        new: New,
    ) -> Result<Begun, ReloadError> {
        let first = edits.keys().next().cloned().unwrap_or_default();
        self.rest(&first)?;
        let modules = edits.keys().cloned().collect();
        let prepared = transaction::prepare(&self.lua, edits, &BTreeSet::new(), new);
        match prepared {
            Ok(pending) => Ok(Begun { pending, modules }),
            Err(error) => {
                self.tell("error", &error.to_string());
                Err(error)
            }
        }
    }

    /// Commits what was begun.
    pub(crate) fn finish(&mut self, begun: Begun) -> Result<Report, ReloadError> {
        let Begun {
            pending,
            modules: mut reloaded,
        } = begun;
        let first = reloaded.first().cloned().unwrap_or_default();
        let done = pending.commit();
        let mut report = done.map_err(|error| ReloadError::new(&first, Phase::Merge, error))?;
        let mut follow = std::mem::take(&mut report.follow);
        while let Some(module) = follow.pop_first() {
            if reloaded.insert(module.clone())
                && let Some(more) = self.reload_dependent(&module, &mut report)
            {
                follow.extend(more);
            }
        }
        let listeners = transaction::listeners(&self.lua, "after_update").unwrap_or_default();
        for (name, listener) in listeners {
            let names: Vec<_> = report.modules.iter().map(|m| m.module.clone()).collect();
            if let Err(error) = self.watch(|| listener.call::<()>(names)) {
                let error = ScriptError::new(&error);
                report.warn(&name, format!("its `after_update` failed: {error}"));
            }
        }
        Ok(report)
    }

    /// Puts the functions of a patch into the running source of a module and reloads that. The
    /// patch holds functions of the module's outermost level alone, as `function M.f() ... end`
    /// or `local function f() ... end`.
    ///
    /// # Errors
    /// As [`Domain::reload`], and when the patch holds something else.
    pub fn patch(&mut self, module: &str, patch: &str) -> Result<Report, ReloadError> {
        let source = self
            .source(module)
            .ok_or_else(|| ReloadError::request(module, "there is no such module; load it"))?;
        self.rest(module)?;
        let name = std::ffi::CString::new(format!("={module} patch")).unwrap_or_default();
        cells::compile(&self.lua, &name, patch.as_bytes())
            .map_err(|error| ReloadError::new(module, Phase::Compile, error))?;
        let text = patched(&source.text, patch)
            .map_err(|message| ReloadError::request(module, message))?;
        let source = Source {
            text: text.into(),
            ..source
        };
        self.reload(vec![(module.to_string(), source)])
    }

    /// Runs the same source of a module again.
    ///
    /// # Errors
    /// As [`Domain::reload`].
    pub fn reload_same(&mut self, module: &str) -> Result<Report, ReloadError> {
        let source = self
            .source(module)
            .ok_or_else(|| ReloadError::request(module, "there is no such module; load it"))?;
        self.reload(vec![(module.to_string(), source)])
    }

    fn reload_dependent(&mut self, module: &str, report: &mut Report) -> Option<BTreeSet<String>> {
        let source = self.source(module)?;
        let edits = BTreeMap::from([(module.to_string(), source)]);
        let only = BTreeSet::from([module.to_string()]);
        let done =
            transaction::prepare(&self.lua, edits, &only, New::Refused).and_then(|pending| {
                let done = pending.commit();
                done.map_err(|error| ReloadError::new(module, Phase::Merge, error))
            });
        match done {
            Ok(mut more) => {
                report.modules.append(&mut more.modules);
                report.redirected += more.redirected;
                report.old_bodies += more.old_bodies;
                Some(more.follow)
            }
            Err(error) => {
                let note = format!(
                    "it may have copied values that changed, and could not be reloaded: {error}"
                );
                report.warn(module, note);
                None
            }
        }
    }

    /// The source that runs of a module.
    pub fn source(&self, module: &str) -> Option<Source> {
        let found = modules::with(&self.lua, |modules| {
            modules
                .by_name
                .get(module)
                .map(|module| module.source.clone())
        });
        found.ok().flatten()
    }

    /// Version of a module that runs.
    pub fn version(&self, module: &str) -> Option<u32> {
        let found = modules::with(&self.lua, |modules| {
            modules.by_name.get(module).map(|module| module.version)
        });
        found.ok().flatten()
    }

    /// Names of the loaded modules.
    pub fn modules(&self) -> Vec<String> {
        modules::with(&self.lua, |modules| {
            modules.by_name.keys().cloned().collect()
        })
        .unwrap_or_default()
    }

    /// Versions that no longer run and of which functions can still be reached. What is no longer reachable is noticed after Lua's collector has been there.
    /// Costs a look at a few tables, and a walk over the heap when a version seems to be gone.
    ///
    /// # Errors
    /// If Lua code runs at the moment.
    pub fn draining(&mut self) -> Result<Vec<DrainingVersion>, ReloadError> {
        self.rest("")?;
        drain::look(&self.lua).map_err(|error| ReloadError::new("", Phase::Merge, error))
    }

    /// The functions that the engine holds.
    pub fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }

    /// Who keeps a journal of registrations.
    ///
    /// # Errors
    /// None but those of `mlua` itself.
    pub fn set_host(&mut self, host: Box<dyn Host>) -> Result<(), ScriptError> {
        modules::with(&self.lua, |modules| modules.host = Some(host))
            .map_err(|error| ScriptError::new(&error))
    }

    /// Calls a function of a module by name.
    ///
    /// # Errors
    /// If there is none, or what it raised.
    pub fn call(
        &self,
        module: &str,
        function: &str,
        arguments: impl IntoLuaMulti,
    ) -> Result<Value, ScriptError> {
        let call = || -> mlua::Result<Value> {
            let found: Value = match chunk::loaded(&self.lua)?.raw_get(module)? {
                Value::Table(module) => module.get(function)?,
                _ => self.lua.globals().raw_get(function)?,
            };
            match found {
                Value::Function(function) => self.watch(|| function.call(arguments)),
                other => Err(mlua::Error::runtime(format!(
                    "`{module}.{function}` is a {}, not a function",
                    other.type_name()
                ))),
            }
        };
        call().map_err(|error| ScriptError::new(&error))
    }

    /// Has Lua's collector catch up with what reloads have left, a bit: it is stopped while they
    /// run. Worth a call in each frame; costs some 100 µs while there is something to do. Where
    /// nobody calls it, a later reload collects all at once.
    pub fn collect_some(&self) {
        let unseen = modules::with(&self.lua, |modules| modules.unseen);
        if unseen.unwrap_or(0) == 0 {
            return;
        }
        let mut is_cycle_over = false;
        // SAFETY: calls no more than finalizers of scripts, protected and watched.
        let step = || unsafe {
            self.lua.exec_raw::<()>((), |lua| {
                is_cycle_over = ffi::lua_gc(lua, ffi::LUA_GCSTEP, STEP) != 0;
            })
        };
        let _ = self.watch(step);
        if is_cycle_over {
            // What was made while the cycle was under way is left for the next one.
            let _ = modules::with(&self.lua, |modules| {
                modules.unseen = if modules.unseen == LAST_CYCLE {
                    0
                } else {
                    LAST_CYCLE
                };
            });
        }
    }

    /// Runs calls of Lua functions and ends them when they take longer than
    /// [`Limits::call`] together; they raise an error then. Costs a few nanoseconds.
    pub fn watch<R>(&self, calls: impl FnOnce() -> R) -> R {
        self.watchdog.watch(&self.lua, calls)
    }

    /// Who watches the calls.
    pub(crate) fn watchdog(&self) -> &Arc<Watchdog> {
        &self.watchdog
    }

    /// Resumes a coroutine that the engine runs, such as a job; watched like a call.
    ///
    /// # Errors
    /// What it raised.
    pub fn resume<R: FromLuaMulti>(
        &self,
        coroutine: &Thread,
        arguments: impl IntoLuaMulti,
    ) -> Result<R, ScriptError> {
        self.watch(|| Self::step(coroutine, arguments))
            .map_err(|error| ScriptError::new(&error))
    }

    /// Resumes a coroutine within a call that is watched.
    pub(crate) fn step<R: FromLuaMulti>(
        coroutine: &Thread,
        arguments: impl IntoLuaMulti,
    ) -> mlua::Result<R> {
        let before = watchdog::enter(coroutine.state());
        let resumed = coroutine.resume(arguments);
        watchdog::enter(before);
        resumed
    }

    /// Whether a module runs another text than this one. A change on the disk that changes
    /// nothing needs no reload.
    pub fn differs(&self, module: &str, source: &Source) -> bool {
        self.source(module).is_none_or(|running| running != *source)
    }

    /// Tells the modules that listen to an event.
    fn tell(&self, event: &str, text: &str) {
        for (_, listener) in transaction::listeners(&self.lua, event).unwrap_or_default() {
            // There is nobody left to tell that telling failed.
            let _ = self.watch(|| listener.call::<()>(text));
        }
    }

    /// Makes sure that no Lua code is running.
    fn rest(&self, module: &str) -> Result<(), ReloadError> {
        let mut at_rest = false;
        // SAFETY: reads the state alone.
        let looked = unsafe {
            self.lua.exec_raw::<()>((), |lua| {
                let mut frame = std::mem::MaybeUninit::<mlua::ffi::lua_Debug>::zeroed();
                let is_main = mlua::ffi::lua_pushthread(lua) == 1;
                mlua::ffi::lua_settop(lua, 0);
                // Level 0 is this function.
                at_rest = is_main && mlua::ffi::lua_getstack(lua, 1, frame.as_mut_ptr()) == 0;
            })
        };
        if looked.is_err() || !at_rest {
            let message = "Lua code is running; reload between two calls";
            return Err(ReloadError::request(module, message));
        }
        Ok(())
    }
}

/// A reload that has succeeded and can still be undone. Dropped, it is.
pub struct PreparedReload<'d> {
    domain: &'d mut Domain,
    begun: Begun,
}

/// A reload that can be undone, and is when dropped.
pub(crate) struct Begun {
    pending: Pending,
    modules: BTreeSet<String>,
}

impl PreparedReload<'_> {
    /// Makes the new versions those that run, reloads modules that may have copied what changed,
    /// and tells who listens to `after_update`.
    ///
    /// # Errors
    /// None but those of `mlua` itself.
    pub fn commit(self) -> Result<Report, ReloadError> {
        self.domain.finish(self.begun)
    }
}

impl Report {
    fn warn(&mut self, module: &str, note: String) {
        if let Some(entry) = self.modules.iter_mut().find(|m| m.module == module) {
            entry.note(Change::Warning, module, note);
        } else if let Some(first) = self.modules.first_mut() {
            first.note(Change::Warning, module, note);
        }
    }
}
