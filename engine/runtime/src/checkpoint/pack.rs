//! Values packed one after the other into one buffer, on the frame thread.
//!
//! | shape | packed |
//! |---|---|
//! | numbers, `bool`, `char`, entities | their bytes, in the order of the machine |
//! | structs, tuples, arrays | their parts |
//! | enums | number of the variant (`u32`), its fields |
//! | lists, sets | number of elements (`u32`), the elements |
//! | maps | number of pairs (`u32`), each key and its value |
//! | text | number of bytes (`u32`), UTF-8 |
//! | other opaque types | number of bytes (`u32`), [`Data`] as postcard writes it |
//!
//! Names are not there, so that only the schema can tell what it is: [`unpack`](super::unpack)
//! reads it, on any thread and without the type. Parts without heap, and the elements of a
//! `Vec` of such, are copied out of memory (see [`plain`]); the rest is looked at through
//! reflection. Nothing is allocated but the buffer, except for sets, maps and other opaque
//! types.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::mem::MaybeUninit;

use engine_api::bevy_reflect::list::List;
use engine_api::bevy_reflect::{PartialReflect, ReflectRef, TypeRegistry};
use engine_api::schema::{FieldSchema, Schema, Shape, VariantSchema};

use super::plain::{self, Plain};
use super::unpack::LONGEST_OF_NOTHING;
use crate::data::Data;

/// Packs values of one type.
pub(super) struct Packer<'s> {
    form: Form<'s>,
}

/// How a part is packed; made of its schema.
enum Form<'s> {
    /// Without heap: found in its first value.
    Plain {
        path: &'s str,
        shape: &'s Shape,
        found: OnceCell<Option<Plain>>,
    },
    Text,
    Opaque,
    Struct(Vec<Self>),
    Array(Box<Self>),
    List(Box<Self>, Storage),
    Set(Box<Self>),
    Map(Box<Self>, Box<Self>),
    Enum(Vec<(&'s str, Vec<Self>)>),
    /// As the form so many levels further up.
    Recursive(usize),
}

/// Where the elements of a list lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Storage {
    /// One after the other.
    Contiguous,
    Unknown,
}

/// The forms around a part, innermost first.
#[derive(Clone, Copy)]
struct Above<'f, 's> {
    form: &'f Form<'s>,
    next: Option<&'f Above<'f, 's>>,
}

/// Types that a value of them refers to, made known when the first one asks.
pub(super) type Registry<'r> = &'r dyn Fn() -> &'r TypeRegistry;

impl<'s> Packer<'s> {
    /// How values of the type with this schema are packed.
    pub(super) fn of(schema: &'s Schema) -> Self {
        Self {
            form: Form::of(&schema.path, &schema.shape),
        }
    }

    /// Appends a value. `None` if a part of it cannot be packed; the buffer has a piece of
    /// it then. Runs the type's code, which may panic.
    ///
    /// The values that one packer gets are all of the same type, that of the schema.
    pub(super) fn pack(
        &self,
        value: &dyn PartialReflect,
        registry: Registry<'_>,
        to: &mut Vec<u8>,
    ) -> Option<()> {
        Run { registry, to }.pack(&self.form, None, value)
    }
}

impl<'s> Form<'s> {
    fn of(path: &'s str, shape: &'s Shape) -> Self {
        let field = |field: &'s FieldSchema| Self::of(&field.path, &field.shape);
        let boxed = |item: &'s FieldSchema| Box::new(field(item));
        if plain::is_plain(path, shape) {
            let found = OnceCell::new();
            return Self::Plain { path, shape, found };
        }
        match shape {
            Shape::Opaque if plain::is_text(path) => Self::Text,
            Shape::Opaque => Self::Opaque,
            Shape::Struct { fields, .. } => Self::Struct(fields.iter().map(field).collect()),
            Shape::Array(item, _) => Self::Array(boxed(item)),
            // A path that only reflection's own `Vec` has.
            Shape::List(item) if path.starts_with("alloc::vec::Vec<") => {
                Self::List(boxed(item), Storage::Contiguous)
            }
            Shape::List(item) => Self::List(boxed(item), Storage::Unknown),
            Shape::Set(item) => Self::Set(boxed(item)),
            Shape::Map(key, value) => Self::Map(boxed(key), boxed(value)),
            Shape::Enum(variants) => {
                let variant = |variant: &'s VariantSchema| {
                    let fields = variant.fields.iter().map(field);
                    (variant.name.as_str(), fields.collect())
                };
                Self::Enum(variants.iter().map(variant).collect())
            }
            Shape::Recursive(levels) => Self::Recursive(*levels),
        }
    }

    /// Where the parts of a plain type lie, found in a value of it.
    fn plain(&self, value: &dyn PartialReflect) -> Option<&Plain> {
        let Self::Plain { path, shape, found } = self else {
            return None;
        };
        let found = found.get_or_init(|| Plain::find(path, shape, value));
        found
            .as_ref()
            .filter(|plain| plain.size() == size_of_val(value))
    }
}

/// Appends one value.
struct Run<'r, 't> {
    registry: Registry<'r>,
    to: &'t mut Vec<u8>,
}

