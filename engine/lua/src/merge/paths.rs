//! Names of slots for reports: `enemy.config.speed`, `metatable of enemy.unit`.
//!
//! Most are never shown, so they are put together only when one is.

use mlua::Value;

use crate::declared::View;

/// Components that are shown of a long name.
const SHOWN: usize = 12;

/// The name of a slot or table, as a place in [`Paths`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path(usize);

enum Component {
    /// `m`, `local hits`, a global.
    Root(String),
    Key(Path, String),
    Metatable(Path),
}

/// The names that one merge uses.
#[derive(Default)]
pub(crate) struct Paths(Vec<Component>);

impl Paths {
    pub(super) fn root(&mut self, name: impl Into<String>) -> Path {
        self.add(Component::Root(name.into()))
    }

    /// A field of `path`, or a global.
    pub(super) fn key(&mut self, path: Option<Path>, key: String) -> Path {
        self.add(match path {
            Some(path) => Component::Key(path, key),
            None => Component::Root(key),
        })
    }

    pub(super) fn metatable(&mut self, path: Path) -> Path {
        self.add(Component::Metatable(path))
    }

    fn add(&mut self, component: Component) -> Path {
        self.0.push(component);
        Path(self.0.len() - 1)
    }

    /// The name as it is shown.
    pub(super) fn show(&self, path: Path) -> String {
        let mut keys: Vec<&str> = Vec::new();
        let mut at = path;
        let root = loop {
            match &self.0[at.0] {
                Component::Root(name) => break name.clone(),
                Component::Metatable(path) if keys.len() < SHOWN => {
                    break format!("metatable of {}", self.show(*path));
                }
                Component::Key(path, key) if keys.len() < SHOWN => {
                    keys.push(key);
                    at = *path;
                }
                _ => break "...".into(),
            }
        };
        let keys = keys.iter().rev().map(|key| format!(".{key}"));
        root + &keys.collect::<String>()
    }

    /// `config.levels` of `enemy.config.levels`; `config` of a global or a local.
    pub(super) fn within_module(&self, path: Path) -> String {
        let name = self.show(path);
        let name = name.strip_prefix("local ").unwrap_or(&name);
        name.split_once('.')
            .map_or(name, |(_, rest)| rest)
            .to_string()
    }
}

/// A key as it is shown.
pub(super) fn show_key(key: &Value, new: &View) -> String {
    match key {
        Value::String(text) => text.to_string_lossy(),
        Value::Function(function) => {
            let name = new.function(function).and_then(|number| {
                let node = new.declared.functions[number].node;
                new.written[node].name.clone()
            });
            format!("[{}]", name.as_deref().unwrap_or("function"))
        }
        key => format!("[{}]", show(key)),
    }
}

/// A value as one writes it, shortened.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Nil => "nil".into(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Number(value) => format!("{value:?}"),
        Value::String(text) => {
            let text = text.to_string_lossy();
            let short: String = text.chars().take(40).collect();
            let dots = if short.len() < text.len() { "..." } else { "" };
            format!("\"{short}{dots}\"")
        }
        Value::Table(_) => "a table".into(),
        Value::Function(_) => "a function".into(),
        other => format!("a {}", other.type_name()),
    }
}
