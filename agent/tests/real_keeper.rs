//! Members under real keepers: namespaces, users, restarts, stops, adoption. Needs root.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

use std::{fs, time::Duration};

use berth_agent::host::{ExecOrder, Host, KeeperEvent};
use berth_core::{keeper::Exit, waiting::Reason};

mod support;
use support::*;

const WAIT_FOREVER: &str = "while :; do sleep 60; done";

#[tokio::test]
async fn a_member_has_its_own_namespaces_and_no_privileges() {
    let bed = Bed::new("spaces");
    let volumes = bed.prepare(&[bed.volume("data", "default")], 1).await;
    let volume = bed.data("data");
    fs::write(volume.join("greeting"), "hello from the volume").unwrap();
    let mut main = shell(
        "main",
        "echo host $(hostname) pid $$ user $(id -u) groups $(id -G) dir $(pwd) $A
         grep -E '^(CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status
         cat /mnt/berth-test/greeting; echo; ls /tmp | wc -l; touch /tmp/mine && echo tmp is mine
         cat /etc/resolv.conf /etc/hosts; grep ^hosts: /etc/nsswitch.conf; ulimit -n; umask; cat /proc/self/oom_score_adj
         readlink /proc/self/fd/0; echo to stderr >&2; touch /mnt/berth-test/x
         echo ready; while :; do sleep 60; done",
    );
    main.env.insert(
        "A".to_owned(),
        berth_core::spec::Sealed::new("a value".to_owned()),
    );
    main.env.insert(
        "PATH".to_owned(),
        berth_core::spec::Sealed::new("/usr/bin:/bin".to_owned()),
    );
    main.rlimits.insert("nofile".to_owned(), rlimit(1234, 1234));
    main.working_dir = "/usr".to_owned();
    main.mounts.push(berth_core::rendered::RenderedMount {
        volume: "data".to_owned(),
        mount_path: "/mnt/berth-test".to_owned(),
        read_only: true,
        sub_path: None,
    });
    let second = shell("second", WAIT_FOREVER);
    let mut launch = bed.launch(vec![main, second]);
    launch.volumes = volumes.unwrap();
    let mut handle = bed.host.start_keeper(launch).await.unwrap();
    let log = bed.log_with("main.log", "ready").await;

    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    for expected in [
        "host spaces-0 pid ".to_owned(),
        "hosts: files dns".to_owned(),
        format!("user {} groups {} dir /usr a value", nobody.uid, nobody.gid),
        "CapEff:\t0000000000000000".to_owned(),
        "CapBnd:\t0000000000000000".to_owned(),
        "NoNewPrivs:\t1".to_owned(),
        "hello from the volume\n0\ntmp is mine".to_owned(),
        "nameserver 127.0.0.153\nsearch default.svc.berth.internal".to_owned(),
        "127.0.0.1 spaces-0.x.default.svc.berth.internal spaces-0".to_owned(),
        "1234\n0022\n0\n/dev/null\nto stderr".to_owned(),
    ] {
        assert!(log.contains(&expected), "{expected:?} is not in {log}");
    }
    assert!(!volume.join("x").exists(), "the mount is read-only");
    assert!(
        !std::path::Path::new("/tmp/mine").exists(),
        "/tmp is private"
    );

    let pid = pid_of(&handle, "main").await;
    for space in ["pid", "mnt", "uts"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{space}")).unwrap();
        assert_eq!(of(&pid.to_string()), of(&handle.pid.to_string()), "{space}");
        assert_ne!(of(&pid.to_string()), of("self"), "{space}");
    }
    let adj = fs::read_to_string(format!("/proc/{}/oom_score_adj", handle.pid)).unwrap();
    let protected = if has_sys_resource() { "-1000" } else { "0" };
    assert_eq!(adj.trim(), protected);

    handle.client.stop(None).await.unwrap();
    until_gone(&mut handle).await;
    fs::remove_dir("/mnt/berth-test").unwrap();
}

