//! Files that are watched where nothing is built.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::config::WatchOptions;
use crate::error::BuildError;
use crate::event::BuildEvent;
use crate::shared::Shared;
use crate::snapshot::{Area, Sources};
use crate::watch::{Notice, Watch};

/// Events that may wait.
const EVENTS: usize = 16;

/// Reports which files have changed. Dropping it ends its threads.
#[derive(Debug)]
pub struct FileWatch {
    shared: Arc<Shared>,
    notices: Sender<Notice>,
    threads: Vec<JoinHandle<()>>,
}

impl FileWatch {
    /// Starts watching these files and folders of a project, except for its target folder. Of the
    /// events there are `FilesChanged` and `WatchProblem` alone. Paths must be canonical.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        root: &Path,
        target_dir: &Path,
        watched: impl IntoIterator<Item = PathBuf>,
    ) -> Result<(Self, Receiver<BuildEvent>), BuildError> {
        let mut sources = Sources::new(root.to_owned(), target_dir.to_owned());
        sources.set_areas(watched.into_iter().map(Area::Assets).collect());
        let (shared, woken) = Shared::new(sources);
        let shared = Arc::new(shared);
        let (watch, notices) = Watch::new(Arc::clone(&shared), WatchOptions::default());
        // What does not fit stays with `shared`.
        let (events, received) = bounded(EVENTS);
        let mut files = Self {
            shared: Arc::clone(&shared),
            notices,
            threads: Vec::new(),
        };
        files.spawn("file-watch", move || watch.run())?;
        files.spawn("file-events", move || report(&shared, &woken, &events))?;
        Ok((files, received))
    }

    fn spawn(
        &mut self,
        name: &'static str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), BuildError> {
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread
            .spawn(run)
            .map_err(|source| BuildError::Thread { name, source })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.shared.stop();
        // When the queue is full the thread wakes anyway and sees the flag.
        let _ = self.notices.try_send(Notice::Stop);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Sends what has changed until the watch or the receiver is dropped.
fn report(shared: &Shared, woken: &Receiver<()>, events: &Sender<BuildEvent>) {
    while woken.recv().is_ok() && !shared.is_stopping() {
        let changes = shared.take_changes();
        let mut new: Vec<BuildEvent> = Vec::new();
        for message in changes.problems {
            new.push(BuildEvent::WatchProblem { message });
        }
        if !changes.assets.is_empty() {
            let files = changes.assets.into_iter().collect();
            new.push(BuildEvent::FilesChanged { files });
        }
        for event in new {
            if events.send(event).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_happens_below_the_watched_folders_is_reported_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("assets/old")).unwrap();
        fs::write(root.join("assets/old/a.lua"), "1").unwrap();
        let (files, events) =
            FileWatch::start(&root, &root.join("target"), [root.join("assets")]).unwrap();
        fs::write(root.join("other.lua"), "1").unwrap();
        fs::rename(root.join("assets/old"), root.join("assets/new")).unwrap();
        let expected = [root.join("assets/new/a.lua"), root.join("assets/old/a.lua")];
        let mut seen = Vec::new();
        while !expected.iter().all(|file| seen.contains(file)) {
            match events.recv_timeout(Duration::from_mins(1)) {
                Ok(BuildEvent::FilesChanged { files }) => seen.extend(files),
                other => panic!("{other:?} after {seen:?}"),
            }
        }
        assert!(!seen.contains(&root.join("other.lua")), "{seen:?}");
        // Its threads end, and with them the events.
        drop(files);
        while events.recv().is_ok() {}
    }
}
