//! What happens to the files of scripts: whatever it is, what runs is what stands there.

#![cfg(target_os = "linux")]

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use inspector_protocol::status::{Problem, ReloadOutcome, ReloadStatus};
use liveloop_tests::engine::Engine;
use liveloop_tests::scratch::Scratch;

const ENEMIES: &str = "assets/scripts/enemies.lua";
const PATHS: &str = "assets/scripts/ai/paths.lua";
const EXTRA: &str = "assets/scripts/ai/extra.lua";
const WAVES: &str = "assets/scripts/waves.lua";

const ENEMIES_TEXT: &str = "local paths = require 'ai.paths'\nlocal M = {}\n\
     function M.number() return 1 + paths.number() end\nreturn M\n";
const PATHS_TEXT: &str = "local P = {}\nfunction P.number() return 10 end\nreturn P\n";
const WAVES_TEXT: &str = "local M = {}\nfunction M.number() return 5 end\nreturn M\n";

fn scripts(scratch: &Scratch, modules: &[(&str, &str)]) {
    std::fs::create_dir_all(scratch.root.join("assets/scripts/ai")).unwrap();
    scratch.save(ENEMIES, ENEMIES_TEXT);
    scratch.save(PATHS, PATHS_TEXT);
    scratch.save(WAVES, WAVES_TEXT);
    scratch.add_lua(modules);
}

fn all_run(engine: &Engine<'_>, count: usize) {
    engine.wait("that the scripts run", |status| {
        let mut modules = status.modules.iter();
        let is_complete = status.modules.len() == count;
        (is_complete && modules.all(|module| module.active.is_some())).then_some(())
    });
}

fn number(engine: &Engine<'_>) -> i64 {
    engine.number_of("enemies", "number")
}

/// Does something and waits for what becomes of it.
fn after(engine: &Engine<'_>, act: impl FnOnce(&Path)) -> ReloadStatus {
    let seq = engine.last_reload();
    act(&engine.scratch.root);
    engine.reload_after(seq)
}

/// Does something that lets a source be missing: a problem says which, and what ran runs.
fn missing(engine: &Engine<'_>, named: &str, act: impl FnOnce(&Path)) -> Problem {
    let runs = number(engine);
    let reload = after(engine, act);
    assert_eq!(reload.outcome, ReloadOutcome::CompileError, "{reload:#?}");
    assert!(reload.message.contains(named), "{reload:#?}");
    assert_eq!(number(engine), runs);
    engine.wait("the problem", |status| status.problems.first().cloned())
}

/// Does something after which all is well.
fn good(engine: &Engine<'_>, outcome: ReloadOutcome, act: impl FnOnce(&Path)) {
    let reload = after(engine, act);
    assert_eq!(reload.outcome, outcome, "{reload:#?}");
    engine.wait("that nothing is wrong", |status| {
        status.problems.is_empty().then_some(())
    });
}

fn rename(root: &Path, from: &str, to: &str) {
    std::fs::rename(root.join(from), root.join(to)).unwrap();
}

