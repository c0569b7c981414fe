//! Runs a captured `rustc` command again.
//!
//! Only the output folder is replaced. Crate types, emitted kinds and the
//! incremental folder stay cargo's: dropping the rlib saves next to nothing
//! (0.11 s with and without), while any other set of crate types changes the
//! hash of the options, with which the incremental folder would be thrown away
//! at every switch between cargo and replay, and the bytes of the artifact
//! would differ from cargo's for the same source.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::capture::{CapturedCommand, value_of};
use crate::environment::{self, Variable};
use crate::project::Project;
use inspector_protocol::content_hash;

/// Time and length of a file the command reads, to see that it is still the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct External {
    path: PathBuf,
    modified_ns: u128,
    len: u64,
}

impl External {
    fn of(path: PathBuf) -> Option<Self> {
        let metadata = fs::metadata(&path).ok()?;
        let modified = metadata.modified().ok()?;
        let modified_ns = modified.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        Some(Self {
            path,
            modified_ns,
            len: metadata.len(),
        })
    }

    fn is_same(&self) -> bool {
        Self::of(self.path.clone()).as_ref() == Some(self)
    }
}

/// A captured command and everything it is only valid with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replay {
    command: CapturedCommand,
    /// See [`key`].
    key: u64,
    /// The compiler and every `--extern` file.
    externals: Vec<External>,
}

impl Replay {
    /// A command that cargo has just run; `None` if it cannot be repeated.
    pub(crate) fn new(command: CapturedCommand, key: u64) -> Option<Self> {
        rewritten(&command.args, Path::new("out"))?;
        let mut files = vec![PathBuf::from(&command.program)];
        files.extend(externals(&command.args).map(|path| command.folder.join(path)));
        // A compiler named without a folder is looked up in PATH; the key has
        // its version.
        files.retain(|file| file.components().count() > 1);
        let externals = files.into_iter().map(External::of).collect::<Option<_>>()?;
        Some(Self {
            command,
            key,
            externals,
        })
    }

    /// Whether nothing has changed that the command was made for: `key` of the
    /// workspace, compiler, and the dependencies on disk.
    pub(crate) fn is_valid(&self, key: u64) -> bool {
        self.key == key && self.externals.iter().all(External::is_same)
    }

