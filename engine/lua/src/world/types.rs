//! The types that scripts can name, as the world has them at the moment.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use engine_api::bevy_ecs::component::ComponentId;
use engine_api::bevy_ecs::world::{World, WorldId};
use engine_api::bevy_reflect::TypeRegistry;
use engine_api::schema::{FieldSchema, Schema, Shape};
use engine_api::state::{StateKind, ValueFunctions};
use engine_runtime::state::{KeptType, RegisteredType, StateTypes};
use mlua::Lua;

use super::own::Own;
use super::part::Part;
use super::problem::{Problem, nearest};

/// The registered types of one world, until they change.
pub(super) struct Types {
    generation: u64,
    world: WorldId,
    all: Vec<Known>,
    /// By kind and full path.
    by_path: HashMap<(StateKind, String), usize>,
    /// By kind and short name.
    by_name: HashMap<(StateKind, String), Vec<usize>>,
    /// Components of the ECS itself.
    own: [ComponentId; 3],
}

/// A component by its name.
#[derive(Clone, Copy)]
pub(super) enum Found<'t> {
    /// A module registers it.
    Registered(&'t Known),
    /// It is the ECS's own.
    Own(Own, ComponentId),
}

impl Found<'_> {
    /// Its id in the world.
    pub(super) fn id(&self) -> Result<ComponentId, Problem> {
        match self {
            Self::Registered(known) => Ok(known.values()?.0),
            Self::Own(_, id) => Ok(*id),
        }
    }
}

/// A type as scripts use it.
pub(super) struct Known {
    /// Number of the generation that it belongs to, and its place there.
    key: (u64, usize),
    pub(super) kind: StateKind,
    /// Of the message itself, where that is what it is.
    pub(super) path: Arc<str>,
    /// The path without modules.
    pub(super) name: String,
    /// `None` for events.
    pub(super) component: Option<ComponentId>,
    pub(super) schema: Schema,
    pub(super) kept: KeptType,
    registry: OnceLock<TypeRegistry>,
}

/// How values remember their type: it is looked up again once the types have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypeRef {
    kind: StateKind,
    path: Arc<str>,
    key: (u64, usize),
}

/// What a state keeps of the types between two calls.
struct Cached(Arc<Types>);

impl Types {
    /// The types of a world, made anew only if there are others.
    pub(super) fn of(lua: &Lua, world: &mut World) -> Arc<Self> {
        let listed = world.get_resource::<StateTypes>();
        let generation = listed.map_or(0, StateTypes::generation);
        if let Some(Cached(types)) = lua.app_data_ref::<Cached>().as_deref()
            && types.generation == generation
            && types.world == world.id()
        {
            return Arc::clone(types);
        }
        let listed = listed.cloned();
        let types = Arc::new(Self::new(world, generation, listed.as_ref()));
        lua.set_app_data(Cached(Arc::clone(&types)));
        types
    }

    fn new(world: &mut World, generation: u64, listed: Option<&StateTypes>) -> Self {
        let listed = listed.map_or(&[][..], StateTypes::types);
        let all = listed.iter().enumerate();
        let all: Vec<_> = all
            .map(|(index, listed)| Known::new(world, (generation, index), listed))
            .collect();
        let (mut by_path, mut by_name) = (HashMap::new(), HashMap::<_, Vec<usize>>::new());
        for (index, known) in all.iter().enumerate() {
            by_path.insert((known.kind, known.path.to_string()), index);
            let names = by_name.entry((known.kind, known.name.clone()));
            names.or_default().push(index);
        }
        Self {
            generation,
            world: world.id(),
            all,
            by_path,
            by_name,
            own: Own::ids(world),
        }
    }

    /// The type with a name or a path.
    ///
    /// # Errors
    /// If there is none or more than one: what there is, and how a type is registered.
    pub(super) fn find(&self, kind: StateKind, name: &str) -> Result<&Known, Problem> {
        let key = (kind, name.to_owned());
        if let Some(index) = self.by_path.get(&key) {
            return Ok(&self.all[*index]);
        }
        match self.by_name.get(&key).map(Vec::as_slice) {
            Some([index]) => Ok(&self.all[*index]),
            Some(several) => {
                let paths = several.iter().map(|index| &*self.all[*index].path);
                let paths: Vec<_> = paths.collect();
                Err(Problem::new(format!(
                    "there are several {}s `{name}`; say which: `{}`",
                    kind.name(),
                    paths.join("`, `")
                )))
            }
            None => Err(self.unknown(kind, name)),
        }
    }

