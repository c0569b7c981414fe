//! The state of Lua while the engine works on it.

use mlua::Lua;

use crate::coroutines::Frozen;
use crate::error::{Phase, ReloadError};
use crate::modules;
use crate::raw::AddressSet;
use crate::sandbox::Budget;

/// Stops the collector while the engine works on the heap, and lifts the limit of memory: a
/// walk must not fail.
pub(super) struct Quiet {
    lua: Lua,
    /// Bytes in use before.
    used: usize,
}

impl Quiet {
    pub(super) fn new(lua: &Lua) -> Self {
        lua.gc_stop();
        let _ = lua.set_memory_limit(0);
        Self {
            lua: lua.clone(),
            used: lua.used_memory(),
        }
    }

    /// Runs code of scripts: with limits, and without what cannot be undone.
    pub(super) fn scripts<R>(
        &self,
        frozen: &AddressSet,
        run: impl FnOnce() -> Result<R, ReloadError>,
    ) -> Result<R, ReloadError> {
        let lua = &self.lua;
        let internal = |error| ReloadError::new("", Phase::Run, error);
        let limits = modules::with(lua, |modules| modules.limits).map_err(internal)?;
        // What this transaction holds on to does not count.
        let extra = lua.used_memory().saturating_sub(self.used);
        let limit = limits.memory + extra;
        let _ = lua.set_memory_limit(if limits.memory == 0 { 0 } else { limit });
        let result = {
            let _frozen = Frozen::hold(frozen.clone());
            let _budget = Budget::arm(lua, limits.instructions).map_err(internal)?;
            run()
        };
        let _ = lua.set_memory_limit(0);
        result
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let limit = modules::with(&self.lua, |modules| modules.limits.memory);
        let _ = self.lua.set_memory_limit(limit.unwrap_or(0));
        self.lua.gc_restart();
    }
}
