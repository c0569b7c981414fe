//! The types that a module keeps in the world, as one version of it knows them.

use std::any::{TypeId, type_name};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use bevy_ecs::component::{
    Component, ComponentId, Immutable, RequiredComponentsRegistrator, StorageType,
};
use bevy_ecs::entity::Entity;
use bevy_ecs::event::Event;
use bevy_ecs::message::{Message, Messages};
use bevy_ecs::ptr::{Ptr, PtrMut};
use bevy_ecs::resource::Resource;
use bevy_ecs::world::{FromWorld, World};
use bevy_reflect::{
    FromReflect, GetTypeRegistration, PartialReflect, Reflect, TypePath, TypeRegistry, Typed,
};

use crate::component_hooks::{self, HookSet};
use crate::event::ReflectedEvent;
use crate::message;
use crate::schema::{Note, Schema, reflected_types};

/// What a state type is used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateKind {
    /// Data of entities.
    Component,
    /// Data there is one of.
    Resource,
    /// Something that observers hear of.
    Event,
    /// Something that systems read from a queue.
    Message,
}

impl StateKind {
    /// The kind's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Resource => "resource",
            Self::Event => "event",
            Self::Message => "message",
        }
    }
}

/// A type that lives in the world, as one version of a module knows it.
pub struct StateType {
    /// What it is used as.
    pub kind: StateKind,
    /// Identity of the type that is stored in the world (for a message its queue).
    pub stored: TypeId,
    /// What it is made of; for a message its queue.
    pub schema: Schema,
    /// See [`reflected_types`].
    pub reflected: Vec<TypeId>,
    /// Hooks, as this version has them; a world calls them through gates (see
    /// [`component_hooks`](crate::component_hooks)).
    pub hooks: HookSet,
    /// Makes the type known to a world, with gates in place of its hooks.
    pub declare: fn(&mut World),
    /// Spawns an entity with all that a component requires and without itself; `None` for
    /// what is no component.
    pub spawn_required: Option<fn(&mut World) -> Entity>,
    /// Hash of what the constructors of required components make. 0 until the engine has
    /// tried them, and if nothing is required.
    pub required: u64,
    /// Puts the first value of a resource into the world unless there is one.
    /// Returns whether it did.
    pub initialize: fn(&mut World) -> bool,
    /// Takes a resource out of the world again.
    pub remove: fn(&mut World),
    /// Adds it to a reflection registry.
    pub reflect: Option<fn(&mut TypeRegistry)>,
    /// Called once a frame: a message queue forgets what is two frames old.
    pub end_frame: Option<fn(&mut World)>,
    /// How values are read and made; `None` for events, which are not kept.
    pub values: Option<ValueFunctions>,
    /// Makes a message from a reflected one (`FromReflect`) and sends it, or an event and
    /// triggers it. `false` if something of it is missing, or there is no queue. `None` for
    /// what is neither, and for events without reflection.
    pub send: Option<fn(&mut World, &dyn PartialReflect) -> bool>,
}

/// What the engine can do with values of a type it does not know, through the code of
/// the version that knows it.
#[derive(Debug, Clone, Copy)]
pub struct ValueFunctions {
    /// A value as reflection sees it.
    ///
    /// # Safety
    /// The pointer is to a value of the type.
    pub reflect: for<'a> unsafe fn(Ptr<'a>) -> &'a dyn PartialReflect,
    /// A value as reflection sees it, to be changed.
    ///
    /// # Safety
    /// The pointer is to a value of the type.
    pub reflect_mut: for<'a> unsafe fn(PtrMut<'a>) -> &'a mut dyn PartialReflect,
    /// Makes a value from a reflected one (`FromReflect`) and writes it. `false` if
    /// something is missing; nothing was written then.
    ///
    /// # Safety
    /// The pointer is aligned for the type and there is room for a value.
    pub write: unsafe fn(&dyn PartialReflect, NonNull<u8>) -> bool,
    /// Drops a value in place.
    ///
    /// # Safety
    /// The pointer is to a value of the type that nobody uses any more.
    pub drop: unsafe fn(NonNull<u8>),
}

impl ValueFunctions {
    /// The functions for `T`.
    pub fn of<T: Reflect + FromReflect>() -> Self {
        Self {
            // SAFETY: the caller promises a value of `T`.
            reflect: |value| unsafe { value.deref::<T>() }.as_partial_reflect(),
            // SAFETY: the caller promises a value of `T`.
            reflect_mut: |value| unsafe { value.deref_mut::<T>() }.as_partial_reflect_mut(),
            write: |from, to| match T::from_reflect(from) {
                Some(value) => {
                    // SAFETY: the caller promises room for a `T`.
                    unsafe { to.cast::<T>().write(value) };
                    true
                }
                None => false,
            },
            // SAFETY: the caller promises a value of `T` that is no longer used.
            drop: |value| unsafe { value.cast::<T>().drop_in_place() },
        }
    }
}

