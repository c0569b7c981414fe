//! Spawning entities whose columns are filled afterwards.
//!
//! [`Hollow`] stands for any set of components. bevy_ecs caches what a bundle type
//! consists of, so the cache is emptied before each archetype. While entities are
//! spawned, the world's component table is exchanged for a copy without hooks and
//! required components; while an archetype is made, for one with hooks alone, so that
//! the archetype knows that it has to call them later.

use std::cell::RefCell;
use std::iter::repeat_n;
use std::mem;
use std::ptr::NonNull;

use engine_api::bevy_ecs::archetype::{Archetype, ArchetypeEntity, ArchetypeId, Archetypes, Edges};
use engine_api::bevy_ecs::bundle::{Bundle, BundleFromComponents, Bundles, DynamicBundle};
use engine_api::bevy_ecs::change_detection::Tick;
use engine_api::bevy_ecs::component::{
    ComponentDescriptor, ComponentId, ComponentIds, Components, ComponentsRegistrator, StorageType,
};
use engine_api::bevy_ecs::entity::{Entity, EntityAllocator};
use engine_api::bevy_ecs::observer::Observers;
use engine_api::bevy_ecs::ptr::{MovingPtr, OwningPtr};
use engine_api::bevy_ecs::resource::IsResource;
use engine_api::bevy_ecs::world::{EntityWorldMut, World};

use super::parts::{part_mut, set_tick};

thread_local! {
    /// What [`Hollow`] consists of at the moment: sparse sets first.
    static COMPONENTS: RefCell<Vec<ComponentId>> = const { RefCell::new(Vec::new()) };
}

/// How many freed ids an allocator keeps to itself before others can get them.
pub(super) const ALLOCATOR_BUFFER: usize = 128;

/// A bundle of any components: writes nothing into tables and zeros into sparse sets.
#[derive(Clone, Copy)]
struct Hollow {
    sparse_sets: usize,
    zeros: NonNull<u8>,
}

// SAFETY: the pointer is only read during `spawn_batch`, on the thread that calls it.
unsafe impl Send for Hollow {}
// SAFETY: as above.
unsafe impl Sync for Hollow {}

// SAFETY: for the time of a spawn the list does not change, and `get_components` gives
// the first `sparse_sets` of it. The others get their values from `fill` before anything
// can look at them.
unsafe impl Bundle for Hollow {
    fn component_ids(_: &mut ComponentsRegistrator) -> impl Iterator<Item = ComponentId> + use<> {
        COMPONENTS.with_borrow(Clone::clone).into_iter()
    }

    fn get_component_ids(_: &Components) -> impl Iterator<Item = Option<ComponentId>> {
        COMPONENTS.with_borrow(Clone::clone).into_iter().map(Some)
    }
}

impl DynamicBundle for Hollow {
    type Effect = ();

    unsafe fn get_components(
        ptr: MovingPtr<'_, Self>,
        func: &mut impl FnMut(StorageType, OwningPtr<'_>),
    ) {
        let Hollow { sparse_sets, zeros } = *ptr;
        for _ in 0..sparse_sets {
            // SAFETY: there are at least as many zeros as any of these components has
            // bytes; they are copied as bytes.
            func(StorageType::SparseSet, unsafe { OwningPtr::new(zeros) });
        }
    }

    unsafe fn apply_effect(_: MovingPtr<'_, mem::MaybeUninit<Self>>, _: &mut EntityWorldMut) {}
}

// SAFETY: calls `func` once for each of the components; what it gives is forgotten, as
// `forget_sparse_sets` wants it.
unsafe impl BundleFromComponents for Hollow {
    unsafe fn from_components<T, F>(ctx: &mut T, func: &mut F) -> Self
    where
        F: for<'a> FnMut(&'a mut T) -> OwningPtr<'a>,
    {
        let components = COMPONENTS.with_borrow(Vec::len);
        for _ in 0..components {
            let _ = func(ctx);
        }
        Hollow {
            sparse_sets: components,
            zeros: NonNull::dangling(),
        }
    }
}

/// Spawns entities with given ids into a blank world.
pub(super) struct Spawner<'w> {
    world: &'w mut World,
    /// Component table with hooks and without requirements.
    hooked: Components,
    /// Component table without hooks and requirements.
    bare: Components,
    zeros: Vec<u128>,
    /// What the world had cached before.
    bundles: Bundles,
    edges: Edges,
    batch: Vec<Entity>,
}

impl<'w> Spawner<'w> {
    /// Takes over a world that has no entities. Until [`Spawner::finish`] it must not be
    /// used for anything else.
    pub(super) fn new(world: &'w mut World) -> Self {
        let (hooked, bare) = (
            with_hooks_alone(world.components()),
            bare_copy(world.components()),
        );
        let largest = world
            .components()
            .iter_registered()
            .map(|(_, info)| info.layout().size())
            .max();
        let mut allocator = EntityAllocator::default();
        // With its own buffer full it hands on what it gets at once, in the order given.
        for _ in 0..ALLOCATOR_BUFFER {
            allocator.free(Entity::PLACEHOLDER);
        }
        *world.entity_allocator_mut() = allocator;
        let (bundles, edges) = take_cache(world, ArchetypeId::EMPTY);
        Self {
            world,
            hooked,
            bare,
            zeros: vec![0; largest.unwrap_or(0).div_ceil(size_of::<u128>()) + 1],
            bundles,
            edges,
            batch: Vec::new(),
        }
    }

