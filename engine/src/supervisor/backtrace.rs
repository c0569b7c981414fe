//! Where panics and crashes came from, in words.
//!
//! A host gives addresses. The thread `symbols` looks them up in the artifacts, while the next
//! host starts or the frames go on; what it found is told after what happened.

use std::collections::HashMap;
use std::path::PathBuf;

use crossbeam_channel::{Sender, bounded};
use engine_runtime::link::{CallPath, CodeAddress, PanicPlace};
use engine_runtime::stack::INNERMOST;
use inspector_protocol::content_hash;
use inspector_protocol::message::{Event, LogLevel};
use inspector_protocol::status::Problem;

use super::{Message, Supervisor};
use crate::config::ModuleKind;
use crate::symbols::{self, Backtrace, Frame};

/// Backtraces that may wait to be named; of more than that nothing is told.
const QUEUE: usize = 16;
/// Panics whose backtraces are kept.
const KEPT: usize = 100;

/// What a backtrace belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// The death of a host, by the message of its problem.
    Death(String),
    /// A panic.
    Panic(PanicPlace),
}

/// A backtrace with names.
pub(super) struct Named {
    about: About,
    /// The calls of the game.
    calls: Backtrace,
}

/// What the thread is asked.
struct Search {
    about: About,
    path: CallPath,
    /// Files by content that may be the ones that code was loaded from.
    files: Vec<(u64, PathBuf)>,
    root: PathBuf,
}

/// Backtraces, those that are looked for and those of panics.
#[derive(Default)]
pub(super) struct Backtraces {
    searches: Option<Sender<Search>>,
    panics: HashMap<PanicPlace, PanicTrace>,
}

#[derive(Default)]
struct PanicTrace {
    path: CallPath,
    /// Empty until it is known.
    text: String,
}

impl Backtraces {
    /// Adds the backtraces of panics to the problems that are about them.
    pub(super) fn add_to(&self, problems: &mut [Problem]) {
        for problem in problems {
            let is_about = |(place, _): &(&PanicPlace, &PanicTrace)| {
                (&problem.file, problem.line, problem.column)
                    == (&place.file, place.line, place.column)
                    && problem.message.contains(&place.message)
            };
            if let Some((_, trace)) = self.panics.iter().find(is_about) {
                problem.rendered.push_str(&trace.text);
            }
        }
    }
}

impl Supervisor {
    /// A panic was caught in the host.
    pub(super) fn panicked(&mut self, place: PanicPlace, path: CallPath) {
        let panics = &mut self.backtraces.panics;
        if panics.get(&place).is_some_and(|known| known.path == path) {
            // The same once more.
            return;
        }
        if panics.len() >= KEPT {
            panics.clear();
        }
        let trace = PanicTrace {
            path: path.clone(),
            text: String::new(),
        };
        panics.insert(place.clone(), trace);
        self.find_backtrace(About::Panic(place), path);
    }

    /// Has the names of a backtrace looked up.
    pub(super) fn find_backtrace(&mut self, about: About, path: CallPath) {
        if path.frames.is_empty() {
            return;
        }
        let mut contents: Vec<u64> = path.frames.iter().map(|frame| frame.content).collect();
        contents.sort_unstable();
        contents.dedup();
        let artifacts = contents.iter().filter_map(|content| {
            let artifact = self.reloads.artifact(*content)?;
            Some((*content, artifact.to_owned()))
        });
        // What others build lies where cargo puts it.
        let modules = self.config.modules.iter();
        let native = modules.filter(|module| module.kind == ModuleKind::Native);
        let libraries = native.map(|module| {
            let file = engine_native::backend::library_file(&module.library());
            self.project.libraries.join(file)
        });
        let libraries: Vec<_> = libraries.collect();
        let published = contents.iter().flat_map(|content| {
            let libraries = libraries.iter();
            libraries.map(|library| (*content, library.clone()))
        });
        let search = Search {
            files: artifacts.chain(published).collect(),
            root: self.project.root.clone(),
            about,
            path,
        };
        let messages = &self.messages;
        let searches = self
            .backtraces
            .searches
            .get_or_insert_with(|| start(messages.clone()));
        let _ = searches.try_send(search);
    }

