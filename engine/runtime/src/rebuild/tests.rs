//! Worlds, plans and looks at worlds that the tests share.

use std::any::TypeId;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use engine_api::bevy_ecs;
use engine_api::bevy_ecs::archetype::ArchetypeEntity;
use engine_api::bevy_ecs::change_detection::{ComponentTicks, DetectChanges, Tick};
use engine_api::bevy_ecs::component::ComponentId;
use engine_api::bevy_ecs::entity_disabling::{DefaultQueryFilters, Disabled};
use engine_api::bevy_ecs::lifecycle::HookContext;
use engine_api::bevy_ecs::message::MessageRegistry;
use engine_api::bevy_ecs::observer::Observer;
use engine_api::bevy_ecs::query::SpawnDetails;
use engine_api::bevy_ecs::system::{IntoSystem, System};
use engine_api::bevy_ecs::world::DeferredWorld;
use engine_api::prelude::*;

use super::*;

mod entities;
mod measure;
mod values;

#[derive(Component, Debug, Clone, Copy, PartialEq)]
struct Position(f32, f32, f32);
#[derive(Component, Debug, Clone, Copy, PartialEq)]
struct Velocity(f32, f32);
#[derive(Component, Debug, Clone, Copy, PartialEq)]
struct Health(u32);
#[derive(Component, Debug, Clone, Copy, PartialEq)]
struct FloatHealth(f32);
#[derive(Component, Debug, Clone, PartialEq)]
struct Label(String, Vec<u16>);
#[derive(Component, Debug, Clone)]
struct Shared(Arc<()>);
#[derive(Component, Debug, Clone)]
struct OtherShared(#[expect(dead_code, reason = "counts")] Arc<()>, u64);
#[derive(Component, Debug, Clone, Copy, PartialEq)]
struct Marker;
#[derive(Component, Debug, Clone)]
#[component(storage = "SparseSet")]
struct Burning(Arc<()>, u64);
#[derive(Component, Debug, Clone, Copy)]
#[component(storage = "SparseSet")]
struct Chilled;
#[derive(Component, Debug, Clone, Copy)]
struct Asleep;
#[derive(Component)]
#[component(summary_tick)]
struct Tracked(u32);
#[derive(Component)]
struct Untracked(u32);
#[derive(Resource, Debug, Clone, PartialEq)]
struct Score(String);
#[derive(Resource)]
struct Late(#[expect(dead_code, reason = "counts")] Arc<()>);
#[derive(Resource)]
struct Other(#[expect(dead_code, reason = "counts")] Arc<()>);
#[derive(Message, Clone)]
struct Hit(#[expect(dead_code, reason = "carried")] Entity);

/// A component that tells its hooks apart from moves.
#[derive(Component)]
#[component(on_add = count_hook, on_insert = count_hook, on_remove = count_hook)]
#[require(Velocity(7.0, 7.0))]
struct Hooked(#[expect(dead_code, reason = "carried")] u8);

static HOOKS: AtomicUsize = AtomicUsize::new(0);
fn count_hook(_: DeferredWorld, _: HookContext) {
    HOOKS.fetch_add(1, Ordering::Relaxed);
}

type Check = fn(&RebuildError) -> bool;

/// As many component types as a test wants.
#[derive(Component, Debug, PartialEq)]
struct Kind<const N: usize>(u64);

fn known<T: Component>(world: &mut World) {
    world.register_component::<T>();
}

fn declare() -> Vec<fn(&mut World)> {
    // Another order than in the old worlds, so that ids differ.
    vec![
        known::<FloatHealth>,
        known::<OtherShared>,
        known::<Shared>,
        known::<Label>,
        known::<Burning>,
        known::<Chilled>,
        known::<Marker>,
        known::<Health>,
        known::<Velocity>,
        known::<Position>,
        known::<Hooked>,
        known::<Asleep>,
        known::<Tracked>,
        known::<Score>,
        known::<Late>,
        known::<Messages<Hit>>,
        known::<Name>,
        known::<ChildOf>,
        known::<Children>,
        known::<DropsLoudly>,
    ]
}

fn plan<'a>(treatments: impl IntoIterator<Item = (ComponentId, Treatment<'a>)>) -> RebuildPlan<'a> {
    RebuildPlan {
        declare: declare(),
        treatments: treatments.into_iter().collect(),
    }
}

fn begin(world: &mut World, plan: RebuildPlan<'_>) -> Result<Rebuilt, RebuildError> {
    // SAFETY: the tests keep what they convert and do not touch what was moved.
    unsafe { Rebuilt::begin(world, plan) }
}

fn pair(ticks: Option<ComponentTicks>) -> Option<(Tick, Tick)> {
    ticks.map(|ticks| (ticks.added, ticks.changed))
}

fn rebuild(world: &mut World) {
    let rebuilt = begin(world, plan([])).unwrap();
    assert_eq!(rebuilt.commit(world), None);
}

fn convert<'a, A: Component, B: Component>(
    mut one: impl FnMut(Entity, &A) -> Result<B, String> + 'a,
) -> Treatment<'a> {
    Treatment::Convert {
        to: TypeId::of::<B>(),
        make: Box::new(move |entities, old, new| {
            let new = new.cast::<B>();
            for (row, &entity) in entities.iter().enumerate() {
                // SAFETY: the contract of `MakeColumn`.
                let value = unsafe { &*old.cast::<A>().add(row) };
                match one(entity, value) {
                    // SAFETY: as above.
                    Ok(value) => unsafe { new.add(row).write(value) },
                    Err(message) => {
                        for row in 0..row {
                            // SAFETY: written above.
                            unsafe { new.add(row).drop_in_place() };
                        }
                        return Err(ColumnError { entity, message });
                    }
                }
            }
            Ok(())
        }),
    }
}

