//! What the frame thread takes of the world: bytes of columns where the type allows it.
//!
//! The cost is that of copying the bytes. Types with heap (text, lists, maps, options) are
//! taken apart value by value instead, about a microsecond each.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::mem::MaybeUninit;

use engine_api::bevy_ecs::archetype::{Archetype, ArchetypeEntity};
use engine_api::bevy_ecs::component::{ComponentId, StorageType};
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::entity_disabling::Disabled;
use engine_api::bevy_ecs::hierarchy::{ChildOf, Children};
use engine_api::bevy_ecs::name::Name;
use engine_api::bevy_ecs::observer::{ObservedBy, Observer};
use engine_api::bevy_ecs::ptr::Ptr;
use engine_api::bevy_ecs::resource::IsResource;
use engine_api::bevy_ecs::storage::{Table, TableRow};
use engine_api::bevy_ecs::world::World;
use engine_api::bevy_reflect::TypeRegistry;
use engine_api::schema::Schema;
use engine_api::state::ValueFunctions;
use serde::{Deserialize, Serialize};

use super::plain::Plain;
use super::{
    Block, Checkpoint, Lost, Meta, SavedColumn, SavedKind, SavedLimbo, SavedResource, SavedType,
    SavedValues, Texts,
};
use crate::data::{Data, join};
use crate::limbo::Limbo;
use crate::panic;
use crate::state::{KeptType, StateBook};

/// A world as it was at one moment: bytes and data, no code. Made on the frame thread,
/// turned into a [`Checkpoint`] on another one.
pub struct Capture {
    meta: Meta,
    types: Vec<SavedType>,
    blocks: Vec<RawBlock>,
    resources: Vec<(u64, RawColumn)>,
    limbo: LimboImage,
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
    Data(Vec<Option<Data>>),
}

/// Limbo, serialised: quicker than to clone it.
enum LimboImage {
    Bytes(Vec<u8>),
    Parts(SavedLimbo),
}

/// [`Limbo`] as serde sees it.
#[derive(Serialize, Deserialize)]
struct LimboMirror {
    types: SavedLimbo,
}

/// A type that modules registered, in the world.
struct Known<'a> {
    index: u32,
    schema: &'a Schema,
    values: ValueFunctions,
    plain: Plainness,
}

/// Whether and how a type is plain, which its first value tells.
enum Plainness {
    Unknown,
    No,
    Yes(Plain),
}

impl Known<'_> {
    /// Looks at a value of the type.
    fn look(&self, value: Ptr<'_>) -> Plainness {
        // SAFETY: a value of the component, which has the type that the book knows.
        let found =
            panic::guard(|| Plain::of(self.schema, unsafe { (self.values.reflect)(value) }));
        match found {
            Ok(Some(plain)) => Plainness::Yes(plain),
            Ok(None) | Err(_) => Plainness::No,
        }
    }
}

