//! One component of all entities of an archetype, as it lies in the world.

use std::mem::MaybeUninit;

use engine_api::bevy_ecs::archetype::{Archetype, ArchetypeEntity};
use engine_api::bevy_ecs::component::{ComponentId, StorageType};
use engine_api::bevy_ecs::ptr::Ptr;
use engine_api::bevy_ecs::storage::{self, ComponentSparseSet, TableRow};
use engine_api::bevy_ecs::world::World;

/// Values of a component, one for each entity of an archetype and in their order.
#[derive(Clone, Copy)]
pub(super) struct Column<'w> {
    entities: &'w [ArchetypeEntity],
    values: Values<'w>,
}

#[derive(Clone, Copy)]
enum Values<'w> {
    Table(&'w storage::Column),
    Sparse(&'w ComponentSparseSet),
}

impl<'w> Column<'w> {
    /// `None` if the archetype does not have the component.
    pub(super) fn of(
        world: &'w World,
        archetype: &'w Archetype,
        component: ComponentId,
    ) -> Option<Self> {
        let storages = world.storages();
        let values = match archetype.get_storage_type(component)? {
            StorageType::Table => {
                let table = storages.tables.get(archetype.table_id())?;
                Values::Table(table.get_column(component)?)
            }
            StorageType::SparseSet => Values::Sparse(storages.sparse_sets.get(component)?),
        };
        Some(Self {
            entities: archetype.entities(),
            values,
        })
    }

    /// The values.
    pub(super) fn iter(self) -> impl Iterator<Item = Option<Ptr<'w>>> {
        self.entities.iter().map(move |entity| match self.values {
            // SAFETY: the entities of an archetype have rows in its table.
            Values::Table(column) => Some(unsafe { column.get_data_unchecked(entity.table_row()) }),
            Values::Sparse(set) => set.get(entity.id()),
        })
    }

    /// Copies the values, which have so many bytes each. `runs` are the [`runs`] of the
    /// archetype.
    pub(super) fn copy(self, runs: &Runs, size: usize) -> Vec<MaybeUninit<u8>> {
        let mut bytes = Vec::with_capacity(self.entities.len() * size);
        match self.values {
            Values::Table(column) => {
                for (first, count) in runs {
                    // SAFETY: the row is one of an entity of this table.
                    let first = unsafe { column.get_data_unchecked(*first) };
                    // SAFETY: so many values of this size follow each other in the column.
                    unsafe { copy(first, count * size, &mut bytes) };
                }
            }
            Values::Sparse(_) => {
                for value in self.iter().flatten() {
                    // SAFETY: the component has values of this size.
                    unsafe { copy(value, size, &mut bytes) };
                }
            }
        }
        bytes
    }
}

/// Rows of a table that follow each other: the first and how many.
pub(super) type Runs = Vec<(TableRow, usize)>;

/// The rows of an archetype in its table, in the order of its entities.
pub(super) fn runs(archetype: &Archetype) -> Runs {
    let mut runs = Runs::new();
    for entity in archetype.entities() {
        let row = entity.table_row();
        match runs.last_mut() {
            Some((first, count)) if first.index() + *count == row.index() => *count += 1,
            _ => runs.push((row, 1)),
        }
    }
    runs
}

/// # Safety
/// There are so many bytes of values.
pub(super) unsafe fn copy(from: Ptr<'_>, length: usize, to: &mut Vec<MaybeUninit<u8>>) {
    // SAFETY: as promised; they are looked at as nothing else than bytes that may be
    // uninitialised.
    to.extend_from_slice(unsafe { std::slice::from_raw_parts(from.as_ptr().cast(), length) });
}
