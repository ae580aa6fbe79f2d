//! What a keeper and an agent say to each other over the keeper's unix socket: one JSON object per
//! line. Agents serve keepers of every released version, so this only ever grows: new variants are
//! sent only to a peer whose [`Hello::protocol`] knows them.

use berth_core::{
    ids::{MemberId, ProcessName, RunId},
    keeper::Exit,
    lease::LeaseTerms,
    notify::Said,
    rendered::RenderedMember,
    time::Timestamp,
    waiting::Reason,
};
use serde::{Deserialize, Serialize};

/// The version of the protocol that this binary speaks.
pub const PROTOCOL: u32 = 3;

/// The first thing that a keeper says on each connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The keeper's version of the protocol.
    pub protocol: u32,
    /// Whose keeper it is.
    pub member: MemberId,
    /// Which start.
    pub run: RunId,
    /// What is true now; events on the connection continue from here.
    pub status: KeeperStatus,
}

/// What is true of a member, as its keeper sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeeperStatus {
    /// Whether every init process has exited with 0.
    pub init_done: bool,
    /// Whether a stop was asked for.
    pub stopping: bool,
    /// Whether no process is left after a stop.
    pub stopped: bool,
    /// When the newest acknowledged renewal of its lease was sent, on `CLOCK_BOOTTIME`; none if it has
    /// no lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed: Option<Timestamp>,
    /// The lease that it ends its member by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseTerms>,
    /// The init process that is at work, if any, then the processes in the order of the template.
    pub processes: Vec<ProcessStatus>,
}

/// One process of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessStatus {
    /// Its name.
    pub name: ProcessName,
    /// Whether it is an init process.
    pub init: bool,
    /// Its process id on the host, while it runs.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u32,
    /// How it last ended, if it did.
    pub last_exit: Option<Exit>,
    /// Milliseconds to its next start, if it waits for one.
    pub restart_in_ms: Option<u64>,
    /// Whether what is done beside its start is at work; its process id is not told until then.
    #[serde(default)]
    pub post_start: bool,
    /// What it has said since its start, if anybody listens.
    #[serde(default)]
    pub said: Option<Said>,
    /// What of its `resources` is not enforced, each with why.
    #[serde(default)]
    pub unenforced: Vec<String>,
    /// Whether it is to be restarted, its grace period is over, and it is never killed.
    #[serde(default)]
    pub spared: bool,
}

/// What an agent asks of a keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum KeeperCommand {
    /// Stops everything: preStop and stop signal in reverse order of start, KILL at the end of the
    /// grace period. The keeper ends afterwards. A second, shorter grace period takes effect.
    Stop {
        /// Milliseconds; the member's own grace period if absent.
        grace_ms: Option<u64>,
    },
    /// Kills everything at once. The keeper ends afterwards.
    Kill,
    /// Stops one process, or all in reverse order, with its stop signal and KILL after the grace
    /// period, and starts it again.
    Restart {
        /// Which; all if absent.
        process: Option<ProcessName>,
        /// Milliseconds; the member's own grace period if absent.
        #[serde(default)]
        grace_ms: Option<u64>,
        /// Whether it is because a probe failed: then the next start waits as after a failed run.
        #[serde(default)]
        failed: bool,
        /// The start that is meant, by how often it was started again: a later one is left alone.
        #[serde(default)]
        restarts: Option<u32>,
    },
    /// Says that the startup probe of a sidecar has passed: what comes next may start.
    Passed {
        /// Which.
        process: ProcessName,
        /// The start that is meant, by how often it was started again.
        #[serde(default)]
        restarts: Option<u32>,
    },
    /// Replaces what processes are rendered to, from their next start on.
    Update {
        /// The same processes, rendered anew.
        rendered: Box<RenderedMember>,
    },
    /// Sends a signal to one process.
    Signal {
        /// Which.
        process: ProcessName,
        /// The signal, such as `SIGHUP`.
        signal: String,
    },
    /// Runs a program in the member's namespaces.
    Exec(ExecOrder),
    /// Begins a program that is watched while it runs: at most one for each connection. It is
    /// killed when the connection ends, and when the member stops. From protocol 2 on.
    Attach(AttachOrder),
    /// Says that the descriptors of its streams are taken; the answer comes when it has ended.
    AttachedEnd,
    /// Sends a signal to it.
    Interrupt {
        /// The signal's number.
        signal: i32,
    },
    /// Says when the newest acknowledged renewal of the lease was sent, on `CLOCK_BOOTTIME`. From
    /// protocol 3 on.
    Renew {
        /// When.
        sent: Timestamp,
    },
    /// Asks for the status.
    Status,
}

