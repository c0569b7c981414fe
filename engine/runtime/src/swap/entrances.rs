//! States that versions enter at the swap, as the code of some kinds has to.

use std::sync::Arc;

use engine_api::function::FunctionRegistration;

use super::{Incoming, Refusal};
use crate::backend::Entrance;

/// Entries that were made. Dropped before they are committed, they are undone.
pub(super) struct Entries {
    made: Vec<Arc<dyn Entrance>>,
    /// What each version of the group offers since.
    functions: Vec<Vec<FunctionRegistration>>,
}

impl Entries {
    /// Has versions enter their states, those of one state together.
    ///
    /// # Errors
    /// Why one of them could not; then none has.
    pub(super) fn make(group: &[Incoming]) -> Result<Self, Refusal> {
        let mut entries = Self {
            made: Vec::new(),
            functions: group.iter().map(|_| Vec::new()).collect(),
        };
        for new in group {
            let Some((entrance, _)) = &new.entrance else {
                continue;
            };
            if entries.made.iter().any(|made| Arc::ptr_eq(made, entrance)) {
                continue;
            }
            let members = group.iter().enumerate().filter_map(|(index, other)| {
                let (own, code) = other.entrance.as_ref()?;
                let version = (*code, other.key.number);
                Arc::ptr_eq(own, entrance).then_some((index, version))
            });
            let (members, versions): (Vec<usize>, Vec<(u64, u32)>) = members.unzip();
            let offered = entrance.enter(&versions).map_err(|(culprit, message)| {
                let module = members.get(culprit).map(|index| &group[*index].module);
                Refusal {
                    module: module.cloned(),
                    message,
                }
            })?;
            entries.made.push(entrance.clone());
            for (index, functions) in members.into_iter().zip(offered) {
                entries.functions[index] = functions;
            }
        }
        Ok(entries)
    }

    /// What the versions offer since, in their order.
    pub(super) fn take_functions(&mut self) -> Vec<Vec<FunctionRegistration>> {
        std::mem::take(&mut self.functions)
    }

    /// The versions are active.
    pub(super) fn commit(mut self) {
        for made in self.made.drain(..) {
            made.commit();
        }
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        for made in self.made.drain(..).rev() {
            made.undo();
        }
    }
}
