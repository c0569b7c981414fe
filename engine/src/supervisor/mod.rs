//! The supervisor: what a person starts. It keeps everything that must outlive a
//! crash of game code: terminal, clients, builder, problems, history.
//!
//! One loop on the main thread owns all state; threads around it turn what happens
//! outside into messages.
//!
//! | module | holds |
//! |---|---|
//! | [`backtrace`] | where panics and crashes came from |
//! | [`configuring`] | the configuration while the engine runs |
//! | [`death`] | what is said of a host that died |
//! | [`host_process`] | starting, feeding and ending the host |
//! | [`hub`] | clients and what they want |
//! | [`reloads`] | from a build to an entry in the history |
//! | [`restart`] | what follows the death of a host |
//! | [`scripts`] | Lua sources on their way to the host |
//! | [`stall`] | a game that does not get on |
//! | [`status`] | the status document |
//! | [`take_over`] | another engine takes the place of this one |

mod backtrace;
mod configuring;
mod death;
mod host_process;
mod hub;
mod reloads;
mod restart;
mod scripts;
mod stall;
mod status;
mod take_over;

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use engine_build::{BuildEvent, Builder, BuilderConfig, EngineSource, FileWatch};
use engine_runtime::host::ResumeFrom;
use engine_runtime::link::{FromHost, Snapshot, ToHost};
use inspector::ui::{self, Role, UiOptions};
use inspector_protocol::message::{
    Answer, Event, HostDeath, LogLevel, LogLine, LogSource, Request,
};
use inspector_protocol::status::{HostState, Problem};
use miette::{IntoDiagnostic as _, Result, WrapErr as _};

use crate::config::{Config, ConfigError, OnEngineChange, OnPanic};
use crate::handover::Handover;
use crate::host::HostSetup;
use crate::line_log::LineLog;
use crate::project::Project;
use crate::running::RunningEngine;
use crate::state_folder;
use backtrace::{Backtraces, Named};
use configuring::{Configuring, Reading};
use host_process::{HostEnd, HostProcess};
pub(crate) use hub::Socket;
use hub::{ClientId, Hub, NewClient};
use reloads::{Pending, Reloads};
use restart::Restarts;
pub(crate) use scripts::PushedFiles;
use scripts::Scripts;
use take_over::NextEngine;

/// What the command line asks for.
#[derive(Debug, Clone)]
pub(crate) struct RunOptions {
    /// The configuration's file.
    pub(crate) config: PathBuf,
    /// No UI.
    pub(crate) headless: bool,
    /// End after so many frames.
    pub(crate) frames: Option<u64>,
    /// End after so long.
    pub(crate) seconds: Option<Duration>,
    /// Least important lines to write without UI.
    pub(crate) log_level: LogLevel,
    /// Do not build.
    pub(crate) no_build: bool,
    /// Go on with the last checkpoint of the last run.
    pub(crate) resume: bool,
    /// What the engine before has left, if this one takes its place.
    pub(crate) handover: Option<PathBuf>,
}

/// Everything that happens.
enum Message {
    /// A client said hello.
    Joined(NewClient),
    /// A client left.
    Left(ClientId),
    /// A client asks for something.
    Client { id: ClientId, request: Request },
    /// The host says something.
    Host { run: u64, message: Box<FromHost> },
    /// The host wrote a line.
    HostOutput { text: String, error: bool },
    /// The host is gone.
    HostEnded { run: u64, end: Box<HostEnd> },
    /// The builder says something.
    Build(BuildEvent),
    /// The configuration was read again.
    Config(Result<Box<Reading>, Box<ConfigError>>),
    /// A backtrace has names.
    Backtrace(Box<Named>),
    /// The UI of this process ended.
    UiEnded,
}

/// A call, or something else that the frame loop is asked.
struct Asked {
    /// Who asked, under which id.
    client: (ClientId, u64),
    /// Module and function; empty for something else.
    module: String,
    function: String,
}

impl Asked {
    /// Something else than a call.
    fn other(client: (ClientId, u64)) -> Self {
        Self {
            client,
            module: String::new(),
            function: String::new(),
        }
    }
}

/// Messages that may wait; senders wait then, none of them is the game.
const QUEUE: usize = 4096;
/// How often the status is sent and signals are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long a host may take to end in order.
const GRACE: Duration = Duration::from_secs(2);

