//! Modules, their versions and the state each version is in.
//!
//! The registry is shared by the frame thread, the loader, workers and telemetry
//! behind one lock that is taken for moments only and never while module code
//! runs; the frame loop takes it at swaps, not per frame or call.

mod dynamic;

use std::any::TypeId;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use engine_api::function::{CallError, DetachedCall, DynamicCall, FunctionRegistration, WorldCall};
use engine_api::value::Value;
use inspector_protocol::status::{ModuleStatus, VersionState, VersionStatus};

use crate::backend::CodeHandle;
use crate::call::{self, CallGuard, CallId, Slot};
use crate::panic::{self, PanicReport};
use crate::part::Part;

pub use self::dynamic::DynamicFunction;

/// All modules of a running game.
pub struct Registry {
    modules: Mutex<Vec<Module>>,
    started: Instant,
    /// Types that a kept image brought; see [`crate::loader`].
    known_types: Mutex<HashSet<TypeId>>,
}

struct Module {
    name: String,
    kind: String,
    /// Whether the configuration has it. One that it no longer has is forgotten when all of its
    /// code is gone, but for its last number.
    is_listed: bool,
    versions: Vec<Version>,
    slots: HashMap<String, Arc<FunctionSlot>>,
    last_number: u32,
}

/// One loaded generation of a module.
struct Version {
    id: u32,
    number: u32,
    label: String,
    hash: u64,
    state: VersionState,
    /// It was active and failed; shown as its state once no call is in it.
    quarantined: bool,
    pinned_by: Vec<String>,
    loaded_at_ms: u64,
    /// Names behind the function numbers of [`CallId`]s, for as long as the process
    /// runs: a call may be listed after its version is gone.
    functions: Vec<String>,
    /// How many of them are jobs.
    job_names: usize,
    calls: HashMap<String, Arc<DynamicCall>>,
    code: Option<Box<dyn CodeHandle>>,
    /// Cloned by everything outside of the frame thread that holds closures of this
    /// version; see [`Registry::lease`].
    lease: Lease,
}

/// Keeps a version's code mapped while something of it is held: closures, trait
/// objects. Must be dropped after what it protects.
#[derive(Debug, Clone, Default)]
pub struct Lease(Arc<()>);

/// A slot and the type that its code must have.
struct FunctionSlot {
    slot: Slot,
    type_id: Mutex<Option<TypeId>>,
}

/// Id of the next version. One count for the whole process, as there is one list of
/// calls: two registries would count each other's calls otherwise.
static NEXT_ID: AtomicU32 = AtomicU32::new(1);

/// How many names of jobs are listed per version.
const MAX_JOB_NAMES: usize = 256;

/// How many unloaded or rejected versions stay listed per module.
const KEPT_VERSIONS: usize = 20;

/// A version that the loader has reserved a number for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionKey {
    /// Process-wide id, part of every [`CallId`].
    pub id: u32,
    /// Number within its module: 1, 2, ...
    pub number: u32,
}

/// Why a call by name gave no value.
#[derive(Debug, thiserror::Error)]
pub enum CallByNameError {
    /// There is no such module.
    #[error("there is no module `{module}`; modules are: {known}")]
    NoModule {
        /// What was asked for.
        module: String,
        /// What there is.
        known: String,
    },
    /// The module has no active version.
    #[error("module `{0}` has no active version")]
    NotActive(String),
    /// The active version has no such function.
    #[error("module `{module}` has no function `{function}`; functions are: {known}")]
    NoFunction {
        /// Module.
        module: String,
        /// What was asked for.
        function: String,
        /// What there is, with signatures where known.
        known: String,
    },
    /// A handle of another game was used.
    #[error("this function belongs to another game")]
    Foreign,
    /// The call itself failed.
    #[error("{module} v{version}: `{function}` {source}")]
    Failed {
        /// Module.
        module: String,
        /// Version that was entered.
        version: u32,
        /// Function.
        function: String,
        /// What went wrong.
        #[source]
        source: CallError,
    },
}

/// A function of a module with a type known at compile time; stays valid through
/// reloads.
pub struct TypedFunction<F> {
    slot: Arc<FunctionSlot>,
    _type: std::marker::PhantomData<F>,
}

/// A dynamic call that has entered its version and can now run.
pub enum EnteredCall {
    /// Needs no world.
    Detached(EnteredDetached),
    /// Runs with the world, on the frame thread.
    World,
}

