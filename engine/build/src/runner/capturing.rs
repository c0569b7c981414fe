//! Captured commands of all modules: asked for, kept in memory and on disk,
//! and dropped when they no longer fit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::capture::{self, CapturedCommand, Request, value_of};
use crate::config::BuilderConfig;
use crate::environment::Variable;
use crate::error::BuildError;
use crate::project::{Module, Project};
use crate::replay::{self, Replay};

/// Builders that can work on one target folder at the same time.
const SLOTS: usize = 16;

/// Captured commands of all modules.
#[derive(Debug)]
pub(crate) struct Captures {
    replays: Vec<Option<Replay>>,
    /// Captured by the last run of cargo.
    is_fresh: Vec<bool>,
    wrapper: Option<PathBuf>,
    chained: Option<String>,
    folder: PathBuf,
    request: PathBuf,
    inbox: PathBuf,
    slot: usize,
    /// Held while this builder lives: its lock keeps others off the slot.
    _slot_file: fs::File,
    /// See [`replay::key`].
    key: u64,
    /// Folder of cargo's output, known from the first artifact on.
    profile_folder: Option<PathBuf>,
}

impl Captures {
    /// `folder` is the builder's own below the target folder.
    pub(crate) fn new(
        folder: &Path,
        config: &BuilderConfig,
        project: &Project,
        environment: &[Variable],
    ) -> Result<Self, BuildError> {
        let commands = folder.join("commands");
        let in_use = |path: &Path| {
            let path = path.to_owned();
            move |source| BuildError::Io { path, source }
        };
        fs::create_dir_all(&commands).map_err(in_use(&commands))?;
        let (slot, slot_file) = free_slot(folder).map_err(in_use(folder))?;
        let inbox = commands.join(format!("inbox-{slot}"));
        fs::create_dir_all(&inbox).map_err(in_use(&inbox))?;

        let chained = environment
            .iter()
            .find(|(name, value)| name == "RUSTC_WRAPPER" && !value.is_empty())
            .map(|(_, value)| value.to_string_lossy().into_owned());
        let wrapper = config
            .wrapper
            .clone()
            .map(|wrapper| fs::canonicalize(&wrapper).unwrap_or(wrapper))
            .filter(|wrapper| wrapper.is_file())
            // Ours would hide it, and what it does to the command is unknown.
            .filter(|_| !has_configured_wrapper(&config.root));
        Ok(Self {
            replays: project.modules.iter().map(|_| None).collect(),
            is_fresh: vec![false; project.modules.len()],
            wrapper,
            chained,
            request: commands.join(format!("request-{slot}.json")),
            inbox,
            slot,
            _slot_file: slot_file,
            folder: commands,
            key: 0,
            profile_folder: None,
        })
    }

    /// Whether cargo is run with the wrapper.
    pub(crate) fn is_wrapping(&self) -> bool {
        self.wrapper.is_some()
    }

    /// Whether cargo's text says that running the wrapper failed. Cargo names
    /// the whole command then, and the wrapper is not named anywhere else.
    pub(crate) fn is_blamed_in(&self, text: &str) -> bool {
        self.wrapper.as_ref().is_some_and(|wrapper| {
            text.contains("process") && text.contains(&format!("`{} ", wrapper.display()))
        })
    }

    /// Builds go on without; gives the text that says so.
    pub(crate) fn stop_wrapping(&mut self) -> String {
        let wrapper = self.wrapper.take().unwrap_or_default();
        format!(
            "{} does not work as a compiler wrapper; all builds go through cargo, which is slower",
            wrapper.display()
        )
    }

    /// Makes a cargo command run the wrapper.
    pub(crate) fn wrap(&self, command: &mut Command, project: &Project, base: &[Variable]) {
        let Some(wrapper) = &self.wrapper else { return };
        let request = Request {
            crates: project
                .modules
                .iter()
                .map(|module| (module.crate_name.clone(), module.package.clone()))
                .collect(),
            folder: self.inbox.clone(),
            environment: Request::hashes(base),
            chained: self.chained.clone(),
        };
        for module in &project.modules {
            let _ = fs::remove_file(capture::captured_file(&self.inbox, &module.crate_name));
        }
        let written = serde_json::to_vec(&request)
            .map_err(std::io::Error::from)
            .and_then(|bytes| fs::write(&self.request, bytes));
        if written.is_ok() {
            command
                .env("RUSTC_WRAPPER", wrapper)
                .env(capture::REQUEST_VARIABLE, &self.request);
        }
    }

    /// Computes anew what commands are only valid with.
    pub(crate) fn renew_key(
        &mut self,
        project: &Project,
        config: &BuilderConfig,
        environment: &[Variable],
    ) {
        let version = compiler_version(&config.root, environment);
        self.key = replay::key(
            project,
            &version,
            environment,
            &config.profile,
            &config.selection,
        );
    }

