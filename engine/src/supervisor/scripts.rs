//! Lua sources on their way to the host: when files change they are gathered into artifacts,
//! one for each module, and go the way that builds go.
//!
//! | module | holds |
//! |---|---|
//! | [`push`] | sources that clients push |
//! | [`pushed`] | their texts, which stand for files |

mod push;
mod pushed;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use engine_lua::{Bundle, BundleProblem};
use inspector_protocol::content_hash;
use inspector_protocol::status::Problem;

use super::Supervisor;
use super::hub::ClientId;
use super::reloads::Gathered;
use crate::config::{ModuleConfig, ModuleKind};
pub(crate) use pushed::PushedFiles;

/// What the history calls a push.
pub(super) const PUSH: &str = "push";

/// What was gathered last of each module, and what stands for files.
#[derive(Default)]
pub(super) struct Scripts {
    last: HashMap<String, Last>,
    pub(super) pushed: PushedFiles,
}

/// What was gathered last of a module.
struct Last {
    state: State,
    files: Vec<(String, PathBuf)>,
    /// Something else runs since then, which stays so until one of the files is saved.
    went_back: bool,
}

/// The sources of a module at a moment.
struct Now {
    state: State,
    /// The artifact.
    bytes: Vec<u8>,
    /// What `require` calls each file, and where it is. The module's own, and those that were
    /// known before, if something is wrong.
    files: Vec<(String, PathBuf)>,
}

/// What came of gathering sources.
#[derive(Clone, PartialEq, Eq)]
enum State {
    /// Content of the artifact.
    Good(u64),
    /// What is wrong.
    Bad(Vec<BundleProblem>),
}

impl Scripts {
    /// The files that a module is made of, as far as is known.
    fn files_of(&self, module: &str) -> &[(String, PathBuf)] {
        self.last.get(module).map_or(&[], |last| &last.files)
    }

    fn remember(&mut self, module: &str, now: &Now) {
        let last = Last {
            state: now.state.clone(),
            files: now.files.clone(),
            went_back: false,
        };
        self.last.insert(module.to_owned(), last);
    }

    /// Something else runs than was made of the sources. Returns the module's files.
    fn went_back(&mut self, module: &str) -> Vec<(String, PathBuf)> {
        let last = self.last.get_mut(module);
        last.map_or_else(Vec::new, |last| {
            last.went_back = true;
            last.files.clone()
        })
    }
}

impl Last {
    /// Whether a module has to be loaded, now that these files were saved. `runs`: what was
    /// gathered runs already.
    fn is_outdated(&self, now: &Now, saved: &[PathBuf], runs: bool) -> bool {
        let mut files = self.files.iter().chain(&now.files);
        let is_saved = self.files != now.files || files.any(|(_, file)| saved.contains(file));
        let is_other = self.state != now.state;
        // Saved once more, it is wanted once more.
        let is_again = is_saved && !runs && matches!(now.state, State::Good(_));
        (is_saved || !self.went_back) && (is_other || is_again)
    }
}

impl Supervisor {
    /// Files have changed, any of which may be a source.
    pub(super) fn scripts_changed(&mut self, files: &[PathBuf]) {
        if let Some(first) = files.first() {
            let trigger = self.shorten(first);
            self.gather_scripts(&trigger, files);
        }
    }

    /// Gathers the sources of all Lua modules, and has those loaded that are others than
    /// before: together, since they were saved together.
    pub(super) fn gather_scripts(&mut self, trigger: &str, files: &[PathBuf]) {
        let start = Instant::now();
        let modules = self.lua_modules(None);
        self.scripts
            .last
            .retain(|known, _| modules.iter().any(|module| module.name == *known));
        self.scripts.pushed.forget(files);
        let mut changed = Vec::new();
        for module in modules {
            let now = self.gather(&module);
            let runs =
                matches!(now.state, State::Good(hash) if self.reloads.has(&module.name, hash));
            let last = self.scripts.last.get(&module.name);
            if last.is_none_or(|last| last.is_outdated(&now, files, runs)) {
                self.scripts.remember(&module.name, &now);
                changed.push((module.name, now));
            }
        }
        let is_lua = |file: &&PathBuf| file.extension().is_some_and(|end| end == "lua");
        let sources: Vec<PathBuf> = files.iter().filter(is_lua).cloned().collect();
        let names: Vec<String> = changed.iter().map(|(name, _)| name.clone()).collect();
        if names.len() > 1 {
            self.scripts_together(&names);
        }
        for (name, now) in changed {
            self.script_detected(&sources, &name);
            self.hand_in(&name, now, trigger, start, false);
        }
    }

    /// A client asks for a module to be loaded again, if that is a Lua module.
    pub(super) fn reload_script(&mut self, client: ClientId, id: u64, name: &str) -> bool {
        let start = Instant::now();
        let Some(module) = self.lua_modules(Some(name)).pop() else {
            return false;
        };
        let now = self.gather(&module);
        self.scripts.remember(&module.name, &now);
        self.wait_for_script(name, client, id);
        self.hand_in(name, now, "request", start, true);
        true
    }

