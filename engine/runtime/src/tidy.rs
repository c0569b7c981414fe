//! Overwriting what the world left behind of old versions.
//!
//! A world keeps memory that it has no use for at the moment: rows of tables behind the last
//! one, places of observers that were removed, commands that were applied. What was in it is
//! still there, and a look through all memory would take it for references.

use engine_api::bevy_ecs::archetype::Archetype;
use engine_api::bevy_ecs::component::ComponentId;
use engine_api::bevy_ecs::observer::ObserverMap;
use engine_api::bevy_ecs::ptr::Ptr;
use engine_api::bevy_ecs::storage::Table;
use engine_api::bevy_ecs::world::World;

use crate::rebuild::for_observer_maps;

/// Most bytes of unused rows that are overwritten at once, so that a frame is not late for it:
/// about a millisecond. What is beyond keeps versions until it is used again.
const ROWS: usize = 8 << 20;
/// Sparse sets of more values are left as they are: looking for the first takes too long.
const SPARSE: usize = 10_000;
/// Words of commands that are overwritten; more than most games queue at once.
const COMMANDS: usize = 2048;

/// Overwrites what is unused, between two frames. Takes microseconds for a small world, at most
/// about a millisecond for a large one.
pub(crate) fn world(world: &mut World) {
    unused_rows(world);
    removed_observers(world);
    applied_commands(world);
}

fn unused_rows(world: &mut World) {
    unused_sparse_rows(world);
    let mut left = ROWS;
    for table in world.storages().tables.iter() {
        let unused = table.capacity() - table.entities().len();
        for (component, info) in world.components().iter_registered() {
            let layout = info.layout();
            let bytes = unused * layout.size();
            // Smaller values cannot hold a pointer.
            let matters = layout.align() >= align_of::<usize>() && bytes > 0;
            if matters && bytes <= left && table.has_column(component) {
                left -= bytes;
                overwrite_unused(table, component, layout.size());
            }
        }
    }
}

/// Overwrites the values of a column behind the last row.
fn overwrite_unused(table: &Table, component: ComponentId, size: usize) {
    let (rows, capacity) = (table.entities().len(), table.capacity());
    let Some(column) = table.get_column(component) else {
        return;
    };
    // SAFETY: no values at all are asked for, only where they begin.
    let first = unsafe { column.get_data_slice::<u8>(0) }.as_ptr();
    let first = first.cast_mut().cast::<u8>();
    // SAFETY: the column has room for `capacity` values of this size. Those behind the last row
    // are given up, nothing refers to them, and the caller has the world for itself.
    unsafe {
        first
            .add(rows * size)
            .write_bytes(0, (capacity - rows) * size);
    };
}

/// The same for components that are kept in sparse sets, as bevy's observers are. Such a set
/// shows its values one by one and not how many it has room for, which the allocator knows. One
/// without any value is left as it is.
fn unused_sparse_rows(world: &mut World) {
    for (component, set) in world.storages().sparse_sets.iter() {
        let Some(info) = world.components().get_info(component) else {
            continue;
        };
        let size = info.layout().size();
        if size == 0 || info.layout().align() < align_of::<usize>() || set.len() > SPARSE {
            continue;
        }
        let all = world.archetypes().iter();
        let with = all.filter(|archetype| archetype.contains(component));
        let entities = with.flat_map(Archetype::entities);
        let values = entities.filter_map(|entity| set.get(entity.id()));
        if let Some(first) = values.map(Ptr::as_ptr).min() {
            // SAFETY: the first value lies at the start of what the set has allocated. Behind
            // its last one nothing is, and the caller has the world for itself.
            unsafe { overwrite_block(first.cast_mut(), set.len() * size) };
        }
    }
}

/// Overwrites a block of the allocator from its byte `used` on.
///
/// # Safety
/// `block` came from the allocator, and nobody refers to what is overwritten.
#[cfg(target_os = "linux")]
unsafe fn overwrite_block(block: *mut u8, used: usize) {
    // SAFETY: the caller's promise.
    let size = unsafe { libc::malloc_usable_size(block.cast()) };
    if let Some(unused) = size.checked_sub(used).filter(|unused| *unused <= ROWS) {
        // SAFETY: all bytes that the allocator names may be used.
        unsafe { block.add(used).write_bytes(0, unused) };
    }
}

