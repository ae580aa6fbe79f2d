//! Fences hosts that are out of contact, by commands that follow the conventions of fence-agents:
//! options as `key=value` lines on the input, `action=off`, then `action=status`, which exits with 2
//! when the host is off. `reboot` is never asked for: it proves nothing.
//!
//! Whom to fence is decided in core, by what members wait for. A host whose agent came back since
//! that was found is not switched off any more. What a command confirms is true of a host that was
//! away all the time: if its agent came back meanwhile, it counts for nothing.

mod config;

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use berth_core::{
    error::chain,
    ids::HostName,
    plan::Report,
    state::{Contact, Fenced, State},
    store::Note,
    time::Timestamp,
};
pub use config::{FenceCommand, Fencing, FencingError, FencingFile, HostFencing, known};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{ChildStderr, Command},
    time::timeout,
};

use crate::{
    context::Context,
    notes::{self, NORMAL, WARNING},
};

/// What a fence agent's status exits with for a host that is off.
const OFF: i32 = 2;
/// From a failure to the next attempt.
const RETRY: Duration = Duration::from_secs(10);
/// So much of what a command says is told.
const SAID: usize = 400;
/// How long a command that ended may have children that hold its output open: what they say is waited
/// for no longer.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a host is not confirmed to be fenced.
#[derive(Debug, Error)]
pub enum FenceError {
    /// The program does not run.
    #[error("{program} cannot be run")]
    Run {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It does not end.
    #[error("action {action} did not end in {limit:?} and was killed; see fencing.hosts.*.timeout")]
    Timeout {
        /// The action.
        action: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// It failed.
    #[error("action {action} ended with {exit}: {said}")]
    Failed {
        /// The action.
        action: &'static str,
        /// How it ended.
        exit: String,
        /// The beginning of what it wrote.
        said: String,
    },
}

/// Runs the commands; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Fencer {
    fencing: Arc<Fencing>,
    work: Arc<Mutex<Work>>,
}

#[derive(Debug, Default)]
struct Work {
    running: BTreeSet<HostName>,
    /// Not before then.
    again: BTreeMap<HostName, Timestamp>,
}

impl Fencer {
    /// One with these commands.
    pub fn new(fencing: Fencing) -> Self {
        Self {
            fencing: Arc::new(fencing),
            work: Arc::default(),
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self, host: &HostName, what: Fenced) -> Option<FenceCommand> {
        let fencing = self.fencing.get(host)?;
        match what {
            Fenced::Off => fencing.power.clone(),
            Fenced::Storage => fencing.storage.clone(),
        }
    }
}

/// Begins to fence the hosts that members wait for, by what was found of a state; when to try one
/// again.
pub(crate) fn push(
    context: &Context,
    state: &State,
    report: &Report,
    now: Timestamp,
) -> Option<Timestamp> {
    let wanted = state.to_fence(report.waiting.values());
    let mut work = context.fencer.work();
    work.again.retain(|host, _| wanted.contains_key(host));
    let mut next = None;
    for (host, what) in wanted {
        let due = work.again.get(&host).copied().filter(|at| *at > now);
        let (Some(command), Some(known)) =
            (context.fencer.command(&host, what), state.hosts.get(&host))
        else {
            continue;
        };
        // Its agent is there: what it has it says with its first report.
        if context.sessions.has_stream(&host) {
            continue;
        }
        match due {
            Some(at) => next = Some(next.map_or(at, |next: Timestamp| next.min(at))),
            None if work.running.insert(host.clone()) => {
                let away = Away {
                    heard: heard(&known.contact),
                    host,
                };
                tokio::spawn(fence(context.clone(), away, what, command));
            }
            None => {}
        }
    }
    next
}

/// When contact with a host last began or ended, and its newest stream: a stream may begin and end
/// without a report.
type LastHeard = (Timestamp, Option<Timestamp>, u64);

fn heard(contact: &Contact) -> LastHeard {
    (contact.since, contact.heard, contact.stream)
}

/// A host that is out of contact, and what was last heard of it.
struct Away {
    host: HostName,
    heard: LastHeard,
}

impl Away {
    /// Whether nothing was heard of it since.
    fn lasts(&self, contact: &Contact) -> bool {
        !contact.connected && heard(contact) == self.heard
    }
}

async fn fence(context: Context, away: Away, what: Fenced, command: FenceCommand) {
    let host = &away.host;
    let lasts = {
        let view = context.view.read();
        let known = view.state.hosts.get(host);
        // A stream is entered before the contact tells of it.
        known.is_some_and(|known| away.lasts(&known.contact)) && !context.sessions.has_stream(host)
    };
    // What was found may be of the moment before its agent came back.
    let event = if lasts {
        tracing::warn!(%host, program = %command.program.display(), "the host is fenced");
        match command.confirm().await {
            Ok(()) => confirmed(&context, &away, what),
            Err(error) => Some(not_confirmed(&context, host, &error)),
        }
    } else {
        None
    };
    context.fencer.work().running.remove(host);
    context.note(event.into_iter().collect());
    context.trigger.fire();
}

fn confirmed(context: &Context, away: &Away, what: Fenced) -> Option<Note> {
    let mut view = context.view.write();
    let contact = view.contact(&away.host).filter(|c| away.lasts(c))?;
    contact.fenced = Some(what);
    let word = match what {
        Fenced::Off => "it is confirmed to be off",
        Fenced::Storage => "it is confirmed to be cut off from its storage",
    };
    let now = context.clock.now();
    Some(notes::host(
        now,
        &away.host,
        NORMAL,
        "HostFenced",
        word.to_owned(),
    ))
}

fn not_confirmed(context: &Context, host: &HostName, error: &FenceError) -> Note {
    let now = context.clock.now();
    let mut work = context.fencer.work();
    work.again.insert(host.clone(), now.plus(RETRY));
    notes::host(now, host, WARNING, "FenceFailed", chain(error))
}

impl FenceCommand {
    /// Switches off, and asks whether it is.
    ///
    /// # Errors
    /// Why that is not confirmed.
    pub async fn confirm(&self) -> Result<(), FenceError> {
        let (exit, said) = self.run("off").await?;
        if exit != Some(0) {
            return Err(failed("off", exit, said));
        }
        match self.run("status").await? {
            (Some(OFF), _) => Ok(()),
            (exit, said) => Err(failed("status", exit, said)),
        }
    }

