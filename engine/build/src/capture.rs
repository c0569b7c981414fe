//! How the builder learns the `rustc` command of a module.
//!
//! Cargo runs `$RUSTC_WRAPPER rustc args..` instead of `rustc args..`. The
//! engine's own executable serves as the wrapper: [`run_if_wrapper`] notices
//! that, writes the command of a wanted crate to a file and becomes the real
//! compiler. `RUSTC_WRAPPER` is no part of cargo's fingerprints, so builds with
//! and without it share everything (`RUSTC_WORKSPACE_WRAPPER` would not).
//!
//! The builder passes the path of a `Request` in `LIVELOOP_CAPTURE`. Of the
//! environment only what cargo added is recorded: the rest may hold secrets.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::environment::Variable;
use inspector_protocol::content_hash;

/// Environment variable with the path of the [`Request`].
pub(crate) const REQUEST_VARIABLE: &str = "LIVELOOP_CAPTURE";

/// What the builder wants from its wrapper.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Crates whose command is wanted, with their package.
    pub(crate) crates: BTreeMap<String, String>,
    /// Folder for `<crate>.json`.
    pub(crate) folder: PathBuf,
    /// Hash of each variable cargo was started with.
    pub(crate) environment: BTreeMap<String, u64>,
    /// The user's own wrapper, which is run in turn.
    pub(crate) chained: Option<String>,
}

/// A `rustc` command as cargo ran it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CapturedCommand {
    /// The compiler.
    pub(crate) program: String,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Where it ran.
    pub(crate) folder: PathBuf,
    /// Variables that cargo added or changed.
    pub(crate) environment: BTreeMap<String, String>,
}

impl Request {
    /// The hashes that let the wrapper tell what cargo added to `variables`.
    pub(crate) fn hashes(variables: &[Variable]) -> BTreeMap<String, u64> {
        variables
            .iter()
            .filter_map(|(name, value)| {
                Some((
                    name.to_str()?.to_owned(),
                    content_hash(value.as_encoded_bytes()),
                ))
            })
            .collect()
    }
}

/// File with the command of a crate in the folder of a [`Request`].
pub(crate) fn captured_file(folder: &Path, crate_name: &str) -> PathBuf {
    folder.join(format!("{crate_name}.json"))
}

/// Runs the compiler if this process was started as its wrapper.
///
/// Call it first thing in `main`, before threads, arguments or terminal are
/// touched. In an ordinary start it costs one look into the environment and
/// returns. As a wrapper it does not return: the process becomes the compiler
/// (on Unix; elsewhere it waits for it) and ends with its exit status. That a
/// command cannot be recorded never fails a build.
pub fn run_if_wrapper() {
    let (Some(request), Some(_)) = (env::var_os(REQUEST_VARIABLE), env::var_os("RUSTC_WRAPPER"))
    else {
        return;
    };
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let Some((compiler, rest)) = arguments.split_first() else {
        return;
    };
    let request = read_request(Path::new(&request));
    if let Some(request) = &request {
        // A command that is not recorded only means a slower build.
        let _ = record(request, compiler, rest);
    }
    let chained = request.and_then(|request| request.chained);
    let mut command = if let Some(wrapper) = chained {
        let mut command = Command::new(wrapper);
        command.args(&arguments);
        command
    } else {
        let mut command = Command::new(compiler);
        command.args(rest);
        command
    };
    command.env_remove(REQUEST_VARIABLE);
    let (error, code) = become_command(command);
    if let Some(error) = error {
        let _ = writeln!(
            io::stderr(),
            "error: cannot run {}: {error}",
            compiler.display()
        );
    }
    std::process::exit(code);
}

#[cfg(unix)]
fn become_command(mut command: Command) -> (Option<io::Error>, i32) {
    use std::os::unix::process::CommandExt;
    (Some(command.exec()), 127)
}

#[cfg(not(unix))]
fn become_command(mut command: Command) -> (Option<io::Error>, i32) {
    match command.status() {
        Ok(status) => (None, status.code().unwrap_or(1)),
        Err(error) => (Some(error), 127),
    }
}

fn read_request(path: &Path) -> Option<Request> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn record(request: &Request, compiler: &OsStr, arguments: &[OsString]) -> io::Result<()> {
    let Some(args) = arguments
        .iter()
        .map(|arg| arg.to_str().map(str::to_owned))
        .collect()
    else {
        return Ok(());
    };
    let args: Vec<String> = args;
    let package = env::var("CARGO_PKG_NAME").unwrap_or_default();
    let Some(crate_name) = wanted_crate(request, &args, &package) else {
        return Ok(());
    };
    let Some(program) = compiler.to_str() else {
        return Ok(());
    };
    let captured = CapturedCommand {
        program: program.to_owned(),
        folder: env::current_dir()?,
        environment: added_variables(request, env::vars_os()),
        args: args.clone(),
    };
    let file = captured_file(&request.folder, crate_name);
    let partial = file.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&partial, serde_json::to_vec(&captured)?)?;
    fs::rename(partial, file)
}

/// The crate of a command that builds the loadable library of a wanted one.
fn wanted_crate<'a>(request: &'a Request, args: &[String], package: &str) -> Option<&'a String> {
    let name = value_of(args, "--crate-name").next()?;
    let (name, wanted) = request.crates.get_key_value(name)?;
    let is_library = value_of(args, "--crate-type").any(|kind| kind == "dylib" || kind == "cdylib");
    let is_linked = value_of(args, "--emit").any(|kinds| kinds.split(',').any(|k| k == "link"));
    let is_test = args.iter().any(|arg| arg == "--test");
    (wanted == package && is_library && is_linked && !is_test).then_some(name)
}

/// Values of an option, written `--name value` or `--name=value`.
pub(crate) fn value_of<'a>(args: &'a [String], name: &'a str) -> impl Iterator<Item = &'a str> {
    args.iter().enumerate().filter_map(move |(index, arg)| {
        if arg == name {
            return args.get(index + 1).map(String::as_str);
        }
        arg.strip_prefix(name)?.strip_prefix('=')
    })
}

/// Variables that are not among those cargo was started with, without those
/// that only make sense while cargo runs.
fn added_variables(
    request: &Request,
    variables: impl Iterator<Item = Variable>,
) -> BTreeMap<String, String> {
    const TRANSIENT: [&str; 6] = [
        "CARGO_MAKEFLAGS",
        "MAKEFLAGS",
        "MFLAGS",
        "RUSTC_WRAPPER",
        REQUEST_VARIABLE,
        "_",
    ];
    variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !TRANSIENT.contains(&name.as_str()))
        .filter(|(name, value)| {
            request.environment.get(name) != Some(&content_hash(value.as_bytes()))
        })
        .collect()
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
