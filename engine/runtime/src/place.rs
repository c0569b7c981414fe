//! Places of sources in what is said about them.

use std::path::Path;

/// The first `path/to/file.rs:12:5` or `path/to/file.lua:12` in a text: file, line and column,
/// which is 1 where none is said.
pub fn place_in(text: &str) -> Option<(String, u32, u32)> {
    text.split_whitespace().find_map(|word| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/');
        let (rest, last) = word.rsplit_once(':')?;
        let last = last.parse().ok()?;
        let place = match rest.rsplit_once(':') {
            Some((file, line)) => (file, line.parse().ok()?, last),
            None => (rest, last, 1),
        };
        let is_said = rest.contains(':');
        let (file, line, column) = place;
        let end = Path::new(file).extension()?;
        let is_source = end == "lua" || end == "rs" && is_said;
        is_source.then(|| (file.to_owned(), line, column))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_messages() {
        for (text, place) in [
            (
                "it panicked while it was set up: game/src/lib.rs:12:5: not today",
                Some(("game/src/lib.rs", 12, 5)),
            ),
            (
                "thread 'main' panicked at a/b.rs:1:2:",
                Some(("a/b.rs", 1, 2)),
            ),
            (
                "failed: a/b.lua:7: no luck\nstack traceback:\n\ta/c.lua:9: in f",
                Some(("a/b.lua", 7, 1)),
            ),
            ("a/b.lua:7:3: no luck", Some(("a/b.lua", 7, 3))),
            ("component field `x` of `a::b::C` was added: 8:4", None),
            ("at 12:30:45 nothing happened", None),
            ("lib.rs:12 is no place that a compiler names", None),
        ] {
            let found = place_in(text);
            let found = found
                .as_ref()
                .map(|(file, line, column)| (file.as_str(), *line, *column));
            assert_eq!(found, place, "{text}");
        }
    }
}
