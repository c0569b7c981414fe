//! A drawn frame of the game's cell grid.

use serde::{Deserialize, Serialize};

/// One frame of the game's picture, row by row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewportFrame {
    /// Frame number it was drawn in.
    pub frame: u64,
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// `width * height` cells, row by row.
    pub cells: Vec<ViewportCell>,
}

/// One cell: a character and its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewportCell {
    /// The character; a wide one is followed by a cell holding `'\0'`.
    pub ch: char,
    /// Foreground, `None` for the terminal's own.
    pub fg: Option<Rgb>,
    /// Background, `None` for the terminal's own.
    pub bg: Option<Rgb>,
}

impl Default for ViewportCell {
    fn default() -> Self {
        Self {
            ch: ' ',
            fg: None,
            bg: None,
        }
    }
}

/// Red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rgb(pub u8, pub u8, pub u8);
