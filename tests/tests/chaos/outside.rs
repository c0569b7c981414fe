//! Steps that come from outside: kills, restarts, and a look at what is left behind.

use liveloop_tests::cases::CASES;
use liveloop_tests::process::signal;

use crate::edits::{bodies, sound};
use crate::random::Random;
use crate::run::{Run, Settings};

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

/// The engine goes on from its checkpoint, perhaps with an edit that was made meanwhile.
pub fn kill_engine(run: &mut Run, random: &mut Random) {
    restart(run, random, false);
}

pub fn other_settings(run: &mut Run, random: &mut Random) {
    run.settings = Settings::draw(random);
    restart(run, random, true);
}

fn restart(run: &mut Run, random: &mut Random, is_asked: bool) {
    run.await_checkpoint();
    let engine = run.take_engine();
    if is_asked {
        let status = engine.finish();
        assert!(status.success(), "{status}");
    } else {
        engine.kill();
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

pub fn leaks(run: &mut Run, _: &mut Random) {
    run.look_for_leaks();
}
