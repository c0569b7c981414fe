//! State that belongs to code and survives its reloads: `Keep` and `keep_static!`.
//!
//! bevy's `Local<T>` lies inside a system, so it goes with the version that the system
//! belongs to. [`Keep<T>`] is used the same way, but its value lies in the world: it
//! survives a reload, migrates when `T` changes, and is in checkpoints, like any component.
//! [`keep_static!`](crate::keep_static) does the same for what would be a global variable.
//!
//! ```
//! use engine_api::prelude::*;
//!
//! engine_api::keep_static! {
//!     /// Best score of this run of the game.
//!     pub static BEST: u32 = 0;
//! }
//!
//! /// Counts the frames since the game began, whichever version runs.
//! fn count(mut frames: Keep<u32>) {
//!     *frames += 1;
//! }
//!
//! fn record(world: &mut World, score: u32) -> u32 {
//!     let mut best = BEST.get_mut(world);
//!     *best = score.max(*best);
//!     *best
//! }
//!
//! #[module]
//! pub fn game(m: &mut ModuleBuilder) {
//!     m.keep(&BEST).systems(Update, count).function("record", record);
//! }
//! # fn main() {}
//! ```
//!
//! # How it is stored
//!
//! Every kept value is an entity with two components: [`KeepKey`], the name it is found by,
//! and [`Kept<T>`], the value.
//!
//! | of | key |
//! |---|---|
//! | a system's `Keep` | `game::count#0`: path of the function, and which of its `Keep`s of the same `T` it is |
//! | a function registered more than once | `game::count@2#0`: the second registration |
//! | a static | `game::BEST` |
//!
//! So a value is lost, which means that the new code begins with a fresh one and the old one stays
//! where it is, when its function or static is renamed or moved, or when `T` becomes another
//! type. Back under the old name, the old value is there again.
//!
//! `KeepKey` is a disabling component: queries of the game do not see these entities.
//!
//! # What the engine does
//!
//! Calls [`declare`] for each new world before any query is made for it, and initialises systems
//! through [`SystemConfig::initialize`](crate::system::SystemConfig::initialize), which says
//! whose they are. A world with the resource [`KeptTypes`] collects the types that systems keep
//! without registering them. All of this runs on the thread that owns the world.

use std::any::{TypeId, type_name};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use bevy_ecs::archetype::ArchetypeEntity;
use bevy_ecs::change_detection::{DetectChanges, Mut, Tick};
use bevy_ecs::component::{Component, ComponentId};
use bevy_ecs::entity::Entity;
use bevy_ecs::query::FilteredAccess;
use bevy_ecs::reflect::ReflectComponent;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{SystemAccess, SystemMeta, SystemParam, SystemParamValidationError};
use bevy_ecs::world::unsafe_world_cell::UnsafeWorldCell;
use bevy_ecs::world::{EntityWorldMut, FromWorld, World};
use bevy_reflect::{FromReflect, GetTypeRegistration, Reflect, Typed};

use crate::state::StateType;

mod statics;
#[cfg(test)]
mod tests;

pub use statics::{KeepRegistration, KeepStatic};

/// Types whose values can be kept: those that derive `Reflect`, and what implements it
/// already (numbers, text, vectors and maps of such).
#[diagnostic::on_unimplemented(
    message = "values of `{Self}` cannot be kept over a reload",
    note = "derive `Reflect` for it"
)]
pub trait KeepValue: Reflect + FromReflect + Typed + GetTypeRegistration {}

impl<T: Reflect + FromReflect + Typed + GetTypeRegistration> KeepValue for T {}

/// Name of a kept value. Entities with it are hidden from queries that do not name it.
#[derive(Component, Reflect, Debug, Clone, PartialEq, Eq, Hash)]
#[reflect(Component)]
pub struct KeepKey(String);

impl KeepKey {
    pub(crate) fn new(key: String) -> Self {
        Self(key)
    }

