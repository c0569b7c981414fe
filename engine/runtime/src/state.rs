//! What the world's types are made of, and which code they refer to.
//!
//! Types stay in the world when the version that brought them goes. The book keeps
//! their schemas, so that no later version reads values it would misunderstand, and
//! remembers whose code the world's component table points into.

pub(crate) mod references;

use std::any::TypeId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use engine_api::attach::{self, Attached};
use engine_api::bevy_ecs::component::{ComponentId, ComponentInfo};
use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::hierarchy::{ChildOf, Children};
use engine_api::bevy_ecs::name::Name;
use engine_api::bevy_ecs::observer::{ObservedBy, Observer};
use engine_api::bevy_ecs::resource::IsResource;
use engine_api::bevy_ecs::world::World;
use engine_api::bevy_reflect::{PartialReflect, TypeRegistry};
use engine_api::callback::{self, Callback};
use engine_api::component_hooks::{HookSet, HookTable};
use engine_api::event;
use engine_api::input::Input;
use engine_api::job::JobBoard;
use engine_api::keep::{self, KeepKey, KeptTypes};
use engine_api::message;
use engine_api::module::ModuleDescription;
use engine_api::observer::CallGate;
use engine_api::reload;
use engine_api::schema::Schema;
use engine_api::shared;
use engine_api::state::{StateKind, StateType, ValueFunctions};
use engine_api::time::Time;
use engine_api::viewport::Viewport;

use crate::checkpoint::restore::was_called;
use crate::limbo::Limbo;
use crate::migrate::Side;
use crate::registry::VersionKey;

mod types;

pub use types::{RegisteredType, StateTypes};

/// All state types that modules registered so far, and who brought each component.
pub struct StateBook {
    types: HashMap<(StateKind, String), KnownType>,
    /// Types of the engine and the ECS themselves: shared by all versions.
    engine: HashSet<TypeId>,
    /// Components of the world that a module brought, with that version.
    brought: HashMap<ComponentId, (String, VersionKey)>,
    /// Parts of values that the running types have no place for.
    pub(crate) limbo: Limbo,
}

/// How code that is never unloaded knows a type.
#[derive(Clone, Copy)]
pub struct KeptType {
    /// Makes it known to a world.
    pub declare: fn(&mut World),
    /// Its hooks.
    pub hooks: HookSet,
    /// See [`StateType::required`].
    pub required: u64,
    /// Reads and makes values; `None` for events.
    pub values: Option<ValueFunctions>,
    /// Adds it to a registry.
    pub reflect: Option<fn(&mut TypeRegistry)>,
    /// See [`StateType::send`].
    pub send: Option<fn(&mut World, &dyn PartialReflect) -> bool>,
}

impl KeptType {
    /// A type as `state` knows it, whose code must be kept.
    pub fn of(state: &StateType) -> Self {
        Self {
            declare: state.declare,
            hooks: state.hooks,
            required: state.required,
            values: state.values,
            reflect: state.reflect,
            send: state.send,
        }
    }
}

/// How the paths of kept values' types begin.
const KEPT: &str = "engine_api::keep::Kept<";

/// What a type is called in the book.
type TypeKey = (StateKind, String);

struct KnownType {
    stored: TypeId,
    schema: Schema,
    hash: u64,
    /// Modules whose active version registers it.
    users: BTreeSet<String>,
    /// Modules that ever registered it: any of their versions may have made values.
    makers: BTreeSet<String>,
    kept: KeptType,
}

impl KnownType {
    /// A type that no module registers yet.
    fn new(state: &StateType, kept: KeptType) -> Self {
        Self {
            stored: state.stored,
            hash: state.schema.hash(),
            schema: state.schema.clone(),
            users: BTreeSet::new(),
            makers: BTreeSet::new(),
            kept,
        }
    }

