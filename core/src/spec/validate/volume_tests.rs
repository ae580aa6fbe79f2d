//! Rules about classes, volumes, claims, claim templates and sub-paths, each broken once.

use serde_json::{Value, json};

use super::tests::{check, good, problems, with};

fn class(provisioner: &str) -> Value {
    let parameters = if provisioner == "nfs" {
        json!({ "server": "nas", "share": "/exports" })
    } else {
        json!({})
    };
    json!({
        "kind": "StorageClass", "metadata": { "name": "c" },
        "provisioner": provisioner, "parameters": parameters,
    })
}

fn volume() -> Value {
    json!({
        "kind": "PersistentVolume", "metadata": { "name": "v" },
        "spec": {
            "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"],
            "nfs": { "server": "nas", "path": "/exports/v" },
            "claimRef": { "name": "www-web-0" }, "mountOptions": ["hard"],
        },
    })
}

fn claim() -> Value {
    json!({
        "kind": "PersistentVolumeClaim", "metadata": { "name": "www-web-0" },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": "v",
            "resources": { "requests": { "storage": "1Gi" } },
            "selector": { "matchLabels": { "slot": "0" },
                          "matchExpressions": [{ "key": "a", "operator": "Exists" }] },
        },
    })
}

/// Each case is broken alone, and has that one problem.
pub(super) fn each(object: &Value, cases: &[(&str, Value, &str)]) {
    assert_eq!(problems(object.clone()), [""; 0]);
    for (pointer, value, expected) in cases {
        let found = problems(with(object.clone(), pointer, value.clone()));
        assert_eq!(found, [*expected], "{pointer} = {value}");
    }
}

#[test]
fn rules_about_classes_of_pools() {
    each(
        &class("local"),
        &[
            (
                "/parameters/server",
                json!("nas"),
                "parameters.server: 'server' means nothing to local; it takes pool and limits",
            ),
            (
                "/parameters/pool",
                json!("../x"),
                "parameters.pool: '../x' is not a DNS label; use a-z, 0-9 and '-', begin and end with a letter or digit",
            ),
            (
                "/mountOptions",
                json!(["hard"]),
                "mountOptions: volumes of a pool have no mount options; remove them",
            ),
            (
                "/volumeBindingMode",
                json!("Immediate"),
                "volumeBindingMode: a volume of a pool is made when its member has a host; give WaitForFirstConsumer",
            ),
            (
                "/metadata/annotations",
                json!({ "storageclass.kubernetes.io/is-default-class": "yes" }),
                "metadata.annotations.storageclass.kubernetes.io/is-default-class: 'yes' says nothing here; give 'true' or 'false'",
            ),
        ],
    );
    let by_hand = class("kubernetes.io/no-provisioner");
    each(
        &by_hand,
        &[
            (
                "/parameters/pool",
                json!("p"),
                "parameters.pool: 'pool' means nothing to a class that makes no volumes; remove it",
            ),
            (
                "/reclaimPolicy",
                json!("Delete"),
                "reclaimPolicy: volumes that were made by hand are never deleted; give Retain",
            ),
            (
                "/allowVolumeExpansion",
                json!(true),
                "allowVolumeExpansion: volumes that were made by hand do not grow; remove it",
            ),
            (
                "/mountOptions",
                json!(["hard"]),
                "mountOptions: the class makes no volumes; write them in each PersistentVolume",
            ),
        ],
    );
}

