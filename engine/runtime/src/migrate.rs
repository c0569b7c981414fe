//! Migration: how values of one schema become values of another.
//!
//! Each changed type gets a [`Migration`]. It works on whole columns of the world's
//! tables. Where both types are plain (no heap, known places of all fields) a [`plan`] of
//! copies and number conversions is made once and run for each value; everything else
//! goes through [`Data`], value by value. Both ways give the same values.

mod plan;
pub(crate) mod renames;
pub(crate) mod written;

use std::any::TypeId;
use std::fmt;
use std::ptr::NonNull;

use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::ptr::Ptr;
use engine_api::bevy_reflect::TypeRegistry;
use engine_api::migration::MigrationRegistration;
use engine_api::schema::Schema;
use engine_api::state::{StateType, ValueFunctions};

use crate::data::{Data, Fitter, Misfit};
use crate::limbo::{Limbo, LimboChanges};
use crate::migrate::plan::Plan;
use crate::panic;

/// One side of a migration: a type as some code knows it.
#[derive(Clone)]
pub struct Side {
    /// What it is made of.
    pub schema: Schema,
    /// How its values are read and made. That code must be mapped.
    pub values: ValueFunctions,
    /// Adds it to a registry.
    pub reflect: fn(&mut TypeRegistry),
}

impl Side {
    /// A side as a version registered it; `None` for types without values (events).
    pub fn of(state: &StateType) -> Option<Self> {
        Some(Self {
            schema: state.schema.clone(),
            values: state.values?,
            reflect: state.reflect?,
        })
    }

    fn registry(&self) -> TypeRegistry {
        let mut registry = TypeRegistry::new();
        (self.reflect)(&mut registry);
        registry
    }
}

/// What is done to the values of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// Path of the type.
    pub type_path: String,
    /// Values that were carried over.
    pub values: usize,
    /// Parts of values that went to limbo.
    pub removed: usize,
    /// Parts of values that came back from limbo.
    pub restored: usize,
}

impl fmt::Display for MigrationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            type_path,
            values,
            removed,
            restored,
        } = self;
        write!(f, "{values} values of `{type_path}` migrated")?;
        if *removed > 0 {
            write!(f, ", {removed} parts of them kept in limbo")?;
        }
        if *restored > 0 {
            write!(f, ", {restored} parts of them back from limbo")?;
        }
        Ok(())
    }
}

/// A value that cannot be carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whose value.
    pub entity: Entity,
    /// Why.
    pub message: String,
}

/// Carries values of one type from an old schema to a new one.
pub struct Migration<'a> {
    old: Side,
    new: Side,
    old_registry: TypeRegistry,
    new_registry: TypeRegistry,
    plan: Option<Plan>,
    /// Functions that the new version declares, in the order they are run.
    written: Vec<MigrationRegistration>,
    limbo: &'a Limbo,
    changes: LimboChanges,
    report: MigrationReport,
}

impl<'a> Migration<'a> {
    /// Prepares a migration. Runs the new type's `Default`, which may panic.
    ///
    /// # Errors
    /// A written migration to this type that does not fit the old one.
    pub fn new(
        old: Side,
        new: Side,
        new_type: TypeId,
        written: &[MigrationRegistration],
        limbo: &'a Limbo,
    ) -> Result<Self, String> {
        let chain = written::chain(&old.schema, new_type, written)?;
        let mut made = Self::by_rules(old, new, limbo);
        if !chain.is_empty() {
            made.plan = None;
            made.written = chain;
        }
        Ok(made)
    }

    /// Prepares a migration by name alone.
    pub fn by_rules(old: Side, new: Side, limbo: &'a Limbo) -> Self {
        let (old_registry, new_registry) = (old.registry(), new.registry());
        let in_limbo = limbo.has_type(&old.schema.path) || limbo.has_type(&new.schema.path);
        // A plan copies the bytes of what reflection does not see.
        let seen = old.schema.unseen == new.schema.unseen;
        let plan = Plan::between(&old.schema, &new).filter(|_| seen && !in_limbo);
        let report = MigrationReport {
            type_path: new.schema.path.clone(),
            ..MigrationReport::default()
        };
        let mut changes = LimboChanges::default();
        if old.schema.path != new.schema.path {
            changes.rename(&old.schema.path, &new.schema.path);
        }
        Self {
            old,
            new,
            old_registry,
            new_registry,
            plan,
            written: Vec::new(),
            limbo,
            changes,
            report,
        }
    }

