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

use std::any::{TypeId, type_name};
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use bevy_reflect::attributes::CustomAttributes;
use bevy_reflect::enums::{DynamicEnum, DynamicVariant, VariantInfo};
use bevy_reflect::prelude::{ReflectDefault, ReflectFromReflect};
use bevy_reflect::{
    GetTypeRegistration, PartialReflect, Reflect, ReflectRef, Type, TypeInfo, TypeRegistry, Typed,
    UnnamedField,
};
use serde::{Deserialize, Serialize};

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
    /// The schema of `T`. Runs `T`'s `Default` if it is reflected.
    pub fn of<T: Typed + GetTypeRegistration>() -> Self {
        let mut registry = TypeRegistry::new();
        registry.register::<T>();
        let info = T::type_info();
        let default = T::get_type_registration()
            .data::<ReflectDefault>()
            .map(ReflectDefault::default);
        let places = default.and_then(|value| {
            let value = value.as_partial_reflect();
            let mut places = Vec::new();
            let base = std::ptr::from_ref(value).addr();
            collect_places(value, base, "", &mut places).then_some(places)
        });
        let attributes = attributes_of(info);
        Self {
            path: info.type_path().to_owned(),
            size: size_of::<T>(),
            align: align_of::<T>(),
            places,
            needs_drop: std::mem::needs_drop::<T>(),
            sparse: false,
            shape: Shapes {
                registry: &registry,
                above: Vec::new(),
            }
            .of(info),
            renamed_from: renamed_from(attributes),
        }
    }

    /// The schema of a type that is not reflected: only its size is known.
    pub fn opaque<T>() -> Self {
        Self {
            path: type_name::<T>().to_owned(),
            size: size_of::<T>(),
            align: align_of::<T>(),
            places: None,
            needs_drop: std::mem::needs_drop::<T>(),
            sparse: false,
            shape: Shape::Opaque,
            renamed_from: Note::default(),
        }
    }

    /// Number that is equal for equal schemas, within one build of the engine.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }

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
        None
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
    if layout.fields.len() != fields.len() {
        return true;
    }
    let mut covered = vec![false; layout.size];
    for (offset, size) in &layout.fields {
        let bytes = covered.iter_mut().skip(*offset).take(*size);
        bytes.for_each(|byte| *byte = true);
    }
    covered
        .chunks_exact(size_of::<usize>())
        .any(|word| word.iter().all(|covered| !covered))
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

/// All types that reflection looks into when it looks at `T`, itself included.
///
/// Reflection caches what it learns of generic types (`Vec<T>`) in the shared
/// library, with pointers into the code that asked first: that code must stay.
pub fn reflected_types<T: Typed + GetTypeRegistration>() -> Vec<TypeId> {
    let mut registry = TypeRegistry::empty();
    registry.register::<T>();
    registry
        .iter()
        .map(bevy_reflect::TypeRegistration::type_id)
        .collect()
}

/// Collects the places of fields, all the way down through structs and tuples. `false`
/// if the value has no fields that lie in it.
fn collect_places(
    value: &dyn PartialReflect,
    base: usize,
    path: &str,
    places: &mut Vec<Place>,
) -> bool {
    let mut add = |name: &str, field: &dyn PartialReflect| {
        let field_path = join(path, name);
        let index = places.len();
        places.push(Place {
            field: field_path.clone(),
            offset: std::ptr::from_ref(field).addr().wrapping_sub(base),
            size: size_of_val(field),
            has_parts: false,
        });
        places[index].has_parts = collect_places(field, base, &field_path, places);
    };
    match value.reflect_ref() {
        ReflectRef::Struct(value) => {
            for index in 0..value.field_len() {
                if let (Some(name), Some(field)) = (value.name_at(index), value.field_at(index)) {
                    add(name, field);
                }
            }
        }
        ReflectRef::TupleStruct(value) => {
            for (index, field) in value.iter_fields().enumerate() {
                add(&index.to_string(), field);
            }
        }
        ReflectRef::Tuple(value) => {
            for (index, field) in value.iter_fields().enumerate() {
                add(&index.to_string(), field);
            }
        }
        _ => return false,
    }
    true
}

