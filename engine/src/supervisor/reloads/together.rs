//! Builds that get in together or not at all: modules of which code that they share changed.
//!
//! The builder says which modules a change concerns before it builds them. From then on what
//! is built of them waits for the others. When one does not compile, all wait until it does:
//! its next build is loaded with what was built of the others before. A group ends when its
//! builds run.

use std::collections::BTreeMap;

/// All groups that are not in yet. `B` is what was built of a module.
#[derive(Debug)]
pub(super) struct Together<B> {
    groups: Vec<BTreeMap<String, Step<B>>>,
}

/// How far a module of a group is.
#[derive(Debug)]
enum Step<B> {
    Building,
    Built {
        build: B,
        /// Whether it was said that it has to wait.
        is_told: bool,
    },
    Failed,
}

/// What is to be done when a module was built, or was not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<B> {
    /// Load these, together. None if there is nothing to be done.
    Load(Vec<B>),
    /// Some do not compile: these builds have to wait.
    Hold {
        /// What was built since that was said last.
        built: Vec<B>,
        /// The modules that keep them out.
        failed: Vec<String>,
    },
}

impl<B> Default for Together<B> {
    fn default() -> Self {
        Self { groups: Vec::new() }
    }
}

impl<B: Clone> Together<B> {
    /// These modules are being built and belong together, also with those that one of them
    /// belonged together with before.
    pub(super) fn begin(&mut self, modules: &[String]) {
        let mut merged = BTreeMap::new();
        self.groups.retain_mut(|group| {
            let overlaps = modules.iter().any(|module| group.contains_key(module));
            if overlaps {
                merged.append(group);
            }
            !overlaps
        });
        for module in modules {
            merged.insert(module.clone(), Step::Building);
        }
        self.groups.push(merged);
    }

    /// Modules whose sources are ahead of what runs, with what was built of them last; `None`
    /// for what failed.
    pub(super) fn hold(&mut self, modules: Vec<(String, Option<B>)>) {
        let names: Vec<String> = modules.iter().map(|(name, _)| name.clone()).collect();
        self.begin(&names);
        if let Some(group) = self.groups.last_mut() {
            group.extend(modules.into_iter().map(|(name, build)| {
                let step = match build {
                    Some(build) => Step::Built {
                        build,
                        is_told: true,
                    },
                    None => Step::Failed,
                };
                (name, step)
            }));
        }
    }

    /// A build of a module has ended: with something, or with errors.
    pub(super) fn ended(&mut self, module: &str, build: Option<B>) -> Next<B> {
        let mut groups = self.groups.iter_mut();
        let Some(group) = groups.find(|group| group.contains_key(module)) else {
            return Next::Load(build.into_iter().collect());
        };
        let step = match build {
            Some(build) => Step::Built {
                build,
                is_told: false,
            },
            None => Step::Failed,
        };
        group.insert(module.to_owned(), step);
        Self::next(group)
    }

    /// What was built of a module is what runs.
    pub(super) fn is_there(&mut self, module: &str) -> Next<B> {
        let mut groups = self.groups.iter_mut();
        let Some(group) = groups.find(|group| group.contains_key(module)) else {
            return Next::Load(Vec::new());
        };
        group.remove(module);
        let next = Self::next(group);
        self.groups.retain(|group| !group.is_empty());
        next
    }

    fn next(group: &mut BTreeMap<String, Step<B>>) -> Next<B> {
        if group.values().any(|step| matches!(step, Step::Building)) {
            return Next::Load(Vec::new());
        }
        let failed = group
            .iter()
            .filter(|(_, step)| matches!(step, Step::Failed));
        let failed: Vec<String> = failed.map(|(name, _)| name.clone()).collect();
        let mut ready = Vec::new();
        for step in group.values_mut() {
            if let Step::Built { build, is_told } = step
                && (failed.is_empty() || !*is_told)
            {
                *is_told = true;
                ready.push(build.clone());
            }
        }
        if failed.is_empty() {
            Next::Load(ready)
        } else {
            Next::Hold {
                built: ready,
                failed,
            }
        }
    }

