//! Rules about what claims ask for, alone and in the templates of a set, and about the claims that
//! all members of a set use.

use std::collections::{BTreeMap, BTreeSet};

use super::{Problems, Unique, meta, resources, snapshot};
use crate::{
    ids::check_label,
    quantity::Quantity,
    spec::{
        AccessMode, LabelOperator, LabelSelector, PersistentVolumeClaim, PersistentVolumeClaimSpec,
        StatefulSet,
    },
    template::{self, ROOT},
};

/// A template where there is no member to fill it in for.
const FILLED_IN: &str =
    "only the claim templates of a set are filled in per member; write the value";

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// A claim that was made by hand.
pub(super) fn by_hand(problems: &mut Problems, claim: &PersistentVolumeClaim) {
    meta::old_class(problems, "metadata", &claim.metadata);
    spec(problems, "spec", &claim.spec);
    let spec = &claim.spec;
    if !spec.volume_name.is_empty() {
        problems.check("spec.volumeName", check_label(&spec.volume_name));
    }
    if let Some(source) = &spec.data_source
        && snapshot::data_source(problems, "spec", spec)
    {
        let field = "spec.dataSource.name";
        if is_template(&source.name) {
            problems.add(field, FILLED_IN);
        } else {
            problems.check(field, check_label(&source.name));
        }
    }
    let Some(selector) = &spec.selector else {
        return;
    };
    for (field, value) in values(selector) {
        let field = format!("spec.selector.{field}");
        if is_template(value) {
            problems.add(field, FILLED_IN);
        } else {
            problems.check(field, meta::label_value(value));
        }
    }
}

/// One of the claim templates of a set.
pub(super) fn template(problems: &mut Problems, set: &StatefulSet, i: usize) {
    let Some(claim) = set.spec.volume_claim_templates.get(i) else {
        return;
    };
    let at = format!("spec.volumeClaimTemplates[{i}]");
    meta::notes(problems, &format!("{at}.metadata"), &claim.metadata);
    meta::old_class(problems, &format!("{at}.metadata"), &claim.metadata);
    spec(problems, &format!("{at}.spec"), &claim.spec);
    let name = &claim.spec.volume_name;
    if !name.is_empty() && set.spec.replicas() > 1 {
        problems.add(
            format!("{at}.spec.volumeName"),
            format!(
                "every member would ask for volume '{name}'; write a selector with \
                 {{{{ ordinal }}}}, or claimRef in each volume"
            ),
        );
    } else if !name.is_empty() {
        problems.check(format!("{at}.spec.volumeName"), check_label(name));
    }
    snapshot::data_source(problems, &format!("{at}.spec"), &claim.spec);
    for error in template::try_claim(set, claim) {
        problems.add(format!("{at}.{}", error.field), error.message);
    }
}

/// What every claim asks for, whoever made it.
fn spec(problems: &mut Problems, at: &str, claim: &PersistentVolumeClaimSpec) {
    access_modes(problems, &format!("{at}.accessModes"), &claim.access_modes);
    storage(
        problems,
        &format!("{at}.resources.requests"),
        &claim.resources.requests,
    );
    // An empty one asks for a volume without class.
    if let Some(class) = claim.storage_class_name.as_ref().filter(|c| !c.is_empty()) {
        problems.check(format!("{at}.storageClassName"), check_label(class));
    }
    if let Some(wanted) = &claim.selector {
        selector(problems, &format!("{at}.selector"), wanted);
    }
}

/// The modes of a claim or volume.
pub(super) fn access_modes(problems: &mut Problems, at: &str, modes: &[AccessMode]) {
    let mut seen: BTreeSet<AccessMode> = BTreeSet::new();
    for (i, mode) in modes.iter().enumerate() {
        if !seen.insert(*mode) {
            problems.add(format!("{at}[{i}]"), "it is there twice; remove one");
        }
    }
    if seen.len() > 1 && seen.contains(&AccessMode::ReadWriteOncePod) {
        problems.add(
            at,
            "ReadWriteOncePod goes with no other mode; give it alone",
        );
    }
}

/// An amount of `storage`, and of nothing else.
pub(super) fn storage(problems: &mut Problems, at: &str, amounts: &BTreeMap<String, String>) {
    for name in amounts.keys().filter(|name| *name != "storage") {
        problems.add(
            format!("{at}.{name}"),
            format!("'{name}' is not known here; use storage"),
        );
    }
    let field = format!("{at}.storage");
    match amounts.get("storage") {
        None => problems.add(field, "no size is given; give one such as 10Gi"),
        Some(text) => {
            if resources::amount(problems, &field, text, Quantity::bytes) == Some(0) {
                problems.add(field, "a volume needs some space; give more than 0");
            }
        }
    }
}

/// Names and operators; values are checked when they are known.
fn selector(problems: &mut Problems, at: &str, selector: &LabelSelector) {
    for name in selector.match_labels.keys() {
        problems.check(format!("{at}.matchLabels.{name}"), meta::label_key(name));
    }
    expressions(problems, at, selector);
}

/// The conditions of a selector; their values are checked elsewhere.
pub(super) fn expressions(problems: &mut Problems, at: &str, selector: &LabelSelector) {
    for (i, one) in selector.match_expressions.iter().enumerate() {
        let at = format!("{at}.matchExpressions[{i}]");
        problems.check(format!("{at}.key"), meta::label_key(&one.key));
        let field = format!("{at}.values");
        match (one.operator, one.values.is_empty()) {
            (LabelOperator::In | LabelOperator::NotIn, true) => {
                problems.add(field, "no value is given; give at least one");
            }
            (LabelOperator::Exists | LabelOperator::DoesNotExist, false) => {
                problems.add(field, "this operator takes no values; remove them");
            }
            (LabelOperator::In | LabelOperator::NotIn, false)
            | (LabelOperator::Exists | LabelOperator::DoesNotExist, true) => {}
        }
    }
}

/// Every value of a selector, with its field.
fn values(selector: &LabelSelector) -> Vec<(String, &String)> {
    let labels = selector.match_labels.iter();
    let mut found: Vec<(String, &String)> = labels
        .map(|(name, value)| (format!("matchLabels.{name}"), value))
        .collect();
    for (i, one) in selector.match_expressions.iter().enumerate() {
        for (j, value) in one.values.iter().enumerate() {
            found.push((format!("matchExpressions[{i}].values[{j}]"), value));
        }
    }
    found
}

/// The claims that all members use.
pub(super) fn shared(problems: &mut Problems, set: &StatefulSet) {
    let templates = &set.spec.volume_claim_templates;
    let mut names = Unique::default();
    for (i, volume) in set.spec.template.spec.volumes.iter().enumerate() {
        let at = format!("{ROOT}.volumes[{i}]");
        let field = format!("{at}.name");
        names.check(problems, &field, &volume.name);
        problems.check(&field, check_label(&volume.name));
        if templates.iter().any(|t| t.metadata.name == volume.name) && !volume.name.is_empty() {
            problems.add(
                field,
                format!(
                    "'{}' is a claim template already; give another name",
                    volume.name
                ),
            );
        }
        let claim = &volume.persistent_volume_claim.claim_name;
        if claim.is_empty() {
            problems.add(
                at,
                "the volume names no claim; give persistentVolumeClaim: {claimName: ...}",
            );
        } else {
            let field = format!("{at}.persistentVolumeClaim.claimName");
            problems.check(field, check_label(claim));
        }
    }
}
