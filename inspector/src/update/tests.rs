use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use inspector_protocol::input::{InputEvent, Key};
use inspector_protocol::message::{Answer, Event, Request, Subscription};
use inspector_protocol::status::{
    HostState, Problem, ReloadOutcome, ReloadStatus, RestartStatus, ResumedStatus, Severity,
    VersionState,
};

use super::{Effect, Message};
use crate::fixture::{
    busy, death, interrupt, log_line, press, send, status, type_keys, version, viewport,
};
use crate::input::FIRST_HOLD_MS;
use crate::layout::window;
use crate::state::{Confirm, Connection, Detail, Focus, MAX_LOG, NOTICE_MS, Overlay, Panel, State};
use crate::ui::Role;

fn owner() -> State {
    let mut state = State::new(Role::Owner, (80, 24));
    send(&mut state, Message::Hub(Event::Status(Box::new(status()))));
    state
}

fn input(event: InputEvent) -> Effect {
    Effect::Send(Request::Input(event))
}

fn answer(state: &mut State, id: u64, answer: Answer) {
    send(state, Message::Hub(Event::Answer { id, answer }));
}

fn notice(state: &State) -> (&str, bool) {
    state.fresh_notice().map_or(("", false), |notice| {
        (notice.text.as_str(), notice.is_error)
    })
}

#[test]
fn the_first_message_subscribes_and_tells_the_size() {
    let mut state = State::new(Role::Owner, (80, 24));
    let effects = send(&mut state, Message::Tick(0));
    let wanted = Subscription {
        status: true,
        logs: true,
        viewport: true,
    };
    assert_eq!(
        effects,
        [
            Effect::Send(Request::Subscribe(wanted)),
            Effect::Send(Request::ViewportSize {
                width: 80,
                height: 21
            }),
        ]
    );
    assert_eq!(send(&mut state, Message::Tick(1)), []);
    assert_eq!(
        send(&mut state, Message::Resize(60, 20)),
        [Effect::Send(Request::ViewportSize {
            width: 60,
            height: 17
        })]
    );
}

#[test]
fn a_hidden_game_sends_no_frames() {
    let mut state = owner();
    let unwanted = Subscription {
        status: true,
        logs: true,
        viewport: false,
    };
    assert_eq!(
        press(&mut state, KeyCode::Tab),
        [Effect::Send(Request::Subscribe(unwanted))]
    );
}

#[test]
fn the_owner_is_asked_before_the_game_ends() {
    let mut state = owner();
    press(&mut state, KeyCode::Esc);
    assert_eq!(type_keys(&mut state, "q"), []);
    assert_eq!(state.confirm, Some(Confirm::Quit));
    assert_eq!(type_keys(&mut state, "n"), []);
    assert_eq!(state.confirm, None);
    assert_eq!(type_keys(&mut state, "qy"), [Effect::Quit]);
}

#[test]
fn ctrl_c_twice_ends_the_game_whatever_has_the_focus() {
    let mut state = owner();
    assert_eq!(state.focus, Focus::Game);
    assert_eq!(interrupt(&mut state), []);
    assert_eq!(interrupt(&mut state), [Effect::Quit]);
}

#[test]
fn who_is_attached_leaves_at_once() {
    assert_eq!(type_keys(&mut busy(80, 24), "q"), [Effect::Quit]);
    assert_eq!(interrupt(&mut busy(80, 24)), [Effect::Quit]);
}

#[test]
fn keys_go_to_the_game_while_it_has_the_focus() {
    let mut state = owner();
    send(&mut state, Message::Tick(1000));
    for ch in ['q', 'r', '1', ' ', '?'] {
        let down = input(InputEvent::KeyDown(Key::Char(ch)));
        assert_eq!(press(&mut state, KeyCode::Char(ch)), [down]);
    }
    let up = send(&mut state, Message::Tick(1000 + FIRST_HOLD_MS));
    assert_eq!(up.len(), 5);
    assert_eq!(up[0], input(InputEvent::KeyUp(Key::Char('q'))));
}

