//! What operators do with hosts and members: cordon, restart.

use std::sync::Arc;

use berth_proto::v1::{
    MemberStatus, RestartMemberRequest, SetUnschedulableRequest, SetUnschedulableResponse,
    host_service_client::HostServiceClient, member_service_client::MemberServiceClient,
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
