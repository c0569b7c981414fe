//! What the frame thread takes of the world: bytes, and nothing that it would have to
//! allocate value by value.
//!
//! Columns of plain types are copied as they are, and packed on another thread. Types with
//! heap (text, lists, maps, options) are [packed](super::pack) at once, value by value. The
//! cost is that of copying the bytes, and for types with heap about 50 ns a part. Limbo is
//! shared, not copied.

mod column;

use std::any::TypeId;
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::mem::MaybeUninit;
use std::sync::Arc;

use engine_api::bevy_ecs::archetype::Archetype;
use engine_api::bevy_ecs::component::ComponentId;
use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::hierarchy::{ChildOf, Children};
use engine_api::bevy_ecs::name::Name;
use engine_api::bevy_ecs::observer::{ObservedBy, Observer};
use engine_api::bevy_ecs::ptr::Ptr;
use engine_api::bevy_ecs::resource::IsResource;
use engine_api::bevy_ecs::world::World;
use engine_api::bevy_reflect::{PartialReflect, TypeRegistry};
use engine_api::schema::Schema;
use engine_api::state::ValueFunctions;

use super::pack::Packer;
use super::plain::Plain;
use super::{
    Block, Checkpoint, Lost, Meta, Packed, SavedColumn, SavedKind, SavedLimbo, SavedResource,
    SavedType, SavedValues, Texts,
};
use crate::data::Data;
use crate::limbo::{Limbo, Parts};
use crate::panic;
use crate::state::{KeptType, StateBook};

use column::{Column, Runs};

/// A world as it was at one moment: bytes, no code. Made on the frame thread,
/// turned into a [`Checkpoint`] on another one.
pub struct Capture {
    meta: Meta,
    types: Vec<SavedType>,
    blocks: Vec<RawBlock>,
    resources: Vec<(u64, RawColumn)>,
    limbo: Vec<(String, Arc<Parts>)>,
    lost: Vec<Lost>,
}

/// A [`Block`] whose columns are not packed yet.
struct RawBlock {
    block: Block,
    columns: Vec<RawColumn>,
}

struct RawColumn {
    of: u32,
    values: RawValues,
}

enum RawValues {
    /// Values as they lie in memory.
    Bytes(Plain, Vec<MaybeUninit<u8>>),
    Packed(Packed),
}

/// A type that modules registered, in the world.
struct Known<'a> {
    index: u32,
    schema: &'a Schema,
    values: ValueFunctions,
    form: OnceCell<Form<'a>>,
}

/// How values of a type are taken, which the first one tells.
enum Form<'a> {
    Plain(Plain),
    Packed(Packer<'a>),
}

impl<'a> Known<'a> {
    /// How values of the type are taken, of which this is one.
    fn form(&self, value: Ptr<'_>) -> &Form<'a> {
        self.form.get_or_init(|| {
            // SAFETY: a value of the component, which has the type that the book knows.
            let find = || Plain::of(self.schema, unsafe { (self.values.reflect)(value) });
            match panic::guard(find) {
                Ok(Some(plain)) => Form::Plain(plain),
                Ok(None) | Err(_) => Form::Packed(Packer::of(self.schema)),
            }
        })
    }
}

impl Capture {
    /// Takes the state of a world, between two frames. See the [module](self) for the cost.
    ///
    /// Runs code of the registered types (reflection) where they are not plain. What cannot
    /// be taken is named in [`Checkpoint::lost`].
    pub fn take(world: &World, book: &StateBook, meta: Meta) -> Self {
        let taker = Taker::new(world, book);
        let blocks = taker.blocks();
        let resources = taker.resources();
        taker.lose_live(&book.limbo);
        let Taker { types, lost, .. } = taker;
        let lost = lost
            .into_inner()
            .into_iter()
            .map(|(type_path, (values, reason))| Lost {
                type_path,
                values,
                reason,
            });
        Self {
            meta,
            types,
            blocks,
            resources,
            limbo: book.limbo.image(),
            lost: lost.collect(),
        }
    }

