//! Plain values: no heap, all parts known, so that they can be copied as bytes first and
//! understood later. Packed (see [`pack`](super::pack)), all of one type have one width.

use std::mem::MaybeUninit;

use engine_api::bevy_reflect::{PartialReflect, ReflectRef};
use engine_api::schema::{Schema, Shape, VariantSchema};

/// Longest array that counts as plain.
const LONGEST_ARRAY: usize = 1 << 16;
/// Bytes of the number of a variant.
const VARIANT: usize = size_of::<u32>();

/// Where the parts of a plain type lie in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    size: usize,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Scalars that follow each other without a gap.
    Bytes { offset: usize, length: usize },
    /// An enum without fields, with the bytes of its variants.
    Tag {
        offset: usize,
        size: usize,
        tags: Vec<u128>,
    },
}

/// Bytes of a scalar type.
fn scalar(path: &str) -> Option<usize> {
    Some(match path {
        "bool" | "u8" | "i8" => 1,
        "u16" | "i16" => 2,
        "char" | "u32" | "i32" | "f32" => 4,
        "u64" | "i64" | "f64" | "bevy_ecs::entity::Entity" => 8,
        "usize" | "isize" => size_of::<usize>(),
        "u128" | "i128" => 16,
        _ => return None,
    })
}

/// The values of variants, if none has fields.
fn tags(variants: &[VariantSchema]) -> Option<Vec<u128>> {
    let tag = |variant: &VariantSchema| variant.tag.filter(|_| variant.fields.is_empty());
    let tags: Option<Vec<_>> = variants.iter().map(tag).collect();
    tags.filter(|tags| !tags.is_empty())
}

/// Bytes of a packed value; `None` if the type is not plain.
pub fn width(schema: &Schema) -> Option<usize> {
    if schema.needs_drop {
        return None;
    }
    width_of(&schema.path, &schema.shape)
}

/// Whether values of a type, or parts of a value, are plain.
pub(super) fn is_plain(path: &str, shape: &Shape) -> bool {
    width_of(path, shape).is_some()
}

/// Whether a type is text.
pub(super) fn is_text(path: &str) -> bool {
    ["alloc::string::String", "alloc::borrow::Cow<str>", "&str"].contains(&path)
}

fn width_of(path: &str, shape: &Shape) -> Option<usize> {
    match shape {
        Shape::Opaque => scalar(path),
        Shape::Struct { fields, .. } => fields
            .iter()
            .map(|field| width_of(&field.path, &field.shape))
            .try_fold(0_usize, |sum, width| sum.checked_add(width?)),
        Shape::Array(item, length) if *length <= LONGEST_ARRAY => {
            width_of(&item.path, &item.shape)?.checked_mul(*length)
        }
        Shape::Enum(variants) => tags(variants).map(|_| VARIANT),
        _ => None,
    }
}

impl Plain {
    /// Finds the parts of a type in one of its values; they lie at the same places in all
    /// others. `None` if the type is not plain.
    pub fn of(schema: &Schema, value: &dyn PartialReflect) -> Option<Self> {
        width(schema)?;
        Self::find(&schema.path, &schema.shape, value)
    }

    /// As [`Plain::of`], of a part of a value.
    pub(super) fn find(path: &str, shape: &Shape, value: &dyn PartialReflect) -> Option<Self> {
        let mut found = Self {
            size: size_of_val(value),
            parts: Vec::new(),
        };
        let base = std::ptr::from_ref(value).addr();
        found.collect(base, path, shape, value)?;
        Some(found)
    }

