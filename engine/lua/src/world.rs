//! The world from Lua, by reflection.
//!
//! [`install`] gives a domain the globals; [`enter`] lets scripts use a world for the time of a
//! call. Types are those that native modules register and derive `Reflect` for, by their short
//! names (`"Position"`), or by their paths where two have the same (`"game::Position"`). When a
//! native module is reloaded with other fields, scripts see them from the next call on.
//!
//! ```lua
//! function M.move()
//!     for ship, pos, vel in world:query("Position", "Velocity") do
//!         pos.x = pos.x + vel.x * time.delta
//!         if pos.x > 80 then world:despawn(ship) end
//!     end
//! end
//! ```
//!
//! # `world`
//!
//! | function | gives |
//! |---|---|
//! | `world:query("A", "B")` | an iterator over entities with all of these, and the components |
//! | `world:query{ "A", with = "B", without = { "C" } }` | as well; `B` and `C` are not given |
//! | `world:count("A")` | how many entities a query has |
//! | `world:columns("A.x", "A.y", ..)` | fields of all entities as tables, see below |
//! | `world:get(entity, "A")` | the component, or nil |
//! | `world:has(entity, "A")` | whether it has one |
//! | `world:alive(entity)` | whether the entity is there |
//! | `world:spawn{ A = { x = 1 }, B = true }` | a new entity; fields left out have their defaults |
//! | `world:despawn(entity)` | whether it was there |
//! | `world:insert(entity, "A", { x = 1 })` | nothing; puts a component in, or another in its place |
//! | `world:remove(entity, "A")` | whether it had one |
//! | `world:find("Boss")` | the first entity with that name, or nil; a look at all names |
//! | `world:resource("Score")` | the resource |
//! | `world:send("Hit", { damage = 3 })` | nothing; sends a message |
//! | `world:trigger("Hurt", { entity = e, points = 3 })` | nothing; triggers an event: observers hear it before this returns |
//!
//! A loop over a query may spawn, despawn, insert and remove; entities that no longer fit when
//! their turn comes are left out. Disabled entities are in no query.
//!
//! # Names and relations
//!
//! `Name`, `ChildOf` and `Children` are there without being registered, as plain values: a text, the
//! parent, and a list of the children, which is a copy.
//!
//! ```lua
//! local boss = world:spawn{ Name = "Boss", Position = true }
//! local gun = world:spawn{ ChildOf = boss, Gun = true }
//! for part, parent in world:query("ChildOf") do log.info(part, world:get(parent, "Name")) end
//! world:insert(gun, "ChildOf", other)   -- world:remove(gun, "ChildOf")
//! ```
//!
//! Whoever is despawned takes its children along. An entity cannot be above itself.
//!
//! # Events and messages
//!
//! `engine.on(name, f)` calls `f(event)` for each event and each message of a type, whether native
//! code or a script brings it; `engine.cancel(id)` ends that. The event is a table, a copy. What
//! it has no field for is an error that names it; an entity that it is aimed at is one of its
//! fields. Parts that reflection sees nothing of are nil.
//!
//! ```lua
//! engine.on("Hurt", function(hurt) log.info(hurt.entity, "lost", hurt.points) end)
//! engine.on("ModuleReload", function(reload)
//!     if reload.step == "Error" then log.warn(reload.module, reload.error) end
//! end)
//! ```
//!
//! Handlers run in the stages `PreUpdate` and `PostUpdate`, so soon after what they handle and
//! within a frame of it, each in the order in which things happened. Observers run at once: a
//! handler may find that an entity is gone. Scripts use events that are registered with
//! `m.reflected_event::<Hurt>()`, and all messages. A handler hears the messages that are queued
//! when it is registered, and events from the next stage on. A handler that fails is reported and
//! not called again until the next version of its module; one whose type is not there says so,
//! and hears it when it is.
//!
//! # Values
//!
//! Components and resources are *live*: every use looks into the world, so that a value may be
//! kept, and says which entity and component are missing once they are gone. Writing counts as
//! a change, reading does not.
//!
//! | in Rust | in Lua |
//! |---|---|
//! | numbers, `bool`, `String`, `char` | numbers, booleans, strings; what does not fit is an error |
//! | `Entity` | an entity; equal if it is the same, may be a key of a table |
//! | struct | `value.field`; assign a table or another such value |
//! | tuple, tuple struct | `value[1]`, so `position[1].x` and column `"Position.1.x"` for a `Position(Vec2)`; a tuple of one may be assigned without a table |
//! | `Vec`, array | `value[1]`, `#value`, `ipairs`, `table.insert`, `table.remove` |
//! | map | `value[key]`; nil removes |
//! | set | `value[key]` is true or nil, and is assigned so |
//! | `Option` | nil or the value |
//! | enum | a string, or for variants with fields a value with `variant` and the fields; assign the name, or `{ variant = "Hit", 3 }` |
//! | others | by `#[reflect(Serialize, Deserialize)]`, as whole values |
//!
//! `pairs` goes over fields, elements and entries; `tostring` shows all of it.
//!
//! # Columns
//!
//! A live value costs about as much as a call. For loops over thousands, `columns` copies
//! fields into plain tables, one for each, row by row, and `write` puts them back:
//!
//! ```lua
//! local ships, x, vx = world:columns("Position.x", "Velocity.x")
//! for i = 1, #ships do
//!     x[i] = x[i] + vx[i] * time.delta
//! end
//! ships:write("Position.x", x)
//! ```
//!
//! | function | gives |
//! |---|---|
//! | `#ships` | number of rows |
//! | `ships:entity(i)` | the entity of a row |
//! | `ships:write("A.x", x, "A.y", y, ..)` | nothing; writes tables back, one element for each row |
//!
//! Variants of an enum without fields are strings, as elsewhere: column `"Ship.mood"`, or `"Mood"` for
//! a component that is one. `"Armor?.plates"` takes entities without `Armor` along: their rows are nil,
//! and stay so. There is no column of an `Option`, nor of what is within one.
//!
//! The components need a `Default` that is reflected. What was not changed is not written and
//! does not count as changed; entities that are gone meanwhile are left out. `with` and
//! `without` are as in queries.
//!
//! # `time`, `input`, `log`
//!
//! | | |
//! |---|---|
//! | `time.delta`, `time.elapsed`, `time.frame_time` | seconds |
//! | `time.frame` | number of the frame |
//! | `input.held(key)`, `input.pressed(key)`, `input.released(key)` | keys: `"a"`, `"Space"`, `"Left"`, `"F1"` |
//! | `input.button_held(button)`, `input.clicked(button)` | buttons: `"left"`, `"right"`, `"middle"` |
//! | `input.mouse()` | column and row, or nil |
//! | `log.info(..)`, `log.warn(..)`, `log.error(..)`, `log.debug(..)`, `log.trace(..)` | lines of the log; `print` is `log.info` |