    /// Makes the archetype of `components` (sparse sets first, `sparse_sets` of them) and
    /// spawns `entities` in it, in this order and one after the other. Their spawn ticks
    /// are those that `spawned` says; nothing is in their columns yet.
    pub(super) fn spawn(
        &mut self,
        components: Vec<ComponentId>,
        sparse_sets: usize,
        entities: impl Iterator<Item = Entity>,
        spawned: impl Fn(Entity) -> Tick,
    ) {
        let _ = take_cache(self.world, ArchetypeId::EMPTY);
        COMPONENTS.set(components);
        let hollow = Hollow {
            sparse_sets,
            zeros: NonNull::from(self.zeros.as_mut_slice()).cast(),
        };
        exchange(self.world, &mut self.hooked);
        drop(self.world.spawn_batch(repeat_n(hollow, 0)));
        exchange(self.world, &mut self.hooked);

        exchange(self.world, &mut self.bare);
        let mut tick = self.world.change_tick();
        self.batch.clear();
        for entity in entities {
            let its_tick = spawned(entity);
            if its_tick != tick {
                self.flush(hollow, tick);
                tick = its_tick;
            }
            self.batch.push(entity);
        }
        self.flush(hollow, tick);
        exchange(self.world, &mut self.bare);
    }

    /// Spawns the batch.
    fn flush(&mut self, hollow: Hollow, tick: Tick) {
        if self.batch.is_empty() {
            return;
        }
        set_tick(self.world, tick);
        self.world.entity_allocator_mut().free_many(&self.batch);
        let spawned = self.world.spawn_batch(repeat_n(hollow, self.batch.len()));
        let as_wanted = spawned.eq(self.batch.iter().copied());
        assert!(as_wanted, "the allocator gave other ids than it got");
        self.batch.clear();
    }

    /// Puts back what the world had cached.
    pub(super) fn finish(self) {
        put_cache(self.world, ArchetypeId::EMPTY, (self.bundles, self.edges));
        COMPONENTS.set(Vec::new());
    }
}

/// Takes all sparse set components away from all entities, without dropping, without
/// hooks and observers. For a world that is about to be dropped.
pub(super) fn forget_sparse_sets(world: &mut World) {
    let mut bare = bare_copy(world.components());
    exchange(world, &mut bare);
    // SAFETY: without observers none is called; the flags that archetypes have for them
    // only say that there may be some.
    unsafe { *part_mut(world, World::observers) = Observers::default() };
    let ids: Vec<ArchetypeId> = world
        .archetypes()
        .iter()
        .filter(|archetype| !archetype.is_empty())
        .filter(|archetype| archetype.sparse_set_components().next().is_some())
        .map(Archetype::id)
        .collect();
    for id in ids {
        let Some(archetype) = world.archetypes().get(id) else {
            continue;
        };
        COMPONENTS.set(archetype.sparse_set_components().collect());
        let entities: Vec<Entity> = archetype
            .entities()
            .iter()
            .map(ArchetypeEntity::id)
            .collect();
        let _ = take_cache(world, id);
        for entity in entities {
            if let Ok(mut entity) = world.get_entity_mut(entity) {
                let _ = entity.take::<Hollow>();
            }
        }
    }
    COMPONENTS.set(Vec::new());
}

/// Exchanges a world's component table for one that has the same components.
fn exchange(world: &mut World, components: &mut Components) {
    // SAFETY: both tables describe the same components with the same ids, layouts and
    // drop functions. Who exchanges them does so twice or is done with the world.
    unsafe { mem::swap(part_mut(world, World::components), components) };
}

/// Takes out what the world remembers of bundles and of one archetype's neighbours.
fn take_cache(world: &mut World, archetype: ArchetypeId) -> (Bundles, Edges) {
    let nothing = (Bundles::default(), Edges::default());
    put_cache(world, archetype, nothing)
}

/// Puts it back, and gives what was there.
fn put_cache(world: &mut World, id: ArchetypeId, cache: (Bundles, Edges)) -> (Bundles, Edges) {
    // SAFETY: both are caches, filled again on demand. The edges of this archetype refer
    // to bundles of the same set by their number; edges of others are not used while the
    // set is exchanged.
    let bundles = unsafe { mem::replace(part_mut(world, World::bundles), cache.0) };
    // SAFETY: only the edges of one archetype are changed, see above.
    let archetypes: &mut Archetypes = unsafe { part_mut(world, World::archetypes) };
    // SAFETY: see above.
    let edges = unsafe { part_mut(&mut archetypes[id], Archetype::edges) };
    (bundles, mem::replace(edges, cache.1))
}

/// The same components with the same ids, without hooks and requirements.
pub(crate) fn bare_copy(components: &Components) -> Components {
    let (mut copy, mut ids) = (Components::default(), ComponentIds::default());
    // SAFETY: both are new.
    let mut registrator = unsafe { ComponentsRegistrator::new(&mut copy, &mut ids) };
    for index in 0..components.len() {
        registrator.register_component_with_descriptor(descriptor(components, index));
    }
    copy
}

/// The same components with the same ids and hooks, without requirements (other than
/// those that every new world has).
pub(crate) fn with_hooks_alone(components: &Components) -> Components {
    let mut world = World::new();
    for index in world.components().len()..components.len() {
        let id = world
            .components_registrator()
            .register_component_with_descriptor(descriptor(components, index));
        if let (Some(info), Some(hooks)) = (
            components.get_info(id),
            world.register_component_hooks_by_id(id),
        ) {
            *hooks = info.hooks().clone();
        }
    }
    // SAFETY: the world is dropped next, for which it does not need the table.
    unsafe { mem::take(part_mut(&mut world, World::components)) }
}

/// Layout, storage and drop function of a component.
fn descriptor(components: &Components, index: usize) -> ComponentDescriptor {
    components
        .get_descriptor(ComponentId::new(index))
        // An id that was reserved and never used: anything keeps the place.
        .map_or_else(ComponentDescriptor::new::<IsResource>, |known| {
            known.into_owned()
        })
}
