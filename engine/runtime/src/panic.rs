//! Where a panic of game code happened.
//!
//! The payload that `catch_unwind` returns has no place; the panic hook knows it.
//! The hook leaves a report in the panicking thread, and whoever catches the
//! panic takes it.
//!
//! The hook takes addresses and no names: those are found outside, where no frame waits for
//! it. What was caught lies in a short queue until telemetry sends it there.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use engine_api::function::panic_message;

use crate::call;
use crate::link::{CallPath, FromHost, PanicPlace};
use crate::stack::GameFrames;

/// A panic that was caught.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PanicReport {
    /// What the code said.
    pub message: String,
    /// Source file, empty if unknown.
    pub file: String,
    /// Line, from 1; 0 if unknown.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
    /// The game code that was running.
    pub path: CallPath,
}

impl PanicReport {
    /// `src/lib.rs:12:5: index out of bounds`.
    pub fn summary(&self) -> String {
        if self.file.is_empty() {
            return self.message.clone();
        }
        format!(
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )
    }
}

thread_local! {
    static LAST: RefCell<Option<PanicReport>> = const { RefCell::new(None) };
}

/// Panics that were caught and not told yet; a game that panics all the time is told of some.
static CAUGHT: Mutex<VecDeque<PanicReport>> = Mutex::new(VecDeque::new());
const MAX_CAUGHT: usize = 32;

/// Installs the hook: a panic inside a module's call leaves a report and prints
/// nothing, any other panic goes to the hook that was there before.
pub fn install_hook() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if call::current().is_none() {
            return previous(info);
        }
        let location = info.location();
        let report = PanicReport {
            message: info
                .payload_as_str()
                .unwrap_or("a value that is no text")
                .to_owned(),
            file: location
                .map(|place| place.file().to_owned())
                .unwrap_or_default(),
            line: location.map_or(0, std::panic::Location::line),
            column: location.map_or(0, std::panic::Location::column),
            path: GameFrames::take().path(),
        };
        LAST.set(Some(report));
    }));
}

/// Puts the current hook in once more. When a hook is taken out, the standard library keeps a
/// word of it, which refers to its code for as long as nothing else is written there. A panic of
/// another thread in just that moment is told by the standard library's own hook.
pub(crate) fn put_hook_in_again() {
    std::panic::set_hook(std::panic::take_hook());
}

/// The report that the hook left on this thread, if any; at most once per panic.
pub fn take_report() -> Option<PanicReport> {
    LAST.take()
}

/// Has the backtrace of a panic that was caught told to the supervisor.
pub(crate) fn tell(report: &PanicReport) {
    let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    if !report.path.frames.is_empty() && caught.len() < MAX_CAUGHT {
        caught.push_back(report.clone());
    }
}

/// What is to be told of the panics that were caught since the last call of this.
pub(crate) fn caught() -> Vec<FromHost> {
    let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    let told = caught.drain(..).map(|report| FromHost::Panicked {
        place: PanicPlace {
            file: report.file,
            line: report.line,
            column: report.column,
            message: report.message,
        },
        path: report.path,
    });
    told.collect()
}

/// Runs `code`; a panic becomes a report.
///
/// # Errors
/// The report of the panic. Everything of the payload is dropped before this
/// returns, since it may point into the code that panicked.
pub fn guard<R>(code: impl FnOnce() -> R) -> Result<R, PanicReport> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        // Before the payload is dropped: that may panic as well.
        let report = take_report();
        let message = panic_message(payload);
        take_report();
        let report = report.unwrap_or(PanicReport {
            message,
            ..PanicReport::default()
        });
        tell(&report);
        report
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CallId, enter};

    #[test]
    fn a_panic_in_a_call_is_reported_with_its_place() {
        install_hook();
        let _call = enter(CallId::new(0x7000_0903, 0));
        let report = guard(|| panic!("boom {}", 1)).unwrap_err();
        assert_eq!(report.message, "boom 1");
        assert!(
            report.file.ends_with("panic.rs") && report.line > 0,
            "{report:?}"
        );
        assert_eq!(guard(|| 5), Ok(5));
        assert_eq!(take_report(), None);
    }
}
