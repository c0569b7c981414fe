//! What is known and what is selected: the model behind the screen.
//!
//! [`State`] has no terminal, no clock and no socket; [`crate::update`] alone
//! changes it, [`crate::view`] draws it. What came from the game is in
//! [`Model`], already harmless; the rest is what the user did.

use std::collections::VecDeque;

use inspector_protocol::message::{HostDeath, LogLine};
use inspector_protocol::status::{
    CallStatus, HostState, Problem, ReloadStatus, StallStatus, Status,
};
use inspector_protocol::viewport::ViewportFrame;

use crate::input::HeldKeys;
use crate::keys::Context;
use crate::layout::{self, Layout};
use crate::ui::Role;

/// Log lines kept.
pub const MAX_LOG: usize = 2000;
/// How long a result stays on the hint line, in milliseconds.
pub const NOTICE_MS: u64 = 6000;

/// Everything the screen is drawn from.
#[derive(Debug, Clone)]
pub struct State {
    /// Whether this is the engine's own terminal.
    pub role: Role,
    /// Size of the terminal in cells.
    pub size: (u16, u16),
    /// Time since the start of the user interface, in milliseconds.
    pub now_ms: u64,
    /// Whether the hub is there.
    pub connection: Connection,
    /// The newest of everything.
    pub live: Model,
    /// What is shown instead while the view is frozen.
    pub frozen: Option<Box<Model>>,
    /// Who gets the keys.
    pub focus: Focus,
    /// The selected panel.
    pub panel: Panel,
    /// The selected row of each panel, by [`Panel::index`]; the log's is only
    /// used while it is not followed.
    pub selected: [usize; 5],
    /// Whether the log shows its end.
    pub follow: bool,
    /// The module the last selected row is about; what `r` and `b` act on.
    pub module: Option<String>,
    /// What covers the body.
    pub overlay: Overlay,
    /// The question that waits for an answer.
    pub confirm: Option<Confirm>,
    /// The last result.
    pub notice: Option<Notice>,
    /// Requests without an answer.
    pub pending: Vec<Pending>,
    /// Id of the next request.
    pub next_id: u64,
    /// Events the hub dropped because this client was too slow.
    pub dropped: u64,
    /// Keys the game was told are down.
    pub held: HeldKeys,
    /// Mouse buttons the game was told are down.
    pub held_buttons: Vec<inspector_protocol::input::MouseButton>,
    /// What the hub was last told about the viewport: size, and whether it is
    /// visible.
    pub told: Told,
    /// Whether somebody knows that the game is stalled, and waits.
    pub waits: bool,
    /// Whether the screen no longer shows this.
    pub is_dirty: bool,
}

/// What came from the game.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The last status; `None` before the first.
    pub status: Option<Box<Status>>,
    /// The last log lines, oldest first.
    pub log: VecDeque<LogLine>,
    /// The last frame of this host.
    pub viewport: Option<ViewportFrame>,
    /// How the last host died, until another one runs.
    pub death: Option<HostDeath>,
    /// When this host started, on the clock of `uptime_ms`, as far as it was
    /// seen.
    pub host_started_ms: u64,
}

/// Whether the hub is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Yes.
    Connected,
    /// No; the next attempt is at that time.
    Lost {
        /// Attempts made so far.
        attempts: u32,
        /// When the next is made, on the clock of [`State::now_ms`].
        retry_at_ms: u64,
    },
    /// No; an attempt is being made.
    Connecting {
        /// Attempts made so far, this one included.
        attempts: u32,
    },
}

/// Who gets the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The game.
    Game,
    /// The panels.
    Panels,
}

/// A panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    /// Modules and their versions.
    Modules,
    /// Calls that run now.
    Calls,
    /// Reloads, newest first.
    Reloads,
    /// What is wrong now.
    Problems,
    /// Log lines.
    Log,
}

impl Panel {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Modules,
        Self::Calls,
        Self::Reloads,
        Self::Problems,
        Self::Log,
    ];

    /// Position in [`Panel::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The key that shows it.
    pub fn digit(self) -> usize {
        self.index() + 1
    }

    /// Its title.
    pub fn name(self) -> &'static str {
        match self {
            Self::Modules => "Modules",
            Self::Calls => "Calls",
            Self::Reloads => "Reloads",
            Self::Problems => "Problems",
            Self::Log => "Log",
        }
    }
}

