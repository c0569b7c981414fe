//! Keys and what they do.

use crossterm::event::{KeyEvent, KeyEventKind};
use inspector_protocol::message::Request;
use inspector_protocol::status::{HostState, ReloadOutcome, Status};

use super::{Effect, ask, input, notice, set_focus};
use crate::input::typed;
use crate::keys::{self, Action, Context};
use crate::rows;
use crate::state::{Confirm, Connection, Focus, Overlay, Panel, State};
use crate::ui::Role;
use crate::view;

/// Applies a key.
pub(super) fn key(state: &mut State, event: &KeyEvent, effects: &mut Vec<Effect>) {
    let Some(event) = &typed(event) else { return };
    let context = state.context();
    let is_release = event.kind == KeyEventKind::Release;
    let action = keys::lookup(context, event);
    match action {
        // A key held down scrolls on, but does nothing else twice.
        Some(action) if event.kind == KeyEventKind::Repeat && !action.is_scroll() => {}
        Some(action) if !is_release => act(state, action, effects),
        // A release of a key the game was told is down goes to it whatever the
        // key means otherwise.
        _ if context == Context::Game || is_release => {
            if let Some(event) = state.held.event(event, state.now_ms) {
                input(state, event, effects);
            }
        }
        _ => {}
    }
}

fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    state.is_dirty = true;
    match action {
        Action::SwitchFocus => {
            let other = match state.focus {
                Focus::Game => Focus::Panels,
                Focus::Panels => Focus::Game,
            };
            set_focus(state, other, effects);
        }
        Action::LeaveGame => set_focus(state, Focus::Panels, effects),
        Action::Show(panel) => show(state, panel),
        Action::Up => scroll(state, Step::Rows(-1)),
        Action::Down => scroll(state, Step::Rows(1)),
        Action::PageUp => scroll(state, Step::Pages(-1)),
        Action::PageDown => scroll(state, Step::Pages(1)),
        Action::First => scroll(state, Step::First),
        Action::Last => scroll(state, Step::Last),
        Action::Open => open(state),
        Action::Close => state.overlay = Overlay::None,
        Action::Help => {
            state.overlay = match state.overlay {
                Overlay::Help { .. } => Overlay::None,
                _ => Overlay::Help { scroll: 0 },
            };
        }
        Action::Reload => with_module(state, |state, module| {
            let what = format!("reload {module}");
            ask(state, what, |id| Request::Reload { id, module }, effects);
        }),
        Action::Rollback => with_module(state, |state, module| {
            // It is the code that does not get on which somebody wants to leave.
            let stalled = state.live.stall().filter(|stall| !stall.module.is_empty());
            let module = stalled.map_or(module, |stall| stall.module.clone());
            let before = state
                .live
                .status
                .as_ref()
                .and_then(|status| rollback_target(status, &module));
            state.confirm = Some(Confirm::Rollback { module, before });
        }),
        Action::Restart => {
            if state.live.host() == Some(HostState::Down) {
                restart(state, effects);
            } else {
                state.confirm = Some(Confirm::Restart);
            }
        }
        Action::Wait => state.waits = !state.waits,
        Action::Follow => {
            state.follow = !state.follow;
            if state.follow {
                scroll_log_to_end(state);
            }
        }
        Action::Freeze => {
            if state.frozen.is_some() {
                unfreeze(state);
            } else {
                state.frozen = Some(Box::new(state.live.clone()));
            }
        }
        Action::Quit => quit(state, effects),
        Action::Interrupt => {
            if state.confirm == Some(Confirm::Quit) {
                effects.push(Effect::Quit);
            } else {
                quit(state, effects);
            }
        }
        Action::Yes | Action::YesWithState => {
            confirmed(state, action == Action::YesWithState, effects);
        }
        Action::No => state.confirm = None,
    }
}

fn quit(state: &mut State, effects: &mut Vec<Effect>) {
    match state.role {
        Role::Owner => state.confirm = Some(Confirm::Quit),
        Role::Attached => effects.push(Effect::Quit),
    }
}

fn confirmed(state: &mut State, with_state: bool, effects: &mut Vec<Effect>) {
    match state.confirm.take() {
        Some(Confirm::Quit) => effects.push(Effect::Quit),
        Some(Confirm::Restart) => restart(state, effects),
        Some(Confirm::Rollback { module, .. }) => {
            let what = format!("roll back {module}");
            let request = |id| Request::Rollback {
                id,
                module,
                state: with_state,
            };
            ask(state, what, request, effects);
        }
        None => {}
    }
}

