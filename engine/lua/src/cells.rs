//! Functions and the variables that they capture. A *cell* is such a variable: closures and
//! running functions that share it see each other's changes.

use std::ffi::{CStr, c_int};

use mlua::ffi;
use mlua::{Function, Lua, MultiValue, Value};

use crate::layout::{self, ProtoId, ProtoNode};
use crate::raw::{Address, is_lua_function, pointer_address};

/// A captured variable of one function.
#[derive(Debug, Clone)]
pub(crate) struct Upvalue {
    pub(crate) name: String,
    /// Identity of the cell while a function has it.
    pub(crate) cell: Address,
    pub(crate) value: Value,
}

/// What a function written in Lua captures, in its order.
pub(crate) fn upvalues(lua: &Lua, function: &Function) -> mlua::Result<Vec<Upvalue>> {
    // SAFETY: the function is the only value on the stack; at most 255 captures, three
    // values each.
    let flat: MultiValue = unsafe {
        lua.exec_raw(function, |lua| {
            ffi::lua_checkstack(lua, 800);
            let mut number = 1;
            if is_lua_function(lua, 1) {
                loop {
                    let name = ffi::lua_getupvalue(lua, 1, number);
                    if name.is_null() {
                        break;
                    }
                    ffi::lua_pushstring(lua, name);
                    ffi::lua_pushlightuserdata(lua, ffi::lua_upvalueid(lua, 1, number));
                    number += 1;
                }
            }
            ffi::lua_remove(lua, 1);
        })?
    };
    let mut values = flat.into_iter();
    let mut found = Vec::new();
    while let (Some(value), Some(name), Some(cell)) = (values.next(), values.next(), values.next())
    {
        found.push(Upvalue {
            name: name.to_string()?,
            cell: pointer_address(cell.to_pointer()),
            value,
        });
    }
    Ok(found)
}

/// Makes capture `number` of `function` the same cell as capture `of_number` of `of`.
pub(crate) fn join(
    lua: &Lua,
    function: &Function,
    number: usize,
    of: &Function,
    of_number: usize,
) -> mlua::Result<()> {
    // SAFETY: both are functions in Lua with so many captures, as `upvalues` counted them.
    unsafe {
        lua.exec_raw((function, of), |lua| {
            ffi::lua_upvaluejoin(lua, 1, number as c_int + 1, 2, of_number as c_int + 1);
            ffi::lua_settop(lua, 0);
        })
    }
}

/// Sets the cell that is capture `number` of `function`.
pub(crate) fn set(
    lua: &Lua,
    function: &Function,
    number: usize,
    value: &Value,
) -> mlua::Result<()> {
    // SAFETY: as for `join`.
    unsafe {
        lua.exec_raw((function, value), |lua| {
            ffi::lua_setupvalue(lua, 1, number as c_int + 1);
            ffi::lua_settop(lua, 0);
        })
    }
}

/// What the cell that is capture `number` of `function` holds.
pub(crate) fn get(lua: &Lua, function: &Function, number: usize) -> mlua::Result<Value> {
    // SAFETY: as for `join`.
    unsafe {
        lua.exec_raw(function, |lua| {
            ffi::lua_getupvalue(lua, 1, number as c_int + 1);
            ffi::lua_remove(lua, 1);
        })
    }
}

/// The prototype of a function; `None` for those that are not written in Lua.
pub(crate) fn proto(lua: &Lua, function: &Function) -> mlua::Result<Option<ProtoId>> {
    let mut found = None;
    // SAFETY: the function is on the stack, and a Lua function when it is looked at.
    unsafe {
        lua.exec_raw::<()>(function, |lua| {
            if is_lua_function(lua, 1) {
                found = Some(layout::proto_of(lua, 1));
            }
            ffi::lua_settop(lua, 0);
        })?;
    }
    Ok(found)
}

/// All prototypes of a chunk.
pub(crate) fn protos(lua: &Lua, main: &Function) -> mlua::Result<Vec<ProtoNode>> {
    let mut found = Vec::new();
    // SAFETY: `main` came out of the compiler.
    unsafe {
        lua.exec_raw::<()>(main, |lua| {
            found = layout::read_protos(lua, 1);
            ffi::lua_settop(lua, 0);
        })?;
    }
    Ok(found)
}

/// Compiles a text. Never bytecode.
pub(crate) fn compile(lua: &Lua, name: &CStr, text: &[u8]) -> mlua::Result<Function> {
    lua.load(text)
        .set_name(name.to_string_lossy())
        .set_mode(mlua::chunk::ChunkMode::Text)
        .into_function()
}
