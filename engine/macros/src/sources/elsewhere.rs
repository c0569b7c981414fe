//! What tells the versions of the crates that a crate is built from.
//!
//! Two modules that share such a crate have to get the same number for it, whenever each of
//! them was compiled. So a crate's number is made of nothing but that crate and what it is
//! built from: its entry in the lock file with those of its dependencies, and, for crates with
//! a path, the text of their sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{files, hash};

/// Crates of the engine. A module that was built with others does not fit anyway.
const ENGINE: [&str; 3] = ["engine_api", "engine_macros", "engine_dylib"];

/// A package as the lock file has it.
#[derive(Debug, PartialEq, Eq)]
struct Package<'a> {
    name: &'a str,
    /// Its entry.
    text: &'a str,
    /// `name` or `name version` of what it depends on.
    dependencies: Vec<&'a str>,
}

/// A number for every crate that the one in `folder` is built from, by the name that paths of
/// its types begin with.
pub(super) fn numbers(folder: &Path) -> BTreeMap<String, u64> {
    let lock = files::lock(folder).unwrap_or_default();
    let own = files::package(folder).unwrap_or_default();
    numbers_of(&own, &packages(&lock), &files::path_crates(folder))
}

/// `sources` are the folders of crates with a path, by package.
fn numbers_of(
    own: &str,
    packages: &[Package],
    sources: &BTreeMap<String, PathBuf>,
) -> BTreeMap<String, u64> {
    let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let own = packages.iter().position(|package| package.name == own);
    let all = own.map(|own| closure(packages, own)).unwrap_or_default();
    for index in all {
        let package = &packages[index];
        let mut texts: Vec<String> = Vec::new();
        for index in closure(packages, index) {
            let package = &packages[index];
            match sources.get(package.name) {
                Some(folder) => texts.extend(files::texts(folder)),
                None => texts.push(package.text.to_owned()),
            }
        }
        texts.sort_unstable();
        // Two versions of a crate have one name.
        let name = package.name.replace('-', "_");
        parts.entry(name).or_default().extend(texts);
    }
    let numbers = parts.into_iter().map(|(name, texts)| (name, hash(&texts)));
    numbers.collect()
}

/// A package and all that it is built from, without what belongs to the engine.
fn closure(packages: &[Package], first: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = vec![first];
    while let Some(index) = open.pop() {
        if !found.insert(index) {
            continue;
        }
        for dependency in &packages[index].dependencies {
            let name = dependency.split(' ').next().unwrap_or(dependency);
            let is_it = |(_, other): &(usize, &Package)| other.name == name;
            if !ENGINE.contains(&name) {
                let named = packages.iter().enumerate().filter(is_it);
                open.extend(named.map(|(index, _)| index));
            }
        }
    }
    found
}

/// The entries of a lock file.
fn packages(lock: &str) -> Vec<Package<'_>> {
    let entries = lock.split("[[package]]").skip(1);
    entries
        .filter_map(|text| {
            let mut lines = text.lines();
            let name = lines.find_map(|line| line.strip_prefix("name = "))?;
            let listed = text.split("dependencies = [").nth(1).unwrap_or_default();
            let listed = listed.split(']').next().unwrap_or_default();
            let dependencies = listed.lines().filter_map(|line| line.split('"').nth(1));
            Some(Package {
                name: name.trim_matches('"'),
                text: text.trim(),
                dependencies: dependencies.collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4

[[package]]
name = "core"
version = "0.1.0"
dependencies = [
 "engine_api",
 "types",
]

[[package]]
name = "ai"
version = "0.1.0"
dependencies = [
 "types",
 "serde",
]

[[package]]
name = "glam-fast"
version = "1.0.0"

[[package]]
name = "engine_api"
version = "0.1.0"
dependencies = [
 "bevy_ecs",
]

[[package]]
name = "bevy_ecs"
version = "0.1.0"

[[package]]
name = "serde"
version = "1.0.0"

[[package]]
name = "types"
version = "0.1.0"
dependencies = [
 "engine_api",
 "glam-fast 1.0.0",
]
"#;

    fn numbers(own: &str, lock: &str) -> BTreeMap<String, u64> {
        numbers_of(own, &packages(lock), &BTreeMap::new())
    }

    /// Crates whose numbers for `ai` an edit of the lock file changes.
    fn changed(from: &str, to: &str) -> Vec<String> {
        assert_eq!(LOCK.matches(from).count(), 1, "{from}");
        let (before, after) = (numbers("ai", LOCK), numbers("ai", &LOCK.replace(from, to)));
        let names = before
            .keys()
            .filter(|name| before.get(*name) != after.get(*name));
        names.cloned().collect()
    }

    #[test]
    fn a_crate_is_told_by_what_it_is_built_from() {
        let glam = "name = \"glam-fast\"\nversion = \"1.0.0\"";
        let newer = "name = \"glam-fast\"\nversion = \"1.0.1\"";
        assert_eq!(changed(glam, newer), ["ai", "glam_fast", "types"]);
        // What others need beside it does not matter.
        let serde = "name = \"serde\"\nversion = \"1.0.0\"";
        let newer = "name = \"serde\"\nversion = \"1.0.1\"";
        assert_eq!(changed(serde, newer), ["ai", "serde"]);
        let bevy = "name = \"bevy_ecs\"\nversion = \"0.1.0\"";
        let newer = "name = \"bevy_ecs\"\nversion = \"0.2.0\"";
        assert!(changed(bevy, newer).is_empty());
    }

    #[test]
    fn all_that_are_built_from_a_crate_agree_about_it() {
        let (core, ai) = (numbers("core", LOCK), numbers("ai", LOCK));
        for name in ["types", "glam_fast"] {
            assert_eq!(core[name], ai[name]);
        }
        assert!(ai.contains_key("serde") && !core.contains_key("serde"));
    }

    #[test]
    fn a_crate_with_a_path_is_told_by_its_sources() {
        let folder = std::env::temp_dir().join(format!("liveloop-crates-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let of = |text: &str| {
            std::fs::write(folder.join("lib.rs"), text).unwrap();
            let sources = [("types".to_owned(), folder.clone())];
            numbers_of("ai", &packages(LOCK), &BTreeMap::from(sources))
        };
        let (one, two) = (of("struct A(u8);"), of("struct A(u16);"));
        std::fs::remove_dir_all(&folder).unwrap();
        let differs = |name: &str| one[name] != two[name];
        assert!(differs("types") && differs("ai"));
        assert!(!differs("serde"));
    }
}
