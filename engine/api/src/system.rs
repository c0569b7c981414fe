//! Turning functions into systems with order and conditions.
//!
//! Systems of a stage run one after the other, in the order in which modules
//! register them; a tuple is in order from left to right. `before` and `after`
//! move a system, `run_if` lets it run only sometimes. The commands of a system
//! are applied before the next one starts.
//!
//! The names are those of bevy_ecs, the machinery is not: putting a system into
//! a bevy `Schedule` interns a label of the module's own type for ever, which
//! would keep the module's code mapped for ever.

use std::any::{TypeId, type_name};
use std::time::Duration;

use bevy_ecs::schedule::{BoxedCondition, SystemCondition};
use bevy_ecs::system::{BoxedSystem, IntoSystem, System};
use bevy_ecs::world::World;

use crate::input::Key;
use crate::keep;

/// A system and everything that says when it runs.
pub struct SystemConfig {
    /// Path of the function: `game_logic::movement::steer`.
    pub name: String,
    /// Identity of the function within its version.
    pub key: TypeId,
    /// The system.
    pub system: BoxedSystem,
    /// All must hold for it to run.
    pub conditions: Vec<BoxedCondition>,
    /// What makes it run, beside the conditions.
    pub trigger: Trigger,
    /// Systems of the same stage that must run after it.
    pub before: Vec<TypeId>,
    /// Systems of the same stage that must run before it.
    pub after: Vec<TypeId>,
    /// Which of the module's systems of this name it is, from 1. Closures of one function have
    /// one name, and a function may be registered more than once.
    pub occurrence: usize,
    /// Types of the function's parameters as the compiler writes them.
    pub parameters: String,
}

impl SystemConfig {
    /// Initialises the system and its conditions for a world: registers what they use, and puts
    /// what the system keeps into the world (see [`crate::keep`]).
    ///
    /// # Panics
    /// If parameters of the system conflict, or if code of the module panics, which makes the
    /// initial values of `Local` and `Keep` here.
    pub fn initialize(&mut self, world: &mut World) {
        let name = keep_name(&self.name, self.occurrence);
        keep::naming(&name, || self.system.initialize(world));
        for (index, condition) in self.conditions.iter_mut().enumerate() {
            let name = format!("{name}?{index}");
            keep::naming(&name, || condition.initialize(world));
        }
    }

    /// Types of the system's own `Local` parameters, whose values do not survive a reload:
    /// `["u32"]`. Does not see those inside of parameters that are made of others.
    ///
    /// For advice to people: it goes by the names that the compiler writes.
    pub fn locals(&self) -> Vec<&str> {
        arguments_of("bevy_ecs::system::system_param::Local<", &self.parameters)
    }

    /// Types of the messages that the system reads through parameters of bevy's own, which hear
    /// what is queued again after a reload: `["game::Hit"]`. As for [`locals`](Self::locals).
    pub fn forgetful_readers(&self) -> Vec<&str> {
        const READERS: [&str; 3] = [
            "bevy_ecs::message::message_reader::MessageReader<",
            "bevy_ecs::message::message_reader::PopulatedMessageReader<",
            "bevy_ecs::message::message_mutator::MessageMutator<",
        ];
        let found = READERS.map(|reader| arguments_of(reader, &self.parameters));
        found.concat()
    }
}

/// What the kept values of a system or observer are named by.
pub(crate) fn keep_name(name: &str, occurrence: usize) -> String {
    match occurrence {
        0 | 1 => name.to_owned(),
        _ => format!("{name}@{occurrence}"),
    }
}

/// The last argument of each generic type in `types` that begins like `generic`.
fn arguments_of<'t>(generic: &str, types: &'t str) -> Vec<&'t str> {
    let found = types.match_indices(generic).filter_map(|(at, _)| {
        let mut inner = &types[at + generic.len()..];
        // Compilers write lifetimes or leave them out.
        while inner.starts_with('\'') {
            inner = inner.split_once(", ")?.1;
        }
        let mut depth = 1_usize;
        let end = inner.char_indices().find_map(|(index, character)| {
            match character {
                '<' | '(' | '[' => depth += 1,
                // Not the arrow of a function pointer.
                '>' if inner[..index].ends_with('-') => {}
                '>' | ')' | ']' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(index)
        })?;
        Some(&inner[..end])
    });
    found.collect()
}

