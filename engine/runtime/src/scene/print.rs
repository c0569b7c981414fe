//! A checkpoint as the text of a scene.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use engine_api::bevy_ecs::entity::Entity;
use engine_api::schema::{FieldSchema, Shape};

use super::{FORMAT, PLACEHOLDER, is_tuple};
use crate::checkpoint::{Checkpoint, SavedKind};
use crate::data::Data;

/// Longest line that is not broken, where it can be.
const WIDTH: usize = 96;
const INDENT: &str = "    ";

/// An entity on its way to text.
#[derive(Default)]
struct Row<'c> {
    name: Option<&'c str>,
    parent: Option<u64>,
    disabled: bool,
    components: BTreeMap<&'c str, Data>,
}

/// A checkpoint as a scene. Two of equal content give equal texts: entities stand in the
/// order of their ids, children after their parents, and everything else by name.
pub fn text(checkpoint: &Checkpoint) -> String {
    let path = |of: u32| checkpoint.types.get(of as usize);
    let mut rows: HashMap<u64, Row> = HashMap::new();
    let mut children: HashMap<u64, Vec<u64>> = HashMap::new();
    for block in &checkpoint.blocks {
        let mut all = block.children.iter().flat_map(|(_, all)| all);
        for (index, bits) in block.entities.iter().enumerate() {
            let row = rows.entry(*bits).or_default();
            row.name = block.names.as_ref().and_then(|names| names.get(index));
            row.parent = block
                .parents
                .as_ref()
                .and_then(|all| all.get(index))
                .copied();
            row.disabled = block.disabled;
            for column in &block.columns {
                if let (Some(of), Some(mut data)) =
                    (path(column.of), checkpoint.value(column, index))
                {
                    sort_sets(&mut data, &of.schema.shape, &mut Vec::new());
                    row.components.insert(&of.schema.path, data);
                }
            }
            let counts = block.children.as_ref().map(|(counts, _)| counts);
            if let Some(count) = counts.and_then(|counts| counts.get(index)) {
                children.insert(*bits, all.by_ref().take(*count as usize).copied().collect());
            }
        }
    }
    let order = order(&rows, &children);
    let labels = order.iter().enumerate();
    let labels = labels.map(|(index, bits)| (*bits, (index + 1).to_string()));
    let printer = Printer {
        labels: labels.collect(),
    };
    let mut resources: BTreeMap<&str, Data> = BTreeMap::new();
    for resource in &checkpoint.resources {
        if let Some(of) = path(resource.column.of).filter(|of| of.kind == SavedKind::Resource)
            && let Some(mut data) = checkpoint.value(&resource.column, 0)
        {
            sort_sets(&mut data, &of.schema.shape, &mut Vec::new());
            resources.insert(&of.schema.path, data);
        }
    }
    let mut to = format!("(\n{INDENT}format: {FORMAT},\n{INDENT}resources: {{");
    for (path, data) in &resources {
        let _ = write!(to, "\n{}{path:?}: ", INDENT.repeat(2));
        printer.data(&mut to, data, 2);
        to.push(',');
    }
    close(&mut to, 1, "}", resources.is_empty());
    let _ = write!(to, ",\n{INDENT}entities: {{");
    for bits in &order {
        let Some(row) = rows.get(bits) else {
            continue;
        };
        let _ = write!(to, "\n{}{}: (", INDENT.repeat(2), printer.entity(*bits));
        printer.row(&mut to, row);
        close(&mut to, 2, "),", row.is_empty(&printer));
    }
    close(&mut to, 1, "}", order.is_empty());
    to.push_str(",\n)\n");
    to
}

/// The closing bracket, on its own line unless there is nothing before it.
fn close(to: &mut String, indent: usize, bracket: &str, is_empty: bool) {
    if !is_empty {
        let _ = write!(to, "\n{}", INDENT.repeat(indent));
    }
    to.push_str(bracket);
}

