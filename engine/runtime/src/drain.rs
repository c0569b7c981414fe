//! What becomes of versions that no longer take calls.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use inspector_protocol::status::VersionState;

use crate::backend::{CodeHandle, Hidden, Proof, Reference};
use crate::host::Outbox;
use crate::loader::LoaderRequest;
use crate::registry::{Registry, VersionKey};
use crate::state::references::{Reason, would_go};
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
    /// What was found of versions when it was told last.
    told: HashMap<u32, Proof>,
    /// Versions that the world was rebuilt for, or would not be.
    rebuilt_for: HashSet<u32>,
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
    ) -> Vec<Reason>;

    /// Whether the world could be rebuilt without losing anything of it.
    fn could_be_rebuilt(&self) -> bool;

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
            told: HashMap::new(),
            rebuilt_for: HashSet::new(),
        }
    }

    /// From now on something else has to be known of old versions: all that are left are decided
    /// on once more. The loader forgets them with [`LoaderRequest::Unloading`].
    pub(crate) fn set_policy(&mut self, policy: UnloadPolicy) {
        if policy != self.policy {
            self.policy = policy;
            self.requested.clear();
            self.told.clear();
        }
    }

    /// Whether a rebuilt world would let go of a version. For each version the answer is "yes"
    /// once at most: what a rebuild does not help does not get another.
    pub(crate) fn wants_rebuild(&mut self, registry: &Registry, witness: &impl Witness) -> bool {
        if self.policy == UnloadPolicy::Never || !witness.could_be_rebuilt() {
            return false;
        }
        let is_proven = self.policy == UnloadPolicy::Proven;
        let leftovers = registry.mapped_leftovers().into_iter();
        let go = leftovers.filter(|(module, key, _)| {
            !self.rebuilt_for.contains(&key.id)
                && would_go(&known(registry, witness, module, *key), is_proven)
        });
        let go: Vec<u32> = go.map(|(_, key, _)| key.id).collect();
        self.rebuilt_for.extend(&go);
        !go.is_empty()
    }

    /// Whether the heap is about to be looked through, so that the frame thread should clear
    /// away what it left behind. Versions with calls or leases are not looked for yet.
    pub(crate) fn is_looking(&self, registry: &Registry) -> bool {
        if self.policy != UnloadPolicy::Proven {
            return false;
        }
        let running = call::running();
        let is_next = |(module, key, _): &(String, VersionKey, VersionState)| {
            !self.requested.contains(&key.id)
                && !running.iter().any(|call| call.id.version() == key.id)
                && !registry.is_leased(module, *key)
        };
        !self.findings.is_empty() || registry.mapped_leftovers().iter().any(is_next)
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
        let until = Instant::now() + NAMING;
        while let Ok((module, key, proof)) = self.findings.try_recv() {
            self.take_finding(registry, outbox, witness, (module, key, proof), until);
        }
        let leftovers = registry.mapped_leftovers();
        let is_there = |id: &u32| leftovers.iter().any(|(_, key, _)| key.id == *id);
        self.told.retain(|id, _| is_there(id));
        for (module, key, _) in leftovers {
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
                    let known = known(registry, witness, &module, key);
                    reasons.extend(known.into_iter().map(|reason| reason.text));
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

    /// Says what was found of a version, if it is something else than the last time. What is
    /// found is sure, and so comes before guesses.
    fn take_finding(
        &mut self,
        registry: &Registry,
        outbox: &Outbox,
        witness: &impl Witness,
        (module, key, proof): Finding,
        until: Instant,
    ) {
        let mut reasons = Vec::new();
        if let Proof::Referenced { by, .. } = &proof
            && by.iter().any(|by| by.place.contains(STANDARD_LIBRARY))
        {
            panic::put_hook_in_again();
        }
        if self.told.get(&key.id) == Some(&proof) {
            registry.with_code(&module, key, |code| code.give_back());
            return;
        }
        if matches!(proof, Proof::Referenced { .. }) {
            reasons = known(registry, witness, &module, key);
        }
        let (guesses, sure): (Vec<_>, Vec<_>) = reasons.into_iter().partition(Reason::is_guess);
        let found = explain(witness, &proof, until);
        let sure = sure.into_iter().map(|reason| reason.text);
        let guesses = guesses.into_iter().map(|reason| reason.text);
        let reasons = sure.chain(found).chain(guesses).collect();
        self.told.insert(key.id, proof);
        self.pin(registry, outbox, &module, key, reasons);
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
        if !registry.pin(module, key, reasons) {
            return;
        }
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

/// For how long one look names what was found: each name takes a walk over the world, and a
/// frame waits for it.
const NAMING: Duration = Duration::from_millis(1);

/// What of the world is known to refer to a version.
fn known(
    registry: &Registry,
    witness: &impl Witness,
    module: &str,
    key: VersionKey,
) -> Vec<Reason> {
    let known = registry.with_code(module, key, |code| {
        witness.references(module, key, &|address| code.contains(address))
    });
    known.unwrap_or_default()
}

/// What a look through memory has found, in words. What is told after `until` is told without
/// looking for its name.
fn explain(witness: &impl Witness, proof: &Proof, until: Instant) -> Vec<String> {
    let (by, mut more) = match proof {
        Proof::Free => return Vec::new(),
        Proof::Unknown(why) => return vec![format!("it cannot be proven unused: {why}")],
        Proof::Referenced { by, more } => (by, *more),
    };
    let mut reasons = Vec::new();
    for reference in by {
        if reasons.len() == TOLD {
            more += 1;
            continue;
        }
        let reason = tell(witness, reference, until);
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    if more > 0 {
        reasons.push(format!("{more} more places"));
    }
    reasons
}

/// One reference in words: what of the world it is in, or what of the world holds it, or where
/// it is in memory.
fn tell(witness: &impl Witness, reference: &Reference, until: Instant) -> String {
    let Reference {
        place,
        address,
        held_by,
        target,
    } = reference;
    let name = |address: &Hidden| {
        let is_in_time = Instant::now() < until;
        is_in_time.then(|| witness.place(address.get())).flatten()
    };
    let own = address.as_ref().and_then(name);
    let holder = || held_by.iter().find_map(name);
    match own.or_else(|| Some(format!("heap, held by {}", holder()?))) {
        Some(known) => format!("{known} ({target})"),
        None => format!("{place} ({target})"),
    }
}
