//! The engine that runs, as files: its executable and the shared dylib.
//!
//! Cargo replaces both while they run. The process goes on with what it has mapped, since linkers
//! write new files instead of overwriting old ones, but a host that is started then would get an
//! executable and a dylib that do not fit each other or the supervisor. So both are linked into
//! a private folder at the start, and hosts are started from there once the originals are others.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a new engine may take to say its version.
const PATIENCE: Duration = Duration::from_secs(5);

/// Folder of the private copies, in the folder of a run.
const FOLDER: &str = "engine";

/// The executable and the dylib that this process was started from.
#[derive(Debug, Clone)]
pub(crate) struct RunningEngine {
    /// Where cargo puts the executable.
    executable: PathBuf,
    /// What runs, where it lies and where its private copy is.
    parts: Vec<Part>,
    /// Folder of the private copies.
    folder: PathBuf,
}

#[derive(Debug, Clone)]
struct Part {
    original: PathBuf,
    copy: PathBuf,
}

impl RunningEngine {
    /// Takes private copies into the folder of a run.
    ///
    /// # Errors
    /// If this process has no path, or a file can be neither linked nor copied.
    pub(crate) fn keep(run: &Path) -> io::Result<Self> {
        Self::keep_of(std::env::current_exe()?, &run.join(FOLDER))
    }

    /// A command that starts the engine whose private copies are in the folder of a run: this
    /// one, whatever lies where it was started from.
    ///
    /// # Errors
    /// If this process has no path.
    pub(crate) fn kept(run: &Path) -> io::Result<Command> {
        let executable = std::env::current_exe()?;
        Ok(command_in(&run.join(FOLDER), &executable))
    }

    fn keep_of(executable: PathBuf, folder: &Path) -> io::Result<Self> {
        // One that was there before this process began belongs to the engine before.
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder)?;
        let mut parts = Vec::new();
        for original in [Some(executable.clone()), dylib_of(&executable)] {
            let Some(original) = original else { continue };
            let name = original.file_name().unwrap_or(OsStr::new("engine"));
            let copy = folder.join(name);
            // A link costs nothing; across file systems it cannot be made.
            fs::hard_link(&original, &copy).or_else(|_| fs::copy(&original, &copy).map(drop))?;
            parts.push(Part { original, copy });
        }
        Ok(Self {
            executable,
            parts,
            folder: folder.to_path_buf(),
        })
    }

    /// Where cargo puts the executable.
    pub(crate) fn executable(&self) -> &Path {
        &self.executable
    }

    /// Whether another engine lies where this one was started from. Reads files only if one
    /// was replaced.
    pub(crate) fn is_replaced(&self) -> bool {
        self.parts.iter().any(|part| {
            let (now, own) = (fs::metadata(&part.original), fs::metadata(&part.copy));
            let (Ok(now), Ok(own)) = (now, own) else {
                return true;
            };
            !is_same_file(&now, &own)
                && (now.len() != own.len()
                    || content(&part.original).is_none()
                    || content(&part.original) != content(&part.copy))
        })
    }

    /// A command that starts this very engine again.
    pub(crate) fn command(&self) -> Command {
        if !self.is_replaced() {
            return Command::new(&self.executable);
        }
        command_in(&self.folder, &self.executable)
    }

    /// Whether the engine that lies there now can be started.
    ///
    /// # Errors
    /// Why not, for people.
    pub(crate) fn check_replacement(&self) -> Result<(), String> {
        let shown = self.executable.display();
        let mut child = Command::new(&self.executable)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{shown} cannot be started: {error}"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("{shown} does not start: {status}")),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(None) | Err(_) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!("{shown} does not start: it says nothing"));
                }
            }
        }
    }

    /// Removes the private copies; nothing is started from here any more.
    pub(crate) fn forget(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts the private copy of an executable with that of its dylib.
fn command_in(folder: &Path, executable: &Path) -> Command {
    let name = executable.file_name().unwrap_or(OsStr::new("engine"));
    let mut command = Command::new(folder.join(name));
    command.env(LIBRARY_PATH, with_folder(folder));
    command
}

/// The variable that says where shared libraries are looked for first.
const LIBRARY_PATH: &str = if cfg!(target_os = "macos") {
    "DYLD_LIBRARY_PATH"
} else {
    "LD_LIBRARY_PATH"
};

fn with_folder(folder: &Path) -> OsString {
    let before = std::env::var_os(LIBRARY_PATH).unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&before));
    std::env::join_paths(folders).unwrap_or_else(|_| folder.into())
}

/// The shared dylib of an executable; `None` if it was built without.
fn dylib_of(executable: &Path) -> Option<PathBuf> {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let name = format!("{DLL_PREFIX}engine_dylib{DLL_SUFFIX}");
    let folder = executable.parent()?;
    // In the order of the run path, see `build.rs`.
    let places = [folder.join(&name), folder.join("deps").join(&name)];
    places.into_iter().find(|place| place.is_file())
}

fn content(file: &Path) -> Option<u64> {
    let bytes = fs::read(file).ok()?;
    Some(inspector_protocol::content_hash(&bytes))
}

#[cfg(unix)]
fn is_same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn is_same_file(_: &Metadata, _: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_started_stays_when_cargo_replaces_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("debug");
        fs::create_dir_all(target.join("deps")).unwrap();
        let executable = target.join("engine");
        let dylib = dylib_name(&target);
        let put = |file: &Path, text: &str| {
            let _ = fs::remove_file(file);
            fs::write(file, text).unwrap();
        };
        put(&executable, "one");
        put(&dylib, "shared one");
        let engine = RunningEngine::keep_of(executable.clone(), &dir.path().join("kept")).unwrap();
        assert!(!engine.is_replaced());
        assert_eq!(engine.command().get_program(), executable.as_os_str());

        // The same content in a new file is the same engine.
        put(&dylib, "shared one");
        assert!(!engine.is_replaced());
        for (file, text, before) in [
            (&executable, "two", "one"),
            (&dylib, "shared two", "shared one"),
        ] {
            put(file, text);
            assert!(engine.is_replaced(), "{}", file.display());
            let started = PathBuf::from(engine.command().get_program());
            assert_eq!(fs::read_to_string(&started).unwrap(), "one");
            let kept = started.with_file_name(file.file_name().unwrap());
            assert_eq!(fs::read_to_string(kept).unwrap(), before);
            put(file, before);
            assert!(!engine.is_replaced());
        }
    }

    fn dylib_name(target: &Path) -> PathBuf {
        use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
        target.join(format!("deps/{DLL_PREFIX}engine_dylib{DLL_SUFFIX}"))
    }

    #[test]
    fn a_replacement_that_does_not_start_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let executable = dir.path().join("engine");
        fs::write(&executable, "no program").unwrap();
        let engine = RunningEngine::keep_of(executable, &dir.path().join("kept")).unwrap();
        let why = engine.check_replacement().unwrap_err();
        assert!(why.contains("engine cannot be started"), "{why}");
    }
}
