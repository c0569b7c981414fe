//! The copy of the workspace that is edited, and cargo in it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use miette::{IntoDiagnostic as _, Result, WrapErr as _, miette};

/// A workspace and its target folder.
pub(crate) struct Scratch {
    /// The workspace.
    pub(crate) root: PathBuf,
    /// Its target folder.
    pub(crate) target: PathBuf,
    /// Folder for what this program makes.
    pub(crate) work: PathBuf,
    /// Held while this program runs: two would edit the same file.
    _lock: File,
}

/// Not copied.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

impl Scratch {
    /// Copies the workspace this program was built from to `bench/workspace` below the
    /// target folder this program lies in. Files that are the same already keep their
    /// time, so that a later run builds what changed only.
    pub(crate) fn copy() -> Result<Self> {
        let program = std::env::current_exe().into_diagnostic()?;
        let target = program
            .parent()
            .and_then(Path::parent)
            .ok_or_else(|| miette!("{} lies in no target folder", program.display()))?;
        let work = target.join("bench");
        let lock = lock(&work)?;
        let root = work.join("workspace");
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        mirror(&original, &root)
            .into_diagnostic()
            .wrap_err_with(|| {
                format!(
                    "{} cannot be copied to {}",
                    original.display(),
                    root.display()
                )
            })?;
        Ok(Self {
            root,
            target: work.join("target"),
            work,
            _lock: lock,
        })
    }

    /// Uses a checkout where it is.
    pub(crate) fn existing(root: &Path) -> Result<Self> {
        let root = root
            .canonicalize()
            .into_diagnostic()
            .wrap_err_with(|| format!("{} cannot be found", root.display()))?;
        let target = root.join("target");
        let work = target.join("bench");
        let lock = lock(&work)?;
        Ok(Self {
            root,
            target,
            work,
            _lock: lock,
        })
    }

    /// Where cargo puts programs and libraries.
    pub(crate) fn libraries(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// A command that sees the environment as a person's shell has it, and not what
    /// cargo set for this program.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env_clear()
            .envs(environment());
        command
    }

    /// Runs cargo in the workspace and waits for it.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Result<()> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = self
            .command(cargo)
            .args(arguments)
            .arg("--target-dir")
            .arg(&self.target)
            .output()
            .into_diagnostic()
            .wrap_err("cargo cannot be started")?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        Err(miette!("cargo {} failed:\n{text}", arguments.join(" ")))
    }
}

fn lock(work: &Path) -> Result<File> {
    let file = work.join("edit_loop.lock");
    let opened = fs::create_dir_all(work)
        .and_then(|()| File::create(&file))
        .into_diagnostic()
        .wrap_err_with(|| format!("{} cannot be written", file.display()))?;
    match opened.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Err(miette!(
            "another edit_loop works in {}; wait for it",
            work.display()
        )),
        // Without locks in this file system: hope for the best.
        Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(opened),
    }
}

/// The environment without what cargo sets for programs it runs.
pub(crate) fn environment() -> impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        let kept = matches!(&*name, "CARGO_HOME" | "CARGO_INCREMENTAL")
            || name.starts_with("CARGO_NET_")
            || name.starts_with("CARGO_HTTP_")
            || name.starts_with("CARGO_REGISTRIES_");
        let of_cargo = name == "CARGO" || name.starts_with("CARGO_");
        kept || !(of_cargo || name == "LD_LIBRARY_PATH" || name == "OUT_DIR")
    })
}

/// Makes `to` a copy of `from`.
pub(crate) fn mirror(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        let copy = to.join(&name);
        if entry.file_type()?.is_dir() {
            mirror(&entry.path(), &copy)?;
        } else {
            let bytes = fs::read(entry.path())?;
            if fs::read(&copy).ok().as_ref() != Some(&bytes) {
                fs::write(&copy, bytes)?;
            }
        }
        names.push(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if names.contains(&entry.file_name()) || LEFT_OUT.iter().any(|l| entry.file_name() == *l) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
