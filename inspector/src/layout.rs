//! Where everything is at a size. Pure: drawing and mouse clicks both ask here,
//! so a click always means what is drawn.
//!
//! | terminal | shows |
//! |---|---|
//! | 100 columns and more | the game at the left (3/5), panels at the right |
//! | less | one at a time, game or panel, whatever has the focus |
//!
//! The column of panels shows all five where it is [`ALL_PANELS`] rows high,
//! the selected one and the log from [`TWO_PANELS`] rows, else the selected one.

use std::ops::Range;

use ratatui::layout::Rect;

use crate::state::{Focus, Panel};

/// Columns from which game and panels stand side by side.
pub const WIDE: u16 = 100;
/// Rows from which the header has two lines.
pub const TALL: u16 = 14;
/// Rows of the panel column from which all panels are shown.
pub const ALL_PANELS: u16 = 44;
/// Rows of the panel column from which the log is shown below another panel.
pub const TWO_PANELS: u16 = 24;

/// Where everything is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Connection, host, numbers; the second line has the modules.
    pub header: Rect,
    /// Frame around the game; none where space is short.
    pub game_frame: Option<Rect>,
    /// The game's cells; `None` while it is hidden.
    pub game: Option<Rect>,
    /// The line of panel names; none where all panels are shown.
    pub tabs: Option<Rect>,
    /// The panels shown, top to bottom.
    pub panels: Vec<PanelArea>,
    /// Everything between header and hint line; details and help cover it.
    pub body: Rect,
    /// Keys, questions and results.
    pub hints: Rect,
}

/// Where one panel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PanelArea {
    /// Which one.
    pub panel: Panel,
    /// Its frame; none where space is short.
    pub frame: Option<Rect>,
    /// The line that names the columns, where there is room for it.
    pub heading: Option<Rect>,
    /// Its rows.
    pub rows: Rect,
}

/// Lays out a terminal.
pub fn layout(width: u16, height: u16, focus: Focus, selected: Panel) -> Layout {
    let screen = Rect::new(0, 0, width, height);
    let header_rows = if height >= TALL {
        2
    } else {
        u16::from(height >= 1)
    };
    let (header, rest) = cut_top(screen, header_rows);
    let hint_rows = u16::from(height >= 3);
    let (body, hints) = cut_top(rest, rest.height.saturating_sub(hint_rows));
    let mut layout = Layout {
        header,
        body,
        hints,
        ..Layout::default()
    };
    if body.is_empty() {
        return layout;
    }
    if width >= WIDE {
        let game_columns = (u32::from(width) * 3 / 5) as u16;
        let (game, column) = cut_left(body, game_columns);
        layout.game_frame = Some(game);
        layout.game = Some(inside(game)).filter(|area| !area.is_empty());
        lay_out_column(&mut layout, column, selected);
    } else if focus == Focus::Game {
        layout.game = Some(body);
    } else {
        let (tabs, rows) = cut_top(body, 1);
        layout.tabs = Some(tabs);
        layout.panels.push(unframed(selected, rows));
    }
    layout
}

fn lay_out_column(layout: &mut Layout, column: Rect, selected: Panel) {
    if column.height >= ALL_PANELS {
        // What a panel needs at least; the selected one gets what is left.
        let rows = |panel| match panel {
            Panel::Modules => 10,
            Panel::Calls | Panel::Problems => 6,
            Panel::Reloads => 8,
            Panel::Log => 9,
        };
        let needed: u16 = Panel::ALL.into_iter().map(rows).sum();
        let mut rest = column;
        for panel in Panel::ALL {
            let extra = if panel == selected {
                column.height - needed
            } else {
                0
            };
            let (area, below) = cut_top(rest, rows(panel) + extra);
            layout.panels.push(framed(panel, area));
            rest = below;
        }
        return;
    }
    let (tabs, rest) = cut_top(column, 1);
    layout.tabs = Some(tabs);
    if rest.height >= TWO_PANELS && selected != Panel::Log {
        let (top, bottom) = cut_top(rest, rest.height * 3 / 5);
        layout.panels.push(framed(selected, top));
        layout.panels.push(framed(Panel::Log, bottom));
    } else {
        layout.panels.push(framed(selected, rest));
    }
}

fn framed(panel: Panel, frame: Rect) -> PanelArea {
    PanelArea {
        frame: Some(frame),
        ..unframed(panel, inside(frame))
    }
}

fn unframed(panel: Panel, area: Rect) -> PanelArea {
    let heading_rows = u16::from(panel != Panel::Log && area.height >= 5);
    let (heading, rows) = cut_top(area, heading_rows);
    PanelArea {
        panel,
        frame: None,
        heading: (heading_rows > 0).then_some(heading),
        rows,
    }
}

