//! The thread `build-watch`: events of the system become changed files.
//!
//! Each folder is watched by itself, before its entries are read; so a folder
//! that appears is covered from its first file on, and `target` costs nothing.
//! Events only say where to look: what a file *is* decides. When events are
//! lost (full queue) everything is watched anew and every content compared.
//! When they cannot be had at all (limit reached, odd file system), files are
//! compared at an interval instead.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use notify::event::{EventKind, MetadataKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::config::WatchOptions;
use crate::platform;
use crate::shared::Shared;

/// Events that may wait; more count as lost and lead to a comparison.
const EVENTS: usize = 4096;

/// What the watching thread is told.
#[derive(Debug)]
pub(crate) enum Notice {
    /// Something happened to these paths.
    Event {
        paths: Vec<PathBuf>,
        /// Something appeared, went or was renamed.
        is_structural: bool,
        at: Instant,
    },
    /// The watched areas are others now: compare everything.
    Areas,
    /// Events were lost.
    Lost { at: Instant },
    /// No more events for some folders, and why.
    Broken(String),
    /// The builder is being dropped.
    Stop,
}

/// What the thread owns.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    options: WatchOptions,
    notices: Receiver<Notice>,
    is_overflown: Arc<AtomicBool>,
    folders: Folders,
    next_scan: Option<Instant>,
}

/// The folders that give events.
#[derive(Debug)]
struct Folders {
    /// `None` while polling.
    watcher: Option<RecommendedWatcher>,
    /// With the inode each had, to see that another took its place.
    watched: HashMap<PathBuf, u64>,
    /// Why the last folder could not be watched.
    failure: Option<String>,
}

impl Watch {
    /// Starts watching and takes the first look at all files. Also gives the
    /// end for [`Notice`]s.
    pub(crate) fn new(shared: Arc<Shared>, options: WatchOptions) -> (Self, Sender<Notice>) {
        let (sender, notices) = bounded(EVENTS);
        let is_overflown = Arc::new(AtomicBool::new(false));
        let mut folders = Folders {
            watcher: None,
            watched: HashMap::new(),
            failure: None,
        };
        if options.events {
            let events = sender.clone();
            let overflown = Arc::clone(&is_overflown);
            let handler = move |event| {
                if let Some(notice) = notice_of(event)
                    && let Err(TrySendError::Full(_)) = events.try_send(notice)
                {
                    overflown.store(true, Ordering::Release);
                }
            };
            match notify::recommended_watcher(handler) {
                Ok(watcher) => folders.watcher = Some(watcher),
                Err(error) => folders.failure = Some(describe(&error)),
            }
        }
        let mut watch = Self {
            shared,
            options,
            notices,
            is_overflown,
            folders,
            next_scan: None,
        };
        watch.first_look();
        (watch, sender)
    }

