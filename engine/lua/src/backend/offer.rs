//! What a version of a Lua module registers.
//!
//! | function of the module | called |
//! |---|---|
//! | `init()` | once, when the module's first version is in |
//! | `update(dt)` | in every frame, with the seconds of game time since the last |
//!
//! All functions of the module's table can be called by name.

use std::any::TypeId;
use std::sync::Arc;

use engine_api::bevy_ecs::error::BevyError;
use engine_api::bevy_ecs::world::World;
use engine_api::function::{CallError, DynamicCall, FunctionPointer, FunctionRegistration};
use engine_api::module::{ModuleBuilder, Stage as When};
use engine_api::system::IntoSystems as _;
use engine_api::time::Time;

use super::stage::Stage;

/// Registers a module's systems.
pub(super) fn register(m: &mut ModuleBuilder, module: &str, stage: &Arc<Stage>) {
    let (init, to) = (Arc::new(stage.callee(module, "init")), stage.clone());
    let init = move |world: &mut World| to.run(world, &init, &());
    m.systems(When::Startup, init.into_systems().named("init"));

    let (name, to) = (module.to_owned(), stage.clone());
    let waiting = move |world: &mut World| to.run_waiting(world, &name);
    m.systems(When::PreUpdate, waiting.into_systems().named("engine"));

    let (name, to) = (module.to_owned(), stage.clone());
    let events = move |world: &mut World| to.run_events(world, &name);
    m.systems(When::PostUpdate, events.into_systems().named("events"));

    let (update, to) = (Arc::new(stage.callee(module, "update")), stage.clone());
    let update = move |world: &mut World| -> Result<(), BevyError> {
        let time = world.get_resource::<Time>();
        let seconds = time.map_or(0.0, |time| f64::from(time.delta()));
        to.tick();
        to.run(world, &update, &seconds)
    };
    m.systems(When::Update, update.into_systems().named("update"));
}

/// Type of the pointers of Lua functions: nobody has a handle of that type, so nobody follows
/// one.
struct NoPointer;

/// A function of a module's table as the registry lists it.
pub(super) fn function(module: &str, name: &str, stage: &Arc<Stage>) -> FunctionRegistration {
    let (callee, to) = (stage.callee(module, name), stage.clone());
    FunctionRegistration {
        name: name.to_owned(),
        signature: format!("function {name}(...)"),
        type_id: TypeId::of::<NoPointer>(),
        pointer: FunctionPointer(std::ptr::dangling()),
        call: DynamicCall::World(Arc::new(move |world, arguments| {
            to.call(world, &callee, arguments)
                .map_err(CallError::Failed)
        })),
    }
}
