use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_channel::unbounded;
use engine_api::bevy_ecs::world::World;
use engine_api::prelude::*;
use engine_api::value::Value;
use inspector_protocol::status::VersionState;
use inspector_protocol::status::VersionState::{Active, Draining, Pinned, Rejected, Unloaded};
use proptest::prelude::*;

use super::*;
use crate::backend::{Hidden, Proof, Reference};
use crate::drain::{Drain, Witness};
use crate::places::WorldWitness;
use crate::registry::{EnteredCall, EnteredDetached};
use crate::state::StateBook;
use crate::state::references::Reason;
use crate::swap::{ActiveModules, Swapped};
use crate::telemetry::Board;
use crate::testing::{Build, CodeLog, FakeBackend, artifact};

#[derive(Component, Reflect, Default)]
#[reflect(Component, Default)]
struct Health(u32);
#[derive(Component, Reflect, Default)]
#[reflect(Component, Default)]
struct Armor(u32);

fn damage(_: Query<&mut Health>) {}

fn one(m: &mut ModuleBuilder) {
    m.component::<Health>()
        .systems(Update, damage)
        .function("which", || 1);
}
fn two(m: &mut ModuleBuilder) {
    m.component::<Health>()
        .systems(PostUpdate, damage)
        .function("which", || 2);
}
fn armored(m: &mut ModuleBuilder) {
    m.component::<Health>().component::<Armor>();
}
fn unregistered(m: &mut ModuleBuilder) {
    m.systems(Update, damage);
}
fn panics(_: &mut ModuleBuilder) {
    panic!("nothing to offer");
}
fn mistaken(m: &mut ModuleBuilder) {
    m.function("f", || 1).function("f", || 2);
}
fn cyclic(m: &mut ModuleBuilder) {
    fn a() {}
    fn b() {}
    m.systems(Update, (a.after(b), b.after(a)));
}
fn system_panics(m: &mut ModuleBuilder) {
    m.component::<Health>()
        .systems(Update, |_: Query<&mut Health>, _: Query<&mut Health>| {});
}

fn load(module: &str, name: &str, force: bool) -> Load {
    Load {
        ticket: Some(1),
        module: module.to_owned(),
        artifact: artifact(name),
        options: LoadOptions {
            force,
            ..LoadOptions::default()
        },
    }
}

/// Time from one frame to the next.
const FRAME: Duration = Duration::from_millis(16);

/// A loader without its thread, and the frame thread's side of it.
struct Rig {
    loader: Loader,
    fake: FakeBackend,
    registry: Arc<Registry>,
    requests: Receiver<LoaderRequest>,
    to_loader: Sender<LoaderRequest>,
    ready: Receiver<Vec<ReadyVersion>>,
    from_host: Receiver<Box<FromHost>>,
    outbox: Outbox,
    drain: Drain,
    modules: ActiveModules,
    world: World,
    book: StateBook,
}

impl Rig {
    fn new(fake: FakeBackend) -> Self {
        Self::with(UnloadPolicy::Known, fake)
    }

    fn with(policy: UnloadPolicy, fake: FakeBackend) -> Self {
        panic::install_hook();
        let (found, findings) = unbounded();
        let registry = Arc::new(Registry::default());
        registry.add_module("game", "fake");
        let (to_loader, requests) = unbounded();
        let (ready_sender, ready) = unbounded();
        let (to, from_host) = unbounded();
        let outbox = Outbox::new(to, Arc::new(Board::default()));
        let loader = Loader {
            registry: registry.clone(),
            backends: vec![Box::new(fake.clone())],
            modules: vec![("game".to_owned(), 0)],
            requests: requests.clone(),
            ready: ready_sender,
            failed: unbounded().0,
            outbox: outbox.clone(),
            memory: Memory::default(),
            unloads: Unloads::new(policy, found, Arc::new(Board::default()), FRAME),
        };
        let mut world = World::new();
        state::declare_engine_types(&mut world);
        Self {
            loader,
            fake,
            registry,
            requests,
            to_loader,
            ready,
            from_host,
            outbox,
            drain: Drain::new(policy, findings),
            modules: ActiveModules::default(),
            world,
            book: StateBook::default(),
        }
    }

    /// Loads and swaps; `Ok` with the number of the version before.
    fn load(&mut self, name: &str, force: bool) -> Result<Option<u32>, (ReloadOutcome, String)> {
        self.loader.load(&[load("game", name, force)]);
        self.loader.look_at_closed();
        self.swap_ready()
    }

