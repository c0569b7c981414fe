//! Which files a crate consists of, and which it depends on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// All Rust sources below the folder of a manifest but those of other packages, in order.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, &mut found);
    if let Some(generated) = std::env::var_os("OUT_DIR") {
        collect(Path::new(&generated), &mut found);
    }
    found.sort();
    found.dedup();
    found
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
    let file = file.strip_prefix(folder.join("src")).unwrap_or(file);
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
    let lock = folder
        .ancestors()
        .find_map(|folder| fs::read_to_string(folder.join("Cargo.lock")).ok());
    let mut texts: Vec<String> = lock.into_iter().collect();
    let mut seen = BTreeSet::new();
    add_paths(folder, &mut seen);
    for dependency in &seen {
        let files = sources(dependency).into_iter();
        texts.extend(files.filter_map(|file| fs::read_to_string(file).ok()));
    }
    texts
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
        if !name.starts_with("engine_") && seen.insert(path.clone()) {
            add_paths(&path, seen);
        }
    }
}

/// Dependencies with a path in the text of a manifest: `name = { path = "..." }`, and
/// `path = "..."` below `[dependencies.name]`.
fn paths(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
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
        let (before, after) = line.split_once("path")?;
        let value = after.trim_start().strip_prefix('=')?.trim_start();
        let path = value.strip_prefix('"')?.split('"').next()?;
        let name = before.split(['=', '.']).next().unwrap_or("").trim();
        Some((if name.is_empty() { section } else { name }, path))
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
