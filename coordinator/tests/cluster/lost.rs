//! Hosts that do not come back, and what operators say of them.

use std::sync::Arc;

use berth_proto::v1::{
    ConfirmHostDeadRequest, ForceMemberRequest, RemoveHostRequest, SetUnschedulableRequest,
    host_service_client::HostServiceClient, member_service_client::MemberServiceClient,
};
use tonic::{Code, Status, transport::Channel};

use crate::{
    agent::{Agent, Identity},
    common::{Client, Coordinator, set, until},
};

/// A set without data of its own.
fn plain(name: &str) -> String {
    let text = set(name, 1, "");
    let claims = text.find("  volumeClaimTemplates").unwrap();
    text[..claims].to_owned()
}

async fn hosts(client: &Client) -> HostServiceClient<Channel> {
    HostServiceClient::new(client.channel().await)
}

async fn dead(client: &Client, typed: &str) -> Result<Vec<String>, Status> {
    let request = ConfirmHostDeadRequest {
        host: "host-1".to_owned(),
        typed_name: typed.to_owned(),
    };
    let answer = hosts(client).await.confirm_dead(request).await?;
    Ok(answer.into_inner().members)
}

async fn uncordon(client: &Client) -> Result<bool, Status> {
    let request = SetUnschedulableRequest {
        host: "host-1".to_owned(),
        unschedulable: false,
    };
    let answer = hosts(client).await.set_unschedulable(request).await?;
    Ok(answer.into_inner().changed)
}

async fn remove(client: &Client) -> Result<(), Status> {
    let request = RemoveHostRequest {
        host: "host-1".to_owned(),
        typed_name: "host-1".to_owned(),
    };
    hosts(client).await.remove(request).await.map(drop)
}

async fn on(client: &Client, set: &str, host: &str) {
    until(&format!("{set} to be ready on {host}"), async || {
        let member = client.members(set).await.remove(0);
        (member.ready && member.host == host)
            .then_some(())
            .ok_or_else(|| format!("{member:#?}"))
    })
    .await;
}

/// `web-0` runs on `host-1`, which is lost; another host is there.
async fn lost(text: &str) -> (Coordinator, Agent, Agent) {
    let coordinator = Coordinator::start().await;
    let first = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(text).await;
    coordinator.ready("web", 1).await;
    coordinator.quiet("web").await;
    let second = Agent::connect(&coordinator.endpoint(), "host-2").await;
    (coordinator, first, second)
}

#[tokio::test]
async fn a_member_of_a_dead_host_moves_and_the_host_stops_it_when_it_is_back() {
    let (coordinator, first, second) = lost(&plain("web")).await;
    let connected = dead(&coordinator, "host-1").await.unwrap_err();
    assert!(connected.message().contains("in contact"), "{connected}");
    let ledger = Arc::clone(&first.ledger);
    drop(first);
    coordinator.event("Host/host-1", "HostLost").await;
    let untyped = dead(&coordinator, "host-2").await.unwrap_err();
    assert_eq!(untyped.code(), Code::FailedPrecondition);
    let members = dead(&coordinator, "host-1").await.unwrap();
    assert_eq!(members, ["default/web-0"]);
    on(&coordinator, "web", "host-2").await;
    let stays = uncordon(&coordinator).await.unwrap_err();
    assert!(stays.message().contains("confirmed dead"), "{stays}");

    let machine = "host-1";
    let identity = Identity {
        host: "host-1",
        machine,
    };
    let first = Agent::with(&coordinator.endpoint(), identity, ledger).await;
    coordinator.event("Host/host-1", "DeadHostBack").await;
    until("the old one to be taken off", async || {
        let gone = first.ledger.lock().unwrap().members.is_empty();
        gone.then_some(()).ok_or("it has a member still")
    })
    .await;
    assert!(uncordon(&coordinator).await.unwrap());
    on(&coordinator, "web", "host-2").await;
    drop((first, second));
    coordinator.stop().await;
}

#[tokio::test]
async fn a_forced_member_moves_alone_and_an_empty_host_is_forgotten() {
    let (coordinator, first, second) = lost(&plain("web")).await;
    let force = async |typed: &str| {
        let request = ForceMemberRequest {
            namespace: "default".to_owned(),
            member: "web-0".to_owned(),
            typed_name: typed.to_owned(),
        };
        let mut members = MemberServiceClient::new(coordinator.channel().await);
        members.force(request).await
    };
    assert!(force("default/web-0").await.is_err(), "it is in contact");
    let ledger = Arc::clone(&first.ledger);
    drop(first);
    coordinator.event("Host/host-1", "HostLost").await;
    let short = force("web-0").await.unwrap_err();
    assert!(short.message().contains("default/web-0"), "{short}");
    let members = remove(&coordinator).await.unwrap_err();
    assert!(members.message().contains("default/web-0"), "{members}");
    force("default/web-0").await.unwrap();
    on(&coordinator, "web", "host-2").await;
    remove(&coordinator).await.unwrap();
    assert!(remove(&coordinator).await.is_err(), "it is gone");
    // It may come back as a new one, whatever its ledger has of before.
    let identity = Identity {
        host: "host-1",
        machine: "another",
    };
    let first = Agent::with(&coordinator.endpoint(), identity, ledger).await;
    until("the old one to be taken off", async || {
        let gone = first.ledger.lock().unwrap().members.is_empty();
        gone.then_some(()).ok_or("it has a member still")
    })
    .await;
    drop((first, second));
    coordinator.stop().await;
}

#[tokio::test]
async fn data_on_a_dead_host_is_waited_for_and_keeps_the_host() {
    let (coordinator, first, second) = lost(&set("web", 1, "")).await;
    drop(first);
    coordinator.event("Host/host-1", "HostLost").await;
    dead(&coordinator, "host-1").await.unwrap();
    until("the member to wait for its data", async || {
        let member = coordinator.members("web").await.remove(0);
        let why = member.waiting.map(|waiting| waiting.message);
        let said = why.as_ref().is_some_and(|w| w.contains("confirmed dead"));
        said.then_some(()).ok_or_else(|| format!("{why:?}"))
    })
    .await;
    let data = remove(&coordinator).await.unwrap_err();
    assert!(data.message().contains("data-web-0"), "{data}");
    drop(second);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_copy_of_a_machine_is_told_by_its_boot() {
    let (coordinator, first, second) = lost(&plain("web")).await;
    let copy = Identity {
        host: "host-1",
        machine: "host-1/another boot",
    };
    let ledger = Arc::clone(&first.ledger);
    let copy = Agent::with(&coordinator.endpoint(), copy, ledger).await;
    let status = copy.ended().await;
    assert_eq!(status.code(), Code::AlreadyExists, "{status}");
    coordinator.event("Host/host-1", "HostNameTaken").await;
    on(&coordinator, "web", "host-1").await;
    drop((first, second));
    coordinator.stop().await;
}