impl Capture {
    /// Takes the state of a world, between two frames. See the [module](self) for the cost.
    ///
    /// Runs code of the registered types (reflection) where they are not plain. What cannot
    /// be taken is named in [`Checkpoint::lost`].
    pub fn take(world: &World, book: &StateBook, meta: Meta) -> Self {
        let mut taker = Taker::new(world, book);
        let blocks = taker.blocks();
        let resources = taker.resources();
        let limbo = taker.limbo(&book.limbo, &blocks);
        let Taker { types, lost, .. } = taker;
        let lost = lost.into_iter().map(|(type_path, (values, reason))| Lost {
            type_path,
            values,
            reason,
        });
        Self {
            meta,
            types,
            blocks,
            resources,
            limbo,
            lost: lost.collect(),
        }
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
        let limbo = match self.limbo {
            LimboImage::Bytes(bytes) => postcard::from_bytes::<LimboMirror>(&bytes)
                .map_or_else(|_| BTreeMap::new(), |l| l.types),
            LimboImage::Parts(parts) => parts,
        };
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
            limbo,
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
                SavedValues::Packed(packed)
            }
            RawValues::Data(values) => SavedValues::Data(values),
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
    /// Made when the first value has to be taken apart.
    registry: Option<TypeRegistry>,
    lost: BTreeMap<String, (usize, String)>,
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
                    plain: Plainness::Unknown,
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
            registry: None,
            lost: BTreeMap::new(),
        }
    }

    fn blocks(&mut self) -> Vec<RawBlock> {
        let world = self.world;
        let archetypes = world.archetypes().iter();
        archetypes
            .filter(|archetype| !archetype.is_empty())
            .filter(|archetype| {
                let is_own = |id: Option<ComponentId>| id.is_some_and(|id| archetype.contains(id));
                !is_own(self.own.observer) && !is_own(self.own.is_resource)
            })
            .collect::<Vec<_>>()
            .into_iter()
            .filter_map(|archetype| self.block(archetype))
            .collect()
    }

    fn block(&mut self, archetype: &'a Archetype) -> Option<RawBlock> {
        let table = self.world.storages().tables.get(archetype.table_id())?;
        let entities = archetype.entities().iter();
        let mut block = Block {
            entities: entities.map(|entity| entity.id().to_bits()).collect(),
            ..Block::default()
        };
        let mut runs = None;
        let mut columns = Vec::new();
        let mut components: Vec<ComponentId> = archetype.iter_components().collect();
        components.sort();
        for component in components {
            if self.own.contains(component) {
                self.own_component(archetype, component, &mut block);
                continue;
            }
            let Some(known) = self.known.get_mut(&component) else {
                self.unregistered(archetype, component);
                continue;
            };
            let first = archetype.entities().first()?;
            let Some(value) = value_of(self.world, first.id(), component) else {
                continue;
            };
            let values = known.values;
            if matches!(known.plain, Plainness::Unknown) {
                known.plain = known.look(value);
            }
            let of = known.index;
            let is_sparse = archetype.get_storage_type(component) == Some(StorageType::SparseSet);
            let values = match &known.plain {
                Plainness::Yes(plain) if !is_sparse => {
                    let runs = runs.get_or_insert_with(|| rows(archetype));
                    let bytes = copy_column(table, component, runs, plain.size())?;
                    RawValues::Bytes(plain.clone(), bytes)
                }
                Plainness::Yes(plain) => {
                    let bytes = copy_values(self.world, archetype, component, plain.size());
                    RawValues::Bytes(plain.clone(), bytes)
                }
                Plainness::No | Plainness::Unknown => {
                    let (schema, world) = (known.schema, self.world);
                    let entities = archetype.entities().iter().map(ArchetypeEntity::id);
                    let found = entities
                        .map(|entity| value_of(world, entity, component))
                        .collect();
                    RawValues::Data(self.apart(schema, values, found))
                }
            };
            columns.push(RawColumn { of, values });
        }
        Some(RawBlock { block, columns })
    }

    /// Takes values apart.
    fn apart(
        &mut self,
        schema: &Schema,
        values: ValueFunctions,
        found: Vec<Option<Ptr<'a>>>,
    ) -> Vec<Option<Data>> {
        let registry = self.registry.get_or_insert_with(|| {
            let mut registry = TypeRegistry::new();
            for reflect in self.kept.iter().filter_map(|kept| kept.reflect) {
                // Without it, what is in values of this type is lost.
                let _ = panic::guard(|| reflect(&mut registry));
            }
            registry
        });
        let take = |value: Ptr<'a>| -> Result<Data, String> {
            let data = panic::guard(|| {
                // SAFETY: a value of the type that the book knows.
                let value = unsafe { (values.reflect)(value) };
                Data::of(value, registry)
            });
            let data = data.map_err(|report| format!("it panicked: {}", report.summary()))?;
            let data = data.map_err(|error| error.to_string())?;
            match live_part(&data, "") {
                None => Ok(data),
                Some(path) => Err(format!(
                    "its part `{path}` cannot be serialised; add `#[reflect(Serialize, \
                     Deserialize)]` to its type"
                )),
            }
        };
        let mut all = Vec::with_capacity(found.len());
        for value in found {
            match value.map(take) {
                Some(Ok(data)) => all.push(Some(data)),
                Some(Err(reason)) => {
                    let lost = self.lost.entry(schema.path.clone());
                    lost.or_insert((0, reason)).0 += 1;
                    all.push(None);
                }
                None => all.push(None),
            }
        }
        all
    }

    fn unregistered(&mut self, archetype: &Archetype, component: ComponentId) {
        let info = self.world.components().get_info(component);
        let size = info.map_or(0, |info| info.layout().size());
        let name = format!("an unregistered component of {size} bytes");
        let reason = "register it (`m.component::<T>()`)".to_owned();
        let lost = self.lost.entry(name).or_insert((0, reason));
        lost.0 += archetype.entities().len();
    }

    fn own_component(&self, archetype: &Archetype, component: ComponentId, block: &mut Block) {
        let component = Some(component);
        let entities = archetype.entities().iter().map(ArchetypeEntity::id);
        let world = self.world;
        if component == self.own.disabled {
            block.disabled = true;
        } else if component == self.own.name {
            let mut names = Texts::default();
            for entity in entities {
                names.push(world.get::<Name>(entity).map_or("", |name| name.as_str()));
            }
            block.names = Some(names);
        } else if component == self.own.child_of {
            let parent = |entity| {
                let parent = world.get::<ChildOf>(entity);
                parent.map_or(Entity::PLACEHOLDER, ChildOf::parent)
            };
            block.parents = Some(entities.map(|entity| parent(entity).to_bits()).collect());
        } else if component == self.own.children {
            let (mut counts, mut all) = (Vec::new(), Vec::new());
            for entity in entities {
                let children = world.get::<Children>(entity);
                let children = children.map_or(&[] as &[Entity], |children| children);
                counts.push(children.len() as u32);
                all.extend(children.iter().map(|child| child.to_bits()));
            }
            block.children = Some((counts, all));
        }
    }

    fn resources(&mut self) -> Vec<(u64, RawColumn)> {
        let entities = self.world.resource_entities();
        let mut found: Vec<_> = self
            .known
            .iter()
            .filter(|(_, known)| self.types[known.index as usize].kind != SavedKind::Component)
            .filter_map(|(id, known)| {
                let value = self.world.get_resource_by_id(*id)?;
                let entity = entities.get(*id)?.to_bits();
                let plain = known.look(value);
                Some((
                    known.index,
                    entity,
                    known.schema,
                    known.values,
                    value,
                    plain,
                ))
            })
            .collect();
        found.sort_by_key(|(index, ..)| *index);
        found
            .into_iter()
            .map(|(of, entity, schema, values, value, plain)| {
                let values = match plain {
                    Plainness::Yes(plain) => {
                        let mut bytes = Vec::new();
                        // SAFETY: a value of the type that the parts were found in.
                        unsafe { copy_value(value, plain.size(), &mut bytes) };
                        RawValues::Bytes(plain, bytes)
                    }
                    _ => RawValues::Data(self.apart(schema, values, vec![Some(value)])),
                };
                (entity, RawColumn { of, values })
            })
            .collect()
    }

    /// Limbo, without values that can only be cloned: those belong to running code.
    fn limbo(&mut self, limbo: &Limbo, blocks: &[RawBlock]) -> LimboImage {
        if let Ok(bytes) = postcard::to_allocvec(limbo) {
            return LimboImage::Bytes(bytes);
        }
        let of_the_game = blocks.iter().flat_map(|raw| &raw.block.entities);
        let entities: Vec<Entity> = of_the_game
            .filter_map(|bits| Entity::try_from_bits(*bits))
            .chain(
                self.world
                    .resource_entities()
                    .iter()
                    .map(|(_, entity)| entity),
            )
            .chain([Entity::PLACEHOLDER])
            .collect();
        let mut saved = SavedLimbo::new();
        for field in limbo.fields() {
            for entity in &entities {
                let Some(data) = limbo.get(&field.type_path, *entity, &field.field) else {
                    continue;
                };
                if live_part(data, "").is_some() {
                    let name = format!("{}.{} (in limbo)", field.type_path, field.field);
                    let reason = "it cannot be serialised".to_owned();
                    self.lost.entry(name).or_insert((0, reason)).0 += 1;
                    continue;
                }
                let of_type = saved.entry(field.type_path.clone()).or_default();
                let parts = of_type.entry(entity.to_bits()).or_default();
                parts.push((field.field.clone(), data.clone()));
            }
        }
        LimboImage::Parts(saved)
    }
}

