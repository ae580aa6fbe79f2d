//! Programs that are watched while they run: the keeper begins them, their streams are copied here.
//! What is not read holds the program back by its pipe, and nothing else.

use std::{
    io,
    os::fd::{OwnedFd, RawFd},
};

use berth_core::{ids::MemberId, waiting::Reason};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe::{Receiver, Sender},
    sync::mpsc,
};

use super::{KeeperHandle, LinuxHost, connect, runs, step_failed};
use crate::host::{AttachInput, AttachOrder, AttachOutput, AttachedProgram};

/// Chunks that may wait in either direction.
const CHUNKS: usize = 4;
/// The largest chunk: what a pipe gives at once.
const CHUNK: usize = 64 << 10;
/// What a terminal takes for the end of the input.
const END_OF_INPUT: u8 = 4;

/// Begins a program in a member.
pub(super) async fn attach(
    host: &LinuxHost,
    member: &MemberId,
    order: AttachOrder,
) -> Result<AttachedProgram, Reason> {
    if let Some(program) = order.argv.first() {
        let policy = &host.inner.config.policy;
        policy.command(&order.process, program)?;
    }
    let step = || format!("run a program in {member}");
    let dir = host.inner.run_dir(member);
    let gone = || step_failed(step(), "the member does not run; `berth status` says why");
    let record = runs::read(&dir)?.ok_or_else(gone)?;
    let keeper = runs::keeper_of(host, &record)?.ok_or_else(gone)?;
    // A connection of its own: the program lives as long as that does.
    let watched = runs::keeper_of(host, &record)?.ok_or_else(gone)?;
    let handle = connect::connect(&dir, &record, watched).await?;
    let terminal = order.terminal.is_some();
    let ends = handle.client.attach(order).await?;
    let failed = |e: io::Error| step_failed(step(), e);
    let take = |fd: RawFd| keeper.take(fd).map_err(failed);
    let output = take(ends.output)?;
    let (input, window) = match (ends.input, terminal) {
        (_, true) => {
            let window = output.try_clone().map_err(failed)?;
            (Some(output.try_clone().map_err(failed)?), Some(window))
        }
        (Some(fd), false) => (Some(take(fd)?), None),
        (None, false) => (None, None),
    };
    let error = ends.error.map(take).transpose()?;
    let (send_in, inputs) = mpsc::channel(CHUNKS);
    let (outputs, receive_out) = mpsc::channel(CHUNKS);
    let copy = Copy {
        input: input.map(writer).transpose().map_err(failed)?,
        output: Some(reader(output).map_err(failed)?),
        error: error.map(reader).transpose().map_err(failed)?,
        window,
        outputs,
        handle,
    };
    tokio::spawn(copy.run(inputs));
    Ok(AttachedProgram {
        input: send_in,
        output: receive_out,
    })
}

fn reader(fd: OwnedFd) -> io::Result<Receiver> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    Receiver::from_owned_fd_unchecked(fd)
}

fn writer(fd: OwnedFd) -> io::Result<Sender> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    Sender::from_owned_fd_unchecked(fd)
}

/// A program's streams on their way.
struct Copy {
    input: Option<Sender>,
    output: Option<Receiver>,
    error: Option<Receiver>,
    /// The terminal, to change its size.
    window: Option<OwnedFd>,
    outputs: mpsc::Sender<AttachOutput>,
    /// Dropped with the rest: the keeper then kills what still runs.
    handle: KeeperHandle,
}

/// What the program said, or that this stream has ended.
type Said = Option<Vec<u8>>;

impl Copy {
    /// Until the program has ended or nobody reads any more.
    async fn run(mut self, mut inputs: mpsc::Receiver<AttachInput>) {
        let client = self.handle.client.clone();
        let mut end = std::pin::pin!(client.attached_end());
        let mut pending: Vec<u8> = Vec::new();
        let mut open = true;
        loop {
            let writes = !pending.is_empty() && self.input.is_some();
            let told = tokio::select! {
                said = read(&mut self.output) => self.tell(said, AttachOutput::Output).await,
                said = read(&mut self.error) => self.tell(said, AttachOutput::Error).await,
                wrote = write(&mut self.input, &pending), if writes => {
                    match wrote {
                        Some(count) => drop(pending.drain(..count)),
                        // The program does not read any more.
                        None => { pending.clear(); self.input = None; }
                    }
                    true
                }
                input = inputs.recv(), if open && !writes => {
                    match input {
                        Some(input) => self.take(input, &mut pending).await,
                        None => open = false,
                    }
                    true
                }
                exit = &mut end => {
                    self.drain().await;
                    let last = exit.map_or_else(AttachOutput::Failed, AttachOutput::End);
                    drop(self.outputs.send(last).await);
                    return;
                }
                () = self.outputs.closed() => return,
            };
            if !told {
                return;
            }
        }
    }

    /// Passes on what was read; false if nobody listens.
    async fn tell(
        &mut self,
        (said, ended): (Said, bool),
        wrap: fn(Vec<u8>) -> AttachOutput,
    ) -> bool {
        let last = wrap(Vec::new());
        if ended {
            match last {
                AttachOutput::Error(_) => self.error = None,
                AttachOutput::Output(_) | AttachOutput::End(_) | AttachOutput::Failed(_) => {
                    self.output = None;
                }
            }
        }
        match said {
            Some(bytes) => self.outputs.send(wrap(bytes)).await.is_ok(),
            None => true,
        }
    }

    async fn take(&mut self, input: AttachInput, pending: &mut Vec<u8>) {
        match input {
            AttachInput::Data(bytes) => *pending = bytes,
            AttachInput::End if self.window.is_some() => pending.push(END_OF_INPUT),
            AttachInput::End => self.input = None,
            AttachInput::Resize { rows, columns } => {
                let size = Winsize {
                    ws_row: rows,
                    ws_col: columns,
                    ws_xpixel: 0,
                    ws_ypixel: 0,
                };
                if let Some(window) = &self.window {
                    // One that is gone has no size.
                    let _ = tcsetwinsize(window, size);
                }
            }
            AttachInput::Signal(signal) => {
                if let Err(reason) = self.handle.client.interrupt(signal).await {
                    tracing::debug!("{reason}");
                }
            }
        }
    }

    /// What a program wrote before its end is all there; what its children write later is nobody's.
    async fn drain(&mut self) {
        let streams = [
            (self.output.take(), AttachOutput::Output as fn(_) -> _),
            (self.error.take(), AttachOutput::Error),
        ];
        for (stream, wrap) in streams {
            let Some(stream) = stream else { continue };
            let mut buffer = vec![0; CHUNK];
            while let Ok(count @ 1..) = stream.try_read(&mut buffer) {
                let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                if self.outputs.send(wrap(bytes)).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Reads a chunk, and says whether the stream has ended; never returns without one.
async fn read(stream: &mut Option<Receiver>) -> (Said, bool) {
    let Some(stream) = stream else {
        return std::future::pending().await;
    };
    let mut buffer = vec![0; CHUNK];
    match stream.read(&mut buffer).await {
        Ok(count @ 1..) => {
            buffer.truncate(count);
            (Some(buffer), false)
        }
        // A terminal whose last user is gone says so by an error.
        Ok(_) | Err(_) => (None, true),
    }
}

async fn write(stream: &mut Option<Sender>, bytes: &[u8]) -> Option<usize> {
    match stream {
        Some(stream) => stream.write(bytes).await.ok(),
        None => None,
    }
}
