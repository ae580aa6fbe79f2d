//! A Failover set on hosts with addresses of their own, which suffer faults of every kind, a few at a
//! time, by a seeded schedule: 50, and 1 000 with `--full`. Never do two of a member run, nothing that it
//! acknowledged is lost, and all that it took of the hosts is given back. Members find out themselves:
//! each holds a lock on a directory that all hosts share, and counts there.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
#![expect(
    clippy::print_stderr,
    reason = "what was counted is part of the result"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use berth_proto::v1::MemberStatus;
use berth_tests::{
    cluster::Cluster,
    faults::{Schedule, lay_out},
    hosts::Hosts,
    netns::Network,
    wait,
};
use tokio::time::{MissedTickBehavior, interval, timeout};

const SET: &str = "faulty";
const MEMBERS: usize = 3;
/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(250);
/// A daemon that is stopped answers nobody.
const ANSWER: Duration = Duration::from_millis(300);
/// What a daemon may have open beyond what it had: calls that happen to be under way.
const UNDER_WAY: usize = 8;

/// A member does not end when it is asked to. It adds to a number, and writes down each that it added.
fn manifest(shared: &Path) -> String {
    let dir = shared.display();
    format!(
        "apiVersion: berth/v1
kind: StatefulSet
metadata: {{ name: {SET} }}
spec:
  replicas: {MEMBERS}
  spread: Prefer
  podManagementPolicy: Parallel
  failurePolicy: Failover
  leaseClass: Fast
  template:
    spec:
      processes:
      - name: main
        user: nobody
        env: [{{ name: OWN, value: '{dir}/{{{{ member }}}}' }}]
        command:
        - /bin/sh
        - -c
        - |
          exec 9>>$OWN.lock
          flock -n 9 || echo $OWN >> {dir}/overlap
          echo start >> $OWN.starts
          trap '' TERM
          while :; do
            n=0
            [ ! -e $OWN.value ] || read n < $OWN.value
            n=$((n + 1))
            echo $n > $OWN.next && mv $OWN.next $OWN.value && echo $n >> $OWN.acknowledged
            sleep 0.2
          done
"
    )
}

struct Stage<'a> {
    hosts: Hosts<'a>,
    cluster: Cluster,
    shared: &'a Path,
    /// Where a member would have been started a second time, had the lease of its host not been over:
    /// after how many faults, on which host, which.
    attempts: BTreeSet<(u32, String, String)>,
}

/// What a cluster has of its hosts.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    processes: BTreeMap<String, usize>,
    mounts: usize,
    cgroups: usize,
}

fn lines(file: &str) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The directories of members beneath one of the hierarchy of cgroups.
fn cgroups(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let count = |entry: fs::DirEntry| {
        let own = entry
            .file_name()
            .to_string_lossy()
            .contains(&format!("{SET}-"));
        usize::from(own) + cgroups(&entry.path())
    };
    dirs.map(count).sum()
}