fn attributes_of(info: &TypeInfo) -> Option<&CustomAttributes> {
    match info {
        TypeInfo::Struct(info) => Some(info.custom_attributes()),
        TypeInfo::TupleStruct(info) => Some(info.custom_attributes()),
        TypeInfo::Enum(info) => Some(info.custom_attributes()),
        _ => None,
    }
}

fn renamed_from(attributes: Option<&CustomAttributes>) -> Note<Vec<String>> {
    let names = attributes.and_then(CustomAttributes::get::<RenamedFrom>);
    Note(names.map_or_else(Vec::new, |RenamedFrom(names)| {
        names.split_whitespace().map(str::to_owned).collect()
    }))
}

/// Makes shapes of type descriptions.
struct Shapes<'a> {
    /// Knows the types as the code that asks has them.
    registry: &'a TypeRegistry,
    /// Types that are being described, outermost first.
    above: Vec<TypeId>,
}

impl Shapes<'_> {
    fn of(&mut self, info: &TypeInfo) -> Shape {
        let above = self.above.iter().rev();
        if let Some(levels) = above.clone().position(|id| *id == info.type_id()) {
            return Shape::Recursive(levels);
        }
        self.above.push(info.type_id());
        let shape = match info {
            TypeInfo::Struct(info) => Shape::Struct {
                kind: StructKind::Named,
                fields: info
                    .iter()
                    .map(|f| self.field(f.name(), f.ty(), f.custom_attributes()))
                    .collect(),
                layout: self.layout(info.ty()),
                has_default: self.has_default(info.ty()),
            },
            TypeInfo::TupleStruct(info) => Shape::Struct {
                kind: StructKind::TupleStruct,
                fields: self.unnamed(info.iter()),
                layout: self.layout(info.ty()),
                has_default: self.has_default(info.ty()),
            },
            TypeInfo::Tuple(info) => Shape::Struct {
                kind: StructKind::Tuple,
                fields: self.unnamed(info.iter()),
                layout: None,
                has_default: Note(false),
            },
            TypeInfo::List(info) => Shape::List(self.part("[]", &info.item_ty())),
            TypeInfo::Set(info) => Shape::Set(self.part("[]", &info.value_ty())),
            TypeInfo::Array(info) => {
                Shape::Array(self.part("[]", &info.item_ty()), info.capacity())
            }
            TypeInfo::Map(info) => Shape::Map(
                self.part("key", &info.key_ty()),
                self.part("value", &info.value_ty()),
            ),
            TypeInfo::Enum(info) => {
                let ty = *info.ty();
                let bare = info.iter().all(|v| matches!(v, VariantInfo::Unit(_)));
                let variants = info.iter().map(|variant| {
                    let tag = bare.then(|| self.tag(&ty, variant.name())).flatten();
                    self.variant(variant, tag)
                });
                Shape::Enum(variants.collect())
            }
            TypeInfo::Opaque(_) => Shape::Opaque,
        };
        self.above.pop();
        shape
    }

    fn has_default(&self, ty: &Type) -> Note<bool> {
        let default = self.registry.get_type_data::<ReflectDefault>(ty.id());
        Note(default.is_some())
    }

    /// Where the fields of a type's default value lie.
    fn layout(&self, ty: &Type) -> Option<StructLayout> {
        let default = self.registry.get_type_data::<ReflectDefault>(ty.id())?;
        let value = default.default();
        let value = value.as_partial_reflect();
        let base = std::ptr::from_ref(value).addr();
        let place = |field: &dyn PartialReflect| {
            (std::ptr::from_ref(field).addr() - base, size_of_val(field))
        };
        let fields = match value.reflect_ref() {
            ReflectRef::Struct(value) => (0..value.field_len())
                .filter_map(|index| value.field_at(index))
                .map(place)
                .collect(),
            ReflectRef::TupleStruct(value) => value.iter_fields().map(place).collect(),
            _ => return None,
        };
        Some(StructLayout {
            size: size_of_val(value),
            align: align_of_val(value),
            fields,
        })
    }

    /// The bytes of a variant without fields, of an enum that has no others.
    fn tag(&self, ty: &Type, variant: &str) -> Option<u128> {
        let from = self.registry.get_type_data::<ReflectFromReflect>(ty.id())?;
        let dynamic = DynamicEnum::new(variant.to_owned(), DynamicVariant::Unit);
        let value = from.from_reflect(&dynamic)?;
        let size = size_of_val(&*value);
        let mut bytes = [0_u8; 16];
        if size <= bytes.len() {
            // SAFETY: an enum whose variants have no fields is its tag and nothing else,
            // so that each of its bytes is initialised.
            unsafe {
                std::ptr::from_ref(&*value)
                    .cast::<u8>()
                    .copy_to_nonoverlapping(bytes.as_mut_ptr(), size);
            }
        }
        Some(u128::from_le_bytes(bytes))
    }

    fn field(&mut self, name: &str, ty: &Type, attributes: &CustomAttributes) -> FieldSchema {
        let info = self.registry.get_type_info(ty.id());
        FieldSchema {
            name: name.to_owned(),
            path: ty.path().to_owned(),
            shape: info.map_or(Shape::Opaque, |info| self.of(info)),
            renamed_from: renamed_from(Some(attributes)),
        }
    }

    fn part(&mut self, name: &str, ty: &Type) -> Box<FieldSchema> {
        Box::new(self.field(name, ty, &CustomAttributes::default()))
    }

    fn unnamed<'f>(&mut self, fields: impl Iterator<Item = &'f UnnamedField>) -> Vec<FieldSchema> {
        fields
            .map(|f| self.field(&f.index().to_string(), f.ty(), f.custom_attributes()))
            .collect()
    }

    fn variant(&mut self, variant: &VariantInfo, tag: Option<u128>) -> VariantSchema {
        let (kind, fields) = match variant {
            VariantInfo::Struct(info) => {
                let fields = info
                    .iter()
                    .map(|f| self.field(f.name(), f.ty(), f.custom_attributes()));
                (StructKind::Named, fields.collect())
            }
            VariantInfo::Tuple(info) => (StructKind::Tuple, self.unnamed(info.iter())),
            VariantInfo::Unit(_) => (StructKind::Tuple, Vec::new()),
        };
        VariantSchema {
            name: variant.name().to_owned(),
            kind,
            fields,
            tag,
            renamed_from: renamed_from(Some(variant.custom_attributes())),
        }
    }
}

