//! A made-up game for tests: every state, outcome and severity, foreign text
//! that must not reach the screen, and a clock that stands still.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use inspector_protocol::message::{Event, HostDeath, LogLevel, LogLine, LogSource};
use inspector_protocol::status::{
    CallStatus, CheckpointStatus, ComponentCount, EngineStatus, FrameStatus, HostState, JobState,
    JobStatus, LimboStatus, ModuleStatus, Problem, ReloadOutcome, ReloadStatus, ReloadTimings,
    Severity, Status, VersionState, VersionStatus, WorldStatus,
};
use inspector_protocol::viewport::{Rgb, ViewportCell, ViewportFrame};

use crate::state::{Focus, State};
use crate::ui::Role;
use crate::update::{Effect, Message, update};

pub(crate) fn version(version: u32, state: VersionState, calls: u32) -> VersionStatus {
    VersionStatus {
        version,
        label: "0.1.0".into(),
        hash: format!("{version:x}f3a9c0de1b2c3d4"),
        state,
        active_calls: calls,
        pinned_by: match state {
            VersionState::Pinned => vec!["component names (Health)".into(), "2 timers".into()],
            _ => Vec::new(),
        },
        loaded_at_ms: u64::from(version) * 60_000,
    }
}

fn reload(seq: u64, module: &str, outcome: ReloadOutcome, message: &str) -> ReloadStatus {
    ReloadStatus {
        frame: (outcome == ReloadOutcome::Applied).then_some(600),
        seq,
        module: module.into(),
        from: Some(seq as u32),
        to: (outcome == ReloadOutcome::Applied).then_some(seq as u32 + 1),
        outcome,
        trigger: "game_logic/src/lib.rs".into(),
        message: message.into(),
        timings_ms: ReloadTimings {
            detect: 4.2,
            build: 412.0,
            load: 38.5,
            migrate: 0.61,
            swap: 0.08,
            total: 455.4,
        },
    }
}