#[cfg(not(target_os = "linux"))]
unsafe fn overwrite_block(_block: *mut u8, _used: usize) {}

/// Puts the observers that are left into new maps: the old ones, with the places of those that
/// were removed, are freed.
fn removed_observers(world: &mut World) {
    let renew = |map: &mut ObserverMap| {
        // A copy of the memory as it is would have the same places, so it is made one by one.
        let left: ObserverMap = map.iter().map(|(of, run)| (*of, *run)).collect();
        *map = left;
    };
    // SAFETY: the new map has the entries of the old one.
    unsafe { for_observer_maps(world, renew) };
}

/// Fills the world's queue with a command that does nothing.
fn applied_commands(world: &mut World) {
    let zeros = [0_u64; COMMANDS];
    world.commands().queue(move |_: &mut World| {
        std::hint::black_box(&zeros);
    });
    world.flush();
}

#[cfg(test)]
mod tests {
    use engine_api::prelude::*;

    #[derive(Component)]
    struct Word(#[expect(dead_code, reason = "looked at as memory")] u64);

    #[derive(Component)]
    #[component(storage = "SparseSet")]
    struct Sparse(u64);

    #[derive(Event)]
    struct Ping;

    #[derive(Resource, Default)]
    struct Heard(u32);

    const MARK: u64 = 0x0ddb_a115_5eed_f00d;

    fn words(world: &mut World) -> Vec<u64> {
        let component = world.register_component::<Word>();
        let tables = world.storages().tables.iter();
        let mut words = Vec::new();
        for table in tables {
            let Some(column) = table.get_column(component) else {
                continue;
            };
            // SAFETY: only where they begin.
            let first = unsafe { column.get_data_slice::<u64>(0) }.as_ptr();
            let first = first.cast::<u64>();
            // SAFETY: this test has written to all of them.
            words.extend((0..table.capacity()).map(|row| unsafe { *first.add(row) }));
        }
        words
    }

    #[test]
    fn rows_that_are_not_used_any_more_are_overwritten_and_others_are_not() {
        let mut world = World::new();
        let all: Vec<Entity> = (0..4).map(|_| world.spawn(Word(MARK)).id()).collect();
        assert_eq!(words(&mut world), [MARK; 4], "the table is full");
        world.despawn(all[1]);
        world.despawn(all[3]);
        assert_eq!(words(&mut world), [MARK; 4], "they are left");
        super::world(&mut world);
        assert_eq!(words(&mut world), [MARK, MARK, 0, 0]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn values_in_sparse_sets_are_overwritten_as_well() {
        let mut world = World::new();
        let all: Vec<Entity> = (0..4).map(|_| world.spawn(Sparse(MARK)).id()).collect();
        let at = |world: &World, row: usize| {
            let first = std::ptr::from_ref(world.get::<Sparse>(all[0]).unwrap());
            // SAFETY: this test has written to four of them.
            unsafe { (*first.add(row)).0 }
        };
        world.despawn(all[3]);
        assert_eq!(at(&world, 3), MARK, "it is left");
        super::world(&mut world);
        let words: Vec<u64> = (0..4).map(|row| at(&world, row)).collect();
        assert_eq!(words, [MARK, MARK, MARK, 0]);
    }

    #[test]
    fn observers_that_are_left_go_on() {
        let mut world = World::new();
        world.init_resource::<Heard>();
        let observers: Vec<Entity> = (1..=20)
            .map(|weight| {
                let hear = move |_: On<Ping>, mut heard: ResMut<Heard>| heard.0 += weight;
                world.add_observer(hear).id()
            })
            .collect();
        for removed in &observers[2..] {
            world.despawn(*removed);
        }
        super::world(&mut world);
        world.trigger(Ping);
        assert_eq!(world.resource::<Heard>().0, 3);
        let event = world.register_event_key::<Ping>();
        let heard = world.observers().try_get_observers(event).unwrap();
        assert!(heard.global_observers().capacity() < 8, "the map is new");
    }
}
