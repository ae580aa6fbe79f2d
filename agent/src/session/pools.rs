//! The pools, for as long as a session is open: what the hello said of them is told again when it is not
//! true any more. A mount is an event; that a file system grew or filled up has none, so it is looked
//! at from time to time, in a helper that can be killed.

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

/// Tells what changes of the pools beyond what was told, until it is dropped.
pub(super) fn follow<H: Host>(
    host: Arc<H>,
    told: Pools,
    out: mpsc::Sender<AgentMessage>,
) -> AbortOnDropHandle<()> {
    // Before the first look: what is mounted from now on is noticed.
    let mounts = host.mounts();
    AbortOnDropHandle::new(tokio::spawn(tell(host, mounts, told, out)))
}

async fn tell<H: Host>(
    host: Arc<H>,
    mut mounts: watch::Receiver<u64>,
    mut told: Pools,
    out: mpsc::Sender<AgentMessage>,
) {
    loop {
        let now = host.look_at_pools().await;
        if is_news(&told, &now) {
            for line in changes(&told, &now) {
                tracing::info!("{line}");
            }
            // A session that ended says it anew.
            if send(&out, Message::Pools(now.clone().into()))
                .await
                .is_err()
            {
                return;
            }
            told = now;
        }
        sleep(PAUSE).await;
        if let Ok(Err(_)) = timeout(LOOK, mounts.changed()).await {
            sleep(LOOK).await;
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
        let told = host.look_at_pools().await;
        let (out, mut said) = mpsc::channel(9);
        let follower = follow(Arc::clone(&host), told, out);
        host.add_pool("fast");
        assert_eq!(next(&mut said).await, ["default", "fast"]);
        host.add_pool("slow");
        assert_eq!(next(&mut said).await, ["default", "fast", "slow"]);
        drop(follower);
        assert_eq!(said.recv().await, None, "it ends with its session");
    }
}
