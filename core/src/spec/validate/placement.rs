//! Rules about where members may be.

use super::{Problems, meta};
use crate::{
    spec::{Membership, Placement, Retention, Spread, StatefulSet},
    template,
};

pub(super) fn check(problems: &mut Problems, set: &StatefulSet) {
    let spec = &set.spec;
    let constraints = &spec.template.spec.topology_spread_constraints;
    for (i, constraint) in constraints.iter().enumerate() {
        let at = format!("{}.topologySpreadConstraints[{i}]", template::ROOT);
        problems.check(
            format!("{at}.topologyKey"),
            meta::label_key(&constraint.topology_key),
        );
        if constraint.max_skew == 0 {
            problems.add(
                format!("{at}.maxSkew"),
                "it is missing or 0; give 1 or more",
            );
        }
        let mut earlier = constraints.iter().take(i);
        if earlier.any(|one| one.topology_key == constraint.topology_key) {
            problems.add(
                format!("{at}.topologyKey"),
                format!(
                    "'{}' is there twice; keep one of them",
                    constraint.topology_key
                ),
            );
        }
    }
    match spec.placement {
        Placement::Replicas => {}
        Placement::PerHost => per_host(problems, set),
    }
}

/// The hosts say how many members there are, and where.
fn per_host(problems: &mut Problems, set: &StatefulSet) {
    let spec = &set.spec;
    if spec.replicas.is_some() {
        problems.add(
            "spec.replicas",
            "with placement: PerHost the hosts that nodeSelector admits say how many there are; \
             leave it out",
        );
    }
    if !spec.ordinals.reserved.is_empty() {
        problems.add(
            "spec.ordinals.reserved",
            "with placement: PerHost each ordinal is its host's for good; leave it out, and take \
             the label from a host that is to have no member",
        );
    }
    if spec.spread != Spread::Require {
        problems.add(
            "spec.spread",
            "with placement: PerHost there is one member on each host; leave it out",
        );
    }
    if spec.persistent_volume_claim_retention_policy.when_scaled == Retention::Delete {
        problems.add(
            "spec.persistentVolumeClaimRetentionPolicy.whenScaled",
            "with placement: PerHost a host that loses a label would lose its member's data, too; \
             leave it out, and delete a claim by its name",
        );
    }
    if !spec.template.spec.topology_spread_constraints.is_empty() {
        problems.add(
            format!("{}.topologySpreadConstraints", template::ROOT),
            "with placement: PerHost there is one member on each host; leave it out",
        );
    }
    if spec.membership() == Membership::Static {
        problems.add(
            "spec.placement",
            "PerHost changes the members as hosts come and go, and the membership is Static; set \
             membership: Dynamic and tell the application yourself",
        );
    }
}
