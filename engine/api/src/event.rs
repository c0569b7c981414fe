//! Events for those who learn of their types at run time: scripts.
//!
//! [`ModuleBuilder::reflected_event`](crate::module::ModuleBuilder::reflected_event) registers an
//! event with two things beside its name. It can be made and triggered from its parts, through
//! [`StateType::send`](crate::state::StateType::send). And one more observer hears it, which
//! belongs to the version as the others do: it takes a copy that refers to no code and leaves it
//! in [`HeardEvents`], if somebody wants events of this type.

use std::any::TypeId;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bevy_ecs::entity::Entity;
use bevy_ecs::event::Event;
use bevy_ecs::observer::{Observer, On};
use bevy_ecs::query::With;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Query, Res};
use bevy_ecs::world::World;
use bevy_reflect::enums::VariantType;
use bevy_reflect::{
    FromReflect, GetTypeRegistration, PartialReflect, Reflect, ReflectRef, TypePath, Typed,
};

use crate::observer::ObserverRegistration;

/// Most events that are kept until somebody takes them; what comes then is lost and counted.
const MOST: usize = 65_536;

/// Event types that scripts can use.
pub trait ReflectedEvent:
    for<'a> Event<Trigger<'a>: Default> + Reflect + FromReflect + Typed + GetTypeRegistration
{
}

impl<T> ReflectedEvent for T where
    T: for<'a> Event<Trigger<'a>: Default> + Reflect + FromReflect + Typed + GetTypeRegistration
{
}

/// A value without its type: it refers to no code, and so outlives the version it came from.
#[derive(Debug, Clone, PartialEq)]
pub enum Plain {
    /// Nothing: `None`, or a part that reflection sees nothing of.
    Nil,
    /// Yes or no.
    Bool(bool),
    /// A whole number; one that does not fit is a `Float`.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text, a character, or the name of a variant without fields.
    Text(String),
    /// An entity.
    Entity(Entity),
    /// Fields by name.
    Fields(Vec<(String, Plain)>),
    /// Elements in order; fields of a tuple as well.
    List(Vec<Plain>),
    /// Keys and values. Elements of a set have the value `true`.
    Map(Vec<(Plain, Plain)>),
    /// A variant with its fields.
    Variant(String, Box<Plain>),
}

impl Plain {
    /// Copies a value. Costs an allocation per part that has parts, and per text.
    pub fn of(value: &dyn PartialReflect) -> Self {
        let of = |part: Option<&dyn PartialReflect>| part.map_or(Self::Nil, Self::of);
        match value.reflect_ref() {
            ReflectRef::Struct(value) => {
                let fields = (0..value.field_len()).filter_map(|index| {
                    Some((value.name_at(index)?.to_owned(), of(value.field_at(index))))
                });
                Self::Fields(fields.collect())
            }
            ReflectRef::TupleStruct(value) => {
                Self::List(value.iter_fields().map(Self::of).collect())
            }
            ReflectRef::Tuple(value) => Self::List(value.iter_fields().map(Self::of).collect()),
            ReflectRef::List(value) => Self::List(value.iter().map(Self::of).collect()),
            ReflectRef::Array(value) => Self::List(value.iter().map(Self::of).collect()),
            ReflectRef::Map(value) => {
                let entries = value.iter();
                Self::Map(entries.map(|(k, v)| (Self::of(k), Self::of(v))).collect())
            }
            ReflectRef::Set(value) => {
                let elements = value.iter();
                Self::Map(elements.map(|k| (Self::of(k), Self::Bool(true))).collect())
            }
            ReflectRef::Enum(value) => {
                let is_option = value
                    .reflect_type_path()
                    .starts_with("core::option::Option<");
                let name = value.variant_name().to_owned();
                let parts = 0..value.field_len();
                match value.variant_type() {
                    _ if is_option => of(value.field_at(0)),
                    VariantType::Unit => Self::Text(name),
                    VariantType::Tuple => {
                        let parts = parts.map(|index| of(value.field_at(index)));
                        Self::Variant(name, Box::new(Self::List(parts.collect())))
                    }
                    VariantType::Struct => {
                        let parts = parts.filter_map(|index| {
                            Some((value.name_at(index)?.to_owned(), of(value.field_at(index))))
                        });
                        Self::Variant(name, Box::new(Self::Fields(parts.collect())))
                    }
                }
            }
            ReflectRef::Opaque(value) => Self::of_opaque(value),
        }
    }

