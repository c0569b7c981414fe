//! The swap: between two frames, a loaded version becomes the active one.
//!
//! Versions that share types are swapped together: all of them or none, with one migration.
//! One that shares nothing is a group of one.
//!
//! Everything that can fail (schemas that do not fit, a panic while systems are
//! prepared) comes first and is undone; then everything is put into place at once.

mod by_name;
mod entering;
mod entrances;
mod group;
mod returning;

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_api::asset::AssetRegistration;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::observer::Observer;
use engine_api::bevy_ecs::world::World;
use engine_api::function::{DynamicCall, FunctionRegistration};
use engine_api::hook::{Hooks, Unloaded};
use engine_api::keep::KeepRegistration;
use engine_api::migration::MigrationRegistration;
use engine_api::module::{ModuleDescription, Stage};
use engine_api::reload;
use engine_api::shared::SharedRegistration;
use engine_api::state::StateType;
use engine_api::system::sort_systems;

use crate::backend::{Build, Entrance};
use crate::call;
use crate::component_hooks::{self, VersionHooks};
use crate::jobs::Results;
use crate::migrate::MigrationReport;
use crate::observer::{FaultQueue, ObserverGate};
use crate::panic;
use crate::part::Part;
use crate::registry::{Registry, VersionKey};
use crate::runner::{SystemFault, VersionSystems};
use crate::shared::{SharedRegion, SharedUndo};
use crate::state::{KeptType, StateBook, StateTypes};
use crate::swap::by_name::Names;
use crate::swap::entering::{Entering, Member, Offer, Rebuild, Runnable};
use crate::swap::entrances::Entries;
use crate::swap::group::GroupTypes;

pub use group::{Refusal, keep_running};

/// A version that was loaded, verified and asked what it offers; waits for the swap.
pub struct PreparedVersion {
    /// Module.
    pub module: String,
    /// Its number.
    pub key: VersionKey,
    /// What it offers, systems in their final order.
    pub description: ModuleDescription,
    /// How code that stays mapped knows each of its types, in their order.
    pub kept: Vec<KeptType>,
    /// Registers what the module offers, once more: systems belong to the world they
    /// were prepared for.
    pub build: Build,
    /// The state that it enters, and the number of its code there.
    pub entrance: Option<(Arc<dyn Entrance>, u64)>,
}

/// What is called once a frame for a type.
type EndFrame = (TypeId, fn(&mut World));

/// The active version of a module as the frame thread holds it.
pub struct ActiveModule {
    /// Module.
    pub name: String,
    /// Version.
    pub key: VersionKey,
    systems: VersionSystems,
    observers: Vec<(Entity, Arc<ObserverGate>)>,
    names: Names,
    component_hooks: VersionHooks,
    /// What is called once a frame, by the type it is for.
    end_frame: Vec<EndFrame>,
    build: Build,
    hooks: Hooks,
    /// What it knows of the results of jobs.
    pub(crate) results: Results,
    /// When it became active.
    since: Instant,
    /// Whether it took the place of another one.
    replaced: bool,
    /// Whether its code has entered a state, which begins anew with the module.
    has_own_state: bool,
    /// Shared with the asset loader, which parses off the frame loop.
    assets: Arc<Vec<AssetRegistration>>,
}

/// What is left of a version that was swapped out or did not get in: everything it
/// registered, to be dropped off the frame loop while its code is still mapped.
#[derive(Default)]
#[expect(dead_code, reason = "held to be dropped")]
pub struct Retired {
    systems: VersionSystems,
    assets: Option<Arc<Vec<AssetRegistration>>>,
    results: Results,
    hooks: Hooks,
    calls: Vec<Arc<DynamicCall>>,
    functions: Vec<FunctionRegistration>,
    types: Vec<StateType>,
}

impl Retired {
    /// What a version that gets in needs no more.
    fn of(types: Vec<StateType>, functions: Vec<FunctionRegistration>) -> Self {
        Self {
            functions,
            types,
            ..Self::default()
        }
    }
}

/// A version that got in.
pub struct SwappedVersion {
    /// Module.
    pub module: String,
    /// Its number.
    pub key: VersionKey,
    /// The version that drains now.
    pub previous: Option<VersionKey>,
    /// What that one left behind.
    pub retired: Retired,
}

