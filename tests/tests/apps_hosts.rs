//! The etcd manifest, unedited, on three hosts with addresses of their own: network namespaces on a
//! bridge, one agent each, the coordinator on a fourth address.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{fs, fs::File, path::Path};

use berth_proto::transport::Endpoint;
use berth_tests::{
    cluster::Cluster,
    etcd, machine,
    netns::{Background, Network},
};

const COORDINATOR: &str = "10.99.0.254:7400";

fn log(dir: &Path, name: &str) -> File {
    File::create(dir.join(format!("{name}.log"))).unwrap()
}

fn start_coordinator(dir: &Path) -> Background {
    let config = dir.join("coordinator.yaml");
    fs::write(
        &config,
        format!(
            "listen: [\"unix:{0}/coordinator.sock\", \"{COORDINATOR}\"]\ndataDir: {0}/coordinator\n",
            dir.display()
        ),
    )
    .unwrap();
    Background::start(
        std::process::Command::new(machine::program("berth-coordinator"))
            .arg("--config")
            .arg(config)
            .stderr(log(dir, "coordinator")),
    )
}

fn start_agent(network: &Network, dir: &Path, host: &str) -> Background {
    let own = dir.join(host);
    // An agent makes no pool: a missing one may be a disk that is not mounted.
    fs::create_dir_all(own.join("volumes")).unwrap();
    let config = own.join("agent.yaml");
    let number = host.trim_start_matches('h');
    fs::write(
        &config,
        format!(
            "host: {host}\ncoordinator: {COORDINATOR}\nadvertiseAddress: 10.99.0.{number}\n\
             pools: {{ default: {0}/volumes }}\ndataDir: {0}/data\nrunDir: {0}/run\n\
             logDir: {0}/log\nlocal: \"unix:{0}/agent.sock\"\n\
             dns: {{ listen: [\"127.0.0.153:53\"] }}\n",
            own.display()
        ),
    )
    .unwrap();
    Background::start(
        network
            .on(host, machine::program("berth-agent"))
            .arg("--config")
            .arg(config)
            .stderr(log(dir, host)),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_manifest_works_on_three_hosts_with_addresses_of_their_own() {
    let network = Network::new(3);
    let dir = tempfile::tempdir().unwrap();
    let _coordinator = start_coordinator(dir.path());
    let _agents: Vec<_> = network
        .hosts()
        .iter()
        .map(|host| start_agent(&network, dir.path(), host))
        .collect();
    let cluster = Cluster::at(Endpoint::Unix(dir.path().join("coordinator.sock")));
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
