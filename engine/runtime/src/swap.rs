//! The swap: between two frames, a loaded version becomes the active one.
//!
//! Everything that can fail (schemas that do not fit, a panic while systems are
//! prepared) comes first and is undone; then everything is put into place at once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_api::asset::AssetRegistration;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::observer::Observer;
use engine_api::bevy_ecs::query::With;
use engine_api::bevy_ecs::world::World;
use engine_api::function::{DynamicCall, FunctionRegistration};
use engine_api::module::{ModuleDescription, Stage};
use engine_api::state::StateType;
use engine_api::system::sort_systems;

use crate::call::{self, CallId};
use crate::observer::{FaultQueue, ObserverGate};
use crate::panic;
use crate::registry::{Registry, VersionKey};
use crate::runner::{RunnableSystem, SystemFault, VersionSystems};
use crate::state::StateBook;

/// A version that was loaded, verified and asked what it offers; waits for the swap.
pub struct PreparedVersion {
    /// Module.
    pub module: String,
    /// Its number.
    pub key: VersionKey,
    /// What it offers, systems in their final order.
    pub description: ModuleDescription,
    /// Makes the types that are new known to the world, with code that stays mapped.
    pub declare: Vec<fn(&mut World)>,
}

/// The active version of a module as the frame thread holds it.
pub struct ActiveModule {
    /// Module.
    pub name: String,
    /// Version.
    pub key: VersionKey,
    systems: VersionSystems,
    observers: Vec<(Entity, Arc<ObserverGate>)>,
    end_frame: Vec<fn(&mut World)>,
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
    calls: Vec<DynamicCall>,
    functions: Vec<FunctionRegistration>,
    types: Vec<StateType>,
}

/// A swap that happened.
pub struct Swapped {
    /// The version that drains now.
    pub previous: Option<VersionKey>,
    /// What it left behind.
    pub retired: Retired,
    /// Time the frame loop lost.
    pub took: Duration,
}

/// All modules as the frame thread runs them.
#[derive(Default)]
pub struct ActiveModules {
    modules: Vec<ActiveModule>,
    observer_faults: FaultQueue,
}

