//! The loader: turns artifacts into prepared versions and unloads old ones, off the
//! frame loop, on a thread of its own.
//!
//! Some code can never be unloaded: the world's component table keeps the drop and
//! clone functions of whoever registers a type first, and reflection caches type
//! descriptions with pointers into whoever asks first. If that were a version's own
//! code, it would stay mapped for as long as the game runs. So when a version brings
//! types that are new, the image that was asked first becomes a *type image*: it is
//! kept, nothing of the game ever runs in it, and the version itself is a second copy
//! that refers to the first and can go.

use std::any::TypeId;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use engine_api::component_hooks::HookKinds;
use engine_api::module::{ModuleBuilder, ModuleDescription};
use engine_api::sources::Sources;
use engine_api::state::StateType;
use inspector_protocol::status::{ReloadOutcome, VersionState};

use crate::backend::{Artifact, Backend, CodeHandle, LoadError, LoadedCode};
use crate::call;
use crate::host::Outbox;
use crate::images;
use crate::link::{FromHost, Reloaded};
use crate::panic;
use crate::part::Part;
use crate::registry::{Registry, VersionKey};
use crate::required;
use crate::state::{self, KeptType};
use crate::swap::{self, PreparedVersion, Retired};

/// What the loader is asked to do.
pub enum LoaderRequest {
    /// Load an artifact as the next version.
    Load {
        /// Comes back in the report.
        ticket: Option<u64>,
        /// Module.
        module: String,
        /// The file.
        artifact: Artifact,
        /// How.
        options: LoadOptions,
    },
    /// Drop what a version left behind; nothing calls it any more once its calls
    /// have ended.
    Retire(Box<Retired>),
    /// The world does not refer to this version: unload it.
    Unload(String, VersionKey),
    /// A prepared version did not get in.
    Discard(String, VersionKey, Box<Retired>),
    /// Stop the thread.
    Stop,
}

/// How a version is loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Even if that content runs already.
    pub force: bool,
    /// The version it replaces failed.
    pub quarantine: bool,
    /// The state from before that version comes back with it.
    pub restore: bool,
}

/// A prepared version on its way to the frame thread.
pub struct ReadyVersion {
    /// The version.
    pub prepared: PreparedVersion,
    /// Ticket of the request.
    pub ticket: Option<u64>,
    /// Time it took to get here.
    pub load: Duration,
    /// The version it replaces failed.
    pub quarantine: bool,
    /// The state from before that version comes back with it.
    pub restore: bool,
}

/// How often the loader looks for artifacts that were replaced by others.
const EXTERNAL_INTERVAL: Duration = Duration::from_millis(50);

/// The loader's thread body.
pub(crate) struct Loader {
    pub(crate) registry: Arc<Registry>,
    pub(crate) backends: Vec<Box<dyn Backend>>,
    /// Module name and index of its backend.
    pub(crate) modules: Vec<(String, usize)>,
    pub(crate) requests: Receiver<LoaderRequest>,
    pub(crate) ready: Sender<ReadyVersion>,
    pub(crate) outbox: Outbox,
    /// Code that was closed and is still mapped.
    pub(crate) closed: Vec<(String, VersionKey, Box<dyn CodeHandle>)>,
    /// Code that the component table and reflection point into; kept for ever.
    pub(crate) type_images: Vec<Box<dyn CodeHandle>>,
    /// How kept code knows each type.
    pub(crate) kept_types: HashMap<TypeIdentity, KeptType>,
    /// Systems that people were told about.
    pub(crate) linted: HashSet<String>,
}

impl Loader {
    pub(crate) fn run(mut self) {
        let mut retired: Vec<Retired> = Vec::new();
        loop {
            match self.requests.recv_timeout(EXTERNAL_INTERVAL) {
                Ok(LoaderRequest::Load {
                    ticket,
                    module,
                    artifact,
                    options,
                }) => {
                    self.load(ticket, &module, &artifact, options);
                    self.look_at_closed();
                }
                Ok(LoaderRequest::Retire(left)) => retired.push(*left),
                Ok(LoaderRequest::Unload(module, key)) => {
                    // What it registered must go while its code is still there.
                    drop_guarded(&mut retired);
                    self.unload(&module, key);
                }
                Ok(LoaderRequest::Discard(module, key, left)) => {
                    drop_guarded(&mut vec![*left]);
                    self.registry.reject(&module, key);
                }
                Ok(LoaderRequest::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    drop_guarded(&mut retired);
                    self.look_outside();
                }
            }
        }
    }

