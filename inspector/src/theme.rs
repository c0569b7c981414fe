//! Glyphs and colours, and doing without them.
//!
//! Views draw with colours and Unicode as if every terminal had them;
//! [`Theme::degrade`] then takes away from the finished screen what this
//! terminal lacks. So no view can forget it.

use inspector_protocol::message::LogLevel;
use inspector_protocol::status::{HostState, ReloadOutcome, Severity, VersionState};
use inspector_protocol::viewport::Rgb;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use crate::text;

/// Which colours the terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorMode {
    /// None; weight and glyphs alone.
    None,
    /// The palette of 256.
    Indexed,
    /// 24 bits.
    True,
}

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Colours.
    pub colors: ColorMode,
    /// Whether characters outside ASCII arrive.
    pub unicode: bool,
}

impl Theme {
    /// Everything.
    pub const FULL: Self = Self {
        colors: ColorMode::True,
        unicode: true,
    };

    /// What the environment says: `NO_COLOR`, `COLORTERM`, `TERM` and the
    /// locale (`LC_ALL`, `LC_CTYPE`, `LANG`, the first that is set).
    pub fn from_env(env: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let colors = if set("NO_COLOR").is_some() || term == "dumb" {
            ColorMode::None
        } else if matches!(set("COLORTERM").as_deref(), Some("truecolor" | "24bit")) {
            ColorMode::True
        } else {
            ColorMode::Indexed
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(set)
            .unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Self {
            colors,
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// Takes away from a drawn screen what the terminal cannot show.
    pub fn degrade(self, buffer: &mut Buffer) {
        for cell in &mut buffer.content {
            match self.colors {
                ColorMode::True => {}
                ColorMode::Indexed => {
                    cell.fg = indexed(cell.fg);
                    cell.bg = indexed(cell.bg);
                }
                ColorMode::None => {
                    cell.fg = Color::Reset;
                    cell.bg = Color::Reset;
                }
            }
        }
        if self.unicode {
            return;
        }
        let mut after_wide = false;
        for cell in &mut buffer.content {
            let wide = text::width(cell.symbol()) > 1;
            if after_wide {
                cell.set_symbol("?");
            } else if !cell.symbol().is_ascii() {
                let replaced = cell.symbol().chars().next().map_or('?', ascii);
                cell.set_char(replaced);
            }
            after_wide = wide && !after_wide;
        }
    }
}

fn indexed(color: Color) -> Color {
    match color {
        Color::Rgb(red, green, blue) => Color::Indexed(nearest_index(Rgb(red, green, blue))),
        other => other,
    }
}

/// The nearest of the 6x6x6 cube and the 24 greys of the 256-colour palette.
pub fn nearest_index(Rgb(red, green, blue): Rgb) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let level = |value: u8| match value {
        0..48 => 0,
        48..115 => 1,
        _ => usize::from((value - 35) / 40),
    };
    let distance = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    let (r, g, b) = (level(red), level(green), level(blue));
    let cube = distance(LEVELS[r], red) + distance(LEVELS[g], green) + distance(LEVELS[b], blue);
    let mean = (u16::from(red) + u16::from(green) + u16::from(blue)) / 3;
    let step = (mean.saturating_sub(3) / 10).min(23) as u8;
    let grey = 8 + 10 * step;
    if distance(grey, red) + distance(grey, green) + distance(grey, blue) < cube {
        232 + step
    } else {
        (16 + 36 * r + 6 * g + b) as u8
    }
}

/// Whether a colour is bright enough to stand for "filled" where there are no
/// colours.
pub fn is_bright(Rgb(red, green, blue): Rgb) -> bool {
    2 * u32::from(red) + 5 * u32::from(green) + u32::from(blue) > 8 * 110
}

/// The ASCII character that stands for another one.
pub fn ascii(ch: char) -> char {
    match ch {
        '\u{20}'..='\u{7e}' => ch,
        '\u{2801}'..='\u{28ff}' => {
            if (ch as u32 - 0x2800).count_ones() <= 3 {
                '.'
            } else {
                '#'
            }
        }
        '\u{a0}' | '\u{2800}' => ' ',
        '●' | '•' | '★' | '☆' | '✦' | '✶' => '*',
        '○' | '◯' | '◌' | '◦' => 'o',
        '◐' | '◑' | '≈' => '~',
        '✗' | '✘' | '×' | '☠' => 'x',
        '⊘' => '!',
        '▸' | '▶' | '›' | '→' | '»' => '>',
        '◂' | '◀' | '‹' | '←' | '«' => '<',
        '↑' | '▲' | '△' => '^',
        '↓' | '▼' | '▽' => 'v',
        '↺' => '@',
        '…' | '·' | '░' | '▪' | '▫' => '.',
        '▒' => ':',
        '◆' | '◇' | '■' | '□' | '▓' | '▀'..='▐' | '\u{2596}'..='\u{259f}' => '#',
        '─' | '━' | '═' | '╌' | '╍' | '┄' | '┅' | '–' | '—' | '╴' | '╶' => {
            '-'
        }
        '│' | '┃' | '║' | '╎' | '╏' | '┆' | '┇' | '╵' | '╷' => '|',
        '✓' | '✔' | '\u{2500}'..='\u{257f}' => '+',
        '‘' | '’' => '\'',
        '“' | '”' => '"',
        _ => '?',
    }
}

/// Something failed.
pub const ERROR: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
/// Something looks wrong.
pub const WARNING: Style = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);
/// Something works.
pub const GOOD: Style = Style::new().fg(Color::Green);
/// Less important.
pub const DIM: Style = Style::new().add_modifier(Modifier::DIM);
/// Names and titles.
pub const TITLE: Style = Style::new().add_modifier(Modifier::BOLD);
/// Keys to press.
pub const KEY: Style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);
/// The selected row of the panel that has the focus.
pub const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Glyph and style of a version's state.
pub fn version_state(state: VersionState) -> (&'static str, Style) {
    match state {
        VersionState::Loading => ("◌", Style::new().fg(Color::Cyan)),
        VersionState::Active => ("●", GOOD),
        VersionState::Draining => ("◐", Style::new().fg(Color::Yellow)),
        VersionState::Pinned => ("◆", Style::new().fg(Color::Blue)),
        VersionState::Unloaded => ("○", DIM),
        VersionState::Rejected => ("✗", ERROR),
        VersionState::Quarantined => ("⊘", ERROR),
    }
}

