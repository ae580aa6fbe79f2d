//! What hosts do by themselves: whole sites lose power and come back in any order, a stop by hand
//! outlives everything, a copy of a disk starts nothing, and planned restarts are noticed by no member.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use berth_proto::v1::MemberStatus;
use berth_tests::{cluster::Cluster, hosts::Hosts, machine, netns::Network, wait};

const HOSTS: [&str; 3] = ["h1", "h2", "h3"];
const COORDINATOR: &str = "coordinator";

/// Members that each have data, and are ready only while they find each other by name.
const KEEP: &str = "
apiVersion: berth/v1
kind: StatefulSet
metadata: { name: keep }
spec:
  replicas: 3
  serviceName: keep
  podManagementPolicy: Parallel
  template:
    metadata: { labels: { app: keep } }
    spec:
      terminationGracePeriodSeconds: 1
      processes:
      - name: main
        user: nobody
        command: [/bin/sh, -c, 'echo $(uname -n) >> /data/starts; exec sleep infinity']
        volumeMounts: [{ name: data, mountPath: /data }]
        readinessProbe:
          periodSeconds: 1
          exec:
            command: [/usr/bin/getent, hosts, keep-0.keep, keep-1.keep, keep-2.keep]
  volumeClaimTemplates:
  - metadata: { name: data }
    spec:
      accessModes: [ReadWriteOnce]
      resources: { requests: { storage: 1Mi } }
---
apiVersion: v1
kind: Service
metadata: { name: keep }
spec: { clusterIP: None, selector: { app: keep } }
";

struct Site<'a> {
    hosts: Hosts<'a>,
    cluster: Cluster,
}

impl<'a> Site<'a> {
    async fn start(network: &'a Network, dir: &Path) -> Self {
        let hosts = Hosts::start(network, dir);
        let cluster = hosts.cluster();
        cluster.channel().await;
        Self { hosts, cluster }
    }

    fn boot(&mut self, what: &str) {
        if what == COORDINATOR {
            self.hosts.start_coordinator();
        } else {
            self.hosts.start_agent(what);
        }
    }

    /// Waits until the members of a host are as expected, as its agent tells it.
    async fn on_host(&self, host: &str, what: &str, are: impl Fn(&MemberStatus) -> bool) {
        let home = self.hosts.home(host);
        wait::until(&format!("the members of {host}: {what}"), async || {
            let members = self.hosts.local(&home).await?;
            let fits = !members.is_empty() && members.values().all(&are);
            fits.then_some(()).ok_or_else(|| format!("{members:?}"))
        })
        .await;
    }

    /// How often a member was started, as it wrote it down itself.
    fn starts(&self, member: &MemberStatus) -> Vec<String> {
        let home = self.hosts.home(&member.host);
        let file = format!("volumes/default_data-{}/data/starts", member.name);
        let starts = fs::read_to_string(home.join(file)).unwrap();
        starts.lines().map(str::to_owned).collect()
    }
}

/// What stays as it was: where each member is, under which grant, with which address.
fn places(members: &BTreeMap<String, MemberStatus>) -> BTreeSet<[String; 4]> {
    let place = |m: &MemberStatus| [&m.name, &m.host, &m.epoch, &m.address].map(Clone::clone);
    members.values().map(place).collect()
}

fn pids(members: &BTreeMap<String, MemberStatus>) -> BTreeSet<u32> {
    members
        .values()
        .map(|member| member.processes[0].pid)
        .collect()
}

