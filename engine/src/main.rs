//! The engine: `cargo run engine`.
//!
//! One executable plays four parts: the supervisor (what a person starts), the host
//! (the child process that runs the game), an inspector (`engine inspector`), and
//! the compiler wrapper that learns how cargo calls rustc.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | arguments and exit codes |
//! | [`config`] | `assets/engine.ron` |
//! | [`project`] | where things are: root, target folder, profile |
//! | [`supervisor`] | host process, builder, hub, status: everything but the game |
//! | [`running`] | the engine that runs, as files |
//! | [`handover`] | what it leaves to the one that takes its place |
//! | [`host`] | the child process: world, modules, frame loop |
//! | [`crash`] | the host's last words after a fatal signal |
//! | [`symbols`] | names and lines of addresses in code |
//! | [`line_log`] | log lines on standard error when there is no UI |

mod cli;
mod config;
mod crash;
#[cfg(test)]
#[cfg(all(feature = "live", target_os = "linux"))]
mod freed_memory;
mod handover;
mod host;
mod line_log;
mod project;
mod running;
mod state_folder;
mod supervisor;
mod symbols;

// Links the one shared copy of the ECS and the engine API; see that crate.
#[cfg(feature = "live")]
use engine_dylib as _;

fn main() -> std::process::ExitCode {
    engine_build::capture::run_if_wrapper();
    cli::main()
}
