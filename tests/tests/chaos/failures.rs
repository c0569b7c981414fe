//! Steps in which code or artifacts fail.

use inspector_protocol::status::{HostState, ReloadOutcome, Status};

use crate::code::{CRASHES, Fault};
use crate::edits::{bodies, fitting};
use crate::random::Random;
use crate::run::Run;

/// Something that is no module, where cargo puts the module.
pub fn damaged(run: &mut Run, random: &mut Random) {
    let Some((_, good)) = run.artifact(random) else {
        return bodies(run, random);
    };
    let mut bytes = good.clone();
    match random.below(4) {
        0 => bytes.truncate(random.below(bytes.len() - 64) + 64),
        // Identification, machine, place of the sections: gABI 4, "ELF Header".
        1 => bytes[random.pick(&[0, 1, 2, 3, 4, 5, 0x12, 0x2c])] ^= 0x55,
        2 => {
            bytes = (0..random.below(100_000))
                .map(|_| random.below(256) as u8)
                .collect()
        }
        _ => bytes = std::fs::read("/bin/sh").expect("there is a shell"),
    }
    // No two are the same.
    bytes.extend(random.below(usize::MAX).to_le_bytes());
    let seq = run.engine().last_reload();
    run.scratch.replace_library(&bytes);
    let reload = run.reload_after(seq);
    let is_refused = matches!(
        reload.outcome,
        ReloadOutcome::LoadError | ReloadOutcome::Rejected
    );
    assert!(is_refused && reload.to.is_none(), "{reload:#?}");
    run.is_refused = true;
}

/// What somebody built before, where cargo puts the module: it is code like any other.
pub fn old_artifact(run: &mut Run, random: &mut Random) {
    let Some((generation, bytes)) = run.artifact(random).cloned() else {
        return bodies(run, random);
    };
    if generation == run.running {
        return bodies(run, random);
    }
    let seq = run.engine().last_reload();
    run.scratch.replace_library(&bytes);
    run.trace(format!("   artifact of g{generation}"));
    let reload = run.reload_after(seq);
    if run.carried(generation).is_ok() {
        assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
        run.swapped(generation);
    } else {
        assert_eq!(reload.outcome, ReloadOutcome::Rejected, "{reload:#?}");
        run.is_refused = true;
    }
}

/// Draws a new version whose types the one that a new host begins with can take back.
fn failing(run: &Run, random: &mut Random, fault: Option<Fault>) -> Option<crate::code::Code> {
    let last = run.code_of(*run.applied.last()?);
    last.fault.is_none().then_some(())?;
    let mut code = fitting(run, random);
    let there = run.carried_to(&code).ok()?;
    there.carried(&code, last).ok()?;
    run.carried_to(last).ok()?;
    code.fault = fault;
    Some(code)
}

/// Waits for a version to be left, and for the host to run without it.
fn await_rollback(run: &Run, seq: u64, trigger: &str) {
    run.engine().wait("the rollback", |status: &Status| {
        let mut reloads = status.reloads.iter().filter(|reload| reload.seq > seq);
        let is_it = reloads
            .any(|reload| reload.outcome == ReloadOutcome::RolledBack && reload.trigger == trigger);
        (is_it && status.engine.host == HostState::Running).then_some(())
    });
}

/// A new version with a system that panics.
pub fn panic(run: &mut Run, random: &mut Random) {
    let Some(code) = failing(run, random, Some(Fault::Panic)) else {
        return bodies(run, random);
    };
    let (generation, seq) = (code.generation, run.engine().last_reload());
    let last = *run.applied.last().expect("there is one");
    let reload = run.save(code);
    assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
    run.has_applied(generation);
    if run.settings.stays_young || run.settings.panics_roll_back {
        await_rollback(run, seq, "panic");
        run.swapped(last);
        run.applied.pop();
        run.is_refused = true;
    } else {
        run.check();
        // What panics does not go on for ever.
        bodies(run, random);
    }
}

/// A function that panics.
pub fn panicking_call(run: &mut Run, _: &mut Random) {
    let reason = run.engine().try_call("panics", &[]).expect_err("it panics");
    assert!(reason.contains("this function panics"), "{reason}");
}

/// A new version that ends the process in its first frame, or while it is set up.
pub fn crash(run: &mut Run, random: &mut Random) {
    let (kind, how) = random.pick(&CRASHES);
    let fault = if random.chance(30) {
        Fault::CrashInSetUp(kind)
    } else {
        Fault::Crash(kind)
    };
    let Some(code) = failing(run, random, Some(fault)) else {
        return bodies(run, random);
    };
    let (before, seq) = (run.engine().dump().engine, run.engine().last_reload());
    let last = *run.applied.last().expect("there is one");
    let reload = run.save(code);
    run.trace(format!("   {how}"));
    assert_ne!(reload.outcome, ReloadOutcome::CompileError, "{reload:#?}");
    await_rollback(run, seq, "crash");
    // The checkpoint is the one made for the swap.
    let state = run.carried(last).expect("it was drawn so");
    // One that is not young is tried again.
    let is_tried_again = !run.settings.stays_young && matches!(fault, Fault::Crash(_));
    let most = if is_tried_again { 3 } else { 1 };
    run.host_died_with(&before, last, vec![state], most);
    (run.is_broken, run.is_refused) = (false, true);
}

/// A new version that crashes when it has got on.
pub fn young_crash(run: &mut Run, random: &mut Random) {
    let Some(code) = failing(run, random, None) else {
        return bodies(run, random);
    };
    let last = *run.applied.last().expect("there is one");
    run.apply(code);
    run.check();
    crash_by_call(run, random, Some(last));
}

/// A call that ends the process.
pub fn crashing_call(run: &mut Run, random: &mut Random) {
    let is_known = run.applied.last() == Some(&run.running);
    let is_young = run.settings.stays_young && run.has_replaced && is_known;
    let (before, last) = (run.before(), run.applied.last());
    let is_known_state = last.is_some_and(|last| run.carried(*last).is_ok());
    if !is_known_state || (is_young && run.applied.len() > 1 && before.is_none()) {
        return bodies(run, random);
    }
    crash_by_call(run, random, before.filter(|_| is_known));
}

/// `before` is where a young version goes back to.
fn crash_by_call(run: &mut Run, random: &mut Random, before: Option<u32>) {
    let (kind, how) = random.pick(&CRASHES);
    let function = random.pick(&["die", "die_in_frame"]);
    run.await_checkpoint();
    let (host, seq) = (run.engine().dump().engine, run.engine().last_reload());
    let reason = run.engine().try_call(function, &[&format!("\"{kind}\"")]);
    run.trace(format!("   {function} {kind}"));
    let reason = reason.expect_err("the host dies of it");
    assert!(reason.contains(how), "{reason}");
    let goes_back = before.filter(|_| run.settings.stays_young && run.has_replaced);
    if let Some(before) = goes_back {
        await_rollback(run, seq, "crash");
        run.host_died(&host, before);
        run.applied.pop();
        run.is_refused = true;
    } else {
        let last = *run.applied.last().expect("something was built");
        run.host_died(&host, last);
    }
}
