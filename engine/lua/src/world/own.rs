//! Names and relations of entities: components of the ECS itself, which no module registers.
//! Scripts have them as plain values: a text, the parent, a list of the children.

use engine_api::bevy_ecs::component::ComponentId;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::hierarchy::{ChildOf, Children};
use engine_api::bevy_ecs::name::Name;
use engine_api::bevy_ecs::world::World;
use mlua::{Lua, Value};

use super::entity;
use super::part::describe;
use super::problem::Problem;
use super::scalar::Scalar as _;

/// One of these components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    Name,
    ChildOf,
    Children,
}

/// A value of one, for an entity.
pub(super) enum OwnValue {
    Name(String),
    ChildOf(Entity),
}

impl Own {
    /// The component that scripts call so.
    pub(super) fn called(name: &str) -> Option<Self> {
        Some(match name {
            "Name" => Self::Name,
            "ChildOf" => Self::ChildOf,
            "Children" => Self::Children,
            _ => return None,
        })
    }

    /// Their ids in a world, in order.
    pub(super) fn ids(world: &mut World) -> [ComponentId; 3] {
        [
            world.register_component::<Name>(),
            world.register_component::<ChildOf>(),
            world.register_component::<Children>(),
        ]
    }

    /// What an entity has; nil if nothing.
    pub(super) fn get(self, lua: &Lua, world: &World, entity: Entity) -> mlua::Result<Value> {
        Ok(match self {
            Self::Name => match world.get::<Name>(entity) {
                Some(name) => Value::String(lua.create_string(name.as_str())?),
                None => Value::Nil,
            },
            Self::ChildOf => match world.get::<ChildOf>(entity) {
                Some(child_of) => entity::to_lua(child_of.parent()),
                None => Value::Nil,
            },
            Self::Children => match world.get::<Children>(entity) {
                Some(children) => {
                    let children = children.iter().map(|child| entity::to_lua(*child));
                    Value::Table(lua.create_sequence_from(children)?)
                }
                None => Value::Nil,
            },
        })
    }

    /// A value for an entity, or for one that is not there yet.
    ///
    /// # Errors
    /// If it is none, or if the entity would be above itself.
    pub(super) fn make(
        self,
        world: &World,
        of: Option<Entity>,
        value: &Value,
    ) -> Result<OwnValue, Problem> {
        match self {
            Self::Name => String::read(value)
                .map(OwnValue::Name)
                .map_err(|problem| problem.within("Name")),
            Self::ChildOf => {
                let Some(parent) = entity::of(value) else {
                    let found = describe(value);
                    let message = format!("the parent was expected, an entity, not {found}");
                    return Err(Problem::new(message).within("ChildOf"));
                };
                if world.get_entity(parent).is_err() {
                    let message = format!("entity {parent} is gone");
                    return Err(Problem::new(message).within("ChildOf"));
                }
                let mut above = Some(parent);
                while let Some(entity) = above {
                    if of == Some(entity) {
                        let message = format!("entity {entity} cannot be above itself");
                        return Err(Problem::new(message).within("ChildOf"));
                    }
                    above = world.get::<ChildOf>(entity).map(ChildOf::parent);
                }
                Ok(OwnValue::ChildOf(parent))
            }
            Self::Children => Err(Problem::new(
                "`Children` follow from `ChildOf`: insert that into each child",
            )),
        }
    }

    /// Takes it from an entity. Says whether it was there.
    pub(super) fn remove(self, world: &mut World, entity: Entity) -> bool {
        let Ok(mut target) = world.get_entity_mut(entity) else {
            return false;
        };
        let had = match self {
            Self::Name => target.take::<Name>().is_some(),
            Self::ChildOf => target.take::<ChildOf>().is_some(),
            Self::Children => target.take::<Children>().is_some(),
        };
        world.flush();
        had
    }
}

impl OwnValue {
    /// Gives it to an entity.
    pub(super) fn insert(self, world: &mut World, entity: Entity) -> Result<(), Problem> {
        let Ok(mut target) = world.get_entity_mut(entity) else {
            return Err(Problem::new(format!("entity {entity} is gone")));
        };
        match self {
            Self::Name(name) => target.insert(Name::new(name)),
            Self::ChildOf(parent) => target.insert(ChildOf(parent)),
        };
        world.flush();
        Ok(())
    }
}

/// The first entity with a name. Costs a look at all names.
pub(super) fn find(world: &mut World, name: &str) -> Option<Entity> {
    let mut named = world.query::<(Entity, &Name)>();
    let mut named = named.iter(world);
    named
        .find(|(_, found)| found.as_str() == name)
        .map(|(entity, _)| entity)
}