struct Supervisor {
    project: Project,
    config: Config,
    configuring: Configuring,
    options: RunOptions,
    started: Instant,
    messages: Sender<Message>,
    hub: Hub,
    log: LineLog,
    log_seq: u64,
    builder: Option<Builder>,
    /// Watches what needs no builder where there is none.
    files: Option<FileWatch>,
    reloads: Reloads,
    scripts: Scripts,
    host: Option<HostProcess>,
    host_state: HostState,
    runs: u64,
    snapshot: Snapshot,
    /// Function names by version, for crash reports.
    names: HashMap<u32, (String, u32, Vec<String>)>,
    /// What the host was asked and has not answered.
    calls: HashMap<u64, Asked>,
    next_call: u64,
    viewport: (u16, u16),
    viewport_wanted: bool,
    /// Whoever asked for the end.
    ending: Option<(ClientId, u64)>,
    exit: Option<ExitCode>,
    /// How the host ended that is not there; none once another one was started.
    last_death: Option<HostDeath>,
    /// The same among the problems, until another host runs.
    death_problem: Option<Problem>,
    /// Clients that wait for a new host.
    restarting: Vec<(ClientId, u64)>,
    /// Whether a person sees this in the terminal.
    with_ui: bool,
    /// Folder of this run for what has to outlive its hosts.
    state: PathBuf,
    /// Folder of the earlier run that this one goes on with.
    resumed_run: Option<PathBuf>,
    /// Hosts that died, and how the next one comes.
    restarts: Restarts,
    /// Where panics and crashes came from.
    backtraces: Backtraces,
    /// The engine that runs, as files.
    running: RunningEngine,
    /// The engine that would come next.
    next_engine: NextEngine,
}

/// Runs the game until it ends; returns the exit code.
///
/// # Errors
/// What kept it from starting.
pub(crate) fn run(
    project: Project,
    config: Config,
    options: RunOptions,
    socket: Socket,
) -> Result<ExitCode> {
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    let with_ui = terminal && !options.headless;
    let (messages, received) = bounded(QUEUE);
    let handed = options.handover.as_deref().map(Handover::take);
    let resumed_run = if options.resume && handed.is_none() {
        let last = state_folder::last(&project.runs());
        Some(last.ok_or_else(|| {
            miette::miette!(
                help = "start without `--resume`",
                "there is no earlier run to resume from"
            )
        })?)
    } else {
        None
    };
    let (state, handover) = if let Some((run, handover)) = handed {
        (run, Some(handover))
    } else {
        let state = state_folder::create(&project.runs())
            .into_diagnostic()
            .wrap_err("no folder for the state of this run can be made")?;
        (state, None)
    };
    let running = RunningEngine::keep(&state)
        .into_diagnostic()
        .wrap_err("the engine's own files cannot be kept")?;
    let mut supervisor = Supervisor {
        log: LineLog::new((!with_ui).then_some(options.log_level)),
        project,
        configuring: Configuring::new(&options.config),
        config,
        options,
        started: Instant::now(),
        messages,
        hub: Hub::new(),
        log_seq: 0,
        builder: None,
        files: None,
        reloads: Reloads::default(),
        scripts: Scripts::default(),
        host: None,
        host_state: HostState::Down,
        runs: 0,
        snapshot: Snapshot::default(),
        names: HashMap::new(),
        calls: HashMap::new(),
        next_call: 0,
        viewport: (80, 24),
        viewport_wanted: false,
        ending: None,
        exit: None,
        last_death: None,
        death_problem: None,
        restarting: Vec::new(),
        with_ui,
        state,
        resumed_run,
        restarts: Restarts::default(),
        backtraces: Backtraces::default(),
        running,
        next_engine: NextEngine::default(),
    };
    let end = end_signals()?;
    let ui = supervisor.start(with_ui, socket, handover.as_ref())?;
    let code = supervisor.work(&received, &end);
    let next = supervisor.next_engine();
    supervisor.end(ui);
    match next {
        Some(command) => Err(take_over::enter(command))
            .into_diagnostic()
            .wrap_err("the new engine cannot be entered"),
        None => Ok(code),
    }
}

/// Becomes true when the process is asked to end.
fn end_signals() -> Result<Arc<AtomicBool>> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let end = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, end.clone())
            .into_diagnostic()
            .wrap_err("signals cannot be handled")?;
    }
    Ok(end)
}

