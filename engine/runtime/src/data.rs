//! Values without their types: what stays of a value when the type it was made with is
//! gone, or when it goes to a file.
//!
//! A [`Data`] tree is taken from a value through reflection and later fitted to the
//! schema of another type, by name and all the way down: the one way in which values are
//! carried from one schema to another, be it at a swap, out of limbo, out of a
//! checkpoint or out of a scene.

mod fit;

use std::fmt;
use std::sync::Arc;

use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_reflect::serde::Serializable;
use engine_api::bevy_reflect::{
    PartialReflect, ReflectRef, ReflectSerialize, TypeRegistry, enums::VariantType,
};
use engine_api::schema::{Unseen, source_of};
use serde::{Deserialize, Serialize};

pub use fit::{Fitted, Fitter, Misfit};

/// A value without its type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Data {
    /// Yes or no.
    Bool(bool),
    /// A character.
    Char(char),
    /// A whole number of any width.
    Int(i128),
    /// A whole number over `i128::MAX`.
    Uint(u128),
    /// A number in single precision.
    F32(f32),
    /// A number in double precision.
    F64(f64),
    /// Text.
    Text(String),
    /// An entity, as it is called in the world it came from.
    Entity(u64),
    /// Fields by name; those of tuples are `0`, `1`, ...
    Struct(Vec<(String, Data)>),
    /// A variant with its fields.
    Variant(String, Vec<(String, Data)>),
    /// Elements in order: lists, arrays, sets.
    List(Vec<Data>),
    /// Keys and values.
    Map(Vec<(Data, Data)>),
    /// A value of a type that reflection cannot look into and that can be serialised:
    /// its path and the value in RON.
    Foreign(String, String),
    /// A value that can only be cloned. Not written to files.
    #[serde(skip)]
    Live(Live),
}

/// A value of a type without parts, cloned by its own code and shared from then on.
#[derive(Debug, Clone)]
pub struct Live {
    value: Arc<dyn PartialReflect>,
    /// What the source says about its type ([`Schema::source_of`]).
    source: Option<u64>,
}

impl PartialEq for Live {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.value.reflect_partial_eq(&*other.value) == Some(true)
    }
}

impl Live {
    /// The value.
    pub fn value(&self) -> &dyn PartialReflect {
        &*self.value
    }
}

/// A part of a value that cannot be taken out of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{type_path}`{} can neither be cloned nor serialised through reflection; add \
     `#[reflect(Clone)]` or `#[reflect(Serialize, Deserialize)]` to it", place(.path)
)]
pub struct Unreadable {
    /// Path of the part within the value; empty for the value itself.
    pub path: String,
    /// Path of its type.
    pub type_path: String,
}

fn place(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(" (at `{path}`)")
    }
}

pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

impl Data {
    /// Takes a value apart. Costs an allocation per part.
    ///
    /// # Errors
    /// Which part cannot be taken.
    pub fn of(value: &dyn PartialReflect, registry: &TypeRegistry) -> Result<Self, Unreadable> {
        Self::with_sources(value, registry, &[])
    }

    /// As [`Data::of`], of a value whose type has parts that reflection does not see:
    /// those that can only be cloned remember what their source was.
    ///
    /// # Errors
    /// Which part cannot be taken.
    pub fn with_sources(
        value: &dyn PartialReflect,
        registry: &TypeRegistry,
        unseen: &[Unseen],
    ) -> Result<Self, Unreadable> {
        Taker { registry, unseen }.take(value, "")
    }

    /// The data at a path of field names: `stats.armor`, `items[3].count`.
    pub fn at(&self, path: &str) -> Option<&Self> {
        if path.is_empty() {
            return Some(self);
        }
        let (first, rest) = match path.find(['.', '[']) {
            Some(0) => {
                let end = path.find(']')?;
                let index: usize = path.get(1..end)?.parse().ok()?;
                let Self::List(items) = self else {
                    return None;
                };
                let rest = &path[end + 1..];
                return items.get(index)?.at(rest.strip_prefix('.').unwrap_or(rest));
            }
            Some(end) => (&path[..end], path[end..].trim_start_matches('.')),
            None => (path, ""),
        };
        let (Self::Struct(fields) | Self::Variant(_, fields)) = self else {
            return None;
        };
        fields.iter().find(|(name, _)| name == first)?.1.at(rest)
    }

