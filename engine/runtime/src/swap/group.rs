//! Versions that are swapped together: their types, each once, and what is said when one of
//! them keeps all of them out.

use engine_api::state::StateType;

use crate::state::{KeptType, is_alike};

/// Why versions do not get in. Nothing that runs has changed then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The module that is to blame; `None` if it cannot be told, or is all of them.
    pub module: Option<String>,
    /// Why, for people.
    pub message: String,
}

impl Refusal {
    /// One module's.
    pub(crate) fn of(module: &str, message: impl Into<String>) -> Self {
        Self {
            module: Some(module.to_owned()),
            message: message.into(),
        }
    }

    /// What is said about one of the `group` that was refused.
    pub fn message_for(&self, module: &str, group: &[String]) -> String {
        match &self.module {
            Some(culprit) if culprit != module => format!(
                "`{culprit}` was refused, so {}: {}",
                keep_running(group),
                self.message
            ),
            _ if group.len() > 1 => format!("{}; {}", self.message, keep_running(group)),
            _ => self.message.clone(),
        }
    }
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self {
            module: None,
            message,
        }
    }
}

/// `` `core` and `ai` keep running ``
pub fn keep_running(group: &[String]) -> String {
    let names: Vec<String> = group.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "nothing changes".to_owned(),
        [one] => format!("{one} keeps running"),
        [first @ .., last] => format!("{} and {last} keep running", first.join(", ")),
    }
}

/// The types of several versions, each once.
#[derive(Default)]
pub(super) struct GroupTypes {
    /// All of them, as the first version that registers one knows it.
    pub(super) types: Vec<(StateType, KeptType)>,
    /// Which of them each module registers.
    pub(super) registered: Vec<(String, Vec<usize>)>,
    /// For each module those that only it, or it first, registers.
    pub(super) own: Vec<Vec<usize>>,
    /// For each module the types that another one brought already.
    spare: Vec<Vec<StateType>>,
}

impl GroupTypes {
    /// Adds the types of one version.
    ///
    /// # Errors
    /// If it has a type from another build than a version before.
    pub(super) fn add(
        &mut self,
        module: &str,
        types: Vec<StateType>,
        kept: Vec<KeptType>,
    ) -> Result<(), Refusal> {
        let (mut indices, mut own, mut spare) = (Vec::new(), Vec::new(), Vec::new());
        for (new, kept) in types.into_iter().zip(kept) {
            let is_it = |(known, _): &(StateType, KeptType)| {
                (known.kind, &known.schema.path) == (new.kind, &new.schema.path)
            };
            let Some(index) = self.types.iter().position(is_it) else {
                indices.push(self.types.len());
                own.push(self.types.len());
                self.types.push((new, kept));
                continue;
            };
            if !is_alike(&self.types[index].0, &new) {
                return Err(Refusal::of(
                    module,
                    format!(
                        "{} `{}` is from another build here than in the modules that it is \
                         swapped with; build all of them again",
                        new.kind.name(),
                        new.schema.path
                    ),
                ));
            }
            indices.push(index);
            spare.push(new);
        }
        self.registered.push((module.to_owned(), indices));
        self.own.push(own);
        self.spare.push(spare);
        Ok(())
    }

    /// What each version brought, in their order.
    pub(super) fn into_parts(self) -> impl Iterator<Item = Vec<StateType>> {
        let mut parts = self.spare;
        let mut types: Vec<_> = self.types.into_iter().map(Some).collect();
        for (part, own) in parts.iter_mut().zip(self.own) {
            let own = own.into_iter().filter_map(|index| types[index].take());
            part.extend(own.map(|(state, _)| state));
        }
        parts.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_of_a_group_is_told_who_keeps_it_out() {
        let group = ["core".to_owned(), "ai".to_owned(), "ui".to_owned()];
        let refusal = Refusal::of("ai", "it panicked");
        assert_eq!(
            refusal.message_for("core", &group),
            "`ai` was refused, so `core`, `ai` and `ui` keep running: it panicked"
        );
        assert_eq!(
            refusal.message_for("ai", &group[..2]),
            "it panicked; `core` and `ai` keep running"
        );
        assert_eq!(refusal.message_for("ai", &group[1..2]), "it panicked");
        let nobody = Refusal::from("the world is full".to_owned());
        assert_eq!(
            nobody.message_for("core", &group[..2]),
            "the world is full; `core` and `ai` keep running"
        );
        assert_eq!(keep_running(&group[..1]), "`core` keeps running");
        assert_eq!(keep_running(&[]), "nothing changes");
    }
}
