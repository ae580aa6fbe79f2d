//! The pools as the coordinator is told of them. A helper looks at each, for a disk may not answer;
//! all are looked at together, so that one that hangs delays a hello once and no other pool.

use std::{collections::BTreeMap, time::Duration};

use berth_core::{volume::PoolInfo, waiting::Reason};
use futures_util::future::join_all;

use super::{
    LinuxHost,
    helpers::{self, About},
};
use crate::host::storage::{
    Pool, PoolPlace,
    helper::{HelperLine, HelperRequest},
};

/// How long a pool may take to be looked at.
const POOL: Duration = Duration::from_secs(5);

/// Looks at all pools of the configuration.
pub(super) async fn look(host: &LinuxHost) -> BTreeMap<String, PoolInfo> {
    let pools = host.inner.config.pools.iter();
    let looks = pools.map(|(name, pool)| async move {
        let info = look_at(host, name, pool).await.unwrap_or_else(|reason| {
            tracing::warn!(pool = name, %reason, "the pool is not there");
            PoolInfo {
                kind: pool.kind,
                missing: true,
                ..PoolInfo::default()
            }
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
        | HelperLine::Failed(_)
        | HelperLine::Done => None,
    });
    told.next()
        .ok_or_else(|| super::step_failed("look at the pool", "the helper said nothing"))
}
