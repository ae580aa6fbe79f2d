//! A connection to a keeper: its lines become the handle's events and answers, the client's
//! commands its requests.

use std::{collections::BTreeMap, os::fd::AsRawFd, path::Path, time::Duration};

use berth_core::waiting::Reason;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{KeeperHandle, RunRecord, pidfd::PidFd, step_failed};
use crate::{
    host::{Commanded, KeeperClient, KeeperEvent, KeeperReply},
    keeper::{
        SOCKET, open_path,
        wire::{Hello, Message, Request},
    },
};

/// How long a keeper may take to greet.
const GREETING: Duration = Duration::from_secs(10);
/// How long a keeper whose socket closed may take to be gone.
const ENDING: Duration = Duration::from_secs(30);

/// Connects to the keeper of a record.
///
/// # Errors
/// `StepFailed` if it does not answer, or is not the record's.
pub(super) async fn connect(
    dir: &Path,
    record: &RunRecord,
    keeper: PidFd,
) -> Result<KeeperHandle, Reason> {
    let step = || format!("connect to the keeper of {}", record.member);
    // A socket's path may have 107 bytes; through a descriptor it is short in any case.
    let opened = open_path(dir)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd());
    let stream = UnixStream::connect(path).await;
    let (read, write) = stream.map_err(|e| step_failed(step(), e))?.into_split();
    let mut lines = BufReader::new(read).lines();
    let hello = timeout(GREETING, greeting(&mut lines)).await;
    let hello = hello.map_err(|_| step_failed(step(), "it says nothing"))?;
    let hello = hello.map_err(|e| step_failed(step(), e))?;
    if hello.run != record.run || hello.member != record.member {
        return Err(step_failed(step(), "it is the keeper of another run"));
    }
    let (client, commands) = KeeperClient::new();
    let (events, receiver) = mpsc::unbounded_channel();
    let connection = Connection {
        lines,
        write,
        commands,
        events,
        asked: BTreeMap::new(),
        next: 0,
    };
    tokio::spawn(connection.serve(keeper));
    Ok(KeeperHandle {
        member: hello.member,
        run: hello.run,
        pid: record.pid,
        volumes: record.volumes.iter().map(|v| v.volume.clone()).collect(),
        status: hello.status,
        client,
        events: receiver,
    })
}

async fn greeting(lines: &mut Lines<BufReader<OwnedReadHalf>>) -> std::io::Result<Hello> {
    let line = lines.next_line().await?;
    let line = line.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    match serde_json::from_str(&line)? {
        Message::Hello(hello) => Ok(hello),
        Message::Reply { .. } | Message::Event(_) => Err(std::io::ErrorKind::InvalidData.into()),
    }
}

struct Connection {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
    commands: mpsc::UnboundedReceiver<Commanded>,
    events: mpsc::UnboundedSender<KeeperEvent>,
    asked: BTreeMap<u64, oneshot::Sender<KeeperReply>>,
    next: u64,
}

impl Connection {
    /// Until the keeper is gone, or nobody holds the handle any more.
    async fn serve(mut self, keeper: PidFd) {
        let mut commanded = true;
        loop {
            tokio::select! {
                line = self.lines.next_line() => match line {
                    Ok(Some(line)) => self.take(&line),
                    Ok(None) | Err(_) => break,
                },
                command = self.commands.recv(), if commanded => match command {
                    Some(command) => if self.ask(command).await.is_err() { break },
                    None => commanded = false,
                },
                () = self.events.closed(), if !commanded => return,
            }
        }
        self.asked.clear();
        self.commands.close();
        // The socket closes a little before the last process of the namespace is dead. A keeper
        // that dropped this connection and lives on ends the events without `Gone`.
        if matches!(timeout(ENDING, keeper.gone()).await, Ok(Ok(()))) {
            drop(self.events.send(KeeperEvent::Gone));
        }
    }

    fn take(&mut self, line: &str) {
        match serde_json::from_str(line) {
            // Nobody may be listening to events, or waiting for an answer, any more.
            Ok(Message::Event(event)) => drop(self.events.send(event)),
            Ok(Message::Reply { id, reply }) => {
                if let Some(asker) = self.asked.remove(&id) {
                    drop(asker.send(reply));
                }
            }
            Ok(Message::Hello(_)) => {}
            Err(error) => tracing::error!(%error, line, "a keeper's message is not understood"),
        }
    }

    async fn ask(&mut self, commanded: Commanded) -> std::io::Result<()> {
        let id = self.next;
        self.next += 1;
        let request = Request {
            id,
            command: commanded.command,
        };
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        self.asked.insert(id, commanded.reply);
        self.write.write_all(&line).await
    }
}
