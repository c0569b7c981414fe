//! Scenes: the world as text to read, edit and keep under version control.
//!
//! ```ron
//! (
//!     format: 1,
//!     resources: {
//!         "game_logic::score::Score": (points: 12),
//!     },
//!     entities: {
//!         "1": (
//!             name: "Ship",
//!             components: {
//!                 "game_logic::player::Ship": (shields: 3, nose: (x: 0.0, y: 1.0)),
//!             },
//!         ),
//!         "2": (
//!             name: "Gun",
//!             parent: "1",
//!             components: {
//!                 "game_logic::player::Aim": (target: "1"),
//!             },
//!         ),
//!     },
//! )
//! ```
//!
//! It is RON. Entities are called by any text; what refers to one says that text
//! (`"PLACEHOLDER"` is none). Children have the order in which they are written. Fields
//! that are left out get their default values, resources that are left out stay as they
//! are, `disabled: true` disables an entity. Names that types and fields had before
//! (`RenamedFrom`) still work; what is unknown is an error, with the nearest name. There
//! are no messages and nothing of limbo in a scene.
//!
//! `ron`'s own values have no positions, and its deserializer wants the names of fields
//! when it is compiled. So [`parse`] makes a tree with positions of the text, and [`guide`]
//! makes [`Data`](crate::data::Data) of it with the schemas of the running types.

mod guide;
mod parse;
mod print;

use std::collections::HashMap;
use std::time::Duration;

use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::world::World;

use crate::checkpoint::restore::{Scope, restore_scope, was_called};
use crate::checkpoint::{
    Block, Capture, Checkpoint, Lost, Meta, Reason, RestoreError, RestoreReport, SavedColumn,
    SavedKind, SavedLimbo, SavedResource, SavedType, SavedValues, Texts,
};
use crate::data::Data;
use crate::state::StateBook;

use guide::Guide;
use parse::{Kind, Node};

pub use print::text;

/// Number of the format.
pub const FORMAT: u32 = 1;

/// A world as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedScene {
    /// The text.
    pub text: String,
    /// What is missing.
    pub lost: Vec<Lost>,
}

/// Why a scene was not loaded. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct SceneError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

impl SceneError {
    /// An error at a byte of the text.
    fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }
}

/// The world as text, in a stable order. A few microseconds per value.
pub fn save(world: &World, book: &StateBook) -> SavedScene {
    let checkpoint = Capture::take(world, book, meta()).into_checkpoint();
    SavedScene {
        text: text(&checkpoint),
        lost: checkpoint.lost,
    }
}

/// Scenes have no time.
fn meta() -> Meta {
    Meta {
        modules: Vec::new(),
        frame: 0,
        elapsed: Duration::ZERO,
        saved_at_ms: 0,
        reason: Reason::Exit,
    }
}

/// Replaces the game's entities, and the resources that the scene has, by those of a
/// scene; otherwise as [`restore`](crate::checkpoint::restore()).
///
/// # Errors
/// What is wrong with the text, and where. The world and the book are as they were.
pub fn load(
    text: &str,
    world: &mut World,
    book: &mut StateBook,
) -> Result<RestoreReport, SceneError> {
    let root = parse::parse(text)?;
    let reader = Reader::read(text, &root, book)?;
    let restored = restore_scope(world, book, &[], &reader.checkpoint, Scope::Mentioned);
    restored.map_err(|error| reader.explain(error))
}

/// A scene on its way to a checkpoint.
struct Reader<'t> {
    text: &'t str,
    checkpoint: Checkpoint,
    /// Where each value stands, by entity and type.
    nodes: HashMap<(Entity, String), &'t Node>,
}

