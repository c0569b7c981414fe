//! End-to-end tests: the real binary, real source files in a scratch copy of the
//! workspace, the exit status itself. This library is their harness.
//!
//! | module | holds |
//! |---|---|
//! | [`scratch`] | the copy of the workspace, one for all tests, which take turns |
//! | [`mirror`] | making a folder equal to another without touching what is equal |
//! | [`cases`] | cases of migration, and the source that is made of them |
//! | [`engine`] | a running engine: saves, calls, reloads, its log, its end |
//! | [`client`] | a connection to its socket |
//! | [`log`] | what it writes, line by line |
//! | [`process`] | what the system knows of a process |
//!
//! In the copy `game_logic` is replaced by the crate in `tests/game`, which is built
//! in a moment and has one of everything, by the one in `tests/cases`, whose types are
//! written by a table, or by those in `tests/pair`, of which two share types. Tests wait for events (a log line, a status
//! that arrives, the end of a process), never for time to pass; every wait has a
//! deadline of [`PATIENCE`], so that a failure ends and shows the engine's log.
//!
//! With `LIVELOOP_CHECKER` engines run under a checker, such as
//! `LIVELOOP_CHECKER="valgrind -q --trace-children=yes --error-exitcode=99" cargo test --test soak`.

#![cfg(target_os = "linux")]
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "a harness fails by panicking"
)]

use std::time::Duration;

pub mod cases;
pub mod client;
pub mod engine;
pub mod log;
pub mod mirror;
pub mod process;
pub mod scratch;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Name of the one module, or of the first.
pub const MODULE: &str = "game_logic";
