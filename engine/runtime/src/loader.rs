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
use engine_api::bevy_ecs::world::World;
use engine_api::component_hooks::HookKinds;
use engine_api::module::{ModuleBuilder, ModuleDescription};
use engine_api::sources::Sources;
use engine_api::state::StateType;
use engine_api::zeroing;
use inspector_protocol::status::ReloadOutcome;

use crate::backend::{Artifact, Backend, CodeHandle, LoadError, LoadedCode, Look, content_hash};
use crate::call;
use crate::host::Outbox;
use crate::images;
use crate::link::{FromHost, ModuleSpec, Reloaded};
use crate::panic;
use crate::part::Part;
use crate::registry::{Registry, VersionKey};
use crate::state::{self, KeptType};
use crate::swap::{self, PreparedVersion, Refusal, Retired};
use crate::unload::{UnloadPolicy, Unloads};
use crate::{required, wipe};

/// What the loader is asked to do.
pub enum LoaderRequest {
    /// Load artifacts as the next versions of their modules; all of them get in together, or
    /// none does.
    Load(Vec<Load>),
    /// The modules to be served from now on, each with the index of its backend.
    Modules(Vec<(ModuleSpec, usize)>),
    /// The engine's own builder works: what it writes is no news from others.
    Building(bool),
    /// Content of a module that is not to be loaded as if others had built it.
    Leave(String, u64),
    /// Drop what a version left behind; nothing calls it any more once its calls
    /// have ended.
    Retire(Box<Retired>),
    /// No call is in this version, and as far as the policy asks for it, nothing is known
    /// that refers to it: unload it, or look for references first.
    Unload(String, VersionKey),
    /// What has to be known of old versions from now on. If it is something else than before,
    /// versions that wait are asked for again.
    Unloading {
        /// What.
        policy: UnloadPolicy,
        /// Time from one frame to the next.
        period: Duration,
    },
    /// Stop the thread.
    Stop,
}

/// An artifact that is to become the next version of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Comes back in the report.
    pub ticket: Option<u64>,
    /// Module.
    pub module: String,
    /// The file.
    pub artifact: Artifact,
    /// How.
    pub options: LoadOptions,
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

impl ReadyVersion {
    /// Whether its code may take the process down, as machine code may.
    pub(crate) fn can_end_process(&self) -> bool {
        self.prepared.entrance.is_none()
    }
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
    pub(crate) ready: Sender<Vec<ReadyVersion>>,
    /// Loads that no version came of, for the game.
    pub(crate) failed: Sender<Reloaded>,
    pub(crate) outbox: Outbox,
    pub(crate) memory: Memory,
    pub(crate) unloads: Unloads,
}

/// What the loader remembers from one request to the next.
#[derive(Default)]
pub(crate) struct Memory {
    /// Code that was closed and is still mapped.
    pub(crate) closed: Vec<(String, VersionKey, Box<dyn CodeHandle>)>,
    /// Code that the component table and reflection point into; kept for ever.
    pub(crate) type_images: Vec<Box<dyn CodeHandle>>,
    /// How kept code knows each type.
    pub(crate) kept_types: HashMap<TypeIdentity, KeptType>,
    /// How kept code makes each shared struct known.
    pub(crate) kept_shared: HashMap<TypeId, fn(&mut World)>,
    /// Systems that people were told about.
    pub(crate) linted: HashSet<String>,
    /// The engine's own builder works.
    pub(crate) is_building: bool,
    /// Index of the backend of each version, by its process-wide id: the configuration may have
    /// lost its module by now.
    pub(crate) homes: HashMap<u32, usize>,
    /// Content of modules that was built and is not to be loaded.
    pub(crate) left: HashMap<String, u64>,
}

