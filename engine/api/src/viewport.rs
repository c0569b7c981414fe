//! The picture a game draws: a grid of character cells.
//!
//! The origin is the top left cell. Drawing outside is allowed and does nothing.
//! For smooth shapes every cell is also a raster of 2 by 4 braille dots
//! (Unicode block U+2800): [`Viewport::dot`], [`Viewport::line`] and
//! [`Viewport::circle`] take dot coordinates.

use bevy_ecs::resource::Resource;

/// Red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Color(pub u8, pub u8, pub u8);

impl Color {
    /// Black.
    pub const BLACK: Self = Self(0, 0, 0);
    /// White.
    pub const WHITE: Self = Self(255, 255, 255);
    /// Grey.
    pub const GRAY: Self = Self(128, 128, 128);
    /// Red.
    pub const RED: Self = Self(231, 76, 60);
    /// Green.
    pub const GREEN: Self = Self(80, 200, 120);
    /// Blue.
    pub const BLUE: Self = Self(70, 130, 240);
    /// Yellow.
    pub const YELLOW: Self = Self(241, 196, 15);
    /// Cyan.
    pub const CYAN: Self = Self(70, 210, 220);
    /// Magenta.
    pub const MAGENTA: Self = Self(200, 90, 220);
    /// Orange.
    pub const ORANGE: Self = Self(240, 140, 40);

    /// The colour between this and `other`: `0.0` is this, `1.0` the other.
    #[must_use]
    pub fn mix(self, other: Self, amount: f32) -> Self {
        let amount = amount.clamp(0.0, 1.0);
        let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * amount) as u8;
        Self(
            mix(self.0, other.0),
            mix(self.1, other.1),
            mix(self.2, other.2),
        )
    }
}

/// One cell: a character and its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The character.
    pub ch: char,
    /// Colour of the character, `None` for the terminal's own.
    pub fg: Option<Color>,
    /// Colour behind it, `None` for the terminal's own.
    pub bg: Option<Color>,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            ch: ' ',
            fg: None,
            bg: None,
        }
    }
}

/// The picture, a resource. The engine clears it before the `Render` stage and
/// sets its size to what the player's terminal shows.
#[derive(Resource, Debug, PartialEq, Eq)]
pub struct Viewport {
    width: u16,
    height: u16,
    cells: Vec<Cell>,
}

impl Clone for Viewport {
    fn clone(&self) -> Self {
        Self {
            width: self.width,
            height: self.height,
            cells: self.cells.clone(),
        }
    }

    // Keeps the allocation, for those who copy a picture every frame.
    fn clone_from(&mut self, other: &Self) {
        (self.width, self.height) = (other.width, other.height);
        self.cells.clone_from(&other.cells);
    }
}

impl Default for Viewport {
    fn default() -> Self {
        Self::new(80, 24)
    }
}

impl Viewport {
    /// An empty picture.
    pub fn new(width: u16, height: u16) -> Self {
        Self {
            width,
            height,
            cells: vec![Cell::default(); usize::from(width) * usize::from(height)],
        }
    }

