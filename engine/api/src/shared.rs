//! State with a fixed layout, at a fixed place, shared by everything the host runs.
//!
//! Components and resources migrate when their types change. A shared struct is the opposite:
//! its layout is a promise. Its one value lies in a region of the host that outlives versions
//! and that other processes can read, after a crash of the host too. Code of all kinds that knows
//! the layout may use it; so it may only grow, at its end.
//!
//! ```
//! use engine_api::prelude::*;
//!
//! #[shared_state(version = 1)]
//! #[derive(Clone, Copy, Default)]
//! #[repr(C)]
//! pub struct Totals {
//!     pub frames: u64,
//!     pub position: [f32; 2],
//! }
//!
//! fn count(mut totals: SharedMut<Totals>) {
//!     totals.frames += 1;
//! }
//! fn show(totals: Shared<Totals>) {
//!     log::info!("{} frames", totals.frames);
//! }
//!
//! #[module]
//! pub fn game(m: &mut ModuleBuilder) {
//!     m.shared_state::<Totals>().systems(Update, (count, show));
//! }
//! # fn main() {}
//! ```
//!
//! Types whose values are not any bits cannot be shared:
//!
//! ```compile_fail,E0277
//! # use engine_api::prelude::*;
//! #[shared_state(version = 1)]
//! #[derive(Clone, Copy, Default)]
//! #[repr(C)]
//! struct Flags {
//!     won: bool, // `bool` is not `Plain`: use `u8`
//! }
//! ```
//!
//! A struct may not end in padding, which fields of later versions would take:
//!
//! ```compile_fail,E0080
//! # use engine_api::prelude::*;
//! #[shared_state(version = 1)]
//! #[derive(Clone, Copy, Default)]
//! #[repr(C)]
//! struct Counters {
//!     total: u64,
//!     recent: u32, // add `reserved: [u8; 4]`
//! }
//! ```
//!
//! # What the engine does
//!
//! It owns the memory and puts its places into the world as [`SharedRegions`]; it calls [`declare`]
//! for each new world. All access goes through the world, on the thread that owns it.

use std::any::{Any, type_name};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use bevy_ecs::change_detection::Tick;
use bevy_ecs::component::Component;
use bevy_ecs::query::FilteredAccess;
use bevy_ecs::resource::{IS_RESOURCE, Resource};
use bevy_ecs::system::{
    ReadOnlySystemParam, SystemAccess, SystemMeta, SystemParam, SystemParamValidationError,
};
use bevy_ecs::world::World;
use bevy_ecs::world::unsafe_world_cell::UnsafeWorldCell;

use crate::keep::{self, KeepKey};

mod layout;
mod plain;
#[cfg(test)]
mod tests;

pub use layout::{
    FieldKind, SharedLayout, SharedLayoutField, SharedRegistration, fits, is_older_version,
};
pub use plain::{Plain, PlainKind, Primitive, SharedField};

/// Alignment of every shared value, in bytes: a cache line.
pub const ALIGN: usize = 64;

/// A struct that lies in the shared region. Implemented by
/// [`#[shared_state]`](crate::shared_state).
///
/// # Safety
/// `NAME` is the path of the type, and no other type has it. `FIELDS` are its fields, in order, as
/// they lie in memory; the last one ends where the struct ends.
pub unsafe trait SharedState: Plain + Default {
    /// Path of the type: `game::Totals`.
    const NAME: &'static str;
    /// Number of the layout; higher whenever fields are added.
    const VERSION: u32;
    /// The fields, in order.
    const FIELDS: &'static [SharedField];
}

/// Where shared values lie. The engine puts it into the world; to the game it is opaque.
#[derive(Resource, Default)]
pub struct SharedRegions {
    slots: HashMap<String, Slot>,
    /// Keeps the memory.
    owner: Option<Arc<dyn Any + Send + Sync>>,
}

struct Slot {
    pointer: NonNull<u8>,
    size: usize,
}

// SAFETY: a slot is the place of plain values; it is followed only by who has access to the world
// that holds it, for reading or for writing.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

