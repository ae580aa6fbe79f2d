//! Claims and volumes through the real services: what is stored, shown and watched, what operators
//! may do with them, and what agents are asked to do.

use std::sync::Arc;

use berth_core::volume::work::VolumeTask;
use berth_proto::{
    convert::structs::to_value,
    v1::{
        ApplyRequest, DeleteRequest, DeleteVolumeRequest, GetRequest, ListRequest,
        ListVolumesRequest, ObjectRef, Source, Volume, VolumeRequest, WatchEvent, WatchRequest,
        applied_object::Change, volume_service_client::VolumeServiceClient, watch_event::Type,
    },
};
use serde_json::Value;
use tonic::{Code, Status, Streaming, transport::Channel};

use crate::{
    agent::{Agent, Identity},
    common::{Coordinator, DEADLINE, set, until},
};

fn reference(kind: &str, name: &str) -> ObjectRef {
    ObjectRef {
        kind: kind.to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
    }
}

pub(crate) async fn get(
    coordinator: &Coordinator,
    kind: &str,
    name: &str,
) -> Result<Value, Status> {
    let request = GetRequest {
        r#ref: Some(reference(kind, name)),
        show_secrets: false,
    };
    let object = coordinator.objects().await.get(request).await?.into_inner();
    Ok(to_value(object.manifest.unwrap()))
}

async fn delete(coordinator: &Coordinator, kind: &str, name: &str) -> Result<u64, Status> {
    let request = DeleteRequest {
        r#ref: Some(reference(kind, name)),
        typed_name: name.to_owned(),
        orphan: false,
        ..DeleteRequest::default()
    };
    let deleted = coordinator.objects().await.delete(request).await?;
    Ok(deleted.into_inner().revision)
}

async fn volumes(coordinator: &Coordinator) -> VolumeServiceClient<Channel> {
    VolumeServiceClient::new(coordinator.channel().await)
}

fn named(name: &str) -> VolumeRequest {
    VolumeRequest {
        name: name.to_owned(),
    }
}

async fn volume(coordinator: &Coordinator, name: &str) -> Volume {
    let found = volumes(coordinator).await.get(named(name)).await;
    found.unwrap().into_inner()
}

/// Applies what is there already: nothing of it is stored again.
pub(crate) async fn unchanged(coordinator: &Coordinator, text: &str) {
    let request = ApplyRequest {
        sources: vec![Source {
            file: "test.yaml".to_owned(),
            text: text.to_owned(),
        }],
        ..ApplyRequest::default()
    };
    let applied = coordinator.objects().await.apply(request).await.unwrap();
    for object in applied.into_inner().objects {
        assert_eq!(object.change(), Change::Unchanged, "{object:?}");
    }
}

/// Waits until a volume is in a state.
async fn in_state(coordinator: &Coordinator, name: &str, state: &str) -> Volume {
    until(&format!("{name} to be {state}"), async || {
        let volume = volume(coordinator, name).await;
        (volume.state == state)
            .then_some(volume.clone())
            .ok_or_else(|| format!("{volume:#?}"))
    })
    .await
}

pub(crate) async fn next(stream: &mut Streaming<WatchEvent>) -> (Type, String, Value) {
    let event = tokio::time::timeout(DEADLINE, stream.message()).await;
    let event = event.expect("in time").unwrap().unwrap();
    let name = event.r#ref.clone().unwrap_or_default().name;
    let kind = event.r#type();
    let manifest = event.object.and_then(|object| object.manifest);
    (kind, name, manifest.map_or(Value::Null, to_value))
}

const CLAIM: &str = "
kind: PersistentVolumeClaim
apiVersion: v1
metadata: {name: shared, labels: {tier: web}}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: slow
  resources: {requests: {storage: 1Gi}}
";

const VOLUME: &str = "
kind: PersistentVolume
apiVersion: v1
metadata: {name: pv-0, labels: {app: web}}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteMany]
  nfs: {server: nas, path: /exports/web-0}
";

/// A class of volumes that every host might reach.
const SERVER_CLASS: &str = "
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: server
  annotations: {storageclass.kubernetes.io/is-default-class: 'true'}
provisioner: nfs
parameters: {server: nas, share: /exports}
";

