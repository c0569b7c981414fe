//! Reads dep-info files: the makefile rules `rustc` (and cargo) write, which
//! name every file the compiler has read.
//!
//! Format: `target: file file ...`, one rule a line; a space in a name is
//! written `\ `. Lines that start with `#` hold environment variables.

use std::path::{Path, PathBuf};

/// Files the first rule of `text` depends on; relative ones are taken from `base`.
pub(crate) fn sources(text: &str, base: &Path) -> Vec<PathBuf> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| line.split_once(": "))
        .map(|(_, files)| {
            split(files)
                .into_iter()
                .map(|file| base.join(file))
                .collect()
        })
        .unwrap_or_default()
}

/// The files of a dep-info file on disk; empty when there is none.
pub(crate) fn read(path: &Path, base: &Path) -> Vec<PathBuf> {
    std::fs::read_to_string(path)
        .map(|text| sources(&text, base))
        .unwrap_or_default()
}

fn split(files: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut current = String::new();
    let mut characters = files.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&' ') => {
                current.push(' ');
                characters.next();
            }
            ' ' => {
                if !current.is_empty() {
                    all.push(std::mem::take(&mut current));
                }
            }
            other => current.push(other),
        }
    }
    if !current.is_empty() {
        all.push(current);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_rule_with_escaped_spaces() {
        let text = "/t/mini.d: mini/src/lib.rs mini/my\\ file.txt /abs/x.rs\n\n\
                    /t/libmini.so: other.rs\n\nmini/src/lib.rs:\n# env-dep:CARGO_PKG_NAME=mini\n";
        let expected: Vec<PathBuf> = ["/w/mini/src/lib.rs", "/w/mini/my file.txt", "/abs/x.rs"]
            .map(PathBuf::from)
            .into();
        assert_eq!(sources(text, Path::new("/w")), expected);
        assert!(sources("", Path::new("/w")).is_empty());
        assert!(sources("# only: comment\nx:\n", Path::new("/w")).is_empty());
    }
}
