//! Volumes on a real kernel: image pools with loop devices, safe paths, and that nothing is left
//! over. Needs root, and a kernel with loop devices and ext4.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use berth_agent::host::Host;
use berth_core::{
    volume::VolumeHealth,
    waiting::{NoSpace, Reason},
};

#[expect(dead_code, reason = "shared with the keepers' tests")]
mod support;
use support::*;
#[path = "support/volumes.rs"]
mod volumes;
use volumes::*;

#[tokio::test]
async fn an_image_is_as_large_as_asked_for_and_its_neighbour_keeps_its_room() {
    let bed = Bed::new("image");
    let volumes = [bed.volume("a", "images"), bed.volume("b", "images")];
    let mut launch = bed.launch(vec![with_volumes(&bed, WAIT_FOREVER, &["a", "b"])]);
    launch.volumes = bed.prepare(&volumes, 1).await.unwrap();
    let about = fs::metadata(image(&bed, "a")).unwrap();
    assert_eq!(about.len(), 16 << 20);
    assert!(about.blocks() * 512 >= 16 << 20, "fully allocated");
    assert!(loops(bed.dir.path()).is_empty(), "a helper leaves none");

    let handle = bed.host.start_keeper(launch.clone()).await.unwrap();
    assert_eq!(loops(bed.dir.path()).len(), 2);
    let (a, b) = (target(&bed, "a"), target(&bed, "b"));
    let seen = exec(&handle, &format!("ls -A {} | wc -l", a.display())).await;
    assert_eq!(seen.trim(), "0", "initdb finds it empty");
    let fill = format!(
        "dd if=/dev/zero of={}/full bs=1M count=100 2>&1; \
         dd if=/dev/zero of={}/some bs=1M count=5 conv=fsync 2>&1 && echo neighbour is well",
        a.display(),
        b.display()
    );
    let said = exec(&handle, &fill).await;
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("neighbour is well"), "{said}");

    let seen = bed.host.look_at_volumes(&bed.member(), &launch.run).await;
    let usage = |volume: &str| match &seen[volume] {
        VolumeHealth::Fine(usage) => *usage,
        other @ (VolumeHealth::Hung { .. } | VolumeHealth::Stale) => panic!("{other:?}"),
    };
    assert!(usage("a").available < 1 << 20 && !usage("a").shared);
    assert!(usage("b").available > 5 << 20, "{:?}", usage("b"));

    stop(&bed, handle).await;
    assert!(loops(bed.dir.path()).is_empty());

    // The data is there again, and the image grows when more is asked for: the kernel lets only
    // those who have SYS_RESOURCE grow a file system.
    let grows = has_sys_resource();
    let mut volumes = volumes;
    for volume in &mut volumes {
        let size = if grows { 32 << 20 } else { 16 << 20 };
        (volume.filled, volume.capacity) = (true, size);
    }
    launch.volumes = bed.prepare(&volumes, 2).await.unwrap();
    let handle = bed.host.start_keeper(launch).await.unwrap();
    let seen = exec(&handle, &format!("stat -c %s {}/some", b.display())).await;
    assert_eq!(seen.trim(), (5 << 20).to_string());
    if !grows {
        return stop(&bed, handle).await;
    }
    let more = format!(
        "dd if=/dev/zero of={}/more bs=1M count=15 2>&1 && echo grew",
        b.display()
    );
    let said = exec(&handle, &more).await;
    assert!(said.contains("grew"), "{said}");
    stop(&bed, handle).await;
}

#[tokio::test]
async fn pools_are_looked_at_anew_and_one_under_another_disk_is_missing() {
    let bed = Bed::new("pools");
    bed.prepare(&[bed.volume("a", "default")], 1).await.unwrap();
    let (pool, aside) = (bed.dir.path().join("pool"), bed.dir.path().join("aside"));
    let missing = async || {
        let pools = bed.host.look_at_pools().await;
        assert!(!pools["images"].missing && pools["images"].capacity > 0);
        let info = &pools["default"];
        assert_eq!(info.capacity == 0, info.missing);
        info.missing
    };
    assert!(!missing().await);
    fs::rename(&pool, &aside).unwrap();
    assert!(missing().await, "there is no directory");
    fs::create_dir(&pool).unwrap();
    assert!(missing().await, "the disk is not mounted there");
    fs::remove_dir(&pool).unwrap();
    fs::rename(&aside, &pool).unwrap();
    assert!(!missing().await);
}

