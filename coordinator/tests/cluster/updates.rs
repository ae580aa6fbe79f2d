//! Rollouts end to end: what halts one survives the coordinator, and what heals it needs no hand.

use std::sync::Arc;

use berth_proto::v1::{SetStatus, SetStatusRequest, set_service_client::SetServiceClient};

use crate::{
    agent::{Agent, Identity},
    common::{Coordinator, set, until},
};

async fn status(coordinator: &Coordinator) -> SetStatus {
    let request = SetStatusRequest {
        namespace: String::new(),
        name: "web".to_owned(),
    };
    let mut sets = SetServiceClient::new(coordinator.channel().await);
    sets.status(request).await.unwrap().into_inner()
}

/// Waits until a condition of the set has a reason.
async fn condition(coordinator: &Coordinator, kind: &str, reason: &str) -> SetStatus {
    until(&format!("{kind} because of {reason}"), async || {
        let set = status(coordinator).await;
        let mut conditions = set.conditions.iter();
        let found = conditions.any(|one| one.r#type == kind && one.reason == reason);
        found
            .then_some(set.clone())
            .ok_or_else(|| format!("{set:#?}"))
    })
    .await
}

/// The set with another template.
fn newer(more: &str) -> String {
    set("web", 2, more).replace("\"1000\"", "\"2000\"")
}

#[tokio::test]
async fn a_stalled_rollout_stays_so_over_a_restart_and_the_old_template_heals_it() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    let deadline = "  progressDeadlineSeconds: 1";
    coordinator.apply(&set("web", 2, deadline)).await;
    coordinator.ready("web", 2).await;
    let before = condition(&coordinator, "Progressing", "RolloutComplete").await;
    assert_eq!(before.current_revision, before.update_revision);
    agent.hold("default/web-1");
    coordinator.try_apply(&newer(deadline), true).await.unwrap();
    coordinator
        .event("StatefulSet/web", "ProgressDeadlineExceeded")
        .await;
    let ledger = Arc::clone(&agent.ledger);
    drop(agent);
    let coordinator = coordinator.restart().await;
    let identity = Identity {
        host: "host-1",
        machine: "host-1",
    };
    let agent = Agent::with(&coordinator.endpoint(), identity, ledger).await;
    let reason = "ProgressDeadlineExceeded";
    let halted = condition(&coordinator, "Progressing", reason).await;
    assert_eq!(halted.current_revision, before.current_revision);
    assert!(!halted.rolled_out);
    until("web-0 to say why it waits", async || {
        let members = coordinator.members("web").await;
        let rule = members[0].waiting.clone().map(|waiting| waiting.rule);
        let said = rule.as_deref() == Some("RolloutStalled");
        said.then_some(()).ok_or_else(|| format!("{members:#?}"))
    })
    .await;
    coordinator
        .try_apply(&set("web", 2, deadline), true)
        .await
        .unwrap();
    agent.release("default/web-1").await;
    let healed = condition(&coordinator, "Progressing", "RolloutComplete").await;
    assert_eq!(healed.update_revision, before.update_revision);
    assert!(healed.rolled_out);
    assert!(!agent.stopped().contains(&"default/web-0".to_owned()));
    coordinator.stop().await;
}

#[tokio::test]
async fn a_paused_set_updates_nobody_until_it_is_not() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::connect(&coordinator.endpoint(), "host-1").await;
    coordinator.apply(&set("web", 2, "")).await;
    coordinator.ready("web", 2).await;
    let paused = newer("  paused: true");
    coordinator.apply(&paused).await;
    let held = condition(&coordinator, "Progressing", "UpdatesPaused").await;
    assert_ne!(held.current_revision, held.update_revision);
    assert_eq!(agent.stopped(), [""; 0]);
    coordinator.try_apply(&newer(""), true).await.unwrap();
    let done = condition(&coordinator, "Progressing", "RolloutComplete").await;
    assert_eq!(done.current_revision, done.update_revision);
    assert_eq!(done.updated_replicas, 2);
    coordinator
        .event("StatefulSet/web", "RolloutComplete")
        .await;
    coordinator.stop().await;
}