#[test]
fn nothing_stays_held_when_the_focus_leaves_the_game() {
    for code in [KeyCode::Esc, KeyCode::Tab] {
        let mut state = owner();
        press(&mut state, KeyCode::Char('d'));
        assert!(press(&mut state, code).contains(&input(InputEvent::FocusLost)));
        assert_eq!(state.focus, Focus::Panels);
    }
    let mut state = owner();
    press(&mut state, KeyCode::Char('d'));
    assert_eq!(
        send(&mut state, Message::FocusLost),
        [input(InputEvent::FocusLost)]
    );
    assert_eq!(send(&mut state, Message::FocusLost), []);
}

#[test]
fn reload_asks_for_the_selected_module_and_shows_the_outcome_it_got() {
    let mut state = busy(80, 24);
    // The second module's row: below the first and its five versions.
    for _ in 0..6 {
        press(&mut state, KeyCode::Down);
    }
    let effects = type_keys(&mut state, "r");
    assert_eq!(
        effects,
        [Effect::Send(Request::Reload {
            id: 1,
            module: "敵_ai".into()
        })]
    );
    assert_eq!(state.pending.len(), 1);
    assert_eq!(notice(&state), ("", false));
    let reload = ReloadStatus {
        outcome: ReloadOutcome::CompileError,
        message: "1 error".into(),
        ..ReloadStatus::default()
    };
    answer(&mut state, 1, Answer::Reload(reload));
    assert!(state.pending.is_empty());
    assert_eq!(
        notice(&state),
        ("reload 敵_ai: compile error: 1 error", true)
    );
    send(&mut state, Message::Tick(60_000 + NOTICE_MS));
    assert_eq!(notice(&state), ("", false));
}

#[test]
fn r_acts_on_the_module_of_the_row_in_every_panel() {
    for (keys, module) in [
        ("1r", "game_logic"),
        ("2jr", "敵_ai"),
        ("3jr", "敵_ai"),
        ("4r", "game_logic"),
    ] {
        let mut state = busy(80, 24);
        let expected = Effect::Send(Request::Reload {
            id: 1,
            module: module.into(),
        });
        assert_eq!(type_keys(&mut state, keys), [expected], "{keys}");
    }
}

#[test]
fn rollback_asks_first_and_can_take_the_state() {
    for (key, with_state) in [("y", false), ("s", true)] {
        let mut state = busy(80, 24);
        assert_eq!(type_keys(&mut state, "b"), []);
        let module = "game_logic".to_owned();
        let expected = Request::Rollback {
            id: 1,
            module,
            state: with_state,
        };
        assert_eq!(type_keys(&mut state, key), [Effect::Send(expected)]);
    }
}

