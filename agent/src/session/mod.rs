//! The agent's end of the session with the coordinator. Without one, everything on this host goes
//! on: the session only brings orders and zones, and takes reports away.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use berth_core::{error::chain, ids::BootId, session::WelcomeRefusal, state::HostRecord};
use berth_proto::{
    convert::ConvertError,
    transport::{ConnectError, Remote},
};
use thiserror::Error;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    dns::{DnsServer, PublishError},
    host::Host,
    ledger::{LedgerError, LedgerStore},
    reconcile::Members,
};

mod exec;
mod logs;
mod pools;
mod stream;
mod transfer;
mod works;

pub(crate) use logs::first_process;
pub use pools::KnownPools;
pub use works::Works;

/// From the loss of a session to the first attempt at a new one; then doubling to the longest. The
/// first is within a tenth of the shortest lease that there can be.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(2);
/// How many different reasons are told while no session lasts.
const MOST_TOLD: usize = 5;
/// From the beginning of an attempt to the connection, and from the hello to the welcome.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Why a session ended.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The coordinator does not answer.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The stream broke, or the coordinator ended it and said why.
    #[error("the coordinator ended the session")]
    Stream(#[from] tonic::Status),
    /// TLS was not agreed on after all.
    #[error("{0}")]
    Untrusted(String),
    /// The coordinator ended it without a word.
    #[error("the coordinator closed the stream; the agent connects again")]
    Closed,
    /// The members are not driven any more: the agent ends.
    #[error("the agent is stopping")]
    Stopping,
    /// Nothing came when something had to.
    #[error("the coordinator does not answer the hello; the agent connects again")]
    Silent,
    /// Renewals of the lease come to nothing.
    #[error("the coordinator acknowledges no renewal of the lease; the agent connects again")]
    Unanswered,
    /// What is said is not read.
    #[error("the coordinator reads nothing of what this host reports; the agent connects again")]
    Unread,
    /// It is not the coordinator that this host follows.
    #[error(transparent)]
    Refused(#[from] WelcomeRefusal),
    /// A message does not mean anything.
    #[error(transparent)]
    Message(#[from] ConvertError),
    /// The zone cannot be served.
    #[error(transparent)]
    Zone(#[from] PublishError),
    /// The ledger failed; the agent ends.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl SessionError {
    /// In plain words, if it is a matter of certificates: that the other end does not take one is found
    /// out with the first call only.
    fn explained(self) -> Self {
        let why = match &self {
            Self::Stream(status) => berth_pki::problem::explain(status),
            Self::Connect(_)
            | Self::Untrusted(_)
            | Self::Closed
            | Self::Stopping
            | Self::Silent
            | Self::Unanswered
            | Self::Unread
            | Self::Refused(_)
            | Self::Message(_)
            | Self::Zone(_)
            | Self::Ledger(_) => None,
        };
        why.map_or(self, Self::Untrusted)
    }
}

/// What a session needs.
#[derive(Debug)]
pub struct Session<H> {
    /// Where the coordinator is.
    pub coordinator: Remote,
    /// What is said of this host, but for its pools.
    pub record: HostRecord,
    /// Its pools.
    pub pools: KnownPools,
    /// The boot.
    pub boot: BootId,
    /// For the logs' directories.
    pub host: Arc<H>,
    /// What the hello says of orders.
    pub ledger: LedgerStore,
    /// Takes orders, gives reports.
    pub members: Members,
    /// Takes zones.
    pub dns: Arc<DnsServer>,
    /// The work on volumes, which outlives a session.
    pub works: Works,
    /// Whether a session is open.
    pub connected: watch::Sender<bool>,
}

impl<H: Host> Session<H> {
    /// Opens sessions, one after another, until the token is cancelled.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut failures = 0;
        let mut told = BTreeSet::new();
        loop {
            let began = Instant::now();
            let Some(ended) = shutdown.run_until_cancelled(self.one(failures)).await else {
                return;
            };
            let was_open = self.connected.send_replace(false);
            if was_open && lasted(began.elapsed()) {
                failures = 0;
                told.clear();
            }
            let error = chain(&ended);
            match loss(&ended, shutdown.is_cancelled(), &mut told) {
                Loss::Expected => return,
                Loss::New => {
                    tracing::warn!(coordinator = %self.coordinator, error, "no session");
                }
                Loss::Lasting => tracing::debug!(error, "no session"),
            }
            let pause = retry_after(failures, entropy(), self.shortest_lease());
            failures = failures.saturating_add(1);
            if shutdown.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }
}

/// What the end of a session is to the operator.
#[derive(Debug, PartialEq, Eq)]
enum Loss {
    /// The agent ends, and the session with it.
    Expected,
    /// Told once.
    New,
    /// Told only to those who ask for every detail.
    Lasting,
}

/// A session may notice that the agent ends before its own token says so: whoever it talks to ends
/// at the same time.
/// Whoever was cut off first and is refused then is told the latter, too.
fn loss(ended: &SessionError, stopping: bool, told: &mut BTreeSet<String>) -> Loss {
    if stopping || matches!(ended, SessionError::Stopping) {
        Loss::Expected
    } else if told.len() < MOST_TOLD && told.insert(chain(ended)) {
        Loss::New
    } else {
        Loss::Lasting
    }
}

/// Whether a session held for so long that its end is a new event. One that ends sooner, such as
/// when an order is refused, would end the same way again at once.
fn lasted(session: Duration) -> bool {
    session > LONGEST_RETRY
}

/// How long one attempt may take: on a host whose members have leases, a third of the shortest one at
/// first. Then longer, so that a coordinator that is slow is reached at all.
fn attempt_limit(failures: u32, lease: Option<Duration>) -> Duration {
    let factor = 1_u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX);
    lease.map_or(ATTEMPT, |lease| {
        (lease / 3).saturating_mul(factor).min(ATTEMPT)
    })
}

/// The pause grows, and differs between agents that lost the same coordinator. On a host whose members
/// have leases it is a quarter of the shortest one at most.
fn retry_after(failures: u32, entropy: u64, lease: Option<Duration>) -> Duration {
    let factor = 1_u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX);
    let longest = lease.map_or(LONGEST_RETRY, |lease| (lease / 4).min(LONGEST_RETRY));
    let whole = FIRST_RETRY.saturating_mul(factor).min(longest);
    let shortened = u32::try_from(entropy % 500).unwrap_or(0);
    whole * (1000 - shortened) / 1000
}

fn entropy() -> u64 {
    let bits = uuid::Uuid::now_v7().as_u128() & u128::from(u64::MAX);
    u64::try_from(bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_fast_and_no_pause_is_longer_than_two_seconds() {
        for entropy in [0, 123, 499] {
            assert!(retry_after(0, entropy, None) <= Duration::from_millis(50));
            assert!(retry_after(99, entropy, None) <= LONGEST_RETRY);
            assert!(retry_after(99, entropy, None) >= LONGEST_RETRY / 2);
        }
        assert!(retry_after(3, 0, None) > retry_after(0, 0, None));
    }

    #[test]
    fn a_lease_bounds_how_long_nobody_is_asked() {
        for lease in [1, 3, 15].map(Duration::from_secs) {
            assert!(retry_after(0, 0, Some(lease)) <= lease / 10);
            assert!(retry_after(99, 0, Some(lease)) <= lease / 4);
            assert!(attempt_limit(0, Some(lease)) <= lease / 3);
            assert_eq!(attempt_limit(99, Some(lease)), ATTEMPT);
        }
        assert_eq!(attempt_limit(0, None), ATTEMPT);
    }

    #[test]
    fn a_session_that_ends_with_its_agent_is_no_loss() {
        let mut told = BTreeSet::new();
        let mut loss = |ended, stopping| loss(&ended, stopping, &mut told);
        assert_eq!(loss(SessionError::Closed, true), Loss::Expected);
        assert_eq!(loss(SessionError::Stopping, false), Loss::Expected);
    }

    #[test]
    fn each_reason_is_told_once_and_not_without_end() {
        let mut told = BTreeSet::new();
        let mut loss = |ended| loss(&ended, false, &mut told);
        assert_eq!(loss(SessionError::Closed), Loss::New);
        assert_eq!(loss(SessionError::Closed), Loss::Lasting);
        assert_eq!(loss(SessionError::Silent), Loss::New);
        let aborted = |n: usize| SessionError::Stream(tonic::Status::aborted(n.to_string()));
        for n in 2..MOST_TOLD {
            assert_eq!(loss(aborted(n)), Loss::New);
        }
        assert_eq!(loss(aborted(MOST_TOLD)), Loss::Lasting);
    }

    #[test]
    fn only_a_session_that_lasted_makes_the_next_retry_fast() {
        assert!(!lasted(Duration::ZERO));
        assert!(!lasted(LONGEST_RETRY));
        assert!(lasted(LONGEST_RETRY + FIRST_RETRY));
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error = SessionError::Stream(tonic::Status::aborted("a newer stream took over"));
        assert!(chain(&error).contains("a newer stream took over"));
    }
}
