//! Parts of values: the way to them through a type's schema and through a value.

use std::rc::Rc;

use engine_api::bevy_reflect::enums::VariantType;
use engine_api::bevy_reflect::{PartialReflect, ReflectMut, ReflectRef};
use engine_api::schema::{FieldSchema, Shape, StructKind, VariantSchema};
use mlua::{LightUserData, Lua, Value};

use super::problem::{Problem, instead};
use super::types::short_name;

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A field by name.
    Field(Box<str>),
    /// A field of a tuple or an element, from 0.
    Index(usize),
    /// What a map has under a key.
    Key(Key),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Boolean(bool),
    Integer(i64),
    Text(String),
    /// An entity.
    Light(usize),
}

/// What the schema says of a part.
#[derive(Clone)]
pub(super) struct Part<'s> {
    pub(super) path: &'s str,
    pub(super) shape: &'s Shape,
    above: Option<Rc<Part<'s>>>,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(name) => f.write_str(name),
            Self::Index(index) => write!(f, "[{}]", index + 1),
            Self::Key(Key::Boolean(key)) => write!(f, "[{key}]"),
            Self::Key(Key::Integer(key)) => write!(f, "[{key}]"),
            Self::Key(Key::Text(key)) => write!(f, "[{key:?}]"),
            Self::Key(Key::Light(_)) => f.write_str("[entity]"),
        }
    }
}

impl Key {
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Boolean(key) => Self::Boolean(*key),
            Value::Integer(key) => Self::Integer(*key),
            Value::Number(key) if key.fract() == 0.0 => Self::Integer(*key as i64),
            Value::String(key) => Self::Text(key.to_str().ok()?.to_owned()),
            Value::LightUserData(key) => Self::Light(key.0 as usize),
            _ => return None,
        })
    }

    pub(super) fn to_lua(&self, lua: &Lua) -> mlua::Result<Value> {
        Ok(match self {
            Self::Boolean(key) => Value::Boolean(*key),
            Self::Integer(key) => Value::Integer(*key),
            Self::Text(key) => Value::String(lua.create_string(key)?),
            Self::Light(key) => Value::LightUserData(LightUserData(*key as *mut _)),
        })
    }
}

impl<'s> Part<'s> {
    pub(super) fn new(path: &'s str, shape: &'s Shape) -> Self {
        Self {
            path,
            shape,
            above: None,
        }
    }

    /// A part of this part.
    pub(super) fn field(&self, field: &'s FieldSchema) -> Self {
        let Shape::Recursive(levels) = &field.shape else {
            // What has no parts needs nobody above it.
            let is_leaf = matches!(field.shape, Shape::Opaque);
            return Self {
                path: &field.path,
                shape: &field.shape,
                above: (!is_leaf).then(|| Rc::new(self.clone())),
            };
        };
        let mut same = self;
        for _ in 0..*levels {
            same = same.above.as_deref().unwrap_or(same);
        }
        Self {
            path: &field.path,
            ..same.clone()
        }
    }

    /// The name of its type, for people.
    pub(super) fn name(&self) -> String {
        short_name(self.path)
    }

    /// What is inside of it, if it is an `Option`.
    pub(super) fn option(&self) -> Option<Self> {
        match self.shape {
            Shape::Enum(variants) if self.path.starts_with("core::option::Option<") => {
                let some = variants.iter().find(|variant| variant.name == "Some")?;
                Some(self.field(some.fields.first()?))
            }
            _ => None,
        }
    }

    /// A variant of it.
    pub(super) fn variant(&self, name: &str) -> Result<&'s VariantSchema, Problem> {
        let Shape::Enum(variants) = self.shape else {
            return Err(Problem::new(format!("`{}` has no variants", self.name())));
        };
        let found = variants.iter().find(|variant| variant.name == name);
        found.ok_or_else(|| {
            let names = variants.iter().map(|variant| variant.name.as_str());
            let (of, instead) = (self.name(), instead(name, names));
            Problem::new(format!("`{of}` has no variant `{name}`; {instead}"))
        })
    }

    /// The fields that a value has, with how they are named.
    pub(super) fn fields(
        &self,
        variant: Option<&str>,
    ) -> Result<Option<(StructKind, &'s [FieldSchema])>, Problem> {
        Ok(match (self.shape, variant) {
            (Shape::Struct { kind, fields, .. }, _) => Some((*kind, fields)),
            (Shape::Enum(_), Some(variant)) => {
                let variant = self.variant(variant)?;
                Some((variant.kind, &variant.fields))
            }
            _ => None,
        })
    }

    /// The step that a key of Lua stands for.
    ///
    /// # Errors
    /// If no part can be called so.
    pub(super) fn step(&self, key: &Value, variant: Option<&str>) -> Result<Step, Problem> {
        if let Some((kind, fields)) = self.fields(variant)? {
            let step = match (kind, key) {
                (StructKind::Named, Value::String(name)) => {
                    Some(Step::Field(name.to_string_lossy().into()))
                }
                (StructKind::Named, _) => None,
                (_, key) => position(key).map(Step::Index),
            };
            return step.ok_or_else(|| no_field(&self.called(variant), kind, fields, key));
        }
        let (of, described) = (self.name(), describe(key));
        match self.shape {
            Shape::List(_) | Shape::Array(..) => position(key).map(Step::Index).ok_or_else(|| {
                Problem::new(format!(
                    "`{of}` has elements by number from 1, not {described}"
                ))
            }),
            Shape::Map(..) | Shape::Set(_) => Key::of(key)
                .map(Step::Key)
                .ok_or_else(|| Problem::new(format!("{described} cannot be a key of `{of}`"))),
            _ => Err(Problem::new(format!("`{of}` has no fields"))),
        }
    }

    /// The part at a step.
    ///
    /// # Errors
    /// If there is none: which there are.
    pub(super) fn follow(&self, step: &Step, variant: Option<&str>) -> Result<Self, Problem> {
        if let Some((kind, fields)) = self.fields(variant)? {
            let field = match (kind, step) {
                (StructKind::Named, Step::Field(name)) => {
                    fields.iter().find(|field| *field.name == **name)
                }
                (StructKind::TupleStruct | StructKind::Tuple, Step::Index(index)) => {
                    fields.get(*index)
                }
                _ => None,
            };
            return field.map(|field| self.field(field)).ok_or_else(|| {
                no_field_called(&self.called(variant), kind, fields, &step.to_string())
            });
        }
        match (self.shape, step) {
            (Shape::List(item) | Shape::Array(item, _), Step::Index(_))
            | (Shape::Map(_, item) | Shape::Set(item), Step::Key(_)) => Ok(self.field(item)),
            _ => Err(Problem::new(format!(
                "`{}` has nothing at `{step}`",
                self.called(variant)
            ))),
        }
    }

    /// The keys of a map or the elements of a set.
    pub(super) fn keys(&self) -> Option<Self> {
        match self.shape {
            Shape::Map(key, _) | Shape::Set(key) => Some(self.field(key)),
            _ => None,
        }
    }

    fn called(&self, variant: Option<&str>) -> String {
        match variant.filter(|_| matches!(self.shape, Shape::Enum(_))) {
            Some(variant) => format!("{}::{variant}", self.name()),
            None => self.name(),
        }
    }
}

