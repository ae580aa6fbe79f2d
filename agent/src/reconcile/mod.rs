//! From orders and observations to member machines, from their effects to reports.
//!
//! One task, the [`driver`], owns every [`berth_core::member::Machine`] and never waits for
//! anything but its queue and its timers. Effects run as tasks of their own ([`act`]) and come back
//! through the queue, so that whatever hangs on one member holds up nothing else. Nothing is
//! polled.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use berth_core::{
    ids::{MemberId, RunId, TemplateHash},
    lease::Acknowledged,
    ledger::{Acceptance, Record, Refusal},
    member::Event,
    order::{OrderDelta, OrderHead},
    rendered::RenderedMember,
    report::MemberReport,
    waiting::Reason,
};
use thiserror::Error;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    dns::DnsServer,
    host::{Host, RunRecord},
    ledger::{LedgerError, LedgerStore},
};

mod act;
mod board;
mod driver;
mod keeper;
mod lease;
mod names;
mod shutdown;
mod timers;

pub use board::Changes;

use act::{Acted, Actor};
use driver::Driver;
use names::Names;

/// Why an order is not taken.
#[derive(Debug, Error)]
pub enum OrderError {
    /// A rule refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be made durable.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Why an operator's wish is not met.
#[derive(Debug, Error)]
pub enum LocalError {
    /// There is no such member here.
    #[error("there is no member {member} on this host; see 'berth local list'")]
    Unknown {
        /// Which.
        member: MemberId,
    },
    /// It is held: a restart would not be one.
    #[error("member {member} is stopped by an operator; run 'berth local start'")]
    Held {
        /// Which.
        member: MemberId,
    },
    /// The wish cannot be made durable.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The agent is going down.
    #[error("the agent is stopping; try again when it runs")]
    Stopping,
}

/// What goes through the driver's queue.
enum Command {
    /// The ledger has another order for these members.
    Order(BTreeSet<MemberId>),
    /// A renewal of the host's lease was acknowledged: which count by now.
    Renewed(Acknowledged),
    /// The ledger is of this machine now, and was of another one.
    MachineClaimed,
    /// The operator's hold of a member may have changed: the ledger says how it stands.
    Held(MemberId),
    /// The host goes down, or does so no more: the ledger says how it stands.
    Shutdown,
    /// The driver has turned.
    Turn(oneshot::Sender<()>),
    /// Something happened to a member.
    Event(MemberId, Event),
    /// An action ended.
    Acted {
        member: MemberId,
        step: u64,
        result: Result<Acted, Reason>,
    },
    /// The keeper of this run starts processes as rendered here from now on.
    Refreshed {
        member: MemberId,
        run: RunId,
        revision: TemplateHash,
        rendered: Arc<RenderedMember>,
    },
    /// The runs that are on record on the host.
    Runs(Vec<RunRecord>),
    /// Nothing is left of a member that left the order.
    Forgotten(MemberId),
    /// What changed after a version; everything without one.
    Changes {
        after: Option<u64>,
        reply: oneshot::Sender<Changes>,
    },
    /// How a member stands.
    Look {
        member: MemberId,
        reply: oneshot::Sender<Option<Seen>>,
    },
}

/// How a member stands.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What is reported of it.
    pub report: MemberReport,
    /// Whether an operator holds it stopped.
    pub held: bool,
    /// How long the reason in the report has held.
    pub waiting_for: Duration,
}

/// The members of this host. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Members {
    commands: mpsc::UnboundedSender<Command>,
    ledger: LedgerStore,
    version: watch::Receiver<u64>,
    names: Names,
    /// Orders and an operator's wishes are taken one after another: each is held against what the
    /// one before left, and their commands come in the order of their records.
    ordering: Arc<Mutex<()>>,
}

/// The running driver.
#[derive(Debug)]
pub struct Reconciler {
    task: Option<tokio::task::JoinHandle<Result<(), LedgerError>>>,
}

/// Starts the members that the ledger says should run, and whatever is ordered from now on, until
/// the token is cancelled. The members' processes live on.
pub fn start<H: Host>(
    host: Arc<H>,
    ledger: LedgerStore,
    resolver: IpAddr,
    shutdown: CancellationToken,
) -> (Members, Reconciler) {
    let (commands, queue) = mpsc::unbounded_channel();
    let names = Names::default();
    let actor = Actor {
        host,
        ledger: ledger.clone(),
        resolver,
        names: names.clone(),
        commands: commands.clone(),
        tasks: TaskTracker::new(),
        stop: shutdown.child_token(),
    };
    let driver = Driver::new(Arc::new(actor), queue);
    let members = Members {
        commands,
        ledger,
        version: driver.watch(),
        names,
        ordering: Arc::new(Mutex::new(())),
    };
    let task = tokio::spawn(driver.run(shutdown));
    (members, Reconciler { task: Some(task) })
}

