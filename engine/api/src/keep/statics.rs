//! What would be a global variable, with its value in the world.

use std::sync::OnceLock;

use bevy_ecs::change_detection::Mut;
use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;

use super::{KeepKey, KeepValue, Kept, declare, find};

/// Declares statics whose values lie in the world and so survive reloads:
/// `keep_static! { pub static NAME: Type = initial; }`.
///
/// Each becomes a `static NAME: KeepStatic<Type>`. Register it with `m.keep(&NAME)`; read it with
/// `NAME.get(&world)`, change it with `NAME.get_mut(&mut world)`. The initial value is an
/// expression of any kind; it is evaluated when the world has no value yet, not at each reload.
///
/// ```
/// use engine_api::prelude::*;
///
/// engine_api::keep_static! {
///     /// Who holds the record.
///     pub static CHAMPION: String = "nobody".to_owned();
///     static ROUNDS: u32 = 0;
/// }
///
/// let mut world = World::new();
/// assert_eq!(CHAMPION.get(&world), "nobody");
/// *ROUNDS.get_mut(&mut world) += 1;
/// assert_eq!(*ROUNDS.get(&world), 1);
/// ```
#[macro_export]
macro_rules! keep_static {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $value:ty = $initial:expr;)+) => {
        $($(#[$attribute])*
        $visibility static $name: $crate::keep::KeepStatic<$value> = $crate::keep::KeepStatic::new(
            ::core::concat!(::core::module_path!(), "::", ::core::stringify!($name)),
            || -> $value { $initial },
        );)+
    };
}

/// A variable of a module; made by [`keep_static!`](crate::keep_static).
///
/// The static itself holds the name and the initial value, and no state of the game. Access goes
/// through the world, so that the compiler sees who reads and who writes.
pub struct KeepStatic<T: 'static> {
    key: &'static str,
    initial: fn() -> T,
    /// The initial value, for readers of a world that has none.
    fallback: OnceLock<T>,
}

impl<T: KeepValue> KeepStatic<T> {
    /// A variable named `key`. Use [`keep_static!`](crate::keep_static), which makes the name from
    /// the path.
    pub const fn new(key: &'static str, initial: fn() -> T) -> Self {
        Self {
            key,
            initial,
            fallback: OnceLock::new(),
        }
    }

    /// The name its value is found by: `game::BEST`.
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// The value; the initial one if the world has none.
    pub fn get<'a>(&'a self, world: &'a World) -> &'a T {
        self.find(world)
            .and_then(|entity| world.get::<Kept<T>>(entity))
            .map_or_else(|| self.fallback.get_or_init(self.initial), |kept| &kept.0)
    }

    /// The value, to be changed; put into the world first if it has none.
    pub fn get_mut<'w>(&self, world: &'w mut World) -> Mut<'w, T> {
        self.create(world);
        let kept = self
            .find(world)
            .and_then(|entity| world.get_mut::<Kept<T>>(entity));
        let Some(kept) = kept else {
            unreachable!("`{}` was just put into the world", self.key)
        };
        kept.map_unchanged(|kept| &mut kept.0)
    }

    /// Puts the initial value into the world unless there is a value; returns its entity if it did.
    pub(crate) fn create(&self, world: &mut World) -> Option<Entity> {
        if self.find(world).is_some() {
            return None;
        }
        declare(world);
        let value = (self.initial)();
        Some(
            world
                .spawn((KeepKey(self.key.to_owned()), Kept(value)))
                .id(),
        )
    }

    fn find(&self, world: &World) -> Option<Entity> {
        find(world, world.component_id::<Kept<T>>()?, self.key)
    }
}

/// Puts a value into the world unless it is there; returns its entity if it did.
type Create = Box<dyn Fn(&mut World) -> Option<Entity> + Send + Sync>;

/// A static that a module registers.
pub struct KeepRegistration {
    /// The name its value is found by.
    pub key: String,
    /// Puts its initial value into a world that has none; returns the new entity then.
    pub create: Create,
}

impl KeepRegistration {
    /// Describes `keep`.
    pub(crate) fn new<T: KeepValue>(keep: &'static KeepStatic<T>) -> Self {
        Self {
            key: keep.key.to_owned(),
            create: Box::new(|world| keep.create(world)),
        }
    }
}
