//! Which old versions are still there: those that a reachable function belongs to.

use std::collections::BTreeSet;
use std::ffi::c_int;

use mlua::ffi;
use mlua::{Function, Lua, Table, Value};

use crate::cells;
use crate::heap::{Place, Visitor, walk};
use crate::layout::proto_of;
use crate::modules;
use crate::raw::{AddressSet, State, is_lua_function, pointer_address};
use crate::redirect::weak_set;
use crate::transaction::Quiet;

/// Finds functions of old versions.
struct Search {
    protos: AddressSet,
}

/// Where the set of functions that were found lies on the stack.
const LEFT: c_int = 2;

impl Visitor for Search {
    unsafe fn replace(&mut self, lua: State, _: Place) -> bool {
        // SAFETY: as the caller says.
        unsafe {
            if is_lua_function(lua, -1) && self.protos.contains(&proto_of(lua, -1)) {
                ffi::lua_pushvalue(lua, -1);
                ffi::lua_pushboolean(lua, 1);
                ffi::lua_rawset(lua, LEFT);
            }
        }
        false
    }
}

/// A version that no longer runs and of which functions can still be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainingVersion {
    /// The module.
    pub module: String,
    /// The version.
    pub version: u32,
    /// The functions: a coroutine is in them, or something holds them and they could not be
    /// given a new body.
    pub functions: Vec<String>,
}

/// The versions that are left. Forgets the others.
pub(crate) fn look(lua: &Lua) -> mlua::Result<Vec<DrainingVersion>> {
    let seems_gone = modules::with(lua, |modules| {
        let mut draining = modules.draining.iter();
        draining.any(|version| version.left.is_empty())
    })?;
    if seems_gone {
        confirm(lua)?;
    }
    let left = modules::with(lua, |modules| {
        let draining = modules.draining.iter();
        draining
            .map(|d| (d.module.clone(), d.version, d.left.clone()))
            .collect::<Vec<_>>()
    })?;
    let mut found = Vec::new();
    for (module, version, left) in left {
        let mut functions = BTreeSet::new();
        for entry in left.pairs::<Function, Value>() {
            let proto = cells::proto(lua, &entry?.0)?;
            functions.extend(modules::with(lua, |modules| {
                let module = modules.by_name.get(&module)?;
                Some(module.old_protos.get(&proto?)?.name.clone())
            })?);
        }
        found.push(DrainingVersion {
            module,
            version,
            functions: functions.into_iter().collect(),
        });
    }
    Ok(found)
}

/// Addresses of the sets of functions that are left.
pub(crate) fn sets(lua: &Lua) -> mlua::Result<AddressSet> {
    modules::with(lua, |modules| {
        let sets = modules.draining.iter().map(|draining| &draining.left);
        sets.map(|table| pointer_address(table.to_pointer()))
            .collect()
    })
}

/// Notes which functions of old versions a reload left, of the modules that changed. Versions
/// without any are gone.
pub(crate) fn record(lua: &Lua, left: &Table, changed: &BTreeSet<String>) -> mlua::Result<()> {
    let mut functions = Vec::new();
    for entry in left.pairs::<Function, Value>() {
        let (function, _) = entry?;
        if let Some(proto) = cells::proto(lua, &function)? {
            functions.push((function, proto));
        }
    }
    let mut draining = modules::with(lua, |modules| std::mem::take(&mut modules.draining))?;
    for old in draining
        .iter_mut()
        .filter(|old| changed.contains(&old.module))
    {
        old.left = weak_set(lua)?;
        for (function, proto) in &functions {
            let is_of_it = modules::with(lua, |modules| {
                let module = modules.by_name.get(&old.module)?;
                Some(module.old_protos.get(proto)?.version == old.version)
            })?;
            if is_of_it == Some(true) {
                old.left.raw_set(function, true)?;
            }
        }
    }
    modules::with(lua, |modules| {
        draining.retain(|old| {
            let stays = !changed.contains(&old.module) || !old.left.is_empty();
            if !stays && let Some(module) = modules.by_name.get_mut(&old.module) {
                module
                    .old_protos
                    .retain(|_, proto| proto.version != old.version);
            }
            stays
        });
        modules.draining = draining;
    })
}

/// Walks over the heap for functions of old versions: those that were left may have made more.
fn confirm(lua: &Lua) -> mlua::Result<()> {
    // Nothing may fail within the walk.
    let _quiet = Quiet::new(lua);
    let objects = modules::with(lua, |modules| modules.objects)?;
    let anchors = lua.create_table_with_capacity(objects, 0)?;
    let left = weak_set(lua)?;
    let (protos, all) = modules::with(lua, |modules| {
        let old = modules.by_name.values();
        let protos = old.flat_map(|module| module.old_protos.keys());
        let names = modules
            .draining
            .iter()
            .map(|draining| draining.module.clone());
        (protos.copied().collect(), names.collect())
    })?;
    let mut skip = sets(lua)?;
    skip.extend([&anchors, &left].map(|table| pointer_address(table.to_pointer())));
    let mut search = Search { protos };
    // SAFETY: the caller made sure that no Lua code runs; the collector is stopped.
    let walked = unsafe {
        lua.exec_raw::<()>((&anchors, &left), |lua| {
            walk(lua, 1, objects, &skip, &mut search);
            ffi::lua_settop(lua, 0);
        })
    };
    walked?;
    record(lua, &left, &all)
}
