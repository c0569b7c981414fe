//! The event loop that joins terminal, link and state.
//!
//! The thread that calls [`run`] owns the state and draws. Beside it,
//! `inspector-input` reads the terminal and, while the hub is lost,
//! `inspector-connect` makes one attempt at a time. Nothing here waits for the
//! hub: requests go through a queue of bounded length.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, never, select};
use crossterm::event::{self, Event as TerminalEvent};
use inspector_protocol::input::InputEvent;
use inspector_protocol::message::Request;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::connection::Link;
use crate::state::State;
use crate::terminal::{self, Guard};
use crate::theme::Theme;
use crate::update::{Effect, Message, update};
use crate::view;

/// Shortest time between two drawings: 30 a second.
const FRAME: Duration = Duration::from_millis(33);
/// Longest time without looking at clock, signals and terminal.
const TICK: Duration = Duration::from_millis(50);
/// Requests that may wait for a hub that does not take any.
const OUTBOX: usize = 512;

/// Whose terminal this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The engine's own terminal: `q` ends the game, after asking.
    Owner,
    /// Attached from elsewhere: `q` leaves, the game goes on.
    Attached,
}

/// How the user interface behaves.
#[derive(Debug, Clone)]
pub struct UiOptions {
    /// Whose terminal this is.
    pub role: Role,
    /// What to attach to when the hub is lost (a socket path or a process id;
    /// empty for the only engine running), again and again with growing
    /// pauses. Only for [`Role::Attached`]; without it the interface ends with
    /// the hub.
    pub reconnect: Option<String>,
}

/// Why the user interface ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UiExit {
    /// The user wants out, or the process was asked to end. For
    /// [`Role::Owner`] [`Request::Shutdown`] has been sent, after the terminal
    /// was given back.
    Quit,
    /// The terminal is gone.
    TerminalClosed,
    /// The hub is gone.
    HubGone,
}

