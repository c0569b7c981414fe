//! For the tests of this crate: a backend whose code is part of the test itself.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine_api::function::FunctionRegistration;
use engine_api::module::{ModuleBuilder, ModuleDescription};
use engine_api::sources::Sources;

use crate::backend::{
    Artifact, Backend, CodeHandle, Entrance, LoadError, LoadedCode, Look, Proof, content_hash,
};
use crate::link::ModuleSpec;

/// What a module function looks like.
pub(crate) type Build = fn(&mut ModuleBuilder);

/// What `build` registers.
pub(crate) fn describe(build: Build) -> ModuleDescription {
    let mut builder = ModuleBuilder::new();
    build(&mut builder);
    builder.finish()
}

/// An artifact that the fake backend knows by this name.
pub(crate) fn artifact(name: &str) -> Artifact {
    Artifact {
        path: name.into(),
        hash: None,
    }
}

/// Waits until `claim` holds; fails after twenty seconds.
pub(crate) fn wait_until(what: &str, mut claim: impl FnMut() -> bool) {
    let start = Instant::now();
    while !claim() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "waited in vain: {what}"
        );
        std::thread::yield_now();
    }
}

/// What became of one load of an artifact.
#[derive(Default)]
pub(crate) struct CodeLog {
    pub(crate) name: String,
    pub(crate) closed: AtomicBool,
    pub(crate) dropped: AtomicBool,
    /// It was closed after a proof.
    pub(crate) is_proven: AtomicBool,
    /// What its backend knows it by.
    pub(crate) number: u64,
    pub(crate) given_back: AtomicBool,
    /// What a look for references finds.
    pub(crate) proof: Mutex<Option<Proof>>,
    /// Stays mapped even when it is closed.
    pub(crate) held: AtomicBool,
    pub(crate) pinned_by: Mutex<Vec<String>>,
    /// Addresses that count as its own.
    pub(crate) image: Mutex<Range<usize>>,
}

impl CodeLog {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

/// Code that only writes down what is done to it.
pub(crate) struct FakeCode(pub(crate) Arc<CodeLog>);

impl CodeHandle for FakeCode {
    fn contains(&self, address: usize) -> bool {
        self.0.image.lock().unwrap().contains(&address)
    }
    fn number(&self) -> u64 {
        self.0.number
    }
    fn give_back(&self) {
        self.0.given_back.store(true, Ordering::SeqCst);
    }
    fn pinned_by(&self) -> Vec<String> {
        self.0.pinned_by.lock().unwrap().clone()
    }
    fn close(&mut self, is_proven: bool) {
        self.0.is_proven.store(is_proven, Ordering::SeqCst);
        assert!(
            !self.0.closed.swap(true, Ordering::SeqCst),
            "{} closed twice",
            self.0.name
        );
    }
    fn is_gone(&mut self) -> bool {
        self.0.is_closed() && !self.0.held.load(Ordering::SeqCst)
    }
}

impl Drop for FakeCode {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::SeqCst);
    }
}

/// Code handle of a version that no test asks about.
pub(crate) fn some_code() -> Box<dyn CodeHandle> {
    Box::new(FakeCode(Arc::default()))
}

/// A backend with artifacts that are functions; clones share everything.
#[derive(Clone, Default)]
pub(crate) struct FakeBackend(Arc<Shared>);

#[derive(Default)]
struct Shared {
    artifacts: Mutex<HashMap<String, Build>>,
    codes: Mutex<Vec<Arc<CodeLog>>>,
    last: Mutex<HashMap<String, String>>,
    external: Mutex<Vec<(String, Artifact)>>,
    once_only: AtomicBool,
    /// Code has a state to enter, which is expected to take so long.
    entrance: Mutex<Option<Duration>>,
    /// The last look for references.
    look: Mutex<Option<Look>>,
}

impl FakeBackend {
    /// A backend with these artifacts. `unusable` and `misfit` fail in that way.
    pub(crate) fn new(artifacts: &[(&str, Build)]) -> Self {
        let fake = Self::default();
        for (name, build) in artifacts {
            fake.0
                .artifacts
                .lock()
                .unwrap()
                .insert((*name).to_owned(), *build);
        }
        fake
    }

