//! All objects of a state, in the order of Lua's own lists, the newest first.
//!
//! Lua keeps each collectable object in one of two lists: those with finalizers, and all others.
//! New objects come to the front. So an object that was just made leads to all that are older,
//! and two such objects have between them what was made in the meantime. Following the lists is
//! several times faster than following references, and finds garbage too. Only garbage whose
//! finalizer is due at the moment is in neither list.
//!
//! The structs are those of `lobject.h` of the vendored Lua 5.4; [`check`] compares them with what
//! the API says, once for each state.

use std::ffi::{c_int, c_ushort, c_void};

use mlua::ffi;
use mlua::{Lua, Table, Value};

use crate::entries::{self, Entry};
use crate::layout::Header;
use crate::raw::{Address, State, pointer_address};

/// `WHITEBITS` of `lgc.h`.
const WHITE: u8 = 0b0001_1000;

/// `FINALIZEDBIT` of `lgc.h`.
const HAS_FINALIZER: u8 = 1 << 6;

/// Name of the metatable of marks in Lua's registry.
const MARKS: &str = "engine marks";

/// What an object is, by its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Table,
    LuaFunction,
    CFunction,
    Userdata,
    Thread,
    /// Captured variables and prototypes, which no value refers to.
    Inner,
}

/// A collectable object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object {
    /// Of its header; for userdata the API gives another.
    pub(crate) address: Address,
    tag: u8,
    /// Whether it was met in the list of those with finalizers.
    pub(crate) has_finalizer: bool,
}

impl Object {
    pub(crate) fn kind(self) -> Kind {
        match self.tag {
            0x04 | 0x14 => Kind::Text,
            0x05 => Kind::Table,
            0x06 => Kind::LuaFunction,
            0x26 => Kind::CFunction,
            0x07 => Kind::Userdata,
            0x08 => Kind::Thread,
            _ => Kind::Inner,
        }
    }

    /// The object that a value refers to; strings are none here.
    pub(crate) fn of(value: Entry) -> Option<Self> {
        let address = value.holder()?;
        Some(Self {
            address,
            tag: value.object_tag(),
            has_finalizer: false,
        })
    }

    /// The object as a value.
    pub(crate) fn value(self) -> Entry {
        Entry::object(self.address, self.tag)
    }
}

/// `LClosure`, up to its captures.
#[repr(C)]
struct LuaFunction {
    next: *mut c_void,
    tag: u8,
    marked: u8,
    captures: u8,
    gray: *mut c_void,
    proto: *const c_void,
    cells: [*const Cell; 0],
}

/// `UpVal`.
#[repr(C)]
struct Cell {
    header: Header,
    value: *const Entry,
}

/// `CClosure`.
#[repr(C)]
struct CFunction {
    next: *mut c_void,
    tag: u8,
    marked: u8,
    captures: u8,
    gray: *mut c_void,
    function: *const c_void,
    values: [Entry; 0],
}

/// `Udata`.
#[repr(C)]
struct Userdata {
    next: *mut c_void,
    tag: u8,
    marked: u8,
    value_count: c_ushort,
    length: usize,
    metatable: *const c_void,
    gray: *mut c_void,
    values: [Entry; 0],
}

/// A moment of a state: which objects there were.
pub(crate) struct Moment {
    /// The front of the list of ordinary objects then; has the front of the other one as its
    /// first element.
    mark: Table,
    fronts: [Address; 2],
    /// The mark that garbage has which is about to be freed, and may refer to what is freed.
    dead: u8,
}

/// Makes marks known to a state.
pub(crate) fn install(lua: &Lua) -> mlua::Result<()> {
    unsafe extern "C-unwind" fn nothing(_: State) -> c_int {
        0
    }
    let metatable = lua.create_table()?;
    // SAFETY: the function does nothing.
    metatable.raw_set("__gc", unsafe { lua.create_c_function(nothing)? })?;
    lua.set_named_registry_value(MARKS, metatable)
}

impl Moment {
    /// This moment. The collector must be stopped, and stay so as long as this is used.
    ///
    /// # Errors
    /// If there is no memory.
    pub(crate) fn now(lua: &Lua) -> mlua::Result<Self> {
        let metatable: Table = lua.named_registry_value(MARKS)?;
        // SAFETY: a protected call; all that is pushed fits.
        let mark: Table = unsafe {
            lua.exec_raw(metatable, |lua| {
                ffi::lua_createtable(lua, 1, 0);
                ffi::lua_newuserdatauv(lua, 0, 0);
                ffi::lua_pushvalue(lua, 1);
                ffi::lua_setmetatable(lua, -2);
                ffi::lua_rawseti(lua, -2, 1);
                ffi::lua_remove(lua, 1);
            })?
        };
        let plain = pointer_address(mark.to_pointer());
        // SAFETY: the table was just made, with that one element.
        let (finalized, marked) = unsafe {
            let finalized = entries::first(plain).address();
            (finalized, (*(plain as *const Header)).marked)
        };
        Ok(Self {
            mark,
            fronts: [plain, finalized],
            dead: !marked & WHITE,
        })
    }

