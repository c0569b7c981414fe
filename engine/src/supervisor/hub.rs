//! The hub: one socket for all clients, and the UI of this process as one of them.
//!
//! Clients never slow the supervisor: what a client does not take in time is dropped
//! and counted for it.

use std::collections::{HashMap, VecDeque};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use inspector::Link;
use inspector_protocol::message::{Event, LogLine, Request, Subscription};
use inspector_protocol::{PROTOCOL_VERSION, wire};

use super::Message;

/// Events that may wait for one client.
const QUEUE: usize = 4096;
/// Log lines kept for clients that come later.
const KEPT_LOGS: usize = 2000;
/// Most clients at once.
const MAX_CLIENTS: usize = 64;
/// How long a client may take to say hello, and to take what is sent to it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Identifies a client.
pub(super) type ClientId = u64;

/// A client that said hello.
pub(super) struct NewClient {
    /// Who.
    pub(super) id: ClientId,
    /// Where its events go.
    pub(super) events: Sender<Event>,
}

struct Client {
    events: Sender<Event>,
    subscription: Subscription,
    dropped: u64,
}

/// The socket that inspectors connect to, open.
pub(crate) struct Socket {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Takes connections.
    pub(crate) listener: UnixListener,
}

/// All clients.
pub(super) struct Hub {
    clients: HashMap<ClientId, Client>,
    logs: VecDeque<LogLine>,
    socket: Option<PathBuf>,
}

impl Hub {
    /// A hub without clients.
    pub(super) fn new() -> Self {
        Self {
            clients: HashMap::new(),
            logs: VecDeque::new(),
            socket: None,
        }
    }

    /// Serves the inspectors that connect to an open socket, and removes it in the end.
    ///
    /// # Errors
    /// If its thread cannot be started.
    pub(super) fn serve(
        &mut self,
        socket: Socket,
        root: &Path,
        messages: &Sender<Message>,
    ) -> std::io::Result<()> {
        let Socket { path, listener } = socket;
        self.socket = Some(path);
        let welcome = Event::Welcome {
            protocol: PROTOCOL_VERSION,
            pid: std::process::id(),
            root: root.display().to_string(),
        };
        let messages = messages.clone();
        let body = move || accept(&listener, &welcome, &messages);
        std::thread::Builder::new().name("hub".into()).spawn(body)?;
        Ok(())
    }

    /// Makes a client within this process.
    ///
    /// # Errors
    /// If its thread cannot be started.
    pub(super) fn link(messages: &Sender<Message>) -> std::io::Result<Link> {
        let (requests, received) = bounded::<Request>(QUEUE);
        let (events, to_show) = bounded(QUEUE);
        let messages = messages.clone();
        let body = move || {
            let id = next_id();
            let client = NewClient { id, events };
            if messages.send(Message::Joined(client)).is_err() {
                return;
            }
            for request in received {
                if messages.send(Message::Client { id, request }).is_err() {
                    return;
                }
            }
            let _ = messages.send(Message::Left(id));
        };
        std::thread::Builder::new()
            .name("ui-link".into())
            .spawn(body)?;
        Ok(Link {
            requests,
            events: to_show,
        })
    }

    /// Adds a client.
    pub(super) fn join(&mut self, client: NewClient) {
        let NewClient { id, events } = client;
        let client = Client {
            events,
            subscription: Subscription::default(),
            dropped: 0,
        };
        self.clients.insert(id, client);
    }

    /// Forgets a client.
    pub(super) fn leave(&mut self, id: ClientId) {
        self.clients.remove(&id);
    }

