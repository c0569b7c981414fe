//! Native modules: Rust dylibs, verified before they are opened, opened through
//! `hot-lib-reloader`, kept alive for as long as anything may run in them.
//!
//! | module | holds |
//! |---|---|
//! | [`verify`] | is this file a module that fits this engine? Reads, opens nothing |
//! | [`image`] | where an opened library lies in memory, and whether it still does |
//! | [`proof`] | that nothing in the process refers to an image |
//! | [`backend`](mod@backend) | the backend: one `LibReloader` per module, one pin per version |

pub mod backend;
pub mod image;
pub mod proof;
pub mod verify;

pub use backend::{NativeBackend, NativeModule};
