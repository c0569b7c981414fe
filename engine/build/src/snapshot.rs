//! What the watched files looked like when they were last seen.
//!
//! A file is first compared by its stamp (time, length, inode). The content
//! decides when the stamp differs, and also when the file was written so
//! shortly before it was read that a second write could have left the same
//! stamp (the "racy" entries of git's index).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::platform;
use crate::temporary::is_temporary;
use inspector_protocol::content_hash;

/// File systems give times in steps of up to this.
const TIME_STEP: Duration = Duration::from_millis(40);

/// What tells two states of a file apart without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl Stamp {
    /// The stamp of a file with this metadata.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            modified: metadata.modified().ok(),
            len: metadata.len(),
            inode: platform::inode(metadata),
        }
    }

    /// The stamp of the file at `path`; `None` if there is no such file.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        fs::metadata(path)
            .ok()
            .filter(Metadata::is_file)
            .map(|metadata| Self::of(&metadata))
    }
}

/// One file when it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    stamp: Stamp,
    /// `None` for files whose content does not matter (assets).
    hash: Option<u64>,
    /// The content may change without changing the stamp.
    racy: bool,
}

impl Seen {
    /// Reads the file; `None` if there is no such file.
    fn read(path: &Path, hashed: bool) -> Option<Self> {
        let stamp = Stamp::at(path)?;
        let now = SystemTime::now();
        let hash = if hashed {
            fs::read(path).ok().map(|bytes| content_hash(&bytes))
        } else {
            None
        };
        // The file may be gone between the two calls.
        if hashed && hash.is_none() && !path.exists() {
            return None;
        }
        let racy = stamp
            .modified
            .is_none_or(|modified| modified + TIME_STEP >= now);
        Some(Self { stamp, hash, racy })
    }
}

/// What has become of a file since it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Observed {
    /// Nothing.
    Same,
    /// Written, but the content is what it was.
    Touched,
    /// New content, a new file, or no longer there.
    Changed,
}

/// A part of the file system that is watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Area {
    /// A crate: everything below the folder that is not hidden, temporary or output.
    Crate(PathBuf),
    /// One file, which need not exist yet.
    File(PathBuf),
    /// Files that are only reported: a folder or a file.
    Assets(PathBuf),
}

impl Area {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Crate(path) | Self::File(path) | Self::Assets(path) => path,
        }
    }
}

/// All watched files and what they looked like.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    root: PathBuf,
    target_dir: PathBuf,
    areas: BTreeSet<Area>,
    files: BTreeMap<PathBuf, Seen>,
    /// Files whose content matters although their name does not say so.
    inputs: BTreeSet<PathBuf>,
    revision: u64,
}

impl Sources {
    /// Nothing watched yet. Paths must be canonical.
    pub(crate) fn new(root: PathBuf, target_dir: PathBuf) -> Self {
        Self {
            root,
            target_dir,
            ..Self::default()
        }
    }

    /// Counts up whenever a file appears, goes, or becomes an input.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Replaces the watched areas; a [`Sources::rescan`] must follow.
    pub(crate) fn set_areas(&mut self, areas: BTreeSet<Area>) {
        self.areas = areas;
        self.revision += 1;
    }

    /// The watched areas.
    pub(crate) fn areas(&self) -> &BTreeSet<Area> {
        &self.areas
    }

