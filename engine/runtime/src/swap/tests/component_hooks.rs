//! Hooks of components, and what a component table fixes beside layouts, over swaps.

use engine_api::bevy_ecs::lifecycle::HookContext;
use engine_api::bevy_ecs::world::DeferredWorld;
use engine_api::component_hooks::HookSet;

use super::*;

fn write(mut world: DeferredWorld, text: String) {
    if let Some(mut journal) = world.get_resource_mut::<Journal>() {
        journal.0.push(text);
    }
}
fn first(world: DeferredWorld, _: HookContext) {
    write(world, "first".to_owned());
}
fn second(world: DeferredWorld, _: HookContext) {
    let version = call::current().map(crate::call::CallId::version);
    write(world, format!("second of {version:?}"));
}
fn fails(_: DeferredWorld, _: HookContext) {
    panic!("off the hook");
}

#[derive(Component, Reflect, Default, Clone, Copy)]
#[reflect(Component, Default)]
#[component(on_add = first)]
#[type_path = "game"]
struct Hooked(u8);
/// The hooks that later versions of it have.
#[derive(Component)]
#[component(on_add = second)]
struct Second;
#[derive(Component)]
#[component(on_add = fails)]
struct Failing;
#[derive(Component)]
#[component(on_add = first, on_remove = second)]
struct More;

fn with(m: &mut ModuleBuilder) {
    m.component::<Hooked>().resource::<Journal>();
}
fn without(m: &mut ModuleBuilder) {
    m.resource::<Journal>();
}
fn of_another_module(m: &mut ModuleBuilder) {
    m.component::<Health>();
}
fn of_another_layout(m: &mut ModuleBuilder) {
    m.component::<other::Health>();
}

impl Game {
    /// Swaps to a version whose `Hooked` has the hooks of `T`.
    fn swap_hooks<T: Component>(&mut self) -> Result<Option<u32>, String> {
        let mut description = describe(with);
        let state = &mut description.types[0];
        state.hooks = HookSet::of::<T>();
        self.swap_description("game", description, with)
    }

    /// What hooks write when there is one more.
    fn spawned(&mut self) -> Vec<String> {
        self.world.spawn(Hooked(1));
        self.journal()
    }

    fn active(&self) -> u32 {
        self.modules.get("game").unwrap().key.id
    }

    fn second_text(&self) -> String {
        format!("second of {:?}", Some(self.active()))
    }
}

#[test]
fn an_edited_hook_runs_from_the_swap_on_in_the_world_as_it_is() {
    let mut game = Game::with(with);
    assert_eq!(game.spawned(), ["first"]);
    let world = game.world.id();
    assert_eq!(game.swap_hooks::<Second>(), Ok(Some(1)));
    assert_eq!(game.world.id(), world, "nothing has to be rebuilt");
    assert_eq!(game.journal(), [""; 0], "the swap itself adds nothing");
    let text = game.second_text();
    assert_eq!(game.spawned(), [text], "and is counted as a call");
    assert!(call::current().is_none());
}

#[test]
fn a_hook_more_or_less_rebuilds_the_world() {
    let mut game = Game::with(with);
    game.spawned();
    let world = game.world.id();
    assert_eq!(game.swap_hooks::<More>(), Ok(Some(1)));
    assert_ne!(game.world.id(), world);
    let mut all = game.world.query::<&Hooked>();
    assert_eq!(all.iter(&game.world).count(), 1);
    let world = game.world.id();
    assert_eq!(game.swap_hooks::<More>(), Ok(Some(2)));
    assert_eq!(game.world.id(), world, "once");
}

#[test]
fn a_refused_version_leaves_the_hooks_of_the_one_that_runs() {
    let mut game = Game::with(with);
    let mut description = describe(|m| {
        with(m);
        m.resource::<Hopeless>();
    });
    description.types[0].hooks = HookSet::of::<Second>();
    let refused = game.swap_description("game", description, with);
    assert!(refused.is_err());
    assert_eq!(game.spawned(), ["first"]);
}

#[test]
fn a_panic_in_a_hook_pauses_it_until_the_next_version() {
    let mut game = Game::with(with);
    game.swap_hooks::<Failing>().unwrap();
    for _ in 0..3 {
        assert_eq!(game.spawned(), [""; 0], "the entity is there all the same");
    }
    game.frame();
    let faults = std::mem::take(&mut game.faults);
    let [SystemFault::Panicked { id, report }] = &faults[..] else {
        panic!("{faults:?}");
    };
    assert_eq!(report.message, "off the hook");
    let (module, version, name) = game.registry.name_call(*id).unwrap();
    assert_eq!((&*module, version), ("game", 2));
    assert!(name.starts_with("hooks of game::Hooked"), "{name}");

    game.swap_hooks::<Second>().unwrap();
    let text = game.second_text();
    assert_eq!(game.spawned(), [text]);
}

#[test]
fn hooks_of_all_modules_come_along_into_a_new_world() {
    let mut game = Game::with(with);
    game.swap("other", of_another_module).unwrap();
    game.swap_hooks::<Second>().unwrap();
    game.world.spawn((Health { points: 1 }, Hooked(1)));
    game.journal();
    let (world, entities) = (game.world.id(), game.world.entities().count_spawned());
    for layout in [of_another_layout, of_another_module, of_another_layout] {
        game.swap("other", layout).unwrap();
        assert_ne!(game.world.id(), world);
        assert_eq!(game.journal(), [""; 0], "for what moves no hook runs");
        assert_eq!(game.world.entities().count_spawned(), entities);
    }
    let text = game.second_text();
    assert_eq!(game.spawned(), [text]);
}

#[test]
fn types_that_are_no_longer_registered_keep_the_hooks_of_the_code_that_stays() {
    let mut game = Game::with(with);
    game.swap_hooks::<Second>().unwrap();
    game.swap("game", without).unwrap();
    assert_eq!(game.spawned(), ["first"]);
}

#[test]
fn other_constructors_of_required_components_rebuild_the_world_once() {
    let swap = |game: &mut Game, required: u64| {
        let mut description = describe(with);
        description.types[0].required = required;
        let world = game.world.id();
        game.swap_description("game", description, with).unwrap();
        game.world.id() != world
    };
    let mut game = Game::with(with);
    game.spawned();
    let rebuilt = [0, 7, 7, 8, 8].map(|required| swap(&mut game, required));
    assert_eq!(rebuilt, [false, true, false, true, false]);
    let mut all = game.world.query::<&Hooked>();
    assert_eq!(all.iter(&game.world).count(), 1);
}
