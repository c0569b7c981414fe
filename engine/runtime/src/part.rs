//! What the engine runs of a version besides its systems, observers and functions: those are
//! numbered from zero in a [`CallId`], these from the other end.

use crate::call::CallId;

/// A part of a version that no name was registered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The module function, constructors, and what it takes to prepare systems.
    Setup,
    /// The hook of that name.
    OnLoad,
    /// The hook of that name.
    AfterReload,
    /// The hook of that name.
    OnUnload,
    /// Values are made, carried over or dropped.
    Values,
    /// Assets are parsed and applied.
    Assets,
    /// Results of jobs are delivered.
    Results,
}

impl Part {
    const ALL: [Self; 7] = [
        Self::Setup,
        Self::OnLoad,
        Self::AfterReload,
        Self::OnUnload,
        Self::Values,
        Self::Assets,
        Self::Results,
    ];

    /// The call of this part of the version with a process-wide id.
    pub fn of(self, version: u32) -> CallId {
        CallId::new(version, u32::MAX - self as u32)
    }

    /// The part that the number of a function stands for, if it stands for one.
    pub fn numbered(function: u32) -> Option<Self> {
        Self::ALL.get((u32::MAX - function) as usize).copied()
    }

    /// The part with a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// What it is called where functions are listed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::OnLoad => "on_load",
            Self::AfterReload => "after_reload",
            Self::OnUnload => "on_unload",
            Self::Values => "values",
            Self::Assets => "assets",
            Self::Results => "job results",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_again_by_its_number() {
        for part in Part::ALL {
            let id = part.of(7);
            assert_eq!(id.version(), 7);
            assert_eq!(Part::numbered(id.function()), Some(part));
            assert_eq!(Part::named(part.name()), Some(part));
        }
        assert_eq!(Part::numbered(0), None);
        assert_eq!(Part::numbered(u32::MAX - 7), None);
    }
}