    /// There is no such module any more.
    pub(super) fn forget(&mut self, module: &str) {
        for group in &mut self.groups {
            group.remove(module);
        }
        self.groups.retain(|group| !group.is_empty());
    }

    /// Whether others wait for a module, or it for others.
    pub(super) fn is_grouped(&self, module: &str) -> bool {
        self.groups.iter().any(|group| group.contains_key(module))
    }

    /// Something that was built of a module runs: if it is what the others waited for
    /// (`is_it`), they do no more.
    pub(super) fn runs(&mut self, module: &str, is_it: impl Fn(&B) -> bool) {
        for group in &mut self.groups {
            if matches!(group.get(module), Some(Step::Built { build, .. }) if is_it(build)) {
                group.remove(module);
            }
        }
        self.groups.retain(|group| !group.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(builds: &[u32]) -> Next<u32> {
        Next::Load(builds.to_vec())
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn hold(built: &[u32], failed: &[&str]) -> Next<u32> {
        Next::Hold {
            built: built.to_vec(),
            failed: names(failed),
        }
    }

    #[test]
    fn a_module_of_no_group_is_loaded_alone() {
        let mut together = Together::default();
        together.begin(&names(&["core", "ai"]));
        assert_eq!(together.ended("ui", Some(1)), load(&[1]));
        assert_eq!(together.ended("ui", None), load(&[]));
    }

    #[test]
    fn a_group_is_loaded_when_its_last_module_is_built() {
        let mut together = Together::default();
        together.begin(&names(&["core", "ai"]));
        assert_eq!(together.ended("core", Some(1)), load(&[]));
        assert_eq!(together.ended("ai", Some(2)), load(&[2, 1]));
        // Until it is in, it is loaded as a whole again.
        assert_eq!(together.ended("ai", Some(3)), load(&[3, 1]));
        together.runs("ai", |build| *build == 3);
        together.runs("core", |build| *build == 7);
        assert!(!together.is_grouped("ai") && together.is_grouped("core"));
        together.runs("core", |build| *build == 1);
        assert!(!together.is_grouped("core"));
        assert_eq!(together.ended("ai", Some(4)), load(&[4]));
    }

    #[test]
    fn what_was_built_waits_for_what_does_not_compile() {
        let mut together = Together::default();
        together.begin(&names(&["core", "ai"]));
        assert_eq!(together.ended("ai", None), load(&[]));
        assert_eq!(together.ended("core", Some(1)), hold(&[1], &["ai"]));
        // Said once for each build.
        assert_eq!(together.ended("ai", None), hold(&[], &["ai"]));
        assert_eq!(together.ended("core", Some(2)), hold(&[2], &["ai"]));
        assert_eq!(together.ended("ai", Some(3)), load(&[3, 2]));
    }

    #[test]
    fn a_module_that_is_there_keeps_nobody_waiting() {
        let mut together = Together::default();
        together.begin(&names(&["core", "ai", "ui"]));
        assert_eq!(together.ended("core", Some(1)), load(&[]));
        assert_eq!(together.is_there("ui"), load(&[]));
        assert_eq!(together.is_there("ai"), load(&[1]));
        together.runs("core", |_| true);
        assert_eq!(together.is_there("ai"), load(&[]));
    }

    #[test]
    fn groups_that_overlap_become_one() {
        let mut together = Together::default();
        together.begin(&names(&["core", "ai"]));
        together.ended("core", Some(1));
        together.ended("ai", None);
        together.begin(&names(&["ai", "ui"]));
        assert_eq!(together.ended("ai", Some(2)), load(&[]));
        assert_eq!(together.ended("ui", Some(3)), load(&[2, 1, 3]));
    }

    #[test]
    fn versions_that_were_left_together_come_back_together() {
        let mut together = Together::default();
        let left = [("core", Some(1)), ("ai", None)];
        together.hold(left.map(|(name, build)| (name.to_owned(), build)).to_vec());
        assert_eq!(together.ended("ai", Some(2)), load(&[2, 1]));
    }
}
