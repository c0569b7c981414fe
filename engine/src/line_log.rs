//! Log lines on standard error when there is no UI:
//! `[INFO] Module 'game_logic' loaded (v1)`.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};

use inspector_protocol::message::{LogLevel, LogLine, LogSource};

/// Writes lines down to a level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineLog {
    level: Option<LogLevel>,
    /// Whether colours of compiler messages may pass.
    colors: bool,
}

impl LineLog {
    /// Writes lines at least as important as `level`; `None` writes none.
    pub(crate) fn new(level: Option<LogLevel>) -> Self {
        let colors = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { level, colors }
    }

    /// Writes one line. A closed standard error is no reason to end a game.
    pub(crate) fn write(self, line: &LogLine) {
        if self.level.is_some_and(|level| line.level <= level) {
            let text = format_line(line);
            let text = if self.colors {
                Cow::from(text)
            } else {
                without_colors(&text)
            };
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }
}

fn format_line(line: &LogLine) -> String {
    if line.source == LogSource::Engine || line.module.is_empty() {
        format!("[{}] {}", line.level.name(), line.message)
    } else {
        format!("[{}] {}: {}", line.level.name(), line.module, line.message)
    }
}

/// Leaves out escape sequences of the form `ESC [ ... letter` (ECMA-48, CSI).
fn without_colors(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\u{1b}' {
            plain.push(character);
        } else if rest.next() == Some('[') {
            rest.by_ref().find(|end| ('@'..='~').contains(end));
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_left_out_and_nothing_else() {
        for (text, plain) in [
            ("plain [0m", "plain [0m"),
            ("\u{1b}[1m\u{1b}[91merror\u{1b}[0m: x", "error: x"),
            ("cut \u{1b}[9", "cut "),
        ] {
            assert_eq!(without_colors(text), plain);
        }
    }

    #[test]
    fn lines_have_the_documented_form() {
        let mut line = LogLine {
            level: LogLevel::Info,
            message: "Module 'game_logic' loaded (v1)".into(),
            ..LogLine::default()
        };
        assert_eq!(format_line(&line), "[INFO] Module 'game_logic' loaded (v1)");
        line.module = "game_logic".into();
        assert_eq!(format_line(&line), "[INFO] Module 'game_logic' loaded (v1)");
        line.source = LogSource::Module;
        line.message = "wave 2".into();
        assert_eq!(format_line(&line), "[INFO] game_logic: wave 2");
    }
}
