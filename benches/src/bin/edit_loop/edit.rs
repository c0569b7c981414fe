//! The line that is edited: the body of `damage`, a rule of the game that can be
//! called by name, so that what runs can be told.

use std::fs;
use std::path::{Path, PathBuf};

use miette::{IntoDiagnostic as _, Result, WrapErr as _, miette};

/// The file, from the workspace.
const FILE: &str = "game_logic/src/calls.rs";
/// The line before the one that is edited.
const SIGNATURE: &str = "pub fn damage(attack: i32, defense: i32) -> i32 {\n";

/// A source file whose one line is edited. Put back when dropped.
pub(crate) struct Source {
    file: PathBuf,
    original: String,
    before: String,
    after: String,
}

impl Source {
    /// The file in a workspace.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let file = root.join(FILE);
        let original = fs::read_to_string(&file)
            .into_diagnostic()
            .wrap_err_with(|| format!("{} cannot be read", file.display()))?;
        let parts = original.split_once(SIGNATURE).and_then(|(before, rest)| {
            let (_, after) = rest.split_once("\n}")?;
            Some((format!("{before}{SIGNATURE}"), format!("\n}}{after}")))
        });
        let (before, after) =
            parts.ok_or_else(|| miette!("{} has no `{}`", file.display(), SIGNATURE.trim_end()))?;
        Ok(Self {
            file,
            original,
            before,
            after,
        })
    }

    /// Saves edit number `edit`. From then on `damage(12, 5)` is [`answer`].
    pub(crate) fn save(&mut self, edit: u32) -> Result<()> {
        let line = format!("    attack.saturating_sub(defense).max(0).saturating_add({edit})");
        fs::write(&self.file, format!("{}{line}{}", self.before, self.after))
            .into_diagnostic()
            .wrap_err_with(|| format!("{} cannot be written", self.file.display()))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // The worst that remains is a line that says what it is.
        let _ = fs::write(&self.file, &self.original);
    }
}

/// What `damage(12, 5)` returns after an edit.
pub(crate) fn answer(edit: u32) -> String {
    (12 - 5 + edit).to_string()
}
