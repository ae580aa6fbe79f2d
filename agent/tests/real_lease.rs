//! The end of a lease under real keepers, with nobody there to renew it. Needs root.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]
// Shared with other programs of tests.
#![expect(dead_code, reason = "not every program uses all of the bed")]

use std::time::Duration;

use berth_agent::host::{Host, KeeperEvent, KeeperHandle, KeeperLaunch};
use berth_core::{keeper::LeasedRun, lease::LeaseTerms, time::Timestamp, waiting::Reason};

mod support;
use support::*;

/// Does not end when it is asked to.
const STUBBORN: &str = "trap 'echo asked' TERM; echo up; while :; do sleep 0.05; done";

const TERMS: LeaseTerms = LeaseTerms {
    length_ms: 3_000,
    grace_ms: 1_000,
    kill_ms: 2_000,
    self_fences: false,
};

fn leased(bed: &Bed, renewed: Timestamp) -> KeeperLaunch {
    let mut launch = bed.launch(vec![shell("main", STUBBORN)]);
    let terms = TERMS;
    launch.lease = Some(LeasedRun {
        terms,
        renewed,
        reboot_ms: 0,
    });
    launch
}

async fn gone(handle: &mut KeeperHandle) {
    event(handle, |event| *event == KeeperEvent::Gone).await;
}

#[tokio::test]
async fn a_keeper_asks_then_kills_when_nobody_renews() {
    let bed = Bed::new("lease");
    let renewed = bed.host.boottime();
    let mut handle = bed.host.start_keeper(leased(&bed, renewed)).await.unwrap();
    bed.log_with("main.log", "up").await;
    let pid = pid_of(&handle, "main").await;
    bed.log_with("main.log", "asked").await;
    assert!(bed.host.boottime() >= renewed.plus(TERMS.length() - TERMS.grace()));
    gone(&mut handle).await;
    assert!(bed.host.boottime() >= renewed.plus(TERMS.length()));
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn a_renewal_lets_it_run_on_and_a_new_agent_learns_of_it() {
    let bed = Bed::new("renewed");
    let begun = bed.host.boottime();
    let mut handle = bed.host.start_keeper(leased(&bed, begun)).await.unwrap();
    let mut sent = begun;
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    // Past the end of the first lease.
    while sent < begun.plus(TERMS.length() + Duration::from_millis(500)) {
        beat.tick().await;
        sent = bed.host.boottime();
        handle.client.renew(sent).await.unwrap();
    }
    handle.client.renew(begun).await.unwrap();
    let adopted = bed
        .next_agent()
        .adopt(&bed.member())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(adopted.status.renewed, Some(sent));
    gone(&mut handle).await;
    assert!(bed.host.boottime() >= sent.plus(TERMS.length()));
}

#[tokio::test]
async fn nothing_begins_on_a_lease_that_is_over() {
    let bed = Bed::new("over");
    let over = Timestamp(bed.host.boottime().0.saturating_sub(TERMS.length_ms));
    let refused = bed.host.start_keeper(leased(&bed, over)).await;
    assert_eq!(refused.err(), Some(Reason::LeaseNotHeld));
    bed.host.cleanup(&bed.member()).await.unwrap();
}
