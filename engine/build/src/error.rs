//! Why a builder cannot start.

use std::io;
use std::path::PathBuf;

/// Why a builder cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Cargo could not be run at all.
    #[error("cannot run `{program}`; install cargo or set CARGO to its path")]
    CargoMissing {
        /// What was tried.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Cargo does not understand the workspace.
    #[error("cannot read the workspace of {}: {message}", manifest.display())]
    Metadata {
        /// Root manifest.
        manifest: PathBuf,
        /// What cargo said.
        message: String,
    },
    /// The package of a module is not in the workspace.
    #[error("module `{module}`: no package `{package}` in the workspace; add it to `members`")]
    UnknownPackage {
        /// Module.
        module: String,
        /// Package that was looked for.
        package: String,
    },
    /// The package of a module has no library that can be loaded.
    #[error(
        "module `{module}`: package `{package}` has no dylib; \
         set `crate-type = [\"rlib\", \"dylib\"]` in its [lib]"
    )]
    NoDylib {
        /// Module.
        module: String,
        /// Its package.
        package: String,
    },
    /// A file or folder of the builder cannot be used.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start thread `{name}`")]
    Thread {
        /// Name of the thread.
        name: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}
