//! A long day at random: good edits and bad ones, damaged artifacts, versions that panic and
//! crash, kills, other settings, against a model of what the state must be.
//!
//! | module | holds |
//! |---|---|
//! | [`random`] | choices that a seed repeats |
//! | [`values`] | values of fields, and how they change their type |
//! | [`code`] | the game's source as data |
//! | [`state`] | the game's state as it must be |
//! | [`run`] | the engine beside the model; comparing them |
//! | [`edits`], [`failures`], [`outside`] | the steps of a run |
//!
//! The steps of a run are a deck of cards that the seed shuffles, so each run has some of
//! everything. `LIVELOOP_CHAOS_STEPS=500` makes it longer, `LIVELOOP_CHAOS_SEED=7` repeats one;
//! the seed is printed at the beginning and when it fails. What a kill from outside hits is
//! not the seed's to say, so the model knows every state that may come back.

#![cfg(target_os = "linux")]

mod code;
mod edits;
mod failures;
mod outside;
mod random;
mod run;
mod state;
mod values;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use liveloop_tests::scratch::{Game, Scratch};
use random::Random;
use run::Run;

/// What a run of usual length does not begin any more steps after; a busy machine does less.
const ENOUGH: Duration = Duration::from_secs(150);

/// A step, its name, and how often it is in the deck.
type Card = (&'static str, usize, fn(&mut Run, &mut Random));

/// All steps. Good edits dominate.
const DECK: &[Card] = &[
    ("edits of bodies", 5, edits::bodies),
    ("edits of types", 8, edits::types),
    ("edits of what is being built", 1, edits::two_at_once),
    ("edits that do not compile", 2, edits::broken),
    ("edits that are refused", 2, edits::refused),
    ("edits that values refuse", 1, edits::misfit),
    ("rollbacks", 2, edits::rollback),
    ("assets", 2, edits::asset),
    ("long calls", 3, edits::hold),
    ("damaged artifacts", 3, failures::damaged),
    ("old artifacts", 2, failures::old_artifact),
    ("panics of new versions", 2, failures::panic),
    ("panics of calls", 1, failures::panicking_call),
    ("crashes of new versions", 2, failures::crash),
    ("crashes of young versions", 1, failures::young_crash),
    ("crashes of calls", 2, failures::crashing_call),
    ("kills of the host", 3, outside::kill_host),
    ("kills of the host in an edit", 2, outside::kill_in_an_edit),
    ("kills of the engine", 1, outside::kill_engine),
    ("restarts of the engine", 1, outside::restart_engine),
    ("other settings", 2, outside::other_settings),
    ("looks for leaks", 2, outside::leaks),
];

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

/// Writes where it is seen also when the test succeeds.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "chaos: {text}");
}

/// How often each step was done; tells it at the end, however that comes.
struct Report {
    seed: u64,
    begun: Instant,
    counts: BTreeMap<&'static str, usize>,
    last: &'static str,
}

impl Drop for Report {
    fn drop(&mut self) {
        let steps: usize = self.counts.values().sum();
        let counts = self.counts.iter();
        let counts: Vec<_> = counts
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        let seconds = self.begun.elapsed().as_secs();
        let Self { seed, last, .. } = self;
        tell(&format!(
            "{steps} steps in {seconds} s: {}",
            counts.join(", ")
        ));
        if std::thread::panicking() {
            tell(&format!(
                "failed in step {steps} ({last}); LIVELOOP_CHAOS_SEED={seed} \
                 LIVELOOP_CHAOS_STEPS={steps} repeats it"
            ));
        }
    }
}

#[test]
fn whatever_happens_the_state_is_what_it_must_be() {
    let scratch = Scratch::with(Game::Cases);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let clock = now.map_or(0, |now| now.as_nanos() as u64 % 1_000_000);
    let seed = variable("LIVELOOP_CHAOS_SEED").unwrap_or(clock);
    let steps = variable("LIVELOOP_CHAOS_STEPS");
    tell(&format!("LIVELOOP_CHAOS_SEED={seed}"));

    let mut report = Report {
        seed,
        begun: Instant::now(),
        counts: BTreeMap::new(),
        last: "the start",
    };
    let mut run = Run::start(&scratch, &mut Random::new(seed));
    let cards = |(name, count, act): &Card| vec![(*name, *act); *count];
    let mut deck: Vec<_> = DECK.iter().flat_map(cards).collect();
    let whole = deck.len();
    for step in 0..steps.map_or(whole, |steps| steps as usize) {
        if steps.is_none() && report.begun.elapsed() > ENOUGH {
            break;
        }
        if step % whole == 0 {
            Random::new(seed ^ step as u64).shuffle(&mut deck);
        }
        let (name, act) = deck[step % whole];
        *report.counts.entry(name).or_default() += 1;
        report.last = name;
        let mut random = Random::of_step(seed, step);
        run.trace(format!("{step}: {name}"));
        run.play(&mut random);
        act(&mut run, &mut random);
        run.check();
    }
    report.last = "the end";
    run.finish();
}
