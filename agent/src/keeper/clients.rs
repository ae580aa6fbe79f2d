//! The keeper's end of its unix socket: agents come and go, each gets a hello and then events.
//! Nothing here blocks; an agent that does not read is dropped, and adopts again.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
};

use berth_core::waiting::Reason;

use super::{
    mounts::open_path,
    wire::{Message, Request},
};
use crate::host::path_failed;

/// What an agent may leave unread.
const MAX_UNREAD: usize = 1 << 20;
/// The longest request.
const MAX_REQUEST: usize = 1 << 20;

/// Names a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientId(u64);

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// The listening socket and its connections.
#[derive(Debug)]
pub(crate) struct Clients {
    listener: UnixListener,
    clients: BTreeMap<ClientId, Client>,
    next: u64,
}

impl Clients {
    /// Listens at a path, in place of an earlier keeper that is dead.
    pub(crate) fn listen(run: &Path, name: &str) -> Result<Self, Reason> {
        let path = run.join(name);
        let failed = |e: std::io::Error| path_failed("listen at", &path, e);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // A socket's path may have 107 bytes; through the descriptor it is short in any case.
        let dir = open_path(run)?;
        let short = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
        let listener = UnixListener::bind(short).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            listener,
            clients: BTreeMap::new(),
            next: 0,
        })
    }

    /// The listening descriptor.
    pub(crate) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// The connections: which, its descriptor, and whether there is something to write to it.
    pub(crate) fn polled(&self) -> impl Iterator<Item = (ClientId, BorrowedFd<'_>, bool)> {
        self.clients
            .iter()
            .map(|(id, client)| (*id, client.stream.as_fd(), !client.output.is_empty()))
    }

    /// Takes up new connections; each is greeted with what `hello` returns.
    pub(crate) fn accept(&mut self, hello: impl Fn() -> Message) {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let id = ClientId(self.next);
            self.next += 1;
            let client = Client {
                stream,
                input: Vec::new(),
                output: Vec::new(),
            };
            self.clients.insert(id, client);
            self.send(id, &hello());
        }
    }

    /// Reads what a connection has, and returns its complete requests.
    pub(crate) fn read(&mut self, id: ClientId) -> Vec<Request> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Vec::new();
        };
        let requests = client.read();
        if requests.is_none() {
            self.clients.remove(&id);
        }
        requests.unwrap_or_default()
    }

    /// Writes what a connection still has to get.
    pub(crate) fn flush(&mut self, id: ClientId) {
        let alive = self.clients.get_mut(&id).is_some_and(Client::flush);
        if !alive {
            self.clients.remove(&id);
        }
    }

    /// Sends to one connection, if it is still there.
    pub(crate) fn send(&mut self, id: ClientId, message: &Message) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.queue(message);
            self.flush(id);
        }
    }

    /// Sends to all.
    pub(crate) fn broadcast(&mut self, message: &Message) {
        let ids: Vec<_> = self.clients.keys().copied().collect();
        for id in ids {
            self.send(id, message);
        }
    }
}

impl Client {
    /// The complete requests; `None` if the connection is to be dropped.
    fn read(&mut self) -> Option<Vec<Request>> {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.input.extend(chunk.get(..count)?),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
            if self.input.len() > MAX_REQUEST {
                return None;
            }
        }
        let mut requests = Vec::new();
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            requests.push(serde_json::from_slice(&line).ok()?);
        }
        Some(requests)
    }

    fn queue(&mut self, message: &Message) {
        // No message of ours fails to encode; an agent that misses one sees the stream end.
        if let Ok(line) = serde_json::to_vec(message) {
            self.output.extend(line);
            self.output.push(b'\n');
        }
    }

    /// False if the connection is to be dropped.
    fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.output.len() <= MAX_UNREAD;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}
