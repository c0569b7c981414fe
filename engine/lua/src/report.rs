//! What a reload did, thing by thing.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// What became of one function or variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The new source's is in use.
    Applied,
    /// New in the source.
    Added,
    /// Gone from the source, and deleted.
    Removed,
    /// The run-time value stays though the source says something else.
    Kept,
    /// The run-time value is gone.
    Lost,
    /// The edit could not be carried to all that it concerns.
    NotApplied,
    /// Something to look at.
    Warning,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied => "applied",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Kept => "kept",
            Self::Lost => "lost",
            Self::NotApplied => "not applied",
            Self::Warning => "warning",
        })
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What became of it.
    pub change: Change,
    /// `enemy.config.speed`, `local hits`, `function at line 12`.
    pub what: String,
    /// Why, and what can be done; may be empty.
    pub note: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.change, self.what)?;
        if !self.note.is_empty() {
            write!(f, ": {}", self.note)?;
        }
        Ok(())
    }
}

/// What a reload did to one module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleReport {
    /// The module.
    pub module: String,
    /// Version before; `None` for a module that was not loaded.
    pub from: Option<u32>,
    /// Version that runs now.
    pub to: u32,
    /// All that happened, in the order in which it was found.
    pub entries: Vec<Entry>,
}

impl ModuleReport {
    pub(crate) fn note(
        &mut self,
        change: Change,
        what: impl Into<String>,
        note: impl Into<String>,
    ) {
        self.entries.push(Entry {
            change,
            what: what.into(),
            note: note.into(),
        });
    }

    /// Whether anything of the new source is in use that was not before.
    pub fn changed_anything(&self) -> bool {
        self.from.is_none()
            || self.entries.iter().any(|entry| {
                matches!(
                    entry.change,
                    Change::Applied | Change::Added | Change::Removed | Change::Lost
                )
            })
    }
}

/// How long the steps of a transaction took that grow with the heap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Recording the heap as it was.
    pub snapshot: Duration,
    /// Finding what the new sources made.
    pub search: Duration,
    /// Setting references to new functions.
    pub redirect: Duration,
    /// All of it.
    pub total: Duration,
}

/// A reload that takes longer is said to.
const NOTABLE: Duration = Duration::from_millis(16);

/// What a transaction did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// In the order in which the modules were loaded.
    pub modules: Vec<ModuleReport>,
    /// Objects in the heap before; what a reload costs grows with it.
    pub objects: usize,
    /// References that were set to new functions or kept tables.
    pub redirected: usize,
    /// Closures that kept an old body.
    pub old_bodies: usize,
    /// What took how long.
    pub cost: Cost,
    /// Modules that may have copied what changed, and did not accept it.
    pub(crate) follow: BTreeSet<String>,
}

impl Report {
    /// What it cost, for people, if that is more than a frame has: with the number of objects,
    /// which it grows with.
    pub fn notable_cost(&self) -> Option<String> {
        let milliseconds = self.cost.total.as_millis();
        (milliseconds >= NOTABLE.as_millis()).then(|| {
            format!(
                "the reload took {milliseconds} ms with {} objects in the heap of Lua",
                self.objects
            )
        })
    }

    /// What happened to a module.
    pub fn module(&self, name: &str) -> Option<&ModuleReport> {
        self.modules.iter().find(|module| module.module == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reload_names_what_it_cost() {
        let of = |milliseconds: u64| {
            let cost = Cost {
                total: Duration::from_millis(milliseconds),
                ..Cost::default()
            };
            let report = Report {
                objects: 221_425,
                cost,
                ..Report::default()
            };
            report.notable_cost()
        };
        assert_eq!(of(9), None);
        let line = "the reload took 97 ms with 221425 objects in the heap of Lua";
        assert_eq!(of(97).as_deref(), Some(line));
    }
}