    fn swap_ready(&mut self) -> Result<Option<u32>, (ReloadOutcome, String)> {
        let Ok(ready) = self.ready.try_recv() else {
            let report = self.reports().pop().expect("a load is answered");
            assert!(report.to.is_none());
            return Err((report.outcome, report.message));
        };
        let (world, book) = (&mut self.world, &mut self.book);
        let prepared: Vec<_> = ready.into_iter().map(|ready| ready.prepared).collect();
        let key = prepared[0].key;
        match self.modules.swap(prepared, world, book, &self.registry) {
            Ok(Swapped { versions, .. }) => {
                let previous = versions[0].previous;
                drop_guarded(
                    &mut versions
                        .into_iter()
                        .map(|version| version.retired)
                        .collect(),
                );
                Ok(previous.map(|key| key.number))
            }
            Err(refusal) => {
                self.registry.reject("game", key);
                Err((ReloadOutcome::Rejected, refusal.message))
            }
        }
    }

    fn reports(&self) -> Vec<Reloaded> {
        let reports = self
            .from_host
            .try_iter()
            .filter_map(|message| match *message {
                FromHost::Reloaded(report) => Some(report),
                _ => None,
            });
        reports.collect()
    }

    fn log(&self) -> Vec<String> {
        let lines = self
            .from_host
            .try_iter()
            .filter_map(|message| match *message {
                FromHost::Log { message, .. } => Some(message),
                _ => None,
            });
        lines.collect()
    }

    /// What happens between two frames, and what the loader does about it.
    fn keep_house(&mut self) {
        let witness = WorldWitness::new(&self.world, &self.book, &self.modules);
        self.drain
            .look(&self.registry, &self.outbox, &self.to_loader, &witness);
        while let Ok(request) = self.requests.try_recv() {
            match request {
                LoaderRequest::Unload(module, key) => self.loader.begin_unload(module, key),
                LoaderRequest::Unloading { policy, period } => {
                    self.loader.set_unloading(policy, period);
                }
                _ => panic!("another request"),
            }
        }
    }

    /// The configuration says something else.
    fn set_policy(&mut self, policy: UnloadPolicy) {
        self.drain.set_policy(policy);
        let unloading = LoaderRequest::Unloading {
            policy,
            period: FRAME * 2,
        };
        self.to_loader.send(unloading).unwrap();
    }

    fn states(&self) -> Vec<VersionState> {
        let status = self.registry.status(&[]);
        status[0]
            .versions
            .iter()
            .map(|version| version.state)
            .collect()
    }

    fn enter(&self) -> EnteredDetached {
        match self.registry.enter("game", "which") {
            Ok(EnteredCall::Detached(entered)) => entered,
            _ => panic!("`which` can be called"),
        }
    }

    /// Name and whether it was closed, of all code that was ever loaded.
    fn codes(&self) -> Vec<(String, bool)> {
        self.fake
            .codes()
            .iter()
            .map(|code| (code.name.clone(), code.is_closed()))
            .collect()
    }

    fn code(&self, index: usize) -> Arc<CodeLog> {
        self.fake.codes()[index].clone()
    }
}

fn rig() -> Rig {
    Rig::new(FakeBackend::new(&[
        ("one", one),
        ("two", two),
        ("armored", armored),
        ("unregistered", unregistered),
        ("panics", panics),
        ("mistaken", mistaken),
        ("cyclic", cyclic),
        ("system_panics", system_panics),
    ]))
}

fn codes(codes: &[(&str, bool)]) -> Vec<(String, bool)> {
    codes
        .iter()
        .map(|(name, closed)| ((*name).to_owned(), *closed))
        .collect()
}

#[test]
fn the_first_code_with_a_type_is_kept_and_the_version_itself_can_go() {
    let mut rig = rig();
    assert_eq!(rig.load("one", false), Ok(None));
    assert_eq!(rig.codes(), codes(&[("one", false), ("one", false)]));
    assert_eq!(rig.load("two", false), Ok(Some(1)));
    assert_eq!(rig.codes().len(), 3, "all of its types are known");
    assert_eq!(rig.load("armored", false), Ok(Some(2)));
    rig.keep_house();
    assert_eq!(rig.states(), [Unloaded, Unloaded, Active]);
    let expected = codes(&[
        ("one", false),
        ("one", true),
        ("two", true),
        ("armored", false),
        ("armored", false),
    ]);
    assert_eq!(rig.codes(), expected);
    let status = rig.registry.status(&[]);
    assert_eq!(status[0].versions[2].label, "label of armored");
}

#[test]
fn content_that_was_refused_is_not_taken_for_what_runs() {
    fn refused(m: &mut ModuleBuilder) {
        m.component::<Armor>().systems(Update, damage);
    }
    let mut rig = Rig::new(FakeBackend::new(&[("one", one), ("refused", refused)]));
    rig.load("one", false).unwrap();
    for _ in 0..2 {
        let (outcome, message) = rig.load("refused", false).unwrap_err();
        assert_eq!(outcome, ReloadOutcome::Rejected, "{message}");
    }
    let (outcome, _) = rig.load("one", false).unwrap_err();
    assert_eq!(outcome, ReloadOutcome::Unchanged);
}