    /// All known files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.keys()
    }

    /// Makes these files inputs whose content matters. Returns those that are
    /// new and were written at or after `since`, which a compiler that started
    /// then may have read in an older state.
    pub(crate) fn add_inputs(
        &mut self,
        paths: impl IntoIterator<Item = PathBuf>,
        since: SystemTime,
    ) -> Vec<PathBuf> {
        let mut late = Vec::new();
        for path in paths {
            if !self.inputs.insert(path.clone()) {
                continue;
            }
            self.revision += 1;
            if self
                .files
                .get(&path)
                .is_some_and(|seen| seen.hash.is_some())
            {
                continue;
            }
            if let Some(seen) = Seen::read(&path, true) {
                if seen
                    .stamp
                    .modified
                    .is_some_and(|modified| modified >= since)
                {
                    late.push(path.clone());
                }
                self.files.insert(path.clone(), seen);
            }
            if !self.is_in_area(&path) {
                self.areas.insert(Area::File(path));
            }
        }
        late
    }

    /// Whether an event about `path` can matter at all: a file of an area, or a
    /// folder on the way to one.
    pub(crate) fn is_watched(&self, path: &Path) -> bool {
        self.files.contains_key(path)
            || self.is_in_area(path)
            || self.areas.iter().any(|area| area.path().starts_with(path))
    }

    /// Whether `path` is in an area whose files are only reported.
    pub(crate) fn is_asset(&self, path: &Path) -> bool {
        self.areas.iter().any(|area| match area {
            Area::Assets(asset) => {
                path.starts_with(asset) && !path.file_name().is_some_and(is_temporary)
            }
            Area::Crate(_) | Area::File(_) => false,
        })
    }

    fn is_in_area(&self, path: &Path) -> bool {
        self.areas.iter().any(|area| match area {
            Area::File(file) => file == path,
            Area::Crate(dir) | Area::Assets(dir) => {
                path.strip_prefix(dir)
                    .is_ok_and(|inner| !inner.iter().any(is_temporary))
                    && !path.starts_with(&self.target_dir)
            }
        })
    }

    fn is_hashed(&self, path: &Path) -> bool {
        let by_name = path.extension().is_some_and(|extension| {
            extension == "rs" || extension == "toml" || extension == "lock"
        });
        by_name || self.inputs.contains(path) || self.areas.contains(&Area::File(path.to_owned()))
    }

    /// Looks at one file, whatever its stamp says, and remembers what it saw.
    pub(crate) fn observe(&mut self, path: &Path) -> Observed {
        let hashed = self.is_hashed(path);
        self.remember(path, Seen::read(path, hashed))
    }

    /// Looks at one file, reading it only if its stamp leaves a doubt.
    pub(crate) fn check(&mut self, path: &Path) -> Observed {
        match (self.files.get(path), Stamp::at(path)) {
            (None, None) => Observed::Same,
            (Some(seen), Some(stamp)) if seen.stamp == stamp && !seen.racy => Observed::Same,
            _ => self.observe(path),
        }
    }

    fn remember(&mut self, path: &Path, now: Option<Seen>) -> Observed {
        match (self.files.entry(path.to_owned()), now) {
            (Entry::Vacant(_), None) => Observed::Same,
            (Entry::Vacant(entry), Some(seen)) => {
                entry.insert(seen);
                self.revision += 1;
                Observed::Changed
            }
            (Entry::Occupied(entry), None) => {
                entry.remove();
                self.revision += 1;
                Observed::Changed
            }
            (Entry::Occupied(mut entry), Some(seen)) => {
                let before = entry.insert(seen);
                if before.hash != seen.hash {
                    Observed::Changed
                } else if before.stamp == seen.stamp {
                    Observed::Same
                } else if seen.hash.is_some() {
                    Observed::Touched
                } else {
                    Observed::Changed
                }
            }
        }
    }

    /// Walks all areas and compares every file. `on_folder` is called for each
    /// folder that must be watched *before* its entries are read, so that
    /// whatever changes later gives an event. With `deep`, contents are read
    /// whatever the stamps say.
    pub(crate) fn rescan(
        &mut self,
        deep: bool,
        on_folder: &mut dyn FnMut(&Path),
    ) -> Vec<(PathBuf, Observed)> {
        let mut found = BTreeSet::new();
        for folder in self.parents() {
            on_folder(&folder);
        }
        for area in self.areas.clone() {
            match area {
                Area::File(path) => {
                    found.insert(path);
                }
                Area::Crate(path) | Area::Assets(path) => {
                    if path.is_dir() {
                        self.walk(path, on_folder, &mut found);
                    } else {
                        found.insert(path);
                    }
                }
            }
        }
        let gone: Vec<PathBuf> = self
            .files
            .keys()
            .filter(|path| !found.contains(*path))
            .cloned()
            .collect();
        let mut differing = Vec::new();
        for path in gone.into_iter().chain(found) {
            let observed = if deep {
                self.observe(&path)
            } else {
                self.check(&path)
            };
            if observed != Observed::Same {
                differing.push((path, observed));
            }
        }
        differing
    }

    /// The folders above the areas up to the root: only there is it seen that
    /// an area itself is removed and made again.
    fn parents(&self) -> BTreeSet<PathBuf> {
        let mut folders = BTreeSet::new();
        for area in &self.areas {
            for folder in area.path().ancestors().skip(1) {
                let inside = folder.starts_with(&self.root);
                // Outside of the root the nearest folder has to do.
                if (inside || folders.is_empty() || !area.path().starts_with(&self.root))
                    && folder.is_dir()
                {
                    folders.insert(folder.to_owned());
                }
                if !inside || folder == self.root {
                    break;
                }
            }
        }
        folders
    }

    fn walk(&self, top: PathBuf, on_folder: &mut dyn FnMut(&Path), found: &mut BTreeSet<PathBuf>) {
        let mut folders = vec![top];
        while let Some(folder) = folders.pop() {
            on_folder(&folder);
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                if is_temporary(&name) {
                    continue;
                }
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => {
                        if path != self.target_dir && !path.join("CACHEDIR.TAG").exists() {
                            folders.push(path);
                        }
                    }
                    Ok(_) => {
                        found.insert(path);
                    }
                    Err(_) => {}
                }
            }
        }
    }

    /// One number for the content of these files.
    pub(crate) fn fingerprint<'a>(&self, paths: impl Iterator<Item = &'a PathBuf>) -> u64 {
        let mut all = Vec::new();
        for path in paths {
            if let Some(seen) = self.files.get(path) {
                all.extend_from_slice(path.as_os_str().as_encoded_bytes());
                match seen.hash {
                    Some(hash) => all.extend_from_slice(&hash.to_le_bytes()),
                    // Never read: any new stamp counts as new content.
                    None => all.extend_from_slice(format!("{:?}", seen.stamp).as_bytes()),
                }
            }
        }
        content_hash(&all)
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