/// A call without world, counted on its version until dropped.
pub struct EnteredDetached {
    // Order matters: the closure's code belongs to the version, so it is dropped
    // before the guard that protects the version.
    call: DetachedCall,
    context: CallContext,
    _guard: CallGuard,
}

struct CallContext {
    module: String,
    version: u32,
    function: String,
}

impl CallContext {
    fn finish(&self, result: Result<Value, CallError>) -> Result<Value, CallByNameError> {
        let report = panic::take_report();
        result.map_err(|source| {
            self.failed(match (source, report) {
                (CallError::Panicked(_), Some(report)) => {
                    panic::tell(&report);
                    CallError::Panicked(report.summary())
                }
                (source, _) => source,
            })
        })
    }

    fn failed(&self, source: CallError) -> CallByNameError {
        CallByNameError::Failed {
            module: self.module.clone(),
            version: self.version,
            function: self.function.clone(),
            source,
        }
    }
}

impl EnteredDetached {
    /// Runs it.
    ///
    /// # Errors
    /// [`CallByNameError::Failed`] if arguments do not fit or it panicked.
    pub fn run(&self, args: &[Value]) -> Result<Value, CallByNameError> {
        self.context.finish((self.call)(args))
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            modules: Mutex::default(),
            started: Instant::now(),
            known_types: Mutex::default(),
        }
    }
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Vec<Module>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records types that a version brings. Returns whether any of them is new.
    pub fn learn_types(&self, types: impl IntoIterator<Item = TypeId>) -> bool {
        let mut known = self
            .known_types
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        known.extend(types);
        known.len() > before
    }

    /// Makes a module known. Does nothing if it is.
    pub fn add_module(&self, name: &str, kind: &str) {
        let mut modules = self.lock();
        if let Some(known) = find(&mut modules, name) {
            known.is_listed = true;
            return;
        }
        modules.push(Module {
            name: name.to_owned(),
            kind: kind.to_owned(),
            is_listed: true,
            versions: Vec::new(),
            slots: HashMap::new(),
            last_number: 0,
        });
    }

    /// The kind of a module: `native`.
    pub fn kind(&self, module: &str) -> Option<String> {
        find(&mut self.lock(), module).map(|module| module.kind.clone())
    }

    /// A module has another name from now on. One that had that name before and is gone keeps
    /// it with a mark.
    pub fn rename_module(&self, from: &str, to: &str) {
        let mut modules = self.lock();
        if let Some(taken) = find(&mut modules, to) {
            taken.name.push_str(" (before)");
        }
        if let Some(module) = find(&mut modules, from) {
            to.clone_into(&mut module.name);
        }
    }

    /// Puts the modules into an order. Others are no longer listed.
    pub fn list_modules(&self, names: &[String]) {
        let place = |module: &Module| names.iter().position(|name| *name == module.name);
        let mut modules = self.lock();
        modules.sort_by_key(|module| place(module).unwrap_or(usize::MAX));
        for module in modules.iter_mut() {
            module.is_listed = place(module).is_some();
        }
    }

    /// Takes the active version of a module out: it drains, and no call enters it any more.
    /// Its dynamic calls are returned to be dropped where the caller likes.
    pub(crate) fn deactivate(&self, module: &str) -> Option<Vec<Arc<DynamicCall>>> {
        let mut modules = self.lock();
        let module = find(&mut modules, module)?;
        for slot in module.slots.values() {
            slot.slot.publish(None);
        }
        let mut versions = module.versions.iter_mut();
        let active = versions.find(|version| version.state == VersionState::Active)?;
        active.state = VersionState::Draining;
        // As in `retire`.
        Some(std::mem::take(&mut active.calls).into_values().collect())
    }

    /// Whether the configuration has a module.
    pub fn is_listed(&self, module: &str) -> bool {
        find(&mut self.lock(), module).is_some_and(|module| module.is_listed)
    }

    /// Reserves the next version of a module, in state `Loading`; `None` if there
    /// is no such module.
    pub fn reserve(&self, module: &str) -> Option<VersionKey> {
        let mut modules = self.lock();
        let module = find(&mut modules, module).filter(|module| module.is_listed)?;
        let key = VersionKey {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            number: module.last_number + 1,
        };
        module.last_number = key.number;
        module.versions.push(Version {
            id: key.id,
            number: key.number,
            label: String::new(),
            hash: 0,
            state: VersionState::Loading,
            quarantined: false,
            pinned_by: Vec::new(),
            loaded_at_ms: self.uptime_ms(),
            functions: Vec::new(),
            job_names: 0,
            calls: HashMap::new(),
            code: None,
            lease: Lease::default(),
        });
        forget_old(module);
        Some(key)
    }

    /// Fills in what was loaded. From here on the version's calls can be named.
    pub fn set_loaded(
        &self,
        module: &str,
        key: VersionKey,
        label: &str,
        hash: u64,
        code: Box<dyn CodeHandle>,
        functions: Vec<String>,
    ) {
        self.with_version(module, key, |version| {
            label.clone_into(&mut version.label);
            version.hash = hash;
            version.code = Some(code);
            version.functions = functions;
        });
    }

    /// A loaded version offers more than it was known to; each behind the others.
    pub fn add_functions(&self, module: &str, key: VersionKey, more: &[FunctionRegistration]) {
        let names = more.iter().map(|function| function.name.clone());
        self.with_version(module, key, |version| version.functions.extend(names));
    }

    /// Gives up on a version that never became active. Its code, if it was loaded,
    /// stays mapped until [`Registry::unload`].
    pub fn reject(&self, module: &str, key: VersionKey) {
        self.with_version(module, key, |version| {
            version.state = VersionState::Rejected;
            version.calls.clear();
        });
    }

    /// Lists a version as one that failed.
    pub fn quarantine(&self, module: &str, key: VersionKey) {
        self.with_version(module, key, |version| version.quarantined = true);
    }

    /// Makes a loaded version the one that new calls enter; the active one before
    /// it drains. Returns that one's key.
    pub fn activate(
        &self,
        module: &str,
        key: VersionKey,
        functions: &[FunctionRegistration],
        first_function: u32,
    ) -> Option<VersionKey> {
        let mut modules = self.lock();
        let module = find(&mut modules, module)?;
        let mut previous = None;
        for version in &mut module.versions {
            if version.state == VersionState::Active {
                if version.id == key.id {
                    return None;
                }
                version.state = VersionState::Draining;
                previous = Some(VersionKey {
                    id: version.id,
                    number: version.number,
                });
            }
        }
        let version = module
            .versions
            .iter_mut()
            .find(|version| version.id == key.id)?;
        version.state = VersionState::Active;
        version.calls = functions
            .iter()
            .map(|f| (f.name.clone(), Arc::new(f.call.clone())))
            .collect();
        for (index, function) in functions.iter().enumerate() {
            let slot = module
                .slots
                .entry(function.name.clone())
                .or_insert_with(|| {
                    Arc::new(FunctionSlot {
                        slot: Slot::default(),
                        type_id: Mutex::new(None),
                    })
                });
            let mut type_id = slot.type_id.lock().unwrap_or_else(PoisonError::into_inner);
            // A handle made for another type finds the slot empty from now on.
            let fits = type_id.is_none_or(|old| old == function.type_id);
            *type_id = Some(function.type_id);
            drop(type_id);
            if !fits {
                let fresh = Arc::new(FunctionSlot {
                    slot: Slot::default(),
                    type_id: Mutex::new(Some(function.type_id)),
                });
                std::mem::replace(slot, fresh).slot.publish(None);
            }
            let id = CallId::new(key.id, first_function + index as u32);
            slot.slot.publish(Some((function.pointer.0, id)));
        }
        for (name, slot) in &module.slots {
            if !functions.iter().any(|function| function.name == *name) {
                slot.slot.publish(None);
            }
        }
        previous
    }

    /// A version that ended draining gives up what it registered: its dynamic calls
    /// are returned to be dropped where the caller likes.
    pub(crate) fn retire(&self, module: &str, key: VersionKey) -> Vec<Arc<DynamicCall>> {
        self.with_version(module, key, |version| {
            // Taken as a whole: a map that is emptied keeps what was in it.
            std::mem::take(&mut version.calls).into_values().collect()
        })
        .unwrap_or_default()
    }

    /// Milliseconds since the registry was made, which is when the host started.
    pub fn uptime_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Versions of all modules that no longer take calls and still are mapped.
    pub fn mapped_leftovers(&self) -> Vec<(String, VersionKey, VersionState)> {
        let modules = self.lock();
        let mut found = Vec::new();
        for module in modules.iter() {
            for version in &module.versions {
                let over = matches!(
                    version.state,
                    VersionState::Draining | VersionState::Pinned | VersionState::Rejected
                );
                if over && version.code.is_some() {
                    let key = VersionKey {
                        id: version.id,
                        number: version.number,
                    };
                    found.push((module.name.clone(), key, version.state));
                }
            }
        }
        found
    }

    /// Says what keeps a version mapped. A draining version without calls becomes
    /// `Pinned`. Does nothing if its code was taken: false then.
    pub fn pin(&self, module: &str, key: VersionKey, reasons: Vec<String>) -> bool {
        self.with_version(module, key, |version| {
            let is_there = version.code.is_some();
            if is_there {
                version.pinned_by = reasons;
                if version.state == VersionState::Draining {
                    version.state = VersionState::Pinned;
                }
            }
            is_there
        })
        .unwrap_or(false)
    }

    /// A lease on a version's code.
    pub fn lease(&self, module: &str, key: VersionKey) -> Option<Lease> {
        self.with_version(module, key, |version| version.lease.clone())
    }

    /// Whether anybody holds a lease on a version.
    pub fn is_leased(&self, module: &str, key: VersionKey) -> bool {
        self.with_version(module, key, |version| {
            Arc::strong_count(&version.lease.0) > 1
        })
        .unwrap_or(false)
    }

    /// Takes the code out of a version so that it can be unloaded.
    pub fn take_code(&self, module: &str, key: VersionKey) -> Option<Box<dyn CodeHandle>> {
        self.with_version(module, key, |version| version.code.take())
            .flatten()
    }

    /// Records whether the code of a version that was closed is gone from the process.
    pub fn set_closed(&self, module: &str, key: VersionKey, gone: bool) {
        self.with_version(module, key, |version| {
            version.pinned_by = if gone {
                Vec::new()
            } else {
                vec!["the loader still holds its library, until the next one is loaded".to_owned()]
            };
            if version.state != VersionState::Rejected {
                version.state = if gone {
                    VersionState::Unloaded
                } else {
                    VersionState::Pinned
                };
            }
        });
    }

    /// Asks a version's code something; `None` if it is gone.
    pub fn with_code<R>(
        &self,
        module: &str,
        key: VersionKey,
        ask: impl FnOnce(&dyn CodeHandle) -> R,
    ) -> Option<R> {
        self.with_version(module, key, |version| version.code.as_deref().map(ask))
            .flatten()
    }

    /// The active version of each module: name, number, label and content hash.
    pub fn active_versions(&self) -> Vec<(String, u32, String, u64)> {
        let modules = self.lock();
        let active = modules.iter().filter_map(|module| {
            let mut versions = module.versions.iter();
            let version = versions.find(|version| version.state == VersionState::Active)?;
            let (number, label) = (version.number, version.label.clone());
            Some((module.name.clone(), number, label, version.hash))
        });
        active.collect()
    }

    /// The active version of a module.
    pub fn active(&self, module: &str) -> Option<VersionKey> {
        let mut modules = self.lock();
        let version = find(&mut modules, module)?
            .versions
            .iter()
            .find(|v| v.state == VersionState::Active)?;
        Some(VersionKey {
            id: version.id,
            number: version.number,
        })
    }

    /// Process-wide id of a version by its number.
    pub fn id_of(&self, module: &str, number: u32) -> Option<u32> {
        let mut modules = self.lock();
        let versions = &find(&mut modules, module)?.versions;
        let version = versions.iter().find(|version| version.number == number)?;
        Some(version.id)
    }

    /// The last number given to a version of a module.
    pub fn last_number(&self, module: &str) -> u32 {
        find(&mut self.lock(), module).map_or(0, |module| module.last_number)
    }

    /// Content hash of the active version.
    pub fn active_hash(&self, module: &str) -> Option<u64> {
        let mut modules = self.lock();
        let module = find(&mut modules, module)?;
        module
            .versions
            .iter()
            .find(|v| v.state == VersionState::Active)
            .map(|v| v.hash)
    }

    /// Names of all modules of the configuration, in its order.
    pub fn module_names(&self) -> Vec<String> {
        self.lock()
            .iter()
            .filter(|module| module.is_listed)
            .map(|module| module.name.clone())
            .collect()
    }

    /// A function by name and type; `F` is a `fn` pointer type such as
    /// `fn(i32, i32) -> i32`. Resolved once; calls through the handle are counted
    /// and always go to the active version.
    pub fn function<F: 'static>(&self, module: &str, function: &str) -> Option<TypedFunction<F>> {
        let mut modules = self.lock();
        let slot = find(&mut modules, module)?.slots.get(function)?.clone();
        let fits =
            *slot.type_id.lock().unwrap_or_else(PoisonError::into_inner) == Some(TypeId::of::<F>());
        fits.then_some(TypedFunction {
            slot,
            _type: std::marker::PhantomData,
        })
    }

    /// A function by name, whatever its type. Resolved when it is called.
    pub fn dynamic(self: &Arc<Self>, module: &str, function: &str) -> DynamicFunction {
        DynamicFunction::new(self.clone(), module, function)
    }

    /// Enters a function by name on this thread, so that the version it found
    /// cannot go away before it runs.
    ///
    /// # Errors
    /// [`CallByNameError`] with the names that exist.
    pub fn enter(&self, module: &str, function: &str) -> Result<EnteredCall, CallByNameError> {
        let modules = self.lock();
        let (version, call, index) = resolve(&modules, module, function)?;
        match &**call {
            DynamicCall::World(_) => Ok(EnteredCall::World),
            DynamicCall::Detached(call) => Ok(EnteredCall::Detached(EnteredDetached {
                call: call.clone(),
                context: CallContext {
                    module: module.to_owned(),
                    version: version.number,
                    function: function.to_owned(),
                },
                // Under the lock: the version is active, so it is not being unloaded.
                _guard: call::enter(CallId::new(version.id, index)),
            })),
        }
    }

    /// Runs a function that takes the world. Frame thread only.
    ///
    /// # Errors
    /// As [`Registry::enter`], and what the call itself reports.
    pub fn call_with_world(
        &self,
        world: &mut engine_api::bevy_ecs::world::World,
        module: &str,
        function: &str,
        args: &[Value],
    ) -> Result<Value, CallByNameError> {
        let (call, context, guard): (WorldCall, _, _) = {
            let modules = self.lock();
            let (version, call, index) = resolve(&modules, module, function)?;
            let DynamicCall::World(call) = &**call else {
                drop(modules);
                let EnteredCall::Detached(entered) = self.enter(module, function)? else {
                    return Err(CallByNameError::NotActive(module.to_owned()));
                };
                return entered.run(args);
            };
            let context = CallContext {
                module: module.to_owned(),
                version: version.number,
                function: function.to_owned(),
            };
            (
                call.clone(),
                context,
                call::enter(CallId::new(version.id, index)),
            )
        };
        let result = context.finish(call(world, args));
        // Commands that the function queued are part of the call.
        let flushed = panic::guard(|| world.flush());
        let result = result.and_then(|value| {
            flushed
                .map(|()| value)
                .map_err(|report| context.failed(CallError::Panicked(report.summary())))
        });
        drop(call);
        drop(guard);
        result
    }

    /// The call that a job of a version is while it runs, under the job's name. A version
    /// that gives its jobs very many names has some of them listed as one.
    pub fn name_job(&self, module: &str, key: VersionKey, job: &str) -> CallId {
        let name = format!("job {job}");
        let number = self.with_version(module, key, |version| {
            let functions = &mut version.functions;
            if let Some(known) = functions.iter().position(|function| *function == name) {
                return known;
            }
            if version.job_names < MAX_JOB_NAMES {
                version.job_names += 1;
                functions.push(name);
            }
            functions.len() - 1
        });
        CallId::new(key.id, number.unwrap_or_default() as u32)
    }

    /// Names a call: module, version number, function.
    pub fn name_call(&self, id: CallId) -> Option<(String, u32, String)> {
        let modules = self.lock();
        modules.iter().find_map(|module| {
            let version = module
                .versions
                .iter()
                .find(|version| version.id == id.version())?;
            let name = match Part::numbered(id.function()) {
                Some(part) => part.name().to_owned(),
                None => version.functions.get(id.function() as usize)?.clone(),
            };
            Some((module.name.clone(), version.number, name))
        })
    }

    /// The module that runs on this thread now.
    pub fn current_module(&self) -> Option<String> {
        self.name_call(call::current()?)
            .map(|(module, _, _)| module)
    }

    /// All modules as they are listed, with the given calls counted.
    pub fn status(&self, calls: &[call::RunningCall]) -> Vec<ModuleStatus> {
        let modules = self.lock();
        modules
            .iter()
            .filter(|module| module.is_listed || module.is_mapped())
            .map(|module| ModuleStatus {
                name: module.name.clone(),
                kind: module.kind.clone(),
                active: module
                    .versions
                    .iter()
                    .find(|version| version.state == VersionState::Active)
                    .map(|version| version.number),
                versions: module
                    .versions
                    .iter()
                    .map(|version| VersionStatus {
                        version: version.number,
                        label: version.label.clone(),
                        hash: format!("{:016x}", version.hash),
                        state: match version.state {
                            VersionState::Pinned | VersionState::Unloaded
                                if version.quarantined =>
                            {
                                VersionState::Quarantined
                            }
                            state => state,
                        },
                        active_calls: calls
                            .iter()
                            .filter(|call| call.id.version() == version.id)
                            .count() as u32,
                        pinned_by: version.pinned_by.clone(),
                        loaded_at_ms: version.loaded_at_ms,
                    })
                    .collect(),
            })
            .collect()
    }

    fn with_version<R>(
        &self,
        module: &str,
        key: VersionKey,
        act: impl FnOnce(&mut Version) -> R,
    ) -> Option<R> {
        let mut modules = self.lock();
        let version = find(&mut modules, module)?
            .versions
            .iter_mut()
            .find(|version| version.id == key.id)?;
        Some(act(version))
    }
}

