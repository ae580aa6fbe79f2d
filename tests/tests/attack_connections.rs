//! Attacks by connections alone, by the numbers of the table in docs/security.md.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use berth_proto::{
    transport::{self, Endpoint},
    v1::{ListTokensRequest, access_service_client::AccessServiceClient},
};
use berth_tests::machine;

/// Descriptors that the coordinator may have, and connections that are opened.
const DESCRIPTORS: usize = 96;
const CONNECTIONS: usize = 2 * DESCRIPTORS;
/// How often it is heard to find no room, and the shortest time between two of them: it tries every 50 ms.
const TRIES: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(40);

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_34_more_connections_than_there_are_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("coordinator.yaml");
    let text = format!(
        "listen: ['unix:{0}/c.sock']\ndataDir: {0}/data\nmetrics: {{listen: []}}\n",
        dir.path().display()
    );
    fs::write(&config, text).unwrap();
    let script = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"");
    let coordinator = Command::new("/bin/sh")
        .args(["-c", &script])
        .arg(machine::program("berth-coordinator"))
        .arg("--config")
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn();
    let mut coordinator = Running(coordinator.unwrap());
    let mut log = BufReader::new(coordinator.0.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("listens")));

    let socket = dir.path().join("c.sock");
    let open = |_| UnixStream::connect(&socket).unwrap();
    let connections: Vec<UnixStream> = (0..CONNECTIONS).map(open).collect();
    let mut full = || {
        let told = |line: std::io::Result<String>| line.unwrap().contains("cannot be taken");
        assert!(log.any(told), "it went on, or ended");
    };
    full();
    let since = Instant::now();
    (0..TRIES).for_each(|_| full());
    assert!(
        since.elapsed() >= TRIES * BETWEEN,
        "it tries without a pause"
    );
    assert!(coordinator.0.try_wait().unwrap().is_none(), "it goes on");

    drop(connections);
    // Nobody reads its log any more: what it still says must not hold it up.
    std::thread::spawn(move || log.for_each(drop));
    let channel = transport::connect(&Endpoint::Unix(socket)).await.unwrap();
    let listed = AccessServiceClient::new(channel)
        .list_tokens(ListTokensRequest::default())
        .await;
    assert!(listed.unwrap().into_inner().tokens.is_empty());
}
