//! Which files a crate consists of, and which it depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// All Rust sources below the folder of a manifest but those of other packages, in order.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, &mut found);
    if let Some(generated) = std::env::var_os("OUT_DIR") {
        collect(Path::new(&generated), &mut found);
    }
    add_mentioned(&mut found);
    found.sort();
    found.dedup();
    found
}

/// Adds the files that others name in `include!` and `#[path = ".."]`.
fn add_mentioned(found: &mut Vec<PathBuf>) {
    let mut at = 0;
    while let Some(file) = found.get(at).cloned() {
        at += 1;
        let text = fs::read_to_string(&file).unwrap_or_default();
        let folder = file.parent().unwrap_or(&file);
        for named in mentioned(&text) {
            // Within a module that is written out, a path begins in that module's folder.
            for base in [folder.to_path_buf(), file.with_extension("")] {
                let Ok(other) = base.join(named).canonicalize() else {
                    continue;
                };
                let is_new = !found.iter().any(|known| same(known, &other));
                if other.is_file() && is_new {
                    found.push(other);
                }
            }
        }
    }
}

fn same(known: &Path, canonical: &Path) -> bool {
    known.file_name() == canonical.file_name()
        && known.canonicalize().is_ok_and(|known| known == canonical)
}

/// The texts behind `include!(` and `path =`.
fn mentioned(text: &str) -> impl Iterator<Item = &str> {
    ["include!", "path"].into_iter().flat_map(move |word| {
        text.split(word).skip(1).filter_map(|rest| {
            let rest = rest.trim_start_matches(['(', '[', '{', '=', ' ', '\n']);
            rest.strip_prefix('"')?.split('"').next()
        })
    })
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if path.is_dir() {
            if !hidden && name != "target" && !path.join("Cargo.toml").exists() {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Path of the module that a file holds, without the crate: `motion::integrate`. What is not
/// where the compiler looks by itself has a path that nobody uses.
pub fn module(folder: &Path, file: &Path) -> String {
    let outside = || Path::new(file.file_name().unwrap_or_default());
    let file = file
        .strip_prefix(folder.join("src"))
        .unwrap_or_else(|_| outside());
    let parts = file.with_extension("");
    let mut parts: Vec<_> = parts.iter().map(std::ffi::OsStr::to_string_lossy).collect();
    if parts.last().is_some_and(|last| last == "mod")
        || parts.len() == 1 && (parts[0] == "lib" || parts[0] == "main")
    {
        parts.pop();
    }
    parts.join("::")
}

/// What tells the versions of all other crates: the lock file, and the text of the sources
/// of crates that are depended on by path. Those of the engine are left out: a module that
/// was built with others does not fit anyway.
pub fn dependencies(folder: &Path) -> Vec<String> {
    let mut texts: Vec<String> = lock(folder).into_iter().collect();
    let mut seen = BTreeSet::new();
    add_paths(folder, &mut seen);
    for dependency in &seen {
        texts.extend(self::texts(dependency));
    }
    texts
}

/// The lock file that the crate in `folder` is built with.
pub(super) fn lock(folder: &Path) -> Option<String> {
    let mut folders = folder.ancestors();
    folders.find_map(|folder| fs::read_to_string(folder.join("Cargo.lock")).ok())
}

/// The text of all sources of a crate.
pub(super) fn texts(folder: &Path) -> Vec<String> {
    let files = sources(folder).into_iter();
    files
        .filter_map(|file| fs::read_to_string(file).ok())
        .collect()
}

/// Folders of all crates that the one in `folder` depends on by path, by package.
pub(super) fn path_crates(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut seen = BTreeSet::new();
    add_paths(folder, &mut seen);
    let named = seen.into_iter();
    named
        .filter_map(|folder| Some((package(&folder)?, folder)))
        .collect()
}

/// Name of the package in `folder`.
pub(super) fn package(folder: &Path) -> Option<String> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let (_, package) = manifest.split_once("[package]")?;
    let name = package.lines().find_map(|line| {
        let value = line.trim().strip_prefix("name")?.trim_start();
        value.strip_prefix('=')?.split('"').nth(1)
    });
    name.map(str::to_owned)
}

/// Adds the folders of all crates that the one in `folder` depends on by path.
fn add_paths(folder: &Path, seen: &mut BTreeSet<PathBuf>) {
    let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else {
        return;
    };
    let workspace = folder.ancestors().skip(1).find_map(|folder| {
        let text = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
        text.contains("[workspace")
            .then(|| (folder.to_path_buf(), text))
    });
    let inherited = workspace.iter().flat_map(|(root, text)| {
        let names = paths(text).filter(|(name, _)| is_inherited(&manifest, name));
        names.map(|(name, path)| (name, root.join(path)))
    });
    let own = paths(&manifest).map(|(name, path)| (name, folder.join(path)));
    for (name, path) in own.chain(inherited) {
        let Ok(path) = path.canonicalize() else {
            continue;
        };
        let is_engine = matches!(name, "engine_api" | "engine_macros" | "engine_dylib");
        if !is_engine && seen.insert(path.clone()) {
            add_paths(&path, seen);
        }
    }
}

/// Dependencies with a path in the text of a manifest: `name = { path = "..." }`, and
/// `path = "..."` below `[dependencies.name]`.
pub(super) fn paths(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut section = "";
    manifest.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header
                .trim_end_matches(']')
                .rsplit('.')
                .next()
                .unwrap_or(header);
            return None;
        }
        let (before, path) = path_value(line)?;
        let name = before.split(['=', '.']).next().unwrap_or("").trim();
        Some((if name.is_empty() { section } else { name }, path))
    })
}

/// The value of the key `path` in a line, and what is before it.
fn path_value(line: &str) -> Option<(&str, &str)> {
    let is_name = |character: char| character.is_alphanumeric() || "-_".contains(character);
    line.match_indices("path").find_map(|(at, key)| {
        let (before, after) = (&line[..at], &line[at + key.len()..]);
        let value = after.trim_start().strip_prefix('=')?.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let path = value[1..].split(quote).next()?;
        (!before.ends_with(is_name)).then_some((before, path))
    })
}

fn is_inherited(manifest: &str, name: &str) -> bool {
    manifest.lines().any(|line| {
        let rest = line.trim().strip_prefix(name);
        rest.is_some_and(|rest| {
            rest.trim_start().starts_with(['=', '.']) && rest.contains("workspace")
        })
    })
}