impl StateType {
    /// A component.
    pub fn component<T>() -> Self
    where
        T: Component + Reflect + FromReflect + Typed + GetTypeRegistration,
    {
        Self {
            kind: StateKind::Component,
            stored: TypeId::of::<T>(),
            schema: Schema {
                sparse: T::STORAGE_TYPE == StorageType::SparseSet,
                ..Schema::of::<T>()
            },
            reflected: reflected_types::<T>(),
            hooks: HookSet::of::<T>(),
            declare: |world| {
                let component = world.register_component::<T>();
                component_hooks::gate(world, component, HookSet::of::<T>());
            },
            spawn_required: Some(|world| world.spawn(RequiresLike::<T>(PhantomData)).id()),
            required: 0,
            initialize: |_| false,
            remove: |_| {},
            reflect: Some(TypeRegistry::register::<T>),
            end_frame: None,
            values: Some(ValueFunctions::of::<T>()),
            send: None,
        }
    }

    /// A resource.
    pub fn resource<T>() -> Self
    where
        T: Resource + FromWorld + Reflect + FromReflect + Typed + GetTypeRegistration,
    {
        Self {
            kind: StateKind::Resource,
            spawn_required: None,
            initialize: init::<T>,
            remove: |world| drop(world.remove_resource::<T>()),
            ..Self::component::<T>()
        }
    }

    /// An event that observers hear of.
    pub fn event<T: Event + TypePath>() -> Self {
        Self {
            kind: StateKind::Event,
            stored: TypeId::of::<T>(),
            schema: Schema::opaque::<T>(),
            reflected: Vec::new(),
            hooks: HookSet::default(),
            // Observers would make the world know it, from the code of their version.
            declare: |world| {
                world.register_event_key::<T>();
            },
            spawn_required: None,
            required: 0,
            initialize: |_| false,
            remove: |_| {},
            reflect: None,
            end_frame: None,
            values: None,
            send: None,
        }
    }

    /// An event that scripts trigger and hear as well.
    pub fn reflected_event<T: ReflectedEvent>() -> Self {
        Self {
            schema: Schema::of::<T>(),
            reflected: reflected_types::<T>(),
            reflect: Some(TypeRegistry::register::<T>),
            send: Some(|world, event| {
                let event = T::from_reflect(event);
                let triggered = event.map(|event| world.trigger(event));
                // What observers have queued.
                world.flush();
                triggered.is_some()
            }),
            ..Self::event::<T>()
        }
    }

    /// The queue of a message type.
    pub fn message<T>() -> Self
    where
        T: Message + Reflect + FromReflect + Typed + GetTypeRegistration,
    {
        let queue = Self::resource::<Messages<T>>();
        Self {
            kind: StateKind::Message,
            schema: Schema {
                renamed_from: queues_before(&Schema::of::<T>()),
                ..queue.schema
            },
            initialize: |world| {
                let missing = init::<Messages<T>>(world);
                if missing {
                    message::begin_anew(world, type_name::<T>());
                }
                missing
            },
            end_frame: Some(|world| {
                if let Some(mut messages) = world.get_resource_mut::<Messages<T>>() {
                    forget_old(&mut messages);
                }
            }),
            send: Some(|world, message| {
                let message = T::from_reflect(message);
                let queue = world.get_resource_mut::<Messages<T>>();
                let sent = message.zip(queue);
                sent.map(|(message, mut queue)| queue.write(message))
                    .is_some()
            }),
            ..queue
        }
    }
}

/// A component that requires what `T` requires, made the same way.
struct RequiresLike<T>(PhantomData<fn() -> T>);

impl<T: Component> Component for RequiresLike<T> {
    const STORAGE_TYPE: StorageType = StorageType::Table;
    type Mutability = Immutable;

    fn register_required_components(
        component: ComponentId,
        required: &mut RequiredComponentsRegistrator,
    ) {
        T::register_required_components(component, required);
    }
}

/// What the queue of a message type was called when the type had its names before.
fn queues_before(message: &Schema) -> Note<Vec<String>> {
    let module = message.path.rsplit_once("::").map(|(module, _)| module);
    let path = |name: &String| match module {
        Some(module) if !name.contains("::") => message::queue_path(&format!("{module}::{name}")),
        _ => message::queue_path(name),
    };
    Note(message.renamed_from.0.iter().map(path).collect())
}

/// Forgets messages that are two frames old. A panic of a message's drop is passed on;
/// the queue is empty and usable then.
fn forget_old<T: Message>(messages: &mut Messages<T>) {
    let updated = catch_unwind(AssertUnwindSafe(|| messages.update()));
    if let Err(payload) = updated {
        // Half updated, its counters would no longer fit each other.
        let _ = catch_unwind(AssertUnwindSafe(|| messages.clear()));
        resume_unwind(payload);
    }
}

fn init<T: Resource + FromWorld>(world: &mut World) -> bool {
    let missing = !world.contains_resource::<T>();
    if missing {
        world.init_resource::<T>();
    }
    missing
}