    /// What happened so far.
    pub fn report(&self) -> &MigrationReport {
        &self.report
    }

    /// What the migration does to limbo, to be applied when it is certain.
    pub fn into_changes(self) -> (LimboChanges, MigrationReport) {
        (self.changes, self.report)
    }

    /// Makes a new value from each old one of a column. `old` and `new` point to the
    /// first values; there is one of each per entity.
    ///
    /// # Errors
    /// The first value that does not fit. Nothing that was made is left.
    ///
    /// # Safety
    /// `old` points to as many values of the old type as there are entities, `new` to
    /// room for as many of the new type, aligned for it.
    pub unsafe fn column(
        &mut self,
        entities: &[Entity],
        old: *const u8,
        new: *mut u8,
    ) -> Result<(), Refusal> {
        for (index, entity) in entities.iter().enumerate() {
            // SAFETY: the caller promises that many values at both places.
            let (from, to) = unsafe {
                (
                    old.add(index * self.old.schema.size),
                    new.add(index * self.new.schema.size),
                )
            };
            // SAFETY: both point to one value, or room for one.
            if let Err(message) = unsafe { self.value(*entity, from, to) } {
                for made in 0..index {
                    // SAFETY: the first `index` values were made.
                    let made = unsafe { new.add(made * self.new.schema.size) };
                    if let Some(made) = NonNull::new(made) {
                        // SAFETY: it was made just now, and nobody else knows of it.
                        let _ = panic::guard(|| unsafe { (self.new.values.drop)(made) });
                    }
                }
                return Err(Refusal {
                    entity: *entity,
                    message,
                });
            }
        }
        self.report.values += entities.len();
        Ok(())
    }

    /// # Safety
    /// `old` points to a value of the old type, `new` to room for one of the new.
    unsafe fn value(&mut self, entity: Entity, old: *const u8, new: *mut u8) -> Result<(), String> {
        if let Some(plan) = &self.plan {
            // SAFETY: as promised to this function; the plan was made for these types.
            unsafe { plan.run(old, new) }.map_err(|misfit| misfit.to_string())?;
            if plan.removed().is_empty() {
                return Ok(());
            }
        }
        let (Some(from), Some(to)) = (NonNull::new(old.cast_mut()), NonNull::new(new)) else {
            return Err("the engine lost a value; this is a bug".to_owned());
        };
        // SAFETY: as promised to this function.
        let value = unsafe { (self.old.values.reflect)(Ptr::new(from)) };
        let unseen = &self.old.schema.unseen;
        let mut data = Data::with_sources(value, &self.old_registry, unseen)
            .map_err(|error| error.to_string())?;
        if let Some(plan) = &self.plan {
            for path in plan.removed() {
                if let Some(part) = data.at(path) {
                    self.report.removed += 1;
                    let path = path.clone();
                    self.changes
                        .add(&self.new.schema.path, entity, path, part.clone());
                }
            }
            return Ok(());
        }
        if !self.written.is_empty() {
            let made = written::run(&self.written, &data, &self.old.schema, &self.old_registry)?;
            // SAFETY: there is room for a value of the new type.
            return if unsafe { (self.new.values.write)(&*made, to) } {
                Ok(())
            } else {
                Err("the value that the migration made could not be taken".to_owned())
            };
        }
        renames::undo(&mut data, &self.old.schema.shape, &self.new.schema.shape);
        let fitter = Fitter {
            registry: &self.new_registry,
            limbo: &|path| {
                self.limbo
                    .get(&self.old.schema.path, entity, path)
                    .or_else(|| self.limbo.get(&self.new.schema.path, entity, path))
                    .cloned()
            },
        };
        let made = fitter
            .fit(&data, &self.new.schema)
            .map_err(|misfit: Misfit| misfit.to_string())?;
        // SAFETY: there is room for a value of the new type.
        if !unsafe { (self.new.values.write)(&*made.value, to) } {
            return Err(format!(
                "no value of `{}` can be made: a part that was added has no default value; \
                 derive `Default` and add `#[reflect(Default)]`",
                self.new.schema.path
            ));
        }
        self.report.removed += made.removed.len();
        self.report.restored += made.restored.len();
        for path in made.restored {
            self.changes.take(&self.new.schema.path, entity, path);
        }
        for (path, part) in made.removed {
            self.changes.add(&self.new.schema.path, entity, path, part);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
