//! What operators bring along from Kubernetes about volumes, and what they are told.

use super::*;

/// What is wrong with the documents of a tutorial.
const IMAGES: [&str; 3] = [
    "v.yaml:35:9: StatefulSet/web: spec.template.spec.initProcesses[0].image: there is no field \
     'image' here; give command: Berth runs host binaries",
    "v.yaml:42:9: StatefulSet/web: spec.template.spec.processes[0].image: there is no field 'image' \
     here; give command: Berth runs host binaries",
    "v.yaml:43:9: StatefulSet/web: spec.template.spec.processes[0].imagePullPolicy: there is no \
     field 'imagePullPolicy' here; give command: Berth runs host binaries",
];

fn refused(text: &str) -> Vec<String> {
    let source = Source {
        file: "v.yaml".to_owned(),
        text: text.to_owned(),
    };
    let violations = parse(&[source], "default").unwrap_err();
    violations.iter().map(ToString::to_string).collect()
}

#[test]
fn the_volume_of_a_tutorial_is_read_as_it_is() {
    let text = "\
apiVersion: v1
kind: PersistentVolume
metadata:
  name: pv0003
spec:
  capacity:
    storage: 5Gi
  volumeMode: Filesystem
  accessModes:
    - ReadWriteOnce
  persistentVolumeReclaimPolicy: Retain
  storageClassName: slow
  mountOptions:
    - hard
    - nfsvers=4.1
  nfs:
    path: /tmp
    server: 172.17.0.2
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: myclaim
spec:
  accessModes:
    - ReadWriteOnce
  volumeMode: Filesystem
  resources:
    requests:
      storage: 8Gi
  storageClassName: slow
  selector:
    matchLabels:
      release: stable
    matchExpressions:
      - {key: environment, operator: In, values: [dev]}
";
    let source = Source {
        file: "v.yaml".to_owned(),
        text: text.to_owned(),
    };
    let objects = parse(&[source], "default").unwrap();
    let Object::PersistentVolume(volume) = &objects[0].object else {
        panic!("not a volume");
    };
    let nfs = volume.spec.nfs_source().unwrap();
    assert_eq!(nfs.version, crate::volume::NfsVersion::V4_1);
    assert_eq!(nfs.options.iter().collect::<Vec<_>>(), [("hard", None)]);
    assert_eq!(volume.spec.storage(), 5 << 30);
    let again = from_json(&to_json(&objects[1].object), "default").unwrap();
    assert_eq!(again.object, objects[1].object);
}

#[test]
fn sources_that_are_not_there_are_told_at_their_line() {
    let volume = |source: &str| {
        refused(&format!(
            "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: v}}\nspec:\n  \
             capacity: {{storage: 1Gi}}\n  accessModes: [ReadWriteOnce]\n{source}"
        ))
    };
    assert_eq!(
        volume("  hostPath: {path: /data}\n"),
        [
            "v.yaml:7:3: PersistentVolume/v: spec.hostPath: there is no field 'hostPath' here; \
             paths of hosts are pools: write a claim of a StorageClass with provisioner local and \
             parameters.pool"
        ]
    );
    assert_eq!(
        volume("  local: {path: /data}\n  nodeAffinity: {required: {}}\n"),
        [
            "v.yaml:7:3: PersistentVolume/v: spec.local: there is no field 'local' here; paths of \
             hosts are pools: write a claim of a StorageClass with provisioner local and \
             parameters.pool",
            "v.yaml:8:3: PersistentVolume/v: spec.nodeAffinity: there is no field 'nodeAffinity' \
             here; remove it: a volume of nfs is reached from every host, one of a pool knows its \
             host",
        ]
    );
    assert_eq!(
        volume("  csi: {driver: x}\n  volumeMode: Block\n"),
        [
            "v.yaml:7:3: PersistentVolume/v: spec.csi: there is no field 'csi' here; Berth has \
             nfs, and pools of the hosts through the class local",
            "v.yaml:8:15: PersistentVolume/v: spec.volumeMode: 'Block' is not known here; a volume \
             is a directory here; leave volumeMode out",
        ]
    );
    assert_eq!(
        volume("  persistentVolumeReclaimPolicy: Recycle\n  nfs: {server: nas, path: /a}\n"),
        [
            "v.yaml:7:34: PersistentVolume/v: spec.persistentVolumeReclaimPolicy: 'Recycle' is not \
             known here; write Retain: 'berth volume release' frees the volume when its data may \
             go"
        ]
    );
    assert_eq!(
        volume(""),
        [
            "v.yaml:5:3: PersistentVolume/v: spec: the volume has no source; give nfs: \
             {server: ..., path: ...}"
        ]
    );
}