/// Says which fields there are instead of one.
pub(super) fn no_field(of: &str, kind: StructKind, fields: &[FieldSchema], key: &Value) -> Problem {
    let name = match key {
        Value::String(name) => name.to_string_lossy(),
        Value::Integer(number) => number.to_string(),
        other => return Problem::new(format!("`{of}` has no field {}", describe(other))),
    };
    no_field_called(of, kind, fields, &name)
}

fn no_field_called(of: &str, kind: StructKind, fields: &[FieldSchema], name: &str) -> Problem {
    let instead = match (kind, fields.len()) {
        (StructKind::Named, _) => instead(name, fields.iter().map(|field| field.name.as_str())),
        (_, 0) => "there is none".to_owned(),
        (_, 1) => "there is [1]".to_owned(),
        (_, count) => format!("there are [1] to [{count}]"),
    };
    Problem::new(format!("`{of}` has no field `{name}`; {instead}"))
}

/// The index from 0 that a key of Lua stands for.
fn position(key: &Value) -> Option<usize> {
    let number = match key {
        Value::Integer(number) => *number,
        Value::Number(number) if number.fract() == 0.0 => *number as i64,
        _ => return None,
    };
    usize::try_from(number.checked_sub(1)?).ok()
}

/// How a value of Lua is called in messages.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) if text.as_bytes().len() <= 40 => {
            format!("{:?}", text.to_string_lossy())
        }
        Value::String(text) => format!("a string of {} bytes", text.as_bytes().len()),
        Value::LightUserData(_) => "an entity".to_owned(),
        Value::UserData(_) => "a value of the game".to_owned(),
        other => format!("a {}", other.type_name()),
    }
}

/// The name of the variant that an enum is.
pub(super) fn variant_of(value: &dyn PartialReflect) -> Option<&str> {
    match value.reflect_ref() {
        ReflectRef::Enum(value) => Some(value.variant_name()),
        _ => None,
    }
}

/// What a value has at a step; `key` is that of a map.
pub(super) fn child<'a>(
    value: &'a dyn PartialReflect,
    step: &Step,
    key: Option<&dyn PartialReflect>,
) -> Option<&'a dyn PartialReflect> {
    match (value.reflect_ref(), step) {
        (ReflectRef::Struct(value), Step::Field(name)) => value.field(name),
        (ReflectRef::Enum(value), Step::Field(name)) => value.field(name),
        (ReflectRef::TupleStruct(value), Step::Index(index)) => value.field(*index),
        (ReflectRef::Tuple(value), Step::Index(index)) => value.field(*index),
        (ReflectRef::Enum(value), Step::Index(index))
            if value.variant_type() == VariantType::Tuple =>
        {
            value.field_at(*index)
        }
        (ReflectRef::List(value), Step::Index(index)) => value.get(*index),
        (ReflectRef::Array(value), Step::Index(index)) => value.get(*index),
        (ReflectRef::Map(value), Step::Key(_)) => value.get(key?),
        (ReflectRef::Set(value), Step::Key(_)) => value.get(key?),
        _ => None,
    }
}

/// As [`child`], to be changed.
pub(super) fn child_mut<'a>(
    value: &'a mut dyn PartialReflect,
    step: &Step,
    key: Option<&dyn PartialReflect>,
) -> Option<&'a mut dyn PartialReflect> {
    match (value.reflect_mut(), step) {
        (ReflectMut::Struct(value), Step::Field(name)) => value.field_mut(name),
        (ReflectMut::Enum(value), Step::Field(name)) => value.field_mut(name),
        (ReflectMut::TupleStruct(value), Step::Index(index)) => value.field_mut(*index),
        (ReflectMut::Tuple(value), Step::Index(index)) => value.field_mut(*index),
        (ReflectMut::Enum(value), Step::Index(index))
            if value.variant_type() == VariantType::Tuple =>
        {
            value.field_at_mut(*index)
        }
        (ReflectMut::List(value), Step::Index(index)) => value.get_mut(*index),
        (ReflectMut::Array(value), Step::Index(index)) => value.get_mut(*index),
        (ReflectMut::Map(value), Step::Key(_)) => value.get_mut(key?),
        _ => None,
    }
}