impl Reconciler {
    /// Returns when the driver has ended; the reason is told once.
    ///
    /// # Errors
    /// If it ended because the ledger failed.
    pub async fn ended(&mut self) -> Result<(), LedgerError> {
        let Some(task) = &mut self.task else {
            return Ok(());
        };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Ok(()),
        }
    }
}

impl Members {
    /// Takes an order: when this returns, it is durable and is being carried out.
    ///
    /// # Errors
    /// The rule that refuses it; or that it cannot be made durable.
    pub async fn order(&self, delta: &OrderDelta) -> Result<OrderHead, OrderError> {
        let one_at_a_time = Arc::clone(&self.ordering).lock_owned().await;
        let acceptance = self.ledger.read().accept(delta)?;
        if let Acceptance::New { record, changed } = acceptance {
            let then = Command::Order(changed);
            self.write(*record, then, one_at_a_time).await?;
        }
        Ok(delta.head.clone())
    }

    /// Writes a record and tells the driver, also if the asker goes away meanwhile: what is durable
    /// is acted on.
    async fn write(
        &self,
        record: Record,
        then: Command,
        one_at_a_time: OwnedMutexGuard<()>,
    ) -> Result<(), LedgerError> {
        let members = self.clone();
        let work = tokio::spawn(async move {
            members.ledger.note(record).await?;
            members.send(then);
            drop(one_at_a_time);
            Ok(())
        });
        work.await.unwrap_or(Err(LedgerError::Failed))
    }

    /// Takes in which renewals of the host's lease count by now: for what was ordered before.
    pub fn renewed(&self, newest: Acknowledged) {
        self.send(Command::Renewed(newest));
    }

    /// From now on a coordinator in contact says which names there are, and this server has them; or
    /// none does. What the server does not answer for is not started meanwhile.
    pub fn names_told(&self, server: Option<&Arc<DnsServer>>) {
        self.names.told(server);
    }

    /// What changed after a version; everything if there is none.
    pub async fn changes(&self, after: Option<u64>) -> Option<Changes> {
        let (reply, changes) = oneshot::channel();
        self.send(Command::Changes { after, reply });
        changes.await.ok()
    }

    /// Grows with every change.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }

    /// How a member stands.
    ///
    /// # Errors
    /// If it is not on this host.
    pub async fn look(&self, member: &MemberId) -> Result<Seen, LocalError> {
        let (reply, seen) = oneshot::channel();
        let member = member.clone();
        self.send(Command::Look {
            member: member.clone(),
            reply,
        });
        seen.await
            .map_err(|_| LocalError::Stopping)?
            .ok_or(LocalError::Unknown { member })
    }

    /// Stops a member and keeps it stopped, whatever is ordered of it, or lets go of it. Durable when
    /// this returns.
    ///
    /// # Errors
    /// If there is no such member, or the ledger fails.
    pub async fn hold(&self, member: &MemberId, held: bool) -> Result<(), LocalError> {
        // One that is not ordered here any more may be held still.
        if held || !self.ledger.read().held.contains(member) {
            self.look(member).await?;
        }
        let one_at_a_time = Arc::clone(&self.ordering).lock_owned().await;
        let member = member.clone();
        let then = Command::Held(member.clone());
        let record = Record::Held { member, held };
        Ok(self.write(record, then, one_at_a_time).await?)
    }

    /// Stops a member's processes and starts them again.
    ///
    /// # Errors
    /// If there is no such member, or it is held.
    pub async fn restart(&self, member: &MemberId) -> Result<(), LocalError> {
        let member = member.clone();
        if self.look(&member).await?.held {
            return Err(LocalError::Held { member });
        }
        self.send(Command::Event(member, Event::Restart));
        Ok(())
    }

    /// Waits until the driver has taken what is in its queue by now; false if it has ended.
    pub async fn turn(self) -> bool {
        let (reply, turned) = oneshot::channel();
        self.send(Command::Turn(reply));
        turned.await.is_ok()
    }

    /// A driver that has ended needs no command: its agent is going down.
    fn send(&self, command: Command) {
        drop(self.commands.send(command));
    }
}

#[cfg(all(test, feature = "fake"))]
mod tests;