    fn look_outside(&mut self) {
        let changes: Vec<_> = self
            .backends
            .iter_mut()
            .flat_map(|backend| backend.external_changes())
            .collect();
        for (module, artifact) in changes {
            self.load(None, &module, &artifact, LoadOptions::default());
        }
    }

    fn load(
        &mut self,
        ticket: Option<u64>,
        module: &str,
        artifact: &Artifact,
        options: LoadOptions,
    ) {
        let start = Instant::now();
        let from = self.registry.active(module).map(|key| key.number);
        let report = |outcome, message: String| Reloaded {
            ticket,
            module: module.to_owned(),
            from,
            to: None,
            outcome,
            message,
            load_ms: start.elapsed().as_secs_f64() * 1000.0,
            migrate_ms: 0.0,
            swap_ms: 0.0,
        };
        let Some(&(_, backend)) = self.modules.iter().find(|(name, _)| name == module) else {
            let message = format!("there is no module `{module}` in the config");
            return self
                .outbox
                .reloaded(report(ReloadOutcome::LoadError, message));
        };
        match self.prepare(backend, module, artifact, options.force) {
            Ok(prepared) => {
                let ready = ReadyVersion {
                    prepared,
                    ticket,
                    load: start.elapsed(),
                    quarantine: options.quarantine,
                    restore: options.restore,
                };
                // The frame thread is gone only when the host ends.
                let _ = self.ready.send(ready);
            }
            // Cargo touches its artifacts now and then; without news nobody is told.
            Err((ReloadOutcome::Unchanged, _)) if ticket.is_none() => {}
            Err((outcome, message)) => self.outbox.reloaded(report(outcome, message)),
        }
    }

    fn prepare(
        &mut self,
        backend: usize,
        module: &str,
        artifact: &Artifact,
        force: bool,
    ) -> Result<PreparedVersion, (ReloadOutcome, String)> {
        let running = self.registry.active_hash(module).filter(|_| !force);
        let loaded = self.backends[backend]
            .load(module, artifact, running)
            .map_err(|error| {
                let outcome = match error {
                    LoadError::Unusable(_) => ReloadOutcome::LoadError,
                    LoadError::Misfit(_) => ReloadOutcome::Rejected,
                    LoadError::Unchanged => ReloadOutcome::Unchanged,
                };
                (outcome, error.to_string())
            })?;
        remember_image(&loaded);
        let rejected = |message: String| (ReloadOutcome::Rejected, message);
        let key = self
            .registry
            .reserve(module)
            .ok_or_else(|| rejected(format!("there is no module `{module}`")))?;
        let (loaded, described) = match describe(key, &loaded) {
            Ok(mut first) => {
                let checked = check(key, &loaded, &mut first);
                required::measure(key, &mut first.types);
                let required: Vec<u64> = first.types.iter().map(|state| state.required).collect();
                let again = if self.brings_new_types(&first) {
                    self.backends[backend].load_again(module)
                } else {
                    // The world never refers to such code.
                    None
                };
                match again {
                    None => (loaded, checked.map(|()| first)),
                    Some(again) => {
                        self.keep_types(first, loaded.code);
                        let again = again.map_err(|error| {
                            self.registry.reject(module, key);
                            rejected(error.to_string())
                        })?;
                        remember_image(&again);
                        let second = describe(key, &again).and_then(|mut second| {
                            check(key, &again, &mut second)?;
                            // The same code makes the same.
                            for (state, required) in second.types.iter_mut().zip(required) {
                                state.required = required;
                            }
                            Ok(second)
                        });
                        (again, second)
                    }
                }
            }
            Err(message) => {
                // Nobody knows which types it showed to reflection before it failed.
                let code = Box::new(Unsure(loaded.code));
                (LoadedCode { code, ..loaded }, Err(message))
            }
        };
        let described = described.and_then(|mut description| {
            swap::sort_description(&mut description)?;
            Ok(description)
        });
        if let Ok(description) = &described {
            self.lint(module, description);
        }
        let names = described.as_ref().map(swap::function_names);
        let names = names.unwrap_or_default();
        self.outbox.offer(FromHost::Names {
            id: key.id,
            module: module.to_owned(),
            version: key.number,
            functions: names.clone(),
        });
        self.registry
            .set_loaded(module, key, &loaded.label, loaded.hash, loaded.code, names);
        match described {
            Ok(description) => Ok(PreparedVersion {
                module: module.to_owned(),
                key,
                kept: self.kept_types(&description.types),
                build: loaded.build,
                description,
            }),
            Err(message) => {
                self.registry.reject(module, key);
                Err(rejected(message))
            }
        }
    }

