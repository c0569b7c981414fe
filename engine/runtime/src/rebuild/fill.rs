//! Filling the columns of spawned entities from those of the old world.

use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};

use engine_api::bevy_ecs::archetype::{Archetype, ArchetypeEntity, ArchetypeId};
use engine_api::bevy_ecs::change_detection::{AtomicTick, DetectChangesMut, MaybeLocation, Tick};
use engine_api::bevy_ecs::component::{ComponentId, StorageType};
use engine_api::bevy_ecs::entity::{Entity, EntityLocation};
use engine_api::bevy_ecs::entity_disabling::DefaultQueryFilters;
use engine_api::bevy_ecs::ptr::OwningPtr;
use engine_api::bevy_ecs::resource::{IS_RESOURCE, IsResource};
use engine_api::bevy_ecs::storage::{Column, Table, TableRow};
use engine_api::bevy_ecs::world::World;

use super::plan::{MakeColumn, Route, Routes, Way};
use super::{ColumnError, RebuildError, forget};
use crate::panic;

/// An old archetype and where its entities are in the new world: one after the other,
/// in the same order.
pub(super) struct Block {
    pub archetype: ArchetypeId,
    pub first: EntityLocation,
}

/// Rows of an old table that follow each other.
#[derive(Clone, Copy)]
struct Run {
    /// Where it begins in the block.
    at: usize,
    /// Row of the old table.
    old: TableRow,
    len: usize,
}

/// Values that were made, to be dropped if something fails after them.
struct Made {
    component: ComponentId,
    at: *mut u8,
    stride: usize,
    count: usize,
}

/// Fills all blocks.
pub(super) struct Filler<'a, 'p> {
    old: &'a World,
    new: &'a World,
    routes: &'a Routes,
    makes: &'a mut [MakeColumn<'p>],
    made: Vec<Made>,
}