impl Loader {
    pub(crate) fn run(mut self) {
        let mut retired: Vec<Retired> = Vec::new();
        loop {
            match self.requests.recv_timeout(EXTERNAL_INTERVAL) {
                Ok(LoaderRequest::Load(loads)) => {
                    self.load(&loads);
                    self.look_at_closed();
                }
                Ok(LoaderRequest::Modules(modules)) => self.set_modules(&modules),
                Ok(LoaderRequest::Building(is_building)) => self.memory.is_building = is_building,
                Ok(LoaderRequest::Leave(module, hash)) => {
                    self.memory.left.insert(module, hash);
                }
                Ok(LoaderRequest::Retire(left)) => retired.push(*left),
                Ok(LoaderRequest::Unload(module, key)) => {
                    // What it registered must go while its code is still there.
                    drop_guarded(&mut retired);
                    self.begin_unload(module, key);
                }
                Ok(LoaderRequest::Unloading { policy, period }) => {
                    self.set_unloading(policy, period);
                }
                Ok(LoaderRequest::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    drop_guarded(&mut retired);
                    self.look_outside();
                }
            }
            // What these calls left on the stack is no reference to a version.
            wipe::stack();
            if self.may_look() {
                self.prove();
            }
        }
    }

    /// Whether a look is due and nobody waits for something else: it takes its time.
    fn may_look(&self) -> bool {
        self.unloads.is_due() && self.requests.is_empty()
    }

    /// Unloads what nothing refers to; says of the rest what does.
    fn prove(&mut self) {
        let look = Look {
            pause: self.unloads.pause(),
            heap: self.unloads.policy == UnloadPolicy::Proven,
        };
        let waiting = std::mem::take(&mut self.unloads.waiting);
        for (index, backend) in self.backends.iter_mut().enumerate() {
            let mut own = Vec::new();
            let mut numbers = Vec::new();
            for (module, key) in &waiting {
                if self.memory.homes.get(&key.id) == Some(&index)
                    && let Some(number) =
                        self.registry.with_code(module, *key, |code| code.number())
                {
                    own.push((module.clone(), *key));
                    numbers.push(number);
                }
            }
            if own.is_empty() {
                continue;
            }
            for ((module, key), proof) in own.into_iter().zip(backend.prove(&numbers, look)) {
                self.unloads.found(module, key, proof);
            }
        }
        self.unloads.looked();
        for (module, key) in self.unloads.take_free() {
            self.unload(&module, key, look.heap);
        }
    }

    fn set_modules(&mut self, modules: &[(ModuleSpec, usize)]) {
        for (index, backend) in self.backends.iter_mut().enumerate() {
            let own = modules.iter().filter(|(_, backend)| *backend == index);
            let own: Vec<ModuleSpec> = own.map(|(spec, _)| spec.clone()).collect();
            backend.set_modules(&own);
        }
        let named = modules
            .iter()
            .map(|(spec, backend)| (spec.name.clone(), *backend));
        self.modules = named.collect();
        // What the backend let go of may be gone.
        self.look_at_closed();
    }

    fn set_unloading(&mut self, policy: UnloadPolicy, period: Duration) {
        self.unloads.set(policy, period);
        // From this thread, which is the one that has blocks put aside.
        zeroing::set_enabled(policy == UnloadPolicy::Proven);
    }

    fn look_outside(&mut self) {
        if self.memory.is_building {
            return;
        }
        let changes: Vec<_> = self
            .backends
            .iter_mut()
            .flat_map(|backend| backend.external_changes())
            .collect();
        for (module, artifact) in changes {
            let left = self.memory.left.get(&module);
            if left.is_some() && left.copied() == hash_of(&artifact) {
                continue;
            }
            self.load(&[Load {
                ticket: None,
                module,
                artifact,
                options: LoadOptions::default(),
            }]);
        }
    }

