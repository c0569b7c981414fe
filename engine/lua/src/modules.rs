//! The modules of a state: the version of each that runs, and those that still drain.

use std::collections::BTreeMap;
use std::time::Duration;

use mlua::{Function, Lua, Table, Value};

use crate::chunk::{Hot, Source};
use crate::declared::Declared;
use crate::host::Host;
use crate::layout::ProtoNode;
use crate::merge::Bases;
use crate::outline::Written;
use crate::plan::OldProtos;
use crate::policy::Policy;
use crate::raw::{AddressSet, pointer_address};

/// The version of a module that runs.
pub(crate) struct Module {
    pub(crate) version: u32,
    pub(crate) source: Source,
    pub(crate) policy: Policy,
    /// Keeps the prototypes.
    pub(crate) main: Function,
    pub(crate) protos: Vec<ProtoNode>,
    pub(crate) written: Vec<Written>,
    pub(crate) declared: Declared,
    pub(crate) bases: Bases,
    pub(crate) requires: Vec<String>,
    pub(crate) hot: Hot,
    /// Prototypes of versions before that may still have closures.
    pub(crate) old_protos: OldProtos,
}

impl Module {
    /// A function that the module offers to the reload, such as `__on_load__`.
    pub(crate) fn hook(&self, name: &str) -> mlua::Result<Option<Function>> {
        hook(&self.declared, name)
    }
}

/// The hook that a version declares: a field of the table that the module returned, or a global
/// of a module that is its globals.
pub(crate) fn hook(declared: &Declared, name: &str) -> mlua::Result<Option<Function>> {
    let found = match &declared.value {
        Value::Table(module) => module.raw_get(name)?,
        _ => declared
            .globals
            .iter()
            .find(|(key, _)| matches!(key, Value::String(key) if key == name))
            .map_or(Value::Nil, |(_, value)| value.clone()),
    };
    Ok(match found {
        Value::Function(function) => Some(function),
        _ => None,
    })
}

/// A version that no longer runs and of which functions are left.
pub(crate) struct Draining {
    pub(crate) module: String,
    pub(crate) version: u32,
    /// Keeps the prototypes, and so their addresses.
    #[expect(dead_code, reason = "held for what it keeps")]
    pub(crate) main: Function,
    /// Functions that were left when it was last looked; weak.
    pub(crate) left: Table,
}

/// All modules of a state. Lives in its application data, never borrowed while Lua runs.
#[derive(Default)]
pub(crate) struct Modules {
    pub(crate) by_name: BTreeMap<String, Module>,
    pub(crate) draining: Vec<Draining>,
    pub(crate) limits: Limits,
    pub(crate) host: Option<Box<dyn Host>>,
    /// Objects in the heap when it was last walked over.
    pub(crate) objects: usize,
    /// Bytes that were allocated while the collector was stopped, and which it has not seen yet.
    pub(crate) unseen: usize,
}

/// What modules may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that all modules of a domain may hold; 0 for no limit.
    pub memory: usize,
    /// Instructions that loading one module may take, with its hooks.
    pub instructions: u64,
    /// How long one call of the engine may take; zero for no limit.
    pub call: Duration,
}

impl Default for Limits {
    /// 256 MiB, about a second of instructions, and two seconds.
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            instructions: 100_000_000,
            call: Duration::from_secs(2),
        }
    }
}

/// Access to the modules; never held while Lua runs.
pub(crate) fn with<R>(lua: &Lua, look: impl FnOnce(&mut Modules) -> R) -> mlua::Result<R> {
    let mut modules = lua
        .app_data_mut::<Modules>()
        .ok_or_else(|| mlua::Error::runtime("this state has no modules"))?;
    Ok(look(&mut modules))
}

/// Addresses of tables that belong to modules other than these and not to one of these, or to
/// the engine. Modules that were loaded together both have what one of them holds of the other.
pub(crate) fn foreign_tables(lua: &Lua, but: &[String]) -> mlua::Result<AddressSet> {
    let mut foreign = with(lua, |modules| {
        let tables = |is_own: bool| {
            let some = modules.by_name.iter();
            let some = some.filter(move |(name, _)| but.contains(name) == is_own);
            let shadows = some.flat_map(|(_, module)| &module.declared.shadows);
            shadows.map(|shadow| pointer_address(shadow.table.to_pointer()))
        };
        let mut foreign: AddressSet = tables(false).collect();
        for own in tables(true) {
            foreign.remove(&own);
        }
        foreign
    })?;
    foreign.insert(pointer_address(lua.globals().to_pointer()));
    for library in [
        "coroutine",
        "table",
        "string",
        "utf8",
        "math",
        "os",
        "package",
    ] {
        if let Value::Table(library) = lua.globals().raw_get(library)? {
            foreign.insert(pointer_address(library.to_pointer()));
        }
    }
    Ok(foreign)
}
