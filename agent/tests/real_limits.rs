//! What a process may, as the kernel shows it: capabilities, groups, limits, umask, a read-only
//! root. Needs root. What takes cgroup v2 is in `nfs_limits`, which runs in the guest.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

use std::{fs, os::fd::AsRawFd, path::PathBuf};

use berth_agent::host::{Host, KeeperEvent};
use berth_core::{keeper::Exit, rendered::RenderedMount, waiting::Reason};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

#[expect(dead_code, reason = "shared with the keepers' tests")]
mod support;
use support::*;

const WAIT_FOREVER: &str = "while :; do sleep 60; done";

#[tokio::test]
async fn the_kernel_holds_a_process_to_what_it_was_given() {
    let bed = Bed::new("privileges");
    let mut main = shell(
        "main",
        "cat /proc/self/status; grep -E 'open files|address space|core file' /proc/self/limits
         ulimit -Hn; touch /tmp/new; stat -c 'mode %a' /tmp/new; echo end
         while :; do sleep 60; done",
    );
    main.capabilities = vec!["NET_BIND_SERVICE".to_owned()];
    main.supplemental_groups = vec!["7".to_owned(), "daemon".to_owned()];
    main.umask = 0o027;
    main.rlimits.insert("nofile".to_owned(), rlimit(100, 200));
    main.rlimits.insert("core".to_owned(), rlimit(0, 0));
    let daemon = nix::unistd::Group::from_name("daemon")
        .unwrap()
        .unwrap()
        .gid;
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let _handle = bed.start(vec![main]).await;
    let log = bed.log_with("main.log", "end").await;
    let line = |key: &str| {
        let found = log.lines().find_map(|line| line.strip_prefix(key));
        found
            .unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    // NET_BIND_SERVICE is number 10. Nothing else is left anywhere.
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(line(set), ["0000000000000400"], "{set}");
    }
    assert_eq!(line("NoNewPrivs:"), ["1"]);
    assert_eq!(line("Umask:"), ["0027"]);
    let user = nobody.uid.to_string();
    assert_eq!(line("Uid:"), vec![user; 4]);
    assert_eq!(line("Gid:"), vec![nobody.gid.to_string(); 4]);
    let mut groups = line("Groups:");
    let mut expected = [nobody.gid.to_string(), daemon.to_string(), "7".to_owned()];
    groups.sort();
    expected.sort();
    assert_eq!(groups, expected);
    assert_eq!(line("Max open files"), ["100", "200", "files"]);
    assert_eq!(line("Max core file size"), ["0", "0", "bytes"]);
    assert_eq!(line("mode "), ["640"]);
}

#[tokio::test]
async fn a_read_only_root_leaves_what_is_the_members_own() {
    let bed = Bed::new("sealed");
    let volumes = [bed.volume("data", "default"), bed.volume("kept", "default")];
    let prepared = bed.prepare(&volumes, 1).await;
    // A file system of the host that everybody may write to.
    let host = PathBuf::from("/mnt/berth-open");
    fs::create_dir_all(&host).unwrap();
    let none = MsFlags::empty();
    mount(Some("t"), &host, Some("tmpfs"), none, Some("mode=1777")).unwrap();
    let config = bed.host.config_dir(&bed.member());
    let script = format!(
        "for dir in /var/tmp {} /mnt/berth-kept /tmp /mnt/berth-data /dev/shm {}; do
             touch $dir/sealed-$$ 2>/dev/null && echo $dir may || echo $dir may not
             rm -f $dir/sealed-$$
         done; cat /etc/hosts >/dev/null && echo end; {WAIT_FOREVER}",
        host.display(),
        config.display()
    );
    let mut main = shell("main", &script);
    for (volume, read_only) in [("data", false), ("kept", true)] {
        main.mounts.push(RenderedMount {
            volume: volume.to_owned(),
            mount_path: format!("/mnt/berth-{volume}"),
            read_only,
            sub_path: None,
        });
    }
    let mut launch = bed.launch(vec![main]);
    launch.volumes = prepared.unwrap();
    launch.rendered.read_only_root = true;
    let handle = bed.host.start_keeper(launch).await.unwrap();
    let log = bed.log_with("main.log", "end").await;
    let own = [
        "/tmp",
        "/mnt/berth-data",
        "/dev/shm",
        config.to_str().unwrap(),
    ];
    for dir in own {
        assert!(log.contains(&format!("{dir} may\n")), "{dir}: {log}");
    }
    for dir in ["/var/tmp", host.to_str().unwrap(), "/mnt/berth-kept"] {
        assert!(log.contains(&format!("{dir} may not\n")), "{dir}: {log}");
    }
    // It is the member's view only.
    fs::write(host.join("from-the-host"), "x").unwrap();
    drop(handle);
    umount2(&host, MntFlags::MNT_DETACH).unwrap();
    fs::remove_dir(&host).unwrap();
}