/// The version that a rollback of a module goes back to, as far as it can be known from
/// here: what became active before the code that runs, without what was rolled back.
fn rollback_target(status: &Status, name: &str) -> Option<u32> {
    let module = status.modules.iter().find(|module| module.name == name)?;
    let hash = |version: u32| {
        let known = module.versions.iter();
        let mut known = known.filter(|known| known.version == version);
        known.next().map(|known| known.hash.as_str())
    };
    let mut applied: Vec<u32> = Vec::new();
    for reload in status.reloads.iter().filter(|reload| reload.module == name) {
        let Some(version) = reload.to else { continue };
        match reload.outcome {
            ReloadOutcome::Applied => {
                if reload.from.is_none() || reload.trigger == "external build" {
                    // A new host counts versions from one again, and what others build
                    // the engine does not keep.
                    applied.clear();
                }
                // The same code once more takes its own place.
                if let Some(last) = applied.last()
                    && hash(*last) == hash(version)
                {
                    applied.pop();
                }
                applied.push(version);
            }
            ReloadOutcome::RolledBack => {
                applied.truncate(applied.len().saturating_sub(2));
                applied.push(version);
            }
            _ => {}
        }
    }
    match applied.as_slice() {
        [.., before, last] if module.active == Some(*last) => hash(*before).map(|_| *before),
        _ => None,
    }
}

fn restart(state: &mut State, effects: &mut Vec<Effect>) {
    ask(
        state,
        "restart".into(),
        |id| Request::RestartHost { id },
        effects,
    );
}

/// Shows a panel; the module of its selected row is what `r` and `b` act on.
pub(super) fn show(state: &mut State, panel: Panel) {
    state.panel = panel;
    remember_module(state);
    state.is_dirty = true;
}

/// Selects a row of a panel.
pub(super) fn select(state: &mut State, panel: Panel, row: usize) {
    let last = rows::count(state.shown(), panel).saturating_sub(1);
    state.selected[panel.index()] = row.min(last);
    if panel == Panel::Log {
        state.follow = row >= last;
    }
    show(state, panel);
}

pub(super) fn open(state: &mut State) {
    let row = state.selected[state.panel.index()];
    match rows::detail(state.shown(), state.panel, row) {
        Some(detail) => {
            state.overlay = Overlay::Detail {
                detail: Box::new(detail),
                scroll: 0,
            };
        }
        None => notice(state, "nothing to open here".into(), false),
    }
}

fn remember_module(state: &mut State) {
    let row = state.selected[state.panel.index()];
    if let Some(module) = rows::module(state.shown(), state.panel, row) {
        state.module = Some(module.to_owned());
    }
}

/// Runs something with the selected module: the selected row's, else the last
/// one selected, else the first.
fn with_module(state: &mut State, then: impl FnOnce(&mut State, String)) {
    remember_module(state);
    let modules = state
        .live
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.modules);
    let exists = |name: &&str| modules.iter().any(|module| module.name == **name);
    let name = state.module.as_deref().filter(exists);
    let name = name.or_else(|| modules.first().map(|module| module.name.as_str()));
    match name.map(str::to_owned) {
        Some(name) if state.connection == Connection::Connected => then(state, name),
        Some(_) => notice(state, "there is no connection to the engine".into(), true),
        None => notice(state, "there is no module".into(), true),
    }
}

#[derive(Clone, Copy)]
pub(super) enum Step {
    Rows(isize),
    Pages(isize),
    First,
    Last,
}

impl Step {
    fn apply(self, at: usize, last: usize, page: usize) -> usize {
        let to = match self {
            Self::Rows(rows) => at.saturating_add_signed(rows),
            Self::Pages(pages) => at.saturating_add_signed(pages * page.max(1) as isize),
            Self::First => 0,
            Self::Last => last,
        };
        to.min(last)
    }
}

/// Scrolls what has the focus: what is open, else the selected panel.
pub(super) fn scroll(state: &mut State, step: Step) {
    if let Some((last, page)) = overlay_extent(state) {
        let (Overlay::Help { scroll } | Overlay::Detail { scroll, .. }) = &mut state.overlay else {
            return;
        };
        *scroll = step.apply(*scroll, last, page);
        return;
    }
    let panel = state.panel;
    let page = state
        .layout()
        .panels
        .iter()
        .find(|area| area.panel == panel)
        .map_or(1, |area| usize::from(area.rows.height));
    let last = rows::count(state.shown(), panel).saturating_sub(1);
    let row = step.apply(state.selected[panel.index()], last, page);
    select(state, panel, row);
}

/// Last first line and lines of a page of what covers the body.
fn overlay_extent(state: &State) -> Option<(usize, usize)> {
    let (lines, page) = view::overlay_extent(state)?;
    Some((lines.saturating_sub(page), page))
}

/// Keeps what is open inside its text after a change of size.
pub(super) fn clamp_scroll(state: &mut State) {
    if state.overlay != Overlay::None {
        scroll(state, Step::Rows(0));
    }
}

/// Keeps selections inside their panels after a change of the model.
pub(super) fn clamp_selection(state: &mut State) {
    for panel in Panel::ALL {
        let last = rows::count(state.shown(), panel).saturating_sub(1);
        let row = &mut state.selected[panel.index()];
        *row = (*row).min(last);
    }
}

/// Shows what is so now again.
pub(super) fn unfreeze(state: &mut State) {
    state.frozen = None;
    if state.follow {
        scroll_log_to_end(state);
    }
    clamp_selection(state);
}

fn scroll_log_to_end(state: &mut State) {
    state.selected[Panel::Log.index()] = state.shown().log.len().saturating_sub(1);
}
