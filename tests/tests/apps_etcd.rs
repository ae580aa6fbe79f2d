//! Real etcd: three members from the example's manifest, and every daemon and process killed once.

use berth_tests::{
    cluster::one_by_one,
    dev::Dev,
    etcd::{self, DOMAIN},
    machine::{alive, kill_9, parent_of},
    wait,
};

const DNS: &str = "127.0.0.153";

async fn three_members() -> Dev {
    let dev = Dev::start(3);
    dev.cluster().berth(&[
        "apply",
        "-f",
        &etcd::manifest(),
        "--wait",
        "--timeout",
        "60s",
    ]);
    dev.cluster().ready("etcd", 3).await;
    dev
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_form_a_cluster_and_answer_by_their_names() {
    let dev = three_members().await;
    let members = dev.cluster().ready("etcd", 3).await;

    let health = etcd::answer(DNS, 0, &["endpoint", "health", "--cluster"]).await;
    for ordinal in 0..3 {
        assert!(health.contains(&format!("http://etcd-{ordinal}.{DOMAIN}:2379 is healthy")));
    }
    let hosts: std::collections::BTreeSet<_> = members.values().map(|m| m.host.clone()).collect();
    assert_eq!(hosts.len(), 3, "members are spread over the hosts");
    let addresses: std::collections::BTreeSet<_> = members.values().map(|m| &m.address).collect();
    assert_eq!(addresses.len(), 3, "each member has an address of its own");
    for dns in ["127.0.0.153", "127.0.0.154", "127.0.0.155"] {
        etcd::put(dns, 1, "greeting", "hello").await;
        assert_eq!(etcd::get(dns, 2, "greeting").await, "hello");
    }
    dev.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_etcd_process_comes_back_with_its_data_name_and_address() {
    let dev = three_members().await;
    etcd::put(DNS, 0, "kept", "yes").await;
    let before = dev.cluster().ready("etcd", 3).await["etcd-1"].clone();

    kill_9(before.processes[0].pid);

    let after = dev
        .cluster()
        .member("etcd-1", "another process is ready", |m| {
            m.ready
                && m.processes
                    .iter()
                    .any(|p| p.pid != 0 && p.pid != before.processes[0].pid)
        })
        .await;
    assert_eq!(
        (&after.host, &after.address, &after.epoch),
        (&before.host, &before.address, &before.epoch)
    );
    assert_eq!(after.restarts, before.restarts + 1);
    assert_eq!(etcd::get(DNS, 1, "kept").await, "yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_leaves_its_member_running_and_the_next_one_adopts_it() {
    let dev = three_members().await;
    let before = dev.cluster().ready("etcd", 3).await["etcd-0"].clone();
    let agent = dev.daemon("berth-agent", &before.host);

    kill_9(agent);

    assert!(alive(before.processes[0].pid), "etcd outlives the agent");
    wait::until("another agent", async || {
        let now = std::panic::catch_unwind(|| dev.daemon("berth-agent", &before.host));
        now.ok().filter(|pid| *pid != agent).ok_or("none yet")
    })
    .await;
    let after = dev
        .cluster()
        .member("etcd-0", "is reported ready again", |m| m.ready)
        .await;
    assert_eq!(after.processes[0].pid, before.processes[0].pid);
    assert_eq!(
        (after.epoch, after.restarts),
        (before.epoch, before.restarts)
    );
    // The adopted member is in the new agent's hands: its next crash is seen and mended.
    kill_9(before.processes[0].pid);
    dev.cluster()
        .member("etcd-0", "is restarted", |m| {
            m.ready && m.restarts == before.restarts + 1
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_keeper_takes_every_process_with_it_and_the_member_starts_again() {
    let dev = three_members().await;
    let before = dev.cluster().ready("etcd", 3).await["etcd-2"].clone();
    let process = before.processes[0].pid;
    let keeper = parent_of(process).unwrap();

    kill_9(keeper);

    wait::until("no process of the member to be left", async || {
        if alive(process) {
            Err("etcd lives")
        } else {
            Ok(())
        }
    })
    .await;
    let after = dev
        .cluster()
        .member("etcd-2", "another process is ready", |m| {
            m.ready && m.processes.iter().any(|p| p.pid != 0 && p.pid != process)
        })
        .await;
    assert_eq!((after.host, after.address), (before.host, before.address));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_coordinator_etcd_serves_on_and_everything_is_there_when_it_returns() {
    let dev = three_members().await;
    let before = dev.cluster().ready("etcd", 3).await;
    let coordinator = dev.daemon("berth-coordinator", "coordinator");

    kill_9(coordinator);

    etcd::put(DNS, 0, "while", "away").await;
    assert_eq!(etcd::get("127.0.0.155", 2, "while").await, "away");
    let after = dev.cluster().ready("etcd", 3).await;
    for (name, member) in &before {
        let now = &after[name];
        assert_eq!(
            now.processes[0].pid, member.processes[0].pid,
            "{name} was not touched"
        );
        assert_eq!(
            (&now.epoch, &now.host, &now.address),
            (&member.epoch, &member.host, &member.address)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_replica_count_is_refused_with_the_reason() {
    let dev = three_members().await;

    let output = dev
        .cluster()
        .try_berth(&["scale", "sts/etcd", "--replicas", "5", "--yes"]);

    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("membership") && error.contains("Static"),
        "{error}"
    );
    assert!(error.contains("hint:"), "{error}");
    assert_eq!(dev.cluster().members("etcd").await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_set_stops_from_the_highest_ordinal_and_keeps_its_volumes() {
    let dev = three_members().await;
    etcd::put(DNS, 0, "kept", "for ever").await;

    dev.cluster()
        .berth(&["delete", "sts", "etcd", "--confirm", "etcd", "--wait"]);

    let departures = dev.cluster().departures("etcd").await;
    assert_eq!(departures, one_by_one(&["etcd-2", "etcd-1", "etcd-0"]));
    let claims = dev.cluster().berth(&["get", "pvc"]);
    for ordinal in 0..3 {
        assert!(claims.contains(&format!("data-etcd-{ordinal}")), "{claims}");
    }

    // Made again, the set takes its claims back: it is no founder any more, and has its data.
    dev.cluster().berth(&[
        "apply",
        "-f",
        &etcd::manifest(),
        "--wait",
        "--timeout",
        "60s",
    ]);
    dev.cluster().ready("etcd", 3).await;
    assert_eq!(etcd::get(DNS, 1, "kept").await, "for ever");
}
