//! Limbo: parts of values that the running schema has no place for.
//!
//! A field that is removed keeps its value here, for each entity, until the entity dies
//! or a person clears it. When the field comes back, or an older version does, the value
//! goes back to its place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use engine_api::bevy_ecs::entity::Entity;

use crate::data::Data;

/// Parts of values by entity, with their paths.
pub type Parts = HashMap<u64, Vec<(String, Data)>>;

/// Values of removed fields, by type path and entity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limbo {
    types: HashMap<String, OfType>,
    /// What [`Limbo::fields`] says; counted when something changes.
    fields: Vec<LimboField>,
}

/// What is kept of one type.
#[derive(Debug, Clone, Default, PartialEq)]
struct OfType {
    /// Shared with checkpoints that are being written.
    parts: Arc<Parts>,
    /// Those that can only be cloned. They belong to running code and stay on its thread.
    live: Parts,
}

impl OfType {
    fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.live.is_empty()
    }

    fn all(&self) -> impl Iterator<Item = &(String, Data)> {
        self.parts.values().chain(self.live.values()).flatten()
    }

    fn remove(&mut self, entity: Entity, path: &str) {
        let bits = &entity.to_bits();
        let has = |parts: &Parts| {
            let mut of_entity = parts.get(bits).into_iter().flatten();
            of_entity.any(|(part, _)| part == path)
        };
        let remove = |parts: &mut Parts| {
            if let Some(of_entity) = parts.get_mut(bits) {
                of_entity.retain(|(part, _)| part != path);
                if of_entity.is_empty() {
                    parts.remove(bits);
                }
            }
        };
        if has(&self.parts) {
            remove(Arc::make_mut(&mut self.parts));
        }
        remove(&mut self.live);
    }

    fn add(&mut self, entity: Entity, path: String, data: Data) {
        self.remove(entity, &path);
        let parts = match data.live_part() {
            None => Arc::make_mut(&mut self.parts),
            Some(_) => &mut self.live,
        };
        parts
            .entry(entity.to_bits())
            .or_default()
            .push((path, data));
    }
}

/// What a migration does to limbo.
#[derive(Debug, Default)]
pub struct LimboChanges {
    added: Vec<(String, Entity, String, Data)>,
    taken: Vec<(String, Entity, String)>,
    renamed: Vec<(String, String)>,
}

impl LimboChanges {
    /// A part goes to limbo.
    pub fn add(&mut self, type_path: &str, entity: Entity, path: String, data: Data) {
        self.added.push((type_path.to_owned(), entity, path, data));
    }

    /// A part went back to its place.
    pub fn take(&mut self, type_path: &str, entity: Entity, path: String) {
        self.taken.push((type_path.to_owned(), entity, path));
    }

    /// A type has another path from now on.
    pub fn rename(&mut self, from: &str, to: &str) {
        self.renamed.push((from.to_owned(), to.to_owned()));
    }
}

/// What is in limbo of one field, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimboField {
    /// Path of the type.
    pub type_path: String,
    /// Path of the field within it.
    pub field: String,
    /// Number of entities whose value is kept.
    pub entities: usize,
    /// Size in memory, about, in bytes.
    pub bytes: usize,
}

impl Limbo {
    /// Whether anything is kept of a type.
    pub fn has_type(&self, type_path: &str) -> bool {
        self.types.contains_key(type_path)
    }

    /// Paths of all types that something is kept of.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// Values of a type that are kept as a whole, and whose they are.
    pub fn whole(&self, type_path: &str) -> impl Iterator<Item = (Entity, &Data)> {
        let kept = self
            .types
            .get(type_path)
            .map(|of_type| of_type.parts.iter());
        let parts = kept.into_iter().flatten();
        parts.filter_map(|(bits, parts)| {
            let (_, data) = parts.iter().find(|(part, _)| part.is_empty())?;
            Some((Entity::try_from_bits(*bits)?, data))
        })
    }

