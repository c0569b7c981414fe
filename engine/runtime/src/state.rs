//! What the world's types are made of, and which code they refer to.
//!
//! Types stay in the world when the version that brought them goes. The book keeps
//! their schemas, so that no later version reads values it would misunderstand, and
//! remembers whose code the world's component table points into.

use std::any::TypeId;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use engine_api::bevy_ecs::component::{ComponentCloneBehavior, ComponentId};
use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::hierarchy::{ChildOf, Children};
use engine_api::bevy_ecs::name::Name;
use engine_api::bevy_ecs::observer::{ObservedBy, Observer};
use engine_api::bevy_ecs::resource::IsResource;
use engine_api::bevy_ecs::world::World;
use engine_api::input::Input;
use engine_api::module::ModuleDescription;
use engine_api::observer::CallGate;
use engine_api::schema::Schema;
use engine_api::state::{StateKind, StateType};
use engine_api::time::Time;
use engine_api::viewport::Viewport;

use crate::registry::VersionKey;

/// All state types that modules registered so far, and who brought each component.
pub struct StateBook {
    types: HashMap<(StateKind, String), KnownType>,
    /// Types of the engine and the ECS themselves: shared by all versions.
    engine: HashSet<TypeId>,
    /// Components of the world that a module brought, with that version.
    brought: HashMap<ComponentId, (String, VersionKey)>,
}

struct KnownType {
    stored: TypeId,
    schema: Schema,
    hash: u64,
    module: String,
}

impl Default for StateBook {
    fn default() -> Self {
        let engine = engine_types(&mut World::new());
        Self {
            types: HashMap::new(),
            engine,
            brought: HashMap::new(),
        }
    }
}

impl StateBook {
    /// Whether a version's types fit the values that are in the world.
    ///
    /// # Errors
    /// The first type that does not, its field, and what to do.
    pub fn check(&self, module: &str, types: &[StateType]) -> Result<(), String> {
        for new in types {
            let Some(old) = self.types.get(&(new.kind, new.schema.path.clone())) else {
                continue;
            };
            let kind = new.kind.name();
            if old.module != module {
                return Err(format!(
                    "{kind} `{}` belongs to module `{}`; register it in one module only",
                    new.schema.path, old.module
                ));
            }
            if old.hash != new.schema.hash() {
                let what = old.schema.difference(&new.schema).map_or_else(
                    || format!("`{}` changed", new.schema.path),
                    |difference| difference.to_string(),
                );
                return Err(format!(
                    "{kind} {what}; the running values do not fit it: revert the edit, or restart \
                     the host to begin with it"
                ));
            }
            if old.stored != new.stored {
                return Err(format!(
                    "{kind} `{}` has another identity though its layout is the same; restart the \
                     host to begin with it",
                    new.schema.path
                ));
            }
        }
        Ok(())
    }

    /// Takes over a version's types. Types it no longer registers stay known, since
    /// their values stay in the world.
    pub fn adopt(&mut self, module: &str, types: &[StateType]) {
        for new in types {
            self.types
                .entry((new.kind, new.schema.path.clone()))
                .or_insert_with(|| KnownType {
                    stored: new.stored,
                    hash: new.schema.hash(),
                    schema: new.schema.clone(),
                    module: module.to_owned(),
                });
        }
    }

    /// Remembers those types of a version that failed which the world got to know on the
    /// way: its component table keeps their layout, whatever the next version says.
    pub fn adopt_declared(&mut self, world: &World, module: &str, types: &[StateType]) {
        for new in types {
            if world.components().get_id(new.stored).is_some() {
                self.adopt(module, std::slice::from_ref(new));
            }
        }
    }

    /// Records that every component the world has learnt since `known` came with a
    /// version.
    pub fn attribute(&mut self, world: &World, known: usize, module: &str, key: VersionKey) {
        for (id, info) in world
            .components()
            .iter_registered()
            .filter(|(id, _)| id.index() >= known)
        {
            if info
                .type_id()
                .is_some_and(|type_id| self.engine.contains(&type_id))
            {
                continue;
            }
            self.brought
                .entry(id)
                .or_insert_with(|| (module.to_owned(), key));
        }
    }

    /// Why the code of a version must stay mapped: what the world still holds that
    /// refers to it. `inside` tells whether an address lies in the version's image.
    pub fn references(
        &self,
        world: &World,
        module: &str,
        key: VersionKey,
        inside: &dyn Fn(usize) -> bool,
    ) -> Vec<String> {
        let live = live_counts(world);
        let mut reasons = Vec::new();
        for (id, info) in world.components().iter_registered() {
            let known = self
                .types
                .values()
                .find(|known| Some(known.stored) == info.type_id());
            let name = known.map_or_else(
                || format!("unregistered type of {} bytes", info.layout().size()),
                |known| format!("type `{}`", known.schema.path),
            );
            let brought = self
                .brought
                .get(&id)
                .is_some_and(|(_, brought_by)| *brought_by == key);
            let count = live.get(&id).copied().unwrap_or(0);
            if info.drop().is_some_and(|drop| inside(drop as usize)) {
                reasons.push(format!(
                    "{name}: its drop function is in the component table"
                ));
            } else if brought && hooks_of(info) {
                reasons.push(format!("{name}: its hooks are in the component table"));
            } else if brought
                && matches!(info.clone_behavior(), ComponentCloneBehavior::Custom(clone) if inside(*clone as usize))
            {
                reasons.push(format!(
                    "{name}: its clone function is in the component table"
                ));
            } else if brought && info.required_components().iter_ids().next().is_some() {
                reasons.push(format!(
                    "{name}: constructors of the components it requires"
                ));
            } else if brought && count > 0 && known.is_none() && info.layout().size() > 0 {
                reasons.push(format!("{name}: {count} values that nothing is known of"));
            }
        }
        for known in self.types.values().filter(|known| known.module == module) {
            let parts = known.schema.parts_that_may_hold_code();
            let Some(id) = world.components().get_id(known.stored) else {
                continue;
            };
            let count = live.get(&id).copied().unwrap_or(0);
            // Any version of the module may have made the values.
            if count > 0 && !parts.is_empty() {
                reasons.push(format!(
                    "type `{}`: {count} values with {} may refer to its code",
                    known.schema.path,
                    parts.join(", ")
                ));
            }
        }
        reasons.sort();
        reasons
    }

