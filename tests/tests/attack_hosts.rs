//! Attacks by a host, or with a copy of one, by the numbers of the table in docs/security.md: what it is
//! called, which machine it is, and where it says to be.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use berth_core::error::chain;
use berth_pki::{
    Certified, Credentials, Subject,
    tls::{self, ServerIdentity},
};
use berth_proto::{
    transport::{ClientTls, Remote, ServerTls, listen_tls},
    v1::{
        self, Hello, JoinRequest, ListEventsRequest, event_service_client::EventServiceClient,
        host_service_client::HostServiceClient, identity_service_client::IdentityServiceClient,
    },
};
use berth_tests::{
    attack::{Bed, answered, hello, now, session},
    wait,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_stream::StreamExt as _;
use tonic::Code;

fn host(name: &str) -> Subject {
    Subject::Host(name.parse().unwrap())
}

/// A request for all that somebody could wish for.
fn greedy(key: &KeyPair) -> Vec<u8> {
    let names = ["*", "host-2", "berth-coordinator", "localhost"].map(str::to_owned);
    let mut asked = CertificateParams::new(names.to_vec()).unwrap();
    for uri in ["berth:host/host-2", "berth:user/root", "berth:coordinator"] {
        let uri = rcgen::string::Ia5String::try_from(uri).unwrap();
        asked.subject_alt_names.push(SanType::URI(uri));
    }
    let address = SanType::IpAddress([127, 0, 0, 1].into());
    asked.subject_alt_names.push(address);
    asked.distinguished_name.push(DnType::CommonName, "host-2");
    asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    asked.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    asked.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    asked.serialize_request(key).unwrap().der().to_vec()
}

#[tokio::test]
async fn attack_03_a_request_for_more_than_a_key() {
    let bed = Bed::start().await;
    let token = bed.token("").await;
    let key = KeyPair::generate().unwrap();
    let request = JoinRequest {
        token_id: token.id.to_string(),
        secret: token.secret().to_vec(),
        host: "host-1".to_owned(),
        csr: greedy(&key),
        time_ms: now().0,
    };
    let stranger = bed.stranger().connect().await.unwrap();
    let joined = IdentityServiceClient::new(stranger).join(request).await;
    let joined = joined.unwrap().into_inner();
    let certificate = CertificateDer::from_pem_slice(joined.certificate.as_bytes()).unwrap();
    assert_eq!(
        Certified::read(&certificate).unwrap().subject,
        host("host-1")
    );
    let key = key.serialize_pem();
    let credentials = Credentials::new(&key, &joined.certificate, &joined.authority).unwrap();
    let remote = bed.with(&credentials);
    let refused = answered(&remote, "host-2").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert!(answered(&remote, "host-1").await.unwrap().is_some());

    // With it nobody passes for the coordinator, before hosts or before those who join.
    let identity = ServerIdentity {
        chain: vec![certificate],
        key: PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
    };
    let server = tls::server(credentials.authority(), identity).unwrap();
    let port = ([127, 0, 0, 1], 0).into();
    let mut listener = listen_tls(port, ServerTls::new(server)).await.unwrap();
    let endpoint = listener.local().clone();
    let accepting = tokio::spawn(async move { while listener.next().await.is_some() {} });
    let hosts = ClientTls::new(tls::client(&credentials).unwrap());
    for (tls, part) in [
        (Some(hosts), "certificate"),
        (bed.stranger().tls, "is not the coordinator"),
    ] {
        let endpoint = endpoint.clone();
        let told = Remote { endpoint, tls }.connect().await.unwrap_err();
        let told = chain(&told);
        assert!(told.contains(part), "{told}");
    }
    accepting.abort();
}

/// Waits until the coordinator has written down so many warnings of a kind.
async fn alarmed(bed: &Bed, reason: &str, count: usize) {
    let mut events = EventServiceClient::new(bed.root().await);
    wait::until("the warnings", async || {
        let listed = events.list(ListEventsRequest::default()).await;
        let mut listed = listed
            .map_err(|status| status.to_string())?
            .into_inner()
            .events;
        listed.retain(|event| event.reason == reason && event.r#type == "Warning");
        (listed.len() == count)
            .then_some(())
            .ok_or_else(|| format!("{listed:?}"))
    })
    .await;
}

/// The first answer to a hello is a refusal; it.
async fn refused(remote: &Remote, hello: Hello) -> tonic::Status {
    match session(remote, hello).await {
        Ok(mut stream) => stream.message().await.unwrap_err(),
        Err(status) => status,
    }
}

#[tokio::test]
async fn attack_06_a_second_machine_with_the_identity_of_a_host() {
    let bed = Bed::start().await;
    // The copy has everything: the key, the certificate, the ledger.
    let remote = bed.certified(&host("host-1"), now());
    let mut first = session(&remote, hello("host-1")).await.unwrap();
    assert!(first.message().await.unwrap().is_some(), "welcome");
    let copies = [
        // Its machine id was made anew, as it should be.
        Hello {
            machine_id: "another".to_owned(),
            ..hello("host-1")
        },
        // It was not: then it is another boot of what says to be the same machine.
        Hello {
            boot_id: "another".to_owned(),
            ..hello("host-1")
        },
        // The same disk in another machine, by its firmware.
        Hello {
            product_uuid: "4c4c4544-0000-1000-8000-000000000001".to_owned(),
            boot_id: "another".to_owned(),
            ..hello("host-1")
        },
    ];
    for (number, copy) in copies.into_iter().enumerate() {
        let told = refused(&remote, copy).await;
        assert_eq!(told.code(), Code::AlreadyExists, "{told}");
        let message = told.message();
        assert!(
            message.contains("the name host-1 is in use by"),
            "{message}"
        );
        assert!(
            message.contains("another name and an empty dataDir"),
            "{message}"
        );
        alarmed(&bed, "HostNameTaken", number + 1).await;
    }
    // The host itself keeps its stream.
    let mut hosts = HostServiceClient::new(bed.root().await);
    let listed = hosts.list(v1::ListHostsRequest::default()).await.unwrap();
    let listed = listed.into_inner().hosts;
    assert_eq!(listed.len(), 1);
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(200), async {
        // Orders and zones may come; an end may not.
        while first.message().await.unwrap().is_some() {}
    });
    assert!(quiet.await.is_err(), "its stream goes on");
}

#[tokio::test]
async fn attack_44_a_host_that_says_to_have_an_address_of_others() {
    let bed = Bed::start_with(|config| {
        config.host_networks = vec!["127.77.0.0/24".parse().unwrap()];
    });
    let bed = bed.await;
    let (one, two) = (
        bed.certified(&host("host-1"), now()),
        bed.certified(&host("host-2"), now()),
    );
    let at = |name: &str, address: &str| Hello {
        advertise_address: address.to_owned(),
        ..hello(name)
    };
    let mut first = session(&one, at("host-1", "127.77.0.1")).await.unwrap();
    assert!(first.message().await.unwrap().is_some(), "welcome");
    let connected = async || {
        let mut hosts = HostServiceClient::new(bed.root().await);
        let listed = hosts.list(v1::ListHostsRequest::default()).await;
        let listed = listed.map_err(|status| status.to_string())?.into_inner();
        let there = listed.hosts.iter().any(|host| host.name == "host-1");
        there.then_some(()).ok_or_else(|| format!("{listed:?}"))
    };
    wait::until("the host to be there", connected).await;
    for (address, part) in [
        ("127.77.1.1", "none of hosts.allowedNetworks"),
        ("198.51.100.1", "none of hosts.allowedNetworks"),
        ("0.0.0.0", "no address of a single machine"),
        ("169.254.169.254", "no address of a single machine"),
        ("::1", "none of hosts.allowedNetworks"),
    ] {
        let told = refused(&two, at("host-2", address)).await;
        assert_eq!(told.code(), Code::PermissionDenied, "{told}");
        assert!(told.message().contains(part), "{address}: {told}");
    }
    alarmed(&bed, "HostAddressRefused", 5).await;
    // Nothing of it was taken: no record, no name that leads there.
    let mut hosts = HostServiceClient::new(bed.root().await);
    let listed = hosts.list(v1::ListHostsRequest::default()).await.unwrap();
    let names: Vec<_> = listed
        .into_inner()
        .hosts
        .into_iter()
        .map(|h| h.name)
        .collect();
    assert_eq!(names, ["host-1"]);
    let mut second = session(&two, at("host-2", "127.77.0.2")).await.unwrap();
    assert!(second.message().await.unwrap().is_some(), "welcome");
}
