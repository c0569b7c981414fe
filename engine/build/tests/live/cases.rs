//! What the builder must do, one function for each promise.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use engine_build::{BuildError, BuildEvent, BuildMethod, Builder, ModuleSource, WatchOptions};
use inspector_protocol::status::Severity;

use crate::scratch::{Ended, LIB, Scratch, contains, rules};

type Case = (&'static str, fn());

macro_rules! cases {
    ($($name:ident)*) => { &[$((stringify!($name), $name)),*] };
}

/// All tests.
pub const CASES: &[Case] = cases! {
    edits_are_replayed
    a_mistake_is_reported_with_its_place_and_mended
    warnings_come_with_the_artifact
    a_touch_is_unchanged_without_a_compiler
    an_edit_taken_back_is_unchanged
    a_comment_is_unchanged
    an_atomic_rename_is_a_save
    temporary_files_are_ignored
    a_truncated_file_is_waited_for
    a_removed_and_recreated_folder_is_followed
    the_whole_crate_can_be_removed_and_recreated
    a_file_can_be_moved
    a_later_save_cancels_the_build
    a_change_without_an_event_is_noticed_at_the_end
    a_dependency_goes_through_cargo
    a_change_with_an_old_time_is_seen
    a_manifest_goes_through_cargo
    a_broken_manifest_is_a_problem
    many_files_at_once_are_one_result
    an_included_file_is_a_source
    a_request_is_forced
    assets_are_reported
    a_second_start_replays_at_once
    a_fresh_start_is_primed
    cargo_and_the_builder_share_their_output
    a_build_script_goes_through_cargo
    a_start_with_a_mistake_goes_on_once_it_is_mended
    modules_are_built_for_themselves
    a_lost_event_queue_loses_nothing
    without_events_files_are_compared
    a_wrapper_that_does_not_work_is_given_up
    a_missing_package_is_an_error
    dropping_ends_a_running_compiler
};

/// Run only when asked for by name.
pub const MEASUREMENTS: &[Case] = cases! { measure };

fn edits_are_replayed() {
    let scratch = Scratch::new();
    let (session, first) = scratch.start_built();
    assert_eq!(first.how, Some(BuildMethod::Cargo));
    first.assert_mark("mark-first");

    scratch.write("mini/src/rules.rs", &rules("mark-second"));
    let second = session.wait_for_mark("mark-second");
    assert_eq!(second.how, Some(BuildMethod::Replay));
    assert_eq!(second.files, [scratch.path("mini/src/rules.rs")]);
    assert!(
        matches!(&second.ended, Ended::Built { trigger, forced: false, .. }
        if trigger == "mini/src/rules.rs"),
        "{second:?}"
    );
    assert_ne!(first.built().1, second.built().1);

    scratch.write("mini/src/rules.rs", &rules("mark-third"));
    let third = session.wait_for_mark("mark-third");
    assert_eq!(third.how, Some(BuildMethod::Replay));
    // The older ones stay readable: somebody may still have them mapped.
    first.assert_mark("mark-first");
    second.assert_mark("mark-second");
}

fn a_mistake_is_reported_with_its_place_and_mended() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    scratch.write(
        "mini/src/rules.rs",
        "pub const MARK: &str = \"x\";\nfn broken() -> u32 {\n    missing\n}\n",
    );
    let report = session.wait();
    let problem = &report.problems()[0];
    assert_eq!(
        (
            problem.file.as_str(),
            problem.line,
            problem.column,
            problem.severity
        ),
        ("mini/src/rules.rs", 3, 5, Severity::Error)
    );
    assert_eq!(problem.module, "mini");
    assert!(
        problem.message.contains("cannot find value `missing`"),
        "{problem:?}"
    );
    assert!(problem.rendered.contains('\u{1b}'), "rendered with colours");
    let Ended::Failed { summary, .. } = &report.ended else {
        unreachable!()
    };
    assert!(
        summary.starts_with("mini/src/rules.rs:3: cannot find value"),
        "{summary}"
    );

    scratch.write("mini/src/rules.rs", &rules("mark-mended"));
    let report = session.wait_for_mark("mark-mended");
    assert_eq!(report.how, Some(BuildMethod::Replay));

    // A file that is missing makes it fail; its arrival mends it.
    scratch.write("mini/src/lib.rs", &format!("mod extra;\n{LIB}"));
    assert!(session.wait().problems()[0].message.contains("extra"));
    scratch.write(
        "mini/src/extra.rs",
        "#[unsafe(no_mangle)]\npub static EXTRA: [u8; 10] = *b\"mark-extra\";\n",
    );
    session.wait_for_mark("mark-extra");
}

