//! What the sources of a crate say about its types.
//!
//! Reflection does not see everything that decides how a value lies in memory: fields that
//! it ignores, the inside of opaque types, the tags of variants with fields. The source does.
//! [`Sources::read`] gives each type that a crate defines a number that changes whenever
//! something is written differently that its layout may depend on: its own definition and
//! those of all types, aliases, constants, traits and macros that it names, all the way down.
//! What functions do does not matter, unless a constant calls them. The numbers are made of
//! tokens, so comments and layout of the text do not matter either.
//!
//! A name is what the module around it defines under it, or else everything of that name in
//! the crate: rather too much than too little. So a number may change without need, which
//! costs a migration to what the type was before, but does not stay when it must change.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use proc_macro2::{Delimiter, Ident, Spacing, TokenStream, TokenTree};

mod build;
mod elsewhere;
mod files;

/// What is written in a crate, as numbers.
#[derive(Debug, PartialEq, Eq)]
pub struct Sources {
    /// Names that the paths of the crate's types begin with.
    pub crates: BTreeSet<String>,
    /// Path and name of each type, with a number that stands for all that is written about
    /// it, or about all types of that name.
    pub types: BTreeMap<String, u64>,
    /// Stands for all macros of the crate, which may define types that nobody can see.
    pub macros: u64,
    /// Stands for what comes from elsewhere: other crates, features and what the build
    /// script sets.
    pub dependencies: u64,
    /// Other crates by their names, each with a number that stands for it and all that it is
    /// built from. Whoever depends on a crate has the same number for it.
    pub elsewhere: BTreeMap<String, u64>,
}

impl Sources {
    /// Reads the sources of the crate whose manifest is in `folder`. What cannot be read is
    /// left out: the compiler will say so.
    pub fn read(name: &str, folder: &Path) -> Self {
        let texts = files::sources(folder).into_iter().filter_map(|file| {
            let module = files::module(folder, &file);
            Some((module, std::fs::read_to_string(file).ok()?))
        });
        let texts: Vec<(String, String)> = texts.collect();
        let mut elsewhere = files::dependencies(folder);
        elsewhere.extend(build::settings(std::env::args()));
        elsewhere.extend(build::variables(&texts));
        Self {
            elsewhere: elsewhere::numbers(folder),
            ..Self::of(name, &texts, hash(&elsewhere))
        }
    }

    /// `texts` are those of all files, each with the path of the module that it holds.
    fn of(name: &str, texts: &[(String, String)], dependencies: u64) -> Self {
        let mut items = Items::default();
        for (module, text) in texts {
            if let Ok(tokens) = text.parse() {
                let around = Around {
                    module: &join(name, module),
                    in_item: false,
                    in_function: false,
                };
                items.scan(tokens, around);
            }
        }
        let types = items.types.iter();
        let types = types.map(|(path, found)| (path.clone(), items.number(found.clone())));
        Self {
            crates: [name.to_owned()]
                .into_iter()
                .chain(items.crates.clone())
                .collect(),
            types: types.collect(),
            macros: hash(&items.macros()),
            dependencies,
            elsewhere: BTreeMap::new(),
        }
    }
}

fn hash<T: Hash>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() || name.is_empty() {
        format!("{path}{name}")
    } else {
        format!("{path}::{name}")
    }
}

/// Everything that is defined somewhere.
#[derive(Default)]
struct Items {
    all: Vec<Item>,
    /// Definitions by name.
    definitions: HashMap<String, Vec<usize>>,
    /// Definitions of types, and of what macros may make types of, by path and by name.
    types: BTreeMap<String, BTreeSet<usize>>,
    /// First parts of the paths that `#[type_path = "..."]` gives types.
    crates: BTreeSet<String>,
    /// All macros and their uses outside of functions.
    macros: Vec<usize>,
    /// Uses of macros by their names, outside of functions and in them.
    used: HashMap<String, Vec<usize>>,
    used_in_functions: HashMap<String, Vec<usize>>,
}

/// What is around an item.
#[derive(Clone, Copy)]
struct Around<'a> {
    /// Path of the module, with the crate.
    module: &'a str,
    /// Within a function, a trait or an implementation: what is defined there is no name
    /// of the module.
    in_item: bool,
    in_function: bool,
}

