//! The engine beside the model: what both are told, and comparing them.

mod calls;
mod check;
mod hosts;

use std::fs;

use inspector_protocol::status::{HostState, ReloadOutcome, ReloadStatus};
use liveloop_tests::cases::CASES;
use liveloop_tests::engine::Engine;
use liveloop_tests::scratch::Scratch;

use calls::Held;

use crate::code::Code;
use crate::random::Random;
use crate::state::State;

/// Where the settings of a run are.
pub const SETTINGS: &str = "assets/settings.ron";

/// The asset.
pub const ASSET: &str = "assets/chaos.ron";

/// As many artifacts are kept, to come back later.
const ARTIFACTS: usize = 4;

/// As many builds does the engine remember to go back to.
const REMEMBERED: usize = 8;

/// Settings of the engine.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether a version that replaced another one is young for as long as it runs; else never.
    pub stays_young: bool,
    /// Whether a version that panics is rolled back, whatever its age.
    pub panics_roll_back: bool,
    pub frame_rate: u32,
}

/// Both sides of a run.
pub struct Run<'s> {
    pub scratch: &'s Scratch,
    engine: Option<Engine<'s>>,
    pub settings: Settings,
    /// All states of the source, by generation, beginning with 1.
    codes: Vec<Code>,
    /// Whose code runs.
    pub running: u32,
    /// Builds that got in, oldest first, without those left: the last one is what a new host
    /// begins with.
    pub applied: Vec<u32>,
    /// Whether what runs has replaced another version in its host.
    pub has_replaced: bool,
    pub state: State,
    /// States that a new host may begin with, oldest first; the last is that of now.
    saved: Vec<State>,
    /// Whether the newest source does not compile.
    pub is_broken: bool,
    /// Whether something that was built did not get in, or failed.
    pub is_refused: bool,
    pub level: u32,
    artifacts: Vec<(u32, Vec<u8>)>,
    held: Vec<Held>,
    /// How many calls were held; names their files.
    holds: usize,
    next_id: u32,
    /// Lines that say that a host died.
    deaths: usize,
    /// What the game had counted when all that was in a checkpoint.
    counter: i64,
    /// Threads and descriptors of supervisor and host, with the host's name.
    holdings: Option<(String, [usize; 4])>,
    trace: Vec<String>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::tell(&format!("what was done:\n{}", self.trace.join("\n")));
        }
    }
}

impl<'s> Run<'s> {
    /// Starts the engine on the first code.
    pub fn start(scratch: &'s Scratch, random: &mut Random) -> Self {
        let first = Code::first();
        let mut run = Self {
            scratch,
            engine: None,
            settings: Settings::draw(random),
            running: first.generation,
            applied: Vec::new(),
            has_replaced: false,
            state: State::first(&first),
            saved: Vec::new(),
            is_broken: false,
            is_refused: false,
            level: 1,
            artifacts: Vec::new(),
            held: Vec::new(),
            holds: 0,
            next_id: 1,
            deaths: 0,
            counter: 0,
            holdings: None,
            codes: vec![first],
            trace: Vec::new(),
        };
        scratch.save(CASES, &run.code().source());
        scratch.save(ASSET, "(level: 1)");
        run.start_engine(&[]);
        for _ in 0..5 {
            run.spawn(random);
        }
        run
    }

    /// Starts an engine with the settings; what it builds is what `running` says.
    pub fn start_engine(&mut self, arguments: &[&str]) {
        self.scratch.save(SETTINGS, &self.settings.text());
        let arguments = [&["--config", SETTINGS], arguments].concat();
        self.engine = Some(Engine::start_with(self.scratch, &arguments));
        self.applied = vec![self.running];
        self.has_replaced = false;
        (self.is_broken, self.is_refused) = (false, false);
        self.deaths = 0;
        self.holdings = None;
        self.saved = vec![self.state.clone()];
    }

