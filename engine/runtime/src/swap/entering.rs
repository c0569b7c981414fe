//! Versions on their way in: their own code runs for the first time, in the world as it is
//! or in a new one, and whatever it did is undone if one of them fails.

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_api::bevy_ecs::component::ComponentId;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::hierarchy::Children;
use engine_api::bevy_ecs::name::Name;
use engine_api::bevy_ecs::observer::Observer;
use engine_api::bevy_ecs::query::With;
use engine_api::bevy_ecs::relationship::RelationshipTarget;
use engine_api::bevy_ecs::world::World;
use engine_api::component_hooks::HookTable;
use engine_api::hook::{Hooks, Reload, Unloaded};
use engine_api::input::Input;
use engine_api::job::JobBoard;
use engine_api::keep::{self, KeepKey, KeepRegistration};
use engine_api::message;
use engine_api::migration::MigrationRegistration;
use engine_api::module::{ModuleBuilder, Stage};
use engine_api::observer::ObserverRegistration;
use engine_api::state::{StateKind, StateType};
use engine_api::system::SystemConfig;
use engine_api::viewport::Viewport;

use super::{ActiveModule, GroupTypes, Refusal, sort_description};
use crate::call::{self, CallId};
use crate::component_hooks::VersionHooks;
use crate::limbo::Limbo;
use crate::migrate::{Migration, MigrationReport, Side};
use crate::observer::{FaultQueue, ObserverGate};
use crate::panic::{self, PanicReport};
use crate::part::Part;
use crate::rebuild::{ColumnError, MakeColumn, RebuildError, RebuildPlan, Rebuilt, Treatment};
use crate::registry::VersionKey;
use crate::runner::{RunnableSystem, VersionSystems};
use crate::state::{Change, KeptType, StateBook, is_copied};
use crate::swap::returning::{Returned, take_back};
use crate::wipe;

/// Systems and observers of a version that were not prepared for a world yet.
pub(super) type Offer = (Vec<(Stage, SystemConfig)>, Vec<ObserverRegistration>);

/// Systems and observers of a version in a world.
#[derive(Default)]
pub(super) struct Runnable {
    pub(super) systems: VersionSystems,
    pub(super) observers: Vec<(Entity, Arc<ObserverGate>)>,
}

/// A version that is about to become active.
pub(super) struct Member<'a> {
    pub(super) module: &'a str,
    pub(super) key: VersionKey,
    /// The types that it brings, by their index among those of all.
    pub(super) own: &'a [usize],
    pub(super) keeps: &'a [KeepRegistration],
    pub(super) component_hooks: &'a VersionHooks,
    pub(super) hooks: &'a Hooks,
    /// Number of the version before.
    pub(super) previous: Option<u32>,
    /// What the version before handed over.
    pub(super) unloaded: Option<Unloaded>,
}

/// Versions that are about to become active together.
pub(super) struct Entering<'a> {
    pub(super) members: Vec<Member<'a>>,
    pub(super) types: &'a GroupTypes,
    /// Make shared structs known to a world.
    pub(super) shared: Vec<fn(&mut World)>,
    pub(super) changes: &'a [Change],
    pub(super) migrations: Vec<MigrationRegistration>,
    pub(super) faults: FaultQueue,
}

/// What came of a rebuild.
pub(super) struct Rebuild {
    /// The versions, in their order.
    pub(super) runnables: Vec<Runnable>,
    /// What the other active modules are now, in their order; `None` for the modules that
    /// are replaced.
    pub(super) others: Vec<Option<Runnable>>,
    pub(super) took: Duration,
    pub(super) reports: Vec<MigrationReport>,
    /// Why values stay in limbo whose type is there.
    pub(super) misfits: Vec<String>,
    /// Observers that no module registered.
    pub(super) lost_observers: usize,
}

/// Versions in a world.
#[derive(Default)]
struct Entered {
    runnables: Vec<Runnable>,
    /// Types by index whose resources were made for them.
    initialized: Vec<usize>,
}

/// All modules, prepared for a new world.
struct Prepared {
    runnables: Vec<Runnable>,
    others: Vec<Option<Runnable>>,
    /// How many components that world knew before each version.
    known: Vec<usize>,
    returned: Returned,
}