#[test]
fn rollback_names_the_version_it_goes_back_to_where_that_is_known() {
    // Outcome, from, to, content of `to`.
    type Entry = (ReloadOutcome, Option<u32>, u32, &'static str);
    const FIRST: Entry = (ReloadOutcome::Applied, None, 1, "a");
    const SECOND: Entry = (ReloadOutcome::Applied, Some(1), 2, "b");
    let cases: [(&[Entry], Option<u32>); 6] = [
        (&[FIRST], None),
        (&[FIRST, SECOND], Some(1)),
        // The same content again is no step.
        (
            &[FIRST, SECOND, (ReloadOutcome::Applied, Some(2), 3, "b")],
            Some(1),
        ),
        (
            &[FIRST, SECOND, (ReloadOutcome::RolledBack, Some(2), 3, "a")],
            None,
        ),
        (
            &[
                FIRST,
                SECOND,
                (ReloadOutcome::RolledBack, Some(2), 3, "a"),
                (ReloadOutcome::Applied, Some(3), 4, "c"),
            ],
            Some(3),
        ),
        // Another host.
        (
            &[FIRST, SECOND, (ReloadOutcome::Applied, None, 1, "b")],
            None,
        ),
    ];
    for (entries, before) in cases {
        let mut status = status();
        status.modules.truncate(1);
        status.modules[0].versions.clear();
        status.reloads.clear();
        for (outcome, from, to, hash) in entries {
            let mut loaded = version(*to, VersionState::Unloaded, 0);
            loaded.hash = (*hash).to_owned();
            status.modules[0]
                .versions
                .retain(|known| known.version != *to);
            status.modules[0].versions.push(loaded);
            status.modules[0].active = Some(*to);
            status.reloads.push(ReloadStatus {
                module: "game_logic".into(),
                outcome: *outcome,
                from: *from,
                to: Some(*to),
                ..ReloadStatus::default()
            });
        }
        let mut state = busy(80, 24);
        send(&mut state, Message::Hub(Event::Status(Box::new(status))));
        type_keys(&mut state, "b");
        let module = "game_logic".to_owned();
        let expected = Some(Confirm::Rollback { module, before });
        assert_eq!(state.confirm, expected, "{entries:?}");
    }
}

#[test]
fn a_death_takes_the_place_of_a_success() {
    let mut state = busy(80, 24);
    type_keys(&mut state, "Ry");
    answer(&mut state, 1, Answer::Done);
    assert_eq!(notice(&state), ("restart: done", false));
    send(&mut state, Message::Hub(Event::HostDown(death())));
    let (text, is_error) = notice(&state);
    assert!(
        is_error && text.contains("the host died: signal SIGSEGV in game_logic v4"),
        "{text}"
    );
    // The hub says it again to whoever subscribes again: no news. The picture and the
    // list of problems show it anyway.
    let later = state.now_ms + NOTICE_MS;
    send(&mut state, Message::Tick(later));
    send(&mut state, Message::Hub(Event::HostDown(death())));
    assert_eq!(notice(&state), ("", false));
}

#[test]
fn whoever_goes_to_the_game_sees_it_live() {
    let mut state = busy(120, 40);
    type_keys(&mut state, " ");
    assert!(state.frozen.is_some());
    press(&mut state, KeyCode::Tab);
    assert_eq!((state.focus, state.frozen.is_none()), (Focus::Game, true));
    assert_eq!(notice(&state), ("the view goes on", false));
}

#[test]
fn lists_without_the_focus_show_their_newest_entry() {
    for (digit, panel) in [("3", Panel::Reloads), ("4", Panel::Problems)] {
        let mut state = busy(200, 60);
        type_keys(&mut state, digit);
        press(&mut state, KeyCode::Down);
        let again = || Message::Hub(Event::Status(Box::new(status())));
        send(&mut state, again());
        assert_eq!(state.selected[panel.index()], 1, "read by somebody");
        type_keys(&mut state, "1");
        send(&mut state, again());
        assert_eq!(state.selected[panel.index()], 0, "read by nobody");
    }
}

#[test]
fn restart_asks_only_while_a_host_is_up() {
    let mut state = busy(80, 24);
    assert_eq!(type_keys(&mut state, "R"), []);
    assert_eq!(
        type_keys(&mut state, "y"),
        [Effect::Send(Request::RestartHost { id: 1 })]
    );

    let mut state = busy(80, 24);
    send(&mut state, Message::Hub(Event::HostDown(death())));
    assert_eq!(
        type_keys(&mut state, "R"),
        [Effect::Send(Request::RestartHost { id: 1 })]
    );
}

#[test]
fn a_death_is_shown_until_another_host_runs() {
    let mut state = busy(120, 40);
    send(&mut state, Message::Hub(Event::HostDown(death())));
    let mut down = status();
    down.engine.host = HostState::Down;
    send(&mut state, Message::Hub(Event::Status(Box::new(down))));
    assert!(state.live.death.is_some());
    let mut up = status();
    up.engine.run_id = "another".into();
    send(&mut state, Message::Hub(Event::Status(Box::new(up))));
    assert_eq!(state.live.death, None);
    assert_eq!(state.live.viewport, None);
    assert_eq!(state.live.host_age_ms(0), 0);
}

#[test]
fn a_restart_is_news_once() {
    let mut state = busy(200, 40);
    let restart = RestartStatus {
        reason: "the host died of SIGSEGV".into(),
        at_ms: 590_000,
        checkpoint: Some(ResumedStatus {
            frame: 17_000,
            age_ms: 1200,
        }),
        ..RestartStatus::default()
    };
    let mut other = status();
    other.engine.run_id = "another".into();
    other.engine.restart = Some(restart);
    send(
        &mut state,
        Message::Hub(Event::Status(Box::new(other.clone()))),
    );
    let (text, is_error) = notice(&state);
    assert_eq!(
        (text, is_error),
        (
            "the host died of SIGSEGV; the game goes on from a checkpoint 1.20s before that",
            true
        )
    );
    state.notice = None;
    send(&mut state, Message::Hub(Event::Status(Box::new(other))));
    assert!(state.notice.is_none());
    let drawn = drawn_header(&state);
    assert!(drawn.contains("restarted 10s ago (-1.20s)"), "{drawn}");
}

fn drawn_header(state: &State) -> String {
    let mut header = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, 200, 1));
    let area = header.area;
    crate::view::header::draw(state, area, &mut header);
    let cells = header.content.iter();
    cells.map(ratatui::buffer::Cell::symbol).collect()
}