    /// Values that are not in it.
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// Number of entities.
    pub fn entities(&self) -> usize {
        let blocks = self.blocks.iter();
        blocks.map(|raw| raw.block.entities.len()).sum()
    }

    /// The checkpoint; for any thread.
    pub fn into_checkpoint(self) -> Checkpoint {
        let blocks = self.blocks.into_iter().map(|mut raw| {
            let columns = raw.columns.into_iter().map(RawColumn::into_saved);
            raw.block.columns = columns.collect();
            raw.block
        });
        let resources = self.resources.into_iter();
        let limbo = self
            .limbo
            .into_iter()
            .filter(|(_, parts)| !parts.is_empty());
        let limbo = limbo.map(|(path, parts)| {
            let parts = parts.iter().map(|(bits, parts)| (*bits, parts.clone()));
            (path, parts.collect())
        });
        Checkpoint {
            meta: self.meta,
            types: self.types,
            blocks: blocks.collect(),
            resources: resources
                .map(|(entity, column)| SavedResource {
                    entity,
                    column: column.into_saved(),
                })
                .collect(),
            limbo: limbo.collect::<SavedLimbo>(),
            lost: self.lost,
        }
    }
}

impl RawColumn {
    fn into_saved(self) -> SavedColumn {
        let values = match self.values {
            RawValues::Bytes(plain, bytes) => {
                let mut packed = Vec::with_capacity(bytes.len());
                // SAFETY: the bytes were copied from values of the type in which the parts
                // were found.
                unsafe { plain.pack(&bytes, &mut packed) };
                SavedValues::Plain(packed)
            }
            RawValues::Packed(values) => SavedValues::Packed(values),
        };
        SavedColumn {
            of: self.of,
            values,
        }
    }
}

/// Components that the ECS itself puts on entities.
struct Own {
    child_of: Option<ComponentId>,
    children: Option<ComponentId>,
    name: Option<ComponentId>,
    disabled: Option<ComponentId>,
    observed_by: Option<ComponentId>,
    observer: Option<ComponentId>,
    is_resource: Option<ComponentId>,
}

impl Own {
    fn of(world: &World) -> Self {
        let id = |type_id| world.components().get_id(type_id);
        Self {
            child_of: id(TypeId::of::<ChildOf>()),
            children: id(TypeId::of::<Children>()),
            name: id(TypeId::of::<Name>()),
            disabled: id(TypeId::of::<Disabled>()),
            observed_by: id(TypeId::of::<ObservedBy>()),
            observer: id(TypeId::of::<Observer>()),
            is_resource: id(TypeId::of::<IsResource>()),
        }
    }

    fn contains(&self, component: ComponentId) -> bool {
        [
            self.child_of,
            self.children,
            self.name,
            self.disabled,
            self.observed_by,
        ]
        .contains(&Some(component))
    }
}

/// Whether the entities of an archetype are the game's: neither resources nor observers.
pub(super) fn is_of_the_game(world: &World, archetype: &Archetype) -> bool {
    let own = [TypeId::of::<Observer>(), TypeId::of::<IsResource>()];
    let mut own = own.into_iter();
    own.all(|type_id| {
        let id = world.components().get_id(type_id);
        id.is_none_or(|id| !archetype.contains(id))
    })
}

struct Taker<'a> {
    world: &'a World,
    known: HashMap<ComponentId, Known<'a>>,
    kept: Vec<KeptType>,
    types: Vec<SavedType>,
    own: Own,
    /// Made when the first value is serialised by its own code.
    registry: OnceCell<TypeRegistry>,
    lost: RefCell<BTreeMap<String, (usize, String)>>,
}

