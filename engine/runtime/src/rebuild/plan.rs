//! What becomes of each component: the plan of the caller, checked against both worlds.

use std::alloc::Layout;
use std::any::TypeId;
use std::collections::{HashMap, HashSet};

use engine_api::attach::Attachable;
use engine_api::bevy_ecs::archetype::Archetype;
use engine_api::bevy_ecs::component::{Component, ComponentId, ComponentInfo, StorageType};
use engine_api::bevy_ecs::entity::Entity;
use engine_api::bevy_ecs::entity_disabling::DefaultQueryFilters;
use engine_api::bevy_ecs::message::MessageRegistry;
use engine_api::bevy_ecs::observer::{ObservedBy, Observer};
use engine_api::bevy_ecs::resource::IsResource;
use engine_api::bevy_ecs::schedule::Schedules;
use engine_api::bevy_ecs::world::World;
use engine_api::callback::Callable;
use engine_api::component_hooks::HookTable;
use engine_api::event::Hearers;

use super::{ColumnError, RebuildError};
use crate::state::StateTypes;

/// Makes new values from old ones: reads `entities.len()` values at the first pointer
/// (one old size apart) and writes as many at the second (one new size apart). It may be
/// called several times for one component, each time with other entities.
///
/// On an error it has dropped what this call wrote. If it panics, what this call wrote
/// is leaked. It must not keep the pointers or read old values by moving them.
pub type MakeColumn<'a> =
    Box<dyn FnMut(&[Entity], *const u8, *mut u8) -> Result<(), ColumnError> + 'a>;

/// What becomes of the values of one component type of the old world.
pub enum Treatment<'a> {
    /// Their bits are taken over as they are. What a component gets that the plan does
    /// not mention, with `to` being `None`.
    Move {
        /// The new type, if it has another `TypeId`; size and alignment are the same.
        to: Option<TypeId>,
    },
    /// New values are made from the old ones, which stay those of the old world.
    Convert {
        /// The new type; the same one to clone, see [`Treatment::cloning`].
        to: TypeId,
        /// Makes the values.
        make: MakeColumn<'a>,
    },
    /// They do not get into the new world.
    Leave,
}

impl Treatment<'_> {
    /// Both worlds get values of their own, by cloning each.
    pub fn cloning<T: Component + Clone>() -> Treatment<'static> {
        let make: MakeColumn<'static> = Box::new(|entities, old, new| {
            let mut written = Written {
                first: new.cast::<T>(),
                count: 0,
            };
            for row in 0..entities.len() {
                // SAFETY: `MakeColumn` is called with as many values of this type.
                let value = unsafe { (*old.cast::<T>().add(row)).clone() };
                // SAFETY: and with space for as many.
                unsafe { written.first.add(row).write(value) };
                written.count += 1;
            }
            std::mem::forget(written);
            Ok(())
        });
        Treatment::Convert {
            to: TypeId::of::<T>(),
            make,
        }
    }
}

/// Drops what was written if a clone panics.
struct Written<T> {
    first: *mut T,
    count: usize,
}

impl<T> Drop for Written<T> {
    fn drop(&mut self) {
        let values = std::ptr::slice_from_raw_parts_mut(self.first, self.count);
        // SAFETY: so many were written and nobody else knows of them.
        unsafe { values.drop_in_place() };
    }
}

/// How the values of an old component get over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// They do not.
    Leave,
    /// Bit by bit.
    Copy,
    /// By the plan's conversion with this number.
    Make(usize),
    /// `IsResource` names a component, whose id is another one now.
    IsResource,
    /// `DefaultQueryFilters` names components as well.
    Filters,
}

/// An old component and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub way: Way,
    /// The component in the new world. Something that is left has one as well, if its
    /// type is known there.
    pub new: Option<ComponentId>,
    /// Bytes of an old value.
    pub size: usize,
    /// Whether the old world keeps them in a sparse set.
    pub sparse: bool,
}

/// Routes of all old components, by the index of their id.
pub(super) struct Routes(Vec<Option<Route>>);

impl Routes {
    /// The route of an old component.
    pub(super) fn get(&self, old: ComponentId) -> Option<&Route> {
        self.0.get(old.index())?.as_ref()
    }

    /// The id that an old component has in the new world.
    pub(super) fn new_id(&self, old: ComponentId) -> Option<ComponentId> {
        self.get(old)?.new
    }

