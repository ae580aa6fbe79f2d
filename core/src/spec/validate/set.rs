//! Rules about a whole set: how many, how they are called, and what its parts say of each other.

use super::{
    MAX_ORDINAL, MAX_REPLICAS, Problems, Unique, claim, depends, failover, meta, mount, overrides,
    placement, process, requires, update,
};
use crate::{
    ids::{MAX_LABEL, check_label},
    spec::StatefulSet,
    template,
};

pub(super) fn check(problems: &mut Problems, set: &StatefulSet) {
    let spec = &set.spec;
    replicas(problems, set);
    update::check(problems, spec);
    if let Some(name) = &spec.service_name {
        problems.check("spec.serviceName", check_label(name));
    }
    if let Some(name) = &spec.address_pool {
        problems.check("spec.addressPool", check_label(name));
    }
    if let Some(limit) = spec.revision_history_limit.filter(|limit| *limit < 0) {
        problems.add(
            "spec.revisionHistoryLimit",
            format!("{limit} is negative; give 0 or more, or leave it out for 10"),
        );
    }
    selector(problems, set);
    depends::check(problems, set);
    meta::notes(problems, "spec.template.metadata", &spec.template.metadata);
    let member = &spec.template.spec;
    meta::labels(
        problems,
        &format!("{}.nodeSelector", template::ROOT),
        &member.node_selector,
    );
    if let Some(dir) = &member.config_dir {
        mount::absolute(
            problems,
            &format!("{}.configDir.copyFrom", template::ROOT),
            &dir.copy_from,
        );
    }
    placement::check(problems, set);
    failover::check(problems, set);
    requires::check(problems, &spec.template.spec.requires);
    overrides::check(problems, set);
    claim_templates(problems, set);
    claim::shared(problems, set);
    process::member(problems, set);
    mount::member(problems, set);
    templates(problems, set);
}

fn replicas(problems: &mut Problems, set: &StatefulSet) {
    let given = set.spec.replicas.unwrap_or(1);
    if given < 0 {
        problems.add(
            "spec.replicas",
            format!("{given} is negative; give 0 or more"),
        );
    } else if given > i64::from(MAX_REPLICAS) {
        problems.add(
            "spec.replicas",
            format!("{given} is too many; give at most {MAX_REPLICAS}"),
        );
    }
    ordinals(problems, set);
    let member = largest_member(set);
    if check_label(&set.metadata.name).is_ok() && member.len() > MAX_LABEL {
        problems.add(
            "metadata.name",
            format!(
                "member '{member}' would have a name of {} bytes, the limit is {MAX_LABEL}; \
                 shorten the set's name",
                member.len()
            ),
        );
    }
}

fn ordinals(problems: &mut Problems, set: &StatefulSet) {
    let ordinals = &set.spec.ordinals;
    if ordinals.start > MAX_ORDINAL {
        problems.add(
            "spec.ordinals.start",
            format!(
                "{} is too large; give at most {MAX_ORDINAL}",
                ordinals.start
            ),
        );
    }
    let reserved = ordinals.reserved.len();
    if u32::try_from(reserved).map_or(true, |count| count > MAX_REPLICAS) {
        problems.add(
            "spec.ordinals.reserved",
            format!("{reserved} are too many; give at most {MAX_REPLICAS}"),
        );
    }
}

/// The name of the member with the largest ordinal: the longest that will be there.
fn largest_member(set: &StatefulSet) -> String {
    let count = set.spec.replicas().clamp(1, MAX_REPLICAS);
    let largest = set.spec.ordinals.first(count).next_back();
    format!("{}-{}", set.metadata.name, largest.unwrap_or_default())
}

fn selector(problems: &mut Problems, set: &StatefulSet) {
    let Some(selector) = &set.spec.selector else {
        return;
    };
    let labels = &set.spec.template.metadata.labels;
    for (name, value) in &selector.match_labels {
        if labels.get(name) != Some(value) {
            problems.add(
                format!("spec.selector.matchLabels.{name}"),
                format!(
                    "the template has no label '{name}: {value}'; add it to \
                     spec.template.metadata.labels, or leave the selector out"
                ),
            );
        }
    }
    claim::expressions(problems, "spec.selector", selector);
    for (i, one) in selector.match_expressions.iter().enumerate() {
        if !one.holds(labels) {
            problems.add(
                format!("spec.selector.matchExpressions[{i}]"),
                format!(
                    "it does not hold of label '{}' of the template; change it, or leave the \
                     selector out",
                    one.key
                ),
            );
        }
    }
}

fn claim_templates(problems: &mut Problems, set: &StatefulSet) {
    let mut names = Unique::default();
    for (i, template) in set.spec.volume_claim_templates.iter().enumerate() {
        let at = format!("spec.volumeClaimTemplates[{i}]");
        let name = &template.metadata.name;
        let field = format!("{at}.metadata.name");
        names.check(problems, &field, name);
        let member = largest_member(set);
        let longest = format!("{name}-{member}");
        match check_label(name) {
            Err(e) => problems.add(field, e.to_string()),
            Ok(()) if longest.len() > MAX_LABEL && member.len() <= MAX_LABEL => problems.add(
                field,
                format!(
                    "claim '{longest}' would have a name of {} bytes, the limit is {MAX_LABEL}; \
                     shorten this name or the set's",
                    longest.len()
                ),
            ),
            Ok(()) => {}
        }
        claim::template(problems, set, i);
    }
}

/// Every template text is tried out with sample values.
fn templates(problems: &mut Problems, set: &StatefulSet) {
    let namespace = if set.metadata.namespace.is_empty() {
        "default"
    } else {
        &set.metadata.namespace
    };
    let failed = template::try_out(
        &set.spec.template.spec,
        namespace,
        &set.metadata.name,
        set.spec.replicas(),
    );
    for error in failed {
        problems.add(error.field, error.message);
    }
}