impl<'a> Taker<'a> {
    fn new(world: &'a World, book: &'a StateBook) -> Self {
        let mut known = HashMap::new();
        let (mut types, mut kept) = (Vec::new(), Vec::new());
        for (kind, stored, schema, module, functions) in book.known_types() {
            let (Some(kind), Some(values)) = (SavedKind::of(kind), functions.values) else {
                continue;
            };
            let index = types.len() as u32;
            types.push(SavedType {
                kind,
                module: module.to_owned(),
                schema: schema.clone(),
            });
            kept.push(functions);
            if let Some(id) = world.components().get_id(stored) {
                let is_new = Known {
                    index,
                    schema,
                    values,
                    form: OnceCell::new(),
                };
                known.insert(id, is_new);
            }
        }
        Self {
            world,
            known,
            kept,
            types,
            own: Own::of(world),
            registry: OnceCell::new(),
            lost: RefCell::default(),
        }
    }

    fn blocks(&self) -> Vec<RawBlock> {
        let archetypes = self.world.archetypes().iter();
        archetypes
            .filter(|archetype| !archetype.is_empty())
            .filter(|archetype| {
                let is_own = |id: Option<ComponentId>| id.is_some_and(|id| archetype.contains(id));
                !is_own(self.own.observer) && !is_own(self.own.is_resource)
            })
            .map(|archetype| self.block(archetype))
            .collect()
    }

    fn block(&self, archetype: &'a Archetype) -> RawBlock {
        let entities = archetype.entities().iter();
        let mut block = Block {
            entities: entities.map(|entity| entity.id().to_bits()).collect(),
            ..Block::default()
        };
        let runs = OnceCell::new();
        let mut columns = Vec::new();
        let mut components: Vec<ComponentId> = archetype.iter_components().collect();
        components.sort();
        for component in components {
            let Some(column) = Column::of(self.world, archetype, component) else {
                continue;
            };
            if self.own.contains(component) {
                self.own_component(component, column, &mut block);
            } else if let Some(known) = self.known.get(&component) {
                let runs = || runs.get_or_init(|| column::runs(archetype));
                columns.extend(self.column(known, column, runs));
            } else {
                self.unregistered(archetype, component);
            }
        }
        RawBlock { block, columns }
    }

