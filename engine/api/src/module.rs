//! The module builder and the description it collects.

use std::any::{TypeId, type_name};
use std::fmt::Display;
use std::time::Duration;

use bevy_ecs::component::Component;
use bevy_ecs::event::{EntityEvent, Event, EventPattern};
use bevy_ecs::message::Message;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::IntoObserverSystem;
use bevy_ecs::world::{FromWorld, World};
use bevy_reflect::{FromReflect, GetTypeRegistration, PartialReflect, Reflect, TypePath, Typed};

use crate::asset::AssetRegistration;
use crate::attach;
use crate::callback::{self, CallbackFunction};
use crate::event::{self, ReflectedEvent};
use crate::function::{FunctionRegistration, ModuleFunction};
use crate::hook::{HookResult, Hooks, Reload, Unloaded};
use crate::input::Key;
use crate::job::{JobResult, JobResultType};
use crate::keep::{KeepRegistration, KeepStatic, KeepValue, Kept};
use crate::migration::{MigrationRegistration, MigrationValue};
use crate::observer::ObserverRegistration;
use crate::shared::{self, SharedRegistration, SharedState};
use crate::state::StateType;
use crate::system::{IntoSystems, SystemConfig, Trigger};

/// When in a frame a system runs. All stages run on the frame thread, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Once, when the module's first version becomes active.
    Startup,
    /// Every frame, first: timers and key handlers run here too.
    PreUpdate,
    /// Every frame: the rules of the game.
    Update,
    /// Every frame: what follows from the rules.
    PostUpdate,
    /// Every frame, last: drawing into the [`Viewport`](crate::viewport::Viewport).
    Render,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 5] = [
        Self::Startup,
        Self::PreUpdate,
        Self::Update,
        Self::PostUpdate,
        Self::Render,
    ];

    /// The stage's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::PreUpdate => "PreUpdate",
            Self::Update => "Update",
            Self::PostUpdate => "PostUpdate",
            Self::Render => "Render",
        }
    }
}

/// Everything a module registered, in order.
#[derive(Default)]
pub struct ModuleDescription {
    /// Components, resources, events and messages.
    pub types: Vec<StateType>,
    /// Systems with their stage.
    pub systems: Vec<(Stage, SystemConfig)>,
    /// Observers.
    pub observers: Vec<ObserverRegistration>,
    /// Functions callable by name.
    pub functions: Vec<FunctionRegistration>,
    /// Assets.
    pub assets: Vec<AssetRegistration>,
    /// What is wrong with the registrations themselves; a version with errors is
    /// rejected.
    pub errors: Vec<String>,
    /// What the module does when versions change.
    pub hooks: Hooks,
    /// Statics whose values lie in the world.
    pub keeps: Vec<KeepRegistration>,
    /// Written migrations.
    pub migrations: Vec<MigrationRegistration>,
    /// Structs in the shared region.
    pub shared: Vec<SharedRegistration>,
    /// Types of the results of jobs.
    pub results: Vec<JobResultType>,
    /// Paths of the functions that can be called back.
    pub callbacks: Vec<String>,
}

/// Collects what a module offers. Everything registered belongs to the version
/// that registered it and goes with it; data in the world stays.
#[derive(Default)]
pub struct ModuleBuilder {
    description: ModuleDescription,
}