type Print = (
    Entity,
    Option<Tick>,
    Vec<(ComponentId, Tick, Tick, Vec<u8>)>,
);

/// All that a world stores: ids with ticks and bits of every value.
fn print_of(world: &World) -> Vec<Print> {
    let mut all = Vec::new();
    let filters = world.component_id::<DefaultQueryFilters>();
    for archetype in world.archetypes().iter() {
        for row in archetype.entities() {
            let entity = world.entity(row.id());
            let mut values = Vec::new();
            for component in archetype.iter_components() {
                let ticks = entity.get_change_ticks_by_id(component).unwrap();
                let size = world
                    .components()
                    .get_info(component)
                    .unwrap()
                    .layout()
                    .size();
                let at = entity.get_by_id(component).unwrap().as_ptr();
                // Those of filters have parts that are never written.
                let size = if Some(component) == filters { 0 } else { size };
                // SAFETY: the types of these tests have no padding.
                let bits = unsafe { std::slice::from_raw_parts(at, size) }.to_vec();
                values.push((component, ticks.added, ticks.changed, bits));
            }
            let spawned = world.entities().entity_get_spawn_or_despawn_tick(row.id());
            all.push((row.id(), spawned, values));
        }
    }
    all
}

/// Looks up every entity in all ways that have to agree.
fn check_consistency(world: &mut World) {
    let listed: Vec<Entity> = world
        .archetypes()
        .iter()
        .flat_map(|archetype| archetype.entities().iter().map(ArchetypeEntity::id))
        .collect();
    assert_eq!(listed.len() as u32, world.entities().count_spawned());
    for archetype in world.archetypes().iter() {
        for (entity, location) in archetype.entities_with_location() {
            assert_eq!(world.entities().get_spawned(entity), Ok(location));
            let table = &world.storages().tables[location.table_id];
            assert_eq!(table.entities()[location.table_row.index()], entity);
        }
    }
    for (id, entity) in world.resource_entities().iter() {
        let is_resource = world.get::<IsResource>(entity).unwrap();
        assert_eq!(is_resource.resource_component_id(), id);
    }
}

/// A world with values that own something, and the counter of what they share.
fn owning_world() -> (World, Arc<()>, Vec<Entity>) {
    let (mut world, arc) = (World::new(), Arc::new(()));
    let entities = (0..200_u16)
        .map(|n| {
            let mut entity = world.spawn((
                Label(format!("entity {n}"), vec![n; 5]),
                Shared(arc.clone()),
            ));
            if n % 2 == 0 {
                entity.insert(Burning(arc.clone(), 1));
            }
            if n % 5 == 0 {
                entity.insert(Marker);
            }
            entity.id()
        })
        .collect();
    world.insert_resource(Score("owned".into()));
    world.insert_resource(Late(arc.clone()));
    (world, arc, entities)
}

fn check_owning(world: &World, entities: &[Entity]) {
    for (n, &entity) in entities.iter().enumerate() {
        let n = n as u16;
        let label = Label(format!("entity {n}"), vec![n; 5]);
        assert_eq!(world.get::<Label>(entity), Some(&label));
        assert_eq!(world.get::<Marker>(entity).is_some(), n.is_multiple_of(5));
    }
    assert_eq!(world.resource::<Score>().0, "owned");
}

#[derive(Component)]
struct DropsLoudly(Arc<AtomicUsize>, bool);
impl Drop for DropsLoudly {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert!(!self.1, "dropped");
    }
}