impl Supervisor {
    fn start(
        &mut self,
        with_ui: bool,
        socket: Socket,
        handover: Option<&Handover>,
    ) -> Result<Option<JoinHandle<()>>> {
        self.hub
            .serve(socket, &self.project.root, &self.messages)
            .into_diagnostic()
            .wrap_err("inspectors cannot be served")?;
        let ui = if with_ui {
            Some(self.start_ui()?)
        } else {
            None
        };
        if let Some(handover) = handover {
            self.take_handover(handover);
        }
        if self.options.no_build {
            self.info(format!(
                "Waiting for artifacts in {}",
                self.shorten(&self.project.libraries.clone())
            ));
            self.start_watching()?;
        } else {
            self.start_builder()?;
        }
        if handover.is_none() {
            self.start_host(self.go_on_from(None), Vec::new());
        }
        self.gather_scripts("startup", &[]);
        Ok(ui)
    }

    /// Goes on where the engine before stopped. The host is started first: it need not wait
    /// for the builder.
    fn take_handover(&mut self, handover: &Handover) {
        let (age, now) = (handover.age(), Instant::now());
        let began = now.checked_sub(age).unwrap_or(now);
        let uptime = Duration::from_millis(handover.uptime_ms);
        self.started = began.checked_sub(uptime).unwrap_or(began);
        (self.runs, self.log_seq) = (handover.runs, handover.log_seq);
        let mut handover = handover.clone();
        handover.modules.retain(|name, _| {
            let mut modules = self.config.modules.iter();
            modules.any(|module| module.name == *name)
        });
        self.scripts.pushed = handover.pushed.clone();
        let loads = self.reloads.take_over(&handover, began);
        self.follow(handover.reason.clone(), began);
        self.start_host(self.go_on_from(None), loads);
    }

    fn start_ui(&self) -> Result<JoinHandle<()>> {
        let link = Hub::link(&self.messages).into_diagnostic()?;
        let messages = self.messages.clone();
        std::thread::Builder::new()
            .name("ui".into())
            .spawn(move || {
                let options = UiOptions {
                    role: Role::Owner,
                    reconnect: None,
                };
                let result = ui::run(link, options);
                if let Err(error) = &result {
                    use std::io::Write as _;
                    let _ = writeln!(std::io::stderr(), "the UI cannot run: {error}");
                }
                let _ = messages.send(Message::UiEnded);
            })
            .into_diagnostic()
            .wrap_err("the UI thread cannot be started")
    }

    fn start_builder(&mut self) -> Result<()> {
        let (builder, events) = Builder::start(BuilderConfig {
            root: self.project.root.clone(),
            target_dir: self.project.target.clone(),
            profile: self.project.cargo_profile.clone(),
            selection: Vec::new(),
            modules: self.sources(),
            engine: self.engine_source(),
            wrapper: std::env::current_exe().ok(),
            extra_watch: vec![self.project.assets.clone()],
        })
        .into_diagnostic()
        .wrap_err("the builder cannot be started")?;
        self.builder = Some(builder);
        self.take_events(events)
    }

    /// Watches configuration, assets and scripts, which need no builder.
    fn start_watching(&mut self) -> Result<()> {
        let Project {
            root,
            target,
            assets,
            ..
        } = &self.project;
        let (files, events) = FileWatch::start(root, target, [assets.clone()])
            .into_diagnostic()
            .wrap_err("files cannot be watched")?;
        self.files = Some(files);
        self.take_events(events)
    }

    fn take_events(&self, events: Receiver<BuildEvent>) -> Result<()> {
        let messages = self.messages.clone();
        std::thread::Builder::new()
            .name("build-events".into())
            .spawn(move || {
                for event in events {
                    if messages.send(Message::Build(event)).is_err() {
                        return;
                    }
                }
            })
            .into_diagnostic()?;
        Ok(())
    }

    /// What the builder has to know of the engine; `None` if it is not to be built.
    fn engine_source(&self) -> Option<EngineSource> {
        let binary = self.running.executable().file_stem()?;
        let is_watched = self.config.policies.on_engine_change != OnEngineChange::Ignore;
        is_watched.then(|| EngineSource {
            package: env!("CARGO_PKG_NAME").to_owned(),
            binary: binary.to_string_lossy().into_owned(),
        })
    }