    fn collect(
        &mut self,
        base: usize,
        path: &str,
        shape: &Shape,
        value: &dyn PartialReflect,
    ) -> Option<()> {
        let size = size_of_val(value);
        let offset = std::ptr::from_ref(value).addr().checked_sub(base)?;
        if offset.checked_add(size)? > self.size {
            return None;
        }
        match shape {
            Shape::Opaque => {
                if scalar(path)? != size {
                    return None;
                }
                match self.parts.last_mut() {
                    Some(Part::Bytes {
                        offset: start,
                        length,
                    }) if *start + *length == offset => *length += size,
                    _ => self.parts.push(Part::Bytes {
                        offset,
                        length: size,
                    }),
                }
                Some(())
            }
            Shape::Struct { fields, .. } => {
                let part = |index: usize, name: &str| match value.reflect_ref() {
                    ReflectRef::Struct(value) => value.field(name),
                    ReflectRef::TupleStruct(value) => value.field(index),
                    ReflectRef::Tuple(value) => value.field(index),
                    _ => None,
                };
                for (index, field) in fields.iter().enumerate() {
                    let part = part(index, &field.name)?;
                    self.collect(base, &field.path, &field.shape, part)?;
                }
                Some(())
            }
            Shape::Array(item, length) => {
                let ReflectRef::Array(value) = value.reflect_ref() else {
                    return None;
                };
                for index in 0..*length {
                    self.collect(base, &item.path, &item.shape, value.get(index)?)?;
                }
                Some(())
            }
            Shape::Enum(variants) => {
                let tags = tags(variants).filter(|_| size <= size_of::<u128>())?;
                self.parts.push(Part::Tag { offset, size, tags });
                Some(())
            }
            _ => None,
        }
    }

    /// Bytes of a value in memory.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether a value in memory is one that is packed.
    fn is_dense(&self) -> bool {
        let all = Part::Bytes {
            offset: 0,
            length: self.size,
        };
        self.parts == [all]
    }

    /// Appends the packed form of values in memory that follow each other.
    ///
    /// # Safety
    /// The bytes are those of values of the type that this was made of.
    pub unsafe fn pack(&self, values: &[MaybeUninit<u8>], to: &mut Vec<u8>) {
        if self.size == 0 {
            return;
        }
        if self.is_dense() {
            // SAFETY: scalars without a gap, whose bytes are initialised.
            to.extend_from_slice(unsafe { initialised(values, 0, values.len()) });
            return;
        }
        for value in values.chunks_exact(self.size) {
            for part in &self.parts {
                match part {
                    Part::Bytes { offset, length } => {
                        // SAFETY: a value has scalars there, whose bytes are initialised.
                        let bytes = unsafe { initialised(value, *offset, *length) };
                        to.extend_from_slice(bytes);
                    }
                    Part::Tag { offset, size, tags } => {
                        // SAFETY: an enum without fields is there, which is its tag.
                        let bytes = unsafe { initialised(value, *offset, *size) };
                        let mut tag = [0; size_of::<u128>()];
                        tag[..*size].copy_from_slice(bytes);
                        let tag = u128::from_le_bytes(tag);
                        let variant = tags.iter().position(|known| *known == tag);
                        let variant = variant.map_or(u32::MAX, |index| index as u32);
                        to.extend_from_slice(&variant.to_ne_bytes());
                    }
                }
            }
        }
    }

    /// Writes the parts of a packed value over those of a value in memory, which keeps what
    /// reflection does not know of.
    ///
    /// # Safety
    /// A value of the type that this was made of is at `to`, and `packed` is
    /// [valid](super::unpack::is_valid) for the schema of that type.
    pub(crate) unsafe fn unpack(&self, packed: &[u8], to: *mut u8) {
        let mut rest = packed;
        for part in &self.parts {
            let (offset, bytes): (usize, &[u8]) = match part {
                Part::Bytes { offset, length } => {
                    let Some((bytes, after)) = rest.split_at_checked(*length) else {
                        return;
                    };
                    rest = after;
                    (*offset, bytes)
                }
                Part::Tag { offset, size, tags } => {
                    let Some((number, after)) = rest.split_first_chunk() else {
                        return;
                    };
                    rest = after;
                    let Some(tag) = tags.get(u32::from_ne_bytes(*number) as usize) else {
                        return;
                    };
                    (*offset, &tag.to_le_bytes()[..*size])
                }
            };
            // SAFETY: the part lies within the value.
            unsafe {
                to.add(offset)
                    .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
        }
    }
}

/// # Safety
/// These bytes are initialised.
unsafe fn initialised(value: &[MaybeUninit<u8>], offset: usize, length: usize) -> &[u8] {
    let bytes = &value[offset..][..length];
    // SAFETY: the caller promises so; the types have the same layout.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), length) }
}
