//! Hosts that died, and the state that the next one begins with.

use inspector_protocol::status::EngineStatus;

use super::Run;
use crate::state::State;

impl Run<'_> {
    /// Waits until all that is now is in a checkpoint.
    pub fn await_checkpoint(&mut self) {
        self.counter = self.engine().number("counter");
        self.engine().next_checkpoint();
        self.saved = vec![self.state.clone()];
    }

    /// A new host has taken the place of `before` after its death, on code that it begins with.
    pub fn host_died(&mut self, before: &EngineStatus, generation: u32) {
        let (from, to) = (self.code().clone(), self.code_of(generation).clone());
        let saved = std::mem::take(&mut self.saved);
        let carried = saved.iter().map(|state| state.carried(&from, &to));
        let candidates = carried
            .map(|state| state.expect("the model chose it"))
            .collect();
        self.host_died_with(before, generation, candidates, 1);
    }

    /// The same with the states that may come back, oldest first, and how many hosts may have
    /// died one after the other.
    pub fn host_died_with(
        &mut self,
        before: &EngineStatus,
        generation: u32,
        candidates: Vec<State>,
        most: usize,
    ) {
        let after = self.engine().next_host(before);
        let restart = after.restart.expect("it was restarted");
        self.trace(format!(
            "   restarted: {} {:?}",
            restart.reason, restart.checkpoint
        ));
        self.running = generation;
        self.has_replaced = false;
        self.await_ticks();
        let inventory = self.engine().text("inventory");
        let found = candidates
            .iter()
            .rposition(|state| state.shown(self.code()) == inventory);
        let Some(found) = found else {
            let last = candidates.last().map(|state| state.shown(self.code()));
            panic!(
                "after {}\nthe state is\n{inventory}\nand must be one of {}, the last of which \
                 is\n{}",
                restart.reason,
                candidates.len(),
                last.unwrap_or_default()
            );
        };
        self.state = candidates[found].clone();
        self.saved = vec![self.state.clone()];
        let counter = self.engine().number("counter");
        let least = self.counter;
        assert!(
            counter >= least,
            "the game counts {counter} frames after {least}"
        );
        // Beyond the frame of the death, so that the next one does not count as the same.
        if let Some(checkpoint) = restart.checkpoint {
            let lost = checkpoint.age_ms * u64::from(self.settings.frame_rate) / 1000;
            self.engine().run_frames(lost + 2);
        }
        let deaths = self.died() - self.deaths;
        assert!(
            (1..=most).contains(&deaths),
            "{deaths} hosts died, not 1 to {most}"
        );
        self.deaths += deaths;
    }

    /// Hosts of this engine that have died.
    pub(super) fn died(&self) -> usize {
        let lines = self.engine().log.since(0);
        let is_death = |line: &&String| line.starts_with("[ERROR] The host died");
        lines.iter().filter(is_death).count()
    }
}