    /// Starts a host that goes on with a checkpoint and begins with these versions.
    fn start_host(&mut self, resume: Option<ResumeFrom>, loads: Vec<Pending>) {
        self.runs += 1;
        self.set_beginning(resume.as_ref());
        let setup = HostSetup {
            modules: self.specs(),
            libraries: self.project.libraries.clone(),
            assets: self.project.assets.clone(),
            frame_rate: self.config.frame_rate,
            max_frames: self.options.frames,
            load_existing: self.options.no_build,
            state: self.state.clone(),
            stalled_after_ms: self.config.policies.stalled_after_ms(),
            every_panic_fails: self.config.policies.on_panic != OnPanic::Pause,
            rollback_within_ms: self.config.policies.rollback_within().as_millis() as u64,
            checkpoint_every_ms: self.config.policies.checkpoint_every_ms(),
            checkpoints_kept: self.config.policies.checkpoints_kept,
            drain: self.config.drain_policies(),
            resume,
            unload: self.config.policies.unload,
        };
        let command = self.running.command();
        match HostProcess::start(self.runs, command, &setup, &self.messages) {
            Ok(host) => {
                self.host = Some(host);
                self.host_state = HostState::Starting;
                self.last_death = None;
                self.snapshot = Snapshot::default();
                self.names.clear();
                let (width, height) = self.viewport;
                self.to_host(ToHost::ViewportSize { width, height });
                self.to_host(ToHost::ViewportWanted(self.viewport_wanted));
                self.to_host(ToHost::Building(self.reloads.is_building()));
                for load in loads {
                    let requests = self.reloads.load(vec![load.forced()]);
                    self.to_host(ToHost::Load(requests));
                }
            }
            Err(error) => {
                self.host_state = HostState::Down;
                self.error(format!("The host cannot be started: {error}"));
            }
        }
    }

    fn work(&mut self, received: &Receiver<Message>, end: &AtomicBool) -> ExitCode {
        let mut next_tick = Instant::now();
        loop {
            match received.recv_deadline(next_tick) {
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => {
                    next_tick = Instant::now() + TICK;
                    self.look_for_modules();
                    self.broadcast_status();
                }
                Err(RecvTimeoutError::Disconnected) => return ExitCode::FAILURE,
            }
            let over = self
                .options
                .seconds
                .is_some_and(|limit| self.started.elapsed() >= limit);
            if self.exit.is_none() && (over || end.load(Ordering::Relaxed)) {
                // A game that died and was not started again has failed.
                let mut failed = self.last_death.is_some();
                let missing = self.missing_modules();
                if over && !failed && !missing.is_empty() {
                    failed = true;
                    self.error(format!(
                        "The game did not start in time: no version of {} got in",
                        missing.join(", ")
                    ));
                }
                self.exit = Some(if failed {
                    ExitCode::FAILURE
                } else {
                    ExitCode::SUCCESS
                });
            }
            if let Some(code) = self.exit {
                return self.end_host(received, code);
            }
        }
    }

    /// Ends the host in order. A host that dies on the way out is a failed game.
    fn end_host(&mut self, received: &Receiver<Message>, code: ExitCode) -> ExitCode {
        let Some(host) = &self.host else { return code };
        let run = host.run;
        host.send(ToHost::Shutdown);
        let deadline = Instant::now() + GRACE;
        loop {
            match received.recv_deadline(deadline) {
                Ok(Message::HostEnded { run: ended, end }) if ended == run => {
                    self.host = None;
                    let clean = end.status.is_some_and(|status| status.success());
                    if !clean {
                        self.error(format!("The host failed while it ended: {}", end.how()));
                    }
                    return if clean { code } else { ExitCode::FAILURE };
                }
                Ok(message) => self.handle(message),
                Err(_) => {
                    self.warn("The host did not end in time and was killed".to_owned());
                    self.host = None;
                    return code;
                }
            }
        }
    }

