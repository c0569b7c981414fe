//! Runs the systems of all modules, stage by stage.
//!
//! Each system is run under a guard: the call is counted on its version, a panic
//! is caught, its commands are discarded and the system is paused until its
//! module's next version.

use std::time::{Duration, Instant};

use engine_api::bevy_ecs::change_detection::Tick;
use engine_api::bevy_ecs::system::RunSystemError;
use engine_api::bevy_ecs::world::World;
use engine_api::input::Input;
use engine_api::module::Stage;
use engine_api::system::{SystemConfig, Trigger};
use engine_api::time::Time;

use crate::call::{self, CallId};
use crate::panic::{self, PanicReport};

/// A system, ready to run.
pub struct RunnableSystem {
    config: SystemConfig,
    id: CallId,
    paused: bool,
    /// It is a `Startup` system that panicked in the version before: it has still to run.
    unstarted: bool,
    /// Game time until a timer fires next.
    next_fire: Option<Duration>,
    last_error: Option<String>,
    /// Time spent in it since the last [`RunnableSystem::take_time`].
    spent: Duration,
}

/// The systems of one version, by stage.
#[derive(Default)]
pub struct VersionSystems {
    stages: [Vec<RunnableSystem>; Stage::ALL.len()],
}

/// Something that went wrong in a system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemFault {
    /// It panicked and is paused now.
    Panicked {
        /// The call that failed.
        id: CallId,
        /// What happened.
        report: PanicReport,
    },
    /// It returned an error, or a parameter it needs is missing. Reported when the
    /// text changes, not every frame.
    Failed {
        /// The call that failed.
        id: CallId,
        /// What it said.
        message: String,
    },
}

impl RunnableSystem {
    /// Prepares a system for a world: registers what it uses. Module code may run
    /// and may panic.
    pub fn initialize(mut config: SystemConfig, id: CallId, world: &mut World) -> Self {
        config.initialize(world);
        Self {
            config,
            id,
            paused: false,
            unstarted: false,
            next_fire: None,
            last_error: None,
            spent: Duration::ZERO,
        }
    }

    /// Path of the function.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Whether `next` is this system as the next version has it. Closures of one function have
    /// one name and are told apart by their order.
    fn is_before(&self, next: &Self) -> bool {
        let (old, new) = (&self.config, &next.config);
        old.name == new.name && old.occurrence == new.occurrence
    }

    /// Takes over from the same system of the version before: what it has seen
    /// changed, and when its timer fires next.
    fn continue_from(&mut self, old: &Self) {
        let last_run: Tick = old.config.system.get_last_run();
        self.config.system.set_last_run(last_run);
        for (condition, old) in self
            .config
            .conditions
            .iter_mut()
            .zip(&old.config.conditions)
        {
            condition.set_last_run(old.get_last_run());
        }
        if self.config.trigger == old.config.trigger {
            self.next_fire = old.next_fire;
        }
        self.unstarted = old.paused || old.unstarted;
    }

    /// Takes over from itself in the world before.
    fn go_on_from(&mut self, old: &mut Self) {
        self.continue_from(old);
        self.paused = old.paused;
        self.unstarted = old.unstarted;
        self.last_error = old.last_error.take();
        self.spent = old.spent;
    }

    fn is_due(&mut self, world: &World) -> bool {
        match self.config.trigger {
            Trigger::Frame => true,
            Trigger::Pressed(key) => world
                .get_resource::<Input>()
                .is_some_and(|input| input.pressed(key)),
            Trigger::Every(period) => {
                let Some(time) = world.get_resource::<Time>() else {
                    return false;
                };
                let due = *self.next_fire.get_or_insert(time.elapsed() + period);
                if time.elapsed() < due {
                    return false;
                }
                self.next_fire = Some(due + period);
                true
            }
        }
    }

    fn run(&mut self, world: &mut World) -> Result<(), RunSystemError> {
        for condition in &mut self.config.conditions {
            if !condition.run_readonly((), world)? {
                return Ok(());
            }
        }
        self.config
            .system
            .run_without_applying_deferred((), world)?;
        if self.config.system.has_deferred() {
            self.config.system.apply_deferred(world);
        }
        Ok(())
    }

    /// Runs it, if it is its turn, and contains what goes wrong in it.
    fn run_guarded(&mut self, world: &mut World, faults: &mut Vec<SystemFault>) {
        if self.paused || !self.is_due(world) {
            return;
        }
        let start = Instant::now();
        let _call = call::enter(self.id);
        match panic::guard(|| self.run(world)) {
            Ok(Ok(())) => {
                if self.last_error.is_some() {
                    self.last_error = None;
                }
            }
            Ok(Err(RunSystemError::Skipped(_))) => {}
            Ok(Err(RunSystemError::Failed(error))) => {
                // The text is copied and the error dropped here, inside the call.
                let message = error.to_string();
                if self.last_error.as_ref() != Some(&message) {
                    self.last_error = Some(message.clone());
                    faults.push(SystemFault::Failed {
                        id: self.id,
                        message,
                    });
                }
            }
            Err(report) => {
                self.paused = true;
                faults.push(SystemFault::Panicked {
                    id: self.id,
                    report,
                });
            }
        }
        self.spent += start.elapsed();
    }
}

impl VersionSystems {
    /// Adds a system at the end of its stage.
    pub fn push(&mut self, stage: Stage, system: RunnableSystem) {
        self.stages[stage as usize].push(system);
    }

    /// Takes over from the version before, system by system of the same name.
    pub fn continue_from(&mut self, old: &Self) {
        for (stage, old_stage) in self.stages.iter_mut().zip(&old.stages) {
            for system in stage {
                if let Some(old) = old_stage.iter().find(|old| old.is_before(system)) {
                    system.continue_from(old);
                }
            }
        }
    }

    /// Takes over from the same version in the world before: what panicked stays paused.
    pub fn go_on_from(&mut self, old: &mut Self) {
        for (stage, old_stage) in self.stages.iter_mut().zip(&mut old.stages) {
            for system in stage {
                if let Some(old) = old_stage.iter_mut().find(|old| old.is_before(system)) {
                    system.go_on_from(old);
                }
            }
        }
    }

    /// Runs a stage. Faults are appended; the others run on.
    pub fn run(&mut self, stage: Stage, world: &mut World, faults: &mut Vec<SystemFault>) {
        for system in &mut self.stages[stage as usize] {
            system.run_guarded(world, faults);
        }
    }

    /// Runs the `Startup` systems that panicked in the version before.
    pub fn run_unstarted(&mut self, world: &mut World, faults: &mut Vec<SystemFault>) {
        let startup = &mut self.stages[Stage::Startup as usize];
        for system in startup.iter_mut().filter(|system| system.unstarted) {
            system.unstarted = false;
            system.run_guarded(world, faults);
        }
    }

    /// Time each system took since the last call of this, in the order they run.
    pub fn take_times(&mut self) -> Vec<(String, Duration)> {
        self.stages
            .iter_mut()
            .flatten()
            .map(|system| {
                (
                    system.config.name.clone(),
                    std::mem::take(&mut system.spent),
                )
            })
            .collect()
    }

    /// Names of all systems that are paused.
    pub fn paused(&self) -> impl Iterator<Item = &str> {
        self.stages
            .iter()
            .flatten()
            .filter(|system| system.paused)
            .map(RunnableSystem::name)
    }
}

#[cfg(test)]
mod tests;
