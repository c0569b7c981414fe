//! Log lines of game code on their way to the supervisor.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use engine_api::log::{Level, LogSink, set_sink};
use inspector_protocol::message::LogLevel;

use crate::host::Outbox;
use crate::link::FromHost;
use crate::registry::Registry;

struct Sink {
    outbox: Outbox,
    registry: Arc<Registry>,
}

thread_local! {
    // Naming the module takes the registry's lock; a line logged meanwhile on the
    // same thread must not.
    static NAMING: Cell<bool> = const { Cell::new(false) };
}

impl LogSink for Sink {
    fn log(&self, level: Level, target: &str, message: fmt::Arguments<'_>) {
        let level = match level {
            Level::Error => LogLevel::Error,
            Level::Warn => LogLevel::Warn,
            Level::Info => LogLevel::Info,
            Level::Debug => LogLevel::Debug,
            Level::Trace => LogLevel::Trace,
        };
        let module = if NAMING.replace(true) {
            None
        } else {
            self.registry.current_module()
        };
        NAMING.set(false);
        let module =
            module.unwrap_or_else(|| target.split("::").next().unwrap_or(target).to_owned());
        self.outbox.offer(FromHost::Log {
            level,
            module,
            message: message.to_string(),
        });
    }
}

/// Sends all lines of this process's game code to `outbox`. The first host of a
/// process wins.
pub(crate) fn install(outbox: Outbox, registry: Arc<Registry>) {
    set_sink(Box::new(Sink { outbox, registry }));
}
