//! `berth describe`: all there is to know, for people.

use std::fmt::Write as _;

use berth_core::{keeper::cgroup::Controller, time::Timestamp};
use berth_proto::v1;
use serde_json::Value;

use super::{
    age::since,
    objects::{items, text},
    status::{self, yes},
    table::Table,
    tables,
    volumes::{bytes, usage},
};

/// Lines of `Name:  value`, aligned.
pub(crate) fn facts(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    let mut text = String::new();
    for (name, value) in pairs {
        let value = if value.is_empty() { "-" } else { value };
        // Writing to a String cannot fail.
        writeln!(text, "{:<width$}  {value}", format!("{name}:")).ok();
    }
    text
}

fn section(title: &str, body: &str) -> String {
    let mut text = format!("\n{title}:\n");
    for line in body.lines() {
        writeln!(text, "  {line}").ok();
    }
    text
}

/// The events of something.
pub(crate) fn events(events: &[v1::Event], now: Timestamp) -> String {
    if events.is_empty() {
        section("Events", "none")
    } else {
        section("Events", &tables::events(events, false, now))
    }
}

/// A set: its status, its members one by one, and its manifest.
pub(crate) fn set(set: &v1::SetStatus, manifest: &str, now: Timestamp) -> String {
    let mut text = facts(&[
        ("Name", set.name.clone()),
        ("Namespace", set.namespace.clone()),
        ("Replicas", replicas(set)),
        ("Revision", revisions(set)),
        ("Updates", set.updates.clone()),
        ("Disruptions", set.disruptions.clone()),
        ("Gate", set.gate.clone()),
        ("Founded", yes(set.founded)),
        ("Fencing", set.at_most_one.clone()),
        ("Being deleted", yes(set.deleting)),
    ]);
    if !set.conditions.is_empty() {
        text.push_str(&section("Conditions", &conditions(&set.conditions, now)));
    }
    if !set.warnings.is_empty() {
        text.push_str(&section("Warnings", &set.warnings.join("\n")));
    }
    text.push_str(&section(
        "Members",
        &status::members(&set.members, false, false, now),
    ));
    for one in &set.members {
        text.push_str(&section(&format!("Member {}", one.name), &member(one, now)));
    }
    text.push_str(&section("Manifest", manifest));
    text
}

/// The revision of all members, and the newest one where that is another.
fn revisions(set: &v1::SetStatus) -> String {
    let (current, update) = (&set.current_revision, &set.update_revision);
    if current == update {
        current.clone()
    } else {
        format!("{current}, to be updated to {update}")
    }
}

fn conditions(conditions: &[v1::Condition], now: Timestamp) -> String {
    let mut table = Table::new(&["TYPE", "STATUS", "FOR", "REASON", "MESSAGE"]);
    for one in conditions {
        table.row(vec![
            one.r#type.clone(),
            one.status.clone(),
            since(one.since_ms, now),
            one.reason.clone(),
            one.message.clone(),
        ]);
    }
    table.render()
}

fn replicas(set: &v1::SetStatus) -> String {
    format!(
        "{} wanted, {} exist, {} ready, {} available, {} of the newest template",
        set.replicas,
        set.current_replicas,
        set.ready_replicas,
        set.available_replicas,
        set.updated_replicas
    )
}

/// A member.
pub(crate) fn member(member: &v1::MemberStatus, now: Timestamp) -> String {
    let mut pairs = vec![
        ("Name", member.name.clone()),
        ("Namespace", member.namespace.clone()),
        ("Set", member.set.clone()),
        ("DNS name", member.fqdn.clone()),
        ("Address", member.address.clone()),
        ("Host", member.host.clone()),
        ("Phase", member.phase.clone()),
        ("Ready", readiness(member, now)),
        ("Restarts", member.restarts.to_string()),
        ("Epoch", member.epoch.clone()),
        ("Revision", member.revision.clone()),
        ("Founder", yes(member.founder)),
    ];
    if let Some(waiting) = &member.waiting {
        pairs.push(("Waiting", status::with_age(waiting, now)));
        pairs.push(("Freed by", waiting.frees.clone()));
    }
    let unenforced = member.processes.iter().filter(|p| !p.unenforced.is_empty());
    pairs.extend(unenforced.map(|process| {
        let limits = process.unenforced.join(", ");
        ("Not enforced", format!("{}: {limits}", process.name))
    }));
    let mut text = facts(&pairs);
    if !member.conditions.is_empty() {
        text.push_str(&member_conditions(&member.conditions, now));
    }
    if !member.processes.is_empty() {
        text.push_str(&processes(&member.processes));
    }
    if !member.volumes.is_empty() {
        text.push_str(&volumes(&member.volumes));
    }
    text
}

fn readiness(member: &v1::MemberStatus, now: Timestamp) -> String {
    match (member.ready, member.available) {
        (false, _) => "no".to_owned(),
        (true, true) => format!("yes, for {}", since(member.ready_since_ms, now)),
        (true, false) => format!(
            "yes, for {}, not long enough to count as available",
            since(member.ready_since_ms, now)
        ),
    }
}

fn member_conditions(conditions: &[v1::MemberCondition], now: Timestamp) -> String {
    let mut table = Table::new(&["CONDITION", "STATUS", "GATE", "FOR", "REASON"]);
    for condition in conditions {
        let (status, held) = match (condition.known, condition.status) {
            (false, _) => ("not set", String::new()),
            (true, true) => ("True", since(condition.since_ms, now)),
            (true, false) => ("False", since(condition.since_ms, now)),
        };
        table.row(vec![
            condition.r#type.clone(),
            status.to_owned(),
            yes(condition.gate),
            held,
            condition.message.clone(),
        ]);
    }
    table.render()
}