    /// Runs until [`Notice::Stop`].
    pub(crate) fn run(mut self) {
        loop {
            let first = match self.next_notice() {
                Ok(notice) => Some(notice),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.shared.is_stopping() {
                return;
            }
            match first {
                Some(notice) => {
                    if !self.handle_burst(notice) {
                        return;
                    }
                }
                None => self.rescan(false, Instant::now()),
            }
            self.shared.wake_if_needed();
        }
    }

    fn next_notice(&self) -> Result<Notice, RecvTimeoutError> {
        match self.next_scan {
            Some(at) => self.notices.recv_deadline(at),
            None => self
                .notices
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Handles a notice and those that follow at once. False to end.
    fn handle_burst(&mut self, first: Notice) -> bool {
        let start = Instant::now();
        let mut notice = Some(first);
        let mut unsettled = Vec::new();
        loop {
            if let Some(notice) = notice.take() {
                if matches!(notice, Notice::Stop) {
                    return false;
                }
                self.handle(notice, &mut unsettled);
            }
            unsettled.retain(|path| is_unfinished(path));
            let elapsed = start.elapsed();
            let (wait, limit) = if unsettled.is_empty() {
                (self.options.quiet, self.options.collect)
            } else {
                (self.options.settle, self.options.settle)
            };
            let left = limit.saturating_sub(elapsed);
            match self.notices.recv_timeout(wait.min(left)) {
                Ok(next) => notice = Some(next),
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => break,
            }
            if left.is_zero() {
                // Time is up: what is already there belongs to this burst, but
                // do not wait for more.
                if let Some(notice) = notice.take() {
                    if matches!(notice, Notice::Stop) {
                        return false;
                    }
                    self.handle(notice, &mut unsettled);
                }
                break;
            }
        }
        if self.is_overflown.swap(false, Ordering::AcqRel) {
            self.handle(Notice::Lost { at: start }, &mut unsettled);
        }
        true
    }

    fn handle(&mut self, notice: Notice, unsettled: &mut Vec<PathBuf>) {
        match notice {
            Notice::Event {
                paths,
                is_structural,
                at,
            } => {
                for path in paths {
                    self.look(path, is_structural, at, unsettled);
                }
            }
            Notice::Areas => self.rescan(false, Instant::now()),
            Notice::Lost { at } => {
                // Folders may have been replaced without a word.
                self.folders.watched.clear();
                self.rescan(true, at);
            }
            Notice::Broken(reason) => {
                self.folders.failure = Some(reason);
                self.rescan(false, Instant::now());
            }
            Notice::Stop => {}
        }
    }

    fn look(
        &mut self,
        path: PathBuf,
        is_structural: bool,
        at: Instant,
        unsettled: &mut Vec<PathBuf>,
    ) {
        let mut state = self.shared.lock();
        if !state.sources.is_watched(&path) {
            return;
        }
        if path.is_dir() || self.folders.watched.contains_key(&path) {
            if is_structural {
                // Whatever is there now is not what was watched.
                self.folders
                    .watched
                    .retain(|folder, _| !folder.starts_with(&path));
                drop(state);
                self.rescan(false, at);
            }
            return;
        }
        let observed = state.sources.observe(&path);
        if is_unfinished(&path) {
            unsettled.push(path.clone());
        }
        state.note(path, observed, at);
    }

    fn rescan(&mut self, deep: bool, at: Instant) {
        let mut state = self.shared.lock();
        let folders = &mut self.folders;
        for (path, observed) in state
            .sources
            .rescan(deep, &mut |folder| folders.watch(folder))
        {
            state.note(path, observed, at);
        }
        drop(state);
        self.after_scan();
    }

    /// The state to compare with: nothing in it is a change.
    fn first_look(&mut self) {
        let mut state = self.shared.lock();
        let folders = &mut self.folders;
        state
            .sources
            .rescan(true, &mut |folder| folders.watch(folder));
        drop(state);
        self.after_scan();
    }

    fn after_scan(&mut self) {
        if let Some(failure) = self.folders.failure.take() {
            // What is watched already still gives events at once.
            self.options.rescan_every = Some(self.options.poll_every);
            let message = format!(
                "{failure}; changes are looked for every {} ms instead",
                self.options.poll_every.as_millis()
            );
            self.shared.lock().changes.problems.push(message);
        }
        let interval = match self.folders.watcher {
            Some(_) => self.options.rescan_every,
            None => Some(self.options.poll_every),
        };
        self.next_scan = interval.map(|interval: Duration| Instant::now() + interval);
    }
}

impl Folders {
    fn watch(&mut self, folder: &Path) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let Ok(metadata) = fs::metadata(folder) else {
            return;
        };
        let inode = platform::inode(&metadata);
        if self.watched.get(folder) == Some(&inode) {
            return;
        }
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(folder.to_owned(), inode);
            }
            Err(error) => {
                // Gone since it was listed: the event of its end is coming.
                if !matches!(error.kind, notify::ErrorKind::PathNotFound) && folder.is_dir() {
                    // Not tried again, or every comparison would report it.
                    self.watched.insert(folder.to_owned(), inode);
                    self.failure = Some(describe(&error));
                }
            }
        }
    }
}

/// Truncated or removed, as some editors do before they write.
fn is_unfinished(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |metadata| metadata.is_file() && metadata.len() == 0)
}