mod access;
mod api;
mod build;
mod columns;
mod entity;
pub(crate) mod events;
mod globals;
mod make;
mod number;
mod own;
mod part;
mod problem;
mod proxy;
mod query;
mod read;
mod scalar;
#[cfg(test)]
mod tests;
mod types;

pub(crate) use globals::key;

use engine_api::bevy_ecs::world::World;
use engine_runtime::state::StateTypes;

use crate::domain::Domain;
use crate::error::ScriptError;

/// Another number once the types that scripts can name are others.
pub(crate) fn generation(world: &World) -> u64 {
    let types = world.get_resource::<StateTypes>();
    types.map_or(0, StateTypes::generation)
}

/// Hands the world that scripts may use to code of the engine.
///
/// # Errors
/// If there is none, or what `run` says.
pub(crate) fn lend<R>(
    lua: &mlua::Lua,
    run: impl FnOnce(&mut World) -> mlua::Result<R>,
) -> mlua::Result<R> {
    access::with(lua, |context| run(context.world))
}

/// Gives a domain the globals `world`, `time`, `input` and `log`, and has `print` write to the
/// log. Call it before modules are loaded.
///
/// # Errors
/// If there is no memory for them.
pub fn install(domain: &Domain) -> Result<(), ScriptError> {
    let lua = domain.lua();
    let install = || {
        lua.globals()
            .raw_set("world", lua.create_userdata(api::Api)?)?;
        globals::install(lua)?;
        entity::install(lua)
    };
    install().map_err(|error| ScriptError::new(&error))
}

/// Lets the scripts of a domain use a world while `run` calls them. Elsewhere every use is an
/// error of Lua. May be nested: the innermost world is the one that scripts see. The world
/// needs the resource [`StateTypes`](engine_runtime::state::StateTypes), which every swap
/// puts there.
pub fn enter<R>(world: &mut World, run: impl FnOnce() -> R) -> R {
    access::enter(world, run)
}
