//! The DNS server over real sockets on loopback, asked by an independent client: hickory's
//! resolver.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use berth_agent::dns::{DnsConfig, DnsError, DnsServer, PublishError, Upstreams};
use berth_core::{
    ids::{ContentHash, ZoneSerial},
    zone::{RecordData, Zone},
};
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{NameServerConfig, ResolverConfig, ResolverOpts},
    net::{DnsError as Refusal, NetError, runtime::TokioRuntimeProvider},
    proto::{op::ResponseCode, rr::RecordType},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

const MEMBER: &str = "web-0.web.default.svc.berth.internal.";

fn zone(serial: u64, origin: &str, records: &[(&str, Vec<RecordData>)]) -> Zone {
    Zone {
        origin: origin.to_owned(),
        serial: ZoneSerial(serial),
        records: records
            .iter()
            .map(|(name, set)| (name.trim_end_matches('.').to_owned(), set.clone()))
            .collect(),
    }
}

fn member_zone(serial: u64, last: u8) -> Zone {
    let many = (0..=255).map(|d| RecordData::A(Ipv4Addr::new(127, 77, 9, d)));
    let srv = RecordData::Srv {
        priority: 0,
        weight: 1,
        port: 80,
        target: MEMBER.to_owned(),
    };
    zone(
        serial,
        "berth.internal",
        &[
            (MEMBER, vec![RecordData::A(Ipv4Addr::new(127, 77, 1, last))]),
            ("web-1.web.default.svc.berth.internal", vec![]),
            ("_http._tcp.web.default.svc.berth.internal", vec![srv]),
            ("many.default.svc.berth.internal", many.collect()),
            (
                "0.1.77.10.in-addr.arpa",
                vec![RecordData::Ptr(MEMBER.to_owned())],
            ),
        ],
    )
}

async fn start(dir: &Path, upstreams: Vec<SocketAddr>) -> DnsServer {
    DnsServer::start(config(dir, upstreams)).await.unwrap()
}

fn config(dir: &Path, upstreams: Vec<SocketAddr>) -> DnsConfig {
    DnsConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        upstreams: Upstreams::These(upstreams),
        data_dir: dir.to_owned(),
        origin: "berth.internal".to_owned(),
    }
}

async fn publish(server: &DnsServer, zone: &Zone) {
    server.publish(zone.clone(), &zone.hash()).await.unwrap();
}

fn client(server: &DnsServer) -> TokioResolver {
    let address = server.local()[0];
    let mut upstream = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut upstream.connections {
        connection.port = address.port();
    }
    let mut options = ResolverOpts::default();
    options.cache_size = 0;
    let provider = TokioRuntimeProvider::default();
    Resolver::builder_with_config(ResolverConfig::from_name_servers(vec![upstream]), provider)
        .with_options(options)
        .build()
        .unwrap()
}

async fn ask(client: &TokioResolver, name: &str, kind: RecordType) -> Vec<String> {
    let lookup = client.lookup(name, kind).await.unwrap();
    lookup
        .answers()
        .iter()
        .map(|r| r.data.to_string())
        .collect()
}

async fn refusal(client: &TokioResolver, name: &str) -> ResponseCode {
    let error = client.lookup(name, RecordType::A).await.unwrap_err();
    if let NetError::Dns(Refusal::NoRecordsFound(none)) = error {
        none.response_code
    } else if let NetError::Dns(Refusal::ResponseCode(code)) = error {
        code
    } else {
        panic!("{name}: {error}")
    }
}

