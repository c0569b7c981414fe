//! Everything that a failed reload has to give back: the heap by identity.
//!
//! A snapshot is taken before a new source runs. It tells which objects existed, and puts
//! all of them back as they were: entries, metatables, captured variables, user values.
//! What lies on the stacks of coroutines is not put back; instead no coroutine that existed
//! can be resumed while a reload runs (see [`crate::sandbox`]).

use std::collections::HashMap;
use std::ffi::c_int;
use std::ops::Range;

use mlua::ffi;
use mlua::{Lua, Table};

use crate::heap::{Found, Place, Seen, Visitor, push_sample, walk};
use crate::raw::{AddressMap, AddressSet, State, pointer_address};

/// Place in the anchors of each object.
type Places = AddressMap<ffi::lua_Integer>;

/// The heap as it was at one moment.
pub(crate) struct Snapshot {
    anchors: Table,
    pub(crate) found: Found,
    record: Record,
}

#[derive(Default)]
struct Record {
    entries: Entries,
    slots: Vec<(u32, Place, Seen)>,
    cells: AddressSet,
}

/// The entries of all tables, close together: most of a snapshot's time is writing them.
#[derive(Default)]
struct Entries {
    /// Owner, and where its entries begin; in the order in which tables were walked.
    owners: Vec<(u32, u32)>,
    kinds: Vec<[u8; 2]>,
    bits: Vec<[u64; 2]>,
}

impl Entries {
    fn push(&mut self, owner: u32, key: Seen, value: Seen) {
        if self.owners.last().is_none_or(|(last, _)| *last != owner) {
            self.owners.push((owner, self.kinds.len() as u32));
        }
        let ((key_kind, key), (kind, value)) = (pack(key), pack(value));
        self.kinds.push([key_kind, kind]);
        self.bits.push([key, value]);
    }

    /// The entries of the tables that had some, by owner.
    fn by_owner(&self) -> HashMap<u32, Range<usize>> {
        let ends = self.owners.iter().skip(1).map(|(_, start)| *start as usize);
        let ends = ends.chain([self.kinds.len()]);
        let ranges = self.owners.iter().zip(ends);
        ranges
            .map(|((owner, start), end)| (*owner, *start as usize..end))
            .collect()
    }

    fn get(&self, number: usize) -> (Seen, Seen) {
        let ([key_kind, kind], [key, value]) = (self.kinds[number], self.bits[number]);
        (unpack(key_kind, key), unpack(kind, value))
    }
}

fn pack(value: Seen) -> (u8, u64) {
    match value {
        Seen::Nil | Seen::Ignored => (0, 0),
        Seen::Boolean(value) => (1, u64::from(value)),
        Seen::Integer(value) => (2, value as u64),
        Seen::Float(bits) => (3, bits),
        Seen::Light(address) => (4, address as u64),
        Seen::Object(address) => (5, address as u64),
    }
}

fn unpack(kind: u8, bits: u64) -> Seen {
    match kind {
        1 => Seen::Boolean(bits != 0),
        2 => Seen::Integer(bits as i64),
        3 => Seen::Float(bits),
        4 => Seen::Light(bits as usize),
        5 => Seen::Object(bits as usize),
        _ => Seen::Nil,
    }
}

impl Visitor for Record {
    const REPLACES: bool = false;
    const RECORDS: bool = true;

    fn entry(&mut self, owner: u32, key: Seen, value: Seen) {
        self.entries.push(owner, key, value);
    }

    fn slot(&mut self, owner: u32, place: Place, value: Seen) {
        match place {
            Place::Upvalue(_, cell) if cell != 0 && !self.cells.insert(cell) => {}
            Place::Upvalue(..)
            | Place::Metatable
            | Place::UserValue(_)
            | Place::TypeMetatable(_) => self.slots.push((owner, place, value)),
            _ => {}
        }
    }
}

impl Snapshot {
    /// Takes a snapshot of about `expected` objects; `skip` are tables that it ignores. The
    /// collector must be stopped.
    ///
    /// # Errors
    /// None but those of `mlua` itself.
    pub(crate) fn take(lua: &Lua, expected: usize, skip: &AddressSet) -> mlua::Result<Self> {
        let anchors = lua.create_table_with_capacity(expected, 0)?;
        let mut skip = skip.clone();
        skip.insert(pointer_address(anchors.to_pointer()));
        let mut record = Record::default();
        record.entries.kinds.reserve(expected * 4);
        record.entries.bits.reserve(expected * 4);
        let mut found = Found::default();
        // SAFETY: `exec_raw` gives the main thread with the table as its only value; the
        // callers of this module are at a safe point with the collector stopped.
        unsafe {
            lua.exec_raw::<()>(&anchors, |lua| {
                found = walk(lua, 1, expected, &skip, &mut record);
                ffi::lua_settop(lua, 0);
            })?;
        }
        Ok(Self {
            anchors,
            found,
            record,
        })
    }

    /// How many objects there were.
    pub(crate) fn objects(&self) -> usize {
        self.found.kinds.len()
    }

    /// The coroutines that there were.
    pub(crate) fn threads(&self) -> AddressSet {
        let all = self.found.addresses.iter().zip(&self.found.kinds);
        let threads = all.filter(|(_, kind)| c_int::from(**kind) == ffi::LUA_TTHREAD);
        threads.map(|(address, _)| *address).collect()
    }

    /// The table that keeps the objects; later walks have to skip it.
    pub(crate) fn anchors(&self) -> &Table {
        &self.anchors
    }

