//! The state of Lua while the engine works on it.

use mlua::Lua;

use crate::coroutines::Frozen;
use crate::error::{Phase, ReloadError};
use crate::modules;
use crate::raw::AddressSet;
use crate::sandbox::Budget;

/// Stops the collector while the engine works on the heap, and lifts the limit of memory: a
/// walk must not fail.
pub(crate) struct Quiet {
    lua: Lua,
    /// Bytes in use before.
    used: usize,
}

/// Bytes that the collector may fall behind by, at least.
const BEHIND: usize = 4 << 20;

impl Quiet {
    pub(crate) fn new(lua: &Lua) -> Self {
        let unseen = modules::with(lua, |modules| modules.unseen).unwrap_or(0);
        if unseen > (lua.used_memory() / 2).max(BEHIND) {
            // Nobody had it catch up, see `Domain::collect_some`.
            let _ = lua.gc_collect();
            let _ = modules::with(lua, |modules| modules.unseen = 0);
        }
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
        let more = self.lua.used_memory().saturating_sub(self.used);
        let limit = modules::with(&self.lua, |modules| {
            modules.unseen += more;
            modules.limits.memory
        });
        let _ = self.lua.set_memory_limit(limit.unwrap_or(0));
        self.lua.gc_restart();
    }
}
