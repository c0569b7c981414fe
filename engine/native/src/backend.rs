//! The native backend: one `LibReloader` per module, one pin per version.
//!
//! `LibReloader` watches the artifact that cargo writes (`target/debug/lib*.so`),
//! copies a new one aside and opens the copy. Its `update` closes the library it
//! had, so every version opens its copy once more: the same image with one more
//! reference, which lives until the version is unloaded.
//!
//! Builds of the engine's own builder are published by renaming them onto the
//! watched path, so that builds from any source go one way.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use engine_api::abi::{AbiToken, ModuleEntry, entry_symbol};
use engine_runtime::backend::{
    Artifact, Backend, CodeHandle, LoadError, LoadedCode, Look, Proof, content_hash,
};
use engine_runtime::link::ModuleSpec;
use hot_lib_reloader::LibReloader;
use libloading::Library;

use crate::image::Image;
use crate::proof::aside::Aside;
use crate::proof::footprint::{Footprint, Known};
use crate::proof::prover::{Prover, Verdict};
use crate::verify::{advice, verify};

/// How long `LibReloader` gathers file events. Its own default is 500 ms.
const DEBOUNCE: Duration = Duration::from_millis(2);
/// How long to wait for `LibReloader` to notice an artifact that was published.
const NOTICE: Duration = Duration::from_secs(2);
/// A file that others write is complete when it has not changed for so long.
const SETTLE: Duration = Duration::from_millis(400);

/// A module that this backend serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeModule {
    /// Its name; also that of the function marked `#[module]`.
    pub name: String,
    /// Its library as cargo names it: crate `game-logic` gives `game_logic`.
    pub library: String,
}

/// Loads native modules. Lives on the loader thread.
pub struct NativeBackend {
    modules: Vec<Watched>,
    dir: PathBuf,
    load_existing: bool,
    /// Libraries of modules that were taken out, with the copies that were made of them without
    /// a reloader. Their reloaders are gone, the threads of these are not.
    left: BTreeMap<String, usize>,
    prover: Option<Prover>,
}

struct Watched {
    module: NativeModule,
    dir: PathBuf,
    /// Where cargo puts the library.
    artifact: PathBuf,
    reloader: Option<(LibReloader, Receiver<()>)>,
    /// Whether it gets none. The threads of one never end, so a module that was taken out and
    /// comes back, perhaps again and again, has its artifacts opened without.
    has_no_reloader: bool,
    /// Times the reloader copied the artifact; part of the copy's name.
    copies: usize,
    /// Copies made without the reloader; part of their names.
    own_copies: usize,
    /// Content that was opened last, whatever became of it.
    loaded_hash: Option<u64>,
    /// The copy that was opened last.
    last_copy: Option<PathBuf>,
    /// The artifact file as it was last dealt with.
    handled: Option<Identity>,
    /// The artifact file as it was seen to change, and when.
    changing: Option<(Identity, Instant)>,
}

/// Tells whether a file is still the same without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    modified: SystemTime,
    length: u64,
}

impl Identity {
    fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Self {
            modified: metadata.modified().ok()?,
            length: metadata.len(),
        })
    }
}

impl NativeBackend {
    /// Serves modules whose libraries cargo puts into `dir`. With `load_existing`,
    /// libraries that are there already count as changes.
    pub fn new(dir: &Path, modules: Vec<NativeModule>, load_existing: bool) -> Self {
        let modules = modules
            .into_iter()
            .map(|module| Watched::new(module, dir, load_existing))
            .collect();
        Self {
            modules,
            dir: dir.to_path_buf(),
            load_existing,
            left: BTreeMap::new(),
            prover: None,
        }
    }

    /// Proves that nothing refers to old code. Without a prover it cannot be proven.
    pub fn with_prover(self, prover: Prover) -> Self {
        Self {
            prover: Some(prover),
            ..self
        }
    }
}

