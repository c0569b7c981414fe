//! What is said of a host that died: to people, in the status, in the history.

use std::time::Instant;

use inspector_protocol::message::{Answer, Event, HostDeath};
use inspector_protocol::status::{HostState, ModuleStatus, Problem, VersionState, VersionStatus};

use super::Supervisor;
use super::backtrace::About;
use super::host_process::HostEnd;
use super::hub::ClientId;
use super::reloads::Pending;
use super::restart::Plan;
use crate::crash::LastWords;
use engine_runtime::link::Snapshot;
use engine_runtime::part::Part;
use engine_runtime::place::place_in;

/// What ran when a host died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Culprit {
    /// Module.
    pub(super) module: String,
    /// Version.
    pub(super) version: u32,
    /// What of it.
    ran: Ran,
    /// Whether the host said so itself; else it was seen running last.
    pub(super) is_certain: bool,
}

/// What of a version ran.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ran {
    /// A function or system.
    Function(String),
    /// A job, with the function that started it.
    Job(String),
    /// Something that has no name of its own.
    Part(Part),
    /// A function whose name is not known.
    Unnamed,
}

impl Ran {
    /// What last words tell. `functions` are the names of the version's functions; `None` if the
    /// host died before it could say them.
    fn of(words: &LastWords, functions: Option<&[String]>) -> Self {
        if let Some(part) = Part::numbered(words.function) {
            return Self::Part(part);
        }
        let name = functions.and_then(|names| names.get(words.function as usize));
        match name {
            Some(name) => Self::Function(name.clone()),
            None if functions.is_none() && words.job.is_empty() => Self::Unnamed,
            // Jobs get their numbers while the game runs.
            None => Self::Job(words.job.clone()),
        }
    }
}

impl Culprit {
    /// Whether the version was being set up.
    pub(super) fn is_set_up(&self) -> bool {
        self.ran == Ran::Part(Part::Setup)
    }

    /// ``weather v2: `weather::draw` ``
    fn during(&self) -> String {
        let Self {
            module, version, ..
        } = self;
        let seen = if self.is_certain { "" } else { " (last seen)" };
        match &self.ran {
            Ran::Function(function) => format!("{module} v{version}: `{function}`{seen}"),
            Ran::Job(job) => format!("{module} v{version}: job {job}"),
            Ran::Part(part) => format!("{module} v{version}: its {}", part.name()),
            Ran::Unnamed => format!("{module} v{version}"),
        }
    }

    /// ``in weather v2, system `weather::draw` ``
    fn place(&self) -> String {
        let Self {
            module, version, ..
        } = self;
        let seen = if self.is_certain { "" } else { " (last seen)" };
        match &self.ran {
            // Systems are named by their path, functions by the name they are called by.
            Ran::Function(function) => {
                let kind = if function.contains("::") {
                    "system"
                } else {
                    "function"
                };
                format!("in {module} v{version}, {kind} `{function}`{seen}")
            }
            Ran::Job(job) => format!("in {module} v{version}, job {job}"),
            Ran::Part(Part::Setup) => format!("while {module} v{version} was set up"),
            Ran::Part(part) => format!("in {module} v{version}, its {}", part.name()),
            Ran::Unnamed => format!("in {module} v{version}"),
        }
    }
}

impl Supervisor {
    /// A host ended without being asked to.
    pub(super) fn host_ended(&mut self, end: &HostEnd) {
        let culprit = self.culprit(end);
        let plan = self.plan(end, culprit.as_ref());
        self.replace_host(end, plan, None);
    }

    /// A host is gone, and what follows is decided. `asked` is the module that a client
    /// wants the version before of.
    pub(super) fn replace_host(
        &mut self,
        end: &HostEnd,
        plan: Plan,
        asked: Option<(&str, (ClientId, u64))>,
    ) {
        self.host = None;
        self.host_state = HostState::Down;
        let culprit = self.culprit(end);
        let place = culprit
            .as_ref()
            .map(|culprit| format!(" in {}", culprit.during()))
            .unwrap_or_default();
        let module = culprit.as_ref().map(|culprit| culprit.module.clone());
        self.log_about(
            inspector_protocol::message::LogLevel::Error,
            module.as_deref().unwrap_or_default(),
            format!(
                "The host {}: {}{place}; {}",
                if end.stall.is_some() {
                    "was ended"
                } else {
                    "died"
                },
                end.how(),
                plan.announcement(culprit.as_ref(), self.has_checkpoint())
            ),
        );
        let problem = problem(end, culprit.as_ref(), plan.help());
        let loads = self.loads_after(plan, &problem, end.died_at, asked);
        self.forget_host(&problem.message, culprit.as_ref());
        self.snapshot = Snapshot {
            frame: self.snapshot.frame,
            modules: self.modules_after(culprit.as_ref()),
            ..Snapshot::default()
        };
        let reason = problem.message.clone();
        self.find_backtrace(About::Death(reason.clone()), end.path.clone());
        self.death_problem = Some(problem);
        let death = HostDeath {
            how: end.how(),
            during: culprit.as_ref().map(Culprit::during),
            backtrace: Vec::new(),
            stderr: end.stderr.clone(),
        };
        self.last_death = Some(death.clone());
        self.broadcast_status();
        self.hub
            .broadcast(&Event::HostDown(death), |wants| wants.status);
        if let Plan::Restart { before, .. } = plan {
            self.follow(reason, end.died_at);
            self.start_host(self.go_on_from(before), loads);
            return self.broadcast_status();
        }
        let for_build = matches!(plan, Plan::Build | Plan::GiveUp { builds: true, .. });
        self.restarts.waits_for_build = for_build;
        if plan == Plan::Build {
            return;
        }
        self.answer_restart();
        if self.options.frames.is_some() {
            // Whoever asked for so many frames waits for an end, not for a person.
            self.exit = Some(std::process::ExitCode::FAILURE);
        }
    }

