//! The agent's end of one keeper: commands go out through a channel that can be shared, events come
//! in through one receiver. Who fills the channels (a unix socket, a fake) is not to be seen here.
//!
//! Dropping a handle does nothing to the keeper: it lives on.

use std::time::Duration;

use berth_core::{
    ids::{MemberId, ProcessName, RunId},
    keeper::Exit,
    rendered::RenderedMember,
    time::Timestamp,
    volume::MountedVolume,
    waiting::Reason,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    AttachOrder, Attached, ExecOrder, ExecResult, KeeperCommand, KeeperEvent, KeeperReply,
    KeeperStatus, step_failed,
};

/// A command on its way to a keeper, and where its answer goes.
#[derive(Debug)]
pub struct Commanded {
    /// What to do.
    pub command: KeeperCommand,
    /// Dropped without an answer when the keeper is gone.
    pub reply: oneshot::Sender<KeeperReply>,
}

/// A keeper and its member's processes.
#[derive(Debug)]
pub struct KeeperHandle {
    /// Whose.
    pub member: MemberId,
    /// Which start.
    pub run: RunId,
    /// The keeper's process id on the host.
    pub pid: u32,
    /// The volumes that it has mounted.
    pub volumes: Vec<MountedVolume>,
    /// What was true when the handle was made; `events` continue from here, so an event of before
    /// is not repeated.
    pub status: KeeperStatus,
    /// Commands.
    pub client: KeeperClient,
    /// Events; the last one is [`KeeperEvent::Gone`].
    pub events: mpsc::UnboundedReceiver<KeeperEvent>,
}

/// The way to command a keeper. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeeperClient {
    commands: mpsc::UnboundedSender<Commanded>,
}

