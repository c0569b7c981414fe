//! Sources that are damaged at random: whatever they are, they get in or do not, and what does
//! not get in leaves the heap as it was.
//!
//! `LIVELOOP_FUZZ_ROUNDS` says how many there are, `LIVELOOP_FUZZ_SEED` which.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::cases::{folders, shelf};
use super::harness::{Shelf, difference, dump};
use super::mutate::{Random, mutate};
use crate::bundle::{Bundle, check_source, read_source};
use crate::outline::{other_than_functions, outline, required};
use crate::patch::patched;
use crate::{Domain, Limits, Source};

/// Rounds of a run that nobody made longer.
const ROUNDS: u64 = 1000;

fn variable(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}"))
    })
}

/// Runs rounds, and says which one failed.
fn rounds(most: u64, round: impl Fn(&mut Random)) {
    let rounds = variable("LIVELOOP_FUZZ_ROUNDS", most);
    let first = variable("LIVELOOP_FUZZ_SEED", 1);
    for seed in first..first + rounds {
        let failed = catch_unwind(AssertUnwindSafe(|| round(&mut Random::new(seed))));
        assert!(
            failed.is_ok(),
            "see above; again with LIVELOOP_FUZZ_SEED={seed} LIVELOOP_FUZZ_ROUNDS=1"
        );
    }
}

/// All sources of the cases.
fn corpus() -> Vec<String> {
    let mut texts = Vec::new();
    for folder in folders() {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        texts.extend(
            files
                .iter()
                .map(|file| std::fs::read_to_string(file).unwrap()),
        );
    }
    texts
}

fn text_of(random: &mut Random, corpus: &[String]) -> String {
    let text = &corpus[random.below(corpus.len())];
    let other = &corpus[random.below(corpus.len())];
    String::from_utf8_lossy(&mutate(random, text, other)).into_owned()
}

/// What there is, however little room it has left.
fn listed(domain: &Domain, limits: &Limits) -> String {
    domain.lua().set_memory_limit(0).unwrap();
    let listed = dump(domain.lua(), &[]);
    domain.lua().set_memory_limit(limits.memory).unwrap();
    listed
}

#[test]
fn a_damaged_source_gets_in_or_leaves_all_as_it_was() {
    let (corpus, folders) = (corpus(), folders());
    let limits = Limits {
        memory: 4 << 20,
        instructions: 300_000,
        ..Limits::default()
    };
    let (got_in, refused) = (Cell::new(0), Cell::new(0));
    rounds(ROUNDS, |random| {
        let folder = &folders[random.below(folders.len())];
        let shelf: Shelf = shelf(folder);
        let mut domain = Domain::new(limits, Box::new(shelf.clone())).unwrap();
        let Some(source) = shelf.source("m", false) else {
            return;
        };
        if domain.load("m", source.clone()).is_err() {
            return;
        }
        // Who listens to `error` is told, and remembers.
        let listens = |text: &str| text.contains("error");
        let mut is_told = listens(&source.text);
        // Twice: what comes after something damaged is damaged as well.
        for _ in 0..2 {
            let next = shelf.source("m", true).unwrap();
            let other = &corpus[random.below(corpus.len())];
            let bytes = mutate(random, &next.text, other);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let before = listed(&domain, &limits);
            match domain.reload(vec![("m".to_owned(), Source::new("m.lua", text.as_str()))]) {
                Ok(_) => {
                    got_in.set(got_in.get() + 1);
                    is_told |= listens(&text);
                }
                Err(error) => {
                    refused.set(refused.get() + 1);
                    let after = listed(&domain, &limits);
                    assert!(
                        before == after || is_told,
                        "{}: changed by {error}:\n{}\n{text}",
                        folder.display(),
                        difference(&before, &after)
                    );
                }
            }
        }
        // Whatever runs now, it goes on: what was there before gets in or is refused.
        let _ = domain.reload(vec![("m".to_owned(), source)]);
        domain.lua().gc_collect().unwrap();
        let _ = domain.draining().unwrap();
    });
    // Else nothing was looked at.
    let (got_in, refused) = (got_in.get(), refused.get());
    if variable("LIVELOOP_FUZZ_ROUNDS", ROUNDS) >= ROUNDS {
        assert!(
            got_in > 20 && refused > 20,
            "{got_in} got in, {refused} did not"
        );
    }
}

#[test]
fn what_reads_sources_without_running_them_takes_any_text() {
    let corpus = corpus();
    rounds(4 * ROUNDS, |random| {
        let text = text_of(random, &corpus);
        let _ = other_than_functions(&text, &outline(&text));
        for required in required(&text) {
            assert!(required.line > 0 && required.column > 0);
        }
        if let Some(problem) = check_source("m.lua", &text) {
            // Both end a line for Lua.
            let lines = text.split(['\n', '\r']).count();
            assert!(problem.line as usize <= lines, "{problem}\n{text}");
        }
        // What is put in is there: once more it changes nothing.
        let running = &corpus[random.below(corpus.len())];
        let whole = patched(running, &text);
        if let Ok(whole) = whole
            && check_source("m.lua", &text).is_none()
        {
            assert_eq!(patched(&whole, &text).as_ref(), Ok(&whole));
        }
    });
}

#[test]
fn artifacts_and_files_of_any_bytes_are_read_or_refused() {
    let corpus = corpus();
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("m.lua");
    let shown = |path: &Path| path.display().to_string();
    rounds(ROUNDS, |random| {
        let text = &corpus[random.below(corpus.len())];
        let other = &corpus[random.below(corpus.len())];
        std::fs::write(&own, mutate(random, text, other)).unwrap();
        let Ok(bundle) = Bundle::collect("m", &own, read_source, shown, |_| true) else {
            return;
        };
        let bytes = bundle.to_bytes();
        assert_eq!(Bundle::from_bytes(&bytes).as_ref(), Ok(&bundle));
        let bytes = mutate(random, &String::from_utf8(bytes).unwrap(), text);
        if let Ok(damaged) = Bundle::from_bytes(&bytes) {
            let _ = damaged.check();
        }
    });
}
