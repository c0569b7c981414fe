//! The list of modules changes while the game runs.

use super::Host;
use crate::assets::AssetRequest;
use crate::link::ModuleSpec;
use crate::loader::LoaderRequest;

impl Host {
    /// Renames, takes out and orders modules as the configuration says now. New ones run when
    /// their first version is loaded; nothing waits for it.
    pub(super) fn set_modules(&mut self, modules: Vec<ModuleSpec>) {
        for spec in &modules {
            if let Some(from) = &spec.renamed_from {
                self.rename_module(from, &spec.name);
            }
        }
        let names: Vec<String> = modules.iter().map(|spec| spec.name.clone()).collect();
        for gone in self.registry.module_names() {
            if !names.contains(&gone) {
                self.remove_module(&gone);
            }
        }
        for spec in &modules {
            self.registry.add_module(&spec.name, &spec.kind);
        }
        self.registry.list_modules(&names);
        self.modules.sort(&self.registry);
        let kinds = &self.kinds;
        let with_backend = modules.into_iter().filter_map(|spec| {
            let backend = kinds.iter().position(|kind| *kind == spec.kind)?;
            Some((spec, backend))
        });
        let modules = with_backend.collect();
        let _ = self.loader.send(LoaderRequest::Modules(modules));
    }

    fn rename_module(&mut self, from: &str, to: &str) {
        self.registry.rename_module(from, to);
        self.modules.rename(from, to);
        self.book.rename_module(from, to);
        for waiting in self.waiting.iter_mut().filter(|name| *name == from) {
            to.clone_into(waiting);
        }
        for (starting, _) in self.starting.iter_mut().filter(|(name, _)| name == from) {
            to.clone_into(starting);
        }
        if self.started.remove(from) {
            self.started.insert(to.to_owned());
        }
        self.board.clear_problems(&format!("system:{from}:"));
        let _ = self
            .asset_loader
            .send(AssetRequest::Forget(from.to_owned()));
        self.use_assets(to);
    }

    fn remove_module(&mut self, module: &str) {
        // What it started and what is not run yet belongs to it.
        self.dispatch_jobs();
        let (world, book) = (&mut self.world, &mut self.book);
        let retired = self.modules.remove(module, world, book, &self.registry);
        if let Some(retired) = retired {
            let _ = self.loader.send(LoaderRequest::Retire(Box::new(retired)));
        }
        self.waiting.retain(|waiting| waiting != module);
        self.starting.retain(|(starting, _)| starting != module);
        self.board.clear_problems(&format!("system:{module}:"));
        let _ = self
            .asset_loader
            .send(AssetRequest::Forget(module.to_owned()));
        self.outbox.info(format!(
            "Module '{module}' is gone; its values stay in the world"
        ));
    }
}
