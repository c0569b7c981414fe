//! Turns saved source files into artifacts of native modules, and compiler
//! messages into problems.
//!
//! A [`Builder`] watches the crates of all native modules, builds what a change
//! concerns, and sends [`BuildEvent`]s. A change of a module's own sources
//! replays the `rustc` command that cargo used last; anything else (manifests,
//! lock file, dependencies, build scripts) goes through cargo. A save during a
//! build ends the build and starts the next one. Nothing is reported that does
//! not belong to what is on disk.
//!
//! Where to read, in the order of a change:
//!
//! | module | holds |
//! |---|---|
//! | `watch` | thread `build-watch`: events of the system -> files to look at |
//! | `temporary`, `snapshot` | which files count, and whether their content is new |
//! | `shared` | the changes that wait for the building thread |
//! | `files` | files that are watched where nothing is built: [`FileWatch`] |
//! | `project` | what a changed file means for each module |
//! | `runner` | thread `build-run`: decides, compiles, cancels, reports |
//! | [`capture`], `replay` | the captured `rustc` command: recorded, kept, repeated |
//! | `cargo`, `process`, `environment` | running compilers |
//! | `depinfo`, `diagnostics` | reading what they wrote |
//! | `artifact` | publishing the result |
//!
//! Files of the builder, all below `<target>/liveloop/<profile>/`:
//! `artifacts/<module>-<hash>.<ext>`, `<package>/` (output of replays),
//! `commands/<module>.json` (captured commands), `slot-<n>.lock` (one builder
//! each, so that two engines can share a target folder).

mod artifact;
mod builder;
pub mod capture;
mod cargo;
mod config;
mod depinfo;
mod diagnostics;
mod environment;
mod error;
mod event;
mod files;
mod platform;
mod process;
mod project;
mod replay;
mod runner;
mod shared;
mod snapshot;
mod temporary;
mod watch;

pub use artifact::refresh as refresh_artifact;
pub use builder::Builder;
pub use config::{BuilderConfig, EngineSource, ModuleSource, WatchOptions};
pub use error::BuildError;
pub use event::{BuildEvent, BuildMethod, BuildTimings};
pub use files::FileWatch;
pub use inspector_protocol::content_hash;
