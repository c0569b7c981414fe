//! Lua modules beside the native game: loaded, edited, wrong, rolled back, and back after a
//! crash.

#![cfg(target_os = "linux")]

use inspector_protocol::input::{InputEvent, Key};
use inspector_protocol::message::Request;
use inspector_protocol::status::{ReloadOutcome, VersionState};
use liveloop_tests::engine::{Engine, LIB};
use liveloop_tests::scratch::{Game, Scratch};
use serde_json::json;

const ENEMIES: &str = "assets/scripts/enemies.lua";
const PATHS: &str = "assets/scripts/ai/paths.lua";
const WAVES: &str = "assets/scripts/waves.lua";

const ENEMIES_TEXT: &str = r#"
local paths = require "ai.paths"
local M = { hits = 0, fired = 0, beats = 0, steps = 0 }
local frames = 0
function M.init() M.started = true end
function M.update(dt)
    assert(dt > 0)
    frames = frames + 1
end
engine.after(0.05, function() M.fired = M.fired + 1 end)
engine.every(0.05, function() M.beats = M.beats + 1 end)
function M.begin()
    engine.start(function()
        for _ = 1, 3 do
            M.steps = M.steps + 1
            coroutine.yield()
        end
    end)
end
function M.hit(n)
    M.hits = M.hits + n
    return M.hits
end
function M.frames() return frames end
function M.state()
    return { started = M.started, way = paths.way(), more = paths.more, fired = M.fired }
end
function M.counted() return { M.beats, M.steps } end
return M
"#;

const PATHS_TEXT: &str = r#"
local P = {}
function P.way() return "straight" end
return P
"#;

const WAVES_TEXT: &str = r#"
local M = { wave = 1 }
function M.next() M.wave = M.wave + 1 return M.wave end
return M
"#;

fn scripts(scratch: &Scratch) {
    let folder = scratch.root.join("assets/scripts/ai");
    std::fs::create_dir_all(folder).unwrap();
    scratch.save(ENEMIES, ENEMIES_TEXT);
    scratch.save(PATHS, PATHS_TEXT);
    scratch.save(WAVES, WAVES_TEXT);
}

fn start(scratch: &Scratch) -> Engine<'_> {
    let engine = Engine::start(scratch);
    engine.wait("that the scripts run", |status| {
        let mut modules = status.modules.iter();
        modules.all(|module| module.active.is_some()).then_some(())
    });
    engine
}

fn call(engine: &Engine<'_>, function: &str, arguments: &[&str]) -> serde_json::Value {
    engine
        .try_call_of("enemies", function, arguments)
        .unwrap_or_else(|reason| panic!("`{function}` {arguments:?}: {reason}"))
}

#[test]
fn edits_of_scripts_run_at_once_and_their_state_stays() {
    let scratch = Scratch::take();
    scripts(&scratch);
    scratch.add_lua(&[("enemies", ENEMIES)]);
    let engine = start(&scratch);
    engine.run_frames(10);
    let state = json!({ "started": true, "way": "straight", "more": null, "fired": 1 });
    let seen = call(&engine, "state", &[]);
    // What is nil is no entry of a table.
    assert_eq!(seen["started"], state["started"]);
    assert_eq!(
        (&seen["way"], &seen["fired"]),
        (&state["way"], &state["fired"])
    );
    assert_eq!(call(&engine, "hit", &["2"]), 2);
    let frames = call(&engine, "frames", &[]).as_i64().unwrap();
    assert!(frames > 0);

    // Its own source: the function is new, the data is not.
    let reload = engine.apply(ENEMIES, "M.hits + n", "M.hits + 10 * n");
    assert_eq!((reload.module.as_str(), reload.to), ("enemies", Some(2)));
    assert_eq!(call(&engine, "hit", &["2"]), 22);
    assert!(call(&engine, "frames", &[]).as_i64().unwrap() >= frames);

    // One that it requires.
    let reload = engine.apply(PATHS, "local P = {}", "local P = { more = 'more' }");
    assert_eq!((reload.module.as_str(), reload.to), ("enemies", Some(3)));
    assert_eq!(call(&engine, "state", &[])["more"], "more");
    engine.apply(PATHS, "straight", "around");
    assert_eq!(call(&engine, "state", &[])["way"], "around");
    assert_eq!(call(&engine, "hit", &["0"]), 22);
    // Old versions are gone: nothing of them can be called.
    engine.wait("that old versions are unloaded", |status| {
        let enemies = status
            .modules
            .iter()
            .find(|module| module.name == "enemies")?;
        let mut old = enemies
            .versions
            .iter()
            .filter(|version| version.version < 4);
        old.all(|version| version.state == VersionState::Unloaded)
            .then_some(())
    });

    // Timers go on in the new code, and a job takes a step in each frame.
    engine.apply(ENEMIES, "M.beats + 1", "M.beats + 1000");
    engine.wait("a beat of the new function", |_| {
        (call(&engine, "counted", &[])[0].as_i64()? >= 1000).then_some(())
    });
    call(&engine, "begin", &[]);
    engine.wait("that the job ends", |_| {
        (call(&engine, "counted", &[])[1] == 3).then_some(())
    });
    engine.run_frames(3);
    assert_eq!(call(&engine, "counted", &[])[1], 3);

    // The same bytes are nothing new; asked for, they run again.
    let seq = engine.last_reload();
    let text = scratch.read(ENEMIES);
    scratch.save(ENEMIES, &text);
    let answer = engine.inspector(&["reload", "enemies"]);
    assert!(answer.status.success(), "{answer:?}");
    let reload = engine.reload_after(seq);
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    assert_eq!(reload.trigger, "request");
    assert_eq!(call(&engine, "hit", &["0"]), 22);
    assert!(engine.finish().success());
}

