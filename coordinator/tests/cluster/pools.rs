//! What agents say of their pools while they are connected, and what hangs on it: growth that waits,
//! and snapshots whose state is followed.

use berth_core::volume::{PoolInfo, PoolKind, Pools, work::VolumeTask};
use berth_proto::v1::{
    HostStatus, ListHostsRequest, ListRequest, WatchRequest,
    host_service_client::HostServiceClient, watch_event::Type,
};
use serde_json::Value;
use tonic::Code;

use crate::{
    agent::Agent,
    common::{Coordinator, set, until},
    volumes::{get, next},
};

const GI: u64 = 1 << 30;

fn pools(info: PoolInfo) -> Pools {
    [("default".to_owned(), info)].into()
}

/// A pool of images that copies while members write.
fn images() -> PoolInfo {
    PoolInfo {
        kind: PoolKind::Image,
        path: "/srv/data".to_owned(),
        capacity: 10 * GI,
        available: 9 * GI,
        clones: true,
        ..PoolInfo::default()
    }
}

const SNAPSHOT: &str = "
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: before}
spec: {source: {persistentVolumeClaimName: data-web-0}}
";

/// The host, once it is known.
async fn host(coordinator: &Coordinator) -> Option<HostStatus> {
    let hosts = HostServiceClient::new(coordinator.channel().await)
        .list(ListHostsRequest {})
        .await;
    hosts.unwrap().into_inner().hosts.pop()
}

async fn pool_is(coordinator: &Coordinator, what: &str, is: impl Fn(&HostStatus) -> bool) {
    until(what, async || {
        let host = host(coordinator).await;
        let is = host.as_ref().is_some_and(&is);
        is.then_some(()).ok_or_else(|| format!("{host:#?}"))
    })
    .await;
}

async fn claim(coordinator: &Coordinator, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    until(what, async || {
        let claim = get(coordinator, "pvc", "data-web-0").await.unwrap();
        is(&claim)
            .then_some(claim.clone())
            .ok_or_else(|| format!("{claim:#}"))
    })
    .await
}

#[tokio::test]
async fn a_pool_that_changes_is_told_and_growth_says_why_it_waits() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    agent.pools(pools(images())).await;
    pool_is(&coordinator, "the pool to be told", |host| {
        host.pool_statuses[0].capacity_bytes == 10 * GI
    })
    .await;
    coordinator.event("Host/host-1", "PoolsChanged").await;
    coordinator.apply(&set("web", 1, "")).await;
    coordinator.ready("web", 1).await;
    let pool = host(&coordinator).await.unwrap().pool_statuses.remove(0);
    assert_eq!(
        (pool.kind.as_str(), pool.path.as_str()),
        ("image", "/srv/data")
    );
    assert_eq!(pool.free_bytes, 9 * GI, "what is not promised");
    assert_eq!(pool.claims, ["default/data-web-0"]);
    assert_eq!(pool.trouble, "");

    agent.ledger.lock().unwrap().work_fails = Some("the disk is full".to_owned());
    coordinator
        .apply(&set("web", 1, "").replace("1Gi", "5Gi"))
        .await;
    let growing = claim(&coordinator, "the failure to be shown", |claim| {
        let told = claim["status"]["waiting"]["message"].as_str();
        told.is_some_and(|text| text.contains("the disk is full"))
    })
    .await;
    assert_eq!(growing["status"]["waiting"]["rule"], "VolumeGrowing");
    assert_eq!(growing["status"]["capacity"]["storage"], "1Gi");
    assert_eq!(growing["spec"]["resources"]["requests"]["storage"], "5Gi");

    let smaller = set("web", 1, "").replace("1Gi", "512Mi");
    let refused = coordinator.try_apply(&smaller, false).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("give 1Gi or more"), "{refused}");
    coordinator.apply(&set("web", 1, "")).await;
    let back = claim(&coordinator, "the request to be taken back", |claim| {
        claim["status"]["waiting"] == Value::Null
    })
    .await;
    assert_eq!(back["spec"]["resources"]["requests"]["storage"], "1Gi");
    // An answer to what is not asked for any more, and yet the volume is so large now.
    let grown = {
        let ledger = agent.ledger.lock().unwrap();
        let mut works = ledger.works.iter();
        works
            .find(|work| matches!(work.of.task, VolumeTask::Grow { .. }))
            .unwrap()
            .clone()
    };
    agent.answer(grown).await;
    claim(&coordinator, "the size to be told", |claim| {
        claim["status"]["capacity"]["storage"] == "5Gi"
    })
    .await;

    let gone = PoolInfo {
        kind: PoolKind::Image,
        missing: true,
        trouble: "its disk is not mounted".to_owned(),
        ..PoolInfo::default()
    };
    agent.pools(pools(gone)).await;
    pool_is(&coordinator, "the loss to be told", |host| {
        host.pool_statuses[0].trouble == "its disk is not mounted"
    })
    .await;
    coordinator.stop().await;
}

