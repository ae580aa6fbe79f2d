//! What an operator asks of a host itself, by `berth local`.

use super::*;

#[tokio::test]
async fn a_local_stop_outlives_the_agent_until_it_is_let_go() {
    let mut world = World::new(FakeHost::new(&["default"]));
    world.order(vec![order("web-0", 1, Desired::Run)]).await;
    world.until("web-0", ready).await;
    world.members.hold(&id("web-0"), true).await.unwrap();
    world.until("web-0", stopped).await;
    let world = world.restart_agent().await;
    let report = world.until("web-0", stopped).await;
    assert_eq!(report.waiting, Some(Reason::HeldByOperator));
    assert!(world.members.look(&id("web-0")).await.unwrap().held);
    assert!(matches!(
        world.members.restart(&id("web-0")).await,
        Err(LocalError::Held { .. })
    ));
    world.members.hold(&id("web-0"), false).await.unwrap();
    world.until("web-0", ready).await;
    assert!(matches!(
        world.members.hold(&id("web-9"), false).await,
        Err(LocalError::Unknown { .. })
    ));
}

#[tokio::test]
async fn a_local_stop_outlives_what_is_ordered_until_it_is_let_go() {
    let mut world = World::new(FakeHost::new(&["default"]));
    let member = id("web-0");
    world.order(vec![order("web-0", 1, Desired::Run)]).await;
    world.until("web-0", ready).await;
    world.members.hold(&member, true).await.unwrap();
    world.until("web-0", stopped).await;
    world.order(vec![]).await;
    world.until_gone("web-0").await;
    world.order(vec![order("web-0", 2, Desired::Run)]).await;
    let report = world.until("web-0", |r| r.waiting.is_some()).await;
    assert_eq!(report.waiting, Some(Reason::HeldByOperator));
    world.order(vec![]).await;
    world.until_gone("web-0").await;
    world.members.hold(&member, false).await.unwrap();
    world.order(vec![order("web-0", 3, Desired::Run)]).await;
    world.until("web-0", ready).await;
}

/// The asker's connection may be lost at any moment.
#[tokio::test]
async fn a_local_stop_is_carried_out_though_nobody_waits_for_it() {
    use futures_util::FutureExt as _;
    let mut world = World::new(FakeHost::new(&["default"]));
    world.order(vec![order("web-0", 1, Desired::Run)]).await;
    world.until("web-0", ready).await;
    let member = id("web-0");
    let looked = world.members.look(&member).await;
    assert!(!looked.unwrap().held);
    let mut asked = Box::pin(world.members.hold(&member, true));
    // Let go of while it is under way; it may also be quick, and done.
    while (&mut asked).now_or_never().is_none() && world.members.ordering.try_lock().is_ok() {
        tokio::task::yield_now().await;
    }
    drop(asked);
    world.until("web-0", stopped).await;
}

#[tokio::test]
async fn a_local_restart_is_another_run() {
    let mut world = World::new(FakeHost::new(&["default"]));
    world.order(vec![order("web-0", 1, Desired::Run)]).await;
    world.until("web-0", ready).await;
    world.members.restart(&id("web-0")).await.unwrap();
    let again = |r: &MemberReport| r.ready && r.run.as_ref().unwrap().number == RunNumber(2);
    world.until("web-0", again).await;
}
