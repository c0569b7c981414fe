//! The functions of a source, as they are written: names and what their text is.
//!
//! Lua keeps no names of functions, so they are read from the tokens around each
//! `function`. The order is that of the keyword in the source, which is also the order of
//! prototypes (see [`crate::layout::read_protos`]), so both lists fit each other.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

/// One function of a source; the first is the source itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// `Enemy.update`, `helper`, `config.on_hit`; `None` where no name is written.
    pub(crate) name: Option<String>,
    /// Hash of the tokens from `function` to `end`, without those of functions inside: the
    /// same for a text that differs in comments and white space alone.
    pub(crate) text: u64,
    /// Bytes from the `(` of its parameters to behind its `end`; of the source itself: all.
    pub(crate) body: Range<usize>,
    /// Whether it is written in another function.
    pub(crate) is_nested: bool,
    /// `function Enemy:update()`.
    pub(crate) is_method: bool,
}

impl Written {
    /// A function of which nothing is known.
    pub(crate) fn unknown() -> Self {
        Self {
            name: None,
            text: 0,
            body: 0..0,
            is_nested: false,
            is_method: false,
        }
    }
}

/// All functions of a source that compiles.
pub(crate) fn outline(source: &str) -> Vec<Written> {
    let tokens = tokens(source);
    let mut found = vec![Written {
        body: 0..source.len(),
        ..Written::unknown()
    }];
    let offset = |token: &str| token.as_ptr() as usize - source.as_ptr() as usize;
    // What waits for its `end`: a function, or another block.
    let mut blocks: Vec<Option<usize>> = Vec::new();
    // The functions around a token, with what they have of tokens so far.
    let mut texts = vec![DefaultHasher::new()];
    // What waits for its `}`: the name that the table is given.
    let mut tables: Vec<Option<String>> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if let Some(text) = texts.last_mut() {
            token.hash(text);
        }
        match *token {
            "function" => {
                blocks.push(Some(found.len()));
                let is_nested = texts.len() > 1;
                texts.push(DefaultHasher::new());
                let head = tokens[at..].iter().position(|token| *token == "(");
                let head = at + head.unwrap_or(0);
                found.push(Written {
                    name: name_of(&tokens, at, &tables),
                    body: offset(tokens[head])..source.len(),
                    is_nested,
                    is_method: tokens[at..head].contains(&":"),
                    ..Written::unknown()
                });
            }
            "if" | "do" => blocks.push(None),
            "end" => {
                if let Some(Some(function)) = blocks.pop()
                    && let Some(text) = texts.pop()
                {
                    found[function].text = text.finish();
                    found[function].body.end = offset(token) + token.len();
                }
            }
            "{" => tables.push(assigned_name(&tokens, at, &tables)),
            "}" => {
                tables.pop();
            }
            _ => {}
        }
    }
    found[0].text = texts[0].finish();
    found
}

/// The name of the function whose keyword is at `at`.
fn name_of(tokens: &[&str], at: usize, tables: &[Option<String>]) -> Option<String> {
    if tokens.get(at + 1).is_some_and(|next| is_name(next)) {
        let end = tokens[at + 1..].iter().position(|token| *token == "(")?;
        return Some(path(&tokens[at + 1..at + 1 + end]));
    }
    assigned_name(tokens, at, tables)
}

/// The name in `name = <here>`, behind the names of the tables around it.
fn assigned_name(tokens: &[&str], at: usize, tables: &[Option<String>]) -> Option<String> {
    let own = target(tokens, at);
    let mut names: Vec<String> = Vec::new();
    for table in tables {
        match table {
            Some(name) => names = vec![name.clone()],
            // An element without a name inside a table that has one.
            None if !names.is_empty() => names.push("?".into()),
            None => {}
        }
    }
    names.push(own?);
    Some(names.join("."))
}

