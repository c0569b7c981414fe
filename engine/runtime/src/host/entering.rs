//! A version gets in: the swap itself, and what follows from it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_api::reload::{self, ModuleReload, ReloadStep};
use inspector_protocol::status::ReloadOutcome;

use super::Host;
use crate::assets::AssetRequest;
use crate::link::Reloaded;
use crate::loader::{LoaderRequest, ReadyVersion};
use crate::panic;
use crate::places::WorldWitness;
use crate::registry::VersionKey;
use crate::state;
use crate::swap::{Refusal, Swapped, SwappedVersion};

/// What an entity costs when the world is rebuilt, at most.
const REBUILD_PER_ENTITY: Duration = Duration::from_nanos(100);

/// A version that is being swapped in, as its report has it.
struct Waiting {
    key: VersionKey,
    report: Reloaded,
    /// The version before is listed as one that failed.
    quarantine: bool,
    /// The state from before that version comes back.
    restore: bool,
}

impl Host {
    /// Puts versions in together, or reports why they do not fit.
    pub(super) fn swap(&mut self, ready: Vec<ReadyVersion>) {
        let (mut group, mut prepared) = (Vec::new(), Vec::new());
        for version in ready {
            let (module, key) = (version.prepared.module.clone(), version.prepared.key);
            let report = Reloaded {
                ticket: version.ticket,
                from: self.registry.active(&module).map(|key| key.number),
                module,
                outcome: ReloadOutcome::Rejected,
                load_ms: version.load.as_secs_f64() * 1000.0,
                ..Reloaded::default()
            };
            prepared.push(version.prepared);
            group.push(Waiting {
                key,
                report,
                quarantine: version.quarantine,
                restore: version.restore,
            });
        }
        for waiting in &group {
            self.tell_of_reload(waiting, ReloadStep::BeforeUpdate, None);
        }
        let start = Instant::now();
        let mut modules = group.iter().map(|of| &of.report.module);
        let unlisted = modules.find(|name| !self.registry.is_listed(name)).cloned();
        let result = if let Some(module) = unlisted {
            let _ = panic::guard(|| drop(prepared));
            Err(Refusal::of(&module, "it is no longer in the configuration"))
        } else {
            let (world, book) = (&mut self.world, &mut self.book);
            self.modules.swap(prepared, world, book, &self.registry)
        };
        let took = start.elapsed();
        match result {
            Ok(mut swapped) => {
                swapped.migration += self.let_go_of_old_types();
                swapped.took = start.elapsed();
                self.swapped(group, swapped);
            }
            Err(refusal) => {
                let names: Vec<String> = group.iter().map(|of| of.report.module.clone()).collect();
                for waiting in group {
                    let (module, key) = (&waiting.report.module, waiting.key);
                    self.registry.reject(module, key);
                    let message = refusal.message_for(module, &names);
                    let error = Some(message.clone());
                    self.tell_of_reload(&waiting, ReloadStep::Error, error);
                    let mut report = waiting.report;
                    report.message = message;
                    report.swap_ms = took.as_secs_f64() * 1000.0;
                    self.outbox.reloaded(report);
                }
            }
        }
    }

    /// Says in the game what becomes of a module.
    fn tell_of_reload(&mut self, waiting: &Waiting, step: ReloadStep, error: Option<String>) {
        let module = waiting.report.module.clone();
        let reload = ModuleReload {
            kind: self.registry.kind(&module).unwrap_or_default(),
            module,
            step,
            from: waiting.report.from,
            to: Some(waiting.key.number),
            error,
        };
        self.tell(reload);
    }

    /// Says in the game that a load brought no version.
    pub(super) fn tell_of_failed_load(&mut self, report: Reloaded) {
        let reload = ModuleReload {
            kind: self.registry.kind(&report.module).unwrap_or_default(),
            module: report.module,
            step: ReloadStep::Error,
            from: report.from,
            to: None,
            error: Some(report.message),
        };
        self.tell(reload);
    }

    /// Observers hear it now, systems in the next frame.
    fn tell(&mut self, reload: ModuleReload) {
        if let Err(report) = panic::guard(|| reload::tell(&mut self.world, reload)) {
            self.outbox.error(format!(
                "what a reload started panicked: {}",
                report.summary()
            ));
        }
    }

