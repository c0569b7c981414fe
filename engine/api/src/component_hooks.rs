//! Hooks of components that follow their module's versions.
//!
//! A world's component table keeps the hooks (`on_add`, `on_insert`, `on_discard`,
//! `on_remove`, `on_despawn`) of whoever registers a type first, and knows for each
//! archetype which of them to call. So the table gets a *gate* in place of each hook that a
//! registered type has: a function of this crate that looks up in the world's [`HookTable`]
//! which code stands behind it now. The engine puts another table into the world when the
//! active version changes; which hooks a type has, it cannot change in a world.
//!
//! Types that nobody registers keep their hooks in the component table.

use std::sync::Arc;

use bevy_ecs::component::{Component, ComponentId};
use bevy_ecs::lifecycle::{ComponentHook, ComponentHooks, HookContext};
use bevy_ecs::resource::Resource;
use bevy_ecs::world::{DeferredWorld, World};

/// When a hook runs, as an index of [`HookSet`].
const ADD: usize = 0;
const INSERT: usize = 1;
const DISCARD: usize = 2;
const REMOVE: usize = 3;
const DESPAWN: usize = 4;

/// How many kinds of hooks there are.
const KINDS: usize = 5;

/// The hooks of a component as one version has them.
#[derive(Debug, Clone, Copy, Default)]
pub struct HookSet([Option<ComponentHook>; KINDS]);

/// Which hooks a component has.
pub type HookKinds = [bool; KINDS];

impl HookSet {
    /// The hooks of `T`.
    pub fn of<T: Component>() -> Self {
        let mut hooks = Self::default();
        hooks.0[ADD] = T::on_add();
        hooks.0[INSERT] = T::on_insert();
        hooks.0[DISCARD] = T::on_discard();
        hooks.0[REMOVE] = T::on_remove();
        hooks.0[DESPAWN] = T::on_despawn();
        hooks
    }

    /// Which of them there are.
    pub fn kinds(&self) -> HookKinds {
        self.0.map(|hook| hook.is_some())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kinds() == HookKinds::default()
    }
}

/// Stands around every call of a component's hooks. Implemented by the engine.
pub trait HookGuard: Send + Sync {
    /// Calls `hook`, or does not, and lets no panic out.
    fn run(&self, hook: &mut dyn FnMut());
}

/// The code behind the gates of a component.
#[derive(Clone)]
struct ActiveHooks {
    hooks: HookSet,
    guard: Option<Arc<dyn HookGuard>>,
}

/// Which code stands behind the gates of a world. Looking a hook up costs the look-up of a
/// resource and an index.
#[derive(Resource, Clone, Default)]
pub struct HookTable {
    /// By index of the component.
    active: Vec<Option<ActiveHooks>>,
}

impl HookTable {
    /// Puts `hooks` behind the gates of a component. Without a guard they are called just so.
    pub fn set(
        &mut self,
        component: ComponentId,
        hooks: HookSet,
        guard: Option<Arc<dyn HookGuard>>,
    ) {
        let index = component.index();
        if self.active.len() <= index {
            self.active.resize(index + 1, None);
        }
        self.active[index] = Some(ActiveHooks { hooks, guard });
    }

    fn get(&self, component: ComponentId) -> Option<&ActiveHooks> {
        self.active.get(component.index())?.as_ref()
    }
}

/// Puts gates in place of a component's hooks, with `hooks` behind them until the engine says
/// otherwise. Does nothing once entities have had the component.
#[inline(never)]
pub fn gate(world: &mut World, component: ComponentId, hooks: HookSet) {
    let archetypes = world.archetypes().component_index();
    let is_used = archetypes
        .get(&component)
        .is_some_and(|archetypes| !archetypes.is_empty());
    if is_used {
        return;
    }
    let Some(in_table) = world.register_component_hooks_by_id(component) else {
        return;
    };
    *in_table = gates(hooks.kinds());
    if hooks.is_empty() {
        return;
    }
    let mut table = world.get_resource_or_init::<HookTable>();
    if table.get(component).is_none() {
        table.set(component, hooks, None);
    }
}

fn gates(kinds: HookKinds) -> ComponentHooks {
    let mut gates = ComponentHooks::default();
    if kinds[ADD] {
        gates.on_add(run::<ADD>);
    }
    if kinds[INSERT] {
        gates.on_insert(run::<INSERT>);
    }
    if kinds[DISCARD] {
        gates.on_discard(run::<DISCARD>);
    }
    if kinds[REMOVE] {
        gates.on_remove(run::<REMOVE>);
    }
    if kinds[DESPAWN] {
        gates.on_despawn(run::<DESPAWN>);
    }
    gates
}