impl Rebuild {
    /// The world stayed the one it was.
    fn none(runnables: Vec<Runnable>, returned: Returned) -> Self {
        Self {
            runnables,
            others: Vec::new(),
            took: Duration::ZERO,
            reports: returned.reports,
            misfits: returned.misfits,
            lost_observers: 0,
        }
    }
}

impl Member<'_> {
    /// Whether code of the version runs in the new world and may then refuse.
    pub(super) fn may_fail_late(&self) -> bool {
        self.hooks.on_load.is_some() || self.hooks.after_reload.is_some()
    }

    fn call(&self, part: Part) -> CallId {
        part.of(self.key.id)
    }

    fn refusal(&self, message: impl Into<String>) -> Refusal {
        Refusal::of(self.module, message)
    }

    /// Runs `on_load` and `after_reload`. What they did to the new world goes with it if one
    /// fails.
    fn run_hooks(&self, world: &mut World) -> Result<(), Refusal> {
        let run = |part: Part, hook: &mut dyn FnMut() -> Result<(), String>| {
            let _call = call::enter(self.call(part));
            panic::guard(hook)
                .map_err(|report| report.summary())
                .and_then(|result| result)
                .map_err(|error| self.refusal(format!("its `{}` failed: {error}", part.name())))
        };
        if let Some(on_load) = &self.hooks.on_load {
            run(Part::OnLoad, &mut || {
                on_load(world, self.unloaded.clone())?;
                world.flush();
                Ok(())
            })?;
        }
        if let (Some(after_reload), Some(from)) = (&self.hooks.after_reload, self.previous) {
            let reload = Reload {
                from,
                to: self.key.number,
            };
            run(Part::AfterReload, &mut || {
                after_reload(world, reload)?;
                world.flush();
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl Entering<'_> {
    /// Prepares the versions in the running world.
    pub(super) fn prepare_in_place(
        &self,
        offers: Vec<Offer>,
        modules: &[ActiveModule],
        world: &mut World,
        book: &mut StateBook,
    ) -> Result<Rebuild, Refusal> {
        // What is made now stays; no part of it that is not used should be of a version.
        wipe::stack();
        let declared = panic::guard(|| {
            let types = self.types.types.iter().map(|(_, kept)| kept.declare);
            for declare in types.chain(self.shared.iter().copied()) {
                declare(world);
            }
        });
        declared.map_err(|report| {
            format!(
                "it panicked while its types were declared: {}",
                report.summary()
            )
        })?;
        let hooks_before = world.get_resource::<HookTable>().cloned();
        self.put_hooks(modules, world, book);
        let mut known = Vec::new();
        let made = self.enter(offers, world, &mut known);
        self.attribute(world, &known, book);
        if made.is_err() {
            world.insert_resource(hooks_before.unwrap_or_default());
            let GroupTypes {
                types, registered, ..
            } = self.types;
            book.adopt_declared(world, registered, types, self.changes);
        }
        let Entered {
            runnables,
            initialized,
        } = made?;
        let mut returned = self.take_back(&initialized, world, &book.limbo);
        book.limbo.apply(std::mem::take(&mut returned.limbo));
        Ok(Rebuild::none(runnables, returned))
    }

    /// Records which version brought the components that a world has learnt: it knew as many
    /// as `known` says before each of them.
    fn attribute(&self, world: &World, known: &[usize], book: &mut StateBook) {
        // The last one first: what is attributed stays.
        for (member, known) in self.members.iter().zip(known).rev() {
            book.attribute(world, *known, member.module, member.key);
        }
    }

    /// Values of the versions' types that were in limbo as a whole go into their world.
    fn take_back(&self, initialized: &[usize], world: &mut World, limbo: &Limbo) -> Returned {
        let _call = self
            .members
            .first()
            .map(|first| call::enter(first.call(Part::Values)));
        take_back(&self.types.types, initialized, world, limbo)
    }

    /// The version that brought a type.
    fn owner(&self, index: usize) -> Option<&Member<'_>> {
        self.members
            .iter()
            .find(|member| member.own.contains(&index))
    }

    /// Carries the world over into a new one that has the versions' types, and prepares
    /// all modules there.
    pub(super) fn rebuild(
        &self,
        offers: Vec<Offer>,
        modules: &[ActiveModule],
        world: &mut World,
        book: &mut StateBook,
    ) -> Result<Rebuild, Refusal> {
        let start = Instant::now();
        let empty_limbo = Limbo::default();
        let migrations = self.migrations(world, book)?;
        let copies = self.copies(world, book, &empty_limbo);
        let mut treatments: HashMap<ComponentId, Treatment> = HashMap::new();
        if let Some(key) = world.components().get_id(TypeId::of::<KeepKey>()) {
            // The new world may change them.
            treatments.insert(key, Treatment::cloning::<KeepKey>());
        }
        if self.may_fail_late() {
            engine_copies(world, &mut treatments);
        }
        for ((new, _), change) in self.types.types.iter().zip(self.changes) {
            if let Change::Moved(key) = change
                && let Some((component, _)) = book.old_side(world, key)
            {
                let to = Some(new.stored);
                treatments.insert(component, Treatment::Move { to });
            }
        }
        for (component, to, migration) in copies.iter().chain(&migrations) {
            let (to, make) = (*to, make_column(migration));
            treatments.insert(*component, Treatment::Convert { to, make });
        }
        let mut declare = book.declarations(&self.types.types, self.changes);
        declare.extend(self.shared.iter().copied());
        let plan = RebuildPlan {
            declare,
            treatments,
        };
        let rebuilt = {
            let _call = self
                .members
                .first()
                .map(|first| call::enter(first.call(Part::Values)));
            // SAFETY: types that move have the same layout by their schemas; conversions
            // are migrations of these very types; nothing runs in between but the
            // preparation of systems, and hooks, for which values that own something are
            // copied.
            unsafe { Rebuilt::begin(world, plan) }
        };
        let mut rebuilt = rebuilt.map_err(|error| explain(&error, world, book))?;
        let took = start.elapsed();
        let prepared = self.prepare_all(offers, modules, book, &mut rebuilt);
        let Prepared {
            runnables,
            others,
            known,
            returned,
        } = match prepared {
            Ok(prepared) => prepared,
            Err(refusal) => {
                let _ = rebuilt.roll_back(world);
                return Err(refusal);
            }
        };
        let registered: usize = modules.iter().map(|active| active.observers.len()).sum();
        let lost_observers = rebuilt.observers().len().saturating_sub(registered);
        remove_bare_observers(&mut rebuilt);
        let done = migrations
            .into_iter()
            .map(|(_, _, migration)| migration.into_inner().into_changes());
        let (limbo, mut reports): (Vec<_>, Vec<_>) = done.unzip();
        reports.extend(returned.reports);
        for changes in limbo.into_iter().chain([returned.limbo]) {
            book.limbo.apply(changes);
        }
        if !book.limbo.is_empty() {
            let world = rebuilt.world();
            // What belongs to no entity is kept under the placeholder.
            book.limbo
                .sweep(|entity| entity == Entity::PLACEHOLDER || world.entities().contains(entity));
        }
        book.renumber(|old| rebuilt.new_id(old));
        self.attribute(rebuilt.world(), &known, book);
        // Old values are dropped by the code that made them, which may panic; they are gone
        // all the same.
        let _ = rebuilt.commit(world);
        Ok(Rebuild {
            runnables,
            others,
            took,
            reports,
            misfits: returned.misfits,
            lost_observers,
        })
    }

    fn may_fail_late(&self) -> bool {
        self.members.iter().any(Member::may_fail_late)
    }

    /// Migrations of the types that changed.
    fn migrations<'b>(
        &self,
        world: &World,
        book: &'b StateBook,
    ) -> Result<Vec<Conversion<'b>>, Refusal> {
        let mut migrations = Vec::new();
        for (index, ((new, _), change)) in self.types.types.iter().zip(self.changes).enumerate() {
            let Change::Changed(key) = change else {
                continue;
            };
            let (Some((component, old)), Some(side)) = (book.old_side(world, key), Side::of(new))
            else {
                continue;
            };
            let owner = self.owner(index);
            let refusal = |message| match owner {
                Some(owner) => owner.refusal(message),
                None => Refusal::from(message),
            };
            let _call = owner.map(|owner| call::enter(owner.call(Part::Values)));
            let made = panic::guard(|| {
                Migration::new(old, side, new.stored, &self.migrations, &book.limbo)
            });
            let made = made.map_err(|report| {
                refusal(format!(
                    "it panicked while the default value of `{}` was made: {}",
                    new.schema.path,
                    report.summary()
                ))
            })?;
            let made = made.map_err(refusal)?;
            migrations.push((component, new.stored, RefCell::new(made)));
        }
        Ok(migrations)
    }

    /// Copies of values that own something, where hooks may change them and fail after
    /// that: the old world has to keep its own.
    fn copies<'l>(&self, world: &World, book: &StateBook, limbo: &'l Limbo) -> Vec<Conversion<'l>> {
        if !self.may_fail_late() {
            return Vec::new();
        }
        let staying = book.owning(world, self.changes).into_iter();
        let staying = staying.filter_map(|(component, side)| {
            let stored = world.components().get_info(component)?.type_id()?;
            Some((component, stored, side.clone(), side))
        });
        let moving = self.types.types.iter().zip(self.changes);
        let moving = moving.filter_map(|((new, _), change)| {
            let Change::Moved(key) = change else {
                return None;
            };
            let (component, old) = book.old_side(world, key)?;
            let side = Side::of(new).filter(|_| is_copied(&old.schema))?;
            Some((component, new.stored, old, side))
        });
        let copy = |(component, stored, old, new)| {
            let copy = Migration::by_rules(old, new, limbo);
            (component, stored, RefCell::new(copy))
        };
        staying.chain(moving).map(copy).collect()
    }

    /// Prepares the versions and the other modules for the new world.
    fn prepare_all(
        &self,
        offers: Vec<Offer>,
        modules: &[ActiveModule],
        book: &StateBook,
        rebuilt: &mut Rebuilt,
    ) -> Result<Prepared, Refusal> {
        let world = rebuilt.world();
        self.rename_queues(world);
        self.put_hooks(modules, world, book);
        let mut known = Vec::new();
        let Entered {
            runnables,
            initialized,
        } = self.enter(offers, world, &mut known)?;
        let mut others = Vec::new();
        for active in modules {
            if self.replaces(active) {
                others.push(None);
                continue;
            }
            let again = again(active, world, &self.faults).map_err(|message| {
                format!(
                    "module `{}` could not be carried over into the rebuilt world: {message}",
                    active.name
                )
            })?;
            others.push(Some(again));
        }
        let returned = self.take_back(&initialized, world, &book.limbo);
        for member in &self.members {
            member.run_hooks(world)?;
        }
        Ok(Prepared {
            runnables,
            others,
            known,
            returned,
        })
    }

    /// Whether one of the versions takes the place of this one.
    fn replaces(&self, active: &ActiveModule) -> bool {
        self.members
            .iter()
            .any(|member| member.module == active.name)
    }

    /// Puts the hooks of all active versions, with these in the places of those before,
    /// behind the gates of a world.
    fn put_hooks(&self, modules: &[ActiveModule], world: &mut World, book: &StateBook) {
        let mut table = book.declared_hooks(world);
        for (state, kept) in &self.types.types {
            if let Some(component) = world.components().get_id(state.stored) {
                table.set(component, kept.hooks, None);
            }
        }
        for active in modules.iter().filter(|active| !self.replaces(active)) {
            active.component_hooks.put(world, &mut table);
        }
        for member in &self.members {
            member.component_hooks.put(world, &mut table);
        }
        world.insert_resource(table);
    }

    /// Readers of a message type that has got another name go on where they were.
    fn rename_queues(&self, world: &mut World) {
        for ((new, _), change) in self.types.types.iter().zip(self.changes) {
            if let Change::Moved((StateKind::Message, old))
            | Change::Changed((StateKind::Message, old)) = change
                && *old != new.schema.path
            {
                message::rename(world, old, &new.schema.path);
            }
        }
    }

    /// Runs the versions' own code for the first time: makes their types known and the
    /// resources that are missing, prepares their systems and observers. What they did is
    /// undone if one of them panics. `known` gets how many components the world knew before
    /// each.
    fn enter(
        &self,
        offers: Vec<Offer>,
        world: &mut World,
        known: &mut Vec<usize>,
    ) -> Result<Entered, Refusal> {
        let mut undo = Undo {
            types: &self.types.types,
            kept_before: keep::entities(world).into_iter().collect(),
            initialized: Vec::new(),
            spawned: Vec::new(),
            observers_before: observers_in(world),
            world,
        };
        let mut runnables = Vec::new();
        for (member, offer) in self.members.iter().zip(offers) {
            known.push(undo.world.components().num_registered());
            let first = undo.spawned.len();
            let _call = call::enter(member.call(Part::Setup));
            let made = panic::guard(|| {
                undo.initialize(member);
                undo.prepare(offer, member.key, &self.faults)
            });
            match made {
                Ok(systems) => runnables.push(Runnable {
                    systems,
                    observers: undo.spawned[first..].to_vec(),
                }),
                Err(report) => {
                    undo.roll_back();
                    return Err(member.refusal(prepare_failed(&report)));
                }
            }
        }
        Ok(Entered {
            runnables,
            initialized: undo.initialized,
        })
    }
}

