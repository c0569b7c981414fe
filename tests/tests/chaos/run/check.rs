//! Comparing the engine with the model, and looking at what is left behind.

use inspector_protocol::status::{HostState, Status, VersionState};
use liveloop_tests::engine::states;
use liveloop_tests::process::{descriptors, threads};

use super::Run;
use crate::code::Fault;

/// Threads and descriptors that may come with work: workers, clients that are not gone yet.
const SLACK: usize = 6;

impl Run<'_> {
    /// Compares everything.
    pub fn check(&mut self) {
        let engine = self.engine();
        let generation = engine.number("generation");
        assert_eq!(generation, i64::from(self.running), "another code runs");
        let (inventory, expected) = (engine.text("inventory"), self.state.shown(self.code()));
        assert!(
            inventory == expected,
            "the state is\n{inventory}\nand must be\n{expected}"
        );
        engine.wait("the level", |_| {
            (engine.number("level") == i64::from(self.level)).then_some(())
        });
        assert_eq!(self.died(), self.deaths, "hosts died");
        let is_paused = self.code().fault == Some(Fault::Panic);
        let has_problems = self.is_broken || self.is_refused || is_paused;
        let entities = self.state.entities.len() as u64;
        let what = format!("problems: {has_problems}, {entities} entities");
        let status = engine.wait(&what, |status| {
            let is_it = status.problems.is_empty() != has_problems
                && status.world.entities == entities
                && status.engine.host == HostState::Running;
            is_it.then(|| status.clone())
        });
        let active = |(_, state): &(u32, VersionState)| *state == VersionState::Active;
        let active = states(&status).into_iter().filter(active).count();
        assert_eq!(active, 1, "{:#?}", status.modules);
        let lines = engine.log.since(0);
        let bug = lines.iter().find(|line| line.contains("this is a bug"));
        assert_eq!(bug, None);
        let counter = engine.number("counter");
        engine.wait("that the game goes on", |_| {
            (engine.number("counter") > counter).then_some(())
        });
    }

    /// Versions that are left are unloaded, and neither process holds more than before.
    pub fn look_for_leaks(&mut self) {
        self.release();
        let engine = self.engine();
        let status = engine.wait("that only the active version is left", |status| {
            is_settled(status).then(|| status.clone())
        });
        let (host, pid) = (status.engine.run_id, status.engine.host_pid);
        let pid = pid.expect("a host runs");
        let of = |pid| [threads(pid), descriptors(pid)];
        let now = || {
            let (supervisor, host) = (of(engine.pid), of(pid));
            [supervisor[0], supervisor[1], host[0], host[1]]
        };
        match &self.holdings {
            Some((before, most)) if *before == host => {
                let most = most.map(|count| count + SLACK);
                let what = format!("at most {most:?} threads and descriptors, not {:?}", now());
                engine.wait(&what, |_| {
                    let all = now().into_iter().zip(most);
                    all.into_iter().all(|(now, most)| now <= most).then_some(())
                });
            }
            _ => self.holdings = Some((host, now())),
        }
    }
}

/// Whether every version but the active one has left the process.
fn is_settled(status: &Status) -> bool {
    let mut states = states(status).into_iter();
    states.all(|(_, state)| {
        use VersionState::{Active, Quarantined, Rejected, Unloaded};
        matches!(state, Active | Unloaded | Rejected | Quarantined)
    })
}