#[test]
fn types_of_a_version_that_was_refused_are_still_declared_by_kept_code() {
    fn refused(m: &mut ModuleBuilder) {
        m.component::<Armor>().systems(Update, damage);
    }
    fn good(m: &mut ModuleBuilder) {
        m.component::<Armor>();
    }
    let mut rig = Rig::new(FakeBackend::new(&[("refused", refused), ("good", good)]));
    assert!(rig.load("refused", false).is_err());
    for _ in 0..2 {
        rig.loader.load(&[load("game", "good", true)]);
        let ready = rig.ready.try_recv().unwrap();
        assert_eq!(ready[0].prepared.kept.len(), 1);
    }
    assert_eq!(rig.loader.memory.type_images.len(), 1);
}

#[test]
fn a_layout_that_no_kept_code_has_is_new_whatever_the_type_is_called() {
    let Rig { mut loader, .. } = rig();
    let health = || crate::testing::describe(one);
    let knows = |loader: &Loader, description: &ModuleDescription| {
        loader
            .memory
            .kept_types
            .contains_key(&identity(&description.types[0]))
    };
    assert!(loader.brings_new_types(&health()));
    loader.keep_types(health(), crate::testing::some_code());
    assert!(!loader.brings_new_types(&health()));
    assert!(knows(&loader, &health()));
    // A field changed its type: the identity stays, the layout does not.
    let mut changed = health();
    changed.types[0].schema.size += 4;
    assert!(loader.brings_new_types(&changed));
    assert!(!knows(&loader, &changed));
}

#[test]
fn an_edited_constructor_takes_another_type_image_and_a_new_world_once() {
    static MADE: AtomicU32 = AtomicU32::new(1);
    #[derive(Component, Reflect, Default)]
    #[reflect(Component, Default)]
    #[require(Armor = Armor(MADE.load(Ordering::SeqCst)))]
    struct Shielded;
    fn shielded(m: &mut ModuleBuilder) {
        m.component::<Shielded>().component::<Armor>();
    }
    let mut rig = Rig::new(FakeBackend::new(&[("shielded", shielded)]));
    rig.load("shielded", false).unwrap();
    rig.world.spawn(Shielded);
    let mut load = |made| {
        MADE.store(made, Ordering::SeqCst);
        let world = rig.world.id();
        rig.load("shielded", true).unwrap();
        (rig.world.id() != world, rig.loader.memory.type_images.len())
    };
    assert_eq!(load(1), (false, 1));
    assert_eq!(load(2), (true, 2));
    assert_eq!(load(2), (false, 2));
    assert_eq!(load(1), (true, 2), "that image is there");
}

#[test]
fn code_that_cannot_be_loaded_twice_is_used_as_it_is() {
    let mut rig = Rig::new(FakeBackend::new(&[("one", one), ("two", two)]).once_only());
    assert_eq!(rig.load("one", false), Ok(None));
    assert_eq!(rig.load("two", false), Ok(Some(1)));
    rig.keep_house();
    assert_eq!(rig.states(), [Unloaded, Active]);
    assert_eq!(rig.codes(), codes(&[("one", true), ("two", false)]));
}

#[test]
fn a_version_is_unloaded_after_its_last_call_and_lease() {
    let mut rig = rig();
    rig.load("one", false).unwrap();
    let key = rig.registry.active("game").unwrap();
    let (first, second) = (rig.enter(), rig.enter());
    let lease = rig.registry.lease("game", key).unwrap();
    rig.load("two", false).unwrap();
    rig.log();
    for _ in 0..3 {
        rig.keep_house();
    }
    assert_eq!(
        rig.log(),
        ["v1 draining (2 active calls)"],
        "it is said once"
    );
    assert_eq!(second.run(&[]).unwrap(), Value::Int(1));
    drop(second);
    rig.keep_house();
    assert_eq!(rig.states(), [Draining, Active]);
    drop(first);
    rig.keep_house();
    assert_eq!(rig.states(), [Draining, Active], "leased");
    assert!(!rig.code(1).is_closed());
    drop(lease);
    rig.keep_house();
    assert_eq!(rig.states(), [Unloaded, Active]);
    assert!(rig.code(1).is_closed());
    assert_eq!(rig.log(), ["v1 unloaded"]);
}

#[test]
fn what_keeps_a_version_is_named_and_looked_at_again() {
    let mut rig = rig();
    rig.load("one", false).unwrap();
    let code = rig.code(1);
    code.pinned_by
        .lock()
        .unwrap()
        .push("it has thread-locals".into());
    rig.load("two", false).unwrap();
    rig.log();
    rig.keep_house();
    rig.keep_house();
    assert_eq!(rig.states(), [Pinned, Active]);
    assert_eq!(
        rig.registry.status(&[])[0].versions[0].pinned_by,
        ["it has thread-locals"]
    );
    assert_eq!(rig.log(), ["v1 pinned (it has thread-locals)"]);
    code.pinned_by.lock().unwrap().clear();
    rig.keep_house();
    assert_eq!(rig.states(), [Unloaded, Active]);
}

