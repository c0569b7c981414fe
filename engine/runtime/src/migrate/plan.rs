//! The fast way: what is done to the bytes of a value, worked out once per type.

use std::alloc::Layout;
use std::ptr::NonNull;

use engine_api::bevy_reflect::structs::DynamicStruct;
use engine_api::bevy_reflect::tuple_struct::DynamicTupleStruct;
use engine_api::schema::{FieldSchema, Place, Schema, Shape, StructKind};

use super::{Side, renames};
use crate::data::{Misfit, join};

/// Copies and number conversions that make a plain value of a plain value.
pub(super) struct Plan {
    /// Bytes of the new type's default value.
    template: Vec<u8>,
    steps: Vec<Step>,
    removed: Vec<String>,
}

enum Step {
    Copy {
        from: usize,
        to: usize,
        length: usize,
    },
    Number {
        from: usize,
        to: usize,
        convert: Convert,
        field: String,
        type_path: String,
    },
}

/// Converts the number at one place into that at another. `Err` with the number as text
/// if it does not fit.
type Convert = unsafe fn(*const u8, *mut u8) -> Result<(), String>;

impl Plan {
    /// A plan between two plain structs; `None` if values must be taken apart.
    pub(super) fn between(old: &Schema, new: &Side) -> Option<Self> {
        let (old_places, new_places) = (old.places.as_ref()?, new.schema.places.as_ref()?);
        if old.needs_drop
            || new.schema.needs_drop
            || !plain(&old.shape)
            || !plain(&new.schema.shape)
        {
            return None;
        }
        let mut made = Self {
            template: template(new)?,
            steps: Vec::new(),
            removed: Vec::new(),
        };
        made.fields(
            ("", &old.shape, old_places),
            ("", &new.schema.shape, new_places),
        )?;
        made.join_copies();
        Some(made)
    }

    /// Paths of the fields that the new type has no place for.
    pub(super) fn removed(&self) -> &[String] {
        &self.removed
    }

    fn fields(
        &mut self,
        (old_path, old, old_places): (&str, &Shape, &[Place]),
        (new_path, new, new_places): (&str, &Shape, &[Place]),
    ) -> Option<()> {
        let (
            Shape::Struct {
                fields: old_fields, ..
            },
            Shape::Struct {
                fields: new_fields,
                has_default,
                ..
            },
        ) = (old, new)
        else {
            return None;
        };
        let mut taken = Vec::new();
        for field in new_fields {
            let is_field = |name: &String| new_fields.iter().any(|other| other.name == *name);
            let before = field.renamed_from.0.iter().filter(|name| !is_field(name));
            let mut names = std::iter::once(&field.name).chain(before);
            let found = names
                .find_map(|name| old_fields.iter().find(|old| old.name == *name))
                .or_else(|| renames::undone(field, old_fields, new_fields));
            let Some(found) = found else {
                // Its value is in the template, if the struct around it has a default;
                // a nested struct's own default is not in there.
                if !has_default.0 || !new_path.is_empty() {
                    return None;
                }
                continue;
            };
            taken.push(&found.name);
            self.field(
                (&join(old_path, &found.name), found, old_places),
                (&join(new_path, &field.name), field, new_places),
            )?;
        }
        let gone = old_fields.iter().filter(|old| !taken.contains(&&old.name));
        self.removed
            .extend(gone.map(|old| join(old_path, &old.name)));
        Some(())
    }

    fn field(
        &mut self,
        (old_path, old, old_places): (&str, &FieldSchema, &[Place]),
        (new_path, new, new_places): (&str, &FieldSchema, &[Place]),
    ) -> Option<()> {
        let from = old_places.iter().find(|place| place.field == old_path)?;
        let to = new_places.iter().find(|place| place.field == new_path)?;
        if old.path == new.path && old.shape == Shape::Opaque && new.shape == Shape::Opaque {
            if from.size != to.size {
                return None;
            }
            self.steps.push(Step::Copy {
                from: from.offset,
                to: to.offset,
                length: from.size,
            });
            return Some(());
        }
        if let Some(convert) = conversion(&old.path, &new.path) {
            self.steps.push(Step::Number {
                from: from.offset,
                to: to.offset,
                convert,
                field: new_path.to_owned(),
                type_path: new.path.clone(),
            });
            return Some(());
        }
        self.fields(
            (old_path, &old.shape, old_places),
            (new_path, &new.shape, new_places),
        )
    }

    /// Makes one copy of copies that follow each other on both sides.
    fn join_copies(&mut self) {
        let mut joined: Vec<Step> = Vec::with_capacity(self.steps.len());
        for step in self.steps.drain(..) {
            if let (
                Some(Step::Copy { from, to, length }),
                Step::Copy {
                    from: next_from,
                    to: next_to,
                    length: next,
                },
            ) = (joined.last_mut(), &step)
                && *from + *length == *next_from
                && *to + *length == *next_to
            {
                *length += next;
            } else {
                joined.push(step);
            }
        }
        self.steps = joined;
    }

