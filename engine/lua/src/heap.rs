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
use crate::raw::{Address, AddressSet, SHARED, State, has_references, push_sample};

/// Where in an object a reference lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Key,
    Value,
    Metatable,
    /// Captured variable.
    Upvalue,
    UserValue,
    /// Local, argument or intermediate value of a suspended function.
    Local,
    /// The function that a frame of a coroutine runs; stays whatever the visitor says.
    Frame,
    /// Value on a thread's stack outside of any function.
    Stack,
    /// Metatable that all values of a basic type share.
    TypeMetatable,
}

/// What looks at a heap.
pub(crate) trait Visitor {
    /// A reference, at the top of the stack. Returns whether it put another value there.
    ///
    /// # Safety
    /// The stack has room for ten more values; the visitor leaves its height as it was.
    unsafe fn replace(&mut self, lua: State, place: Place) -> bool;

    /// Whether [`Visitor::replace`] has something to do with references to a function in Lua
    /// that the walk has met. (Other objects that are replaced are never met; a function is
    /// when a coroutine runs it.)
    ///
    /// # Safety
    /// There is such a function at that address, alive.
    unsafe fn is_concerned(&self, _function: Address) -> bool {
        false
    }
}

/// The objects that a walk found, in its order. Place 0 is place 1 of the anchors.
#[derive(Default)]
struct Found {
    addresses: Vec<Address>,
    /// Type of each object (`LUA_TTABLE`, ...).
    kinds: Vec<u8>,
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
}

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
) {
    let mut walk = Walk {
        lua,
        anchors,
        visitor,
        follows: true,
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
        ffi::lua_settop(lua, top);
        walk.type_metatables();
        let mut next = 0;
        while next < walk.found.kinds.len() {
            let is_table = c_int::from(walk.found.kinds[next]) == ffi::LUA_TTABLE;
            if !is_table || !walk.quick_table(walk.found.addresses[next]) {
                ffi::lua_settop(lua, top);
                ffi::lua_rawgeti(lua, anchors, next as ffi::lua_Integer + 1);
                walk.enter(c_int::from(walk.found.kinds[next]));
            }
            next += 1;
        }
        ffi::lua_settop(lua, top);
        walk.found.unmark();
    }
    for table in skip {
        // SAFETY: as above.
        unsafe { unmark(*table) };
    }
}

/// Shows a visitor the references in the object at the top of the stack, without going on from
/// there.
///
/// # Safety
/// As for [`walk`], without anchors; there is room for forty values.
pub(crate) unsafe fn visit<V: Visitor>(lua: State, visitor: &mut V) {
    let mut walk = Walk::of_one(lua, visitor);
    // SAFETY: as the caller says.
    unsafe { walk.enter(ffi::lua_type(lua, -1)) };
}

/// Shows a visitor the metatables that all values of a type share.
///
/// # Safety
/// As for [`visit`].
pub(crate) unsafe fn visit_type_metatables<V: Visitor>(lua: State, visitor: &mut V) {
    // SAFETY: as the caller says.
    unsafe { Walk::of_one(lua, visitor).type_metatables() };
}

struct Walk<'a, V> {
    lua: State,
    anchors: c_int,
    visitor: &'a mut V,
    /// Whether it goes on from what it meets.
    follows: bool,
    found: Found,
}

// SAFETY of all below: [`walk`] was called as it demands, so `lua` is ours alone, and has room for
// the few values that each function pushes and pops. All functions leave the stack's height
// as it was, but where they say otherwise.
impl<'a, V: Visitor> Walk<'a, V> {
    fn of_one(lua: State, visitor: &'a mut V) -> Self {
        Self {
            lua,
            anchors: 0,
            visitor,
            follows: false,
            found: Found::default(),
        }
    }

    /// Meets all references in the object at the top of the stack.
    unsafe fn enter(&mut self, kind: c_int) {
        // SAFETY: see above.
        unsafe {
            match kind {
                ffi::LUA_TTABLE => self.table(),
                ffi::LUA_TFUNCTION => self.function(),
                ffi::LUA_TUSERDATA => self.userdata(),
                ffi::LUA_TTHREAD => self.thread(),
                _ => {}
            }
        }
    }

    /// Meets the metatables that all values of a type share.
    unsafe fn type_metatables(&mut self) {
        let lua = self.lua;
        // SAFETY: see above.
        unsafe {
            let top = ffi::lua_gettop(lua);
            for kind in SHARED {
                push_sample(lua, kind);
                if ffi::lua_getmetatable(lua, -1) != 0 && self.meet(Place::TypeMetatable) {
                    ffi::lua_setmetatable(lua, -2);
                }
                ffi::lua_settop(lua, top);
            }
        }
    }

