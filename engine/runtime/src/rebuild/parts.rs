//! What bevy_ecs shows only for reading, and this module has to write.
//!
//! Everything here depends on how bevy_ecs 0.20.1 is built inside; the version is
//! pinned in the workspace manifest, and each assumption is checked when it is used.

use std::mem::ManuallyDrop;
use std::ptr;

use bevy_platform::collections::HashMap;
use engine_api::bevy_ecs::change_detection::Tick;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::event::EventKey;
use engine_api::bevy_ecs::lifecycle::{ADD, DESPAWN, DISCARD, INSERT, REMOVE};
use engine_api::bevy_ecs::observer::{
    CachedComponentObservers, CachedObservers, ObserverMap, Observers,
};
use engine_api::bevy_ecs::storage::Table;
use engine_api::bevy_ecs::world::World;

/// A field of `whole` for writing, given the getter that shows it for reading.
///
/// # Safety
/// What is written must keep the promises that `whole` makes about its field.
///
/// # Panics
/// If the getter shows something that does not lie inside `whole` itself.
pub(crate) unsafe fn part_mut<W, P>(whole: &mut W, part: impl FnOnce(&W) -> &P) -> &mut P {
    let start = ptr::from_ref::<W>(whole).addr();
    let offset = ptr::from_ref::<P>(part(whole)).addr().wrapping_sub(start);
    let inside = offset
        .checked_add(size_of::<P>())
        .is_some_and(|end| end <= size_of::<W>());
    assert!(inside, "the part is not a field of the whole");
    // SAFETY: a `P` was just seen at this offset inside of `whole`, and the pointer comes
    // from the exclusive borrow of all of it, which the result keeps.
    unsafe { &mut *ptr::from_mut(whole).byte_add(offset).cast::<P>() }
}

/// Events whose observers have a field of their own, and where those of all others are.
const OWN_EVENTS: [EventKey; 5] = [ADD, INSERT, DISCARD, REMOVE, DESPAWN];
type OtherEvents = HashMap<EventKey, CachedObservers>;
const _: () = assert!(
    size_of::<Observers>()
        == OWN_EVENTS.len() * size_of::<CachedObservers>() + size_of::<OtherEvents>()
);

/// Runs `act` on each map of a world's observers.
///
/// # Safety
/// `act` leaves the entries of the map as they are.
pub(crate) unsafe fn for_observer_maps(world: &mut World, mut act: impl FnMut(&mut ObserverMap)) {
    // SAFETY: only maps are written, and their entries stay by the caller's promise.
    let observers = unsafe { part_mut(world, World::observers) };
    for event in OWN_EVENTS {
        let Some(cached) = observers.try_get_observers(event).map(ptr::from_ref) else {
            continue;
        };
        // SAFETY: as above; the getter has just shown it.
        let cached = unsafe { part_mut(observers, |_| &*cached) };
        for_maps_of(cached, &mut act);
    }
    for cached in other_events(observers).values_mut() {
        for_maps_of(cached, &mut act);
    }
}

/// What lies in `observers` beside the observers of its own events: there is no getter.
fn other_events(observers: &mut Observers) -> &mut OtherEvents {
    let start = ptr::from_ref(observers).addr();
    let mut own = OWN_EVENTS.map(|event| {
        let cached = observers.try_get_observers(event).map(ptr::from_ref);
        cached.map_or(0, |cached| cached.addr().wrapping_sub(start))
    });
    own.sort_unstable();
    let size = size_of::<CachedObservers>();
    let before = own.iter().enumerate();
    let before = before.take_while(|(index, offset)| **offset == index * size);
    let first = before.count();
    let behind = first * size + size_of::<OtherEvents>();
    let mut rest = own[first..].iter().enumerate();
    let is_gap = rest.all(|(index, offset)| *offset == behind + index * size);
    assert!(is_gap, "the other observers are not where they should be");
    // SAFETY: all other fields lie before or behind these bytes, which are as many as this field
    // takes. The pointer comes from the exclusive borrow of the whole, which the result keeps.
    unsafe { &mut *ptr::from_mut(observers).byte_add(first * size).cast() }
}

fn for_maps_of(cached: &mut CachedObservers, act: &mut impl FnMut(&mut ObserverMap)) {
    // SAFETY: only maps are written, whose entries stay, see `for_observer_maps`.
    act(unsafe { part_mut(cached, CachedObservers::global_observers) });
    // SAFETY: as above.
    let of_entities = unsafe { part_mut(cached, CachedObservers::entity_observers) };
    of_entities.values_mut().for_each(&mut *act);
    // SAFETY: as above.
    let of_components = unsafe { part_mut(cached, CachedObservers::component_observers) };
    for of_one in of_components.values_mut() {
        // SAFETY: as above.
        act(unsafe { part_mut(of_one, CachedComponentObservers::global_observers) });
        let of_entities = CachedComponentObservers::entity_component_observers;
        // SAFETY: as above.
        let of_entities = unsafe { part_mut(of_one, of_entities) };
        of_entities.values_mut().for_each(&mut *act);
    }
}

