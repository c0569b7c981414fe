//! What waits for later: timers, keys, jobs and handlers of events of Lua modules.
//!
//! Scripts reach it through the global `engine`:
//!
//! | call | does |
//! |---|---|
//! | `engine.after(seconds, f)` | calls `f()` once, when so much game time has passed |
//! | `engine.every(seconds, f)` | calls `f()` each time so much game time has passed |
//! | `engine.on_key(key, f)` | calls `f()` when a key goes down: `"n"`, `"Space"`, `"Up"`, `"F1"` |
//! | `engine.on(name, f)` | calls `f(event)` for each event or message of that type, see [`crate::world`] |
//! | `engine.start(f)` | a job: runs `f()` as a coroutine, one step a frame, until it ends |
//! | `engine.cancel(id)` | what any of these returned does not happen any more |
//! | `engine.call(module, function, ...)` | calls a function of a module of any kind by name |
//!
//! Functions that wait are those of the running version, whichever registered them. What a
//! module registers while it is loaded makes way for what its next version registers while that
//! is loaded; what it registered later stays. A function that fails is reported, and not called
//! again until the module's next version.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine_api::bevy_ecs::world::World;
use engine_api::event::Plain;
use engine_api::input::{Input, Key};
use engine_api::log::{self, Level};
use engine_api::time::Time;
use mlua::{Function, Lua, Thread};

use super::stage::{lock, told};
use crate::chunk;
use crate::domain::Domain;
use crate::host::{CallbackId, Callbacks, Host};
use crate::world;
use crate::world::events::{self, Source};

/// Calls of modules that wait. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Schedule(Arc<Mutex<Waiting>>, Arc<AtomicU32>);

/// A module as the schedule knows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ModuleId(u32);

#[derive(Default)]
struct Waiting {
    entries: Vec<Entry>,
    /// Entries from before a reload that may still fail.
    before: Option<Vec<Entry>>,
    /// Generation of the types of the game, as last seen.
    types: u64,
    /// Names of modules, by their id less one.
    names: Vec<String>,
    /// Modules of the engine, in the order in which they came: the first one also runs what
    /// modules that are only required have registered.
    own: Vec<String>,
    last: u64,
}

/// A function that waits.
#[derive(Clone)]
struct Entry {
    /// What the script was given first: the variable that holds it is kept over reloads.
    id: u64,
    /// What it was given when its running version registered it again.
    newest: u64,
    module: String,
    function: CallbackId,
    what: What,
    /// Registered while the module was loaded: the next version registers it again.
    is_declared: bool,
    /// What it said when it failed in the version that runs.
    failure: Option<String>,
}

#[derive(Clone, PartialEq)]
enum What {
    /// At a game time, and then again after each period.
    Timer {
        due: Option<Duration>,
        period: Duration,
        repeats: bool,
    },
    Key(Key),
    /// Events or messages of a type.
    Events(Handler),
    /// A coroutine.
    Job,
}

/// What a handler of events has heard.
#[derive(Clone, PartialEq, Default)]
struct Handler {
    /// Name of the type, as the script wrote it.
    name: String,
    /// Messages of the type that it has heard, of all that were ever sent.
    heard: usize,
    /// What it has not been called for yet.
    queue: VecDeque<Plain>,
    /// It has failed: what comes is not for it.
    is_paused: bool,
    /// Why it hears nothing, if people were told.
    unknown: Option<String>,
}

impl Handler {
    fn hears(&mut self, events: impl IntoIterator<Item = Plain>) {
        self.unknown = None;
        if !self.is_paused {
            self.queue.extend(events);
        }
    }
}

/// What is run now.
#[derive(Clone, Copy)]
pub(super) enum Due<'a> {
    /// Everything.
    All(Option<&'a Time>, Option<&'a Input>),
    /// Handlers of events.
    Events,
}

/// A module's functions run, until dropped.
pub(super) struct Running<'a> {
    running: &'a AtomicU32,
    /// The one around it.
    before: u32,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.running.store(self.before, Ordering::Relaxed);
    }
}

