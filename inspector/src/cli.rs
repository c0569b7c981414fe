//! The commands for scripts, and the way into the user interface.
//!
//! Results go to standard output as JSON, everything else to standard error as
//! `error: ...`. A closed pipe is no error.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use inspector_protocol::message::{
    Answer, Event, LARGEST_PUSH, Push, Request, Subscription, WorldAct,
};
use inspector_protocol::status::{ReloadStatus, Status};
use serde::Serialize;

use crate::connection::Link;
use crate::ui::{self, Role, UiExit, UiOptions};
use crate::update::is_success;

/// The exit codes, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the request failed: the call returned an error, the reload was not applied
  2  wrong usage
  3  no engine found, cannot attach, or the connection was lost";

/// Look into a running game: a terminal UI, or one command for scripts.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct InspectorArgs {
    /// The engine to attach to: its socket or its process id [default: the only
    /// one running].
    #[arg(long, value_name = "PATH|PID", global = true)]
    pub attach: Option<String>,
    /// What to do; without it, the user interface.
    #[command(subcommand)]
    pub command: Option<InspectorCommand>,
}

/// A command for scripts.
#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
pub enum InspectorCommand {
    /// Print the status as one JSON document.
    Dump,
    /// Call a function of a module and print its result as JSON.
    Call {
        /// Module.
        module: String,
        /// Function.
        function: String,
        /// Arguments, each a RON value: `12`, `-3`, `"text"`, `(1.0, 2.0)`.
        #[arg(allow_hyphen_values = true, num_args = 0..)]
        args: Vec<String>,
    },
    /// Print the last log lines as JSON lines.
    Logs {
        /// Go on with new lines until the engine ends.
        #[arg(short, long)]
        follow: bool,
    },
    /// Build and load a module again and print how it went as JSON.
    Reload {
        /// Module.
        module: String,
    },
    /// Run another source of a Lua module until its file changes and print how it went as JSON.
    Push {
        /// The file holds functions of the module; the rest stays as it runs.
        #[arg(long)]
        patch: bool,
        /// Module, or a file of one as `require` calls it.
        module: String,
        /// Lua source.
        file: PathBuf,
    },
    /// Print the world as a scene (RON), or write it to a file.
    Save {
        /// File; standard output without it.
        file: Option<PathBuf>,
    },
    /// Replace the game's entities and resources by those of a scene.
    Load {
        /// A scene as `save` writes it.
        file: PathBuf,
    },
    /// Print the structs with a fixed layout that modules share, as JSON; also of a host
    /// that has died.
    Shared,
    /// Print the values of removed fields that are kept, as JSON.
    Limbo {
        /// Forget them instead: those of one type (by its path), or all.
        #[arg(long, value_name = "TYPE", num_args = 0..=1, default_missing_value = "")]
        clear: Option<String>,
    },
    /// Start a new host, or the new engine if there is one; the game goes on where it was.
    /// Print what came of it as JSON.
    Restart,
    /// Ask a job to end; `dump` lists them with their numbers.
    Cancel {
        /// Number of the job.
        job: u64,
    },
    /// Go back to the version before and print how it went as JSON.
    Rollback {
        /// Module.
        module: String,
        /// Restore the state of that moment too.
        #[arg(long)]
        state: bool,
    },
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    /// The engine said no.
    #[error("{0}")]
    Failed(String),
    /// The reload went wrong; it has been printed.
    #[error("{}: {}", .0.outcome.name(), .0.message)]
    NotApplied(Box<ReloadStatus>),
    /// No user interface here.
    #[error(transparent)]
    Ui(#[from] ui::UiError),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] crate::connection::ConnectError),
    /// The connection broke before the answer.
    #[error("the engine went away before it answered")]
    Gone,
    /// Standard output is closed: the reader has what it wanted.
    #[error("standard output was closed")]
    Closed,
    /// Standard output cannot be written.
    #[error("cannot write the result")]
    Write(#[source] io::Error),
    /// A result that is no JSON.
    #[error("the result cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

impl CommandError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Failed(_) | Self::NotApplied(_) | Self::Write(_) | Self::Json(_) => 1,
            Self::Ui(_) => 2,
            Self::Connect(_) | Self::Gone => 3,
        }
    }
}

