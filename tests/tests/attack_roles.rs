//! Attacks 7 and 10: every method of every service, asked by everybody. Who was let in is held against a
//! transcript beside this file, for people to read; `BERTH_BLESS=1` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, time::Duration};

use berth_pki::{Subject, request::Request};
use berth_proto::{
    transport::Remote,
    v1::{
        ApplyRequest, CreateUserRequest, DeleteRequest, DeleteUserRequest, ExecCommand,
        ExecRequest, GetRequest, ListEventsRequest, ObjectRef, Source, WatchRequest,
        access_service_client::AccessServiceClient, event_service_client::EventServiceClient,
        exec_request::Message, member_service_client::MemberServiceClient,
        object_service_client::ObjectServiceClient, watch_event::Type,
    },
};
use berth_tests::{
    attack::{Bed, is_let_in, methods, now},
    machine::checkout,
};
use tokio::time::timeout;
use tonic::{Code, Status};

/// Everybody with a certificate, and in which namespaces his role is; everywhere if in none.
const USERS: [(&str, &str, &[&str]); 4] = [
    ("viewer", "viewer", &[]),
    ("operator", "operator", &[]),
    ("admin", "admin", &[]),
    ("elsewhere", "operator", &["shop"]),
];

async fn user(bed: &Bed, (name, role, namespaces): (&str, &str, &[&str])) -> Remote {
    let request = CreateUserRequest {
        name: name.to_owned(),
        role: role.to_owned(),
        namespaces: namespaces.iter().map(ToString::to_string).collect(),
        csr: Request::new().unwrap().csr().to_vec(),
        replace: false,
    };
    let mut access = AccessServiceClient::new(bed.root().await);
    access.create_user(request).await.unwrap();
    bed.certified(&Subject::User(name.parse().unwrap()), now())
}

#[tokio::test]
async fn attack_10_every_method_by_every_role() {
    let bed = Bed::start().await;
    let mut everybody = Vec::new();
    for one in USERS {
        everybody.push((one.0, user(&bed, one).await));
    }
    let host = Subject::Host("host-1".parse().unwrap());
    everybody.push(("host", bed.certified(&host, now())));
    // What the store does not know may do nothing, whatever its certificate.
    let unknown = Subject::User("eve".parse().unwrap());
    everybody.push(("unknown", bed.certified(&unknown, now())));
    everybody.push(("stranger", bed.stranger()));

    let mut shown =
        String::from("Who is let in to a method, asked about the namespace default.\n\n");
    for (name, _) in &everybody {
        shown += &format!("{name:<10}");
    }
    shown += "\n";
    for method in methods() {
        for (_, remote) in &everybody {
            let word = if is_let_in(remote, &method).await {
                "yes"
            } else {
                "."
            };
            shown += &format!("{word:<10}");
        }
        shown += &format!("{}\n", method.trim_start_matches("/berth.v1."));
    }
    let file = checkout().join("tests/tests/attack_roles.txt");
    if std::env::var_os("BERTH_BLESS").is_some() {
        fs::write(&file, &shown).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        shown, expected,
        "if this is intended: BERTH_BLESS=1 cargo test -p berth-tests --test attack_roles"
    );
}

/// What comes of it when somebody names a thing of a namespace.
async fn named(remote: &Remote, namespace: &str) -> [Code; 4] {
    let channel = remote.connect().await.unwrap();
    let mut objects = ObjectServiceClient::new(channel.clone());
    let of = |kind: &str| {
        Some(ObjectRef {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: "keys".to_owned(),
        })
    };
    let get = GetRequest {
        r#ref: of("Secret"),
        show_secrets: true,
    };
    let delete = DeleteRequest {
        r#ref: of("ConfigMap"),
        ..DeleteRequest::default()
    };
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: keys, namespace: {namespace}}}\ndata: {{a: b}}\n"
    );
    let apply = ApplyRequest {
        sources: vec![Source {
            file: "f".to_owned(),
            text,
        }],
        ..ApplyRequest::default()
    };
    let exec = ExecRequest {
        message: Some(Message::Command(ExecCommand {
            namespace: namespace.to_owned(),
            member: "web-0".to_owned(),
            command: vec!["/bin/true".to_owned()],
            ..ExecCommand::default()
        })),
    };
    let mut members = MemberServiceClient::new(channel);
    let code = |status: Option<Status>| status.map_or(Code::Ok, |status| status.code());
    [
        code(objects.get(get).await.err()),
        code(objects.apply(apply).await.err()),
        code(objects.delete(delete).await.err()),
        code(members.exec(tokio_stream::iter([exec])).await.err()),
    ]
}

#[tokio::test]
async fn attack_07_an_operator_beyond_his_namespaces() {
    let bed = Bed::start().await;
    let remote = user(&bed, USERS[3]).await;
    for namespace in ["default", "shop2", "sho"] {
        assert_eq!(named(&remote, namespace).await, [Code::PermissionDenied; 4]);
    }
    let own = named(&remote, "shop").await;
    assert!(!own.contains(&Code::PermissionDenied), "{own:?}");
    assert_eq!(own[1], Code::Ok);
    // His role ends at the cluster's own objects, whatever namespace he names.
    let class = ObjectRef {
        kind: "StorageClass".to_owned(),
        namespace: "shop".to_owned(),
        name: "local".to_owned(),
    };
    let mut objects = ObjectServiceClient::new(remote.connect().await.unwrap());
    let request = GetRequest {
        r#ref: Some(class),
        show_secrets: false,
    };
    let refused = objects.get(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
}

#[tokio::test]
async fn attack_10_a_stream_does_not_outlive_its_user() {
    let bed = Bed::start().await;
    let remote = user(&bed, USERS[0]).await;
    let mut objects = ObjectServiceClient::new(remote.connect().await.unwrap());
    let all = WatchRequest::default();
    let mut watch = objects.watch(all).await.unwrap().into_inner();
    while let Some(event) = watch.message().await.unwrap() {
        if event.r#type() == Type::Synced {
            break;
        }
    }
    let mut access = AccessServiceClient::new(bed.root().await);
    // Of somebody else it is no matter.
    drop(user(&bed, USERS[1]).await);
    let next = watch.message();
    tokio::pin!(next);
    assert!(
        timeout(Duration::ZERO, &mut next).await.is_err(),
        "it goes on"
    );
    let name = USERS[0].0.to_owned();
    access
        .delete_user(DeleteUserRequest { name })
        .await
        .unwrap();
    let ended = timeout(Duration::from_secs(30), next).await.unwrap();
    let why = ended.unwrap_err();
    assert_eq!(why.code(), Code::Unauthenticated, "{why}");
    assert!(why.message().contains("there is no user viewer"), "{why}");
}

/// The reasons of the events that somebody sees in a namespace.
async fn events(channel: tonic::transport::Channel, namespace: &str) -> Vec<String> {
    let request = ListEventsRequest {
        namespace: namespace.to_owned(),
        ..ListEventsRequest::default()
    };
    let mut client = EventServiceClient::new(channel);
    let events = client.list(request).await.unwrap().into_inner().events;
    events.into_iter().map(|event| event.reason).collect()
}

#[tokio::test]
async fn attack_07_events_of_the_cluster_are_not_for_one_namespace() {
    let bed = Bed::start().await;
    let remote = user(&bed, USERS[3]).await;
    let made = "UserCreated".to_owned();
    assert!(events(bed.root().await, "shop").await.contains(&made));
    let seen = events(remote.connect().await.unwrap(), "shop").await;
    assert!(!seen.contains(&made), "{seen:?}");
}
