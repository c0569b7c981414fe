//! Which function, variable and table of a new source is which of the old one.
//!
//! - Functions by their declared path through what both sources declared.
//! - Variables (cells) by name between paired functions; then by name in the whole module,
//!   where exactly one of each is left; then by hints (`rename = { new = "old" }`).
//! - What variables held when they were declared is paired like fields.
//! - Prototypes, for closures that were made later: by written name within a paired parent,
//!   anonymous ones by alignment of their sequence (see [`crate::align`]).
//!
//! These feed each other, so it goes round until nothing more is found.

use std::collections::{BTreeMap, BTreeSet};

use mlua::{Table, Value};

use crate::align::align;
use crate::declared::{Key, View, by_key};
use crate::raw::{Address, AddressMap, AddressSet, pointer_address};

/// What belongs together. Numbers are those of [`View`]s.
pub(crate) struct Pairing {
    /// New function by old one.
    pub(crate) functions: BTreeMap<usize, usize>,
    /// Old function by new one.
    pub(crate) old_functions: BTreeMap<usize, usize>,
    /// New cell by old one, as numbers of declared cells.
    pub(crate) cells: BTreeMap<usize, usize>,
    pub(crate) old_cells: BTreeMap<usize, usize>,
    /// New prototype by old one.
    pub(crate) nodes: BTreeMap<usize, usize>,
    old_nodes: BTreeMap<usize, usize>,
    /// Address of the old declared table by that of the new one.
    pub(crate) old_tables: AddressMap<Address>,
    /// Names with more than one candidate.
    pub(crate) ambiguous: BTreeSet<String>,
}

/// Pairs two versions. `renames` has old names by new ones.
pub(crate) fn pair(old: &View, new: &View, renames: &BTreeMap<String, String>) -> Pairing {
    let mut work = Work {
        old,
        new,
        result: Pairing {
            functions: BTreeMap::new(),
            old_functions: BTreeMap::new(),
            cells: BTreeMap::new(),
            old_cells: BTreeMap::new(),
            nodes: BTreeMap::new(),
            old_nodes: BTreeMap::new(),
            old_tables: AddressMap::default(),
            ambiguous: BTreeSet::new(),
        },
        values: Vec::new(),
        visited: AddressSet::default(),
        descended: BTreeSet::new(),
    };
    work.nodes(0, 0);
    work.values
        .push((old.declared.value.clone(), new.declared.value.clone()));
    let globals = by_key(&old.declared.globals);
    for (key, value) in &new.declared.globals {
        if let Some((_, before)) = globals.get(&Key::of(key)) {
            work.values.push((before.clone(), value.clone()));
        }
    }
    loop {
        let before = work.size();
        work.follow();
        work.children();
        work.singles();
        work.follow();
        work.pool();
        work.follow();
        if work.size() == before {
            // What is plain comes before what is hinted.
            work.hints(renames);
            work.follow();
            if work.size() == before {
                break;
            }
        }
    }
    work.find_ambiguous();
    work.result
}

struct Work<'a> {
    old: &'a View,
    new: &'a View,
    result: Pairing,
    /// Pairs of declared values that are still to be looked at.
    values: Vec<(Value, Value)>,
    visited: AddressSet,
    /// Old prototypes whose children were compared.
    descended: BTreeSet<usize>,
}