fn inside(frame: Rect) -> Rect {
    if frame.width < 2 || frame.height < 2 {
        return Rect::new(frame.x, frame.y, 0, 0);
    }
    Rect::new(frame.x + 1, frame.y + 1, frame.width - 2, frame.height - 2)
}

fn cut_top(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    (
        Rect {
            height: rows,
            ..area
        },
        Rect {
            y: area.y + rows,
            height: area.height - rows,
            ..area
        },
    )
}

fn cut_left(area: Rect, columns: u16) -> (Rect, Rect) {
    let columns = columns.min(area.width);
    (
        Rect {
            width: columns,
            ..area
        },
        Rect {
            x: area.x + columns,
            width: area.width - columns,
            ..area
        },
    )
}

/// The first row to draw so that the selected one is in the middle where
/// possible.
pub fn window(selected: usize, rows: usize, height: u16) -> usize {
    let height = usize::from(height);
    selected
        .saturating_sub(height / 2)
        .min(rows.saturating_sub(height))
}

/// Where one axis of a picture of `length` cells goes in `space` cells:
/// cells to skip in the space, cells to skip in the picture, cells drawn.
/// It is centred, and cut on both sides where it is larger.
pub fn centred(length: u16, space: u16) -> (u16, u16, u16) {
    if length <= space {
        ((space - length) / 2, 0, length)
    } else {
        (0, (length - space) / 2, space)
    }
}

/// The names on the line of tabs and the columns each takes. Names shrink where
/// the line is short; the number stays.
pub fn tab_names(width: u16, badges: [usize; 5]) -> Vec<(Panel, String, Range<u16>)> {
    for letters in [usize::MAX, 4, 3, 1, 0] {
        let mut at = 0_u16;
        let mut tabs = Vec::with_capacity(Panel::ALL.len());
        for (panel, badge) in Panel::ALL.into_iter().zip(badges) {
            let name: String = panel.name().chars().take(letters).collect();
            let gap = if letters == usize::MAX { " " } else { "" };
            let badge = match panel {
                _ if badge == 0 || letters == 0 => String::new(),
                Panel::Problems => format!("!{badge}"),
                _ => format!(" {badge}"),
            };
            let text = format!("{}{gap}{name}{badge}", panel.digit());
            let length = text.len() as u16 + 1;
            tabs.push((panel, text, at..at.saturating_add(length)));
            at = at.saturating_add(length);
        }
        if at <= width.saturating_add(1) || letters == 0 {
            return tabs;
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_stay_on_the_screen_at_every_size() {
        for width in 0..=250 {
            for height in 0..=80 {
                let screen = Rect::new(0, 0, width, height);
                for focus in [Focus::Game, Focus::Panels] {
                    for panel in Panel::ALL {
                        let layout = layout(width, height, focus, panel);
                        let mut areas = vec![layout.header, layout.body, layout.hints];
                        areas.extend(layout.game);
                        areas.extend(layout.tabs);
                        areas.extend(layout.panels.iter().map(|area| area.rows));
                        for area in areas {
                            assert_eq!(screen.union(area), screen, "{area} at {width}x{height}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_panel_with_the_focus_is_always_shown() {
        for (width, height) in [(40, 10), (80, 24), (100, 20), (120, 40), (200, 60)] {
            for panel in Panel::ALL {
                let layout = layout(width, height, Focus::Panels, panel);
                assert!(
                    layout
                        .panels
                        .iter()
                        .any(|area| area.panel == panel && !area.rows.is_empty())
                );
                assert_eq!(layout.game.is_some(), width >= WIDE);
            }
            assert!(
                layout(width, height, Focus::Game, Panel::Log)
                    .game
                    .is_some()
            );
        }
    }

    #[test]
    fn a_picture_is_centred_or_cut() {
        assert_eq!(centred(4, 10), (3, 0, 4));
        assert_eq!(centred(10, 4), (0, 3, 4));
        assert_eq!(centred(0, 4), (2, 0, 0));
    }

    #[test]
    fn the_selected_row_is_inside_the_window() {
        for rows in 1..30 {
            for selected in 0..rows {
                for height in 1..12 {
                    let first = window(selected, rows, height);
                    assert!((first..first + usize::from(height)).contains(&selected));
                }
            }
        }
    }

    #[test]
    fn tabs_shrink_to_the_line() {
        for width in [40, 60, 80, 200] {
            let tabs = tab_names(width, [3, 12, 200, 2, 0]);
            assert!(tabs.last().unwrap().2.end <= width + 1, "{tabs:?}");
        }
        assert_eq!(tab_names(80, [0; 5])[3].1, "4 Problems");
    }
}
