//! Parsed text to data, as the schema of a type says.

use std::collections::HashMap;

use engine_api::bevy_ecs::entity::Entity;
use engine_api::schema::{FieldSchema, Schema, Shape, StructKind};
use strsim::levenshtein;

use super::SceneError;
use super::parse::{Key, Kind, Node};
use crate::data::Data;

/// Reads values of one scene.
pub(super) struct Guide<'t> {
    text: &'t str,
    labels: &'t HashMap<String, Entity>,
}

/// What is said of a name that nobody knows.
pub(super) fn unknown<'n>(
    what: &str,
    name: &str,
    names: impl Iterator<Item = &'n str> + Clone,
) -> String {
    let nearest = names
        .clone()
        .map(|other| (levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= short(other).chars().count().max(2) / 2)
        .min_by_key(|(distance, _)| *distance);
    if let Some((_, nearest)) = nearest {
        return format!("there is no {what} `{name}`; did you mean `{nearest}`?");
    }
    let names: Vec<_> = names.take(8).map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return format!("there is no {what} `{name}`, and no other either");
    }
    format!("there is no {what} `{name}`; there is {}", names.join(", "))
}

fn short(path: &str) -> &str {
    let without = path.split('<').next().unwrap_or(path);
    without.rsplit("::").next().unwrap_or(without)
}

impl<'t> Guide<'t> {
    pub(super) fn new(text: &'t str, labels: &'t HashMap<String, Entity>) -> Self {
        Self { text, labels }
    }

    fn error(&self, at: usize, message: String) -> SceneError {
        SceneError::at(self.text, at, message)
    }

    fn expected(&self, node: &Node, what: &str) -> SceneError {
        let source = self.text.get(node.at..node.end).unwrap_or_default();
        let source = source.lines().next().unwrap_or_default();
        let found: String = source.chars().take(30).collect();
        self.error(node.at, format!("{what} was expected, not `{found}`"))
    }

    /// The bits of the entity with a label.
    pub(super) fn entity(&self, node: &Node, label: &str) -> Result<u64, SceneError> {
        let entity = self.labels.get(label).map(|entity| entity.to_bits());
        entity.ok_or_else(|| {
            let labels = self.labels.keys().map(String::as_str);
            self.error(node.at, unknown("entity", label, labels))
        })
    }

    /// A value of a type.
    pub(super) fn value(&self, node: &Node, schema: &Schema) -> Result<Data, SceneError> {
        self.part(node, &schema.path, &schema.shape, &mut Vec::new())
    }

