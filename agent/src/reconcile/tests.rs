//! Whole starts and stops over the host in memory, with every call of it failing in turn.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use berth_core::{
    ids::{Epoch, Generation, HistoryId, RunNumber, TemplateHash, Term, Uid},
    keeper::Exit,
    order::{ConfigData, Desired, MemberOrder, RenderValues, VolumeOrder, order_hash},
    prerequisite::Fact,
    report::Phase,
    spec::{MemberSpec, Process, VolumeMount},
    volume::{VolumeHealth, VolumeSource},
};
use tempfile::TempDir;

use super::*;
use crate::host::{
    fake::{Call, FakeHost},
    step_failed,
};

mod lease;
mod local;
mod shutdown;

const DEADLINE: Duration = Duration::from_secs(20);

fn id(name: &str) -> MemberId {
    format!("default/{name}").parse().unwrap()
}

fn epoch(counter: u64) -> Epoch {
    let term = Term(1);
    Epoch { term, counter }
}

/// A member of one process with one volume.
fn order(name: &str, counter: u64, desired: Desired) -> MemberOrder {
    let member = id(name);
    let process = Process {
        name: "main".to_owned(),
        command: vec!["/bin/server".to_owned()],
        user: Some("nobody".to_owned()),
        volume_mounts: vec![VolumeMount {
            name: "data".to_owned(),
            mount_path: "/data".to_owned(),
            ..VolumeMount::default()
        }],
        ..Process::default()
    };
    MemberOrder {
        epoch: epoch(counter),
        desired,
        revision: TemplateHash("r".to_owned()),
        lease: None,
        depends_on: Vec::new(),
        template: Arc::new(MemberSpec {
            processes: vec![process],
            ..MemberSpec::default()
        }),
        values: RenderValues {
            namespace: "default".to_owned(),
            set: member.set.name.to_string(),
            member: name.to_owned(),
            fqdn: format!("{name}.svc.default.svc.berth.internal"),
            address: "127.0.0.1".to_owned(),
            founding: true,
            ..RenderValues::default()
        },
        volumes: vec![VolumeOrder::local(
            "data",
            member.claim("data").unwrap(),
            Uid(format!("uid-{name}")),
            "host-1".parse().unwrap(),
            "default",
        )],
        config: ConfigData::default(),
        member,
    }
}

/// An agent's members over a host that outlives the agent.
struct World {
    host: FakeHost,
    dir: TempDir,
    members: Members,
    reconciler: Reconciler,
    stop: CancellationToken,
    generation: u64,
}

impl World {
    fn new(host: FakeHost) -> Self {
        Self::begin(host, tempfile::tempdir().unwrap(), 0)
    }

    fn begin(host: FakeHost, dir: TempDir, generation: u64) -> Self {
        let ledger = LedgerStore::open(dir.path()).unwrap();
        Self::over(ledger, host, dir, generation)
    }

    fn over(ledger: LedgerStore, host: FakeHost, dir: TempDir, generation: u64) -> Self {
        let stop = CancellationToken::new();
        let resolver = [127, 0, 0, 153].into();
        let (members, reconciler) = start(Arc::new(host.clone()), ledger, resolver, stop.clone());
        Self {
            host,
            dir,
            members,
            reconciler,
            stop,
            generation,
        }
    }

    /// Ends the agent and starts it again on the same host.
    async fn restart_agent(mut self) -> Self {
        self.stop.cancel();
        self.reconciler.ended().await.unwrap();
        drop(self.members);
        Self::begin(self.host, self.dir, self.generation)
    }

    fn delta(&mut self, orders: Vec<MemberOrder>) -> OrderDelta {
        self.generation += 1;
        let complete: BTreeMap<_, _> = orders
            .iter()
            .map(|o| (o.member.clone(), o.clone()))
            .collect();
        OrderDelta {
            head: OrderHead {
                history: HistoryId("h".to_owned()),
                term: Term(1),
                generation: Generation(self.generation),
                hash: order_hash(&complete),
            },
            base: None,
            upserts: orders,
            removals: Vec::new(),
        }
    }

    /// Gives the agent a complete order.
    async fn order(&mut self, orders: Vec<MemberOrder>) {
        let delta = self.delta(orders);
        self.members.order(&delta).await.unwrap();
    }

