//! A reload, from texts to a report: fully done, or not at all.
//!
//! 1. Compile.
//! 2. Take a [`Snapshot`] of the heap.
//! 3. Run the new sources on overlays.
//! 4. Pair old and new.
//! 5. Ask the old versions for what they want to hand over.
//! 6. Merge, and run the hooks of the new versions.
//! 7. Redirect all references that are left, in one walk.
//! 8. Record, and let the old versions drain.
//!
//! Whatever fails before step 7 is undone by the snapshot.

mod commit;
mod dependents;
mod quiet;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use mlua::{Function, Lua, Table, Value};

pub(crate) use self::dependents::listeners;

use self::commit::{add_tables, commit};
pub(crate) use self::quiet::Quiet;
use crate::chunk::{self, Fresh, Source};
use crate::declared::{Declared, Newcomers, View};
use crate::error::{Phase, ReloadError};
use crate::fault;
use crate::host::Host;
use crate::merge::{Bases, Merge, Merged};
use crate::modules::{self, hook};
use crate::pairing::{Pairing, pair};
use crate::policy::Policy;
use crate::raw::AddressSet;
use crate::redirect::Redirect;
use crate::report::{Cost, ModuleReport, Report};
use crate::snapshot::Snapshot;

/// Loads a module for the first time; also called by `require` while Lua runs.
pub(crate) fn load(lua: &Lua, name: &str, source: Source) -> Result<Report, ReloadError> {
    let loaded = modules::with(lua, |modules| modules.by_name.contains_key(name));
    if loaded.map_err(|error| ReloadError::new(name, Phase::Request, error))? {
        let message = "it is loaded already; reload it";
        return Err(ReloadError::request(name, message));
    }
    let edits = BTreeMap::from([(name.to_string(), source)]);
    Pending::begin(lua, edits, &BTreeSet::new())?
        .commit()
        .map_err(|error| ReloadError::new(name, Phase::Merge, error))
}

/// Puts new sources in, up to the point where nothing can fail any more; the caller has made sure that no Lua code runs. Those in `follow`
/// are reloaded because of others: what nobody touched in them takes the new value.
pub(crate) fn prepare(
    lua: &Lua,
    edits: BTreeMap<String, Source>,
    follow: &BTreeSet<String>,
    new: New,
) -> Result<Pending, ReloadError> {
    for name in edits.keys() {
        let fixed = modules::with(lua, |modules| {
            let module = modules.by_name.get(name)?;
            let policy = module
                .policy
                .never
                .then(|| "its `__reload` says never".to_string());
            Some(policy.or_else(|| module.source.fixed.clone()))
        });
        match fixed.map_err(|error| ReloadError::new(name, Phase::Request, error))? {
            None if new == New::Loaded => {}
            None => {
                return Err(ReloadError::request(
                    name,
                    "there is no such module; load it",
                ));
            }
            Some(Some(reason)) => {
                let message = format!("it is never reloaded: {reason}");
                return Err(ReloadError::request(name, message));
            }
            Some(None) => {}
        }
    }
    Pending::begin(lua, edits, follow)
}

/// What becomes of modules that are not loaded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum New {
    /// They are an error.
    Refused,
    /// They are loaded with the others.
    Loaded,
}

/// A reload whose new versions are in, and which can still be undone. Undone when dropped.
pub(crate) struct Pending {
    lua: Lua,
    start: Instant,
    cost: Cost,
    /// `None` once it is done or undone.
    ready: Option<Ready>,
    /// Whether it is neither done nor undone; also while a panic of a function of the host passes.
    is_open: bool,
    skip: AddressSet,
    snapshot: Snapshot,
    _only: chunk::Only,
    /// Last, so that the collector starts when all else is gone.
    quiet: Quiet,
}

