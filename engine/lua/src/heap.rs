//! The walk over everything that a Lua state reaches.
//!
//! A [`Visitor`] sees every reference: entries of tables, metatables, captured variables,
//! user values, the stacks of coroutines. It may put another value in its place. References
//! that Rust code holds (`mlua` handles) lie on the stack of a Lua thread in the registry
//! and are seen like any other.
//!
//! The walk calls no user code, and no error of Lua can come out of it while there is no
//! limit of memory: nothing it does can raise another one.

use std::ffi::c_int;
use std::mem::MaybeUninit;

use mlua::ffi;

use crate::entries::{self, Entry};
use crate::layout::{is_marked, mark, unmark};
use crate::raw::{Address, AddressSet, State, has_references};

/// A value as the walk saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Nil,
    Boolean(bool),
    Integer(i64),
    /// Bits, so that all of them equal themselves.
    Float(u64),
    Light(Address),
    /// By address.
    Object(Address),
    /// What refers to nothing, where that is not asked for.
    Ignored,
}

/// Where in an object a reference lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Key,
    Value,
    Metatable,
    /// Captured variable, with the identity of its cell; 0 for C functions, which have none.
    Upvalue(c_int, Address),
    UserValue(c_int),
    /// Local, argument or intermediate value of a suspended function.
    Local,
    /// The function that a frame of a coroutine runs; stays whatever the visitor says.
    Frame,
    /// Value on a thread's stack outside of any function.
    Stack,
    /// Metatable that all values of a basic type share.
    TypeMetatable(c_int),
}

/// What looks at a heap.
pub(crate) trait Visitor {
    /// Whether [`Visitor::replace`] is called.
    const REPLACES: bool;
    /// Whether `entry` and `slot` are called, and strings kept like other objects.
    const RECORDS: bool;

    /// A reference, at the top of the stack. Returns whether it put another value there.
    ///
    /// # Safety
    /// The stack has room for ten more values; the visitor leaves its height as it was.
    unsafe fn replace(&mut self, _lua: State, _place: Place) -> bool {
        false
    }

    /// Whether [`Visitor::replace`] has something to do with references to a function in Lua
    /// that the walk has met. (Other objects that are replaced are never met; a function is
    /// when a coroutine runs it.)
    ///
    /// # Safety
    /// There is such a function at that address, alive.
    unsafe fn is_concerned(&self, _function: Address) -> bool {
        false
    }

    /// An entry of a table.
    fn entry(&mut self, _owner: u32, _key: Seen, _value: Seen) {}

    /// Another reference.
    fn slot(&mut self, _owner: u32, _place: Place, _value: Seen) {}
}

/// The objects that a walk found, in its order. Place 0 is place 1 of the anchors.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) addresses: Vec<Address>,
    /// Type of each object (`LUA_TTABLE`, ...).
    pub(crate) kinds: Vec<u8>,
    /// Userdata and functions in C: their address is not that of their header, so they
    /// cannot be marked.
    unmarked: AddressSet,
}

impl Found {
    /// Room for so many objects.
    fn with_capacity(objects: usize) -> Self {
        Self {
            addresses: Vec::with_capacity(objects),
            kinds: Vec::with_capacity(objects),
            unmarked: AddressSet::default(),
        }
    }

    /// Takes the marks of all objects away that have one.
    ///
    /// # Safety
    /// All objects are alive and the collector is stopped.
    unsafe fn unmark(&self) {
        for address in &self.addresses {
            if !self.unmarked.contains(address) {
                // SAFETY: as the caller says.
                unsafe { unmark(*address) };
            }
        }
    }

    /// Places of the objects in this walk that are not in an earlier one.
    ///
    /// # Safety
    /// The objects of both are alive, this walk was made last and has left its marks, and the
    /// collector is stopped.
    unsafe fn not_in(&self, before: &Self) -> Vec<u32> {
        let mut new = Vec::new();
        // SAFETY: as the caller says.
        unsafe {
            before.unmark();
            for (place, address) in self.addresses.iter().enumerate() {
                let is_new = if self.unmarked.contains(address) {
                    !before.unmarked.contains(address)
                } else {
                    unmark(*address)
                };
                if is_new {
                    new.push(place as u32);
                }
            }
        }
        new
    }
}

