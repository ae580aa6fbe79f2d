//! Rules about overrides: each is about something, and no two are about the same.

use super::{MAX_ORDINAL, Problems, Unique, env, meta, resources};
use crate::{
    ids::Ordinal,
    spec::{Override, Placement, Process, StatefulSet, overrides::effective},
    template,
};

pub(super) fn check(problems: &mut Problems, set: &StatefulSet) {
    let overrides = &set.spec.overrides;
    for (i, one) in overrides.iter().enumerate() {
        let at = format!("spec.overrides[{i}]");
        match one.ranges() {
            Ok(ranges) if ranges.iter().any(|range| *range.end() > MAX_ORDINAL) => problems.add(
                format!("{at}.ordinals"),
                format!(
                    "'{}' goes too far; end at {MAX_ORDINAL} at most",
                    one.ordinals
                ),
            ),
            Ok(_) => {}
            Err(part) => problems.add(
                format!("{at}.ordinals"),
                format!("'{part}' is no ordinal; write 2, 0-2, or 1,3-4"),
            ),
        }
        content(problems, set, &at, one);
        for (j, other) in overrides.iter().enumerate().take(i) {
            if let Some(ordinal) = overlap(one, other) {
                problems.add(
                    format!("{at}.ordinals"),
                    format!(
                        "ordinal {ordinal} is in overrides[{j}] ('{}') and in this one ('{}') for \
                         the same; leave it in one of them",
                        other.ordinals, one.ordinals
                    ),
                );
            }
        }
        templates(problems, set, &at, one);
    }
}

/// The first ordinal for which two overrides are about the same: one process, or the host.
fn overlap(one: &Override, other: &Override) -> Option<u32> {
    let process = one.changes_process() && other.changes_process() && one.process == other.process;
    let host = !one.node_selector.is_empty() && !other.node_selector.is_empty();
    if !process && !host {
        return None;
    }
    let (ours, theirs) = (one.ranges().ok()?, other.ranges().ok()?);
    let shared = ours.iter().flat_map(|a| {
        let starts = theirs.iter().map(move |b| (*a.start().max(b.start()), b));
        starts.filter(move |(start, b)| a.contains(start) && b.contains(start))
    });
    shared.map(|(start, _)| start).min()
}

fn content(problems: &mut Problems, set: &StatefulSet, at: &str, one: &Override) {
    let processes = &set.spec.template.spec.processes;
    if !one.changes_process() && one.node_selector.is_empty() {
        problems.add(
            at,
            "it changes nothing; give env, args, resources or nodeSelector",
        );
    }
    meta::labels(problems, &format!("{at}.nodeSelector"), &one.node_selector);
    if set.spec.placement == Placement::PerHost && !one.node_selector.is_empty() {
        problems.add(
            format!("{at}.nodeSelector"),
            "with placement: PerHost each ordinal has its host; remove it",
        );
    }
    let meant = match &one.process {
        Some(name) => processes.iter().find(|process| process.name == *name),
        None => processes.first().filter(|_| processes.len() == 1),
    };
    let known = meant.is_some() || one.process.is_none() && !one.changes_process();
    if !known {
        let names: Vec<&str> = processes
            .iter()
            .map(|process| process.name.as_str())
            .collect();
        problems.add(
            format!("{at}.process"),
            format!("which process is meant? give one of {}", names.join(", ")),
        );
    }
    let nothing = Process::default();
    let mut names = Unique::default();
    for (i, variable) in one.env.iter().enumerate() {
        let at = format!("{at}.env[{i}]");
        names.check(problems, &format!("{at}.name"), &variable.name);
        env::one(problems, &at, variable, meant.unwrap_or(&nothing));
        if variable.value_from.is_some() {
            problems.add(
                format!("{at}.valueFrom"),
                "the config that a set uses is the same for all its members; give value",
            );
        }
    }
    if let Some(amounts) = &one.resources {
        resources::amounts(problems, at, amounts);
    }
}

/// The texts of the template as they are with the override are tried out.
fn templates(problems: &mut Problems, set: &StatefulSet, at: &str, one: &Override) {
    let first = one
        .ranges()
        .ok()
        .and_then(|ranges| ranges.into_iter().next());
    let Some(first) = first.map(|range| *range.start()) else {
        return;
    };
    let spec = &set.spec;
    let base = &spec.template;
    let changed = effective(base, std::slice::from_ref(one), Ordinal(first));
    let try_out = |member| {
        let name = &set.metadata.name;
        template::try_out(member, "default", name, spec.replicas())
    };
    let known = try_out(&base.spec);
    for error in try_out(&changed.spec) {
        if !known.contains(&error) {
            problems.add(at, error.to_string());
        }
    }
}