    /// Makes a value.
    ///
    /// # Errors
    /// The number that does not fit.
    ///
    /// # Safety
    /// `old` points to a value of the old type, `new` to room for one of the new type.
    pub(super) unsafe fn run(&self, old: *const u8, new: *mut u8) -> Result<(), Misfit> {
        // SAFETY: the template has the size of the new type.
        unsafe { new.copy_from_nonoverlapping(self.template.as_ptr(), self.template.len()) };
        for step in &self.steps {
            match step {
                Step::Copy { from, to, length } => {
                    // SAFETY: places lie within the values, whose types were given when
                    // the plan was made.
                    unsafe {
                        new.add(*to)
                            .copy_from_nonoverlapping(old.add(*from), *length);
                    };
                }
                Step::Number {
                    from,
                    to,
                    convert,
                    field,
                    type_path,
                } => {
                    // SAFETY: there is a number of the type of the conversion at each
                    // place.
                    unsafe { convert(old.add(*from), new.add(*to)) }.map_err(|number| Misfit {
                        path: field.clone(),
                        message: format!(
                            "`{number}` does not fit `{type_path}` without loss; write a \
                             migration, or revert the edit"
                        ),
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// Whether all parts have places in the value itself.
fn plain(shape: &Shape) -> bool {
    match shape {
        Shape::Struct { fields, .. } => fields
            .iter()
            .all(|field| field.shape == Shape::Opaque || plain(&field.shape)),
        _ => false,
    }
}

/// Bytes of the type's default value.
fn template(new: &Side) -> Option<Vec<u8>> {
    let Shape::Struct {
        kind, has_default, ..
    } = &new.schema.shape
    else {
        return None;
    };
    if !has_default.0 {
        return None;
    }
    let layout = Layout::from_size_align(new.schema.size.max(1), new.schema.align).ok()?;
    // SAFETY: the layout has at least one byte.
    let room = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })?;
    let written = match kind {
        // SAFETY: the room was made for a value of the type.
        StructKind::Named => unsafe { (new.values.write)(&DynamicStruct::default(), room) },
        StructKind::TupleStruct => {
            // SAFETY: the room was made for a value of the type.
            unsafe { (new.values.write)(&DynamicTupleStruct::default(), room) }
        }
        StructKind::Tuple => false,
    };
    let mut bytes = vec![0; new.schema.size];
    if written {
        // SAFETY: a value was written; its padding was zeroed and may have been written
        // with undefined bytes, which are copied as they are. The type needs no drop, so
        // the copy owns nothing.
        unsafe {
            bytes
                .as_mut_ptr()
                .copy_from_nonoverlapping(room.as_ptr(), bytes.len());
        };
    }
    // SAFETY: allocated above with this layout.
    unsafe { std::alloc::dealloc(room.as_ptr(), layout) };
    written.then_some(bytes)
}

/// A number that can be converted into another type without loss, or not at all.
trait Number: Copy + std::fmt::Display {
    fn int(self) -> Option<i128>;
    fn float(self) -> Option<f64>;
    fn from_int(value: i128) -> Option<Self>;
    fn from_float(value: f64) -> Option<Self>;
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            #[inline]
            fn int(self) -> Option<i128> {
                Some(i128::from(self))
            }
            #[inline]
            fn float(self) -> Option<f64> {
                None
            }
            #[inline]
            fn from_int(value: i128) -> Option<Self> {
                value.try_into().ok()
            }
            #[inline]
            fn from_float(value: f64) -> Option<Self> {
                (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0)
                    .then(|| Self::from_int(value as i128))?
            }
        }
    )*};
}
whole_numbers!(u8, i8, u16, i16, u32, i32, u64, i64);

impl Number for f32 {
    #[inline]
    fn int(self) -> Option<i128> {
        None
    }
    #[inline]
    fn float(self) -> Option<f64> {
        Some(self.into())
    }
    #[inline]
    fn from_int(value: i128) -> Option<Self> {
        let near = value as f32;
        (near as i128 == value).then_some(near)
    }
    #[inline]
    fn from_float(value: f64) -> Option<Self> {
        let near = value as f32;
        (f64::from(near).to_bits() == value.to_bits() || value.is_nan()).then_some(near)
    }
}

impl Number for f64 {
    #[inline]
    fn int(self) -> Option<i128> {
        None
    }
    #[inline]
    fn float(self) -> Option<f64> {
        Some(self)
    }
    #[inline]
    fn from_int(value: i128) -> Option<Self> {
        let near = value as f64;
        (near as i128 == value).then_some(near)
    }
    #[inline]
    fn from_float(value: f64) -> Option<Self> {
        Some(value)
    }
}

/// # Safety
/// There is an `A` at `from` and room for a `B` at `to`.
unsafe fn convert<A: Number, B: Number>(from: *const u8, to: *mut u8) -> Result<(), String> {
    // SAFETY: the caller promises an `A` there.
    let value = unsafe { from.cast::<A>().read_unaligned() };
    let made = match (value.int(), value.float()) {
        (Some(int), _) => B::from_int(int),
        (None, Some(float)) => B::from_float(float),
        (None, None) => None,
    };
    let made = made.ok_or_else(|| value.to_string())?;
    // SAFETY: the caller promises room for a `B` there.
    unsafe { to.cast::<B>().write_unaligned(made) };
    Ok(())
}

/// The conversion between two types of numbers.
fn conversion(from: &str, to: &str) -> Option<Convert> {
    macro_rules! table {
        ($($type:ident),*) => {
            match from {
                $(stringify!($type) => to_type::<$type>(to),)*
                _ => None,
            }
        };
    }
    fn to_type<A: Number>(to: &str) -> Option<Convert> {
        macro_rules! table {
            ($($type:ident),*) => {
                match to {
                    $(stringify!($type) => Some(convert::<A, $type>),)*
                    _ => None,
                }
            };
        }
        table!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64)
    }
    table!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64)
}
