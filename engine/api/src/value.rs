//! The one dynamic value type, for calls by name.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// A value whose type is known at run time only.
///
/// Serialises as itself (an `Int` as a number, a `List` as a sequence), so that
/// RON arguments become values and values become JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing: `()`, `None`, `null`.
    #[default]
    Unit,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Str(String),
    /// A sequence.
    List(Vec<Value>),
    /// Named values.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unit => "nothing",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Str(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// A value that does not have the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {found}")]
pub struct ValueError {
    /// The type that was wanted.
    pub expected: String,
    /// What was there.
    pub found: String,
}

impl ValueError {
    fn new(expected: &str, found: &Value) -> Self {
        let found = match found {
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            other => other.kind().to_owned(),
        };
        Self {
            expected: expected.to_owned(),
            found,
        }
    }
}

/// Types that a dynamic value can become: arguments of functions called by name.
pub trait FromValue: Sized {
    /// Converts without losing anything.
    ///
    /// # Errors
    /// If the value has another type or is out of range.
    fn from_value(value: &Value) -> Result<Self, ValueError>;
}

/// Types that become dynamic values: results of functions called by name.
pub trait IntoValue {
    /// Converts.
    fn into_value(self) -> Value;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Result<Self, ValueError> {
                match value {
                    Value::Int(number) => Self::try_from(*number).ok(),
                    _ => None,
                }
                .ok_or_else(|| ValueError::new(stringify!($type), value))
            }
        }
        impl IntoValue for $type {
            fn into_value(self) -> Value {
                // Numbers past `i64::MAX` keep their magnitude as a float.
                #[allow(clippy::cast_lossless)]
                i64::try_from(self).map_or(Value::Float(self as f64), Value::Int)
            }
        }
    )*};
}
integers!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

macro_rules! floats {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Result<Self, ValueError> {
                match value {
                    Value::Int(number) => Ok(*number as Self),
                    Value::Float(number) => Ok(*number as Self),
                    _ => Err(ValueError::new(stringify!($type), value)),
                }
            }
        }
        impl IntoValue for $type {
            fn into_value(self) -> Value {
                Value::Float(f64::from(self))
            }
        }
    )*};
}
floats!(f32, f64);

impl FromValue for bool {
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Bool(truth) => Ok(*truth),
            _ => Err(ValueError::new("bool", value)),
        }
    }
}

impl IntoValue for bool {
    fn into_value(self) -> Value {
        Value::Bool(self)
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Str(text) => Ok(text.clone()),
            _ => Err(ValueError::new("text", value)),
        }
    }
}

impl IntoValue for String {
    fn into_value(self) -> Value {
        Value::Str(self)
    }
}

impl IntoValue for &str {
    fn into_value(self) -> Value {
        Value::Str(self.to_owned())
    }
}

impl FromValue for () {
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Unit => Ok(()),
            _ => Err(ValueError::new("()", value)),
        }
    }
}

impl IntoValue for () {
    fn into_value(self) -> Value {
        Value::Unit
    }
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        Ok(value.clone())
    }
}

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Unit => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Unit, IntoValue::into_value)
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::List(values) => values.iter().map(T::from_value).collect(),
            _ => Err(ValueError::new("a list", value)),
        }
    }
}

impl<T: IntoValue> IntoValue for Vec<T> {
    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(IntoValue::into_value).collect())
    }
}

impl<A: IntoValue, B: IntoValue> IntoValue for (A, B) {
    fn into_value(self) -> Value {
        Value::List(vec![self.0.into_value(), self.1.into_value()])
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unit => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Str(text) => serializer.serialize_str(text),
            Self::List(values) => values.serialize(serializer),
            Self::Map(values) => values.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bool, a number, text, a list or a map")
    }
    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number)
            .map(Value::Int)
            .map_err(|_| E::custom(format!("{number} does not fit 64 bits with a sign")))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }
    fn visit_char<E>(self, character: char) -> Result<Value, E> {
        Ok(Value::Str(character.to_string()))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Str(text.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Unit)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Unit)
    }
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        Value::deserialize(inner)
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        Value::deserialize(inner)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry::<Value, Value>()? {
            let key = match key {
                Value::Str(text) => text,
                Value::Int(number) => number.to_string(),
                other => {
                    return Err(A::Error::custom(format!(
                        "{} cannot be a key",
                        other.kind()
                    )));
                }
            };
            values.insert(key, value);
        }
        Ok(Value::Map(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ron_becomes_values() {
        let check = |ron: &str, expected: Value| {
            assert_eq!(ron::from_str::<Value>(ron).unwrap(), expected, "{ron}");
        };
        check("3", Value::Int(3));
        check("-3", Value::Int(-3));
        check("2.5", Value::Float(2.5));
        check("true", Value::Bool(true));
        check("\"a b\"", Value::Str("a b".into()));
        check("()", Value::Unit);
        check("None", Value::Unit);
        check("Some(3)", Value::Int(3));
        check("[1, 2]", Value::List(vec![Value::Int(1), Value::Int(2)]));
        check(
            "{\"a\": 1}",
            Value::Map([("a".into(), Value::Int(1))].into()),
        );
        check("(x: 1)", Value::Map([("x".into(), Value::Int(1))].into()));
    }

    #[test]
    fn numbers_out_of_range_are_refused_not_wrapped() {
        assert_eq!(u8::from_value(&Value::Int(255)), Ok(255));
        assert_eq!(
            u8::from_value(&Value::Int(256)).unwrap_err().to_string(),
            "expected u8, got 256"
        );
        assert!(i32::from_value(&Value::Float(1.5)).is_err());
        assert_eq!(f32::from_value(&Value::Int(2)), Ok(2.0));
    }
}
