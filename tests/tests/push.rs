//! Sources that are pushed into a running game.

#![cfg(target_os = "linux")]

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use inspector_protocol::message::{Answer, Push, Request};
use inspector_protocol::status::{ReloadOutcome, ReloadStatus};
use inspector_protocol::{PROTOCOL_VERSION, wire};
use liveloop_tests::engine::Engine;
use liveloop_tests::scratch::Scratch;
use serde_json::json;

use mutate::{Random, mutate};

/// What damages texts in the tests of the backend as well.
#[path = "../../engine/lua/src/tests/mutate.rs"]
mod mutate;

const ENEMIES: &str = "assets/scripts/enemies.lua";
const PATHS: &str = "assets/scripts/ai/paths.lua";
const WAVES: &str = "assets/scripts/waves.lua";

const ENEMIES_TEXT: &str = r#"local paths = require "ai.paths"
local M = {}
local hits = 0
local function worth(n) return n end
function M.hit(n)
    hits = hits + worth(n)
    return hits
end
function M.way() return paths.way() end
return M
"#;

const PATHS_TEXT: &str = "local P = {}\nfunction P.way() return 'straight' end\nreturn P\n";

const WAVES_TEXT: &str = "local paths = require 'ai.paths'\nlocal M = {}\nfunction M.way() return paths.way() end\n\
     return M\n";

fn start(scratch: &Scratch) -> Engine<'_> {
    std::fs::create_dir_all(scratch.root.join("assets/scripts/ai")).unwrap();
    scratch.save(ENEMIES, ENEMIES_TEXT);
    scratch.save(PATHS, PATHS_TEXT);
    scratch.save(WAVES, WAVES_TEXT);
    scratch.add_lua(&[("enemies", ENEMIES), ("waves", WAVES)]);
    let engine = Engine::start(scratch);
    all_run(&engine);
    engine
}

fn all_run(engine: &Engine<'_>) {
    engine.wait("that the scripts run", |status| {
        let mut modules = status.modules.iter();
        modules.all(|module| module.active.is_some()).then_some(())
    });
}

/// Pushes a text from a file that is called `pushed.lua`. Returns what the inspector prints, and
/// its exit code.
fn push(engine: &Engine<'_>, module: &str, text: &str, more: &[&str]) -> (ReloadStatus, i32) {
    let file = engine.scratch.temporary.join("pushed.lua");
    std::fs::write(&file, text).unwrap();
    let mut arguments = vec!["push", module, file.to_str().unwrap()];
    arguments.extend(more);
    let output = engine.inspector(&arguments);
    let printed = serde_json::from_slice(&output.stdout);
    let printed = printed.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (printed, output.status.code().expect("it ends by itself"))
}

/// Pushes a text that must get in.
fn push_in(engine: &Engine<'_>, module: &str, text: &str, more: &[&str]) -> ReloadStatus {
    let (reload, code) = push(engine, module, text, more);
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    assert_eq!((reload.trigger.as_str(), code), ("push", 0), "{reload:#?}");
    reload
}

/// Pushes a text that must not get in; what is said about it.
fn push_in_vain(engine: &Engine<'_>, text: &str, more: &[&str], expected: ReloadOutcome) -> String {
    let (reload, code) = push(engine, "enemies", text, more);
    assert_eq!((reload.outcome, code), (expected, 1), "{reload:#?}");
    let after = engine.dump();
    assert!(after.problems.is_empty(), "{:#?}", after.problems);
    assert_eq!(after.reloads.last(), Some(&reload));
    reload.message
}

fn hit(engine: &Engine<'_>, n: &str) -> serde_json::Value {
    engine.try_call_of("enemies", "hit", &[n]).unwrap()
}

fn way(engine: &Engine<'_>, module: &str) -> serde_json::Value {
    engine.try_call_of(module, "way", &[]).unwrap()
}

