//! The configuration while the engine runs: read again when its file changes, and put into
//! effect where it can be.
//!
//! What is wrong with it is a problem, and what is in effect stays so. Modules that cannot be
//! found are looked for again when a manifest changes.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use engine_build::ModuleSource;
use engine_runtime::link::{ModuleSpec, ToHost};
use inspector_protocol::message::LogLevel;
use inspector_protocol::status::Problem;

use super::{Message, Supervisor};
use crate::config::{Config, ConfigError, ModuleConfig, ModuleKind, OnPanic};
use crate::project::{Packages, Project};

/// What is known about the configuration's file.
pub(super) struct Configuring {
    /// Where it is.
    pub(super) file: PathBuf,
    /// What is wrong with it.
    problems: Vec<Problem>,
    /// Whether it is being read, and has to be read again after that.
    is_reading: bool,
    is_outdated: bool,
    /// Files that may bring a module that could not be found, as they were.
    awaited: Vec<(PathBuf, Option<SystemTime>)>,
}

/// A configuration that was read.
pub(super) struct Reading {
    config: Config,
    /// Modules that are not there.
    missing: Vec<(ModuleConfig, Box<ConfigError>)>,
}

impl Configuring {
    pub(super) fn new(file: &Path) -> Self {
        Self {
            file: file.canonicalize().unwrap_or_else(|_| file.to_path_buf()),
            problems: Vec::new(),
            is_reading: false,
            is_outdated: false,
            awaited: Vec::new(),
        }
    }

    /// What is wrong with the configuration.
    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn is_awaited_there(&self) -> bool {
        self.awaited
            .iter()
            .any(|(file, before)| modified(file) != *before)
    }
}

impl Supervisor {
    /// Files below `assets` have changed.
    pub(super) fn assets_changed(&mut self, files: &[PathBuf]) {
        if files.contains(&self.configuring.file) {
            let shown = self.shorten(&self.configuring.file.clone());
            self.info(format!("Detected change in {shown}"));
            self.read_config();
        }
        self.scripts_changed(files);
    }

    /// Looks for modules that were not there.
    pub(super) fn look_for_modules(&mut self) {
        if self.configuring.is_awaited_there() {
            self.read_config();
        }
    }

    /// Reads the configuration on a thread of its own: cargo is asked for the packages.
    fn read_config(&mut self) {
        if self.configuring.is_reading {
            self.configuring.is_outdated = true;
            return;
        }
        self.configuring.awaited.clear();
        let (file, project) = (self.configuring.file.clone(), self.project.clone());
        let (profile, messages) = (self.config.profile.clone(), self.messages.clone());
        let read = move || {
            let result = read(&file, &project, &profile).map(Box::new);
            let _ = messages.send(Message::Config(result));
        };
        let thread = std::thread::Builder::new().name("config".into());
        self.configuring.is_reading = thread.spawn(read).is_ok();
    }

    /// The configuration was read.
    pub(super) fn config_read(&mut self, result: Result<Box<Reading>, Box<ConfigError>>) {
        self.configuring.is_reading = false;
        if std::mem::take(&mut self.configuring.is_outdated) {
            return self.read_config();
        }
        let shown = self.shorten(&self.configuring.file.clone());
        match result {
            Err(error) => {
                let problem = problem_of(&error, "", &shown);
                self.error(format!(
                    "{shown} is wrong, what was in effect stays so: {}",
                    problem.message
                ));
                self.configuring.problems = vec![problem];
            }
            Ok(reading) => {
                let Reading {
                    mut config,
                    missing,
                } = *reading;
                self.configuring.problems.clear();
                for (module, error) in missing {
                    let problem = problem_of(&error, &module.name, &shown);
                    self.log_about(LogLevel::Error, &module.name, problem.message.clone());
                    self.configuring.problems.push(problem);
                    self.await_module(&module);
                    // One that runs goes on.
                    let mut known = self.config.modules.iter();
                    let known = known.find(|known| known.name == module.name);
                    config.modules.extend(known.cloned());
                }
                self.configure(config);
            }
        }
        self.broadcast_status();
    }