    /// Whether code that has the type as `new` says can use the world beside code that has it
    /// as it is known.
    fn is_same(&self, new: &StateType) -> bool {
        self.stored == new.stored && self.hash == new.schema.hash() && is_fixed_alike(self, new)
    }
}

/// What a version's type is to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nobody knew it.
    New,
    /// It is as it was.
    Same,
    /// Its layout is as it was. Its identity, its path, or what else a component table fixes
    /// of a type (see [`is_fixed_alike`]) is another.
    Moved(TypeKey),
    /// Values must be migrated.
    Changed(TypeKey),
}

impl Default for StateBook {
    fn default() -> Self {
        let engine = engine_types(&mut World::new());
        // The names of kept values are saved and restored like their values, and so are what
        // readers have heard, the observers of entities, callbacks, and what was said of reloads.
        let own = [
            StateType::component::<KeepKey>(),
            message::position_type(),
            StateType::component::<Attached>(),
            StateType::component::<Callback>(),
            reload::queue_type(),
        ];
        let known = own.map(|state| {
            let known = KnownType::new(&state, KeptType::of(&state));
            ((state.kind, known.schema.path.clone()), known)
        });
        let types = HashMap::from(known);
        Self {
            types,
            engine,
            brought: HashMap::new(),
            limbo: Limbo::default(),
        }
    }
}