#[test]
fn a_script_that_is_wrong_leaves_the_old_version_running() {
    let scratch = Scratch::take();
    scripts(&scratch);
    scratch.add_lua(&[("enemies", ENEMIES)]);
    let engine = start(&scratch);
    call(&engine, "hit", &["7"]);

    // It does not compile.
    let reload = engine.edit(PATHS, "local P = {}", "local P = = {}");
    assert_eq!(reload.outcome, ReloadOutcome::CompileError, "{reload:#?}");
    let problem = engine.wait("the problem", |status| status.problems.first().cloned());
    assert_eq!((problem.file.as_str(), problem.line), (PATHS, 2));
    assert_eq!(problem.column, 11);
    assert_eq!(problem.message, "unexpected symbol near '='");
    let is_error = |line: &str| line.starts_with("[ERROR]");
    let (_, line) = engine.log.wait(0, "the error", is_error);
    assert_eq!(
        line,
        format!(
            "[ERROR] Module 'enemies' does not compile: {PATHS}:2:11: unexpected symbol near '='"
        )
    );
    assert_eq!(call(&engine, "hit", &["0"]), 7);
    engine.apply(PATHS, "local P = = {}", "local P = { fixed = true }");
    engine.wait("that the problem is gone", |status| {
        status.problems.is_empty().then_some(())
    });
    let lines = engine.log.since(0);
    assert_eq!(lines.iter().filter(|line| is_error(line)).count(), 1);

    // It fails while it is loaded: all that it did is undone.
    let reload = engine.edit(
        ENEMIES,
        "end\nreturn M\n",
        "end\nM.hits = -1 error('no luck')\nreturn M\n",
    );
    assert_eq!(reload.outcome, ReloadOutcome::Rejected, "{reload:#?}");
    assert!(reload.message.contains("no luck"), "{reload:#?}");
    assert!(reload.message.contains("enemies.lua:29"), "{reload:#?}");
    assert_eq!(call(&engine, "hit", &["0"]), 7);
    let reload = engine.edit(ENEMIES, "M.hits = -1 error('no luck')\n", "");
    assert_eq!(reload.outcome, ReloadOutcome::Unchanged, "{reload:#?}");
    engine.wait("that the problem is gone", |status| {
        status.problems.is_empty().then_some(())
    });
    assert_eq!(call(&engine, "hit", &["0"]), 7);

    // `update` fails: it is paused, the rest goes on, and the fix brings it back.
    engine.apply(ENEMIES, "assert(dt > 0)", "assert(dt < 0, 'wrong way')");
    let problem = engine.wait("that `update` fails", |status| {
        let mut problems = status.problems.iter();
        problems
            .find(|problem| problem.message.contains("wrong way"))
            .cloned()
    });
    assert!(
        problem.message.contains("paused until the next reload"),
        "{problem:#?}"
    );
    assert_eq!((problem.file.as_str(), problem.line), (ENEMIES, 7));
    let frames = call(&engine, "frames", &[]);
    engine.run_frames(3);
    assert_eq!(call(&engine, "frames", &[]), frames);
    engine.apply(ENEMIES, "assert(dt < 0, 'wrong way')", "assert(dt > 0)");
    engine.wait("that `update` goes on", |_| {
        (call(&engine, "frames", &[]) != frames).then_some(())
    });

    // So does a timer.
    engine.apply(ENEMIES, "M.beats + 1", "M.beats + nil");
    let problem = engine.wait("that a timer fails", |status| {
        let mut problems = status.problems.iter();
        problems
            .find(|problem| problem.message.contains("arithmetic on a nil"))
            .cloned()
    });
    assert_eq!((problem.file.as_str(), problem.line), (ENEMIES, 11));
    assert!(problem.message.contains("is paused"), "{problem:#?}");
    engine.apply(ENEMIES, "M.beats + nil", "M.beats + 1");
    engine.wait("that the problem is gone", |status| {
        status.problems.is_empty().then_some(())
    });

    // Back to the version before.
    engine.apply(ENEMIES, "return M.hits\n", "return -M.hits\n");
    assert_eq!(call(&engine, "hit", &["0"]), -7);
    let answer = engine.inspector(&["rollback", "enemies"]);
    assert!(answer.status.success(), "{answer:?}");
    assert_eq!(call(&engine, "hit", &["0"]), 7);

    // Wrong calls.
    let wrong = engine.try_call_of("enemies", "nothing", &[]).unwrap_err();
    assert!(wrong.contains("hit"), "{wrong}");
    let wrong = engine
        .try_call_of("enemies", "hit", &["\"x\""])
        .unwrap_err();
    assert!(wrong.contains("enemies.lua:"), "{wrong}");
    assert!(engine.finish().success());
}