    /// Columns.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u16 {
        self.height
    }

    /// Columns of braille dots: twice the width.
    pub fn dot_width(&self) -> i32 {
        i32::from(self.width) * 2
    }

    /// Rows of braille dots: four times the height.
    pub fn dot_height(&self) -> i32 {
        i32::from(self.height) * 4
    }

    /// All cells, row by row.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Changes the size and clears.
    pub fn resize(&mut self, width: u16, height: u16) {
        if (width, height) == (self.width, self.height) {
            return self.clear();
        }
        *self = Self::new(width, height);
    }

    /// Makes every cell empty.
    pub fn clear(&mut self) {
        self.cells.fill(Cell::default());
    }

    /// The cell at a position, `None` outside.
    pub fn get(&self, x: i32, y: i32) -> Option<&Cell> {
        self.index(x, y).map(|index| &self.cells[index])
    }

    /// Puts a character, keeping the background.
    pub fn put(&mut self, x: i32, y: i32, ch: char, fg: Color) {
        if let Some(index) = self.index(x, y) {
            let cell = &mut self.cells[index];
            cell.ch = if ch.is_control() { ' ' } else { ch };
            cell.fg = Some(fg);
        }
    }

    /// Writes text from left to right, keeping the background.
    pub fn text(&mut self, x: i32, y: i32, text: &str, fg: Color) {
        for (offset, ch) in text.chars().enumerate() {
            self.put(x + offset as i32, y, ch, fg);
        }
    }

    /// Writes text in the middle of a row.
    pub fn text_centered(&mut self, y: i32, text: &str, fg: Color) {
        let length = text.chars().count() as i32;
        self.text((i32::from(self.width) - length) / 2, y, text, fg);
    }

    /// Sets the background of one cell.
    pub fn background(&mut self, x: i32, y: i32, bg: Color) {
        if let Some(index) = self.index(x, y) {
            self.cells[index].bg = Some(bg);
        }
    }

    /// Fills a rectangle's background.
    pub fn fill(&mut self, x: i32, y: i32, width: i32, height: i32, bg: Color) {
        for row in y.max(0)..(y + height).min(i32::from(self.height)) {
            for column in x.max(0)..(x + width).min(i32::from(self.width)) {
                self.background(column, row, bg);
            }
        }
    }

    /// Draws a frame of line characters around a rectangle of cells.
    pub fn frame(&mut self, x: i32, y: i32, width: i32, height: i32, fg: Color) {
        if width < 2 || height < 2 {
            return;
        }
        let (right, bottom) = (x + width - 1, y + height - 1);
        for column in x.max(0)..=right.min(i32::from(self.width)) {
            self.put(column, y, '─', fg);
            self.put(column, bottom, '─', fg);
        }
        for row in y.max(0)..=bottom.min(i32::from(self.height)) {
            self.put(x, row, '│', fg);
            self.put(right, row, '│', fg);
        }
        for (column, row, ch) in [
            (x, y, '┌'),
            (right, y, '┐'),
            (x, bottom, '└'),
            (right, bottom, '┘'),
        ] {
            self.put(column, row, ch, fg);
        }
    }

    /// Sets one braille dot. The whole cell takes the colour, and a character
    /// that was there gives way.
    pub fn dot(&mut self, x: i32, y: i32, fg: Color) {
        // Bits of the dots in a braille cell, by row and column (Unicode 15, 2800-28FF).
        const BITS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        if x < 0 || y < 0 {
            return;
        }
        let Some(index) = self.index(x / 2, y / 4) else {
            return;
        };
        let cell = &mut self.cells[index];
        let bits = match u32::from(cell.ch) {
            code @ 0x2800..=0x28ff => code - 0x2800,
            _ => 0,
        };
        let bits = bits | BITS[(y % 4) as usize][(x % 2) as usize];
        cell.ch = char::from_u32(0x2800 + bits).unwrap_or(' ');
        cell.fg = Some(fg);
    }

    /// Draws a line of dots (Bresenham's algorithm), clipped to what is visible.
    pub fn line(&mut self, from: (i32, i32), to: (i32, i32), fg: Color) {
        let limit = 4 * (self.dot_width() + self.dot_height());
        let clamp = |(x, y): (i32, i32)| (x.clamp(-limit, limit), y.clamp(-limit, limit));
        let ((mut x, mut y), (end_x, end_y)) = (clamp(from), clamp(to));
        let (dx, dy) = ((end_x - x).abs(), -(end_y - y).abs());
        let (step_x, step_y) = ((end_x - x).signum(), (end_y - y).signum());
        let mut error = dx + dy;
        loop {
            self.dot(x, y, fg);
            if (x, y) == (end_x, end_y) {
                return;
            }
            let doubled = 2 * error;
            if doubled >= dy {
                error += dy;
                x += step_x;
            }
            if doubled <= dx {
                error += dx;
                y += step_y;
            }
        }
    }

    /// Draws a circle of dots (midpoint algorithm).
    pub fn circle(&mut self, center: (i32, i32), radius: i32, fg: Color) {
        let radius = radius.clamp(0, self.dot_width() + self.dot_height());
        let (cx, cy) = center;
        let (mut x, mut y, mut error) = (radius, 0, 1 - radius);
        while x >= y {
            for (dx, dy) in [
                (x, y),
                (y, x),
                (-y, x),
                (-x, y),
                (-x, -y),
                (-y, -x),
                (y, -x),
                (x, -y),
            ] {
                self.dot(cx.saturating_add(dx), cy.saturating_add(dy), fg);
            }
            y += 1;
            error += if error < 0 {
                2 * y + 1
            } else {
                x -= 1;
                2 * (y - x) + 1
            };
        }
    }

    fn index(&self, x: i32, y: i32) -> Option<usize> {
        let inside =
            (0..i32::from(self.width)).contains(&x) && (0..i32::from(self.height)).contains(&y);
        inside.then(|| y as usize * usize::from(self.width) + x as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(viewport: &Viewport) -> Vec<String> {
        viewport
            .cells()
            .chunks(usize::from(viewport.width()))
            .map(|row| row.iter().map(|cell| cell.ch).collect())
            .collect()
    }

    #[test]
    fn text_is_cut_at_the_edges() {
        let mut viewport = Viewport::new(5, 2);
        viewport.text(-1, 0, "abcdefgh", Color::WHITE);
        viewport.text(3, 1, "xyz", Color::WHITE);
        viewport.text(0, 7, "gone", Color::WHITE);
        assert_eq!(rows(&viewport), ["bcdef", "   xy"]);
    }

    #[test]
    fn dots_share_a_cell() {
        let mut viewport = Viewport::new(1, 1);
        viewport.dot(0, 0, Color::RED);
        viewport.dot(1, 3, Color::RED);
        viewport.dot(-1, 0, Color::RED);
        assert_eq!(rows(&viewport), ["\u{2881}"]);
    }

    #[test]
    fn shapes_far_outside_end_and_draw_nothing_wrong() {
        let mut viewport = Viewport::new(4, 4);
        viewport.line((i32::MIN, 0), (i32::MAX, 3), Color::RED);
        viewport.circle((i32::MAX, i32::MIN), i32::MAX, Color::RED);
        viewport.frame(-10, -10, 1000, 1000, Color::RED);
        assert_eq!(viewport.cells().len(), 16);
    }

    #[test]
    fn an_empty_viewport_can_be_drawn_on() {
        let mut viewport = Viewport::new(0, 0);
        viewport.text_centered(0, "x", Color::RED);
        viewport.circle((0, 0), 3, Color::RED);
        viewport.fill(0, 0, 5, 5, Color::RED);
        assert!(viewport.cells().is_empty());
    }
}
