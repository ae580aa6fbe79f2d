//! Objects through the real services: what is refused and how, what is shown, what a watch sees.

use crate::{
    agent::Agent,
    common::{Coordinator, DEADLINE, set, until},
};
use berth_proto::{
    convert::structs::to_value,
    v1::{
        self, ApplyRequest, DeleteRequest, GetRequest, ListRequest, ObjectRef, RolloutPauseRequest,
        Source, WatchEvent, WatchRequest, set_service_client::SetServiceClient, watch_event::Type,
    },
};
use prost::Message as _;
use serde_json::Value;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

fn reference(kind: &str, name: &str) -> ObjectRef {
    ObjectRef {
        kind: kind.to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
    }
}

async fn get(coordinator: &Coordinator, kind: &str, name: &str) -> Result<Value, Status> {
    let request = GetRequest {
        r#ref: Some(reference(kind, name)),
        show_secrets: false,
    };
    let object = coordinator.objects().await.get(request).await?.into_inner();
    Ok(to_value(object.manifest.unwrap()))
}

fn config(name: &str, value: &str) -> String {
    format!("kind: ConfigMap\napiVersion: v1\nmetadata: {{name: {name}}}\ndata: {{a: '{value}'}}\n")
}

async fn watch(
    coordinator: &Coordinator,
    after: Option<u64>,
) -> Result<Streaming<WatchEvent>, Status> {
    let request = WatchRequest {
        kind: "cm".to_owned(),
        namespace: String::new(),
        after_revision: after,
    };
    Ok(coordinator
        .objects()
        .await
        .watch(request)
        .await?
        .into_inner())
}

async fn next(stream: &mut Streaming<WatchEvent>) -> (Type, String, u64) {
    let event = tokio::time::timeout(DEADLINE, stream.message()).await;
    let event = event.expect("in time").unwrap().unwrap();
    let name = event.r#ref.clone().unwrap_or_default().name;
    (event.r#type(), name, event.revision)
}

#[tokio::test]
async fn every_mistake_is_told_with_its_place_and_nothing_is_stored() {
    let coordinator = Coordinator::start().await;
    let text = format!(
        "{}---\n{}",
        config("good", "1"),
        set("web", 1, "  replica: 2")
    );
    let text = text.replace("command:", "comand:");
    let status = coordinator.try_apply(&text, true).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_error_details();
    let fields = &details.bad_request().unwrap().field_violations;
    for name in ["spec.replica", "spec.template.spec.processes[0].comand"] {
        let found = fields.iter().find(|field| field.field == name);
        let found = found.unwrap_or_else(|| panic!("{name} is not in {fields:#?}"));
        assert!(
            found.description.starts_with("test.yaml:"),
            "{}",
            found.description
        );
    }
    let missing = get(&coordinator, "cm", "good").await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    coordinator.stop().await;
}

#[tokio::test]
async fn what_disrupts_needs_a_confirmation_and_a_plan_shows_it() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 2, "")).await;
    coordinator.ready("web", 2).await;
    let smaller = set("web", 1, "");
    let refused = coordinator.try_apply(&smaller, false).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let failure = refused.get_details_precondition_failure().unwrap();
    assert_eq!(failure.violations[0].r#type, "DISRUPTION");
    let plan = coordinator.plan(&smaller).await;
    assert_eq!(
        plan.disruptions,
        [failure.violations[0].description.clone()]
    );
    let stop = plan
        .steps
        .iter()
        .find(|step| step.step == "Stop")
        .expect("a stop");
    assert_eq!(stop.subject, "default/web-1");
    assert_eq!(
        coordinator.members("web").await.len(),
        2,
        "planning does nothing"
    );
    coordinator.try_apply(&smaller, true).await.unwrap();
    coordinator.ready("web", 1).await;
    coordinator.stop().await;
}

