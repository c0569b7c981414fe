//! Numbers, texts and entities: the values that have no parts.

use std::borrow::Cow;

use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_reflect::PartialReflect;
use mlua::{Lua, Value};

use super::entity;
use super::part::describe;
use super::problem::Problem;

/// A type that Lua's own values stand for.
pub(super) trait Scalar: PartialReflect + Sized {
    /// How it is called in messages.
    fn expected() -> String;
    fn from_lua(value: &Value) -> Option<Self>;
    fn to_lua(&self, lua: &Lua) -> mlua::Result<Value>;

    fn read(value: &Value) -> Result<Self, Problem> {
        Self::from_lua(value).ok_or_else(|| {
            let (expected, found) = (Self::expected(), describe(value));
            Problem::new(format!("{expected} was expected, not {found}"))
        })
    }
}

macro_rules! whole {
    ($($type:ty),*) => {
        $(impl Scalar for $type {
            fn expected() -> String {
                format!("a whole number from {} to {}", Self::MIN, Self::MAX)
            }
            fn from_lua(value: &Value) -> Option<Self> {
                match value {
                    Value::Integer(number) => Self::try_from(*number).ok(),
                    // Floats are exact up to there, and a cast of others would pick a number.
                    Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e18 => {
                        Self::try_from(*number as i64).ok()
                    }
                    _ => None,
                }
            }
            fn to_lua(&self, _: &Lua) -> mlua::Result<Value> {
                // What does not fit becomes a float, as in Lua itself.
                let float = |number: i128| number as f64;
                Ok(i64::try_from(*self).map_or_else(
                    |_| Value::Number(i128::try_from(*self).map_or(f64::INFINITY, float)),
                    Value::Integer,
                ))
            }
        })*
    };
}

macro_rules! float {
    ($($type:ty),*) => {
        $(impl Scalar for $type {
            fn expected() -> String {
                "a number".to_owned()
            }
            fn from_lua(value: &Value) -> Option<Self> {
                match value {
                    Value::Integer(number) => Some(*number as Self),
                    Value::Number(number) => Some(*number as Self),
                    _ => None,
                }
            }
            fn to_lua(&self, _: &Lua) -> mlua::Result<Value> {
                Ok(Value::Number(f64::from(*self)))
            }
        })*
    };
}

whole!(
    u8, i8, u16, i16, u32, i32, u64, i64, u128, i128, usize, isize
);
float!(f32, f64);

impl Scalar for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }
    fn from_lua(value: &Value) -> Option<Self> {
        value.as_boolean()
    }
    fn to_lua(&self, _: &Lua) -> mlua::Result<Value> {
        Ok(Value::Boolean(*self))
    }
}

impl Scalar for char {
    fn expected() -> String {
        "one character".to_owned()
    }
    fn from_lua(value: &Value) -> Option<Self> {
        let text = String::from_lua(value)?;
        let mut characters = text.chars();
        characters.next().filter(|_| characters.next().is_none())
    }
    fn to_lua(&self, lua: &Lua) -> mlua::Result<Value> {
        self.to_string().to_lua(lua)
    }
}

impl Scalar for String {
    fn expected() -> String {
        "a text in UTF-8".to_owned()
    }
    fn from_lua(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text.to_str().ok()?.to_owned()),
            _ => None,
        }
    }
    fn to_lua(&self, lua: &Lua) -> mlua::Result<Value> {
        lua.create_string(self).map(Value::String)
    }
}

impl Scalar for Cow<'static, str> {
    fn expected() -> String {
        String::expected()
    }
    fn from_lua(value: &Value) -> Option<Self> {
        String::from_lua(value).map(Cow::Owned)
    }
    fn to_lua(&self, lua: &Lua) -> mlua::Result<Value> {
        lua.create_string(self.as_ref()).map(Value::String)
    }
}

impl Scalar for Entity {
    fn expected() -> String {
        "an entity".to_owned()
    }
    fn from_lua(value: &Value) -> Option<Self> {
        entity::of(value)
    }
    fn to_lua(&self, _: &Lua) -> mlua::Result<Value> {
        Ok(entity::to_lua(*self))
    }
}

/// Does something with the scalar type that has a path: `$run` is a generic function, called
/// with `$arguments` if there is such a type.
macro_rules! with_scalar {
    ($path:expr, $run:ident($($argument:expr),*)) => {
        match $path {
            "f32" => Some($run::<f32>($($argument),*)),
            "f64" => Some($run::<f64>($($argument),*)),
            "bool" => Some($run::<bool>($($argument),*)),
            "u8" => Some($run::<u8>($($argument),*)),
            "i8" => Some($run::<i8>($($argument),*)),
            "u16" => Some($run::<u16>($($argument),*)),
            "i16" => Some($run::<i16>($($argument),*)),
            "u32" => Some($run::<u32>($($argument),*)),
            "i32" => Some($run::<i32>($($argument),*)),
            "u64" => Some($run::<u64>($($argument),*)),
            "i64" => Some($run::<i64>($($argument),*)),
            "u128" => Some($run::<u128>($($argument),*)),
            "i128" => Some($run::<i128>($($argument),*)),
            "usize" => Some($run::<usize>($($argument),*)),
            "isize" => Some($run::<isize>($($argument),*)),
            "char" => Some($run::<char>($($argument),*)),
            "alloc::string::String" => Some($run::<String>($($argument),*)),
            "alloc::borrow::Cow<str>" => {
                Some($run::<std::borrow::Cow<'static, str>>($($argument),*))
            }
            "bevy_ecs::entity::Entity" => {
                Some($run::<engine_api::bevy_ecs::entity::Entity>($($argument),*))
            }
            _ => None,
        }
    };
}

/// The value of Lua for a scalar; `None` for what is none.
pub(super) fn to_lua(
    lua: &Lua,
    path: &str,
    value: &dyn PartialReflect,
) -> Option<mlua::Result<Value>> {
    fn one<T: Scalar>(lua: &Lua, value: &dyn PartialReflect) -> Option<mlua::Result<Value>> {
        Some(value.try_downcast_ref::<T>()?.to_lua(lua))
    }
    with_scalar!(path, one(lua, value)).flatten()
}

/// Makes a scalar; `None` if the type is none.
pub(super) fn make(path: &str, value: &Value) -> Option<Result<Box<dyn PartialReflect>, Problem>> {
    fn one<T: Scalar>(value: &Value) -> Result<Box<dyn PartialReflect>, Problem> {
        Ok(Box::new(T::read(value)?))
    }
    with_scalar!(path, one(value))
}

/// Sets a scalar in place; `None` if it is none.
pub(super) fn set(
    path: &str,
    target: &mut dyn PartialReflect,
    value: &Value,
) -> Option<Result<(), Problem>> {
    fn one<T: Scalar>(
        target: &mut dyn PartialReflect,
        value: &Value,
    ) -> Option<Result<(), Problem>> {
        let target = target.try_downcast_mut::<T>()?;
        Some(T::read(value).map(|value| *target = value))
    }
    with_scalar!(path, one(target, value)).flatten()
}

/// Whether a path is that of a scalar.
pub(super) fn is_one(path: &str) -> bool {
    fn one<T: Scalar>() {}
    with_scalar!(path, one()).is_some()
}
