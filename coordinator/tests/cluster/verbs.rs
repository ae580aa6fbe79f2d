//! What operators do with hosts and members: cordon, drain, label, restart, offline.

use std::sync::Arc;

use berth_proto::v1::{
    DrainHostRequest, LabelHostRequest, MemberStatus, RestartMemberRequest, SetOfflineRequest,
    SetUnschedulableRequest, SetUnschedulableResponse, host_service_client::HostServiceClient,
    member_service_client::MemberServiceClient,
};
use tonic::{Code, Status};

use crate::{
    agent::{Agent, Identity},
    common::{Coordinator, set, until},
};

pub(crate) async fn cordon(
    coordinator: &Coordinator,
    host: &str,
    unschedulable: bool,
) -> Result<SetUnschedulableResponse, Status> {
    let request = SetUnschedulableRequest {
        host: host.to_owned(),
        unschedulable,
    };
    let mut hosts = HostServiceClient::new(coordinator.channel().await);
    Ok(hosts.set_unschedulable(request).await?.into_inner())
}

pub(crate) async fn restart(
    coordinator: &Coordinator,
    member: &str,
    confirmed: bool,
) -> Result<u64, Status> {
    let request = RestartMemberRequest {
        namespace: String::new(),
        member: member.to_owned(),
        confirmed,
    };
    let mut members = MemberServiceClient::new(coordinator.channel().await);
    Ok(members.restart(request).await?.into_inner().revision)
}

/// Waits until the only member of a set is ready in another epoch.
pub(crate) async fn again(coordinator: &Coordinator, before: &MemberStatus) -> MemberStatus {
    until("the member to be back", async || {
        let member = coordinator.members(&before.set).await.remove(0);
        let back = member.ready && member.epoch != before.epoch;
        back.then_some(member.clone())
            .ok_or_else(|| format!("{member:#?}"))
    })
    .await
}

fn without_claim(name: &str) -> String {
    let text = set(name, 1, "");
    let end = text.find("  volumeClaimTemplates").unwrap();
    text[..end].to_owned()
}

#[tokio::test]
async fn a_restarted_member_gets_a_new_epoch_where_its_data_is_even_on_a_cordoned_host() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 1, "")).await;
    let before = coordinator.ready("web", 1).await.remove(0);
    let _other = Agent::connect(&coordinator.endpoint(), "host-2").await;
    let unconfirmed = restart(&coordinator, "web-0", false).await.unwrap_err();
    assert_eq!(unconfirmed.code(), Code::FailedPrecondition);
    assert!(
        unconfirmed.message().contains("where its data is"),
        "{unconfirmed}"
    );
    let told = cordon(&coordinator, "host-1", true).await.unwrap();
    assert!(told.changed);
    assert_eq!(told.members, ["default/web-0"]);
    restart(&coordinator, "web-0", true).await.unwrap();
    let after = again(&coordinator, &before).await;
    assert_eq!(after.host, "host-1");
    assert_eq!(agent.stopped(), ["default/web-0"], "once");
    coordinator.event("Member/web-0", "RestartAsked").await;
    coordinator.stop().await;
}

#[tokio::test]
async fn a_restart_leaves_a_cordoned_host_where_nothing_holds_it() {
    let coordinator = Coordinator::start().await;
    let _one = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&without_claim("web")).await;
    let before = coordinator.ready("web", 1).await.remove(0);
    let _two = Agent::connect(&coordinator.endpoint(), "host-2").await;
    cordon(&coordinator, "host-1", true).await.unwrap();
    restart(&coordinator, "web-0", true).await.unwrap();
    let after = again(&coordinator, &before).await;
    assert_eq!(after.host, "host-2");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_cordon_outlives_the_coordinator_and_the_next_hello() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&without_claim("first")).await;
    coordinator.ready("first", 1).await;
    cordon(&coordinator, "host-1", true).await.unwrap();
    let ledger = Arc::clone(&agent.ledger);
    drop(agent);
    let coordinator = coordinator.restart().await;
    let identity = Identity {
        host: "host-1",
        machine: "host-1",
    };
    let _agent = Agent::with(&coordinator.endpoint(), identity, ledger).await;
    coordinator.ready("first", 1).await;
    coordinator.apply(&without_claim("second")).await;
    until("the new member to have no host", async || {
        let members = coordinator.members("second").await;
        let waiting = members.first().and_then(|member| member.waiting.clone());
        let cordoned = waiting.is_some_and(|waiting| waiting.message.contains("cordoned"));
        cordoned
            .then_some(())
            .ok_or_else(|| format!("{members:#?}"))
    })
    .await;
    let again = cordon(&coordinator, "host-1", true).await.unwrap();
    assert!(!again.changed);
    cordon(&coordinator, "host-1", false).await.unwrap();
    coordinator.ready("second", 1).await;
    let unknown = cordon(&coordinator, "host-9", true).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    coordinator.stop().await;
}

#[tokio::test]
async fn what_does_not_run_cannot_be_restarted() {
    let coordinator = Coordinator::start().await;
    coordinator.apply(&set("web", 1, "")).await;
    let unknown = restart(&coordinator, "db-0", true).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let unassigned = restart(&coordinator, "web-0", true).await.unwrap_err();
    assert!(unassigned.message().contains("has no host"), "{unassigned}");
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.ready("web", 1).await;
    drop(agent);
    coordinator.event("Host/host-1", "HostLost").await;
    let lost = restart(&coordinator, "web-0", true).await.unwrap_err();
    assert!(lost.message().contains("out of contact"), "{lost}");
    coordinator.stop().await;
}