/// One definition.
struct Item {
    /// The module that it stands in.
    module: String,
    /// Whether something else may be meant by its name in that module: the use of a macro, and
    /// what is defined within another item.
    is_guess: bool,
    /// The macro that it is.
    defines: Option<String>,
    tokens: Vec<TokenTree>,
    read: OnceCell<Text>,
}

/// A definition as text, and the names in it that lead on.
struct Text {
    text: String,
    names: Vec<Name>,
}

/// A name somewhere in a definition.
struct Name {
    name: String,
    /// Whether it is the end of a path.
    qualified: bool,
}

impl Items {
    /// Finds the definitions in a sequence of tokens and in all groups within it.
    fn scan(&mut self, tokens: TokenStream, around: Around<'_>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        // Where the item began, with its attributes.
        let mut start = 0;
        let mut at = 0;
        while at < tokens.len() {
            let end = match &tokens[at] {
                TokenTree::Ident(word) => self.item(&tokens, start, at, &word.to_string(), around),
                _ => None,
            };
            if let Some(end) = end {
                at = end;
                start = end;
                continue;
            }
            match &tokens[at] {
                TokenTree::Group(group) => {
                    self.scan(group.stream(), around);
                    if group.delimiter() == Delimiter::Brace {
                        start = at + 1;
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => start = at + 1,
                _ => {}
            }
            at += 1;
        }
    }

    /// Takes the item whose keyword is at `at`. Returns where it ends, `None` if there is none.
    fn item(
        &mut self,
        tokens: &[TokenTree],
        start: usize,
        at: usize,
        word: &str,
        around: Around<'_>,
    ) -> Option<usize> {
        let name = match word {
            "struct" | "enum" | "union" | "type" | "trait" | "fn" | "mod" => {
                name_at(tokens, at + 1)?
            }
            "const" | "static" => {
                let skipped = usize::from(name_at(tokens, at + 1)? == "mut");
                let name = name_at(tokens, at + 1 + skipped)?;
                if matches!(name.as_str(), "fn" | "unsafe" | "extern" | "async") {
                    return None;
                }
                name
            }
            "use" => String::new(),
            "impl" => return self.implementation(tokens, at, around),
            _ => return self.macro_use(tokens, start, at, word, around),
        };
        let ends_with_body = !matches!(word, "type" | "const" | "static" | "use");
        let length = tokens[at..].iter().position(|token| match token {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => ends_with_body && group.delimiter() == Delimiter::Brace,
            TokenTree::Ident(_) | TokenTree::Literal(_) => false,
        })?;
        let end = at + length + 1;
        let item = &tokens[start..end];
        match word {
            "use" => {
                // A new name for what has another one.
                for name in new_names(item) {
                    self.define(name, item, around, around.in_item);
                }
                return Some(end);
            }
            "mod" => {
                if let Some(TokenTree::Group(body)) = tokens.get(end - 1) {
                    let module = &join(around.module, &name);
                    self.scan(body.stream(), Around { module, ..around });
                }
                return Some(end);
            }
            _ => {}
        }
        for token in &tokens[at..end] {
            if let TokenTree::Group(group) = token {
                let within = Around {
                    in_item: true,
                    in_function: around.in_function || word != "trait",
                    ..around
                };
                self.scan(group.stream(), within);
            }
        }
        // Functions and constants hide no type of the same name.
        let is_guess = around.in_item || matches!(word, "fn" | "const" | "static");
        let index = self.define(name.clone(), item, around, is_guess);
        if matches!(word, "struct" | "enum" | "union" | "type") {
            self.add_type(join(around.module, &name), index);
            self.add_type(name.clone(), index);
            self.given_path(item, &name, around.module, index);
        }
        Some(end)
    }

    /// What an implementation defines are no names of the module around it.
    fn implementation(
        &mut self,
        tokens: &[TokenTree],
        at: usize,
        around: Around<'_>,
    ) -> Option<usize> {
        let rest = tokens[at..].iter();
        let (length, body) = rest.enumerate().find_map(|(length, token)| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                Some((length, group.stream()))
            }
            _ => None,
        })?;
        let within = Around {
            in_item: true,
            ..around
        };
        self.scan(body, within);
        Some(at + length + 1)
    }

