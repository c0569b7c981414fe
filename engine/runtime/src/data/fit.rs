//! Fitting data to a schema: by name, all the way down, keeping every value.

use std::borrow::Cow;
use std::collections::HashSet;

use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_reflect::array::DynamicArray;
use engine_api::bevy_reflect::enums::{DynamicEnum, DynamicVariant};
use engine_api::bevy_reflect::list::DynamicList;
use engine_api::bevy_reflect::map::{DynamicMap, Map};
use engine_api::bevy_reflect::set::{DynamicSet, Set};
use engine_api::bevy_reflect::structs::DynamicStruct;
use engine_api::bevy_reflect::tuple::DynamicTuple;
use engine_api::bevy_reflect::tuple_struct::DynamicTupleStruct;
use engine_api::bevy_reflect::{
    PartialReflect, ReflectDeserialize, ReflectFromReflect, TypeInfo, TypeRegistration,
    TypeRegistry,
};
use engine_api::schema::{
    FieldSchema, Schema, Shape, StructKind, Unseen, VariantSchema, source_of,
};

use super::{Data, join};

/// Why data does not fit a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if .path.is_empty() { String::new() } else { format!("field `{}`: ", .path) })]
pub struct Misfit {
    /// Path of the part; empty for the value itself.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// A value that fits a schema as far as names go; the type's own `FromReflect` makes a
/// value of it.
pub struct Fitted {
    /// What the type is given.
    pub value: Box<dyn PartialReflect>,
    /// Parts that the schema has no place for, with their paths.
    pub removed: Vec<(String, Data)>,
    /// Paths of parts that were not in the data and came out of limbo.
    pub restored: Vec<String>,
}

/// Fits data to the types of one version.
pub struct Fitter<'a> {
    /// Types of the version.
    pub registry: &'a TypeRegistry,
    /// Parts that were removed before, by path.
    pub limbo: &'a dyn Fn(&str) -> Option<Data>,
}

type Fit = Result<Box<dyn PartialReflect>, Misfit>;

impl Fitter<'_> {
    /// Fits data to a schema.
    ///
    /// # Errors
    /// The first part that does not fit.
    pub fn fit(&self, data: &Data, schema: &Schema) -> Result<Fitted, Misfit> {
        let mut run = Run {
            fitter: self,
            unseen: &schema.unseen,
            above: Vec::new(),
            removed: Vec::new(),
            restored: Vec::new(),
        };
        let value = run.fit("", data, &schema.path, &schema.shape)?;
        Ok(Fitted {
            value,
            removed: run.removed,
            restored: run.restored,
        })
    }
}

struct Run<'a, 's> {
    fitter: &'a Fitter<'a>,
    unseen: &'s [Unseen],
    above: Vec<&'s Shape>,
    removed: Vec<(String, Data)>,
    restored: Vec<String>,
}

/// How data is called in messages.
fn describe(data: &Data) -> String {
    match data {
        Data::Bool(value) => format!("`{value}`"),
        Data::Char(value) => format!("`{value:?}`"),
        Data::Int(value) => format!("`{value}`"),
        Data::Uint(value) => format!("`{value}`"),
        Data::F32(value) => format!("`{value}`"),
        Data::F64(value) => format!("`{value}`"),
        Data::Text(value) if value.len() <= 40 => format!("{value:?}"),
        Data::Text(value) => format!("a text of {} bytes", value.len()),
        Data::Entity(bits) => match Entity::try_from_bits(*bits) {
            Some(entity) => format!("entity {entity}"),
            None => "an entity".to_owned(),
        },
        Data::Struct(fields) => {
            let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
            format!("a struct of {{{}}}", names.join(", "))
        }
        Data::Variant(name, _) => format!("variant `{name}`"),
        Data::List(items) => format!("a list of {}", items.len()),
        Data::Map(pairs) => format!("a map of {}", pairs.len()),
        Data::Foreign(path, _) => format!("a value of `{path}`"),
        Data::Live(live) => format!("a value of `{}`", live.value().reflect_type_path()),
    }
}

fn misfit(path: &str, message: String) -> Misfit {
    Misfit {
        path: path.to_owned(),
        message,
    }
}

fn no_rule(path: &str, data: &Data, type_path: &str) -> Misfit {
    let message = format!(
        "{} does not fit `{type_path}`; write a migration, or revert the edit",
        describe(data)
    );
    misfit(path, message)
}