impl Module {
    /// Whether code of it is in the process.
    fn is_mapped(&self) -> bool {
        let mut versions = self.versions.iter();
        versions.any(|version| version.code.is_some() || version.state == VersionState::Pinned)
    }
}

fn find<'a>(modules: &'a mut [Module], name: &str) -> Option<&'a mut Module> {
    modules.iter_mut().find(|module| module.name == name)
}

fn forget_old(module: &mut Module) {
    let over = |version: &Version| {
        matches!(
            version.state,
            VersionState::Unloaded | VersionState::Rejected
        ) && version.code.is_none()
    };
    let mut excess = module
        .versions
        .iter()
        .filter(|v| over(v))
        .count()
        .saturating_sub(KEPT_VERSIONS);
    module.versions.retain(|version| {
        let forget = excess > 0 && over(version);
        excess -= usize::from(forget);
        !forget
    });
}

fn resolve<'a>(
    modules: &'a [Module],
    module: &str,
    function: &str,
) -> Result<(&'a Version, &'a Arc<DynamicCall>, u32), CallByNameError> {
    let mut listed = modules.iter().filter(|module| module.is_listed);
    let Some(found) = listed.find(|candidate| candidate.name == module) else {
        let listed = modules.iter().filter(|module| module.is_listed);
        let known: Vec<_> = listed.map(|module| module.name.as_str()).collect();
        return Err(CallByNameError::NoModule {
            module: module.to_owned(),
            known: known.join(", "),
        });
    };
    let active = found
        .versions
        .iter()
        .find(|version| version.state == VersionState::Active);
    let version = active.ok_or_else(|| CallByNameError::NotActive(module.to_owned()))?;
    let Some(call) = version.calls.get(function) else {
        let mut known: Vec<_> = version.calls.keys().map(String::as_str).collect();
        known.sort_unstable();
        return Err(CallByNameError::NoFunction {
            module: module.to_owned(),
            function: function.to_owned(),
            known: if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            },
        });
    };
    let index = version
        .functions
        .iter()
        .rposition(|name| name == function)
        .unwrap_or(0);
    Ok((version, call, index as u32))
}

