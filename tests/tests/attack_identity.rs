//! Attacks on who somebody is, by the numbers of the table in docs/security.md.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    time::Duration,
};

use berth_core::time::Timestamp;
use berth_pki::{Credentials, Subject, Token, authority::AuthorityHash, private, tls};
use berth_proto::{
    transport::{ClientTls, Endpoint, Remote},
    v1::{
        self, JoinRequest, RemoveHostRequest, event_service_client::EventServiceClient,
        host_service_client::HostServiceClient, identity_service_client::IdentityServiceClient,
    },
};
use berth_tests::attack::{Bed, answered, call, call_on, hello, methods, now, session};
use tonic::Code;

const HOUR: Duration = Duration::from_secs(3600);

fn host(name: &str) -> Subject {
    Subject::Host(name.parse().unwrap())
}

#[tokio::test]
async fn attack_01_tokens_that_are_of_no_use() {
    let bed = Bed::start().await;
    let token = bed.token("").await;
    bed.join(token.clone(), "host-1").await.unwrap();
    let reused = bed.join(token.clone(), "host-2").await.unwrap_err();
    assert!(
        reused.to_string().contains("was used by host host-1"),
        "{reused}"
    );
    // A name that is taken needs a token for it.
    let taken = bed.join(bed.token("").await, "host-1").await.unwrap_err();
    assert!(
        taken.to_string().contains("there is a host host-1 already"),
        "{taken}"
    );
    bed.join(bed.token("host-1").await, "host-1").await.unwrap();
    let other = bed
        .join(bed.token("host-1").await, "host-3")
        .await
        .unwrap_err();
    assert!(
        other.to_string().contains("for host host-1 only"),
        "{other}"
    );
    let text = token.to_string();
    assert!(text[..text.len() - 1].parse::<Token>().is_err());
    let unknown = Token::new(token.authority).unwrap();
    let refused = bed.join(unknown.clone(), "host-2").await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("not of this cluster, or was mistyped"),
        "{refused}"
    );
    let again = bed.join(unknown.clone(), "host-2").await.unwrap_err();
    assert!(again.to_string().contains("not of this cluster"), "{again}");
    // Five a minute; then a good one has to wait, too.
    let limited = bed.join(bed.token("").await, "host-2").await.unwrap_err();
    assert!(limited.to_string().contains("too many tokens"), "{limited}");
    let mut events = EventServiceClient::new(bed.root().await);
    let listed = events.list(v1::ListEventsRequest::default()).await.unwrap();
    let listed = listed.into_inner().events;
    let refusals = listed.iter().filter(|event| event.reason == "JoinRefused");
    assert_eq!(refusals.count(), 5);
    let secret = token.to_string().rsplit('.').next().unwrap().to_owned();
    assert!(!format!("{listed:?}").contains(&secret));
}

#[tokio::test]
async fn attack_02_another_coordinator_answers() {
    let (bed, false_one) = (Bed::start().await, Bed::start().await);
    let token = bed.token("").await;
    let refused = false_one
        .join(token.clone(), "host-1")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("is not the coordinator that the token is of"),
        "{refused}"
    );
    assert!(refused.contains("nothing was sent"), "{refused}");
    assert!(!false_one.path("host-1").exists());
    // It was not used up.
    bed.join(token, "host-1").await.unwrap();
}

#[tokio::test]
async fn attack_04_a_host_speaks_for_another() {
    let bed = Bed::start().await;
    let one = bed.certified(&host("host-1"), now());
    let refused = answered(&one, "host-2").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert!(
        refused.message().contains("another host than host-2"),
        "{refused}"
    );
    let welcome = answered(&one, "host-1").await.unwrap();
    assert!(welcome.is_some());
    // Nor is there anything else that an agent may call.
    for method in methods() {
        let code = call(&one, &method).await.unwrap();
        let own = ["AgentService", "IdentityService"];
        let allowed = own.iter().any(|service| method.contains(service));
        assert_eq!(
            code == Code::PermissionDenied,
            !allowed,
            "{method}: {code:?}"
        );
    }
}

