//! What a backend must offer: one small trait, so that the registry knows no kind
//! of module by name.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::link::ModuleSpec;
use crate::registry::Registry;
use engine_api::function::FunctionRegistration;
use engine_api::module::ModuleBuilder;
use engine_api::sources::Sources;
use serde::{Deserialize, Serialize};

/// A file that should become the next version of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Complete file; nobody writes to it any more.
    pub path: PathBuf,
    /// Content hash that the builder computed; `None` for files from elsewhere.
    pub hash: Option<u64>,
}

/// Code that was loaded and not yet asked for anything.
pub struct LoadedCode {
    /// Keeps the code callable.
    pub code: Box<dyn CodeHandle>,
    /// Content hash of what was really loaded.
    pub hash: u64,
    /// The module's own version, `0.1.0`.
    pub label: String,
    /// Registers what the module offers; may be called more than once. Must not
    /// be called after the handle is gone.
    pub build: Build,
    /// What its source says about its types. Must not be used after the handle is gone.
    pub sources: Sources,
    /// The state that its code has to enter at the swap; `None` for code that can be called as
    /// soon as it is loaded.
    pub entrance: Option<Arc<dyn Entrance>>,
}

/// Registers what a version offers.
pub type Build = Arc<dyn Fn(&mut ModuleBuilder) + Send + Sync>;

/// A state that versions enter at the swap: code that is no more than text until it ran there
/// once, and that cannot take the process down. Called on the frame thread.
///
/// All versions of a swap that have the same entrance go in together. An entry is always
/// followed by one [`commit`](Entrance::commit) or one [`undo`](Entrance::undo), and nothing of
/// the state is called in between.
pub trait Entrance: Send + Sync {
    /// Does all of it that can fail, for versions by the number of their code (see
    /// [`CodeHandle::number`]), each with its own number. Returns the functions that each of
    /// them offers beside what it has registered.
    ///
    /// # Errors
    /// Index of the version that is to blame, and why, for people; all is as before then.
    fn enter(
        &self,
        versions: &[(u64, u32)],
    ) -> Result<Vec<Vec<FunctionRegistration>>, (usize, String)>;

    /// The versions are active.
    fn commit(&self);

    /// How long an entry with its commit will probably take: where less is left of a frame's
    /// period, versions wait for the next. Zero if that is not known.
    fn expected_cost(&self) -> Duration {
        Duration::ZERO
    }

    /// The versions do not get in: all is as it was before [`enter`](Entrance::enter).
    fn undo(&self);
}

/// Keeps the code of one version callable.
pub trait CodeHandle: Send {
    /// Whether an address lies within the code or its data.
    fn contains(&self, address: usize) -> bool;

    /// The addresses that its image takes, where that is known.
    fn range(&self) -> Option<Range<usize>> {
        None
    }

    /// What its backend knows it by; see [`Backend::prove`].
    fn number(&self) -> u64;

    /// Runs `work`, which leaves descriptions of the code's types behind: they may be put where
    /// they go with the code. Called once, on the thread that loads.
    fn put_aside(&self, work: &mut dyn FnMut()) {
        work();
    }

    /// Why this code cannot be unloaded without a proof, whatever the registry knows, for
    /// people; empty if nothing is known.
    fn pinned_by(&self) -> Vec<String>;

    /// Gives back the memory of what can be read from its file again: for code that stays
    /// although nothing runs in it.
    fn give_back(&self);

    /// Gives up this version's hold on the code. Called once, when nothing refers to
    /// it any more; costs what the system takes to unmap. `is_proven` says that all memory was
    /// looked through: nothing refers to what it has put aside either, unless the backend found
    /// that something does.
    fn close(&mut self, is_proven: bool);

    /// Whether the code is gone from the process, after [`CodeHandle::close`]. Asked again until
    /// it is; what was kept for the code goes then.
    fn is_gone(&mut self) -> bool;
}

/// How references are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// All threads may be stopped for so long, if nothing is found before.
    pub pause: Duration,
    /// Also on the heap, as far as it can be reached.
    pub heap: bool,
}

/// Whether anything in the process refers to code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Nothing does, and so nothing ever will.
    Free,
    /// Something may.
    Referenced {
        /// What.
        by: Vec<Reference>,
        /// How many more there are.
        more: usize,
    },
    /// It cannot be proven, for this reason.
    Unknown(String),
}

/// A place that may refer to code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What it is, for people: "heap", "thread `worker-1`, stack".
    pub place: String,
    /// Its address; `None` for what is not in memory.
    pub address: Option<Hidden>,
    /// Addresses of what leads to it, the nearest first.
    pub held_by: Vec<Hidden>,
    /// Which part of the code it refers to: `.text`.
    pub target: String,
}

/// An address that is kept complemented: as it is, it would hold what lies there, and the next
/// look would find that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden(u64);

impl Hidden {
    /// Hides an address.
    pub fn new(address: u64) -> Self {
        Self(!address)
    }

    /// The address.
    pub fn get(self) -> usize {
        !self.0 as usize
    }
}

/// Why an artifact gave no code.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The artifact itself is unusable: truncated, no library, no entry.
    #[error("{0}")]
    Unusable(String),
    /// The artifact is sound and does not fit this engine.
    #[error("{0}")]
    Misfit(String),
    /// What would be loaded is what runs already.
    #[error("the content is what already runs")]
    Unchanged,
}

/// Content hash of an artifact, by which versions are told apart. Stable within one
/// build of the engine.
pub fn content_hash(bytes: &[u8]) -> u64 {
    inspector_protocol::content_hash(bytes)
}

/// Turns artifacts into code. Lives on the loader thread.
pub trait Backend: Send {
    /// Kind of the modules it serves, as in the status document: `native`.
    fn kind(&self) -> &'static str;

    /// The registry that its modules are in, for code that calls others by name. Called once,
    /// before anything is loaded.
    fn connect(&mut self, _registry: &Arc<Registry>) {}

    /// Verifies an artifact and loads it, before anything of the running version is
    /// touched. On an error the running version is as before. `running` is the content
    /// hash of the active version: content equal to it is [`LoadError::Unchanged`].
    /// With `None` all content is loaded.
    ///
    /// # Errors
    /// A [`LoadError`] whose text says what to do.
    fn load(
        &mut self,
        module: &str,
        artifact: &Artifact,
        running: Option<u64>,
    ) -> Result<LoadedCode, LoadError>;

    /// Loads the content of a module's last [`Backend::load`] once more, as code of its
    /// own that shares nothing with the first. `None` if this kind of code is never
    /// referred to by the world's component table.
    ///
    /// # Errors
    /// As [`Backend::load`].
    fn load_again(&mut self, module: &str) -> Option<Result<LoadedCode, LoadError>>;

    /// The modules to be served from now on. What was loaded of others stays as long as its
    /// handle does.
    fn set_modules(&mut self, modules: &[ModuleSpec]);

    /// Looks through the process for what refers to code that no call is in; one answer per
    /// number (see [`CodeHandle::number`]). Blocks while it looks.
    fn prove(&mut self, codes: &[u64], look: Look) -> Vec<Proof>;

    /// Modules whose artifact was replaced by someone else since the last call, such
    /// as a build typed in another terminal, with that artifact.
    fn external_changes(&mut self) -> Vec<(String, Artifact)>;
}
