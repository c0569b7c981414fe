//! What a source declared: A0 of the rules, recorded after every load.
//!
//! Everything is held by `mlua` handles. They lie where the walk over the heap sees them, so
//! when the reload redirects references, it redirects these too: what was recorded of a new
//! source before the merge names the kept tables afterwards.

use std::collections::HashMap;
use std::ffi::c_int;

use mlua::{Function, Lua, Table, Value};

use crate::cells::{self, Upvalue};
use crate::chunk::Fresh;
use crate::entries::{self, Entry};
use crate::heap::{self, Place, Visitor};
use crate::layout::{self, ProtoId, ProtoNode, proto_at};
use crate::objects::{self, Kind, Moment, Object, Pusher};
use crate::outline::Written;
use crate::raw::{Address, AddressMap, AddressSet, State, pointer_address};
use crate::snapshot::Snapshot;

/// The fields of a table that a source made.
#[derive(Clone)]
pub(crate) struct Shadow {
    pub(crate) table: Table,
    pub(crate) fields: Vec<(Value, Value)>,
    pub(crate) metatable: Option<Table>,
}

/// A cell that a function of the module captured when it had been loaded.
#[derive(Clone)]
pub(crate) struct DeclaredCell {
    pub(crate) name: String,
    /// Number in [`Declared::functions`], and of the capture in that function.
    pub(crate) function: usize,
    pub(crate) capture: usize,
    pub(crate) value: Value,
}

/// A function of the module that existed when it had been loaded.
#[derive(Clone)]
pub(crate) struct DeclaredFunction {
    pub(crate) function: Function,
    /// Number of its prototype.
    pub(crate) node: usize,
}

/// All that one version of a module declared.
#[derive(Clone)]
pub(crate) struct Declared {
    pub(crate) value: Value,
    pub(crate) globals: Vec<(Value, Value)>,
    pub(crate) shadows: Vec<Shadow>,
    pub(crate) functions: Vec<DeclaredFunction>,
    pub(crate) cells: Vec<DeclaredCell>,
}

/// A key of a table, comparable in Rust.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Boolean(bool),
    Integer(i64),
    Float(u64),
    Text(Vec<u8>),
    Object(Address),
}

impl Key {
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Boolean(value) => Self::Boolean(*value),
            Value::Integer(value) => Self::Integer(*value),
            Value::Number(value) => Self::Float(value.to_bits()),
            Value::String(text) => Self::Text(text.as_bytes().to_vec()),
            other => Self::Object(pointer_address(other.to_pointer())),
        }
    }
}

/// Fields by key, with the key as a value.
pub(crate) type Fields = HashMap<Key, (Value, Value)>;

pub(crate) fn by_key(fields: &[(Value, Value)]) -> Fields {
    fields
        .iter()
        .map(|(key, value)| (Key::of(key), (key.clone(), value.clone())))
        .collect()
}

/// One version of a module with its identities as they are now: valid until the next walk that
/// replaces references.
pub(crate) struct View {
    pub(crate) protos: Vec<ProtoNode>,
    pub(crate) written: Vec<Written>,
    pub(crate) declared: Declared,
    pub(crate) shadows: AddressMap<usize>,
    /// By number in [`Declared::functions`].
    pub(crate) upvalues: Vec<Vec<Upvalue>>,
    pub(crate) functions: AddressMap<usize>,
    /// Number in [`Declared::cells`].
    pub(crate) cells: AddressMap<usize>,
    /// The functions that have a cell, with the number of the capture.
    pub(crate) holders: AddressMap<Vec<(usize, usize)>>,
    /// Functions by prototype.
    pub(crate) instances: Vec<Vec<usize>>,
}

impl View {
    pub(crate) fn new(
        lua: &Lua,
        protos: &[ProtoNode],
        written: &[Written],
        declared: &Declared,
    ) -> mlua::Result<Self> {
        let mut view = Self {
            protos: protos.to_vec(),
            // A text that the outline reads differently than Lua has no names.
            written: if written.len() == protos.len() {
                written.to_vec()
            } else {
                vec![Written::unknown(); protos.len()]
            },
            declared: declared.clone(),
            shadows: AddressMap::default(),
            upvalues: Vec::new(),
            functions: AddressMap::default(),
            cells: AddressMap::default(),
            holders: AddressMap::default(),
            instances: vec![Vec::new(); protos.len()],
        };
        for (number, shadow) in declared.shadows.iter().enumerate() {
            view.shadows
                .insert(pointer_address(shadow.table.to_pointer()), number);
        }
        for (number, function) in declared.functions.iter().enumerate() {
            let upvalues = cells::upvalues(lua, &function.function)?;
            for (capture, upvalue) in upvalues.iter().enumerate() {
                let holders = view.holders.entry(upvalue.cell).or_default();
                holders.push((number, capture));
            }
            view.upvalues.push(upvalues);
            view.functions
                .insert(pointer_address(function.function.to_pointer()), number);
            view.instances[function.node].push(number);
        }
        for (number, cell) in declared.cells.iter().enumerate() {
            let identity = view.upvalues[cell.function][cell.capture].cell;
            view.cells.insert(identity, number);
        }
        Ok(view)
    }