/// Rows of a table that follow each other: the first and how many.
type Rows = Vec<(TableRow, usize)>;

/// The rows of an archetype in its table, in the order of its entities.
fn rows(archetype: &Archetype) -> Rows {
    let mut rows = Rows::new();
    for entity in archetype.entities() {
        let row = entity.table_row();
        match rows.last_mut() {
            Some((first, count)) if first.index() + *count == row.index() => *count += 1,
            _ => rows.push((row, 1)),
        }
    }
    rows
}

fn copy_column(
    table: &Table,
    component: ComponentId,
    rows: &Rows,
    size: usize,
) -> Option<Vec<MaybeUninit<u8>>> {
    let column = table.get_column(component)?;
    let count: usize = rows.iter().map(|(_, count)| count).sum();
    let mut bytes = Vec::with_capacity(count * size);
    for (first, count) in rows {
        // SAFETY: the row is one of an entity of this table.
        let first = unsafe { column.get_data_unchecked(*first) };
        // SAFETY: so many values of this size follow each other in the column; bytes that
        // may be uninitialised are looked at as nothing else.
        bytes.extend_from_slice(unsafe {
            std::slice::from_raw_parts(first.as_ptr().cast(), count * size)
        });
    }
    Some(bytes)
}

fn copy_values(
    world: &World,
    archetype: &Archetype,
    component: ComponentId,
    size: usize,
) -> Vec<MaybeUninit<u8>> {
    let entities = archetype.entities().iter().map(ArchetypeEntity::id);
    let mut bytes = Vec::with_capacity(archetype.entities().len() * size);
    for value in entities.filter_map(|entity| value_of(world, entity, component)) {
        // SAFETY: the component has values of this size.
        unsafe { copy_value(value, size, &mut bytes) };
    }
    bytes
}