impl<'s> Run<'_, 's> {
    fn fit(&mut self, path: &str, data: &Data, type_path: &str, shape: &'s Shape) -> Fit {
        let Shape::Recursive(levels) = shape else {
            self.above.push(shape);
            let fitted = self.fit_shape(path, data, type_path, shape);
            self.above.pop();
            return fitted;
        };
        // The level is there: the schema was made by walking down through it. What stands
        // below it counts its levels from there.
        let index = self.above.len().checked_sub(levels + 1);
        let Some((index, &shape)) = index.and_then(|at| Some((at, self.above.get(at)?))) else {
            return Err(no_rule(path, data, type_path));
        };
        let below = self.above.split_off(index + 1);
        let fitted = self.fit_shape(path, data, type_path, shape);
        self.above.extend(below);
        fitted
    }

    fn fit_shape(&mut self, path: &str, data: &Data, type_path: &str, shape: &'s Shape) -> Fit {
        let is_option = type_path.starts_with("core::option::Option<");
        match (shape, data) {
            (Shape::Enum(variants), Data::Variant(name, fields)) => {
                match find_variant(variants, name) {
                    Some(variant) => self.variant(path, type_path, fields, variant),
                    None if is_option => self.some(path, data, variants),
                    None if name == "Some" && fields.len() == 1 => {
                        self.fit_shape(path, &fields[0].1, type_path, shape)
                    }
                    None => Err(misfit(
                        path,
                        format!(
                            "`{type_path}` has no variant `{name}` any more; say which one it \
                             became with `#[reflect(@RenamedFrom(\"{name}\"))]`, write a \
                             migration, or revert the edit"
                        ),
                    )),
                }
            }
            (Shape::Enum(variants), data) if is_option => self.some(path, data, variants),
            // The other way round the value is there, or it is not.
            (_, Data::Variant(name, fields)) if name == "Some" && fields.len() == 1 => {
                self.fit_shape(path, &fields[0].1, type_path, shape)
            }
            (
                Shape::Struct {
                    kind,
                    fields,
                    has_default,
                    ..
                },
                Data::Struct(parts),
            ) => self.fields(path, type_path, parts, *kind, fields, has_default.0),
            (Shape::List(item), Data::List(items)) => {
                let mut list = DynamicList::default();
                for (index, data) in items.iter().enumerate() {
                    list.push_box(self.item(path, index, data, item)?);
                }
                Ok(Box::new(list))
            }
            (Shape::Set(item), Data::List(items)) => {
                let mut set = DynamicSet::default();
                for (index, data) in items.iter().enumerate() {
                    let made = self.item(path, index, data, item)?;
                    set.insert_boxed(self.hashable(path, made, &item.path)?);
                }
                Ok(Box::new(set))
            }
            (Shape::Array(item, length), Data::List(items)) => {
                if items.len() != *length {
                    let message = format!(
                        "{} elements do not fit an array of {length}; write a migration, or \
                         revert the edit",
                        items.len()
                    );
                    return Err(misfit(path, message));
                }
                let mut made = Vec::with_capacity(*length);
                for (index, data) in items.iter().enumerate() {
                    made.push(self.item(path, index, data, item)?);
                }
                Ok(Box::new(DynamicArray::new(made.into_boxed_slice())))
            }
            (Shape::Map(key, value), Data::Map(pairs)) => {
                let mut map = DynamicMap::default();
                for (index, (k, v)) in pairs.iter().enumerate() {
                    let place = format!("{path}[{index}]");
                    let k = self.fit(&join(&place, "key"), k, &key.path, &key.shape)?;
                    let v = self.fit(&join(&place, "value"), v, &value.path, &value.shape)?;
                    let before = map.insert_boxed(self.hashable(path, k, &key.path)?, v);
                    if before.is_some() {
                        let message = format!(
                            "two keys would be the same `{}`, and one value lost; write a \
                             migration, or revert the edit",
                            key.path
                        );
                        return Err(misfit(path, message));
                    }
                }
                Ok(Box::new(map))
            }
            (Shape::Opaque, data) => self.opaque(path, data, type_path),
            (_, data) => Err(no_rule(path, data, type_path)),
        }
    }

    fn item(&mut self, path: &str, index: usize, data: &Data, item: &'s FieldSchema) -> Fit {
        self.fit(&format!("{path}[{index}]"), data, &item.path, &item.shape)
    }

    /// A key or an element of a set: reflection must be able to hash it.
    fn hashable(&self, path: &str, made: Box<dyn PartialReflect>, type_path: &str) -> Fit {
        if made.reflect_hash().is_some() {
            return Ok(made);
        }
        let registration = self.fitter.registry.get_with_type_path(type_path);
        let real = registration
            .and_then(|found| found.data::<ReflectFromReflect>())
            .and_then(|with| with.from_reflect(&*made))
            .filter(|real| real.reflect_hash().is_some());
        real.map(PartialReflect::into_partial_reflect)
            .ok_or_else(|| {
                let message = format!(
                    "reflection cannot hash `{type_path}`; derive `Hash` and add `#[reflect(Hash)]`"
                );
                misfit(path, message)
            })
    }

    /// Wraps a value into the `Some` of an `Option`.
    fn some(&mut self, path: &str, data: &Data, variants: &'s [VariantSchema]) -> Fit {
        let inner = find_variant(variants, "Some").and_then(|some| some.fields.first());
        let Some(inner) = inner else {
            return Err(no_rule(path, data, "core::option::Option"));
        };
        let mut fields = DynamicTuple::default();
        fields.insert_boxed(self.fit(path, data, &inner.path, &inner.shape)?);
        Ok(Box::new(DynamicEnum::new(
            "Some",
            DynamicVariant::Tuple(fields),
        )))
    }

    fn variant(
        &mut self,
        path: &str,
        type_path: &str,
        parts: &[(String, Data)],
        variant: &'s VariantSchema,
    ) -> Fit {
        let found = self.gather(path, parts, &variant.fields)?;
        let added = |name: &str| {
            let message = format!(
                "it was added to variant `{}`, whose values have none; write a migration, or \
                 revert the edit",
                variant.name
            );
            misfit(&join(path, name), message)
        };
        let missing = found.iter().find(|(_, value)| value.is_none());
        let missing = missing.map(|(field, _)| added(&field.name));
        let made = match variant.kind {
            _ if variant.fields.is_empty() => DynamicVariant::Unit,
            StructKind::Named => {
                let mut fields = DynamicStruct::default();
                for (field, value) in found {
                    if let Some(value) = value {
                        fields.insert_boxed(field.name.clone(), value);
                    }
                }
                DynamicVariant::Struct(fields)
            }
            StructKind::Tuple | StructKind::TupleStruct => {
                let mut fields = DynamicTuple::default();
                for (field, value) in found {
                    fields.insert_boxed(value.ok_or_else(|| added(&field.name))?);
                }
                DynamicVariant::Tuple(fields)
            }
        };
        let made = Box::new(DynamicEnum::new(variant.name.clone(), made));
        match missing {
            Some(misfit) if !self.can_be_made(&*made, type_path) => Err(misfit),
            _ => Ok(made),
        }
    }

    /// Whether the type makes a value of this, although fields are missing: those may have
    /// defaults of their own (`#[reflect(default)]`). The types around it would take their
    /// own defaults instead, and what is there would be lost without a word.
    fn can_be_made(&self, made: &dyn PartialReflect, type_path: &str) -> bool {
        let registration = self.fitter.registry.get_with_type_path(type_path);
        registration
            .and_then(|found| found.data::<ReflectFromReflect>())
            .is_some_and(|with| with.from_reflect(made).is_some())
    }

    fn fields(
        &mut self,
        path: &str,
        type_path: &str,
        parts: &[(String, Data)],
        kind: StructKind,
        fields: &'s [FieldSchema],
        has_default: bool,
    ) -> Fit {
        let found = self.gather(path, parts, fields)?;
        if !has_default && let Some((field, _)) = found.iter().find(|(_, value)| value.is_none()) {
            let message = format!(
                "it was added, and `{type_path}` has no default value for it; derive `Default` \
                 and add `#[reflect(Default)]`"
            );
            return Err(misfit(&join(path, &field.name), message));
        }
        Ok(match kind {
            StructKind::Named => {
                let mut made = DynamicStruct::default();
                for (field, value) in found {
                    if let Some(value) = value {
                        made.insert_boxed(field.name.clone(), value);
                    }
                }
                Box::new(made)
            }
            StructKind::TupleStruct => {
                let mut made = DynamicTupleStruct::default();
                for value in dense(path, found)? {
                    made.insert_boxed(value);
                }
                Box::new(made)
            }
            StructKind::Tuple => {
                let mut made = DynamicTuple::default();
                for value in dense(path, found)? {
                    made.insert_boxed(value);
                }
                Box::new(made)
            }
        })
    }

    /// Finds the data of each field: under its name, a name it had, or in limbo. What
    /// nobody asked for was removed.
    #[expect(
        clippy::type_complexity,
        reason = "a list of fields with what was found"
    )]
    fn gather(
        &mut self,
        path: &str,
        parts: &[(String, Data)],
        fields: &'s [FieldSchema],
    ) -> Result<Vec<(&'s FieldSchema, Option<Box<dyn PartialReflect>>)>, Misfit> {
        let mut taken = HashSet::new();
        let mut found = Vec::with_capacity(fields.len());
        for field in fields {
            let is_field = |name: &str| fields.iter().any(|other| other.name == name);
            let before = field.renamed_from.0.iter().filter(|name| !is_field(name));
            let mut names = std::iter::once(&field.name).chain(before);
            let part = names.find_map(|name| parts.iter().find(|(part, _)| part == name));
            let place = join(path, &field.name);
            let value = match part {
                Some((name, data)) => {
                    taken.insert(name.as_str());
                    Some(self.fit(&place, data, &field.path, &field.shape)?)
                }
                None => match (self.fitter.limbo)(&place) {
                    // What was removed under another type is no reason to refuse.
                    Some(data) => {
                        let before = self.removed.len();
                        let fitted = self.fit(&place, &data, &field.path, &field.shape).ok();
                        self.removed.truncate(before);
                        if fitted.is_some() {
                            self.restored.push(place);
                        }
                        fitted
                    }
                    None => None,
                },
            };
            found.push((field, value));
        }
        for (name, data) in parts {
            if !taken.contains(name.as_str()) {
                self.removed.push((join(path, name), data.clone()));
            }
        }
        Ok(found)
    }

    fn opaque(&self, path: &str, data: &Data, type_path: &str) -> Fit {
        if let Some(made) = scalar(data, type_path) {
            return made.ok_or_else(|| {
                let message = format!(
                    "{} does not fit `{type_path}` without loss; write a migration, or revert \
                     the edit",
                    describe(data)
                );
                misfit(path, message)
            });
        }
        match data {
            Data::Live(live)
                if self.is_of(live.value(), type_path)
                    && live.source != source_of(self.unseen, type_path) =>
            {
                let message = format!(
                    "`{type_path}` is opaque to reflection, and its source changed; add \
                     `#[reflect(Serialize, Deserialize)]` to it, write a migration, or revert \
                     the edit"
                );
                Err(misfit(path, message))
            }
            Data::Live(live) if self.is_of(live.value(), type_path) => {
                let clone = live.value().reflect_clone();
                clone
                    .map(PartialReflect::into_partial_reflect)
                    .map_err(|error| misfit(path, error.to_string()))
            }
            Data::Foreign(from, text) if from == type_path => {
                let registration = self.fitter.registry.get_with_type_path(type_path);
                let with = registration.and_then(|found| found.data::<ReflectDeserialize>());
                let Some(with) = with else {
                    return Err(no_rule(path, data, type_path));
                };
                let mut deserializer = ron::Deserializer::from_str(text)
                    .map_err(|error| misfit(path, error.to_string()))?;
                with.deserialize(&mut deserializer)
                    .map(PartialReflect::into_partial_reflect)
                    .map_err(|error| misfit(path, error.to_string()))
            }
            data => Err(no_rule(path, data, type_path)),
        }
    }
}

