//! Rebuilding a world: all of it moves into a fresh one.
//!
//! One world cannot hold two layouts of one `TypeId`, and its component table keeps
//! pointing into the code that registered a type first. So when a layout changes, or
//! old code has to go, a new world is made with the same entities: same ids and
//! generations, same free ids, same change ticks and spawn ticks, same relations. Values
//! are moved as bits, except those that the plan converts.
//!
//! ```text
//! begin ──► both worlds hold the bits of moved values; the old one is complete
//!             │ the caller prepares systems and observers in the new one
//!             ├──► commit      the new world takes the old one's place
//!             └──► roll_back   the old world goes on, nothing has happened to it
//! ```
//!
//! Neither hooks nor observers run for what is moved, required components are not made,
//! and all of them work afterwards. What cannot move, because it belongs to one world,
//! and is left unless the plan says otherwise: [`Observer`], `ObservedBy`, `Schedules`,
//! `MessageRegistry`, [`HookTable`](engine_api::component_hooks::HookTable),
//! [`Attachable`](engine_api::attach::Attachable), [`Callable`](engine_api::callback::Callable),
//! [`Hearers`](engine_api::event::Hearers). An `Observer` that was
//! in a world holds a system whose parameters were prepared for that world (component ids, matched
//! archetypes); `System::initialize` refuses another one, and nothing takes that state out of a
//! boxed system again. So it can neither move nor be copied, only be made anew by whoever made it.
//! Lost as well: hooks and requirements that were registered by hand
//! and not by `declare`, readers' view of `RemovedComponents`, and the world's id, so
//! states of queries and systems have to be made anew (their `last_run` stays valid).
//!
//! | part | holds |
//! |---|---|
//! | `plan` | what becomes of each component, checked against both worlds |
//! | `hollow` | spawning entities with given ids, columns still empty |
//! | `fill` | columns: values, ticks, conversions |
//! | `ids` | entity ids while there are two worlds |
//! | `forget` | freeing a world whose values live on in the other |
//! | `parts` | what bevy_ecs shows only for reading |

mod fill;
mod forget;
mod hollow;
mod ids;
mod parts;
mod plan;

use std::alloc::Layout;
use std::any::TypeId;
use std::collections::HashMap;
use std::mem::{self, ManuallyDrop};

use engine_api::bevy_ecs::archetype::ArchetypeEntity;
use engine_api::bevy_ecs::component::{ComponentId, StorageType};
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::observer::Observer;
use engine_api::bevy_ecs::resource::{IS_RESOURCE, IsResource, ResourceEntities};
use engine_api::bevy_ecs::world::{World, WorldId};

use self::fill::{Block, Cells, Filler};
use self::forget::Owned;
use self::hollow::Spawner;
pub(crate) use self::hollow::{bare_copy, with_hooks_alone};
pub(crate) use self::ids::total;
use self::parts::set_tick;
pub(crate) use self::parts::{for_observer_maps, part_mut};
pub use self::plan::{MakeColumn, Treatment};
use self::plan::{Routes, Way};
use crate::panic::{self, PanicReport};

/// What a rebuild does.
#[derive(Default)]
pub struct RebuildPlan<'a> {
    /// Makes component types known to the blank world, in this order. Each registers
    /// types (`world.register_component::<T>()`, non-send ones with
    /// `components_registrator().register_non_send::<T>()`) with hooks and requirements;
    /// entities and resources that it makes are thrown away.
    pub declare: Vec<fn(&mut World)>,
    /// By component id of the old world. What is not in it is moved.
    pub treatments: HashMap<ComponentId, Treatment<'a>>,
}

/// A conversion that did not work out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (entity {entity})")]
pub struct ColumnError {
    /// Whose value it was.
    pub entity: Entity,
    /// What is wrong with it.
    pub message: String,
}