/// A set that ran and is gone; its claim `data-web-0` is left. The name of its volume.
async fn left(coordinator: &Coordinator) -> String {
    coordinator.apply(&set("web", 1, "")).await;
    coordinator.ready("web", 1).await;
    coordinator.quiet("web").await;
    delete(coordinator, "sts", "web").await.unwrap();
    until("the set to be gone", async || {
        match get(coordinator, "sts", "web").await {
            Err(status) if status.code() == Code::NotFound => Ok(()),
            Err(status) => Err(status.to_string()),
            Ok(_) => Err("it is there".to_owned()),
        }
    })
    .await;
    let claim = get(coordinator, "pvc", "data-web-0").await.unwrap();
    claim["spec"]["volumeName"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_claim_made_by_hand_is_kept_shown_and_watched() {
    let coordinator = Coordinator::start().await;
    coordinator.apply(CLAIM).await;
    let claim = get(&coordinator, "pvc", "shared").await.unwrap();
    assert_eq!(claim["spec"]["storageClassName"], "slow");
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
    assert_eq!(claim["metadata"]["labels"]["tier"], "web");
    assert!(claim["metadata"]["uid"].as_str().unwrap().len() > 30);
    assert_eq!(claim["status"]["phase"], "Pending");
    unchanged(&coordinator, CLAIM).await;
    let request = WatchRequest {
        kind: "pvc".to_owned(),
        ..WatchRequest::default()
    };
    let mut objects = coordinator.objects().await;
    let mut stream = objects.watch(request).await.unwrap().into_inner();
    let (kind, name, _) = next(&mut stream).await;
    assert_eq!((kind, name.as_str()), (Type::Added, "shared"));
    assert_eq!(next(&mut stream).await.0, Type::Synced);
    let labelled = CLAIM.replace("tier: web", "tier: db");
    coordinator.apply(&labelled).await;
    let (kind, _, claim) = next(&mut stream).await;
    assert_eq!(kind, Type::Modified);
    assert_eq!(claim["metadata"]["labels"]["tier"], "db");
    let coordinator = coordinator.restart().await;
    let again = get(&coordinator, "pvc", "shared").await.unwrap();
    assert_eq!(again["metadata"]["uid"], claim["metadata"]["uid"]);
    let bare = DeleteRequest {
        r#ref: Some(reference("pvc", "shared")),
        typed_name: String::new(),
        orphan: false,
        ..DeleteRequest::default()
    };
    let refused = coordinator.objects().await.delete(bare).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    delete(&coordinator, "pvc", "shared").await.unwrap();
    let gone = get(&coordinator, "pvc", "shared").await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    coordinator.stop().await;
}

#[tokio::test]
async fn volumes_made_by_hand_and_by_a_class_are_one_list() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(VOLUME).await;
    let request = WatchRequest {
        kind: "pv".to_owned(),
        ..WatchRequest::default()
    };
    let mut objects = coordinator.objects().await;
    let mut stream = objects.watch(request).await.unwrap().into_inner();
    let (kind, name, first) = next(&mut stream).await;
    assert_eq!((kind, name.as_str()), (Type::Added, "pv-0"));
    assert_eq!(first["status"]["phase"], "Available");
    assert_eq!(first["status"]["source"], "nfs:nas:/exports/web-0");
    assert_eq!(next(&mut stream).await.0, Type::Synced);
    let made = left(&coordinator).await;
    let (kind, name, bound) = next(&mut stream).await;
    assert_eq!((kind, &name), (Type::Added, &made));
    assert_eq!(bound["status"]["phase"], "Bound");
    assert_eq!(bound["status"]["host"], "host-1");
    assert_eq!(bound["spec"]["claimRef"]["name"], "data-web-0");
    assert_eq!(bound["spec"]["capacity"]["storage"], "1Gi");
    let list = ListRequest {
        kind: "pv".to_owned(),
        ..ListRequest::default()
    };
    let listed = coordinator.objects().await.list(list).await.unwrap();
    assert_eq!(listed.into_inner().objects.len(), 2);
    delete(&coordinator, "pvc", "data-web-0").await.unwrap();
    // That a member was started on it may be told in between.
    let released = loop {
        let (kind, _, volume) = next(&mut stream).await;
        assert_eq!(kind, Type::Modified);
        if volume["status"]["phase"] != "Bound" {
            break volume;
        }
    };
    assert_eq!(released["status"]["phase"], "Released");
    let subject = format!("PersistentVolume/{made}");
    let event = coordinator.event(&subject, "Released").await;
    assert!(event.message.contains("stays where it is"), "{event:?}");
    let refused = delete(&coordinator, "pv", &made).await.unwrap_err();
    assert!(
        refused.message().contains("berth volume delete"),
        "{refused}"
    );
    let taken = VOLUME.replace("pv-0", &made).replace("web-0", "other");
    let taken = coordinator.try_apply(&taken, false).await.unwrap_err();
    assert_eq!(taken.code(), Code::InvalidArgument, "{taken}");
    delete(&coordinator, "pv", "pv-0").await.unwrap();
    let (kind, name, _) = next(&mut stream).await;
    assert_eq!((kind, name.as_str()), (Type::Deleted, "pv-0"));
    coordinator.stop().await;
}

#[tokio::test]
async fn a_released_volume_goes_back_to_its_claim_or_is_free_for_another() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let made = left(&coordinator).await;
    let mut client = volumes(&coordinator).await;
    let bound = client.release(named(&made)).await.unwrap_err();
    assert!(
        bound.message().contains("delete the claim first"),
        "{bound}"
    );
    let before = get(&coordinator, "pvc", "data-web-0").await.unwrap();
    delete(&coordinator, "pvc", "data-web-0").await.unwrap();
    let released = volume(&coordinator, &made).await;
    assert_eq!(released.phase, "Released");
    assert!(released.can_undelete && released.filled);
    let back = client.undelete(named(&made)).await.unwrap().into_inner();
    assert_eq!((back.phase.as_str(), back.can_undelete), ("Bound", false));
    let after = get(&coordinator, "pvc", "data-web-0").await.unwrap();
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["status"]["filled"], true);
    delete(&coordinator, "pvc", "data-web-0").await.unwrap();
    let free = client.release(named(&made)).await.unwrap().into_inner();
    assert_eq!(
        (free.phase.as_str(), free.claim.as_str()),
        ("Available", "")
    );
    let none = client.undelete(named(&made)).await.unwrap_err();
    assert_eq!(none.code(), Code::FailedPrecondition, "{none}");
    let again = client.release(named(&made)).await.unwrap().into_inner();
    assert_eq!(again, free, "twice is once");
    let unknown = client.release(named("none")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_deleted_volume_goes_to_the_trash_and_comes_back_with_its_claim() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let made = left(&coordinator).await;
    let mut client = volumes(&coordinator).await;
    let request = |typed: &str| DeleteVolumeRequest {
        name: made.clone(),
        typed_name: typed.to_owned(),
    };
    let bound = client.delete(request(&made)).await.unwrap_err();
    assert!(bound.message().contains("is bound to claim"), "{bound}");
    let before = get(&coordinator, "pvc", "data-web-0").await.unwrap();
    delete(&coordinator, "pvc", "data-web-0").await.unwrap();
    let untyped = client.delete(request("yes")).await.unwrap_err();
    assert!(
        untyped.message().contains("needs its name typed"),
        "{untyped}"
    );
    client.delete(request(&made)).await.unwrap();
    let trashed = in_state(&coordinator, &made, "Trashed").await;
    assert!(trashed.trashed_since_ms > 0);
    assert_eq!(agent.tasks(), [VolumeTask::Trash]);
    {
        let ledger = agent.ledger.lock().unwrap();
        let uid = ledger.works[0].of.owners[0].to_string();
        assert_eq!(before["metadata"]["uid"], uid);
    }
    let list = |trash| ListVolumesRequest { trash };
    let shown = client.list(list(false)).await.unwrap().into_inner().volumes;
    assert!(shown.is_empty(), "{shown:#?}");
    let shown = client.list(list(true)).await.unwrap().into_inner().volumes;
    assert_eq!(shown.len(), 1);
    // While another claim has the name, it cannot come back.
    let other = CLAIM.replace("shared", "data-web-0");
    coordinator.apply(&other).await;
    let taken = client.undelete(named(&made)).await.unwrap_err();
    assert!(
        taken.message().contains("another claim has the name"),
        "{taken}"
    );
    delete(&coordinator, "pvc", "data-web-0").await.unwrap();
    client.undelete(named(&made)).await.unwrap();
    in_state(&coordinator, &made, "Live").await;
    assert_eq!(agent.tasks(), [VolumeTask::Trash, VolumeTask::Restore]);
    let after = get(&coordinator, "pvc", "data-web-0").await.unwrap();
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["status"]["phase"], "Bound");
    coordinator.stop().await;
}

