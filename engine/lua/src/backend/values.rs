//! Dynamic values of the engine as values of Lua, and back.

use std::collections::BTreeMap;

use engine_api::value::Value;
use mlua::state::RawLua;
use mlua::{Lua, ffi};

use crate::call::{Answer, Arguments};
use crate::raw::State;

/// Tables in tables that are read, at most: one that holds itself ends there.
const DEEPEST: usize = 32;

/// A value as Lua has it. Lists are tables from 1 on, maps tables with names.
pub(super) fn to_lua(lua: &Lua, value: &Value) -> mlua::Result<mlua::Value> {
    Ok(match value {
        Value::Unit => mlua::Value::Nil,
        Value::Bool(value) => mlua::Value::Boolean(*value),
        Value::Int(value) => mlua::Value::Integer(*value),
        Value::Float(value) => mlua::Value::Number(*value),
        Value::Str(value) => mlua::Value::String(lua.create_string(value)?),
        Value::List(values) => {
            let values = values.iter().map(|value| to_lua(lua, value));
            let values: Vec<mlua::Value> = values.collect::<mlua::Result<_>>()?;
            mlua::Value::Table(lua.create_sequence_from(values)?)
        }
        Value::Map(values) => {
            let table = lua.create_table()?;
            for (name, value) in values {
                table.raw_set(name.as_str(), to_lua(lua, value)?)?;
            }
            mlua::Value::Table(table)
        }
    })
}

impl Arguments for &[Value] {
    unsafe fn push(&self, lua: &Lua, locked: &RawLua, state: State) -> mlua::Result<()> {
        for value in *self {
            // SAFETY: the caller has made room; none of these raises an error of Lua.
            unsafe {
                match value {
                    Value::Unit => ffi::lua_pushnil(state),
                    Value::Bool(value) => ffi::lua_pushboolean(state, i32::from(*value)),
                    Value::Int(value) => ffi::lua_pushinteger(state, *value),
                    Value::Float(value) => ffi::lua_pushnumber(state, *value),
                    Value::Str(_) | Value::List(_) | Value::Map(_) => {
                        locked.push_value(&to_lua(lua, value)?)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.len()
    }
}

impl Answer for Value {
    unsafe fn take(locked: &RawLua, state: State) -> mlua::Result<Self> {
        // SAFETY: as the caller says.
        unsafe {
            match ffi::lua_type(state, -1) {
                ffi::LUA_TNIL => Ok(Self::Unit),
                ffi::LUA_TBOOLEAN => Ok(Self::Bool(ffi::lua_toboolean(state, -1) != 0)),
                ffi::LUA_TNUMBER if ffi::lua_isinteger(state, -1) != 0 => {
                    Ok(Self::Int(ffi::lua_tointeger(state, -1)))
                }
                ffi::LUA_TNUMBER => Ok(Self::Float(ffi::lua_tonumber(state, -1))),
                _ => from_lua(&locked.pop_value()),
            }
        }
    }
}

/// A value of Lua as the engine has it. Tables with entries from 1 on are lists, others maps;
/// an empty one is an empty list.
///
/// # Errors
/// For functions and other values that are no data, and for tables that hold themselves.
pub(super) fn from_lua(value: &mlua::Value) -> mlua::Result<Value> {
    read(value, DEEPEST)
}

fn read(value: &mlua::Value, deeper: usize) -> mlua::Result<Value> {
    Ok(match value {
        mlua::Value::Nil => Value::Unit,
        mlua::Value::Boolean(value) => Value::Bool(*value),
        mlua::Value::Integer(value) => Value::Int(*value),
        mlua::Value::Number(value) => Value::Float(*value),
        mlua::Value::String(value) => Value::Str(value.to_string_lossy()),
        mlua::Value::Table(table) => {
            let Some(deeper) = deeper.checked_sub(1) else {
                let message = format!("a table has more than {DEEPEST} tables in it, or itself");
                return Err(mlua::Error::runtime(message));
            };
            let length = table.raw_len();
            let entries = table.pairs::<mlua::Value, mlua::Value>();
            let entries: Vec<_> = entries.collect::<mlua::Result<_>>()?;
            if entries.len() == length {
                let values = (1..=length).map(|index| read(&table.raw_get(index)?, deeper));
                return Ok(Value::List(values.collect::<mlua::Result<_>>()?));
            }
            let mut values = BTreeMap::new();
            for (key, value) in entries {
                let name = match key {
                    mlua::Value::String(name) => name.to_string_lossy(),
                    mlua::Value::Integer(number) => number.to_string(),
                    other => {
                        let message = format!("a {} cannot be a key", other.type_name());
                        return Err(mlua::Error::runtime(message));
                    }
                };
                values.insert(name, read(&value, deeper)?);
            }
            Value::Map(values)
        }
        other => {
            let message = format!("a {} is no data", other.type_name());
            return Err(mlua::Error::runtime(message));
        }
    })
}