    fn end(mut self, ui: Option<JoinHandle<()>>) {
        if let Some((client, id)) = self.ending.take() {
            self.hub.send(
                client,
                Event::Answer {
                    id,
                    answer: Answer::Done,
                },
            );
        }
        drop(self.builder.take());
        drop(self.files.take());
        self.running.forget();
        // Without clients the UI sees the hub go and gives the terminal back.
        drop(self.hub);
        if let Some(ui) = ui {
            let _ = ui.join();
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Joined(client) => self.hub.join(client),
            Message::Left(id) => {
                self.hub.leave(id);
                self.update_viewport_wanted();
            }
            Message::Client { id, request } => self.request(id, request),
            Message::Host { run, message } => {
                if self.host.as_ref().is_some_and(|host| host.run == run) {
                    self.host_says(*message);
                }
            }
            Message::HostOutput { text, error } => {
                let level = if error {
                    LogLevel::Warn
                } else {
                    LogLevel::Info
                };
                self.log_about(level, "", text);
            }
            Message::HostEnded { run, end } => {
                if self.host.as_ref().is_some_and(|host| host.run == run) {
                    self.host_ended(&end);
                }
            }
            Message::Build(event) => self.build_event(event),
            Message::Config(result) => self.config_read(result),
            Message::Backtrace(named) => self.backtrace_named(*named),
            Message::UiEnded => self.exit = Some(self.exit.unwrap_or(ExitCode::SUCCESS)),
        }
    }

    fn request(&mut self, client: ClientId, request: Request) {
        let answer = |id, answer| Event::Answer { id, answer };
        match request {
            Request::Hello { .. } => {}
            Request::Subscribe(subscription) => {
                self.hub.subscribe(client, subscription);
                if subscription.status {
                    let status = self.status();
                    self.hub.send(client, Event::Status(Box::new(status)));
                    if let Some(death) = self.last_death.clone() {
                        self.hub.send(client, Event::HostDown(death));
                    }
                }
                self.update_viewport_wanted();
            }
            Request::Status { id } => {
                let status = Answer::Status(Box::new(self.status()));
                self.hub.send(client, answer(id, status));
            }
            Request::Call {
                id,
                module,
                function,
                args,
            } => {
                let asked = Asked {
                    client: (client, id),
                    module: module.clone(),
                    function: function.clone(),
                };
                self.ask_host(asked, |id| ToHost::Call {
                    id,
                    module,
                    function,
                    args,
                });
            }
            Request::World { id, act } => {
                let asked = Asked::other((client, id));
                self.ask_host(asked, |id| ToHost::World { id, act });
            }
            Request::CancelJob { id, job } => {
                let asked = Asked::other((client, id));
                self.ask_host(asked, |id| ToHost::CancelJob { id, job });
            }
            Request::Reload { id, module } => self.reload(client, id, &module),
            Request::Push { id, push } => self.push(client, id, &push),
            Request::Rollback { id, module, state } => self.rollback(client, id, &module, state),
            Request::Shared { id } => {
                let shared = match self.shared_structs() {
                    Ok(json) => Answer::Value(json),
                    Err(why) => Answer::Error(why),
                };
                self.hub.send(client, answer(id, shared));
            }
            Request::RestartHost { id } => self.restart_host(client, id),
            Request::Shutdown { id } => {
                self.ending = Some((client, id));
                self.exit = Some(ExitCode::SUCCESS);
            }
            Request::Input(event) => {
                self.to_host(ToHost::Input(event));
            }
            Request::ViewportSize { width, height } => {
                self.viewport = (width, height);
                self.to_host(ToHost::ViewportSize { width, height });
            }
        }
    }

    /// Shared structs as JSON, whether or not a host runs: by path, with version and fields.
    fn shared_structs(&self) -> Result<String, String> {
        let path = crate::host::shared_of(&self.state);
        if !path.exists() {
            return Ok("{}".to_owned());
        }
        let structs = engine_runtime::shared::read(&path).map_err(|error| error.to_string())?;
        let shown = structs.into_iter().map(|shared| {
            let fields = shared
                .fields
                .into_iter()
                .map(|(name, ty, value)| (name, serde_json::json!({ "type": ty, "value": value })));
            let fields: serde_json::Map<_, _> = fields.collect();
            let about = serde_json::json!({ "version": shared.version, "fields": fields });
            (shared.name, about)
        });
        let shown: serde_json::Map<_, _> = shown.collect();
        serde_json::to_string(&shown).map_err(|error| error.to_string())
    }

