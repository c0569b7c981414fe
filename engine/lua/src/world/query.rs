//! Which entities a script means.

use engine_api::bevy_ecs::archetype::{Archetype, ArchetypeEntity};
use engine_api::bevy_ecs::component::ComponentId;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::world::World;
use mlua::{Function, IntoLuaMulti as _, Lua, MultiValue, Table, Value, Variadic};

use super::access::{self, Context};
use super::entity;
use super::own::Own;
use super::part::describe;
use super::problem::{Problem, instead};
use super::proxy::{Proxy, Root};
use super::types::{Found, TypeRef, Types};

/// What a query is asked for: names, and which other components the entities have or lack.
#[derive(Default)]
pub(super) struct Asked {
    /// Components, or columns of them.
    pub(super) names: Vec<String>,
    with: Vec<String>,
    without: Vec<String>,
}

impl Asked {
    /// Reads `"A", "B"` and `{ "A", "B", with = { "C" }, without = "D" }`.
    pub(super) fn read(arguments: &[Value]) -> mlua::Result<Self> {
        let mut asked = Self::default();
        for argument in arguments {
            match argument {
                Value::String(name) => asked.names.push(name.to_string_lossy()),
                Value::Table(table) => asked.read_table(table)?,
                other => return Err(expected("the name of a component", other)),
            }
        }
        Ok(asked)
    }

    fn read_table(&mut self, table: &Table) -> mlua::Result<()> {
        for name in table.sequence_values::<Value>() {
            self.names.extend(names(&name?)?);
        }
        for entry in table.pairs::<Value, Value>() {
            match entry? {
                (Value::Integer(_), _) => {}
                (Value::String(key), value) if key == "with" => self.with.extend(names(&value)?),
                (Value::String(key), value) if key == "without" => {
                    self.without.extend(names(&value)?);
                }
                (key, _) => {
                    let key = match key {
                        Value::String(key) => key.to_string_lossy(),
                        other => describe(&other),
                    };
                    let instead = instead(&key, ["with", "without"].into_iter());
                    let message = format!("a query has no option `{key}`; {instead}");
                    return Err(mlua::Error::runtime(message));
                }
            }
        }
        Ok(())
    }

    /// The filter for entities that have these components as well.
    pub(super) fn filter<'t>(
        &self,
        types: &Types,
        have: impl IntoIterator<Item = Found<'t>>,
    ) -> Result<Filter, Problem> {
        let mut filter = Filter::default();
        for found in have {
            filter.with.push(found.id()?);
        }
        for (names, ids) in [
            (&self.with, &mut filter.with),
            (&self.without, &mut filter.without),
        ] {
            for name in names {
                ids.push(types.component(name)?.id()?);
            }
        }
        if filter.with.is_empty() {
            let message = "name at least one component that the entities have";
            return Err(Problem::new(message));
        }
        Ok(filter)
    }
}

/// The components that entities have and lack.
#[derive(Default)]
pub(super) struct Filter {
    with: Vec<ComponentId>,
    without: Vec<ComponentId>,
}

impl Filter {
    /// The archetypes that fit. Disabled entities are not among them.
    pub(super) fn archetypes<'w>(&self, world: &'w World) -> impl Iterator<Item = &'w Archetype> {
        let disabled = world.components().component_id::<Disabled>();
        world.archetypes().iter().filter(move |archetype| {
            let has = |id: &ComponentId| archetype.contains(*id);
            !archetype.is_empty()
                && self.with.iter().all(has)
                && !self.without.iter().any(has)
                && !disabled.iter().any(has)
        })
    }
}

/// `world:query(..)`: an iterator over entities and their components. Which entities there are
/// is looked up at once, so that the loop may spawn, despawn, insert and remove; those that no
/// longer fit when their turn comes are left out.
pub(super) fn query(lua: &Lua, arguments: Variadic<Value>) -> mlua::Result<Function> {
    let asked = Asked::read(&arguments)?;
    let (entities, fetched) = access::with(lua, |context| {
        let find = |name: &String| context.types.component(name);
        let fetched: Result<Vec<_>, Problem> = asked.names.iter().map(find).collect();
        let fetched = fetched.map_err(Problem::raise)?;
        let filter = asked.filter(context.types, fetched.iter().copied());
        let entities = entities(context.world, &filter.map_err(Problem::raise)?);
        let fetched = fetched.iter().map(|found| match found {
            Found::Registered(known) => Fetched::Registered(known.reference()),
            Found::Own(own, _) => Fetched::Own(*own),
        });
        Ok((entities, fetched.collect::<Vec<_>>()))
    })?;
    let mut left = entities.into_iter();
    lua.create_function_mut(move |lua, _: MultiValue| {
        access::with(lua, |context| {
            for entity in left.by_ref() {
                if let Some(row) = row(context, entity, &fetched)? {
                    return Ok(row);
                }
            }
            Value::Nil.into_lua_multi(lua)
        })
    })
}

/// What a query gives of each entity.
enum Fetched {
    Registered(TypeRef),
    Own(Own),
}

fn entities(world: &World, filter: &Filter) -> Vec<Entity> {
    let archetypes = filter.archetypes(world);
    let entities = archetypes.flat_map(Archetype::entities);
    entities.map(ArchetypeEntity::id).collect()
}

/// An entity and its components; `None` if it lacks one.
fn row(
    context: &Context<'_>,
    entity: Entity,
    fetched: &[Fetched],
) -> mlua::Result<Option<MultiValue>> {
    let Ok(found) = context.world.get_entity(entity) else {
        return Ok(None);
    };
    let mut row = MultiValue::with_capacity(fetched.len() + 1);
    row.push_back(entity::to_lua(entity));
    for of in fetched {
        let of = match of {
            Fetched::Registered(of) => of,
            Fetched::Own(own) => {
                match own.get(context.lua, context.world, entity)? {
                    Value::Nil => return Ok(None),
                    value => row.push_back(value),
                }
                continue;
            }
        };
        let known = context.types.get(of).map_err(Problem::raise)?;
        if !found.contains_id(known.values().map_err(Problem::raise)?.0) {
            return Ok(None);
        }
        let proxy = Proxy::new(known, Root::Component(entity));
        row.push_back(Value::UserData(context.lua.create_userdata(proxy)?));
    }
    Ok(Some(row))
}

/// `world:count(..)`: how many entities fit a query.
pub(super) fn count(lua: &Lua, arguments: Variadic<Value>) -> mlua::Result<usize> {
    let asked = Asked::read(&arguments)?;
    access::with(lua, |context| {
        let find = |name: &String| context.types.component(name);
        let have: Result<Vec<_>, Problem> = asked.names.iter().map(find).collect();
        let filter = have.and_then(|have| asked.filter(context.types, have));
        let filter = filter.map_err(Problem::raise)?;
        let archetypes = filter.archetypes(context.world);
        Ok(archetypes.map(|archetype| archetype.len() as usize).sum())
    })
}

/// One name or a list of them.
fn names(value: &Value) -> mlua::Result<Vec<String>> {
    match value {
        Value::String(name) => Ok(vec![name.to_string_lossy()]),
        Value::Table(list) => list
            .sequence_values::<Value>()
            .map(|name| match name? {
                Value::String(name) => Ok(name.to_string_lossy()),
                other => Err(expected("the name of a component", &other)),
            })
            .collect(),
        other => Err(expected("the name of a component", other)),
    }
}

fn expected(what: &str, found: &Value) -> mlua::Error {
    mlua::Error::runtime(format!("{what} was expected, not {}", describe(found)))
}
