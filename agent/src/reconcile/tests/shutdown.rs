//! A host that goes down: what it stops, and what it starts.

use berth_core::ids::BootId;

use super::*;

#[tokio::test]
async fn a_host_that_goes_down_stops_its_members_in_order_and_starts_none() {
    let mut world = World::new(FakeHost::new(&["default"]));
    let all = ["web-0", "web-1", "db-0"];
    let orders = |names: &[&str]| -> Vec<MemberOrder> {
        names.iter().map(|n| order(n, 1, Desired::Run)).collect()
    };
    world.order(orders(&all)).await;
    for name in all {
        world.until(name, ready).await;
    }
    let boot = world.host.facts().boot;
    world.members.shut_down(Some(boot)).await.unwrap();
    assert!(world.members.clone().turn().await);
    for name in all {
        let report = world.until(name, stopped).await;
        assert_eq!(report.waiting, Some(Reason::HostShuttingDown));
    }
    assert!(world.members.left().await.unwrap().is_empty());
    // An agent that is started anew goes on, and so do orders that come now.
    let mut world = world.restart_agent().await;
    world
        .order(orders(&["web-0", "web-1", "db-0", "new-0"]))
        .await;
    for name in ["web-0", "new-0"] {
        let report = world.until(name, stopped).await;
        assert_eq!(report.waiting, Some(Reason::HostShuttingDown));
    }
    assert!(world.host.launched(&id("new-0")).is_none());
    world.members.shut_down(None).await.unwrap();
    for name in ["web-0", "web-1", "db-0", "new-0"] {
        world.until(name, ready).await;
    }
}

#[tokio::test]
async fn what_a_set_needs_stops_after_it() {
    let mut world = World::new(FakeHost::new(&["default"]));
    let mut app = order("app-0", 1, Desired::Run);
    app.depends_on = vec![id("zoo-0").set];
    world
        .order(vec![app, order("zoo-0", 1, Desired::Run)])
        .await;
    for name in ["app-0", "zoo-0"] {
        world.until(name, ready).await;
    }
    world.host.hold_stop(&id("app-0"));
    let boot = world.host.facts().boot;
    world.members.shut_down(Some(boot)).await.unwrap();
    world.until("app-0", |r| r.phase == Phase::Stopping).await;
    assert!(world.members.clone().turn().await);
    world.until("zoo-0", ready).await;
    world.host.finish_stop(&id("app-0"));
    world.until("zoo-0", stopped).await;
}

#[tokio::test]
async fn a_shutdown_is_of_one_boot() {
    let mut world = World::new(FakeHost::new(&["default"]));
    let before = BootId("another".to_owned());
    world.members.shut_down(Some(before)).await.unwrap();
    world.order(vec![order("web-0", 1, Desired::Run)]).await;
    world.until("web-0", ready).await;
}
