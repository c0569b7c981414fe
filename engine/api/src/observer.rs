//! Observers that the engine can gate, count and remove.
//!
//! bevy_ecs runs an observer from wherever its event is triggered, so the engine
//! cannot stand around the call as it does with systems of a stage. Each
//! observer is therefore wrapped in a [`Gated`] system that asks its
//! [`CallGate`] first and keeps a panic from unwinding through the world.

use std::any::type_name;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bevy_ecs::change_detection::{CheckChangeTicks, Tick};
use bevy_ecs::entity::Entity;
use bevy_ecs::event::{EntityEvent, EventPattern};
use bevy_ecs::observer::{Observer, On};
use bevy_ecs::system::{
    IntoObserverSystem, ObserverSystem, RunSystemError, System, SystemAccess, SystemIn,
    SystemStateFlags,
};
use bevy_ecs::utils::prelude::DebugName;
use bevy_ecs::world::unsafe_world_cell::UnsafeWorldCell;
use bevy_ecs::world::{DeferredWorld, World};

use crate::attach::ForAttached;
use crate::function::panic_message;
use crate::keep;
use crate::system::keep_name;

/// Stands around every call of an observer. Implemented by the engine.
pub trait CallGate: Send + Sync {
    /// Counts a call in. `false` means that the observer is paused: it is not called
    /// and [`CallGate::exit`] is not either.
    fn enter(&self) -> bool;
    /// Counts a call out; with the message if it panicked.
    fn exit(&self, panic: Option<String>);
}

/// Spawns an observer's entity behind a gate.
pub type SpawnObserver = Box<dyn FnOnce(&mut World, Arc<dyn CallGate>) -> Entity + Send>;

/// An observer that a module registers.
pub struct ObserverRegistration {
    /// Path of the function.
    pub name: String,
    /// Whether it hears events of those entities alone that it is attached to; see
    /// [`crate::attach`].
    pub attachable: bool,
    /// Spawns the observer's entity; every call of it goes through the gate.
    pub spawn: SpawnObserver,
}

impl ObserverRegistration {
    /// Describes `observer`.
    /// `occurrence` tells observers of one name apart, from 1.
    pub(crate) fn new<E, M, I>(observer: I, occurrence: usize) -> Self
    where
        E: EventPattern,
        I: IntoObserverSystem<E, M>,
        I::System: Sync,
    {
        let system = IntoObserverSystem::into_system(observer);
        let name = type_name::<I>();
        Self {
            name: name.to_owned(),
            attachable: false,
            spawn: Box::new(move |world, gate| {
                spawn::<E, _>(world, name, occurrence, Gated::new(system, gate))
            }),
        }
    }

    /// Describes an `observer` that entities are attached to.
    pub(crate) fn attachable<E, M, I>(observer: I, occurrence: usize) -> Self
    where
        E: EventPattern<Event: EntityEvent>,
        I: IntoObserverSystem<E, M>,
        I::System: Sync,
    {
        let system = IntoObserverSystem::into_system(observer);
        let name = type_name::<I>();
        Self {
            name: name.to_owned(),
            attachable: true,
            spawn: Box::new(move |world, gate| {
                // What is not for its entities does not come to the gate.
                let observer = ForAttached::new(Gated::new(system, gate), name);
                spawn::<E, _>(world, name, occurrence, observer)
            }),
        }
    }
}

/// Spawns an observer's entity, which initialises its system.
fn spawn<E: EventPattern, S: ObserverSystem<E> + Sync>(
    world: &mut World,
    name: &str,
    occurrence: usize,
    observer: S,
) -> Entity {
    keep::naming(&keep_name(name, occurrence), || {
        world.spawn(Observer::new::<E, _, _>(observer)).id()
    })
}

/// A system that runs only when its gate lets it.
struct Gated<S> {
    system: S,
    gate: Arc<dyn CallGate>,
    /// It panicked: what it queued before must not reach the world.
    failed: bool,
}

