//! Arguments and exit codes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use inspector::cli::InspectorArgs;
use inspector_protocol::endpoint;
use inspector_protocol::message::LogLevel;

use crate::config::Config;
use crate::project::{Packages, Project};
use crate::supervisor::{self, RunOptions, Socket};
use crate::{host, project};

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  the game failed
  2  wrong usage or configuration
  3  no running engine to attach to (inspector commands)";

/// A game that changes while it runs.
#[derive(Debug, Parser)]
#[command(name = "engine", version, about, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the game (what happens without a command, too)
    #[command(alias = "engine")]
    Run(RunArguments),
    /// Look at a running game: the UI, or a scripting command
    Inspector(InspectorArgs),
    /// The child process that runs the game
    #[command(name = "__host", hide = true)]
    Host,
    /// The child process of that one that looks for references to old code
    #[command(name = "__proof", hide = true)]
    Proof,
}

/// How to run the game.
#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Configuration file [default: assets/engine.ron, here or in a parent folder]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Profile from the configuration
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Line logs on standard error instead of the UI
    #[arg(long)]
    headless: bool,
    /// End after so many frames
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    frames: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "S", value_parser = seconds, allow_hyphen_values = true)]
    seconds: Option<Duration>,
    /// Least important lines to log: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "debug")]
    log_level: LogLevel,
    /// Socket for inspectors [default: one per process in a private folder]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Watch for artifacts that others build instead of building
    #[arg(long)]
    no_build: bool,
    /// Go on with the last checkpoint of the last run
    #[arg(long)]
    resume: bool,
    /// What the engine before has left to this one
    #[arg(long, value_name = "FILE", hide = true)]
    handover: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("{text} is out of range, it must be 0 or more seconds"))
}

/// The command line without the `--` that cargo passes on in `cargo run inspector -- dump`,
/// where `inspector` is an argument already.
fn without_separator(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_command = |name: &OsString| ["inspector", "engine", "run"].iter().any(|c| name == c);
    if arguments.get(1).is_some_and(is_command) && arguments.get(2).is_some_and(|a| a == "--") {
        arguments.remove(2);
    }
    arguments
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let arguments =
        match Arguments::try_parse_from(without_separator(std::env::args_os().collect())) {
            Ok(arguments) => arguments,
            Err(error) => {
                // Help and version are no errors: clap prints them on standard output.
                let _ = error.print();
                return if error.use_stderr() {
                    ExitCode::from(2)
                } else {
                    ExitCode::SUCCESS
                };
            }
        };
    match arguments.command {
        None => run(arguments.run),
        Some(Command::Run(arguments)) => run(arguments),
        Some(Command::Inspector(arguments)) => inspector::cli::run(arguments),
        Some(Command::Host) => host::main(),
        Some(Command::Proof) => host::prove(),
    }
}

fn run(arguments: RunArguments) -> ExitCode {
    let (file, project, config) = match prepare(&arguments) {
        Ok(prepared) => prepared,
        Err(report) => {
            report_error(&report);
            return ExitCode::from(2);
        }
    };
    let is_named = arguments.socket.is_some();
    let path = arguments
        .socket
        .unwrap_or_else(|| endpoint::socket_path(std::process::id()));
    let socket = match endpoint::listen(&path) {
        Ok(listener) => Socket { path, listener },
        Err(error) => {
            report_error(&miette::Report::from_err(error));
            // A path that cannot be listened at was a wrong argument.
            return if is_named {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            };
        }
    };
    let options = RunOptions {
        config: file,
        headless: arguments.headless,
        frames: arguments.frames,
        seconds: arguments.seconds,
        log_level: arguments.log_level,
        no_build: arguments.no_build,
        resume: arguments.resume,
        handover: arguments.handover,
    };
    match supervisor::run(project, config, options, socket) {
        Ok(code) => code,
        Err(report) => {
            report_error(&report);
            ExitCode::FAILURE
        }
    }
}

fn prepare(arguments: &RunArguments) -> miette::Result<(PathBuf, Project, Config)> {
    let file = project::find_config(arguments.config.as_deref())?;
    let mut config = Config::read(&file, arguments.profile.as_deref()).map_err(|error| *error)?;
    let project = Project::around(&file)?;
    let packages = Packages::of(&project.root, &project.assets);
    config
        .find_packages(&file, |module| packages.package_of(module))
        .map_err(|error| *error)?;
    Ok((file, project, config))
}

fn report_error(report: &miette::Report) {
    use std::io::Write as _;
    let _ = write!(std::io::stderr(), "{}", render(report));
}

/// The report as compilers write theirs: message, causes, source line, help.
fn render(report: &miette::Report) -> String {
    use std::fmt::Write as _;
    let mut text = format!("error: {report}\n");
    for cause in report.chain().skip(1) {
        let _ = writeln!(text, "  caused by: {cause}");
    }
    let label = report.labels().and_then(|mut labels| labels.next());
    if let (Some(source), Some(label)) = (report.source_code(), label)
        && let Ok(whole) = source.read_span(&(0, 0).into(), 0, usize::MAX)
    {
        let whole = String::from_utf8_lossy(whole.data());
        let offset = label.offset().min(whole.len());
        let start = whole[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let line = whole[start..].lines().next().unwrap_or_default();
        let number = (whole[..start].matches('\n').count() + 1).to_string();
        let gutter = " ".repeat(number.len());
        let indent = " ".repeat(whole[start..offset].chars().count());
        let _ = writeln!(text, "{gutter} |\n{number} | {line}\n{gutter} | {indent}^");
    }
    if let Some(help) = report.help() {
        let _ = writeln!(text, "help: {help}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(without_separator(
            line.split_whitespace().map(OsString::from).collect(),
        ))
    }

    #[test]
    fn every_form_of_the_run_command_is_understood() {
        let check = |line: &str, headless: bool, frames: Option<u64>| {
            let arguments = parse(line).unwrap();
            let run = match arguments.command {
                None => arguments.run,
                Some(Command::Run(run)) => run,
                other => panic!("{line}: {other:?}"),
            };
            assert_eq!((run.headless, run.frames), (headless, frames), "{line}");
        };
        check("engine", false, None);
        check("engine --headless", true, None);
        check("engine run --headless --frames 10", true, Some(10));
        check("engine engine --headless", true, None);
        check("engine engine -- --headless", true, None);
    }

    #[test]
    fn the_separator_for_cargo_may_follow_inspector() {
        for line in ["engine inspector dump", "engine inspector -- dump"] {
            let arguments = parse(line).unwrap();
            let Some(Command::Inspector(found)) = arguments.command else {
                panic!("{line}: {arguments:?}");
            };
            assert_eq!(found.command, Some(inspector::cli::InspectorCommand::Dump));
        }
        let arguments = parse("engine inspector -- --attach 12").unwrap();
        let Some(Command::Inspector(found)) = arguments.command else {
            panic!("{arguments:?}");
        };
        assert_eq!((found.attach.as_deref(), found.command), (Some("12"), None));
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (line, part) in [
            ("engine --frame 3", "--frames"),
            ("engine --seconds soon", "soon"),
            ("engine --seconds -1", "0 or more"),
            ("engine --frames -1", "-1"),
            ("engine --log-level loud", "loud"),
            ("engine dance", "dance"),
        ] {
            let text = parse(line).unwrap_err().to_string();
            assert!(text.contains(part), "{line}: {text}");
        }
    }
}
