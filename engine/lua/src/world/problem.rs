//! What is wrong with a value, and where in it.

use std::fmt;

use strsim::levenshtein;

/// Why something cannot be done with a part of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Path of the part; empty for the value itself.
    path: String,
    message: String,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            message: message.into(),
        }
    }

    /// The same, seen from the value that has the part.
    pub(super) fn within(mut self, name: impl fmt::Display) -> Self {
        let dot = match self.path.chars().next() {
            None | Some('[') => "",
            Some(_) => ".",
        };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }

    /// As Lua's error.
    pub(super) fn raise(self) -> mlua::Error {
        mlua::Error::runtime(self.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "`{}`: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// The name that was probably meant.
pub(super) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = names
        .map(|other| (levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= other.chars().count() / 2);
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, nearest)| nearest)
}

/// Says which names there are, the nearest one if there is one.
pub(super) fn instead<'n>(name: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    if let Some(nearest) = nearest(name, names.clone()) {
        return format!("did you mean `{nearest}`?");
    }
    let names: Vec<_> = names.take(8).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "there is none".to_owned(),
        1 => format!("there is {}", names[0]),
        _ => format!("there are {}", names.join(", ")),
    }
}