    /// The path of a part that can only be cloned, and so cannot go to a file. Costs a look
    /// at each part.
    pub fn live_part(&self) -> Option<String> {
        let below = |name: fmt::Arguments<'_>, part: &Self| {
            let rest = part.live_part()?;
            let dot = if rest.is_empty() || rest.starts_with('[') {
                ""
            } else {
                "."
            };
            Some(format!("{name}{dot}{rest}"))
        };
        match self {
            Self::Live(_) => Some(String::new()),
            Self::Struct(fields) | Self::Variant(_, fields) => {
                let mut fields = fields.iter();
                fields.find_map(|(name, part)| below(format_args!("{name}"), part))
            }
            Self::List(items) => {
                let mut items = items.iter().enumerate();
                items.find_map(|(index, part)| below(format_args!("[{index}]"), part))
            }
            Self::Map(pairs) => pairs.iter().find_map(|(key, value)| {
                let of_key = below(format_args!("key"), key);
                of_key.or_else(|| below(format_args!("value"), value))
            }),
            _ => None,
        }
    }

    /// Size of the tree in memory, about, in bytes.
    pub fn bytes(&self) -> usize {
        let fields = |fields: &[(String, Self)]| -> usize {
            fields
                .iter()
                .map(|(name, data)| name.len() + data.bytes())
                .sum()
        };
        size_of::<Self>()
            + match self {
                Self::Text(text) => text.len(),
                Self::Foreign(path, text) => path.len() + text.len(),
                Self::Struct(parts) => fields(parts),
                Self::Variant(name, parts) => name.len() + fields(parts),
                Self::List(items) => items.iter().map(Self::bytes).sum(),
                Self::Map(pairs) => pairs.iter().map(|(k, v)| k.bytes() + v.bytes()).sum(),
                Self::Live(live) => size_of_val(live.value()),
                _ => 0,
            }
    }

    /// Calls `visit` for every entity in the tree.
    pub fn entities(&self, visit: &mut impl FnMut(Entity)) {
        match self {
            Self::Entity(bits) => {
                if let Some(entity) = Entity::try_from_bits(*bits) {
                    visit(entity);
                }
            }
            Self::Struct(fields) | Self::Variant(_, fields) => {
                for (_, data) in fields {
                    data.entities(visit);
                }
            }
            Self::List(items) => items.iter().for_each(|data| data.entities(visit)),
            Self::Map(pairs) => pairs.iter().for_each(|(key, value)| {
                key.entities(visit);
                value.entities(visit);
            }),
            _ => {}
        }
    }
}

struct Taker<'a> {
    registry: &'a TypeRegistry,
    unseen: &'a [Unseen],
}

