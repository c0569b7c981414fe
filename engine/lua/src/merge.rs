//! Putting a new version's declarations into the running state.
//!
//! *Functions are replaced, data is kept, identity is kept.* Every slot (field, global,
//! captured variable) is decided by three values: `declared` by the running version (A0),
//! `now` (A1), and `new` in the source (A2). Tables are merged in place, so whoever holds one
//! sees the result.

mod paths;
mod slots;
mod tables;

use std::collections::{HashMap, HashSet, VecDeque};

use mlua::{Lua, Table, Value};

use self::paths::{Path, Paths, show};
use self::slots::{Kind, Slot, type_of};
use self::tables::Meeting;
use crate::cells;
use crate::declared::{Key, View, by_key};
use crate::fault;
use crate::pairing::Pairing;
use crate::policy::Policy;
use crate::raw::{Address, AddressSet, pointer_address};
use crate::report::{Change, ModuleReport};

/// What all merges of one transaction share.
pub(crate) struct Merged {
    /// Kept table by the address of the new one that was merged into it.
    pub(crate) kept: HashMap<Address, Table>,
    /// Tables that belong to others: nothing is merged into them.
    pub(crate) foreign: AddressSet,
    /// Where tables of the new source were put; looked at once more at the end.
    inserted: Vec<(Table, Value)>,
    /// Tables that got a metatable of the new source.
    dressed: Vec<Table>,
}

impl Merged {
    pub(crate) fn new() -> Self {
        Self {
            kept: HashMap::new(),
            foreign: AddressSet::default(),
            inserted: Vec::new(),
            dressed: Vec::new(),
        }
    }

    /// The kept object that a new one became.
    fn kept(&self, value: &Value) -> Value {
        match value {
            Value::Table(_) => match self.kept.get(&address(value)) {
                Some(kept) => Value::Table(kept.clone()),
                None => value.clone(),
            },
            value => value.clone(),
        }
    }

    /// Tables that were put somewhere before it was known what they were merged into.
    pub(crate) fn settle(&mut self) -> mlua::Result<()> {
        for (table, key) in std::mem::take(&mut self.inserted) {
            let value: Value = table.raw_get(&key)?;
            let kept = self.kept(&value);
            if kept != value {
                fault::point()?;
                table.raw_set(key, kept)?;
            }
        }
        for table in std::mem::take(&mut self.dressed) {
            let metatable = table.metatable().map_or(Value::Nil, Value::Table);
            let kept = self.kept(&metatable);
            if let (true, Value::Table(kept)) = (kept != metatable, kept) {
                fault::point()?;
                table.set_metatable(Some(kept))?;
            }
        }
        Ok(())
    }
}

/// Data that a version kept from one before although its source says something else, and that
/// nobody has touched since that declared it: with `untouched = "new"` it may still go.
#[derive(Clone, Default)]
pub(crate) struct Bases {
    /// By table and key, with the table, so that its address stays its own.
    fields: HashMap<(Address, Key), (Table, Value)>,
    /// By number in [`Declared::cells`](crate::declared::Declared::cells).
    cells: HashMap<usize, Value>,
}

/// One module's merge.
pub(crate) struct Merge<'a> {
    pub(crate) lua: &'a Lua,
    pub(crate) old: &'a View,
    pub(crate) new: &'a View,
    pub(crate) pairing: &'a Pairing,
    /// Everything that exists since the transaction began.
    pub(crate) newcomers: &'a AddressSet,
    pub(crate) policy: &'a Policy,
    pub(crate) shared: &'a mut Merged,
    pub(crate) report: &'a mut ModuleReport,
    /// Values that made way for others, for `__hotfix`.
    pub(crate) replaced: Vec<(String, Value)>,
    /// What counts as untouched beside what the old version declared, and beside what the new one
    /// does.
    bases: &'a Bases,
    pub(crate) carried: Bases,
    /// Whether the slot that was decided last is kept though nobody has touched it.
    keeps_untouched: bool,
    visited: HashSet<(Address, Address)>,
    meetings: VecDeque<Meeting>,
    paths: Paths,
}

impl<'a> Merge<'a> {
    #[expect(clippy::too_many_arguments, reason = "each is a thing of its own")]
    pub(crate) fn new(
        lua: &'a Lua,
        old: &'a View,
        new: &'a View,
        pairing: &'a Pairing,
        newcomers: &'a AddressSet,
        policy: &'a Policy,
        shared: &'a mut Merged,
        report: &'a mut ModuleReport,
        bases: &'a Bases,
    ) -> Self {
        Self {
            lua,
            old,
            new,
            pairing,
            newcomers,
            policy,
            shared,
            report,
            replaced: Vec::new(),
            bases,
            carried: Bases::default(),
            keeps_untouched: false,
            visited: HashSet::new(),
            meetings: VecDeque::new(),
            paths: Paths::default(),
        }
    }