/// Why there is no user interface.
#[derive(Debug, thiserror::Error)]
pub enum UiError {
    /// Standard input or output is something else.
    #[error("the user interface needs a terminal; for scripts there is `inspector dump`")]
    NoTerminal,
    /// The terminal refuses.
    #[error("the terminal cannot be used")]
    Terminal(#[source] io::Error),
    /// The system did not give what the interface needs.
    #[error("the user interface cannot be set up")]
    Setup(#[source] io::Error),
}

/// Shows the user interface until the user leaves or the terminal or the hub
/// is gone. The terminal is given back on every way out.
///
/// # Errors
/// There is no terminal, or it cannot be used.
pub fn run(link: Link, options: UiOptions) -> Result<UiExit, UiError> {
    if !terminal::is_there() {
        return Err(UiError::NoTerminal);
    }
    let signals = Signals::register().map_err(UiError::Setup)?;
    let guard = Guard::take().map_err(UiError::Terminal)?;
    let stop = Arc::new(AtomicBool::new(false));
    let input = spawn_input(Arc::clone(&stop)).map_err(UiError::Setup)?;
    let mut session = Session::new(link, options, guard).map_err(UiError::Terminal)?;
    let exit = session.run(&signals, &input);
    stop.store(true, Ordering::Relaxed);
    let Session {
        link, guard, state, ..
    } = session;
    drop(guard);
    if exit == UiExit::Quit && state.role == Role::Owner {
        // The caller sees `Quit` as well, should the hub not take this.
        let _ = link
            .requests
            .try_send(Request::Shutdown { id: state.next_id });
    }
    Ok(exit)
}

/// The signals that end a process, turned into flags. A second one ends it at
/// once, should the first not be seen; so does every one after the interface
/// has ended.
struct Signals {
    end: Arc<AtomicBool>,
    hangup: Arc<AtomicBool>,
}

impl Signals {
    fn register() -> io::Result<Self> {
        let signals = Self {
            end: Arc::default(),
            hangup: Arc::default(),
        };
        for (signal, flag) in [
            (SIGTERM, &signals.end),
            (SIGINT, &signals.end),
            (SIGHUP, &signals.hangup),
        ] {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(flag))?;
            signal_hook::flag::register(signal, Arc::clone(flag))?;
        }
        Ok(signals)
    }

    fn exit(&self) -> Option<UiExit> {
        if self.hangup.load(Ordering::Relaxed) {
            Some(UiExit::TerminalClosed)
        } else if self.end.load(Ordering::Relaxed) {
            Some(UiExit::Quit)
        } else {
            None
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        self.hangup.store(true, Ordering::Relaxed);
    }
}

/// Starts the thread that reads the terminal. Its channel disconnects when the
/// terminal is gone.
fn spawn_input(stop: Arc<AtomicBool>) -> io::Result<Receiver<TerminalEvent>> {
    let (sender, receiver) = bounded(256);
    thread::Builder::new()
        .name("inspector-input".into())
        .spawn(
            move || {
                while !stop.load(Ordering::Relaxed) && read_input(&sender).is_ok() {}
            },
        )?;
    Ok(receiver)
}

/// Shortest time that crossterm looks for input at all.
const SHORTEST: Duration = Duration::from_millis(1);

/// Waits a moment for input and passes on what is there; an error when the
/// terminal is gone. A hang-up is looked for first: crossterm would read at a
/// closed terminal for ever.
fn read_input(to: &Sender<TerminalEvent>) -> io::Result<()> {
    let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    let moment = Timespec {
        tv_sec: 0,
        tv_nsec: TICK.as_nanos() as _,
    };
    match poll(&mut fds, Some(&moment)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let closed = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    if fds[0].revents().intersects(closed) || !terminal::is_there() {
        return Err(gone());
    }
    while event::poll(SHORTEST)? {
        to.send(event::read()?).map_err(|_| gone())?;
    }
    Ok(())
}

/// One run of the interface.
struct Session {
    state: State,
    link: Link,
    options: UiOptions,
    guard: Guard,
    theme: Theme,
    started: Instant,
    outbox: VecDeque<Request>,
    attempt: Receiver<Result<Link, String>>,
    is_attempting: bool,
    is_connected: bool,
    next_draw: Instant,
    seen_trouble: usize,
}

impl Session {
    fn new(link: Link, options: UiOptions, guard: Guard) -> io::Result<Self> {
        let size = guard.screen.size()?;
        let now = Instant::now();
        Ok(Self {
            state: State::new(options.role, (size.width, size.height)),
            link,
            options,
            guard,
            theme: Theme::from_env(|name| std::env::var(name).ok()),
            started: now,
            outbox: VecDeque::new(),
            attempt: never(),
            is_attempting: false,
            is_connected: true,
            next_draw: now,
            seen_trouble: 0,
        })
    }

    fn run(&mut self, signals: &Signals, input: &Receiver<TerminalEvent>) -> UiExit {
        loop {
            if let Some(exit) = signals.exit() {
                return exit;
            }
            if let Some(exit) = self.tick() {
                return exit;
            }
            if self.state.is_dirty && Instant::now() >= self.next_draw {
                if self.draw().is_err() {
                    return UiExit::TerminalClosed;
                }
                continue;
            }
            if let Some(exit) = self.wait(input) {
                return exit;
            }
        }
    }

    /// Time, size, trouble of other threads, waiting requests.
    fn tick(&mut self) -> Option<UiExit> {
        self.flush_outbox();
        if let Ok(size) = self.guard.screen.size()
            && (size.width, size.height) != self.state.size
        {
            self.apply(Message::Resize(size.width, size.height));
        }
        if let Some(trouble) = terminal::take_trouble(&mut self.seen_trouble) {
            self.apply(Message::Trouble(trouble));
        }
        self.apply(Message::Tick(self.started.elapsed().as_millis() as u64))
    }

    /// Waits for something to happen, then takes all that is there.
    fn wait(&mut self, input: &Receiver<TerminalEvent>) -> Option<UiExit> {
        let until_draw = self.next_draw.saturating_duration_since(Instant::now());
        let timeout = if self.state.is_dirty {
            until_draw.min(TICK)
        } else {
            TICK
        };
        let events = if self.is_connected {
            self.link.events.clone()
        } else {
            never()
        };
        let attempt = if self.is_attempting {
            self.attempt.clone()
        } else {
            never()
        };
        select! {
            recv(input) -> event => {
                let Ok(mut event) = event else { return Some(UiExit::TerminalClosed) };
                loop {
                    if let Some(exit) = self.terminal_event(&event) {
                        return Some(exit);
                    }
                    match input.try_recv() {
                        Ok(next) => event = next,
                        Err(_) => return None,
                    }
                }
            }
            recv(events) -> event => {
                let Ok(mut event) = event else { return self.hub_gone() };
                // What has piled up is drawn once; but not for ever.
                for _ in 0..512 {
                    if let Some(exit) = self.apply(Message::Hub(event)) {
                        return Some(exit);
                    }
                    match self.link.events.try_recv() {
                        Ok(next) => event = next,
                        Err(_) => return None,
                    }
                }
                None
            }
            recv(attempt) -> result => self.attempted(result.ok()),
            default(timeout) => None,
        }
    }

    fn terminal_event(&mut self, event: &TerminalEvent) -> Option<UiExit> {
        // Times of keys matter; the clock goes first.
        self.apply(Message::Tick(self.started.elapsed().as_millis() as u64));
        let message = match event {
            TerminalEvent::Key(key) => Message::Key(*key),
            TerminalEvent::Mouse(mouse) => Message::Mouse(*mouse),
            TerminalEvent::Resize(width, height) => Message::Resize(*width, *height),
            TerminalEvent::FocusLost => Message::FocusLost,
            TerminalEvent::FocusGained | TerminalEvent::Paste(_) => return None,
        };
        self.apply(message)
    }

    fn hub_gone(&mut self) -> Option<UiExit> {
        if self.options.role == Role::Owner || self.options.reconnect.is_none() {
            return Some(UiExit::HubGone);
        }
        self.is_connected = false;
        self.outbox.clear();
        self.apply(Message::Disconnected)
    }

    fn attempted(&mut self, result: Option<Result<Link, String>>) -> Option<UiExit> {
        self.is_attempting = false;
        match result {
            Some(Ok(link)) => {
                self.link = link;
                self.is_connected = true;
                self.apply(Message::Connected)
            }
            Some(Err(reason)) => self.apply(Message::ConnectFailed(reason)),
            None => self.apply(Message::ConnectFailed("the attempt failed".into())),
        }
    }

    fn apply(&mut self, message: Message) -> Option<UiExit> {
        let mut exit = None;
        for effect in update(&mut self.state, message) {
            match effect {
                Effect::Send(request) => self.send(request),
                Effect::Connect => self.connect(),
                Effect::Quit => exit = Some(UiExit::Quit),
            }
        }
        exit
    }

    /// Queues a request. A pointer that moves on makes its last place stale.
    fn send(&mut self, request: Request) {
        let is_move =
            |request: &Request| matches!(request, Request::Input(InputEvent::MouseMove { .. }));
        if is_move(&request) && self.outbox.back().is_some_and(is_move) {
            self.outbox.pop_back();
        }
        if self.outbox.len() >= OUTBOX {
            update(&mut self.state, Message::NotSent(request));
            return;
        }
        self.outbox.push_back(request);
        self.flush_outbox();
    }

    fn flush_outbox(&mut self) {
        while let Some(request) = self.outbox.pop_front() {
            match self.link.requests.try_send(request) {
                Ok(()) => {}
                Err(TrySendError::Full(request)) => {
                    self.outbox.push_front(request);
                    return;
                }
                // The events' end reports the loss.
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }

    fn connect(&mut self) {
        let attach = self
            .options
            .reconnect
            .clone()
            .filter(|attach| !attach.is_empty());
        let (sender, receiver) = bounded(1);
        let spawned = thread::Builder::new()
            .name("inspector-connect".into())
            .spawn(move || {
                let result = Link::connect(attach.as_deref(), "inspector");
                // The interface may have ended meanwhile.
                let _ = sender.send(
                    result
                        .map(|(link, _)| link)
                        .map_err(|error| error.to_string()),
                );
            });
        match spawned {
            Ok(_) => {
                self.attempt = receiver;
                self.is_attempting = true;
            }
            Err(error) => drop(self.apply(Message::ConnectFailed(error.to_string()))),
        }
    }

    /// Draws, and waits the longer for the next time the slower the terminal
    /// takes it.
    fn draw(&mut self) -> io::Result<()> {
        let started = Instant::now();
        let (state, theme) = (&self.state, self.theme);
        self.guard
            .screen
            .draw(|frame| view::draw(state, theme, frame.buffer_mut()))?;
        self.state.is_dirty = false;
        self.next_draw = started + FRAME.max(started.elapsed() * 2);
        Ok(())
    }
}