/// Roots by their ids, each followed by its children.
fn order(rows: &HashMap<u64, Row>, children: &HashMap<u64, Vec<u64>>) -> Vec<u64> {
    let index = |bits: &u64| Entity::try_from_bits(*bits).map(Entity::index_u32);
    let mut all: Vec<u64> = rows.keys().copied().collect();
    all.sort_by_key(index);
    let is_root = |bits: &u64| {
        let parent = rows.get(bits).and_then(|row| row.parent);
        !parent.is_some_and(|parent| rows.contains_key(&parent))
    };
    let mut order = Vec::with_capacity(all.len());
    let mut seen = HashSet::new();
    let roots = all.iter().copied().filter(is_root);
    // Also those that nobody leads to, should there be any.
    for start in roots.chain(all.iter().copied()).collect::<Vec<_>>() {
        let mut next = vec![start];
        while let Some(bits) = next.pop() {
            if rows.contains_key(&bits) && seen.insert(bits) {
                order.push(bits);
                next.extend(children.get(&bits).into_iter().flatten().rev());
            }
        }
    }
    order
}

impl Row<'_> {
    fn is_empty(&self, printer: &Printer) -> bool {
        let parent = self
            .parent
            .filter(|parent| printer.labels.contains_key(parent));
        self.name.is_none() && parent.is_none() && !self.disabled && self.components.is_empty()
    }
}

struct Printer {
    labels: HashMap<u64, String>,
}

impl Printer {
    fn entity(&self, bits: u64) -> String {
        let label = self.labels.get(&bits);
        format!("{:?}", label.map_or(PLACEHOLDER, String::as_str))
    }

    fn row(&self, to: &mut String, row: &Row) {
        let indent = INDENT.repeat(3);
        if let Some(name) = row.name {
            let _ = write!(to, "\n{indent}name: {},", quoted(name));
        }
        if let Some(parent) = row.parent.filter(|parent| self.labels.contains_key(parent)) {
            let _ = write!(to, "\n{indent}parent: {},", self.entity(parent));
        }
        if row.disabled {
            let _ = write!(to, "\n{indent}disabled: true,");
        }
        if row.components.is_empty() {
            return;
        }
        let _ = write!(to, "\n{indent}components: {{");
        for (path, data) in &row.components {
            let _ = write!(to, "\n{indent}{INDENT}{path:?}: ");
            self.data(to, data, 4);
            to.push(',');
        }
        let _ = write!(to, "\n{indent}}},");
    }

