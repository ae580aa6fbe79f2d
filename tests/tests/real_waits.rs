//! Members that cannot start say why, and hold nothing else up; a stop by hand is kept and shown.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{fs, net::TcpListener};

use berth_tests::{cluster::Cluster, dev::Dev, machine};

/// A set of one member that sleeps, with some lines changed.
fn manifest(name: &str, command: &str, user: &str, more: &str) -> String {
    format!(
        "apiVersion: berth/v1\nkind: StatefulSet\nmetadata: {{ name: {name} }}\nspec:\n  \
         replicas: 1\n  template:\n    spec:\n      terminationGracePeriodSeconds: 1\n      \
         processes:\n      - name: main\n        command: {command}\n        user: {user}\n{more}"
    )
}

fn apply(cluster: &Cluster, text: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    cluster.berth(&["apply", "-f", file.path().to_str().unwrap()]);
}

async fn waits(cluster: &Cluster, member: &str, rule: &str) -> String {
    let status = cluster
        .member(member, &format!("waits with {rule}"), |m| {
            m.waiting.as_ref().is_some_and(|w| w.rule == rule)
        })
        .await;
    let waiting = status.waiting.unwrap();
    assert!(
        !waiting.frees.is_empty() && waiting.since_ms > 0,
        "{waiting:?}"
    );
    waiting.message
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_on_the_host_is_named_and_holds_nothing_else_up() {
    let dev = Dev::start(1);
    let cluster = dev.cluster();
    apply(
        cluster,
        &manifest("nobin", "[/usr/bin/no-such-program]", "nobody", ""),
    );
    apply(
        cluster,
        &manifest("nouser", "[/bin/sleep, infinity]", "no-such-user", ""),
    );
    let pool = "        volumeMounts: [{ name: data, mountPath: /mnt/data }]\n  \
                volumeClaimTemplates:\n  - metadata: { name: data }\n    spec:\n      \
                accessModes: [ReadWriteOnce]\n      storageClassName: no-such-pool\n      \
                resources: { requests: { storage: 1Mi } }\n";
    apply(
        cluster,
        &manifest("nopool", "[/bin/sleep, infinity]", "nobody", pool),
    );
    apply(
        cluster,
        &manifest("good", "[/bin/sleep, infinity]", "nobody", ""),
    );

    cluster.ready("good", 1).await;
    let message = waits(cluster, "nobin-0", "CommandMissing").await;
    assert!(message.contains("/usr/bin/no-such-program"), "{message}");
    let message = waits(cluster, "nouser-0", "UserMissing").await;
    assert!(message.contains("no-such-user"), "{message}");
    let message = waits(cluster, "nopool-0", "ClassMissing").await;
    assert!(message.contains("no-such-pool"), "{message}");
    let events = cluster.berth(&["events"]);
    assert!(
        events.contains("CommandMissing") && events.contains("UserMissing"),
        "{events}"
    );
    let status = cluster.berth(&["status"]);
    assert!(status.contains("CommandMissing"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_names_the_program_that_holds_it() {
    let dev = Dev::start(1);
    let cluster = dev.cluster();
    let holder = TcpListener::bind("0.0.0.0:9797").unwrap();
    let ports = "        ports: [{ name: main, containerPort: 9797 }]\n";
    apply(
        cluster,
        &manifest("port", "[/bin/sleep, infinity]", "nobody", ports),
    );

    let message = waits(cluster, "port-0", "PortTaken").await;

    assert!(
        message.contains(&format!("pid {}", std::process::id())),
        "{message}"
    );
    drop(holder);
    cluster.ready("port", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_stop_is_kept_shown_and_survives_the_agent() {
    let dev = Dev::start(1);
    let cluster = dev.cluster();
    apply(
        cluster,
        &manifest("held", "[/bin/sleep, infinity]", "nobody", ""),
    );
    let before = cluster.ready("held", 1).await["held-0"].clone();
    let socket = dev.agent_socket("host-1");
    let local = |verb: &str| cluster.berth(&["local", "--socket", &socket, verb, "held-0"]);

    local("stop");

    waits(cluster, "held-0", "HeldByOperator").await;
    assert!(!machine::alive(before.processes[0].pid));
    machine::kill_9(dev.daemon("berth-agent", "host-1"));
    let member = cluster
        .member("held-0", "is still held", |m| {
            m.waiting
                .as_ref()
                .is_some_and(|w| w.rule == "HeldByOperator")
        })
        .await;
    assert!(!member.ready);
    cluster.channel().await;
    berth_tests::wait::until("the next agent to take the order", async || {
        let output = cluster.try_berth(&["local", "--socket", &socket, "start", "held-0"]);
        if output.status.success() {
            Ok(())
        } else {
            Err(output)
        }
    })
    .await;
    cluster.ready("held", 1).await;
}