impl StateBook {
    /// Compares the types of versions that are swapped together with those the world knows;
    /// one answer per type. `group` are their modules.
    ///
    /// # Errors
    /// A type that another module has from another build.
    pub(crate) fn compare<'t>(
        &self,
        group: &[&str],
        types: impl Iterator<Item = &'t StateType> + Clone,
    ) -> Result<Vec<Change>, String> {
        let taken: HashSet<_> = types
            .clone()
            .map(|state| (state.kind, state.schema.path.clone()))
            .collect();
        types
            .map(|new| self.compare_one(group, new, &taken))
            .collect()
    }

    fn compare_one(
        &self,
        group: &[&str],
        new: &StateType,
        taken: &HashSet<TypeKey>,
    ) -> Result<Change, String> {
        let key = (new.kind, new.schema.path.clone());
        let before = new.schema.renamed_from.0.iter();
        let mut names = before
            .map(|name| (new.kind, full_path(name, &new.schema.path)))
            .filter(|key| !taken.contains(key));
        let found = match self.types.get(&key) {
            Some(known) => Some((key, known)),
            None => names
                .find_map(|key| Some((key.clone(), self.types.get(&key)?)))
                .or_else(|| self.renamed_before(group, new, taken)),
        };
        let Some((key, known)) = found else {
            return Ok(Change::New);
        };
        let mut others = known.users.iter();
        let other = others.find(|user| !group.contains(&user.as_str()));
        // `Kept<u32>` belongs to everybody who keeps numbers.
        let fits = known.is_same(new) || key.1.starts_with(KEPT) && known.hash == new.schema.hash();
        if let Some(other) = other.filter(|_| !fits) {
            return Err(format!(
                "{} `{}` is used by module `{other}` as well, which has it from another build; \
                 build both, so that they are swapped together",
                new.kind.name(),
                key.1,
            ));
        }
        Ok(if known.hash != new.schema.hash() {
            Change::Changed(key)
        } else if known.stored != new.stored
            || key.1 != new.schema.path
            || !is_fixed_alike(known, new)
        {
            Change::Moved(key)
        } else {
            Change::Same
        })
    }

    /// The type that a new one was renamed to before: a rename that is taken back takes the
    /// values back.
    fn renamed_before(
        &self,
        group: &[&str],
        new: &StateType,
        taken: &HashSet<TypeKey>,
    ) -> Option<(TypeKey, &KnownType)> {
        let is_it = |(key, known): &(&TypeKey, &KnownType)| {
            key.0 == new.kind
                && group.iter().any(|module| known.makers.contains(*module))
                && was_called(&known.schema, &new.schema.path)
                && !taken.contains(key)
        };
        let found = self.types.iter().filter(is_it);
        let (key, known) = found.min_by_key(|(key, _)| &key.1)?;
        Some((key.clone(), known))
    }

    /// Whether changes need a new world: values have to be carried over, or the world's
    /// table has the type with another layout.
    pub(crate) fn needs_rebuild(
        &self,
        world: &World,
        types: &[(StateType, KeptType)],
        changes: &[Change],
    ) -> bool {
        let live = live_counts(world);
        types.iter().zip(changes).any(|((new, _), change)| {
            let (Change::Moved(key) | Change::Changed(key)) = change else {
                return false;
            };
            let Some(old) = self.types.get(key).filter(|_| new.values.is_some()) else {
                return false;
            };
            let id = world.components().get_id(old.stored);
            let registered = id.is_some() && old.stored == new.stored;
            let has_values = id.is_some_and(|id| live.get(&id).is_some_and(|count| *count > 0));
            match change {
                Change::Moved(_) if registered => !is_fixed_alike(old, new),
                Change::Moved(_) => has_values,
                _ => registered || has_values,
            }
        })
    }

    /// What the world holds of a type that changes: its component, and the type as the
    /// code knows it that brought it.
    pub(crate) fn old_side(&self, world: &World, key: &TypeKey) -> Option<(ComponentId, Side)> {
        let known = self.types.get(key)?;
        let side = Side {
            schema: known.schema.clone(),
            values: known.kept.values?,
            reflect: known.kept.reflect?,
        };
        Some((world.components().get_id(known.stored)?, side))
    }

    /// Components of types that stay as they are and whose values own something, with how
    /// they are read and made.
    pub(crate) fn owning(&self, world: &World, changes: &[Change]) -> Vec<(ComponentId, Side)> {
        let is_changing = |key: &TypeKey| {
            changes.iter().any(|change| match change {
                Change::Moved(old) | Change::Changed(old) => old == key,
                _ => false,
            })
        };
        let owning = self
            .types
            .iter()
            .filter(|(key, known)| is_copied(&known.schema) && !is_changing(key));
        owning
            .filter_map(|(key, _)| self.old_side(world, key))
            .collect()
    }

    /// Makes all types known to a blank world: those of the engine, those of all modules,
    /// and those of a version in place of the ones that they replace.
    pub(crate) fn declarations(
        &self,
        types: &[(StateType, KeptType)],
        changes: &[Change],
    ) -> Vec<fn(&mut World)> {
        let replaced: HashSet<&TypeKey> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Moved(key) | Change::Changed(key) => Some(key),
                _ => None,
            })
            .collect();
        let stay = self.types.iter().filter(|(key, _)| !replaced.contains(key));
        // In a fixed order, so that worlds are alike from run to run.
        let mut stay: Vec<_> = stay
            .map(|(key, known)| (&key.1, known.kept.declare))
            .collect();
        stay.sort_by_key(|(path, _)| *path);
        let new = types.iter().map(|(_, kept)| kept.declare);
        let engine: fn(&mut World) = declare_engine_types;
        // New ones first: an old type that nobody registers any more may require one, and
        // would make it known with its old layout.
        std::iter::once(engine)
            .chain(new)
            .chain(stay.into_iter().map(|(_, declare)| declare))
            .collect()
    }

    /// The hooks of all types, as code that stays mapped has them.
    pub(crate) fn declared_hooks(&self, world: &World) -> HookTable {
        let mut table = HookTable::default();
        for known in self.types.values() {
            if let Some(component) = world.components().get_id(known.stored) {
                table.set(component, known.kept.hooks, None);
            }
        }
        table
    }

    /// Takes over the types of versions that were swapped together; `registered` is which of
    /// them each module registers. Types that a module no longer registers stay known, since
    /// their values stay in the world.
    pub(crate) fn adopt(
        &mut self,
        registered: &[(String, Vec<usize>)],
        types: &[(StateType, KeptType)],
        changes: &[Change],
    ) {
        for (module, _) in registered {
            self.leave(module);
        }
        let mut before: HashMap<TypeKey, KnownType> = HashMap::new();
        for ((new, _), change) in types.iter().zip(changes) {
            if let Change::Moved(key) | Change::Changed(key) = change
                && let Some(old) = self.types.remove(key)
            {
                before.insert((new.kind, new.schema.path.clone()), old);
            }
        }
        for (module, indices) in registered {
            for (new, kept) in indices.iter().map(|index| &types[*index]) {
                let key = (new.kind, new.schema.path.clone());
                let before = before.remove(&key);
                let known = self.types.entry(key).or_insert_with(|| {
                    let mut known = KnownType::new(new, *kept);
                    if let Some(before) = before {
                        (known.users, known.makers) = (before.users, before.makers);
                    }
                    known
                });
                // The same, but made by code that runs: unused parts of a schema may look like
                // references to the code that made it.
                known.schema = new.schema.clone();
                known.users.insert(module.clone());
                known.makers.insert(module.clone());
            }
        }
    }

    /// A module has no active version any more. Its types stay known.
    pub(crate) fn leave(&mut self, module: &str) {
        for known in self.types.values_mut() {
            known.users.remove(module);
        }
    }

    /// A module has another name from now on.
    pub(crate) fn rename_module(&mut self, from: &str, to: &str) {
        for known in self.types.values_mut() {
            for names in [&mut known.users, &mut known.makers] {
                if names.remove(from) {
                    names.insert(to.to_owned());
                }
            }
        }
        for (module, _) in self.brought.values_mut() {
            if module == from {
                to.clone_into(module);
            }
        }
    }

    /// Remembers those types of versions that failed which the world got to know on the
    /// way: its component table keeps their layout, whatever the next version says.
    pub(crate) fn adopt_declared(
        &mut self,
        world: &World,
        registered: &[(String, Vec<usize>)],
        types: &[(StateType, KeptType)],
        changes: &[Change],
    ) {
        for (module, indices) in registered {
            for index in indices {
                let (new, kept) = &types[*index];
                let is_new = changes.get(*index) == Some(&Change::New);
                if !is_new || world.components().get_id(new.stored).is_none() {
                    continue;
                }
                let key = (new.kind, new.schema.path.clone());
                let known = self.types.entry(key);
                let known = known.or_insert_with(|| KnownType::new(new, *kept));
                known.makers.insert(module.clone());
            }
        }
    }

    /// The ids that components have after a rebuild.
    pub(crate) fn renumber(&mut self, new_id: impl Fn(ComponentId) -> Option<ComponentId>) {
        let brought = std::mem::take(&mut self.brought);
        self.brought = brought
            .into_iter()
            .filter_map(|(old, by)| Some((new_id(old)?, by)))
            .collect();
    }

    /// The path of the type that is stored under a component, for people.
    pub(crate) fn name_of(&self, world: &World, component: ComponentId) -> String {
        let type_id = world
            .components()
            .get_info(component)
            .and_then(ComponentInfo::type_id);
        let known = self
            .types
            .iter()
            .find(|(_, known)| Some(known.stored) == type_id);
        known.map_or_else(
            || "an unregistered component".to_owned(),
            |((kind, path), _)| format!("{} `{path}`", kind.name()),
        )
    }

    /// Values in the world of types that a module brought and nobody registered;
    /// a new version could read them with another layout.
    pub fn unknown_values(&self, world: &World, module: &str) -> Option<String> {
        let live = live_counts(world);
        world.components().iter_registered().find_map(|(id, info)| {
            let (brought_by, _) = self.brought.get(&id)?;
            let count = live.get(&id).copied().filter(|count| *count > 0)?;
            let known = self
                .types
                .values()
                .any(|known| Some(known.stored) == info.type_id());
            (brought_by == module && !known && info.layout().size() > 0).then(|| {
                format!(
                    "the world holds {count} values of a component of {} bytes that the running \
                     version never registered, so nothing tells whether its layout changed; \
                     register it (`m.component::<T>()`) and restart the host",
                    info.layout().size()
                )
            })
        })
    }

    /// All types that modules registered so far, by kind and path: identity in the world,
    /// schema (with the path), a module that registers it, and how code that stays mapped knows
    /// them.
    pub(crate) fn known_types(&self) -> Vec<(StateKind, TypeId, &Schema, &str, KeptType)> {
        let mut types: Vec<_> = self
            .types
            .iter()
            .map(|((kind, _), known)| {
                let mut modules = known.users.iter().chain(&known.makers);
                let module = modules.next().map_or("", String::as_str);
                (*kind, known.stored, &known.schema, module, known.kept)
            })
            .collect();
        types.sort_by_key(|(kind, _, schema, ..)| (kind.name(), &schema.path));
        types
    }

    /// The types that active modules register, and what the engine itself sends.
    fn registered(&self) -> impl Iterator<Item = (StateKind, &KnownType)> {
        let types = self.types.iter();
        types
            .filter(|((_, path), known)| {
                let is_registered = !known.users.is_empty() && !path.starts_with(KEPT);
                is_registered || known.stored == reload::queue_id()
            })
            .map(|((kind, _), known)| (*kind, known))
    }

    /// Short names of all components with values, and of all resources, for display.
    pub fn names(&self) -> impl Iterator<Item = (StateKind, TypeId, &str)> {
        let own = self
            .types
            .iter()
            .filter(|(_, known)| !known.makers.is_empty());
        own.map(|((kind, path), known)| {
            (
                *kind,
                known.stored,
                path.rsplit("::").next().unwrap_or(path),
            )
        })
    }
}

