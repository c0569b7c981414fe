//! Between the types of the protocol and those of game code.

use engine_api::input::{Input, Key, MouseButton};
use engine_api::viewport::{Color, Viewport};
use inspector_protocol::input as wire;
use inspector_protocol::viewport::{Rgb, ViewportCell, ViewportFrame};

fn key(key: wire::Key) -> Key {
    match key {
        wire::Key::Char(character) => Key::Char(character),
        wire::Key::Up => Key::Up,
        wire::Key::Down => Key::Down,
        wire::Key::Left => Key::Left,
        wire::Key::Right => Key::Right,
        wire::Key::Enter => Key::Enter,
        wire::Key::Esc => Key::Esc,
        wire::Key::Tab => Key::Tab,
        wire::Key::Backspace => Key::Backspace,
        wire::Key::Delete => Key::Delete,
        wire::Key::Home => Key::Home,
        wire::Key::End => Key::End,
        wire::Key::PageUp => Key::PageUp,
        wire::Key::PageDown => Key::PageDown,
        wire::Key::F(number) => Key::F(number),
    }
}

fn button(button: wire::MouseButton) -> MouseButton {
    match button {
        wire::MouseButton::Left => MouseButton::Left,
        wire::MouseButton::Right => MouseButton::Right,
        wire::MouseButton::Middle => MouseButton::Middle,
    }
}

/// Lets the game see what the player did.
pub(crate) fn apply_input(input: &mut Input, event: wire::InputEvent) {
    match event {
        wire::InputEvent::KeyDown(pressed) => input.key_down(key(pressed)),
        wire::InputEvent::KeyUp(released) => input.key_up(key(released)),
        wire::InputEvent::MouseMove { x, y } => input.mouse_move(x, y),
        wire::InputEvent::MouseDown(pressed) => input.button(button(pressed), true),
        wire::InputEvent::MouseUp(released) => input.button(button(released), false),
        wire::InputEvent::FocusLost => input.release_all(),
    }
}

/// The picture as it travels.
pub(crate) fn picture(viewport: &Viewport, frame: u64) -> ViewportFrame {
    let rgb = |color: Color| Rgb(color.0, color.1, color.2);
    ViewportFrame {
        frame,
        width: viewport.width(),
        height: viewport.height(),
        cells: viewport
            .cells()
            .iter()
            .map(|cell| ViewportCell {
                ch: cell.ch,
                fg: cell.fg.map(rgb),
                bg: cell.bg.map(rgb),
            })
            .collect(),
    }
}