fn warnings_come_with_the_artifact() {
    let scratch = Scratch::new();
    let unused = "fn unused() {}\n";
    scratch.append("mini/src/rules.rs", unused);
    let (session, first) = scratch.start_built();
    scratch.write("mini/src/rules.rs", &(rules("mark-warned") + unused));
    let second = session.wait_for_mark("mark-warned");
    // Once from cargo's messages, once from rustc's own: the same problem.
    for report in [&first, &second] {
        let Ended::Built { warnings, .. } = &report.ended else {
            panic!("{report:?}")
        };
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(
            (warnings[0].file.as_str(), warnings[0].line),
            ("mini/src/rules.rs", 2)
        );
        assert_eq!(warnings[0].severity, Severity::Warning);
    }
    scratch.write("mini/src/rules.rs", &rules("mark-clean"));
    let third = session.wait_for_mark("mark-clean");
    assert!(matches!(&third.ended, Ended::Built { warnings, .. } if warnings.is_empty()));
}

fn a_touch_is_unchanged_without_a_compiler() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    let file = fs::File::options()
        .append(true)
        .open(scratch.path("mini/src/rules.rs"))
        .unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(5))
        .unwrap();
    let report = session.wait();
    report.assert_unchanged();
    assert_eq!(report.how, None);
    // The same for a manifest.
    let file = fs::File::options()
        .append(true)
        .open(scratch.path("mini/Cargo.toml"))
        .unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(5))
        .unwrap();
    let report = session.wait();
    report.assert_unchanged();
    assert_eq!(report.how, None);
    session.assert_quiet(&scratch);
}

fn an_edit_taken_back_is_unchanged() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    scratch.write("mini/src/rules.rs", "broken");
    session.wait().problems();
    scratch.write("mini/src/rules.rs", &rules("mark-first"));
    session.wait().assert_unchanged();
}

fn a_comment_is_unchanged() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    scratch.append("mini/src/rules.rs", "// a word at the end\n");
    let report = session.wait();
    report.assert_unchanged();
    assert_eq!(
        report.how,
        Some(BuildMethod::Replay),
        "compiled, with the same result"
    );
}

fn an_atomic_rename_is_a_save() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    for mark in ["mark-renamed-1", "mark-renamed-2"] {
        scratch.write("mini/src/.rules.rs.tmp", &rules(mark));
        fs::rename(
            scratch.path("mini/src/.rules.rs.tmp"),
            scratch.path("mini/src/rules.rs"),
        )
        .unwrap();
        let report = session.wait_for_mark(mark);
        assert_eq!(report.files, [scratch.path("mini/src/rules.rs")]);
    }
    // As Vim does it: the old file becomes the backup, then a new one is written.
    fs::rename(
        scratch.path("mini/src/rules.rs"),
        scratch.path("mini/src/rules.rs~"),
    )
    .unwrap();
    scratch.write("mini/src/rules.rs", &rules("mark-backup"));
    fs::remove_file(scratch.path("mini/src/rules.rs~")).unwrap();
    session.wait_for_mark("mark-backup");
}

fn temporary_files_are_ignored() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    let names = [
        ".rules.rs.swp",
        "4913",
        "rules.rs~",
        ".#rules.rs",
        "#rules.rs#",
        ".goutputstream-AB12.rs",
        "rules.rs.tmp",
    ];
    for name in names {
        scratch.write(&format!("mini/src/{name}"), "not a source");
    }
    // Nor anything that is no source of the library.
    scratch.write("mini/README.md", "about");
    scratch.write("mini/tests/it.rs", "#[test] fn it() {}");
    scratch.write("mini/.git/index.rs", "x");
    session.assert_quiet(&scratch);
    for name in names {
        fs::remove_file(scratch.path(&format!("mini/src/{name}"))).unwrap();
    }
    session.assert_quiet(&scratch);
}

