//! Checkpoints: the world saved at a moment, restorable by a later process.
//!
//! ```text
//! frame thread   Capture::take ──► bytes of columns, values packed one after the other
//!                      │ send
//! writer thread  Capture::into_checkpoint ──► Store::write   (temporary file, fsync, rename)
//!
//! next process   Store::latest ──► modules are loaded and swapped in ──► restore
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`capture`] | what the frame thread takes |
//! | [`plain`] | values without heap: from memory to bytes and back |
//! | [`pack`] | all values: through reflection to bytes |
//! | [`unpack`] | bytes and a schema to [`Data`] |
//! | [`file`] | the file format |
//! | [`store`] | the folder with the last checkpoints |
//! | [`restore`] | a checkpoint into a world whose modules are loaded |
//!
//! A checkpoint describes itself: it has the schemas of its types, so it can be read
//! without the code that made it, and is migrated when the code is another one by then.

pub mod capture;
pub mod file;
pub mod pack;
pub mod plain;
pub(crate) mod quiet;
pub mod restore;
pub mod store;
pub mod unpack;

use std::collections::BTreeMap;
use std::time::Duration;

use engine_api::schema::Schema;
use engine_api::state::StateKind;
use engine_api::time::Time;
use serde::{Deserialize, Serialize};

use crate::data::Data;

pub use capture::Capture;
pub use file::FileError;
pub use restore::{RestoreError, RestoreReport, restore};
pub use store::{Damaged, Latest, Store, Written};

/// Why a checkpoint was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// Before a version was swapped in.
    Swap,
    /// Time had passed.
    Interval,
    /// The game ended.
    Exit,
}

impl Reason {
    /// For display.
    pub fn name(self) -> &'static str {
        match self {
            Self::Swap => "swap",
            Self::Interval => "interval",
            Self::Exit => "exit",
        }
    }
}

/// The version of a module that ran when a checkpoint was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleMeta {
    /// Module.
    pub name: String,
    /// Number of the version.
    pub version: u32,
    /// The crate's own version.
    pub label: String,
    /// Content hash of the artifact.
    pub hash: u64,
    /// File name of the artifact, if it is kept.
    pub artifact: Option<String>,
    /// What the module gave to be kept for its next version, if it was asked.
    pub state: Option<Vec<u8>>,
}

/// When, why and of what a checkpoint was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Modules that ran.
    pub modules: Vec<ModuleMeta>,
    /// Number of the last frame.
    pub frame: u64,
    /// Game time.
    pub elapsed: Duration,
    /// Wall clock, in milliseconds since 1970.
    pub saved_at_ms: u64,
    /// Why.
    pub reason: Reason,
}

impl Meta {
    /// The clock to go on with. Advances one step per frame that was, about 2 ns each, so
    /// that it is exactly the one that was saved if the step is the same.
    pub fn clock(&self, step: Duration) -> Time {
        let mut time = Time::new(step);
        for _ in 0..self.frame {
            time.advance(step);
        }
        time
    }
}

/// What a type is used as; of [`StateKind`], those with values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SavedKind {
    /// Data of entities.
    Component,
    /// Data there is one of.
    Resource,
    /// A queue of messages.
    Message,
}

impl SavedKind {
    /// `None` for events, which have no values.
    pub fn of(kind: StateKind) -> Option<Self> {
        match kind {
            StateKind::Component => Some(Self::Component),
            StateKind::Resource => Some(Self::Resource),
            StateKind::Message => Some(Self::Message),
            StateKind::Event => None,
        }
    }

    /// The kind's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Component => StateKind::Component.name(),
            Self::Resource => StateKind::Resource.name(),
            Self::Message => StateKind::Message.name(),
        }
    }
}

/// A type as it was when the checkpoint was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedType {
    /// What it is used as.
    pub kind: SavedKind,
    /// Module that registered it.
    pub module: String,
    /// What it is made of, with its path.
    pub schema: Schema,
}

/// Values of one type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SavedValues {
    /// Those of a plain type, packed one after the other; all have one width.
    Plain(#[serde(with = "bytes")] Vec<u8>),
    /// Packed values of any width.
    Packed(Packed),
    /// Those that were not in a world: `None` for those that are missing.
    Data(Vec<Option<Data>>),
}

