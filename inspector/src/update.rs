//! `update(state, message) -> effects`: all that ever changes the state. Pure:
//! no terminal, no socket, no clock.
//!
//! | part | holds |
//! |---|---|
//! | this file | messages, effects, the connection, the clock |
//! | `hub` | what arrives from the hub |
//! | `act` | keys and what they do |
//! | `mouse` | clicks, wheel, the mouse in the game |

mod act;
mod hub;
mod mouse;
#[cfg(test)]
mod tests;

use crossterm::event::{KeyEvent, MouseEvent};
use inspector_protocol::input::InputEvent;
use inspector_protocol::message::{Event, Request, Subscription};
use inspector_protocol::status::ReloadOutcome;

use crate::state::{Connection, Focus, Notice, Overlay, Pending, State, Told};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Message {
    /// Time passed; milliseconds since the start of the user interface.
    Tick(u64),
    /// A key.
    Key(KeyEvent),
    /// The mouse.
    Mouse(MouseEvent),
    /// The terminal has another size.
    Resize(u16, u16),
    /// The terminal lost the focus.
    FocusLost,
    /// The hub said something.
    Hub(Event),
    /// The hub is gone; another attempt will be made.
    Disconnected,
    /// An attempt to connect again failed.
    ConnectFailed(String),
    /// Connected again.
    Connected,
    /// A request could not be handed over: the hub does not take any.
    NotSent(Request),
    /// Something went wrong in this process.
    Trouble(String),
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send it to the hub.
    Send(Request),
    /// Try to connect again.
    Connect,
    /// Leave; under [`crate::ui::Role::Owner`] this ends the game.
    Quit,
}

/// Whether what was asked for happened. A host restarted with the new code did
/// not swap it in.
pub fn is_success(outcome: ReloadOutcome) -> bool {
    match outcome {
        ReloadOutcome::Applied | ReloadOutcome::Unchanged | ReloadOutcome::RolledBack => true,
        ReloadOutcome::CompileError
        | ReloadOutcome::Rejected
        | ReloadOutcome::LoadError
        | ReloadOutcome::Restarted => false,
    }
}

/// Applies a message.
pub fn update(state: &mut State, message: Message) -> Vec<Effect> {
    let mut effects = Vec::new();
    match message {
        Message::Tick(now_ms) => tick(state, now_ms, &mut effects),
        Message::Key(event) => act::key(state, &event, &mut effects),
        Message::Mouse(event) => mouse::mouse(state, event, &mut effects),
        Message::Resize(width, height) => {
            state.is_dirty |= state.size != (width, height);
            state.size = (width, height);
            act::clamp_scroll(state);
        }
        Message::FocusLost => release_input(state, &mut effects),
        Message::Hub(event) => hub::event(state, event),
        Message::Disconnected => disconnected(state),
        Message::ConnectFailed(reason) => {
            if let Connection::Connecting { attempts } = state.connection {
                state.connection = lost(state.now_ms, attempts);
            }
            notice(state, reason, true);
        }
        Message::Connected => connected(state),
        Message::NotSent(request) => not_sent(state, &request),
        Message::Trouble(text) => notice(state, crate::text::clean_line(&text), true),
    }
    tell_viewport(state, &mut effects);
    effects
}

fn tick(state: &mut State, now_ms: u64, effects: &mut Vec<Effect>) {
    // A second that passed shows in countdowns; a result that has gone stale
    // leaves the hint line.
    let had_notice = state.fresh_notice().is_some();
    let had_second = state.now_ms / 1000;
    state.now_ms = now_ms;
    let counts_down = state.connection != Connection::Connected;
    state.is_dirty |= had_notice != state.fresh_notice().is_some()
        || (counts_down && had_second != now_ms / 1000);
    for event in state.held.expire(now_ms) {
        input(state, event, effects);
    }
    if let Connection::Lost {
        attempts,
        retry_at_ms,
    } = state.connection
        && now_ms >= retry_at_ms
    {
        state.connection = Connection::Connecting {
            attempts: attempts + 1,
        };
        state.is_dirty = true;
        effects.push(Effect::Connect);
    }
}

