//! What Lua's API does not tell: which function of the source a closure is an instance of.
//!
//! Lua 5.4 keeps a *prototype* for each `function` in a source; a closure has a pointer to
//! its prototype. Pairing needs that pointer as an identity, and running a new body with the
//! cells of an old closure needs to set it. Both are one field of one struct, declared here as
//! in `lobject.h` of the vendored Lua, which has been the same in all of 5.4.
//!
//! A walk over the heap marks what it has met in a bit of the object itself that Lua leaves
//! to tests of its own: a set of addresses would take most of the walk's time.
//!
//! [`check`] compares this with what the API says, once for each state.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use mlua::ffi;

use crate::raw::{Address, State};

/// What every collectable object begins with.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) next: *mut c_void,
    pub(crate) tag: u8,
    pub(crate) marked: u8,
}

/// `TESTBIT` of `lgc.h`.
const MET: u8 = 1 << 7;

/// `LClosure`.
#[repr(C)]
struct Closure {
    next: *mut c_void,
    tag: u8,
    marked: u8,
    upvalue_count: u8,
    gray: *mut c_void,
    proto: *const Proto,
}

/// `Proto`, up to what is read of it.
#[repr(C)]
struct Proto {
    next: *mut c_void,
    tag: u8,
    marked: u8,
    parameters: u8,
    is_vararg: u8,
    stack_size: u8,
    upvalue_count: c_int,
    constant_count: c_int,
    code_count: c_int,
    line_info_count: c_int,
    child_count: c_int,
    local_count: c_int,
    absolute_line_count: c_int,
    first_line: c_int,
    last_line: c_int,
    constants: *const c_void,
    code: *const u32,
    children: *const *const Proto,
    upvalues: *const Upvalue,
}

/// `Upvaldesc`.
#[repr(C)]
struct Upvalue {
    name: *const Text,
    in_stack: u8,
    index: u8,
    kind: u8,
}

/// `TString`; the text follows it, with a zero byte at its end.
#[repr(C)]
struct Text {
    next: *mut c_void,
    tag: u8,
    marked: u8,
    extra: u8,
    short_length: u8,
    hash: c_uint,
    length: usize,
    bytes: [c_char; 0],
}

/// A prototype's address: its identity while anything refers to it.
pub(crate) type ProtoId = usize;

/// What a function takes from around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Capture {
    pub(crate) name: String,
    /// Whether it is a local of the function directly around it; else it is a capture of that.
    pub(crate) is_local_of_parent: bool,
    /// Register or number of the capture in the function around it.
    pub(crate) index: usize,
}

/// One function of a source.
#[derive(Debug, Clone)]
pub(crate) struct ProtoNode {
    pub(crate) id: ProtoId,
    pub(crate) parent: Option<usize>,
    /// In the order of their `function` keywords.
    pub(crate) children: Vec<usize>,
    pub(crate) parameters: u8,
    pub(crate) captures: Vec<Capture>,
    pub(crate) first_line: u32,
}

/// Marks an object as met. Returns whether it was not.
///
/// # Safety
/// At `object` is a table, string, thread or function written in Lua, as the API gives its
/// address, in a state that passed [`check`]; it is alive and the collector is stopped.
pub(crate) unsafe fn mark(object: Address) -> bool {
    // SAFETY: such an address is that of the object's header.
    unsafe {
        let header = object as *mut Header;
        let is_new = (*header).marked & MET == 0;
        (*header).marked |= MET;
        is_new
    }
}

/// Whether an object is marked.
///
/// # Safety
/// As for [`mark`].
pub(crate) unsafe fn is_marked(object: Address) -> bool {
    // SAFETY: as for `mark`.
    unsafe { (*(object as *const Header)).marked & MET != 0 }
}

/// Takes a mark away. Returns whether there was one.
///
/// # Safety
/// As for [`mark`].
pub(crate) unsafe fn unmark(object: Address) -> bool {
    // SAFETY: as for `mark`.
    unsafe {
        let header = object as *mut Header;
        let was_met = (*header).marked & MET != 0;
        (*header).marked &= !MET;
        was_met
    }
}

/// The prototype of the Lua function at `index`.
///
/// # Safety
/// There is a Lua function (no C function) at `index`, in a state that passed [`check`].
pub(crate) unsafe fn proto_of(lua: State, index: c_int) -> ProtoId {
    // SAFETY: for a Lua function the API gives the address of its `LClosure`.
    unsafe {
        let closure = ffi::lua_topointer(lua, index).cast::<Closure>();
        (*closure).proto as ProtoId
    }
}

