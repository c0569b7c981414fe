use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton};
use crossterm::event::{MouseEvent, MouseEventKind};
use inspector_protocol::message::Event;
use inspector_protocol::status::{HostState, StallStatus, Status};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::draw;
use crate::fixture::{busy, death, interrupt, press, send, status, type_keys, viewport};
use crate::state::{Confirm, State};
use crate::theme::{ColorMode, Theme};
use crate::ui::Role;
use crate::update::Message;

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 60)];

fn screen(state: &State, theme: Theme) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(state.size.0, state.size.1)).unwrap();
    terminal
        .draw(|frame| draw(state, theme, frame.buffer_mut()))
        .unwrap();
    terminal.backend().buffer().clone()
}

/// The text of a screen, without the blanks at the ends of lines. Cells covered
/// by a wide character are left out.
fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for row in buffer.content.chunks(usize::from(buffer.area.width).max(1)) {
        let mut line = String::new();
        let mut is_covered = false;
        for cell in row {
            if !is_covered {
                line.push_str(cell.symbol());
            }
            is_covered = !is_covered && crate::text::width(cell.symbol()) > 1;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Draws what `keys` lead to at every size.
fn check(name: &str, keys: &str, prepare: impl Fn(&mut State)) {
    for (width, height) in SIZES {
        let mut state = busy(width, height);
        prepare(&mut state);
        for ch in keys.chars() {
            match ch {
                '\n' => press(&mut state, KeyCode::Enter),
                '\t' => press(&mut state, KeyCode::Tab),
                ch => press(&mut state, KeyCode::Char(ch)),
            };
        }
        let drawn = text(&screen(&state, Theme::FULL));
        assert!(!drawn.contains(['\x1b', '\x07']));
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), drawn);
    }
}

#[test]
fn modules() {
    check("modules", "1jj", |_| {});
}

#[test]
fn calls() {
    check("calls", "2", |_| {});
}

#[test]
fn reloads() {
    check("reloads", "3j", |_| {});
}

#[test]
fn problems() {
    check("problems", "4", |_| {});
}

#[test]
fn log() {
    check("log", "5", |_| {});
}

#[test]
fn the_game() {
    check("game", "\t", |_| {});
}

#[test]
fn a_problem_in_full() {
    check("problem_detail", "4\n", |_| {});
}

#[test]
fn a_reload_in_full() {
    check("reload_detail", "3jj\n", |_| {});
}

#[test]
fn a_module_in_full() {
    check("module_detail", "1\n", |_| {});
}

#[test]
fn the_help() {
    check("help", "?", |_| {});
}

#[test]
fn the_host_is_down() {
    check("host_down", "\t", |state| {
        send(state, Message::Hub(Event::HostDown(death())));
    });
}

#[test]
fn the_first_version_does_not_compile() {
    check("not_begun", "\t", |state| {
        let mut status = status();
        status.engine.host = HostState::Starting;
        state.live.viewport = None;
        send(state, Message::Hub(Event::Status(Box::new(status))));
    });
}

/// The game does not get on.
fn stall(state: &mut State) {
    let mut status = status();
    status.engine.stall = Some(StallStatus {
        module: "game_logic".into(),
        version: 7,
        function: "game_logic::caves::flood_fill".into(),
        thread: "main".into(),
        elapsed_ms: 3210,
    });
    send(state, Message::Hub(Event::Status(Box::new(status))));
}

#[test]
fn the_game_is_stalled() {
    check("stalled_game", "\t", stall);
    check("stalled_panels", "", stall);
}

#[test]
fn a_stall_that_somebody_waits_for_leaves_the_keys_alone() {
    let mut state = busy(80, 24);
    stall(&mut state);
    let keys = |state: &State| {
        let drawn = text(&screen(state, Theme::FULL));
        drawn.lines().last().unwrap_or_default().to_owned()
    };
    assert!(keys(&state).contains("w wait"), "{}", keys(&state));
    press(&mut state, KeyCode::Char('w'));
    assert!(!keys(&state).contains("w wait"), "{}", keys(&state));
    // What there is to say is still said, and the next stall is news again.
    let drawn = text(&screen(&state, Theme::FULL));
    assert!(drawn.contains("stalled in game_logic::caves::flood_fill (v7) for 3.2 s"));
    send(&mut state, Message::Hub(Event::Status(Box::new(status()))));
    stall(&mut state);
    assert!(keys(&state).contains("w wait"), "{}", keys(&state));
}

#[test]
fn a_question() {
    check("rollback_question", "b", |_| {});
}

