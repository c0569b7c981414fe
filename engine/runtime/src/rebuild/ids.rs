//! Entity ids while there are two worlds.
//!
//! The new world gets an allocator of its own whose fresh ids begin where those of the
//! old one end. At the end the old allocator moves over and learns which ids were
//! given out meanwhile; if the new world is given up, it has never been touched.

use std::mem;

use engine_api::bevy_ecs::entity::{Entity, EntityAllocator};

use super::hollow::ALLOCATOR_BUFFER;

/// How many ids an allocator has ever given out. Only its debug text tells.
pub(crate) fn total(allocator: &EntityAllocator) -> Option<u32> {
    let text = format!("{allocator:?}");
    let (_, rest) = text.split_once("total_indices: ")?;
    let end = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// An allocator whose first id is `first`.
pub(super) fn beginning_at(first: u32) -> EntityAllocator {
    let allocator = EntityAllocator::default();
    // The ids before it are not lost, they belong to the other world.
    mem::forget(allocator.alloc_many(first));
    allocator
}

/// Lets `old` know what happened to ids in `meanwhile`, which began at `first`.
///
/// Cost: nothing if no id was taken, else in proportion to the free list.
pub(super) fn hand_over(old: &mut EntityAllocator, meanwhile: &mut EntityAllocator, first: u32) {
    let end = total(meanwhile).unwrap_or(first);
    // What was freed last waits in a buffer that only further frees push out.
    for _ in 0..=ALLOCATOR_BUFFER {
        meanwhile.free(Entity::PLACEHOLDER);
    }
    let mut freed = Vec::new();
    loop {
        let entity = meanwhile.alloc();
        if entity == Entity::PLACEHOLDER {
            continue;
        }
        if entity.index_u32() >= end {
            break;
        }
        freed.push(entity);
    }
    let mut kept = Vec::new();
    let mut taken = end - first;
    while taken > 0 {
        let entity = old.alloc();
        if entity.index_u32() < first {
            kept.push(entity);
        } else {
            taken -= 1;
        }
    }
    // Back in the order in which they would have come.
    kept.reverse();
    if !kept.is_empty() {
        old.free_many(&kept);
    }
    freed.reverse();
    for entity in freed {
        old.free(entity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_readable() {
        let mut allocator = EntityAllocator::default();
        assert_eq!(total(&allocator), Some(0));
        let entity = allocator.alloc();
        allocator.alloc();
        allocator.free(entity);
        assert_eq!(total(&allocator), Some(2));
        assert_eq!(total(&beginning_at(17)), Some(17));
        assert_eq!(beginning_at(17).alloc().index_u32(), 17);
    }
}
