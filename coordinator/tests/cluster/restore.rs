//! Backups, and what becomes of a cluster whose coordinator was restored from one.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use berth_coordinator::{clock::Clock, secrets::KeySource, store::backup};
use berth_core::store::backup::Backup;
use berth_proto::v1::{
    AcceptRestoreRequest, BackupRequest, StoreHistory, StoreHistoryRequest,
    admin_service_client::AdminServiceClient,
};
use tonic::{Code, Status};

use crate::{
    agent::{Agent, Identity, Ledger},
    common::{Client, Coordinator, set, until},
    failover::running,
};

async fn take_backup(client: &Client) -> Backup {
    let mut admin = AdminServiceClient::new(client.channel().await);
    let mut chunks = admin.backup(BackupRequest {}).await.unwrap().into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        bytes.extend(chunk.data);
    }
    berth_core::store::backup::read(&bytes).unwrap()
}

pub(crate) async fn accept(client: &Client, confirmed: bool) -> Result<StoreHistory, Status> {
    let mut admin = AdminServiceClient::new(client.channel().await);
    let request = AcceptRestoreRequest { confirmed };
    Ok(admin.accept_restore(request).await?.into_inner())
}

async fn history(client: &Client) -> StoreHistory {
    let mut admin = AdminServiceClient::new(client.channel().await);
    let answer = admin.history(StoreHistoryRequest {}).await;
    answer.unwrap().into_inner()
}

async fn waits_for(client: &Client, set: &str, rule: &str) {
    until(&format!("{set} to wait for {rule}"), async || {
        let member = client.members(set).await.into_iter().next();
        let waits = member.and_then(|member| member.waiting).map(|w| w.rule);
        (waits.as_deref() == Some(rule))
            .then_some(())
            .ok_or_else(|| format!("{waits:?}"))
    })
    .await;
}

fn restore(backup: &Backup, data: &Path) {
    let store = data.join(berth_coordinator::store::FILE);
    let now = Clock::start().now();
    let keys = KeySource::Made(data.join("secrets.key"));
    let refused = backup::restore(backup, &store, &keys, false, now);
    assert!(refused.unwrap_err().to_string().contains("--replace"));
    let aside = backup::restore(backup, &store, &keys, true, now).unwrap();
    assert!(aside.unwrap().exists(), "the old one is kept");
}

async fn connect(client: &Client, host: &'static str, ledger: &Arc<Mutex<Ledger>>) -> Agent {
    let machine = host;
    let identity = Identity { host, machine };
    Agent::with(&client.endpoint(), identity, Arc::clone(ledger)).await
}

#[tokio::test]
async fn a_restored_store_starts_nothing_until_it_is_accepted_and_every_host_was_heard_of() {
    let coordinator = Coordinator::start().await;
    let one = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let two = Agent::connect(&coordinator.endpoint(), "host-2").await;
    coordinator.apply(&set("web", 1, "")).await;
    coordinator.ready("web", 1).await;
    coordinator.quiet("web").await;
    let backup = take_backup(&coordinator).await;
    let before = history(&coordinator).await;
    coordinator.scale("web", 3, true).await.unwrap();
    let members = coordinator.ready("web", 3).await;
    coordinator.quiet("web").await;
    let ledgers = [Arc::clone(&one.ledger), Arc::clone(&two.ledger)];
    drop((one, two));
    let data = coordinator.data_dir();
    let coordinator = coordinator.restart_after(|| restore(&backup, &data)).await;

    // Whoever has what the store does not know is told so; nothing starts meanwhile, and that is
    // still so after another start.
    coordinator.apply(&set("db", 1, "")).await;
    waits_for(&coordinator, "db", "HistoryMismatch").await;
    let agent = connect(&coordinator, "host-1", &ledgers[0]).await;
    assert_eq!(agent.ended().await.code(), Code::FailedPrecondition);
    coordinator.event("Host/host-1", "HostMismatch").await;
    let coordinator = coordinator.restart().await;
    waits_for(&coordinator, "db", "HistoryMismatch").await;
    assert_eq!(history(&coordinator).await.mismatched.len(), 1);

    let refused = accept(&coordinator, false).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let after = accept(&coordinator, true).await.unwrap();
    assert!(after.history != before.history && after.term > before.term + 2);
    assert_eq!(after.awaited, ["host-1", "host-2"]);
    let nothing = accept(&coordinator, true).await.unwrap_err();
    assert!(nothing.message().contains("not in question"), "{nothing}");

    let one = connect(&coordinator, "host-1", &ledgers[0]).await;
    waits_for(&coordinator, "db", "HostsAwaited").await;
    let coordinator = coordinator.restart().await;
    drop(one);
    let one = connect(&coordinator, "host-1", &ledgers[0]).await;
    let two = connect(&coordinator, "host-2", &ledgers[1]).await;
    coordinator.ready("db", 1).await;
    // The member that the backup knew runs on as it is; those that it did not know are gone.
    let left = coordinator.ready("web", 1).await;
    assert_eq!(left[0].epoch, members[0].epoch);
    let mut stopped = [one.stopped(), two.stopped()].concat();
    stopped.sort();
    assert_eq!(stopped, ["default/web-1", "default/web-2"]);
    let last = history(&coordinator).await;
    assert!(last.awaited.is_empty() && !last.latched);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_renews_leases_for_what_runs_only() {
    let coordinator = Coordinator::start().await;
    let (runs, idle) = running(&coordinator).await;
    let ledger = Arc::clone(&runs.ledger);
    assert!(!ledger.lock().unwrap().running_only);
    let host = match coordinator.members("db").await[0].host.as_str() {
        "host-1" => "host-1",
        _ => "host-2",
    };
    let backup = take_backup(&coordinator).await;
    drop((runs, idle));
    let data = coordinator.data_dir();
    let coordinator = coordinator.restart_after(|| restore(&backup, &data)).await;
    // What it has is what the store has; and yet it may have been given up since the backup.
    let agent = connect(&coordinator, host, &ledger).await;
    until("a renewal for what runs", async || {
        let ledger = ledger.lock().unwrap();
        ledger.running_only.then_some(()).ok_or("none yet")
    })
    .await;
    drop(agent);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_backup_of_another_cluster_is_refused_and_the_store_stays() {
    let coordinator = Coordinator::start().await;
    let other = Coordinator::start().await;
    coordinator.apply(&set("web", 1, "")).await;
    let backup = take_backup(&other).await;
    let data = coordinator.data_dir();
    let coordinator = coordinator
        .restart_after(|| {
            let store = data.join(berth_coordinator::store::FILE);
            let keys = KeySource::Made(data.join("secrets.key"));
            let now = Clock::start().now();
            let refused = backup::restore(&backup, &store, &keys, true, now);
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("of cluster"), "{refused}");
        })
        .await;
    assert_eq!(coordinator.members("web").await.len(), 1);
    other.stop().await;
    coordinator.stop().await;
}
