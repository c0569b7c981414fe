//! Small helpers over Lua's C API, shared by all that walks the heap.

use std::collections::{HashMap, HashSet};
use std::ffi::{c_int, c_void};
use std::hash::{BuildHasherDefault, Hasher};

use mlua::ffi;

/// A Lua thread, as the C API has it.
pub(crate) type State = *mut ffi::lua_State;

/// The address of a collectable value: its identity while it is alive.
pub(crate) type Address = usize;

/// Hashes addresses: they differ in their middle bits, a multiplication spreads these.
#[derive(Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

pub(crate) type AddressMap<V> = HashMap<Address, V, BuildHasherDefault<AddressHasher>>;
pub(crate) type AddressSet = HashSet<Address, BuildHasherDefault<AddressHasher>>;

/// The address of the value at `index`, or 0 for one that is not collectable.
///
/// # Safety
/// `index` is a valid index of `lua`.
pub(crate) unsafe fn address(lua: State, index: c_int) -> Address {
    // SAFETY: as the caller says.
    unsafe {
        match ffi::lua_type(lua, index) {
            ffi::LUA_TSTRING
            | ffi::LUA_TTABLE
            | ffi::LUA_TFUNCTION
            | ffi::LUA_TUSERDATA
            | ffi::LUA_TTHREAD => ffi::lua_topointer(lua, index) as Address,
            _ => 0,
        }
    }
}

/// Whether the value at `index` is a function written in Lua.
///
/// # Safety
/// `index` is a valid index of `lua`.
pub(crate) unsafe fn is_lua_function(lua: State, index: c_int) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        ffi::lua_type(lua, index) == ffi::LUA_TFUNCTION && ffi::lua_iscfunction(lua, index) == 0
    }
}

/// Whether a value of this type refers to others, so that a walk has to enter it.
pub(crate) fn has_references(kind: c_int) -> bool {
    matches!(
        kind,
        ffi::LUA_TTABLE | ffi::LUA_TFUNCTION | ffi::LUA_TUSERDATA | ffi::LUA_TTHREAD
    )
}

/// The address that a light userdata or a cell's identity has.
pub(crate) fn pointer_address(pointer: *const c_void) -> Address {
    pointer as Address
}

/// Types whose values share a metatable.
pub(crate) const SHARED: [c_int; 7] = [
    ffi::LUA_TNIL,
    ffi::LUA_TBOOLEAN,
    ffi::LUA_TLIGHTUSERDATA,
    ffi::LUA_TNUMBER,
    ffi::LUA_TSTRING,
    ffi::LUA_TFUNCTION,
    ffi::LUA_TTHREAD,
];

/// Pushes any value of a type.
///
/// # Safety
/// Room for one value; `kind` is one of [`SHARED`].
pub(crate) unsafe fn push_sample(lua: State, kind: c_int) {
    unsafe extern "C-unwind" fn nothing(_: State) -> c_int {
        0
    }
    // SAFETY: as the caller says.
    unsafe {
        match kind {
            ffi::LUA_TBOOLEAN => ffi::lua_pushboolean(lua, 0),
            ffi::LUA_TLIGHTUSERDATA => ffi::lua_pushlightuserdata(lua, std::ptr::null_mut()),
            ffi::LUA_TNUMBER => ffi::lua_pushinteger(lua, 0),
            ffi::LUA_TSTRING => {
                ffi::lua_pushlstring(lua, c"".as_ptr(), 0);
            }
            ffi::LUA_TFUNCTION => ffi::lua_pushcfunction(lua, nothing),
            ffi::LUA_TTHREAD => {
                ffi::lua_pushthread(lua);
            }
            _ => ffi::lua_pushnil(lua),
        }
    }
}