    /// Values in the world of types that a module brought and nobody registered;
    /// a new version could read them with another layout.
    pub fn unknown_values(&self, world: &World, module: &str) -> Option<String> {
        let live = live_counts(world);
        world.components().iter_registered().find_map(|(id, info)| {
            let (brought_by, _) = self.brought.get(&id)?;
            let count = live.get(&id).copied().filter(|count| *count > 0)?;
            let known = self
                .types
                .values()
                .any(|known| Some(known.stored) == info.type_id());
            (brought_by == module && !known && info.layout().size() > 0).then(|| {
                format!(
                    "the world holds {count} values of a component of {} bytes that the running \
                     version never registered, so nothing tells whether its layout changed; \
                     register it (`m.component::<T>()`) and restart the host",
                    info.layout().size()
                )
            })
        })
    }

    /// Short names of all components with values, and of all resources, for display.
    pub fn names(&self) -> impl Iterator<Item = (StateKind, TypeId, &str)> {
        self.types.iter().map(|((kind, path), known)| {
            (
                *kind,
                known.stored,
                path.rsplit("::").next().unwrap_or(path),
            )
        })
    }
}

fn hooks_of(info: &engine_api::bevy_ecs::component::ComponentInfo) -> bool {
    // The hooks' fields are private; their `Debug` prints `Some(0x..)` for each that is set.
    format!("{:?}", info.hooks()).contains("Some")
}

/// How many values of each component are in the world. Costs a walk over the
/// archetypes, not over entities.
pub fn live_counts(world: &World) -> HashMap<ComponentId, u64> {
    let mut counts = HashMap::new();
    for archetype in world.archetypes().iter() {
        let length = u64::from(archetype.len());
        if length > 0 {
            for component in archetype.iter_components() {
                *counts.entry(component).or_insert(0) += length;
            }
        }
    }
    counts
}

/// Makes a world know the types that the engine and the ECS themselves put into it.
pub fn declare_engine_types(world: &mut World) {
    world.register_component::<ChildOf>();
    world.register_component::<Children>();
    world.register_component::<Name>();
    world.register_component::<Observer>();
    world.register_component::<ObservedBy>();
    world.register_component::<Disabled>();
    world.register_component::<Time>();
    world.register_component::<Input>();
    world.register_component::<Viewport>();
}

/// Types that the engine and the ECS themselves put into worlds.
fn engine_types(world: &mut World) -> HashSet<TypeId> {
    declare_engine_types(world);
    world
        .components()
        .iter_registered()
        .filter_map(|(_, info)| info.type_id())
        .collect()
}

/// Finds types that a version's systems use and the version does not register, by
/// preparing its systems for a world of their own. Runs off the frame loop; takes
/// the description, since systems belong to the first world they were prepared for.
///
/// # Errors
/// Which system uses such a type, and what to do.
pub fn check_registrations(mut description: ModuleDescription) -> Result<(), String> {
    let mut world = World::new();
    let mut known = engine_types(&mut world);
    for state in &description.types {
        (state.declare)(&mut world);
        known.insert(state.stored);
    }
    let mut checked: HashSet<ComponentId> = world
        .components()
        .iter_registered()
        .map(|(id, _)| id)
        .collect();
    let mut check = |world: &World, what: &str, name: &str| {
        for (id, info) in world.components().iter_registered() {
            let new = checked.insert(id);
            let registered = info
                .type_id()
                .is_some_and(|type_id| known.contains(&type_id));
            if new && !registered && info.layout().size() > 0 {
                return Err(format!(
                    "{what} `{name}` uses a component, resource or message of {} bytes that the \
                     module does not register; add it to the module function \
                     (`m.component::<T>()`, `m.resource::<T>()` or `m.message::<T>()`)",
                    info.layout().size()
                ));
            }
        }
        Ok(())
    };
    for (_, config) in &mut description.systems {
        config.system.initialize(&mut world);
        for condition in &mut config.conditions {
            condition.initialize(&mut world);
        }
        check(&world, "system", &config.name)?;
    }
    for observer in description.observers {
        (observer.spawn)(&mut world, Arc::new(NeverCalled));
        world.flush();
        check(&world, "observer", &observer.name)?;
    }
    Ok(())
}

/// The gate of observers that are only prepared.
struct NeverCalled;

impl CallGate for NeverCalled {
    fn enter(&self) -> bool {
        false
    }
    fn exit(&self, _panic: Option<String>) {}
}

/// Entities that carry game data: those that are neither resources nor observers.
pub fn game_entities(world: &World) -> u64 {
    let engine: Vec<ComponentId> = [TypeId::of::<Observer>(), TypeId::of::<IsResource>()]
        .into_iter()
        .filter_map(|type_id| world.components().get_id(type_id))
        .collect();
    let of_the_game = world.archetypes().iter().filter(|archetype| {
        !engine
            .iter()
            .any(|component| archetype.contains(*component))
    });
    of_the_game
        .map(|archetype| u64::from(archetype.len()))
        .sum()
}

#[cfg(test)]
mod tests;
