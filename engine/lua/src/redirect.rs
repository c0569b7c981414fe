//! The walk that makes every reference to an old function one to its new version.
//!
//! Functions that the source declared become the new ones. Other closures of the old source
//! (callbacks, timers, closures in locals of coroutines) become closures of the new body with
//! the cells that they had. What a coroutine runs at the moment stays. The walk calls no
//! user code and cannot fail.

use std::collections::BTreeSet;
use std::ffi::c_int;

use mlua::ffi;
use mlua::{Function, Lua, Table, Value};

use crate::entries::Entry;
use crate::heap::{self, Place, Visitor};
use crate::layout::{self, ProtoId, proto_at, proto_of, set_proto};
use crate::objects::{self, Kind, Moment, Object, Pusher};
use crate::plan::{NoPlan, Origin, Plan};
use crate::raw::{
    Address, AddressMap, AddressSet, State, address, is_lua_function, pointer_address,
};

/// Places on the stack while the walk runs.
const ANCHORS: c_int = 1;
const TARGETS: c_int = 2;
const FACTORIES: c_int = 3;
const LEFT: c_int = 4;
const PUSHER: c_int = 5;

/// More captured variables than a function that a factory makes can have.
const MOST_CAPTURES: usize = 200;

/// What becomes what.
pub(crate) struct Redirect {
    /// Values that others become, from number 1.
    targets: Table,
    next: u32,
    objects: AddressMap<u32>,
    /// What closures of old prototypes become.
    plans: AddressMap<Result<Ready, NoPlan>>,
    /// Functions, by number of captured variables, that make a closure of that many.
    factories: Table,
    /// Set of functions with an old body that are still there; its keys are weak.
    left: Table,
    known: AddressMap<Option<u32>>,
    redirected: usize,
    /// Why closures kept their body.
    kept: BTreeSet<(String, usize)>,
    old_bodies: usize,
}

/// A plan whose functions are targets.
struct Ready {
    proto: ProtoId,
    origins: Vec<ReadyOrigin>,
}

#[derive(Clone, Copy)]
enum ReadyOrigin {
    Own(c_int),
    Target(u32, c_int),
}

/// What a walk did.
pub(crate) struct Redirected {
    pub(crate) count: usize,
    pub(crate) old_bodies: usize,
    /// Variables that closures never captured, with the prototype that needs them.
    pub(crate) never_captured: Vec<(String, usize)>,
}

impl Redirect {
    pub(crate) fn new(lua: &Lua) -> mlua::Result<Self> {
        Ok(Self {
            targets: lua.create_table()?,
            next: 1,
            objects: AddressMap::default(),
            plans: AddressMap::default(),
            factories: lua.create_table()?,
            left: weak_set(lua)?,
            known: AddressMap::default(),
            redirected: 0,
            kept: BTreeSet::new(),
            old_bodies: 0,
        })
    }

    fn target(&mut self, value: impl mlua::IntoLua) -> mlua::Result<u32> {
        let number = self.next;
        self.targets.raw_set(number, value)?;
        self.next += 1;
        Ok(number)
    }

    /// References to the object at an address become references to a value.
    pub(crate) fn object(&mut self, from: Address, to: impl mlua::IntoLua) -> mlua::Result<()> {
        let target = self.target(to)?;
        self.objects.insert(from, target);
        Ok(())
    }

    /// Closures of an old prototype get a new body, or stay. `functions` are those that a plan
    /// names; `main` has the globals as its first captured variable.
    pub(crate) fn closures(
        &mut self,
        lua: &Lua,
        proto: ProtoId,
        plan: Result<Plan, NoPlan>,
        main: &Function,
        function: impl Fn(usize) -> Function,
    ) -> mlua::Result<()> {
        let ready = match plan {
            Err(reason) => Err(reason),
            Ok(plan) if plan.origins.len() > MOST_CAPTURES => Err(NoPlan::Gone),
            Ok(plan) => {
                self.factory(lua, plan.origins.len())?;
                let mut origins = Vec::new();
                for origin in plan.origins {
                    origins.push(match origin {
                        Origin::Own(number) => ReadyOrigin::Own(number as c_int + 1),
                        Origin::Function(number, capture) => ReadyOrigin::Target(
                            self.target(function(number))?,
                            capture as c_int + 1,
                        ),
                        Origin::Environment => ReadyOrigin::Target(self.target(main)?, 1),
                    });
                }
                Ok(Ready {
                    proto: plan.proto,
                    origins,
                })
            }
        };
        self.plans.insert(proto, ready);
        Ok(())
    }

