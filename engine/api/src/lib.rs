//! All that game code sees.
//!
//! A game module is an ordinary crate with ordinary bevy_ecs systems and
//! `Reflect` types; one function marked [`module`] hands them to the engine:
//!
//! ```
//! use engine_api::prelude::*;
//!
//! #[derive(Component, Reflect, Default)]
//! #[reflect(Component, Default)]
//! pub struct Health {
//!     pub current: f32,
//!     pub max: f32,
//! }
//!
//! fn regenerate(time: Res<Time>, mut query: Query<&mut Health>) {
//!     for mut health in &mut query {
//!         health.current = (health.current + time.delta()).min(health.max);
//!     }
//! }
//!
//! pub fn damage(attack: i32, defense: i32) -> i32 {
//!     (attack - defense).max(0)
//! }
//!
//! #[module]
//! pub fn game_logic(m: &mut ModuleBuilder) {
//!     m.component::<Health>().systems(Update, regenerate).function("damage", damage);
//! }
//! ```
//!
//! This crate knows no terminal, file, compiler or backend: it describes what a
//! module offers, the engine decides what to do with it.
//!
//! | module | holds |
//! |---|---|
//! | [`module`](mod@module) | [`ModuleBuilder`](module::ModuleBuilder) and the description it collects |
//! | [`system`] | turning functions and tuples into systems with order and conditions |
//! | [`observer`] | observers that the engine can gate, count and remove |
//! | [`attach`] | observers that entities have by name |
//! | [`event`] | events that scripts trigger and hear |
//! | [`callback`] | functions called later, again and again, or on a key, with data that waits with them |
//! | [`function`], [`value`] | functions callable by name, typed and dynamic |
//! | [`state`] | the types that a module keeps in the world |
//! | [`migration`] | written migrations between types |
//! | [`component_hooks`] | hooks of components that follow their module's versions |
//! | [`hook`] | what a module does when its versions change |
//! | [`reload`] | what becomes of modules, as events and messages |
//! | [`keep`](mod@keep) | values of systems and statics that survive reloads |
//! | [`job`] | long work off the frame loop, whose result is an event |
//! | [`message`] | readers that hear each message once, over reloads too |
//! | [`shared`] | structs with a fixed layout that outlive the host |
//! | [`schema`] | the recursive description of a state type |
//! | [`asset`] | resources read from RON text |
//! | [`time`], [`input`], [`viewport`], [`log`] | what a frame offers to systems |
//! | [`sources`] | what a module's source says where reflection sees nothing |
//! | [`zeroing`] | the allocator of live builds |
//! | [`abi`] | what a native module exports, and how the engine knows it fits |

// The derives and macros of this crate name it from outside; so do its tests.
extern crate self as engine_api;

pub mod abi;
pub mod asset;
pub mod attach;
pub mod callback;
pub mod component_hooks;
pub mod event;
pub mod function;
pub mod hook;
pub mod input;
pub mod job;
pub mod keep;
pub mod log;
pub mod message;
pub mod migration;
pub mod module;
pub mod observer;
mod path;
pub mod prelude;
pub mod reload;
pub mod schema;
pub mod shared;
pub mod sources;
pub mod state;
pub mod system;
pub mod time;
pub mod value;
pub mod viewport;
pub mod zeroing;

pub use bevy_ecs;
pub use bevy_reflect;
pub use engine_macros::{module, shared_state};