    fn of_opaque(value: &dyn PartialReflect) -> Self {
        macro_rules! first {
            ($($type:ty => |$value:ident| $plain:expr),* $(,)?) => {
                $(if let Some($value) = value.try_downcast_ref::<$type>() {
                    return $plain;
                })*
            };
        }
        let whole = |number: i128| {
            i64::try_from(number).map_or_else(|_| Self::Float(number as f64), Self::Int)
        };
        first! {
            f32 => |value| Self::Float(f64::from(*value)),
            f64 => |value| Self::Float(*value),
            bool => |value| Self::Bool(*value),
            u8 => |value| whole(i128::from(*value)),
            i8 => |value| whole(i128::from(*value)),
            u16 => |value| whole(i128::from(*value)),
            i16 => |value| whole(i128::from(*value)),
            u32 => |value| whole(i128::from(*value)),
            i32 => |value| whole(i128::from(*value)),
            u64 => |value| whole(i128::from(*value)),
            i64 => |value| whole(i128::from(*value)),
            usize => |value| whole(*value as i128),
            isize => |value| whole(*value as i128),
            i128 => |value| whole(*value),
            u128 => |value| i128::try_from(*value).map_or(Self::Float(*value as f64), whole),
            char => |value| Self::Text(value.to_string()),
            String => |value| Self::Text(value.clone()),
            Cow<'static, str> => |value| Self::Text(value.clone().into_owned()),
            &'static str => |value| Self::Text((*value).to_owned()),
            Entity => |value| Self::Entity(*value),
        }
        Self::Nil
    }
}

/// Events that were triggered, as copies, for who wants those of their types. A resource of
/// every world. Clones share what they hold; every call costs a lock.
#[derive(Resource, Clone, Default)]
pub struct HeardEvents(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    wanted: BTreeSet<String>,
    events: Vec<(String, Plain)>,
    lost: usize,
}

impl HeardEvents {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, events of the types with these paths are kept, and of no others.
    pub fn want(&self, paths: BTreeSet<String>) {
        self.lock().wanted = paths;
    }

    /// Takes what was triggered since the last time, with the paths of the types, and says how
    /// many events were lost because there were too many.
    pub fn take(&self) -> (Vec<(String, Plain)>, usize) {
        let mut heard = self.lock();
        (mem::take(&mut heard.events), mem::take(&mut heard.lost))
    }

    // Neither generic nor inlined: what is kept is made by code of this crate.
    #[inline(never)]
    fn add(&self, path: &str, event: &dyn PartialReflect) {
        let mut heard = self.lock();
        if heard.events.len() < MOST {
            let event = Plain::of(event);
            heard.events.push((path.to_owned(), event));
        } else {
            heard.lost += 1;
        }
    }
}

/// The observers of one world that hear for scripts. Modules may share an event type, and then
/// the first of them hears it.
#[derive(Resource, Default)]
pub struct Hearers(Vec<(TypeId, Entity)>);

/// Makes a world know the engine's own types for events. Calling it again does nothing.
pub fn declare(world: &mut World) {
    world.register_component::<HeardEvents>();
    world.register_component::<Hearers>();
}

/// The observer that hears events of a type for scripts.
pub(crate) fn hearing<E: ReflectedEvent>() -> ObserverRegistration {
    let ObserverRegistration { name, spawn, .. } =
        ObserverRegistration::new::<E, _, _>(hear::<E>, 1);
    ObserverRegistration {
        name,
        attachable: false,
        spawn: Box::new(move |world, gate| {
            let entity = spawn(world, gate);
            add_hearer(world, TypeId::of::<E>(), entity);
            entity
        }),
    }
}

#[inline(never)]
fn add_hearer(world: &mut World, event: TypeId, observer: Entity) {
    declare(world);
    let mut hearers = world.remove_resource::<Hearers>().unwrap_or_default();
    hearers
        .0
        .retain(|(_, known)| world.get::<Observer>(*known).is_some());
    hearers.0.push((event, observer));
    world.insert_resource(hearers);
}

