//! Reading tables in place, for the walk: most tables refer to nothing that the walk has not
//! met, and finding that out through the API costs more than all else.
//!
//! The structs are those of `lobject.h` of the vendored Lua 5.4, as in [`crate::layout`];
//! [`check`] compares them with what the API says, once for each state.

use std::ffi::{c_int, c_uint, c_void};

use mlua::ffi;

use crate::heap::Seen;
use crate::raw::{Address, State};

/// `TValue`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Slot {
    bits: u64,
    tag: u8,
}

/// `Node`: the value, and the key with its parts where there is room.
#[repr(C)]
struct Node {
    bits: u64,
    tag: u8,
    key_tag: u8,
    next: c_int,
    key_bits: u64,
}

/// `Table`.
#[repr(C)]
struct Table {
    next: *mut c_void,
    kind: u8,
    marked: u8,
    flags: u8,
    node_bits: u8,
    limit: c_uint,
    array: *const Slot,
    nodes: *const Node,
    last_free: *const Node,
    metatable: *const Table,
}

/// `BITRAS`: `limit` is not the size of the array.
const LIMIT_IS_A_HINT: u8 = 1 << 7;

const NUMBER_INTEGER: u8 = 0x03;
const STRING: u8 = ffi::LUA_TSTRING as u8;
const LUA_FUNCTION: u8 = ffi::LUA_TFUNCTION as u8;
/// `BIT_ISCOLLECTABLE`.
const COLLECTABLE: u8 = 1 << 6;

/// A key or value in a table.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    bits: u64,
    tag: u8,
}

impl Entry {
    /// As the walk sees it, if it is no object, or one that can be marked.
    pub(crate) fn seen(self) -> Option<Seen> {
        // The upper bits tell variants of a type apart.
        Some(match self.tag & !COLLECTABLE {
            0x00 | 0x10 | 0x20 => Seen::Nil,
            0x01 => Seen::Boolean(false),
            0x11 => Seen::Boolean(true),
            NUMBER_INTEGER => Seen::Integer(self.bits as i64),
            0x13 => Seen::Float(self.bits),
            0x02 => Seen::Light(self.bits as Address),
            // Short and long strings, tables, functions in Lua, threads.
            0x04 | 0x14 | 0x05 | 0x06 | 0x08 => Seen::Object(self.bits as Address),
            _ => return None,
        })
    }

    pub(crate) fn is_string(self) -> bool {
        self.tag & 0x0f == STRING
    }

    pub(crate) fn is_lua_function(self) -> bool {
        self.tag == LUA_FUNCTION | COLLECTABLE
    }
}

/// Whether a table has a metatable.
///
/// # Safety
/// At `table` is a table that is alive, in a state that passed [`check`].
pub(crate) unsafe fn has_metatable(table: Address) -> bool {
    // SAFETY: as the caller says.
    unsafe { !(*(table as *const Table)).metatable.is_null() }
}

/// Shows the entries of a table in the order of `next`, until `each` says no. Returns whether
/// it never did.
///
/// # Safety
/// As for [`has_metatable`], and `each` does not change the table.
pub(crate) unsafe fn all(table: Address, mut each: impl FnMut(Entry, Entry) -> bool) -> bool {
    // SAFETY: as the caller says. The array has `size` slots, there are two to the power
    // of `node_bits` nodes.
    unsafe {
        let table = &*(table as *const Table);
        let size = if table.flags & LIMIT_IS_A_HINT == 0 {
            table.limit
        } else {
            table.limit.next_power_of_two()
        };
        for index in 0..size as usize {
            let slot = *table.array.add(index);
            if is_nil(slot.tag) {
                continue;
            }
            let key = Entry {
                bits: index as u64 + 1,
                tag: NUMBER_INTEGER,
            };
            let value = Entry {
                bits: slot.bits,
                tag: slot.tag,
            };
            if !each(key, value) {
                return false;
            }
        }
        for index in 0..1usize << table.node_bits {
            let node = &*table.nodes.add(index);
            if is_nil(node.tag) {
                continue;
            }
            let key = Entry {
                bits: node.key_bits,
                tag: node.key_tag,
            };
            let value = Entry {
                bits: node.bits,
                tag: node.tag,
            };
            if !each(key, value) {
                return false;
            }
        }
    }
    true
}

