//! Rules about storage classes and volumes that are made by hand.

use super::Problems;
use crate::{
    spec::{PersistentVolume, Provisioner, StorageClass},
    volume::{NfsOptions, NfsVersion, server_path},
};

/// How a class makes volumes.
pub(super) fn class(problems: &mut Problems, class: &StorageClass) {
    options(problems, "mountOptions", &class.mount_options);
    let given = &class.parameters;
    if class.provisioner == Provisioner::Nfs {
        export(problems, "parameters", "share", &given.server, &given.share);
    }
    if let Some(version) = &given.version {
        problems.check(
            "parameters.version",
            version.parse::<NfsVersion>().map(drop),
        );
    }
}

/// What a volume is.
pub(super) fn volume(problems: &mut Problems, volume: &PersistentVolume) {
    options(problems, "spec.mountOptions", &volume.spec.mount_options);
    match &volume.spec.nfs {
        Some(nfs) => export(problems, "spec.nfs", "path", &nfs.server, &nfs.path),
        None => problems.add("spec.nfs", "no source is given; give server and path"),
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
