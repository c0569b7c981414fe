//! The layout of a shared struct as a value, and what later versions may change.

use std::any::TypeId;
use std::fmt;
use std::ptr;

use bevy_ecs::world::World;

use super::{PlainKind, Primitive, SharedAccess, SharedField, SharedState};

/// How a shared struct lies in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedLayout {
    /// Path of the type: `game::Totals`.
    pub name: String,
    /// Number of the layout.
    pub version: u32,
    /// Size in bytes.
    pub size: usize,
    /// Alignment in bytes.
    pub align: usize,
    /// The fields, in order.
    pub fields: Vec<SharedLayoutField>,
}

/// A field of a [`SharedLayout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedLayoutField {
    /// Its name.
    pub name: String,
    /// Its type as it is written in the source.
    pub type_name: String,
    /// Where it begins, in bytes.
    pub offset: usize,
    /// Its size in bytes.
    pub size: usize,
    /// Its alignment in bytes.
    pub align: usize,
    /// What its type is made of.
    pub kind: FieldKind,
}

/// What the type of a field is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldKind {
    /// A number.
    Primitive(Primitive),
    /// So many of one type.
    Array(Box<FieldKind>, usize),
    /// A shared struct.
    Struct {
        /// Its path.
        name: String,
        /// Its size in bytes.
        size: usize,
        /// Its fields, in order.
        fields: Vec<SharedLayoutField>,
    },
}

impl FieldKind {
    /// Size of a value in bytes; `None` if it is larger than memory.
    pub fn size(&self) -> Option<usize> {
        match self {
            Self::Primitive(primitive) => Some(primitive.size()),
            Self::Array(element, count) => element.size()?.checked_mul(*count),
            Self::Struct { size, .. } => Some(*size),
        }
    }
}

impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primitive(primitive) => f.write_str(primitive.name()),
            Self::Array(element, count) => write!(f, "[{element}; {count}]"),
            Self::Struct { name, .. } => f.write_str(name),
        }
    }
}

impl From<&PlainKind> for FieldKind {
    fn from(kind: &PlainKind) -> Self {
        match kind {
            PlainKind::Primitive(primitive) => Self::Primitive(*primitive),
            PlainKind::Array(element, count) => Self::Array(Box::new((*element).into()), *count),
            PlainKind::Struct { name, size, fields } => Self::Struct {
                name: (*name).to_owned(),
                size: *size,
                fields: fields.iter().map(Into::into).collect(),
            },
        }
    }
}

impl From<&SharedField> for SharedLayoutField {
    fn from(field: &SharedField) -> Self {
        Self {
            name: field.name.to_owned(),
            type_name: field.type_name.to_owned(),
            offset: field.offset,
            size: field.size,
            align: field.align,
            kind: (&field.kind).into(),
        }
    }
}

impl SharedLayout {
    /// The layout of `T`.
    pub fn of<T: SharedState>() -> Self {
        Self {
            name: T::NAME.to_owned(),
            version: T::VERSION,
            size: size_of::<T>(),
            align: align_of::<T>(),
            fields: T::FIELDS.iter().map(Into::into).collect(),
        }
    }
}

/// A shared struct that a module registers.
#[derive(Debug, Clone)]
pub struct SharedRegistration {
    /// Its layout.
    pub layout: SharedLayout,
    /// Writes its `Default` to memory of the layout's size, zero between the fields. Runs code of
    /// the module, which may panic.
    ///
    /// # Safety
    /// The memory may be written; it need not be aligned.
    pub write_default: unsafe fn(*mut u8),
    /// Its identity.
    pub type_id: TypeId,
    /// Makes a world know by which component systems declare access to it.
    pub declare: fn(&mut World),
}

impl SharedRegistration {
    /// Describes `T`.
    pub fn of<T: SharedState>() -> Self {
        Self {
            layout: SharedLayout::of::<T>(),
            write_default: write_default::<T>,
            type_id: TypeId::of::<T>(),
            declare: |world| {
                world.register_component::<SharedAccess<T>>();
            },
        }
    }
}

/// # Safety
/// `size_of::<T>()` bytes may be written at `target`.
unsafe fn write_default<T: SharedState>(target: *mut u8) {
    let value = T::default();
    // SAFETY: the caller's promise; `KIND` describes `value`.
    unsafe {
        target.write_bytes(0, size_of::<T>());
        copy_values(&T::KIND, (&raw const value).cast(), target);
    }
}

