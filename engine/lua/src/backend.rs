//! Lua modules as versions of the engine's registry.
//!
//! An artifact is a [`Bundle`](crate::Bundle). Loading one reads it, off the frame loop; its
//! sources run at the swap, in the state that all Lua modules of their trust domain share
//! ([`stage::Stage`]): a reload there is the transaction of [`crate::Domain`], and it is undone
//! when the swap fails.
//!
//! | module | holds |
//! |---|---|
//! | `stage` | the state on the frame thread: entering, calling, what is left of old versions |
//! | `code` | one version as the registry holds it |
//! | `offer` | what a version registers: systems for `init` and `update`, functions by name |
//! | `schedule` | timers, keys, jobs and handlers of events |
//! | `values` | dynamic values of the engine and of Lua |

mod code;
mod offer;
mod schedule;
mod stage;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashMap;
use std::sync::Arc;

use engine_api::sources::Sources;
use engine_runtime::backend::{
    Artifact, Backend, LoadError, LoadedCode, Look, Proof, Reference, content_hash,
};
use engine_runtime::link::ModuleSpec;
use engine_runtime::registry::Registry;

use crate::bundle::Bundle;
use crate::error::ScriptError;
use crate::modules::Limits;

use self::code::LuaCode;
use self::stage::{Door, Stage};

/// Kind of the modules, as in the configuration.
pub const KIND: &str = "lua";

/// Label of versions: scripts have no version of their own.
const LABEL: &str = "";

/// Loads Lua modules. Lives on the loader thread; the state that they run in does not.
pub struct LuaBackend {
    limits: Limits,
    registry: Option<Arc<Registry>>,
    /// By trust domain; those that had a module.
    states: HashMap<String, State>,
    /// Number of the next code.
    next: u64,
}

/// Where the modules of a domain run, and where versions enter.
struct State {
    stage: Arc<Stage>,
    door: Arc<Door>,
}

impl LuaBackend {
    /// A backend whose states are made for the first module of each domain. Limits are those of
    /// one domain.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            registry: None,
            states: HashMap::new(),
            next: 0,
        }
    }

    /// The state of a domain, and its door.
    fn state(&mut self, domain: &str) -> Result<&State, ScriptError> {
        // Looked up twice: an entry cannot be left empty when making the state fails.
        if !self.states.contains_key(domain) {
            let stage = Arc::new(Stage::new(self.limits, self.registry.as_ref())?);
            let door = Arc::new(Door(stage.clone()));
            let made = State { stage, door };
            self.states.insert(domain.to_owned(), made);
        }
        Ok(&self.states[domain])
    }
}

impl Backend for LuaBackend {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn connect(&mut self, registry: &Arc<Registry>) {
        self.registry = Some(registry.clone());
    }

    fn load(
        &mut self,
        module: &str,
        artifact: &Artifact,
        running: Option<u64>,
    ) -> Result<LoadedCode, LoadError> {
        let path = &artifact.path;
        let bytes = std::fs::read(path).map_err(|error| {
            LoadError::Unusable(format!("{} cannot be read: {error}", path.display()))
        })?;
        let hash = content_hash(&bytes);
        if running == Some(hash) {
            return Err(LoadError::Unchanged);
        }
        let bundle = Bundle::from_bytes(&bytes)
            .map_err(|error| LoadError::Unusable(format!("{}: {error}", path.display())))?;
        let number = self.next;
        self.next += 1;
        let made = self.state(&bundle.domain);
        let made = made.map_err(|error| LoadError::Misfit(error.to_string()))?;
        let (stage, entrance) = (made.stage.clone(), made.door.clone());
        stage.expect(number, module, bundle);
        let (name, to) = (module.to_owned(), stage.clone());
        Ok(LoadedCode {
            code: Box::new(LuaCode::new(number, stage)),
            hash,
            label: LABEL.to_owned(),
            build: Arc::new(move |m| offer::register(m, &name, &to)),
            sources: Sources::NONE,
            entrance: Some(entrance),
        })
    }

    fn load_again(&mut self, _: &str) -> Option<Result<LoadedCode, LoadError>> {
        None
    }

    fn set_modules(&mut self, _: &[ModuleSpec]) {}

    fn prove(&mut self, codes: &[u64], _: Look) -> Vec<Proof> {
        let states = self.states.values();
        let left: HashMap<u64, Vec<String>> =
            states.flat_map(|state| state.stage.left(codes)).collect();
        let proof = |code: &u64| match left.get(code) {
            None => Proof::Free,
            Some(functions) => Proof::Referenced {
                by: functions
                    .iter()
                    .map(|function| Reference {
                        place: format!("`{function}` can still be called"),
                        address: None,
                        held_by: Vec::new(),
                        target: function.clone(),
                    })
                    .collect(),
                more: 0,
            },
        };
        codes.iter().map(proof).collect()
    }

    fn external_changes(&mut self) -> Vec<(String, Artifact)> {
        Vec::new()
    }
}