/// Packed values of any width.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    #[serde(with = "bytes")]
    bytes: Vec<u8>,
    /// Where each one ends, and whether it is there: those that could not be taken are not.
    ends: Vec<(u64, bool)>,
}

impl Packed {
    /// Adds the value that `pack` appends to the bytes; a piece of one, if it fails, is
    /// taken away again.
    pub fn push(&mut self, pack: impl FnOnce(&mut Vec<u8>) -> bool) {
        // A panic may have left a piece.
        let start = self.ends.last().map_or(0, |(end, _)| *end as usize);
        self.bytes.truncate(start);
        let is_there = pack(&mut self.bytes);
        if !is_there {
            self.bytes.truncate(start);
        }
        self.ends.push((self.bytes.len() as u64, is_there));
    }

    /// Number of values, those that are missing included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether a value could not be taken.
    pub fn is_missing(&self, index: usize) -> bool {
        matches!(self.ends.get(index), Some((_, false)))
    }

    /// The bytes of a value; `None` if it is missing.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let start = match index {
            0 => 0,
            index => self.ends.get(index - 1)?.0,
        };
        let (end, is_there) = *self.ends.get(index)?;
        let bytes = self.bytes.get(start as usize..end as usize)?;
        is_there.then_some(bytes)
    }
}

/// Bytes as bytes, not as a list of numbers.
mod bytes {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    #[expect(clippy::ptr_arg, reason = "serde hands over what the field is")]
    pub(super) fn serialize<S: Serializer>(bytes: &Vec<u8>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

/// A component of all entities of a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedColumn {
    /// Index into [`Checkpoint::types`].
    pub of: u32,
    /// One per entity.
    pub values: SavedValues,
}

/// Entities with the same components.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// What they were called.
    pub entities: Vec<u64>,
    /// Whether they are disabled.
    pub disabled: bool,
    /// Their names, if they have any.
    pub names: Option<Texts>,
    /// Their parents, if they have any.
    pub parents: Option<Vec<u64>>,
    /// Their children in order, if they have any: how many each has, and all of them.
    pub children: Option<(Vec<u32>, Vec<u64>)>,
    /// Components that modules registered.
    pub columns: Vec<SavedColumn>,
}

/// Many short texts in one long one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    text: String,
    ends: Vec<u32>,
}

impl Texts {
    /// Adds one.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
    }

    /// The text with this number.
    pub fn get(&self, index: usize) -> Option<&str> {
        let start = match index {
            0 => 0,
            index => *self.ends.get(index - 1)?,
        };
        self.text
            .get(start as usize..*self.ends.get(index)? as usize)
    }
}

/// A resource, or a queue of messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedResource {
    /// The entity that held it.
    pub entity: u64,
    /// The one value.
    pub column: SavedColumn,
}

/// Values that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Path of their type.
    pub type_path: String,
    /// How many.
    pub values: usize,
    /// Why, and what to do.
    pub reason: String,
}

/// Parts of values that the types had no place for: by type path and entity.
pub type SavedLimbo = BTreeMap<String, BTreeMap<u64, Vec<(String, Data)>>>;

/// A world at one moment, without any code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// When, why and of what it was made.
    pub meta: Meta,
    /// All types that were registered.
    pub types: Vec<SavedType>,
    /// Entities.
    pub blocks: Vec<Block>,
    /// Resources and messages.
    pub resources: Vec<SavedResource>,
    /// What had no place.
    pub limbo: SavedLimbo,
    /// What is missing.
    pub lost: Vec<Lost>,
}

impl Checkpoint {
    /// The value with this number of a column; `None` if there is none, or it is damaged.
    pub fn value(&self, column: &SavedColumn, index: usize) -> Option<Data> {
        match &column.values {
            SavedValues::Data(values) => values.get(index)?.clone(),
            SavedValues::Packed(values) => {
                let schema = &self.types.get(column.of as usize)?.schema;
                unpack::read(schema, values.get(index)?)
            }
            SavedValues::Plain(bytes) => {
                let schema = &self.types.get(column.of as usize)?.schema;
                let width = plain::width(schema)?;
                let start = index.checked_mul(width)?;
                unpack::read(schema, bytes.get(start..start.checked_add(width)?)?)
            }
        }
    }

    /// Number of entities.
    pub fn entities(&self) -> usize {
        self.blocks.iter().map(|block| block.entities.len()).sum()
    }
}

#[cfg(test)]
pub(crate) mod tests;
