//! Columns: one field of all entities as a plain table of Lua, for loops over many.
//!
//! A proxy costs a look into the world with each use. A column is copied once, is as fast as
//! any table, and is written back at once.

use std::cell::UnsafeCell;
use std::ffi::c_int;

use engine_api::bevy_ecs::archetype::{Archetype, ArchetypeEntity};
use engine_api::bevy_ecs::change_detection::{AtomicTick, Tick};
use engine_api::bevy_ecs::component::{ComponentId, StorageType};
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::storage::{Table as Rows, TableId, TableRow};
use engine_api::bevy_ecs::world::World;
use engine_api::schema::Shape;
use engine_api::state::StateKind;
use mlua::{Lua, MetaMethod, MultiValue, Table, UserData, UserDataFields, UserDataMethods};
use mlua::{Value, Variadic, ffi};

use super::access;
use super::entity;
use super::number::{Number, Numbers, Variants, numbers_of};
use super::part::{Part, Step, describe};
use super::problem::{Problem, instead};
use super::query::{Asked, Filter};
use super::types::{Found, Known, TypeRef, Types};

/// What `world:columns` gives: which entities there were, and their columns.
pub(super) struct Columns {
    entities: Vec<Entity>,
    columns: Vec<Column>,
}

struct Column {
    /// As the script wrote it: `Position.x`.
    name: String,
    of: TypeRef,
    steps: Vec<String>,
    /// For one that entities may lack, `Armor?.plates`: which rows had it.
    had: Option<Vec<bool>>,
}

/// What the name of a column means.
struct Named<'t> {
    known: &'t Known,
    steps: Vec<String>,
    /// Entities without the component are rows as well.
    is_optional: bool,
}

/// Where the values of a column lie.
struct Field {
    component: ComponentId,
    /// Bytes from one component to the next.
    stride: usize,
    /// Bytes from the beginning of a component.
    offset: usize,
    values: Values,
}

/// What a column has.
enum Values {
    Numbers(&'static Numbers),
    Variants(Variants),
}

impl Values {
    fn expected(&self) -> String {
        match self {
            Self::Numbers(numbers) => (numbers.expected)(),
            Self::Variants(variants) => variants.expected(),
        }
    }

    /// Whether one of these could be such a value.
    fn fits(&self, value: &Number) -> bool {
        match self {
            Self::Numbers(numbers) => (numbers.misfit)(std::slice::from_ref(value)).is_none(),
            Self::Variants(_) => matches!(value, Number::Variant(_)),
        }
    }

    /// The first that cannot be such a value.
    fn misfit(&self, values: &[Number]) -> Option<usize> {
        match self {
            Self::Numbers(numbers) => (numbers.misfit)(values),
            Self::Variants(_) => values.iter().position(|value| !self.fits(value)),
        }
    }

