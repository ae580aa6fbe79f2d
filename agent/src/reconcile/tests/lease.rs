//! Members with a lease: they run while it is renewed, and no longer.

use berth_core::lease::{Acknowledged, LeaseTerms};

use super::*;

/// A member that runs on a lease of one second.
fn leased(name: &str, counter: u64) -> MemberOrder {
    MemberOrder {
        lease: Some(LeaseTerms {
            length_ms: 1_000,
            grace_ms: 250,
            kill_ms: 1_000,
            self_fences: false,
        }),
        ..order(name, counter, Desired::Run)
    }
}

fn lacks_lease(report: &MemberReport) -> bool {
    report.waiting == Some(Reason::LeaseNotHeld)
}

#[tokio::test]
async fn a_member_with_a_lease_runs_while_it_is_renewed_and_no_longer() {
    let mut world = World::new(FakeHost::new(&["default"]));
    world.order(vec![leased("web-0", 1)]).await;
    world.until("web-0", lacks_lease).await;
    assert_eq!(world.starts(), 0);
    let sent = world.host.boottime();
    world.members.renewed(Acknowledged::of(sent, false));
    world.until("web-0", ready).await;
    let lease = world.host.launched(&id("web-0")).unwrap().lease.unwrap();
    assert_eq!(lease.renewed, sent);
    // The keeper in memory does not look at the clock, as one that hangs: the agent kills it.
    world.until("web-0", lacks_lease).await;
    assert!(world.host.alive().is_empty());
    assert!(world.host.boottime() >= sent.plus(Duration::from_secs(1)));
    assert_eq!(world.starts(), 1);
    let sent = world.host.boottime();
    world.members.renewed(Acknowledged::of(sent, false));
    world.until("web-0", ready).await;
}

#[tokio::test]
async fn nothing_is_started_on_an_acknowledgement_for_what_runs() {
    let mut world = World::new(FakeHost::new(&["default"]));
    world.order(vec![leased("web-0", 1)]).await;
    let sent = world.host.boottime();
    world.members.renewed(Acknowledged::of(sent, true));
    world.until("web-0", lacks_lease).await;
    assert_eq!(world.starts(), 0);
    world.members.renewed(Acknowledged::of(sent, false));
    world.until("web-0", ready).await;
    // What runs runs on with it.
    let sent = world.host.boottime().plus(Duration::from_secs(60));
    world.members.renewed(Acknowledged::of(sent, true));
    assert_eq!(world.starts(), 1);
}

#[tokio::test]
async fn a_lease_that_a_suspend_outlasts_is_over_when_the_machine_wakes_up() {
    let mut world = World::new(FakeHost::new(&["default"]));
    // No test waits for its end.
    let length = Duration::from_secs(3600);
    let lease = leased("web-0", 1).lease.map(|terms| LeaseTerms {
        length_ms: 3_600_000,
        ..terms
    });
    let order = MemberOrder {
        lease,
        ..leased("web-0", 1)
    };
    world.order(vec![order]).await;
    world
        .members
        .renewed(Acknowledged::of(world.host.boottime(), false));
    world.until("web-0", ready).await;
    world.host.suspend(length);
    world.until("web-0", lacks_lease).await;
    assert!(world.host.alive().is_empty());
}

#[tokio::test]
async fn a_new_agent_learns_from_the_keepers_how_long_the_lease_lasts() {
    let mut world = World::new(FakeHost::new(&["default"]));
    world.order(vec![leased("web-0", 1)]).await;
    let sent = world.host.boottime();
    world.members.renewed(Acknowledged::of(sent, false));
    world.until("web-0", ready).await;
    let world = world.restart_agent().await;
    world.until("web-0", ready).await;
    assert_eq!(world.starts(), 1);
    world.until("web-0", lacks_lease).await;
    assert!(world.host.boottime() >= sent.plus(Duration::from_secs(1)));
}
