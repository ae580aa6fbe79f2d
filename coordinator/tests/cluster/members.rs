//! From a manifest to members on agents and back, through the real services and streams.

use std::sync::Arc;

use crate::{
    agent::{Agent, Identity},
    common::{Coordinator, set, until},
    restore::accept,
};
use berth_proto::v1::{
    DeleteRequest, LogsRequest, ObjectRef, SetMemberConditionRequest,
    member_service_client::MemberServiceClient,
};
use tonic::Code;

#[tokio::test]
async fn members_start_in_order_and_the_next_waits_for_the_one_before() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    agent.hold("default/web-1");
    coordinator.apply(&set("web", 3, "")).await;
    let member = until("web-1 to run", async || {
        let members = coordinator.members("web").await;
        let runs = members
            .iter()
            .find(|m| m.name == "web-1" && m.started)
            .cloned();
        runs.ok_or_else(|| format!("{members:#?}"))
    })
    .await;
    assert!(!member.ready);
    assert_eq!(agent.started(), ["default/web-0", "default/web-1"]);
    let last = coordinator.members("web").await.pop().unwrap();
    assert_eq!(last.waiting.unwrap().rule, "PredecessorNotReady");
    assert!(
        last.fqdn
            .starts_with("web-2.web.default.svc.berth.internal"),
        "{}",
        last.fqdn
    );
    agent.release("default/web-1").await;
    coordinator.ready("web", 3).await;
    assert_eq!(
        agent.started(),
        ["default/web-0", "default/web-1", "default/web-2"]
    );
    coordinator.stop().await;
}

#[tokio::test]
async fn a_gate_holds_the_next_member_back_until_its_condition_is_set() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let gate = "readinessGates: [{conditionType: example.com/registered}]";
    let text = set("web", 2, "").replace("processes:", &format!("{gate}\n      processes:"));
    coordinator.apply(&text).await;
    let waits = until("web-0 to wait for its gate", async || {
        let members = coordinator.members("web").await;
        let first = members.first().and_then(|one| one.waiting.clone());
        let gate = first.filter(|waiting| waiting.rule == "ReadinessGate");
        gate.ok_or_else(|| format!("{members:#?}"))
    })
    .await;
    assert!(
        waits.message.contains("example.com/registered"),
        "{waits:?}"
    );
    assert_eq!(agent.started(), ["default/web-0"]);

    let mut members = MemberServiceClient::new(coordinator.channel().await);
    let request = |member: &str, name: &str| SetMemberConditionRequest {
        member: member.to_owned(),
        r#type: name.to_owned(),
        status: true,
        message: "by hand".to_owned(),
        ..SetMemberConditionRequest::default()
    };
    for (member, name, code) in [
        ("web-7", "example.com/registered", Code::NotFound),
        ("web-0", "not a type", Code::InvalidArgument),
    ] {
        let refused = members.set_condition(request(member, name)).await;
        assert_eq!(refused.unwrap_err().code(), code);
    }
    for member in ["web-0", "web-1"] {
        let open = request(member, "example.com/registered");
        until(&format!("{member} to have a host"), async || {
            let set = members.clone().set_condition(open.clone()).await;
            set.map(drop).map_err(|status| status.to_string())
        })
        .await;
    }
    let ready = coordinator.ready("web", 2).await;
    let shown = &ready[0].conditions[0];
    assert!(shown.gate && shown.status, "{shown:?}");
    assert_eq!(shown.message, "by hand");
    let coordinator = coordinator.restart().await;
    let kept = coordinator.members("web").await.remove(0);
    assert!(kept.conditions[0].status, "it is durable: {kept:?}");
    coordinator.stop().await;
}