/// The gate.
fn run<const KIND: usize>(world: DeferredWorld, context: HookContext) {
    let table = world.get_resource::<HookTable>();
    let Some(active) = table.and_then(|table| table.get(context.component_id)) else {
        return;
    };
    let Some(hook) = active.hooks.0[KIND] else {
        return;
    };
    let Some(guard) = active.guard.clone() else {
        return hook(world, context);
    };
    let mut world = Some(world);
    guard.run(&mut || {
        if let Some(world) = world.take() {
            hook(world, context);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::module::ModuleBuilder;
    use crate::prelude::*;
    use crate::state::StateType;

    #[derive(Resource, Default)]
    struct Log(Vec<&'static str>);

    fn log(mut world: DeferredWorld, text: &'static str) {
        world.resource_mut::<Log>().0.push(text);
    }
    fn add(world: DeferredWorld, _: HookContext) {
        log(world, "add");
    }
    fn insert(world: DeferredWorld, _: HookContext) {
        log(world, "insert");
    }
    fn discard(world: DeferredWorld, _: HookContext) {
        log(world, "discard");
    }
    fn remove(world: DeferredWorld, _: HookContext) {
        log(world, "remove");
    }
    fn despawn(world: DeferredWorld, _: HookContext) {
        log(world, "despawn");
    }

    #[derive(Component, Reflect)]
    #[component(
        on_add = add,
        on_insert = insert,
        on_discard = discard,
        on_remove = remove,
        on_despawn = despawn
    )]
    struct Hooked(u8);

    #[derive(Component, Reflect)]
    #[component(on_add = add)]
    #[require(Needed)]
    struct Needing;

    #[derive(Component, Reflect, Default)]
    #[component(on_add = add)]
    struct Needed;

    #[derive(Component, Reflect)]
    #[relationship(relationship_target = Liked)]
    struct Likes(Entity);
    #[derive(Component, Reflect)]
    #[relationship_target(relationship = Likes)]
    struct Liked(Vec<Entity>);

    fn world(describe: fn(&mut ModuleBuilder)) -> World {
        let mut world = World::new();
        world.init_resource::<Log>();
        let mut m = ModuleBuilder::new();
        describe(&mut m);
        for state in m.finish().types {
            (state.declare)(&mut world);
        }
        world
    }

    fn logged(world: &mut World) -> Vec<&'static str> {
        std::mem::take(&mut world.resource_mut::<Log>().0)
    }

    fn hooked(world: &mut World) -> ComponentId {
        world.register_component::<Hooked>()
    }

    /// Adds, replaces, removes and despawns a `Hooked`.
    fn live(world: &mut World) -> Vec<&'static str> {
        let mut entity = world.spawn(Hooked(1));
        entity.insert(Hooked(2)).remove::<Hooked>();
        entity.insert(Hooked(3));
        entity.despawn();
        logged(world)
    }

    const LIFE: [&str; 11] = [
        "add", "insert", "discard", "insert", "discard", "remove", "add", "insert", "despawn",
        "discard", "remove",
    ];

    #[test]
    fn gates_call_the_hooks_of_the_code_that_declared_them() {
        let mut world = world(|m| {
            m.component::<Hooked>();
        });
        assert_eq!(live(&mut world), LIFE);
    }

    #[test]
    fn another_table_means_other_hooks() {
        let mut world = world(|m| {
            m.component::<Hooked>();
        });
        let component = hooked(&mut world);
        let mut hooks = HookSet::default();
        hooks.0[ADD] = Some(|world, _| log(world, "new"));
        world
            .resource_mut::<HookTable>()
            .set(component, hooks, None);
        assert_eq!(live(&mut world), ["new", "new"]);
        world.remove_resource::<HookTable>();
        assert_eq!(live(&mut world), [""; 0]);
    }

    #[test]
    fn declaring_again_changes_nothing() {
        let mut world = world(|m| {
            m.component::<Hooked>();
        });
        let component = hooked(&mut world);
        world
            .resource_mut::<HookTable>()
            .set(component, HookSet::default(), None);
        (StateType::component::<Hooked>().declare)(&mut world);
        assert_eq!(live(&mut world), [""; 0]);
    }

    #[test]
    fn guards_stand_around_calls() {
        #[derive(Default)]
        struct Twice(Mutex<u32>);
        impl HookGuard for Twice {
            fn run(&self, hook: &mut dyn FnMut()) {
                *self.0.lock().unwrap() += 1;
                hook();
                // There is one world to give away.
                hook();
            }
        }
        let mut world = world(|m| {
            m.component::<Hooked>();
        });
        let (component, guard) = (hooked(&mut world), Arc::new(Twice::default()));
        world.resource_mut::<HookTable>().set(
            component,
            HookSet::of::<Hooked>(),
            Some(guard.clone()),
        );
        assert_eq!(live(&mut world), LIFE);
        assert_eq!(*guard.0.lock().unwrap(), 11);
    }

    #[test]
    fn required_components_that_are_registered_have_gates() {
        let mut world = world(|m| {
            m.component::<Needing>().component::<Needed>();
        });
        world.insert_resource(HookTable::default());
        world.spawn(Needing);
        assert_eq!(logged(&mut world), [""; 0]);
    }

    #[test]
    fn what_is_in_use_already_is_left_as_it_is() {
        let mut world = World::new();
        world.init_resource::<Log>();
        world.spawn(Hooked(1));
        (StateType::component::<Hooked>().declare)(&mut world);
        world.insert_resource(HookTable::default());
        logged(&mut world);
        assert_eq!(live(&mut world), LIFE);
    }

    #[test]
    fn relations_are_kept_through_gates() {
        let mut world = world(|m| {
            m.component::<Likes>().component::<Liked>();
        });
        let up = world.spawn_empty().id();
        let [a, b] = [(); 2].map(|()| world.spawn(Likes(up)).id());
        assert_eq!(world.get::<Liked>(up).unwrap().0, [a, b]);
        world.despawn(a);
        assert_eq!(world.get::<Liked>(up).unwrap().0, [b]);
        world.despawn(up);
        assert!(world.get::<Likes>(b).is_none());
    }

    #[test]
    fn kinds_are_those_that_a_type_has() {
        assert_eq!(HookSet::of::<Hooked>().kinds(), [true; KINDS]);
        let expected = [true, false, false, false, false];
        assert_eq!(HookSet::of::<Needed>().kinds(), expected);
        assert!(HookSet::of::<Log>().is_empty());
    }
}
