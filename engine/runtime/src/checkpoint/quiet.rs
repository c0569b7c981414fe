//! Entities that come and go without hooks and observers hearing of it.
//!
//! What a checkpoint holds is what there was after hooks and observers had run: if they ran
//! again, what they made would be there twice. bevy_ecs has no way around them, so the
//! world's component table is exchanged for one without hooks (and without required
//! components, which would come back when they had been removed), and its observers for
//! none. Archetypes are made with both in place, since they note whether anyone listens.
//!
//! As [`rebuild`](crate::rebuild) this depends on how bevy_ecs 0.20.1 is built inside; the
//! version is pinned.

use std::cell::RefCell;
use std::iter::repeat_n;
use std::mem::{self, MaybeUninit};
use std::ptr::NonNull;

use engine_api::bevy_ecs::archetype::{Archetype, ArchetypeId, Archetypes, Edges};
use engine_api::bevy_ecs::bundle::{Bundle, Bundles, DynamicBundle};
use engine_api::bevy_ecs::component::{
    ComponentId, Components, ComponentsRegistrator, StorageType,
};
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::observer::Observers;
use engine_api::bevy_ecs::ptr::{MovingPtr, OwningPtr};
use engine_api::bevy_ecs::world::{EntityWorldMut, World};

use crate::rebuild::{bare_copy, part_mut, with_hooks_alone};

thread_local! {
    /// What [`Parts`] consists of at the moment.
    static COMPONENTS: RefCell<Vec<ComponentId>> = const { RefCell::new(Vec::new()) };
}

/// A component's value that an entity is to have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) component: ComponentId,
    pub(crate) storage: StorageType,
    pub(crate) value: NonNull<u8>,
}

/// A bundle of any components.
struct Parts {
    parts: NonNull<Part>,
    count: usize,
}

// SAFETY: made and used within one call on one thread.
unsafe impl Send for Parts {}
// SAFETY: as above.
unsafe impl Sync for Parts {}

// SAFETY: the list says what `get_components` gives, in this order: `Quiet::spawn` sets it
// before the bundle is known to the world and whenever it changes.
unsafe impl Bundle for Parts {
    fn component_ids(_: &mut ComponentsRegistrator) -> impl Iterator<Item = ComponentId> + use<> {
        COMPONENTS.with_borrow(Clone::clone).into_iter()
    }

    fn get_component_ids(_: &Components) -> impl Iterator<Item = Option<ComponentId>> {
        COMPONENTS.with_borrow(Clone::clone).into_iter().map(Some)
    }
}

impl DynamicBundle for Parts {
    type Effect = ();

    unsafe fn get_components(
        ptr: MovingPtr<'_, Self>,
        func: &mut impl FnMut(StorageType, OwningPtr<'_>),
    ) {
        let Parts { parts, count } = *ptr;
        // SAFETY: `Quiet::spawn` made it of a slice that is still borrowed.
        for part in unsafe { std::slice::from_raw_parts(parts.as_ptr(), count) } {
            // SAFETY: the caller of `Quiet::spawn` gives the value away.
            func(part.storage, unsafe { OwningPtr::new(part.value) });
        }
    }

    unsafe fn apply_effect(_: MovingPtr<'_, MaybeUninit<Self>>, _: &mut EntityWorldMut) {}
}

/// A world in which nobody hears of entities that come and go, until this is dropped.
pub(crate) struct Quiet<'w> {
    world: &'w mut World,
    /// With hooks, without requirements.
    hooked: Components,
    /// Without either; the world's own while that has this one.
    bare: Components,
    /// The world's own while it has none.
    observers: Observers,
    cache: (Bundles, Edges),
    signature: Option<Vec<ComponentId>>,
    /// Between which archetypes entities move, and what the first one remembered.
    moving: Option<(ArchetypeId, ComponentId, Edges)>,
}

impl<'w> Quiet<'w> {
    pub(crate) fn new(world: &'w mut World) -> Self {
        let hooked = with_hooks_alone(world.components());
        let bare = bare_copy(world.components());
        let nothing = (Bundles::default(), Edges::default());
        let cache = exchange_cache(world, nothing);
        let mut quiet = Self {
            world,
            hooked,
            bare,
            observers: Observers::default(),
            cache,
            signature: None,
            moving: None,
        };
        quiet.exchange();
        quiet
    }

    /// Between the world's own parts and the silent ones.
    fn exchange(&mut self) {
        // SAFETY: both tables describe the same components with the same ids, layouts and
        // drop functions.
        unsafe { mem::swap(part_mut(self.world, World::components), &mut self.bare) };
        // SAFETY: without observers none is called; archetypes only note that there may be
        // some.
        unsafe { mem::swap(part_mut(self.world, World::observers), &mut self.observers) };
    }

