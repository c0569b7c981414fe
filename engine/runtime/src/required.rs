//! What components that a type requires are made with.
//!
//! A world's component table keeps the constructors in `#[require(Extra = extra())]` of
//! whoever registers a type first, and no layout tells when one of them changes. So the
//! loader lets the constructors of each new version make their values in a world of its
//! own, and what came out counts in comparisons of types: a difference rebuilds the world.
//!
//! Compared are the identity, the layout and the value of each required component, also of
//! those that required components require. Of a value that cannot be read, because
//! its type is not registered or reflection cannot look into it, and of one that is another
//! each time it is made or whose constructor panics, only identity and layout count:
//! otherwise the world would be rebuilt at each swap.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use engine_api::bevy_ecs::component::{ComponentId, ComponentInfo};
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::world::World;
use engine_api::bevy_reflect::TypeRegistry;
use engine_api::component_hooks::HookTable;
use engine_api::state::StateType;

use crate::call;
use crate::data::Data;
use crate::panic;
use crate::part::Part;
use crate::registry::VersionKey;
use crate::state::declare_engine_types;

/// Fills in [`StateType::required`]. Runs the version's constructors of required components,
/// twice each; costs a world with the version's types if there are any.
pub(crate) fn measure(key: VersionKey, types: &mut [StateType]) {
    let _call = call::enter(Part::Setup.of(key.id));
    let mut bench = None;
    let hashes: Vec<u64> = types
        .iter()
        .map(|state| {
            let measured = panic::guard(|| {
                let bench = bench.get_or_insert_with(|| Bench::new(types));
                bench.hash(state)
            });
            measured.unwrap_or_else(|_| {
                // A world in which a constructor panicked is of no use any more.
                let broken = bench.take();
                let _ = panic::guard(|| drop(broken));
                PANICKED
            })
        })
        .collect();
    let _ = panic::guard(|| drop(bench));
    for (state, hash) in types.iter_mut().zip(hashes) {
        state.required = hash;
    }
}

/// What stands for the products of a constructor that panicked.
const PANICKED: u64 = 1;

/// A world in which constructors are tried.
struct Bench<'t> {
    world: World,
    types: HashMap<ComponentId, &'t StateType>,
}

impl<'t> Bench<'t> {
    fn new(types: &'t [StateType]) -> Self {
        let mut world = World::new();
        declare_engine_types(&mut world);
        for state in types {
            (state.declare)(&mut world);
        }
        // Nobody's hooks run.
        world.insert_resource(HookTable::default());
        let known = types.iter().filter_map(|state| {
            let id = world.components().get_id(state.stored)?;
            Some((id, state))
        });
        let types = known.collect();
        Self { world, types }
    }

