//! Tables of hosts, events, changes and plans.

use berth_core::time::Timestamp;
use berth_proto::v1;

use super::{
    age::{instant, since},
    status::yes,
    table::Table,
    view::change,
};

/// Hosts.
pub(crate) fn hosts(hosts: &[v1::HostStatus], wide: bool, now: Timestamp) -> String {
    let mut header = vec!["NAME", "IN CONTACT", "FOR", "ADDRESS", "MEMBERS"];
    if wide {
        header.extend(["POOLS", "ORDER", "ZONE", "AGENT", "LABELS"]);
    }
    header.push("WHY");
    let mut table = Table::new(&header);
    for host in hosts {
        let mut row = vec![
            host.name.clone(),
            in_contact(host),
            since(host.since_ms, now),
            host.address.clone(),
            host.members.join(","),
        ];
        if wide {
            row.push(host.pools.join(","));
            row.push(acknowledged(host.generation_acked, host.generation_sent));
            row.push(host.zone_acked.to_string());
            row.push(host.agent_version.clone());
            row.push(labels(&host.labels));
        }
        row.push(why(host));
        table.row(row);
    }
    table.render()
}

/// Whether it is in contact, and what Kubernetes shows beside it.
fn in_contact(host: &v1::HostStatus) -> String {
    let connected = yes(host.connected);
    if host.dead {
        format!("{connected}, confirmed dead")
    } else if host.draining {
        format!("{connected}, draining")
    } else if host.unschedulable {
        format!("{connected}, cordoned")
    } else {
        connected
    }
}

/// Why it is not used although it is in contact.
fn why(host: &v1::HostStatus) -> String {
    if host.mismatch.is_empty() && host.connected && host.dead {
        format!(
            "it was confirmed dead; 'berth host uncordon {}' takes it back",
            host.name
        )
    } else {
        host.mismatch.clone()
    }
}

fn acknowledged(acked: u64, sent: u64) -> String {
    if acked == sent {
        format!("{sent}")
    } else {
        format!("{acked} of {sent}")
    }
}

/// Labels in one cell, in a stable order.
pub(crate) fn labels(labels: &std::collections::HashMap<String, String>) -> String {
    let mut pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    pairs.sort();
    pairs.join(",")
}

/// Events, oldest first.
pub(crate) fn events(events: &[v1::Event], with_namespace: bool, now: Timestamp) -> String {
    let mut header = vec!["AGE", "TYPE", "REASON", "SUBJECT", "MESSAGE"];
    if with_namespace {
        header.insert(0, "NAMESPACE");
    }
    let mut table = Table::new(&header);
    for event in events {
        let mut row = vec![
            since(event.time_ms, now),
            event.r#type.clone(),
            event.reason.clone(),
            event.subject.clone(),
            event.message.clone(),
        ];
        if with_namespace {
            row.insert(0, event.namespace.clone());
        }
        table.row(row);
    }
    table.render()
}

/// One event of a stream, whose later lines are not known yet: fixed columns, absolute time.
pub(crate) fn event_line(event: &v1::Event) -> String {
    let time = instant(event.time_ms).map_or_else(|| "-".to_owned(), |time| format!("{time:.3}"));
    format!(
        "{time:<24} {:<8} {:<22} {:<26} {}",
        event.r#type, event.reason, event.subject, event.message
    )
}

/// What became of an object: `StatefulSet/etcd created`.
pub(crate) fn applied(object: &v1::AppliedObject, default_namespace: &str) -> String {
    let reference = object.r#ref.clone().unwrap_or_default();
    format!(
        "{} {}",
        subject(&reference, default_namespace),
        change(object)
    )
}

/// `StatefulSet/etcd`, with the namespace when it is not the one that the command works in.
pub(crate) fn subject(reference: &v1::ObjectRef, default_namespace: &str) -> String {
    if reference.namespace.is_empty() || reference.namespace == default_namespace {
        format!("{}/{}", reference.kind, reference.name)
    } else {
        format!(
            "{}/{} (namespace {})",
            reference.kind, reference.name, reference.namespace
        )
    }
}