#[tokio::test]
async fn attack_05_a_certificate_of_a_host_that_was_removed() {
    let bed = Bed::start().await;
    let remote = bed.certified(&host("host-1"), now());
    let mut stream = session(&remote, hello("host-1")).await.unwrap();
    assert!(stream.message().await.unwrap().is_some(), "welcome");
    let mut hosts = HostServiceClient::new(bed.root().await);
    let request = RemoveHostRequest {
        host: "host-1".to_owned(),
        typed_name: "host-1".to_owned(),
    };
    hosts.remove(request).await.unwrap();
    // The stream that it has ends, and no other begins.
    let ended = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    let refused = session(&remote, hello("host-1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    assert!(refused.message().contains("was revoked"), "{refused}");
    // It comes back with a new join only.
    bed.join(bed.token("").await, "host-1").await.unwrap();
    let file = bed.path("host-1").join("pki/identity.pem");
    let new = bed.with(&Credentials::load(&file).unwrap());
    let welcome = answered(&new, "host-1").await.unwrap();
    assert!(welcome.is_some());
    // The old one stays out, also after a restart.
    let bed = bed.restart(|_| ()).await;
    let old = Remote {
        endpoint: Endpoint::Tcp(bed.address()),
        ..remote
    };
    assert_eq!(
        session(&old, hello("host-1")).await.unwrap_err().code(),
        Code::Unauthenticated
    );
}

#[tokio::test]
async fn attack_09_connections_that_are_no_mutual_tls() {
    let bed = Bed::start().await;
    // Plain text, which is HTTP/2 as a client without TLS would begin.
    let mut plain = TcpStream::connect(bed.address()).unwrap();
    plain
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    plain
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    // A reset is an answer, too.
    plain.read_to_end(&mut answer).ok();
    assert!(
        !answer.windows(4).any(|bytes| bytes == b"HTTP"),
        "{answer:?}"
    );
    // No certificate: joining is all that there is.
    for method in methods() {
        let code = call(&bed.stranger(), &method).await.unwrap();
        let join = method.ends_with("/Join");
        assert_eq!(code == Code::Unauthenticated, !join, "{method}: {code:?}");
    }
    let strange = bed.stranger().connect().await.unwrap();
    for path in ["/grpc.health.v1.Health/Check", "/no.Such/Method"] {
        let refused = call_on(strange.clone(), path).await;
        assert_eq!(refused.code(), Code::Unauthenticated, "{path}: {refused}");
    }
    // Over, an hour early, and of another authority.
    let method = "/berth.v1.IdentityService/Renew";
    let over = bed.certified(&host("host-1"), Timestamp(now().0 - 40 * 24 * 3_600_000));
    let early = bed.certified(&host("host-1"), now().plus(HOUR));
    for (what, remote) in [("over", over), ("early", early)] {
        let told = refusal(&remote, method).await;
        assert!(
            told.contains("one of the two clocks is wrong"),
            "{what}: {told}"
        );
    }
    let foreign = Bed::start().await;
    let token = foreign.token("").await;
    foreign.join(token, "host-1").await.unwrap();
    let file = foreign.path("host-1").join("pki/identity.pem");
    let mut remote = bed.with(&Credentials::load(&file).unwrap());
    let told = remote.connect().await.unwrap_err().to_string();
    assert!(told.contains("not of this cluster's authority"), "{told}");
    // Who trusts this coordinator and shows the other's certificate.
    let key = fs::read_to_string(&file).unwrap();
    let own = fs::read_to_string(bed.path("data/pki/ca.crt")).unwrap();
    let end = key.rfind("-----BEGIN CERTIFICATE").unwrap();
    let mixed = Credentials::parse(format!("{}{own}", &key[..end])).unwrap();
    remote.tls = Some(ClientTls::new(tls::client(&mixed).unwrap()));
    let told = refusal(&remote, method).await;
    assert!(told.contains("does not know the authority"), "{told}");
}

/// What somebody is told whose certificate is refused in the handshake, which he learns with his first
/// call.
async fn refusal(remote: &Remote, method: &str) -> String {
    let channel = match remote.connect().await {
        Ok(channel) => channel,
        Err(error) => return error.to_string(),
    };
    let status = call_on(channel, method).await;
    let plain = berth_pki::problem::explain(&status);
    plain.unwrap_or_else(|| format!("{status:?}"))
}

#[tokio::test]
async fn attack_11_keys_that_others_can_read() {
    let bed = Bed::start().await;
    bed.join(bed.token("").await, "host-1").await.unwrap();
    let file = bed.path("host-1").join("pki/identity.pem");
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = private::read(&file).unwrap_err().to_string();
    assert!(refused.contains("identity.pem can be read"), "{refused}");
    let store = fs::read(bed.path("data").join("store.redb")).unwrap();
    let token = bed.token("").await;
    let there = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).any(|at| at == what);
    assert!(!there(&store, token.secret()));
}

#[tokio::test]
async fn an_authority_that_was_replaced_is_told_to_whoever_knew_the_other() {
    let bed = Bed::start().await;
    bed.join(bed.token("").await, "host-1").await.unwrap();
    let file = bed.path("host-1").join("pki/identity.pem");
    let credentials = Credentials::load(&file).unwrap();
    let token = bed.token("").await;
    let bed = bed
        .restart(|dir| fs::remove_dir_all(dir.join("data/pki")).unwrap())
        .await;
    let told = bed
        .with(&credentials)
        .connect()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("the coordinator has another authority now"),
        "{told}"
    );
    let told = bed.join(token, "host-2").await.unwrap_err().to_string();
    assert!(
        told.contains("is not the coordinator that the token is of"),
        "{told}"
    );
}

#[tokio::test]
async fn a_clock_an_hour_off_is_told_when_a_host_joins() {
    let bed = Bed::start().await;
    let token = bed.token("").await;
    let channel = bed.stranger().connect().await.unwrap();
    let request = berth_pki::request::Request::new().unwrap();
    let mut asked = JoinRequest {
        token_id: token.id.to_string(),
        secret: token.secret().to_vec(),
        host: "host-1".to_owned(),
        csr: request.csr().to_vec(),
        time_ms: now().0 - 3_600_000,
    };
    let mut client = IdentityServiceClient::new(channel);
    let refused = client.join(asked.clone()).await.unwrap_err();
    assert!(
        refused
            .message()
            .contains("minutes behind the coordinator's"),
        "{refused}"
    );
    // The token is as good as before.
    asked.time_ms = now().0;
    client.join(asked).await.unwrap();
}

#[tokio::test]
async fn a_host_renews_its_certificate_for_itself_only() {
    let bed = Bed::start().await;
    let remote = bed.certified(&host("host-1"), now());
    let request = berth_pki::request::Request::new().unwrap();
    let csr = request.csr().to_vec();
    let mut client = IdentityServiceClient::new(remote.connect().await.unwrap());
    let renewed = client
        .renew(v1::RenewRequest { csr })
        .await
        .unwrap()
        .into_inner();
    let new = Credentials::new(&request.key_pem(), &renewed.certificate, &renewed.authority);
    let new = new.unwrap();
    assert_eq!(new.certified().subject, host("host-1"));
    assert_eq!(
        AuthorityHash::of(new.authority()).unwrap(),
        bed.authority().hash()
    );
    let welcome = session(&bed.with(&new), hello("host-1"))
        .await
        .unwrap()
        .message()
        .await;
    assert!(welcome.unwrap().is_some());
}
