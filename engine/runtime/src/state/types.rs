//! Which types the active modules register, for those who work with values of types that they
//! learn of at run time: scripts.

use std::any::TypeId;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_api::bevy_ecs;
use engine_api::bevy_ecs::resource::Resource;
use engine_api::bevy_ecs::world::World;
use engine_api::schema::Schema;
use engine_api::state::{StateKind, StateType};

use super::{KeptType, StateBook};

/// A resource of every world: the types that active modules register. Made anew when modules
/// come and go.
#[derive(Resource, Clone)]
pub struct StateTypes {
    generation: u64,
    types: Arc<[RegisteredType]>,
}

/// A type that a module registers.
#[derive(Clone)]
pub struct RegisteredType {
    /// What it is used as.
    pub kind: StateKind,
    /// Identity of what is stored in the world; for a message its queue.
    pub stored: TypeId,
    /// What it is made of, with its path; for a message its queue.
    pub schema: Schema,
    /// The type as code knows it that is never unloaded.
    pub kept: KeptType,
}

impl RegisteredType {
    /// A type as a version has it that is never unloaded.
    pub fn of(state: &StateType) -> Self {
        Self {
            kind: state.kind,
            stored: state.stored,
            schema: state.schema.clone(),
            kept: KeptType::of(state),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let make = |kept: &KeptType| kept.values.map(|values| values.write as *const ());
        self.kind == other.kind
            && self.stored == other.stored
            && self.schema.path == other.schema.path
            && self.schema.hash() == other.schema.hash()
            && ptr::eq(
                self.kept.declare as *const (),
                other.kept.declare as *const (),
            )
            && make(&self.kept) == make(&other.kept)
    }
}

impl StateTypes {
    /// A list of types that differs from all before.
    pub fn new(types: impl IntoIterator<Item = RegisteredType>) -> Self {
        static GENERATIONS: AtomicU64 = AtomicU64::new(1);
        Self {
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            types: types.into_iter().collect(),
        }
    }

    /// A number that is another one once the types are others. What was made of the types,
    /// such as a `TypeRegistry`, holds for one generation and one world.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The types, by kind and path.
    pub fn types(&self) -> &[RegisteredType] {
        &self.types
    }

    /// Puts the types that a book knows now into a world. Costs a comparison of their schemas.
    pub(crate) fn publish(world: &mut World, book: &StateBook) {
        let types = book.registered().map(|(kind, known)| RegisteredType {
            kind,
            stored: known.stored,
            schema: known.schema.clone(),
            kept: known.kept,
        });
        let mut types: Vec<_> = types.collect();
        types.sort_by(|left, right| {
            let key = |of: &RegisteredType| (of.kind.name(), of.schema.path.clone());
            key(left).cmp(&key(right))
        });
        let mut new = Self::new(types);
        if let Some(before) = world.get_resource::<Self>()
            && before.types.len() == new.types.len()
            && before
                .types
                .iter()
                .zip(&*new.types)
                .all(|(a, b)| a.is_same(b))
        {
            // The same types, as code that runs describes them.
            new.generation = before.generation;
        }
        world.insert_resource(new);
    }
}
