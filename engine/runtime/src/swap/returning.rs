//! Values that are in limbo as a whole go back when their type is registered.
//!
//! They come out of a checkpoint that had a type nobody registered when it was restored. A
//! version that registers the type gets them, fitted to its schema. What the world already
//! has is newer, and stays. As when a checkpoint is restored, neither hooks nor observers
//! run, and required components are not made: the values are what there was after that.

use engine_api::bevy_ecs::component::ComponentId;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::world::World;
use engine_api::bevy_reflect::TypeRegistry;
use engine_api::schema::Schema;
use engine_api::state::{StateKind, StateType, ValueFunctions};

use crate::checkpoint::quiet::{Part, Quiet};
use crate::checkpoint::restore::{Buffer, put_resource, was_called};
use crate::data::{Data, Fitter};
use crate::limbo::{Limbo, LimboChanges};
use crate::migrate::MigrationReport;
use crate::panic;
use crate::state::KeptType;

/// What came back.
#[derive(Default)]
pub(super) struct Returned {
    /// What that does to limbo, to be applied when it is certain.
    pub(super) limbo: LimboChanges,
    pub(super) reports: Vec<MigrationReport>,
    /// Why values stay in limbo, for people.
    pub(super) misfits: Vec<String>,
}

/// Puts values of a version's types into the world that it is about to run in.
/// `initialized` are the indices of resources that were made just now, by default.
///
/// Nothing that was in the world before is changed but these. Costs a look at the types in
/// limbo, and some microseconds per value that comes back.
pub(super) fn take_back(
    types: &[(StateType, KeptType)],
    initialized: &[usize],
    world: &mut World,
    limbo: &Limbo,
) -> Returned {
    let mut returned = Returned::default();
    if limbo.is_empty() {
        return returned;
    }
    for (index, (state, kept)) in types.iter().enumerate() {
        let component = world.components().get_id(state.stored);
        let (Some(values), Some(component)) = (kept.values, component) else {
            continue;
        };
        let is_due = |entity: Entity| match state.kind {
            StateKind::Component => world
                .get_entity(entity)
                .is_ok_and(|entity| !entity.contains_id(component)),
            // What belongs to no entity is kept under the placeholder.
            _ => entity == Entity::PLACEHOLDER && initialized.contains(&index),
        };
        let resource = match state.kind {
            StateKind::Component => None,
            _ => world.resource_entities().get(component),
        };
        let returning = Returning {
            schema: &state.schema,
            resource,
            values,
            registry: registry(kept),
            limbo,
        };
        let Some(mut made) = returning.make(is_due, &mut returned) else {
            continue;
        };
        match state.kind {
            StateKind::Component => made.put(component, world),
            _ => {
                // The default value is dropped, which may panic; it is gone all the same.
                let _ = panic::guard(|| put_resource(world, component, &mut made.values));
            }
        }
    }
    returned
}

fn registry(kept: &KeptType) -> TypeRegistry {
    let mut registry = TypeRegistry::new();
    if let Some(reflect) = kept.reflect {
        let _ = panic::guard(|| reflect(&mut registry));
    }
    registry
}

/// Values of one type.
struct Returning<'a> {
    schema: &'a Schema,
    /// The entity of a resource, which had none while nobody registered it.
    resource: Option<Entity>,
    values: ValueFunctions,
    registry: TypeRegistry,
    limbo: &'a Limbo,
}

/// Values of one type, and whose they are.
struct Made {
    owners: Vec<Entity>,
    values: Buffer,
}

