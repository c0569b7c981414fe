//! A small workspace in a temporary folder, and a builder that works on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use engine_build::{BuildEvent, BuildMethod, Builder, BuilderConfig, ModuleSource, WatchOptions};
use inspector_protocol::status::Problem;

/// Longest time for one build on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Sources of the scratch workspace: `mini` (the module) needs `types`.
const FILES: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"mini\", \"types\"]\n",
    ),
    (
        "mini/Cargo.toml",
        "[package]\nname = \"mini\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [lib]\ncrate-type = [\"rlib\", \"dylib\"]\n\n\
         [dependencies]\ntypes = { path = \"../types\" }\n",
    ),
    ("mini/src/lib.rs", LIB),
    (
        "mini/src/rules.rs",
        "pub const MARK: &str = \"mark-first\";\n",
    ),
    (
        "types/Cargo.toml",
        "[package]\nname = \"types\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    ),
    ("types/src/lib.rs", "pub const OFFSET: u32 = 2;\n"),
    ("assets/level.ron", "(size: 1)\n"),
];

/// Content of `mini/src/lib.rs`.
pub const LIB: &str = "mod rules;\n\n\
    #[unsafe(no_mangle)]\npub fn mark() -> &'static str {\n    rules::MARK\n}\n\n\
    #[unsafe(no_mangle)]\npub fn offset() -> u32 {\n    types::OFFSET\n}\n";

/// Content of `mini/src/rules.rs` that leaves `mark` in the artifact.
pub fn rules(mark: &str) -> String {
    format!("pub const MARK: &str = \"{mark}\";\n")
}

/// A workspace on disk.
pub struct Scratch {
    folder: tempfile::TempDir,
}

/// How a build ended.
#[derive(Debug)]
pub enum Ended {
    Built {
        artifact: PathBuf,
        hash: u64,
        trigger: String,
        forced: bool,
        warnings: Vec<Problem>,
    },
    Unchanged {
        trigger: String,
        forced: bool,
    },
    Failed {
        problems: Vec<Problem>,
        summary: String,
    },
}

/// The last build of a module, with what led to it.
#[derive(Debug)]
pub struct Report {
    pub ended: Ended,
    /// Of the build that ended; `None` if no compiler ran.
    pub how: Option<BuildMethod>,
    pub files: Vec<PathBuf>,
    pub cancelled: usize,
}

/// A builder and its events.
pub struct Session {
    pub builder: Builder,
    pub events: Receiver<BuildEvent>,
}

impl Scratch {
    pub fn new() -> Self {
        let scratch = Self {
            folder: tempfile::tempdir().expect("temporary folder"),
        };
        for (path, text) in FILES {
            scratch.write(path, text);
        }
        scratch
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        fs::canonicalize(self.folder.path())
            .expect("scratch folder")
            .join(relative)
    }

    pub fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        fs::write(path, text).expect("write");
    }

    pub fn append(&self, relative: &str, text: &str) {
        let before = fs::read_to_string(self.path(relative)).expect("read");
        self.write(relative, &(before + text));
    }

    pub fn config(&self) -> BuilderConfig {
        BuilderConfig {
            root: self.path(""),
            target_dir: self.path("target"),
            profile: "dev".into(),
            selection: Vec::new(),
            engine: None,
            modules: vec![ModuleSource {
                name: "mini".into(),
                package: "mini".into(),
            }],
            wrapper: std::env::current_exe().ok(),
            extra_watch: vec![self.path("assets")],
        }
    }

    /// Starts a builder that has nothing but the system's events to go by.
    pub fn start(&self) -> Session {
        self.start_with(WatchOptions {
            rescan_every: None,
            ..WatchOptions::default()
        })
    }

    pub fn start_with(&self, options: WatchOptions) -> Session {
        let (builder, events) =
            Builder::start_with(self.config(), options).expect("the builder starts");
        Session { builder, events }
    }

    /// Starts a builder and waits for its first build.
    pub fn start_built(&self) -> (Session, Report) {
        let session = self.start();
        let report = session.wait();
        assert!(
            matches!(&report.ended, Ended::Built { trigger, .. } if trigger == "startup"),
            "{report:?}"
        );
        (session, report)
    }
}

