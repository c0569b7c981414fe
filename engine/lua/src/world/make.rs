//! Values of the game, made of values of Lua as the schema of a type says.

use engine_api::bevy_ecs::world::World;
use engine_api::bevy_reflect::array::DynamicArray;
use engine_api::bevy_reflect::enums::{DynamicEnum, DynamicVariant};
use engine_api::bevy_reflect::list::DynamicList;
use engine_api::bevy_reflect::map::{DynamicMap, Map};
use engine_api::bevy_reflect::set::{DynamicSet, Set};
use engine_api::bevy_reflect::structs::DynamicStruct;
use engine_api::bevy_reflect::tuple::DynamicTuple;
use engine_api::bevy_reflect::tuple_struct::DynamicTupleStruct;
use engine_api::bevy_reflect::{
    PartialReflect, Reflect, ReflectDeserialize, ReflectFromReflect, TypeRegistry,
};
use engine_api::schema::{FieldSchema, Shape, StructKind, VariantSchema};
use mlua::{Lua, Table, Value};

use super::part::{Part, describe, no_field};
use super::problem::Problem;
use super::proxy::Proxy;
use super::scalar;
use super::types::{Known, Types};

/// What values are made with.
#[derive(Clone, Copy)]
pub(super) struct Maker<'a> {
    pub(super) lua: &'a Lua,
    pub(super) world: &'a World,
    pub(super) types: &'a Types,
    pub(super) registry: &'a TypeRegistry,
}

type Made = Result<Box<dyn PartialReflect>, Problem>;

/// Fields on their way: name, value.
type Fields = Vec<(String, Box<dyn PartialReflect>)>;

impl<'a> Maker<'a> {
    pub(super) fn new(lua: &'a Lua, world: &'a World, types: &'a Types, known: &'a Known) -> Self {
        Self {
            lua,
            world,
            types,
            registry: known.registry(),
        }
    }

    /// A whole value; `true` is one of nothing but default values.
    pub(super) fn make_whole(&self, value: &Value, part: &Part<'_>) -> Made {
        if let (Value::Boolean(true), Shape::Struct { .. }) = (value, part.shape) {
            let none = self.lua.create_table();
            let none = none.map_err(|error| Problem::new(error.to_string()))?;
            return self.make(&Value::Table(none), part);
        }
        self.make(value, part)
    }

    /// A value for a part. Costs an allocation for each part of it.
    pub(super) fn make(&self, value: &Value, part: &Part<'_>) -> Made {
        if let Some(inside) = part.option() {
            return self.option(value, part, &inside);
        }
        if let Value::UserData(data) = value
            && let Ok(proxy) = data.borrow::<Proxy>()
        {
            return self.copy(&proxy, part);
        }
        match part.shape {
            Shape::Opaque => self.opaque(value, part),
            Shape::Struct {
                kind,
                fields,
                has_default,
                ..
            } => {
                let of = part.name();
                let made = self.fields(value, part, &of, *kind, fields, has_default.0)?;
                let made: Box<dyn PartialReflect> = match kind {
                    StructKind::Named => Box::new(named(made)),
                    StructKind::TupleStruct => {
                        let mut tuple = DynamicTupleStruct::default();
                        for (_, value) in made {
                            tuple.insert_boxed(value);
                        }
                        Box::new(tuple)
                    }
                    StructKind::Tuple => Box::new(unnamed(made)),
                };
                self.concrete(made, part)
            }
            Shape::Enum(_) => self.variant(value, part),
            Shape::List(item) | Shape::Set(item) | Shape::Array(item, _) => {
                let items = self.items(value, part, item)?;
                self.sequence(items, part)
            }
            Shape::Map(keys, values) => self.map(value, part, keys, values),
            Shape::Recursive(_) => Err(expected("a value", value)),
        }
    }

    /// The type itself instead of a description of its value.
    fn concrete(&self, made: Box<dyn PartialReflect>, part: &Part<'_>) -> Made {
        let found = self.registry.get_with_type_path(part.path);
        let Some(maker) = found.and_then(|found| found.data::<ReflectFromReflect>()) else {
            return Ok(made);
        };
        let made = maker.from_reflect(&*made);
        made.map(<dyn Reflect>::into_partial_reflect).ok_or_else(|| {
            Problem::new(format!(
                "`{}` cannot be made of these parts; has it a `Default` and `#[reflect(Default)]`?",
                part.name()
            ))
        })
    }