impl Returning<'_> {
    /// Makes the values of all that `is_due` names. What does not fit stays in limbo.
    fn make(&self, is_due: impl Fn(Entity) -> bool, returned: &mut Returned) -> Option<Made> {
        let path = &self.schema.path;
        let names = self.limbo.types();
        let names: Vec<&str> = names
            .filter(|name| name == path || was_called(self.schema, name))
            .collect();
        let all = names.iter().flat_map(|name| {
            let whole = self.limbo.whole(name);
            whole.map(move |(entity, data)| (*name, entity, data))
        });
        let mut due: Vec<_> = all.filter(|(_, entity, _)| is_due(*entity)).collect();
        // In the order of the entities; under two names, the one it has now counts.
        due.sort_by_key(|(name, entity, _)| (*entity, name != path));
        due.dedup_by_key(|(_, entity, _)| *entity);
        if due.is_empty() {
            return None;
        }
        for name in names.into_iter().filter(|name| name != path) {
            returned.limbo.rename(name, path);
        }
        let mut made = Made {
            owners: Vec::new(),
            values: Buffer::new(self.values, self.schema, due.len()),
        };
        let mut report = MigrationReport {
            type_path: path.clone(),
            ..MigrationReport::default()
        };
        for (name, entity, data) in due {
            match self.value(name, entity, data, &mut made, returned, &mut report) {
                Ok(()) => report.restored += 1,
                Err(why) => returned.misfits.push(format!(
                    "a value of `{path}` of entity {entity} stays in limbo: {why}"
                )),
            }
        }
        report.values = made.owners.len();
        returned.reports.push(report);
        Some(made)
    }

    fn value(
        &self,
        name: &str,
        entity: Entity,
        data: &Data,
        made: &mut Made,
        returned: &mut Returned,
        report: &mut MigrationReport,
    ) -> Result<(), String> {
        let path = &self.schema.path;
        let in_limbo = |part: &str| {
            let found = self.limbo.get(name, entity, part);
            found
                .or_else(|| self.limbo.get(path, entity, part))
                .cloned()
        };
        let fitter = Fitter {
            registry: &self.registry,
            limbo: &in_limbo,
        };
        let index = made.owners.len();
        let written = panic::guard(|| {
            let found = fitter.fit(data, self.schema);
            let found = found.map_err(|misfit| misfit.to_string())?;
            // SAFETY: the buffer was made for this type.
            if unsafe { made.values.write(index, &*found.value) } {
                Ok((found.removed, found.restored))
            } else {
                Err(
                    "a part that was added has no default value; derive `Default` and add \
                     `#[reflect(Default)]`"
                        .to_owned(),
                )
            }
        });
        let (removed, restored) = written.map_err(|report| report.summary())??;
        made.owners.push(entity);
        report.removed += removed.len();
        report.restored += restored.len();
        returned.limbo.take(path, entity, String::new());
        let owner = self.resource.unwrap_or(entity);
        if owner != entity {
            self.give_parts(name, entity, owner, &restored, returned);
        }
        for part in restored {
            returned.limbo.take(path, entity, part);
        }
        for (part, data) in removed {
            returned.limbo.add(path, owner, part, data);
        }
        Ok(())
    }

    /// What is kept of a resource's earlier fields is from now on that of its entity.
    fn give_parts(
        &self,
        name: &str,
        from: Entity,
        to: Entity,
        restored: &[String],
        returned: &mut Returned,
    ) {
        let path = &self.schema.path;
        for (part, data) in self.limbo.parts(name, from) {
            if !part.is_empty() && !restored.contains(part) {
                returned.limbo.take(path, from, part.clone());
                returned.limbo.add(path, to, part.clone(), data.clone());
            }
        }
    }
}

impl Made {
    /// Gives the entities their values.
    fn put(&mut self, component: ComponentId, world: &mut World) {
        let Some(storage) = world.components().get_info(component) else {
            return;
        };
        let storage = storage.storage_type();
        let mut owners: Vec<_> = self.owners.iter().copied().enumerate().collect();
        // Those that have the same components follow each other.
        owners.sort_by_key(|(_, entity)| {
            let location = world.entities().get_spawned(*entity);
            location.map(|location| location.archetype_id).ok()
        });
        let mut quiet = Quiet::new(world);
        for (index, entity) in owners {
            let part = Part {
                component,
                storage,
                value: self.values.slot(index),
            };
            // SAFETY: a value of the component, which the entity does not have; it is
            // forgotten here when the world has it.
            if unsafe { quiet.insert(entity, part) } {
                self.values.forget(index);
            }
        }
    }
}