fn waits(member: &MemberStatus, rule: &str) -> bool {
    member.waiting.as_ref().is_some_and(|w| w.rule == rule)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_lost_power_is_as_before_in_whatever_order_it_comes_back() {
    let network = Network::new(3);
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::start(&network, dir.path()).await;
    site.cluster.apply(KEEP);
    let before = site.cluster.ready("keep", 3).await;

    let orders = [
        ["h1", "h2", "h3", COORDINATOR],
        [COORDINATOR, "h3", "h2", "h1"],
        ["h2", COORDINATOR, "h1", "h3"],
    ];
    for (round, order) in orders.into_iter().enumerate() {
        site.hosts.kill_coordinator();
        for host in HOSTS {
            site.hosts.power_off(host);
        }
        for what in order {
            site.boot(what);
        }
        let after = site.cluster.ready("keep", 3).await;
        site.hosts.all_in_contact().await;
        assert_eq!(places(&after), places(&before), "round {round}");
        for member in after.values() {
            let starts = site.starts(member);
            assert_eq!(
                starts,
                vec![member.name.clone(); round + 2],
                "once per boot"
            );
        }
    }

    // And with no coordinator at all: by probes that ask for names.
    site.hosts.kill_coordinator();
    for host in HOSTS {
        site.hosts.power_off(host);
    }
    for host in HOSTS {
        site.hosts.start_agent(host);
    }
    for host in HOSTS {
        site.on_host(host, "are ready", |m| m.ready).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_their_service_are_found_by_the_short_forms_of_their_names() {
    let network = Network::new(3);
    let dir = tempfile::tempdir().unwrap();
    let site = Site::start(&network, dir.path()).await;
    site.cluster.apply(KEEP);
    let members = site.cluster.ready("keep", 3).await;
    let lines = |of: &[&str]| {
        let of = of.iter().map(|name| members[*name].address.clone());
        of.collect::<BTreeSet<String>>()
    };
    let (all, one) = (lines(&["keep-0", "keep-1", "keep-2"]), lines(&["keep-1"]));
    let service = ["keep", "keep.default", "keep.default.svc"];
    let member = ["keep-1.keep", "keep-1.keep.default"];
    let service = service.map(|name| (name, &all));
    let member = member.map(|name| (name, &one));
    for (name, expected) in service.into_iter().chain(member) {
        let ask = ["exec", "keep-0", "--", "getent", "ahostsv4", name];
        wait::until(&format!("{name} to be found"), async || {
            let output = site.cluster.try_berth(&ask);
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            let found = told.lines().filter_map(|line| line.split(' ').next());
            let found: BTreeSet<String> = found.map(str::to_owned).collect();
            (found == *expected).then_some(()).ok_or(told)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_by_hand_outlives_the_coordinator_and_the_boot() {
    let network = Network::new(3);
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::start(&network, dir.path()).await;
    site.cluster.apply(KEEP);
    let before = site.cluster.ready("keep", 3).await;
    let host = before["keep-1"].host.clone();
    let socket = format!("unix:{}/agent.sock", site.hosts.home(&host).display());
    let local = |site: &Site<'_>, verb: &str| {
        let args = ["local", "--socket", &socket, verb, "keep-1"];
        site.cluster.berth(&args)
    };

    site.hosts.kill_coordinator();
    local(&site, "stop");
    assert!(!machine::alive(before["keep-1"].processes[0].pid));
    site.hosts.power_off(&host);
    site.hosts.start_agent(&host);
    site.on_host(&host, "is still held", |m| waits(m, "HeldByOperator"))
        .await;
    site.hosts.start_coordinator();
    let held = |m: &MemberStatus| waits(m, "HeldByOperator");
    site.cluster
        .member("keep-1", "is shown as held", held)
        .await;
    assert_eq!(
        site.starts(&before["keep-1"]).len(),
        1,
        "it was not started"
    );

    local(&site, "start");
    let after = site.cluster.ready("keep", 3).await;
    assert_eq!(places(&after), places(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_disk_starts_nothing_and_the_machine_itself_does() {
    let network = Network::new(4);
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::start(&network, dir.path()).await;
    site.cluster.apply(KEEP);
    let before = site.cluster.ready("keep", 3).await;
    let of = before["keep-0"].host.clone();
    let used: BTreeSet<&str> = before.values().map(|m| m.host.as_str()).collect();
    let mut all = network.hosts().iter();
    let free = all
        .find(|host| !used.contains(host.as_str()))
        .unwrap()
        .clone();
    site.hosts.kill_coordinator();
    site.hosts.kill_agent(&free);

    // Nobody is there whom the copy could ask.
    let copy = site
        .hosts
        .start_copy(&of, &free, "00000000000000000000000000000001");
    let barred = async |site: &Site<'_>| {
        wait::until("the copy to say why it starts nothing", async || {
            let members = site.hosts.local(&copy).await?;
            let barred = !members.is_empty() && members.values().all(|m| waits(m, "OtherMachine"));
            barred.then_some(()).ok_or_else(|| format!("{members:?}"))
        })
        .await;
    };
    barred(&site).await;
    // The machine that it was copied from loses power, and comes back as what it is.
    site.hosts.power_off(&of);
    site.hosts.start_agent(&of);
    site.on_host(&of, "are ready", |m| m.ready).await;
    site.hosts.start_coordinator();
    let after = site.cluster.ready("keep", 3).await;
    assert_eq!(places(&after), places(&before));
    barred(&site).await;
    let copied = copy.join("volumes/default_data-keep-0/data/starts");
    assert_eq!(
        fs::read_to_string(copied).unwrap(),
        "keep-0\n",
        "the copied line"
    );
    assert_eq!(site.starts(&after["keep-0"]).len(), 2);
}

const FAST: &str = "
apiVersion: berth/v1
kind: StatefulSet
metadata: { name: fast }
spec:
  replicas: 3
  failurePolicy: Failover
  leaseClass: Fast
  podManagementPolicy: Parallel
  template:
    spec:
      terminationGracePeriodSeconds: 1
      processes:
      - { name: main, user: nobody, command: [/bin/sleep, infinity] }
";

#[tokio::test(flavor = "multi_thread")]
async fn planned_restarts_under_the_fast_class_stop_no_member() {
    let network = Network::new(3);
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::start(&network, dir.path()).await;
    site.cluster.apply(FAST);
    let before = site.cluster.ready("fast", 3).await;
    for _ in 0..3 {
        site.hosts.stop_coordinator();
        site.hosts.start_coordinator();
        site.hosts.all_in_contact().await;
        for host in HOSTS {
            site.hosts.stop_agent(host);
            site.hosts.start_agent(host);
            site.on_host(host, "are ready", |m| m.ready).await;
        }
        site.hosts.all_in_contact().await;
    }
    // Both ends at once, as when all packages are upgraded.
    site.hosts.stop_coordinator();
    for host in HOSTS {
        site.hosts.stop_agent(host);
    }
    site.hosts.start_coordinator();
    for host in HOSTS {
        site.hosts.start_agent(host);
    }
    site.hosts.all_in_contact().await;
    let after = site.cluster.ready("fast", 3).await;
    assert_eq!(places(&after), places(&before));
    assert_eq!(pids(&after), pids(&before));
}