    /// Replaces what a client wants; the kept log lines are sent to it at once when it
    /// begins to want logs.
    pub(super) fn subscribe(&mut self, id: ClientId, subscription: Subscription) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let new_logs = subscription.logs && !client.subscription.logs;
        client.subscription = subscription;
        if new_logs {
            for line in &self.logs {
                client.send(Event::Log(line.clone()));
            }
        }
    }

    /// Whether any client wants something.
    pub(super) fn any(&self, wants: impl Fn(&Subscription) -> bool) -> bool {
        self.clients
            .values()
            .any(|client| wants(&client.subscription))
    }

    /// Sends to one client.
    pub(super) fn send(&mut self, id: ClientId, event: Event) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.send(event);
        }
    }

    /// Sends to all clients that want it.
    pub(super) fn broadcast(&mut self, event: &Event, wants: impl Fn(&Subscription) -> bool) {
        for client in self
            .clients
            .values_mut()
            .filter(|client| wants(&client.subscription))
        {
            client.send(event.clone());
        }
    }

    /// Keeps a log line and sends it to all that want logs.
    pub(super) fn log(&mut self, line: LogLine) {
        if self.logs.len() == KEPT_LOGS {
            self.logs.pop_front();
        }
        self.broadcast(&Event::Log(line.clone()), |wants| wants.logs);
        self.logs.push_back(line);
    }
}

impl Client {
    fn send(&mut self, event: Event) {
        if self.dropped > 0
            && self
                .events
                .try_send(Event::Dropped {
                    count: self.dropped,
                })
                .is_ok()
        {
            self.dropped = 0;
        }
        if self.events.try_send(event).is_err() {
            self.dropped += 1;
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            let _ = std::fs::remove_file(socket);
        }
    }
}

fn next_id() -> ClientId {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn accept(listener: &UnixListener, welcome: &Event, messages: &Sender<Message>) {
    let count = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Out of descriptors, say: wait for some to be closed.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        let (welcome, messages, count) = (welcome.clone(), messages.clone(), count.clone());
        let body = move || {
            let others = count.fetch_add(1, Ordering::SeqCst);
            serve(stream, welcome, &messages, others);
            count.fetch_sub(1, Ordering::SeqCst);
        };
        // A client that cannot be served is closed by dropping its stream.
        let _ = std::thread::Builder::new()
            .name("client".into())
            .spawn(body);
    }
}

/// Serves one client until it leaves. Blocks.
fn serve(mut stream: UnixStream, welcome: Event, messages: &Sender<Message>, others: usize) {
    let refuse = |stream: &mut UnixStream, reason: String| {
        let _ = wire::write(stream, &Event::Refused { reason });
    };
    let _ = stream.set_write_timeout(Some(PATIENCE));
    let _ = stream.set_read_timeout(Some(PATIENCE));
    match wire::read::<Request>(&mut stream) {
        Ok(Request::Hello {
            protocol: PROTOCOL_VERSION,
            ..
        }) => {}
        Ok(Request::Hello { protocol, .. }) => {
            return refuse(
                &mut stream,
                format!(
                    "the engine speaks protocol {PROTOCOL_VERSION}, this inspector {protocol}; \
                     build both from the same source"
                ),
            );
        }
        _ => return refuse(&mut stream, "a client must say hello first".to_owned()),
    }
    if others >= MAX_CLIENTS {
        return refuse(
            &mut stream,
            format!("{MAX_CLIENTS} inspectors are attached already"),
        );
    }
    if wire::write(&mut stream, &welcome).is_err() || stream.set_read_timeout(None).is_err() {
        return;
    }
    let id = next_id();
    let (events, queue) = bounded(QUEUE);
    let Ok(writer) = stream.try_clone() else {
        return;
    };
    let thread = std::thread::Builder::new()
        .name("client-write".into())
        .spawn(move || write_events(writer, &queue));
    if thread.is_err()
        || messages
            .send(Message::Joined(NewClient { id, events }))
            .is_err()
    {
        return;
    }
    while let Ok(request) = wire::read::<Request>(&mut stream) {
        if messages.send(Message::Client { id, request }).is_err() {
            return;
        }
    }
    let _ = messages.send(Message::Left(id));
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

fn write_events(mut to: UnixStream, events: &Receiver<Event>) {
    for event in events {
        if wire::write(&mut to, &event).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
