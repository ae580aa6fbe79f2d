//! Manifests of the tests: volumes made by hand, classes, and sets of small members that use them.

use super::SERVER;

/// A volume made by hand, for the member of `set` with this ordinal.
pub fn volume(set: &str, ordinal: u32, path: &str, options: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolume\n\
         metadata: {{name: {set}-{ordinal}, labels: {{set: {set}, slot: '{ordinal}'}}}}\n\
         spec:\n  capacity: {{storage: 1Gi}}\n  accessModes: [ReadWriteOnce]\n  \
         persistentVolumeReclaimPolicy: Retain\n  storageClassName: by-hand\n  \
         mountOptions: [{options}]\n  nfs: {{server: {SERVER}, path: {path}}}\n---\n"
    )
}

/// A class that makes a directory of an export for each claim.
pub fn class(name: &str, share: &str, version: &str) -> String {
    format!(
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: {name}}}\n\
         provisioner: nfs\nparameters: {{server: {SERVER}, share: {share}, version: '{version}'}}\n---\n"
    )
}

/// Where the volumes of a set come from.
#[derive(Debug, Clone, Copy)]
pub enum From<'a> {
    /// From [`volume`].
    Hand,
    /// From a class; the default one without a name.
    Class(Option<&'a str>),
}

/// A set of members that run a bash script as `alice`, each with a volume at `/data`.
pub fn set(name: &str, replicas: u32, from: From<'_>, script: &str) -> String {
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec: {{clusterIP: None, ports: [{{name: none, port: 7000}}]}}\n---\n\
         apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: {name}}}\n\
         spec:\n  serviceName: {name}\n  replicas: {replicas}\n  spread: Prefer\n  \
         podManagementPolicy: Parallel\n  template:\n    spec:\n      \
         terminationGracePeriodSeconds: 2\n      processes:\n      - name: main\n        \
         command: [/bin/bash, -c, {script:?}]\n        user: alice\n        \
         volumeMounts: [{{name: data, mountPath: /data}}]\n  \
         volumeClaimTemplates:\n  - metadata: {{name: data}}\n    spec:\n      \
         accessModes: [ReadWriteOnce]\n      resources: {{requests: {{storage: 1Mi}}}}\n"
    );
    let more = match from {
        From::Hand => format!(
            "      storageClassName: by-hand\n      \
             selector: {{matchLabels: {{set: {name}, slot: '{{{{ ordinal }}}}'}}}}\n"
        ),
        From::Class(Some(class)) => format!("      storageClassName: {class}\n"),
        From::Class(None) => String::new(),
    };
    text + &more + "---\n"
}