#[tokio::test]
async fn scaling_down_asks_and_stops_from_the_highest_down() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 3, "")).await;
    coordinator.ready("web", 3).await;
    let refused = coordinator.scale("web", 1, false).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert_eq!(coordinator.scale("web", 1, true).await.unwrap(), 3);
    coordinator.ready("web", 1).await;
    assert_eq!(agent.stopped(), ["default/web-2", "default/web-1"]);
    assert_eq!(coordinator.scale("web", 2, false).await.unwrap(), 1);
    coordinator.ready("web", 2).await;
    assert_eq!(agent.started().last().unwrap(), "default/web-1");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_deleted_set_stops_in_order_and_is_gone_and_its_epochs_go_on() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 2, "")).await;
    let first = coordinator.ready("web", 2).await;
    let delete = |typed: &str| DeleteRequest {
        r#ref: Some(ObjectRef {
            kind: "sts".to_owned(),
            namespace: String::new(),
            name: "web".to_owned(),
        }),
        typed_name: typed.to_owned(),
        orphan: false,
        ..DeleteRequest::default()
    };
    let mut objects = coordinator.objects().await;
    let refused = objects.delete(delete("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    objects.delete(delete("web")).await.unwrap();
    coordinator.ready("web", 0).await;
    assert_eq!(agent.stopped(), ["default/web-1", "default/web-0"]);
    until("the set to be gone", async || {
        coordinator.apply_again(&set("web", 2, "")).await
    })
    .await;
    let second = coordinator.ready("web", 2).await;
    assert_ne!(first[0].epoch, second[0].epoch, "no epoch is granted twice");
    coordinator.stop().await;
}

#[tokio::test]
async fn two_sets_do_not_wait_for_each_other() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    agent.hold("default/stuck-0");
    coordinator.apply(&set("stuck", 2, "")).await;
    coordinator.apply(&set("web", 2, "")).await;
    coordinator.ready("web", 2).await;
    let stuck = coordinator.members("stuck").await;
    assert!(stuck.iter().all(|member| !member.ready), "{stuck:#?}");
    coordinator.stop().await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart_and_the_agent_is_sent_nothing_new() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 2, "")).await;
    let before = coordinator.ready("web", 2).await;
    coordinator.quiet("web").await;
    let ledger = Arc::clone(&agent.ledger);
    let coordinator = coordinator.restart().await;
    let unknown = coordinator.members("web").await;
    assert!(
        unknown.iter().all(|member| member.phase == "Unknown"),
        "{unknown:#?}"
    );
    drop(agent);
    let orders = ledger.lock().unwrap().orders;
    let identity = Identity {
        host: "host-1",
        machine: "host-1",
    };
    let agent = Agent::with(&coordinator.endpoint(), identity, ledger).await;
    let after = coordinator.ready("web", 2).await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.epoch, after.epoch);
        assert_eq!(before.address, after.address);
        assert_eq!(before.host, after.host);
    }
    assert_eq!(
        agent.ledger.lock().unwrap().orders,
        orders,
        "it has the order already"
    );
    coordinator.stop().await;
}

#[tokio::test]
async fn an_agent_that_lost_its_ledger_gets_the_complete_order_again() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 2, "")).await;
    coordinator.ready("web", 2).await;
    drop(agent);
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.ready("web", 2).await;
    assert_eq!(agent.ledger.lock().unwrap().complete_orders, 1);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_ledger_of_another_history_is_refused_and_shown() {
    let coordinator = Coordinator::start().await;
    let other = Coordinator::start().await;
    let agent = Agent::connect(&other.endpoint(), "host-1").await;
    other.apply(&set("web", 1, "")).await;
    other.ready("web", 1).await;
    let ledger = Arc::clone(&agent.ledger);
    drop(agent);
    other.stop().await;
    let identity = Identity {
        host: "host-1",
        machine: "host-1",
    };
    let agent = Agent::with(&coordinator.endpoint(), identity, ledger).await;
    let status = agent.ended().await;
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    coordinator.event("Host/host-1", "HostMismatch").await;
    // And nothing starts on any host, until an operator says that this store is right.
    let other = Agent::connect(&coordinator.endpoint(), "host-2").await;
    coordinator.apply(&set("web", 1, "")).await;
    until("the member to wait", async || {
        let rule = coordinator.members("web").await.into_iter().next();
        let rule = rule.and_then(|member| member.waiting).map(|w| w.rule);
        (rule.as_deref() == Some("HistoryMismatch"))
            .then_some(())
            .ok_or_else(|| format!("{rule:?}"))
    })
    .await;
    assert!(other.started().is_empty());
    accept(&coordinator, true).await.unwrap();
    drop(other);
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let other = Agent::connect(&coordinator.endpoint(), "host-2").await;
    coordinator.ready("web", 1).await;
    drop((agent, other));
    coordinator.stop().await;
}

