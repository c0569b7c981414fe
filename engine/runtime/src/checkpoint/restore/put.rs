//! What was made of a checkpoint goes into the world. Nothing here can fail; panics of
//! values that are dropped are collected.

use std::collections::{HashMap, HashSet};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use engine_api::bevy_ecs::archetype::ArchetypeEntity;
use engine_api::bevy_ecs::change_detection::MaybeLocation;
use engine_api::bevy_ecs::component::{Component, ComponentId, StorageType};
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::hierarchy::{ChildOf, Children};
use engine_api::bevy_ecs::name::Name;
use engine_api::bevy_ecs::observer::{ObservedBy, Observer};
use engine_api::bevy_ecs::ptr::OwningPtr;
use engine_api::bevy_ecs::relationship::RelationshipTarget;
use engine_api::bevy_ecs::world::World;

use super::{Buffer, Made, NewColumn, RestoreReport, Scope};
use crate::checkpoint::Block;
use crate::checkpoint::capture::is_of_the_game;
use crate::checkpoint::quiet::{Part, Quiet};
use crate::limbo::LimboChanges;
use crate::panic::{self, PanicReport};
use crate::state::StateBook;

impl Made<'_> {
    /// Puts everything into the world.
    pub(super) fn put(
        mut self,
        world: &mut World,
        book: &mut StateBook,
        scope: Scope,
    ) -> RestoreReport {
        let mut panics = Vec::new();
        let mut guarded = |code: &mut dyn FnMut()| {
            if let Err(report) = panic::guard(code) {
                panics.push(report.summary());
            }
        };
        guarded(&mut || world.flush());
        let own = Own::of(world);
        let gone: Vec<Entity> = world
            .archetypes()
            .iter()
            .filter(|archetype| is_of_the_game(world, archetype))
            .flat_map(|archetype| archetype.entities().iter().map(ArchetypeEntity::id))
            .collect();
        let watchers: HashSet<Entity> = gone
            .iter()
            .filter_map(|entity| world.get::<ObservedBy>(*entity))
            .flat_map(|by| by.get().to_vec())
            .collect();
        let (parents, mut children) = self.families();
        let mut extra: HashMap<Entity, Vec<NewColumn>> = HashMap::new();
        for (entity, column) in std::mem::take(&mut self.extra) {
            extra.entry(entity).or_default().push(column);
        }
        let blocks = std::mem::take(&mut self.blocks);
        let mut quiet = Quiet::new(world);
        for entity in &gone {
            guarded(&mut || quiet.despawn(*entity));
        }
        for (block, mut columns) in self.checkpoint.blocks.iter().zip(blocks) {
            for (index, bits) in block.entities.iter().enumerate() {
                let Some(entity) = self.map.get(bits).copied() else {
                    continue;
                };
                let mut extra = extra.remove(&entity).unwrap_or_default();
                let mut values = EngineValues::of(block, index, parents.get(&entity));
                values.children = children.remove(&entity).map(ManuallyDrop::new);
                values.spawn(&mut quiet, entity, &own, index, &mut columns, &mut extra);
            }
        }
        drop(quiet);
        for watcher in watchers {
            let is_idle = world.get::<Observer>(watcher).is_some_and(|observer| {
                let mut watched = observer.descriptor().entities().iter();
                watched.all(|entity| world.get_entity(*entity).is_err())
            });
            if is_idle {
                guarded(&mut || {
                    world.despawn(watcher);
                });
            }
        }
        let mut of_resources = Vec::new();
        for column in &mut self.resources {
            guarded(&mut || {
                of_resources.extend(put_resource(world, column.component, &mut column.values));
            });
        }
        for absent in &self.absent {
            guarded(&mut || {
                world.remove_resource_by_id(*absent);
            });
        }
        self.put_limbo(world, book, &gone, scope);
        let map = self.map.iter().filter_map(|(old, new)| {
            let old = Entity::try_from_bits(*old)?;
            (*new != Entity::PLACEHOLDER).then_some((old, *new))
        });
        self.report.entity_map = map.collect();
        self.report.entities = self.checkpoint.entities();
        self.report.resources = self.resources.len();
        panics.extend(of_resources.iter().map(PanicReport::summary));
        self.report.panics = panics;
        self.report
    }

    /// The parent of each entity that has one, and the children of each in their order.
    /// Only entities of the checkpoint count; nobody is its own parent.
    fn families(&self) -> (HashMap<Entity, Entity>, HashMap<Entity, Children>) {
        let blocks = &self.checkpoint.blocks;
        let of_blocks: HashSet<Entity> = blocks
            .iter()
            .flat_map(|block| &block.entities)
            .filter_map(|bits| self.map.get(bits).copied())
            .collect();
        let known = |bits: &u64| {
            let entity = self.map.get(bits).copied();
            entity.filter(|entity| of_blocks.contains(entity))
        };
        let mut parents: HashMap<Entity, Entity> = HashMap::new();
        for block in blocks {
            for (child, parent) in block.entities.iter().zip(block.parents.iter().flatten()) {
                if let (Some(child), Some(parent)) = (known(child), known(parent))
                    && parent != child
                {
                    parents.insert(child, parent);
                }
            }
        }
        let mut left = parents.clone();
        let mut children: HashMap<Entity, Vec<Entity>> = HashMap::new();
        for block in blocks {
            let Some((counts, all)) = &block.children else {
                continue;
            };
            let mut all = all.iter();
            for (parent, count) in block.entities.iter().zip(counts) {
                let parent = known(parent);
                for child in all.by_ref().take(*count as usize).map(known) {
                    if let (Some(parent), Some(child)) = (parent, child)
                        && left.get(&child) == Some(&parent)
                    {
                        left.remove(&child);
                        children.entry(parent).or_default().push(child);
                    }
                }
            }
        }
        // Those that no list mentions, in the order of their ids.
        let mut left: Vec<_> = left.into_iter().collect();
        left.sort_by_key(|(child, _)| child.index_u32());
        for (child, parent) in left {
            children.entry(parent).or_default().push(child);
        }
        let children = children.into_iter();
        let children = children.map(|(parent, all)| (parent, Children::from_collection_risky(all)));
        (parents, children.collect())
    }

    fn put_limbo(&mut self, world: &World, book: &mut StateBook, gone: &[Entity], scope: Scope) {
        let gone: HashSet<Entity> = gone.iter().copied().collect();
        let replaced: HashSet<Entity> = self
            .resources
            .iter()
            .filter_map(|column| world.resource_entities().get(column.component))
            .collect();
        let stays = |entity: Entity| {
            if entity == Entity::PLACEHOLDER {
                return scope == Scope::Mentioned;
            }
            !gone.contains(&entity) && !replaced.contains(&entity)
        };
        book.limbo.sweep(stays);
        let mut changes = LimboChanges::default();
        for (path, entities) in std::mem::take(&mut self.limbo) {
            for (bits, parts) in entities {
                let Some(entity) = Entity::try_from_bits(bits) else {
                    continue;
                };
                for (part, data) in parts {
                    changes.add(&path, entity, part, data);
                }
            }
        }
        book.limbo.apply(changes);
    }
}

