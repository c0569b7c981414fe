//! Versions after a crash: whose code it was, what is not loaded again, and what the next
//! host begins with.

use std::path::Path;
use std::time::{Duration, Instant};

use inspector_protocol::message::LogLevel;
use inspector_protocol::status::{Problem, ReloadOutcome, ReloadStatus};

use super::{Applied, Built, ModuleReloads, Pending, Reloads};
use crate::supervisor::Supervisor;
use crate::supervisor::death::Culprit;
use crate::supervisor::restart::Blame;

/// A load that brings back what ran in a host that died.
#[derive(Debug, Clone)]
pub(super) struct Revived {
    /// The version that was active there.
    from: Option<u32>,
    /// How the host died.
    why: String,
    /// The version that is left for the one before it.
    failed: Option<Failed>,
    /// The module that it is left with, though nothing is wrong with it: they got in together.
    left_with: Option<String>,
}

impl Revived {
    /// What ran before runs again.
    pub(super) fn again(from: Option<u32>, why: &str) -> Self {
        Self {
            from,
            why: why.to_owned(),
            failed: None,
            left_with: None,
        }
    }
}

/// A version that failed and is rolled back.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    /// What it did.
    pub(super) message: String,
    /// The same among the problems.
    pub(super) problem: Problem,
}

impl Reloads {
    /// What is to blame for a death, by its content; `None` if that is not known. `young` is
    /// how long a version that replaced another one is.
    pub(in crate::supervisor) fn blame(
        &self,
        culprit: &Culprit,
        run: u64,
        died_at: Instant,
        young: Duration,
    ) -> Option<Blame> {
        let module = self.modules.get(&culprit.module)?;
        let is_it = |applied: &&Applied| applied.run == run && applied.version == culprit.version;
        if let Some(applied) = module.applied.iter().rev().find(is_it) {
            let hash = applied.built.hash;
            // An old call in a version that is left already is no reason to leave the new one.
            let is_last = module.applied.last() == Some(applied);
            let age = died_at.saturating_duration_since(applied.since);
            return Some(Blame {
                hash,
                is_young: is_last && applied.has_replaced && age < young,
                has_before: is_last && self.can_go_back(&culprit.module, hash),
            });
        }
        // It was being loaded, or had got in and nobody had heard of it yet.
        let pending = self.in_flight(&culprit.module, true)?;
        let hash = pending.built.hash;
        Some(Blame {
            hash,
            // What dies while it is set up has not got in at all.
            is_young: self.active.contains_key(&culprit.module)
                && (culprit.is_set_up() || !young.is_zero()),
            has_before: self.can_go_back(&culprit.module, hash),
        })
    }

    /// Whether there is something to go back to from some content: for the module, and for all
    /// that got in with it, or were to.
    fn can_go_back(&self, name: &str, hash: u64) -> bool {
        let Some(module) = self.modules.get(name) else {
            return false;
        };
        let Some(group) = self.group_of(name, hash) else {
            return module.has_other_than(hash);
        };
        let has_before = |(other, module): (&String, &ModuleReloads)| {
            let mut pending = self.pending.values();
            let is_pending = pending.any(|of| of.module == *other && of.group == group);
            match module.place_of_group(group) {
                Some(place) => place > 0,
                None => !is_pending || !module.applied.is_empty(),
            }
        };
        module.has_other_than(hash) && self.modules.iter().all(has_before)
    }

    /// Keeps the builder, which removes old artifacts, from removing those that a new host may
    /// have to begin with.
    pub(super) fn keep_artifacts(&self, module: &str) {
        let applied = self.modules.get(module).map(|module| &module.applied[..]);
        for applied in applied.unwrap_or_default().iter().rev().take(2) {
            engine_build::refresh_artifact(&applied.built.artifact);
        }
    }

    /// The artifact with some content, of those that may still be there.
    pub(in crate::supervisor) fn artifact(&self, hash: u64) -> Option<&Path> {
        let known = self.modules.values().flat_map(|module| {
            let applied = module.applied.iter().map(|applied| &applied.built);
            applied.chain(&module.latest)
        });
        let pending = self.pending.values().map(|pending| &pending.built);
        let mut all = known.chain(pending);
        let built = all.find(|built| built.hash == hash)?;
        Some(&built.artifact)
    }

    /// What is wrong with versions that did not get in, or failed.
    pub(in crate::supervisor) fn refused(&mut self) -> impl Iterator<Item = &mut Problem> {
        self.modules.values_mut().filter_map(|m| m.refused.as_mut())
    }

    /// The first or the last load of a module that the host has not answered.
    pub(super) fn in_flight(&self, module: &str, first: bool) -> Option<&Pending> {
        let loads = self.pending.iter();
        let mut loads: Vec<_> = loads
            .filter(|(_, pending)| pending.module == module)
            .collect();
        loads.sort_by_key(|(ticket, _)| **ticket);
        let found = if first { loads.first() } else { loads.last() };
        found.map(|(_, pending)| *pending)
    }