/// A rig with a version that needs a proof, and its code.
fn rig_with_proof() -> (Rig, Arc<CodeLog>) {
    let fake = FakeBackend::new(&[("one", one), ("two", two)]);
    let mut rig = Rig::with(UnloadPolicy::Proven, fake);
    rig.load("one", false).unwrap();
    let code = rig.code(1);
    rig.load("two", false).unwrap();
    rig.log();
    (rig, code)
}

fn pins(rig: &Rig) -> Vec<String> {
    rig.registry.status(&[])[0].versions[0].pinned_by.clone()
}

#[test]
fn with_a_proof_versions_go_when_nothing_is_found_and_not_before() {
    let (mut rig, code) = rig_with_proof();
    // What the engine knows of is not asked for: the proof knows better.
    *code.pinned_by.lock().unwrap() = vec!["it has thread-locals".to_owned()];
    let reference = |place: &str, address: Option<usize>| Reference {
        place: place.to_owned(),
        address: address.map(|address| Hidden::new(address as u64)),
        held_by: Vec::new(),
        target: ".text".to_owned(),
    };
    let held = rig.world.spawn(Health(7)).id();
    let place = std::ptr::from_ref(rig.world.get::<Health>(held).unwrap()).addr();
    *code.proof.lock().unwrap() = Some(Proof::Referenced {
        by: vec![
            reference("thread `spinner`, registers", None),
            reference("heap", Some(place)),
            reference("heap", Some(place)),
            Reference {
                held_by: vec![Hidden::new(8), Hidden::new(place as u64)],
                ..reference("heap, held by thread `main`, stack", Some(8))
            },
            reference("heap, held by thread `main`, stack", Some(8)),
        ],
        more: 2,
    });
    assert!(rig.drain.is_looking(&rig.registry));
    rig.keep_house();
    assert!(!rig.drain.is_looking(&rig.registry));
    assert_eq!(rig.states(), [Draining, Active], "nobody has looked yet");
    assert_eq!(rig.fake.last_look(), None);
    rig.loader.prove();
    let look = Look {
        pause: FRAME,
        heap: true,
    };
    assert_eq!(rig.fake.last_look(), Some(look));
    assert!(rig.drain.is_looking(&rig.registry), "there is news");
    rig.keep_house();
    assert_eq!(rig.states(), [Pinned, Active]);
    let component = format!("component `Health` of entity {held}, offset 0 (.text)");
    let expected = [
        "thread `spinner`, registers (.text)",
        &component,
        &format!("heap, held by {component}"),
        "heap, held by thread `main`, stack (.text)",
        "2 more places",
    ];
    assert_eq!(pins(&rig), expected);
    assert!(code.given_back.load(Ordering::SeqCst));
    rig.loader.prove();
    rig.keep_house();
    let told = ["v1 pinned (thread `spinner`, registers (.text))"];
    assert_eq!(rig.log(), told, "once");
    *code.proof.lock().unwrap() = None;
    // The configuration may not know its module any more.
    rig.loader.set_modules(&[]);
    rig.loader.prove();
    assert_eq!(rig.states(), [Unloaded, Active]);
    assert!(code.is_closed() && code.is_proven.load(Ordering::SeqCst));
    assert!(rig.loader.unloads.waiting.is_empty());
}

/// A witness that takes its time to name what lies somewhere.
struct SlowWitness {
    asked: Cell<u32>,
    known: Vec<Reason>,
}

impl Witness for SlowWitness {
    fn references(&self, _: &str, _: VersionKey, _: &dyn Fn(usize) -> bool) -> Vec<Reason> {
        self.known.clone()
    }
    fn could_be_rebuilt(&self) -> bool {
        true
    }
    fn place(&self, address: usize) -> Option<String> {
        self.asked.set(self.asked.get() + 1);
        std::thread::sleep(Duration::from_millis(5));
        Some(format!("value {address}"))
    }
}

#[test]
fn what_holds_a_version_is_named_for_a_moment_and_once() {
    let (mut rig, code) = rig_with_proof();
    let witness = SlowWitness {
        asked: Cell::new(0),
        known: vec![Reason::guess("it may be elsewhere".to_owned())],
    };
    let by = (1..=20).map(|address| Reference {
        place: format!("heap {address}"),
        address: Some(Hidden::new(address)),
        held_by: Vec::new(),
        target: ".text".to_owned(),
    });
    let by: Vec<Reference> = by.collect();
    let mut keep_house = |by: &[Reference]| {
        *code.proof.lock().unwrap() = Some(Proof::Referenced {
            by: by.to_vec(),
            more: 0,
        });
        rig.drain
            .look(&rig.registry, &rig.outbox, &rig.to_loader, &witness);
        while let Ok(LoaderRequest::Unload(module, key)) = rig.requests.try_recv() {
            rig.loader.begin_unload(module, key);
        }
        rig.loader.prove();
        rig.drain
            .look(&rig.registry, &rig.outbox, &rig.to_loader, &witness);
        pins(&rig)
    };
    let mut expected = vec!["value 1 (.text)".to_owned()];
    expected.extend((2..=8).map(|address| format!("heap {address} (.text)")));
    expected.extend([
        "12 more places".to_owned(),
        "it may be elsewhere".to_owned(),
    ]);
    assert_eq!(keep_house(&by), expected, "guesses come last");
    assert_eq!(witness.asked.get(), 1, "the first name took all the time");
    assert_eq!(keep_house(&by), expected);
    assert_eq!(witness.asked.get(), 1, "it was told");
    let others = ["value 20 (.text)", "it may be elsewhere"];
    assert_eq!(keep_house(&by[19..]), others, "something else is found");
}

