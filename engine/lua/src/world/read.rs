//! Values of the game as scripts see them.

use engine_api::bevy_reflect::serde::Serializable;
use engine_api::bevy_reflect::{PartialReflect, ReflectRef, ReflectSerialize};
use engine_api::schema::Shape;
use mlua::{Lua, LuaSerdeExt as _, Value};

use super::part::{Part, variant_of};
use super::problem::Problem;
use super::scalar;
use super::types::Known;

/// What is inside of `Option`s; `None` if there is nothing.
pub(super) fn inside<'a, 's>(
    mut value: &'a dyn PartialReflect,
    mut part: Part<'s>,
) -> Option<(&'a dyn PartialReflect, Part<'s>)> {
    while let Some(inner) = part.option() {
        let ReflectRef::Enum(option) = value.reflect_ref() else {
            break;
        };
        (value, part) = (option.field_at(0)?, inner);
    }
    Some((value, part))
}

/// A value that Lua has a value of its own for: a number, a text, an entity, a variant without
/// fields, nil for an `Option` without a value. `None` for what has parts.
pub(super) fn plain(
    lua: &Lua,
    known: &Known,
    value: &dyn PartialReflect,
    part: &Part<'_>,
) -> mlua::Result<Option<Value>> {
    let Some((value, part)) = inside(value, part.clone()) else {
        return Ok(Some(Value::Nil));
    };
    match part.shape {
        Shape::Opaque => opaque(lua, known, value, &part).map(Some),
        Shape::Enum(_) => {
            let variant = variant_of(value);
            let fields = part.fields(variant).map_err(Problem::raise)?;
            match (variant, fields) {
                (Some(variant), Some((_, []))) => {
                    lua.create_string(variant).map(Value::String).map(Some)
                }
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

fn opaque(
    lua: &Lua,
    known: &Known,
    value: &dyn PartialReflect,
    part: &Part<'_>,
) -> mlua::Result<Value> {
    if let Some(scalar) = scalar::to_lua(lua, part.path, value) {
        return scalar;
    }
    if let Some(text) = value.try_downcast_ref::<&'static str>() {
        return lua.create_string(text).map(Value::String);
    }
    let found = known.registry().get_with_type_path(part.path);
    let with = found.and_then(|found| found.data::<ReflectSerialize>());
    match value.try_as_reflect().zip(with) {
        Some((value, with)) => match with.get_serializable(value) {
            Serializable::Owned(value) => lua.to_value(&value),
            Serializable::Borrowed(value) => lua.to_value(value),
        },
        None => Err(mlua::Error::runtime(format!(
            "scripts cannot read a `{}`: reflection sees no parts of it; derive `Reflect` for it, \
             or add `#[reflect(Serialize, Deserialize)]`",
            part.path
        ))),
    }
}