#[tokio::test]
async fn an_end_of_a_pause_needs_a_confirmation_when_it_restarts_members() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 1, "")).await;
    let before = coordinator.ready("web", 1).await.remove(0);
    let pause = |paused, confirmed| RolloutPauseRequest {
        name: "web".to_owned(),
        paused,
        confirmed,
        ..RolloutPauseRequest::default()
    };
    let mut sets = SetServiceClient::new(coordinator.channel().await);
    sets.rollout_pause(pause(true, false)).await.unwrap();
    let newer = set("web", 1, "").replace("1000", "2000");
    coordinator.apply(&newer).await;
    coordinator.apply(&newer).await;
    let refused = sets.rollout_pause(pause(false, false)).await.unwrap_err();
    let text = "default/web: updates that were held back go on, web-0 is restarted";
    assert!(refused.message().contains(text), "{refused}");
    sets.rollout_pause(pause(false, true)).await.unwrap();
    until("the member to have another epoch", async || {
        let members = coordinator.members("web").await;
        let again = members.first().is_some_and(|one| one.epoch != before.epoch);
        again.then_some(()).ok_or_else(|| format!("{members:#?}"))
    })
    .await;
    coordinator.stop().await;
}

#[tokio::test]
async fn the_members_of_a_static_set_cannot_change_in_number() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let fixed = |replicas| set("etcd", replicas, "  membership: Static");
    coordinator.apply(&fixed(3)).await;
    coordinator.ready("etcd", 3).await;
    let refused = coordinator.scale("etcd", 5, true).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("Static"), "{refused}");
    let refused = coordinator.try_apply(&fixed(4), true).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("spec.replicas"), "{refused}");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_scaled_number_is_not_taken_back_by_accident() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 1, "")).await;
    coordinator.scale("web", 2, false).await.unwrap();
    let refused = coordinator
        .try_apply(&set("web", 3, ""), true)
        .await
        .unwrap_err();
    assert!(refused.message().contains("berth scale"), "{refused}");
    let request = ApplyRequest {
        sources: vec![Source {
            file: "test.yaml".to_owned(),
            text: set("web", 3, ""),
        }],
        take_replicas: true,
        ..ApplyRequest::default()
    };
    coordinator.objects().await.apply(request).await.unwrap();
    coordinator.ready("web", 3).await;
    coordinator.stop().await;
}

#[tokio::test]
async fn a_set_is_shown_with_its_status() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 2, "")).await;
    coordinator.ready("web", 2).await;
    let object = get(&coordinator, "sts", "web").await.unwrap();
    assert_eq!(object["apiVersion"], "berth/v1");
    assert_eq!(object["kind"], "StatefulSet");
    assert_eq!(object["metadata"]["generation"], 1);
    let status = &object["status"];
    for field in [
        "replicas",
        "readyReplicas",
        "availableReplicas",
        "currentReplicas",
    ] {
        assert_eq!(status[field], 2, "{field}: {status:#}");
    }
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    assert_eq!(status["conditions"][0]["type"], "Available");
    assert_eq!(status["conditions"][0]["status"], "True");
    let claim = get(&coordinator, "pvc", "data-web-1").await.unwrap();
    assert_eq!(claim["status"]["host"], "host-1");
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
    let delete = DeleteRequest {
        r#ref: Some(reference("pvc", "data-web-1")),
        typed_name: "data-web-1".to_owned(),
        orphan: false,
        ..DeleteRequest::default()
    };
    let used = coordinator
        .objects()
        .await
        .delete(delete)
        .await
        .unwrap_err();
    assert_eq!(used.code(), Code::FailedPrecondition, "{used}");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_claim_shows_what_it_was_made_with_when_its_set_is_gone_too() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let labelled = set("web", 1, "").replace("{name: data}", "{name: data, labels: {tier: db}}");
    coordinator.apply(&labelled).await;
    coordinator.ready("web", 1).await;
    let delete = DeleteRequest {
        r#ref: Some(reference("sts", "web")),
        typed_name: "web".to_owned(),
        orphan: false,
        ..DeleteRequest::default()
    };
    coordinator.objects().await.delete(delete).await.unwrap();
    until("the set to be gone", async || {
        match get(&coordinator, "sts", "web").await {
            Err(status) if status.code() == Code::NotFound => Ok(()),
            Err(status) => Err(status.to_string()),
            Ok(_) => Err("it is there".to_owned()),
        }
    })
    .await;
    let claim = get(&coordinator, "pvc", "data-web-0").await.unwrap();
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
    assert_eq!(claim["spec"]["accessModes"][0], "ReadWriteOnce");
    assert_eq!(claim["spec"]["storageClassName"], "local");
    assert_eq!(claim["metadata"]["labels"]["tier"], "db");
    let created = claim["metadata"]["creationTimestamp"].as_str().unwrap();
    assert!(created.ends_with('Z'), "{created}");
    assert_eq!(claim["status"]["phase"], "Bound");
    assert_eq!(claim["status"]["host"], "host-1");
    coordinator.stop().await;
}

