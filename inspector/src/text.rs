//! Foreign text made safe to draw, widths of text, and durations for people.
//!
//! Everything that comes from a game, a compiler or a file may hold anything.
//! [`pieces`] is the one gate: it lets through printable characters, line
//! breaks, tabs and colours (SGR sequences), and nothing else: no cursor
//! movement, no titles, no bells, no text that runs backwards.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns a tab is drawn as.
const TAB: &str = "    ";

/// A piece of foreign text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A printable character.
    Char(char),
    /// A line break.
    Newline,
    /// A tab.
    Tab,
    /// The parameters of an SGR sequence (`ESC [ params m`).
    Sgr(&'a str),
}

/// Splits text into its harmless pieces; drops the rest.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let ch = rest.chars().next()?;
            let after = &rest[ch.len_utf8()..];
            match ch {
                '\x1b' => {
                    let (sgr, after) = escape(after);
                    rest = after;
                    if let Some(parameters) = sgr {
                        return Some(Piece::Sgr(parameters));
                    }
                }
                '\u{9b}' => rest = control_sequence(after).1,
                _ => {
                    rest = after;
                    match ch {
                        '\n' => return Some(Piece::Newline),
                        '\t' => return Some(Piece::Tab),
                        _ if is_printable(ch) => return Some(Piece::Char(ch)),
                        _ => {}
                    }
                }
            }
        }
    })
}

/// What follows `ESC`: the parameters if it is an SGR sequence, and the rest.
fn escape(text: &str) -> (Option<&str>, &str) {
    let mut chars = text.chars();
    match chars.next() {
        Some('[') => control_sequence(chars.as_str()),
        // Strings (OSC, DCS, SOS, PM, APC) end with BEL or ESC \.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let body = chars.as_str();
            let end = body
                .find(['\x07', '\x1b', '\u{9c}', '\n'])
                .unwrap_or(body.len());
            let rest = &body[end..];
            let rest = rest
                .strip_prefix("\x1b\\")
                .or_else(|| rest.strip_prefix('\x07'));
            (None, rest.unwrap_or(&body[end..]))
        }
        // Two-character escapes, some with an intermediate (`ESC ( B`).
        Some(' '..='/') => {
            chars.next();
            (None, chars.as_str())
        }
        Some('0'..='~') => (None, chars.as_str()),
        _ => (None, text),
    }
}

/// What follows `ESC [`.
fn control_sequence(text: &str) -> (Option<&str>, &str) {
    let end = text
        .find(|ch: char| !(' '..='?').contains(&ch))
        .unwrap_or(text.len());
    let (parameters, rest) = text.split_at(end);
    let mut chars = rest.chars();
    match chars.next() {
        Some('m')
            if parameters
                .chars()
                .all(|ch| ch.is_ascii_digit() || ch == ';' || ch == ':') =>
        {
            (Some(parameters), chars.as_str())
        }
        Some('@'..='~') => (None, chars.as_str()),
        _ => (None, rest),
    }
}

/// Whether a character may reach the screen: no controls, nothing invisible,
/// nothing that changes the direction of what follows.
pub fn is_printable(ch: char) -> bool {
    !ch.is_control()
        && !matches!(ch,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Foreign text as one line: breaks and tabs become spaces.
pub fn clean_line(text: &str) -> String {
    let clean = pieces(text).filter_map(|piece| match piece {
        Piece::Char(ch) => Some(ch),
        Piece::Newline | Piece::Tab => Some(' '),
        Piece::Sgr(_) => None,
    });
    clean.collect::<String>().trim_end().to_owned()
}

/// Foreign text with its line breaks.
pub fn clean_text(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Char(ch) => clean.push(ch),
            Piece::Newline => clean.push('\n'),
            Piece::Tab => clean.push_str(TAB),
            Piece::Sgr(_) => {}
        }
    }
    clean
}

/// Columns that text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Columns that a character takes.
pub fn char_width(ch: char) -> usize {
    ch.width().unwrap_or(0)
}

/// The longest start of the text that fits the columns, and its columns.
fn start_of(text: &str, columns: usize) -> (&str, usize) {
    let mut used = 0;
    for (at, ch) in text.char_indices() {
        let wide = char_width(ch);
        if used + wide > columns {
            return (&text[..at], used);
        }
        used += wide;
    }
    (text, used)
}

