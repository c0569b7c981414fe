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
use crate::input::{Input, Key};
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
            frame: Frame::default(),
        }),
        conditions: Vec::new(),
        trigger: Trigger::Frame,
        before: Vec::new(),
        after: Vec::new(),
        occurrence: 1,
        parameters: String::new(),
    }
}

type Waiting<T> = QueryState<(Entity, &'static mut Callback), With<Kept<T>>>;

struct CallBack<T: KeepValue> {
    function: BoxedSystem<InMut<'static, T>>,
    name: String,
    /// Of the world that the system was initialised for.
    waiting: Option<Waiting<T>>,
    /// Those that are due, each with the time that was left before this frame. Reused, as the
    /// next is.
    due: Vec<(u64, Entity)>,
    frame: Frame,
}

impl Callback {
    /// Lets a frame pass; how much time was left before it, if the callback is due now.
    fn pass(&mut self, frame: &Frame) -> Option<u64> {
        match &mut self.when {
            When::After { left } | When::Every { left, .. } => {
                if self.started == frame.number {
                    return None;
                }
                let before = *left;
                *left = before.saturating_sub(frame.step);
                (before <= frame.step).then_some(before)
            }
            When::Pressed { key } => frame.pressed.contains(key).then_some(frame.step),
        }
    }

    /// Prepares for the next call after one that came with so much time left in its frame;
    /// `false` if there is none.
    fn wait_again(&mut self, before: u64, step: u64) -> bool {
        match &mut self.when {
            When::After { .. } => return false,
            When::Every { period, left } => {
                *left = before.saturating_add(*period).saturating_sub(step);
            }
            When::Pressed { .. } => {}
        }
        true
    }
}

/// What callbacks need to know of the frame.
#[derive(Default)]
struct Frame {
    number: u64,
    /// Nanoseconds.
    step: u64,
    /// Keys that went down.
    pressed: Vec<Key>,
}

impl Frame {
    fn look(&mut self, world: &World) {
        let time = world.get_resource::<Time>();
        self.number = time.map_or(0, Time::frame);
        self.step = time.map_or(0, |time| nanoseconds(time.step()));
        self.pressed.clear();
        if let Some(input) = world.get_resource::<Input>() {
            self.pressed.extend(input.keys_pressed());
        }
    }
}

impl<T: KeepValue> CallBack<T> {
    /// Lets a frame pass for those that wait, and notes those that are due, in the order of
    /// their times.
    fn look(&mut self, world: &mut World) {
        self.due.clear();
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        self.frame.look(world);
        for (entity, mut callback) in waiting.iter_mut(world) {
            if callback.function == self.name
                && let Some(before) = callback.pass(&self.frame)
            {
                self.due.push((before, entity));
            }
        }
        self.due.sort_unstable();
    }

    fn call(
        &mut self,
        before: u64,
        entity: Entity,
        world: &mut World,
    ) -> Result<(), RunSystemError> {
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
            done: None,
        };
        if let Some(data) = &mut call.data {
            let function = &mut self.function;
            function.run_without_applying_deferred(data, call.world)?;
            call.done = Some((before, self.frame.step));
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
    /// With the time that was left before this frame, and that of the frame.
    done: Option<(u64, u64)>,
}

impl<T: KeepValue> Drop for Call<'_, T> {
    fn drop(&mut self) {
        let Ok(mut entity) = self.world.get_entity_mut(self.entity) else {
            return;
        };
        if let Some((before, step)) = self.done
            && let Some(mut callback) = entity.get_mut::<Callback>()
            && !callback.wait_again(before, step)
        {
            entity.despawn();
            return;
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
            let (before, entity) = self.due[index];
            self.call(before, entity, world)?;
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