    /// The table that marks it.
    pub(crate) fn mark(&self) -> &Table {
        &self.mark
    }

    /// Shows the objects that there were.
    ///
    /// # Safety
    /// The state has passed [`check`], and nothing of it is used by others. `each` makes no objects
    /// into such with finalizers.
    pub(crate) unsafe fn each(&self, each: impl FnMut(Object)) {
        // SAFETY: as the caller says.
        unsafe { self.follow([0, 0], self.dead, each) };
    }

    /// Shows the objects of an earlier moment that there still are. The collector may have run in
    /// between, where memory ran out: that swaps its marks.
    ///
    /// # Safety
    /// As for [`Moment::each`].
    pub(crate) unsafe fn each_of(&self, earlier: &Self, each: impl FnMut(Object)) {
        // SAFETY: as the caller says; marks stay in their lists.
        unsafe { earlier.follow([0, 0], self.dead, each) };
    }

    /// Shows the objects that were made since another moment, and those that were given a
    /// finalizer.
    ///
    /// # Safety
    /// As for [`Moment::each`].
    pub(crate) unsafe fn each_since(&self, earlier: &Self, each: impl FnMut(Object)) {
        // SAFETY: as the caller says; marks stay in their lists.
        unsafe { self.follow(earlier.fronts, self.dead, each) };
    }

    unsafe fn follow(&self, ends: [Address; 2], dead: u8, mut each: impl FnMut(Object)) {
        for (front, end) in self.fronts.into_iter().zip(ends) {
            // SAFETY: the lists end with null, and have live objects and such garbage as is
            // told apart by its mark.
            unsafe {
                let mut next = (*(front as *const Header)).next as Address;
                while next != end && next != 0 {
                    let header = &*(next as *const Header);
                    if header.marked & dead == 0 {
                        each(Object {
                            address: next,
                            tag: header.tag,
                            has_finalizer: header.marked & HAS_FINALIZER != 0,
                        });
                    }
                    next = header.next as Address;
                }
            }
        }
    }
}

/// A captured variable: its identity, and its value.
pub(crate) struct CellAt {
    pub(crate) cell: Address,
    pub(crate) value: Entry,
}

/// The variables that a function written in Lua has captured, in their order.
///
/// # Safety
/// There is such a function at that address, alive, in a state that passed [`check`].
pub(crate) unsafe fn cells(function: Address) -> impl Iterator<Item = CellAt> {
    // SAFETY: as the caller says. A function that is being made has no cells yet.
    unsafe {
        let function = function as *const LuaFunction;
        let cells = (&raw const (*function).cells).cast::<*const Cell>();
        (0..usize::from((*function).captures)).filter_map(move |number| {
            let cell = (*cells.add(number)).as_ref()?;
            Some(CellAt {
                cell: std::ptr::from_ref(cell) as Address,
                value: *cell.value,
            })
        })
    }
}

/// The values that a function written in C has.
///
/// # Safety
/// As for [`cells`], with a function in C that has values.
pub(crate) unsafe fn c_values(function: Address) -> impl Iterator<Item = Entry> {
    // SAFETY: as the caller says.
    unsafe {
        let function = function as *const CFunction;
        let values = (&raw const (*function).values).cast::<Entry>();
        (0..usize::from((*function).captures)).map(move |number| *values.add(number))
    }
}

/// The metatable of a userdata, 0 for none, and its user values.
///
/// # Safety
/// As for [`cells`], with a userdata; the address is that of its header.
pub(crate) unsafe fn userdata(at: Address) -> (Address, impl Iterator<Item = Entry>) {
    // SAFETY: as the caller says.
    unsafe {
        let at = at as *const Userdata;
        let values = (&raw const (*at).values).cast::<Entry>();
        let values = (0..usize::from((*at).value_count)).map(move |number| *values.add(number));
        ((*at).metatable as Address, values)
    }
}

/// Shows the values that an object refers to, but for those on the stacks of threads. Stops when
/// `each` says no; returns whether it never did.
///
/// # Safety
/// The object is alive, in a state that passed [`check`]; `each` does not change it.
pub(crate) unsafe fn references(object: Object, mut each: impl FnMut(Entry) -> bool) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        match object.kind() {
            Kind::Table => {
                let metatable = entries::metatable(object.address);
                (metatable == 0 || each(Entry::table(metatable)))
                    && entries::all(object.address, |key, value| each(key) && each(value))
            }
            Kind::LuaFunction => cells(object.address).all(|cell| each(cell.value)),
            Kind::CFunction => c_values(object.address).all(each),
            Kind::Userdata => {
                let (metatable, mut values) = userdata(object.address);
                (metatable == 0 || each(Entry::table(metatable))) && values.all(each)
            }
            Kind::Text | Kind::Thread | Kind::Inner => true,
        }
    }
}

/// Pushes objects by their address.
pub(crate) struct Pusher {
    table: Table,
}

