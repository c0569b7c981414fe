//! The bare replay: the `rustc` command that the builder captured, run by itself.
//!
//! It runs in a copy of the module's sources, so that the engine does not see its
//! edits, and with output and incremental folders of its own, so that neither
//! disturbs the other's. All else (compiler, flags, dependencies, environment) is as
//! captured.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic as _, Result, WrapErr as _, miette};
use serde_json::Value;

use crate::edit::Source;
use crate::scratch::{self, Scratch, mirror};

/// Longest wait for the builder to capture a command.
const PATIENCE: Duration = Duration::from_mins(1);

/// Folder for the output.
const OUT: &str = "out";
/// Folder for the incremental state.
const INCREMENTAL: &str = "incremental";

/// The command of the module, ready to be run again.
pub(crate) struct Replay {
    program: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    folder: PathBuf,
    source: Source,
}

impl Replay {
    /// What the builder saved while the engine ran.
    pub(crate) fn captured(scratch: &Scratch) -> Result<Self> {
        let file = scratch.target.join("liveloop/dev/commands/game_logic.json");
        let start = Instant::now();
        while !file.is_file() {
            if start.elapsed() > PATIENCE {
                return Err(miette!(
                    "the builder captured no command in {}",
                    file.display()
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let bytes = fs::read(&file).into_diagnostic()?;
        let saved: Value = serde_json::from_slice(&bytes).into_diagnostic()?;
        let command = saved.get("command").unwrap_or(&saved);
        let part = |name: &str| {
            command
                .get(name)
                .ok_or_else(|| miette!("{} has no `{name}`", file.display()))
        };
        let captured_in: PathBuf =
            serde_json::from_value(part("folder")?.clone()).into_diagnostic()?;
        let folder = scratch.work.join("replay");
        let modules = captured_in.join("game_logic");
        mirror(&modules, &folder.join("game_logic"))
            .into_diagnostic()
            .wrap_err_with(|| format!("{} cannot be copied", modules.display()))?;
        for made in [OUT, INCREMENTAL] {
            fs::create_dir_all(folder.join(made)).into_diagnostic()?;
        }
        let arguments: Vec<String> =
            serde_json::from_value(part("args")?.clone()).into_diagnostic()?;
        Ok(Self {
            program: serde_json::from_value(part("program")?.clone()).into_diagnostic()?,
            arguments: redirected(arguments, &folder),
            environment: serde_json::from_value(part("environment")?.clone()).into_diagnostic()?,
            source: Source::open(&folder)?,
            folder,
        })
    }

    /// Saves an edit and runs the command; the time of the command alone.
    pub(crate) fn edit(&mut self, edit: u32) -> Result<Duration> {
        self.source.save(edit)?;
        let start = Instant::now();
        let output = Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(&self.folder)
            .env_clear()
            .envs(scratch::environment())
            .envs(&self.environment)
            .stdin(Stdio::null())
            .output()
            .into_diagnostic()?;
        let took = start.elapsed();
        if output.status.success() {
            return Ok(took);
        }
        Err(miette!(
            "the captured command failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

/// The arguments with folders below `folder` for what the compiler writes.
fn redirected(arguments: Vec<String>, folder: &Path) -> Vec<String> {
    let below = |name: &str| folder.join(name).display().to_string();
    let mut redirected: Vec<String> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let after_option = redirected.last().is_some_and(|last| last == "--out-dir");
        redirected.push(if after_option {
            below(OUT)
        } else if argument.starts_with("--out-dir=") {
            format!("--out-dir={}", below(OUT))
        } else if argument.starts_with("incremental=") {
            format!("incremental={}", below(INCREMENTAL))
        } else if argument.starts_with("-Cincremental=") {
            format!("-Cincremental={}", below(INCREMENTAL))
        } else {
            argument
        });
    }
    redirected
}

#[cfg(test)]
mod tests {
    use super::redirected;

    #[test]
    fn what_the_compiler_writes_goes_elsewhere() {
        let check = |arguments: &[&str], expected: &[&str]| {
            let arguments = arguments
                .iter()
                .map(|argument| (*argument).to_owned())
                .collect();
            assert_eq!(redirected(arguments, "/w".as_ref()), expected);
        };
        check(
            &["--out-dir", "/t/deps", "a.rs"],
            &["--out-dir", "/w/out", "a.rs"],
        );
        check(&["--out-dir=/t/deps"], &["--out-dir=/w/out"]);
        check(
            &["-C", "incremental=/t/i"],
            &["-C", "incremental=/w/incremental"],
        );
        check(&["-L", "dependency=/t/deps"], &["-L", "dependency=/t/deps"]);
    }
}
