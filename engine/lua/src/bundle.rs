//! The sources of a module as one artifact: its own file, and those that it requires.
//!
//! A file is a module named after its place beside the module's own: `require "ai.path"` is
//! `ai/path.lua` in that file's folder. What `require` is given has to be written in the source
//! as text; names that are made at run time find what others have required.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use mlua::{Lua, LuaOptions, StdLib};
use serde::{Deserialize, Serialize};

use crate::cells;
use crate::chunk::Source;
use crate::error::ScriptError;
use crate::outline::required;

/// Largest source that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// The sources of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The module's own source first, then those that it requires, in the order in which they
    /// were found.
    pub files: Vec<BundledFile>,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledFile {
    /// What `require` calls it; the module's own has the module's name.
    pub module: String,
    /// File as it is shown in errors: `assets/scripts/enemy.lua`.
    pub file: String,
    /// Lua source text.
    pub text: String,
}

impl BundledFile {
    /// The source as a domain takes it.
    pub(crate) fn source(&self) -> Source {
        Source::new(self.file.as_str(), self.text.as_str())
    }
}

/// What is wrong with a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct BundleProblem {
    /// File as it is shown.
    pub file: String,
    /// Line, from 1; 0 if it is the file as a whole.
    pub line: u32,
    /// What, and what to do.
    pub message: String,
}

impl Bundle {
    /// Reads a module's source and those that it requires. `shown` makes the names that people
    /// see of paths; `is_module` says what `require` finds without a file, as other modules of
    /// the game.
    ///
    /// # Errors
    /// The files that cannot be read.
    pub fn collect(
        module: &str,
        path: &Path,
        shown: impl Fn(&Path) -> String,
        is_module: impl Fn(&str) -> bool,
    ) -> Result<Self, Vec<BundleProblem>> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut files: Vec<BundledFile> = Vec::new();
        let mut problems = Vec::new();
        let mut waiting = VecDeque::from([(module.to_owned(), path.to_path_buf())]);
        while let Some((name, path)) = waiting.pop_front() {
            if files.iter().any(|known| known.module == name) {
                continue;
            }
            let file = shown(&path);
            match read(&path) {
                Ok(text) if text.trim().is_empty() => problems.push(BundleProblem {
                    file,
                    line: 0,
                    message: "is empty; a module returns a table".to_owned(),
                }),
                Ok(text) => {
                    for (name, line) in required(&text) {
                        let place = place_of(folder, &name);
                        if let Some(place) = place.filter(|place| place.is_file()) {
                            waiting.push_back((name, place));
                        } else if name != "hot" && !is_module(&name) {
                            let place = name.replace('.', "/");
                            problems.push(BundleProblem {
                                file: file.clone(),
                                line,
                                message: format!(
                                    "there is no module `{name}`; it would be `{place}.lua` beside \
                                     the module's own file"
                                ),
                            });
                        }
                    }
                    files.push(BundledFile {
                        module: name,
                        file,
                        text,
                    });
                }
                Err(message) => problems.push(BundleProblem {
                    file,
                    line: 0,
                    message,
                }),
            }
        }
        if problems.is_empty() {
            Ok(Self { files })
        } else {
            Err(problems)
        }
    }

    /// The artifact.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Text and lists of text have no way to fail.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// Why it is none, for people.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let bundle: Self = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is no bundle of Lua sources: {error}"))?;
        if bundle.files.is_empty() {
            return Err("it is a bundle without sources".to_owned());
        }
        Ok(bundle)
    }

    /// Compiles all sources and runs none. Empty if all is well.
    pub fn check(&self) -> Vec<BundleProblem> {
        let Ok(lua) = Lua::new_with(StdLib::NONE, LuaOptions::default()) else {
            return Vec::new();
        };
        let check = |file: &BundledFile| {
            let chunk = format!("@{}#0", file.file.replace('\0', " "));
            let chunk = std::ffi::CString::new(chunk).unwrap_or_default();
            let error = cells::compile(&lua, &chunk, file.text.as_bytes()).err()?;
            let error = ScriptError::new(&error);
            Some(BundleProblem {
                file: file.file.clone(),
                line: error.place.map_or(0, |place| place.line),
                message: error.message,
            })
        };
        self.files.iter().filter_map(check).collect()
    }
}

