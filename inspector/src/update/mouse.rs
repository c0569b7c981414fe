//! Clicks, the wheel, and the mouse in the game.

use crossterm::event::{MouseEvent, MouseEventKind};
use inspector_protocol::input::InputEvent;
use ratatui::layout::{Position, Rect};

use super::{Effect, act, input, set_focus};
use crate::input::game_button;
use crate::layout::{centred, tab_names, window};
use crate::rows;
use crate::state::{Focus, Overlay, State};
use crate::view;

/// Rows the wheel scrolls by.
const WHEEL: isize = 3;

/// Applies a mouse event.
pub(super) fn mouse(state: &mut State, event: MouseEvent, effects: &mut Vec<Effect>) {
    let at = Position::new(event.column, event.row);
    match event.kind {
        MouseEventKind::ScrollUp => wheel(state, at, -WHEEL),
        MouseEventKind::ScrollDown => wheel(state, at, WHEEL),
        // A button let go anywhere is let go in the game.
        MouseEventKind::Up(button) if state.held_buttons.contains(&game_button(button)) => {
            let button = game_button(button);
            state.held_buttons.retain(|held| *held != button);
            input(state, InputEvent::MouseUp(button), effects);
        }
        _ if state.confirm.is_some() || state.overlay != Overlay::None => {}
        MouseEventKind::Down(button) => {
            let area = state.layout().game;
            if area.is_some_and(|area| area.contains(at)) {
                set_focus(state, Focus::Game, effects);
            }
            if let Some((x, y)) = area.and_then(|area| game_cell(state, area, at)) {
                let button = game_button(button);
                state.held_buttons.push(button);
                input(state, InputEvent::MouseMove { x, y }, effects);
                input(state, InputEvent::MouseDown(button), effects);
            } else if !area.is_some_and(|area| area.contains(at)) {
                click(state, at, effects);
            }
        }
        MouseEventKind::Moved | MouseEventKind::Drag(_) if state.focus == Focus::Game => {
            let cell = state
                .layout()
                .game
                .and_then(|area| game_cell(state, area, at));
            if let Some((x, y)) = cell {
                input(state, InputEvent::MouseMove { x, y }, effects);
            }
        }
        _ => {}
    }
}

/// The cell of the game's picture at a cell of the screen.
fn game_cell(state: &State, area: Rect, at: Position) -> Option<(u16, u16)> {
    let frame = state.shown().viewport.as_ref()?;
    if !area.contains(at) {
        return None;
    }
    let axis = |at: u16, start: u16, length: u16, space: u16| {
        let (space_skip, skip, drawn) = centred(length, space);
        let offset = (at - start).checked_sub(space_skip)?;
        (offset < drawn).then(|| offset + skip)
    };
    Some((
        axis(at.x, area.x, frame.width, area.width)?,
        axis(at.y, area.y, frame.height, area.height)?,
    ))
}

/// A click outside the game: a tab, a row, a frame.
fn click(state: &mut State, at: Position, effects: &mut Vec<Effect>) {
    let layout = state.layout();
    if let Some(tabs) = layout.tabs.filter(|tabs| tabs.contains(at)) {
        let names = tab_names(tabs.width, view::badges(state));
        let column = at.x - tabs.x;
        if let Some((panel, ..)) = names.into_iter().find(|(.., span)| span.contains(&column)) {
            set_focus(state, Focus::Panels, effects);
            act::show(state, panel);
        }
        return;
    }
    for area in layout.panels {
        let whole = area.frame.unwrap_or(area.rows);
        if !whole.contains(at) {
            continue;
        }
        set_focus(state, Focus::Panels, effects);
        if !area.rows.contains(at) {
            act::show(state, area.panel);
            return;
        }
        let count = rows::count(state.shown(), area.panel);
        let selected = state.selected[area.panel.index()];
        let row = window(selected, count, area.rows.height) + usize::from(at.y - area.rows.y);
        if row >= count {
            act::show(state, area.panel);
            return;
        }
        // A click on the row that is already selected opens it.
        let again = state.panel == area.panel && selected == row;
        act::select(state, area.panel, row);
        if again {
            act::open(state);
        }
        return;
    }
}

fn wheel(state: &mut State, at: Position, rows: isize) {
    if state.confirm.is_some() {
        return;
    }
    let step = act::Step::Rows(rows);
    if state.overlay != Overlay::None {
        act::scroll(state, step);
        state.is_dirty = true;
        return;
    }
    let layout = state.layout();
    let over = layout
        .panels
        .iter()
        .find(|area| area.frame.unwrap_or(area.rows).contains(at));
    if let Some(area) = over {
        act::show(state, area.panel);
        act::scroll(state, step);
    }
}
