//! Computes the build identity that every native module carries: a module is
//! only loaded by an engine that was built from the same compiler, profile and
//! `engine_api` source.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("-vV")
        .output()
        .map(|output| output.stdout);
    let version = String::from_utf8_lossy(&version.unwrap_or_default()).into_owned();
    let mut hasher = DefaultHasher::new();
    version.hash(&mut hasher);
    for name in [
        "TARGET",
        "OPT_LEVEL",
        "PROFILE",
        "CARGO_CFG_DEBUG_ASSERTIONS",
    ] {
        env::var(name).ok().hash(&mut hasher);
    }
    hash_dir(Path::new("src"), &mut hasher);
    let first_line = version.lines().next().unwrap_or("rustc (unknown)");
    println!("cargo::rustc-env=LIVELOOP_RUSTC={first_line}");
    println!("cargo::rustc-env=LIVELOOP_BUILD={}", hasher.finish());
}

fn hash_dir(dir: &Path, hasher: &mut DefaultHasher) {
    let mut paths: Vec<_> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            hash_dir(&path, hasher);
        } else {
            path.hash(hasher);
            fs::read(&path).unwrap_or_default().hash(hasher);
        }
    }
}