impl SharedRegions {
    /// No places yet, in memory that lives as long as `owner`.
    pub fn new(owner: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            slots: HashMap::new(),
            owner: Some(owner),
        }
    }

    /// Adds the place of the struct `name`.
    ///
    /// # Safety
    /// At `pointer`, aligned to [`ALIGN`], lie `size` initialised bytes of memory that lives as
    /// long as the owner. As long as this exists, nobody accesses them but through it; others may do
    /// so while they have exclusive access to the world that holds it.
    pub unsafe fn insert(&mut self, name: &str, pointer: NonNull<u8>, size: usize) {
        self.slots.insert(name.to_owned(), Slot { pointer, size });
    }

    /// Whether its memory is that of `owner`.
    pub fn is_owned_by<T>(&self, owner: &Arc<T>) -> bool {
        self.owner
            .as_ref()
            .is_some_and(|own| std::ptr::addr_eq(Arc::as_ptr(own), Arc::as_ptr(owner)))
    }

    fn place<T: SharedState>(&self) -> Result<NonNull<T>, SharedProblem> {
        let slot = self.slots.get(T::NAME).ok_or(SharedProblem::Missing)?;
        let pointer = slot.pointer.cast::<T>();
        if slot.size < size_of::<T>() || !pointer.is_aligned() {
            return Err(SharedProblem::Small);
        }
        Ok(pointer)
    }
}

/// Makes a world know the engine's own types for shared values and, since access to them is
/// declared apart from that of ordinary entities, for kept values.
pub fn declare(world: &mut World) {
    keep::declare(world);
    world.register_component::<SharedRegions>();
}

/// Why there is no shared value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SharedProblem {
    /// No module registered the type.
    #[error("nobody registered this shared struct; add `m.shared_state::<T>()` to the module")]
    Missing,
    /// The value in the region is of a version with fewer fields.
    #[error("the shared struct has more fields here than where it was registered; build both anew")]
    Small,
    /// The struct is declared inside of a function, where its name says nothing.
    #[error("the shared struct is declared inside of a function; move it to its module")]
    Local,
}

fn check_name<T: SharedState>() -> Result<(), SharedProblem> {
    // Two functions of a module may declare types of one name; `module_path!` sees no functions.
    if type_name::<T>() == T::NAME {
        Ok(())
    } else {
        Err(SharedProblem::Local)
    }
}

/// The shared value of `T`, for code that has the world.
///
/// # Errors
/// If no module registered it.
pub fn get<T: SharedState>(world: &World) -> Result<&T, SharedProblem> {
    check_name::<T>()?;
    let regions = world.get_resource::<SharedRegions>();
    let place = regions.ok_or(SharedProblem::Missing)?.place::<T>()?;
    // SAFETY: whoever inserted the place vouches for it; any bytes are a `T`; writers need the
    // world exclusively, and it is borrowed here.
    Ok(unsafe { place.as_ref() })
}

/// The shared value of `T`, to be changed, for code that has the world.
///
/// # Errors
/// If no module registered it.
pub fn get_mut<T: SharedState>(world: &mut World) -> Result<&mut T, SharedProblem> {
    check_name::<T>()?;
    let regions = world.get_resource::<SharedRegions>();
    let mut place = regions.ok_or(SharedProblem::Missing)?.place::<T>()?;
    // SAFETY: as in `get`; the world is borrowed exclusively here.
    Ok(unsafe { place.as_mut() })
}

/// Stands for the shared value of `T` in declarations of access. No entity has it.
#[derive(Component)]
pub(crate) struct SharedAccess<T: SharedState>(PhantomData<fn() -> T>);

