//! Observers that are attached to entities by name.
//!
//! bevy's `commands.entity(e).observe(f)` makes a system of `f` that belongs to one world and to
//! the code that made it: it runs the old code after a reload, and is in no checkpoint. Here the
//! function is registered once, and what an entity has is the function's path, in the component
//! [`Attached`]. That is data like any other: it survives reloads and rebuilt worlds, is in
//! checkpoints and scenes, and the next event runs the function as the active version has it.
//!
//! ```
//! use engine_api::prelude::*;
//!
//! #[derive(EntityEvent, TypePath)]
//! struct Hurt {
//!     entity: Entity,
//!     points: u32,
//! }
//!
//! fn on_hurt(hurt: On<Hurt>) {
//!     log::info!("{} lost {} points", hurt.entity, hurt.points);
//! }
//!
//! fn spawn_boss(mut commands: Commands) {
//!     commands.spawn(Name::new("Boss".to_owned())).attach(on_hurt);
//! }
//!
//! #[module]
//! pub fn game(m: &mut ModuleBuilder) {
//!     m.event::<Hurt>().entity_observer(on_hurt).systems(Startup, spawn_boss);
//! }
//! # fn main() {}
//! ```
//!
//! A function is found by its path (`game::on_hurt`). So closures and function pointers cannot be
//! attached, and one that is renamed or moved is no longer found: its name stays where it is, the
//! engine says so at the swap, and under the old path it is called again. A clone of an entity
//! has what the entity has.
//!
//! Events that climb (`#[entity_event(propagate)]`) ask each entity on their way. Events of
//! components (`On<Add<T>>`, `On<Remove<T>>`) are heard as well; what was added before the
//! function was attached was not.

use std::any::type_name;
use std::marker::PhantomData;

use bevy_ecs::change_detection::{CheckChangeTicks, Tick};
use bevy_ecs::component::Component;
use bevy_ecs::event::{EntityEvent, EventPattern};
use bevy_ecs::observer::On;
use bevy_ecs::query::FilteredAccess;
use bevy_ecs::reflect::ReflectComponent;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{
    EntityCommands, IntoObserverSystem, ObserverSystem, RunSystemError, System, SystemAccess,
    SystemIn, SystemStateFlags,
};
use bevy_ecs::utils::prelude::DebugName;
use bevy_ecs::world::unsafe_world_cell::UnsafeWorldCell;
use bevy_ecs::world::{DeferredWorld, EntityWorldMut, World};
use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;

use crate::log::{self, Level};
use crate::path;

#[cfg(test)]
mod tests;

/// Paths of the functions that hear the events of an entity; see [`Attach`].
///
/// The text is the component's own: it refers to no code.
#[derive(Component, Reflect, Debug, Default, Clone, PartialEq, Eq)]
#[reflect(Component, Default)]
pub struct Attached(Vec<String>);

impl Attached {
    /// Whether the function of this path is attached. Compares text, does not allocate.
    pub fn contains(&self, function: &str) -> bool {
        self.0.iter().any(|name| name == function)
    }

    /// The functions' paths, in the order in which they were attached.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Functions that the active versions registered with
/// [`ModuleBuilder::entity_observer`](crate::module::ModuleBuilder::entity_observer). The engine
/// puts it into the world after each swap; while it is not there, nothing is said of functions
/// that nobody registered.
#[derive(Resource, Debug, Default)]
pub struct Attachable {
    names: Vec<String>,
    /// Those that were attached all the same, and about which a line was logged.
    missed: Vec<String>,
}

impl Attachable {
    /// Functions of these paths.
    pub fn new(names: Vec<String>) -> Self {
        Self {
            names,
            missed: Vec::new(),
        }
    }

    /// Whether a function of this path is registered.
    pub fn contains(&self, function: &str) -> bool {
        self.names.iter().any(|name| name == function)
    }

    /// Says once of each function that it is not registered.
    fn check(&mut self, function: &str) {
        if !self.contains(function) && !self.missed.iter().any(|name| name == function) {
            self.missed.push(function.to_owned());
            log::write(
                Level::Warn,
                function,
                format_args!(
                    "`{function}` was attached to an entity and hears nothing: no module \
                     registers it (`m.entity_observer`)"
                ),
            );
        }
    }
}

/// Makes a world know the engine's own types for attached observers. Calling it again does
/// nothing.
pub fn declare(world: &mut World) {
    world.register_component::<Attached>();
    world.register_component::<Attachable>();
}

/// Attaching observers to entities: for `commands.entity(e)`, `commands.spawn(..)` and
/// [`EntityWorldMut`].
pub trait Attach {
    /// From now on, `observer` hears the events of this entity; in later versions too, as they
    /// have it. It has to be registered with
    /// [`ModuleBuilder::entity_observer`](crate::module::ModuleBuilder::entity_observer); one that
    /// is not hears nothing, and a line of the log says so. Attaching it twice is attaching it
    /// once. Allocates for its path; with commands, an entity that is gone is an error of the
    /// command, as it is for `insert`.
    ///
    /// # Panics
    /// If `observer` is a closure or a function pointer: nothing tells it from others.
    #[track_caller]
    fn attach<E, M, I>(&mut self, observer: I) -> &mut Self
    where
        E: EventPattern<Event: EntityEvent>,
        I: IntoObserverSystem<E, M>;