#[tokio::test]
async fn secret_values_are_never_shown() {
    let coordinator = Coordinator::start().await;
    let secret = "kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData: {key: hunter2}\n";
    coordinator.apply(secret).await;
    let shown = get(&coordinator, "secret", "s").await.unwrap();
    assert_eq!(shown["data"]["key"], "<sealed, 7 bytes>", "{shown:#}");
    let list = ListRequest {
        kind: "secret".to_owned(),
        ..ListRequest::default()
    };
    let list = coordinator
        .objects()
        .await
        .list(list)
        .await
        .unwrap()
        .into_inner();
    let watch = WatchRequest::default();
    let mut watch = coordinator
        .objects()
        .await
        .watch(watch)
        .await
        .unwrap()
        .into_inner();
    let first = watch.message().await.unwrap().unwrap();
    // As they travel: what they show of themselves holds no object at all.
    for bytes in [list.encode_to_vec(), first.encode_to_vec()] {
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("<sealed, 7 bytes>"), "{text}");
        assert!(
            !text.contains("hunter2") && !text.contains("aHVudGVyMg"),
            "{text}"
        );
    }
    coordinator.stop().await;
}

#[tokio::test]
async fn a_watch_goes_on_after_a_restart_without_a_gap() {
    let coordinator = Coordinator::start().await;
    let created = coordinator.apply(&config("one", "1")).await;
    let mut stream = watch(&coordinator, None).await.unwrap();
    assert_eq!(
        next(&mut stream).await,
        (Type::Added, "one".to_owned(), created)
    );
    assert_eq!(next(&mut stream).await.0, Type::Synced);
    let changed = coordinator.apply(&config("one", "2")).await;
    assert_eq!(
        next(&mut stream).await,
        (Type::Modified, "one".to_owned(), changed)
    );
    drop(stream);
    let added = coordinator.apply(&config("two", "1")).await;
    let coordinator = coordinator.restart().await;
    let mut stream = watch(&coordinator, Some(changed)).await.unwrap();
    assert_eq!(
        next(&mut stream).await,
        (Type::Added, "two".to_owned(), added)
    );
    let delete = DeleteRequest {
        r#ref: Some(reference("cm", "two")),
        typed_name: String::new(),
        orphan: false,
        ..DeleteRequest::default()
    };
    let deleted = coordinator
        .objects()
        .await
        .delete(delete)
        .await
        .unwrap()
        .into_inner()
        .revision;
    assert_eq!(
        next(&mut stream).await,
        (Type::Deleted, "two".to_owned(), deleted)
    );
    let ahead = watch(&coordinator, Some(deleted + 1000)).await.unwrap_err();
    assert_eq!(ahead.code(), Code::OutOfRange);
    let info = ahead.get_details_error_info().unwrap();
    assert_eq!(info.metadata["currentRevision"], deleted.to_string());
    coordinator.stop().await;
}

#[tokio::test]
async fn an_object_travels_as_a_struct_too_and_the_same_again_changes_nothing() {
    let coordinator = Coordinator::start().await;
    let first = coordinator.apply(&config("one", "1")).await;
    let manifest = get(&coordinator, "cm", "one").await.unwrap();
    let object = berth_proto::convert::structs::from_value(manifest).unwrap();
    let request = ApplyRequest {
        objects: vec![object],
        ..ApplyRequest::default()
    };
    let reply = coordinator
        .objects()
        .await
        .apply(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        reply.objects[0].change(),
        v1::applied_object::Change::Unchanged
    );
    assert_eq!(reply.revision, first);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_manifest_over_the_limit_is_refused_as_such() {
    let coordinator = Coordinator::start().await;
    let large = config("large", &"x".repeat(1 << 20));
    let status = coordinator.try_apply(&large, false).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().contains("limit"), "{status}");
    coordinator.stop().await;
}

#[tokio::test]
async fn more_mistakes_arrive_than_a_status_carries_by_default() {
    let coordinator = Coordinator::start().await;
    let long = "x".repeat(400);
    let keys: Vec<String> = (0..100).map(|n| format!("{long}{n}: 1\n")).collect();
    let text = format!("{}{}", config("wrong", "1"), keys.concat());
    let status = coordinator.try_apply(&text, false).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations.len(), 100);
    coordinator.stop().await;
}
