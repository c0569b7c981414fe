//! Steps that come from outside: kills, restarts, and a look at what is left behind.

use std::fs;

use liveloop_tests::cases::CASES;
use liveloop_tests::process::signal;

use crate::edits::{bodies, fitting, sound};
use crate::random::Random;
use crate::run::{Run, SETTINGS, Settings};

/// Nobody is to blame: the same versions go on.
pub fn kill_host(run: &mut Run, random: &mut Random) {
    let last = *run.applied.last().expect("something was built");
    if run.carried(last).is_err() {
        return bodies(run, random);
    }
    if random.chance(50) {
        run.await_checkpoint();
    }
    let before = run.engine().dump().engine;
    signal(before.host_pid.expect("a host runs"), libc::SIGKILL);
    run.host_died(&before, last);
}

/// Wherever in an edit that is: it gets in.
pub fn kill_in_an_edit(run: &mut Run, random: &mut Random) {
    let last = *run.applied.last().expect("something was built");
    if run.running != last {
        return bodies(run, random);
    }
    let code = fitting(run, random);
    let generation = code.generation;
    let before = run.engine().dump().engine;
    run.save_only(code);
    run.engine().run_frames(random.below(120) as u64);
    signal(before.host_pid.expect("a host runs"), libc::SIGKILL);
    run.engine().next_host(&before);
    run.await_code(generation);
    run.host_died(&before, generation);
    run.has_applied(generation);
    run.check();
    // From here on it is known again whether this version has replaced another one.
    bodies(run, random);
}

/// The engine goes on from its checkpoint, perhaps with an edit that was made meanwhile.
pub fn kill_engine(run: &mut Run, random: &mut Random) {
    restart(run, random, false);
}

/// The same when it is asked to end, with settings of its own.
pub fn restart_engine(run: &mut Run, random: &mut Random) {
    run.settings = Settings::draw(random);
    restart(run, random, true);
}

/// Settings that apply at once, perhaps after some that cannot be read.
pub fn other_settings(run: &mut Run, random: &mut Random) {
    if random.chance(50) {
        let mistake = random.pick(&["(", "(frame_rate: 0)", "(modules: [], speed: 1)"]);
        run.scratch.save(SETTINGS, mistake);
        run.engine().wait("the mistake", |status| {
            let mut problems = status.problems.iter();
            let is_there = problems.any(|problem| problem.file == SETTINGS);
            is_there.then_some(())
        });
    }
    let before = run.settings.frame_rate;
    while run.settings.frame_rate == before {
        run.settings = Settings::draw(random);
    }
    let from = run.engine().log.len();
    run.scratch.save(SETTINGS, &run.settings.text());
    let line = format!(
        "[INFO] Settings changed; {} frames per second",
        run.settings.frame_rate
    );
    let log = &run.engine().log;
    log.wait(from, "the settings", |written| written == line);
}

fn restart(run: &mut Run, random: &mut Random, is_asked: bool) {
    run.await_checkpoint();
    let is_damaged = random.chance(50);
    if is_damaged {
        // One before it, with the same state.
        run.await_checkpoint();
    }
    let engine = run.take_engine();
    if is_asked {
        let status = engine.finish();
        assert!(status.success(), "{status}");
    } else {
        engine.kill();
    }
    if is_damaged {
        damage(run, random);
    }
    run.forget_holds();
    let code = sound(run, random);
    run.scratch.save(CASES, &code.source());
    run.edited_meanwhile(code);
    run.start_engine(&["--resume"]);
    run.check();
    // The builder may build once more to learn how; an edit later it has done so.
    bodies(run, random);
}

/// Cuts the newest checkpoint off, or changes a byte of it.
fn damage(run: &mut Run, random: &mut Random) {
    let files = run.scratch.checkpoints();
    let newest = files.last().expect("there are checkpoints");
    let mut bytes = fs::read(newest).expect("it can be read");
    let at = random.below(bytes.len());
    if random.chance(50) {
        bytes.truncate(at);
    } else {
        bytes[at] ^= 0x10;
    }
    fs::write(newest, bytes).expect("it can be written");
    run.trace(format!("   checkpoint damaged at {at}"));
}

pub fn leaks(run: &mut Run, _: &mut Random) {
    run.look_for_leaks();
}
