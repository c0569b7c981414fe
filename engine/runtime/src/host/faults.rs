//! What is said of systems that fail, and which versions have failed with them.

use inspector_protocol::status::{Problem, Severity};

use super::Host;
use crate::link::FromHost;
use crate::place::place_in;
use crate::runner::SystemFault;

impl Host {
    /// Makes log lines and problems of faults.
    pub(super) fn report(&mut self, faults: Vec<SystemFault>) {
        for fault in faults {
            self.judge(&fault);
            let id = match &fault {
                SystemFault::Panicked { id, .. } | SystemFault::Failed { id, .. } => *id,
            };
            let Some((module, version, function)) = self.registry.name_call(id) else {
                continue;
            };
            let (message, file, line, column) = match fault {
                SystemFault::Panicked { report, .. } => {
                    let message = format!("system `{function}` panicked: {}", report.message);
                    self.outbox.error(format!(
                        "Module '{module}' v{version}: system `{function}` panicked at {}; it is \
                         paused until the next reload",
                        report.summary()
                    ));
                    (message, report.file, report.line, report.column)
                }
                SystemFault::Failed { message, .. } => {
                    let message = format!("system `{function}` failed: {message}");
                    self.outbox
                        .error(format!("Module '{module}' v{version}: {message}"));
                    let (file, line, column) = place_in(&message).unwrap_or_default();
                    (message, file, line, column)
                }
            };
            let place = match file.as_str() {
                "" => String::new(),
                file => format!("\n --> {file}:{line}:{column}"),
            };
            let problem = Problem {
                rendered: format!("error: {message}{place}\n"),
                module: module.clone(),
                severity: Severity::Error,
                file,
                line,
                column,
                message,
            };
            self.board
                .set_problem(&format!("system:{module}:{function}"), Some(problem));
        }
    }

    /// A version that panics when it has just got in has failed.
    fn judge(&mut self, fault: &SystemFault) {
        let SystemFault::Panicked { id, report } = fault else {
            return;
        };
        let young = self.modules.is_young(id.version(), self.rollback_within);
        if (young || self.every_panic_fails)
            && self.failed.insert(id.version())
            && let Some((module, version, function)) = self.registry.name_call(*id)
        {
            self.outbox.deliver(FromHost::Failed {
                module,
                version,
                message: format!("`{function}` panicked at {}", report.summary()),
            });
        }
    }
}
