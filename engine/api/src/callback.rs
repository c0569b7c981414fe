//! Callbacks that systems start while the game runs: later, again and again, on a key.
//!
//! A closure with what it captured is code of one version: after a reload it would run the old
//! body, and it is in no checkpoint. Here the function is registered once, and what waits is an
//! entity with the function's path and the data it is to be called with. That is data like any
//! other: it survives reloads and rebuilt worlds, it migrates when its type changes, it is in
//! checkpoints, and when its time has come, the function runs as the active version has it.
//!
//! ```
//! use std::time::Duration;
//! use engine_api::prelude::*;
//!
//! /// What a closure would have captured.
//! #[derive(Reflect, Default)]
//! #[reflect(Default)]
//! struct Bomb {
//!     place: u32,
//!     beeps: u32,
//! }
//!
//! fn explode(bomb: InMut<Bomb>) {
//!     log::info!("boom at {}", bomb.place);
//! }
//!
//! /// The data is the function's own from call to call.
//! fn beep(mut bomb: InMut<Bomb>) {
//!     bomb.beeps += 1;
//! }
//!
//! fn pause() {}
//!
//! fn arm(mut commands: Commands) {
//!     let beeps = commands.run_every(Duration::from_secs(1), beep, Bomb::default());
//!     commands.run_after(Duration::from_secs(5), explode, Bomb { place: 3, beeps: 0 });
//!     commands.run_on_key(Key::Char('p'), pause, ());
//!     // What waits is an entity: despawned, it is cancelled.
//!     commands.entity(beeps).despawn();
//! }
//!
//! #[module]
//! pub fn game(m: &mut ModuleBuilder) {
//!     m.callback(explode).callback(beep).callback(pause).systems(Startup, arm);
//! }
//! # fn main() {}
//! ```
//!
//! A function is found by its path (`game::explode`), so closures and function pointers are
//! refused. One that is renamed or moved is no longer found: the engine says so at the swap, what
//! waits for it waits on with the time that it has left, and under the old path it is called.
//!
//! Callbacks run in [`PreUpdate`](crate::module::Stage::PreUpdate), after the module's systems
//! that were registered before `m.callback`; times are game time. One that panics is called again
//! by the module's next version, with the data as the panic left it.

use std::any::type_name;
use std::time::Duration;

use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::reflect::ReflectComponent;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{BoxedSystem, Commands, EntityCommands, InMut, IntoSystem};
use bevy_ecs::world::{EntityWorldMut, World};
use bevy_reflect::Reflect;

use crate::input::Key;
use crate::keep::{KeepValue, Kept};
use crate::log::{self, Level};
use crate::path;
use crate::time::Time;

mod system;
#[cfg(test)]
mod tests;

pub(crate) use system::configure;

/// A call that waits: its function, and when it comes. The entity that it is on has the data as
/// [`Kept`]; queries that do not name `Callback` do not see it.
///
/// The text is the component's own: it refers to no code.
#[derive(Component, Reflect, Debug, Clone, PartialEq, Eq)]
#[reflect(Component)]
pub struct Callback {
    function: String,
    when: When,
    /// Number of the frame in which it was started, which does not count for it.
    started: u64,
}

/// When a callback is called. Times are nanoseconds of game time, and what is left of them, so
/// that a scene can be loaded into a game whose clock shows something else.
#[derive(Reflect, Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Once.
    After { left: u64 },
    /// Again and again.
    Every { period: u64, left: u64 },
    /// Each time the key goes down.
    Pressed { key: Key },
}

impl Callback {
    /// Path of the function: `game::explode`.
    pub fn function(&self) -> &str {
        &self.function
    }
}

/// Functions that the active versions registered with
/// [`ModuleBuilder::callback`](crate::module::ModuleBuilder::callback). The engine puts it into
/// the world after each swap; while it is not there, everything can be called.
#[derive(Resource, Debug, Default)]
pub struct Callable(pub Vec<String>);

/// Makes a world know the engine's own types for callbacks, and hides their entities from
/// queries that were not made yet. Calling it again does nothing.
pub fn declare(world: &mut World) {
    world.register_disabling_component::<Callback>();
    world.register_component::<Callable>();
}

/// Functions that can be called back: systems whose first parameter is `InMut<T>`, and for
/// `T = ()` also those without.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be called back with `{T}`",
    note = "a callback is a system whose first parameter is its data (`fn explode(bomb: \
            InMut<Bomb>, mut commands: Commands)`); one without data is called with `()`"
)]
pub trait CallbackFunction<T: KeepValue, Marker>: 'static {
    #[doc(hidden)]
    fn into_callback(self) -> BoxedSystem<InMut<'static, T>>;
}

