//! What differs between two schemas.

use std::fmt;

use super::{FieldSchema, Schema, Shape, VariantSchema, join};

/// The first place where two schemas differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaDifference {
    /// Path of the type.
    pub type_path: String,
    /// Path of the field within the type: `stats.armor`; empty for the type itself.
    pub field: String,
    /// What is different, from old to new.
    pub change: String,
}

impl fmt::Display for SchemaDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(f, "`{}` {}", self.type_path, self.change)
        } else {
            write!(
                f,
                "field `{}` of `{}` {}",
                self.field, self.type_path, self.change
            )
        }
    }
}

impl Schema {
    /// The first difference from this (old) to `new`, `None` if values of one
    /// are values of the other.
    pub fn difference(&self, new: &Self) -> Option<SchemaDifference> {
        let found = |(field, change)| SchemaDifference {
            type_path: self.path.clone(),
            field,
            change,
        };
        if let Some(difference) = shape_difference("", &self.shape, &new.shape) {
            return Some(found(difference));
        }
        if self.size != new.size {
            let change = format!("changed from {} to {} bytes", self.size, new.size);
            return Some(found((String::new(), change)));
        }
        if self.align != new.align || self.places != new.places {
            let change = "lays out its fields differently in memory".to_owned();
            return Some(found((String::new(), change)));
        }
        if self.sparse != new.sparse {
            let change = "changed its storage".to_owned();
            return Some(found((String::new(), change)));
        }
        if self.needs_drop != new.needs_drop {
            let change = "changed whether it must be dropped".to_owned();
            return Some(found((String::new(), change)));
        }
        let mut differing = self
            .unseen
            .iter()
            .chain(&new.unseen)
            .filter(|unseen| self.source_of(&unseen.path) != new.source_of(&unseen.path));
        differing.next().map(|unseen| {
            let change = format!(
                "has parts that reflection does not see, and the source of `{}` changed",
                unseen.path
            );
            found((String::new(), change))
        })
    }
}

type Difference = (String, String);

fn shape_difference(path: &str, old: &Shape, new: &Shape) -> Option<Difference> {
    match (old, new) {
        (
            Shape::Struct {
                kind: old_kind,
                fields: old,
                layout: old_layout,
                ..
            },
            Shape::Struct {
                kind: new_kind,
                fields: new,
                layout: new_layout,
                ..
            },
        ) if old_kind == new_kind => fields_difference(path, old, new).or_else(|| {
            (old_layout != new_layout).then(|| {
                let change = "lays out its fields differently in memory".to_owned();
                (path.to_owned(), change)
            })
        }),
        (Shape::List(old), Shape::List(new)) | (Shape::Set(old), Shape::Set(new)) => {
            field_difference(path, old, new)
        }
        (Shape::Array(old, old_length), Shape::Array(new, new_length)) => {
            if old_length != new_length {
                let change = format!("changed from {old_length} to {new_length} elements");
                return Some((path.to_owned(), change));
            }
            field_difference(path, old, new)
        }
        (Shape::Map(old_key, old_value), Shape::Map(new_key, new_value)) => {
            field_difference(path, old_key, new_key)
                .or_else(|| field_difference(path, old_value, new_value))
        }
        (Shape::Enum(old), Shape::Enum(new)) => variants_difference(path, old, new),
        (old, new) if old == new => None,
        _ => Some((
            path.to_owned(),
            "changed what kind of type it is".to_owned(),
        )),
    }
}

fn field_difference(path: &str, old: &FieldSchema, new: &FieldSchema) -> Option<Difference> {
    let place = join(path, &old.name);
    if old.path != new.path {
        return Some((
            place,
            format!("changed from `{}` to `{}`", old.path, new.path),
        ));
    }
    shape_difference(&place, &old.shape, &new.shape)
}

fn fields_difference(path: &str, old: &[FieldSchema], new: &[FieldSchema]) -> Option<Difference> {
    let missing = |from: &[FieldSchema], of: &[FieldSchema]| {
        of.iter()
            .find(|field| !from.iter().any(|other| other.name == field.name))
            .cloned()
    };
    if let Some(removed) = missing(new, old) {
        return Some((join(path, &removed.name), "was removed".to_owned()));
    }
    if let Some(added) = missing(old, new) {
        return Some((
            join(path, &added.name),
            format!("was added (`{}`)", added.path),
        ));
    }
    for (old, new) in old.iter().zip(new) {
        if old.name != new.name {
            return Some((join(path, &new.name), "moved among the fields".to_owned()));
        }
        if let Some(difference) = field_difference(path, old, new) {
            return Some(difference);
        }
    }
    None
}

fn variants_difference(
    path: &str,
    old: &[VariantSchema],
    new: &[VariantSchema],
) -> Option<Difference> {
    let names = |variants: &[VariantSchema]| {
        variants
            .iter()
            .map(|variant| variant.name.clone())
            .collect::<Vec<_>>()
    };
    if names(old) != names(new) {
        let change = format!(
            "changed its variants from {} to {}",
            names(old).join(", "),
            names(new).join(", ")
        );
        return Some((path.to_owned(), change));
    }
    old.iter().zip(new).find_map(|(old, new)| {
        let place = join(path, &old.name);
        if old.kind != new.kind && !old.fields.is_empty() {
            let change = "changed how its fields are named".to_owned();
            return Some((place, change));
        }
        if old.tag != new.tag {
            return Some((place, "changed its value".to_owned()));
        }
        fields_difference(&place, &old.fields, &new.fields)
    })
}
