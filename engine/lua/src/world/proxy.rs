//! Components, resources and their parts as scripts have them: not the value, but the way to
//! it, which is gone anew with every use. So a proxy may be kept; it sees what others write,
//! and says so when there is nothing left to see.

use std::collections::VecDeque;

use engine_api::bevy_ecs::change_detection::{DetectChangesMut as _, MutUntyped};
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::world::World;
use engine_api::bevy_reflect::{PartialReflect, ReflectMut, ReflectRef};
use engine_api::schema::{Shape, StructKind};
use mlua::{Lua, MetaMethod, UserData, UserDataFields, UserDataMethods, UserDataRef, Value};

use super::access;
use super::make::{Maker, hashable};
use super::part::{Part, Step, child, child_mut, describe, variant_of};
use super::problem::Problem;
use super::read;
use super::scalar;
use super::types::{Known, TypeRef, Types};

/// The way to a value, or to a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    of: TypeRef,
    root: Root,
    steps: Vec<Step>,
}

/// Where the whole value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Component(Entity),
    Resource,
}

/// Keys of maps on the way, as their types.
type Keys = Vec<Option<Box<dyn PartialReflect>>>;

/// What is to be done with a part.
enum Edit {
    /// Another value.
    Set(Box<dyn PartialReflect>),
    /// One more element of a list.
    Push(Box<dyn PartialReflect>),
    /// The last element of a list goes.
    Pop,
    /// An entry of a map.
    Insert(Box<dyn PartialReflect>, Box<dyn PartialReflect>),
    /// An element of a set.
    Add(Box<dyn PartialReflect>),
    /// An entry of a map or an element of a set goes.
    Remove(Box<dyn PartialReflect>),
    /// A number or text in place.
    Scalar(Step),
}

impl Proxy {
    /// A whole component or resource.
    pub(super) fn new(known: &Known, root: Root) -> Self {
        Self {
            of: known.reference(),
            root,
            steps: Vec::new(),
        }
    }

    /// A part of a value.
    fn part(&self, step: Step) -> Self {
        let mut part = self.clone();
        part.steps.push(step);
        part
    }

