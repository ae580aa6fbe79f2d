//! An agent that is killed again and again, at every stage of its start, while its members run and some
//! of them are being restarted: none is lost, none runs twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use berth_proto::v1::MemberStatus;
use berth_tests::{cluster::Cluster, hosts::Hosts, machine, netns::Network, wait};

const MEMBERS: usize = 20;
const HOST: &str = "h1";
/// What every process of a member is, and nothing else on this machine.
const SLEEP: &str = "sleep 7777777";
/// After so many kills, a member is being restarted while the next ones come.
const RESTART_EVERY: usize = 10;

/// A member holds a lock for as long as it runs, and says so if another one has it.
fn manifest(shared: &Path) -> String {
    let dir = shared.display();
    format!(
        "apiVersion: berth/v1
kind: StatefulSet
metadata: {{ name: many }}
spec:
  replicas: {MEMBERS}
  spread: Prefer
  podManagementPolicy: Parallel
  template:
    spec:
      terminationGracePeriodSeconds: 1
      processes:
      - name: main
        user: nobody
        command:
        - /bin/sh
        - -c
        - exec 9>>{dir}/$(uname -n); flock -n 9 || uname -n >> {dir}/overlap; exec {SLEEP}
"
    )
}

fn pids(members: &BTreeMap<String, MemberStatus>) -> BTreeMap<String, u32> {
    let pid = |(name, member): (&String, &MemberStatus)| (name.clone(), member.processes[0].pid);
    members.iter().map(pid).collect()
}

/// Waits until the agent has said so many times that it took a member up again.
async fn adopted(hosts: &Hosts<'_>, before: usize, count: usize) {
    wait::until(&format!("{count} adopted members"), async || {
        let log = hosts.log(HOST);
        let adopted = log[before..].matches("adopted").count();
        (adopted >= count).then_some(()).ok_or(adopted)
    })
    .await;
}

/// Waits until the agent itself says that all its members are ready, and gives them back.
async fn all_ready(hosts: &Hosts<'_>) -> BTreeMap<String, MemberStatus> {
    let home = hosts.home(HOST);
    wait::until("all members to be ready", async || {
        let members = hosts.local(&home).await?;
        let ready = members.len() == MEMBERS && members.values().all(|m| m.ready);
        let seen = || {
            members
                .values()
                .filter(|m| !m.ready)
                .cloned()
                .collect::<Vec<_>>()
        };
        if ready {
            Ok(members)
        } else {
            Err(format!("{:?}", seen()))
        }
    })
    .await
}

fn restart(cluster: &Cluster, member: &str) {
    cluster.berth(&["member", "restart", "--yes", member]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_again_and_again_loses_and_doubles_nobody() {
    let full = std::env::var_os("BERTH_FULL").is_some();
    let kills = if full { 1_000 } else { 100 };
    let network = Network::new(1);
    let dir = tempfile::tempdir().unwrap();
    // A member's /tmp is its own.
    let shared = tempfile::Builder::new()
        .prefix("berth-")
        .tempdir_in("/var/tmp")
        .unwrap();
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let mut hosts = Hosts::start(&network, dir.path());
    let cluster = hosts.cluster();
    cluster.channel().await;
    cluster.apply(&manifest(shared.path()));
    let first = pids(&cluster.ready("many", MEMBERS).await);
    let mut restarted = BTreeSet::new();

    for kill in 0..kills {
        if kill % RESTART_EVERY == RESTART_EVERY - 1 {
            let members = all_ready(&hosts).await;
            cluster.ready("many", MEMBERS).await;
            let member = members.keys().nth(kill / RESTART_EVERY % MEMBERS).unwrap();
            restart(&cluster, member);
            restarted.insert(member.clone());
        }
        let before = hosts.log(HOST).len();
        hosts.kill_agent(HOST);
        hosts.start_agent(HOST);
        // From right after its start to long after it was at work: not one member is without a keeper
        // while one is restarted, so that fewer may be adopted.
        adopted(&hosts, before, kill % (MEMBERS - 1)).await;
    }

    // The last ones may be about to begin.
    for name in &restarted {
        let again = |m: &MemberStatus| m.ready && m.processes[0].pid != first[name];
        cluster.member(name, "runs again", again).await;
    }
    let members = all_ready(&hosts).await;
    let last = pids(&members);
    let stayed = |(name, _): &(&String, &u32)| !restarted.contains(*name);
    assert!(
        first.iter().filter(stayed).eq(last.iter().filter(stayed)),
        "{first:?} became {last:?}, and {restarted:?} were restarted"
    );
    let known: BTreeSet<u32> = last.into_values().collect();
    // A member that has just begun asks for its name in a process of its own.
    wait::until("nobody to run but who is known", async || {
        let running: BTreeSet<u32> = machine::processes_with(&[SLEEP]).into_iter().collect();
        if running == known {
            Ok(())
        } else {
            Err((running, known.clone()))
        }
    })
    .await;
    assert!(members.values().all(|m| m.restarts == 0), "{members:?}");
    let overlap = fs::read_to_string(shared.path().join("overlap")).unwrap_or_default();
    assert_eq!(overlap, "", "two ran at once");
}
