//! What the sources of a module say about its types, put into the module by `#[module]`.
//!
//! Reflection does not see fields that it ignores, the inside of opaque types, or the tags
//! of variants with fields. Whether these are as they were, the source tells: each type that
//! the module's crate defines has a number, made of the tokens of its definition and of all
//! that the definition names. Numbers are compared, never read.

/// What is written about the types of one version of a module.
#[derive(Debug, Clone, Copy)]
pub struct Sources {
    /// First parts of the paths of the module's own types, in order.
    pub crates: &'static [&'static str],
    /// Paths of types (`game_logic::player::Health`) and their names alone, with their
    /// numbers, in order.
    pub types: &'static [(&'static str, u64)],
    /// Stands for all macros of the crate: types that none of its files names come from there.
    pub macros: u64,
    /// Stands for all other crates but those of the engine, features and settings.
    pub dependencies: u64,
    /// Other crates by their names, with numbers that are the same in all modules which are
    /// built with the same sources of them, in order.
    pub elsewhere: &'static [(&'static str, u64)],
}

impl Sources {
    /// Of modules that are never replaced.
    pub const NONE: Self = Self {
        crates: &[],
        types: &[],
        macros: 0,
        dependencies: 0,
        elsewhere: &[],
    };

    /// A number that differs when something is written differently that the layout of a
    /// type may depend on. `None` for types of the standard library, the ECS and the engine,
    /// which are the same for all versions. `path` is the type's path, with those of its
    /// generic arguments: `alloc::boxed::Box<game_logic::Plan>`.
    pub fn number(&self, path: &str) -> Option<u64> {
        let pieces = path.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        let numbers = pieces.filter_map(|piece| {
            let (first, _) = piece.split_once("::")?;
            self.number_of(first, piece)
        });
        // The order of generic arguments matters.
        numbers.reduce(|sum, number| sum.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number)
    }

    fn number_of(&self, first: &str, path: &str) -> Option<u64> {
        let find = |name: &str| {
            let at = self.types.binary_search_by_key(&name, |(name, _)| name);
            Some(self.types[at.ok()?].1)
        };
        let name = path.rsplit("::").next().unwrap_or(path);
        let other = self.elsewhere.iter().find(|(name, _)| *name == first);
        if is_shared(first) {
            None
        } else if let Some((_, number)) = other.filter(|_| !self.crates.contains(&first)) {
            Some(*number)
        } else if let Some(number) = find(path).or_else(|| find(name)) {
            Some(number ^ self.dependencies)
        } else if self.crates.contains(&first) {
            Some(self.macros ^ self.dependencies)
        } else {
            Some(self.dependencies)
        }
    }
}

/// Whether a crate is one that engine and modules share.
fn is_shared(first: &str) -> bool {
    const BEVY: [&str; 6] = [
        "bevy_ecs",
        "bevy_platform",
        "bevy_ptr",
        "bevy_reflect",
        "bevy_tasks",
        "bevy_utils",
    ];
    matches!(first, "std" | "core" | "alloc" | "engine_api") || BEVY.contains(&first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_all_types_in_a_path() {
        let sources = Sources {
            crates: &["game"],
            types: &[("Health", 3), ("Plan", 5), ("game::old::Plan", 9)],
            macros: 7,
            dependencies: 64,
            elsewhere: &[("game", 1), ("shared", 11)],
        };
        let check = |path, expected| assert_eq!(sources.number(path), expected, "{path}");
        check("u32", None);
        check("(f32, &str)", None);
        check("alloc::vec::Vec<core::time::Duration>", None);
        check("bevy_ecs::entity::Entity", None);
        check("game::ai::Plan", Some(5 ^ 64));
        check("game::old::Plan", Some(9 ^ 64));
        check("alloc::boxed::Box<game::Plan>", Some(5 ^ 64));
        check("[game::Plan; 3]", Some(5 ^ 64));
        check("game::Made", Some(7 ^ 64));
        check("glam::Vec2", Some(64));
        check("shared::Plan", Some(11));
        let one = sources.number("game::Pair<game::Plan, game::Health>");
        let other = sources.number("game::Pair<game::Health, game::Plan>");
        assert!(one.is_some() && one != other);
        assert_eq!(Sources::NONE.number("u32"), None);
    }
}
