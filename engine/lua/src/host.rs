//! What the engine has to do with a reload: functions that it holds, and its own
//! registrations, which a failed reload must not leave behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mlua::{Function, Lua, Table, Thread, Value};

use crate::error::ScriptError;

/// Name of the table of held functions in Lua's registry.
pub(crate) const HELD: &str = "engine callbacks";

/// A function that the engine holds: an event handler, a timer, a system. It stays the
/// function of the running version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallbackId(u64);

impl CallbackId {
    /// As a number, to give it to scripts.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The id that had this number.
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// The functions that the engine holds, by id. They lie in a table of Lua, where a reload finds
/// them; one that fails takes away what it added. Clones share the functions; usable in
/// functions of the host that scripts call.
#[derive(Clone)]
pub struct Callbacks {
    functions: Table,
    next: Arc<AtomicU64>,
}

impl Callbacks {
    pub(crate) fn new(lua: &Lua) -> mlua::Result<Self> {
        let functions = lua.create_table()?;
        lua.set_named_registry_value(HELD, &functions)?;
        Ok(Self {
            functions,
            next: Arc::new(AtomicU64::new(1)),
        })
    }

    /// Holds a function. After a reload the id stands for the new one.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn hold(&self, function: &Function) -> Result<CallbackId, ScriptError> {
        let id = CallbackId(self.next.fetch_add(1, Ordering::Relaxed));
        let held = self.functions.raw_set(id.0, function);
        held.map_err(|error| ScriptError::new(&error))?;
        Ok(id)
    }

    /// Lets go of a function.
    pub fn release(&self, id: CallbackId) {
        // Clearing an entry needs no memory.
        let _ = self.functions.raw_set(id.0, Value::Nil);
    }

    /// Lets an id stand for a coroutine instead of the function that it runs.
    pub(crate) fn put(&self, id: CallbackId, coroutine: Thread) -> mlua::Result<()> {
        self.functions.raw_set(id.0, coroutine)
    }

    /// The coroutine that an id stands for.
    pub(crate) fn coroutine(&self, id: CallbackId) -> Option<Thread> {
        self.functions.raw_get(id.0).ok()
    }

    /// The function that an id stands for now; `None` once it is released.
    pub fn get(&self, id: CallbackId) -> Option<Function> {
        self.functions.raw_get(id.0).ok()
    }
}

/// Keeps a journal of what scripts register with the host while a reload may still fail.
/// Called on the thread that reloads; not while Lua runs.
pub trait Host: Send {
    /// What is registered from now on belongs to a reload.
    fn begin(&mut self);
    /// It got in; what the versions of these modules before had registered can go.
    fn commit(&mut self, modules: &[String]);
    /// It failed: what was registered since `begin` is forgotten.
    fn rollback(&mut self);
}