/// What makes a system run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Every frame.
    Frame,
    /// A timer of game time.
    Every(Duration),
    /// A key that went down in this frame.
    Pressed(Key),
}

/// Systems in order.
pub struct SystemConfigs(pub(crate) Vec<SystemConfig>);

impl SystemConfigs {
    /// The systems, in order.
    pub fn into_vec(self) -> Vec<SystemConfig> {
        self.0
    }

    /// Gives every system another name than that of its function, for those that are made for
    /// code of other languages.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        for config in &mut self.0 {
            name.clone_into(&mut config.name);
        }
        self
    }

    /// Makes every system run on `trigger` only.
    #[must_use]
    pub(crate) fn triggered(mut self, trigger: Trigger) -> Self {
        for config in &mut self.0 {
            config.trigger = trigger;
        }
        self
    }
}

/// Everything that can be put into a stage: functions, closures and tuples of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not describe systems",
    note = "a system is a function whose parameters are system parameters (`Query`, `Res`, \
            `Commands`, ...); a tuple of systems works too"
)]
pub trait IntoSystems<Marker>: Sized {
    /// The systems, in order.
    fn into_systems(self) -> SystemConfigs;

    /// Runs only when `condition` holds; with several systems it is asked for each.
    fn run_if<M>(self, condition: impl SystemCondition<M> + Clone) -> SystemConfigs {
        let mut configs = self.into_systems();
        for config in &mut configs.0 {
            config
                .conditions
                .push(Box::new(IntoSystem::into_system(condition.clone())));
        }
        configs
    }

    /// Runs before `other`, a system of the same stage and module.
    fn before<M>(self, other: impl IntoSystem<(), (), M>) -> SystemConfigs {
        let mut configs = self.into_systems();
        let key = IntoSystem::into_system(other).system_type();
        for config in &mut configs.0 {
            config.before.push(key);
        }
        configs
    }

    /// Runs after `other`, a system of the same stage and module.
    fn after<M>(self, other: impl IntoSystem<(), (), M>) -> SystemConfigs {
        let mut configs = self.into_systems();
        let key = IntoSystem::into_system(other).system_type();
        for config in &mut configs.0 {
            config.after.push(key);
        }
        configs
    }

    /// Keeps the systems in this order, whatever `before` and `after` say of others.
    fn chain(self) -> SystemConfigs {
        let mut configs = self.into_systems();
        for index in 1..configs.0.len() {
            let previous = configs.0[index - 1].key;
            configs.0[index].after.push(previous);
        }
        configs
    }
}

impl IntoSystems<()> for SystemConfigs {
    fn into_systems(self) -> SystemConfigs {
        self
    }
}

#[doc(hidden)]
pub struct SystemMarker;

impl<F, M> IntoSystems<(SystemMarker, M)> for F
where
    F: IntoSystem<(), (), M>,
{
    fn into_systems(self) -> SystemConfigs {
        let system = IntoSystem::into_system(self);
        SystemConfigs(vec![SystemConfig {
            name: type_name::<F>().to_owned(),
            key: system.system_type(),
            system: Box::new(system),
            conditions: Vec::new(),
            trigger: Trigger::Frame,
            before: Vec::new(),
            after: Vec::new(),
            occurrence: 1,
            parameters: type_name::<M>().to_owned(),
        }])
    }
}

#[doc(hidden)]
pub struct TupleMarker;

macro_rules! tuples {
    ($($part:ident $marker:ident $value:ident),+) => {
        impl<$($part, $marker),+> IntoSystems<(TupleMarker, $($marker,)+)> for ($($part,)+)
        where
            $($part: IntoSystems<$marker>),+
        {
            fn into_systems(self) -> SystemConfigs {
                let ($($value,)+) = self;
                let mut all = Vec::new();
                $(all.extend($value.into_systems().0);)+
                SystemConfigs(all)
            }
        }
    };
}
tuples!(A MA a);
tuples!(A MA a, B MB b);
tuples!(A MA a, B MB b, C MC c);
tuples!(A MA a, B MB b, C MC c, D MD d);
tuples!(A MA a, B MB b, C MC c, D MD d, E ME e);
tuples!(A MA a, B MB b, C MC c, D MD d, E ME e, F MF f);
tuples!(A MA a, B MB b, C MC c, D MD d, E ME e, F MF f, G MG g);
tuples!(A MA a, B MB b, C MC c, D MD d, E ME e, F MF f, G MG g, H MH h);
tuples!(A MA a, B MB b, C MC c, D MD d, E ME e, F MF f, G MG g, H MH h, I MI i);
tuples!(A MA a, B MB b, C MC c, D MD d, E ME e, F MF f, G MG g, H MH h, I MI i, J MJ j);
tuples!(A MA a, B MB b, C MC c, D MD d, E ME e, F MF f, G MG g, H MH h, I MI i, J MJ j, K MK k);
tuples!(A MA a, B MB b, C MC c, D MD d, E ME e, F MF f, G MG g, H MH h, I MI i, J MJ j, K MK k, L ML l);

