//! What a server that fails does to the members on it, and that it does nothing to anybody else: the
//! reason is shown and goes by itself, the neighbour on the same host keeps its process and can be
//! restarted meanwhile, and the agent answers all the time.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{fs, os::unix::fs::chown};

use berth_proto::v1::MemberStatus;
use berth_tests::{
    nfs::{
        Bed,
        manifest::{From, set, volume},
        world::{ALICE, WRITER, World, pid},
        written,
    },
    wait,
};

/// The members on the server, by v4.2 and v3.
const FAR: [&str; 2] = ["far-0", "far-1"];

async fn far_ready(world: &World<'_>) -> [MemberStatus; 2] {
    [
        world.pulse.ready(FAR[0]).await,
        world.pulse.ready(FAR[1]).await,
    ]
}

async fn far_reasons(world: &World<'_>, rules: &[&str]) {
    for name in FAR {
        world.pulse.reason(name, rules).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_hurts_only_the_members_on_it_and_only_until_it_is_back() {
    let bed = Bed::new(1);
    let paths = ["far/0", "far/1"].map(|name| bed.server().export(name, ""));
    let world = World::new(&bed).await;
    let mut manifest = set("far", 2, From::Hand, WRITER);
    for (n, (path, options)) in
        (0..).zip(paths.iter().zip(["hard, nfsvers=4.2", "hard, nfsvers=3"]))
    {
        manifest += &volume("far", n, path.to_str().unwrap(), options);
    }
    let near = world.apply(&manifest).await;
    let far = far_ready(&world).await;
    for (n, path) in paths.iter().enumerate() {
        assert_eq!(written(&path.join("name")).await, FAR[n]);
    }
    world.print_gap("start");

    frozen(&bed, &world, &near, &far).await;
    let near = cable_cut(&bed, &world, &near, &far).await;
    stopped(&bed, &world, &near).await;
    stale(&bed, &world).await;
}

async fn frozen(bed: &Bed, world: &World<'_>, near: &MemberStatus, far: &[MemberStatus; 2]) {
    bed.server().freeze();
    far_reasons(world, &["VolumeHung"]).await;
    world.pulse.goes_on().await;
    world.same_neighbour(near, "frozen");
    bed.server().thaw();
    let back = far_ready(world).await;
    assert_eq!(back.each_ref().map(pid), far.each_ref().map(pid));
    world.print_gap("frozen");
}

async fn cable_cut(
    bed: &Bed,
    world: &World<'_>,
    near: &MemberStatus,
    far: &[MemberStatus; 2],
) -> MemberStatus {
    bed.network().cut("h1");
    world.same_neighbour(near, "cut");
    let near = world.restart_neighbour().await;
    far_reasons(world, &["VolumeHung"]).await;
    world.pulse.goes_on().await;
    bed.network().mend("h1");
    let back = far_ready(world).await;
    assert_eq!(back.each_ref().map(pid), far.each_ref().map(pid));
    world.same_neighbour(&near, "mended");
    world.print_gap("cable cut");
    near
}

/// In mid-run, then at unmount, then at mount.
async fn stopped(bed: &Bed, world: &World<'_>, near: &MemberStatus) {
    bed.server().stop();
    far_reasons(world, &["VolumeHung"]).await;
    world.pulse.goes_on().await;
    world.same_neighbour(near, "stopped");

    world
        .cluster
        .berth(&["scale", "sts/far", "--replicas", "0", "--yes"]);
    wait::until("the members to be gone", async || {
        let left = world.cluster.members("far").await;
        let left = left.map_err(|status| status.to_string())?;
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{:?}", left.keys()))
        }
    })
    .await;
    assert!(bed.network().nfs_volumes("h1").is_empty());
    world.same_neighbour(near, "unmounted");

    world
        .cluster
        .berth(&["scale", "sts/far", "--replicas", "2"]);
    let near = world.restart_neighbour().await;
    far_reasons(world, &["VolumeHung", "MountFailed"]).await;
    world.pulse.goes_on().await;
    bed.server().start();
    bed.server().end_grace();
    far_ready(world).await;
    world.same_neighbour(&near, "back");
    world.print_gap("stopped");
}

/// Handles that the server does not know any more are mounted anew, which takes another process (how long
/// `VolumeStale` shows is up to the mount); data that is gone is a loss.
async fn stale(bed: &Bed, world: &World<'_>) {
    let before = far_ready(world).await;
    let near = world.pulse.now("near-0");
    for name in ["far/0", "far/1"] {
        bed.server().unexport(name);
        bed.server().export(name, "");
    }
    for (member, old) in FAR.iter().zip(&before) {
        let another = |m: &MemberStatus| m.ready && pid(m) != pid(old);
        world.pulse.member(member, "on a new mount", another).await;
    }
    world.print_gap("remounted");

    let path = bed.server().replace("far/0", "");
    let held = world.pulse.reason("far-0", &["VolumeEmpty"]).await;
    assert_eq!(pid(&held), 0);
    assert!(world.pulse.now("far-1").ready);
    chown(&path, Some(ALICE), Some(ALICE)).unwrap();
    fs::write(path.join("name"), "put back").unwrap();
    world.pulse.ready("far-0").await;
    world.same_neighbour(&near, "stale");
    world.print_gap("stale");
}