/// What `=` directly before `at` assigns to, if that is one plain name, path or string key.
fn target(tokens: &[&str], at: usize) -> Option<String> {
    let mut end = at.checked_sub(1)?;
    if tokens[end] != "=" {
        return None;
    }
    // `local f <const> = function`
    if end >= 4 && tokens[end - 1] == ">" && tokens[end - 3] == "<" {
        end -= 3;
    }
    let last = tokens.get(end.checked_sub(1)?)?;
    if *last == "]" {
        let key = tokens.get(end.checked_sub(2)?)?;
        let opening = end.checked_sub(3)?;
        return (tokens[opening] == "[").then(|| key.trim_matches(['"', '\'']).to_string());
    }
    if !is_name(last) {
        return None;
    }
    let mut start = end - 1;
    while start >= 2 && tokens[start - 1] == "." && is_name(tokens[start - 2]) {
        start -= 2;
    }
    // One of several targets: which value is whose is not looked at.
    if start > 0 && tokens[start - 1] == "," && !is_constructor_comma(tokens, start - 1) {
        return None;
    }
    Some(path(&tokens[start..end]))
}

/// Whether a comma separates fields of a table rather than targets of an assignment.
fn is_constructor_comma(tokens: &[&str], comma: usize) -> bool {
    let mut depth = 0usize;
    for token in tokens[..comma].iter().rev() {
        match *token {
            "}" | ")" | "]" | "end" => depth += 1,
            "{" if depth == 0 => return true,
            "(" if depth == 0 => return false,
            "{" | "(" | "[" => depth = depth.saturating_sub(1),
            "function" | "if" | "do" if depth > 0 => depth -= 1,
            "local" | "then" | "else" | "return" | "do" | "function" if depth == 0 => return false,
            _ => {}
        }
    }
    false
}

fn path(tokens: &[&str]) -> String {
    let names: Vec<&str> = tokens.iter().copied().filter(|t| is_name(t)).collect();
    names.join(".")
}

fn is_name(token: &str) -> bool {
    const KEYWORDS: [&str; 22] = [
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if",
        "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
    ];
    token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && !KEYWORDS.contains(&token)
}

/// The first word of a source that is outside of functions and neither names one nor keeps
/// two apart; `None` if there are functions alone.
pub(crate) fn other_than_functions(source: &str, functions: &[Written]) -> Option<String> {
    let mut at = 0;
    let mut rest = String::new();
    for function in functions
        .iter()
        .skip(1)
        .filter(|written| !written.is_nested)
    {
        rest.push_str(&source[at..function.body.start]);
        at = function.body.end;
    }
    rest.push_str(&source[at..]);
    let known = |token: &str| {
        is_name(token) || matches!(token, "local" | "function" | "=" | "." | ":" | ";")
    };
    tokens(&rest)
        .into_iter()
        .find(|token| !known(token))
        .map(str::to_string)
}

/// What a source gives to `require` as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Required {
    /// The text.
    pub(crate) name: String,
    /// Its line, from 1.
    pub(crate) line: u32,
    /// Its column in characters, from 1.
    pub(crate) column: u32,
}

/// All that a source gives to `require` as text, in order.
pub(crate) fn required(source: &str) -> Vec<Required> {
    let tokens = tokens(source);
    let calls = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| **token == "require");
    // Each character is counted once, however many names there are.
    let (mut line, mut column, mut counted) = (1, 1, 0);
    let names = calls.filter_map(|(at, _)| {
        let next = tokens.get(at + 1)?;
        let text = if *next == "(" {
            tokens.get(at + 2)?
        } else {
            next
        };
        let name = text_of(text)?;
        let offset = text.as_ptr() as usize - source.as_ptr() as usize;
        for character in source[counted..offset].chars() {
            (line, column) = match character {
                '\n' => (line + 1, 1),
                _ => (line, column + 1),
            };
        }
        counted = offset;
        Some(Required { name, line, column })
    });
    names.collect()
}

/// What a text without escapes says.
fn text_of(token: &str) -> Option<String> {
    let inner = match token.as_bytes().first()? {
        quote @ (b'"' | b'\'') => {
            let inner = token.get(1..)?.strip_suffix(char::from(*quote))?;
            (!inner.contains('\\')).then_some(inner)?
        }
        b'[' => {
            let level = token.get(1..)?.find('[')? + 2;
            token.get(level..token.len().checked_sub(level)?)?
        }
        _ => return None,
    };
    Some(inner.trim_start_matches('\n').to_owned())
}