/// Why a world could not be rebuilt. It is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Values of a type that the new world does not know.
    #[error(
        "component {component:?} ({size} bytes, type {type_id:?}) has {count} values and nobody \
         declares its new type; declare it, or leave its values"
    )]
    Undeclared {
        /// Id in the old world.
        component: ComponentId,
        /// The type that the new world should know; `None` for one without a Rust type.
        type_id: Option<TypeId>,
        /// Bytes of an old value.
        size: usize,
        /// Values in the old world.
        count: u64,
    },
    /// Values that should move and do not fit.
    #[error(
        "component {component:?} changed from {} bytes (alignment {}) to {} bytes (alignment {}) \
         and its values cannot move as they are; convert them",
        from.size(), from.align(), to.size(), to.align()
    )]
    Layout {
        /// Id in the old world.
        component: ComponentId,
        /// Layout in the old world.
        from: Layout,
        /// Layout in the new one.
        to: Layout,
    },
    /// Two components of one entity would become the same one.
    #[error("component {component:?} would become one that some of its entities already have")]
    Merged {
        /// Id in the old world of the second of them.
        component: ComponentId,
    },
    /// A non-send value can be moved or left, not converted.
    #[error("component {component:?} is non-send data, which cannot be converted; leave it")]
    NonSend {
        /// Id in the old world.
        component: ComponentId,
    },
    /// A conversion said no.
    #[error("a value of component {component:?} of entity {entity} was not converted: {message}")]
    Conversion {
        /// Id in the old world.
        component: ComponentId,
        /// Whose value it was.
        entity: Entity,
        /// What it said.
        message: String,
    },
    /// A conversion or a declaration panicked.
    #[error("it panicked: {}", report.summary())]
    Panicked {
        /// Where and why.
        report: PanicReport,
    },
    /// The ECS does not tell how many entity ids it has given out.
    #[error("the entity allocator could not be read; this version of bevy_ecs is not supported")]
    Allocator,
}

/// An entity that carried an observer, to which the caller adds one again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldObserver {
    /// The observer's own entity.
    pub entity: Entity,
    /// Entities that it watched; empty if all.
    pub watched: Vec<Entity>,
}

/// A new world beside the old one. Dropped without [`commit`](Self::commit) or
/// [`roll_back`](Self::roll_back) it leaks the new world and leaves the old one as it is.
#[must_use = "commit it or roll it back"]
pub struct Rebuilt {
    world: ManuallyDrop<World>,
    old: WorldId,
    routes: Routes,
    observers: Vec<OldObserver>,
    /// First entity id that the old world had never given out.
    first_fresh: u32,
    has_non_send: bool,
}

impl Rebuilt {
    /// Makes the new world and moves everything into it. The old one stays as it is
    /// (apart from commands that were waiting in it, which are applied first), whether
    /// this succeeds or not.
    ///
    /// Runs on the thread that owns the world. Cost: about 50 ns for an entity of three
    /// components, and what conversions take; memory for a second copy.
    ///
    /// # Safety
    /// - `Move` keeps the meaning of the bits: they are valid for the new type.
    /// - Conversions keep the contract of [`MakeColumn`] for the types they are used with.
    /// - Until commit or roll back, nothing in either world changes, drops, despawns or
    ///   moves out a value that was moved and owns something (memory, a handle), and no
    ///   entity ids are allocated from the old world, be it by a `RemoteAllocator`. New
    ///   entities, resources that were missing, systems and observers in the new world are
    ///   fine.
    ///
    /// # Errors
    /// Values that have no type to go to, or a conversion or declaration that failed.
    pub unsafe fn begin(old: &mut World, plan: RebuildPlan<'_>) -> Result<Self, RebuildError> {
        let RebuildPlan {
            declare,
            treatments,
        } = plan;
        let panicked = |report| RebuildError::Panicked { report };
        panic::guard(|| old.flush()).map_err(panicked)?;
        let first_fresh = ids::total(old.entity_allocator()).ok_or(RebuildError::Allocator)?;
        let mut blank = panic::guard(|| blank(&declare)).map_err(panicked)?;
        let (routes, mut makes) = plan::route(old, &blank, treatments)?;
        // SAFETY: the locations in it are those of the old world until each entity is
        // spawned, which is what comes next. Ids and generations are valid anywhere.
        unsafe { *blank.entities_mut() = old.entities().clone() };
        // From here on it is not dropped just so, also not by a panic.
        let mut new = ManuallyDrop::new(blank);
        let blocks = panic::guard(|| spawn(old, &mut new, &routes)).map_err(panicked)?;
        *new.entity_allocator_mut() = ids::beginning_at(first_fresh);

        let filled = Filler::new(old, &mut new, &routes, &mut makes).fill(&blocks);
        if let Err(error) = filled {
            forget::free(ManuallyDrop::into_inner(new), false);
            return Err(error);
        }
        let mut rebuilt = Self {
            world: new,
            old: old.id(),
            routes,
            observers: observers(old),
            first_fresh,
            has_non_send: false,
        };
        let finished = panic::guard(|| rebuilt.finish(old)).map_err(panicked);
        if let Err(error) = finished.and_then(|finished| finished) {
            rebuilt.roll_back(old);
            return Err(error);
        }
        Ok(rebuilt)
    }