    /// Merges globals and variables. The module's own value is [`Merge::module_value`].
    pub(crate) fn run(&mut self) -> mlua::Result<()> {
        self.globals()?;
        self.cells()?;
        self.functions();
        for name in &self.pairing.ambiguous {
            self.report.note(
                Change::Warning,
                format!("local {name}"),
                "there are several of this name, and which is which is not clear; those that are \
                 not paired have the value of the source. Give them different names",
            );
        }
        Ok(())
    }

    /// What `require` gives from now on; `now` is what it gave.
    pub(crate) fn module_value(&mut self, module: &str, now: &Value) -> mlua::Result<Value> {
        let (declared, new) = (
            self.old.declared.value.clone(),
            self.new.declared.value.clone(),
        );
        if declared.type_name() != new.type_name() {
            self.report.note(
                Change::Warning,
                module,
                format!(
                    "the module was a {} and is a {} now; who holds the old value keeps it",
                    kind_of_module(&declared),
                    kind_of_module(&new)
                ),
            );
            return Ok(crate::chunk::exported(&self.shared.kept(&new)));
        }
        if !matches!(new, Value::Table(_) | Value::Function(_)) {
            return Ok(crate::chunk::exported(&new));
        }
        let slot = Slot {
            declared: &declared,
            base: None,
            now,
            new: &new,
        };
        let path = self.paths.root(module);
        let decided = self.slot(path, Kind::Field, &slot);
        self.tables()?;
        Ok(decided.unwrap_or_else(|| now.clone()))
    }

    fn globals(&mut self) -> mlua::Result<()> {
        let globals = self.lua.globals();
        let declared = by_key(&self.old.declared.globals);
        let new = by_key(&self.new.declared.globals);
        self.fields(None, &globals, &declared, &new)?;
        self.tables()
    }

    fn cells(&mut self) -> mlua::Result<()> {
        let pairs: Vec<_> = self.pairing.cells.iter().map(|(o, n)| (*o, *n)).collect();
        for (old, new) in pairs {
            let before = self.old.declared.cells[old].clone();
            let after = self.new.declared.cells[new].clone();
            let name = self.paths.root(format!("local {}", after.name));
            let holder = self.old.declared.functions[before.function]
                .function
                .clone();
            let now = cells::get(self.lua, &holder, before.capture)?;
            let slot = Slot {
                declared: &before.value,
                base: self.bases.cells.get(&old),
                now: &now,
                new: &after.value,
            };
            if let Some(value) = self.slot(name, Kind::Local, &slot) {
                fault::point()?;
                cells::set(self.lua, &holder, before.capture, &value)?;
            } else if std::mem::take(&mut self.keeps_untouched) {
                self.carried.cells.insert(new, now);
            }
            self.join(new, &holder, before.capture)?;
        }
        self.tables()?;
        self.unpaired_cells()
    }

    fn note(&mut self, change: Change, path: Path, note: impl Into<String>) {
        self.report.note(change, self.paths.show(path), note);
    }

    /// Notes a value that made way for another.
    fn made_way(&mut self, path: Path, value: &Value) {
        self.replaced.push((self.paths.show(path), value.clone()));
    }

    /// Gives the old cell to all functions of the new source that have the new one.
    fn join(&mut self, new: usize, holder: &mlua::Function, capture: usize) -> mlua::Result<()> {
        let cell = &self.new.declared.cells[new];
        let identity = self.new.upvalues[cell.function][cell.capture].cell;
        for (function, number) in &self.new.holders[&identity] {
            fault::point()?;
            let function = &self.new.declared.functions[*function].function;
            cells::join(self.lua, function, *number, holder, capture)?;
        }
        Ok(())
    }

    fn unpaired_cells(&mut self) -> mlua::Result<()> {
        for (number, cell) in self.old.declared.cells.iter().enumerate() {
            if self.pairing.cells.contains_key(&number) {
                continue;
            }
            let holder = &self.old.declared.functions[cell.function].function;
            let now = cells::get(self.lua, holder, cell.capture)?;
            let what = format!("local {}", cell.name);
            match now {
                Value::Function(_) => self.report.note(Change::Removed, what, ""),
                Value::Nil => {}
                now => self.report.note(
                    Change::Lost,
                    what,
                    format!(
                        "it was {}, and no variable of the new source is it; if it was renamed, \
                         say `__reload = {{ rename = {{ new = \"{}\" }} }}`",
                        show(&now),
                        cell.name
                    ),
                ),
            }
        }
        for (number, cell) in self.new.declared.cells.iter().enumerate() {
            if !self.pairing.old_cells.contains_key(&number) {
                let what = format!("local {}", cell.name);
                self.report.note(Change::Added, what, "");
            }
        }
        Ok(())
    }

    /// Which paired functions have another text.
    fn functions(&mut self) {
        for (old, new) in &self.pairing.nodes {
            let (before, after) = (&self.old.written[*old], &self.new.written[*new]);
            if before.text == after.text || *new == 0 {
                continue;
            }
            let name = self.new.name_of(*new);
            self.report.note(Change::Applied, name, "");
        }
    }
}

fn address(value: &Value) -> Address {
    pointer_address(value.to_pointer())
}

fn kind_of_module(value: &Value) -> &'static str {
    match value {
        Value::Nil => "set of globals",
        value => type_of(value),
    }
}