impl Pusher {
    /// A pusher; it is an object itself.
    ///
    /// # Errors
    /// If there is no memory.
    pub(crate) fn new(lua: &Lua) -> mlua::Result<Self> {
        let table = lua.create_table_with_capacity(1, 0)?;
        table.raw_set(1, Value::Boolean(false))?;
        Ok(Self { table })
    }

    /// Where it lies.
    pub(crate) fn address(&self) -> Address {
        pointer_address(self.table.to_pointer())
    }

    /// The table that has to lie on the stack for [`push`].
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }
}

/// Pushes a value as it was read in place.
///
/// # Safety
/// The state has passed [`check`], and room for one value; at the absolute index `pusher` lies the
/// table of a [`Pusher`]; an object is alive; the collector is stopped.
pub(crate) unsafe fn push(lua: State, pusher: c_int, value: Entry) {
    // SAFETY: the table has one element in its array. It refers to the object no longer than
    // until it is pushed, so the collector never sees that.
    unsafe {
        let table = ffi::lua_topointer(lua, pusher) as Address;
        entries::set_first(table, value);
        ffi::lua_rawgeti(lua, pusher, 1);
        entries::set_first(table, Entry::NOTHING);
    }
}

/// Reads the value at the top of the stack as it would lie in an object.
///
/// # Safety
/// As for [`push`].
pub(crate) unsafe fn read(lua: State, pusher: c_int) -> Entry {
    // SAFETY: the element is there, so setting it needs no memory.
    unsafe {
        ffi::lua_pushvalue(lua, -1);
        ffi::lua_rawseti(lua, pusher, 1);
        let table = ffi::lua_topointer(lua, pusher) as Address;
        let value = entries::first(table);
        entries::set_first(table, Entry::NOTHING);
        value
    }
}

/// Whether the structs above are those of the Lua that is linked.
///
/// # Safety
/// Runs in a protected call with room for ten more values, in a state that passed the checks of
/// [`crate::layout`] and [`crate::entries`].
pub(crate) unsafe fn check(lua: State) -> bool {
    unsafe extern "C-unwind" fn nothing(_: State) -> c_int {
        0
    }
    const PROBE: &std::ffi::CStr = c"local a, b = 1.5, {} return function() return a, b end";
    // SAFETY: `PROBE` compiles and returns a function; the stack is left as it was.
    unsafe {
        let top = ffi::lua_gettop(lua);
        // A table to read values in place from.
        ffi::lua_createtable(lua, 4, 0);
        let holder = ffi::lua_topointer(lua, -1) as Address;
        if ffi::luaL_loadstring(lua, PROBE.as_ptr()) != ffi::LUA_OK
            || ffi::lua_pcall(lua, 0, 1, 0) != ffi::LUA_OK
        {
            ffi::lua_settop(lua, top);
            return false;
        }
        let function = top + 2;
        ffi::lua_pushvalue(lua, function);
        ffi::lua_rawseti(lua, top + 1, 1);
        let found = entries::first(holder);
        let mut fits = found.address() == ffi::lua_topointer(lua, function) as Address;
        let values: Vec<CellAt> = if fits {
            cells(found.address()).collect()
        } else {
            Vec::new()
        };
        fits = fits && values.len() == 2;
        for (number, at) in (1..).zip(&values) {
            ffi::lua_getupvalue(lua, function, number);
            let id = ffi::lua_upvalueid(lua, function, number) as Address;
            fits = fits && at.cell == id && entries::is_at(lua, -1, at.value);
            ffi::lua_pop(lua, 1);
        }
        // A function in C with two values, and a userdata with as many and a metatable.
        ffi::lua_pushinteger(lua, 12);
        ffi::lua_pushvalue(lua, top + 1);
        ffi::lua_pushcclosure(lua, nothing, 2);
        ffi::lua_rawseti(lua, top + 1, 1);
        let values: Vec<Entry> = c_values(entries::first(holder).address()).take(3).collect();
        fits = fits && values.len() == 2 && values[1].address() == holder;
        ffi::lua_newuserdatauv(lua, 24, 2);
        ffi::lua_pushvalue(lua, top + 1);
        ffi::lua_setmetatable(lua, -2);
        ffi::lua_pushvalue(lua, function);
        ffi::lua_setiuservalue(lua, -2, 2);
        ffi::lua_rawseti(lua, top + 1, 1);
        let at = entries::first(holder).address();
        let (metatable, values) = userdata(at);
        let values: Vec<Entry> = values.take(3).collect();
        fits = fits
            && metatable == holder
            && values.len() == 2
            && values[1].address() == ffi::lua_topointer(lua, function) as Address;
        // What is made later leads to what was made before.
        ffi::lua_createtable(lua, 0, 0);
        ffi::lua_createtable(lua, 0, 0);
        let header = ffi::lua_topointer(lua, -1).cast::<Header>();
        fits = fits && (*header).next.cast_const() == ffi::lua_topointer(lua, -2);
        let white = (*header).marked & WHITE;
        fits = fits && white.is_power_of_two();
        ffi::lua_settop(lua, top);
        fits
    }
}
