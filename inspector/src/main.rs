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
    inspector::cli::run(Cli::parse().inspector)
}