/// Whether a world that knows a type need not be made anew for a version that has the type
/// with the same layout: what its component table keeps of it beside that fits.
fn is_fixed_alike(known: &KnownType, new: &StateType) -> bool {
    known.kept.hooks.kinds() == new.hooks.kinds() && known.kept.required == new.required
}

/// Whether two versions of this moment have the same type, so that they can share its values.
pub(crate) fn is_alike(one: &StateType, other: &StateType) -> bool {
    let is_kept = one.schema.path.starts_with(KEPT);
    one.schema.hash() == other.schema.hash()
        && (is_kept || one.stored == other.stored)
        && one.hooks.kinds() == other.hooks.kinds()
        && one.required == other.required
}

/// A path that was written without its module means the module of `beside`.
fn full_path(name: &str, beside: &str) -> String {
    match beside.rsplit_once("::") {
        Some((module, _)) if !name.contains("::") => format!("{module}::{name}"),
        _ => name.to_owned(),
    }
}

/// How many values of each component are in the world. Costs a walk over the
/// archetypes, not over entities.
pub fn live_counts(world: &World) -> HashMap<ComponentId, u64> {
    let mut counts = HashMap::new();
    for archetype in world.archetypes().iter() {
        let length = u64::from(archetype.len());
        if length > 0 {
            for component in archetype.iter_components() {
                *counts.entry(component).or_insert(0) += length;
            }
        }
    }
    for (component, data) in world.storages().non_sends.iter() {
        if data.is_present() {
            *counts.entry(component).or_insert(0) += 1;
        }
    }
    counts
}

