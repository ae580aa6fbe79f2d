//! What the manifests of Kubernetes contain and Berth does not have, and what to write instead: most
//! operators begin with a manifest that they found somewhere.

/// A field that means the same wherever it is.
const FIELDS: &[(&str, &str)] = &[
    ("image", "give command: Berth runs host binaries"),
    ("imagePullPolicy", "give command: Berth runs host binaries"),
    ("imagePullSecrets", "give command: Berth runs host binaries"),
    ("containers", "write processes: Berth runs host binaries"),
    (
        "initContainers",
        "write initProcesses: Berth runs host binaries",
    ),
    (
        "volumes",
        "write volumeClaimTemplates for data and files for configuration",
    ),
    (
        "securityContext",
        "write user, group, supplementalGroups and capabilities at each process, and \
         readOnlyRootFilesystem in spec.template.spec",
    ),
    ("runAsUser", "write user at the process"),
    ("runAsGroup", "write group at the process"),
    ("supplementalGroups", "write it at each process"),
    (
        "supplementalGroupsPolicy",
        "remove it: a process has the groups of its user's account too",
    ),
    (
        "capabilities",
        "write it at each process, with keep: all are dropped but those that it names",
    ),
    (
        "sysctls",
        "set them on the hosts, and write requires in spec.template.spec: agents look for them",
    ),
    (
        "runAsNonRoot",
        "remove it: no process is root unless the policy of its host allows it",
    ),
    (
        "fsGroup",
        "remove it: a new volume belongs to the user of its process",
    ),
    (
        "fsGroupChangePolicy",
        "remove it: a new volume belongs to the user of its process",
    ),
    (
        "add",
        "write keep: every capability is dropped but those that it names",
    ),
    (
        "drop",
        "remove it: every capability is dropped but those of keep",
    ),
    ("privileged", "name the capabilities that it needs in keep"),
    (
        "allowPrivilegeEscalation",
        "remove it: no process ever gains privileges (no_new_privs)",
    ),
    (
        "noNewPrivileges",
        "remove it: no process ever gains privileges (no_new_privs)",
    ),
    ("privateTmp", "remove it: /tmp is the member's own always"),
    (
        "readOnlyRootFilesystem",
        "write it in spec.template.spec: the processes of a member see the same files",
    ),
    ("seccompProfile", "remove it: Berth does not have it"),
    ("seLinuxOptions", "remove it: Berth does not have it"),
    ("seLinuxChangePolicy", "remove it: Berth does not have it"),
    ("appArmorProfile", "remove it: Berth does not have it"),
    ("procMount", "remove it: a member has a /proc of its own"),
    ("windowsOptions", "remove it: hosts have Linux"),
    ("claims", "remove it: processes use the devices of the host"),
    ("ulimits", "write rlimits"),
    (
        "affinity",
        "write nodeSelector, spread and topologySpreadConstraints",
    ),
    ("sysctl", "write sysctls in requires: {NAME: VALUE}"),
    (
        "labelSelector",
        "remove it: the members of the set are counted",
    ),
    ("matchLabelKeys", "remove it: all members are counted"),
    ("minDomains", "remove it: Berth does not have it"),
    (
        "nodeAffinityPolicy",
        "remove it: hosts that nodeSelector does not admit are no domain",
    ),
    (
        "nodeTaintsPolicy",
        "remove it: cordoned hosts are counted as those of a domain",
    ),
    ("tolerations", "write nodeSelector"),
    (
        "serviceAccountName",
        "remove it: processes have no account in Berth",
    ),
    ("restartPolicy", "remove it: processes are always restarted"),
    ("dnsPolicy", "remove it: each agent serves the names"),
    ("hostNetwork", "remove it: processes use the host's network"),
    ("strategy", "write updateStrategy"),
    (
        "maxSurge",
        "remove it: a member has one name and one set of volumes, so there is never a second one",
    ),
    (
        "unhealthyPodEvictionPolicy",
        "remove it: a member that is not ready costs no budget",
    ),
    (
        "binaryData",
        "write data: config objects hold text; put a binary file on the hosts or on a volume",
    ),
    (
        "fileKeyRef",
        "write configMapKeyRef or secretKeyRef, or a file of the process",
    ),
    (
        "containerName",
        "remove it: the numbers are the process's own",
    ),
    ("stopSignal", "write killSignal of the process"),
    ("scheme", "remove it: Berth asks over plain HTTP"),
    (
        "tcpSocket",
        "write exec, httpGet or sleep: a hook that only connects does nothing",
    ),
    (
        "restartPolicyRules",
        "remove it: a process is restarted whatever it exited with",
    ),
    ("restartBackoff", "write it in spec.template.spec"),
    ("readinessGates", "write it in spec.template.spec"),
    ("neverKill", "write it at the process"),
    ("journald", "write log: {journald: true} at the process"),
    (
        "finalizers",
        "remove it: what is in use is not deleted anyway",
    ),
    (
        "ownerReferences",
        "remove it: persistentVolumeClaimRetentionPolicy of the set says what goes with it",
    ),
    ("generateName", "give a name"),
    // As `kubectl get -o yaml` prints claim templates.
    ("apiVersion", "remove it: it stands at the object only"),
    ("kind", "remove it: it stands at the object only"),
    (
        "status",
        "remove it: it is what was found, not what is wanted",
    ),
    // Volumes of a pod that are no claim.
    (
        "emptyDir",
        "write volumeClaimTemplates for data; /tmp is the member's own already",
    ),
    ("hostPath", HOST_PATH),
    ("configMap", "write files of the process, with configMap"),
    ("secret", "write files of the process, with secret"),
    (
        "projected",
        "write files of the process, with configMap or secret",
    ),
    (
        "downwardAPI",
        "write files of the process: their templates know the member",
    ),
    (
        "ephemeral",
        "write volumeClaimTemplates: their claims outlive the member",
    ),
    (
        "nfs",
        "make a PersistentVolume with nfs and a claim, and give persistentVolumeClaim",
    ),
    // Sources of a PersistentVolume.
    ("local", HOST_PATH),
    (
        "csi",
        "Berth has nfs, and pools of the hosts through the class local",
    ),
    (
        "iscsi",
        "mount it on the host and make it a pool, or give nfs",
    ),
    ("fc", "mount it on the host and make it a pool, or give nfs"),
    (
        "cephfs",
        "mount it on the host and make it a pool, or give nfs",
    ),
    (
        "rbd",
        "mount it on the host and make it a pool, or give nfs",
    ),
    (
        "glusterfs",
        "mount it on the host and make it a pool, or give nfs",
    ),
    (
        "awsElasticBlockStore",
        "mount it on the host and make it a pool, or give nfs",
    ),
    (
        "gcePersistentDisk",
        "mount it on the host and make it a pool, or give nfs",
    ),
    (
        "azureDisk",
        "mount it on the host and make it a pool, or give nfs",
    ),
    (
        "nodeAffinity",
        "remove it: a volume of nfs is reached from every host, one of a pool knows its host",
    ),
    (
        "volumeAttributesClassName",
        "remove it: a class says all of a volume",
    ),
    // Claims, mounts and classes.
    (
        "dataSourceRef",
        "write dataSource: a claim begins with what is in its own namespace",
    ),
    (
        "volumeSnapshotClassName",
        "remove it: the pool that the volume is in says how it is copied",
    ),
    (
        "volumeSnapshotContentName",
        "write persistentVolumeClaimName: a snapshot is taken of a claim",
    ),
    (
        "volumeDevices",
        "write volumeMounts: a volume is a directory here",
    ),
    (
        "mountPropagation",
        "remove it: mounts of a member stay its own",
    ),
    (
        "recursiveReadOnly",
        "write readOnly: a volume holds no other mounts",
    ),
    (
        "allowedTopologies",
        "remove it and name a pool that only those hosts have: parameters.pool",
    ),
    (
        "archiveOnDelete",
        "write reclaimPolicy: what is deleted goes to a trash first",
    ),
    (
        "onDelete",
        "write reclaimPolicy: what is deleted goes to a trash first",
    ),
    (
        "mountPermissions",
        "remove it: a new directory belongs to the user of its process",
    ),
    (
        "pathPattern",
        "write subDir, such as '{{ namespace }}-{{ claim }}'",
    ),
];