/// Nil and the two kinds of absent: the lower half tells the type.
fn is_nil(tag: u8) -> bool {
    i32::from(tag & 0x0f) == ffi::LUA_TNIL
}

/// Whether the structs above are those of the Lua that is linked: some tables are read in both
/// ways.
///
/// # Safety
/// Runs in a protected call with room for ten more values, in a state that passed
/// [`crate::layout::check`].
pub(crate) unsafe fn check(lua: State) -> bool {
    const PROBE: &std::ffi::CStr = c"
        local function f() end
        local grown = {}
        for i = 1, 128 do grown[i] = i end
        for i = 71, 128 do if i ~= 120 then grown[i] = nil end end
        -- From here on the limit of the array is what the length was, not its size.
        local length = #grown
        return {}, { 1, 2.5, 'three', true, false, f, print },
            { a = 1, b = 'text', [2.5] = {}, [true] = f, [f] = print, [-1] = ('x'):rep(50) },
            { 1, 2, nil, 4, x = coroutine.create(f) }, grown, setmetatable({}, {})";
    // SAFETY: `PROBE` compiles and returns six tables; the stack is left as it was.
    unsafe {
        let top = ffi::lua_gettop(lua);
        if ffi::luaL_loadstring(lua, PROBE.as_ptr()) != ffi::LUA_OK
            || ffi::lua_pcall(lua, 0, 6, 0) != ffi::LUA_OK
        {
            ffi::lua_settop(lua, top);
            return false;
        }
        let mut fits = has_metatable(ffi::lua_topointer(lua, -1) as Address);
        for index in top + 1..=top + 6 {
            fits = fits && is_read_the_same(lua, index);
        }
        ffi::lua_settop(lua, top);
        fits
    }
}

/// Whether a table at an absolute index reads the same in both ways.
///
/// # Safety
/// As for [`check`].
unsafe fn is_read_the_same(lua: State, index: c_int) -> bool {
    let mut read: Vec<(Option<Seen>, Option<Seen>)> = Vec::new();
    // SAFETY: as the caller says.
    unsafe {
        let table = ffi::lua_topointer(lua, index) as Address;
        all(table, |key, value| {
            read.push((key.seen(), value.seen()));
            true
        });
        let mut read = read.into_iter();
        let mut fits = true;
        ffi::lua_pushnil(lua);
        while ffi::lua_next(lua, index) != 0 {
            let expected = (through_api(lua, -2), through_api(lua, -1));
            fits = fits && read.next() == Some(expected);
            ffi::lua_pop(lua, 1);
        }
        fits && read.next().is_none()
    }
}

/// What [`Entry::seen`] should say of the value at `index`.
///
/// # Safety
/// As for [`check`].
unsafe fn through_api(lua: State, index: c_int) -> Option<Seen> {
    // SAFETY: as the caller says.
    unsafe {
        Some(match ffi::lua_type(lua, index) {
            ffi::LUA_TBOOLEAN => Seen::Boolean(ffi::lua_toboolean(lua, index) != 0),
            ffi::LUA_TNUMBER if ffi::lua_isinteger(lua, index) != 0 => {
                Seen::Integer(ffi::lua_tointeger(lua, index))
            }
            ffi::LUA_TNUMBER => Seen::Float(ffi::lua_tonumber(lua, index).to_bits()),
            ffi::LUA_TFUNCTION if ffi::lua_iscfunction(lua, index) != 0 => return None,
            _ => Seen::Object(ffi::lua_topointer(lua, index) as Address),
        })
    }
}