    /// What is left once all columns are filled.
    fn finish(&mut self, old: &mut World) -> Result<(), RebuildError> {
        claim_resources(old, &mut self.world, &self.routes);
        set_tick(&mut self.world, old.last_change_tick());
        self.world.clear_trackers();
        set_tick(&mut self.world, old.change_tick());
        self.has_non_send = fill::non_send(old, &mut self.world, &self.routes)?;
        Ok(())
    }

    /// The new world, for the caller to prepare: systems, observers, what was missing.
    /// See the promises of [`begin`](Self::begin).
    pub fn world(&mut self) -> &mut World {
        &mut self.world
    }

    /// Entities that carried an observer. They are in the new world without it.
    pub fn observers(&self) -> &[OldObserver] {
        &self.observers
    }

    /// The id in the new world of a component of the old one; `None` if its type is not
    /// known there.
    pub fn new_id(&self, old: ComponentId) -> Option<ComponentId> {
        self.routes.new_id(old)
    }

    /// The new world takes the old one's place in `old`. Old values that were converted
    /// or left are dropped, the memory of the old world is freed. Gives the first panic
    /// of a drop, for the log; the others were dropped all the same.
    ///
    /// # Panics
    /// If `old` is not the world that [`begin`](Self::begin) was called with.
    pub fn commit(self, old: &mut World) -> Option<PanicReport> {
        assert_eq!(old.id(), self.old, "commit wants the world of begin");
        let Self {
            world,
            routes,
            first_fresh,
            has_non_send,
            ..
        } = self;
        let mut world = ManuallyDrop::into_inner(world);
        ids::hand_over(
            old.entity_allocator_mut(),
            world.entity_allocator_mut(),
            first_fresh,
        );
        mem::swap(old.entity_allocator_mut(), world.entity_allocator_mut());
        mem::swap(old, &mut world);
        let moved = |component| {
            let route = routes.get(component);
            route.is_some_and(|route| route.way == Way::Copy)
        };
        let owned = |component| {
            if moved(component) {
                Owned::None
            } else {
                Owned::All
            }
        };
        // SAFETY: the world is freed next, without dropping values.
        let dropped = unsafe { forget::drop_values(&world, owned, |_, _| false) };
        let non_send = if has_non_send {
            // SAFETY: as above.
            unsafe { forget::drop_non_sends(&world, |component| !moved(component)) }
        } else {
            None
        };
        let freed = forget::free(world, has_non_send);
        dropped.or(non_send).or(freed)
    }

    /// Gives up: what was made for the new world is dropped, what was moved stays where
    /// it was, the new world is freed. Gives the first panic of a drop, for the log.
    ///
    /// # Panics
    /// If `old` is not the world that [`begin`](Self::begin) was called with.
    pub fn roll_back(self, old: &mut World) -> Option<PanicReport> {
        assert_eq!(old.id(), self.old, "roll_back wants the world of begin");
        let Self {
            world,
            routes,
            has_non_send,
            ..
        } = self;
        let mut world = ManuallyDrop::into_inner(world);
        let flushed = panic::guard(|| world.flush()).err();
        let sources: HashMap<ComponentId, Vec<ComponentId>> = world
            .components()
            .iter_registered()
            .map(|(id, _)| (id, routes.sources_of(id)))
            .filter(|(_, sources)| !sources.is_empty())
            .collect();
        let owned = |component| {
            if sources.contains_key(&component) {
                Owned::Some
            } else {
                Owned::All
            }
        };
        // What an entity had in the old world, it has in both.
        let is_owned = |component, entity: Entity| {
            let (Some(sources), Ok(entity)) = (sources.get(&component), old.get_entity(entity))
            else {
                return true;
            };
            !sources.iter().any(|source| entity.contains_id(*source))
        };
        // SAFETY: the world is freed next, without dropping values.
        let dropped = unsafe { forget::drop_values(&world, owned, is_owned) };
        let non_send = if has_non_send {
            let own = |component| !sources.contains_key(&component);
            // SAFETY: as above.
            unsafe { forget::drop_non_sends(&world, own) }
        } else {
            None
        };
        let freed = forget::free(world, has_non_send);
        flushed.or(dropped).or(non_send).or(freed)
    }
}