#[test]
fn a_pushed_source_runs_at_once_and_what_is_wrong_touches_nothing() {
    let scratch = Scratch::take();
    let engine = start(&scratch);
    assert_eq!(hit(&engine, "2"), 2);

    // The state goes on in the new code, and the file is as it was.
    let tenfold = ENEMIES_TEXT.replace("return n end", "return n * 10 end");
    let reload = push_in(&engine, "enemies", &tenfold, &[]);
    assert_eq!((reload.from, reload.to), (Some(1), Some(2)));
    assert_eq!(hit(&engine, "2"), 22);
    assert_eq!(scratch.read(ENEMIES), ENEMIES_TEXT);
    let (reload, code) = push(&engine, "enemies", &tenfold, &[]);
    assert_eq!((reload.outcome, code), (ReloadOutcome::Unchanged, 0));
    assert_eq!(reload.from, Some(2));

    // Wrong in three ways.
    let wrong = tenfold.replace("local hits = 0", "local hits = = 0");
    let message = push_in_vain(&engine, &wrong, &[], ReloadOutcome::CompileError);
    let place = "pushed.lua:3:14: unexpected symbol near '='";
    assert!(message.ends_with(place), "{message}");
    let fails = format!("error 'no luck'\n{tenfold}");
    let message = push_in_vain(&engine, &fails, &[], ReloadOutcome::Rejected);
    assert!(message.contains("no luck"), "{message}");
    let alien = tenfold.replace("ai.paths", "ai.nowhere");
    let message = push_in_vain(&engine, &alien, &[], ReloadOutcome::CompileError);
    assert!(
        message.contains("pushed.lua:1:23: there is no module `ai.nowhere`"),
        "{message}"
    );
    assert_eq!(hit(&engine, "1"), 32);

    // Some functions.
    let patch = "local function worth(n) return -n end";
    push_in(&engine, "enemies", patch, &["--patch"]);
    assert_eq!(hit(&engine, "2"), 30);
    let patched = |text: &str, outcome| push_in_vain(&engine, text, &["--patch"], outcome);
    let message = patched("function M.other() end", ReloadOutcome::Rejected);
    assert!(
        message.contains("`M.other` is not one function"),
        "{message}"
    );
    let message = patched("function M.hit() return", ReloadOutcome::CompileError);
    assert!(
        message.contains("pushed.lua:1:24: 'end' expected"),
        "{message}"
    );

    // A file that two modules require: both, before the same frame.
    let seq = engine.last_reload();
    let around = PATHS_TEXT.replace("straight", "around");
    let reload = push_in(&engine, "ai.paths", &around, &[]);
    let both = engine.reloads_after(seq, 2);
    assert_eq!(both[0].frame, both[1].frame);
    assert!(both.contains(&reload));
    assert_eq!(way(&engine, "enemies"), json!("around"));
    assert_eq!(way(&engine, "waves"), json!("around"));
    assert_eq!(hit(&engine, "0"), 30);

    // What cannot be pushed to.
    let file = scratch.root.join(ENEMIES);
    for (module, why) in [
        ("game_logic", "`game_logic` is a native module"),
        ("nothing", "there is no source `nothing`"),
    ] {
        let output = engine.inspector(&["push", module, file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(why), "{text}");
        assert!(
            text.contains("can be pushed: ai.paths, enemies, waves"),
            "{text}"
        );
    }
    assert!(engine.finish().success());
}

#[test]
fn what_was_pushed_runs_until_its_file_is_saved_or_it_is_rolled_back() {
    let scratch = Scratch::take();
    let engine = start(&scratch);
    let tenfold = ENEMIES_TEXT.replace("return n end", "return n * 10 end");
    push_in(&engine, "enemies", &tenfold, &[]);

    // Another file of the module, and one of none.
    let reload = engine.edit(PATHS, "straight", "around");
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    assert_eq!(way(&engine, "enemies"), json!("around"));
    assert_eq!(hit(&engine, "1"), 10);

    // The host dies.
    engine.next_checkpoint();
    let before = engine.dump().engine;
    let host = before.host_pid.expect("a host runs");
    liveloop_tests::process::signal(host, libc::SIGKILL);
    engine.next_host(&before);
    all_run(&engine);
    let hits = hit(&engine, "0").as_i64().unwrap();
    assert_eq!(hit(&engine, "1"), hits + 10);

    // Back to what ran before, which is what stands in the file, and stays when something else
    // is saved.
    let double = ENEMIES_TEXT.replace("return n end", "return n * 2 end");
    push_in(&engine, "enemies", &double, &[]);
    let hits = hit(&engine, "0").as_i64().unwrap();
    assert_eq!(hit(&engine, "1"), hits + 2);
    let answer = engine.inspector(&["rollback", "enemies"]);
    assert!(answer.status.success(), "{answer:?}");
    assert_eq!(hit(&engine, "1"), hits + 12);
    let seq = engine.last_reload();
    scratch.edit(PATHS, "around", "back");
    engine.reloads_after(seq, 2);
    assert_eq!(way(&engine, "enemies"), json!("back"));
    assert_eq!(hit(&engine, "1"), hits + 22);

    // The file is saved, as it is: the disk wins.
    scratch.save(ENEMIES, ENEMIES_TEXT);
    engine.wait("the file's own source", |_| {
        let hits = hit(&engine, "0").as_i64()?;
        (hit(&engine, "1") == hits + 1).then_some(())
    });

    // What is rolled back comes back when it is saved once more.
    let edited = ENEMIES_TEXT.replace("return n end", "return n * 3 end");
    engine.apply(ENEMIES, "return n end", "return n * 3 end");
    let answer = engine.inspector(&["rollback", "enemies"]);
    assert!(answer.status.success(), "{answer:?}");
    let hits = hit(&engine, "0").as_i64().unwrap();
    assert_eq!(hit(&engine, "1"), hits + 1);
    let seq = engine.last_reload();
    scratch.save(ENEMIES, &edited);
    let reload = engine.reload_after(seq);
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    assert_eq!(hit(&engine, "1"), hits + 4);
    assert!(engine.finish().success());
}

#[test]
fn damaged_pushes_are_answered_and_the_game_goes_on() {
    let scratch = Scratch::take();
    let engine = start(&scratch);
    let before = engine.dump().engine;
    let mut random = Random::new(1);
    let sources = [ENEMIES_TEXT, PATHS_TEXT, WAVES_TEXT];
    let mut damaged = |is_patch| {
        let (text, other) = (random.one_of(&sources), random.one_of(&sources));
        let text = mutate(&mut random, text, other);
        Push {
            module: random
                .one_of(&["enemies", "ai.paths", "waves", "hot", ""])
                .to_owned(),
            name: "damaged.lua".to_owned(),
            text: String::from_utf8_lossy(&text).into_owned(),
            is_patch,
        }
    };
    for round in 0..60 {
        let push = damaged(round % 4 == 0);
        let what = format!("{push:?}");
        match engine.ask(|id| Request::Push { id, push }) {
            Answer::Reload(_) | Answer::Error(_) => {}
            other => panic!("{what}: {other:?}"),
        }
    }

    // And frames that are damaged themselves.
    let mut random = Random::new(2);
    for round in 0..200 {
        let mut socket = UnixStream::connect(&engine.socket).expect("the hub listens");
        let hello = Request::Hello {
            protocol: PROTOCOL_VERSION,
            client: "test".to_owned(),
        };
        wire::write(&mut socket, &hello).unwrap();
        let push = damaged(false);
        let mut frame = wire::encode(&Request::Push { id: round, push }).unwrap();
        for _ in 0..=random.below(3) {
            let at = random.below(frame.len());
            match random.below(3) {
                // Which request it is stays: some end the game.
                0 if at != 4 => frame[at] ^= 1 << random.below(8),
                0 => {}
                1 => frame.truncate(at + 1),
                _ => frame.insert(at, 0xff),
            }
        }
        // The hub may have ended the connection in between.
        let _ = socket.write_all(&frame);
    }
    engine.run_frames(3);
    let after = engine.dump().engine;
    assert_eq!(
        (after.host_pid, after.run_id),
        (before.host_pid, before.run_id)
    );
    let lines = engine.log.since(0);
    let panics: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("panicked"))
        .collect();
    assert!(panics.is_empty(), "{panics:#?}");
    assert!(engine.finish().success());
}
