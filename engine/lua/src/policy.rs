//! What a module says about its own reloads, in its field (or global) `__reload`.
//!
//! ```lua
//! M.__reload = {
//!     rename = { new_name = "old_name" },   -- locals that have another name now
//!     replace = { "config", "config.levels" }, -- tables that are the source's, whole
//!     untouched = "new",   -- data that nobody changed at run time takes the new value
//! }
//! M.__reload = "never"     -- the running version stays
//! ```

use std::collections::{BTreeMap, BTreeSet};

use mlua::{Table, Value};

/// What `__reload` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) never: bool,
    /// Old names of locals by new ones.
    pub(crate) renames: BTreeMap<String, String>,
    pub(crate) replace: BTreeSet<String>,
    pub(crate) untouched_is_new: bool,
}

impl Policy {
    /// Reads the policy of a module from what it returned, or else from its globals.
    pub(crate) fn of(value: &Value, globals: &Table) -> mlua::Result<Self> {
        let said: Value = match value {
            Value::Table(module) => module.raw_get("__reload")?,
            _ => globals.raw_get("__reload")?,
        };
        let mut policy = Self::default();
        match said {
            Value::String(word) => policy.never = word == "never",
            Value::Table(table) => {
                policy.never = is_word(&table, "reload", "never")?;
                policy.untouched_is_new = is_word(&table, "untouched", "new")?;
                if let Value::Table(renames) = table.raw_get("rename")? {
                    for entry in renames.pairs::<String, String>() {
                        let (new, old) = entry?;
                        policy.renames.insert(new, old);
                    }
                }
                if let Value::Table(replace) = table.raw_get("replace")? {
                    for name in replace.sequence_values::<String>() {
                        policy.replace.insert(name?);
                    }
                }
            }
            _ => {}
        }
        Ok(policy)
    }
}

fn is_word(table: &Table, key: &str, word: &str) -> mlua::Result<bool> {
    let value: Value = table.raw_get(key)?;
    Ok(matches!(value, Value::String(text) if text == word))
}