/// Declares access to the value of `T`, and to the resource that says where it is.
fn init_access<T: SharedState>(
    writes: bool,
    meta: &SystemMeta,
    system_access: &mut SystemAccess,
    world: &mut World,
) {
    let mut regions = FilteredAccess::default();
    regions.add_read(world.register_component::<SharedRegions>());
    regions.and_with(IS_RESOURCE);
    let mut value = FilteredAccess::default();
    let id = world.register_component::<SharedAccess<T>>();
    if writes {
        value.add_write(id);
    } else {
        value.add_read(id);
    }
    // Sets it apart from queries for entities with any components.
    value.and_with(world.register_component::<KeepKey>());
    let accepted = system_access.try_add(regions).is_ok() && system_access.try_add(value).is_ok();
    assert!(
        accepted,
        "shared struct `{}` in system {} conflicts with another of its parameters: take it once, and \
         neither with the world nor with queries for all components",
        T::NAME,
        meta.name()
    );
}

/// # Safety
/// `world` gives access to what [`init_access`] declared.
unsafe fn place<T: SharedState>(world: UnsafeWorldCell<'_>) -> Result<NonNull<T>, SharedProblem> {
    // SAFETY: read access to the resource was declared.
    let regions = unsafe { world.get_resource::<SharedRegions>() };
    regions.ok_or(SharedProblem::Missing)?.place::<T>()
}

macro_rules! parameter {
    ($(#[$doc:meta])* $name:ident, $reference:ty, $writes:literal, $method:ident) => {
        $(#[$doc])*
        pub struct $name<'w, T: SharedState>($reference);

        impl<T: SharedState> Deref for $name<'_, T> {
            type Target = T;

            fn deref(&self) -> &T {
                self.0
            }
        }

        // SAFETY: `init_access` declares the value, which `SharedAccess<T>` stands for, and the
        // resource; it refuses what conflicts with that. `check_name` keeps two types from having
        // the same value. `get_param` touches nothing else.
        unsafe impl<T: SharedState> SystemParam for $name<'_, T> {
            type State = ();
            type Item<'w, 's> = $name<'w, T>;

            fn init_state(world: &mut World) {
                declare(world);
            }

            fn init_access(
                (): &(),
                meta: &mut SystemMeta,
                system_access: &mut SystemAccess,
                world: &mut World,
            ) {
                init_access::<T>($writes, meta, system_access, world);
            }

            #[allow(unused_mut, reason = "only the writing parameter needs it")]
            unsafe fn get_param<'w>(
                (): &mut (),
                _: &SystemMeta,
                world: UnsafeWorldCell<'w>,
                _: Tick,
            ) -> Result<$name<'w, T>, SystemParamValidationError> {
                let failed = |problem: SharedProblem| {
                    SystemParamValidationError::invalid::<Self>(problem.to_string())
                };
                check_name::<T>().map_err(failed)?;
                // SAFETY: the caller gives access to what was declared.
                let mut place = unsafe { place::<T>(world) }.map_err(failed)?;
                // SAFETY: whoever inserted the place vouches for it, any bytes are a `T`, and the
                // access declared keeps other references away for as long.
                Ok($name(unsafe { place.$method() }))
            }
        }
    };
}

parameter! {
    /// Reads a shared value; a system parameter.
    ///
    /// # Errors
    /// A system is not run, with a reason, if no module registered `T`.
    ///
    /// # Panics
    /// While a system is initialised, if another of its parameters writes the value.
    Shared, &'w T, false, as_ref
}
parameter! {
    /// Reads and writes a shared value; a system parameter.
    ///
    /// # Errors
    /// A system is not run, with a reason, if no module registered `T`.
    ///
    /// # Panics
    /// While a system is initialised, if another of its parameters has access to the value.
    SharedMut, &'w mut T, true, as_mut
}

// SAFETY: it declares and makes reading access only.
unsafe impl<T: SharedState> ReadOnlySystemParam for Shared<'_, T> {}

impl<T: SharedState> DerefMut for SharedMut<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0
    }
}

/// Describes `T` for a module.
///
/// # Errors
/// If it is declared inside of a function.
pub(crate) fn register<T: SharedState>() -> Result<SharedRegistration, String> {
    check_name::<T>().map_err(|problem| format!("`{}`: {problem}", type_name::<T>()))?;
    Ok(SharedRegistration::of::<T>())
}