    fn part<'s>(
        &self,
        node: &Node,
        path: &str,
        shape: &'s Shape,
        above: &mut Vec<&'s Shape>,
    ) -> Result<Data, SceneError> {
        let shape = match shape {
            Shape::Recursive(levels) => {
                let index = above.len().checked_sub(levels + 1);
                // The level is there: the schema was made by walking down through it.
                index
                    .and_then(|index| above.get(index).copied())
                    .unwrap_or(shape)
            }
            shape => shape,
        };
        above.push(shape);
        let data = self.shape(node, path, shape, above);
        above.pop();
        data
    }

    fn shape<'s>(
        &self,
        node: &Node,
        path: &str,
        shape: &'s Shape,
        above: &mut Vec<&'s Shape>,
    ) -> Result<Data, SceneError> {
        match (shape, &node.kind) {
            (
                Shape::Struct {
                    kind,
                    fields,
                    has_default,
                    ..
                },
                _,
            ) => {
                let of = format!("a value of `{path}`");
                let name = match &node.kind {
                    Kind::Struct(name, _) | Kind::Tuple(name, _) => name.as_deref(),
                    Kind::Name(name) => Some(name.as_str()),
                    _ => return Err(self.expected(node, &of)),
                };
                if name.is_some_and(|name| name != short(path)) {
                    return Err(self.expected(node, &of));
                }
                let may_lack = has_default.0;
                self.fields(node, &of, *kind, fields, may_lack, above)
                    .map(Data::Struct)
            }
            (Shape::Enum(variants), kind) => {
                let (Kind::Name(name) | Kind::Tuple(Some(name), _) | Kind::Struct(Some(name), _)) =
                    kind
                else {
                    return Err(self.expected(node, &format!("a variant of `{path}`")));
                };
                let found = variants
                    .iter()
                    .find(|variant| variant.name == *name)
                    .or_else(|| variants.iter().find(|v| v.renamed_from.0.contains(name)));
                let Some(variant) = found else {
                    let names = variants.iter().map(|variant| variant.name.as_str());
                    let what = format!("variant of `{path}` called");
                    return Err(self.error(node.at, unknown(&what, name, names)));
                };
                let of = format!("variant `{name}` with its fields");
                self.fields(node, &of, variant.kind, &variant.fields, false, above)
                    .map(|fields| Data::Variant(variant.name.clone(), fields))
            }
            (Shape::List(item) | Shape::Set(item), Kind::List(items)) => items
                .iter()
                .map(|node| self.part(node, &item.path, &item.shape, above))
                .collect::<Result<_, _>>()
                .map(Data::List),
            (Shape::Array(item, length), Kind::List(items) | Kind::Tuple(None, items)) => {
                if items.len() != *length {
                    let message = format!("there are {} elements of {length}", items.len());
                    return Err(self.error(node.at, message));
                }
                items
                    .iter()
                    .map(|node| self.part(node, &item.path, &item.shape, above))
                    .collect::<Result<_, _>>()
                    .map(Data::List)
            }
            (Shape::Map(key, value), Kind::Map(pairs)) => pairs
                .iter()
                .map(|(k, v)| {
                    Ok((
                        self.part(k, &key.path, &key.shape, above)?,
                        self.part(v, &value.path, &value.shape, above)?,
                    ))
                })
                .collect::<Result<_, _>>()
                .map(Data::Map),
            (Shape::Opaque, _) => self.scalar(node, path),
            (Shape::List(_) | Shape::Set(_) | Shape::Array(..), _) => {
                Err(self.expected(node, "a list: `[a, b]`"))
            }
            (Shape::Map(..), _) => Err(self.expected(node, "a map: `{a: b}`")),
            (Shape::Recursive(_), _) => Err(self.expected(node, "a value")),
        }
    }

    /// The fields of a struct or a variant. What may be left out is left out of the data.
    fn fields<'s>(
        &self,
        node: &Node,
        of: &str,
        kind: StructKind,
        fields: &'s [FieldSchema],
        may_lack: bool,
        above: &mut Vec<&'s Shape>,
    ) -> Result<Vec<(String, Data)>, SceneError> {
        let (written, items): (&[(Key, Node)], &[Node]) = match &node.kind {
            Kind::Name(_) => (&[], &[]),
            Kind::Tuple(_, items) if items.is_empty() || kind != StructKind::Named => (&[], items),
            Kind::Struct(_, written) if kind == StructKind::Named => (written, &[]),
            _ if kind == StructKind::Named => {
                return Err(self.expected(node, &format!("{of}, its fields by name,")));
            }
            _ => return Err(self.expected(node, &format!("{of}, its fields without names,"))),
        };
        let mut found: Vec<(String, Data)> = Vec::new();
        for (key, value) in written {
            let is_field = |name: &str| fields.iter().any(|field| field.name == name);
            let field = fields.iter().find(|field| field.name == key.name);
            let field = field.or_else(|| {
                let mut fields = fields.iter().filter(|_| !is_field(&key.name));
                fields.find(|field| field.renamed_from.0.contains(&key.name))
            });
            let Some(field) = field else {
                let names = fields.iter().map(|field| field.name.as_str());
                return Err(self.error(key.at, unknown("field", &key.name, names)));
            };
            if found.iter().any(|(name, _)| *name == field.name) {
                let message = format!("field `{}` is there twice", field.name);
                return Err(self.error(key.at, message));
            }
            let data = self.part(value, &field.path, &field.shape, above)?;
            found.push((field.name.clone(), data));
        }
        for (index, value) in items.iter().enumerate() {
            let Some(field) = fields.get(index) else {
                let message = format!("there are {} fields of {}", items.len(), fields.len());
                return Err(self.error(value.at, message));
            };
            let data = self.part(value, &field.path, &field.shape, above)?;
            found.push((field.name.clone(), data));
        }
        let is_there = |field: &&FieldSchema| found.iter().any(|(name, _)| *name == field.name);
        match fields.iter().find(|field| !is_there(field)) {
            Some(missing) if !may_lack => {
                let message = format!(
                    "field `{}` is missing, and there is no default value for it",
                    missing.name
                );
                Err(self.error(node.at, message))
            }
            _ => Ok(found),
        }
    }

    fn scalar(&self, node: &Node, path: &str) -> Result<Data, SceneError> {
        macro_rules! whole {
            ($type:ty) => {{
                let number = match &node.kind {
                    Kind::Number(number) => whole::<$type>(number),
                    _ => None,
                };
                let range = || format!("a number from {} to {}", <$type>::MIN, <$type>::MAX);
                number.ok_or_else(|| self.expected(node, &range()))?
            }};
        }
        let float = || match &node.kind {
            Kind::Number(number) => Some(number.as_str()),
            Kind::Name(name) if name == "inf" || name == "NaN" => Some(name.as_str()),
            _ => None,
        };
        Ok(match path {
            "bool" => match &node.kind {
                Kind::Name(name) if name == "true" => Data::Bool(true),
                Kind::Name(name) if name == "false" => Data::Bool(false),
                _ => return Err(self.expected(node, "`true` or `false`")),
            },
            "char" => match &node.kind {
                Kind::Char(c) => Data::Char(*c),
                _ => return Err(self.expected(node, "a character: `'a'`")),
            },
            "u8" => whole!(u8),
            "i8" => whole!(i8),
            "u16" => whole!(u16),
            "i16" => whole!(i16),
            "u32" => whole!(u32),
            "i32" => whole!(i32),
            "u64" => whole!(u64),
            "i64" => whole!(i64),
            "u128" => whole!(u128),
            "i128" => whole!(i128),
            "usize" => whole!(usize),
            "isize" => whole!(isize),
            "f32" => match float().and_then(|text| text.parse().ok()) {
                Some(number) => Data::F32(number),
                None => return Err(self.expected(node, "a number")),
            },
            "f64" => match float().and_then(|text| text.parse().ok()) {
                Some(number) => Data::F64(number),
                None => return Err(self.expected(node, "a number")),
            },
            "alloc::string::String" | "alloc::borrow::Cow<str>" | "&str" => match &node.kind {
                Kind::Text(text) => Data::Text(text.clone()),
                _ => return Err(self.expected(node, "a text in quotes")),
            },
            "bevy_ecs::entity::Entity" => match &node.kind {
                Kind::Text(label) => Data::Entity(self.entity(node, label)?),
                Kind::Tuple(Some(name), items) if name == "Entity" && items.len() == 1 => {
                    return self.scalar(&items[0], path);
                }
                _ => return Err(self.expected(node, "the name of an entity in quotes")),
            },
            path => {
                let source = self.text.get(node.at..node.end).unwrap_or_default();
                Data::Foreign(path.to_owned(), source.to_owned())
            }
        })
    }
}

/// A whole number of a type as RON has them: also `0x1f`, `0o17`, `0b11`.
fn whole<T: TryFrom<i128> + TryFrom<u128>>(text: &str) -> Option<Data> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.get(..2) {
        Some("0x") => (&digits[2..], 16),
        Some("0o") => (&digits[2..], 8),
        Some("0b") => (&digits[2..], 2),
        _ => (digits, 10),
    };
    if !digits.starts_with(|first: char| first.is_digit(radix)) {
        return None;
    }
    let number = u128::from_str_radix(digits, radix).ok()?;
    if !is_negative {
        T::try_from(number).ok()?;
        return Some(i128::try_from(number).map_or(Data::Uint(number), Data::Int));
    }
    let number = if number == 1 << 127 {
        i128::MIN
    } else {
        -i128::try_from(number).ok()?
    };
    T::try_from(number).ok()?;
    Some(Data::Int(number))
}