fn processes(processes: &[v1::ProcessStatus]) -> String {
    let mut table = Table::new(&["PROCESS", "PID", "RESTARTS", "LAST EXIT", "SAYS"]);
    for process in processes {
        let pid = if process.pid == 0 {
            String::new()
        } else {
            process.pid.to_string()
        };
        table.row(vec![
            process.name.clone(),
            pid,
            process.restarts.to_string(),
            process.last_exit.clone(),
            process.status.clone(),
        ]);
    }
    table.render()
}

fn volumes(volumes: &[v1::VolumeStatus]) -> String {
    let mut table = Table::new(&[
        "VOLUME",
        "CLAIM",
        "BOUND TO",
        "SOURCE",
        "HOST",
        "HOLDS DATA",
        "USAGE",
    ]);
    for volume in volumes {
        table.row(vec![
            volume.name.clone(),
            volume.claim.clone(),
            volume.volume.clone(),
            volume.source.clone(),
            volume.host.clone(),
            yes(volume.filled),
            usage(volume.capacity_bytes, volume.available_bytes),
        ]);
    }
    table.render()
}

/// A claim: what it asks for, what it has, and whose it is; then its manifest.
pub(crate) fn claim(object: &Value, manifest: &str) -> String {
    let at = |pointer: &str| text(object, pointer);
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64);
    let used = (
        number("/status/usage/capacityBytes").unwrap_or_default(),
        number("/status/usage/availableBytes").unwrap_or_default(),
    );
    let pairs = [
        ("Name", at("/metadata/name")),
        ("Namespace", at("/metadata/namespace")),
        ("Uid", at("/metadata/uid")),
        ("Phase", at("/status/phase")),
        ("Asks for", at("/spec/resources/requests/storage")),
        ("Class", at("/spec/storageClassName")),
        (
            "Access modes",
            items(object, "/spec/accessModes").join(", "),
        ),
        ("Volume", at("/spec/volumeName")),
        ("Size", at("/status/capacity/storage")),
        ("Source", at("/status/source")),
        ("Host", at("/status/host")),
        ("Used by", items(object, "/status/usedBy").join(", ")),
        ("Holds data", yes(at("/status/filled") == "true")),
        ("Waits for", at("/status/waiting/message")),
        ("Freed by", at("/status/waiting/frees")),
        ("Usage", usage(used.0, used.1)),
    ];
    facts(&pairs) + &section("Manifest", manifest)
}

fn draining(host: &v1::HostStatus) -> String {
    match (host.draining, host.stop_pinned) {
        (false, _) => yes(false),
        (true, false) => "yes; members that live there by their data stay".to_owned(),
        (true, true) => "yes; members that live there by their data are stopped".to_owned(),
    }
}

/// A host.
pub(crate) fn host(host: &v1::HostStatus, now: Timestamp) -> String {
    let mut pairs = vec![
        ("Name", host.name.clone()),
        ("Address", host.address.clone()),
        ("In contact", yes(host.connected)),
        ("For", since(host.since_ms, now)),
        ("Takes members", yes(!host.unschedulable && !host.dead)),
        ("Draining", draining(host)),
        ("Confirmed dead", yes(host.dead)),
        ("Labels", tables::labels(&host.labels)),
        ("Members", host.members.join(",")),
        (
            "Order",
            format!(
                "generation {} sent, {} acknowledged",
                host.generation_sent, host.generation_acked
            ),
        ),
        ("Zone", format!("serial {} acknowledged", host.zone_acked)),
        ("Agent", host.agent_version.clone()),
        ("Controllers", controllers(&host.controllers)),
    ];
    if !host.mismatch.is_empty() {
        pairs.push(("Sent nothing", host.mismatch.clone()));
    }
    let pools = if host.pool_statuses.is_empty() {
        "none".to_owned()
    } else {
        pools(&host.pool_statuses)
    };
    facts(&pairs) + &section("Pools", &pools)
}

/// What of cgroup v2 a host has, and what of `resources` it does not enforce for want of it.
fn controllers(there: &[String]) -> String {
    let all = Controller::ALL.map(Controller::name);
    let missing = all
        .into_iter()
        .filter(|name| there.iter().all(|one| one != name));
    let missing: Vec<&str> = missing.collect();
    match (there, missing.as_slice()) {
        ([], _) => "none of cgroup v2: no resources are enforced".to_owned(),
        (_, []) => there.join(", "),
        (_, missing) => format!(
            "{}; missing, and not enforced: {}",
            there.join(", "),
            missing.join(", ")
        ),
    }
}

fn pools(pools: &[v1::PoolStatus]) -> String {
    let mut table = Table::new(&[
        "NAME", "KIND", "PATH", "STATE", "SIZE", "FREE", "LIMITS", "CLAIMS",
    ]);
    for pool in pools {
        let known = |count| match pool.capacity_bytes {
            0 => String::new(),
            _ => bytes(count),
        };
        let state = if pool.trouble.is_empty() {
            "ready"
        } else {
            &pool.trouble
        };
        table.row(vec![
            pool.name.clone(),
            pool.kind.clone(),
            pool.path.clone(),
            state.to_owned(),
            known(pool.capacity_bytes),
            known(pool.free_bytes),
            yes(pool.limits),
            pool.claims.join(","),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_does_not_enforce_is_told_with_what_it_does() {
        let told = |there: &[&str]| {
            let there: Vec<_> = there.iter().map(ToString::to_string).collect();
            controllers(&there)
        };
        assert_eq!(
            told(&["cpu", "io", "memory", "pids"]),
            "cpu, io, memory, pids"
        );
        assert_eq!(
            told(&["memory", "pids"]),
            "memory, pids; missing, and not enforced: cpu, io"
        );
        assert_eq!(told(&[]), "none of cgroup v2: no resources are enforced");
    }
}