/// Runs a command, or the user interface, and gives its exit code.
pub fn run(args: InspectorArgs) -> ExitCode {
    let InspectorArgs {
        mut attach,
        mut command,
    } = args;
    if let Some(InspectorCommand::Call { args, .. }) = &mut command {
        match take_attach(args) {
            Ok(Some(found)) => attach = Some(found),
            Ok(None) => {}
            Err(reason) => {
                report(&reason);
                return ExitCode::from(2);
            }
        }
    }
    let done = match command {
        None => interface(attach),
        Some(command) => Link::connect(attach.as_deref(), "inspector")
            .map_err(CommandError::from)
            .and_then(|(link, welcome)| {
                let pid = welcome.pid.to_string();
                execute(&link, command, attach.as_deref().unwrap_or(&pid))
            }),
    };
    match done {
        Ok(()) | Err(CommandError::Closed) => ExitCode::SUCCESS,
        Err(error) => {
            report(&chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

/// `--attach` after the arguments of a call is meant for the inspector: no RON
/// value starts with two hyphens.
fn take_attach(args: &mut Vec<String>) -> Result<Option<String>, String> {
    let Some(index) = args
        .iter()
        .position(|arg| arg == "--attach" || arg.starts_with("--attach="))
    else {
        return Ok(None);
    };
    let flag = args.remove(index);
    if let Some(value) = flag.strip_prefix("--attach=") {
        return Ok(Some(value.to_owned()));
    }
    if index < args.len() {
        Ok(Some(args.remove(index)))
    } else {
        Err("a value is required for '--attach <PATH|PID>'".to_owned())
    }
}

fn interface(attach: Option<String>) -> Result<(), CommandError> {
    // Before connecting: without a terminal there is nothing to connect for.
    if !crate::terminal::is_there() {
        return Err(ui::UiError::NoTerminal.into());
    }
    let (link, _) = Link::connect(attach.as_deref(), "inspector")?;
    let reconnect = Some(attach.unwrap_or_default());
    match ui::run(
        link,
        UiOptions {
            role: Role::Attached,
            reconnect,
        },
    )? {
        UiExit::Quit | UiExit::TerminalClosed => Ok(()),
        UiExit::HubGone => Err(CommandError::Gone),
    }
}

/// The id of the one request a command makes.
const ID: u64 = 1;

/// How long a new engine may take to answer.
const RESTART_LIMIT: Duration = Duration::from_mins(1);

/// Asks for a restart and waits until the game goes on. A new engine takes over the socket.
fn restart(link: &Link, attach: &str) -> Result<(), CommandError> {
    let run_id = |status: &Status| status.engine.run_id.clone();
    let Answer::Status(before) = ask(link, Request::Status { id: ID })? else {
        return Err(CommandError::Gone);
    };
    match ask(link, Request::RestartHost { id: ID })? {
        Answer::Done => {}
        other => return Err(unexpected(&other)),
    }
    let deadline = Instant::now() + RESTART_LIMIT;
    while Instant::now() < deadline {
        let status = Link::connect(Some(attach), "inspector")
            .map_err(CommandError::from)
            .and_then(|(link, _)| ask(&link, Request::Status { id: ID }));
        if let Ok(Answer::Status(status)) = status
            && run_id(&status) != run_id(&before)
            && let Some(restart) = &status.engine.restart
        {
            return print_pretty(restart);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(CommandError::Gone)
}

fn execute(link: &Link, command: InspectorCommand, attach: &str) -> Result<(), CommandError> {
    match command {
        InspectorCommand::Restart => restart(link, attach),
        InspectorCommand::Dump => match ask(link, Request::Status { id: ID })? {
            Answer::Status(status) => print_pretty(&*status),
            other => Err(unexpected(&other)),
        },
        InspectorCommand::Call {
            module,
            function,
            args,
        } => {
            match ask(
                link,
                Request::Call {
                    id: ID,
                    module,
                    function,
                    args,
                },
            )? {
                Answer::Value(json) => print_line(&json),
                Answer::Done => print_line("null"),
                other => Err(unexpected(&other)),
            }
        }
        InspectorCommand::Logs { follow } => logs(link, follow),
        InspectorCommand::Shared => match ask(link, Request::Shared { id: ID })? {
            Answer::Value(json) => print_line(&json),
            other => Err(unexpected(&other)),
        },
        InspectorCommand::Save { file } => save(link, file.as_deref()),
        InspectorCommand::Load { file } => {
            let text = read(&file)?;
            let name = file.display().to_string();
            world(link, WorldAct::Load { name, text }).and_then(|json| print_line(&json))
        }
        InspectorCommand::Limbo { clear: None } => match ask(link, Request::Status { id: ID })? {
            Answer::Status(status) => print_pretty(&status.world.limbo),
            other => Err(unexpected(&other)),
        },
        InspectorCommand::Limbo { clear: Some(path) } => {
            let act = WorldAct::ClearLimbo(Some(path).filter(|path| !path.is_empty()));
            world(link, act).and_then(|json| print_line(&json))
        }
        InspectorCommand::Reload { module } => {
            reloaded(ask(link, Request::Reload { id: ID, module })?)
        }
        InspectorCommand::Push {
            patch,
            module,
            file,
        } => {
            let push = Push {
                module,
                name: file.display().to_string(),
                text: source(&file)?,
                is_patch: patch,
            };
            reloaded(ask(link, Request::Push { id: ID, push })?)
        }
        InspectorCommand::Cancel { job } => match ask(link, Request::CancelJob { id: ID, job })? {
            Answer::Value(_) => Ok(()),
            other => Err(unexpected(&other)),
        },
        InspectorCommand::Rollback { module, state } => reloaded(ask(
            link,
            Request::Rollback {
                id: ID,
                module,
                state,
            },
        )?),
    }
}

fn read(file: &Path) -> Result<String, CommandError> {
    fs::read_to_string(file).map_err(|error| {
        CommandError::Failed(format!("{} cannot be read: {error}", file.display()))
    })
}

/// The text of a file that is to be pushed. What is too large is not read.
fn source(file: &Path) -> Result<String, CommandError> {
    let size = fs::metadata(file).map_or(0, |about| about.len());
    if size > LARGEST_PUSH {
        let (size, most) = (size.div_ceil(1 << 20), LARGEST_PUSH >> 20);
        let file = file.display();
        let why = format!("{file} has {size} MiB; at most {most} MiB can be pushed");
        return Err(CommandError::Failed(why));
    }
    read(file)
}

/// Has something done to the world; the answer is JSON.
fn world(link: &Link, act: WorldAct) -> Result<String, CommandError> {
    match ask(link, Request::World { id: ID, act })? {
        Answer::Value(json) => Ok(json),
        other => Err(unexpected(&other)),
    }
}

fn save(link: &Link, file: Option<&Path>) -> Result<(), CommandError> {
    let json = world(link, WorldAct::Save)?;
    let scene: String = serde_json::from_str(&json).map_err(CommandError::Json)?;
    match file {
        None => print_line(scene.trim_end()),
        Some(file) => fs::write(file, scene).map_err(|error| {
            CommandError::Failed(format!("{} cannot be written: {error}", file.display()))
        }),
    }
}

/// Sends a request and waits for its answer, however long that takes.
fn ask(link: &Link, request: Request) -> Result<Answer, CommandError> {
    link.requests
        .send(request)
        .map_err(|_| CommandError::Gone)?;
    loop {
        match link.events.recv() {
            Ok(Event::Answer {
                id: ID,
                answer: Answer::Error(reason),
            }) => {
                return Err(CommandError::Failed(reason));
            }
            Ok(Event::Answer { id: ID, answer }) => return Ok(answer),
            Ok(_) => {}
            Err(_) => return Err(CommandError::Gone),
        }
    }
}

fn unexpected(answer: &Answer) -> CommandError {
    let what = match answer {
        Answer::Done => "`done`",
        Answer::Error(_) => "an error",
        Answer::Status(_) => "a status",
        Answer::Value(_) => "a value",
        Answer::Reload(_) => "a reload",
    };
    CommandError::Failed(format!(
        "the engine answered with {what}, which does not fit"
    ))
}

fn reloaded(answer: Answer) -> Result<(), CommandError> {
    let Answer::Reload(reload) = answer else {
        return Err(unexpected(&answer));
    };
    print_pretty(&reload)?;
    if is_success(reload.outcome) {
        Ok(())
    } else {
        Err(CommandError::NotApplied(Box::new(reload)))
    }
}

/// The kept lines come before the answer to the status request; without
/// `follow` that answer is the end.
fn logs(link: &Link, follow: bool) -> Result<(), CommandError> {
    let wanted = Subscription {
        logs: true,
        ..Subscription::default()
    };
    for request in [Request::Subscribe(wanted), Request::Status { id: ID }] {
        link.requests
            .send(request)
            .map_err(|_| CommandError::Gone)?;
    }
    let mut is_complete = false;
    loop {
        match link.events.recv() {
            Ok(Event::Log(logged)) => {
                print_line(&serde_json::to_string(&logged).map_err(CommandError::Json)?)?;
            }
            Ok(Event::Answer { id: ID, .. }) if !follow => return Ok(()),
            Ok(Event::Answer { id: ID, .. }) => is_complete = true,
            Ok(Event::Dropped { count }) => report(&format!("{count} messages were dropped")),
            Ok(_) => {}
            // Following ends with the engine.
            Err(_) if is_complete => return Ok(()),
            Err(_) => return Err(CommandError::Gone),
        }
    }
}

fn print_pretty(value: &impl Serialize) -> Result<(), CommandError> {
    print_line(&serde_json::to_string_pretty(value).map_err(CommandError::Json)?)
}

fn print_line(text: &str) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => CommandError::Closed,
            _ => CommandError::Write(error),
        })
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A closed standard error is nobody's problem here.
fn report(text: &str) {
    let _ = writeln!(io::stderr(), "error: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        inspector: InspectorArgs,
    }

    fn parse(args: &[&str]) -> (Option<String>, Option<InspectorCommand>) {
        let all = std::iter::once("inspector").chain(args.iter().copied());
        let mut parsed = <Cli as clap::Parser>::try_parse_from(all)
            .unwrap()
            .inspector;
        if let Some(InspectorCommand::Call { args, .. }) = &mut parsed.command
            && let Some(found) = take_attach(args).unwrap()
        {
            parsed.attach = Some(found);
        }
        (parsed.attach, parsed.command)
    }

    #[test]
    fn arguments_of_a_call_may_start_with_a_hyphen_and_attach_may_stand_anywhere() {
        let call = |args: &[&str]| {
            Some(InspectorCommand::Call {
                module: "m".into(),
                function: "f".into(),
                args: args.iter().map(ToString::to_string).collect(),
            })
        };
        for (line, attach, args) in [
            (&["call", "m", "f"][..], None, &[][..]),
            (&["call", "m", "f", "-3"], None, &["-3"]),
            (
                &["call", "m", "f", "-3", "4", "-5.5"],
                None,
                &["-3", "4", "-5.5"],
            ),
            (
                &["--attach", "7", "call", "m", "f", "-3"],
                Some("7"),
                &["-3"],
            ),
            (
                &["call", "--attach", "7", "m", "f", "-3"],
                Some("7"),
                &["-3"],
            ),
            (&["call", "m", "f", "--attach", "7"], Some("7"), &[]),
            (
                &["call", "m", "f", "-3", "--attach", "/a/b"],
                Some("/a/b"),
                &["-3"],
            ),
            (
                &["call", "m", "f", "-3", "--attach=7", "4"],
                Some("7"),
                &["-3", "4"],
            ),
            (&["call", "m", "f", "--", "-3", "4"], None, &["-3", "4"]),
        ] {
            assert_eq!(
                parse(line),
                (attach.map(str::to_owned), call(args)),
                "{line:?}"
            );
        }
        assert!(take_attach(&mut vec!["1".into(), "--attach".into()]).is_err());
    }

    #[test]
    fn what_is_pushed_has_a_module_and_a_file() {
        let push = |patch| {
            Some(InspectorCommand::Push {
                patch,
                module: "enemies".into(),
                file: "new.lua".into(),
            })
        };
        assert_eq!(parse(&["push", "enemies", "new.lua"]).1, push(false));
        for line in [
            ["push", "--patch", "enemies", "new.lua"],
            ["push", "enemies", "new.lua", "--patch"],
        ] {
            assert_eq!(parse(&line).1, push(true));
        }
    }

    #[test]
    fn a_source_that_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("large.lua");
        let large = fs::File::create(&file).unwrap();
        large.set_len(LARGEST_PUSH).unwrap();
        assert_eq!(source(&file).unwrap().len() as u64, LARGEST_PUSH);
        large.set_len(LARGEST_PUSH + 1).unwrap();
        let error = source(&file).unwrap_err();
        assert!(
            error.to_string().contains("has 5 MiB; at most 4 MiB"),
            "{error}"
        );
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn help_documents_the_exit_codes_also_as_a_subcommand() {
        let help = <InspectorArgs as clap::Args>::augment_args(clap::Command::new("x"))
            .render_help()
            .to_string();
        assert!(help.contains("cannot attach"), "{help}");
    }
}
