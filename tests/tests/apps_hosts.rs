//! The etcd manifest, unedited, on three hosts with addresses of their own: network namespaces on a
//! bridge, one agent each, the coordinator on a fourth address.

use berth_tests::{etcd, hosts::Hosts, machine, netns::Network};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_manifest_works_on_three_hosts_with_addresses_of_their_own() {
    let network = Network::new(3);
    let dir = tempfile::tempdir().unwrap();
    let berth = Hosts::start(&network, dir.path());
    let cluster = berth.cluster();
    cluster.channel().await;

    cluster.berth(&[
        "apply",
        "-f",
        &etcd::manifest(),
        "--wait",
        "--timeout",
        "60s",
    ]);

    let members = cluster.ready("etcd", 3).await;
    for member in members.values() {
        let number = member.host.trim_start_matches('h');
        assert_eq!(
            member.address,
            format!("10.99.0.{number}"),
            "{} has its host's address",
            member.name
        );
    }
    let health = machine::run(
        network.on("h2", "unshare").args([
            "--mount", "--propagation", "private", "sh", "-c",
            "mount -t tmpfs t /mnt && echo nameserver 127.0.0.153 > /mnt/resolv.conf \
             && mount --bind /mnt/resolv.conf /etc/resolv.conf && ETCDCTL_API=3 etcdctl \
             --endpoints http://etcd-0.etcd.default.svc.berth.internal:2379 endpoint health --cluster",
        ]),
    );
    assert_eq!(health.matches("is healthy").count(), 3, "{health}");
    cluster.berth(&["delete", "sts", "etcd", "--confirm", "etcd", "--wait"]);
}