/// The tokens of a source, without comments. Operators of several characters come as single
/// ones where that does not matter here (`..`, `//`), but never `==`, `<=`, `>=`, `~=`.
fn tokens(source: &str) -> Vec<&str> {
    let bytes = source.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c => {
                at += 1;
                continue;
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at = match long_bracket(bytes, at + 2) {
                    Some(end) => end,
                    None => bytes[at..]
                        .iter()
                        .position(|byte| *byte == b'\n')
                        .map_or(bytes.len(), |length| at + length),
                };
                continue;
            }
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at = (at + 1).min(bytes.len());
            }
            b'[' => at = long_bracket(bytes, at).unwrap_or(at + 1),
            byte if byte.is_ascii_digit()
                || (byte == b'.' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)) =>
            {
                at = number_end(bytes, at);
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
                    at += 1;
                }
            }
            b'=' | b'<' | b'>' | b'~' if bytes.get(at + 1) == Some(&b'=') => at += 2,
            _ => {
                at += 1;
                // Never within a character.
                while at < bytes.len() && !source.is_char_boundary(at) {
                    at += 1;
                }
            }
        }
        // An escape may have ended within a character of a text that does not compile.
        while !source.is_char_boundary(at) {
            at += 1;
        }
        tokens.push(&source[start..at]);
    }
    tokens
}

fn number_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        let sign = matches!(bytes[at], b'+' | b'-')
            && matches!(bytes[at - 1], b'e' | b'E' | b'p' | b'P')
            && !hexadecimal_e(bytes, at);
        if !(bytes[at].is_ascii_alphanumeric() || bytes[at] == b'.' || sign) {
            break;
        }
        at += 1;
    }
    at
}

/// Whether the `e` before `at` is a digit: `0xe+1` is a sum.
fn hexadecimal_e(bytes: &[u8], at: usize) -> bool {
    let start = bytes[..at]
        .iter()
        .rposition(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'.'))
        .map_or(0, |before| before + 1);
    matches!(bytes[at - 1], b'e' | b'E')
        && bytes[start..].first() == Some(&b'0')
        && matches!(bytes.get(start + 1), Some(b'x' | b'X'))
}

/// The end of `[[...]]` or `[==[...]==]` that begins at `at`, if one does.
fn long_bracket(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'[') {
        return None;
    }
    let level = bytes[at + 1..]
        .iter()
        .take_while(|byte| **byte == b'=')
        .count();
    if bytes.get(at + 1 + level) != Some(&b'[') {
        return None;
    }
    let mut closing = vec![b']'];
    closing.extend(std::iter::repeat_n(b'=', level));
    closing.push(b']');
    let inside = at + 2 + level;
    let end = bytes[inside..]
        .windows(closing.len())
        .position(|window| window == closing);
    Some(end.map_or(bytes.len(), |end| inside + end + closing.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> Vec<String> {
        let found = outline(source).into_iter().skip(1);
        found
            .map(|w| w.name.unwrap_or_else(|| "-".into()))
            .collect()
    }

    #[test]
    fn functions_have_the_names_that_are_written() {
        let source = r#"
            local function helper() return function() end end
            function M.update(a) if a then for i = 1, 2 do end else end end
            function M.sub:method() end
            M.step = function() while true do end end
            local f <const> = function() repeat until function() end end
            on("hit", function() end)
            local t = { hit = function() end, ["miss"] = function() end, function() end,
                        deep = { er = function() end }, { x = function() end } }
            a, b = 1, function() end
            M.list = { 1, 2, on = function() end }
        "#;
        assert_eq!(
            names(source),
            [
                "helper",
                "-",
                "M.update",
                "M.sub.method",
                "M.step",
                "f",
                "-",
                "-",
                "t.hit",
                "t.miss",
                "-",
                "t.deep.er",
                "t.?.x",
                "-",
                "M.list.on"
            ]
        );
    }

    #[test]
    fn words_in_texts_and_comments_are_none() {
        let source = "local s = 'function' .. \"end \\\" function\" -- function\n\
            --[==[ function ]] ]==] local l = [[ function ]]\n\
            local n = 0xe+1 .. 3e-2 local é = 1 function a() end";
        assert_eq!(names(source), ["a"]);
    }

    #[test]
    fn the_text_of_a_function_is_its_tokens() {
        let of = |source: &str| outline(source)[1].text;
        assert_eq!(
            of("function a() return 1 end"),
            of("function a() --x\n return  1 end")
        );
        assert_ne!(
            of("function a() return 1 end"),
            of("function a() return 2 end")
        );
        let outer = |inner| {
            of(&format!(
                "function a() return function() return {inner} end end"
            ))
        };
        assert_eq!(outer(1), outer(2));
    }
}
