//! Calls of functions of a module's table, with as little around them as can be.
//!
//! A call through `mlua` makes handles for the table, the function and the result, and takes the
//! lock of its state for each. Here the function is found once; that the table still has it is
//! seen from one entry in place ([`Spot`]), so a function that a script replaces at run time is
//! the one that is called next.

use std::cell::UnsafeCell;
use std::ffi::c_int;

use mlua::ffi;
use mlua::state::RawLua;
use mlua::{Lua, Table, Value};

use crate::chunk;
use crate::entries::Spot;
use crate::raw::{State, address, pointer_address};
use crate::watchdog::Watchdog;

/// A field of a module's table that holds a function, or may.
pub(crate) struct Field {
    lua: Lua,
    module: String,
    name: String,
    bound: Locked<Bound>,
}

/// What the field held when it was last looked up.
#[derive(Default)]
struct Bound {
    /// Which state of the modules `table` is from.
    generation: u64,
    /// The module's table with the name as a key; `None` if the module is something else, or gone.
    table: Option<(Table, Value)>,
    function: Option<Value>,
    /// Where; `None` if it has to be looked up each time, as for very long names.
    spot: Option<Spot>,
}

/// What is used only by who has the lock of its state, and for moments in which no Lua code runs.
struct Locked<T>(UnsafeCell<T>);

// SAFETY: [`Locked::with`] is the only way in, and takes the locked state: one thread at a time.
unsafe impl<T: Send> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// # Safety
    /// The lock is that of the one state that is used with this value, and `look` calls nothing
    /// that could come here again.
    unsafe fn with<R>(&self, _locked: &RawLua, look: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: as the caller says.
        look(unsafe { &mut *self.0.get() })
    }
}

/// What a call is given.
pub(crate) trait Arguments {
    /// Pushes them, in their order.
    ///
    /// # Errors
    /// If one of them cannot be made.
    ///
    /// # Safety
    /// `state` is that of `locked`, and has room for so many values and two more.
    unsafe fn push(&self, lua: &Lua, locked: &RawLua, state: State) -> mlua::Result<()>;

    /// How many there are.
    fn count(&self) -> usize;
}

impl Arguments for () {
    unsafe fn push(&self, _: &Lua, _: &RawLua, _: State) -> mlua::Result<()> {
        Ok(())
    }

    fn count(&self) -> usize {
        0
    }
}

impl Arguments for f64 {
    unsafe fn push(&self, _: &Lua, _: &RawLua, state: State) -> mlua::Result<()> {
        // SAFETY: as the caller says.
        unsafe { ffi::lua_pushnumber(state, *self) };
        Ok(())
    }

    fn count(&self) -> usize {
        1
    }
}

/// What a call gives.
pub(crate) trait Answer: Sized {
    /// Takes the result at the top of the stack.
    ///
    /// # Errors
    /// If it is none of these.
    ///
    /// # Safety
    /// `state` is that of `locked`, with a value at its top.
    unsafe fn take(locked: &RawLua, state: State) -> mlua::Result<Self>;
}

impl Answer for () {
    unsafe fn take(_: &RawLua, _: State) -> mlua::Result<Self> {
        Ok(())
    }
}

impl Field {
    /// The field of a module under a name. Nothing of the state is used yet: any thread.
    pub(crate) fn new(lua: &Lua, module: &str, name: &str) -> Self {
        Self {
            lua: lua.clone(),
            module: module.to_owned(),
            name: name.to_owned(),
            bound: Locked(UnsafeCell::new(Bound::default())),
        }
    }

    /// Calls the function that the field holds now; `None` if it holds none. The call is watched.
    /// `generation` is another number once modules were reloaded.
    ///
    /// # Errors
    /// What it raises, or if arguments or the result cannot be carried over.
    pub(crate) fn call<R: Answer>(
        &self,
        watchdog: &Watchdog,
        generation: u64,
        arguments: &impl Arguments,
    ) -> mlua::Result<Option<R>> {
        self.lua.exec_raw_lua(|locked| {
            let state = locked.state();
            let stack = Stack::of(state);
            let count = c_int::try_from(arguments.count()).unwrap_or(c_int::MAX - 8);
            // SAFETY: the state is locked, so it is this thread's, and `stack` puts its height back.
            // There is room for all that is pushed. The call is protected; what comes before
            // and after it raises no error of Lua.
            unsafe {
                if ffi::lua_checkstack(state, count + 8) == 0 {
                    return Err(mlua::Error::StackError);
                }
                ffi::lua_pushcfunction(state, with_traceback);
                if !self.push(locked, generation)? {
                    return Ok(None);
                }
                arguments.push(&self.lua, locked, state)?;
                let status = {
                    let _call = watchdog.begin(state);
                    ffi::lua_pcall(state, count, 1, stack.top + 1)
                };
                if status == ffi::LUA_OK {
                    R::take(locked, state).map(Some)
                } else {
                    Err(failure(locked, status))
                }
            }
        })
    }

