//! What went wrong with a reload, or in a call: where, in which version, and what to do.

use std::fmt;

/// The step at which a reload failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The request itself: unknown module, one that is never reloaded, not between calls.
    Request,
    /// The text is no Lua.
    Compile,
    /// The new source raised an error when it ran.
    Run,
    /// `__on_unload__` or `dispose` of the old version.
    Unload,
    /// Old and new were being put together.
    Merge,
    /// `__on_load__`, `__hotfix` or an `accept` callback of the new version.
    Load,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "cannot be reloaded",
            Self::Compile => "does not compile",
            Self::Run => "failed while it was loaded",
            Self::Unload => "failed in the old version's `__on_unload__` or `dispose`",
            Self::Merge => "could not be merged",
            Self::Load => "failed in `__on_load__`, `__hotfix` or `accept`",
        })
    }
}

/// Why a version did not get in. All is as it was before.
#[derive(Debug, Clone, thiserror::Error)]
#[error("module `{module}` {phase}: {}", .script.message)]
pub struct ReloadError {
    /// The module; empty if there is no such module.
    pub module: String,
    /// How far it came.
    pub phase: Phase,
    /// What Lua said.
    pub script: ScriptError,
}

impl ReloadError {
    pub(crate) fn new(module: &str, phase: Phase, error: mlua::Error) -> Self {
        Self {
            module: module.to_string(),
            phase,
            script: ScriptError::new(&error),
        }
    }

    pub(crate) fn request(module: &str, message: impl Into<String>) -> Self {
        Self::new(module, Phase::Request, mlua::Error::runtime(message.into()))
    }
}

/// An error of Lua, with its place in the sources.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScriptError {
    /// What happened, with file and line where Lua tells them.
    pub message: String,
    /// The calls that led there, innermost first; may be empty.
    pub traceback: String,
    /// Where: that of the message, or else of the innermost call.
    pub place: Option<Position>,
}

/// A line of a version's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// File as in [`crate::Source`].
    pub file: String,
    /// Version of the module that the line belongs to.
    pub version: u32,
    /// Line, from 1.
    pub line: u32,
}

impl ScriptError {
    /// Reads what Lua says about an error.
    pub fn new(error: &mlua::Error) -> Self {
        let (message, traceback) = texts(error);
        let mut place = None;
        let message = readable(&message, &mut place);
        let traceback = readable(&traceback, &mut place);
        Self {
            message,
            traceback,
            place,
        }
    }
}

/// Message and traceback of the innermost cause.
fn texts(error: &mlua::Error) -> (String, String) {
    match error {
        mlua::Error::CallbackError { traceback, cause } => {
            let (message, inner) = texts(cause);
            let traceback = if inner.is_empty() {
                traceback.clone()
            } else {
                inner
            };
            (message, traceback)
        }
        mlua::Error::SyntaxError { message, .. } => (message.clone(), String::new()),
        mlua::Error::RuntimeError(text) => match text.split_once("\nstack traceback:\n") {
            Some((message, traceback)) => (message.into(), traceback.into()),
            None => (text.clone(), String::new()),
        },
        other => (other.to_string(), String::new()),
    }
}

/// Makes `enemy.lua:7` and version 2 of `enemy.lua#2:7`. `place` gets the first one.
fn readable(text: &str, place: &mut Option<Position>) -> String {
    let mut readable = String::new();
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while let Some((before, version, number, after)) = next_place(rest) {
            let file = before.rsplit(['\t', ' ', '<']).next().unwrap_or(before);
            if place.is_none() {
                *place = Some(Position {
                    file: file.to_string(),
                    version,
                    line: number,
                });
            }
            readable.push_str(before);
            readable.push(':');
            readable.push_str(&number.to_string());
            rest = after;
        }
        readable.push_str(rest);
    }
    readable
}

/// The first `#version:line` of a text, with what is around it.
fn next_place(text: &str) -> Option<(&str, u32, u32, &str)> {
    text.match_indices('#').find_map(|(at, _)| {
        let (version, rest) = leading_number(&text[at + 1..])?;
        let (line, rest) = leading_number(rest.strip_prefix(':')?)?;
        Some((&text[..at], version, line, rest))
    })
}

fn leading_number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_from_messages() {
        let error = mlua::Error::runtime(
            "a/enemy.lua#3:12: no #2 here\nstack traceback:\n\ta/enemy.lua#3:12: in local 'f'",
        );
        let error = ScriptError::new(&error);
        assert_eq!(error.message, "a/enemy.lua:12: no #2 here");
        assert_eq!(error.traceback, "\ta/enemy.lua:12: in local 'f'");
        assert_eq!(
            error.place,
            Some(Position {
                file: "a/enemy.lua".into(),
                version: 3,
                line: 12
            })
        );
    }
}