#[test]
fn rules_about_classes_of_nfs() {
    let named = "use at most 200 of a-z, A-Z, 0-9, '-', '_', '.', and begin with a letter or digit";
    each(
        &class("nfs"),
        &[
            (
                "/parameters/pool",
                json!("p"),
                "parameters.pool: 'pool' means nothing to nfs; it takes server, share, version and subDir",
            ),
            (
                "/parameters/limits",
                json!("Required"),
                "parameters.limits: 'limits' means nothing to nfs; it takes server, share, version and subDir",
            ),
            (
                "/parameters/server",
                json!("nas,suid"),
                "parameters.server: 'nas,suid' is not the name or address of a server; give one without options, scheme or path",
            ),
            (
                "/parameters/share",
                json!("exports"),
                "parameters.share: 'exports' is not a plain absolute path; give one such as /exports/data",
            ),
            (
                "/parameters/version",
                json!(5),
                "parameters.version: '5' is not a version of NFS that is known here; give 3, 4.0, 4.1 or 4.2",
            ),
            (
                "/parameters/subDir",
                json!("{{ set }}"),
                "parameters.subDir: every claim would have directory 'sample'; use {{ claim }} or {{ member }}",
            ),
            (
                "/parameters/subDir",
                json!("a/{{ claim }}"),
                &format!(
                    "parameters.subDir: 'a/data-sample-0' is not the name of a directory; {named}"
                ),
            ),
            (
                "/parameters/subDir",
                json!("{% if ordinal == 1 %}..{% else %}a{% endif %}"),
                &format!("parameters.subDir: '..' is not the name of a directory; {named}"),
            ),
            (
                "/parameters/subDir",
                json!("{{ host }}"),
                "parameters.subDir: there is no value 'host' for a claim; use namespace, claim, set, member, ordinal",
            ),
            (
                "/parameters/subDir",
                json!("${pvc.metadata.name}"),
                "parameters.subDir: '${' is not replaced here; write {{ namespace }}, {{ claim }}, {{ set }}, {{ member }} or {{ ordinal }}",
            ),
            (
                "/mountOptions",
                json!(["hard", "timeo=1,suid"]),
                "mountOptions[1]: 'timeo=1,suid': give 'timeo=' with 1 to 6000",
            ),
        ],
    );
    let twice = with(class("nfs"), "/mountOptions", json!(["vers=3"]));
    assert_eq!(
        problems(with(twice, "/parameters/version", json!("4.1"))),
        ["parameters.version: mountOptions say 3; give the version in one place"]
    );
}

#[test]
fn rules_about_volumes_made_by_hand() {
    each(
        &volume(),
        &[
            (
                "/spec/capacity",
                json!({}),
                "spec.capacity.storage: no size is given; give one such as 10Gi",
            ),
            (
                "/spec/accessModes",
                json!([]),
                "spec.accessModes: no access mode is given; give those that a claim may ask for, such as ReadWriteOnce",
            ),
            (
                "/spec/accessModes",
                json!(["ReadWriteOncePod", "ReadWriteOnce"]),
                "spec.accessModes: ReadWriteOncePod goes with no other mode; give it alone",
            ),
            (
                "/spec/accessModes",
                json!(["ReadWriteOnce", "ReadWriteOnce"]),
                "spec.accessModes[1]: it is there twice; remove one",
            ),
            (
                "/spec/persistentVolumeReclaimPolicy",
                json!("Delete"),
                "spec.persistentVolumeReclaimPolicy: a volume that was made by hand is never deleted by Berth; give Retain",
            ),
            (
                "/spec/claimRef",
                json!({}),
                "spec.claimRef.name: a name is missing; give one of 1 to 63 characters a-z, 0-9 and '-'",
            ),
            (
                "/spec/nfs/server",
                json!("169.254.169.254"),
                "spec.nfs.server: '169.254.169.254' is not the name or address of a server; give one without options, scheme or path",
            ),
            (
                "/metadata/annotations",
                json!({ "volume.beta.kubernetes.io/mount-options": "hard" }),
                "metadata.annotations.volume.beta.kubernetes.io/mount-options: this annotation has no meaning any more; write spec.mountOptions",
            ),
        ],
    );
}