    /// Makes the function that makes closures with so many captured variables.
    fn factory(&mut self, lua: &Lua, captures: usize) -> mlua::Result<()> {
        if !matches!(self.factories.raw_get(captures + 1)?, Value::Nil) {
            return Ok(());
        }
        let names: Vec<String> = (0..captures).map(|number| format!("v{number}")).collect();
        let names = names.join(",");
        let local = if captures == 0 {
            String::new()
        } else {
            format!("local {names} ")
        };
        let source = format!("{local}return function() return function() return {names} end end");
        let factory: Function = lua.load(source).set_name("=engine").eval()?;
        self.factories.raw_set(captures + 1, factory)
    }

    /// Redirects all references of the heap, which has about `expected` objects. `skip` are tables
    /// that are left out.
    ///
    /// All objects are looked at in place; what refers to something that becomes something else is
    /// visited through the API. Where closures keep old bodies a walk follows, because garbage
    /// does not count.
    pub(crate) fn run(
        mut self,
        lua: &Lua,
        expected: usize,
        skip: &AddressSet,
    ) -> mlua::Result<(Redirected, Table)> {
        let moment = Moment::now(lua)?;
        let (anchors, pusher) = (lua.create_table()?, Pusher::new(lua)?);
        let mut skip = skip.clone();
        let own = [
            &anchors,
            &self.targets,
            &self.factories,
            &self.left,
            moment.mark(),
            pusher.table(),
        ];
        skip.extend(own.map(|table| pointer_address(table.to_pointer())));
        let values = (
            anchors,
            self.targets.clone(),
            self.factories.clone(),
            self.left.clone(),
            pusher.table().clone(),
        );
        // SAFETY: as in `Snapshot::take`; the stack is as the constants say.
        unsafe {
            lua.exec_raw::<()>(values, |lua| {
                ffi::lua_checkstack(lua, 50);
                let concerned = self.concerned(&moment, &skip);
                self.visit(lua, &concerned);
                heap::visit_type_metatables(lua, &mut self);
                ffi::lua_settop(lua, 0);
            })?;
        }
        if !self.left.is_empty() {
            self.walk(lua, expected, &skip)?;
        }
        let done = Redirected {
            count: self.redirected,
            old_bodies: self.old_bodies,
            never_captured: self.kept.into_iter().collect(),
        };
        Ok((done, self.left))
    }

    /// The objects that refer to what becomes something else, and all threads.
    ///
    /// # Safety
    /// As for [`Moment::each`].
    unsafe fn concerned(&self, moment: &Moment, skip: &AddressSet) -> Vec<Object> {
        let mut concerned = Vec::new();
        // SAFETY: as the caller says; the keys of `objects` are tables and functions of Lua that are
        // alive.
        unsafe {
            for from in self.objects.keys() {
                layout::mark(*from);
            }
            let is_other = |value: Entry| {
                value.holder().is_some_and(|address| {
                    layout::is_marked(address)
                        || (value.is_lua_function() && self.is_concerned(address))
                })
            };
            moment.each(|object| {
                let is_concerned = object.kind() == Kind::Thread
                    || !objects::references(object, |value| !is_other(value));
                if is_concerned && !skip.contains(&object.address) {
                    concerned.push(object);
                }
            });
            for from in self.objects.keys() {
                layout::unmark(*from);
            }
        }
        concerned
    }

    /// Redirects the references in some objects.
    ///
    /// # Safety
    /// The stack is as the constants say, with room for fifty values; the objects are alive.
    unsafe fn visit(&mut self, lua: State, objects: &[Object]) {
        for object in objects {
            // SAFETY: as the caller says.
            unsafe {
                objects::push(lua, PUSHER, object.value());
                heap::visit(lua, self);
                ffi::lua_settop(lua, PUSHER);
            }
        }
    }

    /// Walks over what is reachable, for what is left of old versions.
    fn walk(&mut self, lua: &Lua, expected: usize, skip: &AddressSet) -> mlua::Result<()> {
        let anchors = lua.create_table_with_capacity(expected, 0)?;
        self.left = weak_set(lua)?;
        self.known.clear();
        self.kept.clear();
        self.old_bodies = 0;
        let mut skip = skip.clone();
        let own = [&anchors, &self.left];
        skip.extend(own.map(|table| pointer_address(table.to_pointer())));
        let (targets, factories) = (self.targets.clone(), self.factories.clone());
        let values = (anchors, targets, factories, self.left.clone());
        // SAFETY: as in `run`.
        unsafe {
            lua.exec_raw::<()>(values, |lua| {
                heap::walk(lua, ANCHORS, expected, &skip, self);
                ffi::lua_settop(lua, 0);
            })
        }
    }