    /// What the next host begins with, and what is not loaded again.
    fn loads_after(
        &mut self,
        plan: Plan,
        problem: &Problem,
        died_at: Instant,
        asked: Option<(&str, (ClientId, u64))>,
    ) -> Vec<Pending> {
        let module = asked.map_or(&*problem.module, |(module, _)| module);
        let Plan::Restart { quarantine, .. } = plan else {
            return Vec::new();
        };
        let mut left_with = Vec::new();
        let failed = quarantine.map(|hash| {
            left_with = self.reloads.quarantine(module, hash, problem.clone());
            (module, problem.clone())
        });
        let reloads = &self.reloads;
        let mut loads = reloads.revivals(&problem.message, died_at, failed, &left_with);
        let load = loads.iter_mut().find(|load| load.is_of(module));
        if let (Some(load), Some((_, client))) = (load, asked) {
            load.wait(client);
        }
        loads
    }

    /// Ends all that only a host that is gone could have answered.
    pub(super) fn forget_host(&mut self, why: &str, culprit: Option<&Culprit>) {
        for (_, asked) in std::mem::take(&mut self.calls) {
            let (client, id) = asked.client;
            let text = format!("the call did not return: {why}");
            let answer = Answer::Error(text);
            self.hub.send(client, Event::Answer { id, answer });
        }
        self.fail_pending(why, culprit);
        self.reloads.forget_active();
    }

    fn culprit(&self, end: &HostEnd) -> Option<Culprit> {
        if !end.is_fault() {
            // Whatever ran had nothing to do with it.
            return None;
        }
        if let Some(stall) = &end.stall {
            return (!stall.module.is_empty()).then(|| Culprit {
                module: stall.module.clone(),
                version: stall.version,
                ran: match Part::named(&stall.function) {
                    Some(part) => Ran::Part(part),
                    None => Ran::Function(stall.function.clone()),
                },
                is_certain: true,
            });
        }
        if let Some(words) = &end.last_words {
            let known = self.names.get(&words.version);
            let (module, version) = if let Some((module, version, _)) = known {
                (module.clone(), *version)
            } else {
                // One that the host has not named yet is one that it was loading, or that has just
                // got in.
                let module = self.reloads.loading()?.to_owned();
                (module.clone(), self.next_version(&module))
            };
            let functions = known.map(|(_, _, functions)| &functions[..]);
            return Some(Culprit {
                module,
                version,
                ran: Ran::of(words, functions),
                is_certain: true,
            });
        }
        let mut calls = self.snapshot.calls.iter();
        let call = calls.find(|call| call.thread == "main")?;
        Some(Culprit {
            module: call.module.clone(),
            version: call.version,
            ran: Ran::Function(call.function.clone()),
            is_certain: false,
        })
    }

    /// The modules as they are without a host: no version is active, all code is gone. The
    /// version that crashed is listed even if no snapshot had it yet.
    fn modules_after(&self, culprit: Option<&Culprit>) -> Vec<ModuleStatus> {
        let mut modules = self.snapshot.modules.clone();
        if let Some(culprit) = culprit
            && modules.iter().all(|known| known.name != culprit.module)
        {
            modules.push(ModuleStatus {
                name: culprit.module.clone(),
                kind: "native".to_owned(),
                ..ModuleStatus::default()
            });
        }
        for module in &mut modules {
            module.active = None;
            if let Some(culprit) = culprit.filter(|culprit| culprit.module == module.name)
                && module
                    .versions
                    .iter()
                    .all(|known| known.version != culprit.version)
            {
                module.versions.push(VersionStatus {
                    version: culprit.version,
                    ..VersionStatus::default()
                });
            }
            for version in &mut module.versions {
                version.active_calls = 0;
                version.pinned_by.clear();
                if version.state != VersionState::Rejected {
                    version.state = VersionState::Unloaded;
                }
            }
        }
        modules
    }

