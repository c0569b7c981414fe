//! What becomes of modules while the game runs, for systems, observers and scripts.
//!
//! The engine says it twice: it triggers [`ModuleReload`] as an event, which observers hear at
//! that moment, and sends it as a message, which systems read in the next frame. Modules of all
//! kinds are told of, and nothing has to be registered.
//!
//! ```
//! use engine_api::prelude::*;
//!
//! fn show(mut reloads: MessageReader<ModuleReload>) {
//!     for reload in reloads.read() {
//!         match reload.step {
//!             ReloadStep::AfterUpdate => log::info!("{} is new", reload.module),
//!             ReloadStep::Error => log::info!("{} is as it was", reload.module),
//!             ReloadStep::BeforeUpdate => {}
//!         }
//!     }
//! }
//!
//! /// Runs before anything of the old version is touched.
//! fn let_go(reload: On<ModuleReload>, mut commands: Commands) {
//!     if reload.step == ReloadStep::BeforeUpdate && reload.module == "physics" {
//!         commands.remove_resource::<Cache>();
//!     }
//! }
//!
//! #[derive(Resource, Reflect, Default)]
//! struct Cache(Vec<u32>);
//!
//! #[module]
//! pub fn game(m: &mut ModuleBuilder) {
//!     m.resource::<Cache>().systems(Update, show).observe(let_go);
//! }
//! # fn main() {}
//! ```

use std::any::TypeId;

use bevy_ecs::event::Event;
use bevy_ecs::message::{Message, Messages};
use bevy_ecs::world::World;
use bevy_reflect::Reflect;

use crate::state::StateType;

/// A step of a module's reload. See [`reload`](self).
#[derive(Event, Message, Reflect, Debug, Clone, PartialEq, Eq)]
pub struct ModuleReload {
    /// Module.
    pub module: String,
    /// Its kind: `native`, `static`, `lua`.
    pub kind: String,
    /// What happens.
    pub step: ReloadStep,
    /// Number of the version that runs before; `None` if this is the first.
    pub from: Option<u32>,
    /// Number of the new version; `None` if it could not even be loaded.
    pub to: Option<u32>,
    /// Why the version did not get in, for people; only with [`ReloadStep::Error`].
    pub error: Option<String>,
}

/// What happens in a reload.
#[derive(Reflect, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadStep {
    /// The new version is loaded and about to get in. Nothing was touched yet.
    BeforeUpdate,
    /// The new version runs.
    AfterUpdate,
    /// It could not be loaded, or was refused: the version before runs on. Source that does not
    /// compile never comes so far.
    Error,
}

/// The queue of [`ModuleReload`], for those who carry values from world to world.
pub fn queue_type() -> StateType {
    StateType::message::<ModuleReload>()
}

/// Identity of what [`queue_type`] stores in a world.
pub fn queue_id() -> TypeId {
    TypeId::of::<Messages<ModuleReload>>()
}

/// Makes a world know the engine's own types for reloads. Calling it again does nothing.
pub fn declare(world: &mut World) {
    world.register_component::<Messages<ModuleReload>>();
    world.register_event_key::<ModuleReload>();
}

/// Called once a frame: the queue forgets what is two frames old.
pub fn end_frame(world: &mut World) {
    if let Some(mut queue) = world.get_resource_mut::<Messages<ModuleReload>>() {
        queue.update();
    }
}

/// Triggers it as an event and sends it as a message. Observers are code of modules; a panic
/// of one is passed on if no gate keeps it.
pub fn tell(world: &mut World, reload: ModuleReload) {
    world.init_resource::<Messages<ModuleReload>>();
    world.trigger(reload.clone());
    world.flush();
    if let Some(mut queue) = world.get_resource_mut::<Messages<ModuleReload>>() {
        queue.write(reload);
    }
}
