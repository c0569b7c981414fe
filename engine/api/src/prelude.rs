//! What a game file imports: `use engine_api::prelude::*;`.
//!
//! The names of bevy_ecs that game code uses, without its schedules: a module
//! puts systems into stages through [`ModuleBuilder::systems`].

pub use bevy_ecs;
pub use bevy_ecs::prelude::{
    Add, Added, AnyOf, Bundle, Changed, ChildOf, Children, Command, Commands, Component, Deferred,
    Despawn, DetectChanges, DetectChangesMut, Entity, EntityCommands, EntityEvent, EntityMut,
    EntityRef, EntityWorldMut, Event, FromWorld, Has, InMut, Insert, Local, Message, MessageWriter,
    Messages, Mut, Name, On, Or, ParamSet, Populated, Query, QueryState, Ref, ReflectComponent,
    ReflectResource, Remove, RemovedComponents, Res, ResMut, Resource, Single, SystemCondition,
    With, Without, World, any_with_component, not, resource_changed, resource_exists,
    resource_exists_and_changed,
};
pub use bevy_reflect;
pub use bevy_reflect::prelude::{
    FromReflect, PartialReflect, Reflect, ReflectDefault, ReflectFromReflect, TypePath,
};

pub use crate::attach::{Attach, Attached};
pub use crate::callback::{Callback, Callbacks};
pub use crate::hook::{Reload, Unloaded};
pub use crate::input::{Input, Key, MouseButton};
pub use crate::job::{Job, JobFailed, JobId, Jobs};
pub use crate::keep::Keep;
pub use crate::keep_static;
pub use crate::log;
pub use crate::message::MessageReader;
pub use crate::module::{
    ModuleBuilder,
    Stage::{self, PostUpdate, PreUpdate, Render, Startup, Update},
};
pub use crate::reload::{ModuleReload, ReloadStep};
pub use crate::schema::RenamedFrom;
pub use crate::shared::{Shared, SharedMut};
pub use crate::system::IntoSystems;
pub use crate::time::Time;
pub use crate::value::Value;
pub use crate::viewport::{Color, Viewport};
pub use engine_macros::{module, shared_state};
