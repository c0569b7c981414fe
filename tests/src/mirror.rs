//! Makes a folder equal to a set of files. What is equal already is not written, so
//! that cargo and the watcher see only what really changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Files by path from the root, with their content.
#[derive(Debug, Default)]
pub struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl Files {
    /// Adds everything below `folder` as if it stood at `at`, without hidden entries
    /// (but with `.cargo`) and those that `is_left_out` names by their path from `folder`.
    ///
    /// # Errors
    /// If something cannot be read.
    pub fn add(
        &mut self,
        folder: &Path,
        at: &Path,
        is_left_out: &dyn Fn(&Path) -> bool,
    ) -> io::Result<()> {
        for found in walk(folder)? {
            let hidden = found
                .components()
                .map(Component::as_os_str)
                .any(|part| part != ".cargo" && part.as_encoded_bytes().starts_with(b"."));
            if !hidden && !found.ancestors().any(is_left_out) {
                // Gone since it was listed: someone else works in there.
                if let Ok(content) = fs::read(folder.join(&found)) {
                    self.0.insert(at.join(&found), content);
                }
            }
        }
        Ok(())
    }

    /// Adds one file.
    pub fn put(&mut self, path: &str, content: &str) {
        self.0.insert(path.into(), content.into());
    }

    /// Makes `folder` hold these files and no others. Returns what had to be changed.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub fn write_to(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        fs::create_dir_all(folder)?;
        for found in walk(folder)? {
            if !self.0.contains_key(&found) {
                fs::remove_file(folder.join(&found))?;
                changed.push(found);
            }
        }
        for (path, content) in &self.0 {
            let file = folder.join(path);
            if fs::read(&file).is_ok_and(|there| there == *content) {
                continue;
            }
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&file, content)?;
            changed.push(path.clone());
        }
        Ok(changed)
    }
}

/// All files below a folder, by their path from it. Leaves out `target`.
fn walk(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(relative) = folders.pop() {
        for entry in fs::read_dir(folder.join(&relative))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() && path != Path::new("target") && path != Path::new(".git") {
                folders.push(path);
            } else if kind.is_file() {
                files.push(path);
            }
        }
    }
    Ok(files)
}
