//! A checkpoint into a world whose modules are loaded.
//!
//! First all values are made, by the code that runs now and fitted to its schemas; the
//! first one that does not fit is an error, and the world is as it was. Then the game's
//! entities are replaced.
//!
//! Entities keep their ids where those are free (in a new world, nearly all; see [`ids`]) and get
//! new ones otherwise, and whatever refers to an entity in a registered value follows:
//! [`Entity`] fields wherever they are, parents and children, limbo. A reference to an
//! entity that did not exist any more becomes [`Entity::PLACEHOLDER`], since its id may
//! belong to another one now. References inside of types that are serialised as a whole
//! ([`Data::Foreign`]) stay as they are.
//!
//! Hooks and observers do not run, and required components are not made: the checkpoint
//! holds what there was after that. Change detection sees everything as added and changed.
//! Message queues come back as they were, with how far each reader of
//! [`engine_api::message`] had read; bevy's own readers begin anew. Observers of single entities (`entity.observe`) are
//! gone with their entities; those that they have by name ([`engine_api::attach`]) come back.

mod buffer;
mod ids;
mod make;
mod matching;
mod put;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use engine_api::bevy_ecs::component::{ComponentId, StorageType};
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::world::World;
use engine_api::migration::MigrationRegistration;

use super::{Checkpoint, SavedKind, SavedLimbo};
use crate::state::StateBook;

use ids::Ids;
use make::Maker;
use matching::{chains, running_types};

pub(crate) use buffer::Buffer;
pub(crate) use matching::was_called;
pub(crate) use put::put_resource;

/// What is done with what the checkpoint does not mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// It holds everything: what is not in it was not there.
    Everything,
    /// It was written by hand: resources that are not in it stay.
    Mentioned,
}

/// What was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Number of entities.
    pub entities: usize,
    /// Number of their components, without names and parents.
    pub values: usize,
    /// Number of resources and message queues.
    pub resources: usize,
    /// Parts of values that went to limbo, because the types have no place for them now.
    pub removed: usize,
    /// Parts of values that came back from limbo.
    pub restored: usize,
    /// Paths of types that nobody registers; their values are in limbo as a whole.
    pub unknown: Vec<String>,
    /// References to entities that did not exist.
    pub dangling: usize,
    /// What each entity was called, and is called now.
    pub entity_map: HashMap<Entity, Entity>,
    /// Panics of values that were dropped; they are gone all the same.
    pub panics: Vec<String>,
    /// Time it took.
    pub took: Duration,
}

/// Why a checkpoint was not restored. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A value that does not fit the type as it is now.
    #[error("{} `{type_path}` of entity {entity}: {}{message}", kind.name(), at_field(.field))]
    Misfit {
        /// What the type is used as.
        kind: SavedKind,
        /// Path of the type as it is now.
        type_path: String,
        /// Whose value, as the entity is called in the checkpoint.
        entity: Entity,
        /// Path of the field; empty for the value itself.
        field: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// Code of the type panicked.
    #[error("a value of `{type_path}` could not be made: it panicked: {summary}")]
    Panicked {
        /// Path of the type.
        type_path: String,
        /// Where and why.
        summary: String,
    },
    /// A written migration that does not fit what was saved.
    #[error("{0}")]
    Migration(String),
    /// The checkpoint contradicts itself.
    #[error("the checkpoint is damaged: {0}")]
    Damaged(String),
}

fn at_field(field: &str) -> String {
    match field {
        "" => String::new(),
        field => format!("field `{field}`: "),
    }
}

/// Replaces the game's entities and resources by those of a checkpoint. See the
/// [module](self).
///
/// `migrations` are those that the running versions wrote down; where one leads from a saved
/// type to a running one, it is run instead of the rules.
///
/// Runs on the thread that owns the world, between two frames, after all modules were
/// swapped in. About a microsecond per value; much less for plain types that did not
/// change.
///
/// # Errors
/// The first value that does not fit; the world and the book are as they were.
pub fn restore(
    world: &mut World,
    book: &mut StateBook,
    migrations: &[MigrationRegistration],
    checkpoint: &Checkpoint,
) -> Result<RestoreReport, RestoreError> {
    restore_scope(world, book, migrations, checkpoint, Scope::Everything)
}

pub(crate) fn restore_scope(
    world: &mut World,
    book: &mut StateBook,
    migrations: &[MigrationRegistration],
    checkpoint: &Checkpoint,
    scope: Scope,
) -> Result<RestoreReport, RestoreError> {
    let start = Instant::now();
    let running = running_types(world, book);
    let chains = chains(&running, checkpoint, migrations)?;
    let ids = Ids::allocate(world, checkpoint, scope)?;
    let allocated = ids.new.clone();
    match Maker::new(world, &running, checkpoint, ids, chains, scope).make() {
        Ok(made) => {
            let mut report = made.put(world, book, scope);
            report.took = start.elapsed();
            Ok(report)
        }
        Err(error) => {
            world.entity_allocator_mut().free_many(&allocated);
            Err(error)
        }
    }
}

fn damaged(what: &str) -> RestoreError {
    RestoreError::Damaged(what.to_owned())
}

/// Values of one type that belong to entities one after the other.
struct NewColumn {
    component: ComponentId,
    storage: StorageType,
    values: Buffer,
}

/// A value of one entity: the entity and a column of one.
type NewValue = (Entity, NewColumn);

/// Everything that a checkpoint becomes, to be put into the world.
struct Made<'a> {
    checkpoint: &'a Checkpoint,
    map: HashMap<u64, Entity>,
    blocks: Vec<Vec<NewColumn>>,
    extra: Vec<NewValue>,
    resources: Vec<NewColumn>,
    /// Resources that were not there.
    absent: Vec<ComponentId>,
    limbo: SavedLimbo,
    report: RestoreReport,
}
