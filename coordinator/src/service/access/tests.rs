//! The table against the compiled services, the roles, and namespaces.

use std::collections::BTreeSet;

use berth_proto::v1::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::{
    table::{LONG, TABLE},
    *,
};

/// Served by agents on their own sockets.
const LOCAL: &str = "berth.v1.LocalService";

#[test]
fn the_table_has_every_method_that_there_is_and_no_other() {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file;
    let services = files.iter().flat_map(|file| &file.service);
    let compiled: BTreeSet<String> = services
        .map(|service| (format!("berth.v1.{}", service.name()), &service.method))
        .filter(|(service, _)| service != LOCAL)
        .flat_map(|(service, methods)| {
            methods
                .iter()
                .map(move |method| format!("/{service}/{}", method.name()))
        })
        .collect();
    let listed: BTreeSet<String> = TABLE
        .iter()
        .filter(|(service, _)| service.starts_with("berth."))
        .flat_map(|(service, methods)| {
            methods
                .iter()
                .map(move |(method, _)| format!("/{service}/{method}"))
        })
        .collect();
    assert_eq!(listed, compiled);
}

#[test]
fn every_stream_is_listed_as_one_and_everything_else_answers_in_bounded_time() {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file;
    let services = files.iter().flat_map(|file| &file.service);
    let streams: BTreeSet<String> = services
        .filter(|service| service.name() != "LocalService")
        .flat_map(|service| {
            let streams = service.method.iter();
            let streams = streams.filter(|m| m.server_streaming() || m.client_streaming());
            streams.map(|m| format!("berth.v1.{}/{}", service.name(), m.name()))
        })
        .collect();
    let listed = LONG.iter().flat_map(|(service, methods)| {
        let paths = methods.iter();
        paths.map(move |method| format!("{service}/{method}"))
    });
    let listed: Vec<String> = listed.collect();
    for path in &listed {
        assert!(
            is_method(&format!("/{path}")),
            "there is no {path} any more"
        );
        assert!(is_long(&format!("/{path}")));
    }
    let ours = listed.into_iter().filter(|path| path.starts_with("berth."));
    assert_eq!(ours.collect::<BTreeSet<String>>(), streams);
    assert!(!is_long("/berth.v1.SetService/Scale") && !is_long("") && !is_long("/x"));
    assert!(!is_counted("/berth.v1.AgentService/Session"));
    assert!(is_method("/berth.v1.AgentService/Session"));
}

#[test]
fn nobody_has_more_than_his_role() {
    let operator = |role, namespaces: &[&str]| Rights::Operator {
        role,
        namespaces: namespaces
            .iter()
            .map(|name| name.parse().unwrap())
            .collect(),
    };
    let all = [
        (Rights::Nothing, "Nothing"),
        (Rights::Agent("host-1".parse().unwrap()), "Agent"),
        (operator(Role::Viewer, &[]), "Viewer"),
        (operator(Role::Viewer, &["shop"]), "Viewer in shop"),
        (operator(Role::Operator, &[]), "Operator"),
        (operator(Role::Operator, &["shop"]), "Operator in shop"),
        (operator(Role::Admin, &[]), "Admin"),
        (Rights::Root, "Root"),
    ];
    for (_, methods) in TABLE {
        for (method, needs) in methods {
            for (rights, name) in &all {
                let expected = match (needs, *name) {
                    (_, "Root") | (Needs::Nothing, _) => true,
                    (Needs::Certificate, name) => name != "Nothing",
                    (Needs::Agent, name) => name == "Agent",
                    (_, "Nothing" | "Agent") => false,
                    (Needs::Cluster(_), name) if name.contains(" in ") => false,
                    (Needs::Cluster(least) | Needs::In(least), name) => {
                        let role = name.split(' ').next().unwrap().to_lowercase();
                        role.parse::<Role>().unwrap() >= *least
                    }
                };
                assert_eq!(needs.met_by(rights), expected, "{method}: {name}");
            }
        }
    }
    assert_eq!(needs("/berth.v1.AdminService/Nothing"), None);
}

#[test]
fn a_namespace_is_met_exactly() {
    let rights = Rights::Operator {
        role: Role::Operator,
        namespaces: ["shop".parse().unwrap()].into(),
    };
    assert!(in_namespace(&rights, "shop").is_ok());
    for other in ["", "default", "sho", "shop2", "*"] {
        let refused = in_namespace(&rights, other).unwrap_err();
        assert!(!refused.message().is_empty(), "{other}");
    }
    let mut request = Request::new(());
    request.extensions_mut().insert(rights);
    assert!(about_all(&request, "").is_err());
    assert!(about_all(&request, "shop").is_ok());
}

#[test]
fn a_local_socket_is_for_root_and_whoever_runs_the_coordinator() {
    let own = rustix::process::geteuid().as_raw();
    for uid in [0, own] {
        let peer = PeerInfo::Local { uid: Some(uid) };
        assert_eq!(caller(Some(&peer)), Caller::Root);
    }
    for uid in [Some(own + 12_345), None] {
        assert_eq!(caller(Some(&PeerInfo::Local { uid })), Caller::Nobody);
    }
    assert_eq!(caller(None), Caller::Nobody);
}

#[test]
fn the_values_of_secrets_are_not_for_viewers() {
    let mut request = Request::new(());
    for (role, allowed) in [
        (Role::Viewer, false),
        (Role::Operator, true),
        (Role::Admin, true),
    ] {
        let namespaces = BTreeSet::new();
        let rights = Rights::Operator { role, namespaces };
        request.extensions_mut().insert(rights);
        assert_eq!(secrets(&request, true).is_ok(), allowed, "{role}");
        assert!(secrets(&request, false).is_ok());
    }
}
