//! The world, for as long as scripts may use it.
//!
//! Scripts run below a call of the engine that has the world: [`enter`] keeps a pointer to it
//! for the time of that call. Whoever uses the world takes the pointer out of its place and
//! puts it back, so that there are never two at once.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;

use engine_api::bevy_ecs::world::World;
use engine_runtime::panic;
use mlua::Lua;

use super::types::Types;

thread_local! {
    /// The world that this thread may use, [`BUSY`] while it does, null if there is none.
    static WORLD: Cell<*mut World> = const { Cell::new(ptr::null_mut()) };
    /// Its types, once it has been used.
    static TYPES: Cell<Option<Arc<Types>>> = const { Cell::new(None) };
}

/// What is in the place of a world that is in use.
const BUSY: *mut World = ptr::dangling_mut();

/// Puts back the world from before.
struct Restore {
    world: *mut World,
    types: Option<Arc<Types>>,
}

impl Restore {
    /// Puts something in the world's place.
    fn after(world: *mut World) -> Self {
        Self {
            world: WORLD.replace(world),
            types: TYPES.take(),
        }
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        WORLD.set(self.world);
        TYPES.set(self.types.take());
    }
}

/// Runs something in which scripts can use a world.
pub(super) fn enter<R>(world: &mut World, run: impl FnOnce() -> R) -> R {
    let _restore = Restore::after(ptr::from_mut(world));
    run()
}

/// What a use of the world has.
pub(super) struct Context<'a> {
    pub(super) lua: &'a Lua,
    pub(super) world: &'a mut World,
    pub(super) types: &'a Types,
}

/// Uses the world. No Lua code may run in `run`, but for finalizers, which find it busy.
///
/// # Errors
/// If there is none, or what `run` says. A panic of game code (a hook, a `Default`) is an
/// error as well.
pub(super) fn with<R>(
    lua: &Lua,
    run: impl FnOnce(&mut Context<'_>) -> mlua::Result<R>,
) -> mlua::Result<R> {
    let mut taken = Restore::after(BUSY);
    if ptr::eq(taken.world, BUSY) {
        let message = "the world cannot be used by a finalizer";
        return Err(mlua::Error::runtime(message));
    }
    // SAFETY: `enter` has borrowed it for the time that the pointer is in its place, and while it
    // is taken out nobody else gets at it.
    let Some(world) = (unsafe { taken.world.as_mut() }) else {
        return Err(mlua::Error::runtime(
            "the world cannot be used while a module is loaded or no frame runs; use it in a \
             function that the engine calls",
        ));
    };
    let types = taken.types.get_or_insert_with(|| Types::of(lua, world));
    let mut context = Context { lua, world, types };
    let done = panic::guard(|| run(&mut context));
    done.unwrap_or_else(|report| {
        let summary = report.summary();
        Err(mlua::Error::runtime(format!(
            "code of the game panicked: {summary}"
        )))
    })
}
