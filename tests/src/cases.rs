//! Cases of migration, and the source that is made of them.
//!
//! A case is a module of `game_logic::cases` with a few types. What the type that it is
//! about is used as, is in its name: `T` is a component, `R` a resource, `M` a message;
//! all others are parts of those. Derives are added; words before `struct` and `enum` say
//! which:
//!
//! | word | the type |
//! |---|---|
//! | | derives `Default` and reflects it |
//! | `own` | implements `Default` itself |
//! | `bare` | has no `Default` |
//! | `key` | can be a key, also of reflection |
//! | `component` | is a component, whatever its name is |
//!
//! From `T` and `R` three functions are made, unless the case has its own:
//! `register(&mut ModuleBuilder)`, `make(&mut World)` and `show(&mut World) -> String`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// The file that holds the cases.
pub const CASES: &str = "game_logic/src/cases.rs";

/// Values of one type before and after an edit.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Name of its module.
    pub name: &'static str,
    /// Types before the edit.
    pub old: &'static str,
    /// Values before the edit, separated by commas.
    pub values: &'static str,
    /// Types after the edit.
    pub new: &'static str,
    /// What the new version shows of the values, in the order of their entities.
    pub gives: &'static str,
    /// What is shown when the types before the edit are back.
    pub back: Option<&'static str>,
}

/// A [`Case`].
pub const fn case(
    name: &'static str,
    old: &'static str,
    values: &'static str,
    new: &'static str,
    gives: &'static str,
) -> Case {
    Case {
        name,
        old,
        values,
        new,
        gives,
        back: None,
    }
}

impl Case {
    /// Says what is shown when the types before the edit are back.
    #[must_use]
    pub const fn and_back(mut self, back: &'static str) -> Self {
        self.back = Some(back);
        self
    }

    /// Its module before the edit, which can make the values.
    pub fn before(&self) -> String {
        module(self.name, self.old, Some(self.values))
    }

    /// Its module after the edit.
    pub fn after(&self) -> String {
        module(self.name, self.new, None)
    }
}

/// The whole file.
pub fn source<'c>(
    cases: impl IntoIterator<Item = &'c Case>,
    module: impl Fn(&Case) -> String,
) -> String {
    let mut modules = String::new();
    let (mut register, mut make, mut show) = (String::new(), String::new(), String::new());
    for case in cases {
        let name = case.name;
        modules += &module(case);
        let _ = writeln!(register, "    {name}::register(m);");
        let _ = writeln!(make, "    {name}::make(world);");
        let _ = writeln!(
            show,
            "    lines.push(format!(\"{name}\\t{{}}\", {name}::show(world)));"
        );
    }
    format!(
        "//! Cases.\n#![allow(warnings)]\nuse super::*;\n{modules}\n\
         pub fn register(m: &mut ModuleBuilder) {{\n{register}    \
         m.function(\"make\", make).function(\"show\", show);\n}}\n\
         fn make(world: &mut World) {{\n{make}}}\n\
         fn show(world: &mut World) -> String {{\n    let mut lines = Vec::new();\n{show}    \
         lines.join(\"\\n\")\n}}\n"
    )
}

/// What `show` gives, by case.
pub fn shown(text: &Value) -> BTreeMap<String, String> {
    let lines = text.as_str().expect("`show` gives text").lines();
    lines
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, shown)| (name.to_owned(), shown.to_owned()))
        .collect()
}

fn module(name: &str, types: &str, values: Option<&str>) -> String {
    let has = |item: &str| {
        let named = |keyword: &str| {
            items(types).any(|at| types[at..].starts_with(&format!("{keyword} {item}")))
        };
        let ends = |keyword: &str| {
            items(types).any(|at| {
                let rest = types[at..].strip_prefix(&format!("{keyword} {item}"));
                rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
            })
        };
        (named("struct") && ends("struct")) || (named("enum") && ends("enum"))
    };
    let (component, resource, message) = (has("T"), has("R"), has("M"));
    let mut made = format!(
        "pub mod {name} {{\n    use super::*;\n    use std::collections::*;\n    {}\n",
        derived(types)
    );
    if !types.contains("fn register(") {
        let of = |is: bool, call: &'static str| if is { call } else { "" };
        let _ = writeln!(
            made,
            "    pub fn register(m: &mut ModuleBuilder) {{ m{}{}{}; }}",
            of(component, ".component::<T>()"),
            of(resource, ".resource::<R>()"),
            of(message, ".message::<M>()")
        );
    }
    if !types.contains("fn make(") {
        let body = match values {
            Some(values) if component && !values.is_empty() => {
                format!("for value in [{values}] {{ world.spawn(value); }}")
            }
            Some(values) if resource && !values.is_empty() => {
                format!("world.insert_resource({values});")
            }
            _ => String::new(),
        };
        let _ = writeln!(made, "    pub fn make(world: &mut World) {{ {body} }}");
    }
    if !types.contains("fn show(") {
        let body = match (component, resource) {
            (true, _) => "all::<T>(world)",
            (false, true) => "format!(\"{:?}\", world.resource::<R>())",
            (false, false) => "\"nothing\".to_owned()",
        };
        let _ = writeln!(
            made,
            "    pub fn show(world: &mut World) -> String {{ {body} }}"
        );
    }
    made + "}\n"
}

/// Where types begin: at their keyword.
fn items(types: &str) -> impl Iterator<Item = usize> {
    let bounded =
        |(at, _): &(usize, &str)| types[..*at].ends_with([' ', ';', '}', '{']) || *at == 0;
    let mut found: Vec<usize> = types
        .match_indices("struct ")
        .chain(types.match_indices("enum "))
        .filter(bounded)
        .map(|(at, _)| at)
        .collect();
    found.sort_unstable();
    found.into_iter()
}

/// Adds derives.
fn derived(types: &str) -> String {
    let mut made = String::new();
    let mut done = 0;
    for at in items(types) {
        let begin = types[..at].rfind([';', '{', '}']).map_or(0, |end| end + 1);
        let said = types[begin..at].trim();
        let (words, attributes) = match said.find('#') {
            Some(place) => said.split_at(place),
            None => (said, ""),
        };
        let attributes = attributes.strip_suffix("pub").unwrap_or(attributes);
        let is = |word: &str| words.split_whitespace().any(|said| said == word);
        let rest = &types[at..];
        let name = rest
            .split([' ', '(', '{', ';', '<'])
            .nth(1)
            .unwrap_or_default();
        let (mut derives, mut reflected) = (vec!["Reflect", "Debug", "Clone"], Vec::new());
        if !is("bare") {
            reflected.push("Default");
            if !is("own") {
                derives.push("Default");
            }
        }
        if is("key") {
            derives.extend(["PartialEq", "Eq", "Hash", "PartialOrd", "Ord"]);
            reflected.extend(["Hash", "PartialEq"]);
        }
        if name == "T" || is("component") {
            derives.push("Component");
            reflected.push("Component");
        } else if name == "R" {
            derives.push("Resource");
            reflected.push("Resource");
        } else if name == "M" {
            derives.push("Message");
        }
        made += &types[done..begin];
        let _ = write!(made, "\n    #[derive({})]", derives.join(", "));
        if !reflected.is_empty() {
            let _ = write!(made, " #[reflect({})]", reflected.join(", "));
        }
        let _ = write!(made, " {attributes} pub ");
        done = at;
    }
    made + &types[done..]
}
