//! Tables that meet: merged field by field, kept or replaced as a whole.
//!
//! What is inside waits in a queue rather than on the stack: a list of a hundred thousand
//! nodes is a table in a table in a table.

use std::collections::HashSet;

use mlua::{Table, Value};

use super::paths::{Path, show_key};
use super::slots::{Kind, Slot};
use super::{Merge, address};
use crate::declared::{Fields, Key, Shadow, by_key};
use crate::fault;
use crate::raw::pointer_address;
use crate::report::Change;

/// Field of a module's table that belongs to the reload itself.
const POLICY: &str = "__reload";

/// Two tables that are one from now on.
pub(super) struct Meeting {
    path: Path,
    declared: Value,
    now: Table,
    new: Table,
    /// The content is the source's, whatever there was.
    replace: bool,
}

impl Merge<'_> {
    /// The entries of a table, by what both sources declare. No path: globals.
    pub(super) fn fields(
        &mut self,
        path: Option<Path>,
        table: &Table,
        declared: &Fields,
        new: &Fields,
    ) -> mlua::Result<()> {
        let mut met = HashSet::new();
        for (name, key) in self.sorted(new.values()) {
            let (key, value) = &new[&key];
            let old_key = self.old_key(key, declared);
            met.insert(Key::of(&old_key));
            if matches!(key, Value::String(text) if *text == POLICY) {
                fault::point()?;
                table.raw_set(key, value)?;
                continue;
            }
            let name = self.paths.key(path, name);
            let before = declared.get(&Key::of(&old_key)).map(|(_, value)| value);
            let now: Value = table.raw_get(&old_key)?;
            let place = (pointer_address(table.to_pointer()), Key::of(&old_key));
            let slot = Slot {
                declared: before.unwrap_or(&Value::Nil),
                base: self.bases.fields.get(&place).map(|(_, value)| value),
                now: &now,
                new: value,
            };
            if let Some(value) = self.slot(name, Kind::Field, &slot) {
                fault::point()?;
                table.raw_set(&old_key, &value)?;
                self.shared.inserted.push((table.clone(), old_key));
            } else if std::mem::take(&mut self.keeps_untouched) {
                self.carried.fields.insert(place, (table.clone(), now));
            }
        }
        for (name, key) in self.sorted(declared.values()) {
            if !met.contains(&key) {
                let (key, before) = &declared[&key];
                let name = self.paths.key(path, name);
                self.removed(name, table, key, before)?;
            }
        }
        Ok(())
    }

    /// Keys by their names, so that reports are the same every time.
    fn sorted<'f>(&self, fields: impl Iterator<Item = &'f (Value, Value)>) -> Vec<(String, Key)> {
        let mut names: Vec<(String, Key)> = fields
            .map(|(key, _)| (show_key(key, self.new), Key::of(key)))
            .collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        names
    }

    fn removed(
        &mut self,
        name: Path,
        table: &Table,
        key: &Value,
        declared: &Value,
    ) -> mlua::Result<()> {
        let now: Value = table.raw_get(key)?;
        if now.is_nil() {
            return Ok(());
        }
        if now == *declared && matches!(now, Value::Function(_)) && self.old.owns(&now) {
            fault::point()?;
            table.raw_set(key, Value::Nil)?;
            self.note(Change::Removed, name, "");
        } else {
            let note = "it is no longer in the source; data is kept";
            self.note(Change::Kept, name, note);
        }
        Ok(())
    }

    /// Notes that a new table belongs to one that is there.
    pub(super) fn meet_tables(&mut self, path: Path, declared: &Value, now: &Table, new: &Table) {
        let replace = self
            .policy
            .replace
            .contains(&self.paths.within_module(path));
        self.meet(path, declared, now, new, replace);
    }

    fn meet(&mut self, path: Path, declared: &Value, now: &Table, new: &Table, replace: bool) {
        let (old_address, address) = (
            pointer_address(now.to_pointer()),
            pointer_address(new.to_pointer()),
        );
        if !self.visited.insert((address, old_address)) {
            return;
        }
        if self.shared.foreign.contains(&old_address) {
            let note = "another module's table was put here at run time";
            self.note(Change::Kept, path, note);
            return;
        }
        let kept = self.shared.kept.entry(address);
        kept.or_insert_with(|| now.clone());
        self.meetings.push_back(Meeting {
            path,
            declared: declared.clone(),
            now: now.clone(),
            new: new.clone(),
            replace,
        });
    }

    /// Merges all tables that have met, and those in them.
    pub(super) fn tables(&mut self) -> mlua::Result<()> {
        while let Some(meeting) = self.meetings.pop_front() {
            let Meeting {
                path,
                declared,
                now,
                new,
                replace,
            } = meeting;
            let (old, view) = (self.old, self.new);
            let before = match &declared {
                Value::Table(table) => old.shadow(table),
                _ => None,
            };
            let Some(after) = view.shadow(&new) else {
                continue;
            };
            let is_data = is_sequence(&after.fields)
                || (after.fields.is_empty() && before.is_some_and(|b| is_sequence(&b.fields)));
            if replace {
                self.replace(path, &now, after, before)?;
            } else if is_data {
                self.array(path, &now, after, before)?;
            } else {
                let declared = before.map_or_else(Fields::new, |shadow| by_key(&shadow.fields));
                self.fields(Some(path), &now, &declared, &by_key(&after.fields))?;
            }
            self.metatable(path, &now, after, before)?;
        }
        Ok(())
    }

    /// An array: kept as a whole, or with `untouched = "new"` replaced as a whole.
    fn array(
        &mut self,
        name: Path,
        now: &Table,
        after: &Shadow,
        before: Option<&Shadow>,
    ) -> mlua::Result<()> {
        let declared = before.map_or_else(Fields::new, |shadow| by_key(&shadow.fields));
        let new = by_key(&after.fields);
        let same = |fields: &Fields| {
            fields.len() == new.len()
                && new.iter().all(|(key, (_, value))| match fields.get(key) {
                    Some((_, Value::Table(_))) => matches!(value, Value::Table(_)),
                    Some((_, Value::Function(_))) => matches!(value, Value::Function(_)),
                    Some((_, before)) => before == value,
                    None => false,
                })
        };
        if same(&declared) {
            return Ok(());
        }
        if self.policy.untouched_is_new && is_as_declared(now, &declared)? {
            return self.replace(name, now, after, before);
        }
        let note = "arrays are data; the source says something else now";
        self.note(Change::Kept, name, note);
        Ok(())
    }

    /// Makes a table what the source says, and nothing else.
    fn replace(
        &mut self,
        name: Path,
        now: &Table,
        after: &Shadow,
        before: Option<&Shadow>,
    ) -> mlua::Result<()> {
        let new = by_key(&after.fields);
        let declared = before.map_or_else(Fields::new, |shadow| by_key(&shadow.fields));
        let mut current = Vec::new();
        for entry in now.pairs::<Value, Value>() {
            current.push(entry?);
        }
        let mut changed = false;
        for (key, value) in current {
            let gone = !new.contains_key(&Key::of(&key));
            if gone {
                changed = true;
                fault::point()?;
                now.raw_set(key, Value::Nil)?;
            } else if let (Value::Table(value), Some((_, Value::Table(table)))) =
                (&value, new.get(&Key::of(&key)))
            {
                // A table in it stays the same one, with the source's content.
                let before = declared.get(&Key::of(&key));
                let before = before.map_or(Value::Nil, |(_, before)| before.clone());
                let inner = self.paths.key(Some(name), show_key(&key, self.new));
                self.meet(inner, &before, value, table, true);
            }
        }
        for (key, value) in new.values() {
            let value = self.shared.kept(value);
            let there: Value = now.raw_get(key)?;
            if there != value {
                changed = true;
                fault::point()?;
                now.raw_set(key, &value)?;
                self.shared.inserted.push((now.clone(), key.clone()));
            }
        }
        if changed {
            self.note(Change::Applied, name, "its content is the source's");
        }
        Ok(())
    }

    fn metatable(
        &mut self,
        name: Path,
        now: &Table,
        after: &Shadow,
        before: Option<&Shadow>,
    ) -> mlua::Result<()> {
        let declared = before.and_then(|shadow| shadow.metatable.clone());
        let current = now.metatable();
        let as_value = |table: &Option<Table>| table.clone().map_or(Value::Nil, Value::Table);
        let (declared, current_value) = (as_value(&declared), as_value(&current));
        let untouched = declared == current_value;
        let path = self.paths.metatable(name);
        match (&current, &after.metatable) {
            (None, None) => {}
            (Some(_), None) if untouched => {
                fault::point()?;
                now.set_metatable(None)?;
                self.note(Change::Removed, path, "");
            }
            (None, Some(new)) if untouched => {
                self.set_metatable(now, new)?;
                self.note(Change::Added, path, "");
            }
            (Some(now_metatable), Some(new)) if untouched => {
                let is_ours =
                    self.old.owns(&declared) && self.is_newcomer(&Value::Table(new.clone()));
                if is_ours {
                    self.meet_tables(path, &declared, now_metatable, new);
                } else if now_metatable != new {
                    self.set_metatable(now, new)?;
                    self.note(Change::Applied, path, "");
                }
            }
            _ => self.note(Change::Kept, path, "it was changed at run time"),
        }
        Ok(())
    }

    fn set_metatable(&mut self, table: &Table, metatable: &Table) -> mlua::Result<()> {
        fault::point()?;
        table.set_metatable(Some(metatable.clone()))?;
        self.shared.dressed.push(table.clone());
        Ok(())
    }

    /// The key under which the running table has what the new source has under `key`.
    fn old_key(&self, key: &Value, declared: &Fields) -> Value {
        let old = match key {
            Value::Function(function) => self.new.function(function).and_then(|new| {
                let old = self.pairing.old_functions.get(&new)?;
                let function = &self.old.declared.functions[*old].function;
                Some(Value::Function(function.clone()))
            }),
            Value::Table(_) => self
                .pairing
                .old_tables
                .get(&address(key))
                .and_then(|old| declared.get(&Key::Object(*old)))
                .map(|(key, _)| key.clone()),
            _ => None,
        };
        old.unwrap_or_else(|| key.clone())
    }
}

/// Keys 1 to n and nothing else, and at least one.
fn is_sequence(fields: &[(Value, Value)]) -> bool {
    !fields.is_empty()
        && fields.iter().all(|(key, _)| {
            matches!(key, Value::Integer(number)
                if *number >= 1 && *number as usize <= fields.len())
        })
}

/// Whether a table has exactly the declared fields.
fn is_as_declared(table: &Table, declared: &Fields) -> mlua::Result<bool> {
    let mut count = 0;
    for entry in table.pairs::<Value, Value>() {
        let (key, value) = entry?;
        count += 1;
        if declared
            .get(&Key::of(&key))
            .is_none_or(|(_, before)| *before != value)
        {
            return Ok(false);
        }
    }
    Ok(count == declared.len())
}
