//! The folder with the last checkpoints.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Checkpoint;
use super::file::{self, FileError};

const PREFIX: &str = "checkpoint-";
const SUFFIX: &str = ".bin";
const TEMPORARY: &str = ".tmp";

/// The folder with the last checkpoints. Belongs to one process and one thread, the one
/// that writes; it waits for the disk.
pub struct Store {
    dir: PathBuf,
    keep: usize,
    next: u64,
}

/// A checkpoint that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its number; higher ones are newer.
    pub sequence: u64,
    /// Its file.
    pub path: PathBuf,
    /// Size of the file.
    pub bytes: u64,
    /// Time to make the bytes and get them to the disk.
    pub took: Duration,
}

/// A file that cannot be used.
#[derive(Debug)]
pub struct Damaged {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: FileError,
}

/// The newest checkpoint that can be used.
#[derive(Debug)]
pub struct Latest {
    /// Number and content; `None` if there is none.
    pub checkpoint: Option<(u64, Checkpoint)>,
    /// Newer ones that cannot be used, newest first.
    pub damaged: Vec<Damaged>,
}

impl Store {
    /// Opens a folder, which is made if it is not there, to keep the last `keep`
    /// checkpoints in it (at least one). Removes what an interrupted write left.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(dir: impl Into<PathBuf>, keep: usize) -> io::Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir)?;
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(OsStr::to_str);
            let is_left = |name: &str| name.starts_with(PREFIX) && name.ends_with(TEMPORARY);
            if name.is_some_and(is_left) {
                fs::remove_file(path)?;
            }
        }
        let mut store = Self {
            dir,
            keep: keep.max(1),
            next: 1,
        };
        store.next = store.sequences()?.last().map_or(1, |last| last + 1);
        Ok(store)
    }

    /// Numbers of all checkpoints that are there, damaged or not, oldest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn sequences(&self) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
            found.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        found.sort_unstable();
        found.retain(|sequence| *sequence < u64::MAX);
        Ok(found)
    }

    /// The file of a checkpoint.
    pub fn path(&self, sequence: u64) -> PathBuf {
        self.dir.join(format!("{PREFIX}{sequence}{SUFFIX}"))
    }

    /// Keeps so many from the next one on.
    pub fn keep(&mut self, count: usize) {
        self.keep = count;
    }

    /// Writes a checkpoint so that it is there as a whole or not at all, and removes those
    /// that are neither among the last nor needed, as `is_needed` says of a number.
    ///
    /// # Errors
    /// It could not be written. Those that were there still are.
    pub fn write(
        &mut self,
        checkpoint: &Checkpoint,
        is_needed: &dyn Fn(u64) -> bool,
    ) -> Result<Written, FileError> {
        let start = Instant::now();
        let bytes = file::encode(checkpoint)?;
        let sequence = self.next;
        let path = self.path(sequence);
        let temporary = path.with_extension("bin.tmp");
        write_through(&temporary, &bytes)?;
        fs::rename(&temporary, &path)?;
        self.next += 1;
        sync_folder(&self.dir)?;
        let written = Written {
            sequence,
            path,
            bytes: bytes.len() as u64,
            took: start.elapsed(),
        };
        // Too many are no reason to say that this one is not there.
        let _ = self.prune(is_needed);
        Ok(written)
    }

    fn prune(&self, is_needed: &dyn Fn(u64) -> bool) -> io::Result<()> {
        let all = self.sequences()?;
        let old = all.len().saturating_sub(self.keep);
        for sequence in &all[..old] {
            if !is_needed(*sequence) {
                fs::remove_file(self.path(*sequence))?;
            }
        }
        Ok(())
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn load(&self, sequence: u64) -> Result<Checkpoint, FileError> {
        file::read(&self.path(sequence))
    }

    /// The newest checkpoint that can be used.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn latest(&self) -> io::Result<Latest> {
        self.latest_before(u64::MAX)
    }

    /// The newest checkpoint before a number that can be used.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn latest_before(&self, limit: u64) -> io::Result<Latest> {
        let mut damaged = Vec::new();
        let sequences = self.sequences()?.into_iter().rev();
        for sequence in sequences.skip_while(|sequence| *sequence >= limit) {
            match self.load(sequence) {
                Ok(checkpoint) => {
                    return Ok(Latest {
                        checkpoint: Some((sequence, checkpoint)),
                        damaged,
                    });
                }
                Err(reason) => damaged.push(Damaged {
                    path: self.path(sequence),
                    reason,
                }),
            }
        }
        Ok(Latest {
            checkpoint: None,
            damaged,
        })
    }
}

fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a rename last. Where folders cannot be opened, the system does it in its time.
#[cfg(unix)]
fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::tests::sample;

    /// One that is told from others by its frame.
    fn numbered(frame: u64) -> Checkpoint {
        let mut checkpoint = sample();
        checkpoint.meta.frame = frame;
        checkpoint
    }

    #[test]
    fn the_last_ones_and_the_needed_ones_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path().join("new"), 2).unwrap();
        assert!(store.latest().unwrap().checkpoint.is_none());
        for frame in 1..=5 {
            let is_needed = |sequence| sequence == 2;
            let written = store.write(&numbered(frame), &is_needed).unwrap();
            assert_eq!(written.sequence, frame);
            assert_eq!(written.bytes, fs::metadata(&written.path).unwrap().len());
        }
        assert_eq!(store.sequences().unwrap(), [2, 4, 5]);
        assert_eq!(store.load(4).unwrap().meta.frame, 4);
        let again = Store::open(dir.path().join("new"), 2).unwrap();
        assert_eq!(again.next, 6);
        let (sequence, checkpoint) = again.latest().unwrap().checkpoint.unwrap();
        assert_eq!((sequence, checkpoint.meta.frame), (5, 5));
        for (limit, found) in [(6, Some(5)), (5, Some(4)), (4, Some(2)), (2, None)] {
            let before = again.latest_before(limit).unwrap().checkpoint;
            assert_eq!(
                before.map(|(sequence, _)| sequence),
                found,
                "before {limit}"
            );
        }
    }

    #[test]
    fn damaged_ones_are_named_and_the_one_before_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), 9).unwrap();
        for frame in 1..=4 {
            store.write(&numbered(frame), &|_| false).unwrap();
        }
        let damage = |sequence: u64, how: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = fs::read(store.path(sequence)).unwrap();
            how(&mut bytes);
            fs::write(store.path(sequence), bytes).unwrap();
        };
        damage(4, &|bytes| bytes.truncate(100));
        damage(3, &|bytes| bytes[60] ^= 4);
        damage(2, &Vec::clear);
        let latest = store.latest().unwrap();
        let (sequence, checkpoint) = latest.checkpoint.unwrap();
        assert_eq!((sequence, checkpoint.meta.frame), (1, 1));
        let reasons: Vec<_> = latest
            .damaged
            .iter()
            .map(|damaged| damaged.reason.to_string())
            .collect();
        assert!(
            reasons[0].starts_with("it has 68 bytes of "),
            "{}",
            reasons[0]
        );
        assert_eq!(reasons[1], "its content is damaged: the hash does not fit");
        assert_eq!(reasons[2], "it is not a checkpoint");
        assert_eq!(latest.damaged[0].path, store.path(4));
    }

    #[test]
    fn what_an_interrupted_write_left_is_no_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("checkpoint-7.bin.tmp"), "half").unwrap();
        fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        let store = Store::open(dir.path(), 3).unwrap();
        assert_eq!(store.sequences().unwrap(), Vec::<u64>::new());
        assert!(!dir.path().join("checkpoint-7.bin.tmp").exists());
        assert!(dir.path().join("notes.txt").exists());
    }
}
