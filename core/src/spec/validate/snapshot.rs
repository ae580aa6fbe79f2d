//! Rules about snapshots, and about what a claim begins with.

use super::Problems;
use crate::{
    ids::check_label,
    spec::{
        DataSource, DataSourceKind, PersistentVolumeClaimSpec, VolumeSnapshot,
        snapshot::SNAPSHOT_GROUP,
    },
};

/// A snapshot names its claim.
pub(super) fn check(problems: &mut Problems, snapshot: &VolumeSnapshot) {
    let claim = &snapshot.spec.source.persistent_volume_claim_name;
    let field = "spec.source.persistentVolumeClaimName";
    if claim.is_empty() {
        problems.add(field, "no claim is named; name the one to take a copy of");
    } else {
        problems.check(field, check_label(claim));
    }
}

/// What a claim begins with; `at` is the claim's spec. The name is checked where it is known.
pub(super) fn data_source(
    problems: &mut Problems,
    at: &str,
    claim: &PersistentVolumeClaimSpec,
) -> bool {
    let Some(DataSource {
        api_group,
        kind,
        name,
    }) = &claim.data_source
    else {
        return false;
    };
    let group = match kind {
        DataSourceKind::VolumeSnapshot => SNAPSHOT_GROUP,
        DataSourceKind::PersistentVolumeClaim => "",
    };
    if !api_group.is_empty() && api_group != group {
        let message = match kind {
            DataSourceKind::VolumeSnapshot => {
                format!("'{api_group}' has no VolumeSnapshot; give {SNAPSHOT_GROUP}, or nothing")
            }
            DataSourceKind::PersistentVolumeClaim => {
                format!("'{api_group}' has no PersistentVolumeClaim; leave apiGroup out")
            }
        };
        problems.add(format!("{at}.dataSource.apiGroup"), message);
    }
    // A volume that is there has its data.
    let certain = crate::volume::class::asks_for_certain(claim);
    if certain || claim.storage_class_name.as_deref() == Some("") {
        problems.add(
            format!("{at}.dataSource"),
            "a copy goes to a new volume of a class; remove dataSource, or ask for no certain \
             volume (volumeName, selector, an empty storageClassName)",
        );
    }
    if name.is_empty() {
        problems.add(
            format!("{at}.dataSource.name"),
            format!("no {} is named; name one", kind.as_str()),
        );
        return false;
    }
    true
}