#[test]
fn scripts_come_and_go_together_or_alone_and_outlive_a_crash_of_the_host() {
    let scratch = Scratch::take();
    scripts(&scratch);
    scratch.add_lua(&[("enemies", ENEMIES)]);
    let engine = start(&scratch);
    engine.call("spawn", &["3"]);

    // Another module while the game runs.
    scratch.add_lua(&[("waves", WAVES)]);
    engine.wait("that the new module runs", |status| {
        let mut modules = status.modules.iter();
        let waves = modules.find(|module| module.name == "waves")?;
        waves.active
    });
    assert_eq!(engine.number_of("waves", "next"), 2);

    // A file that both require: both, before the same frame.
    let seq = engine.last_reload();
    scratch.edit(WAVES, "local M", "require 'ai.paths'\nlocal M");
    assert_eq!(engine.reload_after(seq).outcome, ReloadOutcome::Applied);
    let seq = engine.last_reload();
    scratch.edit(PATHS, "straight", "around");
    let reloads = engine.reloads_after(seq, 2);
    let both: Vec<_> = reloads
        .iter()
        .map(|reload| (reload.module.as_str(), reload.outcome))
        .collect();
    let applied = ReloadOutcome::Applied;
    assert_eq!(
        both,
        [("enemies", applied), ("waves", applied)],
        "{reloads:#?}"
    );
    assert_eq!(reloads[0].frame, reloads[1].frame);
    assert_eq!(call(&engine, "state", &[])["way"], "around");
    assert_eq!(engine.number_of("waves", "next"), 3);

    // The host dies: the scripts come back with it, as they were written.
    engine.next_checkpoint();
    let before = engine.dump().engine;
    let host = before.host_pid.expect("a host runs");
    liveloop_tests::process::signal(host, libc::SIGKILL);
    engine.next_host(&before);
    engine.wait("that the scripts run again", |status| {
        let mut modules = status.modules.iter();
        modules.all(|module| module.active.is_some()).then_some(())
    });
    assert_eq!(call(&engine, "state", &[])["way"], "around");

    // Gone from the configuration.
    let config = scratch.read("assets/engine.ron");
    let without: Vec<&str> = config
        .lines()
        .filter(|line| !line.contains("waves"))
        .collect();
    scratch.save("assets/engine.ron", &without.join("\n"));
    engine.wait("that the module is gone", |status| {
        let waves = status.modules.iter().find(|module| module.name == "waves");
        waves
            .is_none_or(|waves| waves.active.is_none())
            .then_some(())
    });
    assert!(engine.try_call_of("waves", "next", &[]).is_err());
    assert!(engine.finish().success());
}

const RULES: &str = "assets/scripts/rules.lua";

