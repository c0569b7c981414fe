//! Other modules that have to do with a reload: those that copied what it changes, and those
//! that listen.

use mlua::{Function, Lua, Table, Value};

use super::{Attempt, Incoming, Ready};
use crate::chunk;
use crate::error::{Phase, ReloadError};
use crate::fault;
use crate::modules;

impl Attempt<'_> {
    /// The plain values that modules export, which others may have copied.
    pub(super) fn exports(&self, incoming: &[Incoming]) -> mlua::Result<Vec<Vec<(Value, Value)>>> {
        incoming
            .iter()
            .map(|incoming| exports(self.lua, &incoming.fresh.name))
            .collect()
    }

    /// Modules that required one of these: they accept, or are reloaded if what they may have
    /// copied has changed.
    pub(super) fn tell_dependents(
        &self,
        ready: &mut Ready,
        before: &[Vec<(Value, Value)>],
    ) -> Result<(), ReloadError> {
        let lua = self.lua;
        let names: Vec<&str> = ready
            .incoming
            .iter()
            .map(|incoming| incoming.fresh.name.as_str())
            .collect();
        for (incoming, before) in ready.incoming.iter().zip(before) {
            if incoming.old.is_none() {
                continue;
            }
            let name = &incoming.fresh.name;
            let internal = |error| ReloadError::new(name, Phase::Load, error);
            let dependents = modules::with(lua, |modules| {
                modules
                    .by_name
                    .iter()
                    .filter(|(other, module)| {
                        !names.contains(&other.as_str()) && module.requires.contains(name)
                    })
                    .map(|(other, module)| {
                        let hot = (module.hot.accepts.clone(), module.hot.flags.clone());
                        (other.clone(), hot)
                    })
                    .collect::<Vec<_>>()
            })
            .map_err(internal)?;
            let invalid: Value = incoming
                .fresh
                .hot
                .flags
                .raw_get("invalid")
                .map_err(internal)?;
            let changed =
                invalid == Value::Boolean(true) || exports(lua, name).map_err(internal)? != *before;
            for (other, (accepts, flags)) in dependents {
                let callback: Value = accepts.raw_get(name.as_str()).map_err(internal)?;
                let reload = match callback {
                    Value::Function(callback) => {
                        let module: Value = chunk::loaded(lua)
                            .and_then(|loaded| loaded.raw_get(name.as_str()))
                            .map_err(internal)?;
                        self.quiet.scripts(&self.frozen, || {
                            fault::point()
                                .and_then(|()| callback.call::<()>(module))
                                .map_err(|error| ReloadError::new(&other, Phase::Load, error))
                        })?;
                        let invalid: Value = flags.raw_get("invalid").map_err(internal)?;
                        invalid == Value::Boolean(true)
                    }
                    _ => changed,
                };
                if reload {
                    ready.dependents.insert(other);
                }
            }
        }
        Ok(())
    }
}

/// Who listens to an event, with the names of the modules.
pub(crate) fn listeners(lua: &Lua, event: &str) -> mlua::Result<Vec<(String, Function)>> {
    let lists = modules::with(lua, |modules| {
        let all = modules.by_name.iter();
        all.map(|(name, module)| (name.clone(), module.hot.events.clone()))
            .collect::<Vec<_>>()
    })?;
    let mut found = Vec::new();
    for (name, events) in lists {
        let list: Table = events.raw_get(event)?;
        for listener in list.sequence_values::<Function>() {
            found.push((name.clone(), listener?));
        }
    }
    Ok(found)
}

fn exports(lua: &Lua, name: &str) -> mlua::Result<Vec<(Value, Value)>> {
    let value: Value = chunk::loaded(lua)?.raw_get(name)?;
    let mut found = match &value {
        Value::Table(module) => {
            let mut found = Vec::new();
            for entry in module.pairs::<Value, Value>() {
                let (key, value) = entry?;
                if !matches!(value, Value::Table(_) | Value::Function(_)) {
                    found.push((key, value));
                }
            }
            found
        }
        _ => Vec::new(),
    };
    found.sort_by_key(|(key, _)| format!("{key:?}"));
    Ok(found)
}
