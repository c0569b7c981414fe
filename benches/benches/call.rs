//! What does a call cost that goes through the table and is counted?
//!
//! Peers: a plain function pointer, and the `hot_module!` of hot-lib-reloader with a
//! library made for this run. Target: at most 3 ns over the plain pointer, on the
//! thread that runs frames.
//!
//! Run: `cargo bench -p liveloop_benches --bench call`

#![expect(
    clippy::unwrap_used,
    reason = "without its fixture there is nothing to measure"
)]

use std::env;
use std::fs;
use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use criterion::Criterion;
use engine_api::module::ModuleBuilder;
use engine_runtime::call;
use engine_runtime::registry::{Registry, TypedFunction};
use liveloop_benches::{arena, fixture, is_full_run, paired};

type Damage = fn(i32, i32) -> i32;

/// The same function for hot-lib-reloader.
const PEER_SOURCE: &str = "
#[unsafe(no_mangle)]
#[inline(never)]
pub fn peer_damage(attack: i32, defense: i32) -> i32 { attack.saturating_sub(defense).max(0) }
";

/// Folder with the library made from [`PEER_SOURCE`].
static PEER_FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = env::temp_dir().join(format!("liveloop-bench-{}", std::process::id()));
    let source = folder.join("peer.rs");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&source, PEER_SOURCE))
        .unwrap();
    let status = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition=2024",
            "--crate-type=cdylib",
            "--crate-name=liveloop_peer",
            "-O",
        ])
        .arg("--out-dir")
        .arg(&folder)
        .arg(source)
        .status();
    assert!(
        status.unwrap().success(),
        "the peer's library does not compile"
    );
    folder
});

#[hot_lib_reloader::hot_module(dylib = "liveloop_peer", lib_dir = super::PEER_FOLDER.as_path())]
mod peer {
    #[hot_functions]
    extern "Rust" {
        pub fn peer_damage(attack: i32, defense: i32) -> i32;
    }
}

fn table() -> TypedFunction<Damage> {
    call::prepare();
    let registry = Registry::default();
    registry.add_module(arena::NAME, "linked");
    let key = registry.reserve(arena::NAME).unwrap();
    let mut builder = ModuleBuilder::new();
    builder.function("damage", arena::damage);
    let functions = builder.finish().functions;
    let names = vec!["damage".to_owned()];
    registry.set_loaded(
        arena::NAME,
        key,
        "0.1.0",
        1,
        Box::<fixture::Linked>::default(),
        names,
    );
    registry.activate(arena::NAME, key, &functions, 0);
    registry.function(arena::NAME, "damage").unwrap()
}

fn calls(criterion: &mut Criterion, function: &TypedFunction<Damage>, pointer: Damage) {
    let mut group = criterion.benchmark_group("call");
    group.bench_function("plain_pointer", |bencher| {
        bencher.iter(|| black_box(pointer)(black_box(12), black_box(5)));
    });
    group.bench_function("table", |bencher| {
        bencher.iter(|| black_box(function).call(black_box(12), black_box(5)));
    });
    group.bench_function("hot_module", |bencher| {
        bencher.iter(|| peer::peer_damage(black_box(12), black_box(5)));
    });
    group.finish();
}

/// Calls in one measurement of a pair.
const CALLS: u32 = 20_000;

fn time(mut call: impl FnMut() -> i32) -> Duration {
    let start = Instant::now();
    for _ in 0..CALLS {
        black_box(call());
    }
    start.elapsed()
}

fn in_turns(function: &TypedFunction<Damage>, pointer: Damage) {
    let table = || {
        time(|| {
            black_box(function)
                .call(black_box(12), black_box(5))
                .unwrap_or(0)
        })
    };
    let plain = || time(|| black_box(pointer)(black_box(12), black_box(5)));
    let hot = || time(|| peer::peer_damage(black_box(12), black_box(5)));
    let mut out = std::io::stdout().lock();
    let ours = paired::measure(2001, table, plain).each(CALLS);
    writeln!(
        out,
        "call through the table, over a plain pointer: {ours} (target: 3 ns more)"
    )
    .unwrap();
    let peers = paired::measure(501, hot, plain).each(CALLS);
    writeln!(
        out,
        "call through hot_module!, over a plain pointer: {peers}"
    )
    .unwrap();
}

fn main() {
    let function = table();
    let pointer: Damage = arena::damage;
    assert_eq!(
        (function.call(12, 5), peer::peer_damage(12, 5)),
        (Some(7), 7)
    );
    let mut criterion = Criterion::default().configure_from_args();
    calls(&mut criterion, &function, pointer);
    criterion.final_summary();
    if is_full_run() {
        in_turns(&function, pointer);
    }
    let _ = fs::remove_dir_all(&*PEER_FOLDER);
}