impl Pending {
    /// Does all of a reload that can fail.
    fn begin(
        lua: &Lua,
        edits: BTreeMap<String, Source>,
        follow: &BTreeSet<String>,
    ) -> Result<Self, ReloadError> {
        let first = edits.keys().next().cloned().unwrap_or_default();
        let internal = |error| ReloadError::new(&first, Phase::Merge, error);
        let start = Instant::now();
        // Compiling allocates much: without this the collector would run beside it.
        let quiet = Quiet::new(lua);
        let mut compiled = BTreeMap::new();
        for (name, source) in &edits {
            let main = chunk::compile(lua, name, source)
                .map_err(|error| ReloadError::new(name, Phase::Compile, error))?;
            compiled.insert(name.clone(), main);
        }
        let taken = Instant::now();
        let expected = modules::with(lua, |modules| modules.objects).map_err(internal)?;
        let snapshot = Snapshot::take(lua, expected).map_err(internal)?;
        let skip: AddressSet = snapshot.own().into_iter().collect();
        let mut pending = Self {
            lua: lua.clone(),
            start,
            cost: Cost {
                snapshot: taken.elapsed(),
                ..Cost::default()
            },
            ready: None,
            is_open: true,
            skip,
            snapshot,
            _only: chunk::Only::begin(lua).map_err(internal)?,
            quiet,
        };
        tell_host(lua, |host| host.begin()).map_err(internal)?;
        let attempt = Attempt {
            lua,
            quiet: &pending.quiet,
            snapshot: &pending.snapshot,
            frozen: pending.snapshot.threads(),
            follow,
        };
        match attempt.run(edits, compiled) {
            Ok(ready) => {
                pending.cost.search = ready.search;
                pending.ready = Some(ready);
                Ok(pending)
            }
            Err(error) => {
                pending.undo().map_err(internal)?;
                Err(error)
            }
        }
    }

    /// Makes the new versions those that run.
    pub(crate) fn commit(mut self) -> mlua::Result<Report> {
        let Some(ready) = self.ready.take() else {
            return Err(mlua::Error::runtime("this reload is over"));
        };
        self.is_open = false;
        let before = Instant::now();
        let mut report = commit(&self.lua, ready, self.snapshot.objects(), &self.skip)?;
        report.cost = Cost {
            redirect: before.elapsed(),
            total: self.start.elapsed(),
            ..self.cost
        };
        let names: Vec<String> = report.modules.iter().map(|m| m.module.clone()).collect();
        tell_host(&self.lua, |host| host.commit(&names))?;
        Ok(report)
    }

    fn undo(&mut self) -> mlua::Result<()> {
        self.ready = None;
        self.is_open = false;
        let _ = chunk::end(&self.lua);
        self.snapshot.restore(&self.lua)?;
        tell_host(&self.lua, |host| host.rollback())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.is_open {
            // Restoring needs no more than what the snapshot holds.
            let _ = self.undo();
        }
    }
}

fn tell_host(lua: &Lua, tell: impl FnOnce(&mut dyn Host)) -> mlua::Result<()> {
    modules::with(lua, |modules| {
        if let Some(host) = &mut modules.host {
            tell(host.as_mut());
        }
    })
}

/// The part of a transaction that can fail.
struct Attempt<'a> {
    lua: &'a Lua,
    quiet: &'a Quiet,
    snapshot: &'a Snapshot,
    frozen: AddressSet,
    follow: &'a BTreeSet<String>,
}

/// One module whose new version is about to run.
struct Incoming {
    fresh: Fresh,
    declared: Declared,
    policy: Policy,
    /// The version that runs, its number, and what of it is what now.
    old: Option<Before>,
    view: View,
    report: ModuleReport,
    replaced: Vec<(String, Value)>,
    bases: Bases,
}

struct Before {
    view: View,
    version: u32,
    pairing: Pairing,
}

/// A transaction that can only succeed.
struct Ready {
    incoming: Vec<Incoming>,
    merged: Merged,
    overlays: Vec<Table>,
    /// How long finding the newcomers took.
    search: Duration,
    /// Modules that must be reloaded because of this one.
    dependents: BTreeSet<String>,
}