#[tokio::test]
async fn a_process_has_no_descriptor_of_the_keepers_and_no_hand_on_its_log() {
    let bed = Bed::new("shut");
    let log = bed.host.log_dir(&bed.member()).join("main.log");
    let name = log.display();
    let script = format!(
        "rm -f {name}; mv {name} {name}.away; ln -sf /etc/hostname {name}; mkfifo {name}.fifo
         echo tried; {WAIT_FOREVER}"
    );
    let mut handle = bed.start(vec![shell("main", &script)]).await;
    bed.log_with("main.log", "tried").await;
    assert!(fs::symlink_metadata(&log).unwrap().is_file());
    for made in ["away", "fifo"] {
        assert!(
            !log.with_extension(format!("log.{made}")).exists(),
            "{made}"
        );
    }
    let pid = pid_of(&handle, "main").await;
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut open: Vec<_> = open.map(|entry| entry.unwrap().file_name()).collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2"]);
    handle.client.stop(None).await.unwrap();
    until_gone(&mut handle).await;
}

#[tokio::test]
async fn nothing_is_left_of_a_member_that_was_cleaned_up() {
    let bed = Bed::new("cleanup");
    let mut handle = bed.start(vec![shell("main", WAIT_FOREVER)]).await;
    let main = pid_of(&handle, "main").await;
    let cgroup = bed.host.list_runs().await.unwrap().remove(0).cgroup;
    handle.client.stop(None).await.unwrap();
    until_gone(&mut handle).await;
    for _ in 0..2 {
        bed.host.cleanup(&bed.member()).await.unwrap();
        assert!(bed.host.list_runs().await.unwrap().is_empty());
    }
    assert!(cgroup.is_none_or(|dir| !dir.exists()));
    assert!(!runs(main) && !runs(handle.pid));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("default_cleanup-0"));
}

#[tokio::test]
async fn two_agents_with_members_of_one_name_leave_each_other_alone() {
    let (bed, other) = (Bed::new("twin"), Bed::new("twin"));
    let mut handle = bed.start(vec![shell("main", WAIT_FOREVER)]).await;
    let twin = other.start(vec![shell("main", WAIT_FOREVER)]).await;
    let alive = pid_of(&twin, "main").await;
    // What a process left is killed before its next start: its own cgroup, nothing else.
    kill(pid_of(&handle, "main").await, "KILL");
    event(
        &mut handle,
        |e| matches!(e, KeeperEvent::Started { restarts, .. } if *restarts == 1),
    )
    .await;
    assert!(runs(alive));
    handle.client.stop(None).await.unwrap();
    until_gone(&mut handle).await;
    bed.host.cleanup(&bed.member()).await.unwrap();
    let status = twin.client.status().await.unwrap();
    let main = status.processes.first().unwrap();
    assert_eq!((main.pid, main.restarts), (Some(alive), 0));
    let cgroup = other.host.list_runs().await.unwrap().remove(0).cgroup;
    assert!(cgroup.is_none_or(|dir| dir.is_dir()));
}

#[tokio::test]
async fn a_killed_process_is_back_at_once_and_the_others_stay() {
    let bed = Bed::new("restart");
    let mut handle = bed
        .start(vec![
            shell(
                "a",
                &format!("sleep 1.1; echo ran for a second; {WAIT_FOREVER}"),
            ),
            shell("b", WAIT_FOREVER),
        ])
        .await;
    let (a, b) = (pid_of(&handle, "a").await, pid_of(&handle, "b").await);
    // It must have run for a second for the first restart to be immediate.
    bed.log_with("a.log", "ran for a second").await;
    kill(a, "KILL");
    let exited = event(&mut handle, |e| matches!(e, KeeperEvent::Exited { .. })).await;
    let KeeperEvent::Exited {
        exit,
        restart_in_ms,
        restarts,
        ..
    } = exited
    else {
        panic!("{exited:?}");
    };
    assert_eq!(
        (exit, restart_in_ms, restarts),
        (Exit::Signal(9), Some(0), 0)
    );
    let started = event(&mut handle, |e| matches!(e, KeeperEvent::Started { .. })).await;
    let KeeperEvent::Started {
        process: name,
        pid,
        restarts,
        ..
    } = started
    else {
        panic!("{started:?}");
    };
    assert_eq!((name, restarts), (process("a"), 1));
    assert!(pid != a && runs(pid) && runs(b));
    let now = handle.client.status().await.unwrap();
    let first = now.processes.first().unwrap();
    assert_eq!(
        (first.restarts, first.last_exit),
        (1, Some(Exit::Signal(9)))
    );
}

