//! Module hooks: what a module does when one of its versions gives way to the next.
//!
//! | hook | runs | in |
//! |---|---|---|
//! | `on_unload` | before the swap | the old version |
//! | `on_load` | when a version gets in, the first one too | the new version |
//! | `after_reload` | once, after values were migrated; not for the first version | the new version |
//!
//! All run on the frame thread, between two frames. The world carries over by itself; hooks
//! are for what it does not hold (`on_unload` to bytes, `on_load` from bytes) and for
//! changes that a new version makes to the game once (`after_reload`).
//!
//! Every hook may also return a `Result`; an error is for people and refuses the new
//! version. Panics are not caught here: the engine stands around every call.
//!
//! ```
//! use engine_api::prelude::*;
//!
//! #[derive(Resource, Reflect, Default)]
//! struct Score(u32);
//!
//! fn save(world: &mut World) -> Vec<u8> {
//!     world.get_resource::<Score>().map_or(0, |score| score.0).to_le_bytes().to_vec()
//! }
//! fn restore(world: &mut World, old: Option<Unloaded>) -> Result<(), String> {
//!     let Some(old) = old else { return Ok(()) };
//!     let bytes = old.bytes.try_into().map_err(|_| "a score is four bytes")?;
//!     world.insert_resource(Score(u32::from_le_bytes(bytes)));
//!     Ok(())
//! }
//! fn rebalance(_: &mut World, reload: Reload) {
//!     log::info!("v{} -> v{}", reload.from, reload.to);
//! }
//!
//! #[module]
//! pub fn game(m: &mut ModuleBuilder) {
//!     m.on_unload(save).on_load(restore).after_reload(rebalance);
//! }
//! # fn main() {}
//! ```

use std::fmt::Display;
use std::sync::Arc;

use bevy_ecs::world::World;

/// What the version before left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unloaded {
    /// What its `on_unload` returned.
    pub bytes: Vec<u8>,
    /// Its number.
    pub version: u32,
}

/// A reload that has just happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reload {
    /// Number of the version before.
    pub from: u32,
    /// Number of the version that runs now.
    pub to: u32,
}

/// `on_unload` as it is stored.
pub type UnloadHook = Arc<dyn Fn(&mut World) -> Result<Vec<u8>, String> + Send + Sync>;
/// `on_load` as it is stored.
pub type LoadHook = Arc<dyn Fn(&mut World, Option<Unloaded>) -> Result<(), String> + Send + Sync>;
/// `after_reload` as it is stored.
pub type ReloadHook = Arc<dyn Fn(&mut World, Reload) -> Result<(), String> + Send + Sync>;

/// The hooks of one version of a module.
///
/// They are code of that version: drop them, all clones too, before it is unloaded.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Bytes out of the old version.
    pub on_unload: Option<UnloadHook>,
    /// Bytes into the new version; `None` for the first version of a run.
    pub on_load: Option<LoadHook>,
    /// Runs once in the new version, after migration.
    pub after_reload: Option<ReloadHook>,
}

impl Hooks {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.on_unload.is_none() && self.on_load.is_none() && self.after_reload.is_none()
    }

    /// Sets `on_unload`; the error says that there is one already.
    pub(crate) fn set_on_unload<R: HookResult<Vec<u8>>>(
        &mut self,
        hook: impl Fn(&mut World) -> R + Send + Sync + 'static,
    ) -> Result<(), String> {
        let hook: UnloadHook = Arc::new(move |world| hook(world).into_result());
        set(&mut self.on_unload, hook, "on_unload")
    }

    /// Sets `on_load`; the error says that there is one already.
    pub(crate) fn set_on_load<R: HookResult<()>>(
        &mut self,
        hook: impl Fn(&mut World, Option<Unloaded>) -> R + Send + Sync + 'static,
    ) -> Result<(), String> {
        let hook: LoadHook = Arc::new(move |world, old| hook(world, old).into_result());
        set(&mut self.on_load, hook, "on_load")
    }

    /// Sets `after_reload`; the error says that there is one already.
    pub(crate) fn set_after_reload<R: HookResult<()>>(
        &mut self,
        hook: impl Fn(&mut World, Reload) -> R + Send + Sync + 'static,
    ) -> Result<(), String> {
        let hook: ReloadHook = Arc::new(move |world, reload| hook(world, reload).into_result());
        set(&mut self.after_reload, hook, "after_reload")
    }
}