    /// All parts of an entity's value, with their paths.
    pub fn parts(&self, type_path: &str, entity: Entity) -> impl Iterator<Item = &(String, Data)> {
        let of_type = self.types.get(type_path);
        let maps = of_type.map(|of_type| [&*of_type.parts, &of_type.live]);
        let lists = maps.into_iter().flatten();
        lists
            .filter_map(move |parts| parts.get(&entity.to_bits()))
            .flatten()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// A part of an entity's value.
    pub fn get(&self, type_path: &str, entity: Entity, path: &str) -> Option<&Data> {
        let of_type = self.types.get(type_path)?;
        let bits = entity.to_bits();
        let found = [&*of_type.parts, &of_type.live]
            .into_iter()
            .filter_map(|parts| parts.get(&bits));
        let (_, data) = found.flatten().find(|(part, _)| part == path)?;
        Some(data)
    }

    /// What is kept, by type path, as it is now, without what can only be cloned
    /// ([`Limbo::live_fields`]). Costs nothing; for any thread.
    pub fn image(&self) -> Vec<(String, Arc<Parts>)> {
        let types = self.types.iter();
        types
            .map(|(path, of_type)| (path.clone(), of_type.parts.clone()))
            .collect()
    }

    /// Types and fields that only running code can keep, and of how many entities.
    pub fn live_fields(&self) -> HashMap<(&str, &str), usize> {
        let mut fields = HashMap::new();
        for (type_path, of_type) in &self.types {
            for (path, _) in of_type.live.values().flatten() {
                *fields.entry((&**type_path, &**path)).or_insert(0) += 1;
            }
        }
        fields
    }

    /// Does what migrations decided.
    pub fn apply(&mut self, changes: LimboChanges) {
        for (from, to) in changes.renamed {
            if let Some(kept) = self.types.remove(&from) {
                let to = self.types.entry(to).or_default();
                Arc::make_mut(&mut to.parts).extend(Arc::unwrap_or_clone(kept.parts));
                to.live.extend(kept.live);
            }
        }
        for (type_path, entity, path) in changes.taken {
            if let Some(of_type) = self.types.get_mut(&type_path) {
                of_type.remove(entity, &path);
            }
        }
        for (type_path, entity, path, data) in changes.added {
            let of_type = self.types.entry(type_path).or_default();
            of_type.add(entity, path, data);
        }
        self.settle();
    }

    /// After a change: no empty maps, new figures.
    fn settle(&mut self) {
        self.types.retain(|_, of_type| !of_type.is_empty());
        self.fields = self.count();
    }

    /// Forgets what belongs to entities that are gone. Costs a look-up per entity kept.
    pub fn sweep(&mut self, is_alive: impl Fn(Entity) -> bool) {
        let stays = |bits: &u64| Entity::try_from_bits(*bits).is_some_and(&is_alive);
        for of_type in self.types.values_mut() {
            let gone: HashSet<u64> = of_type
                .parts
                .keys()
                .copied()
                .filter(|b| !stays(b))
                .collect();
            if !gone.is_empty() {
                let parts = Arc::make_mut(&mut of_type.parts);
                parts.retain(|bits, _| !gone.contains(bits));
            }
            of_type.live.retain(|bits, _| stays(bits));
        }
        self.settle();
    }

    /// Forgets everything of a type, or everything.
    pub fn clear(&mut self, type_path: Option<&str>) {
        match type_path {
            Some(path) => drop(self.types.remove(path)),
            None => self.types.clear(),
        }
        self.settle();
    }

    /// What is kept, by type and field, sorted. Costs nothing.
    pub fn fields(&self) -> &[LimboField] {
        &self.fields
    }

    fn count(&self) -> Vec<LimboField> {
        let mut found: Vec<LimboField> = Vec::new();
        for (type_path, of_type) in &self.types {
            let mut fields: HashMap<&str, (usize, usize)> = HashMap::new();
            for (path, data) in of_type.all() {
                let field = fields.entry(path).or_default();
                field.0 += 1;
                field.1 += data.bytes();
            }
            found.extend(
                fields
                    .into_iter()
                    .map(|(field, (entities, bytes))| LimboField {
                        type_path: type_path.clone(),
                        field: field.to_owned(),
                        entities,
                        bytes,
                    }),
            );
        }
        found.sort_by(|a, b| (&a.type_path, &a.field).cmp(&(&b.type_path, &b.field)));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(index: u32) -> Entity {
        Entity::from_raw_u32(index).unwrap()
    }

    #[test]
    fn parts_come_and_go_with_their_entities() {
        let mut limbo = Limbo::default();
        let mut changes = LimboChanges::default();
        changes.add("Health", entity(1), "armor".into(), Data::Int(5));
        changes.add("Health", entity(2), "armor".into(), Data::Int(6));
        changes.add("Health", entity(2), "name".into(), Data::Text("Ann".into()));
        limbo.apply(changes);
        let sizes = |limbo: &Limbo| -> Vec<(String, usize)> {
            let fields = limbo.fields().iter();
            fields
                .map(|field| (field.field.clone(), field.entities))
                .collect()
        };
        assert_eq!(sizes(&limbo), [("armor".into(), 2), ("name".into(), 1)]);
        assert_eq!(limbo.get("Health", entity(2), "armor"), Some(&Data::Int(6)));

        let mut changes = LimboChanges::default();
        changes.take("Health", entity(2), "armor".into());
        changes.add("Health", entity(1), "armor".into(), Data::Int(7));
        limbo.apply(changes);
        assert_eq!(sizes(&limbo), [("armor".into(), 1), ("name".into(), 1)]);
        assert_eq!(limbo.get("Health", entity(1), "armor"), Some(&Data::Int(7)));

        let mut changes = LimboChanges::default();
        changes.rename("Health", "Life");
        limbo.apply(changes);
        assert!(!limbo.has_type("Health"));
        limbo.sweep(|alive| alive == entity(2));
        assert_eq!(sizes(&limbo), [("name".into(), 1)]);
        limbo.sweep(|_| false);
        assert!(limbo.is_empty());
    }
}