    fn await_module(&mut self, module: &ModuleConfig) {
        let root = &self.project.root;
        let own = root.join(&module.path);
        let files = match module.kind {
            ModuleKind::Native => vec![root.join("Cargo.toml"), own.join("Cargo.toml")],
            ModuleKind::Lua => vec![own],
        };
        for file in files {
            let before = modified(&file);
            self.configuring.awaited.push((file, before));
        }
    }

    /// Puts another configuration into effect.
    fn configure(&mut self, config: Config) {
        let changes = self.config.changes(&config);
        self.config = config;
        if changes.has_other_settings || changes.has_other_modules {
            let policies = &self.config.policies;
            self.to_host(ToHost::Settings {
                frame_rate: self.config.frame_rate,
                rollback_within_ms: policies.rollback_within().as_millis() as u64,
                every_panic_fails: policies.on_panic != OnPanic::Pause,
                stalled_after_ms: policies.stalled_after_ms(),
                checkpoint_every_ms: policies.checkpoint_every_ms(),
                checkpoints_kept: policies.checkpoints_kept,
                drain: self.config.drain_policies(),
                unload: policies.unload,
            });
        }
        if changes.has_other_settings {
            let rate = self.config.frame_rate;
            self.info(format!("Settings changed; {rate} frames per second"));
        }
        if !changes.has_other_modules {
            return;
        }
        for (old, new) in &changes.renamed {
            self.reloads.rename(old, new);
            let line = format!("Module '{old}' is called '{new}' from now on");
            self.log_about(LogLevel::Info, new, line);
        }
        for gone in &changes.gone {
            self.reloads.remove(gone);
            let line = format!("Module '{gone}' was taken out of the configuration");
            self.log_about(LogLevel::Info, gone, line);
        }
        for new in &changes.appeared {
            let line = format!("Module '{new}' was added to the configuration");
            self.log_about(LogLevel::Info, new, line);
        }
        let mut specs = self.specs();
        for spec in &mut specs {
            let mut renamed = changes.renamed.iter();
            let before = renamed.find(|(_, new)| *new == spec.name);
            spec.renamed_from = before.map(|(old, _)| old.clone());
        }
        self.to_host(ToHost::Modules(specs));
        if let Some(builder) = &self.builder {
            builder.set_modules(self.sources());
        }
        self.gather_scripts("configuration", &[]);
    }

    /// The modules as a host knows them.
    pub(super) fn specs(&self) -> Vec<ModuleSpec> {
        let modules = self.config.modules.iter();
        modules
            .map(|module| ModuleSpec {
                name: module.name.clone(),
                kind: module.kind.name().to_owned(),
                library: module.library(),
                renamed_from: None,
            })
            .collect()
    }

    /// What the builder keeps built.
    pub(super) fn sources(&self) -> Vec<ModuleSource> {
        let modules = self.config.modules.iter();
        modules
            .filter(|module| module.kind == ModuleKind::Native)
            .map(|module| ModuleSource {
                name: module.name.clone(),
                package: module.package.clone(),
            })
            .collect()
    }
}

fn read(file: &Path, project: &Project, profile: &str) -> Result<Reading, Box<ConfigError>> {
    let mut config = Config::read(file, Some(profile))?;
    let packages = Packages::of(&project.root, &project.assets);
    let missing = config.take_missing(file, |module| packages.package_of(module));
    Ok(Reading { config, missing })
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).ok()?.modified().ok()
}

/// The entry among the problems. `shown` is the file's name.
fn problem_of(error: &ConfigError, module: &str, shown: &str) -> Problem {
    let (line, column, message) = error.place();
    let help = error.advice().map(|help| format!("\nhelp: {help}"));
    let place = if line > 0 {
        format!("\n --> {shown}:{line}:{column}")
    } else {
        String::new()
    };
    Problem {
        module: module.to_owned(),
        file: shown.to_owned(),
        line: line as u32,
        column: column as u32,
        rendered: format!("error: {message}{place}{}\n", help.unwrap_or_default()),
        message,
        ..Problem::default()
    }
}