    /// The value, and what its schema says.
    pub(super) fn look<'a>(
        &self,
        lua: &Lua,
        world: &'a World,
        types: &'a Types,
    ) -> Result<(&'a dyn PartialReflect, Part<'a>), Problem> {
        let known = types.get(&self.of)?;
        self.walk(lua, world, types, known, &mut Keys::new())
    }

    fn walk<'a>(
        &self,
        lua: &Lua,
        world: &'a World,
        types: &'a Types,
        known: &'a Known,
        keys: &mut Keys,
    ) -> Result<(&'a dyn PartialReflect, Part<'a>), Problem> {
        let gone = |step: &Step, part: &Part<'_>| {
            let message = format!("`{}` has nothing at `{step}` any more", part.name());
            Problem::new(message).within(&known.name)
        };
        let mut part = known.part();
        let mut value = self.whole(world, known)?;
        for step in &self.steps {
            let is_nil = || gone(step, &part);
            (value, part) = read::inside(value, part.clone()).ok_or_else(is_nil)?;
            let variant = variant_of(value);
            let next = part.follow(step, variant);
            let next = next.map_err(|problem| problem.within(&known.name))?;
            let key = match step {
                Step::Key(key) => {
                    let maker = Maker::new(lua, world, types, known);
                    let key = key.to_lua(lua);
                    let key = key.map_err(|error| Problem::new(error.to_string()))?;
                    Some(make_key(&maker, &key, &part)?)
                }
                _ => None,
            };
            value = child(value, step, key.as_deref()).ok_or_else(|| gone(step, &part))?;
            keys.push(key);
            part = next;
        }
        read::inside(value, part.clone())
            .ok_or_else(|| Problem::new("it is nil by now").within(self.shown(known)))
    }

    fn whole<'a>(
        &self,
        world: &'a World,
        known: &Known,
    ) -> Result<&'a dyn PartialReflect, Problem> {
        let (component, values) = known.values()?;
        let pointer = match self.root {
            Root::Component(entity) => world.get_by_id(entity, component),
            Root::Resource => world.get_resource_by_id(component),
        };
        let pointer = pointer.ok_or_else(|| self.gone(world, known))?;
        // SAFETY: the component has the type's identity and layout, see `Known::new`.
        Ok(unsafe { (values.reflect)(pointer) })
    }

    fn gone(&self, world: &World, known: &Known) -> Problem {
        let name = &known.name;
        Problem::new(match self.root {
            Root::Resource => format!("there is no resource `{name}` in the world"),
            Root::Component(entity) if world.get_entity(entity).is_ok() => {
                format!("entity {entity} has no `{name}` any more")
            }
            Root::Component(entity) => {
                format!("entity {entity} is gone, and its `{name}` with it")
            }
        })
    }

    /// Where it is, for people: `Ship.nose`.
    fn shown(&self, known: &Known) -> String {
        let mut shown = known.name.clone();
        for step in &self.steps {
            if matches!(step, Step::Field(_)) {
                shown.push('.');
            }
            shown.push_str(&step.to_string());
        }
        shown
    }

    /// Says in which part the problem is; the type itself is in its message.
    fn locate(&self, problem: Problem, known: &Known) -> Problem {
        if self.steps.is_empty() {
            problem
        } else {
            problem.within(self.shown(known))
        }
    }

    fn get(&self, lua: &Lua, key: &Value) -> mlua::Result<Value> {
        access::with(lua, |context| {
            let known = context.types.get(&self.of).map_err(Problem::raise)?;
            let (world, types) = (&*context.world, context.types);
            let (value, part) = self
                .walk(lua, world, types, known, &mut Keys::new())
                .map_err(Problem::raise)?;
            let raise = |problem| self.locate(problem, known).raise();
            let variant = variant_of(value);
            if is_variant_key(&part, key) {
                return lua
                    .create_string(variant.unwrap_or_default())
                    .map(Value::String);
            }
            let step = part.step(key, variant).map_err(raise)?;
            let child_part = part.follow(&step, variant).map_err(raise)?;
            let made = match &step {
                Step::Key(_) => {
                    let maker = Maker::new(lua, world, types, known);
                    Some(make_key(&maker, key, &part).map_err(raise)?)
                }
                _ => None,
            };
            let Some(child) = child(value, &step, made.as_deref()) else {
                return Ok(Value::Nil);
            };
            if matches!(part.shape, Shape::Set(_)) {
                return Ok(Value::Boolean(true));
            }
            match read::plain(lua, known, child, &child_part)? {
                Some(plain) => Ok(plain),
                None => lua.create_userdata(self.part(step)).map(Value::UserData),
            }
        })
    }

    fn set(&self, lua: &Lua, key: &Value, new: &Value) -> mlua::Result<()> {
        access::with(lua, |context| {
            let known = context.types.get(&self.of).map_err(Problem::raise)?;
            let mut keys = Keys::new();
            let (world, types) = (&*context.world, context.types);
            let (value, part) = self
                .walk(lua, world, types, known, &mut keys)
                .map_err(Problem::raise)?;
            let variant = variant_of(value);
            let raise = |problem: Problem| problem.within(self.shown(known)).raise();
            let step = part.step(key, variant);
            let step = step.map_err(|problem| self.locate(problem, known).raise())?;
            let child_part = part.follow(&step, variant);
            let child_part = child_part.map_err(|problem| self.locate(problem, known).raise())?;
            let maker = Maker::new(lua, world, types, known);
            let edit = edit(&maker, value, &part, &step, &child_part, (key, new));
            let edit = edit.map_err(|problem| raise(problem.within(&step)))?;
            let path = child_part.path.to_owned();
            self.change(context.world, known, &keys, |target| match edit {
                Edit::Scalar(step) => {
                    let target = child_mut(target, &step, None);
                    let set = target.and_then(|target| scalar::set(&path, target, new));
                    let set = set.unwrap_or_else(|| Err(Problem::new("it cannot be set")));
                    set.map_err(|problem| problem.within(&step))
                }
                Edit::Set(made) => {
                    let target = child_mut(target, &step, None);
                    let set = target.ok_or_else(|| Problem::new("it is not there"));
                    set.and_then(|target| replace(target, made))
                        .map_err(|problem| problem.within(&step))
                }
                edit => edit_many(target, edit),
            })
            .map_err(raise)
        })
    }

    /// Changes the value that the proxy stands for. It counts as changed if that goes well.
    fn change(
        &self,
        world: &mut World,
        known: &Known,
        keys: &Keys,
        edit: impl FnOnce(&mut dyn PartialReflect) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let (component, values) = known.values()?;
        let info = world.components().get_info(component);
        if info.is_some_and(|info| !info.mutable()) {
            return Err(Problem::new(
                "it is immutable; `world:insert` puts another one in its place",
            ));
        }
        let found: Option<MutUntyped<'_>> = match self.root {
            Root::Component(entity) => world.get_mut_by_id(entity, component),
            Root::Resource => world.get_resource_mut_by_id(component),
        };
        let mut found = found.ok_or_else(|| Problem::new("it is gone"))?;
        let pointer = found.bypass_change_detection().reborrow();
        // SAFETY: the component has the type's identity and layout, see `Known::new`.
        let mut target = unsafe { (values.reflect_mut)(pointer) };
        let mut part = known.part();
        for (step, key) in self.steps.iter().zip(keys) {
            (target, part) = inside_mut(target, part)?;
            let next = part.follow(step, variant_of(target))?;
            let child = child_mut(target, step, key.as_deref());
            target = child.ok_or_else(|| Problem::new(format!("`{step}` is gone")))?;
            part = next;
        }
        edit(inside_mut(target, part)?.0)?;
        found.set_changed();
        Ok(())
    }

    /// Number of elements.
    fn len(&self, lua: &Lua) -> mlua::Result<usize> {
        access::with(lua, |context| {
            let looked = self.look(lua, context.world, context.types);
            let (value, part) = looked.map_err(Problem::raise)?;
            Ok(match value.reflect_ref() {
                ReflectRef::List(value) => value.len(),
                ReflectRef::Array(value) => value.len(),
                ReflectRef::Map(value) => value.len(),
                ReflectRef::Set(value) => value.len(),
                ReflectRef::Tuple(value) => value.field_len(),
                ReflectRef::TupleStruct(value) => value.field_len(),
                _ => {
                    let message = format!("`{}` has fields, and no length", part.name());
                    return Err(mlua::Error::runtime(message));
                }
            })
        })
    }

    /// Keys and values of everything in it, as of now.
    fn entries(&self, lua: &Lua) -> mlua::Result<VecDeque<(Value, Value)>> {
        let keys = access::with(lua, |context| {
            let known = context.types.get(&self.of).map_err(Problem::raise)?;
            let looked = self.look(lua, context.world, context.types);
            let (value, part) = looked.map_err(Problem::raise)?;
            let numbers = |count: usize| (1..=count as i64).map(Value::Integer).collect();
            let variant = variant_of(value);
            if let Some((kind, fields)) = part.fields(variant).map_err(Problem::raise)? {
                if kind != StructKind::Named {
                    return Ok(numbers(fields.len()));
                }
                let names = fields.iter().map(|field| lua.create_string(&field.name));
                return names.map(|name| name.map(Value::String)).collect();
            }
            let key_part = part.keys();
            let keys = |items: &mut dyn Iterator<Item = &dyn PartialReflect>| {
                let key_part = key_part.as_ref();
                let keys =
                    items.filter_map(|key| read::plain(lua, known, key, key_part?).transpose());
                keys.collect::<mlua::Result<Vec<_>>>()
            };
            match value.reflect_ref() {
                ReflectRef::Map(map) => keys(&mut map.iter().map(|(key, _)| key)),
                ReflectRef::Set(set) => keys(&mut set.iter()),
                ReflectRef::List(list) => Ok(numbers(list.len())),
                ReflectRef::Array(array) => Ok(numbers(array.len())),
                _ => Ok(Vec::new()),
            }
        })?;
        keys.into_iter()
            .map(|key| Ok((key.clone(), self.get(lua, &key)?)))
            .collect()
    }

    fn show(&self, lua: &Lua) -> mlua::Result<String> {
        access::with(lua, |context| {
            let looked = self.look(lua, context.world, context.types);
            looked
                .map(|(value, _)| format!("{value:?}"))
                .map_err(Problem::raise)
        })
    }
}

