//! One version of a Lua module as the registry holds it.

use std::sync::Arc;

use engine_runtime::backend::CodeHandle;

use super::stage::Stage;

/// Keeps one version known to the stage.
pub(super) struct LuaCode {
    number: u64,
    stage: Arc<Stage>,
}

impl LuaCode {
    pub(super) fn new(number: u64, stage: Arc<Stage>) -> Self {
        Self { number, stage }
    }
}

impl CodeHandle for LuaCode {
    fn contains(&self, _: usize) -> bool {
        // No machine code of its own.
        false
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn pinned_by(&self) -> Vec<String> {
        let left = self.stage.left(&[self.number]).remove(&self.number);
        let named = left.unwrap_or_default().into_iter();
        named
            .map(|function| format!("`{function}` can still be called"))
            .collect()
    }

    fn give_back(&self) {}

    fn close(&mut self, _: bool) {
        self.stage.close(self.number);
    }

    fn is_gone(&mut self) -> bool {
        self.stage.left(&[self.number]).is_empty()
    }
}
