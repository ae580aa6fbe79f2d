//! The pools as the coordinator is told of them. A helper looks at each, for a disk may not answer;
//! all are looked at together, so that one that hangs delays a hello once and no other pool. The
//! kernel says when something was mounted or unmounted, so that a disk that came is seen at once.

use std::time::Duration;

use berth_core::{
    volume::{PoolInfo, Pools},
    waiting::Reason,
};
use futures_util::future::join_all;
use tokio::sync::watch;

use super::{
    LinuxHost,
    helpers::{self, About},
};
use crate::host::{
    storage::{
        Pool, PoolPlace,
        helper::{HelperLine, HelperRequest},
    },
    watch::MountWatch,
};

/// How long a pool may take to be looked at.
const POOL: Duration = Duration::from_secs(5);

/// Looks at all pools of the configuration.
pub(super) async fn look(host: &LinuxHost) -> Pools {
    let pools = host.inner.config.pools.iter();
    let looks = pools.map(|(name, pool)| async move {
        let info = look_at(host, name, pool)
            .await
            .unwrap_or_else(|reason| PoolInfo {
                kind: pool.kind,
                path: pool.path.display().to_string(),
                missing: true,
                trouble: reason.to_string(),
                ..PoolInfo::default()
            });
        (name.clone(), info)
    });
    join_all(looks).await.into_iter().collect()
}

async fn look_at(host: &LinuxHost, name: &str, pool: &Pool) -> Result<PoolInfo, Reason> {
    let about = About {
        volume: name.to_owned(),
        source: format!("pool {}", pool.path.display()),
        step: "look at the pool",
    };
    let place = PoolPlace {
        name: name.to_owned(),
        path: pool.path.clone(),
        id: host.inner.pools.id(name),
    };
    let request = HelperRequest::Pool {
        place,
        kind: pool.kind,
    };
    let (program, stuck) = (&host.inner.config.keeper_program, &host.inner.stuck);
    let lines = helpers::ask(program, stuck, &[about], &request, POOL).await?;
    let mut told = lines.into_iter().filter_map(|line| match line {
        HelperLine::Pool(info) => Some(info),
        HelperLine::At { .. }
        | HelperLine::Fact(_)
        | HelperLine::Prepared(_)
        | HelperLine::Health(_)
        | HelperLine::Weight(_)
        | HelperLine::Failed(_)
        | HelperLine::Done => None,
    });
    told.next()
        .ok_or_else(|| super::step_failed("look at the pool", "the helper said nothing"))
}

/// Counts the changes of what is mounted, as long as somebody listens. Where the kernel does not tell
/// them, it ends at once.
pub(super) fn mounts() -> watch::Receiver<u64> {
    let (count, changes) = watch::channel(0_u64);
    tokio::spawn(async move {
        tokio::select! {
            failed = follow(&count) => if let Err(error) = failed {
                tracing::warn!(%error, "mounts cannot be followed; pools are looked at now and then");
            },
            () = count.closed() => {}
        }
    });
    changes
}

async fn follow(count: &watch::Sender<u64>) -> std::io::Result<()> {
    let mounts = MountWatch::new()?;
    loop {
        mounts.changed().await?;
        count.send_modify(|count| *count += 1);
    }
}
