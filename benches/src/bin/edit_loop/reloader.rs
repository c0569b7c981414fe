//! The flow of hot-lib-reloader: cargo builds, its `LibReloader` notices the library
//! after the default debounce, `update()` loads it.
//!
//! The reloader runs in a process of its own, this program started again: the
//! library needs the shared dylib of its own build, which the dynamic loader looks
//! for in a path that is read once, at the start of a process.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use hot_lib_reloader::LibReloader;
use miette::{IntoDiagnostic as _, Result, WrapErr as _, miette};

use crate::edit::Source;
use crate::scratch::Scratch;

/// First argument of the process with the reloader.
pub(crate) const CHILD: &str = "--reloader";
/// `-p game_logic` alone would unify features in another way than the engine's build and
/// so replace the shared dylib.
const BUILD: &[&str] = &["build", "-p", "engine", "-p", "game_logic"];
/// Longest wait for the reloader to notice a library.
const PATIENCE: Duration = Duration::from_secs(30);

/// The process with the reloader. Ends when dropped.
pub(crate) struct Flow {
    process: Child,
    requests: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Flow {
    /// Builds the library the way this flow does and starts the reloader on it.
    pub(crate) fn start(scratch: &Scratch) -> Result<Self> {
        scratch.cargo(BUILD)?;
        let libraries = scratch.libraries();
        let sysroot = Command::new("rustc")
            .args(["--print", "target-libdir"])
            .current_dir(&scratch.root)
            .output()
            .into_diagnostic()
            .wrap_err("rustc cannot be started")?;
        let standard = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
        let path = [libraries.join("deps"), libraries.clone(), standard.into()];
        let program = std::env::current_exe().into_diagnostic()?;
        let mut process = scratch
            .command(program)
            .arg(CHILD)
            .arg(&libraries)
            .env(
                "LD_LIBRARY_PATH",
                std::env::join_paths(path).into_diagnostic()?,
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .into_diagnostic()?;
        let output = process
            .stdout
            .take()
            .ok_or_else(|| miette!("the reloader has no output"))?;
        let requests = process.stdin.take();
        let mut flow = Self {
            process,
            requests,
            lines: BufReader::new(output).lines(),
        };
        flow.expect_line("ready")?;
        Ok(flow)
    }

    /// Saves an edit, builds, waits for the library to be loaded; the time of cargo
    /// and the time from there on.
    pub(crate) fn edit(
        &mut self,
        scratch: &Scratch,
        source: &mut Source,
        edit: u32,
    ) -> Result<(Duration, Duration)> {
        let requests = self
            .requests
            .as_mut()
            .ok_or_else(|| miette!("the reloader is gone"))?;
        writeln!(requests, "{edit}").into_diagnostic()?;
        let start = Instant::now();
        source.save(edit)?;
        scratch.cargo(BUILD)?;
        let built = Instant::now();
        self.expect_line("updated")?;
        Ok((built.duration_since(start), built.elapsed()))
    }

    fn expect_line(&mut self, expected: &str) -> Result<()> {
        let line = self
            .lines
            .next()
            .ok_or_else(|| miette!("the reloader ended"))?;
        let line = line.into_diagnostic()?;
        if line == expected {
            Ok(())
        } else {
            Err(miette!("the reloader says: {line}"))
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // Closing its input ends it in order, so that it removes its copies.
        drop(self.requests.take());
        let _ = self.process.wait();
    }
}

/// Body of the process with the reloader: for each line on its input, waits for one
/// update.
pub(crate) fn child(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let folder = arguments.next().ok_or_else(|| miette!("which folder?"))?;
    let mut reloader =
        LibReloader::new(Path::new(&folder), "game_logic", None, None).into_diagnostic()?;
    let mut out = std::io::stdout();
    writeln!(out, "ready").into_diagnostic()?;
    for line in std::io::stdin().lines() {
        line.into_diagnostic()?;
        let start = Instant::now();
        while !reloader.update().into_diagnostic()? {
            if start.elapsed() > PATIENCE {
                return Err(miette!("the reloader noticed nothing"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        writeln!(out, "updated").into_diagnostic()?;
    }
    Ok(())
}