/// Ids of the ECS's own components.
struct Own {
    child_of: (ComponentId, StorageType),
    children: (ComponentId, StorageType),
    name: (ComponentId, StorageType),
    disabled: (ComponentId, StorageType),
}

impl Own {
    fn of(world: &mut World) -> Self {
        fn one<T: Component>(world: &mut World) -> (ComponentId, StorageType) {
            (world.register_component::<T>(), T::STORAGE_TYPE)
        }
        Self {
            child_of: one::<ChildOf>(world),
            children: one::<Children>(world),
            name: one::<Name>(world),
            disabled: one::<Disabled>(world),
        }
    }
}

/// Values of the ECS's own components of one entity, until the world has them.
struct EngineValues {
    child_of: Option<ManuallyDrop<ChildOf>>,
    children: Option<ManuallyDrop<Children>>,
    name: Option<ManuallyDrop<Name>>,
    disabled: Option<ManuallyDrop<Disabled>>,
}

impl EngineValues {
    fn of(block: &Block, index: usize, parent: Option<&Entity>) -> Self {
        let name = block.names.as_ref().and_then(|names| names.get(index));
        Self {
            child_of: parent.map(|parent| ManuallyDrop::new(ChildOf(*parent))),
            children: None,
            name: name.map(|name| ManuallyDrop::new(Name::new(name.to_owned()))),
            disabled: block.disabled.then(|| ManuallyDrop::new(Disabled)),
        }
    }

    fn spawn(
        &mut self,
        quiet: &mut Quiet,
        entity: Entity,
        own: &Own,
        index: usize,
        columns: &mut [NewColumn],
        extra: &mut [NewColumn],
    ) {
        fn part<T>(
            value: &mut Option<ManuallyDrop<T>>,
            of: (ComponentId, StorageType),
        ) -> Option<Part> {
            let value = NonNull::from(value.as_mut()?).cast();
            let (component, storage) = of;
            Some(Part {
                component,
                storage,
                value,
            })
        }
        let mut parts: Vec<Part> = [
            part(&mut self.child_of, own.child_of),
            part(&mut self.children, own.children),
            part(&mut self.name, own.name),
            part(&mut self.disabled, own.disabled),
        ]
        .into_iter()
        .flatten()
        .collect();
        let of_block = columns.iter().map(|column| (index, column));
        let of_entity = extra.iter().map(|column| (0, column));
        for (index, column) in of_block.chain(of_entity) {
            let is_there = parts.iter().any(|part| part.component == column.component);
            if column.values.has(index) && !is_there {
                parts.push(Part {
                    component: column.component,
                    storage: column.storage,
                    value: column.values.slot(index),
                });
            }
        }
        parts.sort_by_key(|part| part.component);
        // SAFETY: values of registered components, each once, which are forgotten here
        // when the world has them.
        if unsafe { quiet.spawn(entity, &parts) } {
            let has = |component| parts.iter().any(|part| part.component == component);
            for (index, column) in (columns.iter_mut().map(|column| (index, column)))
                .chain(extra.iter_mut().map(|column| (0, column)))
            {
                if has(column.component) {
                    column.values.forget(index);
                }
            }
        }
    }
}

/// Replaces a resource's value, or inserts it where there is none. Gives the panic of the
/// old one.
pub(crate) fn put_resource(
    world: &mut World,
    component: ComponentId,
    values: &mut Buffer,
) -> Option<PanicReport> {
    if !values.has(0) {
        return None;
    }
    if let Some(mut resource) = world.get_resource_mut_by_id(component) {
        let at = resource.as_mut().as_ptr();
        // SAFETY: the resource's value, which has the type of the column.
        return unsafe { values.replace(at) };
    }
    let value = values.slot(0);
    values.forget(0);
    // SAFETY: a value of the resource's type, forgotten here.
    unsafe {
        world.insert_resource_by_id(component, OwningPtr::new(value), MaybeLocation::caller());
    }
    None
}
