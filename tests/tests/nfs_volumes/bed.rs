//! The test bed for real NFS, without Berth's volumes: that the guest's server and clients do what the
//! tests of volumes take for granted, most of all how they fail.

use std::{fs, path::PathBuf};

use berth_tests::{
    limit::Ended,
    nfs::{Bed, Call, HANG, Version, nfs_mounts},
};
use rustix::io::Errno;

/// Mounts the export `vol` on `h1`, and gives back the mount point and a file in it.
fn mounted(bed: &Bed, version: Version, more: &str) -> (PathBuf, String) {
    let export = bed.server().export("vol", "");
    fs::write(export.join("f"), "old").unwrap();
    let target = bed.mount_point("h1", "vol");
    let export = export.to_str().unwrap();
    let done = bed.mount(Call::Mount, version, ("h1", &target), export, more);
    assert!(done.ok(), "mount: {done}");
    let file = target.join("f").to_str().unwrap().to_owned();
    assert_eq!(
        bed.tool("h1", &["read", &file]),
        Ended::Code(0, "old".into())
    );
    (target, file)
}

/// A path in the mount that no client has in its cache.
fn unseen(file: &str) -> String {
    format!("{file}-unseen")
}

#[test]
fn both_versions_mount_by_both_calls_and_share_their_files() {
    let bed = Bed::new(2);
    let export = bed.server().export("vol", "");
    for version in Version::ALL {
        for call in [Call::Mount, Call::Fsopen] {
            let name = format!("{version:?}-{call:?}");
            let mut files = Vec::new();
            for host in ["h1", "h2"] {
                let target = bed.mount_point(host, &name);
                let done = bed.mount(call, version, (host, &target), export.to_str().unwrap(), "");
                assert!(done.ok(), "{name} on {host}: {done}");
                files.push(target.join(&name).to_str().unwrap().to_owned());
            }
            assert_eq!(nfs_mounts().len(), 2, "{name}");
            let wrote = bed.tool("h1", &["write", &files[0], &name]);
            assert!(wrote.ok(), "{name}: {wrote}");
            assert_eq!(fs::read_to_string(export.join(&name)).unwrap(), name);
            let read = bed.tool("h2", &["read", &files[1]]);
            assert_eq!(read, Ended::Code(0, name.clone()), "h2 reads h1's file");
            for host in ["h1", "h2"] {
                let target = bed.mount_point(host, &name);
                let done = bed.tool(host, &["umount", "plain", target.to_str().unwrap()]);
                assert!(done.ok(), "{name} on {host}: {done}");
            }
            assert!(nfs_mounts().is_empty(), "{name}: {:?}", nfs_mounts());
        }
    }
}

/// With one name, the server could take the second for the first after a boot.
#[test]
fn two_hosts_are_two_clients() {
    let bed = Bed::new(2);
    let export = bed.server().export("vol", "");
    for host in ["h1", "h2"] {
        let target = bed.mount_point(host, "vol");
        let export = export.to_str().unwrap();
        let done = bed.mount(Call::Mount, Version::V4, (host, &target), export, "");
        assert!(done.ok(), "{host}: {done}");
    }
    let clients = bed.server().clients();
    assert_eq!(clients.len(), 2, "{clients:?}");
    for (client, host) in clients.iter().zip(["h1", "h2"]) {
        assert!(client.contains(host), "{clients:?}");
    }
}

#[test]
fn a_soft_mount_of_version_3_fails_while_the_cable_is_cut() {
    let bed = Bed::new(2);
    let (_, file) = mounted(&bed, Version::V3, "soft,timeo=10,retrans=1");
    bed.network().cut("h1");
    let done = bed.tool("h1", &["stat", &unseen(&file)]);
    assert_eq!(done.errno(), Some(Errno::IO), "{done}");

    bed.network().mend("h1");

    let done = bed.tool("h1", &["stat", &unseen(&file)]);
    assert_eq!(done.errno(), Some(Errno::NOENT), "{done}");
}

/// The calls may outlast the mount: it is out of the table before the kernel says goodbye to the
/// server, and with version 4 that waits for an answer. They can be killed there too.
#[test]
fn a_mount_that_hangs_can_be_taken_away() {
    for version in Version::ALL {
        let bed = Bed::new(1);
        let (target, file) = mounted(&bed, version, "hard");
        let path = target.to_str().unwrap();
        bed.network().cut("h1");
        let busy = bed.begin("h1", &["stat", &unseen(&file)]);
        assert!(busy.hangs_for(HANG), "{version:?}");
        for how in ["force", "detach"] {
            bed.begin("h1", &["umount", how, path]).within(HANG);
        }
        assert!(bed.mounts_below(&target).is_empty(), "{version:?}");
        let ended = busy.within(HANG);
        assert!(!ended.ok(), "{version:?}: {ended}");
    }
}