impl Backend for NativeBackend {
    fn kind(&self) -> &'static str {
        "native"
    }

    fn load(
        &mut self,
        module: &str,
        artifact: &Artifact,
        running: Option<u64>,
    ) -> Result<LoadedCode, LoadError> {
        self.modules
            .iter_mut()
            .find(|watched| watched.module.name == module)
            .ok_or_else(|| LoadError::Unusable(format!("`{module}` is no native module")))?
            .load(artifact, running)
    }

    fn load_again(&mut self, module: &str) -> Option<Result<LoadedCode, LoadError>> {
        let watched = self
            .modules
            .iter_mut()
            .find(|watched| watched.module.name == module)?;
        let (last, hash) = (watched.last_copy.clone()?, watched.loaded_hash?);
        let mut again = || {
            let bytes = fs::read(&last).map_err(|error| {
                LoadError::Unusable(format!("{} cannot be read: {error}", last.display()))
            })?;
            let copy = watched.copy_aside(&bytes)?;
            let loaded = open(&copy, module, hash);
            // Once mapped, the file is not needed any more.
            let _ = fs::remove_file(&copy);
            loaded
        };
        Some(again())
    }

    fn set_modules(&mut self, modules: &[ModuleSpec]) {
        let mut before = std::mem::take(&mut self.modules);
        for spec in modules {
            let was = spec.renamed_from.as_ref().unwrap_or(&spec.name);
            let is_it = |watched: &Watched| {
                watched.module.name == *was && watched.module.library == spec.library
            };
            let module = NativeModule {
                name: spec.name.clone(),
                library: spec.library.clone(),
            };
            let watched = if let Some(index) = before.iter().position(is_it) {
                let known = before.swap_remove(index);
                Watched { module, ..known }
            } else {
                let left = self.left.get(&module.library).copied();
                Watched {
                    has_no_reloader: left.is_some(),
                    // No copy gets the name of another one.
                    own_copies: left.unwrap_or_default(),
                    ..Watched::new(module, &self.dir, self.load_existing)
                }
            };
            self.modules.push(watched);
        }
        let gone = before.into_iter();
        self.left
            .extend(gone.map(|watched| (watched.module.library, watched.own_copies)));
    }

    fn prove(&mut self, codes: &[u64], look: Look) -> Vec<Proof> {
        let unknown = |why: &str| Proof::Unknown(why.to_owned());
        let Some(prover) = &mut self.prover else {
            return vec![unknown("the backend has no prover"); codes.len()];
        };
        let known: Vec<Option<Footprint>> = codes.iter().map(|code| Known::find(*code)).collect();
        let footprints: Vec<Footprint> = known.iter().flatten().cloned().collect();
        let mut verdicts = prover.ask(&footprints, look).verdicts.into_iter();
        let proof = |(code, footprint): (&u64, &Option<Footprint>)| match footprint {
            Some(_) => {
                let verdict = verdicts.next();
                if let Some(Verdict::Free { aside: false }) = verdict {
                    Known::leave_aside(*code);
                }
                verdict.map(Proof::from)
            }
            None => Some(unknown("the platform does not say where the image lies")),
        };
        let proofs = codes.iter().zip(&known).map(proof);
        proofs
            .map(|proof| proof.unwrap_or_else(|| unknown("there is no answer")))
            .collect()
    }

    fn external_changes(&mut self) -> Vec<(String, Artifact)> {
        self.modules
            .iter_mut()
            .filter_map(Watched::external_change)
            .collect()
    }
}

impl Watched {
    /// With `load_existing`, a library that is there already counts as a change.
    fn new(module: NativeModule, dir: &Path, load_existing: bool) -> Self {
        remove_stale_copies(dir, &module.library);
        let artifact = dir.join(library_file(&module.library));
        let handled = if load_existing {
            None
        } else {
            Identity::of(&artifact)
        };
        Self {
            module,
            dir: dir.to_path_buf(),
            artifact,
            reloader: None,
            has_no_reloader: false,
            copies: 0,
            own_copies: 0,
            loaded_hash: None,
            last_copy: None,
            handled,
            changing: None,
        }
    }

    fn load(&mut self, artifact: &Artifact, running: Option<u64>) -> Result<LoadedCode, LoadError> {
        let unreadable = |error| {
            LoadError::Unusable(format!(
                "{} cannot be read: {error}",
                artifact.path.display()
            ))
        };
        let identity = Identity::of(&artifact.path);
        let bytes = fs::read(&artifact.path).map_err(unreadable)?;
        let hash = content_hash(&bytes);
        if artifact.path == self.artifact {
            self.handled = identity;
        }
        if artifact.hash.is_some_and(|expected| expected != hash) {
            return Err(LoadError::Unusable(format!(
                "{} is not what was built (something wrote to it); build it again",
                artifact.path.display()
            )));
        }
        // Also what runs: its module may have another name since.
        verify(&bytes, &self.module.name)?;
        if running == Some(hash) {
            return Err(LoadError::Unchanged);
        }
        let copy = if self.loaded_hash == Some(hash) {
            // The reloader ignores content that it has loaded already.
            self.copy_aside(&bytes)?
        } else {
            self.publish(artifact, &bytes)?;
            match self.reload() {
                Some(copy) => copy?,
                None => self.copy_aside(&bytes)?,
            }
        };
        let loaded = open(&copy, &self.module.name, hash)?;
        self.loaded_hash = Some(hash);
        self.last_copy = Some(copy);
        Ok(loaded)
    }