fn hear<E: ReflectedEvent>(
    event: On<E>,
    heard: Option<Res<HeardEvents>>,
    hearers: Option<Res<Hearers>>,
    observers: Query<(), With<Observer>>,
) {
    let path = <E as TypePath>::type_path();
    let Some(heard) = heard.filter(|heard| heard.lock().wanted.contains(path)) else {
        return;
    };
    let mut all = hearers.iter().flat_map(|hearers| &hearers.0);
    let first =
        all.find(|(of, observer)| *of == TypeId::of::<E>() && observers.contains(*observer));
    if first.is_none_or(|(_, first)| *first == event.observer()) {
        heard.add(path, event.event().as_partial_reflect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::ModuleBuilder;
    use crate::observer::CallGate;
    use crate::prelude::*;

    #[derive(Reflect, Default)]
    enum Kind {
        #[default]
        Small,
        Big(u8),
        Named {
            name: String,
        },
    }

    #[derive(Event, Reflect, Default)]
    struct Blast {
        at: (f32, u64),
        kinds: Vec<Kind>,
        by: Option<Entity>,
        letter: char,
    }

    #[derive(Event, Reflect)]
    struct Other;

    struct Open;
    impl CallGate for Open {
        fn enter(&self) -> bool {
            true
        }
        fn exit(&self, _: Option<String>) {}
    }

    fn register(world: &mut World) -> Vec<Entity> {
        let mut m = ModuleBuilder::new();
        m.event::<Blast>()
            .reflected_event::<Blast>()
            .reflected_event::<Blast>()
            .reflected_event::<Other>();
        let description = m.finish();
        assert_eq!(description.types.len(), 2);
        assert!(description.types.iter().all(|event| event.send.is_some()));
        let observers = description.observers.into_iter();
        observers
            .map(|observer| (observer.spawn)(world, Arc::new(Open)))
            .collect()
    }

    #[test]
    fn events_are_heard_once_by_those_who_want_them() {
        let mut world = World::new();
        let heard = HeardEvents::default();
        world.insert_resource(heard.clone());
        let first = register(&mut world);
        let second = register(&mut world);
        assert_eq!((first.len(), second.len()), (2, 2));
        let take = || heard.take().0;

        world.trigger(Blast::default());
        assert_eq!(take(), [], "nobody wants it");
        let path = Blast::type_path().to_owned();
        heard.want(BTreeSet::from([path.clone()]));
        world.trigger(Other);
        world.trigger(Blast {
            at: (1.5, u64::MAX),
            kinds: vec![Kind::Small, Kind::Big(3), Kind::Named { name: "x".into() }],
            by: Some(first[0]),
            letter: 'a',
        });
        let text = |text: &str| Plain::Text(text.to_owned());
        let variant = |name: &str, parts| Plain::Variant(name.to_owned(), Box::new(parts));
        let field = |name: &str, part| (name.to_owned(), part);
        let at = [Plain::Float(1.5), Plain::Float(u64::MAX as f64)];
        let kinds = [
            text("Small"),
            variant("Big", Plain::List(vec![Plain::Int(3)])),
            variant("Named", Plain::Fields(vec![field("name", text("x"))])),
        ];
        let expected = Plain::Fields(vec![
            field("at", Plain::List(at.to_vec())),
            field("kinds", Plain::List(kinds.to_vec())),
            field("by", Plain::Entity(first[0])),
            field("letter", text("a")),
        ]);
        assert_eq!(take(), [(path, expected)]);

        // The other version's observer hears it when the first one is gone.
        for observer in first {
            world.despawn(observer);
        }
        world.trigger(Blast::default());
        assert_eq!(take().len(), 1);
        for observer in second {
            world.despawn(observer);
        }
        world.trigger(Blast::default());
        assert_eq!(take().len(), 0);
    }

    #[test]
    fn an_event_is_triggered_from_its_parts() {
        #[derive(Resource, Default)]
        struct Letters(String);

        let mut world = World::new();
        world.init_resource::<Letters>();
        world.add_observer(|blast: On<Blast>, mut letters: ResMut<Letters>| {
            letters.0.push(blast.letter);
        });
        let send = crate::state::StateType::reflected_event::<Blast>()
            .send
            .unwrap();
        let blast = Blast {
            letter: 'b',
            ..Blast::default()
        };
        assert!(send(&mut world, &*blast.to_dynamic().unwrap()));
        assert!(!send(&mut world, &5_u8), "a number is no blast");
        assert_eq!(world.resource::<Letters>().0, "b");
    }
}