#[tokio::test]
async fn the_death_of_a_keeper_takes_everything_with_it() {
    let bed = Bed::new("death");
    // A daemon that slipped out of its session and ignores its signals.
    let script = "(trap '' TERM HUP INT; setsid sh -c 'exec sleep 98765.4' &) ; sleep 98765.5";
    let mut handle = bed.start(vec![shell("main", script)]).await;
    wait_for("the daemon", || {
        match with_command_line("sleep 98765.4").len() {
            1 => Ok(()),
            n => Err(n.to_string()),
        }
    })
    .await;
    kill(handle.pid, "KILL");
    let events = until_gone(&mut handle).await;
    assert!(!events.contains(&KeeperEvent::AllStopped));
    // `Gone` is the proof: there is nothing to wait for.
    assert_eq!(with_command_line("sleep 98765."), Vec::<u32>::new());
    assert!(handle.client.status().await.is_err());
    assert!(bed.host.adopt(&bed.member()).await.unwrap().is_none());
    bed.host.cleanup(&bed.member()).await.unwrap();
}

#[tokio::test]
async fn what_a_process_leaves_behind_goes_before_it_starts_again() {
    let bed = Bed::new("leftovers");
    let script = "sleep 76543.2 & echo up; while :; do sleep 0.05; done";
    let mut handle = bed.start(vec![shell("main", script)]).await;
    let mut left = Vec::new();
    for round in 1..=3 {
        bed.log_with("main.log", "up").await;
        let now = wait_for("one child", || {
            let found = with_command_line("sleep 76543.2");
            let new = found.len() == 1 && found != left;
            if new {
                Ok(found)
            } else {
                Err(format!("{found:?}, {left:?}"))
            }
        });
        left = now.await;
        kill(pid_of(&handle, "main").await, "KILL");
        event(
            &mut handle,
            |e| matches!(e, KeeperEvent::Started { restarts, .. } if *restarts == round),
        )
        .await;
    }
}

#[tokio::test]
async fn a_keeper_outlives_its_agent_and_is_adopted() {
    let bed = Bed::new("adopt");
    let first = bed
        .start(vec![shell(
            "main",
            "echo one; echo two; while :; do sleep 60; done",
        )])
        .await;
    let (keeper, main) = (first.pid, pid_of(&first, "main").await);
    drop(first);

    let agent = bed.next_agent();
    let runs_found = agent.list_runs().await.unwrap();
    assert_eq!(runs_found.len(), 1);
    let mut second = agent.adopt(&bed.member()).await.unwrap().unwrap();
    assert_eq!(
        (second.pid, second.run.clone()),
        (keeper, bed.launch(Vec::new()).run)
    );
    assert_eq!(second.status.processes.first().unwrap().pid, Some(main));
    assert!(second.status.init_done && !second.status.stopping);
    // There is one keeper per member, whatever an agent believes.
    let again = agent
        .start_keeper(bed.launch(vec![shell("main", WAIT_FOREVER)]))
        .await;
    let error = again.unwrap_err().to_string();
    assert!(error.contains("another keeper"), "{error}");
    assert!(agent.cleanup(&bed.member()).await.is_err());

    kill(main, "KILL");
    event(&mut second, |e| matches!(e, KeeperEvent::Started { .. })).await;
    second.client.kill().await.unwrap();
    until_gone(&mut second).await;
}

#[tokio::test]
async fn a_stop_asks_first_in_reverse_order_and_kills_what_does_not_listen() {
    let bed = Bed::new("stop");
    let polite = shell(
        "polite",
        "trap 'echo got TERM; exit 7' TERM; while :; do sleep 0.05; done",
    );
    let deaf = shell("deaf", "trap '' TERM; while :; do sleep 0.05; done");
    let mut last = polite.clone();
    last.name = process("last");
    last.pre_stop = Some(hook("echo pre; exit 3"));
    let mut handle = bed.start(vec![deaf, polite, last]).await;
    let pids = [
        pid_of(&handle, "deaf").await,
        pid_of(&handle, "polite").await,
    ];
    handle
        .client
        .stop(Some(Duration::from_secs(2)))
        .await
        .unwrap();
    let events = until_gone(&mut handle).await;
    let exits: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            KeeperEvent::Exited {
                process,
                exit,
                restart_in_ms: None,
                ..
            } => Some((process.to_string(), *exit)),
            KeeperEvent::Exited { .. }
            | KeeperEvent::Started { .. }
            | KeeperEvent::StartFailed { .. }
            | KeeperEvent::Spared { .. }
            | KeeperEvent::PostStart { .. }
            | KeeperEvent::PostStartFailed { .. }
            | KeeperEvent::Said { .. }
            | KeeperEvent::InitDone
            | KeeperEvent::AllStopped
            | KeeperEvent::Gone => None,
        })
        .collect();
    let expected = [
        ("last".to_owned(), Exit::Code(7)),
        ("polite".to_owned(), Exit::Code(7)),
        ("deaf".to_owned(), Exit::Signal(9)),
    ];
    assert_eq!(exits, expected);
    assert!(events.contains(&KeeperEvent::AllStopped));
    assert!(pids.into_iter().all(|pid| !runs(pid)));
    bed.log_with("polite.log", "got TERM").await;
    bed.log_with("keeper.log", "preStop of last: it exited with 3: pre")
        .await;
}

