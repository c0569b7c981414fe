//! Generated modules, changed at run time and edited several times, compared with a model of
//! the rules that knows nothing of Lua.

use std::fmt::Write;

use mlua::{Table, Value};
use proptest::prelude::*;

use super::harness::{Shelf, difference, domain, dump};
use crate::{Domain, Source, fault};

const FIELDS: usize = 5;
const LOCALS: usize = 4;

/// Makes a closure of the module and holds it somewhere; returns how it is got back.
const HOLD: &str = r#"
    local f, where = ...
    if where == 0 then
        local t = { f }
        return function() return t[1] end
    elseif where == 1 then
        local t = { [f] = true }
        return function() return (next(t)) end
    elseif where == 2 then
        local t = setmetatable({}, { f = f })
        return function() return getmetatable(t).f end
    elseif where == 3 then
        return function() return f end
    elseif where == 4 then
        local get = coroutine.wrap(function(f)
            local mine = f
            f = nil
            while true do coroutine.yield(mine) end
        end)
        get(f)
        return get
    elseif where == 5 then
        local get = coroutine.wrap(function(...)
            while true do coroutine.yield((...)) end
        end)
        get(f)
        return get
    elseif where == 6 then
        local co = coroutine.create(f)
        return function()
            return function() return select(2, coroutine.resume(co)) end
        end
    elseif where == 7 then
        local t = setmetatable({}, { __index = { { { f = { f } } } } })
        return function() return t[1][1].f[1] end
    elseif where == 8 then
        local t = setmetatable({}, { __mode = "k" })
        t[f] = true
        return function() return f and (next(t)) end
    end
"#;

/// What a slot holds, or is declared with.
#[derive(Debug, Clone, PartialEq)]
enum Thing {
    Nil,
    Number(i64),
    Text(String),
    Boolean(bool),
    /// A function of the source: it returns this version.
    Declared(u32),
    /// A function that was made at run time: it returns this number.
    Made(i64),
}

impl Thing {
    fn is_function(&self) -> bool {
        matches!(self, Self::Declared(_) | Self::Made(_))
    }

