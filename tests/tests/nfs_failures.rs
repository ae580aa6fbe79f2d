//! What a server that fails does to the members on it, and that it does nothing to anybody else: the
//! reason is shown and goes by itself, the neighbour on the same host keeps its process and can be
//! restarted meanwhile, and the agent answers all the time.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{fs, io::Write as _, os::unix::fs::chown, process::Command, time::Instant};

use berth_proto::v1::MemberStatus;
use berth_tests::{
    cluster::Cluster,
    hosts::Hosts,
    machine,
    nfs::{
        Bed,
        manifest::{From, set, volume},
        written,
    },
    pulse::Pulse,
    wait,
};

/// Who the members run as in the guest.
const ALICE: u32 = 1001;

/// Writes a line each second, so that there is always something that has to go to the server.
const WRITER: &str = "test -e /data/name || echo {{ member }} > /data/name; exec 3>> /data/log; \
                      while :; do echo x >&3; sleep 1; done";
const IDLE: &str = "echo {{ member }} > /data/name; exec tail -f /dev/null";

/// One host with `near-0` on its own disk, and `far-0` and `far-1` on a server, by v4.2 and v3.
struct World<'a> {
    bed: &'a Bed,
    berth: Hosts<'a>,
    cluster: Cluster,
    pulse: Pulse,
    began: Instant,
}

const FAR: [&str; 2] = ["far-0", "far-1"];

impl<'a> World<'a> {
    async fn new(bed: &'a Bed) -> Self {
        let berth = Hosts::start(bed.network(), bed.dir());
        let cluster = berth.cluster();
        cluster.channel().await;
        let pulse = Pulse::of(&berth.home("h1")).await;
        Self {
            bed,
            berth,
            cluster,
            pulse,
            began: Instant::now(),
        }
    }

    /// Runs `berth local` on the host.
    fn local(&self, words: &[&str]) {
        let socket = format!("unix:{}/agent.sock", self.berth.home("h1").display());
        let mut command = Command::new(machine::program("berth"));
        command.arg("local").args(words);
        machine::run(command.env("BERTH_AGENT_SOCKET", socket));
    }

    async fn far_ready(&self) -> [MemberStatus; 2] {
        [
            self.pulse.ready(FAR[0]).await,
            self.pulse.ready(FAR[1]).await,
        ]
    }

    async fn far_reasons(&self, rules: &[&str]) {
        for name in FAR {
            self.pulse.reason(name, rules).await;
        }
    }

    /// The neighbour has not noticed anything since.
    fn same_neighbour(&self, before: &MemberStatus, when: &str) {
        let now = self.pulse.now("near-0");
        assert_eq!((pid(&now), now.ready), (pid(before), true), "{when}");
    }

    async fn restart_neighbour(&self) -> MemberStatus {
        let before = self.pulse.now("near-0");
        self.local(&["restart", "near-0"]);
        let another = |m: &MemberStatus| m.ready && pid(m) != pid(&before);
        self.pulse.member("near-0", "restarted", another).await
    }

    fn print_gap(&self, when: &str) {
        let (gap, answers) = self.pulse.longest_gap();
        let after = self.began.elapsed().as_secs();
        // Past the runner, which would show it of failed tests only.
        let mut shown = std::io::stderr();
        let gap = format!("longest gap between {answers} answers: {gap:?}");
        writeln!(shown, "{when}: after {after} s, {gap}").unwrap();
    }
}