impl Stage<'_> {
    async fn members(&self) -> BTreeMap<String, MemberStatus> {
        self.cluster.ready(SET, MEMBERS).await
    }

    fn read(&self, file: &str) -> Vec<String> {
        lines(&self.shared.join(file).display().to_string())
    }

    /// What is there now. The commands of a member come and go.
    fn held(&self) -> Held {
        let mut processes = BTreeMap::new();
        for host in self.hosts.network().hosts() {
            for pid in self.hosts.network().processes(host) {
                let name = lines(&format!("/proc/{pid}/comm")).concat();
                if name.starts_with("berth") || name == "sh" {
                    *processes.entry(name).or_default() += 1;
                }
            }
        }
        Held {
            processes,
            mounts: lines("/proc/self/mountinfo").len(),
            cgroups: cgroups(Path::new("/sys/fs/cgroup")),
        }
    }

    /// How many files each daemon has open.
    fn open_files(&self) -> BTreeMap<String, usize> {
        let agents = self.hosts.network().hosts().iter();
        let agents = agents.map(|host| (host.clone(), self.hosts.agent_pid(host)));
        let coordinator = ("coordinator".to_owned(), self.hosts.coordinator_pid());
        let count = |pid| fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let all = agents.chain([coordinator]);
        all.map(|(name, pid)| (name, count(pid))).collect()
    }

    /// Looks which members these hosts would start, if they had a lease.
    async fn look(&mut self, fault: u32, hosts: &[String]) -> usize {
        let before = self.attempts.len();
        for host in hosts {
            let home = self.hosts.home(host);
            let Ok(Ok(members)) = timeout(ANSWER, self.hosts.local(&home)).await else {
                continue;
            };
            let refused =
                |m: &&MemberStatus| m.waiting.as_ref().is_some_and(|w| w.rule == "LeaseNotHeld");
            let refused = members.values().filter(refused);
            let refused = refused.map(|m| (fault, host.clone(), m.name.clone()));
            self.attempts.extend(refused);
        }
        self.attempts.len() - before
    }

    /// A host that lost power boots without its network, while its member runs elsewhere: it would
    /// start what its ledger says.
    async fn boots_alone(&mut self) {
        let lost = self.members().await.into_values().next().unwrap();
        self.hosts.network().cut(&lost.host);
        self.hosts.power_off(&lost.host);
        let elsewhere = |m: &MemberStatus| m.ready && m.host != lost.host;
        self.cluster
            .member(&lost.name, "serves elsewhere", elsewhere)
            .await;
        self.hosts.start_agent(&lost.host);
        let alone = [lost.host.clone()];
        wait::until("it to be refused", async || {
            let refused = self.look(0, &alone).await;
            (refused > 0).then_some(()).ok_or("nothing is refused")
        })
        .await;
        self.hosts.network().mend(&lost.host);
        self.hosts.all_in_contact().await;
    }

    /// Each number that a member acknowledged follows on the one before and is still there: nobody else
    /// began from an older one.
    fn check_numbers(&self) {
        for member in 0..MEMBERS {
            let of = |file: &str| -> Vec<u64> {
                let lines = self.read(&format!("{SET}-{member}.{file}"));
                lines.iter().map(|line| line.parse().unwrap()).collect()
            };
            let (acknowledged, value) = (of("acknowledged"), of("value"));
            assert!(
                acknowledged.is_sorted_by(|a, b| a < b),
                "{member}: one was lost"
            );
            assert!(
                acknowledged.last() <= value.first(),
                "{member}: the last was lost"
            );
            assert!(!acknowledged.is_empty(), "{member} did nothing");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_never_two_run_and_nothing_acknowledged_is_lost() {
    let full = std::env::var_os("BERTH_FULL").is_some();
    let faults = if full { 1_000 } else { 50 };
    let seed = std::env::var("BERTH_SEED").map_or(1, |text| text.parse().unwrap());
    eprintln!("seed {seed}; another one: BERTH_SEED=N");
    let network = Network::new(3);
    let dir = tempfile::tempdir().unwrap();
    // A member's /tmp is its own.
    let shared = tempfile::Builder::new()
        .prefix("berth-")
        .tempdir_in("/var/tmp")
        .unwrap();
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o777)).unwrap();
    lay_out(dir.path(), network.hosts());
    let hosts = Hosts::start(&network, dir.path());
    let cluster = hosts.cluster();
    cluster.channel().await;
    cluster.apply(&manifest(shared.path()));
    let mut stage = Stage {
        hosts,
        cluster,
        shared: shared.path(),
        attempts: BTreeSet::new(),
    };
    stage.members().await;
    let (held, open) = (stage.held(), stage.open_files());

    stage.boots_alone().await;
    let mut schedule = Schedule::new(seed, network.hosts());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while schedule.count() < faults {
        ticks.tick().await;
        schedule.step(&mut stage.hosts);
        let cut_off = schedule.cut_off();
        stage.look(schedule.count(), &cut_off).await;
    }
    schedule.end(&mut stage.hosts);
    stage.hosts.all_in_contact().await;
    stage.members().await;

    let starts: usize = (0..MEMBERS)
        .map(|n| stage.read(&format!("{SET}-{n}.starts")).len())
        .sum();
    let attempts = stage.attempts.len();
    eprintln!("{schedule}; {starts} starts; {attempts} second starts were attempted");
    assert_eq!(schedule.missing(), [], "each kind came up");
    assert!(attempts > 0, "nothing put the lease to the test");
    assert_eq!(stage.read("overlap").concat(), "", "two ran at once");
    stage.check_numbers();
    wait::until("all to be given back", async || {
        let now = stage.held();
        (now == held)
            .then_some(())
            .ok_or_else(|| format!("{now:?}, and before {held:?}"))
    })
    .await;
    wait::until("files to be closed", async || {
        let now = stage.open_files();
        let closed = now
            .iter()
            .all(|(name, count)| *count <= open[name] + UNDER_WAY);
        closed
            .then_some(())
            .ok_or_else(|| format!("{now:?}, and before {open:?}"))
    })
    .await;
}
