//! Deciding one slot by its three values.

use mlua::Value;

use super::paths::{Path, show};
use super::{Merge, address};
use crate::report::Change;

/// A slot, as far as the rules tell slots apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Field of a table, or a global.
    Field,
    /// Captured variable.
    Local,
}

/// The three values of a slot; what is not there is nil.
pub(super) struct Slot<'v> {
    pub(super) declared: &'v Value,
    /// What an earlier version declared, if that was kept since; with `untouched = "new"` it counts
    /// as untouched.
    pub(super) base: Option<&'v Value>,
    pub(super) now: &'v Value,
    pub(super) new: &'v Value,
}

impl Slot<'_> {
    fn is_untouched(&self) -> bool {
        self.declared == self.now
    }

    /// Whether nobody has set it since an earlier version declared it.
    fn is_carried(&self) -> bool {
        self.is_untouched() || self.base == Some(self.now)
    }

    fn is_edited(&self) -> bool {
        self.declared != self.new
    }
}

impl Merge<'_> {
    /// Decides a slot. Returns what it is set to; `None` if it stays as it is.
    pub(super) fn slot(&mut self, name: Path, kind: Kind, slot: &Slot<'_>) -> Option<Value> {
        let new = self.shared.kept(slot.new);
        if new == *slot.now {
            return None;
        }
        if !self.old.owns(slot.declared) || !self.is_newcomer(slot.new) {
            return self.foreign_slot(name, kind, slot, new);
        }
        match (slot.now, &new) {
            (_, Value::Function(_)) => self.function_slot(name, kind, slot, new),
            (Value::Function(_), _) if matches!(slot.declared, Value::Function(_)) => {
                self.made_way(name, slot.now);
                let note = "a function became data; the new value is in use";
                self.note(Change::Applied, name, note);
                Some(new)
            }
            (Value::Nil, _) if !slot.declared.is_nil() => {
                if slot.is_edited() && !matches!(slot.new, Value::Table(_)) {
                    self.note(Change::Kept, name, "it was cleared at run time");
                }
                None
            }
            (Value::Nil, _) => {
                self.note(Change::Added, name, "");
                Some(new)
            }
            (Value::Table(now), Value::Table(table)) => {
                self.meet_tables(name, slot.declared, now, table);
                None
            }
            _ => self.data_slot(name, slot, new),
        }
    }

    /// A value that existed before the module, in the old source or the new one: it changes
    /// in this slot alone.
    fn foreign_slot(
        &mut self,
        name: Path,
        kind: Kind,
        slot: &Slot<'_>,
        new: Value,
    ) -> Option<Value> {
        let wins = kind == Kind::Field && matches!(new, Value::Function(_));
        if wins || slot.is_untouched() {
            if slot.is_edited() {
                self.note(Change::Applied, name, "");
            }
            return Some(new);
        }
        if slot.is_edited() {
            self.note(Change::Kept, name, "it was changed at run time");
        }
        None
    }

    fn function_slot(
        &mut self,
        name: Path,
        kind: Kind,
        slot: &Slot<'_>,
        new: Value,
    ) -> Option<Value> {
        let was_function = matches!(slot.now, Value::Function(_));
        match kind {
            _ if slot.is_untouched() => {
                if slot.now.is_nil() {
                    self.note(Change::Added, name, "");
                } else if !was_function {
                    self.became_code(name, slot);
                }
                Some(new)
            }
            Kind::Local if matches!(slot.declared, Value::Function(_)) => {
                let note = "it was set to something else at run time";
                self.note(Change::Kept, name, note);
                None
            }
            _ if slot.now.is_nil() => {
                self.note(Change::Kept, name, "it was cleared at run time");
                None
            }
            _ => {
                if was_function {
                    let note = "it replaces what was set at run time";
                    self.note(Change::Applied, name, note);
                } else {
                    self.became_code(name, slot);
                }
                Some(new)
            }
        }
    }

    fn became_code(&mut self, name: Path, slot: &Slot<'_>) {
        self.made_way(name, slot.now);
        let note = format!("it was {} and is a function now", show(slot.now));
        self.note(Change::Applied, name, note);
    }

    fn data_slot(&mut self, name: Path, slot: &Slot<'_>, new: Value) -> Option<Value> {
        // A number is a number: 1 and 1.0 are of one type.
        let same_type = type_of(slot.now) == type_of(&new);
        let takes_new = (slot.is_untouched() && !same_type)
            || (slot.is_carried() && self.policy.untouched_is_new);
        if takes_new {
            let note = format!("it was {}", show(slot.now));
            self.note(Change::Applied, name, note);
            return Some(new);
        }
        if slot.is_edited() {
            let note = format!("it is {}, the source says {}", show(slot.now), show(&new));
            self.note(Change::Kept, name, note);
        }
        self.keeps_untouched = slot.is_carried();
        None
    }

    /// Whether the new source made this value.
    pub(super) fn is_newcomer(&self, value: &Value) -> bool {
        match value {
            Value::Table(_) | Value::Function(_) => self.newcomers.contains(&address(value)),
            _ => true,
        }
    }
}

pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) | Value::Number(_) => "number",
        value => value.type_name(),
    }
}