    /// Old components of an archetype that get into the new world, with their new ids.
    pub(super) fn carried(
        &self,
        archetype: &Archetype,
    ) -> impl Iterator<Item = (ComponentId, &Route, ComponentId)> {
        archetype.iter_components().filter_map(|old| {
            let route = self.get(old)?;
            (route.way != Way::Leave).then_some((old, route, route.new?))
        })
    }

    /// Old components whose bits are in both worlds, by the new component.
    pub(super) fn sources_of(&self, new: ComponentId) -> Vec<ComponentId> {
        let all = self.0.iter().enumerate();
        all.filter(|(_, route)| {
            route.is_some_and(|route| route.way == Way::Copy && route.new == Some(new))
        })
        .map(|(index, _)| ComponentId::new(index))
        .collect()
    }
}

/// Checks the plan against both worlds. Gives the routes and the conversions they name.
pub(super) fn route<'a>(
    old: &World,
    new: &World,
    mut treatments: HashMap<ComponentId, Treatment<'a>>,
) -> Result<(Routes, Vec<MakeColumn<'a>>), RebuildError> {
    let mut routes = Vec::new();
    let mut makes = Vec::new();
    let counts = count_values(old);
    for index in 0..old.components().len() {
        let id = ComponentId::new(index);
        let Some(info) = old.components().get_info(id) else {
            routes.push(None);
            continue;
        };
        let (way, new_type) = match treatments.remove(&id) {
            Some(Treatment::Move { to }) => (Way::Copy, to.or(info.type_id())),
            None => (default_way(info), info.type_id()),
            Some(Treatment::Leave) => (Way::Leave, info.type_id()),
            Some(Treatment::Convert { to, make }) => {
                makes.push(make);
                (Way::Make(makes.len() - 1), Some(to))
            }
        };
        let new_id = new_type.and_then(|new_type| new.components().get_valid_id(new_type));
        let count = counts.get(index).copied().unwrap_or(0);
        if way != Way::Leave && count > 0 {
            check(id, info, way, count, new_type, new_id, new)?;
        }
        routes.push(Some(Route {
            way,
            new: new_id,
            size: info.layout().size(),
            sparse: info.storage_type() == StorageType::SparseSet,
        }));
    }
    let routes = Routes(routes);
    for archetype in old.archetypes().iter().filter(|some| !some.is_empty()) {
        let mut seen = HashSet::new();
        for (old, _, new) in routes.carried(archetype) {
            if !seen.insert(new) {
                return Err(RebuildError::Merged { component: old });
            }
        }
    }
    Ok((routes, makes))
}

/// What becomes of a component that the plan does not mention.
fn default_way(info: &ComponentInfo) -> Way {
    let Some(type_id) = info.type_id() else {
        return Way::Copy;
    };
    if type_id == TypeId::of::<IsResource>() {
        return Way::IsResource;
    }
    if type_id == TypeId::of::<DefaultQueryFilters>() {
        return Way::Filters;
    }
    // What they hold belongs to one world: systems, ids of components, places by them, and what
    // the versions in it register.
    let bound = [
        TypeId::of::<Observer>(),
        TypeId::of::<ObservedBy>(),
        TypeId::of::<MessageRegistry>(),
        TypeId::of::<Schedules>(),
        TypeId::of::<HookTable>(),
        TypeId::of::<StateTypes>(),
        TypeId::of::<Attachable>(),
        TypeId::of::<Callable>(),
        TypeId::of::<Hearers>(),
    ];
    if bound.contains(&type_id) {
        Way::Leave
    } else {
        Way::Copy
    }
}

fn check(
    component: ComponentId,
    info: &ComponentInfo,
    way: Way,
    count: u64,
    new_type: Option<TypeId>,
    new_id: Option<ComponentId>,
    new: &World,
) -> Result<(), RebuildError> {
    let Some(target) = new_id.and_then(|new_id| new.components().get_info(new_id)) else {
        return Err(RebuildError::Undeclared {
            component,
            type_id: new_type,
            size: info.layout().size(),
            count,
        });
    };
    let (from, to): (Layout, Layout) = (info.layout(), target.layout());
    if way == Way::Copy && from != to {
        return Err(RebuildError::Layout {
            component,
            from,
            to,
        });
    }
    Ok(())
}

/// How many values there are, by the index of their component.
fn count_values(world: &World) -> Vec<u64> {
    let mut counts = vec![0; world.components().len()];
    for archetype in world.archetypes().iter() {
        for component in archetype.iter_components() {
            counts[component.index()] += u64::from(archetype.len());
        }
    }
    for (component, data) in world.storages().non_sends.iter() {
        counts[component.index()] += u64::from(data.is_present());
    }
    counts
}
