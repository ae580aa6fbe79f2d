//! Members of Failover sets, whose hosts are lost.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    agent::{Agent, Identity},
    common::{Coordinator, until},
};

/// The length of the leases of the class `Fast` here.
const LEASE: Duration = Duration::from_secs(1);

const SET: &str = "
kind: StatefulSet
apiVersion: apps/v1
metadata: {name: db}
spec:
  replicas: 1
  failurePolicy: Failover
  leaseClass: Fast
  template:
    spec:
      processes:
        - {name: main, command: [/bin/sleep, '1000'], user: nobody}
";

/// Two agents; the one that runs the member comes first.
pub(crate) async fn running(coordinator: &Coordinator) -> (Agent, Agent) {
    let endpoint = coordinator.endpoint();
    let first = Agent::connect(&endpoint, "host-1").await;
    let second = Agent::connect(&endpoint, "host-2").await;
    coordinator.apply(SET).await;
    let members = coordinator.ready("db", 1).await;
    let (runs, idle) = match members[0].host.as_str() {
        "host-1" => (first, second),
        _ => (second, first),
    };
    until("a renewal", async || {
        let renewed = runs.ledger.lock().unwrap().renewed;
        renewed.map(drop).ok_or("none is acknowledged")
    })
    .await;
    (runs, idle)
}

/// Waits until the member is started on a host; when that was.
async fn started(agent: &Agent) -> Instant {
    until("the start elsewhere", async || {
        let starts = agent.started();
        (starts == ["default/db-0"])
            .then(Instant::now)
            .ok_or_else(|| format!("{starts:?}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_starts_elsewhere_only_after_the_lease_of_its_host_is_over() {
    let coordinator = Coordinator::start().await;
    let (lost, other) = running(&coordinator).await;
    let ledger = std::sync::Arc::clone(&lost.ledger);
    drop(lost);
    let again = started(&other).await;
    let sent = ledger.lock().unwrap().renewed.unwrap();
    let after = again.duration_since(sent);
    assert!(
        after >= LEASE,
        "its old host may run it until {LEASE:?}, not {after:?}"
    );
    coordinator.ready("db", 1).await;
    let told = coordinator.event("Member/db-0", "Released").await;
    assert!(
        told.message.contains("its lease is over"),
        "{}",
        told.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_renews_nothing_is_given_up_though_its_stream_is_open() {
    gives_up_a_host_that_renews_nothing(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_renews_nothing_is_given_up_though_it_reports() {
    gives_up_a_host_that_renews_nothing(true).await;
}

async fn gives_up_a_host_that_renews_nothing(talks: bool) {
    let coordinator = Coordinator::start().await;
    let (hangs, other) = running(&coordinator).await;
    {
        let mut ledger = hangs.ledger.lock().unwrap();
        (ledger.silent, ledger.talks) = (true, talks);
    }
    let again = started(&other).await;
    let sent = hangs.ledger.lock().unwrap().renewed.unwrap();
    assert!(again.duration_since(sent) >= LEASE);
    hangs.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_coordinator_waits_for_leases_that_the_one_before_renewed() {
    let coordinator = Coordinator::start().await;
    let (lost, other) = running(&coordinator).await;
    let ledger = std::sync::Arc::clone(&other.ledger);
    drop((lost, other));
    let before = Instant::now();
    let coordinator = coordinator.restart().await;
    let members = coordinator.members("db").await;
    let host = match members[0].host.as_str() {
        "host-1" => "host-2",
        _ => "host-1",
    };
    let identity = Identity {
        host,
        machine: host,
    };
    let other = Agent::with(&coordinator.endpoint(), identity, ledger).await;
    let again = started(&other).await;
    assert!(again.duration_since(before) >= LEASE);
}