    /// Prepares versions that are to get in together. If one of them cannot be prepared, all
    /// are given up.
    // Its part of the stack has to be over when that is wiped.
    #[inline(never)]
    fn load(&mut self, loads: &[Load]) {
        let group: Vec<String> = loads.iter().map(|load| load.module.clone()).collect();
        let mut ready: Vec<ReadyVersion> = Vec::new();
        let mut told = Vec::new();
        let mut refused = None;
        for load in loads {
            let start = Instant::now();
            match self.prepare_one(load) {
                Ok(prepared) => ready.push(ReadyVersion {
                    prepared,
                    ticket: load.ticket,
                    load: start.elapsed(),
                    quarantine: load.options.quarantine,
                    restore: load.options.restore,
                }),
                // It runs already: the others get in beside it. Cargo touches its artifacts now
                // and then; without news nobody is told.
                Err((ReloadOutcome::Unchanged, _)) if load.ticket.is_none() => {}
                Err((ReloadOutcome::Unchanged, message)) => {
                    told.push(load.module.as_str());
                    self.report(load, ReloadOutcome::Unchanged, message, start.elapsed());
                }
                Err((outcome, message)) => {
                    told.push(load.module.as_str());
                    let refusal = Refusal::of(&load.module, message);
                    let message = refusal.message_for(&load.module, &group);
                    self.report(load, outcome, message, start.elapsed());
                    refused = Some(refusal);
                    break;
                }
            }
        }
        let Some(refusal) = refused else {
            if !ready.is_empty() {
                // The frame thread is gone only when the host ends.
                let _ = self.ready.send(ready);
            }
            return;
        };
        let is_told = |load: &&Load| told.contains(&load.module.as_str());
        for load in loads.iter().filter(|load| !is_told(load)) {
            let message = refusal.message_for(&load.module, &group);
            self.report(load, ReloadOutcome::Rejected, message, Duration::ZERO);
        }
        for ReadyVersion { prepared, .. } in ready {
            let (module, key) = (prepared.module.clone(), prepared.key);
            // What it registered is dropped by its own code, which may panic.
            let _ = panic::guard(|| drop(prepared));
            self.registry.reject(&module, key);
        }
    }

    /// Says how a load ended that no version came of.
    fn report(&self, load: &Load, outcome: ReloadOutcome, message: String, took: Duration) {
        let report = Reloaded {
            ticket: load.ticket,
            module: load.module.clone(),
            from: self.registry.active(&load.module).map(|key| key.number),
            outcome,
            message,
            load_ms: took.as_secs_f64() * 1000.0,
            ..Reloaded::default()
        };
        if outcome != ReloadOutcome::Unchanged {
            // The frame thread is gone only when the host ends.
            let _ = self.failed.send(report.clone());
        }
        self.outbox.reloaded(report);
    }

    fn prepare_one(&mut self, load: &Load) -> Result<PreparedVersion, (ReloadOutcome, String)> {
        let module = load.module.as_str();
        let Some(&(_, backend)) = self.modules.iter().find(|(name, _)| name == module) else {
            let message = format!("there is no module `{module}` in the config");
            return Err((ReloadOutcome::LoadError, message));
        };
        self.prepare(backend, module, &load.artifact, load.options.force)
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
        self.memory.homes.insert(key.id, backend);
        self.leave_descriptions(key, &loaded);
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
                        self.leave_descriptions(key, &again);
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
        let number = loaded.code.number();
        self.registry
            .set_loaded(module, key, &loaded.label, loaded.hash, loaded.code, names);
        match described {
            Ok(mut description) => {
                self.declare_shared_by_kept_code(&mut description);
                Ok(PreparedVersion {
                    module: module.to_owned(),
                    key,
                    kept: self.kept_types(&description.types),
                    build: loaded.build,
                    entrance: loaded.entrance.map(|entrance| (entrance, number)),
                    description,
                })
            }
            Err(message) => {
                self.registry.reject(module, key);
                Err(rejected(message))
            }
        }
    }

    /// Has code describe its types once, for what it leaves behind at the first time.
    // Its part of the stack has to be over when that is wiped.
    #[inline(never)]
    fn leave_descriptions(&self, key: VersionKey, loaded: &LoadedCode) {
        if self.unloads.policy != UnloadPolicy::Proven {
            return;
        }
        // What the engine keeps of this thread is not the code's.
        let _call = call::enter(Part::Setup.of(key.id));
        loaded.code.put_aside(&mut || {
            let described = describe(key, loaded);
            // What it registered is dropped by its own code, which may panic. What else is wrong
            // with it is said when it is asked again.
            let _ = panic::guard(|| drop(described));
        });
        wipe::stack();
    }