/// The prototype of the function written in Lua at an address.
///
/// # Safety
/// There is such a function, alive, in a state that passed [`check`].
pub(crate) unsafe fn proto_at(function: Address) -> ProtoId {
    // SAFETY: as the caller says.
    unsafe { (*(function as *const Closure)).proto as ProtoId }
}

/// Makes the closure at `index` an instance of another prototype with as many captures.
///
/// # Safety
/// As for [`proto_of`]; the closure was just made, is not running, and nothing was allocated
/// since (so the collector has not seen it); `proto` is alive and stays so as long as Lua
/// would keep it, and has as many captures as the closure.
pub(crate) unsafe fn set_proto(lua: State, index: c_int, proto: ProtoId) {
    // SAFETY: as above. A new closure is white, so no write barrier is needed.
    unsafe {
        let closure = ffi::lua_topointer(lua, index).cast::<Closure>().cast_mut();
        let proto = proto as *const Proto;
        debug_assert_eq!(
            c_int::from((*closure).upvalue_count),
            (*proto).upvalue_count
        );
        (*closure).proto = proto;
    }
}

/// Reads the prototypes of a chunk, the main function first, parents before children.
///
/// # Safety
/// As for [`proto_of`], with the main function of a chunk at `index`.
pub(crate) unsafe fn read_protos(lua: State, index: c_int) -> Vec<ProtoNode> {
    let mut nodes: Vec<ProtoNode> = Vec::new();
    // SAFETY: the main function keeps all its prototypes alive.
    let mut open = vec![(unsafe { proto_of(lua, index) }, None)];
    while let Some((id, parent)) = open.pop() {
        let number = nodes.len();
        // SAFETY: `id` came out of the main function, which is on the stack.
        let proto = unsafe { &*(id as *const Proto) };
        let captures = (0..proto.upvalue_count as usize).map(|capture| {
            // SAFETY: `upvalues` has `upvalue_count` elements. Names are kept with the
            // prototype, as the chunk was compiled from text.
            unsafe {
                let capture = &*proto.upvalues.add(capture);
                Capture {
                    name: text(capture.name),
                    is_local_of_parent: capture.in_stack != 0,
                    index: usize::from(capture.index),
                }
            }
        });
        nodes.push(ProtoNode {
            id,
            parent,
            children: Vec::new(),
            parameters: proto.parameters,
            captures: captures.collect(),
            first_line: proto.first_line as u32,
        });
        if let Some(parent) = parent {
            let parent: usize = parent;
            nodes[parent].children.push(number);
        }
        for child in (0..proto.child_count as usize).rev() {
            // SAFETY: `children` has `child_count` elements.
            open.push((
                unsafe { *proto.children.add(child) } as ProtoId,
                Some(number),
            ));
        }
    }
    nodes
}

/// # Safety
/// `name` is a `TString` that is alive, or null.
unsafe fn text(name: *const Text) -> String {
    if name.is_null() {
        return String::new();
    }
    // SAFETY: the text follows the header and ends with a zero byte.
    unsafe { CStr::from_ptr((&raw const (*name).bytes).cast()) }
        .to_string_lossy()
        .into_owned()
}

/// Whether the structs above are those of the Lua that is linked.
///
/// # Safety
/// Runs in a protected call with room for four more values on the stack.
pub(crate) unsafe fn check(lua: State) -> bool {
    const PROBE: &CStr = c"local first, second = 1, 2\n\
        return function(a, b)\n return first, second, a, function() return b end\nend,\n\
        function() return second, first end";
    // SAFETY: `PROBE` compiles and returns two functions; the stack is left as it was.
    unsafe {
        let top = ffi::lua_gettop(lua);
        if ffi::luaL_loadstring(lua, PROBE.as_ptr()) != ffi::LUA_OK
            || ffi::lua_pcall(lua, 0, 2, 0) != ffi::LUA_OK
        {
            ffi::lua_settop(lua, top);
            return false;
        }
        let closure = ffi::lua_topointer(lua, -2).cast::<Closure>();
        // Before any pointer is followed: what must be small numbers is.
        let fits = (*closure).upvalue_count == 2 && {
            let proto = &*(*closure).proto;
            (proto.parameters, proto.is_vararg) == (2, 0)
                && (proto.upvalue_count, proto.child_count) == (2, 1)
                && (proto.first_line, proto.last_line) == (2, 4)
        };
        let named = fits && {
            let nodes = read_protos(lua, -2);
            let names: Vec<_> = nodes[0].captures.iter().map(|c| c.name.as_str()).collect();
            names == ["first", "second"] && nodes.len() == 2 && nodes[1].captures[0].name == "b"
        };
        ffi::lua_settop(lua, top);
        named
    }
}
