//! The figures of Liveloop, each beside its peer in the same run.
//!
//! | question | run | peer |
//! |---|---|---|
//! | What does a counted call through the table cost? | `cargo bench -p liveloop_benches --bench call` | a plain function pointer; `hot_module!` of hot-lib-reloader |
//! | How long does the frame loop stand still at a swap? | `cargo bench -p liveloop_benches --bench swap` | building a bevy_ecs `Schedule` of the same systems anew |
//! | What does a checkpoint cost the frame loop? | `cargo bench -p liveloop_benches --bench checkpoint` | the same values cloned |
//! | What does the engine cost per frame? | `cargo bench -p liveloop_benches --bench frame` | the same systems in a bevy_ecs `Schedule` |
//! | What does freed memory that is zero cost? | `cargo bench -p liveloop_benches --bench allocator` | the system's allocator |
//! | What does it cost to update entities from Lua? | `cargo bench -p liveloop_benches --bench lua_world` | the same loop over plain tables of Lua |
//! | What does a call of a Lua function through the registry cost? | `cargo bench -p liveloop_benches --bench lua_call` | a cached `mlua::Function` |
//! | How long from the save of a script to its new code, and how late is a frame for it? | `cargo bench -p liveloop_benches --bench lua_reload` | `mlua` alone |
//! | How long from save to new code running? | `cargo run -p liveloop_benches --bin edit_loop` | the bare `rustc` command; the flow of hot-lib-reloader |
//!
//! Every bench first runs its criterion group and then a *paired* measurement:
//! ours and the peer take turns within one loop, and the figure is the median of
//! the differences or ratios of neighbours ([`paired`]). On a machine that does
//! other things as well, only those last lines can be compared with a target of
//! a few per cent.
//!
//! | module | holds |
//! |---|---|
//! | [`paired`] | measuring two things in turns |
//! | [`fixture`] | a backend whose code was never loaded |
//! | [`arena`] | the game that is run and swapped |

pub mod arena;
pub mod fixture;
pub mod paired;

/// Whether this is `cargo bench` and not a test run of the same program.
pub fn is_full_run() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}