fn a_truncated_file_is_waited_for() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    let path = scratch.path("mini/src/rules.rs");
    // Empty first, and long enough for the builder to see it.
    fs::write(&path, "").unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !matches!(session.next(deadline), BuildEvent::Started { .. }) {}
    fs::write(&path, rules("mark-complete")).unwrap();
    // An empty file would be an error; none may be heard of.
    let report = session.wait();
    report.assert_mark("mark-complete");
    assert_eq!(report.cancelled, 1);
}

fn a_removed_and_recreated_folder_is_followed() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    for round in 0..3 {
        fs::remove_dir_all(scratch.path("mini/src")).unwrap();
        let mark = format!("mark-recreated-{round}");
        scratch.write("mini/src/lib.rs", LIB);
        scratch.write("mini/src/rules.rs", &rules(&mark));
        session.wait_for_mark(&mark);
        // Events come from the new folder.
        let mark = format!("mark-edited-{round}");
        scratch.write("mini/src/rules.rs", &rules(&mark));
        session.wait_for_mark(&mark);
    }
}

fn the_whole_crate_can_be_removed_and_recreated() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    let manifest = fs::read_to_string(scratch.path("mini/Cargo.toml")).unwrap();
    fs::rename(scratch.path("mini"), scratch.path("elsewhere")).unwrap();
    scratch.write("mini/Cargo.toml", &manifest);
    scratch.write(
        "mini/src/deeper/leaf.rs",
        "pub const LEAF: &str = \"mark-leaf\";\n",
    );
    scratch.write(
        "mini/src/rules.rs",
        "pub const MARK: &str = crate::leaf::LEAF;\n",
    );
    scratch.write(
        "mini/src/lib.rs",
        &format!("#[path = \"deeper/leaf.rs\"]\nmod leaf;\n{LIB}"),
    );
    session.wait_for_mark("mark-leaf");
    scratch.write(
        "mini/src/deeper/leaf.rs",
        "pub const LEAF: &str = \"mark-deeper\";\n",
    );
    session.wait_for_mark("mark-deeper");
    // What was moved away is no longer watched.
    scratch.write("elsewhere/src/rules.rs", &rules("mark-elsewhere"));
    session.assert_quiet(&scratch);
}

fn a_file_can_be_moved() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    fs::create_dir(scratch.path("mini/src/rules")).unwrap();
    fs::rename(
        scratch.path("mini/src/rules.rs"),
        scratch.path("mini/src/rules/mod.rs"),
    )
    .unwrap();
    scratch.write("mini/src/rules/mod.rs", &rules("mark-moved"));
    let report = session.wait_for_mark("mark-moved");
    assert_eq!(report.how, Some(BuildMethod::Replay));
    scratch.write("mini/src/rules/mod.rs", &rules("mark-in-folder"));
    session.wait_for_mark("mark-in-folder");
}

fn a_later_save_cancels_the_build() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    let mut cancelled = 0;
    for round in 0..5 {
        scratch.write("mini/src/rules.rs", &rules(&format!("mark-early-{round}")));
        assert_eq!(session.wait_for_start(), BuildMethod::Replay);
        let mark = format!("mark-late-{round}");
        scratch.write("mini/src/rules.rs", &rules(&mark));
        // The very next result: the earlier build is never reported.
        let report = session.wait();
        report.assert_mark(&mark);
        assert_eq!(report.how, Some(BuildMethod::Replay), "{report:?}");
        cancelled += report.cancelled;
    }
    assert_eq!(cancelled, 5);
}

