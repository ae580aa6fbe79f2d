//! What takes cgroup v2: limits that the kernel enforces, and what is found by the cgroup of its process.
//! In the guest, which has every controller.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

use std::fs;

use berth_agent::host::{Host, KeeperEvent};
use berth_core::keeper::{Exit, cgroup::Controller};

#[expect(dead_code, reason = "shared with the keepers' tests")]
mod support;
use support::*;

const WAIT_FOREVER: &str = "while :; do sleep 60; done";

#[tokio::test]
async fn a_process_that_outgrows_its_memory_is_oom_killed_with_its_children_and_says_so() {
    let bed = Bed::new("hog");
    assert_eq!(bed.host.facts().controllers, Controller::ALL.into());
    let script = "trap go=1 USR1; sleep 98765.2 & echo up; until [ $go ]; do sleep 0.1; done
         a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done";
    let mut hog = shell("hog", script);
    hog.limits.memory = Some(32 << 20);
    hog.limits.memory_request = Some(1 << 20);
    hog.limits.cpu_milli = Some(900);
    hog.limits.cpu_request_milli = Some(2000);
    hog.limits.pids = Some(50);
    hog.limits.require = true;
    let mut handle = bed.start(vec![hog]).await;
    let status = handle.client.status().await.unwrap();
    assert!(status.processes[0].unenforced.is_empty());
    bed.log_with("hog.log", "up").await;
    let member = bed
        .host
        .list_runs()
        .await
        .unwrap()
        .remove(0)
        .cgroup
        .unwrap();
    let leaf = member.join("process-hog.0");
    for (dir, file, value) in [
        (&leaf, "memory.max", "33554432"),
        (&leaf, "memory.low", "1048576"),
        (&leaf, "memory.oom.group", "1"),
        (&leaf, "cpu.max", "90000 100000"),
        (&leaf, "cpu.weight", "200"),
        (&leaf, "pids.max", "50"),
        (&member, "cpu.weight", "200"),
    ] {
        let found = fs::read_to_string(dir.join(file)).unwrap();
        assert_eq!(found.trim(), value, "{file} in {}", dir.display());
    }
    let child = || with_command_line("sleep 98765.2").pop();
    let child = wait_for("sleep", || child().ok_or_else(|| "not there".to_owned())).await;
    kill(pid_of(&handle, "hog").await, "SIGUSR1");
    let ended = event(&mut handle, |e| matches!(e, KeeperEvent::Exited { .. })).await;
    let KeeperEvent::Exited { exit, .. } = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(exit, Exit::OomKilled);
    let gone = || match runs(child) {
        true => Err("it runs".to_owned()),
        false => Ok(()),
    };
    wait_for("the end of its child", gone).await;
}

#[tokio::test]
async fn a_process_forks_no_more_than_it_may() {
    let bed = Bed::new("forks");
    let script = "for n in 1 2 3 4 5 6 7 8; do sleep 98765.3 & done; wait";
    let mut many = shell("many", script);
    many.limits.pids = Some(5);
    let _handle = bed.start(vec![many]).await;
    bed.log_with("many.log", "fork").await;
}

#[tokio::test]
async fn what_a_process_hides_in_cgroups_of_its_own_dies_with_it() {
    let bed = Bed::new("nested");
    let script = format!("setsid sleep 98765.1 & echo ready; {WAIT_FOREVER}");
    let mut handle = bed.start(vec![shell("main", &script)]).await;
    bed.log_with("main.log", "ready").await;
    let cgroup = bed.host.list_runs().await.unwrap().remove(0).cgroup;
    let leaf = cgroup.unwrap().join("process-main.0");
    let inner = leaf.join("inner");
    fs::create_dir(&inner).unwrap();
    let hidden = || with_command_line("sleep 98765.1").pop();
    let hidden = wait_for("sleep", || hidden().ok_or_else(|| "not there".to_owned())).await;
    fs::write(inner.join("cgroup.procs"), hidden.to_string()).unwrap();
    kill(pid_of(&handle, "main").await, "SIGKILL");
    event(&mut handle, |e| {
        matches!(e, KeeperEvent::Started { restarts: 1, .. })
    })
    .await;
    let gone = || match runs(hidden) {
        true => Err("it runs".to_owned()),
        false => Ok(()),
    };
    wait_for("the end of what was hidden", gone).await;
    // The next start has a leaf without anything of the last.
    let next = leaf.with_file_name("process-main.1");
    assert!(next.join("cgroup.procs").exists());
    handle.client.kill().await.unwrap();
    until_gone(&mut handle).await;
    bed.host.cleanup(&bed.member()).await.unwrap();
    assert!(!leaf.parent().unwrap().exists());
}
