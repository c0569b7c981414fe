//! One table of keys. Dispatch, the hint line and the help all read it, so they
//! cannot disagree.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::state::Panel;

/// Where a key is pressed; decides what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// The game has the focus: everything not in the table goes to it.
    Game,
    /// The game has the focus, but no host runs.
    GameDown,
    /// The game has the focus and does not get on.
    GameStalled,
    /// The panels have the focus.
    Panels,
    /// The panels have the focus, and the game does not get on.
    PanelsStalled,
    /// A detail is open.
    Detail,
    /// The help is open.
    Help,
    /// A question is asked.
    Confirm,
    /// A question is asked that can be answered with "and the state".
    ConfirmState,
}

impl Context {
    /// The contexts the help explains, with their titles.
    pub const EXPLAINED: [(Self, &'static str); 4] = [
        (
            Self::Game,
            "While the game has the focus (all other keys are the game's)",
        ),
        (Self::Panels, "While the panels have the focus"),
        (Self::Detail, "While a detail is open"),
        (Self::ConfirmState, "When asked"),
    ];
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Gives the focus to the other side: game or panels.
    SwitchFocus,
    /// Gives the focus back to the panels.
    LeaveGame,
    /// Shows and selects a panel.
    Show(Panel),
    /// Moves the selection or scrolls.
    Up,
    /// Moves the selection or scrolls.
    Down,
    /// Moves by a page.
    PageUp,
    /// Moves by a page.
    PageDown,
    /// Goes to the first row.
    First,
    /// Goes to the last row.
    Last,
    /// Opens the selected row.
    Open,
    /// Closes what is open.
    Close,
    /// Builds and loads the selected module again.
    Reload,
    /// Goes back to the version before, after asking.
    Rollback,
    /// Restarts the host; asks if it runs.
    Restart,
    /// Says no more of a game that does not get on, or says it again.
    Wait,
    /// Follows the end of the log, or stops to.
    Follow,
    /// Freezes the view, not the game; or lets it go on.
    Freeze,
    /// Opens or closes the help.
    Help,
    /// Ends or leaves.
    Quit,
    /// Ctrl-C.
    Interrupt,
    /// Answers yes.
    Yes,
    /// Answers yes, and the state too.
    YesWithState,
    /// Answers no.
    No,
}

impl Action {
    /// Whether it moves a selection or a text.
    pub fn is_scroll(self) -> bool {
        matches!(self, Self::Up | Self::Down | Self::PageUp | Self::PageDown)
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Binding {
    /// Where it holds.
    pub contexts: &'static [Context],
    /// The keys, and whether Ctrl is held.
    pub chords: &'static [(KeyCode, bool)],
    /// How the keys are written.
    pub label: &'static str,
    /// One word for the hint line; empty to leave it out there.
    pub hint: &'static str,
    /// What it does, for the help; empty to leave it out there.
    pub help: &'static str,
    /// What it does.
    pub action: Action,
}

use Context::{
    Confirm, ConfirmState, Detail, Game, GameDown, GameStalled, Help, Panels, PanelsStalled,
};

#[cfg(test)]
const ALL: &[Context] = &[
    Game,
    GameDown,
    GameStalled,
    Panels,
    PanelsStalled,
    Detail,
    Help,
    Confirm,
    ConfirmState,
];
/// Where nothing but Ctrl-C ends it.
const NOT_PANELS: &[Context] = &[
    Game,
    GameDown,
    GameStalled,
    Detail,
    Help,
    Confirm,
    ConfirmState,
];
const PANELS: &[Context] = &[Panels, PanelsStalled];
const STALLED: &[Context] = &[GameStalled, PanelsStalled];
const SCROLLED: &[Context] = &[Panels, PanelsStalled, Detail, Help];

const fn key(code: KeyCode) -> (KeyCode, bool) {
    (code, false)
}

const fn char(ch: char) -> (KeyCode, bool) {
    (KeyCode::Char(ch), false)
}

macro_rules! bindings {
    ($($contexts:expr, [$($chord:expr),+], $label:literal, $hint:literal, $help:literal, $action:expr;)+) => {
        &[$(Binding {
            contexts: $contexts,
            chords: &[$($chord),+],
            label: $label,
            hint: $hint,
            help: $help,
            action: $action,
        }),+]
    };
}

/// The table. The hint line shows what fits, in this order; `?` always.
#[rustfmt::skip]
pub const BINDINGS: &[Binding] = bindings![
    &[Confirm, ConfirmState], [char('y'), char('Y')], "y", "yes", "yes", Action::Yes;
    &[ConfirmState], [char('s'), char('S')], "s", "yes, with its state", "yes, and restore the state of that moment (rollback)", Action::YesWithState;
    &[Confirm, ConfirmState], [char('n'), char('N'), key(KeyCode::Esc)], "n", "no", "no (so does Esc)", Action::No;
    STALLED, [char('R')], "R", "restart", "", Action::Restart;
    STALLED, [char('b')], "b", "roll back", "", Action::Rollback;
    &[PanelsStalled], [char('w')], "w", "wait", "", Action::Wait;
    &[Game, GameDown, GameStalled, Panels, PanelsStalled], [key(KeyCode::Tab), key(KeyCode::BackTab)], "Tab", "focus", "switch between the game and the panels", Action::SwitchFocus;
    &[Game, GameDown, GameStalled], [key(KeyCode::Esc)], "Esc", "panels", "back to the panels", Action::LeaveGame;
    &[Detail, Help], [key(KeyCode::Esc), key(KeyCode::Enter), char('q')], "Esc", "close", "close it", Action::Close;
    PANELS, [char('1')], "1-5", "panel", "show modules, calls, reloads, problems, log", Action::Show(Panel::Modules);
    PANELS, [char('2')], "2", "", "", Action::Show(Panel::Calls);
    PANELS, [char('3')], "3", "", "", Action::Show(Panel::Reloads);
    PANELS, [char('4')], "4", "", "", Action::Show(Panel::Problems);
    PANELS, [char('5')], "5", "", "", Action::Show(Panel::Log);
    PANELS, [key(KeyCode::Enter)], "Enter", "open", "open the selected row: the whole error, every step", Action::Open;
    PANELS, [char('r')], "r", "reload", "build and load the selected module again", Action::Reload;
    PANELS, [char('q'), char('Q')], "q", "quit", "in the engine's terminal: end the game (asks); elsewhere: leave, the game goes on", Action::Quit;
    &[GameDown, Panels], [char('R')], "R", "restart", "start a new host (asks if one runs)", Action::Restart;
    &[Panels], [char('b')], "b", "roll back", "roll back: the code of the version before runs again (asks)", Action::Rollback;
    &[Panels], [char('w')], "w", "", "wait: say no more of a game that is stalled (R and b end it)", Action::Wait;
    PANELS, [char(' ')], "Space", "freeze the view", "freeze the view, or let it go on; the game goes on anyway", Action::Freeze;
    PANELS, [char('f')], "f", "follow", "follow the end of the log, or stop to", Action::Follow;
    SCROLLED, [char('?')], "?", "help", "open and close this help", Action::Help;
    SCROLLED, [key(KeyCode::Up), char('k')], "k/Up", "", "up", Action::Up;
    SCROLLED, [key(KeyCode::Down), char('j')], "j/Down", "", "down", Action::Down;
    SCROLLED, [key(KeyCode::PageUp), (KeyCode::Char('b'), true)], "PgUp", "", "a page up", Action::PageUp;
    SCROLLED, [key(KeyCode::PageDown), (KeyCode::Char('f'), true)], "PgDn", "", "a page down", Action::PageDown;
    SCROLLED, [char('g'), key(KeyCode::Home)], "g", "", "to the top", Action::First;
    SCROLLED, [char('G'), key(KeyCode::End)], "G", "", "to the end", Action::Last;
    NOT_PANELS, [(KeyCode::Char('c'), true)], "Ctrl-C", "quit", "as q; pressed twice it ends at once", Action::Interrupt;
    PANELS, [(KeyCode::Char('c'), true)], "Ctrl-C", "", "as q; pressed twice it ends at once", Action::Interrupt;
];

/// What a key does in a context.
pub fn lookup(context: Context, event: &KeyEvent) -> Option<Action> {
    if event
        .modifiers
        .intersects(KeyModifiers::ALT | KeyModifiers::SUPER | KeyModifiers::META)
    {
        return None;
    }
    let pressed = (event.code, event.modifiers.contains(KeyModifiers::CONTROL));
    in_context(context)
        .find(|binding| binding.chords.contains(&pressed))
        .map(|found| found.action)
}

/// The lines of the table that hold in a context.
pub fn in_context(context: Context) -> impl Iterator<Item = &'static Binding> {
    BINDINGS
        .iter()
        .filter(move |binding| binding.contexts.contains(&context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_context() {
        for context in ALL {
            let mut seen = Vec::new();
            for binding in in_context(*context) {
                for chord in binding.chords {
                    assert!(!seen.contains(&chord), "{chord:?} twice in {context:?}");
                    seen.push(chord);
                }
            }
        }
    }

    #[test]
    fn the_game_keeps_all_keys_but_three() {
        let mut reserved: Vec<_> = in_context(Game).map(|binding| binding.label).collect();
        reserved.sort_unstable();
        assert_eq!(reserved, ["Ctrl-C", "Esc", "Tab"]);
        assert_eq!(
            lookup(Game, &KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)),
            None
        );
    }

    #[test]
    fn ctrl_tells_two_keys_apart() {
        let with = KeyEvent::new(KeyCode::Char('b'), KeyModifiers::CONTROL);
        let without = KeyEvent::new(KeyCode::Char('b'), KeyModifiers::NONE);
        assert_eq!(lookup(Panels, &with), Some(Action::PageUp));
        assert_eq!(lookup(Panels, &without), Some(Action::Rollback));
    }
}