#[tokio::test]
async fn init_processes_come_first_and_are_tried_again() {
    let bed = Bed::new("init");
    let flag = bed.host.config_dir(&bed.member()).join("flag");
    let script = format!(
        "if [ -e {0} ]; then exit 0; fi; touch {0}; exit 4",
        flag.display()
    );
    let mut launch = bed.launch(vec![shell(
        "main",
        &format!("ls {}; {WAIT_FOREVER}", flag.display()),
    )]);
    launch.rendered.init_processes.push(shell("init", &script));
    for process in &mut launch.rendered.init_processes {
        let path = berth_core::spec::Sealed::new("/usr/bin:/bin".to_owned());
        process.env.insert("PATH".to_owned(), path);
    }
    let mut handle = bed.host.start_keeper(launch).await.unwrap();
    // It may have failed before anyone listened; that is to be seen in the status.
    let client = handle.client.clone();
    let again = event(&mut handle, |e| {
        matches!(
            e,
            KeeperEvent::Started {
                init: true,
                restarts: 1,
                ..
            }
        )
    });
    again.await;
    let status = client.status().await.unwrap();
    assert!(
        !status.init_done || status.processes.iter().all(|p| !p.init),
        "{status:?}"
    );
    event(&mut handle, |e| *e == KeeperEvent::InitDone).await;
    event(&mut handle, |e| {
        matches!(e, KeeperEvent::Started { init: false, .. })
    })
    .await;
    bed.log_with("main.log", "flag").await;
}