fn a_change_without_an_event_is_noticed_at_the_end() {
    let scratch = Scratch::new();
    // Blind: no events, and the next comparison is far away.
    let options = WatchOptions {
        events: false,
        poll_every: Duration::from_hours(1),
        ..WatchOptions::default()
    };
    let session = scratch.start_with(options);
    session.wait_for_start();
    scratch.write("mini/src/rules.rs", &rules("mark-unseen"));
    let report = session.wait();
    report.assert_mark("mark-unseen");
    assert_eq!(
        report.cancelled, 1,
        "what was compiled first is not reported"
    );

    // Nor is a failure, when the missing file has come meanwhile.
    scratch.write("mini/src/lib.rs", &format!("mod extra;\n{LIB}"));
    session.builder.rebuild("mini");
    session.wait_for_start();
    scratch.write(
        "mini/src/extra.rs",
        "#[unsafe(no_mangle)]\npub fn extra() {}\n",
    );
    session.wait().built();
}

fn a_dependency_goes_through_cargo() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    scratch.write("types/src/lib.rs", "pub const OFFSET: u32 = 0x1234_5678;\n");
    let report = session.wait();
    report.built();
    assert_eq!(report.how, Some(BuildMethod::Cargo));
    // A mistake in it concerns the module as well.
    scratch.write("types/src/lib.rs", "pub const OFFSET: u32 = wrong;\n");
    let report = session.wait();
    assert_eq!(report.problems()[0].file, "types/src/lib.rs");
    // While it is broken an edit of the module cannot be replayed.
    scratch.write("mini/src/rules.rs", &rules("mark-own"));
    let report = session.wait();
    assert_eq!(report.how, Some(BuildMethod::Cargo));
    report.problems();
    scratch.write("types/src/lib.rs", "pub const OFFSET: u32 = 0x1234_5679;\n");
    let report = session.wait_for_mark("mark-own");
    assert_eq!(report.how, Some(BuildMethod::Cargo));
    scratch.write("mini/src/rules.rs", &rules("mark-after"));
    let report = session.wait_for_mark("mark-after");
    assert_eq!(report.how, Some(BuildMethod::Replay));
}

fn a_change_with_an_old_time_is_seen() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    for (path, text, how) in [
        (
            "types/src/lib.rs",
            "pub const OFFSET: u32 = 77;\n".to_owned(),
            BuildMethod::Cargo,
        ),
        (
            "mini/src/rules.rs",
            rules("mark-old-time"),
            BuildMethod::Replay,
        ),
    ] {
        let aside = scratch.path("aside");
        fs::write(&aside, text).unwrap();
        let file = fs::File::options().append(true).open(&aside).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(24))
            .unwrap();
        fs::rename(&aside, scratch.path(path)).unwrap();
        let report = session.wait();
        report.built();
        assert_eq!(report.how, Some(how));
    }
}

fn a_manifest_goes_through_cargo() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    // A new dependency; its sources are watched from then on.
    scratch.write(
        "more/Cargo.toml",
        "[package]\nname = \"more\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    );
    scratch.write("more/src/lib.rs", "pub const MORE: &str = \"mark-more\";\n");
    scratch.write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"mini\", \"types\", \"more\"]\n",
    );
    scratch.append("mini/Cargo.toml", "more = { path = \"../more\" }\n");
    scratch.write("mini/src/rules.rs", "pub const MARK: &str = more::MORE;\n");
    let report = session.wait_for_mark("mark-more");
    assert_eq!(report.how, Some(BuildMethod::Cargo));
    scratch.write(
        "more/src/lib.rs",
        "pub const MORE: &str = \"mark-other\";\n",
    );
    let report = session.wait_for_mark("mark-other");
    assert_eq!(report.how, Some(BuildMethod::Cargo));
    scratch.write("mini/src/rules.rs", &rules("mark-replayed"));
    let report = session.wait_for_mark("mark-replayed");
    assert_eq!(report.how, Some(BuildMethod::Replay));
}

fn a_broken_manifest_is_a_problem() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    let manifest = fs::read_to_string(scratch.path("mini/Cargo.toml")).unwrap();
    scratch.write("mini/Cargo.toml", &format!("{manifest}what is this\n"));
    let report = session.wait();
    let problem = &report.problems()[0];
    assert_eq!(
        (problem.file.as_str(), problem.line),
        ("mini/Cargo.toml", 11),
        "{problem:?}"
    );
    scratch.write("mini/Cargo.toml", &manifest);
    session.wait().assert_unchanged();
    scratch.write("mini/src/rules.rs", &rules("mark-sound"));
    session.wait_for_mark("mark-sound");
}

