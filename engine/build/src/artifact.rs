//! Where finished artifacts are kept: `<target>/liveloop/<profile>/artifacts/
//! <module>-<hash>.<ext>`, one file for each content, never written twice.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use inspector_protocol::content_hash;

/// How many artifacts of a module are kept.
const KEPT: usize = 8;

/// How a file gets to its final name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publish {
    /// It is ours: move it.
    Move,
    /// Cargo still needs it: copy it.
    Copy,
}

/// A published artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Artifact {
    pub(crate) path: PathBuf,
    pub(crate) hash: u64,
}

/// Gives `file` its final name in `folder` and removes the oldest others.
pub(crate) fn publish(
    file: &Path,
    how: Publish,
    folder: &Path,
    module: &str,
) -> io::Result<Artifact> {
    let bytes = fs::read(file)?;
    let hash = content_hash(&bytes);
    let extension = std::env::consts::DLL_EXTENSION;
    let path = folder.join(format!("{module}-{hash:016x}.{extension}"));
    // The same content again: whoever has it open keeps the file it knows.
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == bytes.len() as u64) {
        refresh(&path);
        if how == Publish::Move {
            fs::remove_file(file)?;
        }
        return Ok(Artifact { path, hash });
    }
    fs::create_dir_all(folder)?;
    if how == Publish::Copy || fs::rename(file, &path).is_err() {
        // Through a name nobody looks for, so that the final one is complete
        // from the first moment. `write` (not `copy`): these bytes were hashed.
        let partial = folder.join(format!(".{module}-{hash:016x}-{}", std::process::id()));
        fs::write(&partial, &bytes)?;
        fs::rename(&partial, &path)?;
    }
    prune(folder, module, &path);
    Ok(Artifact { path, hash })
}

/// Makes an artifact the youngest of its module, so that it is not the next to be removed.
pub fn refresh(path: &Path) {
    if let Ok(file) = fs::File::options().append(true).open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Removes all but the youngest artifacts of a module; what cannot be removed
/// (in use on some systems) is left for the next time.
fn prune(folder: &Path, module: &str, newest: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut all: Vec<(SystemTime, PathBuf)> = entries
        .flatten()
        .filter(|entry| is_artifact_of(&entry.file_name().to_string_lossy(), module))
        .filter(|entry| entry.path() != newest)
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    all.sort();
    all.truncate((all.len() + 1).saturating_sub(KEPT));
    for (_, path) in all {
        let _ = fs::remove_file(path);
    }
}

fn is_artifact_of(name: &str, module: &str) -> bool {
    let extension = std::env::consts::DLL_EXTENSION;
    name.strip_prefix(module)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(extension))
        .and_then(|rest| rest.strip_suffix('.'))
        .is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_keeps_its_file_and_only_the_youngest_stay() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("artifacts");
        let file = dir.path().join("lib.so");
        let mut last = None;
        for content in 0..12u8 {
            fs::write(&file, [content]).unwrap();
            let published = publish(&file, Publish::Move, &folder, "mini").unwrap();
            assert_eq!(published.hash, content_hash(&[content]));
            assert!(!file.exists());
            last = Some(published);
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), KEPT);

        let last = last.unwrap();
        fs::write(&file, [11]).unwrap();
        assert_eq!(
            publish(&file, Publish::Copy, &folder, "mini").unwrap(),
            last
        );
        assert!(file.exists(), "a copied file stays");
        assert_eq!(fs::read(&last.path).unwrap(), [11]);
    }

    #[test]
    fn modules_with_a_common_prefix_are_told_apart() {
        let extension = std::env::consts::DLL_EXTENSION;
        let name = format!("ai-two-0123456789abcdef.{extension}");
        assert!(is_artifact_of(&name, "ai-two"));
        assert!(!is_artifact_of(&name, "ai"));
    }
}