impl Run<'_, '_> {
    fn number(&mut self, number: usize) -> Option<()> {
        let number = u32::try_from(number).ok()?;
        self.to.extend_from_slice(&number.to_ne_bytes());
        Some(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.number(bytes.len())?;
        self.to.extend_from_slice(bytes);
        Some(())
    }

    fn pack(
        &mut self,
        form: &Form<'_>,
        above: Option<&Above<'_, '_>>,
        value: &dyn PartialReflect,
    ) -> Option<()> {
        match form {
            Form::Recursive(levels) => {
                let at = (0..*levels).try_fold(above?, |at, _| at.next)?;
                self.pack(at.form, at.next, value)
            }
            Form::Plain { .. } => {
                let plain = form.plain(value)?;
                // SAFETY: the bytes of the value, looked at as nothing else than bytes that
                // may be uninitialised.
                let bytes = unsafe { memory(value, 1) };
                // SAFETY: all values of a form have one type, that of the first one, where
                // the parts were found.
                unsafe { plain.pack(bytes, self.to) };
                Some(())
            }
            Form::Text => self.bytes(text(value)?.as_bytes()),
            Form::Opaque => {
                let data = Data::of(value, (self.registry)()).ok()?;
                self.bytes(&postcard::to_allocvec(&data).ok()?)
            }
            _ => self.parts(form, above, value.reflect_ref()),
        }
    }

    fn parts(
        &mut self,
        form: &Form<'_>,
        above: Option<&Above<'_, '_>>,
        value: ReflectRef<'_>,
    ) -> Option<()> {
        let here = Some(&Above { form, next: above });
        match (form, value) {
            (Form::Struct(fields), ReflectRef::Struct(value)) => {
                self.fields(fields, here, value.field_len(), |index| {
                    value.field_at(index)
                })
            }
            (Form::Struct(fields), ReflectRef::TupleStruct(value)) => {
                self.fields(fields, here, value.field_len(), |index| value.field(index))
            }
            (Form::Struct(fields), ReflectRef::Tuple(value)) => {
                self.fields(fields, here, value.field_len(), |index| value.field(index))
            }
            (Form::Enum(variants), ReflectRef::Enum(value)) => {
                let (index, name) = (value.variant_index(), value.variant_name());
                let (_, fields) = variants.get(index).filter(|(known, _)| *known == name)?;
                self.number(index)?;
                self.fields(fields, here, value.field_len(), |index| {
                    value.field_at(index)
                })
            }
            (Form::List(item, storage), ReflectRef::List(value)) => {
                self.number(value.len())?;
                if *storage == Storage::Contiguous && self.contiguous(item, value).is_some() {
                    return Some(());
                }
                let all = (0..value.len()).map(|index| value.get(index));
                self.items(item, here, all)
            }
            (Form::Array(item), ReflectRef::Array(value)) => {
                let all = (0..value.len()).map(|index| value.get(index));
                self.items(item, here, all)
            }
            (Form::Set(item), ReflectRef::Set(value)) => {
                self.number(value.len())?;
                self.items(item, here, value.iter().map(Some))
            }
            (Form::Map(key, item), ReflectRef::Map(value)) => {
                self.number(value.len())?;
                value.iter().try_for_each(|(k, v)| {
                    self.pack(key, here, k)?;
                    self.pack(item, here, v)
                })
            }
            _ => None,
        }
    }

    fn fields<'v>(
        &mut self,
        forms: &[Form<'_>],
        above: Option<&Above<'_, '_>>,
        count: usize,
        field: impl Fn(usize) -> Option<&'v dyn PartialReflect>,
    ) -> Option<()> {
        if forms.len() != count {
            return None;
        }
        let mut forms = forms.iter().enumerate();
        forms.try_for_each(|(index, form)| self.pack(form, above, field(index)?))
    }

    fn items<'v>(
        &mut self,
        form: &Form<'_>,
        above: Option<&Above<'_, '_>>,
        items: impl Iterator<Item = Option<&'v dyn PartialReflect>>,
    ) -> Option<()> {
        let start = self.to.len();
        let mut count = 0;
        for item in items {
            self.pack(form, above, item?)?;
            count += 1;
        }
        // As unpacking sees it: a number alone is not believed.
        (count <= LONGEST_OF_NOTHING || self.to.len() > start).then_some(())
    }

    /// Copies the elements of a `Vec`, if they are plain and there are any.
    fn contiguous(&mut self, item: &Form<'_>, all: &dyn List) -> Option<()> {
        let (first, last) = (all.get(0)?, all.get(all.len() - 1)?);
        let plain = item.plain(first)?;
        let distance = address(last).checked_sub(address(first))?;
        if plain.size() == 0 || distance != (all.len() - 1) * plain.size() {
            return None;
        }
        // SAFETY: the elements of a `Vec` lie one after the other, from the first one to the
        // last, and nobody changes them meanwhile: the value is borrowed.
        let bytes = unsafe { memory(first, all.len()) };
        // SAFETY: they have one type, that of the first one, where the parts were found.
        unsafe { plain.pack(bytes, self.to) };
        Some(())
    }
}

fn address(value: &dyn PartialReflect) -> usize {
    std::ptr::from_ref(value).addr()
}

/// The bytes of so many values that lie one after the other in memory.
///
/// # Safety
/// There are as many, of the type of the first one.
unsafe fn memory(first: &dyn PartialReflect, count: usize) -> &[MaybeUninit<u8>] {
    let at = std::ptr::from_ref(first).cast::<MaybeUninit<u8>>();
    // SAFETY: as promised; such bytes may be uninitialised.
    unsafe { std::slice::from_raw_parts(at, size_of_val(first) * count) }
}

fn text(value: &dyn PartialReflect) -> Option<&str> {
    if let Some(text) = value.try_downcast_ref::<String>() {
        return Some(text);
    }
    if let Some(text) = value.try_downcast_ref::<Cow<'static, str>>() {
        return Some(text);
    }
    value.try_downcast_ref::<&'static str>().copied()
}

#[cfg(test)]
mod tests;