#[tokio::test]
async fn an_image_needs_a_size_and_room_for_it() {
    let bed = Bed::new("room");
    let mut volume = bed.volume("a", "images");
    volume.capacity = 0;
    let error = bed.prepare(&[volume.clone()], 1).await.unwrap_err();
    assert!(
        error.to_string().contains("resources.requests.storage"),
        "{error}"
    );
    volume.capacity = 1 << 50;
    let error = bed.prepare(&[volume.clone()], 1).await.unwrap_err();
    assert!(
        matches!(error, Reason::VolumeNoSpace(NoSpace { wanted, free, .. }) if wanted == 1 << 50 && free > 0),
        "{error}"
    );
    let left: Vec<_> = fs::read_dir(image(&bed, "a").parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    volume.capacity = 16 << 20;
    bed.prepare(&[volume.clone()], 1).await.unwrap();

    // A growth that does not fit keeps no member from what it has, and takes no room.
    (volume.filled, volume.capacity) = (false, 1 << 50);
    bed.prepare(&[volume], 2).await.unwrap();
    let about = fs::metadata(image(&bed, "a")).unwrap();
    assert_eq!(about.len(), 16 << 20);
    assert!(about.blocks() * 512 < 17 << 20, "{}", about.blocks());
}

#[tokio::test]
async fn an_image_that_was_not_finished_is_not_used_and_a_lost_one_not_made_again() {
    let bed = Bed::new("half");
    let image = image(&bed, "a");
    let dir = image.parent().unwrap();
    fs::create_dir(dir).unwrap();
    // Killed while the file system was made, and killed before the rename.
    fs::write(dir.join("image.new.1"), "half").unwrap();
    fs::File::create(dir.join("image.new.2"))
        .unwrap()
        .set_len(16 << 20)
        .unwrap();
    let mut volume = bed.volume("a", "images");
    bed.prepare(&[volume.clone()], 1).await.unwrap();
    let names = |dir: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(
        names(dir),
        BTreeSet::from(["image".to_owned(), "owner".to_owned()])
    );

    volume.filled = true;
    fs::rename(&image, dir.join("elsewhere")).unwrap();
    let error = bed.prepare(&[volume.clone()], 2).await.unwrap_err();
    assert!(matches!(error, Reason::VolumeEmpty { .. }), "{error}");
    assert!(!image.exists(), "nothing is made in its place");
    fs::write(&image, "no file system").unwrap();
    let error = bed.prepare(&[volume.clone()], 2).await.unwrap_err();
    assert!(matches!(error, Reason::MountFailed { .. }), "{error}");
    fs::rename(dir.join("elsewhere"), &image).unwrap();
    bed.prepare(&[volume], 2).await.unwrap();
    assert!(loops(bed.dir.path()).is_empty());
}

#[tokio::test]
async fn what_is_not_there_any_more_at_the_launch_is_not_mounted() {
    let bed = Bed::new("late");
    let main = with_volumes(&bed, WAIT_FOREVER, &["data"]);
    let mut launch = bed.launch(vec![main]);
    launch.volumes = bed
        .prepare(&[bed.volume("data", "default")], 1)
        .await
        .unwrap();

    // A newer epoch took the volume between preparation and launch.
    bed.prepare(&[bed.volume("data", "default")], 2)
        .await
        .unwrap();
    let error = bed.host.start_keeper(launch.clone()).await.unwrap_err();
    assert!(
        matches!(&error, Reason::VolumeForeign { owner, .. } if owner.contains("1.2")),
        "{error}"
    );
    bed.host.cleanup(&bed.member()).await.unwrap();

    // The pool's disk went away; another directory is in its place.
    launch.volumes = bed
        .prepare(&[bed.volume("data", "default")], 2)
        .await
        .unwrap();
    let pool = bed.dir.path().join("pool");
    fs::rename(&pool, bed.dir.path().join("unplugged")).unwrap();
    fs::create_dir(&pool).unwrap();
    let error = bed.host.start_keeper(launch).await.unwrap_err();
    assert!(matches!(error, Reason::PoolNotMounted { .. }), "{error}");
    let error = bed
        .prepare(&[bed.volume("data", "default")], 3)
        .await
        .unwrap_err();
    assert!(matches!(error, Reason::PoolNotMounted { .. }), "{error}");
    assert_eq!(
        fs::read_dir(&pool).unwrap().count(),
        0,
        "nothing is made in its place"
    );
}

#[tokio::test]
async fn no_mount_is_seen_on_the_host() {
    let bed = Bed::new("unseen");
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let volumes = [bed.volume("a", "images"), bed.volume("b", "default")];
    let mut launch = bed.launch(vec![with_volumes(&bed, WAIT_FOREVER, &["a", "b"])]);
    launch.volumes = bed.prepare(&volumes, 1).await.unwrap();
    let handle = bed.host.start_keeper(launch).await.unwrap();
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    let keepers = fs::read_to_string(format!("/proc/{}/mountinfo", handle.pid)).unwrap();
    for volume in ["a", "b"] {
        let target = target(&bed, volume);
        let at = format!(" {} ", target.display());
        let lines: Vec<_> = keepers.lines().filter(|line| line.contains(&at)).collect();
        assert_eq!(lines.len(), 1, "{keepers}");
        assert!(lines[0].contains("nosuid,nodev"), "{}", lines[0]);
    }
    // Nothing but the places themselves: what was mounted on the way is gone.
    let own = |line: &&str| line.contains(bed.dir.path().to_str().unwrap());
    let shown = keepers.lines().filter(own).filter(|line| {
        let point = line.split(' ').nth(4).unwrap();
        point.starts_with(bed.dir.path().to_str().unwrap())
    });
    assert_eq!(shown.count(), 2, "{keepers}");
    stop(&bed, handle).await;
}

#[tokio::test]
async fn a_killed_keeper_takes_its_mounts_with_it() {
    let bed = Bed::new("killed");
    let volumes = [bed.volume("a", "images")];
    for counter in 1..=3 {
        let mut launch = bed.launch(vec![with_volumes(&bed, WAIT_FOREVER, &["a"])]);
        launch.volumes = bed.prepare(&volumes, counter).await.unwrap();
        let mut handle = bed.host.start_keeper(launch).await.unwrap();
        exec(
            &handle,
            &format!("echo x >> {}/lines", target(&bed, "a").display()),
        )
        .await;
        kill(handle.pid, "SIGKILL");
        until_gone(&mut handle).await;
        bed.host.cleanup(&bed.member()).await.unwrap();
        assert!(loops(bed.dir.path()).is_empty());
    }
}

#[tokio::test]
async fn a_member_does_not_go_on_beside_a_mount_that_the_host_took_away() {
    let bed = Bed::new("taken");
    let mut launch = bed.launch(vec![with_volumes(&bed, WAIT_FOREVER, &["a"])]);
    launch.volumes = bed.prepare(&[bed.volume("a", "default")], 1).await.unwrap();
    let mut handle = bed.host.start_keeper(launch).await.unwrap();
    let target = target(&bed, "a");
    // On the host it is an empty directory; without it the kernel drops what is mounted on it.
    fs::remove_dir(&target).unwrap();
    fs::create_dir(&target).unwrap();
    until_gone(&mut handle).await;
    bed.host.cleanup(&bed.member()).await.unwrap();
}

/// That nothing is written of a keeper does not prove that there is none.
#[tokio::test]
async fn a_keeper_without_a_record_is_not_taken_for_gone() {
    let bed = Bed::new("stray");
    let mut launch = bed.launch(vec![with_volumes(&bed, WAIT_FOREVER, &["a"])]);
    launch.volumes = bed.prepare(&[bed.volume("a", "default")], 1).await.unwrap();
    let mut handle = bed.host.start_keeper(launch).await.unwrap();
    let runs = bed.dir.path().join("run");
    fs::rename(&runs, bed.dir.path().join("elsewhere")).unwrap();
    fs::create_dir(&runs).unwrap();
    let next = bed.next_agent();
    assert!(next.adopt(&bed.member()).await.unwrap().is_none());
    for _ in 0..2 {
        let held = next.cleanup(&bed.member()).await.unwrap_err();
        assert!(held.to_string().contains(&handle.pid.to_string()), "{held}");
    }
    kill(handle.pid, "SIGKILL");
    until_gone(&mut handle).await;
    next.cleanup(&bed.member()).await.unwrap();
}

#[tokio::test]
async fn a_new_agent_adopts_the_mounts_with_the_keeper() {
    let bed = Bed::new("adopted");
    let mut launch = bed.launch(vec![with_volumes(&bed, WAIT_FOREVER, &["a"])]);
    launch.volumes = bed.prepare(&[bed.volume("a", "images")], 1).await.unwrap();
    let first = bed.host.start_keeper(launch.clone()).await.unwrap();
    drop(first);
    let next = bed.next_agent();
    let mut handle = next.adopt(&bed.member()).await.unwrap().unwrap();
    assert_eq!(handle.volumes.len(), 1);
    assert!(handle.volumes[0].report.recorded && !handle.volumes[0].remote);
    let seen = next.look_at_volumes(&bed.member(), &launch.run).await;
    assert!(matches!(seen["a"], VolumeHealth::Fine(_)), "{seen:?}");
    // The new agent knows the pools as the one before.
    handle.client.stop(None).await.unwrap();
    until_gone(&mut handle).await;
    next.cleanup(&bed.member()).await.unwrap();
    assert!(loops(bed.dir.path()).is_empty());
}

/// A process of a member cannot gain privileges in any case; one that enters the member's mounts
/// from the host could.
#[tokio::test]
async fn setuid_programs_and_devices_on_a_volume_are_inert() {
    let bed = Bed::new("inert");
    for (counter, pool) in [(1, "default"), (2, "images")] {
        let volume = format!("v{counter}");
        let mut launch = bed.launch(vec![with_volumes(&bed, WAIT_FOREVER, &[&volume])]);
        let volumes = [bed.volume(&volume, pool)];
        launch.volumes = bed.prepare(&volumes, counter).await.unwrap();
        let handle = bed.host.start_keeper(launch).await.unwrap();
        let inside = PathBuf::from(format!("/proc/{}/root", handle.pid));
        let at = target(&bed, &volume);
        let dir = inside.join(at.strip_prefix("/").unwrap());
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let (id, null) = (dir.join("id"), dir.join("null"));
        fs::copy("/usr/bin/id", &id).unwrap();
        let character = rustix::fs::FileType::CharacterDevice;
        let (mode, number) = (rustix::fs::Mode::RUSR, rustix::fs::makedev(1, 3));
        rustix::fs::mknodat(rustix::fs::CWD, &null, character, mode, number).unwrap();
        for (path, mode) in [(&id, 0o4755), (&null, 0o666)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let script = format!(
            "{0}/id -u; echo x > {0}/null && echo open; echo end",
            at.display()
        );
        let user = [
            "setpriv",
            "--reuid",
            "65534",
            "--clear-groups",
            "/bin/sh",
            "-c",
        ];
        let said = std::process::Command::new("nsenter")
            .args(["--mount", "--target", &handle.pid.to_string()])
            .args(user)
            .arg(script)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(said, "65534\nend\n", "{pool}");
        stop(&bed, handle).await;
    }
}

#[tokio::test]
async fn a_place_that_is_no_plain_directory_is_refused() {
    let bed = Bed::new("place");
    let dir = bed.dir.path();
    fs::create_dir_all(dir.join("real")).unwrap();
    symlink(dir.join("real"), dir.join("link")).unwrap();
    fs::write(dir.join("file"), "").unwrap();
    let volumes = bed
        .prepare(&[bed.volume("data", "default")], 1)
        .await
        .unwrap();
    for (place, why) in [
        (dir.join("link"), "symbolic link"),
        (dir.join("link/beneath"), "symbolic link"),
        (dir.join("file"), "not a directory"),
        (dir.join("file/beneath"), "not a directory"),
        (dir.join("real/../x"), "plain path"),
        (dir.join("data/config"), "directory of the agent"),
        (dir.join("run"), "directory of the agent"),
        (
            dir.join("pool/default_data-place-0/data"),
            "directory of the agent",
        ),
        ("/proc/self".into(), "no place"),
        ("/sys/fs".into(), "no place"),
        ("/dev".into(), "something is mounted there"),
        ("/".into(), "no place"),
    ] {
        let mut main = shell("main", WAIT_FOREVER);
        main.mounts.push(mount("data", &place, None));
        let mut launch = bed.launch(vec![main]);
        launch.volumes = volumes.clone();
        let error = bed.host.start_keeper(launch).await.unwrap_err();
        assert!(matches!(error, Reason::MountFailed { .. }), "{error:?}");
        assert!(
            error.to_string().contains(why),
            "{}: {error}",
            place.display()
        );
        bed.host.cleanup(&bed.member()).await.unwrap();
    }
    assert_eq!(fs::read_dir(dir.join("real")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_sub_path_is_made_for_its_user_and_leads_nowhere_else() {
    let bed = Bed::new("sub");
    let other = bed.volume("other", "default");
    let volumes = bed
        .prepare(&[bed.volume("data", "default"), other], 1)
        .await
        .unwrap();
    let data = bed.data("data");
    let start = |sub_path: String| {
        let mut main = shell("main", WAIT_FOREVER);
        main.mounts
            .push(mount("data", &target(&bed, "sub"), Some(&sub_path)));
        main.mounts
            .push(mount("other", &target(&bed, "other"), None));
        let mut launch = bed.launch(vec![main]);
        launch.volumes.clone_from(&volumes);
        bed.host.start_keeper(launch)
    };
    let handle = start("a/b".to_owned()).await.unwrap();
    let sub = target(&bed, "sub");
    exec(&handle, &format!("echo mine > {}/x", sub.display())).await;
    stop(&bed, handle).await;
    assert_eq!(fs::read_to_string(data.join("a/b/x")).unwrap(), "mine\n");

    for (name, to) in [
        ("root", "/".to_owned()),
        ("up", "..".to_owned()),
        ("etc", "/etc".to_owned()),
        ("neighbour", bed.data("other").to_str().unwrap().to_owned()),
        ("dangling", "nowhere".to_owned()),
        ("loop", "loop".to_owned()),
        ("inside", "a".to_owned()),
        ("magic", "/proc/self/root".to_owned()),
    ] {
        symlink(to, data.join(name)).unwrap();
    }
    let links = [
        "root",
        "up",
        "etc",
        "neighbour",
        "dangling",
        "loop",
        "inside",
        "magic",
    ];
    let beneath = links.map(|link| format!("{link}/deeper"));
    let dots = ["..", "../..", "a/../..", "/", "/etc", "a/../b"].map(str::to_owned);
    for sub_path in links
        .map(str::to_owned)
        .into_iter()
        .chain(beneath)
        .chain(dots)
    {
        let error = start(sub_path.clone()).await.unwrap_err();
        assert!(
            matches!(error, Reason::PathEscape { .. }),
            "{sub_path}: {error:?}"
        );
        bed.host.cleanup(&bed.member()).await.unwrap();
    }
    fs::write(data.join("file"), "").unwrap();
    let error = start("file".to_owned()).await.unwrap_err();
    assert!(matches!(error, Reason::MountFailed { .. }), "{error:?}");
    bed.host.cleanup(&bed.member()).await.unwrap();
    assert_eq!(fs::read_dir(bed.data("other")).unwrap().count(), 0);
}

/// Polls until a future is done, or something is seen; then the future is dropped.
async fn until_seen<T>(work: impl Future<Output = T>, seen: impl Fn() -> bool) -> Option<T> {
    let mut work = Box::pin(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            () = tokio::task::yield_now() => if seen() { return None },
        }
    }
}

/// A helper is killed when nobody waits for it any more, as by the death of its agent.
#[tokio::test]
async fn a_death_between_any_two_steps_of_an_image_leaves_nothing_wrong() {
    let bed = Bed::new("steps");
    for step in 0..6 {
        let name = format!("v{step}");
        let volume = bed.volume(&name, "images");
        let image = image(&bed, &name);
        let dir = image.parent().unwrap().to_owned();
        let unfinished = || {
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            let mut names = entries.filter(|e| e.file_name().to_string_lossy().contains(".new."));
            names
                .next()
                .map(|e| e.metadata().map_or(0, |about| about.len()))
        };
        let shown = || loops(&dir).iter().any(|file| file.ends_with("/image"));
        let reached = || match step {
            0 => dir.exists(),
            1 => unfinished().is_some(),
            2 => unfinished().is_some_and(|length| length > 0),
            3 => image.exists(),
            4 => shown(),
            _ => dir.join("owner").exists(),
        };
        let ended = until_seen(bed.prepare(std::slice::from_ref(&volume), 1), reached).await;
        assert!(ended.is_none_or(|ended| ended.is_ok()), "step {step}");
        let mut launch = bed.launch(vec![with_volumes(&bed, WAIT_FOREVER, &[&name])]);
        launch.volumes = bed.prepare(&[volume], 1).await.unwrap();
        assert!(unfinished().is_none(), "step {step}");
        let handle = bed.host.start_keeper(launch).await.unwrap();
        let path = target(&bed, &name);
        let wrote = exec(
            &handle,
            &format!("echo x > {}/x && echo wrote", path.display()),
        )
        .await;
        assert_eq!(wrote, "wrote\n", "step {step}");
        stop(&bed, handle).await;
        assert!(loops(&dir).is_empty(), "step {step}");
    }
}

/// Exchanges two names as fast as it can until it is dropped.
struct Swapper {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<u64>>,
}

impl Swapper {
    fn new(one: PathBuf, other: PathBuf) -> Self {
        use std::sync::atomic::{AtomicBool, Ordering};
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let asked = std::sync::Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut swaps = 0;
            while !asked.load(Ordering::Relaxed) {
                let here = rustix::fs::CWD;
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(here, &one, here, &other, flags).unwrap();
                swaps += 1;
            }
            swaps
        });
        let thread = Some(thread);
        Self { stop, thread }
    }

    fn end(mut self) -> u64 {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

/// A member that changes a directory of its volume for a link while its keeper mounts it.
#[tokio::test]
async fn no_race_with_a_link_leads_a_sub_path_out_of_its_volume() {
    let bed = Bed::new("race");
    let volumes = bed
        .prepare(&[bed.volume("data", "default")], 1)
        .await
        .unwrap();
    let (data, outside) = (bed.data("data"), bed.dir.path().join("outside"));
    fs::create_dir_all(outside.join("deep")).unwrap();
    fs::create_dir_all(data.join("real/deep")).unwrap();
    for (dir, who) in [(&outside, "outside"), (&data.join("real"), "inside")] {
        fs::write(dir.join("who"), who).unwrap();
        fs::write(dir.join("deep/who"), who).unwrap();
    }
    symlink(&outside, data.join("link")).unwrap();
    let swapper = Swapper::new(data.join("real"), data.join("link"));
    let seconds = if std::env::var_os("BERTH_FULL").is_some() {
        60
    } else {
        4
    };
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(seconds);
    let (mut mounted, mut inside, mut refused, mut round) = (0, 0, 0, 0);
    while tokio::time::Instant::now() < end {
        round += 1;
        let sub_path = ["real", "real/deep", &format!("real/new-{round}")][round % 3].to_owned();
        let mut main = shell("main", WAIT_FOREVER);
        let target = target(&bed, "data");
        main.mounts.push(mount("data", &target, Some(&sub_path)));
        let mut launch = bed.launch(vec![main]);
        launch.volumes.clone_from(&volumes);
        match bed.host.start_keeper(launch).await {
            Ok(mut handle) => {
                mounted += 1;
                let root = PathBuf::from(format!("/proc/{}/root", handle.pid));
                let who = root.join(target.strip_prefix("/").unwrap()).join("who");
                if sub_path.contains("new") {
                    assert!(!who.exists(), "{sub_path}");
                } else {
                    assert_eq!(fs::read_to_string(who).unwrap(), "inside", "{sub_path}");
                    inside += 1;
                }
                handle.client.kill().await.unwrap();
                until_gone(&mut handle).await;
            }
            Err(Reason::PathEscape { .. }) => refused += 1,
            // The directory went away between two looks; nothing was mounted.
            Err(Reason::MountFailed { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
        bed.host.cleanup(&bed.member()).await.unwrap();
    }
    let swaps = swapper.end();
    // Past the runner, which would show it of failed tests only.
    let mut shown = std::io::stderr();
    writeln!(shown, "{swaps} swaps: {mounted} mounted, {refused} refused").unwrap();
    assert!(mounted > inside && inside > 0 && refused > 0 && swaps > 1000);
    let mut left: Vec<_> = fs::read_dir(&outside)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["deep", "who"], "nothing was made outside");
    assert_eq!(fs::metadata(&outside).unwrap().uid(), 0, "nor given away");
}