/// A world that knows the declared types and has no entities.
fn blank(declare: &[fn(&mut World)]) -> World {
    let mut world = World::new();
    for declare in declare {
        declare(&mut world);
    }
    world.flush();
    // SAFETY: the entities that it lists go with the next line.
    unsafe { *part_mut(&mut world, World::resource_entities) = ResourceEntities::default() };
    world.clear_entities();
    world
}

/// Spawns all entities of the old world in the new one, with empty columns.
fn spawn(old: &World, new: &mut World, routes: &Routes) -> Vec<Block> {
    let sparse: Vec<bool> = (0..new.components().len())
        .map(|index| {
            let info = new.components().get_info(ComponentId::new(index));
            info.is_some_and(|info| info.storage_type() == StorageType::SparseSet)
        })
        .collect();
    let mut spawner = Spawner::new(new);
    let spawn_tick = |entity| {
        let tick = old.entities().entity_get_spawn_or_despawn_tick(entity);
        tick.unwrap_or_default()
    };
    let mut firsts: Vec<(_, Entity)> = Vec::new();
    for archetype in old.archetypes().iter() {
        let Some(first) = archetype.entities().first() else {
            continue;
        };
        let mut components: Vec<ComponentId> =
            routes.carried(archetype).map(|(_, _, new)| new).collect();
        components.sort_by_key(|new| !sparse[new.index()]);
        let sparse_sets = components.iter().filter(|new| sparse[new.index()]).count();
        let entities = archetype.entities().iter().map(ArchetypeEntity::id);
        spawner.spawn(components, sparse_sets, entities, spawn_tick);
        firsts.push((archetype.id(), first.id()));
    }
    spawner.finish();
    firsts
        .into_iter()
        .filter_map(|(archetype, entity)| {
            let first = new.entities().get_spawned(entity).ok()?;
            Some(Block { archetype, first })
        })
        .collect()
}

/// Tells the new world which entities hold its resources. `IsResource` does so itself, in
/// a hook that did not run when the entities were spawned.
fn claim_resources(old: &World, new: &mut World, routes: &Routes) {
    for archetype in old.archetypes().iter() {
        if !archetype.contains(IS_RESOURCE) {
            continue;
        }
        for entity in archetype.entities().iter().map(ArchetypeEntity::id) {
            let Some(named) = old.get::<IsResource>(entity) else {
                continue;
            };
            let id = routes.new_id(named.resource_component_id());
            let Ok(mut claimed) = new.get_entity_mut(entity) else {
                continue;
            };
            if let Some(id) = id {
                claimed.insert(IsResource::new(id));
                let old_cells = Cells::of(old, entity, IS_RESOURCE);
                if let Some((from, to)) = old_cells.zip(Cells::of(new, entity, IS_RESOURCE)) {
                    from.copy_ticks(&to);
                }
            } else {
                // A resource of a type that is gone.
                claimed.remove::<IsResource>();
                if claimed.archetype().component_count() == 0 {
                    claimed.despawn();
                }
            }
        }
    }
}

/// Entities with observers.
fn observers(old: &World) -> Vec<OldObserver> {
    let Some(id) = old.components().component_id::<Observer>() else {
        return Vec::new();
    };
    let archetypes = old.archetypes().iter();
    archetypes
        .filter(|archetype| archetype.contains(id))
        .flat_map(|archetype| archetype.entities().iter().map(ArchetypeEntity::id))
        .filter_map(|entity| {
            let observer = old.get::<Observer>(entity)?;
            let watched = observer.descriptor().entities().to_vec();
            Some(OldObserver { entity, watched })
        })
        .collect()
}

#[cfg(test)]
mod tests;
