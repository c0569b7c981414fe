//! What reflection does not see of a type.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::{FieldSchema, Schema, Shape, StructKind, StructLayout};
use crate::sources::Sources;

/// A type that reflection does not see all of, and what its source says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unseen {
    /// Path of the type.
    pub path: String,
    /// See [`Sources::number`].
    pub source: u64,
}

/// What the source says about the type with a path, if it is one of `unseen`.
pub fn source_of(unseen: &[Unseen], path: &str) -> Option<u64> {
    let found = unseen.iter().find(|unseen| unseen.path == path);
    found.map(|unseen| unseen.source)
}

impl Schema {
    /// Notes what the sources say about all parts that reflection does not see, so that
    /// schemas differ where those do.
    pub fn look_into(&mut self, sources: &Sources) {
        let mut paths = BTreeSet::new();
        collect_unseen(&self.path, &self.shape, &mut paths);
        let unseen = paths.into_iter().filter_map(|path| {
            let source = sources.number(path)?;
            Some(Unseen {
                path: path.to_owned(),
                source,
            })
        });
        self.unseen = unseen.collect();
    }

    /// What the source says about a part that reflection does not see all of, by the
    /// path of its type; `None` for other parts.
    pub fn source_of(&self, path: &str) -> Option<u64> {
        source_of(&self.unseen, path)
    }

    /// How many bytes of a value belong to no field that reflection knows: padding, and
    /// fields with `#[reflect(ignore)]`. `None` if it cannot be told.
    pub fn hidden_bytes(&self) -> Option<usize> {
        if matches!(self.shape, Shape::Struct { .. }) {
            let leaves = self.places.as_ref()?.iter().filter(|p| !p.has_parts);
            let seen: usize = leaves.map(|place| place.size).sum();
            Some(self.size.saturating_sub(seen))
        } else {
            Some(0)
        }
    }

    /// Whether a struct without a known layout has room for a pointer beside its fields.
    fn is_larger_than_its_fields(&self) -> bool {
        let Shape::Struct {
            fields,
            layout: None,
            ..
        } = &self.shape
        else {
            return false;
        };
        let known: Option<usize> = fields.iter().map(plain_size).sum();
        known.is_some_and(|known| self.size >= known + size_of::<usize>())
    }

    /// Paths of parts whose values may refer to the code of the module that made
    /// them: borrowed text, trait objects, function pointers and types that
    /// reflection cannot look into.
    pub fn parts_that_may_hold_code(&self) -> Vec<String> {
        let mut parts = HashSet::new();
        collect_code_holders(&self.path, &self.shape, &mut parts);
        if self.is_larger_than_its_fields() {
            parts.insert(format!("fields of `{}` that reflection ignores", self.path));
        }
        let mut parts: Vec<_> = parts.into_iter().collect();
        parts.sort();
        parts
    }
}

/// Whether a struct may have a field that reflection does not know and that is large
/// enough to hold a pointer. Without a layout nobody can tell.
fn may_hide_pointer(fields: &[FieldSchema], layout: Option<&StructLayout>) -> bool {
    let Some(layout) = layout else {
        return false;
    };
    layout.fields.len() != fields.len()
        || covered(layout)
            .chunks_exact(size_of::<usize>())
            .any(|word| word.iter().all(|covered| !covered))
}

/// For each byte of a struct, whether it belongs to a field that reflection knows.
fn covered(layout: &StructLayout) -> Vec<bool> {
    let mut covered = vec![false; layout.size];
    for (offset, size) in &layout.fields {
        let bytes = covered.iter_mut().skip(*offset).take(*size);
        bytes.for_each(|byte| *byte = true);
    }
    covered
}