impl Run<'_, '_> {
    /// Whether a value is of the very type that the version has under a path.
    fn is_of(&self, value: &dyn PartialReflect, type_path: &str) -> bool {
        let registration = self.fitter.registry.get_with_type_path(type_path);
        let known = registration.map(TypeRegistration::type_id);
        let found = value.get_represented_type_info().map(TypeInfo::type_id);
        value.reflect_type_path() == type_path && (known.is_none() || known == found)
    }
}

/// All fields there are of a tuple: only the last ones may be missing.
fn dense(
    path: &str,
    found: Vec<(&FieldSchema, Option<Box<dyn PartialReflect>>)>,
) -> Result<Vec<Box<dyn PartialReflect>>, Misfit> {
    let mut values = Vec::with_capacity(found.len());
    let mut missing = None;
    for (field, value) in found {
        match (value, missing) {
            (Some(value), None) => values.push(value),
            (None, None) => missing = Some(&field.name),
            (None, Some(_)) => {}
            (Some(_), Some(name)) => {
                let message = "it was added before fields that were there; add it at the end, \
                               write a migration, or revert the edit";
                return Err(misfit(&join(path, name), message.to_owned()));
            }
        }
    }
    Ok(values)
}

fn find_variant<'v>(variants: &'v [VariantSchema], name: &str) -> Option<&'v VariantSchema> {
    let before = |variant: &&VariantSchema| variant.renamed_from.0.iter().any(|old| old == name);
    variants
        .iter()
        .find(|variant| variant.name == name)
        .or_else(|| variants.iter().find(before))
}

