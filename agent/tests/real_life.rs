//! The ends of a process's life under real keepers: sidecars, hooks, what is never killed, what a
//! process says of itself; and all of it on hosts without cgroups. Needs root.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]
// Shared with other programs of tests.
#![expect(dead_code, reason = "not every program uses all of the bed")]

use std::{fs, time::Duration};

use berth_agent::host::{Host, KeeperEvent};
use berth_core::{
    keeper::Exit,
    notify::Said,
    rendered::{Hook, RenderedProcess},
    spec::{NotifyAction, Probe},
    waiting::Reason,
};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};

mod support;
use support::*;

const WAIT_FOREVER: &str = "while :; do sleep 60; done";
/// Obeys TERM.
const POLITE: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done";

fn started(name: &str) -> impl Fn(&KeeperEvent) -> bool {
    let name = process(name);
    move |event| matches!(event, KeeperEvent::Started { process, .. } if *process == name)
}

fn exited(name: &str) -> impl Fn(&KeeperEvent) -> bool {
    let name = process(name);
    move |event| matches!(event, KeeperEvent::Exited { process, .. } if *process == name)
}

fn listening() -> Option<Probe> {
    Some(Probe {
        notify: Some(NotifyAction {}),
        ..Probe::default()
    })
}

/// A perl program with a word to say it by: `say("READY=1")`.
fn talker(name: &str, script: &str) -> RenderedProcess {
    let socket = "use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0); $| = 1;
         sub say_to { my ($to, $what) = @_; send(S, $what, 0, sockaddr_un($to)) or print \"$!\\n\" }
         sub say { say_to($ENV{NOTIFY_SOCKET}, $_[0]) }";
    let mut process = shell(name, "");
    process.argv = ["/usr/bin/perl", "-e", &format!("{socket}\n{script}")]
        .map(str::to_owned)
        .to_vec();
    process
}

#[tokio::test]
async fn a_sidecar_starts_before_and_stops_after_the_mains() {
    let bed = Bed::new("sidecar");
    let mut sidecar = shell("proxy", POLITE);
    sidecar.sidecar = true;
    sidecar.startup_probe = listening();
    let init = shell("init", "exit 0");
    let mut launch = bed.launch(vec![shell("main", POLITE)]);
    launch.rendered.init_processes = vec![sidecar, init];
    let mut handle = bed.host.start_keeper(launch).await.unwrap();
    let proxy = pid_of(&handle, "proxy").await;
    bed.log_with("proxy.log", "up").await;
    let status = handle.client.status().await.unwrap();
    assert!(!status.init_done);
    let names: Vec<_> = status
        .processes
        .iter()
        .map(|p| (p.name.as_str(), p.pid))
        .collect();
    assert_eq!(names, [("proxy", Some(proxy)), ("main", None)]);

    handle.client.passed(process("proxy"), 0).await.unwrap();
    event(&mut handle, exited("init")).await;
    event(&mut handle, started("main")).await;
    bed.log_with("main.log", "up").await;
    // It comes back by itself, beside the main.
    kill(proxy, "KILL");
    event(&mut handle, started("proxy")).await;
    let script = "the script of the new one";
    wait_for(script, || {
        match with_command_line("/bin/sh -c trap 'exit 0' TERM").len() {
            2 => Ok(()),
            n => Err(format!("{n} run")),
        }
    })
    .await;

    handle.client.stop(None).await.unwrap();
    let events = until_gone(&mut handle).await;
    let ends = events.iter().filter_map(|event| {
        let KeeperEvent::Exited { process, .. } = event else {
            return None;
        };
        Some(process.as_str())
    });
    assert_eq!(ends.collect::<Vec<_>>(), ["main", "proxy"]);
}

#[tokio::test]
async fn a_process_starts_when_its_post_start_has_ended_and_the_next_one_after_it() {
    let bed = Bed::new("poststart");
    let mut first = shell(
        "first",
        "echo $$ > /tmp/first; while :; do sleep 0.05; done",
    );
    first.post_start = Some(hook(
        "while ! [ -e /tmp/first ]; do sleep 0.01; done; kill -0 $(cat /tmp/first) && echo ok > /tmp/hook",
    ));
    let second = shell("second", "cat /tmp/hook; while :; do sleep 60; done");
    let mut handle = bed.start(vec![first, second]).await;
    bed.log_with("second.log", "ok").await;
    for name in ["first", "second"] {
        assert!(runs(pid_of(&handle, name).await));
    }
    handle.client.kill().await.unwrap();
    until_gone(&mut handle).await;
}

#[tokio::test]
async fn a_failed_post_start_stops_its_process_and_says_why() {
    let bed = Bed::new("poststart-fails");
    let mut main = shell("main", POLITE);
    main.post_start = Some(hook("echo no license; exit 4"));
    let mut handle = bed.start(vec![main]).await;
    let failed = event(&mut handle, |e| {
        matches!(e, KeeperEvent::PostStartFailed { .. })
    })
    .await;
    let KeeperEvent::PostStartFailed { reason, .. } = failed else {
        panic!("{failed:?}");
    };
    let error = Some("it exited with 4: no license".to_owned());
    let process = process("main");
    assert_eq!(reason, Reason::PostStart { process, error });
    let ended = event(&mut handle, exited("main")).await;
    let KeeperEvent::Exited { restart_in_ms, .. } = ended else {
        panic!("{ended:?}");
    };
    assert!(restart_in_ms.unwrap() > 0, "it never started, so it waits");
    let status = handle.client.status().await.unwrap();
    assert_eq!(status.processes.first().unwrap().pid, None);
    handle.client.kill().await.unwrap();
    until_gone(&mut handle).await;
}

fn exit_of(event: &KeeperEvent) -> Option<Exit> {
    let KeeperEvent::Exited { exit, .. } = event else {
        return None;
    };
    Some(*exit)
}

#[tokio::test]
async fn a_pre_stop_is_ended_by_the_grace_period_and_the_signal_still_comes() {
    let bed = Bed::new("prestop");
    let mut main = shell(
        "main",
        "trap 'echo got TERM; exit 0' TERM; echo up; while :; do sleep 0.05; done",
    );
    main.pre_stop = Some(Hook::Sleep(600));
    let mut handle = bed.start(vec![main]).await;
    bed.log_with("main.log", "up").await;
    let grace = Some(Duration::from_millis(200));
    handle.client.stop(grace).await.unwrap();
    let events = until_gone(&mut handle).await;
    let exit = events.iter().find_map(exit_of);
    assert_eq!(exit, Some(Exit::Code(0)), "{events:?}");
    bed.log_with("main.log", "got TERM").await;
}

#[tokio::test]
async fn what_is_never_killed_outlives_the_grace_period() {
    let bed = Bed::new("neverkill");
    let mut stubborn = shell(
        "stubborn",
        "trap 'echo got TERM' TERM; echo up; while ! [ -e /tmp/go ]; do sleep 0.05; done; echo done",
    );
    stubborn.never_kill = true;
    let deaf = shell(
        "deaf",
        "trap '' TERM; echo up; while :; do sleep 0.05; done",
    );
    let mut handle = bed.start(vec![stubborn, deaf]).await;
    for log in ["stubborn.log", "deaf.log"] {
        bed.log_with(log, "up").await;
    }
    let pid = pid_of(&handle, "stubborn").await;
    let grace = Some(Duration::from_millis(200));
    handle.client.stop(grace).await.unwrap();
    let KeeperEvent::Exited { exit, .. } = event(&mut handle, exited("deaf")).await else {
        panic!("no exit");
    };
    assert_eq!(exit, Exit::Signal(9), "what may be killed is");
    // The grace period is over by now, and it only got its signal.
    bed.log_with("stubborn.log", "got TERM").await;
    assert!(runs(pid));
    fs::write(format!("/proc/{pid}/root/tmp/go"), "").unwrap();
    let events = until_gone(&mut handle).await;
    let last = events.iter().find_map(exit_of);
    assert_eq!(last, Some(Exit::Code(0)), "{events:?}");
}

#[tokio::test]
async fn what_is_never_killed_outlives_a_launch_in_which_another_cannot_be_started() {
    let bed = Bed::new("beside");
    let mut spared = shell("spared", "echo up; while :; do sleep 0.05; done");
    spared.never_kill = true;
    let mut broken = shell("broken", "true");
    broken.working_dir = "/nowhere".to_owned();
    let mut handle = bed.start(vec![spared, broken.clone()]).await;
    bed.log_with("spared.log", "up").await;
    let pid = pid_of(&handle, "spared").await;
    // It is tried again, and told of.
    event(
        &mut handle,
        |e| matches!(e, KeeperEvent::StartFailed { process, .. } if process.as_str() == "broken"),
    )
    .await;
    assert!(runs(pid));

    // Alone, it fails its launch.
    let alone = Bed::new("alone");
    assert!(
        alone
            .host
            .start_keeper(alone.launch(vec![broken]))
            .await
            .is_err()
    );
}

async fn said(handle: &mut berth_agent::host::KeeperHandle, fits: impl Fn(&Said) -> bool) -> Said {
    let found = event(
        handle,
        |e| matches!(e, KeeperEvent::Said { said, .. } if fits(said)),
    )
    .await;
    let KeeperEvent::Said { said, .. } = found else {
        panic!("{found:?}");
    };
    said
}

#[tokio::test]
async fn only_what_a_process_says_itself_counts() {
    let bed = Bed::new("notify");
    let mut main = talker(
        "main",
        "print \"watchdog $ENV{WATCHDOG_USEC}\\n\";
         select(undef, undef, undef, 0.02) until -e '/tmp/lied'; say(\"STATUS=from the parent\");
         if (!fork) { select(undef, undef, undef, 0.02) until -e '/tmp/go'; say(\"STATUS=from a child\\nREADY=1\"); sleep 600 }
         sleep 600",
    );
    main.readiness_probe = listening();
    main.liveness_probe = Some(Probe {
        timeout_seconds: 7,
        ..listening().unwrap()
    });
    // The same user, the same member, another process.
    let liar = talker(
        "liar",
        "select(undef, undef, undef, 0.02) until -e '/tmp/.berth-notify/main';
         say_to('/tmp/.berth-notify/main', \"READY=1\\nSTATUS=a lie\");
         open(F, '>', '/tmp/lied'); close F; sleep 600",
    );
    let mut handle = bed.start(vec![main, liar]).await;
    bed.log_with("main.log", "watchdog 7000000").await;
    let first = said(&mut handle, |_| true).await;
    assert_eq!(first.status.as_deref(), Some("from the parent"));
    assert!(!first.ready);
    let main = pid_of(&handle, "main").await;
    fs::write(format!("/proc/{main}/root/tmp/go"), "").unwrap();
    let second = said(&mut handle, |said| said.ready).await;
    assert_eq!(second.status.as_deref(), Some("from a child"));

    // A new agent finds it, and a new start begins with nothing.
    drop(handle);
    let mut handle = bed
        .next_agent()
        .adopt(&bed.member())
        .await
        .unwrap()
        .unwrap();
    let known = handle
        .status
        .processes
        .iter()
        .find(|p| p.name == process("main"));
    assert!(known.unwrap().said.as_ref().unwrap().ready);
    kill(pid_of(&handle, "main").await, "KILL");
    event(&mut handle, started("main")).await;
    let status = handle.client.status().await.unwrap();
    let main = status.processes.iter().find(|p| p.name == process("main"));
    let now = main.unwrap().said.clone().unwrap();
    assert!(!now.ready && now.status.as_deref() != Some("from a child"));
    handle.client.kill().await.unwrap();
    until_gone(&mut handle).await;
}

#[tokio::test]
async fn systemd_notify_is_heard() {
    let bed = Bed::new("systemd-notify");
    let mut main = shell(
        "main",
        &format!("systemd-notify --ready --status='up and well'; {WAIT_FOREVER}"),
    );
    main.env.insert(
        "PATH".to_owned(),
        berth_core::spec::Sealed::new("/usr/bin:/bin".to_owned()),
    );
    main.readiness_probe = listening();
    let mut handle = bed.start(vec![main]).await;
    let ready = said(&mut handle, |said| said.ready).await;
    assert_eq!(ready.shown().as_deref(), Some("up and well"));
    handle.client.kill().await.unwrap();
    until_gone(&mut handle).await;
}

/// Takes cgroups away from this thread and from what it starts: all of them, or those of version 2.
fn without_cgroups(all: bool) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, private, none).unwrap();
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let points = mounts.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let gone = kind.starts_with("cgroup2 ") || (all && kind.starts_with("cgroup "));
        gone.then(|| mount.split(' ').nth(4).unwrap().to_owned())
    });
    for point in points.collect::<Vec<_>>() {
        umount2(point.as_str(), MntFlags::MNT_DETACH).unwrap();
    }
}

async fn lives_without_cgroups(name: &str, all: bool) {
    without_cgroups(all);
    // Tests that run side by side see each other's processes.
    let (away, near) = match all {
        true => ("sleep 610", "sleep 611"),
        false => ("sleep 600", "sleep 601"),
    };
    let bed = Bed::new(name);
    let marker = format!("/tmp/{name}");
    // It leaves one in its session, and one that has left it.
    let script = format!(
        "setsid sh -c 'echo $$ > {marker}-away; exec {away}' & sh -c 'exec {near}' & echo up; wait"
    );
    let mut handle = bed.start(vec![shell("main", &script)]).await;
    assert_eq!(bed.host.list_runs().await.unwrap().remove(0).cgroup, None);
    bed.log_with("main.log", "up").await;
    let children = |line: &'static str| {
        move || match with_command_line(line).len() {
            0 => Err("none".to_owned()),
            n => Ok(n),
        }
    };
    wait_for("the one that left", children(away)).await;
    let before = wait_for("the one in the session", children(near)).await;
    kill(pid_of(&handle, "main").await, "KILL");
    event(&mut handle, started("main")).await;
    wait_for("what it left in its session is gone", || {
        let now = with_command_line(near).len();
        if now <= before {
            Ok(())
        } else {
            Err(format!("{now} run"))
        }
    })
    .await;

    drop(handle);
    let agent = bed.next_agent();
    let mut handle = agent.adopt(&bed.member()).await.unwrap().unwrap();
    handle
        .client
        .stop(Some(Duration::from_millis(200)))
        .await
        .unwrap();
    until_gone(&mut handle).await;
    for line in [away, near] {
        assert_eq!(with_command_line(line), Vec::<u32>::new(), "{line}");
    }
    agent.cleanup(&bed.member()).await.unwrap();
}

#[tokio::test]
async fn a_host_with_cgroups_of_version_1_starts_stops_and_adopts() {
    lives_without_cgroups("cgroup-one", false).await;
}

#[tokio::test]
async fn a_host_without_cgroups_starts_stops_and_adopts() {
    lives_without_cgroups("cgroup-none", true).await;
}