fn prepare_failed(report: &PanicReport) -> String {
    format!(
        "it panicked while its systems were prepared: {}",
        report.summary()
    )
}

/// Prepares an active module for a new world.
fn again(
    active: &ActiveModule,
    world: &mut World,
    faults: &FaultQueue,
) -> Result<Runnable, String> {
    let _call = call::enter(Part::Setup.of(active.key.id));
    let description = panic::guard(|| {
        let mut builder = ModuleBuilder::new();
        (active.build)(&mut builder);
        builder.finish()
    });
    let mut description = description.map_err(|report| report.summary())?;
    sort_description(&mut description)?;
    let mut undo = Undo {
        types: &[],
        kept_before: HashSet::new(),
        initialized: Vec::new(),
        spawned: Vec::new(),
        observers_before: HashSet::new(),
        world,
    };
    let offer = (description.systems, description.observers);
    let systems = panic::guard(|| undo.prepare(offer, active.key, faults))
        .map_err(|report| prepare_failed(&report))?;
    Ok(Runnable {
        systems,
        observers: undo.spawned,
    })
}

/// A component, its type in the new world, and what makes the values.
type Conversion<'a> = (ComponentId, TypeId, RefCell<Migration<'a>>);

/// Takes the entities of old observers out of the new world, unless they carry more.
fn remove_bare_observers(rebuilt: &mut Rebuilt) {
    for observer in rebuilt.observers().to_vec() {
        let world = rebuilt.world();
        let entity = world.get_entity(observer.entity);
        if entity.is_ok_and(|entity| entity.archetype().component_count() == 0) {
            world.despawn(observer.entity);
        }
    }
}

