//! What the entities of a checkpoint are called in the world that it goes into.
//!
//! In a new world nearly all ids are free, so entities keep theirs: what people noted down,
//! or a script, still means the same entity after a crash. An id that is taken, by an entity
//! of the engine or because the world is not new, is replaced by another one.

use std::collections::{BTreeMap, HashMap, HashSet};

use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::world::World;

use super::{RestoreError, Scope, damaged};
use crate::checkpoint::Checkpoint;
use crate::rebuild::total;

/// How often an id may have been used in all, counted for all entities together, so that
/// they keep their ids. bevy_ecs counts one life after the other, at about 50 ns each.
const MOST_LIVES: u32 = 2_000_000;
/// How many ids beyond those of a world's entities may lie between them.
const MOST_GAPS: u32 = 1 << 20;

/// Ids for the entities of a checkpoint.
pub(super) struct Ids {
    /// By the bits of the old ones.
    pub(super) map: HashMap<u64, Entity>,
    /// All that were allocated.
    pub(super) new: Vec<Entity>,
}

impl Ids {
    /// The order of the entities stays as it was, for all that get new ids.
    pub(super) fn allocate(
        world: &mut World,
        checkpoint: &Checkpoint,
        scope: Scope,
    ) -> Result<Self, RestoreError> {
        let all = checkpoint.blocks.iter().flat_map(|block| &block.entities);
        let old: Option<Vec<Entity>> = all.map(|bits| Entity::try_from_bits(*bits)).collect();
        let mut old = old.ok_or_else(|| damaged("an entity id is none"))?;
        old.sort_by_key(|entity| entity.index_u32());
        if old
            .windows(2)
            .any(|two| two[0].index_u32() == two[1].index_u32())
        {
            return Err(damaged("an entity is there twice"));
        }
        // What was written by hand has numbers in place of ids.
        let kept = match scope {
            Scope::Everything => keep(world, &old),
            Scope::Mentioned => Vec::new(),
        };
        let staying: HashSet<Entity> = kept.iter().copied().collect();
        let moving = old.iter().filter(|entity| !staying.contains(*entity));
        let moving: Vec<Entity> = moving.copied().collect();
        let mut new: Vec<Entity> = world
            .entity_allocator()
            .alloc_many(moving.len() as u32)
            .collect();
        new.sort_by_key(|entity| entity.index_u32());
        let map = moving.iter().zip(&new).map(|(old, new)| (*old, *new));
        let map = map.chain(kept.iter().map(|kept| (*kept, *kept)));
        let map = map.map(|(old, new)| (old.to_bits(), new)).collect();
        new.extend(kept);
        Ok(Self { map, new })
    }
}

/// Allocates all of `wanted`, which are in order, that are free, and gives them.
fn keep(world: &mut World, wanted: &[Entity]) -> Vec<Entity> {
    let Some(given) = total(world.entity_allocator()) else {
        return Vec::new();
    };
    let most = given.saturating_add(MOST_GAPS) + wanted.len() as u32;
    let wanted = wanted.iter().filter(|entity| entity.index_u32() < most);
    let Some(last) = wanted.clone().map(|entity| entity.index_u32()).max() else {
        return Vec::new();
    };
    let mut free = BTreeMap::new();
    loop {
        // First what was used and freed, then one index after the other.
        let entity = world.entity_allocator().alloc();
        free.insert(entity.index_u32(), entity);
        if entity.index_u32() >= given.max(last) {
            break;
        }
    }
    let mut lives = MOST_LIVES;
    let mut kept = Vec::new();
    for entity in wanted {
        let Some(now) = free.remove(&entity.index_u32()) else {
            continue;
        };
        let (from, to) = (now.generation().to_bits(), entity.generation().to_bits());
        let between = to.wrapping_sub(from);
        if between <= lives && age(world, now, between) == Some(*entity) {
            lives -= between;
            kept.push(*entity);
        } else {
            free.insert(
                now.index_u32(),
                world.entities().resolve_from_index(now.index()),
            );
        }
    }
    // Lower ones are given out first.
    let rest: Vec<Entity> = free.into_values().rev().collect();
    world.entity_allocator_mut().free_many(&rest);
    kept
}

/// What an id is called after so many lives.
fn age(world: &mut World, entity: Entity, lives: u32) -> Option<Entity> {
    (0..lives).try_fold(entity, |entity, _| {
        world.spawn_empty_at(entity).ok()?;
        world.despawn_no_free(entity)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawn(world: &mut World, count: usize) -> Vec<Entity> {
        let ids = (0..count).map(|_| world.spawn_empty().id());
        ids.collect()
    }

    fn id(index: u32, generation: u32) -> Entity {
        let first = Entity::from_raw_u32(index).unwrap();
        Entity::from_bits(u64::from(generation) << 32 | first.to_bits())
    }

    #[test]
    fn free_ids_are_kept_and_nobody_else_gets_them() {
        let mut world = World::new();
        let own = spawn(&mut world, 3);
        let first = own[2].index_u32() + 1;
        let lives = [0, 3, 1, 0, 70];
        // Every second index, in various lives, and one that is taken.
        let wanted: Vec<Entity> = lives
            .iter()
            .zip(0..)
            .map(|(lives, n)| id(first + 2 * n, *lives))
            .collect();
        let kept = keep(&mut world, &[&own[2..], &wanted].concat());
        assert_eq!(kept, wanted);
        for entity in &kept {
            let spawned = world.spawn_empty_at(*entity).map(|entity| entity.id());
            assert_eq!(spawned.ok(), Some(*entity));
        }
        // What is spawned from now on has other ids.
        let more = spawn(&mut world, 1000);
        assert!(more.iter().all(|entity| !kept.contains(entity)));
    }

    #[test]
    fn ids_of_endless_games_and_far_away_ones_are_given_up() {
        let mut world = World::new();
        let wanted = [
            id(10, 3),
            id(11, 3_000_000),
            id(12, 1),
            id(4_000_000_000, 0),
        ];
        assert_eq!(keep(&mut world, &wanted), [id(10, 3), id(12, 1)]);
        assert!(total(world.entity_allocator()).unwrap() < 20);
    }
}
