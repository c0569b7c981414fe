//! Numbers as they lie in memory, for columns.

use std::fmt;

use engine_api::bevy_ecs::archetype::ArchetypeEntity;
use mlua::Value;

use super::scalar::Scalar;

/// A number of Lua, or a truth value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// None of these: the number of its type in Lua.
    Other(i32),
}

impl Number {
    fn to_lua(self) -> Value {
        match self {
            Self::Integer(number) => Value::Integer(number),
            Self::Float(number) => Value::Number(number),
            Self::Boolean(truth) => Value::Boolean(truth),
            Self::Other(_) => Value::Nil,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::Other(mlua::ffi::LUA_TNIL) => f.write_str("nil"),
            Self::Other(mlua::ffi::LUA_TSTRING) => f.write_str("a string"),
            Self::Other(_) => f.write_str("something else"),
        }
    }
}

/// What can be done with numbers of one type.
pub(super) struct Numbers {
    /// Bytes of one.
    pub(super) size: usize,
    /// How they are called in messages.
    pub(super) expected: fn() -> String,
    /// The first of some numbers that cannot be one of them.
    pub(super) misfit: fn(&[Number]) -> Option<usize>,
    /// Reads those of some rows, which lie so many bytes from each other.
    ///
    /// # Safety
    /// One of this type lies in each row; nobody writes there.
    pub(super) read: unsafe fn(*const u8, usize, &[ArchetypeEntity], &mut Vec<Number>),
    /// Writes one if it fits and differs, and says whether it did.
    ///
    /// # Safety
    /// One of this type lies there, and nobody else looks at it.
    pub(super) write: unsafe fn(*mut u8, &Number) -> bool,
}

/// A type of which columns can be.
trait Numeric: Scalar + Copy {
    fn number(self) -> Number;
    fn of(number: Number) -> Option<Self>;
    /// Whether both are the same to the last bit.
    fn is_same(self, other: Self) -> bool;
}

macro_rules! numeric {
    ($($type:ty => $number:expr, $of:expr, $same:expr);* $(;)?) => {
        $(impl Numeric for $type {
            fn of(number: Number) -> Option<Self> {
                let of: fn(Number) -> Option<Self> = $of;
                of(number)
            }
            fn number(self) -> Number {
                let number: fn(Self) -> Number = $number;
                number(self)
            }
            fn is_same(self, other: Self) -> bool {
                let same: fn(Self, Self) -> bool = $same;
                same(self, other)
            }
        })*
    };
}

numeric! {
    f32 => |number| Number::Float(f64::from(number)),
        |number| Some(float(number)? as Self), |a, b| a.to_bits() == b.to_bits();
    f64 => Number::Float, float, |a, b| a.to_bits() == b.to_bits();
    bool => Number::Boolean, scalar, |a, b| a == b;
    u8 => |number| Number::Integer(i64::from(number)), scalar, |a, b| a == b;
    i8 => |number| Number::Integer(i64::from(number)), scalar, |a, b| a == b;
    u16 => |number| Number::Integer(i64::from(number)), scalar, |a, b| a == b;
    i16 => |number| Number::Integer(i64::from(number)), scalar, |a, b| a == b;
    u32 => |number| Number::Integer(i64::from(number)), scalar, |a, b| a == b;
    i32 => |number| Number::Integer(i64::from(number)), scalar, |a, b| a == b;
    i64 => Number::Integer, scalar, |a, b| a == b;
}

/// The quick way, for the numbers that there are most of.
fn float(number: Number) -> Option<f64> {
    match number {
        Number::Float(number) => Some(number),
        Number::Integer(number) => Some(number as f64),
        _ => None,
    }
}

fn scalar<T: Scalar>(number: Number) -> Option<T> {
    T::from_lua(&number.to_lua())
}

impl Numbers {
    const fn of<T: Numeric>() -> Self {
        Self {
            size: size_of::<T>(),
            expected: T::expected,
            misfit: |numbers| numbers.iter().position(|number| T::of(*number).is_none()),
            read: |first, stride, rows, numbers| {
                numbers.extend(rows.iter().map(|row| {
                    let offset = row.table_row().index() * stride;
                    // SAFETY: the caller promises a `T` there.
                    unsafe { first.add(offset).cast::<T>().read() }.number()
                }));
            },
            write: |place, number| {
                let Some(new) = T::of(*number) else {
                    return false;
                };
                let place = place.cast::<T>();
                // SAFETY: the caller promises a `T` that is ours.
                unsafe {
                    let differs = !place.read().is_same(new);
                    if differs {
                        place.write(new);
                    }
                    differs
                }
            },
        }
    }
}

/// What can be done with numbers of the type that has a path.
pub(super) fn numbers_of(path: &str) -> Option<&'static Numbers> {
    Some(match path {
        "f32" => const { &Numbers::of::<f32>() },
        "f64" => const { &Numbers::of::<f64>() },
        "bool" => const { &Numbers::of::<bool>() },
        "u8" => const { &Numbers::of::<u8>() },
        "i8" => const { &Numbers::of::<i8>() },
        "u16" => const { &Numbers::of::<u16>() },
        "i16" => const { &Numbers::of::<i16>() },
        "u32" => const { &Numbers::of::<u32>() },
        "i32" => const { &Numbers::of::<i32>() },
        "i64" => const { &Numbers::of::<i64>() },
        _ => return None,
    })
}