/// # Safety
/// A value of this size is there.
unsafe fn copy_value(value: Ptr<'_>, size: usize, to: &mut Vec<MaybeUninit<u8>>) {
    // SAFETY: as promised; the bytes are looked at as nothing else than bytes that may be
    // uninitialised.
    to.extend_from_slice(unsafe { std::slice::from_raw_parts(value.as_ptr().cast(), size) });
}

/// An entity's value, wherever it is stored.
fn value_of(world: &World, entity: Entity, component: ComponentId) -> Option<Ptr<'_>> {
    let location = world.entities().get_spawned(entity).ok()?;
    let archetype = world.archetypes().get(location.archetype_id)?;
    match archetype.get_storage_type(component)? {
        StorageType::SparseSet => world.storages().sparse_sets.get(component)?.get(entity),
        StorageType::Table => {
            let table = world.storages().tables.get(location.table_id)?;
            let column = table.get_column(component)?;
            // SAFETY: the location of a spawned entity is a row of its table.
            Some(unsafe { column.get_data_unchecked(location.table_row) })
        }
    }
}

/// The path of a part that cannot go to a file.
fn live_part(data: &Data, path: &str) -> Option<String> {
    match data {
        Data::Live(_) => Some(path.to_owned()),
        Data::Struct(fields) | Data::Variant(_, fields) => {
            let mut fields = fields.iter();
            fields.find_map(|(name, data)| live_part(data, &join(path, name)))
        }
        Data::List(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, data)| live_part(data, &format!("{path}[{index}]")))
        }
        Data::Map(pairs) => pairs.iter().find_map(|(key, value)| {
            let key = live_part(key, &join(path, "key"));
            key.or_else(|| live_part(value, &join(path, "value")))
        }),
        _ => None,
    }
}