impl Schedule {
    /// What a module is known by here.
    pub(super) fn id_of(&self, module: &str) -> ModuleId {
        let mut waiting = lock(&self.0);
        let known = waiting.names.iter().position(|name| name == module);
        let place = known.unwrap_or_else(|| {
            waiting.names.push(module.to_owned());
            waiting.names.len() - 1
        });
        ModuleId(place as u32 + 1)
    }

    /// What is registered until this is dropped is a module's. Frame thread only.
    pub(super) fn run_for(&self, module: ModuleId) -> Running<'_> {
        let before = self.1.load(Ordering::Relaxed);
        self.1.store(module.0, Ordering::Relaxed);
        Running {
            running: &self.1,
            before,
        }
    }

    /// Gives scripts the global `engine`, without `call`.
    pub(super) fn install(&self, domain: &Domain) -> mlua::Result<mlua::Table> {
        let lua = domain.lua();
        let engine = lua.create_table()?;
        for (name, repeats) in [("after", false), ("every", true)] {
            let (to, callbacks) = (self.clone(), domain.callbacks().clone());
            let timer = lua.create_function(move |lua, (seconds, f): (f64, Function)| {
                let period = Duration::try_from_secs_f64(seconds).ok().filter(|period| {
                    // `every` without time in between would never end.
                    !repeats || !period.is_zero()
                });
                let period = period.ok_or_else(|| {
                    let least = if repeats { "over zero" } else { "zero or more" };
                    let message = format!("`engine.{name}` needs {least} seconds, not {seconds}");
                    mlua::Error::runtime(message)
                })?;
                let due = None;
                to.add(
                    lua,
                    &callbacks,
                    &f,
                    What::Timer {
                        due,
                        period,
                        repeats,
                    },
                )
            })?;
            engine.raw_set(name, timer)?;
        }
        let (to, callbacks) = (self.clone(), domain.callbacks().clone());
        let on_key = lua.create_function(move |lua, (name, f): (String, Function)| {
            let key = world::key(&name)?;
            to.add(lua, &callbacks, &f, What::Key(key))
        })?;
        engine.raw_set("on_key", on_key)?;
        let (to, callbacks) = (self.clone(), domain.callbacks().clone());
        let on = lua.create_function(move |lua, (name, f): (String, Function)| {
            let handler = Handler {
                name,
                ..Handler::default()
            };
            to.add(lua, &callbacks, &f, What::Events(handler))
        })?;
        engine.raw_set("on", on)?;
        let (to, callbacks) = (self.clone(), domain.callbacks().clone());
        let start = lua.create_function(move |lua, f: Function| {
            let entry = to.add(lua, &callbacks, &f, What::Job)?;
            let coroutine = lua.create_thread(f)?;
            to.with(entry, |entry| callbacks.put(entry.function, coroutine))
        })?;
        engine.raw_set("start", start)?;
        let (to, callbacks) = (self.clone(), domain.callbacks().clone());
        let cancel = lua.create_function(move |_, id: u64| {
            to.remove(&callbacks, |entry| entry.id == id || entry.newest == id);
            Ok(())
        })?;
        engine.raw_set("cancel", cancel)?;
        lua.globals().raw_set("engine", &engine)?;
        Ok(engine)
    }

    fn add(&self, lua: &Lua, callbacks: &Callbacks, f: &Function, what: What) -> mlua::Result<u64> {
        let loading = chunk::loading(lua)?;
        let mut waiting = lock(&self.0);
        let is_declared = loading.is_some();
        let running = self.1.load(Ordering::Relaxed) as usize;
        let running = running.checked_sub(1).and_then(|id| waiting.names.get(id));
        let module = loading.or_else(|| running.cloned());
        let function = callbacks.hold(f).map_err(mlua::Error::external)?;
        waiting.last += 1;
        let id = waiting.last;
        waiting.entries.push(Entry {
            id,
            newest: id,
            module: module.unwrap_or_default(),
            function,
            what,
            is_declared,
            failure: None,
        });
        Ok(id)
    }

    /// Does something with an entry that is there.
    fn with(&self, id: u64, act: impl FnOnce(&Entry) -> mlua::Result<()>) -> mlua::Result<u64> {
        let entry = lock(&self.0)
            .entries
            .iter()
            .find(|entry| entry.id == id)
            .cloned();
        entry.map_or(Ok(()), |entry| act(&entry)).map(|()| id)
    }

    fn remove(&self, callbacks: &Callbacks, is_it: impl Fn(&Entry) -> bool) {
        let mut waiting = lock(&self.0);
        // Those of before a reload that fails must find their functions again.
        let keeps = waiting.before.is_some();
        waiting.entries.retain(|entry| {
            let goes = is_it(entry);
            if goes && !keeps {
                callbacks.release(entry.function);
            }
            !goes
        });
    }

    /// A module is gone, with all that it registered.
    pub(super) fn forget(&self, callbacks: &Callbacks, module: &str) {
        lock(&self.0).own.retain(|own| own != module);
        self.remove(callbacks, |entry| entry.module == module);
    }

    /// Versions are in: what they registered is tried again.
    pub(super) fn entered(&self, modules: &[String]) {
        let mut waiting = lock(&self.0);
        let new = modules.iter().filter(|new| !waiting.own.contains(new));
        let new: Vec<String> = new.cloned().collect();
        waiting.own.extend(new);
        // One of these may have brought another version of what it requires.
        let own = waiting.own.clone();
        let is_new = |module: &String| modules.contains(module) || !own.contains(module);
        for entry in &mut waiting.entries {
            entry.failure = entry.failure.take().filter(|_| !is_new(&entry.module));
        }
    }

    /// Runs what is due of a module, one thing after the other. Returns what failed, for people.
    pub(super) fn run(
        &self,
        domain: &Domain,
        module: &str,
        what: Due<'_>,
        mut watched: impl FnMut(&mut dyn FnMut() -> mlua::Result<()>) -> mlua::Result<()>,
    ) -> Vec<String> {
        let mut failed = Vec::new();
        let running = self.id_of(module);
        for id in self.due(module, what) {
            let entry = lock(&self.0)
                .entries
                .iter()
                .find(|entry| entry.id == id)
                .cloned();
            let Some(entry) = entry else {
                // Another one has cancelled it.
                continue;
            };
            let callbacks = domain.callbacks();
            let _running = self.run_for(running);
            let mut is_over = matches!(entry.what, What::Timer { repeats: false, .. });
            if is_over {
                lock(&self.0).entries.retain(|entry| entry.id != id);
            }
            let ran = if entry.what == What::Job {
                match callbacks.coroutine(entry.function) {
                    None => Ok(()),
                    Some(coroutine) => {
                        let stepped = watched(&mut || step(&coroutine));
                        is_over = !coroutine.is_resumable();
                        stepped
                    }
                }
            } else {
                match (callbacks.get(entry.function), &entry.what) {
                    (None, _) => Ok(()),
                    (Some(function), What::Events(handler)) => {
                        self.deliver(domain.lua(), id, &handler.name, &function, &mut watched)
                    }
                    (Some(function), _) => watched(&mut || function.call::<()>(())),
                }
            };
            let failure = ran.err().map(|error| {
                let name = entry.what.name();
                let end = if is_over { "has ended" } else { "is paused" };
                format!("{name} failed and {end}: {}", told(&error))
            });
            failed.extend(failure.clone());
            if is_over {
                callbacks.release(entry.function);
            }
            lock(&self.0).entries.retain_mut(|other| {
                if other.id == id {
                    other.failure.clone_from(&failure);
                }
                !(is_over && other.id == id)
            });
        }
        if !failed.is_empty() {
            // One report stands for all that is paused.
            let waiting = lock(&self.0);
            let entries = waiting.entries.iter();
            let paused = entries.filter(|entry| entry.module == module);
            let before = paused.filter_map(|entry| entry.failure.as_ref());
            let before: Vec<String> = before
                .filter(|failure| !failed.contains(failure))
                .cloned()
                .collect();
            failed.extend(before);
        }
        failed
    }

    /// What is due now, in the order in which it was registered.
    fn due(&self, module: &str, what: Due<'_>) -> Vec<u64> {
        let (time, input) = match what {
            Due::All(time, input) => (time, input),
            Due::Events => (None, None),
        };
        let now = time.map_or(Duration::ZERO, Time::elapsed);
        let mut waiting = lock(&self.0);
        let waiting = &mut *waiting;
        let (own, mut found) = (&waiting.own, Vec::new());
        let is_first = own.first().is_some_and(|first| first == module);
        for entry in &mut waiting.entries {
            let is_own = entry.module == module || (is_first && !own.contains(&entry.module));
            let is_asked = matches!(
                (what, &entry.what),
                (Due::All(..), _) | (_, What::Events(_))
            );
            if !is_own || entry.failure.is_some() || !is_asked {
                continue;
            }
            let is_due = match &mut entry.what {
                What::Timer {
                    due,
                    period,
                    repeats,
                } => {
                    let at = *due.get_or_insert(now.saturating_add(*period));
                    let is_due = now >= at;
                    if is_due && *repeats {
                        *due = Some(at.saturating_add(*period).max(now));
                    }
                    is_due
                }
                What::Key(key) => input.is_some_and(|input| input.pressed(*key)),
                What::Events(handler) => !handler.queue.is_empty(),
                What::Job => true,
            };
            if is_due {
                found.push(entry.id);
            }
        }
        found
    }

    /// Calls a handler for all that it has heard, until it fails or is cancelled.
    fn deliver(
        &self,
        lua: &Lua,
        id: u64,
        name: &str,
        function: &Function,
        watched: &mut impl FnMut(&mut dyn FnMut() -> mlua::Result<()>) -> mlua::Result<()>,
    ) -> mlua::Result<()> {
        let next = || {
            let mut waiting = lock(&self.0);
            let entry = waiting.entries.iter_mut().find(|entry| entry.id == id)?;
            match &mut entry.what {
                What::Events(handler) => handler.queue.pop_front(),
                _ => None,
            }
        };
        while let Some(event) = next() {
            let event = events::to_lua(lua, name, &event)?;
            watched(&mut || function.call::<()>(&event))?;
        }
        Ok(())
    }

    /// Takes to the handlers what was triggered and sent since the last time. Costs a lock
    /// while there is none.
    /// Says which handlers of `module` hear nothing.
    pub(super) fn hear(&self, lua: &Lua, world: &mut World, module: &str) {
        let mut waiting = lock(&self.0);
        let types = world::generation(world);
        if waiting.types != types {
            // What some of them missed may be there now.
            waiting.types = types;
            waiting
                .entries
                .iter_mut()
                .for_each(|entry| entry.failure = None);
        }
        let mut handlers: Vec<(&str, &mut Handler)> = Vec::new();
        for entry in &mut waiting.entries {
            if let What::Events(handler) = &mut entry.what {
                handler.is_paused = entry.failure.is_some();
                handlers.push((&entry.module, handler));
            }
        }
        let names: Vec<String> = handlers.iter().map(|(_, of)| of.name.clone()).collect();
        let sources = match &*names {
            [] => Vec::new(),
            names => events::sources(lua, world, names),
        };
        let wanted = sources.iter().filter_map(|source| match source {
            Ok(Source::Event(path)) => Some(path.clone()),
            _ => None,
        });
        let wanted: BTreeSet<String> = wanted.collect();
        let (triggered, lost) = events::take_events(world, wanted);
        if lost > 0 {
            let message = format_args!("{lost} events were lost: there were too many at once");
            log::write(Level::Warn, "engine", message);
        }
        for ((own, handler), source) in handlers.into_iter().zip(sources) {
            match source {
                Ok(Source::Event(path)) => {
                    let events = triggered.iter().filter(|(of, _)| *of == path);
                    handler.hears(events.map(|(_, event)| event.clone()));
                }
                Ok(Source::Message(path)) => {
                    let (sent, heard) = events::messages_since(lua, world, &path, handler.heard);
                    handler.hears(sent);
                    handler.heard = heard;
                }
                Err(why) => {
                    // The log names the module whose systems run.
                    if own == module && handler.unknown.as_ref() != Some(&why) {
                        let name = &handler.name;
                        log::write(
                            Level::Error,
                            module,
                            format_args!(
                                "a function of `engine.on({name:?})` hears nothing: {why}"
                            ),
                        );
                        handler.unknown = Some(why);
                    }
                }
            }
        }
    }

    /// The journal for reloads.
    pub(super) fn journal(&self, callbacks: &Callbacks) -> Journal {
        Journal {
            schedule: self.clone(),
            callbacks: callbacks.clone(),
        }
    }
}

