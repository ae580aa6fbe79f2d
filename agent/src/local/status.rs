//! A member as its own host knows it, in the form in which the coordinator shows members.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth_core::{ids::HostName, order::MemberOrder, time::Timestamp, waiting::Waiting};
use berth_proto::{convert::status, v1};

use crate::reconcile::Seen;

/// The status of a member, with what its order says if there is one.
pub(super) fn member(
    host: &HostName,
    seen: &Seen,
    order: Option<&MemberOrder>,
) -> v1::MemberStatus {
    let report = &seen.report;
    let id = &report.member;
    let mut status = v1::MemberStatus {
        namespace: id.set.namespace.to_string(),
        set: id.set.name.to_string(),
        ordinal: id.ordinal.0,
        name: id.name(),
        host: host.to_string(),
        epoch: report.epoch.to_string(),
        phase: status::phase(report.phase).to_owned(),
        started: report.started,
        ready: report.ready,
        restarts: report.restarts,
        waiting: report.waiting.clone().map(|reason| {
            status::waiting(&Waiting {
                reason,
                since: ago(seen.waiting_for),
            })
        }),
        processes: report.processes.iter().map(status::process).collect(),
        ready_since_ms: if report.ready {
            status::millis(Some(ago(Duration::from_millis(report.ready_for_ms))))
        } else {
            0
        },
        ..v1::MemberStatus::default()
    };
    if let Some(order) = order {
        status.fqdn.clone_from(&order.values.fqdn);
        status.address.clone_from(&order.values.address);
        status.revision = order.revision.to_string();
        let name = &order.values.member;
        status.founder = order.values.founders.iter().any(|peer| peer.name == *name);
        status.volumes = volumes(host, order);
    }
    status
}

fn volumes(host: &HostName, order: &MemberOrder) -> Vec<v1::VolumeStatus> {
    let volumes = order.volumes.iter();
    volumes
        .map(|volume| v1::VolumeStatus {
            name: volume.name.clone(),
            claim: volume.claim.to_string(),
            pool: volume.source.pool().unwrap_or_default().to_owned(),
            host: host.to_string(),
            filled: volume.filled,
            source: volume.source.describe(),
            ..v1::VolumeStatus::default()
        })
        .collect()
}

/// A time on the wall clock. The agent decides nothing by it; operators read it.
fn ago(by: Duration) -> Timestamp {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(0).plus(now.saturating_sub(by))
}
