//! The system that looks which callbacks of a function are due and calls it.

use std::any::TypeId;

use bevy_ecs::change_detection::{CheckChangeTicks, Tick};
use bevy_ecs::entity::Entity;
use bevy_ecs::query::{QueryState, With};
use bevy_ecs::system::{
    BoxedSystem, InMut, RunSystemError, System, SystemAccess, SystemIn, SystemStateFlags,
};
use bevy_ecs::utils::prelude::DebugName;
use bevy_ecs::world::unsafe_world_cell::UnsafeWorldCell;
use bevy_ecs::world::{DeferredWorld, World};

use super::{Callback, When, nanoseconds};
use crate::input::Input;
use crate::keep::{KeepValue, Kept};
use crate::system::{SystemConfig, Trigger};
use crate::time::Time;

/// A system of [`PreUpdate`](crate::module::Stage::PreUpdate) that calls `function`. A frame
/// costs it a look at each callback that waits with data of the same type.
pub(crate) fn configure<T: KeepValue>(
    name: &str,
    key: TypeId,
    function: BoxedSystem<InMut<'static, T>>,
) -> SystemConfig {
    SystemConfig {
        name: name.to_owned(),
        key,
        system: Box::new(CallBack {
            function,
            name: name.to_owned(),
            waiting: None,
            due: Vec::new(),
        }),
        conditions: Vec::new(),
        trigger: Trigger::Frame,
        before: Vec::new(),
        after: Vec::new(),
        occurrence: 1,
        parameters: String::new(),
    }
}

type Waiting<T> = QueryState<(Entity, &'static Callback), With<Kept<T>>>;

struct CallBack<T: KeepValue> {
    function: BoxedSystem<InMut<'static, T>>,
    name: String,
    /// Of the world that the system was initialised for.
    waiting: Option<Waiting<T>>,
    /// Reused from frame to frame.
    due: Vec<(u64, Entity)>,
}

impl When {
    /// The time at which it was due, if it is.
    fn due(self, now: u64, input: Option<&Input>) -> Option<u64> {
        match self {
            Self::At { time } | Self::Every { next: time, .. } => (time <= now).then_some(time),
            Self::Pressed { key } => input.is_some_and(|input| input.pressed(key)).then_some(now),
        }
    }
}

impl<T: KeepValue> CallBack<T> {
    /// Those that are due now, the one that waits longest first.
    fn look(&mut self, world: &World) {
        self.due.clear();
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        let time = world.get_resource::<Time>();
        let now = time.map_or(0, |time| nanoseconds(time.elapsed()));
        let input = world.get_resource::<Input>();
        let of_this = waiting
            .iter(world)
            .filter(|(_, callback)| callback.function == self.name);
        self.due.extend(of_this.filter_map(|(entity, callback)| {
            let due = callback.when.due(now, input)?;
            Some((due, entity))
        }));
        self.due.sort_unstable();
    }

    fn call(&mut self, entity: Entity, world: &mut World) -> Result<(), RunSystemError> {
        // An earlier one may have cancelled it.
        let Ok(mut found) = world.get_entity_mut(entity) else {
            return Ok(());
        };
        let Some(Kept(data)) = found.take::<Kept<T>>() else {
            return Ok(());
        };
        let mut call = Call {
            world,
            entity,
            data: Some(data),
            is_done: false,
        };
        if let Some(data) = &mut call.data {
            let function = &mut self.function;
            function.run_without_applying_deferred(data, call.world)?;
            call.is_done = true;
        }
        drop(call);
        self.function.apply_deferred(world);
        Ok(())
    }
}

/// A call that began. Its data, which nobody else can reach meanwhile, goes back to where it
/// waited, also when the function panics.
struct Call<'w, T: KeepValue> {
    world: &'w mut World,
    entity: Entity,
    data: Option<T>,
    is_done: bool,
}

impl<T: KeepValue> Drop for Call<'_, T> {
    fn drop(&mut self) {
        let Ok(mut entity) = self.world.get_entity_mut(self.entity) else {
            return;
        };
        if self.is_done
            && let Some(mut callback) = entity.get_mut::<Callback>()
        {
            match &mut callback.when {
                When::At { .. } => {
                    entity.despawn();
                    return;
                }
                When::Every { period, next } => *next = next.saturating_add(*period),
                When::Pressed { .. } => {}
            }
        }
        if let Some(data) = self.data.take() {
            entity.insert(Kept(data));
        }
    }
}

impl<T: KeepValue> System for CallBack<T> {
    type In = ();
    type Out = ();

    fn name(&self) -> DebugName {
        self.function.name()
    }

    fn flags(&self) -> SystemStateFlags {
        self.function.flags()
    }

    unsafe fn run_unsafe(
        &mut self,
        (): SystemIn<'_, Self>,
        world: UnsafeWorldCell,
    ) -> Result<(), RunSystemError> {
        // SAFETY: `initialize` returned exclusive access, so the caller lets nobody else use the
        // world while this runs.
        let world = unsafe { world.world_mut() };
        self.look(world);
        for index in 0..self.due.len() {
            let (_, entity) = self.due[index];
            self.call(entity, world)?;
        }
        Ok(())
    }

    // The function's commands were applied after each call.
    fn apply_deferred(&mut self, _: &mut World) {}

    fn queue_deferred(&mut self, _: DeferredWorld) {}

    fn initialize(&mut self, world: &mut World) -> SystemAccess {
        super::declare(world);
        self.waiting = Some(QueryState::new(world));
        self.function.initialize(world);
        SystemAccess::Exclusive
    }

    fn check_change_tick(&mut self, check: CheckChangeTicks) {
        self.function.check_change_tick(check);
    }

    fn get_last_run(&self) -> Tick {
        self.function.get_last_run()
    }

    fn set_last_run(&mut self, last_run: Tick) {
        self.function.set_last_run(last_run);
    }
}
