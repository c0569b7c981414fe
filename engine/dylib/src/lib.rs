//! The one shared copy of `engine_api` and `bevy_ecs` that the engine and the
//! native modules link in live builds.
//!
//! With the ECS linked statically into both sides its statics would exist
//! twice, `TypeId`s would differ and a panic could not cross. A `dylib` crate
//! that re-exports them makes the compiler link both sides against this one.
//!
//! It must never be a selected package (see `exclude` in the root
//! `Cargo.toml`): cargo passes `prefer-dynamic` only to a dylib that is a mere
//! dependency, and without it the link fails with "only shows up once".
//!
//! It also makes [`Zeroing`] the allocator of the process.

pub use engine_api;
use engine_api::zeroing::Zeroing;

#[global_allocator]
static ALLOCATOR: Zeroing = Zeroing;