    /// A macro, or the use of one outside of functions: every name in there may be one
    /// that it defines.
    fn macro_use(
        &mut self,
        tokens: &[TokenTree],
        start: usize,
        at: usize,
        word: &str,
        around: Around<'_>,
    ) -> Option<usize> {
        let TokenTree::Punct(mark) = tokens.get(at + 1)? else {
            return None;
        };
        if mark.as_char() != '!' {
            return None;
        }
        if around.in_function && word != "macro_rules" {
            // Whether it matters is known when all macros are.
            let used = Item::new(tokens.get(at + 2), around, true);
            self.used_in_functions
                .entry(word.to_owned())
                .or_default()
                .push(self.all.len());
            self.all.push(used);
            return None;
        }
        let name = name_at(tokens, at + 2);
        let body = at + 2 + usize::from(name.is_some());
        let TokenTree::Group(group) = tokens.get(body)? else {
            return None;
        };
        let item = &tokens[start..=body];
        let index = self.all.len();
        for name in names_in(group.stream()) {
            if name.starts_with(char::is_uppercase) {
                self.add_type(join(around.module, &name), index);
                self.add_type(name.clone(), index);
                self.definitions.entry(name).or_default().push(index);
            }
        }
        self.macros.push(index);
        if let Some(name) = name.filter(|_| word == "macro_rules") {
            self.all.push(Item {
                defines: Some(name.clone()),
                ..Item::new(item, around, true)
            });
            self.definitions.entry(name).or_default().push(index);
        } else {
            self.all.push(Item::new(item, around, true));
            self.used.entry(word.to_owned()).or_default().push(index);
        }
        self.scan(group.stream(), around);
        Some(body + 1)
    }

    fn define(
        &mut self,
        name: String,
        tokens: &[TokenTree],
        around: Around<'_>,
        is_guess: bool,
    ) -> usize {
        let index = self.all.len();
        self.definitions.entry(name).or_default().push(index);
        self.all.push(Item::new(tokens, around, is_guess));
        index
    }

    /// Text of all macros and of their uses.
    fn macros(&self) -> Vec<&str> {
        let names = self.all.iter().filter_map(|item| item.defines.as_ref());
        let inner = names.flat_map(|name| self.uses(name));
        let all = self.macros.iter().copied().chain(inner);
        let all: BTreeSet<usize> = all.collect();
        all.into_iter()
            .map(|index| self.all[index].text().text.as_str())
            .collect()
    }

    /// Where a macro is used.
    fn uses(&self, name: &str) -> impl Iterator<Item = usize> {
        let outside = self.used.get(name).into_iter().flatten();
        let inside = self.used_in_functions.get(name).into_iter().flatten();
        outside.chain(inside).copied()
    }

    fn add_type(&mut self, path: String, index: usize) {
        self.types.entry(path).or_default().insert(index);
    }

    /// Reads `#[type_path = "game"]` and `#[type_name = "Health"]`, by which reflection
    /// calls a type something else.
    fn given_path(&mut self, tokens: &[TokenTree], name: &str, module: &str, index: usize) {
        let (mut given_module, mut given_name) = (None, None);
        for token in tokens {
            let TokenTree::Group(group) = token else {
                continue;
            };
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let [
                TokenTree::Ident(key),
                TokenTree::Punct(_),
                TokenTree::Literal(value),
            ] = &inner[..]
            else {
                continue;
            };
            let value = value.to_string().trim_matches('"').to_owned();
            if key == "type_path" {
                given_module = Some(value);
            } else if key == "type_name" {
                given_name = Some(value);
            }
        }
        if given_module.is_none() && given_name.is_none() {
            return;
        }
        let module = given_module.unwrap_or_else(|| module.to_owned());
        let name = given_name.unwrap_or_else(|| name.to_owned());
        let first = module.split("::").next().unwrap_or(&module);
        self.crates.insert(first.to_owned());
        self.add_type(join(&module, &name), index);
        self.add_type(name, index);
    }

    /// The number that stands for definitions and all that they lead to.
    fn number(&self, mut found: BTreeSet<usize>) -> u64 {
        let mut left: Vec<usize> = found.iter().copied().collect();
        while let Some(index) = left.pop() {
            let item = &self.all[index];
            // What a macro defines depends on what it is given.
            let uses = item.defines.iter().flat_map(|name| self.uses(name));
            let names = item.text().names.iter();
            let meant = names.flat_map(|name| self.meant(name, &item.module));
            left.extend(uses.chain(meant).filter(|index| found.insert(*index)));
        }
        let mut texts: Vec<&str> = found
            .into_iter()
            .map(|index| self.all[index].text().text.as_str())
            .collect();
        // Whether a definition moves to another file does not matter.
        texts.sort_unstable();
        hash(&texts)
    }
}