    /// Sees to it that some content is not loaded again unless somebody asks for it. What got
    /// in together with it is left as well, and comes back with the next build. Returns of which
    /// modules that is.
    pub(in crate::supervisor) fn quarantine(
        &mut self,
        name: &str,
        hash: u64,
        problem: Problem,
    ) -> Vec<String> {
        let group = self.group_of(name, hash);
        let module = self.module(name);
        module.quarantined.insert(hash);
        module.applied.retain(|applied| applied.built.hash != hash);
        if let Some(last) = module.applied.last()
            && module
                .latest
                .as_ref()
                .is_some_and(|built| built.hash == hash)
        {
            module.latest = Some(last.built.clone());
        }
        module.refused = Some(problem);
        group.map_or_else(Vec::new, |group| self.leave_group(group, name))
    }

    /// Number of those that some content got in with, or was to get in with.
    fn group_of(&self, name: &str, hash: u64) -> Option<u64> {
        let applied = self.modules.get(name).map(|module| &module.applied[..]);
        let applied = applied.unwrap_or_default().iter().rev();
        let applied = applied.map(|applied| (&applied.built, applied.group));
        let pending = self.pending.values();
        let pending = pending.filter(|pending| pending.module == name);
        let pending = pending.map(|pending| (&pending.built, pending.group));
        let mut all = pending.chain(applied);
        let found = all.find(|(built, _)| built.hash == hash);
        found.map(|(_, group)| group).filter(|group| *group != 0)
    }

    /// Leaves what got in as part of a group, but for the one that was to blame.
    fn leave_group(&mut self, group: u64, culprit: &str) -> Vec<String> {
        self.left_groups.insert(group);
        let mut left = vec![(culprit.to_owned(), None)];
        for (name, module) in &mut self.modules {
            if name == culprit {
                continue;
            }
            let pending = self.pending.values();
            let mut pending = pending.filter(|of| of.module == *name && of.group == group);
            let newest = pending.next().map(|pending| pending.built.clone());
            let place = module.place_of_group(group);
            let newest = newest.or(place.and(module.applied.last().map(|last| last.built.clone())));
            let Some(newest) = newest else { continue };
            module.applied.truncate(place.unwrap_or(usize::MAX));
            if let Some(last) = module.applied.last() {
                module.latest = Some(last.built.clone());
            }
            left.push((name.clone(), Some(Pending::new(name, "crash", newest))));
        }
        let others: Vec<String> = left[1..].iter().map(|(name, _)| name.clone()).collect();
        if !others.is_empty() {
            self.together.hold(left);
        }
        others
    }

    /// What the next host begins with after a death: what was on its way into the one that
    /// died, else what ran there, without what is quarantined. `failed` is the module that was
    /// just quarantined, with what it did, and `left_with` are those that are left with it.
    pub(in crate::supervisor) fn revivals(
        &self,
        why: &str,
        died_at: Instant,
        failed: Option<(&str, Problem)>,
        left_with: &[String],
    ) -> Vec<Pending> {
        let revive = |(name, module): (&String, &ModuleReloads)| {
            let is_good = |built: &&Built| !module.quarantined.contains(&built.hash);
            let in_flight = self.in_flight(name, false);
            let newest = in_flight.filter(|pending| !self.left_groups.contains(&pending.group));
            let newest = newest.map(|pending| &pending.built).filter(is_good);
            let ran = module.applied.last().map(|applied| &applied.built);
            let built = newest
                .or(ran.filter(is_good))
                .or(module.latest.as_ref().filter(is_good))?;
            // One that died before it had loaded anything leaves that to the next.
            let before = in_flight.and_then(|pending| pending.revived.clone());
            let culprit = failed.as_ref().map(|(module, _)| (*module).to_owned());
            let culprit = culprit.filter(|_| left_with.contains(name));
            let failed = failed.clone().filter(|(module, _)| module == name);
            let failed = failed.map(|(_, problem)| Failed {
                message: why.to_owned(),
                problem,
            });
            let revived = Revived {
                from: self
                    .active(name)
                    .or(before.as_ref().and_then(|before| before.from)),
                why: why.to_owned(),
                left_with: culprit.or(before.as_ref().and_then(|before| before.left_with.clone())),
                failed: failed.or(before.and_then(|before| before.failed)),
            };
            Some(Pending {
                since: died_at,
                revived: Some(revived),
                ..Pending::new(name, "crash", built.clone())
            })
        };
        self.modules.iter().filter_map(revive).collect()
    }
}

