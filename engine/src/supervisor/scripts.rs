//! Lua sources on their way to the host: when files change they are gathered into artifacts,
//! one for each module, and go the way that builds go.

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

/// What was gathered last of each module.
#[derive(Default)]
pub(super) struct Scripts(HashMap<String, State>);

/// The sources of a module at a moment.
#[derive(Clone, PartialEq, Eq)]
enum State {
    /// Content of the artifact.
    Good(u64),
    /// What is wrong.
    Bad(Vec<BundleProblem>),
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
            .0
            .retain(|known, _| modules.iter().any(|module| module.name == *known));
        let mut changed = Vec::new();
        for module in modules {
            let (state, bytes) = self.gather(&module);
            let last = self.scripts.0.insert(module.name.clone(), state.clone());
            if last.as_ref() != Some(&state) {
                changed.push((module.name, state, bytes));
            }
        }
        let is_lua = |file: &&PathBuf| file.extension().is_some_and(|end| end == "lua");
        let sources: Vec<PathBuf> = files.iter().filter(is_lua).cloned().collect();
        let names: Vec<String> = changed.iter().map(|(name, ..)| name.clone()).collect();
        if names.len() > 1 {
            self.scripts_together(&names);
        }
        for (name, state, bytes) in changed {
            self.script_detected(&sources, &name);
            self.hand_in(&name, state, &bytes, trigger, start, false);
        }
    }

    /// A client asks for a module to be loaded again, if that is a Lua module.
    pub(super) fn reload_script(&mut self, client: ClientId, id: u64, name: &str) -> bool {
        let start = Instant::now();
        let Some(module) = self.lua_modules(Some(name)).pop() else {
            return false;
        };
        let (state, bytes) = self.gather(&module);
        self.scripts.0.insert(module.name.clone(), state.clone());
        self.wait_for_script(name, client, id);
        self.hand_in(name, state, &bytes, "request", start, true);
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
    fn gather(&self, module: &ModuleConfig) -> (State, Vec<u8>) {
        let path = self.project.root.join(&module.path);
        let shown = |path: &Path| self.shorten(path);
        let is_module = |name: &str| {
            let mut modules = self.config.modules.iter();
            modules.any(|module| module.kind == ModuleKind::Lua && module.name == name)
        };
        let gathered = Bundle::collect(&module.name, &path, shown, is_module);
        let checked = gathered.and_then(|bundle| {
            let problems = bundle.check();
            if problems.is_empty() {
                Ok(bundle.to_bytes())
            } else {
                Err(problems)
            }
        });
        match checked {
            Ok(bytes) => (State::Good(content_hash(&bytes)), bytes),
            Err(problems) => (State::Bad(problems), Vec::new()),
        }
    }

    fn hand_in(
        &mut self,
        name: &str,
        state: State,
        bytes: &[u8],
        trigger: &str,
        start: Instant,
        forced: bool,
    ) {
        let result = match state {
            State::Good(hash) => self.publish(name, hash, bytes).map_err(|error| {
                let message = format!("its artifact cannot be written: {error}");
                vec![problem(name, "", 0, &message)]
            }),
            State::Bad(problems) => Err(problems
                .iter()
                .map(|wrong| problem(name, &wrong.file, wrong.line, &wrong.message))
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

fn problem(module: &str, file: &str, line: u32, message: &str) -> Problem {
    let place = match (file, line) {
        ("", _) => String::new(),
        (file, 0) => format!("\n --> {file}"),
        (file, line) => format!("\n --> {file}:{line}"),
    };
    Problem {
        module: module.to_owned(),
        file: file.to_owned(),
        line,
        rendered: format!("error: {message}{place}\n"),
        message: message.to_owned(),
        ..Problem::default()
    }
}