    /// The name: `game::count#0`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A kept value.
#[derive(Component, Reflect)]
#[reflect(Component)]
pub struct Kept<T: KeepValue>(pub T);

/// Types of values that systems keep. Put it into a world, initialise systems for that
/// world, and read which types they use.
#[derive(Resource, Default)]
pub struct KeptTypes(pub Vec<StateType>);

/// One binary digit of a `Keep`'s index. Two `Keep<T>` of one system differ in at least one
/// digit, which proves to bevy that they never access the same entity.
#[derive(Component)]
struct KeepBit<const DIGIT: u32>;

/// Digits of an index.
const DIGITS: usize = 5;

/// How many `Keep<T>` with the same `T` one system can have.
pub const KEEPS_PER_TYPE: usize = 1 << DIGITS;

/// Makes a world know the engine's own types for kept values, and hides their entities.
///
/// Call it before any query is made for the world: queries made earlier see the entities.
/// Calling it again does nothing.
pub fn declare(world: &mut World) {
    world.register_disabling_component::<KeepKey>();
    world.register_component::<KeptTypes>();
    digits(world);
}

fn digits(world: &mut World) -> [ComponentId; DIGITS] {
    [
        world.register_component::<KeepBit<0>>(),
        world.register_component::<KeepBit<1>>(),
        world.register_component::<KeepBit<2>>(),
        world.register_component::<KeepBit<3>>(),
        world.register_component::<KeepBit<4>>(),
    ]
}

fn mark(mut entity: EntityWorldMut, index: usize) {
    let digit = |digit: u32| index >> digit & 1 == 1;
    if digit(0) {
        entity.insert(KeepBit::<0>);
    }
    if digit(1) {
        entity.insert(KeepBit::<1>);
    }
    if digit(2) {
        entity.insert(KeepBit::<2>);
    }
    if digit(3) {
        entity.insert(KeepBit::<3>);
    }
    if digit(4) {
        entity.insert(KeepBit::<4>);
    }
}

/// Entities of all kept values, for an engine that wants to know which ones a version
/// made. Costs a look at each.
pub fn entities(world: &World) -> Vec<Entity> {
    world
        .component_id::<KeepKey>()
        .map_or_else(Vec::new, |key| entities_with(world, key).collect())
}

fn entities_with(world: &World, component: ComponentId) -> impl Iterator<Item = Entity> {
    let archetypes = world.archetypes();
    archetypes
        .component_index()
        .get(&component)
        .into_iter()
        .flat_map(|found| found.keys())
        .filter_map(|id| archetypes.get(*id))
        .flat_map(|archetype| archetype.entities().iter().map(ArchetypeEntity::id))
}

/// The entity that keeps a value of the component `kept` under `key`.
pub(crate) fn find(world: &World, kept: ComponentId, key: &str) -> Option<Entity> {
    entities_with(world, kept).find(|entity| {
        world
            .get::<KeepKey>(*entity)
            .is_some_and(|found| found.0 == key)
    })
}

/// Whose parameters are being initialised on this thread.
struct Naming {
    name: String,
    /// Types of the `Keep`s it has so far.
    taken: Vec<TypeId>,
}

thread_local! {
    static NAMING: RefCell<Option<Naming>> = const { RefCell::new(None) };
}

// Not generic and never inlined: all modules share the one in this crate.
#[inline(never)]
fn replace_naming(naming: Option<Naming>) -> Option<Naming> {
    NAMING.replace(naming)
}

/// The key of the next value of a type of what is being initialised, and its index.
#[inline(never)]
pub(crate) fn next_key(value: TypeId) -> Result<(String, usize), KeepProblem> {
    NAMING.with_borrow_mut(|naming| {
        let naming = naming.as_mut().ok_or(KeepProblem::Unnamed)?;
        let index = naming.taken.iter().filter(|taken| **taken == value).count();
        naming.taken.push(value);
        if index >= KEEPS_PER_TYPE {
            return Err(KeepProblem::TooMany);
        }
        Ok((format!("{}#{index}", naming.name), index))
    })
}

/// Runs `initialize`, which initialises one system, and gives the system's `Keep`s the name
/// they are found by in every version: the path of its function.
///
/// The engine does this for what modules register. A test that runs a system by hand does
/// it like this:
///
/// ```
/// use engine_api::bevy_ecs::system::{IntoSystem, System};
/// use engine_api::keep;
/// use engine_api::prelude::*;
///
/// fn count(mut calls: Keep<u32>) -> u32 {
///     *calls += 1;
///     *calls
/// }
///
/// let mut world = World::new();
/// for expected in 1..3 {
///     // A new system over the same world, as after a reload.
///     let mut system = IntoSystem::into_system(count);
///     keep::naming("game::count", || system.initialize(&mut world));
///     assert_eq!(system.run((), &mut world).ok(), Some(expected));
/// }
/// ```
pub fn naming<R>(name: &str, initialize: impl FnOnce() -> R) -> R {
    struct Restore(Option<Naming>);
    impl Drop for Restore {
        fn drop(&mut self) {
            replace_naming(self.0.take());
        }
    }
    let _restore = Restore(replace_naming(Some(Naming {
        name: name.to_owned(),
        taken: Vec::new(),
    })));
    initialize()
}

/// Why a `Keep` has no value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeepProblem {
    Unnamed,
    TooMany,
    Gone,
}

impl KeepProblem {
    fn message(self) -> &'static str {
        match self {
            Self::Unnamed => {
                "only systems and observers that a module registers can keep values, nothing tells \
                 what others are called; register it, or initialise it inside \
                 `engine_api::keep::naming`"
            }
            Self::TooMany => {
                "the system has more than 32 `Keep`s of this type; put the values into a struct"
            }
            Self::Gone => {
                "the entity of the kept value was despawned or changed by the game; it is made anew \
                 by the next version"
            }
        }
    }
}

