//! What of a world refers to the code of a version, as far as it is known.

use engine_api::bevy_ecs::component::{ComponentCloneBehavior, ComponentInfo};
use engine_api::bevy_ecs::name::Name;
use engine_api::bevy_ecs::world::World;

use super::{StateBook, live_counts};
use crate::registry::VersionKey;

/// Why the code of a version must stay mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    /// What refers to it, for people.
    pub(crate) text: String,
    /// How.
    pub(crate) kind: ReasonKind,
}

/// How the world refers to the code of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReasonKind {
    /// In its component table, for a type that it has no values of: a rebuilt world would not
    /// know the type.
    Unused,
    /// It does, and a rebuilt world would as well.
    Certain,
    /// It may: nobody sees what is in a value. A proof knows better.
    Guess,
}

impl Reason {
    fn new(kind: ReasonKind, text: String) -> Self {
        Self { text, kind }
    }

    /// Something of which nobody knows whether it refers to the version.
    pub(crate) fn guess(text: String) -> Self {
        Self::new(ReasonKind::Guess, text)
    }

    /// Whether it is one that a proof knows better.
    pub(crate) fn is_guess(&self) -> bool {
        self.kind == ReasonKind::Guess
    }
}

/// Whether a rebuilt world would not refer to a version any more for which `reasons` are known.
/// Guesses are left out where a proof decides.
pub(crate) fn would_go(reasons: &[Reason], is_proven: bool) -> bool {
    let mut counted = reasons
        .iter()
        .filter(|reason| !is_proven || !reason.is_guess())
        .peekable();
    counted.peek().is_some() && counted.all(|reason| reason.kind == ReasonKind::Unused)
}

impl StateBook {
    /// Records that every component the world has learnt since `known` came with a
    /// version.
    pub fn attribute(&mut self, world: &World, known: usize, module: &str, key: VersionKey) {
        for (id, info) in world
            .components()
            .iter_registered()
            .filter(|(id, _)| id.index() >= known)
        {
            if info
                .type_id()
                .is_some_and(|type_id| self.engine.contains(&type_id))
            {
                continue;
            }
            self.brought
                .entry(id)
                .or_insert_with(|| (module.to_owned(), key));
        }
    }

    /// Why the code of a version must stay mapped: what the world still holds that
    /// refers to it. `inside` tells whether an address lies in the version's image.
    pub(crate) fn references(
        &self,
        world: &World,
        module: &str,
        key: VersionKey,
        inside: &dyn Fn(usize) -> bool,
    ) -> Vec<Reason> {
        let live = live_counts(world);
        let mut reasons = Vec::new();
        for (id, info) in world.components().iter_registered() {
            let known = self
                .types
                .values()
                .find(|known| Some(known.stored) == info.type_id());
            let name = known.map_or_else(
                || format!("unregistered type of {} bytes", info.layout().size()),
                |known| format!("type `{}`", known.schema.path),
            );
            let brought = self
                .brought
                .get(&id)
                .is_some_and(|(_, brought_by)| *brought_by == key);
            let count = live.get(&id).copied().unwrap_or(0);
            let in_the_table = if info.drop().is_some_and(|drop| inside(drop as usize)) {
                Some("its drop function is")
            } else if brought && hooks_of(info) {
                Some("its hooks are")
            } else if brought
                && matches!(info.clone_behavior(), ComponentCloneBehavior::Custom(clone) if inside(*clone as usize))
            {
                Some("its clone function is")
            } else if brought && info.required_components().iter_ids().next().is_some() {
                Some("constructors of the components it requires are")
            } else {
                None
            };
            if let Some(what) = in_the_table {
                let values = match count {
                    0 => "no values left".to_owned(),
                    1 => "1 value".to_owned(),
                    _ => format!("{count} values"),
                };
                let kind = match count {
                    0 => ReasonKind::Unused,
                    _ => ReasonKind::Certain,
                };
                let text = format!("{name} ({values}): {what} in the component table");
                reasons.push(Reason::new(kind, text));
            } else if brought && count > 0 && known.is_none() && info.layout().size() > 0 {
                let text = format!("{name}: {count} values that nothing is known of");
                reasons.push(Reason::guess(text));
            }
        }
        for known in self
            .types
            .values()
            .filter(|known| known.makers.contains(module))
        {
            let parts = known.schema.parts_that_may_hold_code();
            let Some(id) = world.components().get_id(known.stored) else {
                continue;
            };
            let count = live.get(&id).copied().unwrap_or(0);
            // Any version of the module may have made the values.
            if count > 0 && !parts.is_empty() {
                reasons.push(Reason::guess(format!(
                    "type `{}`: {count} values with {} may refer to its code",
                    known.schema.path,
                    parts.join(", ")
                )));
            }
        }
        let names = names_inside(world, inside);
        if names > 0 {
            let text = format!("{names} values of `Name` borrow their text from it");
            reasons.push(Reason::new(ReasonKind::Certain, text));
        }
        reasons.sort_by(|left, right| left.text.cmp(&right.text));
        reasons
    }
}

fn hooks_of(info: &ComponentInfo) -> bool {
    // The hooks' fields are private; their `Debug` prints `Some(0x..)` for each that is set.
    format!("{:?}", info.hooks()).contains("Some")
}

/// Names of entities whose text lies in the image: a `Name` made of a literal.
fn names_inside(world: &World, inside: &dyn Fn(usize) -> bool) -> usize {
    let Some(mut names) = world.try_query::<&Name>() else {
        return 0;
    };
    let all = names.iter(world);
    all.filter(|name| inside(name.as_str().as_ptr().addr()))
        .count()
}
