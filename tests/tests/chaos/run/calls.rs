//! Calls: those that change the state, in the game and in the model, and those that last.

use std::fs;

use inspector_protocol::message::Answer;
use liveloop_tests::engine::RunningCall;

use super::Run;
use crate::code::{EXTRA, ITEM};
use crate::random::Random;

/// A call that waits for a file.
pub(super) struct Held {
    call: RunningCall,
    file: String,
    generation: u32,
    /// The host it runs in.
    host: String,
}

impl Run<'_> {
    /// Changes the state a little, by calls.
    pub fn play(&mut self, random: &mut Random) {
        for _ in 0..random.below(4) {
            self.call_something(random);
        }
    }

    fn call_something(&mut self, random: &mut Random) {
        let ids: Vec<u32> = self.state.entities.keys().copied().collect();
        let kind = random.below(10);
        if kind < 3 || ids.is_empty() {
            return self.spawn(random);
        }
        let (id, salt) = (random.pick(&ids), random.below(1000) as u32);
        let has_extra = self.state.entities[&id].components[EXTRA].live.is_some();
        let (at, with) = (id.to_string(), salt.to_string());
        let code = self.code().clone();
        match kind {
            3 | 4 => {
                self.call("change", &[&at, &with]);
                self.state.fill(&code, id, ITEM, salt);
                if has_extra {
                    self.state.fill(&code, id, EXTRA, salt);
                }
            }
            5 if has_extra && code.shapes[EXTRA].is_registered => {
                self.call("strip", &[&at]);
                let entity = self.state.entities.get_mut(&id).expect("it was chosen");
                entity.components[EXTRA].live = None;
            }
            5 if !has_extra => {
                self.call("dress", &[&at, &with]);
                self.state.fill(&code, id, EXTRA, salt);
            }
            6 => {
                self.call("despawn", &[&at]);
                self.state.entities.remove(&id);
                self.state.ticks.removed += 1;
            }
            7 => {
                self.call("stock", &[&with]);
                self.state.stock(&code, salt);
            }
            _ => {
                let frames = 1 + random.below(20) as u64;
                self.call("tick", &[&frames.to_string()]);
                self.await_ticks();
                self.state.ticks.done += frames;
                self.state.ticks.sum += frames * code.step;
            }
        }
        self.saved.push(self.state.clone());
    }

    pub(super) fn spawn(&mut self, random: &mut Random) {
        let (id, salt) = (self.next_id, random.below(1000) as u32);
        self.next_id += 1;
        let with_extra = random.chance(60);
        let arguments = [id.to_string(), salt.to_string(), with_extra.to_string()];
        let result = self.call("spawn", &arguments.each_ref().map(String::as_str));
        let bits = result.as_u64().expect("an entity is a number");
        let code = self.code().clone();
        self.state.spawn(&code, id, salt, with_extra, bits);
        self.saved.push(self.state.clone());
    }

    fn call(&mut self, function: &str, arguments: &[&str]) -> serde_json::Value {
        self.trace(format!("   {function} {}", arguments.join(" ")));
        self.engine().call(function, arguments)
    }

    /// Waits until all frames are counted that are to be, and heard of.
    pub(super) fn await_ticks(&self) {
        let engine = self.engine();
        engine.wait("the last tick", |_| {
            (engine.number("left") == 0).then_some(())
        });
    }

    /// Begins a call that lasts until [`Run::release`].
    pub fn hold(&mut self) {
        let path = self.scratch.temporary.join(format!("open-{}", self.holds));
        self.holds += 1;
        let file = path.display().to_string();
        let call = self.engine().begin_call("hold", &[&format!("{file:?}")]);
        let count = 1 + self
            .held
            .iter()
            .filter(|held| held.host == self.host())
            .count();
        self.engine().wait("the call", |status| {
            let holds = status.calls.iter().filter(|call| call.function == "hold");
            (holds.count() == count).then_some(())
        });
        let (generation, host) = (self.running, self.host());
        self.trace(format!("   g{generation} is held"));
        self.held.push(Held {
            call,
            file,
            generation,
            host,
        });
    }

    pub fn holds(&self) -> usize {
        self.held.len()
    }

    /// Ends all of them: each with the code that it began with.
    pub fn release(&mut self) {
        let host = self.host();
        for held in std::mem::take(&mut self.held) {
            fs::write(&held.file, "").expect("a file can be made");
            let answer = held.call.answer();
            let is_right = match &answer {
                Answer::Value(value) => held.host == host && *value == held.generation.to_string(),
                Answer::Error(_) => held.host != host,
                _ => false,
            };
            assert!(is_right, "a call of g{} gave {answer:?}", held.generation);
        }
    }

    /// Forgets those that ended with their engine.
    pub fn forget_holds(&mut self) {
        self.held.clear();
    }

    fn host(&self) -> String {
        self.engine().dump().engine.run_id
    }
}
