//! Entities as values of Lua: light userdata, which are equal when they are the same and need
//! no memory.

use std::ffi::c_void;

use engine_api::bevy_ecs::entity::Entity;
use mlua::{LightUserData, Lua, Value};

const _: () = assert!(
    size_of::<*mut c_void>() == size_of::<u64>(),
    "an entity has 64 bits, and so must a light userdata"
);

/// Says how entities are shown.
pub(super) fn install(lua: &Lua) -> mlua::Result<()> {
    let metatable = lua.create_table()?;
    let show = lua.create_function(|_, value: Value| {
        Ok(of(&value).map_or_else(|| "null".to_owned(), |entity| format!("entity {entity}")))
    })?;
    metatable.raw_set("__tostring", show)?;
    metatable.raw_set("__name", "entity")?;
    metatable.raw_set("__metatable", "entity")?;
    lua.set_type_metatable::<LightUserData>(Some(metatable));
    Ok(())
}

pub(super) fn to_lua(entity: Entity) -> Value {
    Value::LightUserData(LightUserData(entity.to_bits() as usize as *mut c_void))
}

/// The entity that a value is.
pub(super) fn of(value: &Value) -> Option<Entity> {
    match value {
        Value::LightUserData(bits) => Entity::try_from_bits(bits.0 as usize as u64),
        _ => None,
    }
}