/// A swap that happened.
pub struct Swapped {
    /// What got in, in the order it was given.
    pub versions: Vec<SwappedVersion>,
    /// Time the frame loop lost.
    pub took: Duration,
    /// The part of it that went into carrying values over.
    pub migration: Duration,
    /// What was done to the values of each type that changed.
    pub migrated: Vec<MigrationReport>,
    /// Why values stay in limbo whose type is registered now.
    pub misfits: Vec<String>,
    /// What is attached to entities and no active version registers, in words.
    pub unheard: Vec<String>,
    /// Observers that systems had added (`entity.observe`) and that could not be taken into
    /// a new world.
    pub lost_observers: usize,
}

/// A version on its way in, taken apart.
struct Incoming {
    module: String,
    offer: Offer,
    shared: Vec<SharedRegistration>,
    key: VersionKey,
    build: Build,
    entrance: Option<(Arc<dyn Entrance>, u64)>,
    functions: Vec<FunctionRegistration>,
    first_function: u32,
    component_hooks: VersionHooks,
    names: Names,
    end_frame: Vec<EndFrame>,
    assets: Vec<AssetRegistration>,
    hooks: Hooks,
    keeps: Vec<KeepRegistration>,
    results: Results,
}

/// All modules as the frame thread runs them.
#[derive(Default)]
pub struct ActiveModules {
    modules: Vec<ActiveModule>,
    observer_faults: FaultQueue,
    /// Where structs with a fixed layout lie.
    shared: Option<SharedRegion>,
    /// How kept code makes each of these structs known to a world.
    shared_structs: HashMap<TypeId, fn(&mut World)>,
}

/// Names in the order of [`CallId`]'s function numbers: systems, observers,
/// functions, hooks of components.
pub fn function_names(description: &ModuleDescription) -> Vec<String> {
    let systems = description
        .systems
        .iter()
        .map(|(_, system)| system.name.clone());
    let observers = description
        .observers
        .iter()
        .map(|observer| observer.name.clone());
    let functions = description
        .functions
        .iter()
        .map(|function| function.name.clone());
    let hooks = component_hooks::names(&description.types);
    systems
        .chain(observers)
        .chain(functions)
        .chain(hooks)
        .collect()
}

/// Puts the systems of each stage in their final order.
///
/// # Errors
/// Names the systems of a cycle.
pub fn sort_description(description: &mut ModuleDescription) -> Result<(), String> {
    let mut by_stage: Vec<Vec<_>> = Stage::ALL.iter().map(|_| Vec::new()).collect();
    for (stage, system) in description.systems.drain(..) {
        by_stage[stage as usize].push(system);
    }
    for (stage, systems) in Stage::ALL.into_iter().zip(by_stage) {
        let sorted = sort_systems(systems).map_err(|names| {
            format!(
                "`before` and `after` form a cycle in {}: {}",
                stage.name(),
                names.join(", ")
            )
        })?;
        description
            .systems
            .extend(sorted.into_iter().map(|system| (stage, system)));
    }
    Ok(())
}

impl ActiveModules {
    /// Makes prepared versions the active ones of their modules: all of them or none.
    ///
    /// Where the layout of a type changed, the world is rebuilt and the values are
    /// migrated; see [`crate::rebuild`] and [`crate::migrate`].
    ///
    /// # Errors
    /// Why they do not fit, for people. Nothing of the running versions has changed
    /// then.
    pub fn swap(
        &mut self,
        group: Vec<PreparedVersion>,
        world: &mut World,
        book: &mut StateBook,
        registry: &Registry,
    ) -> Result<Swapped, Refusal> {
        self.enter(group, false, world, book, registry)
    }

    /// Moves the world into a new one, which knows no more than the active versions: old ones
    /// are not referred to by its component table any more. Costs 45 to 70 ns an entity.
    ///
    /// # Errors
    /// Why it cannot be, for people. Nothing has changed then.
    pub fn rebuild(
        &mut self,
        world: &mut World,
        book: &mut StateBook,
        registry: &Registry,
    ) -> Result<(), Refusal> {
        self.enter(Vec::new(), true, world, book, registry)
            .map(drop)
    }