    /// Puts an artifact where cargo would put it, in one step.
    fn publish(&mut self, artifact: &Artifact, bytes: &[u8]) -> Result<(), LoadError> {
        if artifact.path == self.artifact {
            return Ok(());
        }
        if fs::read(&self.artifact).is_ok_and(|there| there == bytes) {
            self.handled = Identity::of(&self.artifact);
            return Ok(());
        }
        let next = self.dir.join(format!(
            "{}.{}.next",
            self.module.library,
            std::process::id()
        ));
        fs::write(&next, bytes)
            .and_then(|()| fs::rename(&next, &self.artifact))
            .map_err(|error| {
                LoadError::Unusable(format!(
                    "{} cannot be written: {error}",
                    self.artifact.display()
                ))
            })?;
        self.handled = Identity::of(&self.artifact);
        Ok(())
    }

    /// Lets the reloader open what lies at the watched path. `None` if it does not
    /// notice it, or there is none; else the copy that it opened.
    fn reload(&mut self) -> Option<Result<PathBuf, LoadError>> {
        if self.has_no_reloader {
            return None;
        }
        let failed =
            |error: hot_lib_reloader::HotReloaderError| LoadError::Misfit(open_error(&error));
        let template = format!("{{lib_name}}_{}_{{load_counter}}", std::process::id());
        let copy_of = |watched: &Self| {
            let stem = library_stem(&watched.module.library);
            let name = format!("{stem}_{}_{}", std::process::id(), watched.copies);
            watched
                .dir
                .join(name)
                .with_extension(std::env::consts::DLL_EXTENSION)
        };
        let Some((reloader, notices)) = &mut self.reloader else {
            let made = LibReloader::new(
                &self.dir,
                &self.module.library,
                Some(DEBOUNCE),
                Some(template),
            );
            return Some(match made {
                Ok(mut reloader) => {
                    let notices = reloader.subscribe_to_file_changes();
                    self.reloader = Some((reloader, notices));
                    Ok(copy_of(self))
                }
                Err(error) => Err(failed(error)),
            });
        };
        let deadline = Instant::now() + NOTICE;
        loop {
            match reloader.update() {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    self.copies += 1;
                    return Some(Err(failed(error)));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || notices.recv_timeout(left).is_err() {
                return None;
            }
        }
        // Notices that came together are about the same artifact.
        while notices.try_recv().is_ok() {}
        self.copies += 1;
        Some(Ok(copy_of(self)))
    }

    /// A copy for content that the reloader does not open.
    fn copy_aside(&mut self, bytes: &[u8]) -> Result<PathBuf, LoadError> {
        self.own_copies += 1;
        let stem = library_stem(&self.module.library);
        let name = format!("{stem}_{}_again{}", std::process::id(), self.own_copies);
        let copy = self
            .dir
            .join(name)
            .with_extension(std::env::consts::DLL_EXTENSION);
        fs::write(&copy, bytes).map_err(|error| {
            LoadError::Unusable(format!("{} cannot be written: {error}", copy.display()))
        })?;
        Ok(copy)
    }

    /// Whether someone else replaced the artifact. The reloader's watch tells at
    /// once; looking at the file as well covers what a watch can miss. Reported once
    /// the file has settled.
    fn external_change(&mut self) -> Option<(String, Artifact)> {
        if let Some((_, notices)) = &self.reloader {
            while notices.try_recv().is_ok() {}
        }
        let now = Identity::of(&self.artifact)?;
        if self.handled == Some(now) {
            self.changing = None;
            return None;
        }
        match self.changing {
            Some((seen, since)) if seen == now => {
                if since.elapsed() < SETTLE {
                    return None;
                }
                self.changing = None;
                self.handled = Some(now);
                let artifact = Artifact {
                    path: self.artifact.clone(),
                    hash: None,
                };
                Some((self.module.name.clone(), artifact))
            }
            _ => {
                self.changing = Some((now, Instant::now()));
                None
            }
        }
    }
}

/// Opens a copy once more and asks it for its entry.
fn open(copy: &Path, name: &str, hash: u64) -> Result<LoadedCode, LoadError> {
    let unusable =
        |error: &dyn std::fmt::Display| LoadError::Unusable(format!("{}: {error}", copy.display()));
    let bytes = fs::read(copy).map_err(|error| unusable(&error))?;
    if content_hash(&bytes) != hash {
        let what = "the library changed while it was loaded; build it again";
        return Err(unusable(&what));
    }
    // SAFETY: opening runs the library's initialisers. It was verified to be a
    // complete module of this very build, which has none but the standard library's.
    let library =
        unsafe { Library::new(copy) }.map_err(|error| LoadError::Misfit(open_error(&error)))?;
    let symbol = entry_symbol(name);
    // SAFETY: `verify` found the symbol and the token of this build at it, so what
    // lies there is the `ModuleEntry` that the `#[module]` attribute makes.
    let entry: &ModuleEntry = unsafe {
        let found = library.get::<*const ModuleEntry>(symbol.as_bytes());
        let pointer = found.map_err(|error| unusable(&error))?;
        &**pointer
    };
    if entry.token != AbiToken::CURRENT {
        return Err(LoadError::Misfit(format!(
            "the module belongs to another build; {}",
            advice()
        )));
    }
    let (label, build, sources) = (entry.label.to_owned(), entry.build, entry.sources);
    let image = Image::find(copy);
    let footprint = image
        .as_ref()
        .and_then(|image| Footprint::of(&bytes, image, copy));
    let code = NativeCode {
        library: Some(library),
        thread_locals: has_thread_locals(&bytes),
        image,
        known: Known::new(footprint),
        aside: OnceLock::new(),
        copy: copy.to_path_buf(),
    };
    Ok(LoadedCode {
        code: Box::new(code),
        hash,
        label,
        build: Arc::new(build),
        sources,
        entrance: None,
    })
}

/// One version's reference to its image.
struct NativeCode {
    /// `None` once closed.
    library: Option<Library>,
    image: Option<Image>,
    known: Known,
    /// What it left on the heap when it was asked what it offers.
    aside: OnceLock<Option<Aside>>,
    thread_locals: bool,
    copy: PathBuf,
}

impl CodeHandle for NativeCode {
    fn contains(&self, address: usize) -> bool {
        self.image
            .as_ref()
            .is_some_and(|image| image.contains(address))
    }