impl KeeperClient {
    /// A client, and the end where its commands arrive.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Commanded>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        (Self { commands }, receiver)
    }

    /// What the keeper answers, if it does not refuse.
    async fn ask(&self, command: KeeperCommand) -> Result<KeeperReply, Reason> {
        let gone = || step_failed("command the keeper", "it is gone");
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Commanded { command, reply })
            .map_err(|_| gone())?;
        let reply = answer.await.map_err(|_| gone())?;
        if let KeeperReply::Refused(reason) = reply {
            Err(reason)
        } else {
            Ok(reply)
        }
    }

    async fn tell(&self, command: KeeperCommand) -> Result<(), Reason> {
        let reply = self.ask(command).await?;
        if let KeeperReply::Done = reply {
            Ok(())
        } else {
            Err(unexpected(&reply))
        }
    }

    /// Begins to stop everything; [`KeeperEvent::AllStopped`] and [`KeeperEvent::Gone`] follow. The
    /// member's own grace period holds if none is given; a second call may shorten it.
    ///
    /// # Errors
    /// If the keeper is gone.
    pub async fn stop(&self, grace: Option<Duration>) -> Result<(), Reason> {
        let grace_ms = grace.map(|g| u64::try_from(g.as_millis()).unwrap_or(u64::MAX));
        self.tell(KeeperCommand::Stop { grace_ms }).await
    }

    /// Kills everything at once; [`KeeperEvent::AllStopped`] and [`KeeperEvent::Gone`] follow.
    ///
    /// # Errors
    /// If the keeper is gone.
    pub async fn kill(&self) -> Result<(), Reason> {
        self.tell(KeeperCommand::Kill).await
    }

    /// Stops one process, or all, and starts it again.
    ///
    /// # Errors
    /// If the keeper is gone, is stopping, or has no such process.
    pub async fn restart(&self, process: Option<ProcessName>) -> Result<(), Reason> {
        let command = KeeperCommand::Restart {
            process,
            grace_ms: None,
            failed: false,
            restarts: None,
        };
        self.tell(command).await
    }

    /// Stops a process whose probe failed and starts it again, after a pause if that happens often.
    /// The member's own grace period holds if none is given. `restarts` names the start that failed,
    /// by how often it was started again: a later one is left alone.
    ///
    /// # Errors
    /// If the keeper is gone, is stopping, or has no such process.
    pub async fn restart_failed(
        &self,
        process: ProcessName,
        grace: Option<Duration>,
        restarts: u32,
    ) -> Result<(), Reason> {
        let command = KeeperCommand::Restart {
            restarts: Some(restarts),
            process: Some(process),
            grace_ms: grace.map(|g| u64::try_from(g.as_millis()).unwrap_or(u64::MAX)),
            failed: true,
        };
        self.tell(command).await
    }

    /// Says that the startup probe of a sidecar has passed, in the start that came again so often.
    ///
    /// # Errors
    /// If the keeper is gone.
    pub async fn passed(&self, process: ProcessName, restarts: u32) -> Result<(), Reason> {
        let restarts = Some(restarts);
        self.tell(KeeperCommand::Passed { process, restarts }).await
    }

    /// Replaces what processes are rendered to, from their next start on.
    ///
    /// # Errors
    /// If the keeper is gone, or has other processes.
    pub async fn update(&self, rendered: RenderedMember) -> Result<(), Reason> {
        let rendered = Box::new(rendered);
        self.tell(KeeperCommand::Update { rendered }).await
    }

    /// Says when the newest acknowledged renewal of the lease was sent.
    ///
    /// # Errors
    /// If the keeper is gone.
    pub async fn renew(&self, sent: Timestamp) -> Result<(), Reason> {
        self.tell(KeeperCommand::Renew { sent }).await
    }

    /// Sends a signal to one process.
    ///
    /// # Errors
    /// If the keeper is gone, or the process does not run.
    pub async fn signal(&self, process: ProcessName, signal: &str) -> Result<(), Reason> {
        let signal = signal.to_owned();
        self.tell(KeeperCommand::Signal { process, signal }).await
    }

    /// Runs a program in the member's namespaces and waits for its end.
    ///
    /// # Errors
    /// If the keeper is gone, or the program cannot be executed (`CommandMissing`).
    pub async fn exec(&self, order: ExecOrder) -> Result<ExecResult, Reason> {
        let reply = self.ask(KeeperCommand::Exec(order)).await?;
        if let KeeperReply::Exec(result) = reply {
            Ok(result)
        } else {
            Err(unexpected(&reply))
        }
    }

    /// Begins a program that this connection watches; where its streams are.
    ///
    /// # Errors
    /// If the keeper is gone or too old, or the program cannot be executed (`CommandMissing`).
    pub async fn attach(&self, order: AttachOrder) -> Result<Attached, Reason> {
        let reply = self.ask(KeeperCommand::Attach(order)).await?;
        if let KeeperReply::Attached(attached) = reply {
            Ok(attached)
        } else {
            Err(unexpected(&reply))
        }
    }

    /// Says that the streams are taken, and waits for the program's end.
    ///
    /// # Errors
    /// If the keeper is gone.
    pub async fn attached_end(&self) -> Result<Exit, Reason> {
        let reply = self.ask(KeeperCommand::AttachedEnd).await?;
        if let KeeperReply::Exec(result) = reply {
            Ok(result.exit)
        } else {
            Err(unexpected(&reply))
        }
    }

    /// Sends a signal to the program that this connection watches.
    ///
    /// # Errors
    /// If the keeper is gone, or the program does not run.
    pub async fn interrupt(&self, signal: i32) -> Result<(), Reason> {
        self.tell(KeeperCommand::Interrupt { signal }).await
    }

    /// What is true now.
    ///
    /// # Errors
    /// If the keeper is gone.
    pub async fn status(&self) -> Result<KeeperStatus, Reason> {
        let reply = self.ask(KeeperCommand::Status).await?;
        if let KeeperReply::Status(status) = reply {
            Ok(status)
        } else {
            Err(unexpected(&reply))
        }
    }
}

fn unexpected(reply: &KeeperReply) -> Reason {
    step_failed("command the keeper", format!("unexpected reply {reply:?}"))
}
