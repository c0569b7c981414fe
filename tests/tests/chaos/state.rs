//! The state of the game as it must be, and what an edit of its types makes of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::code::{Code, EXTRA, Field, ITEM, STORE, Shape};
use crate::values::{Value, number};

/// One value of a type, and the fields of it that are in limbo.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields {
    /// `None` where the entity has no value.
    pub live: Option<BTreeMap<&'static str, Value>>,
    limbo: BTreeMap<&'static str, Value>,
}

/// An entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    pub bits: u64,
    /// Its components, in the places of [`Code::shapes`].
    pub components: [Fields; 2],
}

/// What systems and observers did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ticks {
    pub done: u64,
    pub sum: u64,
    pub removed: u64,
}

/// Everything.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// By the id that their item has.
    pub entities: BTreeMap<u32, Entity>,
    pub store: Fields,
    pub ticks: Ticks,
}

impl State {
    /// What a game begins with.
    pub fn first(code: &Code) -> Self {
        Self {
            entities: BTreeMap::new(),
            store: Fields {
                live: Some(defaults(&code.shapes[STORE])),
                limbo: BTreeMap::new(),
            },
            ticks: Ticks::default(),
        }
    }

    /// `spawn` of the game.
    pub fn spawn(&mut self, code: &Code, id: u32, salt: u32, with_extra: bool, bits: u64) {
        let components = <[Fields; 2]>::default();
        self.entities.insert(id, Entity { bits, components });
        self.fill(code, id, ITEM, salt);
        if with_extra {
            self.fill(code, id, EXTRA, salt);
        }
    }

    /// Gives an entity a component, or other values of it.
    pub fn fill(&mut self, code: &Code, id: u32, slot: usize, salt: u32) {
        let entity = self.entities.get_mut(&id);
        if code.shapes[slot].is_registered
            && let Some(entity) = entity
        {
            entity.components[slot].live = Some(filled(&code.shapes[slot], slot, id, salt));
        }
    }

    /// `stock` of the game.
    pub fn stock(&mut self, code: &Code, salt: u32) {
        if code.shapes[STORE].is_registered {
            self.store.live = Some(filled(&code.shapes[STORE], STORE, 0, salt));
        }
    }

    /// The state after a swap; the reason where a value does not fit.
    pub fn carried(&self, from: &Code, to: &Code) -> Result<Self, String> {
        if !to.knows(from) {
            return Err("a type has another name".to_owned());
        }
        let mut carried = self.clone();
        for slot in [ITEM, EXTRA] {
            for (id, entity) in &mut carried.entities {
                let component = &mut entity.components[slot];
                component
                    .carry(&from.shapes[slot], &to.shapes[slot])
                    .map_err(|why| format!("item {id}: {why}"))?;
            }
        }
        let (from, to) = (&from.shapes[STORE], &to.shapes[STORE]);
        carried.store.carry(from, to)?;
        Ok(carried)
    }

    /// As `inventory` of the game shows it.
    pub fn shown(&self, code: &Code) -> String {
        let mut text = String::new();
        for (id, entity) in &self.entities {
            let _ = write!(text, "{id} {}", entity.bits);
            for (shape, fields) in code.shapes.iter().zip(&entity.components) {
                fields.show(shape, &mut text);
            }
            text.push('\n');
        }
        let Ticks { done, sum, removed } = self.ticks;
        let _ = write!(
            text,
            "left=0 done={done} sum={sum} kept={done} heard={done} removed={removed}"
        );
        self.store.show(&code.shapes[STORE], &mut text);
        text
    }
}

fn defaults(shape: &Shape) -> BTreeMap<&'static str, Value> {
    let fields = shape.fields.iter();
    fields
        .map(|field| (field.name, field.kind.value(field.default)))
        .collect()
}

fn filled(shape: &Shape, slot: usize, id: u32, salt: u32) -> BTreeMap<&'static str, Value> {
    let value = |field: &Field| {
        let n = number(id, salt, Shape::place(slot, field.name));
        (field.name, field.kind.value(n))
    };
    shape.fields.iter().map(value).collect()
}

impl Fields {
    fn show(&self, shape: &Shape, text: &mut String) {
        let Some(live) = self.live.as_ref().filter(|_| shape.is_registered) else {
            return;
        };
        let _ = write!(text, " {}", shape.name);
        for field in &shape.fields {
            let shown = live.get(field.name).map_or_else(String::new, Value::shown);
            let _ = write!(text, " {}={shown}", field.name);
        }
    }

    /// The rules of the README's table, by name.
    fn carry(&mut self, from: &Shape, to: &Shape) -> Result<(), String> {
        let Some(old) = self.live.take() else {
            return Ok(());
        };
        if !to.is_registered {
            self.live = Some(old);
            return Ok(());
        }
        let mut parts: BTreeMap<&'static str, Value> = BTreeMap::new();
        for (name, value) in old {
            parts.insert(renamed_back(name, from, to), value);
        }
        let mut new = BTreeMap::new();
        for field in &to.fields {
            let is_field = |name: &str| to.fields.iter().any(|field| field.name == name);
            let before = field.was.filter(|was| !is_field(was));
            let found = parts.remove(field.name).or_else(|| parts.remove(before?));
            let value = match found {
                Some(value) => value.fit(field.kind).ok_or_else(|| {
                    format!("{} does not fit {}", value.shown(), field.kind.rust())
                })?,
                None => {
                    let kept = self.limbo.get(field.name);
                    let fitted = kept.and_then(|kept| kept.fit(field.kind));
                    match fitted {
                        Some(value) => {
                            self.limbo.remove(field.name);
                            value
                        }
                        // What was removed under another type is no reason to refuse.
                        None => field.kind.value(field.default),
                    }
                }
            };
            new.insert(field.name, value);
        }
        self.limbo.extend(parts);
        self.live = Some(new);
        Ok(())
    }
}

/// What a field is called after an edit that takes its rename back.
fn renamed_back(name: &'static str, from: &Shape, to: &Shape) -> &'static str {
    let has = |shape: &Shape, name: &str| shape.fields.iter().any(|field| field.name == name);
    let Some(was) = from
        .fields
        .iter()
        .find(|field| field.name == name)
        .and_then(|field| field.was)
    else {
        return name;
    };
    let stays = has(to, name) || to.fields.iter().any(|field| field.was == Some(name));
    if stays || has(from, was) || !has(to, was) {
        name
    } else {
        was
    }
}