fn set<T>(slot: &mut Option<T>, hook: T, name: &str) -> Result<(), String> {
    if slot.is_some() {
        return Err(format!(
            "`{name}` is registered twice; a module has one, call both functions from it"
        ));
    }
    *slot = Some(hook);
    Ok(())
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for Vec<u8> {}
    impl<T, E: std::fmt::Display> Sealed for Result<T, E> {}
}

/// What a hook may return: its value `T`, or a `Result` of it with an error that can be
/// shown.
#[diagnostic::on_unimplemented(
    message = "a hook returns `{T}` or `Result<{T}, E>`, not `{Self}`",
    note = "`E` must implement `Display`"
)]
pub trait HookResult<T>: sealed::Sealed {
    /// The value, or the error as text.
    ///
    /// # Errors
    /// What the hook returned as its error.
    fn into_result(self) -> Result<T, String>;
}

impl HookResult<()> for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl HookResult<Vec<u8>> for Vec<u8> {
    fn into_result(self) -> Result<Vec<u8>, String> {
        Ok(self)
    }
}

impl<T, E: Display> HookResult<T> for Result<T, E> {
    fn into_result(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[derive(Resource, Default)]
    struct Seen(Vec<String>);

    fn save(_: &mut World) -> Vec<u8> {
        vec![1, 2]
    }
    fn cannot_save(_: &mut World) -> Result<Vec<u8>, std::num::ParseIntError> {
        "x".parse::<u8>().map(|byte| vec![byte])
    }
    fn restore(world: &mut World, old: Option<Unloaded>) {
        let seen = format!("{:?}", old.map(|old| (old.version, old.bytes)));
        world.get_resource_or_init::<Seen>().0.push(seen);
    }
    fn refuse(_: &mut World, reload: Reload) -> Result<(), String> {
        Err(format!("not from {} to {}", reload.from, reload.to))
    }

    fn hooks(register: impl FnOnce(&mut ModuleBuilder)) -> (Hooks, Vec<String>) {
        let mut m = ModuleBuilder::new();
        register(&mut m);
        let description = m.finish();
        (description.hooks, description.errors)
    }

    #[test]
    fn hooks_travel_and_pass_bytes_on() {
        let (hooks, errors) = hooks(|m| {
            m.on_unload(save).on_load(restore).after_reload(refuse);
        });
        assert!(errors.is_empty());
        assert!(!hooks.is_empty());
        let seen = std::thread::spawn(move || {
            let mut world = World::new();
            let bytes = hooks.on_unload.unwrap()(&mut world).unwrap();
            let on_load = hooks.on_load.unwrap();
            on_load(&mut world, None).unwrap();
            on_load(&mut world, Some(Unloaded { bytes, version: 3 })).unwrap();
            let refused = hooks.after_reload.unwrap()(&mut world, Reload { from: 3, to: 4 });
            assert_eq!(refused, Err("not from 3 to 4".to_owned()));
            world.remove_resource::<Seen>().unwrap().0
        });
        assert_eq!(seen.join().unwrap(), ["None", "Some((3, [1, 2]))"]);
    }

    #[test]
    fn an_error_becomes_text() {
        let (hooks, _) = hooks(|m| {
            m.on_unload(cannot_save);
        });
        assert_eq!(
            hooks.on_unload.unwrap()(&mut World::new()),
            Err("invalid digit found in string".to_owned())
        );
    }

    #[test]
    fn the_first_of_two_stays_and_the_second_is_a_mistake() {
        let (hooks, errors) = hooks(|m| {
            m.on_unload(save).on_unload(|_: &mut World| Vec::new());
            m.on_load(restore).on_load(restore);
            m.after_reload(refuse)
                .after_reload(|_: &mut World, _: Reload| {});
        });
        assert_eq!(errors.len(), 3);
        for (error, name) in errors.iter().zip(["on_unload", "on_load", "after_reload"]) {
            assert!(
                error.starts_with(&format!("`{name}` is registered twice")),
                "{error}"
            );
        }
        assert_eq!(hooks.on_unload.unwrap()(&mut World::new()), Ok(vec![1, 2]));
    }
}
