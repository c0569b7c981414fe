//! Log lines on standard error when there is no UI:
//! `[INFO] Module 'game_logic' loaded (v1)`.

use std::io::Write as _;

use inspector_protocol::message::{LogLevel, LogLine};

/// Writes lines down to a level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineLog {
    level: Option<LogLevel>,
}

impl LineLog {
    /// Writes lines at least as important as `level`; `None` writes none.
    pub(crate) fn new(level: Option<LogLevel>) -> Self {
        Self { level }
    }

    /// Writes one line. A closed standard error is no reason to end a game.
    pub(crate) fn write(self, line: &LogLine) {
        if self.level.is_some_and(|level| line.level <= level) {
            let _ = writeln!(std::io::stderr().lock(), "{}", format_line(line));
        }
    }
}

fn format_line(line: &LogLine) -> String {
    if line.module.is_empty() {
        format!("[{}] {}", line.level.name(), line.message)
    } else {
        format!("[{}] {}: {}", line.level.name(), line.module, line.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_documented_form() {
        let mut line = LogLine {
            level: LogLevel::Info,
            message: "Module 'game_logic' loaded (v1)".into(),
            ..LogLine::default()
        };
        assert_eq!(format_line(&line), "[INFO] Module 'game_logic' loaded (v1)");
        line.module = "game_logic".into();
        line.message = "wave 2".into();
        assert_eq!(format_line(&line), "[INFO] game_logic: wave 2");
    }
}