/// A conversion that is a migration of the component's own type.
fn make_column<'m>(migration: &'m RefCell<Migration<'_>>) -> MakeColumn<'m> {
    Box::new(move |entities, from, to| {
        // SAFETY: a conversion gets as many values of the component, and room for as many
        // of the new type; the book knows what the component holds.
        unsafe { migration.borrow_mut().column(entities, from, to) }.map_err(|refusal| {
            ColumnError {
                entity: refusal.entity,
                message: refusal.message,
            }
        })
    })
}

/// Copies of what the engine and the ECS put into the world and what owns memory.
fn engine_copies(world: &World, treatments: &mut HashMap<ComponentId, Treatment<'_>>) {
    let mut add = |type_id: TypeId, treatment| {
        if let Some(component) = world.components().get_id(type_id) {
            treatments.insert(component, treatment);
        }
    };
    add(TypeId::of::<Name>(), Treatment::cloning::<Name>());
    add(TypeId::of::<Input>(), Treatment::cloning::<Input>());
    add(TypeId::of::<JobBoard>(), Treatment::cloning::<JobBoard>());
    add(TypeId::of::<Viewport>(), Treatment::cloning::<Viewport>());
    #[expect(
        clippy::cast_ptr_alignment,
        reason = "columns are aligned for their type"
    )]
    let make: MakeColumn<'static> = Box::new(|entities, from, to| {
        for row in 0..entities.len() {
            // SAFETY: this is registered for `Children` alone, and there is one for each
            // entity.
            let children = unsafe { &*from.cast::<Children>().add(row) };
            let copy = Children::from_collection_risky(children.iter().collect());
            // SAFETY: there is room for one for each entity.
            unsafe { to.cast::<Children>().add(row).write(copy) };
        }
        Ok(())
    });
    let to = TypeId::of::<Children>();
    add(to, Treatment::Convert { to, make });
}

