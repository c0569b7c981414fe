//! What a source declared: A0 of the rules, recorded after every load.
//!
//! Everything is held by `mlua` handles. They lie where the walk over the heap sees them, so
//! when the reload redirects references, it redirects these too: what was recorded of a new
//! source before the merge names the kept tables afterwards.

use std::collections::HashMap;

use mlua::{Function, Lua, Table, Value};

use crate::cells::{self, Upvalue};
use crate::chunk::Fresh;
use crate::heap::{Found, walk_for_new};
use crate::layout::{ProtoId, ProtoNode};
use crate::outline::Written;
use crate::raw::{Address, AddressMap, AddressSet, pointer_address};

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
    pub(crate) anchors: Table,
    pub(crate) numbers: Vec<u32>,
    pub(crate) addresses: AddressSet,
    pub(crate) functions: Vec<(Function, ProtoId)>,
}

impl Newcomers {
    /// Walks over the heap for what is not in `before`.
    pub(crate) fn find(lua: &Lua, before: &Found, skip: &AddressSet) -> mlua::Result<Self> {
        let anchors = lua.create_table_with_capacity(before.kinds.len(), 0)?;
        let mut skip = skip.clone();
        skip.insert(pointer_address(anchors.to_pointer()));
        let (mut found, mut numbers) = (Found::default(), Vec::new());
        // SAFETY: as in `Snapshot::take`, whose anchors keep all objects of `before`.
        unsafe {
            lua.exec_raw::<()>(&anchors, |lua| {
                (found, numbers) = walk_for_new(lua, 1, before, &skip);
                mlua::ffi::lua_settop(lua, 0);
            })?;
        }
        let mut addresses = AddressSet::default();
        let mut functions = Vec::new();
        for number in &numbers {
            let place = *number as usize;
            addresses.insert(found.addresses[place]);
            if i32::from(found.kinds[place]) == mlua::ffi::LUA_TFUNCTION {
                let function: Function = anchors.raw_get(*number + 1)?;
                if let Some(proto) = cells::proto(lua, &function)? {
                    functions.push((function, proto));
                }
            }
        }
        Ok(Self {
            anchors,
            numbers,
            addresses,
            functions,
        })
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
