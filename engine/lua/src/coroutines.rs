//! `coroutine.resume`, `wrap` and `close` as scripts have them.
//!
//! They do what those of Lua do, and two things more: while a reload may still fail,
//! coroutines from before it are [`Frozen`], because a step of one cannot be taken back; and
//! the watchdog is told which coroutine runs.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};

use mlua::ffi;
use mlua::{Lua, Table, Value};

use crate::raw::{AddressSet, State, pointer_address};
use crate::watchdog;

thread_local! {
    static FROZEN: RefCell<Option<AddressSet>> = const { RefCell::new(None) };
}

/// Keeps coroutines from being resumed, until dropped.
pub(crate) struct Frozen;

impl Frozen {
    /// These coroutines wait.
    pub(crate) fn hold(coroutines: AddressSet) -> Self {
        FROZEN.set(Some(coroutines));
        Self
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        FROZEN.set(None);
    }
}

/// Replaces the functions of Lua's library.
pub(crate) fn install(lua: &Lua) -> mlua::Result<()> {
    let library: Table = lua.globals().raw_get("coroutine")?;
    for (name, function) in [
        ("resume", resume as ffi::lua_CFunction),
        ("wrap", wrap),
        ("close", close),
    ] {
        let original: Value = library.raw_get(name)?;
        // SAFETY: the library's functions are C functions without captured values.
        let function: Value = unsafe {
            lua.exec_raw(original, |lua| {
                let original = ffi::lua_tocfunction(lua, 1);
                let pointer = original.map_or(std::ptr::null_mut(), |f| f as *mut c_void);
                ffi::lua_pushlightuserdata(lua, pointer);
                ffi::lua_remove(lua, 1);
                ffi::lua_pushcclosure(lua, function, 1);
            })?
        };
        library.raw_set(name, function)?;
    }
    Ok(())
}

/// Calls the function of the library that a closure of [`install`] replaces.
///
/// # Safety
/// Called by such a closure.
unsafe fn original(lua: State) -> c_int {
    // SAFETY: the captured pointer was a C function; it gets the same stack.
    unsafe {
        let pointer = ffi::lua_touserdata(lua, ffi::lua_upvalueindex(1));
        let function = std::mem::transmute::<*mut c_void, ffi::lua_CFunction>(pointer);
        function(lua)
    }
}

/// # Safety
/// Called from a C function; raises an error of Lua if the coroutine waits.
unsafe fn refuse_frozen(lua: State, coroutine: State) {
    let frozen = FROZEN.with_borrow(|frozen| {
        frozen
            .as_ref()
            .is_some_and(|held| held.contains(&pointer_address(coroutine.cast())))
    });
    if frozen {
        // SAFETY: as the caller says; nothing here needs to be dropped.
        unsafe {
            ffi::luaL_error(
                lua,
                c"a coroutine from before the reload cannot go on while modules are loaded"
                    .as_ptr(),
            );
        }
    }
}

/// `auxresume` of `lcorolib.c`: the number of results, which are on the stack, or `None` with
/// the error there.
///
/// # Safety
/// Called from a C function, with `arguments` values for the coroutine on top of the stack.
unsafe fn run(lua: State, coroutine: State, arguments: c_int) -> Option<c_int> {
    // SAFETY: as in Lua's own; `lua_resume` raises no errors, so what was entered is left.
    unsafe {
        refuse_frozen(lua, coroutine);
        if ffi::lua_checkstack(coroutine, arguments) == 0 {
            ffi::lua_pushstring(lua, c"too many arguments to resume".as_ptr());
            return None;
        }
        ffi::lua_xmove(lua, coroutine, arguments);
        let mut results = 0;
        let before = watchdog::enter(coroutine);
        let status = ffi::lua_resume(coroutine, lua, arguments, &raw mut results);
        watchdog::enter(before);
        if status != ffi::LUA_OK && status != ffi::LUA_YIELD {
            ffi::lua_xmove(coroutine, lua, 1);
            return None;
        }
        if ffi::lua_checkstack(lua, results + 1) == 0 {
            ffi::lua_pop(coroutine, results);
            ffi::lua_pushstring(lua, c"too many results to resume".as_ptr());
            return None;
        }
        ffi::lua_xmove(coroutine, lua, results);
        Some(results)
    }
}

unsafe extern "C-unwind" fn resume(lua: State) -> c_int {
    // SAFETY: as `luaB_coresume` of `lcorolib.c`.
    unsafe {
        let coroutine = ffi::lua_tothread(lua, 1);
        if coroutine.is_null() {
            return original(lua);
        }
        match run(lua, coroutine, ffi::lua_gettop(lua) - 1) {
            None => {
                ffi::lua_pushboolean(lua, 0);
                ffi::lua_insert(lua, -2);
                2
            }
            Some(results) => {
                ffi::lua_pushboolean(lua, 1);
                ffi::lua_insert(lua, -(results + 1));
                results + 1
            }
        }
    }
}

unsafe extern "C-unwind" fn wrap(lua: State) -> c_int {
    // SAFETY: `coroutine.wrap` gives a C function that has the coroutine as its only captured
    // value; so has `wrapped`.
    unsafe {
        original(lua);
        ffi::lua_getupvalue(lua, -1, 1);
        ffi::lua_pushcclosure(lua, wrapped, 1);
        1
    }
}

unsafe extern "C-unwind" fn wrapped(lua: State) -> c_int {
    // SAFETY: as `auxwrap` of `lcorolib.c`.
    unsafe {
        let coroutine = ffi::lua_tothread(lua, ffi::lua_upvalueindex(1));
        if let Some(results) = run(lua, coroutine, ffi::lua_gettop(lua)) {
            return results;
        }
        let mut status = ffi::lua_status(coroutine);
        if status != ffi::LUA_OK && status != ffi::LUA_YIELD {
            // What it had to close may raise another error.
            status = ffi::lua_closethread(coroutine, lua);
            ffi::lua_xmove(coroutine, lua, 1);
        }
        if status != ffi::LUA_ERRMEM && ffi::lua_type(lua, -1) == ffi::LUA_TSTRING {
            ffi::luaL_where(lua, 1);
            ffi::lua_insert(lua, -2);
            ffi::lua_concat(lua, 2);
        }
        ffi::lua_error(lua)
    }
}

unsafe extern "C-unwind" fn close(lua: State) -> c_int {
    // SAFETY: made by `install`.
    unsafe {
        refuse_frozen(lua, ffi::lua_tothread(lua, 1));
        original(lua)
    }
}