/// What covers the body.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// Nothing.
    None,
    /// The keys.
    Help {
        /// First line shown.
        scroll: usize,
    },
    /// One row in full.
    Detail {
        /// Which.
        detail: Box<Detail>,
        /// First line shown.
        scroll: usize,
    },
}

/// One row in full, as it was when opened; a version is looked up anew.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// A module with all its versions.
    Module(String),
    /// A call.
    Call(CallStatus),
    /// A reload and the time of each step.
    Reload(ReloadStatus),
    /// A problem with its rendered text.
    Problem(Problem),
    /// A log line with all its lines.
    Log(LogLine),
}

/// A question that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirm {
    /// End the game?
    Quit,
    /// Roll a module back?
    Rollback {
        /// Which.
        module: String,
        /// The version whose code runs then, where that is known.
        before: Option<u32>,
    },
    /// Restart the host that runs?
    Restart,
}

/// A result for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub text: String,
    /// Whether it went wrong.
    pub is_error: bool,
    /// When, on the clock of [`State::now_ms`].
    pub at_ms: u64,
}

/// A request without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its id.
    pub id: u64,
    /// What it asks for: `reload game_logic`.
    pub what: String,
}

/// What the hub was last told about the viewport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Its size.
    pub size: Option<(u16, u16)>,
    /// Whether frames are wanted; `None` before the first subscription.
    pub visible: Option<bool>,
}

impl State {
    /// A user interface that has not heard from the hub yet.
    pub fn new(role: Role, size: (u16, u16)) -> Self {
        Self {
            role,
            size,
            now_ms: 0,
            connection: Connection::Connected,
            live: Model::default(),
            frozen: None,
            focus: match role {
                Role::Owner => Focus::Game,
                Role::Attached => Focus::Panels,
            },
            panel: Panel::Modules,
            selected: [0; 5],
            follow: true,
            module: None,
            overlay: Overlay::None,
            confirm: None,
            notice: None,
            pending: Vec::new(),
            next_id: 1,
            dropped: 0,
            held: HeldKeys::default(),
            held_buttons: Vec::new(),
            told: Told::default(),
            waits: false,
            is_dirty: true,
        }
    }

    /// What is shown: the frozen view, else what is live.
    pub fn shown(&self) -> &Model {
        self.frozen.as_deref().unwrap_or(&self.live)
    }

    /// Where everything is.
    pub fn layout(&self) -> Layout {
        layout::layout(self.size.0, self.size.1, self.focus, self.panel)
    }

    /// What keys mean now.
    pub fn context(&self) -> Context {
        match (&self.confirm, &self.overlay, self.focus) {
            (Some(Confirm::Rollback { .. }), ..) => Context::ConfirmState,
            (Some(_), ..) => Context::Confirm,
            (None, Overlay::Help { .. }, _) => Context::Help,
            (None, Overlay::Detail { .. }, _) => Context::Detail,
            (None, Overlay::None, Focus::Game) if self.live.host() == Some(HostState::Down) => {
                Context::GameDown
            }
            (None, Overlay::None, Focus::Game) if self.is_stalled() => Context::GameStalled,
            (None, Overlay::None, Focus::Panels) if self.is_stalled() => Context::PanelsStalled,
            (None, Overlay::None, Focus::Game) => Context::Game,
            (None, Overlay::None, Focus::Panels) => Context::Panels,
        }
    }

    /// Whether the game does not get on, and that is news.
    pub fn is_stalled(&self) -> bool {
        self.live.stall().is_some() && !self.waits
    }

    /// The result to show, while it is fresh.
    pub fn fresh_notice(&self) -> Option<&Notice> {
        self.notice
            .as_ref()
            .filter(|notice| self.now_ms < notice.at_ms + NOTICE_MS)
    }
}

impl Model {
    /// State of the host; `None` before the first status.
    pub fn host(&self) -> Option<HostState> {
        self.status.as_ref().map(|status| status.engine.host)
    }

    /// What keeps the game from getting on.
    pub fn stall(&self) -> Option<&StallStatus> {
        self.status.as_ref()?.engine.stall.as_ref()
    }

    /// How long ago, for a moment on the host's clock.
    pub fn host_age_ms(&self, at_ms: u64) -> u64 {
        let uptime = self
            .status
            .as_ref()
            .map_or(0, |status| status.engine.uptime_ms);
        uptime
            .saturating_sub(self.host_started_ms)
            .saturating_sub(at_ms)
    }
}
