//! Where a run of the engine keeps what has to outlive its hosts: shared structs and
//! checkpoints, below `target/liveloop/<profile>/runs`, one folder per run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many folders of earlier runs are kept.
const KEPT: usize = 3;

/// Makes the folder of a new run; `runs` is the folder of all. Its name begins with the
/// time, so that names sort by age. Removes all but the last few of runs that ended.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn create(runs: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(runs)?;
    let ended: Vec<PathBuf> = all(runs)
        .into_iter()
        .filter(|run| !is_running(run))
        .collect();
    for run in &ended {
        // Executables of runs that were killed.
        let _ = fs::remove_dir_all(run.join("engine"));
    }
    let mut saved: Vec<_> = ended.iter().map(|run| (saved_at(run), run)).collect();
    saved.sort();
    for (_, run) in saved.iter().rev().skip(KEPT) {
        // What cannot be removed now is removed by a later run.
        let _ = fs::remove_dir_all(run);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_millis());
    let run = runs.join(format!("{now:016}-{}", std::process::id()));
    fs::create_dir(&run)?;
    Ok(run)
}

/// The folder of the run that ended and saved last, if there is one; one that saved nothing, only
/// if no other did.
pub(crate) fn last(runs: &Path) -> Option<PathBuf> {
    let ended = all(runs).into_iter().filter(|run| !is_running(run));
    ended.max_by_key(|run| saved_at(run))
}

/// When a run made its last checkpoint; `None` if it made none.
fn saved_at(run: &Path) -> Option<SystemTime> {
    let checkpoints = fs::read_dir(run.join("checkpoints")).ok()?.flatten();
    checkpoints
        .filter_map(|file| file.metadata().ok()?.modified().ok())
        .max()
}

/// Folders of all runs, oldest first.
fn all(runs: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(runs)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| pid_of(path).is_some())
        .collect();
    found.sort();
    found
}

fn pid_of(run: &Path) -> Option<u32> {
    run.file_name()?.to_str()?.split_once('-')?.1.parse().ok()
}

fn is_running(run: &Path) -> bool {
    pid_of(run).is_some_and(process_exists)
}

#[cfg(target_os = "linux")]
fn process_exists(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(not(target_os = "linux"))]
fn process_exists(pid: u32) -> bool {
    pid == std::process::id()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_runs_are_kept_and_those_that_run() {
        let runs = tempfile::tempdir().unwrap();
        // No process has such a number.
        for age in 1..=6 {
            fs::create_dir(runs.path().join(format!("{age:016}-4294967295"))).unwrap();
        }
        fs::create_dir(runs.path().join("something else")).unwrap();
        let mine = create(runs.path()).unwrap();
        let names: Vec<String> = all(runs.path())
            .iter()
            .map(|run| run.file_name().unwrap().to_str().unwrap()[15..].to_owned())
            .collect();
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!(names[0], "4-4294967295");
        assert!(mine.is_dir());
        let last = last(runs.path()).unwrap();
        assert!(last.ends_with("0000000000000006-4294967295"), "{last:?}");
    }

    #[test]
    fn runs_that_saved_nothing_make_way_for_those_that_did() {
        let runs = tempfile::tempdir().unwrap();
        let run = |age: u32| runs.path().join(format!("{age:016}-4294967295"));
        for age in 1..=6 {
            fs::create_dir(run(age)).unwrap();
        }
        // The one that began first was the last to save.
        for (age, second) in [(2, 100), (1, 200)] {
            let folder = run(age).join("checkpoints");
            fs::create_dir(&folder).unwrap();
            let file = fs::File::create(folder.join("one")).unwrap();
            let at = UNIX_EPOCH + std::time::Duration::from_secs(second);
            file.set_modified(at).unwrap();
        }
        assert_eq!(last(runs.path()), Some(run(1)));
        create(runs.path()).unwrap();
        assert_eq!(last(runs.path()), Some(run(1)));
        assert!(run(2).is_dir());
        assert!(!run(5).is_dir());
    }
}
