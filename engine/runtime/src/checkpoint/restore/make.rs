//! Makes the values that a checkpoint holds, by the code that runs now. Changes nothing of
//! the world.

use std::collections::{HashMap, HashSet};

use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::ptr::Ptr;
use engine_api::bevy_ecs::world::World;
use engine_api::bevy_reflect::TypeRegistry;
use engine_api::schema::{Schema, Shape};

use super::buffer::Buffer;
use super::ids::Ids;
use super::matching::{Chains, Running, matches, was_called};
use super::{Made, NewColumn, NewValue, RestoreError, RestoreReport, Scope, damaged};
use crate::checkpoint::plain::{self, Plain};
use crate::checkpoint::{Checkpoint, SavedColumn, SavedKind, SavedLimbo, SavedValues, unpack};
use crate::data::{Data, Fitter};
use crate::migrate::{renames, written};
use crate::panic;

/// Makes the values.
pub(super) struct Maker<'a> {
    running: &'a [Running],
    registries: Vec<Option<TypeRegistry>>,
    chains: Chains<'a>,
    checkpoint: &'a Checkpoint,
    matches: Vec<Option<usize>>,
    map: HashMap<u64, Entity>,
    /// The entity of each running resource.
    resource_entities: Vec<Option<Entity>>,
    scope: Scope,
    limbo: SavedLimbo,
    report: RestoreReport,
}

impl<'a> Maker<'a> {
    pub(super) fn new(
        world: &World,
        running: &'a [Running],
        checkpoint: &'a Checkpoint,
        ids: Ids,
        chains: Chains<'a>,
        scope: Scope,
    ) -> Self {
        let matches = matches(&checkpoint.types, running);
        let entities = world.resource_entities();
        let of_resource = |running: &Running| match running.kind {
            SavedKind::Component => None,
            _ => entities.get(running.component),
        };
        let resource_entities: Vec<_> = running.iter().map(of_resource).collect();
        let mut map = ids.map;
        for saved in &checkpoint.resources {
            let running = matches.get(saved.column.of as usize).copied().flatten();
            let entity = running.and_then(|running| resource_entities[running]);
            let entity = entity.unwrap_or(Entity::PLACEHOLDER);
            map.entry(saved.entity).or_insert(entity);
        }
        map.insert(Entity::PLACEHOLDER.to_bits(), Entity::PLACEHOLDER);
        Self {
            running,
            registries: running.iter().map(|_| None).collect(),
            chains,
            checkpoint,
            matches,
            map,
            resource_entities,
            scope,
            limbo: SavedLimbo::new(),
            report: RestoreReport::default(),
        }
    }

