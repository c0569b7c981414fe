//! The standalone `inspector` binary.

use std::process::ExitCode;

use clap::Parser as _;

/// Looks into a running game: a terminal UI, or one command for scripts.
#[derive(clap::Parser)]
#[command(name = "inspector", version, about, after_help = inspector::cli::EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    inspector: inspector::cli::InspectorArgs,
}

fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    // `cargo run inspector -- dump` means `dump` wherever cargo leaves the `--`.
    if arguments.get(1).is_some_and(|first| first == "--") {
        arguments.remove(1);
    }
    inspector::cli::run(Cli::parse_from(arguments).inspector)
}
