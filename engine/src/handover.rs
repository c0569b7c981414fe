//! What an engine leaves to the one that takes its place in the same process.
//!
//! The game itself is in the checkpoints of the run; this is what the supervisor knows. It is
//! JSON in the run's folder, written right before the new executable is entered, and its path is
//! an argument. One that cannot be read, because another engine wrote it, costs the history.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use inspector_protocol::status::ReloadStatus;
use serde::{Deserialize, Serialize};

use crate::supervisor::PushedFiles;

/// The argument before the path.
pub(crate) const ARGUMENT: &str = "--handover";

/// Name of the file in a run's folder.
const FILE: &str = "handover.json";

/// What is handed over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Handover {
    /// Why.
    pub(crate) reason: String,
    /// When the old host was asked to end: wall clock, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// How long the engine had run then, in ms.
    pub(crate) uptime_ms: u64,
    /// Hosts started so far.
    pub(crate) runs: u64,
    /// Number of the last log line.
    pub(crate) log_seq: u64,
    /// All attempts to reload.
    pub(crate) history: Vec<ReloadStatus>,
    /// What the next host begins with.
    pub(crate) modules: BTreeMap<String, HandedModule>,
    /// Texts that were pushed.
    pub(crate) pushed: PushedFiles,
}

/// A module that is handed over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HandedModule {
    /// The artifact that was built last.
    pub(crate) artifact: PathBuf,
    /// Its content hash.
    pub(crate) hash: u64,
    /// The version that ran, and the content hash of its artifact.
    pub(crate) ran: Option<(u32, u64)>,
    /// Content that failed.
    pub(crate) quarantined: Vec<u64>,
}

impl Handover {
    /// Writes it into the folder of a run; its path.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(&self, run: &Path) -> io::Result<PathBuf> {
        let file = run.join(FILE);
        fs::write(&file, serde_json::to_vec(self)?)?;
        Ok(file)
    }

    /// Takes it from its file: the folder of the run, and what is in there. What cannot be
    /// read is empty.
    pub(crate) fn take(file: &Path) -> (PathBuf, Self) {
        let run = file.parent().unwrap_or(file).to_path_buf();
        let read = fs::read(file).ok();
        let handover = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let _ = fs::remove_file(file);
        (run, handover.unwrap_or_default())
    }

    /// Time since the old host was asked to end; zero if that is not known.
    pub(crate) fn age(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_millis() as u64);
        match self.at_ms {
            0 => Duration::ZERO,
            at => Duration::from_millis(now.saturating_sub(at)),
        }
    }
}

/// The arguments of this process, with another handover.
pub(crate) fn arguments(own: impl Iterator<Item = OsString>, handover: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut own = own.peekable();
    while let Some(argument) = own.next() {
        if argument == ARGUMENT {
            own.next();
        } else {
            arguments.push(argument);
        }
    }
    arguments.push(ARGUMENT.into());
    arguments.push(handover.into());
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let handover = Handover {
            reason: "somebody asked".to_owned(),
            runs: 3,
            modules: BTreeMap::from([("ai".to_owned(), HandedModule::default())]),
            ..Handover::default()
        };
        let file = handover.write(dir.path()).unwrap();
        assert_eq!(Handover::take(&file), (dir.path().to_owned(), handover));
        let gone = Handover::take(&file);
        assert_eq!(gone, (dir.path().to_owned(), Handover::default()));
    }

    #[test]
    fn what_another_engine_wrote_is_read_as_far_as_it_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        fs::write(&file, r#"{"runs": 2, "unheard_of": [1]}"#).unwrap();
        assert_eq!(Handover::take(&file).1.runs, 2);
        fs::write(&file, "nothing").unwrap();
        assert_eq!(Handover::take(&file).1, Handover::default());
    }

    #[test]
    fn the_next_handover_takes_the_place_of_the_last() {
        let line = |line: &str| -> Vec<OsString> { line.split(' ').map(OsString::from).collect() };
        let next = |own: &str| arguments(line(own).into_iter(), Path::new("new"));
        assert_eq!(
            next("run --headless"),
            line("run --headless --handover new")
        );
        assert_eq!(
            next("run --handover old --headless"),
            line("run --headless --handover new")
        );
    }
}
