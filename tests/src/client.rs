//! A connection to an engine's socket.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::Path;

use inspector_protocol::PROTOCOL_VERSION;
use inspector_protocol::message::{Answer, Event, Request, Subscription};
use inspector_protocol::wire;

use crate::PATIENCE;

/// One client. Requests are answered one after another.
#[derive(Debug)]
pub struct Client {
    writer: UnixStream,
    reader: BufReader<UnixStream>,
    last_id: u64,
}

impl Client {
    /// Connects and says hello.
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket)
            .unwrap_or_else(|error| panic!("no engine at {}: {error}", socket.display()));
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket takes a limit");
        let reader = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
        let mut client = Self {
            writer: stream,
            reader,
            last_id: 0,
        };
        client.send(&Request::Hello {
            protocol: PROTOCOL_VERSION,
            client: "test".to_owned(),
        });
        match client.next_event() {
            Event::Welcome { .. } => client,
            other => panic!("the engine answered hello with {other:?}"),
        }
    }

    /// Connects and asks for events.
    pub fn subscribe(socket: &Path, wanted: Subscription) -> Self {
        let mut client = Self::connect(socket);
        client.send(&Request::Subscribe(wanted));
        client
    }

    /// Sends a request without waiting.
    pub fn send(&mut self, request: &Request) {
        wire::write(&mut self.writer, request).expect("the engine takes requests");
    }

    /// The next event.
    pub fn next_event(&mut self) -> Event {
        wire::read(&mut self.reader).expect("the engine sends an event in time")
    }

    /// Sends a request that is answered and waits for its answer.
    pub fn ask(&mut self, request: impl FnOnce(u64) -> Request) -> Answer {
        self.last_id += 1;
        let asked = self.last_id;
        self.send(&request(asked));
        loop {
            if let Event::Answer { id, answer } = self.next_event()
                && id == asked
            {
                return answer;
            }
        }
    }
}