    /// Despawns an entity; its values are dropped.
    pub(crate) fn despawn(&mut self, entity: Entity) {
        self.world.despawn(entity);
    }

    /// Spawns an entity whose id was allocated before, with exactly these components.
    /// `false` if it could not be; the values are still the caller's then.
    ///
    /// # Safety
    /// Each component is registered and there once, its storage is the one it has, and the
    /// value is one of it, which belongs to the world afterwards.
    pub(crate) unsafe fn spawn(&mut self, entity: Entity, parts: &[Part]) -> bool {
        let components = || parts.iter().map(|part| part.component);
        let is_same = |known: &Vec<ComponentId>| known.iter().copied().eq(components());
        if !self.signature.as_ref().is_some_and(is_same) {
            self.prepare(components().collect());
        }
        let parts = Parts {
            parts: NonNull::from(parts).cast(),
            count: parts.len(),
        };
        self.world.spawn_at(entity, parts).is_ok()
    }

    /// Gives an entity a component that it does not have. `false` if it could not; the
    /// value is still the caller's then. Quick for entities with the same components, one
    /// after the other.
    ///
    /// # Safety
    /// The component is registered, its storage is the one it has, and the value is one of
    /// it, which belongs to the world afterwards.
    pub(crate) unsafe fn insert(&mut self, entity: Entity, part: Part) -> bool {
        let Ok(location) = self.world.entities().get_spawned(entity) else {
            return false;
        };
        let from = location.archetype_id;
        let Some(archetype) = self.world.archetypes().get(from) else {
            return false;
        };
        if archetype.contains(part.component) {
            return false;
        }
        let is_same = |(moved, component, _): &(ArchetypeId, ComponentId, Edges)| {
            (*moved, *component) == (from, part.component)
        };
        if !self.moving.as_ref().is_some_and(is_same) {
            let components = archetype.iter_components();
            let mut components: Vec<_> = components.chain([part.component]).collect();
            components.sort();
            self.prepare(components);
            // The archetype is there. From here on the bundle is this one component.
            drop(exchange_cache(
                self.world,
                (Bundles::default(), Edges::default()),
            ));
            COMPONENTS.set(vec![part.component]);
            self.signature = None;
            let edges = exchange_edges(self.world, from, Edges::default());
            self.moving = Some((from, part.component, edges));
        }
        let parts = Parts {
            parts: NonNull::from(&part),
            count: 1,
        };
        self.world.entity_mut(entity).insert(parts);
        true
    }

    /// The archetype that entities moved from remembers what it did before.
    fn end_moving(&mut self) {
        if let Some((from, _, edges)) = self.moving.take() {
            drop(exchange_edges(self.world, from, edges));
        }
    }

    /// Makes the archetype of entities that come next.
    fn prepare(&mut self, components: Vec<ComponentId>) {
        self.end_moving();
        let nothing = || (Bundles::default(), Edges::default());
        drop(exchange_cache(self.world, nothing()));
        COMPONENTS.set(components.clone());
        self.signature = Some(components);
        // The archetype must know of hooks and observers.
        self.exchange();
        // SAFETY: see `exchange`.
        unsafe { mem::swap(part_mut(self.world, World::components), &mut self.hooked) };
        let none = repeat_n((), 0).map(|()| Parts {
            parts: NonNull::dangling(),
            count: 0,
        });
        drop(self.world.spawn_batch(none));
        // SAFETY: see `exchange`.
        unsafe { mem::swap(part_mut(self.world, World::components), &mut self.hooked) };
        self.exchange();
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.end_moving();
        self.exchange();
        let cache = mem::take(&mut self.cache);
        drop(exchange_cache(self.world, cache));
        COMPONENTS.set(Vec::new());
    }
}

/// Exchanges what the world remembers of bundles and of the empty archetype's neighbours.
fn exchange_cache(world: &mut World, cache: (Bundles, Edges)) -> (Bundles, Edges) {
    // SAFETY: both are caches, filled again on demand. The edges of this archetype refer
    // to bundles of the same set by their number; edges of others are not used meanwhile,
    // or are exchanged as well.
    let bundles = unsafe { mem::replace(part_mut(world, World::bundles), cache.0) };
    (bundles, exchange_edges(world, ArchetypeId::EMPTY, cache.1))
}

/// Exchanges what an archetype remembers of its neighbours.
fn exchange_edges(world: &mut World, of: ArchetypeId, edges: Edges) -> Edges {
    // SAFETY: only the edges of one archetype are changed, a cache that refers to bundles
    // by their number; the caller exchanges those as well.
    let archetypes: &mut Archetypes = unsafe { part_mut(world, World::archetypes) };
    // SAFETY: see above.
    let known = unsafe { part_mut(&mut archetypes[of], Archetype::edges) };
    mem::replace(known, edges)
}