    /// The names are there.
    pub(super) fn backtrace_named(&mut self, named: Named) {
        let Named { about, calls } = named;
        let text = calls.text();
        let what = match &about {
            About::Death(message) => message.clone(),
            About::Panic(place) => {
                format!("panic at {}:{}:{}", place.file, place.line, place.column)
            }
        };
        let line = format!("Backtrace ({what}):\n{}", text.trim_end());
        self.log_about(LogLevel::Error, "", line);
        match about {
            About::Death(message) => self.explain_death(&message, &calls.innermost, &text),
            About::Panic(place) => {
                if let Some(trace) = self.backtraces.panics.get_mut(&place) {
                    trace.text = text;
                }
            }
        }
        self.broadcast_status();
    }

    /// The death of a host has a place in the source.
    fn explain_death(&mut self, message: &str, frames: &[Frame], text: &str) {
        let known = self.death_problem.iter_mut().chain(self.reloads.refused());
        for problem in known.filter(|problem| problem.message == message) {
            add_backtrace(problem, frames, text);
        }
        if let Some(death) = &mut self.last_death {
            death.backtrace = text.lines().map(str::to_owned).collect();
            let death = death.clone();
            self.hub
                .broadcast(&Event::HostDown(death), |wants| wants.status);
        }
    }
}

/// Gives a problem the place of the innermost call, unless a panic has said it, and all of them.
fn add_backtrace(problem: &mut Problem, frames: &[Frame], text: &str) {
    let innermost = frames.iter().find(|frame| frame.line > 0);
    if let Some(frame) = innermost.filter(|_| problem.file.is_empty()) {
        problem.file = frame.file.display().to_string();
        problem.line = frame.line;
        problem.column = frame.column;
    }
    problem.rendered.push_str(text);
}

/// Starts the thread. It ends with the supervisor.
fn start(messages: Sender<Message>) -> Sender<Search> {
    let (searches, received) = bounded::<Search>(QUEUE);
    let body = move || {
        for search in received {
            let calls = find(&search);
            let about = search.about;
            let named = Message::Backtrace(Box::new(Named { about, calls }));
            if messages.send(named).is_err() {
                return;
            }
        }
    };
    // Without the thread, nothing is named.
    let _ = std::thread::Builder::new()
        .name("symbols".into())
        .spawn(body);
    searches
}

/// Looks a backtrace up.
fn find(search: &Search) -> Backtrace {
    let mut libraries: HashMap<u64, Vec<u8>> = HashMap::new();
    for (content, file) in &search.files {
        if !libraries.contains_key(content)
            && let Ok(bytes) = std::fs::read(file)
            && content_hash(&bytes) == *content
        {
            libraries.insert(*content, bytes);
        }
    }
    let named = |frames: &[CodeAddress]| {
        let runs = frames.chunk_by(|a, b| a.content == b.content);
        let frames = runs.flat_map(|run| {
            let offsets: Vec<u64> = run.iter().map(|frame| frame.offset).collect();
            let library = libraries.get(&run[0].content);
            let found = library.map(|library| symbols::frames(library, &offsets));
            found.and_then(Result::ok).unwrap_or_default()
        });
        frames.collect()
    };
    let CallPath { frames, left_out } = &search.path;
    let gap = if *left_out > 0 {
        INNERMOST
    } else {
        frames.len()
    };
    let (innermost, outermost) = frames.split_at(gap.min(frames.len()));
    let calls = Backtrace {
        innermost: named(innermost),
        left_out: *left_out,
        outermost: named(outermost),
    };
    calls.of_the_game(&search.root)
}
