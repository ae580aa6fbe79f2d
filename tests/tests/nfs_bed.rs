//! The test bed for real NFS, without Berth's volumes: that the guest's server and clients do what the
//! tests of volumes take for granted, most of all how they fail.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use berth_tests::{
    hosts::Hosts,
    limit::Ended,
    nfs::{Bed, Call, HANG, SOON, Version, nfs_mounts},
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

fn umount(bed: &Bed, how: &str, target: &Path) -> Ended {
    bed.tool("h1", &["umount", how, target.to_str().unwrap()])
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
fn while_the_server_is_stopped_a_hard_mount_hangs_and_then_goes_on() {
    for version in Version::ALL {
        let bed = Bed::new(1);
        let (target, file) = mounted(&bed, version, "hard");
        bed.server().stop();
        let killed = bed.begin("h1", &["stat", &unseen(&file)]).within(HANG);
        assert_eq!(killed, Ended::Hung, "{version:?}: it can be killed");
        let waiting = bed.begin("h1", &["write", &file, "new"]);
        assert!(waiting.hangs_for(HANG), "{version:?}");

        bed.server().start();

        let done = waiting.within(SOON);
        assert!(done.ok(), "{version:?}: {done}");
        let stored = bed.tool("h1", &["read", &file]);
        assert_eq!(stored, Ended::Code(0, "new".into()), "{version:?}");
        assert!(umount(&bed, "plain", &target).ok(), "{version:?}");
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

#[test]
fn a_frozen_server_takes_connections_and_answers_nothing() {
    for version in Version::ALL {
        let bed = Bed::new(1);
        let (_, file) = mounted(&bed, version, "hard");
        bed.server().freeze();
        let waiting = bed.begin("h1", &["write", &file, "new"]);
        assert!(waiting.hangs_for(HANG), "{version:?}");
        let other = bed.mount_point("h1", "other");
        let mount = ["mount", version.kind(), "10.99.0.254:/srv/nfs/vol"];
        let options = format!("{},nosharecache", version.options("h1"));
        let mut words = mount.to_vec();
        words.extend([other.to_str().unwrap(), &options]);
        let hung = bed.begin("h1", &words).within(HANG);
        assert_eq!(hung, Ended::Hung, "{version:?}: a mount hangs too");
        let server = fs::read_to_string("/srv/nfs/vol/f").unwrap();
        assert_eq!(server, "old", "{version:?}: nothing is done meanwhile");

        bed.server().thaw();

        let done = waiting.within(SOON);
        assert!(done.ok(), "{version:?}: {done}");
    }
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

#[test]
fn an_export_that_was_made_anew_is_stale() {
    for version in Version::ALL {
        let bed = Bed::new(1);
        let (target, file) = mounted(&bed, version, "hard,noac");
        bed.server().replace("vol", "");
        let done = bed.tool("h1", &["read", &file]);
        assert_eq!(done.errno(), Some(Errno::STALE), "{version:?}: {done}");
        let done = bed.tool("h1", &["statfs", target.to_str().unwrap()]);
        assert_eq!(done.errno(), Some(Errno::STALE), "{version:?}: {done}");
        assert!(umount(&bed, "plain", &target).ok(), "{version:?}");
    }
}

#[test]
fn what_is_not_exported_is_not_mounted_and_root_may_be_squashed() {
    let bed = Bed::new(1);
    let export = bed.server().export("vol", "root_squash");
    for version in Version::ALL {
        let wrong = bed.mount_point("h1", "wrong");
        let done = bed.mount(Call::Mount, version, ("h1", &wrong), "/srv/nfs/nothing", "");
        let expected = match version {
            Version::V3 => Errno::ACCESS,
            Version::V4 => Errno::NOENT,
        };
        assert_eq!(done.errno(), Some(expected), "{version:?}: {done}");

        let target = bed.mount_point("h1", &format!("{version:?}"));
        let path = export.to_str().unwrap();
        let done = bed.mount(Call::Mount, version, ("h1", &target), path, "");
        assert!(done.ok(), "{version:?}: {done}");
        let file = target.join("f").to_str().unwrap().to_owned();
        let done = bed.tool("h1", &["write", &file, "x"]);
        assert_eq!(done.errno(), Some(Errno::ACCESS), "{version:?}: {done}");
    }
}

const SET: &str = "
apiVersion: v1
kind: Service
metadata: {name: idle}
spec: {clusterIP: None, ports: [{name: none, port: 7000}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: idle}
spec:
  serviceName: idle
  replicas: 2
  template:
    spec:
      processes:
      - name: main
        command: [/bin/bash, -c, 'echo {{ member }} > /data/name; exec /usr/bin/tail -f /dev/null']
        user: alice
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_comes_up_in_the_guest_and_runs_a_set_on_local_volumes() {
    let bed = Bed::new(2);
    let berth = Hosts::start(bed.network(), bed.dir());
    let manifest = bed.dir().join("set.yaml");
    fs::write(&manifest, SET).unwrap();
    let cluster = berth.cluster();
    cluster.channel().await;
    let manifest = manifest.to_str().unwrap();
    cluster.berth(&["apply", "-f", manifest, "--wait", "--timeout", "60s"]);
    let members = cluster.ready("idle", 2).await;
    let hosts: Vec<_> = members
        .values()
        .map(|member| member.host.as_str())
        .collect();
    assert_eq!(hosts.len(), 2);
    assert_ne!(hosts[0], hosts[1], "each host has one");
    cluster.berth(&["delete", "sts", "idle", "--confirm", "idle", "--wait"]);
}