impl Items {
    /// What a name may mean within a module: what the module defines, or else all there is of
    /// that name.
    fn meant<'s>(&'s self, name: &Name, module: &'s str) -> impl Iterator<Item = usize> + use<'s> {
        let all = self
            .definitions
            .get(&name.name)
            .map_or(&[][..], Vec::as_slice);
        let is_here = move |index: &usize| self.all[*index].module == module;
        let is_certain = |index: &usize| !self.all[*index].is_guess;
        let own = !name.qualified && all.iter().filter(|index| is_here(index)).any(is_certain);
        all.iter()
            .copied()
            .filter(move |index| !own || is_here(index))
    }
}

impl Item {
    fn new<'t>(
        tokens: impl IntoIterator<Item = &'t TokenTree>,
        around: Around<'_>,
        is_guess: bool,
    ) -> Self {
        Self {
            module: around.module.to_owned(),
            is_guess,
            defines: None,
            tokens: tokens.into_iter().cloned().collect(),
            read: OnceCell::new(),
        }
    }

    fn text(&self) -> &Text {
        self.read.get_or_init(|| Text::of(&self.tokens))
    }
}

impl Text {
    fn of(tokens: &[TokenTree]) -> Self {
        let mut made = Self {
            text: String::new(),
            names: Vec::new(),
        };
        made.add(tokens, false);
        made
    }

    fn add(&mut self, tokens: &[TokenTree], in_attribute: bool) {
        let mut attribute = false;
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(name) => {
                    let name = plain(name);
                    self.text.push_str(&name);
                    self.text.push(' ');
                    // What stands before a single colon is the name of a field.
                    if !in_attribute && !is_colon(tokens, at + 1) {
                        let qualified = at >= 2 && is_path(tokens, at - 2);
                        self.names.push(Name { name, qualified });
                    }
                }
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    if attribute && is_doc(&inner) {
                        // The mark in front of it.
                        self.text.pop();
                    } else {
                        let (open, close) = match group.delimiter() {
                            Delimiter::Brace => ("{", "}"),
                            Delimiter::Bracket => ("[", "]"),
                            Delimiter::Parenthesis => ("(", ")"),
                            Delimiter::None => ("", ""),
                        };
                        self.text.push_str(open);
                        self.add(&inner, in_attribute || attribute);
                        self.text.push_str(close);
                    }
                }
                TokenTree::Punct(punct) => self.text.push(punct.as_char()),
                TokenTree::Literal(literal) => {
                    self.text.push_str(&literal.to_string());
                    self.text.push(' ');
                }
            }
            attribute = matches!(token, TokenTree::Punct(punct) if punct.as_char() == '#');
        }
    }
}

fn is_doc(attribute: &[TokenTree]) -> bool {
    matches!(attribute.first(), Some(TokenTree::Ident(name)) if name == "doc")
}

fn is_colon(tokens: &[TokenTree], at: usize) -> bool {
    matches!(
        tokens.get(at),
        Some(TokenTree::Punct(punct)) if punct.as_char() == ':' && punct.spacing() == Spacing::Alone
    )
}

/// Whether there is a `::` at a place.
fn is_path(tokens: &[TokenTree], at: usize) -> bool {
    let is_mark = |token: &TokenTree, spacing| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':' && punct.spacing() == spacing);
    is_mark(&tokens[at], Spacing::Joint) && is_mark(&tokens[at + 1], Spacing::Alone)
}

/// The new names in `use a::B as C`.
fn new_names(tokens: &[TokenTree]) -> Vec<String> {
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(word) if word == "as" => names.extend(name_at(tokens, at + 1)),
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                names.extend(new_names(&inner));
            }
            _ => {}
        }
    }
    names
}

fn name_at(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at)? {
        TokenTree::Ident(name) => Some(plain(name)),
        _ => None,
    }
}

/// A name as it is without `r#`.
fn plain(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").unwrap_or(&name).to_owned()
}

fn names_in(tokens: TokenStream) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                names.insert(plain(&name));
            }
            TokenTree::Group(group) => names.append(&mut names_in(group.stream())),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    names
}

#[cfg(test)]
mod tests;