    /// Reads what an earlier process saved.
    pub(crate) fn load(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    /// Saves it for later processes.
    pub(crate) fn save(&self, file: &Path) -> io::Result<()> {
        let partial = file.with_extension("tmp");
        fs::write(&partial, serde_json::to_vec(self)?)?;
        fs::rename(partial, file)
    }

    /// The command with its output in `out`. `base` is the environment cargo
    /// is started with.
    pub(crate) fn command(&self, base: &[Variable], out: &Path) -> Option<Command> {
        let mut command = Command::new(&self.command.program);
        command
            .args(rewritten(&self.command.args, out)?)
            .current_dir(&self.command.folder)
            .env_clear()
            .envs(base.iter().map(|(name, value)| (name, value)))
            .envs(&self.command.environment);
        Some(command)
    }

    /// Arguments as they were captured.
    pub(crate) fn args(&self) -> &[String] {
        &self.command.args
    }

    /// Where paths in its dep-info file start.
    pub(crate) fn folder(&self) -> &Path {
        &self.command.folder
    }

    /// What the build script of the package printed, if it has one.
    pub(crate) fn build_script_output(&self) -> Option<String> {
        let out = self.command.environment.get("OUT_DIR")?;
        fs::read_to_string(Path::new(out).parent()?.join("output")).ok()
    }
}

/// The arguments with `--out-dir` replaced; `None` for a command that cannot be
/// replayed (arguments in a file, output not as JSON, no output folder).
fn rewritten(args: &[String], out: &Path) -> Option<Vec<String>> {
    let out = out.to_str()?;
    let is_json = value_of(args, "--error-format").any(|format| format == "json");
    if !is_json || args.iter().any(|arg| arg.starts_with('@')) {
        return None;
    }
    let mut replaced = false;
    let mut rewritten: Vec<String> = Vec::with_capacity(args.len());
    for arg in args {
        if rewritten.last().is_some_and(|last| last == "--out-dir") {
            rewritten.push(out.to_owned());
            replaced = true;
        } else if arg.starts_with("--out-dir=") {
            rewritten.push(format!("--out-dir={out}"));
            replaced = true;
        } else {
            rewritten.push(arg.clone());
        }
    }
    replaced.then_some(rewritten)
}

/// Files of `--extern name=path` (with or without options before the name).
fn externals(args: &[String]) -> impl Iterator<Item = &str> {
    value_of(args, "--extern")
        .filter_map(|value| value.split_once('='))
        .map(|(_, path)| path)
}

/// One number for everything outside of the sources that decides how a module
/// is compiled: manifests, lock file, toolchain, cargo's configuration,
/// compiler, environment, profile and selection.
pub(crate) fn key(
    project: &Project,
    compiler_version: &[u8],
    environment: &[Variable],
    profile: &str,
    selection: &[String],
) -> u64 {
    let mut parts: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let files = project
        .workspace_files()
        .cloned()
        .chain(configuration_files(&project.root));
    for file in files {
        let content = fs::read(&file).unwrap_or_default();
        parts.insert(file.as_os_str().as_encoded_bytes().to_vec(), content);
    }
    for (name, value) in environment {
        if environment::matters_to_compiler(name) {
            parts.insert(
                [b"env:", name.as_encoded_bytes()].concat(),
                value.as_encoded_bytes().to_vec(),
            );
        }
    }
    parts.insert(b"compiler".to_vec(), compiler_version.to_vec());
    parts.insert(b"profile".to_vec(), profile.as_bytes().to_vec());
    parts.insert(b"selection".to_vec(), selection.join("\0").into_bytes());
    parts.insert(
        b"format".to_vec(),
        env!("CARGO_PKG_VERSION").as_bytes().to_vec(),
    );
    let all: Vec<u8> = parts
        .into_iter()
        .flat_map(|(name, content)| {
            let mut part = name;
            part.extend_from_slice(&content_hash(&content).to_le_bytes());
            part
        })
        .collect();
    content_hash(&all)
}

/// Cargo's configuration above the root and in its home.
pub(crate) fn configuration_files(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = root
        .ancestors()
        .map(|folder| folder.join(".cargo"))
        .collect();
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        folders.push(home.into());
    } else if let Some(home) = std::env::home_dir() {
        folders.push(home.join(".cargo"));
    }
    folders
        .into_iter()
        .flat_map(|folder| ["config.toml", "config"].map(|name| folder.join(name)))
        .filter(|file| file.is_file())
        .collect()
}

/// Makes cargo compile a package's library again although nothing changed, by
/// making the time of its dep-info file older than every source. Cargo takes
/// that file's time for the time of the last compilation. Should a later cargo
/// do otherwise, nothing is compiled and nothing is lost but a captured command.
pub(crate) fn mark_stale(profile_dir: &Path, package: &str, crate_name: &str) -> bool {
    newest_dep_info(profile_dir, package, crate_name).is_some_and(|(file, _)| {
        fs::File::options()
            .append(true)
            .open(file)
            .and_then(|file| file.set_modified(UNIX_EPOCH))
            .is_ok()
    })
}

/// When cargo last compiled a package's library.
pub(crate) fn compiled_at(
    profile_dir: &Path,
    package: &str,
    crate_name: &str,
) -> Option<SystemTime> {
    newest_dep_info(profile_dir, package, crate_name).map(|(_, modified)| modified)
}

fn newest_dep_info(
    profile_dir: &Path,
    package: &str,
    crate_name: &str,
) -> Option<(PathBuf, SystemTime)> {
    let prefix = format!("{package}-");
    fs::read_dir(profile_dir.join(".fingerprint"))
        .ok()?
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let hash = name.to_str().and_then(|name| name.strip_prefix(&prefix));
            hash.is_some_and(|hash| hash.len() == 16 && !hash.contains('-'))
        })
        .map(|entry| entry.path().join(format!("dep-lib-{crate_name}")))
        .filter_map(|file| {
            let modified = fs::metadata(&file).ok()?.modified().ok()?;
            Some((file, modified))
        })
        .max_by_key(|(_, modified)| *modified)
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
