//! Sources that clients push: they go the way that saved ones go, and stand for the file until
//! that changes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use engine_lua::{Bundle, BundleProblem, LARGEST_SOURCE, check_source, patched, too_large};
use inspector_protocol::message::{Answer, Event, LARGEST_PUSH, LogLevel, Push};
use inspector_protocol::status::ReloadOutcome;

use super::{Now, PUSH, State};
use crate::config::ModuleKind;
use crate::supervisor::Supervisor;
use crate::supervisor::hub::ClientId;

// What may be pushed may be saved.
const _: () = assert!(LARGEST_PUSH == LARGEST_SOURCE);

/// The file whose text a push replaces.
struct Target {
    /// A module that is made of it.
    module: String,
    /// What `require` calls the file there; the module's own has the module's name.
    name: String,
    path: PathBuf,
}

/// Why a push does not get in.
struct Refused {
    outcome: ReloadOutcome,
    message: String,
}

impl Refused {
    fn does_not_compile(problems: &[BundleProblem]) -> Self {
        let message = match problems {
            [one] => one.to_string(),
            [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
            [] => String::new(),
        };
        Self {
            outcome: ReloadOutcome::CompileError,
            message,
        }
    }
}

impl Supervisor {
    /// A client pushes a source.
    pub(in crate::supervisor) fn push(&mut self, client: ClientId, id: u64, push: &Push) {
        let start = Instant::now();
        let target = match self.push_target(push) {
            Ok(target) => target,
            Err(text) => {
                let answer = Answer::Error(text);
                return self.hub.send(client, Event::Answer { id, answer });
            }
        };
        let module = target.module.clone();
        let line = format!("{} is pushed to '{}'", push.name, push.module);
        self.log_about(LogLevel::Info, &module, line);
        let text = match self.pushed_text(push, &target) {
            Ok(text) => text,
            Err(refused) => return self.refuse_push(&module, refused, start, (client, id)),
        };
        let before = self.scripts.pushed.put(&target.path, text);
        match self.gather_pushed(push, &target) {
            Ok(modules) => self.load_pushed(&module, modules, start, (client, id)),
            Err(refused) => {
                self.scripts.pushed.put_back(&target.path, before);
                self.refuse_push(&module, refused, start, (client, id));
            }
        }
    }

    /// Which file is meant.
    ///
    /// # Errors
    /// Why there is none, for people.
    fn push_target(&self, push: &Push) -> Result<Target, String> {
        let length = push.text.len() as u64;
        if length > LARGEST_SOURCE {
            return Err(format!("{} {}", push.name, too_large(length)));
        }
        let name = &push.module;
        let mut known = self.config.modules.iter();
        if let Some(module) = known.find(|known| known.name == *name) {
            return match module.kind {
                ModuleKind::Lua => Ok(Target {
                    module: name.clone(),
                    name: name.clone(),
                    path: self.project.root.join(&module.path),
                }),
                ModuleKind::Native => Err(format!(
                    "`{name}` is a native module, and those are compiled from their files; {}",
                    self.what_can_be_pushed()
                )),
            };
        }
        let mut targets: Vec<Target> = Vec::new();
        for module in self.lua_modules(None) {
            let found = self.scripts.files_of(&module.name);
            let found = found.iter().find(|(required, _)| required == name);
            let Some((_, path)) = found else { continue };
            if targets.iter().all(|target| target.path != *path) {
                targets.push(Target {
                    module: module.name,
                    name: name.clone(),
                    path: path.clone(),
                });
            }
        }
        match targets.len() {
            0 => Err(format!(
                "there is no source `{name}`; {}",
                self.what_can_be_pushed()
            )),
            1 => Ok(targets.remove(0)),
            _ => {
                let files = targets.iter().map(|target| self.shorten(&target.path));
                let files: Vec<String> = files.collect();
                Err(format!(
                    "`{name}` is several files, {}; save the one that is meant",
                    files.join(" and ")
                ))
            }
        }
    }

    fn what_can_be_pushed(&self) -> String {
        let mut names: Vec<String> = Vec::new();
        for module in self.lua_modules(None) {
            names.push(module.name.clone());
            let files = self.scripts.files_of(&module.name);
            names.extend(files.iter().map(|(name, _)| name.clone()));
        }
        names.sort();
        names.dedup();
        match names.as_slice() {
            [] => "there are no Lua modules to push to".to_owned(),
            names => format!("what can be pushed: {}", names.join(", ")),
        }
    }