macro_rules! typed_calls {
    ($($arg:ident $value:ident),*) => {
        impl<R: 'static, $($arg: 'static),*> TypedFunction<fn($($arg),*) -> R> {
            /// Calls the active version; `None` if the function is gone from it. Costs
            /// about 2 ns over a plain call through a function pointer. A panic of
            /// the function unwinds into the caller.
            #[inline]
            #[allow(clippy::many_single_char_names, clippy::too_many_arguments)]
            pub fn call(&self, $($value: $arg),*) -> Option<R> {
                let (code, _guard) = self.slot.slot.enter()?;
                // SAFETY: `Registry::function` compared the slot's type with this
                // one, a slot never changes its type, and the guard keeps the
                // code mapped during the call.
                let function = unsafe {
                    std::mem::transmute::<*const (), fn($($arg),*) -> R>(code)
                };
                Some(function($($value),*))
            }
        }
    };
}
typed_calls!();
typed_calls!(A a);
typed_calls!(A a, B b);
typed_calls!(A a, B b, C c);
typed_calls!(A a, B b, C c, D d);
typed_calls!(A a, B b, C c, D d, E e);
typed_calls!(A a, B b, C c, D d, E e, G g);

/// What a panic of a module's code is reported as: `game_logic v3: system `x` panicked ...`.
pub fn describe_panic(module: &str, version: u32, function: &str, report: &PanicReport) -> String {
    format!(
        "Module '{module}' v{version}: `{function}` panicked at {}",
        report.summary()
    )
}

#[cfg(test)]
mod tests;
