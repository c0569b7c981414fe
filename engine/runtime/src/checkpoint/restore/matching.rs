//! Which types of a checkpoint are which running ones, and what leads from one to the other.

use std::any::TypeId;

use engine_api::bevy_ecs::component::{ComponentId, StorageType};
use engine_api::bevy_ecs::world::World;
use engine_api::migration::MigrationRegistration;
use engine_api::schema::Schema;
use engine_api::state::ValueFunctions;

use super::RestoreError;
use crate::checkpoint::{Checkpoint, SavedKind, SavedType};
use crate::migrate::written;
use crate::panic;
use crate::state::{KeptType, StateBook};

/// Written migrations by running type: the schema they begin with, and their chain.
pub(super) type Chains<'a> = Vec<Option<(&'a Schema, Vec<MigrationRegistration>)>>;

/// Finds the written migrations that lead from saved types to running ones.
pub(super) fn chains<'a>(
    running: &[Running],
    checkpoint: &'a Checkpoint,
    migrations: &[MigrationRegistration],
) -> Result<Chains<'a>, RestoreError> {
    let mut found: Chains = running.iter().map(|_| None).collect();
    for (saved, index) in checkpoint
        .types
        .iter()
        .zip(matches(&checkpoint.types, running))
    {
        let Some(index) = index.filter(|index| running[*index].schema != saved.schema) else {
            continue;
        };
        let chain = written::chain(&saved.schema, running[index].stored, migrations)
            .map_err(RestoreError::Migration)?;
        if !chain.is_empty() {
            found[index] = Some((&saved.schema, chain));
        }
    }
    Ok(found)
}

/// A type as the code that runs knows it.
pub(super) struct Running {
    pub(super) stored: TypeId,
    pub(super) kind: SavedKind,
    pub(super) schema: Schema,
    pub(super) values: ValueFunctions,
    pub(super) kept: KeptType,
    pub(super) component: ComponentId,
    pub(super) storage: StorageType,
}

pub(super) fn running_types(world: &mut World, book: &StateBook) -> Vec<Running> {
    let types = book.known_types().into_iter();
    types
        .filter_map(|(kind, stored, schema, _, kept)| {
            let (kind, values) = (SavedKind::of(kind)?, kept.values?);
            if world.components().get_id(stored).is_none() {
                panic::guard(|| (kept.declare)(world)).ok()?;
            }
            let component = world.components().get_id(stored)?;
            let info = world.components().get_info(component)?;
            Some(Running {
                stored,
                kind,
                schema: schema.clone(),
                values,
                kept,
                component,
                storage: info.storage_type(),
            })
        })
        .collect()
}

/// Which running type each saved one has become.
pub(super) fn matches(saved: &[SavedType], running: &[Running]) -> Vec<Option<usize>> {
    let is_saved = |kind, path: &str| {
        let mut saved = saved.iter();
        saved.any(|other| other.kind == kind && other.schema.path == path)
    };
    let find = |saved: &SavedType| {
        let path = &saved.schema.path;
        let same = |running: &Running| running.kind == saved.kind && running.schema.path == *path;
        let renamed = |running: &Running| {
            running.kind == saved.kind
                && !is_saved(running.kind, &running.schema.path)
                && was_called(&running.schema, path)
        };
        let exact = running.iter().position(same);
        exact.or_else(|| running.iter().position(renamed))
    };
    let mut found: Vec<Option<usize>> = saved.iter().map(find).collect();
    // A rename that was taken back.
    for (index, saved) in saved.iter().enumerate() {
        let was_it = |(at, running): &(usize, &Running)| {
            running.kind == saved.kind
                && !found.contains(&Some(*at))
                && was_called(&saved.schema, &running.schema.path)
        };
        if found[index].is_none() {
            let before = running.iter().enumerate().find(was_it);
            found[index] = before.map(|(at, _)| at);
        }
    }
    found
}

/// Whether a type had a path before. Without a module, a name means one in the same.
pub(crate) fn was_called(schema: &Schema, path: &str) -> bool {
    let module = schema.path.rsplit_once("::").map(|(module, _)| module);
    schema.renamed_from.0.iter().any(|name| match module {
        Some(module) if !name.contains("::") => path
            .strip_prefix(module)
            .and_then(|rest| rest.strip_prefix("::"))
            .is_some_and(|rest| rest == name),
        _ => name == path,
    })
}