fn disconnected(state: &mut State) {
    state.connection = lost(state.now_ms, 0);
    state.held.clear();
    state.held_buttons.clear();
    let unanswered: Vec<_> = state
        .pending
        .drain(..)
        .map(|pending| pending.what)
        .collect();
    if unanswered.is_empty() {
        notice(state, "the connection to the engine was lost".into(), true);
    } else {
        let what = unanswered.join(", ");
        notice(
            state,
            format!("the connection was lost before an answer: {what}"),
            true,
        );
    }
}

/// Half a second at first, doubling up to eight.
fn lost(now_ms: u64, attempts: u32) -> Connection {
    Connection::Lost {
        attempts,
        retry_at_ms: now_ms + (500 << attempts.min(4)),
    }
}

fn connected(state: &mut State) {
    state.connection = Connection::Connected;
    // The hub sends its last log lines and a status first; what is known from
    // before may be another run's.
    state.live = crate::state::Model::default();
    state.frozen = None;
    state.follow = true;
    state.told = Told::default();
    state.dropped = 0;
    notice(state, "connected again".into(), false);
}

fn not_sent(state: &mut State, request: &Request) {
    let id = match request {
        Request::Status { id }
        | Request::Call { id, .. }
        | Request::Reload { id, .. }
        | Request::Push { id, .. }
        | Request::Rollback { id, .. }
        | Request::RestartHost { id }
        | Request::Shutdown { id } => Some(*id),
        _ => None,
    };
    let index = state
        .pending
        .iter()
        .position(|pending| Some(pending.id) == id);
    let what = index.map_or("input".into(), |index| state.pending.remove(index).what);
    notice(
        state,
        format!("not sent, the engine does not take requests: {what}"),
        true,
    );
}

/// Shows a result on the hint line.
fn notice(state: &mut State, text: String, is_error: bool) {
    state.notice = Some(Notice {
        text,
        is_error,
        at_ms: state.now_ms,
    });
    state.is_dirty = true;
}

/// Sends a request that will be answered, and remembers it.
fn ask(
    state: &mut State,
    what: String,
    request: impl FnOnce(u64) -> Request,
    effects: &mut Vec<Effect>,
) {
    if state.connection != Connection::Connected {
        notice(
            state,
            format!("not sent, there is no connection: {what}"),
            true,
        );
        return;
    }
    let id = state.next_id;
    state.next_id += 1;
    state.notice = None;
    state.pending.push(Pending { id, what });
    state.is_dirty = true;
    effects.push(Effect::Send(request(id)));
}

/// Passes input on to the game while there is one to hear it.
fn input(state: &State, event: InputEvent, effects: &mut Vec<Effect>) {
    if state.connection == Connection::Connected {
        effects.push(Effect::Send(Request::Input(event)));
    }
}

/// Lets go of everything the game was told is held.
fn release_input(state: &mut State, effects: &mut Vec<Effect>) {
    let keys = state.held.clear();
    let buttons = !state.held_buttons.is_empty();
    state.held_buttons.clear();
    if keys || buttons {
        input(state, InputEvent::FocusLost, effects);
    }
}

/// Gives the focus to the game or the panels.
fn set_focus(state: &mut State, focus: Focus, effects: &mut Vec<Effect>) {
    if state.focus == focus {
        return;
    }
    match focus {
        Focus::Panels => release_input(state, effects),
        // Whoever plays wants to see the game, not the past.
        Focus::Game if state.frozen.is_some() => {
            act::unfreeze(state);
            notice(state, "the view goes on".into(), false);
        }
        Focus::Game => {}
    }
    state.focus = focus;
    state.is_dirty = true;
}

/// Tells the hub how large the game is shown, and to send no frames while it
/// is not shown at all.
fn tell_viewport(state: &mut State, effects: &mut Vec<Effect>) {
    if state.connection != Connection::Connected {
        return;
    }
    let area = state.layout().game;
    let covered = state.overlay != Overlay::None;
    let visible = area.is_some() && !covered;
    if state.told.visible != Some(visible) {
        state.told.visible = Some(visible);
        let wanted = Subscription {
            status: true,
            logs: true,
            viewport: visible,
        };
        effects.push(Effect::Send(Request::Subscribe(wanted)));
    }
    let size = area.map(|area| (area.width, area.height));
    if let Some((width, height)) = size
        && state.told.size != size
    {
        state.told.size = size;
        effects.push(Effect::Send(Request::ViewportSize { width, height }));
    }
}
