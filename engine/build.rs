//! Sets the run path, so that the engine starts without cargo's environment.
//!
//! The shared dylib lies beside the binary (cargo puts it into `deps`), the
//! standard library in the toolchain.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=LIVELOOP_TARGET={target}");
    if env::var_os("CARGO_FEATURE_LIVE").is_none() || target.contains("windows") {
        return;
    }
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = Command::new(rustc).args(["--print", "sysroot"]).output();
    let sysroot = sysroot.map(|output| output.stdout).unwrap_or_default();
    let sysroot = String::from_utf8_lossy(&sysroot).trim().to_owned();
    let beside = if target.contains("apple") {
        "@loader_path"
    } else {
        "$ORIGIN"
    };
    for path in [
        beside.to_owned(),
        format!("{beside}/deps"),
        format!("{beside}/.."),
        format!("{sysroot}/lib/rustlib/{target}/lib"),
        format!("{sysroot}/lib"),
    ] {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{path}");
    }
}
