//! Steps that a person does: saves, rollbacks, long calls.

use inspector_protocol::status::ReloadOutcome;

use crate::code::{BROKEN, Code, Fault, REFUSALS};
use crate::random::Random;
use crate::run::{ASSET, Run};

/// Attempts to draw an edit of the wanted kind.
const DRAWS: usize = 20;

/// Changes that the values of now follow.
pub fn fitting(run: &Run, random: &mut Random) -> Code {
    for _ in 0..DRAWS {
        let mut code = run.edit(random);
        for _ in 0..=random.below(3) {
            code.change_a_type(random);
        }
        if run.carried_to(&code).is_ok() {
            return code;
        }
    }
    sound(run, random)
}

/// Other bodies and constants.
pub fn sound(run: &Run, random: &mut Random) -> Code {
    loop {
        let code = run.edit(random);
        if run.carried_to(&code).is_ok() {
            return code;
        }
    }
}

pub fn bodies(run: &mut Run, random: &mut Random) {
    let code = sound(run, random);
    run.apply(code);
}

pub fn types(run: &mut Run, random: &mut Random) {
    let code = fitting(run, random);
    run.apply(code);
}

/// A save before the one before it is built, perhaps.
pub fn two_at_once(run: &mut Run, random: &mut Random) {
    let first = fitting(run, random);
    // It says what the first one renamed, which may never run.
    let second = Code {
        generation: first.generation + 1,
        step: first.step + 1,
        ..first.clone()
    };
    let (seq, from) = (run.engine().last_reload(), run.running);
    let generations = [first.generation, second.generation];
    run.save_only(first);
    run.engine().run_frames(random.below(60) as u64);
    run.save_only(second);
    run.await_code(generations[1]);
    let reloads = run.engine().dump().reloads.into_iter();
    let applied = reloads.filter(|reload| reload.seq > seq);
    let applied = applied.filter(|reload| reload.outcome == ReloadOutcome::Applied);
    match applied.count() {
        1 => run.has_applied(generations[1]),
        2 => generations
            .into_iter()
            .for_each(|generation| run.has_applied(generation)),
        count => panic!("{count} reloads from g{from}"),
    }
}

/// A mistake, which may be taken back.
pub fn broken(run: &mut Run, random: &mut Random) {
    let text = run.edit(random).broken(random.pick(&BROKEN));
    let reload = run.save_text(&text);
    assert_eq!(reload.outcome, ReloadOutcome::CompileError, "{reload:#?}");
    (run.is_broken, run.is_refused) = (true, false);
    run.check();
    let last = *run.applied.last().expect("something was built");
    if random.chance(50) && run.carried(last).is_ok() {
        let text = run.code_of(last).source();
        let reload = run.save_text(&text);
        let is_back = match reload.outcome {
            // Compilers may make other bytes of the same source.
            ReloadOutcome::Applied => true,
            ReloadOutcome::Unchanged => run.running == last,
            _ => false,
        };
        assert!(is_back, "{reload:#?}");
        if reload.outcome == ReloadOutcome::Applied {
            run.has_applied(last);
        }
        (run.is_broken, run.is_refused) = (false, false);
    }
}

/// A version that does not get in.
pub fn refused(run: &mut Run, random: &mut Random) {
    let (refusal, part) = random.pick(&REFUSALS);
    let mut code = fitting(run, random);
    code.fault = Some(Fault::Refused(refusal));
    let reload = run.save(code);
    assert_eq!(reload.outcome, ReloadOutcome::Rejected, "{reload:#?}");
    assert!(reload.message.contains(part), "{reload:#?}");
    (run.is_broken, run.is_refused) = (false, true);
}

/// A change of a type that a value does not fit.
pub fn misfit(run: &mut Run, random: &mut Random) {
    for _ in 0..10 * DRAWS {
        let mut code = run.edit(random);
        code.change_a_type(random);
        if code.knows(run.code()) && run.carried_to(&code).is_err() {
            let reload = run.save(code);
            assert_eq!(reload.outcome, ReloadOutcome::Rejected, "{reload:#?}");
            assert!(
                reload.message.contains("cannot be carried over"),
                "{reload:#?}"
            );
            (run.is_broken, run.is_refused) = (false, true);
            return;
        }
    }
    bodies(run, random);
}

/// Back to the version before.
pub fn rollback(run: &mut Run, random: &mut Random) {
    let Some(before) = run.before() else {
        return bodies(run, random);
    };
    let rolled = run.engine().inspector(&["rollback", "game_logic"]);
    assert!(rolled.status.success(), "{rolled:?}");
    run.trace(format!("   back to g{before}"));
    run.swapped(before);
    let kept = run.applied.len() - 2;
    run.applied.truncate(kept);
    run.applied.push(before);
}

/// An asset with and without a mistake.
pub fn asset(run: &mut Run, random: &mut Random) {
    if random.chance(50) {
        let mistake = random.pick(&["(level: 0)", "(level: \"one\")", "(level: 1", "(size: 1)"]);
        run.scratch.save(ASSET, mistake);
        run.engine().wait("the mistake", |status| {
            let mut problems = status.problems.iter();
            problems
                .any(|problem| problem.file.ends_with("chaos.ron"))
                .then_some(())
        });
        assert_eq!(run.engine().number("level"), i64::from(run.level));
    }
    run.level += 1;
    run.scratch.save(ASSET, &format!("(level: {})", run.level));
}

/// A call that later reloads do not end.
pub fn hold(run: &mut Run, _: &mut Random) {
    if run.holds() < 2 {
        run.hold();
    } else {
        run.release();
    }
}