    /// See [`Numbers::write`].
    ///
    /// # Safety
    /// As there.
    unsafe fn write(&self, place: *mut u8, value: &Number) -> bool {
        // SAFETY: as the caller says.
        unsafe {
            match self {
                Self::Numbers(numbers) => (numbers.write)(place, value),
                Self::Variants(variants) => variants.write(place, value),
            }
        }
    }
}

/// What stands for nothing in a row.
const NIL: Number = Number::Other(ffi::LUA_TNIL);

/// `world:columns(..)`.
pub(super) fn columns(lua: &Lua, arguments: Variadic<Value>) -> mlua::Result<MultiValue> {
    let asked = Asked::read(&arguments)?;
    access::with(lua, |context| {
        let (world, types) = (&*context.world, context.types);
        let read = || {
            let found = asked.names.iter().map(|name| column(types, name));
            let found = found.collect::<Result<Vec<_>, _>>()?;
            let must = found.iter().filter(|named| !named.is_optional);
            let filter = asked.filter(types, must.map(|named| Found::Registered(named.known)))?;
            let fields = found
                .iter()
                .map(|named| field(world, named.known, &named.steps))
                .collect::<Result<Vec<_>, _>>()?;
            let (entities, numbers) = gather(world, &filter, &fields);
            Ok((found, fields, entities, numbers))
        };
        let (found, fields, entities, numbers) = read().map_err(Problem::raise)?;
        let columns = asked.names.iter().zip(found).zip(&numbers);
        let columns = columns.map(|((name, named), numbers)| Column {
            name: name.clone(),
            of: named.known.reference(),
            steps: named.steps,
            had: named
                .is_optional
                .then(|| numbers.iter().map(|number| *number != NIL).collect()),
        });
        let columns = Columns {
            entities,
            columns: columns.collect(),
        };
        let mut all = MultiValue::with_capacity(numbers.len() + 1);
        all.push_back(Value::UserData(lua.create_userdata(columns)?));
        for (numbers, field) in numbers.iter().zip(&fields) {
            all.push_back(Value::Table(to_table(lua, numbers, &field.values)?));
        }
        Ok(all)
    })
}

/// The entities that fit, and the numbers of each column.
fn gather(world: &World, filter: &Filter, fields: &[Field]) -> (Vec<Entity>, Vec<Vec<Number>>) {
    let count = filter.archetypes(world).map(Archetype::len).sum::<u32>() as usize;
    let mut entities = Vec::with_capacity(count);
    let numbers = fields.iter().map(|_| Vec::with_capacity(count));
    let mut numbers: Vec<Vec<Number>> = numbers.collect();
    for archetype in filter.archetypes(world) {
        let rows = archetype.entities();
        entities.extend(rows.iter().map(ArchetypeEntity::id));
        let table = world.storages().tables.get(archetype.table_id());
        for (field, numbers) in fields.iter().zip(&mut numbers) {
            let Some(base) = table.and_then(|table| base(table, field.component)) else {
                numbers.extend(rows.iter().map(|_| NIL));
                continue;
            };
            // SAFETY: the rows are those of the table, which has the component, and the type's
            // own schema says what lies there.
            unsafe {
                let first = base.add(field.offset);
                match &field.values {
                    Values::Numbers(of) => (of.read)(first, field.stride, rows, numbers),
                    Values::Variants(of) => of.read(first, field.stride, rows, numbers),
                }
            }
        }
    }
    (entities, numbers)
}

/// The type and the fields that a column's name means: `Position.x`, and `Armor?.plates` where
/// entities may lack the component.
fn column<'t>(types: &'t Types, name: &str) -> Result<Named<'t>, Problem> {
    let mut pieces = name.split('.');
    let component = pieces.next().unwrap_or_default();
    let is_optional = component.ends_with('?');
    let component = component.trim_end_matches('?');
    let steps: Vec<_> = pieces.map(str::to_owned).collect();
    let known = types.find(StateKind::Component, component)?;
    if steps.is_empty() && !matches!(known.part().shape, Shape::Enum(_)) {
        return Err(Problem::new(format!(
            "a column is a field of a component, as in `{component}.x`"
        )));
    }
    Ok(Named {
        known,
        steps,
        is_optional,
    })
}

/// Where a column lies.
fn field(world: &World, known: &Known, steps: &[String]) -> Result<Field, Problem> {
    let (component, _) = known.values()?;
    let mut part: Part<'_> = known.part();
    let mut place = Vec::new();
    let shown = || match steps {
        [] => known.name.clone(),
        steps => format!("{}.{}", known.name, steps.join(".")),
    };
    for name in steps {
        if part.option().is_some() {
            return Err(optional(&part).within(shown()));
        }
        let step = match name.parse::<usize>() {
            Ok(index) if index > 0 => Step::Index(index - 1),
            _ => Step::Field(name.as_str().into()),
        };
        part = part.follow(&step, None)?;
        place.push(match step {
            Step::Index(index) => index.to_string(),
            _ => name.clone(),
        });
    }
    if part.option().is_some() {
        return Err(optional(&part).within(shown()));
    }
    let numbers = numbers_of(part.path);
    if numbers.is_none() && !matches!(part.shape, Shape::Enum(_)) {
        let of = part.name();
        return Err(Problem::new(format!(
            "a column has numbers, truth values or variants, not `{of}`; use a query"
        ))
        .within(shown()));
    }
    let (offset, size) = match &*place {
        [] => (0, known.schema.size),
        place => {
            let place = place.join(".");
            let places = known.schema.places.as_deref().unwrap_or_default();
            let found = places.iter().find(|known| known.field == place);
            let found =
                found.filter(|found| numbers.is_none_or(|numbers| found.size == numbers.size));
            let found = found.ok_or_else(|| {
                let name = &known.name;
                Problem::new(format!(
                    "where it lies is not known, since `{name}` has no `Default` that is \
                     reflected; add `#[reflect(Default)]` to it, or use a query"
                ))
                .within(shown())
            })?;
            (found.offset, found.size)
        }
    };
    let values = match numbers {
        Some(numbers) => Values::Numbers(numbers),
        None => Values::Variants(Variants::of(part.shape, size).ok_or_else(|| {
            let of = part.name();
            Problem::new(format!(
                "variants of `{of}` have fields, and a column has one value a row; use a query"
            ))
            .within(shown())
        })?),
    };
    let info = world.components().get_info(component);
    let info = info.ok_or_else(|| Problem::new("the world does not know the component"))?;
    if info.storage_type() == StorageType::SparseSet {
        let message = "it is kept in a sparse set, which has no columns; use a query";
        return Err(Problem::new(message).within(shown()));
    }
    Ok(Field {
        component,
        stride: info.layout().pad_to_align().size(),
        offset,
        values,
    })
}

