//! The list of modules changes while the builder works.

use std::time::Instant;

use inspector_protocol::status::Problem;

use super::work::Work;
use super::{ModuleState, Runner};
use crate::config::ModuleSource;
use crate::project::Project;

impl Runner {
    /// Takes over another list. What is known of modules in both stays; the others are built.
    pub(super) fn change_modules(&mut self, modules: Vec<ModuleSource>) {
        let before = std::mem::replace(&mut self.config.modules, modules);
        let mut project = match Project::load(&self.config) {
            Ok(project) => project,
            Err(error) => {
                let next = std::mem::replace(&mut self.config.modules, before);
                return self.refuse_modules(&next, &error.to_string());
            }
        };
        let places: Vec<Option<usize>> = project
            .modules
            .iter()
            .map(|new| {
                let mut known = self.project.modules.iter();
                known.position(|old| (&old.name, &old.package) == (&new.name, &new.package))
            })
            .collect();
        let mut states: Vec<Option<ModuleState>> = std::mem::take(&mut self.modules)
            .into_iter()
            .map(Some)
            .collect();
        let mut now = vec![None; states.len()];
        for (index, place) in places.iter().enumerate() {
            let state = place.and_then(|old| {
                now[old] = Some(index);
                project.modules[index].inherit(&self.project.modules[old]);
                states[old].take()
            });
            self.modules.push(ModuleState {
                relevant: None,
                ..state.unwrap_or_default()
            });
        }
        self.project = project;
        self.captures.renumber(&places);
        self.queue.renumber(&now);
        let at = Instant::now();
        for (index, _) in places.iter().enumerate().filter(|(_, old)| old.is_none()) {
            self.queue.add(index, Work::added(at));
        }
        self.watch_areas();
        self.take_captures(true);
    }

    /// Says of new modules why they cannot be built. The old list stays.
    fn refuse_modules(&self, modules: &[ModuleSource], why: &str) {
        let known = &self.project.modules;
        let is_new = |module: &&ModuleSource| known.iter().all(|old| old.name != module.name);
        for module in modules.iter().filter(is_new) {
            let problem = Problem {
                module: module.name.clone(),
                message: why.to_owned(),
                rendered: format!("error: {why}\n"),
                ..Problem::default()
            };
            self.failed_unknown(&module.name, problem);
        }
    }
}