    /// The hash for one type; 0 if it requires nothing.
    fn hash(&mut self, state: &StateType) -> u64 {
        let (Some(spawn), Some(id)) = (
            state.spawn_required,
            self.world.components().get_id(state.stored),
        ) else {
            return 0;
        };
        let info = self.world.components().get_info(id);
        let required = info.map(ComponentInfo::required_components);
        let mut required: Vec<ComponentId> =
            required.map_or_else(Vec::new, |required| required.iter_ids().collect());
        if required.is_empty() {
            return 0;
        }
        required.sort_unstable();
        let [first, second] = [(); 2].map(|()| spawn(&mut self.world));
        let mut hasher = DefaultHasher::new();
        for component in required {
            self.hash_type(component, &mut hasher);
            let value = |entity| self.value(entity, component);
            let made = value(first).filter(|made| value(second).as_ref() == Some(made));
            made.hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Identity and layout.
    fn hash_type(&self, component: ComponentId, hasher: &mut DefaultHasher) {
        if let Some(info) = self.world.components().get_info(component) {
            (info.type_id(), info.layout()).hash(hasher);
        }
        let known = self.types.get(&component);
        known.map(|state| state.schema.hash()).hash(hasher);
    }

    /// A component's value as bytes; `None` if it cannot be read.
    fn value(&self, entity: Entity, component: ComponentId) -> Option<Vec<u8>> {
        let state = self.types.get(&component)?;
        let (values, reflect) = (state.values?, state.reflect?);
        let mut registry = TypeRegistry::new();
        reflect(&mut registry);
        let value = self
            .world
            .get_entity(entity)
            .ok()?
            .get_by_id(component)
            .ok()?;
        // SAFETY: the component of this id has the type that is stored under it.
        let value = unsafe { (values.reflect)(value) };
        let mut data = Data::of(value, &registry).ok()?;
        sort_maps(&mut data);
        // What can only be cloned cannot be written either.
        postcard::to_allocvec(&data).ok()
    }
}

/// Gives the entries of maps an order, whichever they had.
fn sort_maps(data: &mut Data) {
    match data {
        Data::Struct(fields) | Data::Variant(_, fields) => {
            for (_, part) in fields {
                sort_maps(part);
            }
        }
        Data::List(items) => {
            for item in items {
                sort_maps(item);
            }
        }
        Data::Map(pairs) => {
            for (key, value) in &mut *pairs {
                sort_maps(key);
                sort_maps(value);
            }
            pairs.sort_by_cached_key(|(key, _)| postcard::to_allocvec(key).unwrap_or_default());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicU32, Ordering};

    use engine_api::prelude::*;

    use super::*;
    use crate::testing::{Build, describe};

    #[derive(Component, Reflect, Default, Clone)]
    #[reflect(Component, Default)]
    struct Extra {
        n: u32,
        names: HashMap<String, u32>,
    }
    #[derive(Component, Reflect, Default, Clone)]
    #[reflect(opaque)]
    struct Opaque;
    #[derive(Component, Reflect)]
    #[require(Extra = extra(1))]
    struct One;
    #[derive(Component, Reflect)]
    #[require(Extra = extra(1))]
    struct Alike(Entity);
    #[derive(Component, Reflect)]
    #[require(Extra = extra(2))]
    struct Two;
    #[derive(Component, Reflect)]
    #[require(Two)]
    struct Deep;
    impl Default for Two {
        fn default() -> Self {
            Self
        }
    }
    #[derive(Component, Reflect)]
    #[require(Extra = extra(NEXT.fetch_add(1, Ordering::Relaxed)))]
    struct Varying;
    #[derive(Component, Reflect)]
    #[require(Extra = fails())]
    struct Failing;
    #[derive(Component, Reflect)]
    #[require(Opaque)]
    #[component(on_add = never)]
    struct Hidden;
    #[derive(Resource, Reflect, Default)]
    struct Score;

    static NEXT: AtomicU32 = AtomicU32::new(0);

    fn extra(n: u32) -> Extra {
        let names = (0..8).map(|n| (n.to_string(), n)).collect();
        Extra { n, names }
    }
    fn fails() -> Extra {
        panic!("nothing extra")
    }
    fn never(
        _: engine_api::bevy_ecs::world::DeferredWorld,
        _: engine_api::bevy_ecs::lifecycle::HookContext,
    ) {
        panic!("a hook ran");
    }

    fn hashes(build: Build) -> Vec<u64> {
        panic::install_hook();
        let mut types = describe(build).types;
        let key = VersionKey {
            id: 0x7000_0b01,
            number: 1,
        };
        measure(key, &mut types);
        assert!(call::current().is_none());
        types.iter().map(|state| state.required).collect()
    }

    fn build(m: &mut ModuleBuilder) {
        m.component::<Failing>()
            .component::<One>()
            .component::<Alike>()
            .component::<Two>()
            .component::<Deep>()
            .component::<Varying>()
            .component::<Hidden>()
            .component::<Extra>()
            .component::<Opaque>()
            .resource::<Score>();
    }

    #[test]
    fn a_hash_tells_what_constructors_make() {
        let made = hashes(build);
        let [
            failing,
            one,
            alike,
            two,
            deep,
            varying,
            hidden,
            extra,
            opaque,
            score,
        ] = made[..]
        else {
            panic!("{made:?}");
        };
        assert_eq!(failing, PANICKED);
        assert_eq!([extra, opaque, score], [0; 3], "they require nothing");
        assert_eq!(one, alike, "a type needs no default");
        let different = [one, two, deep, varying, hidden];
        for (index, hash) in different.iter().enumerate() {
            assert!(!different[..index].contains(hash) && *hash > 1, "{made:?}");
        }
        for _ in 0..10 {
            assert_eq!(hashes(build), made, "the same each time");
        }
    }

    #[test]
    fn of_types_that_are_not_registered_only_the_identity_counts() {
        let of = |build: Build| hashes(build)[0];
        let one = of(|m| {
            m.component::<One>();
        });
        let two = of(|m| {
            m.component::<Two>();
        });
        let hidden = of(|m| {
            m.component::<Hidden>();
        });
        assert_eq!(one, two);
        assert_ne!(one, hidden);
    }
}
