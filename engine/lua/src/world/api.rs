//! The global `world`.

use engine_api::bevy_ecs::entity::Entity;
use engine_api::state::StateKind;
use mlua::{Lua, MetaMethod, Table, UserData, UserDataFields, UserDataMethods, Value};

use super::access;
use super::build::Built;
use super::columns;
use super::entity;
use super::events;
use super::make::Maker;
use super::own;
use super::part::describe;
use super::problem::Problem;
use super::proxy::{Proxy, Root};
use super::query;
use super::types::Found;

/// What scripts call `world`. It has no state: the world is the one that the engine is in.
pub(super) struct Api;

impl UserData for Api {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field(MetaMethod::Type, "world");
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("query", |lua, _, arguments| query::query(lua, arguments));
        methods.add_method("count", |lua, _, arguments| query::count(lua, arguments));
        methods.add_method("columns", |lua, _, arguments| {
            columns::columns(lua, arguments)
        });
        methods.add_method("resource", |lua, _, name: String| resource(lua, &name));
        methods.add_method("get", |lua, _, (entity, name): (Value, String)| {
            get(lua, &entity, &name)
        });
        methods.add_method("has", |lua, _, (entity, name): (Value, String)| {
            get(lua, &entity, &name).map(|found| !found.is_nil())
        });
        methods.add_method("alive", |lua, _, entity: Value| {
            let entity = entity_of(&entity)?;
            access::with(lua, |context| Ok(context.world.get_entity(entity).is_ok()))
        });
        methods.add_method("find", |lua, _, name: String| {
            access::with(lua, |context| {
                let found = own::find(context.world, &name);
                Ok(found.map_or(Value::Nil, entity::to_lua))
            })
        });
        methods.add_method("spawn", |lua, _, components: Option<Table>| {
            spawn(lua, components.as_ref())
        });
        methods.add_method("despawn", |lua, _, entity: Value| {
            let entity = entity_of(&entity)?;
            access::with(lua, |context| Ok(context.world.try_despawn(entity).is_ok()))
        });
        methods.add_method(
            "insert",
            |lua, _, (entity, name, value): (Value, String, Value)| {
                insert(lua, &entity, &name, &value)
            },
        );
        methods.add_method("remove", |lua, _, (entity, name): (Value, String)| {
            remove(lua, &entity, &name)
        });
        methods.add_method("send", |lua, _, (name, value): (String, Value)| {
            send(lua, &name, &value)
        });
        methods.add_method("trigger", |lua, _, (name, value): (String, Value)| {
            trigger(lua, &name, &value)
        });
    }
}

/// The entity that an argument must be.
fn entity_of(value: &Value) -> mlua::Result<Entity> {
    entity::of(value).ok_or_else(|| {
        let found = describe(value);
        mlua::Error::runtime(format!("an entity was expected, not {found}"))
    })
}

/// What a value is if it is left out: one with default values.
fn or_default(value: &Value) -> &Value {
    match value {
        Value::Nil => &Value::Boolean(true),
        value => value,
    }
}

fn resource(lua: &Lua, name: &str) -> mlua::Result<Proxy> {
    access::with(lua, |context| {
        let find = || {
            let known = context.types.find(StateKind::Resource, name)?;
            let proxy = Proxy::new(known, Root::Resource);
            proxy.look(lua, context.world, context.types)?;
            Ok(proxy)
        };
        find().map_err(Problem::raise)
    })
}

fn get(lua: &Lua, entity: &Value, name: &str) -> mlua::Result<Value> {
    let entity = entity_of(entity)?;
    access::with(lua, |context| {
        let known = match context.types.component(name).map_err(Problem::raise)? {
            Found::Registered(known) => known,
            Found::Own(own, _) => return own.get(lua, context.world, entity),
        };
        let (component, _) = known.values().map_err(Problem::raise)?;
        if context.world.get_by_id(entity, component).is_none() {
            return Ok(Value::Nil);
        }
        let proxy = Proxy::new(known, Root::Component(entity));
        lua.create_userdata(proxy).map(Value::UserData)
    })
}

