//! Attempts against small servers on loopback.

use berth_core::spec::{GrpcAction, HttpGetAction, probe::HttpHeader};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

fn target() -> Target {
    Target {
        process: "main".parse().unwrap(),
        address: "127.0.0.1".to_owned(),
        keeper: KeeperClient::new().0,
    }
}

fn tcp(port: u16) -> Probe {
    Probe {
        tcp_socket: Some(TcpSocketAction {
            port: PortRef::Number(port.into()),
            host: None,
        }),
        ..Probe::default()
    }
}

fn http(port: u16) -> Probe {
    Probe {
        http_get: Some(HttpGetAction {
            path: "/health".to_owned(),
            port: PortRef::Number(port.into()),
            host: None,
            http_headers: vec![HttpHeader {
                name: "X-Probe".to_owned(),
                value: "yes".to_owned(),
            }],
        }),
        ..Probe::default()
    }
}

/// Answers one request with these bytes, or with nothing at all; what was asked.
async fn serve(answer: Option<&'static str>) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        let n = stream.read(&mut bytes).await.unwrap();
        match answer {
            Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
            None => std::future::pending().await,
        }
        String::from_utf8_lossy(&bytes[..n]).into_owned()
    });
    (port, asked)
}

#[tokio::test]
async fn an_open_port_passes_and_a_closed_one_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(attempt(&tcp(port), &target()).await, Outcome::Success);
    drop(listener);
    let outcome = attempt(&tcp(port), &target()).await;
    assert!(
        matches!(&outcome, Outcome::Failure(e) if e.contains("refused")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn http_statuses_are_judged_as_kubernetes_does() {
    for (answer, passes) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
        (
            "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
            true,
        ),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", false),
    ] {
        let (port, asked) = serve(Some(answer)).await;
        let outcome = attempt(&http(port), &target()).await;
        assert_eq!(outcome == Outcome::Success, passes, "{answer}: {outcome:?}");
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /health HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("x-probe: yes"), "{asked}");
        assert!(
            asked.contains(&format!("host: 127.0.0.1:{port}")),
            "{asked}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_fails() {
    let (port, _asked) = serve(Some("hello\r\n")).await;
    let outcome = attempt(&http(port), &target()).await;
    assert!(matches!(outcome, Outcome::Failure(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_hangs_fails_after_the_timeout() {
    let (port, asked) = serve(None).await;
    let outcome = attempt(&http(port), &target()).await;
    assert_eq!(outcome, Outcome::Failure("no answer within 1 s".to_owned()));
    asked.abort();
}

#[tokio::test]
async fn without_a_keeper_a_program_is_not_tried() {
    let probe = Probe {
        exec: Some(ExecAction {
            command: vec!["/bin/true".to_owned()],
        }),
        ..Probe::default()
    };
    let outcome = attempt(&probe, &target()).await;
    assert!(matches!(outcome, Outcome::NotTried(_)), "{outcome:?}");
}

fn grpc(port: u16, service: Option<&str>) -> Probe {
    Probe {
        grpc: Some(GrpcAction {
            port: PortRef::Number(port.into()),
            service: service.map(str::to_owned),
        }),
        ..Probe::default()
    }
}

#[tokio::test]
async fn a_health_service_is_asked_for_the_server_or_for_one_of_its_services() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter
        .set_service_status("db", tonic_health::ServingStatus::NotServing)
        .await;
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(incoming));
    let ask = async |service| attempt(&grpc(port, service), &target()).await;
    assert_eq!(ask(None).await, Outcome::Success);
    let failure = |text: &str| Outcome::Failure(text.to_owned());
    assert_eq!(ask(Some("db")).await, failure("it says NOT_SERVING"));
    let unknown = failure("its health service does not know the service");
    assert_eq!(ask(Some("other")).await, unknown);
    reporter
        .set_service_status("db", tonic_health::ServingStatus::Serving)
        .await;
    assert_eq!(ask(Some("db")).await, Outcome::Success);
}

#[tokio::test]
async fn what_is_no_grpc_server_fails_a_grpc_probe() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = attempt(&grpc(port, None), &target()).await;
    assert_eq!(silent, Outcome::Failure("no answer within 1 s".to_owned()));
    drop(listener);
    let refused = attempt(&grpc(port, None), &target()).await;
    assert!(
        matches!(&refused, Outcome::Failure(error) if error.starts_with("127.0.0.1:")),
        "{refused:?}"
    );
}
