//! What lies at an address of the world, for people.

use engine_api::bevy_ecs::component::{ComponentId, ComponentInfo};
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::storage::Table;
use engine_api::bevy_ecs::world::World;
use engine_api::state::StateKind;

use crate::drain::Witness;
use crate::registry::VersionKey;
use crate::state::StateBook;
use crate::state::references::Reason;
use crate::swap::ActiveModules;

/// Values in sparse sets are looked at one by one, but no more than so many.
const LOOKED_AT: usize = 10_000;

/// The world and what is known of its types, as witness of what refers to a version. Answers
/// between two frames; each answer takes a walk over the tables.
pub(crate) struct WorldWitness<'a> {
    world: &'a World,
    book: &'a StateBook,
    /// Observers that systems added.
    foreign_observers: usize,
}

impl Witness for WorldWitness<'_> {
    fn references(
        &self,
        module: &str,
        key: VersionKey,
        inside: &dyn Fn(usize) -> bool,
    ) -> Vec<Reason> {
        let mut reasons = self.book.references(self.world, module, key, inside);
        if self.foreign_observers > 0 {
            let count = self.foreign_observers;
            let text = format!("{count} observers that systems added");
            reasons.push(Reason::guess(text));
        }
        reasons
    }

    fn could_be_rebuilt(&self) -> bool {
        // A new world would not have these observers.
        self.foreign_observers == 0
    }

    fn place(&self, address: usize) -> Option<String> {
        let tables = self.world.storages().tables.iter();
        let mut places = tables.filter_map(|table| self.place_in(table, address));
        let place = places.next();
        place
            .or_else(|| self.place_in_sparse_sets(address))
            .or_else(|| self.place_of_non_send(address))
    }
}

impl<'a> WorldWitness<'a> {
    pub(crate) fn new(world: &'a World, book: &'a StateBook, modules: &ActiveModules) -> Self {
        Self {
            world,
            book,
            foreign_observers: modules.foreign_observers(world),
        }
    }
}

impl WorldWitness<'_> {
    fn place_in(&self, table: &Table, address: usize) -> Option<String> {
        for (component, info) in self.world.components().iter_registered() {
            let size = info.layout().size();
            let Some(column) = table.get_column(component).filter(|_| size > 0) else {
                continue;
            };
            // SAFETY: no values at all are asked for, only where they begin.
            let start = unsafe { column.get_data_slice::<u8>(0) }.as_ptr().addr();
            let Some(distance) = address.checked_sub(start) else {
                continue;
            };
            if let Some(entity) = table.entities().get(distance / size) {
                return Some(self.tell(component, *entity, distance % size));
            }
        }
        None
    }

    fn place_in_sparse_sets(&self, address: usize) -> Option<String> {
        let mut left = LOOKED_AT;
        for archetype in self.world.archetypes().iter() {
            for component in archetype.iter_components() {
                let Some(values) = self.world.storages().sparse_sets.get(component) else {
                    continue;
                };
                let size = self.size(component);
                for entity in archetype.entities().iter().take(left) {
                    left -= 1;
                    let start = values.get(entity.id()).map(|value| value.as_ptr().addr());
                    let offset = start.and_then(|start| address.checked_sub(start));
                    if let Some(offset) = offset.filter(|offset| *offset < size) {
                        return Some(self.tell(component, entity.id(), offset));
                    }
                }
            }
        }
        None
    }

    fn tell(&self, component: ComponentId, entity: Entity, offset: usize) -> String {
        match self.name(component) {
            (name, true) => format!("{name}, offset {offset}"),
            (name, false) => format!("{name} of entity {entity}, offset {offset}"),
        }
    }

    fn size(&self, component: ComponentId) -> usize {
        let info = self.world.components().get_info(component);
        info.map_or(0, |info| info.layout().size())
    }

    fn place_of_non_send(&self, address: usize) -> Option<String> {
        let mut all = self.world.storages().non_sends.iter();
        all.find_map(|(component, data)| {
            let start = data
                .get_data()
                .filter(|_| data.is_present())?
                .as_ptr()
                .addr();
            let offset = address.checked_sub(start)?;
            (offset < self.size(component)).then_some(())?;
            Some(format!("{}, offset {offset}", self.name(component).0))
        })
    }

    /// A component's name with what it is, and whether it is a resource.
    fn name(&self, component: ComponentId) -> (String, bool) {
        let type_id = self
            .world
            .components()
            .get_info(component)
            .and_then(ComponentInfo::type_id);
        let mut known = self.book.names();
        match known.find(|(_, stored, _)| Some(*stored) == type_id) {
            Some((kind, _, name)) => (
                format!("{} `{name}`", kind.name()),
                kind == StateKind::Resource,
            ),
            None => ("an unregistered component".to_owned(), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use engine_api::prelude::*;

    use super::*;
    use crate::state::KeptType;
    use crate::testing::describe;

    #[derive(Component, Reflect, Default)]
    #[reflect(Component, Default)]
    struct Handlers(u64, u64, u64);

    #[derive(Resource, Reflect, Default)]
    #[reflect(Resource, Default)]
    struct Hooks(u64, u64);

    #[derive(Component)]
    struct Unknown(u64);

    fn register(m: &mut ModuleBuilder) {
        m.component::<Handlers>().resource::<Hooks>();
    }

    #[test]
    fn values_have_the_names_that_people_know() {
        let mut world = super::World::new();
        let types = describe(register).types.into_iter();
        let with_kept = |state| {
            let kept = KeptType::of(&state);
            (state, kept)
        };
        let types: Vec<_> = types.map(with_kept).collect();
        let mut book = StateBook::default();
        let all = (0..types.len()).collect();
        book.adopt(&[("game".to_owned(), all)], &types, &[]);
        world.spawn(Handlers(1, 2, 3));
        let entity = world.spawn((Handlers(4, 5, 6), Unknown(7))).id();
        world.insert_resource(Hooks(8, 9));
        let witness = WorldWitness {
            world: &world,
            book: &book,
            foreign_observers: 0,
        };
        let at = |place: &u64| witness.place(std::ptr::from_ref(place).addr());
        let handlers = world.get::<Handlers>(entity).unwrap();
        let expected = format!("component `Handlers` of entity {entity}, offset 16");
        assert_eq!(at(&handlers.2), Some(expected));
        let hooks = world.resource::<Hooks>();
        assert_eq!(at(&hooks.1).as_deref(), Some("resource `Hooks`, offset 8"));
        let unknown = &world.get::<Unknown>(entity).unwrap().0;
        let expected = format!("an unregistered component of entity {entity}, offset 0");
        assert_eq!(at(unknown), Some(expected));
        assert_eq!(at(&10), None);
    }
}
