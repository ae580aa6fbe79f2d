//! The Linux host where it meets the machine: volumes from first use to loss, a port's holder, and
//! host programs that replace files beneath a member's mounts. Needs root.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt as _, symlink},
    path::Path,
};

use berth_agent::host::{ExecOrder, Host, KeeperHandle};
use berth_core::{
    rendered::RenderedMount,
    spec::{Port, Protocol},
    waiting::Reason,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

#[expect(dead_code, reason = "shared with the keepers' tests")]
mod support;
use support::*;

async fn exec(handle: &KeeperHandle, argv: &[&str]) -> String {
    let order = ExecOrder {
        process: process("main"),
        argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
        timeout_ms: 20_000,
    };
    handle.client.exec(order).await.unwrap().output
}

#[tokio::test]
async fn a_volume_belongs_to_its_user_keeps_its_data_and_its_loss_is_noticed() {
    let bed = Bed::new("volume");
    let data = bed.data("data");
    bed.prepare(&[bed.volume("data", "default")], 1)
        .await
        .unwrap();
    let about = fs::metadata(&data).unwrap();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    assert_eq!(
        (about.uid(), about.mode() & 0o7777),
        (nobody.uid.as_raw(), 0o700)
    );

    let script = "echo $$ >> /mnt/berth-volume/starts; echo written; sleep 9999";
    let mut main = shell("main", script);
    main.mounts.push(RenderedMount {
        volume: "data".to_owned(),
        mount_path: "/mnt/berth-volume".to_owned(),
        read_only: false,
        sub_path: None,
    });
    for counter in [1, 2] {
        let mut order = bed.volume("data", "default");
        order.filled = counter > 1;
        let mut launch = bed.launch(vec![main.clone()]);
        launch.volumes = bed.prepare(&[order], counter).await.unwrap();
        let mut handle = bed.host.start_keeper(launch).await.unwrap();
        bed.log_with("main.log", "written").await;
        handle.client.kill().await.unwrap();
        until_gone(&mut handle).await;
    }
    let starts = fs::read_to_string(data.join("starts")).unwrap();
    assert_eq!(starts.lines().count(), 2);

    fs::remove_file(data.join("starts")).unwrap();
    let mut order = bed.volume("data", "default");
    order.filled = true;
    let lost = bed.prepare(&[order], 3).await.unwrap_err();
    assert!(matches!(lost, Reason::VolumeEmpty { .. }), "{lost}");
    fs::remove_dir("/mnt/berth-volume").unwrap();
}

#[tokio::test]
async fn the_program_that_holds_a_port_is_named() {
    let bed = Bed::new("port");
    let script = "import socket; s=socket.socket(); s.bind(('0.0.0.0',0)); s.listen(); \
                  print(s.getsockname()[1], flush=True); s.accept()";
    let mut holder = shell("holder", "");
    holder.argv = ["/usr/bin/env", "python3", "-c", script]
        .map(str::to_owned)
        .to_vec();
    let path = std::env::var("PATH").unwrap();
    let path = berth_core::spec::Sealed::new(format!("/usr/bin:/bin:{path}"));
    holder.env.insert("PATH".to_owned(), path);
    let handle = bed.start(vec![holder]).await;
    let log = bed.log_with("holder.log", "\n").await;
    let number: u32 = log.trim().parse().unwrap();
    let port = Port {
        name: "p".to_owned(),
        container_port: number,
        protocol: Protocol::Tcp,
    };
    let taken = bed
        .host
        .check_ports("127.0.0.1", &[port])
        .await
        .unwrap_err();
    let Reason::PortTaken { socket, by, pid } = taken else {
        panic!("{taken}");
    };
    assert_eq!(socket, format!("0.0.0.0:{number}"));
    assert!(by.starts_with("python"), "{by}");
    assert_eq!(pid, pid_of(&handle, "holder").await);
}

/// A machine of this test's own: a private mount namespace with a copy of /etc, without a resolver.
fn own_etc() -> tempfile::TempDir {
    let etc = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for name in ["passwd", "group", "nsswitch.conf", "machine-id"] {
        let text = fs::read(Path::new("/etc").join(name)).unwrap_or_default();
        fs::write(etc.path().join(name), text).unwrap();
    }
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some(etc.path()), "/etc", none, MsFlags::MS_BIND, none).unwrap();
    etc
}