    /// Says what a reload will surprise people with; each thing once.
    fn lint(&mut self, module: &str, description: &ModuleDescription) {
        for (_, system) in &description.systems {
            let (locals, readers) = (system.locals(), system.forgetful_readers());
            let is_silent = locals.is_empty() && readers.is_empty();
            if is_silent || !self.linted.insert(system.name.clone()) {
                continue;
            }
            let name = &system.name;
            if !locals.is_empty() {
                self.outbox.warn(format!(
                    "Module '{module}': `Local<{}>` of system `{name}` starts anew at each reload; \
                     `Keep` goes on",
                    locals.join(">`, `Local<"),
                ));
            }
            if !readers.is_empty() {
                self.outbox.warn(format!(
                    "Module '{module}': system `{name}` reads `{}` with a parameter of bevy's own \
                     and hears what is queued again after each reload; the `MessageReader` of \
                     `engine_api::prelude` goes on",
                    readers.join("`, `"),
                ));
            }
        }
    }

    /// Whether a version has types that no kept code stands for.
    fn brings_new_types(&self, description: &ModuleDescription) -> bool {
        let types = description.types.iter();
        let ids = types.flat_map(|state| state.reflected.iter().chain([&state.stored]));
        let new = self.registry.learn_types(ids.copied());
        // The first version with a type may have been refused, and the next one have it
        // with another layout under the same identity.
        let declared = |state| self.kept_types.contains_key(&identity(state));
        new || !description.types.iter().all(declared)
    }

    /// Makes code the one that the world and reflection refer to for its types.
    fn keep_types(&mut self, description: ModuleDescription, code: Box<dyn CodeHandle>) {
        for state in &description.types {
            self.kept_types
                .entry(identity(state))
                .or_insert_with(|| KeptType::of(state));
        }
        self.type_images.push(code);
    }

    /// How kept code knows each of `types`; code that the world never refers to stands
    /// for itself.
    fn kept_types(&self, types: &[StateType]) -> Vec<KeptType> {
        types
            .iter()
            .map(|state| {
                let kept = self.kept_types.get(&identity(state)).copied();
                kept.unwrap_or_else(|| KeptType::of(state))
            })
            .collect()
    }

    fn unload(&mut self, module: &str, key: VersionKey) {
        debug_assert_eq!(
            call::count_certainly(key.id),
            0,
            "unloading a version that runs"
        );
        let Some(mut code) = self.registry.take_code(module, key) else {
            return;
        };
        code.close();
        if !self.look_whether_gone(module, key, code.as_ref()) {
            self.registry.set_closed(module, key, false);
            self.closed.push((module.to_owned(), key, code));
        }
    }

    fn look_whether_gone(&self, module: &str, key: VersionKey, code: &dyn CodeHandle) -> bool {
        let gone = code.is_gone();
        if gone {
            self.registry.set_closed(module, key, true);
            self.outbox.debug(format!("v{} unloaded", key.number));
        }
        gone
    }

    /// Looks again at code that was closed and still mapped: loading another artifact
    /// may have let go of it.
    fn look_at_closed(&mut self) {
        let mut closed = std::mem::take(&mut self.closed);
        closed.retain(|(module, key, code)| !self.look_whether_gone(module, *key, code.as_ref()));
        self.closed = closed;
    }
}

/// What tells a type from all others, of any version: who it is, its layout, which hooks it
/// has, and how the components that it requires are made.
pub(crate) type TypeIdentity = (TypeId, u64, HookKinds, u64);

fn identity(state: &StateType) -> TypeIdentity {
    let hooks = state.hooks.kinds();
    (state.stored, state.schema.hash(), hooks, state.required)
}

/// Code that failed while it was asked what it offers. Reflection may point into it.
struct Unsure(Box<dyn CodeHandle>);

impl CodeHandle for Unsure {
    fn contains(&self, address: usize) -> bool {
        self.0.contains(address)
    }

    fn range(&self) -> Option<Range<usize>> {
        self.0.range()
    }