    /// A value, on one line if it is short.
    fn data(&self, to: &mut String, data: &Data, indent: usize) {
        let start = to.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.inline(data);
        if to.len() - start + line.len() < WIDTH {
            to.push_str(&line);
            return;
        }
        let inner = INDENT.repeat(indent + 1);
        let each = |to: &mut String, open: &str, close: &str, items: Vec<(String, &Data)>| {
            to.push_str(open);
            for (before, item) in items {
                let _ = write!(to, "\n{inner}{before}");
                self.data(to, item, indent + 1);
                to.push(',');
            }
            let _ = write!(to, "\n{}{close}", INDENT.repeat(indent));
        };
        let named = |fields: &'_ [(String, Data)]| -> Vec<String> {
            let is_tuple = is_tuple(fields);
            let names = fields.iter().map(|(name, _)| name);
            let prefix = |name: &String| {
                if is_tuple {
                    String::new()
                } else {
                    format!("{name}: ")
                }
            };
            names.map(prefix).collect()
        };
        match data {
            Data::Struct(fields) | Data::Variant(_, fields) if !fields.is_empty() => {
                let open = match data {
                    Data::Variant(name, _) => format!("{name}("),
                    _ => "(".to_owned(),
                };
                let values = fields.iter().map(|(_, data)| data);
                each(
                    to,
                    &open,
                    ")",
                    named(fields).into_iter().zip(values).collect(),
                );
            }
            Data::List(items) if !items.is_empty() => {
                let items = items.iter().map(|item| (String::new(), item));
                each(to, "[", "]", items.collect());
            }
            Data::Map(pairs) if !pairs.is_empty() => {
                let mut pairs: Vec<(String, &Data)> = pairs
                    .iter()
                    .map(|(key, value)| (format!("{}: ", self.inline(key)), value))
                    .collect();
                pairs.sort_by(|(a, _), (b, _)| by_number(a).cmp(&by_number(b)));
                each(to, "{", "}", pairs);
            }
            _ => to.push_str(&line),
        }
    }

    fn inline(&self, data: &Data) -> String {
        match data {
            Data::Bool(value) => value.to_string(),
            Data::Char(value) => format!("'{}'", escaped(*value, '\'')),
            Data::Int(value) => value.to_string(),
            Data::Uint(value) => value.to_string(),
            Data::F32(value) => format!("{value:?}"),
            Data::F64(value) => format!("{value:?}"),
            Data::Text(text) => quoted(text),
            Data::Entity(bits) => self.entity(*bits),
            Data::Struct(fields) => format!("({})", self.fields(fields)),
            Data::Variant(name, fields) if fields.is_empty() => name.clone(),
            Data::Variant(name, fields) => format!("{name}({})", self.fields(fields)),
            Data::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.inline(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Data::Map(pairs) => {
                let mut pairs: Vec<_> = pairs
                    .iter()
                    .map(|(key, value)| format!("{}: {}", self.inline(key), self.inline(value)))
                    .collect();
                pairs.sort_by(|a, b| by_number(a).cmp(&by_number(b)));
                format!("{{{}}}", pairs.join(", "))
            }
            Data::Foreign(_, text) => text.clone(),
            // Captures have none.
            Data::Live(_) => "()".to_owned(),
        }
    }

    fn fields(&self, fields: &[(String, Data)]) -> String {
        let is_tuple = is_tuple(fields);
        let one = |(name, data): &(String, Data)| {
            let data = self.inline(data);
            if is_tuple {
                data
            } else {
                format!("{name}: {data}")
            }
        };
        fields.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// Elements of sets come in any order; here they get one.
fn sort_sets<'s>(data: &mut Data, shape: &'s Shape, above: &mut Vec<&'s Shape>) {
    let shape = match shape {
        Shape::Recursive(levels) => {
            let index = above.len().checked_sub(levels + 1);
            index
                .and_then(|index| above.get(index).copied())
                .unwrap_or(shape)
        }
        shape => shape,
    };
    above.push(shape);
    let mut fields = |parts: &mut Vec<(String, Data)>, fields: &'s [FieldSchema]| {
        for (name, data) in parts {
            if let Some(field) = fields.iter().find(|field| field.name == *name) {
                sort_sets(data, &field.shape, above);
            }
        }
    };
    match (shape, data) {
        (Shape::Struct { fields: known, .. }, Data::Struct(parts)) => fields(parts, known),
        (Shape::Enum(variants), Data::Variant(name, parts)) => {
            if let Some(variant) = variants.iter().find(|variant| variant.name == *name) {
                fields(parts, &variant.fields);
            }
        }
        (Shape::List(item) | Shape::Array(item, _), Data::List(items)) => {
            for data in items {
                sort_sets(data, &item.shape, above);
            }
        }
        (Shape::Set(item), Data::List(items)) => {
            for data in items.iter_mut() {
                sort_sets(data, &item.shape, above);
            }
            let printer = Printer {
                labels: HashMap::new(),
            };
            items.sort_by_cached_key(|data| {
                let text = printer.inline(data);
                let (is_text, number, text) = by_number(&text);
                (is_text, number, text.to_owned())
            });
        }
        (Shape::Map(_, value), Data::Map(pairs)) => {
            for (_, data) in pairs {
                sort_sets(data, &value.shape, above);
            }
        }
        _ => {}
    }
    above.pop();
}

/// Orders texts that begin with numbers by these, others after them.
fn by_number(text: &str) -> (bool, i128, &str) {
    let end = text.find(|c: char| c != '-' && !c.is_ascii_digit());
    let number = text[..end.unwrap_or(text.len())].parse::<i128>();
    (number.is_err(), number.unwrap_or(0), text)
}

fn quoted(text: &str) -> String {
    let escaped: String = text.chars().map(|c| escaped(c, '"')).collect();
    format!("\"{escaped}\"")
}

fn escaped(c: char, quote: char) -> String {
    match c {
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        c if c == quote => format!("\\{c}"),
        c if c.is_control() => format!("\\u{{{:x}}}", u32::from(c)),
        c => c.to_string(),
    }
}