/// Prepares the systems of an active module once more, for the world it runs in.
pub(super) fn systems_again(
    active: &ActiveModule,
    world: &mut World,
) -> Result<VersionSystems, String> {
    let _call = call::enter(Part::Setup.of(active.key.id));
    let made = panic::guard(|| {
        let mut builder = ModuleBuilder::new();
        (active.build)(&mut builder);
        let mut description = builder.finish();
        sort_description(&mut description)?;
        let mut systems = VersionSystems::default();
        for (index, (stage, config)) in description.systems.into_iter().enumerate() {
            let id = CallId::new(active.key.id, index as u32);
            systems.push(stage, RunnableSystem::initialize(config, id, world));
        }
        Ok(systems)
    });
    made.map_err(|report| prepare_failed(&report))?
}

/// Why a world could not be rebuilt, in the words of the game.
fn explain(error: &RebuildError, world: &World, book: &StateBook) -> String {
    match error {
        RebuildError::Conversion {
            component,
            entity,
            message,
        } => format!(
            "{} of entity {entity} cannot be carried over: {message}",
            book.name_of(world, *component)
        ),
        RebuildError::Undeclared {
            component,
            size,
            count,
            ..
        } => format!(
            "the world holds {count} values of {} ({size} bytes) that nobody registered, so they \
             cannot be carried over into the new layout; register it (`m.component::<T>()`)",
            book.name_of(world, *component)
        ),
        error => format!("the world could not be rebuilt for its new types: {error}"),
    }
}

