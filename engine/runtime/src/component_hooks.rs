//! Hooks of components as the active versions have them.
//!
//! The world calls hooks through gates (see [`engine_api::component_hooks`]); what stands
//! behind them is put together at a swap: the hooks of each active version, counted and
//! guarded as calls into it, and for types that no active version registers any more those
//! of the code that stays mapped.

use std::any::TypeId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use engine_api::bevy_ecs::world::World;
use engine_api::component_hooks::{HookGuard, HookSet, HookTable};
use engine_api::state::StateType;

use crate::call::{self, CallId};
use crate::observer::FaultQueue;
use crate::panic;
use crate::registry::VersionKey;
use crate::runner::SystemFault;

/// The hooks of the types of one version.
#[derive(Default)]
pub(crate) struct VersionHooks(Vec<(TypeId, HookSet, Arc<Guard>)>);

/// Types with hooks, in the order in which they are numbered.
fn hooked<'t>(
    types: impl IntoIterator<Item = &'t StateType>,
) -> impl Iterator<Item = &'t StateType> {
    let types = types.into_iter();
    types.filter(|state| !state.hooks.is_empty())
}

/// What calls of hooks are shown as: `hooks of game::Health`.
pub(crate) fn names<'t>(
    types: impl IntoIterator<Item = &'t StateType>,
) -> impl Iterator<Item = String> {
    hooked(types).map(|state| format!("hooks of {}", state.schema.path))
}

impl VersionHooks {
    /// The hooks of `types`; calls of them are numbered from `first`.
    pub(crate) fn new<'t>(
        types: impl IntoIterator<Item = &'t StateType>,
        key: VersionKey,
        first: u32,
        faults: &FaultQueue,
    ) -> Self {
        let guarded = hooked(types).zip(first..).map(|(state, function)| {
            let guard = Guard {
                id: CallId::new(key.id, function),
                paused: AtomicBool::new(false),
                faults: faults.clone(),
            };
            (state.stored, state.hooks, Arc::new(guard))
        });
        Self(guarded.collect())
    }

    /// Puts them behind the gates of a world.
    pub(crate) fn put(&self, world: &World, table: &mut HookTable) {
        for (stored, hooks, guard) in &self.0 {
            if let Some(component) = world.components().get_id(*stored) {
                table.set(component, *hooks, Some(guard.clone()));
            }
        }
    }
}

/// Counts calls of a component's hooks; pauses them after a panic.
struct Guard {
    id: CallId,
    paused: AtomicBool,
    faults: FaultQueue,
}

impl HookGuard for Guard {
    fn run(&self, hook: &mut dyn FnMut()) {
        if self.paused.load(Ordering::Relaxed) {
            return;
        }
        let _call = call::enter(self.id);
        if let Err(report) = panic::guard(hook) {
            self.paused.store(true, Ordering::Relaxed);
            let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.push(SystemFault::Panicked {
                id: self.id,
                report,
            });
        }
    }
}