    /// Takes note of a value; objects that are new are queued.
    unsafe fn see(&mut self, index: c_int, kind: c_int) {
        if !self.follows || !has_references(kind) {
            return;
        }
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
        }
    }

    /// A reference at the top of the stack. Returns whether there is another value now.
    unsafe fn meet(&mut self, place: Place) -> bool {
        // SAFETY: see above.
        unsafe {
            let kind = ffi::lua_type(self.lua, -1);
            let replaced = has_references(kind) && self.visitor.replace(self.lua, place);
            self.see(-1, kind);
            replaced
        }
    }

    /// The metatable of the object at the top of the stack.
    unsafe fn metatable(&mut self) {
        // SAFETY: see above.
        unsafe {
            if ffi::lua_getmetatable(self.lua, -1) == 0 {
                return;
            }
            if self.meet(Place::Metatable) {
                ffi::lua_setmetatable(self.lua, -2);
            } else {
                ffi::lua_pop(self.lua, 1);
            }
        }
    }

    /// Looks at a table in place. Returns false, having done nothing, if there is something
    /// in it that has to be met through the API.
    unsafe fn quick_table(&mut self, table: Address) -> bool {
        // SAFETY: see above; an object that was found is alive.
        unsafe {
            if entries::metatable(table) != 0 {
                return false;
            }
            let visitor = &*self.visitor;
            let is_known = |entry: Entry| match entry.holder() {
                None => true,
                // Of userdata and functions in C it is not known.
                Some(address) if entry.can_be_marked() => {
                    let is_function = entry.is_lua_function();
                    is_marked(address) && !(is_function && visitor.is_concerned(address))
                }
                Some(_) => false,
            };
            entries::all(table, |key, value| is_known(key) && is_known(value))
        }
    }

    unsafe fn table(&mut self) {
        let lua = self.lua;
        let mut moved: ffi::lua_Integer = 0;
        // SAFETY: see above. Existing fields may be set during a traversal.
        unsafe {
            self.metatable();
            let table = ffi::lua_absindex(lua, -1);
            // Keys that become others, and the others; made when there is one.
            ffi::lua_pushnil(lua);
            ffi::lua_pushnil(lua);
            while ffi::lua_next(lua, table) != 0 {
                let (key_kind, kind) = (ffi::lua_type(lua, -2), ffi::lua_type(lua, -1));
                if has_references(kind) && self.visitor.replace(lua, Place::Value) {
                    ffi::lua_pushvalue(lua, -2);
                    ffi::lua_pushvalue(lua, -2);
                    ffi::lua_rawset(lua, table);
                }
                if has_references(key_kind) {
                    ffi::lua_pushvalue(lua, -2);
                    if self.visitor.replace(lua, Place::Key) {
                        // Of the same type: functions become functions, tables tables.
                        self.see(-1, key_kind);
                        self.remember_key(table + 1, &mut moved);
                    }
                    ffi::lua_pop(lua, 1);
                }
                self.see(-2, key_kind);
                self.see(-1, kind);
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

    unsafe fn function(&mut self) {
        let lua = self.lua;
        // SAFETY: see above.
        unsafe {
            let function = ffi::lua_absindex(lua, -1);
            let mut number = 1;
            while !ffi::lua_getupvalue(lua, function, number).is_null() {
                if self.meet(Place::Upvalue) {
                    ffi::lua_setupvalue(lua, function, number);
                } else {
                    ffi::lua_pop(lua, 1);
                }
                number += 1;
            }
        }
    }

    unsafe fn userdata(&mut self) {
        let lua = self.lua;
        // SAFETY: see above.
        unsafe {
            self.metatable();
            let mut number = 1;
            while ffi::lua_getiuservalue(lua, -1, number) != ffi::LUA_TNONE {
                if self.meet(Place::UserValue) {
                    ffi::lua_setiuservalue(lua, -2, number);
                } else {
                    ffi::lua_pop(lua, 1);
                }
                number += 1;
            }
            ffi::lua_pop(lua, 1);
        }
    }

    unsafe fn thread(&mut self) {
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
                return self.plain_stack(thread);
            }
            let mut level = 0;
            while ffi::lua_getstack(thread, level, &raw mut frame) != 0 {
                ffi::lua_getinfo(thread, c"f".as_ptr(), &raw mut frame);
                ffi::lua_xmove(thread, lua, 1);
                self.meet(Place::Frame);
                ffi::lua_pop(lua, 1);
                for step in [1, -1] {
                    let mut local = step;
                    while !ffi::lua_getlocal(thread, &raw const frame, local).is_null() {
                        ffi::lua_xmove(thread, lua, 1);
                        if self.meet(Place::Local) {
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
    unsafe fn plain_stack(&mut self, thread: State) {
        let lua = self.lua;
        // SAFETY: see above.
        unsafe {
            for index in 1..=ffi::lua_gettop(thread) {
                ffi::lua_pushvalue(thread, index);
                ffi::lua_xmove(thread, lua, 1);
                if self.meet(Place::Stack) {
                    ffi::lua_xmove(lua, thread, 1);
                    ffi::lua_replace(thread, index);
                } else {
                    ffi::lua_pop(lua, 1);
                }
            }
        }
    }
}