    /// The whole text of the file.
    fn pushed_text(&self, push: &Push, target: &Target) -> Result<String, Refused> {
        if !push.is_patch {
            return Ok(push.text.clone());
        }
        if let Some(problem) = check_source(&push.name, &push.text) {
            return Err(Refused::does_not_compile(&[problem]));
        }
        let running = self.running_text(&target.module, &target.name);
        let running = running.ok_or_else(|| {
            format!(
                "no version of `{}` runs that {} could be put into; push the whole source",
                target.name, push.name
            )
        });
        let merged = running.and_then(|running| {
            patched(&running, &push.text).map_err(|why| format!("{}: {why}", push.name))
        });
        merged.map_err(|message| Refused {
            outcome: ReloadOutcome::Rejected,
            message,
        })
    }

    /// The text that runs of a file.
    fn running_text(&self, module: &str, name: &str) -> Option<String> {
        let bundle = self.running_bundle(module)?;
        let mut files = bundle.files.into_iter();
        let found = files.find(|file| file.module == name)?;
        Some(found.text)
    }

    /// The sources that run of a module.
    pub(super) fn running_bundle(&self, module: &str) -> Option<Bundle> {
        let bytes = std::fs::read(self.reloads.running_artifact(module)?).ok()?;
        Bundle::from_bytes(&bytes).ok()
    }

    /// The modules that are made of the file, with what was pushed in its place.
    fn gather_pushed(&self, push: &Push, target: &Target) -> Result<Vec<(String, Now)>, Refused> {
        let has_it = |files: &[(String, PathBuf)]| files.iter().any(|(_, at)| *at == target.path);
        let mut modules = Vec::new();
        for module in self.lua_modules(None) {
            let now = self.gather(&module);
            if !has_it(&now.files) && module.name != target.module {
                continue;
            }
            if let State::Bad(mut problems) = now.state {
                if !push.is_patch {
                    let file = self.shorten(&target.path);
                    let its = problems.iter_mut().filter(|problem| problem.file == file);
                    its.for_each(|problem| problem.file.clone_from(&push.name));
                }
                return Err(Refused::does_not_compile(&problems));
            }
            modules.push((module.name, now));
        }
        Ok(modules)
    }

    /// Loads the modules that another source was pushed to. The client hears what becomes of
    /// `module`, or of another if that one does not change.
    fn load_pushed(
        &mut self,
        module: &str,
        mut modules: Vec<(String, Now)>,
        start: Instant,
        (client, id): (ClientId, u64),
    ) {
        let runs = |name: &str, now: &Now| matches!(now.state, State::Good(hash) if self.reloads.has(name, hash));
        if modules.iter().any(|(name, now)| !runs(name, now)) {
            modules.retain(|(name, now)| !runs(name, now));
        } else {
            modules.retain(|(name, _)| name == module);
        }
        let names: Vec<String> = modules.iter().map(|(name, _)| name.clone()).collect();
        let awaited = names.iter().find(|name| *name == module).or(names.first());
        if let Some(awaited) = awaited {
            self.wait_for_script(awaited, client, id);
        }
        if names.len() > 1 {
            self.scripts_together(&names);
        }
        for (name, now) in modules {
            self.scripts.remember(&name, &now);
            self.hand_in(&name, now, PUSH, start, false);
        }
    }

    /// Nothing was touched.
    fn refuse_push(
        &mut self,
        module: &str,
        refused: Refused,
        start: Instant,
        client: (ClientId, u64),
    ) {
        let Refused { outcome, message } = refused;
        let how = match outcome {
            ReloadOutcome::CompileError => "does not compile",
            _ => "rejected",
        };
        let line = format!("Module '{module}' {how}: {message}");
        self.log_about(LogLevel::Error, module, line);
        self.push_refused(module, outcome, message, start, client);
    }

    /// What a module runs is no longer, or was never, what was made of its sources: it was rolled
    /// back, or something that was pushed did not get in. That stays so until a source is saved.
    pub(in crate::supervisor) fn script_went_back(&mut self, module: &str) {
        if self.lua_modules(Some(module)).is_empty() {
            return;
        }
        let running = self.running_bundle(module);
        for (name, path) in self.scripts.went_back(module) {
            let mut files = running.iter().flat_map(|bundle| &bundle.files);
            let file = files.find(|file| file.module == name);
            let text = file.map(|file| file.text.as_str());
            self.scripts.pushed.runs(Path::new(&path), text);
        }
    }
}