    /// Runs one action: its exit code, if it was not killed, and the beginning of what it wrote.
    async fn run(&self, action: &'static str) -> Result<(Option<i32>, String), FenceError> {
        let failed = |source| FenceError::Run {
            program: self.program.display().to_string(),
            source,
        };
        let mut child = Command::new(&self.program)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let group = child.id();
        let mut input = format!("action={action}\n");
        for (key, value) in &self.options {
            input.extend([key, "=", value, "\n"]);
        }
        let work = async {
            if let Some(mut stdin) = child.stdin.take() {
                // One that does not read it says so by its exit.
                stdin.write_all(input.as_bytes()).await.ok();
            }
            let mut said = Vec::new();
            let exit = {
                let mut reading = pin!(read_beginning(child.stderr.take(), &mut said));
                tokio::select! {
                    exit = child.wait() => {
                        timeout(LAST_WORDS, reading).await.ok();
                        exit?
                    }
                    () = &mut reading => child.wait().await?,
                }
            };
            Ok((exit.code(), String::from_utf8_lossy(&said).into_owned()))
        };
        match timeout(self.timeout, work).await {
            Ok(ended) => ended.map_err(failed),
            Err(_) => {
                kill_group(group);
                let limit = self.timeout;
                Err(FenceError::Timeout { action, limit })
            }
        }
    }
}

/// Keeps the beginning of what a command writes, and reads all of it: one that writes more is not to
/// end because nobody reads.
async fn read_beginning(stderr: Option<ChildStderr>, said: &mut Vec<u8>) {
    let Some(mut stderr) = stderr else { return };
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut bytes).await {
        let read = bytes.iter().take(count);
        said.extend(read.take(SAID.saturating_sub(said.len())));
    }
}

fn failed(action: &'static str, exit: Option<i32>, said: String) -> FenceError {
    let exit = exit.map_or_else(|| "a signal".to_owned(), |code| format!("code {code}"));
    let said = said.trim().to_owned();
    FenceError::Failed { action, exit, said }
}

/// A fence agent has children of its own, such as ssh.
fn kill_group(group: Option<u32>) {
    let group = group.and_then(|id| i32::try_from(id).ok());
    if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
        // One that has ended needs none.
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    }
}

#[cfg(test)]
mod tests;