#[tokio::test]
async fn the_state_of_a_snapshot_is_followed() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    agent.pools(pools(images())).await;
    pool_is(&coordinator, "the pool to be told", |host| {
        host.pool_statuses[0].limits
    })
    .await;
    coordinator.apply(&set("web", 1, "")).await;
    coordinator.ready("web", 1).await;
    coordinator.quiet("web").await;
    let request = WatchRequest {
        kind: "vs".to_owned(),
        ..WatchRequest::default()
    };
    let mut objects = coordinator.objects().await;
    let mut stream = objects.watch(request).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await.0, Type::Synced);
    coordinator.apply(SNAPSHOT).await;
    let (kind, name, _) = next(&mut stream).await;
    assert_eq!((kind, name.as_str()), (Type::Added, "before"));
    loop {
        let (kind, name, object) = next(&mut stream).await;
        assert_eq!((kind, name.as_str()), (Type::Modified, "before"));
        if object["status"]["readyToUse"] == true {
            break;
        }
    }
    coordinator.stop().await;
}

#[tokio::test]
async fn a_snapshot_that_came_before_its_claim_means_the_first_one() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    agent.pools(pools(images())).await;
    coordinator.apply(SNAPSHOT).await;
    coordinator.apply(&set("web", 1, "")).await;
    coordinator.ready("web", 1).await;
    let claim = get(&coordinator, "pvc", "data-web-0").await.unwrap();
    let uid = claim["metadata"]["uid"].as_str().unwrap();
    until("the claim's id to be noted", async || {
        let snapshot = get(&coordinator, "vs", "before").await.unwrap();
        let source = &snapshot["spec"]["source"];
        let meant = source["persistentVolumeClaimUid"] == uid;
        meant.then_some(()).ok_or_else(|| format!("{snapshot:#}"))
    })
    .await;
    coordinator.stop().await;
}

#[tokio::test]
async fn the_built_in_class_is_listed_until_an_object_takes_its_name() {
    let coordinator = Coordinator::start().await;
    let list = async |coordinator: &Coordinator| {
        let list = ListRequest {
            kind: "sc".to_owned(),
            ..ListRequest::default()
        };
        let listed = coordinator.objects().await.list(list).await.unwrap();
        listed.into_inner().objects.len()
    };
    let built_in = get(&coordinator, "sc", "local").await.unwrap();
    assert_eq!(built_in["status"]["builtIn"], true);
    assert_eq!(list(&coordinator).await, 1);
    let own = "
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local}
provisioner: local
";
    coordinator.apply(own).await;
    let stored = get(&coordinator, "sc", "local").await.unwrap();
    assert_eq!(stored["status"], Value::Null);
    assert_eq!(list(&coordinator).await, 1);
    let none = get(&coordinator, "sc", "other").await.unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
    coordinator.stop().await;
}