#[tokio::test]
async fn what_is_not_berths_is_never_deleted() {
    let coordinator = Coordinator::start().await;
    coordinator.apply(VOLUME).await;
    let mut client = volumes(&coordinator).await;
    let request = DeleteVolumeRequest {
        name: "pv-0".to_owned(),
        typed_name: "pv-0".to_owned(),
    };
    let refused = client.delete(request).await.unwrap_err();
    assert!(
        refused.message().contains("not Berth's to delete"),
        "{refused}"
    );
    let adopted = client.adopt(named("pv-0")).await.unwrap().into_inner();
    assert!(adopted.adopt);
    let coordinator = coordinator.restart().await;
    let object = get(&coordinator, "pv", "pv-0").await.unwrap();
    assert_eq!(object["spec"]["adopt"], "Existing", "it is remembered");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_word_of_adoption_reaches_the_agent_of_a_bound_volume() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    agent.hold("default/web-0");
    agent.ledger.lock().unwrap().volumes_wait = true;
    coordinator.apply(&set("web", 1, "")).await;
    let name = until("the volume to be bound", async || {
        let members = coordinator.members("web").await;
        let volume = members.first().and_then(|member| member.volumes.first());
        let name = volume.map(|volume| volume.volume.clone());
        name.filter(|name| !name.is_empty())
            .ok_or_else(|| format!("{members:#?}"))
    })
    .await;
    let mut client = volumes(&coordinator).await;
    client.adopt(named(&name)).await.unwrap();
    until("the order to say so", async || {
        let ledger = agent.ledger.lock().unwrap();
        let orders = ledger.members.values();
        let adopts = orders.flat_map(|order| &order.volumes).any(|v| v.adopt);
        adopts.then_some(()).ok_or("it does not")
    })
    .await;
    coordinator
        .event(&format!("PersistentVolume/{name}"), "Adopted")
        .await;
    coordinator.stop().await;
}