fn many_files_at_once_are_one_result() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    let names: Vec<String> = (0..200).map(|index| format!("part{index}")).collect();
    let lines: Vec<String> = names
        .iter()
        .map(|name| format!("pub mod {name};\n"))
        .collect();
    let lib = LIB.to_owned() + &lines.concat();
    scratch.write("mini/src/lib.rs", &lib);
    for name in &names {
        scratch.write(
            &format!("mini/src/{name}.rs"),
            "#[allow(dead_code)]\npub fn f() -> u32 { 1 }\n",
        );
    }
    scratch.write("mini/src/rules.rs", &rules("mark-many"));
    // Whatever was tried in between, no failure may be reported: every one
    // would be for a state that is gone.
    loop {
        let report = session.wait();
        if contains(report.built().0, "mark-many") {
            break;
        }
    }
}

fn an_included_file_is_a_source() {
    let scratch = Scratch::new();
    scratch.write("shared text/words.txt", "mark-words");
    scratch.write(
        "mini/src/rules.rs",
        "pub const MARK: &str = include_str!(\"../../shared text/words.txt\");\n",
    );
    let (session, report) = scratch.start_built();
    report.assert_mark("mark-words");
    scratch.write("shared text/words.txt", "mark-other-words");
    let report = session.wait_for_mark("mark-other-words");
    assert_eq!(report.how, Some(BuildMethod::Replay));
}

fn a_request_is_forced() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    session.builder.rebuild("mini");
    let report = session.wait();
    assert!(
        matches!(&report.ended, Ended::Unchanged { forced: true, trigger }
        if trigger == "request"),
        "{report:?}"
    );
    assert_eq!(report.how, Some(BuildMethod::Cargo));
    session.builder.rebuild("unknown");
    session.assert_quiet(&scratch);
}