    /// `function M.update`, or where it is if no name is written.
    pub(crate) fn name_of(&self, node: usize) -> String {
        match &self.written[node].name {
            Some(name) => format!("function {name}"),
            None => format!("function at line {}", self.protos[node].first_line),
        }
    }

    pub(crate) fn shadow(&self, table: &Table) -> Option<&Shadow> {
        let number = self.shadows.get(&pointer_address(table.to_pointer()))?;
        Some(&self.declared.shadows[*number])
    }

    pub(crate) fn function(&self, function: &Function) -> Option<usize> {
        let address = pointer_address(function.to_pointer());
        self.functions.get(&address).copied()
    }

    /// Whether a source made this value, rather than having found it.
    pub(crate) fn owns(&self, value: &Value) -> bool {
        match value {
            Value::Table(table) => self.shadow(table).is_some(),
            Value::Function(function) => self.function(function).is_some(),
            _ => true,
        }
    }
}

/// What exists now and did not when a transaction began.
pub(crate) struct Newcomers {
    /// All of it, in the order in which it was made.
    pub(crate) anchors: Table,
    pub(crate) addresses: AddressSet,
    pub(crate) functions: Vec<(Function, ProtoId)>,
}

impl Newcomers {
    /// Finds what was made since the snapshot and is in use. `own` are tables of the transaction.
    pub(crate) fn find(lua: &Lua, before: &Snapshot, own: &[Address]) -> mlua::Result<Self> {
        let now = Moment::now(lua)?;
        let pusher = Pusher::new(lua)?;
        let mut used = Vec::new();
        // SAFETY: as in `Snapshot::take`.
        unsafe {
            lua.exec_raw::<()>(pusher.table(), |lua| {
                used = in_use(lua, &now, before, own);
                mlua::ffi::lua_settop(lua, 0);
            })?;
        }
        let values: Vec<Entry> = used.iter().map(|object| object.value()).collect();
        let anchors = lua.create_table_with_capacity(values.len(), 0)?;
        // SAFETY: the table was just made; its array has that size.
        unsafe { entries::fill(pointer_address(anchors.to_pointer()), &values) };
        let mut addresses = AddressSet::default();
        let mut functions = Vec::new();
        for (place, object) in (1..).zip(&used) {
            match object.kind() {
                // The API gives another address than that of the header.
                Kind::Userdata => {
                    let value: Value = anchors.raw_get(place)?;
                    addresses.insert(pointer_address(value.to_pointer()));
                }
                Kind::LuaFunction => {
                    addresses.insert(object.address);
                    // SAFETY: it is such a function, kept by the anchors.
                    let proto = unsafe { proto_at(object.address) };
                    functions.push((anchors.raw_get(place)?, proto));
                }
                _ => {
                    addresses.insert(object.address);
                }
            }
        }
        Ok(Self {
            anchors,
            addresses,
            functions,
        })
    }
}

/// The objects made since a snapshot that something refers to, in the order in which they were
/// made. Each is marked until it is known to be in use.
///
/// # Safety
/// As for [`Moment::each`]; a pusher is the only value on the stack.
unsafe fn in_use(lua: State, now: &Moment, before: &Snapshot, own: &[Address]) -> Vec<Object> {
    const PUSHER: c_int = 1;
    let mut new = Vec::new();
    // SAFETY: as the caller says.
    unsafe {
        mlua::ffi::lua_checkstack(lua, 50);
        now.each_since(before.moment(), |object| {
            let is_plain = matches!(object.kind(), Kind::Text | Kind::Inner);
            // A table that was given a finalizer is listed as if it were new.
            let is_old = object.has_finalizer
                && object.kind() == Kind::Table
                && before.had_table(object.address);
            if !is_plain && !is_old && !own.contains(&object.address) {
                layout::mark(object.address);
                new.push(object);
            }
        });
        let mut found = Found(Vec::new());
        let mut threads = Vec::new();
        now.each_of(before.moment(), |object| match object.kind() {
            Kind::Thread => threads.push(object),
            _ if own.contains(&object.address) => {}
            _ => {
                objects::references(object, |value| found.meet(value));
            }
        });
        // A table that was given a finalizer meanwhile, and so was not met there.
        now.each_since(before.moment(), |object| {
            if !layout::is_marked(object.address) && object.has_finalizer {
                objects::references(object, |value| found.meet(value));
            }
        });
        loop {
            for thread in threads.drain(..) {
                objects::push(lua, PUSHER, thread.value());
                heap::visit(lua, &mut found);
                mlua::ffi::lua_settop(lua, PUSHER);
            }
            let Some(object) = found.0.pop() else { break };
            if object.kind() == Kind::Thread {
                threads.push(object);
            } else {
                objects::references(object, |value| found.meet(value));
            }
        }
        // What still has its mark is garbage.
        new.retain(|object| !layout::unmark(object.address));
    }
    new.reverse();
    new
}