    fn enter(
        &mut self,
        group: Vec<PreparedVersion>,
        must_rebuild: bool,
        world: &mut World,
        book: &mut StateBook,
        registry: &Registry,
    ) -> Result<Swapped, Refusal> {
        let start = Instant::now();
        // Commands of a system of the old version that were not applied yet.
        let _ = panic::guard(|| world.flush());
        let mut types = GroupTypes::default();
        let mut group = self.take_apart(group, &mut types)?;
        let offers = group.iter_mut().map(|new| std::mem::take(&mut new.offer));
        let offers: Vec<Offer> = offers.collect();
        let shared: Vec<SharedRegistration> = group
            .iter_mut()
            .flat_map(|new| std::mem::take(&mut new.shared))
            .collect();
        let modules: Vec<&str> = group.iter().map(|new| new.module.as_str()).collect();
        let changes = book.compare(&modules, types.types.iter().map(|(state, _)| state))?;
        self.refuse_unknown_values(&modules, world, book)?;
        let members = self.members(&group, &types, world)?;
        let mut entries = Entries::make(&group)?;
        let may_fail_late = members.iter().any(Member::may_fail_late);
        let needs_rebuild =
            must_rebuild || may_fail_late || book.needs_rebuild(world, &types.types, &changes);
        let declare = shared.iter().map(|shared| (shared.type_id, shared.declare));
        self.shared_structs.extend(declare);
        let shared_before = self.adopt_shared(&shared, world)?;
        let migrations = group.iter().flat_map(|new| &new.results.migrations);
        let entering = Entering {
            members,
            types: &types,
            shared: self.shared_structs.values().copied().collect(),
            changes: &changes,
            migrations: migrations.cloned().collect(),
            faults: self.observer_faults.clone(),
        };
        let entered = if needs_rebuild {
            entering.rebuild(offers, &self.modules, world, book)
        } else {
            entering.prepare_in_place(offers, &self.modules, world, book)
        };
        let Rebuild {
            runnables,
            others,
            took: migration,
            reports: migrated,
            misfits,
            lost_observers,
        } = match entered {
            Ok(rebuild) => rebuild,
            Err(Refusal { module, message }) => {
                let message = self.give_back(message, shared_before, world);
                return Err(Refusal { module, message });
            }
        };

        // From here on nothing can fail.
        book.adopt(&types.registered, &types.types, &changes);
        if needs_rebuild {
            self.move_to_new_world(others);
        }
        let mut versions = Vec::new();
        let offered = entries.take_functions();
        let entered = group.into_iter().zip(runnables).zip(types.into_parts());
        for (((mut new, runnable), types), offered) in entered.zip(offered) {
            registry.add_functions(&new.module, new.key, &offered);
            new.functions.extend(offered);
            let mut retired = Retired::of(types, new.functions);
            let (module, key) = (new.module, new.key);
            let active = ActiveModule {
                key,
                systems: runnable.systems,
                observers: runnable.observers,
                names: new.names,
                component_hooks: new.component_hooks,
                end_frame: new.end_frame,
                build: new.build,
                hooks: new.hooks,
                results: new.results,
                since: Instant::now(),
                replaced: self.get(&module).is_some(),
                has_own_state: new.entrance.is_some(),
                assets: Arc::new(new.assets),
                name: module.clone(),
            };
            let previous = registry.activate(&module, key, &retired.functions, new.first_function);
            self.put_in(active, previous, &mut retired, world, registry);
            versions.push(SwappedVersion {
                module,
                key,
                previous,
                retired,
            });
        }
        entries.commit();
        self.publish_names(world);
        StateTypes::publish(world, book);
        let unheard = self.unheard(world);
        Ok(Swapped {
            versions,
            took: start.elapsed(),
            migration,
            migrated,
            misfits,
            unheard,
            lost_observers,
        })
    }

    /// Takes a module out: its systems, observers, timers and functions are gone, its values
    /// stay. Returns what it leaves behind, if it had an active version.
    pub fn remove(
        &mut self,
        module: &str,
        world: &mut World,
        book: &mut StateBook,
        registry: &Registry,
    ) -> Option<Retired> {
        let calls = registry.deactivate(module);
        let index = self
            .modules
            .iter()
            .position(|active| active.name == module)?;
        let _ = panic::guard(|| world.flush());
        let active = self.modules.remove(index);
        // The place that is left over keeps what was in it.
        self.modules.shrink_to_fit();
        remove_observers(active.observers, active.key, world);
        book.leave(module);
        let mut hooks = book.declared_hooks(world);
        for other in &self.modules {
            other.component_hooks.put(world, &mut hooks);
        }
        world.insert_resource(hooks);
        self.publish_names(world);
        StateTypes::publish(world, book);
        Some(Retired {
            systems: active.systems,
            assets: Some(active.assets),
            results: active.results,
            hooks: active.hooks,
            calls: calls.unwrap_or_default(),
            ..Retired::default()
        })
    }