#[test]
fn rules_about_claims_made_by_hand() {
    let selector = |text: &str| json!({ "matchLabels": { "slot": text } });
    let conditions = |one: Value| json!({ "matchExpressions": [one] });
    each(
        &claim(),
        &[
            (
                "/spec/resources",
                json!({}),
                "spec.resources.requests.storage: no size is given; give one such as 10Gi",
            ),
            (
                "/spec/storageClassName",
                json!("a b"),
                "spec.storageClassName: 'a b' is not a DNS label; use a-z, 0-9 and '-', begin and end with a letter or digit",
            ),
            (
                "/spec/volumeName",
                json!("a/b"),
                "spec.volumeName: 'a/b' is not a DNS label; use a-z, 0-9 and '-', begin and end with a letter or digit",
            ),
            (
                "/spec/selector",
                selector("{{ ordinal }}"),
                "spec.selector.matchLabels.slot: only the claim templates of a set are filled in per member; write the value",
            ),
            (
                "/spec/selector",
                conditions(json!({ "key": "a", "operator": "In" })),
                "spec.selector.matchExpressions[0].values: no value is given; give at least one",
            ),
            (
                "/spec/selector",
                conditions(json!({ "key": "a", "operator": "Exists", "values": ["x"] })),
                "spec.selector.matchExpressions[0].values: this operator takes no values; remove them",
            ),
            (
                "/metadata/annotations",
                json!({ "volume.beta.kubernetes.io/storage-class": "slow" }),
                "metadata.annotations.volume.beta.kubernetes.io/storage-class: this annotation has no meaning any more; write spec.storageClassName",
            ),
        ],
    );
}

#[test]
fn rules_about_claim_templates() {
    let at = "spec.volumeClaimTemplates[0].spec";
    let pointer = "/spec/volumeClaimTemplates/0/spec/selector";
    let selector = |text: &str| json!({ "matchLabels": { "slot": text } });
    let good_one = with(good(), pointer, selector("{{ set }}-{{ ordinal }}"));
    assert_eq!(problems(good_one), [""; 0]);
    check(&[
        (
            pointer,
            selector("{{ ordinall }}"),
            &format!(
                "{at}.selector.matchLabels.slot: there is no value 'ordinall' for a claim; use namespace, claim, set, member, ordinal"
            ),
        ),
        (
            pointer,
            selector("{{ 'x' * 60 }}-{{ ordinal }}{{ 'y' * ordinal }}"),
            &format!(
                "{at}.selector.matchLabels.slot: '{}-2yy' is not a label value; use at most 63 of a-z, A-Z, 0-9, '-', '_', '.', and begin and end with a letter or digit",
                "x".repeat(60)
            ),
        ),
        (
            "/spec/volumeClaimTemplates/0/spec/volumeName",
            json!("v"),
            &format!(
                "{at}.volumeName: every member would ask for volume 'v'; write a selector with {{{{ ordinal }}}}, or claimRef in each volume"
            ),
        ),
        (
            "/spec/volumeClaimTemplates/0/spec/resources",
            json!({}),
            &format!("{at}.resources.requests.storage: no size is given; give one such as 10Gi"),
        ),
        (
            "/spec/selector/matchExpressions",
            json!([{ "key": "app", "operator": "NotIn", "values": ["db"] }]),
            "spec.selector.matchExpressions[0]: it does not hold of label 'app' of the template; change it, or leave the selector out",
        ),
    ]);
}