#[test]
fn a_game_that_begins_with_the_first_fix_was_not_restarted() {
    let mut state = busy(200, 40);
    let mut other = status();
    other.engine.run_id = "another".into();
    other.engine.restart = Some(RestartStatus {
        reason: "a build came while no game ran".into(),
        is_first: true,
        at_ms: 590_000,
        ..RestartStatus::default()
    });
    send(&mut state, Message::Hub(Event::Status(Box::new(other))));
    let (text, _) = notice(&state);
    assert_eq!(text, "a build came while no game ran; the game begins");
    let drawn = drawn_header(&state);
    assert!(!drawn.contains("restarted"), "{drawn}");
}

#[test]
fn a_selected_row_stays_selected_while_rows_come_and_go() {
    let mut state = busy(80, 24);
    for _ in 0..6 {
        press(&mut state, KeyCode::Down);
    }
    let mut changed = status();
    changed.modules[0]
        .versions
        .push(version(6, VersionState::Loading, 0));
    send(&mut state, Message::Hub(Event::Status(Box::new(changed))));
    assert_eq!(state.selected[0], 7);
    let effects = type_keys(&mut state, "r");
    assert_eq!(
        effects,
        [Effect::Send(Request::Reload {
            id: 1,
            module: "敵_ai".into()
        })]
    );
}

#[test]
fn the_newest_reload_stays_at_the_top() {
    let mut state = busy(80, 24);
    type_keys(&mut state, "3");
    let newest = ReloadStatus {
        seq: 9,
        module: "game_logic".into(),
        ..ReloadStatus::default()
    };
    send(&mut state, Message::Hub(Event::Reload(newest.clone())));
    assert_eq!(state.selected[Panel::Reloads.index()], 0);
    press(&mut state, KeyCode::Enter);
    assert!(
        matches!(&state.overlay, Overlay::Detail { detail, .. } if **detail == Detail::Reload(newest))
    );
}

#[test]
fn problems_are_sorted_by_severity_and_go_with_the_next_good_build() {
    let mut state = busy(80, 24);
    let problems = &state.live.status.as_ref().unwrap().problems;
    assert_eq!(problems[0].severity, Severity::Error);
    type_keys(&mut state, "4");
    press(&mut state, KeyCode::Down);
    let mut good = status();
    good.problems.clear();
    send(&mut state, Message::Hub(Event::Status(Box::new(good))));
    assert_eq!(state.selected[Panel::Problems.index()], 0);
    press(&mut state, KeyCode::Enter);
    assert_eq!(state.overlay, Overlay::None);
}

#[test]
fn the_log_is_followed_until_someone_scrolls_back() {
    let mut state = busy(80, 24);
    type_keys(&mut state, "5");
    assert_eq!(state.selected[4], 49);
    press(&mut state, KeyCode::Up);
    assert!(!state.follow);
    send(&mut state, Message::Hub(Event::Log(log_line(50))));
    assert_eq!(state.selected[4], 48);
    type_keys(&mut state, "f");
    assert_eq!(state.selected[4], 50);
    type_keys(&mut state, "g");
    for seq in 51..51 + MAX_LOG as u64 {
        send(&mut state, Message::Hub(Event::Log(log_line(seq))));
    }
    assert_eq!(state.live.log.len(), MAX_LOG);
    assert_eq!(state.selected[4], 0);
}

#[test]
fn a_paused_display_stands_still_and_catches_up() {
    let mut state = busy(80, 24);
    type_keys(&mut state, " ");
    let mut changed = status();
    changed.modules.truncate(1);
    send(&mut state, Message::Hub(Event::Status(Box::new(changed))));
    send(&mut state, Message::Hub(Event::Log(log_line(50))));
    assert_eq!(state.shown().status.as_ref().unwrap().modules.len(), 2);
    assert_eq!(state.shown().log.len(), 50);
    type_keys(&mut state, "G ");
    assert_eq!(state.shown().status.as_ref().unwrap().modules.len(), 1);
    assert_eq!(state.shown().log.len(), 51);
}