/// Copies the numbers of a value and nothing of what lies between them.
///
/// # Safety
/// A value of that kind may be read at `source` and written at `target`, apart from each other.
unsafe fn copy_values(kind: &PlainKind, source: *const u8, target: *mut u8) {
    match kind {
        // SAFETY: the caller's promise; bytes are copied without being looked at.
        PlainKind::Primitive(primitive) => unsafe {
            ptr::copy_nonoverlapping(source, target, primitive.size());
        },
        PlainKind::Array(element, count) => {
            let size = FieldKind::from(*element).size().unwrap_or_default();
            for index in 0..*count {
                // SAFETY: elements lie without gaps inside of the value.
                unsafe { copy_values(element, source.add(index * size), target.add(index * size)) }
            }
        }
        PlainKind::Struct { fields, .. } => {
            for field in *fields {
                // SAFETY: a field lies inside of its struct.
                unsafe {
                    copy_values(
                        &field.kind,
                        source.add(field.offset),
                        target.add(field.offset),
                    );
                }
            }
        }
    }
}

/// Whether `new` may follow on `old`: the same fields, perhaps more of them at the end, and a
/// higher version then.
///
/// # Errors
/// The first field that does not fit, and what to do; for people.
pub fn fits(old: &SharedLayout, new: &SharedLayout) -> Result<(), String> {
    const ONLY_GROW: &str = "shared structs only grow at their end: put it back as it was, or give \
                             the new struct another name";
    let name = &new.name;
    if old.name != *name {
        return Err(format!("`{name}` is not `{}`", old.name));
    }
    let has = |layout: &SharedLayout, name: &str| layout.fields.iter().any(|f| f.name == name);
    for (index, was) in old.fields.iter().enumerate() {
        let field = &was.name;
        let Some(is) = new.fields.get(index).filter(|is| is.name == *field) else {
            let change = match new.fields.get(index) {
                _ if has(new, field) => match new.fields.get(index) {
                    Some(other) if !has(old, &other.name) => format!(
                        "field `{}` of shared struct `{name}` was added before `{field}`",
                        other.name
                    ),
                    _ => format!("field `{field}` of shared struct `{name}` moved"),
                },
                Some(is) if is.kind == was.kind && !has(old, &is.name) => format!(
                    "field `{field}` of shared struct `{name}` was renamed to `{}`",
                    is.name
                ),
                _ => format!("field `{field}` of shared struct `{name}` was removed"),
            };
            return Err(format!("{change}; {ONLY_GROW}"));
        };
        if is.kind != was.kind {
            let (from, to) = (was.kind.to_string(), is.kind.to_string());
            let change = if from == to {
                format!("field `{field}` of shared struct `{name}`: `{to}` changed its own fields")
            } else {
                format!("field `{field}` of shared struct `{name}` changed from `{from}` to `{to}`")
            };
            return Err(format!("{change}; {ONLY_GROW}"));
        }
        if (is.offset, is.size) != (was.offset, was.size) {
            return Err(format!(
                "field `{field}` of shared struct `{name}` moved from byte {} to byte {}; {ONLY_GROW}",
                was.offset, is.offset
            ));
        }
    }
    if new.version < old.version {
        return Err(format!(
            "shared struct `{name}` went back from version {} to {}; write `version = {}`",
            old.version,
            new.version,
            old.version + u32::from(new.fields.len() > old.fields.len())
        ));
    }
    if let Some(added) = new.fields.get(old.fields.len())
        && new.version == old.version
    {
        return Err(format!(
            "field `{}` of shared struct `{name}` was added; write `version = {}`",
            added.name,
            old.version.saturating_add(1)
        ));
    }
    if new.size < old.size || (new.fields.len() == old.fields.len() && new.size != old.size) {
        return Err(format!(
            "shared struct `{name}` changed from {} to {} bytes; {ONLY_GROW}",
            old.size, new.size
        ));
    }
    Ok(())
}

/// Whether `new` is an earlier version of `current`: a lower number, and the first of its fields.
/// Code of such a version may use the value as it is, so a rollback loses nothing.
pub fn is_older_version(current: &SharedLayout, new: &SharedLayout) -> bool {
    new.version < current.version
        && fits(
            &SharedLayout {
                version: 0,
                ..new.clone()
            },
            &SharedLayout {
                version: 1,
                ..current.clone()
            },
        )
        .is_ok()
}