const RENDERED: &str = "\x1b[1m\x1b[91merror[E0308]\x1b[0m\x1b[1m: mismatched types\x1b[0m
 \x1b[1m\x1b[94m-->\x1b[0m game_logic/src/lib.rs:12:5
\x1b[1m\x1b[94m12\x1b[0m \x1b[1m\x1b[94m|\x1b[0m \x1b]0;title\x07    \"three\"\x1b[2J
   \x1b[1m\x1b[94m|\x1b[0m     \x1b[1m\x1b[91m^^^^^^^ expected `i32`, found `&str`\x1b[0m
";

pub(crate) fn status() -> Status {
    Status {
        engine: EngineStatus {
            pid: 4242,
            host_pid: Some(4243),
            host: HostState::Running,
            run_id: "a1b2c3d4e5f6".into(),
            protocol: 1,
            profile: "dev".into(),
            frame: 18_000,
            uptime_ms: 600_000,
            restart: None,
            stall: None,
        },
        modules: vec![
            ModuleStatus {
                name: "game_logic".into(),
                kind: "native".into(),
                active: Some(4),
                versions: vec![
                    version(1, VersionState::Unloaded, 0),
                    version(2, VersionState::Pinned, 0),
                    version(3, VersionState::Draining, 2),
                    version(4, VersionState::Active, 17),
                    version(5, VersionState::Rejected, 0),
                ],
            },
            ModuleStatus {
                name: "敵_ai\x1b[2J".into(),
                kind: "lua".into(),
                active: Some(1),
                versions: vec![
                    version(1, VersionState::Active, 0),
                    version(2, VersionState::Quarantined, 0),
                    version(3, VersionState::Loading, 0),
                ],
            },
        ],
        calls: vec![
            CallStatus {
                module: "game_logic".into(),
                version: 3,
                function: "path_finding".into(),
                thread: "job-1".into(),
                started_at_ms: 500,
                elapsed_ms: 72_500,
            },
            CallStatus {
                module: "敵_ai".into(),
                version: 1,
                function: "考える".into(),
                thread: "frame".into(),
                started_at_ms: 72_997,
                elapsed_ms: 3,
            },
        ],
        jobs: vec![JobStatus {
            id: 1,
            module: "game_logic".into(),
            version: 3,
            name: "path_finding".into(),
            state: JobState::Running,
            thread: Some("job-1".into()),
            progress: 0.4,
            elapsed_ms: 72_500,
        }],
        reloads: vec![
            reload(1, "game_logic", ReloadOutcome::Applied, "first version"),
            reload(
                2,
                "game_logic",
                ReloadOutcome::Applied,
                "Health gained 1 field",
            ),
            reload(
                3,
                "game_logic",
                ReloadOutcome::CompileError,
                "1 error\nin lib.rs",
            ),
            reload(4, "敵_ai", ReloadOutcome::RolledBack, "panicked in `think`"),
            reload(
                5,
                "game_logic",
                ReloadOutcome::Rejected,
                "Health has no Default",
            ),
        ],
        world: world(),
        frames: FrameStatus {
            fps: 59.94,
            p50_us: 900,
            p99_us: 2140,
            max_us: 7000,
        },
        problems: problems(),
    }
}

fn world() -> WorldStatus {
    WorldStatus {
        entities: 1204,
        components: vec![ComponentCount {
            name: "Health".into(),
            count: 800,
        }],
        resources: vec!["Time".into()],
        limbo: vec![LimboStatus {
            type_path: "game_logic::Health".into(),
            field: "armor".into(),
            entities: 800,
            bytes: 81_920,
        }],
        checkpoint: Some(CheckpointStatus {
            sequence: 7,
            frame: 17_980,
            reason: "swap".into(),
            bytes: 1_300_000,
            capture_ms: 0.84,
            write_ms: 12.3,
            kept: 5,
        }),
    }
}

fn problems() -> Vec<Problem> {
    vec![
        Problem {
            module: "敵_ai".into(),
            severity: Severity::Warning,
            file: "plugins/ai.lua".into(),
            line: 3,
            column: 0,
            message: "unused variable `x`".into(),
            rendered: String::new(),
        },
        Problem {
            module: "game_logic".into(),
            severity: Severity::Error,
            file: "game_logic/src/lib.rs".into(),
            line: 12,
            column: 5,
            message: "mismatched types".into(),
            rendered: RENDERED.into(),
        },
    ]
}

pub(crate) fn viewport(width: u16, height: u16) -> ViewportFrame {
    let mut cells = vec![ViewportCell::default(); usize::from(width) * usize::from(height)];
    let text = "+-日\0-@ game";
    for (cell, ch) in cells.iter_mut().zip(text.chars()) {
        *cell = ViewportCell {
            ch,
            fg: Some(Rgb(250, 120, 10)),
            bg: None,
        };
    }
    if let Some(last) = cells.last_mut() {
        *last = ViewportCell {
            ch: '⣿',
            fg: None,
            bg: Some(Rgb(0, 0, 40)),
        };
    }
    ViewportFrame {
        frame: 18_000,
        width,
        height,
        cells,
    }
}

pub(crate) fn death() -> HostDeath {
    HostDeath {
        how: "signal SIGSEGV".into(),
        during: Some("game_logic v4 regenerate".into()),
        backtrace: vec![
            "   0: game_logic::motion::integrate at game_logic/src/motion/integrate.rs:41:9".into(),
            "   1: game_logic::regenerate at game_logic/src/lib.rs:12:5\x1b[2J".into(),
        ],
        stderr: (1..=30)
            .map(|line| format!("standard error {line}\x1b[2J"))
            .collect(),
    }
}

pub(crate) fn log_line(seq: u64) -> LogLine {
    let (level, module, message) = match seq % 4 {
        0 => (
            LogLevel::Info,
            "",
            "Detected code change in game_logic/src/lib.rs",
        ),
        1 => (LogLevel::Debug, "", "v1 draining (2 active calls)"),
        2 => (
            LogLevel::Warn,
            "敵_ai",
            "no path\n  from (1, 2)\n  to (3, 4)",
        ),
        _ => (
            LogLevel::Error,
            "game_logic",
            "\x1b[31mred\x1b[0m \x07\x1b[2Jalert",
        ),
    };
    LogLine {
        seq,
        at_ms: seq * 1234,
        level,
        module: module.into(),
        source: if module.is_empty() {
            LogSource::Engine
        } else {
            LogSource::Module
        },
        message: message.into(),
    }
}

/// A game in full swing, panels focused.
pub(crate) fn busy(width: u16, height: u16) -> State {
    let mut state = State::new(Role::Attached, (width, height));
    state.now_ms = 60_000;
    state.focus = Focus::Panels;
    send(&mut state, Message::Hub(Event::Status(Box::new(status()))));
    send(&mut state, Message::Hub(Event::Viewport(viewport(30, 12))));
    for seq in 0..50 {
        send(&mut state, Message::Hub(Event::Log(log_line(seq))));
    }
    state
}

pub(crate) fn send(state: &mut State, message: Message) -> Vec<Effect> {
    update(state, message)
}

pub(crate) fn press(state: &mut State, code: KeyCode) -> Vec<Effect> {
    send(state, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

/// Types characters; the effects of the last.
pub(crate) fn type_keys(state: &mut State, keys: &str) -> Vec<Effect> {
    keys.chars()
        .map(|ch| press(state, KeyCode::Char(ch)))
        .last()
        .unwrap_or_default()
}

pub(crate) fn interrupt(state: &mut State) -> Vec<Effect> {
    send(
        state,
        Message::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)),
    )
}