impl ModuleBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was registered.
    pub fn finish(self) -> ModuleDescription {
        self.description
    }

    /// A component type. Every component that a module uses should be registered:
    /// only then can the engine tell when its layout changes.
    pub fn component<T>(&mut self) -> &mut Self
    where
        T: Component + Reflect + FromReflect + Typed + GetTypeRegistration,
    {
        self.state(StateType::component::<T>())
    }

    /// A resource, made from its `Default` (or `FromWorld`) if the world has none yet.
    pub fn resource<T>(&mut self) -> &mut Self
    where
        T: Resource + FromWorld + Reflect + FromReflect + Typed + GetTypeRegistration,
    {
        self.state(StateType::resource::<T>())
    }

    /// An event type that observers hear of. For scripts see
    /// [`ModuleBuilder::reflected_event`].
    pub fn event<T: Event + TypePath>(&mut self) -> &mut Self {
        self.state(StateType::event::<T>())
    }

    /// An event type that observers hear of, and that scripts trigger (`world:trigger`) and
    /// hear (`engine.on`) as well; it derives `Reflect`. Modules that share the type register
    /// it the same way. Each event costs one more observer. See [`crate::event`].
    pub fn reflected_event<T: ReflectedEvent>(&mut self) -> &mut Self {
        let state = StateType::reflected_event::<T>();
        let types = &mut self.description.types;
        types.retain(|other| other.kind != state.kind || other.stored != state.stored);
        types.push(state);
        let hearing = event::hearing::<T>();
        let mut others = self.description.observers.iter();
        if others.all(|other| other.name != hearing.name) {
            self.description.observers.push(hearing);
        }
        self
    }

    /// A message type: systems write it with `MessageWriter` and read it with
    /// `MessageReader`; it is forgotten after two frames.
    pub fn message<T>(&mut self) -> &mut Self
    where
        T: Message + Reflect + FromReflect + Typed + GetTypeRegistration,
    {
        self.state(StateType::message::<T>())
    }

    /// An event type that is the result of jobs. See [`crate::job`].
    pub fn job_result<T: JobResult>(&mut self) -> &mut Self {
        let result = JobResultType::of::<T>();
        if self
            .description
            .results
            .iter()
            .all(|known| known.id != result.id)
        {
            self.description.results.push(result);
        }
        self.event::<T>()
    }

    /// A resource read from the RON file `path` below the assets folder, now and
    /// whenever the file changes. Until it was read once, the resource is its `Default`.
    pub fn asset<T>(&mut self, path: &str) -> &mut Self
    where
        T: Resource + FromReflect + Typed + GetTypeRegistration + Default,
    {
        self.asset_checked::<T>(path, |_| Ok(()))
    }

    /// Like [`ModuleBuilder::asset`]; values that `check` refuses are reported
    /// and the last good one stays.
    pub fn asset_checked<T>(&mut self, path: &str, check: fn(&T) -> Result<(), String>) -> &mut Self
    where
        T: Resource + FromReflect + Typed + GetTypeRegistration + Default,
    {
        self.resource::<T>();
        self.description
            .assets
            .push(AssetRegistration::new::<T>(path, check));
        self
    }

    /// Systems of a stage, in order.
    pub fn systems<M>(&mut self, stage: Stage, systems: impl IntoSystems<M>) -> &mut Self {
        for mut system in systems.into_systems().into_vec() {
            let others = self.description.systems.iter();
            system.occurrence = 1 + others
                .filter(|(_, other)| other.name == system.name)
                .count();
            self.description.systems.push((stage, system));
        }
        self
    }

    /// Systems that run each time `period` of game time has passed.
    pub fn every<M>(&mut self, period: Duration, systems: impl IntoSystems<M>) -> &mut Self {
        if period.is_zero() {
            self.description
                .errors
                .push("`every` needs a period over zero".to_owned());
            return self;
        }
        self.systems(
            Stage::PreUpdate,
            systems.into_systems().triggered(Trigger::Every(period)),
        )
    }

    /// Systems that run when a key goes down.
    pub fn on_key<M>(&mut self, key: Key, systems: impl IntoSystems<M>) -> &mut Self {
        self.systems(
            Stage::PreUpdate,
            systems.into_systems().triggered(Trigger::Pressed(key)),
        )
    }

    /// An observer: a system whose first parameter is `On<Event>`.
    pub fn observe<E, M, I>(&mut self, observer: I) -> &mut Self
    where
        E: EventPattern,
        I: IntoObserverSystem<E, M>,
        I::System: Sync,
    {
        let occurrence = self.occurrence_of_observer(type_name::<I>());
        self.description
            .observers
            .push(ObserverRegistration::new(observer, occurrence));
        self
    }

    /// An observer that hears events of those entities alone that it is attached to
    /// (`commands.entity(e).attach(observer)`). Each event of its type costs a look at the
    /// entity's component, whether it is attached or not. See [`crate::attach`].
    ///
    /// Closures and function pointers are refused: entities know it by its path.
    pub fn entity_observer<E, M, I>(&mut self, observer: I) -> &mut Self
    where
        E: EventPattern<Event: EntityEvent>,
        I: IntoObserverSystem<E, M>,
        I::System: Sync,
    {
        let name = type_name::<I>();
        let mut others = self.description.observers.iter();
        if others.any(|other| other.attachable && other.name == name) {
            let error = format!("`{name}` is registered twice; remove one `entity_observer`");
            return self.check(Err(error));
        }
        let occurrence = self.occurrence_of_observer(name);
        self.description
            .observers
            .push(ObserverRegistration::attachable(observer, occurrence));
        self.check(attach::check_path(name))
    }

    /// A function that systems have called back later: `commands.run_after(delay, explode,
    /// bomb)`. See [`crate::callback`].
    ///
    /// Closures and function pointers are refused: what waits knows its function by its path.
    pub fn callback<T: KeepValue, M, F: CallbackFunction<T, M>>(
        &mut self,
        function: F,
    ) -> &mut Self {
        let name = type_name::<F>();
        if self.description.callbacks.iter().any(|known| known == name) {
            let error = format!("`{name}` is registered twice; remove one `callback`");
            return self.check(Err(error));
        }
        self.description.callbacks.push(name.to_owned());
        let system = callback::configure(name, TypeId::of::<F>(), function.into_callback());
        self.description.systems.push((Stage::PreUpdate, system));
        self.component::<Kept<T>>()
            .check(callback::check_path(name))
    }

    /// Which observer of this name the next one is, from 1.
    fn occurrence_of_observer(&self, name: &str) -> usize {
        let others = self.description.observers.iter();
        1 + others.filter(|other| other.name == name).count()
    }

    /// A function that can be called by name. See [`crate::function`].
    pub fn function<M>(&mut self, name: &str, function: impl ModuleFunction<M>) -> &mut Self {
        if self
            .description
            .functions
            .iter()
            .any(|other| other.name == name)
        {
            self.description
                .errors
                .push(format!("function `{name}` is registered twice"));
            return self;
        }
        self.description.functions.push(function.register(name));
        self
    }

    /// Runs in this version when the next one is about to replace it: bytes for that
    /// one's [`ModuleBuilder::on_load`]. An error keeps this version. See [`crate::hook`].
    pub fn on_unload<R: HookResult<Vec<u8>>>(
        &mut self,
        hook: impl Fn(&mut World) -> R + Send + Sync + 'static,
    ) -> &mut Self {
        let set = self.description.hooks.set_on_unload(hook);
        self.check(set)
    }

    /// Runs when this version gets in, with what the version before left; `None` for the
    /// first version. An error refuses this version. See [`crate::hook`].
    pub fn on_load<R: HookResult<()>>(
        &mut self,
        hook: impl Fn(&mut World, Option<Unloaded>) -> R + Send + Sync + 'static,
    ) -> &mut Self {
        let set = self.description.hooks.set_on_load(hook);
        self.check(set)
    }

    /// Runs once when this version has replaced another, after the values of changed
    /// types were migrated. An error refuses this version. See [`crate::hook`].
    pub fn after_reload<R: HookResult<()>>(
        &mut self,
        hook: impl Fn(&mut World, Reload) -> R + Send + Sync + 'static,
    ) -> &mut Self {
        let set = self.description.hooks.set_after_reload(hook);
        self.check(set)
    }

    /// How values of an old type become values of a new one, where carrying them over by
    /// name is not what is meant; `A` is a copy of the old type. See [`crate::migration`].
    pub fn migrate<A: MigrationValue, B: MigrationValue>(
        &mut self,
        migrate: impl Fn(A) -> B + Send + Sync + 'static,
    ) -> &mut Self {
        self.try_migrate(move |old| Ok::<B, String>(migrate(old)))
    }

    /// Like [`ModuleBuilder::migrate`]; an error refuses the version.
    pub fn try_migrate<A: MigrationValue, B: MigrationValue, E: Display>(
        &mut self,
        migrate: impl Fn(A) -> Result<B, E> + Send + Sync + 'static,
    ) -> &mut Self {
        let migrate = move |old| migrate(old).map_err(|error| error.to_string());
        let registration = MigrationRegistration::typed(migrate);
        self.description.migrations.push(registration);
        self
    }

    /// Like [`ModuleBuilder::try_migrate`], from what reflection sees of the old value.
    /// `fields` are the fields the old type must have: name and path of the type
    /// (`("current", "u32")`).
    pub fn migrate_reflected<B: MigrationValue, E: Display>(
        &mut self,
        fields: &[(&str, &str)],
        migrate: impl Fn(&dyn PartialReflect) -> Result<B, E> + Send + Sync + 'static,
    ) -> &mut Self {
        let migrate =
            move |old: &dyn PartialReflect| migrate(old).map_err(|error| error.to_string());
        let registration = MigrationRegistration::reflected(fields, migrate);
        self.description.migrations.push(registration);
        self
    }

    /// A static declared with [`keep_static!`](crate::keep_static), whose value survives
    /// reloads.
    pub fn keep<T: KeepValue>(&mut self, keep: &'static KeepStatic<T>) -> &mut Self {
        let registration = KeepRegistration::new(keep);
        if self
            .description
            .keeps
            .iter()
            .any(|other| other.key == registration.key)
        {
            let error = format!("`{}` is registered twice; remove one `keep`", keep.key());
            return self.check(Err(error));
        }
        self.description.keeps.push(registration);
        self.component::<Kept<T>>()
    }

    /// A struct in the shared region, marked with
    /// [`#[shared_state]`](crate::shared_state). See [`crate::shared`].
    pub fn shared_state<T: SharedState>(&mut self) -> &mut Self {
        match shared::register::<T>() {
            Ok(new) => {
                let known = &mut self.description.shared;
                if !known
                    .iter()
                    .any(|known| known.layout.name == new.layout.name)
                {
                    known.push(new);
                }
                self
            }
            Err(error) => self.check(Err(error)),
        }
    }

    fn check(&mut self, registered: Result<(), String>) -> &mut Self {
        self.description.errors.extend(registered.err());
        self
    }

    fn state(&mut self, state: StateType) -> &mut Self {
        let types = &mut self.description.types;
        if !types
            .iter()
            .any(|other| other.kind == state.kind && other.stored == state.stored)
        {
            types.push(state);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[derive(Component, Reflect, Default)]
    struct Health(f32);
    #[derive(Resource, Reflect, Default)]
    struct Score(u32);
    #[derive(Message, Reflect)]
    struct Hit(u32);
    #[derive(Event, TypePath)]
    struct Won;

    fn tick(_: Query<&mut Health>) {}
    fn won(_: On<Won>) {}
    fn add(a: i32, b: i32) -> i32 {
        a + b
    }

    #[test]
    fn a_builder_collects_in_order_and_once() {
        let mut m = ModuleBuilder::new();
        m.component::<Health>()
            .component::<Health>()
            .resource::<Score>()
            .message::<Hit>()
            .event::<Won>()
            .systems(Update, (tick, tick.run_if(resource_exists::<Score>)))
            .every(Duration::from_secs(1), tick)
            .on_key(Key::Enter, || {})
            .observe(won)
            .function("add", add);
        let description = m.finish();
        assert_eq!(description.types.len(), 4);
        assert_eq!(description.systems.len(), 4);
        assert_eq!(description.systems[1].1.conditions.len(), 1);
        assert_eq!(
            description.systems[3].1.trigger,
            Trigger::Pressed(Key::Enter)
        );
        assert_eq!(description.observers.len(), 1);
        assert_eq!(description.functions[0].name, "add");
        assert!(description.errors.is_empty());
    }

    #[test]
    fn mistakes_become_errors_not_panics() {
        let mut m = ModuleBuilder::new();
        m.every(Duration::ZERO, tick)
            .function("add", add)
            .function("add", add);
        assert_eq!(m.finish().errors.len(), 2);
    }

    #[test]
    fn the_attribute_exports_an_entry_of_this_build() {
        mod inner {
            use crate::prelude::*;
            #[module]
            pub fn sample(m: &mut ModuleBuilder) {
                m.function("answer", || 42_i32);
            }
        }
        let entry = &inner::LIVELOOP_MODULE_SAMPLE;
        assert_eq!(entry.token, crate::abi::AbiToken::CURRENT);
        let mut m = ModuleBuilder::new();
        (entry.build)(&mut m);
        assert_eq!(m.finish().functions.len(), 1);
        assert_eq!(crate::abi::entry_symbol("sample"), "liveloop_module_sample");
    }
}