/// What preparing versions did to the world, so that it can be taken back.
struct Undo<'a> {
    world: &'a mut World,
    types: &'a [(StateType, KeptType)],
    /// Entities of kept values that were there.
    kept_before: HashSet<Entity>,
    initialized: Vec<usize>,
    spawned: Vec<(Entity, Arc<ObserverGate>)>,
    observers_before: HashSet<Entity>,
}

/// Entities of all observers.
fn observers_in(world: &mut World) -> HashSet<Entity> {
    let mut observers = world.query_filtered::<Entity, With<Observer>>();
    observers.iter(world).collect()
}

impl Undo<'_> {
    fn initialize(&mut self, member: &Member) {
        for index in member.own {
            let (state, _) = &self.types[*index];
            (state.declare)(self.world);
            if (state.initialize)(self.world) {
                self.initialized.push(*index);
            }
        }
        for keep in member.keeps {
            (keep.create)(self.world);
        }
    }

    fn prepare(
        &mut self,
        (systems, observers): Offer,
        key: VersionKey,
        faults: &FaultQueue,
    ) -> VersionSystems {
        let first_observer = systems.len() as u32;
        let mut runnable = VersionSystems::default();
        for (index, (stage, config)) in systems.into_iter().enumerate() {
            let id = CallId::new(key.id, index as u32);
            runnable.push(stage, RunnableSystem::initialize(config, id, self.world));
        }
        for (index, observer) in observers.into_iter().enumerate() {
            let id = CallId::new(key.id, first_observer + index as u32);
            let gate = Arc::new(ObserverGate::new(id, faults.clone()));
            let entity = (observer.spawn)(self.world, gate.clone());
            self.spawned.push((entity, gate));
        }
        self.world.flush();
        runnable
    }

    fn roll_back(self) {
        for (_, gate) in self.spawned {
            gate.close();
        }
        // One more than was recorded, if an observer panicked while it was spawned.
        for entity in observers_in(self.world).difference(&self.observers_before) {
            let _ = panic::guard(|| self.world.despawn(*entity));
        }
        for entity in keep::entities(self.world) {
            if !self.kept_before.contains(&entity) {
                let _ = panic::guard(|| self.world.despawn(entity));
            }
        }
        for index in self.initialized {
            // The value's own drop may panic; the others must go all the same.
            let _ = panic::guard(|| (self.types[index].0.remove)(self.world));
        }
        let _ = panic::guard(|| self.world.flush());
    }
}