    /// Takes over what the last run of cargo captured for a module; without,
    /// keeps or loads what is still valid.
    pub(crate) fn take(&mut self, index: usize, module: &Module) {
        let inbox = capture::captured_file(&self.inbox, &module.crate_name);
        let kept = self.folder.join(format!("{}.json", module.name));
        let captured = fs::read(&inbox)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<CapturedCommand>(&bytes).ok())
            .and_then(|command| Replay::new(command, self.key));
        self.is_fresh[index] = captured.is_some();
        if let Some(replay) = captured {
            let _ = fs::remove_file(inbox);
            // Not saved only means that the next start has to capture again.
            let _ = replay.save(&kept);
            self.replays[index] = Some(replay);
            return;
        }
        let known = self.replays[index].take().or_else(|| Replay::load(&kept));
        self.replays[index] = known.filter(|replay| replay.is_valid(self.key));
    }

    /// Whether the module can be replayed now.
    pub(crate) fn is_ready(&self, index: usize) -> bool {
        self.replays[index]
            .as_ref()
            .is_some_and(|replay| replay.is_valid(self.key))
    }

    /// Whether the last run of cargo compiled the module.
    pub(crate) fn is_fresh(&self, index: usize) -> bool {
        self.is_fresh[index]
    }

    /// Modules have other indices now; `before` is the old one of each.
    pub(crate) fn renumber(&mut self, before: &[Option<usize>]) {
        let mut replays = std::mem::take(&mut self.replays);
        let taken = before
            .iter()
            .map(|old| old.and_then(|old| replays[old].take()));
        self.replays = taken.collect();
        self.is_fresh = vec![false; before.len()];
    }

    /// The command did not do what was expected of it.
    pub(crate) fn forget(&mut self, index: usize) {
        self.replays[index] = None;
    }

    /// The command of a module, writing to `out`.
    pub(crate) fn command(&self, index: usize, base: &[Variable], out: &Path) -> Option<Command> {
        self.replays[index].as_ref()?.command(base, out)
    }

    /// Where relative paths of a module's dep-info file start.
    pub(crate) fn folder(&self, index: usize) -> &Path {
        self.replays[index]
            .as_ref()
            .map_or(Path::new(""), Replay::folder)
    }

    /// What the build script of a module printed.
    pub(crate) fn build_script_output(&self, index: usize) -> Option<String> {
        self.replays[index].as_ref()?.build_script_output()
    }

    /// Folder for the output of a module's replays, this builder's alone.
    pub(crate) fn output_folder(&self, module: &Module) -> String {
        match self.slot {
            0 => module.package.clone(),
            slot => format!("{}.{slot}", module.package),
        }
    }

    /// Name of the dep-info file without its ending.
    pub(crate) fn output_stem(&self, module: &Module) -> String {
        format!("{}{}", module.crate_name, self.extra_file_name(module))
    }

    /// Name of the library a replay writes.
    pub(crate) fn output_name(&self, module: &Module) -> String {
        use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
        format!("{DLL_PREFIX}{}{DLL_SUFFIX}", self.output_stem(module))
    }

    fn extra_file_name(&self, module: &Module) -> String {
        let is_it = |replay: &&Replay| {
            value_of(replay.args(), "--crate-name").any(|name| name == module.crate_name)
        };
        self.replays
            .iter()
            .flatten()
            .find(is_it)
            .and_then(|replay| {
                value_of(replay.args(), "-C").find_map(|v| v.strip_prefix("extra-filename="))
            })
            .unwrap_or_default()
            .to_owned()
    }

    /// Learns where cargo puts its output from an artifact.
    pub(crate) fn set_profile_folder(&mut self, artifact: &Path) {
        self.profile_folder = artifact.parent().map(Path::to_owned);
    }

    /// Where cargo puts its output.
    pub(crate) fn profile_folder(&self) -> Option<&Path> {
        self.profile_folder.as_deref()
    }
}

/// The first slot no other builder has.
fn free_slot(folder: &Path) -> std::io::Result<(usize, fs::File)> {
    for slot in 0..SLOTS {
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join(format!("slot-{slot}.lock")))?;
        match file.try_lock() {
            Ok(()) => return Ok((slot, file)),
            Err(fs::TryLockError::WouldBlock) => {}
            Err(fs::TryLockError::Error(error)) => {
                // No locks on this file system: hope for the best.
                if error.kind() == std::io::ErrorKind::Unsupported {
                    return Ok((slot, file));
                }
                return Err(error);
            }
        }
    }
    Err(std::io::Error::other(format!(
        "{SLOTS} builders use it already"
    )))
}

/// Whether cargo's configuration names a wrapper.
fn has_configured_wrapper(root: &Path) -> bool {
    replay::configuration_files(root).iter().any(|file| {
        fs::read_to_string(file).is_ok_and(|text| {
            text.lines()
                .any(|line| line.trim_start().starts_with("rustc-wrapper"))
        })
    })
}

/// What the compiler says about itself; empty if it cannot be asked.
fn compiler_version(root: &Path, environment: &[Variable]) -> Vec<u8> {
    let program = environment
        .iter()
        .find(|(name, value)| name == "RUSTC" && !value.is_empty())
        .map_or_else(|| "rustc".into(), |(_, value)| value.clone());
    Command::new(program)
        .arg("-vV")
        .current_dir(root)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default()
}