/// As that of systemd-resolved leads while it does not run.
#[tokio::test]
async fn a_members_resolver_does_not_need_what_the_hosts_link_leads_to() {
    let etc = own_etc();
    symlink("link.conf", etc.path().join("resolv.conf")).unwrap();
    symlink("not/there/stub.conf", etc.path().join("link.conf")).unwrap();
    let bed = Bed::new("nowhere");
    let handle = bed.start(vec![shell("main", "sleep 60")]).await;
    let seen = exec(&handle, &["/bin/cat", "/etc/resolv.conf"]).await;
    assert!(seen.contains("nameserver 127.0.0.153"), "{seen}");
    let hosts = fs::read_to_string("/etc/resolv.conf").unwrap();
    assert_eq!(hosts, "", "the host's has no other text");
}

/// glibc would ask it, and it answers from its memory, with the host's resolver.
#[tokio::test]
async fn a_member_does_not_ask_the_hosts_name_cache() {
    let _etc = own_etc();
    let none: Option<&str> = None;
    mount(none, "/run", Some("tmpfs"), MsFlags::empty(), none).unwrap();
    fs::create_dir("/run/nscd").unwrap();
    fs::write("/run/nscd/socket", "").unwrap();
    let bed = Bed::new("cache");
    let handle = bed.start(vec![shell("main", "sleep 60")]).await;
    assert_eq!(exec(&handle, &["/bin/ls", "/var/run/nscd"]).await, "");
    assert!(Path::new("/run/nscd/socket").exists());
}

/// The kernel drops a mount without a word when its mount point is replaced by a rename in another
/// namespace, as programs that manage `/etc/resolv.conf` do.
#[tokio::test]
async fn a_members_resolver_survives_the_replacement_of_the_hosts() {
    let etc = own_etc();
    let resolver = etc.path().join("resolv.conf");
    fs::write(&resolver, "nameserver 192.0.2.1\n").unwrap();
    let bed = Bed::new("resolver");
    let handle = bed
        .start(vec![shell("main", "while :; do sleep 60; done")])
        .await;
    let seen = exec(&handle, &["/bin/cat", "/etc/resolv.conf", "/etc/hosts"]).await;
    assert!(seen.contains("nameserver 127.0.0.153"), "{seen}");
    assert!(seen.contains("resolver-0"), "{seen}");

    for round in ["2", "3"] {
        let new = etc.path().join("resolv.conf.new");
        fs::write(&new, format!("nameserver 192.0.2.{round}\n")).unwrap();
        fs::rename(&new, &resolver).unwrap();
        assert!(
            fs::read_to_string("/etc/resolv.conf")
                .unwrap()
                .contains(round)
        );
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let seen = exec(&handle, &["/bin/cat", "/etc/resolv.conf"]).await;
            if seen.contains("nameserver 127.0.0.153") {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "{seen}");
        }
    }
    assert!(fs::read_to_string(&resolver).unwrap().contains("192.0.2.3"));
}

#[tokio::test]
async fn a_configuration_directory_begins_with_what_its_user_may_read() {
    let bed = Bed::new("seed");
    let seed = tempfile::tempdir_in("/var/tmp").unwrap();
    let mode = |name: &str, mode| {
        let file = seed.path().join(name);
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("", 0o755);
    fs::write(seed.path().join("options"), "for all").unwrap();
    fs::write(seed.path().join("key"), "for root").unwrap();
    mode("key", 0o600);
    let launch = || {
        let mut launch = bed.launch(vec![shell("main", "sleep 1000")]);
        launch.rendered.config_copy_from = Some(seed.path().display().to_string());
        launch
    };

    let error = bed.host.start_keeper(launch()).await.unwrap_err();
    let key = seed.path().join("key");
    let told = format!("copy {}: Permission denied", key.display());
    assert!(error.to_string().contains(&told), "{error}");

    mode("key", 0o640);
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    std::os::unix::fs::chown(&key, None, Some(nobody.gid.as_raw())).unwrap();
    bed.host.start_keeper(launch()).await.unwrap();
    let dir = bed.dir.path().join("data/config/default_seed-0");
    let about = fs::metadata(dir.join("key")).unwrap();
    assert_eq!(
        (about.uid(), about.mode() & 0o777),
        (nobody.uid.as_raw(), 0o640)
    );
    assert_eq!(fs::read_to_string(dir.join("options")).unwrap(), "for all");
}
