//! RON as a tree in which everything knows where it stands.

use super::SceneError;

/// How deep values may be nested.
const DEEPEST: usize = 100;

/// A part of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// First byte.
    pub at: usize,
    /// Byte after the last.
    pub end: usize,
    pub kind: Kind,
}

/// The name of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub at: usize,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// As it is written, without underscores.
    Number(String),
    Text(String),
    Char(char),
    /// `true`, `None`, a variant without fields.
    Name(String),
    /// `(1, 2)`, `Gold(3)`, `()`.
    Tuple(Option<String>, Vec<Node>),
    /// `(x: 1)`, `Sword(sharp: 1)`.
    Struct(Option<String>, Vec<(Key, Node)>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The part with this path (`stats.armor`, `items[3].count`), or the innermost one
    /// around it that is written.
    pub(super) fn find(&self, path: &str) -> &Self {
        let mut node = self;
        let mut steps = path.split(['.', '[', ']']).filter(|step| !step.is_empty());
        while let Some(step) = steps.next() {
            let index = step.parse::<usize>();
            let next = match (&node.kind, index) {
                (Kind::Struct(_, fields), _) => {
                    let mut fields = fields.iter();
                    fields
                        .find(|(key, _)| key.name == step)
                        .map(|(_, node)| node)
                }
                (Kind::Tuple(_, items) | Kind::List(items), Ok(index)) => items.get(index),
                (Kind::Map(pairs), Ok(index)) => {
                    pairs.get(index).map(|(key, value)| match steps.next() {
                        Some("key") => key,
                        _ => value,
                    })
                }
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }
}

/// Parses one value with nothing after it.
pub(super) fn parse(text: &str) -> Result<Node, SceneError> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let node = parser.value()?;
    parser.space()?;
    if parser.rest().is_empty() {
        Ok(node)
    } else {
        Err(parser.error("the end was expected here"))
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn error(&self, message: &str) -> SceneError {
        SceneError::at(self.text, self.at, message)
    }

    fn eat(&mut self, what: &str) -> bool {
        let is_there = self.rest().starts_with(what);
        if is_there {
            self.at += what.len();
        }
        is_there
    }

    /// Skips space and comments.
    fn space(&mut self) -> Result<(), SceneError> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if self.rest().starts_with("//") {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            } else if self.rest().starts_with("/*") {
                let start = self.at;
                let mut depth = 0;
                loop {
                    if self.eat("/*") {
                        depth += 1;
                    } else if self.eat("*/") {
                        depth -= 1;
                        if depth == 0 {
                            break;
                        }
                    } else if let Some(next) = self.peek() {
                        self.at += next.len_utf8();
                    } else {
                        self.at = start;
                        return Err(self.error("this comment has no end"));
                    }
                }
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self) -> Result<Node, SceneError> {
        self.space()?;
        if self.depth == DEEPEST {
            return Err(self.error("values are nested too deeply"));
        }
        self.depth += 1;
        let at = self.at;
        let kind = self.kind()?;
        self.depth -= 1;
        let end = self.at;
        Ok(Node { at, end, kind })
    }

    fn kind(&mut self) -> Result<Kind, SceneError> {
        match self.peek() {
            None => Err(self.error("a value was expected here, not the end")),
            Some('(') => self.parentheses(None),
            Some('[') => {
                self.at += 1;
                let mut items = Vec::new();
                while self.goes_on("]", items.is_empty())? {
                    items.push(self.value()?);
                }
                Ok(Kind::List(items))
            }
            Some('{') => {
                self.at += 1;
                let mut pairs = Vec::new();
                while self.goes_on("}", pairs.is_empty())? {
                    let key = self.value()?;
                    self.expect(":")?;
                    pairs.push((key, self.value()?));
                }
                Ok(Kind::Map(pairs))
            }
            Some('"') => self.text().map(Kind::Text),
            Some('\'') => self.character().map(Kind::Char),
            Some('0'..='9' | '+' | '-' | '.') => Ok(Kind::Number(self.number())),
            Some('r') if self.rest().starts_with("r\"") || self.rest().starts_with("r#") => {
                self.raw_text().map(Kind::Text)
            }
            Some(first) if first == '_' || first.is_alphabetic() => {
                let name = self.name();
                let after_name = self.at;
                self.space()?;
                if self.peek() == Some('(') {
                    self.parentheses(Some(name))
                } else {
                    self.at = after_name;
                    Ok(Kind::Name(name))
                }
            }
            Some(other) => Err(self.error(&format!("a value cannot begin with `{other}`"))),
        }
    }

    /// Whether another element comes before the closing bracket, which is skipped.
    fn goes_on(&mut self, close: &str, is_first: bool) -> Result<bool, SceneError> {
        self.space()?;
        let comma = !is_first && self.eat(",");
        self.space()?;
        if self.eat(close) {
            return Ok(false);
        }
        if is_first || comma {
            return Ok(true);
        }
        Err(self.error(&format!("`,` or `{close}` was expected here")))
    }

    fn expect(&mut self, what: &str) -> Result<(), SceneError> {
        self.space()?;
        if self.eat(what) {
            Ok(())
        } else {
            Err(self.error(&format!("`{what}` was expected here")))
        }
    }

    fn name(&mut self) -> String {
        let is_part = |c: char| c == '_' || c.is_alphanumeric();
        let rest = self.rest();
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let name = rest[..length].to_owned();
        self.at += length;
        name
    }

    /// A tuple or a struct: its first element is a name and a colon.
    fn parentheses(&mut self, name: Option<String>) -> Result<Kind, SceneError> {
        self.at += 1;
        self.space()?;
        let start = self.at;
        let is_struct = !self.name().is_empty() && {
            self.space()?;
            self.rest().starts_with(':')
        };
        self.at = start;
        if !is_struct {
            let mut items = Vec::new();
            while self.goes_on(")", items.is_empty())? {
                items.push(self.value()?);
            }
            return Ok(Kind::Tuple(name, items));
        }
        let mut fields = Vec::new();
        while self.goes_on(")", fields.is_empty())? {
            let key = Key {
                at: self.at,
                name: self.name(),
            };
            if key.name.is_empty() {
                return Err(self.error("the name of a field was expected here"));
            }
            self.expect(":")?;
            fields.push((key, self.value()?));
        }
        Ok(Kind::Struct(name, fields))
    }

    fn number(&mut self) -> String {
        let mut length = 0;
        let mut before = ' ';
        for c in self.rest().chars() {
            let is_exponent = before.eq_ignore_ascii_case(&'e');
            let is_sign = matches!(c, '+' | '-') && (length == 0 || is_exponent);
            if !is_sign && !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_') {
                break;
            }
            length += 1;
            before = c;
        }
        let number = self.rest()[..length].replace('_', "");
        self.at += length;
        number
    }

    fn text(&mut self) -> Result<String, SceneError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => {
                    self.at = start;
                    return Err(self.error("this text has no end"));
                }
                Some('"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some('\\') => text.extend(self.escape()?),
                Some(c) => {
                    self.at += c.len_utf8();
                    text.push(c);
                }
            }
        }
    }

    fn raw_text(&mut self) -> Result<String, SceneError> {
        let rest = &self.rest()[1..];
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let close = format!("\"{}", "#".repeat(hashes));
        let body = rest[hashes..].strip_prefix('"');
        let Some((body, length)) = body.and_then(|body| Some((body, body.find(&close)?))) else {
            return Err(self.error("this text has no end"));
        };
        let text = body[..length].to_owned();
        self.at += 1 + hashes + 1 + length + close.len();
        Ok(text)
    }

    fn character(&mut self) -> Result<char, SceneError> {
        let start = self.at;
        self.at += 1;
        let found = match self.peek() {
            Some('\\') => self.escape()?,
            Some(c) => {
                self.at += c.len_utf8();
                Some(c)
            }
            None => None,
        };
        if let Some(found) = found
            && self.eat("'")
        {
            return Ok(found);
        }
        self.at = start;
        Err(self.error("this is no character: `'a'`"))
    }

    /// What stands behind a backslash; nothing for the end of a line.
    fn escape(&mut self) -> Result<Option<char>, SceneError> {
        let start = self.at;
        self.at += 1;
        let kind = self.peek();
        self.at += kind.map_or(0, char::len_utf8);
        let code = |digits: &str| {
            u32::from_str_radix(digits, 16)
                .ok()
                .and_then(char::from_u32)
        };
        let found = match kind {
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('0') => Some('\0'),
            Some(same @ ('\\' | '"' | '\'')) => Some(same),
            Some('x') => {
                let digits = self.rest().get(..2).map(str::to_owned);
                self.at += digits.as_ref().map_or(0, String::len);
                digits.and_then(|digits| code(&digits))
            }
            Some('u') => {
                let inside = self.rest().strip_prefix('{');
                let inside = inside.and_then(|inside| inside.split_once('}'));
                let digits = inside.map(|(digits, _)| digits.to_owned());
                self.at += digits.as_ref().map_or(0, |digits| digits.len() + 2);
                digits.and_then(|digits| code(&digits))
            }
            Some('\n') => {
                let rest = self.rest();
                self.at += rest.len() - rest.trim_start().len();
                return Ok(None);
            }
            _ => None,
        };
        if found.is_none() {
            self.at = start;
            return Err(self.error("this is no character that stands behind a backslash"));
        }
        Ok(found)
    }
}