/// A program to run in a member's namespaces, as one of its processes would be, with its streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachOrder {
    /// The process whose user, environment, directory and limits it gets.
    pub process: ProcessName,
    /// Program (a path) and arguments.
    pub argv: Vec<String>,
    /// Whether its input is open.
    pub stdin: bool,
    /// The terminal that it gets; else pipes.
    pub terminal: Option<TerminalOrder>,
}

/// A terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TerminalOrder {
    /// `TERM`
    pub term: String,
    /// Its height in cells.
    pub rows: u16,
    /// Its width in cells.
    pub columns: u16,
}

/// The keeper's descriptors of a program's streams, for the agent to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    /// Where its input is written; none for a terminal, or if it has none.
    pub input: Option<i32>,
    /// Where its output is read, or its terminal.
    pub output: i32,
    /// Where its errors are read; none for a terminal.
    pub error: Option<i32>,
}

/// A program to run in a member's namespaces, as one of its processes would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecOrder {
    /// The process whose user, environment, directory and limits it gets.
    pub process: ProcessName,
    /// Program (an absolute path) and arguments.
    pub argv: Vec<String>,
    /// It is killed after this many milliseconds.
    pub timeout_ms: u64,
}

/// How a program run by [`KeeperCommand::Exec`] ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecResult {
    /// How it ended.
    pub exit: Exit,
    /// Whether it was killed because its time was up.
    pub timed_out: bool,
    /// The first 4 KiB of what it wrote to stdout and stderr.
    pub output: String,
}

/// A keeper's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeeperReply {
    /// It is being done; events tell how it goes.
    Done,
    /// To [`KeeperCommand::Status`].
    Status(KeeperStatus),
    /// To [`KeeperCommand::Exec`] and [`KeeperCommand::AttachedEnd`], when the program has ended.
    Exec(ExecResult),
    /// To [`KeeperCommand::Attach`].
    Attached(Attached),
    /// It cannot be done.
    Refused(Reason),
}

/// What a keeper tells without being asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum KeeperEvent {
    /// A process has started: it was executed, and what is done beside that has ended well.
    Started {
        /// Which.
        process: ProcessName,
        /// Whether it is an init process.
        init: bool,
        /// Its process id on the host.
        pid: u32,
        /// How often it was started again before.
        restarts: u32,
        /// What of its `resources` is not enforced, each with why.
        #[serde(default)]
        unenforced: Vec<String>,
    },
    /// A process is to be restarted, its grace period is over, and it is never killed.
    Spared {
        /// Which.
        process: ProcessName,
    },
    /// A process could not be executed; it is tried again.
    StartFailed {
        /// Which.
        process: ProcessName,
        /// Whether it is an init process.
        init: bool,
        /// Why.
        reason: Reason,
        /// Milliseconds to the next attempt.
        restart_in_ms: u64,
    },
    /// A process ended.
    Exited {
        /// Which.
        process: ProcessName,
        /// Whether it is an init process.
        init: bool,
        /// How.
        exit: Exit,
        /// How often it was started again before.
        restarts: u32,
        /// Milliseconds to its next start; absent if it is not started again.
        restart_in_ms: Option<u64>,
    },
    /// A process was executed, and what is done beside its start has begun. `Started` follows when
    /// it has ended well.
    PostStart {
        /// Which.
        process: ProcessName,
    },
    /// It has not ended well. The process is stopped and started again.
    PostStartFailed {
        /// Which.
        process: ProcessName,
        /// Why.
        reason: Reason,
    },
    /// A process said something of itself.
    Said {
        /// Which.
        process: ProcessName,
        /// All that it has said since its start.
        said: Said,
    },
    /// Every init process has exited with 0, or there is none.
    InitDone,
    /// After a stop or kill: no process of the member is left. The keeper ends now.
    AllStopped,
    /// Made by the agent's side: the keeper is gone, and with it (the PID namespace is dead) every
    /// process of the member. The last event of a handle.
    Gone,
}

/// A line from agent to keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Chosen by the agent; the answer has the same.
    pub id: u64,
    /// What to do.
    pub command: KeeperCommand,
}

/// A line from keeper to agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Message {
    /// The first line.
    Hello(Hello),
    /// The answer to a request.
    Reply {
        /// The request's id.
        id: u64,
        /// The answer.
        reply: KeeperReply,
    },
    /// Something happened.
    Event(KeeperEvent),
}