/// A value of a system that survives reloads; used like `Local<T>`.
///
/// The value is made with `T`'s `Default` (or `FromWorld`) when the system is initialised for the
/// first time in this run of the game. Every registration of a system has its own, and so has
/// every `Keep` among its parameters. Getting it costs one look-up of an entity.
///
/// # Errors
/// A system is not run, with a reason, if nobody said what it is called (see [`naming`]) or if the
/// game despawned the value's entity.
///
/// # Panics
/// While a system is initialised, if another of its parameters has access to the same value:
/// `&World`, or a query that asks for `Kept<T>` and `KeepKey`. A system with `&mut World` cannot
/// have other parameters of the world: use [`keep_static!`](crate::keep_static) there.
pub struct Keep<'w, T: KeepValue>(Mut<'w, Kept<T>>);

impl<T: KeepValue> Keep<'_, T> {
    /// Whether the value changed since the system ran last. Stays true to that over a reload.
    pub fn is_changed(&self) -> bool {
        self.0.is_changed()
    }
}

impl<T: KeepValue> Deref for Keep<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}

impl<T: KeepValue> DerefMut for Keep<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.0
    }
}

impl<T: KeepValue + std::fmt::Debug> std::fmt::Debug for Keep<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keep").field(&**self).finish()
    }
}

/// Where a [`Keep`] finds its value.
pub struct KeepState(Result<KeepPlace, KeepProblem>);

struct KeepPlace {
    entity: Entity,
    index: usize,
}

// SAFETY: `init_access` declares that `Kept<T>` is written on entities with `KeepKey` and with
// exactly the digits of this parameter's index, and refuses what conflicts with that. The one
// component that `get_param` touches is that: it lies on an entity that was found by its key, which
// ends with the index, and the digits of the index were put on it. Nothing outside this file can
// name the digits, so no other parameter can tell entities apart by them.
unsafe impl<T: KeepValue + FromWorld> SystemParam for Keep<'_, T> {
    type State = KeepState;
    type Item<'w, 's> = Keep<'w, T>;

    fn init_state(world: &mut World) -> KeepState {
        declare(world);
        let kept = world.register_component::<Kept<T>>();
        if let Some(mut types) = world.get_resource_mut::<KeptTypes>()
            && !types
                .0
                .iter()
                .any(|ty| ty.stored == TypeId::of::<Kept<T>>())
        {
            types.0.push(StateType::component::<Kept<T>>());
        }
        KeepState(next_key(TypeId::of::<T>()).map(|(key, index)| {
            let entity = find(world, kept, &key).unwrap_or_else(|| {
                let value = T::from_world(world);
                world.spawn((KeepKey(key), Kept(value))).id()
            });
            // A value that came from a checkpoint has no marks yet.
            mark(world.entity_mut(entity), index);
            KeepPlace { entity, index }
        }))
    }

    fn init_access(
        state: &KeepState,
        meta: &mut SystemMeta,
        system_access: &mut SystemAccess,
        world: &mut World,
    ) {
        // Without a place, the world is not touched.
        let Ok(place) = &state.0 else { return };
        let mut access = FilteredAccess::default();
        access.add_write(world.register_component::<Kept<T>>());
        access.and_with(world.register_component::<KeepKey>());
        for (digit, id) in digits(world).into_iter().enumerate() {
            if place.index >> digit & 1 == 1 {
                access.and_with(id);
            } else {
                access.and_without(id);
            }
        }
        assert!(
            system_access.try_add(access).is_ok(),
            "Keep<{}> in system {} conflicts with another of its parameters, which has access to \
             all kept values; a system that takes the whole world uses `keep_static!`",
            type_name::<T>(),
            meta.name()
        );
    }

    unsafe fn get_param<'w>(
        state: &mut KeepState,
        meta: &SystemMeta,
        world: UnsafeWorldCell<'w>,
        change_tick: Tick,
    ) -> Result<Keep<'w, T>, SystemParamValidationError> {
        let failed =
            |problem: KeepProblem| SystemParamValidationError::invalid::<Self>(problem.message());
        let place = state.0.as_ref().map_err(|problem| failed(*problem))?;
        let entity = world
            .get_entity_with_ticks(place.entity, meta.get_last_run(), change_tick)
            .ok()
            .filter(|entity| entity.contains::<KeepKey>())
            .ok_or_else(|| failed(KeepProblem::Gone))?;
        // SAFETY: the caller gives access to what `init_access` declared: `Kept<T>` of entities with
        // `KeepKey`, which this one has, and with the digits of this index.
        let value = unsafe { entity.get_mut::<Kept<T>>() };
        value.map(Keep).ok_or_else(|| failed(KeepProblem::Gone))
    }
}