    fn range(&self) -> Option<Range<usize>> {
        self.image.as_ref().map(Image::range)
    }

    fn number(&self) -> u64 {
        self.known.number
    }

    fn put_aside(&self, work: &mut dyn FnMut()) {
        match self.aside.get_or_init(Aside::take) {
            Some(aside) => {
                self.known.add(aside.range());
                aside.fill(work);
            }
            None => work(),
        }
    }

    fn give_back(&self) {
        crate::image::give_back(&self.copy);
    }

    fn pinned_by(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.image.is_none() {
            reasons.push("this platform cannot tell what refers to an image".to_owned());
        }
        if self.thread_locals {
            reasons.push(
                "it has thread-locals of its own, whose destructors may run when a thread ends"
                    .to_owned(),
            );
        }
        reasons
    }

    fn close(&mut self, is_proven: bool) {
        if !is_proven {
            Known::leave_aside(self.known.number);
        }
        drop(self.library.take());
        // The reloader removes its copies itself; those made aside are ours.
        let _ = fs::remove_file(&self.copy);
    }

    fn is_gone(&mut self) -> bool {
        let Some(image) = self.image.as_ref().filter(|_| self.library.is_none()) else {
            return false;
        };
        if image.is_mapped() {
            return false;
        }
        image.retire();
        if self.known.owns_aside()
            && let Some(aside) = self.aside.take().flatten()
        {
            // SAFETY: the code was closed after a proof, which has said that nothing refers to
            // the code or to what it has put aside: else `Known::leave_aside` was called.
            unsafe { aside.give_back() };
        }
        true
    }
}

/// Whether a library brings a thread-local block of its own (`PT_TLS`).
fn has_thread_locals(bytes: &[u8]) -> bool {
    use object::elf::{FileHeader64, PT_TLS};
    use object::read::elf::{FileHeader, ProgramHeader};
    let Ok(header) = FileHeader64::<object::Endianness>::parse(bytes) else {
        return true;
    };
    let Ok(endian) = header.endian() else {
        return true;
    };
    header
        .program_headers(endian, bytes)
        .is_ok_and(|headers| headers.iter().any(|header| header.p_type(endian) == PT_TLS))
}

fn open_error(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    if text.contains("undefined symbol") {
        format!(
            "the module was built with other features than the running engine ({text}); {}",
            advice()
        )
    } else {
        format!("the library cannot be opened: {text}")
    }
}

fn library_stem(library: &str) -> String {
    format!("{}{library}", std::env::consts::DLL_PREFIX)
}

/// File name of a library: `libgame_logic.so`.
pub fn library_file(library: &str) -> String {
    format!("{}{}", library_stem(library), std::env::consts::DLL_SUFFIX)
}

/// Removes copies left behind by processes that are gone.
fn remove_stale_copies(dir: &Path, library: &str) {
    let prefix = format!("{}_", library_stem(library));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| {
            name.strip_prefix(&prefix)?
                .split('_')
                .next()?
                .parse::<u32>()
                .ok()
        });
        if pid.is_some_and(|pid| pid != std::process::id() && !process_exists(pid)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(target_os = "linux")]
fn process_exists(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(not(target_os = "linux"))]
fn process_exists(_pid: u32) -> bool {
    true
}

#[cfg(test)]
mod tests;