impl<'t> Reader<'t> {
    fn read(text: &'t str, root: &'t Node, book: &StateBook) -> Result<Self, SceneError> {
        let mut reader = Self {
            text,
            checkpoint: Checkpoint {
                meta: meta(),
                types: types(book),
                blocks: Vec::new(),
                resources: Vec::new(),
                limbo: SavedLimbo::new(),
                lost: Vec::new(),
            },
            nodes: HashMap::new(),
        };
        let [format, resources, entities] =
            reader.fields(root, "a scene", ["format", "resources", "entities"])?;
        match format.map(|node| (&node.kind, node)) {
            None => return Err(reader.error(root, "`format: 1` is missing")),
            Some((Kind::Number(number), _)) if *number == FORMAT.to_string() => {}
            Some((_, node)) => {
                let message = format!("this engine reads scenes of format {FORMAT}");
                return Err(reader.error(node, message));
            }
        }
        let entities = reader.named(entities)?;
        let id = |index: usize| Entity::from_raw_u32(index as u32).unwrap_or(Entity::PLACEHOLDER);
        let mut labels = HashMap::from([(PLACEHOLDER.to_owned(), Entity::PLACEHOLDER)]);
        for (index, (key, label, _)) in entities.iter().enumerate() {
            if labels.insert((*label).to_owned(), id(index)).is_some() {
                return Err(reader.error(key, format!("entity {label:?} is there twice")));
            }
        }
        for (index, (_, _, node)) in entities.iter().enumerate() {
            reader.entity(id(index), node, &labels)?;
        }
        if let Some(index) = reader.own_ancestor() {
            let (key, label, _) = entities[index];
            let message = format!("entity {label:?} is among its own parents");
            return Err(reader.error(key, message));
        }
        let resources = reader.named(resources)?;
        for (index, (key, path, node)) in resources.into_iter().enumerate() {
            let entity = id(entities.len() + index);
            let column = reader.value(SavedKind::Resource, entity, (key, path, node), &labels)?;
            let of = column.of;
            let mut others = reader.checkpoint.resources.iter();
            if others.any(|other| other.column.of == of) {
                return Err(reader.error(key, format!("resource `{path}` is there twice")));
            }
            let entity = entity.to_bits();
            let resource = SavedResource { entity, column };
            reader.checkpoint.resources.push(resource);
        }
        Ok(reader)
    }

    /// An entity whose parents lead back to it.
    fn own_ancestor(&self) -> Option<usize> {
        let blocks = &self.checkpoint.blocks;
        let parent = |bits: u64| -> Option<u64> {
            let index = Entity::try_from_bits(bits)?.index_u32() as usize;
            blocks.get(index)?.parents.as_ref()?.first().copied()
        };
        blocks.iter().position(|block| {
            let start = block.entities.first().copied();
            let mut above = start.and_then(parent);
            for _ in 0..blocks.len() {
                if above.is_none() || above == start {
                    break;
                }
                above = above.and_then(parent);
            }
            above.is_some() && above == start
        })
    }

    fn error(&self, node: &Node, message: impl Into<String>) -> SceneError {
        SceneError::at(self.text, node.at, message)
    }

    /// The fields of a part of the scene itself.
    fn fields<const N: usize>(
        &self,
        node: &'t Node,
        what: &str,
        names: [&str; N],
    ) -> Result<[Option<&'t Node>; N], SceneError> {
        let fields: &[_] = match &node.kind {
            Kind::Struct(None, fields) => fields,
            Kind::Tuple(None, items) if items.is_empty() => &[],
            _ => return Err(self.error(node, format!("{what} is a struct: `({}: ..)`", names[0]))),
        };
        let mut found = [None; N];
        for (key, value) in fields {
            let Some(index) = names.iter().position(|name| *name == key.name) else {
                let message = guide::unknown("field", &key.name, names.into_iter());
                return Err(SceneError::at(self.text, key.at, message));
            };
            if found[index].replace(value).is_some() {
                let message = format!("field `{}` is there twice", key.name);
                return Err(SceneError::at(self.text, key.at, message));
            }
        }
        Ok(found)
    }

    /// A map with texts as keys: key, its text, value.
    fn named(
        &self,
        node: Option<&'t Node>,
    ) -> Result<Vec<(&'t Node, &'t str, &'t Node)>, SceneError> {
        let Some(node) = node else {
            return Ok(Vec::new());
        };
        let Kind::Map(pairs) = &node.kind else {
            return Err(self.error(node, "this is a map: `{\"name\": value}`"));
        };
        let pairs = pairs.iter().map(|(key, value)| match &key.kind {
            Kind::Text(text) => Ok((key, text.as_str(), value)),
            _ => Err(self.error(key, "names stand in quotes here")),
        });
        pairs.collect()
    }