/// What is inside of `Option`s.
fn inside_mut<'a, 's>(
    mut target: &'a mut dyn PartialReflect,
    mut part: Part<'s>,
) -> Result<(&'a mut dyn PartialReflect, Part<'s>), Problem> {
    while let Some(inner) = part.option() {
        let ReflectMut::Enum(option) = target.reflect_mut() else {
            return Err(Problem::new("it is no `Option`"));
        };
        let inside = option.field_at_mut(0);
        (target, part) = (inside.ok_or_else(|| Problem::new("it is nil"))?, inner);
    }
    Ok((target, part))
}

fn is_variant_key(part: &Part<'_>, key: &Value) -> bool {
    matches!(part.shape, Shape::Enum(_)) && matches!(key, Value::String(key) if *key == "variant")
}

fn make_key(
    maker: &Maker<'_>,
    key: &Value,
    part: &Part<'_>,
) -> Result<Box<dyn PartialReflect>, Problem> {
    let of = part
        .keys()
        .ok_or_else(|| Problem::new(format!("`{}` has no keys", part.name())))?;
    let made = maker.make(key, &of)?;
    hashable(made)
}

/// What an assignment does; all of it that can fail because of the value is done here.
fn edit(
    maker: &Maker<'_>,
    value: &dyn PartialReflect,
    part: &Part<'_>,
    step: &Step,
    of: &Part<'_>,
    (key, new): (&Value, &Value),
) -> Result<Edit, Problem> {
    match (part.shape, step) {
        (Shape::Map(..), _) => {
            let key = make_key(maker, key, part)?;
            Ok(match new {
                Value::Nil => Edit::Remove(key),
                new => Edit::Insert(key, maker.make(new, of)?),
            })
        }
        (Shape::Set(_), _) => {
            let key = make_key(maker, key, part)?;
            match new {
                Value::Nil | Value::Boolean(false) => Ok(Edit::Remove(key)),
                Value::Boolean(true) => Ok(Edit::Add(key)),
                other => Err(Problem::new(format!(
                    "an element of a set is true or nil, not {}",
                    describe(other)
                ))),
            }
        }
        (Shape::List(_), Step::Index(index)) => {
            let length = match value.reflect_ref() {
                ReflectRef::List(list) => list.len(),
                _ => 0,
            };
            match new {
                Value::Nil if index + 1 == length => Ok(Edit::Pop),
                new if *index == length => maker.make(new, of).map(Edit::Push),
                new if *index < length => maker.make(new, of).map(Edit::Set),
                _ => Err(Problem::new(format!(
                    "the list has {length} elements; the next one is {}",
                    length + 1
                ))),
            }
        }
        (Shape::Array(_, length), Step::Index(index)) if index >= length => Err(Problem::new(
            format!("the array has {length} elements, and will not have more"),
        )),
        _ if scalar::is_one(of.path) => Ok(Edit::Scalar(step.clone())),
        _ => maker.make(new, of).map(Edit::Set),
    }
}

