//! Was it the right source? And what was learned about the module.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::TrySendError;

use super::work::Work;
use super::{Runner, Running};
use crate::depinfo;
use crate::project::{Effect, Project};
use crate::replay;
use crate::snapshot::{Observed, Sources};
use crate::watch::Notice;

/// Whether what was compiled is what is on disk.
pub(super) enum Settled {
    /// It is; fingerprint of each module.
    Current(Vec<u64>),
    /// Something changed meanwhile.
    Outdated,
}

impl Runner {
    /// Compares what was compiled with what is on disk, and gives the content's
    /// fingerprints in the same breath. After a failure folders are walked too:
    /// a file that was missing may have come.
    pub(super) fn settle(&mut self, running: &Running, is_success: bool) -> Settled {
        let now = Instant::now();
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if !is_success {
            for (path, observed) in state.sources.rescan(false, &mut |_| {}) {
                state.note(path, observed, now);
            }
        }
        for index in &running.modules {
            for path in self.relevant(*index, &state.sources) {
                let observed = state.sources.check(&path);
                if observed == Observed::Changed {
                    state.note(path, observed, now);
                }
            }
            let inputs: Vec<PathBuf> = self.project.modules[*index].inputs().cloned().collect();
            for path in state.sources.add_inputs(inputs, running.since) {
                state.note(path, Observed::Changed, now);
            }
        }
        let lock_file = self.project.lock_file();
        let is_outdated = state.changes.changed.keys().any(|path| {
            !(running.is_cargo && *path == lock_file)
                && running
                    .modules
                    .iter()
                    .any(|index| self.project.effect(*index, path) != Effect::None)
        });
        if is_outdated {
            drop(state);
            self.absorb(Some(running));
            return Settled::Outdated;
        }
        let prints = running
            .modules
            .iter()
            .map(|index| {
                let relevant = self.relevant(*index, &state.sources);
                state.sources.fingerprint(relevant.iter())
            })
            .collect();
        Settled::Current(prints)
    }

    pub(super) fn fingerprint(&mut self, index: usize) -> u64 {
        let shared = Arc::clone(&self.shared);
        let state = shared.lock();
        let relevant = self.relevant(index, &state.sources);
        state.sources.fingerprint(relevant.iter())
    }

    /// The known files that matter to a module.
    pub(super) fn relevant(&mut self, index: usize, sources: &Sources) -> Vec<PathBuf> {
        let revision = sources.revision();
        if let Some((of, paths)) = &self.modules[index].relevant
            && *of == revision
        {
            return paths.clone();
        }
        let paths: Vec<PathBuf> = sources
            .paths()
            .filter(|path| self.project.effect(index, path) != Effect::None)
            .cloned()
            .collect();
        self.modules[index].relevant = Some((revision, paths.clone()));
        paths
    }

    pub(super) fn set_inputs(
        &mut self,
        index: usize,
        own: Vec<PathBuf>,
        all: Option<Vec<PathBuf>>,
    ) {
        let before: Vec<PathBuf> = self.project.modules[index].inputs().cloned().collect();
        self.project.modules[index].set_inputs(own, all);
        if !self.project.modules[index].inputs().eq(before.iter()) {
            self.modules[index].relevant = None;
            self.watch_areas();
        }
    }

    /// Own and all files of a module as cargo's dep-info files have them.
    pub(super) fn inputs_of_cargo(
        &self,
        index: usize,
        artifact: &Path,
    ) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let module = &self.project.modules[index];
        let root = &self.config.root;
        let all = depinfo::read(&artifact.with_extension("d"), root);
        let stem = self.captures.output_stem(module);
        let own = artifact
            .parent()
            .map(|folder| folder.join("deps").join(format!("{stem}.d")));
        let mut own = own
            .map(|file| depinfo::read(&file, root))
            .unwrap_or_default();
        if own.is_empty() {
            own = all
                .iter()
                .filter(|file| file.starts_with(&module.dir))
                .cloned()
                .collect();
        }
        (own, all)
    }

    pub(super) fn take_captures(&mut self, is_new_workspace: bool) {
        if is_new_workspace {
            self.captures
                .renew_key(&self.project, &self.config, &self.environment);
        }
        for index in 0..self.modules.len() {
            self.captures.take(index, &self.project.modules[index]);
            if let Some(output) = self.captures.build_script_output(index) {
                let module = &mut self.project.modules[index];
                if module.has_build_script() {
                    module.set_build_script_output(&output);
                    self.modules[index].relevant = None;
                }
            }
        }
    }

    /// Asks cargo for the workspace again when a manifest changed. While it
    /// cannot be read, what was known stays.
    pub(super) fn reload_project(&mut self, works: &[(usize, Work)]) {
        if works
            .iter()
            .all(|(_, work)| work.is_startup() && work.files.is_empty())
        {
            return;
        }
        let Ok(mut project) = Project::load(&self.config) else {
            return;
        };
        for (new, old) in project.modules.iter_mut().zip(&self.project.modules) {
            new.inherit(old);
        }
        self.project = project;
        for module in &mut self.modules {
            module.relevant = None;
            module.is_primed = false;
        }
        self.watch_areas();
    }

    /// Makes the watched areas fit the project. Files of new areas are taken as
    /// they are; those of areas that were watched before are compared.
    pub(super) fn watch_areas(&mut self) {
        let areas = self.project.areas();
        let now = Instant::now();
        let mut state = self.shared.lock();
        if *state.sources.areas() == areas {
            return;
        }
        let known: Vec<PathBuf> = state.sources.paths().cloned().collect();
        let before = state.sources.areas().clone();
        state.sources.set_areas(areas);
        for (path, observed) in state.sources.rescan(false, &mut |_| {}) {
            let was_watched = known.binary_search(&path).is_ok()
                || before.iter().any(|area| path.starts_with(area.path()));
            if was_watched {
                state.note(path, observed, now);
            }
        }
        drop(state);
        if let Err(TrySendError::Full(_)) = self.notices.try_send(Notice::Areas) {
            // The queue is full of events: the thread is behind and will find
            // its queue overflown, which makes it look at everything.
        }
    }

    pub(super) fn set_broken(&mut self, index: usize, is_broken: bool) {
        let module = &mut self.project.modules[index];
        if module.is_broken != is_broken {
            module.is_broken = is_broken;
            self.modules[index].relevant = None;
        }
    }

    /// Cargo goes by file times. A change that arrives with an old time (moved
    /// there, unpacked) would be overlooked, so its package is marked.
    pub(super) fn mark_overlooked(&self, works: &[(usize, Work)]) {
        let Some(profile_folder) = self.captures.profile_folder() else {
            return;
        };
        for path in works.iter().flat_map(|(_, work)| &work.files) {
            let Some(package) = self.project.package_of(path) else {
                continue;
            };
            let crate_name = package.replace('-', "_");
            let Some(compiled) = replay::compiled_at(profile_folder, package, &crate_name) else {
                continue;
            };
            let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
            if modified.is_ok_and(|modified| modified <= compiled) {
                replay::mark_stale(profile_folder, package, &crate_name);
            }
        }
    }
}
