//! The environment compilers run in.
//!
//! `cargo run` gives the engine variables that describe the engine's own
//! package. Handing them down would make build scripts and crates that read
//! them look changed, so they are removed. The library path stays: the engine
//! executable is also the compiler wrapper, and it needs its libraries to
//! start; cargo keeps it out of its fingerprints.

use std::ffi::{OsStr, OsString};

/// One environment variable.
pub(crate) type Variable = (OsString, OsString);

/// The environment of this process without what cargo set for it.
pub(crate) fn inherited() -> Vec<Variable> {
    cleaned(std::env::vars_os())
}

/// `variables` without what cargo sets for a program it runs.
pub(crate) fn cleaned(variables: impl Iterator<Item = Variable>) -> Vec<Variable> {
    variables
        .filter(|(name, _)| !is_set_by_cargo(name))
        .collect()
}

/// Path of cargo: the one that runs us, else whatever is in `PATH`.
pub(crate) fn cargo_program() -> OsString {
    std::env::var_os("CARGO")
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| "cargo".into())
}

/// Whether cargo sets this variable for compilers or programs.
pub(crate) fn is_set_by_cargo(name: &OsStr) -> bool {
    const NAMES: [&str; 14] = [
        "CARGO",
        "CARGO_BIN_NAME",
        "CARGO_CRATE_NAME",
        "CARGO_MAKEFLAGS",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_LINKS",
        "CARGO_MANIFEST_PATH",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_TMPDIR",
        "MAKEFLAGS",
        "MFLAGS",
        "OUT_DIR",
        "RUST_RECURSION_COUNT",
        crate::capture::REQUEST_VARIABLE,
    ];
    const PREFIXES: [&str; 4] = [
        "CARGO_BIN_EXE_",
        "CARGO_CFG_",
        "CARGO_FEATURE_",
        "CARGO_PKG_",
    ];
    let bytes = name.as_encoded_bytes();
    NAMES.iter().any(|known| bytes == known.as_bytes())
        || PREFIXES
            .iter()
            .any(|prefix| bytes.starts_with(prefix.as_bytes()))
}

/// Whether a variable changes what the compiler produces, so that a captured
/// command is only valid while it stays the same.
pub(crate) fn matters_to_compiler(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    (bytes.starts_with(b"RUST") && !bytes.starts_with(b"RUST_LOG") && bytes != b"RUST_BACKTRACE")
        || bytes.starts_with(b"CARGO_BUILD_")
        || bytes.starts_with(b"CARGO_ENCODED_")
        || bytes.starts_with(b"CARGO_PROFILE_")
        || bytes.starts_with(b"CARGO_TARGET_")
        || [
            &b"CARGO_INCREMENTAL"[..],
            b"CARGO_HOME",
            b"CC",
            b"LIBRARY_PATH",
        ]
        .contains(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_sets_is_removed_and_the_rest_stays() {
        let cases = [
            ("CARGO", false),
            ("CARGO_MANIFEST_DIR", false),
            ("CARGO_PKG_VERSION_MAJOR", false),
            ("CARGO_BIN_EXE_engine", false),
            ("OUT_DIR", false),
            ("CARGO_MAKEFLAGS", false),
            ("CARGO_HOME", true),
            ("CARGO_TARGET_DIR", true),
            ("CARGO_INCREMENTAL", true),
            ("RUSTFLAGS", true),
            ("RUSTUP_TOOLCHAIN", true),
            ("LD_LIBRARY_PATH", true),
            ("PATH", true),
        ];
        for (name, stays) in cases {
            let left = cleaned([(name.into(), "x".into())].into_iter());
            assert_eq!(left.len() == 1, stays, "{name}");
        }
    }
}