/// New objects that something refers to, and which were not looked into yet.
struct Found(Vec<Object>);

impl Found {
    /// Always true.
    ///
    /// # Safety
    /// The value's object is alive.
    unsafe fn meet(&mut self, value: Entry) -> bool {
        if let Some(object) = Object::of(value) {
            // SAFETY: as the caller says.
            if unsafe { layout::unmark(object.address) } {
                self.0.push(object);
            }
        }
        true
    }
}

impl Visitor for Found {
    unsafe fn replace(&mut self, lua: State, _: Place) -> bool {
        // SAFETY: as the caller says; the pusher is the first value on the stack.
        unsafe {
            let value = objects::read(lua, 1);
            self.meet(value);
        }
        false
    }
}

impl Declared {
    /// Records what a source declared, before anything of it is merged.
    pub(crate) fn record(lua: &Lua, fresh: &Fresh, new: &Newcomers) -> mlua::Result<Self> {
        let nodes: AddressMap<usize> = fresh
            .protos
            .iter()
            .enumerate()
            .map(|(number, node)| (node.id, number))
            .collect();
        let globals = pointer_address(lua.globals().to_pointer());
        let mut recorder = Recorder {
            new,
            shadows: Vec::new(),
            // Neither is a table of the source's own.
            known: [&fresh.overlay, &fresh.hot.api]
                .map(|table| pointer_address(table.to_pointer()))
                .into_iter()
                .collect(),
        };
        let mut functions = Vec::new();
        let mut cells = Vec::new();
        let mut known_cells = AddressSet::default();
        for (function, proto) in &new.functions {
            let Some(node) = nodes.get(proto).copied().filter(|node| *node != 0) else {
                continue;
            };
            for (capture, upvalue) in cells::upvalues(lua, function)?.into_iter().enumerate() {
                let environment = upvalue.name == "_ENV"
                    && pointer_address(upvalue.value.to_pointer()) == globals;
                if environment || !known_cells.insert(upvalue.cell) {
                    continue;
                }
                recorder.value(&upvalue.value)?;
                cells.push(DeclaredCell {
                    name: upvalue.name,
                    function: functions.len(),
                    capture,
                    value: upvalue.value,
                });
            }
            functions.push(DeclaredFunction {
                function: function.clone(),
                node,
            });
        }
        recorder.value(&fresh.value)?;
        let mut globals = Vec::new();
        for entry in fresh.overlay.pairs::<Value, Value>() {
            let (key, value) = entry?;
            recorder.value(&value)?;
            globals.push((key, value));
        }
        Ok(Self {
            value: fresh.value.clone(),
            globals,
            shadows: recorder.shadows,
            functions,
            cells,
        })
    }
}

struct Recorder<'a> {
    new: &'a Newcomers,
    shadows: Vec<Shadow>,
    known: AddressSet,
}

impl Recorder<'_> {
    /// Records a table that the source made, and those in it.
    fn value(&mut self, value: &Value) -> mlua::Result<()> {
        let mut open = match value {
            Value::Table(table) => vec![table.clone()],
            _ => return Ok(()),
        };
        while let Some(table) = open.pop() {
            let address = pointer_address(table.to_pointer());
            if !self.new.addresses.contains(&address) || !self.known.insert(address) {
                continue;
            }
            let mut fields = Vec::new();
            for entry in table.pairs::<Value, Value>() {
                let (key, value) = entry?;
                for part in [&key, &value] {
                    if let Value::Table(table) = part {
                        open.push(table.clone());
                    }
                }
                fields.push((key, value));
            }
            let metatable = table.metatable();
            open.extend(metatable.clone());
            self.shadows.push(Shadow {
                table,
                fields,
                metatable,
            });
        }
        Ok(())
    }
}
