//! A connection to a hub: two channels, whatever is behind them.
//!
//! In one process the hub hands out a [`Link`] itself. From elsewhere
//! [`Link::connect`] opens the hub's socket and puts two threads between it and
//! the channels: `inspector-reader` and `inspector-writer`. Both end when the
//! [`Link`] is dropped or the hub is gone.

use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use inspector_protocol::PROTOCOL_VERSION;
use inspector_protocol::endpoint::{self, EndpointError};
use inspector_protocol::message::{Event, Request};
use inspector_protocol::wire::{self, WireError};

/// Requests that may wait for the writer.
const REQUESTS: usize = 256;
/// Events that may wait for the user interface. When they are full the reader
/// stops reading, and the hub drops and counts for this client.
const EVENTS: usize = 1024;
/// How long a hub may take to answer [`Request::Hello`].
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Two ends of a connection to a hub.
#[derive(Debug)]
pub struct Link {
    /// To the hub. Bounded; use `try_send` where waiting is not an option.
    pub requests: Sender<Request>,
    /// From the hub. Disconnects when the hub is gone.
    pub events: Receiver<Event>,
}

/// What a hub says of itself when it accepts a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Process id of the supervisor.
    pub pid: u32,
    /// The project's root directory.
    pub root: String,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No hub could be reached.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The hub speaks, but not with this client.
    #[error("the engine refused the connection: {reason}")]
    Refused {
        /// Why, in the hub's words.
        reason: String,
    },
    /// The hub speaks another version of the protocol.
    #[error(
        "the engine speaks protocol {theirs}, this inspector {PROTOCOL_VERSION}; \
         use the inspector that was built with the engine (`engine inspector`)"
    )]
    Version {
        /// The hub's version.
        theirs: u32,
    },
    /// Something else than a hub answered.
    #[error("what answered is not an engine")]
    NotAHub,
    /// The connection broke before the hub answered.
    #[error("the engine did not answer")]
    Handshake(#[source] WireError),
    /// The system did not give what a connection needs.
    #[error("cannot set up the connection")]
    Setup(#[source] io::Error),
}

impl Link {
    /// Connects to the hub `attach` names (a socket path or a process id), or
    /// to the only one running. `client` is the name the hub logs.
    ///
    /// Waits for the hub's answer, at most five seconds.
    ///
    /// # Errors
    /// No hub there, a hub that refuses, or something that is no hub.
    pub fn connect(attach: Option<&str>, client: &str) -> Result<(Self, Welcome), ConnectError> {
        Self::over(endpoint::connect(attach)?, client)
    }

    /// The same over a stream that is already open.
    ///
    /// # Errors
    /// As [`Link::connect`].
    pub fn over(stream: UnixStream, client: &str) -> Result<(Self, Welcome), ConnectError> {
        stream
            .set_read_timeout(Some(HANDSHAKE))
            .map_err(ConnectError::Setup)?;
        stream
            .set_write_timeout(Some(HANDSHAKE))
            .map_err(ConnectError::Setup)?;
        let mut writing = stream.try_clone().map_err(ConnectError::Setup)?;
        let mut reading = BufReader::new(stream.try_clone().map_err(ConnectError::Setup)?);

        let hello = Request::Hello {
            protocol: PROTOCOL_VERSION,
            client: client.to_owned(),
        };
        wire::write(&mut writing, &hello).map_err(ConnectError::Handshake)?;
        let welcome = match wire::read(&mut reading) {
            Ok(Event::Welcome {
                protocol: PROTOCOL_VERSION,
                pid,
                root,
            }) => Welcome { pid, root },
            Ok(Event::Welcome { protocol, .. }) => {
                return Err(ConnectError::Version { theirs: protocol });
            }
            Ok(Event::Refused { reason }) => return Err(ConnectError::Refused { reason }),
            Ok(_) | Err(WireError::Malformed(_) | WireError::TooLong(_)) => {
                return Err(ConnectError::NotAHub);
            }
            Err(error) => return Err(ConnectError::Handshake(error)),
        };
        stream.set_read_timeout(None).map_err(ConnectError::Setup)?;
        stream
            .set_write_timeout(None)
            .map_err(ConnectError::Setup)?;

        let (requests, to_write) = bounded(REQUESTS);
        let (arrived, events) = bounded(EVENTS);
        let closing = stream.try_clone().map_err(ConnectError::Setup)?;
        thread::Builder::new()
            .name("inspector-reader".into())
            .spawn(move || {
                read_events(&mut reading, &arrived);
                close(&closing);
            })
            .map_err(ConnectError::Setup)?;
        thread::Builder::new()
            .name("inspector-writer".into())
            .spawn(move || {
                write_requests(&mut writing, &to_write);
                close(&writing);
            })
            .map_err(|error| {
                close(&stream);
                ConnectError::Setup(error)
            })?;
        Ok((Self { requests, events }, welcome))
    }
}

/// Passes events on until the connection or the receiver is gone.
fn read_events(from: &mut impl io::Read, to: &Sender<Event>) {
    while let Ok(event) = wire::read(from) {
        if to.send(event).is_err() {
            return;
        }
    }
}

/// Writes requests until the connection or the sender is gone.
fn write_requests(to: &mut impl io::Write, from: &Receiver<Request>) {
    for request in from {
        match wire::write(to, &request) {
            // A request that is too long is lost; the connection is still good.
            Ok(()) | Err(WireError::TooLong(_)) => {}
            Err(_) => return,
        }
    }
}

/// Ends both directions, so that the other thread's blocking call returns too.
fn close(stream: &UnixStream) {
    // Already closed is as good.
    let _ = stream.shutdown(Shutdown::Both);
}
