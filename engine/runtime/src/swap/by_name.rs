//! What entities have by name, attached observers and callbacks that wait, beside what the
//! active versions register.

use std::collections::BTreeMap;

use engine_api::attach::{Attachable, Attached};
use engine_api::bevy_ecs::component::Component;
use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::query::Allow;
use engine_api::bevy_ecs::world::World;
use engine_api::callback::{Callable, Callback};
use engine_api::observer::ObserverRegistration;

use super::ActiveModules;

/// What entities may have by name of one version: paths of functions.
pub(super) struct Names {
    /// Observers that can be attached.
    attachable: Vec<String>,
    /// Functions that can be called back.
    callable: Vec<String>,
}

impl Names {
    pub(super) fn new(observers: &[ObserverRegistration], callable: Vec<String>) -> Self {
        let attachable = observers.iter().filter(|observer| observer.attachable);
        Self {
            attachable: attachable.map(|observer| observer.name.clone()).collect(),
            callable,
        }
    }
}

impl ActiveModules {
    /// Tells the world what can be attached to its entities, and what can be called back.
    pub(super) fn publish_names(&self, world: &mut World) {
        let all = |names: fn(&Names) -> &Vec<String>| {
            let modules = self.modules.iter();
            modules
                .flat_map(|active| names(&active.names))
                .cloned()
                .collect::<Vec<String>>()
        };
        world.insert_resource(Attachable::new(all(|names| &names.attachable)));
        world.insert_resource(Callable(all(|names| &names.callable)));
    }

    /// Functions that entities of a world have by name and that no active version registers,
    /// in words. A look at each entity that has any.
    pub fn unheard(&self, world: &World) -> Vec<String> {
        let registered = |names: fn(&Names) -> &Vec<String>, name: &str| {
            let mut all = self.modules.iter().flat_map(|active| names(&active.names));
            all.any(|known| known == name)
        };
        let attached = count(world, Attached::names);
        let callbacks = count(world, |callback: &Callback| [callback.function()]);
        let unheard = attached
            .into_iter()
            .filter(|(name, _)| !registered(|names| &names.attachable, name));
        let unheard = unheard.map(|(name, count)| {
            let entities = if count == 1 { "entity" } else { "entities" };
            format!(
                "`{name}` is attached to {count} {entities} and registered by no module \
                 (`m.entity_observer`); it stays attached and is called again when it is \
                 registered under this path"
            )
        });
        let uncalled = callbacks
            .into_iter()
            .filter(|(name, _)| !registered(|names| &names.callable, name));
        let uncalled = uncalled.map(|(name, count)| {
            let wait = if count == 1 { "call of" } else { "calls of" };
            format!(
                "{count} {wait} `{name}` cannot come: no module registers it (`m.callback`); what \
                 waits stays and is called when it is registered under this path"
            )
        });
        unheard.chain(uncalled).collect()
    }
}

/// How often each name is in components of a type.
fn count<'w, T: Component, I: IntoIterator<Item = &'w str>>(
    world: &'w World,
    names: impl Fn(&'w T) -> I,
) -> BTreeMap<&'w str, usize> {
    let mut counts = BTreeMap::new();
    if let Some(mut all) = world.try_query_filtered::<&T, Allow<Disabled>>() {
        for name in all.iter(world).flat_map(names) {
            *counts.entry(name).or_default() += 1;
        }
    }
    counts
}
