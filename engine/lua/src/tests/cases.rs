//! The cases in `tests/cases`: folders with `old.lua`, `new.lua` (and `newer.lua`) of module
//! `m`, the same of others as `name.old.lua`, and `driver.lua`, which says what must come out.

use std::fs;
use std::path::{Path, PathBuf};

use super::harness::{Shelf, drive};

/// `CASE=name` runs that case alone.
pub(super) fn folders() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let only = std::env::var("CASE").ok();
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| only.as_ref().is_none_or(|only| path.ends_with(only)))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "there is no such case");
    found
}

/// The sources of a case.
pub(super) fn shelf(folder: &Path) -> Shelf {
    let shelf = Shelf::default();
    for version in ["old", "new", "newer"] {
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let Some(name) = name.strip_suffix(".lua") else {
                continue;
            };
            let module = match name.strip_suffix(version) {
                Some("") => "m",
                Some(module) if module.ends_with('.') => module.trim_end_matches('.'),
                _ => continue,
            };
            shelf.put(module, fs::read_to_string(&file).unwrap());
        }
    }
    shelf
}

fn run(faults: bool) {
    let mut failed = Vec::new();
    for folder in folders() {
        let driver = fs::read_to_string(folder.join("driver.lua")).unwrap();
        if faults && driver.starts_with("-- Not with failures") {
            continue;
        }
        if let Err(error) = drive(&shelf(&folder), &driver, faults) {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            failed.push(format!("{name}: {error}"));
        }
    }
    assert!(failed.is_empty(), "\n{}\n", failed.join("\n\n"));
}

#[test]
fn cases_come_out_as_their_drivers_say() {
    run(false);
}

/// Before each reload of each case it is made to fail at each of its steps.
#[test]
fn a_failure_at_any_step_leaves_the_heap_as_it_was() {
    run(true);
}

/// Names belong to the functions that Lua sees: as many, and each where its name is.
#[test]
fn the_outline_of_every_source_is_that_of_lua() {
    let lua = mlua::Lua::new();
    let mut functions = 0;
    for folder in folders() {
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            let text = fs::read_to_string(&file).unwrap();
            let Ok(main) = crate::cells::compile(&lua, c"@x", text.as_bytes()) else {
                continue;
            };
            let protos = crate::cells::protos(&lua, &main).unwrap();
            let written = crate::outline::outline(&text);
            assert_eq!(protos.len(), written.len(), "{}", file.display());
            for (proto, written) in protos.iter().zip(&written).skip(1) {
                let name = written.name.as_deref().unwrap_or("").rsplit('.').next();
                let line = text.lines().nth(proto.first_line as usize - 1).unwrap();
                assert!(line.contains(name.unwrap()), "{name:?} is not in `{line}`");
                functions += 1;
            }
        }
    }
    assert!(functions > 200, "{functions}");
}