/// Two folders take each other's place at once.
fn exchange(root: &Path, one: &str, other: &str) {
    let path = |name: &str| CString::new(root.join(name).as_os_str().as_bytes()).unwrap();
    let (one, other) = (path(one), path(other));
    // SAFETY: both are texts that end with a zero and live until the call returns.
    let done = unsafe {
        libc::renameat2(
            libc::AT_FDCWD,
            one.as_ptr(),
            libc::AT_FDCWD,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn whatever_happens_to_files_and_folders_what_stands_there_runs() {
    let scratch = Scratch::take();
    scripts(&scratch, &[("enemies", ENEMIES), ("waves", WAVES)]);
    let engine = Engine::start(&scratch);
    all_run(&engine, 3);
    let (applied, unchanged) = (ReloadOutcome::Applied, ReloadOutcome::Unchanged);
    assert_eq!(number(&engine), 11);

    // Written in place, and replaced by another file.
    let twenty = PATHS_TEXT.replace("10", "20");
    good(&engine, applied, |root| {
        std::fs::write(root.join(PATHS), &twenty).unwrap();
    });
    assert_eq!(number(&engine), 21);
    good(&engine, applied, |_| scratch.save(PATHS, PATHS_TEXT));
    assert_eq!(number(&engine), 11);

    // Required before it is there, and created then.
    let extra = |number: u8| format!("return {{ number = function() return {number} end }}");
    let more = PATHS_TEXT.replace("10", "require('ai.extra').number()");
    let problem = missing(&engine, "ai.extra", |_| scratch.save(PATHS, &more));
    assert_eq!((problem.file.as_str(), problem.line), (PATHS, 2));
    good(&engine, applied, |_| scratch.save(EXTRA, &extra(30)));
    assert_eq!(number(&engine), 31);

    // Moved and moved back, deleted and created.
    let away = "assets/scripts/ai/elsewhere.lua";
    missing(&engine, "ai.extra", |root| rename(root, EXTRA, away));
    good(&engine, unchanged, |root| rename(root, away, EXTRA));
    missing(&engine, "ai.extra", |root| {
        std::fs::remove_file(root.join(EXTRA)).unwrap();
    });
    good(&engine, applied, |_| scratch.save(EXTRA, &extra(40)));
    assert_eq!(number(&engine), 41);
    let problem = missing(&engine, "cannot be read", |root| {
        std::fs::remove_file(root.join(ENEMIES)).unwrap();
    });
    assert_eq!(
        (problem.module.as_str(), problem.file.as_str()),
        ("enemies", ENEMIES)
    );
    good(&engine, unchanged, |_| scratch.save(ENEMIES, ENEMIES_TEXT));

    // Folders go and come back, and what lies in them is watched again.
    missing(&engine, "ai.paths", |root| {
        rename(root, "assets/scripts/ai", "assets/scripts/old");
    });
    good(&engine, unchanged, |root| {
        rename(root, "assets/scripts/old", "assets/scripts/ai");
    });
    engine.apply(EXTRA, "40", "50");
    assert_eq!(number(&engine), 51);

    // Another folder takes the place of all scripts in one moment: both modules are others,
    // before the same frame.
    let next = scratch.root.join("next");
    std::fs::create_dir_all(next.join("ai")).unwrap();
    std::fs::write(next.join("enemies.lua"), ENEMIES_TEXT.replace("1 +", "2 +")).unwrap();
    std::fs::write(next.join("ai/paths.lua"), PATHS_TEXT).unwrap();
    std::fs::write(next.join("waves.lua"), WAVES_TEXT.replace('5', "6")).unwrap();
    let seq = engine.last_reload();
    exchange(&scratch.root, "next", "assets/scripts");
    let reloads = engine.reloads_after(seq, 2);
    let both: Vec<_> = reloads
        .iter()
        .map(|reload| (reload.module.as_str(), reload.outcome))
        .collect();
    assert_eq!(
        both,
        [("enemies", applied), ("waves", applied)],
        "{reloads:#?}"
    );
    assert_eq!(reloads[0].frame, reloads[1].frame);
    assert_eq!(
        (number(&engine), engine.number_of("waves", "number")),
        (12, 6)
    );
    engine.apply(PATHS, "10", "70");
    assert_eq!(number(&engine), 72);
    std::fs::remove_dir_all(next).unwrap();
    assert!(engine.finish().success());
}

#[test]
fn scripts_are_watched_where_nothing_is_built() {
    let scratch = Scratch::take();
    scratch.cargo(&["build"]);
    scripts(&scratch, &[("enemies", ENEMIES)]);
    let engine = Engine::start_with(&scratch, &["--no-build"]);
    all_run(&engine, 2);
    engine.apply(PATHS, "10", "20");
    assert_eq!(number(&engine), 21);
    scratch.add_lua(&[("waves", WAVES)]);
    all_run(&engine, 3);
    assert_eq!(engine.number_of("waves", "number"), 5);
    engine.apply(WAVES, "5", "6");
    assert_eq!(engine.number_of("waves", "number"), 6);
    assert!(engine.finish().success());
}
