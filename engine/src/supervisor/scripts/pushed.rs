//! Texts that stand for files: what was pushed, until the file is saved or changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine_lua::read_source;
use inspector_protocol::content_hash;
use serde::{Deserialize, Serialize};

/// What was pushed, by the file whose text it stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PushedFiles(BTreeMap<PathBuf, PushedFile>);

/// A text that was pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PushedFile {
    text: String,
    /// Content hash of the file at that time; `None` if there was none.
    file: Option<u64>,
}

impl PushedFiles {
    /// The text that counts: what was pushed, or what is in the file.
    ///
    /// # Errors
    /// Why the file cannot be read, for people.
    pub(super) fn text_of(&self, path: &Path) -> Result<String, String> {
        let pushed = self.0.get(path);
        let pushed = pushed.filter(|pushed| pushed.file == content_of(path));
        pushed.map_or_else(|| read_source(path), |pushed| Ok(pushed.text.clone()))
    }

    /// A text stands for a file from now on, unless it is what the file holds. Returns what stood
    /// for it before.
    pub(super) fn put(&mut self, path: &Path, text: String) -> Option<PushedFile> {
        let file = content_of(path);
        if file == Some(content_hash(text.as_bytes())) {
            return self.0.remove(path);
        }
        self.0.insert(path.to_owned(), PushedFile { text, file })
    }

    /// Undoes a [`PushedFiles::put`].
    pub(super) fn put_back(&mut self, path: &Path, before: Option<PushedFile>) {
        match before {
            Some(before) => self.0.insert(path.to_owned(), before),
            None => self.0.remove(path),
        };
    }

    /// Another text than what was pushed runs for a file, if something was pushed to it; `None`
    /// if nothing of it runs.
    pub(super) fn runs(&mut self, path: &Path, text: Option<&str>) {
        if !self.0.contains_key(path) {
            return;
        }
        match text {
            Some(text) => self.put(path, text.to_owned()),
            None => self.0.remove(path),
        };
    }

    /// Forgets what was pushed to files that were saved or have changed: the disk wins.
    pub(super) fn forget(&mut self, saved: &[PathBuf]) {
        self.0
            .retain(|path, pushed| !saved.contains(path) && pushed.file == content_of(path));
    }
}

fn content_of(path: &Path) -> Option<u64> {
    let bytes = std::fs::read(path).ok()?;
    Some(content_hash(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_stands_for_the_file_until_that_is_saved_or_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.lua");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        let mut pushed = PushedFiles::default();
        write("old");
        assert_eq!(pushed.put(&file, "one".to_owned()), None);
        let one = pushed.put(&file, "two".to_owned());
        assert_eq!(pushed.text_of(&file), Ok("two".to_owned()));
        pushed.put_back(&file, one);
        assert_eq!(pushed.text_of(&file), Ok("one".to_owned()));

        // The next engine is told.
        let json = serde_json::to_string(&pushed).unwrap();
        assert_eq!(serde_json::from_str::<PushedFiles>(&json).unwrap(), pushed);

        // Other files do not matter; the file's own content does, and so does saving it.
        pushed.forget(&[folder.path().join("b.lua")]);
        assert_eq!(pushed.text_of(&file), Ok("one".to_owned()));
        write("new");
        assert_eq!(pushed.text_of(&file), Ok("new".to_owned()));
        write("old");
        pushed.forget(std::slice::from_ref(&file));
        assert_eq!(pushed, PushedFiles::default());

        // What the file holds needs no text to stand for it.
        pushed.put(&file, "one".to_owned());
        pushed.put(&file, "old".to_owned());
        assert_eq!(pushed, PushedFiles::default());
    }

    #[test]
    fn what_runs_instead_stands_for_the_file_where_something_was_pushed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.lua");
        std::fs::write(&file, "disk").unwrap();
        let mut pushed = PushedFiles::default();
        pushed.runs(&file, Some("one"));
        assert_eq!(pushed, PushedFiles::default());
        for (running, text) in [(Some("one"), "one"), (Some("disk"), "disk"), (None, "disk")] {
            pushed.put(&file, "two".to_owned());
            pushed.runs(&file, running);
            assert_eq!(pushed.text_of(&file), Ok(text.to_owned()));
        }
    }
}
