//! Reloads that are handed over to the next engine, and taken over from the one before.

use std::collections::BTreeMap;
use std::time::Instant;

use inspector_protocol::status::{Problem, ReloadStatus, Severity};

use super::revive::Revived;
use super::{Applied, Built, Pending, Reloads};
use crate::handover::{HandedModule, Handover};

impl Reloads {
    /// What the next engine is told.
    pub(in crate::supervisor) fn hand_over(
        &self,
    ) -> (Vec<ReloadStatus>, BTreeMap<String, HandedModule>) {
        let modules = self.modules.iter().filter_map(|(name, module)| {
            let latest = module.latest.clone()?;
            let ran = module.applied.last();
            let handed = HandedModule {
                artifact: latest.artifact,
                hash: latest.hash,
                ran: ran.map(|ran| (ran.version, ran.built.hash)),
                quarantined: module.quarantined.iter().copied().collect(),
            };
            Some((name.clone(), handed))
        });
        (self.history(), modules.collect())
    }

    /// Takes over what the engine before has left. Returns what the host begins with.
    pub(in crate::supervisor) fn take_over(
        &mut self,
        handover: &Handover,
        since: Instant,
    ) -> Vec<Pending> {
        self.history = handover.history.iter().cloned().collect();
        // What the sources say now may be ahead of that, as a whole.
        let names: Vec<String> = handover.modules.keys().cloned().collect();
        self.together.begin(&names);
        let mut loads = Vec::new();
        for (name, handed) in &handover.modules {
            let built = Built {
                artifact: handed.artifact.clone(),
                hash: handed.hash,
            };
            let module = self.module(name);
            module.latest = Some(built.clone());
            module.quarantined.extend(&handed.quarantined);
            let ran = handed.ran.filter(|(_, hash)| *hash == handed.hash);
            module.applied.extend(ran.map(|(version, _)| Applied {
                built: built.clone(),
                run: handover.runs,
                version,
                since,
                has_replaced: false,
                group: 0,
            }));
            let from = handed.ran.map(|(version, _)| version);
            loads.push(Pending {
                since,
                revived: Some(Revived::again(from, &handover.reason)),
                ..Pending::new(name, "engine", built)
            });
        }
        loads
    }

    /// Whether a build is what runs, or is on its way to the host.
    pub(in crate::supervisor) fn has(&self, module: &str, hash: u64) -> bool {
        let mut pending = self.pending.values();
        let is_coming =
            pending.any(|pending| pending.module == module && pending.built.hash == hash);
        let known = self.modules.get(module);
        let last = known.and_then(|known| known.applied.last());
        is_coming
            || self.active.contains_key(module) && last.is_some_and(|last| last.built.hash == hash)
    }

    /// A module that does not compile.
    pub(in crate::supervisor) fn with_errors(&self) -> Option<&str> {
        let mut modules = self.modules.iter();
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        let found = modules.find(|(_, module)| module.problems.iter().any(is_error));
        found.map(|(name, _)| name.as_str())
    }
}