fn pid(member: &MemberStatus) -> u32 {
    member.processes.first().map_or(0, |process| process.pid)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_hurts_only_the_members_on_it_and_only_until_it_is_back() {
    let bed = Bed::new(1);
    let paths = ["far/0", "far/1"].map(|name| bed.server().export(name, ""));
    let world = World::new(&bed).await;
    let mut manifest = set("near", 1, From::Class(None), IDLE) + &set("far", 2, From::Hand, WRITER);
    for (n, (path, options)) in
        (0..).zip(paths.iter().zip(["hard, nfsvers=4.2", "hard, nfsvers=3"]))
    {
        manifest += &volume("far", n, path.to_str().unwrap(), options);
    }
    world.cluster.apply(&manifest);
    let near = world.pulse.ready("near-0").await;
    let far = world.far_ready().await;
    for (n, path) in paths.iter().enumerate() {
        assert_eq!(written(&path.join("name")).await, FAR[n]);
    }
    world.print_gap("start");

    frozen(&world, &near, &far).await;
    let near = cable_cut(&world, &near, &far).await;
    stopped(&world, &near).await;
    stale(&world).await;
}

async fn frozen(world: &World<'_>, near: &MemberStatus, far: &[MemberStatus; 2]) {
    world.bed.server().freeze();
    world.far_reasons(&["VolumeHung"]).await;
    world.pulse.goes_on().await;
    world.same_neighbour(near, "frozen");
    world.bed.server().thaw();
    let back = world.far_ready().await;
    assert_eq!(back.each_ref().map(pid), far.each_ref().map(pid));
    world.print_gap("frozen");
}

async fn cable_cut(
    world: &World<'_>,
    near: &MemberStatus,
    far: &[MemberStatus; 2],
) -> MemberStatus {
    world.bed.network().cut("h1");
    world.same_neighbour(near, "cut");
    let near = world.restart_neighbour().await;
    world.far_reasons(&["VolumeHung"]).await;
    world.pulse.goes_on().await;
    world.bed.network().mend("h1");
    let back = world.far_ready().await;
    assert_eq!(back.each_ref().map(pid), far.each_ref().map(pid));
    world.same_neighbour(&near, "mended");
    world.print_gap("cable cut");
    near
}

/// In mid-run, then at unmount, then at mount.
async fn stopped(world: &World<'_>, near: &MemberStatus) {
    world.bed.server().stop();
    world.far_reasons(&["VolumeHung"]).await;
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
    assert!(world.bed.network().nfs_volumes("h1").is_empty());
    world.same_neighbour(near, "unmounted");

    world
        .cluster
        .berth(&["scale", "sts/far", "--replicas", "2"]);
    let near = world.restart_neighbour().await;
    world.far_reasons(&["VolumeHung", "MountFailed"]).await;
    world.pulse.goes_on().await;
    world.bed.server().start();
    world.bed.server().end_grace();
    world.far_ready().await;
    world.same_neighbour(&near, "back");
    world.print_gap("stopped");
}

/// Handles that the server does not know any more are mounted anew; data that is gone is a loss.
async fn stale(world: &World<'_>) {
    let before = world.far_ready().await;
    let near = world.pulse.now("near-0");
    let log = world.cluster.record("far").await;
    for name in ["far/0", "far/1"] {
        world.bed.server().unexport(name);
        world.bed.server().export(name, "");
    }
    for (member, old) in FAR.iter().zip(&before) {
        let another = |m: &MemberStatus| m.ready && pid(m) != pid(old);
        world.pulse.member(member, "on a new mount", another).await;
    }
    let told = |rule: &str, name: &str, m: &MemberStatus| {
        m.name == name && m.waiting.as_ref().is_some_and(|w| w.rule == rule)
    };
    log.until("VolumeStale of both", |log| {
        FAR.iter().all(|name| {
            log.iter()
                .any(|seen| told("VolumeStale", name, &seen.member))
        })
    })
    .await;
    world.print_gap("remounted");

    let path = world.bed.server().replace("far/0", "");
    let held = world.pulse.reason("far-0", &["VolumeEmpty"]).await;
    assert_eq!(pid(&held), 0);
    assert!(world.pulse.now("far-1").ready);
    chown(&path, Some(ALICE), Some(ALICE)).unwrap();
    fs::write(path.join("name"), "put back").unwrap();
    world.pulse.ready("far-0").await;
    world.same_neighbour(&near, "stale");
    world.print_gap("stale");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_not_as_it_should_be_holds_its_member_until_it_is() {
    let bed = Bed::new(1);
    let squashed = bed.server().export("odd/squashed", "root_squash");
    chown(&squashed, Some(ALICE), Some(ALICE)).unwrap();
    let filled = bed.server().export("odd/filled", "");
    fs::write(filled.join("name"), "somebody's").unwrap();
    chown(&filled, Some(ALICE), Some(ALICE)).unwrap();
    let world = World::new(&bed).await;
    let volumes = [
        ("/srv/nfs/odd/later4", "nfsvers=4.2"),
        ("/srv/nfs/odd/later3", "nfsvers=3"),
        ("/srv/nfs/odd/squashed", "nfsvers=4.2"),
        ("/srv/nfs/odd/filled", "nfsvers=4.2"),
    ];
    let mut manifest = set("near", 1, From::Class(None), IDLE) + &set("odd", 4, From::Hand, WRITER);
    for (n, (path, options)) in (0..).zip(volumes) {
        manifest += &volume("odd", n, path, options);
    }
    world.cluster.apply(&manifest);
    let near = world.pulse.ready("near-0").await;

    world.pulse.reason("odd-0", &["MountFailed"]).await;
    world.pulse.reason("odd-1", &["MountFailed"]).await;
    for name in ["odd/later4", "odd/later3"] {
        bed.server().export(name, "");
    }
    world.pulse.ready("odd-2").await;
    // Its user writes where root may not.
    assert_eq!(written(&squashed.join("name")).await, "odd-2");

    world.pulse.reason("odd-3", &["VolumeNotEmpty"]).await;
    world.cluster.berth(&["volume", "adopt", "odd-3"]);
    world.pulse.ready("odd-3").await;
    assert_eq!(
        fs::read_to_string(filled.join("name")).unwrap(),
        "somebody's"
    );

    world.pulse.ready("odd-0").await;
    world.pulse.ready("odd-1").await;
    world.same_neighbour(&near, "all");
    world.print_gap("wrong volumes");
}
