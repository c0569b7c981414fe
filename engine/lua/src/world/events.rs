//! Events and messages on their way to scripts.

use std::collections::BTreeSet;

use engine_api::bevy_ecs::world::World;
use engine_api::bevy_reflect::{PartialReflect, ReflectRef};
use engine_api::event::{HeardEvents, Plain};
use engine_api::state::StateKind;
use mlua::{Lua, Table, Value};

use super::entity;
use super::problem::{Problem, instead};
use super::types::{Known, Types};

/// What a script listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Events of the type with this path.
    Event(String),
    /// Messages of the type with this path.
    Message(String),
}

/// What the names stand for that scripts listen to, in their order.
///
/// # Errors
/// For each name that stands for nothing: what there is.
pub(crate) fn sources(
    lua: &Lua,
    world: &mut World,
    names: &[String],
) -> Vec<Result<Source, String>> {
    let types = Types::of(lua, world);
    let source = |name: &String| source(&types, name).map_err(|problem| problem.to_string());
    names.iter().map(source).collect()
}

fn source(types: &Types, name: &str) -> Result<Source, Problem> {
    let event = match types.find(StateKind::Event, name) {
        Ok(known) => known,
        Err(problem) => {
            return match types.find(StateKind::Message, name) {
                Ok(known) => Ok(Source::Message(known.path.to_string())),
                // It is said of messages if it is almost one, and of events otherwise.
                Err(of_message) => Err(if types.is_near(StateKind::Message, name) {
                    of_message
                } else {
                    problem
                }),
            };
        }
    };
    if event.kept.send.is_none() {
        return Err(without_reflection(event));
    }
    Ok(Source::Event(event.path.to_string()))
}

/// Why scripts cannot use an event.
pub(super) fn without_reflection(event: &Known) -> Problem {
    let name = &event.name;
    Problem::new(format!(
        "event `{name}` is registered without reflection; derive `Reflect` for it and register it \
         with `m.reflected_event::<{name}>()`"
    ))
}

/// Takes the events that were triggered since the last time, with the paths of their types.
/// From now on those of `wanted` are kept. The number is how many there was no place for.
pub(crate) fn take_events(
    world: &mut World,
    wanted: BTreeSet<String>,
) -> (Vec<(String, Plain)>, usize) {
    if wanted.is_empty() && !world.contains_resource::<HeardEvents>() {
        return (Vec::new(), 0);
    }
    let heard = world.get_resource_or_init::<HeardEvents>();
    heard.want(wanted);
    heard.take()
}

/// The messages that are still queued after the first `heard` ones of all that were ever sent,
/// and how many that were by now.
pub(crate) fn messages_since(
    lua: &Lua,
    world: &mut World,
    path: &str,
    heard: usize,
) -> (Vec<Plain>, usize) {
    let types = Types::of(lua, world);
    let read = || {
        let known = types.find(StateKind::Message, path).ok()?;
        let (queue, values) = known.values().ok()?;
        let queue = world.get_resource_by_id(queue)?;
        // SAFETY: the component has the type's identity and layout, see `Known::new`.
        let queue = unsafe { (values.reflect)(queue) };
        let written = number(field(queue, "message_count")?)?;
        // The game has put another queue into the place of that one.
        let heard = if heard > written { 0 } else { heard };
        let mut found = Vec::new();
        for name in ["messages_a", "messages_b"] {
            let sequence = field(queue, name)?;
            let first = number(field(sequence, "start_message_count")?)?;
            let ReflectRef::List(messages) = field(sequence, "messages")?.reflect_ref() else {
                return None;
            };
            for instance in messages.iter().skip(heard.saturating_sub(first)) {
                found.push(Plain::of(field(instance, "message")?));
            }
        }
        Some((found, written))
    };
    read().unwrap_or((Vec::new(), heard))
}

fn field<'a>(value: &'a dyn PartialReflect, name: &str) -> Option<&'a dyn PartialReflect> {
    match value.reflect_ref() {
        ReflectRef::Struct(value) => value.field(name),
        _ => None,
    }
}

fn number(value: &dyn PartialReflect) -> Option<usize> {
    value.try_downcast_ref::<usize>().copied()
}

/// An event or a message as handlers get it: a table, in which a field that the type has not is
/// an error.
pub(crate) fn to_lua(lua: &Lua, name: &str, value: &Plain) -> mlua::Result<Value> {
    Ok(match value {
        Plain::Nil => Value::Nil,
        Plain::Bool(value) => Value::Boolean(*value),
        Plain::Int(value) => Value::Integer(*value),
        Plain::Float(value) => Value::Number(*value),
        Plain::Text(value) => Value::String(lua.create_string(value)?),
        Plain::Entity(value) => entity::to_lua(*value),
        Plain::Fields(_) | Plain::List(_) | Plain::Map(_) => {
            Value::Table(to_table(lua, name, value, None)?)
        }
        Plain::Variant(variant, parts) => Value::Table(to_table(lua, name, parts, Some(variant))?),
    })
}

fn to_table(lua: &Lua, name: &str, value: &Plain, variant: Option<&str>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    if let Some(variant) = variant {
        table.raw_set("variant", variant)?;
    }
    match value {
        Plain::Fields(fields) => {
            for (field, value) in fields {
                let value = to_lua(lua, &format!("{name}.{field}"), value)?;
                table.raw_set(field.as_str(), value)?;
            }
            let fields = fields.iter().map(|(field, _)| field.clone());
            table.set_metatable(Some(strict(lua, name, fields.collect())?))?;
        }
        Plain::List(items) => {
            for (index, item) in (1..).zip(items) {
                table.raw_set(index, to_lua(lua, &format!("{name}[{index}]"), item)?)?;
            }
        }
        Plain::Map(entries) => {
            for (key, value) in entries {
                let key = to_lua(lua, name, key)?;
                if !key.is_nil() {
                    table.raw_set(key, to_lua(lua, name, value)?)?;
                }
            }
        }
        _ => {}
    }
    Ok(table)
}

/// A metatable for which only fields that a type has may be nil.
fn strict(lua: &Lua, name: &str, fields: Vec<String>) -> mlua::Result<Table> {
    let metatable = lua.create_table()?;
    let name = name.to_owned();
    let index = lua.create_function(move |_, (_, key): (Value, Value)| {
        let is_field = |key: &str| fields.iter().any(|field| field == key) || key == "variant";
        match &key {
            Value::String(key) if is_field(&key.to_string_lossy()) => Ok(Value::Nil),
            Value::String(key) => {
                let key = key.to_string_lossy();
                let instead = instead(&key, fields.iter().map(String::as_str));
                Err(mlua::Error::runtime(format!(
                    "`{name}` has no field `{key}`; {instead}"
                )))
            }
            _ => Ok(Value::Nil),
        }
    })?;
    metatable.raw_set("__index", index)?;
    Ok(metatable)
}
