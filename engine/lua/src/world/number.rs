//! Numbers and variants as they lie in memory, for columns.

use std::fmt;

use engine_api::bevy_ecs::archetype::ArchetypeEntity;
use engine_api::schema::Shape;
use mlua::Value;

use super::scalar::Scalar;

/// A number of Lua, or a truth value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A variant by its place in the enum.
    Variant(usize),
    /// None of these: the number of its type in Lua.
    Other(i32),
}

impl Number {
    fn to_lua(self) -> Value {
        match self {
            Self::Integer(number) => Value::Integer(number),
            Self::Float(number) => Value::Number(number),
            Self::Boolean(truth) => Value::Boolean(truth),
            Self::Variant(_) | Self::Other(_) => Value::Nil,
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
            Self::Variant(_) | Self::Other(_) => f.write_str("something else"),
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

/// An enum whose variants have no fields.
pub(super) struct Variants {
    /// Bytes of one.
    size: usize,
    /// What lies in memory, and what scripts call it.
    names: Vec<(u64, String)>,
}

impl Variants {
    /// The variants of a type; `None` if it is no such enum.
    pub(super) fn of(shape: &Shape, size: usize) -> Option<Self> {
        let Shape::Enum(variants) = shape else {
            return None;
        };
        let names = variants.iter().map(|variant| {
            let tag = u64::try_from(variant.tag?).ok()?;
            Some((tag, variant.name.clone()))
        });
        let names = names.collect::<Option<Vec<_>>>()?;
        let is_read = (1..=size_of::<u64>()).contains(&size) && !names.is_empty();
        is_read.then_some(Self { size, names })
    }

    pub(super) fn name(&self, index: usize) -> &str {
        self.names.get(index).map_or("", |(_, name)| name)
    }

    pub(super) fn called(&self, name: &[u8]) -> Option<usize> {
        let mut names = self.names.iter();
        names.position(|(_, known)| known.as_bytes() == name)
    }

    /// How they are called in messages.
    pub(super) fn expected(&self) -> String {
        let names = self.names.iter().map(|(_, name)| format!("`{name}`"));
        format!("one of {}", names.collect::<Vec<_>>().join(", "))
    }

    /// Reads those of some rows, which lie so many bytes from each other.
    ///
    /// # Safety
    /// One of this type lies in each row; nobody writes there.
    pub(super) unsafe fn read(
        &self,
        first: *const u8,
        stride: usize,
        rows: &[ArchetypeEntity],
        numbers: &mut Vec<Number>,
    ) {
        numbers.extend(rows.iter().map(|row| {
            // SAFETY: the caller promises one there.
            let tag = unsafe { self.tag(first.add(row.table_row().index() * stride)) };
            let index = self.names.iter().position(|(known, _)| *known == tag);
            index.map_or(Number::Other(mlua::ffi::LUA_TNIL), Number::Variant)
        }));
    }

    /// Writes one if it differs, and says whether it did.
    ///
    /// # Safety
    /// One of this type lies there, and nobody else looks at it.
    pub(super) unsafe fn write(&self, place: *mut u8, number: &Number) -> bool {
        let Number::Variant(index) = number else {
            return false;
        };
        let Some((tag, _)) = self.names.get(*index) else {
            return false;
        };
        // SAFETY: the caller promises one there.
        let differs = unsafe { self.tag(place) } != *tag;
        if differs {
            let bytes = tag.to_le_bytes();
            // SAFETY: the caller promises one there, and these are the bytes of another.
            unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), self.size) };
        }
        differs
    }

    /// # Safety
    /// One of this type lies there.
    unsafe fn tag(&self, place: *const u8) -> u64 {
        let mut bytes = [0; size_of::<u64>()];
        // SAFETY: an enum without fields is its tag and nothing else, so all of its bytes are
        // initialised; there are no more than eight, see `of`.
        unsafe { place.copy_to_nonoverlapping(bytes.as_mut_ptr(), self.size) };
        u64::from_le_bytes(bytes)
    }
}