impl Attempt<'_> {
    fn run(
        &self,
        edits: BTreeMap<String, Source>,
        compiled: BTreeMap<String, Function>,
    ) -> Result<Ready, ReloadError> {
        let lua = self.lua;
        let names: Vec<String> = edits.keys().cloned().collect();
        let at = |phase| {
            let name = names.first().cloned().unwrap_or_default();
            move |error| ReloadError::new(&name, phase, error)
        };
        let mut data = BTreeMap::new();
        for name in &names {
            data.insert(name.clone(), lua.create_table().map_err(at(Phase::Run))?);
        }
        let step = fault::point().and_then(|()| chunk::begin(lua, edits, compiled, data.clone()));
        step.map_err(at(Phase::Run))?;
        self.quiet
            .scripts(&self.frozen, || chunk::run_pending(lua))?;
        let fresh = chunk::end(lua).map_err(at(Phase::Run))?;
        fault::point().map_err(at(Phase::Merge))?;
        let before = Instant::now();
        let newcomers =
            Newcomers::find(lua, self.snapshot, &self.snapshot.own()).map_err(at(Phase::Merge))?;
        let search = before.elapsed();
        let overlays: Vec<Table> = fresh.iter().map(|fresh| fresh.overlay.clone()).collect();
        let mut incoming = Vec::new();
        for fresh in fresh {
            let name = fresh.name.clone();
            let ready = self.incoming(fresh, &newcomers);
            incoming.push(ready.map_err(|error| ReloadError::new(&name, Phase::Merge, error))?);
        }
        let mut handed = self.unload(&incoming, &data)?;
        let exports = self.exports(&incoming).map_err(at(Phase::Merge))?;
        let mut merged = Merged::new();
        merged.foreign = modules::foreign_tables(lua, &names).map_err(at(Phase::Merge))?;
        for incoming in &mut incoming {
            self.merge(incoming, &newcomers, &mut merged)
                .map_err(|error| ReloadError::new(&incoming.fresh.name, Phase::Merge, error))?;
        }
        self.settle(&mut merged, &overlays, &newcomers)
            .map_err(at(Phase::Merge))?;
        let mut ready = Ready {
            incoming,
            merged,
            overlays,
            search,
            dependents: BTreeSet::new(),
        };
        self.enter(&ready.incoming, &mut handed)?;
        self.tell_dependents(&mut ready, &exports)?;
        fault::point().map_err(at(Phase::Load))?;
        Ok(ready)
    }

    /// Compares a new version with the one that runs.
    fn incoming(&self, fresh: Fresh, newcomers: &Newcomers) -> mlua::Result<Incoming> {
        let lua = self.lua;
        fault::point()?;
        let declared = Declared::record(lua, &fresh, newcomers)?;
        let view = View::new(lua, &fresh.protos, &fresh.written, &declared)?;
        let mut policy = Policy::of(&fresh.value, &fresh.overlay)?;
        policy.untouched_is_new |= self.follow.contains(&fresh.name);
        let running = modules::with(lua, |modules| {
            let module = modules.by_name.get(&fresh.name)?;
            Some((
                module.version,
                module.declared.clone(),
                module.protos.clone(),
                module.written.clone(),
            ))
        })?;
        let old = match running {
            None => None,
            Some((version, declared, protos, written)) => {
                let before = View::new(lua, &protos, &written, &declared)?;
                let pairing = pair(&before, &view, &policy.renames);
                Some(Before {
                    view: before,
                    version,
                    pairing,
                })
            }
        };
        let report = ModuleReport {
            module: fresh.name.clone(),
            from: old.as_ref().map(|old| old.version),
            to: fresh.version,
            entries: Vec::new(),
        };
        Ok(Incoming {
            fresh,
            declared,
            policy,
            old,
            view,
            report,
            replaced: Vec::new(),
            bases: Bases::default(),
        })
    }

    /// Asks the old versions what the new ones get, and tells listeners.
    fn unload(
        &self,
        incoming: &[Incoming],
        data: &BTreeMap<String, Table>,
    ) -> Result<BTreeMap<String, Value>, ReloadError> {
        let lua = self.lua;
        let mut handed = BTreeMap::new();
        self.quiet.scripts(&self.frozen, || {
            for (name, listener) in self
                .events("before_update")
                .map_err(|error| ReloadError::new("", Phase::Unload, error))?
            {
                listener
                    .call::<()>(module_names(incoming))
                    .map_err(|error| ReloadError::new(&name, Phase::Unload, error))?;
            }
            for incoming in incoming {
                let name = &incoming.fresh.name;
                let ask = || -> mlua::Result<Value> {
                    let hooks = modules::with(lua, |modules| {
                        let module = modules.by_name.get(name)?;
                        Some((module.hook("__on_unload__"), module.hot.dispose.clone()))
                    })?;
                    let Some((hook, dispose)) = hooks else {
                        return Ok(Value::Nil);
                    };
                    fault::point()?;
                    let bytes = match hook? {
                        Some(hook) => hook.call::<Value>(())?,
                        None => Value::Nil,
                    };
                    if !matches!(bytes, Value::Nil | Value::String(_)) {
                        return Err(mlua::Error::runtime(format!(
                            "`__on_unload__` returned a {}; it must return a string or nothing",
                            bytes.type_name()
                        )));
                    }
                    for callback in dispose.sequence_values::<Function>() {
                        callback?.call::<()>(data.get(name).cloned())?;
                    }
                    Ok(bytes)
                };
                let bytes = ask().map_err(|error| ReloadError::new(name, Phase::Unload, error))?;
                handed.insert(name.clone(), bytes);
            }
            Ok(())
        })?;
        Ok(handed)
    }

    fn merge(
        &self,
        incoming: &mut Incoming,
        newcomers: &Newcomers,
        merged: &mut Merged,
    ) -> mlua::Result<()> {
        let lua = self.lua;
        let loaded = chunk::loaded(lua)?;
        let name = incoming.fresh.name.clone();
        fault::point()?;
        let Some(old) = &incoming.old else {
            // Nothing to merge with: globals are assigned, as Lua does.
            let globals = lua.globals();
            for (key, value) in &incoming.declared.globals {
                fault::point()?;
                globals.raw_set(key, value)?;
            }
            let value = chunk::exported(&incoming.declared.value);
            return loaded.raw_set(name, value);
        };
        let bases = modules::with(lua, |modules| {
            let module = modules.by_name.get(&name);
            module.map(|module| module.bases.clone())
        })?;
        let bases = bases.unwrap_or_default();
        let mut merge = Merge::new(
            lua,
            &old.view,
            &incoming.view,
            &old.pairing,
            &newcomers.addresses,
            &incoming.policy,
            merged,
            &mut incoming.report,
            &bases,
        );
        let now = loaded.raw_get(name.as_str())?;
        let value = merge.module_value(&name, &now)?;
        merge.run()?;
        (incoming.replaced, incoming.bases) = (merge.replaced, merge.carried);
        fault::point()?;
        loaded.raw_set(name, value)
    }

    /// Makes new objects refer to kept tables and the globals, before hooks see them.
    fn settle(
        &self,
        merged: &mut Merged,
        overlays: &[Table],
        newcomers: &Newcomers,
    ) -> mlua::Result<()> {
        let lua = self.lua;
        merged.settle()?;
        fault::point()?;
        let mut redirect = Redirect::new(lua)?;
        add_tables(&mut redirect, lua, merged, overlays)?;
        redirect.run_in(lua, &newcomers.anchors)
    }

    /// Runs the hooks of the new versions.
    fn enter(
        &self,
        incoming: &[Incoming],
        handed: &mut BTreeMap<String, Value>,
    ) -> Result<(), ReloadError> {
        let lua = self.lua;
        self.quiet.scripts(&self.frozen, || {
            for incoming in incoming {
                let name = &incoming.fresh.name;
                let run = || -> mlua::Result<()> {
                    fault::point()?;
                    let _loading = chunk::Hooked::begin(lua, name)?;
                    if let Some(hook) = hook(&incoming.declared, "__on_load__")? {
                        hook.call::<()>(handed.get(name).cloned())?;
                    }
                    if incoming.old.is_some()
                        && let Some(hook) = hook(&incoming.declared, "__hotfix")?
                    {
                        fault::point()?;
                        let replaced = lua.create_table()?;
                        for (name, value) in &incoming.replaced {
                            replaced.raw_set(name.as_str(), value)?;
                        }
                        let module: Value = chunk::loaded(lua)?.raw_get(name.as_str())?;
                        hook.call::<()>((module, replaced))?;
                    }
                    Ok(())
                };
                run().map_err(|error| ReloadError::new(name, Phase::Load, error))?;
            }
            Ok(())
        })
    }

    /// Who listens to an event, with the names of the modules.
    fn events(&self, event: &str) -> mlua::Result<Vec<(String, Function)>> {
        listeners(self.lua, event)
    }
}

fn module_names(incoming: &[Incoming]) -> Vec<String> {
    let names = incoming.iter().map(|incoming| incoming.fresh.name.clone());
    names.collect()
}