    /// Pushes the function, if there is one.
    ///
    /// # Safety
    /// The state is that of this field and has room for some values.
    unsafe fn push(&self, locked: &RawLua, generation: u64) -> mlua::Result<bool> {
        // SAFETY: the field belongs to one state. What is done below calls no Lua code: fields are
        // read without metamethods.
        unsafe {
            self.bound.with(locked, |bound| {
                let spot = bound.spot.as_ref();
                if bound.generation != generation || !spot.is_some_and(|spot| spot.is_as_it_was()) {
                    self.look_up(locked, bound, generation)?;
                }
                match &bound.function {
                    None => Ok(false),
                    Some(function) => locked.push_value(function).map(|()| true),
                }
            })
        }
    }

    #[cold]
    fn look_up(&self, locked: &RawLua, bound: &mut Bound, generation: u64) -> mlua::Result<()> {
        (bound.function, bound.spot) = (None, None);
        if bound.generation != generation {
            let module: Value = chunk::loaded(&self.lua)?.raw_get(self.module.as_str())?;
            bound.table = match module {
                Value::Table(module) => Some((module, self.lua.convert(self.name.as_str())?)),
                _ => None,
            };
            bound.generation = generation;
        }
        let Some((table, key)) = &bound.table else {
            return Ok(());
        };
        let value: Value = table.raw_get(key)?;
        if value.is_function() {
            let table = pointer_address(table.to_pointer());
            // SAFETY: `bound` keeps table, key and function alive as long as there is that spot;
            // the state has passed the check of `entries`. The caller has made room for a value.
            bound.spot = unsafe {
                locked.push_value(key)?;
                let key = address(locked.state(), -1);
                ffi::lua_pop(locked.state(), 1);
                Spot::find(table, key)
            };
            bound.function = Some(value);
        }
        Ok(())
    }
}

/// The stack of a state, whose height is put back when dropped.
struct Stack {
    state: State,
    top: c_int,
}

impl Stack {
    fn of(state: State) -> Self {
        // SAFETY: reads the height.
        let top = unsafe { ffi::lua_gettop(state) };
        Self { state, top }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: nothing was taken below that height.
        unsafe { ffi::lua_settop(self.state, self.top) };
    }
}

/// Adds the calls that led to an error to its message. Errors of Rust code have them.
unsafe extern "C-unwind" fn with_traceback(state: State) -> c_int {
    // SAFETY: Lua calls this with the error alone; there is room for some values.
    unsafe {
        if ffi::lua_type(state, 1) != ffi::LUA_TUSERDATA {
            let message = ffi::luaL_tolstring(state, 1, std::ptr::null_mut());
            if ffi::lua_checkstack(state, 20) != 0 {
                ffi::luaL_traceback(state, state, message, 1);
            }
        }
    }
    1
}

/// The error at the top of the stack.
///
/// # Safety
/// A failed call left it there.
#[cold]
unsafe fn failure(locked: &RawLua, status: c_int) -> mlua::Error {
    // SAFETY: as the caller says.
    match unsafe { locked.pop_value() } {
        Value::Error(error) => *error,
        Value::String(message) if status == ffi::LUA_ERRMEM => {
            mlua::Error::MemoryError(message.to_string_lossy())
        }
        Value::String(message) => mlua::Error::RuntimeError(message.to_string_lossy()),
        other => mlua::Error::runtime(format!("a {} was raised", other.type_name())),
    }
}

#[cfg(test)]
mod tests {
    use mlua::Function;

    use super::*;
    use crate::{Domain, Limits, NoSources, Source};

    impl Answer for i64 {
        unsafe fn take(_: &RawLua, state: State) -> mlua::Result<Self> {
            // SAFETY: as the caller says.
            Ok(unsafe { ffi::lua_tointeger(state, -1) })
        }
    }

