//! What the player does.

use std::collections::HashSet;

use bevy_ecs::resource::Resource;
use bevy_reflect::Reflect;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Reflect)]
pub enum Key {
    /// A character key, as typed. Space is `Char(' ')`.
    Char(char),
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// F1 to F12.
    F(u8),
}

/// A mouse button.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MouseButton {
    /// Left.
    Left,
    /// Right.
    Right,
    /// Middle.
    Middle,
}

/// Keys and mouse, a resource that the engine keeps up to date.
///
/// "Pressed" and "released" hold for exactly one frame. Many terminals cannot
/// report the release of a key; there a key counts as held until a moment after
/// its last repeat.
#[derive(Resource, Debug, Clone, Default)]
pub struct Input {
    held: HashSet<Key>,
    pressed: HashSet<Key>,
    released: HashSet<Key>,
    buttons: HashSet<MouseButton>,
    clicked: HashSet<MouseButton>,
    mouse: Option<(u16, u16)>,
}

impl Input {
    /// Whether `key` is down.
    pub fn held(&self, key: Key) -> bool {
        self.held.contains(&key)
    }

    /// Whether `key` went down in this frame.
    pub fn pressed(&self, key: Key) -> bool {
        self.pressed.contains(&key)
    }

    /// Whether `key` went up in this frame.
    pub fn released(&self, key: Key) -> bool {
        self.released.contains(&key)
    }

    /// Whether any of `keys` is down.
    pub fn any_held(&self, keys: &[Key]) -> bool {
        keys.iter().any(|key| self.held(*key))
    }

    /// Keys that went down in this frame.
    pub fn keys_pressed(&self) -> impl Iterator<Item = Key> + '_ {
        self.pressed.iter().copied()
    }

    /// Whether `button` is down.
    pub fn button_held(&self, button: MouseButton) -> bool {
        self.buttons.contains(&button)
    }

    /// Whether `button` went down in this frame.
    pub fn clicked(&self, button: MouseButton) -> bool {
        self.clicked.contains(&button)
    }

    /// Cell of the viewport the pointer is in, `None` before it first moved there.
    pub fn mouse(&self) -> Option<(u16, u16)> {
        self.mouse
    }

    /// Forgets what held for one frame only. The engine calls it once per frame.
    pub fn end_frame(&mut self) {
        self.pressed.clear();
        self.released.clear();
        self.clicked.clear();
    }

    /// A key went down. Repeats of a held key do not count as pressed again.
    pub fn key_down(&mut self, key: Key) {
        if self.held.insert(key) {
            self.pressed.insert(key);
        }
    }

    /// A key went up.
    pub fn key_up(&mut self, key: Key) {
        if self.held.remove(&key) {
            self.released.insert(key);
        }
    }

    /// The pointer moved to a cell.
    pub fn mouse_move(&mut self, x: u16, y: u16) {
        self.mouse = Some((x, y));
    }

    /// A button went down or up.
    pub fn button(&mut self, button: MouseButton, down: bool) {
        if !down {
            self.buttons.remove(&button);
        } else if self.buttons.insert(button) {
            self.clicked.insert(button);
        }
    }

    /// Nothing is held any more: the game lost the focus.
    pub fn release_all(&mut self) {
        self.released.extend(self.held.drain());
        self.buttons.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_press_holds_for_one_frame_and_a_repeat_is_no_press() {
        let mut input = Input::default();
        input.key_down(Key::Up);
        assert!(input.pressed(Key::Up) && input.held(Key::Up));
        input.end_frame();
        input.key_down(Key::Up);
        assert!(!input.pressed(Key::Up) && input.held(Key::Up));
        input.key_up(Key::Up);
        assert!(input.released(Key::Up) && !input.held(Key::Up));
        input.end_frame();
        assert!(!input.released(Key::Up));
    }

    #[test]
    fn losing_the_focus_releases_everything() {
        let mut input = Input::default();
        input.key_down(Key::Char('a'));
        input.button(MouseButton::Left, true);
        input.release_all();
        assert!(!input.held(Key::Char('a')) && input.released(Key::Char('a')));
        assert!(!input.button_held(MouseButton::Left));
    }
}