    /// `observer` no longer hears the events of this entity; nothing happens if it did not.
    ///
    /// # Panics
    /// If `observer` is a closure or a function pointer.
    #[track_caller]
    fn detach<E, M, I>(&mut self, observer: I) -> &mut Self
    where
        E: EventPattern<Event: EntityEvent>,
        I: IntoObserverSystem<E, M>;
}

impl Attach for EntityCommands<'_> {
    fn attach<E, M, I>(&mut self, _: I) -> &mut Self
    where
        E: EventPattern<Event: EntityEvent>,
        I: IntoObserverSystem<E, M>,
    {
        queue(self, path_of::<I>(), attach);
        self
    }

    fn detach<E, M, I>(&mut self, _: I) -> &mut Self
    where
        E: EventPattern<Event: EntityEvent>,
        I: IntoObserverSystem<E, M>,
    {
        queue(self, path_of::<I>(), detach);
        self
    }
}

impl Attach for EntityWorldMut<'_> {
    fn attach<E, M, I>(&mut self, _: I) -> &mut Self
    where
        E: EventPattern<Event: EntityEvent>,
        I: IntoObserverSystem<E, M>,
    {
        attach(self, path_of::<I>());
        self
    }

    fn detach<E, M, I>(&mut self, _: I) -> &mut Self
    where
        E: EventPattern<Event: EntityEvent>,
        I: IntoObserverSystem<E, M>,
    {
        detach(self, path_of::<I>());
        self
    }
}

// Neither generic nor inlined: the command's code is in this crate, not in the module's.
#[inline(never)]
fn queue(
    entity: &mut EntityCommands<'_>,
    function: &str,
    change: fn(&mut EntityWorldMut<'_>, &str),
) {
    let function = function.to_owned();
    entity.queue(move |mut entity: EntityWorldMut<'_>| change(&mut entity, &function));
}

#[inline(never)]
fn attach(entity: &mut EntityWorldMut<'_>, function: &str) {
    if let Some(mut known) = entity.get_resource_mut::<Attachable>() {
        known.check(function);
    }
    if let Some(mut attached) = entity.get_mut::<Attached>() {
        if !attached.contains(function) {
            attached.0.push(function.to_owned());
        }
    } else {
        entity.insert(Attached(vec![function.to_owned()]));
    }
}

#[inline(never)]
fn detach(entity: &mut EntityWorldMut<'_>, function: &str) {
    let Some(mut attached) = entity.get_mut::<Attached>() else {
        return;
    };
    if attached.contains(function) {
        attached.0.retain(|name| name != function);
        if attached.0.is_empty() {
            entity.remove::<Attached>();
        }
    }
}

/// What is wrong with attaching a function whose type has this name.
pub(crate) fn check_path(function: &str) -> Result<(), String> {
    if path::is_of_function(function) {
        return Ok(());
    }
    Err(format!(
        "`{function}` cannot be attached to entities: they know their observers by name, and \
         closures and function pointers have none; write a function (`fn on_hurt(hurt: \
         On<Hurt>)`)"
    ))
}

#[track_caller]
fn path_of<I>() -> &'static str {
    let path = type_name::<I>();
    if let Err(message) = check_path(path) {
        panic!("{message}");
    }
    path
}

/// An observer that runs for the entities it is attached to.
pub(crate) struct ForAttached<E, S> {
    observer: S,
    name: &'static str,
    event: PhantomData<fn() -> E>,
}

impl<E, S> ForAttached<E, S> {
    /// `name` is what entities know `observer` by.
    pub(crate) fn new(observer: S, name: &'static str) -> Self {
        Self {
            observer,
            name,
            event: PhantomData,
        }
    }
}

impl<E: EventPattern<Event: EntityEvent>, S: ObserverSystem<E>> System for ForAttached<E, S> {
    type In = On<'static, 'static, E>;
    type Out = ();

    fn name(&self) -> DebugName {
        self.observer.name()
    }

    fn flags(&self) -> SystemStateFlags {
        self.observer.flags()
    }

    unsafe fn run_unsafe(
        &mut self,
        input: SystemIn<'_, Self>,
        world: UnsafeWorldCell,
    ) -> Result<(), RunSystemError> {
        let target = world.get_entity(input.event().event_target());
        // SAFETY: `initialize` declared that `Attached` is read, of every entity; the reference
        // is gone before the observer runs.
        let attached = target
            .ok()
            .and_then(|target| unsafe { target.get::<Attached>() });
        if !attached.is_some_and(|attached| attached.contains(self.name)) {
            return Ok(());
        }
        // SAFETY: the caller's promises are handed on: what `initialize` returned has the
        // observer's own access in it.
        unsafe { self.observer.run_unsafe(input, world) }
    }

    fn apply_deferred(&mut self, world: &mut World) {
        self.observer.apply_deferred(world);
    }

    fn queue_deferred(&mut self, world: DeferredWorld) {
        self.observer.queue_deferred(world);
    }

    fn initialize(&mut self, world: &mut World) -> SystemAccess {
        let mut access = self.observer.initialize(world);
        let mut reads = FilteredAccess::default();
        reads.add_read(world.register_component::<Attached>());
        // No conflict with the observer's own parameters: one is over before the other begins.
        access.ensure_filtered_access(reads);
        access
    }

    fn check_change_tick(&mut self, check: CheckChangeTicks) {
        self.observer.check_change_tick(check);
    }

    fn get_last_run(&self) -> Tick {
        self.observer.get_last_run()
    }

    fn set_last_run(&mut self, last_run: Tick) {
        self.observer.set_last_run(last_run);
    }
}