fn assets_are_reported() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    let expect = |path: &str| {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            match session.next(deadline) {
                BuildEvent::FilesChanged { files } if files.contains(&scratch.path(path)) => break,
                BuildEvent::FilesChanged { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    };
    scratch.write("assets/level.ron", "(size: 2)\n");
    expect("assets/level.ron");
    scratch.write("assets/new/deep/script.lua", "x = 1\n");
    expect("assets/new/deep/script.lua");
    fs::remove_file(scratch.path("assets/level.ron")).unwrap();
    expect("assets/level.ron");
    scratch.write("assets/.hidden.swp", "x");
    session.assert_quiet(&scratch);
}

fn a_second_start_replays_at_once() {
    let scratch = Scratch::new();
    drop(scratch.start_built());
    let (session, _) = scratch.start_built();
    scratch.write("mini/src/rules.rs", &rules("mark-again"));
    assert_eq!(
        session.wait_for_mark("mark-again").how,
        Some(BuildMethod::Replay)
    );
    drop(session);
    // Another environment of the compiler: what was captured is void.
    let commands = scratch.path("target/liveloop/dev/commands/mini.json");
    assert!(commands.is_file());
    scratch.append("Cargo.toml", "[profile.dev]\ndebug = false\n");
    let before = fs::read(&commands).unwrap();
    let (_session, _) = scratch.start_built();
    assert_ne!(fs::read(&commands).unwrap(), before);
}

fn a_fresh_start_is_primed() {
    let scratch = Scratch::new();
    // Built by somebody else, without the wrapper, as `cargo run` does it.
    assert!(cargo(&scratch, &["build"]).success());
    let (session, _) = scratch.start_built();
    // It is said before, so that nobody takes what cargo makes for the build of others.
    let next = || session.events.recv_timeout(Duration::from_mins(2)).unwrap();
    let begun = next();
    assert!(
        matches!(&begun, BuildEvent::Priming { module } if module == "mini"),
        "{begun:?}"
    );
    let ended = next();
    let BuildEvent::Primed { module, left } = &ended else {
        panic!("{ended:?}")
    };
    let library = scratch.path(&format!(
        "target/debug/{}mini{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    ));
    let made = engine_build::content_hash(&fs::read(library).unwrap());
    assert_eq!(module, "mini");
    assert_eq!(*left, [("mini".to_owned(), made)]);
    assert!(
        scratch
            .path("target/liveloop/dev/commands/mini.json")
            .is_file()
    );
    session.assert_quiet(&scratch);
    scratch.write("mini/src/rules.rs", &rules("mark-primed"));
    assert_eq!(
        session.wait_for_mark("mark-primed").how,
        Some(BuildMethod::Replay)
    );
}

fn cargo_and_the_builder_share_their_output() {
    let scratch = Scratch::new();
    scratch.write(
        "types/build.rs",
        "fn main() { println!(\"cargo::rerun-if-env-changed=CARGO_PKG_NAME\"); }\n",
    );
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some(), "run by cargo");
    drop(scratch.start_built());
    // Neither the wrapper nor the variables that cargo gave this process (a
    // test, so there are many) may show in cargo's fingerprints.
    let output = fresh_cargo(&scratch, &["build", "-v"]);
    assert!(
        output.contains("Fresh mini") && output.contains("Fresh types"),
        "{output}"
    );
    let (session, report) = scratch.start_built();
    let artifact = fs::read(scratch.path("target/debug").join(library("mini"))).unwrap();
    assert_eq!(report.built().1, engine_build::content_hash(&artifact));
    // A replayed artifact has the very bytes that cargo makes of the source.
    scratch.write("mini/src/rules.rs", &rules("mark-same"));
    let report = session.wait_for_mark("mark-same");
    assert_eq!(report.how, Some(BuildMethod::Replay));
    session.builder.rebuild("mini");
    session.wait().assert_unchanged();
}

fn a_build_script_goes_through_cargo() {
    let scratch = Scratch::new();
    let script = |word: &str| {
        format!(
            "fn main() {{\n    println!(\"cargo::rerun-if-changed=build.rs\");\n    \
             println!(\"cargo::rerun-if-changed=words\");\n    \
             println!(\"cargo::rustc-env=WORD={word}\");\n}}\n"
        )
    };
    scratch.write("mini/build.rs", &script("mark-script-1"));
    scratch.write("mini/words/a.txt", "a");
    scratch.write(
        "mini/src/rules.rs",
        "pub const MARK: &str = env!(\"WORD\");\n",
    );
    let (session, report) = scratch.start_built();
    report.assert_mark("mark-script-1");
    scratch.write("mini/build.rs", &script("mark-script-2"));
    assert_eq!(
        session.wait_for_mark("mark-script-2").how,
        Some(BuildMethod::Cargo)
    );
    scratch.write("mini/words/a.txt", "b");
    let report = session.wait();
    report.assert_unchanged();
    assert_eq!(report.how, Some(BuildMethod::Cargo));
    scratch.write(
        "mini/src/rules.rs",
        "pub const MARK: &str = concat!(env!(\"WORD\"), \"-and-source\");\n",
    );
    let report = session.wait_for_mark("mark-script-2-and-source");
    assert_eq!(
        report.how,
        Some(BuildMethod::Replay),
        "the script's variables are replayed"
    );
}

fn a_start_with_a_mistake_goes_on_once_it_is_mended() {
    let scratch = Scratch::new();
    scratch.write("mini/src/rules.rs", "pub const MARK: &str = 1;\n");
    let session = scratch.start();
    let report = session.wait();
    assert_eq!(report.problems()[0].file, "mini/src/rules.rs");
    scratch.write("mini/src/rules.rs", &rules("mark-mended"));
    let report = session.wait_for_mark("mark-mended");
    assert_eq!(
        report.how,
        Some(BuildMethod::Replay),
        "its command is known already"
    );
}

fn modules_are_built_for_themselves() {
    let scratch = Scratch::new();
    let manifest = fs::read_to_string(scratch.path("mini/Cargo.toml")).unwrap();
    scratch.write(
        "enemy-ai/Cargo.toml",
        &manifest.replace("\"mini\"", "\"enemy-ai\""),
    );
    scratch.write("enemy-ai/src/lib.rs", LIB);
    scratch.write("enemy-ai/src/rules.rs", &rules("mark-ai"));
    scratch.write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"mini\", \"types\", \"enemy-ai\"]\n",
    );
    let mut config = scratch.config();
    config.modules.push(ModuleSource {
        name: "ai".into(),
        package: "enemy-ai".into(),
    });
    let (_builder, events) = Builder::start(config).unwrap();
    let next = |count: usize| {
        let mut ended = Vec::new();
        let mut methods = Vec::new();
        let mut together = Vec::new();
        while ended.len() < count {
            match events.recv_timeout(Duration::from_mins(2)).unwrap() {
                BuildEvent::Started { module, how } => methods.push((module, how)),
                BuildEvent::Built { module, .. } => ended.push(module),
                BuildEvent::Together { modules } => together = modules,
                BuildEvent::Detected { .. } => {}
                // On a busy machine a file is seen empty first.
                BuildEvent::Cancelled { module } => methods.retain(|(of, _)| *of != module),
                other => panic!("{other:?}"),
            }
        }
        ended.sort();
        methods.sort_by(|a, b| a.0.cmp(&b.0));
        together.sort();
        (ended, methods, together)
    };
    let both = || vec!["ai".to_owned(), "mini".to_owned()];
    let by = |how| {
        both()
            .into_iter()
            .map(|module| (module, how))
            .collect::<Vec<_>>()
    };
    assert_eq!(next(2), (both(), by(BuildMethod::Cargo), Vec::new()));
    scratch.write("enemy-ai/src/rules.rs", &rules("mark-ai-2"));
    assert_eq!(
        next(1),
        (
            vec!["ai".to_owned()],
            vec![("ai".to_owned(), BuildMethod::Replay)],
            Vec::new()
        )
    );
    // A dependency of both: one cargo for both, and what it builds belongs together.
    scratch.write("types/src/lib.rs", "pub const OFFSET: u32 = 99;\n");
    assert_eq!(next(2), (both(), by(BuildMethod::Cargo), both()));
    scratch.write("enemy-ai/src/rules.rs", &rules("mark-ai-3"));
    scratch.write("mini/src/rules.rs", &rules("mark-mini-3"));
    assert_eq!(next(2).1, by(BuildMethod::Replay));
}

fn a_lost_event_queue_loses_nothing() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    // More events than any queue holds, of files that do not count, around one
    // that does.
    for index in 0..30_000 {
        let name = scratch.path(&format!("mini/src/noise{}.tmp", index % 50));
        fs::write(name, [index as u8]).unwrap();
        if index == 15_000 {
            scratch.write("mini/src/rules.rs", &rules("mark-in-the-flood"));
        }
    }
    session.wait_for_mark("mark-in-the-flood");
}