#[tokio::test]
async fn work_on_a_volume_is_sent_until_it_is_done_and_a_failure_is_told_once() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let made = left(&coordinator).await;
    agent.ledger.lock().unwrap().works_silently = true;
    delete(&coordinator, "pvc", "data-web-0").await.unwrap();
    let mut client = volumes(&coordinator).await;
    let request = DeleteVolumeRequest {
        name: made.clone(),
        typed_name: made.clone(),
    };
    client.delete(request).await.unwrap();
    let asked = async |agent: &Agent, times: usize| {
        until("the work to be asked for", async || {
            let tasks = agent.tasks();
            (tasks.len() == times)
                .then_some(())
                .ok_or_else(|| format!("{tasks:?}"))
        })
        .await;
    };
    asked(&agent, 1).await;
    // The coordinator forgets whom it asked; the volume does not forget what it needs.
    let ledger = Arc::clone(&agent.ledger);
    drop(agent);
    let coordinator = coordinator.restart().await;
    {
        let mut ledger = ledger.lock().unwrap();
        ledger.works_silently = false;
        ledger.work_fails = Some("the disk is full".to_owned());
    }
    let identity = Identity {
        host: "host-1",
        machine: "host-1",
    };
    let agent = Agent::with(&coordinator.endpoint(), identity.clone(), ledger).await;
    asked(&agent, 2).await;
    let subject = format!("PersistentVolume/{made}");
    let event = coordinator.event(&subject, "VolumeWorkFailed").await;
    assert!(event.message.contains("the disk is full"), "{event:?}");
    assert_eq!(volume(&coordinator, &made).await.state, "Trashing");
    let ledger = Arc::clone(&agent.ledger);
    drop(agent);
    ledger.lock().unwrap().work_fails = None;
    let agent = Agent::with(&coordinator.endpoint(), identity, ledger).await;
    in_state(&coordinator, &made, "Trashed").await;
    coordinator.event(&subject, "Trashed").await;
    let works = agent.ledger.lock().unwrap().works.clone();
    assert_eq!(works.len(), 3);
    assert!(works.iter().all(|work| *work == works[0]), "{works:#?}");
    coordinator.stop().await;
}