/// Glyph and style of how a reload ended.
pub fn outcome(outcome: ReloadOutcome) -> (&'static str, Style) {
    match outcome {
        ReloadOutcome::Applied => ("✓", GOOD),
        ReloadOutcome::Unchanged => ("=", DIM),
        ReloadOutcome::CompileError | ReloadOutcome::Rejected | ReloadOutcome::LoadError => {
            ("✗", ERROR)
        }
        ReloadOutcome::RolledBack => ("↺", WARNING),
        ReloadOutcome::Restarted => ("»", WARNING),
    }
}

/// Glyph and style of a problem's severity.
pub fn severity(severity: Severity) -> (&'static str, Style) {
    match severity {
        Severity::Error => ("!", ERROR),
        Severity::Warning => ("?", WARNING),
        Severity::Note => ("·", DIM),
    }
}

/// Style of a log level.
pub fn level(level: LogLevel) -> Style {
    match level {
        LogLevel::Error => ERROR,
        LogLevel::Warn => WARNING,
        LogLevel::Info => Style::new(),
        LogLevel::Debug | LogLevel::Trace => DIM,
    }
}

/// Word and style of the host's state.
pub fn host(state: HostState) -> (&'static str, Style) {
    match state {
        HostState::Running => ("running", GOOD),
        HostState::Starting => ("starting", WARNING),
        HostState::Down => ("DOWN", ERROR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theme(env: &[(&str, &str)]) -> Theme {
        Theme::from_env(|name| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_decides() {
        let full = theme(&[("COLORTERM", "truecolor"), ("LANG", "de_DE.UTF-8")]);
        assert_eq!(full, Theme::FULL);
        assert_eq!(
            theme(&[("TERM", "xterm-256color")]).colors,
            ColorMode::Indexed
        );
        assert_eq!(
            theme(&[("NO_COLOR", "1"), ("COLORTERM", "24bit")]).colors,
            ColorMode::None
        );
        assert_eq!(
            theme(&[("NO_COLOR", ""), ("COLORTERM", "24bit")]).colors,
            ColorMode::True
        );
        assert!(!theme(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]).unicode);
        assert!(theme(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]).unicode);
        assert!(!theme(&[]).unicode);
    }

    #[test]
    fn palette_entries_map_to_themselves() {
        for (rgb, index) in [
            (Rgb(0, 0, 0), 16),
            (Rgb(255, 255, 255), 231),
            (Rgb(255, 0, 0), 196),
            (Rgb(95, 135, 175), 67),
            (Rgb(128, 128, 128), 244),
            (Rgb(8, 8, 8), 232),
            (Rgb(238, 238, 238), 255),
        ] {
            assert_eq!(nearest_index(rgb), index, "{rgb:?}");
        }
    }

    #[test]
    fn every_character_has_an_ascii_stand_in() {
        for ch in '\u{20}'..='\u{2fff}' {
            assert!(ascii(ch).is_ascii_graphic() || ascii(ch) == ' ', "{ch:?}");
        }
        for (ch, stand_in) in [
            ('a', 'a'),
            ('⠀', ' '),
            ('⠁', '.'),
            ('⣿', '#'),
            ('█', '#'),
            ('┌', '+'),
            ('é', '?'),
        ] {
            assert_eq!(ascii(ch), stand_in, "{ch:?}");
        }
    }
}