/// Why there is no column of an `Option`.
fn optional(part: &Part<'_>) -> Problem {
    let of = part.name();
    Problem::new(format!(
        "`{of}` is nil in some rows and lies elsewhere in others, so there is no column of it; \
         use a query"
    ))
}

/// Where the components of a table begin; `None` if it has none.
fn base(table: &Rows, component: ComponentId) -> Option<*mut u8> {
    let column = table.get_column(component)?;
    if table.is_empty() {
        return None;
    }
    // SAFETY: there is a row.
    let first = unsafe { column.get_data_unchecked(TableRow::new(0_u32.try_into().ok()?)) };
    Some(first.as_ptr().cast_mut())
}

impl Field {
    /// The place in a row.
    ///
    /// # Safety
    /// `base` is where the components of a table begin that has the row.
    unsafe fn at(&self, base: *mut u8, row: TableRow) -> *mut u8 {
        // SAFETY: as the caller says.
        unsafe { base.add(row.index() * self.stride + self.offset) }
    }
}

/// Makes a table of numbers.
fn to_table(lua: &Lua, numbers: &[Number], values: &Values) -> mlua::Result<Table> {
    // SAFETY: three values at most; what may raise an error has nothing to drop.
    unsafe {
        lua.exec_raw((), |lua| {
            ffi::lua_checkstack(lua, 4);
            let count = c_int::try_from(numbers.len()).unwrap_or(c_int::MAX);
            ffi::lua_createtable(lua, count, 0);
            for (number, index) in numbers.iter().zip(1..) {
                match number {
                    Number::Integer(number) => ffi::lua_pushinteger(lua, *number),
                    Number::Float(number) => ffi::lua_pushnumber(lua, *number),
                    Number::Boolean(truth) => ffi::lua_pushboolean(lua, c_int::from(*truth)),
                    Number::Variant(index) => {
                        let name = match values {
                            Values::Variants(variants) => variants.name(*index),
                            Values::Numbers(_) => "",
                        };
                        ffi::lua_pushlstring(lua, name.as_ptr().cast(), name.len());
                    }
                    Number::Other(_) => ffi::lua_pushnil(lua),
                }
                ffi::lua_rawseti(lua, -2, index);
            }
        })
    }
}

/// Reads so many values of a table.
fn from_table(
    lua: &Lua,
    table: &Table,
    count: usize,
    values: &Values,
) -> mlua::Result<Vec<Number>> {
    let mut numbers = Vec::with_capacity(count);
    // SAFETY: there is room for so many values; nothing in there raises an error, and there is
    // room for the numbers.
    unsafe {
        lua.exec_raw::<()>(table, |lua| {
            ffi::lua_checkstack(lua, AT_ONCE + 4);
            for index in 1..=count as ffi::lua_Integer {
                let kind = ffi::lua_rawgeti(lua, 1, index);
                numbers.push(match kind {
                    ffi::LUA_TNUMBER if ffi::lua_isinteger(lua, -1) == 0 => {
                        Number::Float(ffi::lua_tonumber(lua, -1))
                    }
                    ffi::LUA_TNUMBER => Number::Integer(ffi::lua_tointeger(lua, -1)),
                    ffi::LUA_TBOOLEAN => Number::Boolean(ffi::lua_toboolean(lua, -1) != 0),
                    ffi::LUA_TSTRING => match values {
                        Values::Numbers(_) => Number::Other(kind),
                        Values::Variants(variants) => {
                            let mut length = 0;
                            let text = ffi::lua_tolstring(lua, -1, &raw mut length);
                            // SAFETY: it is a string of that length, and stays on the stack.
                            let text = std::slice::from_raw_parts(text.cast::<u8>(), length);
                            let index = variants.called(text);
                            index.map_or(Number::Other(kind), Number::Variant)
                        }
                    },
                    kind => Number::Other(kind),
                });
                if index % ffi::lua_Integer::from(AT_ONCE) == 0 {
                    ffi::lua_settop(lua, 1);
                }
            }
            ffi::lua_settop(lua, 0);
        })?;
    }
    Ok(numbers)
}

/// Values of a table that lie on the stack together: taking them off costs a call.
const AT_ONCE: c_int = 64;

/// A column on its way back.
struct Writing {
    field: Field,
    numbers: Vec<Number>,
    /// The table of the last row, and where the column is in it.
    last: Option<(TableId, Option<Target>)>,
}

