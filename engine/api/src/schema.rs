//! The recursive description of a state type.
//!
//! A [`TypeId`](std::any::TypeId) is no layout check: it stays the same when a
//! field changes its type. A [`Schema`] is taken by the module's own code when a
//! version is loaded and compared before that version touches the world.

use std::any::{TypeId, type_name};
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use bevy_reflect::{
    GetTypeRegistration, NamedField, PartialReflect, ReflectRef, Type, TypeInfo, Typed,
    UnnamedField, enums::VariantInfo, prelude::ReflectDefault,
};

/// What a type is made of, all the way down, and how it lies in memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Schema {
    /// Path of the type: `game_logic::player::Health`.
    pub path: String,
    /// Size of a value in bytes.
    pub size: usize,
    /// Alignment in bytes.
    pub align: usize,
    /// Offsets of the fields in bytes, where the type has a `Default` that is
    /// reflected (`#[reflect(Default)]`).
    pub offsets: Option<Vec<usize>>,
    /// Whether values own something that must be dropped.
    pub needs_drop: bool,
    /// The parts.
    pub shape: Shape,
}

/// The parts of a type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Shape {
    /// No parts that reflection knows: numbers, text, foreign types.
    Opaque,
    /// Named fields; tuples and tuple structs name theirs `0`, `1`, ...
    Struct(Vec<FieldSchema>),
    /// Variants, in order.
    Enum(Vec<VariantSchema>),
    /// Many of one type: `Vec`, sets, slices.
    List(Box<FieldSchema>),
    /// A fixed number of one type.
    Array(Box<FieldSchema>, usize),
    /// Keys and values.
    Map(Box<FieldSchema>, Box<FieldSchema>),
    /// The type contains itself; its shape is described further up.
    Recursive,
}

/// A field or an element.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldSchema {
    /// Name.
    pub name: String,
    /// Path of its type.
    pub path: String,
    /// Its parts.
    pub shape: Shape,
}

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VariantSchema {
    /// Name.
    pub name: String,
    /// Its fields.
    pub fields: Vec<FieldSchema>,
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
        let info = T::type_info();
        let default = T::get_type_registration()
            .data::<ReflectDefault>()
            .map(ReflectDefault::default);
        let offsets = default.and_then(|value| {
            let base = std::ptr::from_ref(value.as_partial_reflect()).addr();
            field_addresses(value.as_partial_reflect())
                .map(|fields| fields.into_iter().map(|field| field - base).collect())
        });
        Self {
            path: info.type_path().to_owned(),
            size: size_of::<T>(),
            align: align_of::<T>(),
            offsets,
            needs_drop: std::mem::needs_drop::<T>(),
            shape: shape(info, &mut Vec::new()),
        }
    }

    /// The schema of a type that is not reflected: only its size is known.
    pub fn opaque<T>() -> Self {
        Self {
            path: type_name::<T>().to_owned(),
            size: size_of::<T>(),
            align: align_of::<T>(),
            offsets: None,
            needs_drop: std::mem::needs_drop::<T>(),
            shape: Shape::Opaque,
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
        if self.align != new.align || self.offsets != new.offsets {
            let change = "lays out its fields differently in memory".to_owned();
            return Some(found((String::new(), change)));
        }
        if self.needs_drop != new.needs_drop {
            let change = "changed whether it must be dropped".to_owned();
            return Some(found((String::new(), change)));
        }
        None
    }

    /// Paths of parts whose values may refer to the code of the module that made
    /// them: borrowed text, trait objects, function pointers and types that
    /// reflection cannot look into.
    pub fn parts_that_may_hold_code(&self) -> Vec<String> {
        let mut parts = HashSet::new();
        collect_code_holders(&self.path, &self.shape, &mut parts);
        let mut parts: Vec<_> = parts.into_iter().collect();
        parts.sort();
        parts
    }
}

/// All types that reflection looks into when it looks at `T`, itself included.
///
/// Reflection caches what it learns of generic types (`Vec<T>`) in the shared
/// library, with pointers into the code that asked first: that code must stay.
pub fn reflected_types<T: Typed>() -> Vec<TypeId> {
    let mut found = Vec::new();
    collect_reflected(T::type_info(), &mut found);
    found
}

fn collect_reflected(info: &'static TypeInfo, found: &mut Vec<TypeId>) {
    if found.contains(&info.type_id()) {
        return;
    }
    found.push(info.type_id());
    let mut inner: Vec<Option<&'static TypeInfo>> = Vec::new();
    match info {
        TypeInfo::Struct(info) => inner.extend(info.iter().map(NamedField::type_info)),
        TypeInfo::TupleStruct(info) => inner.extend(info.iter().map(UnnamedField::type_info)),
        TypeInfo::Tuple(info) => inner.extend(info.iter().map(UnnamedField::type_info)),
        TypeInfo::List(info) => inner.push(info.item_info()),
        TypeInfo::Array(info) => inner.push(info.item_info()),
        TypeInfo::Map(info) => inner.extend([info.key_info(), info.value_info()]),
        TypeInfo::Set(info) => found.push(info.value_ty().id()),
        TypeInfo::Enum(info) => {
            for variant in info.iter() {
                match variant {
                    VariantInfo::Struct(info) => {
                        inner.extend(info.iter().map(NamedField::type_info));
                    }
                    VariantInfo::Tuple(info) => {
                        inner.extend(info.iter().map(UnnamedField::type_info));
                    }
                    VariantInfo::Unit(_) => {}
                }
            }
        }
        TypeInfo::Opaque(_) => {}
    }
    for info in inner.into_iter().flatten() {
        collect_reflected(info, found);
    }
}

