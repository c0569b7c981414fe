//! What scripts are given of Lua, and what stops them.
//!
//! - Libraries: basic functions, `coroutine`, `table`, `string`, `utf8`, `math`, and of `os`
//!   what tells the time. No `io`, `debug`, no libraries in C, no bytecode.
//! - Memory: a limit for all modules of one state.
//! - A [`Budget`] of instructions while the engine runs code of a reload. Its hook costs
//!   time, so nothing else runs under it.
//! - [`crate::coroutines`] that existed before a reload wait while it may fail.

use std::cell::Cell;
use std::ffi::c_int;

use mlua::ffi;
use mlua::{Lua, LuaOptions, StdLib};

use crate::coroutines;
use crate::entries;
use crate::layout;
use crate::objects;
use crate::raw::State;

/// Instructions between two looks at the budget.
const STEP: c_int = 1000;

/// Takes away what scripts must not have, in Lua because it is shortest there.
const PRELUDE: &str = r#"
    local load, collectgarbage, os, string = load, collectgarbage, os, string
    _G.dofile, _G.loadfile, string.dump = nil, nil, nil
    -- Text alone: bytecode is not checked by Lua and can crash it.
    function _G.load(chunk, name, mode, ...)
        return load(chunk, name, "t", ...)
    end
    -- Nothing, so often that it would take years, is a loop within C, which cannot be ended.
    local rep = string.rep
    function string.rep(text, count, between)
        if text == "" and (between == nil or between == "") then count = 0 end
        return rep(text, count, between)
    end
    -- Reading is harmless; when to collect is the engine's decision.
    function _G.collectgarbage(what)
        return what == "count" and collectgarbage("count") or 0
    end
    _G.os = { time = os.time, clock = os.clock, date = os.date, difftime = os.difftime }
    local loaded = {}
    for _, name in ipairs { "_G", "coroutine", "table", "string", "utf8", "math", "os" } do
        loaded[name] = _G[name]
    end
    _G.package = { loaded = loaded }
"#;

/// A state with the libraries that scripts may use, and no modules.
///
/// # Errors
/// If the linked Lua is another one than this crate was written for.
pub(crate) fn new_state(memory_limit: usize) -> mlua::Result<Lua> {
    let libraries = StdLib::COROUTINE
        | StdLib::TABLE
        | StdLib::STRING
        | StdLib::UTF8
        | StdLib::MATH
        | StdLib::OS;
    let lua = Lua::new_with(libraries, LuaOptions::default())?;
    let mut fits = false;
    // SAFETY: `exec_raw` is a protected call with an empty stack.
    unsafe {
        lua.exec_raw::<()>((), |lua| {
            ffi::lua_checkstack(lua, 20);
            fits = layout::check(lua) && entries::check(lua) && objects::check(lua);
        })?;
    }
    if !fits {
        return Err(mlua::Error::runtime(
            "this engine was built for Lua 5.4, and another Lua is linked; build it again with \
             the vendored one",
        ));
    }
    lua.load(PRELUDE).set_name("=engine").exec()?;
    coroutines::install(&lua)?;
    objects::install(&lua)?;
    lua.set_memory_limit(memory_limit)?;
    Ok(lua)
}

thread_local! {
    /// Steps that are left; `None` while no budget is armed.
    static BUDGET: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Ends code that runs too long, until dropped.
pub(crate) struct Budget<'a> {
    lua: &'a Lua,
}

impl<'a> Budget<'a> {
    /// Allows about so many instructions to what this thread runs from now on.
    pub(crate) fn arm(lua: &'a Lua, instructions: u64) -> mlua::Result<Self> {
        BUDGET.set(Some(instructions / STEP as u64));
        set_hook(lua, Some(on_count))?;
        Ok(Self { lua })
    }
}

impl Drop for Budget<'_> {
    fn drop(&mut self) {
        BUDGET.set(None);
        // Coroutines that were made meanwhile have the hook too, and drop it when it runs.
        let _ = set_hook(self.lua, None);
    }
}

fn set_hook(lua: &Lua, hook: Option<ffi::lua_Hook>) -> mlua::Result<()> {
    let mask = if hook.is_some() {
        ffi::LUA_MASKCOUNT
    } else {
        0
    };
    // SAFETY: the hook is a function of this file, and `lua` is alive.
    unsafe { lua.exec_raw((), |lua| ffi::lua_sethook(lua, hook, mask, STEP)) }
}

unsafe extern "C-unwind" fn on_count(lua: State, _: *mut ffi::lua_Debug) {
    match BUDGET.get() {
        // SAFETY: Lua calls hooks with the thread that runs.
        None => unsafe { ffi::lua_sethook(lua, None, 0, 0) },
        // SAFETY: hooks may raise errors; nothing here needs to be dropped. From now on each
        // instruction raises one: `pcall` in a loop would go on for ever.
        Some(0) => unsafe {
            ffi::lua_sethook(lua, Some(on_count), ffi::LUA_MASKCOUNT, 1);
            ffi::luaL_error(
                lua,
                c"ran for too long while it was loaded; is there a loop that does not end?"
                    .as_ptr(),
            );
        },
        Some(left) => BUDGET.set(Some(left - 1)),
    }
}
