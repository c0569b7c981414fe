//! Taking the schema of a type, from what reflection says and from a default value.

use std::any::{TypeId, type_name};

use bevy_reflect::attributes::CustomAttributes;
use bevy_reflect::enums::{DynamicEnum, DynamicVariant, VariantInfo};
use bevy_reflect::prelude::{ReflectDefault, ReflectFromReflect};
use bevy_reflect::{
    GetTypeRegistration, PartialReflect, ReflectRef, Type, TypeInfo, TypeRegistry, Typed,
    UnnamedField,
};

use super::{
    FieldSchema, Note, Place, RenamedFrom, Schema, Shape, StructKind, StructLayout, VariantSchema,
    join,
};

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
            unseen: Vec::new(),
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
            unseen: Vec::new(),
            renamed_from: Note::default(),
        }
    }
}

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
