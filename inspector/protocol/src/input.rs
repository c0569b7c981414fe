//! Keys and mouse as they travel from a terminal to the game.

use serde::{Deserialize, Serialize};

/// One thing the player did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputEvent {
    /// A key went down (or repeats).
    KeyDown(Key),
    /// A key went up. Terminals that cannot tell send it a moment after the
    /// last repeat.
    KeyUp(Key),
    /// The pointer moved to a cell of the viewport, from 0.
    MouseMove {
        /// Column.
        x: u16,
        /// Row.
        y: u16,
    },
    /// A button went down at the last position.
    MouseDown(MouseButton),
    /// A button went up.
    MouseUp(MouseButton),
    /// The game lost the focus: nothing is held any more.
    FocusLost,
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MouseButton {
    /// Left.
    Left,
    /// Right.
    Right,
    /// Middle.
    Middle,
}
