//! Migrations that a version wrote down: finding the chain that begins with the running
//! type, and running it.

use std::any::TypeId;
use std::collections::HashSet;

use engine_api::bevy_reflect::{PartialReflect, TypeRegistry};
use engine_api::migration::{MigrationRegistration, MigrationSource};
use engine_api::schema::{FieldSchema, Schema, Shape, VariantSchema};

use crate::data::{Data, Fitter};

/// The migrations that lead from an old type to a new one, in order; none if nobody wrote
/// one for the new type.
///
/// # Errors
/// There are some, and none of them begins with the old type.
pub(crate) fn chain(
    old: &Schema,
    new: TypeId,
    written: &[MigrationRegistration],
) -> Result<Vec<MigrationRegistration>, String> {
    // Backwards from the new type, shortest chains first; each type is looked at once.
    let mut open: Vec<Vec<&MigrationRegistration>> = written
        .iter()
        .filter(|migration| migration.target == new)
        .map(|migration| vec![migration])
        .collect();
    let mut seen: HashSet<TypeId> = HashSet::from([new]);
    let mut misfit = None;
    while !open.is_empty() {
        let mut next = Vec::new();
        for path in open {
            let Some(first) = path.last() else { continue };
            match fits(&first.source, old) {
                Ok(()) => return Ok(path.into_iter().rev().cloned().collect()),
                Err(why) => {
                    misfit.get_or_insert_with(|| {
                        let from = match &first.source {
                            MigrationSource::Type { schema, .. } => {
                                format!(" from `{}`", schema.path)
                            }
                            MigrationSource::Fields(_) => String::new(),
                        };
                        format!(
                            "the migration{from} to `{}` does not fit the running `{}`: {why}; \
                             correct what it expects, or remove it to carry values over by name",
                            first.target_path, old.path
                        )
                    });
                }
            }
            if let MigrationSource::Type { id, .. } = &first.source
                && seen.insert(*id)
            {
                for before in written.iter().filter(|before| before.target == *id) {
                    let mut longer = path.clone();
                    longer.push(before);
                    next.push(longer);
                }
            }
        }
        open = next;
    }
    misfit.map_or_else(|| Ok(Vec::new()), Err)
}

/// Whether what a migration expects is what the old type is.
fn fits(source: &MigrationSource, old: &Schema) -> Result<(), String> {
    match source {
        MigrationSource::Type { schema, .. } => same_parts("", &schema.shape, &old.shape),
        MigrationSource::Fields(expected) => {
            let Shape::Struct { fields, .. } = &old.shape else {
                return Err("it is no struct".to_owned());
            };
            for (name, path) in expected {
                match fields.iter().find(|field| field.name == *name) {
                    None => return Err(format!("it has no field `{name}`")),
                    Some(field) if field.path != *path => {
                        return Err(format!("field `{name}` is `{}`, not `{path}`", field.path));
                    }
                    Some(_) => {}
                }
            }
            let other = fields
                .iter()
                .find(|field| expected.iter().all(|(name, _)| *name != field.name));
            other.map_or(Ok(()), |field| {
                Err(format!(
                    "it has a field `{}` that is not listed",
                    field.name
                ))
            })
        }
    }
}

