//! Reading tables in place, for the walk: most tables refer to nothing that the walk has not
//! met, and finding that out through the API costs more than all else.
//!
//! The structs are those of `lobject.h` of the vendored Lua 5.4, as in [`crate::layout`];
//! [`check`] compares them with what the API says, once for each state.

use std::ffi::{c_int, c_uint, c_void};
use std::ops::Range;

use mlua::ffi;

use crate::raw::{Address, State};

/// `Node`: the value, and the key with its parts where there is room.
#[repr(C)]
#[derive(Clone, Copy)]
struct Node {
    bits: u64,
    tag: u8,
    key_tag: u8,
    next: c_int,
    key_bits: u64,
}

impl Node {
    fn key(&self) -> Entry {
        Entry {
            bits: self.key_bits,
            tag: self.key_tag,
        }
    }

    fn value(&self) -> Entry {
        Entry {
            bits: self.bits,
            tag: self.tag,
        }
    }

    /// Whether this has the same entry.
    fn is(&self, other: &Self) -> bool {
        let both_empty = is_nil(self.tag) && is_nil(other.tag);
        both_empty || (self.value().is(other.value()) && self.key().is(other.key()))
    }
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
    array: *mut Entry,
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

/// `TValue`: a value as it lies in an object.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    bits: u64,
    tag: u8,
}

impl Entry {
    /// A value that refers to nothing.
    pub(crate) const NOTHING: Self = Self {
        bits: 0,
        tag: ffi::LUA_TBOOLEAN as u8,
    };

    /// An object as a value; `tag` is that of the object.
    pub(crate) fn object(address: Address, tag: u8) -> Self {
        Self {
            bits: address as u64,
            tag: tag | COLLECTABLE,
        }
    }

    fn integer(value: u64) -> Self {
        Self {
            bits: value,
            tag: NUMBER_INTEGER,
        }
    }

    /// A table as a value.
    pub(crate) fn table(address: Address) -> Self {
        Self::object(address, ffi::LUA_TTABLE as u8)
    }

    /// The header of the object that this refers to; 0 if it is none.
    pub(crate) fn address(self) -> Address {
        if self.tag & COLLECTABLE == 0 {
            0
        } else {
            self.bits as Address
        }
    }

    /// The object that this refers to, unless that is a string, which refers to nothing.
    pub(crate) fn holder(self) -> Option<Address> {
        let is_one = self.tag & COLLECTABLE != 0 && !self.is_string();
        is_one.then_some(self.bits as Address)
    }

    /// The tag of the object that this refers to.
    pub(crate) fn object_tag(self) -> u8 {
        self.tag & !COLLECTABLE
    }

    /// Whether this is the very same value.
    pub(crate) fn is(self, other: Self) -> bool {
        // Nil, true and false have no bits that mean something.
        let has_bits = !matches!(self.tag & 0x0f, 0x00 | 0x01);
        self.tag == other.tag && (!has_bits || self.bits == other.bits)
    }

    /// Whether the API gives the address of the object's header.
    pub(crate) fn can_be_marked(self) -> bool {
        matches!(self.tag & !COLLECTABLE, 0x04 | 0x14 | 0x05 | 0x06 | 0x08)
    }