    fn copy(&self, proxy: &Proxy, part: &Part<'_>) -> Made {
        let (value, of) = proxy.look(self.lua, self.world, self.types)?;
        if of.path != part.path {
            let (expected, found) = (part.name(), of.name());
            let message = format!("`{expected}` was expected, not `{found}`");
            return Err(Problem::new(message));
        }
        if let Ok(copy) = value.reflect_clone() {
            return Ok(copy.into_partial_reflect());
        }
        let copy = value.to_dynamic();
        self.concrete(copy.map_err(|error| Problem::new(error.to_string()))?, part)
    }

    fn option(&self, value: &Value, part: &Part<'_>, inside: &Part<'_>) -> Made {
        let made = if value.is_nil() {
            DynamicEnum::new("None", DynamicVariant::Unit)
        } else {
            let mut tuple = DynamicTuple::default();
            tuple.insert_boxed(self.make(value, inside)?);
            DynamicEnum::new("Some", DynamicVariant::Tuple(tuple))
        };
        self.concrete(Box::new(made), part)
    }

    fn opaque(&self, value: &Value, part: &Part<'_>) -> Made {
        if let Some(made) = scalar::make(part.path, value) {
            return made;
        }
        let found = self.registry.get_with_type_path(part.path);
        let Some(with) = found.and_then(|found| found.data::<ReflectDeserialize>()) else {
            return Err(Problem::new(format!(
                "scripts cannot make a `{}`: reflection sees no parts of it; derive `Reflect` for \
                 it, or add `#[reflect(Serialize, Deserialize)]`",
                part.path
            )));
        };
        let made = with.deserialize(mlua::serde::Deserializer::new(value.clone()));
        made.map(<dyn Reflect>::into_partial_reflect)
            .map_err(|error| Problem::new(format!("no `{}`: {error}", part.name())))
    }

    /// The fields of a struct or a variant, in order.
    fn fields(
        &self,
        value: &Value,
        part: &Part<'_>,
        of: &str,
        kind: StructKind,
        fields: &[FieldSchema],
        may_lack: bool,
    ) -> Result<Fields, Problem> {
        let table = match value {
            Value::Table(table) => table,
            // A wrapper may be written as what it wraps.
            value if kind != StructKind::Named && fields.len() == 1 => {
                let field = part.field(&fields[0]);
                let made = self.make(value, &field).map_err(|e| e.within("[1]"))?;
                return Ok(vec![(fields[0].name.clone(), made)]);
            }
            Value::Nil | Value::Boolean(true) if fields.is_empty() => return Ok(Vec::new()),
            other => return Err(expected(&format!("a table for `{of}`"), other)),
        };
        let is_enum = matches!(part.shape, Shape::Enum(_));
        refuse_unknown(table, fields, of, kind, is_enum)?;
        let mut made: Fields = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            let name = match kind {
                StructKind::Named => field.name.clone(),
                _ => format!("[{}]", index + 1),
            };
            let value = match kind {
                StructKind::Named => table.raw_get::<Value>(field.name.as_str()),
                _ => table.raw_get::<Value>(index + 1),
            };
            let value = value.map_err(|error| Problem::new(error.to_string()))?;
            let field_part = part.field(field);
            let is_option = field_part.option().is_some();
            // What has no names can only lack the last ones.
            let follows = kind == StructKind::Named || made.len() == index;
            if follows && !value.is_nil() || is_option && !may_lack {
                let value = self.make(&value, &field_part);
                made.push((field.name.clone(), value.map_err(|e| e.within(name))?));
            } else if !(may_lack && value.is_nil()) {
                return Err(Problem::new(format!(
                    "field `{name}` of `{of}` is missing, and there is no default for it"
                )));
            }
        }
        Ok(made)
    }

    fn variant(&self, value: &Value, part: &Part<'_>) -> Made {
        let name = match value {
            Value::String(name) => Some(name.to_string_lossy()),
            Value::Table(table) => match table.raw_get::<Value>("variant") {
                Ok(Value::String(name)) => Some(name.to_string_lossy()),
                _ => None,
            },
            _ => None,
        };
        let Some(name) = name else {
            let what = format!(
                "a variant of `{}` (its name, or a table with the name as `variant`)",
                part.name()
            );
            return Err(expected(&what, value));
        };
        let VariantSchema { kind, fields, .. } = part.variant(&name)?;
        let empty = Value::Boolean(true);
        let value = match value {
            Value::String(_) if fields.is_empty() => &empty,
            Value::String(_) => {
                return Err(Problem::new(format!(
                    "variant `{name}` of `{}` has fields; say {{ variant = \"{name}\", .. }}",
                    part.name()
                )));
            }
            value => value,
        };
        let of = format!("{}::{name}", part.name());
        let made = self.fields(value, part, &of, *kind, fields, false)?;
        let made = match (fields.is_empty(), kind) {
            (true, _) => DynamicVariant::Unit,
            (_, StructKind::Named) => DynamicVariant::Struct(named(made)),
            _ => DynamicVariant::Tuple(unnamed(made)),
        };
        self.concrete(Box::new(DynamicEnum::new(name, made)), part)
    }

    fn items(
        &self,
        value: &Value,
        part: &Part<'_>,
        item: &FieldSchema,
    ) -> Result<Vec<Box<dyn PartialReflect>>, Problem> {
        let Value::Table(table) = value else {
            return Err(expected(&format!("a list for `{}`", part.name()), value));
        };
        let item = part.field(item);
        let mut items = Vec::new();
        for (index, value) in table.sequence_values::<Value>().enumerate() {
            let value = value.map_err(|error| Problem::new(error.to_string()))?;
            let place = format!("[{}]", index + 1);
            items.push(self.make(&value, &item).map_err(|e| e.within(place))?);
        }
        let count = table.pairs::<Value, Value>().count();
        if count != items.len() {
            let message = format!(
                "a list for `{}` has elements 1 to n and nothing else; this one has {count} \
                 entries, of which {} follow each other",
                part.name(),
                items.len()
            );
            return Err(Problem::new(message));
        }
        Ok(items)
    }

    fn sequence(&self, items: Vec<Box<dyn PartialReflect>>, part: &Part<'_>) -> Made {
        let made: Box<dyn PartialReflect> = match part.shape {
            Shape::Array(_, length) if items.len() != *length => {
                let count = items.len();
                let message = format!("`{}` has {length} elements, not {count}", part.name());
                return Err(Problem::new(message));
            }
            Shape::Array(..) => Box::new(DynamicArray::from_iter(items)),
            Shape::Set(_) => {
                let mut set = DynamicSet::default();
                for item in items {
                    set.insert_boxed(hashable(item)?);
                }
                Box::new(set)
            }
            _ => Box::new(DynamicList::from_iter(items)),
        };
        self.concrete(made, part)
    }

    fn map(
        &self,
        value: &Value,
        part: &Part<'_>,
        keys: &FieldSchema,
        values: &FieldSchema,
    ) -> Made {
        let Value::Table(table) = value else {
            return Err(expected(&format!("a table for `{}`", part.name()), value));
        };
        let mut map = DynamicMap::default();
        for entry in table.pairs::<Value, Value>() {
            let (key, value) = entry.map_err(|error| Problem::new(error.to_string()))?;
            let place = || format!("[{}]", describe(&key));
            let made_key = self.make(&key, &part.field(keys));
            let made_key = made_key.and_then(hashable);
            let made = self.make(&value, &part.field(values));
            map.insert_boxed(
                made_key.map_err(|e| e.within(place()))?,
                made.map_err(|e| e.within(place()))?,
            );
        }
        self.concrete(Box::new(map), part)
    }
}