/// Changes what has many elements.
fn edit_many(target: &mut dyn PartialReflect, edit: Edit) -> Result<(), Problem> {
    match (target.reflect_mut(), edit) {
        (ReflectMut::List(list), Edit::Push(made)) => list.push(made),
        (ReflectMut::List(list), Edit::Pop) => drop(list.pop()),
        (ReflectMut::Map(map), Edit::Insert(key, made)) => drop(map.insert_boxed(key, made)),
        (ReflectMut::Map(map), Edit::Remove(key)) => drop(map.remove(&*key)),
        (ReflectMut::Set(set), Edit::Add(key)) => {
            set.insert_boxed(key);
        }
        (ReflectMut::Set(set), Edit::Remove(key)) => {
            set.remove(&*key);
        }
        _ => return Err(Problem::new("it cannot be changed so")),
    }
    Ok(())
}

/// Puts a value in the place of another.
fn replace(target: &mut dyn PartialReflect, made: Box<dyn PartialReflect>) -> Result<(), Problem> {
    let made = match made.try_into_reflect() {
        Ok(made) => match target.try_as_reflect_mut() {
            Some(target) => {
                return target.set(made).map_err(|made| {
                    let path = made.reflect_type_path();
                    Problem::new(format!("it is no `{path}`"))
                });
            }
            None => made.into_partial_reflect(),
        },
        Err(made) => made,
    };
    let applied = target.try_apply(&*made);
    applied.map_err(|error| Problem::new(error.to_string()))
}

impl UserData for Proxy {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field(MetaMethod::Type, "value of the game");
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, key: Value| {
            this.get(lua, &key)
        });
        methods.add_meta_method(
            MetaMethod::NewIndex,
            |lua, this, (key, value): (Value, Value)| this.set(lua, &key, &value),
        );
        methods.add_meta_method(MetaMethod::Len, |lua, this, ()| this.len(lua));
        methods.add_meta_method(MetaMethod::Eq, |_, this, other: Value| {
            let other = other.as_userdata();
            let other = other.and_then(|other| other.borrow::<Self>().ok());
            Ok(other.is_some_and(|other: UserDataRef<Self>| *this == *other))
        });
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            let mut entries = this.entries(lua)?;
            lua.create_function_mut(move |_, _: Value| {
                Ok(entries.pop_front().unwrap_or((Value::Nil, Value::Nil)))
            })
        });
        methods.add_meta_method(MetaMethod::ToString, |lua, this, ()| this.show(lua));
    }
}