    async fn reports(&self) -> BTreeMap<MemberId, MemberReport> {
        let changes = self.members.changes(None).await.unwrap();
        let reports = changes.members.into_iter();
        reports
            .map(|report| (report.member.clone(), report))
            .collect()
    }

    /// Waits until a member's report is as expected.
    async fn until(&self, name: &str, expected: impl Fn(&MemberReport) -> bool) -> MemberReport {
        let mut version = self.members.version();
        let wait = async {
            loop {
                version.borrow_and_update();
                if let Some(report) = self.reports().await.remove(&id(name))
                    && expected(&report)
                {
                    return report;
                }
                version.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(DEADLINE, wait).await {
            Ok(report) => report,
            Err(_) => panic!("{name}: {:?}", self.reports().await.get(&id(name))),
        }
    }

    async fn until_gone(&self, name: &str) {
        let mut version = self.members.version();
        let wait = async {
            while self.reports().await.contains_key(&id(name)) {
                version.changed().await.unwrap();
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.unwrap();
    }

    fn starts(&self) -> usize {
        let log = self.host.log();
        log.iter().filter(|line| line.starts_with("start ")).count()
    }
}

fn ready(report: &MemberReport) -> bool {
    report.ready
}

fn stopped(report: &MemberReport) -> bool {
    report.phase == Phase::Stopped
}

#[tokio::test]
async fn a_member_is_started_reported_stopped_and_forgotten() {
    let mut world = World::new(FakeHost::new(&["default"]));
    world.order(vec![order("web-0", 1, Desired::Run)]).await;
    let report = world.until("web-0", ready).await;
    assert_eq!((report.phase, report.epoch), (Phase::Running, epoch(1)));
    assert_eq!(report.filled, ["data"]);
    assert_eq!(report.waiting, None);
    assert_eq!(report.run.unwrap().number, RunNumber(1));
    assert_eq!(report.processes.len(), 1);
    let launch = world.host.launched(&id("web-0")).unwrap();
    assert_eq!(launch.volumes.len(), 1);
    assert_eq!(launch.dns.search[0], "default.svc.berth.internal");

    world.order(vec![order("web-0", 1, Desired::Stop)]).await;
    world.until("web-0", stopped).await;
    assert!(world.host.alive().is_empty());
    let before = world.members.changes(None).await.unwrap().version;
    world.order(vec![]).await;
    world.until_gone("web-0").await;
    let changes = world.members.changes(Some(before)).await;
    // The complete report that `until_gone` asked for has said it already.
    assert!(changes.unwrap().forgotten.is_empty());
    assert!(world.members.ledger.read().leaving.is_empty());
}

#[tokio::test]
async fn a_member_waits_for_what_it_requires_of_the_host() {
    let host = FakeHost::new(&["default"]);
    let mut wanted = order("web-0", 1, Desired::Run);
    let mut template = (*wanted.template).clone();
    template.requires.users = vec!["web".to_owned()];
    let required = template.requires.each().next().unwrap();
    wanted.template = Arc::new(template);
    wanted.values.host = "host-1".to_owned();
    let mut world = World::new(host);
    world.order(vec![wanted]).await;
    let waits = |report: &MemberReport| {
        matches!(&report.waiting, Some(Reason::RequirementUnmet { host, unmet })
            if host.as_str() == "host-1" && unmet.len() == 1 && unmet[0].required == required)
    };
    world.until("web-0", waits).await;
    assert!(world.host.alive().is_empty());
    let there = Fact::Value("999".to_owned());
    world.host.fact(required.clone(), there);
    world.until("web-0", ready).await;
}

/// Each call fails at its first, second and third time, during a start, an adoption and a stop.
#[tokio::test]
async fn any_failing_call_is_got_over_and_named_meanwhile() {
    let nth_of = |call| (1..=3).map(move |nth| (call, nth));
    let cases = Call::ALL.into_iter().flat_map(nth_of);
    let runs = cases.map(|(call, nth)| async move {
        let host = FakeHost::new(&["default"]);
        host.fail(call, nth, step_failed("test", "on purpose"));
        let mut world = World::new(host);
        world.order(vec![order("web-0", 1, Desired::Run)]).await;
        world.until("web-0", ready).await;
        let run = world.host.alive()[&id("web-0")].clone();
        let mut world = world.restart_agent().await;
        world.until("web-0", ready).await;
        assert_eq!(world.host.alive()[&id("web-0")], run, "{call:?} {nth}");
        world.order(vec![order("web-0", 1, Desired::Stop)]).await;
        world.until("web-0", stopped).await;
        assert!(world.host.alive().is_empty(), "{call:?} {nth}");
        assert_eq!(world.starts(), 1, "{call:?} {nth}");
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn a_failure_holds_up_its_own_member_only_and_ends_when_its_cause_does() {
    let mut world = World::new(FakeHost::new(&["default"]));
    let mut lost = order("lost-0", 1, Desired::Run);
    lost.volumes[0].source = VolumeSource::Local {
        host: "host-1".parse().unwrap(),
        pool: "fast".to_owned(),
        dir: "lost".to_owned(),
    };
    world
        .order(vec![lost, order("web-0", 1, Desired::Run)])
        .await;
    world.until("web-0", ready).await;
    let missing = |report: &MemberReport| {
        let missing =
            matches!(&report.waiting, Some(Reason::PoolMissing { pool }) if pool == "fast");
        missing && report.phase == Phase::BackOff
    };
    world.until("lost-0", missing).await;
    world.host.add_pool("fast");
    world.until("lost-0", ready).await;
}

#[tokio::test]
async fn a_stop_that_takes_its_time_holds_up_its_own_member_only() {
    let mut world = World::new(FakeHost::new(&["default"]));
    let both = |desired| vec![order("slow-0", 1, desired), order("web-0", 1, desired)];
    world.order(both(Desired::Run)).await;
    world.until("slow-0", ready).await;
    world.until("web-0", ready).await;
    world.host.hold_stop(&id("slow-0"));
    world.order(both(Desired::Stop)).await;
    world.until("web-0", stopped).await;
    let slow = world.until("slow-0", |r| r.phase == Phase::Stopping).await;
    assert!(matches!(slow.waiting, Some(Reason::Stopping { .. })));
    world.host.finish_stop(&id("slow-0"));
    world.until("slow-0", stopped).await;
}

#[tokio::test]
async fn an_older_order_is_refused_and_changes_nothing() {
    let mut world = World::new(FakeHost::new(&["default"]));
    let old = world.delta(vec![]);
    world.order(vec![order("web-0", 2, Desired::Run)]).await;
    world.until("web-0", ready).await;
    let refused = world.members.order(&old).await.unwrap_err();
    assert!(matches!(
        refused,
        OrderError::Refused(Refusal::OlderGeneration { .. })
    ));
    let falls = world.delta(vec![order("web-0", 1, Desired::Run)]);
    assert!(world.members.order(&falls).await.is_err());
    assert!(world.until("web-0", ready).await.ready);
}

#[tokio::test]
async fn a_new_epoch_stops_the_old_one_first() {
    let mut world = World::new(FakeHost::new(&["default"]));
    world.order(vec![order("web-0", 1, Desired::Run)]).await;
    world.until("web-0", ready).await;
    world.order(vec![order("web-0", 2, Desired::Run)]).await;
    let new = |report: &MemberReport| report.ready && report.epoch == epoch(2);
    world.until("web-0", new).await;
    let log = world.host.log();
    let gone = log.iter().position(|line| line == "gone default/web-0");
    let start = log
        .iter()
        .position(|line| line == "start default/web-0 1.2");
    assert!(gone.unwrap() < start.unwrap(), "{log:?}");
}

#[tokio::test]
async fn after_a_reboot_members_start_by_themselves_on_their_volumes() {
    let mut world = World::new(FakeHost::new(&["default"]));
    world.order(vec![order("web-0", 1, Desired::Run)]).await;
    world.until("web-0", ready).await;
    world.host.reboot();
    let world = world.restart_agent().await;
    let report = world.until("web-0", ready).await;
    assert_eq!(report.run.unwrap().number, RunNumber(2));
    let launch = world.host.launched(&id("web-0")).unwrap();
    assert_eq!(launch.run.boot.0, "boot-2");
}

#[tokio::test]
async fn a_volume_lost_while_nobody_told_is_a_fault_not_a_new_volume() {
    let mut world = World::new(FakeHost::new(&["default"]));
    let run = order("web-0", 1, Desired::Run);
    let claim = run.volumes[0].claim.clone();
    world.order(vec![run]).await;
    world.until("web-0", ready).await;
    world.host.lose_volume(&claim);
    world.host.reboot();
    let world = world.restart_agent().await;
    let empty = |report: &MemberReport| matches!(report.waiting, Some(Reason::VolumeEmpty { .. }));
    let report = world.until("web-0", empty).await;
    assert_eq!(report.filled, ["data"], "known from the ledger");
}

/// A program may write as soon as it is launched, and the agent may end before it knows of that.
#[tokio::test]
async fn what_a_member_is_launched_on_is_filled_before_the_launch() {
    let host = FakeHost::new(&["default"]);
    for nth in 1..100 {
        host.fail(Call::StartKeeper, nth, step_failed("test", "on purpose"));
    }
    let mut world = World::new(host);
    let mut run = order("web-0", 1, Desired::Run);
    let mut spare = run.volumes[0].clone();
    spare.name = "spare".to_owned();
    spare.claim_uid = Uid("uid-spare".to_owned());
    let claim = run.volumes[0].claim_uid.clone();
    run.volumes.push(spare);
    world.order(vec![run]).await;
    let report = world.until("web-0", |r| r.phase == Phase::BackOff).await;
    assert_eq!(report.filled, ["data"], "no process mounts the other one");
    assert_eq!(world.members.ledger.read().filled, [claim].into());
}

#[tokio::test]
async fn an_order_that_cannot_be_written_ends_the_driver() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = LedgerStore::open_full(dir.path()).unwrap();
    let mut world = World::over(ledger, FakeHost::new(&["default"]), dir, 0);
    let delta = world.delta(vec![order("web-0", 1, Desired::Run)]);
    let refused = world.members.order(&delta).await.unwrap_err();
    assert!(matches!(refused, OrderError::Ledger(_)), "{refused}");
    let ended = tokio::time::timeout(DEADLINE, world.reconciler.ended()).await;
    let error = ended.unwrap().unwrap_err();
    assert!(matches!(error, LedgerError::Io { .. }), "{error}");
}

#[tokio::test]
async fn a_member_that_was_ready_once_is_no_founder_any_more() {
    let mut world = World::new(FakeHost::new(&["default"]));
    let mut founder = order("web-0", 1, Desired::Run);
    let mut template = (*founder.template).clone();
    template.processes[0].args = vec!["{{ 'new' if founding else 'existing' }}".to_owned()];
    founder.template = Arc::new(template);
    world.order(vec![founder]).await;
    world.until("web-0", ready).await;
    let argument = |world: &World| {
        let launch = world.host.launched(&id("web-0")).unwrap();
        launch.rendered.processes[0].argv[1].clone()
    };
    assert_eq!(argument(&world), "new");
    world.host.kill_keeper(&id("web-0"));
    let again = |r: &MemberReport| r.ready && r.run.as_ref().unwrap().number == RunNumber(2);
    world.until("web-0", again).await;
    assert_eq!(argument(&world), "existing");
}

#[tokio::test]
async fn a_lost_connection_is_no_lost_keeper() {
    let mut world = World::new(FakeHost::new(&["default"]));
    world.order(vec![order("web-0", 1, Desired::Run)]).await;
    world.until("web-0", ready).await;
    let before = world.host.count(Call::Adopt);
    world.host.lose_connection(&id("web-0"));
    let host = world.host.clone();
    let adopted = |r: &MemberReport| r.ready && host.count(Call::Adopt) > before;
    assert_eq!(world.until("web-0", adopted).await.restarts, 0);
    assert_eq!(world.starts(), 1);
}

#[tokio::test]
async fn a_member_whose_storage_hangs_is_unready_and_the_others_are_not() {
    let mut world = World::new(FakeHost::new(&["default"]));
    let hung = VolumeHealth::Hung {
        step: "look: no answer".to_owned(),
    };
    let health = BTreeMap::from([("data".to_owned(), hung)]);
    world.host.volumes_are(&id("web-0"), health);
    let orders = ["web-0", "web-1"].map(|name| order(name, 1, Desired::Run));
    world.order(orders.into()).await;
    let hangs = |r: &MemberReport| matches!(r.waiting, Some(Reason::VolumeHung { .. }));
    let report = world.until("web-0", hangs).await;
    assert!(report.started && !report.ready, "{report:?}");
    assert!(report.volumes[0].recorded);
    world.until("web-1", ready).await;

    // Once its server does not know the mount any more, it is started on a new one.
    let health = BTreeMap::from([("data".to_owned(), VolumeHealth::Stale)]);
    world.host.volumes_are(&id("web-1"), health);
    world.host.kill_keeper(&id("web-1"));
    let anew = |r: &MemberReport| r.run.as_ref().is_some_and(|run| run.number >= RunNumber(3));
    world.until("web-1", anew).await;
}

#[tokio::test]
async fn a_process_that_ends_is_reported_until_it_runs_again() {
    let mut world = World::new(FakeHost::new(&["default"]));
    world.order(vec![order("web-0", 1, Desired::Run)]).await;
    world.until("web-0", ready).await;
    let process = "main".parse().unwrap();
    world.host.exit(&id("web-0"), &process, Exit::Code(3), 1000);
    let report = world.until("web-0", |r| r.phase == Phase::BackOff).await;
    assert!(!report.started && !report.ready);
    assert!(matches!(
        report.waiting,
        Some(Reason::BackOff { exit, .. }) if exit == "exited with 3"
    ));
    world.host.start_again(&id("web-0"), &process);
    assert_eq!(world.until("web-0", ready).await.restarts, 1);
}

#[tokio::test]
async fn a_run_that_no_order_knows_of_is_removed_once_there_is_an_order() {
    let mut world = World::new(FakeHost::new(&["default"]));
    world.order(vec![order("web-0", 1, Desired::Run)]).await;
    world.until("web-0", ready).await;
    // The ledger is lost; the keeper is not.
    let host = world.host.clone();
    world.stop.cancel();
    world.reconciler.ended().await.unwrap();
    let mut world = World::new(host);
    assert!(world.reports().await.is_empty());
    assert_eq!(world.host.alive().len(), 1, "not touched without an order");
    world.order(vec![order("web-1", 1, Desired::Run)]).await;
    world.until("web-1", ready).await;
    world.until_gone("web-0").await;
    assert_eq!(world.host.alive().len(), 1);
}

#[tokio::test]
async fn only_what_changed_is_reported_after_a_version() {
    let mut world = World::new(FakeHost::new(&["default"]));
    let both = vec![
        order("web-0", 1, Desired::Run),
        order("web-1", 1, Desired::Run),
    ];
    world.order(both).await;
    world.until("web-0", ready).await;
    world.until("web-1", ready).await;
    let before = world.members.changes(None).await.unwrap();
    assert_eq!(
        (before.members.len(), before.generation),
        (2, Generation(1))
    );
    world.host.kill_keeper(&id("web-1"));
    let again = |r: &MemberReport| r.ready && r.restarts == 1;
    let mut version = world.members.version();
    let wait = async {
        loop {
            let changes = world.members.changes(Some(before.version)).await.unwrap();
            if changes.members.iter().any(again) {
                return changes;
            }
            version.changed().await.unwrap();
        }
    };
    let changes = tokio::time::timeout(DEADLINE, wait).await.unwrap();
    assert_eq!(changes.members.len(), 1);
    assert_eq!(changes.members[0].member, id("web-1"));
}

#[tokio::test]
async fn the_ledger_of_another_machine_starts_nothing_before_a_coordinator_is_heard_of() {
    let host = FakeHost::new(&["default"]);
    let mut world = World::new(host);
    let ids = world.host.facts().machine;
    let bound = Record::Machine { ids };
    world.members.ledger.note(bound).await.unwrap();
    world.order(vec![order("web-0", 1, Desired::Run)]).await;
    world.until("web-0", ready).await;
    world.host.move_to("a-copy");
    let world = world.restart_agent().await;
    let other = |r: &MemberReport| matches!(r.waiting, Some(Reason::OtherMachine(_)));
    world.until("web-0", other).await;
    assert_eq!(world.starts(), 1);
    world
        .members
        .renewed(Acknowledged::of(world.host.boottime(), false));
    world.until("web-0", ready).await;
    // From now on it is this machine's.
    world.host.reboot();
    let world = world.restart_agent().await;
    world.until("web-0", ready).await;
    assert_eq!(world.starts(), 3);
}