    fn entity(
        &mut self,
        entity: Entity,
        node: &'t Node,
        labels: &HashMap<String, Entity>,
    ) -> Result<(), SceneError> {
        let names = ["name", "parent", "disabled", "components"];
        let [name, parent, disabled, components] = self.fields(node, "an entity", names)?;
        let mut block = Block {
            entities: vec![entity.to_bits()],
            ..Block::default()
        };
        if let Some((_, text)) = self.optional_text(name)? {
            let mut names = Texts::default();
            names.push(text);
            block.names = Some(names);
        }
        if let Some((node, label)) = self.optional_text(parent)? {
            let guide = Guide::new(self.text, labels);
            block.parents = Some(vec![guide.entity(node, label)?]);
        }
        block.disabled = match disabled.map(|node| (&node.kind, node)) {
            None => false,
            Some((Kind::Name(name), _)) if name == "true" => true,
            Some((Kind::Name(name), _)) if name == "false" => false,
            Some((_, node)) => return Err(self.error(node, "this is `true` or `false`")),
        };
        for (key, path, node) in self.named(components)? {
            let column = self.value(SavedKind::Component, entity, (key, path, node), labels)?;
            if block.columns.iter().any(|other| other.of == column.of) {
                return Err(self.error(key, format!("component `{path}` is there twice")));
            }
            block.columns.push(column);
        }
        self.checkpoint.blocks.push(block);
        Ok(())
    }

    /// `None`, a text, or `Some` of one.
    fn optional_text(
        &self,
        node: Option<&'t Node>,
    ) -> Result<Option<(&'t Node, &'t str)>, SceneError> {
        let Some(node) = node else {
            return Ok(None);
        };
        match &node.kind {
            Kind::Name(name) if name == "None" => Ok(None),
            Kind::Text(text) => Ok(Some((node, text))),
            Kind::Tuple(Some(name), items) if name == "Some" && items.len() == 1 => {
                self.optional_text(items.first())
            }
            _ => Err(self.error(node, "this is a text in quotes, or `None`")),
        }
    }

    fn value(
        &mut self,
        kind: SavedKind,
        entity: Entity,
        (key, path, node): (&'t Node, &'t str, &'t Node),
        labels: &HashMap<String, Entity>,
    ) -> Result<SavedColumn, SceneError> {
        let types = &self.checkpoint.types;
        let of_kind = || {
            types
                .iter()
                .enumerate()
                .filter(|(_, saved)| saved.kind == kind)
        };
        let found = of_kind()
            .find(|(_, saved)| saved.schema.path == path)
            .or_else(|| of_kind().find(|(_, saved)| was_called(&saved.schema, path)));
        let Some((of, saved)) = found else {
            let paths = of_kind().map(|(_, saved)| saved.schema.path.as_str());
            return Err(self.error(key, guide::unknown(kind.name(), path, paths)));
        };
        let data = Guide::new(self.text, labels).value(node, &saved.schema)?;
        self.nodes.insert((entity, saved.schema.path.clone()), node);
        Ok(SavedColumn {
            of: of as u32,
            values: SavedValues::Data(vec![Some(data)]),
        })
    }

    /// The place in the text of what could not be made.
    fn explain(&self, error: RestoreError) -> SceneError {
        match error {
            RestoreError::Misfit {
                type_path,
                entity,
                field,
                message,
                ..
            } => {
                let node = self.nodes.get(&(entity, type_path.clone()));
                let offset = node.map_or(0, |node| node.find(&field).at);
                let of = match field.as_str() {
                    "" => format!("`{type_path}`"),
                    field => format!("`{field}` of `{type_path}`"),
                };
                SceneError::at(self.text, offset, format!("{of}: {message}"))
            }
            error => SceneError::at(self.text, 0, error.to_string()),
        }
    }
}

/// What refers to no entity.
const PLACEHOLDER: &str = "PLACEHOLDER";

/// Types that a scene can have.
fn types(book: &StateBook) -> Vec<SavedType> {
    let types = book.known_types().into_iter();
    types
        .filter_map(|(kind, _, schema, module, kept)| {
            let kind = SavedKind::of(kind).filter(|kind| *kind != SavedKind::Message)?;
            kept.values?;
            Some(SavedType {
                kind,
                module: module.to_owned(),
                schema: schema.clone(),
            })
        })
        .collect()
}

/// Whether these are the fields of a tuple.
fn is_tuple(fields: &[(String, Data)]) -> bool {
    let mut names = fields.iter().map(|(name, _)| name).enumerate();
    names.all(|(index, name)| *name == index.to_string())
}

#[cfg(test)]
mod tests;
