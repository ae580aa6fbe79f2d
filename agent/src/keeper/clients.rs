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

use berth_core::{manifest::MAX_TEXT, waiting::Reason};

use super::{
    mounts::open_path,
    wire::{KeeperReply, Message, Request},
};
use crate::host::{path_failed, step_failed};

/// What an agent may leave unread.
const MAX_UNREAD: usize = 1 << 20;
/// The longest request. The largest carries a rendered member: its template and each config object
/// it uses come from texts of at most [`MAX_TEXT`], a few of them together, and JSON escapes what it
/// carries.
const MAX_REQUEST: usize = 8 * MAX_TEXT;

/// Names a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientId(u64);

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    /// The rest of a request that is too large is read and dropped.
    skipping: bool,
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

    /// Whether a connection is still there.
    pub(crate) fn has(&self, client: ClientId) -> bool {
        self.clients.contains_key(&client)
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
                skipping: false,
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
        } else {
            // A refusal, perhaps.
            self.flush(id);
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
        let mut requests = Vec::new();
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.take(chunk.get(..count)?, &mut requests)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        Some(requests)
    }

    fn take(&mut self, mut chunk: &[u8], requests: &mut Vec<Request>) -> Option<()> {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = chunk.split_at(end + 1);
            self.extend(line)?;
            if !std::mem::take(&mut self.skipping) {
                requests.push(serde_json::from_slice(&self.input).ok()?);
            }
            self.input.clear();
            chunk = rest;
        }
        self.extend(chunk)
    }

    /// Keeps a part of a request; refuses one that gets too large.
    fn extend(&mut self, part: &[u8]) -> Option<()> {
        if self.skipping {
            return Some(());
        }
        self.input.extend(part);
        if self.input.len() > MAX_REQUEST {
            let id = id_of(&self.input)?;
            self.input = Vec::new();
            self.skipping = true;
            let error = format!(
                "it has more than {MAX_REQUEST} bytes; make the files of the member smaller"
            );
            let reply = KeeperReply::Refused(step_failed("read a request to the keeper", error));
            self.queue(&Message::Reply { id, reply });
        }
        Some(())
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

/// The id of a request that is not whole: its first field.
fn id_of(request: &[u8]) -> Option<u64> {
    let rest = request.strip_prefix(br#"{"id":"#)?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::wire::KeeperCommand;

    fn line(id: u64, bytes: usize) -> Vec<u8> {
        let command = KeeperCommand::Signal {
            process: "main".parse().unwrap(),
            signal: "x".repeat(bytes),
        };
        let mut line = serde_json::to_vec(&Request { id, command }).unwrap();
        line.push(b'\n');
        line
    }

    #[test]
    fn a_request_that_is_too_large_is_refused_and_the_next_one_is_read() {
        let (stream, _other) = UnixStream::pair().unwrap();
        let mut client = Client {
            stream,
            input: Vec::new(),
            skipping: false,
            output: Vec::new(),
        };
        let sizes = [2 << 20, MAX_REQUEST, 1];
        let text: Vec<u8> = (1..).zip(sizes).flat_map(|(id, n)| line(id, n)).collect();
        let mut requests = Vec::new();
        for chunk in text.chunks(4096) {
            client.take(chunk, &mut requests).unwrap();
        }
        let ids: Vec<_> = requests.iter().map(|request| request.id).collect();
        assert_eq!(ids, [1, 3]);
        let reply = serde_json::from_slice(&client.output).unwrap();
        assert!(matches!(
            reply,
            Message::Reply {
                id: 2,
                reply: KeeperReply::Refused(_)
            }
        ));
    }
}