    const MODULE: &str = "
        local M = {}
        function M.f() return 1 end
        function M.a_name_that_is_longer_than_lua_keeps_once_for_all() return 7 end
        function M.fails(x) local y = x.field end
        return M";

    struct Rig {
        domain: Domain,
        field: Field,
    }

    impl Rig {
        fn new(name: &str) -> Self {
            let mut domain = Domain::new(Limits::default(), Box::new(NoSources)).unwrap();
            domain.load("m", Source::new("m.lua", MODULE)).unwrap();
            let field = Field::new(domain.lua(), "m", name);
            Self { domain, field }
        }

        fn call(&self, generation: u64) -> Option<i64> {
            let watchdog = self.domain.watchdog();
            self.field.call(watchdog, generation, &()).unwrap()
        }

        fn run(&self, script: &str) {
            self.domain.lua().load(script).exec().unwrap();
        }

        fn is_found(&self) -> bool {
            let lua = self.domain.lua();
            lua.exec_raw_lua(|locked| {
                let found = |bound: &mut Bound| {
                    let spot = bound.spot.as_ref();
                    // SAFETY: `bound` keeps what the spot refers to.
                    spot.is_some_and(|spot| unsafe { spot.is_as_it_was() })
                };
                // SAFETY: nothing comes here again.
                unsafe { self.field.bound.with(locked, found) }
            })
        }
    }

    #[test]
    fn a_function_is_found_once() {
        let rig = Rig::new("f");
        assert_eq!(rig.call(1), Some(1));
        assert!(rig.is_found());
        assert_eq!(rig.call(1), Some(1));
        let height = |lua: &Lua| lua.exec_raw_lua(|locked| Stack::of(locked.state()).top);
        assert_eq!(height(rig.domain.lua()), 0, "the stack is as it was");
    }

    #[test]
    fn what_a_script_puts_in_its_place_is_called() {
        let rig = Rig::new("f");
        assert_eq!(rig.call(1), Some(1));
        rig.run("package.loaded.m.f = function() return 2 end");
        assert!(!rig.is_found());
        assert_eq!(rig.call(1), Some(2));
        rig.run("for i = 1, 100 do package.loaded.m['x' .. i] = i end");
        assert_eq!(rig.call(1), Some(2), "the table has grown");
        assert!(rig.is_found());
        rig.run("package.loaded.m.f = nil collectgarbage()");
        assert_eq!(rig.call(1), None);
        rig.run("package.loaded.m.f = 12");
        assert_eq!(rig.call(1), None);
        rig.run("package.loaded.m.f = math.type");
        let failed = rig.field.call::<()>(rig.domain.watchdog(), 1, &());
        let message = failed.unwrap_err().to_string();
        assert!(message.contains("value expected"), "{message}");
        rig.run("package.loaded.m = { f = function() return 3 end }");
        assert_eq!(rig.call(2), Some(3), "another table, once something got in");
        rig.run("package.loaded.m = 5");
        assert_eq!(rig.call(3), None);
    }

    #[test]
    fn a_name_may_have_any_length() {
        let rig = Rig::new("a_name_that_is_longer_than_lua_keeps_once_for_all");
        assert_eq!(rig.call(1), Some(7));
        assert_eq!(rig.call(1), Some(7));
    }

    #[test]
    fn errors_are_those_of_mlua_and_leave_nothing_behind() {
        let rig = Rig::new("fails");
        let lua = rig.domain.lua();
        let module: Table = chunk::loaded(lua).unwrap().raw_get("m").unwrap();
        let fails: Function = module.raw_get("fails").unwrap();
        let theirs = fails.call::<()>(5.0).unwrap_err().to_string();
        let ours = rig.field.call::<()>(rig.domain.watchdog(), 1, &5.0);
        let ours = ours.unwrap_err().to_string();
        // They list what looks for the traceback as a call.
        let theirs: Vec<&str> = theirs
            .lines()
            .filter(|line| !line.contains("[C]"))
            .collect();
        let ours: Vec<&str> = ours.lines().collect();
        assert_eq!(ours, theirs);
        let message = "runtime error: m.lua#1:5: attempt to index a number value (local 'x')";
        assert_eq!(ours[0], message);
        // An error of Rust code comes through as it is.
        let refuse = lua
            .create_function(|_, ()| -> mlua::Result<()> { Err(mlua::Error::external("no luck")) });
        module.raw_set("fails", refuse.unwrap()).unwrap();
        let refused = rig.field.call::<()>(rig.domain.watchdog(), 1, &());
        assert!(refused.unwrap_err().to_string().contains("no luck"));
        rig.run("package.loaded.m.fails = function() error({}) end");
        let raised = rig.field.call::<()>(rig.domain.watchdog(), 1, &());
        assert!(raised.unwrap_err().to_string().contains("table: "));
        let height = lua.exec_raw_lua(|locked| Stack::of(locked.state()).top);
        assert_eq!(height, 0, "the stack is as it was");
    }