impl<S> Gated<S> {
    fn new(system: S, gate: Arc<dyn CallGate>) -> Self {
        Self {
            system,
            gate,
            failed: false,
        }
    }
}

impl<S: System<Out = ()>> System for Gated<S> {
    type In = S::In;
    type Out = ();

    fn name(&self) -> DebugName {
        self.system.name()
    }

    fn flags(&self) -> SystemStateFlags {
        self.system.flags()
    }

    unsafe fn run_unsafe(
        &mut self,
        input: SystemIn<'_, Self>,
        world: UnsafeWorldCell,
    ) -> Result<(), RunSystemError> {
        if self.failed || !self.gate.enter() {
            return Ok(());
        }
        let system = &mut self.system;
        let result = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the caller's promises are handed on: `initialize` returned
            // the inner system's own access.
            unsafe { system.run_unsafe(input, world) }
        }));
        match result {
            Ok(result) => {
                self.gate.exit(None);
                result
            }
            Err(payload) => {
                self.failed = true;
                self.gate.exit(Some(panic_message(payload)));
                Ok(())
            }
        }
    }

    fn apply_deferred(&mut self, world: &mut World) {
        if !self.failed {
            self.system.apply_deferred(world);
        }
    }

    fn queue_deferred(&mut self, world: DeferredWorld) {
        if !self.failed {
            self.system.queue_deferred(world);
        }
    }

    fn initialize(&mut self, world: &mut World) -> SystemAccess {
        self.system.initialize(world)
    }

    fn check_change_tick(&mut self, check: CheckChangeTicks) {
        self.system.check_change_tick(check);
    }

    fn get_last_run(&self) -> Tick {
        self.system.get_last_run()
    }

    fn set_last_run(&mut self, last_run: Tick) {
        self.system.set_last_run(last_run);
    }
}

// `Gated` over an observer system is one itself, through bevy's blanket impl.
#[expect(dead_code, reason = "a compile-time check, never called")]
fn gated_is_an_observer<E: EventPattern, S: ObserverSystem<E>>(
    gated: Gated<S>,
) -> impl System<In = On<'static, 'static, E>> {
    gated
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::prelude::*;

    #[derive(Event)]
    struct Ping;

    #[derive(Resource, Default)]
    struct Pings(u32);

    #[derive(Default)]
    struct Recorder {
        paused: bool,
        calls: Mutex<Vec<Option<String>>>,
    }

    impl CallGate for Recorder {
        fn enter(&self) -> bool {
            !self.paused
        }
        fn exit(&self, panic: Option<String>) {
            self.calls.lock().unwrap().push(panic);
        }
    }

    fn run(gate: Recorder, observer: ObserverRegistration) -> (u32, Vec<Option<String>>) {
        let gate = Arc::new(gate);
        let mut world = World::new();
        world.init_resource::<Pings>();
        (observer.spawn)(&mut world, gate.clone());
        world.flush();
        world.trigger(Ping);
        let calls = gate.calls.lock().unwrap().clone();
        (world.resource::<Pings>().0, calls)
    }

    fn count(_: On<Ping>, mut pings: ResMut<Pings>) {
        pings.0 += 1;
    }
    fn fail(_: On<Ping>) {
        panic!("broken");
    }

    #[test]
    fn calls_are_counted_panics_contained_and_paused_observers_left_alone() {
        assert_eq!(
            run(Recorder::default(), ObserverRegistration::new(count, 1)),
            (1, vec![None])
        );
        assert_eq!(
            run(Recorder::default(), ObserverRegistration::new(fail, 1)),
            (0, vec![Some("broken".into())])
        );
        let paused = Recorder {
            paused: true,
            ..Recorder::default()
        };
        assert_eq!(
            run(paused, ObserverRegistration::new(count, 1)),
            (0, vec![])
        );
    }
}