/// Compares what types are made of, whatever they are called and wherever their parts lie.
fn same_parts(place: &str, expected: &Shape, found: &Shape) -> Result<(), String> {
    let fields = |expected: &[FieldSchema], found: &[FieldSchema]| {
        for field in expected {
            let name = crate::data::join(place, &field.name);
            let Some(other) = found.iter().find(|other| other.name == field.name) else {
                return Err(format!("it has no field `{name}`"));
            };
            same_part(&name, field, other)?;
        }
        let other = found
            .iter()
            .find(|other| expected.iter().all(|field| field.name != other.name));
        other.map_or(Ok(()), |other| {
            let name = crate::data::join(place, &other.name);
            Err(format!("it has a field `{name}` that is not expected"))
        })
    };
    match (expected, found) {
        (
            Shape::Struct {
                fields: expected, ..
            },
            Shape::Struct { fields: found, .. },
        ) => fields(expected, found),
        (Shape::Enum(expected), Shape::Enum(found)) => {
            let find = |name: &str, among: &[VariantSchema]| {
                among.iter().position(|variant| variant.name == name)
            };
            for variant in expected {
                let Some(other) = find(&variant.name, found) else {
                    return Err(format!("it has no variant `{}`", variant.name));
                };
                fields(&variant.fields, &found[other].fields)?;
            }
            let other = found
                .iter()
                .find(|other| find(&other.name, expected).is_none());
            other.map_or(Ok(()), |other| {
                Err(format!(
                    "it has a variant `{}` that is not expected",
                    other.name
                ))
            })
        }
        (Shape::List(expected), Shape::List(found)) | (Shape::Set(expected), Shape::Set(found)) => {
            same_part(&format!("{place}[]"), expected, found)
        }
        (Shape::Array(expected, length), Shape::Array(found, other)) => {
            if length != other {
                return Err(format!("`{place}` has {other} elements, not {length}"));
            }
            same_part(&format!("{place}[]"), expected, found)
        }
        (Shape::Map(key, value), Shape::Map(other_key, other_value)) => {
            same_part(&format!("{place}.key"), key, other_key)?;
            same_part(&format!("{place}.value"), value, other_value)
        }
        (Shape::Opaque, Shape::Opaque) => Ok(()),
        (Shape::Recursive(levels), Shape::Recursive(other)) if levels == other => Ok(()),
        _ => Err(format!("`{place}` is another kind of type")),
    }
}

fn same_part(place: &str, expected: &FieldSchema, found: &FieldSchema) -> Result<(), String> {
    if expected.shape == Shape::Opaque && expected.path != found.path {
        return Err(format!(
            "field `{place}` is `{}`, not `{}`",
            found.path, expected.path
        ));
    }
    same_parts(place, &expected.shape, &found.shape)
}

/// Runs a chain on the data of an old value.
pub(crate) fn run(
    chain: &[MigrationRegistration],
    data: &Data,
    old: &Schema,
    old_registry: &TypeRegistry,
) -> Result<Box<dyn PartialReflect>, String> {
    let fit = |data: &Data, schema: &Schema, registry: &TypeRegistry| {
        let limbo = &|_: &str| None;
        let fitted = Fitter { registry, limbo }.fit(data, schema);
        fitted
            .map(|fitted| fitted.value)
            .map_err(|misfit| misfit.to_string())
    };
    let registry_of = |reflect: fn(&mut TypeRegistry)| {
        let mut registry = TypeRegistry::new();
        reflect(&mut registry);
        registry
    };
    let mut made: Option<(Box<dyn PartialReflect>, TypeRegistry)> = None;
    for migration in chain {
        let input = match (&made, &migration.source) {
            // What lies between two migrations is a value of the type between them.
            (
                Some((value, registry)),
                MigrationSource::Type {
                    schema, reflect, ..
                },
            ) => {
                let data = Data::with_sources(&**value, registry, &schema.unseen)
                    .map_err(|error| error.to_string())?;
                fit(&data, schema, &registry_of(*reflect))?
            }
            (
                None,
                MigrationSource::Type {
                    schema, reflect, ..
                },
            ) => fit(data, schema, &registry_of(*reflect))?,
            (_, MigrationSource::Fields(_)) => {
                // Its code takes opaque parts for what they are to it.
                let mut seen = old.clone();
                for unseen in &mut seen.unseen {
                    unseen.source = migration.sources.number(&unseen.path).unwrap_or_default();
                }
                fit(data, &seen, old_registry)?
            }
        };
        let value = (migration.run)(&*input)?;
        made = Some((value, registry_of(migration.target_reflect)));
    }
    made.map(|(value, _)| value)
        .ok_or_else(|| "there is no migration to run".to_owned())
}
