//! Rules about snapshots and about what a claim begins with, each broken once.

use serde_json::{Value, json};

use super::{
    tests::{good, with},
    volume_tests::each,
};

const CERTAIN: &str = "a copy goes to a new volume of a class; remove dataSource, or ask for no \
                       certain volume (volumeName, selector, an empty storageClassName)";

fn snapshot() -> Value {
    json!({
        "kind": "VolumeSnapshot", "metadata": { "name": "before" },
        "spec": { "source": { "persistentVolumeClaimName": "data-db-0" } },
    })
}

/// A claim by hand that restores a snapshot.
fn restored() -> Value {
    json!({
        "kind": "PersistentVolumeClaim", "metadata": { "name": "data-db-0" },
        "spec": {
            "resources": { "requests": { "storage": "1Gi" } },
            "dataSource": { "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot",
                            "name": "before" },
        },
    })
}

#[test]
fn a_snapshot_names_one_claim() {
    let field = "spec.source.persistentVolumeClaimName";
    each(
        &snapshot(),
        &[
            (
                "/spec/source/persistentVolumeClaimName",
                json!(""),
                &format!("{field}: no claim is named; name the one to take a copy of"),
            ),
            (
                "/spec/source/persistentVolumeClaimName",
                json!("../x"),
                &format!(
                    "{field}: '../x' is not a DNS label; use a-z, 0-9 and '-', begin and end with \
                     a letter or digit"
                ),
            ),
        ],
    );
}

#[test]
fn a_claim_begins_with_one_thing_on_a_new_volume() {
    let refused = format!("spec.dataSource: {CERTAIN}");
    each(
        &restored(),
        &[
            (
                "/spec/dataSource/apiGroup",
                json!("apps"),
                "spec.dataSource.apiGroup: 'apps' has no VolumeSnapshot; give \
                 snapshot.storage.k8s.io, or nothing",
            ),
            (
                "/spec/dataSource/kind",
                json!("PersistentVolumeClaim"),
                "spec.dataSource.apiGroup: 'snapshot.storage.k8s.io' has no PersistentVolumeClaim; \
                 leave apiGroup out",
            ),
            (
                "/spec/dataSource/name",
                json!(""),
                "spec.dataSource.name: no VolumeSnapshot is named; name one",
            ),
            (
                "/spec/dataSource/name",
                json!("A_b"),
                "spec.dataSource.name: 'A_b' is not a DNS label; use a-z, 0-9 and '-', begin and \
                 end with a letter or digit",
            ),
            (
                "/spec/dataSource/name",
                json!("before-{{ ordinal }}"),
                "spec.dataSource.name: only the claim templates of a set are filled in per member; \
                 write the value",
            ),
            ("/spec/volumeName", json!("pv-0"), &refused),
            (
                "/spec/selector",
                json!({ "matchLabels": { "slot": "0" } }),
                &refused,
            ),
            ("/spec/storageClassName", json!(""), &refused),
        ],
    );
}

#[test]
fn each_claim_of_a_template_begins_with_a_name_that_can_be_one() {
    let at = "/spec/volumeClaimTemplates/0/spec/dataSource";
    let source = json!({ "kind": "VolumeSnapshot", "name": "before-{{ ordinal }}" });
    let field = "spec.volumeClaimTemplates[0].spec.dataSource";
    each(
        &with(good(), at, source),
        &[
            (
                &format!("{at}/name"),
                json!(""),
                &format!("{field}.name: no VolumeSnapshot is named; name one"),
            ),
            (
                &format!("{at}/name"),
                json!("before_{{ ordinal }}"),
                &format!(
                    "{field}.name: 'before_0' is not a DNS label; use a-z, 0-9 and '-', begin and \
                     end with a letter or digit"
                ),
            ),
            (
                &format!("{at}/apiGroup"),
                json!("apps"),
                &format!(
                    "{field}.apiGroup: 'apps' has no VolumeSnapshot; give snapshot.storage.k8s.io, \
                     or nothing"
                ),
            ),
            (
                "/spec/volumeClaimTemplates/0/spec/storageClassName",
                json!(""),
                &format!("{field}: {CERTAIN}"),
            ),
        ],
    );
}