#[tokio::test]
async fn a_resolver_finds_members_services_and_addresses() {
    let dir = TempDir::new().unwrap();
    let server = start(dir.path(), vec![]).await;
    let zone = member_zone(1, 0);
    publish(&server, &zone).await;
    assert_eq!(server.serving(), (ZoneSerial(1), zone.hash()));

    let client = client(&server);
    assert_eq!(ask(&client, MEMBER, RecordType::A).await, ["127.77.1.0"]);
    let srv = "_http._tcp.web.default.svc.berth.internal.";
    assert_eq!(
        ask(&client, srv, RecordType::SRV).await,
        [format!("0 1 80 {MEMBER}")]
    );
    let back = "0.1.77.10.in-addr.arpa.";
    assert_eq!(ask(&client, back, RecordType::PTR).await, [MEMBER]);

    let absent = "web-7.web.default.svc.berth.internal.";
    assert_eq!(refusal(&client, absent).await, ResponseCode::NXDomain);
    let declared = "web-1.web.default.svc.berth.internal.";
    assert_eq!(refusal(&client, declared).await, ResponseCode::NoError);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_too_long_for_a_datagram_comes_over_tcp() {
    let dir = TempDir::new().unwrap();
    let server = start(dir.path(), vec![]).await;
    publish(&server, &member_zone(1, 0)).await;
    let name = "many.default.svc.berth.internal.";
    assert_eq!(ask(&client(&server), name, RecordType::A).await.len(), 256);
}

#[tokio::test]
async fn other_names_come_from_the_upstream() {
    let dirs = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let upstream = start(dirs[0].path(), vec![]).await;
    let elsewhere = [
        (
            "www.example.test",
            vec![RecordData::A(Ipv4Addr::new(192, 0, 2, 1))],
        ),
        ("empty.example.test", vec![]),
    ];
    publish(&upstream, &zone(1, "example.test", &elsewhere)).await;
    let server = start(dirs[1].path(), upstream.local().to_vec()).await;
    publish(&server, &member_zone(1, 0)).await;

    let client = client(&server);
    assert_eq!(
        ask(&client, "www.example.test.", RecordType::A).await,
        ["192.0.2.1"]
    );
    assert_eq!(
        refusal(&client, "empty.example.test.").await,
        ResponseCode::NoError
    );
    assert_eq!(
        refusal(&client, "no.example.test.").await,
        ResponseCode::NXDomain
    );
    assert_eq!(ask(&client, MEMBER, RecordType::A).await, ["127.77.1.0"]);
}

#[tokio::test]
async fn without_upstreams_other_names_are_refused() {
    let dir = TempDir::new().unwrap();
    let server = start(dir.path(), vec![]).await;
    assert_eq!(
        refusal(&client(&server), "example.test.").await,
        ResponseCode::Refused
    );
    // And ours are not denied while no zone says so.
    assert_eq!(
        refusal(&client(&server), MEMBER).await,
        ResponseCode::ServFail
    );
}

#[tokio::test]
async fn a_new_zone_is_served_when_publish_returns() {
    let dir = TempDir::new().unwrap();
    let server = start(dir.path(), vec![]).await;
    let client = client(&server);
    for last in 0..20 {
        publish(&server, &member_zone(u64::from(last), last)).await;
        assert_eq!(
            ask(&client, MEMBER, RecordType::A).await,
            [format!("127.77.1.{last}")]
        );
    }
}

#[tokio::test]
async fn the_last_zone_is_served_again_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let server = start(dir.path(), vec![]).await;
    let zone = member_zone(4, 0);
    publish(&server, &zone).await;
    server.stop().await;

    let server = start(dir.path(), vec![]).await;
    assert_eq!(server.serving(), (ZoneSerial(4), zone.hash()));
    assert_eq!(
        ask(&client(&server), MEMBER, RecordType::A).await,
        ["127.77.1.0"]
    );
}

#[tokio::test]
async fn a_damaged_file_is_not_served() {
    let dir = TempDir::new().unwrap();
    let server = start(dir.path(), vec![]).await;
    publish(&server, &member_zone(4, 0)).await;
    server.stop().await;
    let file = dir.path().join("zone.json");
    let text = fs::read_to_string(&file).unwrap();
    for damaged in [
        text.replace("127.77.1.0", "127.77.1.9"),
        text[..text.len() / 2].to_owned(),
    ] {
        assert_ne!(damaged, text);
        fs::write(&file, damaged).unwrap();
        let server = start(dir.path(), vec![]).await;
        assert_eq!(server.serving(), (ZoneSerial(0), ContentHash::default()));
        server.stop().await;
    }
}

