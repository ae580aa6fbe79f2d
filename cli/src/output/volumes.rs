//! How volumes look: as a table, in full, and in JSON and YAML.

use berth_core::time::Timestamp;
use berth_proto::v1;
use serde::Serialize;

use super::{
    age::{instant, short, since},
    describe::facts,
    status::yes,
    table::Table,
};

/// Bytes as people read them, with one digit after the point.
pub(crate) fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = (63_u32.saturating_sub(count.max(1).leading_zeros())) / 10;
    let unit = usize::try_from(power).ok().and_then(|at| units.get(at));
    let Some(unit) = unit.filter(|_| power > 0) else {
        return format!("{count} B");
    };
    let tenths = (u128::from(count) * 10) >> (10 * power);
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        rest => format!("{}.{rest} {unit}", tenths / 10),
    }
}

/// `3.2 GiB of 10 GiB used`, or nothing if it is not known.
pub(crate) fn usage(capacity: u64, available: u64) -> String {
    if capacity == 0 {
        return String::new();
    }
    let used = capacity.saturating_sub(available);
    format!("{} of {} used", bytes(used), bytes(capacity))
}

fn claim(volume: &v1::Volume) -> String {
    if volume.claim.is_empty() {
        return String::new();
    }
    format!("{}/{}", volume.claim_namespace, volume.claim)
}

fn size(volume: &v1::Volume) -> String {
    match volume.capacity_bytes {
        0 => String::new(),
        known => bytes(known),
    }
}

/// Volumes, or those in the trash.
pub(crate) fn table(volumes: &[v1::Volume], trash: bool, wide: bool, now: Timestamp) -> String {
    let mut header = vec!["NAME", "PHASE", "CLAIM", "MEMBER", "SIZE", "SOURCE", "HOST"];
    if trash {
        header = vec![
            "NAME", "STATE", "SINCE", "EXPIRES", "CLAIM", "SIZE", "SOURCE", "HOST",
        ];
    }
    if wide {
        header.extend(["USED", "CLASS", "MODES", "RECLAIM", "MADE BY", "ADOPT"]);
    }
    let mut table = Table::new(&header);
    for volume in volumes {
        let mut row = vec![volume.name.clone()];
        if trash {
            row.push(volume.state.clone());
            row.push(since(volume.trashed_since_ms, now));
            row.push(expires(volume, now));
            row.push(claim(volume));
        } else {
            row.push(volume.phase.clone());
            row.push(claim(volume));
            row.push(volume.member.clone());
        }
        row.extend([size(volume), volume.source.clone(), volume.host.clone()]);
        if wide {
            row.push(usage(
                volume.usage_capacity_bytes,
                volume.usage_available_bytes,
            ));
            row.push(volume.class.clone());
            row.push(volume.access_modes.join(","));
            row.push(volume.reclaim_policy.clone());
            row.push(maker(volume).to_owned());
            row.push(yes(volume.adopt));
        }
        table.row(row);
    }
    table.render()
}

/// In how long it is removed from the trash for good.
fn expires(volume: &v1::Volume, now: Timestamp) -> String {
    match instant(volume.expires_ms) {
        Some(at) if volume.state == "Trashed" => format!("in {}", short(at.since(now))),
        Some(_) | None if volume.state == "Purging" => "now".to_owned(),
        Some(_) | None => "-".to_owned(),
    }
}

fn maker(volume: &v1::Volume) -> &'static str {
    if volume.provisioned {
        "class"
    } else {
        "operator"
    }
}

/// One volume, with everything that is known of it.
pub(crate) fn describe(volume: &v1::Volume, now: Timestamp) -> String {
    let mut pairs = vec![
        ("Name", volume.name.clone()),
        ("Phase", volume.phase.clone()),
        ("State", state(volume, now)),
        ("Source", volume.source.clone()),
        ("Host", volume.host.clone()),
        ("Pool", volume.pool.clone()),
        ("Size", size(volume)),
        (
            "Usage",
            usage(volume.usage_capacity_bytes, volume.usage_available_bytes),
        ),
        ("Made by", made_by(volume)),
        ("Class", volume.class.clone()),
        ("Access modes", volume.access_modes.join(", ")),
        ("Reclaim policy", volume.reclaim_policy.clone()),
        ("Claim", claim(volume)),
        ("Claim uid", volume.claim_uid.clone()),
        ("Member", volume.member.clone()),
        ("Holds data", yes(volume.filled)),
        ("Owner of files", volume.owner.clone()),
        ("Adopts data", yes(volume.adopt)),
        ("Age", since(volume.created_ms, now)),
    ];
    if let Some(verbs) = next(volume) {
        pairs.push(("Next", verbs));
    }
    facts(&pairs)
}

fn made_by(volume: &v1::Volume) -> String {
    if volume.provisioned {
        "a class".to_owned()
    } else {
        "an operator".to_owned()
    }
}

fn state(volume: &v1::Volume, now: Timestamp) -> String {
    match volume.state.as_str() {
        "Trashing" => "on its way to the trash".to_owned(),
        "Trashed" => {
            let past = since(volume.trashed_since_ms, now);
            match instant(volume.expires_ms) {
                Some(at) => format!(
                    "in the trash for {past}; removed for good in {}",
                    short(at.since(now))
                ),
                None => format!("in the trash for {past}"),
            }
        }
        "Purging" => "being removed for good".to_owned(),
        "Restoring" => "on its way back from the trash".to_owned(),
        _ => "in place".to_owned(),
    }
}

/// What an operator may do with a volume whose claim is gone.
fn next(volume: &v1::Volume) -> Option<String> {
    let name = &volume.name;
    let mut verbs = Vec::new();
    if volume.can_undelete {
        verbs.push(format!("berth volume undelete {name}"));
    }
    if volume.phase == "Released" && volume.state == "Live" {
        verbs.push(format!("berth volume release {name}"));
        if volume.provisioned {
            verbs.push(format!("berth volume delete {name}"));
        }
    }
    (!verbs.is_empty()).then(|| verbs.join(", "))
}

/// A volume for scripts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeInfoView {
    name: String,
    phase: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trashed_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    source: String,
    host: String,
    pool: String,
    provisioned: bool,
    class: String,
    reclaim_policy: String,
    access_modes: Vec<String>,
    capacity_bytes: u64,
    claim_namespace: String,
    claim: String,
    claim_uid: String,
    member: String,
    filled: bool,
    adopt: bool,
    owner: String,
    usage_capacity_bytes: u64,
    usage_available_bytes: u64,
    can_undelete: bool,
}

impl From<v1::Volume> for VolumeInfoView {
    fn from(volume: v1::Volume) -> Self {
        let since = instant(volume.trashed_since_ms);
        Self {
            name: volume.name,
            phase: volume.phase,
            state: volume.state,
            trashed_since: since.map(|since| since.to_string()),
            expires: instant(volume.expires_ms).map(|at| at.to_string()),
            source: volume.source,
            host: volume.host,
            pool: volume.pool,
            provisioned: volume.provisioned,
            class: volume.class,
            reclaim_policy: volume.reclaim_policy,
            access_modes: volume.access_modes,
            capacity_bytes: volume.capacity_bytes,
            claim_namespace: volume.claim_namespace,
            claim: volume.claim,
            claim_uid: volume.claim_uid,
            member: volume.member,
            filled: volume.filled,
            adopt: volume.adopt,
            owner: volume.owner,
            usage_capacity_bytes: volume.usage_capacity_bytes,
            usage_available_bytes: volume.usage_available_bytes,
            can_undelete: volume.can_undelete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_at_a_glance() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (10 << 30, "10 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