impl Work<'_> {
    fn size(&self) -> usize {
        self.result.functions.len() + self.result.cells.len() + self.result.nodes.len()
    }

    fn follow(&mut self) {
        while let Some((old, new)) = self.values.pop() {
            match (&old, &new) {
                (Value::Function(before), Value::Function(after)) => {
                    if let (Some(before), Some(after)) =
                        (self.old.function(before), self.new.function(after))
                    {
                        self.functions(before, after);
                    }
                }
                (Value::Table(before), Value::Table(after)) => self.tables(before, after),
                _ => {}
            }
        }
    }

    fn functions(&mut self, old: usize, new: usize) {
        let result = &mut self.result;
        if result.functions.contains_key(&old) || result.old_functions.contains_key(&new) {
            return;
        }
        result.functions.insert(old, new);
        result.old_functions.insert(new, old);
        self.nodes(
            self.old.declared.functions[old].node,
            self.new.declared.functions[new].node,
        );
        for after in &self.new.upvalues[new] {
            let before = self.old.upvalues[old]
                .iter()
                .find(|before| before.name == after.name);
            if let Some(before) = before
                && let (Some(old), Some(new)) = (
                    self.old.cells.get(&before.cell),
                    self.new.cells.get(&after.cell),
                )
            {
                self.cells(*old, *new);
            }
        }
    }

    fn cells(&mut self, old: usize, new: usize) {
        let result = &mut self.result;
        if result.cells.contains_key(&old) || result.old_cells.contains_key(&new) {
            return;
        }
        result.cells.insert(old, new);
        result.old_cells.insert(new, old);
        self.values.push((
            self.old.declared.cells[old].value.clone(),
            self.new.declared.cells[new].value.clone(),
        ));
    }

    fn nodes(&mut self, old: usize, new: usize) {
        let result = &mut self.result;
        if !result.nodes.contains_key(&old) && !result.old_nodes.contains_key(&new) {
            result.nodes.insert(old, new);
            result.old_nodes.insert(new, old);
        }
    }

    /// Tables that both sources made: field by field. Arrays are data, nothing in them has
    /// a name.
    fn tables(&mut self, old: &Table, new: &Table) {
        let address = pointer_address(new.to_pointer());
        let (Some(before), Some(after)) = (self.old.shadow(old), self.new.shadow(new)) else {
            return;
        };
        if !self.visited.insert(address) {
            return;
        }
        let old_address = pointer_address(old.to_pointer());
        self.result.old_tables.insert(address, old_address);
        if let (Some(before), Some(after)) = (&before.metatable, &after.metatable) {
            self.values
                .push((Value::Table(before.clone()), Value::Table(after.clone())));
        }
        let fields = by_key(&before.fields);
        for (key, value) in &after.fields {
            let is_position = matches!(key, Value::Integer(_));
            let found = fields.get(&Key::of(key));
            if let (false, Some((_, before))) = (is_position, found) {
                self.values.push((before.clone(), value.clone()));
            }
        }
    }

    /// Prototypes within paired ones.
    fn children(&mut self) {
        let mut open: Vec<(usize, usize)> =
            self.result.nodes.iter().map(|(o, n)| (*o, *n)).collect();
        while let Some((old, new)) = open.pop() {
            if !self.descended.insert(old) {
                continue;
            }
            let free = |children: &[usize], taken: &BTreeMap<usize, usize>| -> Vec<usize> {
                children
                    .iter()
                    .copied()
                    .filter(|child| !taken.contains_key(child))
                    .collect()
            };
            let before = free(&self.old.protos[old].children, &self.result.nodes);
            let after = free(&self.new.protos[new].children, &self.result.old_nodes);
            for (before, after) in align(self.old, &before, self.new, &after) {
                self.nodes(before, after);
            }
            let children = self.old.protos[old].children.iter();
            open.extend(children.filter_map(|child| {
                let new = self.result.nodes.get(child)?;
                Some((*child, *new))
            }));
        }
    }

    /// Functions that exist once on both sides, such as a callback that the source registers.
    fn singles(&mut self) {
        let pairs: Vec<_> = self
            .result
            .nodes
            .iter()
            .filter_map(|(old, new)| {
                match (
                    self.old.instances[*old].as_slice(),
                    self.new.instances[*new].as_slice(),
                ) {
                    ([old], [new]) => Some((*old, *new)),
                    _ => None,
                }
            })
            .collect();
        for (old, new) in pairs {
            self.functions(old, new);
        }
    }

    /// Cells that are left, by name: old ones and new ones.
    fn left(&self) -> BTreeMap<&str, (Vec<usize>, Vec<usize>)> {
        let mut left: BTreeMap<&str, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (number, cell) in self.old.declared.cells.iter().enumerate() {
            if !self.result.cells.contains_key(&number) {
                left.entry(&cell.name).or_default().0.push(number);
            }
        }
        for (number, cell) in self.new.declared.cells.iter().enumerate() {
            if !self.result.old_cells.contains_key(&number) {
                left.entry(&cell.name).or_default().1.push(number);
            }
        }
        left
    }

    fn pool(&mut self) {
        let pairs: Vec<_> = self
            .left()
            .values()
            .filter_map(|(old, new)| match (old.as_slice(), new.as_slice()) {
                ([old], [new]) => Some((*old, *new)),
                _ => None,
            })
            .collect();
        for (old, new) in pairs {
            self.cells(old, new);
        }
    }

    fn hints(&mut self, renames: &BTreeMap<String, String>) {
        for (after, before) in renames {
            let left = self.left();
            let old = left.get(before.as_str()).map(|(old, _)| old.as_slice());
            let new = left.get(after.as_str()).map(|(_, new)| new.as_slice());
            if let (Some([old]), Some([new])) = (old, new) {
                let (old, new) = (*old, *new);
                self.cells(old, new);
            }
        }
    }

    fn find_ambiguous(&mut self) {
        let names: Vec<String> = self
            .left()
            .into_iter()
            .filter(|(_, (old, new))| !old.is_empty() && !new.is_empty())
            .map(|(name, _)| name.to_string())
            .collect();
        self.result.ambiguous.extend(names);
    }
}
