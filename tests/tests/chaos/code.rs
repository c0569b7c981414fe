//! The game's source, as data: what an edit changes, and the text that is saved.

use std::fmt::Write as _;

use crate::random::Random;
use crate::values::{KINDS, Kind};

/// What fields are called.
pub const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Places in [`Code::shapes`].
pub const ITEM: usize = 0;
pub const EXTRA: usize = 1;
pub const STORE: usize = 2;

/// A field of a type.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    /// The number that its default value is made of.
    pub default: u32,
    /// What it was called before this edit.
    pub was: Option<&'static str>,
}

/// A component, or the resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Its name, of which the number is a part.
    pub name: &'static str,
    pub number: u32,
    /// What the number was before this edit.
    pub was: Option<u32>,
    pub is_registered: bool,
    pub fields: Vec<Field>,
}

/// What is wrong with code that compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A system panics in each frame.
    Panic,
    /// A system ends the process, in one of the ways that `die` knows.
    Crash(&'static str),
    /// The process ends while the version is set up.
    CrashInSetUp(&'static str),
    /// The version is refused: see [`REFUSALS`].
    Refused(&'static str),
}

/// Ways to end the process, and what the host is said to have done.
pub const CRASHES: [(&str, &str); 4] = [
    ("segfault", "died of SIGSEGV"),
    ("abort", "died of SIGABRT"),
    ("overflow", "died of SIGSEGV"),
    ("exit", "ended with exit status 3"),
];

/// Why versions do not get in, with a part of the reason.
pub const REFUSALS: [(&str, &str); 3] = [
    ("panics", "not today"),
    ("twice", "twice"),
    ("unknown", "register"),
];

/// Source that does not compile, in place of `GENERATION`'s line.
pub const BROKEN: [&str; 3] = [
    "const GENERATION: u32 = \"one\";",
    "const GENERATION: u32 = ;",
    "use super::nothing;",
];

/// One state of the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Code {
    /// Tells it apart from all others.
    pub generation: u32,
    /// What a frame that counts adds to the sum.
    pub step: u64,
    pub shapes: [Shape; 3],
    pub fault: Option<Fault>,
}

impl Code {
    /// What a run begins with.
    pub fn first() -> Self {
        let field = |name, kind| Field {
            name,
            kind,
            default: 1,
            was: None,
        };
        let shape = |name, fields| Shape {
            name,
            number: 0,
            was: None,
            is_registered: true,
            fields,
        };
        Self {
            generation: 1,
            step: 1,
            shapes: [
                shape("Item", vec![field("a", Kind::U32), field("b", Kind::Text)]),
                shape("Extra", vec![field("a", Kind::I64), field("c", Kind::Many)]),
                shape("Store", vec![field("d", Kind::U8), field("e", Kind::Maybe)]),
            ],
            fault: None,
        }
    }

    /// The same code after an edit of function bodies and constants. What was renamed before
    /// is not said any more.
    pub fn edited(&self, generation: u32, random: &mut Random) -> Self {
        let mut code = self.clone();
        code.generation = generation;
        code.step = 1 + random.below(50) as u64;
        code.fault = None;
        for shape in &mut code.shapes {
            shape.was = None;
            for field in &mut shape.fields {
                field.was = None;
            }
        }
        code
    }

    /// Changes a type.
    pub fn change_a_type(&mut self, random: &mut Random) {
        let slot = random.below(self.shapes.len());
        let shape = &mut self.shapes[slot];
        if !shape.is_registered {
            shape.is_registered = true;
            return;
        }
        let free: Vec<&'static str> = NAMES
            .into_iter()
            .filter(|name| shape.fields.iter().all(|field| field.name != *name))
            .collect();
        let at = random.below(shape.fields.len());
        match random.below(10) {
            0..3 if !free.is_empty() => {
                let field = Field {
                    name: random.pick(&free),
                    kind: random.pick(&KINDS),
                    default: random.below(1000) as u32,
                    was: None,
                };
                shape.fields.insert(at, field);
            }
            3..5 if !shape.fields.is_empty() => drop(shape.fields.remove(at)),
            5..7 if !shape.fields.is_empty() => shape.fields[at].kind = random.pick(&KINDS),
            7 if !shape.fields.is_empty() && !free.is_empty() => {
                let field = &mut shape.fields[at];
                field.was.get_or_insert(field.name);
                field.name = random.pick(&free);
            }
            8 if slot == EXTRA && shape.was.is_none() => {
                shape.was = Some(shape.number);
                shape.number += 1;
            }
            9 if slot != ITEM && shape.was.is_none() => shape.is_registered = false,
            _ => random.shuffle(&mut shape.fields),
        }
    }

    /// Whether each type has the name that it had, or one of both says that it was renamed.
    ///
    /// A rename is remembered while the type stays as it is, also when the source says no more
    /// of it. So what one edit does that takes a field and brings another is not always for the
    /// source alone to say, and no such edit is made.
    pub fn knows(&self, other: &Self) -> bool {
        let mut both = self.shapes.iter().zip(&other.shapes);
        both.all(|(now, before)| {
            let is_renamed = now.was == Some(before.number) || before.was == Some(now.number);
            let is_known = now.number == before.number || (is_renamed && now.is_registered);
            is_known && !(now.has_beyond(before) && before.has_beyond(now))
        })
    }

    /// The text of the file.
    pub fn source(&self) -> String {
        let Self {
            generation, step, ..
        } = self;
        let types = self.shapes.iter().enumerate();
        let types: String = types.map(|(slot, shape)| shape.source(slot)).collect();
        let is = |fault| self.fault == Some(fault);
        let fault = match self.fault {
            Some(Fault::Panic) => "panic!(\"a system of this version panics\");".to_owned(),
            Some(Fault::Crash(kind)) => format!("die(\"{kind}\".to_owned());"),
            _ => String::new(),
        };
        let set_up = match self.fault {
            Some(Fault::CrashInSetUp(kind)) => format!("die(\"{kind}\".to_owned());"),
            Some(Fault::Refused("panics")) => "if STEP > 0 { panic!(\"not today\"); }".to_owned(),
            Some(Fault::Refused("twice")) => "m.function(\"left\", left);".to_owned(),
            _ => String::new(),
        };
        let registered = if is(Fault::Refused("unknown")) {
            ""
        } else {
            "m.resource::<Ticks>();"
        };
        let registrations: String = self
            .shapes
            .iter()
            .enumerate()
            .filter(|(_, shape)| shape.is_registered)
            .map(|(slot, shape)| {
                let what = if slot == STORE {
                    "resource"
                } else {
                    "component"
                };
                format!("    m.{what}::<{}>();\n", shape.path())
            })
            .collect();
        GAME.replace(
            "@GENERATION@",
            &format!("const GENERATION: u32 = {generation};"),
        )
        .replace("@STEP@", &step.to_string())
        .replace("@TYPES@", &types)
        .replace("@FAULT@", &fault)
        .replace("@SET_UP@", &set_up)
        .replace("@TICKS@", registered)
        .replace("@REGISTRATIONS@", &registrations)
    }

    /// The text with a mistake in it.
    pub fn broken(&self, mistake: &str) -> String {
        let line = format!("const GENERATION: u32 = {};", self.generation);
        self.source().replace(&line, mistake)
    }
}

impl Shape {
    /// Its name in the source.
    pub fn path(&self) -> String {
        format!("{}{}", self.name, self.number)
    }

    /// Whether it has a field that the other one has not, under this name or the one before.
    fn has_beyond(&self, other: &Self) -> bool {
        let is_same = |one: &Field, two: &Field| {
            one.name == two.name || one.was == Some(two.name) || two.was == Some(one.name)
        };
        let mut fields = self.fields.iter();
        fields.any(|field| other.fields.iter().all(|known| !is_same(field, known)))
    }

    /// The place of one of its fields among all numbers that values are made of.
    pub fn place(slot: usize, name: &str) -> u32 {
        let index = NAMES.iter().position(|known| *known == name);
        (slot * NAMES.len() + index.unwrap_or(NAMES.len())) as u32
    }

    /// The type, and what the game does with its values.
    fn source(&self, slot: usize) -> String {
        let path = self.path();
        let derived = if slot == STORE {
            "Resource"
        } else {
            "Component"
        };
        let (mut fields, mut defaults) = (String::new(), String::new());
        let (mut fill, mut show) = (String::new(), String::new());
        for field in &self.fields {
            let Field { name, kind, .. } = field;
            if let Some(was) = field.was {
                let _ = write!(fields, "#[reflect(@RenamedFrom(\"{was}\"))] ");
            }
            let _ = writeln!(fields, "    {name}: {},", kind.rust());
            let default = kind.expression(&format!("{}_u32", field.default));
            let _ = write!(defaults, ", {name}: {default}");
            let number = format!("number(id, salt, {})", Self::place(slot, name));
            let _ = writeln!(fill, "        self.{name} = {};", kind.expression(&number));
            let _ = writeln!(
                show,
                "        let _ = write!(text, \" {name}={{:?}}\", self.{name});"
            );
        }
        let was = self
            .was
            .map(|was| format!("#[reflect(@RenamedFrom(\"{}{was}\"))]\n", self.name));
        format!(
            "#[derive({derived}, Reflect)]\n#[reflect({derived}, Default)]\n{was}pub struct {path} \
             {{\n    id: u32,\n{fields}}}\n\
             impl Default for {path} {{\n    fn default() -> Self {{ Self {{ id: 0{defaults} }} }}\n}}\n\
             impl {path} {{\n    fn fill(&mut self, id: u32, salt: u32) {{\n        self.id = id;\n\
             {fill}    }}\n    fn show(&self, text: &mut String) {{\n        \
             text.push_str(\" {name}\");\n{show}    }}\n}}\n\
             {uses}",
            was = was.unwrap_or_default(),
            name = self.name,
            uses = self.uses(slot),
        )
    }

    /// Functions of the same name whatever the type is called, and whether or not it is
    /// registered.
    fn uses(&self, slot: usize) -> String {
        let path = self.path();
        match slot {
            ITEM => format!("type Item = {path};\n"),
            EXTRA if self.is_registered => format!(
                "fn put_extra(entity: &mut EntityWorldMut, id: u32, salt: u32) {{\n    \
                 let mut extra = {path}::default();\n    extra.fill(id, salt);\n    \
                 entity.insert(extra);\n}}\n\
                 fn take_extra(entity: &mut EntityWorldMut) {{ entity.remove::<{path}>(); }}\n\
                 fn refill_extra(entity: &mut EntityWorldMut, id: u32, salt: u32) {{\n    \
                 if let Some(mut extra) = entity.get_mut::<{path}>() {{ extra.fill(id, salt); }}\n}}\n\
                 fn show_extra(entity: EntityRef, text: &mut String) {{\n    \
                 if let Some(extra) = entity.get::<{path}>() {{ extra.show(text); }}\n}}\n"
            ),
            EXTRA => "fn put_extra(_: &mut EntityWorldMut, _: u32, _: u32) {}\n\
                      fn take_extra(_: &mut EntityWorldMut) {}\n\
                      fn refill_extra(_: &mut EntityWorldMut, _: u32, _: u32) {}\n\
                      fn show_extra(_: EntityRef, _: &mut String) {}\n"
                .to_owned(),
            _ if self.is_registered => format!(
                "fn stock(world: &mut World, salt: u32) {{ world.resource_mut::<{path}>().fill(0, salt); }}\n\
                 fn show_store(world: &World, text: &mut String) {{ world.resource::<{path}>().show(text); }}\n"
            ),
            _ => "fn stock(_: &mut World, _: u32) {}\n\
                  fn show_store(_: &World, _: &mut String) {}\n"
                .to_owned(),
        }
    }
}

/// What stays the same.
const GAME: &str = include_str!("game.rs.txt");