    /// As it is written, as value of something in version `version`.
    fn written(&self) -> String {
        match self {
            Self::Nil => "nil".into(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::Boolean(value) => value.to_string(),
            Self::Declared(version) => format!("function() return 'version {version}' end"),
            Self::Made(number) => format!("function() return 'made {number}' end"),
        }
    }

    fn is_same_type(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// One slot: what the running source declares, and what it holds.
#[derive(Debug, Clone)]
struct Slot {
    declared: Thing,
    now: Thing,
}

impl Slot {
    /// The rules for fields.
    fn reload_field(&mut self, new: Thing) {
        let untouched = self.declared == self.now;
        let next = match (&self.declared, &self.now, &new) {
            (Thing::Declared(_), Thing::Declared(_), Thing::Nil) => Thing::Nil,
            (_, now, Thing::Nil) => now.clone(),
            (Thing::Nil, Thing::Nil, _) => new.clone(),
            (_, Thing::Nil, _) => Thing::Nil,
            (_, _, new) if new.is_function() => new.clone(),
            (declared, now, _) if now.is_function() && declared.is_function() => new.clone(),
            (_, now, new) if now.is_same_type(new) => now.clone(),
            _ if untouched => new.clone(),
            (_, now, _) => now.clone(),
        };
        *self = Self {
            declared: new,
            now: next,
        };
    }

    /// The rules for captured variables, of which nil is a value.
    fn reload_local(&mut self, new: Thing) {
        let untouched = self.declared == self.now;
        let next = match (&self.declared, &self.now, &new) {
            _ if untouched && self.declared.is_function() != new.is_function() => new.clone(),
            (declared, now, new) if new.is_function() => match now {
                _ if untouched => new.clone(),
                _ if declared.is_function() || *now == Thing::Nil => now.clone(),
                _ => new.clone(),
            },
            (declared, now, _) if now.is_function() && declared.is_function() => new.clone(),
            (_, now, new) if now.is_same_type(new) => now.clone(),
            _ if untouched => new.clone(),
            (_, now, _) => now.clone(),
        };
        *self = Self {
            declared: new,
            now: next,
        };
    }
}

/// What one version declares; functions get its number later.
#[derive(Debug, Clone)]
struct Version {
    fields: Vec<Thing>,
    /// `None`: not in the source.
    locals: Vec<Option<Thing>>,
    /// Order in which things are written.
    order: Vec<usize>,
    /// What is set before the next version, by slot.
    changes: Vec<(usize, Thing)>,
    /// Where closures are held that are made of this version.
    holders: Vec<u8>,
    /// Step at which a first attempt fails.
    fault: u32,
}

fn thing(made: bool) -> impl Strategy<Value = Thing> {
    prop_oneof![
        Just(Thing::Nil),
        (0..4i64).prop_map(Thing::Number),
        "[ab]{1,2}".prop_map(Thing::Text),
        any::<bool>().prop_map(Thing::Boolean),
        (0..9i64).prop_map(move |number| if made {
            Thing::Made(number)
        } else {
            Thing::Declared(0)
        }),
    ]
}

fn version() -> impl Strategy<Value = Version> {
    (
        prop::collection::vec(thing(false), FIELDS),
        prop::collection::vec(prop::option::weighted(0.8, thing(false)), LOCALS),
        Just((0..FIELDS + LOCALS).collect::<Vec<_>>()).prop_shuffle(),
        prop::collection::vec((0..FIELDS + LOCALS, thing(true)), 0..6),
        prop::collection::vec(0..9u8, 0..4),
        0..60u32,
    )
        .prop_map(|(fields, locals, order, changes, holders, fault)| Version {
            fields,
            locals,
            order,
            changes,
            holders,
            fault,
        })
}

/// The source of a version. Every local has a function that reads and one that sets it.
fn source(number: u32, version: &Version) -> String {
    let mut text = String::from("local M = { sub = {} }\nlocal total = 0\n");
    let written = |thing: &Thing| match thing {
        Thing::Declared(_) => Thing::Declared(number).written(),
        thing => thing.written(),
    };
    for index in &version.order {
        if let Some(local) = index.checked_sub(FIELDS) {
            if let Some(thing) = &version.locals[local] {
                writeln!(
                    text,
                    "local l{local} = {}\nfunction M.get{local}() return l{local} end\n\
                     function M.set{local}(value) l{local} = value end",
                    written(thing)
                )
                .unwrap();
            }
        } else if version.fields[*index] != Thing::Nil {
            // Half of the fields lie in a table in the module's.
            let owner = if index.is_multiple_of(2) {
                "M"
            } else {
                "M.sub"
            };
            let value = written(&version.fields[*index]);
            writeln!(text, "{owner}.f{index} = {value}").unwrap();
        }
    }
    writeln!(
        text,
        "function M.make() local n = 0 return function() n, total = n + 1, total + 1 \
         return 'version {number}', n end end\n\
         function M.total() return total end\nreturn M"
    )
    .unwrap();
    text
}

fn as_thing(value: &Value) -> Thing {
    match value {
        Value::Nil => Thing::Nil,
        Value::Integer(number) => Thing::Number(*number),
        Value::Boolean(value) => Thing::Boolean(*value),
        Value::String(text) => Thing::Text(text.to_string_lossy()),
        Value::Function(function) => {
            let told: String = function.call(()).unwrap();
            match told.split_once(' ').unwrap() {
                ("version", number) => Thing::Declared(number.parse().unwrap()),
                (_, number) => Thing::Made(number.parse().unwrap()),
            }
        }
        other => panic!("a {} in a slot", other.type_name()),
    }
}

/// A running module and its model.
struct Pair {
    domain: Domain,
    module: Table,
    sub: Table,
    closure: mlua::Function,
    calls: i64,
    /// How closures that are held somewhere are got, where, and how often each was called.
    held: Vec<(mlua::Function, u8, i64)>,
    total: i64,
    fields: Vec<Slot>,
    locals: Vec<Option<Slot>>,
}

impl Pair {
    fn new(version: &Version) -> Self {
        let mut domain = domain(&Shelf::default());
        let text = source(1, version);
        domain.load("m", Source::new("m.lua", text)).unwrap();
        let module: Table = crate::chunk::loaded(domain.lua())
            .unwrap()
            .raw_get("m")
            .unwrap();
        let slot = |thing: &Thing| {
            let thing = numbered(thing, 1);
            Slot {
                declared: thing.clone(),
                now: thing,
            }
        };
        Self {
            sub: module.raw_get("sub").unwrap(),
            closure: module
                .get::<mlua::Function>("make")
                .unwrap()
                .call(())
                .unwrap(),
            calls: 0,
            held: Vec::new(),
            total: 0,
            fields: version.fields.iter().map(slot).collect(),
            locals: version
                .locals
                .iter()
                .map(|l| l.as_ref().map(slot))
                .collect(),
            module,
            domain,
        }
    }

    fn owner(&self, field: usize) -> &Table {
        if field.is_multiple_of(2) {
            &self.module
        } else {
            &self.sub
        }
    }

    fn change(&mut self, slot: usize, thing: &Thing) {
        let lua = self.domain.lua();
        let value: Value = lua
            .load(format!("return {}", thing.written()))
            .eval()
            .unwrap();
        if let Some(local) = slot.checked_sub(FIELDS) {
            if let Some(model) = &mut self.locals[local] {
                let set: mlua::Function = self.module.get(format!("set{local}")).unwrap();
                set.call::<()>(value).unwrap();
                model.now = thing.clone();
            }
        } else {
            self.owner(slot).raw_set(format!("f{slot}"), value).unwrap();
            self.fields[slot].now = thing.clone();
        }
    }

    fn hold(&mut self, place: u8) {
        let make: mlua::Function = self.module.get("make").unwrap();
        let closure: mlua::Function = make.call(()).unwrap();
        let hold = self.domain.lua().load(HOLD).into_function().unwrap();
        let get = hold.call((closure, place)).unwrap();
        self.held.push((get, place, 0));
    }

    fn reload(&mut self, number: u32, version: &Version) {
        let source = Source::new("m.lua", source(number, version));
        let before = dump(self.domain.lua(), &[]);
        fault::arm(Some(version.fault));
        let result = self.domain.reload(vec![("m".into(), source.clone())]);
        if fault::is_armed() {
            // There were not so many steps.
            fault::arm(None);
            result.unwrap();
        } else {
            assert!(result.is_err());
            let after = dump(self.domain.lua(), &[]);
            assert!(before == after, "{}", difference(&before, &after));
            self.domain.reload(vec![("m".into(), source)]).unwrap();
        }
        for (slot, new) in self.fields.iter_mut().zip(&version.fields) {
            slot.reload_field(numbered(new, number));
        }
        for (slot, new) in self.locals.iter_mut().zip(&version.locals) {
            *slot = match (slot.take(), new) {
                (_, None) => None,
                (Some(mut slot), Some(new)) => {
                    slot.reload_local(numbered(new, number));
                    Some(slot)
                }
                (None, Some(new)) => Some(Slot {
                    declared: numbered(new, number),
                    now: numbered(new, number),
                }),
            };
        }
    }

    fn compare(&mut self, number: u32, text: &str) {
        let sub: Table = self.module.raw_get("sub").unwrap();
        assert_eq!(sub, self.sub, "identity is kept");
        for (index, slot) in self.fields.iter().enumerate() {
            let value: Value = self.owner(index).raw_get(format!("f{index}")).unwrap();
            assert_eq!(as_thing(&value), slot.now, "field f{index} in\n{text}");
        }
        for (index, slot) in self.locals.iter().enumerate() {
            let Some(slot) = slot else { continue };
            let get: mlua::Function = self.module.get(format!("get{index}")).unwrap();
            let value: Value = get.call(()).unwrap();
            assert_eq!(as_thing(&value), slot.now, "local l{index} in\n{text}");
        }
        self.calls += 1;
        let (told, n): (String, i64) = self.closure.call(()).unwrap();
        assert_eq!((told, n), (format!("version {number}"), self.calls));
        self.total += 1;
        for (get, place, calls) in &mut self.held {
            // A coroutine that never ran can run once.
            if *place == 6 && *calls == 1 {
                continue;
            }
            *calls += 1;
            self.total += 1;
            let function: mlua::Function = get.call(()).unwrap();
            let (told, n): (String, i64) = function.call(()).unwrap();
            assert_eq!(
                (told, n),
                (format!("version {number}"), *calls),
                "held in {place}"
            );
        }
        let total: i64 = self
            .module
            .get::<mlua::Function>("total")
            .unwrap()
            .call(())
            .unwrap();
        assert_eq!(total, self.total);
        assert_eq!(self.domain.draining().unwrap(), []);
    }
}

fn numbered(thing: &Thing, number: u32) -> Thing {
    match thing {
        Thing::Declared(_) => Thing::Declared(number),
        thing => thing.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn edits_do_what_the_rules_say(versions in prop::collection::vec(version(), 2..5)) {
        let mut pair = Pair::new(&versions[0]);
        pair.compare(1, "");
        for (number, two) in (2..).zip(versions.windows(2)) {
            for (slot, thing) in &two[0].changes {
                pair.change(*slot, thing);
            }
            for place in &two[0].holders {
                pair.hold(*place);
            }
            pair.reload(number, &two[1]);
            pair.compare(number, &source(number, &two[1]));
        }
    }

    /// Whatever the text, a load that fails leaves no trace, and none crashes.
    #[test]
    fn no_text_crashes(text in "(local|function|end|=|\\(|\\)|M|x|1|'s'|\\{|\\}|return|if|then|do|\\[\\[|\\]\\]|--|\n| ){0,40}") {
        let mut domain = domain(&Shelf::default());
        domain.load("m", Source::new("m.lua", "M = {} x = 1 return M")).unwrap();
        let before = dump(domain.lua(), &[]);
        let result = domain.reload(vec![("m".into(), Source::new("m.lua", text.clone()))]);
        if result.is_err() {
            let after = dump(domain.lua(), &[]);
            prop_assert!(before == after, "{}", difference(&before, &after));
        }
        // The outline must read whatever it is given.
        crate::outline::outline(&text);
    }
}
