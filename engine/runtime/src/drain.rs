//! What becomes of versions that no longer take calls.

use std::collections::HashSet;

use crossbeam_channel::{Receiver, Sender};
use inspector_protocol::status::VersionState;

use crate::backend::{CodeHandle, Proof, Reference};
use crate::host::Outbox;
use crate::loader::LoaderRequest;
use crate::registry::{Registry, VersionKey};
use crate::unload::{Finding, UnloadPolicy};
use crate::{call, panic};

/// Looks at versions that no longer take calls and decides what becomes of them.
/// Runs on the frame thread, between frames.
pub(crate) struct Drain {
    policy: UnloadPolicy,
    findings: Receiver<Finding>,
    announced: HashSet<u32>,
    requested: HashSet<u32>,
    pinned: HashSet<u32>,
    /// Versions that a rebuilt world would let go of; each was here once at most.
    rebuilt_for: HashSet<u32>,
    wants_rebuild: bool,
}

/// What the frame thread knows of the world.
pub(crate) trait Witness {
    /// Why a version must stay, as far as it is known: what may refer to addresses for which
    /// `inside` is true.
    fn references(
        &self,
        module: &str,
        key: VersionKey,
        inside: &dyn Fn(usize) -> bool,
    ) -> Vec<String>;

    /// Whether the world would not refer to a version any more if it were rebuilt.
    fn is_known_without_values(
        &self,
        module: &str,
        key: VersionKey,
        inside: &dyn Fn(usize) -> bool,
    ) -> bool;

    /// What lies at an address: "component `Handlers` of entity 12v3, offset 16".
    fn place(&self, address: usize) -> Option<String>;
}

impl Drain {
    pub(crate) fn new(policy: UnloadPolicy, findings: Receiver<Finding>) -> Self {
        Self {
            policy,
            findings,
            announced: HashSet::new(),
            requested: HashSet::new(),
            pinned: HashSet::new(),
            rebuilt_for: HashSet::new(),
            wants_rebuild: false,
        }
    }

    /// Whether a rebuilt world would let go of a version since this was asked last.
    pub(crate) fn take_wish_to_rebuild(&mut self) -> bool {
        std::mem::take(&mut self.wants_rebuild)
    }

    /// Whether the heap is about to be looked through, so that the frame thread should clear
    /// away what it left behind.
    pub(crate) fn is_looking(&self, registry: &Registry) -> bool {
        let is_new =
            |(_, key, _): &(String, VersionKey, VersionState)| !self.requested.contains(&key.id);
        self.policy == UnloadPolicy::Proven
            && (!self.findings.is_empty() || registry.mapped_leftovers().iter().any(is_new))
    }

    /// Sends versions that nothing refers to any more to be unloaded; names what
    /// keeps the others.
    pub(crate) fn look(
        &mut self,
        registry: &Registry,
        outbox: &Outbox,
        loader: &Sender<LoaderRequest>,
        witness: &impl Witness,
    ) {
        while let Ok((module, key, proof)) = self.findings.try_recv() {
            let mut reasons = Vec::new();
            if let Proof::Referenced { by, .. } = &proof {
                if by.iter().any(|by| by.place.contains(STANDARD_LIBRARY)) {
                    panic::put_hook_in_again();
                }
                reasons = self.known(registry, witness, &module, key);
            }
            reasons.extend(explain(witness, proof));
            self.pin(registry, outbox, &module, key, reasons);
        }
        for (module, key, _) in registry.mapped_leftovers() {
            if self.requested.contains(&key.id) {
                continue;
            }
            let calls = call::running()
                .iter()
                .filter(|c| c.id.version() == key.id)
                .count();
            if calls > 0 {
                if self.announced.insert(key.id) {
                    let plural = if calls == 1 { "" } else { "s" };
                    outbox.debug(format!(
                        "v{} draining ({calls} active call{plural})",
                        key.number
                    ));
                }
                continue;
            }
            if registry.is_leased(&module, key) || call::count_certainly(key.id) > 0 {
                continue;
            }
            let reasons = match self.policy {
                UnloadPolicy::Proven => Vec::new(),
                UnloadPolicy::Known | UnloadPolicy::Checked => {
                    let of_code = |code: &dyn CodeHandle| code.pinned_by();
                    let mut reasons = registry
                        .with_code(&module, key, of_code)
                        .unwrap_or_default();
                    reasons.extend(self.known(registry, witness, &module, key));
                    reasons
                }
                UnloadPolicy::Never => vec!["the configuration keeps all versions".to_owned()],
            };
            if !reasons.is_empty() {
                self.pin(registry, outbox, &module, key, reasons);
            } else if loader.try_send(LoaderRequest::Unload(module, key)).is_ok() {
                self.requested.insert(key.id);
            }
        }
    }

    /// What of the world is known to refer to a version.
    fn known(
        &mut self,
        registry: &Registry,
        witness: &impl Witness,
        module: &str,
        key: VersionKey,
    ) -> Vec<String> {
        let known = registry.with_code(module, key, |code| {
            let inside = |address| code.contains(address);
            let could_go = witness.is_known_without_values(module, key, &inside);
            (witness.references(module, key, &inside), could_go)
        });
        let (reasons, could_go) = known.unwrap_or_default();
        if could_go && self.rebuilt_for.insert(key.id) {
            self.wants_rebuild = true;
        }
        reasons
    }

    /// Says what keeps a version; people are told once.
    fn pin(
        &mut self,
        registry: &Registry,
        outbox: &Outbox,
        module: &str,
        key: VersionKey,
        reasons: Vec<String>,
    ) {
        let first = reasons.first().cloned().unwrap_or_default();
        registry.pin(module, key, reasons);
        registry.with_code(module, key, |code| code.give_back());
        if self.pinned.insert(key.id) {
            outbox.debug(format!("v{} pinned ({first})", key.number));
        }
    }
}

/// How places in the statics of the standard library are called: in its panic hook, above all.
const STANDARD_LIBRARY: &str = "`libstd-";
/// How many reasons are told of one version.
const TOLD: usize = 8;

/// What a look through memory has found, in words.
fn explain(witness: &impl Witness, proof: Proof) -> Vec<String> {
    let (by, mut more) = match proof {
        Proof::Free => return Vec::new(),
        Proof::Unknown(why) => return vec![format!("it cannot be proven unused: {why}")],
        Proof::Referenced { by, more } => (by, more),
    };
    let mut reasons = Vec::new();
    for reference in by {
        let reason = tell(witness, reference);
        if reasons.contains(&reason) {
            continue;
        }
        if reasons.len() < TOLD {
            reasons.push(reason);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        reasons.push(format!("{more} more places"));
    }
    reasons
}

/// One reference in words: what of the world it is in, or what of the world holds it, or where
/// it is in memory.
fn tell(witness: &impl Witness, reference: Reference) -> String {
    let Reference {
        place,
        address,
        held_by,
        target,
    } = reference;
    let own = address.and_then(|address| witness.place(address.get()));
    let holder = || held_by.iter().find_map(|held| witness.place(held.get()));
    match own.or_else(|| Some(format!("heap, held by {}", holder()?))) {
        Some(known) => format!("{known} ({target})"),
        None => format!("{place} ({target})"),
    }
}
