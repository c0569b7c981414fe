//! Written migrations: what no rule can know about carrying old values into new types.
//!
//! The engine carries values over by name. Where that is not what is meant (a unit changed,
//! two fields became one), the module says how, with a function from the old value to the
//! new one. It is declared with what it expects: a copy of the old type that the developer
//! keeps, or the list of its fields. A declaration that does not fit the running type
//! refuses the version before a value is read.
//!
//! ```
//! use engine_api::prelude::*;
//!
//! /// Life in points out of a hundred, as it is now.
//! #[derive(Component, Reflect, Default)]
//! #[reflect(Component, Default)]
//! pub struct Health { pub share: f32 }
//!
//! /// What `Health` was before.
//! #[derive(Reflect)]
//! struct HealthInPoints { current: u32, max: u32 }
//!
//! fn shares(old: HealthInPoints) -> Health {
//!     Health { share: old.current as f32 / old.max.max(1) as f32 }
//! }
//!
//! #[module]
//! pub fn game(m: &mut ModuleBuilder) {
//!     m.component::<Health>().migrate(shares);
//! }
//! # fn main() {}
//! ```
//!
//! [`try_migrate`](crate::module::ModuleBuilder::try_migrate) may refuse a value, which
//! refuses the version. Declarations form chains: with one from the first form to the second and one from the
//! second to the third, values of the first form (from a file, say) become values of the
//! third.

use std::any::TypeId;
use std::sync::Arc;

use bevy_reflect::{
    FromReflect, GetTypeRegistration, PartialReflect, Reflect, TypeRegistry, Typed,
};

use crate::schema::Schema;
use crate::sources::Sources;

/// What a migration reads.
#[derive(Debug, Clone)]
pub enum MigrationSource {
    /// A copy of the old type.
    Type {
        /// Its identity, for chains.
        id: TypeId,
        /// What it is made of.
        schema: Box<Schema>,
        /// Adds it to a registry.
        reflect: fn(&mut TypeRegistry),
    },
    /// Fields of the old type: name and path of the type of each, in any order.
    Fields(Vec<(String, String)>),
}

/// Turns an old value, as reflection sees it, into a new one.
pub type MigrationFunction =
    Arc<dyn Fn(&dyn PartialReflect) -> Result<Box<dyn PartialReflect>, String> + Send + Sync>;

/// A written migration of a module.
#[derive(Clone)]
pub struct MigrationRegistration {
    /// What it reads.
    pub source: MigrationSource,
    /// Type of what it makes.
    pub target: TypeId,
    /// Path of that type.
    pub target_path: String,
    /// What it makes, as described.
    pub target_reflect: fn(&mut TypeRegistry),
    /// The function.
    pub run: MigrationFunction,
    /// What is written about the types that its code knows.
    pub sources: Sources,
}

/// Types that a migration makes or reads: those that derive `Reflect`.
pub trait MigrationValue: Reflect + FromReflect + Typed + GetTypeRegistration {}

impl<T: Reflect + FromReflect + Typed + GetTypeRegistration> MigrationValue for T {}

impl MigrationRegistration {
    /// A migration from a copy of the old type.
    pub(crate) fn typed<A: MigrationValue, B: MigrationValue>(
        migrate: impl Fn(A) -> Result<B, String> + Send + Sync + 'static,
    ) -> Self {
        let source = MigrationSource::Type {
            id: TypeId::of::<A>(),
            schema: Box::new(Schema::of::<A>()),
            reflect: TypeRegistry::register::<A>,
        };
        Self::new(source, move |old| {
            let old = A::from_reflect(old).ok_or_else(|| {
                format!(
                    "no value of `{}` can be made of the old one",
                    A::type_path()
                )
            })?;
            migrate(old)
        })
    }

    /// A migration from what reflection sees of the old value.
    pub(crate) fn reflected<B: MigrationValue>(
        fields: &[(&str, &str)],
        migrate: impl Fn(&dyn PartialReflect) -> Result<B, String> + Send + Sync + 'static,
    ) -> Self {
        let fields = fields
            .iter()
            .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
            .collect();
        Self::new(MigrationSource::Fields(fields), migrate)
    }

    fn new<B: MigrationValue>(
        source: MigrationSource,
        run: impl Fn(&dyn PartialReflect) -> Result<B, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            source,
            target: TypeId::of::<B>(),
            target_path: B::type_path().to_owned(),
            target_reflect: TypeRegistry::register::<B>,
            run: Arc::new(move |old| run(old).map(|new| Box::new(new) as Box<dyn PartialReflect>)),
            sources: Sources::NONE,
        }
    }

    /// Takes what the sources say about the types that the migration's code knows.
    pub fn look_into(&mut self, sources: &Sources) {
        self.sources = *sources;
        if let MigrationSource::Type { schema, .. } = &mut self.source {
            schema.look_into(sources);
        }
    }
}