/// Where the source of a required module would be.
fn place_of(folder: &Path, name: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = name.split('.').collect();
    let is_name = |part: &&str| {
        let mut characters = part.chars();
        !part.is_empty() && characters.all(|c| c.is_alphanumeric() || c == '_' || c == '-')
    };
    if name == "hot" || !parts.iter().all(is_name) {
        return None;
    }
    let mut place = folder.to_path_buf();
    place.extend(&parts);
    place.set_extension("lua");
    Some(place)
}

fn read(path: &Path) -> Result<String, String> {
    let about = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if about.len() > LARGEST {
        let (size, most) = (about.len() >> 20, LARGEST >> 20);
        return Err(format!("has {size} MiB; a source has at most {most} MiB"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = String::from_utf8_lossy(good).matches('\n').count() + 1;
        format!("is no UTF-8 text from line {line} on; save it as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn collect(folder: &tempfile::TempDir) -> Result<Bundle, Vec<BundleProblem>> {
        let shown = |path: &Path| {
            let inside = path.strip_prefix(folder.path()).unwrap();
            inside.display().to_string()
        };
        Bundle::collect("enemies", &folder.path().join("main.lua"), shown, |name| {
            name == "waves"
        })
    }

    #[test]
    fn what_is_required_comes_along_each_once() {
        let folder = folder(&[
            (
                "main.lua",
                "local a = require 'a'; require(\"ai.path\"); require \"hot\" require 'waves'",
            ),
            ("a.lua", "require [[ai.path]]; return {}"),
            ("ai/path.lua", "pcall(require, 'not_there'); return 1"),
            ("other.lua", "return 2"),
        ]);
        let bundle = collect(&folder).unwrap();
        let names: Vec<_> = bundle
            .files
            .iter()
            .map(|file| (file.module.as_str(), file.file.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                ("enemies", "main.lua"),
                ("a", "a.lua"),
                ("ai.path", "ai/path.lua")
            ]
        );
        assert_eq!(Bundle::from_bytes(&bundle.to_bytes()), Ok(bundle));
    }

    #[test]
    fn what_cannot_be_read_or_compiled_is_named() {
        let gone = collect(&folder(&[])).unwrap_err();
        assert!(
            gone[0]
                .to_string()
                .starts_with("main.lua:0: cannot be read")
        );
        let wrong = folder(&[
            ("main.lua", "require 'a'\nlocal x =\n= 1"),
            ("a.lua", "return 1"),
        ]);
        let problems = collect(&wrong).unwrap().check();
        assert_eq!(problems.len(), 1);
        assert_eq!(
            (problems[0].file.as_str(), problems[0].line),
            ("main.lua", 3)
        );
        let missing = folder(&[("main.lua", "\nrequire('../secret')\nrequire 'gone.too'")]);
        let problems = collect(&missing).unwrap_err();
        let shown: Vec<_> = problems
            .iter()
            .map(|problem| (problem.line, &problem.message))
            .collect();
        assert!(
            shown[0].0 == 2 && shown[0].1.contains("../secret"),
            "{shown:?}"
        );
        assert!(
            shown[1].0 == 3 && shown[1].1.contains("gone/too.lua"),
            "{shown:?}"
        );
        let folder = folder(&[("main.lua", " \n")]);
        assert!(
            collect(&folder).unwrap_err()[0]
                .message
                .starts_with("is empty")
        );
        std::fs::write(folder.path().join("main.lua"), b"-- ok\n\xff").unwrap();
        let problems = collect(&folder).unwrap_err();
        assert!(
            problems[0].message.contains("from line 2 on"),
            "{problems:?}"
        );
        assert!(Bundle::from_bytes(b"{}").is_err());
        assert!(Bundle::from_bytes(b"{\"files\":[]}").is_err());
    }
}