    /// A backend whose code cannot be loaded a second time.
    pub(crate) fn once_only(self) -> Self {
        self.0.once_only.store(true, Ordering::SeqCst);
        self
    }

    /// A backend whose code has to enter a state at the swap, which is expected to take so long.
    pub(crate) fn with_entrance(self, expected: Duration) -> Self {
        *self.0.entrance.lock().unwrap() = Some(expected);
        self
    }

    /// Somebody else replaces a module's artifact.
    pub(crate) fn replace(&self, module: &str, name: &str) {
        self.0
            .external
            .lock()
            .unwrap()
            .push((module.to_owned(), artifact(name)));
    }

    /// The last look for references.
    pub(crate) fn last_look(&self) -> Option<Look> {
        *self.0.look.lock().unwrap()
    }

    /// Everything that was loaded, in order.
    pub(crate) fn codes(&self) -> Vec<Arc<CodeLog>> {
        self.0.codes.lock().unwrap().clone()
    }

    fn open(&self, name: &str) -> LoadedCode {
        let build = self.0.artifacts.lock().unwrap()[name];
        let log = Arc::new(CodeLog {
            name: name.to_owned(),
            number: self.codes().len() as u64,
            ..CodeLog::default()
        });
        self.0.codes.lock().unwrap().push(log.clone());
        let entrance = *self.0.entrance.lock().unwrap();
        LoadedCode {
            code: Box::new(FakeCode(log)),
            hash: content_hash(name.as_bytes()),
            label: format!("label of {name}"),
            build: Arc::new(build),
            sources: Sources::NONE,
            entrance: entrance.map(|cost| Arc::new(FakeEntrance(cost)) as Arc<dyn Entrance>),
        }
    }
}

/// A state that all versions get into.
struct FakeEntrance(Duration);

impl Entrance for FakeEntrance {
    fn enter(
        &self,
        versions: &[(u64, u32)],
    ) -> Result<Vec<Vec<FunctionRegistration>>, (usize, String)> {
        Ok(versions.iter().map(|_| Vec::new()).collect())
    }
    fn commit(&self) {}
    fn undo(&self) {}
    fn expected_cost(&self) -> Duration {
        self.0
    }
}

impl Backend for FakeBackend {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn load(
        &mut self,
        module: &str,
        artifact: &Artifact,
        running: Option<u64>,
    ) -> Result<LoadedCode, LoadError> {
        let name = artifact.path.to_str().unwrap();
        match name {
            "unusable" => return Err(LoadError::Unusable("it is broken".into())),
            "misfit" => return Err(LoadError::Misfit("it belongs elsewhere".into())),
            _ => {}
        }
        if running == Some(content_hash(name.as_bytes())) {
            return Err(LoadError::Unchanged);
        }
        let mut last = self.0.last.lock().unwrap();
        last.insert(module.to_owned(), name.to_owned());
        drop(last);
        Ok(self.open(name))
    }

    fn load_again(&mut self, module: &str) -> Option<Result<LoadedCode, LoadError>> {
        if self.0.once_only.load(Ordering::SeqCst) {
            return None;
        }
        let name = self.0.last.lock().unwrap()[module].clone();
        Some(Ok(self.open(&name)))
    }

    fn set_modules(&mut self, _: &[ModuleSpec]) {}

    fn prove(&mut self, codes: &[u64], look: Look) -> Vec<Proof> {
        *self.0.look.lock().unwrap() = Some(look);
        let all = self.codes();
        let proof = |number: &u64| all[*number as usize].proof.lock().unwrap().clone();
        codes
            .iter()
            .map(|number| proof(number).unwrap_or(Proof::Free))
            .collect()
    }

    fn external_changes(&mut self) -> Vec<(String, Artifact)> {
        std::mem::take(&mut *self.0.external.lock().unwrap())
    }
}
