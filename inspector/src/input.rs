//! Terminal keys and mouse as input for the game.
//!
//! Terminals with the kitty keyboard protocol report when a key is released;
//! the others report presses only, repeated while a key is held. There the
//! release is guessed: [`FIRST_HOLD_MS`] after the first press, because the
//! first repeat comes late (250 to 500 ms on most systems), and
//! [`REPEAT_HOLD_MS`] after every later one. So a tap lasts a little long, and
//! a held key stays held. Whether the terminal reports releases is learnt from
//! the first one that arrives: asking it would cost a round trip, and slow
//! links have none to spare.
//!
//! Enter, Tab and Backspace are never reported as released in the mode used
//! here (the protocol keeps them as they always were), so they are guessed on
//! every terminal.

use crossterm::event::MouseButton as TerminalButton;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use inspector_protocol::input::{InputEvent, Key, MouseButton};

/// How long a key counts as held after its first press, in milliseconds.
pub const FIRST_HOLD_MS: u64 = 450;
/// How long a key counts as held after a repeat, in milliseconds.
pub const REPEAT_HOLD_MS: u64 = 150;

/// The keys the game was told are down.
#[derive(Debug, Clone, Default)]
pub struct HeldKeys {
    keys: Vec<Held>,
    reports_releases: bool,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    key: Key,
    until_ms: u64,
}

impl HeldKeys {
    /// A key event while the game has the focus, and what the game hears.
    pub fn event(&mut self, event: &KeyEvent, now_ms: u64) -> Option<InputEvent> {
        if event.kind == KeyEventKind::Release {
            self.reports_releases = true;
            let released = game_key(event.code)?;
            let index = self
                .keys
                .iter()
                .position(|held| same_key(held.key, released))?;
            return Some(InputEvent::KeyUp(self.keys.remove(index).key));
        }
        // A chord is a command to the terminal, not a letter for the game.
        if !event.modifiers.difference(KeyModifiers::SHIFT).is_empty() {
            return None;
        }
        let key = game_key(event.code)?;
        match self.keys.iter_mut().find(|held| held.key == key) {
            Some(held) => held.until_ms = now_ms + REPEAT_HOLD_MS,
            None => self.keys.push(Held {
                key,
                until_ms: now_ms + FIRST_HOLD_MS,
            }),
        }
        Some(InputEvent::KeyDown(key))
    }

    /// The releases that are due.
    pub fn expire(&mut self, now_ms: u64) -> Vec<InputEvent> {
        let reports = self.reports_releases;
        let mut released = Vec::new();
        self.keys.retain(|held| {
            let due = now_ms >= held.until_ms && !(reports && is_reported(held.key));
            if due {
                released.push(InputEvent::KeyUp(held.key));
            }
            !due
        });
        released
    }

    /// Forgets all keys; whether any was held.
    pub fn clear(&mut self) -> bool {
        let any = !self.keys.is_empty();
        self.keys.clear();
        any
    }
}

/// Whether a terminal that reports releases reports this key's.
fn is_reported(key: Key) -> bool {
    !matches!(key, Key::Enter | Key::Tab | Key::Backspace)
}

/// Shift may be let go before the letter.
fn same_key(a: Key, b: Key) -> bool {
    match (a, b) {
        (Key::Char(a), Key::Char(b)) => a == b || a.to_lowercase().eq(b.to_lowercase()),
        _ => a == b,
    }
}

/// The key as typed. Terminals report a repeated or released `A` as `a` with
/// Shift; for other characters the keyboard's layout would have to be known,
/// and `None` is the honest answer.
pub fn typed(event: &KeyEvent) -> Option<KeyEvent> {
    let mut typed = *event;
    if let KeyCode::Char(ch) = event.code
        && event.kind != KeyEventKind::Press
        && event.modifiers.contains(KeyModifiers::SHIFT)
    {
        if ch.is_lowercase() {
            let mut upper = ch.to_uppercase();
            typed.code = KeyCode::Char(upper.next().unwrap_or(ch));
        } else if !ch.is_uppercase() && event.kind == KeyEventKind::Repeat {
            return None;
        }
    }
    Some(typed)
}

/// The key as the game knows it.
pub fn game_key(code: KeyCode) -> Option<Key> {
    Some(match code {
        KeyCode::Char(ch) => Key::Char(ch),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab | KeyCode::BackTab => Key::Tab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::F(number @ 1..=12) => Key::F(number),
        _ => return None,
    })
}

/// The button as the game knows it.
pub fn game_button(button: TerminalButton) -> MouseButton {
    match button {
        TerminalButton::Left => MouseButton::Left,
        TerminalButton::Right => MouseButton::Right,
        TerminalButton::Middle => MouseButton::Middle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(ch: char) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(ch), KeyModifiers::NONE)
    }

    fn release(ch: char) -> KeyEvent {
        KeyEvent::new_with_kind(KeyCode::Char(ch), KeyModifiers::NONE, KeyEventKind::Release)
    }

    #[test]
    fn without_releases_a_tap_ends_by_itself() {
        let mut held = HeldKeys::default();
        assert_eq!(
            held.event(&press('d'), 0),
            Some(InputEvent::KeyDown(Key::Char('d')))
        );
        assert_eq!(held.expire(FIRST_HOLD_MS - 1), []);
        assert_eq!(
            held.expire(FIRST_HOLD_MS),
            [InputEvent::KeyUp(Key::Char('d'))]
        );
        assert_eq!(held.expire(10_000), []);
    }

    #[test]
    fn repeats_keep_a_key_held() {
        let mut held = HeldKeys::default();
        held.event(&press('d'), 0);
        for now in (400..2000).step_by(40) {
            assert_eq!(held.expire(now), []);
            held.event(&press('d'), now);
        }
        assert_eq!(
            held.expire(1960 + REPEAT_HOLD_MS),
            [InputEvent::KeyUp(Key::Char('d'))]
        );
    }

    #[test]
    fn a_terminal_that_reports_releases_is_believed() {
        let mut held = HeldKeys::default();
        held.event(&press('d'), 0);
        assert_eq!(
            held.event(&release('d'), 80),
            Some(InputEvent::KeyUp(Key::Char('d')))
        );
        held.event(&press('D'), 100);
        assert_eq!(held.expire(60_000), []);
        assert_eq!(
            held.event(&release('d'), 70_000),
            Some(InputEvent::KeyUp(Key::Char('D')))
        );
        held.event(&KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE), 80_000);
        assert_eq!(held.expire(81_000), [InputEvent::KeyUp(Key::Enter)]);
    }

    #[test]
    fn chords_are_not_the_games() {
        let mut held = HeldKeys::default();
        let chord = KeyEvent::new(KeyCode::Char('d'), KeyModifiers::CONTROL);
        assert_eq!(held.event(&chord, 0), None);
        assert!(!held.clear());
    }
}