    /// As [`Redirect::run`], in some objects alone: those in the array of a table.
    pub(crate) fn run_in(mut self, lua: &Lua, objects: &Table) -> mlua::Result<()> {
        let values = (
            objects.clone(),
            self.targets.clone(),
            self.factories.clone(),
            self.left.clone(),
            lua.create_table()?,
        );
        // SAFETY: as in `run`.
        unsafe {
            lua.exec_raw::<()>(values, |lua| {
                ffi::lua_checkstack(lua, 50);
                for number in 1..=ffi::lua_rawlen(lua, ANCHORS) as ffi::lua_Integer {
                    ffi::lua_rawgeti(lua, ANCHORS, number);
                    heap::visit(lua, &mut self);
                    ffi::lua_settop(lua, PUSHER);
                }
                ffi::lua_settop(lua, 0);
            })
        }
    }

    /// Makes a closure of the new body, with the variables of the old closure at the top of
    /// the stack; leaves it above that.
    ///
    /// # Safety
    /// As for [`Visitor::replace`].
    unsafe fn renew(lua: State, ready: &Ready) {
        // SAFETY: a factory makes a new closure with as many captures as the prototype has;
        // that one is alive, because the main function of its version is a handle. All
        // captures are then those of functions that have them.
        unsafe {
            let old = ffi::lua_gettop(lua);
            let factory = ready.origins.len() as ffi::lua_Integer + 1;
            ffi::lua_rawgeti(lua, FACTORIES, factory);
            ffi::lua_call(lua, 0, 1);
            set_proto(lua, -1, ready.proto);
            for (number, origin) in (1..).zip(&ready.origins) {
                match *origin {
                    ReadyOrigin::Own(own) => {
                        ffi::lua_upvaluejoin(lua, old + 1, number, old, own);
                    }
                    ReadyOrigin::Target(target, capture) => {
                        ffi::lua_rawgeti(lua, TARGETS, ffi::lua_Integer::from(target));
                        ffi::lua_upvaluejoin(lua, old + 1, number, old + 2, capture);
                        ffi::lua_pop(lua, 1);
                    }
                }
            }
        }
    }

    /// Number of the target that the Lua function at the top of the stack becomes.
    ///
    /// # Safety
    /// As for [`Visitor::replace`].
    unsafe fn closure(&mut self, lua: State, place: Place) -> Option<u32> {
        // SAFETY: as the caller says.
        unsafe {
            let proto = proto_of(lua, -1);
            let plan = self.plans.get(&proto)?;
            if place == Place::Frame {
                // It goes on as it is, and is a reason for its version to stay.
                Self::leave(lua);
                return None;
            }
            let address = address(lua, -1);
            if let Some(known) = self.known.get(&address) {
                return *known;
            }
            let target = match plan {
                Ok(ready) => {
                    Self::renew(lua, ready);
                    ffi::lua_rawseti(lua, TARGETS, ffi::lua_Integer::from(self.next));
                    self.next += 1;
                    Some(self.next - 1)
                }
                Err(reason) => {
                    if let NoPlan::NeverCaptured { name, node } = reason {
                        self.kept.insert((name.clone(), *node));
                    }
                    Self::leave(lua);
                    self.old_bodies += 1;
                    None
                }
            };
            self.known.insert(address, target);
            target
        }
    }

    /// Notes that the function at the top of the stack keeps its old body.
    ///
    /// # Safety
    /// As for [`Visitor::replace`].
    unsafe fn leave(lua: State) {
        // SAFETY: as the caller says.
        unsafe {
            ffi::lua_pushvalue(lua, -1);
            ffi::lua_pushboolean(lua, 1);
            ffi::lua_rawset(lua, LEFT);
        }
    }
}

impl Visitor for Redirect {
    unsafe fn is_concerned(&self, function: Address) -> bool {
        // SAFETY: as the caller says.
        self.plans.contains_key(&unsafe { proto_at(function) })
    }

    unsafe fn replace(&mut self, lua: State, place: Place) -> bool {
        // SAFETY: as the caller says; the stack is as the constants say.
        unsafe {
            let known = match self.objects.get(&address(lua, -1)) {
                Some(target) if place != Place::Frame => Some(*target),
                _ if is_lua_function(lua, -1) => self.closure(lua, place),
                _ => None,
            };
            let Some(target) = known else { return false };
            ffi::lua_pop(lua, 1);
            ffi::lua_rawgeti(lua, TARGETS, ffi::lua_Integer::from(target));
            self.redirected += 1;
            true
        }
    }
}

/// A table whose keys do not keep what they are.
pub(crate) fn weak_set(lua: &Lua) -> mlua::Result<Table> {
    let set = lua.create_table()?;
    set.set_metatable(Some(lua.create_table_from([("__mode", "k")])?))?;
    Ok(set)
}