impl<'a, 'p> Filler<'a, 'p> {
    pub(super) fn new(
        old: &'a World,
        new: &'a mut World,
        routes: &'a Routes,
        makes: &'a mut [MakeColumn<'p>],
    ) -> Self {
        Self {
            old,
            new,
            routes,
            makes,
            made: Vec::new(),
        }
    }

    /// Fills the blocks. On an error what was made is dropped, and no value that is in
    /// the new world is one of its own.
    pub(super) fn fill(mut self, blocks: &[Block]) -> Result<(), RebuildError> {
        let result = blocks.iter().try_for_each(|block| self.block(block));
        if result.is_err() {
            self.drop_made();
        }
        result
    }

    fn block(&mut self, block: &Block) -> Result<(), RebuildError> {
        let (old, new, routes) = (self.old, self.new, self.routes);
        let (Some(archetype), Some(target)) = (
            old.archetypes().get(block.archetype),
            new.archetypes().get(block.first.archetype_id),
        ) else {
            return Ok(());
        };
        let runs = runs(archetype);
        for (component, route, new_id) in routes.carried(archetype) {
            let is_sparse = target.get_storage_type(new_id) == Some(StorageType::SparseSet);
            if route.sparse || is_sparse {
                self.values(archetype, component, route, new_id)?;
                continue;
            }
            let (Some(from), Some(to)) = (
                old.storages().tables.get(archetype.table_id()),
                new.storages().tables.get(block.first.table_id),
            ) else {
                continue;
            };
            let columns = from.get_column(component).zip(to.get_column(new_id));
            if let Some((old_column, new_column)) = columns {
                let pair = ColumnPair {
                    from,
                    to,
                    old_column,
                    new_column,
                    first: block.first.table_row,
                };
                self.column(&pair, &runs, component, route, new_id)?;
            }
        }
        Ok(())
    }

    /// A column of a table from a column of a table.
    fn column(
        &mut self,
        pair: &ColumnPair<'_>,
        runs: &[Run],
        component: ComponentId,
        route: &Route,
        new_id: ComponentId,
    ) -> Result<(), RebuildError> {
        let stride = self.size(new_id);
        // SAFETY: the row is the first of those that were spawned for this block.
        let first = unsafe { pair.new_column.get_data_unchecked(pair.first) }.as_ptr();
        let start = pair.first.index();
        for run in runs {
            let entities = &pair.to.entities()[start + run.at..][..run.len];
            // SAFETY: the row exists in the old table.
            let old = unsafe { pair.old_column.get_data_unchecked(run.old) }.as_ptr();
            // SAFETY: the block has as many rows as the archetype has entities.
            let new = unsafe { first.add(run.at * stride) }.cast_mut();
            self.transfer(component, route, new_id, entities, old, new, stride)?;
            pair.copy_ticks(*run);
        }
        merge_summary(
            pair.old_column.get_summary_tick(),
            pair.new_column.get_summary_tick(),
            self.old.read_change_tick(),
        );
        Ok(())
    }

    /// Value by value, where a sparse set is involved.
    fn values(
        &mut self,
        archetype: &Archetype,
        component: ComponentId,
        route: &Route,
        new_id: ComponentId,
    ) -> Result<(), RebuildError> {
        let stride = self.size(new_id);
        for entity in archetype.entities().iter().map(ArchetypeEntity::id) {
            let (Some(from), Some(to)) = (
                Cells::of(self.old, entity, component),
                Cells::of(self.new, entity, new_id),
            ) else {
                continue;
            };
            self.transfer(
                component,
                route,
                new_id,
                &[entity],
                from.value,
                to.value,
                stride,
            )?;
            from.copy_ticks(&to);
            merge_summary(from.summary, to.summary, self.old.read_change_tick());
        }
        Ok(())
    }

    /// Values of some entities that follow each other in both worlds.
    #[expect(
        clippy::too_many_arguments,
        reason = "two columns and what lies between"
    )]
    fn transfer(
        &mut self,
        component: ComponentId,
        route: &Route,
        new_id: ComponentId,
        entities: &[Entity],
        old: *const u8,
        new: *mut u8,
        stride: usize,
    ) -> Result<(), RebuildError> {
        match route.way {
            Way::Leave => return Ok(()),
            Way::Copy => {
                // SAFETY: both are columns with as many rows from here on, and the size is
                // the same (checked with the plan). They belong to two worlds.
                unsafe { ptr::copy_nonoverlapping(old, new, route.size * entities.len()) };
                return Ok(());
            }
            Way::Make(number) => {
                let make = &mut self.makes[number];
                match panic::guard(|| make(entities, old, new)) {
                    Ok(Ok(())) => {}
                    Ok(Err(ColumnError { entity, message })) => {
                        return Err(RebuildError::Conversion {
                            component,
                            entity,
                            message,
                        });
                    }
                    Err(report) => return Err(RebuildError::Panicked { report }),
                }
            }
            Way::IsResource => {
                let one = |named: &IsResource| {
                    let id = self.routes.new_id(named.resource_component_id());
                    IsResource::new(id.unwrap_or(IS_RESOURCE))
                };
                // SAFETY: the component is `IsResource` in both worlds, and there are as
                // many values and as much space.
                unsafe { make_each(old, new, entities.len(), one) };
            }
            Way::Filters => {
                let one = |filters: &DefaultQueryFilters| {
                    let mut made = DefaultQueryFilters::empty();
                    for id in filters.disabling_ids() {
                        if let Some(id) = self.routes.new_id(id) {
                            made.register_disabling_component(id);
                        }
                    }
                    made
                };
                // SAFETY: as above, for `DefaultQueryFilters`.
                unsafe { make_each(old, new, entities.len(), one) };
            }
        }
        self.made.push(Made {
            component: new_id,
            at: new,
            stride,
            count: entities.len(),
        });
        Ok(())
    }

    fn drop_made(&mut self) {
        for made in self.made.drain(..) {
            let info = self.new.components().get_info(made.component);
            let Some(drop) = info.and_then(|info| info.drop()) else {
                continue;
            };
            for row in 0..made.count {
                // SAFETY: it was made as a value of this component and nobody uses it.
                let _ = unsafe { forget::drop_value(made.at.add(row * made.stride), drop) };
            }
        }
    }

    /// Bytes of a value in the new world.
    fn size(&self, component: ComponentId) -> usize {
        let info = self.new.components().get_info(component);
        info.map_or(0, |info| info.layout().size())
    }
}

/// Writes `count` values at `new`, each made from one at `old`.
///
/// # Safety
/// At `old` are as many values of type `T`, at `new` is space for as many.
unsafe fn make_each<T>(old: *const u8, new: *mut u8, count: usize, one: impl Fn(&T) -> T) {
    for row in 0..count {
        // SAFETY: the caller's promise.
        let value = one(unsafe { &*old.cast::<T>().add(row) });
        // SAFETY: the caller's promise.
        unsafe { new.cast::<T>().add(row).write(value) };
    }
}

/// A column of an old table and the one that takes from it.
struct ColumnPair<'a> {
    from: &'a Table,
    to: &'a Table,
    old_column: &'a Column,
    new_column: &'a Column,
    /// First row of the block in the new table.
    first: TableRow,
}