type Difference = (String, String);

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

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

fn collect_code_holders(path: &str, shape: &Shape, found: &mut HashSet<String>) {
    let mut visit = |field: &FieldSchema| collect_code_holders(&field.path, &field.shape, found);
    match shape {
        Shape::Opaque => {
            let plain = PLAIN.contains(&path)
                || path.starts_with("core::num::")
                || path.starts_with("core::sync::atomic::")
                || path.starts_with("core::ops::range::");
            if !plain {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    mod old {
        use super::*;
        #[derive(Reflect, Default)]
        #[reflect(Default)]
        #[type_path = "game"]
        #[type_name = "Health"]
        pub struct Health {
            pub current: u32,
            pub stats: Stats,
            pub mood: Mood,
        }
        #[derive(Reflect, Default)]
        #[type_path = "game"]
        #[type_name = "Stats"]
        pub struct Stats {
            pub armor: u32,
        }
        #[derive(Reflect, Default)]
        #[type_path = "game"]
        #[type_name = "Mood"]
        pub enum Mood {
            #[default]
            Calm,
            Angry(u8),
        }
    }
    mod new {
        use super::*;
        macro_rules! health {
            ($module:ident, $current:ty, $armor:ty, $($variant:ident)*) => {
                pub mod $module {
                    use super::*;
                    #[derive(Reflect, Default)]
                    #[reflect(Default)]
                    #[type_path = "game"]
                    #[type_name = "Health"]
                    pub struct Health { pub current: $current, pub stats: Stats, pub mood: Mood }
                    #[derive(Reflect, Default)]
                    #[type_path = "game"]
                    #[type_name = "Stats"]
                    pub struct Stats { pub armor: $armor }
                    #[derive(Reflect, Default)]
                    #[type_path = "game"]
                    #[type_name = "Mood"]
                    pub enum Mood { #[default] Calm, Angry(u8), $($variant,)* }
                }
            };
        }
        health!(same, u32, u32,);
        health!(top, f32, u32,);
        health!(nested, u32, i32,);
        health!(variant, u32, u32, Afraid);
    }

    #[test]
    fn differences_name_type_and_field() {
        let old = Schema::of::<old::Health>();
        let check = |new: Schema, expected: Option<&str>| {
            assert_eq!(
                old.difference(&new).map(|d| d.to_string()).as_deref(),
                expected
            );
            assert_eq!(old.hash() == new.hash(), expected.is_none());
        };
        check(Schema::of::<new::same::Health>(), None);
        check(
            Schema::of::<new::top::Health>(),
            Some("field `current` of `game::Health` changed from `u32` to `f32`"),
        );
        check(
            Schema::of::<new::nested::Health>(),
            Some("field `stats.armor` of `game::Health` changed from `u32` to `i32`"),
        );
        check(
            Schema::of::<new::variant::Health>(),
            Some(
                "field `mood` of `game::Health` changed its variants from Calm, Angry to Calm, \
                 Angry, Afraid",
            ),
        );
    }

    #[derive(Reflect, Default)]
    #[reflect(Default)]
    #[type_path = "game"]
    #[type_name = "Pair"]
    struct RustPair(u8, u32, u8);
    #[derive(Reflect, Default)]
    #[reflect(Default)]
    #[repr(C)]
    #[type_path = "game"]
    #[type_name = "Pair"]
    struct CPair(u8, u32, u8);

    #[test]
    fn another_representation_of_the_same_fields_is_a_difference() {
        let difference = Schema::of::<RustPair>().difference(&Schema::of::<CPair>());
        assert!(difference.is_some());
    }

    mod one {
        use super::*;
        #[derive(Reflect)]
        #[type_path = "game"]
        pub enum Mode {
            Idle = 1,
            Run = 2,
        }
    }
    mod other {
        use super::*;
        #[derive(Reflect)]
        #[type_path = "game"]
        pub enum Mode {
            Idle = 2,
            Run = 1,
        }
    }

    #[test]
    fn other_values_of_the_same_variants_are_a_difference() {
        let difference = Schema::of::<one::Mode>().difference(&Schema::of::<other::Mode>());
        assert_eq!(
            difference.unwrap().to_string(),
            "field `Idle` of `game::Mode` changed its value"
        );
    }

    #[derive(Reflect)]
    struct Tree {
        name: String,
        children: Vec<Tree>,
        by_id: std::collections::HashMap<u32, Option<f32>>,
    }
    #[derive(Reflect)]
    struct Label(&'static str);
    #[derive(Reflect, Default)]
    #[reflect(Default)]
    struct Scripted {
        name: String,
        #[reflect(ignore)]
        #[expect(dead_code, reason = "it only needs a size")]
        script: Option<Box<dyn Fn() + Send + Sync>>,
    }
    #[derive(Reflect, Default)]
    #[reflect(Default)]
    struct Timed {
        seconds: u32,
        #[reflect(ignore)]
        #[expect(dead_code, reason = "it only needs a size")]
        then: Option<fn()>,
    }
    #[derive(Reflect, Default)]
    #[reflect(Default)]
    struct Flagged {
        seconds: u32,
        #[reflect(ignore)]
        #[expect(dead_code, reason = "it only needs a size")]
        done: bool,
    }

    #[test]
    fn borrowed_text_unknown_types_and_ignored_fields_may_hold_code() {
        let hidden = |schema: Schema| {
            let parts = schema.parts_that_may_hold_code();
            parts.len() == 1 && parts[0].ends_with("that reflection ignores")
        };
        assert!(hidden(Schema::of::<Scripted>()));
        assert!(hidden(Schema::of::<Timed>()));
        assert!(hidden(Schema::of::<Vec<Timed>>()), "all the way down");
        assert_eq!(
            Schema::of::<Flagged>().parts_that_may_hold_code(),
            Vec::<String>::new()
        );
        assert_eq!(Schema::of::<Flagged>().hidden_bytes(), Some(4));
        assert_eq!(
            Schema::of::<Tree>().parts_that_may_hold_code(),
            Vec::<String>::new()
        );
        assert_eq!(Schema::of::<Label>().parts_that_may_hold_code(), ["&str"]);
    }
}
