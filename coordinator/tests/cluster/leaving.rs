//! What leaves, through the real services: claims with their members, sets without their members,
//! and data that an operator gives up.

use berth_core::volume::work::VolumeTask;
use berth_proto::v1::{
    DeleteRequest, ListVolumesRequest, ObjectRef, RefoundRequest, ReplaceMemberRequest,
    RestartMemberRequest, RolloutPauseRequest, RolloutRestartRequest, SetOfflineRequest,
    UndoRequest, Volume, member_service_client::MemberServiceClient,
    set_service_client::SetServiceClient, volume_service_client::VolumeServiceClient,
};
use tonic::{Code, Status};

use crate::{
    agent::Agent,
    common::{Coordinator, set, until},
};

/// A set whose claims go to the trash with the members that scaling takes away.
fn leaving(replicas: u32) -> String {
    let class = "
kind: StorageClass
apiVersion: storage.k8s.io/v1
metadata:
  name: scratch
  annotations: {storageclass.kubernetes.io/is-default-class: \"true\"}
provisioner: local
reclaimPolicy: Delete
";
    let policy = "  persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}\n";
    format!("{class}---\n{}", set("web", replicas, policy))
}

async fn trash(coordinator: &Coordinator) -> Vec<Volume> {
    let mut client = VolumeServiceClient::new(coordinator.channel().await);
    let list = ListVolumesRequest { trash: true };
    client.list(list).await.unwrap().into_inner().volumes
}

fn delete(orphan: bool) -> DeleteRequest {
    DeleteRequest {
        r#ref: Some(ObjectRef {
            kind: "sts".to_owned(),
            namespace: String::new(),
            name: "web".to_owned(),
        }),
        typed_name: "web".to_owned(),
        orphan,
        ..DeleteRequest::default()
    }
}

#[tokio::test]
async fn claims_go_with_members_that_scaling_takes_away_and_come_back_fresh() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&leaving(2)).await;
    coordinator.ready("web", 2).await;
    coordinator.scale("web", 1, true).await.unwrap();
    let thrown = until("the volume to be in the trash", async || {
        let trash = trash(&coordinator).await;
        let there = trash.len() == 1 && trash[0].state == "Trashed";
        there
            .then_some(trash.clone())
            .ok_or_else(|| format!("{trash:#?}"))
    })
    .await;
    assert_eq!(agent.tasks(), [VolumeTask::Trash]);
    assert_eq!(thrown[0].claim, "data-web-1");
    assert!(thrown[0].can_undelete);
    let week = 7 * 24 * 3600 * 1000;
    assert_eq!(thrown[0].expires_ms, thrown[0].trashed_since_ms + week);
    coordinator.scale("web", 2, true).await.unwrap();
    let members = coordinator.ready("web", 2).await;
    assert_ne!(members[1].volumes[0].claim, "");
    assert_eq!(
        trash(&coordinator).await.len(),
        1,
        "the old data stays there"
    );
    let coordinator = coordinator.restart().await;
    assert_eq!(trash(&coordinator).await.len(), 1);
    coordinator.stop().await;
}

#[tokio::test]
async fn t02_members_outlive_their_set_and_are_taken_back_as_they_are() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 2, "")).await;
    let before = coordinator.ready("web", 2).await;
    let mut objects = coordinator.objects().await;
    let dry = DeleteRequest {
        dry_run: true,
        typed_name: String::new(),
        ..delete(false)
    };
    let told = objects.delete(dry).await.unwrap().into_inner();
    let text = "web-1, web-0 stop, the highest first; the volumes are kept";
    assert_eq!(
        (told.disruptions, told.revision),
        (vec![text.to_owned()], 0)
    );
    objects.delete(delete(true)).await.unwrap();
    until("the members to be orphans", async || {
        let members = coordinator.members("web").await;
        let rule = |member: &berth_proto::v1::MemberStatus| {
            member.waiting.as_ref().map(|waiting| waiting.rule.clone())
        };
        let all = members
            .iter()
            .all(|one| rule(one).as_deref() == Some("Orphaned"));
        (all && members.len() == 2)
            .then_some(())
            .ok_or_else(|| format!("{members:#?}"))
    })
    .await;
    orphans_take_no_verb(&coordinator).await;
    coordinator
        .apply(&set("web", 2, "  podManagementPolicy: Parallel\n"))
        .await;
    let after = coordinator.ready("web", 2).await;
    let epochs = |members: &[berth_proto::v1::MemberStatus]| -> Vec<String> {
        members.iter().map(|member| member.epoch.clone()).collect()
    };
    assert_eq!(epochs(&before), epochs(&after));
    assert!(agent.stopped().is_empty(), "{:?}", agent.stopped());
    coordinator.stop().await;
}