#[test]
fn a_question_names_the_version_where_that_is_known() {
    let mut state = busy(80, 24);
    state.confirm = Some(Confirm::Rollback {
        module: "game_logic".into(),
        before: Some(2),
    });
    let drawn = text(&screen(&state, Theme::FULL));
    assert!(
        drawn.contains("Roll game_logic back to the code of v2?"),
        "{drawn}"
    );
}

#[test]
fn the_hub_is_lost() {
    check("hub_lost", "", |state| {
        send(state, Message::Disconnected);
    });
}

#[test]
fn hints_that_are_left_out_are_never_left_out_silently() {
    for columns in 12..=200 {
        let mut state = busy(columns, 24);
        let line = |state: &State| {
            let drawn = text(&screen(state, Theme::FULL));
            drawn.lines().last().unwrap_or_default().to_owned()
        };
        let hints = line(&state);
        let is_whole = hints.contains("f follow") && hints.ends_with("? help");
        assert!(
            is_whole || hints.ends_with("? more keys"),
            "{columns}: {hints}"
        );
        // Also behind a message that is too long.
        let long = Message::Trouble("no ".repeat(100));
        send(&mut state, long);
        assert!(
            columns < 20 || line(&state).ends_with("? more keys"),
            "{columns}: {}",
            line(&state)
        );
    }
}

#[test]
fn a_frozen_view_says_so_and_how_to_go_on() {
    for (width, height) in SIZES {
        let mut state = busy(width, height);
        type_keys(&mut state, " ");
        let drawn = text(&screen(&state, Theme::FULL));
        assert!(drawn.contains("FROZEN"), "{drawn}");
        assert!(width < 120 || drawn.contains("Space unfreeze"), "{drawn}");
    }
}

#[test]
fn nothing_known_yet() {
    let state = State::new(Role::Owner, (80, 24));
    insta::assert_snapshot!("empty_80x24", text(&screen(&state, Theme::FULL)));
}

#[test]
fn without_unicode_every_cell_is_ascii_and_stays_in_place() {
    let theme = Theme {
        unicode: false,
        ..Theme::FULL
    };
    let mut state = busy(120, 40);
    let drawn = text(&screen(&state, theme));
    assert!(drawn.is_ascii());
    insta::assert_snapshot!("ascii_120x40", drawn);
    for keys in ["1\n", "3\n", "5", "?"] {
        type_keys(&mut state, keys);
        assert!(text(&screen(&state, theme)).is_ascii());
    }
}

/// The cell where a text starts.
fn cell_of<'a>(buffer: &'a Buffer, wanted: &str) -> &'a ratatui::buffer::Cell {
    let index = (0..buffer.content.len()).find(|start| {
        let cells = buffer.content[*start..].iter();
        cells
            .map(ratatui::buffer::Cell::symbol)
            .collect::<String>()
            .starts_with(wanted)
    });
    &buffer.content[index.unwrap_or_else(|| panic!("`{wanted}` is not on the screen"))]
}

#[test]
fn errors_are_bold_and_red_and_states_have_their_colours() {
    let buffer = screen(&busy(120, 40), Theme::FULL);
    let error = cell_of(&buffer, "! 1 error");
    assert_eq!(error.fg, Color::Red);
    assert!(error.modifier.contains(Modifier::BOLD));
    assert_eq!(cell_of(&buffer, "● connected").fg, Color::Green);
    assert_eq!(cell_of(&buffer, "◐ v3").fg, Color::Yellow);
    assert_eq!(cell_of(&buffer, "@ game").fg, Color::Rgb(250, 120, 10));
    let mut state = busy(120, 40);
    type_keys(&mut state, "4");
    press(&mut state, KeyCode::Enter);
    let rendered = screen(&state, Theme::FULL);
    assert_eq!(cell_of(&rendered, "error[E0308]").fg, Color::Indexed(9));
}

#[test]
fn no_color_means_none_and_states_can_still_be_told_apart() {
    let theme = Theme {
        colors: ColorMode::None,
        unicode: true,
    };
    let mut state = busy(120, 40);
    for keys in ["1", "2", "3", "4", "5", "?"] {
        type_keys(&mut state, keys);
        let buffer = screen(&state, theme);
        for cell in &buffer.content {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
        }
    }
    let buffer = screen(&busy(120, 40), theme);
    assert!(
        cell_of(&buffer, "! 1 error")
            .modifier
            .contains(Modifier::BOLD)
    );
    for state in [
        "● v4   Active",
        "◐ v3   Draining",
        "◆ v2   Pinned",
        "✗ v5   Rejected",
    ] {
        cell_of(&buffer, state);
    }
}