/// Whether values that two worlds hold are copied rather than shared: they own something, and
/// reflection sees all of it.
pub(crate) fn is_copied(schema: &Schema) -> bool {
    schema.needs_drop && schema.parts_that_may_hold_code().is_empty()
}

/// Makes a world know the types that the engine and the ECS themselves put into it.
pub fn declare_engine_types(world: &mut World) {
    world.register_component::<ChildOf>();
    world.register_component::<Children>();
    world.register_component::<Name>();
    world.register_component::<Observer>();
    world.register_component::<ObservedBy>();
    world.register_component::<Disabled>();
    world.register_component::<Time>();
    world.register_component::<Input>();
    world.register_component::<Viewport>();
    world.register_component::<JobBoard>();
    world.register_component::<HookTable>();
    world.register_component::<StateTypes>();
    attach::declare(world);
    callback::declare(world);
    keep::declare(world);
    message::declare(world);
    event::declare(world);
    reload::declare(world);
    shared::declare(world);
}

/// Types that the engine and the ECS themselves put into worlds.
fn engine_types(world: &mut World) -> HashSet<TypeId> {
    declare_engine_types(world);
    world
        .components()
        .iter_registered()
        .filter_map(|(_, info)| info.type_id())
        .collect()
}

/// Finds types that a version's systems use and the version does not register, by
/// preparing its systems for a world of their own. Runs off the frame loop; takes
/// the description, since systems belong to the first world they were prepared for.
///
/// Returns the types of values that systems keep (`Keep<T>`): nobody registers those, they
/// are found here.
///
/// # Errors
/// Which system uses such a type, and what to do.
pub fn check_registrations(mut description: ModuleDescription) -> Result<Vec<StateType>, String> {
    let mut world = World::new();
    let mut known = engine_types(&mut world);
    world.init_resource::<KeptTypes>();
    for state in &description.types {
        (state.declare)(&mut world);
        known.insert(state.stored);
    }
    let mut checked: HashSet<ComponentId> = world
        .components()
        .iter_registered()
        .map(|(id, _)| id)
        .collect();
    let mut check = |world: &World, what: &str, name: &str| {
        for (id, info) in world.components().iter_registered() {
            let new = checked.insert(id);
            let kept = world.resource::<KeptTypes>();
            let registered = info.type_id().is_some_and(|type_id| {
                known.contains(&type_id) || kept.0.iter().any(|kept| kept.stored == type_id)
            });
            if new && !registered && info.layout().size() > 0 {
                return Err(format!(
                    "{what} `{name}` uses a component, resource or message of {} bytes that the \
                     module does not register; add it to the module function \
                     (`m.component::<T>()`, `m.resource::<T>()` or `m.message::<T>()`)",
                    info.layout().size()
                ));
            }
        }
        Ok(())
    };
    for (_, config) in &mut description.systems {
        config.initialize(&mut world);
        check(&world, "system", &config.name)?;
    }
    for observer in description.observers {
        (observer.spawn)(&mut world, Arc::new(NeverCalled));
        world.flush();
        check(&world, "observer", &observer.name)?;
    }
    let kept = world.remove_resource::<KeptTypes>();
    let registered: HashSet<TypeId> = description.types.iter().map(|state| state.stored).collect();
    let mut kept = kept.map_or_else(Vec::new, |kept| kept.0);
    kept.retain(|state| !registered.contains(&state.stored));
    Ok(kept)
}

/// The gate of observers that are only prepared.
struct NeverCalled;

impl CallGate for NeverCalled {
    fn enter(&self) -> bool {
        false
    }
    fn exit(&self, _panic: Option<String>) {}
}

/// Entities that carry game data: those that are neither resources nor observers.
pub fn game_entities(world: &World) -> u64 {
    let engine: Vec<ComponentId> = [
        TypeId::of::<Observer>(),
        TypeId::of::<IsResource>(),
        TypeId::of::<KeepKey>(),
        TypeId::of::<Callback>(),
    ]
    .into_iter()
    .filter_map(|type_id| world.components().get_id(type_id))
    .collect();
    let of_the_game = world.archetypes().iter().filter(|archetype| {
        !engine
            .iter()
            .any(|component| archetype.contains(*component))
    });
    of_the_game
        .map(|archetype| u64::from(archetype.len()))
        .sum()
}

#[cfg(test)]
mod tests;