#[test]
fn every_mistake_of_a_volume_is_told_at_once() {
    let text = "\
apiVersion: v1
kind: PersistentVolume
metadata: {name: v, namespace: prod}
spec:
  capacity: {storage: 0}
  accessModes: [RWO]
  persistentVolumeReclaimPolicy: Delete
  storageClassName: A_b
  claimRef: {name: 'a/b', namespace: x.y, kind: Pod}
  mountOptions: [hard, suid, 'timeo=5,dev']
  nfs: {server: 'nfs://nas', path: /a/../etc}
";
    let told = refused(text);
    let places: Vec<(&str, &str)> = told
        .iter()
        .filter_map(|line| {
            let mut parts = line.split(": ");
            Some((parts.next()?.strip_prefix("v.yaml:")?, parts.nth(1)?))
        })
        .collect();
    assert_eq!(
        places,
        [
            ("3:32", "metadata.namespace"),
            ("5:23", "spec.capacity.storage"),
            ("6:17", "spec.accessModes[0]"),
            ("7:34", "spec.persistentVolumeReclaimPolicy"),
            ("8:21", "spec.storageClassName"),
            ("9:20", "spec.claimRef.name"),
            ("9:38", "spec.claimRef.namespace"),
            ("9:49", "spec.claimRef.kind"),
            ("10:24", "spec.mountOptions[1]"),
            ("10:30", "spec.mountOptions[2]"),
            ("11:17", "spec.nfs.server"),
            ("11:36", "spec.nfs.path"),
        ],
        "{told:#?}"
    );
    assert!(told[2].ends_with("'RWO' is not known here; write ReadWriteOnce"));
}

#[test]
fn provisioners_of_kubernetes_are_answered_with_ours() {
    let class = |provisioner: &str, rest: &str| {
        refused(&format!(
            "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: c}}\n\
             provisioner: {provisioner}\n{rest}"
        ))
    };
    assert_eq!(
        class(
            "nfs.csi.k8s.io",
            "parameters: {server: nas, share: /s, mountPermissions: '0'}\n"
        ),
        [
            "v.yaml:4:14: StorageClass/c: provisioner: 'nfs.csi.k8s.io' is not known here; write \
             nfs, with parameters server and share",
            "v.yaml:5:38: StorageClass/c: parameters.mountPermissions: there is no field \
             'mountPermissions' here; remove it: a new directory belongs to the user of its process",
        ]
    );
    assert_eq!(
        class("rancher.io/local-path", ""),
        [
            "v.yaml:4:14: StorageClass/c: provisioner: 'rancher.io/local-path' is not known here; \
             write local: volumes are directories or images in a pool of the host"
        ]
    );
    assert_eq!(
        class("example.com/mine", ""),
        [
            "v.yaml:4:14: StorageClass/c: provisioner: 'example.com/mine' is not known here; use \
             local, nfs, kubernetes.io/no-provisioner"
        ]
    );
}

#[test]
fn a_claim_template_as_kubectl_prints_it_is_told_what_to_leave_out() {
    let text = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: s}
spec:
  template: {spec: {processes: [{name: a, command: [/bin/a], user: u}]}}
  volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata:
      name: d
      annotations: {volume.alpha.kubernetes.io/storage-class: anything}
    spec: {resources: {requests: {storage: 1Gi}, limits: {storage: 2Gi}}}
    status: {phase: Pending}
";
    let at = |place: &str, field: &str, rest: &str| {
        format!("v.yaml:{place}: StatefulSet/s: spec.volumeClaimTemplates[0].{field}: {rest}")
    };
    let object = "remove it: it stands at the object only";
    assert_eq!(
        refused(text),
        [
            at(
                "7:5",
                "apiVersion",
                &format!("there is no field 'apiVersion' here; {object}")
            ),
            at(
                "8:5",
                "kind",
                &format!("there is no field 'kind' here; {object}")
            ),
            at(
                "11:63",
                "metadata.annotations.volume.alpha.kubernetes.io/storage-class",
                "this annotation has no meaning any more; write spec.storageClassName"
            ),
            at(
                "12:50",
                "spec.resources.limits",
                "there is no field 'limits' here; remove it: a claim gets what it requests"
            ),
            at(
                "13:5",
                "status",
                "there is no field 'status' here; remove it: it is what was found, not what is \
                 wanted"
            ),
        ]
    );
}

#[test]
fn volumes_of_a_pod_are_claims_or_files() {
    let set = |volume: &str| {
        refused(&format!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: s}}\nspec:\n  template:\n    \
             spec:\n      processes: [{{name: a, command: [/bin/a], user: u}}]\n      volumes:\n      \
             - name: v\n{volume}"
        ))
    };
    for (source, hint) in [
        (
            "emptyDir: {}",
            "write volumeClaimTemplates for data; /tmp is the member's own already",
        ),
        (
            "hostPath: {path: /x}",
            "paths of hosts are pools: write a claim of a StorageClass with provisioner local and \
             parameters.pool",
        ),
        (
            "configMap: {name: c}",
            "write files of the process, with configMap",
        ),
        (
            "secret: {secretName: c}",
            "write files of the process, with secret",
        ),
        (
            "nfs: {server: a, path: /b}",
            "make a PersistentVolume with nfs and a claim, and give persistentVolumeClaim",
        ),
    ] {
        let (name, _) = source.split_once(':').unwrap();
        assert_eq!(
            set(&format!("        {source}\n")),
            [format!(
                "v.yaml:10:9: StatefulSet/s: spec.template.spec.volumes[0].{name}: there is no \
                 field '{name}' here; {hint}"
            )]
        );
    }
    assert_eq!(
        set(""),
        [
            "v.yaml:9:9: StatefulSet/s: spec.template.spec.volumes[0]: the volume names no claim; \
             give persistentVolumeClaim: {claimName: ...}"
        ]
    );
}

/// Nothing else is wrong with it: what an image says of program and user is not asked for twice.
#[test]
fn the_documents_of_a_tutorial_are_refused_for_their_images_alone() {
    let text = include_str!("../../../tests/manifests/kubernetes_tutorial.yaml");
    assert_eq!(refused(text), IMAGES);
}