/// Names in the order of [`CallId`]'s function numbers: systems, observers,
/// functions.
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
    systems.chain(observers).chain(functions).collect()
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
    /// Makes a prepared version the active one.
    ///
    /// # Errors
    /// Why it does not fit, for people. Nothing of the running version has changed
    /// then.
    pub fn swap(
        &mut self,
        prepared: PreparedVersion,
        world: &mut World,
        book: &mut StateBook,
        registry: &Registry,
    ) -> Result<Swapped, String> {
        let start = Instant::now();
        // Commands of a system of the old version that were not applied yet.
        let _ = panic::guard(|| world.flush());
        let PreparedVersion {
            module,
            key,
            description,
            declare,
        } = prepared;
        book.check(&module, &description.types)?;
        if self.get(&module).is_some()
            && let Some(unknown) = book.unknown_values(world, &module)
        {
            return Err(unknown);
        }
        let ModuleDescription {
            types,
            systems,
            observers,
            functions,
            assets,
            ..
        } = description;
        let first_function = (systems.len() + observers.len()) as u32;
        panic::guard(|| declare.iter().for_each(|declare| declare(world))).map_err(|report| {
            format!(
                "it panicked while its types were declared: {}",
                report.summary()
            )
        })?;
        let known = world.components().num_registered();
        let faults = self.observer_faults.clone();
        let (mut systems, observers) = {
            let mut undo = Undo {
                types: &types,
                initialized: Vec::new(),
                spawned: Vec::new(),
                observers_before: observers_in(world),
                world,
            };
            let _call = call::enter(CallId::new(key.id, 0));
            let made = panic::guard(|| undo.prepare(systems, observers, key, &faults));
            let observers = std::mem::take(&mut undo.spawned);
            match made {
                Ok(systems) => (systems, observers),
                Err(report) => {
                    undo.spawned = observers;
                    undo.roll_back();
                    book.attribute(world, known, &module, key);
                    book.adopt_declared(world, &module, &types);
                    return Err(format!(
                        "it panicked while its systems were prepared: {}",
                        report.summary()
                    ));
                }
            }
        };
        book.attribute(world, known, &module, key);

        // From here on nothing can fail.
        book.adopt(&module, &types);
        let mut active = ActiveModule {
            name: module.clone(),
            key,
            systems: VersionSystems::default(),
            observers,
            end_frame: types.iter().filter_map(|state| state.end_frame).collect(),
            assets: Arc::new(assets),
        };
        let previous = registry.activate(&module, key, &functions, first_function);
        let mut retired = Retired {
            functions,
            types,
            ..Retired::default()
        };
        if let Some(slot) = self.modules.iter_mut().find(|active| active.name == module) {
            remove_observers(slot.observers.drain(..), slot.key, world);
            systems.continue_from(&slot.systems);
            active.systems = systems;
            let old = std::mem::replace(slot, active);
            retired.systems = old.systems;
            retired.assets = Some(old.assets);
        } else {
            active.systems = systems;
            // Modules run in the order of the config, whichever was ready first.
            let order = registry.module_names();
            let place = |name: &str| order.iter().position(|listed| listed == name);
            let at = self
                .modules
                .partition_point(|other| place(&other.name) < place(&module));
            self.modules.insert(at, active);
        }
        if let Some(previous) = previous {
            retired.calls = registry.retire(&module, previous);
        }
        Ok(Swapped {
            previous,
            retired,
            took: start.elapsed(),
        })
    }

    /// The active version of a module.
    pub fn get(&self, module: &str) -> Option<&ActiveModule> {
        self.modules.iter().find(|active| active.name == module)
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

    /// Ends a frame: message queues forget what is two frames old.
    ///
    /// Values that are forgotten are dropped by their own code, which may panic; that
    /// becomes a fault of the module's first function.
    pub fn end_frame(&mut self, world: &mut World, faults: &mut Vec<SystemFault>) {
        for active in &self.modules {
            let id = CallId::new(active.key.id, 0);
            for end_frame in &active.end_frame {
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
    let _call = call::enter(CallId::new(key.id, 0));
    for (entity, gate) in observers {
        gate.close();
        let _ = panic::guard(|| world.despawn(entity));
    }
    let _ = panic::guard(|| world.flush());
}

/// What preparing a version did to the world, so that it can be taken back.
struct Undo<'a> {
    world: &'a mut World,
    types: &'a [StateType],
    initialized: Vec<usize>,
    spawned: Vec<(Entity, Arc<ObserverGate>)>,
    observers_before: HashSet<Entity>,
}

/// Entities of all observers.
fn observers_in(world: &mut World) -> HashSet<Entity> {
    let mut observers = world.query_filtered::<Entity, With<Observer>>();
    observers.iter(world).collect()
}

impl Undo<'_> {
    /// Runs the version's own code for the first time: registers its types, makes
    /// the resources that are missing, prepares its systems and observers.
    fn prepare(
        &mut self,
        systems: Vec<(Stage, engine_api::system::SystemConfig)>,
        observers: Vec<engine_api::observer::ObserverRegistration>,
        key: VersionKey,
        faults: &FaultQueue,
    ) -> VersionSystems {
        for (index, state) in self.types.iter().enumerate() {
            (state.declare)(self.world);
            if (state.initialize)(self.world) {
                self.initialized.push(index);
            }
        }
        let first_observer = systems.len() as u32;
        let mut runnable = VersionSystems::default();
        for (index, (stage, config)) in systems.into_iter().enumerate() {
            let id = CallId::new(key.id, index as u32);
            runnable.push(stage, RunnableSystem::initialize(config, id, self.world));
        }
        for (index, observer) in observers.into_iter().enumerate() {
            let id = CallId::new(key.id, first_observer + index as u32);
            let gate = Arc::new(ObserverGate::new(id, faults.clone()));
            let entity = (observer.spawn)(self.world, gate.clone());
            self.spawned.push((entity, gate));
        }
        self.world.flush();
        runnable
    }

    fn roll_back(self) {
        for (_, gate) in self.spawned {
            gate.close();
        }
        // One more than was recorded, if an observer panicked while it was spawned.
        for entity in observers_in(self.world).difference(&self.observers_before) {
            let _ = panic::guard(|| self.world.despawn(*entity));
        }
        for index in self.initialized {
            // The value's own drop may panic; the others must go all the same.
            let _ = panic::guard(|| (self.types[index].remove)(self.world));
        }
        let _ = panic::guard(|| self.world.flush());
    }
}

#[cfg(test)]
mod tests;