/// Types whose values share a metatable.
const SHARED: [c_int; 7] = [
    ffi::LUA_TNIL,
    ffi::LUA_TBOOLEAN,
    ffi::LUA_TLIGHTUSERDATA,
    ffi::LUA_TNUMBER,
    ffi::LUA_TSTRING,
    ffi::LUA_TFUNCTION,
    ffi::LUA_TTHREAD,
];

/// Walks over all that is reachable. The table at index `anchors` gets all objects found, so
/// that none of them is collected as long as it lives. `skip` are tables that are left out,
/// `expected` is how many objects there may be.
///
/// # Safety
/// `lua` is the main thread, at rest but for the calling function; nothing else uses the
/// state; the collector is stopped; there is an empty table at the absolute index `anchors`.
pub(crate) unsafe fn walk<V: Visitor>(
    lua: State,
    anchors: c_int,
    expected: usize,
    skip: &AddressSet,
    visitor: &mut V,
) -> Found {
    // SAFETY: as the caller says.
    unsafe {
        let found = walk_and_mark(lua, anchors, expected, skip, visitor);
        found.unmark();
        found
    }
}

/// Walks over all that is reachable for what is not in an earlier walk. Returns what it found,
/// and the places in it of what is new.
///
/// # Safety
/// As for [`walk`], and all objects of `before` are alive.
pub(crate) unsafe fn walk_for_new(
    lua: State,
    anchors: c_int,
    before: &Found,
    skip: &AddressSet,
) -> (Found, Vec<u32>) {
    struct Look;
    impl Visitor for Look {
        const REPLACES: bool = false;
        const RECORDS: bool = false;
    }
    // SAFETY: as the caller says.
    unsafe {
        let found = walk_and_mark(lua, anchors, before.kinds.len(), skip, &mut Look);
        let new = found.not_in(before);
        (found, new)
    }
}

/// As [`walk`], and leaves a mark in all objects.
///
/// # Safety
/// As for [`walk`].
unsafe fn walk_and_mark<V: Visitor>(
    lua: State,
    anchors: c_int,
    expected: usize,
    skip: &AddressSet,
    visitor: &mut V,
) -> Found {
    let mut walk = Walk {
        lua,
        anchors,
        visitor,
        found: Found::with_capacity(expected),
    };
    for table in skip {
        // SAFETY: they are tables that the caller holds.
        unsafe { mark(*table) };
    }
    // SAFETY: as the caller says.
    unsafe {
        ffi::lua_checkstack(lua, 40);
        let top = ffi::lua_gettop(lua);
        ffi::lua_pushvalue(lua, ffi::LUA_REGISTRYINDEX);
        walk.see(-1, ffi::LUA_TTABLE);
        for kind in SHARED {
            ffi::lua_settop(lua, top);
            push_sample(lua, kind);
            if ffi::lua_getmetatable(lua, -1) == 0 {
                ffi::lua_pushnil(lua);
            }
            if walk.meet(0, Place::TypeMetatable(kind)) {
                ffi::lua_setmetatable(lua, -2);
            }
        }
        let mut next = 0;
        while next < walk.found.kinds.len() {
            let is_table = c_int::from(walk.found.kinds[next]) == ffi::LUA_TTABLE;
            if is_table && walk.quick_table(next as u32, walk.found.addresses[next]) {
                next += 1;
                continue;
            }
            ffi::lua_settop(lua, top);
            ffi::lua_rawgeti(lua, anchors, next as ffi::lua_Integer + 1);
            walk.enter(next as u32, c_int::from(walk.found.kinds[next]));
            next += 1;
        }
        ffi::lua_settop(lua, top);
    }
    for table in skip {
        // SAFETY: as above.
        unsafe { unmark(*table) };
    }
    walk.found
}