    /// Puts everything back as it was.
    ///
    /// # Errors
    /// None but those of `mlua` itself.
    pub(crate) fn restore(&self, lua: &Lua) -> mlua::Result<()> {
        let addresses = self.found.addresses.iter().copied();
        let places: Places = addresses.zip(1..).collect();
        // SAFETY: as in `take`. All addresses are those of objects in the anchors.
        unsafe {
            lua.exec_raw::<()>(&self.anchors, |lua| {
                ffi::lua_checkstack(lua, 20);
                self.restore_tables(lua, &places);
                for (owner, place, value) in &self.record.slots {
                    let owner = Seen::Object(self.found.addresses[*owner as usize]);
                    restore_slot(lua, &places, owner, *place, *value);
                }
                ffi::lua_settop(lua, 0);
            })
        }
    }

    /// # Safety
    /// The anchors are the only value on the stack, which has room for some more.
    unsafe fn restore_tables(&self, lua: State, places: &Places) {
        let ranges = self.record.entries.by_owner();
        // The registry, number 0, belongs to `mlua` and to nobody else.
        for (number, kind) in self.found.kinds.iter().enumerate().skip(1) {
            if c_int::from(*kind) == ffi::LUA_TTABLE {
                let entries = ranges.get(&(number as u32)).cloned().unwrap_or(0..0);
                let table = Seen::Object(self.found.addresses[number]);
                // SAFETY: as the caller says.
                unsafe { self.restore_table(lua, places, table, entries) };
            }
        }
    }

    /// # Safety
    /// As for [`Snapshot::restore_tables`].
    unsafe fn restore_table(
        &self,
        lua: State,
        places: &Places,
        table: Seen,
        entries: Range<usize>,
    ) {
        let all = &self.record.entries;
        // SAFETY: as the caller says. Fields may be cleared during a traversal.
        unsafe {
            push(lua, places, table);
            let mut next = entries.start;
            let mut differs = false;
            ffi::lua_pushnil(lua);
            while ffi::lua_next(lua, 2) != 0 {
                // The order of a traversal changes only when keys come or go.
                differs |= next >= entries.end || {
                    let (key, value) = all.get(next);
                    !is(lua, places, -2, key) || !is(lua, places, -1, value)
                };
                next += 1;
                ffi::lua_pop(lua, 1);
            }
            if differs || next != entries.end {
                ffi::lua_pushnil(lua);
                while ffi::lua_next(lua, 2) != 0 {
                    ffi::lua_pop(lua, 1);
                    ffi::lua_pushvalue(lua, -1);
                    ffi::lua_pushnil(lua);
                    ffi::lua_rawset(lua, 2);
                }
                for number in entries {
                    let (key, value) = all.get(number);
                    push(lua, places, key);
                    push(lua, places, value);
                    ffi::lua_rawset(lua, 2);
                }
            }
            // Set again with the other slots if it had one.
            if ffi::lua_getmetatable(lua, 2) != 0 {
                ffi::lua_pushnil(lua);
                ffi::lua_setmetatable(lua, 2);
            }
            ffi::lua_settop(lua, 1);
        }
    }
}

/// # Safety
/// As for [`Snapshot::restore_tables`].
unsafe fn restore_slot(lua: State, places: &Places, owner: Seen, place: Place, value: Seen) {
    if value == Seen::Ignored {
        return;
    }
    // SAFETY: as the caller says; each object has the type that its place belongs to.
    unsafe {
        match place {
            Place::TypeMetatable(kind) => push_sample(lua, kind),
            _ => push(lua, places, owner),
        }
        push(lua, places, value);
        match place {
            Place::Metatable | Place::TypeMetatable(_) => {
                ffi::lua_setmetatable(lua, 2);
            }
            Place::Upvalue(number, _) => {
                ffi::lua_setupvalue(lua, 2, number);
            }
            Place::UserValue(number) => {
                ffi::lua_setiuservalue(lua, 2, number);
            }
            _ => {}
        }
        ffi::lua_settop(lua, 1);
    }
}

/// Pushes a value of the snapshot.
///
/// # Safety
/// As for [`Snapshot::restore_tables`].
unsafe fn push(lua: State, places: &Places, value: Seen) {
    // SAFETY: as the caller says.
    unsafe {
        match value {
            Seen::Nil | Seen::Ignored => ffi::lua_pushnil(lua),
            Seen::Boolean(value) => ffi::lua_pushboolean(lua, c_int::from(value)),
            Seen::Integer(value) => ffi::lua_pushinteger(lua, value),
            Seen::Float(bits) => ffi::lua_pushnumber(lua, f64::from_bits(bits)),
            Seen::Light(address) => ffi::lua_pushlightuserdata(lua, address as *mut _),
            Seen::Object(address) => {
                let place = places.get(&address).copied().unwrap_or(0);
                ffi::lua_rawgeti(lua, 1, place);
            }
        }
    }
}

/// Whether there is that value at `index`.
///
/// # Safety
/// As for [`Snapshot::restore_tables`].
unsafe fn is(lua: State, places: &Places, index: c_int, value: Seen) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        let index = ffi::lua_absindex(lua, index);
        let float =
            ffi::lua_type(lua, index) == ffi::LUA_TNUMBER && ffi::lua_isinteger(lua, index) == 0;
        match value {
            Seen::Float(bits) => float && ffi::lua_tonumber(lua, index).to_bits() == bits,
            Seen::Integer(_) if float => false,
            _ => {
                push(lua, places, value);
                let same = ffi::lua_rawequal(lua, index, -1) != 0;
                ffi::lua_pop(lua, 1);
                same
            }
        }
    }
}
