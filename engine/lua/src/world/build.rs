//! Whole components, made of values of Lua, on their way into the world.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

use engine_api::bevy_ecs::component::ComponentId;
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::ptr::OwningPtr;
use engine_api::bevy_ecs::world::World;
use mlua::{Lua, Value};

use super::make::Maker;
use super::problem::Problem;
use super::types::{Known, Types};

/// A component that is in no world yet.
pub(super) struct Built {
    component: ComponentId,
    place: NonNull<u8>,
    layout: Layout,
    /// `None` once the world has the value.
    drop: Option<unsafe fn(NonNull<u8>)>,
}

impl Built {
    /// Makes a component. Fields that are left out get their default values; `true` is a value
    /// of nothing but these.
    pub(super) fn new(
        lua: &Lua,
        world: &World,
        types: &Types,
        known: &Known,
        value: &Value,
    ) -> Result<Self, Problem> {
        let (component, values) = known.values()?;
        let part = known.part();
        let maker = Maker::new(lua, world, types, known);
        let made = maker.make_whole(value, &part);
        let made = made.map_err(|problem| problem.within(&known.name))?;
        let layout = Layout::from_size_align(known.schema.size, known.schema.align);
        let layout = layout.map_err(|error| Problem::new(error.to_string()))?;
        let place = if layout.size() == 0 {
            NonNull::without_provenance(
                known
                    .schema
                    .align
                    .try_into()
                    .unwrap_or(std::num::NonZero::<usize>::MIN),
            )
        } else {
            // SAFETY: its size is not zero.
            let place = NonNull::new(unsafe { alloc(layout) });
            place.ok_or_else(|| Problem::new("there is no memory left"))?
        };
        let mut built = Self {
            component,
            place,
            layout,
            drop: None,
        };
        // SAFETY: size and alignment are those of the type.
        if !unsafe { (values.write)(&*made, place) } {
            return Err(Problem::new(format!(
                "`{}` cannot be made of this; has it a `Default` and `#[reflect(Default)]`?",
                known.name
            )));
        }
        built.drop = Some(values.drop);
        Ok(built)
    }

    /// Gives components to an entity, all at once.
    pub(super) fn insert(
        mut components: Vec<Self>,
        world: &mut World,
        entity: Entity,
    ) -> Result<(), Problem> {
        let ids: Vec<_> = components.iter().map(|built| built.component).collect();
        let Ok(mut target) = world.get_entity_mut(entity) else {
            return Err(Problem::new(format!("entity {entity} is gone")));
        };
        for built in &mut components {
            // From here on it is the world's.
            built.drop = None;
        }
        let values = components.iter().map(|built| {
            // SAFETY: a value lies there, and is not used by anybody else any more.
            unsafe { OwningPtr::new(built.place) }
        });
        // SAFETY: the components are of this world and have the types of the values, see
        // `Known::new`; no two are the same.
        unsafe { target.insert_by_ids(&ids, values) };
        world.flush();
        Ok(())
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            // SAFETY: a value lies there that nobody has taken.
            unsafe { drop(self.place) };
        }
        if self.layout.size() > 0 {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.place.as_ptr(), self.layout) };
        }
    }
}