#[tokio::test]
async fn a_zone_with_another_hash_is_refused_and_the_old_one_stays() {
    let dir = TempDir::new().unwrap();
    let server = start(dir.path(), vec![]).await;
    publish(&server, &member_zone(1, 0)).await;
    let (zone, other) = (member_zone(2, 1), member_zone(2, 2));
    let refused = server.publish(zone, &other.hash()).await.unwrap_err();
    assert!(
        matches!(
            refused,
            PublishError::Hash {
                serial: ZoneSerial(2)
            }
        ),
        "{refused}"
    );
    assert_eq!(server.serving().0, ZoneSerial(1));
    assert_eq!(
        ask(&client(&server), MEMBER, RecordType::A).await,
        ["127.77.1.0"]
    );
}

#[tokio::test]
async fn a_zone_that_cannot_be_kept_is_served_and_not_acknowledged() {
    let dir = TempDir::new().unwrap();
    let occupied = dir.path().join("occupied");
    fs::write(&occupied, "").unwrap();
    let server = start(&occupied, vec![]).await;
    let zone = member_zone(1, 0);
    let error = server
        .publish(zone.clone(), &zone.hash())
        .await
        .unwrap_err();
    assert!(matches!(error, PublishError::Persist(_)), "{error}");
    assert_eq!(
        ask(&client(&server), MEMBER, RecordType::A).await,
        ["127.77.1.0"]
    );
}

#[tokio::test]
async fn a_second_server_on_the_same_address_is_refused() {
    let dir = TempDir::new().unwrap();
    let first = start(dir.path(), vec![]).await;
    let taken = |listen: SocketAddr| DnsConfig {
        listen: vec![listen],
        ..config(dir.path(), vec![])
    };
    let error = DnsServer::start(taken(first.local()[0])).await.unwrap_err();
    assert!(error.to_string().contains("dns.listen"), "{error}");
    let error = DnsServer::start(taken("0.0.0.0:53".parse().unwrap()))
        .await
        .unwrap_err();
    assert!(matches!(error, DnsError::Unspecified { .. }), "{error}");
}

#[tokio::test]
async fn broken_questions_leave_both_transports_working() {
    let dir = TempDir::new().unwrap();
    let server = start(dir.path(), vec![]).await;
    publish(&server, &member_zone(1, 0)).await;
    let address = server.local()[0];

    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for garbage in [&b""[..], b"x", &[0xff; 12], &[0; 512], &[0xc0; 9000]] {
        socket.send_to(garbage, address).await.unwrap();
    }
    // A length that never comes true, and one of nothing.
    for garbage in [&b"\xff\xffabc"[..], b"\0\0", b"\0"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
        assert!(rest.is_empty(), "{rest:?}");
    }
    assert_eq!(
        ask(&client(&server), MEMBER, RecordType::A).await,
        ["127.77.1.0"]
    );
    let many = "many.default.svc.berth.internal.";
    assert_eq!(ask(&client(&server), many, RecordType::A).await.len(), 256);
}

#[tokio::test]
async fn an_upstream_that_is_silent_holds_nothing_up() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let dir = TempDir::new().unwrap();
    let server = start(dir.path(), vec![silent.local_addr().unwrap()]).await;
    publish(&server, &member_zone(1, 0)).await;
    let client = client(&server);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { refusal(&client, "www.example.test.").await }
    });
    let mut question = [0; 512];
    silent.recv_from(&mut question).await.unwrap();
    // The upstream has the question and does not answer; ours are answered meanwhile.
    assert_eq!(ask(&client, MEMBER, RecordType::A).await, ["127.77.1.0"]);
    assert!(!waiting.is_finished());
    waiting.abort();
    // Nor does it hold up the end.
    server.stop().await;
}