    pub(super) fn make(mut self) -> Result<Made<'a>, RestoreError> {
        let extra = self.limbo()?;
        let mut blocks = Vec::new();
        for block in &self.checkpoint.blocks {
            let mut columns = Vec::new();
            for column in &block.columns {
                match self.running_of(column)? {
                    Some(running) => {
                        let values = self.column(running, column, &block.entities)?;
                        columns.push(self.new_column(running, values));
                    }
                    None => self.unknown(column, &block.entities),
                }
            }
            blocks.push(columns);
        }
        let mut resources = Vec::new();
        let mut present = HashSet::new();
        for saved in &self.checkpoint.resources {
            match self.running_of(&saved.column)? {
                Some(running) => {
                    let values = self.column(running, &saved.column, &[saved.entity])?;
                    if values.has(0) {
                        resources.push(self.new_column(running, values));
                    }
                    present.insert(running);
                }
                None => self.unknown(&saved.column, &[Entity::PLACEHOLDER.to_bits()]),
            }
        }
        // From limbo, those of types that nobody registered before.
        let (of_resources, extra): (Vec<NewValue>, Vec<NewValue>) = extra
            .into_iter()
            .partition(|(entity, _)| *entity == Entity::PLACEHOLDER);
        resources.extend(of_resources.into_iter().map(|(_, column)| column));
        let absent = match self.scope {
            Scope::Mentioned => Vec::new(),
            Scope::Everything => (self.matches.iter().flatten())
                .filter(|running| !present.contains(running))
                .filter(|running| self.running[**running].kind == SavedKind::Resource)
                .map(|running| self.running[*running].component)
                .collect(),
        };
        self.report.unknown.sort();
        self.report.unknown.dedup();
        Ok(Made {
            checkpoint: self.checkpoint,
            map: self.map,
            blocks,
            extra,
            resources,
            absent,
            limbo: self.limbo,
            report: self.report,
        })
    }

    fn running_of(&self, column: &SavedColumn) -> Result<Option<usize>, RestoreError> {
        let found = self.matches.get(column.of as usize);
        found
            .copied()
            .ok_or_else(|| damaged("it has values of a type that it does not describe"))
    }

    fn new_column(&self, running: usize, values: Buffer) -> NewColumn {
        let running = &self.running[running];
        NewColumn {
            component: running.component,
            storage: running.storage,
            values,
        }
    }

    /// Takes over limbo. Values of types that were unknown and are registered again come
    /// out of it, as those of an entity, or of the placeholder for resources.
    fn limbo(&mut self) -> Result<Vec<NewValue>, RestoreError> {
        let mut extra = Vec::new();
        for (path, entities) in &self.checkpoint.limbo {
            let types = self.checkpoint.types.iter().zip(&self.matches);
            let became: Vec<usize> = types
                .filter(|(saved, _)| saved.schema.path == *path)
                .filter_map(|(_, found)| *found)
                .collect();
            let known = |kind: fn(SavedKind) -> bool| {
                let mut running = self.running.iter().enumerate();
                let found = running.find(|(index, running)| {
                    kind(running.kind)
                        && (running.schema.path == *path
                            || was_called(&running.schema, path)
                            || became.contains(index))
                });
                found.map(|(index, _)| index)
            };
            let component = known(|kind| kind == SavedKind::Component);
            let resource = known(|kind| kind != SavedKind::Component);
            let by_name = component.or(resource);
            let new_path = by_name.map_or(path, |running| &self.running[running].schema.path);
            for (bits, parts) in entities {
                let Some(entity) = self.map.get(bits).copied() else {
                    continue;
                };
                // The value itself last: it takes from the parts that are kept by then.
                let (whole, parts): (Vec<_>, Vec<_>) =
                    parts.iter().partition(|(part, _)| part.is_empty());
                for (part, data) in parts.into_iter().chain(whole) {
                    let mut data = data.clone();
                    self.follow(&mut data);
                    let of_resource = entity == Entity::PLACEHOLDER;
                    let running = if of_resource { resource } else { component };
                    if let Some(running) = running.filter(|_| part.is_empty()) {
                        let mut values = self.buffer(running, 1);
                        self.fit(running, &data, &mut values, (0, *bits, path))?;
                        self.report.restored += 1;
                        extra.push((entity, self.new_column(running, values)));
                        continue;
                    }
                    let owner = running.and_then(|running| self.resource_entities[running]);
                    let owner = owner.filter(|_| of_resource).unwrap_or(entity);
                    let of_type = self.limbo.entry(new_path.clone()).or_default();
                    let kept = of_type.entry(owner.to_bits()).or_default();
                    kept.push((part.clone(), data));
                }
            }
        }
        Ok(extra)
    }

    /// Values of a type that nobody registers go to limbo.
    fn unknown(&mut self, column: &SavedColumn, entities: &[u64]) {
        let checkpoint = self.checkpoint;
        let path = &checkpoint.types[column.of as usize].schema.path;
        self.report.unknown.push(path.clone());
        for (index, bits) in entities.iter().enumerate() {
            let entity = self.map.get(bits).copied();
            if let (Some(entity), Some(mut data)) = (entity, checkpoint.value(column, index)) {
                self.follow(&mut data);
                let of_type = self.limbo.entry(path.clone()).or_default();
                let parts = of_type.entry(entity.to_bits()).or_default();
                parts.push((String::new(), data));
            }
        }
    }

    fn buffer(&self, running: usize, count: usize) -> Buffer {
        let running = &self.running[running];
        Buffer::new(running.values, &running.schema, count)
    }

    /// Makes the values of a column.
    fn column(
        &mut self,
        running: usize,
        column: &SavedColumn,
        entities: &[u64],
    ) -> Result<Buffer, RestoreError> {
        let checkpoint = self.checkpoint;
        let schema = &checkpoint.types[column.of as usize].schema;
        let count = match &column.values {
            SavedValues::Data(values) => values.len(),
            SavedValues::Packed(values) => values.len(),
            SavedValues::Plain(bytes) => match plain::width(schema) {
                Some(0) => entities.len(),
                Some(width) if bytes.len().is_multiple_of(width) => bytes.len() / width,
                _ => usize::MAX,
            },
        };
        if count != entities.len() {
            return Err(damaged("it has more or fewer values than entities"));
        }
        let mut values = self.buffer(running, count);
        let same = same_bytes(schema, &self.running[running].schema);
        let as_bytes = same && !self.checkpoint.limbo.contains_key(&schema.path);
        for (index, bits) in entities.iter().enumerate() {
            let is_missing = match &column.values {
                SavedValues::Data(values) => values[index].is_none(),
                SavedValues::Packed(values) => values.is_missing(index),
                SavedValues::Plain(_) => false,
            };
            if is_missing {
                continue;
            }
            let data = checkpoint.value(column, index);
            let mut data = data.ok_or_else(|| damaged("a value cannot be read"))?;
            self.follow(&mut data);
            if self.chains[running].is_none() {
                renames::undo(
                    &mut data,
                    &schema.shape,
                    &self.running[running].schema.shape,
                );
            }
            self.fit(running, &data, &mut values, (index, *bits, &schema.path))?;
            if let SavedValues::Plain(bytes) = &column.values
                && index == 0
                && as_bytes
                && self.copies(running, bytes, &mut values)?
            {
                break;
            }
        }
        self.report.values += values.count();
        Ok(values)
    }

    /// Makes all values of a column from its first one and the packed bytes. `false` if
    /// the type is not made for that.
    fn copies(
        &self,
        running: usize,
        bytes: &[u8],
        values: &mut Buffer,
    ) -> Result<bool, RestoreError> {
        let running = &self.running[running];
        let schema = &running.schema;
        // SAFETY: the first value was made just now.
        let first = unsafe { (running.values.reflect)(Ptr::new(values.slot(0))) };
        let (Some(plain), Some(width)) = (Plain::of(schema, first), plain::width(schema)) else {
            return Ok(false);
        };
        for index in 1..values.len() {
            let packed = &bytes[index * width..][..width];
            if !unpack::is_valid(schema, packed) {
                return Err(damaged("a value cannot be read"));
            }
            // SAFETY: the parts were found in a value of the type, which needs no drop (it
            // would have no width); the packed ones are valid.
            values.copy_first(index, |slot| unsafe { plain.unpack(packed, slot) });
        }
        Ok(true)
    }

    /// Makes a value.
    fn fit(
        &mut self,
        running: usize,
        data: &Data,
        values: &mut Buffer,
        (index, bits, old_path): (usize, u64, &str),
    ) -> Result<(), RestoreError> {
        let running_type = &self.running[running];
        let schema = &running_type.schema;
        let entity = Entity::try_from_bits(bits).unwrap_or(Entity::PLACEHOLDER);
        let misfit = |field: String, message: String| RestoreError::Misfit {
            kind: running_type.kind,
            type_path: schema.path.clone(),
            entity,
            field,
            message,
        };
        let registry = self.registries[running].get_or_insert_with(|| {
            let mut registry = TypeRegistry::new();
            if let Some(reflect) = running_type.kept.reflect {
                let _ = panic::guard(|| reflect(&mut registry));
            }
            registry
        });
        let in_limbo = |path: &str| {
            let of = |name: &str| self.checkpoint.limbo.get(name)?.get(&bits);
            let parts = of(old_path).into_iter().chain(of(&schema.path)).flatten();
            let mut found = parts.filter(|(part, _)| part == path);
            let mut data = found.next()?.1.clone();
            follow(&mut data, &self.map, &mut 0);
            Some(data)
        };
        let fitter = Fitter {
            registry,
            limbo: &in_limbo,
        };
        if let Some((saved, chain)) = &self.chains[running] {
            let made = panic::guard(|| {
                let made = written::run(chain, data, saved, registry)
                    .map_err(|message| misfit(String::new(), message))?;
                // SAFETY: the buffer was made for this type.
                if unsafe { values.write(index, &*made) } {
                    Ok(())
                } else {
                    let message = "the value that the migration made could not be taken";
                    Err(misfit(String::new(), message.to_owned()))
                }
            });
            return made.map_err(|report| RestoreError::Panicked {
                type_path: schema.path.clone(),
                summary: report.summary(),
            })?;
        }
        let made = panic::guard(|| {
            let made = fitter.fit(data, schema);
            let made = made.map_err(|error| misfit(error.path, error.message))?;
            // SAFETY: the buffer was made for this type.
            let written = unsafe { values.write(index, &*made.value) };
            if !written {
                let message = "a part that was added has no default value; derive `Default` and \
                               add `#[reflect(Default)]`";
                return Err(misfit(String::new(), message.to_owned()));
            }
            Ok((made.removed, made.restored))
        });
        let (removed, restored) = made.map_err(|report| RestoreError::Panicked {
            type_path: schema.path.clone(),
            summary: report.summary(),
        })??;
        self.report.removed += removed.len();
        self.report.restored += restored.len();
        if removed.is_empty() && restored.is_empty() {
            return Ok(());
        }
        let new = match running_type.kind {
            SavedKind::Component => self.map.get(&bits).copied(),
            _ => self.resource_entities[running],
        };
        let of_type = self.limbo.entry(schema.path.clone()).or_default();
        let kept = of_type
            .entry(new.unwrap_or(Entity::PLACEHOLDER).to_bits())
            .or_default();
        kept.retain(|(part, _)| !restored.contains(part));
        for (part, data) in removed {
            kept.retain(|(other, _)| *other != part);
            kept.push((part, data));
        }
        Ok(())
    }

    /// Makes entities in data those that they are now.
    fn follow(&mut self, data: &mut Data) {
        follow(data, &self.map, &mut self.report.dangling);
    }
}