    /// A module has another name from now on.
    pub fn rename(&mut self, from: &str, to: &str) {
        let mut modules = self.modules.iter_mut();
        if let Some(active) = modules.find(|active| active.name == from) {
            to.clone_into(&mut active.name);
        }
    }

    /// Has modules run in the order of the configuration.
    pub fn sort(&mut self, registry: &Registry) {
        let order = registry.module_names();
        self.modules
            .sort_by_key(|active| order.iter().position(|name| *name == active.name));
    }

    /// Takes versions apart; their types go into `types`.
    fn take_apart(
        &self,
        group: Vec<PreparedVersion>,
        types: &mut GroupTypes,
    ) -> Result<Vec<Incoming>, Refusal> {
        let mut incoming = Vec::new();
        for prepared in group {
            let PreparedVersion {
                module,
                key,
                description,
                kept,
                build,
                entrance,
            } = prepared;
            let ModuleDescription {
                types: own,
                systems,
                observers,
                functions,
                assets,
                hooks,
                keeps,
                shared,
                migrations,
                results,
                callbacks,
                ..
            } = description;
            let first_function = (systems.len() + observers.len()) as u32;
            let first_hook = first_function + functions.len() as u32;
            let end_frame = own.iter().filter_map(|state| {
                let end_frame = state.end_frame?;
                Some((state.stored, end_frame))
            });
            incoming.push(Incoming {
                key,
                build,
                entrance,
                first_function,
                component_hooks: VersionHooks::new(&own, key, first_hook, &self.observer_faults),
                names: Names::new(&observers, callbacks),
                end_frame: end_frame.collect(),
                functions,
                assets,
                hooks,
                keeps,
                results: Results::new(results, migrations),
                shared,
                module: module.clone(),
                offer: (systems, observers),
            });
            types.add(&module, own, kept)?;
        }
        Ok(incoming)
    }