#[tokio::test]
async fn a_limit_that_is_not_enforced_is_told_or_holds_the_start() {
    let bed = Bed::new("unenforced");
    let mut main = shell("main", WAIT_FOREVER);
    // No machine has this disk.
    main.limits.io.push(berth_core::rendered::RenderedIoLimit {
        device: "/dev/berth-none".to_owned(),
        read_bps: Some(1 << 20),
        ..Default::default()
    });
    let mut handle = bed.start(vec![main.clone()]).await;
    let told = handle.status.processes[0].unenforced.clone();
    assert!(told[0].starts_with("io.limits ("), "{told:?}");
    handle.client.kill().await.unwrap();
    until_gone(&mut handle).await;
    bed.host.cleanup(&bed.member()).await.unwrap();
    main.limits.require = true;
    let refused = bed.host.start_keeper(bed.launch(vec![main])).await;
    let reason = refused.unwrap_err();
    assert!(
        matches!(&reason, Reason::LimitsNotEnforced(unenforced) if unenforced.limits == told),
        "{reason}"
    );
}

/// A file system whose server never answers: everything in it hangs, as on dead storage.
#[tokio::test]
async fn a_working_directory_on_dead_storage_holds_nobody_but_its_process() {
    let bed = Bed::new("hangs");
    let device = fs::File::options().read(true).write(true).open("/dev/fuse");
    let device = device.unwrap();
    let settings = format!(
        "fd={},rootmode=40755,user_id=0,group_id=0,allow_other",
        device.as_raw_fd()
    );
    let place = PathBuf::from("/mnt/berth-dead");
    fs::create_dir_all(&place).unwrap();
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("dead"),
        &place,
        Some("fuse"),
        flags,
        Some(settings.as_str()),
    )
    .unwrap();
    let mut main = shell("main", WAIT_FOREVER);
    main.working_dir = "/mnt/berth-dead/dir".to_owned();
    let reason = bed
        .host
        .start_keeper(bed.launch(vec![main]))
        .await
        .unwrap_err();
    let expected = "start main: enter workingDir: no answer in 10 s; is its storage there?";
    assert_eq!(reason.to_string(), expected);
    umount2(&place, MntFlags::MNT_DETACH).unwrap();
    fs::remove_dir(&place).unwrap();
}

#[tokio::test]
async fn a_verdict_on_an_earlier_start_leaves_the_next_one_alone() {
    let bed = Bed::new("late");
    let mut handle = bed.start(vec![shell("main", WAIT_FOREVER)]).await;
    let name = process("main");
    handle
        .client
        .restart_failed(name.clone(), None, 0)
        .await
        .unwrap();
    event(&mut handle, again).await;
    let pid = pid_of(&handle, "main").await;
    handle
        .client
        .restart_failed(name.clone(), None, 0)
        .await
        .unwrap();
    let status = handle.client.status().await.unwrap();
    assert_eq!(
        (status.processes[0].pid, status.processes[0].restarts),
        (Some(pid), 1)
    );
    handle.client.restart_failed(name, None, 1).await.unwrap();
    let ended = |e: &KeeperEvent| {
        matches!(
            e,
            KeeperEvent::Exited {
                exit: Exit::Signal(15),
                ..
            }
        )
    };
    event(&mut handle, ended).await;
}

/// A process was started again for the first time.
fn again(event: &KeeperEvent) -> bool {
    matches!(event, KeeperEvent::Started { restarts: 1, .. })
}

#[tokio::test]
async fn a_changed_file_is_told_by_the_signal_that_the_process_names() {
    let bed = Bed::new("reload");
    let path = bed.host.config_dir(&bed.member()).join("app.conf");
    let script =
        "trap 'echo told' USR1; trap 'echo wrong' HUP; echo up; while :; do sleep 0.05; done";
    let with = |text: &str| {
        let mut main = shell("main", script);
        main.reload_signal = "SIGUSR1".to_owned();
        main.files.push(berth_core::rendered::RenderedFile {
            path: path.to_str().unwrap().to_owned(),
            mode: 0o644,
            content: berth_core::spec::Sealed::new(text.to_owned()),
            secret: false,
            when: berth_core::spec::FileWhen::Start,
            on_change: berth_core::spec::OnChange::Signal,
        });
        main
    };
    let handle = bed.start(vec![with("one")]).await;
    bed.log_with("main.log", "up").await;
    let rendered = bed.launch(vec![with("two")]).rendered;
    handle.client.update(rendered).await.unwrap();
    let log = bed.log_with("main.log", "told").await;
    assert!(!log.contains("wrong"), "{log}");
}