#[tokio::test]
async fn logs_are_cut_by_line_and_the_previous_run_is_kept() {
    let bed = Bed::new("logs");
    let script =
        "echo begin $$; i=0; while [ $i -lt 5 ]; do echo line $i; i=$((i+1)); done; exit 1";
    let mut handle = bed.start(vec![shell("main", script)]).await;
    event(&mut handle, |e| {
        matches!(e, KeeperEvent::Started { restarts: 1, .. })
    })
    .await;
    event(&mut handle, |e| {
        matches!(e, KeeperEvent::Exited { restarts: 1, .. })
    })
    .await;
    let dir = bed.host.log_dir(&bed.member());
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let (current, previous) = (read("main.log"), read("main.previous.log"));
    assert!(previous.ends_with("line 4\n") && current.ends_with("line 4\n"));
    assert_ne!(current, previous);
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named_and_nothing_is_left() {
    let bed = Bed::new("missing");
    let mut broken = shell("broken", "");
    broken.argv = vec!["/no/such/program".to_owned()];
    let launch = bed.launch(vec![shell("fine", "sleep 87654.3"), broken]);
    let error = bed.host.start_keeper(launch).await.unwrap_err();
    let Reason::CommandMissing {
        process: name,
        path,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(
        (name, path.as_str()),
        (process("broken"), "/no/such/program")
    );
    assert_eq!(with_command_line("sleep 87654.3"), Vec::<u32>::new());
    assert!(bed.host.adopt(&bed.member()).await.unwrap().is_none());
    bed.host.cleanup(&bed.member()).await.unwrap();

    let mut text = shell("text", "");
    text.argv = vec!["/etc/hostname".to_owned()];
    let error = bed
        .host
        .start_keeper(bed.launch(vec![text]))
        .await
        .unwrap_err();
    assert!(matches!(error, Reason::CommandMissing { .. }), "{error}");
    let mut nowhere = shell("nowhere", WAIT_FOREVER);
    nowhere.working_dir = "/no/such/dir".to_owned();
    let error = bed
        .host
        .start_keeper(bed.launch(vec![nowhere]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("workingDir"), "{error}");
    let mut who = shell("who", WAIT_FOREVER);
    who.user = "no-such-user".to_owned();
    let error = bed
        .host
        .start_keeper(bed.launch(vec![who.clone()]))
        .await
        .unwrap_err();
    assert!(matches!(error, Reason::UserMissing { .. }), "{error}");
    who.user = "root".to_owned();
    let error = bed
        .host
        .start_keeper(bed.launch(vec![who]))
        .await
        .unwrap_err();
    assert!(matches!(error, Reason::Forbidden(_)), "{error}");
    for forbid in [
        (|main| main.supplemental_groups.push("sys".to_owned()))
            as fn(&mut berth_core::rendered::RenderedProcess),
        |main| main.capabilities.push("SYS_ADMIN".to_owned()),
    ] {
        let mut main = shell("main", WAIT_FOREVER);
        forbid(&mut main);
        let started = bed.host.start_keeper(bed.launch(vec![main])).await;
        let error = started.unwrap_err();
        assert!(matches!(error, Reason::Forbidden(_)), "{error}");
    }
}

#[tokio::test]
async fn programs_run_in_the_member_on_request() {
    let bed = Bed::new("exec");
    let handle = bed.start(vec![shell("main", WAIT_FOREVER)]).await;
    let order = |script: &str, timeout_ms| ExecOrder {
        process: process("main"),
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        timeout_ms,
    };
    let (own, bad) = tokio::join!(
        handle
            .client
            .exec(order("hostname; id -un; exit 5", 20_000)),
        handle.client.exec(order("sleep 60; echo late", 200)),
    );
    let own = own.unwrap();
    assert_eq!(
        (own.exit, own.output.as_str()),
        (Exit::Code(5), "exec-0\nnobody\n")
    );
    let bad = bad.unwrap();
    assert_eq!((bad.exit, bad.timed_out), (Exit::Signal(9), true));
    let mut missing = order("", 1000);
    missing.argv = vec!["/no/such/probe".to_owned()];
    let error = handle.client.exec(missing).await.unwrap_err();
    assert!(matches!(error, Reason::CommandMissing { .. }), "{error}");
    let long = handle
        .client
        .exec(order("yes | head -c 100000", 20_000))
        .await
        .unwrap();
    assert_eq!((long.exit, long.output.len()), (Exit::Code(0), 4096));
}

#[tokio::test]
async fn a_process_is_restarted_and_signalled_on_request() {
    let bed = Bed::new("request");
    let script = "trap 'echo got HUP' HUP; echo up; while :; do sleep 0.05; done";
    let mut handle = bed
        .start(vec![shell("a", script), shell("b", script)])
        .await;
    let b = pid_of(&handle, "b").await;
    bed.log_with("b.log", "up").await;
    handle.client.signal(process("b"), "SIGHUP").await.unwrap();
    bed.log_with("b.log", "got HUP").await;
    handle.client.restart(Some(process("a"))).await.unwrap();
    event(&mut handle, |e| {
        matches!(e, KeeperEvent::Started { restarts: 1, .. })
    })
    .await;
    assert_eq!(pid_of(&handle, "b").await, b);
    assert!(handle.client.restart(Some(process("c"))).await.is_err());
    assert!(handle.client.signal(process("b"), "SIGNONE").await.is_err());
}

#[tokio::test]
async fn a_limit_that_is_refused_is_named_with_what_would_be_allowed() {
    let bed = Bed::new("limits");
    let mut greedy = shell("greedy", WAIT_FOREVER);
    let most = fs::read_to_string("/proc/sys/fs/nr_open").unwrap();
    let more = most.trim().parse::<u64>().unwrap() + 1;
    greedy
        .rlimits
        .insert("nofile".to_owned(), rlimit(more, more));
    let error = bed
        .host
        .start_keeper(bed.launch(vec![greedy]))
        .await
        .unwrap_err();
    let expected = format!("set rlimit nofile to {more}: Operation not permitted; ");
    assert!(error.to_string().contains(&expected), "{error}");
    bed.host.cleanup(&bed.member()).await.unwrap();
}

#[tokio::test]
async fn files_are_written_for_the_user_and_before_the_start() {
    let bed = Bed::new("files");
    let path = bed.host.config_dir(&bed.member()).join("sub/app.conf");
    let script = format!(
        "stat -c '%U %a' {0}; cat {0}; {WAIT_FOREVER}",
        path.display()
    );
    let mut main = shell("main", &script);
    main.files.push(berth_core::rendered::RenderedFile {
        path: path.to_string_lossy().into_owned(),
        mode: 0o400,
        content: berth_core::spec::Sealed::new("secret = 1\n".to_owned()),
        secret: false,
        when: berth_core::spec::FileWhen::Start,
        on_change: berth_core::spec::OnChange::Ignore,
    });
    let launch = bed.launch(vec![main.clone()]);
    let handle = bed.host.start_keeper(launch).await.unwrap();
    let log = bed.log_with("main.log", "secret").await;
    assert_eq!(log, "nobody 400\nsecret = 1\n");
    handle.client.kill().await.unwrap();

    let outside = Bed::new("outside");
    main.files.first_mut().unwrap().path = "/etc/berth-test.conf".to_owned();
    let error = outside
        .host
        .start_keeper(outside.launch(vec![main]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("configDir"), "{error}");
    assert!(!std::path::Path::new("/etc/berth-test.conf").exists());
}

#[tokio::test]
async fn a_file_from_a_secret_is_in_memory_only_and_gone_with_the_member() {
    use berth_core::spec::FileWhen;
    let bed = Bed::new("secret");
    let config = bed.host.config_dir(&bed.member());
    let on_disk = bed.dir.path().join("data/config/default_secret-0");
    let files = [
        ("sub/start.key", FileWhen::Start),
        ("once.key", FileWhen::Once),
        ("missing.key", FileWhen::IfMissing),
    ];
    let mut main = shell("main", "");
    let mut script = String::new();
    for (name, when) in files {
        let path = config.join(name);
        // What it is, where it is, and who may read it.
        let at = path.display();
        let line = format!("stat -L -c '%U %a %F' {at}; stat -L -f -c %T {at}; cat {at}; ");
        script.push_str(&line);
        main.files.push(berth_core::rendered::RenderedFile {
            path: path.to_string_lossy().into_owned(),
            mode: 0o400,
            content: berth_core::spec::Sealed::default(),
            secret: true,
            when,
            on_change: berth_core::spec::OnChange::Ignore,
        });
    }
    let script = format!("{script} echo end; {WAIT_FOREVER}");
    main.argv = shell("main", &script).argv;
    // The second start is of another keeper: what the first one had in memory is gone.
    for text in ["canary-1\n", "canary-2\n"] {
        for file in &mut main.files {
            file.content = berth_core::spec::Sealed::new(text.to_owned());
        }
        let launch = bed.launch(vec![main.clone()]);
        let handle = bed.host.start_keeper(launch).await.unwrap();
        let each = format!("nobody 400 regular file\ntmpfs\n{text}");
        let whole = format!("{}end\n", each.repeat(files.len()));
        assert_eq!(bed.log_with("main.log", &whole).await, whole);
        handle.client.kill().await.unwrap();
        bed.host.cleanup(&bed.member()).await.unwrap();
        for (name, _) in files {
            let path = on_disk.join(name);
            assert!(path.is_symlink() && !path.exists(), "{}", path.display());
        }
        let kept = on_disk.join(".berth-secrets");
        assert_eq!(
            fs::read_dir(kept).unwrap().count(),
            0,
            "nothing is on the disk"
        );
    }
}

/// A file as a process sees it.
fn inside(pid: u32, path: &std::path::Path) -> String {
    fs::read_to_string(format!("/proc/{pid}/root{}", path.display())).unwrap()
}

#[tokio::test]
async fn what_is_rendered_anew_is_for_later_starts_and_for_whom_it_signals() {
    let bed = Bed::new("anew");
    let conf = bed.host.config_dir(&bed.member()).join("app.conf");
    let script = format!(
        "trap 'cat {}' HUP; echo up; while :; do sleep 0.05; done",
        conf.display()
    );
    let with = |text: &str, on_change| {
        let mut signalled = shell("signalled", &script);
        signalled.files.push(berth_core::rendered::RenderedFile {
            path: conf.to_string_lossy().into_owned(),
            mode: 0o644,
            content: berth_core::spec::Sealed::new(text.to_owned()),
            secret: false,
            when: berth_core::spec::FileWhen::Start,
            on_change,
        });
        vec![
            signalled,
            shell("plain", &format!("echo {text}; {WAIT_FOREVER}")),
        ]
    };
    use berth_core::spec::OnChange;
    let mut handle = bed.start(with("first", OnChange::Signal)).await;
    bed.log_with("signalled.log", "up").await;
    let (signalled, plain) = (
        pid_of(&handle, "signalled").await,
        pid_of(&handle, "plain").await,
    );

    let rendered = bed.launch(with("second", OnChange::Signal)).rendered;
    handle.client.update(rendered).await.unwrap();

    bed.log_with("signalled.log", "second").await;
    assert_eq!(pid_of(&handle, "signalled").await, signalled);
    assert_eq!(
        pid_of(&handle, "plain").await,
        plain,
        "nothing that runs is touched"
    );
    handle.client.restart(Some(process("plain"))).await.unwrap();
    event(&mut handle, |e| {
        matches!(e, KeeperEvent::Started { restarts: 1, .. })
    })
    .await;
    bed.log_with("plain.log", "second").await;

    let rendered = bed.launch(with("third", OnChange::Restart)).rendered;
    handle.client.update(rendered).await.unwrap();
    event(
        &mut handle,
        |e| matches!(e, KeeperEvent::Started { process, .. } if process.as_str() == "signalled"),
    )
    .await;
    let before = pid_of(&handle, "signalled").await;
    let rendered = bed.launch(with("fourth", OnChange::Ignore)).rendered;
    handle.client.update(rendered).await.unwrap();
    assert_eq!(inside(before, &conf), "fourth");
    assert_eq!(pid_of(&handle, "signalled").await, before, "nobody is told");

    let others = bed.launch(vec![shell("other", "true")]).rendered;
    assert!(
        handle.client.update(others).await.is_err(),
        "other processes are another start"
    );
}

#[tokio::test]
async fn a_restart_for_a_changed_file_is_not_lost_when_the_file_of_another_cannot_be_written() {
    use berth_core::spec::OnChange;
    let bed = Bed::new("lost");
    let dir = bed.host.config_dir(&bed.member());
    let with = |text: &str, other: std::path::PathBuf| {
        let file = |path: std::path::PathBuf, on_change| berth_core::rendered::RenderedFile {
            path: path.to_string_lossy().into_owned(),
            mode: 0o644,
            content: berth_core::spec::Sealed::new(text.to_owned()),
            secret: false,
            when: berth_core::spec::FileWhen::Start,
            on_change,
        };
        let mut restarts = shell("restarts", WAIT_FOREVER);
        restarts
            .files
            .push(file(dir.join("a.conf"), OnChange::Restart));
        let mut ignores = shell("ignores", WAIT_FOREVER);
        ignores.files.push(file(other, OnChange::Ignore));
        bed.launch(vec![restarts, ignores]).rendered
    };
    let first = with("first", dir.join("b.conf"));
    let mut handle = bed
        .start([first.init_processes, first.processes].concat())
        .await;

    let outside = with("second", "/etc/berth-test.conf".into());
    assert!(handle.client.update(outside).await.is_err());
    let allowed = with("second", dir.join("b.conf"));
    handle.client.update(allowed).await.unwrap();
    event(
        &mut handle,
        |e| matches!(e, KeeperEvent::Started { process, .. } if process.as_str() == "restarts"),
    )
    .await;
    let pid = pid_of(&handle, "restarts").await;
    assert_eq!(inside(pid, &dir.join("a.conf")), "second");
}

#[tokio::test]
async fn capabilities_on_the_keep_list_are_kept_and_no_others() {
    let bed = Bed::new("caps");
    let mut main = shell(
        "main",
        &format!("grep ^Cap /proc/self/status; {WAIT_FOREVER}"),
    );
    main.capabilities.push("NET_BIND_SERVICE".to_owned());
    let _handle = bed.start(vec![main]).await;
    let log = bed.log_with("main.log", "CapAmb").await;
    for set in ["Inh", "Prm", "Eff", "Bnd", "Amb"] {
        assert!(
            log.contains(&format!("Cap{set}:\t0000000000000400")),
            "{log}"
        );
    }
}