#[doc(hidden)]
pub struct WithData;

impl<F, T, M> CallbackFunction<T, (WithData, M)> for F
where
    T: KeepValue,
    F: IntoSystem<InMut<'static, T>, (), M> + 'static,
{
    fn into_callback(self) -> BoxedSystem<InMut<'static, T>> {
        Box::new(IntoSystem::into_system(self))
    }
}

#[doc(hidden)]
pub struct WithoutData;

impl<F, M> CallbackFunction<(), (WithoutData, M)> for F
where
    F: IntoSystem<(), (), M> + 'static,
    M: 'static,
{
    fn into_callback(self) -> BoxedSystem<InMut<'static, ()>> {
        let without = |_: InMut<()>| {};
        Box::new(IntoSystem::into_system(without.pipe(self)))
    }
}

/// Starting callbacks, for [`Commands`] (a function that has the world takes
/// `world.commands()`).
///
/// All of these give the entity that waits; despawning it cancels the callback. The function has
/// to be registered with [`ModuleBuilder::callback`](crate::module::ModuleBuilder::callback): if
/// it is not, nothing waits, and an error in the log says so. Each allocates for the function's
/// path.
///
/// # Panics
/// All of these, if the function is a closure or a function pointer: nothing tells it from others.
pub trait Callbacks {
    /// Calls `function` once, when `delay` of game time has passed.
    #[track_caller]
    fn run_after<T: KeepValue, M>(
        &mut self,
        delay: Duration,
        function: impl CallbackFunction<T, M>,
        data: T,
    ) -> Entity;

    /// Calls `function` each time `period` of game time has passed; at most once in a frame.
    #[track_caller]
    fn run_every<T: KeepValue, M>(
        &mut self,
        period: Duration,
        function: impl CallbackFunction<T, M>,
        data: T,
    ) -> Entity;

    /// Calls `function` each time `key` goes down.
    #[track_caller]
    fn run_on_key<T: KeepValue, M>(
        &mut self,
        key: Key,
        function: impl CallbackFunction<T, M>,
        data: T,
    ) -> Entity;
}

impl Callbacks for Commands<'_, '_> {
    fn run_after<T: KeepValue, M>(
        &mut self,
        delay: Duration,
        function: impl CallbackFunction<T, M>,
        data: T,
    ) -> Entity {
        let when = When::After {
            left: nanoseconds(delay),
        };
        start(self.spawn(Kept(data)), path_of(&function), when)
    }

    fn run_every<T: KeepValue, M>(
        &mut self,
        period: Duration,
        function: impl CallbackFunction<T, M>,
        data: T,
    ) -> Entity {
        let period = nanoseconds(period);
        let when = When::Every {
            period,
            left: period,
        };
        start(self.spawn(Kept(data)), path_of(&function), when)
    }

    fn run_on_key<T: KeepValue, M>(
        &mut self,
        key: Key,
        function: impl CallbackFunction<T, M>,
        data: T,
    ) -> Entity {
        let when = When::Pressed { key };
        start(self.spawn(Kept(data)), path_of(&function), when)
    }
}

/// `u64` nanoseconds are five hundred years.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[track_caller]
fn path_of<F>(_: &F) -> &'static str {
    let name = type_name::<F>();
    if let Err(message) = check_path(name) {
        panic!("{message}");
    }
    name
}

/// What is wrong with calling back a function whose type has this name.
pub(crate) fn check_path(function: &str) -> Result<(), String> {
    if path::is_of_function(function) {
        return Ok(());
    }
    Err(format!(
        "`{function}` cannot be called back: what waits knows its function by name, and closures \
         and function pointers have none; write a function (`fn explode(bomb: InMut<Bomb>)`) and \
         hand over what a closure would capture as its data"
    ))
}

// Neither generic nor inlined: the command's code is in this crate, not in the module's.
#[inline(never)]
fn start(mut entity: EntityCommands<'_>, function: &str, when: When) -> Entity {
    let function = function.to_owned();
    entity.queue(move |entity: EntityWorldMut<'_>| put(entity, function, when));
    entity.id()
}

fn put(mut entity: EntityWorldMut<'_>, function: String, when: When) {
    let callable = entity.get_resource::<Callable>();
    if callable.is_some_and(|callable| !callable.0.contains(&function)) {
        log::write(
            Level::Error,
            &function,
            format_args!(
                "`{function}` is not called back: no module registers it; add \
                 `m.callback({})` to the module function",
                function.rsplit("::").next().unwrap_or_default()
            ),
        );
        entity.despawn();
        return;
    }
    let time = entity.get_resource::<Time>();
    let started = time.map_or(0, Time::frame);
    entity.insert(Callback {
        function,
        when,
        started,
    });
}