    fn column<'r>(
        &self,
        known: &Known<'a>,
        column: Column<'a>,
        runs: impl FnOnce() -> &'r Runs,
    ) -> Option<RawColumn> {
        let first = column.iter().next()??;
        let values = match known.form(first) {
            Form::Plain(plain) => {
                RawValues::Bytes(plain.clone(), column.copy(runs(), plain.size()))
            }
            Form::Packed(packer) => RawValues::Packed(self.pack(known, packer, column.iter())),
        };
        Some(RawColumn {
            of: known.index,
            values,
        })
    }

    /// Packs values of a type. What cannot be packed is missing, and named.
    fn pack(
        &self,
        known: &Known<'a>,
        packer: &Packer<'a>,
        mut values: impl Iterator<Item = Option<Ptr<'a>>>,
    ) -> Packed {
        let mut all = Packed::default();
        let registry = || {
            self.registry.get_or_init(|| {
                let mut registry = TypeRegistry::new();
                for reflect in self.kept.iter().filter_map(|kept| kept.reflect) {
                    // Without it, what is in values of this type is lost.
                    let _ = panic::guard(|| reflect(&mut registry));
                }
                registry
            })
        };
        // A panic ends the value that it came from.
        loop {
            let done = panic::guard(|| {
                for value in values.by_ref() {
                    // SAFETY: a value of the type that the book knows.
                    let value = value.map(|value| unsafe { (known.values.reflect)(value) });
                    all.push(|to| {
                        let found = value.and_then(|value| packer.pack(value, &registry, to));
                        if found.is_none()
                            && let Some(value) = value
                        {
                            self.lose(known.schema, || why_lost(value, registry()));
                        }
                        found.is_some()
                    });
                }
            });
            match done {
                Ok(()) => return all,
                Err(report) => {
                    all.push(|_| false);
                    self.lose(known.schema, || {
                        format!("it panicked: {}", report.summary())
                    });
                }
            }
        }
    }

    fn lose(&self, schema: &Schema, reason: impl FnOnce() -> String) {
        self.lose_some(schema.path.clone(), 1, reason);
    }

    fn lose_some(&self, name: String, values: usize, reason: impl FnOnce() -> String) {
        let mut lost = self.lost.borrow_mut();
        lost.entry(name).or_insert_with(|| (0, reason())).0 += values;
    }

    fn unregistered(&self, archetype: &Archetype, component: ComponentId) {
        let info = self.world.components().get_info(component);
        let size = info.map_or(0, |info| info.layout().size());
        let name = format!("an unregistered component of {size} bytes");
        let reason = || "register it (`m.component::<T>()`)".to_owned();
        self.lose_some(name, archetype.entities().len(), reason);
    }

    fn own_component(&self, component: ComponentId, column: Column<'a>, block: &mut Block) {
        /// # Safety
        /// The column has values of this type.
        unsafe fn all<'a, T: 'a>(column: Column<'a>) -> impl Iterator<Item = &'a T> {
            // SAFETY: as promised.
            column
                .iter()
                .flatten()
                .map(|value| unsafe { value.deref() })
        }
        let component = Some(component);
        if component == self.own.disabled {
            block.disabled = true;
        } else if component == self.own.name {
            let mut names = Texts::default();
            // SAFETY: the component's type.
            unsafe { all::<Name>(column) }.for_each(|name| names.push(name));
            block.names = Some(names);
        } else if component == self.own.child_of {
            // SAFETY: the component's type.
            let parents = unsafe { all::<ChildOf>(column) };
            block.parents = Some(parents.map(|parent| parent.parent().to_bits()).collect());
        } else if component == self.own.children {
            let (mut counts, mut of_all) = (Vec::new(), Vec::new());
            // SAFETY: the component's type.
            for children in unsafe { all::<Children>(column) } {
                counts.push(children.len() as u32);
                of_all.extend(children.iter().map(|child| child.to_bits()));
            }
            block.children = Some((counts, of_all));
        }
    }

    fn resources(&self) -> Vec<(u64, RawColumn)> {
        let entities = self.world.resource_entities();
        let mut found: Vec<_> = self
            .known
            .iter()
            .filter(|(_, known)| self.types[known.index as usize].kind != SavedKind::Component)
            .filter_map(|(id, known)| {
                let value = self.world.get_resource_by_id(*id)?;
                Some((known, entities.get(*id)?.to_bits(), value))
            })
            .collect();
        found.sort_by_key(|(known, ..)| known.index);
        found
            .into_iter()
            .map(|(known, entity, value)| {
                let values = match known.form(value) {
                    Form::Plain(plain) => {
                        let mut bytes = Vec::new();
                        // SAFETY: a value of the type that the parts were found in.
                        unsafe { column::copy(value, plain.size(), &mut bytes) };
                        RawValues::Bytes(plain.clone(), bytes)
                    }
                    Form::Packed(packer) => {
                        let value = std::iter::once(Some(value));
                        RawValues::Packed(self.pack(known, packer, value))
                    }
                };
                let of = known.index;
                (entity, RawColumn { of, values })
            })
            .collect()
    }

    /// Names what only running code can keep in limbo.
    fn lose_live(&self, limbo: &Limbo) {
        for ((type_path, field), entities) in limbo.live_fields() {
            let name = format!("{type_path}.{field} (in limbo)");
            self.lose_some(name, entities, || "it cannot be serialised".to_owned());
        }
    }
}

/// Why a value could not be packed.
fn why_lost(value: &dyn PartialReflect, registry: &TypeRegistry) -> String {
    match Data::of(value, registry).map(|data| data.live_part()) {
        Err(error) => error.to_string(),
        Ok(Some(path)) => format!(
            "its part `{path}` cannot be serialised; add `#[reflect(Serialize, Deserialize)]` \
             to its type"
        ),
        Ok(None) => "it is not what its type says".to_owned(),
    }
}
