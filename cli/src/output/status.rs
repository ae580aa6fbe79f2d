//! `berth status`: a set's header, and its members with the reason why each one waits.

use std::fmt::Write as _;

use berth_core::time::Timestamp;
use berth_proto::v1;

use super::{
    age::{instant, short, since},
    progress::reason,
    table::Table,
};

/// One set.
pub(crate) fn set(set: &v1::SetStatus, wide: bool, now: Timestamp) -> String {
    let mut text = header(set);
    if !set.members.is_empty() {
        text.push_str(&members(&set.members, wide, false, now));
    }
    for warning in &set.warnings {
        // Writing to a String cannot fail.
        writeln!(text, "warning: {warning}").ok();
    }
    text
}

fn header(set: &v1::SetStatus) -> String {
    let mut facts = vec![format!("{}/{} ready", set.ready_replicas, set.replicas)];
    if set.current_replicas != set.replicas {
        facts.push(format!("{} exist", set.current_replicas));
    }
    if set.updated_replicas < set.current_replicas {
        facts.push(format!("{} of the newest template", set.updated_replicas));
    }
    if let Some(halt) = halted(set) {
        facts.push(format!("rollout halted: {}", halt.reason));
    }
    if !set.gate.is_empty() {
        facts.push(format!("gate {}", set.gate));
    }
    facts.push(
        if set.founded {
            "founded"
        } else {
            "not founded"
        }
        .to_owned(),
    );
    if !set.at_most_one.is_empty() {
        facts.push(format!("fencing {}", set.at_most_one));
    }
    if set.deleting {
        facts.push("being deleted".to_owned());
    }
    format!(
        "StatefulSet {}/{}: {}\n",
        set.namespace,
        set.name,
        facts.join(", ")
    )
}

/// The condition that says that a rollout does not get on, if that is so.
pub(crate) fn halted(set: &v1::SetStatus) -> Option<&v1::Condition> {
    let mut conditions = set.conditions.iter();
    conditions.find(|one| one.r#type == "Progressing" && one.status == "False")
}

/// Members as a table. The reason comes last, because it is the longest.
pub(crate) fn members(
    members: &[v1::MemberStatus],
    wide: bool,
    with_namespace: bool,
    now: Timestamp,
) -> String {
    let mut header = vec!["NAME", "READY", "PHASE", "HOST", "ADDRESS", "RESTARTS"];
    if with_namespace {
        header.insert(0, "NAMESPACE");
    }
    if wide {
        header.extend(["READY FOR", "EPOCH", "REVISION", "VOLUMES"]);
    }
    header.push("WHY");
    if wide {
        header.extend(["SINCE", "FREED BY"]);
    }
    let mut table = Table::new(&header);
    for member in members {
        let mut row = vec![
            member.name.clone(),
            yes(member.ready),
            member.phase.clone(),
            member.host.clone(),
            member.address.clone(),
            member.restarts.to_string(),
        ];
        if with_namespace {
            row.insert(0, member.namespace.clone());
        }
        if wide {
            row.push(since(member.ready_since_ms, now));
            row.push(member.epoch.clone());
            row.push(short_hash(&member.revision));
            row.push(sources(&member.volumes));
        }
        let waiting = member.waiting.as_ref();
        if wide {
            row.push(waiting.map(reason).unwrap_or_default());
            row.push(waiting.map_or_else(String::new, |w| since(w.since_ms, now)));
            row.push(waiting.map(|w| w.frees.clone()).unwrap_or_default());
        } else {
            row.push(waiting.map(|w| with_age(w, now)).unwrap_or_default());
        }
        table.row(row);
    }
    table.render()
}

/// Where the data of each volume lies.
fn sources(volumes: &[v1::VolumeStatus]) -> String {
    let known = volumes.iter().filter(|volume| !volume.source.is_empty());
    let each: Vec<String> = known
        .map(|volume| format!("{}={}", volume.name, volume.source))
        .collect();
    each.join(",")
}

/// The reason, and since when.
pub(crate) fn with_age(waiting: &v1::Waiting, now: Timestamp) -> String {
    instant(waiting.since_ms).map_or_else(
        || reason(waiting),
        |then| format!("{} (for {})", reason(waiting), short(now.since(then))),
    )
}

/// Enough of a hash to tell two apart.
pub(crate) fn short_hash(hash: &str) -> String {
    hash.chars().take(10).collect()
}

/// A boolean in a cell.
pub(crate) fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}