    /// Answers whoever asked for a new host, once it is known what became of it.
    pub(super) fn answer_restart(&mut self) {
        if self.restarting.is_empty() {
            return;
        }
        let answer = match self.host_state {
            HostState::Running => Answer::Done,
            HostState::Down => {
                let problem = self.death_problem.as_ref();
                let why = problem.map_or("it cannot be started", |problem| &problem.message);
                Answer::Error(format!("the new host is down again: {why}"))
            }
            HostState::Starting => {
                let missing = self.missing_modules();
                // Without a builder nobody knows what is still to come.
                let is_stuck = !self.options.no_build && !self.reloads.is_loading();
                if missing.is_empty() || !is_stuck {
                    return;
                }
                let names = missing.join(", ");
                Answer::Error(format!(
                    "the new host waits: nothing that loads has been built of {names}"
                ))
            }
        };
        for (client, id) in std::mem::take(&mut self.restarting) {
            let answer = answer.clone();
            self.hub.send(client, Event::Answer { id, answer });
        }
    }

    /// Modules without an active version.
    pub(super) fn missing_modules(&self) -> Vec<String> {
        let names = self.config.modules.iter().map(|module| module.name.clone());
        names
            .filter(|name| self.reloads.active(name).is_none())
            .collect()
    }
}

/// The entry in the list of problems.
fn problem(end: &HostEnd, culprit: Option<&Culprit>, help: &str) -> Problem {
    let mut message = format!("the host {}", end.cause());
    if let Some(culprit) = culprit {
        message = format!("{message} {}", culprit.place());
    }
    let mut rendered = format!("error: {message}\n");
    for line in &end.stderr {
        rendered = format!("{rendered}  {line}\n");
    }
    rendered = format!("{rendered}help: {help}\n");
    // An abort after a panic names its place there.
    let panic = end
        .stderr
        .iter()
        .rev()
        .find(|line| line.contains("panicked at "));
    let (file, line, column) = panic.and_then(|line| place_in(line)).unwrap_or_default();
    Problem {
        module: culprit
            .map(|culprit| culprit.module.clone())
            .unwrap_or_default(),
        file,
        line,
        column,
        message,
        rendered,
        ..Problem::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn culprit(ran: Ran, is_certain: bool) -> Culprit {
        Culprit {
            module: "weather".to_owned(),
            version: 4,
            ran,
            is_certain,
        }
    }

    #[test]
    fn a_death_names_signal_module_version_and_function() {
        use std::os::unix::process::ExitStatusExt as _;
        let function = |name: &str| Ran::Function(name.to_owned());
        let end = HostEnd {
            status: Some(std::process::ExitStatus::from_raw(libc::SIGABRT)),
            last_words: None,
            stall: None,
            path: engine_runtime::link::CallPath::default(),
            stderr: vec!["thread 'main' panicked at weather/src/lib.rs:12:5:".to_owned()],
            died_at: Instant::now(),
        };
        for (culprit, message) in [
            (
                Some(culprit(function("weather::draw"), true)),
                "the host died of SIGABRT in weather v4, system `weather::draw`",
            ),
            (
                Some(culprit(function("fallen"), false)),
                "the host died of SIGABRT in weather v4, function `fallen` (last seen)",
            ),
            (
                Some(culprit(Ran::Job("`rain` of `weather::plan`".into()), true)),
                "the host died of SIGABRT in weather v4, job `rain` of `weather::plan`",
            ),
            (
                Some(culprit(Ran::Part(Part::Setup), true)),
                "the host died of SIGABRT while weather v4 was set up",
            ),
            (
                Some(culprit(Ran::Part(Part::OnLoad), true)),
                "the host died of SIGABRT in weather v4, its on_load",
            ),
            (
                Some(culprit(Ran::Unnamed, true)),
                "the host died of SIGABRT in weather v4",
            ),
            (None, "the host died of SIGABRT"),
        ] {
            let problem = problem(&end, culprit.as_ref(), "fix it");
            assert_eq!(problem.message, message);
            assert_eq!(
                problem.severity,
                inspector_protocol::status::Severity::Error
            );
            assert_eq!(
                (problem.file.as_str(), problem.line, problem.column),
                ("weather/src/lib.rs", 12, 5)
            );
        }
    }

    #[test]
    fn a_version_whose_functions_are_not_named_yet_was_not_set_up_for_that() {
        let names = ["weather::draw".to_owned()];
        let setup = Part::Setup.of(1).function();
        let check = |function: u32, job: &str, known: bool, expected: Ran| {
            let words = LastWords {
                version: 1,
                function,
                frame: 0,
                job: job.to_owned(),
            };
            assert_eq!(Ran::of(&words, known.then_some(&names[..])), expected);
        };
        check(0, "", true, Ran::Function("weather::draw".to_owned()));
        check(1, "`rain`", true, Ran::Job("`rain`".to_owned()));
        check(setup, "", true, Ran::Part(Part::Setup));
        check(setup, "", false, Ran::Part(Part::Setup));
        check(1, "`rain`", false, Ran::Job("`rain`".to_owned()));
        check(0, "", false, Ran::Unnamed);
    }
}