#[test]
fn a_lost_hub_is_tried_again_with_growing_pauses() {
    let mut state = busy(80, 24);
    type_keys(&mut state, "r");
    send(&mut state, Message::Disconnected);
    assert_eq!(
        notice(&state),
        (
            "the connection was lost before an answer: reload game_logic",
            true
        )
    );
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let Connection::Lost { retry_at_ms, .. } = state.connection else {
            panic!("not lost")
        };
        pauses.push(retry_at_ms - state.now_ms);
        assert_eq!(send(&mut state, Message::Tick(retry_at_ms - 1)), []);
        assert_eq!(
            send(&mut state, Message::Tick(retry_at_ms)),
            [Effect::Connect]
        );
        assert_eq!(send(&mut state, Message::Tick(retry_at_ms + 1)), []);
        send(&mut state, Message::ConnectFailed("nobody there".into()));
    }
    assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 8000, 8000]);
    assert_eq!(type_keys(&mut state, "r"), []);
    let effects = send(&mut state, Message::Connected);
    assert!(matches!(effects[..], [Effect::Send(Request::Subscribe(_))]));
    assert!(state.live.status.is_none());
}

#[test]
fn what_could_not_be_sent_is_said() {
    let mut state = busy(80, 24);
    let Effect::Send(request) = type_keys(&mut state, "r").remove(0) else {
        panic!("not sent")
    };
    send(&mut state, Message::NotSent(request));
    assert!(state.pending.is_empty());
    assert_eq!(
        notice(&state),
        (
            "not sent, the engine does not take requests: reload game_logic",
            true
        )
    );
}

#[test]
fn an_answer_nobody_waits_for_is_no_success() {
    let mut state = busy(80, 24);
    answer(&mut state, 99, Answer::Done);
    assert_eq!(notice(&state), ("", false));
}

#[test]
fn foreign_text_is_harmless_in_the_model() {
    let mut state = busy(80, 24);
    let mut hostile = status();
    hostile.problems = vec![Problem {
        message: "a\x1b[2J\rb".into(),
        ..Problem::default()
    }];
    send(&mut state, Message::Hub(Event::Status(Box::new(hostile))));
    let status = state.live.status.as_ref().unwrap();
    assert_eq!(status.modules[1].name, "敵_ai");
    assert_eq!(status.problems[0].message, "ab");
    assert!(
        state
            .live
            .log
            .iter()
            .all(|line| !line.message.contains('\x1b'))
    );
}

fn mouse(state: &mut State, kind: MouseEventKind, column: u16, row: u16) -> Vec<Effect> {
    let event = MouseEvent {
        kind,
        column,
        row,
        modifiers: KeyModifiers::NONE,
    };
    send(state, Message::Mouse(event))
}

#[test]
fn a_click_in_the_game_is_the_games_in_its_own_cells() {
    let mut state = busy(120, 40);
    let area = state.layout().game.unwrap();
    // The picture of 30x12 is centred.
    let (left, top) = (
        area.x + (area.width - 30) / 2,
        area.y + (area.height - 12) / 2,
    );
    let left_down = MouseEventKind::Down(MouseButton::Left);
    assert_eq!(
        mouse(&mut state, left_down, left + 3, top + 2),
        [
            input(InputEvent::MouseMove { x: 3, y: 2 }),
            input(InputEvent::MouseDown(
                inspector_protocol::input::MouseButton::Left
            )),
        ]
    );
    assert_eq!(state.focus, Focus::Game);
    assert_eq!(mouse(&mut state, MouseEventKind::Moved, left - 1, top), []);
    assert_eq!(
        mouse(&mut state, MouseEventKind::Up(MouseButton::Left), 119, 39),
        [input(InputEvent::MouseUp(
            inspector_protocol::input::MouseButton::Left
        ))]
    );
    send(
        &mut state,
        Message::Hub(Event::Viewport(viewport(200, 100))),
    );
    let moved = mouse(&mut state, MouseEventKind::Moved, area.x, area.y);
    let (x, y) = ((200 - area.width) / 2, (100 - area.height) / 2);
    assert_eq!(moved, [input(InputEvent::MouseMove { x, y })]);
}