fn without_events_files_are_compared() {
    let scratch = Scratch::new();
    let options = WatchOptions {
        events: false,
        poll_every: Duration::from_millis(20),
        ..WatchOptions::default()
    };
    let session = scratch.start_with(options);
    session.wait().built();
    scratch.write("mini/src/rules.rs", &rules("mark-polled"));
    session.wait_for_mark("mark-polled");
    fs::remove_file(scratch.path("mini/src/rules.rs")).unwrap();
    session.wait().problems();
}

fn a_wrapper_that_does_not_work_is_given_up() {
    let scratch = Scratch::new();
    let mut config = scratch.config();
    config.wrapper = Some(scratch.path("Cargo.toml"));
    let (builder, events) = Builder::start(config).unwrap();
    let mut warned = false;
    let mut built = 0;
    while built < 2 {
        match events.recv_timeout(Duration::from_mins(2)).unwrap() {
            BuildEvent::WatchProblem { message } => {
                assert!(message.contains("wrapper"), "{message}");
                warned = true;
            }
            BuildEvent::Built { .. } => {
                built += 1;
                scratch.write("mini/src/rules.rs", &rules("mark-without"));
            }
            BuildEvent::Started { how, .. } => assert_eq!(how, BuildMethod::Cargo),
            BuildEvent::Failed { problems, .. } => panic!("{problems:?}"),
            _ => {}
        }
    }
    assert!(warned);
    drop(builder);
}

