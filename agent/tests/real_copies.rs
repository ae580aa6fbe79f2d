//! Copies of volumes on a real kernel: snapshots, and volumes that begin with one or with another
//! volume. Needs root, loop devices, ext4, xfs and btrfs with their programs, and strace.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use berth_agent::host::{
    Host,
    linux::{LinuxConfig, LinuxHost, LocalPolicy, Scopes},
    storage::Pool,
};
use berth_core::{
    ids::{ObjectKey, Uid},
    order::VolumeOrder,
    state::BoundClaim,
    volume::{
        PoolKind,
        work::{CopySource, VolumeTask, VolumeWork},
    },
    waiting::Reason,
};

#[expect(dead_code, reason = "shared with the keepers' tests")]
mod support;
use support::*;
#[expect(dead_code, reason = "shared with the tests of volumes")]
#[path = "support/volumes.rs"]
mod volumes;
use volumes::*;

const SNAPSHOT: &str = "snap-1";
/// File systems that share blocks.
const SHARING: [&str; 2] = ["xfs", "btrfs"];

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {args:?}: {said}{complained}"
    );
    said
}

/// A disk with both pools of a host.
struct Disk(PathBuf);

impl Disk {
    fn new(bed: &Bed, kind: &str) -> Self {
        let at = |name: &str| bed.dir.path().join(name);
        let (image, disk) = (at("disk.img"), at("disk"));
        fs::File::create(&image)
            .unwrap()
            .set_len(512 << 20)
            .unwrap();
        let force = if kind == "ext4" { "-F" } else { "-f" };
        run(
            &format!("mkfs.{kind}"),
            &["-q", force, image.to_str().unwrap()],
        );
        fs::create_dir(&disk).unwrap();
        let mount = |args: &[&str]| drop(run("mount", args));
        mount(&[
            "-o",
            "loop",
            image.to_str().unwrap(),
            disk.to_str().unwrap(),
        ]);
        for pool in ["pool", "images"] {
            let own = disk.join(pool);
            fs::create_dir(&own).unwrap();
            mount(&["--bind", own.to_str().unwrap(), at(pool).to_str().unwrap()]);
        }
        Self(bed.dir.path().to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for name in ["pool", "images", "disk"] {
            drop(
                Command::new("umount")
                    .arg("-l")
                    .arg(self.0.join(name))
                    .status(),
            );
        }
    }
}

fn snapshot_of(order: &VolumeOrder, online: bool) -> VolumeWork {
    VolumeWork {
        volume: ObjectKey::of_cluster(SNAPSHOT).unwrap(),
        owners: vec![order.claim_uid.clone()],
        filled: true,
        source: order.source.clone(),
        task: VolumeTask::Snapshot { online },
        deletion: 0,
        from: None,
    }
}

/// A new volume with the data of another one, or of the snapshot of it.
fn copy_of(from: &VolumeOrder, to: &VolumeOrder, snapshot: bool, online: bool) -> VolumeWork {
    VolumeWork {
        volume: format!("default/pvc-{}", to.claim_uid).parse().unwrap(),
        owners: vec![to.claim_uid.clone()],
        filled: false,
        source: to.source.clone(),
        task: VolumeTask::Populate { online },
        deletion: 0,
        from: Some(CopySource {
            source: from.source.clone(),
            owners: vec![from.claim_uid.clone()],
            snapshot: snapshot.then(|| ObjectKey::of_cluster(SNAPSHOT).unwrap()),
            claim: BoundClaim {
                key: to.claim.clone(),
                uid: to.claim_uid.clone(),
            },
        }),
    }
}

fn discard(order: &VolumeOrder) -> VolumeWork {
    VolumeWork {
        task: VolumeTask::Discard,
        ..snapshot_of(order, false)
    }
}

async fn start(
    bed: &Bed,
    order: &VolumeOrder,
    counter: u64,
    script: &str,
) -> berth_agent::host::KeeperHandle {
    let mut launch = bed.launch(vec![with_volumes(bed, script, &[&order.name])]);
    launch.volumes = bed
        .prepare(std::slice::from_ref(order), counter)
        .await
        .unwrap();
    bed.host.start_keeper(launch).await.unwrap()
}

/// What it writes is durable before it says so.
fn writer(at: &Path) -> String {
    format!(
        "i=0; while :; do i=$((i+1)); echo $i >> {at}/log && sync {at}/log && echo \"ack $i.\"; done",
        at = at.display()
    )
}

fn last_ack(bed: &Bed) -> u64 {
    let log = bed.host.log_dir(&bed.member()).join("main.log");
    let log = fs::read_to_string(log).unwrap_or_default();
    let acks = log.lines().filter_map(|line| line.split("ack ").nth(1));
    let mut numbers = acks.filter_map(|text| text.strip_suffix('.')?.parse().ok());
    numbers.next_back().unwrap_or(0)
}

/// Waits until it has written so much more.
async fn acknowledges(bed: &Bed, more: u64) -> u64 {
    let wanted = last_ack(bed) + more;
    bed.log_with("main.log", &format!("ack {wanted}.")).await;
    wanted
}

fn snapshots(bed: &Bed, pool: &str) -> Vec<String> {
    let dir = bed.dir.path().join(pool).join(".berth-snapshots");
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn fsck(image: &Path) {
    run("e2fsck", &["-fn", image.to_str().unwrap()]);
}

fn snapshot_image(bed: &Bed) -> PathBuf {
    let dir = bed.dir.path().join("images/.berth-snapshots");
    dir.join(SNAPSHOT).join("image")
}

#[tokio::test]
async fn an_image_is_copied_in_one_instant_while_its_member_writes() {
    for kind in SHARING {
        let bed = Bed::new(&format!("online-{kind}"));
        let disk = Disk::new(&bed, kind);
        let source = bed.volume("a", "images");
        let mut copies = [bed.volume("b", "images"), bed.volume("c", "images")];
        let at = target(&bed, "a");
        let handle = start(&bed, &source, 1, &writer(&at)).await;
        let acknowledged = acknowledges(&bed, 20).await;
        for _ in 0..2 {
            let work = snapshot_of(&source, true);
            bed.host.volume_work(work).await.unwrap();
        }
        fsck(&snapshot_image(&bed));
        acknowledges(&bed, 3).await;
        // A clone of the volume itself, and a larger volume from the snapshot.
        let clone = copy_of(&source, &copies[1], false, true);
        bed.host.volume_work(clone).await.unwrap();
        stop(&bed, handle).await;
        let restore = copy_of(&source, &copies[0], true, true);
        for _ in 0..2 {
            bed.host.volume_work(restore.clone()).await.unwrap();
        }
        bed.host.volume_work(discard(&source)).await.unwrap();
        bed.host.volume_work(discard(&source)).await.unwrap();
        assert_eq!(snapshots(&bed, "images"), [""; 0]);
        copies[0].capacity = 24 << 20;
        for (order, counter) in copies.iter_mut().zip(2..) {
            order.filled = true;
            let at = target(&bed, &order.name);
            let handle = start(&bed, order, counter, WAIT_FOREVER).await;
            let lines = exec(&handle, &format!("cat {}/log", at.display())).await;
            let lines: Vec<u64> = lines.lines().filter_map(|line| line.parse().ok()).collect();
            assert!(lines.len() as u64 >= acknowledged, "{} lines", lines.len());
            assert!(lines.iter().zip(1..).all(|(line, n)| *line == n));
            // It is the copy's own: the source does not see it.
            exec(&handle, &format!("echo 0 > {}/log", at.display())).await;
            stop(&bed, handle).await;
        }
        let mut source = source;
        source.filled = true;
        let handle = start(&bed, &source, 9, WAIT_FOREVER).await;
        let first = exec(&handle, &format!("head -1 {}/log", at.display())).await;
        assert_eq!(first.trim(), "1");
        stop(&bed, handle).await;
        drop(disk);
    }
}

#[tokio::test]
async fn elsewhere_a_volume_is_copied_while_nobody_uses_it() {
    let cases = [
        ("ext4", "images", "images"),
        ("xfs", "default", "pool"),
        ("btrfs", "default", "pool"),
    ];
    for (kind, name, pool) in cases {
        let bed = Bed::new(&format!("still-{kind}"));
        let disk = Disk::new(&bed, kind);
        let mut source = bed.volume("a", name);
        let mut copy = bed.volume("b", name);
        let at = target(&bed, "a");
        let handle = start(&bed, &source, 1, WAIT_FOREVER).await;
        let script = "cd {}; echo data > file; chmod 640 file; ln file hard; ln -s file soft; mkdir d; \
                      truncate -s 1M d/sparse; mkfifo pipe; echo made";
        let said = exec(&handle, &script.replace("{}", at.to_str().unwrap())).await;
        assert_eq!(said.trim(), "made");
        for work in [
            snapshot_of(&source, false),
            copy_of(&source, &copy, false, false),
        ] {
            let busy = bed.host.volume_work(work).await.unwrap_err();
            assert!(matches!(&busy, Reason::VolumeBusy { .. }), "{busy}");
        }
        if kind == "ext4" {
            let refused = bed.host.volume_work(snapshot_of(&source, true)).await;
            refused.unwrap_err();
            let said = exec(&handle, &format!("touch {}/x && echo thawed", at.display())).await;
            assert_eq!(said.trim(), "thawed");
        }
        stop(&bed, handle).await;
        assert_eq!(
            snapshots(&bed, pool),
            [""; 0],
            "nothing is left of what was refused"
        );
        let work = snapshot_of(&source, false);
        bed.host.volume_work(work).await.unwrap();
        let restore = copy_of(&source, &copy, true, false);
        bed.host.volume_work(restore).await.unwrap();
        source.filled = true;
        copy.filled = true;
        let at = target(&bed, "b");
        let handle = start(&bed, &copy, 2, WAIT_FOREVER).await;
        let script = "cd {}; cat file; stat -c %a:%h:%U file; readlink soft; stat -c %s d/sparse; \
                      test -p pipe && echo pipe";
        let said = exec(&handle, &script.replace("{}", at.to_str().unwrap())).await;
        let seen: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(seen, ["data", "640:2:nobody", "file", "1048576", "pipe"]);
        stop(&bed, handle).await;

        // Another's data is not copied, and nothing is overwritten.
        let mut foreign = snapshot_of(&source, false);
        foreign.volume = ObjectKey::of_cluster("snap-2").unwrap();
        foreign.owners = vec![Uid("u-other".to_owned())];
        let refused = bed.host.volume_work(foreign).await.unwrap_err();
        assert!(matches!(refused, Reason::VolumeForeign { .. }), "{refused}");
        let mut taken = copy_of(&source, &copy, true, false);
        taken.from.as_mut().unwrap().claim.uid = Uid("u-other".to_owned());
        let refused = bed.host.volume_work(taken).await.unwrap_err();
        assert!(refused.to_string().contains("there already"), "{refused}");
        drop(disk);
    }
}

#[tokio::test]
async fn directories_without_shared_blocks_are_not_copied() {
    let bed = Bed::new("refused");
    let disk = Disk::new(&bed, "ext4");
    let source = bed.volume("a", "default");
    bed.prepare(std::slice::from_ref(&source), 1).await.unwrap();
    fs::write(bed.data("a").join("file"), "data").unwrap();
    let refused = bed.host.volume_work(snapshot_of(&source, false)).await;
    let refused = refused.unwrap_err();
    assert!(refused.to_string().contains("cp"), "{refused}");
    assert_eq!(snapshots(&bed, "pool"), [""; 0]);
    drop(disk);
}

/// The calls of a helper that change something, or wait for the disk.
const CALLS: [&str; 6] = ["mkdirat", "ioctl", "fsync", "syncfs", "linkat", "renameat2"];

/// An agent whose helpers are killed at their nth call of a kind.
fn killed_at(bed: &Bed, call: &str, n: u32) -> LinuxHost {
    let program = bed.dir.path().join(format!("helper-{call}-{n}"));
    let own = env!("CARGO_BIN_EXE_berth-agent");
    let script = format!(
        "#!/bin/sh\nexec strace -D -qqq -o /dev/null -e trace={call} \
         -e inject={call}:signal=KILL:when={n} {own} \"$@\"\n"
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let images = Pool {
        path: bed.dir.path().join("images"),
        kind: PoolKind::Image,
    };
    let at = |name: &str| bed.dir.path().join(name);
    let config = LinuxConfig {
        data_dir: at("data"),
        run_dir: at("run"),
        log_dir: at("log"),
        pools: [("images".to_owned(), images)].into(),
        policy: LocalPolicy::default(),
        self_reboot: None,
        scopes: Scopes::None,
        keeper_program: program,
    };
    LinuxHost::new(config).unwrap()
}

#[tokio::test]
async fn a_helper_that_is_killed_leaves_no_half_copy_and_nothing_frozen() {
    let bed = Bed::new("killed");
    let disk = Disk::new(&bed, "xfs");
    let source = bed.volume("a", "images");
    let copy = bed.volume("b", "images");
    let at = target(&bed, "a");
    let handle = start(&bed, &source, 1, &writer(&at)).await;
    acknowledges(&bed, 20).await;
    let images = bed.dir.path().join("images");
    let volume = images.join(format!("default_b-{}", bed.member().name()));
    let works = [
        (
            snapshot_of(&source, true),
            images.join(".berth-snapshots").join(SNAPSHOT),
        ),
        (copy_of(&source, &copy, false, true), volume),
    ];
    let mut kills = 0;
    for (work, made) in &works {
        for call in CALLS {
            for n in 1.. {
                let result = killed_at(&bed, call, n).volume_work(work.clone()).await;
                // Whoever waits for a write gets it: nothing stands still.
                acknowledges(&bed, 1).await;
                if made.exists() {
                    fsck(&made.join("image"));
                    let records = fs::read_dir(made.join("owner")).unwrap();
                    assert!(records.count() > 0, "{call} {n}");
                    fs::remove_dir_all(made).unwrap();
                }
                if result.is_ok() {
                    break;
                }
                kills += 1;
            }
        }
    }
    assert!(kills > 30, "{kills} kills");
    for (work, _) in works {
        bed.host.volume_work(work).await.unwrap();
    }
    // Each attempt swept what the ones before left.
    assert_eq!(snapshots(&bed, "images"), [SNAPSHOT]);
    stop(&bed, handle).await;
    drop(disk);
}

#[tokio::test]
async fn a_pool_that_shares_blocks_is_known() {
    let cases = [("ext4", false), ("xfs", true), ("btrfs", true)];
    for (kind, clones) in cases {
        let bed = Bed::new(&format!("known-{kind}"));
        let disk = Disk::new(&bed, kind);
        let pools = bed.host.look_at_pools().await;
        for (name, info) in &pools {
            assert_eq!(info.clones, clones, "{name} on {kind}");
        }
        assert_eq!(pools.len(), 2);
        drop(disk);
    }
}