const RULES_TEXT: &str = r#"
local M = {}
local keys = 0
function M.speeds()
    local all = {}
    for _, speed in world:query("Speed") do
        all[#all + 1] = speed.value
    end
    table.sort(all)
    return all
end
function M.faster(by)
    for _, speed in world:query("Speed") do
        speed.value = speed.value + by
    end
end
function M.boost()
    for _, speed in world:query("Speed") do
        speed.boost = 5
    end
    return world:count("Speed")
end
function M.ask() return engine.call("game_logic", "speeds") end
function M.back(n) return n * engine.call("enemies", "hit", 2) end
engine.on_key("k", function() keys = keys + 1 end)
function M.keys() return keys end
return M
"#;

#[test]
fn scripts_use_the_world_and_other_modules_and_follow_types_that_change() {
    let scratch = Scratch::take();
    scripts(&scratch);
    scratch.save(RULES, RULES_TEXT);
    scratch.add_lua(&[("enemies", ENEMIES), ("rules", RULES)]);
    let engine = start(&scratch);
    let rules =
        |function: &str, arguments: &[&str]| engine.try_call_of("rules", function, arguments);
    engine.call("spawn", &["2"]);
    assert_eq!(rules("speeds", &[]), Ok(json!([7, 7])));
    rules("faster", &["3"]).unwrap();
    assert_eq!(rules("speeds", &[]), Ok(json!([10, 10])));
    // Native and Lua modules call each other by name.
    assert_eq!(rules("ask", &[]).unwrap(), engine.call("speeds", &[]));
    assert_eq!(rules("back", &["10"]), Ok(json!(20)));

    // A field that is not there yet is an error that names it, and the world is as before.
    let wrong = rules("boost", &[]).unwrap_err();
    assert!(
        wrong.contains("boost") && wrong.contains("Speed"),
        "{wrong}"
    );
    assert!(wrong.contains("rules.lua:19"), "{wrong}");
    engine.apply(
        LIB,
        "Speed { value: 7 }",
        "Speed { value: 7, ..Speed::default() }",
    );
    engine.apply(LIB, "    value: u32,", "    value: u32,\n    boost: u8,");
    assert_eq!(rules("boost", &[]), Ok(json!(2)));
    assert_eq!(rules("speeds", &[]), Ok(json!([10, 10])));

    // Keys.
    let mut client = liveloop_tests::client::Client::connect(&engine.socket);
    client.send(&Request::Input(InputEvent::KeyDown(Key::Char('k'))));
    engine.wait("that the key is heard", |_| {
        (rules("keys", &[]) == Ok(json!(1))).then_some(())
    });
    assert!(engine.finish().success());
}

#[test]
fn the_demo_game_is_led_by_its_scripts_and_goes_on_without_them() {
    let scratch = Scratch::with(Game::Demo);
    let (hunters, waves) = ("assets/scripts/hunters.lua", "assets/scripts/waves.lua");
    let first = "script[\"Falling apart\"] = function()\n    wait(10)";
    scratch.edit(waves, first, &first.replace("10", "0"));
    let engine = start(&scratch);
    let mood = |engine: &Engine<'_>| engine.try_call_of("hunters", "mood_now", &[]);
    assert_eq!(mood(&engine), Ok(json!("circle")));
    engine.call("set_shields", &["1000"]);
    engine.call("set_wave", &["4"]);
    // A wedge of them comes; then they circle, gather, stop, and come.
    for wanted in ["gather", "hold", "dash"] {
        engine.wait(wanted, |_| {
            (mood(&engine) == Ok(json!(wanted))).then_some(())
        });
    }
    scratch.edit(
        hunters,
        "seconds = 1.3, pace = 2.0",
        "seconds = 60, pace = 0.1",
    );
    engine.wait("version 2", |status| {
        let mut modules = status.modules.iter();
        let hunters = modules.find(|module| module.name == "hunters")?;
        (hunters.active == Some(2)).then_some(())
    });
    // They dash on, but slowly: data that the script did not change is the source's.
    engine.wait("another dash", |_| {
        (mood(&engine) == Ok(json!("dash"))).then_some(())
    });
    engine.run_frames(120);
    assert_eq!(mood(&engine), Ok(json!("dash")));
    let problems = engine.dump().problems;
    assert!(problems.is_empty(), "{problems:#?}");

    let config = scratch.read("assets/engine.ron");
    let without = config.lines().filter(|line| !line.contains("kind: lua"));
    scratch.save("assets/engine.ron", &without.collect::<Vec<_>>().join("\n"));
    engine.wait("that the scripts are gone", |status| {
        let mut modules = status.modules.iter();
        let is_gone = modules.all(|module| module.name == "game_logic" || module.active.is_none());
        is_gone.then_some(())
    });
    engine.run_frames(60);
    let problems = engine.dump().problems;
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(engine.finish().success());
}

const BLASTS: &str = "assets/scripts/blasts.lua";

const BLASTS_TEXT: &str = r#"
local M = { power = 0, reloads = {} }
engine.on("Blast", function(blast) M.power = M.power + blast.power end)
engine.on("ModuleReload", function(reload)
    M.reloads[#M.reloads + 1] = reload.module .. " " .. reload.step .. " " .. tostring(reload.to)
end)
function M.blast(power) world:trigger("Blast", { power = power }) end
function M.sum() return M.power end
function M.told() return table.concat(M.reloads, ", ") end
return M
"#;

/// What the native side has of it.
const NATIVE_BLASTS: &str = r#"
/// Something that scripts trigger and hear.
#[derive(Event, Reflect, Default)]
pub struct Blast {
    power: u32,
}

/// What was heard of it, and of reloads.
#[derive(Resource, Reflect, Default)]
pub struct Blasts {
    power: u32,
    reloads: Vec<String>,
}

fn blasted(blast: On<Blast>, mut blasts: ResMut<Blasts>) {
    blasts.power += blast.power;
}

fn reloaded(mut reloads: MessageReader<ModuleReload>, mut blasts: ResMut<Blasts>) {
    for reload in reloads.read() {
        let version = reload.to.unwrap_or(0);
        blasts.reloads.push(format!("{} {:?} {version}", reload.module, reload.step));
    }
}

fn blast(world: &mut World, power: u32) {
    world.trigger(Blast { power, ..Blast::default() });
}

fn blasts(world: &mut World) -> u32 {
    world.resource::<Blasts>().power
}

fn told(world: &mut World) -> String {
    world.resource::<Blasts>().reloads.join(", ")
}

/// What a job of `dig` gives.
"#;

#[test]
fn events_go_from_native_code_to_scripts_and_back_over_reloads_of_both() {
    let scratch = Scratch::take();
    scratch.edit(LIB, "\n/// What a job of `dig` gives.\n", NATIVE_BLASTS);
    scratch.edit(
        LIB,
        ".event::<Ticked>()",
        ".event::<Ticked>().reflected_event::<Blast>().resource::<Blasts>().observe(blasted)\n\
         .systems(PreUpdate, reloaded).function(\"blast\", blast).function(\"blasts\", blasts)\n\
         .function(\"told\", told)",
    );
    std::fs::create_dir_all(scratch.root.join("assets/scripts")).unwrap();
    scratch.save(BLASTS, BLASTS_TEXT);
    scratch.add_lua(&[("blasts", BLASTS)]);
    let engine = start(&scratch);
    engine.run_frames(2);
    let script = |function: &str, arguments: &[&str]| {
        let answer = engine.try_call_of("blasts", function, arguments);
        answer.unwrap_or_else(|reason| panic!("`{function}`: {reason}"))
    };
    // One of each side is heard by both.
    let check = |native: u32, lua: u32| {
        engine.call("blast", &["1"]);
        script("blast", &["10"]);
        assert_eq!(
            engine.call("blasts", &[]),
            native,
            "observers hear it at once"
        );
        engine.wait("that the script hears it", |_| {
            (script("sum", &[]) == lua).then_some(())
        });
    };
    check(11, 11);
    engine.apply(BLASTS, "M.power + blast.power", "M.power + 2 * blast.power");
    check(22, 33);
    engine.apply(
        LIB,
        "blasts.power += blast.power",
        "blasts.power += 3 * blast.power",
    );
    check(55, 55);
    // The event gets another field, which scripts have to say then.
    engine.apply(
        LIB,
        "    power: u32,\n}\n\n/// What was heard",
        "    power: u32,\n    loud: bool,\n}\n\n/// What was heard",
    );
    let wrong = engine.try_call_of("blasts", "blast", &["1"]).unwrap_err();
    assert!(wrong.contains("loud") && wrong.contains("Blast"), "{wrong}");

    // All of it was told, in both.
    let seq = engine.last_reload();
    scratch.edit(BLASTS, "return M\n", "error('no luck')\n");
    assert_eq!(engine.reload_after(seq).outcome, ReloadOutcome::Rejected);
    let steps = "blasts BeforeUpdate 2, blasts AfterUpdate 2, \
                 game_logic BeforeUpdate 2, game_logic AfterUpdate 2, \
                 game_logic BeforeUpdate 3, game_logic AfterUpdate 3, \
                 blasts BeforeUpdate 3, blasts Error 3";
    for told in [
        engine.wait("that the game was told", |_| {
            let told = engine.text("told");
            told.ends_with("Error 3").then_some(told)
        }),
        engine.wait("that the script was told", |_| {
            let told = script("told", &[]).as_str()?.to_owned();
            told.ends_with("Error 3").then_some(told)
        }),
    ] {
        assert!(told.ends_with(steps), "{told}");
    }
    assert!(engine.finish().success());
}