/// Turns the world's tick to `tick`, forwards or around. The compiler makes one addition
/// of the loop; without any optimisation (`opt-level = 0`) turning back takes seconds.
pub(super) fn set_tick(world: &mut World, tick: Tick) {
    let steps = tick.get().wrapping_sub(world.change_tick().get());
    for _ in 0..steps {
        world.increment_change_tick();
    }
}

const WORD: usize = size_of::<usize>();
const TABLE_WORDS: usize = size_of::<Table>() / WORD;
const _: () = assert!(size_of::<Table>().is_multiple_of(WORD) && TABLE_WORDS >= 3);
const _: () = assert!(size_of::<Vec<Entity>>() == 3 * WORD);

/// Makes a table forget its rows: no value is dropped, its memory is still freed with
/// it. False if the list of entities could not be found inside the table.
///
/// A table frees what its columns hold by the length of its list of entities, which no
/// public function shortens without dropping values. The list is found by its three
/// words (address, length, capacity), which are known.
pub(super) fn forget_rows(table: &mut Table) -> bool {
    let (len, capacity) = (table.entities().len(), table.capacity());
    if len == 0 {
        return true;
    }
    let entities = table.entities().as_ptr().cast_mut();
    // SAFETY: these are the parts of the vector in the table. This second one is never
    // used nor dropped, only its words are looked at.
    let twin = ManuallyDrop::new(unsafe { Vec::from_raw_parts(entities, len, capacity) });
    // SAFETY: a vector is three words without padding (checked above), and any value is
    // a valid `usize`.
    let wanted: [usize; 3] = unsafe { std::mem::transmute_copy(&twin) };
    let words = ptr::from_mut(table).cast::<usize>();
    // SAFETY: the table is as many words, all of its fields are slices, vectors and
    // numbers of whole words, so none is padding.
    let seen: [usize; TABLE_WORDS] = unsafe { words.cast::<[usize; TABLE_WORDS]>().read() };
    let mut places = (0..=TABLE_WORDS - 3).filter(|&at| seen[at..at + 3] == wanted);
    let (Some(place), None) = (places.next(), places.next()) else {
        return false;
    };
    // SAFETY: only the vector itself can hold these three words: the address belongs to
    // it alone. The pointer comes from the exclusive borrow of the table. A shorter
    // length is always allowed.
    unsafe { (*words.add(place).cast::<Vec<Entity>>()).set_len(0) };
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine_api::bevy_ecs;
    use engine_api::prelude::*;

    use super::*;

    #[derive(Component)]
    struct Owner(#[expect(dead_code, reason = "counts")] Arc<()>);

    #[test]
    fn rows_are_forgotten() {
        let mut world = World::new();
        let arc = Arc::new(());
        world.spawn_batch((0..100).map(|_| Owner(arc.clone())));
        // SAFETY: the world is dropped next.
        let storages = unsafe { part_mut(&mut world, World::storages) };
        for index in 0..storages.tables.len() {
            let id = bevy_ecs::storage::TableId::from_usize(index);
            assert!(forget_rows(&mut storages.tables[id]));
            assert!(storages.tables[id].is_empty());
        }
        drop(world);
        assert_eq!(Arc::strong_count(&arc), 101);
    }

    #[test]
    fn all_maps_of_observers_are_found() {
        #[derive(Event)]
        struct Ping;
        #[derive(EntityEvent)]
        struct Poke(Entity);

        let mut world = World::new();
        let target = world.spawn_empty().id();
        let mut expected: Vec<Entity> = [
            world.add_observer(|_: On<Ping>| {}).id(),
            world.add_observer(|_: On<Add<Owner>>| {}).id(),
            world.add_observer(|_: On<Remove<Owner>>| {}).id(),
        ]
        .into();
        world.entity_mut(target).observe(|_: On<Poke>| {});
        world.entity_mut(target).observe(|_: On<Insert<Owner>>| {});
        let observed = world.get::<bevy_ecs::observer::ObservedBy>(target).unwrap();
        expected.extend(observed.get());
        let mut found = Vec::new();
        // SAFETY: nothing is written.
        unsafe { for_observer_maps(&mut world, |map| found.extend(map.keys().copied())) };
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn ticks_turn_both_ways() {
        let mut world = World::new();
        for tick in [5, 4, u32::MAX, 0, 77] {
            set_tick(&mut world, Tick::new(tick));
            assert_eq!(world.change_tick(), Tick::new(tick));
        }
    }
}