#[test]
fn clicks_select_tabs_and_rows_and_open_them() {
    let mut state = busy(80, 24);
    let left = MouseEventKind::Down(MouseButton::Left);
    let layout = state.layout();
    mouse(&mut state, left, 14, layout.tabs.unwrap().y);
    assert_eq!(state.panel, Panel::Calls);
    let rows = state.layout().panels[0].rows;
    mouse(&mut state, left, 5, rows.y + 1);
    assert_eq!(state.selected[1], 1);
    mouse(&mut state, left, 5, rows.y + 1);
    assert!(matches!(state.overlay, Overlay::Detail { .. }));
    press(&mut state, KeyCode::Esc);
    mouse(&mut state, MouseEventKind::ScrollUp, 5, rows.y);
    assert_eq!(state.selected[1], 0);
    assert_eq!(window(0, 2, rows.height), 0);
}

#[test]
fn help_and_details_scroll_within_their_text() {
    let mut state = busy(40, 10);
    type_keys(&mut state, "?G");
    let Overlay::Help { scroll: last } = state.overlay else {
        panic!("no help")
    };
    assert!(last > 0);
    type_keys(&mut state, "jjjj");
    assert_eq!(state.overlay, Overlay::Help { scroll: last });
    send(&mut state, Message::Resize(200, 60));
    assert_eq!(state.overlay, Overlay::Help { scroll: 0 });
    type_keys(&mut state, "?");
    assert_eq!(state.overlay, Overlay::None);
}

#[test]
fn a_release_after_the_focus_moved_does_nothing() {
    let mut state = owner();
    press(&mut state, KeyCode::Tab);
    let release = KeyEvent::new_with_kind(
        KeyCode::Char('q'),
        KeyModifiers::NONE,
        crossterm::event::KeyEventKind::Release,
    );
    assert_eq!(send(&mut state, Message::Key(release)), []);
    assert_eq!(state.confirm, None);
}

#[test]
fn r_restarts_a_host_that_is_down_even_from_the_game() {
    let mut state = owner();
    assert_eq!(
        type_keys(&mut state, "R"),
        [input(InputEvent::KeyDown(Key::Char('R')))]
    );
    send(&mut state, Message::Hub(Event::HostDown(death())));
    assert_eq!(
        type_keys(&mut state, "R"),
        [Effect::Send(Request::RestartHost { id: 1 })]
    );
}

#[test]
fn a_key_held_down_repeats_nothing_but_scrolling() {
    let repeat = |code, modifiers| {
        Message::Key(KeyEvent::new_with_kind(
            code,
            modifiers,
            crossterm::event::KeyEventKind::Repeat,
        ))
    };
    let mut state = busy(80, 24);
    send(&mut state, repeat(KeyCode::Down, KeyModifiers::NONE));
    assert_eq!(state.selected[0], 1);
    // A held `R`, as terminals report it.
    assert_eq!(
        send(&mut state, repeat(KeyCode::Char('r'), KeyModifiers::SHIFT)),
        []
    );
    assert_eq!((state.confirm, state.pending.len()), (None, 0));

    let mut state = owner();
    interrupt(&mut state);
    assert_eq!(
        send(
            &mut state,
            repeat(KeyCode::Char('c'), KeyModifiers::CONTROL)
        ),
        []
    );
}

#[test]
fn a_held_capital_letter_stays_one_key_for_the_game() {
    let mut state = owner();
    press(&mut state, KeyCode::Char('D'));
    let kinds = [
        crossterm::event::KeyEventKind::Repeat,
        crossterm::event::KeyEventKind::Release,
    ];
    let [repeated, released] = kinds.map(|kind| {
        let event = KeyEvent::new_with_kind(KeyCode::Char('d'), KeyModifiers::SHIFT, kind);
        send(&mut state, Message::Key(event))
    });
    assert_eq!(repeated, [input(InputEvent::KeyDown(Key::Char('D')))]);
    assert_eq!(released, [input(InputEvent::KeyUp(Key::Char('D')))]);
}
