//! Packed values (see [`pack`](super::pack)) read with nothing but their schema.

use engine_api::bevy_ecs::entity::Entity;
use engine_api::schema::{FieldSchema, Schema, Shape};

use super::plain;
use crate::data::Data;

/// How many elements without any bytes are believed to be there. More than that, and than
/// there are bytes, can only be damage.
pub(super) const LONGEST_OF_NOTHING: usize = 1 << 16;

/// Reads a packed value. `None` if the bytes are not those of such a value.
pub fn read(schema: &Schema, packed: &[u8]) -> Option<Data> {
    let mut run = Run { rest: packed };
    let data = run.part(&schema.path, &schema.shape, None)?;
    run.rest.is_empty().then_some(data)
}

/// The shapes around a part, innermost first.
#[derive(Clone, Copy)]
struct Above<'a> {
    path: &'a str,
    shape: &'a Shape,
    next: Option<&'a Above<'a>>,
}

struct Run<'b> {
    rest: &'b [u8],
}

impl<'b> Run<'b> {
    fn number(&mut self) -> Option<usize> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_ne_bytes(*number) as usize)
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn part(&mut self, path: &str, shape: &Shape, above: Option<&Above<'_>>) -> Option<Data> {
        let here = Above {
            path,
            shape,
            next: above,
        };
        let here = Some(&here);
        match shape {
            Shape::Opaque if plain::is_plain(path, shape) => scalar(path, &mut self.rest),
            Shape::Opaque if plain::is_text(path) => {
                let text = std::str::from_utf8(self.bytes()?).ok()?;
                Some(Data::Text(text.to_owned()))
            }
            Shape::Opaque => postcard::from_bytes(self.bytes()?).ok(),
            Shape::Struct { fields, .. } => self.fields(fields, here).map(Data::Struct),
            Shape::Enum(variants) => {
                let variant = variants.get(self.number()?)?;
                let fields = self.fields(&variant.fields, here)?;
                Some(Data::Variant(variant.name.clone(), fields))
            }
            Shape::Array(item, length) => self.items(*length, item, here),
            Shape::List(item) | Shape::Set(item) => {
                let count = self.number()?;
                self.items(count, item, here)
            }
            Shape::Map(key, value) => {
                let count = self.believable()?;
                let pair = |_| {
                    let key = self.part(&key.path, &key.shape, here)?;
                    Some((key, self.part(&value.path, &value.shape, here)?))
                };
                (0..count).map(pair).collect::<Option<_>>().map(Data::Map)
            }
            Shape::Recursive(levels) => {
                let at = (0..*levels).try_fold(above?, |at, _| at.next)?;
                self.part(at.path, at.shape, at.next)
            }
        }
    }

    fn believable(&mut self) -> Option<usize> {
        let count = self.number()?;
        self.is_believable(count).then_some(count)
    }

    fn is_believable(&self, count: usize) -> bool {
        count <= LONGEST_OF_NOTHING || count <= self.rest.len()
    }

    fn fields(
        &mut self,
        fields: &[FieldSchema],
        above: Option<&Above<'_>>,
    ) -> Option<Vec<(String, Data)>> {
        let field = |field: &FieldSchema| {
            let data = self.part(&field.path, &field.shape, above)?;
            Some((field.name.clone(), data))
        };
        fields.iter().map(field).collect()
    }

    fn items(
        &mut self,
        count: usize,
        item: &FieldSchema,
        above: Option<&Above<'_>>,
    ) -> Option<Data> {
        if !self.is_believable(count) {
            return None;
        }
        let items = (0..count).map(|_| self.part(&item.path, &item.shape, above));
        items.collect::<Option<_>>().map(Data::List)
    }
}

/// Whether [`read`] can read it, for plain types; `false` for others. Needs no memory.
pub fn is_valid(schema: &Schema, packed: &[u8]) -> bool {
    let mut rest = packed;
    check_part(&schema.path, &schema.shape, &mut rest).is_some() && rest.is_empty()
}

fn check_part(path: &str, shape: &Shape, rest: &mut &[u8]) -> Option<()> {
    match shape {
        Shape::Opaque => scalar(path, rest).map(drop),
        Shape::Struct { fields, .. } => fields
            .iter()
            .try_for_each(|field| check_part(&field.path, &field.shape, rest)),
        Shape::Array(item, length) if *length <= LONGEST_OF_NOTHING => {
            (0..*length).try_for_each(|_| check_part(&item.path, &item.shape, rest))
        }
        Shape::Enum(variants) => {
            let (number, after) = rest.split_first_chunk()?;
            *rest = after;
            variants.get(u32::from_ne_bytes(*number) as usize).map(drop)
        }
        _ => None,
    }
}

fn scalar(path: &str, rest: &mut &[u8]) -> Option<Data> {
    macro_rules! number {
        ($type:ty) => {{
            let (bytes, after) = rest.split_first_chunk()?;
            *rest = after;
            <$type>::from_ne_bytes(*bytes)
        }};
    }
    Some(match path {
        "bool" => match number!(u8) {
            0 => Data::Bool(false),
            1 => Data::Bool(true),
            _ => return None,
        },
        "char" => Data::Char(char::from_u32(number!(u32))?),
        "u8" => Data::Int(number!(u8).into()),
        "i8" => Data::Int(number!(i8).into()),
        "u16" => Data::Int(number!(u16).into()),
        "i16" => Data::Int(number!(i16).into()),
        "u32" => Data::Int(number!(u32).into()),
        "i32" => Data::Int(number!(i32).into()),
        "u64" => Data::Int(number!(u64).into()),
        "i64" => Data::Int(number!(i64).into()),
        "usize" => Data::Int(number!(usize) as i128),
        "isize" => Data::Int(number!(isize) as i128),
        "i128" => Data::Int(number!(i128)),
        "u128" => {
            let value = number!(u128);
            i128::try_from(value).map_or(Data::Uint(value), Data::Int)
        }
        "f32" => Data::F32(number!(f32)),
        "f64" => Data::F64(number!(f64)),
        "bevy_ecs::entity::Entity" => Data::Entity(Entity::try_from_bits(number!(u64))?.to_bits()),
        _ => return None,
    })
}