/// A verb would adopt them by the way, or go off when they are adopted.
async fn orphans_take_no_verb(coordinator: &Coordinator) {
    let mut sets = SetServiceClient::new(coordinator.channel().await);
    let mut members = MemberServiceClient::new(coordinator.channel().await);
    let name = "web".to_owned();
    let member = "web-0".to_owned();
    let restart = RolloutRestartRequest {
        name: name.clone(),
        confirmed: true,
        ..RolloutRestartRequest::default()
    };
    let pause = RolloutPauseRequest {
        name: name.clone(),
        paused: true,
        ..RolloutPauseRequest::default()
    };
    let undo = UndoRequest {
        name,
        confirmed: true,
        ..UndoRequest::default()
    };
    let one = RestartMemberRequest {
        member: member.clone(),
        confirmed: true,
        ..RestartMemberRequest::default()
    };
    let offline = SetOfflineRequest {
        member,
        offline: true,
        confirmed: true,
        ..SetOfflineRequest::default()
    };
    for refused in [
        coordinator.scale("web", 3, true).await.map(drop),
        sets.rollout_restart(restart).await.map(drop),
        sets.rollout_pause(pause).await.map(drop),
        sets.undo(undo).await.map(drop),
        members.restart(one).await.map(drop),
        members.set_offline(offline).await.map(drop),
    ] {
        let refused = refused.unwrap_err();
        let says = refused.message().contains("apply a set of the name first");
        assert!(says, "{refused}");
    }
}

async fn replace(coordinator: &Coordinator, member: &str, typed: &str) -> Result<(), Status> {
    let mut client = MemberServiceClient::new(coordinator.channel().await);
    let request = ReplaceMemberRequest {
        namespace: String::new(),
        member: member.to_owned(),
        typed_name: typed.to_owned(),
    };
    client.replace(request).await.map(drop)
}

#[tokio::test]
async fn a_member_begins_anew_on_fresh_volumes_and_a_set_altogether() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&leaving(2)).await;
    let before = coordinator.ready("web", 2).await;
    let unknown = replace(&coordinator, "web-7", "web-7").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "{unknown}");
    let untyped = replace(&coordinator, "web-1", "").await.unwrap_err();
    assert!(
        untyped.message().contains("needs its name typed"),
        "{untyped}"
    );
    replace(&coordinator, "web-1", "web-1").await.unwrap();
    until("web-1 to have begun anew", async || {
        let members = coordinator.members("web").await;
        let anew = members.len() == 2 && members[1].ready && members[1].epoch != before[1].epoch;
        anew.then_some(()).ok_or_else(|| format!("{members:#?}"))
    })
    .await;
    assert_eq!(agent.stopped(), ["default/web-1"]);
    let mut sets = SetServiceClient::new(coordinator.channel().await);
    let refound = |typed: &str| RefoundRequest {
        namespace: String::new(),
        name: "web".to_owned(),
        typed_name: typed.to_owned(),
    };
    let untyped = sets.refound(refound("")).await.unwrap_err();
    assert!(
        untyped.message().contains("needs its name typed"),
        "{untyped}"
    );
    sets.refound(refound("web")).await.unwrap();
    until("the set to have begun anew", async || {
        let members = coordinator.members("web").await;
        let anew = members.len() == 2
            && members.iter().all(|member| member.ready)
            && members[0].epoch != before[0].epoch;
        let thrown = trash(&coordinator).await;
        (anew && thrown.len() == 3)
            .then_some(())
            .ok_or_else(|| format!("{members:#?} {thrown:#?}"))
    })
    .await;
    // It is a set like any other again.
    coordinator.apply(&leaving(2)).await;
    coordinator.stop().await;
}

#[tokio::test]
async fn a_plan_foresees_the_rollout_and_tells_what_changes() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    // Its agent is in contact by then.
    coordinator.apply(&set("first", 1, "")).await;
    coordinator.ready("first", 1).await;
    coordinator.quiet("first").await;
    let new = coordinator.plan(&set("web", 2, "")).await;
    assert!(new.changes);
    let starts = |steps: &[berth_proto::v1::PlannedStep]| -> Vec<String> {
        let starts = steps.iter().filter(|step| step.step == "Start");
        starts.map(|step| step.subject.clone()).collect()
    };
    assert!(starts(&new.steps).is_empty(), "names first");
    assert_eq!(starts(&new.forecast), ["default/web-0", "default/web-1"]);
    assert!(
        new.steps
            .iter()
            .all(|step| step.round == 0 && step.json.starts_with('{'))
    );
    coordinator.apply(&set("web", 2, "")).await;
    coordinator.ready("web", 2).await;
    coordinator.quiet("web").await;
    let same = coordinator.plan(&set("web", 2, "")).await;
    assert!(
        !same.changes && same.steps.is_empty() && same.forecast.is_empty(),
        "{same:#?}"
    );
    let fewer = coordinator.plan(&set("web", 1, "")).await;
    let fields = &fewer.objects[0].fields;
    assert_eq!(fields.len(), 1, "{fields:#?}");
    assert_eq!(fields[0].path, "spec.replicas");
    assert_eq!(fields[0].new.as_deref(), Some("1"));
    let stop = fewer.steps.iter().find(|step| step.step == "Stop").unwrap();
    assert_eq!(stop.subject, "default/web-1");
    assert!(stop.why.contains("not wanted any more"), "{}", stop.why);
    coordinator.stop().await;
}
