//! Everything that a failed reload has to give back: the heap by identity.
//!
//! A snapshot is taken before a new source runs. It tells which objects existed, and puts
//! all of them back as they were: entries, metatables, captured variables, user values.
//! What lies on the stacks of coroutines is not put back; instead no coroutine that existed
//! can be resumed while a reload runs (see [`crate::sandbox`]).
//!
//! Objects are read in place. All of them are kept by a table of the snapshot: the collector is
//! stopped, but Lua starts it where memory runs out.

use std::ffi::c_int;

use mlua::ffi;
use mlua::{Lua, Table};

use crate::entries::{self, Entry, Image, Images};
use crate::layout;
use crate::objects::{self, Kind, Moment, Object, Pusher};
use crate::raw::{Address, AddressSet, SHARED, State, pointer_address, push_sample};

/// Where the pusher lies on the stack while things are put back.
const PUSHER: c_int = 1;

/// The heap as it was at one moment.
pub(crate) struct Snapshot {
    moment: Moment,
    /// Keeps all objects.
    anchors: Table,
    pusher: Pusher,
    objects: usize,
    threads: AddressSet,
    tables: Images,
    slots: Vec<Slot>,
    /// Metatables that all values of a type share, in the order of [`SHARED`]; 0 for none.
    shared: Vec<Address>,
}

/// A value outside of tables.
struct Slot {
    owner: Entry,
    place: Place,
    value: Entry,
}

#[derive(Clone, Copy)]
enum Place {
    /// Of a userdata.
    Metatable,
    /// Of a userdata, from 1.
    UserValue(c_int),
    /// Of a function, from 1.
    Captured(c_int),
}

/// What a snapshot reads.
struct Record {
    tables: Images,
    slots: Vec<Slot>,
    threads: AddressSet,
    anchors: Vec<Entry>,
    cells: Vec<Address>,
    objects: usize,
}

impl Record {
    /// # Safety
    /// As for [`objects::references`].
    unsafe fn object(&mut self, object: Object) {
        let (owner, address) = (object.value(), object.address);
        match object.kind() {
            Kind::Inner => return,
            Kind::Text => {}
            // SAFETY: as the caller says.
            Kind::Table => unsafe { self.tables.push(address) },
            // SAFETY: as the caller says.
            Kind::LuaFunction => unsafe { self.cells(owner, address) },
            Kind::CFunction => {
                // SAFETY: as the caller says.
                let values = unsafe { objects::c_values(address) };
                for (number, value) in (1..).zip(values) {
                    self.slots.push(Slot {
                        owner,
                        place: Place::Captured(number),
                        value,
                    });
                }
            }
            Kind::Userdata => {
                // SAFETY: as the caller says.
                let (metatable, values) = unsafe { objects::userdata(address) };
                let metatable = if metatable == 0 {
                    Entry::NOTHING
                } else {
                    Entry::table(metatable)
                };
                let mut push = |place, value| {
                    self.slots.push(Slot {
                        owner,
                        place,
                        value,
                    });
                };
                push(Place::Metatable, metatable);
                for (number, value) in (1..).zip(values) {
                    push(Place::UserValue(number), value);
                }
            }
            Kind::Thread => {
                self.threads.insert(address);
            }
        }
        self.objects += usize::from(object.kind() != Kind::Text);
        self.anchors.push(owner);
    }

    /// Each variable once, however many functions have captured it.
    ///
    /// # Safety
    /// As for [`objects::cells`].
    unsafe fn cells(&mut self, owner: Entry, function: Address) {
        // SAFETY: as the caller says; a cell begins like all objects.
        unsafe {
            for (number, at) in (1..).zip(objects::cells(function)) {
                if layout::mark(at.cell) {
                    self.cells.push(at.cell);
                    self.slots.push(Slot {
                        owner,
                        place: Place::Captured(number),
                        value: at.value,
                    });
                }
            }
        }
    }
}

impl Snapshot {
    /// Takes a snapshot of about `expected` objects. The collector must be stopped, and stay so.
    ///
    /// # Errors
    /// None but those of `mlua` itself.
    pub(crate) fn take(lua: &Lua, expected: usize) -> mlua::Result<Self> {
        let moment = Moment::now(lua)?;
        let mut record = Record {
            tables: Images::with_capacity(expected),
            slots: Vec::new(),
            threads: AddressSet::default(),
            anchors: Vec::with_capacity(expected),
            cells: Vec::new(),
            objects: 0,
        };
        let mut shared = Vec::new();
        // SAFETY: the callers of this module are at a safe point with the collector stopped, and
        // `exec_raw` locks the state. All that is pushed fits.
        unsafe {
            lua.exec_raw::<()>((), |lua| {
                moment.each(|object| record.object(object));
                for cell in &record.cells {
                    layout::unmark(*cell);
                }
                ffi::lua_checkstack(lua, 10);
                for kind in SHARED {
                    push_sample(lua, kind);
                    let has_one = ffi::lua_getmetatable(lua, -1) != 0;
                    let metatable = ffi::lua_topointer(lua, -1) as Address;
                    shared.push(if has_one { metatable } else { 0 });
                    ffi::lua_settop(lua, 0);
                }
            })?;
        }
        let anchors = lua.create_table_with_capacity(record.anchors.len(), 0)?;
        // SAFETY: the table was just made; its array has that size.
        unsafe { entries::fill(pointer_address(anchors.to_pointer()), &record.anchors) };
        Ok(Self {
            moment,
            anchors,
            pusher: Pusher::new(lua)?,
            objects: record.objects,
            threads: record.threads,
            tables: record.tables,
            slots: record.slots,
            shared,
        })
    }

