//! The recursive description of a state type.
//!
//! A [`TypeId`] is no layout check: it stays the same when a field changes its type. A
//! [`Schema`] is taken by the module's own code when a version is loaded and compared
//! before that version touches the world; what differs is migrated, by name.
//!
//! Nested types are found through a registry that the same code fills, not by following
//! [`TypeInfo`]s: reflection keeps those of generic types (`Vec<Foo>`) in one table for
//! all code of the process, by `TypeId`, and would describe the `Foo` of the version that
//! asked first.

#[cfg(doc)]
use std::any::TypeId;
use std::hash::{DefaultHasher, Hash, Hasher};

use bevy_reflect::Reflect;
#[cfg(doc)]
use bevy_reflect::TypeInfo;
use serde::{Deserialize, Serialize};

mod compare;
mod hidden;
mod take;
#[cfg(test)]
mod tests;

pub use compare::SchemaDifference;
pub use hidden::{Unseen, source_of};
pub use take::reflected_types;

/// On a field, or on a type: the name it had before, so that values follow it.
///
/// Several names of the past are separated by spaces. A type is named with its path.
///
/// ```
/// use engine_api::prelude::*;
///
/// #[derive(Component, Reflect, Default)]
/// #[reflect(Component, Default, @RenamedFrom("game_logic::Life"))]
/// pub struct Health {
///     #[reflect(@RenamedFrom("points hp"))]
///     pub current: f32,
/// }
/// ```
#[derive(Debug, Clone, Reflect)]
pub struct RenamedFrom(pub &'static str);

/// What a type is made of, all the way down, and how it lies in memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schema {
    /// Path of the type: `game_logic::player::Health`.
    pub path: String,
    /// Size of a value in bytes.
    pub size: usize,
    /// Alignment in bytes.
    pub align: usize,
    /// Where the fields lie, where the type has a `Default` that is reflected
    /// (`#[reflect(Default)]`): those of structs within it as well.
    pub places: Option<Vec<Place>>,
    /// Whether values own something that must be dropped.
    pub needs_drop: bool,
    /// Whether a component is kept in a sparse set rather than in tables.
    pub sparse: bool,
    /// The parts.
    pub shape: Shape,
    /// Parts of which reflection does not see all, by path of the type, in order. Empty
    /// until [`Schema::look_into`] was called.
    pub unseen: Vec<Unseen>,
    /// Paths the type had before.
    pub renamed_from: Note<Vec<String>>,
}

/// Where a field lies in the bytes of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Path of the field: `stats.armor`.
    pub field: String,
    /// First byte.
    pub offset: usize,
    /// Number of bytes.
    pub size: usize,
    /// Whether it has fields that are listed as well.
    pub has_parts: bool,
}

/// Something that is said of a type and is no difference: it does not matter to
/// comparisons and hashes.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Note<T>(pub T);

impl<T> PartialEq for Note<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Note<T> {}

impl<T> Hash for Note<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// The parts of a type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Shape {
    /// No parts that reflection knows: numbers, text, foreign types.
    Opaque,
    /// A fixed set of fields.
    Struct {
        /// How they are named.
        kind: StructKind,
        /// In the order they are written.
        fields: Vec<FieldSchema>,
        /// Where they lie, where the type has a `Default` that reflection knows.
        layout: Option<StructLayout>,
        /// Whether the type has a `Default` that reflection knows, for fields that a
        /// value lacks.
        has_default: Note<bool>,
    },
    /// Variants, in order.
    Enum(Vec<VariantSchema>),
    /// Many of one type, in order: `Vec`, `VecDeque`.
    List(Box<FieldSchema>),
    /// Many of one type, each once.
    Set(Box<FieldSchema>),
    /// A fixed number of one type.
    Array(Box<FieldSchema>, usize),
    /// Keys and values.
    Map(Box<FieldSchema>, Box<FieldSchema>),
    /// The type that is described so many levels further up: it contains itself.
    Recursive(usize),
}

/// How a struct lies in memory, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StructLayout {
    /// Size in bytes.
    pub size: usize,
    /// Alignment in bytes.
    pub align: usize,
    /// Offset and size of each field, in bytes.
    pub fields: Vec<(usize, usize)>,
}

/// How the fields of a struct are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StructKind {
    /// By names.
    Named,
    /// `0`, `1`, ... of a struct of its own.
    TupleStruct,
    /// `0`, `1`, ...
    Tuple,
}

/// A field or an element.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldSchema {
    /// Name.
    pub name: String,
    /// Path of its type.
    pub path: String,
    /// Its parts.
    pub shape: Shape,
    /// Names it had before.
    pub renamed_from: Note<Vec<String>>,
}

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VariantSchema {
    /// Name.
    pub name: String,
    /// How its fields are named; [`StructKind::Tuple`] for `A(u32)`.
    pub kind: StructKind,
    /// Its fields.
    pub fields: Vec<FieldSchema>,
    /// Its value in memory, where no variant of the enum has fields.
    pub tag: Option<u128>,
    /// Names it had before.
    pub renamed_from: Note<Vec<String>>,
}

impl Schema {
    /// Number that is equal for equal schemas, within one build of the engine.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