#[tokio::test]
async fn a_second_machine_with_the_name_is_refused_and_a_second_stream_takes_over() {
    let coordinator = Coordinator::start().await;
    let first = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 1, "")).await;
    coordinator.ready("web", 1).await;
    let clone = Identity {
        host: "host-1",
        machine: "another",
    };
    let clone = Agent::with(&coordinator.endpoint(), clone, Arc::default()).await;
    assert_eq!(clone.ended().await.code(), Code::AlreadyExists);
    let again = Identity {
        host: "host-1",
        machine: "host-1",
    };
    let ledger = Arc::clone(&first.ledger);
    let second = Agent::with(&coordinator.endpoint(), again, ledger).await;
    assert_eq!(first.ended().await.code(), Code::Aborted);
    coordinator.ready("web", 1).await;
    drop(second);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_clone_that_comes_after_the_loss_does_not_get_the_name() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 1, "")).await;
    coordinator.ready("web", 1).await;
    let ledger = Arc::clone(&agent.ledger);
    drop(agent);
    coordinator.event("Host/host-1", "HostLost").await;
    let identity = |machine| Identity {
        host: "host-1",
        machine,
    };
    let clone = identity("another");
    let clone = Agent::with(&coordinator.endpoint(), clone, Arc::default()).await;
    let status = clone.ended().await;
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    assert!(status.message().contains("another name"), "{status}");
    coordinator.event("Host/host-1", "HostNameTaken").await;
    let first = identity("host-1");
    let first = Agent::with(&coordinator.endpoint(), first, ledger).await;
    coordinator.ready("web", 1).await;
    drop(first);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_lost_host_is_unknown_and_its_logs_are_asked_of_it() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 1, "")).await;
    coordinator.ready("web", 1).await;
    let logs = || LogsRequest {
        member: "web-0".to_owned(),
        ..LogsRequest::default()
    };
    let mut client = MemberServiceClient::new(coordinator.channel().await);
    let mut chunks = client.logs(logs()).await.unwrap().into_inner();
    let chunk = chunks.message().await.unwrap().unwrap();
    assert_eq!(chunk.data, b"log of default/web-0\n");
    assert!(chunks.message().await.unwrap().is_none());
    drop(agent);
    let lost = until("the host to be lost", async || {
        let member = coordinator.members("web").await.remove(0);
        let rule = member.waiting.as_ref().map(|waiting| waiting.rule.clone());
        if member.phase == "Unknown" && rule.as_deref() == Some("HostUnknown") {
            Ok(member)
        } else {
            Err(format!("{} {rule:?}", member.phase))
        }
    })
    .await;
    assert!(!lost.ready);
    let refused = client.logs(logs()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    coordinator.stop().await;
}

#[tokio::test]
async fn a_member_waits_for_a_host_that_has_what_its_set_requires() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    agent.ledger.lock().unwrap().lacks = true;
    let text = set("web", 1, "");
    let requires = "    spec:\n      requires: {users: [web]}\n      processes:";
    let text = text.replace("    spec:\n      processes:", requires);
    // A plan asks before anything is applied.
    let planned = until("the host to be in contact", async || {
        let planned = coordinator.plan(&text).await;
        let why = planned.waiting.join("; ");
        why.contains("requires").then_some(planned).ok_or(why)
    })
    .await;
    let lacks = "host-1: requires user 'web', found nothing";
    assert!(planned.waiting[0].contains(lacks), "{planned:#?}");
    let said = |text: &String| !text.contains("has not said");
    assert!(planned.warnings.iter().all(said), "{planned:#?}");
    coordinator.apply(&text).await;
    let why = until("the host to answer", async || {
        let mut members = coordinator.members("web").await;
        let waiting = members.pop().and_then(|member| member.waiting);
        let unmet = waiting.filter(|waiting| waiting.message.contains("found nothing"));
        unmet.ok_or("the host has not been asked")
    })
    .await;
    assert_eq!(why.rule, "NoEligibleHost");
    assert!(
        why.message.contains("host-1: requires user 'web'"),
        "{}",
        why.message
    );
    assert!(agent.started().is_empty());
    agent.install().await;
    coordinator.ready("web", 1).await;
    // A set that waits and nobody's business are not what a plan of another one is about.
    agent.hold("default/web-0");
    let other = coordinator.plan(&set("db", 1, "")).await;
    let subjects = other.steps.iter().chain(&other.forecast);
    let mut subjects = subjects.map(|step| &step.subject);
    assert!(
        subjects.all(|subject| !subject.contains("web")),
        "{other:#?}"
    );
    coordinator.stop().await;
}