    /// How many objects there were, without strings.
    pub(crate) fn objects(&self) -> usize {
        self.objects
    }

    /// When it was taken.
    pub(crate) fn moment(&self) -> &Moment {
        &self.moment
    }

    /// The coroutines that there were.
    pub(crate) fn threads(&self) -> AddressSet {
        self.threads.clone()
    }

    /// Tables that later looks at the heap have to leave out.
    pub(crate) fn own(&self) -> [Address; 3] {
        let tables = [&self.anchors, self.moment.mark()].map(Table::to_pointer);
        let [anchors, mark] = tables.map(pointer_address);
        [anchors, mark, self.pusher.address()]
    }

    /// Whether a table was there: for one that is listed as if it were new.
    pub(crate) fn had_table(&self, table: Address) -> bool {
        let mut tables = self.tables.all().iter();
        tables.any(|image| image.table == table)
    }

    /// Puts everything back as it was.
    ///
    /// # Errors
    /// None but those of `mlua` itself.
    pub(crate) fn restore(&self, lua: &Lua) -> mlua::Result<()> {
        // SAFETY: as in `take`. All objects are kept by the anchors.
        unsafe {
            lua.exec_raw::<()>(self.pusher.table(), |lua| {
                ffi::lua_checkstack(lua, 20);
                // The registry belongs to `mlua` and to nobody else.
                let registry = ffi::lua_topointer(lua, ffi::LUA_REGISTRYINDEX) as Address;
                let tables = self.tables.all().iter();
                for image in tables.filter(|image| image.table != registry) {
                    self.restore_table(lua, image);
                }
                for slot in &self.slots {
                    restore_slot(lua, slot);
                }
                for (kind, metatable) in SHARED.into_iter().zip(&self.shared) {
                    push_sample(lua, kind);
                    push_metatable(lua, *metatable);
                    ffi::lua_setmetatable(lua, -2);
                    ffi::lua_settop(lua, PUSHER);
                }
                ffi::lua_settop(lua, 0);
            })
        }
    }

    /// # Safety
    /// The pusher is the only value on the stack, which has room for some more.
    unsafe fn restore_table(&self, lua: State, image: &Image) {
        // SAFETY: as the caller says. Fields may be cleared during a traversal.
        unsafe {
            let is_same = self.tables.is_same(image);
            let has_metatable = entries::metatable(image.table) == image.metatable;
            if is_same && has_metatable {
                return;
            }
            objects::push(lua, PUSHER, Entry::table(image.table));
            if !is_same {
                ffi::lua_pushnil(lua);
                while ffi::lua_next(lua, 2) != 0 {
                    ffi::lua_pop(lua, 1);
                    ffi::lua_pushvalue(lua, -1);
                    ffi::lua_pushnil(lua);
                    ffi::lua_rawset(lua, 2);
                }
                self.tables.entries(image, |key, value| {
                    objects::push(lua, PUSHER, key);
                    objects::push(lua, PUSHER, value);
                    ffi::lua_rawset(lua, 2);
                });
            }
            if !has_metatable {
                push_metatable(lua, image.metatable);
                ffi::lua_setmetatable(lua, 2);
            }
            ffi::lua_settop(lua, PUSHER);
        }
    }
}

/// # Safety
/// As for [`Snapshot::restore_table`]; there is such a table, or 0.
unsafe fn push_metatable(lua: State, metatable: Address) {
    // SAFETY: as the caller says.
    unsafe {
        if metatable == 0 {
            ffi::lua_pushnil(lua);
        } else {
            objects::push(lua, PUSHER, Entry::table(metatable));
        }
    }
}

/// # Safety
/// As for [`Snapshot::restore_table`].
unsafe fn restore_slot(lua: State, slot: &Slot) {
    // SAFETY: as the caller says; each owner has the type that its place belongs to.
    unsafe {
        if slot.is_as_it_was() {
            return;
        }
        objects::push(lua, PUSHER, slot.owner);
        match slot.place {
            Place::Metatable => {
                push_metatable(lua, slot.value.address());
                ffi::lua_setmetatable(lua, 2);
            }
            Place::UserValue(number) => {
                objects::push(lua, PUSHER, slot.value);
                ffi::lua_setiuservalue(lua, 2, number);
            }
            Place::Captured(number) => {
                objects::push(lua, PUSHER, slot.value);
                ffi::lua_setupvalue(lua, 2, number);
            }
        }
        ffi::lua_settop(lua, PUSHER);
    }
}

impl Slot {
    /// # Safety
    /// The owner is alive.
    unsafe fn is_as_it_was(&self) -> bool {
        let owner = self.owner.address();
        let is = |value: Option<Entry>| value.is_some_and(|value| value.is(self.value));
        // SAFETY: as the caller says; numbers are from 1.
        unsafe {
            match self.place {
                Place::Metatable => objects::userdata(owner).0 == self.value.address(),
                Place::UserValue(number) => is(objects::userdata(owner).1.nth(number as usize - 1)),
                Place::Captured(number) if self.owner.is_lua_function() => {
                    let at = objects::cells(owner).nth(number as usize - 1);
                    is(at.map(|at| at.value))
                }
                Place::Captured(number) => is(objects::c_values(owner).nth(number as usize - 1)),
            }
        }
    }
}