    /// The component with a name, also one of the ECS itself.
    ///
    /// # Errors
    /// As [`Types::find`].
    pub(super) fn component(&self, name: &str) -> Result<Found<'_>, Problem> {
        match (self.find(StateKind::Component, name), Own::called(name)) {
            (Ok(known), _) => Ok(Found::Registered(known)),
            (Err(_), Some(own)) => Ok(Found::Own(own, self.own[own as usize])),
            (Err(problem), None) => Err(problem),
        }
    }

    /// Whether a name is almost that of a type.
    pub(super) fn is_near(&self, kind: StateKind, name: &str) -> bool {
        let names = self.all.iter().filter(|known| known.kind == kind);
        nearest(name, names.map(|known| known.name.as_str())).is_some()
    }

    fn unknown(&self, kind: StateKind, name: &str) -> Problem {
        let (what, other) = (kind.name(), self.all.iter().find(|it| it.name == name));
        if let Some(other) = other {
            let is = other.kind.name();
            return Problem::new(format!("`{name}` is no {what}: it is registered as {is}"));
        }
        let names = self.all.iter().filter(|known| known.kind == kind);
        let nearest = nearest(name, names.map(|known| known.name.as_str()));
        if let Some(nearest) = nearest {
            return Problem::new(format!(
                "there is no {what} `{name}`; did you mean `{nearest}`?"
            ));
        }
        let (article, builder) = match kind {
            StateKind::Event => ("an", "reflected_event"),
            _ => ("a", what),
        };
        Problem::new(format!(
            "no native module registers {article} {what} `{name}`; derive `Reflect` for it and \
             add `m.{builder}::<{}>()` to the module function",
            short_name(name),
        ))
    }

    /// The type that a value has.
    ///
    /// # Errors
    /// If no module registers it any more.
    pub(super) fn get(&self, of: &TypeRef) -> Result<&Known, Problem> {
        if let Some(known) = self.all.get(of.key.1).filter(|known| known.key == of.key) {
            return Ok(known);
        }
        let was_called = |known: &&Known| {
            let mut before = known.schema.renamed_from.0.iter();
            known.kind == of.kind
                && before.any(|name| **name == *of.path || *name == short_name(&of.path))
        };
        match self.by_path.get(&(of.kind, of.path.to_string())) {
            Some(index) => Ok(&self.all[*index]),
            None => self.all.iter().find(was_called).ok_or_else(|| {
                let kind = of.kind.name();
                Problem::new(format!(
                    "no module registers the {kind} `{}` any more",
                    of.path
                ))
            }),
        }
    }
}

impl Known {
    fn new(world: &mut World, key: (u64, usize), listed: &RegisteredType) -> Self {
        let path = match listed.kind {
            StateKind::Message => message_part(&listed.schema).map(|part| part.path),
            _ => None,
        };
        let path = path.unwrap_or(&listed.schema.path);
        let has_values = listed.kept.values.is_some();
        if has_values && world.components().get_id(listed.stored).is_none() {
            (listed.kept.declare)(world);
        }
        let component = world.components().get_id(listed.stored).filter(|id| {
            let info = world.components().get_info(*id);
            info.is_some_and(|info| {
                let layout = info.layout();
                let schema = (listed.schema.size, listed.schema.align);
                has_values && (layout.size(), layout.align()) == schema
            })
        });
        Self {
            key,
            kind: listed.kind,
            path: path.into(),
            name: short_name(path),
            component,
            schema: listed.schema.clone(),
            kept: listed.kept,
            registry: OnceLock::new(),
        }
    }

    /// The whole value.
    pub(super) fn part(&self) -> Part<'_> {
        let message = match self.kind {
            StateKind::Message => message_part(&self.schema),
            _ => None,
        };
        message.unwrap_or_else(|| Part::new(&self.schema.path, &self.schema.shape))
    }

    pub(super) fn reference(&self) -> TypeRef {
        TypeRef {
            kind: self.kind,
            path: Arc::clone(&self.path),
            key: self.key,
        }
    }

    /// What reflection knows of the type and its parts.
    pub(super) fn registry(&self) -> &TypeRegistry {
        self.registry.get_or_init(|| {
            let mut registry = TypeRegistry::new();
            if let Some(reflect) = self.kept.reflect {
                reflect(&mut registry);
            }
            registry
        })
    }

    /// How values are read and made, with the component they are stored as.
    ///
    /// # Errors
    /// If the type has no values.
    pub(super) fn values(&self) -> Result<(ComponentId, ValueFunctions), Problem> {
        self.component.zip(self.kept.values).ok_or_else(|| {
            let (kind, name) = (self.kind.name(), &self.name);
            Problem::new(format!("the {kind} `{name}` has no values in this world"))
        })
    }
}

/// The message in the schema of a queue.
fn message_part(queue: &Schema) -> Option<Part<'_>> {
    fn field<'s>(shape: &'s Shape, name: &str) -> Option<&'s FieldSchema> {
        match shape {
            Shape::Struct { fields, .. } => fields.iter().find(|field| field.name == name),
            _ => None,
        }
    }
    let sequence = field(&queue.shape, "messages_b")?;
    let Shape::List(instance) = &field(&sequence.shape, "messages")?.shape else {
        return None;
    };
    let message = field(&instance.shape, "message")?;
    Some(Part::new(&message.path, &message.shape))
}

/// A path without modules: `Wrapper<Position>` of `game::Wrapper<game::Position>`.
pub(super) fn short_name(path: &str) -> String {
    let mut name = String::new();
    for piece in path.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
        name.push_str(piece.rsplit("::").next().unwrap_or(piece));
    }
    name
}