/// What can be a key: the others make reflection panic.
pub(super) fn hashable(key: Box<dyn PartialReflect>) -> Made {
    if key.reflect_hash().is_none() {
        let path = key.reflect_type_path();
        let message = format!("`{path}` cannot be a key; add `#[reflect(Hash)]` to it");
        return Err(Problem::new(message));
    }
    Ok(key)
}

/// Makes sure that a table has no other fields than these; one for an enum has `variant` too.
fn refuse_unknown(
    table: &Table,
    fields: &[FieldSchema],
    of: &str,
    kind: StructKind,
    is_enum: bool,
) -> Result<(), Problem> {
    for entry in table.pairs::<Value, Value>() {
        let (key, _) = entry.map_err(|error| Problem::new(error.to_string()))?;
        let is_known = match (kind, &key) {
            (_, Value::String(name)) if is_enum && *name == "variant" => true,
            (StructKind::Named, Value::String(name)) => {
                fields.iter().any(|field| *name == field.name.as_str())
            }
            (StructKind::TupleStruct | StructKind::Tuple, Value::Integer(index)) => {
                usize::try_from(*index).is_ok_and(|index| (1..=fields.len()).contains(&index))
            }
            _ => false,
        };
        if !is_known {
            return Err(no_field(of, kind, fields, &key));
        }
    }
    Ok(())
}

fn named(fields: Fields) -> DynamicStruct {
    let mut made = DynamicStruct::default();
    for (name, value) in fields {
        made.insert_boxed(name, value);
    }
    made
}

fn unnamed(fields: Fields) -> DynamicTuple {
    let mut made = DynamicTuple::default();
    for (_, value) in fields {
        made.insert_boxed(value);
    }
    made
}

fn expected(what: &str, found: &Value) -> Problem {
    Problem::new(format!("{what} was expected, not {}", describe(found)))
}