impl ColumnPair<'_> {
    /// Change ticks, and places in code if bevy_ecs records them.
    fn copy_ticks(&self, run: Run) {
        let (old_len, new_len) = (self.from.entities().len(), self.to.entities().len());
        let (old, new) = (self.old_column, self.new_column);
        // SAFETY: so many rows have the tables, in each of their columns. The new ones may
        // not be written yet; they are not read.
        unsafe {
            let (old, new) = (
                old.get_added_ticks_slice(old_len),
                new.get_added_ticks_slice(new_len),
            );
            self.copy_cells(run, old, new);
        }
        // SAFETY: as above.
        unsafe {
            let (old, new) = (
                old.get_changed_ticks_slice(old_len),
                new.get_changed_ticks_slice(new_len),
            );
            self.copy_cells(run, old, new);
        }
        // SAFETY: as above.
        let (old, new) = unsafe {
            (
                old.get_changed_by_slice(old_len),
                new.get_changed_by_slice(new_len),
            )
        };
        if let (Some(old), Some(new)) = (old.into_option(), new.into_option()) {
            self.copy_cells(run, old, new);
        }
    }

    fn copy_cells<T: Copy>(&self, run: Run, old: &[UnsafeCell<T>], new: &[UnsafeCell<T>]) {
        let old = &old[run.old.index()..][..run.len];
        let new = &new[self.first.index() + run.at..][..run.len];
        // SAFETY: as long as each other and from two worlds; cells may be written through
        // a shared reference, and nobody else looks at them now.
        unsafe {
            ptr::copy_nonoverlapping(
                old.as_ptr().cast::<T>(),
                new.as_ptr().cast::<T>().cast_mut(),
                run.len,
            );
        }
    }
}

/// One value with its ticks, wherever it is stored.
pub(super) struct Cells<'w> {
    pub value: *mut u8,
    added: &'w UnsafeCell<Tick>,
    changed: &'w UnsafeCell<Tick>,
    summary: Option<&'w AtomicTick>,
}

impl<'w> Cells<'w> {
    /// Finds the value of an entity.
    pub(super) fn of(world: &'w World, entity: Entity, component: ComponentId) -> Option<Self> {
        let location = world.entities().get_spawned(entity).ok()?;
        let archetype = world.archetypes().get(location.archetype_id)?;
        match archetype.get_storage_type(component)? {
            StorageType::SparseSet => {
                let set = world.storages().sparse_sets.get(component)?;
                let (value, ticks) = set.get_with_ticks(entity)?;
                Some(Self {
                    value: value.as_ptr().cast_mut(),
                    added: ticks.added,
                    changed: ticks.changed,
                    summary: ticks.summary_tick,
                })
            }
            StorageType::Table => {
                let table = world.storages().tables.get(location.table_id)?;
                let column = table.get_column(component)?;
                // SAFETY: the location of a spawned entity is a row of its table.
                let value = unsafe { column.get_data_unchecked(location.table_row) };
                Some(Self {
                    value: value.as_ptr().cast_mut(),
                    added: table.get_added_tick(component, location.table_row)?,
                    changed: table.get_changed_tick(component, location.table_row)?,
                    summary: column.get_summary_tick(),
                })
            }
        }
    }

    /// Gives another value the ticks of this one.
    pub(super) fn copy_ticks(&self, to: &Cells<'_>) {
        // SAFETY: cells of two worlds that nobody else looks at now.
        unsafe { *to.added.get() = *self.added.get() };
        // SAFETY: as above.
        unsafe { *to.changed.get() = *self.changed.get() };
    }
}

/// The newest change of a column, if it is kept, is the newest of all that went into it.
/// Where the old world did not keep one, anything may just have changed.
fn merge_summary(old: Option<&AtomicTick>, new: Option<&AtomicTick>, now: Tick) {
    let newest = old.map_or(now, AtomicTick::get);
    if let Some(new) = new
        && (new.get() == Tick::default() || newest.is_newer_than(new.get(), now))
    {
        new.set(newest);
    }
}

/// The rows of an archetype in its table, those together that follow each other.
fn runs(archetype: &Archetype) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, row) in archetype.entities().iter().enumerate() {
        let old = row.table_row();
        match runs.last_mut() {
            Some(run) if run.old.index() + run.len == old.index() => run.len += 1,
            _ => runs.push(Run { at, old, len: 1 }),
        }
    }
    runs
}

/// Moves non-send values over, those that the plan says. True if there were any: both
/// worlds hold their bits then.
pub(super) fn non_send(
    old: &World,
    new: &mut World,
    routes: &Routes,
) -> Result<bool, RebuildError> {
    let mut any = false;
    for (component, data) in old.storages().non_sends.iter() {
        let (Some(route), true) = (routes.get(component), data.is_present()) else {
            continue;
        };
        let Some((value, ticks)) = panic::guard(|| data.get_data().zip(data.get_ticks()))
            .map_err(|report| RebuildError::Panicked { report })?
            .and_then(|(value, ticks)| Some((NonNull::new(value.as_ptr().cast_mut())?, ticks)))
        else {
            continue;
        };
        match (route.way, route.new) {
            (Way::Leave, _) => {}
            (Way::Copy, Some(new_id)) => {
                any = true;
                // SAFETY: a value of this component, copied as bits. One of the worlds is
                // going to forget it.
                unsafe {
                    let value = OwningPtr::new(value);
                    new.insert_non_send_by_id(new_id, value, MaybeLocation::caller());
                }
                if let Some(mut value) = new.get_non_send_mut_by_id(new_id) {
                    value.set_last_added(ticks.added);
                    value.set_last_changed(ticks.changed);
                }
            }
            _ => return Err(RebuildError::NonSend { component }),
        }
    }
    Ok(any)
}
