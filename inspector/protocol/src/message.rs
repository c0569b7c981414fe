//! Requests to the hub and events from it.
//!
//! A client opens with [`Request::Hello`], the hub answers [`Event::Welcome`]
//! or [`Event::Refused`] and closes. After that the client may send requests at
//! any time; everything it subscribed to arrives as events. Answers carry the
//! `id` of their request.

use serde::{Deserialize, Serialize};

use crate::input::InputEvent;
use crate::status::{ReloadStatus, Status};
use crate::viewport::ViewportFrame;

/// From a client to the hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// First message of a connection.
    Hello {
        /// The client's [`crate::PROTOCOL_VERSION`].
        protocol: u32,
        /// What the client calls itself, for the log.
        client: String,
    },
    /// Replaces what this client wants to receive.
    Subscribe(Subscription),
    /// Asks for one [`Answer::Status`].
    Status {
        /// Comes back in the answer.
        id: u64,
    },
    /// Calls a function by name.
    Call {
        /// Comes back in the answer.
        id: u64,
        /// Module.
        module: String,
        /// Function.
        function: String,
        /// Arguments, each a RON value.
        args: Vec<String>,
    },
    /// Builds and loads a module again, whether or not its source changed.
    Reload {
        /// Comes back in the answer, when the reload ended.
        id: u64,
        /// Module.
        module: String,
    },
    /// Makes the version before the active one active again.
    Rollback {
        /// Comes back in the answer, when the rollback ended.
        id: u64,
        /// Module.
        module: String,
        /// Also restore the state of that moment.
        state: bool,
    },
    /// Replaces the source of a Lua module until its file changes. Answered with
    /// [`Answer::Reload`], as a reload is.
    Push {
        /// Comes back in the answer.
        id: u64,
        /// What is pushed.
        push: Push,
    },
    /// Does something to the world as a whole; answered with [`Answer::Value`].
    World {
        /// Comes back in the answer.
        id: u64,
        /// What.
        act: WorldAct,
    },
    /// Asks a job to end; answered with [`Answer::Value`].
    CancelJob {
        /// Comes back in the answer.
        id: u64,
        /// Number of the job, as the status lists it.
        job: u64,
    },
    /// Asks for the shared structs of this run, which outlive its hosts; answered with
    /// [`Answer::Value`].
    Shared {
        /// Comes back in the answer.
        id: u64,
    },
    /// Starts a new host (ends a running one first).
    RestartHost {
        /// Comes back in the answer.
        id: u64,
    },
    /// Ends the game: host first, then the engine.
    Shutdown {
        /// Comes back in the answer.
        id: u64,
    },
    /// Something the player did.
    Input(InputEvent),
    /// The size, in cells, that this client shows the game in.
    ViewportSize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
}

/// Largest text of a [`Push`], in bytes.
pub const LARGEST_PUSH: u64 = 4 << 20;

/// Another source for a Lua module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The module, or what `require` calls a file of one.
    pub module: String,
    /// What the text is called in errors.
    pub name: String,
    /// Lua source text of at most [`LARGEST_PUSH`] bytes.
    pub text: String,
    /// The text holds some functions, and the rest stays as it runs.
    pub is_patch: bool,
}

/// What can be done to the world as a whole, between two frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorldAct {
    /// The world as a scene: RON text.
    Save,
    /// Replaces the game's entities and resources by those of a scene.
    Load {
        /// What the text is called in errors.
        name: String,
        /// RON.
        text: String,
    },
    /// Forgets values in limbo: those of one type (by its path), or all.
    ClearLimbo(Option<String>),
}

/// What a client wants to receive without asking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// [`Event::Status`], about ten times a second and at once on changes.
    pub status: bool,
    /// [`Event::Log`]; the hub's last lines are sent first.
    pub logs: bool,
    /// [`Event::Viewport`], at most 30 times a second.
    pub viewport: bool,
}

/// From the hub to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The hub speaks the same protocol.
    Welcome {
        /// The hub's [`crate::PROTOCOL_VERSION`].
        protocol: u32,
        /// Process id of the supervisor.
        pid: u32,
        /// The project's root directory, for shortening paths.
        root: String,
    },
    /// The connection is not accepted; the reason is for people.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// The current status.
    Status(Box<Status>),
    /// A log line.
    Log(LogLine),
    /// A frame of the game.
    Viewport(ViewportFrame),
    /// A reload ended.
    Reload(ReloadStatus),
    /// The host ended without being asked to.
    HostDown(HostDeath),
    /// An answer to a request.
    Answer {
        /// The request's id.
        id: u64,
        /// The answer.
        answer: Answer,
    },
    /// This client was too slow; so many messages were dropped for it.
    Dropped {
        /// Messages dropped since the last such event.
        count: u64,
    },
}

/// Answers to requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Done; nothing to say.
    Done,
    /// Could not be done; what, why and what to do.
    Error(String),
    /// The status asked for.
    Status(Box<Status>),
    /// The value a call returned, as JSON text.
    Value(String),
    /// How a reload or rollback ended.
    Reload(ReloadStatus),
}

/// How and where a host died.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDeath {
    /// What happened: `signal SIGSEGV`, `exit status 101`.
    pub how: String,
    /// Module, version and function that were running, where known.
    pub during: Option<String>,
    /// The calls that led there, innermost first, once their names are known.
    pub backtrace: Vec<String>,
    /// Last lines the host wrote to its standard error.
    pub stderr: Vec<String>,
}

/// One line of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Counts up by one per line of this supervisor.
    pub seq: u64,
    /// Milliseconds after the supervisor's start.
    pub at_ms: u64,
    /// Level.
    pub level: LogLevel,
    /// Module that wrote it, or that the engine's line is about; else empty.
    pub module: String,
    /// Who wrote it.
    pub source: LogSource,
    /// The text; may hold line breaks.
    pub message: String,
}

/// Who wrote a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// The engine itself.
    #[default]
    Engine,
    /// Code of the module.
    Module,
}

/// Level of a log line, most severe first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something looks wrong.
    Warn,
    /// What people want to know.
    #[default]
    Info,
    /// What developers of a module want to know.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level in the form of log lines: `INFO`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

impl std::str::FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(format!(
                "`{text}` is no log level; use error, warn, info, debug or trace"
            )),
        }
    }
}