fn follow(data: &mut Data, map: &HashMap<u64, Entity>, dangling: &mut usize) {
    match data {
        Data::Entity(bits) => {
            let new = map.get(bits).copied();
            if new.is_none() {
                *dangling += 1;
            }
            *bits = new.unwrap_or(Entity::PLACEHOLDER).to_bits();
        }
        Data::Struct(fields) | Data::Variant(_, fields) => {
            for (_, data) in fields {
                follow(data, map, dangling);
            }
        }
        Data::List(items) => {
            for data in items {
                follow(data, map, dangling);
            }
        }
        Data::Map(pairs) => {
            for (key, value) in pairs {
                follow(key, map, dangling);
                follow(value, map, dangling);
            }
        }
        _ => {}
    }
}

/// Whether packed values of one schema are those of the other, with nothing to change.
fn same_bytes(old: &Schema, new: &Schema) -> bool {
    fn has_entity(path: &str, shape: &Shape) -> bool {
        match shape {
            Shape::Struct { fields, .. } => {
                let mut fields = fields.iter();
                fields.any(|field| has_entity(&field.path, &field.shape))
            }
            Shape::Array(item, _) => has_entity(&item.path, &item.shape),
            _ => path == "bevy_ecs::entity::Entity",
        }
    }
    old.path == new.path && old.shape == new.shape && !has_entity(&new.path, &new.shape)
}
