//! Registry, versions, call table, swap and frame loop: what Liveloop exists for.
//!
//! This crate knows modules and versions, not where code comes from: a backend
//! implements the small trait in [`backend`] and nothing here knows one by name.
//!
//! | module | holds | thread |
//! |---|---|---|
//! | [`call`] | counting calls per version, function slots | any |
//! | [`registry`] | modules, versions, their states, calls by name | any |
//! | [`backend`] | the trait that backends implement | loader |
//! | [`loader`] | artifacts to prepared versions; unloading | loader |
//! | [`unload`] | what has to be known of an old version before it is unloaded | loader |
//! | `drain` | what becomes of versions that no longer take calls | frame |
//! | `places` | what lies at an address of the world | frame |
//! | `tidy`, [`wipe`] | overwriting what old versions left in the world and on stacks | frame, any |
//! | [`swap`] | making a prepared version the active one | frame |
//! | [`state`] | schemas of what is in the world, who refers to whose code | frame |
//! | [`rebuild`] | moving all of a world into a fresh one | frame |
//! | [`checkpoint`] | the world in a file, and back | frame, then any |
//! | `keeper` | writing and reading checkpoints | checkpoint |
//! | [`scene`] | the world as text to read and edit, and back | frame |
//! | [`runner`] | running systems, containing what goes wrong in them | frame |
//! | [`host`] | the frame loop | frame |
//! | [`shared`] | structs with a fixed layout, in a file that outlives the host | frame |
//! | `component_hooks` | hooks of components as the active versions have them | frame |
//! | `required` | what components that a type requires are made with | loader |
//! | [`panic`], [`stack`], [`images`] | panics of game code, and where code lies | any |
//! | `overdue` | what is done about versions that drain for long | frame |
//! | `outbox`, `easel` | what the host says, and its pictures | any |
//! | [`jobs`] | long work of game code on threads for jobs, and its results | frame |
//! | [`workers`] | threads for calls by name and for jobs | workers, jobs |
//! | [`assets`] | files to resources | assets |
//! | [`part`] | what of a version runs besides its functions | any |
//! | [`stall`] | noticing that the game does not get on | telemetry |
//! | [`telemetry`] | what the inspector shows | telemetry |
//! | [`link`] | messages between a host and its supervisor | |

pub mod assets;
pub mod backend;
pub mod call;
pub mod checkpoint;
mod component_hooks;
mod convert;
pub mod data;
mod drain;
mod easel;
mod fence;
pub mod host;
pub mod images;
pub mod jobs;
mod keeper;
pub mod limbo;
pub mod link;
pub mod loader;
mod log;
pub mod migrate;
mod observer;
mod outbox;
mod overdue;
pub mod panic;
pub mod part;
pub mod place;
mod places;
pub mod rebuild;
pub mod registry;
mod required;
pub mod runner;
pub mod scene;
pub mod shared;
pub mod stack;
pub mod stall;
pub mod state;
pub mod swap;
pub mod telemetry;
#[cfg(test)]
mod testing;
mod tidy;
pub mod unload;
pub mod wipe;
pub mod workers;