impl Taker<'_> {
    fn take(&self, value: &dyn PartialReflect, path: &str) -> Result<Data, Unreadable> {
        let field = |name: &str, value: &dyn PartialReflect| {
            Ok((name.to_owned(), self.take(value, &join(path, name))?))
        };
        let items = |items: &mut dyn Iterator<Item = &dyn PartialReflect>| {
            items
                .enumerate()
                .map(|(index, item)| self.take(item, &format!("{path}[{index}]")))
                .collect::<Result<Vec<_>, _>>()
                .map(Data::List)
        };
        match value.reflect_ref() {
            ReflectRef::Struct(value) => (0..value.field_len())
                .filter_map(|index| Some((value.name_at(index)?, value.field_at(index)?)))
                .map(|(name, part)| field(name, part))
                .collect::<Result<_, _>>()
                .map(Data::Struct),
            ReflectRef::TupleStruct(value) => value
                .iter_fields()
                .enumerate()
                .map(|(index, part)| field(&index.to_string(), part))
                .collect::<Result<_, _>>()
                .map(Data::Struct),
            ReflectRef::Tuple(value) => value
                .iter_fields()
                .enumerate()
                .map(|(index, part)| field(&index.to_string(), part))
                .collect::<Result<_, _>>()
                .map(Data::Struct),
            ReflectRef::List(value) => items(&mut value.iter()),
            ReflectRef::Array(value) => items(&mut value.iter()),
            ReflectRef::Set(value) => items(&mut value.iter()),
            ReflectRef::Map(value) => value
                .iter()
                .map(|(key, item)| {
                    let key = self.take(key, &join(path, "key"))?;
                    Ok((key, self.take(item, &join(path, "value"))?))
                })
                .collect::<Result<_, _>>()
                .map(Data::Map),
            ReflectRef::Enum(value) => {
                let named = value.variant_type() == VariantType::Struct;
                value
                    .iter_fields()
                    .enumerate()
                    .map(|(index, part)| match part.name().filter(|_| named) {
                        Some(name) => field(name, part.value()),
                        None => field(&index.to_string(), part.value()),
                    })
                    .collect::<Result<_, _>>()
                    .map(|fields| Data::Variant(value.variant_name().to_owned(), fields))
            }
            ReflectRef::Opaque(value) => self.opaque(value, path),
        }
    }

    fn opaque(&self, value: &dyn PartialReflect, path: &str) -> Result<Data, Unreadable> {
        if let Some(scalar) = scalar(value) {
            return Ok(scalar);
        }
        let type_path = value.reflect_type_path();
        let serialized = value.try_as_reflect().and_then(|value| {
            let id = value.reflect_type_info().type_id();
            let with = self.registry.get_type_data::<ReflectSerialize>(id)?;
            match with.get_serializable(value) {
                Serializable::Owned(value) => ron::to_string(&value).ok(),
                Serializable::Borrowed(value) => ron::to_string(value).ok(),
            }
        });
        if let Some(text) = serialized {
            return Ok(Data::Foreign(type_path.to_owned(), text));
        }
        match value.reflect_clone() {
            Ok(clone) => Ok(Data::Live(Live {
                value: clone.into_partial_reflect().into(),
                source: source_of(self.unseen, type_path),
            })),
            Err(_) => Err(Unreadable {
                path: path.to_owned(),
                type_path: type_path.to_owned(),
            }),
        }
    }
}

/// A number, text or entity.
fn scalar(value: &dyn PartialReflect) -> Option<Data> {
    macro_rules! try_each {
        ($($type:ty => $make:expr),* $(,)?) => {
            $(if let Some(value) = value.try_downcast_ref::<$type>() {
                let make: fn(&$type) -> Data = $make;
                return Some(make(value));
            })*
        };
    }
    try_each! {
        f32 => |v| Data::F32(*v),
        u32 => |v| Data::Int((*v).into()),
        i32 => |v| Data::Int((*v).into()),
        u64 => |v| Data::Int((*v).into()),
        bool => |v| Data::Bool(*v),
        String => |v| Data::Text(v.clone()),
        Entity => |v| Data::Entity(v.to_bits()),
        f64 => |v| Data::F64(*v),
        u8 => |v| Data::Int((*v).into()),
        i8 => |v| Data::Int((*v).into()),
        u16 => |v| Data::Int((*v).into()),
        i16 => |v| Data::Int((*v).into()),
        i64 => |v| Data::Int((*v).into()),
        usize => |v| Data::Int(*v as i128),
        isize => |v| Data::Int(*v as i128),
        i128 => |v| Data::Int(*v),
        u128 => |v| i128::try_from(*v).map_or(Data::Uint(*v), Data::Int),
        char => |v| Data::Char(*v),
        std::borrow::Cow<'static, str> => |v| Data::Text(v.clone().into_owned()),
        &'static str => |v| Data::Text((*v).to_owned()),
    }
    None
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