#[test]
fn rules_about_shared_volumes() {
    let shared = |name: &str, claim: &str| json!({ "name": name, "persistentVolumeClaim": { "claimName": claim } });
    let pointer = "/spec/template/spec/volumes";
    let mount = "/spec/template/spec/processes/0/volumeMounts/0/name";
    let set = with(good(), pointer, json!([shared("common", "c")]));
    let set = with(
        set,
        "/spec/template/spec/processes/1/volumeMounts",
        json!([]),
    );
    assert_eq!(problems(with(set, mount, json!("common"))), [""; 0]);
    let at = "spec.template.spec.volumes";
    check(&[
        (
            pointer,
            json!([shared("data", "c")]),
            &format!("{at}[0].name: 'data' is a claim template already; give another name"),
        ),
        (
            pointer,
            json!([shared("a", "c"), shared("a", "d")]),
            &format!("{at}[1].name: 'a' is there twice; give another name"),
        ),
        (
            pointer,
            json!([shared("a", "c/d")]),
            &format!(
                "{at}[0].persistentVolumeClaim.claimName: 'c/d' is not a DNS label; use a-z, 0-9 and '-', begin and end with a letter or digit"
            ),
        ),
        (
            pointer,
            json!([shared("a", "")]),
            &format!(
                "{at}[0]: the volume names no claim; give persistentVolumeClaim: {{claimName: ...}}"
            ),
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases reads best whole")]
fn rules_about_sub_paths() {
    let mounts = |one: Value| {
        let mut one = one;
        one["name"] = json!("data");
        one["mountPath"] = json!("/a");
        json!([one, { "name": "data", "mountPath": "/b", "subPath": "b" }])
    };
    let pointer = "/spec/template/spec/processes/0/volumeMounts";
    let set = with(
        good(),
        "/spec/template/spec/processes/1/volumeMounts",
        json!([]),
    );
    let found = |one: Value| problems(with(set.clone(), pointer, mounts(one)));
    for right in [
        json!({ "subPath": "a/b" }),
        json!({ "subPathExpr": "$(A)/$(HOSTNAME)" }),
        json!({ "subPathExpr": "{{ member }}" }),
        json!({ "subPathExpr": "$$(X)" }),
    ] {
        assert_eq!(
            found(right.clone()),
            ["spec.template.spec.processes[0].envFrom"; 0],
            "{right}"
        );
    }
    let at = "spec.template.spec.processes[0].volumeMounts[0]";
    for (wrong, expected) in [
        (
            json!({ "subPath": "/a" }),
            "subPath: '/a' is absolute; give a path relative to the volume's root",
        ),
        (
            json!({ "subPath": "a/../b" }),
            "subPath: 'a/../b' contains '..', '.', '//' or a '/' at its end; give the path without them",
        ),
        (
            json!({ "subPath": "a\nb" }),
            "subPath: 'a\\nb' contains a character that is not allowed; use printable ASCII without '\\'",
        ),
        (
            json!({ "subPath": "$(A)" }),
            "subPath: '$(A)' is taken as it is; write it as subPathExpr",
        ),
        (
            json!({ "subPath": "a", "subPathExpr": "b" }),
            "subPathExpr: subPath is given too; remove one of the two",
        ),
        (
            json!({ "subPathExpr": "$(A)/../x" }),
            "subPathExpr: '$(A)/../x' contains '..', '.', '//' or a '/' at its end; give the path without them",
        ),
        (
            json!({ "subPathExpr": "/$(A)" }),
            "subPathExpr: '/$(A)' is absolute; give a path relative to the volume's root",
        ),
        (
            json!({ "subPathExpr": ".." }),
            "subPathExpr: '..' contains '..', '.', '//' or a '/' at its end; give the path without them",
        ),
        (
            json!({ "subPathExpr": "{{ nope }}" }),
            "subPathExpr: there is no value 'nope'; use namespace, set, member, ordinal, replicas, fqdn, address, peers, founders, founding, previous_address, configDir or host.labels.<name>",
        ),
    ] {
        assert_eq!(
            found(wrong.clone()),
            [format!("{at}.{expected}")],
            "{wrong}"
        );
    }
    let unknown = json!({ "subPathExpr": "$(NOPE)" });
    assert_eq!(found(unknown.clone()), [""; 0], "envFrom may bring it");
    let without = with(
        set.clone(),
        "/spec/template/spec/processes/0/envFrom",
        json!([]),
    );
    assert_eq!(
        problems(with(without, pointer, mounts(unknown))),
        [format!(
            "{at}.subPathExpr: the process has no variable 'NOPE'; add it to its env"
        )]
    );
    // Two processes that put different directories at one path.
    let other = json!([{ "name": "data", "mountPath": "/data", "subPath": "x" }]);
    assert_eq!(
        problems(with(
            good(),
            "/spec/template/spec/processes/1/volumeMounts",
            other
        )),
        [
            "spec.template.spec.processes[1].volumeMounts[0].mountPath: volume 'data' of process \
          'main' is at '/data' already, and all processes of a member see the same volumes; give \
          another path"
        ]
    );
}