fn step(coroutine: &Thread) -> mlua::Result<()> {
    // The job's own error, with the calls that led there.
    Domain::step::<mlua::MultiValue>(coroutine, ()).map(drop)
}

impl What {
    /// Whether another registration is for the same, whenever that is due.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Timer {
                    period, repeats, ..
                },
                Self::Timer {
                    period: other,
                    repeats: also,
                    ..
                },
            ) => period == other && repeats == also,
            (Self::Events(one), Self::Events(other)) => one.name == other.name,
            (one, other) => one == other,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Timer { repeats: false, .. } => "a function of `engine.after`",
            Self::Timer { .. } => "a function of `engine.every`",
            Self::Key(_) => "a function of `engine.on_key`",
            Self::Events(_) => "a function of `engine.on`",
            Self::Job => "a job",
        }
    }
}

/// Takes registrations of a failed reload back, and those of replaced versions away.
pub(super) struct Journal {
    schedule: Schedule,
    callbacks: Callbacks,
}

impl Host for Journal {
    fn begin(&mut self) {
        let mut waiting = lock(&self.schedule.0);
        waiting.before = Some(waiting.entries.clone());
    }

    fn commit(&mut self, modules: &[String]) {
        let mut waiting = lock(&self.schedule.0);
        let before = waiting.before.take().unwrap_or_default();
        let is_old = |entry: &Entry| before.iter().any(|old| old.id == entry.id);
        let is_replaced =
            |entry: &Entry| entry.is_declared && is_old(entry) && modules.contains(&entry.module);
        let entries = std::mem::take(&mut waiting.entries);
        let (mut replaced, mut kept): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(is_replaced);
        for new in kept
            .iter_mut()
            .filter(|entry| entry.is_declared && !is_old(entry))
        {
            // A timer that is written again goes on, or one that is slower than the edits of
            // its module would never come.
            let same = replaced
                .iter()
                .position(|old| old.module == new.module && old.what.is_same(&new.what));
            if let Some(same) = same {
                let old = replaced.remove(same);
                (new.id, new.what) = (old.id, old.what);
                self.callbacks.release(old.function);
            }
        }
        for old in replaced {
            self.callbacks.release(old.function);
        }
        // What was cancelled meanwhile.
        for old in &before {
            if !kept.iter().any(|entry| entry.function == old.function) {
                self.callbacks.release(old.function);
            }
        }
        waiting.entries = kept;
    }

    fn rollback(&mut self) {
        let mut waiting = lock(&self.schedule.0);
        if let Some(before) = waiting.before.take() {
            let added = std::mem::replace(&mut waiting.entries, before);
            let mut kept = waiting.entries.iter();
            for entry in added {
                if kept.all(|old| old.id != entry.id) {
                    self.callbacks.release(entry.function);
                }
            }
        }
    }
}