    /// Lets go of old versions that only the component table refers to, for types without
    /// values. The new world has to be made with a swap: what systems have in `Local`s begins
    /// anew with it, and that is expected of a swap alone. Where it would take too long for a
    /// frame, they wait for a change of layout. Returns what it took.
    fn let_go_of_old_types(&mut self) -> Duration {
        let start = Instant::now();
        let entities = u32::try_from(state::game_entities(&self.world)).unwrap_or(u32::MAX);
        let is_large = REBUILD_PER_ENTITY.saturating_mul(entities) > self.period() / 2;
        let witness = WorldWitness::new(&self.world, &self.book, &self.modules);
        if is_large || !self.drain.wants_rebuild(&self.registry, &witness) {
            return Duration::ZERO;
        }
        let (world, book) = (&mut self.world, &mut self.book);
        let line = match self.modules.rebuild(world, book, &self.registry) {
            Ok(()) => "the world was rebuilt to let go of old versions".to_owned(),
            Err(refusal) => format!("the world cannot be rebuilt: {}", refusal.message),
        };
        self.outbox.debug(line);
        start.elapsed()
    }

    /// What follows when versions got in.
    fn swapped(&mut self, group: Vec<Waiting>, swapped: Swapped) {
        let Swapped {
            versions,
            took,
            migration,
            migrated,
            misfits,
            unheard,
            lost_observers,
        } = swapped;
        let names: Vec<&str> = group.iter().map(|of| of.report.module.as_str()).collect();
        let names = names.join("', '");
        if lost_observers > 0 {
            self.outbox.warn(format!(
                "Module '{names}': {lost_observers} observers that systems added did not \
                 get into the world with the new types; register observers with \
                 `m.observe`, or with `m.entity_observer` and attach them"
            ));
        }
        for misfit in misfits.into_iter().chain(unheard) {
            self.outbox.warn(format!("Module '{names}': {misfit}"));
        }
        for migrated in migrated {
            self.outbox.debug(migrated.to_string());
        }
        for (waiting, version) in group.iter().zip(versions) {
            self.version_is_in(version, waiting.quarantine);
        }
        self.last_housekeeping = Instant::now();
        self.keep_house();
        for waiting in group {
            self.tell_of_reload(&waiting, ReloadStep::AfterUpdate, None);
            let report = Reloaded {
                outcome: ReloadOutcome::Applied,
                to: Some(waiting.key.number),
                frame: Some(self.frame),
                migrate_ms: migration.as_secs_f64() * 1000.0,
                swap_ms: took.saturating_sub(migration).as_secs_f64() * 1000.0,
                ..waiting.report
            };
            if waiting.restore {
                self.read_state(report);
            } else {
                self.outbox.reloaded(report);
            }
        }
    }

    /// What follows for one of them.
    fn version_is_in(&mut self, version: SwappedVersion, quarantine: bool) {
        let SwappedVersion {
            module,
            key,
            previous,
            retired,
        } = version;
        let _ = self.loader.send(LoaderRequest::Retire(Box::new(retired)));
        if let (true, Some(failed)) = (quarantine, previous) {
            self.registry.quarantine(&module, failed);
        }
        self.board.clear_problems(&format!("system:{module}:"));
        match previous {
            None => self
                .outbox
                .info(format!("Module '{module}' loaded (v{})", key.number)),
            Some(old) => self.outbox.info(format!(
                "Module '{module}' reloaded (v{} -> v{})",
                old.number, key.number
            )),
        }
        self.use_assets(&module);
        let unread = |(_, _, assets): &(&str, VersionKey, &Arc<Vec<_>>)| !assets.is_empty();
        let of_module = self.modules.assets().find(|(name, ..)| *name == module);
        if previous.is_some() {
            // A module that was still starting starts with this version.
            for (_, starting) in self.starting.iter_mut().filter(|(n, _)| *n == module) {
                *starting = key;
            }
            let mut faults = Vec::new();
            let world = &mut self.world;
            self.modules.start_again(&module, world, &mut faults);
            self.report(faults);
        } else if of_module.as_ref().is_some_and(unread) {
            self.starting.push((module.clone(), key));
        } else {
            self.start_module(&module);
        }
    }

    pub(super) fn use_assets(&self, module: &str) {
        for (name, key, assets) in self.modules.assets().filter(|(name, ..)| *name == module) {
            let Some(lease) = self.registry.lease(name, key) else {
                continue;
            };
            let request = AssetRequest::Use(name.to_owned(), key, assets.clone(), lease);
            let _ = self.asset_loader.send(request);
        }
    }

    /// Runs a module's `Startup`; frames no longer wait for it.
    pub(super) fn start_module(&mut self, module: &str) {
        if self.is_resuming() {
            // The state of an earlier run comes instead.
            self.waiting.retain(|waiting| waiting != module);
            return;
        }
        let is_first = self.started.insert(module.to_owned());
        if is_first || self.modules.has_own_state(module) {
            let mut faults = Vec::new();
            self.modules.start(module, &mut self.world, &mut faults);
            self.report(faults);
        }
        self.waiting.retain(|waiting| waiting != module);
    }
}