/// Collects the paths of types whose layout reflection does not show: opaque ones, structs
/// with bytes that belong to no field or without a default value to look at, and enums
/// that are more than a tag of known value.
fn collect_unseen<'s>(path: &'s str, shape: &'s Shape, found: &mut BTreeSet<&'s str>) {
    let mut visit = |field: &'s FieldSchema| collect_unseen(&field.path, &field.shape, found);
    let is_unseen = match shape {
        Shape::Opaque => !is_plain(path),
        Shape::Struct {
            kind,
            fields,
            layout,
            ..
        } => {
            fields.iter().for_each(&mut visit);
            let seen = layout.as_ref().is_some_and(|layout| {
                layout.fields.len() == fields.len() && covered(layout).iter().all(|byte| *byte)
            });
            *kind != StructKind::Tuple && !seen
        }
        Shape::Enum(variants) => {
            variants.iter().flat_map(|v| &v.fields).for_each(visit);
            variants.iter().any(|variant| variant.tag.is_none())
        }
        Shape::List(item) | Shape::Array(item, _) => {
            visit(item);
            false
        }
        Shape::Set(item) => {
            visit(item);
            true
        }
        // What hashes its keys is a value as well.
        Shape::Map(key, value) => {
            visit(key);
            visit(value);
            true
        }
        Shape::Recursive(_) => false,
    };
    if is_unseen {
        found.insert(path);
    }
}

/// Size of a value of a field's type in bytes without padding, where the path tells it.
fn plain_size(field: &FieldSchema) -> Option<usize> {
    match &field.shape {
        Shape::Struct { fields, .. } => fields.iter().map(plain_size).sum(),
        Shape::Array(item, length) => Some(plain_size(item)? * length),
        Shape::List(_) if field.path.starts_with("alloc::vec::Vec<") => Some(size_of::<Vec<u8>>()),
        _ => PLAIN_SIZES
            .iter()
            .find(|(path, _)| *path == field.path)
            .map(|(_, size)| *size),
    }
}

const PLAIN_SIZES: &[(&str, usize)] = &[
    ("bool", 1),
    ("u8", 1),
    ("i8", 1),
    ("u16", 2),
    ("i16", 2),
    ("u32", 4),
    ("i32", 4),
    ("f32", 4),
    ("char", 4),
    ("u64", 8),
    ("i64", 8),
    ("f64", 8),
    ("usize", size_of::<usize>()),
    ("isize", size_of::<usize>()),
    ("u128", 16),
    ("i128", 16),
    ("alloc::string::String", size_of::<String>()),
    ("bevy_ecs::entity::Entity", 8),
];

/// Types without reflected parts whose values never refer to code.
const PLAIN: &[&str] = &[
    "bool",
    "char",
    "f32",
    "f64",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "()",
    "alloc::string::String",
    "bevy_ecs::entity::Entity",
    "core::time::Duration",
    "std::path::PathBuf",
    "std::time::Instant",
    "std::time::SystemTime",
];

fn is_plain(path: &str) -> bool {
    PLAIN.contains(&path)
        || path.starts_with("core::num::")
        || path.starts_with("core::sync::atomic::")
        || path.starts_with("core::ops::range::")
}

fn collect_code_holders(path: &str, shape: &Shape, found: &mut HashSet<String>) {
    let mut visit = |field: &FieldSchema| collect_code_holders(&field.path, &field.shape, found);
    match shape {
        Shape::Opaque => {
            if !is_plain(path) {
                found.insert(path.to_owned());
            }
        }
        Shape::Struct { fields, layout, .. } => {
            fields.iter().for_each(&mut visit);
            if may_hide_pointer(fields, layout.as_ref()) {
                found.insert(format!("fields of `{path}` that reflection ignores"));
            }
        }
        Shape::Enum(variants) => variants.iter().flat_map(|v| &v.fields).for_each(visit),
        Shape::List(item) | Shape::Set(item) | Shape::Array(item, _) => visit(item),
        Shape::Map(key, value) => {
            visit(key);
            visit(value);
        }
        Shape::Recursive(_) => {}
    }
}
