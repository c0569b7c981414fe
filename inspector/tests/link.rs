//! The socket client against a hub made of a few lines.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use inspector::{ConnectError, Link};
use inspector_protocol::PROTOCOL_VERSION;
use inspector_protocol::message::{Event, LogLine, Request};
use inspector_protocol::wire;

const SOON: Duration = Duration::from_secs(10);

fn welcome() -> Event {
    Event::Welcome {
        protocol: PROTOCOL_VERSION,
        pid: 7,
        root: "/game".into(),
    }
}

/// Runs `hub` on the other end of a connection that says `first`.
fn with_hub<T: Send + 'static>(
    first: Event,
    hub: impl FnOnce(&mut UnixStream) -> T + Send + 'static,
) -> (
    Result<(Link, inspector::Welcome), ConnectError>,
    thread::JoinHandle<T>,
) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let hub = thread::spawn(move || {
        let hello: Request = wire::read(&mut theirs).unwrap();
        assert_eq!(
            hello,
            Request::Hello {
                protocol: PROTOCOL_VERSION,
                client: "test".into()
            }
        );
        wire::write(&mut theirs, &first).unwrap();
        hub(&mut theirs)
    });
    (Link::over(ours, "test"), hub)
}

#[test]
fn messages_go_both_ways_and_the_end_of_the_hub_ends_the_events() {
    let (connected, hub) = with_hub(welcome(), |stream| {
        let request: Request = wire::read(stream).unwrap();
        let line = LogLine {
            message: "hello".into(),
            ..LogLine::default()
        };
        wire::write(stream, &Event::Log(line)).unwrap();
        request
    });
    let (link, welcome) = connected.unwrap();
    assert_eq!((welcome.pid, welcome.root.as_str()), (7, "/game"));
    link.requests.send(Request::Status { id: 3 }).unwrap();
    let event = link.events.recv_timeout(SOON).unwrap();
    assert!(matches!(event, Event::Log(logged) if logged.message == "hello"));
    assert_eq!(hub.join().unwrap(), Request::Status { id: 3 });
    // Disconnected, not silent.
    assert_eq!(
        link.events.recv_timeout(SOON),
        Err(crossbeam_channel::RecvTimeoutError::Disconnected)
    );
}

#[test]
fn dropping_the_link_closes_the_connection() {
    let (connected, hub) = with_hub(welcome(), |stream| {
        wire::read::<Request>(stream).map_err(|e| e.to_string())
    });
    drop(connected.unwrap());
    assert_eq!(hub.join().unwrap(), Err("the connection was closed".into()));
}

#[test]
fn a_refusal_says_why() {
    let (connected, _) = with_hub(
        Event::Refused {
            reason: "too many clients".into(),
        },
        |_| (),
    );
    let error = connected.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the engine refused the connection: too many clients"
    );
}

#[test]
fn another_protocol_is_named() {
    let other = Event::Welcome {
        protocol: 99,
        pid: 7,
        root: String::new(),
    };
    let (connected, _) = with_hub(other, |_| ());
    assert!(matches!(
        connected.unwrap_err(),
        ConnectError::Version { theirs: 99 }
    ));
}

#[test]
fn something_that_is_no_hub_is_refused() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    std::io::Write::write_all(&mut theirs, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    assert!(matches!(
        Link::over(ours, "test").unwrap_err(),
        ConnectError::NotAHub
    ));
}

#[test]
fn a_hub_that_hangs_up_is_reported() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    assert!(matches!(
        Link::over(ours, "test").unwrap_err(),
        ConnectError::Handshake(_)
    ));
}
