//! Rules about storage classes and volumes that are made by hand.

use super::{Problems, claim, meta};
use crate::{
    ids::check_label,
    spec::{
        BindingMode, ClaimRef, DEFAULT_CLASS, Kind, LimitPolicy, PersistentVolume, Provisioner,
        ReclaimPolicy, StorageClass,
    },
    template,
    volume::{NfsOptions, NfsVersion, server_path},
};

/// How a class makes volumes.
pub(super) fn class(problems: &mut Problems, class: &StorageClass) {
    default_mark(problems, class);
    parameters(problems, class);
    match class.provisioner {
        Provisioner::Local => local(problems, class),
        Provisioner::Nfs => nfs(problems, class),
        Provisioner::NoProvisioner => by_hand(problems, class),
    }
}

fn default_mark(problems: &mut Problems, class: &StorageClass) {
    if let Some(text) = class.metadata.annotations.get(DEFAULT_CLASS)
        && !["true", "false"].contains(&text.as_str())
    {
        problems.add(
            format!("metadata.annotations.{DEFAULT_CLASS}"),
            format!("'{text}' says nothing here; give 'true' or 'false'"),
        );
    }
    meta::replaced(
        problems,
        "metadata",
        &class.metadata,
        "storageclass.beta.kubernetes.io/is-default-class",
        DEFAULT_CLASS,
    );
}

/// Every parameter belongs to one provisioner: one that means nothing would be a mistake that
/// nobody finds.
fn parameters(problems: &mut Problems, class: &StorageClass) {
    let given = &class.parameters;
    let all = [
        ("pool", Provisioner::Local, !given.pool.is_empty()),
        (
            "limits",
            Provisioner::Local,
            given.limits != LimitPolicy::default(),
        ),
        ("server", Provisioner::Nfs, !given.server.is_empty()),
        ("share", Provisioner::Nfs, !given.share.is_empty()),
        ("version", Provisioner::Nfs, given.version.is_some()),
        ("subDir", Provisioner::Nfs, !given.sub_dir.is_empty()),
    ];
    for (name, owner, is_given) in all {
        if !is_given || owner == class.provisioner {
            continue;
        }
        let message = match class.provisioner {
            Provisioner::Local => {
                format!("'{name}' means nothing to local; it takes pool and limits")
            }
            Provisioner::Nfs => {
                format!("'{name}' means nothing to nfs; it takes server, share, version and subDir")
            }
            Provisioner::NoProvisioner => {
                format!("'{name}' means nothing to a class that makes no volumes; remove it")
            }
        };
        problems.add(format!("parameters.{name}"), message);
    }
}

fn local(problems: &mut Problems, class: &StorageClass) {
    let pool = &class.parameters.pool;
    if !pool.is_empty() {
        problems.check("parameters.pool", check_label(pool));
    }
    if !class.mount_options.is_empty() {
        problems.add(
            "mountOptions",
            "volumes of a pool have no mount options; remove them",
        );
    }
    if class.volume_binding_mode == Some(BindingMode::Immediate) {
        problems.add(
            "volumeBindingMode",
            "a volume of a pool is made when its member has a host; give WaitForFirstConsumer",
        );
    }
}

fn nfs(problems: &mut Problems, class: &StorageClass) {
    let given = &class.parameters;
    options(problems, "mountOptions", &class.mount_options);
    export(problems, "parameters", "share", &given.server, &given.share);
    version(problems, class);
    if given.sub_dir.contains("${") {
        problems.add(
            "parameters.subDir",
            "'${' is not replaced here; write {{ namespace }}, {{ claim }}, {{ set }}, \
             {{ member }} or {{ ordinal }}",
        );
    } else if let Err(message) = template::try_sub_dir(&given.sub_dir) {
        problems.add("parameters.subDir", message);
    }
}

fn version(problems: &mut Problems, class: &StorageClass) {
    let Some(text) = &class.parameters.version else {
        return;
    };
    let field = "parameters.version";
    let given = match text.parse::<NfsVersion>() {
        Ok(version) => version,
        Err(e) => return problems.add(field, e.to_string()),
    };
    let other = NfsOptions::parse(&class.mount_options).ok();
    if let Some(other) = other.and_then(|options| options.version())
        && other != given
    {
        problems.add(
            field,
            format!("mountOptions say {other}; give the version in one place"),
        );
    }
}

fn by_hand(problems: &mut Problems, class: &StorageClass) {
    if class.reclaim_policy == ReclaimPolicy::Delete {
        problems.add(
            "reclaimPolicy",
            "volumes that were made by hand are never deleted; give Retain",
        );
    }
    if !class.mount_options.is_empty() {
        problems.add(
            "mountOptions",
            "the class makes no volumes; write them in each PersistentVolume",
        );
    }
    if class.allow_volume_expansion {
        problems.add(
            "allowVolumeExpansion",
            "volumes that were made by hand do not grow; remove it",
        );
    }
}

/// What a volume is.
pub(super) fn volume(problems: &mut Problems, volume: &PersistentVolume) {
    let spec = &volume.spec;
    meta::old_class(problems, "metadata", &volume.metadata);
    meta::replaced(
        problems,
        "metadata",
        &volume.metadata,
        "volume.beta.kubernetes.io/mount-options",
        "spec.mountOptions",
    );
    claim::storage(problems, "spec.capacity", &spec.capacity);
    if spec.access_modes.is_empty() {
        problems.add(
            "spec.accessModes",
            "no access mode is given; give those that a claim may ask for, such as ReadWriteOnce",
        );
    }
    claim::access_modes(problems, "spec.accessModes", &spec.access_modes);
    if spec.persistent_volume_reclaim_policy == ReclaimPolicy::Delete {
        problems.add(
            "spec.persistentVolumeReclaimPolicy",
            "a volume that was made by hand is never deleted by Berth; give Retain",
        );
    }
    if !spec.storage_class_name.is_empty() {
        let class = check_label(&spec.storage_class_name);
        problems.check("spec.storageClassName", class);
    }
    if let Some(claim) = &spec.claim_ref {
        claim_ref(problems, claim);
    }
    options(problems, "spec.mountOptions", &spec.mount_options);
    match &spec.nfs {
        Some(nfs) => export(problems, "spec.nfs", "path", &nfs.server, &nfs.path),
        None => problems.add(
            "spec",
            "the volume has no source; give nfs: {server: ..., path: ...}",
        ),
    }
}

fn claim_ref(problems: &mut Problems, claim: &ClaimRef) {
    problems.check("spec.claimRef.name", check_label(&claim.name));
    if !claim.namespace.is_empty() {
        problems.check("spec.claimRef.namespace", check_label(&claim.namespace));
    }
    if let Some(kind) = &claim.kind
        && kind != Kind::PersistentVolumeClaim.as_str()
    {
        problems.add(
            "spec.claimRef.kind",
            format!("'{kind}' has no volumes; give PersistentVolumeClaim"),
        );
    }
}

fn options(problems: &mut Problems, at: &str, texts: &[String]) {
    if let Err(errors) = NfsOptions::parse(texts) {
        for (i, error) in errors {
            problems.add(format!("{at}[{i}]"), error.to_string());
        }
    }
}

fn export(problems: &mut Problems, at: &str, path_field: &str, server: &str, path: &str) {
    // Each is checked beside one that is surely right, so that both are told.
    problems.check(format!("{at}.server"), server_path(server, "/").map(drop));
    problems.check(
        format!("{at}.{path_field}"),
        server_path("nas", path).map(drop),
    );
}