    pub fn engine(&self) -> &Engine<'s> {
        self.engine.as_ref().expect("an engine runs between steps")
    }

    /// The engine, which the caller ends.
    pub fn take_engine(&mut self) -> Engine<'s> {
        self.engine.take().expect("an engine runs between steps")
    }

    /// Notes something for when the run fails.
    pub fn trace(&mut self, line: String) {
        self.trace.push(line);
    }

    // Code.

    /// What runs.
    pub fn code(&self) -> &Code {
        self.code_of(self.running)
    }

    pub fn code_of(&self, generation: u32) -> &Code {
        &self.codes[generation as usize - 1]
    }

    /// An edit of what runs, or now and then of something older.
    pub fn edit(&self, random: &mut Random) -> Code {
        let older = &self.codes[random.below(self.codes.len())];
        let is_older = random.chance(15) && older.knows(self.code());
        let base = if is_older { older } else { self.code() };
        base.edited(self.codes.len() as u32 + 1, random)
    }

    /// Saves some code and waits for what becomes of it.
    pub fn save(&mut self, code: Code) -> ReloadStatus {
        let seq = self.engine().last_reload();
        self.save_only(code);
        self.reload_after(seq)
    }

    /// Saves some code.
    pub fn save_only(&mut self, code: Code) {
        self.trace(format!("   g{} is saved: {code:?}", code.generation));
        self.scratch.save(CASES, &code.source());
        self.codes.push(code);
    }

    /// Waits until some code runs, whatever happens to hosts meanwhile.
    pub fn await_code(&self, generation: u32) {
        let engine = self.engine();
        engine.wait("the newest code", |status| {
            let is_running = status.engine.host == HostState::Running;
            let found = engine.try_call("generation", &[]);
            (is_running && found == Ok(generation.into())).then_some(())
        });
    }

    pub fn save_text(&mut self, text: &str) -> ReloadStatus {
        let seq = self.engine().last_reload();
        self.scratch.save(CASES, text);
        self.reload_after(seq)
    }

    pub fn reload_after(&mut self, seq: u64) -> ReloadStatus {
        let reload = self.engine().reload_after(seq);
        self.trace(format!("   {:?} {}", reload.outcome, reload.message));
        reload
    }

    /// Saves code that gets in.
    pub fn apply(&mut self, code: Code) {
        let generation = code.generation;
        let reload = self.save(code);
        assert_eq!(reload.outcome, ReloadOutcome::Applied, "{reload:#?}");
        self.has_applied(generation);
        let bytes = fs::read(self.scratch.library()).expect("the library is there");
        self.artifacts.push((generation, bytes));
        let excess = self.artifacts.len().saturating_sub(ARTIFACTS);
        self.artifacts.drain(..excess);
    }

    /// Other code is there when the engine is started.
    pub fn edited_meanwhile(&mut self, code: Code) {
        let generation = code.generation;
        self.trace(format!("   g{generation} meanwhile: {code:?}"));
        self.codes.push(code);
        self.swapped(generation);
    }

    /// A build got in.
    pub fn has_applied(&mut self, generation: u32) {
        self.swapped(generation);
        self.applied.pop_if(|last| *last == generation);
        self.applied.push(generation);
        let excess = self.applied.len().saturating_sub(REMEMBERED);
        self.applied.drain(..excess);
        self.is_broken = false;
    }

    /// Other code runs, and all that was there is with it, on the disk as well.
    pub fn swapped(&mut self, generation: u32) {
        self.state = self.carried(generation).expect("the model said so");
        self.running = generation;
        self.saved = vec![self.state.clone()];
        self.has_replaced = true;
        self.is_refused = false;
    }

    /// The state with other code.
    pub fn carried(&self, generation: u32) -> Result<State, String> {
        self.carried_to(self.code_of(generation))
    }

    pub fn carried_to(&self, code: &Code) -> Result<State, String> {
        self.state.carried(self.code(), code)
    }

    /// An artifact that was built before, of code without a fault.
    pub fn artifact(&self, random: &mut Random) -> Option<&(u32, Vec<u8>)> {
        let sound = |(generation, _): &&(u32, Vec<u8>)| {
            let code = self.code_of(*generation);
            code.fault.is_none() && code.knows(self.code())
        };
        let artifacts: Vec<_> = self.artifacts.iter().filter(sound).collect();
        (!artifacts.is_empty()).then(|| random.pick(&artifacts))
    }

    /// The build before the last one, if the engine can go back to it and it is sound.
    pub fn before(&self) -> Option<u32> {
        let [.., before, _] = self.applied.as_slice() else {
            return None;
        };
        let is_sound = self.code_of(*before).fault.is_none();
        (is_sound && self.carried(*before).is_ok()).then_some(*before)
    }

    /// Ends it: nothing may be left.
    pub fn finish(mut self) {
        self.look_for_leaks();
        let status = self.take_engine().finish();
        assert!(status.success(), "{status}");
    }
}

impl Settings {
    /// Some of those there are.
    pub fn draw(random: &mut Random) -> Self {
        Self {
            stays_young: random.chance(60),
            panics_roll_back: random.chance(30),
            frame_rate: random.pick(&[60, 100, 144]),
        }
    }

    /// The file.
    pub fn text(self) -> String {
        let Self {
            stays_young,
            panics_roll_back,
            frame_rate,
        } = self;
        let seconds = if stays_young { 3600.0 } else { 0.0 };
        let on_panic = if panics_roll_back {
            "RollBack"
        } else {
            "Pause"
        };
        format!(
            "(\n    frame_rate: {frame_rate},\n    modules: [\n        (name: \"game_logic\", kind: \
             native, path: \"game_logic\"),\n    ],\n    policies: (rollback_within: {seconds:?}, on_panic: {on_panic}, \
             checkpoint_every: 0.2),\n    profiles: {{ \"dev\": () }},\n)\n"
        )
    }
}
