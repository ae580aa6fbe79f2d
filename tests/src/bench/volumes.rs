//! A hundred members with a local volume each on one host, started at once; beside the same without
//! volumes, and beside what the machine itself takes for the mounts.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{Figure, Goal, Value, bed::Bed, samples::Samples};

/// How many members.
const MEMBERS: u32 = 100;
/// Pairs of mount and unmount that make up the limit.
const PAIRS: u32 = 1_000;

/// The figures. They need a cluster of one host.
///
/// # Errors
/// If a set does not start, or nothing can be mounted.
pub async fn run() -> anyhow::Result<Vec<Figure>> {
    let mut bed = Bed::with_hosts(1).await?;
    let bare = all_up(&mut bed, "bare", false).await?;
    let with = all_up(&mut bed, "volumes", true).await?;
    // The second time the volumes are there: what is left is the guard and the mount.
    let again = all_up(&mut bed, "volumes", true).await?;
    let pair = mounts(bed.marks.folder())?;
    let added = again.saturating_sub(bare) / MEMBERS;
    let once = |time: Duration| Value::Times(Samples::from_iter([time]));
    let beside = || ("the same without volumes", once(bare));
    Ok(vec![
        Figure::new(format!("{MEMBERS} new local volumes"), once(with), beside())
            .goal(Goal::AtMost(1_000.0)),
        Figure::new(format!("{MEMBERS} filled volumes"), once(again), beside())
            .goal(Goal::AtMost(1_000.0)),
        Figure::new(
            "a volume, added to a start",
            once(added),
            ("bind mount and unmount", once(pair)),
        ),
    ])
}

/// From Apply until the last member's `main` began.
async fn all_up(bed: &mut Bed, name: &str, volumes: bool) -> anyhow::Result<Duration> {
    let marks = if volumes {
        bed.start_set_on_volumes(name, MEMBERS, "Parallel").await?
    } else {
        bed.start_set(name, MEMBERS, "Parallel").await?
    };
    bed.remove_set(name).await?;
    let last = marks.iter().map(|mark| mark.at).max();
    last.context("no member started")
}

/// What one bind mount and its unmount take, in a mount namespace of its own.
fn mounts(folder: &Path) -> anyhow::Result<Duration> {
    let (from, to) = (folder.join("from"), folder.join("to"));
    fs::create_dir_all(&from)?;
    fs::create_dir_all(&to)?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("mount-pairs")
        .args([&from, &to])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut text = String::new();
    let mut stdout = child.stdout.take().context("stdout")?;
    stdout.read_to_string(&mut text)?;
    anyhow::ensure!(child.wait()?.success(), "the mounts failed");
    let nanos: u64 = text.trim().parse().context("the time of the mounts")?;
    Ok(Duration::from_nanos(nanos))
}

/// What the child does: mounts and unmounts, and prints the nanoseconds of one pair.
///
/// # Errors
/// If it may not mount.
pub fn mount_pairs(from: &Path, to: &Path) -> anyhow::Result<()> {
    use nix::{
        mount::{MsFlags, mount, umount},
        sched::{CloneFlags, unshare},
    };
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NONE, "/", NONE, private, NONE)?;
    let start = Instant::now();
    for _ in 0..PAIRS {
        mount(Some(from), to, NONE, MsFlags::MS_BIND, NONE)?;
        umount(to)?;
    }
    let each = start.elapsed() / PAIRS;
    writeln!(std::io::stdout(), "{}", each.as_nanos())?;
    Ok(())
}