    /// What it is, to compare it with what the API says; `None` for what that gives no address of.
    fn seen(self) -> Option<Seen> {
        // The upper bits tell variants of a type apart.
        Some(match self.tag & !COLLECTABLE {
            0x00 | 0x10 | 0x20 => Seen::Nil,
            0x01 => Seen::Boolean(false),
            0x11 => Seen::Boolean(true),
            NUMBER_INTEGER => Seen::Integer(self.bits as i64),
            0x13 => Seen::Float(self.bits),
            // Short and long strings, tables, functions in Lua, threads.
            _ if self.can_be_marked() => Seen::Object(self.bits as Address),
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

/// The metatable of a table; 0 if it has none.
///
/// # Safety
/// At `table` is a table that is alive, in a state that passed [`check`].
pub(crate) unsafe fn metatable(table: Address) -> Address {
    // SAFETY: as the caller says.
    unsafe { (*(table as *const Table)).metatable as Address }
}

/// The first element of the array of a table that has one.
///
/// # Safety
/// As for [`metatable`]; the table was made with an array.
pub(crate) unsafe fn first(table: Address) -> Entry {
    // SAFETY: as the caller says.
    unsafe { *(*(table as *const Table)).array }
}

/// Sets that element, without telling the collector.
///
/// # Safety
/// As for [`first`]; the collector does not run while it refers to an object that way.
pub(crate) unsafe fn set_first(table: Address, value: Entry) {
    // SAFETY: as the caller says.
    unsafe { *(*(table as *const Table)).array = value };
}

/// Fills the array of a table, without telling the collector.
///
/// # Safety
/// As for [`metatable`]; the table was just made, by a collector that is stopped, with an array of
/// at least that size and no entries.
pub(crate) unsafe fn fill(table: Address, values: &[Entry]) {
    // SAFETY: as the caller says. A new table is not marked yet, so it may refer to what is not.
    unsafe {
        let array = (*(table as *const Table)).array;
        array.copy_from_nonoverlapping(values.as_ptr(), values.len());
    }
}

/// A table as it was.
pub(crate) struct Image {
    pub(crate) table: Address,
    /// 0 for none.
    pub(crate) metatable: Address,
    array: Address,
    nodes: Address,
    /// Where its slots and its nodes are.
    slots_at: Range<usize>,
    nodes_at: Range<usize>,
}

/// Tables as they were, close together: most of a snapshot's time is writing them.
#[derive(Default)]
pub(crate) struct Images {
    all: Vec<Image>,
    slots: Vec<Entry>,
    nodes: Vec<Node>,
}

impl Images {
    /// With room for so many objects, most of which are tables.
    pub(crate) fn with_capacity(objects: usize) -> Self {
        Self {
            all: Vec::with_capacity(objects),
            slots: Vec::with_capacity(objects),
            nodes: Vec::with_capacity(objects * 4),
        }
    }

    pub(crate) fn all(&self) -> &[Image] {
        &self.all
    }

    /// Records a table.
    ///
    /// # Safety
    /// As for [`metatable`].
    pub(crate) unsafe fn push(&mut self, table: Address) {
        let (slots_from, nodes_from) = (self.slots.len(), self.nodes.len());
        // SAFETY: as the caller says.
        unsafe {
            let (slots, nodes) = parts(table);
            self.slots.extend_from_slice(slots);
            self.nodes.extend_from_slice(nodes);
            let now = &*(table as *const Table);
            self.all.push(Image {
                table,
                metatable: now.metatable as Address,
                array: now.array as Address,
                nodes: now.nodes as Address,
                slots_at: slots_from..self.slots.len(),
                nodes_at: nodes_from..self.nodes.len(),
            });
        }
    }

    /// Whether a table has the entries that it had, in the same places.
    ///
    /// # Safety
    /// As for [`metatable`], with the table of that image.
    pub(crate) unsafe fn is_same(&self, image: &Image) -> bool {
        // SAFETY: as the caller says.
        unsafe {
            let now = &*(image.table as *const Table);
            let (slots, nodes) = parts(image.table);
            let slots_before = &self.slots[image.slots_at.clone()];
            let nodes_before = &self.nodes[image.nodes_at.clone()];
            now.array as Address == image.array
                && now.nodes as Address == image.nodes
                && (slots.len(), nodes.len()) == (slots_before.len(), nodes_before.len())
                && slots
                    .iter()
                    .zip(slots_before)
                    .all(|(now, before)| now.is(*before))
                && nodes
                    .iter()
                    .zip(nodes_before)
                    .all(|(now, before)| now.is(before))
        }
    }

    /// Shows the entries that a table had.
    pub(crate) fn entries(&self, image: &Image, mut each: impl FnMut(Entry, Entry)) {
        for (index, value) in (1..).zip(&self.slots[image.slots_at.clone()]) {
            if !is_nil(value.tag) {
                each(Entry::integer(index), *value);
            }
        }
        for node in &self.nodes[image.nodes_at.clone()] {
            if !is_nil(node.tag) {
                each(node.key(), node.value());
            }
        }
    }
}

/// A table's array and nodes.
///
/// # Safety
/// As for [`metatable`]; the table does not change while these are used.
unsafe fn parts<'a>(table: Address) -> (&'a [Entry], &'a [Node]) {
    // SAFETY: as the caller says. The array has `size` slots, there are two to the power of
    // `node_bits` nodes.
    unsafe {
        let table = &*(table as *const Table);
        let slots = match size(table) as usize {
            0 => &[],
            size => std::slice::from_raw_parts(table.array, size),
        };
        let nodes = std::slice::from_raw_parts(table.nodes, 1usize << table.node_bits);
        (slots, nodes)
    }
}

/// Slots of a table's array.
fn size(table: &Table) -> u32 {
    if table.flags & LIMIT_IS_A_HINT == 0 {
        table.limit
    } else {
        table.limit.next_power_of_two()
    }
}

/// Shows the entries of a table in the order of `next`, until `each` says no. Returns whether
/// it never did.
///
/// # Safety
/// As for [`metatable`], and `each` does not change the table.
pub(crate) unsafe fn all(table: Address, mut each: impl FnMut(Entry, Entry) -> bool) -> bool {
    // SAFETY: as the caller says.
    let (slots, nodes) = unsafe { parts(table) };
    let mut slots = (1..).zip(slots).filter(|(_, value)| !is_nil(value.tag));
    let mut nodes = nodes.iter().filter(|node| !is_nil(node.tag));
    slots.all(|(index, value)| each(Entry::integer(index), *value))
        && nodes.all(|node| each(node.key(), node.value()))
}

/// A value, as both ways of reading tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nil,
    Boolean(bool),
    Integer(i64),
    /// Bits, so that all of them equal themselves.
    Float(u64),
    /// By address.
    Object(Address),
}

/// Where a table keeps the function that it has under a name.
pub(crate) struct Spot {
    table: Address,
    nodes: Address,
    node: usize,
    key: u64,
    function: (u64, u8),
}

impl Spot {
    /// Finds the entry with a function under a short string; `None` if there is none.
    ///
    /// # Safety
    /// As for [`metatable`]; at `key` is a string that is alive. Both stay alive as long as
    /// the spot is used, and so does the function that is found.
    pub(crate) unsafe fn find(table: Address, key: Address) -> Option<Self> {
        // SAFETY: as the caller says; there are two to the power of `node_bits` nodes.
        unsafe {
            let Table {
                nodes, node_bits, ..
            } = *(table as *const Table);
            (0..1usize << node_bits).find_map(|number| {
                let node = &*nodes.add(number);
                let is_key = node.key_tag & 0x0f == STRING && node.key_bits == key as u64;
                let is_function = i32::from(node.tag & 0x0f) == ffi::LUA_TFUNCTION;
                (is_key && is_function).then_some(Self {
                    table,
                    nodes: nodes as Address,
                    node: number,
                    key: key as u64,
                    function: (node.bits, node.tag),
                })
            })
        }
    }

    /// Whether the table still has that function there. If not, it may have it elsewhere.
    ///
    /// # Safety
    /// What [`Spot::find`] demands still holds.
    #[inline]
    pub(crate) unsafe fn is_as_it_was(&self) -> bool {
        // SAFETY: as the caller says. Only nodes that the table has are read.
        unsafe {
            let table = &*(self.table as *const Table);
            if table.nodes as Address != self.nodes || self.node >> table.node_bits != 0 {
                return false;
            }
            let node = &*table.nodes.add(self.node);
            // A number may have the bits of the key's address.
            node.key_tag & 0x0f == STRING
                && node.key_bits == self.key
                && (node.bits, node.tag) == self.function
        }
    }
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
        let mut fits = metatable(ffi::lua_topointer(lua, -1) as Address) != 0;
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

/// Whether the value at `index` is this one.
///
/// # Safety
/// As for [`check`].
pub(crate) unsafe fn is_at(lua: State, index: c_int, value: Entry) -> bool {
    // SAFETY: as the caller says.
    unsafe { through_api(lua, index) == value.seen() }
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
