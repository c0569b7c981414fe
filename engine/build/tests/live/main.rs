//! The builder at work: real files, real cargo, real rustc.
//!
//! Has its own `main`, because this executable is also the compiler wrapper of
//! the builders it tests. Takes the usual arguments: a part of a test's name,
//! `--exact`, `--list`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test reports by panicking and printing"
)]

mod cases;
mod scratch;

use std::panic;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    engine_build::capture::run_if_wrapper();

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_exact = arguments.iter().any(|argument| argument == "--exact");
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let is_wanted = |name: &str, is_by_default: bool| {
        if filters.is_empty() {
            return is_by_default;
        }
        filters.iter().any(|filter| {
            if is_exact {
                *filter == name
            } else {
                name.contains(*filter)
            }
        })
    };
    let all = cases::CASES.iter().map(|(name, run)| (*name, *run, true));
    let all = all.chain(
        cases::MEASUREMENTS
            .iter()
            .map(|(name, run)| (*name, *run, false)),
    );
    let wanted: Vec<_> = all
        .filter(|(name, _, by_default)| is_wanted(name, *by_default))
        .collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, ..) in wanted {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }

    println!("\nrunning {} tests", wanted.len());
    let mut failed = Vec::new();
    for (name, run, _) in &wanted {
        let start = Instant::now();
        let is_ok = panic::catch_unwind(run).is_ok();
        let outcome = if is_ok { "ok" } else { "FAILED" };
        println!(
            "test {name} ... {outcome} ({:.1} s)",
            start.elapsed().as_secs_f32()
        );
        if !is_ok {
            failed.push(*name);
        }
    }
    if failed.is_empty() {
        println!("\ntest result: ok. {} passed\n", wanted.len());
        ExitCode::SUCCESS
    } else {
        println!(
            "\ntest result: FAILED. {} of {}: {failed:?}\n",
            failed.len(),
            wanted.len()
        );
        ExitCode::FAILURE
    }
}