fn a_missing_package_is_an_error() {
    let scratch = Scratch::new();
    let mut config = scratch.config();
    config.modules = vec![ModuleSource {
        name: "ai".into(),
        package: "enemy_ai".into(),
    }];
    let error = Builder::start(config).unwrap_err();
    assert!(
        matches!(error, BuildError::UnknownPackage { .. }),
        "{error}"
    );
    let mut config = scratch.config();
    config.modules = vec![ModuleSource {
        name: "types".into(),
        package: "types".into(),
    }];
    let error = Builder::start(config).unwrap_err();
    assert!(matches!(error, BuildError::NoDylib { .. }), "{error}");
    let mut config = scratch.config();
    config.root = scratch.path("assets");
    let error = Builder::start(config).unwrap_err();
    assert!(matches!(error, BuildError::Metadata { .. }), "{error}");
}

fn dropping_ends_a_running_compiler() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    // Something the compiler never finishes.
    scratch.append(
        "mini/src/rules.rs",
        "#[allow(long_running_const_eval)]\npub const FOREVER: () = { let mut n = 0u64; while n < u64::MAX { n += 1; } };\n\
         pub static S: () = FOREVER;\n",
    );
    session.wait_for_start();
    let start = Instant::now();
    drop(session);
    assert!(start.elapsed() < Duration::from_secs(20));
    // Also with nobody listening.
    let (builder, events) = Builder::start(scratch.config()).unwrap();
    drop(events);
    drop(builder);
}

/// Prints how long a save takes to become an artifact, and how long the bare
/// compiler takes for the same.
fn measure() {
    let scratch = Scratch::new();
    let (session, _) = scratch.start_built();
    let mut totals = Vec::new();
    let mut detects = Vec::new();
    for round in 0..21 {
        let start = Instant::now();
        scratch.write("mini/src/rules.rs", &rules(&format!("mark-{round}")));
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            if let BuildEvent::Built { timings, .. } = session.next(deadline) {
                totals.push(start.elapsed());
                detects.push(timings.detect);
                break;
            }
        }
    }
    drop(session);
    let captured =
        fs::read_to_string(scratch.path("target/liveloop/dev/commands/mini.json")).unwrap();
    let captured: serde_json::Value = serde_json::from_str(&captured).unwrap();
    let command = &captured["command"];
    let mut bare = Vec::new();
    fs::create_dir(scratch.path("bare")).unwrap();
    for round in 0..21 {
        scratch.write("mini/src/rules.rs", &rules(&format!("mark-bare-{round}")));
        let out = scratch.path("bare");
        let mut args: Vec<String> = command["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|arg| arg.as_str().unwrap().to_owned())
            .collect();
        let at = args.iter().position(|arg| arg == "--out-dir").unwrap();
        out.to_str().unwrap().clone_into(&mut args[at + 1]);
        let start = Instant::now();
        let output = Command::new(command["program"].as_str().unwrap())
            .args(args)
            .current_dir(command["folder"].as_str().unwrap())
            .output()
            .unwrap();
        bare.push(start.elapsed());
        assert!(output.status.success());
    }
    for list in [&mut totals, &mut detects, &mut bare] {
        list.sort();
    }
    println!(
        "save to Built {:?} (detect {:?}), bare rustc {:?}, ratio {:.2}",
        totals[10],
        detects[10],
        bare[10],
        totals[10].as_secs_f64() / bare[10].as_secs_f64()
    );
}

fn library(name: &str) -> String {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    format!("{DLL_PREFIX}{name}{DLL_SUFFIX}")
}

fn cargo(scratch: &Scratch, args: &[&str]) -> std::process::ExitStatus {
    plain_cargo(scratch, args).status().unwrap()
}

fn fresh_cargo(scratch: &Scratch, args: &[&str]) -> String {
    let output = plain_cargo(scratch, args).output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Cargo as a person would call it.
fn plain_cargo(scratch: &Scratch, args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(args)
        .current_dir(scratch.path(""))
        .env_remove("CARGO_TARGET_DIR");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name == "CARGO" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST") {
            command.env_remove(name);
        }
    }
    command
}