/// Puts `before` and `after` into effect: the order stays as registered except
/// where a system must move. Keys of systems that are not there are ignored.
///
/// # Errors
/// The names of the systems of a cycle, in the order they were registered.
pub fn sort_systems(systems: Vec<SystemConfig>) -> Result<Vec<SystemConfig>, Vec<String>> {
    // Kahn's algorithm, always taking the first system that is ready.
    let count = systems.len();
    let mut waits_for = vec![Vec::new(); count];
    for (index, system) in systems.iter().enumerate() {
        for (other, candidate) in systems.iter().enumerate() {
            if other == index {
                continue;
            }
            if system.after.contains(&candidate.key) {
                waits_for[index].push(other);
            }
            if system.before.contains(&candidate.key) {
                waits_for[other].push(index);
            }
        }
    }
    let mut slots: Vec<Option<SystemConfig>> = systems.into_iter().map(Some).collect();
    let mut done = vec![false; count];
    let mut sorted = Vec::with_capacity(count);
    while sorted.len() < count {
        let ready =
            (0..count).find(|&index| !done[index] && waits_for[index].iter().all(|&w| done[w]));
        let Some(index) = ready else {
            return Err(slots
                .into_iter()
                .flatten()
                .map(|system| system.name)
                .collect());
        };
        done[index] = true;
        sorted.extend(slots[index].take());
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Children, Commands, Local, ParamSet, Query};

    fn first() {}
    fn second() {}
    fn third() {}

    fn names(configs: SystemConfigs) -> Result<Vec<String>, Vec<String>> {
        let name = |system: &SystemConfig| {
            system
                .name
                .rsplit("::")
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        sort_systems(configs.into_vec()).map(|systems| systems.iter().map(name).collect())
    }

    #[test]
    fn order_is_as_registered_unless_a_system_must_move() {
        let check = |configs: SystemConfigs, expected: &[&str]| {
            assert_eq!(names(configs).unwrap(), expected);
        };
        check(
            (first, second, third).into_systems(),
            &["first", "second", "third"],
        );
        check(
            (first.after(third), second, third).into_systems(),
            &["second", "third", "first"],
        );
        check(
            (first, second, third.before(first)).into_systems(),
            &["second", "third", "first"],
        );
        check(
            (first, (second, third).chain()).into_systems(),
            &["first", "second", "third"],
        );
    }

    type Callback = Option<fn(u8) -> [u8; 2]>;
    fn locals(
        _: Local<u32>,
        _: Query<&Children>,
        _: Local<Callback>,
        _: ParamSet<(Commands, Local<bool>)>,
    ) {
    }

    #[test]
    fn locals_are_seen() {
        let found = |configs: SystemConfigs| {
            let system = configs.into_vec().remove(0);
            system.locals().join("; ")
        };
        assert_eq!(
            found(locals.into_systems()),
            "u32; core::option::Option<fn(u8) -> [u8; 2]>; bool"
        );
        assert_eq!(found(first.into_systems()), "");
    }

    fn reads(
        _: crate::prelude::MessageReader<Said>,
        _: bevy_ecs::message::MessageReader<Said>,
        _: Query<&Children>,
        _: bevy_ecs::message::MessageMutator<Said>,
    ) {
    }

    #[derive(bevy_ecs::message::Message)]
    struct Said;

    #[test]
    fn readers_of_bevy_are_seen() {
        let system = reads.into_systems().into_vec().remove(0);
        let said = type_name::<Said>();
        assert_eq!(system.forgetful_readers(), [said, said]);
        assert!(system.locals().is_empty());
    }

    #[test]
    fn a_cycle_names_its_systems() {
        let cycle = (first.after(second), second.after(first)).into_systems();
        let names = names(cycle).unwrap_err();
        assert_eq!(names.len(), 2);
        assert!(names[0].ends_with("first") && names[1].ends_with("second"));
    }
}