    fn pinned_by(&self) -> Vec<String> {
        let mut reasons = self.0.pinned_by();
        reasons.push("it failed while its types were asked for; reflection may use it".to_owned());
        reasons
    }

    fn close(&mut self) {
        self.0.close();
    }

    fn is_gone(&self) -> bool {
        self.0.is_gone()
    }
}

/// Whoever has an address in this code can tell from here on what it is.
fn remember_image(loaded: &LoadedCode) {
    if let Some(range) = loaded.code.range() {
        images::add(range, loaded.hash);
    }
}

/// Asks code what it offers.
fn describe(key: VersionKey, loaded: &LoadedCode) -> Result<ModuleDescription, String> {
    let _call = call::enter(Part::Setup.of(key.id));
    let description = panic::guard(|| {
        let mut builder = ModuleBuilder::new();
        (loaded.build)(&mut builder);
        builder.finish()
    });
    let mut description = description.map_err(|report| {
        format!(
            "it panicked while it was asked what it offers: {}",
            report.summary()
        )
    })?;
    if description.errors.is_empty() {
        look_into(&mut description, &loaded.sources);
        Ok(description)
    } else {
        Err(description.errors.join("; "))
    }
}

/// Prepares the systems of a version for a world of their own, to see that it registers
/// what it uses. Adds the types of what its systems keep.
fn check(
    key: VersionKey,
    loaded: &LoadedCode,
    description: &mut ModuleDescription,
) -> Result<(), String> {
    // Systems belong to the first world they are prepared for, so the check gets a
    // description of its own.
    let for_check = describe(key, loaded)?;
    let _call = call::enter(Part::Setup.of(key.id));
    let kept = panic::guard(|| state::check_registrations(for_check)).map_err(|report| {
        format!(
            "it panicked while its systems were checked: {}",
            report.summary()
        )
    })??;
    description.types.extend(kept);
    look_into(description, &loaded.sources);
    Ok(())
}

/// Lets all schemas differ where the sources do.
fn look_into(description: &mut ModuleDescription, sources: &Sources) {
    for state in &mut description.types {
        state.schema.look_into(sources);
    }
    for result in &mut description.results {
        result.schema.look_into(sources);
    }
    for migration in &mut description.migrations {
        migration.look_into(sources);
    }
}

/// Drops what versions left behind. That runs code of theirs (the values of a
/// system's `Local`), which may panic.
fn drop_guarded(retired: &mut Vec<Retired>) {
    for left in retired.drain(..) {
        let _ = panic::guard(|| drop(left));
    }
}

/// Looks at versions that no longer take calls and decides what becomes of them.
/// Runs on the frame thread, between frames.
#[derive(Default)]
pub(crate) struct Drain {
    announced: HashSet<u32>,
    requested: HashSet<u32>,
}

impl Drain {
    /// Sends versions that nothing refers to any more to be unloaded; names what
    /// keeps the others.
    pub(crate) fn look(
        &mut self,
        registry: &Registry,
        outbox: &Outbox,
        loader: &Sender<LoaderRequest>,
        references: impl Fn(&str, VersionKey, &dyn Fn(usize) -> bool) -> Vec<String>,
    ) {
        for (module, key, state) in registry.mapped_leftovers() {
            if self.requested.contains(&key.id) {
                continue;
            }
            let calls = call::running()
                .iter()
                .filter(|c| c.id.version() == key.id)
                .count();
            if calls > 0 {
                if self.announced.insert(key.id) {
                    let plural = if calls == 1 { "" } else { "s" };
                    outbox.debug(format!(
                        "v{} draining ({calls} active call{plural})",
                        key.number
                    ));
                }
                continue;
            }
            if registry.is_leased(&module, key) || call::count_certainly(key.id) > 0 {
                continue;
            }
            let reasons = registry
                .with_code(&module, key, |code| {
                    let mut reasons = code.pinned_by();
                    reasons.extend(references(&module, key, &|address| code.contains(address)));
                    reasons
                })
                .unwrap_or_default();
            if reasons.is_empty() {
                if loader.try_send(LoaderRequest::Unload(module, key)).is_ok() {
                    self.requested.insert(key.id);
                }
            } else {
                let first = reasons[0].clone();
                let changed = registry.pin(&module, key, reasons);
                if changed && state == VersionState::Draining {
                    outbox.debug(format!("v{} pinned ({first})", key.number));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