#[tokio::test]
async fn the_volume_of_a_server_is_done_by_the_next_host_where_one_fails() {
    let coordinator = Coordinator::start().await;
    coordinator.apply(SERVER_CLASS).await;
    let first = Agent::connect(&coordinator.endpoint(), "host-1").await;
    first.ledger.lock().unwrap().work_fails = Some("no route to nas".to_owned());
    let made = left(&coordinator).await;
    // Should it come late, its turn is when it comes.
    let second = Agent::connect(&coordinator.endpoint(), "host-2").await;
    let source = volume(&coordinator, &made).await.source;
    assert!(source.starts_with("nfs:nas:/exports/"), "{source}");
    delete(&coordinator, "pvc", "data-web-0").await.unwrap();
    let request = DeleteVolumeRequest {
        name: made.clone(),
        typed_name: made.clone(),
    };
    volumes(&coordinator).await.delete(request).await.unwrap();
    in_state(&coordinator, &made, "Trashed").await;
    assert_eq!(first.tasks(), [VolumeTask::Trash]);
    assert_eq!(second.tasks(), [VolumeTask::Trash]);
    let subject = format!("PersistentVolume/{made}");
    let event = coordinator.event(&subject, "VolumeWorkFailed").await;
    assert!(event.message.starts_with("host-1 cannot"), "{event:?}");
    coordinator.stop().await;
}

#[tokio::test]
async fn what_was_done_for_an_earlier_decision_is_not_taken_for_this_one() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let made = left(&coordinator).await;
    agent.ledger.lock().unwrap().works_silently = true;
    delete(&coordinator, "pvc", "data-web-0").await.unwrap();
    let mut client = volumes(&coordinator).await;
    let request = || DeleteVolumeRequest {
        name: made.clone(),
        typed_name: made.clone(),
    };
    client.delete(request()).await.unwrap();
    client.undelete(named(&made)).await.unwrap();
    until("the restore to be asked for", async || {
        let tasks = agent.tasks();
        let asked = tasks.last() == Some(&VolumeTask::Restore);
        asked.then_some(()).ok_or_else(|| format!("{tasks:?}"))
    })
    .await;
    let works = agent.ledger.lock().unwrap().works.clone();
    let mut numbers: Vec<u64> = works.iter().map(|work| work.id).collect();
    let asked = numbers.len();
    numbers.dedup();
    assert_eq!(
        numbers.len(),
        asked,
        "each decision has a number of its own"
    );
    agent.answer(works[0].clone()).await;
    agent.answer(works[works.len() - 1].clone()).await;
    in_state(&coordinator, &made, "Live").await;
    coordinator.stop().await;
}

#[tokio::test]
async fn a_class_that_deletes_sends_the_volume_to_the_trash_with_its_claim() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let class = "
kind: StorageClass
apiVersion: storage.k8s.io/v1
metadata: {name: local}
provisioner: local
reclaimPolicy: Delete
allowVolumeExpansion: true
";
    coordinator.apply(class).await;
    let made = left(&coordinator).await;
    let claim = get(&coordinator, "pvc", "data-web-0").await.unwrap();
    let larger = serde_json::json!({"storage": "2Gi"});
    let mut grown = claim.clone();
    grown["spec"]["resources"]["requests"] = larger.clone();
    coordinator.apply(&grown.to_string()).await;
    let claim = get(&coordinator, "pvc", "data-web-0").await.unwrap();
    assert_eq!(claim["spec"]["resources"]["requests"], larger);
    assert_eq!(claim["status"]["capacity"], larger, "nothing limits it");
    delete(&coordinator, "pvc", "data-web-0").await.unwrap();
    in_state(&coordinator, &made, "Trashed").await;
    assert_eq!(agent.tasks(), [VolumeTask::Trash]);
    let mut client = volumes(&coordinator).await;
    client.undelete(named(&made)).await.unwrap();
    in_state(&coordinator, &made, "Live").await;
    coordinator
        .apply(&set("web", 1, "").replace("1Gi", "2Gi"))
        .await;
    let member = coordinator.ready("web", 1).await.remove(0);
    assert_eq!(member.volumes[0].volume, made, "it finds its data");
    coordinator.stop().await;
}
