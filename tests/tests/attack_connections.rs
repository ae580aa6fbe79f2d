//! Attacks by connections alone, by the numbers of the table in docs/security.md.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Lines, Read, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

use berth_coordinator::pki::{Pki, TlsConfig};
use berth_core::access::Allowance;
use berth_pki::{Credentials, Subject, request::Request, tls};
use berth_proto::{
    transport::{self, ClientTls, Endpoint, Remote},
    v1::{
        ListTokensRequest, WatchEventsRequest, access_service_client::AccessServiceClient,
        event_service_client::EventServiceClient,
    },
};
use berth_tests::{
    attack::{Bed, answered, call, call_on, now},
    machine, wait,
};
use tonic::Code;
use tonic_types::StatusExt as _;

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

/// A coordinator that may have few files open; its log, and where it listens for TLS.
fn limited(dir: &Path) -> (Running, Lines<BufReader<ChildStderr>>, SocketAddr) {
    let config = dir.join("coordinator.yaml");
    let text = format!(
        "listen: ['unix:{0}/c.sock', '127.0.0.1:0']\ndataDir: {0}/data\nmetrics: {{listen: []}}\n",
        dir.display()
    );
    fs::write(&config, text).expect("configuration");
    let script = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"");
    let coordinator = Command::new("/bin/sh")
        .args(["-c", &script])
        .arg(machine::program("berth-coordinator"))
        .arg("--config")
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn();
    let mut coordinator = Running(coordinator.expect("it starts"));
    let errors = coordinator.0.stderr.take().expect("its log");
    let mut log = BufReader::new(errors).lines();
    let port = log.find_map(|line| {
        let line = line.ok()?;
        let (_, at) = line.split_once("127.0.0.1:")?;
        let port: Option<u16> = at.trim().parse().ok();
        port.filter(|_| line.contains("listens"))
    });
    let port = port.expect("it listens");
    (coordinator, log, ([127, 0, 0, 1], port).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_34_more_connections_than_there_are_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let (mut coordinator, mut log, _) = limited(dir.path());
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

/// Reads until the other end is gone.
fn until_cut(connection: &mut impl Read) {
    // A reset is an end, too.
    connection.read_to_end(&mut Vec::new()).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_34_connections_over_tcp_that_never_begin_are_cut_and_others_are_served_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (mut coordinator, mut log, address) = limited(dir.path());
    let patient = |stream: TcpStream| {
        stream.set_read_timeout(Some(wait::PATIENCE)).unwrap();
        stream
    };
    let open = |_| patient(TcpStream::connect(address).unwrap());
    let mut idle: Vec<TcpStream> = (0..CONNECTIONS).map(open).collect();
    let told = |line: std::io::Result<String>| line.unwrap().contains("cannot be taken");
    assert!(log.any(told), "there was room for all of them");
    std::thread::spawn(move || log.for_each(drop));
    // One begins, and never ends.
    idle[0].write_all(&[0x16, 0x03, 0x01]).unwrap();

    let authority = Pki::open(TlsConfig::default(), &dir.path().join("data"), now()).unwrap();
    let request = Request::new().unwrap();
    let subject = Subject::Host("host-1".parse().unwrap());
    let issued = authority.issue(&subject, request.csr(), now()).unwrap();
    let shown = Credentials::new(&request.key_pem(), &issued.certificate, &issued.authority);
    let remote = Remote {
        endpoint: Endpoint::Tcp(address),
        tls: Some(ClientTls::new(tls::client(&shown.unwrap()).unwrap())),
    };
    // An agent tries again, too.
    wait::until("an answer", async || {
        match call(&remote, "/grpc.health.v1.Health/Check").await {
            Ok(Code::Ok) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    idle.iter_mut().for_each(until_cut);
    assert!(coordinator.0.try_wait().unwrap().is_none(), "it goes on");
}

#[tokio::test]
async fn attack_34_a_connection_that_says_nothing_is_cut() {
    let bed = Bed::start().await;
    let mut silent = UnixStream::connect(bed.path("c.sock")).unwrap();
    silent.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    silent.write_all(b"PRI * HTTP").unwrap();
    let cut = tokio::task::spawn_blocking(move || until_cut(&mut silent));
    // Whoever began is not cut, however long he has nothing to ask.
    let root = bed.root().await;
    cut.await.unwrap();
    let mut access = AccessServiceClient::new(root);
    assert!(
        access
            .list_tokens(ListTokensRequest::default())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn attack_33_a_caller_who_asks_in_a_loop_is_told_to_wait_and_keeps_nobody_from_anything() {
    let bed = Bed::start_with(|config| {
        config.limits.allowance = Allowance {
            // So few that no machine is too slow for the loop below.
            per_second: 1,
            at_once: 20,
            streams: 3,
        };
    })
    .await;
    let host = bed.certified(&Subject::Host("host-1".parse().unwrap()), now());
    let path = "/grpc.health.v1.Health/Check";
    let channel = host.connect().await.unwrap();
    let refused = loop {
        let status = call_on(channel.clone(), path).await;
        if status.code() != Code::Ok {
            break status;
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(
        refused.message().contains("for one caller; wait"),
        "{refused}"
    );
    let again = refused.get_details_retry_info().unwrap();
    assert!(again.retry_delay.unwrap() <= Duration::from_secs(1));
    // Over another connection he is the same, and his report is taken all the same.
    answered(&host, "host-1").await.unwrap();
    let other = bed.certified(&Subject::Host("host-2".parse().unwrap()), now());
    assert_eq!(call(&other, path).await.unwrap(), Code::Ok);
}

#[tokio::test]
async fn attack_33_a_caller_has_so_many_streams_on_all_connections_together() {
    let bed = Bed::start_with(|config| config.limits.allowance.streams = 3).await;
    let watch = async || {
        let mut events = EventServiceClient::new(bed.root().await);
        events.watch(WatchEventsRequest::default()).await
    };
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(watch().await.unwrap());
    }
    let refused = watch().await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(
        refused.message().starts_with("3 streams are open"),
        "{refused}"
    );
    open.pop();
    wait::until("room for another", async || match watch().await {
        Ok(_stream) => Ok(()),
        Err(status) if status.code() == Code::ResourceExhausted => Err(status),
        Err(other) => panic!("{other}"),
    })
    .await;
}