    /// Versions as the entering sees them. Asks the running ones what they hand over.
    fn members<'a>(
        &self,
        group: &'a [Incoming],
        types: &'a GroupTypes,
        world: &mut World,
    ) -> Result<Vec<Member<'a>>, Refusal> {
        let mut members = Vec::new();
        for (new, own) in group.iter().zip(&types.own) {
            let module = new.module.as_str();
            let unloaded = self.unload(module, world);
            members.push(Member {
                module,
                key: new.key,
                own,
                keeps: &new.keeps,
                component_hooks: &new.component_hooks,
                hooks: &new.hooks,
                previous: self.get(module).map(|active| active.key.number),
                unloaded: unloaded.map_err(|message| Refusal::of(module, message))?,
            });
        }
        Ok(members)
    }

    /// Versions that replace others could read values that nothing is known of.
    fn refuse_unknown_values(
        &self,
        modules: &[&str],
        world: &World,
        book: &StateBook,
    ) -> Result<(), Refusal> {
        for module in modules.iter().filter(|module| self.get(module).is_some()) {
            if let Some(message) = book.unknown_values(world, module) {
                return Err(Refusal::of(module, message));
            }
        }
        Ok(())
    }

    /// Puts the shared structs back as they were before a version that was refused.
    fn give_back(
        &mut self,
        message: String,
        before: Option<SharedUndo>,
        world: &mut World,
    ) -> String {
        let (Some(region), Some(before)) = (&mut self.shared, before) else {
            return message;
        };
        match region.undo(world, before) {
            Ok(()) => message,
            Err(error) => format!("{message}; and {error}"),
        }
    }

    /// The world is another one: its systems and observers take the places of those that
    /// were made for the old one. `others` are in the order of the modules.
    fn move_to_new_world(&mut self, others: Vec<Option<Runnable>>) {
        for (slot, again) in self.modules.iter_mut().zip(others) {
            // Observers stayed behind in the old world.
            let observers = std::mem::take(&mut slot.observers);
            if let Some(mut again) = again {
                for ((_, new), (_, old)) in again.observers.iter().zip(&observers) {
                    new.go_on_from(old);
                }
                again.systems.go_on_from(&mut slot.systems);
                let old = std::mem::replace(&mut slot.systems, again.systems);
                // Values of `Local`s are dropped by the module's code.
                let _call = call::enter(Part::Values.of(slot.key.id));
                let _ = panic::guard(|| drop(old));
                slot.observers = again.observers;
            }
            for (_, gate) in observers {
                gate.close();
            }
        }
    }

    /// Puts a version into the place of the one before, or into its place among the others.
    fn put_in(
        &mut self,
        mut active: ActiveModule,
        previous: Option<VersionKey>,
        retired: &mut Retired,
        world: &mut World,
        registry: &Registry,
    ) {
        if let Some(previous) = previous {
            retired.calls = registry.retire(&active.name, previous);
        }
        if let Some(slot) = self
            .modules
            .iter_mut()
            .find(|slot| slot.name == active.name)
        {
            remove_observers(slot.observers.drain(..), slot.key, world);
            active.systems.continue_from(&slot.systems);
            let old = std::mem::replace(slot, active);
            retired.systems = old.systems;
            retired.assets = Some(old.assets);
            retired.results = old.results;
            retired.hooks = old.hooks;
        } else {
            // Modules run in the order of the config, whichever was ready first.
            let order = registry.module_names();
            let place = |name: &str| order.iter().position(|listed| listed == name);
            let at = self
                .modules
                .partition_point(|other| place(&other.name) < place(&active.name));
            self.modules.insert(at, active);
        }
    }

    /// Observers in a world that no module registered: systems added them, with code of
    /// whichever version ran then.
    pub fn foreign_observers(&self, world: &World) -> usize {
        let all = world
            .components()
            .component_id::<Observer>()
            .map_or(0, |id| {
                let archetypes = world.archetypes().iter();
                let with = archetypes.filter(|archetype| archetype.contains(id));
                with.map(|archetype| archetype.len() as usize).sum()
            });
        let registered: usize = self
            .modules
            .iter()
            .map(|active| active.observers.len())
            .sum();
        all.saturating_sub(registered)
    }

    /// Written migrations of all active versions.
    pub fn migrations(&self) -> Vec<MigrationRegistration> {
        let all = self
            .modules
            .iter()
            .flat_map(|active| &active.results.migrations);
        all.cloned().collect()
    }

    /// Gives modules a region for structs with a fixed layout.
    pub fn share(&mut self, region: SharedRegion) {
        self.shared = Some(region);
    }

    /// Makes room for a version's shared structs, or says which one does not fit.
    fn adopt_shared(
        &mut self,
        shared: &[SharedRegistration],
        world: &mut World,
    ) -> Result<Option<SharedUndo>, String> {
        if shared.is_empty() {
            return Ok(None);
        }
        let Some(region) = &mut self.shared else {
            return Err("this host has no region for shared state".to_owned());
        };
        panic::guard(|| region.adopt(world, shared))
            .map_err(|report| {
                format!(
                    "it panicked while the default of a shared struct was made: {}",
                    report.summary()
                )
            })?
            .map(Some)
            .map_err(|error| error.to_string())
    }

    /// Asks the running version for the bytes that its successor is given.
    fn unload(&self, module: &str, world: &mut World) -> Result<Option<Unloaded>, String> {
        let Some(active) = self.get(module) else {
            return Ok(None);
        };
        let Some(hook) = &active.hooks.on_unload else {
            return Ok(None);
        };
        let version = active.key.number;
        let _call = call::enter(Part::OnUnload.of(active.key.id));
        let bytes = panic::guard(|| hook(world))
            .map_err(|report| report.summary())
            .and_then(|result| result)
            .map_err(|error| format!("`on_unload` of v{version} failed: {error}"))?;
        Ok(Some(Unloaded { bytes, version }))
    }

    /// The active version of a module.
    pub fn get(&self, module: &str) -> Option<&ActiveModule> {
        self.modules.iter().find(|active| active.name == module)
    }

    /// Whether a module keeps values outside of the world, which begin anew with it.
    pub(crate) fn has_own_state(&self, module: &str) -> bool {
        self.get(module).is_some_and(|active| active.has_own_state)
    }

    /// The module whose active version has an id.
    pub(crate) fn by_version(&self, id: u32) -> Option<&ActiveModule> {
        self.modules.iter().find(|active| active.key.id == id)
    }

    /// Whether a version is active since less than `limit` and another one was before it.
    pub fn is_young(&self, version: u32, limit: Duration) -> bool {
        self.modules.iter().any(|active| {
            active.key.id == version && active.replaced && active.since.elapsed() < limit
        })
    }

    /// Runs a stage of all modules, in the order of the config.
    pub fn run(&mut self, stage: Stage, world: &mut World, faults: &mut Vec<SystemFault>) {
        for active in &mut self.modules {
            active.systems.run(stage, world, faults);
        }
        if let Ok(mut queue) = self.observer_faults.try_lock() {
            faults.append(&mut queue);
        }
    }

    /// Runs the `Startup` stage of one module.
    pub fn start(&mut self, module: &str, world: &mut World, faults: &mut Vec<SystemFault>) {
        if let Some(active) = self.modules.iter_mut().find(|active| active.name == module) {
            active.systems.run(Stage::Startup, world, faults);
        }
    }

    /// Runs what of the `Startup` stage of one module panicked in the version before.
    pub fn start_again(&mut self, module: &str, world: &mut World, faults: &mut Vec<SystemFault>) {
        if let Some(active) = self.modules.iter_mut().find(|active| active.name == module) {
            active.systems.run_unstarted(world, faults);
        }
    }

    /// Prepares the systems of all modules anew: entities that they remember are others
    /// now. What a system has seen and when timers fire stays.
    ///
    /// # Errors
    /// The first module whose systems cannot be prepared; the others are done.
    pub fn renew_systems(&mut self, world: &mut World) -> Result<(), String> {
        for active in &mut self.modules {
            let mut fresh = entering::systems_again(active, world)?;
            fresh.go_on_from(&mut active.systems);
            let old = std::mem::replace(&mut active.systems, fresh);
            let _call = call::enter(Part::Values.of(active.key.id));
            let _ = panic::guard(|| drop(old));
        }
        Ok(())
    }

    /// Ends a frame: message queues forget what is two frames old.
    ///
    /// Values that are forgotten are dropped by their own code, which may panic; that
    /// becomes a fault of the module's values.
    pub fn end_frame(&mut self, world: &mut World, faults: &mut Vec<SystemFault>) {
        let mut registered = self.modules.iter().flat_map(|active| &active.end_frame);
        if registered.all(|(stored, _)| *stored != reload::queue_id()) {
            reload::end_frame(world);
        }
        for (index, active) in self.modules.iter().enumerate() {
            let id = Part::Values.of(active.key.id);
            for (stored, end_frame) in &active.end_frame {
                // Once for each type, whoever else registers it.
                let before = self.modules[..index].iter();
                let mut done = before.flat_map(|other| &other.end_frame);
                if done.any(|(other, _)| other == stored) {
                    continue;
                }
                let _call = call::enter(id);
                if let Err(report) = panic::guard(|| end_frame(world)) {
                    let message = format!(
                        "a message panicked while it was dropped: {}",
                        report.summary()
                    );
                    faults.push(SystemFault::Failed { id, message });
                }
            }
        }
    }

    /// Assets of all modules, with module and version.
    pub fn assets(&self) -> impl Iterator<Item = (&str, VersionKey, &Arc<Vec<AssetRegistration>>)> {
        self.modules
            .iter()
            .map(|active| (active.name.as_str(), active.key, &active.assets))
    }

    /// Time each system took since the last call of this.
    pub fn take_times(&mut self) -> Vec<(String, Duration)> {
        self.modules
            .iter_mut()
            .flat_map(|active| active.systems.take_times())
            .collect()
    }

    /// Takes every module out, newest first: the world is about to be dropped.
    pub fn clear(&mut self, world: &mut World) {
        for active in self.modules.drain(..).rev() {
            remove_observers(active.observers, active.key, world);
        }
    }
}

/// Takes a version's observers out of the world. Despawning runs hooks and drops, which
/// are module code: each may panic, the others go all the same.
fn remove_observers(
    observers: impl IntoIterator<Item = (Entity, Arc<ObserverGate>)>,
    key: VersionKey,
    world: &mut World,
) {
    let _call = call::enter(Part::Values.of(key.id));
    for (entity, gate) in observers {
        gate.close();
        let _ = panic::guard(|| world.despawn(entity));
    }
    let _ = panic::guard(|| world.flush());
}

#[cfg(test)]
mod tests;
