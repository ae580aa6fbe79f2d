//! The pools, looked at for as long as the agent runs, and told for as long as a session is open. A mount
//! is an event; that a file system grew or filled up has none, so it is looked at from time to time, in a
//! helper that can be killed.
//!
//! Looking is not the sessions' business: a disk that does not answer takes seconds to be given up, which
//! a lease does not have. A hello says what is known, and the rest follows.

use std::{sync::Arc, time::Duration};

use berth_core::volume::pool::{Pools, changes, is_news};
use berth_proto::v1::{AgentMessage, agent_message::Message};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::stream::send;
use crate::host::Host;

/// From one look to the next, when nothing is mounted meanwhile.
const LOOK: Duration = Duration::from_secs(60);
/// The least time between two looks: where much is mounted, many changes meet in one.
const PAUSE: Duration = Duration::from_secs(2);

/// What is known of this host's pools. Dropping it ends the looks.
#[derive(Debug)]
pub struct KnownPools {
    now: watch::Receiver<Option<Pools>>,
    _looks: AbortOnDropHandle<()>,
}

impl KnownPools {
    /// Begins to look at them.
    pub fn look<H: Host>(host: Arc<H>) -> Self {
        // Before the first look: what is mounted from now on is noticed.
        let mounts = host.mounts();
        let (seen, now) = watch::channel(None);
        let looks = AbortOnDropHandle::new(tokio::spawn(look(host, mounts, seen)));
        Self { now, _looks: looks }
    }

    /// As they are known; nothing before the first look has ended.
    pub(super) fn now(&self) -> Option<Pools> {
        self.now.borrow().clone()
    }

    /// As [`Self::now`], after the first look.
    pub(super) async fn seen(&self) -> Option<Pools> {
        let mut now = self.now.clone();
        let seen = now.wait_for(Option::is_some).await;
        seen.ok().and_then(|pools| pools.clone())
    }

    /// Tells what they are beyond what was told, until what is returned is dropped.
    pub(super) fn tell(
        &self,
        told: Option<Pools>,
        out: mpsc::Sender<AgentMessage>,
    ) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(tell(self.now.clone(), told, out)))
    }
}

async fn look<H: Host>(
    host: Arc<H>,
    mut mounts: watch::Receiver<u64>,
    seen: watch::Sender<Option<Pools>>,
) {
    loop {
        let now = host.look_at_pools().await;
        seen.send_if_modified(|seen| {
            if let Some(before) = seen.as_ref() {
                if !is_news(before, &now) {
                    return false;
                }
                for line in changes(before, &now) {
                    tracing::info!("{line}");
                }
            }
            *seen = Some(now);
            true
        });
        sleep(PAUSE).await;
        if let Ok(Err(_)) = timeout(LOOK, mounts.changed()).await {
            sleep(LOOK).await;
        }
    }
}

async fn tell(
    mut seen: watch::Receiver<Option<Pools>>,
    mut told: Option<Pools>,
    out: mpsc::Sender<AgentMessage>,
) {
    loop {
        let now = seen.borrow_and_update().clone();
        if let Some(now) = now.filter(|now| told.as_ref() != Some(now)) {
            // A session that ended says it anew.
            if send(&out, Message::Pools(now.clone().into()))
                .await
                .is_err()
            {
                return;
            }
            told = Some(now);
        }
        if seen.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    async fn next(said: &mut mpsc::Receiver<AgentMessage>) -> Vec<String> {
        let message = timeout(LOOK / 2, said.recv()).await.unwrap().unwrap();
        let Some(Message::Pools(pools)) = message.message else {
            panic!("{message:?}");
        };
        pools.pools.into_iter().map(|pool| pool.name).collect()
    }

    #[tokio::test]
    async fn a_disk_that_came_is_told_and_nothing_is_told_twice() {
        let host = Arc::new(FakeHost::new(&["default"]));
        let pools = KnownPools::look(Arc::clone(&host));
        let told = pools.seen().await;
        let (out, mut said) = mpsc::channel(9);
        let teller = pools.tell(told, out);
        host.add_pool("fast");
        assert_eq!(next(&mut said).await, ["default", "fast"]);
        host.add_pool("slow");
        assert_eq!(next(&mut said).await, ["default", "fast", "slow"]);
        drop(teller);
        assert_eq!(said.recv().await, None, "it ends with its session");
    }

    #[tokio::test]
    async fn what_a_hello_did_not_know_follows() {
        let host = Arc::new(FakeHost::new(&["default"]));
        host.hold_pools(true);
        let pools = KnownPools::look(Arc::clone(&host));
        let (out, mut said) = mpsc::channel(9);
        let _teller = pools.tell(pools.now(), out);
        assert_eq!(pools.now(), None);
        host.hold_pools(false);
        assert_eq!(next(&mut said).await, ["default"]);
    }
}
