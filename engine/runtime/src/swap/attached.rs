//! What entities have attached, beside what the active versions register.

use std::collections::BTreeMap;

use engine_api::attach::{Attachable, Attached};
use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::query::Allow;
use engine_api::bevy_ecs::world::World;

use super::ActiveModules;

impl ActiveModules {
    /// Tells the world what can be attached to its entities.
    pub(super) fn publish_attachable(&self, world: &mut World) {
        let names = self.modules.iter().flat_map(|active| &active.attachable);
        world.insert_resource(Attachable::new(names.cloned().collect()));
    }

    /// Functions that are attached to entities of a world and that no active version
    /// registers, in words. A look at each entity that has any.
    pub fn unheard(&self, world: &World) -> Vec<String> {
        let known = |name: &str| {
            let mut modules = self.modules.iter();
            modules.any(|active| active.attachable.iter().any(|known| known == name))
        };
        let Some(mut attached) = world.try_query_filtered::<&Attached, Allow<Disabled>>() else {
            return Vec::new();
        };
        let mut unheard: BTreeMap<&str, usize> = BTreeMap::new();
        for name in attached.iter(world).flat_map(Attached::names) {
            if !known(name) {
                *unheard.entry(name).or_default() += 1;
            }
        }
        let in_words = unheard.into_iter().map(|(name, count)| {
            let entities = if count == 1 { "entity" } else { "entities" };
            format!(
                "`{name}` is attached to {count} {entities} and registered by no module \
                 (`m.entity_observer`); it stays attached and is called again when it is \
                 registered under this path"
            )
        });
        in_words.collect()
    }
}