fn field_addresses(value: &dyn PartialReflect) -> Option<Vec<usize>> {
    let address = |field: &dyn PartialReflect| std::ptr::from_ref(field).addr();
    match value.reflect_ref() {
        ReflectRef::Struct(value) => (0..value.field_len())
            .map(|index| value.field_at(index).map(address))
            .collect(),
        ReflectRef::TupleStruct(value) => (0..value.field_len())
            .map(|index| value.field(index).map(address))
            .collect(),
        _ => None,
    }
}

fn shape(info: &TypeInfo, above: &mut Vec<TypeId>) -> Shape {
    if above.contains(&info.type_id()) {
        return Shape::Recursive;
    }
    above.push(info.type_id());
    let shape = match info {
        TypeInfo::Struct(info) => Shape::Struct(
            info.iter()
                .map(|f| field(f.name(), f.ty(), f.type_info(), above))
                .collect(),
        ),
        TypeInfo::TupleStruct(info) => Shape::Struct(
            info.iter()
                .map(|f| field(&f.index().to_string(), f.ty(), f.type_info(), above))
                .collect(),
        ),
        TypeInfo::Tuple(info) => Shape::Struct(
            info.iter()
                .map(|f| field(&f.index().to_string(), f.ty(), f.type_info(), above))
                .collect(),
        ),
        TypeInfo::List(info) => Shape::List(Box::new(field(
            "[]",
            &info.item_ty(),
            info.item_info(),
            above,
        ))),
        TypeInfo::Set(info) => Shape::List(Box::new(field("[]", &info.value_ty(), None, above))),
        TypeInfo::Array(info) => Shape::Array(
            Box::new(field("[]", &info.item_ty(), info.item_info(), above)),
            info.capacity(),
        ),
        TypeInfo::Map(info) => Shape::Map(
            Box::new(field("key", &info.key_ty(), info.key_info(), above)),
            Box::new(field("value", &info.value_ty(), info.value_info(), above)),
        ),
        TypeInfo::Enum(info) => Shape::Enum(
            info.iter()
                .map(|variant| variant_schema(variant, above))
                .collect(),
        ),
        TypeInfo::Opaque(_) => Shape::Opaque,
    };
    above.pop();
    shape
}

fn field(
    name: &str,
    ty: &Type,
    info: Option<&'static TypeInfo>,
    above: &mut Vec<TypeId>,
) -> FieldSchema {
    FieldSchema {
        name: name.to_owned(),
        path: ty.path().to_owned(),
        shape: info.map_or(Shape::Opaque, |info| shape(info, above)),
    }
}

fn variant_schema(variant: &VariantInfo, above: &mut Vec<TypeId>) -> VariantSchema {
    let fields = match variant {
        VariantInfo::Struct(info) => info
            .iter()
            .map(|f| field(f.name(), f.ty(), f.type_info(), above))
            .collect(),
        VariantInfo::Tuple(info) => info
            .iter()
            .map(|f| field(&f.index().to_string(), f.ty(), f.type_info(), above))
            .collect(),
        VariantInfo::Unit(_) => Vec::new(),
    };
    VariantSchema {
        name: variant.name().to_owned(),
        fields,
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
        (Shape::Struct(old), Shape::Struct(new)) => fields_difference(path, old, new),
        (Shape::List(old), Shape::List(new)) => field_difference(path, old, new),
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
    old.iter()
        .zip(new)
        .find_map(|(old, new)| fields_difference(&join(path, &old.name), &old.fields, &new.fields))
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
        Shape::Struct(fields) => fields.iter().for_each(visit),
        Shape::Enum(variants) => variants.iter().flat_map(|v| &v.fields).for_each(visit),
        Shape::List(item) | Shape::Array(item, _) => visit(item),
        Shape::Map(key, value) => {
            visit(key);
            visit(value);
        }
        Shape::Recursive => {}
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

    #[derive(Reflect)]
    struct Tree {
        name: String,
        children: Vec<Tree>,
        by_id: std::collections::HashMap<u32, Option<f32>>,
    }
    #[derive(Reflect)]
    struct Label(&'static str);

    #[test]
    fn only_borrowed_text_and_unknown_types_may_hold_code() {
        assert_eq!(
            Schema::of::<Tree>().parts_that_may_hold_code(),
            Vec::<String>::new()
        );
        assert_eq!(Schema::of::<Label>().parts_that_may_hold_code(), ["&str"]);
    }
}