impl Session {
    /// The next event of a build, or of the watch.
    pub fn next(&self, deadline: Instant) -> BuildEvent {
        match self.events.recv_deadline(deadline) {
            Ok(BuildEvent::Priming { .. } | BuildEvent::Primed { .. }) => self.next(deadline),
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => panic!("no event in time"),
            Err(RecvTimeoutError::Disconnected) => panic!("the builder ended"),
        }
    }

    /// Waits for the end of a build.
    pub fn wait(&self) -> Report {
        let deadline = Instant::now() + PATIENCE;
        let mut how = None;
        let mut seen = Vec::new();
        let mut cancelled = 0;
        loop {
            let ended = match self.next(deadline) {
                BuildEvent::Detected { files, .. } => {
                    seen = files;
                    continue;
                }
                BuildEvent::Started { how: method, .. } => {
                    how = Some(method);
                    continue;
                }
                BuildEvent::Cancelled { .. } => {
                    how = None;
                    cancelled += 1;
                    continue;
                }
                BuildEvent::Built {
                    artifact,
                    hash,
                    trigger,
                    forced,
                    problems,
                    ..
                } => {
                    let bytes = fs::read(&artifact).expect("the artifact is there");
                    assert_eq!(hash, engine_build::content_hash(&bytes));
                    Ended::Built {
                        artifact,
                        hash,
                        trigger,
                        forced,
                        warnings: problems,
                    }
                }
                BuildEvent::Unchanged {
                    trigger, forced, ..
                } => Ended::Unchanged { trigger, forced },
                BuildEvent::Failed {
                    problems, summary, ..
                } => Ended::Failed { problems, summary },
                BuildEvent::FilesChanged { .. } => continue,
                BuildEvent::WatchProblem { message } => panic!("{message}"),
                other => panic!("unknown event {other:?}"),
            };
            return Report {
                ended,
                how,
                files: seen,
                cancelled,
            };
        }
    }

    /// Waits until a build has `mark` in its artifact; builds of what was on
    /// disk in between may come before it.
    pub fn wait_for_mark(&self, mark: &str) -> Report {
        loop {
            let report = self.wait();
            match &report.ended {
                Ended::Built { artifact, .. } if contains(artifact, mark) => return report,
                _ => {}
            }
        }
    }

    /// Waits until the compiler of a build is being started.
    pub fn wait_for_start(&self) -> BuildMethod {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let BuildEvent::Started { how, .. } = self.next(deadline) {
                return how;
            }
        }
    }

    /// Proves that nothing was going on: what is done next is the next to be
    /// heard of.
    pub fn assert_quiet(&self, scratch: &Scratch) {
        let name = format!("assets/quiet-{:?}.ron", Instant::now()).replace([' ', ':'], "");
        scratch.write(&name, "x");
        loop {
            match self.next(Instant::now() + PATIENCE) {
                BuildEvent::FilesChanged { files } if files.contains(&scratch.path(&name)) => break,
                // The second half of an earlier write.
                BuildEvent::FilesChanged { .. } => {}
                other => panic!("expected silence, got {other:?}"),
            }
        }
    }
}

impl Report {
    pub fn built(&self) -> (&Path, u64) {
        match &self.ended {
            Ended::Built { artifact, hash, .. } => (artifact, *hash),
            _ => panic!("not built: {self:?}"),
        }
    }

    pub fn assert_unchanged(&self) {
        assert!(matches!(self.ended, Ended::Unchanged { .. }), "{self:?}");
    }

    pub fn assert_mark(&self, mark: &str) {
        let (artifact, _) = self.built();
        assert!(
            contains(artifact, mark),
            "no `{mark}` in {}",
            artifact.display()
        );
    }

    pub fn problems(&self) -> &[Problem] {
        match &self.ended {
            Ended::Failed { problems, .. } => problems,
            _ => panic!("not failed: {self:?}"),
        }
    }
}

/// Whether a file has these bytes somewhere.
pub fn contains(file: &Path, text: &str) -> bool {
    let bytes = fs::read(file).expect("read");
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
