//! The colours of compiler messages: SGR sequences (ECMA-48, "select graphic
//! rendition") turned into styles, everything else in the text made harmless.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use crate::text::{self, Piece};

/// Foreign text as styled lines. Safe for any input.
pub fn styled_lines(text: &str) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut spans = Vec::new();
    let mut run = String::new();
    let mut style = Style::new();
    for piece in text::pieces(text) {
        match piece {
            Piece::Char(ch) => run.push(ch),
            Piece::Tab => run.push_str("    "),
            Piece::Sgr(parameters) => {
                end_run(&mut spans, &mut run, style);
                style = apply(style, parameters);
            }
            Piece::Newline => {
                end_run(&mut spans, &mut run, style);
                lines.push(Line::from(std::mem::take(&mut spans)));
            }
        }
    }
    end_run(&mut spans, &mut run, style);
    if !spans.is_empty() {
        lines.push(Line::from(spans));
    }
    lines
}

fn end_run(spans: &mut Vec<Span<'static>>, run: &mut String, style: Style) {
    if !run.is_empty() {
        spans.push(Span::styled(std::mem::take(run), style));
    }
}

/// Where a line that is too long is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// At the last column: code, and what is drawn with characters.
    Anywhere,
    /// After a space where there is one.
    AtSpaces,
}

/// Breaks lines at the columns, so that nothing is hidden at the right.
pub fn wrap(lines: Vec<Line<'static>>, columns: usize, at: Break) -> Vec<Line<'static>> {
    let columns = columns.max(1);
    let mut wrapped = Vec::with_capacity(lines.len());
    for line in lines {
        if line.width() <= columns {
            wrapped.push(line);
            continue;
        }
        let chars: Vec<(char, Style)> = line
            .spans
            .iter()
            .flat_map(|span| span.content.chars().map(|ch| (ch, span.style)))
            .collect();
        let mut rest = chars.as_slice();
        while !rest.is_empty() {
            let (row, after) = rest.split_at(row_length(rest, columns, at));
            wrapped.push(line_of(row));
            rest = after;
        }
    }
    wrapped
}

/// Characters that go on the first row; at least one.
fn row_length(chars: &[(char, Style)], columns: usize, at: Break) -> usize {
    let mut used = 0;
    let fits = chars.iter().take_while(|(ch, _)| {
        used += text::char_width(*ch);
        used <= columns
    });
    let length = fits.count().max(1);
    if length == chars.len() || at == Break::Anywhere {
        return length;
    }
    let is_space = |index: &usize| chars[*index].0 == ' ';
    let is_word = |index: &usize| !is_space(index);
    // A break inside the indentation gains nothing.
    let indent = (0..length).find(is_word).unwrap_or(length);
    if chars[length].0 == ' ' {
        return length;
    }
    (indent..length)
        .rev()
        .find(is_space)
        .map_or(length, |space| space + 1)
}

fn line_of(chars: &[(char, Style)]) -> Line<'static> {
    let runs = chars.chunk_by(|(_, a), (_, b)| a == b);
    let span = |run: &[(char, Style)]| {
        let text: String = run.iter().map(|(ch, _)| *ch).collect();
        Span::styled(text, run[0].1)
    };
    Line::from(runs.map(span).collect::<Vec<_>>())
}

/// Applies the parameters of one SGR sequence. Unknown ones change nothing.
fn apply(mut style: Style, parameters: &str) -> Style {
    let mut codes = parameters.split([';', ':']).map(|code| {
        if code.is_empty() {
            Some(0)
        } else {
            code.parse::<u16>().ok()
        }
    });
    while let Some(code) = codes.next() {
        let Some(code) = code else { continue };
        style = match code {
            0 => Style::new(),
            1 => style.add_modifier(Modifier::BOLD),
            2 => style.add_modifier(Modifier::DIM),
            3 => style.add_modifier(Modifier::ITALIC),
            4 => style.add_modifier(Modifier::UNDERLINED),
            7 => style.add_modifier(Modifier::REVERSED),
            22 => style.remove_modifier(Modifier::BOLD | Modifier::DIM),
            23 => style.remove_modifier(Modifier::ITALIC),
            24 => style.remove_modifier(Modifier::UNDERLINED),
            27 => style.remove_modifier(Modifier::REVERSED),
            30..=37 => style.fg(Color::Indexed((code - 30) as u8)),
            40..=47 => style.bg(Color::Indexed((code - 40) as u8)),
            90..=97 => style.fg(Color::Indexed((code - 90 + 8) as u8)),
            100..=107 => style.bg(Color::Indexed((code - 100 + 8) as u8)),
            39 => style.fg(Color::Reset),
            49 => style.bg(Color::Reset),
            38 => extended(&mut codes).map_or(style, |color| style.fg(color)),
            48 => extended(&mut codes).map_or(style, |color| style.bg(color)),
            _ => style,
        };
    }
    style
}

/// The colour after 38 or 48: `5;n` or `2;r;g;b`.
fn extended(codes: &mut impl Iterator<Item = Option<u16>>) -> Option<Color> {
    let mut byte = || {
        codes
            .next()
            .flatten()
            .and_then(|code| u8::try_from(code).ok())
    };
    match byte()? {
        5 => byte().map(Color::Indexed),
        2 => Some(Color::Rgb(byte()?, byte()?, byte()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rustc_message_keeps_its_colours_and_loses_everything_else() {
        let lines = styled_lines(
            "\x1b[1m\x1b[38;5;9merror\x1b[0m\x1b[1m: mismatched\x1b[0m\n\x1b[2J\x1b[94m -->\x1b[0m x\n",
        );
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].to_string(), "error: mismatched");
        assert_eq!(lines[0].spans[0].style.fg, Some(Color::Indexed(9)));
        assert!(
            lines[0].spans[0]
                .style
                .add_modifier
                .contains(Modifier::BOLD)
        );
        assert_eq!(lines[1].spans[0].style.fg, Some(Color::Indexed(12)));
        assert_eq!(lines[1].to_string(), " --> x");
    }

    #[test]
    fn odd_parameters_do_no_harm() {
        for text in [
            "\x1b[38mx",
            "\x1b[38;5mx",
            "\x1b[38;2;1mx",
            "\x1b[99999999mx",
            "\x1b[;;mx",
            "\x1b[48;2;300;0;0mx",
        ] {
            assert_eq!(styled_lines(text)[0].to_string(), "x", "{text:?}");
        }
    }

    #[test]
    fn long_lines_break_at_the_columns_and_wide_characters_stay_whole() {
        let wrapped = wrap(styled_lines("ab日本\nshort"), 3, Break::Anywhere);
        let texts: Vec<_> = wrapped.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["ab", "日", "本", "sho", "rt"]);
    }

    #[test]
    fn prose_breaks_at_spaces() {
        for (text, columns, rows) in [
            ("one two three", 8, &["one two ", "three"][..]),
            ("one two three", 7, &["one two", " three"]),
            ("  indented", 6, &["  inde", "nted"]),
            ("onetwothree", 4, &["onet", "woth", "ree"]),
        ] {
            let wrapped = wrap(styled_lines(text), columns, Break::AtSpaces);
            let texts: Vec<_> = wrapped.iter().map(ToString::to_string).collect();
            assert_eq!(texts, rows, "{text} in {columns}");
        }
    }
}