impl ModuleReloads {
    /// Whether something else than this content ran before.
    fn has_other_than(&self, hash: u64) -> bool {
        self.applied
            .iter()
            .any(|applied| applied.built.hash != hash)
    }

    /// Takes note that some content became active in another host. If it is what ran last, it is
    /// still one with what it got in with. Returns what it was before.
    fn runs_again(&mut self, mut now: Applied) -> Option<Applied> {
        let is_it = |last: &mut Applied| last.built.hash == now.built.hash;
        let before = self.applied.pop_if(is_it);
        if let Some(before) = &before {
            now.group = before.group;
        }
        self.applied.push(now);
        before
    }
}

impl Supervisor {
    /// What ran in a host that died runs again. Returns what was left because it failed.
    pub(super) fn revived(
        &mut self,
        status: &mut ReloadStatus,
        now: Applied,
        revived: Revived,
    ) -> Option<Failed> {
        let (run, version) = (now.run, now.version);
        let module = self.reloads.module(&status.module);
        let before = module.runs_again(now);
        status.from = revived.from;
        let code = match before {
            Some(before) if before.run + 1 == run => {
                format!("v{}'s code runs again", before.version)
            }
            Some(_) => "the code of an earlier host runs again".to_owned(),
            None => "what was built last runs".to_owned(),
        };
        status.message = format!("{}; {code} as v{version}", revived.why);
        if let Some(failed) = &revived.failed {
            status.message = format!(
                "{}; {code} as v{version}; the code that failed is not loaded again until it changes",
                failed.message
            );
        } else if let Some(culprit) = &revived.left_with {
            status.message = format!(
                "{}, since it got in together with `{culprit}`",
                status.message
            );
        } else {
            status.outcome = ReloadOutcome::Restarted;
            return None;
        }
        status.outcome = ReloadOutcome::RolledBack;
        let line = format!("Module '{}' rolled back: {}", status.module, status.message);
        self.log_about(LogLevel::Info, &status.module, line);
        revived.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(hash: u64) -> Built {
        Built {
            artifact: format!("{hash}.so").into(),
            hash,
        }
    }

    /// What got in of a module: content, and the number of its group.
    fn module(applied: &[(u64, u64)]) -> ModuleReloads {
        let applied = applied.iter().map(|(hash, group)| Applied {
            built: built(*hash),
            run: 1,
            version: *hash as u32,
            since: Instant::now(),
            has_replaced: true,
            group: *group,
        });
        ModuleReloads {
            applied: applied.collect(),
            ..ModuleReloads::default()
        }
    }

    #[test]
    fn a_group_goes_back_as_a_whole_or_not_at_all() {
        let check = |what: &str, modules: &[&[(u64, u64)]], expected: bool| {
            let named = modules.iter().enumerate();
            let reloads = Reloads {
                modules: named
                    .map(|(index, applied)| (index.to_string(), module(applied)))
                    .collect(),
                ..Reloads::default()
            };
            assert_eq!(reloads.can_go_back("0", 2), expected, "{what}");
        };
        check("nothing before", &[&[(2, 0)]], false);
        check("alone", &[&[(1, 0), (2, 0)]], true);
        check(
            "alone beside a new one",
            &[&[(1, 0), (2, 0)], &[(3, 0)]],
            true,
        );
        check("together", &[&[(1, 0), (2, 7)], &[(3, 0), (4, 7)]], true);
        check("with a new one", &[&[(1, 0), (2, 7)], &[(4, 7)]], false);
        check("with others", &[&[(1, 0), (2, 7)], &[(4, 6)]], true);
    }

    #[test]
    fn a_group_is_one_in_the_next_host_as_well() {
        let mut ran = module(&[(1, 0), (2, 7)]);
        let again = |hash| {
            let mut other = module(&[(hash, 0)]).applied;
            other.pop().unwrap()
        };
        assert_eq!(ran.runs_again(again(2)).map(|before| before.group), Some(7));
        assert_eq!(ran.place_of_group(7), Some(1));
        assert_eq!(ran.runs_again(again(3)), None);
        assert_eq!((ran.applied.len(), ran.applied[2].group), (3, 0));
    }

    #[test]
    fn a_group_that_is_on_its_way_goes_back_as_a_whole_as_well() {
        let check = |partner: &[(u64, u64)], expected: bool| {
            let mut reloads = Reloads::default();
            reloads.modules.insert("0".to_owned(), module(&[(1, 0)]));
            reloads.modules.insert("1".to_owned(), module(partner));
            let group = [("0", 2), ("1", 4)];
            let group = group.map(|(name, hash)| Pending::new(name, "file", built(hash)));
            reloads.load(group.into());
            assert_eq!(reloads.can_go_back("0", 2), expected);
        };
        check(&[(3, 0)], true);
        check(&[], false);
    }
}
