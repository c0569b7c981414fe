//! Handles on functions whose type is not known when the caller is compiled.

use std::sync::Arc;

use engine_api::bevy_ecs::world::World;
use engine_api::function::{CallError, DynamicCall};
use engine_api::value::Value;

use super::{CallByNameError, CallContext, FunctionSlot, Registry, resolve};
use crate::call::CallId;
use crate::panic;

/// A function of a module of any kind, called with dynamic values. Stays valid through reloads:
/// each call enters the version that is active then. The names are looked up at the first call
/// and at the first one after a reload. See [`Host::call`](crate::host::Host::call).
pub struct DynamicFunction {
    registry: Arc<Registry>,
    module: String,
    function: String,
    found: Option<Found>,
}

/// The function in the version that was active at the last call.
struct Found {
    slot: Arc<FunctionSlot>,
    id: CallId,
    version: u32,
    /// Belongs to the version, which has not to be kept for a handle that nobody uses.
    call: *const DynamicCall,
}

impl DynamicFunction {
    /// Whether it is one of this registry's.
    pub(crate) fn is_of(&self, registry: &Arc<Registry>) -> bool {
        Arc::ptr_eq(&self.registry, registry)
    }

    pub(super) fn new(registry: Arc<Registry>, module: &str, function: &str) -> Self {
        Self {
            registry,
            module: module.to_owned(),
            function: function.to_owned(),
            found: None,
        }
    }

    /// Calls the function of the active version on this thread; what it queued for the world is
    /// done when this returns.
    ///
    /// # Errors
    /// As [`Registry::call_with_world`].
    ///
    /// # Safety
    /// No version is retired or deactivated while this runs.
    pub(crate) unsafe fn call(
        &mut self,
        world: &mut World,
        args: &[Value],
    ) -> Result<Value, CallByNameError> {
        let (version, call, guard) = loop {
            if let Some(found) = &self.found
                && let Some(guard) = found.slot.slot.enter_as(found.id)
            {
                break (found.version, found.call, guard);
            }
            self.found = Some(self.find()?);
        };
        // SAFETY: the version is the active one, or it could not have been entered, and the
        // registry has the calls of the active version until that is retired or deactivated; the
        // caller says that this does not happen now.
        let outcome = match unsafe { &*call } {
            DynamicCall::Detached(call) => call(args),
            DynamicCall::World(call) => call(world, args),
        };
        let outcome = match panic::guard(|| world.flush()) {
            Ok(()) => outcome,
            Err(report) => outcome.and(Err(CallError::Panicked(report.summary()))),
        };
        drop(guard);
        match outcome {
            Ok(value) => Ok(value),
            failed => {
                let context = CallContext {
                    module: self.module.clone(),
                    version,
                    function: self.function.clone(),
                };
                context.finish(failed)
            }
        }
    }

    /// Looks the names up.
    fn find(&self) -> Result<Found, CallByNameError> {
        let modules = self.registry.lock();
        let (version, call, index) = resolve(&modules, &self.module, &self.function)?;
        let module = modules.iter().find(|module| module.name == self.module);
        let slot = module.and_then(|module| module.slots.get(&self.function));
        let slot = slot.ok_or_else(|| CallByNameError::NotActive(self.module.clone()))?;
        Ok(Found {
            slot: slot.clone(),
            id: CallId::new(version.id, index),
            version: version.number,
            call: Arc::as_ptr(call),
        })
    }
}
