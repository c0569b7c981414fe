//! How long from save to new code running?
//!
//! Edits one line of `game_logic` again and again and measures, in turns:
//!
//! 1. the engine: from just before the file is written until the protocol reports
//!    the reload as applied, with the split that the engine itself reports. Every
//!    time the new code is called once and must answer with the edit's number;
//! 2. the bare replay: the `rustc` command of the module as the builder captured it,
//!    run by itself for the same edit, in a copy of the sources and with an
//!    incremental folder of its own (the peer that the target is stated against: at
//!    most 1.3 times this, everything included);
//! 3. the flow of hot-lib-reloader: `cargo build -p engine -p game_logic`, then its
//!    `LibReloader` with the default debounce until `update()` has loaded the library.
//!    This comes after the engine has ended, again in turns with the bare replay.
//!
//! Ratios are medians over the ratio of each edit to the replay right after it.
//!
//! ```text
//! cargo run -p liveloop_benches --bin edit_loop            20 edits
//! cargo run -p liveloop_benches --bin edit_loop -- 50      50 edits
//! cargo run -p liveloop_benches --bin edit_loop -- --root PATH
//! ```
//!
//! Without `--root` everything happens in a copy of the workspace, in `bench` below
//! the target folder; the first run builds it, which takes minutes. With it, the
//! checkout at PATH and its own target folder are used, and the edited file is put
//! back at the end.
//!
//! | module | holds |
//! |---|---|
//! | [`scratch`] | the copy of the workspace, running cargo in it |
//! | [`edit`] | the line that is edited |
//! | [`engine`] | the running engine and its protocol |
//! | [`replay`] | the captured command |
//! | [`reloader`] | the flow of hot-lib-reloader |
//! | [`table`] | the figures |

mod edit;
mod engine;
mod reloader;
mod replay;
mod scratch;
mod table;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use inspector_protocol::status::ReloadTimings;
use miette::{IntoDiagnostic as _, Result, miette};

use crate::edit::Source;
use crate::engine::Engine;
use crate::reloader::Flow;
use crate::replay::Replay;
use crate::scratch::Scratch;
use crate::table::Table;

const USAGE: &str = "usage: edit_loop [EDITS] [--root PATH]";
/// Edits that are not counted: caches fill, commands are captured.
const WARM_UP: u32 = 2;

/// What the command line asks for.
struct Options {
    edits: u32,
    root: Option<PathBuf>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            edits: 20,
            root: None,
        };
        while let Some(argument) = arguments.next() {
            match (argument.as_str(), argument.parse()) {
                ("--root", _) => {
                    let root = arguments.next().ok_or_else(|| miette!("{USAGE}"))?;
                    options.root = Some(root.into());
                }
                (_, Ok(edits)) if edits > 0 => options.edits = edits,
                _ => return Err(miette!("`{argument}` is not understood; {USAGE}")),
            }
        }
        Ok(options)
    }
}

/// One edit through the engine, and the bare replay of the same edit.
struct EngineEdit {
    save_to_running: Duration,
    timings: ReloadTimings,
    replay: Duration,
}

/// One edit through hot-lib-reloader, and the bare replay of the same edit.
struct FlowEdit {
    cargo: Duration,
    update: Duration,
    replay: Duration,
}

fn main() -> ExitCode {
    let Err(report) = run() else {
        return ExitCode::SUCCESS;
    };
    let causes: Vec<String> = report.chain().map(ToString::to_string).collect();
    // Nobody is left to tell if this cannot be written.
    let _ = writeln!(std::io::stderr(), "error: {}", causes.join(": "));
    ExitCode::FAILURE
}

fn run() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    if std::env::args().nth(1).as_deref() == Some(reloader::CHILD) {
        return reloader::child(arguments.by_ref().skip(1));
    }
    let options = Options::parse(arguments)?;
    let scratch = match options.root {
        Some(root) => Scratch::existing(&root)?,
        None => Scratch::copy()?,
    };
    say(&format!("Building in {}", scratch.root.display()))?;
    scratch.cargo(&["build"])?;

    let mut source = Source::open(&scratch.root)?;
    let mut engine = Engine::start(&scratch)?;
    say("The game runs; editing")?;
    for edit in 1..=WARM_UP {
        engine.edit(&mut source, edit)?;
    }
    let mut replay = Replay::captured(&scratch)?;
    for edit in 1..=WARM_UP {
        replay.edit(edit)?;
    }
    let mut engine_edits = Vec::new();
    for edit in WARM_UP + 1..=WARM_UP + options.edits {
        let (save_to_running, timings) = engine.edit(&mut source, edit)?;
        let replay = replay.edit(edit)?;
        engine_edits.push(EngineEdit {
            save_to_running,
            timings,
            replay,
        });
    }
    engine.end()?;

    say("Now with hot-lib-reloader")?;
    let mut flow = Flow::start(&scratch)?;
    let first = WARM_UP + options.edits + 1;
    for edit in first..first + WARM_UP {
        flow.edit(&scratch, &mut source, edit)?;
        replay.edit(edit)?;
    }
    let first = first + WARM_UP;
    let mut flow_edits = Vec::new();
    for edit in first..first + options.edits.div_ceil(2) {
        let (cargo, update) = flow.edit(&scratch, &mut source, edit)?;
        let replay = replay.edit(edit)?;
        flow_edits.push(FlowEdit {
            cargo,
            update,
            replay,
        });
    }
    say(&Table::of(&engine_edits, &flow_edits).to_string())
}

fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").into_diagnostic()
}
