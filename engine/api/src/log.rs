//! Log lines from game code to the engine.
//!
//! The macros work like those of the `log` crate, but there is one registry in
//! the whole process, in the shared library, whichever module logs:
//!
//! ```
//! use engine_api::prelude::*;
//! log::info!("wave {} begins", 3);
//! ```

use std::fmt;
use std::sync::OnceLock;

/// Level of a line, most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something looks wrong.
    Warn,
    /// What people want to know.
    Info,
    /// What developers want to know.
    Debug,
    /// Everything.
    Trace,
}

/// Receives every line. Set once by the engine.
pub trait LogSink: Send + Sync {
    /// Takes one line. Called on whichever thread logs; must not block.
    fn log(&self, level: Level, target: &str, message: fmt::Arguments<'_>);
}

static SINK: OnceLock<Box<dyn LogSink>> = OnceLock::new();

/// Sets the receiver of all lines. The first call wins; returns whether this was it.
pub fn set_sink(sink: Box<dyn LogSink>) -> bool {
    SINK.set(sink).is_ok()
}

/// Hands a line to the engine; a line logged before an engine exists is dropped.
/// Use the macros instead.
pub fn write(level: Level, target: &str, message: fmt::Arguments<'_>) {
    if let Some(sink) = SINK.get() {
        sink.log(level, target, message);
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $($arg:tt)+) => {
        $crate::log::write($crate::log::Level::$level, ::core::module_path!(), ::core::format_args!($($arg)+))
    };
}
#[doc(hidden)]
#[macro_export]
macro_rules! __error { ($($arg:tt)+) => { $crate::__log!(Error, $($arg)+) }; }
#[doc(hidden)]
#[macro_export]
macro_rules! __warn { ($($arg:tt)+) => { $crate::__log!(Warn, $($arg)+) }; }
#[doc(hidden)]
#[macro_export]
macro_rules! __info { ($($arg:tt)+) => { $crate::__log!(Info, $($arg)+) }; }
#[doc(hidden)]
#[macro_export]
macro_rules! __debug { ($($arg:tt)+) => { $crate::__log!(Debug, $($arg)+) }; }
#[doc(hidden)]
#[macro_export]
macro_rules! __trace { ($($arg:tt)+) => { $crate::__log!(Trace, $($arg)+) }; }

#[doc(inline)]
pub use crate::{
    __debug as debug, __error as error, __info as info, __trace as trace, __warn as warn,
};