/// Shows a visitor the references in some objects, without going on from there. The objects
/// are those with these numbers (from 0) in the table at index `objects`.
///
/// # Safety
/// As for [`walk`].
pub(crate) unsafe fn visit_each<V: Visitor>(
    lua: State,
    anchors: c_int,
    objects: c_int,
    numbers: &[u32],
    visitor: &mut V,
) {
    let mut walk = Walk {
        lua,
        anchors,
        visitor,
        found: Found::default(),
    };
    // SAFETY: as the caller says.
    unsafe {
        ffi::lua_checkstack(lua, 40);
        for number in numbers {
            ffi::lua_rawgeti(lua, objects, ffi::lua_Integer::from(*number) + 1);
            walk.enter(*number, ffi::lua_type(lua, -1));
            ffi::lua_pop(lua, 1);
        }
        walk.found.unmark();
    }
}

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

struct Walk<'a, V> {
    lua: State,
    anchors: c_int,
    visitor: &'a mut V,
    found: Found,
}

// SAFETY of all below: [`walk`] was called as it demands, so `lua` is ours alone, and has room for
// the few values that each function pushes and pops. All functions leave the stack's height
// as it was, but where they say otherwise.
impl<V: Visitor> Walk<'_, V> {
    /// Meets all references in the object at the top of the stack.
    unsafe fn enter(&mut self, number: u32, kind: c_int) {
        // SAFETY: see above.
        unsafe {
            match kind {
                ffi::LUA_TTABLE => self.table(number),
                ffi::LUA_TFUNCTION => self.function(number),
                ffi::LUA_TUSERDATA => self.userdata(number),
                ffi::LUA_TTHREAD => self.thread(number),
                _ => {}
            }
        }
    }

    /// Takes note of a value; objects that are new are queued.
    unsafe fn see(&mut self, index: c_int, kind: c_int) -> Seen {
        if !V::RECORDS && !has_references(kind) {
            return Seen::Ignored;
        }
        // SAFETY: see above.
        unsafe {
            match kind {
                ffi::LUA_TNIL | ffi::LUA_TNONE => Seen::Nil,
                ffi::LUA_TBOOLEAN => Seen::Boolean(ffi::lua_toboolean(self.lua, index) != 0),
                ffi::LUA_TNUMBER if ffi::lua_isinteger(self.lua, index) != 0 => {
                    Seen::Integer(ffi::lua_tointeger(self.lua, index))
                }
                ffi::LUA_TNUMBER => Seen::Float(ffi::lua_tonumber(self.lua, index).to_bits()),
                ffi::LUA_TLIGHTUSERDATA => {
                    Seen::Light(ffi::lua_topointer(self.lua, index) as Address)
                }
                _ => self.see_object(index, kind),
            }
        }
    }

    unsafe fn see_object(&mut self, index: c_int, kind: c_int) -> Seen {
        // SAFETY: see above.
        unsafe {
            let address = ffi::lua_topointer(self.lua, index) as Address;
            let can_be_marked = kind != ffi::LUA_TUSERDATA
                && (kind != ffi::LUA_TFUNCTION || ffi::lua_iscfunction(self.lua, index) == 0);
            let is_new = if can_be_marked {
                mark(address)
            } else {
                self.found.unmarked.insert(address)
            };
            if is_new {
                let place = self.found.kinds.len() as ffi::lua_Integer + 1;
                ffi::lua_pushvalue(self.lua, index);
                ffi::lua_rawseti(self.lua, self.anchors, place);
                self.found.addresses.push(address);
                self.found.kinds.push(kind as u8);
            }
            Seen::Object(address)
        }
    }

    /// A reference at the top of the stack. Returns whether there is another value now.
    unsafe fn meet(&mut self, owner: u32, place: Place) -> bool {
        // SAFETY: see above.
        unsafe {
            let kind = ffi::lua_type(self.lua, -1);
            let replaced =
                V::REPLACES && has_references(kind) && self.visitor.replace(self.lua, place);
            let seen = self.see(-1, kind);
            if V::RECORDS {
                self.visitor.slot(owner, place, seen);
            }
            replaced
        }
    }

    /// The metatable of the object at the top of the stack.
    unsafe fn metatable(&mut self, owner: u32) {
        // SAFETY: see above.
        unsafe {
            if ffi::lua_getmetatable(self.lua, -1) == 0 {
                return;
            }
            if self.meet(owner, Place::Metatable) {
                ffi::lua_setmetatable(self.lua, -2);
            } else {
                ffi::lua_pop(self.lua, 1);
            }
        }
    }

    /// Looks at a table in place. Returns false, having done nothing, if there is something
    /// in it that has to be met through the API.
    unsafe fn quick_table(&mut self, owner: u32, table: Address) -> bool {
        // SAFETY: see above; an object that was found is alive.
        unsafe {
            if entries::has_metatable(table) {
                return false;
            }
            let visitor = &*self.visitor;
            let is_known = |entry: Entry| match entry.seen() {
                Some(Seen::Object(_)) if !V::RECORDS && entry.is_string() => true,
                Some(Seen::Object(address)) => {
                    let is_function = entry.is_lua_function();
                    is_marked(address) && !(is_function && visitor.is_concerned(address))
                }
                Some(_) => true,
                None => false,
            };
            let all_known = entries::all(table, |key, value| is_known(key) && is_known(value));
            if all_known && V::RECORDS {
                entries::all(table, |key, value| {
                    if let (Some(key), Some(value)) = (key.seen(), value.seen()) {
                        self.visitor.entry(owner, key, value);
                    }
                    true
                });
            }
            all_known
        }
    }

    unsafe fn table(&mut self, owner: u32) {
        let lua = self.lua;
        let mut moved: ffi::lua_Integer = 0;
        // SAFETY: see above. Existing fields may be set during a traversal.
        unsafe {
            self.metatable(owner);
            let table = ffi::lua_absindex(lua, -1);
            // Keys that become others, and the others; made when there is one.
            ffi::lua_pushnil(lua);
            ffi::lua_pushnil(lua);
            while ffi::lua_next(lua, table) != 0 {
                let (key_kind, kind) = (ffi::lua_type(lua, -2), ffi::lua_type(lua, -1));
                if V::REPLACES && has_references(kind) && self.visitor.replace(lua, Place::Value) {
                    ffi::lua_pushvalue(lua, -2);
                    ffi::lua_pushvalue(lua, -2);
                    ffi::lua_rawset(lua, table);
                }
                if V::REPLACES && has_references(key_kind) {
                    ffi::lua_pushvalue(lua, -2);
                    if self.visitor.replace(lua, Place::Key) {
                        // Of the same type: functions become functions, tables tables.
                        self.see(-1, key_kind);
                        self.remember_key(table + 1, &mut moved);
                    }
                    ffi::lua_pop(lua, 1);
                }
                let (key, value) = (self.see(-2, key_kind), self.see(-1, kind));
                if V::RECORDS {
                    self.visitor.entry(owner, key, value);
                }
                ffi::lua_pop(lua, 1);
            }
            for number in 0..moved {
                self.move_entry(table, number);
            }
            ffi::lua_settop(lua, table);
        }
    }

    /// Old key at -3, its value at -2, new key at -1; `list` is where the table of moves lies.
    unsafe fn remember_key(&mut self, list: c_int, moved: &mut ffi::lua_Integer) {
        let lua = self.lua;
        // SAFETY: see above.
        unsafe {
            if *moved == 0 {
                ffi::lua_newtable(lua);
                ffi::lua_replace(lua, list);
            }
            ffi::lua_pushvalue(lua, -3);
            ffi::lua_rawseti(lua, list, *moved * 2 + 1);
            ffi::lua_pushvalue(lua, -1);
            ffi::lua_rawseti(lua, list, *moved * 2 + 2);
        }
        *moved += 1;
    }

    unsafe fn move_entry(&mut self, table: c_int, number: ffi::lua_Integer) {
        let lua = self.lua;
        // SAFETY: see above.
        unsafe {
            ffi::lua_rawgeti(lua, table + 1, number * 2 + 1);
            ffi::lua_pushvalue(lua, -1);
            ffi::lua_rawget(lua, table);
            ffi::lua_pushvalue(lua, -2);
            ffi::lua_pushnil(lua);
            ffi::lua_rawset(lua, table);
            ffi::lua_rawgeti(lua, table + 1, number * 2 + 2);
            ffi::lua_insert(lua, -2);
            ffi::lua_rawset(lua, table);
            ffi::lua_pop(lua, 1);
        }
    }

    unsafe fn function(&mut self, owner: u32) {
        let lua = self.lua;
        // SAFETY: see above. Cells exist for functions written in Lua alone.
        unsafe {
            let function = ffi::lua_absindex(lua, -1);
            let in_lua = ffi::lua_iscfunction(lua, function) == 0;
            let mut number = 1;
            while !ffi::lua_getupvalue(lua, function, number).is_null() {
                let cell = if in_lua {
                    ffi::lua_upvalueid(lua, function, number) as Address
                } else {
                    0
                };
                if self.meet(owner, Place::Upvalue(number, cell)) {
                    ffi::lua_setupvalue(lua, function, number);
                } else {
                    ffi::lua_pop(lua, 1);
                }
                number += 1;
            }
        }
    }

    unsafe fn userdata(&mut self, owner: u32) {
        let lua = self.lua;
        // SAFETY: see above.
        unsafe {
            self.metatable(owner);
            let mut number = 1;
            while ffi::lua_getiuservalue(lua, -1, number) != ffi::LUA_TNONE {
                if self.meet(owner, Place::UserValue(number)) {
                    ffi::lua_setiuservalue(lua, -2, number);
                } else {
                    ffi::lua_pop(lua, 1);
                }
                number += 1;
            }
            ffi::lua_pop(lua, 1);
        }
    }

    unsafe fn thread(&mut self, owner: u32) {
        let lua = self.lua;
        // SAFETY: see above. The thread is on the stack, so it lives; it does not run, as
        // the main thread does.
        unsafe {
            let thread = ffi::lua_tothread(lua, -1);
            if thread == lua || ffi::lua_checkstack(thread, 4) == 0 {
                return;
            }
            let mut frame = MaybeUninit::<ffi::lua_Debug>::zeroed().assume_init();
            if ffi::lua_getstack(thread, 0, &raw mut frame) == 0 {
                return self.plain_stack(owner, thread);
            }
            let mut level = 0;
            while ffi::lua_getstack(thread, level, &raw mut frame) != 0 {
                ffi::lua_getinfo(thread, c"f".as_ptr(), &raw mut frame);
                ffi::lua_xmove(thread, lua, 1);
                self.meet(owner, Place::Frame);
                ffi::lua_pop(lua, 1);
                for step in [1, -1] {
                    let mut local = step;
                    while !ffi::lua_getlocal(thread, &raw const frame, local).is_null() {
                        ffi::lua_xmove(thread, lua, 1);
                        if self.meet(owner, Place::Local) {
                            ffi::lua_xmove(lua, thread, 1);
                            ffi::lua_setlocal(thread, &raw const frame, local);
                        } else {
                            ffi::lua_pop(lua, 1);
                        }
                        local += step;
                    }
                }
                level += 1;
            }
        }
    }

    /// A thread that is in no function: one that never ran, has ended, or only holds values.
    unsafe fn plain_stack(&mut self, owner: u32, thread: State) {
        let lua = self.lua;
        // SAFETY: see above.
        unsafe {
            for index in 1..=ffi::lua_gettop(thread) {
                ffi::lua_pushvalue(thread, index);
                ffi::lua_xmove(thread, lua, 1);
                if self.meet(owner, Place::Stack) {
                    ffi::lua_xmove(lua, thread, 1);
                    ffi::lua_replace(thread, index);
                } else {
                    ffi::lua_pop(lua, 1);
                }
            }
        }
    }
}
