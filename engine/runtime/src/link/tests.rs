use inspector_protocol::input::Key;
use inspector_protocol::status::{Severity, VersionState, VersionStatus};
use inspector_protocol::viewport::{Rgb, ViewportCell};
use inspector_protocol::wire;

use super::*;

/// Every message arrives as it was sent, also when several travel in one stream.
fn check<M>(messages: &[M])
where
    M: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let mut stream = Vec::new();
    for message in messages {
        wire::write(&mut stream, message).unwrap();
    }
    let mut rest = stream.as_slice();
    for message in messages {
        assert_eq!(wire::read::<M>(&mut rest).unwrap(), *message);
    }
    assert!(matches!(
        wire::read::<M>(&mut rest),
        Err(wire::WireError::Closed)
    ));
    // A stream that breaks anywhere ends in an error, never in another message.
    for end in 0..stream.len() {
        let mut rest = &stream[..end];
        let arrived = std::iter::from_fn(|| wire::read::<M>(&mut rest).ok());
        assert!(
            arrived
                .zip(messages)
                .all(|(arrived, sent)| arrived == *sent)
        );
    }
}

#[test]
fn messages_to_the_host_arrive_as_they_were_sent() {
    check(&[
        ToHost::Load(vec![LoadRequest {
            ticket: u64::MAX,
            module: "game_logic".into(),
            artifact: "/a b/libgäme.so".into(),
            hash: 1 << 63,
            force: true,
            quarantine: true,
            restore: false,
        }]),
        ToHost::Call {
            id: 7,
            module: "game_logic".into(),
            function: "damage".into(),
            args: vec!["12".into(), "(x: 1)".into(), String::new()],
        },
        ToHost::FilesChanged(vec![]),
        ToHost::FilesChanged(vec!["assets/a.ron".into()]),
        ToHost::Input(InputEvent::KeyDown(Key::Char('ü'))),
        ToHost::Input(InputEvent::MouseMove { x: 0, y: u16::MAX }),
        ToHost::ViewportSize {
            width: 80,
            height: 24,
        },
        ToHost::ViewportWanted(true),
        ToHost::Shutdown,
    ]);
}

#[test]
fn messages_from_the_host_arrive_as_they_were_sent() {
    let version = VersionStatus {
        version: 2,
        label: "0.1.0".into(),
        hash: format!("{:016x}", 7),
        state: VersionState::Pinned,
        active_calls: 1,
        pinned_by: vec!["type `Health`".into()],
        loaded_at_ms: 5,
    };
    let snapshot = Snapshot {
        frame: 9,
        modules: vec![ModuleStatus {
            name: "game_logic".into(),
            kind: "native".into(),
            active: None,
            versions: vec![version],
        }],
        calls: vec![CallStatus {
            function: "damage".into(),
            ..CallStatus::default()
        }],
        frames: FrameStatus {
            fps: 59.94,
            p50_us: 1,
            p99_us: 2,
            max_us: 3,
        },
        problems: vec![Problem {
            severity: Severity::Error,
            line: 3,
            ..Problem::default()
        }],
        dropped: 4,
        ..Snapshot::default()
    };
    let cell = ViewportCell {
        ch: '█',
        fg: Some(Rgb(1, 2, 3)),
        bg: None,
    };
    check(&[
        FromHost::Ready { pid: 1 },
        FromHost::Names {
            id: 1,
            module: "a".into(),
            version: 2,
            functions: vec!["f".into()],
        },
        FromHost::Snapshot(Box::default()),
        FromHost::Snapshot(Box::new(snapshot)),
        FromHost::Log {
            level: LogLevel::Warn,
            module: String::new(),
            message: "a\nb".into(),
        },
        FromHost::Reloaded(Reloaded {
            frame: Some(1 << 40),
            ticket: Some(0),
            module: "a".into(),
            from: Some(1),
            to: Some(2),
            outcome: ReloadOutcome::Applied,
            message: String::new(),
            load_ms: 0.25,
            migrate_ms: 0.5,
            swap_ms: 1e-3,
        }),
        FromHost::Reloaded(Reloaded {
            outcome: ReloadOutcome::LoadError,
            ..Reloaded::default()
        }),
        FromHost::Viewport(ViewportFrame {
            frame: 1,
            width: 1,
            height: 1,
            cells: vec![cell],
        }),
        FromHost::Called {
            id: 1,
            result: Ok("{\"a\":1}".into()),
        },
        FromHost::Called {
            id: 2,
            result: Err("no".into()),
        },
        FromHost::Began { resumed: None },
        FromHost::Began {
            resumed: Some(Resumed {
                frame: 3,
                saved_at_ms: u64::MAX,
            }),
        },
        FromHost::Finished,
    ]);
}