    fn lua_modules(&self, name: Option<&str>) -> Vec<ModuleConfig> {
        let modules = self.config.modules.iter();
        let lua = modules.filter(|module| {
            module.kind == ModuleKind::Lua && name.is_none_or(|name| module.name == name)
        });
        lua.cloned().collect()
    }

    /// The sources of a module as they are now, and the artifact that is made of them.
    fn gather(&self, module: &ModuleConfig) -> Now {
        let path = self.project.root.join(&module.path);
        let text_of = |path: &Path| self.scripts.pushed.text_of(path);
        let shown = |path: &Path| self.shorten(path);
        let is_module = |name: &str| {
            let mut modules = self.config.modules.iter();
            modules.any(|other| {
                let is_reached = other.kind == ModuleKind::Lua && other.domain == module.domain;
                is_reached && other.name == name
            })
        };
        let gathered = Bundle::collect(&module.name, &path, text_of, shown, is_module);
        let mut files = vec![(module.name.clone(), path)];
        let checked = match gathered {
            Ok(mut bundle) => {
                bundle.domain.clone_from(&module.domain);
                let required = bundle.files.iter().skip(1);
                let place = |file: &str| self.project.root.join(file);
                files.extend(required.map(|file| (file.module.clone(), place(&file.file))));
                match bundle.check() {
                    problems if problems.is_empty() => Ok(bundle.to_bytes()),
                    problems => Err(problems),
                }
            }
            Err(problems) => {
                let known = self.scripts.files_of(&module.name).iter();
                let required = known.filter(|(name, _)| *name != module.name);
                files.extend(required.cloned());
                Err(problems)
            }
        };
        let (state, bytes) = match checked {
            Ok(bytes) => (State::Good(content_hash(&bytes)), bytes),
            Err(problems) => (State::Bad(problems), Vec::new()),
        };
        Now {
            state,
            bytes,
            files,
        }
    }

    fn hand_in(&mut self, name: &str, now: Now, trigger: &str, start: Instant, forced: bool) {
        let result = match now.state {
            State::Good(hash) => self.publish(name, hash, &now.bytes).map_err(|error| {
                let message = format!("its artifact cannot be written: {error}");
                vec![problem_of(name, &message)]
            }),
            State::Bad(problems) => Err(problems
                .into_iter()
                .map(|wrong| problem_in(name, wrong))
                .collect()),
        };
        self.gathered(Gathered {
            module: name.to_owned(),
            result,
            trigger: trigger.to_owned(),
            since: start,
            forced,
        });
    }

    /// Writes an artifact where it outlives its host.
    fn publish(&self, name: &str, hash: u64, bytes: &[u8]) -> std::io::Result<(PathBuf, u64)> {
        let folder = self.state.join("scripts");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{name}-{hash:016x}.json"));
        if !file.exists() {
            // Never half a file under the name that the host is told.
            let draft = folder.join(format!("{name}.tmp"));
            std::fs::write(&draft, bytes)?;
            std::fs::rename(&draft, &file)?;
        }
        Ok((file, hash))
    }
}

fn problem_of(module: &str, message: &str) -> Problem {
    Problem {
        module: module.to_owned(),
        rendered: format!("error: {message}\n"),
        message: message.to_owned(),
        ..Problem::default()
    }
}

fn problem_in(module: &str, wrong: BundleProblem) -> Problem {
    Problem {
        rendered: format!("error: {}\n --> {}\n", wrong.message, wrong.place()),
        file: wrong.file,
        line: wrong.line,
        column: wrong.column,
        ..problem_of(module, &wrong.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_loaded_when_its_sources_change_or_are_saved_again() {
        let files = |names: &[&str]| -> Vec<(String, PathBuf)> {
            let file = |name: &&str| ((*name).to_owned(), PathBuf::from(name));
            names.iter().map(file).collect()
        };
        let check = |went_back: bool, names: &[&str], hash: u64, saved: &str, runs: bool| {
            let last = Last {
                state: State::Good(1),
                files: files(&["a", "b"]),
                went_back,
            };
            let now = Now {
                state: State::Good(hash),
                bytes: Vec::new(),
                files: files(names),
            };
            last.is_outdated(&now, &[PathBuf::from(saved)], runs)
        };
        let own = ["a", "b"];
        // What runs is what was gathered last, and so are the sources.
        assert!(!check(false, &own, 1, "a", true));
        // They have changed, whatever event said so.
        assert!(check(false, &own, 2, "a", false));
        assert!(check(false, &own, 2, "other", false));
        // It did not get in, or was rolled back, and is saved again.
        assert!(check(false, &own, 1, "b", false));
        assert!(check(true, &own, 1, "b", false));
        // It was rolled back, and something else is saved.
        assert!(!check(true, &own, 1, "other", false));
        assert!(!check(true, &own, 2, "other", false));
        assert!(check(true, &own, 2, "a", false));
        // A file that comes along is saved as well.
        assert!(check(true, &["a", "b", "c"], 2, "other", false));
        // What was rolled back is what the sources say again.
        assert!(check(true, &own, 2, "a", true));
    }
}