/// The text cut to the columns, with `…` where it was cut.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    format!("{}…", start_of(text, columns - 1).0)
}

/// The text cut at its start, for paths, whose end matters.
pub fn cut_start(text: &str, columns: usize) -> String {
    let mut over = width(text).saturating_sub(columns);
    if over == 0 {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    over += 1;
    let mut rest = text.chars();
    while over > 0 {
        let Some(ch) = rest.next() else { break };
        over = over.saturating_sub(char_width(ch));
    }
    format!("…{}", rest.as_str())
}

/// The text cut or filled up to exactly the columns.
pub fn fit(text: &str, columns: usize) -> String {
    let mut fitted = cut(text, columns);
    let missing = columns.saturating_sub(width(&fitted));
    fitted.extend(std::iter::repeat_n(' ', missing));
    fitted
}

/// As [`fit`], but the text stands at the right: numbers.
pub fn fit_right(text: &str, columns: usize) -> String {
    let cut = cut(text, columns);
    let missing = columns.saturating_sub(width(&cut));
    format!("{}{cut}", " ".repeat(missing))
}

/// An age or elapsed time: `0.4s`, `12s`, `3m05s`, `2h10m`, `4d3h`.
pub fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..10 => format!("{}.{}s", seconds, ms % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// A measured time: `0.02ms`, `3.4ms`, `120ms`, `1.52s`.
pub fn millis(ms: f64) -> String {
    if !ms.is_finite() || ms < 0.0 {
        "-".to_owned()
    } else if ms == 0.0 {
        "0".to_owned()
    } else if ms < 0.995 {
        format!("{ms:.2}ms")
    } else if ms < 9.95 {
        format!("{ms:.1}ms")
    } else if ms < 999.5 {
        format!("{ms:.0}ms")
    } else if ms < 100_000.0 {
        format!("{:.2}s", ms / 1000.0)
    } else {
        age(ms as u64)
    }
}

/// `1 error`, `2 errors`.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_the_cursor_survives() {
        let cases = [
            ("plain", "plain"),
            ("a\x1b[2Jb", "ab"),
            ("a\x1b]0;title\x07b", "ab"),
            ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
            ("a\x1bPq#0\x1b\\b", "ab"),
            ("a\x1b(Bb", "ab"),
            ("a\x1b7\x1b8\x1bcb", "ab"),
            ("a\rb\x08c\x07d\x7fe", "abcde"),
            ("a\u{9b}31mb", "ab"),
            ("a\u{202e}b\u{200b}c", "abc"),
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("cut \x1b[", "cut"),
            ("cut \x1b", "cut"),
            ("cut \x1b]0;never ended", "cut"),
            ("tab\tend", "tab end"),
            ("one\ntwo", "one two"),
        ];
        for (text, clean) in cases {
            assert_eq!(clean_line(text), clean, "{text:?}");
        }
        assert_eq!(clean_text("one\n\ttwo\x1b[H"), "one\n    two");
    }

    #[test]
    fn text_fits_its_columns_exactly() {
        for (text, columns, fitted) in [
            ("abc", 5, "abc  "),
            ("abcdef", 4, "abc…"),
            ("日本語", 4, "日… "),
            ("日本語", 6, "日本語"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ] {
            assert_eq!(fit(text, columns), fitted, "{text} in {columns}");
        }
        assert_eq!(fit_right("12", 4), "  12");
        assert_eq!(cut_start("game_logic/src/lib.rs", 10), "…rc/lib.rs");
        assert_eq!(cut_start("日本語", 5), "…本語");
        assert_eq!(cut_start("日本語", 4), "…語");
    }

    #[test]
    fn durations_read_well() {
        for (ms, text) in [
            (0, "0.0s"),
            (420, "0.4s"),
            (12_000, "12s"),
            (185_000, "3m05s"),
            (7_800_000, "2h10m"),
            (356_400_000, "4d3h"),
        ] {
            assert_eq!(age(ms), text);
        }
        for (ms, text) in [
            (0.0, "0"),
            (0.02, "0.02ms"),
            (3.44, "3.4ms"),
            (120.2, "120ms"),
            (1520.0, "1.52s"),
            (f64::NAN, "-"),
            (-1.0, "-"),
        ] {
            assert_eq!(millis(ms), text);
        }
    }
}