fn spawn(lua: &Lua, components: Option<&Table>) -> mlua::Result<Value> {
    access::with(lua, |context| {
        let (mut built, mut own) = (Vec::new(), Vec::new());
        let mut names: Vec<String> = Vec::new();
        for entry in components.iter().flat_map(|table| table.pairs()) {
            let (name, value): (Value, Value) = entry?;
            let (name, value) = match (&name, &value) {
                (Value::String(name), value) => (name.to_string_lossy(), value),
                // A name alone, as in a list.
                (Value::Integer(_), Value::String(name)) => {
                    (name.to_string_lossy(), &Value::Boolean(true))
                }
                (other, _) => {
                    let found = describe(other);
                    let message = format!("the name of a component was expected, not {found}");
                    return Err(mlua::Error::runtime(message));
                }
            };
            let known = match context.types.component(&name).map_err(Problem::raise)? {
                Found::Registered(known) => known,
                Found::Own(component, _) => {
                    let made = component.make(context.world, None, value);
                    own.push(made.map_err(Problem::raise)?);
                    continue;
                }
            };
            if names.iter().any(|other| **other == *known.path) {
                let message = format!("component `{name}` is there twice");
                return Err(mlua::Error::runtime(message));
            }
            names.push(known.path.to_string());
            let component = Built::new(lua, context.world, context.types, known, value);
            built.push(component.map_err(Problem::raise)?);
        }
        let entity = context.world.spawn_empty().id();
        Built::insert(built, context.world, entity).map_err(Problem::raise)?;
        for own in own {
            own.insert(context.world, entity).map_err(Problem::raise)?;
        }
        Ok(entity::to_lua(entity))
    })
}

fn insert(lua: &Lua, entity: &Value, name: &str, value: &Value) -> mlua::Result<()> {
    let entity = entity_of(entity)?;
    access::with(lua, |context| {
        let known = match context.types.component(name).map_err(Problem::raise)? {
            Found::Registered(known) => known,
            Found::Own(own, _) => {
                let made = own.make(context.world, Some(entity), value);
                let inserted = made.and_then(|made| made.insert(context.world, entity));
                return inserted.map_err(Problem::raise);
            }
        };
        let value = or_default(value);
        let built = Built::new(lua, context.world, context.types, known, value);
        let built = vec![built.map_err(Problem::raise)?];
        Built::insert(built, context.world, entity).map_err(Problem::raise)
    })
}

fn remove(lua: &Lua, entity: &Value, name: &str) -> mlua::Result<bool> {
    let entity = entity_of(entity)?;
    access::with(lua, |context| {
        let component = match context.types.component(name).map_err(Problem::raise)? {
            Found::Registered(known) => known.values().map_err(Problem::raise)?.0,
            Found::Own(own, _) => return Ok(own.remove(context.world, entity)),
        };
        let Ok(mut target) = context.world.get_entity_mut(entity) else {
            return Ok(false);
        };
        let had = target.contains_id(component);
        target.remove_by_id(component);
        context.world.flush();
        Ok(had)
    })
}

fn send(lua: &Lua, name: &str, value: &Value) -> mlua::Result<()> {
    access::with(lua, |context| {
        let types = context.types;
        let known = types
            .find(StateKind::Message, name)
            .map_err(Problem::raise)?;
        let maker = Maker::new(lua, context.world, types, known);
        let part = known.part();
        let made = maker.make_whole(or_default(value), &part);
        let made = made.map_err(|problem| problem.within(&known.name).raise())?;
        let sent = known
            .kept
            .send
            .is_some_and(|send| send(context.world, &*made));
        if sent {
            Ok(())
        } else {
            Err(mlua::Error::runtime(format!(
                "message `{}` was not sent: it cannot be made of this, or its queue is not there",
                known.name
            )))
        }
    })
}

fn trigger(lua: &Lua, name: &str, value: &Value) -> mlua::Result<()> {
    access::with(lua, |context| {
        let types = context.types;
        let known = types.find(StateKind::Event, name).map_err(Problem::raise)?;
        let Some(send) = known.kept.send else {
            return Err(events::without_reflection(known).raise());
        };
        let maker = Maker::new(lua, context.world, types, known);
        let made = maker.make_whole(or_default(value), &known.part());
        let made = made.map_err(|problem| problem.within(&known.name).raise())?;
        if send(context.world, &*made) {
            Ok(())
        } else {
            Err(mlua::Error::runtime(format!(
                "event `{}` was not triggered: it cannot be made of this",
                known.name
            )))
        }
    })
}