fn describe(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => "the system's limit of watched folders is reached \
             (raise it: sysctl fs.inotify.max_user_watches=524288)"
            .to_owned(),
        notify::ErrorKind::Io(cause) if cause.raw_os_error() == Some(24) => {
            "too many watchers or open files \
             (raise it: sysctl fs.inotify.max_user_instances=512)"
                .to_owned()
        }
        other => format!("the system gives no file events: {other:?}"),
    }
}

/// What an event of the system means; `None` for those that say nothing new.
fn notice_of(event: notify::Result<notify::Event>) -> Option<Notice> {
    let at = Instant::now();
    let event = match event {
        Ok(event) => event,
        Err(error) => return Some(Notice::Broken(describe(&error))),
    };
    if event.need_rescan() {
        return Some(Notice::Lost { at });
    }
    let is_structural = match event.kind {
        EventKind::Access(_)
        | EventKind::Modify(ModifyKind::Metadata(MetadataKind::AccessTime)) => {
            return None;
        }
        EventKind::Create(_)
        | EventKind::Remove(_)
        | EventKind::Modify(ModifyKind::Name(_))
        | EventKind::Any
        | EventKind::Other => true,
        EventKind::Modify(_) => false,
    };
    Some(Notice::Event {
        paths: event.paths,
        is_structural,
        at,
    })
}

#[cfg(test)]
mod tests {
    use notify::Event;
    use notify::event::{AccessKind, CreateKind, DataChange, Flag, RenameMode};

    use std::collections::BTreeSet;

    use super::*;
    use crate::snapshot::{Area, Sources};

    #[test]
    fn after_lost_events_every_content_is_compared() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lib.rs");
        fs::write(&file, "one").unwrap();
        let stamp = fs::metadata(&file).unwrap().modified().unwrap() - Duration::from_secs(9);
        let set_time = || {
            let file = fs::File::options().append(true).open(&file).unwrap();
            file.set_modified(stamp).unwrap();
        };
        set_time();
        let mut sources = Sources::new(dir.path().into(), dir.path().join("target"));
        sources.set_areas(BTreeSet::from([Area::Crate(dir.path().into())]));
        let (shared, _woken) = Shared::new(sources);
        let shared = Arc::new(shared);
        let options = WatchOptions {
            events: false,
            ..WatchOptions::default()
        };
        let (mut watch, _notices) = Watch::new(Arc::clone(&shared), options);
        // Same stamp, other content: only reading it shows.
        fs::write(&file, "two").unwrap();
        set_time();
        watch.rescan(false, Instant::now());
        assert!(shared.take_changes().changed.is_empty());
        watch.is_overflown.store(true, Ordering::Release);
        watch.handle_burst(Notice::Areas);
        assert_eq!(
            shared
                .take_changes()
                .changed
                .into_keys()
                .collect::<Vec<_>>(),
            [file]
        );
    }

    #[test]
    fn events_that_say_nothing_are_dropped_and_lost_ones_noticed() {
        let table = [
            (EventKind::Access(AccessKind::Read), "none"),
            (EventKind::Create(CreateKind::File), "structural"),
            (
                EventKind::Modify(ModifyKind::Name(RenameMode::To)),
                "structural",
            ),
            (
                EventKind::Modify(ModifyKind::Data(DataChange::Any)),
                "content",
            ),
            (EventKind::Any, "structural"),
        ];
        for (kind, expected) in table {
            let got = match notice_of(Ok(Event::new(kind).add_path("x".into()))) {
                None => "none",
                Some(Notice::Event {
                    is_structural: true,
                    ..
                }) => "structural",
                Some(Notice::Event { .. }) => "content",
                Some(_) => "other",
            };
            assert_eq!(got, expected, "{kind:?}");
        }
        let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(matches!(notice_of(Ok(lost)), Some(Notice::Lost { .. })));
        let limit = notify::Error::new(notify::ErrorKind::MaxFilesWatch);
        let Some(Notice::Broken(text)) = notice_of(Err(limit)) else {
            panic!("not noticed")
        };
        assert!(text.contains("max_user_watches"), "{text}");
    }
}
