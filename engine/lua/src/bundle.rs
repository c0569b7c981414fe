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
use crate::outline::{Required, required};

/// Largest source that is read, in bytes.
pub const LARGEST_SOURCE: u64 = 4 << 20;

/// The sources of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The trust domain that they run in: modules of one share a Lua state.
    #[serde(default)]
    pub domain: String,
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
#[error("{}: {message}", self.place())]
pub struct BundleProblem {
    /// File as it is shown.
    pub file: String,
    /// Line, from 1; 0 if it is the file as a whole.
    pub line: u32,
    /// Column in characters, from 1; 0 if it is the file as a whole.
    pub column: u32,
    /// What, and what to do.
    pub message: String,
}

impl BundleProblem {
    /// What is wrong with a file as a whole.
    fn of_file(file: String, message: String) -> Self {
        Self {
            file,
            line: 0,
            column: 0,
            message,
        }
    }

    /// Where it is, as people write it: `assets/scripts/enemy.lua:3:9`.
    pub fn place(&self) -> String {
        match self.line {
            0 => self.file.clone(),
            line => format!("{}:{line}:{}", self.file, self.column),
        }
    }
}

impl Bundle {
    /// Gathers a module's source and those that it requires. `text_of` gives the text of a file,
    /// as [`read_source`] does; `shown` makes the names that people see of paths; `is_module`
    /// says what `require` finds without a file, as other modules of the game. The domain is left
    /// empty.
    ///
    /// # Errors
    /// The files that cannot be read.
    pub fn collect(
        module: &str,
        path: &Path,
        text_of: impl Fn(&Path) -> Result<String, String>,
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
            match text_of(&path) {
                Ok(text) if text.trim().is_empty() => {
                    let message = "is empty; a module returns a table".to_owned();
                    problems.push(BundleProblem::of_file(file, message));
                }
                Ok(text) => {
                    for Required { name, line, column } in required(&text) {
                        let place = place_of(folder, &name);
                        if let Some(place) = place.filter(|place| place.is_file()) {
                            waiting.push_back((name, place));
                        } else if name != "hot" && !is_module(&name) {
                            let place = name.replace('.', "/");
                            problems.push(BundleProblem {
                                file: file.clone(),
                                line,
                                column,
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
                Err(message) => problems.push(BundleProblem::of_file(file, message)),
            }
        }
        if problems.is_empty() {
            Ok(Self {
                domain: String::new(),
                files,
            })
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
        let check = |file: &BundledFile| syntax_problem(&lua, &file.file, &file.text);
        self.files.iter().filter_map(check).collect()
    }
}

/// Compiles a source and runs nothing. `file` is its name in the problem.
pub fn check_source(file: &str, text: &str) -> Option<BundleProblem> {
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).ok()?;
    syntax_problem(&lua, file, text)
}

fn syntax_problem(lua: &Lua, file: &str, text: &str) -> Option<BundleProblem> {
    // A name of our own: that of the file is said once, and in our way.
    let compile = |text: &str| {
        let compiled = cells::compile(lua, c"@#0", text.as_bytes());
        compiled.err().map(|error| ScriptError::new(&error))
    };
    let error = compile(text)?;
    let Some(place) = &error.place else {
        return Some(BundleProblem::of_file(file.to_owned(), error.message));
    };
    let before = format!(":{}: ", place.line);
    let message = error.message.strip_prefix(&before);
    let message = message.unwrap_or(&error.message).to_owned();
    let column = column_of(text, place.line, &message, |cut| {
        compile(cut).is_some_and(|cut| cut.message == error.message)
    });
    Some(BundleProblem {
        file: file.to_owned(),
        line: place.line,
        column,
        message,
    })
}

/// How often a token may stand in a line before the right one is no longer looked for.
const MOST_TOKENS: usize = 16;

/// Where the token stands that a message names as `near 'x'`; 1 if it cannot be found. The same
/// token may stand in the line before: the parser stops at the first where a source that ends
/// there is wrong in the same way.
fn column_of(text: &str, line: u32, message: &str, fails_there: impl Fn(&str) -> bool) -> u32 {
    let lines = text.split_inclusive('\n');
    let start: usize = lines.take(line as usize - 1).map(str::len).sum();
    let rest = &text[start..];
    let content = rest.lines().next().unwrap_or_default();
    let near = message.rsplit_once(" near ").map_or("", |(_, token)| token);
    let token = near
        .strip_prefix('\'')
        .and_then(|token| token.strip_suffix('\''));
    let found = match token {
        Some(token) if !token.is_empty() => {
            let places = || content.match_indices(token).map(|(at, _)| at);
            let is_it = |at: &usize| fails_there(&text[..start + at + token.len()]);
            places().take(MOST_TOKENS).find(is_it).or(places().next())
        }
        _ if near == "<eof>" => Some(content.trim_end().len()),
        _ => None,
    };
    found.map_or(1, |at| content[..at].chars().count() as u32 + 1)
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

/// The text of a source.
///
/// # Errors
/// Why there is none, for people.
pub fn read_source(path: &Path) -> Result<String, String> {
    let about = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if about.len() > LARGEST_SOURCE {
        return Err(too_large(about.len()));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = String::from_utf8_lossy(good).matches('\n').count() + 1;
        format!("is no UTF-8 text from line {line} on; save it as UTF-8")
    })
}

/// What is said of a source of so many bytes.
pub fn too_large(bytes: u64) -> String {
    let (size, most) = (bytes.div_ceil(1 << 20), LARGEST_SOURCE >> 20);
    format!("has {size} MiB; a source has at most {most} MiB")
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
        let own = folder.path().join("main.lua");
        Bundle::collect("enemies", &own, read_source, shown, |name| name == "waves")
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
        assert!(gone[0].to_string().starts_with("main.lua: cannot be read"));
        let wrong = folder(&[
            ("main.lua", "require 'a'\nlocal x =\n= 1"),
            ("a.lua", "return 1"),
        ]);
        let problems = collect(&wrong).unwrap().check();
        assert_eq!(problems.len(), 1);
        assert_eq!(
            problems[0].to_string(),
            "main.lua:3:1: unexpected symbol near '='"
        );
        let missing = folder(&[("main.lua", "\nrequire('../secret')\nrequire 'gone.too'")]);
        let problems = collect(&missing).unwrap_err();
        let shown: Vec<_> = problems
            .iter()
            .map(|problem| (problem.line, &problem.message))
            .collect();
        assert!(
            shown[0].0 == 2 && shown[0].1.contains("../secret") && problems[0].column == 9,
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

    #[test]
    fn the_column_is_that_of_the_token_where_the_parser_stops() {
        for (text, place, message) in [
            ("local x = = 1", "m:1:11", "unexpected symbol near '='"),
            ("return 1\nlocal", "m:2:1", "<eof> expected near 'local'"),
            (
                "local e = 'é' local f = = 2",
                "m:1:25",
                "unexpected symbol near '='",
            ),
            ("f(1, (2)", "m:1:9", "')' expected near <eof>"),
            ("x = 'a'\ny = 'b\n", "m:2:5", "unfinished string near ''b'"),
            (
                "x = 1\ngoto there",
                "m:2:1",
                "no visible label 'there' for <goto> at line 2",
            ),
        ] {
            let problem = check_source("m", text).unwrap();
            assert_eq!(
                (problem.place().as_str(), problem.message.as_str()),
                (place, message)
            );
        }
        assert_eq!(check_source("m", "return {}"), None);
    }
}