#[test]
fn without_true_colour_the_palette_is_used() {
    let buffer = screen(
        &busy(120, 40),
        Theme {
            colors: ColorMode::Indexed,
            unicode: true,
        },
    );
    for cell in &buffer.content {
        assert!(!matches!(cell.fg, Color::Rgb(..)) && !matches!(cell.bg, Color::Rgb(..)));
    }
    assert_eq!(cell_of(&buffer, "@ game").fg, Color::Indexed(208));
}

#[test]
fn a_frame_that_lies_about_its_size_is_not_drawn() {
    let mut state = busy(120, 40);
    let mut frame = viewport(30, 12);
    frame.height = 500;
    send(&mut state, Message::Hub(Event::Viewport(frame)));
    assert!(!text(&screen(&state, Theme::FULL)).contains("@ game"));
}

/// What may happen, in any order.
fn any_message() -> impl Strategy<Value = Vec<Message>> {
    let codes = prop_oneof![
        8 => prop::sample::select("12345rRbqysnfgGjk? ".chars().map(KeyCode::Char).collect::<Vec<_>>()),
        1 => any::<char>().prop_map(KeyCode::Char),
        4 => prop::sample::select(vec![
            KeyCode::Tab, KeyCode::Esc, KeyCode::Enter, KeyCode::Up, KeyCode::Down,
            KeyCode::PageUp, KeyCode::PageDown, KeyCode::Home, KeyCode::End, KeyCode::F(3),
        ]),
    ];
    let key = (codes, any::<bool>(), any::<bool>()).prop_map(|(code, ctrl, release)| {
        let modifiers = if ctrl {
            KeyModifiers::CONTROL
        } else {
            KeyModifiers::NONE
        };
        let kind = if release {
            KeyEventKind::Release
        } else {
            KeyEventKind::Press
        };
        Message::Key(KeyEvent::new_with_kind(code, modifiers, kind))
    });
    let kinds = prop::sample::select(vec![
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::Up(MouseButton::Left),
        MouseEventKind::Moved,
        MouseEventKind::ScrollUp,
        MouseEventKind::ScrollDown,
    ]);
    let mouse = (kinds, 0..260_u16, 0..90_u16).prop_map(|(kind, column, row)| {
        Message::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        })
    });
    let hub = prop_oneof![
        Just(Event::Status(Box::new(status()))),
        Just(Event::Status(Box::default())),
        Just(Event::Status(Box::new(Status {
            engine: inspector_protocol::status::EngineStatus {
                host: HostState::Starting,
                ..status().engine
            },
            ..status()
        }))),
        Just(Event::HostDown(death())),
        (0..260_u16, 0..90_u16).prop_map(|(w, h)| Event::Viewport(viewport(w, h))),
        ".{0,40}".prop_map(|text| {
            let mut line = crate::fixture::log_line(2);
            line.message = text;
            Event::Log(line)
        }),
        ".{0,60}".prop_map(|text| {
            let mut changed = status();
            changed.modules[0].name.clone_from(&text);
            changed.problems[0].rendered = text;
            Event::Status(Box::new(changed))
        }),
    ];
    let message = prop_oneof![
        10 => key,
        3 => mouse,
        4 => hub.prop_map(Message::Hub),
        3 => size().prop_map(|(w, h)| Message::Resize(w, h)),
        1 => (0..200_000_u64).prop_map(Message::Tick),
        1 => Just(Message::Disconnected),
        1 => Just(Message::Connected),
        1 => Just(Message::FocusLost),
    ];
    prop::collection::vec(message, 0..30)
}

fn size() -> impl Strategy<Value = (u16, u16)> {
    prop_oneof![
        (0..=250_u16, 0..=80_u16),
        (0..=12_u16, 0..=6_u16),
        prop::sample::select(vec![
            (1, 1),
            (0, 0),
            (40, 10),
            (99, 14),
            (100, 14),
            (200, 60)
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_keys_and_no_size_make_it_panic(
        size in size(),
        is_owner in any::<bool>(),
        is_plain in any::<bool>(),
        messages in any_message(),
    ) {
        let mut state = busy(size.0, size.1);
        if is_owner {
            state.role = Role::Owner;
        }
        let theme = if is_plain {
            Theme { colors: ColorMode::None, unicode: false }
        } else {
            Theme::FULL
        };
        screen(&state, theme);
        // The terminal may shrink between layout and drawing.
        let mut small = Terminal::new(TestBackend::new(size.0 / 2, size.1 / 2)).unwrap();
        for message in messages {
            send(&mut state, message);
            let buffer = screen(&state, theme);
            small.draw(|frame| draw(&state, theme, frame.buffer_mut())).unwrap();
            let is_harmless = |cell: &ratatui::buffer::Cell| {
                !cell.symbol().contains(char::is_control)
            };
            prop_assert!(buffer.content.iter().all(is_harmless));
        }
        interrupt(&mut state);
    }
}
