//! A version gets in: the swap itself, and what follows from it.

use std::sync::Arc;
use std::time::Instant;

use inspector_protocol::status::ReloadOutcome;

use super::Host;
use crate::assets::AssetRequest;
use crate::link::Reloaded;
use crate::loader::{LoaderRequest, ReadyVersion};
use crate::registry::VersionKey;
use crate::swap::{PreparedVersion, Swapped};

impl Host {
    /// Puts a version in, or reports why it does not fit.
    pub(super) fn swap(&mut self, ready: ReadyVersion) {
        let ReadyVersion {
            prepared,
            ticket,
            load,
            quarantine,
            restore,
        } = ready;
        let PreparedVersion { module, key, .. } = &prepared;
        let (module, key) = (module.clone(), *key);
        let from = self.registry.active(&module).map(|key| key.number);
        let start = Instant::now();
        let result = self
            .modules
            .swap(prepared, &mut self.world, &mut self.book, &self.registry);
        let mut report = Reloaded {
            ticket,
            module: module.clone(),
            from,
            to: None,
            outcome: ReloadOutcome::Rejected,
            message: String::new(),
            load_ms: load.as_secs_f64() * 1000.0,
            migrate_ms: 0.0,
            swap_ms: start.elapsed().as_secs_f64() * 1000.0,
        };
        match result {
            Ok(Swapped {
                previous,
                retired,
                took,
                migration,
                migrated,
                misfits,
                unheard,
                lost_observers,
            }) => {
                report.migrate_ms = migration.as_secs_f64() * 1000.0;
                report.swap_ms = took.saturating_sub(migration).as_secs_f64() * 1000.0;
                if lost_observers > 0 {
                    self.outbox.warn(format!(
                        "Module '{module}': {lost_observers} observers that systems added did not \
                         get into the world with the new types; register observers with \
                         `m.observe`, or with `m.entity_observer` and attach them"
                    ));
                }
                for misfit in misfits.into_iter().chain(unheard) {
                    self.outbox.warn(format!("Module '{module}': {misfit}"));
                }
                for migrated in migrated {
                    self.outbox.debug(migrated.to_string());
                }
                report.outcome = ReloadOutcome::Applied;
                report.to = Some(key.number);
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
                self.last_housekeeping = Instant::now();
                self.keep_house();
            }
            Err(message) => {
                self.registry.reject(&module, key);
                report.message = message;
            }
        }
        if restore && report.to.is_some() {
            return self.read_state(report);
        }
        self.outbox.reloaded(report);
    }

    fn use_assets(&self, module: &str) {
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
        let mut faults = Vec::new();
        self.modules.start(module, &mut self.world, &mut faults);
        self.report(faults);
        self.waiting.retain(|waiting| waiting != module);
    }
}