async fn drain(
    coordinator: &Coordinator,
    host: &str,
    stop_pinned: bool,
    dry_run: bool,
) -> Vec<(String, String)> {
    let request = DrainHostRequest {
        host: host.to_owned(),
        stop_pinned,
        dry_run,
        confirmed: true,
    };
    let mut hosts = HostServiceClient::new(coordinator.channel().await);
    let answer = hosts.drain(request).await.unwrap().into_inner();
    let members = answer.members.into_iter();
    members.map(|one| (one.member, one.fate)).collect()
}

/// Waits until the only member of a set waits for a rule.
async fn waits(coordinator: &Coordinator, set: &str, rule: &str) {
    until("the member to wait", async || {
        let members = coordinator.members(set).await;
        let waiting = members.first().and_then(|member| member.waiting.clone());
        let found = waiting.is_some_and(|waiting| waiting.rule == rule);
        found.then_some(()).ok_or_else(|| format!("{members:#?}"))
    })
    .await;
}

#[tokio::test]
async fn a_drain_moves_what_can_move_and_says_so_beforehand() {
    let coordinator = Coordinator::start().await;
    let _one = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&without_claim("web")).await;
    let before = coordinator.ready("web", 1).await.remove(0);
    let fate = |fate: &str| vec![("default/web-0".to_owned(), fate.to_owned())];
    assert_eq!(
        drain(&coordinator, "host-1", false, true).await,
        fate("Waits")
    );
    let _two = Agent::connect(&coordinator.endpoint(), "host-2").await;
    coordinator.event("Host/host-2", "HostRegistered").await;
    let bare = DrainHostRequest {
        host: "host-1".to_owned(),
        ..DrainHostRequest::default()
    };
    let mut hosts = HostServiceClient::new(coordinator.channel().await);
    let refused = hosts.drain(bare).await.unwrap_err();
    let text = "default/web-0 stops, and starts on another host";
    assert!(refused.message().contains(text), "{refused}");
    drain(&coordinator, "host-1", false, false).await;
    let after = again(&coordinator, &before).await;
    assert_eq!(after.host, "host-2");
    coordinator.event("Host/host-1", "Draining").await;
    coordinator.stop().await;
}

#[tokio::test]
async fn a_drain_outlives_the_coordinator_and_ends_with_uncordon() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 1, "")).await;
    coordinator.ready("web", 1).await;
    drain(&coordinator, "host-1", false, false).await;
    waits(&coordinator, "web", "DrainPinned").await;
    drain(&coordinator, "host-1", true, false).await;
    waits(&coordinator, "web", "HostDrained").await;
    let ledger = Arc::clone(&agent.ledger);
    drop(agent);
    let coordinator = coordinator.restart().await;
    let identity = Identity {
        host: "host-1",
        machine: "host-1",
    };
    let _agent = Agent::with(&coordinator.endpoint(), identity, ledger).await;
    waits(&coordinator, "web", "HostDrained").await;
    cordon(&coordinator, "host-1", false).await.unwrap();
    coordinator.ready("web", 1).await;
    coordinator.stop().await;
}

#[tokio::test]
async fn an_offline_member_stays_down_whatever_is_applied() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 1, "")).await;
    coordinator.ready("web", 1).await;
    let mut members = MemberServiceClient::new(coordinator.channel().await);
    let mut request = SetOfflineRequest {
        namespace: String::new(),
        member: "web-0".to_owned(),
        offline: true,
        reason: "new disk".to_owned(),
        confirmed: false,
    };
    let refused = members.set_offline(request.clone()).await.unwrap_err();
    assert!(refused.message().contains("web-0 stops"), "{refused}");
    request.confirmed = true;
    let first = members.set_offline(request.clone()).await.unwrap();
    assert!(first.into_inner().changed);
    waits(&coordinator, "web", "Offline").await;
    coordinator.apply(&set("web", 1, "")).await;
    waits(&coordinator, "web", "Offline").await;
    let again = members.set_offline(request.clone()).await.unwrap();
    assert!(!again.into_inner().changed);
    request.offline = false;
    members.set_offline(request.clone()).await.unwrap();
    coordinator.ready("web", 1).await;
    request.member = "web-7".to_owned();
    let unknown = members.set_offline(request).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    coordinator.stop().await;
}

#[tokio::test]
async fn labels_of_operators_bring_members_and_take_them_with_a_yes_only() {
    let coordinator = Coordinator::start().await;
    let _agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let text = without_claim("web").replace("replicas: 1", "placement: PerHost");
    let text = text.replace("  spread: Prefer\n", "");
    let text = text.replace("processes:", "nodeSelector: {disk: ssd}\n      processes:");
    coordinator.apply(&text).await;
    coordinator.event("Host/host-1", "HostRegistered").await;
    let mut hosts = HostServiceClient::new(coordinator.channel().await);
    let mut request = LabelHostRequest {
        host: "host-1".to_owned(),
        set: [("disk".to_owned(), "ssd".to_owned())].into(),
        ..LabelHostRequest::default()
    };
    hosts.label(request.clone()).await.unwrap();
    coordinator.ready("web", 1).await;
    request.set.clear();
    request.remove = vec!["disk".to_owned()];
    let refused = hosts.label(request.clone()).await.unwrap_err();
    assert!(refused.message().contains("web-0 stops"), "{refused}");
    request.confirmed = true;
    hosts.label(request.clone()).await.unwrap();
    until("the member to be gone", async || {
        let members = coordinator.members("web").await;
        members
            .is_empty()
            .then_some(())
            .ok_or_else(|| format!("{members:#?}"))
    })
    .await;
    request.remove = vec!["a b".to_owned()];
    let wrong = hosts.label(request).await.unwrap_err();
    assert!(wrong.message().contains("label name"), "{wrong}");
    coordinator.stop().await;
}