/// A component's column in a table.
#[derive(Clone, Copy)]
struct Target {
    base: *mut u8,
    changed: *const UnsafeCell<Tick>,
    summary: Option<*const AtomicTick>,
}

impl Columns {
    /// Writes columns back: name, table, name, table.
    fn write(&self, lua: &Lua, arguments: &[Value]) -> mlua::Result<()> {
        let mut wanted = Vec::new();
        for pair in arguments.chunks(2) {
            let [Value::String(name), Value::Table(table)] = pair else {
                return Err(mlua::Error::runtime(
                    "`write` takes names of columns, each with its table",
                ));
            };
            wanted.push((self.column(&name.to_string_lossy())?, table));
        }
        access::with(lua, |context| {
            let mut writing = Vec::new();
            for (column, table) in wanted {
                let known = context.types.get(&column.of).map_err(Problem::raise)?;
                let field = field(context.world, known, &column.steps).map_err(Problem::raise)?;
                let info = context.world.components().get_info(field.component);
                if info.is_some_and(|info| !info.mutable()) {
                    return Err(mlua::Error::runtime(format!(
                        "`{}` is immutable; `world:insert` puts another one in its place",
                        known.name
                    )));
                }
                let numbers = from_table(lua, table, self.entities.len(), &field.values)?;
                if let Some((row, expected)) = column.misfit(&field.values, &numbers) {
                    let found = describe(&table.raw_get(row + 1)?);
                    return Err(mlua::Error::runtime(format!(
                        "`{}`, row {}: {expected} was expected, not {found}",
                        column.name,
                        row + 1
                    )));
                }
                writing.push(Writing {
                    field,
                    numbers,
                    last: None,
                });
            }
            write_rows(context.world, &self.entities, &mut writing);
            Ok(())
        })
    }

    fn column(&self, name: &str) -> mlua::Result<&Column> {
        let found = self.columns.iter().find(|column| column.name == name);
        found.ok_or_else(|| {
            let known = self.columns.iter().map(|column| column.name.as_str());
            let instead = instead(name, known);
            mlua::Error::runtime(format!("column `{name}` was not read; {instead}"))
        })
    }
}

impl Column {
    /// The first row that has not what it can have, and what that is.
    fn misfit(&self, values: &Values, numbers: &[Number]) -> Option<(usize, String)> {
        let Some(had) = &self.had else {
            return Some((values.misfit(numbers)?, values.expected()));
        };
        let mut rows = numbers.iter().zip(had).enumerate();
        rows.find_map(|(row, (number, had))| match had {
            true if !values.fits(number) => Some((row, values.expected())),
            false if *number != NIL => Some((row, "nil, since it lacks the component,".into())),
            _ => None,
        })
    }
}

/// Writes what differs. Entities that are gone or have lost the component are left out.
fn write_rows(world: &mut World, entities: &[Entity], writing: &mut [Writing]) {
    let tick = world.change_tick();
    let world = &*world;
    for (index, entity) in entities.iter().enumerate() {
        let Ok(location) = world.entities().get_spawned(*entity) else {
            continue;
        };
        for column in &mut *writing {
            let target = match column.last {
                Some((table, target)) if table == location.table_id => target,
                _ => {
                    let table = world.storages().tables.get(location.table_id);
                    let target = table.and_then(|table| target(table, column.field.component));
                    column.last = Some((location.table_id, target));
                    target
                }
            };
            let Some(target) = target else {
                continue;
            };
            // SAFETY: the entity's location is a row of this table; the world is borrowed
            // mutably by the caller, so nobody else looks at values and ticks.
            unsafe {
                let place = column.field.at(target.base, location.table_row);
                if column.field.values.write(place, &column.numbers[index]) {
                    let changed = target.changed.add(location.table_row.index());
                    *(*changed).get() = tick;
                    if let Some(summary) = target.summary {
                        (*summary).set(tick);
                    }
                }
            }
        }
    }
}

fn target(table: &Rows, component: ComponentId) -> Option<Target> {
    Some(Target {
        base: base(table, component)?,
        changed: table.get_changed_ticks_slice_for(component)?.as_ptr(),
        summary: table.get_summary_tick(component).map(std::ptr::from_ref),
    })
}

impl UserData for Columns {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field(MetaMethod::Type, "columns");
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("write", |lua, this, arguments: Variadic<Value>| {
            this.write(lua, &arguments)
        });
        methods.add_method("entity", |_, this, row: usize| {
            let entity = row.checked_sub(1).and_then(|row| this.entities.get(row));
            Ok(entity.map_or(Value::Nil, |entity| entity::to_lua(*entity)))
        });
        methods.add_meta_method(MetaMethod::Len, |_, this, ()| Ok(this.entities.len()));
    }
}