    /// Says what a reload will surprise people with; each thing once.
    fn lint(&mut self, module: &str, description: &ModuleDescription) {
        for (_, system) in &description.systems {
            let (locals, readers) = (system.locals(), system.forgetful_readers());
            let is_silent = locals.is_empty() && readers.is_empty();
            if is_silent || !self.memory.linted.insert(system.name.clone()) {
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
        let shared = description.shared.iter().map(|shared| shared.type_id);
        let new = self.registry.learn_types(ids.copied().chain(shared));
        // The first version with a type may have been refused, and the next one have it
        // with another layout under the same identity.
        let declared = |state| self.memory.kept_types.contains_key(&identity(state));
        new || !description.types.iter().all(declared)
    }

    /// Makes code the one that the world and reflection refer to for its types.
    fn keep_types(&mut self, description: ModuleDescription, code: Box<dyn CodeHandle>) {
        for state in &description.types {
            self.memory
                .kept_types
                .entry(identity(state))
                .or_insert_with(|| KeptType::of(state));
        }
        for shared in &description.shared {
            let kept = self.memory.kept_shared.entry(shared.type_id);
            kept.or_insert(shared.declare);
        }
        self.memory.type_images.push(code);
    }

    /// Lets kept code make shared structs known to worlds.
    fn declare_shared_by_kept_code(&self, description: &mut ModuleDescription) {
        for shared in &mut description.shared {
            if let Some(declare) = self.memory.kept_shared.get(&shared.type_id) {
                shared.declare = *declare;
            }
        }
    }

    /// How kept code knows each of `types`; code that the world never refers to stands
    /// for itself.
    fn kept_types(&self, types: &[StateType]) -> Vec<KeptType> {
        types
            .iter()
            .map(|state| {
                let kept = self.memory.kept_types.get(&identity(state)).copied();
                kept.unwrap_or_else(|| KeptType::of(state))
            })
            .collect()
    }

    /// Unloads a version, at once or as soon as there is a proof.
    fn begin_unload(&mut self, module: String, key: VersionKey) {
        if self.unloads.looks() {
            self.unloads.add(module, key);
        } else {
            self.unload(&module, key, false);
        }
    }

    fn unload(&mut self, module: &str, key: VersionKey, is_proven: bool) {
        debug_assert_eq!(
            call::count_certainly(key.id),
            0,
            "unloading a version that runs"
        );
        let Some(mut code) = self.registry.take_code(module, key) else {
            return;
        };
        self.memory.homes.remove(&key.id);
        code.close(is_proven);
        if !self.look_whether_gone(module, key, code.as_mut()) {
            self.registry.set_closed(module, key, false);
            self.memory.closed.push((module.to_owned(), key, code));
        }
    }

    fn look_whether_gone(&self, module: &str, key: VersionKey, code: &mut dyn CodeHandle) -> bool {
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
        let mut closed = std::mem::take(&mut self.memory.closed);
        closed
            .retain_mut(|(module, key, code)| !self.look_whether_gone(module, *key, code.as_mut()));
        self.memory.closed = closed;
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

    fn number(&self) -> u64 {
        self.0.number()
    }

    fn give_back(&self) {
        self.0.give_back();
    }

    fn pinned_by(&self) -> Vec<String> {
        let mut reasons = self.0.pinned_by();
        reasons.push("it failed while its types were asked for; reflection may use it".to_owned());
        reasons
    }

    fn close(&mut self, is_proven: bool) {
        self.0.close(is_proven);
    }

    fn is_gone(&mut self) -> bool {
        self.0.is_gone()
    }
}

/// Whoever has an address in this code can tell from here on what it is.
fn remember_image(loaded: &LoadedCode) {
    if let Some(range) = loaded.code.range() {
        images::add(range, loaded.hash);
    }
}

/// Content hash of an artifact that others built; `None` if it cannot be read.
fn hash_of(artifact: &Artifact) -> Option<u64> {
    let bytes = std::fs::read(&artifact.path).ok()?;
    Some(content_hash(&bytes))
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
#[inline(never)]
fn drop_guarded(retired: &mut Vec<Retired>) {
    // Taken as a whole: a list that is emptied keeps what was in it.
    for left in std::mem::take(retired) {
        let _ = panic::guard(|| drop(left));
    }
}

#[cfg(test)]
mod tests;