    /// Passes a request on that the host answers.
    fn ask_host(&mut self, asked: Asked, request: impl FnOnce(u64) -> ToHost) {
        self.next_call += 1;
        let call = self.next_call;
        let text = if let Some(why) = self.stalled_frame() {
            format!("nothing can be called: {why}")
        } else if self.to_host(request(call)) {
            self.calls.insert(call, asked);
            return;
        } else {
            "no host is running, so nothing can be called; R in the inspector starts one".to_owned()
        };
        let (client, id) = asked.client;
        let answer = Answer::Error(text);
        self.hub.send(client, Event::Answer { id, answer });
    }

    fn update_viewport_wanted(&mut self) {
        let wanted = self.hub.any(|wants| wants.viewport);
        if wanted != self.viewport_wanted {
            self.viewport_wanted = wanted;
            self.to_host(ToHost::ViewportWanted(wanted));
        }
    }

    fn host_says(&mut self, message: FromHost) {
        match message {
            FromHost::Ready { .. } => self.host_is_ready(),
            FromHost::Began { resumed } => self.host_began(resumed),
            FromHost::Names {
                id,
                module,
                version,
                functions,
            } => {
                self.names.insert(id, (module, version, functions));
            }
            FromHost::Snapshot(snapshot) => {
                let before = std::mem::replace(&mut self.snapshot, *snapshot);
                if self.snapshot.frame > 0 && self.host_state != HostState::Running {
                    self.host_state = HostState::Running;
                    self.death_problem = None;
                    self.answer_restart();
                }
                self.follow_stall(before.stall.as_ref());
            }
            FromHost::Log {
                level,
                module,
                message,
            } if module.is_empty() => {
                let about = module_named_in(&message).to_owned();
                self.log_about(level, &about, message);
            }
            FromHost::Log {
                level,
                module,
                message,
            } => self.log(level, &module, LogSource::Module, message),
            FromHost::Reloaded(report) => {
                self.reloaded(report);
                self.host_has_loaded();
                self.answer_restart();
            }
            FromHost::Failed {
                module,
                version,
                message,
            } => self.version_failed(&module, version, &message),
            FromHost::Panicked { place, path } => self.panicked(place, path),
            FromHost::Viewport(frame) => {
                self.hub
                    .broadcast(&Event::Viewport(frame), |wants| wants.viewport);
            }
            FromHost::Called { id, result } => {
                if let Some(asked) = self.calls.remove(&id) {
                    let (client, id) = asked.client;
                    let answer = match result {
                        Ok(value) => Answer::Value(value),
                        Err(message) => Answer::Error(message),
                    };
                    self.hub.send(client, Event::Answer { id, answer });
                }
            }
            FromHost::Finished => self.exit = Some(ExitCode::SUCCESS),
        }
    }

    fn to_host(&self, message: ToHost) -> bool {
        self.host.as_ref().is_some_and(|host| host.send(message))
    }

    fn shorten(&self, path: &std::path::Path) -> String {
        path.strip_prefix(&self.project.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }

    fn info(&mut self, message: String) {
        self.log_about(LogLevel::Info, "", message);
    }

    fn warn(&mut self, message: String) {
        self.log_about(LogLevel::Warn, "", message);
    }

    fn error(&mut self, message: String) {
        self.log_about(LogLevel::Error, "", message);
    }

    /// A line of the engine about a module; empty for none.
    fn log_about(&mut self, level: LogLevel, module: &str, message: String) {
        self.log(level, module, LogSource::Engine, message);
    }

    fn log(&mut self, level: LogLevel, module: &str, source: LogSource, message: String) {
        self.log_seq += 1;
        let line = LogLine {
            seq: self.log_seq,
            at_ms: self.started.elapsed().as_millis() as u64,
            level,
            module: module.to_owned(),
            source,
            message,
        };
        self.log.write(&line);
        self.hub.log(line);
    }
}

/// The module that a line of the form `Module 'game_logic' loaded (v1)` is about.
fn module_named_in(line: &str) -> &str {
    let rest = line.strip_prefix("Module '").unwrap_or_default();
    rest.split_once('\'').map_or("", |(module, _)| module)
}

#[cfg(test)]
mod tests {
    use super::module_named_in;

    #[test]
    fn lines_of_the_host_name_their_module() {
        for (line, module) in [
            ("Module 'game_logic' reloaded (v1 -> v2)", "game_logic"),
            ("v1 unloaded", ""),
            ("Module 'cut", ""),
        ] {
            assert_eq!(module_named_in(line), module);
        }
    }
}