type Made = Option<Box<dyn PartialReflect>>;

fn boxed<T: PartialReflect>(value: Option<T>) -> Made {
    value.map(|value| Box::new(value) as Box<dyn PartialReflect>)
}

/// Numbers, text and entities. `None` if `type_path` is none of them; `Some(None)` if the
/// data does not fit it.
fn scalar(data: &Data, type_path: &str) -> Option<Made> {
    macro_rules! whole {
        ($type:ty) => {
            boxed(whole(data).and_then(|value| match value {
                Whole::Int(value) => <$type>::try_from(value).ok(),
                Whole::Uint(value) => <$type>::try_from(value).ok(),
            }))
        };
    }
    Some(match type_path {
        "bool" => boxed(match data {
            Data::Bool(value) => Some(*value),
            _ => None,
        }),
        "char" => boxed(match data {
            Data::Char(value) => Some(*value),
            _ => None,
        }),
        "u8" => whole!(u8),
        "i8" => whole!(i8),
        "u16" => whole!(u16),
        "i16" => whole!(i16),
        "u32" => whole!(u32),
        "i32" => whole!(i32),
        "u64" => whole!(u64),
        "i64" => whole!(i64),
        "u128" => whole!(u128),
        "i128" => whole!(i128),
        "usize" => whole!(usize),
        "isize" => whole!(isize),
        "f32" => boxed(single(data)),
        "f64" => boxed(double(data)),
        "alloc::string::String" => boxed(text(data)),
        "alloc::borrow::Cow<str>" => boxed(text(data).map(Cow::<'static, str>::Owned)),
        // The text it was borrowed from may be gone with its version.
        "&str" => boxed(text(data).map(|text| &*String::leak(text))),
        "bevy_ecs::entity::Entity" => boxed(match data {
            Data::Entity(bits) => Entity::try_from_bits(*bits),
            _ => None,
        }),
        _ => return None,
    })
}

fn text(data: &Data) -> Option<String> {
    match data {
        Data::Text(text) => Some(text.clone()),
        Data::Char(character) => Some(character.to_string()),
        _ => None,
    }
}

enum Whole {
    Int(i128),
    Uint(u128),
}

/// Above this, not every whole number is a `f64`.
const EXACT_F64: f64 = 9_007_199_254_740_992.0;

fn whole(data: &Data) -> Option<Whole> {
    let exact = |value: f64, limit: f64| {
        (value.fract() == 0.0 && value.abs() <= limit).then_some(Whole::Int(value as i128))
    };
    match data {
        Data::Int(value) => Some(Whole::Int(*value)),
        Data::Uint(value) => Some(Whole::Uint(*value)),
        Data::F32(value) => exact((*value).into(), EXACT_F64),
        Data::F64(value) => exact(*value, EXACT_F64),
        _ => None,
    }
}

fn single(data: &Data) -> Option<f32> {
    match data {
        Data::F32(value) => Some(*value),
        Data::F64(value) => {
            let near = *value as f32;
            // Bits: no rounding is allowed.
            (f64::from(near).to_bits() == value.to_bits() || value.is_nan()).then_some(near)
        }
        Data::Int(value) => {
            let near = *value as f32;
            (near as i128 == *value && near.abs() < i128::MAX as f32).then_some(near)
        }
        _ => None,
    }
}

fn double(data: &Data) -> Option<f64> {
    match data {
        Data::F32(value) => Some((*value).into()),
        Data::F64(value) => Some(*value),
        Data::Int(value) => {
            let near = *value as f64;
            (near as i128 == *value && near.abs() < i128::MAX as f64).then_some(near)
        }
        _ => None,
    }
}
