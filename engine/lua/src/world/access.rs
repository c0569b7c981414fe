//! The world, for as long as scripts may use it.
//!
//! Scripts run below a call of the engine that has the world: [`enter`] keeps a pointer to it
//! for the time of that call. Whoever uses the world takes the pointer out of its place and
//! puts it back, so that there are never two at once.

use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::Arc;

use engine_api::bevy_ecs::world::World;
use engine_runtime::panic;
use mlua::Lua;

use super::types::Types;

/// What this thread may do with a world.
#[derive(Default)]
enum Access {
    /// There is none.
    #[default]
    Outside,
    /// It is in use.
    Busy,
    /// This one.
    Inside(NonNull<World>, Arc<Types>),
}

thread_local! {
    static ACCESS: RefCell<Access> = const { RefCell::new(Access::Outside) };
}

/// Sets what may be done, and gives what could be done before.
fn replace(access: Access) -> Access {
    ACCESS.with(|place| place.replace(access))
}

/// Puts back what was there before.
struct Restore(Option<Access>);

impl Drop for Restore {
    fn drop(&mut self) {
        replace(self.0.take().unwrap_or_default());
    }
}

/// Runs something in which scripts can use a world.
pub(super) fn enter<R>(lua: &Lua, world: &mut World, run: impl FnOnce() -> R) -> R {
    let types = Types::of(lua, world);
    let inside = Access::Inside(NonNull::from(world), types);
    let _restore = Restore(Some(replace(inside)));
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
    let taken = Restore(Some(replace(Access::Busy)));
    match &taken.0 {
        Some(Access::Inside(pointer, types)) => {
            // SAFETY: `enter` has borrowed it for the time that the pointer is in its place,
            // and while it is taken out nobody else gets at it.
            let world = unsafe { &mut *pointer.as_ptr() };
            let mut context = Context { lua, world, types };
            let done = panic::guard(|| run(&mut context));
            done.unwrap_or_else(|report| {
                let summary = report.summary();
                Err(mlua::Error::runtime(format!(
                    "code of the game panicked: {summary}"
                )))
            })
        }
        Some(Access::Busy) => Err(mlua::Error::runtime(
            "the world cannot be used by a finalizer",
        )),
        _ => Err(mlua::Error::runtime(
            "the world cannot be used while a module is loaded or no frame runs; use it in a \
             function that the engine calls",
        )),
    }
}