const HOST_PATH: &str = "paths of hosts are pools: write a claim of a StorageClass with provisioner \
                         local and parameters.pool";

/// Whether each part of an unknown field has a place of its own here, or none.
pub(super) fn has_parts(name: &str) -> bool {
    name == "securityContext"
}

/// What to do instead of an unknown field that stands beside the known ones.
pub(super) fn field(name: &str, beside: &[&str]) -> Option<&'static str> {
    // A process has limits, a claim does not: only there is the word out of place.
    let of_claim = beside == ["requests"];
    if name == "limits" && of_claim {
        return Some("remove it: a claim gets what it requests");
    }
    let found = FIELDS.iter().find(|(field, _)| *field == name);
    found.map(|(_, hint)| *hint)
}

const NFS: &str = "write nfs, with parameters server and share";
const POOL: &str = "write local: volumes are directories or images in a pool of the host";
const NO_CLOUD: &str = "use local (a pool of the host), nfs, or kubernetes.io/no-provisioner for \
                        volumes made by hand";

/// Words of Kubernetes, the list that they would stand in (by a word of it), and what to write.
const WORDS: [(&str, &str, &str); 27] = [
    (
        "Never",
        "Always",
        "leave restartPolicy out: an init process runs to its end",
    ),
    (
        "OnFailure",
        "Always",
        "leave restartPolicy out: an init process runs to its end",
    ),
    ("nfs.csi.k8s.io", "nfs", NFS),
    ("k8s-sigs.io/nfs-subdir-external-provisioner", "nfs", NFS),
    ("cluster.local/nfs-subdir-external-provisioner", "nfs", NFS),
    ("example.com/external-nfs", "nfs", NFS),
    ("fuseim.pri/ifs", "nfs", NFS),
    ("kubernetes.io/nfs", "nfs", NFS),
    ("rancher.io/local-path", "nfs", POOL),
    ("kubernetes.io/host-path", "nfs", POOL),
    ("k8s.io/minikube-hostpath", "nfs", POOL),
    ("microk8s.io/hostpath", "nfs", POOL),
    ("docker.io/hostpath", "nfs", POOL),
    ("openebs.io/local", "nfs", POOL),
    ("local.csi.openebs.io", "nfs", POOL),
    ("topolvm.io", "nfs", POOL),
    ("topolvm.cybozu.com", "nfs", POOL),
    ("kubernetes.io/aws-ebs", "nfs", NO_CLOUD),
    ("ebs.csi.aws.com", "nfs", NO_CLOUD),
    ("kubernetes.io/gce-pd", "nfs", NO_CLOUD),
    ("pd.csi.storage.gke.io", "nfs", NO_CLOUD),
    (
        "Block",
        "Filesystem",
        "a volume is a directory here; leave volumeMode out",
    ),
    (
        "Recycle",
        "Retain",
        "write Retain: 'berth volume release' frees the volume when its data may go",
    ),
    ("RWO", "ReadWriteOnce", "write ReadWriteOnce"),
    ("ROX", "ReadWriteOnce", "write ReadOnlyMany"),
    ("RWX", "ReadWriteOnce", "write ReadWriteMany"),
    ("RWOP", "ReadWriteOnce", "write ReadWriteOncePod"),
];

/// What to write instead of an unknown word, where one of the known ones is expected.
pub(super) fn word(word: &str, known: &[&str]) -> Option<&'static str> {
    let found = WORDS
        .iter()
        .find(|(text, among, _)| *text == word && known.contains(among));
    found.map(|(.., hint)| *hint)
}