    #[test]
    fn a_number_is_no_name() {
        let rig = Rig::new("f");
        rig.run("package.loaded.m = { f = function() return 3 end }");
        assert_eq!(rig.call(1), Some(3));
        let script = "local m = package.loaded.m local f = m.f m.f = nil
            m[tonumber(string.format('%p', 'f'))] = f";
        rig.run(script);
        assert_eq!(rig.call(1), None);
    }

    #[test]
    fn errors_of_all_kinds() {
        let rig = Rig::new("f");
        let lua = rig.domain.lua();
        let height = |lua: &Lua| lua.exec_raw_lua(|locked| Stack::of(locked.state()).top);
        for body in [
            "error()",
            "error(nil)",
            "error(setmetatable({}, { __tostring = function() error('again') end }))",
            "error(setmetatable({}, { __tostring = function() return {} end }))",
            "error(setmetatable({}, { __tostring = function() return coroutine.yield() end }))",
            "error(coroutine.create(print))",
            "local function f() return 1 + f() end return f()",
            "local function f() return pcall(f) end while true do error(f()) end",
            "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x",
            "coroutine.yield(1)",
            "return ('x'):rep(1 << 40)",
            "local t = {} for i = 1, 1e9 do t[i] = { i } end",
            "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1 << 20) .. i end",
            "return select('#', table.unpack({}, 1, 999000)) < error(('x'):rep(100000))",
        ] {
            rig.run(&format!("package.loaded.m.f = function() {body} end"));
            for _ in 0..2 {
                let failed = rig.field.call::<i64>(rig.domain.watchdog(), 1, &());
                assert!(failed.is_err(), "{body}");
                assert_eq!(height(lua), 0, "{body}");
            }
        }
        let panics = lua.create_function(|_, ()| -> mlua::Result<()> { panic!("boom") });
        lua.globals().set("panics", panics.unwrap()).unwrap();
        rig.run("package.loaded.m.f = function() panics() end");
        let call = || rig.field.call::<i64>(rig.domain.watchdog(), 1, &());
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
        assert_eq!(height(lua), 0, "panic");
        rig.run("package.loaded.m.f = function() return 5 end");
        assert_eq!(rig.call(1), Some(5));
    }

    #[test]
    fn nested_calls() {
        let rig = std::sync::Arc::new(Rig::new("f"));
        let lua = rig.domain.lua();
        let again = std::sync::Arc::downgrade(&rig);
        let nested = lua.create_function(move |_, ()| {
            let rig = again.upgrade().unwrap();
            rig.field.call::<i64>(rig.domain.watchdog(), 1, &())
        });
        lua.globals().set("nested", nested.unwrap()).unwrap();
        rig.run(
            "local depth = 0
            package.loaded.m.f = function()
                depth = depth + 1
                if depth > 40 then return coroutine.isyieldable() and 1 or 2 end
                local own = package.loaded.m.f
                if depth % 3 == 0 then package.loaded.m.f = function(...) return own(...) end end
                if depth % 2 == 0 then return nested() end
                return coroutine.wrap(function() local x = nested() return x end)()
            end",
        );
        let said = rig.call(1);
        assert!(said.is_some(), "{said:?}");
        let height = |lua: &Lua| lua.exec_raw_lua(|locked| Stack::of(locked.state()).top);
        assert_eq!(height(rig.domain.lua()), 0);
        rig.run(
            "package.loaded.m.f = function() local co = coroutine.wrap(function() \
            package.loaded.m.f = function() coroutine.yield(1) end return nested() end) \
            return pcall(co) and 1 or 0 end",
        );
        assert_eq!(rig.call(1), Some(0), "no yields across the engine");
        rig.run("depth = 0 package.loaded.m.f = function() return nested() end");
        rig.field
            .call::<i64>(rig.domain.watchdog(), 1, &())
            .unwrap_err();
        assert_eq!(height(rig.domain.lua()), 0);
    }
}
