//! Many starts and stops on volumes, and nothing is left over. A program of its own, because it
//! counts descriptors and devices of the whole process. Needs root.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

use std::{collections::BTreeSet, fs};

use berth_agent::host::Host;
use berth_core::rendered::RenderedMount;
use futures_util::future::join_all;

#[expect(dead_code, reason = "shared with the keepers' tests")]
mod support;
use support::*;

/// Members that start and stop at the same time.
const MEMBERS: usize = 4;

fn names(dir: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The loop devices that show anything.
fn bound() -> BTreeSet<String> {
    let shows = |name: &String| fs::exists(format!("/sys/block/{name}/loop")).unwrap();
    names("/sys/block").into_iter().filter(shows).collect()
}

async fn cycle(bed: &Bed, counter: u64) {
    let volumes = [bed.volume("a", "images"), bed.volume("b", "default")];
    let mut main = shell("main", "while :; do sleep 60; done");
    for volume in ["a", "b"] {
        let path = bed.dir.path().join("seen").join(volume);
        main.mounts.push(RenderedMount {
            volume: volume.to_owned(),
            mount_path: path.to_str().unwrap().to_owned(),
            read_only: false,
            sub_path: Some("inner".to_owned()),
        });
    }
    let mut launch = bed.launch(vec![main]);
    launch.volumes = bed.prepare(&volumes, counter).await.unwrap();
    let mut handle = bed.host.start_keeper(launch).await.unwrap();
    // Some are asked to stop, some are killed, some lose their keeper.
    match counter % 3 {
        0 => handle.client.stop(None).await.unwrap(),
        1 => handle.client.kill().await.unwrap(),
        _ => kill(handle.pid, "SIGKILL"),
    }
    until_gone(&mut handle).await;
    bed.host.cleanup(&bed.member()).await.unwrap();
}

#[tokio::test]
async fn many_mounts_leave_nothing() {
    let cycles = if std::env::var_os("BERTH_FULL").is_some() {
        10_000
    } else {
        1_000
    };
    let beds: Vec<Bed> = (0..MEMBERS)
        .map(|n| Bed::new(&format!("cycle{n}")))
        .collect();
    // The first round makes the volumes, and what the runtime keeps open for ever.
    join_all(beds.iter().map(|bed| cycle(bed, 1))).await;
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let (devices, fds) = (bound(), names("/proc/self/fd").len());
    let each = cycles / MEMBERS as u64;
    let all = beds.iter().map(|bed| async move {
        for counter in 2..2 + each {
            cycle(bed, counter).await;
        }
    });
    join_all(all).await;
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts);
    // Another program of this machine may have one meanwhile; none of it is ours.
    let new: Vec<String> = bound().difference(&devices).cloned().collect();
    for name in new {
        let file = fs::read_to_string(format!("/sys/block/{name}/loop/backing_file"));
        assert!(!file.unwrap_or_default().contains("-cycle"), "{name}");
    }
    let now = names("/proc/self/fd").len();
    assert!(now <= fds, "{now} descriptors, and {fds} before");
    for bed in &beds {
        assert!(bed.host.list_runs().await.unwrap().is_empty());
    }
}