#[test]
fn the_world_is_not_tidied_for_versions_with_calls_or_leases() {
    let (rig, _code) = rig_with_proof();
    let is_looking = || rig.drain.is_looking(&rig.registry);
    let old = rig.registry.mapped_leftovers()[0].1;
    assert!(is_looking());
    let call = call::enter(call::CallId::new(old.id, 0));
    assert!(!is_looking(), "a call is in it");
    drop(call);
    assert!(is_looking());
    let lease = rig.registry.lease("game", old);
    assert!(!is_looking(), "somebody has a lease");
    drop(lease);
    assert!(is_looking());
}

#[test]
fn a_finding_that_comes_late_says_nothing_of_a_version_that_is_gone() {
    let (mut rig, code) = rig_with_proof();
    *code.proof.lock().unwrap() = Some(Proof::Unknown("nobody knows".to_owned()));
    rig.keep_house();
    rig.loader.prove();
    *code.proof.lock().unwrap() = None;
    rig.loader.prove();
    assert_eq!(rig.states(), [Unloaded, Active]);
    rig.log();
    rig.keep_house();
    assert_eq!(rig.states(), [Unloaded, Active]);
    assert_eq!(pins(&rig), Vec::<String>::new());
    assert_eq!(rig.log(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_proven_stays() {
    let (mut rig, code) = rig_with_proof();
    *code.proof.lock().unwrap() = Some(Proof::Unknown("a debugger is attached".to_owned()));
    rig.keep_house();
    rig.loader.prove();
    rig.keep_house();
    assert_eq!(rig.states(), [Pinned, Active]);
    let why = "it cannot be proven unused: a debugger is attached";
    assert_eq!(pins(&rig), [why]);
}

#[test]
fn a_check_goes_by_what_is_known_and_by_a_look() {
    let fake = FakeBackend::new(&[("one", one), ("two", two)]);
    let mut rig = Rig::with(UnloadPolicy::Checked, fake);
    rig.load("one", false).unwrap();
    let code = rig.code(1);
    rig.load("two", false).unwrap();
    *code.pinned_by.lock().unwrap() = vec!["it has thread-locals".to_owned()];
    rig.keep_house();
    assert_eq!(pins(&rig), ["it has thread-locals"]);
    assert!(rig.loader.unloads.waiting.is_empty(), "no need to look");
    code.pinned_by.lock().unwrap().clear();
    *code.proof.lock().unwrap() = Some(Proof::Unknown("nobody knows".to_owned()));
    rig.keep_house();
    rig.loader.prove();
    rig.keep_house();
    assert_eq!(rig.fake.last_look().map(|look| look.heap), Some(false));
    assert_eq!(rig.states(), [Pinned, Active]);
    *code.proof.lock().unwrap() = None;
    rig.loader.prove();
    assert_eq!(rig.states(), [Unloaded, Active]);
    assert!(
        !code.is_proven.load(Ordering::SeqCst),
        "of the heap nothing is known"
    );
}

#[test]
fn a_policy_can_keep_all_versions() {
    let fake = FakeBackend::new(&[("one", one), ("two", two)]);
    let mut rig = Rig::with(UnloadPolicy::Never, fake);
    rig.load("one", false).unwrap();
    rig.load("two", false).unwrap();
    rig.keep_house();
    assert_eq!(rig.states(), [Pinned, Active]);
    assert_eq!(pins(&rig), ["the configuration keeps all versions"]);
}

#[test]
fn another_policy_decides_on_the_versions_that_are_left() {
    let (mut rig, code) = rig_with_proof();
    *code.proof.lock().unwrap() = Some(Proof::Unknown("nobody knows".to_owned()));
    rig.keep_house();
    rig.loader.prove();
    rig.keep_house();
    let why = "it cannot be proven unused: nobody knows";
    assert_eq!(pins(&rig), [why]);
    rig.set_policy(UnloadPolicy::Never);
    rig.keep_house();
    assert_eq!(pins(&rig), ["the configuration keeps all versions"]);
    assert!(rig.loader.unloads.waiting.is_empty());
    // The same policy with another frame rate changes nothing for them.
    rig.set_policy(UnloadPolicy::Proven);
    (0..3).for_each(|_| rig.keep_house());
    rig.set_policy(UnloadPolicy::Proven);
    rig.keep_house();
    assert_eq!(rig.loader.unloads.waiting.len(), 1);
    rig.loader.prove();
    assert_eq!(rig.fake.last_look().map(|look| look.pause), Some(FRAME * 2));
    rig.keep_house();
    assert_eq!(pins(&rig), [why], "told again");
    rig.set_policy(UnloadPolicy::Known);
    rig.keep_house();
    assert_eq!(rig.states(), [Unloaded, Active]);
    assert!(code.is_closed() && !code.is_proven.load(Ordering::SeqCst));
}

#[test]
fn looks_get_rarer_until_something_changes() {
    let (mut rig, _code) = rig_with_proof();
    rig.keep_house();
    let interval = |rig: &Rig| rig.loader.unloads.interval;
    let first = interval(&rig);
    (0..20).for_each(|_| rig.loader.unloads.looked());
    let last = interval(&rig);
    assert!(last > first * 10, "{first:?} {last:?}");
    rig.loader.unloads.looked();
    assert_eq!(interval(&rig), last);
    rig.loader.unloads.hurry();
    assert_eq!(interval(&rig), first);
    assert!(!rig.loader.unloads.is_due(), "not at once");
}

#[test]
fn looks_that_find_the_same_each_time_get_rare() {
    let (mut rig, code) = rig_with_proof();
    let find = |why: &str| *code.proof.lock().unwrap() = Some(Proof::Unknown(why.to_owned()));
    find("nobody knows");
    rig.keep_house();
    let mut look = |times: usize| {
        (0..times).for_each(|_| rig.loader.prove());
        rig.loader.unloads.interval
    };
    let same = look(20);
    assert_eq!(same, look(1));
    find("nobody says");
    let changed = look(1);
    assert!(changed * 4 < same, "{changed:?} {same:?}");
    assert!(look(1) > changed, "it is the same again");
    assert_eq!(look(20), same);
}

#[test]
fn no_look_begins_while_something_waits_for_the_loader() {
    let (mut rig, code) = rig_with_proof();
    *code.proof.lock().unwrap() = Some(Proof::Unknown("nobody knows".to_owned()));
    rig.keep_house();
    while !rig.loader.unloads.is_due() {
        std::thread::yield_now();
    }
    assert!(rig.loader.may_look());
    rig.to_loader.send(LoaderRequest::Building(true)).unwrap();
    assert!(!rig.loader.may_look());
    rig.requests.recv().unwrap();
    assert!(rig.loader.may_look());
}

#[test]
fn code_that_stays_mapped_after_closing_is_watched_until_it_is_gone() {
    let mut rig = rig();
    rig.load("one", false).unwrap();
    let code = rig.code(1);
    code.held.store(true, Ordering::SeqCst);
    rig.load("two", false).unwrap();
    rig.keep_house();
    assert_eq!(rig.states(), [Pinned, Active]);
    assert!(code.is_closed());
    code.held.store(false, Ordering::SeqCst);
    rig.load("one", false).unwrap();
    assert_eq!(rig.states(), [Unloaded, Draining, Active]);
}

#[test]
fn what_cannot_be_loaded_is_answered_and_leaves_no_trace() {
    use ReloadOutcome::{LoadError, Rejected as Refused, Unchanged};
    let mut rig = rig();
    rig.load("one", false).unwrap();
    // `kept`: reflection may point into its code.
    let mut check = |name: &str, kept: bool, outcome: ReloadOutcome, expected: &str| {
        let (found, message) = rig.load(name, false).unwrap_err();
        assert_eq!(found, outcome, "{message}");
        assert!(message.contains(expected), "`{message}` lacks `{expected}`");
        rig.keep_house();
        let states = rig.states();
        assert!(
            states[1..].iter().all(|state| *state == Rejected),
            "{states:?}"
        );
        assert_eq!(states[0], Active);
        let open = rig
            .codes()
            .into_iter()
            .skip(2)
            .any(|(opened, closed)| opened == name && !closed);
        assert_eq!(open, kept, "{name}");
        assert_eq!(rig.enter().run(&[]).unwrap(), Value::Int(1));
    };
    check("unusable", false, LoadError, "it is broken");
    check("misfit", false, Refused, "it belongs elsewhere");
    check(
        "panics",
        true,
        Refused,
        "it panicked while it was asked what it offers",
    );
    check("one", false, Unchanged, "already runs");
    check("mistaken", true, Refused, "`f` is registered twice");
    check("cyclic", false, Refused, "a cycle in Update");
    check(
        "unregistered",
        false,
        Refused,
        "that the module does not register",
    );
    check(
        "system_panics",
        false,
        Refused,
        "it panicked while its systems were checked",
    );
    rig.loader.load(&[load("nobody", "one", false)]);
    let reports = rig.reports();
    assert_eq!(
        reports[0].message,
        "there is no module `nobody` in the config"
    );
}

#[test]
fn the_same_content_is_loaded_again_only_by_force() {
    let mut rig = rig();
    rig.load("one", false).unwrap();
    assert_eq!(
        rig.load("one", false).unwrap_err().0,
        ReloadOutcome::Unchanged
    );
    assert_eq!(rig.load("one", true), Ok(Some(1)));
    rig.loader.load(&[Load {
        ticket: None,
        ..load("game", "one", false)
    }]);
    assert!(rig.reports().is_empty(), "nobody asked, nobody is told");
}

#[test]
fn versions_that_are_loaded_together_get_in_together_or_not_at_all() {
    let mut rig = rig();
    rig.registry.add_module("other", "fake");
    rig.loader.modules.push(("other".to_owned(), 0));
    let outcomes = |reports: Vec<Reloaded>| -> Vec<(String, ReloadOutcome, String)> {
        let reports = reports.into_iter();
        let outcome = |report: Reloaded| (report.module, report.outcome, report.message);
        reports.map(outcome).collect()
    };
    // Whichever of them is at fault, both are told, once each.
    for (first, second, culprit, how) in [
        ("one", "panics", "other", ReloadOutcome::Rejected),
        ("unusable", "one", "game", ReloadOutcome::LoadError),
    ] {
        let group = [load("game", first, false), load("other", second, false)];
        rig.loader.load(&group);
        assert!(rig.ready.try_recv().is_err(), "{culprit}");
        let told = outcomes(rig.reports());
        assert_eq!(told.len(), 2, "{told:#?}");
        for (module, outcome, message) in told {
            if module == culprit {
                assert_eq!(outcome, how);
                assert!(
                    message.ends_with("; `game` and `other` keep running"),
                    "{message}"
                );
            } else {
                let words = format!("`{culprit}` was refused, so `game` and `other` keep running");
                assert_eq!(outcome, ReloadOutcome::Rejected);
                assert!(message.starts_with(&words), "{message}");
            }
        }
        let is_active = |name: &str| rig.registry.active(name).is_some();
        assert!(!is_active("game") && !is_active("other"));
    }
    // One that runs already does not keep the other out.
    rig.load("one", false).unwrap();
    rig.loader
        .load(&[load("game", "one", false), load("other", "two", false)]);
    let told = outcomes(rig.reports());
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(
        (told[0].0.as_str(), told[0].1),
        ("game", ReloadOutcome::Unchanged)
    );
    let ready = rig.ready.try_recv().unwrap();
    assert_eq!(ready.len(), 1);
    assert_eq!(ready[0].prepared.module, "other");
}

#[test]
fn artifacts_that_others_replace_are_loaded() {
    let mut rig = rig();
    rig.load("one", false).unwrap();
    rig.fake.replace("game", "two");
    rig.loader.look_outside();
    assert_eq!(rig.swap_ready(), Ok(Some(1)));
    rig.fake.replace("game", "misfit");
    rig.loader.look_outside();
    let report = rig.reports().pop().unwrap();
    assert_eq!((report.ticket, report.from), (None, Some(2)));
    assert_eq!(report.outcome, ReloadOutcome::Rejected);
}

/// One thing that may happen to a module.
#[derive(Debug, Clone)]
enum Op {
    /// A version is loaded, or refused unless it `fits`.
    Load {
        fits: bool,
    },
    /// One of the callers enters the active version.
    Enter {
        caller: usize,
    },
    /// A caller's innermost call ends.
    Finish {
        caller: usize,
    },
    Lease,
    GiveBack {
        which: usize,
    },
    /// Something else refers to the version's code, or no longer.
    Hold {
        which: usize,
        held: bool,
    },
    KeepHouse,
}

fn op() -> impl Strategy<Value = Op> {
    let caller = 0..3_usize;
    prop_oneof![
        4 => prop::bool::weighted(0.7).prop_map(|fits| Op::Load { fits }),
        4 => caller.clone().prop_map(|caller| Op::Enter { caller }),
        4 => caller.prop_map(|caller| Op::Finish { caller }),
        2 => Just(Op::Lease),
        2 => any::<usize>().prop_map(|which| Op::GiveBack { which }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, held)| Op::Hold { which, held }),
        4 => Just(Op::KeepHouse),
    ]
}

/// What one version should be like.
struct Expected {
    state: VersionState,
    answer: i64,
    calls: usize,
    leases: usize,
    held: bool,
}

const VERSIONS: usize = 8;

/// A module whose versions can be told apart by what they answer.
fn numbered<const N: i64>(m: &mut ModuleBuilder) {
    m.function("which", || N);
}
fn misfit(m: &mut ModuleBuilder) {
    // Panics while it is prepared.
    fn observer(_: On<Add<Health>>, _: Query<&mut Health>, _: Query<&mut Health>) {}
    m.observe(observer);
}

/// A thread that calls; calls of one thread nest.
struct Caller {
    orders: Sender<bool>,
    answers: Receiver<i64>,
    /// Versions it is in, outermost first.
    inside: Vec<usize>,
}

fn caller(registry: Arc<Registry>) -> Caller {
    let (orders, received) = unbounded();
    let (answer, answers) = unbounded();
    std::thread::spawn(move || {
        let mut calls: Vec<EnteredDetached> = Vec::new();
        while let Ok(enters) = received.recv() {
            if enters {
                match registry.enter("game", "which") {
                    Ok(EnteredCall::Detached(entered)) => calls.push(entered),
                    _ => return,
                }
                answer.send(0).unwrap();
            } else if let Some(call) = calls.pop() {
                let Ok(Value::Int(number)) = call.run(&[]) else {
                    return;
                };
                drop(call);
                answer.send(number).unwrap();
            }
        }
        // Innermost first.
        while calls.pop().is_some() {}
    });
    Caller {
        orders,
        answers,
        inside: Vec::new(),
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one short arm per operation reads best in one place"
)]
fn check_against_model(ops: Vec<Op>) {
    let builds: [Build; VERSIONS] = [
        numbered::<0>,
        numbered::<1>,
        numbered::<2>,
        numbered::<3>,
        numbered::<4>,
        numbered::<5>,
        numbered::<6>,
        numbered::<7>,
    ];
    let names: Vec<String> = (0..VERSIONS).map(|number| number.to_string()).collect();
    let mut artifacts: Vec<(&str, Build)> = names.iter().map(String::as_str).zip(builds).collect();
    artifacts.push(("refused", misfit));
    let mut rig = Rig::new(FakeBackend::new(&artifacts));
    let mut callers: Vec<Caller> = (0..3).map(|_| caller(rig.registry.clone())).collect();
    let mut model: Vec<Expected> = Vec::new();
    let mut leases = Vec::new();
    for op in ops {
        let active = model.iter().position(|version| version.state == Active);
        match op.clone() {
            Op::Load { .. } if model.len() == 20 => continue,
            Op::Load { fits } => {
                let answer = model.len() % VERSIONS;
                let name = if fits {
                    names[answer].as_str()
                } else {
                    "refused"
                };
                assert_eq!(rig.load(name, true).is_ok(), fits);
                if let (true, Some(active)) = (fits, active) {
                    model[active].state = Draining;
                }
                model.push(Expected {
                    state: if fits { Active } else { Rejected },
                    answer: answer as i64,
                    calls: 0,
                    leases: 0,
                    held: false,
                });
            }
            Op::Enter { caller } => {
                let Some(active) = active else { continue };
                let caller = &mut callers[caller];
                caller.orders.send(true).unwrap();
                caller.answers.recv().unwrap();
                caller.inside.push(active);
                model[active].calls += 1;
            }
            Op::Finish { caller } => {
                let caller = &mut callers[caller];
                let Some(version) = caller.inside.pop() else {
                    continue;
                };
                caller.orders.send(false).unwrap();
                assert_eq!(caller.answers.recv().unwrap(), model[version].answer);
                model[version].calls -= 1;
            }
            Op::Lease => {
                let Some(active) = active else { continue };
                let key = rig.registry.active("game").unwrap();
                leases.push((active, rig.registry.lease("game", key).unwrap()));
                model[active].leases += 1;
            }
            Op::GiveBack { which } => {
                if leases.is_empty() {
                    continue;
                }
                let (version, lease) = leases.remove(which % leases.len());
                drop(lease);
                model[version].leases -= 1;
            }
            Op::Hold { which, held } => {
                if model.is_empty() {
                    continue;
                }
                let which = which % model.len();
                model[which].held = held;
                let code = rig.code(which);
                let reasons = if held {
                    vec!["held".to_owned()]
                } else {
                    Vec::new()
                };
                *code.pinned_by.lock().unwrap() = reasons;
            }
            Op::KeepHouse => {
                rig.keep_house();
                for version in &mut model {
                    let busy = version.calls > 0 || version.leases > 0;
                    version.state = match version.state {
                        Draining | Pinned if !busy && version.held => Pinned,
                        Draining | Pinned if !busy => Unloaded,
                        state => state,
                    };
                }
            }
        }
        let codes = rig.fake.codes();
        for (version, code) in model.iter().zip(&codes) {
            if version.calls > 0 || version.leases > 0 || version.state == Active {
                assert!(!code.is_closed(), "{op:?} closed code that is in use");
            }
            assert_eq!(
                version.state == Unloaded,
                code.is_closed() && version.state != Rejected
            );
        }
        let states: Vec<VersionState> = model.iter().map(|version| version.state).collect();
        assert_eq!(rig.states(), states, "after {op:?}");
        let modules = rig.registry.status(&call::running());
        let calls: Vec<usize> = modules[0]
            .versions
            .iter()
            .map(|version| version.active_calls as usize)
            .collect();
        assert_eq!(
            calls,
            model
                .iter()
                .map(|version| version.calls)
                .collect::<Vec<_>>()
        );
    }
    drop(leases);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn versions_follow_the_model_and_no_call_is_in_closed_code(
        ops in prop::collection::vec(op(), 1..40),
    ) {
        check_against_model(ops);
    }
}
