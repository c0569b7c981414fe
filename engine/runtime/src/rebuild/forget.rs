//! Freeing a world whose values belong, in part, to another one.

use std::mem;
use std::ptr::NonNull;

use engine_api::bevy_ecs::archetype::ArchetypeEntity;
use engine_api::bevy_ecs::component::ComponentId;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::ptr::OwningPtr;
use engine_api::bevy_ecs::storage::TableId;
use engine_api::bevy_ecs::world::World;

use super::fill::Cells;
use super::hollow::forget_sparse_sets;
use super::parts::{forget_rows, part_mut};
use crate::panic::{self, PanicReport};

/// Which values of a component a world has to drop itself.
pub(super) enum Owned {
    /// All of them.
    All,
    /// None, they are also in the other world.
    None,
    /// Those of entities for which the second question says so.
    Some,
}

/// Drops values that a world owns, each on its own. Gives the first panic.
///
/// # Safety
/// The world must forget its values afterwards ([`free`]) and not be used otherwise.
pub(super) unsafe fn drop_values(
    world: &World,
    owned: impl Fn(ComponentId) -> Owned,
    is_owned: impl Fn(ComponentId, Entity) -> bool,
) -> Option<PanicReport> {
    let mut first = None;
    for archetype in world.archetypes().iter().filter(|some| !some.is_empty()) {
        for component in archetype.iter_components() {
            let info = world.components().get_info(component);
            let Some(drop) = info.and_then(|info| info.drop()) else {
                continue;
            };
            let every = match owned(component) {
                Owned::None => continue,
                Owned::All => true,
                Owned::Some => false,
            };
            for entity in archetype.entities().iter().map(ArchetypeEntity::id) {
                if (every || is_owned(component, entity))
                    && let Some(cells) = Cells::of(world, entity, component)
                {
                    // SAFETY: a value of this component, which nobody uses or drops after
                    // this (the caller's promise).
                    let report = unsafe { drop_value(cells.value, drop) };
                    first = first.or(report);
                }
            }
        }
    }
    first
}

/// Drops the non-send values of some components.
///
/// # Safety
/// As for [`drop_values`].
pub(super) unsafe fn drop_non_sends(
    world: &World,
    owned: impl Fn(ComponentId) -> bool,
) -> Option<PanicReport> {
    let mut first = None;
    for (component, data) in world.storages().non_sends.iter() {
        let info = world.components().get_info(component);
        if let Some(drop) = info.and_then(|info| info.drop())
            && owned(component)
            && let Ok(Some(value)) = panic::guard(|| data.get_data())
        {
            // SAFETY: as in `drop_values`.
            let report = unsafe { drop_value(value.as_ptr().cast_mut(), drop) };
            first = first.or(report);
        }
    }
    first
}

/// Drops one value; a panic becomes a report.
///
/// # Safety
/// A value of the type that `drop` is for lies there, and is not used any more.
pub(super) unsafe fn drop_value(
    at: *mut u8,
    drop: unsafe fn(OwningPtr<'_>),
) -> Option<PanicReport> {
    let at = NonNull::new(at)?;
    // SAFETY: the caller's promise.
    panic::guard(|| unsafe { drop(OwningPtr::new(at)) }).err()
}

/// Frees a world without dropping any value of its entities.
///
/// With `non_sends`, non-send values are not dropped either, and the few bytes of each
/// are leaked.
pub(super) fn free(mut world: World, non_sends: bool) -> Option<PanicReport> {
    forget_sparse_sets(&mut world);
    // SAFETY: tables lose their rows while archetypes still list them; nothing looks at
    // either again, since the world is dropped next.
    let storages = unsafe { part_mut(&mut world, World::storages) };
    let mut forgotten = true;
    for index in 0..storages.tables.len() {
        forgotten &= forget_rows(&mut storages.tables[TableId::from_usize(index)]);
    }
    if !forgotten {
        // Better lost than dropped twice.
        mem::forget(mem::take(&mut storages.tables));
    }
    if non_sends {
        mem::forget(mem::take(&mut storages.non_sends));
    }
    panic::guard(|| drop(world)).err()
}
